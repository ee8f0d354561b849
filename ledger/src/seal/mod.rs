//! Sealing: a day that is over becomes a Parquet file, sorted by person and time, and a small database
//! of its sums and batches.
//!
//! The day's file is read once, in the order of its rows. Each row goes to the stretch of the sorted
//! order that it belongs to (`spill`); each stretch becomes a row group. The finished file is then
//! read again from the disk, and the rows that come out of it must be those that went in: their sum of
//! hashes the same, and each batch with the root that was recorded and, where the tree of the access log
//! has it, signed. Only then does the sealed day get its names, and only after that is the written file removed.
//!
//! A kill or a power cut at any point leaves either the day's file, with some files beside it that the
//! next attempt overwrites, or the sealed day, with the day's file still to be removed. Queries read
//! one or the other ([`crate::parts`]).

mod content;
mod spill;
pub(crate) mod sums;
pub(crate) mod tables;
mod thread;
pub(crate) mod unseal;
mod waiting;

pub(crate) use thread::start;
pub use thread::{ask_daemon, seal_days};
pub use waiting::waiting;

use crate::evidence::batch::Batch;
use crate::evidence::salt::Salts;
use crate::evidence::sealed_rows::{Checked, first_misfit};
use crate::evidence::tree::{FileTree, Tree as _};
use crate::notes;
use crate::parts::Part;
use crate::sqlite::{beside, open_to_write};
use content::Content;
use jiff::civil::Date;
use sha2::{Digest, Sha256};
use spill::{SAMPLE, Spill};
use sqlx::{Connection, Row, SqliteConnection};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tables::{Stored, StoredEnd, StoredNotes, Tables};
use thiserror::Error;

/// Rows read from the day's file at a time.
const READ_ROWS: i64 = 8192;

/// First version of a day's file whose ends have a place.
const WITH_END_PLACES: i64 = 3;

/// Why a day is not sealed. Its file stays as it was.
#[derive(Debug, Error)]
pub enum SealError {
    /// The day's file, or the one of its sums.
    #[error("sealing {path}: {source}")]
    Store {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: sqlx::Error,
    },
    /// The sealed file.
    #[error("sealing: {0}")]
    Sealed(#[from] sealed::Error),
    /// Other files.
    #[error("sealing in {path}: {source}; see that there is room")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// An access has no end yet.
    #[error("{day} is not over: record {day}:{sequence} has no end yet")]
    StillOpen {
        /// The day.
        day: Date,
        /// The place of the first such access.
        sequence: i64,
    },
    /// Rows or ends of it are in no batch.
    #[error("{path} has rows that no batch holds yet; it stays as it is until they have one")]
    Waits {
        /// The day's file.
        path: PathBuf,
    },
    /// The rows are not those that its batches prove.
    #[error(
        "{path}: batch {batch} does not prove its rows; it stays as it is; see schoolgate audit verify"
    )]
    Misproved {
        /// The day's file.
        path: PathBuf,
        /// Number of the batch.
        batch: u64,
    },
    /// What was read back is not what was written.
    #[error("{path}: what was read back is not what was written; the day stays unsealed")]
    Differs {
        /// The new file.
        path: PathBuf,
    },
    /// Told to stop.
    #[error("told to stop before the day was sealed")]
    Stopped,
    /// Somebody else replaces files of days, or reads them.
    #[error(
        "records are being erased, verified or backed up, or another command seals days; try again when that is over"
    )]
    Busy,
    /// The lock of the state folder.
    #[error(transparent)]
    Start(#[from] crate::ingest::StartError),
}

/// When the daemon seals days.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Milliseconds after the end of a day from which it may be sealed.
    pub grace_ms: u64,
    /// Milliseconds between two looks for days that are over.
    pub look_interval_ms: u64,
    /// Niceness of its thread, -20 to 19: the lowest priority unless told otherwise, as nobody waits for it.
    pub niceness: i32,
}

impl Default for Settings {
    /// From three o'clock in the night, seen within a minute.
    fn default() -> Self {
        Self { grace_ms: 3 * 3_600_000, look_interval_ms: 60_000, niceness: 19 }
    }
}

/// A day's part that was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The part.
    pub part: Part,
    /// Its rows.
    pub rows: u64,
    /// Bytes of the file that was written to.
    pub open_bytes: u64,
    /// Bytes of the two files that it became.
    pub sealed_bytes: u64,
    /// How long it took.
    pub took: Duration,
}

