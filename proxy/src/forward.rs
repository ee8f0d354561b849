//! A permitted request on its way to the site, and the answer on its way back.

use crate::body::{Ask, Forwarded, Gate, Incoming, Progress, Reply};
use crate::codings;
use crate::connection::{Client, Handover, Tunnel};
use crate::early::{self, Early};
use crate::exchange::{
    Route, expects_continue, has_body, is_about_whole_site, is_last_hop, path_and_query,
};
use crate::fair::Payer;
use crate::files::SEC_FETCH_DEST;
use crate::headers;
use crate::http2;
use crate::live::Live;
use crate::messages::Messages;
use crate::pool::{Cause, Site, Unanswered, Upstream};
use crate::ranges;
use crate::reach::{self, Reached, Unreached};
use crate::record::{self, Arrival, Permit};
use crate::refuse::{Asker, SiteFault, overloaded, site_fault, stopped, unreadable_body, written};
use crate::resolve::ResolveError;
use crate::scan::{self, Begun};
use crate::searches::{Changes, strip_restrictions};
use crate::telemetry::UpstreamError;
use crate::typed::Prompting;
use crate::upstream_tls::Alpn;
use crate::view::Ruling;
use crate::websocket;
use crate::wire::Wire;
use crate::worker::Worker;
use hyper::body::Body as _;
use hyper::header::{
    ALLOW, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, MAX_FORWARDS, TE,
    TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use ledger::record::End;
use rules::host::Host;
use rules::target::Scheme;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::sync::oneshot;

/// Methods that this proxy forwards: what `Allow` says.
pub(crate) const ALLOWED_METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT");

/// Why a site gave no answer that can be passed on.
pub(crate) enum Failure {
    /// The exchange was stopped: a limit, or no longer allowed.
    Stopped(End),
    /// The site.
    Site(SiteFault, UpstreamError),
    /// The client: it broke its own request off, or its body cannot be read.
    Client,
    /// The site must not get what the client wrote; that is recorded.
    Written(Box<(Ruling, Arrival)>),
    /// No more tunnels fit, and a request would become one.
    NoTunnel,
}

impl From<Unreached> for Failure {
    fn from(unreached: Unreached) -> Self {
        match unreached {
            Unreached::Down(fault, kind) => Failure::Site(fault, kind),
            // Found before the decision is recorded (see `exchange`); a connection that is dialled
            // again, because the one that waited was closed, can still come to it.
            Unreached::Untrusted(_) => Failure::Site(SiteFault::Broken, UpstreamError::BadAnswer),
        }
    }
}

/// The upstream's connection after a `101 (Switching Protocols)`.
type Switched = hyper::client::conn::http1::Parts<TokioIo<Wire>>;

/// Forwards one request and hands back the answer, streaming.
pub(crate) async fn forward(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    permit: Permit,
    (route, changes): (Route, Option<Box<Changes>>),
    asker: &Asker,
    request: Request<Incoming>,
) -> Response<Reply> {
    let live = Rc::clone(permit.live());
    if is_last_hop(request.method(), request.headers()) {
        return answer_options(&live);
    }
    let dest = request.headers().get(SEC_FETCH_DEST).cloned();
    let switches = request.method() == Method::CONNECT || wants_websocket(&request);
    // Whoever sends a coding may have sent a length too (see `Seat::take_length_seen`).
    let closes =
        !switches && client.inside.is_none() && request.headers().contains_key(TRANSFER_ENCODING);
    let answer = if request.method() == Method::CONNECT {
        Box::pin(websocket::open(worker, client, &live, (route, changes), request)).await
    } else {
        match switches {
            true => Box::pin(upgrade(worker, client, &live, (route, changes), request)).await,
            false => plain(worker, client, &live, (route, changes), request).await,
        }
    };
    let mut answer = match answer {
        // Also where a site did not agree to a WebSocket: what it answers instead is an answer like any.
        Ok(answer) => match scan::begin(worker, &live, asker, answer, dest.as_ref()) {
            Begun::Done(answer) => answer,
            // In a box: what nobody looks into would carry its size about.
            Begun::Held(held) => Box::pin(scan::examine(worker, &live, asker, *held)).await,
        },
        Err(Failure::Stopped(end)) => return stopped(worker, &live, asker, end),
        Err(Failure::Client) => return unreadable_body(worker, &live, asker),
        Err(Failure::Written(refused)) => return written(worker, &live, asker, &refused),
        Err(Failure::NoTunnel) => return overloaded(worker, &live, asker),
        Err(Failure::Site(fault, kind)) => {
            worker.meters.upstream_error(kind);
            return site_fault(worker, &live, asker, fault);
        }
    };
    if closes {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// A request and its answer on a connection that others may use before and, unless it binds the
/// connection to its client, after.
async fn plain(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    live: &Rc<Live>,
    (route, changes): (Route, Option<Box<Changes>>),
    request: Request<Incoming>,
) -> Result<Response<Reply>, Failure> {
    let signs_in = headers::signs_connection_in(request.headers(), &AUTHORIZATION);
    let early = Early::new(client, &request);
    let version = request.version();
    let mut request = prepare(worker, live, request, changes, None, Some(&early));
    codings::ask_for_known_codings(worker, live, request.headers_mut());
    ranges::ask_from_the_beginning(worker, live, request.headers_mut());
    let mut route = Some(route);
    let mut tries = 1;
    loop {
        let mut upstream = connect(worker, live, route.take(), signs_in).await?;
        let is_repeatable = is_repeatable(&request);
        let may_refuse = upstream.is_http2() || (upstream.reused && is_repeatable);
        let head = (may_refuse && tries < MOST_TRIES).then(|| copy_of_head(&request));
        if upstream.is_http2() && head.is_some() {
            request.body_mut().keep(&worker.bodies);
        }
        if upstream.reused && !is_repeatable {
            upstream.hear().await;
        }
        upstream.serves(&client.share);
        if signs_in {
            upstream.pin(&client.pins);
        }
        live.wait_at_most(worker.config.limits.response_header_timeout_ms);
        let progress = request.body().progress().map(Rc::clone);
        let sending = early.relaying(upstream.send(request));
        let answered = live.unless_stopped(sending).await.map_err(|end| {
            if end == End::TimedOut {
                // It may be dead without a word, and others would wait in vain like this one.
                upstream.retire();
            }
            Failure::Stopped(end)
        })?;
        let Some(answered) = answered else {
            return Err(Failure::Site(SiteFault::Broken, UpstreamError::BadAnswer));
        };
        let unanswered = match answered {
            Ok(answer) => {
                return pass_back(worker, client, live, upstream, answer, version);
            }
            Err(unanswered) => unanswered,
        };
        let refused = progress.as_ref().and_then(|body| body.refused.take());
        if let Some((ruling, arrival)) = refused {
            return Err(Failure::Written(Box::new((ruling, arrival))));
        }
        let Unanswered { unsent, body, cause } = unanswered;
        if cause.wants_http1() {
            worker.certificates.learn_http1(worker, upstream.site());
            upstream.retire();
        }
        let may_repeat = cause.is_unprocessed()
            || (is_repeatable && (cause.is_closing() || cause.wants_http1()));
        let again = head.filter(|_| may_repeat).and_then(|head| ask_again(head, body, &early));
        request = match (unsent, again) {
            // Not a byte was sent: the connection had been closed while it waited.
            (Some(unsent), _) if upstream.reused => *unsent,
            // A fresh connection is dialled.
            (None, Some(again)) => {
                tries += 1;
                again
            }
            _ if progress.as_ref().is_some_and(|body| body.broken.get()) => {
                return Err(Failure::Client);
            }
            _ => return Err(broken(&cause)),
        };
    }
}

/// How often a request is sent at most.
const MOST_TRIES: u32 = 2;

/// Whether a request may be asked twice although the site may have looked at it: it changes nothing there and has no
/// body (RFC 9110, 9.2.1 and 9.2.2).
fn is_repeatable(request: &Request<Ask>) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
        && matches!(request.body(), Ask::Empty)
}

/// A second copy of a request, without its body.
fn copy_of_head(request: &Request<Ask>) -> Request<Ask> {
    let mut copy = Request::new(Ask::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// The request once more, with what came back of its body; `None` where that is not there from its beginning any more.
fn ask_again(mut head: Request<Ask>, body: Option<Ask>, early: &Early) -> Option<Request<Ask>> {
    let (body, open) = body.unwrap_or(Ask::Empty).again()?;
    *head.body_mut() = body;
    early::listen(&mut head, Some(early), open);
    Some(head)
}

/// A connection to the site: the one found, or a fresh one.
async fn connect(
    worker: &Rc<Worker>,
    live: &Rc<Live>,
    route: Option<Route>,
    http1_only: bool,
) -> Result<Upstream, Failure> {
    let addresses = match route {
        Some(Route::Pooled(upstream)) => {
            worker.meters.upstream_reused.inc();
            return Ok(upstream);
        }
        Some(Route::Fresh(upstream)) => return Ok(upstream),
        Some(Route::Addresses(addresses)) => addresses,
        Some(Route::Nowhere(error)) => return Err(unresolved(error)),
        Some(Route::Down(fault, kind)) => return Err(Failure::Site(fault, kind)),
        // None of these comes with a plain request.
        Some(Route::Wire(_) | Route::Untrusted(_) | Route::Full) => {
            return Err(Failure::Site(SiteFault::Broken, UpstreamError::BadAnswer));
        }
        None => resolve(worker, live).await?,
    };
    let site = site(live);
    let reaching = async {
        let reached = reach_site(worker, live, &site, &addresses, http1_only).await?;
        Ok(reach::speak(worker, site.clone(), reached).await?)
    };
    // In a box: requests on a connection that is there would carry its size about.
    live.unless_stopped(Box::pin(reaching)).await.map_err(Failure::Stopped)?
}

async fn resolve(worker: &Rc<Worker>, live: &Rc<Live>) -> Result<Vec<SocketAddr>, Failure> {
    let site = site(live);
    let addresses = worker.resolver.addresses(site.leads_to(), site.port);
    live.unless_stopped(addresses).await.map_err(Failure::Stopped)?.map_err(unresolved)
}

async fn reach_site(
    worker: &Rc<Worker>,
    live: &Rc<Live>,
    site: &Site,
    addresses: &[SocketAddr],
    http1_only: bool,
) -> Result<Reached, Failure> {
    let client = live.facts().client;
    let reaching = async {
        if !site.secure {
            let wire = Wire::Plain(reach::tcp(worker, client, addresses).await?);
            return Ok(Reached { wire, http2: false, excused: false });
        }
        let alpn = if http1_only { Alpn::Http1 } else { Alpn::Both };
        let to = (client, addresses);
        reach::secure(worker, &worker.view(), site, to, alpn, record::now()).await
    };
    let reached: Result<Reached, Unreached> =
        live.unless_stopped(reaching).await.map_err(Failure::Stopped)?;
    Ok(reached?)
}

fn site(live: &Live) -> Site {
    let facts = live.facts();
    let (host, dialled) = (facts.host.clone(), facts.dialled.clone());
    Site { host, port: facts.port, secure: facts.scheme == Scheme::Https, dialled }
}

fn unresolved(error: ResolveError) -> Failure {
    Failure::Site(fault_of(error), UpstreamError::Dns)
}

/// What is told of a name without an address, once the access is recorded as allowed.
pub(crate) fn fault_of(error: ResolveError) -> SiteFault {
    match error {
        ResolveError::NoSuchHost => SiteFault::NoSuchHost,
        ResolveError::TimedOut => SiteFault::Slow,
        // Private: the connection had waited and turned out closed, and the name has come to lead
        // inside since. Nothing is dialled, and the page says what the record says, that the site
        // was not reached; the next request is decided on the new addresses.
        ResolveError::Failed | ResolveError::Private => SiteFault::Unresolved,
    }
}

fn broken(cause: &Cause) -> Failure {
    let kind = if cause.is_unreadable() { UpstreamError::BadAnswer } else { UpstreamError::Closed };
    Failure::Site(SiteFault::Broken, kind)
}

/// The request as it leaves: origin form, this hop's fields gone, ours added.
pub(crate) fn prepare(
    worker: &Rc<Worker>,
    live: &Rc<Live>,
    request: Request<Incoming>,
    changes: Option<Box<Changes>>,
    upgrade: Option<&HeaderValue>,
    early: Option<&Early>,
) -> Request<Ask> {
    let body = has_body(&request);
    let (mut parts, incoming) = request.into_parts();
    let chunked = parts.headers.contains_key(TRANSFER_ENCODING);
    let trailers = headers::has_token(&parts.headers, &TE, "trailers");
    let gated = body && expects_continue(&parts.headers);
    let received = std::mem::replace(&mut parts.version, Version::HTTP_11);
    headers::strip_hop_by_hop(&mut parts.headers);
    headers::strip_private(&mut parts.headers);
    strip_restrictions(&mut parts.headers);
    http2::join_cookies(&mut parts.headers);
    rewrite_host(&mut parts.headers, live);
    parts.uri = match is_about_whole_site(&parts.method, &parts.uri) {
        true => Uri::from_static("*"),
        false => Uri::from(path_and_query(&parts.uri)),
    };
    if let Some(changes) = changes {
        changes.make(&mut parts.uri, &mut parts.headers);
    }
    worker.via.add_to_request(&mut parts.headers, received, live.facts().scheme);
    // Without either, a body that came over HTTP/2 would be none to a site of HTTP/1.1.
    if body && (chunked || !parts.headers.contains_key(CONTENT_LENGTH)) {
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if let Some(protocol) = upgrade {
        parts.headers.insert(UPGRADE, protocol.clone());
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    } else if trailers {
        parts.headers.insert(TE, HeaderValue::from_static("trailers"));
        parts.headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if parts.method == Method::OPTIONS {
        count_forward(&mut parts.headers);
    }
    parts.extensions.clear();
    let prompting = if body { Prompting::of(worker, live, &parts.headers) } else { None };
    let mut request = Request::from_parts(parts, Ask::Empty);
    // hyper tells a client of HTTP/1.1 to go on once its body is asked for.
    let told = early.filter(|_| received == Version::HTTP_2).cloned();
    let (open, gate) = gated.then(|| Gate::new(told)).unzip();
    early::listen(&mut request, early, open);
    if body {
        *request.body_mut() = Ask::Forwarded {
            incoming,
            live: Rc::clone(live),
            idle_ms: worker.config.limits.response_header_timeout_ms,
            progress: Rc::new(Progress { held: Cell::new(gated), ..Progress::default() }),
            gate,
            prompting,
            kept: None,
        };
    }
    request
}

/// `Host` is the host that was decided about, whatever the client's field (RFC 9112, 3.2.2) or the
/// spelling of its URL said: a site must not be found by another name than the filter's.
fn rewrite_host(headers: &mut HeaderMap, live: &Live) {
    let facts = live.facts();
    // What browsers send, so that the usual request costs nothing.
    let usual_port = usual_port(facts.scheme);
    let same = |given: &HeaderValue| facts.port == usual_port && given == facts.host.as_str();
    if headers.get(HOST).is_some_and(same) {
        return;
    }
    match HeaderValue::try_from(host_field(&facts.host, facts.port, usual_port)) {
        Ok(field) => headers.insert(HOST, field),
        // A canonical host is plain ASCII; if it were not, no name is better than a wrong one.
        Err(_) => headers.remove(HOST),
    };
}

/// The port that `Host` leaves out.
fn usual_port(scheme: Scheme) -> u16 {
    if scheme == Scheme::Https { 443 } else { 80 }
}

fn host_field(host: &Host, port: u16, usual_port: u16) -> String {
    let is_v6 = host.address().is_some_and(|address| address.is_ipv6());
    let (open, close) = if is_v6 { ("[", "]") } else { ("", "") };
    match port {
        port if port == usual_port => format!("{open}{host}{close}"),
        port => format!("{open}{host}{close}:{port}"),
    }
}

fn count_forward(headers: &mut HeaderMap) {
    if let Some(left) = headers::max_forwards(headers) {
        headers.insert(MAX_FORWARDS, HeaderValue::from(left.saturating_sub(1)));
    }
}

/// The answer as the client gets it, or why it must not get it.
pub(crate) fn pass_back(
    worker: &Rc<Worker>,
    client: &Client,
    live: &Rc<Live>,
    mut upstream: Upstream,
    answer: Response<Incoming>,
    to: Version,
) -> Result<Response<Reply>, Failure> {
    let status = answer.status();
    // Nobody asked to switch, and a challenge of a proxy would have the client send the school's
    // password to a site.
    if status == StatusCode::SWITCHING_PROTOCOLS
        || status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
    {
        return Err(Failure::Site(SiteFault::Broken, UpstreamError::BadAnswer));
    }
    let (mut parts, mut incoming) = answer.into_parts();
    let is_204 = status == StatusCode::NO_CONTENT;
    if is_204 {
        // It says nothing there, and some clients wait for as much (RFC 9110, 8.6).
        parts.headers.remove(CONTENT_LENGTH);
    }
    if (is_204 || status == StatusCode::NOT_MODIFIED) && !incoming.is_end_stream() {
        // What comes in frames all the same is no content of it (RFC 9110, 6.4.1).
        incoming = Incoming::Empty;
    }
    // Without a coding that nobody asked for and this proxy cannot undo, the bytes would mean
    // something else (RFC 9112, 6.1).
    if headers::has_other_coding(&parts.headers) {
        return Err(Failure::Site(SiteFault::Broken, UpstreamError::BadAnswer));
    }
    if parts.headers.contains_key(TRANSFER_ENCODING)
        && parts.headers.remove(CONTENT_LENGTH).is_some()
    {
        // The coding counts (RFC 9112, 6.3), but whoever sends both is not to be read on.
        upstream.retire();
    }
    let to = if to == Version::HTTP_2 { Version::HTTP_2 } else { Version::HTTP_11 };
    let received = std::mem::replace(&mut parts.version, to);
    clean_answer(worker, &mut parts.headers, received);
    if headers::signs_connection_in(&parts.headers, &WWW_AUTHENTICATE) {
        upstream.pin(&client.pins);
        if client.inside.is_none() {
            // Clients try these schemes through a proxy only where it says so (RFC 4559, 6).
            parts.headers.insert(headers::PROXY_SUPPORT, headers::SESSION_BASED);
            parts.headers.insert(CONNECTION, HeaderValue::from_static("proxy-support"));
        }
    }
    parts.extensions.remove::<hyper::ext::ReasonPhrase>();
    live.answer(status.as_u16());
    let idle_ms = worker.config.limits.body_idle_timeout_ms;
    let body = Forwarded::new(incoming, Rc::clone(live), upstream, &worker.pool, idle_ms);
    Ok(Response::from_parts(parts, Reply::Forwarded(body)))
}

pub(crate) fn clean_answer(worker: &Worker, headers: &mut HeaderMap, received: Version) {
    headers::strip_hop_by_hop(headers);
    headers::strip_challenge(headers);
    worker.via.add(headers, received);
}

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether a request asks for a WebSocket: the one protocol that is switched to. Behind any other,
/// another HTTP or TLS among them, would be requests that nobody decides about. HTTP/1.0 knows no
/// upgrades (RFC 9110, 7.8).
pub(crate) fn wants_websocket(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_11
        && request.headers().contains_key(UPGRADE)
        && headers::asked_upgrade(request.headers()).is_some()
}

/// A request for a WebSocket: on a connection of its own, tunnelled only if the site agrees.
async fn upgrade(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    live: &Rc<Live>,
    (route, changes): (Route, Option<Box<Changes>>),
    request: Request<Incoming>,
) -> Result<Response<Reply>, Failure> {
    // As for a CONNECT, before the site is asked: one that agreed would have opened it for nobody.
    let ticket = worker.admission.tunnel(client.address).ok_or(Failure::NoTunnel)?;
    let version = request.version();
    let mut request = prepare(worker, live, request, changes, Some(&WEBSOCKET), None);
    let messages = Messages::of(worker, live, request.headers_mut());
    let Switching { upstream, answer, switched } =
        ask_to_switch((worker, client), live, route, request).await?;
    let agreed = answer.status() == StatusCode::SWITCHING_PROTOCOLS
        && headers::has_token(answer.headers(), &UPGRADE, "websocket");
    if !agreed {
        return pass_back(worker, client, live, upstream, answer, version);
    }
    let switched = live.unless_stopped(switched).await.map_err(Failure::Stopped)?;
    let Ok(parts) = switched else {
        return Err(Failure::Site(SiteFault::Broken, UpstreamError::Closed));
    };
    let (mut head, _) = answer.into_parts();
    clean_answer(worker, &mut head.headers, std::mem::replace(&mut head.version, Version::HTTP_11));
    head.headers.insert(UPGRADE, WEBSOCKET);
    head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    live.answer(StatusCode::SWITCHING_PROTOCOLS.as_u16());
    client.hand_over(Handover::Tunnel(Tunnel {
        upstream: parts.io.into_inner(),
        from_upstream: parts.read_buf,
        live: Rc::clone(live),
        ticket,
        messages,
    }));
    Ok(Response::from_parts(head, Reply::Empty))
}

/// A site's answer to a request to switch protocols, and its connection should it have agreed.
pub(crate) struct Switching {
    pub(crate) upstream: Upstream,
    pub(crate) answer: Response<Incoming>,
    pub(crate) switched: oneshot::Receiver<Switched>,
}

/// Sends a request that asks to leave HTTP, on a connection of its own.
pub(crate) async fn ask_to_switch(
    (worker, client): (&Rc<Worker>, &Client),
    live: &Rc<Live>,
    route: Route,
    request: Request<Ask>,
) -> Result<Switching, Failure> {
    let site = site(live);
    let reached = match route {
        Route::Wire(reached) => reached,
        Route::Addresses(addresses) => reach_site(worker, live, &site, &addresses, true).await?,
        Route::Nowhere(error) => return Err(unresolved(error)),
        Route::Down(fault, kind) => return Err(Failure::Site(fault, kind)),
        Route::Pooled(_) | Route::Fresh(_) | Route::Untrusted(_) | Route::Full => {
            let addresses = resolve(worker, live).await?;
            reach_site(worker, live, &site, &addresses, true).await?
        }
    };
    let (sender, connection) = worker
        .upstream_http
        .handshake(TokioIo::new(reached.wire))
        .await
        .map_err(|error| broken(&Cause::Http1(error)))?;
    let (switch, switched) = oneshot::channel::<Switched>();
    let payer = Rc::new(Payer::default());
    let driver = tokio::task::spawn_local(Rc::clone(&payer).of(async move {
        if let Ok(parts) = connection.without_shutdown().await {
            // Nobody waits when the answer was no 101: the stream closes with the parts.
            let _ = switch.send(parts);
        }
    }));
    let mut upstream = Upstream::new(sender, (driver.abort_handle(), payer), site);
    upstream.retire();
    upstream.serves(&client.share);
    live.wait_at_most(worker.config.limits.response_header_timeout_ms);
    let sending = upstream.send(request);
    match live.unless_stopped(sending).await.map_err(Failure::Stopped)? {
        Ok(answer) => Ok(Switching { upstream, answer, switched }),
        Err(unanswered) => Err(broken(&unanswered.cause)),
    }
}

/// The proxy's own answer to OPTIONS with no hops left.
fn answer_options(live: &Live) -> Response<Reply> {
    let mut answer = Response::new(Reply::Empty);
    answer.headers_mut().insert(ALLOW, ALLOWED_METHODS);
    live.answer(StatusCode::OK.as_u16());
    live.finish(End::Complete);
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a malformed fixture is a failed test")]
    use super::*;

    #[test]
    fn the_host_field_is_canonical_and_names_every_port_but_80() {
        for (host, port, expected) in [
            ("WWW.Example.ORG.", 80, "www.example.org"),
            ("www.example.org", 8080, "www.example.org:8080"),
            ("0x7f.1", 80, "127.0.0.1"),
            ("[2001:DB8:0::1]", 80, "[2001:db8::1]"),
            ("[2001:db8::1]", 443, "[2001:db8::1]:443"),
        ] {
            assert_eq!(host_field(&Host::parse(host).unwrap(), port, 80), expected);
        }
    }
}
