//! What the change log says was erased.

use crate::changes::ChangeLog;
use jiff::civil::Date;
use rules::change::{ChangeEntry, Event};
use serde::Deserialize;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row};
use std::collections::BTreeMap;
use std::path::Path;

/// The erasures of whole days that the log records, the last of each day: the entry, and first and last
/// number of each run of batches that the day had.
#[must_use]
pub fn erasures(entries: &[ChangeEntry]) -> BTreeMap<Date, (u64, Vec<(u64, u64)>)> {
    let whole = |entry: &ChangeEntry| match &entry.event {
        Event::Erased { day, whole: true, batches, .. } => {
            Some((day.parse().ok()?, (entry.sequence, batches.clone())))
        }
        _ => None,
    };
    entries.iter().filter_map(whole).collect()
}

/// An erasure of some rows of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartErasure {
    /// The entry that says so.
    pub(crate) entry: u64,
    /// How many rows.
    pub(crate) rows: u64,
    /// Places of all that the day lacks from then on, hashed.
    pub(crate) lacks: String,
    /// Of which classes, or for which request.
    pub(crate) what: String,
}

/// The erasures of some rows that the log records, those of a day in their order.
pub(crate) fn part_erasures(entries: &[ChangeEntry]) -> BTreeMap<Date, Vec<PartErasure>> {
    let mut days: BTreeMap<Date, Vec<PartErasure>> = BTreeMap::new();
    for entry in entries {
        if let Event::Erased { day, whole: false, classes, request, rows, lacks, .. } = &entry.event
            && let Ok(day) = day.parse()
        {
            let what = match request {
                Some(id) => id.to_string(),
                None => classes.join(", "),
            };
            days.entry(day).or_default().push(PartErasure {
                entry: entry.sequence,
                rows: *rows,
                lacks: lacks.clone().unwrap_or_default(),
                what,
            });
        }
    }
    days
}

/// First and last number of each run of batches that were erased with their days, as the change log of a
/// state folder has it. For who must not open the log for writing; no log, no erasures.
pub(crate) async fn erased_batches(state: &Path) -> std::io::Result<Vec<(u64, u64)>> {
    #[derive(Deserialize)]
    struct Stored {
        event: serde_json::Value,
    }
    let path = ChangeLog::path_in(state);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let read = async {
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .busy_timeout(std::time::Duration::from_secs(5))
            .disable_statement_logging();
        let mut db = options.connect().await?;
        let some = "SELECT body FROM change WHERE body LIKE '%\"erased\"%' ORDER BY sequence";
        let rows = sqlx::query(some).fetch_all(&mut db).await?;
        db.close().await?;
        let bodies = rows.iter().map(|row| row.try_get::<String, _>(0));
        bodies.collect::<Result<Vec<_>, sqlx::Error>>()
    };
    let bodies = read.await.map_err(std::io::Error::other)?;
    let mut batches = Vec::new();
    for body in bodies {
        let stored = serde_json::from_str::<Stored>(&body).ok();
        let event = stored.and_then(|stored| serde_json::from_value(stored.event).ok());
        if let Some(Event::Erased { whole: true, batches: runs, .. }) = event {
            batches.extend(runs);
        }
    }
    Ok(batches)
}
