//! When days are sealed: by a thread of the daemon at the lowest priority, or by a command.

use super::{SealError, Sealed, Settings, remove_written, seal_part, waiting};
use crate::claims::Claims;
use crate::ingest::recover_locked;
use crate::lock::{DaysLock, Hold, LockError, StateLock};
use crate::parts::{Part, parts, parts_of};
use jiff::civil::Date;
use rules::time::UnixMillis;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Longest time until the thread sees that it is to stop.
const STOP_LOOK: Duration = Duration::from_millis(50);

/// Time between two looks for days that a command asked for.
const ASKED_LOOK: Duration = Duration::from_secs(1);

/// How long the ingest may take to let a day go.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time after a failure until the same day is tried again.
const RETRY: Duration = Duration::from_secs(3600);

/// The thread's own view.
struct Sealer {
    state: PathBuf,
    folder: PathBuf,
    claims: Arc<Claims>,
    stopping: Arc<AtomicBool>,
    settings: Settings,
    failed: HashMap<(Date, u32), Instant>,
}

/// Starts the thread. It ends soon after `stopping` is set.
pub(crate) fn start(
    state: &Path,
    claims: Arc<Claims>,
    stopping: Arc<AtomicBool>,
    settings: Settings,
) -> std::io::Result<JoinHandle<()>> {
    let (folder, failed) = (state.join("access"), HashMap::new());
    let mut sealer = Sealer { state: state.to_owned(), folder, claims, stopping, settings, failed };
    std::thread::Builder::new().name("ledger-seal".into()).spawn(move || sealer.run())
}

impl Sealer {
    fn run(&mut self) {
        // On Linux `None` is the calling thread alone; SQLite's own thread inherits it.
        if let Err(error) = rustix::process::setpriority_process(None, self.settings.niceness) {
            tracing::warn!(%error, "the thread that seals days keeps its priority");
        }
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(%error, "days are not sealed until the next start");
                return;
            }
        };
        let interval = Duration::from_millis(self.settings.look_interval_ms);
        let mut looked = Instant::now();
        while self.pause(ASKED_LOOK.min(interval)) {
            let asked = asked(&self.folder);
            let due = looked.elapsed() >= interval;
            if due {
                looked = Instant::now();
            }
            if due || !asked.is_empty() {
                runtime.block_on(self.look(due, &asked));
            }
            for day in asked {
                let _ = std::fs::remove_file(asked_path(&self.folder, day));
            }
        }
    }

    /// Waits. `false`: the thread is to stop.
    fn pause(&self, wait: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < wait {
            if self.stopping.load(Ordering::Acquire) {
                return false;
            }
            std::thread::sleep(STOP_LOOK.min(wait));
        }
        true
    }

    async fn look(&mut self, due: bool, asked: &[Date]) {
        match DaysLock::try_take(&self.folder, Hold::Alone) {
            Ok(Some(_lock)) => {
                if let Err(error) = finish_started(&self.folder).await {
                    tracing::error!(%error, "a sealed day's first file cannot be removed");
                }
            }
            // Records are being erased, or the ingest has an older day open: the next look does it. What is
            // to be sealed is asked for all the same, as the ingest lets a day go for it.
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the lock of the days cannot be had"),
        }
        let grace = Duration::from_millis(self.settings.grace_ms);
        let due = if due { self.waiting(grace).await } else { Vec::new() };
        let mut wanted = self.waiting(Duration::ZERO).await;
        wanted.retain(|part| {
            let failed = self.failed.get(&(part.day, part.number));
            asked.contains(&part.day)
                || due.contains(part) && failed.is_none_or(|failed| failed.elapsed() >= RETRY)
        });
        for part in wanted {
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            self.seal(part).await;
        }
    }

    async fn waiting(&self, grace: Duration) -> Vec<Part> {
        waiting(&self.state, now(), grace).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the folder of the access log cannot be read");
            Vec::new()
        })
    }

    async fn seal(&mut self, part: Part) {
        let day = part.day;
        // Something of the day is still open, as a tunnel that lasts: the next look tries again.
        let (asked, stopping) = (Instant::now(), Arc::clone(&self.stopping));
        let stopping = || stopping.load(Ordering::Acquire);
        let give_up = || stopping() || asked.elapsed() >= PATIENCE;
        let Some(claim) = self.claims.claim(day, give_up) else { return };
        let mut stop = || stopping() || claim.is_recalled();
        // Only now: the ingest may have had the day open with the lock. Without it the next look tries again.
        let Ok(Some(_lock)) = DaysLock::try_take(&self.folder, Hold::Alone) else { return };
        // Rows of it may have been erased since the look.
        if !self.waiting(Duration::ZERO).await.contains(&part) {
            return;
        }
        match seal_part(&self.folder, part, &mut stop).await {
            Ok(sealed) => {
                self.failed.remove(&(day, part.number));
                let (rows, bytes) = (sealed.rows, sealed.sealed_bytes);
                let took_ms = sealed.took.as_millis() as u64;
                tracing::info!(%day, rows, bytes, took_ms, "a day of the access log is sealed");
            }
            Err(SealError::Stopped) => {}
            Err(error) => {
                self.failed.insert((day, part.number), Instant::now());
                tracing::error!(%error, %day, "a day of the access log cannot be sealed; it stays as it is");
            }
        }
    }
}

