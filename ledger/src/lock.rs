//! One writer per state folder.

use crate::folder::make_folder;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Held by the process that writes the access log; let go when dropped or when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

impl Drop for StateLock {
    /// Closing alone lets go only once a child that is just being started has closed its copy.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Why the lock cannot be had.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process writes here.
    #[error("{0} is in use by another `schoolgate serve`; stop it, or set another `state` folder")]
    Held(PathBuf),
    /// The file system.
    #[error("lock {path}: {source}; see that the folder exists and can be written")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

impl StateLock {
    /// Takes `STATE/serve.lock`, making the folder (for its owner only) where it is missing.
    ///
    /// # Errors
    /// [`LockError::Held`] at once when another process has it; [`LockError::Io`].
    pub fn take(state: &Path) -> Result<Self, LockError> {
        let path = state.join("serve.lock");
        let failed = |source| LockError::Io { path: path.clone(), source };
        make_folder(state).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(state.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_refused_until_the_first_lets_go() {
        let state = tempfile::tempdir().unwrap();
        let first = StateLock::take(state.path()).unwrap();
        let refused = StateLock::take(state.path()).unwrap_err();
        assert!(matches!(refused, LockError::Held(_)), "{refused}");
        drop(first);
        StateLock::take(state.path()).unwrap();
    }
}
