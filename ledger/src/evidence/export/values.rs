//! The records of one day as a bundle shows them, and the leaves around them.

use crate::day_file::read_end;
use crate::evidence::batch::Batch;
use crate::evidence::erased::LeftOver;
use crate::evidence::row::{End, Hash, Row as AccessRow, Salt, What, Who};
use crate::evidence::salt::{DaySecret, Salts};
use crate::evidence::sealed_rows::Made;
use crate::notes::{self, Notes, borrowed};
use crate::record::{AsDecided, Depth, Ended, scheme_from_number};
use crate::sealed_day::{scheme_of, verdict_of};
use crate::sqlite::open_rows_to_read;
use rules::decide::{ReasonCode, Verdict};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use std::path::Path;

/// Everything that a row's hash is made of.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RowValues {
    number: u64,
    id: u64,
    /// The code that a block page shows.
    code: String,
    at: i64,
    user: Option<String>,
    level: String,
    client: String,
    method: String,
    scheme: &'static str,
    host: String,
    port: u16,
    path: Option<String>,
    categories: Vec<String>,
    locked: bool,
    verdict: &'static str,
    reason: &'static str,
    rule: Option<String>,
    unblock: Option<u32>,
    depth: &'static str,
    policy_hash: String,
    list_version: String,
    zone: String,
    ended: Option<EndedValues>,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<WordsValues>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signs: Option<String>,
}

/// The words of a search.
#[derive(Clone, Debug, Serialize)]
struct WordsValues {
    kind: &'static str,
    site: String,
    text: String,
}

impl WordsValues {
    fn of(notes: &Notes<'_>) -> Option<Self> {
        let words = notes.words?;
        let (site, text) = (words.site.to_owned(), words.text.to_owned());
        Some(Self { kind: words.kind.as_str(), site, text })
    }
}

