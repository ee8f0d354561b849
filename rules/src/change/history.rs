//! Everything known of one request: what it would change, what was done about it, where it stands.

use super::order::{SignOff, SignOffOrder};
use super::{ChangeError, InspectWhat, Replayed, is_person, same_person};
use crate::decide::ReasonCode;
use crate::time::UnixMillis;
use crate::unblock::{BlockId, Scope, UnblockId};
use serde::{Deserialize, Serialize};

/// What runs for longer than this is looked at again before it ends, in milliseconds: two weeks.
const REVIEWED_IF_LONGER_MILLIS: i64 = 14 * super::DAY_MILLIS;

/// How long before its end such a change is due for review, in milliseconds: a week.
pub const REVIEW_BEFORE_END_MILLIS: i64 = 7 * super::DAY_MILLIS;

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

    /// Whether what was asked for is in force.
    #[must_use]
    pub fn is_in_force(self) -> bool {
        matches!(self, Self::Live | Self::Confirmed | Self::ReviewDue)
    }
}

/// A whole policy that somebody wants in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRequest {
    /// SHA-256 of its text in hex, as in [`super::Event::PolicyApplied`].
    pub hash: String,
    /// The policy that was in force when it was asked for, and against which it was compared.
    pub base: String,
    /// What differs between the two, a line each.
    pub summary: Vec<String>,
    /// Whether it was tried on recorded accesses first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<Replayed>,
}

/// A version of a list that somebody wants in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRequest {
    /// The list's name.
    pub list: String,
    /// The version wanted.
    pub version: String,
    /// Whether the version was in force before (`lists rollback`), rather than held.
    #[serde(default)]
    pub rollback: bool,
    /// The version in force when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// How many entries it has.
    pub entries: u64,
    /// Entries that the version in force has not.
    pub added: u64,
    /// Entries that only the version in force has.
    pub removed: u64,
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
    /// Puts a policy into force.
    Policy(PolicyRequest),
    /// Puts a version of a list into force.
    List(ListRequest),
    /// Takes a school's own block away.
    Lift(BlockId),
}

impl RequestKind {
    /// The kind's word in lists of requests.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unblock => "unblock",
            Self::Inspect(_) => "inspect",
            Self::Certificate(_) => "certificate",
            Self::Policy(_) => "policy",
            Self::List(_) => "list",
            Self::Lift(_) => "lift",
        }
    }

    /// Whether it is about a site that is blocked.
    #[must_use]
    pub fn is_of_block(&self) -> bool {
        matches!(self, Self::Unblock | Self::Lift(_))
    }

    /// Whether it ends by itself at its time. What does not has a date for review instead.
    #[must_use]
    pub fn ends(&self) -> bool {
        matches!(self, Self::Unblock | Self::Inspect(_) | Self::Certificate(_))
    }
}

/// Everything known of one unblock, or of another request that goes the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "each field is a column of the change log")]
pub struct UnblockHistory {
    pub id: UnblockId,
    pub kind: RequestKind,
    /// The site, category or host; `policy` or the list's name for those.
    pub site: String,
    pub scope: Scope,
    pub from: UnixMillis,
    /// Its end; for what does not end by itself, the date for review.
    pub until: UnixMillis,
    pub reason: String,
    pub asked_at: UnixMillis,
    pub lapses: UnixMillis,
    pub requested_by: String,
    /// The order of its sign-offs.
    pub order: SignOffOrder,
    pub authorised: Option<(UnixMillis, String)>,
    /// The change log's sequence of the authorisation.
    pub authorised_sequence: Option<u64>,
    /// Whether the authorisation is a standing yes of the policy.
    pub by_standing_yes: bool,
    /// The names of the categories that this standing yes is for; entries of older versions name none.
    pub standing_categories: Vec<String>,
    pub applied: Option<(UnixMillis, String)>,
    pub confirmed: Option<(UnixMillis, String)>,
    /// What was found when it was confirmed.
    pub checks: Vec<String>,
    pub refused: Option<(UnixMillis, String, String)>,
    pub revoked: Option<(UnixMillis, String, String)>,
    /// When something else took its place: it was in force and is no longer, or it never can be
    /// any more, because what it would have changed has changed.
    pub overtaken: Option<UnixMillis>,
    /// Who found that the block was wrong, and when.
    pub wrongly_blocked: Option<(UnixMillis, String)>,
    pub extensions: Vec<(UnixMillis, String, UnixMillis)>,
}

