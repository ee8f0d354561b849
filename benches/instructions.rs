//! How many instructions the steps of a request take, counted by callgrind, against what is allowed.
//!
//! ```text
//! cargo bench --bench instructions --profile instructions -- --help
//! ```
//!
//! Counts hardly hang on the machine or on what else it does, so that they can stand in a check that every
//! change must pass: `.ci/run` fails where one grew past its bound in `instructions.json`. Each is the
//! difference of two runs of different length: what starting costs is in both.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints what it found"
)]

use categorizer::index::{Builder, Index, ListInfo};
use categorizer::list::{self, Format, Options as ListOptions};
use clap::Parser;
use ledger::journal::{Journal, JournalSettings, Shared};
use ledger::record::{Context, Decided, Depth, End};
use rules::access::Access;
use rules::category::{Catalogue, CategorySet};
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict, decide};
use rules::host::Host;
use rules::policy::Policy;
use rules::target::Scheme;
use rules::time::UnixMillis;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Fault = Box<dyn std::error::Error>;

/// A Wednesday in term, 12:40 in London.
const LUNCH: UnixMillis = UnixMillis(1_795_610_400_000);

/// Names on the made-up list.
const NAMES: usize = 50_000;

/// Longest wait for a program that valgrind slows down fifty times to get ready, or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Counts the instructions of one decision, look-up, record and GET, and compares them with their bounds.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Options {
    /// Write the counts to the file of bounds instead of comparing them; the file's room stays
    #[arg(long)]
    write: bool,
    /// One of: decide, look-up, record, get; without it all
    #[arg(long)]
    only: Option<String>,
    /// The program under test; without it `schoolgate` beside this one's folder
    #[arg(long)]
    binary: Option<PathBuf>,
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

/// What is counted: its name, and how often in the short and in the long run.
const CASES: [(&str, u64, u64); 4] = [
    ("decide", 2_000, 42_000),
    ("look-up", 2_000, 42_000),
    ("record", 500, 4_500),
    ("get", 100, 1_100),
];

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.part {
        Some(part) => part_alone(part, options.times).map(|()| true),
        None => run(&options),
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

/// The bounds: instructions as they were counted, and by how many hundredths more still pass.
#[derive(Debug, serde::Deserialize, serde::Serialize)]
struct Bounds {
    room_percent: u64,
    instructions: BTreeMap<String, u64>,
}

fn bounds_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.json")
}

fn run(options: &Options) -> Result<bool, Fault> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err("valgrind is missing\n  fix: sudo apt-get install valgrind".into());
    }
    let text = std::fs::read_to_string(bounds_path())?;
    let mut bounds: Bounds = serde_json::from_str(&text)?;
    let mut all_fit = true;
    println!("{:<10} {:>14} {:>14} {:>8}", "one", "instructions", "recorded", "change");
    for (name, short, long) in CASES {
        if options.only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let count = |times| match name {
            "get" => gets(options, times),
            _ => counted_part(name, times),
        };
        let each = count(long)?.saturating_sub(count(short)?) / (long - short);
        let recorded = bounds.instructions.get(name).copied().unwrap_or(0);
        let change = each as f64 / recorded.max(1) as f64 * 100.0 - 100.0;
        let fits = each * 100 <= recorded * (100 + bounds.room_percent);
        let told = if fits || options.write { "" } else { "  TOO MANY" };
        println!("{name:<10} {each:>14} {recorded:>14} {change:>+7.1}%{told}");
        all_fit &= fits || options.write;
        bounds.instructions.insert(name.to_owned(), each);
    }
    if options.write {
        std::fs::write(bounds_path(), serde_json::to_string_pretty(&bounds)? + "\n")?;
    } else if !all_fit {
        println!(
            "More than {} % past what was recorded. Where that is the price of something worth it, say so in the \
             change and record the new count: --write",
            bounds.room_percent
        );
    }
    Ok(all_fit)
}

/// A program under callgrind; its totals go to `said`.
fn under_callgrind(said: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file"]).arg(said);
    command
}

