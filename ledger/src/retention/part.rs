//! Erasing some rows of a day: those of a class whose own time is up, or one person's.

use super::alerts::{OfPerson, Whose, of_person};
use super::day::{DayFacts, holds_row, people};
use super::rewrite::{Asked, Choice, Chosen, choose, choose_sealed, rewrite};
use super::{
    Covered, Moved, Order, Outcome, RetentionError, TRIES, Why, erasures, io, proved, renew,
    take_lock,
};
use crate::changes::{AppendWithError, ChangeLog, size_of};
use crate::evidence::folder;
use crate::folder::sync_folder;
use crate::lock::DaysLock;
use crate::notes;
use crate::parts::{Part, days, may_be_written, newest, parts, parts_of};
use crate::seal::SealError;
use crate::seal::unseal::unseal;
use crate::sqlite::{beside, open_rows_to_read};
use jiff::civil::Date;
use rules::change::{Changes, Event, same_person};
use rules::erasure::{Erasure, ErasureId, Erasures};
use rules::hold::Holds;
use rules::policy::Keep;
use rules::time::UnixMillis;
use sqlx::{Connection, Row};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Whether an allowed request's own time is up, or that of a blocked one and of searches, which are kept as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Over {
    allowed: bool,
    blocked: bool,
}

impl Over {
    /// Whether it is over for a row: one that was blocked, or is a search.
    fn holds(self, is_blocked_or_search: bool) -> bool {
        if is_blocked_or_search { self.blocked } else { self.allowed }
    }

    fn classes(self) -> Vec<String> {
        let classes = [("allowed", self.allowed), ("blocked", self.blocked)];
        classes.into_iter().filter(|class| class.1).map(|class| class.0.to_owned()).collect()
    }

    fn why(self, keep: Keep) -> String {
        let days = if self.blocked { keep.blocked_days } else { keep.allowed_days };
        format!("kept {days} days ({}) by the policy", self.classes().join(", "))
    }
}

/// What may be erased of a state folder, as its logs were read.
struct Looked {
    size: u64,
    holds: Holds,
    erasures: Erasures,
    covered: Covered,
    /// Days that have a file and are not erased, oldest first.
    days: Vec<Date>,
    /// Those that may be written to: the newest, and those of about today.
    in_use: BTreeSet<Date>,
}

impl Looked {
    async fn read(state: &Path, log: &ChangeLog, now: UnixMillis) -> Result<Self, RetentionError> {
        let access = state.join("access");
        let entries = log.entries_after(0).await?;
        let gone = erasures(&entries);
        let mut days = days(&access).map_err(io(&access))?;
        let mut in_use: BTreeSet<Date> = newest(&days).iter().copied().collect();
        in_use.extend(days.iter().copied().filter(|day| may_be_written(*day, now)));
        days.retain(|day| !gone.contains_key(day));
        Ok(Self {
            size: entries.last().map_or(0, |entry| entry.sequence + 1),
            holds: Holds::of(&entries),
            erasures: Erasures::of(&entries),
            covered: Covered::read(state, &entries).map_err(io(&folder(state)))?,
            days,
            in_use,
        })
    }

    /// This request, and all others about the same person.
    fn requests_like(&self, request: ErasureId) -> BTreeSet<ErasureId> {
        let person = self.erasures.all.get(&request).map(|asked| &asked.person);
        let is_like = |asked: &&Erasure| Some(&asked.person) == person;
        let like = self.erasures.all.values().filter(is_like).map(|asked| asked.id);
        like.chain([request]).collect()
    }
}

/// What is to be written about an erasure, but for what the day lacks after it.
struct Statement {
    classes: Vec<String>,
    request: Option<ErasureId>,
    why: String,
}

/// What came of one day.
enum Done {
    /// Nothing of it was to go.
    Nothing,
    Erased(u64),
    /// Somebody else wrote to the change log.
    Moved,
}

