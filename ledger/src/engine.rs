//! Moves journals into day files: what the ingest thread and recovery both run.
//!
//! One *pass* reads what the journals hold, brings decisions and ends together, and stores the
//! outcome in one transaction per day file touched. A decision waits [`HOLD_MS`] for its end, so
//! that most become one complete row; a tunnel, which lasts, waits only for the pass it is read in.
//!
//! Any failure leaves the day files as the last commit made them. The engine is then dropped and a
//! new one starts from what the files say, so there is one way back, taken after every kind of fault.

use crate::carried::Carried;
use crate::claims::Claims;
use crate::day_file::{DayFile, OpenRow};
use crate::evidence::access::{AccessTree, TreeError};
use crate::frame::{Found, Frames, HEAD_BYTES, MAGIC, MAX_PAYLOAD_BYTES};
use crate::lock::{DaysLock, Hold};
use crate::parts::{Part, is_of_today, newest};
use crate::payload::{self, DecisionRead, Payload};
use crate::record::{Context, Depth, End, Ended};
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

    /// Opens the newest days, for their open accesses and their highest id: what is stored may be
    /// younger than `carried` where a power cut took the journal's end.
    pub(crate) async fn open_newest_days(&mut self) -> Result<(), IngestError> {
        for date in self.newest_days()? {
            if crate::sqlite::day_path(&self.access, date).exists() {
                self.ready_day(date).await?;
            }
        }
        Ok(())
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

    fn newest_days(&self) -> Result<Vec<Date>, IngestError> {
        let mut days: Vec<Date> = self.parts()?.into_iter().map(|part| part.day).collect();
        days.dedup();
        Ok(newest(&days).iter().rev().copied().collect())
    }

    fn parts(&self) -> Result<Vec<Part>, IngestError> {
        let failed = |source| IngestError::Journal { path: self.access.clone(), source };
        crate::parts::parts(&self.access).map_err(failed)
    }

    fn unread(&self, id: u64) -> bool {
        self.sources.get(&id).is_some_and(|source| source.read < source.limit().0)
    }

    async fn read_chunk(&mut self, id: u64) -> Result<u64, IngestError> {
        let Some(source) = self.sources.get_mut(&id) else { return Ok(0) };
        let (limit, _) = source.limit();
        let start = source.read;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(CHUNK_BYTES.min((limit - start) as usize), 0);
        let read = source.file().read_exact_at(&mut buffer, start);
        read.map_err(|error| IngestError::Journal { path: source.path.clone(), source: error })?;
        source.dirty = true;
        let last = start + buffer.len() as u64 == limit;
        let result = self.take_chunk(id, start, &buffer, last).await;
        self.buffer = buffer;
        result?;
        Ok(self.sources.get(&id).map_or(0, |source| source.read - start))
    }

    async fn take_chunk(
        &mut self,
        id: u64,
        start: u64,
        bytes: &[u8],
        last: bool,
    ) -> Result<(), IngestError> {
        let mut bytes = bytes;
        let mut base = start;
        if start == 0
            && let Some(rest) = bytes.strip_prefix(MAGIC)
        {
            (bytes, base) = (rest, MAGIC.len() as u64);
        }
        let mut read = base;
        for found in Frames::new(bytes, base) {
            match found {
                Found::Payload { offset, payload } => {
                    read = offset + (HEAD_BYTES + payload.len()) as u64;
                    self.take_payload(id, offset, payload).await?;
                }
                Found::Damage { offset, bytes } => {
                    read = offset + bytes;
                    self.note_damage(id, offset, bytes);
                }
                Found::Tail { offset, bytes: count } => {
                    let tail = &bytes[(offset - base) as usize..];
                    if last {
                        read = offset + count;
                        self.note_tail(id, offset, tail);
                    } else if offset == base && count as usize > CHUNK_BYTES / 2 {
                        // A whole chunk without a frame. The next may start near its end.
                        let passed = count - (MAX_PAYLOAD_BYTES + HEAD_BYTES) as u64;
                        read = offset + passed;
                        self.note_damage(id, offset, passed);
                    }
                }
            }
        }
        if let Some(source) = self.sources.get_mut(&id) {
            source.read = read;
        }
        Ok(())
    }

    fn note_damage(&mut self, id: u64, offset: u64, bytes: u64) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        source.damaged = true;
        tracing::error!(file = %source.path.display(), offset, bytes, "journal damaged: bytes passed over");
        self.tally.damage.push(Damage { file: source.path.clone(), offset, bytes });
    }

    /// A frame that runs past the end of the file is a write that a kill cut off: its decision was
    /// never acknowledged. Zeros are what a power cut leaves of a file that had grown but was not
    /// written yet. Anything else was whole once, and is damage.
    fn note_tail(&mut self, id: u64, offset: u64, tail: &[u8]) {
        let length = tail.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize);
        let torn = tail.iter().all(|byte| *byte == 0)
            || length.is_none_or(|length| {
                tail.len() < HEAD_BYTES
                    || (length <= MAX_PAYLOAD_BYTES && HEAD_BYTES + length > tail.len())
            });
        if torn {
            self.tally.torn_bytes += tail.len() as u64;
        } else {
            self.note_damage(id, offset, tail.len() as u64);
        }
    }

    async fn take_payload(
        &mut self,
        id: u64,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), IngestError> {
        match payload::read(bytes) {
            Some(Payload::Context(number, context)) => {
                let context = self.known_context(context);
                if let Some(source) = self.sources.get_mut(&id) {
                    source.contexts.insert(number, context);
                }
            }
            Some(Payload::Decided(read)) => {
                let context = self.context_of(id, read.context);
                if self.is_stored(id, offset, &read, &context).await? {
                    return Ok(());
                }
                self.hold(id, offset, bytes, &read, context).await?;
            }
            Some(Payload::DecidedAndEnded(read, ended)) => {
                let context = self.context_of(id, read.context);
                if !self.is_stored(id, offset, &read, &context).await? {
                    self.store(&read, &context, Some(ended)).await?;
                }
            }
            Some(Payload::Ended(request, ended)) => self.take_end(request.0, ended).await?,
            None => self.note_damage(id, offset, (HEAD_BYTES + bytes.len()) as u64),
        }
        Ok(())
    }

    /// Lets a decision wait for its end. No worker gives an id twice; where damage does, the later
    /// decision is stored at once, so that neither is dropped.
    async fn hold(
        &mut self,
        segment: u64,
        offset: u64,
        payload: &[u8],
        read: &DecisionRead<'_>,
        context: Rc<DayContext>,
    ) -> Result<(), IngestError> {
        let tunnel = read.scheme == Scheme::Tunnel;
        let hash_map::Entry::Vacant(vacant) = self.held.entry(read.id.0) else {
            return self.store(read, &context, None).await;
        };
        let since = Instant::now();
        vacant.insert(Held { segment, offset, payload: payload.into(), context, tunnel, since });
        if let Some(source) = self.sources.get_mut(&segment) {
            source.held.insert(offset);
        }
        Ok(())
    }

    /// Equal contexts of several files become one.
    fn known_context(&mut self, context: Context) -> Rc<DayContext> {
        if let Some(known) = self.contexts.iter().rev().find(|known| *known.context == context) {
            return Rc::clone(known);
        }
        let context = Rc::new(DayContext::new(context));
        self.contexts.push(Rc::clone(&context));
        context
    }

    /// The context of a number; where damage took it, one that names nothing but, for the day's
    /// sake, keeps the zone last seen.
    fn context_of(&mut self, id: u64, number: u16) -> Rc<DayContext> {
        let source = self.sources.get(&id);
        if let Some(context) = source.and_then(|source| source.contexts.get(&number)) {
            return Rc::clone(context);
        }
        let zone = self.contexts.last().map_or("UTC", |known| &known.context.zone).to_owned();
        let context = self.known_context(Context {
            policy_hash: String::new(),
            list_version: String::new(),
            categories: Vec::new(),
            levels: Vec::new(),
            locked: CategorySet::EMPTY,
            zone,
        });
        if let Some(source) = self.sources.get_mut(&id) {
            source.contexts.insert(number, Rc::clone(&context));
        }
        context
    }

    async fn is_stored(
        &mut self,
        id: u64,
        offset: u64,
        read: &DecisionRead<'_>,
        context: &DayContext,
    ) -> Result<bool, IngestError> {
        self.tally.last_id = self.tally.last_id.max(read.id.0);
        let date = context.day(read.at);
        let holds = |positions: &HashMap<u64, Position>| {
            positions.get(&id).is_some_and(|position| position.holds(offset))
        };
        // A journal that is read again, as after a change of priority, must not stop the sealing of a day that
        // has all of it: nothing of the day is open, so that there is nothing else to know of it.
        let is_lent = self.claims.as_ref().is_some_and(|claims| claims.is_granted(date));
        if is_lent && self.lent_parts(date).await?.iter().any(holds) {
            return Ok(true);
        }
        if self.sealed_parts(date).await?.iter().any(holds) {
            return Ok(true);
        }
        let day = self.ready_day(date).await?;
        Ok(day.file.positions.get(&id).is_some_and(|position| position.holds(offset)))
    }

    /// How far journals are stored in the sealed parts of a day.
    async fn sealed_parts(&mut self, date: Date) -> Result<&[HashMap<u64, Position>], IngestError> {
        if !self.sealed.contains_key(&date) {
            self.take_back(date);
            let mut sealed = Vec::new();
            for part in self.parts()?.iter().filter(|part| part.day == date && part.sealed) {
                let path = part.database(&self.access);
                let positions = crate::sqlite::stored_positions(&path).await;
                sealed.push(positions.map_err(|source| IngestError::Store { path, source })?);
            }
            self.sealed.insert(date, sealed);
        }
        Ok(self.sealed.get(&date).map_or(&[], Vec::as_slice))
    }

    /// How far journals are stored in the parts of a day that was let go, sealed by now or not.
    async fn lent_parts(&mut self, date: Date) -> Result<&[HashMap<u64, Position>], IngestError> {
        if self.lent.as_ref().is_none_or(|(day, _)| *day != date) {
            let mut lent = Vec::new();
            for part in self.parts()?.iter().filter(|part| part.day == date) {
                let path = part.database(&self.access);
                let positions = crate::sqlite::stored_positions(&path).await;
                lent.push(positions.map_err(|source| IngestError::Store { path, source })?);
            }
            self.lent = Some((date, lent));
        }
        Ok(self.lent.as_ref().map_or(&[], |(_, parts)| parts.as_slice()))
    }

    /// Waits until nobody else has the day's file.
    fn take_back(&self, date: Date) {
        if let Some(claims) = &self.claims {
            claims.take_back(date);
        }
    }

    /// Lets the day go that is to be sealed, once nothing of it is open or waits.
    pub(crate) async fn let_go(&mut self, caught_up: bool) -> Result<(), IngestError> {
        let Some(claims) = self.claims.clone() else { return Ok(()) };
        let Some(date) = claims.wanted() else { return Ok(()) };
        let is_of_day = |held: &Held| match payload::read(&held.payload) {
            Some(Payload::Decided(read)) => held.context.day(read.at) == date,
            _ => false,
        };
        let in_use = self.open.values().any(|open| open.day == date)
            || self.held.values().any(is_of_day)
            || self.days.get(&date).is_some_and(|day| day.file.has_batch());
        if in_use || !caught_up || !self.batch_day(date).await? {
            return Ok(());
        }
        self.close_day(date).await?;
        self.sealed.remove(&date);
        self.lent = None;
        claims.grant(date);
        Ok(())
    }

    /// Puts into a batch what of a day waits for one: once the day is sealed, none can be made any more.
    /// `false`: something of it is open, or it has no file that is written to.
    pub(crate) async fn batch_day(&mut self, date: Date) -> Result<bool, IngestError> {
        let path = crate::sqlite::day_path(&self.access, date);
        if !self.days.contains_key(&date) {
            if !path.exists() {
                return Ok(false);
            }
            let waits = crate::sqlite::waits_for_batch(&path).await;
            if !waits.map_err(|source| IngestError::Store { path, source })? {
                return Ok(true);
            }
            self.ready_day(date).await?;
        }
        if self.days.get(&date).is_some_and(|day| day.file.waits_for_batch().0) {
            self.commit(Batches::All).await?;
        }
        Ok(!self.open.values().any(|open| open.day == date))
    }

    async fn ready_day(&mut self, date: Date) -> Result<&mut Day, IngestError> {
        if !self.days.contains_key(&date) {
            self.take_back(date);
            let lock = self.lock_of(date).await?;
            let path = crate::sqlite::day_path(&self.access, date);
            let opened = DayFile::open(&self.access, date).await;
            let (file, open) = opened.map_err(|source| IngestError::Store { path, source })?;
            self.tally.last_id = self.tally.last_id.max(file.max_id());
            let open =
                open.into_iter().map(|(id, (row, path))| (id, Open { day: date, row, path }));
            self.open.extend(open);
            let day = Day { file, used: Instant::now(), synced: false, _lock: lock };
            self.days.insert(date, day);
        }
        let missing =
            || IngestError::Store { path: self.access.clone(), source: sqlx::Error::RowNotFound };
        let day = self.days.get_mut(&date).ok_or_else(missing)?;
        day.used = Instant::now();
        Ok(day)
    }

    /// Waits until nobody replaces files of days, where a day is not one of the newest. Whoever seals one is
    /// asked to stop; an erasure ends by itself, and the journals keep everything meanwhile.
    async fn lock_of(&self, date: Date) -> Result<Option<DaysLock>, IngestError> {
        let mut days = self.newest_days()?;
        days.push(date);
        days.sort_unstable();
        days.dedup();
        if newest(&days).contains(&date) || is_of_today(date, now()) {
            return Ok(None);
        }
        // An end is no failure: the journals keep what was not stored.
        let give_up = || self.claims.as_ref().is_some_and(|claims| claims.recall());
        let lock = DaysLock::take(&self.access, Hold::Shared, give_up).await;
        let lock = lock.and_then(|lock| {
            let stopped = || std::io::Error::other("stopped while records were being erased");
            lock.map(Some).ok_or_else(stopped)
        });
        lock.map_err(|source| IngestError::Journal { path: self.access.clone(), source })
    }

    async fn store(
        &mut self,
        read: &DecisionRead<'_>,
        context: &DayContext,
        ended: Option<Ended>,
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
            Some(ended) => self.add_line(date, read.id.0, &row, read.path, ended),
        }
        Ok(())
    }

    async fn take_end(&mut self, id: u64, ended: Ended) -> Result<(), IngestError> {
        if let Some(held) = self.take_held(id) {
            if let Some(Payload::Decided(read)) = payload::read(&held.payload) {
                self.store(&read, &held.context, Some(ended)).await?;
            }
        } else if let Some(open) = self.open.remove(&id) {
            self.ready_day(open.day).await?.file.add_end(&open.row, ended);
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
            self.take_end(id, ended).await?;
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

    /// Closes files of days that are over. `all`: every file.
    pub(crate) async fn close_days(&mut self, all: bool) -> Result<(), IngestError> {
        let newest = self.days.keys().next_back().copied();
        let idle = |date: &Date, day: &Day| {
            Some(*date) != newest
                && day.used.elapsed() >= CLOSE_AFTER
                && !self.open.values().any(|open| open.day == *date)
                && self.held.is_empty()
        };
        let closing: Vec<Date> = self
            .days
            .iter()
            .filter(|(date, day)| all || idle(date, day))
            .map(|(date, _)| *date)
            .collect();
        if closing.is_empty() {
            return Ok(());
        }
        self.commit(Batches::All).await?;
        for date in closing {
            self.close_day(date).await?;
        }
        if let Some(tree) = &mut self.tree {
            tree.make_durable(self.days.keys().copied())?;
        }
        Ok(())
    }

    async fn close_day(&mut self, date: Date) -> Result<(), IngestError> {
        let Some(day) = self.days.remove(&date) else { return Ok(()) };
        let path = crate::sqlite::day_path(&self.access, date);
        day.file.close().await.map_err(|source| IngestError::Store { path, source })
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
            depth: Depth::from_number(what.depth).unwrap_or(Depth::Name),
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
