//! Keeps the snapshot current while the filter runs.
//!
//! One thread looks five times a second whether the change log, the policy file or (less often) a
//! list's source has changed, makes a new snapshot of what did, and swaps it in. So a change by the
//! command line is live within a second and costs no worker anything. What is bad never replaces
//! what is good: the fault is told in the log, in `/readyz` and, once, in the change log.

mod alarm;
mod machine;
mod mark;
mod policy;
mod serving;

pub use serving::{ServedList, Serving};

use crate::config::Config;
use crate::lists::{Gate, Lists, Outcome, catalogue};
use crate::snapshot::{Current, Snapshot, read_texts};
use categorizer::index::Index;
use ledger::changes::{ACTOR_DAEMON, AppendError, ChangeLog, Stamp};
use machine::Machine;
use mark::looks;
use policy::policy_paths;
use rules::change::Event;
use rules::time::UnixMillis;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

/// Between two looks at the change log and the policy file, in milliseconds.
const POLL_MS: u64 = 200;
/// How long a changed policy file must have stood still to be read, in milliseconds.
const STILL_MS: u64 = 50;
/// Between two looks at the lists' sources, in milliseconds.
const LIST_POLL_MS: u64 = 2_000;
/// A follower that has not looked for so long is stuck, in milliseconds.
const STUCK_MS: u64 = 10_000;
/// Niceness of the threads that read and compile lists: requests go first.
const LIST_NICENESS: i32 = 10;

/// A part of the state that can be at fault by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The change log or the users.
    Log,
    /// The policy: its file is bad, or the one in force by the change log cannot be put into force.
    Policy,
    /// The policy file is good, and is not in force: it waits for sign-off.
    PolicyFile,
    /// The machine file.
    Machine,
    /// All lists: compiling, or tests that fail with them.
    Lists,
    /// One list.
    List(String),
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Log => f.write_str("log"),
            Part::Policy => f.write_str("policy"),
            Part::PolicyFile => f.write_str("policy file"),
            Part::Machine => f.write_str("machine file"),
            Part::Lists => f.write_str("lists"),
            Part::List(name) => write!(f, "list {name}"),
        }
    }
}

/// What the follower knows, for `/readyz` and the metrics.
#[derive(Clone, Debug, Default)]
pub struct FollowStatus {
    /// What is wrong now; what was good before is still in force.
    pub problems: BTreeMap<Part, String>,
    /// Snapshots swapped in since the start.
    pub swaps: u64,
    /// Reloads refused since the start.
    pub refused: u64,
    /// Each list with the time at which its source was last known to be current.
    pub lists: Vec<(String, Option<UnixMillis>)>,
    /// Keys of the machine file that were changed and take effect at a restart.
    pub restart: Vec<String>,
    /// Whether the follower runs and has looked lately.
    pub following: bool,
}

/// The running follower. Dropped, it stops.
pub struct Follower {
    shared: Arc<Shared>,
    ticks: watch::Receiver<u64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    status: Mutex<FollowStatus>,
    looked: Mutex<Instant>,
    reload: Notify,
    stop: AtomicBool,
}

