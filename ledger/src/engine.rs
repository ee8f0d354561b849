//! Moves journals into day files: what the ingest thread and recovery both run.
//!
//! One *pass* reads what the journals hold, brings decisions and ends together, and stores the
//! outcome in one transaction per day file touched. A decision waits [`HOLD_MS`] for its end, so
//! that most become one complete row; a tunnel, which lasts, waits only for the pass it is read in.
//!
//! Any failure leaves the day files as the last commit made them. The engine is then dropped and a
//! new one starts from what the files say, so there is one way back, taken after every kind of fault.

mod days;
mod reading;

use crate::carried::Carried;
use crate::claims::Claims;
use crate::day_file::{DayFile, OpenRow};
use crate::evidence::access::{AccessTree, TreeError};
use crate::frame::{Found, Frames, HEAD_BYTES, MAGIC, MAX_PAYLOAD_BYTES};
use crate::lock::{DaysLock, Hold};
use crate::parts::{Part, is_of_today, newest};
use crate::payload::{self, DecisionRead, Payload};
use crate::record::{AsDecided, Context, Depth, End, Ended};
use crate::segment::{Segment, Shared};
use crate::source::{Bytes, DayContext, Source, leftovers};
use crate::sqlite::Position;
use crate::squid::{self, Copies};
use jiff::civil::Date;
use rules::category::CategorySet;
use rules::change::{AccessHead, DayCount};
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::unblock::UnblockId;
use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Longest that a decision waits for its end before it is stored without, in milliseconds.
pub(crate) const HOLD_MS: u64 = 1000;

/// Bytes read at once; more than two of the longest frames.
const CHUNK_BYTES: usize = 1 << 20;

/// Bytes after which a pass stores what it has. A batch takes about three times that in memory.
const PASS_BYTES: u64 = 2 << 20;

/// A day's file that nothing waits for is closed when unused for so long.
const CLOSE_AFTER: Duration = Duration::from_secs(60);

/// Longest that recovery waits for whoever replaces files of days: a start that fails says why, and is tried
/// again by whoever starts it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why journals cannot be stored. Nothing is lost: they are kept and tried again.
#[derive(Debug, Error)]
pub enum IngestError {
    /// A day file.
    #[error("access log {path}: {source}; the journal is kept until it can be stored")]
    Store {
        /// The day's file.
        path: PathBuf,
        /// Cause.
        source: sqlx::Error,
    },
    /// What the accesses are proved with.
    #[error("audit {path}: {source}; see that the state folder can be read and written")]
    Audit {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A journal file or folder.
    #[error("journal {path}: {source}; see that the state folder can be read and written")]
    Journal {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The lock of the days' files.
    #[error("lock {path}: {source}; the journal is kept until its records can be stored")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// Bytes of a journal that could not be read. The file is kept beside the others as `*.damaged`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The journal file.
    pub file: PathBuf,
    /// Where the unreadable bytes start.
    pub offset: u64,
    /// How many.
    pub bytes: u64,
}

/// What an engine has done since it started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) decisions: u64,
    pub(crate) unknown_ends: u64,
    /// Bytes of a write that was cut off by a kill, after the last whole frame of a file.
    pub(crate) torn_bytes: u64,
    pub(crate) damage: Vec<Damage>,
    pub(crate) last_id: u64,
}

struct Held {
    segment: u64,
    offset: u64,
    payload: Box<[u8]>,
    context: Rc<DayContext>,
    tunnel: bool,
    since: Instant,
}

struct Open {
    day: Date,
    row: OpenRow,
    /// Only where a line of the Squid log will need it.
    path: Option<Arc<str>>,
}

struct Day {
    file: DayFile,
    /// Of an older day: nobody replaces its file meanwhile.
    _lock: Option<DaysLock>,
    used: Instant,
    synced: bool,
}

pub(crate) struct Engine {
    journal: PathBuf,
    access: PathBuf,
    sources: BTreeMap<u64, Source>,
    contexts: Vec<Rc<DayContext>>,
    days: BTreeMap<Date, Day>,
    held: HashMap<u64, Held>,
    open: HashMap<u64, Open>,
    squid: Copies,
    buffer: Vec<u8>,
    audit: PathBuf,
    /// Opened when the first batch is made.
    tree: Option<AccessTree>,
    /// Who else may have a day's file, in a daemon.
    claims: Option<Arc<Claims>>,
    /// How long the lock of the days is waited for where nobody can be asked for it, in recovery.
    patience: Duration,
    /// How far journals are stored in the sealed parts of days, as far as asked.
    sealed: HashMap<Date, Vec<HashMap<u64, Position>>>,
    /// The same of all parts of the day that was let go last.
    lent: Option<(Date, Vec<HashMap<u64, Position>>)>,
    pub(crate) tally: Tally,
}

/// The head of the access log's tree, and what must be synced before it may be signed.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) access: AccessHead,
    pub(crate) files: Vec<PathBuf>,
}

