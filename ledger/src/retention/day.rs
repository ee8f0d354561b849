//! What has to be known of a day's file before it may go.

use super::rewrite::Asked;
use crate::evidence::access::FIRST_WITH_BATCHES;
use crate::evidence::batch::Batch;
use crate::evidence::erased;
use crate::evidence::row::Hash;
use crate::evidence::tree::leaf_hash;
use crate::sqlite::open_to_read;
use rules::hold::{Hold, HoldId, HoldScope, Holds};
use rules::time::UnixMillis;
use sqlx::{Connection, Row, SqliteConnection};
use std::path::Path;

/// Everybody and every host of a day, with the first and last moment of both together. Outer joins: a
/// row whose table entries are gone must not slip past a hold.
const ASKED: &str = "SELECT p.name, coalesce(h.name, ''), min(a.at), max(a.at) FROM access a
   LEFT JOIN who o ON o.id = a.who LEFT JOIN person p ON p.id = o.person
   LEFT JOIN what w ON w.id = a.what LEFT JOIN host h ON h.id = w.host GROUP BY a.who, a.what";

/// A day's file, as far as its erasure hangs on it.
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
    /// Reads a file of the day between `bounds`.
    pub(super) async fn read(
        path: &Path,
        bounds: (UnixMillis, UnixMillis),
        holds: &Holds,
    ) -> Result<Self, sqlx::Error> {
        let mut db = open_to_read(path).await?;
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
        let version: i64 =
            sqlx::query("PRAGMA user_version").fetch_one(&mut *db).await?.try_get(0)?;
        let counted = sqlx::query("SELECT count(*), coalesce(max(sequence) + 1, 0) FROM access");
        let counted = counted.fetch_one(&mut *db).await?;
        let (rows, next): (i64, i64) = (counted.try_get(0)?, counted.try_get(1)?);
        let is_proved = version >= FIRST_WITH_BATCHES;
        let mut facts = Self {
            rows: rows.max(0) as u64,
            batches: Vec::new(),
            is_proved,
            is_proved_from_its_start: false,
            is_in_batches: true,
            held: holding(db, bounds, holds).await?,
        };
        if is_proved {
            let end = facts.take_batches(db).await?;
            let ends = sqlx::query(
                "SELECT CAST(coalesce((SELECT value FROM meta WHERE key = 'ends'), 0) AS INTEGER),
                   CAST(coalesce((SELECT value FROM meta WHERE key = 'proved_from'), 0) AS INTEGER)",
            );
            let ends = ends.fetch_one(&mut *db).await?;
            let (ends, proved_from): (i64, i64) = (ends.try_get(0)?, ends.try_get(1)?);
            let end = end.unwrap_or((proved_from.max(0) as u64, 0));
            facts.is_proved_from_its_start = proved_from == 0;
            // The last row may have been erased; its leaf is in its batch.
            let next = next.max(next_erased(db, version).await?);
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

/// The place behind the last row that was erased from a file.
async fn next_erased(db: &mut SqliteConnection, version: i64) -> Result<i64, sqlx::Error> {
    if version < erased::VERSION {
        return Ok(0);
    }
    let last = "SELECT coalesce(max(place) + 1, 0) FROM erased WHERE kind = ?";
    sqlx::query(last).bind(erased::ROW).fetch_one(db).await?.try_get(0)
}

/// Everybody whose requests a day's file holds.
pub(super) async fn people(path: &Path) -> Result<Vec<String>, sqlx::Error> {
    let mut db = open_to_read(path).await?;
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
