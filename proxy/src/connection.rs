//! One client connection: its requests in turn, then perhaps a tunnel, perhaps what is inside one.

use crate::begun::Begun;
use crate::body::{Incoming, Reply};
use crate::client_io::{self, ClientIo, FAREWELL};
use crate::early;
use crate::exchange::exchange;
use crate::fair::Share;
use crate::http2;
use crate::identify::Remembered;
use crate::inspect::{self, Opening};
use crate::limit::{Ticket, TunnelTicket};
use crate::live::{Live, Seat};
use crate::messages::Messages;
use crate::pins::Pins;
use crate::record::{self, Arrival, Refused};
use crate::tapped::Tapped;
use crate::tunnel::{self, TunnelLimits};
use crate::view::{Ruling, View};
use crate::wire::Wire;
use crate::worker::Worker;
use bytes::Bytes;
use hyper::Request;
use hyper::service::service_fn;
use rules::access::Identity;
use rules::decide::ReasonCode;
use rules::host::Host;
use rules::target::Scheme;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Method and host in the record of a request that could not be read.
const NOT_READ: &str = "-";

/// The answer to a head that did not come whole in its time (RFC 9110, 15.5.9).
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
/// What a connection's exchanges share.
pub(crate) struct Client {
    /// Address, mapped IPv6 as IPv4.
    pub(crate) address: IpAddr,
    /// Its place in the registry.
    pub(crate) seat: Rc<Seat>,
    /// Its share of the worker's time.
    pub(crate) share: Rc<Share>,
    /// Who it was last.
    pub(crate) remembered: Remembered,
    /// Connections to sites that nobody else may use.
    pub(crate) pins: Rc<Pins>,
    /// Interim answers on their way to it.
    pub(crate) early: Arc<early::Queue>,
    /// What of it hyper may hold.
    pub(crate) io: client_io::State,
    /// The tunnel that its requests come from; `None` for a proxy's plain requests.
    pub(crate) inside: Option<Inside>,
    /// Several exchanges at once (HTTP/2).
    pub(crate) multiplexed: bool,
    handover: Cell<Option<Handover>>,
}

/// A tunnel that is looked into.
pub(crate) struct Inside {
    /// Its site; every request inside must be for it.
    pub(crate) host: Host,
    /// Its port.
    pub(crate) port: u16,
    /// Who was proved when it was opened.
    pub(crate) user: Option<Arc<str>>,
    /// The CONNECT was refused, and is only told why.
    pub(crate) explained: bool,
    /// The password's hash when it was opened: with another one the proof is none any more.
    proof: RefCell<Option<Option<Arc<str>>>>,
    who: RefCell<Option<(u64, Rc<Identity>)>>,
}

impl Inside {
    /// The inside of a tunnel to a site.
    pub(crate) fn new(host: Host, port: u16, user: Option<Arc<str>>) -> Self {
        let (proof, who) = (RefCell::default(), RefCell::default());
        Self { host, port, user, explained: false, proof, who }
    }

    /// The same where the CONNECT was refused.
    pub(crate) fn explained(host: Host, port: u16, user: Option<Arc<str>>) -> Self {
        Self { explained: true, ..Self::new(host, port, user) }
    }

    /// Whether the password is the one that it was when this was first asked, at the opening.
    fn is_still_proved(&self, view: &View) -> bool {
        let Some(user) = &self.user else { return true };
        let hash = view.snapshot.users.find(user).and_then(|user| user.phc.clone());
        *self.proof.borrow_mut().get_or_insert_with(|| hash.clone()) == hash
    }

    /// Who asks, under this view; `None` if the user is not known any more.
    pub(crate) fn who(&self, view: &View, client: IpAddr) -> Option<Rc<Identity>> {
        if let Some((generation, who)) = &*self.who.borrow()
            && *generation == view.generation
        {
            return Some(Rc::clone(who));
        }
        if !self.is_still_proved(view) {
            return None;
        }
        let who = Rc::new(view.identify(self.user.as_deref(), client)?);
        self.who.replace(Some((view.generation, Rc::clone(&who))));
        Some(who)
    }
}