/// Of which days batches are made at a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Batches {
    /// Those with enough rows, or rows that have waited long enough.
    Due,
    /// Those with any.
    All,
}

impl From<TreeError> for IngestError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Io(path, source) => IngestError::Audit { path, source },
            TreeError::Day(path, source) => IngestError::Store { path, source },
        }
    }
}

impl IngestError {
    /// Where the error is that a day file is no sound database (any more), moves it aside, so that
    /// the day goes on in a new file. Gives where it is kept: trying again makes sense.
    pub(crate) fn set_damaged_day_aside(&self) -> Option<PathBuf> {
        let IngestError::Store { path, source } = self else { return None };
        if !crate::sqlite::is_damaged(source) {
            return None;
        }
        match crate::sqlite::set_aside(path) {
            Ok(aside) => {
                let kept = aside.display();
                tracing::error!(%kept, "a damaged day of the access log is set aside; its day goes on in a new file");
                Some(aside)
            }
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "a damaged day file cannot be set aside");
                None
            }
        }
    }
}

impl Engine {
    /// An engine over the files of a state folder; opens the days that held open accesses when the
    /// last journal was removed.
    pub(crate) async fn new(
        state: &Path,
        squid: &squid::Paths,
        claims: Option<Arc<Claims>>,
    ) -> Result<Self, IngestError> {
        let (journal, access) = (state.join("journal"), state.join("access"));
        let carried = Carried::read(&journal)
            .map_err(|source| IngestError::Journal { path: journal.join(Carried::NAME), source })?;
        let mut engine = Self {
            journal,
            access,
            sources: BTreeMap::new(),
            contexts: Vec::new(),
            days: BTreeMap::new(),
            held: HashMap::new(),
            open: HashMap::new(),
            squid: Copies::new(squid),
            buffer: Vec::new(),
            audit: crate::evidence::folder(state),
            tree: None,
            claims,
            patience: PATIENCE,
            sealed: HashMap::new(),
            lent: None,
            tally: Tally { last_id: carried.last_id, ..Tally::default() },
        };
        for day in carried.open_days {
            if crate::sqlite::day_path(&engine.access, day).exists() {
                engine.ready_day(day).await?;
            }
        }
        Ok(engine)
    }

    /// Adds the journal files of an earlier process.
    pub(crate) fn add_leftovers(&mut self) -> Result<(), IngestError> {
        for (id, path) in leftovers(&self.journal)? {
            let failed = |source| IngestError::Journal { path: path.clone(), source };
            let file = File::open(&path).map_err(failed)?;
            let length = file.metadata().map_err(failed)?.len();
            self.tally.last_id = self.tally.last_id.max(id);
            self.sources.insert(id, Source::new(path, Bytes::Leftover { file, length }));
        }
        Ok(())
    }

    /// Adds segments of this process that are not followed yet.
    pub(crate) fn follow(&mut self, segments: &[Arc<Segment>]) {
        for segment in segments {
            let source = || Source::new(segment.path.clone(), Bytes::Live(Arc::clone(segment)));
            self.sources.entry(segment.id).or_insert_with(source);
        }
    }

    /// Reads and stores once. `true`: all that was there has been read.
    pub(crate) async fn pass(&mut self) -> Result<bool, IngestError> {
        let mut budget = PASS_BYTES;
        let mut caught_up = true;
        let ids: Vec<u64> = self.sources.keys().copied().collect();
        for id in ids {
            while budget > 0 && self.unread(id) {
                let read = self.read_chunk(id).await?;
                budget = budget.saturating_sub(read);
            }
            caught_up &= !self.unread(id);
        }
        self.release().await?;
        self.commit(Batches::Due).await?;
        self.squid.write();
        Ok(caught_up)
    }

