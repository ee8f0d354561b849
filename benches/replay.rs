//! Drives recorded traffic through Schoolgate, and through Debian's Squid with the same names, people
//! and levels, in turn, and says what each request cost.
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

mod cases;
mod child;
mod lists;
mod load;
mod measure;
mod origin;
mod report;
mod school;
mod schoolgate;
mod squid;
mod trace;
mod wire;

use cases::{Case, Drive, PLAIN_HOST, SQUID_URL_BYTES};
use child::{Pinning, Started};
use clap::Parser;
use lists::List;
use load::Tally;
use report::{Report, Round};
use school::School;
use schoolgate::Schoolgate;
use serde_json::json;
use squid::Squid;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use trace::Trace;

/// Longest wait for a proxy to finish what it put off.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// Replays recorded requests through Schoolgate and Squid.
#[derive(Debug, Parser)]
#[command(name = "replay")]
struct Options {
    /// Requests: the table har_requests.tsv(.gz), any HAR, or a Squid native access log; without it
    /// the shared trace (SCHOOLGATE_SHARED, or ../shared/data beside the checkout)
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
    /// Rounds of each case through each proxy, in turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of a made-up case's round
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
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
    /// The Squid program
    #[arg(long, value_name = "FILE", default_value = "/usr/sbin/squid")]
    squid: PathBuf,
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

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.origin {
        Some(listen) => origin::run(listen).map(|()| true).map_err(|error| error.to_string()),
        None => run(&options),
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
    if with_squid && !options.squid.exists() {
        return Err(format!(
            "{} is missing\n  fix: apt-get install squid, or run with --only schoolgate",
            options.squid.display()
        ));
    }
    let folder = tempfile::Builder::new().prefix("replay").tempdir().map_err(|e| e.to_string())?;
    open_to_all(folder.path())?;
    let mut report = Report::default();
    let mut stage = set_up(options, with_squid, folder.path(), &mut report)?;

    let mut decisions = 0;
    let mut squid_lines = 0;
    for &case in &cases {
        let direct = stage.play(case, "direct", None, stage.origin)?;
        report.add(direct);
        for number in 0..options.rounds {
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
        decisions += reload(&mut stage, options.reloads, &mut report)?;
    }
    conclude(&stage, decisions, squid_lines, options, &mut report)?;
    if let Some(mut schoolgate) = stage.schoolgate.take() {
        schoolgate.process.stop(Duration::from_secs(15));
    }
    write_results(&report, options)
}

fn set_up(
    options: &Options,
    with_squid: bool,
    folder: &Path,
    report: &mut Report,
) -> Result<Stage, String> {
    let shared = shared_folder();
    let input = options.input.clone().or_else(|| {
        Some(shared.as_ref()?.join("traces/har_requests.tsv.gz")).filter(|path| path.exists())
    });
    let input = input.ok_or("no trace\n  fix: give one with --input FILE (HAR or Squid log)")?;
    let mut trace = trace::read(&input)?;
    let recorded = trace.requests.len();
    if with_squid {
        trace.requests.retain(|request| request.path_and_query.len() < SQUID_URL_BYTES);
    }
    for request in &mut trace.requests {
        // A bare address would be dialled as it is; a name of its own leads to the origin instead.
        if request.host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() {
            let name = request.host.trim_matches(['[', ']']).replace(['.', ':'], "-");
            request.host = format!("address-{name}.test");
        }
    }
    let mut hosts: BTreeSet<String> =
        trace.requests.iter().map(|request| request.host.clone()).collect();
    let line = format!(
        "trace {}: {recorded} requests to {} hosts; left out: {} that never went to a network, {} too long for Squid",
        input.file_name().unwrap_or_default().to_string_lossy(),
        hosts.len(),
        trace.skipped,
        recorded - trace.requests.len()
    );
    report.fact("trace", line, json!({ "requests": trace.requests.len(), "hosts": hosts.len() }));
    hosts.insert(PLAIN_HOST.to_owned());
    let lists = choose_lists(options, shared.as_deref(), &hosts, folder)?;
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
    let (origin_process, origin) = start_origin()?;
    let drive = Drive {
        connections: options.connections,
        length: Duration::from_secs(options.seconds),
        passes: options.passes,
        tunnels: options.connect,
        origin_port: origin.port(),
    };
    let schoolgate = match options.only.as_deref() {
        Some("squid") => None,
        _ => Some(start_schoolgate(options, folder, &lists, &school, origin, &pinning)?),
    };
    let squid = match with_squid {
        true => Some(Squid::start(&squid::Setting {
            binary: &options.squid,
            folder: &folder.join("squid"),
            lists: &lists,
            school: &school,
            workers: options.workers,
            pinning: &pinning,
        })?),
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
        None => build()?,
    };
    Schoolgate::start(&schoolgate::Setting {
        binary: &binary,
        folder: &folder.join("schoolgate"),
        lists,
        school,
        workers: options.workers,
        origin_port: origin.port(),
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
            measure::settle(pid, SETTLE_LIMIT);
        }
        let before = cpu();
        let tally = load::run(&load, &|| false).map_err(|error| error.to_string())?;
        if let Some(pid) = pid {
            measure::settle(pid, SETTLE_LIMIT);
        }
        let cpu_ns = cpu().saturating_sub(before);
        Ok(Round { case: case.as_str(), through, tally, cpu_ns })
    }
}

/// Reloads so often while kept connections ask on; returns the decisions taken meanwhile.
fn reload(stage: &mut Stage, times: usize, report: &mut Report) -> Result<u64, String> {
    let Some(schoolgate) = &stage.schoolgate else { return Ok(0) };
    let mut drive = stage.drive;
    drive.length = Duration::from_secs(600);
    let load = drive.load(Case::Get1k, &stage.trace, &stage.school, schoolgate.address, false);
    let done = AtomicBool::new(false);
    let (tally, reloaded): (Result<Tally, String>, Result<(), String>) =
        std::thread::scope(|scope| {
            let reloads = scope.spawn(|| {
                let outcome = (1..=times).try_for_each(|number| {
                    std::thread::sleep(Duration::from_millis(300));
                    schoolgate.reload(number)
                });
                std::thread::sleep(Duration::from_millis(500));
                done.store(true, Ordering::Relaxed);
                outcome
            });
            let tally = load::run(&load, &|| done.load(Ordering::Relaxed));
            let reloaded = reloads.join().unwrap_or_else(|_| Err("the reloads panicked".into()));
            (tally.map_err(|error| error.to_string()), reloaded)
        });
    let tally = tally?;
    reloaded?;
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
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let pids = [
        ("schoolgate", stage.schoolgate.as_ref().map(|it| it.process.pid())),
        ("squid", stage.squid.as_ref().map(|it| it.process.pid())),
    ];
    for (name, pid) in pids {
        let Some(pid) = pid else { continue };
        let usage = measure::usage(pid);
        let line = format!(
            "{name}: {:.1} MB resident ({:.1} MB of it not from files), peak {:.1} MB, proportional {:.1} MB",
            megabytes(usage.rss_bytes),
            megabytes(usage.anonymous_bytes),
            megabytes(usage.rss_peak_bytes),
            megabytes(usage.pss_bytes)
        );
        let value = json!({
            "rss_bytes": usage.rss_bytes, "rss_peak_bytes": usage.rss_peak_bytes,
            "pss_bytes": usage.pss_bytes, "anonymous_bytes": usage.anonymous_bytes,
        });
        if name == "schoolgate" {
            let holds = usage.rss_peak_bytes <= 150_000_000;
            report.target(
                "memory schoolgate",
                holds,
                format!("{line}; target peak at most 150 MB"),
                value,
            );
        } else {
            report.fact("memory squid", line, value);
        }
    }
    if let Some(schoolgate) = &stage.schoolgate {
        let records = schoolgate.records()?;
        let line = format!(
            "schoolgate: {} decisions, {} records, {} codes repeated; one record a request",
            decisions, records.count, records.repeated
        );
        let holds = records.count == decisions && records.repeated == 0;
        let value = json!({ "decisions": decisions, "records": records.count, "by_reason": records.by_reason });
        report.target("records", holds, line, value);
        for (reason, count) in &records.by_reason {
            report.fact(
                &format!("verdict {reason}"),
                format!("schoolgate: {count} {reason}"),
                json!(count),
            );
        }
    }
    if let Some(squid) = &stage.squid {
        let line = format!("squid: {squid_lines} decisions, {} lines logged", squid.records());
        report.fact("squid_records", line, json!(squid.records()));
    }
    if options.only.is_none() {
        report.compare();
    }
    Ok(())
}

fn write_results(report: &Report, options: &Options) -> Result<bool, String> {
    let markdown = report.markdown();
    println!("{markdown}");
    let folder = match &options.out {
        Some(folder) => folder.clone(),
        None => build_folder()?.join("replay-results"),
    };
    let text = serde_json::to_string_pretty(&report.json()).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join("replay.md"), &markdown))
        .and_then(|()| std::fs::write(folder.join("replay.json"), text))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    println!("written to {}", folder.display());
    for missed in report.missed() {
        println!("missed: {missed}");
    }
    Ok(report.missed().is_empty())
}

