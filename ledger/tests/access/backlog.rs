//! Recovery of journals that need several passes: a kill while the ingest thread is far behind, and
//! days of which a part is stored already.

use crate::crash::full;
use crate::kill::{Load, run_and_kill};
use crate::sample::{NOW, blocked, context, journal_files, settings, wait};
use ledger::ingest::{Settings, Writer, recover};
use ledger::journal::{Journal, JournalSettings, Shared, refused};
use rules::code::RequestId;
use rules::time::UnixMillis;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A day of which each record is a millisecond of its own.
const DAY_MS: i64 = 86_400_000;

/// Each pass of the ingest reads 4 MiB; a refusal is about 150 bytes of journal.
const PART: u64 = 40_000;

/// What every day file must hold to: no id twice, no sequence skipped, sums that a recount of the
/// rows gives, an end for everything. Returns the ids.
pub(crate) fn checked_ids(state: &Path) -> HashSet<u64> {
    let mut all = HashSet::new();
    let mut rows = 0;
    let files = std::fs::read_dir(state.join("access")).unwrap();
    let is_day = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "db");
    for path in files.map(|entry| entry.unwrap().path()).filter(is_day) {
        let ids = wait(checked_day(&path));
        rows += ids.len();
        all.extend(ids);
    }
    assert_eq!(all.len(), rows, "an id stands in two days");
    all
}

async fn checked_day(path: &Path) -> HashSet<u64> {
    let mut connection =
        SqliteConnectOptions::new().filename(path).read_only(true).connect().await.unwrap();
    let rows = sqlx::query("SELECT sequence, id FROM access ORDER BY sequence")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    for (place, row) in rows.iter().enumerate() {
        assert_eq!(row.get::<i64, _>(0), place as i64, "sequences have no gap");
    }
    let ids: HashSet<u64> = rows.iter().map(|row| row.get::<i64, _>(1) as u64).collect();
    assert_eq!(ids.len(), rows.len(), "{} rows are stored twice", rows.len() - ids.len());
    // Each query gives what differs between the sums and a recount.
    let recounts = [
        "SELECT count(*) FROM (
           SELECT hour, verdict, sum(requests), sum(bytes_up), sum(bytes_down) FROM rollup_hour
             WHERE category = 0 GROUP BY 1, 2
           EXCEPT SELECT at / 3600000, verdict, count(*), sum(bytes_up), sum(bytes_down)
             FROM (SELECT r.at, w.verdict, r.bytes_up, r.bytes_down FROM access_row r
               JOIN access a ON a.sequence = r.sequence JOIN what w ON w.id = a.what) GROUP BY 1, 2)",
        "SELECT count(*) FROM (
           SELECT verdict, sum(requests) FROM rollup_person WHERE category = 0 GROUP BY 1
           EXCEPT SELECT w.verdict, count(*) FROM access a JOIN what w ON w.id = a.what GROUP BY 1)",
        "SELECT count(*) FROM (
           SELECT site, verdict, sum(requests) FROM rollup_site GROUP BY 1, 2
           EXCEPT SELECT h.site, w.verdict, count(*) FROM access a JOIN what w ON w.id = a.what
             JOIN host h ON h.id = w.host GROUP BY 1, 2)",
        "SELECT count(*) FROM (
           SELECT depth & 15, verdict, sum(requests) FROM rollup_depth GROUP BY 1, 2
           EXCEPT SELECT w.depth & 15, w.verdict, count(*) FROM access a JOIN what w ON w.id = a.what
             GROUP BY 1, 2)",
        "SELECT count(*) FROM access_row WHERE \"end\" IS NULL",
    ];
    for recount in recounts {
        let differing = sqlx::query(recount).fetch_one(&mut connection).await.unwrap();
        assert_eq!(differing.get::<i64, _>(0), 0, "{}: {recount}", path.display());
    }
    connection.close().await.unwrap();
    ids
}

/// Contents of the journal files, by path.
fn kept(state: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    };
    journal_files(state).into_iter().map(read).collect()
}

fn put_back(files: &BTreeMap<PathBuf, Vec<u8>>) {
    files.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
}

