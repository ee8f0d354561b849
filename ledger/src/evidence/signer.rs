//! Making checkpoints.
//!
//! A checkpoint is signed over the change log as it stands, and only if it goes on from the last one:
//! a log that was set back or altered gets no signature that would make it look whole. What was signed
//! over is kept as `STATE/audit/changes.tree`, so that `verify` can name the entry that was altered. The
//! entries are read again for each checkpoint: opening the log reads and checks them all anyway, and
//! a year of them takes a tenth of a second. (The accesses are not: see `access` beside this.)

use super::key::{Key, KeyError};
use super::note::{Checkpoint, NoteFault};
use super::places::{append, checkpoints, last};
use super::row::Hash;
use super::tree::{FileTree, MemoryTree, Tree};
use crate::changes::{ACTOR_DAEMON, AppendError, ChangeLog};
use rules::change::Event;
use rules::time::UnixMillis;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The change log's tree in the audit folder.
pub(crate) const TREE: &str = "changes.tree";

/// Why there is no checkpoint.
#[derive(Debug, Error)]
pub enum SignError {
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The change log.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// A file of the audit folder.
    #[error("audit {path}: {source}; see that the state folder can be written")]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The log does not go on from its last checkpoint.
    #[error(
        "the change log does not go on from its checkpoint of {size} entries: {why}; nothing is signed; \
         see schoolgate audit verify"
    )]
    NotTheSame {
        /// Size of the last checkpoint.
        size: u64,
        /// What does not fit.
        why: String,
    },
    /// The note.
    #[error("a checkpoint cannot be signed: {0}")]
    Note(#[from] NoteFault),
}

/// Signs checkpoints of one state folder.
#[derive(Debug)]
pub struct Signer {
    state: PathBuf,
    audit: PathBuf,
    key: Key,
}

/// A checkpoint that was signed and kept.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note.
    pub note: String,
}

impl Signer {
    /// Opens the key of a state folder, or makes it and says so in the change log. `origin` is the name
    /// of the machine file, if it has one; `school` is where another comes from.
    ///
    /// # Errors
    /// [`SignError`].
    pub async fn open(
        state: &Path,
        log: &ChangeLog,
        origin: Option<&str>,
        school: &str,
        at: UnixMillis,
    ) -> Result<Self, SignError> {
        let audit = super::folder(state);
        let (key, made) = Key::open(&audit, origin, school)?;
        if made {
            let event = Event::AuditKeyMade { key: key.public().to_owned() };
            log.append(at, ACTOR_DAEMON, event).await?;
        }
        Ok(Self { state: state.to_owned(), audit, key })
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Appends `event` and signs a checkpoint that covers it.
    ///
    /// # Errors
    /// [`SignError`]; the event may stand in the log then.
    pub async fn sign(
        &self,
        log: &ChangeLog,
        at: UnixMillis,
        actor: &str,
        event: Event,
    ) -> Result<Signed, SignError> {
        let _lock = self.lock()?;
        // Before anything is added: a log that was set back must not grow over what it lost.
        let mut tree = self.tree(log).await?;
        let entry = log.append(at, actor, event).await?;
        let size = entry.sequence + 1;
        let path = self.audit.join(TREE);
        let failed = |source| SignError::Io { path: path.clone(), source };
        let from = tree.size();
        let leaves = log.leaves_after(from).await?;
        let leaves = leaves.get(..(size - from) as usize).unwrap_or(&leaves);
        tree.extend(leaves).and_then(|()| tree.sync()).map_err(failed)?;
        let root = tree.root_at(size).map_err(failed)?;
        let checkpoint = Checkpoint { origin: self.key.origin().to_owned(), size, root };
        let note = checkpoint.sign(&self.key)?;
        let path = checkpoints(&self.state);
        append(&path, &[&note]).map_err(|source| SignError::Io { path, source })?;
        Ok(Signed { checkpoint, note })
    }

    /// One signs at a time.
    fn lock(&self) -> Result<File, SignError> {
        let path = self.audit.join("lock");
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        file.and_then(|file| file.lock().map(|()| file))
            .map_err(|source| SignError::Io { path, source })
    }

    /// The tree as it was signed last, checked against that checkpoint. Made again from the log where it
    /// is missing or does not fit, if the log then fits.
    async fn tree(&self, log: &ChangeLog) -> Result<FileTree, SignError> {
        let path = self.audit.join(TREE);
        let failed = |source| SignError::Io { path: path.clone(), source };
        let mut tree = FileTree::open(&path).map_err(failed)?;
        let before = last(&self.state)
            .map_err(|source| SignError::Io { path: checkpoints(&self.state), source })?;
        let entries = log.size().await?;
        let Some((before, _)) = before else {
            tree.truncate(0).map_err(failed)?;
            return Ok(tree);
        };
        let size = before.size;
        if entries < size {
            let why = format!("the log has {entries}");
            return Err(SignError::NotTheSame { size, why });
        }
        tree.truncate(size).map_err(failed)?;
        let leaves = log.leaves_after(0).await?;
        let leaves = leaves.get(..size as usize).unwrap_or(&leaves);
        let same = |(index, leaf): (u64, &Hash)| tree.leaf(index).is_ok_and(|kept| kept == *leaf);
        if fits(&tree, &before) && (0..).zip(leaves).all(same) {
            return Ok(tree);
        }
        // Where the entries do not fit, the file stays: it tells which of them were altered.
        let made = MemoryTree::of(leaves.iter().copied()).map_err(failed)?;
        if made.root_at(size).is_ok_and(|root| root == before.root) {
            tree.truncate(0).and_then(|()| tree.extend(leaves)).map_err(failed)?;
            tracing::warn!("the tree of the change log was made again from its entries");
            return Ok(tree);
        }
        let why = "an entry before it was altered".to_owned();
        Err(SignError::NotTheSame { size, why })
    }
}

fn fits(tree: &FileTree, checkpoint: &Checkpoint) -> bool {
    tree.root_at(checkpoint.size).is_ok_and(|root: Hash| root == checkpoint.root)
}

#[cfg(test)]
#[path = "signer_tests.rs"]
mod tests;
