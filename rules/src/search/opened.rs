//! What the school opens of the search engines that a level's settings refuse, and where an access to one goes.

use super::force::{Refusal, SearchRules, Unseen};
use super::{ForcedBy, Role, Search, SearchSite};
use crate::access::Access;
use crate::decide::Reason;
use crate::host::Host;
use crate::level::ImageMode;
use crate::policy::Policy;
use crate::site::Site;
use crate::time::UnixMillis;
use crate::unblock::Unblock;

/// The category that a standing yes has to name before a lesson opens an engine without a safe mode.
const ENGINES: &str = "search-engines";

/// Where an access to a host of a search engine goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way<'s> {
    /// To this host's address; `None`: to that of the host which was asked for.
    pub to: Option<&'s Host>,
    /// The unblock or exception without which it would be refused.
    pub opened: Option<Reason>,
}

/// What opens an engine that has no safe mode, or is not made for children, for an access that the policy allows: a live
/// unblock, else a standing exception. Its site has to be the engine's own, so that one of `yahoo.com`, for the mail there,
/// leaves the search as it is.
#[must_use]
pub fn opens_engine(
    policy: &Policy,
    unblocks: &[Unblock],
    access: &Access<'_>,
    now: UnixMillis,
) -> Option<Reason> {
    let search = Search::shipped();
    let is_never = !policy.unblock_rules().never.intersection(access.categories).is_empty();
    let may_open = |unblock: &&Unblock| {
        let names_engines = |names: &Vec<String>| names.iter().any(|name| name == ENGINES);
        !is_never
            && unblock.within.as_ref().is_none_or(names_engines)
            && unblock.covers(access, policy, now)
            && search.is_engine(&unblock.site)
    };
    if let Some(unblock) = unblocks.iter().find(may_open) {
        return Some(Reason::Unblock(unblock.id));
    }
    let exception = policy.exceptions().iter().find(|exception| {
        !exception.blocks
            && policy.levels().within(access.who.level, exception.level)
            && exception.site.covers(access.host, access.path)
            && search.is_engine(&exception.site)
    });
    exception.map(|exception| Reason::Exception(exception.rule))
}

impl Search {
    /// Whether a site is a search engine's own, or the part of a portal that searches the whole web; not one that only belongs
    /// to an engine's operator, nor all of a portal.
    #[must_use]
    pub fn is_engine(&self, named: &Site) -> bool {
        self.site(named.host()).is_some_and(|site| match site.engine {
            Some(engine) => {
                engine.forced_by == ForcedBy::SafeSearch
                    && matches!(site.role, Role::Searching | Role::Redialled)
            }
            None => site.sites.iter().any(|it| match it.engine && it.paths.is_empty() {
                true => true,
                false => (it.engine || it.portal) && named.path().is_some(),
            }),
        })
    }
}

impl<'s> SearchSite<'s> {
    /// Where an access to this host goes; `seen`: its path and query as the client wrote them, `None` in a tunnel whose
    /// inside is not seen. `opened` is asked only where an engine would be refused that somebody may open
    /// ([`opens_engine`]); what is opened is kept safe where it can be.
    ///
    /// # Errors
    /// Why it goes nowhere.
    pub fn way(
        &self,
        rules: &SearchRules,
        seen: Option<&str>,
        opened: impl FnOnce() -> Option<Reason>,
    ) -> Result<Way<'s>, Refusal> {
        let refusal = match self.leads_to(rules, seen) {
            Ok(to) => return Ok(Way { to, opened: None }),
            Err(refusal) => refusal,
        };
        let opened = match refusal {
            Refusal::NoSafeMode | Refusal::NotForChildren => opened(),
            _ => None,
        };
        if opened.is_none() {
            return Err(refusal);
        }
        match self.leads_to(&SearchRules { child_engines: false, ..*rules }, seen) {
            Ok(to) => Ok(Way { to, opened }),
            // Of what is not seen nobody can tell whether it is for pictures.
            Err(Refusal::NoSafeMode) if seen.is_none() && rules.images == ImageMode::Block => {
                Err(Refusal::NotInspected)
            }
            Err(Refusal::NoSafeMode) => Ok(Way { to: None, opened }),
            Err(refusal) => Err(refusal),
        }
    }

    fn leads_to(
        &self,
        rules: &SearchRules,
        seen: Option<&str>,
    ) -> Result<Option<&'s Host>, Refusal> {
        let Some(path_and_query) = seen else {
            return match self.unseen(rules) {
                Unseen::Pass => Ok(None),
                Unseen::Redial(host) => Ok(Some(host)),
                Unseen::Refuse(refusal) => Err(refusal),
            };
        };
        self.refusal(path_and_query, rules).map_or_else(|| Ok(self.redial(rules)), Err)
    }

    /// What a record says that searches, where a setting about searches refuses: `search: Kagi`.
    #[must_use]
    pub fn rule_text(&self) -> String {
        let engine = self.sites.iter().find(|site| site.engine || site.portal);
        let engine = engine.map(|site| &*site.name).or(self.engine.map(|engine| &*engine.title));
        let any = self.sites.first().map(|site| &*site.name);
        format!("search: {}", engine.or(any).unwrap_or("an engine"))
    }
}
