//! Records given out with what proves them: a folder that anybody can check without this program.
//!
//! Of the log only the records asked for are shown. What is beside them in their batches stands there as
//! hashes, which nobody can guess back. A program in Python, `verify.py`, goes with it: it needs nothing
//! but Python's own library and the `openssl` program.

mod records;
mod values;

use super::batch::{self, Batch, InBatch};
use super::key::Key;
use super::note::Checkpoint;
use super::row::{Hash, sha256};
use super::tree::{FileTree, MemoryTree, Tree as _};
use super::{hash_of_hex, hex, places};
use crate::changes::{AppendError, ChangeLog};
use crate::query::Cursor;
use jiff::civil::Date;
use records::PartRecords;
use rules::change::{AccessHead, Event};
use serde::Serialize;
use signed_note::Note;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;
use values::{EndValues, RowValues};

const VERIFIER: &str = include_str!("export/verify.py");
const README: &str = include_str!("export/README.txt");

/// First line of what names the files of a bundle.
const HEADER: &str = "schoolgate evidence bundle v1";

/// Why no bundle was made.
#[derive(Debug, Error)]
pub enum ExportError {
    /// A file of the state folder or the bundle.
    #[error("{path}: {source}")]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A day's file.
    #[error("access log {path}: {source}")]
    Store {
        /// File.
        path: PathBuf,
        /// Cause.
        source: sqlx::Error,
    },
    /// The file of a sealed day.
    #[error("access log: {0}")]
    Sealed(#[from] sealed::Error),
    /// The change log.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// There is nothing that proves anything yet.
    #[error("no checkpoint covers the access log yet; run: schoolgate audit checkpoint")]
    NoCheckpoint,
    /// What is there does not fit together.
    #[error("{0}; nothing is given out; see schoolgate audit verify")]
    DoesNotFit(String),
    /// The folder is there already.
    #[error("{0} is there already; give another folder")]
    Exists(PathBuf),
}

/// What was given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Records with proofs.
    pub records: u64,
    /// Records asked for that no checkpoint covers, each with its place.
    pub not_covered: Vec<String>,
    /// SHA-256 of what names the files, hex.
    pub bundle: String,
}

#[derive(Serialize)]
struct Proofs {
    case: String,
    school: String,
    /// The entry of the change log that states the access log's root, and its place under the
    /// checkpoint.
    head: ProvedEntry,
    /// Batches, each with its path to that root.
    batches: Vec<ProvedBatch>,
    records: Vec<ProvedRecord>,
    not_covered: Vec<String>,
}

#[derive(Serialize)]
struct ProvedEntry {
    entry: String,
    path: Vec<String>,
}

#[derive(Serialize)]
struct ProvedBatch {
    record: String,
    path: Vec<String>,
}

#[derive(Serialize)]
struct ProvedRecord {
    row: Proved<RowValues>,
    /// Its end, where that came by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Proved<EndValues>>,
}

#[derive(Serialize)]
struct Proved<T> {
    /// Number of its batch.
    batch: u64,
    salt: String,
    /// The leaves of its group of sixteen, its own among them.
    group: Vec<String>,
    path: Vec<String>,
    values: T,
}

