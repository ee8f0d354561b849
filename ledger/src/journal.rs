//! The journal: append-only files, one per worker, that hold each decision before it takes effect.
//!
//! A decision is encoded into a buffer that is kept, and given to the operating system with one
//! write, before the request goes upstream or is refused: a killed process loses none. Ends wait in
//! the same buffer and go out with the next decision or by [`Journal::flush`].
//!
//! Every write names its place in the file. One that fails or falls short leaves the place as it
//! was, and the next overwrites what it left: a half-written frame is never read as one.

use crate::frame;
use crate::notes::Sign;
use crate::payload;
use crate::record::{Context, Decided, Depth, End, Ended};
pub use crate::segment::{JournalSettings, JournalStatus, Segment, Shared};
use rules::code::RequestId;
use std::cell::{Cell, RefCell};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use thiserror::Error;

/// Why a decision could not be recorded. The request is refused with 503.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The write failed (disk full, read-only, I/O error).
    #[error("journal {path}: {source}; browsing stops until the log can be written")]
    Write {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// More waits to be stored than the bound allows.
    #[error("{bytes} bytes of journal wait to be stored, over `log.max_backlog_bytes`")]
    Backlog {
        /// Waiting.
        bytes: u64,
    },
}

/// One worker's journal. Not shared between threads.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    worker: u16,
    shared: Arc<Shared>,
    open: RefCell<Open>,
}

#[derive(Debug)]
struct Open {
    segment: Arc<Segment>,
    /// Where the next frame goes.
    end: u64,
    /// Ends that wait, then (within one call) the context and decision being written.
    buffer: Vec<u8>,
    /// The context last written to this segment, and its number there.
    context: Option<Arc<Context>>,
    context_number: u16,
}

impl Journal {
    /// Opens worker `worker`'s next journal file in `folder` (`STATE/journal`).
    ///
    /// # Errors
    /// [`std::io::Error`] of the file system.
    pub fn open(folder: &Path, worker: u16, shared: &Arc<Shared>) -> std::io::Result<Rc<Self>> {
        let segment = shared.create_segment(folder, worker)?;
        Ok(Self::over(folder, worker, shared, segment))
    }

    fn over(folder: &Path, worker: u16, shared: &Arc<Shared>, segment: Arc<Segment>) -> Rc<Self> {
        let end = segment.written();
        let open = Open {
            segment,
            end,
            buffer: Vec::with_capacity(16 * 1024),
            context: None,
            context_number: 0,
        };
        let (folder, shared) = (folder.to_owned(), Arc::clone(shared));
        Rc::new(Self { folder, worker, shared, open: RefCell::new(open) })
    }

    /// The next request id.
    pub fn next_id(&self, at: rules::time::UnixMillis) -> RequestId {
        self.shared.next_id(at)
    }

    /// What all journals of the process share.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Writes a decision. When this returns `Ok`, the bytes are with the operating system.
    ///
    /// # Errors
    /// [`RecordError`]: the caller must refuse the request.
    pub fn decide(self: &Rc<Self>, decided: &Decided<'_>) -> Result<Pending, RecordError> {
        self.append(decided, None)?;
        Ok(Pending {
            journal: Rc::clone(self),
            id: decided.id,
            decided_at: Instant::now(),
            bytes_up: Cell::new(0),
            bytes_down: Cell::new(0),
            status: Cell::new(0),
            depth: Cell::new(None),
            signs: RefCell::new(Vec::new()),
            ended: Cell::new(false),
        })
    }

