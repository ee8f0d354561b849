//! The Filtering Change Log: the seven columns that school policies ask for, from the change log.

mod steps;

pub(crate) use steps::{Counts, Step};

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
    /// All that was done about it, and when.
    steps: Vec<(UnixMillis, Step)>,
    /// The seven cells.
    pub(crate) cells: [String; 7],
}

impl Row {
    /// What came of it in a range, and when; `None`: nothing was done about it there.
    pub(crate) fn within(
        &self,
        (from, until): (UnixMillis, UnixMillis),
    ) -> Option<(Step, UnixMillis)> {
        let within = self.steps.iter().filter(|(at, _)| from <= *at && *at < until);
        within.map(|(at, step)| (*step, *at)).max()
    }
}

/// All rows about which anything was done in a range, by when they were asked for or made, the oldest first: what was
/// asked for before it and came into force in it is among them.
pub(crate) fn rows(
    changes: &Changes,
    entries: &[ChangeEntry],
    clock: &SchoolClock,
    range: (UnixMillis, UnixMillis),
    at: UnixMillis,
) -> Vec<Row> {
    let mut rows: Vec<Row> =
        changes.unblocks.values().map(|history| unblock_row(changes, history, clock, at)).collect();
    rows.extend(entries.iter().filter_map(|entry| entry_row(entry, entries, clock)));
    rows.retain(|row| row.within(range).is_some());
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
        steps: steps::steps(history),
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
        steps: vec![(entry.at, Step::Changed)],
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
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use rules::change::{PolicyRequest, SignOffOrder};
    use rules::unblock::{BlockId, Scope, UnblockId};

    const ID: UnblockId = UnblockId(1);
    const UNTIL: UnixMillis = UnixMillis(4_000_000_000_000);
    const WEEKS: [(UnixMillis, UnixMillis); 2] =
        [(UnixMillis(0), UnixMillis(100)), (UnixMillis(100), UnixMillis(200))];

    /// What came of the rows of each week.
    fn came_to(steps: Vec<(i64, &str, Event)>) -> [Vec<Step>; 2] {
        let clock = SchoolClock::new("Europe/London", &[]).unwrap();
        let entry = |(sequence, (at, actor, event)): (u64, (i64, &str, Event))| ChangeEntry {
            sequence,
            at: UnixMillis(at),
            actor: actor.to_owned(),
            event,
        };
        let entries: Vec<ChangeEntry> = (0..).zip(steps).map(entry).collect();
        let mut changes = Changes::default();
        entries.iter().for_each(|entry| changes.fold(entry));
        WEEKS.map(|week| {
            let rows = rows(&changes, &entries, &clock, week, UNTIL);
            rows.iter().map(|row| row.within(week).unwrap().0).collect()
        })
    }

    fn asked() -> Event {
        Event::UnblockAsked {
            id: ID,
            site: "a.test".to_owned(),
            scope: Scope::Everyone,
            from: UnixMillis(0),
            until: UNTIL,
            reason: "The chess club final".to_owned(),
            lapses: None,
            order: SignOffOrder::default(),
        }
    }

    #[test]
    fn a_request_falls_into_each_range_in_which_anything_was_done_about_it() {
        use Step::{Asked, Authorised, Changed, Confirmed, Refused, Withdrawn};
        let yes = |at| (at, "q.whitmore", Event::UnblockAuthorised { id: ID });
        let reason = || "Because of this".to_owned();
        let no = |at| (at, "q.whitmore", Event::UnblockRefused { id: ID, reason: reason() });
        let apply = |at| (at, "automatic", Event::UnblockApplied { id: ID });
        let (note, checks) = (String::new, Vec::new);
        let confirm =
            |at| (at, "j.cho", Event::UnblockConfirmed { id: ID, note: note(), checks: checks() });
        let until = UnixMillis(UNTIL.0 + 1);
        let extend =
            |at| (at, "q.whitmore", Event::UnblockExtended { id: ID, until, reason: reason() });
        let revoke = |at| (at, "j.cho", Event::UnblockRevoked { id: ID, reason: reason() });
        let cases = [
            ("nothing since", vec![yes(20), apply(30)], [Some(Changed), None]),
            ("authorised late", vec![yes(110), apply(120)], [Some(Asked), Some(Changed)]),
            ("applied late", vec![yes(20), apply(120)], [Some(Authorised), Some(Changed)]),
            ("only asked for", vec![], [Some(Asked), None]),
            ("only refused", vec![no(20)], [Some(Refused), None]),
            ("refused late", vec![no(100)], [Some(Asked), Some(Refused)]),
            (
                "confirmed late",
                vec![yes(20), apply(30), confirm(130)],
                [Some(Changed), Some(Confirmed)],
            ),
            ("extended", vec![yes(20), apply(30), extend(130)], [Some(Changed), Some(Changed)]),
            ("revoked", vec![yes(20), apply(30), revoke(130)], [Some(Changed), Some(Changed)]),
            ("withdrawn", vec![yes(20), revoke(130)], [Some(Authorised), Some(Withdrawn)]),
        ];
        for (what, steps, expected) in cases {
            let steps = std::iter::once((10, "m.obi", asked())).chain(steps).collect();
            let expected = expected.map(|step| step.into_iter().collect::<Vec<_>>());
            assert_eq!(came_to(steps), expected, "{what}");
        }
    }

    #[test]
    fn a_policy_and_a_lift_by_request_change_the_filter_when_they_come_into_force() {
        let hash = || "ab".repeat(32);
        let what = PolicyRequest {
            hash: hash(),
            base: String::new(),
            summary: vec!["games for ks3: block -> allow".to_owned()],
            replayed: None,
        };
        let order = SignOffOrder::default();
        let reason = || "Games are open".to_owned();
        let asked = |at, event| (at, "j.cho", event);
        let signed = |at| {
            let yes = (at, "q.whitmore", Event::UnblockAuthorised { id: ID });
            vec![yes, (at, "automatic", Event::UnblockApplied { id: ID })]
        };
        let policy = Event::PolicyAsked {
            id: ID,
            what,
            reason: reason(),
            review: UNTIL,
            lapses: None,
            order,
        };
        let in_force = Event::PolicyApplied {
            hash: hash(),
            reason: reason(),
            summary: vec![],
            request: Some(ID),
            replayed: None,
        };
        let steps = [vec![asked(10, policy)], signed(110), vec![asked(110, in_force)]].concat();
        assert_eq!(came_to(steps), [vec![Step::Asked], vec![Step::Changed]]);

        let block = Event::SiteBlocked {
            id: BlockId(1),
            site: "a.test".to_owned(),
            scope: Scope::Everyone,
            reason: reason(),
        };
        let lift = Event::LiftAsked {
            id: ID,
            block: BlockId(1),
            reason: reason(),
            review: UNTIL,
            lapses: None,
            order: SignOffOrder::default(),
        };
        let steps = [vec![asked(5, block), asked(10, lift)], signed(110)].concat();
        assert_eq!(came_to(steps), [vec![Step::Changed, Step::Asked], vec![Step::Changed]]);
    }

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