    /// Tells how far the journals of this process are stored.
    pub(crate) fn report_stored(&self, shared: &Shared) {
        for source in self.sources.values() {
            if let Bytes::Live(segment) = &source.bytes {
                shared.stored(segment, source.read);
            }
        }
    }

    /// Whether the last process ended in order: no journal, no open access.
    pub(crate) fn has_nothing_left(&self) -> bool {
        self.sources.is_empty() && self.open.is_empty()
    }

    /// The highest id ever given, as far as the files tell.
    pub(crate) async fn last_id(&self) -> Result<RequestId, IngestError> {
        let mut last = self.tally.last_id;
        let newest = self.newest_days()?;
        for part in self.parts()?.into_iter().filter(|part| newest.contains(&part.day)) {
            let path = part.database(&self.access);
            let highest = crate::sqlite::highest_id(&path).await;
            last = last.max(highest.map_err(|source| IngestError::Store { path, source })?);
        }
        Ok(RequestId(last))
    }

    async fn store(
        &mut self,
        read: &DecisionRead<'_>,
        context: &DayContext,
        ended: Option<(Ended, Option<&str>)>,
    ) -> Result<(), IngestError> {
        let date = context.day(read.at);
        let day = self.ready_day(date).await?;
        let row = day.file.add(read, &context.context, ended);
        self.tally.decisions += 1;
        match ended {
            None => {
                let path = read.path.filter(|_| self.squid.are_wanted()).map(Arc::from);
                self.open.insert(read.id.0, Open { day: date, row, path });
            }
            Some((ended, _)) => self.add_line(date, read.id.0, &row, read.path, ended),
        }
        Ok(())
    }

    async fn take_end(
        &mut self,
        id: u64,
        ended: Ended,
        signs: Option<&str>,
    ) -> Result<(), IngestError> {
        if let Some(held) = self.take_held(id) {
            if let Some(Payload::Decided(read)) = payload::read(&held.payload) {
                self.store(&read, &held.context, Some((ended, signs))).await?;
            }
        } else if let Some(open) = self.open.remove(&id) {
            self.ready_day(open.day).await?.file.add_end(&open.row, ended, signs);
            self.add_line(open.day, id, &open.row, open.path.as_deref(), ended);
        }
        // Else its end is stored already: this stretch of the journal is read again.
        Ok(())
    }

    fn take_held(&mut self, id: u64) -> Option<Held> {
        let held = self.held.remove(&id)?;
        if let Some(source) = self.sources.get_mut(&held.segment) {
            source.held.remove(&held.offset);
            source.dirty = true;
        }
        Some(held)
    }

