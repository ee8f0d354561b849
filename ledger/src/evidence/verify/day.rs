//! One day's file: its structure, its batches, the rows in them, and the sums beside them.

use super::dictionary::Dictionary;
use super::{ACCESSES, Report, plural, spans};
use crate::day_file::read_end;
use crate::evidence::batch::{Batch, MARK_BYTES, root_of};
use crate::evidence::erased::{Lacks, LeftOver};
use crate::evidence::row::{End, Hash, Row as AccessRow, Salt};
use crate::evidence::salt::{DaySecret, Salts};
use crate::evidence::{hash_of_hex, tree::leaf_hash};
use crate::notes::{self, OwnedNotes, borrowed};
use crate::record::Ended;
use crate::rollup::{Facts, Rollup, Stored};
use crate::sqlite::{open_rows_to_read, schemas};
use jiff::civil::Date;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection, ValueRef};
use std::path::Path;

/// What one day's file holds.
#[derive(Debug, Default)]
pub(super) struct DayFound {
    /// Number and leaf of each batch.
    pub(super) batches: Vec<(u64, Hash, Batch)>,
    /// Number and leaf of those whose record says nothing any more.
    pub(super) unread: Vec<(u64, Hash)>,
    /// Rows and ends that are there, as far as they follow one another.
    pub(super) rows: u64,
    pub(super) ends: u64,
    /// Rows and ends that were erased from it.
    pub(super) lacks: Option<Lacks>,
    /// Where the part begins; `None`: that cannot be read.
    pub(super) starts: Option<Starts>,
    /// Whether something was said about this day.
    pub(super) named: bool,
}

/// Where a part of a day begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Starts {
    /// Place of its first row.
    pub(super) row: u64,
    /// Place of its first end.
    pub(super) end: u64,
    /// Whether its rows are proved from there on.
    pub(super) is_proved: bool,
}

impl DayFound {
    /// Takes in another part of the same day; its places go on behind those of the part before.
    pub(super) fn add(&mut self, part: Self) {
        self.batches.extend(part.batches);
        self.unread.extend(part.unread);
        self.rows = self.rows.max(part.rows);
        self.ends = self.ends.max(part.ends);
        self.named |= part.named;
        // Rows are erased of days of one part alone.
        self.lacks = self.lacks.take().or(part.lacks);
    }
}

/// One day's file, or one part of a sealed day, while it is checked.
pub(super) struct Checking<'a> {
    pub(super) day: Date,
    /// The name of the file that is looked at.
    pub(super) file: &'a str,
    pub(super) report: &'a mut Report,
    pub(super) found: DayFound,
    /// The leaf that each batch has in the tree, where the tree is to be believed.
    pub(super) kept: &'a dyn Fn(u64) -> Option<Hash>,
}

/// Rows or ends that wait to be told of together.
#[derive(Default)]
pub(super) struct Named {
    pub(super) rows: Vec<u64>,
    pub(super) ends: Vec<u64>,
}

/// Most runs of places that are told of one by one.
const MOST_RUNS: usize = 200;

/// A place that far behind the others is none.
const MOST_AHEAD: i64 = 10_000_000;

/// Checks a day's file. `rows`: whether its rows are hashed again. `None`: it is gone.
pub(super) async fn check(
    path: &Path,
    day: Date,
    rows: bool,
    kept: &dyn Fn(u64) -> Option<Hash>,
    report: &mut Report,
) -> Option<DayFound> {
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut checking = Checking { day, file, report, found: DayFound::default(), kept };
    match open_rows_to_read(path).await {
        Err(_) if !path.exists() => return None,
        Err(error) => checking.name("the file", format!("it cannot be read: {error}")),
        Ok(mut connection) => {
            if let Err(error) = checking.run(&mut connection, rows).await {
                checking.name("the file", format!("it cannot be read: {error}"));
            }
            let _ = connection.close().await;
        }
    }
    Some(checking.found)
}

