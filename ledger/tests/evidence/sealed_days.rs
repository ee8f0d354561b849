//! Sealed days: proved as before, and whatever is done to their files is found and named.

use crate::log::{
    change, copy_folder, day_file, lines, looked, problems, record, record_late_ends, sign, small,
    sql,
};
use crate::sample::{NOW, rows, wait};
use ledger::evidence::hex;
use ledger::seal::{SealError, Sealed, seal_days};
use rules::time::UnixMillis;
use sealed::{File, Row, Writer};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Long after every day here.
const LATER: UnixMillis = UnixMillis(NOW.0 + 9 * crate::log::DAY_MS);

pub(crate) fn seal(state: &Path) -> Vec<Sealed> {
    let mut sealed = Vec::new();
    let told = |part: &Sealed| sealed.push(part.clone());
    wait(seal_days(state, None, LATER, || false, told)).unwrap().unwrap();
    sealed
}

fn file(state: &Path, day: i64, ending: &str) -> PathBuf {
    state.join(format!("access/access-2025-11-{}.{ending}", 26 + day))
}

/// Two sealed days and three checkpoints.
fn made() -> tempfile::TempDir {
    let state = tempfile::tempdir().unwrap();
    small(state.path());
    assert_eq!(seal(state.path()).len(), 2);
    state
}

fn all_contain(found: &[String], parts: &[&str]) {
    assert!(!found.is_empty(), "nothing was found");
    for part in parts {
        assert!(found.iter().any(|line| line.contains(part)), "{part:?} not in {found:#?}");
    }
}

/// Notes the file of a day's rows in its sums, as somebody who knows how would.
fn note_anew(state: &Path, day: i64) {
    let bytes = std::fs::read(file(state, day, "parquet")).unwrap();
    let hash = hex(&Sha256::digest(&bytes));
    let statement = format!("UPDATE meta SET value = '{hash}' WHERE key = 'sealed_sha256'");
    sql(&file(state, day, "sums.db"), &[&statement]);
}

