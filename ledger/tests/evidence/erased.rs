//! Days whose time is up go, and what is left is proved as before.

use crate::log::{change, looked, problems, record, record_late_ends, sign};
use crate::sample::{NOW, wait};
use ledger::changes::ChangeLog;
use ledger::evidence::verify::{Options, verify};
use ledger::retention::{Order, Outcome, RetentionError, Why, run};
use ledger::sqlite::{day_path, days};
use rules::change::Event;
use rules::hold::{HoldId, HoldScope};
use rules::policy::Keep;
use rules::time::{SchoolClock, UnixMillis};
use std::path::{Path, PathBuf};

const DAY_MS: i64 = crate::log::DAY_MS;
const KEEP: Keep =
    Keep { allowed_days: 10, blocked_days: 20, changes_days: 2557, alerts_days: 366 };

fn clock() -> SchoolClock {
    SchoolClock::new("Europe/London", &[]).unwrap()
}

/// Runs it `after` days after [`NOW`].
fn erase(state: &Path, after: i64, dry_run: bool) -> Result<Outcome, RetentionError> {
    let clock = clock();
    let now = UnixMillis(NOW.0 + after * DAY_MS);
    let order = Order {
        clock: &clock,
        keep: KEEP,
        now,
        actor: "schoolgate",
        dry_run,
        most_parts: 9,
        over_gaps: true,
        stop: &|| false,
    };
    wait(async {
        let log = ChangeLog::open(state).await.unwrap();
        run(state, &log, order).await
    })
}

fn append(state: &Path, event: Event) {
    wait(async {
        let log = ChangeLog::open(state).await.unwrap();
        log.append(NOW, "q.whitmore", event).await.unwrap();
    });
}

fn hold(state: &Path, scope: HoldScope) {
    append(state, Event::HoldAdded { id: HoldId(1), scope, reason: "an inquest".to_owned() });
}

/// An old day and a young one, both signed. The old day's file.
fn two_days(state: &Path) -> PathBuf {
    record(state, 0, 40);
    record_late_ends(state, 0, 5);
    record(state, 25, 40);
    sign(state);
    day_path(&state.join("access"), clock().day(NOW))
}

#[test]
fn a_day_that_is_over_goes_and_the_rest_is_proved_as_before() {
    let state = tempfile::tempdir().unwrap();
    let old = two_days(state.path());
    let outcome = erase(state.path(), 20, false).unwrap();
    assert_eq!(outcome, Outcome::default(), "its last evening is not 20 days old");
    let outcome = erase(state.path(), 25, true).unwrap();
    assert_eq!(outcome.erased.len(), 1);
    assert!(old.exists(), "a dry run erases nothing");
    let outcome = erase(state.path(), 25, false).unwrap();
    assert_eq!(outcome.erased, [(clock().day(NOW), 45)]);
    assert!(!old.exists());
    assert_eq!(days(&state.path().join("access")).unwrap().len(), 1);
    assert_eq!(problems(state.path()), [] as [String; 0]);
    sign(state.path());
    let report = looked(state.path(), &[]);
    assert!(report.problems.is_empty(), "{report:?}");
    assert_eq!(report.erased.len(), 1);
    assert!(report.erased[0].contains("was erased by entry"), "{:?}", report.erased);
    // It goes on, over restarts, and a second run finds nothing.
    record(state.path(), 26, 20);
    sign(state.path());
    assert_eq!(problems(state.path()), [] as [String; 0]);
    assert_eq!(erase(state.path(), 26, false).unwrap(), Outcome::default());
}

#[test]
fn nothing_goes_before_a_checkpoint_covers_it() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), 0, 40);
    record(state.path(), 25, 40);
    let outcome = erase(state.path(), 25, false).unwrap();
    assert_eq!(outcome.kept, [(clock().day(NOW), Why::NotCovered)]);
    sign(state.path());
    assert_eq!(erase(state.path(), 25, false).unwrap().erased.len(), 1);
}

#[test]
fn what_is_held_stays_until_the_hold_is_lifted() {
    let scopes = [
        HoldScope { person: Some("no.such.pupil".to_owned()), ..HoldScope::default() },
        HoldScope { from: Some(NOW), ..HoldScope::default() },
    ];
    for (scope, is_held) in scopes.into_iter().zip([false, true]) {
        let state = tempfile::tempdir().unwrap();
        let old = two_days(state.path());
        hold(state.path(), scope);
        let outcome = erase(state.path(), 25, false).unwrap();
        assert_eq!(old.exists(), is_held);
        if is_held {
            assert_eq!(outcome.kept, [(clock().day(NOW), Why::Held(HoldId(1)))]);
            let reason = "the inquest is over".to_owned();
            append(state.path(), Event::HoldLifted { id: HoldId(1), reason });
            assert_eq!(erase(state.path(), 25, false).unwrap().erased.len(), 1);
        }
    }
}