/// Erases rows of classes whose own time is up, of days that do not go whole yet.
pub(super) async fn classes(
    state: &Path,
    log: &ChangeLog,
    order: Order<'_>,
    lock: &mut Option<DaysLock>,
    outcome: &mut Outcome,
) -> Result<(), RetentionError> {
    let access = state.join("access");
    for _ in 0..TRIES {
        let mut looked = Looked::read(state, log, order.now).await?;
        let shorter = order.keep.allowed_days.min(order.keep.blocked_days);
        if let Some(newest) =
            looked.in_use.last().filter(|newest| order.over_for(shorter, **newest))
        {
            outcome.keep(*newest, Why::Clock);
            return Ok(());
        }
        let mut has_moved = false;
        for day in looked.days.clone() {
            let (allowed, blocked) = (
                order.over_for(order.keep.allowed_days, day),
                order.over_for(order.keep.blocked_days, day),
            );
            let over = Over { allowed, blocked };
            let is_done = outcome.parts.iter().any(|(done, ..)| *done == day);
            // A day of which everything is over goes whole, or has stayed whole for a reason that was told.
            if allowed == blocked || looked.in_use.contains(&day) || is_done {
                continue;
            }
            if order.is_before_gap(&looked.days, day) {
                outcome.keep(day, Why::Gap);
                continue;
            }
            let part = match only_part(&access, day) {
                Ok(part) => part,
                Err(why) => {
                    outcome.keep(day, why);
                    continue;
                }
            };
            match has_any(&access, part, over).await {
                Ok(false) => continue,
                Ok(true) => {}
                Err(error) => {
                    outcome.keep(day, Why::Damaged(error.to_string()));
                    continue;
                }
            }
            if outcome.parts.len() >= order.most_parts || (order.stop)() {
                outcome.more = true;
                return Ok(());
            }
            renew(lock, state, order).await?;
            let part = match only_part(&access, day) {
                Ok(part) => part,
                Err(why) => {
                    outcome.keep(day, why);
                    continue;
                }
            };
            let holds = looked.holds.clone();
            let decide = |row: &Asked<'_>| match over.holds(row.is_blocked || row.is_search) {
                false => Choice::Keep,
                true => holds_row(&holds, row).map_or(Choice::Erase, Choice::Held),
            };
            let (classes, why) = (over.classes(), over.why(order.keep));
            let statement = Statement { classes: classes.clone(), request: None, why };
            match erase(log, order, &mut looked, (&access, part), &decide, statement, outcome)
                .await?
            {
                Done::Nothing => {}
                Done::Erased(rows) => outcome.parts.push((day, classes.join(", "), rows)),
                Done::Moved => {
                    has_moved = true;
                    break;
                }
            }
        }
        if !has_moved {
            return Ok(());
        }
    }
    Err(RetentionError::Busy)
}

/// The one part of a day. A missing one is told by whoever opens it.
fn only_part(access: &Path, day: Date) -> Result<Part, Why> {
    match parts_of(access, day).unwrap_or_default()[..] {
        [] => Ok(Part { day, number: 1, sealed: false }),
        [part] => Ok(part),
        _ => Err(Why::Parts),
    }
}

/// Whether this is a name of what sealing or an erasure makes before it puts it in place.
fn is_half_made(name: &str) -> bool {
    let ends = [".erasing", ".erasing-wal", ".erasing-shm", ".sorting", ".parquet.new"];
    name.starts_with("access-")
        && (name.contains(".unsealed.")
            || name.contains(".sums.new")
            || ends.iter().any(|end| name.ends_with(end)))
}

/// Removes what sealing or an erasure that was cut short has left: its rows must not outlive their time. That
/// is what was half made, and the rows of a sealed part whose place a day's own file has taken. The lock of the
/// days is held, so that nobody makes any of it now.
pub(super) fn clear(access: &Path) -> std::io::Result<()> {
    let listed = match std::fs::read_dir(access) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        listed => listed?,
    };
    for entry in listed {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_half_made) {
            match entry.file_type()?.is_dir() {
                true => std::fs::remove_dir_all(entry.path())?,
                false => std::fs::remove_file(entry.path())?,
            }
        }
    }
    for part in parts(access)?.into_iter().filter(|part| !part.sealed) {
        clear_rows(access, part)?;
    }
    Ok(())
}

/// Removes the Parquet file beside a day's own: sealing, which gives it its name first, makes another, and an
/// erasure has made the day's file without some of it.
fn clear_rows(access: &Path, part: Part) -> std::io::Result<()> {
    match std::fs::remove_file(part.rows(access)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder(access)),
    }
}

