//! Answers of the proxy's own: refusals, sites that do not answer, faults. Each refusal is recorded
//! before it is sent.

use crate::body::{Incoming, Reply};
use crate::connection::Client;
use crate::exchange::Asked;
use crate::files::SEC_FETCH_DEST;
use crate::forward::ALLOWED_METHODS;
use crate::identify::{CHALLENGE, Unproven};
use crate::live::{Facts, Live};
use crate::page::{self, Kind, Page};
use crate::record::{self, Arrival, Refused, now};
use crate::searches::Searched;
use crate::texts::Language;
use crate::view::{Ruling, View};
use crate::worker::Worker;
use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, PROXY_AUTHENTICATE, REFERRER_POLICY,
    RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use ledger::record::End;
use rules::access::{Identity, KnownBy};
use rules::decide::{Reason, ReasonCode, Verdict};
use rules::level::{LevelId, PageStyle};
use rules::target::Scheme;
use rules::time::UnixMillis;
use std::rc::Rc;

/// When to ask again after a limit was met, in seconds (RFC 9110, 10.2.3): a queue of sign-ins is
/// worked off by then.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("10");

/// Longest host kept of a target that could not be read, in bytes.
const LONGEST_UNREAD_HOST: usize = 253;
/// Categories and themes whose block puts help first, by name.
const HELP_FIRST: [&str; 3] = ["self-harm", "suicide", "eating-disorders"];

/// What the answer should look like: read before the request is passed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    wants_html: bool,
    language: Language,
    head: bool,
    connect: bool,
    http2: bool,
}

impl Asker {
    /// What a request wants: HTML for documents and frames, else problem+json.
    pub(crate) fn of(request: &Request<Incoming>) -> Self {
        let headers = request.headers();
        let accepts_html = || {
            headers
                .get_all(ACCEPT)
                .iter()
                .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")))
        };
        let wants_html = match headers.get(SEC_FETCH_DEST).and_then(|to| to.to_str().ok()) {
            Some(to) => matches!(to, "document" | "iframe" | "frame" | "embed" | "object"),
            None => accepts_html(),
        };
        let language = headers.get(ACCEPT_LANGUAGE).and_then(|language| language.to_str().ok());
        Self {
            wants_html,
            language: language.map_or(Language::English, Language::preferred),
            head: request.method() == Method::HEAD,
            connect: request.method() == Method::CONNECT,
            http2: request.version() == Version::HTTP_2,
        }
    }

    /// Whether the answer has no body, whatever its head says.
    pub(crate) fn is_head(&self) -> bool {
        self.head
    }
}

/// Why a request is refused before it goes anywhere.
pub(crate) enum Refusal {
    /// The policy, or a rule of the machine file beyond it.
    Policy(Ruling),
    /// The proxy itself.
    Code(ReasonCode),
    /// Nobody has signed in.
    SignIn(Unproven),
}

/// A request in the words of its record.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) asked: Option<&'a Asked>,
}

impl<'a> Words<'a> {
    fn about(
        &self,
        level: LevelId,
        identity: Option<&'a Identity>,
        client: &'a Client,
        unread: &'a str,
    ) -> Refused<'a> {
        let searched = self.asked.and_then(|asked| asked.searched.as_deref());
        let path = self.asked.and_then(|asked| asked.path_and_query.as_ref());
        let unread = match &client.inside {
            Some(inside) => (Scheme::Https, inside.host.as_str(), inside.port),
            None => (scheme_of(self.method), unread, 0),
        };
        let (scheme, host, port) =
            self.asked.map_or(unread, |asked| (asked.scheme, asked.host.as_str(), asked.port));
        Refused {
            user: identity.and_then(|identity| identity.user.as_deref()),
            level,
            client: client.address,
            method: self.method.as_str(),
            scheme,
            host,
            port,
            path: record::path(path, searched),
            words: searched.and_then(Searched::words),
        }
    }
}

/// Why a site gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SiteFault {
    /// The name does not exist.
    NoSuchHost,
    /// DNS failed.
    Unresolved,
    /// No connection.
    Refused,
    /// Too many wait for a connection to it.
    Busy,
    /// It broke off, or answered with something that cannot be passed on.
    Broken,
    /// Too slow.
    Slow,
}

/// What a refusal needs of its exchange.
pub(crate) struct Refuser<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) client: &'a Rc<Client>,
    pub(crate) arrival: &'a Arrival,
    pub(crate) asker: &'a Asker,
}