impl Checking<'_> {
    pub(super) fn name(&mut self, place: impl AsRef<str>, what: impl Into<String>) {
        self.found.named = true;
        let place = format!("{}, {}", self.file, place.as_ref());
        self.report.problem(ACCESSES, place, what);
    }

    async fn run(&mut self, db: &mut SqliteConnection, rows: bool) -> Result<(), sqlx::Error> {
        // One state of the file, whatever is added meanwhile.
        sqlx::query("BEGIN").execute(&mut *db).await?;
        let before = self.report.problems.len();
        structure(db, ACCESSES, self.file, self.report).await;
        self.found.named |= self.report.problems.len() > before;
        let version: i64 =
            sqlx::query("PRAGMA user_version").fetch_one(&mut *db).await?.try_get(0)?;
        match version {
            1 | 2 => {
                self.report
                    .uncovered
                    .push(format!("access log: {}, recorded before the log was proved", self.file));
                self.found.starts = Some(Starts { row: 0, end: 0, is_proved: false });
                self.found.rows = crate::sqlite::next_places(db).await?.0;
                return Ok(());
            }
            _ => {}
        }
        let Some(statements) = schemas(version) else {
            self.name("the file", format!("it says that it is of version {version}"));
            return Ok(());
        };
        self.found.lacks = Lacks::read(db, version).await?;
        for what in schema_differences(db, &statements, &[]).await? {
            self.name("the file", what);
        }
        let Some((meta, secret)) = self.meta(db).await? else { return Ok(()) };
        self.batches(db, &meta).await?;
        if rows {
            self.rows(db, version, &secret, &meta).await?;
        }
        Ok(())
    }

    /// What the file says of itself; `None`: its rows cannot be proved.
    pub(super) async fn meta(
        &mut self,
        db: &mut SqliteConnection,
    ) -> Result<Option<(Meta, DaySecret)>, sqlx::Error> {
        let meta = Meta::read(db).await?;
        if meta.numbers.get("bookkeeping").copied() != Some(bookkeeping(db, &meta).await?) {
            self.name("the file", "how far the journals are stored was altered");
        }
        if meta.day.as_deref() != Some(&self.day.to_string()) {
            self.name("the file", format!("it says that it is of {:?}", meta.day));
        }
        let Some(secret) = meta.secret else {
            self.name("the file", "the secret of its salts is damaged: no row can be proved");
            return Ok(None);
        };
        let (row, end, is_proved) = (meta.first_row, meta.first_end, meta.is_whole());
        self.found.starts = Some(Starts { row, end, is_proved });
        if !is_proved {
            self.report.uncovered.push(format!(
                "access log: {}, {}, recorded before the log was proved",
                self.file,
                plural("row", (meta.first_row, meta.proved_from - 1))
            ));
        }
        Ok(Some((meta, secret)))
    }

    /// The records of the batches: their form, their days, and that they follow one another.
    pub(super) async fn batches(
        &mut self,
        db: &mut SqliteConnection,
        meta: &Meta,
    ) -> Result<(), sqlx::Error> {
        let rows = sqlx::query("SELECT number, record FROM batch ORDER BY number");
        // `None` behind a batch of which nobody can say where it ended.
        let first = (meta.proved_from, meta.first_end);
        let mut next = Some(first);
        for found in rows.fetch_all(&mut *db).await? {
            let number = found.try_get::<i64, _>(0).map_or(u64::MAX, |number| number as u64);
            let record = found.try_get::<&str, _>(1).unwrap_or_default();
            let Some(batch) = Batch::read(record) else {
                self.name(format!("batch {number}"), "its record was altered");
                self.found.unread.push((number, leaf_hash(record.as_bytes())));
                next = None;
                continue;
            };
            if batch.number != number || batch.day != self.day.to_string() {
                let what = format!("its record is that of batch {} of {}", batch.number, batch.day);
                self.name(format!("batch {number}"), what);
            }
            if let Some((row, end)) = next
                && (batch.first_row, batch.first_end) != (row, end)
            {
                let what = format!(
                    "it begins with row {} and end {}, where {row} and {end} are the next",
                    batch.first_row, batch.first_end
                );
                self.name(format!("batch {number}"), what);
            }
            next = Some((batch.next_row(), batch.next_end()));
            self.found.batches.push((number, leaf_hash(record.as_bytes()), batch));
        }
        let last = self.found.batches.last().map(|(_, _, batch)| batch);
        let end = last.map_or(first, |batch| (batch.next_row(), batch.next_end()));
        (self.found.rows, self.found.ends) = end;
        Ok(())
    }

    async fn rows(
        &mut self,
        db: &mut SqliteConnection,
        version: i64,
        secret: &DaySecret,
        meta: &Meta,
    ) -> Result<(), sqlx::Error> {
        let before = self.found.named;
        self.found.named = false;
        let dictionary = Dictionary::read(db).await?;
        let mut sums = Sums::new(&dictionary);
        let mut salts = Salts::new(secret);
        let ends = self.ends(db, meta.first_end).await?;
        self.stray_notes(db, version).await?;
        let mut missing = Named::default();
        let batches = self.found.batches.clone();
        for (number, leaf, batch) in &batches {
            let left = LeftOver::of(db, version, batch).await?;
            let rows = read_rows(db, batch.first_row, batch.next_row()).await;
            let mut leaves = Vec::with_capacity((batch.rows + batch.ends) as usize);
            let mut lacking = Named::default();
            for (place, row) in (batch.first_row..batch.next_row()).zip(rows) {
                let salt = left.row_salt(place).unwrap_or_else(|| salts.row(place));
                let made = row.and_then(|row| leaf_of(&row, place, &dictionary, &salt, &mut sums));
                let made = made.or_else(|| left.row(place));
                if made.is_none() {
                    lacking.rows.push(place);
                }
                leaves.push(made.unwrap_or_default());
            }
            for place in batch.first_end..batch.next_end() {
                let made = ends.get(place as usize).and_then(Option::as_ref).map(|found| {
                    sums.end(found.row, &found.ended);
                    let end = found.end(place);
                    let salt = left.end_salt(place).unwrap_or_else(|| salts.end(place));
                    end.leaf(&salt, &mut Vec::new())
                });
                let made = made.or_else(|| left.end(place));
                if made.is_none() {
                    lacking.ends.push(place);
                }
                leaves.push(made.unwrap_or_default());
            }
            self.batch(db, *number, leaf, batch, &leaves, lacking, &mut missing).await?;
        }
        self.tell_missing(&missing);
        self.behind_batches(db, &dictionary, &mut salts, &mut sums, &ends, meta).await?;
        for fault in &dictionary.faults {
            self.name("a table that rows point to", fault);
        }
        // Sums of rows that are damaged differ for that reason alone.
        if !self.found.named && meta.is_whole() {
            for what in sums.differences(db).await? {
                self.name("the sums for reports", what);
            }
        }
        self.found.named |= before;
        Ok(())
    }

    /// Every end that came by itself, in its place.
    async fn ends(
        &mut self,
        db: &mut SqliteConnection,
        first: u64,
    ) -> Result<Vec<Option<EndFound>>, sqlx::Error> {
        // Those before are in the day's sealed parts.
        let (ends, misplaced) = read_ends(db, first).await?;
        for place in misplaced {
            self.name("an end", format!("there are two in place {place}, or it has none"));
        }
        Ok(ends)
    }

    /// Notes of rows and ends that are not there: those of others are a part of what is hashed.
    async fn stray_notes(
        &mut self,
        db: &mut SqliteConnection,
        version: i64,
    ) -> Result<(), sqlx::Error> {
        if version < notes::FIRST_WITH_NOTES {
            return Ok(());
        }
        let strays = [
            "SELECT sequence FROM access_note n WHERE NOT EXISTS
               (SELECT 1 FROM access a WHERE a.sequence = n.sequence) LIMIT 100",
            "SELECT sequence FROM end_note n WHERE NOT EXISTS
               (SELECT 1 FROM access_end e WHERE e.sequence = n.sequence) LIMIT 100",
        ];
        for sql in strays {
            for row in sqlx::query(sql).fetch_all(&mut *db).await? {
                let place: i64 = row.try_get(0)?;
                self.name(format!("words or signs of row {place}"), "put in: it has none");
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "what one batch is compared with")]
    pub(super) async fn batch(
        &mut self,
        db: &mut SqliteConnection,
        number: u64,
        leaf: &Hash,
        batch: &Batch,
        leaves: &[Hash],
        lacking: Named,
        missing: &mut Named,
    ) -> Result<(), sqlx::Error> {
        let root = root_of(leaves)?;
        let is_kept = (self.kept)(number).is_none_or(|kept| kept == *leaf);
        let stored = sqlx::query("SELECT marks FROM batch WHERE number = ?").bind(number as i64);
        let stored = stored.fetch_optional(&mut *db).await?;
        let marks: Vec<u8> =
            stored.and_then(|row| row.try_get::<Vec<u8>, _>(0).ok()).unwrap_or_default();
        if Some(root) == hash_of_hex(&batch.root) {
            if marks != crate::evidence::batch::marks(leaves) {
                self.name(
                    format!("batch {number}"),
                    "its marks were altered; its rows are as recorded",
                );
            }
            self.report.rows += batch.rows;
            self.report.ends += batch.ends;
            if !is_kept {
                let rows = plural("row", (batch.first_row, batch.next_row().max(1) - 1));
                let what = format!(
                    "{rows}: the batch was made anew over other rows, or its record altered"
                );
                self.name(format!("batch {number}"), what);
            }
            return Ok(());
        }
        let mut altered = Named::default();
        for (at, leaf) in leaves.iter().enumerate() {
            if marks.get(at * MARK_BYTES..(at + 1) * MARK_BYTES) == Some(&leaf[..MARK_BYTES]) {
                continue;
            }
            let at = at as u64;
            match at < batch.rows {
                true => altered.rows.push(batch.first_row + at),
                false => altered.ends.push(batch.first_end + at - batch.rows),
            }
        }
        altered.rows.retain(|row| !lacking.rows.contains(row));
        altered.ends.retain(|end| !lacking.ends.contains(end));
        let nothing = altered.rows.is_empty() && altered.ends.is_empty();
        if nothing && lacking.rows.is_empty() && lacking.ends.is_empty() {
            let what = match is_kept {
                true => "its rows are not those that were signed, though their marks are",
                false => "its record was altered",
            };
            let rows = plural("row", (batch.first_row, batch.next_row().max(1) - 1));
            self.name(format!("batch {number} ({rows})"), what);
        }
        for run in spans(altered.rows) {
            let what =
                format!("altered: its hash is not the one that was recorded (batch {number})");
            self.name(plural("row", run), what);
        }
        for run in spans(altered.ends) {
            let what =
                format!("altered: its hash is not the one that was recorded (batch {number})");
            self.name(plural("end", run), what);
        }
        missing.rows.extend(lacking.rows);
        missing.ends.extend(lacking.ends);
        Ok(())
    }

    pub(super) fn tell_missing(&mut self, missing: &Named) {
        for (word, places) in [("row", &missing.rows), ("end", &missing.ends)] {
            let runs = spans(places.iter().copied());
            for run in runs.iter().take(MOST_RUNS) {
                self.name(plural(word, *run), "missing, or it cannot be read");
            }
            if let Some((first, _)) = runs.get(MOST_RUNS) {
                let count = places.iter().filter(|place| *place >= first).count();
                let place = format!("{word}s from {first} on");
                self.name(place, format!("{count} more are missing, or cannot be read"));
            }
        }
    }

    /// What no batch holds: rows of the last seconds, of before proofs, and what belongs nowhere.
    async fn behind_batches(
        &mut self,
        db: &mut SqliteConnection,
        dictionary: &Dictionary,
        salts: &mut Salts,
        sums: &mut Sums<'_>,
        ends: &[Option<EndFound>],
        meta: &Meta,
    ) -> Result<(), sqlx::Error> {
        let (first, first_end) = (self.found.rows, self.found.ends);
        let all = sqlx::query(
            "SELECT count(*), coalesce(min(sequence), 0), coalesce(max(sequence) + 1, 0) FROM access",
        );
        let all = all.fetch_one(&mut *db).await?;
        let (count, lowest, next): (i64, i64, i64) =
            (all.try_get(0)?, all.try_get(1)?, all.try_get(2)?);
        let next = (next.max(0) as u64).max(first);
        if lowest < i64::try_from(meta.first_row).unwrap_or(i64::MAX) && count > 0 {
            self.name("a row", "it was put in: it has a place before the first");
        }
        let rows = read_rows(db, first, next.min(first.saturating_add(5_000_000))).await;
        let mut gaps = Vec::new();
        for (place, row) in (first..).zip(rows) {
            let salt = salts.row(place);
            let made = row.and_then(|row| leaf_of(&row, place, dictionary, &salt, sums));
            if made.is_none() {
                gaps.push(place);
            }
        }
        let there = next - first - gaps.len() as u64;
        for run in spans(gaps) {
            self.name(plural("row", run), "missing, or it cannot be read; no batch holds it");
        }
        if there > 0 {
            let rows = plural("row", (first, next - 1));
            self.report
                .uncovered
                .push(format!("access log: {}, {rows}, in no batch yet", self.file));
        }
        self.found.rows = next;
        if meta.is_whole() && count as u64 > next - next.min(meta.first_row) {
            self.name("a row", "there are more rows than places");
        }
        let behind = ends.get(first_end as usize..).unwrap_or_default();
        for (place, end) in (first_end..).zip(behind) {
            match end {
                Some(end) => sums.end(end.row, &end.ended),
                None => self.name(format!("end {place}"), "missing, or it cannot be read"),
            }
        }
        if !behind.is_empty() {
            let run = (first_end, first_end + behind.len() as u64 - 1);
            let run = plural("end", run);
            self.report
                .uncovered
                .push(format!("access log: {}, {run}, in no batch yet", self.file));
        }
        self.found.ends = self.found.ends.max(ends.len() as u64);
        let unplaced = sqlx::query("SELECT count(*) FROM access_end WHERE place IS NULL");
        let unplaced: i64 = unplaced.fetch_one(&mut *db).await?.try_get(0)?;
        if unplaced > 0 && meta.is_whole() {
            self.name("an end", format!("{unplaced} were put in: they have no place"));
        }
        if meta.ends != self.found.ends {
            let what = format!(
                "it says that {} ends came by themselves, and has {}",
                meta.ends, self.found.ends
            );
            self.name("the file", what);
        }
        let highest = sqlx::query("SELECT coalesce(max(id), 0) FROM access").fetch_one(db).await?;
        let highest = highest.try_get::<i64, _>(0)?;
        // The row that had it may have been erased.
        let fits = highest == meta.max_id || self.found.lacks.is_some() && highest < meta.max_id;
        if !fits && !self.found.named {
            self.name(
                "the file",
                format!("it says that {} is its highest id, which it is not", meta.max_id),
            );
        }
        Ok(())
    }
}

