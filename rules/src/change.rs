//! Changes to the filter: events as the change log keeps them, the states that they lead to, and
//! who may do what. Nothing here does anything: a change takes effect once its event is durable.

use crate::access::{Role, RoleSet};
use crate::category::CategorySet;
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
    UnblockAsked {
        id: UnblockId,
        site: String,
        scope: Scope,
        from: UnixMillis,
        until: UnixMillis,
        reason: String,
    },
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
    /// An authoriser says yes to a policy that opens more than before; its `PolicyApplied` follows.
    PolicyAuthorised { hash: String, reason: String },
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
    #[error("you {did} {id}, so you cannot {action} it")]
    SamePerson { id: UnblockId, did: &'static str, action: &'static str },
    #[error("the end must come after the start")]
    EndsBeforeStart,
    #[error("a reason is needed")]
    NoReason,
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

/// The actor of changes that the policy has made without a person.
pub const AUTOMATIC: &str = "automatic";

/// An asked unblock that nobody answers for so long has lapsed: five school days, a week, in
/// milliseconds.
pub const LAPSE_MILLIS: i64 = 7 * DAY_MILLIS;

const DAY_MILLIS: i64 = 86_400_000;

/// Fewest letters of a reason to open something.
const REASON_LETTERS: usize = 10;

impl UnblockState {
    /// The word of UX.md.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Authorised => "authorised",
            Self::Live => "live",
            Self::Confirmed => "confirmed",
            Self::ReviewDue => "review due",
            Self::Ended => "ended",
            Self::Refused => "refused",
            Self::Lapsed => "lapsed",
            Self::Revoked => "revoked",
        }
    }
}

impl UnblockHistory {
    /// Where it stands at an instant.
    #[must_use]
    pub fn state(&self, now: UnixMillis) -> UnblockState {
        if self.revoked.is_some() {
            return UnblockState::Revoked;
        }
        if self.refused.is_some() {
            return UnblockState::Refused;
        }
        let ended = now >= self.until;
        if self.authorised.is_none() {
            let lapsed = ended || now.0 >= self.asked_at.0.saturating_add(LAPSE_MILLIS);
            return if lapsed { UnblockState::Lapsed } else { UnblockState::Asked };
        }
        match (&self.applied, &self.confirmed) {
            (None, _) if ended => UnblockState::Lapsed,
            (Some(_), _) if ended => UnblockState::Ended,
            (None, _) => UnblockState::Authorised,
            (Some(_), _) if now < self.from => UnblockState::Authorised,
            (Some(_), Some(_)) => UnblockState::Confirmed,
            (Some(_), None) => UnblockState::Live,
        }
    }
}

impl Changes {
    /// Takes in the next entry of the log. Entries that make no sense in this state (a damaged or
    /// foreign log) are left out, never guessed at: nothing opens but by a request, a yes from
    /// another person and an apply, in that order.
    pub fn fold(&mut self, entry: &ChangeEntry) {
        self.size = self.size.max(entry.sequence + 1);
        let (at, by) = (entry.at, entry.actor.clone());
        match &entry.event {
            Event::UnblockAsked { id, site, scope, from, until, reason } => {
                self.unblocks.entry(*id).or_insert_with(|| UnblockHistory {
                    id: *id,
                    site: site.clone(),
                    scope: scope.clone(),
                    from: *from,
                    until: *until,
                    reason: reason.clone(),
                    asked_at: at,
                    requested_by: by,
                    authorised: None,
                    applied: None,
                    confirmed: None,
                    refused: None,
                    revoked: None,
                    extensions: Vec::new(),
                });
            }
            Event::SiteBlocked { id, site, scope, reason } => {
                self.fold_block(*id, site, scope, reason, at)
            }
            Event::SiteBlockLifted { id, .. } => self.blocks.retain(|block| block.id != *id),
            event => self.fold_answer(event, at, by),
        }
    }

    fn fold_block(&mut self, id: BlockId, site: &str, scope: &Scope, reason: &str, at: UnixMillis) {
        if id.0 < self.next_block {
            return;
        }
        let Ok(site) = Site::parse(site) else { return };
        self.next_block = id.0 + 1;
        self.blocks.push(SiteBlock {
            id,
            site,
            scope: scope.clone(),
            at,
            reason: reason.to_owned(),
        });
    }