/// Seals a part. Nobody may write to it meanwhile. `stop` is asked between any two steps and every
/// few thousand rows.
pub(crate) async fn seal_part(
    folder: &Path,
    part: Part,
    stop: &mut dyn FnMut() -> bool,
) -> Result<Sealed, SealError> {
    let began = Instant::now();
    let written = Part { sealed: false, ..part };
    let done = Part { sealed: true, ..part };
    let database = written.database(folder);
    let files = Files { folder, part, stop };
    let open_bytes = length(&database).unwrap_or(0);
    // A stop or kill after the names were given: all that is left to do is to take the file away.
    if !done.database(folder).exists() {
        let waits = crate::sqlite::waits_for_batch(&database).await;
        if waits.map_err(|source| stored(&database, source))? {
            return Err(SealError::Waits { path: database });
        }
        files.write(&database, done).await?;
    }
    remove_written(folder, written, done).await?;
    let rows = noted(&done.database(folder), sums::ROWS).await?;
    let both = [done.database(folder), done.rows(folder)];
    Ok(Sealed {
        part: done,
        rows: rows.max(0) as u64,
        open_bytes,
        sealed_bytes: both.iter().filter_map(|path| length(path)).sum(),
        took: began.elapsed(),
    })
}

async fn noted(database: &Path, key: &str) -> Result<i64, SealError> {
    let number = sums::number(database, key).await.map_err(|source| stored(database, source))?;
    number.ok_or_else(|| stored(database, sqlx::Error::Decode(format!("no {key} in meta").into())))
}

fn stored(path: &Path, source: sqlx::Error) -> SealError {
    SealError::Store { path: path.to_owned(), source }
}

fn length(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.len())
}

/// Removes the written file of a sealed part, which was read back and compared before it got its names: here
/// only its length is, as one that was cut off since would take the place of a whole day.
async fn remove_written(folder: &Path, written: Part, done: Part) -> Result<(), SealError> {
    let database = written.database(folder);
    if !database.exists() {
        return Ok(());
    }
    let rows = done.rows(folder);
    let expected = noted(&done.database(folder), sums::FILE_BYTES).await?;
    if length(&rows) != u64::try_from(expected).ok() {
        return Err(SealError::Differs { path: rows });
    }
    let io = |path: &Path, source| SealError::Io { path: path.to_owned(), source };
    for suffix in ["", "-wal", "-shm"] {
        let path = beside(&database, suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io(&path, error));
            }
            _ => {}
        }
    }
    sync_folder(folder).map_err(|error| io(folder, error))
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// The files of one sealing.
struct Files<'a> {
    folder: &'a Path,
    part: Part,
    stop: &'a mut dyn FnMut() -> bool,
}