    /// Writes a decision and its end at once: refusals.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn refuse(self: &Rc<Self>, decided: &Decided<'_>, ended: Ended) -> Result<(), RecordError> {
        self.append(decided, Some(&ended))
    }

    /// Writes buffered ends out; called by the worker on a timer of at most 100 ms. Ends that cannot
    /// be written stay buffered and are tried again.
    pub fn flush(&self) {
        let mut open = self.open.borrow_mut();
        if !open.buffer.is_empty() {
            self.roll_if_due(&mut open);
            // A failure is counted in `Shared` and shown by `/readyz`; the ends stay buffered.
            let _ = self.write(&mut open);
        }
    }

    fn append(&self, decided: &Decided<'_>, ended: Option<&Ended>) -> Result<(), RecordError> {
        self.try_append(decided, ended).inspect_err(|_| self.shared.refused())
    }

    fn try_append(&self, decided: &Decided<'_>, ended: Option<&Ended>) -> Result<(), RecordError> {
        let waiting = self.shared.backlog_bytes();
        if waiting > self.shared.settings().max_backlog_bytes {
            return Err(RecordError::Backlog { bytes: waiting });
        }
        let mut open = self.open.borrow_mut();
        let open = &mut *open;
        self.roll_if_due(open);
        if self.shared.is_sync_failing() {
            let source = std::io::Error::other("the last sync to disk failed or does not end");
            return Err(RecordError::Write {
                path: open.segment.path.display().to_string(),
                source,
            });
        }
        let ends = open.buffer.len();
        let new_context = open.context_to_write(decided.context);
        let number = open.context_number.wrapping_add(u16::from(new_context));
        if new_context {
            frame::append(&mut open.buffer, |buffer| {
                payload::put_context(buffer, number, decided.context)
            });
        }
        frame::append(&mut open.buffer, |buffer| {
            payload::put_decided(buffer, number, decided, ended)
        });
        if let Err(source) = self.write(open) {
            open.buffer.truncate(ends);
            return Err(RecordError::Write {
                path: open.segment.path.display().to_string(),
                source,
            });
        }
        if new_context {
            open.context = Some(Arc::clone(decided.context));
            open.context_number = number;
        }
        Ok(())
    }

    /// Writes the whole buffer at the end of the segment and empties it; on failure both stay.
    fn write(&self, open: &mut Open) -> std::io::Result<()> {
        let result =
            open.segment.file.write_all_at(&open.buffer, open.end).and_then(|()| {
                match self.shared.settings().sync_interval_ms {
                    0 => open.segment.file.sync_data(),
                    _ => Ok(()),
                }
            });
        match result {
            Ok(()) => {
                let bytes = open.buffer.len() as u64;
                open.end += bytes;
                open.buffer.clear();
                self.shared.appended(&open.segment, open.end, bytes);
                Ok(())
            }
            Err(error) => {
                // What was written lies beyond the end that readers know. Cutting it off is a
                // courtesy to recovery; where it fails, the next write covers it.
                let _ = open.segment.file.set_len(open.end);
                self.shared.write_failed(&open.segment.path, &error);
                Err(error)
            }
        }
    }

    /// Starts the next segment when this one is full or cannot be trusted. Where no file can be
    /// created, the old one is used on: a longer file is better than no record.
    fn roll_if_due(&self, open: &mut Open) {
        if open.end < self.shared.settings().segment_bytes && !open.segment.is_broken() {
            return;
        }
        match self.shared.create_segment(&self.folder, self.worker) {
            Ok(segment) => {
                open.segment.close();
                open.end = segment.written();
                open.segment = segment;
                open.context = None;
            }
            Err(error) => self.shared.write_failed(&self.folder, &error),
        }
    }

    fn buffer_end(&self, id: RequestId, ended: &Ended, signs: &[Sign]) {
        let mut open = self.open.borrow_mut();
        frame::append(&mut open.buffer, |buffer| payload::put_ended(buffer, id, ended, signs));
    }
}

impl Open {
    /// Whether the context must be written first. Equal contexts behind different pointers (a
    /// reload that changed nothing) are written once.
    fn context_to_write(&mut self, context: &Arc<Context>) -> bool {
        match &self.context {
            Some(last) if Arc::ptr_eq(last, context) => false,
            Some(last) if last == context => {
                self.context = Some(Arc::clone(context));
                false
            }
            _ => true,
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.flush();
        self.open.borrow().segment.close();
    }
}

/// A recorded decision whose end is still to come. Dropped early, the end is [`End::Aborted`]
/// with the bytes counted so far.
#[derive(Debug)]
pub struct Pending {
    journal: Rc<Journal>,
    id: RequestId,
    decided_at: Instant,
    bytes_up: Cell<u64>,
    bytes_down: Cell<u64>,
    status: Cell<u16>,
    depth: Cell<Option<Depth>>,
    signs: RefCell<Vec<Sign>>,
    ended: Cell<bool>,
}

impl Pending {
    /// The request's id.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// Counts bytes from the client.
    pub fn count_up(&self, bytes: u64) {
        self.bytes_up.set(self.bytes_up.get().saturating_add(bytes));
    }

    /// Counts bytes to the client.
    pub fn count_down(&self, bytes: u64) {
        self.bytes_down.set(self.bytes_down.get().saturating_add(bytes));
    }

    /// Sets the status sent to the client.
    pub fn set_status(&self, status: u16) {
        self.status.set(status);
    }

    /// Tells how deep the proxy saw in the end, where that differs from the decision's depth.
    pub fn set_depth(&self, depth: Depth) {
        self.depth.set(Some(depth));
    }

    /// Adds a sign that was found since the decision, in a page or an answer. The first
    /// [`crate::notes::MAX_SIGNS`] are kept.
    pub fn add_sign(&self, sign: Sign) {
        let mut signs = self.signs.borrow_mut();
        if signs.len() < crate::notes::MAX_SIGNS {
            signs.push(sign);
        }
    }

    /// Ends the record.
    pub fn finish(self, end: End) {
        self.end(end);
    }