/// Removes a file that nobody reads, with what SQLite keeps beside it.
fn drop_file(path: &Path) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        match std::fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Where a sealed part becomes a day's file again, for the time of an erasure.
fn unsealed(access: &Path, part: Part) -> PathBuf {
    part.path(access, "unsealed.new")
}

/// Whether a day's file has rows of a class that is over. What is over for good is found out by looking at
/// a small table: what no row points to is not copied.
async fn has_any(access: &Path, part: Part, over: Over) -> Result<bool, sqlx::Error> {
    let mut db = open_rows_to_read(&part.database(access)).await?;
    let mut any = false;
    let verdicts = match part.sealed {
        false => "SELECT DISTINCT verdict FROM what",
        true => "SELECT DISTINCT verdict FROM rollup_hour",
    };
    for row in sqlx::query(verdicts).fetch_all(&mut db).await? {
        any |= over.holds(row.try_get::<i64, _>(0)? != 0);
    }
    // Searches that were allowed are of the other class.
    if !part.sealed && notes::are_in(&mut db).await? {
        let rows = match over.blocked {
            true => "SELECT EXISTS (SELECT 1 FROM access_note WHERE words IS NOT NULL)",
            false => {
                "SELECT EXISTS (SELECT 1 FROM access a JOIN what w ON w.id = a.what AND w.verdict = 0
                   WHERE NOT EXISTS (SELECT 1 FROM access_note n
                     WHERE n.sequence = a.sequence AND n.words IS NOT NULL))"
            }
        };
        let found: bool = sqlx::query(rows).fetch_one(&mut db).await?.try_get(0)?;
        any = if over.blocked { any || found } else { any && found };
    }
    db.close().await?;
    Ok(any)
}

/// Erases what one person's requests say, of every day up to that of asking that has any, and names and notes of alerts
/// about them of these days, unless anything of theirs is on hold or may be. Entries about it name the request and not the person.
/// Where everything could go, the request is done.
///
/// # Errors
/// [`RetentionError`]. What was erased before is recorded; another run goes on.
pub async fn erase_person(
    state: &Path,
    log: &ChangeLog,
    order: Order<'_>,
    (request, person, asked_at): (ErasureId, &str, UnixMillis),
) -> Result<Outcome, RetentionError> {
    let last = order.clock.day(asked_at);
    let mut outcome = Outcome::default();
    let access = state.join("access");
    let mut lock = take_lock(state, order).await?;
    if !order.dry_run {
        clear(&access).map_err(io(&access))?;
    }
    for _ in 0..TRIES {
        outcome.kept.clear();
        let mut looked = Looked::read(state, log, order.now).await?;
        let mut has_moved = false;
        // What came after the request is not what was asked about, or signed.
        for day in looked.days.clone().into_iter().filter(|day| *day <= last) {
            let listed = parts_of(&access, day).map_err(io(&access))?;
            let mut named = Ok(Vec::new());
            for part in listed {
                match (people(&part.database(&access)).await, &mut named) {
                    (Ok(more), Ok(named)) => named.extend(more),
                    (Err(error), named) => *named = Err(error),
                    (Ok(_), Err(_)) => {}
                }
            }
            match named {
                Ok(people) if !people.iter().any(|name| same_person(name, person)) => continue,
                Ok(_) if looked.in_use.contains(&day) => {
                    outcome.keep(day, Why::Open);
                    continue;
                }
                Ok(_) => {}
                Err(error) => {
                    outcome.keep(day, Why::Damaged(error.to_string()));
                    continue;
                }
            }
            renew(&mut lock, state, order).await?;
            let part = match only_part(&access, day) {
                Ok(part) => part,
                Err(why) => {
                    outcome.keep(day, why);
                    continue;
                }
            };
            let holds = looked.holds.clone();
            let decide = |row: &Asked<'_>| match row.user {
                Some(user) if same_person(user, person) => {
                    holds_row(&holds, row).map_or(Choice::Erase, Choice::Held)
                }
                _ => Choice::Keep,
            };
            let why = "one person's requests".to_owned();
            let statement = Statement { classes: Vec::new(), request: Some(request), why };
            let place = (&*access, part);
            match erase(log, order, &mut looked, place, &decide, statement, &mut outcome).await? {
                Done::Nothing => {}
                Done::Erased(rows) => outcome.parts.push((day, request.to_string(), rows)),
                Done::Moved => {
                    has_moved = true;
                    break;
                }
            }
        }
        if has_moved {
            continue;
        }
        let requests = looked.requests_like(request);
        let whose = Whose { request, requests: &requests, person, last };
        if close(state, log, order, &whose, &looked, &mut outcome).await? {
            return Ok(outcome);
        }
    }
    Err(RetentionError::Busy)
}

