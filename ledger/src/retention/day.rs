//! What has to be known of a day's file before it may go.

use super::rewrite::Asked;
use crate::evidence::access::FIRST_WITH_BATCHES;
use crate::evidence::batch::Batch;
use crate::evidence::erased;
use crate::evidence::row::Hash;
use crate::evidence::tree::leaf_hash;
use crate::parts::{FIRST_END, FIRST_ROW, Part, parts_of};
use crate::seal::sums;
use crate::sqlite::open_rows_to_read;
use jiff::civil::Date;
use rules::hold::{Hold, HoldId, HoldScope, Holds};
use rules::time::UnixMillis;
use sqlx::{Connection, Row, SqliteConnection};
use std::path::Path;

/// Everybody and every host of a day, with the first and last moment of both together. Outer joins: a
/// row whose table entries are gone must not slip past a hold.
const ASKED: &str = "SELECT p.name, coalesce(h.name, ''), min(a.at), max(a.at) FROM access a
   LEFT JOIN who o ON o.id = a.who LEFT JOIN person p ON p.id = o.person
   LEFT JOIN what w ON w.id = a.what LEFT JOIN host h ON h.id = w.host GROUP BY a.who, a.what";

/// A day's file, or all of them, as far as its erasure hangs on it.
#[derive(Debug)]
pub(super) struct DayFacts {
    /// How many rows it holds.
    pub(super) rows: u64,
    /// Number and leaf of each of its batches, in order.
    pub(super) batches: Vec<(u64, Hash)>,
    /// Whether it is of a version that proves its rows at all.
    pub(super) is_proved: bool,
    /// Whether its first row is proved too: not where an update to such a version came that day.
    pub(super) is_proved_from_its_start: bool,
    /// Whether each row and end is in a batch; true where the version has none.
    pub(super) is_in_batches: bool,
    /// A hold that keeps any row of it.
    pub(super) held: Option<HoldId>,
}

impl DayFacts {
    /// Reads all files of the day between `bounds`.
    pub(super) async fn of_day(
        access: &Path,
        day: Date,
        bounds: (UnixMillis, UnixMillis),
        holds: &Holds,
    ) -> Result<Self, sqlx::Error> {
        let mut facts = Self {
            rows: 0,
            batches: Vec::new(),
            is_proved: true,
            is_proved_from_its_start: true,
            is_in_batches: true,
            held: None,
        };
        for part in parts_of(access, day)? {
            let read = match part.sealed {
                false => Self::read(&part.database(access), bounds, holds).await?,
                true => Self::read_sealed(access, part, bounds, holds).await?,
            };
            facts.rows += read.rows;
            facts.batches.extend(read.batches);
            facts.is_proved &= read.is_proved;
            facts.is_proved_from_its_start &= read.is_proved_from_its_start;
            facts.is_in_batches &= read.is_in_batches;
            facts.held = facts.held.or(read.held);
        }
        facts.batches.sort_unstable_by_key(|batch| batch.0);
        Ok(facts)
    }

    /// Reads a sealed part.
    pub(super) async fn read_sealed(
        access: &Path,
        part: Part,
        bounds: (UnixMillis, UnixMillis),
        holds: &Holds,
    ) -> Result<Self, sqlx::Error> {
        let (database, file) = (part.database(access), part.rows(access));
        let noted = |key| sums::number(&database, key);
        let unread = |what: String| sqlx::Error::Decode(what.into());
        let length = i64::try_from(std::fs::metadata(&file)?.len()).ok();
        if length != noted(sums::FILE_BYTES).await? {
            return Err(unread(format!("{} is not as it was sealed", file.display())));
        }
        let held = holding_sealed(&file, bounds, holds);
        let held = held.map_err(|error| unread(error.to_string()))?;
        let rows = noted(sums::ROWS).await?.unwrap_or(0);
        let next = noted(sums::NEXT_SEQUENCE).await?.unwrap_or(0);
        let mut db = open_rows_to_read(&database).await?;
        let read = Self::with(&mut db, rows, next, held).await;
        db.close().await?;
        read
    }

    /// Reads a file of the day between `bounds`.
    pub(super) async fn read(
        path: &Path,
        bounds: (UnixMillis, UnixMillis),
        holds: &Holds,
    ) -> Result<Self, sqlx::Error> {
        let mut db = open_rows_to_read(path).await?;
        let read = Self::of(&mut db, bounds, holds).await;
        db.close().await?;
        read
    }

    async fn of(
        db: &mut SqliteConnection,
        bounds: (UnixMillis, UnixMillis),
        holds: &Holds,
    ) -> Result<Self, sqlx::Error> {
        // One state of the file.
        sqlx::query("BEGIN").execute(&mut *db).await?;
        let counted = sqlx::query("SELECT count(*), coalesce(max(sequence) + 1, 0) FROM access");
        let counted = counted.fetch_one(&mut *db).await?;
        let (rows, next): (i64, i64) = (counted.try_get(0)?, counted.try_get(1)?);
        let held = holding(db, bounds, holds).await?;
        Self::with(db, rows, next, held).await
    }

