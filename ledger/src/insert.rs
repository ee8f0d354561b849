//! Multi-row inserts: few statements, prepared once, for many rows.

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, SqlSafeStr, SqlStr, SqliteConnection};

/// Rows of the large statements, largest first; SQLite keeps each one's program in memory for every
/// table. What remains goes in one statement of its own, so that the few rows of a quiet moment
/// cost one call a table.
const LARGE_ROWS: [usize; 1] = [100];

/// Most rows of a remainder; one more is taken by none of its statements.
const MAX_SMALL_ROWS: usize = 25;

/// An insert into one table, prepared for several row counts.
pub(crate) struct Insert {
    large: [SqlStr; LARGE_ROWS.len()],
    /// For 1, 2, ... rows.
    small: Vec<SqlStr>,
}

impl Insert {
    /// `head` up to `VALUES`, the number of columns, and what follows the rows (a conflict clause).
    /// All three are texts of this crate, never input.
    pub(crate) fn new(head: &str, columns: usize, tail: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(","));
        let statement = |rows: usize| {
            let sql = format!("{head} VALUES {} {tail}", vec![row.as_str(); rows].join(","));
            AssertSqlSafe(sql).into_sql_str()
        };
        Self {
            large: LARGE_ROWS.map(statement),
            small: (1..=MAX_SMALL_ROWS).map(statement).collect(),
        }
    }

    fn statement(&self, rows: usize) -> (&SqlStr, usize) {
        match LARGE_ROWS.iter().position(|&large| rows >= large) {
            Some(place) => (&self.large[place], LARGE_ROWS[place]),
            None => {
                let count = rows.min(MAX_SMALL_ROWS);
                (&self.small[count - 1], count)
            }
        }
    }

    /// Inserts all rows.
    pub(crate) async fn run<T>(
        &self,
        connection: &mut SqliteConnection,
        mut rows: &[T],
        bind: impl Fn(&mut Binder, &T),
    ) -> Result<(), sqlx::Error> {
        while !rows.is_empty() {
            let (statement, count) = self.statement(rows.len());
            let (chunk, rest) = rows.split_at(count);
            let mut binder = Binder::default();
            chunk.iter().for_each(|row| bind(&mut binder, row));
            sqlx::query_with(statement.clone(), binder.finish()?).execute(&mut *connection).await?;
            rows = rest;
        }
        Ok(())
    }
}

/// Collects a statement's values; the first one that cannot be encoded fails the statement.
#[derive(Default)]
pub(crate) struct Binder {
    arguments: SqliteArguments,
    error: Option<sqlx::error::BoxDynError>,
}

impl Binder {
    /// The next value.
    pub(crate) fn put<'t, T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(
        &mut self,
        value: T,
    ) -> &mut Self {
        if let Err(error) = self.arguments.add(value) {
            self.error.get_or_insert(error);
        }
        self
    }

    /// The next value, a number.
    pub(crate) fn number(&mut self, value: impl Into<i64>) -> &mut Self {
        self.put(value.into())
    }

    /// The next value, a count; counts stay far below 2^63.
    pub(crate) fn count(&mut self, value: u64) -> &mut Self {
        self.put(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn finish(self) -> Result<SqliteArguments, sqlx::Error> {
        match self.error {
            Some(error) => Err(sqlx::Error::Encode(error)),
            None => Ok(self.arguments),
        }
    }
}
