//! The change log: every change to the filter and every admin action, append-only, in one SQLite
//! file (`STATE/changes.db`) that the daemon and the command line share. Beside it, in the same file,
//! lie the users (`users`) and the administrators with their sessions (`accounts`).
//!
//! A change takes effect only once its entry is durable: entries are written in `BEGIN IMMEDIATE`
//! transactions with `synchronous=FULL`, so two writers never share a sequence and a power cut
//! loses no change that was reported as made. An entry's body is canonical JSON (RFC 8785) and its
//! leaf hash (RFC 6962: SHA-256 of 0x00 and the body) is kept beside it for the signed log to come;
//! every read checks it, so that a damaged entry stops the reader instead of misleading it.

use crate::folder::make_folder;
use rules::change::{ChangeEntry, Changes, Event};
use rules::time::UnixMillis;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Row, SqlSafeStr, Sqlite, SqliteConnection,
    Transaction,
};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::Mutex;

/// How long a writer waits for another one before [`AppendError::Busy`], in milliseconds.
pub const BUSY_TIMEOUT_MS: u64 = 5_000;

/// SQLite's `SQLITE_IOERR_DELETE_NOENT`: the journal to be removed is gone already.
const JOURNAL_GONE: i32 = 5898;

/// Actor of what the daemon does by itself.
pub const ACTOR_DAEMON: &str = "schoolgate";

/// The steps that make the tables, each with its version and name. A file of an earlier version
/// gets those that it lacks; a step is never edited once it was released.
const MIGRATIONS: [(i64, &str, &str); 2] = [
    (1, "changes and users", include_str!("changes_schema_1.sql")),
    (2, "accounts and sessions", include_str!("changes_schema_2.sql")),
];

/// Version of the tables, kept in SQLite's `user_version`.
const SCHEMA_VERSION: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// The statements that make the tables of a version; of an unknown one all that are known.
pub(crate) fn schema_of(version: i64) -> Vec<&'static str> {
    let known = (1..=SCHEMA_VERSION).contains(&version);
    let fits = |of: i64| !known || of <= version;
    MIGRATIONS.iter().filter(|(of, ..)| fits(*of)).map(|(_, _, sql)| *sql).collect()
}

/// Why the change log cannot be opened, read or written. Nothing was changed.
#[derive(Debug, Error)]
pub enum AppendError {
    /// The state folder or file cannot be made.
    #[error("change log {path}: {source}; check that this user may write the state folder")]
    Folder {
        /// File or folder.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// Another process holds the log for longer than [`BUSY_TIMEOUT_MS`].
    #[error("change log {path}: another process is writing; try again")]
    Busy {
        /// File.
        path: String,
    },
    /// No room.
    #[error("change log {path}: disk full at entry {sequence}; free space, then try again")]
    DiskFull {
        /// File.
        path: String,
        /// The entry that did not fit.
        sequence: u64,
        /// Cause.
        source: sqlx::Error,
    },
    /// The file may be read but not written.
    #[error("change log {path}: read-only; run as the user that owns the state folder")]
    ReadOnly {
        /// File.
        path: String,
    },
    /// The file is gone, but the folder is not new: a fresh log would forget every block, ban and
    /// user without a word.
    #[error(
        "change log {path}: missing, but {beside} shows that this state folder is in use; nothing \
         was changed; restore changes.db from a backup, or move the state folder aside to start anew"
    )]
    Missing {
        /// File.
        path: String,
        /// What the folder holds of an earlier run.
        beside: String,
    },
    /// The file is no change log, or does not hold what was written.
    #[error("change log {path}: damaged ({why}); restore it from a backup, do not edit it")]
    Damaged {
        /// File.
        path: String,
        /// What is wrong, with the entry where known.
        why: String,
    },
    /// Written by a later version of this program.
    #[error("change log {path}: written by a newer schoolgate; use that version")]
    Newer {
        /// File.
        path: String,
    },
    /// Anything else that SQLite says.
    #[error("change log {path}: {source}")]
    Store {
        /// File.
        path: String,
        /// Cause.
        source: sqlx::Error,
    },
}

/// Why [`ChangeLog::append_with`] wrote nothing: the closure said no, or the log failed.
#[derive(Debug, Error)]
pub enum AppendWithError<E> {
    /// What the closure returned.
    #[error("{0}")]
    Refused(E),
    /// The log.
    #[error(transparent)]
    Log(#[from] AppendError),
}

/// A cheap mark of the log's content: two equal stamps of one [`ChangeLog`] mean that nothing was
/// written between them, by this process or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    data_version: i64,
    own_commits: u64,
}