impl Refuser<'_> {
    /// Records a refusal and answers it.
    pub(crate) fn refuse(
        &self,
        view: &View,
        words: Words<'_>,
        who: Option<(LevelId, Option<&Identity>)>,
        refusal: Refusal,
    ) -> Response<Reply> {
        let Self { client, asker, .. } = self;
        let inside = client.inside.as_ref().and_then(|inside| inside.who(view, client.address));
        let (level, identity) = who.unwrap_or_else(|| match &inside {
            Some(who) => (who.level, Some(&**who)),
            None => (view.snapshot.policy.identify(None, client.address).level, None),
        });
        let (ruling, kind) = match refusal {
            Refusal::Policy(ruling) => (ruling, None),
            Refusal::Code(code) => (Ruling::block(code), None),
            Refusal::SignIn(why) => (Ruling::block(ReasonCode::SignIn), Some(Kind::SignIn(why))),
        };
        let (asked, at) = (words.asked, self.arrival.at);
        let subject = Subject { view, ruling: &ruling, level, identity, asked, at };
        let code = self.arrival.id.code();
        let mut answer = subject.answer(asker, &code, kind);
        if client.inside.is_some() && answer.status == 407 {
            // Inside a tunnel there is no proxy to sign in to (RFC 6585, 6).
            answer.status = 511;
        }
        let sent = (answer.status, if asker.head { 0 } else { answer.body.len() as u64 });
        match self.record(view, words, (level, identity), &ruling, sent) {
            Ok(()) => answer.into_response(asker),
            Err(()) => {
                let ruling = Ruling::block(ReasonCode::LogUnavailable);
                Subject { ruling: &ruling, ..subject }
                    .answer(asker, &code, None)
                    .into_response(asker)
            }
        }
    }

    /// Records a refusal that is answered with this status and so many bytes. The error is told
    /// already.
    pub(crate) fn record(
        &self,
        view: &View,
        words: Words<'_>,
        (level, identity): (LevelId, Option<&Identity>),
        ruling: &Ruling,
        sent: (u16, u64),
    ) -> Result<(), ()> {
        let unread = unread_host(words.uri);
        let about = words.about(level, identity, self.client, &unread);
        let journal = &self.worker.journal;
        record::refuse(journal, (view, ruling), self.arrival, &about, sent).map_err(|error| {
            tracing::debug!(%error, "a refusal could not be recorded");
        })
    }

    /// Records an access whose client left while it was waited for.
    pub(crate) fn abandon(
        &self,
        view: &View,
        words: Words<'_>,
        (level, identity): (LevelId, Option<&Identity>),
        ruling: &Ruling,
    ) {
        let unread = unread_host(words.uri);
        let about = words.about(level, identity, self.client, &unread);
        record::abandon(&self.worker.journal, (view, ruling), self.arrival, &about);
    }
}

fn scheme_of(method: &Method) -> Scheme {
    if method == Method::CONNECT { Scheme::Tunnel } else { Scheme::Http }
}

/// A target that could not be read, for the record: printable, bounded, and without what may be a
/// password or a secret, which are user information and the query.
fn unread_host(uri: &Uri) -> String {
    let text = uri.authority().map_or_else(|| uri.path(), |authority| authority.as_str());
    let text = text.rsplit('@').next().unwrap_or_default();
    let mut escaped: String =
        text.chars().take(LONGEST_UNREAD_HOST).flat_map(char::escape_default).collect();
    escaped.truncate(LONGEST_UNREAD_HOST);
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a malformed fixture is a failed test")]
    use super::*;

    #[test]
    fn an_access_recorded_as_allowed_is_never_answered_as_refused() {
        use crate::resolve::ResolveError;
        let resolving = [
            ResolveError::NoSuchHost,
            ResolveError::TimedOut,
            ResolveError::Failed,
            ResolveError::Private,
        ];
        let faults = resolving
            .map(crate::forward::fault_of)
            .into_iter()
            .chain([SiteFault::Refused, SiteFault::Broken]);
        for fault in faults {
            assert!(matches!(status_of(page_of(fault)), 502 | 504), "{fault:?}");
        }
    }

    #[test]
    fn whoever_met_a_limit_is_told_when_to_ask_again_and_nobody_else() {
        let asker = Asker {
            wants_html: false,
            language: Language::English,
            head: false,
            connect: false,
            http2: false,
        };
        for (status, reason, wait) in [
            (503, ReasonCode::Limit, Some("10")),
            (431, ReasonCode::Limit, None),
            (503, ReasonCode::LogUnavailable, None),
            (403, ReasonCode::Category, None),
        ] {
            let lang = HeaderValue::from_static("en");
            let answer = Answer { status, body: Bytes::new(), html: false, lang, reason };
            let response = answer.into_response(&asker);
            let field = response.headers().get(RETRY_AFTER).map(|value| value.to_str().unwrap());
            assert_eq!(field, wait, "{status} {reason:?}");
        }
    }

    #[test]
    fn a_target_that_cannot_be_read_is_recorded_without_its_secrets() {
        let long = format!("http://{}.test/", "a".repeat(300));
        for (uri, recorded) in [
            ("http://user:pw@site.test:8098/a?b=c", "site.test:8098"),
            ("user:pw@site.test:443", "site.test:443"),
            ("https://site.test/a", "site.test"),
            ("/sign-in?password=hunter2", "/sign-in"),
            ("*", "*"),
            (long.as_str(), &"a".repeat(253)),
        ] {
            assert_eq!(unread_host(&uri.parse::<Uri>().unwrap()), recorded, "{uri}");
        }
    }
}

