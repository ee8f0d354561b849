//! `kill -9`, for real: a child process writes as fast as it can and tells each decision that was
//! acknowledged; it is killed at a random moment; nothing it told of may be missing or double.

use crate::crash::{Random, full};
use crate::sample::{NOW, allowed, blocked, context, rows, seen, settings, tunnel, wait};
use ledger::changes::ChangeLog;
use ledger::ingest::{Writer, recover};
use ledger::journal::{JournalSettings, Pending, refused};
use ledger::record::{Depth, End};
use ledger::refusals::Refusals;
use ledger::seen::Seen;
use rules::change::Event;
use rules::target::Scheme;
use rules::time::UnixMillis;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) const STATE: &str = "LEDGER_TEST_STATE";
pub(crate) const LOAD: &str = "LEDGER_TEST_LOAD";

/// How the killed process writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// The ingest thread keeps up; small segments, so that kills fall into rolls, removals and
    /// commits too.
    Paced,
    /// It falls behind by many passes; large segments that span two days.
    Backlog,
    /// Paced, with changes to the filter beside it; the power will be cut.
    Cut,
    /// The same where every decision is on the disk before it is told.
    CutSynced,
}

/// Not a test of its own: the process that is killed. Two workers.
#[test]
fn killed_process() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let load = match std::env::var(LOAD).as_deref() {
        Ok("backlog") => Load::Backlog,
        Ok("cut") => Load::Cut,
        Ok("cut-synced") => Load::CutSynced,
        _ => Load::Paced,
    };
    let segment_bytes = match load {
        Load::Backlog => 12 << 20,
        Load::Cut => 200_000,
        _ => 40_000,
    };
    let sync_interval_ms = match load {
        Load::Cut => crate::power_cut::SYNC_INTERVAL_MS,
        Load::CutSynced => 0,
        _ => 20,
    };
    let mut settings = settings();
    settings.journal = JournalSettings { segment_bytes, sync_interval_ms, ..settings.journal };
    if matches!(load, Load::Cut | Load::CutSynced) {
        // The daemon makes it first, too: records without a change log are a state that was damaged.
        wait(ChangeLog::open(Path::new(&state))).map(drop).unwrap();
    }
    let writer = Writer::start(Path::new(&state), settings).unwrap();
    let writer = &writer;
    std::thread::scope(|scope| {
        for worker in 0..2 {
            scope.spawn(move || write_for_ever(writer, worker, load));
        }
        if matches!(load, Load::Cut | Load::CutSynced) {
            scope.spawn(move || change_for_ever(Path::new(&state)));
        }
    });
}

