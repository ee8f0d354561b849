//! Everything that somebody could do to the log, with and without the key: found, and named.

use crate::log::{
    change, checkpoints, copy_folder, day_file, lines, looked, problems, record, sign, small, sql,
};
use crate::sample::{rows, wait};
use ledger::changes::ChangeLog;
use ledger::evidence::places;
use std::path::Path;

fn made() -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    small(state.path());
    state
}

/// Changes a fresh log and says what was found.
fn after(what: impl FnOnce(&Path)) -> Vec<String> {
    let state = made();
    what(state.path());
    problems(state.path())
}

fn all_contain(found: &[String], parts: &[&str]) {
    assert!(!found.is_empty(), "nothing was found");
    for part in parts {
        assert!(found.iter().any(|line| line.contains(part)), "{part:?} not in {found:#?}");
    }
}

fn changes(state: &Path) -> std::path::PathBuf {
    ChangeLog::path_in(state)
}

/// Writes an entry's hash anew, as somebody who knows how it is made would.
fn rehash(state: &Path, sequence: u64) {
    use sqlx::{ConnectOptions, Connection, Row};
    let body: String = wait(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(changes(state));
        let mut db = options.connect().await.unwrap();
        let row = sqlx::query("SELECT body FROM change WHERE sequence = ?").bind(sequence as i64);
        let body = row.fetch_one(&mut db).await.unwrap().get(0);
        db.close().await.unwrap();
        body
    });
    let leaf = ledger::evidence::hex(&ledger::changes::leaf_hash(body.as_bytes()));
    let statement = format!("UPDATE change SET leaf = x'{leaf}' WHERE sequence = {sequence}");
    sql(&changes(state), &[&statement]);
}

