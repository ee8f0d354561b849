//! Erasing school days whose time is up, as `[keep]` of the policy says.
//!
//! A day's file goes whole, once every class of record in it is over. Where one class is over before another,
//! and where one person's requests are to be erased, the file is made anew without these rows, whose hashes
//! stay (`retention::rewrite`). Either way the entry `erased` of the change
//! log comes first and is durable before any file is touched: it names the day, its rows and its
//! batches, and checkpoints sign it like any other entry. So an erasure that cannot be recorded does not
//! happen, and one that was cut short between entry and file is finished by the next run.
//!
//! The batches' hashes stay in the access log's tree, so that `audit verify` goes on proving all other
//! days. A day is kept, and the run says why, where
//!
//! - a legal hold touches any of its rows;
//! - no signed checkpoint covers all of it yet, or the tree's own note does not count on it yet;
//! - its batches are not those that were signed, since a damaged day is evidence of something;
//! - the clock is not to be believed: by it the newest day would be over too, or a long time without any record
//!   lies behind it.
//!
//! Names and notes of closed alerts go by the same clock and the same doubts (`retention::alerts`).

mod alerts;
mod day;
mod entries;
mod part;
mod rewrite;

pub use alerts::{AlertsOutcome, erase_alerts};
pub use entries::erasures;
pub(crate) use entries::{PartErasure, erased_batches, part_erasures};
pub use part::erase_person;

use crate::alerts::AlertError;
use crate::changes::{AppendError, AppendWithError, ChangeLog};
use crate::evidence::access::{TREE as ACCESS_TREE, noted_durable};
use crate::evidence::key::public_key;
use crate::evidence::note::Checkpoint;
use crate::evidence::signer::TREE as CHANGE_TREE;
use crate::evidence::tree::{FileTree, Tree as _};
use crate::evidence::verify::spans;
use crate::evidence::{folder, hash_of_hex, places};
use crate::lock::{DaysLock, Hold};
use crate::parts::{CLOSED_AFTER_DAYS, days};
use day::DayFacts;
use jiff::civil::Date;
use rules::change::{ChangeEntry, Event};
use rules::hold::{HoldId, Holds};
use rules::policy::Keep;
use rules::time::{SchoolClock, UnixMillis};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// How many days after a day its rows can go at the earliest, where two later days have records.
pub const KEPT_OPEN_DAYS: i64 = CLOSED_AFTER_DAYS + 1;

/// How often a run begins anew because somebody else wrote to the change log meanwhile.
const TRIES: usize = 20;

/// What a run did, or with `dry_run` would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Days erased now, with how many rows each had.
    pub erased: Vec<(Date, u64)>,
    /// Days of which rows were erased now: of which classes or for which request, and how many.
    pub parts: Vec<(Date, String, u64)>,
    /// Whether more of them wait: see [`Order::most_parts`].
    pub more: bool,
    /// Days whose erasure an earlier run had recorded and not finished.
    pub finished: Vec<Date>,
    /// Days that are over and stay, and why.
    pub kept: Vec<(Date, Why)>,
    /// Names and notes of alerts that were erased now, with one person's requests.
    pub alerts: u64,
}

impl Outcome {
    /// Notes why a day, or rows of it, stay; said once.
    fn keep(&mut self, day: Date, why: Why) {
        if !self.kept.iter().any(|kept| (kept.0, &kept.1) == (day, &why)) {
            self.kept.push((day, why));
        }
    }
}

/// Why a day whose time is up stays.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Why {
    /// A legal hold.
    #[error("held by {0}")]
    Held(HoldId),
    /// Nothing proves yet what the day held.
    #[error("no checkpoint covers all of it yet; schoolgate audit checkpoint")]
    NotCovered,
    /// It is not what was signed, or cannot be read.
    #[error("it is damaged or was altered ({0}); schoolgate audit verify")]
    Damaged(String),
    /// Its rows have no leaves of their own, so that none can go alone.
    #[error("it was recorded before the log was proved: it goes whole, with its longest period")]
    NotProved,
    /// Its places go on from file to file, and an erasure names those of one.
    #[error(
        "the clock was set back, and it has several files: it goes whole, with its longest period"
    )]
    Parts,
    /// The running filter may have it open.
    #[error(
        "it is one of the newest days, which may still be written to; carry it out again when three days have passed \
         and two later days have records"
    )]
    Open,
    /// The newest day, of which some records would be over: a clock that is wrong would erase them all.
    #[error(
        "by the clock of this machine records of even the newest day are over: nothing of younger days was erased; check the clock"
    )]
    Clock,
    /// A long time without records lies between it and now.
    #[error(
        "no day of more than two months after it has records: where the clock of this machine is right, erase \
         it with: schoolgate retention run --despite-gap"
    )]
    Gap,
    /// The log says that the day was erased, and there is another file in its place.
    #[error(
        "it was erased by entry {0} of the change log, and its file is not the one that was erased"
    )]
    NotTheErased(u64),
}

