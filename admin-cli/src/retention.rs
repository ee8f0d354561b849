//! `retention`: how long each kind of record is kept, and erasing what is over.

use crate::args::{ChangeArgs, PrintArgs, RetentionCommand};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Sheet, visible};
use crate::school::{Acting, School, from_append_error, now};
use crate::who::person;
use ledger::retention::{AlertsOutcome, Order, Outcome, RetentionError};
use rules::access::Role;
use rules::policy::Policy;

const COLUMNS: &[Column] = &[
    Column { key: "class", title: "Records", gives_way: 0 },
    Column { key: "days", title: "Days", gives_way: 0 },
    Column { key: "basis", title: "Basis", gives_way: 0 },
    Column { key: "held_since", title: "Oldest held", gives_way: 1 },
];

/// Runs a `retention` command.
pub(crate) async fn run(school: &School, command: &RetentionCommand) -> Result<Exit, Failure> {
    match command {
        RetentionCommand::Show { print } => show(school, print).await,
        RetentionCommand::Run { despite_gap, change } => erase(school, change, *despite_gap).await,
        RetentionCommand::Hold(command) => crate::hold::run(school, command).await,
        RetentionCommand::Erase(command) => crate::erase::run(school, command).await,
    }
}

/// Who may have erased what is over.
const MAY_ERASE: &[Role] = &[Role::It, Role::Dsl, Role::Head];

/// Erases what is over, by the policy: the decision was made there, by the people who signed it off.
async fn erase(school: &School, change: &ChangeArgs, over_gaps: bool) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    let policy = &snapshot.policy;
    let log = school.change_log().await?;
    let by = person(school, &log, change).await?;
    let acting = Acting::new(&log, &by, "retention run".to_owned(), change);
    acting.require(policy, MAY_ERASE).await?;
    let order = Order { over_gaps, ..order(policy, &by, change.dry_run) };
    let outcome =
        ledger::retention::run(&school.config.state, &log, order).await.map_err(from_error)?;
    tell(&outcome, change.dry_run)?;
    let alerts = ledger::retention::erase_alerts(&school.config.state, &log, order).await;
    let alerts = alerts.map_err(from_error)?;
    tell_alerts(&alerts, change.dry_run)?;
    let days = outcome.erased.len() + outcome.parts.len() + outcome.finished.len();
    if days + alerts.erased.len() == 0 {
        note!("nothing {} erased", if change.dry_run { "would be" } else { "was" });
    }
    Ok(Exit::Ok)
}

/// What an erasure by this person goes by.
pub(crate) fn order<'a>(policy: &'a Policy, by: &'a str, dry_run: bool) -> Order<'a> {
    let (clock, keep) = (policy.clock(), policy.keep());
    Order {
        clock,
        keep,
        now: now(),
        actor: by,
        dry_run,
        most_parts: usize::MAX,
        over_gaps: false,
        stop: &|| false,
    }
}

/// Says what was erased, and what stays and why.
pub(crate) fn tell(outcome: &Outcome, dry_run: bool) -> Result<(), Failure> {
    let would = if dry_run { "would be " } else { "" };
    for (day, rows) in &outcome.erased {
        say!("{day}  {would}erased, {rows} records");
    }
    for (day, what, rows) in &outcome.parts {
        say!("{day}  {would}erased, {rows} records ({what}); their hashes stay");
    }
    for day in &outcome.finished {
        say!("{day}  {would}erased: an earlier run had recorded it and was cut short");
    }
    for (day, why) in &outcome.kept {
        say!("{day}  kept: {}", visible(&why.to_string()));
    }
    Ok(())
}

/// The same of names and notes of alerts.
fn tell_alerts(outcome: &AlertsOutcome, dry_run: bool) -> Result<(), Failure> {
    let would = if dry_run { "would be " } else { "" };
    for alert in &outcome.erased {
        say!("{alert}  name and notes {would}erased");
    }
    for (alert, why) in &outcome.kept {
        say!("{alert}  name and notes kept: {}", visible(&why.to_string()));
    }
    Ok(())
}

pub(crate) fn from_error(error: RetentionError) -> Failure {
    match error {
        RetentionError::Log(error) => from_append_error(error),
        other => Failure::fault(other),
    }
}

async fn show(school: &School, print: &PrintArgs) -> Result<Exit, Failure> {
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
        ("names and notes of alerts", keep.alerts_days, "[keep] alerts", None),
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
    note!(
        "note: of a day, each kind of request is erased once its own period is over, and its hashes stay; the \
         day goes whole with the longer one; the change log is kept"
    );
    Ok(Exit::Ok)
}