    /// With what its rows come to: how many, the place behind the last, and a hold.
    async fn with(
        db: &mut SqliteConnection,
        rows: i64,
        next: i64,
        held: Option<HoldId>,
    ) -> Result<Self, sqlx::Error> {
        let version: i64 =
            sqlx::query("PRAGMA user_version").fetch_one(&mut *db).await?.try_get(0)?;
        let is_proved = version >= FIRST_WITH_BATCHES;
        let mut facts = Self {
            rows: rows.max(0) as u64,
            batches: Vec::new(),
            is_proved,
            is_proved_from_its_start: false,
            is_in_batches: true,
            held,
        };
        if is_proved {
            let end = facts.take_batches(db).await?;
            // A later part of a day goes on counting where the one before it ends.
            let (first_row, first_end) = (noted(db, FIRST_ROW).await?, noted(db, FIRST_END).await?);
            let ends = noted(db, "ends").await?.max(first_end);
            let proved_from = noted(db, "proved_from").await?;
            let begin = (proved_from.max(first_row).max(0) as u64, first_end.max(0) as u64);
            let end = end.unwrap_or(begin);
            facts.is_proved_from_its_start = proved_from <= first_row;
            // The last row may have been erased; its leaf is in its batch.
            let next = next.max(next_erased(db, version).await?).max(first_row);
            facts.is_in_batches = end == (next.max(0) as u64, ends.max(0) as u64);
        }
        Ok(facts)
    }

    /// Takes in the batches, and says where the last one ends.
    async fn take_batches(
        &mut self,
        db: &mut SqliteConnection,
    ) -> Result<Option<(u64, u64)>, sqlx::Error> {
        let mut end = None;
        let records = sqlx::query("SELECT number, record FROM batch ORDER BY number");
        for row in records.fetch_all(db).await? {
            let (number, record): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
            let number =
                u64::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()))?;
            let Some(batch) = Batch::read(record).filter(|batch| batch.number == number) else {
                let what = format!("the record of batch {number} was altered");
                return Err(sqlx::Error::Decode(what.into()));
            };
            end = Some((batch.next_row(), batch.next_end()));
            self.batches.push((number, leaf_hash(record.as_bytes())));
        }
        Ok(end)
    }
}

/// A number that the file notes of itself; 0 where it does not.
async fn noted(db: &mut SqliteConnection, key: &str) -> Result<i64, sqlx::Error> {
    let row =
        sqlx::query("SELECT CAST(coalesce(max(value), 0) AS INTEGER) FROM meta WHERE key = ?");
    row.bind(key).fetch_one(db).await?.try_get(0)
}

/// The first hold that keeps any row of a sealed file.
fn holding_sealed(
    file: &Path,
    (from, until): (UnixMillis, UnixMillis),
    holds: &Holds,
) -> Result<Option<HoldId>, sealed::Error> {
    let touching: Vec<&Hold> =
        holds.in_force.values().filter(|hold| hold.scope.touches(from, until)).collect();
    if let Some(hold) = touching.iter().find(|hold| hold.scope.is_of_everything()) {
        return Ok(Some(hold.id));
    }
    if touching.is_empty() {
        return Ok(None);
    }
    let file = sealed::File::open(file)?;
    for number in 0..file.groups() {
        let group = file.group(number);
        for place in 0..group.rows() {
            let row = group.row(place)?;
            let at = UnixMillis(row.at);
            let holds = |hold: &&&Hold| hold.scope.holds(row.user, (row.host, row.path), at);
            if let Some(hold) = touching.iter().find(holds) {
                return Ok(Some(hold.id));
            }
        }
    }
    Ok(None)
}

/// The place behind the last row that was erased from a file.
async fn next_erased(db: &mut SqliteConnection, version: i64) -> Result<i64, sqlx::Error> {
    if !erased::is_in(version) {
        return Ok(0);
    }
    let last = "SELECT coalesce(max(place) + 1, 0) FROM erased WHERE kind = ?";
    sqlx::query(last).bind(erased::ROW).fetch_one(db).await?.try_get(0)
}

/// Everybody whose requests a day's file holds.
pub(super) async fn people(path: &Path) -> Result<Vec<String>, sqlx::Error> {
    let mut db = open_rows_to_read(path).await?;
    let rows = sqlx::query("SELECT name FROM person").fetch_all(&mut db).await?;
    db.close().await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// The first hold that keeps a row.
pub(super) fn holds_row(holds: &Holds, row: &Asked<'_>) -> Option<HoldId> {
    let holds_it = |hold: &&Hold| hold.scope.holds(row.user, (row.host, row.path), row.at);
    holds.in_force.values().find(holds_it).map(|hold| hold.id)
}

/// The first hold that keeps any row of the day.
async fn holding(
    db: &mut SqliteConnection,
    (from, until): (UnixMillis, UnixMillis),
    holds: &Holds,
) -> Result<Option<HoldId>, sqlx::Error> {
    let touching: Vec<&Hold> =
        holds.in_force.values().filter(|hold| hold.scope.touches(from, until)).collect();
    if let Some(hold) = touching.iter().find(|hold| hold.scope.is_of_everything()) {
        return Ok(Some(hold.id));
    }
    if touching.is_empty() {
        return Ok(None);
    }
    for row in sqlx::query(ASKED).fetch_all(db).await? {
        let (user, host): (Option<&str>, &str) = (row.try_get(0)?, row.try_get(1)?);
        let (first, last) = (UnixMillis(row.try_get(2)?), UnixMillis(row.try_get(3)?));
        let holds = |hold: &&&Hold| {
            // The path is left out, and the range compared as a whole: a hold rather keeps too much.
            let scope = HoldScope { from: None, until: None, ..hold.scope.clone() };
            scope.holds(user, (host, None), first)
                && hold.scope.touches(first, UnixMillis(last.0.saturating_add(1)))
        };
        if let Some(hold) = touching.iter().find(holds) {
            return Ok(Some(hold.id));
        }
    }
    Ok(None)
}
