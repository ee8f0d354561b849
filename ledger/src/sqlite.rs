//! The SQLite files of school days: where they are, how they are opened, and what to do with one
//! that is damaged.

use crate::evidence::erased;
use crate::notes::FIRST_WITH_NOTES;
use crate::parts::parts;
use crate::query::QueryError;
use jiff::civil::Date;
use rules::change::same_person;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::parts::{day_path, days};

/// Prepared statements kept: those of every table and row count in use.
const STATEMENTS: usize = 300;

/// Version of the schema, kept as SQLite's `user_version`.
pub(crate) const SCHEMA_VERSION: i64 = FIRST_WITH_NOTES;

/// The statements that make a day's tables, by the version that they came with. Days from which rows were erased
/// have versions of their own, 4 and 6: those of before and since notes.
const SCHEMAS: [(i64, &str); 4] = [
    (1, include_str!("access.sql")),
    (2, include_str!("access_2.sql")),
    (3, include_str!("access_3.sql")),
    (FIRST_WITH_NOTES, include_str!("access_5.sql")),
];

/// The statements that make the tables of a day's file of this version; `None`: no such version is known.
pub(crate) fn schemas(version: i64) -> Option<Vec<&'static str>> {
    let is_known = (1..=erased::VERSION_WITH_NOTES).contains(&version);
    let made = SCHEMAS.iter().filter(|(since, _)| *since <= version).map(|(_, schema)| *schema);
    let erased = erased::is_in(version).then_some(erased::SCHEMA);
    is_known.then(|| made.chain(erased).collect())
}

/// The highest id that a day's file holds.
pub(crate) const MAX_ID: &str =
    "SELECT CAST(coalesce(max(value), 0) AS INTEGER) FROM meta WHERE key = 'max_id'";

/// The days from `from` to before `until` that `state` holds a log of, each part's with the database
/// of its sums.
pub(crate) fn days_between(
    state: &Path,
    from: Date,
    until: Date,
) -> Result<Vec<(Date, PathBuf)>, QueryError> {
    let folder = state.join("access");
    let all =
        parts(&folder).map_err(|source| QueryError::Folder { path: folder.clone(), source })?;
    let within = all.into_iter().filter(|part| (from..until).contains(&part.day));
    Ok(within.map(|part| (part.day, part.database(&folder))).collect())
}

/// How far one journal file is stored in one day file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// All bytes before it are stored, but for `held`.
    pub(crate) offset: u64,
    /// Starts of decisions that still wait.
    pub(crate) held: BTreeSet<u64>,
}

impl Position {
    /// Whether the decision that starts at `offset` is stored.
    pub(crate) fn holds(&self, offset: u64) -> bool {
        offset < self.offset && !self.held.contains(&offset)
    }

    /// The position once what `read` tells of is stored too. A file that is read again from its
    /// start, as after a kill, is for a while read less far than it is stored: the position stays,
    /// and what waited behind `read` still waits.
    pub(crate) fn advanced_to(&self, read: &Self) -> Self {
        let waiting = self.held.range(read.offset..).copied();
        Self {
            offset: self.offset.max(read.offset),
            held: read.held.iter().copied().chain(waiting).collect(),
        }
    }
}

/// Opens a day's file for reading its sums; where it was sealed or unsealed meanwhile, the file that they
/// are in now. Works beside the writer; on a read-only medium too, where the file was closed in order.
///
/// # Errors
/// [`sqlx::Error`]: no such file, or a write-ahead log that cannot be read there.
pub(crate) async fn open_to_read(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    match open_rows_to_read(path).await {
        Err(_) if !path.exists() => {
            let other = match path.to_str().and_then(|path| path.strip_suffix(".sums.db")) {
                Some(stem) => PathBuf::from(format!("{stem}.db")),
                None => path.with_extension("sums.db"),
            };
            open_rows_to_read(&other).await
        }
        opened => opened,
    }
}

