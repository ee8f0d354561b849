//! Where checkpoints are kept: `STATE/audit/checkpoints`, and copies in other places.
//!
//! A checkpoint beside the log protects from nobody who can write there. It is the copy elsewhere that
//! no later change can reach.

use super::access::replace_durably;
use super::note::{Checkpoint, notes_in};
use rules::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The file of all own checkpoints in a state folder.
#[must_use]
pub fn checkpoints(state: &Path) -> PathBuf {
    super::folder(state).join("checkpoints")
}

/// The last own checkpoint, as it stands; its signature is not checked.
///
/// # Errors
/// [`std::io::Error`]; a missing file holds none.
pub fn last(state: &Path) -> std::io::Result<Option<(Checkpoint, String)>> {
    let text = read(&checkpoints(state))?;
    let notes = notes_in(&text);
    let read = |note: &str| Some((Checkpoint::read(note).ok()?, note.to_owned()));
    Ok(notes.iter().rev().find_map(|(_, note)| read(note)))
}

/// Why a copy was not brought up to date.
#[derive(Debug, Error)]
pub enum CopyFault {
    /// The file system.
    #[error("{path}: {source}")]
    Io {
        /// The copy.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The copy ends with a checkpoint that this log does not have.
    #[error(
        "{path} holds the checkpoint \"{line}\", which this log does not: the log was set back to an \
         earlier state, or the file belongs to another"
    )]
    Ahead {
        /// The copy.
        path: PathBuf,
        /// The checkpoint.
        line: String,
    },
}

/// Appends to a copy the own checkpoints that it lacks, and makes them durable. Returns the size of the
/// last. The folder must be there: a disk that is not mounted must not be taken for one.
///
/// # Errors
/// [`CopyFault`].
pub fn copy(state: &Path, copy: &Path) -> Result<Option<u64>, CopyFault> {
    let failed = |source| CopyFault::Io { path: copy.to_owned(), source };
    let own = read(&checkpoints(state)).map_err(failed)?;
    let own: Vec<&str> = notes_in(&own).into_iter().map(|(_, note)| note).collect();
    let there = read(copy).map_err(failed)?;
    let there = notes_in(&there);
    let known = there.iter().rev().find(|(_, note)| Checkpoint::read(note).is_ok());
    let from = match known {
        None => 0,
        Some((_, note)) => match own.iter().rposition(|own| own == note) {
            Some(place) => place + 1,
            None => {
                let line = Checkpoint::read(note).map(|read| read.line()).unwrap_or_default();
                return Err(CopyFault::Ahead { path: copy.to_owned(), line });
            }
        },
    };
    let missing = own.get(from..).unwrap_or_default();
    append(copy, missing).map_err(failed)?;
    Ok(own.last().and_then(|note| Checkpoint::read(note).ok()).map(|read| read.size))
}

/// Whether a copy lies on the disk (file system) that the log itself lies on; `None`: not known.
#[must_use]
pub fn is_same_disk(state: &Path, copy: &Path) -> Option<bool> {
    let folder = copy.parent().filter(|folder| !folder.as_os_str().is_empty());
    let device = |path: &Path| std::fs::metadata(path).ok().map(|data| data.dev());
    Some(device(state)? == device(folder.unwrap_or(Path::new(".")))?)
}

/// Appends notes, each with an empty line after it, durably. A torn end of before gets a line end first,
/// so that it spoils no note but itself.
pub(crate) fn append(path: &Path, notes: &[&str]) -> std::io::Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    let before = read(path)?;
    let mut text = String::new();
    if !before.is_empty() && !before.ends_with("\n\n") {
        text.push_str(if before.ends_with('\n') { "\n" } else { "\n\n" });
    }
    notes.iter().for_each(|note| {
        text.push_str(note);
        text.push('\n');
    });
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if before.is_empty() => std::fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    match std::fs::read(path) {
        // What is no text is damage, and shows as such where the notes are read.
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// How the checkpoints stand in one second place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceStatus {
    /// The file, or the address without what may be secret in it.
    pub place: String,
    /// Size of the last checkpoint that is there.
    pub size: Option<u64>,
    /// When it was brought there.
    pub at: Option<UnixMillis>,
    /// Why the last attempt failed.
    pub problem: Option<String>,
}

