//! The events of alerts folded: how each alert stands.

use super::event::{AlertEntry, AlertEvent, Channel, Outcome};
use crate::episodes::{Confidence, EpisodeKey, Source};
use rules::alert::{AlertId, Severity};
use rules::change::same_person;
use rules::time::UnixMillis;
use std::collections::{BTreeMap, HashMap};

/// That somebody was told, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// As of which severity.
    pub severity: Severity,
    /// 0, or which escalation.
    pub step: u32,
    /// How.
    pub channel: Channel,
    /// Whom: a person, or the name of an address.
    pub to: String,
    /// As of when the alert was told: since when it was as severe, or open again.
    pub since: UnixMillis,
    /// When it was last tried.
    pub at: UnixMillis,
    /// Why it did not arrive; `None`: it did.
    pub failed: Option<String>,
}

/// What somebody found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Place of the event, by which its note is found.
    pub sequence: u64,
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub by: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// One alert as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its number.
    pub id: AlertId,
    /// Place of the event that raised it, by which the person is found.
    pub sequence: u64,
    /// The episode.
    pub episode: EpisodeKey,
    /// School day, as `2026-11-22`.
    pub day: String,
    /// How soon somebody must look.
    pub severity: Severity,
    /// Since when it has this severity, or is open again: what it is told as is counted from here.
    pub severe_since: UnixMillis,
    /// Level of the person.
    pub level: String,
    /// How sure it is who it was.
    pub confidence: Confidence,
    /// What told most, when it was raised.
    pub strongest: Source,
    /// When the episode's first record was read.
    pub first: UnixMillis,
    /// Signs when it was raised, got worse or was opened again.
    pub signs: u32,
    /// When it was raised.
    pub raised_at: UnixMillis,
    /// Who was told, each person or address once a severity and step, and again where it was opened again: the last
    /// try.
    pub deliveries: Vec<Delivery>,
    /// Escalations: how many, and when the last one was.
    pub escalated: Option<(u32, UnixMillis)>,
    /// Who looked first, and when.
    pub seen: Option<(String, UnixMillis)>,
    /// When somebody last looked.
    pub seen_last: Option<UnixMillis>,
    /// Whose it is.
    pub assigned: Option<String>,
    /// Every review, in order.
    pub reviews: Vec<Review>,
    /// When it was closed.
    pub closed: Option<UnixMillis>,
    /// When somebody last looked before they said what came of it, or said so: nobody knew of what came later.
    pub known_until: Option<UnixMillis>,
}

impl Alert {
    /// `open`, `seen`, `assigned`, `watched` or `closed`: how it stands in one word.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self {
            Alert { closed: Some(_), .. } => "closed",
            // What somebody said of less than it is by now is over.
            Alert { reviews, .. }
                if reviews.last().is_some_and(|review| review.at >= self.severe_since) =>
            {
                "watched"
            }
            Alert { assigned: Some(_), .. } => "assigned",
            _ if self.is_seen() => "seen",
            _ => "open",
        }
    }

    /// Whether it still waits for somebody.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Whether somebody has looked since it got as severe as it is, or was opened again.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.seen_last.is_some_and(|at| at >= self.severe_since)
    }

    /// Milliseconds from raising to the first review.
    #[must_use]
    pub fn time_to_review_ms(&self) -> Option<i64> {
        self.reviews.first().map(|review| (review.at.0 - self.raised_at.0).max(0))
    }

    /// Whether it is this person's.
    #[must_use]
    pub fn is_of(&self, person: &str) -> bool {
        self.assigned.as_deref().is_some_and(|owner| same_person(owner, person))
    }
}

/// All alerts.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    all: BTreeMap<AlertId, Alert>,
    by_episode: HashMap<EpisodeKey, AlertId>,
}

impl Alerts {
    /// All, by number.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Alert> {
        self.all.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The one of a number.
    #[must_use]
    pub fn get(&self, id: AlertId) -> Option<&Alert> {
        self.all.get(&id)
    }

