//! What happens to an alert.

use super::store::Position;
use crate::episodes::{Confidence, EpisodeKey, Further, Person, Source};
use rules::alert::{AlertId, Severity};
use rules::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// One event. Serialised as JSON (`"event": "raised"`, ...); fields are only ever added, with defaults,
/// so that old files stay readable. It names no pupil.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(missing_docs, reason = "each field is the word that users see")]
pub enum AlertEvent {
    /// An episode became an alert. `private` is a salted hash of [`Private::About`].
    Raised {
        alert: AlertId,
        episode: EpisodeKey,
        /// School day.
        day: String,
        severity: Severity,
        level: String,
        confidence: Confidence,
        strongest: Source,
        first: UnixMillis,
        signs: u32,
        private: String,
    },
    /// Its episode got worse: it is more urgent than it was.
    Worsened { alert: AlertId, severity: Severity, signs: u32 },
    /// It was closed, and its episode went on: it waits for somebody again, as what it was before. `by` is what came
    /// since; entries of version 1 do not say.
    Reopened {
        alert: AlertId,
        severity: Severity,
        signs: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Further>,
    },
    /// Somebody was told, or could not be. `step` is 0 for the first telling, then one for each
    /// escalation; `failed` says why it did not arrive. `of` is the entry that it was told as of, as
    /// [`super::Alert::severe_place`]. Entries of version 1 have the time of that one, `since`, or were told as of their
    /// own time.
    Notified {
        alert: AlertId,
        severity: Severity,
        step: u32,
        channel: Channel,
        to: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<UnixMillis>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
    },
    /// Nobody had looked in time: others are told too.
    Escalated { alert: AlertId, step: u32, to: Vec<String> },
    /// The actor looked at it. `read` is the last row of its day that was stored by then.
    Seen {
        alert: AlertId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read: Option<Position>,
    },
    /// It is somebody's to deal with.
    Assigned { alert: AlertId, to: String },
    /// What came of it. `private` is a salted hash of [`Private::Note`], where a note was written; `read` as of
    /// [`AlertEvent::Seen`].
    Reviewed {
        alert: AlertId,
        outcome: Outcome,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        read: Option<Position>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        private: Option<String>,
    },
    /// It is done with.
    Closed { alert: AlertId },
    /// What was personal of the entries at these places was erased: its time was up, or somebody had it erased.
    Erased { alert: AlertId, places: Vec<u64>, why: String },
}

impl AlertEvent {
    /// Which alert.
    #[must_use]
    pub fn alert(&self) -> AlertId {
        match self {
            Self::Raised { alert, .. }
            | Self::Worsened { alert, .. }
            | Self::Reopened { alert, .. }
            | Self::Notified { alert, .. }
            | Self::Escalated { alert, .. }
            | Self::Seen { alert, .. }
            | Self::Assigned { alert, .. }
            | Self::Reviewed { alert, .. }
            | Self::Closed { alert }
            | Self::Erased { alert, .. } => *alert,
        }
    }

    /// Where the hash of what is personal stands.
    pub(super) fn private_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Raised { private, .. } => Some(private),
            Self::Reviewed { private, .. } => Some(private.get_or_insert_default()),
            _ => None,
        }
    }

    /// The hash of what is personal.
    pub(super) fn private(&self) -> Option<&str> {
        match self {
            Self::Raised { private, .. } => Some(private),
            Self::Reviewed { private, .. } => private.as_deref(),
            _ => None,
        }
    }
}

/// What is personal of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Private {
    /// Whom an alert is about.
    About(Person),
    /// What a reviewer wrote.
    Note(String),
}

/// How somebody was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// By mail to a person.
    Mail,
    /// By a POST to an address.
    Webhook,
}

impl Channel {
    /// `mail` or `webhook`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }
}

/// What came of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was nothing.
    FalseAlarm,
    /// It was looked at, and nothing more is needed.
    NoAction,
    /// Somebody spoke to the pupil.
    Spoken,
    /// Parents or carers were told.
    Parents,
    /// It went to others: social care, police, Prevent, health.
    Referred,
    /// It is being watched, and stays open.
    Watching,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Outcome; 6] = [
        Outcome::FalseAlarm,
        Outcome::NoAction,
        Outcome::Spoken,
        Outcome::Parents,
        Outcome::Referred,
        Outcome::Watching,
    ];

    /// The word in files and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FalseAlarm => "false-alarm",
            Self::NoAction => "no-action",
            Self::Spoken => "spoken",
            Self::Parents => "parents",
            Self::Referred => "referred",
            Self::Watching => "watching",
        }
    }

    /// The outcome of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }

    /// Whether the alert is done with.
    #[must_use]
    pub fn closes(self) -> bool {
        self != Self::Watching
    }
}

/// An event with its place, time and actor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertEntry {
    /// 0-based place.
    pub sequence: u64,
    /// When it was written; never before the entry before, though the clock was set back.
    pub at: UnixMillis,
    /// What the clock said.
    pub clock: UnixMillis,
    /// Who did it: a person's name, or `schoolgate`.
    pub actor: String,
    /// What.
    pub event: AlertEvent,
}
