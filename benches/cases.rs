//! The cases of a run: which requests are sent, on how many connections, for how long.

use crate::load::{Inside, Load, Prepared, Until};
use crate::origin::Asked;
use crate::school::School;
use crate::trace::{Recorded, Trace};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// The host that the made-up cases ask: on no list.
pub(crate) const PLAIN_HOST: &str = "replay.test";

/// Squid takes no longer URL; such requests are left out wherever Squid takes part.
pub(crate) const SQUID_URL_BYTES: usize = 8_000;

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// The recorded requests.
    Trace,
    /// GET of 1 KB on kept connections.
    Get1k,
    /// GET of 1 KB, each on a connection of its own.
    Get1kNew,
    /// GET of 16 KB on kept connections.
    Get16k,
    /// A tunnel for each GET of 1 KB.
    Connect1k,
}

impl Case {
    /// All cases.
    pub(crate) const ALL: [Case; 5] =
        [Case::Trace, Case::Get1k, Case::Get1kNew, Case::Get16k, Case::Connect1k];

    /// Its word in options and tables.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Case::Trace => "trace",
            Case::Get1k => "get-1k",
            Case::Get1kNew => "get-1k-new",
            Case::Get16k => "get-16k",
            Case::Connect1k => "connect-1k",
        }
    }

    /// The case of this word.
    pub(crate) fn from_word(word: &str) -> Option<Case> {
        Case::ALL.into_iter().find(|case| case.as_str() == word)
    }
}

/// How the cases are driven.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drive {
    /// Connections at a time.
    pub connections: usize,
    /// Length of a made-up case's round.
    pub length: Duration,
    /// How often a trace round plays the trace.
    pub passes: usize,
    /// Whether the trace's https requests go through tunnels rather than as plain http.
    pub tunnels: bool,
    /// Port of the origin.
    pub origin_port: u16,
}

impl Drive {
    /// The load of a case, sent to `target`. `direct` leaves out what only a proxy understands.
    pub(crate) fn load(
        &self,
        case: Case,
        trace: &Trace,
        school: &School,
        target: SocketAddr,
        direct: bool,
    ) -> Load {
        let queues = match case {
            Case::Trace => self.trace_queues(trace, direct),
            made_up => vec![self.made_up(made_up, direct); self.connections],
        };
        let people = queues.into_iter().enumerate();
        Load {
            target,
            queues: people.map(|(i, queue)| (school.person(i), queue)).collect(),
            until: match case {
                Case::Trace => Until::Passes(self.passes),
                _ => Until::Elapsed(self.length),
            },
            new_connections: matches!(case, Case::Get1kNew | Case::Connect1k),
            inside: Inside::Plain,
            bare: false,
            pause: Duration::ZERO,
        }
    }

    fn made_up(&self, case: Case, direct: bool) -> Rc<[Prepared]> {
        let body_bytes = if case == Case::Get16k { 16 * 1024 } else { 1024 };
        self.page(body_bytes, case == Case::Connect1k && !direct)
    }

    /// One page of so many bytes, asked for over and over; in a tunnel or not.
    pub(crate) fn page(&self, body_bytes: u64, tunnel: bool) -> Rc<[Prepared]> {
        self.page_of(PLAIN_HOST, body_bytes, tunnel)
    }

    /// The same of another host.
    pub(crate) fn page_of(&self, host: &str, body_bytes: u64, tunnel: bool) -> Rc<[Prepared]> {
        let recorded = Recorded {
            visit: String::new(),
            start_ms: 0,
            method: "GET".to_owned(),
            https: tunnel,
            host: host.to_owned(),
            path_and_query: "/page?number=1".to_owned(),
            status: 200,
            mime: "text/html; charset=utf-8".to_owned(),
            request_head_bytes: 0,
            request_body_bytes: 0,
            response_head_bytes: 0,
            body_bytes,
        };
        Rc::from([self.prepare(&recorded, tunnel, false)])
    }

    /// Whole visits, dealt out so that each connection has about as much to ask.
    pub(crate) fn trace_queues(&self, trace: &Trace, direct: bool) -> Vec<Rc<[Prepared]>> {
        let mut visits: BTreeMap<&str, Vec<&Recorded>> = BTreeMap::new();
        for recorded in &trace.requests {
            visits.entry(&recorded.visit).or_default().push(recorded);
        }
        let mut visits: Vec<Vec<&Recorded>> = visits.into_values().collect();
        visits.sort_by_key(|visit| std::cmp::Reverse(visit.len()));
        let mut queues: Vec<Vec<Prepared>> = vec![Vec::new(); self.connections];
        for visit in visits {
            let Some(shortest) = queues.iter_mut().min_by_key(|queue| queue.len()) else { break };
            shortest.extend(visit.into_iter().enumerate().map(|(place, recorded)| {
                let tunnel = self.tunnels && recorded.https && !direct;
                self.prepare(recorded, tunnel, place == 0)
            }));
        }
        queues.into_iter().map(Rc::from).collect()
    }

    /// Builds the request that a browser would send, its head padded to the recorded size.
    pub(crate) fn prepare(
        &self,
        recorded: &Recorded,
        tunnel: bool,
        starts_visit: bool,
    ) -> Prepared {
        let authority = format!("{}:{}", recorded.host, self.origin_port);
        let target = if tunnel {
            recorded.path_and_query.clone()
        } else {
            format!("http://{authority}{}", recorded.path_and_query)
        };
        let asked = Asked {
            // No range is asked for here, so that no piece may come.
            status: if recorded.status == 206 { 200 } else { recorded.status },
            body_bytes: recorded.body_bytes,
            pad_bytes: recorded.response_head_bytes.saturating_sub(150).min(8 * 1024),
            mime: recorded.mime.clone(),
        };
        let mut head = format!(
            "{} {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: Mozilla/5.0 (replay)\r\n\
             Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nX-Replay: {}\r\n",
            recorded.method,
            asked.header()
        );
        if !tunnel {
            // As browsers do; some proxies keep no connection without it.
            head.push_str("Proxy-Connection: keep-alive\r\n");
        }
        let body_bytes = recorded.request_body_bytes.min(1 << 20);
        if body_bytes > 0 || recorded.method == "POST" {
            head.push_str(&format!("Content-Length: {body_bytes}\r\n"));
        }
        let missing = recorded.request_head_bytes.min(8 * 1024).saturating_sub(head.len() + 10);
        if missing > 0 {
            head.push_str(&format!("Cookie: {}\r\n", "c".repeat(missing)));
        }
        Prepared {
            tunnel: tunnel.then(|| Rc::from(authority)),
            head: Rc::from(head.into_bytes()),
            body: Rc::from(vec![b'u'; body_bytes]),
            is_head: recorded.method == "HEAD",
            starts_visit,
        }
    }
}
