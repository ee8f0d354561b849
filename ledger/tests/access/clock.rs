//! The clock jumps: set back, set forward, and twice a year by law.

use crate::backlog::checked_ids;
use crate::sample::{NOW, blocked, context, rows, start, wait};
use ledger::ingest::recover;
use ledger::journal::refused;
use ledger::query::{AccessLog, Filter, Order};
use rules::time::UnixMillis;
use std::path::Path;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Records one refusal at each moment, in this order; gives the ids.
fn record(state: &Path, moments: &[i64]) -> Vec<u64> {
    let writer = start(state);
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let ids = moments
        .iter()
        .map(|&at| {
            let at = UnixMillis(at);
            let id = journal.next_id(at);
            journal.refuse(&blocked(&context, id, at), refused(403, 9, 1)).unwrap();
            id.0
        })
        .collect();
    drop(journal);
    writer.stop();
    ids
}

fn days(state: &Path) -> Vec<String> {
    AccessLog::new(state).days().unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn a_clock_set_back_by_days_while_serving_loses_and_doubles_nothing() {
    let state = tempfile::tempdir().unwrap();
    // Forward a day, back two, forward again: into days that are stored and closed already.
    let moments: Vec<i64> =
        [0, DAY, -DAY, 0, -DAY + 1, DAY + 1, -400 * DAY].iter().map(|jump| NOW.0 + jump).collect();
    let first = record(state.path(), &moments);
    // And across a restart, where the clock comes up before the day that is stored.
    let second = record(state.path(), &[NOW.0 - DAY, NOW.0 - DAY + 5, NOW.0]);
    assert!(first.iter().chain(&second).is_sorted_by(|a, b| a < b), "ids rise whatever the clock");
    let mut wanted: Vec<u64> = [first, second].concat();
    wanted.sort_unstable();
    let mut stored: Vec<u64> = checked_ids(state.path()).into_iter().collect();
    stored.sort_unstable();
    assert_eq!(stored, wanted);
    assert_eq!(days(state.path()), ["2024-10-22", "2025-11-25", "2025-11-26", "2025-11-27"]);
    // Pages walk by place, not by time: each row once.
    let mut cursor = None;
    let (all, mut walked) = (Filter::default(), Vec::new());
    loop {
        let mut log = AccessLog::new(state.path());
        let page = wait(log.page(&all, Order::OldestFirst, cursor, 3)).unwrap();
        walked.extend(page.rows.iter().map(|row| row.id.0));
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    walked.sort_unstable();
    assert_eq!(walked, wanted);
    assert_eq!(recover(state.path()).unwrap().unwrap().decisions, 0);
}

#[test]
fn the_day_of_25_hours_and_the_day_of_23_hours_hold_all_their_records() {
    // 26 October 2025: at 02:00 BST (01:00 UTC) it is 01:00 GMT again.
    let autumn = 1_761_436_800_000 - 3_600_000; // 00:00 BST, 25 October 23:00 UTC
    // 29 March 2026: at 01:00 GMT it is 02:00 BST.
    let spring = 1_774_742_400_000; // 00:00 GMT
    for (midnight, hours, day) in [(autumn, 25, "2025-10-26"), (spring, 23, "2026-03-29")] {
        let state = tempfile::tempdir().unwrap();
        let moments: Vec<i64> = (0..hours * 2).map(|half| midnight + half * HOUR / 2).collect();
        let ids = record(state.path(), &moments);
        assert_eq!(days(state.path()), [day], "{hours} hours are one day");
        let rows = rows(state.path());
        assert_eq!(rows.iter().map(|row| row.id.0).collect::<Vec<_>>(), ids);
        assert_eq!(rows.iter().map(|row| row.at.0).collect::<Vec<_>>(), moments);
        assert_eq!(checked_ids(state.path()).len(), ids.len(), "the hour that comes twice is two");
        // The last millisecond of the day and the first of the next.
        let end = midnight + hours * HOUR;
        record(state.path(), &[midnight - 1, end - 1, end]);
        assert_eq!(days(state.path()).len(), 3);
        let of_the_day = ids.len() + 1;
        let path = state.path().join(format!("access/access-{day}.db"));
        assert!(path.exists());
        let from_day = Filter {
            since: Some(UnixMillis(midnight)),
            until: Some(UnixMillis(end)),
            ..Filter::default()
        };
        let mut log = AccessLog::new(state.path());
        let page = log.page(&from_day, Order::OldestFirst, None, 1000);
        assert_eq!(wait(page).unwrap().rows.len(), of_the_day);
    }
}