/// The sum that [`crate::day_file::bookkeeping`] makes, from what the file holds.
async fn bookkeeping(db: &mut SqliteConnection, meta: &Meta) -> Result<i64, sqlx::Error> {
    let number = |key| meta.numbers.get(key).copied().unwrap_or(-1);
    let numbers = crate::day_file::BOOKKEEPING.map(number);
    Ok(crate::day_file::bookkeeping(&crate::sqlite::positions(db).await?, &numbers))
}

/// What a day's file says of itself.
#[derive(Debug, Default)]
pub(super) struct Meta {
    pub(super) numbers: std::collections::HashMap<String, i64>,
    /// Of a sealed part: SHA-256 of the file of its rows, hex.
    pub(super) sealed_hash: Option<String>,
    day: Option<String>,
    secret: Option<DaySecret>,
    /// Place of the first row: in a later part of a day that behind the parts before it.
    pub(super) first_row: u64,
    /// Place of the first end.
    pub(super) first_end: u64,
    pub(super) proved_from: u64,
    pub(super) ends: u64,
    pub(super) max_id: i64,
}

impl Meta {
    /// Whether all rows are to be proved.
    pub(super) fn is_whole(&self) -> bool {
        self.proved_from <= self.first_row
    }

    pub(super) async fn read(db: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let mut meta = Self::default();
        let mut ends = None;
        for row in sqlx::query("SELECT key, value FROM meta").fetch_all(db).await? {
            let number = || row.try_get::<i64, _>(1).unwrap_or(-1);
            let key = row.try_get::<&str, _>(0).unwrap_or_default();
            meta.numbers.insert(key.to_owned(), number());
            match key {
                "day" => meta.day = row.try_get(1).ok(),
                "secret" => {
                    let bytes = row.try_get::<&[u8], _>(1).unwrap_or_default();
                    meta.secret = bytes.try_into().ok();
                }
                "proved_from" => meta.proved_from = number() as u64,
                "ends" => ends = Some(number() as u64),
                "max_id" => meta.max_id = number(),
                crate::parts::FIRST_ROW => meta.first_row = number().max(0) as u64,
                crate::parts::FIRST_END => meta.first_end = number().max(0) as u64,
                crate::seal::sums::FILE_HASH => meta.sealed_hash = row.try_get(1).ok(),
                _ => {}
            }
        }
        meta.ends = ends.unwrap_or(meta.first_end);
        Ok(meta)
    }
}