/// Why nothing, or nothing more, was erased.
#[derive(Debug, Error)]
pub enum RetentionError {
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The change log: what cannot be recorded is not erased.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// The newest day would be over too.
    #[error(
        "by the clock of this machine even the newest day, {0}, is over: nothing was erased; check the clock"
    )]
    Clock(Date),
    /// The alerts.
    #[error(transparent)]
    Alerts(#[from] AlertError),
    /// Others wrote to the change log each time.
    #[error("the change log was busy; the next run goes on")]
    Busy,
    /// Somebody else replaces files of days or reads them, or the filter stores what came late for one.
    #[error(
        "a day of the access log is being sealed, written to, verified or backed up, or another run erases; try \
         again when that is over"
    )]
    Days,
}

/// What decides an erasure.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// The school's clock: days are the school's.
    pub clock: &'a SchoolClock,
    /// How long each class is kept.
    pub keep: Keep,
    /// Now.
    pub now: UnixMillis,
    /// Who runs it, for the entry.
    pub actor: &'a str,
    /// Whether nothing is to be changed.
    pub dry_run: bool,
    /// Most days of which rows are erased in one run: each is read and written whole.
    pub most_parts: usize,
    /// Whether somebody answers for the clock, so that days before a long gap are erased too.
    pub over_gaps: bool,
    /// Asked between any two days: whether to end here. What is left is for the next run.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl std::fmt::Debug for Order<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order")
            .field("keep", &self.keep)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// Longest time between two days with records that is no doubt about the clock: the summer holidays, and more.
const LONGEST_GAP_DAYS: i32 = 60;

impl Order<'_> {
    /// Whether a day lies before a long time without any record: a clock that jumped ahead would make every
    /// earlier day look over, so that these wait for somebody who has looked at it.
    fn is_before_gap(&self, days: &[Date], day: Date) -> bool {
        let today = self.clock.day(self.now);
        let later = days.iter().copied().filter(|later| *later > day && *later < today);
        let gap = |from: Date, to: Date| (to - from).get_days() > LONGEST_GAP_DAYS;
        let mut before = day;
        for next in later.chain([today]) {
            if gap(before, next) {
                return !self.over_gaps;
            }
            before = next;
        }
        false
    }

    /// The first day that is not over for this many days of keeping: each record of an earlier day is
    /// at least so old.
    fn first_kept(&self, days: u32) -> Option<Date> {
        let today = self.clock.day(self.now);
        today.checked_sub(jiff::Span::new().try_days(i64::from(days)).ok()?).ok()
    }

    /// Whether every class of record of a day is over.
    fn is_over(&self, day: Date) -> bool {
        self.over_for(self.keep.allowed_days.max(self.keep.blocked_days), day)
    }

    /// Whether what is kept for so many days is over, of a day.
    fn over_for(&self, days: u32, day: Date) -> bool {
        // What cannot be reckoned is kept.
        self.first_kept(days).is_some_and(|first| day < first)
    }
}

/// Finishes what an earlier run began, erases every day whose time is up, and of younger days the rows of
/// the class whose own time is up.
///
/// # Errors
/// [`RetentionError`]. What was erased before is recorded; the next run goes on.
pub async fn run(
    state: &Path,
    log: &ChangeLog,
    order: Order<'_>,
) -> Result<Outcome, RetentionError> {
    let mut outcome = Outcome::default();
    let mut lock = take_lock(state, order).await?;
    let access = state.join("access");
    if !order.dry_run {
        part::clear(&access).map_err(io(&access))?;
    }
    for _ in 0..TRIES {
        outcome.kept.clear();
        if once(state, log, order, &mut lock, &mut outcome).await? {
            part::classes(state, log, order, &mut lock, &mut outcome).await?;
            return Ok(outcome);
        }
    }
    Err(RetentionError::Busy)
}

