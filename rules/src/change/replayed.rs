//! What came of trying a new policy on recorded accesses before somebody asked for it: part of the change's record, for
//! whoever authorises it.

use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// Most shares that a record has.
pub const MAX_SHARES: usize = 64;

/// Whether and how a policy was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replayed {
    /// Each of these records was decided by the policy in force, and by the new one.
    Tried(Trial),
    /// The log had no records of that time, nor older ones.
    NoRecords {
        /// First instant.
        from: UnixMillis,
        /// First instant after it.
        until: UnixMillis,
    },
    /// It failed. What opens anything is not asked for so.
    Failed {
        /// Why.
        why: String,
    },
    /// Whoever brought the policy in wanted it so.
    Left {
        /// Why, in their words.
        reason: String,
    },
}

/// What would have been decided otherwise. Numbers of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// From when the records were.
    pub from: UnixMillis,
    /// First instant after them.
    pub until: UnixMillis,
    /// Whether the policy was tried on all records of the days that were asked for. If not, on the newest: there was no
    /// time for more, or none were of those days.
    pub whole: bool,
    /// All of that time.
    pub records: u64,
    /// Those that can be decided again.
    pub judged: u64,
    /// Those with words that somebody typed.
    pub typed: u64,
    /// What passed, and would be refused.
    pub refused: u64,
    /// What was refused, and would pass.
    pub passed: u64,
    /// Typed words that would be a sign of a theme, and were none.
    pub newly_signs: u64,
    /// The other way round.
    pub no_longer_signs: u64,
    /// The same by level and theme, at most [`MAX_SHARES`], the largest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
}

/// What a level's people would be refused, or have pass, for one kind of reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The level, by the policy in force.
    pub level: String,
    /// The theme of what was typed; `None`: for the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theme: Option<String>,
    /// Newly refused.
    pub refused: u64,
    /// Newly passing.
    pub passed: u64,
}
