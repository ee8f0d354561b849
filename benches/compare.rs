//! Schoolgate beside its peers in one run: plain requests, tunnels and inspected HTTPS through each in
//! turn and to the origin itself, and what lists of millions of names cost.
//!
//! ```text
//! cargo bench --bench compare -- --help
//! ```
//!
//! The measure is the processor time of all processes of a proxy by request or by megabyte. The origin
//! and the load generator run beside the proxy on processors of their own where there are enough.
//! Nothing leaves this machine, but for fetching Debian's packages of the peers once; none is installed.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints what it found"
)]
#![allow(dead_code, reason = "the parts serve several benches, none of which needs all of each")]

mod cases;
mod child;
mod debian;
mod e2guardian;
mod e2guardian_settings;
mod entrant;
mod family;
mod figures;
mod haproxy;
mod large;
mod line_up;
mod lists;
mod load;
mod measure;
mod names;
mod nginx;
mod origin;
mod peers;
mod picture;
mod reload;
mod report;
mod rows;
mod school;
mod schoolgate;
mod sites;
mod squid;
mod squidguard;
mod stage;
mod table;
mod trace;
mod traffic_server;
mod wire;

use clap::Parser;
use entrant::Entrant;
use line_up::{Groups, LineUp};
use rows::{Ground, Row};
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use table::{Cell, OURS, Table};

/// The word that stands for the second table among the cases.
const LISTS: &str = "lists";

