//! `policy.toml`: the school's decisions, read into a grid that answers in nanoseconds.

use crate::access::{Identity, Role, RoleSet, UserFacts};
use crate::category::{Catalogue, CategoryId, CategorySet};
pub use crate::document::PolicyError;
use crate::host::Host;
use crate::level::{LevelId, Levels};
use crate::site::Site;
use crate::time::{SchoolClock, UnixMillis, WeekTimes};
use std::net::IpAddr;

/// A rule's place in its policy: for records and explanations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(pub u16);

/// Where a rule stands and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `policy.toml:26`, or `baseline:12` for a shipped row.
    pub place: String,
    /// As written, e.g. `games = "allow at lunch"`.
    pub text: String,
}

/// A grid cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Acceptable.
    Allow,
    /// Unacceptable.
    Block,
    /// Acceptable at certain times.
    AllowAt(WeekTimes),
    /// Acceptable for nominated users.
    AllowFor(Role),
}

/// A `[[test]]` case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the keys of [[test]]")]
pub struct PolicyTest {
    pub place: String,
    pub level: LevelId,
    /// As written, e.g. `Tue 10:00`.
    pub at: Option<String>,
    pub allow: Vec<Subject>,
    pub block: Vec<Subject>,
}

/// What a test case is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A host (or host and path).
    Site(Site),
    /// `category:games`: an otherwise unknown site of that category.
    Category(CategoryId),
}

/// A standing exception.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys of [[exception]]")]
pub struct Exception {
    pub rule: RuleId,
    pub site: Site,
    pub level: LevelId,
    pub reason: String,
    pub review: jiff::civil::Date,
}

/// `[unblock]`: who may say yes, and how far.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the keys of [unblock]")]
pub struct UnblockRules {
    pub authorise: Vec<Role>,
    pub apply_automatically: bool,
    /// Who makes the change where it is not automatic.
    pub apply: Vec<Role>,
    pub confirm: Vec<Role>,
    pub max_days: u16,
    pub never: CategorySet,
}

/// A failed `[[test]]`: `ks2, Tue 10:00: childline.org.uk must be allowed; :28 blocks it`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFailure {
    /// The sentence.
    pub text: String,
}

/// A policy, checked and compiled.
#[derive(Clone, Debug)]
pub struct Policy {
    // The rules helper owns the private fields; the accessors below are the contract.
    levels: Levels,
    catalogue: Catalogue,
    clock: SchoolClock,
    rules: Vec<Rule>,
}

impl Policy {
    /// Reads a policy. `catalogue` holds the shipped categories and those of the machine's lists;
    /// `read` gives the text of a file that the policy names (`only = "local/ks1.txt"`).
    ///
    /// # Errors
    /// Every fault found, each with its line; unknown keys are faults.
    pub fn parse(
        text: &str,
        file: &str,
        catalogue: Catalogue,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Policy, Vec<PolicyError>> {
        let _ = (text, file, catalogue, read);
        todo!()
    }

    /// Files that the policy names, as written: watched for changes, part of its hash.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        todo!()
    }

    /// The school's name.
    #[must_use]
    pub fn school(&self) -> &str {
        todo!()
    }

    /// Levels.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Categories.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Time zone and terms.
    #[must_use]
    pub fn clock(&self) -> &SchoolClock {
        &self.clock
    }

    /// A rule's place and text.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> &Rule {
        &self.rules[usize::from(id.0)]
    }

    /// The cell that holds for a level and category, its own or inherited.
    #[must_use]
    pub fn cell(&self, level: LevelId, category: CategoryId) -> (&Cell, RuleId) {
        let _ = (level, category);
        todo!()
    }

    /// Whether a level is limited to a list of sites (`only`).
    #[must_use]
    pub fn only(&self, level: LevelId) -> Option<RuleId> {
        let _ = level;
        todo!()
    }

    /// Who somebody is: user beats group beats network; nobody known is the strictest level.
    #[must_use]
    pub fn identify(&self, user: Option<&UserFacts>, client: IpAddr) -> Identity {
        let _ = (user, client);
        todo!()
    }

    /// Whether any network maps to a level: without one, an unnamed client is always the strictest.
    #[must_use]
    pub fn knows_network(&self, client: IpAddr) -> bool {
        let _ = client;
        todo!()
    }

    /// The roles of a person, by name without case.
    #[must_use]
    pub fn roles(&self, user: &str) -> RoleSet {
        let _ = user;
        todo!()
    }

    /// The names that hold a role: for "ask Q. Whitmore (DSL)".
    #[must_use]
    pub fn holders(&self, role: Role) -> &[String] {
        let _ = role;
        todo!()
    }

    /// `[unblock]`.
    #[must_use]
    pub fn unblock_rules(&self) -> &UnblockRules {
        todo!()
    }

    /// Standing exceptions.
    #[must_use]
    pub fn exceptions(&self) -> &[Exception] {
        todo!()
    }

    /// The next `[from, until)` when a blocked access would be allowed by the clock alone.
    #[must_use]
    pub fn opens(&self, access: &crate::access::Access<'_>, now: UnixMillis) -> Option<(UnixMillis, UnixMillis)> {
        let _ = (access, now);
        todo!()
    }

    /// Runs all `[[test]]` cases. `categories` gives a host's (and path's) categories.
    #[must_use]
    pub fn run_tests(
        &self,
        categories: &dyn Fn(&Host, Option<&str>) -> CategorySet,
        now: UnixMillis,
    ) -> Vec<TestFailure> {
        let _ = (categories, now);
        todo!()
    }

    /// How many `[[test]]` expectations there are.
    #[must_use]
    pub fn test_count(&self) -> usize {
        todo!()
    }

    /// What differs from another policy, a line each, for `policy diff` and the change log;
    /// `loosens` tells whether any line opens more than before.
    #[must_use]
    pub fn diff(&self, newer: &Policy) -> PolicyDiff {
        let _ = newer;
        todo!()
    }
}

/// What differs between two policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyDiff {
    /// A line each, e.g. `games for ks3: block -> allow at lunch`.
    pub lines: Vec<String>,
    /// Whether anything opens that was closed.
    pub loosens: bool,
}
