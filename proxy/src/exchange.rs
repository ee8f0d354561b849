//! One request's life: read, identified, decided, recorded, then forwarded or refused.
//!
//! The stages meet only here. Whatever happens, the client gets one answer and the log one record.

use crate::body::{Incoming, Reply};
use crate::connection::{Client, Inside};
use crate::headers::{
    HeadFields, has_other_coding, has_token, host_is_valid, max_forwards, signs_connection_in,
};
use crate::identify::{Who, identify};
use crate::live::{Facts, Turn};
use crate::pool::{Site, Upstream};
use crate::reach::{self, Reached, Unreached};
use crate::record::{self, Arrival, Permit, unless_left};
use crate::refuse::{Asker, Refusal, Refuser, SiteFault, Words};
use crate::resolve::ResolveError;
use crate::searches::{Changes, Searched, Sight};
use crate::telemetry::UpstreamError;
use crate::upstream_tls::Alpn;
use crate::view::{Ruling, View};
use crate::worker::Worker;
use crate::{address_words, forward, inspect, searches, typed, websocket};
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING, VIA,
};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, Request, Response, Uri, Version};
use rules::access::Identity;
use rules::circumvent::Head;
use rules::decide::{ReasonCode, Verdict};
use rules::host::Host;
use rules::inspect::Inspect;
use rules::level::LevelId;
use rules::target::{Scheme, Target, parse_absolute, parse_connect, parse_inside};
use rules::visit::Visit;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// How much of a refused request's body is read, in bytes: a form or a photograph.
const REFUSED_BODY_BYTES: usize = 1 << 20;
/// How long a refused request's body is waited for.
const REFUSED_BODY_WAIT: Duration = Duration::from_secs(2);

/// How long a request waits for another's new connection to the same site, which may be one for both: the
/// other may itself have to wait, for the site or because its client takes much of the worker's time.
const OTHERS_DIAL: Duration = Duration::from_millis(500);

/// What a request asks for, once it could be read.
pub(crate) struct Asked {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) path_and_query: Option<PathAndQuery>,
    /// What it searches for, where its host searches.
    pub(crate) searched: Option<Rc<Searched>>,
}

/// How the site will be reached.
pub(crate) enum Route {
    /// On a connection that waits.
    Pooled(Upstream),
    /// On one that was secured for it.
    Fresh(Upstream),
    /// On one that was secured for it, and will switch to another protocol.
    Wire(Reached),
    /// By dialling one of these.
    Addresses(Vec<SocketAddr>),
    /// Not at all: the name has no address.
    Nowhere(ResolveError),
    /// Not at all: the site does not answer.
    Down(SiteFault, UpstreamError),
    /// Not at all: the site cannot be trusted to be what was asked for.
    Untrusted(ReasonCode),
    /// Not at all: too many of the client's, or of all for this site, wait for a connection.
    Full,
}

/// A request that may go upstream, and how.
struct Admitted {
    permit: Permit,
    route: Route,
    /// Of a CONNECT: how far it is looked into.
    mode: Option<Inspect>,
    /// What is changed in it on its way.
    changes: Option<Box<Changes>>,
}

/// Why a request goes no further.
enum NotAdmitted {
    /// It is refused.
    Away(Box<TurnedAway>),
    /// Policy, lists or people changed while its sign-in or its name was looked up.
    Stale,
}

/// Why a request is refused, and what is known of it by then.
struct TurnedAway {
    asked: Option<Asked>,
    level: Option<LevelId>,
    who: Option<Rc<Identity>>,
    refusal: Refusal,
}

