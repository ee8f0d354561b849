//! What of an earlier policy's changes still holds by the policy that took its place: another one comes into
//! force whole, and mostly says the same again.

use crate::failure::Failure;
use crate::in_force::short;
use crate::output::visible;
use crate::school::School;
use proxy::policy_file::PolicyFile;
use proxy::snapshot::Snapshot;
use rules::change::{RequestKind, UnblockHistory};
use rules::policy::LevelChanges;
use std::collections::HashSet;

/// An earlier policy's changes, held against the policy in force.
pub(crate) struct Since {
    /// Hash of the policy in force.
    policy: String,
    /// Changes that hold by it too.
    holds: Vec<String>,
    /// Changes that do not.
    gone: Vec<String>,
}

impl Since {
    /// Of a request for a policy that was in force and that another has replaced; `None` for any other
    /// request, and where the policy that it was compared with cannot be read any more.
    pub(crate) fn of(
        school: &School,
        snapshot: &Snapshot,
        history: &UnblockHistory,
    ) -> Option<Self> {
        let RequestKind::Policy(what) = &history.kind else { return None };
        history.applied.as_ref().and(history.overtaken)?;
        let policy = &snapshot.policy;
        let base = PolicyFile::kept(&school.config.state, &what.base, policy.catalogue()).ok()?;
        // Whether a line opens anything depends on levels; what it says does not.
        let lines: HashSet<String> =
            base.policy.diff(policy, &LevelChanges::default()).lines.into_iter().collect();
        let (holds, gone) = what.summary.iter().cloned().partition(|line| lines.contains(line));
        Some(Self { policy: snapshot.policy_hash.to_string(), holds, gone })
    }

    /// Prints it below the request.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        say!(
            "  since   another policy is in force ({}); of these changes",
            visible(short(&self.policy))
        );
        for (word, lines) in [("holds", &self.holds), ("gone", &self.gone)] {
            for line in lines {
                say!("    {word:<6}{}", visible(line));
            }
        }
        Ok(())
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({ "policy": self.policy, "holds": self.holds, "gone": self.gone })
    }
}
