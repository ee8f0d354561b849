//! List versions on disk, and which of them is in force.
//!
//! `STATE/lists/NAME/VERSION.list.zst` holds a version's entries (older programs wrote `.list.gz`),
//! `VERSION.json` what is known of them. `VERSION.sgl` is what compiling needs of the entries: made
//! again from them where it is missing or damaged, and kept only for versions in force or held.
//!
//! Which version is in force stands in the change log alone: the last `list_accepted` or
//! `list_rolled_back` of a list. A version's files are durable before its entry is written, so a
//! crash at any step leaves either the old version in force or the new one, whole.

use super::compile::COMPILER;
use super::entries::Entries;
use super::{ListError, Outcome, pieces};
use crate::config::ListSource;
use categorizer::index::Prepared;
use rules::change::{ChangeEntry, Event};
use rules::time::UnixMillis;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Accepted versions kept beside the one in force, for `rollback`.
const KEPT_VERSIONS: usize = 3;

/// How the names of a version's files end.
const ENTRIES: &str = ".list.zst";
const OLDER_ENTRIES: &str = ".list.gz";
const PREPARED: &str = ".sgl";

/// What is known of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// `YYYY-MM-DD-` and eight hex digits of the content's hash.
    pub version: String,
    /// SHA-256 of the sorted entries, hex.
    pub hash: String,
    /// How many entries.
    pub entries: u64,
    /// When the source was last changed, as its files or the server say.
    pub source_date: UnixMillis,
    /// When it was read.
    pub imported_at: UnixMillis,
    /// Path or URL that it came from.
    pub source: String,
    /// Category of the list when this was read; empty where an older program did not say.
    #[serde(default)]
    pub category: String,
    /// What each of its files gave.
    pub files: Vec<FileReport>,
}

impl VersionInfo {
    /// Whether more than half of what its files say is no entry: an error page, another format, or
    /// another file than was meant.
    pub(super) fn is_mostly_junk(&self) -> bool {
        let sum = |of: fn(&FileReport) -> u64| self.files.iter().map(of).sum::<u64>();
        u128::from(sum(|file| file.skipped)) * 2 > u128::from(sum(|file| file.lines))
            && sum(|file| file.lines) > 0
    }
}

/// What reading one file of a list gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReport {
    /// File.
    pub file: String,
    /// Syntax, told or guessed.
    pub format: String,
    /// Entries.
    pub entries: u64,
    /// Lines that are neither empty nor a comment; 0 where an older program did not count them.
    #[serde(default)]
    pub lines: u64,
    /// Lines skipped because they were no entry and no comment.
    pub skipped: u64,
    /// The first of those: `file:line: why: text`.
    pub examples: Vec<String>,
}

/// The history of one list, folded from the change log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Version in force.
    pub accepted: Option<String>,
    /// When it took effect, and who said so.
    pub accepted_at: Option<(UnixMillis, String)>,
    /// Versions in force before, oldest first.
    pub previous: Vec<String>,
    /// Version that waits for a person, and why.
    pub held: Option<(String, String)>,
    /// Version that a rollback took out of force: it never comes back by itself.
    pub rolled_back: Option<String>,
    /// The category that the machine file was last recorded to give it, where that has ever changed;
    /// `Some(None)`: it was taken out of the file.
    pub placed: Option<Option<String>>,
}

impl Lineage {
    /// Whether no version of the list was ever judged.
    pub(super) fn is_new(&self) -> bool {
        self.accepted.is_none() && self.held.is_none()
    }
}

/// The event words that [`lineages`] understands.
pub(super) const LIST_EVENTS: [&str; 4] =
    ["list_accepted", "list_held", "list_rolled_back", "list_moved"];

/// Folds the list events of the change log.
pub(super) fn lineages(entries: &[ChangeEntry]) -> HashMap<String, Lineage> {
    let mut lists: HashMap<String, Lineage> = HashMap::new();
    for entry in entries {
        match &entry.event {
            Event::ListAccepted { list, version, .. } => {
                let lineage = lists.entry(list.clone()).or_default();
                if lineage.accepted.as_ref() != Some(version) {
                    lineage.previous.extend(lineage.accepted.take());
                }
                lineage.accepted = Some(version.clone());
                lineage.accepted_at = Some((entry.at, entry.actor.clone()));
                lineage.held = None;
                lineage.rolled_back = None;
            }
            Event::ListHeld { list, version, why } => {
                lists.entry(list.clone()).or_default().held = Some((version.clone(), why.clone()));
            }
            Event::ListRolledBack { list, version } => {
                let lineage = lists.entry(list.clone()).or_default();
                lineage.rolled_back = lineage.accepted.take();
                if let Some(place) = lineage.previous.iter().rposition(|old| old == version) {
                    lineage.previous.truncate(place);
                }
                lineage.accepted = Some(version.clone());
                lineage.accepted_at = Some((entry.at, entry.actor.clone()));
                lineage.held = None;
            }
            Event::ListMoved { list, to, .. } => {
                lists.entry(list.clone()).or_default().placed = Some(to.clone());
            }
            _ => {}
        }
    }
    lists
}

