//! Names and notes of closed alerts: when they go, that it is written down, and that none goes missing otherwise.

use crate::log::{DAY_MS, looked, problems, record, sql};
use crate::parts::{clock, with_log};
use crate::sample::{NOW, wait};
use ledger::alerts::{AlertEvent, AlertStore, Alerts, NewEvent, Outcome, Private};
use ledger::changes::ChangeLog;
use ledger::episodes::{Confidence, EpisodeKey, Person, Source};
use ledger::retention::{AlertsOutcome, Order, Why, erase_alerts, erase_person};
use rules::alert::{AlertId, Severity};
use rules::change::Event;
use rules::code::RequestId;
use rules::erasure::ErasureId;
use rules::hold::{HoldId, HoldScope};
use rules::policy::Keep;
use rules::time::UnixMillis;
use std::convert::Infallible;
use std::path::Path;

const KEEP: Keep =
    Keep { allowed_days: 300, blocked_days: 300, changes_days: 2557, alerts_days: 30 };

fn at(day: i64) -> UnixMillis {
    UnixMillis(NOW.0 + day * DAY_MS)
}

/// An alert of so many days after [`NOW`], reviewed with a note; closed too where it says so.
fn alert(state: &Path, number: u32, day: i64, is_closed: bool) {
    alert_raised(state, number, (day, day), is_closed);
}

/// The same where it is raised, by the clock, on another day.
fn alert_raised(state: &Path, number: u32, (day, entered): (i64, i64), is_closed: bool) {
    let alert = AlertId(number);
    let raised = AlertEvent::Raised {
        alert,
        episode: EpisodeKey { first: RequestId(u64::from(number)), theme: "drugs".into() },
        day: clock().day(at(day)).to_string(),
        severity: Severity::High,
        level: "ks3".into(),
        confidence: Confidence::SignedIn,
        strongest: Source::Site,
        first: at(day),
        signs: 2,
        private: String::new(),
    };
    let outcome = if is_closed { Outcome::Spoken } else { Outcome::Watching };
    let reviewed = AlertEvent::Reviewed { alert, outcome, read: None, private: None };
    let about = Some(Private::About(Person::User("sam.p".into())));
    let note = Some(Private::Note("spoke to Sam".into()));
    let mut events = vec![
        NewEvent { private: about, ..NewEvent::new("schoolgate", raised) },
        NewEvent { private: note, ..NewEvent::new("q.whitmore", reviewed) },
    ];
    if is_closed {
        events.push(NewEvent::new("q.whitmore", AlertEvent::Closed { alert }));
    }
    wait(async {
        let mut store = AlertStore::open(state).await.unwrap();
        let decide = |_: &Alerts| Ok::<_, Infallible>(events);
        store.append_with(at(entered), &[], decide).await.unwrap();
    });
}

/// A note about an open alert, so many days after [`NOW`].
fn note(state: &Path, number: u32, day: i64) {
    let alert = AlertId(number);
    let (outcome, read) = (Outcome::Watching, None);
    let reviewed = AlertEvent::Reviewed { alert, outcome, read, private: None };
    let note = Some(Private::Note("Sam's parents called".into()));
    wait(async {
        let mut store = AlertStore::open(state).await.unwrap();
        let event = NewEvent { private: note, ..NewEvent::new("q.whitmore", reviewed) };
        let decide = |_: &Alerts| Ok::<_, Infallible>(vec![event]);
        store.append_with(at(day), &[], decide).await.unwrap();
    });
}

/// A school with records of some days, a closed alert of the first and an open one.
fn school(state: &Path) {
    for day in [0, 30, 45] {
        record(state, day, 8);
    }
    alert(state, 1, 0, true);
    alert(state, 2, 0, false);
}

/// Erases what is over by a clock that says so many days after [`NOW`].
fn erase(state: &Path, day: i64, over_gaps: bool, dry_run: bool) -> AlertsOutcome {
    let clock = clock();
    let order = Order {
        clock: &clock,
        keep: KEEP,
        now: at(day),
        actor: "schoolgate",
        dry_run,
        most_parts: 9,
        over_gaps,
        stop: &|| false,
    };
    wait(async {
        let log = ChangeLog::open(state).await.unwrap();
        erase_alerts(state, &log, order).await.unwrap()
    })
}