impl UnblockHistory {
    /// Who gave a sign-off, and when.
    #[must_use]
    pub fn signed(&self, step: SignOff) -> Option<&(UnixMillis, String)> {
        match step {
            SignOff::Authorise => self.authorised.as_ref(),
            SignOff::Apply => self.applied.as_ref(),
            SignOff::Confirm => self.confirmed.as_ref(),
        }
    }

    /// The names of the only categories that it opens, where its yes is a standing one: nobody has looked at
    /// what is below its site. `None`: those who signed it off have.
    #[must_use]
    pub fn within(&self) -> Option<Vec<String>> {
        self.by_standing_yes.then(|| self.standing_categories.clone())
    }

    /// From when on it is due for review. What runs for two weeks or less simply ends.
    #[must_use]
    pub fn review_from(&self) -> UnixMillis {
        let length = self.until.0.saturating_sub(self.from.0);
        match self.kind.ends() && length > REVIEWED_IF_LONGER_MILLIS {
            true => UnixMillis(self.until.0 - REVIEW_BEFORE_END_MILLIS),
            false => self.until,
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
        let is_over = now >= self.until;
        let is_ended = self.overtaken.is_some() || (self.kind.ends() && is_over);
        match (&self.authorised, &self.applied, &self.confirmed) {
            // Nothing but a log that was written by hand applies what is not authorised.
            (None, _, _) if is_ended || is_over || now >= self.lapses => UnblockState::Lapsed,
            (None, _, _) => UnblockState::Asked,
            (Some(_), None, _) if is_ended || is_over => UnblockState::Lapsed,
            (Some(_), Some(_), _) if is_ended => UnblockState::Ended,
            (Some(_), None, _) => UnblockState::Authorised,
            (Some(_), Some(_), _) if now < self.from => UnblockState::Authorised,
            (Some(_), Some(_), _) if now >= self.review_from() => UnblockState::ReviewDue,
            (Some(_), Some(_), Some(_)) => UnblockState::Confirmed,
            (Some(_), Some(_), None) => UnblockState::Live,
        }
    }

    /// Whether somebody may give a sign-off, whatever the time is and whatever roles they hold: the
    /// steps before it are done, it is not, and whoever gives it has no other part that excludes
    /// them. The rule of four eyes in one place, for those who act and for the reading of the log.
    ///
    /// # Errors
    /// [`ChangeError`]: who excludes themselves, or what comes first.
    pub(super) fn may(&self, step: SignOff, by: &str) -> Result<(), ChangeError> {
        let id = self.id;
        let is_asker = same_person(by, &self.requested_by);
        if step == SignOff::Authorise && is_asker {
            return Err(ChangeError::OwnRequest(id));
        }
        if self.overtaken.is_some() {
            return Err(ChangeError::Overtaken(id));
        }
        let is_over = self.refused.is_some() || self.revoked.is_some();
        if is_over || self.signed(step).is_some() {
            let state = match self.signed(step) {
                Some(_) => step.done(),
                None if self.refused.is_some() => UnblockState::Refused.as_str(),
                None => UnblockState::Revoked.as_str(),
            };
            let wanted = "one that waits for it";
            return Err(ChangeError::WrongState { id, state, wanted, action: step.done() });
        }
        if step != SignOff::Apply && !is_person(by) {
            return Err(ChangeError::NobodyProved { by: by.to_owned(), action: step.as_str() });
        }
        let others = SignOff::ALL.into_iter().filter(|other| *other != step);
        for other in others {
            if self.signed(other).is_some_and(|(_, who)| same_person(who, by)) {
                let (did, action) = (other.done(), step.as_str());
                return Err(ChangeError::SamePerson { id, did, action });
            }
        }
        // Where confirming is part of opening, it is a second yes, and nobody says yes to their own.
        if step == SignOff::Confirm && self.order.confirms_first() && is_asker {
            return Err(ChangeError::SamePerson { id, did: "asked for", action: "confirm" });
        }
        if self.by_standing_yes && step == SignOff::Apply {
            return Ok(());
        }
        match self.order.before(step).find(|earlier| self.signed(*earlier).is_none()) {
            Some(first) => {
                Err(ChangeError::NotYet { id, first: first.done(), action: step.done() })
            }
            None => Ok(()),
        }
    }
}