/// A row as its file has it.
pub(crate) struct RawRow {
    id: u64,
    pub(crate) at: i64,
    pub(crate) who: i64,
    pub(crate) what: i64,
    pub(crate) path: Option<String>,
    ended: Option<Ended>,
    notes: Option<Box<OwnedNotes>>,
}

/// An end as its file has it.
#[derive(Clone, Debug)]
pub(crate) struct EndFound {
    pub(crate) row: u64,
    pub(crate) ended: Ended,
    signs: Option<Box<str>>,
}

impl EndFound {
    /// What its leaf is made of.
    pub(crate) fn end(&self, place: u64) -> End<'_> {
        End { place, row: self.row, ended: self.ended, signs: self.signs.as_deref() }
    }
}

fn raw(row: &SqliteRow) -> Option<(u64, RawRow)> {
    let sequence = u64::try_from(row.try_get::<i64, _>(0).ok()?).ok()?;
    let raw = RawRow {
        id: row.try_get::<i64, _>(1).ok()? as u64,
        at: row.try_get(2).ok()?,
        who: row.try_get(3).ok()?,
        what: row.try_get(4).ok()?,
        path: row.try_get(5).ok()?,
        ended: sound_end(row, 6)?,
        notes: if row.len() > 11 { notes::read(row, 11).ok()? } else { None },
    };
    Some((sequence, raw))
}

