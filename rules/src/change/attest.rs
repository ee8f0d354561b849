//! What the filter states about itself at its start and each hour, as entries of the change log, and
//! the head of the access log's tree that each of them carries.

use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// The access log's tree at one moment: a checkpoint of the change log that covers this covers every
/// batch of accesses up to here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessHead {
    /// How many batches.
    pub size: u64,
    /// Root of their tree (RFC 6962), hex.
    pub root: String,
    /// The days in use, with what they held.
    pub days: Vec<DayCount>,
}

/// What a day held at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCount {
    /// The school day.
    pub day: String,
    /// Rows.
    pub rows: u64,
    /// Ends that came by themselves.
    pub ends: u64,
}

/// What the filter was and did by: stated again when it differs, and at each start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Version of the program.
    pub version: String,
    /// SHA-256 of the program's file, hex; missing where it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
    /// SHA-256 of the policy text in force, hex.
    pub policy_hash: String,
    /// Version of the compiled lists in force.
    pub list_version: String,
    /// The lists of locked categories.
    pub locked_lists: Vec<LockedList>,
    /// Locked categories that have no entry at all.
    pub locked_without_entries: Vec<String>,
    /// How far the filter looks into https, by level.
    pub levels: Vec<LevelMode>,
    /// What tells the time.
    pub clock: Clock,
}

/// A list of a locked category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedList {
    /// Name.
    pub list: String,
    /// Its category.
    pub category: String,
    /// When the version in force was taken in: its age; missing: part of the program, or never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_in: Option<UnixMillis>,
    /// Entries of that version.
    pub entries: u64,
}

/// How far the filter looks into https for a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelMode {
    /// The level.
    pub level: String,
    /// `page`, `name` or `never`: the policy's word for sites that have none of their own.
    pub mode: String,
}

/// What tells the time, as far as the program can see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// `systemd-timesyncd`, `chrony`, `ntpd` or `unknown`.
    pub source: String,
    /// Whether it says that the clock is right; missing: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronised: Option<bool>,
}

/// How far the filter saw into what a level did, on the day so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthShare {
    /// The level.
    pub level: String,
    /// Plain http.
    pub plain: u64,
    /// Https connections looked into.
    pub looked_into: u64,
    /// Https connections of which the name alone was seen.
    pub by_name: u64,
    /// Https connections whose client refused the school's certificate.
    pub refused: u64,
}
