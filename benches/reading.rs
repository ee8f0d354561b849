//! Pages read on their way: `cargo build --release -p admin-cli`, then `cargo bench --bench reading`.
//!
//! Prints how long it takes from asking to the head of the answer and to the first byte of a page over a connection that
//! is kept, and the filter's processor time for a page: with no theme watched for, and with those that are shipped for
//! pupils. Pages: one of 16 KB made of this repository's labelled texts, plain and in gzip, and with
//! `SCHOOLGATE_SHARED` the real pages there, whole, and all of e2guardian's phrase lists beside the packs. The program is `schoolgate` beside this one's folder, or what
//! `SCHOOLGATE_BINARY` names.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot be made stops"
)]

#[allow(dead_code, reason = "other benches measure whole families")]
mod family;

use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pages fetched in one measurement.
const FETCHES: usize = 2_000;
/// Measurements of each, by turns.
const ROUNDS: usize = 3;

const POLICY: &str = r#"
school = "Measuring School"
timezone = "Europe/London"
identify = ["network"]
order = ["pupil"]
[levels]
pupil = {}
[who]
"net:127.0.0.0/8" = "pupil"
[grid]
uncategorised = { pupil = "allow" }
[roles]
it = ["j.cho"]
dsl = ["q.whitmore"]
[unblock]
authorise = ["dsl"]
max_days = 90
"#;

/// Rows that watch for nothing.
fn nothing() -> String {
    let row = |theme: &rules::theme::Theme| format!("{} = {{ pupil = \"off\" }}\n", theme.name);
    format!("[themes]\n{}", rules::theme::shipped_themes().iter().map(row).collect::<String>())
}

/// Phrase lists for a theme of which nothing is refused.
const LISTS: &str = "[themes]\npornography = { pupil = \"watch\" }\n\
    [[phrase_list]]\nfile = \"phrases\"\ntheme = \"pornography\"\n";

/// A folder with all below it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => std::fs::write(to, std::fs::read(entry.path()).unwrap()).unwrap(),
        }
    }
}

struct Filter {
    child: Child,
    proxy: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Filter {
    /// `lists`: a folder of phrase lists, which the policy finds as `phrases`.
    fn start(binary: &Path, themes: &str, lists: Option<&Path>, origin: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(lists) = lists {
            copy(lists, &folder.path().join("phrases"));
        }
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (proxy, ops) = (free(), free());
        let machine = format!(
            "state = \"state\"\npolicy = \"policy.toml\"\n[listen]\nproxy = [\"{proxy}\"]\nops = \"{ops}\"\n\
             workers = 1\n[upstream]\nallow_private = [\"count.test\"]\nconnect_ports = [{}]\n\
             [upstream.hosts]\n\"count.test\" = \"127.0.0.1\"\n",
            origin.port()
        );
        std::fs::write(folder.path().join("schoolgate.toml"), machine).unwrap();
        std::fs::write(folder.path().join("policy.toml"), format!("{POLICY}{themes}")).unwrap();
        let mut child = family::start(
            Command::new(binary)
                .args(["serve", "--config", "schoolgate.toml"])
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
        .unwrap();
        let begun = Instant::now();
        while TcpStream::connect(ops).is_err() || TcpStream::connect(proxy).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the filter does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_secs(1));
        assert!(child.try_wait().unwrap().is_none(), "the filter ended");
        Self { child, proxy, _folder: folder }
    }

    /// Milliseconds of processor time so far.
    fn processor_ms(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks = |place: usize| fields[place].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) * 1e3 / rustix::param::clock_ticks_per_second() as f64
    }
}

impl Drop for Filter {
    /// Ends it as an operator would: a program that counts what it runs writes its counts at its end.
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let is_asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let begun = Instant::now();
        while is_asked && begun.elapsed() < Duration::from_secs(20) {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pages that are measured together.
struct Pages {
    what: &'static str,
    /// Answers as they are sent.
    answers: Vec<Vec<u8>>,
}

fn answer(body: &[u8], coding: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n{coding}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(body).unwrap();
    gzip.finish().unwrap()
}

/// A page of 16 KB of sentences that nobody is concerned about.
fn made() -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/themes");
    let text = std::fs::read_to_string(folder.join("texts.tsv")).unwrap();
    let sentences = text.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        (cells[1].is_empty() && cells[4] == "en")
            .then(|| format!("<p class=\"text\">{}</p>\n", cells[cells.len() - 1]))
    });
    let sentences: Vec<String> = sentences.collect();
    assert!(sentences.len() > 20, "{} harmless texts", sentences.len());
    let page: String = sentences.iter().cycle().take(2_000).cloned().collect();
    let mut page = format!("<!doctype html><title>Reading</title><body>\n{page}");
    page.truncate(page.floor_char_boundary(16 << 10));
    page.into_bytes()
}

/// The real pages, each once.
fn real() -> Option<Vec<Vec<u8>>> {
    let folder =
        PathBuf::from(std::env::var_os("SCHOOLGATE_SHARED")?).join("data/pages/readability");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).ok()?.flatten().map(|file| file.path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let mut page = Vec::new();
        GzDecoder::new(std::fs::File::open(path).ok()?).read_to_end(&mut page).ok()?;
        Some(page)
    };
    Some(files.iter().filter_map(read).collect())
}

