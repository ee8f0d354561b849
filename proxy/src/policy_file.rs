//! The policy on disk: read with the files it names, tested against the lists, hashed, kept, put
//! into place.

use crate::config::Config;
use categorizer::index::Index;
use ledger::changes::{AppendError, ChangeLog};
use rules::category::Catalogue;
use rules::change::{ChangeEntry, Event};
use rules::policy::{Policy, PolicyError, TestFailure};
use rules::time::UnixMillis;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use thiserror::Error;

/// Most bytes of a policy file or of one that it names: a device or a log given by mistake must
/// not fill the memory.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// A policy that was read and understood.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// The policy.
    pub policy: Policy,
    /// Its text.
    pub text: String,
    /// SHA-256 in hex of the text alone, or, where it names files, of the text followed by each
    /// file's name and content: `sha256sum policy.toml` gives it for a policy in one file.
    pub hash: String,
    /// The files it names, as written, with their content.
    pub files: BTreeMap<String, String>,
}

/// Why a policy cannot take effect. What was in force stays so.
#[derive(Debug, Error)]
pub enum PolicyFault {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// What the file says: every fault with its line.
    #[error("{}", .0.iter().map(|fault| format!("{fault}\n  fix: {}", fault.fix)).collect::<Vec<_>>().join("\n"))]
    Policy(Vec<PolicyError>),
    /// `[[test]]` cases fail with the lists in force.
    #[error("{} of {total} policy tests failed; nothing applied\n  {}", .failures.len(), .failures.iter().map(|failure| failure.text.as_str()).collect::<Vec<_>>().join("\n  "))]
    Tests {
        /// The cases that fail.
        failures: Vec<TestFailure>,
        /// How many there are.
        total: usize,
    },
    /// The state folder cannot be written.
    #[error("{path}: {source}; check that this user may write it")]
    Store {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// The change log.
    #[error(transparent)]
    Log(#[from] AppendError),
}

impl PolicyFile {
    /// Reads a policy and the files that it names, which lie beside it.
    ///
    /// # Errors
    /// [`PolicyFault::Read`], [`PolicyFault::Policy`].
    pub fn read(path: &Path, catalogue: &Catalogue) -> Result<PolicyFile, PolicyFault> {
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::read_beside(path, folder, catalogue)
    }

    /// As [`PolicyFile::read`] for a draft that lies elsewhere: the files it names are those beside
    /// the policy in `folder`.
    ///
    /// # Errors
    /// As [`PolicyFile::read`].
    pub fn read_beside(
        path: &Path,
        folder: &Path,
        catalogue: &Catalogue,
    ) -> Result<PolicyFile, PolicyFault> {
        let text = read_text(path)
            .map_err(|source| PolicyFault::Read { path: path.display().to_string(), source })?;
        let name =
            path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self::parse(text, &name, folder, catalogue)
    }

    /// As [`PolicyFile::read_beside`] for a draft that is in no file, such as one on standard input;
    /// `name` stands for the file's in messages.
    ///
    /// # Errors
    /// As [`PolicyFile::read`].
    pub fn read_stream(
        input: impl Read,
        name: &str,
        folder: &Path,
        catalogue: &Catalogue,
    ) -> Result<PolicyFile, PolicyFault> {
        let mut text = String::new();
        let read = input.take(MAX_FILE_BYTES + 1).read_to_string(&mut text);
        let bounded = read.and_then(|length| match length as u64 > MAX_FILE_BYTES {
            true => Err(std::io::Error::other("is larger than 16 MiB")),
            false => Ok(()),
        });
        bounded.map_err(|source| PolicyFault::Read { path: name.to_owned(), source })?;
        Self::parse(text, name, folder, catalogue)
    }

    fn parse(
        text: String,
        name: &str,
        folder: &Path,
        catalogue: &Catalogue,
    ) -> Result<PolicyFile, PolicyFault> {
        let files = RefCell::new(BTreeMap::new());
        let read = |file: &str| {
            let content = read_text(&folder.join(file)).map_err(|e| e.to_string())?;
            files.borrow_mut().insert(file.to_owned(), content.clone());
            Ok(content)
        };
        let policy =
            Policy::parse(&text, name, catalogue.clone(), &read).map_err(PolicyFault::Policy)?;
        let files = files.into_inner();
        Ok(PolicyFile { policy, hash: hash(&text, &files), text, files })
    }

    /// Runs the `[[test]]` cases against the lists.
    ///
    /// # Errors
    /// [`PolicyFault::Tests`].
    pub fn check_tests(&self, index: &Index, now: UnixMillis) -> Result<(), PolicyFault> {
        let failures = self.policy.run_tests(&|host, path| index.categories(host, path), now);
        if failures.is_empty() {
            return Ok(());
        }
        Err(PolicyFault::Tests { failures, total: self.policy.test_count() })
    }

    /// Keeps the policy as `STATE/policy/HASH.toml`, and the files that it names as one JSON object
    /// beside it: every policy that took effect can be looked up, and served again.
    ///
    /// # Errors
    /// [`PolicyFault::Store`].
    pub fn keep(&self, state: &Path) -> Result<(), PolicyFault> {
        let folder = state.join("policy");
        let path = folder.join(format!("{}.toml", self.hash));
        let failed = |source| PolicyFault::Store { path: path.display().to_string(), source };
        if path.is_file() {
            return Ok(());
        }
        crate::lists::make_folder(&folder).map_err(failed)?;
        let write = |path: &Path, bytes: &[u8]| {
            crate::lists::replace_file(path, |path| crate::lists::write_synced(path, bytes))
        };
        let files =
            serde_json::to_vec(&self.files).map_err(std::io::Error::other).map_err(failed)?;
        write(&folder.join(format!("{}.files.json", self.hash)), &files).map_err(failed)?;
        write(&path, self.text.as_bytes()).map_err(failed)
    }

    /// The policy of this hash as [`PolicyFile::keep`] kept it.
    ///
    /// # Errors
    /// [`PolicyFault::Read`] where it was not kept or was changed since; [`PolicyFault::Policy`]
    /// where it no longer fits the machine's lists.
    pub fn kept(
        state: &Path,
        hash: &str,
        catalogue: &Catalogue,
    ) -> Result<PolicyFile, PolicyFault> {
        let path = state.join("policy").join(format!("{hash}.toml"));
        let unreadable = |source| PolicyFault::Read { path: path.display().to_string(), source };
        let text = read_text(&path).map_err(unreadable)?;
        let files =
            read_text(&path.with_file_name(format!("{hash}.files.json"))).map_err(unreadable)?;
        let files: BTreeMap<String, String> =
            serde_json::from_str(&files).map_err(std::io::Error::other).map_err(unreadable)?;
        if self::hash(&text, &files) != hash {
            return Err(unreadable(std::io::Error::other("is not what was kept")));
        }
        let read = |file: &str| files.get(file).cloned().ok_or_else(|| "was not kept".to_owned());
        let policy = Policy::parse(&text, "policy.toml", catalogue.clone(), &read)
            .map_err(PolicyFault::Policy)?;
        Ok(PolicyFile { policy, hash: hash.to_owned(), text, files })
    }

    /// Puts the policy into place for a person: keeps the text, records the change, then replaces
    /// the policy file. In this order a crash leaves a recorded change that is not in place yet, and
    /// never one in place that is not recorded.
    ///
    /// # Errors
    /// [`PolicyFault`].
    pub async fn apply(
        &self,
        config: &Config,
        log: &ChangeLog,
        by: &str,
        reason: &str,
        summary: Vec<String>,
        now: UnixMillis,
    ) -> Result<ChangeEntry, PolicyFault> {
        self.keep(&config.state)?;
        let event =
            Event::PolicyApplied { hash: self.hash.clone(), reason: reason.to_owned(), summary };
        let entry = log.append(now, by, event).await?;
        crate::lists::replace_file(&config.policy, |path| {
            crate::lists::write_synced(path, self.text.as_bytes())?;
            // The new file is as readable as the old one was.
            match std::fs::metadata(&config.policy) {
                Ok(old) => std::fs::set_permissions(path, old.permissions()),
                Err(_) => Ok(()),
            }
        })
        .map_err(|source| PolicyFault::Store {
            path: config.policy.display().to_string(),
            source,
        })?;
        Ok(entry)
    }
}

/// The hash of the policy that the change log says was put into force last.
///
/// # Errors
/// [`AppendError`].
pub async fn last_applied(log: &ChangeLog) -> Result<Option<String>, AppendError> {
    let entries = log.entries_of(&["policy_applied"]).await?;
    Ok(entries.into_iter().rev().find_map(|entry| match entry.event {
        Event::PolicyApplied { hash, .. } => Some(hash),
        _ => None,
    }))
}

fn hash(text: &str, files: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    hash.update(text);
    for (name, content) in files {
        hash.update([0]);
        hash.update(name);
        hash.update([0]);
        hash.update(content);
    }
    crate::lists::hex(&hash.finalize())
}

fn read_text(path: &Path) -> std::io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("is no plain file"));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(std::io::Error::other("is larger than 16 MiB"));
    }
    std::fs::read_to_string(path)
}
