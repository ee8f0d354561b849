//! Connections to upstreams, kept for the next request to the same host and port.
//!
//! One pool a worker, so nothing is locked and no request changes threads. An HTTP/1.1 connection
//! goes back only when its response has ended in order and its request was sent whole; it is closed
//! by a bound on how many wait for one host, or when it has waited too long. One that a site may
//! have signed somebody in on goes back to that client alone (`pins`). An HTTP/2 connection is in
//! the pool from its first request on, and carries several at once.

use crate::body::{Ask, Incoming, Progress};
use crate::early;
use crate::fair::{Payer, Share};
use crate::http2::{self, Session};
use crate::live::Registry;
use crate::pins::Pins;
use crate::quick_map::QuickMap;
use crate::wire::Wire;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rules::host::Host;
use std::cell::RefCell;
use std::io;
use std::rc::{Rc, Weak};
use tokio::task::AbortHandle;

/// Longest that an HTTP/2 connection takes new requests, in milliseconds: one in constant use would
/// outlive its certificate and the name's addresses.
const SESSION_LIFE_MS: u64 = 60 * 60 * 1000;

/// Where a connection leads, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Site {
    /// Canonical host.
    pub(crate) host: Host,
    /// Port.
    pub(crate) port: u16,
    /// Over TLS, with a certificate that was verified.
    pub(crate) secure: bool,
    /// The host whose address is dialled, where that is another: a search engine's safe one. A level must not
    /// be handed the connection of another.
    pub(crate) dialled: Option<Rc<Host>>,
}

impl Site {
    /// The host whose address is dialled.
    pub(crate) fn leads_to(&self) -> &Host {
        self.dialled.as_deref().unwrap_or(&self.host)
    }
}

/// A connection to an upstream, in use by one exchange.
pub(crate) struct Upstream {
    sender: Sender,
    site: Site,
    /// Of the last request's body: not sent whole, its rest would run into the next one.
    progress: Option<Rc<Progress>>,
    reusable: bool,
    /// The client connection that alone may use it again.
    owner: Option<Weak<Pins>>,
    /// It carried a request before: a failure may only mean that it was closed while idle.
    pub(crate) reused: bool,
}

enum Sender {
    Http1 {
        sender: http1::SendRequest<Ask>,
        driver: AbortHandle,
        /// Whose time the driver takes.
        payer: Rc<Payer>,
    },
    Http2(Rc<Session>),
}

/// Why a request has no answer.
pub(crate) struct Unanswered {
    /// The request, where not a byte of it was sent.
    pub(crate) unsent: Option<Box<Request<Ask>>>,
    /// Its body as far as it is left, where it went out over HTTP/2.
    pub(crate) body: Option<Ask>,
    /// What went wrong.
    pub(crate) cause: Cause,
}

/// What went wrong on the way to an answer.
pub(crate) enum Cause {
    /// A connection of HTTP/1.1.
    Http1(hyper::Error),
    /// A stream of HTTP/2, or its connection.
    Http2(h2::Error),
}

impl Cause {
    /// The connection that waited for a request was closed as it came (RFC 9112, 9.3.1). Whether the site looked at it
    /// nobody knows.
    pub(crate) fn is_closing(&self) -> bool {
        let Self::Http1(error) = self else { return false };
        let io = std::error::Error::source(error).and_then(|it| it.downcast_ref::<io::Error>());
        let is_end = |kind| {
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
            matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        };
        error.is_incomplete_message() || io.is_some_and(|error| is_end(error.kind()))
    }

    /// The site says that it did not look at the request (RFC 9113, 8.7), whatever that asks for.
    pub(crate) fn is_unprocessed(&self) -> bool {
        matches!(self, Self::Http2(error) if http2::is_unprocessed(error))
    }

    /// The site takes this request over HTTP/1.1 alone (RFC 9113, 7).
    pub(crate) fn wants_http1(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(error) => {
                error.is_remote() && error.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED)
            }
        }
    }

    /// Whether what came could not be read.
    pub(crate) fn is_unreadable(&self) -> bool {
        match self {
            Self::Http1(error) => error.is_parse() || error.is_parse_too_large(),
            Self::Http2(error) => error.is_library(),
        }
    }
}