/// Answers one request.
pub(crate) async fn exchange(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    request: Request<Incoming>,
    turn: Turn,
) -> Response<Reply> {
    let mut turn = Some(turn);
    let mut arrival = Arrival::now(&worker.journal);
    arrival.visit = worker.visits.of(client, &request, arrival.at);
    let asker = Asker::of(&request);
    let mut view = worker.view();
    let refuser = Refuser { worker, client, arrival: &arrival, asker: &asker };
    let admitted = loop {
        match admit(&refuser, &view, &request, &mut turn).await {
            Ok(admitted) => break Ok(admitted),
            Err(NotAdmitted::Away(turned)) => break Err(turned),
            // What the school decided meanwhile holds. Changes come at most five times a second,
            // and a second look finds the sign-in and the name remembered.
            Err(NotAdmitted::Stale) => view = worker.view(),
        }
    };
    let version = request.version();
    let mut answer = match admitted {
        Ok(Admitted { permit, route, mode: Some(mode), .. }) => {
            let answer = inspect::connect(worker, client, permit, (route, mode), &asker).await;
            worker.meters.answer_seconds.observe(arrival.started.elapsed().as_secs_f64());
            answer
        }
        Ok(Admitted { permit, route, changes, .. }) => {
            let way = (route, changes);
            let answer = forward::forward(worker, client, permit, way, &asker, request).await;
            worker.meters.answer_seconds.observe(arrival.started.elapsed().as_secs_f64());
            answer
        }
        Err(turned) => {
            let words = words(&request, turned.asked.as_ref());
            let who = turned.level.map(|level| (level, turned.who.as_deref()));
            if let (Some(who), Refusal::Policy(ruling)) = (who, &turned.refusal)
                && let Some(answer) = inspect::explain(&refuser, &view, words, who, ruling)
            {
                return answer;
            }
            let answer = refuser.refuse(&view, words, who, turned.refusal);
            pass_over_body(request).await;
            answer
        }
    };
    if version == Version::HTTP_10 {
        // A proxy keeps no connection with such a client, whatever it asks (RFC 9112, C.2.2).
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Reads past the body of a request that was refused, within bounds. Browsers send all of a form
/// before they read; on a connection that is closed meanwhile they show an error, not the page.
async fn pass_over_body(request: Request<Incoming>) {
    // To ask for a body is to send "100 Continue", which a refused client must not see. What follows
    // a CONNECT is none.
    let is_connect = request.method() == Method::CONNECT;
    if is_connect || !has_body(&request) || expects_continue(request.headers()) {
        return;
    }
    let mut body = request.into_body();
    let mut left = REFUSED_BODY_BYTES;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len()));
            if left == 0 {
                return;
            }
        }
    };
    // What has not come by then is not waited for; the connection is closed instead.
    let _late = tokio::time::timeout(REFUSED_BODY_WAIT, reading).await;
}

/// Reads, identifies, decides and records; what comes of it is leave to go upstream, and the way.
async fn admit(
    refuser: &Refuser<'_>,
    view: &View,
    request: &Request<Incoming>,
    turn: &mut Option<Turn>,
) -> Result<Admitted, NotAdmitted> {
    let Refuser { worker, client, arrival, .. } = *refuser;
    let away = |asked, level, who, refusal| {
        NotAdmitted::Away(Box::new(TurnedAway { asked, level, who, refusal }))
    };
    let mut asked = read(request, client, worker)
        .map_err(|unread| away(unread.asked, None, None, Refusal::Code(unread.code)))?;
    if asked.searched.is_none() {
        let (policy, path) = (&view.snapshot.policy, asked.path_and_query.as_ref());
        asked.searched = Searched::by_policy(policy, request.method(), &asked.host, path);
    }
    let who = match identified(refuser, view, request, &asked).await {
        Ok(who) => who,
        Err((level, refusal)) => return Err(away(Some(asked), Some(level), None, refusal)),
    };
    let turned =
        |asked, refusal| away(Some(asked), Some(who.level), Some(Rc::clone(&who)), refusal);
    let mut facts = facts(&asked, &who, client, view);
    let fields = HeadFields(request.headers());
    let mut ruling = view.rule_with(&mut facts, Some(seen_head(request, &fields)), arrival.at);
    let is_tunnel = asked.scheme == Scheme::Tunnel && ruling.verdict == Verdict::Allow;
    let mode = is_tunnel.then(|| inspect::mode(worker, view, &facts));
    let mut passes_unread = false;
    if facts.searched.is_some() {
        let sight = sight(refuser, view, &facts, mode);
        searches::keep_safe(view, &mut facts, &mut ruling, sight, arrival.at);
        let left = |ruling: &Ruling| {
            let who = (who.level, Some(&*who));
            refuser.abandon(view, words(request, Some(&asked)), who, ruling);
        };
        let judging = typed::judge(worker, view, &facts, request.headers(), &mut ruling, left);
        // In a box: most requests search for nothing.
        passes_unread = Box::pin(judging).await;
    }
    address_words::judge(worker, view, &facts, request.headers(), &mut ruling);
    let changes = match ruling.verdict {
        Verdict::Allow => searches::changes(view, &facts, request.headers()),
        Verdict::Block => Ok(None),
    };
    let changes = match changes {
        Ok(changes) => changes,
        Err(code) => return Err(turned(asked, Refusal::Code(code))),
    };
    if let Some(code) = beyond_client(refuser, view, &facts, &ruling) {
        return Err(turned(asked, Refusal::Code(code)));
    }
    let way = (&asked, facts.dialled.as_ref());
    let Some(route) = route(refuser, view, request, way, &who, &mut ruling).await else {
        return Err(turned(asked, Refusal::Policy(ruling)));
    };
    if worker.view().generation != view.generation {
        if let Route::Fresh(upstream) = route {
            worker.pool.give_back(upstream);
        }
        return Err(NotAdmitted::Stale);
    }
    // Only now, as what is stale is judged again.
    if passes_unread
        && ruling.verdict == Verdict::Allow
        && typed::record_unread(worker, &facts).is_err()
    {
        return Err(turned(asked, Refusal::Code(ReasonCode::LogUnavailable)));
    }
    let log = (&worker.journal, &worker.registry);
    let method = request.method().as_str();
    let alone = client.multiplexed;
    match record::allow(log, (view, &ruling), arrival, method, facts, (turn, alone)) {
        Ok(Some(permit)) => Ok(Admitted { permit, route, mode, changes }),
        Ok(None) => Err(turned(asked, Refusal::Policy(ruling))),
        Err(error) => {
            // One line for each request would only fill the disk further; `log_watch` raises the alarm.
            tracing::debug!(%error, "a decision could not be recorded; the request was refused");
            Err(turned(asked, Refusal::Code(ReasonCode::LogUnavailable)))
        }
    }
}

