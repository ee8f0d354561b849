//! Minutes of mixed traffic, and of peers that mean no good, through one Schoolgate; then says what
//! was left behind: memory, open files, connections, records.
//!
//! ```text
//! cargo bench --bench soak -- --help
//! ```
//!
//! Ordinary traffic is the recorded trace: as plain http, through tunnels that are looked into and
//! tunnels that are not, over HTTP/1.1 and HTTP/2. Each kind of hostile peer has an address of its
//! own, so that its records can be counted. Nothing leaves this machine.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints what it found"
)]
#![allow(dead_code, reason = "the parts serve several benches, none of which needs all of each")]

mod cases;
mod child;
mod family;
mod h2_load;
mod hostile;
mod lists;
mod load;
mod measure;
mod origin;
mod report;
mod school;
mod schoolgate;
mod sites;
mod stage;
mod trace;
mod watch;
mod wire;

use cases::{Drive, PLAIN_HOST};
use child::Pinning;
use clap::Parser;
use h2_load::H2Load;
use hostile::Hostile;
use load::{Inside, Load, Tally, Until};
use report::Report;
use school::School;
use schoolgate::Schoolgate;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_rustls::rustls::ClientConfig;
use trace::Trace;
use watch::{Sample, Watch};

/// Waits so short that a run of minutes sees what takes hours otherwise.
const LIMITS: &str = "client_idle_timeout_ms = 20000\nheader_read_timeout_ms = 4000\n\
                      pool_idle_timeout_ms = 5000\ntunnel_idle_timeout_ms = 20000\n\
                      body_idle_timeout_ms = 8000\nresponse_header_timeout_ms = 20000\n";

/// Longest that everything may take to be let go of once the peers are gone: the longest of those
/// waits, and then some.
const DRAIN_LIMIT: Duration = Duration::from_secs(45);

/// Open files more than at the start that are no leak: the log's own come and go.
const FILES_SPARE: usize = 2;

/// Minutes of mixed and hostile traffic.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Options {
    /// Length of the traffic
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(5..=86_400))]
    seconds: u64,
    /// Ordinary connections at a time, of each kind
    #[arg(long, default_value_t = 12)]
    connections: usize,
    /// Pause of an ordinary connection between two requests, in milliseconds
    #[arg(long, default_value_t = 10)]
    pause_ms: u64,
    /// Connections that say nothing, at a time
    #[arg(long, default_value_t = 2_000)]
    idle: usize,
    /// Seconds between two reloads of everything
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    reload_seconds: u64,
    /// Worker threads
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Requests as in the replay bench
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Block lists as in the replay bench
    #[arg(long, value_name = "DIR|none")]
    lists: Option<PathBuf>,
    /// The schoolgate program; without it a release build is made
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
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