/// Everything that an end's hash is made of.
#[derive(Clone, Debug, Serialize)]
pub(super) struct EndValues {
    pub(super) place: u64,
    row: u64,
    ended: EndedValues,
    #[serde(skip_serializing_if = "Option::is_none")]
    signs: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct EndedValues {
    /// How it ended, and in the bits from the fifth on the depth in the end plus one.
    end: u8,
    /// The same as words.
    how: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    depth: Option<&'static str>,
    status: u16,
    bytes_up: u64,
    bytes_down: u64,
    duration_us: u64,
}

impl From<Ended> for EndedValues {
    fn from(ended: Ended) -> Self {
        Self {
            end: ended.end_number(),
            how: ended.end.as_str(),
            depth: ended.depth.map(Depth::as_str),
            status: ended.status,
            bytes_up: ended.bytes_up,
            bytes_down: ended.bytes_down,
            duration_us: ended.duration_us,
        }
    }
}

/// A day's file, open to take records out of.
pub(super) struct OpenRecords {
    db: SqliteConnection,
    version: i64,
    has_notes: bool,
    pub(super) first_row: u64,
    pub(super) batches: Vec<Batch>,
    salts: Salts,
    /// The batch whose leaves were made last: records that are asked for are often neighbours.
    kept: Option<(u64, Vec<Hash>)>,
}

const SELECT: &str = r#"
SELECT a.sequence, a.id, a.at, p.name, l.value, c.address, m.value, w.scheme, h.name, w.port, a.path,
  s.names, s.locked, w.verdict, w.reason, r.value, w.unblock, w.depth, x.policy_hash, x.list_version,
  x.zone, a."end", a.status, a.bytes_up, a.bytes_down, a.duration_us"#;

const FROM: &str = r#"
FROM access a
JOIN who o ON o.id = a.who LEFT JOIN person p ON p.id = o.person
JOIN client c ON c.id = o.client JOIN name l ON l.id = o.level
JOIN what w ON w.id = a.what JOIN name m ON m.id = w.method
JOIN host h ON h.id = w.host JOIN category_set s ON s.id = w.category_set
JOIN context x ON x.id = w.context LEFT JOIN name r ON r.id = w.rule"#;

const SELECT_END: &str =
    r#"SELECT e.place, e.sequence, e."end", e.status, e.bytes_up, e.bytes_down, e.duration_us"#;

/// The rows in the places from one to before another, their notes behind.
fn rows_sql(has_notes: bool) -> String {
    let (notes, join) = match has_notes {
        true => {
            let join = "LEFT JOIN access_note n ON n.sequence = a.sequence";
            ("n.kind, n.site, n.words, n.signs", join)
        }
        false => ("NULL, NULL, NULL, NULL", ""),
    };
    format!(
        "{SELECT}, {notes} {FROM} {join} WHERE a.sequence >= ? AND a.sequence < ? ORDER BY a.sequence"
    )
}

/// Ends that came by themselves, their signs behind.
fn ends_sql(has_notes: bool) -> String {
    let (signs, join) = match has_notes {
        true => ("n.signs", "LEFT JOIN end_note n ON n.sequence = e.sequence"),
        false => ("NULL", ""),
    };
    format!("{SELECT_END}, {signs} FROM access_end e {join} WHERE")
}

impl OpenRecords {
    /// Opens a day's file. One that is older than proofs has no batch.
    pub(super) async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        let mut db = open_rows_to_read(path).await?;
        sqlx::query("BEGIN").execute(&mut db).await?;
        let version: i64 =
            sqlx::query("PRAGMA user_version").fetch_one(&mut db).await?.try_get(0)?;
        let (mut batches, mut secret) = (Vec::new(), DaySecret::default());
        if version >= crate::evidence::access::FIRST_WITH_BATCHES {
            let row = sqlx::query("SELECT value FROM meta WHERE key = 'secret'").fetch_one(&mut db);
            secret = row.await?.try_get::<&[u8], _>(0)?.try_into().map_err(|_| {
                sqlx::Error::Decode("the secret of the day's salts has not 32 bytes".into())
            })?;
            let rows = sqlx::query("SELECT record FROM batch ORDER BY number").fetch_all(&mut db);
            let read = |row: &SqliteRow| Batch::read(row.try_get(0).ok()?);
            batches = rows.await?.iter().filter_map(read).collect();
        }
        let first =
            sqlx::query("SELECT CAST(coalesce(max(value), 0) AS INTEGER) FROM meta WHERE key = ?");
        let first = first.bind(crate::parts::FIRST_ROW).fetch_one(&mut db).await?;
        let first_row = first.try_get::<i64, _>(0)? as u64;
        let has_notes = version >= notes::FIRST_WITH_NOTES;
        let salts = Salts::new(&secret);
        Ok(Self { db, version, has_notes, first_row, batches, salts, kept: None })
    }

    /// A row with everything named.
    pub(super) async fn row(&mut self, row: u64) -> Result<RowValues, sqlx::Error> {
        let sql = AssertSqlSafe(rows_sql(self.has_notes));
        let found = sqlx::query(sql).bind(row as i64).bind(row as i64 + 1);
        read_values(&found.fetch_one(&mut self.db).await?)
    }

    /// The end of a row that came by itself.
    pub(super) async fn end_of(&mut self, row: u64) -> Result<Option<EndValues>, sqlx::Error> {
        let sql = ends_sql(self.has_notes) + " e.sequence = ? AND e.place IS NOT NULL";
        let found = sqlx::query(AssertSqlSafe(sql)).bind(row as i64).fetch_optional(&mut self.db);
        let Some(found) = found.await? else { return Ok(None) };
        let place = found.try_get::<i64, _>(0)? as u64;
        let signs = found.try_get(7)?;
        Ok(read_end(&found, 2)?.map(|ended| EndValues { place, row, ended: ended.into(), signs }))
    }

