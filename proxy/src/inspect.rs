//! What a CONNECT to a port of TLS turns out to be: the client's first bytes say, and are held
//! against what was asked for. Then either its bytes go both ways unseen, or it is looked into.
//!
//! Looking into it, the client's TLS ends here, under a certificate of the school's own authority
//! with the names of the site's; the requests inside are each decided and recorded, and go out on
//! connections to the site that were verified. A CONNECT that is refused is taken over in the same
//! way, only to show why.

use crate::authority::{LeafFacts, UpstreamCertificate};
use crate::body::Reply;
use crate::connection::{Client, Handover, Inside, Tunnel, run_tunnel, serve_inside};
use crate::exchange::Route;
use crate::hello::{self, ClientHello, Hello};
use crate::limit::TunnelTicket;
use crate::live::{Facts, Live, Turn};
use crate::pool::Site;
use crate::reach;
use crate::record::{self, Arrival, Permit, Refused, now};
use crate::refuse::{Asker, Refuser, Words, overloaded};
use crate::searches::{self, Searched, Sight};
use crate::tunnel;
use crate::upstream_tls::Alpn;
use crate::view::{Ruling, View};
use crate::wire::{Rewound, Wire};
use crate::worker::Worker;
use bytes::{Bytes, BytesMut};
use hyper::{Method, Response};
use ledger::record::End;
use rules::access::Identity;
use rules::decide::{ReasonCode, Verdict};
use rules::host::Host;
use rules::inspect::Inspect;
use rules::level::LevelId;
use rules::target::Scheme;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// The method in the record of a ClientHello that was refused.
const HELLO_METHOD: &str = "TLS";

/// Room for a usual ClientHello, so that one read has all of it: 1.5 to 2 kB with hybrid key exchange.
const HELLO_BYTES: usize = 2_048;

/// Most reads that a ClientHello may come in. Each reads it from its start, and a client that sends
/// it byte by byte must not keep the worker busy.
const MOST_READS: usize = 512;

/// A CONNECT that was answered, before the client has said what it is.
pub(crate) struct Opening {
    host: Host,
    port: u16,
    user: Option<Arc<str>>,
    way: Way,
    ticket: TunnelTicket,
}

enum Way {
    /// Unseen, on this connection to the site.
    Unseen { live: Rc<Live>, upstream: TcpStream },
    /// Looked into; the site's addresses.
    Inside { live: Rc<Live>, addresses: Vec<SocketAddr> },
    /// Refused; the page says why.
    Explained,
}

/// Answers a permitted CONNECT.
pub(crate) async fn connect(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    permit: Permit,
    (route, mode): (Route, Inspect),
    asker: &Asker,
) -> Response<Reply> {
    let live = Rc::clone(permit.live());
    let (host, port, user) = {
        let facts = live.facts();
        (facts.host.clone(), facts.port, facts.user.clone())
    };
    if !worker.config.upstream.tls_ports.contains(port) {
        return tunnel::open(worker, client, permit, route, asker).await;
    }
    let Some(ticket) = worker.admission.tunnel(client.address) else {
        return overloaded(worker, &live, asker);
    };
    let way = match (mode, route) {
        (Inspect::Page, Route::Addresses(addresses)) => {
            Way::Inside { live: Rc::clone(&live), addresses }
        }
        (_, route) => match tunnel::dialled(worker, &live, route, asker).await {
            Ok(upstream) => Way::Unseen { live: Rc::clone(&live), upstream },
            Err(answer) => return *answer,
        },
    };
    live.answer(200);
    client.hand_over(Handover::Opening(Box::new(Opening { host, port, user, way, ticket })));
    Response::new(Reply::Empty)
}

/// How deep a tunnel is looked into; never inside without an authority to do it with, nor on a port that is not
/// one of TLS.
pub(crate) fn mode(worker: &Worker, view: &View, facts: &Facts) -> Inspect {
    if !worker.has_minter() || !worker.config.upstream.tls_ports.contains(facts.port) {
        return Inspect::Name;
    }
    facts.with_access(|access| view.snapshot.inspection(access, now()).mode)
}