/// Erases the person's names in alerts, unless a row of theirs was on hold, and says that the request is done where
/// nothing is left. `false`: somebody else wrote to the change log, a hold it may be; nothing was done.
async fn close(
    state: &Path,
    log: &ChangeLog,
    order: Order<'_>,
    whose: &Whose<'_>,
    looked: &Looked,
    outcome: &mut Outcome,
) -> Result<bool, RetentionError> {
    let is_held = outcome.kept.iter().any(|(_, why)| matches!(why, Why::Held(_)));
    let erase = async |outcome: &mut Outcome| -> Result<(), RetentionError> {
        let of_alerts = match is_held {
            true => OfPerson::default(),
            false => of_person(state, order, whose, &looked.holds).await?,
        };
        outcome.alerts += of_alerts.erased;
        of_alerts.held.into_iter().for_each(|(day, why)| outcome.keep(day, why));
        Ok(())
    };
    if order.dry_run {
        erase(outcome).await?;
        return Ok(true);
    }
    // While nobody else can write to the change log, so that no hold comes in between; and before the request is done:
    // cut short, it is carried out again.
    let written = log.write(order.now, async |connection| {
        if size_of(connection).await.map_err(Unclosed::Read)? != looked.size {
            return Err(Unclosed::Moved);
        }
        erase(outcome).await.map_err(Unclosed::Failed)?;
        // What was stopped is carried out again, and done then.
        if !outcome.kept.is_empty() || outcome.more {
            return Ok(Vec::new());
        }
        let days = outcome.parts.len() as u64;
        let rows = outcome.parts.iter().map(|part| part.2).sum();
        let done = Event::ErasureDone { id: whose.request, days, rows };
        Ok(vec![(order.actor.to_owned(), done)])
    });
    match written.await {
        Ok(_) => Ok(true),
        Err(AppendWithError::Refused(Unclosed::Moved)) => Ok(false),
        Err(AppendWithError::Refused(Unclosed::Read(error))) => Err(log.error(error).into()),
        Err(AppendWithError::Refused(Unclosed::Failed(error))) => Err(error),
        Err(AppendWithError::Log(error)) => Err(error.into()),
    }
}

/// Why a request was not closed.
enum Unclosed {
    Moved,
    Read(sqlx::Error),
    Failed(RetentionError),
}

