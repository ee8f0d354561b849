//! The load generator: so many connections, each asking again as soon as it is answered.
//!
//! One thread, raw sockets, requests built beforehand: it must cost far less than what it measures.

use crate::wire::{BodySkip, Head, find_head_end};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind};

/// Who asks: an address, and credentials if signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// Source address; all of 127.0.0.0/8 can be one on Linux.
    pub address: IpAddr,
    /// `Proxy-Authorization` line with its line end, or empty.
    pub credentials: String,
}

/// One request, ready to send but for the credentials.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// `host:port` to open a tunnel to first; tunnels are kept for the capture's length.
    pub tunnel: Option<Rc<str>>,
    /// Request line and headers, without the final empty line.
    pub head: Rc<[u8]>,
    /// Body.
    pub body: Rc<[u8]>,
    /// Whether the answer has no body because it answers HEAD.
    pub is_head: bool,
    /// Set on the first request of a visit: earlier tunnels are closed.
    pub starts_visit: bool,
}

impl Prepared {
    /// The start of the request line, for messages.
    fn line(&self) -> String {
        let line = self.head.split(|&byte| byte == b'\r').next().unwrap_or(&self.head);
        String::from_utf8_lossy(&line[..line.len().min(120)]).into_owned()
    }
}

/// When the load stops.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Each queue has been played so often.
    Passes(usize),
    /// So long; requests in flight are finished.
    Elapsed(Duration),
}

/// What to send, and how.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Proxy, or the origin itself for the control.
    pub target: SocketAddr,
    /// One entry a connection: who uses it and what is asked in turn.
    pub queues: Vec<(Person, Rc<[Prepared]>)>,
    /// When to stop.
    pub until: Until,
    /// Whether each request has a connection of its own.
    pub new_connections: bool,
    /// What is spoken inside tunnels.
    pub inside: Inside,
    /// Whether the target is the site itself, or hands on every byte to it: what belongs in a tunnel
    /// is said without asking for one.
    pub bare: bool,
    /// Rest of a connection before each request.
    pub pause: Duration,
}

/// What is spoken inside tunnels.
#[derive(Clone, Debug, Default)]
pub(crate) enum Inside {
    /// HTTP in the open.
    #[default]
    Plain,
    /// TLS; each connection's person has sessions of their own to resume, as a browser has.
    Tls(Arc<ClientConfig>),
    /// TLS without sessions to resume.
    TlsAnew(Arc<ClientConfig>),
}

/// Name of the authority that signs for the origin's hosts: a tunnel that shows another one is
/// looked into, and the requests in it are decisions of their own.
pub(crate) const SITES_AUTHORITY: &str = "Bench sites";

impl Inside {
    /// The TLS of one person.
    fn of_one(&self) -> Option<Arc<ClientConfig>> {
        let (Inside::Tls(tls) | Inside::TlsAnew(tls)) = self else { return None };
        let mut own = ClientConfig::clone(tls);
        own.resumption = match self {
            Inside::Tls(_) => Resumption::in_memory_sessions(256),
            _ => Resumption::disabled(),
        };
        Some(Arc::new(own))
    }
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Requests answered by the origin.
    pub allowed: u64,
    /// Requests refused by the proxy with 403.
    pub blocked: u64,
    /// Anything else: an error, a silence that was too long, a 407 or 5xx of the proxy.
    pub failed: u64,
    /// Decisions that the proxy took: plain requests and tunnels.
    pub decisions: u64,
    /// Handshakes inside tunnels.
    pub handshakes: u64,
    /// Those of them that resumed an earlier session.
    pub resumed: u64,
    /// Response body bytes.
    pub body_bytes: u64,
    /// From first byte sent to last byte read, in microseconds, in order of completion.
    pub latencies_us: Vec<u32>,
    /// First failures, in words.
    pub failures: Vec<String>,
    /// Wall time.
    pub elapsed: Duration,
}

/// How long nothing may come before a request counts as failed.
const SILENCE: Duration = Duration::from_secs(20);

/// Runs a load to its end; `stop` ends it early.
pub(crate) fn run(load: &Load, stop: &dyn Fn() -> bool) -> io::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tally = Rc::new(RefCell::new(Tally::default()));
    let ended = Rc::new(Cell::new(false));
    let start = Instant::now();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut tasks = Vec::new();
        for (person, queue) in load.queues.iter().cloned() {
            let user = User {
                new_connections: load.new_connections,
                bare: load.bare,
                pause: load.pause,
                ..User::new(load.target, person, load.inside.of_one(), &tally)
            };
            tasks.push(tokio::task::spawn_local(user.play(queue, load.until, Rc::clone(&ended))));
        }
        let mut last = None;
        for task in tasks {
            let mut task = task;
            last = loop {
                tokio::select! {
                    done = &mut task => break Some(done),
                    () = tokio::time::sleep(Duration::from_millis(20)) => ended.set(ended.get() || stop()),
                }
            };
        }
        drop(last);
    });
    let mut tally = Rc::try_unwrap(tally).map(RefCell::into_inner).unwrap_or_default();
    tally.elapsed = start.elapsed();
    Ok(tally)
}