/// Schoolgate beside Squid, Traffic Server, e2guardian, HAProxy and nginx.
#[derive(Debug, Parser)]
#[command(name = "compare")]
struct Options {
    /// Cases, separated by commas: get-1k, get-1k-new, get-16k, get-1m, connect-tls, tunnel,
    /// inspect-new, inspect-resumed, inspect-16k, inspect-1m, and lists, which is what large lists
    /// cost; without it all of them
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// Who takes part beside schoolgate, separated by commas: direct, squid, squid-first (which makes
    /// certificates without asking the site), trafficserver, e2guardian, haproxy, nginx, squidguard;
    /// without it all of them
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Rounds of each case through each of them, in turn
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Seconds of each
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// Names on the list that filters have
    #[arg(long, value_parser = clap::value_parser!(u64).range(1_000..=50_000_000))]
    names: Option<u64>,
    /// Two rounds of a second, and 200,000 names: shows that all works, and little more
    #[arg(long)]
    quick: bool,
    /// End the rounds so many minutes after the start; what large lists cost is measured after them.
    /// Without it 18, with --quick 4 and a half
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    minutes: Option<u64>,
    /// Connections at a time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: u32,
    /// The schoolgate program; without it a release build is made
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Have schoolgate read what it passes on for words and kinds of files, as it does in a school. Without it neither it
    /// nor the peers do
    #[arg(long)]
    reads: bool,
    /// Share the processors instead of giving the proxy its own
    #[arg(long)]
    no_pinning: bool,
    /// Where results go; without it a folder beside the build
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Be the origin (used by the bench itself)
    #[arg(long, hide = true, value_name = "ADDRESS")]
    origin: Option<SocketAddr>,
    /// Hosts and authority of the origin (used by the bench itself)
    #[arg(long, hide = true, value_name = "DIR", default_value = ".")]
    sites: PathBuf,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 2 } else { 3 })
    }

    fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.quick { 1 } else { 2 }))
    }

    /// From the start of the run until no round begins any more.
    fn limit(&self) -> Duration {
        let seconds = if self.quick { 270 } else { 18 * 60 };
        Duration::from_secs(self.minutes.map_or(seconds, |minutes| minutes * 60))
    }

    fn names(&self) -> u64 {
        self.names.unwrap_or(if self.quick { 200_000 } else { 4_000_000 })
    }

    /// The rows, and whether the second table is wanted.
    fn rows(&self) -> Result<(Vec<Row>, bool), String> {
        if self.cases.is_empty() {
            return Ok((Row::all().collect(), true));
        }
        let words = self.cases.iter().filter(|word| *word != LISTS);
        let rows = words.map(|word| {
            Row::from_word(word).ok_or_else(|| {
                let known: Vec<&str> = Row::all().map(Row::as_str).collect();
                format!("no case called \"{word}\"\n  fix: one of {}, {LISTS}", known.join(", "))
            })
        });
        let lists = self.cases.iter().any(|word| word == LISTS);
        Ok((rows.collect::<Result<_, _>>()?, lists))
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.origin {
        Some(listen) => sites::server(&options.sites, false)
            .and_then(|tls| origin::run(listen, Some(tls)).map_err(|error| error.to_string()))
            .map(|()| true),
        None => family::leaving_nobody(|| run(&options)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(7),
        Err(what) => {
            eprintln!("error: {what}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the whole; `false` if a must was missed.
fn run(options: &Options) -> Result<bool, String> {
    let begun = Instant::now();
    let (rows, with_lists) = options.rows()?;
    let wanted = line_up::wanted(&options.peers)?;
    let folder = tempfile::Builder::new().prefix("compare").tempdir().map_err(|e| e.to_string())?;
    stage::open_to_all(folder.path())?;
    let binary = match &options.binary {
        Some(binary) => std::path::absolute(binary).map_err(|error| error.to_string())?,
        None => stage::build()?,
    };
    let mut table = Table::default();
    let setting_up = Instant::now();
    let mut line_up = LineUp::start(&line_up::Setting {
        binary: &binary,
        folder: folder.path(),
        cache: &stage::build_folder()?.join("bench-peers"),
        names: usize::try_from(options.names()).map_err(|error| error.to_string())?,
        connections: options.connections as usize,
        pinning: !options.no_pinning,
        wanted: &wanted,
        groups: Groups::of(&rows, with_lists),
        reads: options.reads,
    })?;
    eprintln!("  everybody runs after {:.0} s", setting_up.elapsed().as_secs_f64());
    table.warnings.append(&mut line_up.missing);
    describe(options, &line_up, &mut table);

    let deadline = options.limit();
    let machine_before = measure::machine();
    let rounds_begun = Instant::now();
    'rounds: for round in 0..options.rounds() {
        for (number, &row) in rows.iter().enumerate() {
            // The order changes, so that nobody is always first.
            let first = round as usize + number;
            let count = line_up.entrants.len();
            for place in 0..count {
                if begun.elapsed() > deadline {
                    table.warnings.push(format!(
                        "stopped in round {} after {:.1} minutes: what follows has fewer rounds",
                        round + 1,
                        begun.elapsed().as_secs_f64() / 60.0
                    ));
                    break 'rounds;
                }
                let entrant = &mut line_up.entrants[(place + first) % count];
                if let Some(cell) = play(&line_up.ground, entrant, row, round, options.length())? {
                    table.cells.push(cell);
                }
            }
        }
    }
    say_others(&machine_before, rounds_begun.elapsed(), &mut table);
    table.entrants = line_up.entrants.iter().map(memory_of).collect();
    if with_lists {
        let found = line_up.large(&mut table.warnings)?;
        table.facts = large::facts(&found, &line_up.entrants);
    }
    hold_records(&line_up, &mut table)?;
    table.cells.sort_by_key(|cell| (line_up::place(cell.through), cell.row));
    let seconds = begun.elapsed().as_secs_f64();
    table.setting.push(format!("the run took {:.1} minutes", seconds / 60.0));
    table.run.insert("seconds".to_owned(), json!(seconds));
    say_unread(&mut table);
    line_up.stop();
    write(&table, options.out.as_deref())
}

/// One round of one row through one entrant, who is quiet before and after; none if the row is none
/// of his.
fn play(
    ground: &Ground,
    entrant: &mut Entrant,
    row: Row,
    round: u32,
    length: Duration,
) -> Result<Option<Cell>, String> {
    let Some(load) = row.load(ground, entrant, length)? else { return Ok(None) };
    let (machine, own) = (measure::machine(), measure::usage(std::process::id()).cpu_ns);
    let (before, begun) = (entrant.cpu_ns(), Instant::now());
    let tally = load::run(&load, &|| false).map_err(|error| error.to_string())?;
    if let Some(pid) = entrant.pid {
        measure::settle_for(pid, stage::SETTLE_LIMIT, entrant.quiet_spells);
    }
    let cpu_ns = entrant.cpu_ns().saturating_sub(before);
    let (now, own_now) = (measure::machine(), measure::usage(std::process::id()).cpu_ns);
    let busy = now.busy_ns + now.stolen_ns - machine.busy_ns - machine.stolen_ns;
    let others = busy.saturating_sub(own_now.saturating_sub(own)) as f64
        / (begun.elapsed().as_nanos() as f64 * measure::processors() as f64);
    entrant.decisions += tally.decisions;
    let cell = Cell::new(row, entrant, round, &tally, cpu_ns, others);
    eprintln!(
        "  {:16}{:14}{:9.0} {}/s  cpu {:8.1} us/{}  failed {}  others {:.0} %",
        row.as_str(),
        entrant.name,
        cell.per_second,
        row.unit(),
        cell.cpu_us.unwrap_or(0.0),
        row.unit(),
        cell.failed,
        others * 100.0
    );
    for failure in &tally.failures {
        eprintln!("            failed: {failure}");
    }
    Ok(Some(cell))
}

/// Who takes part, on what.
fn describe(options: &Options, line_up: &LineUp, table: &mut Table) {
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    table.setting.push(format!(
        "{} processors ({}), Linux {}",
        measure::processors(),
        model.trim_start_matches([' ', '\t', ':']).trim(),
        kernel.trim()
    ));
    let run = json!({
        "processors": measure::processors(),
        "processor": model.trim_start_matches([' ', '\t', ':']).trim(),
        "linux": kernel.trim(),
        "workers": 1,
        "own_processor": line_up.pinned,
        "rounds": options.rounds(),
        "seconds_a_round": options.length().as_secs(),
        "connections": options.connections,
        "names": options.names(),
        "quick": options.quick,
    });
    if let serde_json::Value::Object(run) = run {
        table.run = run;
    }
    table.setting.push(format!(
        "one worker each, {}; {} connections, {} s a round; filters have a list of {} names; Schoolgate and \
         Squid know 16 people and three levels and log every request",
        if line_up.pinned { "on a processor of its own" } else { "on shared processors" },
        options.connections,
        options.length().as_secs(),
        picture::number(options.names() as f64),
    ));
    table.setting.push(
        "inspected and in tunnels: TLS 1.3, P-256 certificates; squid asks the site for its certificate \
         first, as Schoolgate does; squid-first does not"
            .to_owned(),
    );
}

/// What else the machine was doing during the rounds: figures of a busy machine are to say so.
fn say_others(before: &measure::Machine, took: Duration, table: &mut Table) {
    let shares = table.cells.iter().map(|cell| cell.others).collect();
    let Some(spread) = table::Spread::of(shares) else { return };
    let stolen = measure::machine().stolen_ns.saturating_sub(before.stolen_ns) as f64
        / (took.as_nanos() as f64 * measure::processors() as f64);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    table.setting.push(format!(
        "other programs and other machines on the same host took {:.0} % of the processors in the middle \
         round, {:.0} % in the worst (the hosts' part over the whole run: {:.0} %); load average at the end {}",
        spread.median * 100.0,
        spread.most * 100.0,
        stolen * 100.0,
        load.split(' ').take(3).collect::<Vec<_>>().join(" ")
    ));
    table.run.insert("others_share_median".to_owned(), json!(spread.median));
    table.run.insert("others_share_max".to_owned(), json!(spread.most));
    table.run.insert("stolen_share".to_owned(), json!(stolen));
    if spread.median > 0.1 {
        table
            .warnings
            .push("the machine was busy with other work: compare ratios, not figures".into());
    }
}

/// Names those whose processor time could not be read: they have no place in the table of it.
fn say_unread(table: &mut Table) {
    let mut unread: Vec<&str> = Vec::new();
    for cell in &table.cells {
        let answered = cell.per_second > 0.0 && cell.through != table::CONTROL;
        if answered && cell.cpu_us.is_none() && !unread.contains(&cell.through) {
            unread.push(cell.through);
        }
    }
    if !unread.is_empty() {
        table.warnings.push(format!("no processor time could be read of: {}", unread.join(", ")));
    }
}

fn memory_of(entrant: &Entrant) -> (String, String, String, u64, u64) {
    let peak = entrant.pid.map_or(0, |pid| measure::usage(pid).rss_peak_bytes);
    let inspecting = entrant.http.is_none() && entrant.inspected.is_some();
    let name = match inspecting {
        true => format!("{} (inspecting)", entrant.name),
        false => entrant.name.to_owned(),
    };
    let version = entrant.version.clone();
    (name, version, entrant.does.to_owned(), entrant.idle_bytes, peak)
}

/// Every decision of ours must be on record.
fn hold_records(line_up: &LineUp, table: &mut Table) -> Result<(), String> {
    let mut count = 0;
    for it in &line_up.schoolgates {
        count += it.records()?.count;
    }
    let ours = line_up.entrants.iter().filter(|entrant| entrant.name == OURS);
    let decisions: u64 = ours.map(|entrant| entrant.decisions).sum();
    let line = format!("{decisions} decisions of Schoolgate's, {count} records of them");
    match count == decisions {
        true => table.setting.push(line),
        false => table.failures.push(line),
    }
    Ok(())
}

/// Prints the table and writes it, its figures and its picture; `false` if a must was missed.
fn write(table: &Table, folder: Option<&Path>) -> Result<bool, String> {
    let markdown = table.markdown();
    println!("{markdown}");
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => stage::build_folder()?.join("compare-results"),
    };
    let text =
        serde_json::to_string_pretty(&json!(table.json())).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join("compare.md"), &markdown))
        .and_then(|()| std::fs::write(folder.join("compare.json"), text))
        .and_then(|()| std::fs::write(folder.join("compare.svg"), table.picture()))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    println!("written to {}", folder.display());
    let missed = table.missed();
    for line in &missed {
        println!("missed: {line}");
    }
    Ok(missed.is_empty())
}
