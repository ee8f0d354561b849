//! The Filtering Change Log: the seven columns that school policies ask for, from the change log.

use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Format, Sheet};
use crate::school::{from_append_error, now, range};
use crate::tried;
use ledger::changes::ChangeLog;
use rules::change::{ChangeEntry, Changes, Event, RequestKind, UnblockHistory, UnblockState};
use rules::time::{SchoolClock, UnixMillis};

/// The columns, exactly as in the schools' own forms.
pub(crate) const COLUMNS: &[Column] = &[
    Column { key: "Website / category", title: "Website / category", gives_way: 0 },
    Column { key: "Date", title: "Date", gives_way: 0 },
    Column { key: "Requested by / reason", title: "Requested by / reason", gives_way: 0 },
    Column { key: "Authorised by", title: "Authorised by", gives_way: 0 },
    Column { key: "Change made by", title: "Change made by", gives_way: 0 },
    Column { key: "Confirmed by", title: "Confirmed by", gives_way: 0 },
    Column { key: "Date for review", title: "Date for review", gives_way: 0 },
];

/// One row of the Filtering Change Log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// When it was asked for or made.
    pub(crate) at: UnixMillis,
    /// The seven cells.
    pub(crate) cells: [String; 7],
}

/// All rows asked for or made in a range, the oldest first.
pub(crate) fn rows(
    changes: &Changes,
    entries: &[ChangeEntry],
    clock: &SchoolClock,
    (from, until): (UnixMillis, UnixMillis),
    at: UnixMillis,
) -> Vec<Row> {
    let mut rows: Vec<Row> =
        changes.unblocks.values().map(|history| unblock_row(changes, history, clock, at)).collect();
    rows.extend(entries.iter().filter_map(|entry| entry_row(entry, entries, clock)));
    rows.retain(|row| from <= row.at && row.at < until);
    rows.sort_by_key(|row| row.at);
    rows
}

fn unblock_row(
    changes: &Changes,
    history: &UnblockHistory,
    clock: &SchoolClock,
    at: UnixMillis,
) -> Row {
    let date = |at: UnixMillis| clock.day(at).to_string();
    let named = |step: &Option<(UnixMillis, String)>| {
        step.as_ref().map(|(at, by)| format!("{by} ({})", date(*at))).unwrap_or_default()
    };
    let authorised = match &history.refused {
        Some((at, by, why)) => format!("refused by {by} ({}): {why}", date(*at)),
        None if history.by_standing_yes => format!("standing yes: {}", named(&history.authorised)),
        None => named(&history.authorised),
    };
    let wrong = history.wrongly_blocked.as_ref();
    let wrong = wrong.map(|(_, by)| format!("; the block was wrong, says {by}"));
    let authorised = authorised + &wrong.unwrap_or_default();
    let review = match &history.revoked {
        Some((at, by, _)) => format!("ended {} by {by}", date(*at)),
        None if history.refused.is_some() => String::new(),
        None => {
            let until = date(history.until);
            // What a policy brings in may have to be looked at sooner than the whole of it.
            match &history.kind {
                RequestKind::Policy(what) => earliest_review(&what.summary)
                    .filter(|earliest| *earliest < until)
                    .unwrap_or(until),
                _ => until,
            }
        }
    };
    let state = changes.state(history.id, at).map_or("", UnblockState::as_str);
    let replayed = match &history.kind {
        RequestKind::Policy(what) => tried::words(what.replayed.as_ref()),
        _ => String::new(),
    };
    Row {
        at: history.asked_at,
        cells: [
            format!("{}{replayed} ({}, {state})", crate::requests::subject(history), history.id),
            date(history.asked_at),
            format!("{}: {}", history.requested_by, history.reason),
            authorised,
            named(&history.applied),
            named(&history.confirmed),
            review,
        ],
    }
}

