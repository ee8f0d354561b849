//! Makes alerts of the access log as it grows.
//!
//! Each school day is read by itself and from its start, since its episodes are made of its own
//! records. An alert that is there already is not raised again: it is known by the records of its episode,
//! whatever order these were stored in, so that a power cut or a start in the middle changes nothing. One that was
//! closed is opened again by what was stored after somebody looked, or came to be known later. How
//! far the log was read stands in the same transaction as the alerts that it led to, and says which days
//! are to be read after a start.

use super::event::{AlertEvent, Private};
use super::fold::{Alert, Alerts, Look};
use super::store::{AlertError, AlertStore, AppendAlertError, NewEvent, Position};
use crate::changes::ACTOR_DAEMON;
use crate::episodes::{Episode, EpisodeDay, EpisodeKey, Known, Sign, Thresholds, signs_of};
use crate::query::{AccessLog, AccessRow, Filter, Order, QueryError};
use jiff::civil::Date;
use rules::alert::Severity;
use rules::time::UnixMillis;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Rows read at a time.
const PAGE_ROWS: usize = 2_000;

/// Between two writes of how far the log was read, where no alert is raised: what lies between is only
/// read again after a start. And between two looks for alerts that were closed though more had come.
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
    /// Of looks by their places: whether the last row that was there is gone.
    lost: HashMap<u64, bool>,
}

/// One day as far as it was read.
#[derive(Debug)]
struct Following {
    episodes: EpisodeDay,
    /// The last row that was read.
    read: Option<Position>,
    /// Up to which row it was written down that it was read.
    written: Option<Position>,
    /// Of rows that may get more signs with their end: how many were taken. `None`: all.
    taken: HashMap<i64, Option<usize>>,
    /// As what each episode has been due at most, by place: what comes later may open its alert again, though by itself
    /// it were none.
    due: BTreeMap<usize, Severity>,
}

impl Following {
    fn new(day: Date) -> Self {
        let (episodes, taken, due) =
            (EpisodeDay::with_devices(day), HashMap::new(), BTreeMap::new());
        Self { episodes, read: None, written: None, taken, due }
    }

    /// Takes a row with the signs that it has by now, and notes which episodes are due, or were; `is_due` becomes true
    /// where there is one.
    fn take(&mut self, row: &AccessRow, thresholds: Thresholds, is_due: &mut bool) {
        let place = row.cursor.sequence;
        let taken = match self.taken.get(&place) {
            None => 0,
            Some(Some(taken)) => *taken,
            Some(None) => return,
        };
        let is_first = !self.taken.contains_key(&place);
        let signs = if is_first { signs_of(row, 0) } else { later_signs(row, taken) };
        self.taken.insert(place, row.ended.is_none().then_some(row.signs.len()));
        for place in self.episodes.take(row, &signs) {
            let now = self.episodes.episodes()[place].due(thresholds);
            if let Some(severity) = now.max(self.due.get(&place).copied()) {
                self.due.insert(place, severity);
                *is_due = true;
            }
        }
    }
}

/// The signs of a row that was taken before, behind the first so many.
fn later_signs(row: &AccessRow, taken: usize) -> Vec<Sign> {
    row.signs.iter().skip(taken).map(Sign::from).collect()
}

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
            lost: HashMap::new(),
        }
    }

    /// The episodes of a day that is followed.
    #[must_use]
    pub fn day(&self, day: Date) -> Option<&EpisodeDay> {
        self.days.get(&day).map(|following| &following.episodes)
    }

    /// Reads what was stored since the last look, raises what is due, and says how many alerts were
    /// raised, got worse or were opened again. Where it fails, the next look begins again where the last one that succeeded
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
            self.lost.clear();
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
        let mut is_due = false;
        for (day, following) in &mut self.days {
            follow(&mut self.log, *day, following, thresholds, &mut is_due).await?;
        }
        let moved: Vec<(Date, Position)> = self
            .days
            .iter()
            .filter(|(_, following)| following.read != following.written)
            .filter_map(|(day, following)| Some((*day, following.read?)))
            .collect();
        if !is_due && self.saved.elapsed() < SAVE_EVERY {
            return Ok(0);
        }
        self.check_looks(store).await?;
        // Those too that nothing new came of: somebody may have closed their alert who had not seen the last of it.
        let episodes: Vec<(&Episode, Severity)> = self
            .days
            .values()
            .flat_map(|following| {
                let all = following.episodes.episodes();
                following.due.iter().filter_map(|(place, due)| Some((all.get(*place)?, *due)))
            })
            .collect();
        let lost: HashSet<u64> =
            self.lost.iter().filter(|(_, is_lost)| **is_lost).map(|(place, _)| *place).collect();
        let raise = |alerts: &Alerts| {
            Ok::<_, Infallible>(events(alerts, &episodes, thresholds, &lost, now))
        };
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
            self.days.entry(day).or_insert_with(|| Following::new(day));
        }
        self.begun = true;
        Ok(())
    }

    /// Sees whether the rows are still there that alerts were closed by. After a power cut others may have their places,
    /// and a place then says nothing of what came later.
    async fn check_looks(&mut self, store: &mut AlertStore) -> Result<(), WatchError> {
        let place_of = |alert: &Alert| {
            let Look { place, read, .. } = alert.known_until.filter(|_| !alert.is_open())?;
            Some((alert.day.parse().ok()?, place, read?))
        };
        let looks: Vec<(Date, u64, Position)> =
            store.alerts().await?.iter().filter_map(place_of).collect();
        for (day, place, read) in looks {
            if self.lost.contains_key(&place) || !self.days.contains_key(&day) {
                continue;
            }
            let after = read.sequence.checked_sub(1);
            let filter = Filter::default();
            let row = self.log.day_page(day, &filter, Order::OldestFirst, after, 1).await?;
            // Where there is none in its place, but further ones are, it was erased.
            let is_there =
                |row: &AccessRow| row.cursor.sequence > read.sequence || position_of(row) == read;
            self.lost.insert(place, !row.first().is_some_and(is_there));
        }
        Ok(())
    }
}