/// An end of which nothing is missing: SQLite reads a NULL as 0, and 0 is what most of them say.
fn sound_end(row: &SqliteRow, column: usize) -> Option<Option<Ended>> {
    let end = read_end(row, column).ok()?;
    let nulls = (column + 1..=column + 4)
        .map(|column| row.try_get_raw(column).is_ok_and(|value| value.is_null()))
        .filter(|null| *null)
        .count();
    let fits = nulls == if end.is_some() { 0 } else { 4 };
    fits.then_some(end)
}

/// Every end that came by itself with its row, in its place, and the places of those that have none of
/// their own: the first may be `first`.
pub(crate) async fn read_ends(
    db: &mut SqliteConnection,
    first: u64,
) -> Result<(Vec<Option<EndFound>>, Vec<i64>), sqlx::Error> {
    let sql = match notes::are_in(db).await? {
        true => {
            r#"SELECT e.place, e.sequence, e."end", e.status, e.bytes_up, e.bytes_down, e.duration_us, n.signs
               FROM access_end e LEFT JOIN end_note n ON n.sequence = e.sequence
               WHERE e.place IS NOT NULL ORDER BY e.place"#
        }
        false => {
            r#"SELECT place, sequence, "end", status, bytes_up, bytes_down, duration_us, NULL
               FROM access_end WHERE place IS NOT NULL ORDER BY place"#
        }
    };
    let rows = sqlx::query(sql).fetch_all(&mut *db).await?;
    let mut ends: Vec<Option<EndFound>> = vec![None; first.min(MOST_AHEAD as u64) as usize];
    let mut misplaced = Vec::new();
    for row in rows {
        let Ok(place) = row.try_get::<i64, _>(0) else { continue };
        let last = ends.len() as i64;
        if place < 0 || place < last || place > last + MOST_AHEAD {
            misplaced.push(place);
            continue;
        }
        ends.resize(place as usize, None);
        let sequence = row.try_get::<i64, _>(1).ok().and_then(|row| u64::try_from(row).ok());
        let ended = sequence.zip(sound_end(&row, 2).flatten());
        let signs = row.try_get::<Option<&str>, _>(7).ok().map(|signs| signs.map(Into::into));
        ends.push(ended.zip(signs).map(|((row, ended), signs)| EndFound { row, ended, signs }));
    }
    Ok((ends, misplaced))
}

