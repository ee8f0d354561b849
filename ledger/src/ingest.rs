//! From journals to day files: the thread that follows them, and recovery after a kill.
//!
//! [`Writer::start`] is what `serve` runs: it takes the state folder's lock, stores what a killed
//! process left, then follows this process's journals. [`recover`] is what a command does first
//! when no daemon runs.

use crate::claims::Claims;
pub use crate::engine::{Damage, IngestError};
use crate::engine::{Engine, Head, Tally};
use crate::folder::make_folder;
use crate::journal::{Journal, JournalSettings, Shared};
use crate::lock::{LockError, StateLock};
use crate::squid::Paths;
use jiff::civil::Date;
use rules::change::{AccessHead, Event};
use rules::code::RequestId;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Niceness of the ingest thread while it keeps up.
const NICENESS: i32 = 10;

/// Longest time until a waiting ingest thread sees that it is to stop.
const STOP_LOOK: Duration = Duration::from_millis(50);

/// Part of the allowed backlog from which storing is as urgent as serving.
const URGENT_PART: u64 = 4;

/// Milliseconds behind from which it is, too: what just happened is to be found in the log.
const URGENT_LAG_MS: u64 = 5000;

/// Longest wait between two failed attempts to store, in milliseconds.
const MAX_RETRY_MS: u64 = 5000;

/// How the access log is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The journals.
    pub journal: JournalSettings,
    /// Milliseconds between two looks at the journals.
    pub poll_interval_ms: u64,
    /// Where lines of Squid's access log are appended, if anywhere.
    pub squid: Paths,
    /// When days are sealed.
    pub seal: crate::seal::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            journal: JournalSettings::default(),
            poll_interval_ms: 50,
            squid: Paths::default(),
            seal: crate::seal::Settings::default(),
        }
    }
}

