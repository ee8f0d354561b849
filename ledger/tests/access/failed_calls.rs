//! Every call that the log makes to the system fails once: the n-th write, sync, open, rename, ... of
//! each thread of a real process, for n = 1, 2, ... until a run passes untouched. Whatever the process was told is
//! recorded is there afterwards, it goes on by itself, and nothing has to be mended by hand.

use crate::backlog::checked_ids;
use crate::crash::{Random, can_trace, failing, full, kill_traced, was_failed};
use crate::sample::{NOW, allowed, blocked, context, settings, wait};
use ledger::changes::ChangeLog;
use ledger::ingest::{Settings, Writer, recover};
use ledger::journal::{JournalSettings, refused};
use ledger::record::End;
use rules::change::Event;
use rules::time::UnixMillis;
use std::collections::HashSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const STATE: &str = "LEDGER_TEST_FAILING_STATE";
const TOLD: &str = "LEDGER_TEST_FAILING_TOLD";
const SYNC: &str = "LEDGER_TEST_FAILING_SYNC";

/// Calls, errors, and milliseconds between two syncs.
const KINDS: [(&str, &str, u64); 12] = [
    ("pwrite64", "EIO", 10),
    ("pwrite64", "ENOSPC", 0),
    ("write", "ENOSPC", 10),
    ("write", "EIO", 0),
    ("fsync,fdatasync", "EIO", 10),
    ("fsync,fdatasync", "EIO", 0),
    ("openat", "EMFILE", 10),
    ("openat", "ENOSPC", 0),
    ("rename", "EIO", 10),
    ("ftruncate", "EIO", 10),
    ("unlink", "EIO", 10),
    ("mkdir", "ENOSPC", 10),
];

/// More calls than the process makes of any kind.
const MOST: u64 = 20_000;