/// One simulated person with one connection (and the tunnels of the visit).
pub(crate) struct User {
    target: SocketAddr,
    person: Person,
    new_connections: bool,
    tls: Option<Arc<ClientConfig>>,
    /// As [`Load::bare`].
    pub bare: bool,
    pause: Duration,
    tally: Rc<RefCell<Tally>>,
    main: Option<Connection>,
    tunnels: HashMap<Rc<str>, Connection>,
    heard: Heard,
}

/// Bytes that have come to somebody.
type Heard = Rc<Cell<u64>>;

/// A TCP stream, or TLS on one.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Duplex for S {}

struct Connection {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
    /// The proxy's own certificate was shown.
    looked_into: bool,
    heard: Heard,
}

struct Answer {
    status: u16,
    from_origin: bool,
    body_bytes: u64,
    reusable: bool,
}

impl User {
    /// Somebody who keeps connections, and counts into `tally`.
    pub(crate) fn new(
        target: SocketAddr,
        person: Person,
        tls: Option<Arc<ClientConfig>>,
        tally: &Rc<RefCell<Tally>>,
    ) -> Self {
        Self {
            target,
            person,
            new_connections: false,
            tls,
            bare: false,
            pause: Duration::ZERO,
            tally: Rc::clone(tally),
            main: None,
            tunnels: HashMap::new(),
            heard: Heard::default(),
        }
    }

    /// Says goodbye in every tunnel.
    pub(crate) async fn leave(mut self) {
        for (_, mut tunnel) in self.tunnels.drain() {
            // Nothing was asked that is not answered: whether the other side hears it does not matter.
            let _ = tunnel.stream.shutdown().await;
        }
    }

    async fn play(mut self, queue: Rc<[Prepared]>, until: Until, ended: Rc<Cell<bool>>) {
        let start = Instant::now();
        let mut passes = 0;
        loop {
            let go_on = match until {
                Until::Passes(wanted) => passes < wanted,
                Until::Elapsed(_) => true,
            };
            if !go_on || queue.is_empty() {
                return;
            }
            for request in queue.iter() {
                if ended.get() || matches!(until, Until::Elapsed(limit) if start.elapsed() >= limit)
                {
                    return;
                }
                if !self.pause.is_zero() {
                    tokio::time::sleep(self.pause).await;
                }
                self.ask(request, Instant::now()).await;
            }
            passes += 1;
        }
    }

    /// Sends one request and counts what comes of it; gives its latency from `begun` on, none if it
    /// failed.
    pub(crate) async fn ask(&mut self, request: &Prepared, begun: Instant) -> Option<u32> {
        if request.starts_visit {
            self.tunnels.clear();
        }
        let outcome = self.exchange_unless_silent(request).await;
        let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
        let mut tally = self.tally.borrow_mut();
        let failed_before = tally.failed;
        tally.latencies_us.push(took);
        match outcome {
            Ok(answer) => {
                tally.body_bytes += answer.body_bytes;
                match (answer.from_origin, answer.status) {
                    (true, _) => tally.allowed += 1,
                    (false, 403) => tally.blocked += 1,
                    (false, status) => {
                        tally.fail(format!("the proxy answered {status}: {}", request.line()));
                    }
                }
            }
            Err(error) => {
                self.main = None;
                self.tunnels.clear();
                tally.fail(format!("{error}: {}", request.line()));
            }
        }
        (tally.failed == failed_before).then_some(took)
    }

    async fn exchange_unless_silent(&mut self, request: &Prepared) -> io::Result<Answer> {
        let heard = Rc::clone(&self.heard);
        let mut exchange = std::pin::pin!(self.exchange(request));
        loop {
            let before = heard.get();
            match tokio::time::timeout(SILENCE, &mut exchange).await {
                Ok(outcome) => return outcome,
                Err(_) if heard.get() == before => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => {}
            }
        }
    }

    async fn exchange(&mut self, request: &Prepared) -> io::Result<Answer> {
        let Some(authority) = &request.tunnel else {
            return self.ask_plain(request).await;
        };
        let mut connection = match self.tunnels.remove(authority) {
            Some(connection) => connection,
            None => {
                let mut connection = self.connect().await?;
                if !self.bare {
                    let head = format!(
                        "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n",
                        self.person.credentials
                    );
                    connection.stream.write_all(head.as_bytes()).await?;
                    self.tally.borrow_mut().decisions += 1;
                    let answer = connection.read_answer(Bodiless::IfOk).await?;
                    if answer.status != 200 {
                        return Ok(answer);
                    }
                }
                match &self.tls {
                    Some(tls) => self.handshake(connection, tls, authority).await?,
                    None => connection,
                }
            }
        };
        connection.send(&request.head, b"", &request.body).await?;
        if connection.looked_into {
            self.tally.borrow_mut().decisions += 1;
        }
        let answer = connection.read_answer(body_of(request)).await?;
        if self.new_connections && self.tls.is_some() {
            // The answer is whole: whether the other side still takes the goodbye does not matter.
            let _ = connection.stream.shutdown().await;
        }
        if answer.reusable && !self.new_connections {
            self.tunnels.insert(Rc::clone(authority), connection);
        }
        Ok(answer)
    }

