//! Folders that outlive a power cut.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes a folder, and those above it, readable by their owner alone, and their names durable: a
/// file that is synced in a folder whose own name a power cut takes is lost with it.
///
/// # Errors
/// [`std::io::Error`] of the file system.
pub fn make_folder(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_folder(above),
        Err(error) if error.kind() == ErrorKind::NotFound && above != path => {
            make_folder(above)?;
            make_folder(path)
        }
        // Another process was first.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes an empty file that its owner alone can read, where none is: SQLite gives what it makes beside one the
/// same mode.
///
/// # Errors
/// [`std::io::Error`] of the file system.
pub(crate) fn make_private_file(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

/// Makes the names in a folder durable.
///
/// # Errors
/// [`std::io::Error`] of the file system.
pub fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn every_missing_folder_is_made_for_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let deepest = root.path().join("a/b/c");
        make_folder(&deepest).unwrap();
        make_folder(&deepest).unwrap();
        for path in [root.path().join("a"), root.path().join("a/b"), deepest] {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a"), "").unwrap();
        assert!(make_folder(&root.path().join("a")).is_err());
        assert!(make_folder(&root.path().join("a/b")).is_err());
    }
}
