//! The file of alerts.

use super::event::{AlertEntry, AlertEvent, Private};
use super::fold::Alerts;
use crate::changes::{ACTOR_DAEMON, BUSY_TIMEOUT_MS, canonical, extended_code, leaf_hash};
use crate::evidence::hex;
use crate::folder::make_folder;
use jiff::civil::Date;
use rules::alert::AlertId;
use rules::code::RequestId;
use rules::time::UnixMillis;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// Version of the file, kept in SQLite's `user_version`. Versions 2 and 3 have the tables of version 1, and entries that
/// a program which knows an earlier one alone would take for damage: it refuses the file instead. From version 3 on an
/// entry says what was erased.
const SCHEMA_VERSION: i64 = 3;

/// What is said of what was missing already when a file of before version 3 was taken up.
const GONE_BEFORE: &str = "gone before erasures were written down";

/// Bytes of a salt: nobody finds a name by trying them all.
const SALT_BYTES: usize = 16;

/// Why alerts cannot be read or written. Nothing was changed.
#[derive(Debug, Error)]
pub enum AlertError {
    /// The state folder or file cannot be made.
    #[error("alerts {path}: {source}; check that this user may write the state folder")]
    Folder {
        /// File or folder.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// Another process writes for longer than [`BUSY_TIMEOUT_MS`].
    #[error("alerts {path}: another process is writing; try again")]
    Busy {
        /// File.
        path: String,
    },
    /// The file does not hold what was written.
    #[error("alerts {path}: damaged ({why}); restore it from a backup, do not edit it")]
    Damaged {
        /// File.
        path: String,
        /// What is wrong, with the entry where known.
        why: String,
    },
    /// Written by a later version of this program.
    #[error("alerts {path}: written by a newer schoolgate; use that version")]
    Newer {
        /// File.
        path: String,
    },
    /// Anything else that SQLite says.
    #[error("alerts {path}: {source}")]
    Store {
        /// File.
        path: String,
        /// Cause.
        source: sqlx::Error,
    },
}

/// Why nothing was appended: the closure said no, or the file failed.
#[derive(Debug, Error)]
pub enum AppendAlertError<E> {
    /// What the closure returned.
    #[error("{0}")]
    Refused(E),
    /// The file.
    #[error(transparent)]
    Store(#[from] AlertError),
}

/// An event to be appended. Its hash of what is personal is filled in as it is.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Who did it.
    pub actor: String,
    /// What.
    pub event: AlertEvent,
    /// What is personal of it.
    pub private: Option<Private>,
}

impl NewEvent {
    /// An event without anything personal.
    #[must_use]
    pub fn new(actor: &str, event: AlertEvent) -> Self {
        Self { actor: actor.to_owned(), event, private: None }
    }
}

/// How far a school day of the access log was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Place of the last row that was read.
    pub sequence: i64,
    /// Which record it is: after a power cut another may have its place.
    pub record: RequestId,
}

/// The file, open. One connection; the daemon and the command line each have their own.
#[derive(Debug)]
pub struct AlertStore {
    path: PathBuf,
    connection: SqliteConnection,
    folded: Alerts,
    next_sequence: u64,
    last_at: UnixMillis,
    /// Leaf hash of the last entry, hex; empty before the first.
    last_leaf: String,
}

/// An entry's body.
#[derive(Serialize, Deserialize)]
struct Body {
    sequence: u64,
    at: UnixMillis,
    /// What the clock said, where it was behind the entry before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<UnixMillis>,
    actor: String,
    previous: String,
    event: AlertEvent,
}

impl Body {
    fn into_entry(self) -> AlertEntry {
        let Self { sequence, at, clock, actor, event, .. } = self;
        AlertEntry { sequence, at, clock: clock.unwrap_or(at), actor, event }
    }
}

impl AlertStore {
    /// Where the file of a state folder lies.
    #[must_use]
    pub fn path_in(state: &Path) -> PathBuf {
        state.join("alerts.db")
    }