/// Why the access log cannot be opened.
#[derive(Debug, Error)]
pub enum StartError {
    /// Another writer, or no lock to be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What a killed process left cannot be stored.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// A folder or thread.
    #[error("access log in {path}: {source}; see that the folder can be written")]
    Io {
        /// The state folder.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// What recovery found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The highest id ever given; new ones must be above it.
    pub last_id: RequestId,
    /// Decisions stored now.
    pub decisions: u64,
    /// Accesses whose end nobody will ever tell: ended as [`crate::record::End::Unknown`].
    pub unknown_ends: u64,
    /// Bytes of writes that a kill cut off; their decisions were never acknowledged.
    pub torn_bytes: u64,
    /// What could not be read; the files are kept as `*.damaged` in the journal folder.
    pub damage: Vec<Damage>,
    /// Day files that were no sound databases any more: kept under these names, their days go on in
    /// new files.
    pub set_aside: Vec<PathBuf>,
}

impl Recovered {
    /// What the change log is to say of it; `None` where the last process ended in order.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        let found = self.decisions + self.unknown_ends + self.torn_bytes;
        if found == 0 && self.damage.is_empty() && self.set_aside.is_empty() {
            return None;
        }
        let name = |path: &PathBuf| {
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        Some(Event::LogRecovered {
            decisions: self.decisions,
            unknown_ends: self.unknown_ends,
            torn_bytes: self.torn_bytes,
            damaged_bytes: self.damage.iter().map(|damage| damage.bytes).sum(),
            set_aside: self.set_aside.iter().map(name).collect(),
        })
    }
}

impl Default for Recovered {
    fn default() -> Self {
        let (last_id, damage, set_aside) = (RequestId(0), Vec::new(), Vec::new());
        Self { last_id, decisions: 0, unknown_ends: 0, torn_bytes: 0, damage, set_aside }
    }
}

/// Stores what a killed process left behind, if no daemon runs. `Ok(None)`: one does, and stores
/// by itself. Costs next to nothing when nothing is left.
///
/// Runs in a thread of its own, so that it may be called inside or outside of a runtime.
///
/// # Errors
/// [`StartError`].
pub fn recover(state: &Path) -> Result<Option<Recovered>, StartError> {
    match StateLock::take(state) {
        Ok(lock) => {
            let recovered = recover_locked(state, &Paths::default(), &lock)?;
            Ok(Some(recovered))
        }
        Err(LockError::Held(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// As [`recover`], by who holds the lock.
pub(crate) fn recover_locked(
    state: &Path,
    squid: &Paths,
    _lock: &StateLock,
) -> Result<Recovered, StartError> {
    let failed = |source| StartError::Io { path: state.to_owned(), source };
    for folder in ["journal", "access"] {
        make_folder(&state.join(folder)).map_err(failed)?;
    }
    let (state_folder, squid) = (state.to_owned(), squid.clone());
    let worker = std::thread::Builder::new().name("ledger-recover".into());
    let running = worker.spawn(move || {
        let runtime = runtime()?;
        runtime.block_on(async {
            let mut set_aside = Vec::new();
            loop {
                let done = recover_all(&state_folder, &squid).await;
                match done.as_ref().err().and_then(IngestError::set_damaged_day_aside) {
                    Some(kept) => set_aside.push(kept),
                    None => {
                        let done = done.map(|done| Recovered { set_aside, ..done });
                        return done.map_err(StartError::from);
                    }
                }
            }
        })
    });
    let joined = running.map_err(failed)?.join();
    joined.unwrap_or_else(|_| Err(failed(std::io::Error::other("recovery stopped by a panic"))))
}

fn runtime() -> Result<tokio::runtime::Runtime, StartError> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|source| StartError::Io { path: PathBuf::new(), source })
}

async fn recover_all(state: &Path, squid: &Paths) -> Result<Recovered, IngestError> {
    let mut engine = Engine::new(state, squid, None).await?;
    engine.add_leftovers()?;
    if engine.has_nothing_left() {
        let last_id = engine.last_id().await?;
        return Ok(Recovered { last_id, ..Recovered::default() });
    }
    while !engine.pass().await? {}
    engine.open_newest_days().await?;
    engine.end_unknown().await?;
    engine.remove_finished()?;
    engine.close_days(true).await?;
    let Tally { decisions, unknown_ends, torn_bytes, damage, last_id } = engine.tally;
    if decisions + unknown_ends + torn_bytes > 0 {
        tracing::info!(
            decisions,
            unknown_ends,
            torn_bytes,
            "journals of an earlier process stored"
        );
    }
    let (last_id, set_aside) = (RequestId(last_id), Vec::new());
    Ok(Recovered { last_id, decisions, unknown_ends, torn_bytes, damage, set_aside })
}

/// The head of the access log's tree, once everything that the journals hold is stored, in batches and
/// durable; if no daemon runs. `Ok(None)`: one does, and is the one to ask.
///
/// # Errors
/// [`StartError`].
pub fn durable_head(state: &Path) -> Result<Option<AccessHead>, StartError> {
    let lock = match StateLock::take(state) {
        Ok(lock) => lock,
        Err(LockError::Held(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    recover_locked(state, &Paths::default(), &lock)?;
    let failed = |source| StartError::Io { path: state.to_owned(), source };
    let folder = state.to_owned();
    let worker = std::thread::Builder::new().name("ledger-head".into()).spawn(move || {
        runtime()?.block_on(async {
            let mut engine = Engine::new(&folder, &Paths::default(), None).await?;
            let head = engine.head().await?;
            // Closing syncs everything.
            engine.close_days(true).await?;
            Ok(head.access)
        })
    });
    let joined = worker.map_err(failed)?.join();
    let stopped = || Err(failed(std::io::Error::other("stopped by a panic")));
    joined.unwrap_or_else(|_| stopped()).map(Some)
}

/// Puts what of a day waits for a batch into one, where no daemon runs: `_lock` is held. `false`:
/// something of the day is open.
pub(crate) fn batch_day_locked(
    state: &Path,
    day: Date,
    _lock: &StateLock,
) -> Result<bool, StartError> {
    let failed = |source| StartError::Io { path: state.to_owned(), source };
    let folder = state.to_owned();
    let worker = std::thread::Builder::new().name("ledger-batch".into()).spawn(move || {
        runtime()?.block_on(async {
            let mut engine = Engine::new(&folder, &Paths::default(), None).await?;
            let done = engine.batch_day(day).await?;
            engine.close_days(true).await?;
            Ok(done)
        })
    });
    let joined = worker.map_err(failed)?.join();
    joined.unwrap_or_else(|_| Err(failed(std::io::Error::other("stopped by a panic"))))
}

/// Asks the ingest thread for the head of the access log's tree.
#[derive(Clone, Debug)]
pub struct Heads {
    asking: mpsc::Sender<Asked>,
}

/// What the ingest thread is asked, or told.
#[derive(Debug)]
enum Asked {
    /// Where the tree stands.
    Head(mpsc::SyncSender<Head>),
    /// So many batches are durable.
    Durable(u64),
}

impl Heads {
    /// Everything that is stored by now, in batches and durable: what a checkpoint may cover. Blocks:
    /// until the ingest thread answers, at most for `timeout`, and while files are synced. `None`:
    /// nothing can be stored or synced, or all stops.
    #[must_use]
    pub fn ask(&self, timeout: Duration) -> Option<AccessHead> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.asking.send(Asked::Head(answer)).ok()?;
        let Head { access, files } = answered.recv_timeout(timeout).ok()?;
        for file in &files {
            if let Err(error) = crate::sqlite::sync_files(file) {
                tracing::error!(%error, path = %file.display(), "a day of the access log cannot be synced");
                return None;
            }
        }
        // It may have ended meanwhile: then the next start finds out by itself.
        let _ = self.asking.send(Asked::Durable(access.size));
        Some(access)
    }
}

/// The access log of a running daemon.
#[derive(Debug)]
pub struct Writer {
    state: PathBuf,
    heads: Heads,
    shared: Arc<Shared>,
    recovered: Recovered,
    stopping: Arc<AtomicBool>,
    claims: Arc<Claims>,
    thread: Option<JoinHandle<()>>,
    sealing: Option<JoinHandle<()>>,
    _lock: StateLock,
}

impl Writer {
    /// Takes the lock, recovers, and starts to follow the journals that [`Writer::journal`] opens.
    /// Blocks until recovery is done.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(state: &Path, settings: Settings) -> Result<Self, StartError> {
        let failed = |source| StartError::Io { path: state.to_owned(), source };
        let lock = StateLock::take(state)?;
        let recovered = recover_locked(state, &settings.squid, &lock)?;
        let folder = state.join("journal");
        let shared = Shared::open(&folder, settings.journal, recovered.last_id).map_err(failed)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let (asking, asked) = mpsc::channel();
        let claims = Arc::new(Claims::default());
        let seal = settings.seal;
        let follower = Follower {
            claims: Arc::clone(&claims),
            asked: Mutex::new(asked),
            state: state.to_owned(),
            shared: Arc::clone(&shared),
            stopping: Arc::clone(&stopping),
            settings,
        };
        let worker = std::thread::Builder::new().name("ledger-ingest".into());
        let thread = worker.spawn(move || follower.run_in_turns()).map_err(failed)?;
        let mut writer = Self {
            state: state.to_owned(),
            heads: Heads { asking },
            shared,
            recovered,
            stopping: Arc::clone(&stopping),
            claims: Arc::clone(&claims),
            thread: Some(thread),
            sealing: None,
            _lock: lock,
        };
        writer.sealing = Some(crate::seal::start(state, claims, stopping, seal).map_err(failed)?);
        Ok(writer)
    }

    /// Opens the journal of a worker; call it on the worker's own thread.
    ///
    /// # Errors
    /// [`std::io::Error`] of the file system.
    pub fn journal(&self, worker: u16) -> std::io::Result<std::rc::Rc<Journal>> {
        Journal::open(&self.state.join("journal"), worker, &self.shared)
    }

    /// What the journals share: ids, backlog, status.
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// For who makes checkpoints.
    #[must_use]
    pub fn heads(&self) -> Heads {
        self.heads.clone()
    }

    /// What recovery found at the start.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Stores everything and ends the thread; call it once all journals are dropped. Journals that
    /// still are open stay on disk, for the next start to recover.
    pub fn stop(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.claims.stop();
        if self.sealing.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that seals days stopped by a panic");
        }
        if let Some(thread) = self.thread.take() {
            if thread.join().is_err() {
                tracing::error!("the ingest thread stopped by a panic; the next start recovers");
            }
            self.shared.stop();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The ingest thread.
struct Follower {
    claims: Arc<Claims>,
    state: PathBuf,
    /// Who waits for the head of the tree.
    asked: Mutex<mpsc::Receiver<Asked>>,
    shared: Arc<Shared>,
    stopping: Arc<AtomicBool>,
    settings: Settings,
}

/// Why following ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Stopped,
    /// The backlog calls for the other priority.
    OtherPriority,
}

impl Follower {
    /// Follows at low priority, so that storing adds nothing to a request's latency on a machine
    /// with few processors; at that of the workers while the backlog is long, since one that grew
    /// to its bound would stop service. A thread may lower its priority and never raise it again,
    /// so each turn at low priority has a thread of its own.
    fn run_in_turns(&self) {
        loop {
            let gentle = std::thread::scope(|scope| {
                let thread = std::thread::Builder::new().name("ledger-ingest".into());
                match thread.spawn_scoped(scope, || self.run_gently()) {
                    Ok(turn) => turn.join().unwrap_or(Left::OtherPriority),
                    Err(error) => {
                        tracing::warn!(%error, "no thread for the ingest at low priority");
                        Left::OtherPriority
                    }
                }
            });
            if gentle == Left::Stopped || self.run(false) == Left::Stopped {
                return;
            }
        }
    }

    /// SQLite's own thread is started from this one and inherits the priority.
    fn run_gently(&self) -> Left {
        // On Linux `None` is the calling thread alone.
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::warn!(%error, "the ingest thread keeps the priority of the workers");
        }
        self.run(true)
    }

    /// What was asked since the last turn. What is asked meanwhile waits for the next one: somebody who asks again
    /// at once must not hold up everything else.
    fn asked_by_now(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).try_iter().collect()
    }

    /// Waits, but not much longer than until told to stop.
    fn pause(&self, wait_ms: u64) {
        let began = Instant::now();
        let wait = Duration::from_millis(wait_ms);
        while !self.stopping.load(Ordering::Acquire) && began.elapsed() < wait {
            std::thread::sleep(STOP_LOOK.min(wait));
        }
    }

    /// Whether the backlog calls for the other priority: long or old, or, once urgent, gone.
    fn calls_for_other_priority(&self, gentle: bool, caught_up: bool) -> bool {
        let (shared, most) = (&self.shared, self.shared.settings().max_backlog_bytes);
        match gentle {
            true => shared.backlog_bytes() > most / URGENT_PART || shared.lag_ms() > URGENT_LAG_MS,
            false => caught_up,
        }
    }

    /// Follows, and after a failure (a panic too) starts over from what the files say.
    fn run(&self, gentle: bool) -> Left {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                self.shared.note_error(error.to_string());
                self.pause(MAX_RETRY_MS);
                return match self.stopping.load(Ordering::Acquire) {
                    true => Left::Stopped,
                    false => Left::OtherPriority,
                };
            }
        };
        let mut retry_ms = self.settings.poll_interval_ms.max(1);
        loop {
            let began = Instant::now();
            let followed = catch_unwind(AssertUnwindSafe(|| runtime.block_on(self.follow(gentle))));
            let told = match followed {
                Ok(Ok(left)) => return left,
                Ok(Err(error)) => {
                    if let Some(kept) = error.set_damaged_day_aside() {
                        self.shared.note_set_aside(kept);
                    }
                    error.to_string()
                }
                Err(_) => "access log: the ingest thread met a fault in the program".to_owned(),
            };
            tracing::error!(error = %told, "accesses cannot be stored; the journals keep them");
            self.shared.note_error(told);
            if self.stopping.load(Ordering::Acquire) {
                return Left::Stopped;
            }
            // A failure after a good while is a new one.
            if began.elapsed() > Duration::from_millis(2 * MAX_RETRY_MS) {
                retry_ms = self.settings.poll_interval_ms.max(1);
            }
            self.pause(retry_ms);
            retry_ms = (retry_ms * 2).min(MAX_RETRY_MS);
        }
    }

    /// Follows until told to stop, until the priority is to change, or until something fails.
    async fn follow(&self, gentle: bool) -> Result<Left, IngestError> {
        let claims = Some(Arc::clone(&self.claims));
        let mut engine = Engine::new(&self.state, &self.settings.squid, claims).await?;
        loop {
            let stopping = self.stopping.load(Ordering::Acquire);
            let began_ms = self.shared.elapsed_ms();
            let segments = self.shared.segments();
            let closed = segments.iter().all(|segment| segment.is_closed());
            engine.follow(&segments);
            let caught_up = engine.pass().await?;
            engine.report_stored(&self.shared);
            if caught_up {
                self.shared.caught_up(began_ms);
            }
            engine.note_last_id(&self.shared);
            for id in engine.remove_finished()? {
                self.shared.forget(id);
            }
            engine.close_days(false).await?;
            for asked in self.asked_by_now() {
                match asked {
                    // Who asked may have given up.
                    Asked::Head(waiting) => drop(waiting.try_send(engine.head().await?)),
                    Asked::Durable(size) => engine.head_is_durable(size),
                }
            }
            engine.let_go(caught_up).await?;
            if stopping && caught_up {
                if closed {
                    engine.end_unknown().await?;
                    for id in engine.remove_finished()? {
                        self.shared.forget(id);
                    }
                }
                engine.close_days(true).await?;
                return Ok(Left::Stopped);
            }
            // The next turn starts over from what the files say, as after a kill.
            if !stopping && self.calls_for_other_priority(gentle, caught_up) {
                engine.close_days(true).await?;
                return Ok(Left::OtherPriority);
            }
            if caught_up && !stopping {
                self.pause(self.settings.poll_interval_ms);
            }
        }
    }
}