/// Writes the records in these places into a new folder.
///
/// # Errors
/// [`ExportError`]; nothing is left then.
pub async fn export(
    state: &Path,
    log: &ChangeLog,
    key: &Key,
    (case, school): (&str, &str),
    places: &[Cursor],
    folder: &Path,
) -> Result<Exported, ExportError> {
    let (checkpoint, note, entry, head) = covered(state, log).await?;
    let tree = access_tree(state, &head)?;
    let mut proofs = Proofs {
        case: case.to_owned(),
        school: school.to_owned(),
        head: entry,
        batches: Vec::new(),
        records: Vec::new(),
        not_covered: Vec::new(),
    };
    let mut batches: BTreeMap<u64, String> = BTreeMap::new();
    let mut days: BTreeMap<Date, Vec<u64>> = BTreeMap::new();
    for place in places {
        days.entry(place.day).or_default().push(place.sequence as u64);
    }
    let access = state.join("access");
    for (day, rows) in days {
        let failed = |source| ExportError::Store { path: access.clone(), source };
        let mut parts = open_parts(&access, day, &rows).await?;
        for row in rows {
            let place = format!("{day}:{row}");
            let part = parts.iter().rposition(|part| part.first_row() <= row);
            let Some(part) = part.and_then(|part| parts.get_mut(part)) else {
                proofs.not_covered.push(place);
                continue;
            };
            match prove_record(part, row, head.size, &mut batches).await {
                Ok(Some(record)) => proofs.records.push(record),
                Ok(None) => proofs.not_covered.push(place),
                Err(Unproved::Store(source)) => return Err(failed(source)),
                Err(Unproved::DoesNotFit(what)) => {
                    return Err(ExportError::DoesNotFit(format!("record {place}: {what}")));
                }
            }
        }
    }
    for (number, record) in batches {
        let path = tree.prove(number, head.size);
        let path =
            path.map_err(|source| ExportError::Io { path: tree.path().to_owned(), source })?;
        if tree.leaf(number).ok() != Some(super::tree::leaf_hash(record.as_bytes())) {
            let what = format!("batch {number} is not the one that was signed");
            return Err(ExportError::DoesNotFit(what));
        }
        proofs
            .batches
            .push(ProvedBatch { record, path: path.iter().map(|hash| hex(hash)).collect() });
    }
    debug_assert_eq!(checkpoint.origin, key.origin());
    let json = serde_json::to_string_pretty(&proofs).map_err(std::io::Error::other);
    let json = json.map_err(|source| ExportError::Io { path: folder.to_owned(), source })?;
    let public = format!("{}\n", key.public());
    let files = [
        ("README.txt", README),
        ("checkpoint", note.as_str()),
        ("key.pub", public.as_str()),
        ("proofs.json", json.as_str()),
        ("verify.py", VERIFIER),
    ];
    let bundle = write(folder, key, case, &files)?;
    let records = proofs.records.len() as u64;
    Ok(Exported { records, not_covered: proofs.not_covered, bundle })
}

/// The parts of a day, with these rows at hand.
async fn open_parts(
    access: &Path,
    day: Date,
    rows: &[u64],
) -> Result<Vec<PartRecords>, ExportError> {
    let listed = crate::parts::parts_of(access, day);
    let listed = listed.map_err(|source| ExportError::Io { path: access.to_owned(), source })?;
    let mut parts = Vec::with_capacity(listed.len());
    for part in listed {
        parts.push(PartRecords::open(access, part).await?);
    }
    let mut wanted: Vec<Vec<u64>> = vec![Vec::new(); parts.len()];
    for row in rows {
        if let Some(part) = parts.iter().rposition(|part| part.first_row() <= *row) {
            wanted[part].push(*row);
        }
    }
    for (part, mut rows) in parts.iter_mut().zip(wanted) {
        rows.sort_unstable();
        if !rows.is_empty() {
            part.prepare(&rows)?;
        }
    }
    Ok(parts)
}

/// The last checkpoint, and the last entry below it that states the access log's root.
async fn covered(
    state: &Path,
    log: &ChangeLog,
) -> Result<(Checkpoint, String, ProvedEntry, AccessHead), ExportError> {
    let path = places::checkpoints(state);
    let last = places::last(state).map_err(|source| ExportError::Io { path, source })?;
    let (checkpoint, note) = last.ok_or(ExportError::NoCheckpoint)?;
    let entries = log.entries_of(&["attested", "access_covered"]).await?;
    let below = entries.iter().rev().find(|entry| entry.sequence < checkpoint.size);
    let entry = below.ok_or(ExportError::NoCheckpoint)?;
    let (Event::Attested { access, .. } | Event::AccessCovered { access }) = &entry.event else {
        return Err(ExportError::NoCheckpoint);
    };
    let does_not_fit =
        |_| ExportError::DoesNotFit("the change log does not fit its checkpoint".into());
    let tree = MemoryTree::of(log.leaves_after(0).await?).map_err(does_not_fit)?;
    if tree.root_at(checkpoint.size).ok() != Some(checkpoint.root) {
        return Err(does_not_fit(std::io::Error::other("another root")));
    }
    let path = tree.prove(entry.sequence, checkpoint.size).map_err(does_not_fit)?;
    let proved = ProvedEntry {
        entry: crate::changes::canonical_entry(entry),
        path: path.iter().map(|hash| hex(hash)).collect(),
    };
    Ok((checkpoint, note, proved, access.clone()))
}

fn access_tree(state: &Path, head: &AccessHead) -> Result<FileTree, ExportError> {
    let path = super::folder(state).join(super::access::TREE);
    let does_not_fit = || {
        ExportError::DoesNotFit("audit/access.tree does not have the root that was signed".into())
    };
    let tree = FileTree::look(&path).map_err(|source| ExportError::Io { path, source })?;
    let tree = tree.ok_or_else(does_not_fit)?;
    match tree.root_at(head.size) {
        Ok(root) if Some(root) == hash_of_hex(&head.root) => Ok(tree),
        _ => Err(does_not_fit()),
    }
}

