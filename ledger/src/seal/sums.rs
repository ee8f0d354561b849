//! The database that stays of a sealed day: sums, the names in them, how far journals are stored, and
//! proofs; everything but the rows.

use crate::evidence::batch::Batch;
use crate::evidence::salt::DaySecret;
use crate::sqlite::{beside, open_to_read};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use std::path::Path;

/// The tables that only rows need.
pub(crate) const OF_ROWS: [&str; 7] =
    ["access", "access_end", "access_note", "end_note", "who", "what", "category_set"];

/// What is noted of the rows, under these keys of `meta`.
pub(crate) const ROWS: &str = "sealed_rows";
pub(crate) const NEXT_SEQUENCE: &str = "next_sequence";
pub(crate) const FILE_BYTES: &str = "sealed_bytes";
pub(crate) const FILE_HASH: &str = "sealed_sha256";
pub(crate) const CONTENT: &str = "sealed_content";

/// What is noted.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    pub(crate) rows: u64,
    pub(crate) next_sequence: i64,
    pub(crate) file_bytes: u64,
    pub(crate) file_hash: String,
    pub(crate) content: String,
}

/// Copies all but the rows of `day` to a new database and makes that durable.
pub(crate) async fn make(day: &Path, new: &Path, notes: &Notes) -> Result<(), sqlx::Error> {
    for suffix in ["", "-journal"] {
        match std::fs::remove_file(beside(new, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    crate::folder::make_private_file(new)?;
    let mut connection = SqliteConnectOptions::new()
        .filename(new)
        .create_if_missing(true)
        .page_size(4096)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
        .connect()
        .await?;
    let path =
        day.to_str().ok_or_else(|| sqlx::Error::Configuration("a path that is no text".into()))?;
    sqlx::query("ATTACH DATABASE ? AS day").bind(path).execute(&mut connection).await?;
    let version: i64 =
        sqlx::query("PRAGMA day.user_version").fetch_one(&mut connection).await?.try_get(0)?;
    let mut transaction = connection.begin().await?;
    let db = &mut *transaction;
    let schema = sqlx::query(
        "SELECT type, name, tbl_name, sql FROM day.sqlite_schema
         WHERE type IN ('table', 'trigger') AND sql IS NOT NULL AND name NOT LIKE 'sqlite_%'
         ORDER BY type",
    );
    // Tables come before the triggers that guard them.
    for row in schema.fetch_all(&mut *db).await? {
        let (kind, name): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        if OF_ROWS.contains(&row.try_get::<&str, _>(2)?) {
            continue;
        }
        let sql: String = row.try_get(3)?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *db).await?;
        if kind == "table" {
            let name = name.replace('"', "\"\"");
            let sql = format!("INSERT INTO main.\"{name}\" SELECT * FROM day.\"{name}\"");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *db).await?;
        }
    }
    let numbers = [
        (ROWS, notes.rows as i64),
        (NEXT_SEQUENCE, notes.next_sequence),
        (FILE_BYTES, notes.file_bytes as i64),
    ];
    for (key, value) in numbers {
        let insert = sqlx::query("INSERT OR REPLACE INTO main.meta VALUES (?, ?)");
        insert.bind(key).bind(value).execute(&mut *db).await?;
    }
    for (key, value) in [(FILE_HASH, &notes.file_hash), (CONTENT, &notes.content)] {
        let insert = sqlx::query("INSERT OR REPLACE INTO main.meta VALUES (?, ?)");
        insert.bind(key).bind(value).execute(&mut *db).await?;
    }
    sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA main.user_version = {version}")))
        .execute(&mut *db)
        .await?;
    transaction.commit().await?;
    connection.close().await?;
    Ok(std::fs::File::open(new)?.sync_all()?)
}

/// What a sealed part's rows are proved with.
pub(crate) struct Proved {
    pub(crate) secret: DaySecret,
    /// In the order of their numbers.
    pub(crate) batches: Vec<Batch>,
    /// Numbers of those whose record says nothing any more.
    pub(crate) unread: Vec<u64>,
    /// Places of the first row and end that a batch holds.
    first: (u64, u64),
    /// The places behind the last ones.
    next: (u64, u64),
    /// Place of the part's first row.
    pub(crate) first_row: u64,
}

impl Proved {
    /// Reads it from the database of sums; `None`: of a version before proofs.
    pub(crate) async fn read(database: &Path) -> Result<Option<Self>, sqlx::Error> {
        let mut connection = open_to_read(database).await?;
        let read = Self::read_from(&mut connection).await;
        connection.close().await?;
        read
    }

    async fn read_from(db: &mut SqliteConnection) -> Result<Option<Self>, sqlx::Error> {
        let version: i64 =
            sqlx::query("PRAGMA user_version").fetch_one(&mut *db).await?.try_get(0)?;
        if version < crate::evidence::access::FIRST_WITH_BATCHES {
            return Ok(None);
        }
        let row = sqlx::query("SELECT value FROM meta WHERE key = 'secret'").fetch_one(&mut *db);
        let secret = row.await?.try_get::<&[u8], _>(0)?.try_into().map_err(|_| {
            sqlx::Error::Decode("the secret of the day's salts has not 32 bytes".into())
        })?;
        let noted = |key| {
            sqlx::query_scalar::<_, i64>(
                "SELECT CAST(coalesce(max(value), 0) AS INTEGER) FROM meta WHERE key = ?",
            )
            .bind(key)
        };
        let proved_from = noted("proved_from").fetch_one(&mut *db).await?;
        let first_row = noted(crate::parts::FIRST_ROW).fetch_one(&mut *db).await?;
        let first_end = noted(crate::parts::FIRST_END).fetch_one(&mut *db).await?;
        let next = crate::sqlite::next_places(&mut *db).await?;
        let (mut batches, mut unread) = (Vec::new(), Vec::new());
        let records = sqlx::query("SELECT number, record FROM batch ORDER BY number");
        for row in records.fetch_all(db).await? {
            match Batch::read(row.try_get(1)?) {
                Some(batch) => batches.push(batch),
                None => unread.push(row.try_get::<i64, _>(0)? as u64),
            }
        }
        let first = (proved_from as u64, first_end as u64);
        Ok(Some(Self { secret, batches, unread, first, next, first_row: first_row as u64 }))
    }

    /// The number of the first batch that does not follow on the one before it, or cannot be read; all
    /// rows and ends must be in one.
    pub(crate) fn gap(&self) -> Option<u64> {
        if let Some(number) = self.unread.first() {
            return Some(*number);
        }
        let mut next = self.first;
        for batch in &self.batches {
            if (batch.first_row, batch.first_end) != next {
                return Some(batch.number);
            }
            next = (batch.next_row(), batch.next_end());
        }
        let last = self.batches.last().map_or(0, |batch| batch.number + 1);
        (next != self.next).then_some(last)
    }
}

/// A number that is noted in a part's database.
pub(crate) async fn number(database: &Path, key: &str) -> Result<Option<i64>, sqlx::Error> {
    let mut connection = open_to_read(database).await?;
    let row = sqlx::query("SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?").bind(key);
    let row = row.fetch_optional(&mut connection).await?;
    connection.close().await?;
    row.map(|row| row.try_get(0)).transpose()
}
