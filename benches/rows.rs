//! The rows of the comparison: what is asked of everybody, and how far below Squid's cost ours must be.

use crate::cases::Drive;
use crate::entrant::Entrant;
use crate::load::{Inside, Load, Tally, Until};
use crate::school::School;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::ClientConfig;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Row {
    /// GET of 1 KB on kept connections.
    Get1k,
    /// GET of 1 KB, each on a connection of its own.
    Get1kNew,
    /// GET of 16 KB on kept connections.
    Get16k,
    /// GET of 1 MB on kept connections.
    Get1m,
    /// CONNECT, a full handshake with the site and one GET of 1 KB.
    ConnectTls,
    /// One tunnel, as many bytes as pass.
    Tunnel,
    /// CONNECT, a full handshake with the proxy and one GET of 1 KB.
    InspectNew,
    /// The same where the client offers to resume its session.
    InspectResumed,
    /// GET of 16 KB on kept tunnels that are looked into.
    Inspect16k,
    /// GET of 1 MB on the same.
    Inspect1m,
}

/// What is fixed about a row.
struct Facts {
    row: Row,
    word: &'static str,
    title: &'static str,
    /// Counted by the megabyte (10^6 bytes of bodies), else by the request.
    by_megabyte: bool,
    body_bytes: u64,
    /// Shares of Squid's processor time.
    must: f64,
    goal: f64,
}

const fn facts(
    row: Row,
    word: &'static str,
    title: &'static str,
    by_megabyte: bool,
    body_bytes: u64,
    must_and_goal: [f64; 2],
) -> Facts {
    let [must, goal] = must_and_goal;
    Facts { row, word, title, by_megabyte, body_bytes, must, goal }
}

const FACTS: [Facts; 10] = [
    facts(Row::Get1k, "get-1k", "GET 1 KB, kept connection", false, KIB, [0.57, 0.30]),
    facts(Row::Get1kNew, "get-1k-new", "GET 1 KB, new connection each", false, KIB, [0.50, 0.33]),
    facts(Row::Get16k, "get-16k", "GET 16 KB, kept connection", false, 16 * KIB, [0.58, 0.29]),
    facts(Row::Get1m, "get-1m", "GET 1 MB, a MB", true, MIB, [0.33, 0.20]),
    facts(Row::ConnectTls, "connect-tls", "CONNECT, full TLS, one GET", false, KIB, [0.71, 0.48]),
    facts(Row::Tunnel, "tunnel", "tunnel in bulk, one, a MB", true, 16 * MIB, [0.42, 0.27]),
    facts(
        Row::InspectNew,
        "inspect-new",
        "inspected: new tunnel, one GET",
        false,
        KIB,
        [0.22, 0.11],
    ),
    facts(
        Row::InspectResumed,
        "inspect-resumed",
        "inspected: the same, resumed",
        false,
        KIB,
        [0.20, 0.07],
    ),
    facts(
        Row::Inspect16k,
        "inspect-16k",
        "inspected: GET 16 KB, kept",
        false,
        16 * KIB,
        [0.41, 0.23],
    ),
    facts(Row::Inspect1m, "inspect-1m", "inspected: GET 1 MB, a MB", true, MIB, [0.38, 0.30]),
];

/// What the rounds need to know.
pub(crate) struct Ground {
    /// People.
    pub school: School,
    /// The origin's plain port.
    pub plain: SocketAddr,
    /// Its port with TLS.
    pub secure: SocketAddr,
    /// The authority of the sites, in PEM.
    pub sites: Vec<u8>,
    /// Connections at a time.
    pub connections: usize,
}

impl Row {
    /// All rows.
    pub(crate) fn all() -> impl Iterator<Item = Row> {
        FACTS.iter().map(|facts| facts.row)
    }

    /// The row of this word.
    pub(crate) fn from_word(word: &str) -> Option<Row> {
        FACTS.iter().find(|facts| facts.word == word).map(|facts| facts.row)
    }