/// How long whoever has the lock of the days is waited for before an erasure gives way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes the lock of the days; shared where nothing is to be changed, so that nobody replaces what is looked at.
async fn take_lock(state: &Path, order: Order<'_>) -> Result<Option<DaysLock>, RetentionError> {
    let access = state.join("access");
    if !access.exists() {
        return Ok(None);
    }
    let began = Instant::now();
    let give_up = || began.elapsed() >= PATIENCE || (order.stop)();
    let hold = if order.dry_run { Hold::Shared } else { Hold::Alone };
    let taken = DaysLock::take(&access, hold, give_up).await;
    taken.map_err(io(&DaysLock::path(&access)))?.map(Some).ok_or(RetentionError::Days)
}

/// Lets others have the lock between two days: the ingest waits for it where something comes for an older day,
/// and all that follows waits with it.
async fn renew(
    lock: &mut Option<DaysLock>,
    state: &Path,
    order: Order<'_>,
) -> Result<(), RetentionError> {
    if lock.take().is_some() {
        tokio::time::sleep(crate::lock::TURN).await;
        *lock = take_lock(state, order).await?;
    }
    Ok(())
}

/// An error at this path.
fn io(path: &Path) -> impl Fn(std::io::Error) -> RetentionError + use<> {
    let path = path.to_owned();
    move |source| RetentionError::Io { path: path.clone(), source }
}

/// One go at it. `false`: somebody else wrote to the change log, so that it must be read again.
async fn once(
    state: &Path,
    log: &ChangeLog,
    order: Order<'_>,
    lock: &mut Option<DaysLock>,
    outcome: &mut Outcome,
) -> Result<bool, RetentionError> {
    let access = state.join("access");
    let entries = log.entries_after(0).await?;
    let mut size = entries.last().map_or(0, |entry| entry.sequence + 1);
    let (holds, erased) = (Holds::of(&entries), erasures(&entries));
    for (day, (entry, batches)) in &erased {
        let files = files_of(&access, *day).map_err(io(&access))?;
        if files.is_empty() {
            continue;
        }
        let bounds = order.clock.day_bounds(*day);
        match may_finish(&access, *day, bounds, *entry, batches, &holds).await {
            Some(why) => outcome.kept.push((*day, why)),
            None => {
                if !order.dry_run {
                    remove(&access, &files).map_err(io(&access))?;
                }
                outcome.finished.push(*day);
            }
        }
    }
    let all = days(&access).map_err(io(&access))?;
    let over: Vec<Date> = all
        .iter()
        .copied()
        .filter(|day| order.is_over(*day) && !erased.contains_key(day))
        .filter(|day| {
            let is_doubtful = order.is_before_gap(&all, *day);
            if is_doubtful {
                outcome.kept.push((*day, Why::Gap));
            }
            !is_doubtful
        })
        .collect();
    if over.is_empty() {
        return Ok(true);
    }
    if let Some(newest) = all.last().filter(|newest| order.is_over(**newest)) {
        return Err(RetentionError::Clock(*newest));
    }
    let covered = Covered::read(state, &entries).map_err(io(&folder(state)))?;
    for day in over {
        if (order.stop)() {
            outcome.more = true;
            return Ok(true);
        }
        renew(lock, state, order).await?;
        let bounds = order.clock.day_bounds(day);
        let facts = match may_erase(&access, day, bounds, &covered, &holds).await {
            Ok(facts) => facts,
            Err(why) => {
                outcome.kept.push((day, why));
                continue;
            }
        };
        if !order.dry_run {
            let event = Event::Erased {
                day: day.to_string(),
                whole: true,
                classes: vec!["allowed".to_owned(), "blocked".to_owned()],
                request: None,
                rows: facts.rows,
                batches: spans(facts.batches.iter().map(|batch| batch.0)),
                lacks: None,
                why: format!(
                    "kept {} days (allowed) and {} days (blocked) by the policy",
                    order.keep.allowed_days, order.keep.blocked_days
                ),
            };
            // A hold that came meanwhile must be seen: only what was judged by the whole log is written.
            let decide = |changes: &rules::change::Changes| match changes.size == size {
                true => Ok(vec![(order.actor.to_owned(), event)]),
                false => Err(Moved),
            };
            let written = log.append_with(order.now, decide).await;
            match written {
                Ok(written) => size += written.len() as u64,
                Err(AppendWithError::Refused(Moved)) => return Ok(false),
                Err(AppendWithError::Log(error)) => return Err(error.into()),
            }
            let files = files_of(&access, day).map_err(io(&access))?;
            remove(&access, &files).map_err(io(&access))?;
        }
        outcome.erased.push((day, facts.rows));
    }
    Ok(true)
}

