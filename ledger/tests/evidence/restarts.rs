//! Starts after a kill at any point, after a power cut, and over a day of an older version.

use crate::log::{
    change, copy_folder, day_file, lines, looked, problems, record, record_bare, record_late_ends,
    sign, small, sql,
};
use crate::sample::{NOW, allowed, context, rows, settings, tunnel};
use ledger::ingest::{Writer, recover};
use ledger::journal::JournalSettings;
use ledger::record::End;
use rules::time::UnixMillis;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const STATE: &str = "LEDGER_EVIDENCE_STATE";
const SEALS: &str = "LEDGER_EVIDENCE_SEALS";

#[test]
fn a_tree_that_is_behind_ahead_damaged_or_gone_is_made_again() {
    let template = tempfile::tempdir().unwrap();
    small(template.path());
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 6] = [
        ("behind", |audit| {
            let file = std::fs::OpenOptions::new().write(true).open(audit.join("access.tree"));
            file.unwrap().set_len(32).unwrap();
        }),
        ("torn", |audit| {
            let file = std::fs::OpenOptions::new().write(true).open(audit.join("access.tree"));
            file.unwrap().set_len(50).unwrap();
        }),
        ("ahead", |audit| {
            let mut bytes = std::fs::read(audit.join("access.tree")).unwrap();
            bytes.extend([7; 32 * 5]);
            std::fs::write(audit.join("access.tree"), bytes).unwrap();
        }),
        ("gone", |audit| std::fs::remove_file(audit.join("access.tree")).unwrap()),
        ("its note gone", |audit| std::fs::remove_file(audit.join("access.json")).unwrap()),
        ("its note torn", |audit| std::fs::write(audit.join("access.json"), "{\"dur").unwrap()),
    ];
    for (what, damage) in damages {
        let state = tempfile::tempdir().unwrap();
        copy_folder(template.path(), state.path());
        damage(&state.path().join("audit"));
        record(state.path(), 1, 10);
        record(state.path(), 2, 10);
        sign(state.path());
        assert_eq!(problems(state.path()), [] as [String; 0], "{what}");
    }
}

/// Not a test of its own: the process that is killed.
#[test]
fn killed_process() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let journal =
        JournalSettings { segment_bytes: 20_000, sync_interval_ms: 20, ..settings().journal };
    let seal = match std::env::var_os(SEALS) {
        Some(_) => ledger::seal::Settings { grace_ms: 0, look_interval_ms: 30, niceness: 0 },
        None => settings().seal,
    };
    let writer =
        Writer::start(Path::new(&state), ledger::ingest::Settings { journal, seal, ..settings() });
    let writer = writer.unwrap();
    let heads = writer.heads();
    std::thread::spawn(move || {
        loop {
            // Batches and durable trees are made all the time.
            if heads.ask(Duration::from_secs(5)).is_none() {
                return;
            }
        }
    });
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let mut open = std::collections::VecDeque::new();
    for turn in 0i64.. {
        // Between two of its days nothing is open for a while, so that they can be sealed.
        if turn % 300 == 0 && std::env::var_os(SEALS).is_some() {
            open.drain(..)
                .for_each(|pending: ledger::journal::Pending| pending.finish(End::Complete));
            journal.flush();
            // A record that comes for a day takes it back from being sealed.
            let began = std::time::Instant::now();
            while open_parts(Path::new(&state)) > 0 && began.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let at = UnixMillis(NOW.0 + turn / 300 % 2 * crate::log::DAY_MS);
        let id = journal.next_id(at);
        let decided = match turn % 2 {
            0 => tunnel(&context, id, at),
            _ => allowed(&context, id, at),
        };
        open.push_back(journal.decide(&decided).unwrap());
        if open.len() > 30
            && let Some(pending) = open.pop_front()
        {
            pending.finish(End::Complete);
        }
        if turn % 32 == 0 {
            journal.flush();
            std::thread::sleep(Duration::from_micros(300));
        }
    }
}

#[test]
fn kills_at_random_moments_leave_a_log_that_is_whole() {
    let state = tempfile::tempdir().unwrap();
    change(state.path(), &["one"]);
    let mut last = 0;
    for round in 0..20u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "restarts::killed_process"])
            .env(STATE, state.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + round * 37 % 240));
        child.kill().unwrap();
        child.wait().unwrap();
        if round % 2 == 0 {
            recover(state.path()).unwrap().unwrap();
        }
        if round % 5 == 4 {
            sign(state.path());
        }
        let report = looked(state.path(), &[]);
        assert_eq!(lines(&report), [] as [String; 0], "round {round}");
        assert!(report.batches >= last);
        last = report.batches;
    }
    assert!(last > 20, "only {last} batches");
    assert_eq!(looked(state.path(), &[]).rows, rows(state.path()).len() as u64);
}

fn open_parts(state: &Path) -> usize {
    let parts = ledger::parts::parts(&state.join("access")).unwrap();
    parts.iter().filter(|part| !part.sealed).count()
}

fn sealed_parts(state: &Path) -> usize {
    let parts = ledger::parts::parts(&state.join("access")).unwrap();
    parts.iter().filter(|part| part.sealed).count()
}

