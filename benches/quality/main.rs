//! What the filter finds and what it wrongly finds: `cargo bench --bench quality -- --help`.
//!
//! Labelled URLs of others, the searches and texts of `tests/fixtures/themes`, real pages and recorded browsing:
//! by lists alone, with words besides, and beside e2guardian's phrases. What needs data that is not in this
//! repository is passed over where `SCHOOLGATE_SHARED` names none, and the report says so. Lines that are
//! held out are only counted, never printed.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints what it found"
)]

#[path = "../child.rs"]
#[allow(dead_code, reason = "measurements use the rest")]
mod child;
mod content_types;
#[path = "../debian.rs"]
#[allow(dead_code, reason = "measurements use the rest")]
mod debian;
mod e2guardian_log;
mod e2guardian_run;
#[path = "../e2guardian_settings.rs"]
mod e2guardian_settings;
#[path = "../family.rs"]
#[allow(dead_code, reason = "measurements use the rest")]
mod family;
#[path = "../../tests/labelled_texts.rs"]
#[allow(dead_code, unused_imports, reason = "its tests use the rest")]
mod labelled_texts;
mod labelled_urls;
mod levels;
mod lists;
mod noise;
mod own_sets;
mod page_text;
mod pages;
mod phrase_lists;
mod reachable;
mod report;
mod shared;
mod trace_rows;

use clap::{Parser, ValueEnum};
use levels::Levels;
use lists::Lists;
use report::Report;
use shared::Shared;
use std::path::PathBuf;
use std::process::ExitCode;

/// What went wrong, as a sentence.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Counts what the filter finds of what it should, and what it finds that it should not.
#[derive(Debug, Parser)]
#[command(name = "quality")]
struct Options {
    /// Only these parts
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Run Debian's e2guardian too, and hold our reading of its phrases against what it says; it is fetched
    /// with apt-get and not installed
    #[arg(long)]
    e2guardian: bool,
    /// Where what is fetched is kept; without it, beside the build
    #[arg(long, value_name = "FOLDER")]
    peers: Option<PathBuf>,
    /// Where quality.md and quality.json are written; without it, beside the build
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Fail if a target is missed
    #[arg(long)]
    strict: bool,
    /// Cargo's own
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Labelled URLs, by lists and by their words
    Urls,
    /// The searches and texts of this repository
    Sets,
    /// Real pages
    Pages,
    /// Alerts of recorded browsing
    Noise,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match family::leaving_nobody(|| run(&options)) {
        Ok(all_met) if all_met || !options.strict => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the report; `false` if a target was missed.
fn run(options: &Options) -> Result<bool, Fault> {
    let wants = |part: Part| options.only.is_empty() || options.only.contains(&part);
    let mut report = Report::new("What is found, and what is wrongly found");
    let levels = Levels::shipped()?;
    let shared = Shared::find();
    if shared.is_none() {
        report.passed_over(
            "labelled URLs, real pages, recorded browsing and e2guardian's phrases: SCHOOLGATE_SHARED names no folder \
             that has them",
        );
    }
    let peers = match &options.peers {
        Some(folder) => folder.clone(),
        None => report::build_folder()?.join("quality-peers"),
    };
    // Compiling every list takes a while: only for what asks for sites.
    let needs_lists = wants(Part::Urls) || wants(Part::Noise);
    let compiled = match &shared {
        Some(shared) if needs_lists => Some(Lists::compile(shared)?),
        _ => None,
    };
    if wants(Part::Urls) {
        if let (Some(shared), Some(lists)) = (&shared, &compiled) {
            lists.describe(&mut report);
            labelled_urls::measure(shared, lists, &levels, &mut report)?;
            content_types::measure(shared, lists, &levels, &mut report)?;
            reachable::measure(shared, lists, &levels, &mut report)?;
        }
        reachable::help(&levels, &mut report)?;
    }
    if wants(Part::Sets) {
        own_sets::measure(&levels, shared.as_ref(), &mut report)?;
    }
    if let (true, Some(shared)) = (wants(Part::Pages), &shared) {
        let run_it = options.e2guardian.then_some(peers.as_path());
        pages::measure(shared, &levels, run_it, &mut report)?;
    }
    if let (true, Some(shared), Some(lists)) = (wants(Part::Noise), &shared, &compiled) {
        noise::measure(shared, lists, &levels, &mut report)?;
    }
    report.write(options.out.as_deref())
}
