//! The n-th write, sync, open or rename of the whole program fails. Nobody is answered without a
//! record, and what was answered is in the log; the filter goes on, or says why it does not start.

use crate::client::Client;
use crate::crash::{Random, can_trace, failing, full, was_failed};
use crate::daemon::{Daemon, HOSTS, KS2, Plan, STAFF, get_ready, spawn, traced, write_school};
use crate::fake_origin::Origin;
use crate::power_cut::rows_in;
use ledger::ingest::recover;
use ledger::query::AccessRow;
use rules::decide::Verdict;
use rustix::process::{Signal, kill_process};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const KINDS: [(&str, &str); 6] = [
    ("pwrite64", "ENOSPC"),
    ("fsync,fdatasync", "EIO"),
    ("openat", "EIO"),
    ("rename", "EIO"),
    ("ftruncate", "EIO"),
    ("mkdir", "ENOSPC"),
];

/// More calls than a run makes, and the most that `strace` counts to.
const MOST: u64 = 65_535;

#[test]
fn a_call_that_fails_leaves_no_answer_without_its_record() {
    if !can_trace() {
        eprintln!("skipped: strace is missing or may not trace here");
        return;
    }
    let mut random = Random::seeded("failed calls of the program");
    let mut school = School::new();
    let mut runs = 0;
    for kind in KINDS {
        let mut nth = if full() { 1 } else { 1 + random.below(12) };
        loop {
            runs += 1;
            // The first calls one by one; of the many that follow, one here and there.
            let was_failed = school.run(kind, nth);
            if !was_failed || !full() {
                break;
            }
            nth += 1 + if nth > 60 { random.below(nth / 4) } else { 0 };
            assert!(nth < MOST, "{kind:?}: never untouched");
        }
        eprintln!("{kind:?}: up to call {nth}");
    }
    eprintln!("{runs} runs");
}

/// A school whose state is new in each run.
struct School {
    origin: Origin,
    proxy: SocketAddr,
    ops: SocketAddr,
}

impl School {
    fn new() -> Self {
        // Only for its ports and its origin.
        let local = || SocketAddr::from(([127, 0, 0, 1], crate::daemon::free_port()));
        Self { origin: Origin::start(&HOSTS), proxy: local(), ops: local() }
    }

    /// Runs with the `nth` call failed; `false`: there was none.
    fn run(&mut self, (calls, error): (&str, &str), nth: u64) -> bool {
        let which = format!("{calls} {error}, call {nth}");
        let folder = tempfile::Builder::new().prefix("schoolgate-test").tempdir().unwrap();
        let folder = folder.path();
        write_school(folder, &Plan::default(), self.proxy, self.ops, &self.origin);
        let log = folder.join("strace.log");
        let mut child = spawn(folder, &failing(calls, error, nth, None, &log), false);
        let said = || std::fs::read_to_string(folder.join("serve.log")).unwrap_or_default();
        let mut answered = Vec::new();
        if self.is_ready(&mut child) {
            for turn in 0..30 {
                let (from, host) =
                    if turn % 3 == 0 { (KS2, "casino.test") } else { (STAFF, "library.test") };
                let path = format!("/echo/{turn}");
                let url = format!("http://{host}:{}{path}", self.origin.http.port());
                let Ok(mut client) = Client::try_connect_from(from, self.proxy) else { continue };
                let Ok(answer) = client.try_ask("GET", &url, &[]) else { continue };
                match answer.status {
                    503 => {}
                    status => answered.push((path, status)),
                }
            }
            // It is still there, and serves.
            let began = Instant::now();
            while !get_ready(self.ops).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                assert!(began.elapsed() < Duration::from_secs(15), "{which}: {}", said());
                std::thread::sleep(Duration::from_millis(50));
            }
            assert!(answered.len() > 10, "{which}: {} answers: {}", answered.len(), said());
            kill_process(traced(child.id(), true).unwrap(), Signal::TERM).unwrap();
        } else {
            assert!(said().contains("error"), "{which}: it ended without a word: {}", said());
        }
        child.wait().unwrap();
        assert!(!said().contains("panicked at"), "{which}: {}", said());
        // What started once starts again, and nothing answered is missing.
        let state = folder.join("state");
        if state.is_dir() {
            recover(&state).unwrap().unwrap();
        }
        let rows = rows_in(&state);
        for (path, status) in &answered {
            let verdict = if *status == 403 { Verdict::Block } else { Verdict::Allow };
            let is_it = |row: &&AccessRow| {
                row.path.as_deref() == Some(path.as_str()) && row.verdict == verdict
            };
            let found = rows.iter().filter(is_it).count();
            assert_eq!(found, 1, "{which}: {path} was answered {status}: {}", said());
        }
        was_failed(&log)
    }

    fn is_ready(&self, child: &mut std::process::Child) -> bool {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            if get_ready(self.ops).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return true;
            }
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("neither ready nor ended within 20 s");
    }
}

#[test]
fn the_daemon_of_these_tests_is_found_behind_strace() {
    if !can_trace() {
        eprintln!("skipped: strace is missing or may not trace here");
        return;
    }
    let logs = tempfile::tempdir().unwrap();
    let under = failing("fsync", "EIO", MOST, None, &logs.path().join("log"));
    let mut daemon = Daemon::start_with(&Plan { under, ..Plan::default() });
    let name = format!("/proc/{}/comm", daemon.pid().as_raw_nonzero());
    assert_eq!(std::fs::read_to_string(name).unwrap().trim(), "schoolgate");
    assert_eq!(daemon.stop(), Some(0));
}