/// An open change log with its users. One connection; methods may be called from any task.
pub struct ChangeLog {
    path: PathBuf,
    /// The file that was opened: another one under its name is not this log.
    inode: u64,
    inner: Mutex<Inner>,
}

struct Inner {
    connection: SqliteConnection,
    folded: Changes,
    next_sequence: u64,
    last_at: UnixMillis,
    own_commits: u64,
}

/// A write in progress: the lock is held, the state folded. Dropped without
/// [`Writing::commit`], nothing has happened.
pub(crate) struct Writing<'a> {
    pub(crate) transaction: Transaction<'a, Sqlite>,
    log_path: &'a Path,
    folded: &'a mut Changes,
    next_sequence: &'a mut u64,
    last_at: &'a mut UnixMillis,
    own_commits: &'a mut u64,
}

impl ChangeLog {
    /// Where the log of a state folder lies.
    #[must_use]
    pub fn path_in(state: &Path) -> PathBuf {
        state.join("changes.db")
    }

    /// Opens `STATE/changes.db`, making the folder (mode 0700) and file (0600) if missing, and
    /// reads it through once: every entry's hash and place is checked. Made only in a folder that is
    /// new: where records, list versions or policies of an earlier run lie beside, a missing log is
    /// an error.
    ///
    /// # Errors
    /// [`AppendError`]; [`AppendError::Missing`].
    pub async fn open(state: &Path) -> Result<ChangeLog, AppendError> {
        let path = Self::path_in(state);
        if !holds_anything(&path)
            && let Some(beside) = earlier_run(state)
        {
            return Err(AppendError::Missing { path: show(&path), beside: show(&beside) });
        }
        make_file(state, &path)
            .map_err(|source| AppendError::Folder { path: show(&path), source })?;
        let connection = connect(&path).await?;
        let inner = Inner {
            connection,
            folded: Changes::default(),
            next_sequence: 0,
            last_at: UnixMillis(i64::MIN),
            own_commits: 0,
        };
        let inode = std::fs::metadata(&path).map(|data| data.ino()).unwrap_or(0);
        let log = ChangeLog { path, inode, inner: Mutex::new(inner) };
        log.inner.lock().await.catch_up(&log.path).await?;
        Ok(log)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends what `decide` returns, each with its actor, in one durable transaction. `decide` sees
    /// the log folded up to this moment while nobody else can write, so what it checks still holds
    /// when its events are stored. Returning no events writes nothing. An entry's time is `at`, or
    /// that of the entry before where the clock has gone back since: times never fall in the log.
    ///
    /// # Errors
    /// [`AppendWithError::Refused`] with the closure's own error, or the log's.
    pub async fn append_with<E, F>(
        &self,
        at: UnixMillis,
        decide: F,
    ) -> Result<Vec<ChangeEntry>, AppendWithError<E>>
    where
        F: FnOnce(&Changes) -> Result<Vec<(String, Event)>, E>,
    {
        self.check_place()?;
        let mut inner = self.inner.lock().await;
        let writing = inner.begin(&self.path).await?;
        let events = decide(writing.changes()).map_err(AppendWithError::Refused)?;
        Ok(writing.commit(at, events).await?)
    }

    /// Appends one event.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn append(
        &self,
        at: UnixMillis,
        actor: &str,
        event: Event,
    ) -> Result<ChangeEntry, AppendError> {
        self.check_place()?;
        let mut inner = self.inner.lock().await;
        let writing = inner.begin(&self.path).await?;
        let sequence = *writing.next_sequence;
        let actor = actor.to_owned();
        let mut entries = writing.commit(at, vec![(actor.clone(), event.clone())]).await?;
        Ok(entries.pop().unwrap_or(ChangeEntry { sequence, at, actor, event }))
    }

