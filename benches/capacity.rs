//! What one Schoolgate can carry: open connections, a lesson's start, a greedy client, a month, and how
//! its cost grows with what a school has.
//!
//! ```text
//! cargo bench --bench capacity -- --help
//! ```
//!
//! Everything is on this machine: nothing leaves it. It ends with status 7 where a must was missed.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints what it found"
)]
#![allow(dead_code, reason = "the parts serve several benches, none of which needs all of each")]

mod burst;
mod cases;
mod chance;
mod child;
mod days;
mod evening;
mod family;
mod greedy;
mod growth;
mod hold;
mod idle;
mod line_plot;
mod lists;
mod load;
mod measure;
mod month;
mod names;
mod origin;
mod paced;
mod picture;
mod pupils;
mod report;
mod scene;
mod school;
mod schoolgate;
mod sites;
mod stage;
mod trace;
mod watch;
mod web;
mod wire;

use clap::{Parser, ValueEnum};
use report::Report;
use scene::Scene;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// The load must cost far less than what it measures; the C library's allocator is a seventh of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Open files of one process that the whole run could use.
const FILES: u64 = 140_000;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// 7,000 idle tunnels: at most 200 MB
    Tunnels,
    /// 60,000 open connections without a failure
    Connections,
    /// One client at full speed: nobody else's p99 more than doubled
    Greedy,
    /// A lesson's start, 2,000 requests and 560 TLS connections a second: p99 under 50 ms more
    Burst,
    /// 22 school days in time-lapse: memory stays flat
    Month,
    /// Cost of a request by workers, names, rules, users and records, with pictures
    Growth,
}

/// What one Schoolgate can carry.
#[derive(Debug, Parser)]
#[command(name = "capacity")]
struct Options {
    /// Measure these alone
    #[arg(long, value_delimiter = ',', value_name = "WHAT,...")]
    only: Vec<What>,
    /// Short forms of some minutes, to see that all of it works; musts are held all the same
    #[arg(long)]
    quick: bool,
    /// School days of the month instead of 22: single nights differ by a twentieth, and a slow growth shows in many
    #[arg(long, value_parser = clap::value_parser!(u16).range(4..=1_000))]
    days: Option<u16>,
    /// Names on the list, where growth does not vary them
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    names: u64,
    /// Requests as in the replay bench
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The schoolgate program; without it a release build is made
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Where results go; without it a folder beside the build
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Be the sites (used by the bench itself)
    #[arg(long, hide = true, value_name = "ADDRESS")]
    origin: Option<SocketAddr>,
    /// Hosts and authority of the sites (used by the bench itself)
    #[arg(long, hide = true, value_name = "DIR", default_value = ".")]
    sites: PathBuf,
    /// Hold connections (used by the bench itself)
    #[arg(long, hide = true, value_name = "TASK")]
    hold: Option<String>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    scene::raise_file_limit(FILES);
    let outcome = match (&options.origin, &options.hold) {
        (Some(listen), _) => sites::server(&options.sites, false)
            .and_then(|tls| origin::run(*listen, Some(tls)).map_err(|error| error.to_string()))
            .map(|()| true),
        (_, Some(task)) => hold::run(task).map(|()| true),
        _ => family::leaving_nobody(|| run(&options)),
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

/// Runs what is wanted; `false` if a must was missed.
fn run(options: &Options) -> Result<bool, String> {
    let begun = Instant::now();
    let folder =
        tempfile::Builder::new().prefix("capacity").tempdir().map_err(|error| error.to_string())?;
    let mut report = Report::new("Capacity");
    let material = stage::material(options.input.as_deref(), false, &mut report)?;
    let binary = match &options.binary {
        Some(binary) => std::path::absolute(binary).map_err(|error| error.to_string())?,
        None => stage::build()?,
    };
    let scene = Scene {
        binary,
        folder: folder.path().to_owned(),
        trace: material.trace,
        hosts: scene::hosts_with_ours(material.hosts),
        names: usize::try_from(options.names).map_err(|error| error.to_string())?,
        quick: options.quick,
        days: options.days,
    };
    describe(&scene, &mut report);
    let mut pictures = Vec::new();
    for &what in What::value_variants() {
        if !options.only.is_empty() && !options.only.contains(&what) {
            continue;
        }
        let others = scene::others();
        let (section, machine) = (Instant::now(), measure::machine());
        let outcome = match what {
            What::Tunnels => idle::tunnels(&scene, &mut report),
            What::Connections => idle::crowd(&scene, &mut report),
            What::Greedy => greedy::measure(&scene, &mut report),
            What::Burst => burst::measure(&scene, &mut report),
            What::Month => month::measure(&scene, &mut report),
            What::Growth => {
                pictures = growth::measure(&scene, &mut report);
                Ok(())
            }
        };
        let word = what.to_possible_value().map_or(String::new(), |it| it.get_name().to_owned());
        if let Err(fault) = outcome {
            // The others are measured all the same, and the run has failed.
            report.target(&word, false, format!("{word}: {fault}"), json!(fault));
        }
        let now = measure::machine();
        let stolen = (now.stolen_ns - machine.stolen_ns) as f64 / 1e9;
        let line = format!(
            "{word}: took {:.0} s; other programs had {others:.0} % of the processors just before; the machine under this one took {stolen:.1} s",
            section.elapsed().as_secs_f64(),
        );
        report.fact(&format!("{word}, time"), line, json!(section.elapsed().as_secs_f64()));
    }
    let seconds = begun.elapsed().as_secs_f64();
    report.fact("time", format!("the run took {:.1} minutes", seconds / 60.0), json!(seconds));
    let out = match &options.out {
        Some(out) => out.clone(),
        None => stage::build_folder()?.join("capacity-results"),
    };
    for (name, picture) in pictures {
        let path = out.join(name);
        std::fs::create_dir_all(&out)
            .and_then(|()| std::fs::write(&path, picture))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    report.write("capacity", Some(&out))
}

fn describe(scene: &Scene, report: &mut Report) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(3).collect();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let line = format!(
        "{} form; {processors} processors shared by proxy, load and sites; {} names on the list; {} open files a process; load {} at the start",
        if scene.quick { "quick" } else { "full" },
        scene.names,
        scene::file_limit(),
        load.join(" ")
    );
    let value = json!({ "quick": scene.quick, "processors": processors, "names": scene.names });
    report.fact("setting", line, value);
}