/// Writes the file of a day's rows anew after a change, checksums and all.
pub(crate) fn rewrite(state: &Path, day: i64, change: impl FnOnce(&mut Vec<Row<'_>>)) {
    let path = file(state, day, "parquet");
    let read = File::open(&path).unwrap();
    let groups: Vec<_> = (0..read.groups()).map(|number| read.group(number)).collect();
    let mut rows: Vec<Row<'_>> = groups
        .iter()
        .flat_map(|group| (0..group.rows()).map(|row| group.row(row).unwrap()))
        .collect();
    change(&mut rows);
    let new = path.with_extension("other");
    let mut writer = Writer::create(&new, &[]).unwrap();
    writer.group(rows.len(), |place| rows[place]).unwrap();
    writer.finish().unwrap();
    std::fs::rename(new, path).unwrap();
    note_anew(state, day);
}

fn at(rows: &mut [Row<'_>], sequence: i64) -> usize {
    rows.iter().position(|row| row.sequence == sequence).unwrap()
}

#[test]
fn a_sealed_log_is_proved_as_it_was_before() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    small(state);
    let (before, all) = (looked(state, &[]), rows(state));
    assert_eq!(seal(state).len(), 2);
    let report = looked(state, &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    assert_eq!(report.uncovered, [] as [String; 0]);
    assert_eq!(
        (report.days, report.rows, report.ends, report.batches),
        (before.days, before.rows, before.ends, before.batches)
    );
    assert_eq!(rows(state), all);
    // The log goes on, on a day after and with more for a sealed one.
    record(state, 2, 10);
    record(state, 1, 12);
    record_late_ends(state, 1, 5);
    sign(state);
    for parts in [2, 0] {
        let report = looked(state, &[]);
        assert_eq!(lines(&report), [] as [String; 0]);
        assert_eq!(report.uncovered, [] as [String; 0]);
        assert_eq!((report.days, report.rows), (3, before.rows + 27));
        assert_eq!(report.rows, rows(state).len() as u64);
        assert_eq!(seal(state).len(), parts);
    }
    assert!(file(state, 1, "2.parquet").exists());
}

#[test]
fn stopped_at_any_step_the_log_is_whole() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    small(state);
    for step in 1.. {
        let mut left = step;
        let stop = || {
            left -= 1;
            left == 0
        };
        let done = wait(seal_days(state, None, LATER, stop, |_| {}));
        let report = looked(state, &[]);
        assert_eq!(lines(&report), [] as [String; 0], "stopped at step {step}");
        // Between the names of the two files the first lies there beside the day's own, and that is told.
        let mut uncovered = report.uncovered.clone();
        uncovered.retain(|line| !line.contains("is left of sealing"));
        assert_eq!(uncovered, [] as [String; 0], "stopped at step {step}");
        match done {
            Err(SealError::Stopped) => {}
            done => {
                done.unwrap().unwrap();
                break;
            }
        }
    }
    assert_eq!(problems(state), [] as [String; 0]);
}

#[test]
fn any_changed_byte_of_a_sealed_file_is_found_and_the_file_named() {
    let state = made();
    let state = state.path();
    let path = file(state, 0, "parquet");
    let sound = std::fs::read(&path).unwrap();
    let step = if std::env::var_os("SCHOOLGATE_FLIP_ALL").is_some() { 1 } else { 31 };
    for place in (0..sound.len()).step_by(step) {
        let mut bytes = sound.clone();
        bytes[place] ^= 1 << (place % 8);
        std::fs::write(&path, &bytes).unwrap();
        let found = problems(state);
        assert!(!found.is_empty(), "byte {place} of {}", sound.len());
        all_contain(&found, &["access-2025-11-26.parquet"]);
        let elsewhere = found.iter().find(|line| !line.contains("access-2025-11-26"));
        assert_eq!(elsewhere, None, "byte {place}");
    }
    for length in [0, 3, sound.len() / 2, sound.len() - 1] {
        std::fs::write(&path, &sound[..length]).unwrap();
        all_contain(&problems(state), &["access-2025-11-26.parquet, the file: it cannot be read"]);
    }
    std::fs::write(&path, &sound).unwrap();
    assert_eq!(problems(state), [] as [String; 0]);
}

#[test]
fn any_changed_byte_of_sealed_sums_that_say_something_is_found() {
    let state = made();
    let state = state.path();
    let path = file(state, 0, "sums.db");
    let sound = std::fs::read(&path).unwrap();
    let is_said = |text: &[u8]| sound.windows(text.len()).position(|found| found == text).unwrap();
    // A batch's record, a host, a person, the name of a level, the hash of the file.
    for text in ["\"first_end\"", "arcade.test", "pupil01", "sealed_sha256", "2025-11-26"] {
        let mut bytes = sound.clone();
        bytes[is_said(text.as_bytes()) + 2] ^= 2;
        std::fs::write(&path, &bytes).unwrap();
        let found = problems(state);
        assert!(!found.is_empty(), "{text}");
        let elsewhere = found.iter().find(|line| !line.contains("access-2025-11-26"));
        assert_eq!(elsewhere, None, "{text}");
    }
}

/// Somebody changes rows.
type Change = fn(&mut Vec<Row<'_>>);

#[test]
fn rows_that_were_changed_with_every_checksum_made_anew_are_named() {
    let cases: [(&str, Change, &str); 12] = [
        (
            "a time",
            |all| {
                let row = at(all, 7);
                all[row].at += 1;
            },
            "row 7: altered",
        ),
        (
            "a path",
            |all| {
                let row = at(all, 2);
                all[row].path = Some("/other");
            },
            "row 2: altered",
        ),
        (
            "a user",
            |all| {
                let row = at(all, 3);
                all[row].user = Some("pupil02");
            },
            "row 3: altered",
        ),
        (
            "a host",
            |all| {
                let row = at(all, 3);
                all[row].host = "other.test";
            },
            "row 3: altered",
        ),
        (
            "a verdict",
            |all| {
                let row = at(all, 0);
                all[row].verdict = "allow";
            },
            "row 0: altered",
        ),
        (
            "a lock",
            |all| {
                let row = at(all, 0);
                all[row].locked ^= true;
            },
            "row 0: altered",
        ),
        (
            "an id",
            |all| {
                let row = at(all, 9);
                all[row].id += 1;
            },
            "row 9: altered",
        ),
        (
            "an end",
            |all| {
                all.iter_mut().for_each(|row| {
                    if let Some(ended) = row.ended.as_mut().filter(|ended| ended.place == Some(3)) {
                        ended.bytes_down += 1;
                    }
                })
            },
            "end 3: altered",
        ),
        (
            "a row gone",
            |all| {
                let row = at(all, 7);
                all.remove(row);
            },
            "row 7: missing",
        ),
        (
            "a row more",
            |all| {
                let mut row = all[4];
                row.sequence = 45;
                all.push(row);
            },
            "row 45: put in",
        ),
        (
            "a row twice",
            |all| {
                let place = at(all, 7);
                all.push(all[place]);
            },
            "row 7: put in: there are two",
        ),
        (
            "two rows swapped",
            |all| {
                let (one, other) = (at(all, 4), at(all, 6));
                (all[one].sequence, all[other].sequence) = (6, 4);
            },
            "rows 4",
        ),
    ];
    let template = made();
    for (what, change, expected) in cases {
        let state = tempfile::tempdir().unwrap();
        copy_folder(template.path(), state.path());
        rewrite(state.path(), 0, change);
        let found = problems(state.path());
        let expected = match expected {
            "rows 4" => vec!["row 4: altered", "row 6: altered"],
            one => vec![one],
        };
        all_contain(&found, &expected);
        let elsewhere = found.iter().find(|line| !line.contains("access-2025-11-26"));
        assert_eq!(elsewhere, None, "{what}");
    }
    // Written anew as it was, the file says the same.
    let state = tempfile::tempdir().unwrap();
    copy_folder(template.path(), state.path());
    rewrite(state.path(), 0, |all| all.reverse());
    assert_eq!(problems(state.path()), [] as [String; 0]);
}

#[test]
fn what_was_changed_in_sealed_sums_is_named() {
    let cases = [
        ("UPDATE rollup_hour SET requests = requests + 1", "rollup_hour does not say"),
        ("DELETE FROM rollup_site", "rollup_site does not say"),
        (
            "UPDATE batch SET record = replace(record, '\"ends\"', '\"endz\"')",
            "its record was altered",
        ),
        ("DELETE FROM batch", "missing: no day's file has them"),
        ("UPDATE meta SET value = zeroblob(32) WHERE key = 'secret'", "rows 0 to"),
        ("UPDATE meta SET value = '2025-11-27' WHERE key = 'day'", "it says that it is of"),
        ("UPDATE meta SET value = 1 WHERE key = 'max_id'", "was altered"),
        ("UPDATE meta SET value = 99 WHERE key = 'ends'", "was altered"),
        ("UPDATE meta SET value = 44 WHERE key = 'sealed_rows'", "it has 45 rows"),
        ("UPDATE meta SET value = 44 WHERE key = 'next_sequence'", "that 44 is next"),
        ("DELETE FROM person", "it lacks"),
        ("UPDATE site SET name = 'other.test'", "the site of host"),
        ("DROP TRIGGER batch_is_append_only_update", "was removed"),
    ];
    let template = made();
    for (statement, expected) in cases {
        let state = tempfile::tempdir().unwrap();
        copy_folder(template.path(), state.path());
        match statement.starts_with("DROP") {
            true => plain_sql(&file(state.path(), 0, "sums.db"), statement),
            false => sql(&file(state.path(), 0, "sums.db"), &[statement]),
        }
        let found = problems(state.path());
        assert!(!found.is_empty(), "{statement}");
        all_contain(&found, &[expected]);
        let is_here = |line: &&String| line.contains("2025-11-26") || line.contains(expected);
        let elsewhere = found.iter().find(|line| !is_here(line));
        assert_eq!(elsewhere, None, "{statement}");
    }
}

fn plain_sql(file: &Path, statement: &str) {
    use sqlx::{ConnectOptions, Connection};
    wait(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut db = options.connect().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    });
}

#[test]
fn sealed_files_that_are_gone_are_named() {
    let gone = |endings: &[&str]| {
        let state = made();
        for ending in endings {
            std::fs::remove_file(file(state.path(), 0, ending)).unwrap();
        }
        problems(state.path())
    };
    all_contain(&gone(&["parquet"]), &["access-2025-11-26.parquet, the file: it cannot be read"]);
    all_contain(
        &gone(&["sums.db"]),
        &[
            "access-2025-11-26.parquet: the rows of a sealed day whose sums",
            "the whole day is missing",
        ],
    );
    all_contain(&gone(&["sums.db", "parquet"]), &["the whole day is missing", "batch"]);
}

#[test]
fn a_day_that_was_altered_before_is_not_sealed() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    small(state);
    let path = day_file(state, 0);
    sql(&path, &["UPDATE access SET path = '/other' WHERE sequence = 2"]);
    let refused = wait(seal_days(state, None, LATER, || false, |_| {})).unwrap_err();
    assert!(matches!(refused, SealError::Misproved { .. }), "{refused}");
    assert!(path.exists() && !file(state, 0, "parquet").exists());
    all_contain(&problems(state), &["access-2025-11-26.db, row 2: altered"]);
    // So is one whose batch was made anew over the changed rows.
    let refused = refused.to_string();
    assert!(refused.contains("batch 0 does not prove its rows"), "{refused}");
}