impl Files<'_> {
    fn go_on(&mut self) -> Result<(), SealError> {
        if (self.stop)() { Err(SealError::Stopped) } else { Ok(()) }
    }

    fn io(&self, source: std::io::Error) -> SealError {
        SealError::Io { path: self.folder.to_owned(), source }
    }

    /// Makes both files and gives them their names, in this order.
    async fn write(mut self, database: &Path, done: Part) -> Result<(), SealError> {
        let new_rows = self.part.path(self.folder, "parquet.new");
        let new_sums = self.part.path(self.folder, "sums.new");
        let made = self.write_new(database, &new_rows, &new_sums).await;
        if let Err(error) = made {
            for path in [&new_rows, &new_sums] {
                let _ = std::fs::remove_file(path);
            }
            return Err(error);
        }
        std::fs::rename(&new_rows, done.rows(self.folder)).map_err(|error| self.io(error))?;
        sync_folder(self.folder).map_err(|error| self.io(error))?;
        self.go_on()?;
        std::fs::rename(&new_sums, done.database(self.folder)).map_err(|error| self.io(error))?;
        sync_folder(self.folder).map_err(|error| self.io(error))?;
        self.go_on()
    }

    async fn write_new(
        &mut self,
        database: &Path,
        new_rows: &Path,
        new_sums: &Path,
    ) -> Result<(), SealError> {
        let failed = |source| stored(database, source);
        let mut connection = open_to_write(database).await.map_err(failed)?;
        let read = self.write_rows(&mut connection, database, new_rows).await;
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection);
        checkpoint.await.map_err(failed)?;
        connection.close().await.map_err(failed)?;
        let (content, next_sequence) = read?;
        self.go_on()?;
        if self.read_back(new_rows)? != content {
            return Err(SealError::Differs { path: new_rows.to_owned() });
        }
        let notes = sums::Notes {
            rows: content.rows,
            next_sequence,
            file_bytes: length(new_rows).unwrap_or(0),
            file_hash: hash_of(new_rows).map_err(|error| self.io(error))?,
            content: content.hex(),
        };
        self.go_on()?;
        sums::make(database, new_sums, &notes).await.map_err(|source| stored(new_sums, source))?;
        self.go_on()?;
        self.compare_batches(database, new_rows, new_sums).await?;
        self.go_on()
    }

    /// Whether the finished files prove what the day's file did.
    async fn compare_batches(
        &mut self,
        database: &Path,
        new_rows: &Path,
        new_sums: &Path,
    ) -> Result<(), SealError> {
        let proved =
            sums::Proved::read(new_sums).await.map_err(|source| stored(new_sums, source))?;
        let Some(proved) = proved else { return Ok(()) };
        let misproved = |batch| SealError::Misproved { path: database.to_owned(), batch };
        if let Some(batch) = proved.gap() {
            return Err(misproved(batch));
        }
        let audit = self.folder.parent().map(crate::evidence::folder).unwrap_or_default();
        let tree = FileTree::look(&audit.join(crate::evidence::access::TREE));
        // The tree is made again from the batches where it lacks them.
        if let Some(tree) = tree.map_err(|error| self.io(error))? {
            let differs = |batch: &&Batch| {
                batch.number < tree.size()
                    && tree.leaf(batch.number).is_ok_and(|leaf| leaf != batch.leaf())
            };
            if let Some(batch) = proved.batches.iter().find(differs) {
                return Err(misproved(batch.number));
            }
        }
        let file = sealed::File::open(new_rows)?;
        let salts = Salts::new(&proved.secret);
        match first_misfit(&file, &proved.batches, &salts, self.stop)? {
            None => Err(SealError::Stopped),
            Some(Checked::Fits) => Ok(()),
            Some(Checked::Misfit(batch)) => Err(misproved(batch)),
        }
    }

    /// Writes the rows of the day's file; gives what they say, and the place of the next row.
    async fn write_rows(
        &mut self,
        connection: &mut SqliteConnection,
        database: &Path,
        new_rows: &Path,
    ) -> Result<(Content, i64), SealError> {
        let failed = |source| stored(database, source);
        let tables = Tables::load(connection).await.map_err(failed)?;
        let sample = sample(connection, &tables).await.map_err(failed)?;
        self.go_on()?;
        let folder = self.part.path(self.folder, "sorting");
        let mut spill = Spill::create(&folder, sample).map_err(|error| self.io(error))?;
        let (content, next_sequence) =
            self.read_rows(connection, database, &tables, &mut spill).await?;
        let notes = [
            ("schoolgate.day", self.part.day.to_string()),
            ("schoolgate.part", self.part.number.to_string()),
            ("schoolgate.version", "2".to_owned()),
        ];
        let mut writer = sealed::Writer::create(new_rows, &notes)?;
        for number in 0..spill.stretches() {
            self.go_on()?;
            let bytes = spill.stretch(number).map_err(|error| self.io(error))?;
            let mut rows = spill::rows(&bytes).map_err(|error| self.io(error))?;
            if rows.is_empty() {
                continue;
            }
            let key =
                |row: &Stored<'_>| tables.key(row.who, row.at, row.sequence).unwrap_or_default();
            rows.sort_by_cached_key(key);
            // Every row was named once, when it was read.
            let named: Result<Vec<_>, _> = rows.iter().map(|row| tables.row(row)).collect();
            let named = named.map_err(failed)?;
            writer.group(named.len(), |place| named[place])?;
        }
        self.go_on()?;
        writer.finish()?;
        Ok((content, next_sequence))
    }

    async fn read_rows(
        &mut self,
        connection: &mut SqliteConnection,
        database: &Path,
        tables: &Tables,
        spill: &mut Spill,
    ) -> Result<(Content, i64), SealError> {
        let failed = |source| stored(database, source);
        let version = sqlx::query("PRAGMA user_version").fetch_one(&mut *connection).await;
        let version = version.and_then(|row| row.try_get::<i64, _>(0)).map_err(failed)?;
        let sql = match version {
            notes::FIRST_WITH_NOTES.. => ROWS_WITH_NOTES,
            WITH_END_PLACES.. => ROWS_WITH_PLACES,
            _ => ROWS,
        };
        let mut content = Content::default();
        let mut buffer = Vec::new();
        let mut next = first_sequence(connection).await.map_err(failed)?;
        loop {
            self.go_on()?;
            let rows =
                sqlx::query(sql).bind(next).bind(READ_ROWS).fetch_all(&mut *connection).await;
            let rows = rows.map_err(failed)?;
            for row in &rows {
                let sequence = row.try_get(0).map_err(failed)?;
                let Some(stored_row) = read_row(row).map_err(failed)? else {
                    return Err(SealError::StillOpen { day: self.part.day, sequence });
                };
                let named = tables.row(&stored_row).map_err(failed)?;
                content.add(&named, &mut buffer);
                let key = tables.key(stored_row.who, stored_row.at, sequence).map_err(failed)?;
                spill.add(&key, &stored_row).map_err(|error| self.io(error))?;
                next = sequence + 1;
            }
            if rows.len() < READ_ROWS as usize {
                return Ok((content, next));
            }
        }
    }

    /// What the rows of the finished file say.
    fn read_back(&mut self, new_rows: &Path) -> Result<Content, SealError> {
        let file = sealed::File::open(new_rows)?;
        let mut content = Content::default();
        let mut buffer = Vec::new();
        for number in 0..file.groups() {
            self.go_on()?;
            let group = file.group(number);
            if group.misleading()?.is_some() {
                return Err(SealError::Differs { path: new_rows.to_owned() });
            }
            for row in 0..group.rows() {
                content.add(&group.row(row)?, &mut buffer);
            }
        }
        Ok(content)
    }
}