/// How the last attempts went, for `status` and `doctor`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// When the last checkpoint was signed.
    pub signed_at: Option<UnixMillis>,
    /// Why none could be signed since.
    pub problem: Option<String>,
    /// Second places.
    pub places: Vec<PlaceStatus>,
}

impl Places {
    const NAME: &str = "places.json";

    /// Reads what the running filter wrote; what cannot be read says nothing.
    #[must_use]
    pub fn read(state: &Path) -> Option<Self> {
        let bytes = std::fs::read(super::folder(state).join(Self::NAME)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Replaces it.
    ///
    /// # Errors
    /// [`std::io::Error`].
    pub fn write(&self, state: &Path) -> std::io::Result<()> {
        let text = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        replace_durably(&super::folder(state).join(Self::NAME), &text, 0o600)
    }

    /// The place of this name; made where it is missing.
    pub fn place(&mut self, name: &str) -> &mut PlaceStatus {
        let there = self.places.iter().position(|place| place.place == name);
        let at = there.unwrap_or_else(|| {
            self.places.push(PlaceStatus { place: name.to_owned(), ..PlaceStatus::default() });
            self.places.len() - 1
        });
        &mut self.places[at]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crate::evidence::key::Key;

    fn notes(folder: &Path, sizes: &[u64]) -> Vec<String> {
        let (key, _) = Key::open(folder, Some("a.test/log"), "x").unwrap();
        let note = |size: &u64| {
            Checkpoint { origin: "a.test/log".into(), size: *size, root: [3; 32] }.sign(&key)
        };
        sizes.iter().map(|size| note(size).unwrap()).collect()
    }

    fn write(state: &Path, notes: &[String]) {
        std::fs::create_dir_all(super::super::folder(state)).unwrap();
        let _ = std::fs::remove_file(checkpoints(state));
        append(&checkpoints(state), &notes.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    }

    #[test]
    fn a_copy_gets_what_it_lacks_after_days_without_it() {
        let (state, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let notes = notes(state.path(), &[1, 2, 3]);
        let file = other.path().join("checkpoints");
        for count in [1, 3, 3] {
            write(state.path(), &notes[..count]);
            assert_eq!(copy(state.path(), &file).unwrap(), Some(count as u64));
            let own = std::fs::read(checkpoints(state.path())).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), own);
        }
        assert_eq!(last(state.path()).unwrap().unwrap().0.size, 3);
    }

    #[test]
    fn a_copy_that_knows_more_than_the_log_is_an_alarm_and_stays_as_it_is() {
        let (state, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let notes = notes(state.path(), &[1, 2]);
        let file = other.path().join("checkpoints");
        write(state.path(), &notes);
        copy(state.path(), &file).unwrap();
        let before = std::fs::read(&file).unwrap();
        write(state.path(), &notes[..1]);
        let fault = copy(state.path(), &file).unwrap_err();
        assert!(fault.to_string().contains("a.test/log 2 "), "{fault}");
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }

    #[test]
    fn a_disk_that_is_not_there_is_not_made() {
        let state = tempfile::tempdir().unwrap();
        write(state.path(), &notes(state.path(), &[1]));
        let gone = state.path().join("not-mounted/checkpoints");
        assert!(matches!(copy(state.path(), &gone), Err(CopyFault::Io { .. })));
        assert!(!gone.parent().unwrap().exists());
        assert_eq!(is_same_disk(state.path(), &gone), None);
        assert_eq!(is_same_disk(state.path(), &state.path().join("file")), Some(true));
    }

    #[test]
    fn a_torn_note_spoils_no_other() {
        let state = tempfile::tempdir().unwrap();
        let notes = notes(state.path(), &[1, 2]);
        write(state.path(), &notes[..1]);
        let path = checkpoints(state.path());
        for torn in ["a.test/log\n2", "a.test/log\n2\n"] {
            write(state.path(), &notes[..1]);
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            file.write_all(torn.as_bytes()).unwrap();
            append(&path, &[&notes[1]]).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.ends_with(&format!("{}\n", notes[1])), "{text}");
            assert_eq!(last(state.path()).unwrap().unwrap().0.size, 2);
        }
    }
}
