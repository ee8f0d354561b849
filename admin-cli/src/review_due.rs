//! `unblock review-due`: what somebody has to look at again: changes, standing exceptions, standing
//! permissions and lines about looking in, whose date has come or comes within a week.

use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Format, Sheet};
use crate::requests;
use crate::school::{from_append_error, now};
use jiff::civil::Date;
use ledger::changes::ChangeLog;
use rules::change::{Changes, REVIEW_BEFORE_END_MILLIS, UnblockHistory, UnblockState};
use rules::policy::Policy;
use rules::time::UnixMillis;

/// What lasts at most so long simply ends, in milliseconds: a lesson needs no review.
const JUST_ENDS_MILLIS: i64 = 24 * 3_600_000;

const COLUMNS: &[Column] = &[
    Column { key: "due", title: "Due", gives_way: 0 },
    Column { key: "overdue", title: "Overdue", gives_way: 1 },
    Column { key: "kind", title: "Kind", gives_way: 0 },
    Column { key: "what", title: "What", gives_way: 0 },
    Column { key: "by", title: "Authorised by", gives_way: 2 },
    Column { key: "do", title: "End or renew", gives_way: 0 },
];

/// One thing to look at again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Due {
    date: Date,
    overdue: bool,
    kind: &'static str,
    what: String,
    by: String,
    next: String,
}

/// Runs `unblock review-due`.
pub(crate) async fn print(
    policy: &Policy,
    log: &ChangeLog,
    format: Format,
) -> Result<Exit, Failure> {
    let changes = log.changes().await.map_err(from_append_error)?;
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for due in due(policy, &changes, now()) {
        sheet.row(&[
            Cell::text(due.date.to_string()),
            Cell::new(if due.overdue { "yes" } else { "" }, due.overdue),
            Cell::text(due.kind),
            Cell::text(due.what),
            Cell::text(due.by),
            Cell::text(due.next),
        ])?;
    }
    if sheet.finish()? == 0 {
        note!("nothing is due for review within 7 days");
    }
    Ok(Exit::Ok)
}

/// Everything that is due, the oldest first.
fn due(policy: &Policy, changes: &Changes, now: UnixMillis) -> Vec<Due> {
    let clock = policy.clock();
    let today = clock.day(now);
    let horizon = clock.day(UnixMillis(now.0.saturating_add(REVIEW_BEFORE_END_MILLIS)));
    let in_policy = |kind, date: Date, what: String, by: String| Due {
        date,
        overdue: date < today,
        kind,
        what,
        by,
        next: "edit its `review` in the policy, or take it out: schoolgate policy apply".to_owned(),
    };
    let exceptions = policy.exceptions().iter().map(|it| {
        let level = &policy.levels().get(it.level).name;
        let word = if it.blocks { "blocked" } else { "open" };
        let what = format!("{} {word} for {level}: {}", it.site, it.reason);
        in_policy("exception", it.review, what, String::new())
    });
    let inspected = policy.inspect_sites().iter().map(|it| {
        let what = format!("{} looked into as {}: {}", it.site, it.inspect.as_str(), it.reason);
        in_policy("inspect_site", it.review, what, String::new())
    });
    let standing = policy.unblock_rules().standing.iter().map(|it| {
        let names = policy.catalogue().names(it.categories).join(", ");
        let (who, scope) = (it.who.as_str(), &it.scope);
        let what = format!("{who} may open {names} for a {scope}, {} minutes", it.max_minutes);
        in_policy("standing yes", it.review, what, it.authorised.clone())
    });
    let mut all: Vec<Due> =
        exceptions.chain(inspected).chain(standing).filter(|it| it.date <= horizon).collect();
    let is_due = |it: &&UnblockHistory| {
        let state = it.state(now);
        let ends_soon = it.kind.ends()
            && it.until.0.saturating_sub(it.from.0) > JUST_ENDS_MILLIS
            && clock.day(it.until) <= horizon;
        let soon = ends_soon || clock.day(it.review_from()) <= horizon && !it.kind.ends();
        state == UnblockState::ReviewDue || (state.is_in_force() && soon)
    };
    all.extend(changes.unblocks.values().filter(is_due).map(|it| Due {
        date: clock.day(it.until),
        overdue: it.until <= now,
        kind: it.kind.as_str(),
        what: format!("{} ({})", requests::subject(it), it.id),
        by: it.authorised.as_ref().map(|(_, by)| by.clone()).unwrap_or_default(),
        next: format!(
            "schoolgate unblock extend {} --until WHEN --reason TEXT; or {}",
            it.id,
            requests::undo(it)
        ),
    }));
    all.sort_by_key(|due| due.date);
    all
}
