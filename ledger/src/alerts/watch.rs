//! Makes alerts of the access log as it grows.
//!
//! Each school day is read by itself and from its start, since its episodes are made of its own
//! records; what was read before the last write raises nothing again. The place up to which it was read
//! stands in the same transaction as the alerts that it led to. Where the record at that place is
//! another one by now, as a power cut can leave it, the whole day is looked at anew: an alert that is
//! there already, by its episode, is not raised again.

use super::event::{AlertEvent, Private};
use super::fold::Alerts;
use super::store::{AlertError, AlertStore, AppendAlertError, NewEvent, Position};
use crate::changes::ACTOR_DAEMON;
use crate::episodes::{Episode, EpisodeDay, EpisodeKey, Thresholds, category_signs};
use crate::query::{AccessLog, AccessRow, Filter, Order, QueryError};
use jiff::civil::Date;
use rules::alert::Severity;
use rules::decide::Verdict;
use rules::time::UnixMillis;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Rows read at a time.
const PAGE_ROWS: usize = 2_000;

/// Between two writes of how far the log was read, where no alert is raised: what lies between is only
/// read again after a start.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// How long files of days are held open: one that was sealed or erased from meanwhile is opened anew.
const REOPEN_EVERY: Duration = Duration::from_secs(60);

/// Days before today that are looked at again and again: journals of a process that was killed may come
/// in late. A day's tunnel lasts a day at most.
const LOOK_BACK_DAYS: i64 = 2;

/// Why the log could not be followed. What was not written is done again at the next look.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The access log.
    #[error(transparent)]
    Log(#[from] QueryError),
    /// The alerts.
    #[error(transparent)]
    Alerts(#[from] AlertError),
}

impl From<AppendAlertError<Infallible>> for WatchError {
    fn from(error: AppendAlertError<Infallible>) -> Self {
        match error {
            AppendAlertError::Store(error) => Self::Alerts(error),
            AppendAlertError::Refused(never) => match never {},
        }
    }
}

/// What follows the access log of a state folder.
#[derive(Debug)]
pub struct Watch {
    state: PathBuf,
    log: AccessLog,
    opened: Instant,
    days: BTreeMap<Date, Following>,
    begun: bool,
    saved: Instant,
}

/// One day as far as it was read.
#[derive(Debug)]
struct Following {
    episodes: EpisodeDay,
    /// The last row that was read.
    read: Option<Position>,
    /// Up to which row everything was written down.
    written: Option<Position>,
}

impl Following {
    fn new(day: Date, written: Option<Position>) -> Self {
        Self { episodes: EpisodeDay::new(day), read: None, written }
    }
}

/// Episodes that are to be alerts, with their severity.
type Wanted = BTreeMap<(Date, usize), Severity>;

impl Watch {
    /// Follows the log in `state`; nothing is opened yet.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
            log: AccessLog::new(state),
            opened: Instant::now(),
            days: BTreeMap::new(),
            begun: false,
            saved: Instant::now(),
        }
    }

    /// The episodes of a day that is followed.
    #[must_use]
    pub fn day(&self, day: Date) -> Option<&EpisodeDay> {
        self.days.get(&day).map(|following| &following.episodes)
    }

    /// Reads what was stored since the last look, raises what is due, and says how many alerts were
    /// raised or got worse. Where it fails, the next look begins again where the last one that succeeded
    /// ended.
    ///
    /// # Errors
    /// [`WatchError`].
    pub async fn look(
        &mut self,
        store: &mut AlertStore,
        thresholds: Thresholds,
        now: UnixMillis,
    ) -> Result<usize, WatchError> {
        let looked = self.try_to_look(store, thresholds, now).await;
        if looked.is_err() {
            // What was read of a page that was not written down is read again.
            (self.days, self.begun) = (BTreeMap::new(), false);
            self.log = AccessLog::new(&self.state);
        }
        looked
    }

    async fn try_to_look(
        &mut self,
        store: &mut AlertStore,
        thresholds: Thresholds,
        now: UnixMillis,
    ) -> Result<usize, WatchError> {
        if self.opened.elapsed() > REOPEN_EVERY {
            (self.log, self.opened) = (AccessLog::new(&self.state), Instant::now());
        }
        self.choose_days(store, now).await?;
        let mut wanted = Wanted::new();
        for (day, following) in &mut self.days {
            follow(&mut self.log, *day, following, thresholds, &mut wanted).await?;
        }
        let moved: Vec<(Date, Position)> = self
            .days
            .iter()
            .filter(|(_, following)| following.read != following.written)
            .filter_map(|(day, following)| Some((*day, following.read?)))
            .collect();
        if wanted.is_empty() && (moved.is_empty() || self.saved.elapsed() < SAVE_EVERY) {
            return Ok(0);
        }
        let episodes: Vec<(&Episode, Severity)> = wanted
            .iter()
            .filter_map(|((day, place), severity)| {
                Some((self.days.get(day)?.episodes.episodes().get(*place)?, *severity))
            })
            .collect();
        let raise = |alerts: &Alerts| Ok::<_, Infallible>(events(alerts, &episodes));
        let raised = store.append_with(now, &moved, raise).await?.len();
        self.saved = Instant::now();
        for following in self.days.values_mut() {
            following.written = following.read;
        }
        Ok(raised)
    }

    /// The days that may get rows: those of about now, and at the first look all since what was written
    /// down last. Before anything was, nothing older than today is made an alert of.
    async fn choose_days(
        &mut self,
        store: &mut AlertStore,
        now: UnixMillis,
    ) -> Result<(), WatchError> {
        let here = self.log.days()?;
        let positions = if self.begun { BTreeMap::new() } else { store.positions().await? };
        let today = utc_day(now);
        let back =
            |day: Date, days: i64| day.checked_sub(jiff::Span::new().days(days)).unwrap_or(day);
        let from = match (self.begun, positions.last_key_value()) {
            (false, Some((day, _))) => back((*day).min(today), LOOK_BACK_DAYS),
            (true, _) => back(today, LOOK_BACK_DAYS),
            (false, None) => back(today, 1),
        };
        self.days.retain(|day, _| *day >= back(today, LOOK_BACK_DAYS));
        for day in here.into_iter().filter(|day| *day >= from) {
            if !self.days.contains_key(&day) {
                let written = positions.get(&day).copied();
                let written = match written {
                    Some(position) if self.is_there(day, position).await? => Some(position),
                    _ => None,
                };
                self.days.insert(day, Following::new(day, written));
            }
        }
        self.begun = true;
        Ok(())
    }

    async fn is_there(&mut self, day: Date, position: Position) -> Result<bool, QueryError> {
        let after = position.sequence.checked_sub(1);
        let rows = self.log.day_page(day, &Filter::default(), Order::OldestFirst, after, 1).await?;
        Ok(rows.first().map(position_of) == Some(position))
    }
}