#[test]
fn what_is_stored_already_is_passed_over_however_many_passes_its_journals_need() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("journal");
    let shared = Shared::open(&folder, JournalSettings::default(), RequestId(0)).unwrap();
    let journals = [0, 1].map(|worker| Journal::open(&folder, worker, &shared).unwrap());
    let context = context("Europe/London");
    let mut written = HashSet::new();
    // Both journals span two days, a hundred records of one and then of the other.
    let mut write = |records: u64| {
        for turn in 0..records {
            let at = UnixMillis(NOW.0 + (turn / 100 % 2) as i64 * DAY_MS);
            for journal in &journals {
                let id = journal.next_id(at);
                journal.refuse(&blocked(&context, id, at), refused(403, 9, 1)).unwrap();
                written.insert(id.0);
            }
        }
    };
    write(PART);
    let first = kept(state.path());
    let least = first.values().map(Vec::len).min().unwrap();
    assert!(least > 5 << 20, "{least} bytes take one pass only");
    write(PART / 8);
    let whole = kept(state.path());
    drop(journals);
    put_back(&first);
    recover(state.path()).unwrap().unwrap();
    assert_eq!(journal_files(state.path()), [] as [PathBuf; 0]);
    // As if a kill had fallen between that commit and the removal: more was written, all is read.
    put_back(&whole);
    let recovered = recover(state.path()).unwrap().unwrap();
    assert_eq!(recovered.decisions, 2 * (PART / 8));
    assert_eq!(checked_ids(state.path()), written);
}

#[test]
fn kills_far_behind_lose_and_double_nothing() {
    let rounds = if full() { 50 } else { 6 };
    let state = tempfile::tempdir().unwrap();
    let mut acknowledged = HashSet::new();
    let mut largest = 0;
    for round in 0..4 * rounds {
        // On a busy machine it takes a while until a backlog was long.
        if round >= rounds && largest > 8 << 20 {
            break;
        }
        let wait = Duration::from_millis(350 + round * 7919 % 97 * 8);
        acknowledged.extend(run_and_kill(state.path(), wait, Load::Backlog));
        let left: u64 = journal_files(state.path())
            .iter()
            .map(|path| std::fs::metadata(path).unwrap().len())
            .sum();
        largest = largest.max(left);
        // Else the next child recovers, and may be killed while it does.
        if round % 3 == 2 {
            recover(state.path()).unwrap().unwrap();
            checked_ids(state.path());
        }
    }
    let recovered = recover(state.path()).unwrap().unwrap();
    assert_eq!(recovered.damage, []);
    assert!(largest > 8 << 20, "the backlog was never long: {largest} bytes");
    let stored = checked_ids(state.path());
    let missing = acknowledged.difference(&stored).count();
    assert_eq!(missing, 0, "of {} acknowledged", acknowledged.len());
    eprintln!(
        "{} acknowledged, {} rows, {largest} bytes of journal at most",
        acknowledged.len(),
        stored.len()
    );
}

/// Niceness of this process's ingest threads, by what Linux tells of each.
fn ingest_niceness() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok())
        .filter_map(|stat| {
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
            // The 19th field of all, the 17th after the name.
            (name == "ledger-ingest").then(|| rest.split(' ').nth(16)?.parse().ok())?
        })
        .collect()
}

#[test]
fn a_long_backlog_takes_the_workers_priority_and_each_record_is_stored_once() {
    let state = tempfile::tempdir().unwrap();
    let journal = JournalSettings { max_backlog_bytes: 2 << 20, ..settings().journal };
    let writer = Writer::start(state.path(), Settings { journal, ..settings() }).unwrap();
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let mut written = HashSet::new();
    for _ in 0..3 {
        // Until the bound refuses, so that the backlog is long each time; then until it is gone.
        loop {
            let id = journal.next_id(NOW);
            match journal.refuse(&blocked(&context, id, NOW), refused(403, 9, 1)) {
                Ok(()) => written.insert(id.0),
                Err(_) => break,
            };
        }
        while writer.shared().backlog_bytes() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    // It gives the priority back at its next look.
    let begun = std::time::Instant::now();
    while !ingest_niceness().contains(&10) {
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", ingest_niceness());
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(journal);
    writer.stop();
    assert_eq!(checked_ids(state.path()), written);
}
