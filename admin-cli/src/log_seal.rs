//! `log seal`: days that are over become sealed files, now.

use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Format, Sheet};
use crate::school::{School, now};
use jiff::civil::Date;
use ledger::parts::{Part, parts};
use ledger::seal::{Sealed, ask_daemon, seal_days, waiting};
use rules::time::SchoolClock;
use std::time::Duration;

/// Longest that a running filter is waited for, for each day: millions of records take a minute, and
/// longer where the machine has other work.
const PATIENCE: Duration = Duration::from_secs(1800);

const COLUMNS: &[Column] = &[
    Column { key: "day", title: "Day", gives_way: 0 },
    Column { key: "records", title: "Records", gives_way: 0 },
    Column { key: "bytes_before", title: "Bytes before", gives_way: 1 },
    Column { key: "bytes_after", title: "Bytes after", gives_way: 1 },
    Column { key: "seconds", title: "Seconds", gives_way: 2 },
];

/// Seals the day, or all that are over.
pub(crate) async fn run(
    school: &School,
    clock: &SchoolClock,
    day: Option<Date>,
    format: Format,
) -> Result<Exit, Failure> {
    if let Some(day) = day {
        check_day(school, clock, day)?;
    }
    let state = &school.config.state;
    if !state.is_dir() {
        note!("no day waits to be sealed");
        return Ok(Exit::Ok);
    }
    let mut sealed = Vec::new();
    let done = seal_days(state, day, now(), || false, |part: &Sealed| sealed.push(part.clone()));
    if done.await.map_err(Failure::fault)?.is_none() {
        return by_daemon(school, day, format).await;
    }
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for part in &sealed {
        sheet.row(&[
            Cell::text(part.part.day.to_string()),
            Cell::number(part.rows),
            Cell::number(part.open_bytes),
            Cell::number(part.sealed_bytes),
            Cell::number(part.took.as_secs()),
        ])?;
    }
    if sheet.finish()? == 0 {
        note!("no day waits to be sealed");
    }
    Ok(Exit::Ok)
}

fn check_day(school: &School, clock: &SchoolClock, day: Date) -> Result<(), Failure> {
    if day >= clock.day(now()) {
        return Err(Failure::usage(format!("{day} is not over")).fix("seal it tomorrow"));
    }
    let parts = parts(&school.config.state.join("access")).map_err(Failure::fault)?;
    match parts.iter().any(|part| part.day == day) {
        true => Ok(()),
        false => Err(Failure::not_found(format!("no records of {day}"))
            .fix("schoolgate retention show tells which days are held")),
    }
}

/// The filter that runs is the only writer of its log, so it is asked.
///
/// What it took is in the filter's messages: here a row tells the day alone.
async fn by_daemon(school: &School, day: Option<Date>, format: Format) -> Result<Exit, Failure> {
    let state = &school.config.state;
    let waiting = waiting(state, now(), Duration::ZERO).await.map_err(Failure::fault)?;
    let mut days: Vec<Date> = waiting.iter().map(|part: &Part| part.day).collect();
    days.dedup();
    days.retain(|waits| day.is_none_or(|day| day == *waits));
    if days.is_empty() {
        note!("no day waits to be sealed");
    }
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    let mut left = Vec::new();
    for day in days {
        note!("{day}: the running filter seals it");
        if !ask_daemon(state, day, PATIENCE).await.map_err(Failure::fault)? {
            left.push(day.to_string());
            continue;
        }
        let unknown = || Cell::maybe(None::<&str>);
        sheet.row(&[Cell::text(day.to_string()), unknown(), unknown(), unknown(), unknown()])?;
    }
    sheet.finish()?;
    match left.is_empty() {
        true => Ok(Exit::Ok),
        false => Err(Failure::fault(format!("not sealed: {}", left.join(", ")))
            .fix("see the filter's messages; a connection of that day may still be open")),
    }
}
