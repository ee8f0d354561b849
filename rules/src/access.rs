//! Who asks for what.

use crate::category::CategorySet;
use crate::host::Host;
use crate::level::LevelId;
use crate::target::Scheme;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a named person may do about the filter; given in `[roles]` of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Role {
    /// Opens sites for a class under a standing yes.
    Teacher,
    /// The technician.
    It,
    /// Designated Safeguarding Lead, or deputy.
    Dsl,
    /// Headteacher.
    Head,
    /// Reads reports without names.
    Governor,
    /// Reads everything, changes nothing.
    Auditor,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 6] =
        [Role::Teacher, Role::It, Role::Dsl, Role::Head, Role::Governor, Role::Auditor];

    /// The word in files and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Teacher => "teacher",
            Role::It => "it",
            Role::Dsl => "dsl",
            Role::Head => "head",
            Role::Governor => "governor",
            Role::Auditor => "auditor",
        }
    }

    /// The role of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleSet(u8);

impl RoleSet {
    /// Adds one role.
    pub fn insert(&mut self, role: Role) {
        self.0 |= 1 << role as u8;
    }

    /// Whether the set holds a role.
    #[must_use]
    pub fn contains(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// Whether the sets share a role.
    #[must_use]
    pub fn intersects(self, other: RoleSet) -> bool {
        self.0 & other.0 != 0
    }
}

impl FromIterator<Role> for RoleSet {
    fn from_iter<T: IntoIterator<Item = Role>>(roles: T) -> Self {
        let mut set = Self::default();
        roles.into_iter().for_each(|role| set.insert(role));
        set
    }
}

/// How the level was found; shown by `check` and on the set-up page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownBy {
    /// `user:` in `[who]`, or the level kept with the user.
    User,
    /// `group:` in `[who]`.
    Group,
    /// `net:` in `[who]`.
    Network,
    /// Nothing matched: the strictest level.
    Nothing,
}

/// Who is asking, as far as proved. Made once per connection or sign-in, shared by its requests.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The level that decides.
    pub level: LevelId,
    /// Proven user name; `None` is never filled with a guess.
    pub user: Option<Arc<str>>,
    /// The user's groups, e.g. `Year 7`, `9C`.
    pub groups: Arc<[String]>,
    /// The user's roles.
    pub roles: RoleSet,
    /// No internet until then (a sanction).
    pub banned_until: Option<UnixMillis>,
    /// How the level was found.
    pub known_by: KnownBy,
}

/// What the user store knows of a person, for [`crate::policy::Policy::identify`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFacts {
    /// Name as signed in with; compared without case.
    pub name: Arc<str>,
    /// Level set by `user set-level`, by name.
    pub level: Option<String>,
    /// Groups.
    pub groups: Arc<[String]>,
    /// No internet until then.
    pub banned_until: Option<UnixMillis>,
}

/// One access: who asks for what, as far as is known at this point of the exchange.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Who.
    pub who: &'a Identity,
    /// How.
    pub scheme: Scheme,
    /// Canonical host.
    pub host: &'a Host,
    /// Port.
    pub port: u16,
    /// Path as rules see it ([`crate::target::seen_path`]); `None` in a tunnel.
    pub path: Option<&'a str>,
    /// All categories of host and path; [`crate::category::CategoryId::UNCATEGORISED`] alone if none.
    pub categories: CategorySet,
}