/// Not a test of its own: the process whose calls fail. What it says goes through a socket, with
/// `sendto`, which does not fail.
#[test]
fn failing_process() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let state = Path::new(&state);
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(std::env::var_os(TOLD).unwrap()).unwrap();
    let tell = |text: String| {
        socket.send(text.as_bytes()).unwrap();
    };
    let made = (0..3).filter(|number| change(state, *number, &tell)).count();
    let has_log = std::fs::metadata(ChangeLog::path_in(state)).is_ok_and(|data| data.len() > 0);
    if made == 0 && !has_log {
        // As the daemon, which does not start without a change log.
        return tell("not started: no change log".to_owned());
    }
    let sync_interval_ms = std::env::var(SYNC).unwrap().parse().unwrap();
    let journal = JournalSettings { segment_bytes: 4_000, sync_interval_ms, ..settings().journal };
    let writer = match Writer::start(state, Settings { journal, ..settings() }) {
        Ok(writer) => writer,
        Err(error) => return tell(format!("not started: {error}")),
    };
    let (first, second) = match (writer.journal(0), writer.journal(1)) {
        (Ok(first), Ok(second)) => (first, second),
        (first, second) => return tell(format!("not started: {first:?} {second:?}")),
    };
    tell("started".to_owned());
    let context = context("Europe/London");
    for turn in 0..40i64 {
        let journal = if turn % 3 == 0 { &first } else { &second };
        // Two days in turn.
        let at = UnixMillis(NOW.0 + turn / 10 % 2 * 86_400_000);
        let id = journal.next_id(at);
        let done = match turn % 2 {
            0 => journal.refuse(&blocked(&context, id, at), refused(403, 9, 1)),
            _ => {
                let decided = journal.decide(&allowed(&context, id, at));
                decided.map(|pending| pending.finish(End::Complete))
            }
        };
        match done {
            Ok(()) => tell(format!("acknowledged {}", id.0)),
            Err(error) => tell(format!("refused: {error}")),
        }
        if turn % 8 == 7 {
            first.flush();
            second.flush();
            std::thread::sleep(Duration::from_millis(12));
        }
    }
    change(state, 3, &tell);
    // One failure stops nothing for good.
    let began = Instant::now();
    for journal in [&first, &second] {
        loop {
            let id = journal.next_id(NOW);
            if journal.refuse(&blocked(&context, id, NOW), refused(403, 9, 1)).is_ok() {
                tell(format!("acknowledged {}", id.0));
                break;
            }
            if began.elapsed() > Duration::from_secs(10) {
                return tell("still refused".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    change(state, 4, &tell);
    drop((first, second));
    writer.stop();
    tell("ended".to_owned());
}

fn change(state: &Path, number: u64, tell: &impl Fn(String)) -> bool {
    let made = wait(async {
        let log = ChangeLog::open(state).await?;
        let event = Event::UserRemoved { user: format!("user-{number}") };
        log.append(NOW, "j.cho", event).await
    });
    match &made {
        Ok(entry) => tell(format!("changed {}", entry.sequence)),
        Err(error) => tell(format!("not changed: {error}")),
    }
    made.is_ok()
}

/// What one run told, in order.
struct Told {
    words: Vec<String>,
    stderr: String,
    failed: bool,
    calls: u64,
}

fn run(state: &Path, (calls, error, sync): (&str, &str, u64), nth: u64) -> Told {
    let folder = tempfile::tempdir().unwrap();
    let (address, log) = (folder.path().join("told"), folder.path().join("strace.log"));
    let socket = UnixDatagram::bind(&address).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    // Else a wake-up of a thread would fail, which goes through `write` too and never does.
    let carried = state.join("journal/carried.json.new");
    let about = (calls == "write").then_some(carried.as_path());
    let words = failing(calls, error, nth, about, &log);
    let stderr = std::fs::File::create(folder.path().join("stderr")).unwrap();
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .arg(std::env::current_exe().unwrap())
        .args(["failed_calls::failing_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(STATE, state)
        .env(TOLD, &address)
        .env(SYNC, sync.to_string())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let (mut said, mut buffer) = (Vec::new(), [0; 2000]);
    let began = Instant::now();
    loop {
        let over = child.try_wait().unwrap().is_some();
        while let Ok(length) = socket.recv(&mut buffer) {
            said.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        if over {
            break;
        }
        if began.elapsed() > Duration::from_secs(60) {
            kill_traced(child.id());
            panic!("{calls} {error} {nth}: no end after 60 s: {said:?}");
        }
    }
    let names: Vec<&str> = calls.split(',').collect();
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    let is_call = |line: &&str| names.iter().any(|name| line.contains(&format!(" {name}(")));
    Told {
        words: said,
        stderr: std::fs::read_to_string(folder.path().join("stderr")).unwrap(),
        failed: was_failed(&log),
        calls: text.lines().filter(is_call).count() as u64,
    }
}

/// Runs with the `nth` call failed; `false`: there was none.
fn fail_once(kind: (&str, &str, u64), nth: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let told = run(&state, kind, nth);
    let which = format!("{kind:?}, call {nth}");
    // The test's own program may fail to print or to start a thread; the log never panics.
    let fault = told.stderr.lines().find(|line| {
        line.contains("panicked at") && (line.contains("ledger/src") || line.contains("sqlx"))
    });
    assert_eq!(fault, None, "{which}: {}", told.stderr);
    if told.words.iter().any(|word| word == "started") {
        assert_eq!(told.words.last().unwrap(), "ended", "{which}: {:?}", told.words);
    }
    let numbers = |word: &str| -> Vec<u64> {
        let of = |said: &String| said.strip_prefix(word)?.trim().parse().ok();
        told.words.iter().filter_map(of).collect()
    };
    let acknowledged: HashSet<u64> = numbers("acknowledged").into_iter().collect();
    if state.is_dir() {
        let recovered = recover(&state).unwrap().unwrap();
        assert_eq!(recovered.damage, [], "{which}");
        assert_eq!(recovered.set_aside, [] as [std::path::PathBuf; 0], "{which}");
        let stored = std::panic::catch_unwind(|| checked_ids(&state));
        let Ok(stored) = stored else {
            // What is left is looked at by hand.
            let kept = folder.keep();
            panic!("{which}: a day cannot be read: {}; {:?}", kept.display(), told.words);
        };
        let missing = acknowledged.difference(&stored).count();
        assert_eq!(missing, 0, "{which}: of {} acknowledged", acknowledged.len());
        let log = wait(ChangeLog::open(&state)).unwrap();
        let entries = wait(log.entries_after(0)).unwrap();
        for sequence in numbers("changed") {
            assert!(entries.iter().any(|entry| entry.sequence == sequence), "{which}: {sequence}");
        }
    } else {
        assert_eq!(acknowledged.len(), 0, "{which}");
    }
    told.failed
}

#[test]
fn each_call_that_fails_costs_nothing_that_was_acknowledged() {
    if !can_trace() {
        eprintln!("skipped: strace is missing or may not trace here");
        return;
    }
    let mut random = Random::seeded("failed calls");
    let mut runs = 0;
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let untouched = run(&folder.path().join("state"), kind, MOST);
        assert!(!untouched.failed && untouched.words.last().unwrap() == "ended", "{kind:?}");
        if full() {
            let mut nth = 1;
            while fail_once(kind, nth) {
                nth += 1;
                assert!(nth < MOST, "{kind:?}: never untouched");
            }
            eprintln!("{kind:?}: {} calls failed, one in each run", nth - 1);
            runs += nth;
        } else {
            for _ in 0..4 {
                fail_once(kind, 1 + random.below(untouched.calls));
                runs += 1;
            }
        }
    }
    eprintln!("{runs} runs");
}