/// Changes to the filter, as the command line makes them; each is told once it is made.
fn change_for_ever(state: &Path) {
    let mut out = std::io::stdout();
    for number in 0u64.. {
        let made = wait(async {
            let log = ChangeLog::open(state).await?;
            let event = Event::UserRemoved { user: format!("user-{number}") };
            log.append(NOW, "j.cho", event).await
        });
        out.write_all(format!("changed {}\n", made.unwrap().sequence).as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn write_for_ever(writer: &Writer, worker: u16, load: Load) {
    let journal = writer.journal(worker).unwrap();
    let context = context("Europe/London");
    let mut open = std::collections::VecDeque::new();
    let mut out = std::io::stdout();
    for turn in 0u64.. {
        let days = if load == Load::Backlog { (turn / 1000 % 2) as i64 } else { 0 };
        let at = UnixMillis(NOW.0 + days * 86_400_000);
        let id = journal.next_id(at);
        match turn % 4 {
            0 => journal.refuse(&blocked(&context, id, at), refused(403, 900, 50)).unwrap(),
            1 => open.push_back((turn, journal.decide(&tunnel(&context, id, at)).unwrap())),
            _ => open.push_back((turn, journal.decide(&allowed(&context, id, at)).unwrap())),
        }
        out.write_all(format!("acknowledged {}\n", id.0).as_bytes()).unwrap();
        if open.len() > 40 {
            let (turn, pending): (u64, Pending) = open.pop_front().unwrap();
            pending.count_down(7);
            // A tunnel ends deeper than it was decided, or not at all for its client.
            match turn % 8 {
                1 => pending.set_depth(Depth::Page),
                5 => pending.end(End::Rejected),
                _ => {}
            }
            pending.finish(End::Complete);
        }
        if turn % 64 == 0 {
            journal.flush();
            if load != Load::Backlog {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }
}

/// A kill after `wait`; the ids that the child told.
pub(crate) fn run_and_kill(state: &Path, wait: Duration, load: Load) -> Vec<u64> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["kill::killed_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(STATE, state)
        .stdout(Stdio::piped());
    if load == Load::Backlog {
        command.env(LOAD, "backlog");
    }
    let mut child = command.spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let lines = output.split(b'\n').map_while(Result::ok);
        let told = |line: Vec<u8>| -> Option<u64> {
            let line = String::from_utf8(line).ok()?;
            line.split_once("acknowledged ")?.1.parse().ok()
        };
        // The last line may be cut; a cut number is the start of another. Whole lines end in LF,
        // which `split` hides, so the last is left out.
        let mut ids: Vec<u64> = lines.filter_map(told).collect();
        ids.pop();
        ids
    });
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn kills_at_random_moments_lose_and_double_nothing() {
    let rounds = if full() { 1000 } else { 50 };
    let mut random = Random::seeded("kills");
    let state = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<u64> = Vec::new();
    for round in 0..rounds {
        // Spread over start-up, commits and rolls.
        let wait = Duration::from_micros(10_000 + random.below(110_000));
        acknowledged.extend(run_and_kill(state.path(), wait, Load::Paced));
        if round % 7 == 3 {
            recover(state.path()).unwrap().unwrap();
        }
    }
    let recovered = recover(state.path()).unwrap().unwrap();
    assert_eq!(recovered.damage, []);
    assert!(acknowledged.len() > 1000, "the child hardly wrote: {}", acknowledged.len());
    let rows = rows(state.path());
    let mut times: HashMap<u64, u32> = HashMap::new();
    rows.iter().for_each(|row| *times.entry(row.id.0).or_default() += 1);
    let missing: Vec<_> = acknowledged.iter().filter(|id| !times.contains_key(id)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} missing, e.g. {:?}",
        missing.len(),
        acknowledged.len(),
        missing[0]
    );
    let doubled = times.values().filter(|&&times| times != 1).count();
    assert_eq!(doubled, 0);
    for (place, row) in rows.iter().enumerate() {
        assert_eq!(row.cursor.sequence, place as i64, "sequences have no gap");
        assert!(row.ended.is_some(), "everything has an end after recovery: {:?}", row.cursor);
    }
    let tunnels = rows.iter().filter(|row| row.scheme == Scheme::Tunnel);
    for row in tunnels {
        let expected = match row.ended.unwrap().end {
            End::Complete => Depth::Page,
            _ => Depth::Name,
        };
        assert_eq!(row.depth, expected, "{row:?}");
    }
    let (from, until) = (jiff::civil::date(2025, 1, 1), jiff::civil::date(2027, 1, 1));
    let sums = wait(Seen::of_days(state.path(), from, until)).unwrap();
    let pupils = sums["ks3"];
    assert!(pupils.looked_into > 100 && pupils.refused > 100 && pupils.nothing > 0, "{pupils:?}");
    assert_eq!(sums, seen(&rows), "sums are those of the rows");
    let refusals = wait(Refusals::read(state.path(), from, until)).unwrap();
    assert_eq!(refusals.hosts[0].times, pupils.refused);
    assert_eq!(refusals.hosts[0].opened, pupils.looked_into);
    eprintln!("{} acknowledged, {} rows, {rounds} kills", acknowledged.len(), rows.len());
}
