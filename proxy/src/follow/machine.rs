//! Follows the machine file: its lists come into force while the filter runs, and every other key
//! that was changed is told as one that waits for a restart.
//!
//! Lists change as one: the new index is made and tested beside the one in force, what the change
//! takes away is recorded, and only then are index, policy and configuration swapped together. What
//! must first be downloaded comes later, and until it is there nothing is taken away for it.

use super::mark::looks;
use super::{Follow, Part, now};
use crate::config::{Config, ListOrigin, ListSource};
use crate::lists::{ACTOR_MACHINE_FILE, Gate, ListError, Lists, catalogue};
use crate::policy_file::PolicyFile;
use crate::snapshot::Snapshot;
use categorizer::index::Index;
use ledger::changes::{AppendError, ChangeLog};
use rules::category::Catalogue;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Between two tries to put the lists of the machine file into force, in milliseconds: a file that it
/// names may come later than its entry.
const RETRY_MS: u64 = 5_000;

/// What is known of the machine file between two looks.
pub(super) struct Machine {
    /// The file; `None`: the one inside the program, which cannot change.
    file: Option<PathBuf>,
    /// The configuration of the start, by which everything but the lists holds.
    started: Arc<Config>,
    seen: String,
    read: String,
    /// Whether the file was seen to change and is still to be read.
    pub(super) moves: bool,
    /// The lists that the file asks for, until they are in force.
    wanted: Option<Arc<Config>>,
    /// Something has changed since the last try.
    due: bool,
    tried: Option<Instant>,
    task: Option<JoinHandle<Result<Prepared, String>>>,
}

/// Lists that are ready to come into force.
struct Prepared {
    /// What was asked for when this was begun.
    wanted: Arc<Config>,
    /// The configuration with these lists.
    config: Arc<Config>,
    /// The policy by the categories of these lists; `None`: they are the same as before.
    policy: Option<PolicyFile>,
    /// The policy that was in force when this was begun.
    policy_hash: Arc<str>,
    index: Index,
    /// Lists that must first be downloaded.
    lacking: Vec<String>,
    /// Lists whose address is new.
    to_look_at: Vec<String>,
    /// Whether these are all that was asked for; otherwise downloads come first.
    whole: bool,
}

impl Machine {
    pub(super) fn new(config: &Arc<Config>) -> Self {
        Self {
            file: config.file.clone(),
            started: Arc::clone(config),
            seen: String::new(),
            // The daemon read the file before this thread began: it is read once more.
            read: String::new(),
            moves: false,
            wanted: None,
            due: false,
            tried: None,
            task: None,
        }
    }

    /// A list or the policy has changed: what could not come into force before may now.
    pub(super) fn try_again(&mut self) {
        self.due = self.wanted.is_some();
    }

    fn is_due(&self) -> bool {
        let waited = self.tried.is_none_or(|at| at.elapsed() >= Duration::from_millis(RETRY_MS));
        self.wanted.is_some() && self.task.is_none() && (self.due || waited)
    }
}

impl Follow {
    /// Reads a changed machine file and puts its lists into force.
    pub(super) async fn follow_machine(&mut self, forced: bool) -> Result<(), AppendError> {
        self.finish_machine().await?;
        if let Some(file) = self.machine.file.clone() {
            let seen = looks(std::slice::from_ref(&file));
            let still = seen == self.machine.seen;
            self.machine.seen.clone_from(&seen);
            self.machine.moves = !still;
            if forced || (still && seen != self.machine.read) {
                // As with the policy: what the file looked like before the reading.
                self.machine.read = seen;
                match Config::load(Some(&file)) {
                    Ok(config) => self.want(config),
                    Err(error) => self.refuse_machine(&error.to_string()).await?,
                }
            }
        }
        if self.machine.is_due() {
            self.start_machine();
        }
        Ok(())
    }