fn main() -> ExitCode {
    let options = Options::parse();
    raise_file_limit();
    let outcome = match options.origin {
        Some(listen) => sites::server(&options.sites, true)
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

/// Thousands of connections need as many open files, here and in the processes started from here.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // With fewer, the connections that fail show.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Everything that the traffic needs.
struct Stage {
    school: School,
    trace: Trace,
    plain: SocketAddr,
    secure: SocketAddr,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

/// What the traffic was.
#[derive(Default)]
struct Played {
    ordinary: Vec<(&'static str, Tally)>,
    hostile: Vec<hostile::Done>,
    reloads: usize,
    reload_fault: Option<String>,
}

fn run(options: &Options) -> Result<bool, String> {
    let folder = tempfile::Builder::new().prefix("soak").tempdir().map_err(|e| e.to_string())?;
    let folder = folder.path();
    let mut report = Report::new("Soak");
    let material = stage::material(options.input.as_deref(), false, &mut report)?;
    let mut hosts = material.hosts;
    hosts.insert(PLAIN_HOST.to_owned());
    let lists = stage::choose_lists(options.lists.as_deref(), &hosts, folder)?;
    let lines: Vec<&str> = hosts.iter().map(String::as_str).collect();
    std::fs::write(folder.join(sites::HOSTS), lines.join("\n")).map_err(|e| e.to_string())?;
    let school = School::new(hosts);
    let (_origin, listening) =
        stage::start_origin(&["--sites", folder.to_str().ok_or("a folder that is no text")?])?;
    let [plain, secure] = listening[..] else { return Err("the origin has one address".into()) };
    let authority = folder.join(sites::AUTHORITY);
    let binary = match &options.binary {
        Some(binary) => std::path::absolute(binary).map_err(|error| error.to_string())?,
        None => stage::build()?,
    };
    let mut schoolgate = Schoolgate::start(&schoolgate::Setting {
        binary: &binary,
        folder: &folder.join("schoolgate"),
        lists: &lists,
        school: &school,
        workers: options.workers,
        origin_port: plain.port(),
        tls_port: Some(secure.port()),
        inspection: Some(schoolgate::Inspection {
            sites: &authority,
            guests: false,
            limits: LIMITS,
        }),
        pinning: &Pinning::default(),
    })?;
    let own = schoolgate.authority()?;
    let sites_pem = std::fs::read(&authority).map_err(|error| error.to_string())?;
    // A guest sees the site's own certificate, everybody else ours.
    let tls = |alpn| sites::client(&[&own, &sites_pem], alpn).map(Arc::new);
    let (http1, http2) = (tls("http/1.1")?, tls("h2")?);
    let stage = Stage { school, trace: material.trace, plain, secure, http1, http2 };

    let mut played = Played::default();
    // What is opened once and kept, such as the day's log, belongs to the start.
    played
        .ordinary
        .push(("warm-up", stage.ordinary(&schoolgate, Duration::from_secs(2), options)?));
    let (_, start) = drained(&schoolgate, None);
    eprintln!("  start: {start}");
    let length = Duration::from_secs(options.seconds);
    let watch = Watch::new((length / 120).clamp(Duration::from_secs(1), Duration::from_secs(30)));
    let samples = std::thread::scope(|scope| {
        watch.run(scope, &schoolgate);
        let outcome = stage.play(&schoolgate, length, options, &mut played);
        let samples = watch.finish();
        outcome.map(|()| samples)
    })?;
    let (drain, end) = drained(&schoolgate, Some(&start));
    eprintln!("  end: {end}");

    let folder = match &options.out {
        Some(out) => out.clone(),
        None => stage::build_folder()?.join("soak-results"),
    };
    write_samples(&folder, &samples)?;
    judge_rest(&start, &end, drain, &samples, &mut report);
    judge_records(&schoolgate, &played, &mut report)?;
    if let Some(status) = schoolgate.process.ended() {
        report.target("alive", false, format!("the proxy ended: {status}"), json!(status));
    }
    schoolgate.process.stop(Duration::from_secs(15));
    report.write("soak", Some(&folder))
}

/// Waits until nothing is open, and no more files than at the start; gives what it took and what
/// is left.
fn drained(schoolgate: &Schoolgate, start: Option<&Sample>) -> (Duration, Sample) {
    let begun = Instant::now();
    loop {
        let sample = Sample::take(schoolgate, begun.elapsed());
        let files = start.map_or(usize::MAX, |start| start.files + FILES_SPARE);
        if sample.is_quiet() && sample.files <= files || begun.elapsed() > DRAIN_LIMIT {
            return (begun.elapsed(), sample);
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

impl Stage {
    /// Everything at once, for so long.
    fn play(
        &self,
        schoolgate: &Schoolgate,
        length: Duration,
        options: &Options,
        played: &mut Played,
    ) -> Result<(), String> {
        let hostile = Hostile {
            proxy: schoolgate.address,
            plain: self.plain.port(),
            secure: self.secure.port(),
            credentials: self.school.person(0).credentials,
            http1: Arc::clone(&self.http1),
            http2: Arc::clone(&self.http2),
            idle: options.idle,
        };
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let ordinary = scope.spawn(|| self.ordinary_by_kind(schoolgate, length, options));
            let hostile = scope.spawn(|| hostile.run(length));
            let reloads = scope.spawn(|| {
                let mut times = 0;
                let mut waited = Duration::ZERO;
                while !ended.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(200));
                    waited += Duration::from_millis(200);
                    if waited >= Duration::from_secs(options.reload_seconds) {
                        waited = Duration::ZERO;
                        times += 1;
                        if let Err(what) = schoolgate.reload(times) {
                            return (times, Some(what));
                        }
                    }
                }
                (times, None)
            });
            let panicked = |_| "a thread of the bench panicked".to_owned();
            let tallies = ordinary.join().map_err(panicked);
            let done = hostile.join().map_err(panicked);
            ended.store(true, Ordering::Relaxed);
            (played.reloads, played.reload_fault) = reloads.join().map_err(panicked)?;
            played.ordinary.extend(tallies??);
            played.hostile = done?.map_err(|error| error.to_string())?;
            Ok(())
        })
    }

    /// All kinds of ordinary traffic together.
    fn ordinary(
        &self,
        schoolgate: &Schoolgate,
        length: Duration,
        options: &Options,
    ) -> Result<Tally, String> {
        let mut sum = Tally::default();
        for (_, tally) in self.ordinary_by_kind(schoolgate, length, options)? {
            sum.allowed += tally.allowed;
            sum.blocked += tally.blocked;
            sum.failed += tally.failed;
            sum.decisions += tally.decisions;
            sum.failures.extend(tally.failures);
        }
        Ok(sum)
    }

    fn ordinary_by_kind(
        &self,
        schoolgate: &Schoolgate,
        length: Duration,
        options: &Options,
    ) -> Result<Vec<(&'static str, Tally)>, String> {
        let target = schoolgate.address;
        let panicked = |_| "a thread of the bench panicked".to_owned();
        std::thread::scope(|scope| {
            let plain = scope.spawn(move || self.requests(target, length, options, false));
            let tunnels = scope.spawn(move || self.requests(target, length, options, true));
            let streams = scope.spawn(move || self.streams(target, length));
            Ok(vec![
                ("plain http", plain.join().map_err(panicked)?.map_err(|e| e.to_string())?),
                ("tunnels", tunnels.join().map_err(panicked)?.map_err(|e| e.to_string())?),
                ("HTTP/2", streams.join().map_err(panicked)?.map_err(|e| e.to_string())?),
            ])
        })
    }

    /// The trace, over and over.
    fn requests(
        &self,
        target: SocketAddr,
        length: Duration,
        options: &Options,
        tunnels: bool,
    ) -> std::io::Result<Tally> {
        let drive = Drive {
            connections: options.connections,
            length,
            passes: 1,
            tunnels,
            origin_port: if tunnels { self.secure.port() } else { self.plain.port() },
        };
        let mut trace = Trace::default();
        let taken = self.trace.requests.iter().filter(|request| request.https || !tunnels);
        trace.requests.extend(taken.cloned());
        let people = drive.trace_queues(&trace, false).into_iter().enumerate();
        let load = Load {
            target,
            queues: people.map(|(number, queue)| (self.school.person(number), queue)).collect(),
            until: Until::Elapsed(length),
            new_connections: false,
            inside: match tunnels {
                true => Inside::Tls(Arc::clone(&self.http1)),
                false => Inside::Plain,
            },
            bare: false,
            pause: Duration::from_millis(options.pause_ms),
        };
        load::run(&load, &|| false)
    }

    /// HTTP/2, a new set of connections every two seconds.
    fn streams(&self, target: SocketAddr, length: Duration) -> std::io::Result<Tally> {
        let begun = Instant::now();
        let mut sum = Tally::default();
        let hosts: Vec<&String> = self.school.hosts.iter().collect();
        let mut next = 0;
        while begun.elapsed() < length {
            // Guests (every fifth) have tunnels of their own kind.
            let signed_in = (0..5).filter(|number| number % 5 != 4);
            let connections = signed_in.map(|number| {
                next += 1;
                let host = hosts[next % hosts.len()].clone();
                (self.school.person(number), host, self.secure.port())
            });
            let load = H2Load {
                target,
                tls: Arc::clone(&self.http2),
                connections: connections.collect(),
                streams: 4,
                body_bytes: 16 * 1024,
                length: Duration::from_secs(2).min(length.saturating_sub(begun.elapsed())),
                pause: Duration::from_millis(20),
            };
            let tally = h2_load::run(&load)?;
            sum.allowed += tally.allowed;
            sum.blocked += tally.blocked;
            sum.failed += tally.failed;
            sum.decisions += tally.decisions;
            sum.failures.extend(tally.failures.into_iter().take(5));
        }
        Ok(sum)
    }
}

fn write_samples(folder: &Path, samples: &[Sample]) -> Result<(), String> {
    let mut text = Sample::HEADER.to_owned();
    for sample in samples {
        text.push_str(&sample.row());
    }
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join("soak.csv"), text))
        .map_err(|error| format!("{}: {error}", folder.display()))
}

/// Holds what is left against what there was.
fn judge_rest(
    start: &Sample,
    end: &Sample,
    drain: Duration,
    samples: &[Sample],
    report: &mut Report,
) {
    let most = |of: fn(&Sample) -> u64| samples.iter().map(of).max().unwrap_or(0);
    let line = format!(
        "at most: {:.1} MB resident, {} files, {} threads, {} connections, {} exchanges, {} tunnels, {} waiting to sites",
        most(|it| it.rss_bytes) as f64 / 1e6,
        most(|it| it.files as u64),
        most(|it| it.threads),
        most(|it| it.connections),
        most(|it| it.exchanges),
        most(|it| it.tunnels),
        most(|it| it.idle_upstreams),
    );
    report.fact("peak", line, json!({ "rss_bytes": most(|it| it.rss_bytes) }));
    let seconds = drain.as_secs_f64();
    let line = format!("{seconds:.1} s after the last peer left: {end}; target nothing open");
    report.target("drained", end.is_quiet(), line, json!(seconds));
    let line = format!(
        "open files: {} at the start, {} at the end; target {FILES_SPARE} more at most",
        start.files, end.files
    );
    let holds = end.files <= start.files + FILES_SPARE;
    report.target("files", holds, line, json!({ "start": start.files, "end": end.files }));
    let line = format!(
        "threads: {} at the start, {} at the end; target as many",
        start.threads, end.threads
    );
    report.target("threads", end.threads <= start.threads, line, json!(end.threads));
    // Caches fill in the first third, if that is a minute at least.
    let later = &samples[samples.len() / 3..];
    let growth = watch::growth(later);
    let bound = (0.05 * start.rss_bytes as f64).max(5e6);
    let line = format!(
        "memory over the last two thirds: {:+.2} MB along its trend ({:.1} MB at the start, {:.1} MB at the end); target {:.1} MB at most",
        growth / 1e6,
        start.rss_bytes as f64 / 1e6,
        end.rss_bytes as f64 / 1e6,
        bound / 1e6
    );
    report.target("memory", growth <= bound, line, json!(growth));
}

/// Holds the log against what was asked.
fn judge_records(
    schoolgate: &Schoolgate,
    played: &Played,
    report: &mut Report,
) -> Result<(), String> {
    let mut decisions = 0;
    for (kind, tally) in &played.ordinary {
        decisions += tally.decisions;
        let line = format!(
            "{kind}: {} requests, {} blocked, {} failed {:?}; target 0 failed",
            tally.requests(),
            tally.blocked,
            tally.failed,
            tally.failures.iter().take(5).collect::<Vec<_>>()
        );
        report.target(&format!("ordinary {kind}"), tally.failed == 0, line, json!(tally.failed));
    }
    let line = match &played.reload_fault {
        None => format!("{} reloads; target no fault", played.reloads),
        Some(what) => format!("reload {}: {what}; target no fault", played.reloads),
    };
    report.target("reloads", played.reload_fault.is_none(), line, json!(played.reloads));
    let records = schoolgate.records()?;
    let of = |client: &str| records.by_client.get(client).copied().unwrap_or(0);
    let mut hostile_records = 0;
    for done in &played.hostile {
        let found: u64 = done.addresses().iter().map(|address| of(address)).sum();
        hostile_records += found;
        let expected = match done.least == done.most {
            true => done.least.to_string(),
            false => format!("{} to {}", done.least, done.most),
        };
        let line = format!(
            "{}: {} times, {} odd {:?}; {found} records, target {expected}",
            done.name, done.times, done.odd, done.oddities
        );
        let holds = (done.least..=done.most).contains(&found) && done.odd == 0;
        report.target(&format!("hostile {}", done.name), holds, line, json!(found));
    }
    let found = records.count - hostile_records;
    let line = format!(
        "ordinary traffic: {decisions} decisions, {found} records, {} codes repeated; one record a request",
        records.repeated
    );
    let holds = found == decisions && records.repeated == 0;
    report.target("records", holds, line, json!({ "decisions": decisions, "records": found }));
    for (what, count) in &records.by_depth {
        report.fact(&format!("records {what}"), format!("{count} {what}"), json!(count));
    }
    Ok(())
}
