//! `schoolgate`: the one program of the filter. `serve` runs it, everything else asks or changes it.

mod args;
mod failure;
mod output;

use clap::Parser;

fn main() {
    let _ = args::Cli::parse();
}