fn choose_lists(
    options: &Options,
    shared: Option<&Path>,
    hosts: &BTreeSet<String>,
    folder: &Path,
) -> Result<Vec<List>, String> {
    match &options.lists {
        Some(none) if none.as_os_str() == "none" => lists::made_up(hosts, &folder.join("lists")),
        Some(given) => lists::find(&std::path::absolute(given).map_err(|error| error.to_string())?),
        None => match shared.map(|shared| shared.join("lists")).filter(|path| path.exists()) {
            Some(path) => lists::find(&path),
            None => lists::made_up(hosts, &folder.join("lists")),
        },
    }
}

/// The folder of real test data, where there is one.
fn shared_folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("SCHOOLGATE_SHARED").map_or(beside, PathBuf::from);
    folder.canonicalize().ok()
}

/// The folder that this program was built into (`.../release`).
fn build_folder() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = program.ancestors().nth(2).ok_or("this program stands in no build folder")?;
    Ok(folder.to_owned())
}

/// Builds the product in release mode beside this program, so that what is measured is never stale.
fn build() -> Result<PathBuf, String> {
    let folder = build_folder()?;
    let target = folder.parent().ok_or("this program stands in no build folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "-p", "admin-cli", "--bin", "schoolgate", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("cargo build: {status}"));
    }
    Ok(target.join("release/schoolgate"))
}

fn start_origin() -> Result<(Started, SocketAddr), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["--origin", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Started::new(&mut command, &[], &[]).map_err(|error| error.to_string())?;
    let mut line = String::new();
    if let Some(output) = process.child().stdout.take() {
        BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
    }
    let address = line.trim().strip_prefix("listening ").and_then(|text| text.parse().ok());
    Ok((process, address.ok_or("the replay origin did not start")?))
}

/// Squid gives up root's rights and must still reach its files.
fn open_to_all(folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("{}: {error}", folder.display()))
}
