//! Drives recorded traffic through Schoolgate, and through Debian's Squid with the same names, people
//! and levels, in turn, and says what each request cost. Squid is fetched once and not installed.
//!
//! ```text
//! cargo bench --bench replay -- --help
//! ```
//!
//! The origin and the load generator run beside the proxy on processors of their own where there are
//! enough, so that what is charged to a proxy is the proxy's. Nothing leaves this machine.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints what it found"
)]
#![allow(dead_code, reason = "the parts serve several benches, none of which needs all of each")]

mod cases;
mod child;
mod debian;
mod family;
mod lists;
mod load;
mod measure;
mod origin;
mod peers;
mod reload;
mod report;
mod school;
mod schoolgate;
mod squid;
mod stage;
mod trace;
mod wire;

use cases::{Case, Drive, PLAIN_HOST};
use child::{Pinning, Started};
use clap::Parser;
use lists::List;
use report::{Report, Round};
use school::School;
use schoolgate::Schoolgate;
use serde_json::json;
use squid::Squid;
use stage::Material;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use trace::Trace;

/// URLs that `check -` is asked about.
const CHECKS: usize = 500_000;

/// Replays recorded requests through Schoolgate and Squid.
#[derive(Debug, Parser)]
#[command(name = "replay")]
struct Options {
    /// Requests: the table har_requests.tsv(.gz), any HAR, or a Squid native access log; without it
    /// the shared trace (SCHOOLGATE_SHARED, or ../shared/data beside the checkout), else a small one
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Block lists, as SOURCE/CATEGORY folders of squidGuard files; without it the shared ones,
    /// `none` makes up small ones from the trace
    #[arg(long, value_name = "DIR|none")]
    lists: Option<PathBuf>,
    /// Cases, separated by commas: trace, get-1k, get-1k-new, get-16k, connect-1k
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "trace,get-1k,get-1k-new,get-16k,connect-1k"
    )]
    cases: Vec<String>,
    /// Rounds of each case through each proxy, in turn; without it 3, with --quick 1
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Seconds of a made-up case's round; without it 3, with --quick 1
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// One round of a second: shows that all works, and little more
    #[arg(long)]
    quick: bool,
    /// How often a round of the trace plays it through
    #[arg(long, default_value_t = 2)]
    passes: usize,
    /// Connections at a time
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Worker threads of Schoolgate, worker processes of Squid
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Send the trace's https requests through CONNECT tunnels instead of as plain http
    #[arg(long)]
    connect: bool,
    /// Reload everything so often under load: signal, policy file, a site closed and opened
    #[arg(long, default_value_t = 0, value_name = "TIMES")]
    reloads: usize,
    /// Only this proxy: schoolgate or squid
    #[arg(long, value_parser = ["schoolgate", "squid"])]
    only: Option<String>,
    /// The schoolgate program; without it a release build is made
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The Squid program; without it Debian's squid-openssl is fetched and not installed, as for `compare`
    #[arg(long, value_name = "FILE")]
    squid: Option<PathBuf>,
    /// Share the processors instead of giving the proxy its own
    #[arg(long)]
    no_pinning: bool,
    /// Where results go; without it a folder beside the build
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Be the origin (used by the replay itself)
    #[arg(long, hide = true, value_name = "ADDRESS")]
    origin: Option<SocketAddr>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }

    fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.quick { 1 } else { 3 }))
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.origin {
        Some(listen) => origin::run(listen, None).map(|()| true).map_err(|error| error.to_string()),
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

/// Everything a round needs.
struct Stage {
    school: School,
    trace: Trace,
    drive: Drive,
    schoolgate: Option<Schoolgate>,
    squid: Option<Squid>,
    origin: SocketAddr,
    _origin_process: Started,
}

/// Runs the cases; `false` if a target was missed.
fn run(options: &Options) -> Result<bool, String> {
    let cases: Vec<Case> = options
        .cases
        .iter()
        .map(|word| Case::from_word(word).ok_or(format!("no case called \"{word}\"")))
        .collect::<Result<_, _>>()?;
    let with_squid = options.only.as_deref() != Some("schoolgate");
    if let Some(missing) = options.squid.as_ref().filter(|path| with_squid && !path.exists()) {
        return Err(format!(
            "{} is missing\n  fix: leave out --squid, or run with --only schoolgate",
            missing.display()
        ));
    }
    let folder = tempfile::Builder::new().prefix("replay").tempdir().map_err(|e| e.to_string())?;
    stage::open_to_all(folder.path())?;
    let mut report = Report::new("Replay");
    let mut stage = set_up(options, with_squid, folder.path(), &mut report)?;

    let mut decisions = 0;
    let mut squid_lines = 0;
    for &case in &cases {
        let direct = stage.play(case, "direct", None, stage.origin)?;
        report.add(direct);
        for number in 0..options.rounds() {
            // The order changes, so that neither proxy is always first.
            let mut order = ["schoolgate", "squid"];
            order.rotate_left(number as usize % 2);
            for through in order {
                let proxy = match through {
                    "squid" => stage.squid.as_ref().map(|it| (it.process.pid(), it.address)),
                    _ => stage.schoolgate.as_ref().map(|it| (it.process.pid(), it.address)),
                };
                let Some((pid, address)) = proxy else { continue };
                let round = stage.play(case, through, Some(pid), address)?;
                match through {
                    "squid" => squid_lines += round.tally.decisions,
                    _ => decisions += round.tally.decisions,
                }
                report.add(round);
            }
        }
    }
    if options.reloads > 0 {
        decisions += reload_often(&mut stage, options.reloads, &mut report)?;
    }
    conclude(&stage, decisions, squid_lines, options, &mut report)?;
    if let Some(mut schoolgate) = stage.schoolgate.take() {
        schoolgate.process.stop(Duration::from_secs(15));
    }
    report.write("replay", options.out.as_deref())
}

fn set_up(
    options: &Options,
    with_squid: bool,
    folder: &Path,
    report: &mut Report,
) -> Result<Stage, String> {
    let Material { trace, mut hosts } =
        stage::material(options.input.as_deref(), with_squid, report)?;
    hosts.insert(PLAIN_HOST.to_owned());
    let lists = stage::choose_lists(options.lists.as_deref(), &hosts, folder)?;
    let school = School::new(hosts);

    let pinning = match options.no_pinning {
        true => Pinning::default(),
        false => Pinning::for_workers(options.workers),
    };
    Pinning::pin(&pinning.rest);
    report.fact(
        "setting",
        format!(
            "{} lists, {} worker(s) on {}, {} connections",
            lists.len(),
            options.workers,
            if pinning.proxy.is_empty() { "shared processors" } else { "their own processor" },
            options.connections
        ),
        json!({ "workers": options.workers, "pinned": !pinning.proxy.is_empty(), "lists": lists.len() }),
    );
    let (origin_process, listening) = stage::start_origin(&[])?;
    let origin = *listening.first().ok_or("the origin did not start")?;
    let drive = Drive {
        connections: options.connections,
        length: options.length(),
        passes: options.passes,
        tunnels: options.connect,
        origin_port: origin.port(),
    };
    let schoolgate = match options.only.as_deref() {
        Some("squid") => None,
        _ => Some(start_schoolgate(options, folder, &lists, &school, origin, &pinning)?),
    };
    let squid = match with_squid {
        true => Some(start_squid(options, folder, &lists, &school, &pinning)?),
        false => None,
    };
    say_readiness(schoolgate.as_ref(), squid.as_ref(), &lists, report);
    Ok(Stage { school, trace, drive, schoolgate, squid, origin, _origin_process: origin_process })
}

fn say_readiness(
    schoolgate: Option<&Schoolgate>,
    squid: Option<&Squid>,
    lists: &[List],
    report: &mut Report,
) {
    if let Some(it) = schoolgate {
        let seconds = it.ready_after.as_secs_f64();
        report.fact(
            "first_start",
            format!(
                "schoolgate: {:.2} s to the first readiness, compiling {} lists; index {:.1} MB",
                it.first_ready_after.as_secs_f64(),
                lists.len(),
                it.index_bytes() as f64 / 1e6
            ),
            json!({ "seconds": it.first_ready_after.as_secs_f64(), "index_bytes": it.index_bytes() }),
        );
        let line = format!(
            "schoolgate: ready {seconds:.3} s after start with a compiled index; target 1 s"
        );
        report.target("ready_seconds", seconds <= 1.0, line, json!(seconds));
    }
    if let Some(it) = squid {
        let seconds = it.ready_after.as_secs_f64();
        let line = format!("squid: listening {seconds:.3} s after start, {} names", it.names);
        report.fact("squid_ready_seconds", line, json!(seconds));
    }
}

fn start_squid(
    options: &Options,
    folder: &Path,
    lists: &[List],
    school: &School,
    pinning: &Pinning,
) -> Result<Squid, String> {
    let fetched;
    let program = match &options.squid {
        Some(path) => squid::Program::Installed(path),
        None => {
            fetched = peers::squid_openssl(&stage::build_folder()?.join("bench-peers"))?;
            squid::Program::Unpacked(&fetched)
        }
    };
    Squid::start(&squid::Setting {
        program,
        folder: &folder.join("squid"),
        lists,
        school,
        workers: options.workers,
        bump: None,
        pinning,
    })
}

fn start_schoolgate(
    options: &Options,
    folder: &Path,
    lists: &[List],
    school: &School,
    origin: SocketAddr,
    pinning: &Pinning,
) -> Result<Schoolgate, String> {
    let binary = match &options.binary {
        Some(binary) => std::path::absolute(binary).map_err(|error| error.to_string())?,
        None => stage::build()?,
    };
    Schoolgate::start(&schoolgate::Setting {
        binary: &binary,
        folder: &folder.join("schoolgate"),
        lists,
        school,
        workers: options.workers,
        origin_port: origin.port(),
        tls_port: None,
        inspection: None,
        pinning,
    })
}

impl Stage {
    /// One round of one case; the proxy is quiet before and after.
    fn play(
        &self,
        case: Case,
        through: &'static str,
        pid: Option<u32>,
        target: SocketAddr,
    ) -> Result<Round, String> {
        let load = self.drive.load(case, &self.trace, &self.school, target, pid.is_none());
        let cpu = || pid.map_or(0, |pid| measure::usage(pid).cpu_ns);
        if let Some(pid) = pid {
            measure::settle(pid, stage::SETTLE_LIMIT);
        }
        let before = cpu();
        let tally = load::run(&load, &|| false).map_err(|error| error.to_string())?;
        if let Some(pid) = pid {
            measure::settle(pid, stage::SETTLE_LIMIT);
        }
        let cpu_ns = cpu().saturating_sub(before);
        Ok(Round { case: case.as_str(), through, tally, cpu_ns })
    }
}

/// Reloads so often while kept connections ask on; returns the decisions taken meanwhile.
fn reload_often(stage: &mut Stage, times: usize, report: &mut Report) -> Result<u64, String> {
    let Some(schoolgate) = &stage.schoolgate else { return Ok(0) };
    let mut drive = stage.drive;
    drive.length = Duration::from_secs(600);
    let load = drive.load(Case::Get1k, &stage.trace, &stage.school, schoolgate.address, false);
    let (tally, ()) = reload::under_load(&load, || {
        (1..=times).try_for_each(|number| {
            std::thread::sleep(Duration::from_millis(300));
            schoolgate.reload(number)
        })
    })?;
    let line = format!(
        "{times} reloads (signal, policy file, site closed and opened) under {} requests: {} failed {:?}; target 0",
        tally.requests(),
        tally.failed,
        tally.failures
    );
    let value = json!({ "times": times, "requests": tally.requests(), "failed": tally.failed });
    report.target("reloads", tally.failed == 0, line, value);
    Ok(tally.decisions)
}

/// Memory, the logs and the ratios.
fn conclude(
    stage: &Stage,
    decisions: u64,
    squid_lines: u64,
    options: &Options,
    report: &mut Report,
) -> Result<(), String> {
    if let Some(it) = &stage.schoolgate {
        report.memory("schoolgate", it.process.pid(), Some(150));
    }
    if let Some(it) = &stage.squid {
        report.memory("squid", it.process.pid(), None);
    }
    if let Some(schoolgate) = &stage.schoolgate {
        report.records(&schoolgate.records()?, decisions);
        let rate = schoolgate.checks_a_second(&stage.trace.requests, CHECKS)?;
        let line =
            format!("schoolgate: check - --jsonl answers {rate:.0} URLs a second; target 50000");
        report.target("checks_a_second", rate >= 50_000.0, line, json!(rate));
    }
    if let Some(squid) = &stage.squid {
        let line = format!("squid: {squid_lines} decisions, {} lines logged", squid.records());
        report.fact("squid_records", line, json!(squid.records()));
    }
    if options.only.is_none() {
        report.compare("squid", Some(&|_| 1.0));
    }
    Ok(())
}