impl Follower {
    /// Starts following from the snapshot in `current`. The policy in force is recorded in the change
    /// log first, if no entry says that it took effect.
    ///
    /// # Errors
    /// [`std::io::Error`] if no thread can be started.
    pub fn start(config: Arc<Config>, current: Current) -> std::io::Result<Follower> {
        let (sender, ticks) = watch::channel(0);
        let shared = Arc::new(Shared {
            status: Mutex::default(),
            looked: Mutex::new(Instant::now()),
            reload: Notify::new(),
            stop: AtomicBool::new(false),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Lists are read and compiled one at a time; more threads would only wait.
            .max_blocking_threads(2)
            .thread_name("schoolgate-list")
            .on_thread_start(|| {
                // On Linux `None` is the calling thread alone.
                if let Err(error) = rustix::process::setpriority_process(None, LIST_NICENESS) {
                    tracing::warn!(%error, "lists are compiled at the priority of the workers");
                }
            })
            .build()?;
        let state = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("schoolgate-follow".to_owned()).spawn(move || {
                runtime.block_on(run(config, current, state, sender));
                // A list being read must not delay the end of the program; it is read again next time.
                runtime.shutdown_background();
            })?;
        Ok(Follower { shared, ticks, thread: Some(thread) })
    }

    /// Counts up with each swapped snapshot: who re-decides open exchanges waits on it.
    #[must_use]
    pub fn ticks(&self) -> watch::Receiver<u64> {
        self.ticks.clone()
    }

    /// Looks at everything now, and reads policy, page words and lists from disk again (SIGHUP).
    pub fn reload_now(&self) {
        self.shared.reload.notify_one();
    }

    /// What is wrong, if anything.
    #[must_use]
    pub fn status(&self) -> FollowStatus {
        let mut status = lock(&self.shared.status).clone();
        let running = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        let looked = *lock(&self.shared.looked);
        status.following = running && looked.elapsed() < Duration::from_millis(STUCK_MS);
        status
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.reload.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by its own hook already.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds now.
#[must_use]
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(since.as_millis() as i64)
}

async fn run(
    config: Arc<Config>,
    current: Current,
    shared: Arc<Shared>,
    ticks: watch::Sender<u64>,
) {
    let mut follow = loop {
        match Follow::new(&config, &current, &shared, &ticks).await {
            Ok(follow) => break follow,
            Err(error) => {
                tracing::error!(%error, "cannot follow changes; trying again");
                lock(&shared.status).problems.insert(Part::Log, error.to_string());
                tokio::time::sleep(Duration::from_millis(POLL_MS * 5)).await;
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    };
    loop {
        let moves = follow.policy_moves || follow.machine.moves;
        let wait = if moves { STILL_MS } else { POLL_MS };
        let forced = tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait)) => false,
            () = shared.reload.notified() => true,
        };
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        follow.look(forced).await;
        *lock(&shared.looked) = Instant::now();
    }
}

type Updated = Vec<(String, Result<Outcome, String>)>;

/// What the thread keeps between two looks.
struct Follow {
    config: Arc<Config>,
    current: Current,
    shared: Arc<Shared>,
    ticks: watch::Sender<u64>,
    log: Arc<ChangeLog>,
    stamp: Option<Stamp>,
    /// Entries of the change log that the snapshot holds.
    size: u64,
    /// Files of the policy as last read, and what they looked like; and what they look like since.
    policy_files: Vec<PathBuf>,
    policy_read: String,
    policy_seen: String,
    /// Whether the policy file was seen to change and is still to be read.
    policy_moves: bool,
    /// The policy in force by the change log that could not be put into force here.
    not_in_force: Option<String>,
    /// Faults that stand in the change log already.
    recorded: HashSet<String>,
    lists_changed: bool,
    index_task: Option<JoinHandle<Result<Index, String>>>,
    update_task: Option<JoinHandle<Result<Updated, String>>>,
    lists_looked: Option<Instant>,
    /// What was due at the last look: a file that is still being written is due anew each time.
    due: Option<String>,
    /// Lists to look at whether they are due or not.
    look_now: Vec<String>,
    machine: Machine,
    /// What the other commands were told last.
    published: Serving,
    is_published: bool,
    unwritable: bool,
}

impl Follow {
    async fn new(
        config: &Arc<Config>,
        current: &Current,
        shared: &Arc<Shared>,
        ticks: &watch::Sender<u64>,
    ) -> Result<Follow, AppendError> {
        let log = Arc::new(ChangeLog::open(&config.state).await?);
        let snapshot = current.load_full();
        let policy_files = policy_paths(&config.policy, &snapshot.policy);
        // The daemon read these before this thread began; a change in between shows as one, since
        // a policy of another hash is then found.
        let policy_seen = looks(&policy_files);
        alarm::raise_standing(&snapshot.changes);
        let mut follow = Follow {
            config: Arc::clone(config),
            current: Arc::clone(current),
            shared: Arc::clone(shared),
            ticks: ticks.clone(),
            log,
            stamp: None,
            size: snapshot.changes.size,
            policy_files,
            policy_read: String::new(),
            policy_seen,
            policy_moves: false,
            not_in_force: None,
            recorded: HashSet::new(),
            lists_changed: false,
            index_task: None,
            update_task: None,
            lists_looked: None,
            due: None,
            look_now: Vec::new(),
            machine: Machine::new(config),
            published: Serving { machine_hash: config.hash.clone(), ..Serving::default() },
            is_published: false,
            unwritable: false,
        };
        follow.record_first_policy(&snapshot).await?;
        if let Err(error) = follow.record_moves(config).await {
            follow.settle(Part::Lists, Err(error.to_string()));
        }
        follow.tell_list_ages().await;
        follow.publish();
        Ok(follow)
    }

    async fn look(&mut self, forced: bool) {
        let outcome = self.follow_log().await.map_err(|error| error.to_string());
        // What a log that cannot be read last said is in force may be older than what is.
        let followed = outcome.is_ok();
        self.settle(Part::Log, outcome);
        if followed && let Err(error) = self.follow_in_force(forced).await {
            self.settle(Part::Log, Err(error.to_string()));
        }
        if let Err(error) = self.follow_policy(forced).await {
            self.settle(Part::Log, Err(error.to_string()));
        }
        if let Err(error) = self.follow_machine(forced).await {
            self.settle(Part::Log, Err(error.to_string()));
        }
        self.follow_lists(forced).await;
        if forced {
            let texts = Arc::new(read_texts(&self.config));
            let snapshot = self.current.load_full();
            self.swap(Snapshot { texts, ..(*snapshot).clone() });
        }
        self.publish();
    }

    /// Takes in new entries of the change log.
    async fn follow_log(&mut self) -> Result<(), ledger::users::UserError> {
        // The mark is taken before reading: what is written in between is read next time.
        let stamp = self.log.stamp().await?;
        if self.stamp == Some(stamp) {
            return Ok(());
        }
        let entries = self.log.entries_after(self.size).await?;
        alarm::raise(&entries);
        let decisive = |event: &Event| !alarm::concerns_no_decision(event);
        if let Some(last) = entries.last()
            && entries.iter().any(|entry| decisive(&entry.event))
        {
            let is_user = |event: &Event| {
                matches!(
                    event,
                    Event::UserChanged { .. }
                        | Event::UserBanned { .. }
                        | Event::UserRemoved { .. }
                )
            };
            let is_list = |event: &Event| {
                matches!(event, Event::ListAccepted { .. } | Event::ListRolledBack { .. })
            };
            let is_held = |event: &Event| matches!(event, Event::ListHeld { .. });
            let users = match entries.iter().any(|entry| is_user(&entry.event)) {
                true => Some(Arc::new(self.log.users().load_all().await?)),
                false => None,
            };
            let mut changes = (*self.current.load().changes).clone();
            entries.iter().for_each(|entry| changes.fold(entry));
            self.lists_changed |= entries.iter().any(|entry| is_list(&entry.event));
            if entries.iter().any(|entry| is_list(&entry.event) || is_held(&entry.event)) {
                self.machine.try_again();
            }
            self.size = last.sequence + 1;
            let snapshot = self.current.load_full();
            self.swap(snapshot.with_changes(changes, users, now()));
        } else if let Some(last) = entries.last() {
            self.size = last.sequence + 1;
        }
        self.stamp = Some(stamp);
        Ok(())
    }

    async fn follow_lists(&mut self, forced: bool) {
        self.finish_update().await;
        self.finish_index().await;
        let wait = Duration::from_millis(LIST_POLL_MS);
        if self.update_task.is_none()
            && (forced || self.lists_looked.is_none_or(|at| at.elapsed() >= wait))
        {
            self.lists_looked = Some(Instant::now());
            let lists = Lists::new(&self.config, &self.log);
            let due = lists.due_mark(now());
            if due.is_some() && (forced || due == self.due) {
                self.start_update(Vec::new());
            }
            self.due = due;
        }
        if self.update_task.is_none() && !self.look_now.is_empty() {
            let names = std::mem::take(&mut self.look_now);
            let there = |name: &String| self.config.lists.iter().any(|list| list.name == *name);
            self.start_update(names.into_iter().filter(there).collect());
        }
        if self.lists_changed && self.index_task.is_none() {
            self.lists_changed = false;
            self.start_index();
        }
    }

    /// Looks at these lists (none named: at what is due) in the background.
    fn start_update(&mut self, names: Vec<String>) {
        let (config, log) = (Arc::clone(&self.config), Arc::clone(&self.log));
        let snapshot = self.current.load_full();
        self.update_task = Some(tokio::spawn(async move {
            let at = now();
            let seen = crate::lists::seen_last_week(&config, &snapshot, at).await;
            let gate = Gate::new(&snapshot, seen);
            let lists = Lists::new(&config, &log);
            let done = match names.is_empty() {
                true => lists.update_due(at, &gate).await,
                false => lists.update(&names, ACTOR_DAEMON, at, &gate).await,
            };
            let told = |(name, outcome): (String, Result<Outcome, _>)| {
                (name, outcome.map_err(|error: crate::lists::ListError| error.to_string()))
            };
            done.map(|done| done.into_iter().map(told).collect()).map_err(|error| error.to_string())
        }));
    }

    async fn finish_update(&mut self) {
        let Some(task) = self.update_task.take_if(|task| task.is_finished()) else { return };
        match task.await.unwrap_or_else(|panic| Err(format!("updating the lists failed: {panic}")))
        {
            Err(why) => self.settle(Part::Lists, Err(why)),
            Ok(done) => {
                for (name, outcome) in done {
                    match &outcome {
                        Ok(Outcome::Held { why, .. }) => {
                            tracing::warn!(list = name, why, "list held")
                        }
                        Ok(Outcome::Accepted { version, entries, .. }) => {
                            tracing::info!(list = name, version, entries, "list accepted");
                        }
                        _ => {}
                    }
                    self.settle(Part::List(name), outcome.map(|_| ()));
                }
            }
        }
        self.forget_lists_gone();
        self.tell_list_ages().await;
    }

    fn start_index(&mut self) {
        let (config, log) = (Arc::clone(&self.config), Arc::clone(&self.log));
        self.index_task = Some(tokio::spawn(async move {
            let catalogue = catalogue(&config).map_err(|error| error.to_string())?;
            let index = Lists::new(&config, &log).index(&catalogue, now()).await;
            index.map_err(|error| error.to_string())
        }));
    }

    async fn finish_index(&mut self) {
        let Some(task) = self.index_task.take_if(|task| task.is_finished()) else { return };
        let index =
            task.await.unwrap_or_else(|panic| Err(format!("compiling the lists failed: {panic}")));
        let snapshot = self.current.load_full();
        let index = match index {
            Ok(index) if index.version() == snapshot.index.version() => {
                return self.settle(Part::Lists, Ok(()));
            }
            Ok(index) => Arc::new(index),
            Err(why) => return self.settle(Part::Lists, Err(why)),
        };
        // The version was tested before it was accepted; the policy may have changed since.
        let failures = snapshot.policy.run_tests(&|host, path| index.categories(host, path), now());
        match failures.first() {
            None => {
                self.swap(snapshot.with_index(index, now()));
                self.settle(Part::Lists, Ok(()));
            }
            Some(first) => {
                let why = format!(
                    "{} policy tests fail with the new lists: {}",
                    failures.len(),
                    first.text
                );
                if let Err(error) = self.refuse(Part::Lists, "take in the new lists", &why).await {
                    self.settle(Part::Log, Err(error.to_string()));
                }
            }
        }
    }

    async fn tell_list_ages(&self) {
        if let Ok(lists) = Lists::new(&self.config, &self.log).status().await {
            let ages = lists.into_iter().map(|list| (list.source.name, list.looked_at)).collect();
            lock(&self.shared.status).lists = ages;
        }
    }

    fn swap(&self, snapshot: Snapshot) {
        // Where a policy has no words of its own any more, nobody may have needed the shipped ones until now.
        snapshot.themes.make_ready();
        self.current.store(Arc::new(snapshot));
        lock(&self.shared.status).swaps += 1;
        self.ticks.send_modify(|ticks| *ticks += 1);
    }

    /// Tells a fault in the program's log when it comes and when it goes, not five times a second.
    fn settle(&self, part: Part, outcome: Result<(), String>) {
        let mut status = lock(&self.shared.status);
        match outcome {
            Ok(()) => {
                if status.problems.remove(&part).is_some() {
                    tracing::info!(%part, "in order again");
                }
            }
            Err(why) => {
                if status.problems.get(&part) != Some(&why) {
                    tracing::warn!(%part, why, "what was in force stays so");
                    status.problems.insert(part, why);
                }
            }
        }
    }

    /// A reload that was refused: told, counted, and recorded once for each distinct fault.
    async fn refuse(&mut self, part: Part, action: &str, why: &str) -> Result<(), AppendError> {
        self.settle(part, Err(why.to_owned()));
        lock(&self.shared.status).refused += 1;
        if self.recorded.insert(why.to_owned()) {
            let event = Event::ActionRefused { action: action.to_owned(), why: why.to_owned() };
            self.log.append(now(), ACTOR_DAEMON, event).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
