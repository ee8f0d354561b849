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

/// Held while files of older days are replaced, as sealing and erasing do, or, shared, by whom that would
/// disturb: the ingest while it has an older day open, `audit verify`, a backup, a look at what would be erased.
/// Days of about today are opened without it, as nobody replaces these ([`crate::parts::is_of_today`]). Let go
/// when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DaysLock {
    file: File,
}

/// How it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// To replace files of days.
    Alone,
    /// So that nobody else does meanwhile: to write to one of an older day, or to read many.
    Shared,
}

/// What whoever only reads days comes by.
#[derive(Debug)]
pub(crate) enum ToRead {
    /// Nobody replaces files of days as long as it is held.
    Held(DaysLock),
    /// There is nobody to be kept out: no daemon and no command ever was here, or none can write here.
    NoLock,
    /// Somebody else went on replacing files of days.
    Busy,
}

impl Drop for DaysLock {
    /// As [`StateLock`].
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl DaysLock {
    /// `STATE/days.lock`, beside the folder of days.
    pub(crate) fn path(access: &Path) -> PathBuf {
        access.with_file_name("days.lock")
    }

    /// Makes the file, for its owner alone, where it is missing: who only reads does not, and goes without.
    pub(crate) fn make(access: &Path) -> std::io::Result<()> {
        Self::open(access).map(drop)
    }

    fn open(access: &Path) -> std::io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.open(Self::path(access))
    }

    /// Takes the lock. `Ok(None)`: somebody else has it just now.
    pub(crate) fn try_take(access: &Path, hold: Hold) -> std::io::Result<Option<Self>> {
        Self::lock(Self::open(access)?, hold)
    }

    fn lock(file: File, hold: Hold) -> std::io::Result<Option<Self>> {
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

    /// Takes it, shared, to read days; waits until `give_up`. The file is neither made nor written to: it may
    /// be another account's, and the folder on a medium that cannot be written.
    ///
    /// # Errors
    /// [`std::io::Error`]: whether somebody replaces files of days cannot be known.
    pub(crate) async fn take_to_read(
        access: &Path,
        mut give_up: impl FnMut() -> bool,
    ) -> std::io::Result<ToRead> {
        use std::io::ErrorKind::{NotFound, ReadOnlyFilesystem};
        loop {
            let file = File::open(Self::path(access));
            match file.and_then(|file| Self::lock(file, Hold::Shared)) {
                Ok(Some(lock)) => return Ok(ToRead::Held(lock)),
                Ok(None) if give_up() => return Ok(ToRead::Busy),
                Ok(None) => tokio::time::sleep(LOOK).await,
                Err(error) if matches!(error.kind(), NotFound | ReadOnlyFilesystem) => {
                    return Ok(ToRead::NoLock);
                }
                Err(error) => return Err(error),
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

    #[tokio::test]
    async fn who_reads_days_goes_without_the_lock_only_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let access = folder.path().join("access");
        let read = async || DaysLock::take_to_read(&access, || true).await;
        assert!(matches!(read().await.unwrap(), ToRead::NoLock));
        assert!(!DaysLock::path(&access).exists(), "reading makes no file");
        DaysLock::make(&access).unwrap();
        let mode = std::fs::metadata(DaysLock::path(&access)).unwrap().permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
        let (one, other) = (read().await.unwrap(), read().await.unwrap());
        assert!(matches!((&one, &other), (ToRead::Held(_), ToRead::Held(_))));
        assert!(DaysLock::try_take(&access, Hold::Alone).unwrap().is_none());
        drop((one, other));
        let alone = DaysLock::try_take(&access, Hold::Alone).unwrap();
        assert!(matches!(read().await.unwrap(), ToRead::Busy));
        drop(alone);
        // A lock that cannot be had is no proof that nobody has it.
        std::fs::remove_file(DaysLock::path(&access)).unwrap();
        std::os::unix::fs::symlink("days.lock", DaysLock::path(&access)).unwrap();
        assert!(read().await.is_err());
    }
}
