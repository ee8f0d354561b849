//! Changes to the filter: events as the change log keeps them, the states that they lead to, and
//! who may do what. Nothing here does anything: a change takes effect once its event is durable.

use crate::access::Role;
use crate::policy::Policy;
use crate::site::{Site, SiteError};
use crate::time::UnixMillis;
use crate::unblock::{BlockId, Scope, SiteBlock, Unblock, UnblockId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// One event of the change log. Serialised as JSON (`"event": "unblock_asked"`, ...); fields are
/// only ever added, with defaults, so that old logs stay readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "each field is the word that users see in the change log")]
pub enum Event {
    /// Somebody asks for a site to be opened.
    UnblockAsked { id: UnblockId, site: String, scope: Scope, from: UnixMillis, until: UnixMillis, reason: String },
    /// An authoriser says yes.
    UnblockAuthorised { id: UnblockId },
    /// An authoriser says no.
    UnblockRefused { id: UnblockId, reason: String },
    /// The change is made; `automatic` is the actor where the policy says so.
    UnblockApplied { id: UnblockId },
    /// Somebody other than the authoriser has seen it work.
    UnblockConfirmed { id: UnblockId, note: String },
    /// An authoriser moves the end.
    UnblockExtended { id: UnblockId, until: UnixMillis, reason: String },
    /// Ended before its time.
    UnblockRevoked { id: UnblockId, reason: String },
    /// A site closed at once.
    SiteBlocked { id: BlockId, site: String, scope: Scope, reason: String },
    /// Such a block taken away again.
    SiteBlockLifted { id: BlockId, reason: String },
    /// A policy took effect. `hash` is the SHA-256 of its text in hex; `summary` lists what differs.
    PolicyApplied { hash: String, reason: String, summary: Vec<String> },
    /// A list version took effect.
    ListAccepted { list: String, version: String, entries: u64, added: u64, removed: u64 },
    /// A list version waits for a person: why.
    ListHeld { list: String, version: String, why: String },
    /// An earlier list version took effect again.
    ListRolledBack { list: String, version: String },
    /// A user was added or changed: which fields, never a password.
    UserChanged { user: String, changed: Vec<String> },
    /// No internet for a user until then; in the past: lifted.
    UserBanned { user: String, until: UnixMillis, reason: String },
    /// A user was removed.
    UserRemoved { user: String },
    /// An action that was refused: what was tried and why not.
    ActionRefused { action: String, why: String },
    /// A daemon began to serve: its version, policy and lists.
    ServeStarted { version: String, policy_hash: String, list_version: String },
    /// A daemon ended in order.
    ServeStopped {},
}

/// An event with its place, time and actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeEntry {
    /// 0-based place in the log.
    pub sequence: u64,
    /// When it was written.
    pub at: UnixMillis,
    /// Who did it: a person's name, `automatic` or `schoolgate`.
    pub actor: String,
    /// What.
    pub event: Event,
}

/// Where an unblock stands (UX.md). `Live`, `ReviewDue` and `Ended` depend on the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words are those of UX.md")]
pub enum UnblockState {
    Asked,
    Authorised,
    Live,
    Confirmed,
    ReviewDue,
    Ended,
    Refused,
    Lapsed,
    Revoked,
}

/// Everything known of one unblock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "each field is a column of the change log")]
pub struct UnblockHistory {
    pub id: UnblockId,
    pub site: String,
    pub scope: Scope,
    pub from: UnixMillis,
    pub until: UnixMillis,
    pub reason: String,
    pub asked_at: UnixMillis,
    pub requested_by: String,
    pub authorised: Option<(UnixMillis, String)>,
    pub applied: Option<(UnixMillis, String)>,
    pub confirmed: Option<(UnixMillis, String)>,
    pub refused: Option<(UnixMillis, String, String)>,
    pub revoked: Option<(UnixMillis, String, String)>,
    pub extensions: Vec<(UnixMillis, String, UnixMillis)>,
}

/// The change log folded: what is in force, and the history of each change.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Sequence of the next entry: how many were folded.
    pub size: u64,
    /// All unblocks ever asked for.
    pub unblocks: BTreeMap<UnblockId, UnblockHistory>,
    /// Blocks in force.
    pub blocks: Vec<SiteBlock>,
    /// Every block ever made has a number below this.
    pub next_block: u32,
}

/// Why an action on a change is not allowed, in words for the person who tried.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ChangeError {
    #[error("no unblock {0}")]
    NoSuchUnblock(UnblockId),
    #[error("no block {0}")]
    NoSuchBlock(BlockId),
    #[error("{id} is {state}; only {wanted} can be {action}")]
    WrongState { id: UnblockId, state: &'static str, wanted: &'static str, action: &'static str },
    #[error("you asked for {0}, so you cannot authorise it")]
    OwnRequest(UnblockId),
    #[error("{by} holds none of the roles that may do this: {roles}")]
    NoRole { by: String, roles: String },
    #[error("the reason is too short; say what the lesson or need is, in at least 10 letters")]
    ReasonTooShort,
    #[error("the end lies in the past")]
    EndsInPast,
    #[error("an unblock lasts at most {max_days} days (policy `max_days`)")]
    TooLong { max_days: u16 },
    #[error("\"{category}\" is locked and cannot be opened by anyone")]
    Locked { category: String },
    #[error("\"{category}\" is never unblocked at this school (policy `never`)")]
    Never { category: String },
    #[error("\"{0}\" is no level, @group or user of this school")]
    BadScope(String),
    #[error(transparent)]
    Site(#[from] SiteError),
}

impl Changes {
    /// Takes in the next entry of the log. Entries that make no sense in this state (a damaged or
    /// foreign log) are left out, never guessed at.
    pub fn fold(&mut self, entry: &ChangeEntry) {
        let _ = entry;
        todo!()
    }

    /// Where an unblock stands at an instant.
    #[must_use]
    pub fn state(&self, id: UnblockId, now: UnixMillis) -> Option<UnblockState> {
        let _ = (id, now);
        todo!()
    }

    /// Unblocks that are authorised, applied, not revoked, and not ended at `now` (those that start
    /// later included): what goes into a snapshot.
    #[must_use]
    pub fn live(&self, now: UnixMillis) -> Vec<Unblock> {
        let _ = now;
        todo!()
    }

    /// The number that the next unblock gets.
    #[must_use]
    pub fn next_unblock(&self) -> UnblockId {
        UnblockId(self.unblocks.last_key_value().map_or(1, |(id, _)| id.0 + 1))
    }
}

/// Checks a request and makes its event. `categories` are the names of the site's categories with
/// whether each is locked; `by` is who asks.
///
/// # Errors
/// [`ChangeError`]: reason, end, scope, site or category.
#[allow(clippy::too_many_arguments, reason = "the fields of the request form")]
pub fn ask_unblock(
    changes: &Changes,
    policy: &Policy,
    categories: crate::category::CategorySet,
    site: &Site,
    scope: Scope,
    from: UnixMillis,
    until: UnixMillis,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    let _ = (changes, policy, categories, site, scope, from, until, reason, now);
    todo!()
}

/// Checks a yes and makes its events, the automatic apply included where the policy says so.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, own request, no role.
pub fn authorise_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    now: UnixMillis,
) -> Result<Vec<(String, Event)>, ChangeError> {
    let _ = (changes, policy, id, by, now);
    todo!()
}

/// Checks that `by` holds one of `roles` in the policy.
///
/// # Errors
/// [`ChangeError::NoRole`].
pub fn require_role(policy: &Policy, by: &str, roles: &[Role]) -> Result<(), ChangeError> {
    let _ = (policy, by, roles);
    todo!()
}
