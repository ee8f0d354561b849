//! What the journals of one process share: segments, request ids, the backlog, and the disk.
//!
//! A *segment* is one journal file. Its worker appends; the ingest thread reads what is written; a
//! background thread makes it durable, twice in each `sync_interval_ms`: a decision then waits at
//! most half of it for a sync to begin, and has the other half for that sync to end.

use crate::folder::{make_folder, sync_folder};
use crate::frame::MAGIC;
use rules::code::RequestId;
use rules::time::UnixMillis;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How journals are kept.
#[derive(Clone, Copy, Debug)]
pub struct JournalSettings {
    /// Milliseconds of decisions that a power cut may lose, on a disk that syncs in half of them. 0:
    /// every decision is on the disk before it is answered.
    pub sync_interval_ms: u64,
    /// Most journal bytes that may wait to be stored before requests are refused.
    pub max_backlog_bytes: u64,
    /// Bytes after which a new segment starts.
    pub segment_bytes: u64,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self { sync_interval_ms: 1000, max_backlog_bytes: 1 << 30, segment_bytes: 64 << 20 }
    }
}

/// One journal file, open.
#[derive(Debug)]
pub struct Segment {
    /// Unique among all segments that an installation ever had; in the file's name.
    pub id: u64,
    /// Where it is.
    pub path: PathBuf,
    pub(crate) file: File,
    /// Bytes of whole frames, the magic included: as far as readers may read.
    written: AtomicU64,
    synced: AtomicU64,
    stored: AtomicU64,
    closed: AtomicBool,
    broken: AtomicBool,
}

impl Segment {
    /// Bytes of whole frames, the magic included.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Whether its worker has left it: nothing more will be written.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// A sync failed: the disk may have dropped pages of it, so its worker starts another.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Makes the first `written` bytes durable. After a sync that failed Linux takes the pages that
    /// it could not write for written, and the next sync passes them over; so they are written again
    /// first.
    fn sync_to(&self, written: u64) -> std::io::Result<()> {
        if self.is_broken() {
            let synced = self.synced.load(Ordering::Relaxed);
            let mut at = synced - synced % PAGE_BYTES;
            let mut buffer = vec![0; 64 * 1024];
            while at < written {
                let length = (written - at).min(buffer.len() as u64) as usize;
                self.file.read_exact_at(&mut buffer[..length], at)?;
                self.file.write_all_at(&buffer[..length], at)?;
                at += length as u64;
            }
        }
        self.file.sync_data()
    }
}

/// Shared by all journals of one process: ids, the backlog, the switch that stops service.
#[derive(Debug)]
pub struct Shared {
    /// The folder holds a file whose name is not durable yet.
    new_name_in: Mutex<Option<PathBuf>>,
    settings: JournalSettings,
    last_id: AtomicU64,
    appended_bytes: AtomicU64,
    stored_bytes: AtomicU64,
    /// Milliseconds since `started` at which everything appended until then was stored.
    caught_up_ms: AtomicU64,
    started: Instant,
    write_failures: AtomicU64,
    /// Milliseconds since `started` of the last failed write, plus one; 0 once a write went well.
    write_failed_ms: AtomicU64,
    sync_failures: AtomicU64,
    sync_failing: AtomicBool,
    /// Milliseconds since `started` by which the next sync must have ended.
    sync_due_ms: AtomicU64,
    late_syncs: AtomicU64,
    /// Decisions that were refused because they could not be recorded.
    refused: AtomicU64,
    set_aside: Mutex<Vec<PathBuf>>,
    segments: Mutex<Vec<Arc<Segment>>>,
    last_error: Mutex<Option<String>>,
    stopping: Mutex<bool>,
    wake_sync: Condvar,
}

/// How long a failed write makes the log count as unusable when no write follows: a load balancer
/// that then sends nothing would otherwise never find out that there is room again.
const WRITE_FAILURE_SHOWS: Duration = Duration::from_secs(10);

/// A disk that has not finished a sync for so much longer than it should is one that fails: service
/// stops, since what is promised of a power cut no longer holds.
const STUCK_SYNC: Duration = Duration::from_secs(10);