/// Answers for a site that did not; the record ends.
pub(crate) fn site_fault(
    worker: &Worker,
    live: &Live,
    asker: &Asker,
    fault: SiteFault,
) -> Response<Reply> {
    let kind = page_of(fault);
    let end = match fault {
        SiteFault::Busy => {
            worker.meters.refused_site.inc();
            return overloaded(worker, live, asker);
        }
        SiteFault::Slow => End::TimedOut,
        _ => End::Upstream,
    };
    after_permit(worker, live, asker, Ruling::block(ReasonCode::Internal), kind, end)
}

fn page_of(fault: SiteFault) -> Kind {
    match fault {
        SiteFault::NoSuchHost => Kind::SiteDown("name"),
        SiteFault::Refused => Kind::SiteDown("refused"),
        SiteFault::Broken => Kind::SiteDown("broken"),
        SiteFault::Unresolved => Kind::SiteDown(""),
        SiteFault::Slow => Kind::SiteSlow,
        SiteFault::Busy => Kind::Fault(ReasonCode::Limit),
    }
}

/// Answers for an exchange that was stopped before its answer.
pub(crate) fn stopped(worker: &Worker, live: &Live, asker: &Asker, end: End) -> Response<Reply> {
    match end {
        End::TimedOut => {
            worker.meters.upstream_error(crate::telemetry::UpstreamError::Timeout);
            site_fault(worker, live, asker, SiteFault::Slow)
        }
        End::Cut => {
            let view = worker.view();
            let mut ruling = view.rule_again(&live.facts(), now());
            if ruling.verdict == Verdict::Allow {
                ruling = Ruling::block(ReasonCode::SiteBlocked);
            }
            let kind = Kind::Blocked(ruling.code);
            after_permit(worker, live, asker, ruling, kind, End::Cut)
        }
        _ => {
            let kind = Kind::Fault(ReasonCode::Limit);
            after_permit(worker, live, asker, Ruling::block(ReasonCode::Limit), kind, end)
        }
    }
}

/// Answers a request whose body the client broke off, or wrote so that it cannot be read (RFC 9112,
/// 7.1 and 8): its own fault, not the site's.
pub(crate) fn unreadable_body(worker: &Worker, live: &Live, asker: &Asker) -> Response<Reply> {
    let ruling = Ruling::block(ReasonCode::BadRequest);
    let kind = Kind::BadRequest(ReasonCode::BadRequest);
    after_permit(worker, live, asker, ruling, kind, End::Aborted)
}

/// Answers when no more tunnels fit, or too many wait for their site; the record ends.
pub(crate) fn overloaded(worker: &Worker, live: &Live, asker: &Asker) -> Response<Reply> {
    let kind = Kind::Fault(ReasonCode::Limit);
    after_permit(worker, live, asker, Ruling::block(ReasonCode::Limit), kind, End::Aborted)
}

/// Answers for a page that is refused for what it says, and records that with its signs; the request's own record ends
/// as one that was cut.
pub(crate) fn page(worker: &Worker, live: &Live, asker: &Asker, ruling: Ruling) -> Response<Reply> {
    let arrival = Arrival::now(&worker.journal);
    let answer = said(worker, live, asker, (&ruling, &arrival));
    let sent = (answer.status, answer.body.len() as u64);
    let (view, facts) = (worker.view(), live.facts());
    record::refuse_page(&worker.journal, (&view, &ruling), &arrival, &facts, sent);
    drop(facts);
    in_place(live, asker, answer)
}