/// Takes a refused CONNECT over, so that the person is told why, where the level's devices trust
/// the school's authority. `None` where it gets a plain refusal.
pub(crate) fn explain(
    refuser: &Refuser<'_>,
    view: &View,
    words: Words<'_>,
    (level, who): (LevelId, Option<&Identity>),
    ruling: &Ruling,
) -> Option<Response<Reply>> {
    let Refuser { worker, client, .. } = refuser;
    let (asked, who) = (words.asked?, who?);
    // Refused by a rule of the machine file, not by the policy: nothing inside could open.
    if ruling.reason.is_none() && !searches::is_refusal(ruling.code) {
        return None;
    }
    if client.inside.is_some()
        || asked.scheme != Scheme::Tunnel
        || !worker.config.upstream.tls_ports.contains(asked.port)
        || !worker.has_minter()
        || view.snapshot.policy.level_inspect(level) != Inspect::Page
    {
        return None;
    }
    let access = rules::access::Access {
        who,
        scheme: Scheme::Tunnel,
        host: &asked.host,
        port: asked.port,
        path: None,
        categories: ruling.categories,
    };
    if view.snapshot.inspection(&access, now()).mode == Inspect::Never {
        return None;
    }
    let ticket = worker.admission.tunnel(client.address)?;
    refuser.record(view, words, (level, Some(who)), ruling, (200, 0)).ok()?;
    client.hand_over(Handover::Opening(Box::new(Opening {
        host: asked.host.clone(),
        port: asked.port,
        user: who.user.clone(),
        way: Way::Explained,
        ticket,
    })));
    Some(Response::new(Reply::Empty))
}

/// Goes on once the client has its 200.
pub(crate) async fn open(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    mut stream: TcpStream,
    read: Bytes,
    opening: Opening,
) {
    let Opening { host, port, user, way, ticket } = opening;
    let turn = client.seat.begin();
    client.seat.last_at_most(worker.config.limits.tunnel_lifetime_ms);
    let patience = Duration::from_millis(worker.config.limits.header_read_timeout_ms);
    let server_first = match &way {
        Way::Unseen { upstream, .. } => Some(upstream),
        Way::Inside { .. } | Way::Explained => None,
    };
    let hello = tokio::time::timeout(patience, first_bytes(&mut stream, read, server_first)).await;
    let (first, hello) = match hello {
        Ok(Ok(first)) => first,
        // The client left, or never said anything.
        failed => {
            let end = if failed.is_err() { End::TimedOut } else { End::Aborted };
            match &way {
                Way::Unseen { live, .. } | Way::Inside { live, .. } => live.finish(end),
                Way::Explained => {}
            }
            return;
        }
    };
    let asked = Authority { host: &host, port };
    match way {
        Way::Explained => {
            // For another name, or none behind an address, our certificate is not shown: it may be
            // a site that must never see it.
            if hello.names(&host) {
                let inside = Inside::explained(host, port, user);
                let looking = look_inside(worker, client, (stream, first), None, inside, turn);
                Box::pin(looking).await;
            }
        }
        Way::Unseen { live, upstream } => {
            let dialled = || upstream.peer_addr().into_iter().collect();
            match Box::pin(agree(worker, &live, &hello, asked, dialled, Inspect::Name)).await {
                Ok(agreed) => {
                    let Some(live) = agreed.recorded(worker, live, turn) else { return };
                    let upstream = Wire::Plain(upstream);
                    let tunnel = Tunnel::new(upstream, live, ticket);
                    run_tunnel(worker, Wire::Plain(stream), first, tunnel).await;
                }
                Err(refused) => refuse_hello(worker, &live, &refused),
            }
        }
        Way::Inside { live, addresses } => {
            let dialled = || addresses.clone();
            let agreed = agree(worker, &live, &hello, asked, dialled, Inspect::Page);
            let agreed = Box::pin(agreed).await;
            match agreed {
                Ok(Agreed { host, mode: Inspect::Page, other }) => {
                    if other.is_some() {
                        live.is_also_for(host.clone());
                    }
                    let inside = Inside::new(host, port, user);
                    let live = Some(Rc::clone(&live));
                    let looking = look_inside(worker, client, (stream, first), live, inside, turn);
                    // In a box: tunnels that are not looked into would carry its size about.
                    Box::pin(looking).await;
                    drop(ticket);
                }
                Ok(agreed) => {
                    // Only where both names lead: another address would be another server.
                    let addresses = match &agreed.other {
                        Some(other) => other.common.clone(),
                        None => addresses,
                    };
                    let Some(live) = agreed.recorded(worker, live, turn) else { return };
                    live.goes_unseen();
                    let Ok(upstream) = reach::tcp(worker, client.address, &addresses).await else {
                        return live.finish(End::Upstream);
                    };
                    let upstream = Wire::Plain(upstream);
                    let tunnel = Tunnel::new(upstream, live, ticket);
                    run_tunnel(worker, Wire::Plain(stream), first, tunnel).await;
                }
                Err(refused) => refuse_hello(worker, &live, &refused),
            }
        }
    }
}

