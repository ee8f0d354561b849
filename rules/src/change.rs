//! Changes to the filter: events as the change log keeps them, the states that they lead to, and
//! who may do what. Nothing here does anything: a change takes effect once its event is durable.

mod act;
mod attest;
mod fold;
mod history;
mod keyed;
mod lesson;
mod look;
mod order;
mod replayed;
mod school;

pub use act::{
    acting_roles, apply_unblock, ask_unblock, authorise_unblock, block_site, closing_roles,
    confirm_unblock, extend_unblock, is_reason, may_apply, refuse_unblock, require_role,
    revoke_unblock, wrongly_blocked,
};

pub use attest::{AccessHead, Attestation, Clock, DayCount, DepthShare, LevelMode, LockedList};
pub use history::{
    ListRequest, PolicyRequest, REVIEW_BEFORE_END_MILLIS, RequestKind, UnblockHistory, UnblockState,
};
pub use keyed::{KEYED_MILLIS, Keyed, KeyedUntil, SETTING_UP_MILLIS};
pub use lesson::{Lesson, Yes, standing_yes, start_lesson};
pub use look::{CertificateException, InspectWhat, PrivacyLift, ask_certificate, ask_inspect};
pub use order::{SignOff, SignOffOrder};
pub use replayed::{MAX_SHARES, Replayed, Share, Trial};
pub use school::{POLICY_ROLES, PolicyFound, ask_lift, ask_list, change_policy, policy_file_found};