/// Who asks, or why that is not known: with the level of the record.
async fn identified(
    refuser: &Refuser<'_>,
    view: &View,
    request: &Request<Incoming>,
    asked: &Asked,
) -> Result<Rc<Identity>, (LevelId, Refusal)> {
    let Refuser { worker, client, arrival, .. } = *refuser;
    if let Some(inside) = &client.inside {
        return inside.who(view, client.address).ok_or_else(|| {
            let level = view.snapshot.policy.identify(None, client.address).level;
            (level, Refusal::Code(ReasonCode::SignIn))
        });
    }
    let who = identify(
        request.headers(),
        client.address,
        view,
        &worker.verifier,
        &client.remembered,
        &worker.meters,
        arrival.started,
    );
    let left = || {
        let level = view.snapshot.policy.identify(None, client.address).level;
        let ruling = Ruling::block(ReasonCode::SignIn);
        refuser.abandon(view, words(request, Some(asked)), (level, None), &ruling);
    };
    match unless_left(who, left).await {
        Who::Known(who) => Ok(who),
        Who::Challenge { level, why } => Err((level, Refusal::SignIn(why))),
        Who::Busy { level } => Err((level, Refusal::Code(ReasonCode::Limit))),
    }
}

/// Most exchanges that one client may have open on connections that carry several at once, on one
/// worker: a browser needs a few dozen.
const MOST_STREAMS_PER_CLIENT: usize = 1_024;

/// How much of a request is seen. One inside a tunnel whose CONNECT was refused, and that is not to be looked
/// into, is judged as its tunnel was, so that the page says why.
fn sight(refuser: &Refuser<'_>, view: &View, facts: &Facts, mode: Option<Inspect>) -> Sight {
    let is_only_told = refuser.client.inside.as_ref().is_some_and(|inside| inside.explained);
    match mode {
        Some(Inspect::Page) => Sight::Inside,
        Some(_) => Sight::Name,
        None if is_only_told && host_mode(refuser, view, facts) != Inspect::Page => Sight::Name,
        None => Sight::Request,
    }
}

/// How far a host is looked into, whatever the path.
fn host_mode(refuser: &Refuser<'_>, view: &View, facts: &Facts) -> Inspect {
    let categories = view.snapshot.categories(&facts.host, None);
    facts.with_access(|access| {
        let access = rules::access::Access { categories, path: None, ..*access };
        view.snapshot.inspection(&access, refuser.arrival.at).mode
    })
}