    /// The entries after the first `size` ones (`0`: all), in order.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn entries_after(&self, size: u64) -> Result<Vec<ChangeEntry>, AppendError> {
        let mut inner = self.inner.lock().await;
        read_entries(&mut inner.connection, &self.path, size).await
    }

    /// The leaf hashes of the entries after the first `size` ones, made from their bytes.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn leaves_after(&self, size: u64) -> Result<Vec<[u8; 32]>, AppendError> {
        let query = sqlx::query("SELECT body FROM change WHERE sequence >= ? ORDER BY sequence")
            .bind(i64::try_from(size).unwrap_or(i64::MAX));
        let rows = self.fetch(query).await?;
        let leaf = |row: &sqlx::sqlite::SqliteRow| {
            let body: &str = row.try_get(0).map_err(|e| damaged(&self.path, e.to_string()))?;
            Ok(leaf_hash(body.as_bytes()))
        };
        rows.iter().map(leaf).collect()
    }

    /// The entries whose event has one of these words (`policy_applied`, ...), in order.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn entries_of(&self, kinds: &[&str]) -> Result<Vec<ChangeEntry>, AppendError> {
        let mut inner = self.inner.lock().await;
        let rows = sqlx::query(
            "SELECT sequence, body, leaf FROM change
             WHERE kind IN (SELECT value FROM json_each(?)) ORDER BY sequence",
        )
        .bind(Value::from(kinds.to_vec()).to_string())
        .fetch_all(&mut inner.connection)
        .await
        .map_err(|e| store_error(&self.path, 0, e))?;
        rows.iter().map(|row| entry_of(row, &self.path)).collect()
    }

    /// How many entries there are.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn size(&self) -> Result<u64, AppendError> {
        let mut inner = self.inner.lock().await;
        size_of(&mut inner.connection).await.map_err(|e| store_error(&self.path, 0, e))
    }

    /// The log folded up to now: what is in force, and the history of each change.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn changes(&self) -> Result<Changes, AppendError> {
        let mut inner = self.inner.lock().await;
        inner.catch_up(&self.path).await?;
        Ok(inner.folded.clone())
    }

    /// A mark to compare with a later one; microseconds, reads no table.
    ///
    /// # Errors
    /// [`AppendError`]; [`AppendError::Damaged`] too once the file was removed or replaced.
    pub async fn stamp(&self) -> Result<Stamp, AppendError> {
        self.check_place()?;
        let mut inner = self.inner.lock().await;
        let row = sqlx::query("PRAGMA data_version")
            .fetch_one(&mut inner.connection)
            .await
            .map_err(|e| store_error(&self.path, 0, e))?;
        Ok(Stamp { data_version: row.get(0), own_commits: inner.own_commits })
    }

    /// A file that was removed lives on unseen while it is open: what is written to it would be lost,
    /// and what others write to its successor never seen.
    fn check_place(&self) -> Result<(), AppendError> {
        match std::fs::metadata(&self.path) {
            Ok(data) if data.ino() == self.inode => Ok(()),
            _ => Err(damaged(&self.path, "the file was removed or replaced".to_owned())),
        }
    }

    /// Runs one read on the log's connection; for [`crate::users`] and [`crate::accounts`].
    pub(crate) async fn fetch(
        &self,
        query: sqlx::query::Query<'_, Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<Vec<sqlx::sqlite::SqliteRow>, AppendError> {
        let mut inner = self.inner.lock().await;
        query.fetch_all(&mut inner.connection).await.map_err(|e| store_error(&self.path, 0, e))
    }

    /// Takes the write lock and hands it to `work` with the log folded. `work` changes tables and
    /// returns the events that say so; both become durable together.
    pub(crate) async fn write<E, F>(
        &self,
        at: UnixMillis,
        work: F,
    ) -> Result<Vec<ChangeEntry>, AppendWithError<E>>
    where
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<Vec<(String, Event)>, E>,
    {
        self.check_place()?;
        let mut inner = self.inner.lock().await;
        let mut writing = inner.begin(&self.path).await?;
        let events = work(&mut writing.transaction).await.map_err(AppendWithError::Refused)?;
        Ok(writing.commit(at, events).await?)
    }

    /// An error of SQLite with this log's name.
    pub(crate) fn error(&self, source: sqlx::Error) -> AppendError {
        store_error(&self.path, 0, source)
    }
}

/// How many entries the log of a connection has.
pub(crate) async fn size_of(connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
    let row =
        sqlx::query("SELECT coalesce(max(sequence) + 1, 0) FROM change").fetch_one(connection);
    Ok(row.await?.try_get::<i64, _>(0)? as u64)
}

impl Inner {
    async fn catch_up(&mut self, path: &Path) -> Result<(), AppendError> {
        let entries = read_entries(&mut self.connection, path, self.next_sequence).await?;
        fold(&mut self.folded, &mut self.next_sequence, &mut self.last_at, &entries);
        Ok(())
    }

    async fn begin<'a>(&'a mut self, path: &'a Path) -> Result<Writing<'a>, AppendError> {
        let Inner { connection, folded, next_sequence, last_at, own_commits } = self;
        let mut transaction = connection
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|e| store_error(path, *next_sequence, e))?;
        let entries = read_entries(&mut transaction, path, *next_sequence).await?;
        fold(folded, next_sequence, last_at, &entries);
        Ok(Writing { transaction, log_path: path, folded, next_sequence, last_at, own_commits })
    }
}