/// The rows in the places `[first, next)`, `None` where one is missing or unreadable.
pub(crate) async fn read_rows(
    db: &mut SqliteConnection,
    first: u64,
    next: u64,
) -> Vec<Option<RawRow>> {
    const MANY: &str = r#"SELECT sequence, id, at, who, what, path, "end", status, bytes_up, bytes_down,
        duration_us FROM access WHERE sequence >= ? AND sequence < ? ORDER BY sequence"#;
    const MANY_WITH_NOTES: &str = r#"SELECT a.sequence, a.id, a.at, a.who, a.what, a.path, a."end", a.status,
          a.bytes_up, a.bytes_down, a.duration_us, n.kind, n.site, n.words, n.signs
        FROM access a LEFT JOIN access_note n ON n.sequence = a.sequence
        WHERE a.sequence >= ? AND a.sequence < ? ORDER BY a.sequence"#;
    let sql = match notes::are_in(db).await {
        Ok(false) => MANY,
        Ok(true) | Err(_) => MANY_WITH_NOTES,
    };
    let mut rows: Vec<Option<RawRow>> = (first..next).map(|_| None).collect();
    let mut put = |row: &SqliteRow| {
        if let Some((sequence, raw)) = raw(row)
            && let Some(place) = sequence.checked_sub(first)
            && let Some(slot) = rows.get_mut(place as usize)
        {
            *slot = Some(raw);
        }
    };
    let range = |first: u64, next: u64| {
        sqlx::query(sql).bind(first as i64).bind(i64::try_from(next).unwrap_or(i64::MAX))
    };
    match range(first, next).fetch_all(&mut *db).await {
        Ok(found) => found.iter().for_each(&mut put),
        // Around a damaged page each row is asked for by itself.
        Err(_) => {
            for place in first..next {
                if let Ok(Some(row)) = range(place, place + 1).fetch_optional(&mut *db).await {
                    put(&row);
                }
            }
        }
    }
    rows
}