#[test]
fn an_untouched_log_is_whole_and_says_what_it_covers() {
    let state = made();
    let report = looked(state.path(), &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    assert_eq!(report.uncovered, [] as [String; 0]);
    assert_eq!((report.days, report.checkpoints), (2, 3));
    let there = rows(state.path());
    assert_eq!(report.rows, there.len() as u64);
    assert!(report.ends >= 25 && report.batches >= 3, "{report:?}");
    assert_eq!(report.entries, 9);
    let report = looked(state.path(), &[&checkpoints(state.path())]);
    assert_eq!((lines(&report), report.matched.len()), (vec![], 3));
}

#[test]
fn what_came_after_the_last_checkpoint_is_said_to_be_uncovered() {
    let state = made();
    change(state.path(), &["later"]);
    record(state.path(), 2, 10);
    let report = looked(state.path(), &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    let uncovered = report.uncovered.join("\n");
    assert!(uncovered.contains("change log: entry 9 came after"), "{uncovered}");
    assert!(
        uncovered.contains("came after the last checkpoint (on or after 2025-11-2"),
        "{uncovered}"
    );
}

#[test]
fn a_log_without_any_checkpoint_says_so() {
    let state = tempfile::tempdir().unwrap();
    change(state.path(), &["one"]);
    record(state.path(), 0, 5);
    let report = looked(state.path(), &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    assert!(report.uncovered[0].contains("no checkpoint was ever signed"), "{report:?}");
}

#[test]
fn changed_entries_are_named() {
    let found = after(|state| {
        sql(
            &changes(state),
            &["UPDATE change SET body = replace(body, 'two', 'TWO') WHERE sequence = 1"],
        );
    });
    all_contain(&found, &["change log, entry 1: it was altered"]);
    assert!(found.iter().all(|line| line.contains("entry 1:")), "{found:#?}");
    let found = after(|state| {
        sql(
            &changes(state),
            &["UPDATE change SET body = replace(body, 'two', 'TWO') WHERE sequence = 1"],
        );
        rehash(state, 1);
    });
    assert_eq!(found.len(), 1, "{found:#?}");
    all_contain(&found, &["change log, entry 1: it is not the entry that was signed"]);
}

#[test]
fn dropped_entries_are_named() {
    let found = after(|state| sql(&changes(state), &["DELETE FROM change WHERE sequence = 4"]));
    all_contain(&found, &["change log, entry 4: missing: the log goes on after it"]);
    let found = after(|state| sql(&changes(state), &["DELETE FROM change WHERE sequence >= 7"]));
    all_contain(&found, &["change log, entries 7 to 8: missing at the end"]);
}

#[test]
fn entries_that_were_moved_or_put_in_are_named() {
    let renumber = |from: u64, to: u64| {
        format!(
            "UPDATE change SET sequence = {to}, body = json_set(body, '$.sequence', {to}) WHERE sequence = {from}"
        )
    };
    let found = after(|state| {
        sql(&changes(state), &[&renumber(0, 99), &renumber(1, 0), &renumber(99, 1)]);
        rehash(state, 0);
        rehash(state, 1);
    });
    all_contain(&found, &["entry 0: it is not the entry", "entry 1: it is not the entry"]);
    // One put in: all that follow move up.
    let found = after(|state| {
        let mut statements: Vec<String> =
            (3..9).rev().map(|from| renumber(from, from + 1)).collect();
        statements.push(
            "INSERT INTO change (sequence, body, leaf) SELECT 3, json_set(body, '$.sequence', 3), leaf
             FROM change WHERE sequence = 2"
                .to_owned(),
        );
        sql(&changes(state), &statements.iter().map(String::as_str).collect::<Vec<_>>());
        (3..10).for_each(|sequence| rehash(state, sequence));
    });
    all_contain(&found, &["entry 3: it is not the entry", "entry 8: it is not the entry"]);
}

#[test]
fn rules_that_were_taken_away_are_named() {
    let found = after(|state| {
        wait(async {
            use sqlx::{ConnectOptions, Connection};
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(changes(state));
            let mut db = options.connect().await.unwrap();
            sqlx::query("DROP TRIGGER change_no_delete").execute(&mut db).await.unwrap();
            db.close().await.unwrap();
        });
    });
    all_contain(&found, &["trigger change_no_delete was removed"]);
}

#[test]
fn changed_rows_are_named() {
    let cases = [
        ("UPDATE access SET at = at + 1 WHERE sequence = 7", "row 7: altered"),
        ("UPDATE access SET path = '/other' WHERE sequence = 2", "row 2: altered"),
        (
            "UPDATE access SET status = 299 WHERE sequence = (SELECT min(sequence) FROM access WHERE status > 0)",
            ": altered",
        ),
        ("UPDATE access SET id = id + 1 WHERE sequence = 9", "row 9: altered"),
        ("UPDATE access SET who = (SELECT min(id) + max(id) FROM who) - who", "rows 0 to"),
        ("UPDATE access_end SET bytes_down = bytes_down + 1 WHERE place = 3", "end 3: altered"),
        ("UPDATE access_end SET sequence = 99 WHERE place = 3", "end 3: altered"),
        ("UPDATE person SET name = 'pupil02'", "altered"),
        ("UPDATE what SET verdict = 0 WHERE verdict = 1", "altered"),
        ("UPDATE category_set SET locked = 1 - locked WHERE id = 1", "altered"),
        ("UPDATE context SET policy_hash = 'other'", "rows 0 to"),
        ("UPDATE site SET name = 'other.test'", "a table that rows point to"),
        ("UPDATE rollup_hour SET requests = requests + 1", "rollup_hour does not say"),
        ("DELETE FROM rollup_site", "rollup_site does not say"),
        ("UPDATE rollup_rejected SET times = 0", "rollup_rejected does not say"),
        (
            "UPDATE batch SET record = replace(record, '\"ends\"', '\"endz\"')",
            "its record was altered",
        ),
        ("UPDATE meta SET value = zeroblob(32) WHERE key = 'secret'", "rows 0 to"),
        ("UPDATE meta SET value = '2025-11-27' WHERE key = 'day'", "it says that it is of"),
        ("UPDATE meta SET value = 5 WHERE key = 'proved_from'", "it begins with row 0"),
        ("UPDATE meta SET value = 1 WHERE key = 'max_id'", "its highest id"),
        ("UPDATE meta SET value = 99 WHERE key = 'ends'", "ends came by themselves"),
        ("DELETE FROM person", "missing, or it cannot be read"),
    ];
    for (statement, expected) in cases {
        let found = after(|state| sql(&day_file(state, 0), &[statement]));
        assert!(!found.is_empty(), "{statement}");
        all_contain(&found, &["access-2025-11-26.db", expected]);
        let elsewhere = found.iter().find(|line| !line.contains("access-2025-11-26.db"));
        assert_eq!(elsewhere, None, "{statement}");
    }
}

#[test]
fn dropped_added_and_swapped_rows_are_named_and_their_neighbours_stay_readable() {
    let drop = |state: &Path| sql(&day_file(state, 0), &["DELETE FROM access WHERE sequence = 7"]);
    let state = made();
    drop(state.path());
    let found = problems(state.path());
    all_contain(&found, &["access-2025-11-26.db, row 7: missing"]);
    let there = rows(state.path());
    assert!(there.iter().any(|row| row.cursor.to_string() == "2025-11-26:6"));
    assert!(there.iter().any(|row| row.cursor.to_string() == "2025-11-26:8"));
    let found = after(|state| {
        sql(&day_file(state, 0), &["DELETE FROM access WHERE sequence >= 30"]);
    });
    all_contain(&found, &["rows 30 to 44: missing"]);
    let found = after(|state| {
        sql(
            &day_file(state, 0),
            &["INSERT INTO access SELECT 45, id + 1, at, who, what, path, \"end\",
            status, bytes_up, bytes_down, duration_us FROM access WHERE sequence = 4"],
        );
    });
    all_contain(&found, &["access-2025-11-26.db"]);
    let found = after(|state| {
        sql(
            &day_file(state, 0),
            &["INSERT INTO access SELECT -1, id, at, who, what, path, \"end\",
            status, bytes_up, bytes_down, duration_us FROM access WHERE sequence = 4"],
        );
    });
    all_contain(&found, &["it was put in: it has a place before the first"]);
    let found = after(|state| {
        sql(
            &day_file(state, 0),
            &[
                "UPDATE access SET sequence = 9999 WHERE sequence = 4",
                "UPDATE access SET sequence = 4 WHERE sequence = 6",
                "UPDATE access SET sequence = 6 WHERE sequence = 9999",
            ],
        );
    });
    all_contain(&found, &["row 4: altered", "row 6: altered"]);
    let found =
        after(|state| sql(&day_file(state, 0), &["DELETE FROM access_end WHERE place = 2"]));
    all_contain(&found, &["end 2: missing"]);
    let found = after(|state| sql(&day_file(state, 0), &["DELETE FROM batch"]));
    all_contain(&found, &["missing: no day's file has them"]);
}

#[test]
fn a_day_that_is_gone_is_named() {
    let found = after(|state| std::fs::remove_file(day_file(state, 0)).unwrap());
    all_contain(&found, &["access-2025-11-26.db: the whole day is missing", "batch"]);
    let found = after(|state| {
        std::fs::rename(day_file(state, 0), day_file(state, 3)).unwrap();
    });
    all_contain(
        &found,
        &["access-2025-11-29.db, the file: it says that it is of Some(\"2025-11-26\")"],
    );
}

#[test]
fn a_folder_set_back_to_an_old_copy_is_found_by_a_checkpoint_from_outside_alone() {
    let state = made();
    let old = tempfile::tempdir().unwrap();
    copy_folder(state.path(), old.path());
    change(state.path(), &["what somebody wants gone"]);
    record(state.path(), 1, 12);
    let (_, kept) = sign(state.path());
    assert_eq!(problems(old.path()), [] as [String; 0], "an old copy is whole in itself");
    let found = lines(&looked(old.path(), &[&kept]));
    all_contain(&found, &["change log, entries 9 to 10: the log has 9 entries", "set back"]);
    // The log alone, beside the checkpoints of now.
    std::fs::copy(places::checkpoints(state.path()), places::checkpoints(old.path())).unwrap();
    all_contain(&problems(old.path()), &["change log, entries 9 to 10: missing at the end"]);
    // One day alone.
    std::fs::copy(day_file(old.path(), 1), day_file(state.path(), 1)).unwrap();
    let found = problems(state.path());
    all_contain(&found, &["access log"]);
    assert!(found.iter().all(|line| !line.contains("11-26")), "{found:#?}");
}

#[test]
fn whoever_has_the_key_is_found_by_a_checkpoint_from_outside_alone() {
    let state = made();
    let (_, kept) = sign(state.path());
    let anew = tempfile::tempdir().unwrap();
    // The same log but for one entry and one row, signed by the same key.
    std::fs::create_dir(anew.path().join("audit")).unwrap();
    for file in ["key", "key.pub", "origin"] {
        std::fs::copy(state.path().join("audit").join(file), anew.path().join("audit").join(file))
            .unwrap();
    }
    change(anew.path(), &["one", "TWO"]);
    record(anew.path(), 0, 39);
    sign(anew.path());
    change(anew.path(), &["three", "3", "4", "5", "6", "7", "8"]);
    record(anew.path(), 1, 40);
    sign(anew.path());
    assert_eq!(problems(anew.path()), [] as [String; 0], "it is whole in itself");
    let found = lines(&looked(anew.path(), &[&kept]));
    all_contain(&found, &["they are not those of the checkpoint from outside", "written anew"]);
}

#[test]
fn another_key_is_found_by_a_checkpoint_or_a_key_from_outside() {
    let (state, other) = (made(), made());
    let (_, kept) = sign(state.path());
    let found = lines(&looked(other.path(), &[&kept]));
    all_contain(&found, &["outside checkpoint", "the key in audit/key.pub was replaced"]);
    let found = after(|state| {
        for file in ["key", "key.pub"] {
            std::fs::copy(other.path().join("audit").join(file), state.join("audit").join(file))
                .unwrap();
        }
    });
    all_contain(&found, &["audit/checkpoints, line 1: it is not signed by the key"]);
}

#[test]
fn proofs_that_were_taken_away_whole_are_missed() {
    let found = after(|state| std::fs::remove_dir_all(state.join("audit")).unwrap());
    all_contain(&found, &["audit/key.pub, the file: it is missing", "audit/checkpoints, the file"]);
    let found = after(|state| std::fs::remove_file(state.join("audit/checkpoints")).unwrap());
    all_contain(&found, &["audit/checkpoints, the file: there are none, though 3 were signed"]);
    let state = made();
    std::fs::remove_dir_all(state.path().join("audit")).unwrap();
    sign(state.path());
    let report = looked(state.path(), &[]);
    assert!(
        report.uncovered.iter().any(|line| line.contains("a new key was made in entry")),
        "{report:?}"
    );
}

/// A backup holds no key: what was signed before it was made still counts, and no later.
#[test]
fn checkpoints_of_before_a_restore_still_fit_and_later_ones_are_named() {
    let state = made();
    let (_, before) = sign(state.path());
    let backup = tempfile::tempdir().unwrap();
    copy_folder(state.path(), backup.path());
    change(state.path(), &["lost"]);
    let (_, after) = sign(state.path());
    for file in ["key", "key.pub"] {
        std::fs::remove_file(backup.path().join("audit").join(file)).unwrap();
    }
    wait(async {
        let log = ChangeLog::open(backup.path()).await.unwrap();
        let event = rules::change::Event::BackupRestored {
            made_at: crate::sample::NOW,
            sha256: "0".repeat(64),
        };
        log.append(crate::sample::NOW, "machine:root", event).await.unwrap();
    });
    change(backup.path(), &["went on", "and on", "and on", "and on"]);
    sign(backup.path());
    let report = looked(backup.path(), &[&before]);
    assert_eq!(lines(&report), [] as [String; 0]);
    assert_eq!((report.matched.len(), report.checkpoints), (1, 5));
    let found = lines(&looked(backup.path(), &[&after]));
    all_contain(&found, &["outside checkpoint"]);
    // Entries alone name no key: whoever writes them could name their own.
    let forged = made();
    let real = std::fs::read_to_string(forged.path().join("audit/key.pub")).unwrap();
    wait(async {
        let log = ChangeLog::open(forged.path()).await.unwrap();
        let restored = rules::change::Event::BackupRestored {
            made_at: crate::sample::NOW,
            sha256: "0".repeat(64),
        };
        let key = "school.example/log+00000000+AAAA".to_owned();
        for event in [restored, rules::change::Event::AuditKeyMade { key: key.clone() }] {
            log.append(crate::sample::NOW, "machine:root", event).await.unwrap();
        }
    });
    let options = ledger::evidence::verify::Options {
        public: Some(
            std::fs::read_to_string(state.path().join("audit/key.pub")).unwrap().trim().to_owned(),
        ),
        ..Default::default()
    };
    let report =
        wait(ledger::evidence::verify::verify(forged.path(), &options, &mut |_| {})).unwrap();
    assert_ne!(real.trim(), options.public.unwrap());
    all_contain(&lines(&report), &["audit/checkpoints, line"]);
    // Without the restore in the log, the key of before counts for nothing.
    let replaced = made();
    for file in ["key", "key.pub"] {
        std::fs::remove_file(replaced.path().join("audit").join(file)).unwrap();
    }
    sign(replaced.path());
    all_contain(&problems(replaced.path()), &["audit/checkpoints, line"]);
}

#[test]
fn a_printed_checkpoint_line_will_do() {
    let state = made();
    let (checkpoint, _) = sign(state.path());
    let report = looked(state.path(), &[&format!("{}\n", checkpoint.line())]);
    assert_eq!((lines(&report), report.matched), (vec![], vec![checkpoint.line()]));
    let mut other = checkpoint;
    other.root[0] ^= 1;
    let found = lines(&looked(state.path(), &[&other.line()]));
    all_contain(&found, &["they are not those of the checkpoint from outside"]);
}

#[test]
fn changed_checkpoints_and_trees_are_named() {
    let found = after(|state| {
        let path = places::checkpoints(state);
        let text = std::fs::read_to_string(&path).unwrap();
        let second = text.match_indices("school.example/log\n").nth(1).unwrap().0;
        let (before, rest) = text.split_at(second);
        std::fs::write(&path, format!("{before}{}", rest.replacen("\n", "\n1", 1))).unwrap();
    });
    all_contain(&found, &["audit/checkpoints, line 7: its signature is wrong"]);
    let found = after(|state| {
        let path = places::checkpoints(state);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 30]).unwrap();
    });
    all_contain(&found, &["audit/checkpoints"]);
    for tree in ["changes.tree", "access.tree"] {
        let found = after(|state| {
            let path = state.join("audit").join(tree);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[3] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        });
        all_contain(&found, &[&format!("audit/{tree}")]);
        assert!(found.iter().all(|line| line.starts_with("audit/")), "{found:#?}");
    }
    let found = after(|state| std::fs::remove_file(state.join("audit/key.pub")).unwrap());
    all_contain(&found, &["audit/key.pub, the file: it is missing"]);
}

#[test]
fn words_and_signs_that_were_changed_taken_away_or_put_in_are_found() {
    let changes = [
        ("UPDATE access_note SET words = 'fractions' WHERE sequence = 2", "row 2: altered"),
        ("UPDATE access_note SET kind = 2 WHERE sequence = 2", "row 2: altered"),
        ("UPDATE access_note SET kind = 9 WHERE sequence = 2", "row 2: missing"),
        ("UPDATE access_note SET site = NULL WHERE sequence = 2", "row 2: missing"),
        ("UPDATE access_note SET signs = NULL WHERE sequence = 2", "row 2: altered"),
        ("DELETE FROM access_note WHERE sequence = 2", "row 2: altered"),
        (
            "INSERT INTO access_note (sequence, signs) VALUES (0, 'drugs:1:page:high')",
            "row 0: altered",
        ),
        (
            "INSERT INTO access_note (sequence, signs) VALUES (999, 'a:1:url:high')",
            "row 999: put in",
        ),
        ("INSERT INTO end_note VALUES (999, 'a:1:url:high')", "row 999: put in"),
        ("UPDATE end_note SET signs = 'a:1:url:high'", "altered: its hash"),
        ("DELETE FROM end_note", "altered: its hash"),
        ("DROP TABLE end_note", "end_note was removed"),
    ];
    for (statement, expected) in changes {
        let found = after(|state| sql(&day_file(state, 0), &[statement]));
        assert!(found.iter().any(|line| line.contains(expected)), "{statement}: {found:#?}");
    }
}