/// What an allowed request inside a tunnel is refused for all the same.
fn beyond_client(
    refuser: &Refuser<'_>,
    view: &View,
    facts: &Facts,
    ruling: &Ruling,
) -> Option<ReasonCode> {
    let Refuser { worker, client, .. } = *refuser;
    let inside = client.inside.as_ref()?;
    if ruling.verdict != Verdict::Allow {
        return None;
    }
    if client.multiplexed && worker.registry.open_streams(client.address) >= MOST_STREAMS_PER_CLIENT
    {
        worker.meters.refused_streams.inc();
        return Some(ReasonCode::Limit);
    }
    // The CONNECT was refused when it came. What is allowed by now, but not to be looked into, gets
    // a connection that is not.
    (inside.explained && host_mode(refuser, view, facts) != Inspect::Page)
        .then_some(ReasonCode::Misdirected)
}

/// The way to an allowed site; `None` where the ruling is, or becomes, a block.
async fn route(
    refuser: &Refuser<'_>,
    view: &View,
    request: &Request<Incoming>,
    (asked, dialled): (&Asked, Option<&Rc<Host>>),
    who: &Rc<Identity>,
    ruling: &mut Ruling,
) -> Option<Route> {
    if ruling.verdict != Verdict::Allow {
        return None;
    }
    let blocked =
        |ruling: &Ruling, code| Ruling { categories: ruling.categories, ..Ruling::block(code) };
    if let Some(code) = beyond_policy(asked, refuser.worker) {
        *ruling = blocked(ruling, code);
        return None;
    }
    let left = || {
        refuser.abandon(view, words(request, Some(asked)), (who.level, Some(who)), ruling);
    };
    let found = unless_left(find_route(refuser, view, request, (asked, dialled)), left).await;
    match found {
        Route::Nowhere(ResolveError::Private) => {
            *ruling = blocked(ruling, ReasonCode::PrivateAddress);
            None
        }
        Route::Untrusted(code) => {
            *ruling = blocked(ruling, code);
            None
        }
        Route::Full => {
            *ruling = blocked(ruling, ReasonCode::Limit);
            None
        }
        found => Some(found),
    }
}

/// What of a request's head tells ways round the filter.
fn seen_head<'r>(request: &'r Request<Incoming>, fields: &'r HeadFields<'r>) -> Head<'r> {
    let websocket = websocket::is_asked(request) || forward::wants_websocket(request);
    Head { method: request.method().as_str(), websocket, fields }
}

fn facts(asked: &Asked, who: &Rc<Identity>, client: &Client, view: &View) -> Facts {
    Facts {
        user: who.user.clone(),
        client: client.address,
        who: Rc::clone(who),
        scheme: asked.scheme,
        host: asked.host.clone(),
        port: asked.port,
        path_and_query: asked.path_and_query.clone(),
        named: None,
        searched: asked.searched.clone(),
        dialled: None,
        sight: Sight::default(),
        visit: Visit::Unknown,
        categories: rules::category::CategorySet::EMPTY,
        generation: view.generation,
    }
}

/// Method, scheme, host, port and path for the record and the page, as far as they could be read.
fn words<'a>(request: &'a Request<Incoming>, asked: Option<&'a Asked>) -> Words<'a> {
    Words { method: request.method(), uri: request.uri(), asked }
}

/// Why a request cannot be read, or not here, and what of it could be.
struct Unread {
    code: ReasonCode,
    asked: Option<Asked>,
}

impl From<ReasonCode> for Unread {
    fn from(code: ReasonCode) -> Self {
        Self { code, asked: None }
    }
}