/// Opens a day's file for reading, its rows too.
///
/// # Errors
/// As [`open_to_read`]; the file is gone where the day was sealed meanwhile.
pub(crate) async fn open_rows_to_read(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(Duration::from_secs(5))
        .collation("PERSON", by_person)
        .pragma("cache_size", "-16384")
        .disable_statement_logging();
    let opened = match options.clone().connect().await {
        Ok(mut connection) => {
            let probe =
                sqlx::query("SELECT 1 FROM meta LIMIT 1").fetch_optional(&mut connection).await;
            probe.map(|_| connection)
        }
        Err(error) => Err(error),
    };
    match opened {
        // Without a place for its shared memory SQLite reads a file only as immutable, which
        // passes over the write-ahead log: right only where there is none.
        Err(_) if path.exists() && !has_write_ahead_log(path) => {
            options.immutable(true).connect().await
        }
        opened => opened,
    }
}

/// Whether SQLite says that a file is no database or a malformed one (SQLITE_CORRUPT, 11, and
/// SQLITE_NOTADB, 26, in the low byte of the extended code), or the file holds what this program
/// never wrote there.
pub(crate) fn is_damaged(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<u32>().ok());
            code.is_some_and(|code| matches!(code & 0xff, 11 | 26))
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => true,
        _ => false,
    }
}

/// Sets aside what a day's file that is gone has left beside its place. SQLite would take a log for part of
/// the file that is made there next. Sealed rows whose sums are gone would be taken for what is left of
/// sealing that file, and removed or replaced, though nothing else has them.
pub(crate) fn set_orphans_aside(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let left = ["-wal", "-shm"].iter().any(|suffix| beside(path, suffix).exists());
    if left {
        let aside = set_aside(path)?;
        tracing::error!(kept = %aside.display(), "the log of a missing day file is set aside");
    }
    let rows = path.with_extension("parquet");
    if rows.exists() {
        let aside = free_aside(path).with_extension("parquet");
        std::fs::rename(&rows, &aside)?;
        // Before a file of that name is made again.
        path.parent().map_or(Ok(()), crate::folder::sync_folder)?;
        let kept = aside.display();
        tracing::error!(%kept, "the rows of a sealed day whose sums are missing are set aside");
    }
    Ok(())
}

/// The first name `access-DAY.damaged-N.db` that nothing has, nor the name of rows beside it.
fn free_aside(path: &Path) -> PathBuf {
    let mut number = 1;
    loop {
        let aside = path.with_extension(format!("damaged-{number}.db"));
        let is_taken = ["", "-wal", "-shm"].iter().any(|suffix| beside(&aside, suffix).exists());
        if !is_taken && !aside.with_extension("parquet").exists() {
            return aside;
        }
        number += 1;
    }
}