/// Erases what one person's requests say, asked for so many days after [`NOW`], and gives how many names and notes of
/// alerts went.
fn erase_person_of(state: &Path, asked: i64, person: &str) -> u64 {
    erase_for(state, 1, asked, person)
}

/// The same for the request of this number.
fn erase_for(state: &Path, number: u32, asked: i64, person: &str) -> u64 {
    let request = (ErasureId(number), person, at(asked));
    let erase = async |log: &ChangeLog, order: Order<'_>| {
        let outcome = erase_person(state, log, order, request).await.unwrap();
        assert_eq!(outcome.kept, []);
        outcome.alerts
    };
    with_log(state, erase, 50)
}

/// How many names and notes are there.
fn personal(state: &Path) -> usize {
    wait(async { AlertStore::open(state).await.unwrap().personal().await.unwrap().len() })
}

#[test]
fn names_and_notes_of_a_closed_alert_go_once_their_time_is_up_and_an_entry_says_so() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    school(state);
    assert_eq!(erase(state, 29, false, false), AlertsOutcome::default(), "not yet");
    let over = AlertsOutcome { erased: vec![AlertId(1)], kept: Vec::new() };
    assert_eq!(erase(state, 46, false, true), over);
    assert_eq!(personal(state), 4, "a dry run erases nothing");
    assert_eq!(erase(state, 46, false, false), over);
    assert_eq!(personal(state), 2, "the open one keeps its own");
    assert_eq!(erase(state, 47, false, false), AlertsOutcome::default(), "once");
    let entries = wait(async { AlertStore::open(state).await.unwrap().entries().await.unwrap() });
    let last = entries.last().unwrap();
    let why = "kept 30 days by the policy".to_owned();
    let erased = AlertEvent::Erased { alert: AlertId(1), places: vec![0, 1], why };
    assert_eq!((last.actor.as_str(), &last.event), ("schoolgate", &erased));
    assert_eq!(problems(state), [""; 0]);
}

#[test]
fn with_one_persons_requests_go_the_alerts_of_their_days_whenever_they_were_raised() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    alert(state, 1, 0, false);
    // As the filter catches up after days without power, or as entries are dated once the clock has run ahead.
    alert_raised(state, 2, (1, 40), true);
    alert_raised(state, 3, (45, 45), true);
    assert_eq!(erase_person_of(state, 20, "kit.r"), 0, "of another person");
    assert_eq!(erase_person_of(state, 20, "Sam.P"), 4);
    assert_eq!(personal(state), 2, "of a later day than that of asking");
    note(state, 1, 46);
    assert_eq!(personal(state), 3);
    assert_eq!(erase_person_of(state, 20, "sam.p"), 1, "noted since the name went");
    assert_eq!(personal(state), 2);
    assert_eq!(problems(state), [""; 0]);
}

#[test]
fn what_was_noted_after_a_request_was_done_goes_with_the_next_one_about_the_same_person() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    alert(state, 1, 0, false);
    let ask = |number, person: &str| {
        let asked = Event::ErasureAsked {
            id: ErasureId(number),
            person: person.to_owned(),
            reason: "the family asked".into(),
            lapses: None,
        };
        with_log(
            state,
            async |log, _| drop(log.append(at(20), "q.whitmore", asked.clone()).await.unwrap()),
            20,
        );
    };
    ask(1, "P-7K3Q");
    assert_eq!(erase_for(state, 1, 20, "sam.p"), 2);
    note(state, 1, 21);
    ask(2, "P-9AAA");
    assert_eq!(erase_for(state, 2, 22, "kit.r"), 0);
    ask(3, "P-7K3Q");
    assert_eq!(erase_for(state, 3, 22, "sam.p"), 1);
    assert_eq!(personal(state), 0);
    assert_eq!(problems(state), [""; 0]);
}

