//! Downloads through the filter: `cargo build --release -p admin-cli`, then `cargo bench --bench downloads`.
//!
//! Prints how long a page of 16 KB and a file of 10 MB take over a connection that is kept, and the processor time of
//! the filter for one: with nothing looked at, with files looked at, and with files scanned by Debian's clamd, which
//! has one signature. The program is `schoolgate` beside this one's folder, or what `SCHOOLGATE_BINARY` names.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot be made stops"
)]

#[path = "../proxy/tests/scanner/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod scanner;

#[allow(dead_code, reason = "other benches measure whole families")]
mod family;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often each is fetched; the middle is told.
const TIMES: usize = 21;
/// Bytes of a page and of a file.
const BODIES: [(&str, &str, usize); 2] = [
    ("a page of 16 KB", "text/html", 16 << 10),
    ("a file of 10 MB", "application/octet-stream", 10_000_000),
];

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

struct Filter {
    child: Child,
    proxy: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Filter {
    fn start(binary: &Path, files: &str, machine: &str, origin: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (proxy, ops) = (free(), free());
        let machine = format!(
            "state = \"state\"\npolicy = \"policy.toml\"\n[listen]\nproxy = [\"{proxy}\"]\nops = \"{ops}\"\n\
             workers = 1\n[upstream]\nallow_private = [\"count.test\"]\nconnect_ports = [{}]\n\
             [upstream.hosts]\n\"count.test\" = \"127.0.0.1\"\n{machine}",
            origin.port()
        );
        std::fs::write(folder.path().join("schoolgate.toml"), machine).unwrap();
        std::fs::write(folder.path().join("policy.toml"), format!("{POLICY}{files}")).unwrap();
        let child = family::start(
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
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers `/N` with the N-th body.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let answers: Vec<Vec<u8>> = BODIES
        .iter()
        .map(|(_, media, bytes)| {
            let words = b"<p>The gates open at half past eight; lessons begin at nine.</p>\n";
            let body: Vec<u8> = words.iter().copied().cycle().take(*bytes).collect();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {media}\r\nContent-Length: {bytes}\r\n\r\n"
            );
            [head.into_bytes(), body].concat()
        })
        .collect();
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut wanted) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(path) = line.strip_prefix("GET /") {
            wanted = usize::from(path.starts_with('1'));
        }
        if line == "\r\n" {
            stream.write_all(&answers[wanted])?;
        }
    }
}

/// Milliseconds of one fetch of the body.
fn fetch(
    stream: &mut BufReader<TcpStream>,
    origin: SocketAddr,
    number: usize,
    bytes: usize,
) -> f64 {
    let begun = Instant::now();
    let name = format!("count.test:{}", origin.port());
    let asked = format!(
        "GET http://{name}/{number} HTTP/1.1\r\nHost: {name}\r\nSec-Fetch-Dest: document\r\n\r\n"
    );
    stream.get_mut().write_all(asked.as_bytes()).unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
    }
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).unwrap();
    begun.elapsed().as_secs_f64() * 1e3
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
    let clamd = scanner::Clamd::start_taking("16M");
    let socket = format!("[virus_scan]\nsocket = {:?}\n", clamd.socket().display().to_string());
    let origin = origin();
    let kinds = [
        "executables",
        "scripts",
        "installers",
        "mobile_apps",
        "browser_extensions",
        "macro_documents",
        "disk_images",
        "archives",
        "encrypted_archives",
        "unreadable_archives",
    ];
    let all: String =
        kinds.iter().map(|kind| format!("{kind} = {{ pupil = \"allow\" }}\n")).collect();
    let runs = [
        ("nothing looked at", format!("[files]\n{all}"), String::new()),
        ("files looked at", String::new(), String::new()),
        ("and scanned", "[files]\nvirus_scan = { pupil = \"on\" }\n".to_owned(), socket),
    ];
    println!(
        "milliseconds from asking to the last byte (least, middle, most), and of the filter's processor"
    );
    for (what, files, machine) in &runs {
        let filter = Filter::start(&binary, files, machine, origin);
        let mut stream = BufReader::new(TcpStream::connect(filter.proxy).unwrap());
        for (number, (body, _, bytes)) in BODIES.iter().enumerate() {
            let rounds = if *bytes < 1 << 20 { 40 } else { 1 };
            fetch(&mut stream, origin, number, *bytes);
            let before = filter.processor_ms();
            let mut times: Vec<f64> =
                (0..TIMES * rounds).map(|_| fetch(&mut stream, origin, number, *bytes)).collect();
            let taken = (filter.processor_ms() - before) / times.len() as f64;
            times.sort_by(f64::total_cmp);
            let (least, middle, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
            println!("{body}, {what:<20} {least:>8.2} {middle:>8.2} {most:>8.2}  {taken:>8.3}");
        }
    }
}