    /// Takes in what happened to an unblock after it was asked for.
    fn fold_answer(&mut self, event: &Event, at: UnixMillis, by: String) {
        let (Event::UnblockAuthorised { id }
        | Event::UnblockRefused { id, .. }
        | Event::UnblockApplied { id }
        | Event::UnblockConfirmed { id, .. }
        | Event::UnblockExtended { id, .. }
        | Event::UnblockRevoked { id, .. }) = event
        else {
            return;
        };
        let Some(unblock) = self.unblocks.get_mut(id) else { return };
        let state = unblock.state(at);
        let authorised_by = unblock.authorised.as_ref().map(|(_, who)| who.as_str());
        let applied_by = unblock.applied.as_ref().map(|(_, who)| who.as_str());
        match event {
            Event::UnblockAuthorised { .. } => {
                if state == UnblockState::Asked && !same_person(&by, &unblock.requested_by) {
                    unblock.authorised = Some((at, by));
                }
            }
            Event::UnblockRefused { reason, .. } => {
                if state == UnblockState::Asked {
                    unblock.refused = Some((at, by, reason.clone()));
                }
            }
            Event::UnblockApplied { .. } => {
                let distinct = !authorised_by.is_some_and(|who| same_person(who, &by));
                if state == UnblockState::Authorised && unblock.applied.is_none() && distinct {
                    unblock.applied = Some((at, by));
                }
            }
            Event::UnblockConfirmed { .. } => {
                let distinct = ![authorised_by, applied_by]
                    .into_iter()
                    .flatten()
                    .any(|who| same_person(who, &by));
                if state == UnblockState::Live && distinct {
                    unblock.confirmed = Some((at, by));
                }
            }
            Event::UnblockExtended { until, .. } => {
                if may_still_end(state) && !same_person(&by, &unblock.requested_by) {
                    unblock.until = *until;
                    unblock.extensions.push((at, by, *until));
                }
            }
            Event::UnblockRevoked { reason, .. } => {
                if may_still_end(state) {
                    unblock.revoked = Some((at, by, reason.clone()));
                }
            }
            _ => {}
        }
    }

    /// Where an unblock stands at an instant.
    #[must_use]
    pub fn state(&self, id: UnblockId, now: UnixMillis) -> Option<UnblockState> {
        self.unblocks.get(&id).map(|unblock| unblock.state(now))
    }

    /// Unblocks that are authorised, applied, not revoked, and not ended at `now` (those that start
    /// later included): what goes into a snapshot. One whose site no longer parses stays closed.
    #[must_use]
    pub fn live(&self, now: UnixMillis) -> Vec<Unblock> {
        self.unblocks
            .values()
            .filter(|unblock| unblock.applied.is_some() && may_still_end(unblock.state(now)))
            .filter_map(|unblock| {
                Some(Unblock {
                    id: unblock.id,
                    site: Site::parse(&unblock.site).ok()?,
                    scope: unblock.scope.clone(),
                    authorised_at: unblock.authorised.as_ref()?.0,
                    from: unblock.from,
                    until: unblock.until,
                })
            })
            .collect()
    }

    /// The number that the next unblock gets.
    #[must_use]
    pub fn next_unblock(&self) -> UnblockId {
        UnblockId(self.unblocks.last_key_value().map_or(1, |(id, _)| id.0 + 1))
    }

    /// The number that the next school block gets.
    #[must_use]
    pub fn next_block(&self) -> BlockId {
        BlockId(self.next_block.max(1))
    }

    fn unblock(&self, id: UnblockId) -> Result<&UnblockHistory, ChangeError> {
        self.unblocks.get(&id).ok_or(ChangeError::NoSuchUnblock(id))
    }

    fn unblock_that(
        &self,
        id: UnblockId,
        now: UnixMillis,
        fits: impl Fn(UnblockState) -> bool,
        wanted: &'static str,
        action: &'static str,
    ) -> Result<&UnblockHistory, ChangeError> {
        let unblock = self.unblock(id)?;
        let state = unblock.state(now);
        if fits(state) {
            return Ok(unblock);
        }
        Err(ChangeError::WrongState { id, state: state.as_str(), wanted, action })
    }
}

fn may_still_end(state: UnblockState) -> bool {
    matches!(
        state,
        UnblockState::Authorised
            | UnblockState::Live
            | UnblockState::Confirmed
            | UnblockState::ReviewDue
    )
}

