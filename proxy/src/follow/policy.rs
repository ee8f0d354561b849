//! Follows the policy file and the files that it names.

use super::mark::looks;
use super::{Follow, Part, now};
use crate::policy_file::{PolicyFault, PolicyFile, last_applied};
use crate::snapshot::Snapshot;
use ledger::changes::{ACTOR_DAEMON, AppendError};
use rules::change::Event;
use std::path::{Path, PathBuf};

impl Follow {
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
        file.check_tests(&snapshot.index, now())?;
        file.keep(&self.config.state)?;
        Ok(file)
    }

    /// Puts a policy that was read into force, or says why it is not.
    pub(super) async fn take_policy(
        &mut self,
        snapshot: &Snapshot,
        read: Result<PolicyFile, PolicyFault>,
    ) -> Result<(), AppendError> {
        match read {
            Err(PolicyFault::Log(error)) => return Err(error),
            Err(fault) => {
                self.refuse(Part::Policy, "take in the policy file", &fault.to_string()).await?
            }
            Ok(file) => {
                let files = policy_paths(&self.config.policy, &file.policy.files());
                if files != self.policy_files {
                    // What newly named files looked like before the reading is not known: all are
                    // read once more.
                    self.policy_seen = looks(&files);
                    self.policy_files = files;
                    self.policy_read.clear();
                }
                if file.hash != *snapshot.policy_hash {
                    self.record_policy(snapshot, &file).await?;
                    self.swap(snapshot.with_policy(file, now()));
                    self.machine.try_again();
                }
                self.settle(Part::Policy, Ok(()));
            }
        }
        Ok(())
    }

    /// Records a policy before it takes effect, unless `policy apply` has.
    async fn record_policy(&self, old: &Snapshot, new: &PolicyFile) -> Result<(), AppendError> {
        if last_applied(&self.log).await?.as_ref() == Some(&new.hash) {
            return Ok(());
        }
        let event = Event::PolicyApplied {
            hash: new.hash.clone(),
            reason: "file changed".to_owned(),
            summary: old.policy.diff(&new.policy).lines,
        };
        self.log.append(now(), ACTOR_DAEMON, event).await.map(|_| ())
    }

    /// Records the policy that the filter starts with, if no entry says that it took effect.
    pub(super) async fn record_first_policy(
        &mut self,
        snapshot: &Snapshot,
    ) -> Result<(), AppendError> {
        let last = last_applied(&self.log).await?;
        if last.as_deref() == Some(&*snapshot.policy_hash) {
            return Ok(());
        }
        let reason =
            if last.is_some() { "file changed while the filter was off" } else { "first policy" };
        let event = Event::PolicyApplied {
            hash: snapshot.policy_hash.to_string(),
            reason: reason.to_owned(),
            summary: Vec::new(),
        };
        self.log.append(now(), ACTOR_DAEMON, event).await?;
        if let Ok(file) = PolicyFile::read(&self.config.policy, snapshot.policy.catalogue())
            && file.hash == *snapshot.policy_hash
        {
            self.settle(Part::Policy, file.keep(&self.config.state).map_err(|e| e.to_string()));
        }
        Ok(())
    }
}

/// The policy file and those it names.
pub(super) fn policy_paths(policy: &Path, files: &[String]) -> Vec<PathBuf> {
    let folder = policy.parent().unwrap_or(Path::new(""));
    let named = files.iter().map(|file| folder.join(file));
    std::iter::once(policy.to_owned()).chain(named).collect()
}