/// The change log is not the one that was read.
#[derive(Debug)]
struct Moved;

/// Whether a day may be erased, with what it holds.
async fn may_erase(
    access: &Path,
    day: Date,
    bounds: (UnixMillis, UnixMillis),
    covered: &Covered,
    holds: &Holds,
) -> Result<DayFacts, Why> {
    let facts = DayFacts::of_day(access, day, bounds, holds).await;
    let facts = facts.map_err(|error| Why::Damaged(error.to_string()))?;
    if let Some(hold) = facts.held {
        return Err(Why::Held(hold));
    }
    proved(&facts, covered).map(|()| facts)
}

/// Whether what a day's file holds is what a checkpoint covers.
fn proved(facts: &DayFacts, covered: &Covered) -> Result<(), Why> {
    if !facts.is_in_batches {
        return Err(Why::NotCovered);
    }
    for (number, leaf) in &facts.batches {
        if *number >= covered.size {
            return Err(Why::NotCovered);
        }
        match covered.tree.as_ref().map(|tree| tree.leaf(*number)) {
            Some(Ok(kept)) if kept == *leaf => {}
            _ => {
                return Err(Why::Damaged(format!("batch {number} is not the one that was signed")));
            }
        }
    }
    Ok(())
}

/// Why the file of a day that the log calls erased is not to be removed; `None`: it is.
async fn may_finish(
    access: &Path,
    day: Date,
    bounds: (UnixMillis, UnixMillis),
    entry: u64,
    batches: &[(u64, u64)],
    holds: &Holds,
) -> Option<Why> {
    if crate::parts::parts_of(access, day).is_ok_and(|parts| parts.is_empty()) {
        // What was kept beside a database is no use without it.
        return None;
    }
    match DayFacts::of_day(access, day, bounds, holds).await {
        Err(error) => Some(Why::Damaged(error.to_string())),
        Ok(DayFacts { held: Some(hold), .. }) => Some(Why::Held(hold)),
        Ok(facts) => {
            // Of several files some may be gone already.
            let within = |number: u64| batches.iter().any(|run| (run.0..=run.1).contains(&number));
            let is_it = facts.batches.iter().all(|batch| within(batch.0))
                && facts.is_proved != batches.is_empty()
                && facts.batches.is_empty() == batches.is_empty();
            (!is_it || !facts.is_in_batches).then_some(Why::NotTheErased(entry))
        }
    }
}

