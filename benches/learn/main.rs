//! Learns what words weigh from the labelled lines in `rules/defaults/lines`: `cargo bench --bench learn -- --help`.
//!
//! For each theme apart a line is of it or not, by the logistic regression of what the packs say of it, which is given,
//! and of the names that [`categorizer::theme::features`] has for it, which are learned. What comes out is the same each
//! time. Lines that are also in `tests/fixtures/themes` are left out: what measures is not learned from.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints what it does")]

#[path = "../../tests/labelled_texts.rs"]
#[allow(dead_code, unused_imports, reason = "its tests use the rest")]
mod labelled_texts;
mod lines;
mod model;
mod regression;
mod trial;
mod write;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Learns what words weigh.
#[derive(Debug, Parser)]
#[command(name = "learn")]
struct Options {
    /// Where the labelled lines are
    #[arg(long, value_name = "FOLDER", default_value = "rules/defaults/lines")]
    lines: PathBuf,
    /// The table that is written
    #[arg(long, value_name = "FILE", default_value = "categorizer/src/theme/weights/words.tsv")]
    out: PathBuf,
    /// Learn from the other files only, say what is found of these, and write nothing
    #[arg(long, value_name = "FILES", value_delimiter = ',')]
    try_on: Vec<String>,
    #[command(flatten)]
    learning: model::Learning,
    /// Cargo's own
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let all = lines::read(&options.lines)?;
    let (tried, learned): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|line| options.try_on.contains(&line.file));
    println!("{} lines, of which {} concern", learned.len(), lines::concerning(&learned));
    let model = model::learn(&learned, &options.learning);
    println!("{} names", model.names.len());
    if options.try_on.is_empty() {
        let text = write::table(&model)?;
        std::fs::write(&options.out, text)
            .map_err(|error| format!("{}: {error}", options.out.display()))
    } else {
        trial::report(&model, &tried);
        Ok(())
    }
}