#[test]
fn rows_that_a_kill_left_without_a_batch_get_one_before_their_day_is_sealed() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    change(state, &["one"]);
    record(state, 0, 20);
    record_late_ends(state, 0, 3);
    sql(&day_file(state, 0), &["DELETE FROM batch"]);
    std::fs::remove_dir_all(state.join("audit")).unwrap();
    assert_eq!(looked(state, &[]).rows, 0);
    assert_eq!(seal(state).len(), 1);
    sign(state);
    let report = looked(state, &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    assert_eq!((report.rows, report.ends >= 3), (23, true));
}

#[test]
fn a_tree_and_its_note_are_made_again_from_sealed_days() {
    let template = tempfile::tempdir().unwrap();
    small(template.path());
    seal(template.path());
    record(template.path(), 1, 8);
    for gone in [&["access.json"][..], &["access.tree"], &["access.json", "access.tree"]] {
        let state = tempfile::tempdir().unwrap();
        copy_folder(template.path(), state.path());
        for name in gone {
            std::fs::remove_file(state.path().join("audit").join(name)).unwrap();
        }
        record(state.path(), 2, 10);
        sign(state.path());
        let report = looked(state.path(), &[]);
        assert_eq!(lines(&report), [] as [String; 0], "{gone:?}");
        assert_eq!(report.rows, rows(state.path()).len() as u64);
    }
}

