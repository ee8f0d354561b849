//! The events of alerts folded: how each alert stands.
//!
//! What came before what is told by the places of entries, never by their times: while the clock is behind an entry that
//! was written as it ran ahead, all entries bear the time of that one.

use super::event::{AlertEntry, AlertEvent, Channel, Outcome};
use super::store::Position;
use crate::episodes::{Confidence, EpisodeKey, Further, Known, Source};
use rules::alert::{AlertId, Severity};
use rules::change::same_person;
use rules::time::UnixMillis;
use std::collections::{BTreeMap, HashMap};

/// How far the clock may be behind a look, in milliseconds, before it counts as set back since: small corrections are
/// made all day.
const CLOCK_MS: i64 = 60_000;

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
    /// As of which entry the alert was told: [`Alert::severe_place`] as it was sent.
    pub of: u64,
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

/// That nobody had looked in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Place of the event.
    pub place: u64,
    /// Which it was, from 1.
    pub step: u32,
    /// When.
    pub at: UnixMillis,
}

/// That it was opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reopening {
    /// Place of the event.
    pub place: u64,
    /// When.
    pub at: UnixMillis,
    /// By what; `None`: it was not written down.
    pub by: Option<Further>,
}

/// That somebody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Place of the event.
    pub place: u64,
    /// What the clock said.
    pub clock: UnixMillis,
    /// The last row of the alert's day that was stored by then; `None`: it was not written down.
    pub read: Option<Position>,
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
    /// Place of the event since which it has this severity, or is open again: what it is told as is counted from here.
    pub severe_place: u64,
    /// When that was written.
    pub severe_since: UnixMillis,
    /// What the clock said then, or as it was last escalated: from when on it waits for somebody.
    pub waits_since: UnixMillis,
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
    /// The last escalation.
    pub escalated: Option<Escalation>,
    /// Each time that it was opened again, in order.
    pub reopened: Vec<Reopening>,
    /// Who looked first, and when.
    pub seen: Option<(String, UnixMillis)>,
    /// The last look.
    pub seen_last: Option<Look>,
    /// Whose it is.
    pub assigned: Option<String>,
    /// Every review, in order.
    pub reviews: Vec<Review>,
    /// When it was closed.
    pub closed: Option<UnixMillis>,
    /// The last look before somebody said what came of it, or that they said so: nobody knew of what came later.
    pub known_until: Option<Look>,
}

impl Alert {
    /// `open`, `seen`, `assigned`, `watched` or `closed`: how it stands in one word.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self {
            Alert { closed: Some(_), .. } => "closed",
            // What somebody said of less than it is by now is over.
            Alert { reviews, .. }
                if reviews.last().is_some_and(|review| review.sequence > self.severe_place) =>
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
        self.seen_last.is_some_and(|look| look.place > self.severe_place)
    }

    /// Which escalation of what it is now was the last; 0: none yet.
    #[must_use]
    pub fn step(&self) -> u32 {
        // Those of what it was before do not count.
        let of_now = self.escalated.filter(|it| it.place > self.severe_place);
        of_now.map_or(0, |it| it.step)
    }

    /// What opened it again, where it waits because of that.
    #[must_use]
    pub fn reopening(&self) -> Option<&Reopening> {
        self.reopened.last().filter(|it| it.place == self.severe_place)
    }

    /// Whether it was closed as a false alarm.
    #[must_use]
    pub fn is_false_alarm(&self) -> bool {
        let is_last = |review: &Review| review.outcome == Outcome::FalseAlarm;
        !self.is_open()
            && self.reviews.last().is_some_and(|it| it.sequence > self.severe_place && is_last(it))
    }

    /// How far somebody knew of its episode who closed it; `None`: it is open.
    #[must_use]
    pub fn known(&self, now: UnixMillis) -> Option<Known> {
        let Look { clock, read, .. } = self.known_until.filter(|_| !self.is_open())?;
        Some(Known {
            at: clock,
            row: read.map(|read| read.sequence),
            is_time_wrong: clock.0 > now.0.saturating_add(CLOCK_MS),
            is_false_alarm: self.is_false_alarm(),
        })
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
        let severe_place = alert.severe_place;
        let look = |read| Look { place: entry.sequence, clock: entry.clock, read };
        match &entry.event {
            // How the alert stands is the same without a name.
            AlertEvent::Raised { .. } | AlertEvent::Erased { .. } => {}
            AlertEvent::Worsened { severity, signs, .. }
            | AlertEvent::Reopened { severity, signs, .. } => {
                (alert.severity, alert.signs) = (*severity, *signs);
                (alert.severe_place, alert.severe_since) = (entry.sequence, entry.at);
                alert.waits_since = entry.clock;
                // What is urgent now is not done with because it was harmless before.
                alert.closed = None;
                if let AlertEvent::Reopened { by, .. } = entry.event {
                    alert.reopened.push(Reopening { place: entry.sequence, at: entry.at, by });
                }
            }
            AlertEvent::Notified { severity, step, channel, to, of, since, failed, .. } => {
                let is_of_now = since.is_none_or(|since| since >= alert.severe_since);
                let of = of.unwrap_or(if is_of_now { severe_place } else { 0 });
                let delivery = Delivery {
                    severity: *severity,
                    step: *step,
                    channel: *channel,
                    to: to.clone(),
                    of,
                    at: entry.at,
                    failed: failed.clone(),
                };
                let is_same = |it: &&mut Delivery| {
                    (it.severity, it.step, it.channel, &it.to, it.of)
                        == (*severity, *step, *channel, to, of)
                };
                match alert.deliveries.iter_mut().find(is_same) {
                    Some(known) => *known = delivery,
                    None => alert.deliveries.push(delivery),
                }
            }
            AlertEvent::Escalated { step, .. } => {
                let (place, step, at) = (entry.sequence, *step, entry.at);
                alert.escalated = Some(Escalation { place, step, at });
                alert.waits_since = entry.clock;
            }
            AlertEvent::Seen { read, .. } => {
                alert.seen.get_or_insert_with(|| (entry.actor.clone(), entry.at));
                alert.seen_last = Some(look(*read));
            }
            AlertEvent::Assigned { to, .. } => alert.assigned = Some(to.clone()),
            AlertEvent::Reviewed { outcome, read, .. } => {
                alert.reviews.push(Review {
                    sequence: entry.sequence,
                    at: entry.at,
                    by: entry.actor.clone(),
                    outcome: *outcome,
                });
                if alert.closed.is_some() {
                    // A correction: of what came since it was closed nobody knows by it. It may say that it is not done with.
                    alert.closed = alert.closed.filter(|_| outcome.closes());
                    return;
                }
                alert.known_until = Some(alert.seen_last.unwrap_or(look(*read)));
                // Who says what came of it has seen it.
                alert.seen.get_or_insert_with(|| (entry.actor.clone(), entry.at));
                alert.seen_last = Some(look(*read));
            }
            AlertEvent::Closed { .. } => {
                alert.closed = Some(entry.at);
                if alert.reviews.last().is_none_or(|review| review.sequence < severe_place) {
                    // Without a word of what came of it.
                    alert.known_until = Some(look(None));
                }
            }
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
            severe_place: entry.sequence,
            severe_since: entry.at,
            waits_since: entry.clock,
            level: level.clone(),
            confidence: *confidence,
            strongest: *strongest,
            first: *first,
            signs: *signs,
            raised_at: entry.at,
            deliveries: Vec::new(),
            escalated: None,
            reopened: Vec::new(),
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