/// Why a record cannot be proved.
enum Unproved {
    Store(sqlx::Error),
    DoesNotFit(String),
}

impl From<sqlx::Error> for Unproved {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error)
    }
}

/// A record with its proofs; `None`: no checkpoint covers it. An end that came by itself and is not
/// covered yet is left out: nothing is shown that is not proved.
async fn prove_record(
    day: &mut PartRecords,
    row: u64,
    size: u64,
    batches: &mut BTreeMap<u64, String>,
) -> Result<Option<ProvedRecord>, Unproved> {
    let Some(batch) = day.batch_of_row(row).filter(|batch| batch.number < size) else {
        return Ok(None);
    };
    let values = day.row(row).await?;
    let index = (row - batch.first_row) as usize;
    let proved = prove_in(day, &batch, index, batches).await?;
    let salt = hex(&day.row_salt(&batch, row).await?);
    let row_proof = proved_as(&batch, salt, proved, values);
    let end = match day.end_of(row).await? {
        None => None,
        Some(end) => match day.batch_of_end(end.place).filter(|batch| batch.number < size) {
            None => None,
            Some(batch) => {
                let index = (batch.rows + end.place - batch.first_end) as usize;
                let proved = prove_in(day, &batch, index, batches).await?;
                let salt = hex(&day.end_salt(&batch, end.place).await?);
                Some(proved_as(&batch, salt, proved, end))
            }
        },
    };
    Ok(Some(ProvedRecord { row: row_proof, end }))
}

async fn prove_in(
    day: &mut PartRecords,
    batch: &Batch,
    index: usize,
    batches: &mut BTreeMap<u64, String>,
) -> Result<InBatch, Unproved> {
    let leaves = day.leaves(batch).await?;
    let failed = |error: std::io::Error| Unproved::DoesNotFit(error.to_string());
    let root = batch::root_of(&leaves).map_err(failed)?;
    if hash_of_hex(&batch.root) != Some(root) {
        let what = format!("its batch {} does not have the root that was recorded", batch.number);
        return Err(Unproved::DoesNotFit(what));
    }
    batches.entry(batch.number).or_insert_with(|| batch.canonical());
    batch::prove(&leaves, index).map_err(failed)
}

fn proved_as<T>(batch: &Batch, salt: String, proof: InBatch, values: T) -> Proved<T> {
    let texts = |hashes: &[Hash]| hashes.iter().map(|hash| hex(hash)).collect();
    Proved {
        batch: batch.number,
        salt,
        group: texts(&proof.group),
        path: texts(&proof.path),
        values,
    }
}

/// Writes the files and a signed note that names each with its hash; the hash of that note.
fn write(
    folder: &Path,
    key: &Key,
    case: &str,
    files: &[(&str, &str)],
) -> Result<String, ExportError> {
    if folder.exists() {
        return Err(ExportError::Exists(folder.to_owned()));
    }
    let failed = |source| ExportError::Io { path: folder.to_owned(), source };
    // What is no line of text cannot stand in a note.
    let case: String = case.chars().filter(|c| !c.is_control()).collect();
    let mut text = format!("{HEADER}\ncase {case}\n");
    for (name, content) in files {
        text.push_str(&format!("{}  {name}\n", hex(&sha256(content.as_bytes()))));
    }
    let unsigned = |error: signed_note::NoteError| failed(std::io::Error::other(error));
    let mut note = Note::new(text.as_bytes(), &[]).map_err(unsigned)?;
    note.add_sigs(&[key.signer()]).map_err(unsigned)?;
    let manifest = note.to_bytes();
    let write = || -> std::io::Result<()> {
        std::fs::DirBuilder::new().mode(0o700).create(folder)?;
        let named = files.iter().map(|(name, content)| (*name, content.as_bytes()));
        for (name, content) in named.chain([("manifest", manifest.as_slice())]) {
            let mut options = std::fs::OpenOptions::new();
            let mut file =
                options.write(true).create_new(true).mode(0o600).open(folder.join(name))?;
            file.write_all(content)?;
            file.sync_all()?;
        }
        std::fs::File::open(folder)?.sync_all()
    };
    if let Err(source) = write() {
        let _ = std::fs::remove_dir_all(folder);
        return Err(failed(source));
    }
    Ok(hex(&sha256(&manifest)))
}
