//! The power is cut while the whole program serves: at any moment, with anything gone that was not
//! synced. What is left starts again by itself, and holds what was promised.

use crate::client::Client;
use crate::crash::{Random, Recording, can_trace, full, micros, recording};
use crate::daemon::{Daemon, KS2, Plan, STAFF, alone, get_ready, run_under, spawn, traced};
use ledger::changes::ChangeLog;
use ledger::ingest::recover;
use ledger::query::{AccessLog, AccessRow, Filter, Order};
use rules::change::{ChangeEntry, Event};
use rustix::process::{Signal, kill_process};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds that may be lost: less than usual, so that a short run has many syncs.
const SYNC_INTERVAL_MS: u64 = 200;

/// What a busy machine may add to a sync's turn, in microseconds.
const SLACK: u64 = 100_000;

/// What a person was told, and when.
#[derive(Default)]
struct Told {
    /// Path of a request that was answered.
    answered: Vec<(u64, String)>,
    /// Site of a block that was made.
    blocked: Vec<(u64, String)>,
}

#[test]
fn a_power_cut_loses_nothing_older_than_promised_and_no_acknowledged_change() {
    let _alone = alone();
    if !can_trace() {
        eprintln!("skipped: strace is missing or may not trace here");
        return;
    }
    let mut random = Random::seeded("power cuts");
    let logs = tempfile::tempdir().unwrap();
    let log = |name: &str| logs.path().join(name);
    let plan = Plan {
        machine: format!("[log]\nsync_interval_ms = {SYNC_INTERVAL_MS}\n"),
        under: recording(&log("serve-1")),
        ..Plan::default()
    };
    let mut daemon = Daemon::start_with(&plan);
    // Recorded as well: what is not would be missing from the disk that is made of the recordings.
    for verb in ["setup", "login"] {
        let under = recording(&log(verb));
        run_under(&under, daemon.folder(), &[verb, "j.cho"], "a good pass phrase\n").ok();
    }
    let mut told = Told::default();
    let commands = browse(&daemon, Duration::from_millis(1500), logs.path(), &mut told, 0);
    // An orderly stop removes journals; a second life is killed.
    assert_eq!(daemon.stop(), Some(0));
    daemon.under = recording(&log("serve-2"));
    daemon.start_again();
    let more = browse(&daemon, Duration::from_millis(1000), logs.path(), &mut told, commands);
    daemon.kill();
    let mut files = ["serve-1", "serve-2", "setup", "login"].map(log).to_vec();
    files.extend((0..more).map(|number| log(&format!("command-{number}"))));
    let recording = Recording::read(&files, daemon.folder(), &daemon.folder().join("state"));
    assert!(told.answered.len() > 100, "{} answers: hardly a load", told.answered.len());
    assert!(told.blocked.len() > 3, "{} changes", told.blocked.len());

    let cuts = recording.cuts(if full() { 200 } else { 14 }, &mut random);
    let (mut worst, mut lost, mut states) = (0, 0, 0);
    recording.replay(&cuts, |at, disk| {
        let found = copy_of_school(daemon.folder());
        disk.write_state(&found.path().join("state"), &mut random);
        states += 1;
        let paths = paths_in(&found.path().join("state"));
        for (when, path) in told.answered.iter().filter(|(when, _)| *when <= at) {
            if !paths.contains(path) {
                lost += 1;
                worst = worst.max(at - when);
            }
        }
        let blocked = blocked_in(&found.path().join("state"));
        for (_, site) in told.blocked.iter().filter(|(when, _)| *when <= at) {
            assert!(blocked.contains(site), "{site} was said to be blocked: {blocked:?}");
        }
        if states % 7 == 3 {
            serves_again(&daemon, found.path(), &paths);
        }
    });
    // `strace` makes a slower disk, which costs its round of syncs and that of the one before.
    let round = recording.longest_round();
    let promised = SYNC_INTERVAL_MS * 1000 + 2 * round.saturating_sub(SYNC_INTERVAL_MS * 250);
    eprintln!(
        "{} answers, {} changes, {states} cuts; lost in all {lost}, the oldest {worst} us before the \
         cut; longest round of syncs {round} us",
        told.answered.len(),
        told.blocked.len(),
    );
    assert!(worst <= promised + SLACK, "{worst} us, promised {promised}");
}

