//! What a request searches for, how its level keeps searches safe, and what is changed in a request on its way
//! for that and for the school's own accounts (`rules::search`, `rules::tenants`).
//!
//! The policy's decision comes first: of these settings none opens anything, and no unblock turns them off, save that one of
//! an engine itself opens it though it has no safe mode, or is not made for children.

use crate::live::Facts;
use crate::view::{Ruling, View};
use hyper::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Uri};
use ledger::notes::{Words, WordsKind};
use rules::decide::{Reason, ReasonCode, Verdict};
use rules::host::Host;
use rules::policy::Policy;
use rules::search::{
    MAX_WORDS, Refusal, Search, SearchKind, SearchRules, SearchSite, Terms, Unseen, Way,
    opens_engine,
};
use rules::target::{Scheme, seen_path};
use rules::time::UnixMillis;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::OnceLock;

/// A request to a host that searches.
pub(crate) struct Searched {
    site: SearchSite<'static>,
    terms: Option<Terms<'static>>,
    /// The path without the words in it, where it has any.
    path: Option<String>,
    name: &'static str,
    is_assistant: bool,
}

impl Searched {
    /// What is known of a host, and the words that the request sends; `None` for nearly every host.
    pub(crate) fn of(
        method: &Method,
        host: &Host,
        path_and_query: Option<&PathAndQuery>,
    ) -> Option<Rc<Self>> {
        Some(Self::with(Search::shipped().site(host)?, method, path_and_query))
    }

    /// The same for a site that the policy calls an assistant.
    pub(crate) fn by_policy(
        policy: &Policy,
        method: &Method,
        host: &Host,
        path_and_query: Option<&PathAndQuery>,
    ) -> Option<Rc<Self>> {
        if !policy.names_assistants() {
            return None;
        }
        let path = path_and_query.map(|path| seen_path(path.path()));
        policy
            .is_assistant(host, path.as_deref())
            .then(|| Self::with(Search::assistant_of_school(), method, path_and_query))
    }

    fn with(
        site: SearchSite<'static>,
        method: &Method,
        path_and_query: Option<&PathAndQuery>,
    ) -> Rc<Self> {
        let target = path_and_query.map_or("", PathAndQuery::as_str);
        let (name, is_assistant) = (site.name(target), site.is_assistant(target));
        // A browser's question before a request says nothing that the request will not say.
        let is_question = method == Method::OPTIONS;
        let terms = if is_question { None } else { site.terms(target) };
        let path = site.path_without_words(target);
        Rc::new(Self { site, terms, path, name, is_assistant })
    }

    /// Whether it is an assistant: something that answers what is written to it.
    pub(crate) fn is_assistant(&self) -> bool {
        self.is_assistant
    }

    /// Whether it is a search engine.
    pub(crate) fn is_engine(&self) -> bool {
        self.site.engine().is_some()
    }

    /// Name of the site, for people.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The path as a record has it, where that is not the one that was asked for: with `{words}` in the place of
    /// words, which not everybody may see who sees paths.
    pub(crate) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// The words to be judged: all of them, where a record has the first. In stretches that are each as long as a
    /// record's words and overlap by half, or many harmless words would hide a few others. Where the search excludes some,
    /// once more without them; of several parameters, those of each by itself too.
    pub(crate) fn typed(&self) -> impl Iterator<Item = &str> {
        let texts = self
            .terms
            .iter()
            .flat_map(|terms| [&terms.all].into_iter().chain(&terms.asked).chain(&terms.each));
        texts.flat_map(|text| stretches(text))
    }

    /// Whether these are all words that the site may read: there may be more than are judged.
    pub(crate) fn is_typed_whole(&self) -> bool {
        self.terms.as_ref().is_none_or(|terms| terms.is_whole)
    }

    /// The words, as a record has them.
    pub(crate) fn words(&self) -> Option<Words<'_>> {
        self.terms.as_ref().map(|terms| {
            let kind = match terms.kind {
                SearchKind::Search => WordsKind::Search,
                SearchKind::Suggest => WordsKind::Suggest,
                SearchKind::Prompt => WordsKind::Prompt,
            };
            Words { text: &terms.words, kind, site: terms.site }
        })
    }
}

