//! One writer per state folder, and one at a time who puts another file in the place of a day's.

use crate::folder::make_folder;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
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

/// Held while files of older days are replaced, as sealing and erasing do, or, shared, while the ingest has
/// one of them open. Let go when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DaysLock {
    file: File,
}

/// How it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// To replace files of days.
    Alone,
    /// To write to one of an older day.
    Shared,
}

impl Drop for DaysLock {
    /// As [`StateLock`].
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl DaysLock {
    /// Takes `STATE/days.lock`, beside the folder of days. `Ok(None)`: somebody else has it just now.
    pub(crate) fn try_take(access: &Path, hold: Hold) -> std::io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(access.with_file_name("days.lock"))?;
        let taken = match hold {
            Hold::Alone => file.try_lock(),
            Hold::Shared => file.try_lock_shared(),
        };
        match taken {
            Ok(()) => Ok(Some(Self { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// As [`DaysLock::try_take`]; waits until `give_up`.
    pub(crate) async fn take(
        access: &Path,
        hold: Hold,
        mut give_up: impl FnMut() -> bool,
    ) -> std::io::Result<Option<Self>> {
        loop {
            match Self::try_take(access, hold)? {
                None if !give_up() => tokio::time::sleep(LOOK).await,
                taken => return Ok(taken),
            }
        }
    }
}

/// Time between two tries.
const LOOK: Duration = Duration::from_millis(20);

/// Time for which who holds the lock for long lets go of it now and then, so that others come in.
pub(crate) const TURN: Duration = Duration::from_millis(60);

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

    #[test]
    fn days_are_replaced_by_one_at_a_time_and_not_while_one_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let take = |hold| DaysLock::try_take(&folder.path().join("access"), hold).unwrap();
        let (one, other) = (take(Hold::Shared), take(Hold::Shared));
        assert!(one.is_some() && other.is_some() && take(Hold::Alone).is_none());
        drop((one, other));
        let alone = take(Hold::Alone);
        assert!(alone.is_some() && take(Hold::Alone).is_none() && take(Hold::Shared).is_none());
        drop(alone);
        assert!(take(Hold::Shared).is_some());
    }
}