/// What becomes of the connection once its last answer is out.
pub(crate) enum Handover {
    /// Bytes both ways.
    Tunnel(Tunnel),
    /// A CONNECT to a port of TLS: what it is shows when the client speaks.
    Opening(Box<Opening>),
}

/// Two ends of a tunnel, but for the client's.
pub(crate) struct Tunnel {
    /// The other end.
    pub(crate) upstream: Wire,
    /// What it sent already.
    pub(crate) from_upstream: Bytes,
    /// The exchange that goes on.
    pub(crate) live: Rc<Live>,
    /// The tunnel's place.
    pub(crate) ticket: TunnelTicket,
    /// Reads what is said in it.
    pub(crate) messages: Option<Box<Messages>>,
}

impl Tunnel {
    /// One whose other end has said nothing yet, and that nobody reads.
    pub(crate) fn new(upstream: Wire, live: Rc<Live>, ticket: TunnelTicket) -> Self {
        Self { upstream, from_upstream: Bytes::new(), live, ticket, messages: None }
    }
}

impl Client {
    /// A connection at a listener.
    fn new(address: IpAddr, seat: Rc<Seat>, share: Rc<Share>) -> Rc<Self> {
        Rc::new(Self {
            address,
            seat,
            share,
            remembered: Remembered::default(),
            pins: Rc::default(),
            early: Arc::default(),
            io: client_io::State::default(),
            inside: None,
            multiplexed: false,
            handover: Cell::new(None),
        })
    }

    /// The same connection's requests inside a tunnel.
    pub(crate) fn inside(&self, inside: Inside, multiplexed: bool) -> Rc<Self> {
        Rc::new(Self {
            address: self.address,
            seat: Rc::clone(&self.seat),
            share: Rc::clone(&self.share),
            remembered: Remembered::default(),
            pins: Rc::default(),
            early: Arc::default(),
            io: client_io::State::default(),
            inside: Some(inside),
            multiplexed,
            handover: Cell::new(None),
        })
    }

    /// After the answer, the connection is a tunnel.
    pub(crate) fn hand_over(&self, handover: Handover) {
        self.handover.set(Some(handover));
    }
}

/// What is left of a connection that stops speaking HTTP.
struct Left {
    wire: Wire,
    read: Bytes,
    handover: Handover,
}

/// Serves one client until either side ends, a limit is reached or the filter stops it.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    stream: TcpStream,
    (address, share): (IpAddr, Rc<Share>),
    ticket: Ticket,
) {
    let seat = worker.registry.seat(address);
    let client = Client::new(address, Rc::clone(&seat), share);
    if let Some(left) = serve_http1(&worker, &client, Wire::Plain(stream)).await {
        // In a box of its size, and not in room for whatever a connection may become.
        let goes_on = Box::pin(go_on(&worker, &client, left));
        unless_stopped(&seat, goes_on).await;
    }
    drop(ticket);
}

/// Serves the requests inside a tunnel, and tunnels what they switch to.
pub(crate) async fn serve_inside(worker: &Rc<Worker>, client: &Rc<Client>, wire: Wire) {
    client.seat.watch_inside();
    if client.multiplexed {
        serve_http2(worker, client, wire).await;
    } else if let Some(Left { wire, read, handover: Handover::Tunnel(tunnel) }) =
        serve_http1(worker, client, wire).await
    {
        let seat = &client.seat;
        let mut running = Box::pin(run_tunnel(worker, wire, read, tunnel));
        std::future::poll_fn(|cx| match seat.alarm.poll_stopped(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => running.as_mut().poll(cx),
        })
        .await;
    }
}

async fn unless_stopped(seat: &Seat, mut future: Pin<Box<impl Future<Output = ()>>>) {
    std::future::poll_fn(|cx| {
        // Whoever serves what is inside has last words of its own to say.
        if !seat.is_watched_inside() && seat.alarm.poll_stopped(cx).is_ready() {
            return Poll::Ready(());
        }
        future.as_mut().poll(cx)
    })
    .await;
}