/// Reads what a request asks for. The error is the reason of a 400 or 403.
fn read(request: &Request<Incoming>, client: &Client, worker: &Worker) -> Result<Asked, Unread> {
    let headers = request.headers();
    check_framing(request, client.seat.take_length_seen())?;
    if headers.contains_key(VIA) && worker.via.is_in(headers) {
        return Err(ReasonCode::Loop.into());
    }
    if request.method() == Method::TRACE {
        return Err(ReasonCode::Unsupported.into());
    }
    let uri = request.uri();
    let target = match &client.inside {
        Some(inside) => read_inside(request, inside)?,
        None if request.method() == Method::CONNECT => {
            // Host and port, and nothing else (RFC 9112, 3.2.3).
            if uri.scheme().is_some() || uri.path_and_query().is_some() {
                return Err(ReasonCode::BadRequest.into());
            }
            parse_connect(uri.authority().map_or("", |authority| authority.as_str()))
                .map_err(|_| ReasonCode::BadRequest)?
        }
        None => {
            let authority = uri.authority().map(|authority| authority.as_str());
            if !headers.get(HOST).is_none_or(host_is_valid) {
                return Err(ReasonCode::BadRequest.into());
            }
            parse_absolute(uri.scheme_str(), authority).map_err(|_| ReasonCode::BadRequest)?
        }
    };
    let Target { scheme, host, port } = target;
    let path_and_query = match scheme {
        Scheme::Tunnel => None,
        _ => Some(path_and_query(uri)),
    };
    let searched = Searched::of(request.method(), &host, path_and_query.as_ref());
    Ok(Asked { scheme, host, port, path_and_query, searched })
}

/// Path and query; `/` where the URL has none (RFC 9112, 3.2.1), or is about the whole site. `http`
/// takes an empty path before a fragment for one that is there, and prints nothing for it.
pub(crate) fn path_and_query(uri: &Uri) -> PathAndQuery {
    match uri.path_and_query() {
        Some(path) if path.query().is_some() || !matches!(path.path(), "/" | "*") => path.clone(),
        _ => PathAndQuery::from_static("/"),
    }
}

/// Whether OPTIONS asks about a site as a whole, by `*` (RFC 9112, 3.2.4; RFC 9113, 8.3.1). A proxy is
/// asked so by a URL that ends with its host, which `http` cannot tell from one with a slash behind it.
pub(crate) fn is_about_whole_site(method: &Method, uri: &Uri) -> bool {
    *method == Method::OPTIONS && uri.path() == "*"
}

/// Reads what a request inside a tunnel is for: always the tunnel's own site.
fn read_inside(request: &Request<Incoming>, inside: &Inside) -> Result<Target, Unread> {
    if request.method() == Method::CONNECT && !websocket::is_asked(request) {
        return Err(ReasonCode::Unsupported.into());
    }
    let uri = request.uri();
    if uri.path() == "*" && request.method() != Method::OPTIONS {
        return Err(ReasonCode::BadRequest.into());
    }
    if uri.scheme_str().is_some_and(|scheme| !scheme.eq_ignore_ascii_case("https")) {
        return Err(ReasonCode::Misdirected.into());
    }
    let host = request.headers().get(HOST).map(|host| host.to_str());
    let named = [uri.authority().map(|authority| Ok(authority.as_str())), host];
    let mut target = None;
    for authority in named.into_iter().flatten() {
        let authority = authority.map_err(|_| ReasonCode::BadRequest)?;
        let found = parse_inside(authority).map_err(|_| ReasonCode::BadRequest)?;
        if found.host != inside.host || found.port != inside.port {
            // The record names the site that was asked for.
            let Target { scheme, host, port } = found;
            let path_and_query = Some(path_and_query(uri));
            // It was sent to another site than it names.
            let asked = Some(Asked { scheme, host, port, path_and_query, searched: None });
            return Err(Unread { code: ReasonCode::Misdirected, asked });
        }
        target = Some(found);
    }
    target.ok_or(ReasonCode::BadRequest.into())
}

/// Refuses framing that two readers could read in two ways (RFC 9112, 3.2 and 6.1).
fn check_framing(request: &Request<Incoming>, length_seen: bool) -> Result<(), ReasonCode> {
    let headers = request.headers();
    let ambiguous = headers.contains_key(TRANSFER_ENCODING)
        && (length_seen
            || headers.contains_key(CONTENT_LENGTH)
            || request.version() < Version::HTTP_11
            || has_other_coding(headers));
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    let no_host = host.is_none() && request.version() == Version::HTTP_11;
    let connect_with_body = request.method() == Method::CONNECT
        && (headers.contains_key(TRANSFER_ENCODING)
            || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0"));
    if ambiguous || no_host || hosts.next().is_some() || connect_with_body {
        return Err(ReasonCode::BadRequest);
    }
    if headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(ReasonCode::BadRequest);
    }
    Ok(())
}