impl Upstream {
    /// A fresh HTTP/1.1 connection; `driver` is the task that moves its bytes, in `payer`'s time.
    pub(crate) fn new(
        sender: http1::SendRequest<Ask>,
        (driver, payer): (AbortHandle, Rc<Payer>),
        site: Site,
    ) -> Self {
        Self::of(Sender::Http1 { sender, driver, payer }, site)
    }

    /// It serves this client now. Streams of an HTTP/2 connection serve several at once, and are nobody's.
    pub(crate) fn serves(&self, share: &Rc<Share>) {
        if let Sender::Http1 { payer, .. } = &self.sender {
            payer.serves(share);
        }
    }

    /// It waits for whoever comes next.
    fn serves_nobody(&self) {
        if let Sender::Http1 { payer, .. } = &self.sender {
            payer.serves_nobody();
        }
    }

    fn of(sender: Sender, site: Site) -> Self {
        Self { sender, site, progress: None, reusable: true, owner: None, reused: false }
    }

    /// Speaks HTTP/1.1 on a fresh connection.
    ///
    /// # Errors
    /// [`hyper::Error`]: the connection is gone already.
    pub(crate) async fn http1(
        builder: &http1::Builder,
        wire: Wire,
        site: Site,
    ) -> hyper::Result<Self> {
        let (sender, connection) = builder.handshake(TokioIo::new(wire)).await?;
        let payer = Rc::new(Payer::default());
        let driver = tokio::task::spawn_local(Rc::clone(&payer).of(async move {
            // The exchange sees the error on its side.
            let _ = connection.await;
        }));
        Ok(Self::new(sender, (driver.abort_handle(), payer), site))
    }

    /// Speaks HTTP/2 on a fresh connection.
    ///
    /// # Errors
    /// [`h2::Error`]: the connection is gone already.
    pub(crate) async fn http2(
        builder: &h2::client::Builder,
        wire: Wire,
        site: Site,
    ) -> Result<Self, h2::Error> {
        let session = Rc::new(Session::open(builder, wire).await?);
        Ok(Self::of(Sender::Http2(session), site))
    }

    /// Waits until a request can be sent; `false` if the connection is closed.
    pub(crate) async fn ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1 { sender, .. } => sender.is_ready() || sender.ready().await.is_ok(),
            Sender::Http2(session) => session.is_open(),
        }
    }

    /// Hears whether the site has closed the connection by now. What the kernel was told since this thread last asked
    /// it is known to nobody here yet; to whoever sends without asking, a request that cannot be asked twice is lost.
    pub(crate) async fn hear(&self) {
        if let Sender::Http1 { .. } = &self.sender {
            // The runtime asks the kernel before it comes back here, and the connection's own task reads first.
            tokio::task::yield_now().await;
        }
    }

    /// Sends a request. The error gives it back where not a byte of it was sent.
    pub(crate) fn send(
        &mut self,
        mut request: Request<Ask>,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> + use<> {
        self.progress = request.body().progress().map(Rc::clone);
        let sending = match &mut self.sender {
            Sender::Http1 { sender, .. } => {
                http2::back_to_http1(&mut request);
                early::listen_on_http1(&mut request);
                Sending::Http1(sender.try_send_request(request))
            }
            Sender::Http2(session) => {
                http2::to_http2(&mut request);
                // In a box: requests to sites of HTTP/1.1 would carry its size about.
                Sending::Http2(Box::pin(Rc::clone(session).ask(request)))
            }
        };
        async move {
            match sending {
                Sending::Http1(sending) => match sending.await {
                    Ok(answer) => Ok(answer.map(Incoming::Http1)),
                    Err(mut error) => Err(Unanswered {
                        unsent: error.take_message().map(Box::new),
                        body: None,
                        cause: Cause::Http1(error.into_error()),
                    }),
                },
                Sending::Http2(sending) => sending.await,
            }
        }
    }

    /// How far the body of the last request has come, if it has one.
    pub(crate) fn upload(&self) -> Option<&Rc<Progress>> {
        self.progress.as_ref()
    }

    /// Whether requests on it are streams, which end without ending the connection.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// The connection must not be used again, whatever else happens.
    pub(crate) fn retire(&mut self) {
        self.reusable = false;
        if let Sender::Http2(session) = &self.sender {
            session.retire();
        }
    }

    /// Nobody but this client connection may use the connection again.
    pub(crate) fn pin(&mut self, owner: &Rc<Pins>) {
        self.owner = Some(Rc::downgrade(owner));
    }

    /// Whether the other end, or a fault, has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::Http1 { sender, .. } => sender.is_closed(),
            Sender::Http2(session) => !session.is_open(),
        }
    }

    /// Where it leads.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }
}