/// Bytes that are made durable as one, on any file system in use.
const PAGE_BYTES: u64 = 4096;

/// The journals' state for `/readyz` and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalStatus {
    /// Journal bytes that wait to be stored.
    pub backlog_bytes: u64,
    /// Bytes above which requests are refused.
    pub max_backlog_bytes: u64,
    /// Milliseconds by which the stored log is behind; 0 when nothing waits.
    pub lag_ms: u64,
    /// Journal bytes written since the start.
    pub appended_bytes: u64,
    /// Writes that failed since the start; each refused a request or put off an end.
    pub write_failures: u64,
    /// Whether the last write failed, under ten seconds ago. After that nobody may have
    /// tried again, and only the next request can tell.
    pub write_failing: bool,
    /// Whether the last write failed, however long ago: nobody knows yet whether the next will.
    pub unwritten: bool,
    /// Decisions since the start that could not be recorded: each request was refused with 503.
    pub refused: u64,
    /// Syncs to disk that failed since the start.
    pub sync_failures: u64,
    /// Whether the last sync failed or does not end: requests are refused until one succeeds.
    pub sync_failing: bool,
    /// Syncs since the start that took longer than half of `sync_interval_ms`: a power cut might
    /// have lost more than was promised.
    pub late_syncs: u64,
    /// The last failure of any kind, with its file.
    pub last_error: Option<String>,
}

impl Shared {
    /// Prepares `folder` (`STATE/journal`) and starts the thread that syncs. `last_id` is the
    /// highest id ever given ([`crate::ingest::Recovered::last_id`]); new ones are above it.
    ///
    /// # Errors
    /// [`std::io::Error`] of the file system.
    pub fn open(
        folder: &Path,
        settings: JournalSettings,
        last_id: RequestId,
    ) -> std::io::Result<Arc<Self>> {
        make_folder(folder)?;
        let shared = Arc::new(Self {
            new_name_in: Mutex::new(None),
            settings,
            last_id: AtomicU64::new(last_id.0),
            appended_bytes: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
            caught_up_ms: AtomicU64::new(0),
            started: Instant::now(),
            write_failures: AtomicU64::new(0),
            write_failed_ms: AtomicU64::new(0),
            sync_failures: AtomicU64::new(0),
            sync_failing: AtomicBool::new(false),
            sync_due_ms: AtomicU64::new(u64::MAX),
            late_syncs: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            set_aside: Mutex::new(Vec::new()),
            segments: Mutex::new(Vec::new()),
            last_error: Mutex::new(None),
            stopping: Mutex::new(false),
            wake_sync: Condvar::new(),
        });
        if settings.sync_interval_ms > 0 {
            let weak = Arc::downgrade(&shared);
            let half = Duration::from_micros(settings.sync_interval_ms.saturating_mul(500));
            shared.sync_is_due_in(half);
            std::thread::Builder::new().name("journal-sync".into()).spawn(move || {
                let mut began = Instant::now();
                while let Some(shared) = weak.upgrade() {
                    // From start to start: a sync that takes its time delays the next one by nothing.
                    if shared.wait_to_sync(half.saturating_sub(began.elapsed())) {
                        break;
                    }
                    began = Instant::now();
                    shared.sync();
                    shared.sync_is_due_in(half);
                    shared.note_late_sync(began.elapsed(), half);
                }
            })?;
        }
        Ok(shared)
    }

    /// The next request id: above all others, and of this instant's second unless the clock went
    /// back or the second is full.
    pub fn next_id(&self, at: UnixMillis) -> RequestId {
        let first = RequestId::first_of(at).0;
        let next = |last: u64| (last + 1).max(first);
        let update = self
            .last_id
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        RequestId(update.map_or_else(next, next))
    }

    /// The highest id given so far.
    #[must_use]
    pub fn last_id(&self) -> RequestId {
        RequestId(self.last_id.load(Ordering::Relaxed))
    }

    /// How these journals are kept.
    #[must_use]
    pub fn settings(&self) -> JournalSettings {
        self.settings
    }