/// A hold is of the alerts too where no record is left, or may go yet, that it could be compared with.
#[test]
fn an_alert_that_a_hold_may_be_of_keeps_its_names_and_the_request_stays_open() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    alert(state, 1, 0, true);
    alert(state, 2, 10, false);
    let clock = clock();
    let (from, until) = clock.day_bounds(clock.day(at(0)));
    let hold = |number, scope| Event::HoldAdded {
        id: HoldId(number),
        scope,
        reason: "the police asked".into(),
    };
    let scope = |person: Option<&str>| HoldScope {
        person: person.map(str::to_owned),
        from: Some(from),
        until: Some(until),
        ..HoldScope::default()
    };
    let carry_out = async |log: &ChangeLog, order: Order<'_>| {
        let request = (ErasureId(1), "sam.p", at(20));
        let dry = Order { dry_run: true, ..order };
        let told = erase_person(state, log, dry, request).await.unwrap();
        let outcome = erase_person(state, log, order, request).await.unwrap();
        assert_eq!((told.alerts, &told.kept), (outcome.alerts, &outcome.kept));
        let entries = log.entries_after(0).await.unwrap();
        let done = entries.iter().filter(|it| matches!(it.event, Event::ErasureDone { .. }));
        (outcome.alerts, outcome.kept, done.count())
    };
    let append = async |log: &ChangeLog, event| {
        log.append(at(20), "q.whitmore", event).await.unwrap();
    };
    let day = clock.day(at(0));
    with_log(
        state,
        async |log, order| {
            append(log, hold(1, scope(Some("kit.r")))).await;
            append(log, hold(2, scope(Some("Sam.P")))).await;
            let held = vec![(day, Why::Held(HoldId(2)))];
            assert_eq!(carry_out(log, order).await, (2, held.clone(), 0), "of another day");
            assert_eq!(carry_out(log, order).await, (0, held, 0));
            append(log, Event::HoldLifted { id: HoldId(2), reason: "over".into() }).await;
            append(log, hold(3, HoldScope { site: Some("arcade.test".into()), ..scope(None) }))
                .await;
            let held = vec![(day, Why::Held(HoldId(3)))];
            assert_eq!(carry_out(log, order).await, (0, held, 0), "of everybody at a site");
            append(log, Event::HoldLifted { id: HoldId(3), reason: "over".into() }).await;
            assert_eq!(carry_out(log, order).await, (2, Vec::new(), 1));
        },
        50,
    );
    assert_eq!(personal(state), 0);
    assert_eq!(problems(state), [""; 0]);
}

/// Cut short between the two, a request that is done already would not be carried out again.
#[test]
fn a_request_is_done_only_once_the_names_of_alerts_are_gone() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    alert(state, 1, 0, true);
    let file = AlertStore::path_in(state);
    // As a newer program would leave it: it cannot be opened.
    sql(&file, &["PRAGMA user_version = 99"]);
    let request = (ErasureId(1), "sam.p", at(20));
    let failed =
        async |log: &ChangeLog, order: Order<'_>| erase_person(state, log, order, request).await;
    assert!(with_log(state, failed, 50).is_err());
    let is_done = || {
        wait(async {
            let log = ChangeLog::open(state).await.unwrap();
            let entries = log.entries_after(0).await.unwrap();
            entries.iter().any(|entry| matches!(entry.event, Event::ErasureDone { .. }))
        })
    };
    assert!(!is_done());
    sql(&file, &["PRAGMA user_version = 3"]);
    assert_eq!(erase_person_of(state, 20, "sam.p"), 2);
    assert!(is_done());
}