#[test]
fn a_backup_holds_sealed_days_and_what_is_restored_is_whole() {
    use ledger::backup::{Backup, FolderSink, restore, verify};
    let folder = tempfile::tempdir().unwrap();
    let [state, to, scratch, other] =
        ["state", "backup", "scratch", "other"].map(|name| folder.path().join(name));
    small(&state);
    seal(&state);
    record(&state, 0, 6);
    record(&state, 2, 6);
    sign(&state);
    // What an attempt that was stopped leaves: no part of a backup.
    let access = state.join("access");
    std::fs::create_dir(access.join("access-2025-11-28.sorting")).unwrap();
    for name in [
        "access-2025-11-28.sorting/stretch-00000",
        "access-2025-11-28.parquet.new",
        "access-2025-11-28.sums.new",
        "access-2025-11-28.sums.new-journal",
        "access-2025-11-28.parquet",
        "seal-2025-11-28.asked",
    ] {
        std::fs::write(access.join(name), "half of it").unwrap();
    }
    std::fs::create_dir(&scratch).unwrap();
    let mut sink = FolderSink(to.clone());
    let mut backup = Backup::new(&state, &scratch, &mut sink);
    wait(backup.take_state()).unwrap();
    backup.finish(NOW.0, "0.1.0", "Test Academy").unwrap();
    let (manifest, _) = verify(&to).unwrap();
    let mut names: Vec<&str> = manifest
        .files
        .iter()
        .filter_map(|file| file.name.strip_prefix("state/access/access-2025-11-"))
        .collect();
    names.sort_unstable();
    let expected = ["26.2.db", "26.parquet", "26.sums.db", "27.parquet", "27.sums.db", "28.db"];
    assert_eq!(names, expected);
    restore(&to, &manifest, &other).unwrap();
    assert_eq!(rows(&other), rows(&state));
    let public = std::fs::read_to_string(state.join("audit/key.pub")).unwrap();
    let options = ledger::evidence::verify::Options {
        public: Some(public.trim().to_owned()),
        ..Default::default()
    };
    let report = wait(ledger::evidence::verify::verify(&other, &options, &mut |_| {})).unwrap();
    let found = lines(&report);
    // Keys are in no backup.
    assert!(found.iter().all(|line| line.starts_with("audit/key.pub")), "{found:#?}");
    assert_eq!(report.rows, rows(&state).len() as u64);
}