impl Writing<'_> {
    /// What is in force while this write holds the lock.
    pub(crate) fn changes(&self) -> &Changes {
        self.folded
    }

    /// Stores the events and everything else done in the transaction.
    pub(crate) async fn commit(
        mut self,
        at: UnixMillis,
        events: Vec<(String, Event)>,
    ) -> Result<Vec<ChangeEntry>, AppendError> {
        let mut entries = Vec::with_capacity(events.len());
        let at = at.max(*self.last_at);
        for (actor, event) in events {
            let sequence = *self.next_sequence + entries.len() as u64;
            let entry = ChangeEntry { sequence, at, actor, event };
            let body = canonical_entry(&entry);
            sqlx::query("INSERT INTO change (sequence, body, leaf) VALUES (?, ?, ?)")
                .bind(sequence as i64)
                .bind(&body)
                .bind(&leaf_hash(body.as_bytes())[..])
                .execute(&mut *self.transaction)
                .await
                .map_err(|e| store_error(self.log_path, sequence, e))?;
            entries.push(entry);
        }
        let next = *self.next_sequence;
        self.transaction.commit().await.map_err(|e| store_error(self.log_path, next, e))?;
        *self.own_commits += 1;
        fold(self.folded, self.next_sequence, self.last_at, &entries);
        Ok(entries)
    }
}

fn fold(
    folded: &mut Changes,
    next_sequence: &mut u64,
    last_at: &mut UnixMillis,
    entries: &[ChangeEntry],
) {
    for entry in entries {
        folded.fold(entry);
        *last_at = entry.at.max(*last_at);
        *next_sequence = entry.sequence + 1;
    }
}

/// Leaf hash of the Merkle tree to come (RFC 6962, 2.1).
#[must_use]
pub fn leaf_hash(body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}

/// The canonical bytes of an entry: RFC 8785 JSON of `actor`, `at`, `event` and `sequence`.
#[must_use]
pub fn canonical_entry(entry: &ChangeEntry) -> String {
    let value = serde_json::json!({
        "sequence": entry.sequence,
        "at": entry.at.0,
        "actor": entry.actor,
        "event": entry.event,
    });
    canonical(&value)
}

/// A value as RFC 8785 writes it.
pub(crate) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

/// RFC 8785 for what events hold: no fractions, and keys in ASCII, where UTF-16 order is byte order.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            for (i, key) in keys.into_iter().enumerate() {
                out.push(if i == 0 { '{' } else { ',' });
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_canonical(&map[key], out);
            }
            out.push_str(if map.is_empty() { "{}" } else { "}" });
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