/// Answers for what somebody wrote and the site must not get; that is recorded already.
pub(crate) fn written(
    worker: &Worker,
    live: &Live,
    asker: &Asker,
    (ruling, arrival): &(Ruling, Arrival),
) -> Response<Reply> {
    in_place(live, asker, said(worker, live, asker, (ruling, arrival)))
}

fn said(
    worker: &Worker,
    live: &Live,
    asker: &Asker,
    (ruling, arrival): (&Ruling, &Arrival),
) -> Answer {
    let view = worker.view();
    let facts: &Facts = &live.facts();
    let asked = Asked {
        scheme: facts.scheme,
        host: facts.host.clone(),
        port: facts.port,
        path_and_query: facts.path_and_query.clone(),
        searched: None,
    };
    let subject = Subject {
        view: &view,
        ruling,
        level: facts.who.level,
        identity: Some(&facts.who),
        asked: Some(&asked),
        at: arrival.at,
    };
    subject.answer(asker, &arrival.id.code(), None)
}

/// Sends an answer of ours in the place of the site's.
fn in_place(live: &Live, asker: &Asker, answer: Answer) -> Response<Reply> {
    live.answer(answer.status);
    live.finish(End::Cut);
    answer.into_response(asker)
}

fn after_permit(
    worker: &Worker,
    live: &Live,
    asker: &Asker,
    ruling: Ruling,
    kind: Kind,
    end: End,
) -> Response<Reply> {
    let view = worker.view();
    let code = live.id().code();
    let answer = {
        let facts: &Facts = &live.facts();
        let asked = Asked {
            scheme: facts.scheme,
            host: facts.host.clone(),
            port: facts.port,
            path_and_query: facts.path_and_query.clone(),
            searched: facts.searched.clone(),
        };
        let subject = Subject {
            view: &view,
            ruling: &ruling,
            level: facts.who.level,
            identity: Some(&facts.who),
            asked: Some(&asked),
            at: now(),
        };
        subject.answer(asker, &code, Some(kind))
    };
    live.answer(answer.status);
    live.count_down(if asker.head { 0 } else { answer.body.len() as u64 });
    live.finish(end);
    answer.into_response(asker)
}

/// What an answer is about.
#[derive(Clone, Copy)]
struct Subject<'a> {
    view: &'a View,
    ruling: &'a Ruling,
    level: LevelId,
    identity: Option<&'a Identity>,
    asked: Option<&'a Asked>,
    at: UnixMillis,
}

/// An answer before it is sent.
struct Answer {
    status: u16,
    body: Bytes,
    html: bool,
    lang: HeaderValue,
    reason: ReasonCode,
}

