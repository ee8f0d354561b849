//! Multi-row inserts: few statements, prepared once, for many rows.

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, SqlSafeStr, SqlStr, SqliteConnection};

/// Rows of the prepared statements, largest first. A batch is cut into these.
const CHUNK_ROWS: [usize; 5] = [400, 100, 20, 4, 1];

/// An insert into one table, prepared for several row counts.
pub(crate) struct Insert {
    statements: [SqlStr; CHUNK_ROWS.len()],
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
        Self { statements: CHUNK_ROWS.map(statement) }
    }

    /// Inserts all rows.
    pub(crate) async fn run<T>(
        &self,
        connection: &mut SqliteConnection,
        mut rows: &[T],
        bind: impl Fn(&mut Binder, &T),
    ) -> Result<(), sqlx::Error> {
        for (statement, count) in self.statements.iter().zip(CHUNK_ROWS) {
            while rows.len() >= count {
                let (chunk, rest) = rows.split_at(count);
                let mut binder = Binder::default();
                chunk.iter().for_each(|row| bind(&mut binder, row));
                let arguments = binder.finish()?;
                sqlx::query_with(statement.clone(), arguments).execute(&mut *connection).await?;
                rows = rest;
            }
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
