//! Some rows of a day go, those of a class or of one person, and everything is proved as before.

use crate::log::{
    DAY_MS, change, lines, looked, problems, record, record_bare, record_late_ends, sign, sql,
};
use crate::sample::{NOW, WORDS, allowed, blocked, context, rows, start, wait};
use ledger::changes::ChangeLog;
use ledger::evidence::export::export;
use ledger::evidence::key::Key;
use ledger::journal::refused;
use ledger::query::AccessRow;
use ledger::record::End;
use ledger::retention::{Order, Outcome, Why, erase_person, run};
use ledger::sqlite::day_path;
use rules::change::Event;
use rules::decide::Verdict;
use rules::erasure::ErasureId;
use rules::hold::{HoldId, HoldScope};
use rules::policy::Keep;
use rules::time::{SchoolClock, UnixMillis};
use std::path::{Path, PathBuf};

const KEEP: Keep =
    Keep { allowed_days: 10, blocked_days: 300, changes_days: 2557, alerts_days: 366 };

pub(crate) fn clock() -> SchoolClock {
    SchoolClock::new("Europe/London", &[]).unwrap()
}

pub(crate) fn with_log<T>(
    state: &Path,
    act: impl AsyncFnOnce(&ChangeLog, Order<'_>) -> T,
    days: i64,
) -> T {
    with_log_and_keep(state, act, days, KEEP)
}

fn with_log_and_keep<T>(
    state: &Path,
    act: impl AsyncFnOnce(&ChangeLog, Order<'_>) -> T,
    days: i64,
    keep: Keep,
) -> T {
    let clock = clock();
    let now = UnixMillis(NOW.0 + days * DAY_MS);
    let (actor, dry_run) = ("schoolgate", false);
    let order = Order {
        clock: &clock,
        keep,
        now,
        actor,
        dry_run,
        most_parts: 9,
        over_gaps: true,
        stop: &|| false,
    };
    wait(async {
        let log = ChangeLog::open(state).await.unwrap();
        act(&log, order).await
    })
}

/// Erases what is over `days` days after [`NOW`].
pub(crate) fn erase(state: &Path, days: i64) -> Outcome {
    with_log(state, async |log, order| run(state, log, order).await.unwrap(), days)
}

/// The same by another policy.
fn erase_by(state: &Path, days: i64, keep: Keep) -> Outcome {
    let run = async |log: &ChangeLog, order: Order<'_>| run(state, log, order).await.unwrap();
    with_log_and_keep(state, run, days, keep)
}

/// A request is of what was recorded up to the day of asking.
#[test]
fn what_came_after_the_request_is_not_erased_with_it() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), 0, 8);
    record(state.path(), 20, 4);
    record(state.path(), 21, 4);
    sign(state.path());
    let before = UnixMillis(NOW.0 - DAY_MS);
    let request = (ErasureId(1), "pupil01", before);
    let nothing = with_log(
        state.path(),
        async |log, order| erase_person(state.path(), log, order, request).await.unwrap(),
        30,
    );
    assert_eq!((nothing.parts, nothing.kept), (vec![], vec![]));
    let first = (ErasureId(1), "pupil01", NOW);
    let one = with_log(
        state.path(),
        async |log, order| erase_person(state.path(), log, order, first).await.unwrap(),
        30,
    );
    assert_eq!((one.parts.len(), one.kept), (1, vec![]), "of its own day alone");
}

pub(crate) fn erase_one(state: &Path, person: &str) -> Outcome {
    let request = (ErasureId(1), person, UnixMillis(NOW.0 + 30 * DAY_MS));
    with_log(state, async |log, order| erase_person(state, log, order, request).await.unwrap(), 30)
}

pub(crate) fn append(state: &Path, event: Event) {
    with_log(state, async |log, _| log.append(NOW, "q.whitmore", event).await.unwrap(), 0);
}

/// Requests of three people on the day `day` days after [`NOW`].
fn people(state: &Path, day: i64) {
    let writer = start(state);
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let at = UnixMillis(NOW.0 + day * DAY_MS);
    for turn in 0..60_usize {
        let user = Some(["kit.r", "sam.p", "Sam.P", "olu.a"][turn % 4]);
        let host = if turn % 4 == 1 { "secret-interest.test" } else { "www.library.test" };
        let id = journal.next_id(at);
        let path = Some(["/private/letter", "/maths"][turn % 2]);
        if turn % 3 == 0 {
            let decided = blocked(&context, id, at);
            journal
                .refuse(&ledger::record::Decided { user, ..decided }, refused(403, 9, 9))
                .unwrap();
        } else {
            let decided = allowed(&context, id, at);
            let open = journal.decide(&ledger::record::Decided { user, host, path, ..decided });
            open.unwrap().finish(End::Complete);
        }
    }
    drop(journal);
    writer.stop();
}