impl Subject<'_> {
    fn answer(&self, asker: &Asker, code: &str, kind: Option<Kind>) -> Answer {
        let kind = kind.unwrap_or_else(|| self.kind());
        let policy = &self.view.snapshot.policy;
        let levels = policy.levels();
        // After a change of policy an older exchange's level may be gone: the strictest then.
        let level = if self.level.index() < levels.iter().count() {
            self.level
        } else {
            levels.strictest()
        };
        let locked = kind == Kind::Locked;
        let opens = self.opens(asker.language);
        let until = match self.ruling.reason {
            Some(Reason::Banned { until }) => Some(self.show(until, asker.language)),
            _ => None,
        };
        let style = levels.get(level).style;
        let list = (style == PageStyle::Staff && !locked).then(|| self.list()).flatten();
        let who = self.decides();
        let page = Page {
            words: self.view.texts.words(asker.language),
            kind,
            style,
            // Said only where signing in could change the answer.
            unidentified: opens_by_unblock(self.ruling.code)
                && self.identity.is_some_and(|who| who.known_by == KnownBy::Nothing),
            can_be_opened: self.can_be_opened(),
            code,
            school: policy.school(),
            site: self.asked.filter(|_| !locked).map_or("", |asked| asked.host.as_str()),
            category: if locked { None } else { self.category(asker.language) },
            list: list.as_deref(),
            opens: opens.as_deref(),
            until: until.as_deref(),
            who: who.as_deref(),
        };
        let body = if asker.wants_html {
            page.html()
        } else {
            problem(&page, status_of(kind), self.reason_word(kind), opens.as_deref())
        };
        let lang = page.words.text("page", "lang");
        Answer {
            status: status_of(kind),
            body: Bytes::from(body),
            html: asker.wants_html,
            lang: HeaderValue::from_str(lang).unwrap_or(HeaderValue::from_static("en")),
            reason: self.ruling.code,
        }
    }

    fn kind(&self) -> Kind {
        let code = self.ruling.code;
        match code {
            ReasonCode::Locked => Kind::Locked,
            ReasonCode::BadRequest | ReasonCode::Unsupported | ReasonCode::Misdirected => {
                Kind::BadRequest(code)
            }
            ReasonCode::Limit | ReasonCode::Internal | ReasonCode::LogUnavailable => {
                Kind::Fault(code)
            }
            ReasonCode::SignIn => Kind::SignIn(Unproven::Missing),
            _ if self.needs_help() => Kind::Help,
            _ => Kind::Blocked(code),
        }
    }

    /// Whether an unblock could open it: never a ban, a port or a fault, nor a category that the
    /// school never unblocks.
    fn can_be_opened(&self) -> bool {
        let never = self.view.snapshot.policy.unblock_rules().never;
        opens_by_unblock(self.ruling.code) && never.intersection(self.ruling.categories).is_empty()
    }

    /// Whether help comes before all else: by the site's categories, or by what was asked or said.
    fn needs_help(&self) -> bool {
        if self.ruling.signs.iter().any(|sign| HELP_FIRST.contains(&sign.theme.as_str())) {
            return true;
        }
        let catalogue = self.view.snapshot.policy.catalogue();
        HELP_FIRST
            .iter()
            .filter_map(|name| catalogue.id(name))
            .any(|category| self.ruling.categories.contains(category))
    }

    /// The word of problem+json.
    fn reason_word(&self, kind: Kind) -> &'static str {
        match kind {
            Kind::SiteDown(_) => "site_down",
            Kind::SiteSlow => "site_slow",
            Kind::Blocked(code) | Kind::Fault(code) | Kind::BadRequest(code) => code.as_str(),
            Kind::Help | Kind::Locked | Kind::SignIn(_) => self.ruling.code.as_str(),
        }
    }

    /// The title of the category that decided.
    fn category(&self, language: Language) -> Option<&str> {
        let Some(Reason::Grid { category, .. }) = self.ruling.reason else { return None };
        let category = self.view.snapshot.policy.catalogue().get(category)?;
        let words = self.view.texts.words(language);
        Some(words.category(&category.name).unwrap_or(&category.title))
    }

    /// The list that gave the deciding category.
    fn list(&self) -> Option<String> {
        let asked = self.asked?;
        let Some(Reason::Grid { category, .. }) = self.ruling.reason else { return None };
        let path_and_query = asked.path_and_query.as_ref().map(|path| path.as_str());
        let hits = self.view.snapshot.index.hits(&asked.host, path_and_query);
        hits.into_iter().find(|hit| hit.category == category).map(|hit| hit.list.name)
    }

    /// Who decides about unblocks: the first holder of the first authorising role.
    fn decides(&self) -> Option<String> {
        let policy = &self.view.snapshot.policy;
        policy.unblock_rules().authorise.iter().find_map(|role| {
            let name = policy.holders(*role).first()?;
            let role = match role.as_str() {
                short if short.len() <= 3 => short.to_uppercase(),
                long => long.to_owned(),
            };
            Some(format!("{} ({role})", page::shown_name(name)))
        })
    }

    /// When the clock alone opens the page.
    fn opens(&self, language: Language) -> Option<String> {
        if self.ruling.code != ReasonCode::OutsideTimes {
            return None;
        }
        let (asked, who) = (self.asked?, self.identity?);
        let seen = asked.path_and_query.as_ref().map(|path| rules::target::seen_path(path.path()));
        let access = rules::access::Access {
            who,
            scheme: asked.scheme,
            host: &asked.host,
            port: asked.port,
            path: seen.as_deref(),
            categories: self.ruling.categories,
        };
        let (from, until) = self.view.snapshot.policy.opens(&access, self.at)?;
        let end = self.view.snapshot.policy.clock().show(until);
        let end = end.split(' ').nth(4).unwrap_or_default().to_owned();
        let to = match language {
            Language::English => "to",
            Language::Welsh => "tan",
        };
        Some(format!("{} {to} {end}", self.show(from, language)))
    }

    fn show(&self, at: UnixMillis, language: Language) -> String {
        const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;
        let shown = self.view.snapshot.policy.clock().show(at);
        page::short_time(&shown, at.0 - self.at.0 >= WEEK_MS, language)
    }
}

