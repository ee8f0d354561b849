//! How many instructions the steps of a request take, counted by callgrind, against what was recorded.
//!
//! ```text
//! cargo build --locked --profile instructions --workspace --bins --bench instructions
//! cargo bench --locked --profile instructions --workspace --bench instructions -- --help
//! ```
//!
//! Counts hardly hang on the machine or on what else it does, so that they can stand in a check that every
//! change must pass: `.ci/run` fails where one grew past its bound in `instructions.json`. Each is the
//! difference of two runs of different length: what starting costs is in both. Of the whole program the
//! thread that serves is counted, since what others do by the clock hangs on how long a run takes.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints what it found"
)]

mod bounds;
mod callgrind;
mod counted;
mod counted_get;
#[allow(dead_code, reason = "other benches measure whole families")]
mod family;

use bounds::{Bounds, Recorded};
use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Counts the instructions of one decision, look-up, scored search, record and GET, and compares them with what was
/// recorded.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Options {
    /// Record the counts instead of comparing them
    #[arg(long)]
    record: bool,
    /// Count one alone: decide, look-up, search, record, store, get, page
    #[arg(long)]
    only: Option<String>,
    /// The program under test; without it `schoolgate` beside this one's folder
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Keep what callgrind wrote of the long runs here, a folder each, for `callgrind_annotate`
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Be a counted part: its name (used by the program itself)
    #[arg(long, hide = true)]
    part: Option<String>,
    /// How often
    #[arg(long, hide = true, default_value_t = 0)]
    times: u64,
    /// Cargo's own
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is counted: its name, what one of it is, and how many in the short and in the long run.
const CASES: [(&str, &str, u64, u64); 7] = [
    ("decide", "a decision, one in four a block", 2_000, 42_000),
    ("look-up", "the categories of a host, one in four listed", 2_000, 42_000),
    ("search", "a search scored for all themes, one in four of one", 500, 4_500),
    ("record", "a decision and its end in the journal", 1_000, 9_000),
    ("store", "the same, put into the day's file with its proofs", 1_000, 5_000),
    ("get", "a GET of a picture of 1 KB: the thread that serves", 200, 1_700),
    ("page", "the same of a text of 1 KB, whose words are scored", 200, 1_700),
];

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.part {
        Some(part) => counted::play(part, options.times).map(|()| true).map_err(|e| e.to_string()),
        None => family::leaving_nobody(|| run(&options).map_err(|error| error.to_string())),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts what is wanted; `false` if something grew too much.
fn run(options: &Options) -> Result<bool, Fault> {
    if let Some(only) = options.only.as_deref().filter(|only| CASES.iter().all(|it| it.0 != *only))
    {
        let known: Vec<&str> = CASES.iter().map(|it| it.0).collect();
        return Err(
            format!("nothing is called \"{only}\"\n  fix: one of {}", known.join(", ")).into()
        );
    }
    let mut bounds = Bounds::read()?;
    let mut here = bounds::here(callgrind::version()?);
    let kind = bounds::kind();
    let recorded = bounds.machines.get(&kind).cloned();
    let room = recorded.as_ref().map(|recorded| bounds.room(recorded, &here));
    let mut too_many = Vec::new();
    println!("{:<8} {:>12} {:>12} {:>8}", "one", "instructions", "recorded", "change");
    for (name, what, short, long) in CASES {
        if options.only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let each = one(options, name, short, long)?;
        here.instructions.insert(name.to_owned(), each);
        let before = recorded.as_ref().and_then(|recorded| recorded.instructions.get(name));
        match before.copied() {
            Some(before) => {
                let change = each as f64 / before.max(1) as f64 * 100.0 - 100.0;
                println!("{name:<8} {each:>12} {before:>12} {change:>+7.1}%  {what}");
                if room.is_some_and(|room| each * 100 > before * (100 + room)) {
                    too_many.push(name);
                }
            }
            None => println!("{name:<8} {each:>12} {:>12} {:>8}  {what}", "-", "-"),
        }
    }
    if options.record {
        record(&mut bounds, kind, here)?;
        return Ok(true);
    }
    Ok(judge(&kind, recorded.as_ref(), &here, room, &too_many))
}

/// Says how the counts stand; `false` if something grew too much.
fn judge(
    kind: &str,
    recorded: Option<&Recorded>,
    here: &Recorded,
    room: Option<u64>,
    too_many: &[&str],
) -> bool {
    let (Some(recorded), Some(room)) = (recorded, room) else {
        println!(
            "NOT COMPARED: {} has no counts of \"{kind}\"\n  fix: record them there from a version that is as \
             fast as it should be: --record",
            bounds::path().display()
        );
        return true;
    };
    let tools = |it: &Recorded| format!("{}; {}; {}", it.rustc, it.libc, it.valgrind);
    if tools(recorded) != tools(here) {
        println!(
            "Recorded with other tools, so that {room} % pass ({}; here {}): record anew, --record",
            tools(recorded),
            tools(here)
        );
    }
    if let Some(lacking) =
        here.instructions.keys().find(|it| !recorded.instructions.contains_key(*it))
    {
        println!("TOO MANY to say: {lacking} was never recorded\n  fix: --record");
        return false;
    }
    if too_many.is_empty() {
        println!("ok: none takes {room} % more than was recorded");
        return true;
    }
    println!(
        "TOO MANY: {} takes over {room} % more than was recorded.\n  fix: look where they went (docs/performance.md, \
         \"Instructions\"). Where they are the price of something worth it, say so in the change and record them: \
         --record",
        too_many.join(", ")
    );
    false
}

/// Writes the counts down; those of cases that were not counted now stay.
fn record(bounds: &mut Bounds, kind: String, here: Recorded) -> Result<(), Fault> {
    let before = bounds.machines.remove(&kind).unwrap_or_default();
    let mut now = here;
    for (name, count) in before.instructions {
        // What is no longer counted is forgotten.
        if CASES.iter().any(|it| it.0 == name) {
            now.instructions.entry(name).or_insert(count);
        }
    }
    bounds.machines.insert(kind, now);
    bounds.write()?;
    println!("recorded in {}", bounds::path().display());
    Ok(())
}

/// Instructions of one: the short and the long run, side by side.
fn one(options: &Options, name: &str, short: u64, long: u64) -> Result<u64, Fault> {
    let kept = options.keep.as_ref().map(|folder| folder.join(name));
    let count = |times, keep: Option<&Path>| -> Result<u64, Fault> {
        let counted = match name {
            "get" => counted_get::gets(&binary(options)?, "/a/picture", times, keep),
            "page" => counted_get::gets(&binary(options)?, "/a/page", times, keep),
            _ => part(name, times, keep),
        };
        counted.map_err(|error| format!("{name}: {error}").into())
    };
    let (few, many) = std::thread::scope(|scope| {
        let few = scope.spawn(|| count(short, None));
        let many = count(long, kept.as_deref());
        (few.join(), many)
    });
    let few = few.map_err(|_| format!("{name}: the short run broke off"))??;
    let many = many?;
    let more = many.checked_sub(few);
    let more = more.ok_or_else(|| format!("{name}: the long run took fewer than the short one"))?;
    Ok(more / (long - short))
}

/// A part of it, in a process of its own.
fn part(name: &str, times: u64, keep: Option<&Path>) -> Result<u64, Fault> {
    let folder = tempfile::tempdir()?;
    let output = callgrind::under(&std::env::current_exe()?, folder.path(), None)
        .args(["--part", name, "--times", &times.to_string()])
        .stdin(Stdio::null())
        .output()?;
    match output.status.success() {
        true => callgrind::counted(folder.path(), keep),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(format!("under callgrind: {}: {said}", output.status).into())
        }
    }
}

/// The program under test.
fn binary(options: &Options) -> Result<PathBuf, Fault> {
    let binary = match &options.binary {
        Some(binary) => std::path::absolute(binary)?,
        None => {
            let program = std::env::current_exe()?;
            let folder = program.ancestors().nth(2).unwrap_or(Path::new("."));
            folder.join("schoolgate")
        }
    };
    if binary.exists() {
        return Ok(binary);
    }
    let fix = "cargo build --locked --profile instructions --workspace --bins --bench instructions";
    Err(format!("{} is missing\n  fix: {fix}", binary.display()).into())
}
