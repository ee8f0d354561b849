//! Raises the alarm when the log cannot be written, and before its disk is full.
//!
//! The workers refuse what they cannot record; this thread tells of it: once in the program's own
//! messages when it begins and once when it is over, and in the change log as soon as that can be
//! written, so that the report shows the gap. It looks five times a second, and counts what was
//! refused between two looks, so that no failure is too short to be seen. It also writes down who was held back
//! for guessing passwords, which the workers cannot.

use crate::record::now;
use crate::sign_in::Verifier;
use crate::worker::Stop;
use ledger::changes::{ACTOR_DAEMON, ChangeLog};
use ledger::disk::{Disk, Fullness};
use ledger::journal::{JournalStatus, Shared as Journals};
use rules::change::Event;
use rules::time::UnixMillis;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two looks at the journals.
const REST: Duration = Duration::from_millis(200);
/// How long nothing may have failed until it counts as over: on a full disk one worker may still find
/// room for a record while another finds none.
const QUIET: Duration = Duration::from_secs(1);
/// Between two looks at the disk, and between two tries to write what happened.
const LONG_REST: Duration = Duration::from_secs(2);

/// What the watch knows of the disk, for `/readyz` and the metrics.
#[derive(Debug, Default)]
pub(crate) struct LogWatch {
    disk: Mutex<Option<Disk>>,
}

