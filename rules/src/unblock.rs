//! Time-limited educational unblocks.
//!
//! An unblock lifts a level's block for one scope until it ends. It never lifts a locked category
//! and never outlives the policy's `max_days`: a lesson, not a loophole.

use crate::access::{Access, Identity};
use crate::level::LevelId;
use crate::policy::Policy;
use crate::site::Site;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// An unblock's number, shown as `U-0137`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnblockId(pub u32);

impl std::fmt::Display for UnblockId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "U-{:04}", self.0)
    }
}

/// A school block's number, shown as `B-0012`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockId(pub u32);

impl std::fmt::Display for BlockId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "B-{:04}", self.0)
    }
}

/// For whom a change holds, as the change log keeps it: by name, so that it outlives a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "name")]
pub enum Scope {
    /// A level and those below it.
    Level(String),
    /// A group or class.
    Group(String),
    /// One person.
    User(String),
    /// The whole school: changes of how far the filter looks in. No unblock or block has it.
    Everyone,
}

impl Scope {
    /// Reads `ks3` (a level of the policy), `@9C` or `group:9C`, `user:sam.p` or `sam.p`.
    #[must_use]
    pub fn parse(text: &str, policy: &Policy) -> Option<Scope> {
        let text = text.trim();
        let (prefix, name) = match text.strip_prefix('@') {
            Some(group) => ("group", group),
            None => text.split_once(':').unwrap_or(("", text)),
        };
        let name = name.trim();
        if name.is_empty() || name.chars().any(char::is_control) {
            return None;
        }
        let level = policy.levels().named(name);
        let level = level.map(|level| Scope::Level(policy.levels().get(level).name.clone()));
        match prefix {
            "" | "level" if level.is_some() => level,
            "" | "user" => Some(Scope::User(name.to_lowercase())),
            "group" => Some(Scope::Group(name.to_owned())),
            _ => None,
        }
    }

    /// Whether it holds for a person under a policy. A level that the policy no longer has: no.
    #[must_use]
    pub fn holds_for(&self, who: &Identity, policy: &Policy) -> bool {
        match self {
            Scope::Level(name) => policy
                .levels()
                .id(name)
                .is_some_and(|level| policy.levels().within(who.level, level)),
            Scope::Group(name) => who.groups.iter().any(|group| same_name(group, name)),
            Scope::User(name) => who.user.as_deref().is_some_and(|user| same_name(user, name)),
            Scope::Everyone => true,
        }
    }

    /// The level, where the scope is one that the policy has.
    #[must_use]
    pub fn level(&self, policy: &Policy) -> Option<LevelId> {
        match self {
            Scope::Level(name) => policy.levels().id(name),
            _ => None,
        }
    }
}

/// Names of people and groups are compared without case; ASCII ones without allocating.
fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
        || (!(one.is_ascii() && other.is_ascii()) && one.to_lowercase() == other.to_lowercase())
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::Level(name) | Scope::User(name) => f.write_str(name),
            Scope::Group(name) => write!(f, "@{name}"),
            Scope::Everyone => f.write_str("everyone"),
        }
    }
}

/// An unblock in force or to come: what [`crate::decide::decide`] looks at.
#[derive(Clone, Debug)]
pub struct Unblock {
    /// Number.
    pub id: UnblockId,
    /// What it opens.
    pub site: Site,
    /// For whom.
    pub scope: Scope,
    /// Names of the only categories that it opens, for one under a standing yes; `None`: whichever there are.
    pub within: Option<Vec<String>>,
    /// The change log's sequence of its authorisation: a later `block` of the site overrules it.
    /// Never a time of day, for clocks go back; an extension is no new authorisation.
    pub authorised_sequence: u64,
    /// First instant.
    pub from: UnixMillis,
    /// First instant after.
    pub until: UnixMillis,
}

impl Unblock {
    /// Whether it opens an access now.
    #[must_use]
    pub fn covers(&self, access: &Access<'_>, policy: &Policy, now: UnixMillis) -> bool {
        self.from <= now
            && now < self.until
            && self.site.covers(access.host, access.path)
            && self.scope.holds_for(access.who, policy)
            && self.is_within(access, policy, now)
    }

    /// Whether no other categories close the access than those that it opens. A page or host below the site
    /// may be in more than the site, and what a list says may have changed since.
    fn is_within(&self, access: &Access<'_>, policy: &Policy, now: UnixMillis) -> bool {
        let Some(names) = &self.within else { return true };
        let catalogue = policy.catalogue();
        let closed = policy.closed_categories(access, now);
        closed.iter().all(|id| names.iter().any(|name| name == catalogue.name(id)))
    }
}

/// A site blocked at once by the school, beside the policy file.
#[derive(Clone, Debug)]
pub struct SiteBlock {
    /// Number.
    pub id: BlockId,
    /// What it closes.
    pub site: Site,
    /// For whom.
    pub scope: Scope,
    /// Its place in the change log: what orders it against unblocks.
    pub sequence: u64,
    /// When, for people.
    pub at: UnixMillis,
    /// Why.
    pub reason: String,
}
