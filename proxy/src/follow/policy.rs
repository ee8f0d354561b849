//! Follows the policy: the one that the change log says is in force, and the file, which may hold
//! another.
//!
//! What is in force stands in the change log alone. A file that was changed by hand takes effect by
//! itself only where it opens nothing; what opens anything waits until somebody with the role has
//! signed it off, however it came there.

use super::mark::looks;
use super::{Follow, Part, now};
use crate::policy_file::{PolicyFault, PolicyFile, placed, record_first, set_placed};
use crate::snapshot::Snapshot;
use ledger::changes::{ACTOR_DAEMON, AppendError, AppendWithError};
use rules::change::{PolicyFound, policy_file_found};
use rules::policy::{Policy, PolicyDiff};
use rules::unblock::UnblockId;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

/// Most differences that a message names.
const NAMED_LINES: usize = 3;

impl Follow {
    /// Puts the policy into force that the change log says is, where it is another than before: one
    /// that was applied by command, or a held one that was signed off.
    pub(super) async fn follow_in_force(&mut self, forced: bool) -> Result<(), AppendError> {
        let snapshot = self.current.load_full();
        let Some(hash) = snapshot.changes.policy.clone() else { return Ok(()) };
        if hash == *snapshot.policy_hash {
            self.not_in_force = None;
            return Ok(());
        }
        if self.not_in_force.as_ref() == Some(&hash) && !forced {
            return Ok(());
        }
        self.not_in_force = Some(hash.clone());
        let kept = PolicyFile::kept(&self.config.state, &hash, snapshot.policy.catalogue());
        let tested = kept.and_then(|kept| kept.check_tests(&snapshot.index, now()).map(|()| kept));
        match tested {
            Err(fault) => {
                self.refuse(Part::Policy, "put the policy in force", &fault.to_string()).await?;
            }
            Ok(kept) => {
                let files = policy_paths(&self.config.policy, &kept.policy);
                self.swap(snapshot.with_policy(kept, now()));
                self.watch_files(files);
                self.not_in_force = None;
                self.machine.try_again();
                self.settle(Part::Policy, Ok(()));
                tracing::info!(policy = hash, "policy in force");
            }
        }
        // The file is judged by what is in force now.
        self.policy_read.clear();
        Ok(())
    }

    /// Takes in a changed policy file, once it has stood still for one look: an editor may still be
    /// writing it.
    pub(super) async fn follow_policy(&mut self, forced: bool) -> Result<(), AppendError> {
        if !self.policy_is_due(forced) {
            return Ok(());
        }
        let snapshot = self.current.load_full();
        let read = self.read_policy(&snapshot);
        self.take_policy(&snapshot, read).await
    }

    /// Whether the policy is to be read now. What its files look like is kept as what they looked
    /// like *before* the reading: a save that lands during it is then seen at the next look.
    pub(super) fn policy_is_due(&mut self, forced: bool) -> bool {
        let seen = looks(&self.policy_files);
        let still = seen == self.policy_seen;
        self.policy_seen.clone_from(&seen);
        self.policy_moves = !still;
        if !forced && (seen == self.policy_read || !still) {
            return false;
        }
        self.policy_read = seen;
        true
    }

    /// Reads the policy, tests it against the lists in force, and keeps it.
    pub(super) fn read_policy(&self, snapshot: &Snapshot) -> Result<PolicyFile, PolicyFault> {
        let file = PolicyFile::read(&self.config.policy, snapshot.policy.catalogue())?;
        if file.hash != *snapshot.policy_hash {
            file.check_tests(&snapshot.index, now())?;
        }
        file.keep(&self.config.state)?;
        Ok(file)
    }

    /// Judges a policy file that was read, or says what is wrong with it.
    pub(super) async fn take_policy(
        &mut self,
        snapshot: &Snapshot,
        read: Result<PolicyFile, PolicyFault>,
    ) -> Result<(), AppendError> {
        let file = match read {
            Err(PolicyFault::Log(error)) => return Err(error),
            Err(fault) => {
                return self
                    .refuse(Part::Policy, "take in the policy file", &fault.to_string())
                    .await;
            }
            Ok(file) => file,
        };
        self.watch_files(policy_paths(&self.config.policy, &file.policy));
        let is_in_force = file.hash == *snapshot.policy_hash;
        if !is_in_force && placed(&self.config.state).as_deref() == Some(&file.hash) {
            // Nobody has changed it: what is in force now has not been written there yet.
            self.put_in_place(snapshot);
            return Ok(());
        }
        self.judge(snapshot, file).await
    }

    /// Watches these files of the policy. What newly named files looked like before the reading is
    /// not known: all are read once more.
    fn watch_files(&mut self, files: Vec<PathBuf>) {
        if files != self.policy_files {
            self.policy_seen = looks(&files);
            self.policy_files = files;
            self.policy_read.clear();
        }
    }