/// Puts another number in the place of `old` in the footer of a day's file, with a checksum that fits, as somebody
/// who knows how would.
fn change_footer(state: &Path, day: i64, old: i64, new: i64) {
    let path = file(state, day, "parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    let tail = bytes.len() - 8;
    let length = u32::from_le_bytes(*bytes[tail..].first_chunk::<4>().unwrap()) as usize;
    let start = tail - length;
    let found: Vec<usize> =
        (start..tail - 8).filter(|at| bytes[*at..*at + 8] == old.to_le_bytes()).collect();
    assert!(!found.is_empty(), "the footer has no {old}");
    for at in found {
        bytes[at..at + 8].copy_from_slice(&new.to_le_bytes());
    }
    let sum = crc32fast::hash(&bytes[start..tail]);
    assert_eq!(&bytes[start - 8..start - 4], b"SGF1");
    bytes[start - 4..start].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(path, bytes).unwrap();
    note_anew(state, day);
}

#[test]
fn a_footer_that_hides_rows_from_a_search_is_found() {
    let made = made();
    let state = made.path();
    let of_day = |row: &ledger::query::AccessRow| row.at.0 < NOW.0 + crate::log::DAY_MS / 2;
    let all: Vec<_> = rows(state).into_iter().filter(of_day).collect();
    let (first, last) = (
        all.iter().map(|row| row.at.0).min().unwrap(),
        all.iter().map(|row| row.at.0).max().unwrap(),
    );
    // All rows are said to have been read later than they were.
    change_footer(state, 0, first, last + 1);
    change_footer(state, 0, last, last + 2);
    let filter = ledger::query::Filter {
        until: Some(UnixMillis(last + 1)),
        ..ledger::query::Filter::default()
    };
    let mut log = ledger::query::AccessLog::new(state);
    let order = ledger::query::Order::OldestFirst;
    let page = wait(log.page(&filter, order, None, 1000)).unwrap();
    assert!(page.rows.is_empty(), "else the test changes nothing that a search goes by");
    all_contain(&problems(state), &["row group 0: what it says of its column \"at\""]);
}

#[test]
fn a_part_that_was_put_in_is_found_whatever_it_says_of_itself() {
    let made = made();
    let state = made.path();
    // A file of before proofs, of the same day, as a later part; what it holds is asked with the others.
    let other = tempfile::tempdir().unwrap();
    record(other.path(), 0, 7);
    let forged = day_file(other.path(), 0);
    crate::restarts::older(&forged);
    let put_in = file(state, 0, "2.db");
    std::fs::copy(&forged, &put_in).unwrap();
    all_contain(
        &problems(state),
        &["access-2025-11-26.2.db: it begins with row 0 and end 0, where"],
    );
    std::fs::rename(&put_in, file(state, 0, "3.db")).unwrap();
    all_contain(&problems(state), &["it is part 3 of its day, and part 2 is missing"]);
    std::fs::remove_file(file(state, 0, "3.db")).unwrap();
    assert_eq!(problems(state), [] as [String; 0]);
    // As a day of its own, after days that were proved.
    let later = tempfile::tempdir().unwrap();
    record(later.path(), 4, 7);
    let forged = day_file(later.path(), 4);
    crate::restarts::older(&forged);
    std::fs::copy(&forged, day_file(state, 4)).unwrap();
    all_contain(
        &problems(state),
        &["recorded before the log was proved, and 2025-11-26 was proved"],
    );
}