/// How it went on with a connection of HTTP/1.
enum Spoken {
    /// It is over.
    Over,
    /// It stops speaking HTTP.
    Left(Left),
    /// It rests between two requests; what was read of the next one.
    Rests(Wire, Bytes),
}

/// Serves requests in turn. Between them a connection that rests is taken apart, and put together again
/// when the client speaks: hyper keeps 16 kB for each.
async fn serve_http1(worker: &Rc<Worker>, client: &Rc<Client>, wire: Wire) -> Option<Left> {
    let (mut wire, mut read) = (wire, Bytes::new());
    loop {
        // In a box, which goes while it rests.
        let (resting, first) = match Box::pin(speak_http1(worker, client, wire, read)).await {
            Spoken::Over => return None,
            Spoken::Left(left) => return Some(left),
            Spoken::Rests(wire, read) => (wire, read),
        };
        (wire, read) = match first.is_empty() {
            true => client_io::rest(worker, &client.seat, resting).await?,
            false => (resting, first),
        };
    }
}

async fn speak_http1(worker: &Rc<Worker>, client: &Rc<Client>, wire: Wire, read: Bytes) -> Spoken {
    let seat = &client.seat;
    let io = ClientIo::new(worker, client, (wire, read));
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let (worker, client) = (Rc::clone(worker), Rc::clone(client));
        client.io.asked(&request);
        // In a box of its own: hyper keeps room for it, in use or not, as long as the connection lasts.
        Begun::new(async move {
            let turn = client.seat.begin();
            let request = request.map(Incoming::Http1);
            let answer = exchange(&worker, &client, request, turn).await;
            Ok::<_, Infallible>(answer)
        })
    });
    let mut connection = worker.client_http.serve_connection(io, service);
    let finished = std::future::poll_fn(|cx| {
        if seat.alarm.poll_stopped(cx).is_ready() {
            return Poll::Ready(Finished::Stopped);
        }
        if seat.is_leaving() {
            Pin::new(&mut connection).graceful_shutdown();
        }
        match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(finished) => Poll::Ready(Finished::Itself(finished)),
            Poll::Pending if client.io.may_rest() && seat.take_rest() => {
                Poll::Ready(Finished::Rests)
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    match finished {
        Finished::Itself(Ok(())) => {
            let Some(handover) = client.handover.take() else { return Spoken::Over };
            let (wire, read) = taken_apart(connection);
            return Spoken::Left(Left { wire, read, handover });
        }
        Finished::Rests => {
            let (wire, read) = taken_apart(connection);
            return Spoken::Rests(wire, read);
        }
        Finished::Itself(Err(error)) if error.is_parse() || error.is_parse_too_large() => {
            worker.meters.bad_requests.inc();
            record_unreadable(worker, client, &error);
        }
        Finished::Stopped if seat.was_too_slow() => {
            record_unread(worker, client, (ReasonCode::Limit, 408));
            let (mut wire, _) = taken_apart(connection);
            // A courtesy: who does not read it either is closed all the same.
            let _ = tokio::time::timeout(FAREWELL, wire.write_all(TOO_SLOW)).await;
            let _ = tokio::time::timeout(FAREWELL, wire.shutdown()).await;
        }
        // The client went away, or was made to.
        Finished::Itself(Err(_)) | Finished::Stopped => {}
    }
    Spoken::Over
}

/// Why hyper's part of a connection is over.
enum Finished {
    /// By itself.
    Itself(hyper::Result<()>),
    /// It rests.
    Rests,
    /// The alarm stopped it.
    Stopped,
}

/// The stream, and what was read of it and not used.
fn taken_apart<S>(connection: hyper::server::conn::http1::Connection<ClientIo, S>) -> (Wire, Bytes)
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = Reply, Error = Infallible>,
{
    let parts = connection.into_parts();
    let (wire, not_given) = parts.io.into_parts();
    if not_given.is_empty() {
        // hyper's whole buffer hangs on these, many or none.
        return (wire, Bytes::copy_from_slice(&parts.read_buf));
    }
    (wire, [&*parts.read_buf, &*not_given].concat().into())
}

async fn serve_http2(worker: &Rc<Worker>, client: &Rc<Client>, wire: Wire) {
    let served = http2::serve(worker, client, wire).await;
    if served.is_err_and(|error| is_of_protocol(&error)) {
        worker.meters.bad_requests.inc();
        record_unread(worker, client, (ReasonCode::BadRequest, 0));
    }
}

/// Whether a connection of HTTP/2 ended because the client broke the protocol, or flooded it.
fn is_of_protocol(fault: &h2::Error) -> bool {
    if let Some(error) = fault.get_io() {
        return error.get_ref().is_some_and(|inner| inner.is::<http2::NoBeginning>());
    }
    !fault.is_remote() && fault.reason() != Some(h2::Reason::NO_ERROR)
}

/// Records a request that hyper refused before anybody could look at it: somebody asked for
/// something, and got no more than a status line. A head that never came whole is no request yet.
fn record_unreadable(worker: &Worker, client: &Client, error: &hyper::Error) {
    let (code, status) = if error.is_parse_version_h2() {
        // Nothing that such a client could read.
        (ReasonCode::BadRequest, 0)
    } else if error.is_parse_too_large() {
        // hyper tells the two apart in its words alone.
        let target = error.to_string().contains("URI");
        (ReasonCode::Limit, if target { 414 } else { 431 })
    } else {
        (ReasonCode::BadRequest, 400)
    };
    record_unread(worker, client, (code, status));
}

fn record_unread(worker: &Worker, client: &Client, (code, status): (ReasonCode, u16)) {
    let view = worker.view();
    let who = client.inside.as_ref().and_then(|inside| inside.who(&view, client.address));
    let level = match &who {
        Some(who) => who.level,
        None => view.snapshot.policy.identify(None, client.address).level,
    };
    let inside = client.inside.as_ref();
    let about = Refused {
        user: who.as_ref().and_then(|who| who.user.as_deref()),
        level,
        client: client.address,
        method: NOT_READ,
        scheme: inside.map_or(Scheme::Http, |_| Scheme::Https),
        host: inside.map_or(NOT_READ, |inside| inside.host.as_str()),
        port: inside.map_or(0, |inside| inside.port),
        path: None,
        words: None,
    };
    let arrival = Arrival::now(&worker.journal);
    let ruling = Ruling::block(code);
    let recorded = record::refuse(&worker.journal, (&view, &ruling), &arrival, &about, (status, 0));
    if let Err(error) = recorded {
        tracing::error!(%error, "a request that could not be read could not be recorded");
    }
}

async fn go_on(worker: &Rc<Worker>, client: &Rc<Client>, left: Left) {
    match left {
        Left { wire, read, handover: Handover::Tunnel(tunnel) } => {
            run_tunnel(worker, wire, read, tunnel).await;
        }
        Left { wire: Wire::Plain(stream), read, handover: Handover::Opening(opening) } => {
            inspect::open(worker, client, stream, read, *opening).await;
        }
        // A listener's connection is plain, and no CONNECT is taken inside a tunnel.
        Left { handover: Handover::Opening(_), .. } => {}
    }
}

/// Moves a tunnel's bytes until it ends.
pub(crate) async fn run_tunnel(worker: &Worker, client: Wire, read: Bytes, tunnel: Tunnel) {
    let Tunnel { upstream, from_upstream, live, ticket, messages } = tunnel;
    let limits = TunnelLimits {
        idle_ms: worker.config.limits.tunnel_idle_timeout_ms,
        lifetime_ms: worker.config.limits.tunnel_lifetime_ms,
    };
    let (client, upstream) = Tapped::both(client, upstream, messages);
    tunnel::run(&worker.pump, client, read, upstream, from_upstream, &live, limits).await;
    drop(ticket);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what an async function keeps while it waits.
    fn size<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// A connection is moved when it begins, and there are thousands; a request's part is moved with
    /// each request. What is seldom waited for stands in a box.
    #[test]
    fn what_is_kept_of_each_connection_and_each_request_is_small() {
        let kept = [("connection", size(serve), 1_024), ("request", size(exchange), 5_120)];
        for (what, bytes, most) in kept {
            assert!(bytes <= most, "{what}: {bytes} bytes");
        }
    }
}