/// What the machine file refuses although the policy would allow it.
fn beyond_policy(asked: &Asked, worker: &Worker) -> Option<ReasonCode> {
    let upstream = &worker.config.upstream;
    let ports = match asked.scheme {
        Scheme::Tunnel | Scheme::Https => &upstream.connect_ports,
        Scheme::Http => &upstream.http_ports,
    };
    (!ports.contains(asked.port)).then_some(ReasonCode::Port)
}

/// Finds a waiting connection, or the addresses to dial, or for https a connection to a site that
/// has shown who it is: before the decision is recorded, so that an address inside the network and a
/// certificate that cannot be trusted are recorded as what they are, a block.
async fn find_route(
    refuser: &Refuser<'_>,
    view: &View,
    request: &Request<Incoming>,
    (asked, dialled): (&Asked, Option<&Rc<Host>>),
) -> Route {
    let Refuser { worker, client, arrival, .. } = *refuser;
    let secure = asked.scheme == Scheme::Https;
    let (host, dialled) = (asked.host.clone(), dialled.cloned());
    let site = Site { host, port: asked.port, secure, dialled };
    let own_connection = request.method() == Method::CONNECT || forward::wants_websocket(request);
    // A connection that somebody signs in on is nobody else's, so it carries one request at a time.
    let shared = !own_connection && !signs_connection_in(request.headers(), &AUTHORIZATION);
    if !own_connection {
        let waiting = || client.pins.take(&site).or_else(|| worker.pool.take(&site, shared));
        while let Some(mut upstream) = waiting() {
            if upstream.ready().await {
                return Route::Pooled(upstream);
            }
        }
    }
    // Until it is known whether there is a connection, it stands among no open exchanges. One on a connection of its
    // own is counted by that.
    let _waiting = match client.multiplexed.then(|| worker.admission.waiting_stream(client.address))
    {
        Some(None) => {
            worker.meters.refused_streams.inc();
            return Route::Full;
        }
        place => place.flatten(),
    };
    let addresses = match worker.resolver.addresses(site.leads_to(), asked.port).await {
        Ok(addresses) => addresses,
        Err(error) => return Route::Nowhere(error),
    };
    // Before the decision is recorded, so that the record says why.
    if !worker.dials.has_room(client.address, &addresses) {
        worker.meters.refused_site.inc();
        return Route::Full;
    }
    if !secure {
        return Route::Addresses(addresses);
    }
    // Held until the connection is in the pool, or failed.
    let _dialling = match worker.dials.begin(&site) {
        Ok(dialling) => Some(dialling),
        Err(other) if shared && !worker.certificates.speaks_http1(&site) => {
            let most = Duration::from_millis(worker.config.limits.connect_timeout_ms);
            // Whatever came of it, this request goes on.
            let _ = tokio::time::timeout(OTHERS_DIAL.min(most), other.notified()).await;
            if let Some(mut upstream) = worker.pool.take(&site, true)
                && upstream.ready().await
            {
                return Route::Pooled(upstream);
            }
            worker.dials.begin(&site).ok()
        }
        Err(_) => None,
    };
    let alpn = if shared { Alpn::Both } else { Alpn::Http1 };
    let reached = async {
        let to = (client.address, &addresses[..]);
        let reached = reach::secure(worker, view, &site, to, alpn, arrival.at).await?;
        if own_connection {
            return Ok(Route::Wire(reached));
        }
        Ok(Route::Fresh(reach::speak(worker, site.clone(), reached).await?))
    };
    match reached.await {
        Ok(route) => route,
        Err(Unreached::Down(SiteFault::Busy, _)) => {
            worker.meters.refused_site.inc();
            Route::Full
        }
        Err(Unreached::Down(fault, kind)) => Route::Down(fault, kind),
        Err(Unreached::Untrusted(code)) => Route::Untrusted(code),
    }
}

/// Whether the proxy itself is asked, by `Max-Forwards: 0` on OPTIONS (RFC 9110, 7.6.2).
pub(crate) fn is_last_hop(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && max_forwards(headers) == Some(0)
}

/// Whether a request carries a body at all.
pub(crate) fn has_body(request: &Request<Incoming>) -> bool {
    !request.body().is_end_stream()
}

/// Whether a client waits for leave to send its body (RFC 9110, 10.1.1).
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    has_token(headers, &hyper::header::EXPECT, "100-continue")
}