/// Cuts a text into stretches of [`MAX_WORDS`] characters, each of which begins in the middle of the one before; an
/// empty text has none.
fn stretches(text: &str) -> impl Iterator<Item = &str> {
    let after = |text: &str, characters| {
        text.char_indices().nth(characters).map_or(text.len(), |(place, _)| place)
    };
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let end = after(text, MAX_WORDS);
        rest = (end < text.len()).then(|| &text[after(text, MAX_WORDS / 2)..]);
        Some(&text[..end])
    })
}

/// Reads the shipped files, which takes milliseconds, before a request has to wait for it.
pub(crate) fn prepare() {
    // Both are kept.
    let _ = (Search::shipped(), restricting_headers());
}

/// What the settings about searches make of an access that the policy allows: the ruling becomes a block, or
/// the facts get the host whose address is dialled. `sees`: the inside of a tunnel is looked into later, so
/// that each request in it is asked about by itself.
pub(crate) fn keep_safe(
    view: &View,
    facts: &mut Facts,
    ruling: &mut Ruling,
    sight: Sight,
    now: UnixMillis,
) {
    if ruling.verdict != Verdict::Allow {
        return;
    }
    facts.sight = sight;
    let way = catch_unwind(AssertUnwindSafe(|| way(view, facts, now)));
    match way.unwrap_or(Err(ReasonCode::Internal)) {
        Ok(Way { to, opened }) => {
            facts.dialled = to.cloned().map(Rc::new);
            match opened {
                Some(Reason::Unblock(id)) => {
                    (ruling.code, ruling.rule, ruling.unblock) =
                        (ReasonCode::Unblock, None, Some(id));
                }
                Some(Reason::Exception(rule)) => {
                    let rule = Some(view.rule_text(rule));
                    (ruling.code, ruling.rule, ruling.unblock) =
                        (ReasonCode::Exception, rule, None);
                }
                _ => return,
            }
            ruling.reason = opened;
        }
        Err(code) => {
            let searched = facts.searched.as_ref().filter(|_| is_refusal(code));
            let rule = searched.map(|searched| searched.site.rule_text().into());
            let categories = ruling.categories;
            *ruling = Ruling { categories, rule, ..Ruling::block(code) };
        }
    }
}

/// How much of an access is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sight {
    /// The request is.
    #[default]
    Request,
    /// A tunnel's name alone.
    Name,
    /// A tunnel's name now, and then the requests in it.
    Inside,
}

fn way(view: &View, facts: &Facts, now: UnixMillis) -> Result<Way<'static>, ReasonCode> {
    let seen = match facts.sight {
        Sight::Inside => None,
        Sight::Name => Some(None),
        Sight::Request => Some(facts.path_and_query.as_ref()),
    };
    let (Some(searched), Some(seen)) = (&facts.searched, seen) else {
        return Ok(Way { to: None, opened: None });
    };
    let seen = seen.map(PathAndQuery::as_str);
    let snapshot = &view.snapshot;
    let opened = || {
        facts.with_access(|access| opens_engine(&snapshot.policy, &snapshot.unblocks, access, now))
    };
    searched.site.way(&rules_of(view, facts), seen, opened).map_err(Refusal::code)
}

/// Whether the settings still have an open access go where it went.
pub(crate) fn still_goes(view: &View, facts: &Facts, now: UnixMillis) -> bool {
    facts.searched.is_none()
        || way(view, facts, now).is_ok_and(|way| way.to == facts.dialled.as_deref())
}

/// Whether what is asked for may pass unseen and unchanged.
pub(crate) fn may_go_unseen(view: &View, facts: &Facts) -> bool {
    let Some(searched) = &facts.searched else { return true };
    // People may have another level by now.
    facts.generation == view.generation
        && searched.site.unseen(&rules_of(view, facts)) == Unseen::Pass
}

fn rules_of(view: &View, facts: &Facts) -> SearchRules {
    view.snapshot.policy.levels().get(facts.who.level).search_rules()
}

/// Whether a reason is one of these settings'.
pub(crate) fn is_refusal(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::NoSafeMode
            | ReasonCode::SearchNotInspected
            | ReasonCode::NotForChildren
            | ReasonCode::ImageSearch
            | ReasonCode::UnsafeHost
    )
}

/// The host whose address requests to a host inside a tunnel of this person go to, where that is another.
pub(crate) fn redialled(view: &View, facts: &Facts, host: &Host) -> Option<Rc<Host>> {
    let site = Search::shipped().site(host).filter(|_| facts.generation == view.generation)?;
    site.redial(&rules_of(view, facts)).cloned().map(Rc::new)
}