use crate::access::Role;
use crate::alert::AlertId;
use crate::decide::ReasonCode;
use crate::erasure::ErasureId;
use crate::hold::{HoldId, HoldScope};
use crate::site::SiteError;
use crate::time::UnixMillis;
use crate::unblock::{BlockId, Scope, SiteBlock, UnblockId};
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
        /// The order of its sign-offs, where it is not the usual one.
        #[serde(default, skip_serializing_if = "SignOffOrder::is_usual")]
        order: SignOffOrder,
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
        #[serde(default, skip_serializing_if = "SignOffOrder::is_usual")]
        order: SignOffOrder,
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
        #[serde(default, skip_serializing_if = "SignOffOrder::is_usual")]
        order: SignOffOrder,
    },
    /// An authoriser says yes.
    UnblockAuthorised { id: UnblockId },
    /// An authoriser says no.
    UnblockRefused { id: UnblockId, reason: String },
    /// The change is made; `automatic` is the actor where the policy says so.
    UnblockApplied { id: UnblockId },
    /// Somebody other than the authoriser has seen it work. `checks` is what the filter itself found
    /// in and out of scope.
    UnblockConfirmed {
        id: UnblockId,
        note: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checks: Vec<String>,
    },
    /// Whoever answered a request has found that the block which it is about was wrong.
    WronglyBlocked { id: UnblockId },
    /// An authoriser moves the end.
    UnblockExtended { id: UnblockId, until: UnixMillis, reason: String },
    /// Ended before its time.
    UnblockRevoked { id: UnblockId, reason: String },
    /// A site closed at once.
    SiteBlocked { id: BlockId, site: String, scope: Scope, reason: String },
    /// Such a block taken away again; since then a request does so (`LiftAsked`).
    SiteBlockLifted { id: BlockId, reason: String },
    /// A policy took effect. `hash` is the SHA-256 of its text in hex; `summary` lists what differs.
    /// Without a `request` it is the first policy, or one that opens nothing that was closed.
    PolicyApplied {
        hash: String,
        reason: String,
        summary: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<UnblockId>,
        /// Whether it was tried on recorded accesses; not said of what a file says by itself, nor in older logs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replayed: Option<Replayed>,
    },
    /// An authoriser says yes to a policy that opens more than before; its `PolicyApplied` follows.
    /// Since then a request says who asked and who said yes (`PolicyAsked`).
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
    /// What takes two people was refused because their accounts count as one person. It is an alarm.
    OnePersonRefused { action: String, why: String },
    /// A daemon began to serve: its version, policy and lists.
    ServeStarted { version: String, policy_hash: String, list_version: String },
    /// A daemon ended in order.
    ServeStopped {},
    /// The key that signs checkpoints was made: its public half, as a signed-note verifier key.
    AuditKeyMade { key: String },
    /// The filter states what it is, each hour and at its start: `state` where it differs from the
    /// last entry that has one, `seen` of the day so far. What comes before is covered by the
    /// checkpoint that follows.
    Attested {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<Box<Attestation>>,
        seen: Vec<DepthShare>,
        access: AccessHead,
    },
    /// The access log's tree as a checkpoint that somebody asked for covers it.
    AccessCovered { access: AccessHead },
    /// A checkpoint could not be signed or brought to its second place: `problem` says why.
    CheckpointFailed { place: String, problem: String },
    /// Records were given out with their proofs. `bundle` is the SHA-256 of what names its files.
    EvidenceExported { case: String, records: u64, bundle: String },
    /// An administrator's account was made or changed: what, never a password or a code.
    AccountChanged { account: String, changed: Vec<String> },
    /// An administrator's account was removed; its sessions ended with it.
    AccountRemoved { account: String },
    /// Too many wrong passwords or codes in a row: nobody can log in to it until then.
    AccountLocked { account: String, until: UnixMillis },
    /// A log-in to an account that exists was turned down.
    LoginRefused { account: String, why: String },
    /// The actor has proved who they are: how (`password`, `password and code`, `break-glass`).
    SessionStarted { how: String },
    /// The actor logged out: how many sessions ended.
    SessionEnded { sessions: u64 },
    /// A new emergency code was made, and the one before is void.
    BreakGlassMade {},
    /// The emergency code was used: whoever holds it acts as `break-glass`.
    BreakGlassUsed {},
    /// Somebody looked at personal data: with which command, and of whom or what.
    Looked { what: String, subject: String },
    /// Somebody asks for a policy that opens more than the one in force; `schoolgate` does where the
    /// policy's file was changed by hand. Answered by the same events as an unblock.
    PolicyAsked {
        id: UnblockId,
        what: PolicyRequest,
        reason: String,
        review: UnixMillis,
        lapses: Option<UnixMillis>,
        #[serde(default, skip_serializing_if = "SignOffOrder::is_usual")]
        order: SignOffOrder,
    },
    /// Somebody asks that a version of a list take effect that opens more than the one in force.
    ListAsked {
        id: UnblockId,
        what: ListRequest,
        reason: String,
        review: UnixMillis,
        lapses: Option<UnixMillis>,
        #[serde(default, skip_serializing_if = "SignOffOrder::is_usual")]
        order: SignOffOrder,
    },
    /// Somebody asks that a school's own block be taken away.
    LiftAsked {
        id: UnblockId,
        block: BlockId,
        reason: String,
        review: UnixMillis,
        lapses: Option<UnixMillis>,
        #[serde(default, skip_serializing_if = "SignOffOrder::is_usual")]
        order: SignOffOrder,
    },
    /// A standing yes of the policy says yes to an unblock: whose it is and since when, as written, and
    /// the categories that it names, which alone are opened. Older entries name none.
    StandingYesUsed {
        id: UnblockId,
        authorised: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        categories: Vec<String>,
    },
    /// People's passwords were guessed at the proxy, and further tries were not checked for a time: of a name at a
    /// client (`name_at_client`), of a name at all clients (`name`) or of all names at a client (`client`), after so
    /// many guesses. The first of several in a row. `user` is whose name it is, where it is anybody's.
    SignInsHeld {
        held: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        guesses: u64,
        until: UnixMillis,
    },
    /// The access log could not be written from then until then: browsing was stopped, and so many
    /// requests were turned away.
    LogUnavailable { from: UnixMillis, until: UnixMillis, refused: u64, why: String },
    /// What a process that did not end in order had left of the access log was stored, or could not
    /// be. `set_aside` names day files that were damaged.
    LogRecovered {
        decisions: u64,
        unknown_ends: u64,
        torn_bytes: u64,
        damaged_bytes: u64,
        set_aside: Vec<String>,
    },
    /// A copy of everything was taken. `sha256` is that of its manifest, which fixes each of its files.
    BackupMade { sha256: String, files: u64, bytes: u64 },
    /// This state was brought back from a backup: what was recorded after that was made is not in it.
    BackupRestored { made_at: UnixMillis, sha256: String },
    /// Records are kept although their time is up.
    HoldAdded { id: HoldId, scope: HoldScope, reason: String },
    /// No longer.
    HoldLifted { id: HoldId, reason: String },
    /// Records of a school day were erased: `whole`, with its file, or only the bodies of rows of these
    /// classes (`allowed`, `blocked`) or of whom an erasure that was asked for names. It names nobody.
    Erased {
        day: String,
        whole: bool,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        classes: Vec<String>,
        /// Of whom: [`Event::ErasureAsked`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<ErasureId>,
        rows: u64,
        /// First and last number of each run of batches that the day had, where it is erased whole: what
        /// `audit verify` need not find any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        batches: Vec<(u64, u64)>,
        /// SHA-256, hex, over the places of all rows and ends that the day lacks from now on, where it
        /// is not erased whole: what else it lacks was not erased.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lacks: Option<String>,
        why: String,
    },
    /// Somebody asks that what one person's requests say be erased. `person` is a pseudonym that only
    /// this installation's own key can make of the name again.
    ErasureAsked {
        id: ErasureId,
        person: String,
        reason: String,
        /// When it lapses if nobody carries it out.
        lapses: Option<UnixMillis>,
    },
    /// The log of alerts as a checkpoint covers it: how many entries, and the hash of the last, hex, which fixes all.
    AlertsCovered { size: u64, head: String },
    /// Somebody dealt with an alert: what they did, not what they wrote. The alert itself stands in the log
    /// of alerts.
    AlertHandled { alert: AlertId, done: String },
    /// Somebody signed the weekly report of the week that begins on this Monday, and says what was done
    /// about it.
    ReportReviewed { week: String, action: String },
    /// Somebody was told that the weekly report of the week that begins on this Monday stays unread, or
    /// could not be: `failed` says why.
    ReportUnread {
        week: String,
        to: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
    },
    /// Another person carried it out, on every day that there was.
    ErasureDone { id: ErasureId, days: u64, rows: u64 },
}

