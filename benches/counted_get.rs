//! The GETs whose instructions are counted: the whole program under callgrind, with a made-up site behind
//! it.

use crate::callgrind;
use rustix::process::{Pid, Signal, kill_process};
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

type Fault = Box<dyn Error + Send + Sync>;

/// Longest wait for a program that valgrind slows down fifty times to get ready, or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a thread that serves carries out. Others work by the clock.
const SERVES: &str = "proxy::worker::run";

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
[roles]
it = ["j.cho"]
dsl = ["q.whitmore"]
[unblock]
authorise = ["dsl"]
apply = "automatic"
max_days = 90
"#;

/// Instructions of the thread that serves, while the filter starts, answers so many GETs of a path on one connection,
/// and ends. What ends in `picture` is one, all else a text.
///
/// # Errors
/// It did not start, answer or end; with what it said.
pub(crate) fn gets(
    binary: &Path,
    path: &str,
    times: u64,
    keep: Option<&Path>,
) -> Result<u64, Fault> {
    let folder = tempfile::tempdir()?;
    let origin = origin()?;
    let free = || TcpListener::bind("127.0.0.1:0")?.local_addr();
    let (proxy, ops) = (free()?, free()?);
    let machine = format!(
        "state = \"state\"\npolicy = \"policy.toml\"\n[listen]\nproxy = [\"{proxy}\"]\nops = \"{ops}\"\n\
         workers = 1\n[upstream]\nallow_private = [\"count.test\"]\nconnect_ports = [{}]\n[upstream.hosts]\n\
         \"count.test\" = \"127.0.0.1\"\n",
        origin.port()
    );
    std::fs::write(folder.path().join("schoolgate.toml"), machine)?;
    std::fs::write(folder.path().join("policy.toml"), POLICY)?;
    let counts = tempfile::tempdir()?;
    let child = callgrind::under(binary, counts.path(), Some(SERVES))
        .args(["serve", "--config", "schoolgate.toml"])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.path().join("serve.log"))?)
        .spawn()?;
    let mut running = Running(child);
    let log = || std::fs::read_to_string(folder.path().join("serve.log")).unwrap_or_default();
    // Not asked more often than need be: each time is counted.
    wait_until(Duration::from_millis(200), || {
        running.0.try_wait().is_ok_and(|status| status.is_some()) || is_ready(ops)
    })
    .map_err(|()| format!("schoolgate under callgrind was not ready: {}", log()))?;
    ask(proxy, origin, path, times).map_err(|error| format!("{error}\n{}", log()))?;
    let pid = i32::try_from(running.0.id()).ok().and_then(Pid::from_raw).ok_or("no process")?;
    kill_process(pid, Signal::TERM)?;
    wait_until(Duration::from_millis(50), || {
        running.0.try_wait().is_ok_and(|status| status.is_some())
    })
    .map_err(|()| format!("schoolgate under callgrind did not end: {}", log()))?;
    callgrind::counted(counts.path(), keep)
}

/// Asks every so often, until it is so.
fn wait_until(every: Duration, mut done: impl FnMut() -> bool) -> Result<(), ()> {
    let began = Instant::now();
    while !done() {
        if began.elapsed() > PATIENCE {
            return Err(());
        }
        std::thread::sleep(every);
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
fn ask(proxy: SocketAddr, origin: SocketAddr, path: &str, times: u64) -> Result<(), Fault> {
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let name = format!("count.test:{}", origin.port());
    for _ in 0..times {
        write!(stream, "GET http://{name}{path} HTTP/1.1\r\nHost: {name}\r\nAccept: */*\r\n\r\n")?;
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
    let answer = |kind: &str, body: &str| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 1024\r\n\r\n");
        [head.as_bytes(), &body.as_bytes()[..1024]].concat()
    };
    let picture = answer("image/png", &"x".repeat(1024));
    let page = answer("text/plain", &"The river rose by two feet in the night. ".repeat(26));
    let mut is_picture = false;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.starts_with("GET ") {
            is_picture = line.contains("picture ");
        }
        if line == "\r\n" {
            stream.write_all(if is_picture { &picture } else { &page })?;
        }
    }
}
