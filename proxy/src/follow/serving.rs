//! What the running filter has in force, told to the other commands: `STATE/serving.json`.
//!
//! The change log and the files say what should hold; only the filter itself knows what it decides
//! by. It writes that down whenever it changes.

use super::Follow;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a running filter decides by. Written by the filter, of use only while it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Serving {
    /// The filter's process.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// SHA-256 of the policy in force, as the change log has it.
    pub policy_hash: String,
    /// How many entries of the change log are taken in.
    pub changes: u64,
    /// SHA-256 of the machine file whose lists are in force.
    pub machine_hash: String,
    /// Version of the compiled lists.
    pub list_version: String,
    /// The lists in force.
    pub lists: Vec<ServedList>,
    /// Faults for which something older than the files is in force, by what is at fault.
    pub problems: BTreeMap<String, String>,
    /// Keys of the machine file that were changed and take effect at a restart.
    pub restart: Vec<String>,
    /// When the above last changed, in milliseconds since 1970.
    pub at_ms: i64,
}

/// A list in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedList {
    /// Name.
    pub name: String,
    /// Category.
    pub category: String,
    /// Version.
    pub version: String,
}

impl Serving {
    /// What the filter of a state folder says it has in force; `None`: it does not run, or has not
    /// said anything that can be read.
    #[must_use]
    pub fn read(state: &Path) -> Option<Serving> {
        serde_json::from_slice(&std::fs::read(path(state)).ok()?).ok()
    }

    /// Takes the words of an earlier run away.
    pub(crate) fn remove(state: &Path) {
        // Where there is none, none need be removed; where it cannot be, the next write fails too
        // and is told.
        let _ = std::fs::remove_file(path(state));
    }
}

fn path(state: &Path) -> PathBuf {
    state.join("serving.json")
}

impl Follow {
    /// Writes down what is in force, if that has changed.
    pub(super) fn publish(&mut self) {
        let snapshot = self.current.load();
        let status = super::lock(&self.shared.status).clone();
        let list = |(list, _): (categorizer::index::ListInfo, u64)| ServedList {
            name: list.name,
            category: list.category,
            version: list.version,
        };
        let problems = status.problems.iter().map(|(part, why)| (part.to_string(), why.clone()));
        let mut serving = Serving {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy_hash: snapshot.policy_hash.to_string(),
            changes: self.size,
            machine_hash: self.published.machine_hash.clone(),
            list_version: snapshot.index.version().to_owned(),
            lists: snapshot.index.lists().into_iter().map(list).collect(),
            problems: problems.collect(),
            restart: status.restart,
            at_ms: self.published.at_ms,
        };
        if self.is_published && serving == self.published {
            return;
        }
        serving.at_ms = super::now().0;
        let written =
            serde_json::to_vec_pretty(&serving).map_err(std::io::Error::other).and_then(|json| {
                // Readers see the old or the new; what a power cut loses is written again.
                crate::lists::replace_file(&path(&self.config.state), |path| {
                    std::fs::write(path, &json)
                })
            });
        match written {
            Ok(()) => self.unwritable = false,
            Err(error) if !self.unwritable => {
                self.unwritable = true;
                tracing::warn!(%error, "cannot write down what is in force; status may be wrong");
            }
            Err(_) => {}
        }
        self.is_published = !self.unwritable;
        self.published = serving;
    }
}
