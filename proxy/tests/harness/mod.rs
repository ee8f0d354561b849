//! A proxy in this process, origins that the tests script, and a client that speaks raw bytes.

#![allow(dead_code, reason = "each test file uses what it needs")]

use ledger::changes::ChangeLog;
use ledger::query::{AccessLog, Filter, Order};
use ledger::users::{NewUser, Password};
use proxy::config::Config;
use rules::change::Event;
use rules::time::UnixMillis;
use rules::unblock::{BlockId, Scope};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Nothing here takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);

const POLICY: &str = r#"
school = "Example Academy"
timezone = "Europe/London"
identify = [IDENTIFY]
order = ["pupil", "staff"]
[levels]
pupil = {}
staff = {}
[grid]
games = { pupil = "block", staff = "allow" }
uncategorised = { pupil = "allow", staff = "allow" }
[roles]
dsl = ["q.whitmore"]
[unblock]
authorise = ["dsl"]
apply = "automatic"
confirm = ["dsl"]
max_days = 90
"#;

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// One record, as stored.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) user: Option<String>,
    pub(crate) verdict: String,
    pub(crate) reason: String,
    pub(crate) host: String,
    pub(crate) path: Option<String>,
    pub(crate) status: u16,
    pub(crate) end: String,
    pub(crate) bytes_up: u64,
    pub(crate) bytes_down: u64,
}

/// Reads a head, to its empty line.
pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&head)),
        }
    }
    String::from_utf8(head).unwrap()
}

/// Reads one response whose length is told.
pub(crate) fn read_response(stream: &mut TcpStream, head_only: bool) -> Answer {
    let head = read_head(stream);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    let bodiless = head_only || matches!(status, 100..=199 | 204 | 304);
    if !bodiless {
        let length = answer.header("content-length").expect("a length").parse().unwrap();
        answer.body = vec![0; length];
        stream.read_exact(&mut answer.body).unwrap();
    }
    answer
}