/// What is changed in a request before it is sent on; nothing in most.
#[derive(Default)]
pub(crate) struct Changes {
    path_and_query: Option<PathAndQuery>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cookie: Option<HeaderValue>,
}

/// What the settings of the level, and the school's accounts, change in an allowed request.
///
/// # Errors
/// [`ReasonCode::Internal`]: what comes of it is no request, and must not be sent as it was.
pub(crate) fn changes(
    view: &View,
    facts: &Facts,
    headers: &HeaderMap,
) -> Result<Option<Box<Changes>>, ReasonCode> {
    let policy = &view.snapshot.policy;
    let tenants = policy.tenants();
    let restricts = facts.scheme == Scheme::Https && !tenants.restrictions().is_empty();
    if facts.searched.is_none() && !restricts {
        return Ok(None);
    }
    let made = catch_unwind(AssertUnwindSafe(|| {
        let mut changes = Changes::default();
        if let (Some(searched), Some(path_and_query)) = (&facts.searched, &facts.path_and_query) {
            let rules = rules_of(view, facts);
            let cookies: Vec<_> = headers
                .get_all(COOKIE)
                .iter()
                .map(|cookie| String::from_utf8_lossy(cookie.as_bytes()))
                .collect();
            let cookies: Vec<&str> = cookies.iter().map(|cookie| &**cookie).collect();
            let wanted = searched.site.rewrite(path_and_query.as_str(), &cookies, &rules);
            if let Some(path_and_query) = wanted.path_and_query {
                changes.path_and_query = Some(PathAndQuery::try_from(path_and_query).ok()?);
            }
            if let Some(cookie) = wanted.cookie {
                changes.cookie = Some(HeaderValue::from_bytes(cookie.as_bytes()).ok()?);
            }
            changes.take(wanted.headers.into_iter())?;
        }
        if restricts {
            changes.take(tenants.headers(&facts.host))?;
        }
        Some(changes)
    }));
    match made {
        Ok(Some(changes)) if changes.is_empty() => Ok(None),
        Ok(Some(changes)) => Ok(Some(Box::new(changes))),
        Ok(None) | Err(_) => {
            tracing::error!("a search could not be kept safe; the request was blocked");
            Err(ReasonCode::Internal)
        }
    }
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.path_and_query.is_none() && self.headers.is_empty() && self.cookie.is_none()
    }

    /// Takes in fields; `None`: one is none.
    fn take<'h>(&mut self, fields: impl Iterator<Item = (&'h str, &'h str)>) -> Option<()> {
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            self.headers.push((name, HeaderValue::from_str(value).ok()?));
        }
        Some(())
    }

    /// Changes a request that is about to leave.
    pub(crate) fn make(self, uri: &mut Uri, headers: &mut HeaderMap) {
        // A question about the whole site has no path.
        if let Some(path_and_query) = self.path_and_query.filter(|_| uri.path() != "*") {
            *uri = Uri::from(path_and_query);
        }
        if let Some(cookie) = self.cookie {
            headers.insert(COOKIE, cookie);
        }
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
    }
}

/// The headers by which services are told whose accounts they may let in: only the school says so.
struct RestrictingHeaders {
    names: Vec<HeaderName>,
    /// A bit for each length that a name has.
    lengths: u64,
}

fn restricting_headers() -> &'static RestrictingHeaders {
    static NAMES: OnceLock<RestrictingHeaders> = OnceLock::new();
    NAMES.get_or_init(|| {
        let all = rules::tenants::services().iter().flat_map(|service| &service.headers);
        let mut names: Vec<HeaderName> =
            all.filter_map(|header| HeaderName::from_bytes(header.name.as_bytes()).ok()).collect();
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        let lengths = names.iter().fold(0, |bits, name| bits | bit(name));
        RestrictingHeaders { names, lengths }
    })
}

fn bit(name: &HeaderName) -> u64 {
    1u64.checked_shl(name.as_str().len() as u32).unwrap_or(1)
}

/// Removes what a device says of accounts itself.
pub(crate) fn strip_restrictions(headers: &mut HeaderMap) {
    let known = restricting_headers();
    // Most requests have no field of these lengths.
    if headers.keys().all(|name| bit(name) & known.lengths == 0) {
        return;
    }
    for name in &known.names {
        headers.remove(name);
    }
}

#[cfg(test)]
#[path = "searches_tests.rs"]
mod tests;
