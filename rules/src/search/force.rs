//! What a level's settings make of a request to a search engine: where it goes, what is changed in it,
//! whether it is refused.

use super::cookies::{self, CookieSetting};
use super::engines::{Engine, ForcedBy, SafeMode};
use super::query::{self, Setting};
use super::sites::SearchedSite;
use super::{Role, SearchSite, Vertical};
use crate::decide::ReasonCode;
use crate::host::Host;
use crate::level::{ImageMode, VideoMode};
use crate::target::seen_path;

/// A level's settings about searches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchRules {
    /// Searches are safe, or there are none.
    pub safe_search: bool,
    /// How much of video sites.
    pub video: VideoMode,
    /// Searches for pictures.
    pub images: ImageMode,
    /// Only engines made for children.
    pub child_engines: bool,
}

/// Why a request to a search engine is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The engine has no safe mode that could be forced.
    NoSafeMode,
    /// The engine's safe mode can be forced only where HTTPS is inspected, and this is not.
    NotInspected,
    /// The engine is not made for children.
    NotForChildren,
    /// It searches for pictures.
    Images,
    /// The host holds only what the safe mode leaves out, or has no such mode.
    UnsafeHost,
}

impl Refusal {
    /// The reason in records.
    #[must_use]
    pub fn code(self) -> ReasonCode {
        match self {
            Self::NoSafeMode => ReasonCode::NoSafeMode,
            Self::NotInspected => ReasonCode::SearchNotInspected,
            Self::NotForChildren => ReasonCode::NotForChildren,
            Self::Images => ReasonCode::ImageSearch,
            Self::UnsafeHost => ReasonCode::UnsafeHost,
        }
    }
}

/// What becomes of a tunnel whose inside is not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen<'s> {
    /// It goes where it was meant to.
    Pass,
    /// It goes to this host's address; nothing in it is changed.
    Redial(&'s Host),
    /// It is refused.
    Refuse(Refusal),
}

/// What is changed in a request before it is sent on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes<'s> {
    /// In place of the path and query; `None` where they stay.
    pub path_and_query: Option<String>,
    /// Names and values; each comes in place of every field of its name.
    pub headers: Vec<(&'s str, &'s str)>,
    /// One `Cookie` field in place of all of the request's; `None` where they stay.
    pub cookie: Option<String>,
}

impl Changes<'_> {
    /// Whether the request goes on as it came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.path_and_query.is_none() && self.headers.is_empty() && self.cookie.is_none()
    }
}

