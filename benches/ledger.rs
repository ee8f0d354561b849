//! What recording costs: a decision in the journal, a row in the day file, and questions.
//!
//! `cargo bench --bench ledger -- [RECORDS]`. CPU time is the whole process's, user and system.

use ledger::ingest::recover;
use ledger::journal::{Journal, JournalSettings, Shared, refused};
use ledger::query::{AccessLog, Filter, Order};
use ledger::record::{Context, Decided, Depth, End};
use ledger::summary::Summary;
use rules::category::{CategoryId, CategorySet};
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Wednesday 26 November 2025, 08:00 in London.
const START: UnixMillis = UnixMillis(1_764_144_000_000);
const PEOPLE: usize = 1200;
const HOSTS: usize = 20_000;
const PATHS: usize = 4096;

struct School {
    context: Arc<Context>,
    people: Vec<String>,
    hosts: Vec<String>,
    paths: Vec<String>,
}

impl School {
    fn new() -> Self {
        let context = Context {
            policy_hash: "0a".repeat(32),
            list_version: "2025-11-26".into(),
            categories: (0..60).map(|i| format!("category-{i}")).collect(),
            levels: ["ks1", "ks2", "ks3", "guest", "staff"].map(String::from).to_vec(),
            locked: CategorySet::EMPTY,
            zone: "Europe/London".into(),
        };
        Self {
            context: Arc::new(context),
            people: (0..PEOPLE).map(|i| format!("pupil{i:04}")).collect(),
            hosts: (0..HOSTS).map(|i| format!("www.site-{i}.example.test")).collect(),
            paths: (0..PATHS)
                .map(|i| format!("/assets/{i:x}/lesson-page-{}.html", i * 7919))
                .collect(),
        }
    }

    /// The `turn`th request of a day. A page is 24 requests of one person, as in the captures of
    /// real browsers: to its own host, to those of its page and to a few that all pages use. One
    /// host in ten is blocked, half are tunnels.
    fn request(&self, turn: u64, id: RequestId, at: UnixMillis) -> Decided<'_> {
        let mix = |number: u64| number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let part = |mixed: u64, shift: u32, of: usize| (mixed >> shift) as usize % of;
        let (page, request) = (mix(turn / 24), mix(turn));
        let person = part(page, 8, PEOPLE);
        let own = part(page, 20, HOSTS) * part(page, 40, HOSTS) / HOSTS;
        let host = match part(request, 33, 8) {
            0..4 => own,
            4..6 => (own * 31 + part(request, 50, 4)) % HOSTS,
            _ => part(request, 44, 12),
        };
        let (blocked, tunnel) = (host % 10 == 3, host % 2 == 0);
        Decided {
            id,
            at,
            context: &self.context,
            user: (person % 20 != 0).then(|| &*self.people[person]),
            level: (person % 5) as u8,
            client: [10, 20, (person >> 8) as u8, person as u8].into(),
            method: if tunnel { "CONNECT" } else { "GET" },
            scheme: if tunnel { Scheme::Tunnel } else { Scheme::Http },
            host: &self.hosts[host],
            port: if tunnel { 443 } else { 80 },
            path: (!tunnel).then(|| &*self.paths[part(request, 24, PATHS)]),
            categories: CategorySet::of(CategoryId::from_index((host % 60) as u8)),
            verdict: if blocked { Verdict::Block } else { Verdict::Allow },
            reason: if blocked { ReasonCode::Category } else { ReasonCode::Allowed },
            rule: blocked.then_some("policy.toml:26 games = \"block\""),
            unblock: None,
            depth: if tunnel { Depth::Name } else { Depth::Plain },
            visit: rules::visit::Visit::Unknown,
            words: None,
            signs: &[],
        }
    }
}