    /// Notes what a good file asks for.
    fn want(&mut self, file: Config) {
        let mut restart = self.machine.started.differences(&file);
        // Each command reads these for itself: they hold as soon as the file is saved.
        restart.retain(|key| !key.starts_with("accounts."));
        self.tell_restart(restart);
        if file.lists == self.config.lists {
            self.machine.wanted = None;
            self.published.machine_hash.clone_from(&file.hash);
            return self.settle(Part::Machine, Ok(()));
        }
        let wanted =
            Config { lists: file.lists, hash: file.hash, ..(*self.machine.started).clone() };
        self.machine.wanted = Some(Arc::new(wanted));
        self.machine.due = true;
    }

    fn start_machine(&mut self) {
        let Some(wanted) = self.machine.wanted.clone() else { return };
        self.machine.due = false;
        self.machine.tried = Some(Instant::now());
        let (old, log) = (Arc::clone(&self.config), Arc::clone(&self.log));
        let snapshot = self.current.load_full();
        self.machine.task = Some(tokio::spawn(prepare(old, wanted, snapshot, log)));
    }

    /// Puts lists that are ready into force, unless something has changed in the meantime.
    async fn finish_machine(&mut self) -> Result<(), AppendError> {
        let Some(task) = self.machine.task.take_if(|task| task.is_finished()) else {
            return Ok(());
        };
        let prepared =
            task.await.unwrap_or_else(|panic| Err(format!("reading the lists failed: {panic}")));
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(why) => return self.refuse_machine(&why).await,
        };
        let snapshot = self.current.load_full();
        let is_wanted = |wanted: &Arc<Config>| Arc::ptr_eq(wanted, &prepared.wanted);
        if snapshot.policy_hash != prepared.policy_hash
            || !self.machine.wanted.as_ref().is_some_and(is_wanted)
        {
            self.machine.try_again();
            return Ok(());
        }
        let index = Arc::new(prepared.index);
        let policy = prepared.policy.as_ref().map_or(&*snapshot.policy, |file| &file.policy);
        let failures = policy.run_tests(&|host, path| index.categories(host, path), now());
        if let Some(first) = failures.first() {
            let failing = failures.len();
            let why = format!("{failing} policy tests fail with its lists: {}", first.text);
            return self.refuse_machine(&why).await;
        }
        // What is taken away is recorded before it is gone.
        if let Err(error) = self.record_moves(&prepared.config).await {
            return self.refuse_machine(&error.to_string()).await;
        }
        if index.version() != snapshot.index.version() || prepared.policy.is_some() {
            let with_policy = match prepared.policy {
                Some(file) => snapshot.with_policy(file, now()),
                None => (*snapshot).clone(),
            };
            self.swap(with_policy.with_index(index, now()));
        }
        if prepared.config.lists != self.config.lists {
            // An index made by the categories of before is not used.
            if let Some(task) = self.index_task.take() {
                task.abort();
            }
            self.lists_changed = true;
            tracing::info!(
                lists = prepared.config.lists.len(),
                "lists of the machine file in force"
            );
        }
        self.config = prepared.config;
        self.forget_lists_gone();
        self.tell_list_ages().await;
        self.look_now.extend(prepared.to_look_at);
        if prepared.whole {
            self.machine.wanted = None;
            self.published.machine_hash.clone_from(&prepared.wanted.hash);
            self.settle(Part::Machine, Ok(()));
        } else {
            let why = format!(
                "waiting for a download ({}); until then the lists that it takes away stay in force",
                prepared.lacking.join(", ")
            );
            self.settle(Part::Machine, Err(why));
        }
        Ok(())
    }

    /// A fault of a list that is not in the machine file any more is none.
    pub(super) fn forget_lists_gone(&self) {
        let lists = &self.config.lists;
        let is_there = |name: &String| lists.iter().any(|list| list.name == *name);
        super::lock(&self.shared.status)
            .problems
            .retain(|part, _| !matches!(part, Part::List(name) if !is_there(name)));
    }

    /// Records and tells the lists that this configuration takes out of force or puts elsewhere.
    pub(super) async fn record_moves(&self, config: &Config) -> Result<(), ListError> {
        let lists = Lists::new(config, &self.log);
        for told in lists.record_moves(ACTOR_MACHINE_FILE, now()).await? {
            tracing::warn!("{told}");
        }
        Ok(())
    }

    async fn refuse_machine(&mut self, why: &str) -> Result<(), AppendError> {
        let told = super::lock(&self.shared.status).problems.get(&Part::Machine).cloned();
        if told.as_deref() == Some(why) {
            return Ok(());
        }
        self.refuse(Part::Machine, "take in the machine file", why).await
    }

    /// Says which keys wait for a restart, once for each set of them.
    fn tell_restart(&self, keys: Vec<String>) {
        let mut status = super::lock(&self.shared.status);
        if status.restart == keys {
            return;
        }
        if keys.is_empty() {
            tracing::info!("the machine file asks for no restart any more");
        } else {
            tracing::warn!(
                keys = keys.join(", "),
                "changed in the machine file; takes effect at a restart of the filter"
            );
        }
        status.restart = keys;
    }
}