/// Whether the reason is a decision about the site that an unblock may lift.
fn opens_by_unblock(code: ReasonCode) -> bool {
    use ReasonCode as Code;
    match code {
        Code::SiteBlocked
        | Code::NotOnList
        | Code::Category
        | Code::OutsideTimes
        | Code::NotNominated
        | Code::Uncategorised => true,
        Code::Doh
        | Code::Dot
        | Code::PrivateRelay
        | Code::Vpn
        | Code::RemoteDesktop
        | Code::Tor
        | Code::WebProxy
        | Code::RawAddress
        | Code::HiddenName => true,
        Code::PageWords | Code::AddressWords | Code::Unscanned => true,
        // Not the site is what is refused, but what is said there.
        Code::SearchWords | Code::PromptWords => false,
        // The site within is what is blocked: an unblock of the one around it does not open it.
        Code::TranslatedCopy | Code::StoredCopy | Code::UrlInside => false,
        Code::Allowed | Code::Unblock | Code::Exception | Code::OnList => false,
        Code::Locked | Code::Banned | Code::SignIn => false,
        Code::BadRequest | Code::Port | Code::PrivateAddress | Code::Loop | Code::Unsupported => {
            false
        }
        Code::Limit | Code::Internal | Code::LogUnavailable => false,
        Code::NoSafeMode | Code::NotForChildren => true,
        // The level's other settings about searches hold whoever unblocks.
        Code::SearchNotInspected | Code::ImageSearch | Code::UnsafeHost => false,
        // The site may be fine by the policy: what is wrong is how it, or the client, speaks TLS.
        Code::TlsExpired
        | Code::TlsName
        | Code::TlsUntrusted
        | Code::TlsSelfSigned
        | Code::TlsRevoked
        | Code::TlsProtocol
        | Code::TlsWeak => false,
        Code::SniMismatch
        | Code::NoSni
        | Code::EncryptedHello
        | Code::NotTls
        | Code::Misdirected => false,
        // An unblock opens a site, and never what its files do to a device.
        Code::FileKind
        | Code::FileHidden
        | Code::FileSize
        | Code::Virus
        | Code::ScanUnavailable
        | Code::ScanTooLarge => false,
    }
}

fn status_of(kind: Kind) -> u16 {
    match kind {
        Kind::Blocked(_) | Kind::Help | Kind::Locked => 403,
        Kind::SignIn(_) => 407,
        Kind::SiteDown(_) => 502,
        Kind::SiteSlow => 504,
        Kind::Fault(_) => 503,
        Kind::BadRequest(ReasonCode::Unsupported) => 405,
        // RFC 9110, 15.5.20: the client may ask again over another connection.
        Kind::BadRequest(ReasonCode::Misdirected) => 421,
        Kind::BadRequest(_) => 400,
    }
}

/// The answer for programs (RFC 9457).
fn problem(page: &Page<'_>, status: u16, reason: &str, opens: Option<&str>) -> String {
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": page.title(),
        "status": status,
        "detail": page.sentence(),
        "code": page.code,
        "reason": reason,
        "opens": opens,
        // Where to ask for the page: filled in once there is a console to ask at.
        "request": null,
    });
    format!("{problem}\n")
}

impl Answer {
    fn into_response(self, asker: &Asker) -> Response<Reply> {
        let length = self.body.len();
        let body = if asker.head { Reply::Empty } else { Reply::Page(Some(self.body)) };
        let mut response = Response::new(body);
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::FORBIDDEN);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let content_type =
            if self.html { "text/html; charset=utf-8" } else { "application/problem+json" };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(CONTENT_LANGUAGE, self.lang);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(page::content_security_policy()),
        );
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            headers.insert(PROXY_AUTHENTICATE, CHALLENGE);
        } else if !asker.http2 && (asker.connect || self.reason == ReasonCode::BadRequest) {
            // What follows may be meant for a tunnel, or be the rest of something ambiguous.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE && self.reason == ReasonCode::Limit {
            headers.insert(RETRY_AFTER, RETRY_SECONDS);
        }
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, ALLOWED_METHODS);
        }
        response
    }
}