    /// The one of an episode.
    #[must_use]
    pub fn of_episode(&self, key: &EpisodeKey) -> Option<&Alert> {
        self.all.get(self.by_episode.get(key)?)
    }

    /// The number that the next one gets.
    #[must_use]
    pub fn next_id(&self) -> AlertId {
        AlertId(self.all.last_key_value().map_or(1, |(id, _)| id.0.saturating_add(1)))
    }

    /// Takes the next entry. One about an alert that was never raised has no effect.
    pub fn fold(&mut self, entry: &AlertEntry) {
        if let AlertEvent::Raised { .. } = entry.event {
            self.raise(entry);
            return;
        }
        let Some(alert) = self.all.get_mut(&entry.event.alert()) else { return };
        let severe_since = alert.severe_since;
        match &entry.event {
            AlertEvent::Raised { .. } => {}
            AlertEvent::Worsened { severity, signs, .. }
            | AlertEvent::Reopened { severity, signs, .. } => {
                (alert.severity, alert.signs) = (*severity, *signs);
                alert.severe_since = entry.at;
                // What is urgent now is not done with because it was harmless before.
                alert.closed = None;
            }
            AlertEvent::Notified { severity, step, channel, to, since, failed, .. } => {
                let since = since.unwrap_or(entry.at);
                let delivery = Delivery {
                    severity: *severity,
                    step: *step,
                    channel: *channel,
                    to: to.clone(),
                    since,
                    at: entry.at,
                    failed: failed.clone(),
                };
                let is_same = |it: &&mut Delivery| {
                    (it.severity, it.step, it.channel, &it.to, it.since >= severe_since)
                        == (*severity, *step, *channel, to, since >= severe_since)
                };
                match alert.deliveries.iter_mut().find(is_same) {
                    Some(known) => *known = delivery,
                    None => alert.deliveries.push(delivery),
                }
            }
            AlertEvent::Escalated { step, .. } => alert.escalated = Some((*step, entry.at)),
            AlertEvent::Seen { .. } => {
                alert.seen.get_or_insert_with(|| (entry.actor.clone(), entry.at));
                alert.seen_last = Some(entry.at);
            }
            AlertEvent::Assigned { to, .. } => alert.assigned = Some(to.clone()),
            AlertEvent::Reviewed { outcome, .. } => {
                alert.reviews.push(Review {
                    sequence: entry.sequence,
                    at: entry.at,
                    by: entry.actor.clone(),
                    outcome: *outcome,
                });
                alert.known_until = Some(alert.seen_last.unwrap_or(entry.at));
                // Who says what came of it has seen it.
                alert.seen.get_or_insert_with(|| (entry.actor.clone(), entry.at));
                alert.seen_last = Some(entry.at);
            }
            AlertEvent::Closed { .. } => alert.closed = Some(entry.at),
        }
    }

    fn raise(&mut self, entry: &AlertEntry) {
        let AlertEvent::Raised {
            alert: id,
            episode,
            day,
            severity,
            level,
            confidence,
            strongest,
            first,
            signs,
            ..
        } = &entry.event
        else {
            return;
        };
        // A file that raises one twice was not written by this program: the first stands.
        if self.by_episode.contains_key(episode) || self.all.contains_key(id) {
            return;
        }
        self.by_episode.insert(episode.clone(), *id);
        let alert = Alert {
            id: *id,
            sequence: entry.sequence,
            episode: episode.clone(),
            day: day.clone(),
            severity: *severity,
            severe_since: entry.at,
            level: level.clone(),
            confidence: *confidence,
            strongest: *strongest,
            first: *first,
            signs: *signs,
            raised_at: entry.at,
            deliveries: Vec::new(),
            escalated: None,
            seen: None,
            seen_last: None,
            assigned: None,
            reviews: Vec::new(),
            closed: None,
            known_until: None,
        };
        self.all.insert(*id, alert);
    }
}
