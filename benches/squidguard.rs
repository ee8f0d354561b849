//! squidGuard, which a Squid asks about each address: compiled lists, look-ups over its pipes.

use crate::child::{Pinning, Started};
use crate::{debian, measure};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "usr/bin/squidGuard";

/// What squidGuard costs.
#[derive(Clone, Debug)]
pub(crate) struct SquidGuard {
    /// Debian's version.
    pub version: String,
    /// Compiling the names.
    pub compile_seconds: f64,
    /// From start to the first answer, with compiled names.
    pub cold_start_seconds: f64,
    /// Processor time of one look-up.
    pub lookup_us: f64,
    /// Resident memory after the look-ups, in bytes; its database stays in files.
    pub resident_bytes: u64,
}

/// Fetches it, compiles the names of a file, and asks about each of these hosts.
///
/// # Errors
/// A sentence: what failed, with what it said.
pub(crate) fn measured(
    cache: &Path,
    folder: &Path,
    names: &Path,
    hosts: &[String],
    pinning: &Pinning,
) -> Result<SquidGuard, String> {
    let package = debian::package(cache, "squidguard", PROGRAM, &[])?;
    let say = |error: std::io::Error| format!("squidguard: {error}");
    let list = folder.join("db/games");
    std::fs::create_dir_all(&list).map_err(say)?;
    std::fs::copy(names, list.join("domains")).map_err(say)?;
    let shown = folder.display();
    let text = format!(
        "dbhome {shown}/db\nlogdir {shown}\ndest games {{\n domainlist games/domains\n}}\n\
         acl {{\n default {{\n pass !games all\n redirect http://127.0.0.1/blocked\n }}\n}}\n"
    );
    std::fs::write(folder.join("squidguard.conf"), text).map_err(say)?;
    let command = |more: &[&str]| -> Command {
        let mut command = package.command(PROGRAM);
        command.args(["-c", "squidguard.conf"]).args(more).current_dir(folder);
        command
    };
    let begun = Instant::now();
    Pinning::pin(&pinning.proxy);
    let compiled = debian::run(&mut command(&["-C", "games/domains"]));
    Pinning::pin(&pinning.rest);
    compiled?;
    let compile_seconds = begun.elapsed().as_secs_f64();

    let mut asking = command(&[]);
    asking.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut process = Started::new(&mut asking, &pinning.proxy, &pinning.rest).map_err(say)?;
    let mut questions = process.child().stdin.take().ok_or("squidguard: no standard input")?;
    let output = process.child().stdout.take().ok_or("squidguard: no standard output")?;
    let mut answers = BufReader::new(output).lines();
    let mut ask = |host: &str| -> Result<String, String> {
        writeln!(questions, "http://{host}/ 127.0.0.1/- - GET").map_err(say)?;
        answers.next().ok_or("squidguard: ended without an answer")?.map_err(say)
    };
    let first = names_first(names)?;
    let answer = ask(&first)?;
    let cold_start_seconds = begun.elapsed().as_secs_f64();
    if !answer.starts_with("OK") {
        return Err(format!("squidguard: does not block {first}, which is listed: {answer}"));
    }
    let before = measure::usage(process.pid()).cpu_ns;
    for host in hosts {
        ask(host)?;
    }
    let usage = measure::usage(process.pid());
    let lookup_us = (usage.cpu_ns - before) as f64 / 1e3 / hosts.len().max(1) as f64;
    drop(questions);
    process.stop(Duration::from_secs(5));
    Ok(SquidGuard {
        version: package.version,
        compile_seconds,
        cold_start_seconds,
        lookup_us,
        resident_bytes: usage.rss_bytes,
    })
}

/// The first name of a list.
fn names_first(names: &Path) -> Result<String, String> {
    let file = std::fs::File::open(names).map_err(|error| error.to_string())?;
    let first = BufReader::new(file).lines().next();
    first.ok_or("the list is empty")?.map_err(|error| error.to_string())
}
