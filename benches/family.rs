//! A process and all that came of it: children, and what a child left behind when it made itself a session
//! of its own. Programs that go into the background do so; they are measured and ended like any other, also where a
//! signal ends the bench.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_child_subreaper, waitpid};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal as Heard, SignalKind, signal};

/// Variable of the environment that tells whose family a process is of. A child has it from its parent,
/// whatever becomes of that one.
const MARK: &str = "SCHOOLGATE_BENCH_FAMILY";

/// Longest wait for killed processes to be gone.
const LIMIT: Duration = Duration::from_secs(5);

/// How long a bench that a signal ends has to clear up its folders, before it ends in the middle.
const CLEARING: Duration = Duration::from_secs(10);

/// The mark of each process that was started with one.
static MARKS: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());

fn marks() -> MutexGuard<'static, BTreeMap<u32, String>> {
    // A map is whole after each insertion, whoever panicked then.
    MARKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of the signal that ends the bench; held while a process is started, so that none comes after it.
static ENDED_BY: Mutex<Option<i32>> = Mutex::new(None);

fn ended_by() -> MutexGuard<'static, Option<i32>> {
    ENDED_BY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a command with a mark by which its family is known.
///
/// # Errors
/// It cannot be started, or a signal ends the bench.
pub(crate) fn start(command: &mut Command) -> io::Result<Child> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mark = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let ended = ended_by();
    if ended.is_some() {
        return Err(io::Error::other("the bench was ended by a signal"));
    }
    let child = command.env(MARK, &mark).spawn()?;
    marks().insert(child.id(), mark);
    Ok(child)
}

/// Runs a bench, and then ends whatever it left running of what it started, also where SIGTERM or SIGINT ends it: no
/// guard runs then. What loses its parent meanwhile becomes a child of this process.
pub(crate) fn leaving_nobody<T>(run: impl FnOnce() -> T) -> T {
    // Linux has this; without it what hides is still found by its mark.
    let own = i32::try_from(std::process::id()).ok().and_then(Pid::from_raw);
    let _ = set_child_subreaper(own);
    if let Err(error) = heed_signals() {
        eprintln!("a signal would leave running what this starts: {error}");
    }
    let _left = Left;
    run()
}

/// What a bench leaves, also one that panics, as some do whose processes a signal has ended.
struct Left;

impl Drop for Left {
    fn drop(&mut self) {
        for name in end_rest() {
            eprintln!("ended what was left running: {name}");
        }
        if let Some(number) = *ended_by() {
            exit(number);
        }
    }
}

/// From now on a signal that asks this process to end first ends all that it started. Without them the bench soon finds
/// that it cannot go on, and clears up; it has a while for that.
fn heed_signals() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _within = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let heed = move || {
        runtime.block_on(async {
            let number = either(&mut terminate, &mut interrupt).await;
            *ended_by() = Some(number);
            end_rest();
            // Whoever asks again does not wait for it.
            let again = either(&mut terminate, &mut interrupt);
            let _ = tokio::time::timeout(CLEARING, again).await;
            end_rest();
            exit(number);
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(heed).map(drop)
}

/// The number of the signal that comes first.
async fn either(terminate: &mut Heard, interrupt: &mut Heard) -> i32 {
    tokio::select! {
        _ = terminate.recv() => SignalKind::terminate().as_raw_value(),
        _ = interrupt.recv() => SignalKind::interrupt().as_raw_value(),
    }
}

/// Ends as shells tell it of a program that a signal ended.
fn exit(number: i32) -> ! {
    std::process::exit(128 + number)
}

/// The process, its descendants, and what bears its mark with the descendants of that.
pub(crate) fn of(root: u32) -> Vec<u32> {
    let processes = Process::all();
    let mark = marks().get(&root).cloned();
    let mut found = Vec::new();
    // The id of one that ended long ago may be another's by now: that one is neither marked nor ours.
    let own = std::process::id();
    let is_root = |it: &Process| it.pid == root && (mark.is_none() || it.parent == own);
    for process in &processes {
        if is_root(process) || mark.as_deref().is_some_and(|mark| process.bears(mark)) {
            found.push(process.pid);
        }
    }
    with_descendants(found, &processes)
}

/// Kills the family of a process, and waits until it is gone. The process itself, if it is this one's
/// child, is to be waited for by whoever started it.
pub(crate) fn end(root: u32) {
    end_all(|| of(root), root);
}

/// Kills whatever this process still has of children and orphans taken in; gives their names.
fn end_rest() -> Vec<String> {
    let rest = || {
        let mut all = of(std::process::id());
        all.retain(|pid| *pid != std::process::id());
        all
    };
    let found = rest().into_iter().filter(|pid| is_alive(*pid));
    let names = found.map(|pid| format!("{} (process {pid})", name(pid))).collect();
    end_all(rest, 0);
    names
}

fn end_all(left: impl Fn() -> Vec<u32>, not_ours_to_reap: u32) {
    let begun = Instant::now();
    loop {
        let family = left();
        for pid in &family {
            let Some(id) = i32::try_from(*pid).ok().and_then(Pid::from_raw) else { continue };
            if is_alive(*pid) {
                let _ = kill_process(id, Signal::KILL);
            }
            if *pid != not_ours_to_reap {
                // Fails for those that have another parent, who then does it.
                let _ = waitpid(Some(id), WaitOptions::NOHANG);
            }
        }
        if !family.iter().any(|pid| is_alive(*pid)) || begun.elapsed() > LIMIT {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether it still runs: it has not ended, nor does it only wait for its parent to look.
fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| !matches!(fields.first().map(String::as_str), Some("Z" | "X")))
}

fn name(pid: u32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim().to_owned()
}

/// A process as it stood a moment ago.
struct Process {
    pid: u32,
    parent: u32,
}

impl Process {
    fn all() -> Vec<Self> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter_map(|pid| Some(Self { pid, parent: stat(pid)?.get(1)?.parse().ok()? })).collect()
    }

    fn bears(&self, mark: &str) -> bool {
        let environment = std::fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default();
        let whole = format!("{MARK}={mark}");
        environment.split(|byte| *byte == 0).any(|variable| variable == whole.as_bytes())
    }
}

fn with_descendants(mut found: Vec<u32>, processes: &[Process]) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(process.pid);
    }
    let mut known: BTreeSet<u32> = found.iter().copied().collect();
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        let of_it = children.get(&pid).into_iter().flatten();
        found.extend(of_it.filter(|child| known.insert(**child)));
        next += 1;
    }
    found
}

/// The fields of `/proc/PID/stat` behind the command name: state, parent, ...
pub(crate) fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}
