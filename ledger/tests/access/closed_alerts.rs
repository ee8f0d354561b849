//! Alerts that were closed: what opens them again, and what does not.

use crate::alerts::{MINUTE, look, of, refuse, stored, themes};
use crate::sample::{NOW, blocked, start, wait};
use ledger::alerts::watch::{Watch, stored_until};
use ledger::alerts::{AlertEntry, AlertEvent, AlertStore, Alerts, NewEvent, Outcome, Position};
use ledger::episodes::Thresholds;
use ledger::journal::refused;
use ledger::notes::{self, Sign, SignSource};
use ledger::query::AccessLog;
use ledger::record::Decided;
use rules::alert::{AlertId, Severity};
use rules::time::UnixMillis;
use rules::visit::Visit;
use std::convert::Infallible;
use std::path::Path;

/// What people do to an alert.
fn act(state: &Path, at: i64, events: Vec<AlertEvent>) {
    let events = events.into_iter().map(|event| NewEvent::new("q.whitmore", event)).collect();
    wait(async {
        let mut store = AlertStore::open(state).await.unwrap();
        let decide = |_: &Alerts| Ok::<_, Infallible>(events);
        store.append_with(UnixMillis(at), &[], decide).await.unwrap();
    });
}

/// Somebody closes an alert.
fn close(state: &Path, alert: u32, at: i64) {
    act(state, at, vec![AlertEvent::Closed { alert: AlertId(alert) }]);
}

#[test]
fn a_sign_after_an_alert_was_closed_opens_it_again_once_for_each_closing_and_over_restarts() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = themes();
    let at = |minutes: i64| NOW.0 + minutes * MINUTE;
    let look = |minutes| {
        journal.flush();
        stored(state.path());
        let raised = wait(look(state.path(), at(minutes)));
        assert_eq!(wait(crate::alerts::look(state.path(), at(minutes))), 0, "once, whoever looks");
        raised
    };
    refuse(&journal, &context, "urgent", "a.test", 0, at(0));
    for place in 0..2 {
        refuse(&journal, &context, "high", &format!("h{place}.test"), 1, at(place));
    }
    for place in 0..5 {
        refuse(&journal, &context, "routine", &format!("r{place}.test"), 2, at(place));
    }
    assert_eq!(look(5), 3);
    // While they are open nobody is told again.
    refuse(&journal, &context, "urgent", "b.test", 0, at(6));
    refuse(&journal, &context, "high", "b.test", 1, at(6));
    assert_eq!(look(6), 0);
    for alert in 1..=3 {
        close(state.path(), alert, at(7));
    }
    assert_eq!(look(7), 0, "nothing has come since");

    refuse(&journal, &context, "urgent", "c.test", 0, at(8));
    assert_eq!(look(8), 1);
    refuse(&journal, &context, "high", "c.test", 1, at(9));
    assert_eq!(look(9), 1);
    for place in 0..5 {
        let opened = i64::from(place == 4);
        refuse(&journal, &context, "routine", &format!("s{place}.test"), 2, at(10 + place));
        assert_eq!(look(10 + place), opened as usize, "{place}");
    }
    // Open again they are as any other, and so once more when they are closed.
    refuse(&journal, &context, "urgent", "d.test", 0, at(15));
    assert_eq!(look(15), 0);
    for alert in 1..=3 {
        close(state.path(), alert, at(16));
    }
    assert_eq!(look(16), 0);
    refuse(&journal, &context, "urgent", "e.test", 0, at(17));
    refuse(&journal, &context, "routine", "e.test", 2, at(17));
    assert_eq!(look(17), 1);
    drop(journal);
    writer.stop();
    wait(async {
        let mut store = AlertStore::open(state.path()).await.unwrap();
        let alerts: Vec<_> = store.alerts().await.unwrap().iter().cloned().collect();
        let open: Vec<_> = alerts.iter().map(|it| (it.severity, it.is_open())).collect();
        let expected =
            [(Severity::Urgent, true), (Severity::High, false), (Severity::Routine, false)];
        assert_eq!(open, expected);
        let entries = store.entries().await.unwrap();
        let is_again = |it: &&AlertEntry| matches!(it.event, AlertEvent::Reopened { .. });
        assert_eq!(entries.iter().filter(is_again).count(), 4);
    });
}