impl LogWatch {
    /// Starts watching, until everything stops.
    ///
    /// # Errors
    /// [`std::io::Error`] if no thread can be started.
    pub(crate) fn start(
        state: PathBuf,
        (journals, verifier): (Arc<Journals>, Arc<Verifier>),
        stopped: watch::Receiver<Stop>,
    ) -> std::io::Result<(Arc<Self>, JoinHandle<()>)> {
        let watch = Arc::new(Self::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut watching = Watching {
            watch: Arc::clone(&watch),
            state,
            journals,
            verifier,
            outage: None,
            refused: 0,
            fullness: Fullness::Enough,
            disk_looked: None,
            to_write: Vec::new(),
            tried: None,
        };
        watching.look_at_disk();
        let thread = std::thread::Builder::new().name("log-watch".to_owned()).spawn(move || {
            while *stopped.borrow() != Stop::Now && stopped.has_changed().is_ok() {
                runtime.block_on(watching.look());
                std::thread::sleep(REST);
            }
            runtime.block_on(watching.finish());
        })?;
        Ok((watch, thread))
    }

    /// Room on the disk of the state folder; `None`: the file system does not tell.
    pub(crate) fn disk(&self) -> Option<Disk> {
        *self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time without a log.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outage {
    from: UnixMillis,
    /// Requests that had been refused before it.
    refused_before: u64,
    why: String,
    /// Since when nothing fails any more.
    quiet: Option<UnixMillis>,
}

/// What the thread keeps between two looks.
struct Watching {
    watch: Arc<LogWatch>,
    state: PathBuf,
    journals: Arc<Journals>,
    verifier: Arc<Verifier>,
    outage: Option<Outage>,
    /// Requests refused so far, at the last look.
    refused: u64,
    fullness: Fullness,
    disk_looked: Option<Instant>,
    /// What the change log is to hold as soon as it can be written.
    to_write: Vec<Event>,
    tried: Option<Instant>,
}

impl Watching {
    async fn look(&mut self) {
        self.look_at_journals(&self.journals.status(), now());
        self.to_write.extend(self.verifier.take_news());
        if self.disk_looked.is_none_or(|looked| looked.elapsed() >= LONG_REST) {
            self.look_at_disk();
        }
        if self.tried.is_none_or(|tried| tried.elapsed() >= LONG_REST) {
            self.write().await;
        }
    }

    async fn finish(&mut self) {
        let status = self.journals.status();
        self.look_at_journals(&status, now());
        self.end_outage(&status, now());
        self.to_write.extend(self.verifier.take_news());
        self.write().await;
    }

    fn look_at_journals(&mut self, status: &JournalStatus, at: UnixMillis) {
        let over_bound = status.backlog_bytes > status.max_backlog_bytes;
        let failing = status.sync_failing || status.unwritten || over_bound;
        let turned_away = status.refused > self.refused;
        match (&mut self.outage, failing || turned_away) {
            (None, true) => {
                let why = why(status, over_bound);
                tracing::error!(
                    why,
                    "the log cannot be written: browsing is stopped, with 503 log_unavailable"
                );
                let refused_before = self.refused;
                self.outage = Some(Outage { from: at, refused_before, why, quiet: None });
            }
            (Some(outage), true) => outage.quiet = None,
            (Some(outage), false) => {
                let quiet = *outage.quiet.get_or_insert(at);
                // A clock that was set back must not make it last.
                let long = i64::try_from(QUIET.as_millis()).unwrap_or(i64::MAX);
                if at.0 - quiet.0 >= long || at < quiet {
                    self.end_outage(status, quiet);
                }
            }
            (None, false) => {}
        }
        self.refused = status.refused;
        let kept = self.journals.take_set_aside();
        if !kept.is_empty() {
            let name =
                |path: &PathBuf| path.file_name().map(|it| it.to_string_lossy().into_owned());
            self.to_write.push(Event::LogRecovered {
                decisions: 0,
                unknown_ends: 0,
                torn_bytes: 0,
                damaged_bytes: 0,
                set_aside: kept.iter().filter_map(name).collect(),
            });
        }
    }

    fn end_outage(&mut self, status: &JournalStatus, at: UnixMillis) {
        let Some(Outage { from, refused_before, why, .. }) = self.outage.take() else { return };
        let refused = status.refused - refused_before;
        // The clock may have been set back meanwhile.
        let until = UnixMillis(at.0.max(from.0));
        let seconds = (until.0 - from.0) / 1000;
        tracing::warn!(refused, seconds, "the log can be written again: browsing goes on");
        self.to_write.push(Event::LogUnavailable { from, until, refused, why });
    }

    fn look_at_disk(&mut self) {
        self.disk_looked = Some(Instant::now());
        let disk = match Disk::of(&self.state) {
            Ok(disk) => Some(disk),
            Err(error) => {
                if self.watch.disk().is_some() {
                    tracing::warn!(%error, "the file system does not tell how full it is");
                }
                None
            }
        };
        *self.watch.disk.lock().unwrap_or_else(PoisonError::into_inner) = disk;
        let Some(disk) = disk else { return };
        let (fullness, used_percent) = (disk.fullness(), disk.used_percent());
        let free_mib = disk.free_bytes >> 20;
        match fullness {
            _ if fullness <= self.fullness => {}
            Fullness::NearlyFull => {
                tracing::error!(
                    used_percent,
                    free_mib,
                    "the disk of the log is nearly full: when it is full, browsing stops"
                );
            }
            _ => tracing::warn!(used_percent, free_mib, "the disk of the log is filling"),
        }
        self.fullness = fullness;
    }

    /// Writes what happened into the change log. What fails stays, and is tried again.
    async fn write(&mut self) {
        // Not in the middle of an outage: the change log lies on the same disk.
        if self.to_write.is_empty() || self.outage.is_some() {
            return;
        }
        self.tried = Some(Instant::now());
        let log = match ChangeLog::open(&self.state).await {
            Ok(log) => log,
            Err(error) => {
                tracing::error!(%error, "what happened to the log cannot be noted yet");
                return;
            }
        };
        while let Some(event) = self.to_write.first() {
            if let Err(error) = log.append(now(), ACTOR_DAEMON, event.clone()).await {
                tracing::error!(%error, "what happened to the log cannot be noted yet");
                return;
            }
            self.to_write.remove(0);
        }
        self.tried = None;
    }
}

fn why(status: &JournalStatus, over_bound: bool) -> String {
    match &status.last_error {
        _ if over_bound => {
            format!("{} bytes of journal wait to be stored", status.backlog_bytes)
        }
        Some(error) => error.clone(),
        None => "the disk does not finish a sync".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use ledger::journal::JournalSettings;
    use rules::code::RequestId;

    fn watching(state: &std::path::Path) -> Watching {
        let folder = state.join("journal");
        let journals = Journals::open(&folder, JournalSettings::default(), RequestId(0)).unwrap();
        Watching {
            watch: Arc::default(),
            state: state.to_owned(),
            journals,
            verifier: Verifier::start(0, 1).unwrap(),
            outage: None,
            refused: 0,
            fullness: Fullness::Enough,
            disk_looked: None,
            to_write: Vec::new(),
            tried: None,
        }
    }

    fn status(refused: u64, unwritten: bool) -> JournalStatus {
        let last_error = Some("write to journal: no space".to_owned());
        let max_backlog_bytes = 1 << 30;
        JournalStatus { refused, unwritten, last_error, max_backlog_bytes, ..Default::default() }
    }

    #[test]
    fn an_outage_is_noted_once_with_what_it_turned_away_however_short_it_was() {
        let state = tempfile::tempdir().unwrap();
        let mut watching = watching(state.path());
        // Moment, refused so far, whether the last write failed.
        let looks = [
            (0, 0, false),
            (1000, 3, true),
            (1200, 9, true),
            (1400, 9, false),
            // Not over: another worker fails.
            (1600, 10, false),
            (1800, 10, false),
            (2700, 10, false),
            (2800, 10, false),
            (3000, 10, false),
            // Over before the next look: only the count tells.
            (9000, 11, false),
            (9200, 11, false),
            (10_200, 11, false),
            (10_400, 11, false),
        ];
        for (at, refused, unwritten) in looks {
            watching.look_at_journals(&status(refused, unwritten), UnixMillis(at));
        }
        let why = "write to journal: no space".to_owned();
        let outage = |from, until, refused| Event::LogUnavailable {
            from: UnixMillis(from),
            until: UnixMillis(until),
            refused,
            why: why.clone(),
        };
        assert_eq!(watching.to_write, [outage(1000, 1800, 10), outage(9000, 9200, 1)]);
    }

    #[tokio::test]
    async fn what_cannot_be_noted_yet_is_noted_later() {
        let state = tempfile::tempdir().unwrap();
        let mut watching = watching(state.path());
        let in_the_way = ChangeLog::path_in(state.path());
        std::fs::create_dir(&in_the_way).unwrap();
        for (at, unwritten) in [(1, true), (2, false), (2000, false)] {
            watching.look_at_journals(&status(1, unwritten), UnixMillis(at));
        }
        watching.write().await;
        assert_eq!(watching.to_write.len(), 1, "kept");
        std::fs::remove_dir(&in_the_way).unwrap();
        watching.write().await;
        assert_eq!(watching.to_write, []);
        let entries = ChangeLog::open(state.path()).await.unwrap().entries_after(0).await.unwrap();
        assert_eq!(entries.len(), 1);
        assert!(matches!(entries[0].event, Event::LogUnavailable { refused: 1, .. }));
    }

    #[test]
    fn the_disk_is_looked_at_before_anything_is_answered() {
        let state = tempfile::tempdir().unwrap();
        let mut watching = watching(state.path());
        watching.look_at_disk();
        assert!(watching.watch.disk().unwrap().size_bytes > 0);
    }
}