/// Reads until it is plain what the client speaks. Where the site speaks first, it is not TLS.
async fn first_bytes(
    stream: &mut TcpStream,
    read: Bytes,
    server: Option<&TcpStream>,
) -> io::Result<(Bytes, Hello)> {
    let mut first = BytesMut::with_capacity(read.len().max(HELLO_BYTES));
    first.extend_from_slice(&read);
    for _ in 0..MOST_READS {
        match hello::read_hello(&first) {
            Hello::Partial => {}
            known => return Ok((first.freeze(), known)),
        }
        let nothing_yet = first.is_empty();
        let server_speaks = async {
            match server {
                Some(server) if nothing_yet => server.readable().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            read = stream.read_buf(&mut first) => if read? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            },
            spoke = server_speaks => {
                spoke?;
                return Ok((first.freeze(), Hello::NotTls));
            }
        }
    }
    Ok((first.freeze(), Hello::Malformed))
}

#[derive(Clone, Copy)]
struct Authority<'a> {
    host: &'a Host,
    port: u16,
}

/// What the CONNECT and the ClientHello say together.
struct Agreed {
    host: Host,
    mode: Inspect,
    /// Where the names differ: the access to the second.
    other: Option<Box<Other>>,
}

/// The access to a site that a ClientHello names and its CONNECT does not.
struct Other {
    facts: Facts,
    ruling: Ruling,
    /// The addresses that both names lead to.
    common: Vec<SocketAddr>,
}

impl Agreed {
    /// The exchange of an unseen tunnel from here on. Under another name than the CONNECT's it has
    /// a record of its own, so that log, limits and later decisions are about the site that it
    /// leads to. `None`: it could not be recorded, and must end.
    fn recorded(self, worker: &Worker, live: Rc<Live>, turn: Turn) -> Option<Rc<Live>> {
        let Some(other) = self.other else { return Some(live) };
        let Other { facts, ruling, .. } = *other;
        let view = worker.view();
        let arrival = Arrival::now(&worker.journal);
        let log = (&worker.journal, &worker.registry);
        let turn = (&mut Some(turn), false);
        let recorded = record::allow(log, (&view, &ruling), &arrival, HELLO_METHOD, facts, turn);
        match recorded {
            Ok(Some(permit)) => {
                live.finish(End::Complete);
                let named = Rc::clone(permit.live());
                named.answer(0);
                Some(named)
            }
            failed => {
                if let Err(error) = failed {
                    tracing::error!(%error, "a tunnel's other name could not be recorded");
                }
                live.finish(End::Aborted);
                None
            }
        }
    }
}