    /// Opens `STATE/alerts.db`, making it (mode 0600) if missing, and reads it through: every entry's
    /// hash, place and link to the one before is checked.
    ///
    /// # Errors
    /// [`AlertError`].
    pub async fn open(state: &Path) -> Result<Self, AlertError> {
        let path = Self::path_in(state);
        let failed = |source| AlertError::Folder { path: show(&path), source };
        make_folder(state).map_err(failed)?;
        if !path.exists() {
            // Before SQLite does, so that it is never readable by others.
            let made =
                std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
            drop(made.map_err(failed)?);
        }
        let (connection, version) = connect(&path).await?;
        let mut store = Self {
            path,
            connection,
            folded: Alerts::default(),
            next_sequence: 0,
            last_at: UnixMillis(i64::MIN),
            last_leaf: String::new(),
        };
        if version < SCHEMA_VERSION {
            store.take_up().await?;
        }
        store.catch_up().await?;
        Ok(store)
    }

    /// Whether a state folder has any: reading what is not there makes nothing.
    #[must_use]
    pub fn exists(state: &Path) -> bool {
        std::fs::metadata(Self::path_in(state)).is_ok_and(|data| data.len() > 0)
    }

    /// All alerts as they stand now.
    ///
    /// # Errors
    /// [`AlertError`].
    pub async fn alerts(&mut self) -> Result<&Alerts, AlertError> {
        self.catch_up().await?;
        Ok(&self.folded)
    }

    /// All entries, in order.
    ///
    /// # Errors
    /// [`AlertError`].
    pub async fn entries(&mut self) -> Result<Vec<AlertEntry>, AlertError> {
        let (entries, _) = read(&mut self.connection, &self.path, 0, String::new()).await?;
        Ok(entries)
    }

    /// How many entries there are, and the leaf hash of the last: what fixes all of them.
    ///
    /// # Errors
    /// [`AlertError`].
    pub async fn head(&mut self) -> Result<(u64, String), AlertError> {
        self.catch_up().await?;
        Ok((self.next_sequence, self.last_leaf.clone()))
    }