fn cpu() -> Duration {
    // Fields 14 and 15 are user and system time in ticks of 10 ms; the name in field 2 has no space.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: u64 = stat
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn per(total: Duration, count: u64) -> f64 {
    total.as_secs_f64() * 1e9 / count as f64
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// What each answer waits for where every decision is on the disk first (`sync_interval_ms = 0`).
fn write_synced(state: &Path, school: &School, records: u64) -> std::io::Result<()> {
    let folder = state.join("journal");
    let settings = JournalSettings { sync_interval_ms: 0, ..JournalSettings::default() };
    let shared = Shared::open(&folder, settings, RequestId(0))?;
    let journal = Journal::open(&folder, 0, &shared)?;
    let mut took: Vec<Duration> = Vec::new();
    for turn in 0..records {
        let decided = school.request(turn, journal.next_id(START), START);
        let began = Instant::now();
        journal.refuse(&decided, refused(403, 2000, 90)).map_err(std::io::Error::other)?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let share = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    let total: Duration = took.iter().sum();
    println!(
        "journal, sync_interval_ms = 0: {:.0} us a decision at the median, {:.0} us of 99 in 100; {:.0} a second \
         and worker",
        share(50),
        share(99),
        records as f64 / total.as_secs_f64()
    );
    Ok(())
}

fn write(state: &Path, school: &School, records: u64) -> std::io::Result<()> {
    let folder = state.join("journal");
    let settings = JournalSettings { max_backlog_bytes: u64::MAX, ..JournalSettings::default() };
    let shared = Shared::open(&folder, settings, RequestId(0))?;
    let journal = Journal::open(&folder, 0, &shared)?;
    let (began, began_cpu) = (Instant::now(), cpu());
    let mut open = std::collections::VecDeque::new();
    for turn in 0..records {
        let at = UnixMillis(START.0 + turn as i64 * 25_200_000 / records as i64);
        let decided = school.request(turn, journal.next_id(at), at);
        let written = match decided.verdict {
            Verdict::Block => journal.refuse(&decided, refused(403, 2000, 90)),
            Verdict::Allow => journal.decide(&decided).map(|pending| open.push_back(pending)),
        };
        written.map_err(std::io::Error::other)?;
        if open.len() > 100
            && let Some(pending) = open.pop_front()
        {
            pending.count_down(14_000);
            pending.finish(End::Complete);
        }
    }
    open.clear();
    journal.flush();
    let (took, took_cpu) = (began.elapsed(), cpu() - began_cpu);
    println!(
        "journal: {:.0} ns a record ({:.0} ns CPU), its end included",
        per(took, records),
        per(took_cpu, records)
    );
    println!("journal: {:.0} bytes a record", folder_bytes(&folder) as f64 / records as f64);
    Ok(())
}

fn store(state: &Path, records: u64) -> Result<(), Box<dyn std::error::Error>> {
    let (began, began_cpu) = (Instant::now(), cpu());
    let recovered = recover(state)?.ok_or("another process holds the state folder")?;
    let (took, took_cpu) = (began.elapsed(), cpu() - began_cpu);
    if recovered.decisions != records {
        return Err(format!("{} of {records} records stored", recovered.decisions).into());
    }
    let rate = records as f64 / took.as_secs_f64();
    println!(
        "ingest: {rate:.0} rows/s, {:.0} ns CPU a record, rollups included",
        per(took_cpu, records)
    );
    println!(
        "day file: {:.1} bytes a row",
        folder_bytes(&state.join("access")) as f64 / records as f64
    );
    Ok(())
}

async fn ask(state: &Path, records: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut log = AccessLog::new(state);
    let some = |text: &str| Some(text.to_owned());
    let last = log.page(&Filter::default(), Order::OldestFirst, None, 1).await?.rows[0].id;
    let filters = [
        ("newest page", Filter::default()),
        ("one person's day", Filter { user: some("pupil0007"), ..Filter::default() }),
        ("one site", Filter { site: some("site-9.example.test"), ..Filter::default() }),
        ("blocked", Filter { verdict: Some(Verdict::Block), ..Filter::default() }),
        ("text that is nowhere", Filter { text: some("no-such-text"), ..Filter::default() }),
        ("one id", Filter { id: Some(last), ..Filter::default() }),
    ];
    for (what, filter) in filters {
        let began = Instant::now();
        let rows = log.page(&filter, Order::NewestFirst, None, 1000).await?.rows.len();
        println!(
            "query: {what}: {rows} rows in {:.1} ms of {records}",
            began.elapsed().as_secs_f64() * 1e3
        );
    }
    let began = Instant::now();
    let (from, until) = (jiff::civil::date(2025, 11, 24), jiff::civil::date(2025, 12, 1));
    let summary = Summary::read(state, from, until).await?;
    println!(
        "summary: {} requests in {:.1} ms",
        summary.requests.total(),
        began.elapsed().as_secs_f64() * 1e3
    );
    Ok(())
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let records =
        std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(500_000);
    // Beside the program, and not in /tmp, which may be memory: a sync is to be one.
    let folder = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
    let synced = tempfile::tempdir_in(&folder)?;
    write_synced(synced.path(), &School::new(), 2_000)?;
    let state = tempfile::tempdir()?;
    write(state.path(), &School::new(), records)?;
    store(state.path(), records)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(ask(state.path(), records))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