/// Erases rows of one day. A sealed one of which any go becomes a day's file again, and stays one.
async fn erase(
    log: &ChangeLog,
    order: Order<'_>,
    looked: &mut Looked,
    (access, part): (&Path, Part),
    decide: &dyn Fn(&Asked<'_>) -> Choice,
    statement: Statement,
    outcome: &mut Outcome,
) -> Result<Done, RetentionError> {
    if !part.sealed {
        let place = (part, &*part.database(access));
        let done = erase_in(log, order, looked, place, decide, statement, outcome).await?;
        if let (Done::Erased(_), false) = (&done, order.dry_run) {
            clear_rows(access, part).map_err(io(access))?;
        }
        return Ok(done);
    }
    let (database, file) = (part.database(access), part.rows(access));
    // A sealed day is made a day's file only where rows of it go: what is held or not covered is asked for again
    // each day.
    let bounds = order.clock.day_bounds(part.day);
    let facts = DayFacts::read_sealed(access, part, bounds, &Holds::default()).await;
    if !is_proved(part.day, facts, looked, outcome) {
        return Ok(Done::Nothing);
    }
    let chosen = choose_sealed(&file, decide).map_err(|error| error.to_string());
    match what_goes(part.day, chosen, outcome) {
        None => return Ok(Done::Nothing),
        Some(chosen) if order.dry_run => return Ok(Done::Erased(chosen.rows.len() as u64)),
        Some(_) => {}
    }
    let path = unsealed(access, part);
    let made = unseal(&database, &file, &path, &mut || (order.stop)()).await;
    let done = match made {
        Ok(()) => erase_in(log, order, looked, (part, &path), decide, statement, outcome).await,
        Err(SealError::Stopped) => {
            outcome.more = true;
            Ok(Done::Nothing)
        }
        Err(error) => {
            outcome.keep(part.day, Why::Damaged(error.to_string()));
            Ok(Done::Nothing)
        }
    };
    // It says what the sealed part does, or more than the file that has taken its place.
    drop_file(&path).map_err(io(&path))?;
    done
}

/// Whether rows of a day may go, as each is proved; why not is noted.
fn is_proved(
    day: Date,
    facts: Result<DayFacts, sqlx::Error>,
    looked: &Looked,
    outcome: &mut Outcome,
) -> bool {
    let is_proved = match facts {
        Err(error) => Err(Why::Damaged(error.to_string())),
        Ok(facts) if !facts.is_proved_from_its_start => Err(Why::NotProved),
        Ok(facts) => proved(&facts, &looked.covered),
    };
    is_proved.map_err(|why| outcome.keep(day, why)).is_ok()
}

/// What of a day is to go, where anything is; why the rest stays is noted.
fn what_goes(day: Date, chosen: Result<Chosen, String>, outcome: &mut Outcome) -> Option<Chosen> {
    match chosen {
        Err(what) => {
            outcome.keep(day, Why::Damaged(what));
            None
        }
        Ok(chosen) => {
            if let Some(hold) = chosen.held {
                outcome.keep(day, Why::Held(hold));
            }
            Some(chosen).filter(|chosen| !chosen.rows.is_empty())
        }
    }
}

/// Erases rows of one day: first the new file, then the entry, and the new file takes the old one's place.
/// Cut short before that, the old file is as it was, and the next run makes another entry.
async fn erase_in(
    log: &ChangeLog,
    order: Order<'_>,
    looked: &mut Looked,
    (part, path): (Part, &Path),
    decide: &dyn Fn(&Asked<'_>) -> Choice,
    statement: Statement,
    outcome: &mut Outcome,
) -> Result<Done, RetentionError> {
    let day = part.day;
    // Holds are asked row by row below.
    let facts = DayFacts::read(path, order.clock.day_bounds(day), &Holds::default()).await;
    if !is_proved(day, facts, looked, outcome) {
        return Ok(Done::Nothing);
    }
    let chosen = choose(path, decide).await.map_err(|error| error.to_string());
    let Some(chosen) = what_goes(day, chosen, outcome) else {
        return Ok(Done::Nothing);
    };
    if order.dry_run {
        return Ok(Done::Erased(chosen.rows.len() as u64));
    }
    let new = match rewrite(path, day, &chosen.rows).await {
        Ok(new) => new,
        Err(why) => {
            outcome.keep(day, why);
            return Ok(Done::Nothing);
        }
    };
    let Statement { classes, request, why } = statement;
    let event = Event::Erased {
        day: day.to_string(),
        whole: false,
        classes,
        request,
        rows: new.rows,
        batches: Vec::new(),
        lacks: Some(new.lacks.places.clone()),
        why,
    };
    // A hold that came meanwhile must be seen: only what was judged by the whole log is written.
    let decide = |changes: &Changes| match changes.size == looked.size {
        true => Ok(vec![(order.actor.to_owned(), event)]),
        false => Err(Moved),
    };
    match log.append_with(order.now, decide).await {
        Ok(written) => looked.size += written.len() as u64,
        Err(error) => {
            new.drop_it().map_err(io(path))?;
            return match error {
                AppendWithError::Refused(Moved) => Ok(Done::Moved),
                AppendWithError::Log(error) => Err(error.into()),
            };
        }
    }
    let installed = match part.sealed {
        false => new.install(path).await,
        true => {
            new.install_unsealed(path.parent().unwrap_or(Path::new("")), part).map_err(Into::into)
        }
    };
    installed.map_err(|error| io(path)(std::io::Error::other(error)))?;
    Ok(Done::Erased(chosen.rows.len() as u64))
}