    /// Reads everything again, with what is personal, and gives the leaf hash of each entry, hex: that of the last
    /// of some fixes all of these.
    ///
    /// # Errors
    /// [`AlertError::Damaged`] where anything is not as it was written, or what is personal is gone and no entry says
    /// that it was erased.
    pub async fn verify(&mut self) -> Result<Vec<String>, AlertError> {
        let failed = |error| store_error(&self.path, error);
        // Of one moment: what is erased meanwhile is not missing.
        let mut transaction = self.connection.begin().await.map_err(failed)?;
        let (entries, _) = read(&mut transaction, &self.path, 0, String::new()).await?;
        let here = private_places(&mut transaction, &self.path).await?;
        transaction.rollback().await.map_err(failed)?;
        let erased = erasures(&entries);
        let wrong = |place: u64, why: &str| damaged(&self.path, format!("entry {place}: {why}"));
        let belongs = |place: &u64| {
            let entry = usize::try_from(*place).ok().and_then(|place| entries.get(place));
            entry.is_some_and(|entry| entry.event.private().is_some())
        };
        if let Some(place) = here.iter().find(|place| !belongs(place)) {
            return Err(wrong(*place, "it has nothing personal, and there is some"));
        }
        for entry in entries.iter().filter(|entry| entry.event.private().is_some()) {
            let place = entry.sequence;
            match (here.contains(&place), erased.contains(&place)) {
                (true, true) => {
                    return Err(wrong(place, "what is personal was erased, and is there"));
                }
                (false, false) => {
                    let why = "what is personal is gone, and no entry says that it was erased";
                    return Err(wrong(place, why));
                }
                _ => {}
            }
        }
        for place in here {
            self.private(place).await?;
        }
        let rows = sqlx::query("SELECT lower(hex(leaf)) FROM event ORDER BY sequence")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| store_error(&self.path, error))?;
        let column = |error: sqlx::Error| damaged(&self.path, error.to_string());
        rows.iter().map(|row| row.try_get(0).map_err(column)).collect()
    }

    /// The places of entries of which something personal is there.
    ///
    /// # Errors
    /// [`AlertError`].
    pub async fn personal(&mut self) -> Result<BTreeSet<u64>, AlertError> {
        private_places(&mut self.connection, &self.path).await
    }

    /// How far each day of the access log was read.
    ///
    /// # Errors
    /// [`AlertError`].
    pub async fn positions(&mut self) -> Result<BTreeMap<Date, Position>, AlertError> {
        let rows = sqlx::query("SELECT day, sequence, record FROM position")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| store_error(&self.path, error))?;
        let position = |row: &SqliteRow| {
            let day: Date = row.try_get::<String, _>(0).ok()?.parse().ok()?;
            let record = RequestId(row.try_get::<i64, _>(2).ok()? as u64);
            Some((day, Position { sequence: row.try_get(1).ok()?, record }))
        };
        let read = rows.iter().map(position).collect::<Option<_>>();
        read.ok_or_else(|| damaged(&self.path, "a position is not understood".to_owned()))
    }

    /// What is personal of the entry at a place; `None` where it has none, or it was erased.
    ///
    /// # Errors
    /// [`AlertError`]; [`AlertError::Damaged`] where it is not what the entry was written with.
    pub async fn private(&mut self, sequence: u64) -> Result<Option<Private>, AlertError> {
        let row = sqlx::query(
            "SELECT p.salt, p.body, e.body FROM private p JOIN event e ON e.sequence = p.sequence
             WHERE p.sequence = ?",
        )
        .bind(sequence as i64)
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|error| store_error(&self.path, error))?;
        let Some(row) = row else { return Ok(None) };
        let column = |error: sqlx::Error| damaged(&self.path, error.to_string());
        let salt: Vec<u8> = row.try_get(0).map_err(column)?;
        let text: String = row.try_get(1).map_err(column)?;
        let event: String = row.try_get(2).map_err(column)?;
        let wrong = |why: String| damaged(&self.path, format!("entry {sequence}: {why}"));
        let body: Body = serde_json::from_str(&event).map_err(|error| wrong(error.to_string()))?;
        if body.event.private() != Some(&commitment(&salt, &text)) {
            return Err(wrong("what is personal was altered".to_owned()));
        }
        serde_json::from_str(&text).map(Some).map_err(|error| wrong(error.to_string()))
    }

    /// Appends what `decide` returns in one durable transaction, with how far the access log was read.
    /// `decide` sees the alerts as they stand while nobody else can write. An entry's time never falls.
    ///
    /// # Errors
    /// [`AppendAlertError`].
    pub async fn append_with<E>(
        &mut self,
        at: UnixMillis,
        positions: &[(Date, Position)],
        decide: impl FnOnce(&Alerts) -> Result<Vec<NewEvent>, E>,
    ) -> Result<Vec<AlertEntry>, AppendAlertError<E>> {
        let Self { path, connection, folded, next_sequence, last_at, last_leaf } = self;
        let failed = |error| store_error(path, error);
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let (missed, leaf) =
            read(&mut transaction, path, *next_sequence, last_leaf.clone()).await?;
        take(folded, next_sequence, last_at, &missed);
        *last_leaf = leaf;
        let events = decide(folded).map_err(AppendAlertError::Refused)?;
        if events.is_empty() && positions.is_empty() {
            return Ok(Vec::new());
        }
        let mut leaf = last_leaf.clone();
        let behind = (*next_sequence, *last_at);
        let entries = insert(&mut transaction, path, events, behind, at, &mut leaf).await?;
        for (day, position) in positions {
            sqlx::query(
                "INSERT INTO position (day, sequence, record) VALUES (?, ?, ?)
                 ON CONFLICT (day) DO UPDATE SET sequence = excluded.sequence, record = excluded.record",
            )
            .bind(day.to_string())
            .bind(position.sequence)
            .bind(position.record.0 as i64)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)?;
        take(folded, next_sequence, last_at, &entries);
        *last_leaf = leaf;
        Ok(entries)
    }

    /// Erases what is personal of these entries, and gives how many had anything. In the same transaction an entry
    /// for each alert says what is gone, who erased it and why. What was there does not stay in the file.
    ///
    /// # Errors
    /// [`AlertError`].
    pub async fn erase_private(
        &mut self,
        at: UnixMillis,
        (actor, why): (&str, &str),
        sequences: &[u64],
    ) -> Result<u64, AlertError> {
        let Self { path, connection, folded, next_sequence, last_at, last_leaf } = self;
        let failed = |error| store_error(path, error);
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let (missed, leaf) =
            read(&mut transaction, path, *next_sequence, last_leaf.clone()).await?;
        take(folded, next_sequence, last_at, &missed);
        *last_leaf = leaf;
        let mut gone: Vec<(AlertId, u64)> = Vec::new();
        for sequence in sequences {
            let alert = sqlx::query(
                "SELECT json_extract(e.body, '$.event.alert') FROM private p
                 JOIN event e ON e.sequence = p.sequence WHERE p.sequence = ?",
            )
            .bind(*sequence as i64)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
            let Some(alert) = alert else { continue };
            let alert: u32 = alert.try_get(0).map_err(failed)?;
            sqlx::query("DELETE FROM private WHERE sequence = ?")
                .bind(*sequence as i64)
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
            gone.push((AlertId(alert), *sequence));
        }
        if gone.is_empty() {
            return Ok(0);
        }
        let mut leaf = last_leaf.clone();
        let (events, behind) = (erased_events(&gone, actor, why), (*next_sequence, *last_at));
        let entries = insert(&mut transaction, path, events, behind, at, &mut leaf).await?;
        transaction.commit().await.map_err(failed)?;
        take(folded, next_sequence, last_at, &entries);
        *last_leaf = leaf;
        // The write-ahead log still holds the page as it was.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut self.connection)
            .await
            .map_err(|error| store_error(&self.path, error))?;
        Ok(gone.len() as u64)
    }

    /// Takes up a file of before version 3, which did not say what was erased: what is missing by now is said to be,
    /// so that from here on nothing goes missing unseen.
    async fn take_up(&mut self) -> Result<(), AlertError> {
        let Self { path, connection, .. } = self;
        let failed = |error| store_error(path, error);
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        // Another process may have been first.
        if user_version(&mut transaction).await.map_err(failed)? < SCHEMA_VERSION {
            let (entries, mut leaf) = read(&mut transaction, path, 0, String::new()).await?;
            let here = private_places(&mut transaction, path).await?;
            let is_gone = |entry: &&AlertEntry| {
                entry.event.private().is_some() && !here.contains(&entry.sequence)
            };
            let gone: Vec<(AlertId, u64)> = entries
                .iter()
                .filter(is_gone)
                .map(|entry| (entry.event.alert(), entry.sequence))
                .collect();
            // By no clock: when it was erased nobody knows.
            let at = entries.last().map_or(UnixMillis(0), |entry| entry.at);
            let events = erased_events(&gone, ACTOR_DAEMON, GONE_BEFORE);
            let behind = (entries.len() as u64, at);
            insert(&mut transaction, path, events, behind, at, &mut leaf).await?;
            set_version(&mut transaction).await.map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }

    async fn catch_up(&mut self) -> Result<(), AlertError> {
        let (entries, leaf) =
            read(&mut self.connection, &self.path, self.next_sequence, self.last_leaf.clone())
                .await?;
        take(&mut self.folded, &mut self.next_sequence, &mut self.last_at, &entries);
        self.last_leaf = leaf;
        Ok(())
    }
}

