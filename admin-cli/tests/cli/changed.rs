//! What the weekly report and the change log say of a week in which something came into force, ended or was refused
//! that was asked for in the week before.

use crate::changing::cells;
use crate::school::School;
use crate::{OK, json};
use ledger::changes::ChangeLog;
use rules::change::{Event, PolicyRequest, SignOffOrder};
use rules::time::UnixMillis;
use rules::unblock::{Scope, UnblockId};
use std::os::unix::fs::DirBuilderExt as _;

/// A day of a week so many weeks ago: 0 is its Monday.
fn day(weeks_ago: i64, day: i64) -> jiff::civil::Date {
    let zone = jiff::tz::TimeZone::get("Europe/London").unwrap();
    let today = jiff::Timestamp::now().to_zoned(zone).date();
    let monday = i64::from(today.weekday().to_monday_zero_offset());
    today.saturating_add(jiff::Span::new().days(day - monday - 7 * weeks_ago))
}

/// Requests of two weeks, by their numbers: 1 a policy, asked for in the first and in force in the second; 2 refused; 3
/// confirmed, 4 extended and 5 revoked in the second; 6 only asked for.
fn entries() -> Vec<(usize, &'static str, Event)> {
    let until = UnixMillis(4_000_000_000_000);
    let reason = || "The chess club final".to_owned();
    let what = PolicyRequest {
        hash: "ab".repeat(32),
        base: "cd".repeat(32),
        summary: vec!["games for ks4: allow at lunch -> allow".to_owned()],
        replayed: None,
    };
    let order = SignOffOrder::default();
    let policy = Event::PolicyAsked {
        id: UnblockId(1),
        what,
        reason: reason(),
        review: until,
        lapses: None,
        order,
    };
    let ask = |id| {
        let event = Event::UnblockAsked {
            id: UnblockId(id),
            site: format!("site{id}.test"),
            scope: Scope::Level("ks3".into()),
            from: UnixMillis(0),
            until,
            reason: reason(),
            lapses: None,
            order: SignOffOrder::default(),
        };
        (0, "m.obi", event)
    };
    let yes = |id, week| (week, "q.whitmore", Event::UnblockAuthorised { id: UnblockId(id) });
    let apply = |id, week| (week, "automatic", Event::UnblockApplied { id: UnblockId(id) });
    let no = Event::UnblockRefused { id: UnblockId(2), reason: reason() };
    let confirm =
        Event::UnblockConfirmed { id: UnblockId(3), note: String::new(), checks: Vec::new() };
    let later = UnixMillis(until.0 + 1);
    let extend = Event::UnblockExtended { id: UnblockId(4), until: later, reason: reason() };
    let revoke = Event::UnblockRevoked { id: UnblockId(5), reason: reason() };
    let mut entries = vec![(0, "j.cho", policy)];
    entries.extend((2..=6).map(ask));
    entries.push((0, "q.whitmore", no));
    entries.extend((3..=5).flat_map(|id| [yes(id, 0), apply(id, 0)]));
    entries.extend([yes(1, 1), apply(1, 1)]);
    entries.push((1, "j.cho", confirm));
    entries.push((1, "q.whitmore", extend));
    entries.push((1, "j.cho", revoke));
    entries
}

#[test]
fn what_came_into_force_in_a_week_is_told_in_that_week() {
    let school = School::new();
    let (first, second) = ([day(2, 0), day(2, 3), day(2, 6)], [day(1, 0), day(1, 1), day(1, 6)]);
    let zone = jiff::tz::TimeZone::get("Europe/London").unwrap();
    // Asked for on Thursday, answered on the Tuesday after.
    let at = [first[1], second[1]].map(|day| {
        let noon = day.at(12, 0, 0, 0).to_zoned(zone.clone()).unwrap();
        UnixMillis(noon.timestamp().as_millisecond())
    });
    let state = school.path("state");
    std::fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = ChangeLog::open(&state).await.unwrap();
        for (week, actor, event) in entries() {
            log.append(at[week], actor, event).await.unwrap();
        }
    });
    let [first, second] = [first, second].map(|[monday, _, sunday]| format!("{monday}/{sunday}"));
    let told = |since: &str| {
        let page = school.run("report weekly --format md --since", &[since]);
        assert_eq!(page.code, OK, "{page:?}");
        let (_, part) = page.out.split_once("\n## Changes\n").unwrap();
        part.split_once("\n## ").unwrap().0.to_owned()
    };
    let part = told(&first);
    assert!(part.contains("3 changes. Other requests: 2 only asked for, 1 refused."), "{part}");
    assert!(part.contains("5 are shown, the last changes first."), "{part}");
    let part = told(&second);
    assert!(part.contains("3 changes. Other requests: 1 only confirmed.\n"), "{part}");
    let rows: Vec<&str> = part.lines().filter(|line| line.contains("(U-000")).collect();
    assert_eq!(rows.len(), 4, "{part}");
    assert!(rows.iter().any(|row| row.contains("U-0001") && row.contains("q.whitmore")), "{part}");
    assert!(rows[3].contains("U-0003"), "what changed nothing comes last: {part}");
    assert!(rows.iter().all(|row| row.starts_with(&format!("| {} |", day(1, 1)))), "{part}");
    let week = json(&school.run("report weekly --format json --since", &[&second]));
    assert_eq!(
        (&week["changes"]["changed"], &week["changes"]["confirmed"]),
        (&3.into(), &1.into())
    );

    let log = |since: &str| {
        let csv = school.run("report changes --format csv --since", &[since]);
        assert_eq!(csv.code, OK, "{csv:?}");
        let rows: Vec<Vec<String>> = csv.out.lines().skip(1).map(cells).collect();
        assert!(rows.iter().all(|row| row.len() == 7), "{csv:?}");
        rows
    };
    assert_eq!(log(&first).len(), 6);
    let rows = log(&second);
    let has = |id: &str| rows.iter().any(|row| row[0].contains(id));
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert!(["U-0001", "U-0003", "U-0004", "U-0005"].into_iter().all(has), "{rows:?}");
    // The columns are those of the school's form: the date is that of the request.
    assert!(rows.iter().all(|row| row[1] == day(2, 3).to_string()), "{rows:?}");
}
