//! `log visitors`: who is behind the records that a filter keeps.

use crate::failure::{Exit, Failure};
use crate::log::{from_query_error, open};
use crate::output::{Cell, Column, Format, Sheet};
use crate::school::{School, show_seconds};
use ledger::query::Filter;
use rules::time::SchoolClock;

const COLUMNS: &[Column] = &[
    Column { key: "user", title: "User", gives_way: 0 },
    Column { key: "requests", title: "Requests", gives_way: 0 },
    Column { key: "blocked", title: "Blocked", gives_way: 0 },
    Column { key: "first", title: "First", gives_way: 1 },
    Column { key: "last", title: "Last", gives_way: 1 },
];

/// Prints them, the most requests first. One row without a name stands for everybody not proved.
pub(crate) async fn print(
    school: &School,
    clock: &SchoolClock,
    filter: &Filter,
    format: Format,
) -> Result<Exit, Failure> {
    let mut log = open(school).await?;
    let visitors = log.visitors(filter).await.map_err(from_query_error)?;
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for visitor in &visitors {
        sheet.row(&[
            visitor
                .user
                .as_deref()
                .map_or_else(|| Cell::new("(nobody proved)", serde_json::Value::Null), Cell::text),
            Cell::number(visitor.requests),
            Cell::number(visitor.blocked),
            Cell::new(show_seconds(clock, visitor.first), clock.rfc3339(visitor.first)),
            Cell::new(show_seconds(clock, visitor.last), clock.rfc3339(visitor.last)),
        ])?;
    }
    if sheet.finish()? == 0 {
        note!("nobody");
    }
    Ok(Exit::Ok)
}