/// The row of a change that is no unblock; `None` for entries that change nothing in the filter.
fn entry_row(entry: &ChangeEntry, entries: &[ChangeEntry], clock: &SchoolClock) -> Option<Row> {
    let mut review = String::new();
    let (what, reason, authorised) = match &entry.event {
        Event::SiteBlocked { id, site, scope, reason } => {
            (format!("{site} blocked for {scope} ({id})"), reason.clone(), String::new())
        }
        Event::SiteBlockLifted { id, reason } => {
            let site = entries.iter().find_map(|entry| match &entry.event {
                Event::SiteBlocked { id: blocked, site, .. } if blocked == id => {
                    Some(site.as_str())
                }
                _ => None,
            });
            let site = site.unwrap_or("?");
            (format!("{site} no longer blocked ({id})"), reason.clone(), entry.actor.clone())
        }
        // What a request has put into force stands in the request's own row.
        Event::PolicyApplied { request: Some(_), .. } => return None,
        Event::ListAccepted { .. } | Event::ListRolledBack { .. }
            if is_of_request(entry, entries) =>
        {
            return None;
        }
        Event::PolicyApplied { hash, reason, summary, request: None, replayed } => {
            let authoriser = entries.iter().rev().find_map(|earlier| match &earlier.event {
                Event::PolicyAuthorised { hash: yes, .. }
                    if yes == hash && earlier.sequence < entry.sequence =>
                {
                    Some(earlier.actor.clone())
                }
                _ => None,
            });
            review = earliest_review(summary).unwrap_or_default();
            let what = crate::requests::policy_words(summary) + &tried::words(replayed.as_ref());
            (what, reason.clone(), authoriser.unwrap_or_default())
        }
        Event::ListRolledBack { list, version } => {
            (format!("list {list} back to {version}"), String::new(), String::new())
        }
        Event::ListMoved { list, from, to } => {
            let what = match (from, to) {
                (Some(from), Some(to)) => format!("list {list} moved from {from} to {to}"),
                (_, Some(to)) => format!("list {list} ({to}) back in the machine file"),
                (Some(from), None) => format!("list {list} ({from}) taken out"),
                (None, None) => format!("list {list} taken out"),
            };
            (what, String::new(), String::new())
        }
        Event::ListAccepted { list, version, added, removed, .. }
            if entry.actor != "schoolgate" =>
        {
            (
                format!("list {list} {version}: {added} sites more, {removed} fewer"),
                String::new(),
                String::new(),
            )
        }
        _ => return None,
    };
    let requested =
        if reason.is_empty() { entry.actor.clone() } else { format!("{}: {reason}", entry.actor) };
    let date = clock.day(entry.at).to_string();
    Some(Row {
        at: entry.at,
        cells: [what, date, requested, authorised, entry.actor.clone(), String::new(), review],
    })
}

/// The first date on which somebody has to look again at what a policy brought in: its new exceptions
/// and other standing decisions say `...; review 2027-03-25)`.
fn earliest_review(summary: &[String]) -> Option<String> {
    let brought = summary.iter().filter(|line| !line.starts_with("removed: "));
    // Of a line that changed, what it was before stands in front of the arrow.
    let dates = brought.filter_map(|line| {
        let (_, date) = line.rsplit(" -> ").next()?.rsplit_once("; review ")?;
        date.strip_suffix(')')?.parse::<jiff::civil::Date>().ok()
    });
    dates.min().map(|date| date.to_string())
}

/// Whether a list came into force by a request: then the entry before says that it was applied.
fn is_of_request(entry: &ChangeEntry, entries: &[ChangeEntry]) -> bool {
    let before = entry.sequence.checked_sub(1);
    let place = before.and_then(|at| entries.binary_search_by_key(&at, |it| it.sequence).ok());
    place.and_then(|place| entries.get(place)).is_some_and(|before| {
        before.actor == entry.actor && matches!(before.event, Event::UnblockApplied { .. })
    })
}

/// Reads the log and makes its rows; `since` bounds them.
pub(crate) async fn read(
    clock: &SchoolClock,
    log: &ChangeLog,
    since: Option<&str>,
) -> Result<Vec<Row>, Failure> {
    let at = now();
    let bounds = match since {
        Some(text) => range(clock, Some(text), None, text)?,
        None => (UnixMillis(i64::MIN), UnixMillis(i64::MAX)),
    };
    let changes = log.changes().await.map_err(from_append_error)?;
    let entries = log.entries_after(0).await.map_err(from_append_error)?;
    Ok(rows(&changes, &entries, clock, bounds, at))
}

/// `unblock log`.
pub(crate) async fn print(
    clock: &SchoolClock,
    log: &ChangeLog,
    since: Option<&str>,
    format: Format,
) -> Result<Exit, Failure> {
    let rows = read(clock, log, since).await?;
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for row in &rows {
        sheet.row(&row.cells.clone().map(Cell::text))?;
    }
    if sheet.finish()? == 0 {
        note!("no changes");
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_reviewed_when_the_first_of_what_it_brought_in_is() {
        let review = |lines: &[&str]| {
            earliest_review(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
        };
        let exception = "added: exception: a.test allowed for pupil (Music; review 2027-03-25)";
        assert_eq!(review(&[exception]), Some("2027-03-25".to_owned()));
        let removed = "removed: exception: b.test allowed for pupil (Old; review 2026-01-01)";
        let changed =
            "inspect c.test: name (Was; review 2026-02-01) -> never (Is; review 2027-02-01)";
        assert_eq!(review(&[exception, removed, changed]), Some("2027-02-01".to_owned()));
        let gone = "inspect c.test: name (Was; review 2026-02-01) -> none";
        assert_eq!(review(&[removed, gone, "games for ks3: block -> allow"]), None);
    }
}