    /// The leaves of a batch, made again from its rows and ends.
    pub(super) async fn leaves(&mut self, batch: &Batch) -> Result<Vec<Hash>, sqlx::Error> {
        if let Some((number, leaves)) = &self.kept
            && *number == batch.number
        {
            return Ok(leaves.clone());
        }
        let left = LeftOver::of(&mut self.db, self.version, batch).await?;
        let mut leaves: Vec<Option<Hash>> =
            (0..batch.rows).map(|place| left.row(batch.first_row + place)).collect();
        leaves.extend((0..batch.ends).map(|place| left.end(batch.first_end + place)));
        let mut buffer = Vec::new();
        let rows = sqlx::query(AssertSqlSafe(rows_sql(self.has_notes)))
            .bind(batch.first_row as i64)
            .bind(batch.next_row() as i64)
            .fetch_all(&mut self.db)
            .await?;
        for row in &rows {
            let place = row.try_get::<i64, _>(0)? as u64;
            let salt = left.row_salt(place).unwrap_or_else(|| self.salts.row(place));
            leaves[(place - batch.first_row) as usize] = Some(leaf(row, &salt, &mut buffer)?);
        }
        let sql = ends_sql(self.has_notes) + " e.place >= ? AND e.place < ? ORDER BY e.place";
        let ends = sqlx::query(AssertSqlSafe(sql))
            .bind(batch.first_end as i64)
            .bind(batch.next_end() as i64)
            .fetch_all(&mut self.db)
            .await?;
        for row in &ends {
            let place = row.try_get::<i64, _>(0)? as u64;
            let Some(ended) = read_end(row, 2)? else { continue };
            let (of, signs) = (row.try_get::<i64, _>(1)? as u64, row.try_get(7)?);
            let end = End { place, row: of, ended, signs };
            let salt = left.end_salt(place).unwrap_or_else(|| self.salts.end(place));
            let index = (batch.rows + place - batch.first_end) as usize;
            leaves[index] = Some(end.leaf(&salt, &mut buffer));
        }
        // What is missing has no leaf: the batch's root will not fit.
        let leaves: Vec<Hash> = leaves.into_iter().map(Option::unwrap_or_default).collect();
        self.kept = Some((batch.number, leaves.clone()));
        Ok(leaves)
    }

    /// The salt of a row in this batch.
    pub(super) async fn row_salt(&mut self, batch: &Batch, row: u64) -> Result<Salt, sqlx::Error> {
        let left = LeftOver::of(&mut self.db, self.version, batch).await?;
        Ok(left.row_salt(row).unwrap_or_else(|| self.salts.row(row)))
    }

    /// The salt of an end in this batch.
    pub(super) async fn end_salt(&mut self, batch: &Batch, end: u64) -> Result<Salt, sqlx::Error> {
        let left = LeftOver::of(&mut self.db, self.version, batch).await?;
        Ok(left.end_salt(end).unwrap_or_else(|| self.salts.end(end)))
    }
}

fn leaf(row: &SqliteRow, salt: &Salt, buffer: &mut Vec<u8>) -> Result<Hash, sqlx::Error> {
    let unknown = || sqlx::Error::Decode("a number that means nothing".into());
    let number = row.try_get::<i64, _>(0)? as u64;
    let who = Who { user: row.try_get(3)?, level: row.try_get(4)?, client: row.try_get(5)? };
    let what = What {
        policy_hash: row.try_get(18)?,
        list_version: row.try_get(19)?,
        zone: row.try_get(20)?,
        method: row.try_get(6)?,
        scheme: scheme_from_number(row.try_get(7)?).ok_or_else(unknown)?,
        host: row.try_get(8)?,
        port: row.try_get(9)?,
        categories: row.try_get::<&str, _>(11)?.split_whitespace().collect(),
        locked: row.try_get(12)?,
        verdict: verdict(row.try_get(13)?),
        reason: ReasonCode::from_number(row.try_get(14)?).ok_or_else(unknown)?,
        rule: row.try_get(15)?,
        unblock: row.try_get(16)?,
        known: AsDecided::from_number(row.try_get(17)?).ok_or_else(unknown)?,
    };
    let noted = notes::read(row, 26)?;
    let access = AccessRow {
        number,
        id: row.try_get::<i64, _>(1)? as u64,
        at: row.try_get(2)?,
        who: who.hash(),
        what: what.hash(),
        path: row.try_get(10)?,
        ended: read_end(row, 21)?,
        notes: borrowed(noted.as_deref()),
    };
    Ok(access.leaf(salt, buffer))
}

