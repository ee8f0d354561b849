//! Rows of a sealed day go, or the whole of it, and everything is proved as before.

use crate::log::{copy_folder, lines, looked, problems, record, sign};
use crate::parts::{append, clock, erase, erase_one, exported_and_verified, three_days, with_log};
use crate::sample::{NOW, rows, wait};
use ledger::evidence::places;
use ledger::query::AccessRow;
use ledger::retention::{Order, Outcome, RetentionError, Why, erase_person, run};
use ledger::seal::{SealError, seal_days};
use rules::change::Event;
use rules::decide::Verdict;
use rules::erasure::ErasureId;
use rules::hold::{HoldId, HoldScope};
use rules::time::UnixMillis;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const DAY_MS: i64 = crate::log::DAY_MS;

/// Three days, of which the old one is sealed.
fn sealed(state: &Path) {
    three_days(state);
    let day = clock().day(NOW);
    let later = UnixMillis(NOW.0 + 9 * DAY_MS);
    let mut parts = 0;
    wait(seal_days(state, Some(day), later, || false, |_| parts += 1)).unwrap().unwrap();
    assert_eq!(parts, 1);
}

fn file(state: &Path, ending: &str) -> PathBuf {
    state.join(format!("access/access-{}.{ending}", clock().day(NOW)))
}

/// Which files of the old day there are.
fn files(state: &Path) -> Vec<String> {
    let stem = format!("access-{}.", clock().day(NOW));
    let entries = std::fs::read_dir(state.join("access")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> =
        names.filter_map(|name| name.strip_prefix(&stem).map(str::to_owned)).collect();
    found.retain(|ending| !ending.ends_with("-wal") && !ending.ends_with("-shm"));
    found.sort();
    found
}

fn of_the_day(row: &AccessRow) -> bool {
    clock().day(row.at) == clock().day(NOW)
}

/// Whether any file of the access log holds the text as it is: the sealed ones pack it.
fn is_said(state: &Path, text: &str) -> bool {
    std::fs::read_dir(state.join("access")).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        let bytes = if path.is_dir() { Vec::new() } else { std::fs::read(path).unwrap() };
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    })
}

#[test]
fn what_was_allowed_goes_from_a_sealed_day_which_is_a_days_file_from_then_on() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    sealed(state);
    assert_eq!(files(state), ["parquet", "sums.db"]);
    let before = rows(state);
    let left: Vec<_> = before
        .iter()
        .filter(|row| !of_the_day(row) || row.verdict == Verdict::Block || row.words.is_some())
        .cloned()
        .collect();
    let gone = (before.len() - left.len()) as u64;
    assert!(gone > 60);
    assert_eq!(erase(state, 10), Outcome::default(), "its last evening is not 10 days old");
    assert_eq!(files(state), ["parquet", "sums.db"], "looking changes nothing");
    let outcome = erase(state, 11);
    assert_eq!(
        (&outcome.parts[..], &outcome.kept[..]),
        (&[(clock().day(NOW), "allowed".to_owned(), gone)][..], &[][..])
    );
    assert_eq!(files(state), ["db"]);
    assert_eq!(rows(state), left);
    assert!(!is_said(state, "secret-interest.test") && !is_said(state, "/private/letter"));
    let report = looked(state, &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    assert!(report.erased[0].contains(&format!("{gone} rows of")), "{:?}", report.erased);
    exported_and_verified(state);
    // It is not sealed again, and goes whole in its time.
    let later = UnixMillis(NOW.0 + 9 * DAY_MS);
    wait(seal_days(state, Some(clock().day(NOW)), later, || false, |_| panic!("sealed")))
        .unwrap()
        .unwrap();
    record(state, 26, 4);
    sign(state);
    assert_eq!(problems(state), [] as [String; 0]);
    assert_eq!(erase(state, 12), Outcome::default());
    assert_eq!(erase(state, 301).erased.len(), 1);
    assert_eq!(files(state), [] as [&str; 0]);
    assert_eq!(problems(state), [] as [String; 0]);
}