/// Whether two names are one person's: names are compared without case or outer space, so that
/// `Q.Whitmore` cannot authorise what `q.whitmore` asked for.
#[must_use]
pub fn same_person(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

/// Checks a request and makes its event. `categories` are those of the site.
///
/// # Errors
/// [`ChangeError`]: reason, end, scope, site or category.
#[allow(clippy::too_many_arguments, reason = "the fields of the request form")]
pub fn ask_unblock(
    changes: &Changes,
    policy: &Policy,
    categories: CategorySet,
    site: &Site,
    scope: Scope,
    from: UnixMillis,
    until: UnixMillis,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    let may_open = |set: CategorySet| set.intersection(categories).iter().next();
    if let Some(id) = may_open(policy.catalogue().locked()) {
        return Err(ChangeError::Locked { category: policy.catalogue().name(id).to_owned() });
    }
    if let Some(id) = may_open(policy.unblock_rules().never) {
        return Err(ChangeError::Never { category: policy.catalogue().name(id).to_owned() });
    }
    if matches!(&scope, Scope::Level(_)) && scope.level(policy).is_none() {
        return Err(ChangeError::BadScope(scope.to_string()));
    }
    check_end(policy, from, until, now)?;
    check_reason(reason)?;
    let (site, reason) = (site.to_string(), reason.trim().to_owned());
    Ok(Event::UnblockAsked { id: changes.next_unblock(), site, scope, from, until, reason })
}

fn check_end(
    policy: &Policy,
    from: UnixMillis,
    until: UnixMillis,
    now: UnixMillis,
) -> Result<(), ChangeError> {
    let max_days = policy.unblock_rules().max_days;
    if until <= now {
        return Err(ChangeError::EndsInPast);
    }
    if until <= from {
        return Err(ChangeError::EndsBeforeStart);
    }
    if until.0.saturating_sub(from.0.min(now.0)) > i64::from(max_days) * DAY_MILLIS {
        return Err(ChangeError::TooLong { max_days });
    }
    Ok(())
}

/// A reason to open something says what for: enough letters, and not one of them over and over.
fn check_reason(reason: &str) -> Result<(), ChangeError> {
    let letters: Vec<char> =
        reason.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect();
    let mut words: Vec<String> = reason.split_whitespace().map(str::to_lowercase).collect();
    let spoken = words.len();
    words.sort();
    words.dedup();
    let mut kinds = letters.clone();
    kinds.sort_unstable();
    kinds.dedup();
    let repeated = kinds.len() < 4 || (spoken > 1 && words.len() == 1);
    if letters.len() < REASON_LETTERS || repeated {
        return Err(ChangeError::ReasonTooShort);
    }
    Ok(())
}

fn check_some_reason(reason: &str) -> Result<String, ChangeError> {
    let reason = reason.trim();
    if reason.is_empty() { Err(ChangeError::NoReason) } else { Ok(reason.to_owned()) }
}

/// Checks a yes and makes its events, each with its actor; the automatic apply is among them where
/// the policy says so.
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
    let rules = policy.unblock_rules();
    require_role(policy, by, &rules.authorise)?;
    let asked = |state| state == UnblockState::Asked;
    let unblock = changes.unblock_that(id, now, asked, "an asked one", "authorised")?;
    if same_person(by, &unblock.requested_by) {
        return Err(ChangeError::OwnRequest(id));
    }
    let mut events = vec![(by.to_owned(), Event::UnblockAuthorised { id })];
    if rules.apply_automatically {
        events.push((AUTOMATIC.to_owned(), Event::UnblockApplied { id }));
    }
    Ok(events)
}

/// Checks a no and makes its event.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, no role, no reason.
pub fn refuse_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    require_role(policy, by, &policy.unblock_rules().authorise)?;
    let asked = |state| state == UnblockState::Asked;
    changes.unblock_that(id, now, asked, "an asked one", "refused")?;
    Ok(Event::UnblockRefused { id, reason: check_some_reason(reason)? })
}

/// Checks that the change is made by somebody other than its authoriser, and makes the event.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, same person, no role.
pub fn apply_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    require_role(policy, by, &policy.unblock_rules().apply)?;
    let authorised = |state| state == UnblockState::Authorised;
    let unblock = changes.unblock_that(id, now, authorised, "an authorised one", "applied")?;
    if unblock.applied.is_some() {
        let state = UnblockState::Authorised.as_str();
        return Err(ChangeError::WrongState {
            id,
            state,
            wanted: "one not yet applied",
            action: "applied",
        });
    }
    differs(id, unblock.authorised.as_ref(), by, "authorised", "apply")?;
    Ok(Event::UnblockApplied { id })
}

/// Checks that the change is confirmed by a third person, and makes the event.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, same person, no role.
pub fn confirm_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    note: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    require_role(policy, by, &policy.unblock_rules().confirm)?;
    let live = |state| state == UnblockState::Live;
    let unblock = changes.unblock_that(id, now, live, "a live one", "confirmed")?;
    differs(id, unblock.authorised.as_ref(), by, "authorised", "confirm")?;
    differs(id, unblock.applied.as_ref(), by, "applied", "confirm")?;
    Ok(Event::UnblockConfirmed { id, note: note.trim().to_owned() })
}