pub(crate) fn leaf_of(
    row: &RawRow,
    number: u64,
    dictionary: &Dictionary,
    salt: &Salt,
    sums: &mut Sums<'_>,
) -> Option<Hash> {
    let (who, what) = (dictionary.who.get(&row.who)?, dictionary.what.get(&row.what)?);
    sums.row(number, row);
    let row = AccessRow {
        number,
        id: row.id,
        at: row.at,
        who: who.hash,
        what: what.hash,
        path: row.path.as_deref(),
        ended: row.ended,
        notes: borrowed(row.notes.as_deref()),
    };
    Some(row.leaf(salt, &mut Vec::new()))
}

/// The sums that the rows come to, to be compared with those in the file.
pub(crate) struct Sums<'a> {
    dictionary: &'a Dictionary,
    rollup: Rollup,
    facts: Vec<Option<(Facts, u32)>>,
}

impl<'a> Sums<'a> {
    pub(crate) fn new(dictionary: &'a Dictionary) -> Self {
        Self { dictionary, rollup: Rollup::new(Stored::default()), facts: Vec::new() }
    }

    fn row(&mut self, number: u64, row: &RawRow) {
        let dictionary = self.dictionary;
        let Some(who) = dictionary.who.get(&row.who) else { return };
        let Some(what) = dictionary.what.get(&row.what) else { return };
        let Some(site) = dictionary.sites.get(&what.host) else { return };
        let facts = Facts {
            at: row.at,
            person: who.person,
            level: who.level,
            site: *site,
            verdict: what.verdict,
            reason: what.reason,
            depth: what.depth,
            scheme: what.scheme,
            host: what.host,
            client: who.client,
        };
        let categories = self.members(what.category_set);
        self.rollup.request(&facts, categories, row.ended.map(|ended| ended.status));
        if let Some(ended) = &row.ended {
            self.ended(&facts, what.category_set, ended);
        } else {
            // Its end may come by itself.
            if self.facts.len() <= number as usize {
                self.facts.resize(number as usize + 1, None);
            }
            self.facts[number as usize] = Some((facts, what.category_set));
        }
    }

