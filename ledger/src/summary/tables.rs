//! The sums of one day's file, each table in one text.
//!
//! A row that SQLite hands over by itself crosses from one thread to another and is copied value by
//! value. A report of a week asks for hundred thousands of them, so that this cost most of its time: a
//! table comes as one text of numbers instead, which is taken apart here.

use crate::seen::{self, Seen};
use crate::sqlite::open_to_read;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use std::collections::BTreeMap;
use std::path::Path;

/// The tables that a summary is made of, as they are at one moment.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// Levels and categories.
    pub(super) names: Names,
    pub(super) people: Names,
    pub(super) sites: Names,
    /// Hour, level, category, verdict, requests, bytes up, bytes down.
    pub(super) by_hour: Numbers<7>,
    /// Person, level, category, verdict, requests.
    pub(super) by_person: Numbers<5>,
    /// Site, level, verdict, requests.
    pub(super) by_site: Numbers<4>,
    /// Depth, identified, verdict, requests.
    pub(super) by_depth: Numbers<4>,
    /// Person, reason, requests.
    pub(super) by_reason: Numbers<3>,
    /// Hour, person.
    pub(super) seen_people: Numbers<2>,
    /// By level.
    pub(super) seen: BTreeMap<String, Seen>,
}

impl Tables {
    pub(super) async fn read(path: &Path) -> Result<Self, sqlx::Error> {
        let mut connection = open_to_read(path).await?;
        // One read transaction: all sums are of the same moment.
        let mut transaction = connection.begin().await?;
        let db = &mut *transaction;
        let mut tables = Self {
            names: Names::read(db, "name", "value").await?,
            people: Names::read(db, "person", "name").await?,
            sites: Names::read(db, "site", "name").await?,
            by_hour: Numbers::read(
                db,
                "rollup_hour",
                ["hour", "level", "category", "verdict", "requests", "bytes_up", "bytes_down"],
            )
            .await?,
            by_person: Numbers::read(
                db,
                "rollup_person",
                ["person", "level", "category", "verdict", "requests"],
            )
            .await?,
            by_site: Numbers::read(db, "rollup_site", ["site", "level", "verdict", "requests"])
                .await?,
            by_depth: Numbers::read(
                db,
                "rollup_depth",
                ["depth", "identified", "verdict", "requests"],
            )
            .await?,
            seen_people: Numbers::read(db, "hour_person", ["hour", "person"]).await?,
            ..Self::default()
        };
        let known = sqlx::query("SELECT 1 FROM sqlite_schema WHERE name = 'rollup_reason'");
        if known.fetch_optional(&mut *db).await?.is_some() {
            tables.by_reason =
                Numbers::read(db, "rollup_reason", ["person", "reason", "requests"]).await?;
        }
        seen::add_day(db, &mut tables.seen).await?;
        transaction.rollback().await?;
        connection.close().await?;
        Ok(tables)
    }
}

/// Asks for a whole table as one text, and how many rows are in it.
async fn packed(
    db: &mut SqliteConnection,
    table: &str,
    row: &str,
    between: &str,
) -> Result<(String, usize), sqlx::Error> {
    let sql =
        format!("SELECT coalesce(group_concat({row}, '{between}'), ''), count(*) FROM {table}");
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(db).await?;
    let rows = row.try_get::<i64, _>(1)?;
    Ok((row.try_get(0)?, usize::try_from(rows).unwrap_or(usize::MAX)))
}

/// What does not stand in a table as this program writes it.
pub(super) fn damaged(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("{what}; the file is damaged").into())
}

/// Rows of numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers<const COLUMNS: usize> {
    table: &'static str,
    rows: usize,
    text: String,
}

impl<const COLUMNS: usize> Numbers<COLUMNS> {
    async fn read(
        db: &mut SqliteConnection,
        table: &'static str,
        columns: [&str; COLUMNS],
    ) -> Result<Self, sqlx::Error> {
        let (text, rows) = packed(db, table, &columns.join("||' '||"), " ").await?;
        Ok(Self { table, rows, text })
    }

