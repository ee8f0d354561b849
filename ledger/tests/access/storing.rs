//! From journal to day file and back.

use crate::sample::{
    NOW, WORDS, allowed, blocked, context, journal_files, rows, settings, sign, start, tunnel, wait,
};
use ledger::ingest::{Settings, StartError, Writer, recover};
use ledger::journal::refused;
use ledger::lock::LockError;
use ledger::query::{AccessLog, wait_until_stored};
use ledger::record::End;
use ledger::squid::Paths;
use rules::time::UnixMillis;
use std::time::Duration;

#[test]
fn an_access_is_found_by_its_code_with_everything_named() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let id = journal.next_id(NOW);
    journal.refuse(&blocked(&context, id, NOW), refused(403, 900, 1234)).unwrap();
    assert!(wait(wait_until_stored(state.path(), Duration::from_secs(5))).unwrap());
    let row = wait(AccessLog::new(state.path()).find(id)).unwrap().unwrap();
    assert_eq!((row.at, row.user.as_deref(), &*row.level), (NOW, Some("pupil01"), "ks3"));
    assert_eq!((&*row.host, row.port, row.path.as_deref()), ("arcade.test", 80, Some("/")));
    assert_eq!((&*row.client, &*row.method, row.scheme.as_str()), ("10.1.2.3", "GET", "http"));
    assert_eq!(row.categories, ["games", "gambling"]);
    assert_eq!((row.verdict.as_str(), row.reason.as_str()), ("block", "category"));
    assert_eq!(row.rule.as_deref(), Some("policy.toml:26 games = \"block\""));
    assert_eq!((&*row.list_version, &*row.zone), ("lists-7", "Europe/London"));
    let ended = row.ended.unwrap();
    assert_eq!((ended.status, ended.bytes_down, ended.duration_us), (403, 900, 1234));
    assert_eq!(row.cursor.day.to_string(), "2025-11-26");
    assert!(wait(AccessLog::new(state.path()).find(rules::code::RequestId(5))).unwrap().is_none());
}

#[test]
fn words_and_signs_are_kept_with_their_row_and_signs_with_an_end_too() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let signs = [sign(1), sign(2)];
    let mut decided = allowed(&context, journal.next_id(NOW), NOW);
    (decided.words, decided.signs) = (Some(WORDS), &signs);
    let quick = journal.decide(&decided).unwrap();
    quick.add_sign(sign(3));
    quick.finish(End::Complete);
    let mut decided = tunnel(&context, journal.next_id(NOW), NOW);
    decided.signs = &signs[..1];
    let slow = journal.decide(&decided).unwrap();
    let bare = allowed(&context, journal.next_id(NOW), NOW);
    journal.refuse(&bare, refused(403, 0, 1)).unwrap();
    assert!(wait(wait_until_stored(state.path(), Duration::from_secs(5))).unwrap());
    (0..20).for_each(|points| slow.add_sign(sign(100 + points)));
    slow.finish(End::Complete);
    drop(journal);
    writer.stop();
    let mut rows = rows(state.path());
    rows.sort_by_key(|row| row.id);
    let points = |place: usize| -> Vec<u16> {
        rows[place].signs.iter().map(|sign| sign.points).collect::<Vec<_>>()
    };
    assert_eq!(rows[0].words.as_ref(), Some(&WORDS.owned()));
    assert_eq!((points(0), points(2)), (vec![1, 2, 3], vec![]));
    assert_eq!(rows[1].words, None);
    assert_eq!(points(1), [&[1][..], &(100..108).collect::<Vec<_>>()].concat());
    assert_eq!(rows[1].signs[0], sign(1));
}