/// A proxy and its folder.
pub(crate) struct Proxy {
    running: Option<proxy::Running>,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Proxy {
    pub(crate) fn start(origin: &Origin) -> Self {
        Self::start_with(origin, "")
    }

    pub(crate) fn start_with(origin: &Origin, limits: &str) -> Self {
        Self::launch(origin, limits, "", "")
    }

    /// Asks for a name and password; knows `pupil` with `demo`.
    pub(crate) fn start_signed_in(origin: &Origin) -> Self {
        Self::launch(origin, "", "\"basic\"", "")
    }

    /// Reaches the origin by its address as well.
    pub(crate) fn start_with_addresses(origin: &Origin) -> Self {
        Self::launch(origin, "", "", ", \"127.0.0.1\"")
    }

    fn launch(origin: &Origin, limits: &str, identify: &str, also_private: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("policy.toml", &POLICY.replace("IDENTIFY", identify));
        write("games.txt", "games.test\n");
        let machine = format!(
            r#"
state = "state"
policy = "policy.toml"
[listen]
proxy = ["127.0.0.1:0"]
ops = "127.0.0.1:0"
workers = 1
[upstream]
hosts = {{ "origin.test" = "127.0.0.1", "inside.test" = "127.0.0.1", "games.test" = "127.0.0.1" }}
allow_private = ["origin.test", "games.test"{also_private}]
connect_ports = [443, {}]
[limits]
{limits}
[[lists]]
name = "made-up-games"
category = "games"
path = "games.txt"
"#,
            origin.port()
        );
        write("schoolgate.toml", &machine);
        let config = Config::load(Some(&folder.path().join("schoolgate.toml"))).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        if !identify.is_empty() {
            runtime.block_on(add_user(&config.state));
        }
        let running = proxy::start(config).unwrap();
        Self { running: Some(running), folder, runtime }
    }

    fn running(&self) -> &proxy::Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().proxy_addresses()[0]
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes on a connection of their own and reads one response.
    pub(crate) fn ask(&self, request: &str) -> Answer {
        let mut client = self.connect();
        client.write_all(request.as_bytes()).unwrap();
        read_response(&mut client, false)
    }

    /// Sends bytes and reads whatever comes, to the end.
    pub(crate) fn ask_raw(&self, request: &str) -> Vec<u8> {
        let mut client = self.connect();
        client.write_all(request.as_bytes()).unwrap();
        let mut all = Vec::new();
        // A reset ends it as well.
        let _ = client.read_to_end(&mut all);
        all
    }

    /// Sends bytes and no more, and reads to the end.
    pub(crate) fn ask_and_leave(&self, request: &str) {
        let mut client = self.connect();
        client.write_all(request.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        drain(&mut client);
    }

    pub(crate) fn get(&self, origin: &Origin, path: &str) -> Answer {
        let port = origin.port();
        self.ask(&format!(
            "GET http://origin.test:{port}{path} HTTP/1.1\r\nHost: origin.test\r\n\r\n"
        ))
    }

    pub(crate) fn ops(&self, path: &str) -> Answer {
        let mut client = TcpStream::connect(self.running().ops_address().unwrap()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: ops\r\n\r\n").as_bytes()).unwrap();
        read_response(&mut client, false)
    }

    /// Blocks a site for everybody, as the command line does.
    pub(crate) fn block(&self, site: &str) {
        let event = Event::SiteBlocked {
            id: BlockId(1),
            site: site.to_owned(),
            scope: Scope::Level("pupil".to_owned()),
            reason: "a test of blocking".to_owned(),
        };
        let state = self.state();
        self.runtime.block_on(async {
            let log = ChangeLog::open(&state).await.unwrap();
            log.append(now(), "j.cho", event).await.unwrap();
        });
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn stop_and_read_log(mut self) -> Vec<Record> {
        // What a client has been told may end a moment later on the proxy's side.
        std::thread::sleep(Duration::from_millis(250));
        self.running.take().unwrap().stop();
        self.read_log()
    }

    pub(crate) fn drain_and_read_log(mut self) -> Vec<Record> {
        self.running.take().unwrap().drain();
        self.read_log()
    }

    fn read_log(&self) -> Vec<Record> {
        let page = self.runtime.block_on(async {
            AccessLog::new(&self.state())
                .page(&Filter::default(), Order::OldestFirst, None, 1000)
                .await
                .unwrap()
        });
        let records = page.rows.into_iter().map(|row| Record {
            user: row.user,
            verdict: row.verdict.as_str().to_owned(),
            reason: row.reason.as_str().to_owned(),
            host: row.host,
            path: row.path,
            status: row.ended.map_or(0, |ended| ended.status),
            end: row.ended.map_or("", |ended| ended.end.as_str()).to_owned(),
            bytes_up: row.ended.map_or(0, |ended| ended.bytes_up),
            bytes_down: row.ended.map_or(0, |ended| ended.bytes_down),
        });
        records.collect()
    }
}

fn now() -> UnixMillis {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixMillis(i64::try_from(now.as_millis()).unwrap())
}

async fn add_user(state: &Path) {
    let log = ChangeLog::open(state).await.unwrap();
    let user = NewUser {
        name: "pupil".to_owned(),
        level: Some("pupil".to_owned()),
        groups: Vec::new(),
        password: Some(Password::for_demonstration("demo")),
    };
    log.users().add("j.cho", now(), user).await.unwrap();
}

/// What an origin does with a connection: it tells each request that it has read.
type Script = dyn Fn(TcpStream, &Sender<String>) + Send + Sync;

/// An origin on a free port of 127.0.0.1.
pub(crate) struct Origin {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Mutex<Receiver<String>>,
    closed: Mutex<Receiver<()>>,
    listener: Option<Arc<TcpListener>>,
}

impl Origin {
    fn scripted(script: impl Fn(TcpStream, &Sender<String>) + Send + Sync + 'static) -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        let (told, requests) = channel();
        let (closing, closed) = channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, script): (_, Arc<Script>) = (Arc::clone(&connections), Arc::new(script));
        let accepting = Arc::clone(&listener);
        std::thread::spawn(move || {
            for stream in accepting.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                stream.set_read_timeout(Some(PATIENCE * 3)).unwrap();
                let (told, closing, script) = (told.clone(), closing.clone(), Arc::clone(&script));
                std::thread::spawn(move || {
                    script(stream, &told);
                    // The test may have ended.
                    let _ = closing.send(());
                });
            }
        });
        let (requests, closed) = (Mutex::new(requests), Mutex::new(closed));
        Self { port, connections, requests, closed, listener: Some(listener) }
    }

    /// Answers each request with the same bytes.
    pub(crate) fn answering(answer: &str) -> Self {
        Self::answering_after(Duration::ZERO, answer)
    }

    pub(crate) fn answering_after(pause: Duration, answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::scripted(move |mut stream, told| {
            while let Some(request) = read_request(&mut stream) {
                let _ = told.send(request);
                std::thread::sleep(pause);
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        })
    }

    /// Signs connections in, as NTLM does: two steps on one connection, then whoever asks on it is
    /// the person of the first step.
    pub(crate) fn signing_connections_in() -> Self {
        Self::scripted(|mut stream, told| {
            let (mut asked, mut signed_in) = (false, false);
            while let Some(request) = read_request(&mut stream) {
                let head = request.to_lowercase();
                let _ = told.send(request);
                signed_in |= asked && head.contains("authorization: ntlm step3");
                asked = head.contains("authorization: ntlm step1");
                let answer: &[u8] = if head.starts_with("get /open ") {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nopen"
                } else if signed_in {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"
                } else if asked {
                    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM step2\r\nContent-Length: 0\r\n\r\n"
                } else {
                    b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"
                };
                if stream.write_all(answer).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers one request, then closes.
    pub(crate) fn answering_once(answer: &str) -> Self {
        let answer = answer.to_owned();
        Self::scripted(move |mut stream, told| {
            if let Some(request) = read_request(&mut stream) {
                let _ = told.send(request);
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
                drain(&mut stream);
            }
        })
    }

    /// Answers one request; reads a second one and closes without an answer.
    pub(crate) fn closing_after_one() -> Self {
        Self::scripted(|mut stream, told| {
            for answered in [true, false] {
                let Some(request) = read_request(&mut stream) else { return };
                let _ = told.send(request);
                if answered {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                }
            }
        })
    }

    pub(crate) fn echoing_paths() -> Self {
        Self::scripted(|mut stream, told| {
            while let Some(request) = read_request(&mut stream) {
                let path = request.split(' ').nth(1).unwrap().to_owned();
                let _ = told.send(request);
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len());
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        })
    }

    /// Says 100, and answers once the body is there.
    pub(crate) fn expecting_continue() -> Self {
        Self::scripted(|mut stream, told| {
            let head = read_head(&mut stream);
            let _ = told.send(head);
            std::thread::sleep(Duration::from_millis(100));
            stream.set_nonblocking(true).unwrap();
            assert!(stream.read(&mut [0]).is_err(), "the body came before the leave");
            stream.set_nonblocking(false).unwrap();
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
            let mut body = [0; 4];
            stream.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ngot body").unwrap();
        })
    }

    /// Agrees to switch to a protocol, says hello, then echoes.
    pub(crate) fn upgrading(to: &'static str) -> Self {
        Self::scripted(move |mut stream, told| {
            let head = read_head(&mut stream);
            let _ = told.send(head);
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\r\nhello"
            );
            let _ = stream.write_all(answer.as_bytes());
            echo(&mut stream);
        })
    }

    pub(crate) fn echoing_bytes() -> Self {
        Self::scripted(|mut stream, _| echo(&mut stream))
    }

    /// Reads slowly, then tells how much it read.
    pub(crate) fn counting_slowly() -> Self {
        Self::scripted(|mut stream, told| {
            let head = read_head(&mut stream);
            let length: usize = head
                .lines()
                .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
                .unwrap();
            let _ = told.send(head);
            let mut buffer = vec![0; 64 * 1024];
            let mut seen = 0;
            while seen < length {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => seen += read,
                }
                std::thread::sleep(Duration::from_millis(2));
            }
            let seen = seen.to_string();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{seen}", seen.len());
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    /// Reads requests and never answers.
    pub(crate) fn silent() -> Self {
        Self::scripted(|mut stream, told| {
            while let Some(request) = read_request(&mut stream) {
                let _ = told.send(request);
            }
        })
    }

    /// Must not be asked anything.
    pub(crate) fn panicking() -> Self {
        Self::scripted(|_, told| {
            let _ = told.send("asked".to_owned());
            panic!("the origin was asked although the proxy should have refused");
        })
    }

    /// Nobody listens here.
    pub(crate) fn gone() -> Self {
        let mut origin = Self::silent();
        origin.port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        origin
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn next_request(&self) -> String {
        self.requests.lock().unwrap().recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn requests_seen(&self) -> usize {
        self.requests.lock().unwrap().try_iter().count()
    }

    pub(crate) fn sees_close_within(&self, patience: Duration) -> bool {
        let begun = Instant::now();
        self.closed.lock().unwrap().recv_timeout(patience).is_ok() && begun.elapsed() <= patience
    }
}

fn echo(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => {
                if stream.write_all(&buffer[..read]).is_err() {
                    return;
                }
            }
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
}

fn drain(stream: &mut TcpStream) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer), Ok(read) if read > 0) {}
}

/// Reads a request with its body, as it came; `None` at the end of the connection.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    if let Some(length) = length {
        let mut body: Vec<u8> = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        bytes.extend_from_slice(&body);
    } else if head.contains("transfer-encoding: chunked") {
        // A last chunk, its trailers and the empty line.
        let body = bytes.len();
        loop {
            if stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            bytes.push(byte[0]);
            let tail = String::from_utf8_lossy(&bytes[body..]).into_owned();
            if tail.ends_with("\r\n\r\n")
                && (tail.contains("\r\n0\r\n") || tail.starts_with("0\r\n"))
            {
                break;
            }
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