#[test]
fn an_erasure_that_was_cut_short_is_finished_and_another_file_is_not_taken_for_it() {
    let state = tempfile::tempdir().unwrap();
    let old = two_days(state.path());
    let aside = state.path().join("aside.db");
    std::fs::copy(&old, &aside).unwrap();
    erase(state.path(), 25, false).unwrap();
    // As a crash between the entry and the file leaves it.
    std::fs::copy(&aside, &old).unwrap();
    assert!(looked(state.path(), &[]).uncovered.join("\n").contains("cut short"));
    assert_eq!(erase(state.path(), 25, false).unwrap().finished, [clock().day(NOW)]);
    assert!(!old.exists());
    // A clock that went back made a new file of that day.
    record(state.path(), 0, 4);
    let outcome = erase(state.path(), 25, false).unwrap();
    assert!(matches!(outcome.kept[..], [(_, Why::NotTheErased(_))]), "{outcome:?}");
    assert!(old.exists());
}

#[test]
fn a_file_removed_without_an_entry_or_an_entry_without_its_batches_hides_nothing() {
    let state = tempfile::tempdir().unwrap();
    let old = two_days(state.path());
    std::fs::remove_file(&old).unwrap();
    assert!(!problems(state.path()).is_empty());
    let event = Event::Erased {
        day: clock().day(NOW).to_string(),
        whole: true,
        classes: Vec::new(),
        request: None,
        rows: 45,
        batches: Vec::new(),
        lacks: None,
        why: "somebody says so".to_owned(),
    };
    append(state.path(), event);
    sign(state.path());
    let found = problems(state.path()).join("\n");
    assert!(found.contains("no day's file has them"), "{found}");
}

#[test]
fn a_clock_by_which_everything_is_over_erases_nothing() {
    let state = tempfile::tempdir().unwrap();
    let old = two_days(state.path());
    change(state.path(), &["one"]);
    assert!(matches!(erase(state.path(), 30_000, false), Err(RetentionError::Clock(_))));
    assert!(old.exists());
}

#[test]
fn a_day_that_was_altered_stays() {
    let state = tempfile::tempdir().unwrap();
    let old = two_days(state.path());
    crate::log::sql(&old, &["UPDATE batch SET record = replace(record, '\"at\":', '\"at\":1')"]);
    let outcome = erase(state.path(), 25, false).unwrap();
    assert!(matches!(outcome.kept[..], [(_, Why::Damaged(_))]), "{outcome:?}");
    assert!(old.exists());
}

#[test]
fn a_tree_made_anew_keeps_the_hashes_of_days_that_were_erased() {
    let state = tempfile::tempdir().unwrap();
    two_days(state.path());
    assert_eq!(erase(state.path(), 25, false).unwrap().erased.len(), 1);
    let audit = state.path().join("audit");
    let tree = std::fs::read(audit.join("access.tree")).unwrap();
    for damage in ["gone", "{\"dur"] {
        match damage {
            "gone" => std::fs::remove_file(audit.join("access.json")).unwrap(),
            torn => std::fs::write(audit.join("access.json"), torn).unwrap(),
        }
        // A start makes the tree anew.
        record(state.path(), 26, 10);
        sign(state.path());
        assert_eq!(problems(state.path()), [] as [String; 0], "its note {damage}");
        let now = std::fs::read(audit.join("access.tree")).unwrap();
        assert!(now.starts_with(&tree), "the hashes are those of before");
    }
    // Without the entry they would be told to be lost: nothing else says that they were erased.
    let other = tempfile::tempdir().unwrap();
    let old = two_days(other.path());
    std::fs::remove_file(&old).unwrap();
    std::fs::remove_file(other.path().join("audit/access.json")).unwrap();
    record(other.path(), 26, 10);
    assert!(problems(other.path()).join("\n").contains("lost before"));
}

#[test]
fn days_are_not_verified_where_nobody_can_tell_whether_they_are_being_erased() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    two_days(state);
    let lock = state.join("days.lock");
    assert!(lock.is_file(), "the filter makes it");
    let look = || wait(verify(state, &Options::default(), &mut |_| {}));
    std::fs::remove_file(&lock).unwrap();
    assert!(look().unwrap().problems.is_empty());
    assert!(!lock.exists(), "looking makes none");
    // Opened, it leads nowhere: neither missing nor to be read.
    std::os::unix::fs::symlink("days.lock", &lock).unwrap();
    let refused = look().unwrap_err().to_string();
    assert!(refused.contains("days.lock"), "{refused}");
    let refused = erase(state, 25, true).unwrap_err().to_string();
    assert!(refused.contains("days.lock"), "{refused}");
}