impl<'s> SearchSite<'s> {
    /// What becomes of a tunnel to this host whose inside is not seen. Where an engine can be forced only
    /// inside, and the level wants it forced, the tunnel is refused.
    #[must_use]
    pub fn unseen(&self, rules: &SearchRules) -> Unseen<'s> {
        let Some(engine) = self.engine else {
            return match self.engine_by_name(rules, None) {
                Some(refusal) => Unseen::Refuse(refusal),
                None => Unseen::Pass,
            };
        };
        if is_kept_from(engine, rules) && self.role != Role::Plain {
            return Unseen::Refuse(Refusal::NotForChildren);
        }
        if rules.images == ImageMode::Block && self.vertical == Some(Vertical::Images) {
            return Unseen::Refuse(Refusal::Images);
        }
        if let Some(host) = self.redial(rules) {
            return Unseen::Redial(host);
        }
        let mode = mode(engine, rules, self.vertical);
        if mode == VideoMode::Open {
            return Unseen::Pass;
        }
        match (engine.safe, self.role) {
            (SafeMode::Always, _) | (SafeMode::Forced, Role::Plain) => Unseen::Pass,
            (SafeMode::None, _) => Unseen::Refuse(Refusal::NoSafeMode),
            (SafeMode::Forced, Role::Refused) => Unseen::Refuse(Refusal::UnsafeHost),
            (SafeMode::Forced, _) => Unseen::Refuse(Refusal::NotInspected),
        }
    }

    /// The host whose address a connection to this one goes to instead, seen or not. The certificate that
    /// is wanted stays that of the host that was asked for.
    #[must_use]
    pub fn redial(&self, rules: &SearchRules) -> Option<&'s Host> {
        let engine = self.engine.filter(|_| self.role == Role::Redialled)?;
        // What of an address is for pictures cannot be told: all of it is kept safe, then.
        let vertical = (rules.images != ImageMode::Any).then_some(Vertical::Images);
        engine.safe_host(mode(engine, rules, vertical))
    }

    /// Why a request that is seen is refused, from its path and query as the client wrote them.
    #[must_use]
    pub fn refusal(&self, path_and_query: &str, rules: &SearchRules) -> Option<Refusal> {
        let vertical = self.vertical(path_and_query);
        let is_image = vertical == Vertical::Images;
        if is_image && rules.images == ImageMode::Block {
            return Some(Refusal::Images);
        }
        let Some(engine) = self.engine else {
            let no_mode = is_image && rules.images == ImageMode::Safe;
            let by_name = self.engine_by_name(rules, Some(path_and_query));
            return by_name.or(no_mode.then_some(Refusal::NoSafeMode));
        };
        let searches = engine.searches(&seen_path(query::split(path_and_query).0));
        if is_kept_from(engine, rules) && searches && self.role != Role::Plain {
            return Some(Refusal::NotForChildren);
        }
        if mode(engine, rules, Some(vertical)) == VideoMode::Open {
            return None;
        }
        match (engine.safe, self.role) {
            (SafeMode::Forced, Role::Refused) => Some(Refusal::UnsafeHost),
            (SafeMode::None, _) if searches || is_image => Some(Refusal::NoSafeMode),
            _ => None,
        }
    }

    /// What is changed in a request that is seen: its path and query as the client wrote them, and its
    /// `Cookie` fields. What comes out needs no further change. Bodies are not looked at.
    #[must_use]
    pub fn rewrite(
        &self,
        path_and_query: &str,
        cookies: &[&str],
        rules: &SearchRules,
    ) -> Changes<'s> {
        let mut changes = Changes::default();
        let Some(engine) = self.engine else { return changes };
        let mode = mode(engine, rules, Some(self.vertical(path_and_query)));
        if mode == VideoMode::Open {
            return changes;
        }
        let (raw_path, query) = query::split(path_and_query);
        let path = seen_path(raw_path);
        let searches = engine.searches(&path);
        changes.path_and_query = rewritten(engine, raw_path, &path, query);
        let has_fragment = path_and_query.contains('#');
        if has_fragment && changes.path_and_query.is_none() {
            changes.path_and_query = path_and_query.split('#').next().map(str::to_owned);
        }
        changes.headers = engine
            .headers
            .iter()
            .map(|header| match mode {
                VideoMode::Moderate => (&*header.name, &*header.moderate),
                _ => (&*header.name, &*header.strict),
            })
            .collect();
        let settings: Vec<CookieSetting<'_>> = engine
            .cookies
            .iter()
            .map(|cookie| CookieSetting {
                name: &cookie.name,
                part: cookie.part.as_deref(),
                value: &cookie.strict,
                add: searches,
            })
            .collect();
        changes.cookie = cookies::set(cookies, &settings);
        changes
    }

    /// How a request that is seen is kept to the safe mode, for people: `address strict.bing.com`,
    /// `parameter adlt=strict`. Empty where it is not.
    #[must_use]
    pub fn forced_by(&self, path_and_query: &str, rules: &SearchRules) -> Vec<String> {
        let mut words: Vec<String> =
            self.redial(rules).map(|host| format!("address {host}")).into_iter().collect();
        let Some(engine) = self.engine else { return words };
        let mode = mode(engine, rules, Some(self.vertical(path_and_query)));
        if mode == VideoMode::Open {
            return words;
        }
        let path = seen_path(query::split(path_and_query).0);
        let searches = engine.searches(&path);
        for it in &engine.parameters {
            let is_here = match it.paths.is_empty() {
                true => searches,
                false => it.paths.iter().any(|prefix| prefix.covers(&path)),
            };
            if it.add && is_here {
                words.push(format!("parameter {}={}", it.name, it.strict));
            }
        }
        for header in &engine.headers {
            let value = if mode == VideoMode::Moderate { &header.moderate } else { &header.strict };
            words.push(format!("header {}: {value}", header.name));
        }
        for cookie in engine.cookies.iter().filter(|_| searches) {
            let part = cookie.part.as_ref().map(|part| format!("{part}=")).unwrap_or_default();
            words.push(format!("cookie {}={part}{}", cookie.name, cookie.strict));
        }
        words
    }

    /// Why a site that is a search engine by the file of sites alone is refused: all of it, or a request that searches the
    /// web at a portal. Path and query as the client wrote them; `None`: they are not seen.
    fn engine_by_name(&self, rules: &SearchRules, seen: Option<&str>) -> Option<Refusal> {
        let refusal = match (rules.child_engines, rules.safe_search) {
            (true, _) => Refusal::NotForChildren,
            (false, true) => Refusal::NoSafeMode,
            (false, false) => return None,
        };
        let searches = |site: &SearchedSite| {
            let (path, query) = query::split(seen?);
            site.words(&seen_path(path), query.unwrap_or_default())
        };
        let is_engine = self.sites.iter().any(|site| match site.engine && site.paths.is_empty() {
            true => true,
            false => (site.engine || site.portal) && searches(site).is_some(),
        });
        is_engine.then_some(refusal)
    }
}

/// Whether an engine is kept from a level that has only those made for children.
fn is_kept_from(engine: &Engine, rules: &SearchRules) -> bool {
    rules.child_engines && !engine.child && engine.forced_by == ForcedBy::SafeSearch
}

/// The mode that a level's settings want of an engine, for what is searched for where that is known.
fn mode(engine: &Engine, rules: &SearchRules, vertical: Option<Vertical>) -> VideoMode {
    match engine.forced_by {
        ForcedBy::Video => rules.video,
        ForcedBy::SafeSearch => {
            let images = rules.images != ImageMode::Any && vertical == Some(Vertical::Images);
            if rules.safe_search || images { VideoMode::Strict } else { VideoMode::Open }
        }
    }
}

/// Path and query with the engine's parameters set, or `None` where they are.
fn rewritten(engine: &Engine, raw_path: &str, path: &str, query: Option<&str>) -> Option<String> {
    let settings: Vec<Setting<'_>> = engine
        .parameters
        .iter()
        .filter(|it| it.paths.is_empty() || it.paths.iter().any(|prefix| prefix.covers(path)))
        .map(|parameter| Setting {
            name: &parameter.name,
            value: &parameter.strict,
            // Elsewhere on the site it is set where it is there: a page of settings, say.
            add: parameter.add && (engine.searches(path) || !parameter.paths.is_empty()),
        })
        .collect();
    let given = query.unwrap_or_default();
    // What is set first may leave words in a parameter of their own.
    let set = query::set(given, &settings);
    let without =
        query::without_words(set.as_deref().unwrap_or(given), &engine.query, &engine.off_words);
    let made = without.or(set)?;
    Some(format!("{raw_path}?{made}"))
}