/// The files of a day that are there, in the order in which they go: of a sealed part its sums first, as it is
/// there as long as they are. Its rows, where that is cut short, are found by their name.
fn files_of(access: &Path, day: Date) -> std::io::Result<Vec<PathBuf>> {
    let stem = format!("access-{day}.");
    let number = |name: &str| {
        let ending = name.strip_prefix(&stem)?;
        let ending = ending
            .split_once('.')
            .filter(|(number, _)| number.parse::<u32>().is_ok())
            .map_or(ending, |of| of.1);
        ["sums.db", "db", "db-wal", "db-shm", "parquet"].iter().position(|known| *known == ending)
    };
    let listed = match std::fs::read_dir(access) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut files = Vec::new();
    for entry in listed {
        let entry = entry?;
        if let Some(order) = entry.file_name().to_str().and_then(number) {
            files.push((order, entry.path()));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// Removes files of a day, durably.
fn remove(access: &Path, files: &[PathBuf]) -> std::io::Result<()> {
    for file in files {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::File::open(access)?.sync_all()
}

/// The batches that a signed checkpoint covers and that no start would look for in the days' files.
struct Covered {
    size: u64,
    tree: Option<FileTree>,
}

impl Covered {
    /// Reads it from the last checkpoint, whose signature and root are checked, and the entries before it.
    fn read(state: &Path, entries: &[ChangeEntry]) -> std::io::Result<Self> {
        let audit = folder(state);
        let nothing = || Self { size: 0, tree: None };
        let Some((_, note)) = places::last(state)? else { return Ok(nothing()) };
        let key = match public_key(&audit) {
            Ok(key) => key,
            // Brought back from a backup, which holds none, and the filter has not run since.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(nothing()),
            Err(error) => return Err(error),
        };
        let Ok(checkpoint) = Checkpoint::verify(&note, &key) else {
            return Ok(nothing());
        };
        let signed = FileTree::look(&audit.join(CHANGE_TREE))?;
        let root = signed.and_then(|tree| tree.root_at(checkpoint.size).ok());
        if root != Some(checkpoint.root) {
            return Ok(nothing());
        }
        let Some(tree) = FileTree::look(&audit.join(ACCESS_TREE))? else { return Ok(nothing()) };
        let head = |entry: &ChangeEntry| match &entry.event {
            Event::Attested { access, .. } | Event::AccessCovered { access } => {
                let root = tree.root_at(access.size).ok();
                (root.is_some() && root == hash_of_hex(&access.root)).then_some(access.size)
            }
            _ => None,
        };
        let before = entries.iter().filter(|entry| entry.sequence < checkpoint.size);
        let size = before.filter_map(head).max().unwrap_or(0);
        Ok(Self { size: size.min(noted_durable(&audit)?), tree: Some(tree) })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumped_ahead_makes_no_earlier_day_over() {
        let clock = SchoolClock::new("Europe/London", &[]).unwrap();
        let keep = Keep { allowed_days: 30, blocked_days: 30, changes_days: 1, alerts_days: 366 };
        let day = |text: &str| text.parse::<Date>().unwrap();
        // 2027-01-10, noon: a year ahead of all records but that of today.
        let now = UnixMillis(1_799_582_400_000);
        let order = Order {
            clock: &clock,
            keep,
            now,
            actor: "x",
            dry_run: false,
            most_parts: 1,
            over_gaps: false,
            stop: &|| false,
        };
        let days = ["2026-01-08", "2026-01-09", "2027-01-10"].map(day);
        assert!(order.is_over(days[0]) && order.is_before_gap(&days, days[0]));
        assert!(order.is_before_gap(&days[..2], days[1]), "also before today has a record");
        // Two days under that clock are no proof of it.
        let two = ["2026-01-08", "2027-01-09", "2027-01-10"].map(day);
        assert!(order.is_before_gap(&two, two[0]));
        assert!(!Order { over_gaps: true, ..order }.is_before_gap(&two, two[0]));
        let holidays = ["2026-10-01", "2026-11-25", "2027-01-05"].map(day);
        assert!(!order.is_before_gap(&holidays, holidays[0]), "weeks without records are usual");
    }

    #[test]
    fn a_day_is_over_once_its_last_record_is_old_enough_for_the_longest_class() {
        let clock = SchoolClock::new("Europe/London", &[]).unwrap();
        let keep = Keep { allowed_days: 2, blocked_days: 3, changes_days: 1, alerts_days: 366 };
        // 2026-01-10, noon.
        let now = UnixMillis(1_768_046_400_000);
        let order = Order {
            clock: &clock,
            keep,
            now,
            actor: "x",
            dry_run: false,
            most_parts: 1,
            over_gaps: false,
            stop: &|| false,
        };
        let day = |text: &str| text.parse::<Date>().unwrap();
        assert!(order.is_over(day("2026-01-06")));
        assert!(!order.is_over(day("2026-01-07")), "blocked requests of that evening");
        assert!(!order.is_over(day("2026-01-10")));
        assert!(!order.is_over(day("2027-01-01")), "a day to come");
        let forever = Keep { blocked_days: u32::MAX, ..keep };
        assert!(!Order { keep: forever, ..order }.is_over(day("1970-01-01")));
    }
}