    /// Stores decisions that have waited long enough, in the order they were made.
    async fn release(&mut self) -> Result<(), IngestError> {
        let hold = Duration::from_millis(HOLD_MS);
        let due = |held: &Held| held.tunnel || held.since.elapsed() >= hold;
        let mut ids: Vec<u64> =
            self.held.iter().filter(|(_, held)| due(held)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        for id in ids {
            let Some(held) = self.take_held(id) else { continue };
            if let Some(Payload::Decided(read)) = payload::read(&held.payload) {
                self.store(&read, &held.context, None).await?;
            }
        }
        Ok(())
    }

    async fn commit(&mut self, batches: Batches) -> Result<(), IngestError> {
        let has_batch = |day: &Day| match (batches, day.file.waits_for_batch()) {
            (Batches::All, (waits, _)) => waits,
            (Batches::Due, (_, due)) => due,
        };
        let due: Vec<Date> = self
            .days
            .iter()
            .filter(|(_, day)| day.file.has_batch() || has_batch(day))
            .map(|(date, _)| *date)
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let dirty = self.sources.iter_mut().filter(|(_, source)| source.dirty);
        let read: Vec<(u64, Position)> = dirty
            .map(|(id, source)| {
                source.dirty = false;
                (*id, Position { offset: source.read, held: source.held.clone() })
            })
            .collect();
        let mut oldest: HashMap<Date, i64> = HashMap::new();
        for open in self.open.values() {
            let sequence = oldest.entry(open.day).or_insert(i64::MAX);
            *sequence = open.row.sequence.min(*sequence);
        }
        let at = now();
        for date in due {
            let Some(day) = self.days.get_mut(&date) else { continue };
            day.synced = false;
            let path = crate::sqlite::day_path(&self.access, date);
            let failed = |source| IngestError::Store { path: path.clone(), source };
            let batch = match has_batch(day) {
                false => None,
                true => {
                    let tree = opened(&mut self.tree, &self.audit, &self.access).await?;
                    tree.prepare(date)?;
                    Some(day.file.batch(tree.next(), at).map_err(failed)?)
                }
            };
            let oldest = oldest.get(&date).copied();
            day.file.commit(&read, oldest, batch.as_ref()).await.map_err(failed)?;
            if let (Some(batch), Some(tree)) = (batch, &mut self.tree) {
                tree.append(date, &batch.batch.leaf())?;
            }
        }
        Ok(())
    }

    /// Puts all that is stored into batches, and tells what they come to. A checkpoint may be signed
    /// over it once `files` are synced: by who asked, as a slow disk must not keep records waiting.
    pub(crate) async fn head(&mut self) -> Result<Head, IngestError> {
        self.commit(Batches::All).await?;
        let tree = opened(&mut self.tree, &self.audit, &self.access).await?;
        let (size, root, files) = tree.head()?;
        let counts = |(date, day): (&Date, &Day)| {
            let (rows, ends) = day.file.counts();
            DayCount { day: date.to_string(), rows, ends }
        };
        let mut days: Vec<DayCount> = self.days.iter().map(counts).collect();
        // Days that rest are told of too, so that one which is taken away is missed by name.
        for date in self.newest_days()?.into_iter().filter(|date| !self.days.contains_key(date)) {
            let parts = self.parts()?;
            // The places of a later part go on behind those of the parts before.
            let Some(part) = parts.iter().rfind(|part| part.day == date) else { continue };
            let path = part.database(&self.access);
            let counted = match crate::sqlite::counts(&path).await {
                Ok(counted) => counted,
                // A damaged day must not keep the others from being signed.
                Err(error) if crate::sqlite::is_damaged(&error) => None,
                Err(source) => return Err(IngestError::Store { path, source }),
            };
            days.extend(counted.map(|(rows, ends)| DayCount { day: date.to_string(), rows, ends }));
        }
        days.sort_by(|one, other| one.day.cmp(&other.day));
        let access = AccessHead { size, root: crate::evidence::hex(&root), days };
        Ok(Head { access, files })
    }

    /// What [`Engine::head`] told of is synced.
    pub(crate) fn head_is_durable(&mut self, size: u64) {
        if let Some(tree) = &mut self.tree {
            tree.are_durable(size);
        }
    }

    /// Ends everything that is still open: the process that would have ended it is gone.
    pub(crate) async fn end_unknown(&mut self) -> Result<(), IngestError> {
        let ended = Ended {
            end: End::Unknown,
            status: 0,
            bytes_up: 0,
            bytes_down: 0,
            duration_us: 0,
            depth: None,
        };
        let mut ids: Vec<u64> = self.held.keys().chain(self.open.keys()).copied().collect();
        ids.sort_unstable();
        self.tally.unknown_ends += ids.len() as u64;
        for id in ids {
            self.take_end(id, ended, None).await?;
        }
        self.commit(Batches::Due).await?;
        self.squid.write();
        Ok(())
    }

    /// Removes journal files whose every record is stored and durable. A damaged one is kept under
    /// another name. Returns the segments that are gone.
    pub(crate) fn remove_finished(&mut self) -> Result<Vec<u64>, IngestError> {
        let finished = |source: &Source| {
            let (limit, closed) = source.limit();
            closed && source.read >= limit && source.held.is_empty()
        };
        let ids: Vec<u64> =
            self.sources.iter().filter(|(_, source)| finished(source)).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return Ok(ids);
        }
        for (date, day) in self.days.iter_mut().filter(|(_, day)| !day.synced) {
            let path = || crate::sqlite::day_path(&self.access, *date);
            day.file.sync().map_err(|source| IngestError::Journal { path: path(), source })?;
            day.synced = true;
        }
        let open_days: BTreeSet<Date> = self.open.values().map(|open| open.day).collect();
        let carried = Carried { last_id: self.tally.last_id, open_days };
        let path = self.journal.join(Carried::NAME);
        carried.write(&self.journal).map_err(|source| IngestError::Journal { path, source })?;
        for id in &ids {
            let Some(source) = self.sources.remove(id) else { continue };
            let removed = match source.damaged {
                true => std::fs::rename(&source.path, source.path.with_extension("damaged")),
                false => std::fs::remove_file(&source.path),
            };
            removed.map_err(|error| IngestError::Journal { path: source.path, source: error })?;
        }
        Ok(ids)
    }