#[test]
fn a_closed_alert_opens_again_after_a_quiet_half_hour_and_for_what_came_since_somebody_looked() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = themes();
    let at = |minutes: i64| NOW.0 + minutes * MINUTE;
    // One that goes on, as in a filter that runs.
    let mut watch = Watch::new(state.path());
    let mut look = |minutes| {
        journal.flush();
        stored(state.path());
        wait(async {
            let mut store = AlertStore::open(state.path()).await.unwrap();
            let thresholds = Thresholds::default();
            watch.look(&mut store, thresholds, UnixMillis(at(minutes))).await.unwrap()
        })
    };
    let alert = AlertId;
    // A repeat keeps the episode going; the next high sign stands alone in its half hour.
    for (host, minutes) in [("a.test", 0), ("b.test", 10), ("b.test", 14)] {
        refuse(&journal, &context, "kim.o", host, 1, at(minutes));
    }
    assert_eq!(look(14), 1);
    close(state.path(), 1, at(15));
    assert_eq!(look(16), 0);
    refuse(&journal, &context, "kim.o", "c.test", 1, at(43));
    assert_eq!(look(43), 1, "it is opened again without a start in between");

    // Closed by somebody who had not seen the last of it.
    refuse(&journal, &context, "sam.p", "a.test", 0, at(50));
    assert_eq!(look(50), 1);
    act(state.path(), at(51), vec![AlertEvent::Seen { alert: alert(2), read: None }]);
    refuse(&journal, &context, "sam.p", "b.test", 0, at(60));
    assert_eq!(look(60), 0, "it is open");
    let outcome = Outcome::Spoken;
    let reviewed = AlertEvent::Reviewed { alert: alert(2), outcome, read: None, private: None };
    let done = vec![reviewed, AlertEvent::Closed { alert: alert(2) }];
    act(state.path(), at(70), done.clone());
    // Anything at all is stored, and the look that it leads to finds it.
    refuse(&journal, &context, "kim.o", "d.test", 1, at(71));
    assert_eq!(look(71), 1);
    // Once they have looked it stays closed.
    act(state.path(), at(72), vec![AlertEvent::Seen { alert: alert(2), read: None }]);
    act(state.path(), at(73), done);
    refuse(&journal, &context, "kim.o", "e.test", 1, at(74));
    assert_eq!(look(74), 0);
    drop(journal);
    writer.stop();
    assert_eq!(wait(self::look(state.path(), at(75))), 0, "nor after a start");
}

/// The last row of the alert's day.
fn read_until(state: &Path, alert: u32) -> Option<Position> {
    wait(async {
        let mut store = AlertStore::open(state).await.unwrap();
        let day = store.alerts().await.unwrap().get(AlertId(alert)).unwrap().day.parse().unwrap();
        stored_until(&mut AccessLog::new(state), day).await.unwrap()
    })
}

/// Somebody looks at an alert and closes it.
fn look_and_close(state: &Path, alert: u32, read: Option<Position>, outcome: Outcome, at: i64) {
    let alert = AlertId(alert);
    let reviewed = AlertEvent::Reviewed { alert, outcome, read, private: None };
    let done = vec![AlertEvent::Seen { alert, read }, reviewed, AlertEvent::Closed { alert }];
    act(state, at, done);
}

/// What an alert was opened again by, each time.
fn opened_by(state: &Path, alert: u32) -> Vec<String> {
    wait(async {
        let mut store = AlertStore::open(state).await.unwrap();
        let alert = store.alerts().await.unwrap().get(AlertId(alert)).unwrap().clone();
        alert.reopened.iter().map(|it| it.by.unwrap().words()).collect()
    })
}

#[test]
fn a_clock_that_ran_ahead_as_an_alert_was_closed_keeps_nothing_that_is_stored_later_from_opening_it()
 {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    let writer = start(state);
    let journal = writer.journal(0).unwrap();
    let context = themes();
    let at = |minutes: i64| NOW.0 + minutes * MINUTE;
    let look = |minutes| {
        journal.flush();
        stored(state);
        wait(look(state, at(minutes)))
    };
    refuse(&journal, &context, "sam.p", "a.test", 0, at(0));
    refuse(&journal, &context, "kim.o", "a.test", 0, at(0));
    refuse(&journal, &context, "old.b", "a.test", 0, at(0));
    assert_eq!(look(0), 3);
    // The clock is ten hours ahead, and then it is not.
    for alert in 1..=2 {
        look_and_close(state, alert, read_until(state, alert), Outcome::Spoken, at(600));
    }
    assert_eq!(look(1), 0, "nothing came");
    refuse(&journal, &context, "sam.p", "b.test", 0, at(6));
    assert_eq!(look(6), 1, "by the place in the log");
    assert_eq!(look(6), 0, "once");
    look_and_close(state, 1, read_until(state, 1), Outcome::Spoken, at(7));
    assert_eq!(look(7), 0, "closed by a right clock, though its entry bears the wrong time");
    refuse(&journal, &context, "sam.p", "c.test", 0, at(12));
    assert_eq!(look(12), 1);
    assert_eq!(opened_by(state, 1), ["1 sign, urgent (site)", "1 sign, urgent (site)"]);

    // As earlier builds wrote it, without a place: nothing tells what came later, so that all of it is told again, once.
    look_and_close(state, 3, None, Outcome::Spoken, at(600));
    assert_eq!((look(12), look(12)), (1, 0));
    look_and_close(state, 3, None, Outcome::Spoken, at(13));
    assert_eq!(look(13), 0);
    assert_eq!(opened_by(state, 2), [""; 0]);
    drop(journal);
    writer.stop();
}