fn take(folded: &mut Alerts, next: &mut u64, last_at: &mut UnixMillis, entries: &[AlertEntry]) {
    for entry in entries {
        folded.fold(entry);
        *last_at = entry.at.max(*last_at);
        *next = entry.sequence + 1;
    }
}

/// The entries from a place on, each believed only if body, hash, place and the hash of the one before
/// agree; and the hash of the last.
async fn read(
    connection: &mut SqliteConnection,
    path: &Path,
    from: u64,
    mut previous: String,
) -> Result<(Vec<AlertEntry>, String), AlertError> {
    let rows = sqlx::query("SELECT body, leaf FROM event WHERE sequence >= ? ORDER BY sequence")
        .bind(i64::try_from(from).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
        .map_err(|error| store_error(path, error))?;
    let mut entries = Vec::with_capacity(rows.len());
    for (place, row) in (from..).zip(&rows) {
        let wrong = |why: &dyn std::fmt::Display| damaged(path, format!("entry {place}: {why}"));
        let text: String = row.try_get(0).map_err(|error| wrong(&error))?;
        let leaf: Vec<u8> = row.try_get(1).map_err(|error| wrong(&error))?;
        if leaf != leaf_hash(text.as_bytes()) {
            return Err(wrong(&"it was altered"));
        }
        let body: Body = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
        if body.sequence != place || body.previous != previous {
            return Err(wrong(&"it does not follow the one before"));
        }
        previous = hex(&leaf);
        entries.push(body.into_entry());
    }
    Ok((entries, previous))
}

/// Adds entries behind those that there are: how many, and the time of the last. `leaf` is the leaf hash of the last,
/// before and after.
async fn insert(
    connection: &mut SqliteConnection,
    path: &Path,
    events: Vec<NewEvent>,
    (next, last_at): (u64, UnixMillis),
    at: UnixMillis,
    leaf: &mut String,
) -> Result<Vec<AlertEntry>, AlertError> {
    let failed = |error| store_error(path, error);
    let (clock, at) = ((at < last_at).then_some(at), at.max(last_at));
    let mut entries = Vec::with_capacity(events.len());
    for (NewEvent { actor, mut event, private }, sequence) in events.into_iter().zip(next..) {
        if let Some((private, hash)) = private.zip(event.private_mut()) {
            let text = serde_json::to_string(&private).unwrap_or_default();
            let salt: [u8; SALT_BYTES] = crate::accounts::random();
            *hash = commitment(&salt, &text);
            sqlx::query("INSERT INTO private (sequence, salt, body) VALUES (?, ?, ?)")
                .bind(sequence as i64)
                .bind(&salt[..])
                .bind(text)
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
        }
        let body = Body { sequence, at, clock, actor, previous: leaf.clone(), event };
        let text = canonical(&serde_json::to_value(&body).unwrap_or_default());
        let hash = leaf_hash(text.as_bytes());
        *leaf = hex(&hash);
        sqlx::query("INSERT INTO event (sequence, body, leaf) VALUES (?, ?, ?)")
            .bind(sequence as i64)
            .bind(text)
            .bind(&hash[..])
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
        entries.push(body.into_entry());
    }
    Ok(entries)
}

/// That what is personal of these entries is gone: an event for each alert.
fn erased_events(gone: &[(AlertId, u64)], actor: &str, why: &str) -> Vec<NewEvent> {
    let mut by_alert: BTreeMap<AlertId, Vec<u64>> = BTreeMap::new();
    for (alert, place) in gone {
        by_alert.entry(*alert).or_default().push(*place);
    }
    let event = |(alert, places)| {
        NewEvent::new(actor, AlertEvent::Erased { alert, places, why: why.to_owned() })
    };
    by_alert.into_iter().map(event).collect()
}

/// The places of which entries say that what is personal was erased. An entry speaks of those before it alone.
fn erasures(entries: &[AlertEntry]) -> BTreeSet<u64> {
    let mut places = BTreeSet::new();
    for entry in entries {
        if let AlertEvent::Erased { places: gone, .. } = &entry.event {
            places.extend(gone.iter().filter(|place| **place < entry.sequence));
        }
    }
    places
}

/// The places of entries of which something personal is there.
async fn private_places(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<BTreeSet<u64>, AlertError> {
    let failed = |error| store_error(path, error);
    let rows = sqlx::query("SELECT sequence FROM private").fetch_all(connection).await;
    let place = |row: &SqliteRow| Ok(row.try_get::<i64, _>(0).map_err(failed)? as u64);
    rows.map_err(failed)?.iter().map(place).collect()
}

async fn user_version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query("PRAGMA user_version").fetch_one(connection).await?.try_get(0)
}

async fn set_version(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let statement = AssertSqlSafe(format!("PRAGMA user_version = {SCHEMA_VERSION}"));
    sqlx::query(statement).execute(connection).await.map(drop)
}

/// Opens the file, and gives the version that it has.
async fn connect(path: &Path) -> Result<(SqliteConnection, i64), AlertError> {
    let failed = |error| store_error(path, error);
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // What is erased is written over.
        .pragma("secure_delete", "ON")
        .busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))
        .disable_statement_logging()
        .connect()
        .await
        .map_err(failed)?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let version = user_version(&mut transaction).await.map_err(failed)?;
    if !(0..=SCHEMA_VERSION).contains(&version) {
        return Err(AlertError::Newer { path: show(path) });
    }
    if version == 0 {
        let schema = include_str!("schema.sql");
        sqlx::raw_sql(schema).execute(&mut *transaction).await.map_err(failed)?;
        set_version(&mut transaction).await.map_err(failed)?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok((connection, if version == 0 { SCHEMA_VERSION } else { version }))
}

fn commitment(salt: &[u8], text: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(text.as_bytes());
    hex(&hash.finalize())
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

fn damaged(path: &Path, why: String) -> AlertError {
    AlertError::Damaged { path: show(path), why }
}

fn store_error(path: &Path, source: sqlx::Error) -> AlertError {
    match extended_code(&source) & 0xff {
        5 | 6 => AlertError::Busy { path: show(path) },
        11 | 26 => damaged(path, source.to_string()),
        _ => AlertError::Store { path: show(path), source },
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "version_tests.rs"]
mod version_tests;