/// An event with its place, time and actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeEntry {
    /// 0-based place in the log.
    pub sequence: u64,
    /// When it was written.
    pub at: UnixMillis,
    /// Who did it: a person's name, `break-glass`, `machine:` and an account of the operating system,
    /// `automatic` or `schoolgate`.
    pub actor: String,
    /// What.
    pub event: Event,
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
    /// The emergency code, as far as the log tells.
    pub break_glass: BreakGlass,
    /// How often an account was locked because of wrong passwords.
    pub lockouts: u64,
    /// SHA-256 of the policy that the log says is in force; `None` before the first.
    pub policy: Option<String>,
    /// Who keyed whose account.
    pub keyed: Keyed,
    /// How often something was refused because of that.
    pub one_person_refusals: u64,
}

/// What the log tells of the emergency code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BreakGlass {
    /// When the code that is valid now was made; `None`: there is none.
    pub made_at: Option<UnixMillis>,
    /// How often it was used since.
    pub uses: u64,
    /// When it was used last, since it was made.
    pub used_at: Option<UnixMillis>,
    /// How often a wrong one was typed since.
    pub wrong: u64,
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
    #[error("{id} must be {first} before it can be {action}")]
    NotYet { id: UnblockId, first: &'static str, action: &'static str },
    #[error("what {0} would change has changed since it was asked for")]
    Overtaken(UnblockId),
    #[error("{by} is nobody who could {action} a change")]
    NobodyProved { by: String, action: &'static str },
    #[error("the policy in force is another one by now")]
    PolicyMoved,
    #[error("the policy could not be tried on what was recorded: {why}")]
    NotReplayed { why: String },
    #[error("{id} cannot be revoked: it is in force, and does not end by itself")]
    NotRevocable { id: UnblockId },
    #[error(
        "{by} and {other} cannot both sign {id} off yet: they count as one person, since one has set the other's \
         password or turned off their two-step log-in, or somebody else did so for both, or one of them is the \
         emergency code, was helped with it or had it made (schoolgate account list)"
    )]
    KeyedTogether { id: UnblockId, by: String, other: String },
    #[error("{0} is about no blocked site, so no block was wrong")]
    NoBlock(UnblockId),
    #[error("no standing yes covers it: {0}")]
    NoStandingYes(String),
    #[error(transparent)]
    Site(#[from] SiteError),
}

/// The actor of changes that the policy has made without a person.
pub const AUTOMATIC: &str = "automatic";

/// The actor who has proved no more than to hold the emergency code.
pub const BREAK_GLASS: &str = "break-glass";

/// What `break-glass` may do: what the head and the technician may.
pub const BREAK_GLASS_ROLES: [Role; 2] = [Role::Head, Role::It];

/// The actor of what the program does by itself, such as asking for what a changed file says.
pub const PROGRAM: &str = "schoolgate";

/// How many school days an asked unblock waits for an answer before it has lapsed.
pub const LAPSE_SCHOOL_DAYS: u32 = 5;

/// The same in milliseconds, where the terms given do not reach so far: a week.
pub const LAPSE_MILLIS: i64 = 7 * DAY_MILLIS;

const DAY_MILLIS: i64 = 86_400_000;

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

/// Whether a name stands for something else than one person in the change log, so that nobody in the
/// policy can have it.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    !is_person(name) || same_person(name, BREAK_GLASS) || name.contains(':')
}

/// Whether a name can be a person's: not one that the program writes for itself, and no account of
/// the machine. Only a person says yes or confirms.
#[must_use]
pub fn is_person(name: &str) -> bool {
    let name = name.trim().to_lowercase();
    let reserved = [AUTOMATIC, PROGRAM, "schoolgate.toml", ""];
    !reserved.contains(&name.as_str()) && !name.starts_with("machine:")
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
