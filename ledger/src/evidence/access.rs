//! The access log's tree as its one writer keeps it: `STATE/audit/access.tree`.
//!
//! The batches themselves stand in the days' files; the tree is made from them and can be made again.
//! So that a start reads few of them, `access.json` says up to which batch everything is on the disk
//! itself, and which days' files may hold later ones. A kill or a power cut at any point leaves less
//! in the tree than in the days' files, or more, of what is not known to be durable: that part is
//! always made anew.
//!
//! Two orders make this safe. A day is noted before its file gets a batch; and the file of the last
//! batch is synced before another day's file gets the next one, so that a power cut takes only the
//! last numbers, which are then given again. A sealed part is on the disk itself before its first file
//! goes: of a day only the part that is written to ([`day_path`]) is ever synced here.
//!
//! Of a day that was erased the tree alone has the batches' hashes. The change log says which batches these
//! are: where the note is lost, they are taken over from the tree before it is made anew.

use super::row::Hash;
use super::tree::{FileTree, Tree, leaf_hash};
use crate::parts::{Part, day_path, days, parts};
use crate::sqlite::{open_to_read, sync_files};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The tree's file in the audit folder.
pub(crate) const TREE: &str = "access.tree";

/// What is known to be durable, in the same folder.
const KNOWN: &str = "access.json";

/// First version of a day's file that holds batches.
pub(crate) const FIRST_WITH_BATCHES: i64 = 3;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// Batches that are durable in their days' files and in the tree.
    durable: u64,
    /// Days whose files may hold others.
    days: BTreeSet<Date>,
}

/// Why the tree cannot be kept.
#[derive(Debug)]
pub(crate) enum TreeError {
    /// A file of the audit folder.
    Io(PathBuf, std::io::Error),
    /// A day's file.
    Day(PathBuf, sqlx::Error),
}

/// The access log's tree, open to be added to.
#[derive(Debug)]
pub(crate) struct AccessTree {
    audit: PathBuf,
    access: PathBuf,
    tree: FileTree,
    known: Known,
    last_day: Option<Date>,
}

impl AccessTree {
    /// Opens the tree of a state folder and brings it up to the days' files.
    pub(crate) async fn open(audit: &Path, access: &Path) -> Result<Self, TreeError> {
        let failed = |error| TreeError::Io(audit.to_owned(), error);
        crate::folder::make_folder(audit).map_err(failed)?;
        let known = read_known(&audit.join(KNOWN)).map_err(failed)?;
        let is_new = known.is_none();
        let mut tree = FileTree::open(&audit.join(TREE)).map_err(failed)?;
        let mut known = known.unwrap_or_default();
        let all = days(access).map_err(|error| TreeError::Io(access.to_owned(), error))?;
        if is_new || tree.size() < known.durable {
            // Without the note, or with a tree that was cut, only the days' files can tell.
            known.durable = if is_new { 0 } else { tree.size() };
            known.days.extend(&all);
        }
        let mut found = match known.durable < tree.size() {
            true => erased_leaves(audit, &tree, known.durable).await.map_err(failed)?,
            false => BTreeMap::new(),
        };
        tree.truncate(known.durable).map_err(failed)?;
        let newest = all.iter().rev().take(2);
        let looked: BTreeSet<Date> = known.days.iter().chain(newest).copied().collect();
        // A file that is there has the last word, as where an erasure was cut short.
        found.extend(batches_from(access, looked.iter().copied(), known.durable).await?);
        if !runs_from(&found, known.durable) {
            let rest = all.into_iter().filter(|day| !looked.contains(day));
            found.extend(batches_from(access, rest, known.durable).await?);
        }
        let mut this = Self {
            audit: audit.to_owned(),
            access: access.to_owned(),
            tree,
            known,
            last_day: None,
        };
        this.add_found(&found)?;
        Ok(this)
    }

    fn add_found(&mut self, found: &Found) -> Result<(), TreeError> {
        for (number, (day, leaf)) in found {
            while self.tree.size() < *number {
                let lost = self.tree.size();
                tracing::error!(
                    batch = lost,
                    "a batch of the access log is in no day's file; see schoolgate audit verify"
                );
                self.push(&lost_leaf(lost))?;
            }
            self.push(leaf)?;
            if let Some(day) = day {
                self.last_day = Some(*day);
                self.known.days.insert(*day);
            }
        }
        Ok(())
    }

    fn push(&mut self, leaf: &Hash) -> Result<(), TreeError> {
        let path = self.tree.path().to_owned();
        self.tree.extend(&[*leaf]).map_err(|error| TreeError::Io(path, error))
    }

    /// The number of the next batch.
    pub(crate) fn next(&self) -> u64 {
        self.tree.size()
    }

    /// Call before a day's file gets the next batch.
    pub(crate) fn prepare(&mut self, day: Date) -> Result<(), TreeError> {
        if let Some(last) = self.last_day.filter(|last| *last != day) {
            let path = day_path(&self.access, last);
            sync_files(&path).map_err(|error| TreeError::Io(path, error))?;
        }
        if self.known.days.insert(day) {
            self.write_known()?;
        }
        Ok(())
    }

    /// Adds the batch that a day's file holds now.
    pub(crate) fn append(&mut self, day: Date, leaf: &Hash) -> Result<(), TreeError> {
        self.push(leaf)?;
        self.last_day = Some(day);
        Ok(())
    }