/// Holds the ClientHello against the CONNECT: the same host, or another that is allowed too and
/// answers at the address dialled. The error is the name it came to, and why not.
async fn agree(
    worker: &Rc<Worker>,
    live: &Rc<Live>,
    hello: &Hello,
    asked: Authority<'_>,
    dialled: impl FnOnce() -> Vec<SocketAddr>,
    mode: Inspect,
) -> Result<Agreed, Box<(Host, Ruling)>> {
    let view = worker.view();
    let rules = view.snapshot.policy.tls();
    let refused = |host, code| Box::new((host, Ruling::block(code)));
    let same = |mode| Ok(Agreed { host: asked.host.clone(), mode, other: None });
    let unless = |allowed: bool, code| match allowed {
        // What was to be looked into, because only so it can be kept safe, is not passed on unseen.
        true => match mode == Inspect::Page && !searches::may_go_unseen(&view, &live.facts()) {
            true => Err(refused(asked.host.clone(), ReasonCode::SearchNotInspected)),
            false => same(Inspect::Name),
        },
        false => Err(refused(asked.host.clone(), code)),
    };
    let ClientHello { server_name, encrypted, .. } = match hello {
        Hello::Found(hello) => hello,
        Hello::NotTls => return unless(rules.not_tls == Verdict::Allow, ReasonCode::NotTls),
        // TLS of a kind that a site may read otherwise than this: no setting lets it by.
        Hello::Malformed | Hello::Partial => return unless(false, ReasonCode::NotTls),
    };
    let Some(name) = server_name else {
        // Inside, the requests say what they are for; but behind an address may be a site that must
        // never see our certificate.
        if mode == Inspect::Page && asked.host.address().is_none() {
            return same(mode);
        }
        return unless(rules.no_sni == Verdict::Allow, ReasonCode::NoSni);
    };
    let named = Host::parse(name);
    if named.as_ref().is_ok_and(|named| named == asked.host) {
        return same(mode);
    }
    // Browsers send an empty one of these for practice; one that hides a name is known by the name
    // in the open, which is not the one that was asked for.
    if *encrypted {
        return unless(rules.encrypted_hello == Verdict::Allow, ReasonCode::EncryptedHello);
    }
    let Ok(named) = named else {
        return Err(refused(asked.host.clone(), ReasonCode::SniMismatch));
    };
    // Categories are found by `rule`.
    let mut facts = {
        let facts = live.facts();
        Facts {
            user: facts.user.clone(),
            client: facts.client,
            who: Rc::clone(&facts.who),
            scheme: Scheme::Tunnel,
            host: named.clone(),
            port: asked.port,
            path_and_query: None,
            named: None,
            searched: Searched::of(&Method::CONNECT, &named, None),
            dialled: None,
            visit: rules::visit::Visit::Unknown,
            sight: Sight::default(),
            categories: rules::category::CategorySet::EMPTY,
            generation: view.generation,
        }
    };
    let at = now();
    let mut ruling = view.rule(&mut facts, at);
    let named_mode = self::mode(worker, &view, &facts);
    let is_seen = mode == Inspect::Page && named_mode == Inspect::Page;
    let sight = if is_seen { Sight::Inside } else { Sight::Name };
    searches::keep_safe(&view, &mut facts, &mut ruling, sight, at);
    if ruling.verdict != Verdict::Allow {
        return Err(Box::new((named, ruling)));
    }
    let leads_to = facts.dialled.as_deref().unwrap_or(&named);
    // Before the wait: a site that hangs up meanwhile has no address any more.
    let dialled = dialled();
    let common = Box::pin(worker.resolver.addresses(leads_to, asked.port)).await;
    let mut common = common.unwrap_or_default();
    common.retain(|address| {
        dialled.iter().any(|other| other.ip().to_canonical() == address.ip().to_canonical())
    });
    // What would be looked into under its own name does not slip by under another.
    if common.is_empty() || mode != Inspect::Page && named_mode == Inspect::Page {
        return Err(refused(named, ReasonCode::SniMismatch));
    }
    let other = Some(Box::new(Other { facts, ruling, common }));
    Ok(Agreed { host: named, mode: named_mode, other })
}