enum Sending<A, B> {
    Http1(A),
    Http2(B),
}

impl Drop for Upstream {
    /// Closes the connection: a dropped exchange must not leave half a request or response behind.
    fn drop(&mut self) {
        if let Sender::Http1 { driver, .. } = &self.sender {
            driver.abort();
        }
    }
}

struct Idle {
    upstream: Upstream,
    since_ms: u64,
}

/// Bounds of a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolLimits {
    /// Longest that a connection waits for its next request, in milliseconds.
    pub(crate) idle_ms: u64,
    /// Most connections that wait for one host and port.
    pub(crate) per_host: usize,
}

/// The waiting connections of one worker.
pub(crate) struct Pool {
    registry: Rc<Registry>,
    limits: PoolLimits,
    idle: RefCell<QuickMap<Host, Vec<Idle>>>,
    sessions: RefCell<QuickMap<Host, Vec<Kept>>>,
}

/// An HTTP/2 connection, and since when nobody but the pool has held it.
struct Kept {
    session: Rc<Session>,
    site: Site,
    since_ms: u64,
    born_ms: u64,
}

impl Kept {
    fn streams(&self) -> usize {
        Rc::strong_count(&self.session) - 1
    }
}

impl Pool {
    /// An empty pool on a worker's clock.
    pub(crate) fn new(registry: &Rc<Registry>, limits: PoolLimits) -> Rc<Self> {
        Rc::new(Self {
            registry: Rc::clone(registry),
            limits,
            idle: RefCell::default(),
            sessions: RefCell::default(),
        })
    }

    /// The connection to this site that was used last, if one waits, or, if it may be shared, one that
    /// carries several.
    pub(crate) fn take(&self, site: &Site, shared: bool) -> Option<Upstream> {
        if site.secure
            && shared
            && let Some(upstream) = self.take_session(site)
        {
            return Some(upstream);
        }
        let mut idle = self.idle.borrow_mut();
        let waiting = idle.get_mut(&site.host)?;
        while let Some(place) = waiting.iter().rposition(|entry| entry.upstream.site == *site) {
            let mut upstream = waiting.swap_remove(place).upstream;
            if !upstream.is_closed() {
                upstream.reused = true;
                return Some(upstream);
            }
        }
        None
    }

    fn take_session(&self, site: &Site) -> Option<Upstream> {
        let now_ms = self.registry.now_ms();
        let sessions = self.sessions.borrow();
        let kept = sessions.get(&site.host)?.iter().find(|kept| {
            kept.site == *site
                && kept.session.is_open()
                && kept.streams() < kept.session.most_streams()
                && now_ms.saturating_sub(kept.born_ms) < SESSION_LIFE_MS
        })?;
        let sender = Sender::Http2(Rc::clone(&kept.session));
        let mut upstream = Upstream::of(sender, site.clone());
        upstream.reused = true;
        Some(upstream)
    }