    pub(crate) fn end(&mut self, row: u64, ended: &Ended) {
        if let Some(Some((facts, set))) = self.facts.get(row as usize).copied() {
            self.ended(&facts, set, ended);
        }
    }

    fn ended(&mut self, facts: &Facts, set: u32, ended: &Ended) {
        let categories = self.members(set);
        self.rollup.bytes(facts, categories, ended.bytes_up, ended.bytes_down);
        self.rollup.ended(facts, ended);
    }

    fn members(&self, set: u32) -> &'a [u32] {
        self.dictionary.members.get(&set).map_or(&[], Vec::as_slice)
    }

    /// Stores them in a file that has none.
    pub(crate) async fn store(&self, db: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        self.rollup.store(db).await
    }

    async fn differences(&self, db: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
        self.rollup.differences(db).await
    }
}

/// What SQLite itself finds wrong with a file's pages and indexes.
pub(super) async fn structure(
    db: &mut SqliteConnection,
    log: &str,
    place: &str,
    report: &mut Report,
) {
    match sqlx::query("PRAGMA integrity_check(20)").fetch_all(db).await {
        Err(error) => report.problem(log, place, format!("its structure is damaged: {error}")),
        Ok(rows) => {
            for row in rows {
                let text = row.try_get::<String, _>(0).unwrap_or_default();
                if text != "ok" {
                    report.problem(log, place, format!("its structure is damaged: {text}"));
                }
            }
        }
    }
}

/// How the tables, indexes, views and triggers of a file differ from those that these statements make;
/// without the tables and views that are named. Rules that keep records from being changed may have been
/// taken away.
pub(super) async fn schema_differences(
    db: &mut SqliteConnection,
    statements: &[&'static str],
    without: &[&str],
) -> Result<Vec<String>, sqlx::Error> {
    let mut model = SqliteConnectOptions::new().in_memory(true).connect().await?;
    for statement in statements {
        sqlx::raw_sql(*statement).execute(&mut model).await?;
    }
    for name in without {
        let kind = sqlx::query("SELECT type FROM sqlite_master WHERE name = ?").bind(*name);
        let Some(kind) = kind.fetch_optional(&mut model).await? else { continue };
        let drop = format!("DROP {} {name}", kind.try_get::<&str, _>(0)?);
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut model).await?;
    }
    let (expected, found) = (objects(&mut model).await?, objects(db).await?);
    model.close().await?;
    let mut differences = Vec::new();
    for (name, sql) in &expected {
        match found.iter().find(|(other, _)| other == name) {
            None => differences.push(format!("its {name} was removed")),
            Some((_, other)) if other != sql => {
                differences.push(format!("its {name} was changed"));
            }
            Some(_) => {}
        }
    }
    let added = found.iter().filter(|(name, _)| !expected.iter().any(|(other, _)| other == name));
    differences.extend(added.map(|(name, _)| format!("a {name} was added to it")));
    Ok(differences)
}

async fn objects(db: &mut SqliteConnection) -> Result<Vec<(String, String)>, sqlx::Error> {
    // Tables of SQLite and of what makes the tables begin so.
    let rows = sqlx::query(
        "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_master
         WHERE name NOT LIKE 'sqlite_%' AND name NOT LIKE '\\_%' ESCAPE '\\' ORDER BY 1",
    )
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