/// Takes away what a kill in the last step of sealing left.
async fn finish_started(folder: &Path) -> Result<(), SealError> {
    let io = |source| SealError::Io { path: folder.to_owned(), source };
    for done in parts(folder).map_err(io)?.into_iter().filter(|part| part.sealed) {
        remove_written(folder, Part { sealed: false, ..done }, done).await?;
    }
    Ok(())
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn asked_path(folder: &Path, day: Date) -> PathBuf {
    folder.join(format!("seal-{day}.asked"))
}

fn asked(folder: &Path) -> Vec<Date> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let day = |name: &str| name.strip_prefix("seal-")?.strip_suffix(".asked")?.parse().ok();
    names.filter_map(|entry| day(entry.file_name().to_str()?)).collect()
}

/// Seals days that are over by `now`, or the one that is named, where no daemon runs; what a killed
/// one left is stored first. `stop` is asked between any two steps and every few thousand rows; `told`
/// hears of each part that is done. `Ok(None)`: a daemon runs, and can be asked by [`ask_daemon`].
///
/// # Errors
/// [`SealError`] of the first day that cannot be sealed.
pub async fn seal_days(
    state: &Path,
    day: Option<Date>,
    now: UnixMillis,
    mut stop: impl FnMut() -> bool,
    mut told: impl FnMut(&Sealed),
) -> Result<Option<()>, SealError> {
    let lock = match StateLock::take(state) {
        Ok(lock) => lock,
        Err(LockError::Held(_)) => return Ok(None),
        Err(error) => return Err(crate::ingest::StartError::from(error).into()),
    };
    recover_locked(state, &crate::squid::Paths::default(), &lock)?;
    let folder = state.join("access");
    let io = |source| SealError::Io { path: folder.clone(), source };
    let take = || match DaysLock::try_take(&folder, Hold::Alone) {
        Ok(lock) => lock.ok_or(SealError::Busy),
        Err(source) => Err(io(source)),
    };
    {
        let _lock = take()?;
        finish_started(&folder).await?;
    }
    for part in waiting(state, now, Duration::ZERO).await.map_err(io)? {
        if day.is_none_or(|day| day == part.day) {
            let path = part.database(&folder);
            let waits = crate::sqlite::waits_for_batch(&path).await;
            if waits.map_err(|source| SealError::Store { path, source })? {
                crate::ingest::batch_day_locked(state, part.day, &lock)?;
            }
            let _lock = take()?;
            told(&seal_part(&folder, part, &mut stop).await?);
        }
    }
    Ok(Some(()))
}

/// Asks the daemon of a state folder to seal a day, and waits until it has tried, at most for
/// `patience`. `true`: the day is sealed.
///
/// # Errors
/// [`SealError::Io`].
pub async fn ask_daemon(state: &Path, day: Date, patience: Duration) -> Result<bool, SealError> {
    let folder = state.join("access");
    let io = |source| SealError::Io { path: folder.clone(), source };
    let path = asked_path(&folder, day);
    crate::folder::make_private_file(&path).map_err(io)?;
    let began = Instant::now();
    while path.exists() && began.elapsed() < patience {
        tokio::time::sleep(STOP_LOOK).await;
    }
    Ok(parts_of(&folder, day).map_err(io)?.iter().all(|part| part.sealed))
}