    /// Ends the record where it is shared between the two bodies of an exchange: the first end
    /// counts, later ones and the drop do nothing.
    pub fn end(&self, end: End) {
        if self.ended.replace(true) {
            return;
        }
        let ended = Ended {
            end,
            status: self.status.get(),
            bytes_up: self.bytes_up.get(),
            bytes_down: self.bytes_down.get(),
            duration_us: self.decided_at.elapsed().as_micros() as u64,
            depth: self.depth.get(),
        };
        self.journal.buffer_end(self.id, &ended, &self.signs.borrow());
    }

    /// Whether the record has ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended.get()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.end(End::Aborted);
    }
}

/// For the few places that make an end by hand.
#[must_use]
pub fn refused(status: u16, bytes_down: u64, duration_us: u64) -> Ended {
    Ended { end: End::Complete, status, bytes_up: 0, bytes_down, duration_us, depth: None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use crate::frame::{Found, Frames, MAGIC};
    use crate::payload::Payload;
    use rules::category::CategorySet;
    use rules::decide::{ReasonCode, Verdict};
    use rules::target::Scheme;
    use rules::time::UnixMillis;

    const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

    fn context(policy: &str) -> Arc<Context> {
        Arc::new(Context {
            policy_hash: policy.into(),
            list_version: "1".into(),
            categories: vec!["uncategorised".into()],
            levels: vec!["pupil".into()],
            locked: CategorySet::EMPTY,
            zone: "Europe/London".into(),
        })
    }

    fn decided(id: RequestId, context: &Arc<Context>) -> Decided<'_> {
        Decided {
            id,
            at: NOW,
            context,
            user: Some("pupil01"),
            level: 0,
            client: [10, 0, 0, 1].into(),
            method: "GET",
            scheme: Scheme::Http,
            host: "library.test",
            port: 80,
            path: Some("/"),
            categories: CategorySet::EMPTY,
            verdict: Verdict::Allow,
            reason: ReasonCode::Allowed,
            rule: None,
            unblock: None,
            depth: Depth::Plain,
            visit: rules::visit::Visit::Unknown,
            words: None,
            signs: &[],
        }
    }

    fn shared(folder: &Path, settings: JournalSettings) -> Arc<Shared> {
        Shared::open(folder, settings, RequestId(0)).unwrap()
    }

    /// One word a frame: `context`, `decided`, `refused`, or the end.
    fn kinds(path: &Path) -> Vec<String> {
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(&bytes[..MAGIC.len()], MAGIC);
        Frames::new(&bytes[MAGIC.len()..], MAGIC.len() as u64)
            .map(|found| match found {
                Found::Payload { payload, .. } => match payload::read(payload).unwrap() {
                    Payload::Context(_, context) => format!("context {}", context.policy_hash),
                    Payload::Decided(_) => "decided".into(),
                    Payload::DecidedAndEnded(..) => "refused".into(),
                    Payload::Ended(_, ended, _) => ended.end.as_str().into(),
                },
                other => format!("{other:?}"),
            })
            .collect()
    }

    fn file_of(journal: &Journal) -> PathBuf {
        journal.open.borrow().segment.path.clone()
    }

    #[test]
    fn a_decision_is_in_the_file_when_decide_returns_and_its_end_follows_with_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let shared = shared(folder.path(), JournalSettings::default());
        let journal = Journal::open(folder.path(), 3, &shared).unwrap();
        let context = context("p1");
        let first = journal.decide(&decided(RequestId(1), &context)).unwrap();
        assert_eq!(kinds(&file_of(&journal)), ["context p1", "decided"]);
        first.finish(End::Complete);
        assert_eq!(kinds(&file_of(&journal)), ["context p1", "decided"]);
        let second = journal.decide(&decided(RequestId(2), &context)).unwrap();
        assert_eq!(kinds(&file_of(&journal)), ["context p1", "decided", "complete", "decided"]);
        drop(second);
        journal.flush();
        assert_eq!(kinds(&file_of(&journal)).last().unwrap(), "aborted");
    }

    #[test]
    fn a_context_is_written_again_only_when_its_value_changes() {
        let folder = tempfile::tempdir().unwrap();
        let shared = shared(folder.path(), JournalSettings::default());
        let journal = Journal::open(folder.path(), 0, &shared).unwrap();
        for policy in ["p1", "p1", "p2"] {
            let context = context(policy);
            journal.refuse(&decided(RequestId(1), &context), refused(403, 0, 1)).unwrap();
        }
        let expected = ["context p1", "refused", "refused", "context p2", "refused"];
        assert_eq!(kinds(&file_of(&journal)), expected);
    }

    #[test]
    fn an_end_counts_once_whoever_gives_it() {
        let folder = tempfile::tempdir().unwrap();
        let shared = shared(folder.path(), JournalSettings::default());
        let journal = Journal::open(folder.path(), 0, &shared).unwrap();
        let context = context("p1");
        let pending = journal.decide(&decided(RequestId(1), &context)).unwrap();
        pending.count_down(7);
        pending.end(End::Cut);
        pending.end(End::Complete);
        drop(pending);
        journal.flush();
        assert_eq!(kinds(&file_of(&journal)), ["context p1", "decided", "cut"]);
    }

    #[test]
    fn a_full_disk_refuses_and_service_returns_by_itself_with_nothing_torn_between() {
        let folder = tempfile::tempdir().unwrap();
        let shared = shared(folder.path(), JournalSettings::default());
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let segment = shared.register(7, "/dev/full".into(), full, MAGIC.len() as u64);
        let journal = Journal::over(folder.path(), 0, &shared, segment);
        let context = context("p1");
        for _ in 0..3 {
            let refused = journal.decide(&decided(RequestId(1), &context)).unwrap_err();
            assert!(matches!(refused, RecordError::Write { .. }), "{refused}");
        }
        assert_eq!(shared.status().write_failures, 3);
        assert!(shared.status().write_failing);
        assert!(shared.status().last_error.unwrap().contains("/dev/full"));
        // The disk has room again: the same journal goes on in a file that can be written.
        let healthy = shared.create_segment(folder.path(), 0).unwrap();
        journal.open.borrow_mut().segment = Arc::clone(&healthy);
        journal.open.borrow_mut().end = healthy.written();
        journal.decide(&decided(RequestId(2), &context)).unwrap().finish(End::Complete);
        assert!(!shared.status().write_failing);
        journal.flush();
        assert_eq!(kinds(&healthy.path), ["context p1", "decided", "complete"]);
    }

    #[test]
    fn a_short_write_is_overwritten_by_the_next_frame() {
        let folder = tempfile::tempdir().unwrap();
        let shared = shared(folder.path(), JournalSettings::default());
        let journal = Journal::open(folder.path(), 0, &shared).unwrap();
        let context = context("p1");
        let first = journal.decide(&decided(RequestId(1), &context)).unwrap();
        let path = file_of(&journal);
        let torn = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        torn.write_all_at(&[0x5a; 40], journal.open.borrow().end).unwrap();
        first.finish(End::Complete);
        journal.flush();
        journal.refuse(&decided(RequestId(2), &context), refused(403, 0, 1)).unwrap();
        assert_eq!(kinds(&path), ["context p1", "decided", "complete", "refused"]);
    }

    #[test]
    fn a_backlog_over_its_bound_stops_service_until_it_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let settings = JournalSettings { max_backlog_bytes: 10, ..JournalSettings::default() };
        let shared = shared(folder.path(), settings);
        let journal = Journal::open(folder.path(), 0, &shared).unwrap();
        let context = context("p1");
        journal.refuse(&decided(RequestId(1), &context), refused(403, 0, 1)).unwrap();
        let error =
            journal.refuse(&decided(RequestId(2), &context), refused(403, 0, 1)).unwrap_err();
        assert!(matches!(error, RecordError::Backlog { .. }), "{error}");
        let segment = Arc::clone(&journal.open.borrow().segment);
        shared.stored(&segment, segment.written());
        journal.refuse(&decided(RequestId(3), &context), refused(403, 0, 1)).unwrap();
    }

    #[test]
    fn a_full_segment_is_left_for_a_new_one_that_names_its_context_again() {
        let folder = tempfile::tempdir().unwrap();
        let settings = JournalSettings { segment_bytes: 300, ..JournalSettings::default() };
        let shared = shared(folder.path(), settings);
        let journal = Journal::open(folder.path(), 0, &shared).unwrap();
        let context = context("p1");
        for id in 1..=10 {
            journal.refuse(&decided(RequestId(id), &context), refused(403, 0, 1)).unwrap();
        }
        let segments = shared.segments();
        assert!(segments.len() > 2, "{}", segments.len());
        assert!(segments.iter().rev().skip(1).all(|segment| segment.is_closed()));
        for segment in &segments {
            assert_eq!(kinds(&segment.path)[0], "context p1");
        }
    }

    #[test]
    fn ids_rise_when_the_clock_goes_back_and_never_repeat_across_threads() {
        let folder = tempfile::tempdir().unwrap();
        let shared = shared(folder.path(), JournalSettings::default());
        let late = shared.next_id(NOW);
        let after_set_back = shared.next_id(UnixMillis(NOW.0 - 3_600_000));
        assert_eq!(after_set_back.0, late.0 + 1);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    (0..1000).map(|_| shared.next_id(NOW)).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut ids: Vec<_> =
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 4000);
    }
}