    fn facts(self) -> &'static Facts {
        // The table has every row.
        FACTS.iter().find(|facts| facts.row == self).unwrap_or(&FACTS[0])
    }

    /// Its word in options and results.
    pub(crate) fn as_str(self) -> &'static str {
        self.facts().word
    }

    /// Its line in tables.
    pub(crate) fn title(self) -> &'static str {
        self.facts().title
    }

    /// The share of Squid's processor time that ours must not pass.
    pub(crate) fn must(self) -> f64 {
        self.facts().must
    }

    /// The share that is aimed at.
    pub(crate) fn goal(self) -> f64 {
        self.facts().goal
    }

    /// `request` or `MB`.
    pub(crate) fn unit(self) -> &'static str {
        if self.facts().by_megabyte { "MB" } else { "request" }
    }

    /// How much of its unit was done.
    pub(crate) fn done(self, tally: &Tally) -> f64 {
        match self.facts().by_megabyte {
            true => tally.body_bytes as f64 / 1e6,
            false => (tally.allowed + tally.blocked) as f64,
        }
    }

    /// Whether tunnels are looked into.
    pub(crate) fn is_inspected(self) -> bool {
        matches!(self, Row::InspectNew | Row::InspectResumed | Row::Inspect16k | Row::Inspect1m)
    }

    /// The load of this row on an entrant; none if it takes no part.
    ///
    /// # Errors
    /// A sentence: the entrant's authority is none.
    pub(crate) fn load(
        self,
        ground: &Ground,
        entrant: &Entrant,
        length: Duration,
    ) -> Result<Option<Load>, String> {
        let (in_tunnel, with_tls) = (self == Row::Tunnel || self.uses_tls(), self.uses_tls());
        let asked = if self.is_inspected() {
            entrant.inspected.as_ref().map(|it| (it.address, it.bare))
        } else if in_tunnel {
            let tunnels = entrant.tunnels;
            tunnels.map(|it| (if with_tls { it.tls } else { it.plain }, it.bare))
        } else {
            entrant.http.map(|address| (address, false))
        };
        let Some((target, bare)) = asked else { return Ok(None) };
        let origin = if with_tls { ground.secure } else { ground.plain };
        let connections = if self == Row::Tunnel { 1 } else { ground.connections };
        let drive = Drive {
            connections,
            length,
            passes: 1,
            tunnels: in_tunnel,
            origin_port: origin.port(),
        };
        let queue = drive.page_of(entrant.host, self.facts().body_bytes, in_tunnel);
        let tls = match with_tls {
            true => Some(self.tls(ground, entrant)?),
            false => None,
        };
        Ok(Some(Load {
            target,
            queues: (0..connections).map(|i| (ground.school.person(i), queue.clone())).collect(),
            until: Until::Elapsed(length),
            new_connections: matches!(
                self,
                Row::Get1kNew | Row::ConnectTls | Row::InspectNew | Row::InspectResumed
            ),
            inside: match (tls, self) {
                (Some(tls), Row::ConnectTls | Row::InspectNew) => Inside::TlsAnew(tls),
                (Some(tls), _) => Inside::Tls(tls),
                (None, _) => Inside::Plain,
            },
            bare,
            pause: Duration::ZERO,
        }))
    }

    fn uses_tls(self) -> bool {
        self == Row::ConnectTls || self.is_inspected()
    }

    /// A client that trusts whoever should answer, and nobody else: a tunnel that is looked into, or
    /// is not, where the row wants it otherwise, fails.
    fn tls(self, ground: &Ground, entrant: &Entrant) -> Result<Arc<ClientConfig>, String> {
        let trusted = match &entrant.inspected {
            Some(it) if self.is_inspected() => &it.authority,
            _ => &ground.sites,
        };
        crate::sites::client(&[trusted], "http/1.1").map(Arc::new)
    }
}
