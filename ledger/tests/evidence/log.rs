//! A small log with everything in it that is proved.

use crate::sample::{NOW, WORDS, allowed, blocked, context, sign as found, start, tunnel, wait};
use ledger::changes::{ACTOR_DAEMON, ChangeLog};
use ledger::evidence::note::Checkpoint;
use ledger::evidence::places;
use ledger::evidence::signer::Signer;
use ledger::evidence::verify::{Options, Report, verify};
use ledger::ingest::durable_head;
use ledger::journal::refused;
use ledger::record::{Depth, End};
use rules::change::Event;
use rules::time::UnixMillis;
use std::path::Path;

pub(crate) const DAY_MS: i64 = 86_400_000;

/// Records `count` accesses of the day `day` days after [`NOW`]: refusals, pages, tunnels whose ends
/// come by themselves; one in eight with the words of a search, some with signs.
pub(crate) fn record(state: &Path, day: i64, count: usize) {
    record_some(state, day, count, true);
}

/// As [`record`], without words and signs.
pub(crate) fn record_bare(state: &Path, day: i64, count: usize) {
    record_some(state, day, count, false);
}

fn record_some(state: &Path, day: i64, count: usize, notes: bool) {
    // Whoever records has a change log.
    change(state, &[]);
    let writer = start(state);
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let at = UnixMillis(NOW.0 + day * DAY_MS);
    for turn in 0..count {
        let id = journal.next_id(at);
        let at = UnixMillis(at.0 + turn as i64);
        match turn % 4 {
            0 => {
                let mut decided = blocked(&context, id, at);
                if turn % 8 == 4 {
                    decided.user = None;
                }
                journal.refuse(&decided, refused(403, 900, 1234)).unwrap();
            }
            1 => {
                let open = journal.decide(&tunnel(&context, id, at)).unwrap();
                journal.flush();
                open.count_up(300);
                open.count_down(5000 + turn as u64);
                open.set_depth(Depth::Page);
                if notes && turn % 8 == 5 {
                    open.add_sign(found(turn as u16));
                }
                open.finish(if turn % 16 == 1 { End::Rejected } else { End::Complete });
            }
            _ => {
                let mut decided = allowed(&context, id, at);
                decided.words = (notes && turn % 8 == 2).then_some(WORDS);
                let signs = [found(turn as u16)];
                decided.signs = if notes && turn % 16 < 4 { &signs } else { &[] };
                let open = journal.decide(&decided).unwrap();
                open.count_down(7);
                open.finish(End::Complete);
            }
        }
    }
    drop(journal);
    writer.stop();
}

/// One tunnel at a time, stored before it ends, so that its end comes by itself for certain.
pub(crate) fn record_late_ends(state: &Path, day: i64, count: usize) {
    change(state, &[]);
    let writer = start(state);
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let at = UnixMillis(NOW.0 + day * DAY_MS);
    let open: Vec<_> = (0..count)
        .map(|_| journal.decide(&tunnel(&context, journal.next_id(at), at)).unwrap())
        .collect();
    let patience = std::time::Duration::from_secs(5);
    assert!(wait(ledger::query::wait_until_stored(state, patience)).unwrap());
    for (turn, open) in (0..).zip(open) {
        if turn % 2 == 0 {
            open.add_sign(found(turn));
        }
        open.count_up(1);
        open.finish(End::Complete);
    }
    drop(journal);
    writer.stop();
}

/// Signs a checkpoint over everything.
pub(crate) fn sign(state: &Path) -> (Checkpoint, String) {
    let access = durable_head(state).unwrap().unwrap();
    wait(async {
        let log = ChangeLog::open(state).await.unwrap();
        let signer = Signer::open(state, &log, Some("school.example/log"), "x", NOW).await.unwrap();
        let event = Event::AccessCovered { access };
        let signed = signer.sign(&log, NOW, ACTOR_DAEMON, event).await.unwrap();
        (signed.checkpoint, signed.note)
    })
}

/// Adds entries to the change log.
pub(crate) fn change(state: &Path, texts: &[&str]) {
    wait(async {
        let log = ChangeLog::open(state).await.unwrap();
        for text in texts {
            let event = Event::ActionRefused { action: "try".to_owned(), why: (*text).to_owned() };
            log.append(NOW, "j.cho", event).await.unwrap();
        }
    });
}

/// Two days, some changes, three checkpoints.
pub(crate) fn small(state: &Path) {
    change(state, &["one", "two"]);
    record(state, 0, 40);
    record_late_ends(state, 0, 5);
    sign(state);
    change(state, &["three"]);
    record(state, 1, 40);
    sign(state);
    change(state, &["four", "five"]);
    record_late_ends(state, 1, 20);
    sign(state);
}

pub(crate) fn looked(state: &Path, against: &[&str]) -> Report {
    let against = against.iter().map(|text| ("kept".to_owned(), (*text).to_owned())).collect();
    let options = Options { against, ..Options::default() };
    wait(verify(state, &options, &mut |_| {})).unwrap()
}

/// What `verify` finds, a line for each problem.
pub(crate) fn problems(state: &Path) -> Vec<String> {
    lines(&looked(state, &[]))
}

pub(crate) fn lines(report: &Report) -> Vec<String> {
    let line = |problem: &ledger::evidence::verify::Problem| {
        format!("{}, {}: {}", problem.log, problem.place, problem.what)
    };
    report.problems.iter().map(line).collect()
}

/// The text of all own checkpoints.
pub(crate) fn checkpoints(state: &Path) -> String {
    std::fs::read_to_string(places::checkpoints(state)).unwrap()
}

/// Runs SQL on a file as an administrator of the machine can, append-only rules taken away first and
/// put back after.
pub(crate) fn sql(file: &Path, statements: &[&str]) {
    use sqlx::{ConnectOptions, Connection, Row};
    wait(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut db = options.connect().await.unwrap();
        let triggers =
            sqlx::query("SELECT name, sql, tbl_name FROM sqlite_master WHERE type = 'trigger'");
        let triggers: Vec<(String, String, String)> = triggers
            .fetch_all(&mut db)
            .await
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1), row.get(2)))
            .collect();
        let run = |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        for (name, ..) in &triggers {
            run(format!("DROP TRIGGER {name}")).execute(&mut db).await.unwrap();
        }
        for statement in statements {
            run((*statement).to_owned()).execute(&mut db).await.unwrap();
        }
        for (_, text, table) in &triggers {
            let there = sqlx::query("SELECT 1 FROM sqlite_master WHERE name = ?").bind(table);
            if there.fetch_optional(&mut db).await.unwrap().is_some() {
                run(text.clone()).execute(&mut db).await.unwrap();
            }
        }
        run("PRAGMA wal_checkpoint(TRUNCATE)".to_owned()).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    });
}

/// The file of the day `day` days after [`NOW`].
pub(crate) fn day_file(state: &Path, day: i64) -> std::path::PathBuf {
    state.join(format!("access/access-2025-11-{}.db", 26 + day))
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    // A connection that is still closing moves its log into the file: a copy made meanwhile has neither.
    let is_closing = || {
        std::fs::read_dir(from).unwrap().any(|entry| {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            name.ends_with("-wal") || name.ends_with("-shm") || name.ends_with("-journal")
        })
    };
    let began = std::time::Instant::now();
    while is_closing() && began.elapsed() < std::time::Duration::from_secs(5) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            // SQLite takes its own small files away as the last connection goes.
            false => match std::fs::copy(entry.path(), target) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            },
        }
    }
}