#[test]
fn one_persons_rows_go_from_a_sealed_day_and_nobody_elses() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    sealed(state);
    let is_theirs =
        |row: &AccessRow| row.user.as_deref().is_some_and(|it| it.to_lowercase() == "sam.p");
    let left: Vec<_> = rows(state).into_iter().filter(|row| !is_theirs(row)).collect();
    assert_eq!(erase_one(state, "nobody").parts, []);
    assert_eq!(files(state), ["parquet", "sums.db"], "who has no records changes nothing");
    let outcome = erase_one(state, "SAM.P");
    assert_eq!(outcome.parts, [(clock().day(NOW), "E-0001".to_owned(), 30)]);
    assert_eq!(rows(state), left);
    assert!(!is_said(state, "sam.p") && !is_said(state, "Sam.P"));
    assert_eq!(erase_one(state, "kit.r").parts.len(), 1, "then another");
    assert_eq!(erase(state, 11).parts.len(), 1, "then a class");
    sign(state);
    assert_eq!(problems(state), [] as [String; 0]);
    exported_and_verified(state);
}

#[test]
fn rows_of_a_sealed_day_that_a_hold_keeps_stay() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    sealed(state);
    let scope = HoldScope { person: Some("sam.p".to_owned()), ..HoldScope::default() };
    let reason = "an inquest".to_owned();
    append(state, Event::HoldAdded { id: HoldId(1), scope, reason });
    let held = [(clock().day(NOW), Why::Held(HoldId(1)))];
    assert_eq!(erase_one(state, "sam.p").kept, held);
    assert_eq!(files(state), ["parquet", "sums.db"], "nothing of it was to go");
    assert!(erase(state, 301).kept.contains(&held[0]), "not whole either");
    let outcome = erase(state, 11);
    assert_eq!((outcome.parts.len(), &outcome.kept[..]), (1, &held[..]));
    let allowed =
        |row: &AccessRow| of_the_day(row) && row.verdict == Verdict::Allow && row.words.is_none();
    assert_eq!(rows(state).into_iter().filter(allowed).count(), 20);
    assert_eq!(problems(state), [] as [String; 0]);
}

#[test]
fn a_sealed_day_goes_whole_also_where_that_is_cut_short() {
    let made = tempfile::tempdir().unwrap();
    sealed(made.path());
    // After the entry; after the sums; and not at all.
    for cut in 0..3 {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        copy_folder(made.path(), state);
        assert_eq!(erase(state, 301).erased.len(), 1);
        assert_eq!(files(state), [] as [&str; 0]);
        if cut < 2 {
            for ending in &["parquet", "sums.db"][..2 - cut] {
                std::fs::copy(file(made.path(), ending), file(state, ending)).unwrap();
            }
            assert_eq!(problems(state), [] as [String; 0], "cut short: {cut}");
            assert_eq!(erase(state, 301).finished, [clock().day(NOW)], "cut short: {cut}");
            assert_eq!(files(state), [] as [&str; 0]);
        }
        assert_eq!(problems(state), [] as [String; 0]);
    }
}

/// At each step at which an erasure in a sealed day can be cut short.
#[test]
fn an_erasure_in_a_sealed_day_cut_short_at_any_step_is_made_or_finished_by_the_next_run() {
    let made = tempfile::tempdir().unwrap();
    sealed(made.path());
    let done = tempfile::tempdir().unwrap();
    copy_folder(made.path(), done.path());
    let first = erase(done.path(), 11);
    let left = rows(done.path());
    for step in 0..5 {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        // Before the entry, and from then on after it.
        copy_folder(if step == 0 { made.path() } else { done.path() }, state);
        let give = |from: &Path, ending: &str, name: &str| {
            std::fs::copy(file(from, ending), file(state, name)).unwrap();
        };
        if (1..4).contains(&step) {
            give(made.path(), "parquet", "parquet");
            give(made.path(), "sums.db", "sums.db");
        }
        if step < 3 {
            // What was half made.
            let _ = std::fs::remove_file(file(state, "db"));
            give(done.path(), "db", "unsealed.erasing");
            give(done.path(), "db", "unsealed.new");
            let sorting = file(state, "unsealed.sorting");
            std::fs::create_dir(&sorting).unwrap();
            std::fs::write(sorting.join("stretch-00000"), "www.secret-interest.test").unwrap();
            // What a sealing that was killed leaves.
            let sorting = file(state, "sorting");
            std::fs::create_dir(&sorting).unwrap();
            std::fs::write(sorting.join("stretch-00000"), "www.secret-interest.test").unwrap();
            for ending in ["parquet.new", "sums.new", "sums.new-journal"] {
                std::fs::write(file(state, ending), "www.secret-interest.test").unwrap();
            }
        }
        if step == 2 {
            let _ = std::fs::remove_file(file(state, "unsealed.erasing"));
        }
        if step == 4 {
            // The sums are gone, the rows are not.
            give(made.path(), "parquet", "parquet");
        }
        assert_eq!(problems(state), [] as [String; 0], "step {step}");
        let outcome = erase(state, 11);
        match step {
            4 => assert_eq!(outcome, Outcome::default(), "step 4"),
            _ => assert_eq!(outcome.parts, first.parts, "step {step}"),
        }
        assert_eq!(files(state), ["db"], "step {step}");
        assert_eq!(rows(state), left, "step {step}");
        assert_eq!(problems(state), [] as [String; 0], "step {step}");
    }
}