fn pages() -> Vec<Pages> {
    let made = made();
    let mut pages = vec![
        Pages { what: "16 KB", answers: vec![answer(&made, "")] },
        Pages {
            what: "16 KB in gzip",
            answers: vec![answer(&packed(&made), "Content-Encoding: gzip\r\n")],
        },
    ];
    if let Some(real) = real() {
        let bytes: usize = real.iter().map(Vec::len).sum();
        println!("{} real pages of {} KB on average", real.len(), bytes / real.len() / 1024);
        let gzip = |page: &Vec<u8>| answer(&packed(page), "Content-Encoding: gzip\r\n");
        pages.push(Pages { what: "real, in gzip", answers: real.iter().map(gzip).collect() });
    }
    pages
}

/// Answers `/SET/N` with the N-th page of a set.
fn origin(pages: Arc<Vec<Pages>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let pages = Arc::clone(&pages);
            std::thread::spawn(move || serve(stream, &pages));
        }
    });
    address
}

fn serve(mut stream: TcpStream, pages: &[Pages]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut wanted) = (String::new(), (0, 0));
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(path) = line.strip_prefix("GET /") {
            let (set, page) = path.split(' ').next().unwrap().split_once('/').unwrap();
            wanted = (set.parse().unwrap(), page.parse().unwrap());
        }
        if line == "\r\n" {
            stream.write_all(&pages[wanted.0].answers[wanted.1])?;
        }
    }
}

/// Milliseconds until the first byte of one page; `None` where it is refused.
fn fetch(
    stream: &mut BufReader<TcpStream>,
    origin: SocketAddr,
    (set, page): (usize, usize),
) -> Option<f64> {
    let begun = Instant::now();
    let name = format!("count.test:{}", origin.port());
    let asked = format!(
        "GET http://{name}/{set}/{page} HTTP/1.1\r\nHost: {name}\r\nAccept-Encoding: gzip, deflate\r\n\r\n"
    );
    stream.get_mut().write_all(asked.as_bytes()).unwrap();
    let (mut line, mut length, mut first, mut is_refused) = (String::new(), 0, None, false);
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
        if first.is_none() {
            first = Some(begun.elapsed());
            is_refused = line.starts_with("HTTP/1.1 403");
            assert!(is_refused || line.starts_with("HTTP/1.1 200"), "{line}");
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    // A page that is refused later is cut.
    is_refused |= stream.read_exact(&mut body).is_err();
    (!is_refused).then(|| first.unwrap().as_secs_f64() * 1e3)
}

fn main() {
    family::leaving_nobody(run);
}

fn run() {
    let beside = || {
        let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        folder.join("schoolgate")
    };
    let binary = std::env::var_os("SCHOOLGATE_BINARY").map_or_else(beside, PathBuf::from);
    let pages = Arc::new(pages());
    let origin = origin(Arc::clone(&pages));
    let mut filters = vec![
        ("nothing read", Filter::start(&binary, &nothing(), None, origin)),
        ("read", Filter::start(&binary, "", None, origin)),
    ];
    let lists = std::env::var_os("SCHOOLGATE_SHARED")
        .map(|shared| PathBuf::from(shared).join("data/phrases/e2guardian-debian"));
    if let Some(lists) = lists.filter(|lists| lists.is_dir()) {
        filters.push(("lists too", Filter::start(&binary, LISTS, Some(&lists), origin)));
    }
    println!("first byte: middle and 99th of 100, ms; processor time of the filter for a page, us");
    for (set, group) in pages.iter().enumerate() {
        // Those that are refused are not measured.
        let is_passed = |page: &usize| {
            filters.iter().all(|(_, filter)| {
                let mut stream = BufReader::new(TcpStream::connect(filter.proxy).unwrap());
                fetch(&mut stream, origin, (set, *page)).is_some()
            })
        };
        let passed: Vec<usize> = (0..group.answers.len()).filter(is_passed).collect();
        if passed.len() < group.answers.len() {
            println!("{}: {} refused", group.what, group.answers.len() - passed.len());
        }
        for round in 0..ROUNDS {
            for (what, filter) in &filters {
                let mut stream = BufReader::new(TcpStream::connect(filter.proxy).unwrap());
                let mut go = |count: usize| -> Vec<f64> {
                    let pages = passed.iter().cycle().take(count);
                    pages.filter_map(|page| fetch(&mut stream, origin, (set, *page))).collect()
                };
                // The first pages fill caches.
                go(FETCHES / 10);
                let before = filter.processor_ms();
                let mut times = go(FETCHES);
                let taken = (filter.processor_ms() - before) * 1e3 / times.len() as f64;
                times.sort_by(f64::total_cmp);
                let (middle, late) = (times[times.len() / 2], times[times.len() * 99 / 100]);
                println!(
                    "{:<16} {round} {what:<14} {middle:>7.3} {late:>7.3}  {taken:>7.0}",
                    group.what
                );
            }
        }
    }
}