#[test]
fn a_clock_that_jumped_ahead_erases_no_name_of_an_alert() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    school(state);
    let kept = |why| AlertsOutcome { erased: Vec::new(), kept: vec![(AlertId(1), why)] };
    assert_eq!(erase(state, 445, false, false), kept(Why::Clock), "before anything is recorded");
    // What is recorded under that clock is no proof of it, not even of two days.
    for day in [444, 445] {
        record(state, day, 4);
    }
    assert_eq!(erase(state, 445, false, false), kept(Why::Gap));
    assert_eq!(personal(state), 4);
    // Set right again, it goes on as if nothing had been; what was recorded ahead stays out of it.
    assert_eq!(erase(state, 29, false, false), AlertsOutcome::default());
    assert_eq!(erase(state, 46, false, false).erased, [AlertId(1)]);
    assert_eq!(personal(state), 2);
}

#[test]
fn after_a_long_gap_names_go_once_somebody_answers_for_the_clock() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    school(state);
    record(state, 445, 4);
    assert_eq!(erase(state, 445, false, false).erased, []);
    assert_eq!(erase(state, 445, true, false).erased, [AlertId(1)]);
    assert_eq!(personal(state), 2);
}

#[test]
fn days_that_were_erased_count_as_days_with_records() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    for day in [70, 120] {
        record(state, day, 8);
    }
    alert(state, 1, 0, true);
    assert_eq!(erase(state, 121, false, false).kept, [(AlertId(1), Why::Gap)]);
    let day = clock().day(at(35)).to_string();
    wait(async {
        let log = ChangeLog::open(state).await.unwrap();
        let (whole, rows, classes) = (true, 8, vec!["allowed".to_owned(), "blocked".to_owned()]);
        let (request, batches, lacks, why) = (None, Vec::new(), None, "its time was up".to_owned());
        let erased = Event::Erased { day, whole, classes, request, rows, batches, lacks, why };
        log.append(at(90), "schoolgate", erased).await.unwrap();
    });
    assert_eq!(erase(state, 121, false, false).erased, [AlertId(1)]);
}

#[test]
fn no_name_goes_while_anything_is_on_hold() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    school(state);
    let append = |event| {
        wait(async {
            let log = ChangeLog::open(state).await.unwrap();
            log.append(NOW, "q.whitmore", event).await.unwrap();
        });
    };
    let scope = HoldScope { person: Some("no.such.pupil".to_owned()), ..HoldScope::default() };
    append(Event::HoldAdded { id: HoldId(1), scope, reason: "an inquest".to_owned() });
    assert_eq!(erase(state, 46, true, false).kept, [(AlertId(1), Why::Held(HoldId(1)))]);
    assert_eq!(personal(state), 4);
    append(Event::HoldLifted { id: HoldId(1), reason: "the inquest is over".to_owned() });
    assert_eq!(erase(state, 46, false, false).erased, [AlertId(1)]);
}

#[test]
fn a_name_that_is_gone_without_an_entry_or_back_in_spite_of_one_is_found() {
    let cases = [
        (
            "DELETE FROM private WHERE sequence = 0",
            "entry 0: what is personal is gone, and no entry",
        ),
        (
            "DELETE FROM private WHERE sequence = 4",
            "entry 4: what is personal is gone, and no entry",
        ),
        (
            "INSERT INTO private VALUES (2, zeroblob(16), '{}')",
            "entry 2: it has nothing personal, and there is some",
        ),
    ];
    for (damage, found) in cases {
        let state = tempfile::tempdir().unwrap();
        school(state.path());
        assert_eq!(problems(state.path()), [""; 0]);
        sql(&state.path().join("alerts.db"), &[damage]);
        let report = looked(state.path(), &[]);
        assert_eq!(report.problems.len(), 1, "{damage}: {report:?}");
        assert!(report.problems[0].what.contains(found), "{damage}: {report:?}");
    }
    let state = tempfile::tempdir().unwrap();
    school(state.path());
    let file = state.path().join("alerts.db");
    sql(&file, &["CREATE TABLE aside AS SELECT * FROM private WHERE sequence = 0"]);
    assert_eq!(erase(state.path(), 46, false, false).erased, [AlertId(1)]);
    sql(&file, &["INSERT INTO private SELECT * FROM aside"]);
    let report = looked(state.path(), &[]);
    assert!(report.problems[0].what.contains("was erased, and is there"), "{report:?}");
}
