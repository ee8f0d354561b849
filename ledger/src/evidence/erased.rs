//! What is left of rows that were erased from a day: their leaves, and the salts of the rows beside them.
//!
//! A day from which rows were erased ([`crate::retention`]) is of version 4 or 6 ([`is_in`]). Its batches are
//! what they were: a leaf that cannot be made from its row any more stands in the table `erased`. The
//! secret from which all salts of the day came is gone, since with it the values of an erased row could be
//! guessed and tried; the rows that are left have their salts beside them.

use super::batch::Batch;
use super::hex;
use super::row::{Hash, Salt};
use aws_lc_rs::digest::{Context, SHA256};
use sqlx::{Row, SqliteConnection};
use std::collections::BTreeMap;

/// Version of a day's file from which rows were erased, without the tables of [`crate::notes`].
const VERSION: i64 = 4;

/// The same with them.
pub(crate) const VERSION_WITH_NOTES: i64 = 6;

/// Whether rows were erased from a day's file of this version.
pub(crate) fn is_in(version: i64) -> bool {
    version == VERSION || version == VERSION_WITH_NOTES
}

/// The statements that make its tables besides those of the versions before.
pub(crate) const SCHEMA: &str = include_str!("../access_4.sql");

/// Kinds in its tables.
pub(crate) const ROW: i64 = 0;
pub(crate) const END: i64 = 1;

/// What a batch has beside its rows and ends.
#[derive(Debug, Default)]
pub(crate) struct LeftOver {
    rows: BTreeMap<u64, Hash>,
    ends: BTreeMap<u64, Hash>,
    row_salts: BTreeMap<u64, Salt>,
    end_salts: BTreeMap<u64, Salt>,
}

impl LeftOver {
    /// Reads it from a day's file of this version; empty where the version has none.
    pub(crate) async fn of(
        db: &mut SqliteConnection,
        version: i64,
        batch: &Batch,
    ) -> Result<Self, sqlx::Error> {
        let mut this = Self::default();
        if !is_in(version) {
            return Ok(this);
        }
        let ranges =
            [(ROW, batch.first_row, batch.next_row()), (END, batch.first_end, batch.next_end())];
        for (kind, first, next) in ranges {
            let leaves =
                "SELECT place, leaf FROM erased WHERE kind = ? AND place >= ? AND place < ?";
            let leaves = blobs::<32>(db, leaves, kind, first, next).await?;
            let salts = "SELECT place, salt FROM salt WHERE kind = ? AND place >= ? AND place < ?";
            let salts = blobs::<16>(db, salts, kind, first, next).await?;
            match kind {
                ROW => (this.rows, this.row_salts) = (leaves, salts),
                _ => (this.ends, this.end_salts) = (leaves, salts),
            }
        }
        Ok(this)
    }

    /// The leaf of a row that was erased.
    pub(crate) fn row(&self, place: u64) -> Option<Hash> {
        self.rows.get(&place).copied()
    }

    /// The leaf of an end that was erased.
    pub(crate) fn end(&self, place: u64) -> Option<Hash> {
        self.ends.get(&place).copied()
    }

    /// The salt of a row that is left.
    pub(crate) fn row_salt(&self, place: u64) -> Option<Salt> {
        self.row_salts.get(&place).copied()
    }

    /// The salt of an end that is left.
    pub(crate) fn end_salt(&self, place: u64) -> Option<Salt> {
        self.end_salts.get(&place).copied()
    }
}

/// Blobs by place; what has another length is left out, so that its row is named.
async fn blobs<const LENGTH: usize>(
    db: &mut SqliteConnection,
    sql: &'static str,
    kind: i64,
    first: u64,
    next: u64,
) -> Result<BTreeMap<u64, [u8; LENGTH]>, sqlx::Error> {
    let number = |place: u64| i64::try_from(place).unwrap_or(i64::MAX);
    let rows = sqlx::query(sql).bind(kind).bind(number(first)).bind(number(next));
    let rows = rows.fetch_all(db).await?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        let place = u64::try_from(row.try_get::<i64, _>(0).ok()?).ok()?;
        Some((place, row.try_get::<&[u8], _>(1).ok()?.try_into().ok()?))
    };
    Ok(rows.iter().filter_map(read).collect())
}

/// What a day's file lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lacks {
    /// Rows.
    pub(crate) rows: u64,
    /// Ends that came by themselves.
    pub(crate) ends: u64,
    /// SHA-256, hex, over the places: for each, rows first, a byte 0 (row) or 1 (end), and the place as
    /// eight bytes, highest first.
    pub(crate) places: String,
}

impl Lacks {
    /// Reads it from a day's file of this version; `None`: nothing was ever erased from it.
    pub(crate) async fn read(
        db: &mut SqliteConnection,
        version: i64,
    ) -> Result<Option<Self>, sqlx::Error> {
        if !is_in(version) {
            return Ok(None);
        }
        let (mut this, mut places) = (Self::default(), Context::new(&SHA256));
        let mut after = (ROW, -1);
        loop {
            let some = "SELECT kind, place FROM erased WHERE (kind, place) > (?, ?)
                 ORDER BY kind, place LIMIT 20000";
            let some = sqlx::query(some).bind(after.0).bind(after.1).fetch_all(&mut *db).await?;
            for row in &some {
                let (kind, place): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
                places.update(&[u8::from(kind != ROW)]);
                places.update(&place.to_be_bytes());
                match kind {
                    ROW => this.rows += 1,
                    _ => this.ends += 1,
                }
                after = (kind, place);
            }
            if some.is_empty() {
                this.places = hex(places.finish().as_ref());
                return Ok(Some(this));
            }
        }
    }
}