    /// Hands over each row. Fails where not all of them are numbers, each with all columns.
    pub(super) fn each(
        &self,
        mut take: impl FnMut([i64; COLUMNS]) -> Result<(), sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        let wrong = || damaged(&format!("{} does not hold numbers alone", self.table));
        let mut words = self.text.split_ascii_whitespace();
        for _ in 0..self.rows {
            let mut row = [0; COLUMNS];
            for number in &mut row {
                *number = words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
            }
            take(row)?;
        }
        // A row too few would have been missed by its count, one too many is seen here.
        if words.next().is_some() { Err(wrong()) } else { Ok(()) }
    }
}

/// Texts by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    table: &'static str,
    rows: usize,
    text: String,
}

impl Names {
    async fn read(
        db: &mut SqliteConnection,
        table: &'static str,
        column: &str,
    ) -> Result<Self, sqlx::Error> {
        // Each behind its length, as a name may hold any character.
        let row = format!("id||' '||length(CAST({column} AS BLOB))||' '||{column}");
        let (text, rows) = packed(db, table, &row, "").await?;
        Ok(Self { table, rows, text })
    }

    /// Hands over each number with its text.
    pub(super) fn each(&self, mut take: impl FnMut(i64, &str)) -> Result<(), sqlx::Error> {
        let mut rest = &*self.text;
        let mut next = || {
            let (number, behind) = rest.split_once(' ')?;
            let (length, behind) = behind.split_once(' ')?;
            let (name, behind) = behind.split_at_checked(length.parse().ok()?)?;
            rest = behind;
            Some((number.parse().ok()?, name))
        };
        for _ in 0..self.rows {
            let named = next().ok_or_else(|| damaged(&format!("{} lacks a name", self.table)))?;
            take(named.0, named.1);
        }
        if rest.is_empty() { Ok(()) } else { Err(damaged(&format!("{} has no rows", self.table))) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    async fn database(sql: &'static str) -> SqliteConnection {
        let mut db = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
        db
    }

    #[tokio::test]
    async fn numbers_and_names_come_as_they_were_stored() {
        let mut db = database(
            "CREATE TABLE t (a, b); CREATE TABLE n (id INTEGER PRIMARY KEY, name);
             INSERT INTO t VALUES (-1, 9223372036854775807), (2, -9223372036854775808);
             INSERT INTO n VALUES (7, 'caf\u{e9} 3 x'), (8, ''), (9, '1 2 3'), (-3, char(0) || 'a');",
        )
        .await;
        let mut rows = Vec::new();
        let numbers = Numbers::read(&mut db, "t", ["a", "b"]).await.unwrap();
        let keep = |row| {
            rows.push(row);
            Ok(())
        };
        numbers.each(keep).unwrap();
        assert_eq!(rows, [[-1, i64::MAX], [2, i64::MIN]]);
        let mut names = Vec::new();
        let all = Names::read(&mut db, "n", "name").await.unwrap();
        all.each(|number, name| names.push((number, name.to_owned()))).unwrap();
        names.sort();
        let expected = [(-3, "\0a"), (7, "caf\u{e9} 3 x"), (8, ""), (9, "1 2 3")];
        assert_eq!(names, expected.map(|(number, name)| (number, name.to_owned())));
    }

    #[tokio::test]
    async fn an_empty_table_has_no_rows() {
        let mut db = database("CREATE TABLE t (a); CREATE TABLE n (id, name);").await;
        let numbers = Numbers::read(&mut db, "t", ["a"]).await.unwrap();
        numbers.each(|_| panic!("a row")).unwrap();
        let names = Names::read(&mut db, "n", "name").await.unwrap();
        names.each(|_, _| panic!("a row")).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_number_and_what_is_missing_is_an_error() {
        for values in ["(1, NULL)", "(1, 'x')", "(1, 1.5)", "(1, '2 3 4')", "(1, ''), (2, '3 4')"] {
            let mut db = database("CREATE TABLE t (a, b); INSERT INTO t VALUES (5, 6)").await;
            let sql = format!("INSERT INTO t VALUES {values}");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut db).await.unwrap();
            let numbers = Numbers::read(&mut db, "t", ["a", "b"]).await.unwrap();
            let is_whole = |row: [i64; 2]| match row {
                [5, 6] => Ok(()),
                _ => Err(damaged("another row")),
            };
            assert!(numbers.each(is_whole).is_err(), "{values}");
        }
        let mut db = database("CREATE TABLE n (id, name); INSERT INTO n VALUES (1, NULL)").await;
        let names = Names::read(&mut db, "n", "name").await.unwrap();
        assert!(names.each(|_, _| ()).is_err());
    }
}