async fn read_entries(
    connection: &mut SqliteConnection,
    path: &Path,
    from: u64,
) -> Result<Vec<ChangeEntry>, AppendError> {
    let rows = sqlx::query(
        "SELECT sequence, body, leaf FROM change WHERE sequence >= ? ORDER BY sequence",
    )
    .bind(i64::try_from(from).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await
    .map_err(|e| store_error(path, from, e))?;
    let mut entries = Vec::with_capacity(rows.len());
    for (place, row) in (from..).zip(&rows) {
        let entry = entry_of(row, path)?;
        if entry.sequence != place {
            return Err(damaged(path, format!("entry {place} is missing")));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// An entry from its row, believed only if body, hash and place agree.
fn entry_of(row: &sqlx::sqlite::SqliteRow, path: &Path) -> Result<ChangeEntry, AppendError> {
    #[derive(serde::Deserialize)]
    struct Stored {
        sequence: u64,
        at: UnixMillis,
        actor: String,
        event: Event,
    }
    let column = |e: sqlx::Error| damaged(path, e.to_string());
    let sequence: i64 = row.try_get(0).map_err(column)?;
    let body: String = row.try_get(1).map_err(column)?;
    let leaf: Vec<u8> = row.try_get(2).map_err(column)?;
    if leaf != leaf_hash(body.as_bytes()) {
        return Err(damaged(path, format!("entry {sequence} was altered")));
    }
    let stored: Stored = serde_json::from_str(&body)
        .map_err(|e| damaged(path, format!("entry {sequence} is not understood: {e}")))?;
    if i64::try_from(stored.sequence) != Ok(sequence) {
        return Err(damaged(path, format!("entry {sequence} says it is {}", stored.sequence)));
    }
    let Stored { sequence, at, actor, event } = stored;
    Ok(ChangeEntry { sequence, at, actor, event })
}

/// Whether there is a log. An empty file is none, whatever `-wal` lies beside it: SQLite drops that.
fn holds_anything(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|data| data.len() > 0)
}

/// What an earlier run has left in a state folder, if anything: records, journals, list versions or
/// policies that were in force. All of these are written only once there is a change log.
fn earlier_run(state: &Path) -> Option<PathBuf> {
    let files = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let named = |folder: &str, fits: fn(&str) -> bool| {
        let is_named =
            |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).is_some_and(fits);
        files(&state.join(folder)).into_iter().find(is_named)
    };
    let is_policy = |name: &str| {
        let hash = name.strip_suffix(".toml").unwrap_or("");
        hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    named("policy", is_policy)
        .or_else(|| named("access", |name| name.ends_with(".db")))
        .or_else(|| named("journal", |name| name.ends_with(".sgj")))
        .or_else(|| {
            let lists = files(&state.join("lists")).into_iter();
            lists.map(|list| list.join("state.json")).find(|file| file.is_file())
        })
}

fn make_file(state: &Path, path: &Path) -> std::io::Result<()> {
    make_folder(state)?;
    if path.exists() {
        return Ok(());
    }
    // Made before SQLite does, so that the file (and its -wal and -shm, which take its mode) is never
    // readable by others, whatever the umask. Made under another name: whoever closes a file drops
    // all locks of this process on it (POSIX), and another thread may hold some of SQLite's by then.
    let own = format!("changes.db.new-{}-{:?}", std::process::id(), std::thread::current().id());
    let own = state.join(own);
    drop(
        std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&own)?,
    );
    let placed = std::fs::hard_link(&own, path);
    std::fs::remove_file(&own)?;
    match placed {
        // Another one was quicker.
        Err(error) if !path.exists() => Err(error),
        _ => Ok(()),
    }
}

/// Opens the file and makes its tables where it is new. Where several open a new file at once, SQLite
/// may find the journal gone that it was about to remove, or say at once that another one is writing
/// while it turns to its write-ahead log: whoever meets that looks again.
async fn connect(path: &Path) -> Result<SqliteConnection, AppendError> {
    let began = Instant::now();
    loop {
        let opened = connect_once(path).await;
        let met_another = match &opened {
            Err(AppendError::Busy { .. }) => true,
            Err(AppendError::Store { source, .. }) => extended_code(source) == JOURNAL_GONE,
            _ => false,
        };
        if !met_another || began.elapsed() > Duration::from_millis(BUSY_TIMEOUT_MS) {
            return opened;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn connect_once(path: &Path) -> Result<SqliteConnection, AppendError> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))
        .disable_statement_logging()
        .connect()
        .await
        .map_err(|e| store_error(path, 0, e))?;
    migrate(&mut connection, path).await?;
    Ok(connection)
}

async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), AppendError> {
    let version = |e| store_error(path, 0, e);
    let row =
        sqlx::query("PRAGMA user_version").fetch_one(&mut *connection).await.map_err(version)?;
    match row.get::<i64, _>(0) {
        SCHEMA_VERSION => return Ok(()),
        newer if newer > SCHEMA_VERSION => return Err(AppendError::Newer { path: show(path) }),
        _ => {}
    }
    // One writer at a time: two commands on a fresh folder must not both make the tables.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(version)?;
    let steps = MIGRATIONS.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let migrator = Migrator::with_migrations(steps.into());
    migrator
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(|e| damaged(path, e.to_string()))?;
    sqlx::query(AssertSqlSafe(format!("PRAGMA user_version = {SCHEMA_VERSION}")))
        .execute(&mut *transaction)
        .await
        .map_err(version)?;
    transaction.commit().await.map_err(version)
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

fn damaged(path: &Path, why: String) -> AppendError {
    AppendError::Damaged { path: show(path), why }
}

/// SQLite's extended code of an error; 0 where it is none of SQLite's.
pub(crate) fn extended_code(error: &sqlx::Error) -> i32 {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Sorts SQLite's errors by what the reader can do about them; extended codes keep the primary one
/// in their low byte.
fn store_error(path: &Path, sequence: u64, source: sqlx::Error) -> AppendError {
    let path_text = show(path);
    match extended_code(&source) & 0xff {
        5 | 6 => AppendError::Busy { path: path_text },
        8 => AppendError::ReadOnly { path: path_text },
        11 | 26 => damaged(path, source.to_string()),
        13 => AppendError::DiskFull { path: path_text, sequence, source },
        _ => AppendError::Store { path: path_text, source },
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
