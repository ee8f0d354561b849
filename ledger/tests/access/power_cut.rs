//! The power is cut, at any moment of a real process's life, with anything that was not synced gone.

use crate::backlog::checked_ids;
use crate::crash::{Random, Recording, can_trace, full, kill_traced, recording};
use crate::sample::wait;
use ledger::changes::ChangeLog;
use ledger::ingest::recover;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Milliseconds between two syncs in the process that is recorded.
pub(crate) const SYNC_INTERVAL_MS: u64 = 200;

/// What a busy machine may add until a thread has its turn, in microseconds.
const SLACK: u64 = 100_000;

/// Records a process of `kill::killed_process` for a while and kills it.
fn record(state: &Path, log: &Path, wait: Duration, mode: &str) {
    let words = recording(log);
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["kill::killed_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(crate::kill::STATE, state)
        .env(crate::kill::LOAD, mode)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(wait);
    kill_traced(child.id());
    child.wait().unwrap();
}

/// The numbers that the process told after `word`, with the moment of each.
fn told(recording: &Recording, word: &str) -> Vec<(u64, u64)> {
    let lines = recording.printed.iter().filter_map(|(at, bytes)| {
        let text = String::from_utf8_lossy(bytes);
        Some((*at, text.trim_end().strip_prefix(word)?.trim().parse().ok()?))
    });
    lines.collect()
}

fn cut_again_and_again(mode: &str, cuts: usize, may_lose: u64) {
    let mut random = Random::seeded(mode);
    let folder = tempfile::tempdir().unwrap();
    let (state, log) = (folder.path().join("state"), folder.path().join("strace.log"));
    record(&state, &log, Duration::from_millis(2500), mode);
    let recording = Recording::read(&[log], folder.path(), folder.path());
    let accesses = told(&recording, "acknowledged");
    let changes = told(&recording, "changed");
    assert!(accesses.len() > 300, "{} records: hardly a load", accesses.len());
    assert!(changes.len() > 5, "{} changes", changes.len());
    let (mut worst, mut lost_in_all) = (0, 0);
    let moments = recording.cuts(cuts, &mut random);
    recording.replay(&moments, |at, disk| {
        let found = tempfile::tempdir().unwrap();
        disk.write_state(found.path(), &mut random);
        let state = found.path().join("state");
        if !state.is_dir() {
            let told = accesses.iter().chain(&changes).filter(|(told, _)| *told <= at).count();
            assert_eq!(told, 0, "the whole state is gone");
            return;
        }
        let kept = checked_after_recovery(&state);
        for (told, id) in accesses.iter().filter(|(told, _)| *told <= at) {
            if !kept.contains(id) {
                lost_in_all += 1;
                worst = worst.max(at - told);
            }
        }
        let log = wait(ChangeLog::open(&state)).unwrap();
        let size = wait(log.size()).unwrap();
        let told = changes.iter().filter(|(told, _)| *told <= at).map(|(_, sequence)| sequence + 1);
        let told = told.max().unwrap_or(0);
        assert!(size >= told, "{told} changes were acknowledged, {size} are there");
    });
    // What is promised of a disk whose round of syncs takes half the interval; `strace` makes a slower
    // one, which costs its round and that of the sync before.
    let round = recording.longest_round();
    let promised = may_lose * 1000 + 2 * round.saturating_sub(may_lose * 250);
    eprintln!(
        "{mode}: {} records, {} changes, {} cuts; lost in all {lost_in_all}, the oldest {worst} us \
         before the cut; longest round of syncs {round} us",
        accesses.len(),
        changes.len(),
        moments.len(),
    );
    let slack = if may_lose == 0 { 0 } else { SLACK };
    assert!(
        worst <= if may_lose == 0 { 0 } else { promised + slack },
        "{worst} us, promised {promised}"
    );
}

/// Recovers, and checks everything that a log must hold to; gives the ids.
fn checked_after_recovery(state: &Path) -> std::collections::HashSet<u64> {
    recover(state).unwrap().unwrap();
    if !state.join("access").is_dir() {
        return Default::default();
    }
    let ids = checked_ids(state);
    // Once is enough: nothing is left to do.
    let again = recover(state).unwrap().unwrap();
    assert_eq!((again.decisions, again.unknown_ends, again.damage.len()), (0, 0, 0));
    ids
}

#[test]
fn a_power_cut_loses_nothing_older_than_the_sync_interval_and_no_change() {
    if !can_trace() {
        eprintln!("skipped: strace is missing or may not trace here");
        return;
    }
    cut_again_and_again("cut", if full() { 200 } else { 24 }, SYNC_INTERVAL_MS);
}

#[test]
fn with_a_sync_interval_of_0_a_power_cut_loses_nothing() {
    if !can_trace() {
        eprintln!("skipped: strace is missing or may not trace here");
        return;
    }
    cut_again_and_again("cut-synced", if full() { 200 } else { 24 }, 0);
}