impl RowValues {
    /// The values of a row of a sealed file; an end that came by itself is not among them.
    pub(super) fn of_sealed(made: &Made<'_>) -> Option<Self> {
        let Made { row, values, .. } = made;
        Some(Self {
            number: row.number,
            id: row.id,
            code: rules::code::RequestId(row.id).code().to_string(),
            at: row.at,
            user: values.user.map(str::to_owned),
            level: values.level.to_owned(),
            client: values.client.to_owned(),
            method: values.method.to_owned(),
            scheme: scheme_of(values.scheme)?.as_str(),
            host: values.host.to_owned(),
            port: values.port,
            path: values.path.map(str::to_owned),
            categories: values.categories.split_whitespace().map(str::to_owned).collect(),
            locked: values.locked,
            verdict: verdict_of(values.verdict)?.as_str(),
            reason: ReasonCode::from_word(values.reason)?.as_str(),
            rule: values.rule.map(str::to_owned),
            unblock: values.unblock,
            depth: AsDecided::from_word(values.depth)?.as_str(),
            policy_hash: values.policy_hash.to_owned(),
            list_version: values.list_version.to_owned(),
            zone: values.zone.to_owned(),
            ended: row.ended.map(Into::into),
            words: WordsValues::of(&row.notes),
            signs: row.notes.signs.map(str::to_owned),
        })
    }
}

impl From<&End<'_>> for EndValues {
    fn from(end: &End<'_>) -> Self {
        let signs = end.signs.map(str::to_owned);
        Self { place: end.place, row: end.row, ended: end.ended.into(), signs }
    }
}

fn verdict(number: i64) -> Verdict {
    if number == 0 { Verdict::Allow } else { Verdict::Block }
}

fn read_values(row: &SqliteRow) -> Result<RowValues, sqlx::Error> {
    let unknown = || sqlx::Error::Decode("a number that means nothing".into());
    let id = row.try_get::<i64, _>(1)? as u64;
    let noted = notes::read(row, 26)?;
    let noted = borrowed(noted.as_deref());
    Ok(RowValues {
        number: row.try_get::<i64, _>(0)? as u64,
        id,
        code: rules::code::RequestId(id).code().to_string(),
        at: row.try_get(2)?,
        user: row.try_get(3)?,
        level: row.try_get(4)?,
        client: row.try_get(5)?,
        method: row.try_get(6)?,
        scheme: scheme_from_number(row.try_get(7)?).ok_or_else(unknown)?.as_str(),
        host: row.try_get(8)?,
        port: row.try_get(9)?,
        path: row.try_get(10)?,
        categories: row.try_get::<&str, _>(11)?.split_whitespace().map(str::to_owned).collect(),
        locked: row.try_get(12)?,
        verdict: verdict(row.try_get(13)?).as_str(),
        reason: ReasonCode::from_number(row.try_get(14)?).ok_or_else(unknown)?.as_str(),
        rule: row.try_get(15)?,
        unblock: row.try_get(16)?,
        depth: AsDecided::from_number(row.try_get(17)?).ok_or_else(unknown)?.as_str(),
        policy_hash: row.try_get(18)?,
        list_version: row.try_get(19)?,
        zone: row.try_get(20)?,
        ended: read_end(row, 21)?.map(Into::into),
        words: WordsValues::of(&noted),
        signs: noted.signs.map(str::to_owned),
    })
}