fn differs(
    id: UnblockId,
    done: Option<&(UnixMillis, String)>,
    by: &str,
    did: &'static str,
    action: &'static str,
) -> Result<(), ChangeError> {
    match done {
        Some((_, who)) if same_person(who, by) => Err(ChangeError::SamePerson { id, did, action }),
        _ => Ok(()),
    }
}

/// Checks a new end and makes its event. Opening for longer is opening: it takes an authoriser who
/// did not ask for it, and `max_days` counts from the first start.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, own request, no role, reason, end.
pub fn extend_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    until: UnixMillis,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    require_role(policy, by, &policy.unblock_rules().authorise)?;
    let unblock =
        changes.unblock_that(id, now, may_still_end, "an authorised or live one", "extended")?;
    if same_person(by, &unblock.requested_by) {
        return Err(ChangeError::SamePerson { id, did: "asked for", action: "extend" });
    }
    check_end(policy, unblock.from, until, now)?;
    check_reason(reason)?;
    Ok(Event::UnblockExtended { id, until, reason: reason.trim().to_owned() })
}

/// Checks that somebody may end an unblock early and makes the event. Closing is safe: whoever may
/// authorise, apply or confirm may do it, and whoever asked.
///
/// # Errors
/// [`ChangeError`]: unknown, wrong state, no role, no reason.
pub fn revoke_unblock(
    changes: &Changes,
    policy: &Policy,
    id: UnblockId,
    by: &str,
    reason: &str,
    now: UnixMillis,
) -> Result<Event, ChangeError> {
    let unblock = changes.unblock(id)?;
    if !same_person(by, &unblock.requested_by) {
        require_role(policy, by, &closing_roles(policy))?;
    }
    changes.unblock_that(id, now, may_still_end, "an authorised or live one", "revoked")?;
    Ok(Event::UnblockRevoked { id, reason: check_some_reason(reason)? })
}

/// The roles that may close something: the technician, the DSL, the head, and whoever has a part
/// in unblocks.
#[must_use]
pub fn closing_roles(policy: &Policy) -> Vec<Role> {
    let rules = policy.unblock_rules();
    let parts =
        [&[Role::It, Role::Dsl, Role::Head][..], &rules.authorise, &rules.apply, &rules.confirm];
    let mut roles = parts.concat();
    roles.sort();
    roles.dedup();
    roles
}

/// Checks a school's own block and makes its event. Tightening acts at once.
///
/// # Errors
/// [`ChangeError`]: scope, no role, no reason.
pub fn block_site(
    changes: &Changes,
    policy: &Policy,
    site: &Site,
    scope: Scope,
    by: &str,
    reason: &str,
) -> Result<Event, ChangeError> {
    require_role(policy, by, &closing_roles(policy))?;
    if matches!(&scope, Scope::Level(_)) && scope.level(policy).is_none() {
        return Err(ChangeError::BadScope(scope.to_string()));
    }
    let (id, reason) = (changes.next_block(), check_some_reason(reason)?);
    Ok(Event::SiteBlocked { id, site: site.to_string(), scope, reason })
}

/// Checks that a school's block may be taken away and makes the event: loosening, so an authoriser
/// says so.
///
/// # Errors
/// [`ChangeError`]: unknown, no role, no reason.
pub fn lift_block(
    changes: &Changes,
    policy: &Policy,
    id: BlockId,
    by: &str,
    reason: &str,
) -> Result<Event, ChangeError> {
    if !changes.blocks.iter().any(|block| block.id == id) {
        return Err(ChangeError::NoSuchBlock(id));
    }
    require_role(policy, by, &policy.unblock_rules().authorise)?;
    check_reason(reason)?;
    Ok(Event::SiteBlockLifted { id, reason: reason.trim().to_owned() })
}

/// Checks that `by` holds one of `roles` in the policy.
///
/// # Errors
/// [`ChangeError::NoRole`].
pub fn require_role(policy: &Policy, by: &str, roles: &[Role]) -> Result<(), ChangeError> {
    let wanted: RoleSet = roles.iter().copied().collect();
    if policy.roles(by.trim()).intersects(wanted) {
        return Ok(());
    }
    let roles = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    Err(ChangeError::NoRole { by: by.trim().to_owned(), roles })
}

#[cfg(test)]
mod tests;