    /// Offers a fresh HTTP/2 connection to other requests while its first one goes on.
    pub(crate) fn share(&self, upstream: &Upstream) {
        let Sender::Http2(session) = &upstream.sender else { return };
        if !upstream.reusable {
            return;
        }
        let now_ms = self.registry.now_ms();
        let (session, site) = (Rc::clone(session), upstream.site.clone());
        let kept = Kept { session, site, since_ms: now_ms, born_ms: now_ms };
        let mut sessions = self.sessions.borrow_mut();
        let of_host = sessions.entry(upstream.site.host.clone()).or_default();
        // Past the bound it serves its first request alone.
        if of_host.len() < self.limits.per_host {
            of_host.push(kept);
        }
    }

    /// Takes a connection back, or closes it where it cannot be used again. One with an owner goes
    /// to its owner.
    pub(crate) fn give_back(&self, upstream: Upstream) {
        if upstream.is_http2()
            || !upstream.reusable
            || upstream.progress.as_ref().is_some_and(|body| !body.sent.get())
            || upstream.is_closed()
        {
            return;
        }
        upstream.serves_nobody();
        if let Some(owner) = upstream.owner.clone() {
            if let Some(pins) = owner.upgrade() {
                pins.keep(upstream);
            }
            return;
        }
        let since_ms = self.registry.now_ms();
        let mut idle = self.idle.borrow_mut();
        if let Some(waiting) = idle.get_mut(&upstream.site.host) {
            if waiting.len() >= self.limits.per_host {
                waiting.remove(0);
            }
            waiting.push(Idle { upstream, since_ms });
        } else if self.limits.per_host > 0 {
            idle.insert(upstream.site.host.clone(), vec![Idle { upstream, since_ms }]);
        }
    }

    /// Closes connections that have waited too long, and forgets those that the other end closed.
    pub(crate) fn close_stale(&self) {
        let now = self.registry.now_ms();
        self.idle.borrow_mut().retain(|_, waiting| {
            waiting.retain(|entry| {
                !entry.upstream.is_closed()
                    && now.saturating_sub(entry.since_ms) < self.limits.idle_ms
            });
            !waiting.is_empty()
        });
        self.sessions.borrow_mut().retain(|_, sessions| {
            sessions.retain_mut(|kept| {
                if kept.streams() > 0 {
                    kept.since_ms = now;
                }
                kept.session.is_open()
                    && now.saturating_sub(kept.since_ms) < self.limits.idle_ms
                    && now.saturating_sub(kept.born_ms) < SESSION_LIFE_MS
            });
            !sessions.is_empty()
        });
    }

    /// Connections that wait.
    pub(crate) fn len(&self) -> usize {
        let sessions: usize = self.sessions.borrow().values().map(Vec::len).sum();
        sessions + self.idle.borrow().values().map(Vec::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
    use super::*;
    use crate::wire::Wire;
    use http_body_util::BodyExt as _;
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    #[tokio::test]
    async fn of_a_request_that_meets_a_connection_just_closed_nothing_is_sent_and_all_comes_back() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (close, closing) = std::sync::mpsc::channel::<()>();
        let origin = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            assert!(stream.read(&mut head).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            closing.recv().unwrap();
        });
        let request = |method: &str| {
            let request = Request::builder().method(method).uri("/").header("host", "site.test");
            request.body(Ask::Empty).unwrap()
        };
        let speaking = async {
            let wire = Wire::Plain(tokio::net::TcpStream::connect(address).await.unwrap());
            let host = Host::parse("site.test").unwrap();
            let site = Site { host, port: address.port(), secure: false, dialled: None };
            let mut upstream = Upstream::http1(&http1::Builder::new(), wire, site).await.unwrap();
            let answer = upstream.send(request("GET")).await.ok().unwrap();
            assert!(answer.into_body().collect().await.is_ok());
            assert!(upstream.ready().await);
            // The kernel is told while this thread is at something else.
            close.send(()).unwrap();
            origin.join().unwrap();
            std::thread::sleep(Duration::from_millis(20));
            assert!(!upstream.is_closed(), "or this test shows nothing");
            upstream.hear().await;
            let Err(unanswered) = upstream.send(request("POST")).await else { panic!("answered") };
            assert!(unanswered.unsent.is_some(), "it was sent");
        };
        tokio::task::LocalSet::new().run_until(speaking).await;
    }
}