/// Renames a day's file, and what belongs to it, to `access-DAY.damaged-N.db`: kept for whoever can
/// read it yet, out of the way of queries. Where it holds the sums of sealed rows, their file goes with
/// it: the next that is sealed would take its place. Returns the new path.
pub(crate) fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let aside = free_aside(path);
    let rows_aside = aside.with_extension("parquet");
    let of_sums = path.to_str().and_then(|path| path.strip_suffix(".sums.db"));
    if let Some(stem) = of_sums {
        match std::fs::rename(format!("{stem}.parquet"), rows_aside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::rename(beside(path, suffix), beside(&aside, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

fn has_write_ahead_log(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|metadata| metadata.len() > 0)
}

/// The highest id that a day's file holds.
pub(crate) async fn highest_id(path: &Path) -> Result<u64, sqlx::Error> {
    let mut connection = open_to_read(path).await?;
    let row = sqlx::query(MAX_ID).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(row.try_get::<i64, _>(0)? as u64)
}

/// The places behind the last row of a part and the last of its ends that came by themselves, which
/// are the counts of its day up to there; `None`: of a version before proofs.
pub(crate) async fn counts(path: &Path) -> Result<Option<(u64, u64)>, sqlx::Error> {
    let mut connection = open_to_read(path).await?;
    let version: i64 =
        sqlx::query("PRAGMA user_version").fetch_one(&mut connection).await?.try_get(0)?;
    let next = next_places(&mut connection).await?;
    connection.close().await?;
    Ok((version >= crate::evidence::access::FIRST_WITH_BATCHES).then_some(next))
}

/// The places behind the last row and the last end of a part, sealed or not.
pub(crate) async fn next_places(db: &mut SqliteConnection) -> Result<(u64, u64), sqlx::Error> {
    let mut noted: HashMap<String, i64> = HashMap::new();
    let numbers = sqlx::query("SELECT key, value FROM meta WHERE typeof(value) = 'integer'");
    for row in numbers.fetch_all(&mut *db).await? {
        noted.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let noted = |key: &str| noted.get(key).copied().map(|number| number.max(0) as u64);
    let first_end = noted(crate::parts::FIRST_END).unwrap_or(0);
    let ends = noted("ends").unwrap_or(0).max(first_end);
    if let Some(next) = noted(crate::seal::sums::NEXT_SEQUENCE) {
        return Ok((next, ends));
    }
    let last = sqlx::query("SELECT coalesce(max(sequence) + 1, 0) FROM access").fetch_one(db);
    let next = last.await?.try_get::<i64, _>(0)?.max(0) as u64;
    Ok((next.max(noted(crate::parts::FIRST_ROW).unwrap_or(0)), ends))
}

/// Whether a day's file that nobody writes to has rows or ends that no batch holds, though one
/// should: a kill came before it was made.
pub(crate) async fn waits_for_batch(path: &Path) -> Result<bool, sqlx::Error> {
    let mut connection = open_rows_to_read(path).await?;
    let version: i64 =
        sqlx::query("PRAGMA user_version").fetch_one(&mut connection).await?.try_get(0)?;
    let mut waits = false;
    if version >= crate::evidence::access::FIRST_WITH_BATCHES {
        let last = sqlx::query("SELECT record FROM batch ORDER BY number DESC LIMIT 1");
        let last = last.fetch_optional(&mut connection).await?;
        let batched = match last {
            None => {
                let from = sqlx::query(
                    "SELECT CAST(coalesce((SELECT value FROM meta WHERE key = 'proved_from'), 0) AS INTEGER),
                       CAST(coalesce((SELECT value FROM meta WHERE key = ?), 0) AS INTEGER)",
                );
                let from = from.bind(crate::parts::FIRST_END).fetch_one(&mut connection).await?;
                Some((from.try_get::<i64, _>(0)? as u64, from.try_get::<i64, _>(1)? as u64))
            }
            // A record that was altered cannot be mended by another batch.
            Some(row) => crate::evidence::batch::Batch::read(row.try_get(0)?)
                .map(|batch| (batch.next_row(), batch.next_end())),
        };
        let next = next_places(&mut connection).await?;
        waits = batched.is_some_and(|batched| next.0 > batched.0 || next.1 > batched.1);
    }
    connection.close().await?;
    Ok(waits)
}

/// How far each journal file is stored in a day's file.
pub(crate) async fn stored_positions(path: &Path) -> Result<HashMap<u64, Position>, sqlx::Error> {
    let mut connection = open_to_read(path).await?;
    let positions = positions(&mut connection).await?;
    connection.close().await?;
    Ok(positions)
}

/// The order of names in which two are equal where they are one person's: SQLite itself knows no case beyond
/// ASCII.
fn by_person(one: &str, other: &str) -> std::cmp::Ordering {
    match same_person(one, other) {
        true => std::cmp::Ordering::Equal,
        false => one.trim().to_lowercase().cmp(&other.trim().to_lowercase()),
    }
}

pub(crate) async fn open_to_write(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(STATEMENTS)
        .pragma("cache_size", "-8192")
        .pragma("wal_autocheckpoint", "2000")
        .disable_statement_logging()
        .connect()
        .await
}

/// Makes a day's file under another name first: a reader never meets one without its tables.
/// Its first row and end get the places `first`, which are not 0 where parts of the day are sealed.
pub(crate) async fn create_whole(
    path: &Path,
    day: Date,
    first: (u64, u64),
) -> Result<(), sqlx::Error> {
    let new = path.with_extension("new");
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::remove_file(beside(&new, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let mut connection = open_to_write(&new).await?;
    create_schema(&mut connection, day).await?;
    if first != (0, 0) {
        let numbers = [
            (crate::parts::FIRST_ROW, first.0),
            (crate::parts::FIRST_END, first.1),
            ("proved_from", first.0),
        ];
        for (key, number) in numbers {
            let insert = sqlx::query("INSERT OR REPLACE INTO meta VALUES (?, ?)").bind(key);
            insert.bind(number as i64).execute(&mut connection).await?;
        }
    }
    // The write-ahead log is moved into the file, so that one rename takes all of it. Closing would do
    // so too, but says nothing where the disk refuses it.
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await?;
    connection.close().await?;
    if std::fs::metadata(beside(&new, "-wal")).is_ok_and(|log| log.len() > 0) {
        let text = format!("{}: its write-ahead log cannot be moved into it", new.display());
        return Err(sqlx::Error::Io(std::io::Error::other(text)));
    }
    Ok(std::fs::rename(&new, path)?)
}

/// The name of a file that SQLite keeps beside another.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

pub(crate) async fn create_schema(
    connection: &mut SqliteConnection,
    day: Date,
) -> Result<(), sqlx::Error> {
    let version: i64 =
        sqlx::query("PRAGMA user_version").fetch_one(&mut *connection).await?.try_get(0)?;
    // A day from which rows were erased takes what still comes like any other.
    if version == SCHEMA_VERSION || version == erased::VERSION_WITH_NOTES {
        return Ok(());
    }
    if version > erased::VERSION_WITH_NOTES {
        let text = format!("schema version {version}: written by a newer schoolgate");
        return Err(sqlx::Error::Configuration(text.into()));
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for (_, schema) in SCHEMAS.iter().filter(|(since, _)| *since > version) {
        sqlx::raw_sql(*schema).execute(&mut *transaction).await?;
    }
    if version == 0 {
        sqlx::query("INSERT INTO meta VALUES ('day', ?)")
            .bind(day.to_string())
            .execute(&mut *transaction)
            .await?;
    }
    if version < crate::evidence::access::FIRST_WITH_BATCHES {
        sqlx::query("INSERT INTO meta VALUES ('secret', ?)")
            .bind(&crate::evidence::salt::new_secret()?[..])
            .execute(&mut *transaction)
            .await?;
        // Rows of before are not hashed after the fact: nobody could tell what they were until now.
        sqlx::raw_sql(
            "INSERT INTO meta SELECT 'proved_from', max(coalesce(max(sequence) + 1, 0),
               coalesce((SELECT value FROM meta WHERE key = 'first_sequence'), 0)) FROM access",
        )
        .execute(&mut *transaction)
        .await?;
    }
    let now = match erased::is_in(version) {
        true => erased::VERSION_WITH_NOTES,
        false => SCHEMA_VERSION,
    };
    let sql = format!("PRAGMA user_version = {now}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    transaction.commit().await
}

/// Makes what is committed to a day's file durable: SQLite syncs its write-ahead log only when it moves
/// it into the file.
pub(crate) fn sync_files(path: &Path) -> std::io::Result<()> {
    for suffix in ["-wal", ""] {
        match std::fs::File::open(beside(path, suffix)) {
            Ok(file) => file.sync_data()?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

pub(crate) async fn positions(
    connection: &mut SqliteConnection,
) -> Result<HashMap<u64, Position>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT segment, offset, held FROM position").fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let held: &[u8] = row.try_get(2)?;
            let held =
                held.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
            let offset = row.try_get::<i64, _>(1)? as u64;
            Ok((row.try_get::<i64, _>(0)? as u64, Position { offset, held }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_position_never_goes_back() {
        let stored = Position { offset: 1000, held: [100, 600, 900].into() };
        // Read again up to 700: 100 is stored now, 600 waits again, 900 was not met yet.
        let read = Position { offset: 700, held: [600].into() };
        let after = stored.advanced_to(&read);
        assert_eq!(after, Position { offset: 1000, held: [600, 900].into() });
        let further = Position { offset: 1200, held: [1100].into() };
        assert_eq!(after.advanced_to(&further), further);
    }

    proptest! {
        #[test]
        fn what_a_position_holds_it_goes_on_holding(
            stored in 0u64..100,
            waiting in prop::collection::btree_set(0u64..100, 0..20),
            read in 0u64..100,
            taken in prop::collection::btree_set(0u64..100, 0..20),
        ) {
            let stored = Position {
                held: waiting.iter().copied().filter(|&place| place < stored).collect(),
                offset: stored,
            };
            // Only what is not stored yet is read and waits.
            let waits = |&place: &u64| place < read && !stored.holds(place);
            let read = Position { held: taken.iter().copied().filter(waits).collect(), offset: read };
            let after = stored.advanced_to(&read);
            for place in 0..100 {
                let now = stored.holds(place) || (place < read.offset && !read.held.contains(&place));
                prop_assert_eq!(after.holds(place), now, "{}", place);
            }
        }
    }
}