    /// Writes the policy in force into the policy file, which still holds the one before.
    fn put_in_place(&mut self, snapshot: &Snapshot) {
        let (state, catalogue) = (&self.config.state, snapshot.policy.catalogue());
        let placed = PolicyFile::kept(state, &snapshot.policy_hash, catalogue)
            .and_then(|kept| kept.put_in_place(&self.config));
        self.settle(Part::PolicyFile, placed.map_err(|fault| fault.to_string()));
    }

    /// Compares a policy file with the policy in force. Whatever is recorded is so before anything
    /// takes effect, and while nobody else can write the change log.
    async fn judge(&mut self, snapshot: &Snapshot, file: PolicyFile) -> Result<(), AppendError> {
        let at = now();
        let diff = snapshot.policy.diff(&file.policy, &snapshot.changes.of_levels(at));
        let mut found = PolicyFound::Moved;
        let appended = self.log.append_with(at, |changes| {
            let hashes = (&*snapshot.policy_hash, file.hash.as_str());
            found = policy_file_found(changes, &snapshot.policy, hashes, &diff, at);
            let events = match &found {
                PolicyFound::InForce(events) => events.clone(),
                PolicyFound::Tightens(event) => vec![event.clone()],
                PolicyFound::Waits(_, event) => event.iter().cloned().collect(),
                PolicyFound::Moved | PolicyFound::Answered(..) => Vec::new(),
            };
            let by_daemon = events.into_iter().map(|event| (ACTOR_DAEMON.to_owned(), event));
            Ok::<_, Infallible>(by_daemon.collect())
        });
        match appended.await {
            Ok(_) => {}
            Err(AppendWithError::Log(error)) => return Err(error),
            Err(AppendWithError::Refused(never)) => match never {},
        }
        match found {
            PolicyFound::InForce(_) | PolicyFound::Tightens(_) => {
                let placed = set_placed(&self.config.state, &file.hash);
                self.settle(Part::PolicyFile, placed.map_err(|fault| fault.to_string()));
                if file.hash != *snapshot.policy_hash {
                    self.swap(snapshot.with_policy(file, now()));
                    self.machine.try_again();
                }
                self.settle(Part::Policy, Ok(()));
            }
            // What is in force is taken up first; then the file is looked at again.
            PolicyFound::Moved => self.policy_read.clear(),
            PolicyFound::Waits(id, _) => {
                self.settle(Part::Policy, Ok(()));
                self.settle(Part::PolicyFile, Err(waits_words(id, &diff)));
            }
            PolicyFound::Answered(id, state) => {
                self.settle(Part::Policy, Ok(()));
                let why = format!(
                    "opens more than the policy in force and is not in force: {id} is {}; ask again \
                     with schoolgate policy apply",
                    state.as_str()
                );
                self.settle(Part::PolicyFile, Err(why));
            }
        }
        Ok(())
    }

    /// Records the policy that the filter starts with, if none was ever in force.
    pub(super) async fn record_first_policy(
        &mut self,
        snapshot: &Snapshot,
    ) -> Result<(), AppendError> {
        if snapshot.changes.policy.is_some() {
            return Ok(());
        }
        let recorded = match PolicyFile::read(&self.config.policy, snapshot.policy.catalogue()) {
            Ok(file) if file.hash == *snapshot.policy_hash => {
                record_first(&self.config, &self.log, &file, now()).await
            }
            // It was changed between the loading and now. Recorded is what is in force; it cannot
            // be kept, and the file waits until it is taken for what it is.
            _ => Err(PolicyFault::Read {
                path: self.config.policy.display().to_string(),
                source: std::io::Error::other("changed while the filter was starting"),
            }),
        };
        match recorded {
            Err(PolicyFault::Log(error)) => Err(error),
            done => {
                self.settle(Part::Policy, done.map_err(|fault| fault.to_string()));
                Ok(())
            }
        }
    }
}

/// What waits, and what to do: `opens more than the policy in force; waits as U-0012 (...)`.
fn waits_words(id: UnblockId, diff: &PolicyDiff) -> String {
    let named: Vec<&str> = diff.lines.iter().take(NAMED_LINES).map(String::as_str).collect();
    let more = match diff.lines.len().saturating_sub(NAMED_LINES) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!(
        "opens more than the policy in force, so it waits for sign-off as {id} ({}{more})",
        named.join("; ")
    )
}

/// The policy file, the files it names, and the folders whose lists it names.
pub(super) fn policy_paths(path: &Path, policy: &Policy) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let (files, folders) = (policy.files(), policy.folders());
    let named = files.iter().chain(folders).map(|name| folder.join(name));
    std::iter::once(path.to_owned()).chain(named).collect()
}