#[test]
fn a_tunnel_is_seen_at_once_and_its_end_later() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let open = journal.decide(&tunnel(&context, journal.next_id(NOW), NOW)).unwrap();
    assert!(wait(wait_until_stored(state.path(), Duration::from_secs(5))).unwrap());
    assert_eq!(rows(state.path())[0].ended, None);
    open.set_status(200);
    open.count_down(5000);
    open.finish(End::Cut);
    journal.flush();
    assert!(wait(wait_until_stored(state.path(), Duration::from_secs(5))).unwrap());
    let ended = rows(state.path())[0].ended.unwrap();
    assert_eq!((ended.end, ended.bytes_down), (End::Cut, 5000));
}

#[test]
fn an_end_that_comes_after_the_hold_joins_its_row() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let slow = journal.decide(&allowed(&context, journal.next_id(NOW), NOW)).unwrap();
    assert!(
        wait(wait_until_stored(state.path(), Duration::from_secs(5))).unwrap(),
        "held for one second only"
    );
    assert_eq!(rows(state.path())[0].ended, None);
    drop(slow);
    drop(journal);
    writer.stop();
    let rows = rows(state.path());
    assert_eq!((rows.len(), rows[0].ended.unwrap().end), (1, End::Aborted));
}

#[test]
fn an_orderly_stop_leaves_no_journal_and_no_open_row() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    for _ in 0..100 {
        drop(journal.decide(&allowed(&context, journal.next_id(NOW), NOW)).unwrap());
    }
    drop(journal);
    assert_eq!(writer.shared().status().write_failures, 0);
    writer.stop();
    assert_eq!(journal_files(state.path()), [] as [std::path::PathBuf; 0]);
    assert_eq!(rows(state.path()).len(), 100);
    let again = recover(state.path()).unwrap().unwrap();
    assert_eq!((again.decisions, again.unknown_ends), (0, 0));
}

#[test]
fn ids_stay_above_all_others_after_a_restart_with_the_clock_set_back() {
    let state = tempfile::tempdir().unwrap();
    let context = context("Europe/London");
    let mut last = 0;
    for at in [NOW, UnixMillis(NOW.0 - 86_400_000), UnixMillis(NOW.0 - 2 * 86_400_000)] {
        let writer = start(state.path());
        let journal = writer.journal(0).unwrap();
        let id = journal.next_id(at);
        assert!(id.0 > last);
        last = id.0;
        journal.refuse(&blocked(&context, id, at), refused(403, 0, 1)).unwrap();
        drop(journal);
        writer.stop();
    }
    assert_eq!(AccessLog::new(state.path()).days().unwrap().len(), 3);
    let code = rules::code::RequestId(last);
    assert!(
        wait(AccessLog::new(state.path()).find(code)).unwrap().is_some(),
        "found in the day of its record"
    );
}

#[test]
fn a_day_changes_at_the_schools_midnight_in_summer_and_winter() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    // Clocks go forward on 2026-03-29 at 01:00 UTC: that night, midnight is 00:00 UTC, the next 23:00.
    let instants = [
        (1_774_742_399_999, "2026-03-28"), // 2026-03-28T23:59:59.999Z
        (1_774_742_400_000, "2026-03-29"), // 2026-03-29T00:00:00Z
        (1_774_825_199_999, "2026-03-29"), // 2026-03-29T22:59:59.999Z
        (1_774_825_200_000, "2026-03-30"), // 2026-03-29T23:00:00Z, 00:00 BST
        (1_792_882_800_000, "2026-10-25"), // 2026-10-24T23:00:00Z, 00:00 BST
        (1_792_972_799_999, "2026-10-25"), // 2026-10-25T23:59:59.999Z: a day of 25 hours
        (1_792_972_800_000, "2026-10-26"),
    ];
    for (at, _) in instants {
        let at = UnixMillis(at);
        journal.refuse(&blocked(&context, journal.next_id(at), at), refused(403, 0, 1)).unwrap();
    }
    drop(journal);
    writer.stop();
    let stored: Vec<_> =
        rows(state.path()).iter().map(|row| (row.at.0, row.cursor.day.to_string())).collect();
    let expected: Vec<_> = instants.iter().map(|(at, day)| (*at, (*day).to_owned())).collect();
    assert_eq!(stored, expected);
}