    /// Makes everything durable that is in the tree, days' files included, and gives its size and
    /// root. `open`: the days that will get more.
    pub(crate) fn make_durable(
        &mut self,
        open: impl Iterator<Item = Date>,
    ) -> Result<(u64, Hash), TreeError> {
        let size = self.tree.size();
        if self.known.durable < size {
            for day in &self.known.days {
                let path = day_path(&self.access, *day);
                sync_files(&path).map_err(|error| TreeError::Io(path, error))?;
            }
        }
        let known = Known { durable: size, days: open.collect() };
        if known != self.known {
            self.known = known;
            self.write_known()?;
        }
        let root = self.tree.root();
        Ok((size, root.map_err(|error| TreeError::Io(self.tree.path().to_owned(), error))?))
    }

    /// Size and root as they are, and the files that must be on the disk itself before a checkpoint may
    /// cover them.
    pub(crate) fn head(&self) -> Result<(u64, Hash, Vec<PathBuf>), TreeError> {
        let path = self.tree.path();
        let root = self.tree.root().map_err(|error| TreeError::Io(path.to_owned(), error))?;
        let files = match self.known.durable < self.tree.size() {
            true => self.known.days.iter().map(|day| day_path(&self.access, *day)).collect(),
            false => Vec::new(),
        };
        Ok((self.tree.size(), root, files))
    }

    /// These files are synced: so many batches are durable. Noted with the next change of the note;
    /// until then a start reads some more.
    pub(crate) fn are_durable(&mut self, size: u64) {
        self.known.durable = self.known.durable.max(size.min(self.tree.size()));
    }

    fn write_known(&self) -> Result<(), TreeError> {
        let path = self.tree.path().to_owned();
        self.tree.sync().map_err(|error| TreeError::Io(path, error))?;
        let path = self.audit.join(KNOWN);
        let text = serde_json::to_vec(&self.known).map_err(std::io::Error::other);
        text.and_then(|text| replace_durably(&path, &text, 0o600))
            .map_err(|error| TreeError::Io(path, error))
    }
}

/// How many of the tree's batches the note beside it calls durable: a start takes these from the tree and
/// looks for none of them in the days' files.
pub(crate) fn noted_durable(audit: &Path) -> std::io::Result<u64> {
    Ok(read_known(&audit.join(KNOWN))?.map_or(0, |known| known.durable))
}

/// The leaf that stands for a batch which no file holds any more: the numbers after it keep their
/// places, and `audit verify` tells of it.
pub(crate) fn lost_leaf(number: u64) -> Hash {
    leaf_hash(format!("{{\"lost\":{number}}}").as_bytes())
}

/// Batches by number: leaf, and the day whose file has them; none where the day was erased.
type Found = BTreeMap<u64, (Option<Date>, Hash)>;

/// The leaves from `from` on of batches that the change log calls erased: no file has them any more.
async fn erased_leaves(audit: &Path, tree: &FileTree, from: u64) -> std::io::Result<Found> {
    let state = audit.parent().unwrap_or(audit);
    let mut found = Found::new();
    for (first, last) in crate::retention::erased_batches(state).await? {
        for number in first.max(from)..last.saturating_add(1).min(tree.size()) {
            found.insert(number, (None, tree.leaf(number)?));
        }
    }
    Ok(found)
}

/// Whether the numbers have no gap, the first being `from`.
fn runs_from(found: &Found, from: u64) -> bool {
    (from..).zip(found.keys()).all(|(expected, number)| expected == *number)
}

async fn batches_from(
    access: &Path,
    days: impl Iterator<Item = Date>,
    from: u64,
) -> Result<Found, TreeError> {
    let mut found = Found::new();
    let days: BTreeSet<Date> = days.collect();
    let all = parts(access).map_err(|error| TreeError::Io(access.to_owned(), error))?;
    for part in all.into_iter().filter(|part| days.contains(&part.day)) {
        let Part { day, .. } = part;
        let path = part.database(access);
        match leaves_in(&path, from).await {
            Ok(leaves) => {
                found.extend(leaves.into_iter().map(|(number, leaf)| (number, (Some(day), leaf))));
            }
            // One damaged day must not stop the log. Its batches count as lost.
            Err(error) if crate::sqlite::is_damaged(&error) => {
                tracing::error!(%error, path = %path.display(), "batches of a day cannot be read");
            }
            Err(error) => return Err(TreeError::Day(path, error)),
        }
    }
    Ok(found)
}

async fn leaves_in(path: &Path, from: u64) -> Result<Vec<(u64, Hash)>, sqlx::Error> {
    let mut connection = open_to_read(path).await?;
    let version: i64 =
        sqlx::query("PRAGMA user_version").fetch_one(&mut connection).await?.try_get(0)?;
    let mut leaves = Vec::new();
    if version >= FIRST_WITH_BATCHES {
        let rows =
            sqlx::query("SELECT number, record FROM batch WHERE number >= ? ORDER BY number")
                .bind(i64::try_from(from).unwrap_or(i64::MAX))
                .fetch_all(&mut connection)
                .await?;
        for row in rows {
            let number = row.try_get::<i64, _>(0)? as u64;
            leaves.push((number, leaf_hash(row.try_get::<&str, _>(1)?.as_bytes())));
        }
    }
    connection.close().await?;
    Ok(leaves)
}

fn read_known(path: &Path) -> std::io::Result<Option<Known>> {
    match std::fs::read(path) {
        // What cannot be read is made again from the days' files.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file: whole and durably, or not at all.
pub(crate) fn replace_durably(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let new = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