#[test]
fn nobody_seals_while_records_are_erased_or_erases_while_a_day_is_sealed() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    three_days(state);
    let lock = std::fs::File::create(state.join("days.lock")).unwrap();
    lock.lock().unwrap();
    let later = UnixMillis(NOW.0 + 9 * DAY_MS);
    let sealed = wait(seal_days(state, None, later, || false, |_| {}));
    assert!(matches!(sealed, Err(SealError::Busy)), "{sealed:?}");
    let run_now = || {
        with_log(
            state,
            async |log, order| run(state, log, Order { stop: &|| true, ..order }).await,
            11,
        )
    };
    let refused = run_now().unwrap_err();
    assert!(matches!(refused, RetentionError::Days), "{refused}");
    lock.unlock().unwrap();
    let stopped = run_now().unwrap();
    assert!(
        stopped.more && stopped.parts.is_empty(),
        "told to stop, it leaves the rest to the next"
    );
    assert_eq!(erase(state, 11).parts.len(), 1);
}

/// Sorting all rows of a day by their places, to find that none of them goes, would be each day's work.
#[test]
fn a_sealed_day_of_which_nothing_goes_is_not_sorted_anew() {
    let made = tempfile::tempdir().unwrap();
    sealed(made.path());
    let all = HoldScope { from: Some(NOW), ..HoldScope::default() };
    let day = clock().day(NOW);
    for (what, stays) in
        [("held", Why::Held(HoldId(1))), ("not covered", Why::NotCovered), ("a dry run", Why::Open)]
    {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        copy_folder(made.path(), state);
        match stays {
            Why::Held(id) => {
                let (scope, reason) = (all.clone(), "an inquest".to_owned());
                append(state, Event::HoldAdded { id, scope, reason });
            }
            Why::NotCovered => std::fs::remove_file(places::checkpoints(state)).unwrap(),
            _ => {}
        }
        // It is asked once before the day, and then only as rows of it are sorted.
        let asked = AtomicU32::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) > 0;
        let outcome = with_log(
            state,
            async |log, order| {
                let dry_run = what == "a dry run";
                run(state, log, Order { stop: &stop, dry_run, ..order }).await.unwrap()
            },
            11,
        );
        assert!(!outcome.more, "{what}: {outcome:?}");
        match what {
            "a dry run" => assert!(outcome.parts[0].2 > 60, "{outcome:?}"),
            _ => assert_eq!((outcome.parts, outcome.kept), (vec![], vec![(day, stays)]), "{what}"),
        }
        assert_eq!(files(state), ["parquet", "sums.db"], "{what}");
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{what}");
    }
}

#[test]
fn an_erasure_of_one_persons_requests_that_was_stopped_is_not_called_done() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    sealed(state);
    let request = (ErasureId(1), "sam.p", UnixMillis(NOW.0 + 9 * DAY_MS));
    let carry_out = |is_stopped: bool| {
        with_log(
            state,
            async |log, order| {
                let stop = || is_stopped;
                let order = Order { stop: &stop, ..order };
                let outcome = erase_person(state, log, order, request).await.unwrap();
                let entries = log.entries_after(0).await.unwrap();
                let is_done = |event: &Event| matches!(event, Event::ErasureDone { .. });
                (outcome, entries.iter().filter(|entry| is_done(&entry.event)).count())
            },
            30,
        )
    };
    let (stopped, done) = carry_out(true);
    assert!(stopped.more && stopped.parts.is_empty() && stopped.kept.is_empty(), "{stopped:?}");
    assert_eq!(done, 0);
    let (carried_out, done) = carry_out(false);
    assert_eq!((carried_out.parts.len(), carried_out.kept.len(), done), (1, 0, 1));
}