/// The instructions that callgrind counted.
fn collected(said: &Path) -> Result<u64, Fault> {
    let text = std::fs::read_to_string(said)?;
    let line = text.lines().find_map(|line| line.split_once("Collected :")).map(|(_, count)| count);
    let count = line.ok_or_else(|| format!("callgrind did not say what it counted: {text}"))?;
    Ok(count.trim().parse()?)
}

fn counted_part(name: &str, times: u64) -> Result<u64, Fault> {
    let folder = tempfile::tempdir()?;
    let said = folder.path().join("said");
    let status = under_callgrind(&said)
        .arg(std::env::current_exe()?)
        .args(["--part", name, "--times", &times.to_string()])
        .stdout(Stdio::null())
        .status()?;
    match status.success() {
        true => collected(&said),
        false => Err(format!("{name} under callgrind: {status}").into()),
    }
}

fn part_alone(name: &str, times: u64) -> Result<(), Fault> {
    match name {
        "decide" => decisions(times),
        "look-up" => look_ups(times),
        "record" => records(times),
        other => Err(format!("no part is called {other}").into()),
    }
}

fn decisions(times: u64) -> Result<(), Fault> {
    let read = |name: &str| {
        let files = rules::defaults::POLICY_FILES;
        let file = files.iter().find(|(known, _)| *known == name);
        file.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
    };
    let policy = Policy::parse(rules::defaults::POLICY, "policy.toml", Catalogue::shipped(), &read)
        .map_err(|faults| format!("the starter policy: {faults:?}"))?;
    let who = policy.identify(None, "192.0.2.1".parse()?);
    let host = Host::parse("www.somewhere-or-other.co.uk")?;
    let known = ["education", "news"].iter().filter_map(|name| policy.catalogue().id(name));
    let access = Access {
        who: &who,
        scheme: Scheme::Http,
        host: &host,
        port: 80,
        path: Some("/news/uk-12345678"),
        categories: known.collect::<CategorySet>(),
    };
    for _ in 0..times {
        black_box(decide(&policy, &[], &[], black_box(&access), LUNCH));
    }
    Ok(())
}

fn look_ups(times: u64) -> Result<(), Fault> {
    let index = index()?;
    let hosts: Vec<Host> = (0..1_000)
        .map(|number| match number % 4 {
            0 => Host::parse(&format!("www.name{number}.example")),
            _ => Host::parse(&format!("static{number}.unlisted.co.uk")),
        })
        .collect::<Result<_, _>>()?;
    for host in hosts.iter().cycle().take(times as usize) {
        black_box(index.categories(black_box(host), Some("/a/page")));
    }
    Ok(())
}

fn index() -> Result<Index, Fault> {
    let text: String = (0..NAMES).map(|number| format!("name{number}.example\n")).collect();
    let mut builder = Builder::new();
    let (name, category, version) = ("made-up".into(), "games".into(), "1".into());
    builder.begin(ListInfo { name, category, version });
    let options = ListOptions { format: Some(Format::Plain), allow_public_suffixes: false };
    list::read(text.as_bytes(), options, &mut |entry| builder.add(entry));
    Ok(Index::open(Box::new(builder.finish("count")?), &Catalogue::shipped())?)
}

fn records(times: u64) -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let settings = JournalSettings { max_backlog_bytes: u64::MAX, ..JournalSettings::default() };
    let shared = Shared::open(folder.path(), settings, RequestId(0))?;
    let journal = Journal::open(folder.path(), 0, &shared)?;
    let context = Arc::new(Context {
        policy_hash: "0a".repeat(32),
        list_version: "2025-11-26".into(),
        categories: (0..60).map(|number| format!("category-{number}")).collect(),
        levels: ["pupil", "staff"].map(String::from).to_vec(),
        locked: CategorySet::EMPTY,
        zone: "Europe/London".into(),
    });
    for _ in 0..times {
        let decided = Decided {
            id: journal.next_id(LUNCH),
            at: LUNCH,
            context: &context,
            user: Some("pupil0001"),
            level: 0,
            client: [10, 20, 0, 1].into(),
            method: "GET",
            scheme: Scheme::Http,
            host: "www.somewhere-or-other.co.uk",
            port: 80,
            path: Some("/assets/lesson-page-17.html"),
            categories: CategorySet::EMPTY,
            verdict: Verdict::Allow,
            reason: ReasonCode::Allowed,
            rule: None,
            unblock: None,
            depth: Depth::Plain,
        };
        let pending = journal.decide(&decided).map_err(std::io::Error::other)?;
        pending.count_down(14_000);
        pending.finish(End::Complete);
    }
    journal.flush();
    Ok(())
}