/// Each day gets rows again and again while it is sealed, so that it has many parts.
#[test]
fn kills_while_days_are_sealed_leave_a_log_that_is_whole() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    change(state, &["one"]);
    for round in 0..4u64 {
        let before = sealed_parts(state);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "restarts::killed_process"])
            .env(STATE, state)
            .env(SEALS, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Killed soon after a part was sealed, when the next one is being sealed: after the one that the last
        // round left, one of this round.
        let began = std::time::Instant::now();
        while sealed_parts(state) < before + 2 && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(round * 97 % 210));
        child.kill().unwrap();
        child.wait().unwrap();
        if round % 2 == 0 {
            recover(state).unwrap().unwrap();
        }
        if round % 2 == 1 {
            sign(state);
        }
        assert_eq!(problems(state), [] as [String; 0], "round {round}");
    }
    recover(state).unwrap().unwrap();
    crate::sealed_days::seal(state);
    sign(state);
    let report = looked(state, &[]);
    assert_eq!((lines(&report), report.uncovered), (vec![], vec![]));
    let all = rows(state);
    assert_eq!(report.rows, all.len() as u64);
    let mut ids: Vec<u64> = all.iter().map(|row| row.id.0).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "no record twice");
    let parts = ledger::parts::parts(&state.join("access")).unwrap();
    assert!(parts.len() > 4 && parts.iter().all(|part| part.sealed), "{} parts", parts.len());
}

#[test]
fn batches_that_a_power_cut_took_are_made_again_under_the_same_numbers() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), 0, 20);
    sign(state.path());
    let before = tempfile::tempdir().unwrap();
    copy_folder(state.path(), before.path());
    record(state.path(), 0, 20);
    // The day's file is as it was before, the tree is not: what was written to it had reached the disk.
    for suffix in ["", "-wal", "-shm"] {
        let name = |folder: &Path| {
            let mut name = day_file(folder, 0).into_os_string();
            name.push(suffix);
            std::path::PathBuf::from(name)
        };
        let _ = std::fs::remove_file(name(state.path()));
        let _ = std::fs::copy(name(before.path()), name(state.path()));
    }
    let note = "audit/access.json";
    std::fs::copy(before.path().join(note), state.path().join(note)).unwrap();
    record(state.path(), 0, 5);
    sign(state.path());
    let report = looked(state.path(), &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    assert_eq!(report.rows, 25);
}

/// Makes a day's file one of the version before proofs.
pub(crate) fn older(file: &Path) {
    sql(
        file,
        &[
            "DROP TABLE access_note",
            "DROP TABLE end_note",
            "DROP TABLE batch",
            "ALTER TABLE access_end DROP COLUMN place",
            "DELETE FROM meta WHERE key IN ('secret', 'proved_from', 'ends', 'bookkeeping')",
            "PRAGMA user_version = 2",
        ],
    );
}

#[test]
fn a_day_of_before_proofs_is_said_to_be_uncovered_and_goes_on_with_them() {
    let state = tempfile::tempdir().unwrap();
    record_bare(state.path(), 0, 20);
    std::fs::remove_dir_all(state.path().join("audit")).unwrap();
    older(&day_file(state.path(), 0));
    let report = looked(state.path(), &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    let uncovered = report.uncovered.join("\n");
    assert!(
        uncovered.contains("access-2025-11-26.db, recorded before the log was proved"),
        "{uncovered}"
    );
    record(state.path(), 0, 20);
    record_late_ends(state.path(), 0, 3);
    sign(state.path());
    let report = looked(state.path(), &[]);
    assert_eq!(lines(&report), [] as [String; 0]);
    let uncovered = report.uncovered.join("\n");
    assert!(uncovered.contains("rows 0 to 19, recorded before the log was proved"), "{uncovered}");
    assert_eq!((report.rows, rows(state.path()).len()), (23, 43));
    sql(&day_file(state.path(), 0), &["UPDATE access SET at = 0 WHERE sequence = 25"]);
    assert!(problems(state.path()).iter().any(|line| line.contains("row 25: altered")));
}

/// Makes a day's file, whose rows say nothing besides, one of the version before words and signs.
fn before_notes(file: &Path, version: i64) {
    let version = format!("PRAGMA user_version = {version}");
    sql(file, &["DROP TABLE access_note", "DROP TABLE end_note", &version]);
}

#[test]
fn a_day_of_before_words_and_signs_is_proved_as_it_was_and_goes_on_with_them() {
    for is_sealed in [false, true] {
        let state = tempfile::tempdir().unwrap();
        let file = day_file(state.path(), 0);
        record_bare(state.path(), 0, 40);
        sign(state.path());
        before_notes(&file, 3);
        let before = rows(state.path());
        assert_eq!((before.len(), problems(state.path())), (40, vec![]));
        if is_sealed {
            assert_eq!(crate::sealed_days::seal(state.path()).len(), 1);
            assert_eq!((rows(state.path()), problems(state.path())), (before.clone(), vec![]));
        }
        record(state.path(), 0, 40);
        sign(state.path());
        assert_eq!(problems(state.path()), [] as [String; 0]);
        let after = rows(state.path());
        assert_eq!(after[..40], before);
        assert!(after[40..].iter().any(|row| row.words.is_some()));
        assert!(after[40..].iter().any(|row| !row.signs.is_empty()));
    }
}