#[test]
fn where_a_power_cut_took_the_rows_that_an_alert_was_closed_by_what_has_their_places_is_new() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    let writer = start(state);
    let journal = writer.journal(0).unwrap();
    let context = themes();
    let at = |minutes: i64| NOW.0 + minutes * MINUTE;
    refuse(&journal, &context, "sam.p", "a.test", 0, at(0));
    refuse(&journal, &context, "sam.p", "b.test", 0, at(6));
    drop(journal);
    writer.stop();
    assert_eq!(wait(look(state, at(6))), 1);
    let read = read_until(state, 1).unwrap();
    // Another record has the place now, and the clock began in the past.
    let gone = Position { record: rules::code::RequestId(read.record.0 + 1), ..read };
    look_and_close(state, 1, Some(gone), Outcome::Spoken, at(60));
    assert_eq!(wait(look(state, at(7))), 1);
    look_and_close(state, 1, Some(read), Outcome::Spoken, at(60));
    assert_eq!(wait(look(state, at(7))), 0);
    // What is said of a closed one is a correction, and makes nothing known: it is opened first.
    let alert = AlertId(1);
    let open =
        AlertEvent::Reviewed { alert, outcome: Outcome::Watching, read: None, private: None };
    act(state, at(60), vec![open]);
    // None is as far as that any more.
    let gone = Position { sequence: read.sequence + 1, ..read };
    look_and_close(state, 1, Some(gone), Outcome::Spoken, at(60));
    assert_eq!(wait(look(state, at(7))), 1);
}

#[test]
fn what_a_site_does_by_itself_opens_no_false_alarm_again_and_a_search_another_site_or_a_person_does()
 {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    let writer = start(state);
    let journal = writer.journal(0).unwrap();
    let context = themes();
    let at = |minutes: i64| NOW.0 + minutes * MINUTE;
    let access = |host: &str, visit: Visit, signs: &[Sign], minutes: i64| {
        let id = journal.next_id(UnixMillis(at(minutes)));
        let (user, categories) = (Some("sam.p"), of(if signs.is_empty() { 0 } else { 3 }));
        let decided = blocked(&context, id, UnixMillis(at(minutes)));
        let decided = Decided { user, host, categories, visit, signs, ..decided };
        journal.refuse(&decided, refused(403, 900, 50)).unwrap();
        journal.flush();
        stored(state);
        // As after a start each time.
        wait(look(state, at(minutes)))
    };
    let close = |minutes| {
        let read = read_until(state, 1);
        look_and_close(state, 1, read, Outcome::FalseAlarm, at(minutes));
    };
    let polls = |minutes| access("poll.test", Visit::Unknown, &[], minutes);
    assert_eq!(polls(0), 1);
    close(1);
    for minutes in [6, 12, 40, 66] {
        assert_eq!(polls(minutes), 0, "{minutes}");
    }
    let search = [Sign {
        theme: "suicide".into(),
        points: 100,
        source: SignSource::Search,
        severity: notes::Severity::High,
    }];
    assert_eq!(access("engine.test", Visit::Opened, &search, 67), 1);
    close(68);
    assert_eq!(polls(72), 0);
    assert_eq!(access("other.test", Visit::Unknown, &[], 73), 1);
    close(74);
    assert_eq!(access("poll.test", Visit::Opened, &[], 75), 1, "within minutes of a poll");
    // Closed as anything else nothing is silenced.
    look_and_close(state, 1, read_until(state, 1), Outcome::NoAction, at(76));
    assert_eq!(polls(82), 1);
    close(83);
    // After a quiet half hour it is an episode of its own, and told.
    assert_eq!(polls(120), 1);
    let expected = ["1 sign, high (search)", "1 sign, urgent (site)", "1 sign, urgent (site)"];
    assert_eq!(opened_by(state, 1)[..3], expected);
    assert_eq!(opened_by(state, 1).len(), 4);
    drop(journal);
    writer.stop();
}