/// What was last seen of a list's source. Only a cache: without it the source is read again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Looked {
    /// Tells one state of the source and options from another.
    pub(super) fingerprint: String,
    /// When it was last looked at with success.
    pub(super) at: Option<UnixMillis>,
    /// When it was last tried.
    pub(super) tried_at: Option<UnixMillis>,
    /// Why the last try failed.
    pub(super) error: Option<String>,
}

/// The folder of one list.
pub(super) struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    pub(super) fn new(state: &Path, list: &str) -> Self {
        Self { folder: state.join("lists").join(list) }
    }

    pub(super) fn entries_path(&self, version: &str) -> PathBuf {
        self.folder.join(format!("{version}{ENTRIES}"))
    }

    /// Where an older program kept the entries.
    fn older_entries_path(&self, version: &str) -> PathBuf {
        self.folder.join(format!("{version}{OLDER_ENTRIES}"))
    }

    pub(super) fn prepared_path(&self, version: &str) -> PathBuf {
        self.folder.join(format!("{version}{PREPARED}"))
    }

    fn info_path(&self, version: &str) -> PathBuf {
        self.folder.join(format!("{version}.json"))
    }

    /// Stores a version durably; both files are whole or not there.
    pub(super) fn store(&self, info: &VersionInfo, entries: &Entries) -> Result<(), ListError> {
        let failed = |source| ListError::Store { path: self.folder.display().to_string(), source };
        make_folder(&self.folder).map_err(failed)?;
        let json =
            serde_json::to_vec_pretty(info).map_err(std::io::Error::other).map_err(failed)?;
        // The info goes first: a version counts as stored once its entries are there. The second
        // step makes both names durable.
        move_into_place(&self.info_path(&info.version), |path| write_synced(path, &json))
            .map_err(failed)?;
        replace_file(&self.entries_path(&info.version), |path| entries.write(path)).map_err(failed)
    }

    pub(super) fn info(&self, version: &str) -> Result<VersionInfo, ListError> {
        let path = self.info_path(version);
        let damaged = |why: String| ListError::Damaged { path: path.display().to_string(), why };
        let text = std::fs::read(&path).map_err(|e| damaged(e.to_string()))?;
        serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))
    }

    /// The entries of a version, proved to be those that were stored: by the hash beside them, whose
    /// start is in the version's name, which stands in the change log.
    pub(super) fn entries(&self, version: &str) -> Result<Entries, ListError> {
        self.entries_of(&self.proved_info(version)?)
    }

    fn entries_of(&self, info: &VersionInfo) -> Result<Entries, ListError> {
        let older = self.older_entries_path(&info.version);
        let path = Some(self.entries_path(&info.version)).filter(|path| path.is_file());
        Entries::read(&path.unwrap_or(older), &info.hash, info.entries)
    }

    /// What is known of a version, with the hash that it is named after.
    fn proved_info(&self, version: &str) -> Result<VersionInfo, ListError> {
        let info = self.info(version)?;
        if is_named_after(version, &info.hash) {
            return Ok(VersionInfo { version: version.to_owned(), ..info });
        }
        let path = self.info_path(version).display().to_string();
        Err(ListError::Damaged { path, why: "of another version".to_owned() })
    }

    /// What compiling needs of a version: as it was kept, or made from the entries and kept. What was kept
    /// is checked against damage; whoever may write the state folder can put anything there, as in its place
    /// an index (docs/adr/0010-proven-people.md).
    pub(super) fn prepared(&self, version: &str) -> Result<Prepared, ListError> {
        let info = self.proved_info(version)?;
        let kept = pieces::read(&self.prepared_path(version)).ok();
        if let Some(list) = kept.and_then(|kept| Prepared::from_bytes(&kept, &key_of(&info.hash))) {
            return Ok(list);
        }
        let list = self.entries_of(&info)?.prepared();
        self.keep_prepared(&info, &list);
        Ok(list)
    }

    /// Keeps what compiling needs of a version. Not synced, and no fault where it fails: like an index,
    /// it is checked when it is read, and can be made again.
    pub(super) fn keep_prepared(&self, info: &VersionInfo, list: &Prepared) {
        let bytes = list.to_bytes(&key_of(&info.hash));
        let path = self.prepared_path(&info.version);
        if let Err(error) = move_into_place(&path, |path| pieces::write(path, &bytes).map(drop)) {
            tracing::debug!(%error, version = info.version, "a list will be prepared again");
        }
    }

    /// Whether it is certain that nothing of the list is kept.
    pub(super) fn is_gone(&self) -> bool {
        self.folder.try_exists().is_ok_and(|there| !there)
    }

    pub(super) fn has(&self, version: &str) -> bool {
        let entries = [self.entries_path(version), self.older_entries_path(version)];
        entries.iter().any(|path| path.is_file()) && self.info_path(version).is_file()
    }

    /// The first version of a list, where it is held. Not so once the machine file puts the list into
    /// another category: the reason may be gone, and what is now locked must not wait.
    pub(super) fn waits(&self, lineage: &Lineage, list: &ListSource) -> Option<Outcome> {
        let (version, why) = lineage.held.clone().filter(|_| lineage.accepted.is_none())?;
        let same = self.has(&version) && self.info(&version).ok()?.category == list.category;
        same.then_some(Outcome::Held { version, why })
    }

    /// The hash of a stored version's entries.
    pub(super) fn hash_of(&self, version: &str) -> Option<String> {
        self.info(version).ok().map(|info| info.hash)
    }

    pub(super) fn looked(&self) -> Looked {
        let text = std::fs::read(self.folder.join("state.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub(super) fn set_looked(&self, looked: &Looked) -> Result<(), ListError> {
        let failed = |source| ListError::Store { path: self.folder.display().to_string(), source };
        make_folder(&self.folder).map_err(failed)?;
        let json =
            serde_json::to_vec_pretty(looked).map_err(std::io::Error::other).map_err(failed)?;
        // Not synced: a cache that a power cut loses costs one more look at the source.
        move_into_place(&self.folder.join("state.json"), |path| std::fs::write(path, &json))
            .map_err(failed)
    }

    /// Removes versions that nothing can bring back into force, and what crashes left behind.
    pub(super) fn tidy(&self, lineage: &Lineage) {
        let mut kept: Vec<&str> =
            lineage.previous.iter().rev().take(KEPT_VERSIONS).map(String::as_str).collect();
        let compiled: Vec<&str> = lineage
            .accepted
            .as_deref()
            .into_iter()
            .chain(lineage.held.as_ref().map(|(version, _)| version.as_str()))
            .collect();
        kept.extend(&compiled);
        kept.extend(lineage.rolled_back.as_deref());
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let of_version = |ends: &[&str]| ends.iter().find_map(|end| name.strip_suffix(end));
            let is_kept = |version: Option<&str>| version.is_some_and(|it| kept.contains(&it));
            let is_prepared =
                |version: Option<&str>| version.is_some_and(|it| compiled.contains(&it));
            let needed = name == "state.json"
                || is_kept(of_version(&[ENTRIES, OLDER_ENTRIES, ".json"]))
                || is_prepared(of_version(&[PREPARED]));
            if !needed {
                // A file that cannot be removed now is tried again at the next update.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// What was prepared from entries with this hash, by this program.
fn key_of(hash: &str) -> String {
    format!("{hash} {}", COMPILER.join(" "))
}

/// Whether a version's name ends in the first eight digits of its hash.
fn is_named_after(version: &str, hash: &str) -> bool {
    let digits = version.rsplit('-').next().unwrap_or_default();
    digits.len() == 8 && hash.starts_with(digits)
}

/// A folder that only this user may read: lists may be licensed to the school alone.
pub(crate) fn make_folder(folder: &Path) -> std::io::Result<()> {
    ledger::folder::make_folder(folder)
}

pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    pieces::write(path, bytes)?.sync_all()
}

/// A file's folder; a bare file name has an empty parent, which cannot be opened.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file beside its place and moves it there, durably: readers and crashes see the old or
/// the new.
pub(crate) fn replace_file(
    path: &Path,
    write: impl FnOnce(&Path) -> std::io::Result<()>,
) -> std::io::Result<()> {
    move_into_place(path, write)?;
    // The name is durable only once its folder is.
    File::open(folder_of(path))?.sync_all()
}

fn move_into_place(
    path: &Path,
    write: impl FnOnce(&Path) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let moved = write(&temporary).and_then(|()| std::fs::rename(&temporary, path));
    if moved.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    moved
}
