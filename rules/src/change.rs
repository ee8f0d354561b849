//! Changes to the filter: events as the change log keeps them, the states that they lead to, and
//! who may do what. Nothing here does anything: a change takes effect once its event is durable.

mod act;
mod look;

pub use act::{
    apply_unblock, ask_unblock, authorise_unblock, block_site, closing_roles, confirm_unblock,
    extend_unblock, is_reason, lift_block, refuse_unblock, require_role, revoke_unblock,
};

pub use look::{CertificateException, InspectWhat, PrivacyLift, ask_certificate, ask_inspect};

use crate::decide::ReasonCode;
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
        /// When it lapses if nobody answers; logs of older versions do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lapses: Option<UnixMillis>,
    },
    /// Somebody asks that the filter look into what is private. Answered by the same events as an
    /// unblock, with which it shares its numbers.
    InspectAsked {
        id: UnblockId,
        what: InspectWhat,
        from: UnixMillis,
        until: UnixMillis,
        reason: String,
        lapses: Option<UnixMillis>,
    },
    /// Somebody asks that faults of a host's certificate be accepted; likewise.
    CertificateAsked {
        id: UnblockId,
        host: String,
        accept: Vec<ReasonCode>,
        from: UnixMillis,
        until: UnixMillis,
        reason: String,
        lapses: Option<UnixMillis>,
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
    /// The machine file put a list that was in force into another category, took it out (no `to`), or
    /// brought it back (no `from`; nor where its category is not known).
    ListMoved {
        list: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// A user was added or changed: which fields, never a password.
    UserChanged { user: String, changed: Vec<String> },
    /// No internet for a user until then; in the past: lifted.
    UserBanned { user: String, until: UnixMillis, reason: String },
    /// A user was removed.
    UserRemoved { user: String },
    /// The certificate authority: what was done (`made`, `next made`, `signs`, `signs again`,
    /// `retired`) with which one.
    AuthorityChanged { done: String, name: String, fingerprint: String },
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

/// What a request would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestKind {
    /// Opens a site.
    Unblock,
    /// Looks into what is private.
    Inspect(InspectWhat),
    /// Accepts faults of a host's certificate.
    Certificate(Vec<ReasonCode>),
}

impl RequestKind {
    /// `unblock`, `inspect` or `certificate`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unblock => "unblock",
            Self::Inspect(_) => "inspect",
            Self::Certificate(_) => "certificate",
        }
    }
}