    async fn handshake(
        &self,
        connection: Connection,
        tls: &Arc<ClientConfig>,
        authority: &str,
    ) -> io::Result<Connection> {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::clone(tls));
        let stream = connector.connect(name, connection.stream).await?;
        let mut tally = self.tally.borrow_mut();
        tally.handshakes += 1;
        if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
            tally.resumed += 1;
        }
        let looked_into = !is_of_sites(stream.get_ref().1.peer_certificates());
        Ok(Connection { stream: Box::new(stream), looked_into, ..connection })
    }

    async fn ask_plain(&mut self, request: &Prepared) -> io::Result<Answer> {
        let mut connection = match self.main.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let credentials = self.person.credentials.as_bytes();
        connection.send(&request.head, credentials, &request.body).await?;
        self.tally.borrow_mut().decisions += 1;
        let answer = connection.read_answer(body_of(request)).await?;
        if answer.reusable && !self.new_connections {
            self.main = Some(connection);
        }
        Ok(answer)
    }

    async fn connect(&self) -> io::Result<Connection> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(self.person.address, 0))?;
        let stream = socket.connect(self.target).await?;
        stream.set_nodelay(true)?;
        // Closed with a reset, so that 28,000 ports do not wait out their time in TIME_WAIT.
        if self.new_connections && self.tls.is_none() {
            stream.set_zero_linger()?;
        }
        let (stream, buffer) = (Box::new(stream), Vec::with_capacity(64 * 1024));
        Ok(Connection { stream, buffer, looked_into: false, heard: Rc::clone(&self.heard) })
    }
}

/// Whether a certificate names the sites' own authority; a DER name holds its text as it is.
pub(crate) fn is_of_sites(chain: Option<&[CertificateDer<'_>]>) -> bool {
    let name = SITES_AUTHORITY.as_bytes();
    let leaf = chain.and_then(<[_]>::first);
    leaf.is_some_and(|leaf| leaf.windows(name.len()).any(|bytes| bytes == name))
}

/// Which answers have no body because of what was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bodiless {
    /// None: GET and the like.
    Never,
    /// All: HEAD.
    Always,
    /// A 200: CONNECT, whose refusal has one.
    IfOk,
}

fn body_of(request: &Prepared) -> Bodiless {
    if request.is_head { Bodiless::Always } else { Bodiless::Never }
}

impl Tally {
    /// Counts a failure.
    pub(crate) fn fail(&mut self, why: String) {
        self.failed += 1;
        if self.failures.len() < 5 {
            self.failures.push(why);
        }
    }

    /// Requests that were answered or failed.
    pub(crate) fn requests(&self) -> u64 {
        self.allowed + self.blocked + self.failed
    }
}

impl Connection {
    async fn send(&mut self, head: &[u8], credentials: &[u8], body: &[u8]) -> io::Result<()> {
        let parts = [head, credentials, b"\r\n", body];
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let slices = parts.map(IoSlice::new);
        let sent = self.stream.write_vectored(&slices).await?;
        if sent < total {
            // Rare: a large upload. The rest goes in order.
            let rest = parts.concat();
            self.stream.write_all(&rest[sent..]).await?;
        }
        self.stream.flush().await
    }

    async fn read_more(&mut self) -> io::Result<usize> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        self.heard.set(self.heard.get() + read as u64);
        Ok(read)
    }

    /// Reads one answer to its end.
    async fn read_answer(&mut self, bodiless: Bodiless) -> io::Result<Answer> {
        let (head_bytes, mut answer, length) = loop {
            if let Some(end) = find_head_end(&self.buffer) {
                let head = Head::parse(&self.buffer[..end]);
                let status = head.status();
                if status == 100 {
                    self.buffer.drain(..end);
                    continue;
                }
                let answer = Answer {
                    status,
                    from_origin: head.value("x-origin").is_some(),
                    body_bytes: 0,
                    reusable: !head.closes(),
                };
                let none =
                    bodiless == Bodiless::Always || (bodiless == Bodiless::IfOk && status == 200);
                let length = head.response_body_length(none);
                break (end, answer, length);
            }
            if self.read_more().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        self.buffer.drain(..head_bytes);
        let mut skip = BodySkip::new(length);
        loop {
            let used = skip.feed(&self.buffer);
            self.buffer.drain(..used);
            if skip.is_done() {
                break;
            }
            if self.read_more().await? == 0 {
                if !skip.runs_to_close() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                answer.reusable = false;
                break;
            }
        }
        answer.body_bytes = skip.body_bytes;
        Ok(answer)
    }
}

/// A percentile of sorted latencies, in microseconds.
pub(crate) fn percentile(sorted: &[u32], percent: f64) -> u32 {
    let at = ((sorted.len() as f64 - 1.0) * percent / 100.0).round() as usize;
    sorted.get(at).copied().unwrap_or(0)
}