/// Reads a day on, and notes which episodes are due.
async fn follow(
    log: &mut AccessLog,
    day: Date,
    following: &mut Following,
    thresholds: Thresholds,
    wanted: &mut Wanted,
) -> Result<(), WatchError> {
    let newest = log.day_page(day, &Filter::default(), Order::NewestFirst, None, 1).await?;
    let Some(newest) = newest.first().map(position_of) else { return Ok(()) };
    if following.read == Some(newest) {
        return Ok(());
    }
    if following.read.is_some_and(|read| read.sequence >= newest.sequence) {
        // The day's file was damaged and begun anew.
        *following = Following::new(day, None);
        wanted.retain(|(of, _), _| *of != day);
    }
    loop {
        let after = following.read.map(|read| read.sequence);
        let rows = log.day_page(day, &filter(), Order::OldestFirst, after, PAGE_ROWS).await?;
        for row in &rows {
            let is_new = following.written.is_none_or(|it| row.cursor.sequence > it.sequence);
            for place in following.episodes.take(row, &category_signs(row)) {
                let episode = &following.episodes.episodes()[place];
                if let Some(severity) = episode.due(thresholds).filter(|_| is_new) {
                    let known = wanted.entry((day, place)).or_insert(severity);
                    *known = (*known).max(severity);
                }
            }
        }
        let last = rows.last().map(position_of);
        if rows.len() < PAGE_ROWS {
            // Between the look at the newest and this page more may have come.
            let read = last.filter(|last| last.sequence > newest.sequence).unwrap_or(newest);
            following.read = Some(read);
            return Ok(());
        }
        following.read = last;
    }
}

/// The rows that may carry signs.
fn filter() -> Filter {
    Filter { verdict: Some(Verdict::Block), ..Filter::default() }
}

fn position_of(row: &AccessRow) -> Position {
    Position { sequence: row.cursor.sequence, record: row.id }
}

fn utc_day(at: UnixMillis) -> Date {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// What is new of these episodes.
fn events(alerts: &Alerts, episodes: &[(&Episode, Severity)]) -> Vec<NewEvent> {
    let mut next = alerts.next_id();
    let mut events = Vec::new();
    for (episode, severity) in episodes {
        let event = match alerts.of_episode(&episode.key) {
            Some(known) if known.severity >= *severity => continue,
            Some(known) => NewEvent::new(
                ACTOR_DAEMON,
                AlertEvent::Worsened { alert: known.id, severity: *severity, signs: episode.signs },
            ),
            None => {
                let id = next;
                next.0 = next.0.saturating_add(1);
                let private = Some(Private::About(episode.person.clone()));
                NewEvent { private, ..NewEvent::new(ACTOR_DAEMON, raised(id, episode, *severity)) }
            }
        };
        events.push(event);
    }
    events
}

fn raised(alert: rules::alert::AlertId, episode: &Episode, severity: Severity) -> AlertEvent {
    AlertEvent::Raised {
        alert,
        episode: episode.key.clone(),
        day: episode.day.to_string(),
        severity,
        level: episode.level.clone(),
        confidence: episode.person.confidence(),
        strongest: episode.strongest,
        first: episode.first,
        signs: episode.signs,
        // Filled in as it is stored.
        private: String::new(),
    }
}

/// The episodes of a day, made again from its records.
///
/// # Errors
/// [`QueryError`].
pub async fn episodes_of(log: &mut AccessLog, day: Date) -> Result<EpisodeDay, QueryError> {
    let mut episodes = EpisodeDay::new(day);
    let mut after = None;
    loop {
        let rows = log.day_page(day, &filter(), Order::OldestFirst, after, PAGE_ROWS).await?;
        for row in &rows {
            episodes.take(row, &category_signs(row));
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE_ROWS => after = Some(last.cursor.sequence),
            _ => return Ok(episodes),
        }
    }
}

/// The episode of a key among those of its day.
#[must_use]
pub fn find<'d>(day: &'d EpisodeDay, key: &EpisodeKey) -> Option<&'d Episode> {
    day.episodes().iter().find(|episode| episode.key == *key)
}