/// Everything known of one unblock, or of another request that goes the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "each field is a column of the change log")]
pub struct UnblockHistory {
    pub id: UnblockId,
    pub kind: RequestKind,
    /// The site, category or host.
    pub site: String,
    pub scope: Scope,
    pub from: UnixMillis,
    pub until: UnixMillis,
    pub reason: String,
    pub asked_at: UnixMillis,
    pub lapses: UnixMillis,
    pub requested_by: String,
    pub authorised: Option<(UnixMillis, String)>,
    /// The change log's sequence of the authorisation.
    pub authorised_sequence: Option<u64>,
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
    #[error("{what} is not private, so looking into it needs no request")]
    NotPrivate { what: String },
    #[error("\"{0}\" has a path, which is seen only after looking in")]
    HasPath(String),
    #[error("the fault {0} cannot be accepted")]
    NotAcceptable(String),
    #[error("no fault is named that should be accepted")]
    NoFault,
    #[error("\"{0}\" is a public suffix, under which many owners' sites live; name one host")]
    SuffixHost(String),
    #[error(transparent)]
    Site(#[from] SiteError),
}

/// The actor of changes that the policy has made without a person.
pub const AUTOMATIC: &str = "automatic";

/// How many school days an asked unblock waits for an answer before it has lapsed.
pub const LAPSE_SCHOOL_DAYS: u32 = 5;

/// The same in milliseconds, where the terms given do not reach so far: a week.
pub const LAPSE_MILLIS: i64 = 7 * DAY_MILLIS;

const DAY_MILLIS: i64 = 86_400_000;

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
    /// How far it has come, whatever the time is.
    fn step(&self) -> UnblockState {
        match (&self.authorised, &self.applied, &self.confirmed) {
            _ if self.revoked.is_some() => UnblockState::Revoked,
            _ if self.refused.is_some() => UnblockState::Refused,
            (None, _, _) => UnblockState::Asked,
            (Some(_), None, _) => UnblockState::Authorised,
            (Some(_), Some(_), None) => UnblockState::Live,
            (Some(_), Some(_), Some(_)) => UnblockState::Confirmed,
        }
    }

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
            let lapsed = ended || now >= self.lapses;
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
            Event::UnblockAsked { id, site, scope, from, until, reason, lapses } => {
                let asked = (RequestKind::Unblock, site.clone(), scope.clone());
                self.fold_asked(*id, asked, (*from, *until), reason, *lapses, entry);
            }
            Event::InspectAsked { id, what, from, until, reason, lapses } => {
                let kind = RequestKind::Inspect(what.clone());
                let asked = (kind, what.to_string(), Scope::Everyone);
                self.fold_asked(*id, asked, (*from, *until), reason, *lapses, entry);
            }
            Event::CertificateAsked { id, host, accept, from, until, reason, lapses } => {
                let kind = RequestKind::Certificate(accept.clone());
                let asked = (kind, host.clone(), Scope::Everyone);
                self.fold_asked(*id, asked, (*from, *until), reason, *lapses, entry);
            }
            Event::SiteBlocked { id, site, scope, reason } => {
                self.fold_block(*id, site, scope, reason, entry)
            }
            Event::SiteBlockLifted { id, .. } => self.blocks.retain(|block| block.id != *id),
            event => self.fold_answer(event, entry.sequence, at, by),
        }
    }

    fn fold_asked(
        &mut self,
        id: UnblockId,
        (kind, site, scope): (RequestKind, String, Scope),
        (from, until): (UnixMillis, UnixMillis),
        reason: &str,
        lapses: Option<UnixMillis>,
        entry: &ChangeEntry,
    ) {
        let at = entry.at;
        self.unblocks.entry(id).or_insert_with(|| UnblockHistory {
            id,
            kind,
            site,
            scope,
            from,
            until,
            reason: reason.to_owned(),
            asked_at: at,
            lapses: lapses.unwrap_or(UnixMillis(at.0.saturating_add(LAPSE_MILLIS))),
            requested_by: entry.actor.clone(),
            authorised: None,
            authorised_sequence: None,
            applied: None,
            confirmed: None,
            refused: None,
            revoked: None,
            extensions: Vec::new(),
        });
    }

    fn fold_block(
        &mut self,
        id: BlockId,
        site: &str,
        scope: &Scope,
        reason: &str,
        entry: &ChangeEntry,
    ) {
        if id.0 < self.next_block {
            return;
        }
        let Ok(site) = Site::parse(site) else { return };
        self.next_block = id.0 + 1;
        self.blocks.push(SiteBlock {
            id,
            site,
            scope: scope.clone(),
            sequence: entry.sequence,
            at: entry.at,
            reason: reason.to_owned(),
        });
    }

    /// Takes in what happened to an unblock after it was asked for. The order of the entries decides,
    /// not their times: whoever wrote them has checked those, and a clock that was wrong for a while
    /// must not undo what was done.
    fn fold_answer(&mut self, event: &Event, sequence: u64, at: UnixMillis, by: String) {
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
        let step = unblock.step();
        let authorised_by = unblock.authorised.as_ref().map(|(_, who)| who.as_str());
        let applied_by = unblock.applied.as_ref().map(|(_, who)| who.as_str());
        match event {
            Event::UnblockAuthorised { .. }
                if step == UnblockState::Asked && !same_person(&by, &unblock.requested_by) =>
            {
                unblock.authorised = Some((at, by));
                unblock.authorised_sequence = Some(sequence);
            }
            Event::UnblockRefused { reason, .. } if step == UnblockState::Asked => {
                unblock.refused = Some((at, by, reason.clone()));
            }
            Event::UnblockApplied { .. } => {
                let distinct = !authorised_by.is_some_and(|who| same_person(who, &by));
                if step == UnblockState::Authorised && distinct {
                    unblock.applied = Some((at, by));
                }
            }
            Event::UnblockConfirmed { .. } => {
                let distinct = ![authorised_by, applied_by]
                    .into_iter()
                    .flatten()
                    .any(|who| same_person(who, &by));
                if step == UnblockState::Live && distinct {
                    unblock.confirmed = Some((at, by));
                }
            }
            Event::UnblockExtended { until, .. }
                if may_still_end(step) && !same_person(&by, &unblock.requested_by) =>
            {
                unblock.until = *until;
                unblock.extensions.push((at, by, *until));
            }
            Event::UnblockRevoked { reason, .. } if may_still_end(step) => {
                unblock.revoked = Some((at, by, reason.clone()));
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
        self.in_force(now)
            .filter(|unblock| unblock.kind == RequestKind::Unblock)
            .filter_map(|unblock| {
                Some(Unblock {
                    id: unblock.id,
                    site: Site::parse(&unblock.site).ok()?,
                    scope: unblock.scope.clone(),
                    authorised_sequence: unblock.authorised_sequence?,
                    from: unblock.from,
                    until: unblock.until,
                })
            })
            .collect()
    }

    /// Requests of every kind that are authorised, applied, not revoked, and not ended at `now`.
    fn in_force(&self, now: UnixMillis) -> impl Iterator<Item = &UnblockHistory> {
        self.unblocks
            .values()
            .filter(move |unblock| unblock.applied.is_some() && may_still_end(unblock.state(now)))
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

#[cfg(test)]
mod tests;