    fn add_line(&mut self, date: Date, id: u64, row: &OpenRow, path: Option<&str>, ended: Ended) {
        let (true, Some(day)) = (self.squid.are_wanted(), self.days.get(&date)) else { return };
        let (person, client, level) = day.file.who.tuple(row.who);
        let what = day.file.what.tuple(row.what);
        let Ok(client) = day.file.clients.text(client).parse() else { return };
        let line = squid::Line {
            at: UnixMillis(row.at),
            client,
            verdict: if what.verdict == 0 { Verdict::Allow } else { Verdict::Block },
            method: day.file.names.text(what.method),
            scheme: crate::record::scheme_from_number(what.scheme).unwrap_or(Scheme::Http),
            host: day.file.hosts.text(what.host),
            port: what.port,
            path,
            locked: day.file.is_locked(row.what),
            user: (person != 0).then(|| &**day.file.people.text(person)),
            ended,
        };
        let extras = squid::Extras {
            id: RequestId(id),
            level: day.file.names.text(level),
            reason: ReasonCode::from_number(what.reason).unwrap_or(ReasonCode::Internal),
            categories: day.file.category_sets.text(what.category_set),
            unblock: what.unblock.map(UnblockId),
            depth: AsDecided::from_number(what.depth).map_or(Depth::Name, |known| known.depth),
        };
        self.squid.add(&line, &extras);
    }

    /// Keeps ids of this process in what is carried over the removal of journals.
    pub(crate) fn note_last_id(&mut self, shared: &Shared) {
        self.tally.last_id = self.tally.last_id.max(shared.last_id().0);
    }
}

async fn opened<'t>(
    tree: &'t mut Option<AccessTree>,
    audit: &Path,
    access: &Path,
) -> Result<&'t mut AccessTree, IngestError> {
    if tree.is_none() {
        *tree = Some(AccessTree::open(audit, access).await?);
    }
    match tree {
        Some(tree) => Ok(tree),
        None => Err(IngestError::Audit {
            path: audit.to_owned(),
            source: std::io::Error::other("not open"),
        }),
    }
}

fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMillis(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[tokio::test]
    async fn recovery_does_not_wait_for_ever_for_the_lock_of_the_days_and_names_it() {
        let state = tempfile::tempdir().unwrap();
        let access = state.path().join("access");
        std::fs::create_dir(&access).unwrap();
        for day in ["2026-01-08", "2026-01-09"] {
            std::fs::write(access.join(format!("access-{day}.db")), "").unwrap();
        }
        let mut engine = Engine::new(state.path(), &squid::Paths::default(), None).await.unwrap();
        engine.patience = Duration::from_millis(50);
        let alone = DaysLock::try_take(&access, Hold::Alone).unwrap().unwrap();
        let waited = engine.lock_of(date(2026, 1, 7));
        let waited = tokio::time::timeout(Duration::from_secs(20), waited).await;
        let refused = waited.expect("it gives up").unwrap_err().to_string();
        assert!(refused.contains("days.lock: records are being erased"), "{refused}");
        drop(alone);
        assert!(engine.lock_of(date(2026, 1, 7)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn contexts_go_once_nothing_names_them() {
        let state = tempfile::tempdir().unwrap();
        let mut engine = Engine::new(state.path(), &squid::Paths::default(), None).await.unwrap();
        let of_version = |version: usize| crate::record::Context {
            policy_hash: String::new(),
            list_version: version.to_string(),
            categories: Vec::new(),
            levels: Vec::new(),
            locked: CategorySet::EMPTY,
            zone: "Europe/London".to_owned(),
        };
        let held = engine.known_context(of_version(0));
        for version in 1..100 {
            drop(engine.known_context(of_version(version)));
        }
        assert_eq!(engine.contexts.len(), 3, "the one that is held, and the newest two");
        assert!(Rc::ptr_eq(&engine.known_context(of_version(0)), &held));
        assert_eq!(engine.contexts.last().unwrap().context.list_version, "99");
    }
}