    /// Journal bytes that wait to be stored.
    #[must_use]
    pub fn backlog_bytes(&self) -> u64 {
        let stored = self.stored_bytes.load(Ordering::Relaxed);
        self.appended_bytes.load(Ordering::Relaxed).saturating_sub(stored)
    }

    /// Milliseconds by which the stored log is behind.
    #[must_use]
    pub fn lag_ms(&self) -> u64 {
        match self.backlog_bytes() {
            0 => 0,
            _ => self.elapsed_ms().saturating_sub(self.caught_up_ms.load(Ordering::Relaxed)),
        }
    }

    /// Everything for `/readyz` and metrics.
    #[must_use]
    pub fn status(&self) -> JournalStatus {
        JournalStatus {
            backlog_bytes: self.backlog_bytes(),
            max_backlog_bytes: self.settings.max_backlog_bytes,
            lag_ms: self.lag_ms(),
            appended_bytes: self.appended_bytes.load(Ordering::Relaxed),
            write_failures: self.write_failures.load(Ordering::Relaxed),
            write_failing: self.is_write_failing(),
            unwritten: self.write_failed_ms.load(Ordering::Relaxed) != 0,
            refused: self.refused.load(Ordering::Relaxed),
            sync_failures: self.sync_failures.load(Ordering::Relaxed),
            sync_failing: self.is_sync_failing(),
            late_syncs: self.late_syncs.load(Ordering::Relaxed),
            last_error: lock(&self.last_error).clone(),
        }
    }

    /// Makes everything written so far durable, now. Called by the background thread, and by the
    /// process before it ends.
    pub fn sync(&self) {
        let mut failed = false;
        let folder = lock(&self.new_name_in).take();
        if let Some(folder) = folder
            && let Err(error) = sync_folder(&folder)
        {
            failed = true;
            self.sync_failures.fetch_add(1, Ordering::Relaxed);
            self.note_error(format!("sync of journal folder {}: {error}", folder.display()));
            *lock(&self.new_name_in) = Some(folder);
        }
        for segment in self.segments() {
            let written = segment.written();
            if segment.synced.load(Ordering::Relaxed) == written && !segment.is_broken() {
                continue;
            }
            match segment.sync_to(written) {
                Ok(()) => {
                    segment.synced.store(written, Ordering::Relaxed);
                    segment.broken.store(false, Ordering::Relaxed);
                }
                Err(error) => {
                    failed = true;
                    self.sync_failed(&segment, &error);
                }
            }
        }
        self.sync_failing.store(failed, Ordering::Relaxed);
    }

    pub(crate) fn sync_failed(&self, segment: &Segment, error: &std::io::Error) {
        segment.broken.store(true, Ordering::Relaxed);
        self.sync_failing.store(true, Ordering::Relaxed);
        self.sync_failures.fetch_add(1, Ordering::Relaxed);
        self.note_error(format!("sync of journal {}: {error}", segment.path.display()));
    }

    pub(crate) fn is_sync_failing(&self) -> bool {
        self.sync_failing.load(Ordering::Relaxed)
            || self.running_ms() > self.sync_due_ms.load(Ordering::Relaxed)
    }

    /// The next sync begins within `wait`, and ends in time unless the disk is stuck.
    fn sync_is_due_in(&self, wait: Duration) {
        let due = self.running_ms() + (wait + STUCK_SYNC).as_millis() as u64;
        self.sync_due_ms.store(due, Ordering::Relaxed);
    }

    fn note_late_sync(&self, took: Duration, at_most: Duration) {
        if took > at_most {
            let late = self.late_syncs.fetch_add(1, Ordering::Relaxed) + 1;
            // The first, and then ever fewer: a slow disk is told of, not made slower by it.
            if late.is_power_of_two() {
                let took_ms = took.as_millis() as u64;
                tracing::warn!(
                    took_ms,
                    late,
                    "the disk syncs slowly: a power cut may lose more than sync_interval_ms"
                );
            }
        }
    }

    /// A request is turned away because its decision could not be recorded.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A damaged day file was set aside while serving.
    pub(crate) fn note_set_aside(&self, path: PathBuf) {
        lock(&self.set_aside).push(path);
    }