#[test]
fn the_second_writer_is_refused_and_a_command_leaves_recovery_to_the_first() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let refused = Writer::start(state.path(), settings()).unwrap_err();
    assert!(matches!(refused, StartError::Lock(LockError::Held(_))), "{refused}");
    assert_eq!(recover(state.path()).unwrap(), None);
    writer.stop();
    assert!(recover(state.path()).unwrap().is_some());
}

#[test]
fn squid_lines_say_what_the_rows_say() {
    let state = tempfile::tempdir().unwrap();
    let at = |name: &str| state.path().join(name);
    let squid = Paths { native: Some(at("access.log")), extended: Some(at("access-ext.log")) };
    let writer = Writer::start(state.path(), Settings { squid, ..settings() }).unwrap();
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    journal
        .refuse(&blocked(&context, journal.next_id(NOW), NOW), refused(403, 900, 4_000))
        .unwrap();
    let slow = journal.decide(&allowed(&context, journal.next_id(NOW), NOW)).unwrap();
    slow.set_status(200);
    wait(wait_until_stored(state.path(), Duration::from_secs(5))).unwrap();
    slow.finish(End::Complete);
    let mut hidden = blocked(&context, journal.next_id(NOW), NOW);
    hidden.categories = crate::sample::categories(&[4]);
    hidden.host = "never-shown.test";
    journal.refuse(&hidden, refused(403, 0, 0)).unwrap();
    drop(journal);
    writer.stop();
    let lines = std::fs::read_to_string(at("access.log")).unwrap();
    let extended = std::fs::read_to_string(at("access-ext.log")).unwrap();
    assert!(!extended.contains("never-shown"), "{extended}");
    assert_eq!(extended.lines().count(), lines.lines().count());
    for (line, longer) in lines.lines().zip(extended.lines()) {
        assert!(longer.starts_with(&format!("{line} ")), "{longer}");
        assert_eq!(longer.split_whitespace().count(), 17, "{longer}");
    }
    let more = |word: &str| extended.lines().find(|line| line.contains(word)).unwrap();
    assert!(more("arcade.test").ends_with(" ks3 category games,gambling - plain complete"));
    assert!(more("www.library.test").ends_with(" ks3 allowed education - plain complete"));
    let fields: Vec<Vec<&str>> =
        lines.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(fields.iter().all(|fields| fields.len() == 10), "{lines}");
    let words: Vec<_> = fields.iter().map(|fields| (fields[3], fields[6], fields[8])).collect();
    assert_eq!(words[0], ("TCP_DENIED/403", "http://arcade.test/", "HIER_NONE/-"));
    let late =
        ("TCP_MISS/200", "http://www.library.test/maths/fractions", "HIER_DIRECT/www.library.test");
    assert!(words.contains(&late), "{lines}");
    assert!(!lines.contains("never-shown"), "{lines}");
    assert_eq!(fields[0][0], "1764151200.004");
}

#[test]
fn the_access_log_refuses_changes() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    journal.refuse(&blocked(&context, journal.next_id(NOW), NOW), refused(403, 0, 1)).unwrap();
    drop(journal);
    writer.stop();
    let path = state.path().join("access/access-2025-11-26.db");
    wait(async {
        use sqlx::{ConnectOptions, Connection};
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
        let mut connection = options.connect().await.unwrap();
        for change in [
            "UPDATE access SET status = 200",
            "DELETE FROM access",
            "DELETE FROM who",
            "UPDATE what SET verdict = 0",
        ] {
            let error = sqlx::query(change).execute(&mut connection).await.unwrap_err();
            assert!(error.to_string().contains("append-only"), "{change}: {error}");
        }
        connection.close().await.unwrap();
    });
}