/// The place of a file's first row: in a later part of a day that of the first row behind the others.
async fn first_sequence(db: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let noted = sqlx::query("SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?");
    let noted = noted.bind(crate::parts::FIRST_ROW).fetch_optional(db);
    noted.await?.map_or(Ok(0), |row| row.try_get(0))
}

const ROWS: &str = r#"SELECT a.sequence, a.id, a.at, a.who, a.what, a.path,
  coalesce(a."end", e."end"), coalesce(a.status, e.status), coalesce(a.bytes_up, e.bytes_up),
  coalesce(a.bytes_down, e.bytes_down), coalesce(a.duration_us, e.duration_us), NULL, NULL, NULL, NULL, NULL,
  NULL
FROM access a LEFT JOIN access_end e ON e.sequence = a.sequence
WHERE a.sequence >= ? ORDER BY a.sequence LIMIT ?"#;

const ROWS_WITH_PLACES: &str = r#"SELECT a.sequence, a.id, a.at, a.who, a.what, a.path,
  coalesce(a."end", e."end"), coalesce(a.status, e.status), coalesce(a.bytes_up, e.bytes_up),
  coalesce(a.bytes_down, e.bytes_down), coalesce(a.duration_us, e.duration_us), e.place, NULL, NULL, NULL, NULL,
  NULL
FROM access a LEFT JOIN access_end e ON e.sequence = a.sequence
WHERE a.sequence >= ? ORDER BY a.sequence LIMIT ?"#;

const ROWS_WITH_NOTES: &str = r#"SELECT a.sequence, a.id, a.at, a.who, a.what, a.path,
  coalesce(a."end", e."end"), coalesce(a.status, e.status), coalesce(a.bytes_up, e.bytes_up),
  coalesce(a.bytes_down, e.bytes_down), coalesce(a.duration_us, e.duration_us), e.place, m.signs, n.kind, n.site,
  n.words, n.signs
FROM access a LEFT JOIN access_end e ON e.sequence = a.sequence
LEFT JOIN access_note n ON n.sequence = a.sequence LEFT JOIN end_note m ON m.sequence = e.sequence
WHERE a.sequence >= ? ORDER BY a.sequence LIMIT ?"#;

/// `None`: the access has no end.
fn read_row(row: &sqlx::sqlite::SqliteRow) -> Result<Option<Stored<'_>>, sqlx::Error> {
    let Some(number) = row.try_get::<Option<u8>, _>(6)? else { return Ok(None) };
    let end = StoredEnd {
        number,
        status: row.try_get(7)?,
        bytes_up: row.try_get(8)?,
        bytes_down: row.try_get(9)?,
        duration_us: row.try_get(10)?,
        place: row.try_get(11)?,
        signs: row.try_get(12)?,
    };
    let kind: Option<u8> = row.try_get(13)?;
    let (site, words): (Option<&str>, Option<&str>) = (row.try_get(14)?, row.try_get(15)?);
    let words = kind.zip(site).zip(words).map(|((kind, site), words)| (kind, site, words));
    let notes = StoredNotes { words, signs: row.try_get(16)? };
    Ok(Some(Stored {
        sequence: row.try_get(0)?,
        id: row.try_get(1)?,
        at: row.try_get(2)?,
        who: row.try_get(3)?,
        what: row.try_get(4)?,
        path: row.try_get(5)?,
        end,
        notes,
    }))
}

async fn sample(
    db: &mut SqliteConnection,
    tables: &Tables,
) -> Result<Vec<tables::Key>, sqlx::Error> {
    let rows = sqlx::query("SELECT who, at, sequence FROM access WHERE sequence % ? = 0");
    let rows = rows.bind(SAMPLE as i64).fetch_all(db).await?;
    rows.iter().map(|row| tables.key(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)).collect()
}

/// SHA-256 of a file, hex.
pub(crate) fn hash_of(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