/// Records that a tunnel's ClientHello was refused, and ends it: nothing of it went to the site.
fn refuse_hello(worker: &Worker, live: &Live, (named, ruling): &(Host, Ruling)) {
    let view = worker.view();
    {
        let facts = live.facts();
        let about = Refused {
            user: facts.user.as_deref(),
            level: facts.who.level,
            client: facts.client,
            method: HELLO_METHOD,
            scheme: Scheme::Tunnel,
            host: named.as_str(),
            port: facts.port,
            path: None,
            words: None,
        };
        let arrival = Arrival::now(&worker.journal);
        let recorded = record::refuse(&worker.journal, (&view, ruling), &arrival, &about, (0, 0));
        if let Err(error) = recorded {
            tracing::error!(%error, "a refused ClientHello could not be recorded");
        }
    }
    live.finish(End::Cut);
}

impl Hello {
    /// Whether it is a hello for this host by name, or for a name without saying it.
    fn names(&self, host: &Host) -> bool {
        let Hello::Found(hello) = self else { return false };
        match &hello.server_name {
            Some(name) => Host::parse(name).is_ok_and(|named| named == *host),
            None => host.address().is_none(),
        }
    }
}

/// Ends the client's TLS here and serves what is inside.
async fn look_inside(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    (stream, first): (TcpStream, Bytes),
    live: Option<Rc<Live>>,
    inside: Inside,
    turn: Turn,
) {
    let ended = |end| {
        if let Some(live) = &live {
            live.finish(end);
        }
    };
    let Some(minter) = worker.minter() else { return ended(End::Aborted) };
    let view = worker.view();
    let dialled =
        live.as_ref().and_then(|live| searches::redialled(&view, &live.facts(), &inside.host));
    let site = Site { host: inside.host.clone(), port: inside.port, secure: true, dialled };
    // A refused site is not asked for anything.
    let upstream = match &live {
        Some(_) => Box::pin(certificate(worker, client.address, &site)).await,
        None => None,
    };
    let limit = Duration::from_millis(worker.config.limits.header_read_timeout_ms);
    let handshake = async {
        let facts = LeafFacts { host: &inside.host, upstream: upstream.as_deref() };
        let config = minter.server_config(facts).await.map_err(io::Error::other)?;
        TlsAcceptor::from(config).accept(Rewound::new(first, stream)).await
    };
    let tls = match tokio::time::timeout(limit, Box::pin(handshake)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => return ended(end_of(&error)),
        Err(_) => return ended(End::TimedOut),
    };
    if let Some(live) = &live {
        live.looked_into();
        live.last_at_most(worker.config.limits.tunnel_lifetime_ms);
    }
    let multiplexed = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let inner = client.inside(inside, multiplexed);
    drop(turn);
    serve_inside(worker, &inner, Wire::Client(Box::new(tls))).await;
    ended(End::Complete);
}

/// The site's certificate, for the names of ours: known, or asked for now. The connection that
/// asking takes waits for the first request.
async fn certificate(
    worker: &Rc<Worker>,
    client: IpAddr,
    site: &Site,
) -> Option<Rc<UpstreamCertificate>> {
    if let Some(known) = worker.certificates.known(worker, site) {
        return Some(known);
    }
    let addresses = worker.resolver.addresses(site.leads_to(), site.port).await.ok()?;
    let view = worker.view();
    let to = (client, &addresses[..]);
    let reached = reach::secure(worker, &view, site, to, Alpn::Both, now()).await.ok()?;
    let upstream = reach::speak(worker, site.clone(), reached).await.ok()?;
    worker.pool.give_back(upstream);
    worker.certificates.known(worker, site)
}

/// How a CONNECT ended whose client did not finish its handshake: by an alert about our
/// certificate or by hanging up on it, it was rejected.
fn end_of(error: &io::Error) -> End {
    use rustls::AlertDescription as Alert;
    if error.kind() == io::ErrorKind::UnexpectedEof
        || error.kind() == io::ErrorKind::ConnectionReset
    {
        return End::Rejected;
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::AccessDenied,
        )) => End::Rejected,
        _ => End::Aborted,
    }
}