/// Clients browse and a technician blocks sites; gives how many commands were recorded so far.
fn browse(daemon: &Daemon, for_: Duration, logs: &Path, told: &mut Told, commands: usize) -> usize {
    let (over, answered) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let mut number = commands;
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (over, answered) = (&over, &answered);
            scope.spawn(move || {
                let (from, host) =
                    if worker == 0 { (STAFF, "library.test") } else { (KS2, "casino.test") };
                let mut client = Client::connect_from(from, daemon.proxy);
                let mut turn = 0;
                while !over.load(Ordering::Relaxed) {
                    let path = format!("/echo/{commands}-{worker}-{turn}");
                    turn += 1;
                    let Ok(answer) = client.try_ask("GET", &daemon.url(host, &path), &[]) else {
                        return;
                    };
                    assert!([200, 403, 404].contains(&answer.status), "{answer:?}");
                    answered.lock().unwrap().push((micros(), path));
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        }
        let began = Instant::now();
        while began.elapsed() < for_ {
            let site = format!("site-{number}.test");
            let under = recording(&logs.join(format!("command-{number}")));
            let block = ["block", &site, "--for", "ks2", "--reason", "A test of a power cut"];
            let by = ["--by", "j.cho", "--yes"];
            let made = run_under(&under, daemon.folder(), &[&block[..], &by].concat(), "");
            assert_eq!(made.code, 0, "{made:?}");
            told.blocked.push((micros(), site));
            number += 1;
        }
        over.store(true, Ordering::Relaxed);
    });
    told.answered.extend(answered.into_inner().unwrap());
    number
}

/// The school's own files, without its state.
fn copy_of_school(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

/// Recovers and gives the paths of all records; each record has a code of its own.
pub(crate) fn paths_in(state: &Path) -> BTreeSet<String> {
    recover(state).unwrap().unwrap();
    let rows = rows_in(state);
    let codes: BTreeSet<u64> = rows.iter().map(|row| row.id.0).collect();
    assert_eq!(codes.len(), rows.len(), "a code stands twice");
    rows.into_iter().filter_map(|row| row.path).collect()
}

/// All records of a state.
pub(crate) fn rows_in(state: &Path) -> Vec<AccessRow> {
    let mut log = AccessLog::new(state);
    let all = Filter::default();
    wait(log.page(&all, Order::OldestFirst, None, usize::MAX >> 1)).unwrap().rows
}

/// Sites that the change log says were blocked; none where there is no log yet.
fn blocked_in(state: &Path) -> BTreeSet<String> {
    if !state.is_dir() {
        return BTreeSet::new();
    }
    let entries = wait(async {
        let log = ChangeLog::open(state).await.unwrap();
        log.entries_of(&["site_blocked"]).await.unwrap()
    });
    let site = |entry: ChangeEntry| match entry.event {
        Event::SiteBlocked { site, .. } => Some(site),
        _ => None,
    };
    entries.into_iter().filter_map(site).collect()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The filter starts on what is left, decides as before, and has lost nothing by starting.
fn serves_again(daemon: &Daemon, folder: &Path, before: &BTreeSet<String>) {
    let mut child = spawn(folder, &[], false);
    let began = Instant::now();
    while !get_ready(daemon.ops).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
        let said = || std::fs::read_to_string(folder.join("serve.log")).unwrap();
        assert!(child.try_wait().unwrap().is_none(), "ended: {}", said());
        assert!(began.elapsed() < Duration::from_secs(20), "not ready: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(daemon.get_from(STAFF, &daemon.url("library.test", "/size/1")).status, 200);
    assert_eq!(daemon.get_from(KS2, &daemon.url("casino.test", "/")).status, 403);
    kill_process(traced(child.id(), false).unwrap(), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(paths_in(&folder.join("state")).is_superset(before));
}