    /// Day files that were found damaged and set aside since this was last asked.
    #[must_use]
    pub fn take_set_aside(&self) -> Vec<PathBuf> {
        std::mem::take(&mut *lock(&self.set_aside))
    }

    fn is_write_failing(&self) -> bool {
        let failed_ms = self.write_failed_ms.load(Ordering::Relaxed);
        let shows_ms = WRITE_FAILURE_SHOWS.as_millis() as u64;
        failed_ms != 0 && self.running_ms() < failed_ms + shows_ms
    }

    fn running_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    pub(crate) fn write_failed(&self, path: &Path, error: &std::io::Error) {
        self.write_failed_ms.store(self.running_ms() + 1, Ordering::Relaxed);
        self.write_failures.fetch_add(1, Ordering::Relaxed);
        self.note_error(format!("write to journal {}: {error}", path.display()));
    }

    pub(crate) fn note_error(&self, error: String) {
        *lock(&self.last_error) = Some(error);
    }

    /// Creates the next segment of a worker in the shared folder and registers it.
    pub(crate) fn create_segment(
        &self,
        folder: &Path,
        worker: u16,
    ) -> std::io::Result<Arc<Segment>> {
        let id = self.next_id(UnixMillis(now_ms())).0;
        let path = folder.join(format!("w{worker:02}-{id:014}.sgj"));
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        if let Err(error) = file.write_all_at(MAGIC, 0).and_then(|()| self.sync_new_name(folder)) {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(self.register(id, path, file, MAGIC.len() as u64))
    }

    /// Makes a new file's name durable: now where every decision must be, else with the next sync,
    /// off the worker's thread.
    fn sync_new_name(&self, folder: &Path) -> std::io::Result<()> {
        if self.settings.sync_interval_ms == 0 {
            return sync_folder(folder);
        }
        *lock(&self.new_name_in) = Some(folder.to_owned());
        Ok(())
    }

    pub(crate) fn register(
        &self,
        id: u64,
        path: PathBuf,
        file: File,
        written: u64,
    ) -> Arc<Segment> {
        let segment = Arc::new(Segment {
            id,
            path,
            file,
            written: AtomicU64::new(written),
            synced: AtomicU64::new(0),
            stored: AtomicU64::new(written),
            closed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        });
        lock(&self.segments).push(Arc::clone(&segment));
        segment
    }

    /// `bytes` more of `segment` are whole and readable.
    pub(crate) fn appended(&self, segment: &Segment, written: u64, bytes: u64) {
        segment.written.store(written, Ordering::Release);
        self.appended_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.write_failed_ms.load(Ordering::Relaxed) != 0 {
            self.write_failed_ms.store(0, Ordering::Relaxed);
        }
    }

    /// The segments that are not stored and removed yet, oldest first per worker.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        lock(&self.segments).clone()
    }

    /// Forgets a segment whose file is fully stored and removed.
    pub(crate) fn forget(&self, id: u64) {
        lock(&self.segments).retain(|segment| segment.id != id);
    }

    /// Everything before `offset` of a segment is stored. Told again after a fault, an offset that
    /// was told before counts once.
    pub(crate) fn stored(&self, segment: &Segment, offset: u64) {
        let before = segment.stored.fetch_max(offset, Ordering::Relaxed);
        self.stored_bytes.fetch_add(offset.saturating_sub(before), Ordering::Relaxed);
    }

    /// Everything appended before `began_ms` is stored.
    pub(crate) fn caught_up(&self, began_ms: u64) {
        self.caught_up_ms.store(began_ms, Ordering::Relaxed);
    }

    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Ends the sync thread after a last sync. Nothing is recorded after that.
    pub fn stop(&self) {
        *lock(&self.stopping) = true;
        self.wake_sync.notify_all();
        self.sync();
    }

    fn wait_to_sync(&self, interval: Duration) -> bool {
        let stopping = lock(&self.stopping);
        let waited = self.wake_sync.wait_timeout_while(stopping, interval, |stopping| !*stopping);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A poisoned lock still guards whole values: each holder only replaces or pushes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wall clock. Only segment names need it here; callers bring the time of a decision.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