/// An old day with rows of every kind, ends that came by themselves, and two young days; all signed.
pub(crate) fn three_days(state: &Path) -> PathBuf {
    record(state, 0, 40);
    record_late_ends(state, 0, 5);
    people(state, 0);
    record(state, 24, 8);
    record(state, 25, 8);
    sign(state);
    day_path(&state.join("access"), clock().day(NOW))
}

fn count(state: &Path, verdict: Verdict) -> usize {
    let of_day = |row: &&ledger::query::AccessRow| clock().day(row.at) == clock().day(NOW);
    rows(state).iter().filter(of_day).filter(|row| row.verdict == verdict).count()
}

fn holds_bytes(file: &Path, text: &str) -> bool {
    let bytes = std::fs::read(file).unwrap();
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

fn searches_of_other_days(state: &Path) -> usize {
    let day = clock().day(NOW);
    rows(state).iter().filter(|row| row.words.is_some() && clock().day(row.at) != day).count()
}

#[test]
fn searches_go_with_what_was_blocked_where_that_is_kept_for_less() {
    let state = tempfile::tempdir().unwrap();
    let old = three_days(state.path());
    let before = rows(state.path());
    let keep = Keep { allowed_days: 300, blocked_days: 10, changes_days: 2557, alerts_days: 366 };
    let outcome = erase_by(state.path(), 11, keep);
    let is_of_class = |row: &&AccessRow| row.verdict == Verdict::Block || row.words.is_some();
    let day = clock().day(NOW);
    let gone = before.iter().filter(|row| clock().day(row.at) == day).filter(is_of_class).count();
    assert_eq!(outcome.parts, [(day, "blocked".to_owned(), gone as u64)]);
    let left = rows(state.path());
    assert!(!left.iter().any(|row| clock().day(row.at) == day && row.words.is_some()));
    assert!(!holds_bytes(&old, WORDS.text));
    assert!(left.iter().any(|row| clock().day(row.at) == day && !row.signs.is_empty()));
    assert_eq!(problems(state.path()), [] as [String; 0]);
    assert_eq!(erase_by(state.path(), 12, keep), Outcome::default());
}

#[test]
fn a_day_erased_from_before_there_were_words_goes_on_with_them() {
    let state = tempfile::tempdir().unwrap();
    record_bare(state.path(), 0, 40);
    record(state.path(), 24, 4);
    record(state.path(), 25, 4);
    sign(state.path());
    let old = day_path(&state.path().join("access"), clock().day(NOW));
    let before = |version: &str| {
        sql(&old, &["DROP TABLE access_note", "DROP TABLE end_note", version]);
    };
    before("PRAGMA user_version = 3");
    assert_eq!(erase(state.path(), 11).parts.len(), 1);
    assert_eq!(problems(state.path()), [] as [String; 0]);
    before("PRAGMA user_version = 4");
    assert_eq!(problems(state.path()), [] as [String; 0]);
    let left = rows(state.path()).len();
    record(state.path(), 0, 8);
    sign(state.path());
    assert_eq!(problems(state.path()), [] as [String; 0]);
    let after = rows(state.path());
    assert_eq!(after.len(), left + 8);
    let day = clock().day(NOW);
    assert!(after.iter().any(|row| clock().day(row.at) == day && row.words.is_some()));
}

#[test]
fn what_was_allowed_goes_before_what_was_blocked_and_the_day_is_proved_as_before() {
    let state = tempfile::tempdir().unwrap();
    let old = three_days(state.path());
    let searches = rows(state.path()).iter().filter(|row| row.words.is_some()).count();
    let searches = searches - searches_of_other_days(state.path());
    assert_eq!(searches, 5);
    let (allowed, blocked) =
        (count(state.path(), Verdict::Allow) - searches, count(state.path(), Verdict::Block));
    assert!(allowed > 60 && blocked > 20, "{allowed} {blocked}");
    assert!(holds_bytes(&old, "secret-interest.test") && holds_bytes(&old, "/private/letter"));
    assert_eq!(erase(state.path(), 10), Outcome::default(), "its last evening is not 10 days old");
    let outcome = erase(state.path(), 11);
    let day = clock().day(NOW);
    assert_eq!(outcome.parts, [(day, "allowed".to_owned(), allowed as u64)]);
    assert_eq!(
        (count(state.path(), Verdict::Allow), count(state.path(), Verdict::Block)),
        (searches, blocked),
        "searches are kept as long as what was blocked"
    );
    assert!(holds_bytes(&old, WORDS.text));
    assert!(!holds_bytes(&old, "secret-interest.test") && !holds_bytes(&old, "/private/letter"));
    // Before and after the next checkpoint, over a restart.
    assert_eq!(problems(state.path()), [] as [String; 0]);
    record(state.path(), 26, 4);
    sign(state.path());
    let report = looked(state.path(), &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    assert!(
        report
            .erased
            .join("\n")
            .contains(&format!("{allowed} rows of {day} were erased by entry "))
    );
    // Nothing is left to do, until the day goes whole.
    assert_eq!(erase(state.path(), 12), Outcome::default());
    let outcome = erase(state.path(), 301);
    assert_eq!(outcome.erased, [(day, (blocked + searches) as u64)]);
    assert!(!old.exists());
    assert_eq!(problems(state.path()), [] as [String; 0]);
}

#[test]
fn one_persons_rows_go_whatever_the_case_of_the_name_and_nobody_elses() {
    let state = tempfile::tempdir().unwrap();
    let old = three_days(state.path());
    let all = rows(state.path());
    let others =
        |user: &Option<String>| user.as_deref().is_none_or(|it| it.to_lowercase() != "sam.p");
    let left: Vec<_> = all.iter().filter(|row| others(&row.user)).cloned().collect();
    assert_eq!(all.len() - left.len(), 30);
    let outcome = erase_one(state.path(), "SAM.P");
    assert_eq!(outcome.parts, [(clock().day(NOW), "E-0001".to_owned(), 30)]);
    assert_eq!(rows(state.path()), left, "what others did is what it was");
    assert!(!holds_bytes(&old, "sam.p") && !holds_bytes(&old, "Sam.P"));
    assert!(!holds_bytes(&old, "secret-interest.test"), "only this person asked for it");
    let report = looked(state.path(), &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    assert!(report.erased[0].contains("30 rows of") && report.erased[0].contains("(E-0001)"));
    let log = std::fs::read(ChangeLog::path_in(state.path())).unwrap();
    let wal = std::fs::read(state.path().join("changes.db-wal")).unwrap_or_default();
    let said = String::from_utf8_lossy(&[log, wal].concat()).to_lowercase();
    assert!(!said.contains("sam.p"), "the statement names nobody");
    // Then another, and then a class of the same day.
    assert_eq!(erase_one(state.path(), "kit.r").parts.len(), 1);
    assert_eq!(erase(state.path(), 11).parts.len(), 1);
    sign(state.path());
    assert_eq!(problems(state.path()), [] as [String; 0]);
    let events = with_log(state.path(), async |log, _| log.entries_after(0).await.unwrap(), 0);
    let done = events
        .iter()
        .any(|entry| matches!(entry.event, Event::ErasureDone { rows: 30, days: 1, .. }));
    assert!(done);
}

#[test]
fn a_record_beside_erased_ones_is_still_given_out_with_its_proof() {
    let state = tempfile::tempdir().unwrap();
    three_days(state.path());
    erase_one(state.path(), "sam.p");
    erase(state.path(), 11);
    exported_and_verified(state.path());
}

/// Every row that is left is given out with a proof that strangers can check.
pub(crate) fn exported_and_verified(state: &Path) {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("case");
    let places: Vec<_> = rows(state).iter().map(|row| row.cursor).collect();
    let (key, _) =
        Key::open(&ledger::evidence::folder(state), Some("school.example/log"), "x").unwrap();
    let exported = with_log(
        state,
        async |log, _| export(state, log, &key, ("1", "x"), &places, &folder).await.unwrap(),
        0,
    );
    assert_eq!((exported.records, exported.not_covered.len()), (places.len() as u64, 0));
    let verified =
        std::process::Command::new("python3").arg(folder.join("verify.py")).arg(&folder).output();
    assert!(verified.unwrap().status.success());
}

#[test]
fn rows_that_a_hold_keeps_stay_and_the_others_go() {
    let state = tempfile::tempdir().unwrap();
    three_days(state.path());
    let scope = HoldScope { person: Some("sam.p".to_owned()), ..HoldScope::default() };
    append(
        state.path(),
        Event::HoldAdded { id: HoldId(1), scope, reason: "an inquest".to_owned() },
    );
    let outcome = erase(state.path(), 11);
    assert_eq!(outcome.parts.len(), 1);
    assert_eq!(outcome.kept, [(clock().day(NOW), Why::Held(HoldId(1)))]);
    let left: Vec<_> = rows(state.path());
    let day = clock().day(NOW);
    let left: Vec<_> = left
        .iter()
        .filter(|row| row.verdict == Verdict::Allow && clock().day(row.at) == day)
        .filter(|row| row.words.is_none())
        .map(|row| row.user.as_deref().unwrap_or_default().to_lowercase())
        .collect();
    assert_eq!(left, vec!["sam.p"; 20]);
    let outcome = erase_one(state.path(), "sam.p");
    assert_eq!((outcome.parts.len(), outcome.kept.len()), (0, 1), "the hold is stronger");
    assert_eq!(problems(state.path()), [] as [String; 0]);
    append(state.path(), Event::HoldLifted { id: HoldId(1), reason: "it is over".to_owned() });
    let outcome = erase_one(state.path(), "sam.p");
    assert_eq!((outcome.parts[0].2, outcome.kept.len()), (30, 0));
    assert_eq!(problems(state.path()), [] as [String; 0]);
}

#[test]
fn rows_that_nobody_said_were_erased_are_missed_however_they_were_taken_out() {
    let state = tempfile::tempdir().unwrap();
    let old = three_days(state.path());
    erase(state.path(), 11);
    let sound = std::fs::read(&old).unwrap();
    let spoiled = [
        // As the program itself does it, but for the entry.
        "INSERT INTO erased SELECT 0, max(sequence), x'00' FROM access",
        "DELETE FROM access WHERE sequence = (SELECT min(sequence) FROM access)",
        "UPDATE erased SET leaf = randomblob(32) WHERE place = (SELECT min(place) FROM erased)",
        "UPDATE salt SET salt = randomblob(16) WHERE place = (SELECT min(place) FROM salt)",
        "DELETE FROM erased WHERE place = (SELECT min(place) FROM erased)",
        "DROP TRIGGER erased_is_append_only_delete",
    ];
    for statement in spoiled {
        std::fs::write(&old, &sound).unwrap();
        assert_eq!(problems(state.path()), [] as [String; 0]);
        match statement.starts_with("DROP") {
            true => sql_alone(&old, statement),
            false => sql(&old, &[statement]),
        }
        assert!(!problems(state.path()).is_empty(), "{statement}");
    }
}

fn sql_alone(file: &Path, statement: &'static str) {
    use sqlx::{ConnectOptions, Connection};
    wait(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut db = options.connect().await.unwrap();
        sqlx::raw_sql(statement).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    });
}

#[test]
fn an_erasure_cut_short_before_its_file_took_the_place_is_told_and_made_again() {
    let state = tempfile::tempdir().unwrap();
    let old = three_days(state.path());
    let aside = state.path().join("aside.db");
    std::fs::copy(&old, &aside).unwrap();
    let first = erase(state.path(), 11);
    std::fs::copy(&aside, &old).unwrap();
    let report = looked(state.path(), &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    assert!(report.uncovered.join("\n").contains("cut short"), "{:?}", report.uncovered);
    assert_eq!(erase(state.path(), 11).parts, first.parts);
    assert_eq!(problems(state.path()), [] as [String; 0]);
    let report = looked(state.path(), &[]);
    assert!(!report.uncovered.join("\n").contains("cut short"));
    assert_eq!(report.erased.len(), 1, "told once: {:?}", report.erased);
}

#[test]
fn a_day_that_was_altered_or_may_still_be_written_keeps_its_rows() {
    let state = tempfile::tempdir().unwrap();
    let old = three_days(state.path());
    sql(&old, &["UPDATE access SET path = '/other' WHERE sequence = 2"]);
    let outcome = erase(state.path(), 11);
    assert!(matches!(outcome.kept[..], [(_, Why::Damaged(_))]), "{outcome:?}");
    assert_eq!(outcome.parts, []);
    assert!(!old.with_extension("erasing").exists(), "nothing is left over");
    let young = tempfile::tempdir().unwrap();
    change(young.path(), &[]);
    people(young.path(), 0);
    sign(young.path());
    let outcome = erase_one(young.path(), "sam.p");
    assert_eq!(outcome.kept, [(clock().day(NOW), Why::Open)]);
    assert_eq!(rows(young.path()).len(), 60);
}

#[test]
fn a_clock_by_which_even_the_newest_requests_are_over_erases_none_of_them() {
    let state = tempfile::tempdir().unwrap();
    three_days(state.path());
    let before = rows(state.path());
    let outcome = erase(state.path(), 60);
    assert!(matches!(outcome.kept[..], [(_, Why::Clock)]), "{outcome:?}");
    assert_eq!((outcome.parts, rows(state.path())), (Vec::new(), before));
}