/// Makes the index of the lists that are wanted, beside the one in force.
async fn prepare(
    old: Arc<Config>,
    wanted: Arc<Config>,
    snapshot: Arc<Snapshot>,
    log: Arc<ChangeLog>,
) -> Result<Prepared, String> {
    let told = |error: ListError| error.to_string();
    let lacking = Lists::new(&wanted, &log).not_downloaded().await.map_err(told)?;
    let taken_away = old.lists.iter().any(|list| !is_among(list, &wanted.lists));
    let whole = lacking.is_empty() || !taken_away;
    let config = if whole { Arc::clone(&wanted) } else { Arc::new(both(&old, &wanted)) };
    let catalogue = catalogue(&config).map_err(told)?;
    let policy = policy_by(&catalogue, &snapshot, &config)?;
    let judge = policy
        .as_ref()
        .map_or_else(|| Arc::clone(&snapshot.policy), |file| Arc::new(file.policy.clone()));
    let current = Some((judge, Arc::clone(&snapshot.index)));
    let gate = Gate { current, ..Gate::default() };
    let lists = Lists::new(&config, &log);
    let index = lists.index_of_local(&catalogue, now(), &gate).await.map_err(told)?;
    // A path that is new or another is due by itself; an address has its hours, but not the first time.
    let is_new =
        |list: &&ListSource| matches!(list.origin, ListOrigin::Url(_)) && !old.lists.contains(list);
    let to_look_at = config.lists.iter().filter(is_new).map(|list| list.name.clone()).collect();
    let policy_hash = Arc::clone(&snapshot.policy_hash);
    Ok(Prepared { wanted, config, policy, policy_hash, index, lacking, to_look_at, whole })
}

/// Whether a list of this name and category is there.
fn is_among(list: &ListSource, lists: &[ListSource]) -> bool {
    lists.iter().any(|other| other.name == list.name && other.category == list.category)
}

/// The lists of the new file that take nothing away, and those of the old one that it leaves out.
fn both(old: &Config, new: &Config) -> Config {
    let is_old = |list: &ListSource| old.lists.iter().any(|other| other.name == list.name);
    let added = new.lists.iter().filter(|list| is_among(list, &old.lists) || !is_old(list));
    let mut lists: Vec<_> = added.cloned().collect();
    let kept = old.lists.iter().filter(|list| !is_among(list, &new.lists));
    lists.extend(kept.cloned());
    Config { lists, ..new.clone() }
}

/// The policy in force by other categories; `None`: the categories are those that it was read by.
fn policy_by(
    catalogue: &Catalogue,
    snapshot: &Snapshot,
    config: &Config,
) -> Result<Option<PolicyFile>, String> {
    let names = |catalogue: &Catalogue| -> Vec<String> {
        catalogue.iter().map(|(_, category)| category.name.clone()).collect()
    };
    if names(catalogue) == names(snapshot.policy.catalogue()) {
        return Ok(None);
    }
    let fits =
        |fault: &dyn std::fmt::Display| format!("the policy does not fit its lists: {fault}");
    match PolicyFile::kept(&config.state, &snapshot.policy_hash, catalogue) {
        Ok(file) => Ok(Some(file)),
        Err(fault) => match PolicyFile::read(&config.policy, catalogue) {
            Ok(file) if file.hash == *snapshot.policy_hash => Ok(Some(file)),
            _ => Err(fits(&fault)),
        },
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
