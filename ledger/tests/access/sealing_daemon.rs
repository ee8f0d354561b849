//! The daemon seals days by itself, beside its other work, and when it is asked.

use crate::sample::{NOW, allowed, blocked, context, rows, settings, wait};
use crate::sealing::DAY_MS;
use jiff::civil::date;
use ledger::ingest::{Settings, Writer};
use ledger::journal::refused;
use ledger::parts::parts;
use ledger::query::wait_until_stored;
use ledger::record::End;
use ledger::seal::{Settings as Seal, ask_daemon, seal_days};
use rules::time::UnixMillis;
use std::path::Path;
use std::time::{Duration, Instant};

fn is_sealed(state: &Path, place: usize) -> bool {
    parts(&state.join("access")).unwrap().get(place).is_some_and(|part| part.sealed)
}

fn soon(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn days_are_sealed_while_requests_go_on_and_one_with_something_open_is_not() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    let seal = Seal { grace_ms: 0, look_interval_ms: 100, niceness: 0 };
    let writer = Writer::start(state, Settings { seal, ..settings() }).unwrap();
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let write = |day: i64, count: i64| {
        for turn in 0..count {
            let at = UnixMillis(NOW.0 + day * DAY_MS + turn);
            journal
                .refuse(&blocked(&context, journal.next_id(at), at), refused(403, 0, 1))
                .unwrap();
        }
    };
    let at = UnixMillis(NOW.0 + DAY_MS);
    let open = journal.decide(&allowed(&context, journal.next_id(at), at)).unwrap();
    write(0, 40);
    write(1, 40);
    soon("the first day is sealed", || is_sealed(state, 0));
    // More for a sealed day, again and again, as by a clock that was set back.
    for _ in 0..5 {
        write(0, 10);
        std::thread::sleep(Duration::from_millis(60));
    }
    assert!(wait(wait_until_stored(state, Duration::from_secs(10))).unwrap());
    let second = || {
        let all = parts(&state.join("access")).unwrap();
        all.into_iter().rfind(|part| part.day == date(2025, 11, 27)).unwrap()
    };
    assert!(!second().sealed, "a request of that day is still open");
    open.finish(End::Complete);
    journal.flush();
    soon("the second day is sealed", || second().sealed);
    drop(journal);
    writer.stop();
    let all = rows(state);
    assert_eq!(all.len(), 131);
    let mut ids: Vec<_> = all.iter().map(|row| row.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 131, "each once");
    let mut cursors: Vec<_> = all.iter().map(|row| row.cursor).collect();
    assert!(cursors.is_sorted());
    cursors.dedup();
    assert_eq!(cursors.len(), 131, "each in its own place");
}

#[test]
fn a_running_daemon_seals_a_day_that_it_is_asked_for() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    let writer = Writer::start(state, settings()).unwrap();
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    journal.refuse(&blocked(&context, journal.next_id(NOW), NOW), refused(403, 0, 1)).unwrap();
    assert!(wait(wait_until_stored(state, Duration::from_secs(10))).unwrap());
    let now = UnixMillis(NOW.0 + 2 * DAY_MS);
    assert_eq!(wait(seal_days(state, None, now, || false, |_| {})).unwrap(), None);
    assert!(wait(ask_daemon(state, date(2025, 11, 26), Duration::from_secs(20))).unwrap());
    assert!(is_sealed(state, 0));
    drop(journal);
    writer.stop();
    assert_eq!(rows(state).len(), 1);
}