/// Ends with the program.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const POLICY: &str = r#"
school = "Counting School"
timezone = "Europe/London"
identify = ["network"]
order = ["pupil"]
[levels]
pupil = {}
[who]
"net:127.0.0.0/8" = "pupil"
[grid]
uncategorised = { pupil = "allow" }
"#;

/// Instructions of the whole filter while it starts, answers so many GETs on one connection, and ends.
fn gets(options: &Options, times: u64) -> Result<u64, Fault> {
    let binary = match &options.binary {
        Some(binary) => binary.canonicalize()?,
        None => {
            let program = std::env::current_exe()?;
            let folder =
                program.ancestors().nth(2).ok_or("this program stands in no build folder")?;
            folder.join("schoolgate")
        }
    };
    if !binary.exists() {
        let fix = "cargo build --profile instructions --workspace --bins";
        return Err(format!("{} is missing\n  fix: {fix}", binary.display()).into());
    }
    let folder = tempfile::tempdir()?;
    let origin = origin()?;
    let free = || TcpListener::bind("127.0.0.1:0")?.local_addr();
    let (proxy, ops) = (free()?, free()?);
    let machine = format!(
        "state = \"state\"\npolicy = \"policy.toml\"\n[listen]\nproxy = [\"{proxy}\"]\nops = \"{ops}\"\n\
         workers = 1\n[upstream]\nallow_private = [\"count.test\"]\n[upstream.hosts]\n\"count.test\" = \
         \"127.0.0.1\"\n"
    );
    std::fs::write(folder.path().join("schoolgate.toml"), machine)?;
    std::fs::write(folder.path().join("policy.toml"), POLICY)?;
    let said = folder.path().join("said");
    let child = under_callgrind(&said)
        .arg(binary)
        .args(["serve", "--config", "schoolgate.toml"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.path().join("serve.log"))?)
        .spawn()?;
    let mut running = Running(child);
    wait_until(|| is_ready(ops)).map_err(|_| {
        let log = std::fs::read_to_string(folder.path().join("serve.log")).unwrap_or_default();
        format!("schoolgate under callgrind was not ready: {log}")
    })?;
    ask(proxy, origin, times)?;
    let pid = i32::try_from(running.0.id()).ok().and_then(Pid::from_raw).ok_or("no process")?;
    kill_process(pid, Signal::TERM)?;
    wait_until(|| running.0.try_wait().is_ok_and(|status| status.is_some()))
        .map_err(|_| "schoolgate under callgrind did not end")?;
    collected(&said)
}

fn wait_until(mut done: impl FnMut() -> bool) -> Result<(), ()> {
    let began = Instant::now();
    while !done() {
        if began.elapsed() > PATIENCE {
            return Err(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn is_ready(ops: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&ops, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {ops}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}

/// GETs one after another; each must be answered in full.
fn ask(proxy: SocketAddr, origin: SocketAddr, times: u64) -> Result<(), Fault> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let name = format!("count.test:{}", origin.port());
    for _ in 0..times {
        write!(stream, "GET http://{name}/a/page HTTP/1.1\r\nHost: {name}\r\nAccept: */*\r\n\r\n")?;
        let (mut line, mut length) = (String::new(), 0);
        reader.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            return Err(format!("the filter answered: {line}").into());
        }
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((field, value)) if field.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse()?;
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        if length != 1024 {
            return Err(format!("the filter answered with {length} bytes").into());
        }
    }
    Ok(())
}

/// Answers every request with 1 KB, until the program ends.
fn origin() -> Result<SocketAddr, Fault> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n{}",
        "x".repeat(1024)
    );
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            stream.write_all(answer.as_bytes())?;
        }
    }
}
