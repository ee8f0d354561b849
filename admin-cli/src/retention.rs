//! `retention`: how long each kind of record is kept.

use crate::args::RetentionCommand;
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Sheet, visible};
use crate::school::School;

const COLUMNS: &[Column] = &[
    Column { key: "class", title: "Records", gives_way: 0 },
    Column { key: "days", title: "Days", gives_way: 0 },
    Column { key: "basis", title: "Basis", gives_way: 0 },
    Column { key: "held_since", title: "Oldest held", gives_way: 1 },
];

/// Runs a `retention` command.
pub(crate) async fn run(school: &School, command: &RetentionCommand) -> Result<Exit, Failure> {
    let RetentionCommand::Show { print } = command;
    let snapshot = school.snapshot().await?;
    let keep = snapshot.policy.keep();
    let log = ledger::query::AccessLog::new(&school.config.state);
    let oldest = log.days().map_err(crate::log::from_query_error)?.first().map(ToString::to_string);
    let entries = school.change_log().await?.entries_after(0).await.map_err(Failure::fault)?;
    let clock = snapshot.policy.clock();
    let first_change = entries.first().map(|entry| clock.day(entry.at).to_string());
    let rows = [
        ("allowed requests", keep.allowed_days, "[keep] allowed", oldest.clone()),
        ("blocked requests and searches", keep.blocked_days, "[keep] blocked", oldest),
        ("changes to the filter", keep.changes_days, "[keep] changes", first_change),
    ];
    let mut sheet = Sheet::stdout(print.format(), COLUMNS)?;
    for (class, days, basis, held) in rows {
        sheet.row(&[
            Cell::text(class),
            Cell::number(days),
            Cell::text(format!("{basis} of the school's policy")),
            Cell::maybe(held),
        ])?;
    }
    sheet.finish()?;
    for warning in snapshot.policy.warnings().iter().filter(|warning| warning.contains(": keep ")) {
        note!("warning: {}", visible(warning));
    }
    note!(
        "note: this is what the school decided; records are not yet erased by themselves when their time is up"
    );
    Ok(Exit::Ok)
}
