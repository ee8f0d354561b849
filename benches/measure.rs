//! What a process and all that came of it costs: processor time and memory, read from `/proc`.

use crate::family::{self, stat};
use std::time::{Duration, Instant};

/// Processor time and peak memory of a process and everything that it started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time in nanoseconds, from the scheduler's own account.
    pub cpu_ns: u64,
    /// Resident memory now, in bytes, summed over the tree; shared pages count in each process.
    pub rss_bytes: u64,
    /// Highest resident memory so far, in bytes, summed over the tree.
    pub rss_peak_bytes: u64,
    /// Proportional memory now, in bytes: shared pages are divided among those that share them.
    pub pss_bytes: u64,
    /// Resident memory that no file backs, in bytes: what remains when mapped files are let go.
    pub anonymous_bytes: u64,
}

/// Reads the usage of a tree. Processes that end meanwhile are left out.
pub(crate) fn usage(root: u32) -> Usage {
    let mut sum = Usage::default();
    for pid in family::of(root) {
        sum.cpu_ns += cpu_ns(pid);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        sum.rss_bytes += field_bytes(&status, "VmRSS:");
        sum.rss_peak_bytes += field_bytes(&status, "VmHWM:");
        sum.anonymous_bytes += field_bytes(&status, "RssAnon:");
        let rollup =
            std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        sum.pss_bytes += field_bytes(&rollup, "Pss:");
    }
    sum
}

/// Waits until the tree has all but stopped working (under 4 ms of processor time in 300 ms), so that
/// work put off, such as storing the log, is charged to the round that caused it.
///
/// Gives up after `limit`.
pub(crate) fn settle(root: u32, limit: Duration) {
    settle_for(root, limit, 3);
}

/// The same, content with so many quiet spells of 300 ms in a row.
pub(crate) fn settle_for(root: u32, limit: Duration, spells: u32) {
    let start = Instant::now();
    let cpu = || family::of(root).into_iter().map(cpu_ns).sum::<u64>();
    let mut quiet = 0;
    while start.elapsed() < limit && quiet < spells {
        let before = cpu();
        std::thread::sleep(Duration::from_millis(300));
        quiet = if cpu().saturating_sub(before) < 4_000_000 { quiet + 1 } else { 0 };
    }
}

/// Processor time of the calling thread so far, in nanoseconds; zero where the system does not say.
pub(crate) fn own_thread_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0)
}

/// Processors of the machine, whichever of them this process may use.
pub(crate) fn processors() -> usize {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.strip_prefix("cpu"));
    lines.filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit())).count().max(1)
}

/// What the whole machine has worked so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Machine {
    /// Time that its processors were busy, all programs together, in nanoseconds.
    pub busy_ns: u64,
    /// Time that they were wanted, but something outside this (virtual) machine had them.
    pub stolen_ns: u64,
}

/// Reads what the machine has worked; zero where the system does not say.
pub(crate) fn machine() -> Machine {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let at = |place: usize| ticks.get(place).copied().unwrap_or(0) * tick_ns;
    // User, nice, system, interrupts of both kinds; idle time and waits for disks are none.
    Machine { busy_ns: at(0) + at(1) + at(2) + at(5) + at(6), stolen_ns: at(7) }
}

/// Processor time of one process. `schedstat` counts nanoseconds but forgets threads that have
/// ended; `stat` keeps those but counts in ticks: the larger of the two is the truer one.
fn cpu_ns(pid: u32) -> u64 {
    let exact: u64 = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum();
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let ticks: u64 = stat(pid)
        .map(|fields| [11, 12].iter().filter_map(|&i| fields.get(i)?.parse::<u64>().ok()).sum())
        .unwrap_or(0);
    exact.max(ticks * tick_ns)
}

/// A `Name:   123 kB` line in bytes; 0 if absent.
fn field_bytes(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}