/// The last row of a day that is stored: who looks now knows of nothing behind it.
///
/// # Errors
/// [`QueryError`].
pub async fn stored_until(log: &mut AccessLog, day: Date) -> Result<Option<Position>, QueryError> {
    let newest = log.day_page(day, &Filter::default(), Order::NewestFirst, None, 1).await?;
    Ok(newest.first().map(position_of))
}

/// Reads a day on, and notes which episodes are due, or were; `is_due` becomes true where one got signs.
async fn follow(
    log: &mut AccessLog,
    day: Date,
    following: &mut Following,
    thresholds: Thresholds,
    is_due: &mut bool,
) -> Result<(), WatchError> {
    let Some(newest) = stored_until(log, day).await? else { return Ok(()) };
    if following.read.is_some_and(|read| read.sequence > newest.sequence) {
        // The day's file was damaged and begun anew.
        *following = Following::new(day);
    }
    while following.read != Some(newest) {
        let after = following.read.map(|read| read.sequence);
        let rows = log.day_page(day, &filter(), Order::OldestFirst, after, PAGE_ROWS).await?;
        for row in &rows {
            following.take(row, thresholds, is_due);
        }
        let last = rows.last().map(position_of);
        if rows.len() < PAGE_ROWS {
            // Between the look at the newest and this page more may have come.
            let read = last.filter(|last| last.sequence > newest.sequence).unwrap_or(newest);
            following.read = Some(read);
            break;
        }
        following.read = last;
    }
    let read = following.read.map_or(-1, |read| read.sequence);
    let mut late = log.late_signs(day).await?;
    late.retain(|place| *place <= read && following.taken.get(place) != Some(&None));
    late.sort_unstable();
    for place in late {
        let after = place.checked_sub(1);
        let rows = log.day_page(day, &Filter::default(), Order::OldestFirst, after, 1).await?;
        for row in rows.iter().filter(|row| row.cursor.sequence == place) {
            following.take(row, thresholds, is_due);
        }
    }
    Ok(())
}

/// The rows that may carry signs.
fn filter() -> Filter {
    Filter { telling: true, ..Filter::default() }
}

fn position_of(row: &AccessRow) -> Position {
    Position { sequence: row.cursor.sequence, record: row.id }
}

fn utc_day(at: UnixMillis) -> Date {
    let at = jiff::Timestamp::from_millisecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// What is new of these episodes. An alert that is open is told of again only where it got worse; of one that was closed
/// whoever closed it knows nothing that came since they looked.
fn events(
    alerts: &Alerts,
    episodes: &[(&Episode, Severity)],
    thresholds: Thresholds,
    lost: &HashSet<u64>,
    now: UnixMillis,
) -> Vec<NewEvent> {
    let mut next = alerts.next_id();
    let mut events = Vec::new();
    for (episode, severity) in episodes {
        let event = match known(alerts, episode) {
            Some(known) if known.severity < *severity => NewEvent::new(
                ACTOR_DAEMON,
                AlertEvent::Worsened { alert: known.id, severity: *severity, signs: episode.signs },
            ),
            Some(known) => {
                let further =
                    known_of(known, lost, now).and_then(|it| episode.further(it, thresholds));
                let Some(by) = further.map(Some) else { continue };
                let (alert, severity, signs) = (known.id, known.severity, episode.signs);
                NewEvent::new(ACTOR_DAEMON, AlertEvent::Reopened { alert, severity, signs, by })
            }
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

/// How far somebody knew who closed an alert; `None`: it is open.
fn known_of(alert: &Alert, lost: &HashSet<u64>, now: UnixMillis) -> Option<Known> {
    let known = alert.known(now)?;
    let is_lost = alert.known_until.is_some_and(|look| lost.contains(&look.place));
    // Of rows that are gone nothing tells what came after: all of it is new.
    Some(if is_lost { Known { row: None, is_time_wrong: true, ..known } } else { known })
}

/// The alert of an episode, by any of its records: read again, it may begin with another one.
fn known<'a>(alerts: &'a Alerts, episode: &Episode) -> Option<&'a Alert> {
    let key = |first| EpisodeKey { first, theme: episode.key.theme.clone() };
    let by_first = alerts.of_episode(&episode.key);
    by_first.or_else(|| episode.records.iter().find_map(|(_, id)| alerts.of_episode(&key(*id))))
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

/// The episodes of a day, made again from its records. `episodes`: those of the day, none so far.
///
/// # Errors
/// [`QueryError`].
pub async fn episodes_of(
    log: &mut AccessLog,
    mut episodes: EpisodeDay,
) -> Result<EpisodeDay, QueryError> {
    let mut after = None;
    loop {
        let rows =
            log.day_page(episodes.day(), &filter(), Order::OldestFirst, after, PAGE_ROWS).await?;
        for row in &rows {
            episodes.take(row, &signs_of(row, 0));
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE_ROWS => after = Some(last.cursor.sequence),
            _ => return Ok(episodes),
        }
    }
}

/// The episode of an alert among those of its day: that which has the record by which it is known.
#[must_use]
pub fn find<'d>(day: &'d EpisodeDay, key: &EpisodeKey) -> Option<&'d Episode> {
    let has_it = |episode: &&Episode| {
        episode.key.theme == key.theme && episode.records.iter().any(|(_, id)| *id == key.first)
    };
    day.episodes().iter().find(has_it)
}
