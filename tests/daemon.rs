//! A school of its own for each test: machine file, policy, people, lists and state in a temporary
//! folder, with the real `schoolgate` program serving it.

#[path = "../admin-cli/tests/school/sessions.rs"]
mod sessions;

use crate::client::{Answer, Client, basic};
use crate::fake_origin::Origin;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Everybody's password in the tests.
pub(crate) const PASSWORD: &str = "correct horse";

/// People: name, level, groups.
pub(crate) const PEOPLE: [(&str, &str, &str); 4] = [
    ("kim", "ks2", ""),
    ("sam", "ks3", "Year 8;8B"),
    ("ali", "guest", ""),
    ("ms.obi", "staff", ""),
];

/// Hosts that exist; all lead to the fake origin.
pub(crate) const HOSTS: [&str; 14] = [
    "arcade.test",
    "chess.test",
    "live-games.test",
    "casino.test",
    "club.casino.test",
    "adult.test",
    "library.test",
    "school.test",
    "mixed.test",
    "social.test",
    "forbidden.test",
    "harm.test",
    "plain.test",
    "other.test",
];

/// Source addresses of the policy's networks.
pub(crate) const GUEST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 20, 0, 1));
/// A network at level ks1.
pub(crate) const KS1: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 21, 0, 1));
/// A network at level ks2.
pub(crate) const KS2: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 22, 0, 1));
/// A network at level ks3.
pub(crate) const KS3: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 23, 0, 1));
/// A network at level staff.
pub(crate) const STAFF: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 24, 0, 1));

/// What makes the usual policy look into tunnels.
const INSPECTED: [(&str, &str); 2] = [
    ("pupil = { safe_search = true }", "pupil = { safe_search = true, inspect = \"page\" }"),
    ("staff = {}", "staff = { inspect = \"page\" }"),
];

/// How long a change may take to be live (UX.md: 1 s).
pub(crate) const LIVE_WITHIN: Duration = Duration::from_secs(1);

/// What a test wants different from the usual school.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Replaces the policy.
    pub policy: Option<String>,
    /// Replacements in the usual policy: from, to.
    pub edits: Vec<(String, String)>,
    /// Added to the machine file, e.g. `[log]` or `[limits]` tables.
    pub machine: String,
    /// Added to `[listen]` of the machine file.
    pub listening: String,
    /// Whether people are imported; hashing their passwords takes a moment.
    pub people: bool,
    /// Whether tunnels of pupils and staff are looked into: an authority is made, and the origin's
    /// TLS port counts as one of TLS.
    pub inspected: bool,
    /// Further ports where tunnels may go and TLS is expected.
    pub tls_ports: Vec<u16>,
    /// How many workers there are; two where nothing is said.
    pub workers: Option<usize>,
    /// Further addresses that the proxy listens on.
    pub listen: Vec<SocketAddr>,
    /// Further names, or addresses, that may lead inside, and the addresses that a name has.
    pub hosts: Vec<(&'static str, Vec<&'static str>)>,
    /// Whether the proxy does not trust the origin's authority.
    pub distrusted: bool,
    /// Start with the signal for too large files ignored, as a service manager may.
    pub ignore_file_size_signal: bool,
    /// Words before the daemon's own, such as those that record it with `strace`.
    pub under: Vec<String>,
    /// The school's folder, where it is not to be a temporary one of its own.
    pub folder: Option<PathBuf>,
}

/// A running school.
pub(crate) struct Daemon {
    /// Where the proxy listens.
    pub proxy: SocketAddr,
    /// Where operations listen.
    pub ops: SocketAddr,
    /// The fake origin behind all hosts.
    pub origin: Origin,
    folder: PathBuf,
    /// Removes the folder in the end, where it is a temporary one.
    _temporary: Option<tempfile::TempDir>,
    child: Child,
    ignore_file_size_signal: bool,
    /// Words before the daemon's own.
    pub under: Vec<String>,
}

/// What a command printed.
#[derive(Clone, Debug)]
pub(crate) struct Printed {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Printed {
    /// The printed JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The printed JSON lines.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        self.out.lines().map(parse).collect()
    }

    /// Itself, if the command went well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }
}

/// The program under test, beside this test program.
pub(crate) fn binary() -> PathBuf {
    let folder = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    let binary = folder.join("schoolgate");
    assert!(
        binary.exists(),
        "{} is missing\n  fix: run `bash tests/run`, or `cargo build -p admin-cli` first",
        binary.display()
    );
    binary
}

/// A folder of this repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A loopback port that nobody listens on. It lies below those that outgoing connections use, and no
/// two tests of this program get the same.
pub(crate) fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap();
    let given = given.get_or_insert_with(HashSet::new);
    let start = 10_000 + (std::process::id() % 200) as u16 * 100;
    (start..32_000)
        .chain(10_000..start)
        .find(|&port| {
            !given.contains(&port)
                && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
                && given.insert(port)
        })
        .unwrap()
}

impl Daemon {
    /// Starts the usual school.
    pub(crate) fn start() -> Self {
        Self::start_with(&Plan { people: true, ..Plan::default() })
    }

    /// The usual school without people to sign in: networks only.
    pub(crate) fn start_without_people() -> Self {
        Self::start_with(&Plan::default())
    }

    /// Starts a school that differs from the usual one.
    pub(crate) fn start_with(plan: &Plan) -> Self {
        let temporary = match plan.folder {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("schoolgate-test").tempdir().unwrap()),
        };
        let folder = match (&plan.folder, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => unreachable!(),
        };
        let further = plan.hosts.iter().map(|(host, _)| *host);
        let origin = Origin::start(&HOSTS.into_iter().chain(further).collect::<Vec<_>>());
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (proxy, ops) = (local(free_port()), local(free_port()));
        write_school(&folder, plan, proxy, ops, &origin);
        if plan.people {
            run_in(&folder, &["user", "import", "people.csv", "--by", "j.cho"], "").ok();
        }
        if plan.inspected {
            run_in(&folder, &["ca", "init", "--by", "j.cho"], "").ok();
            run_in(&folder, &["ca", "export", "-o", "ca", "--format", "pem"], "").ok();
        }
        let mut daemon = Self {
            proxy,
            ops,
            origin,
            child: spawn(&folder, &plan.under, plan.ignore_file_size_signal),
            folder,
            _temporary: temporary,
            ignore_file_size_signal: plan.ignore_file_size_signal,
            under: plan.under.clone(),
        };
        daemon.wait_ready();
        daemon
    }

    /// The school's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Process id.
    pub(crate) fn pid(&self) -> Pid {
        traced(self.child.id(), !self.under.is_empty()).unwrap()
    }

    /// What the daemon has said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.folder().join("serve.log")).unwrap_or_default()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(pid) = traced(self.child.id(), !self.under.is_empty()) {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.child.wait().unwrap();
    }

    /// Asks it to stop and waits for the end; gives its exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("no end 20 s after SIGTERM; it said: {}", self.said());
    }

    /// Starts it again on the same state and ports.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.folder, &self.under, self.ignore_file_size_signal);
        self.wait_ready();
    }

    /// Limits the size of files that the running daemon may write; `None` lifts the limit.
    pub(crate) fn limit_file_size(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(self.pid()), Resource::Fsize, limit).unwrap();
    }

    /// Runs a command on the school's state.
    pub(crate) fn run(&self, arguments: &[&str]) -> Printed {
        self.run_with_input(arguments, "")
    }

    /// The same with standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Printed {
        run_in(self.folder(), arguments, input)
    }

    /// Authorises the newest request that waits, as the safeguarding lead; its number. Waits for one,
    /// for the filter itself asks for what a saved file opens.
    #[track_caller]
    pub(crate) fn sign_off(&self) -> String {
        let begun = Instant::now();
        loop {
            let asked = self.run(&["unblock", "list", "--state", "asked", "--jsonl"]).ok().lines();
            if let Some(newest) = asked.first() {
                let id = newest["id"].as_str().unwrap().to_owned();
                self.run(&["unblock", "authorise", &id, "--by", "q.whitmore"]).ok();
                return id;
            }
            assert!(begun.elapsed() < Duration::from_secs(5), "nobody asks for anything");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends a request to the operations listener.
    pub(crate) fn ops_get(&self, path: &str) -> Option<Answer> {
        let mut client = Client::try_connect_from(Ipv4Addr::LOCALHOST.into(), self.ops).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.ops);
        client.stream.write_all(request.as_bytes()).ok()?;
        Some(client.read("GET"))
    }

    /// The URL of a path at a host of the fake origin.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.origin.http.port())
    }

    /// The HTTPS authority of a host of the fake origin.
    pub(crate) fn authority(&self, host: &str) -> String {
        format!("{host}:{}", self.origin.https.port())
    }

    /// One GET from an address, on a connection of its own.
    pub(crate) fn get_from(&self, from: IpAddr, url: &str) -> Answer {
        Client::connect_from(from, self.proxy).ask("GET", url, &[])
    }

    /// One GET, signed in.
    pub(crate) fn get_as(&self, user: &str, url: &str) -> Answer {
        let credentials = basic(user, PASSWORD);
        let headers = [("Proxy-Authorization", credentials.as_str())];
        Client::connect(self.proxy).ask("GET", url, &headers)
    }

    /// All records of the log, in the order of the requests. (The log's own order is that of
    /// arrival in the day's file, where two workers may be a moment apart.)
    pub(crate) fn records(&self) -> Vec<Value> {
        let query = ["log", "query", "--since", "24h", "--limit", "1000000", "--jsonl"];
        let mut records = self.run(&query).ok().lines();
        // A code is the request's id in base 32, whose digits sort as text.
        records.sort_by_key(|record| record["code"].as_str().unwrap().to_owned());
        records
    }

    /// The same once there are so many, as the safeguarding lead sees them: with words and signs.
    #[track_caller]
    pub(crate) fn records_for_lead(&self, wanted: usize) -> Vec<Value> {
        self.wait_records(wanted);
        // The end of what passed is recorded by itself; something may still go on.
        let goes_on = |record: &Value| {
            record["verdict"] == "allow"
                && record["end"].is_null()
                && !["PAGE", "PROMPT"].contains(&record["method"].as_str().unwrap_or_default())
        };
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) && self.records().iter().any(goes_on) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let query = ["log", "query", "--since", "24h", "--jsonl", "--by", "q.whitmore"];
        let mut records = self.run(&query).ok().lines();
        records.sort_by_key(|record| record["code"].as_str().unwrap().to_owned());
        records
    }

    /// The records once there are so many.
    #[track_caller]
    pub(crate) fn wait_records(&self, wanted: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let records = self.records();
            if records.len() >= wanted {
                return records;
            }
            let waited = begun.elapsed() > Duration::from_secs(10);
            assert!(!waited, "{} records of {wanted} after 10 s: {records:#?}", records.len());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn wait_ready(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("schoolgate serve ended with {status}: {}", self.said());
            }
            if get_ready(self.ops).is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("schoolgate was not ready within 30 s: {}", self.said());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
        if std::thread::panicking() {
            eprintln!("schoolgate said: {}", self.said());
        }
    }
}

/// Held by a test that looks at the clock or takes all of the processors: such tests run one at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // What a test that failed has left is nothing that another could trip over.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a condition holds; panics with the words if it does not in time.
#[track_caller]
pub(crate) fn wait_for(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    loop {
        if holds() {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs the program in a folder that holds a `schoolgate.toml`.
pub(crate) fn run_in(folder: &Path, arguments: &[&str], input: &str) -> Printed {
    run_under(&[], folder, arguments, input)
}

/// The same behind other words, such as those that record it with `strace`.
pub(crate) fn run_under(
    under: &[String],
    folder: &Path,
    arguments: &[&str],
    input: &str,
) -> Printed {
    let mut words: Vec<String> = under.to_vec();
    words.push(binary().display().to_string());
    let by = sessions::prepare(folder, arguments);
    let mut command = Command::new(&words[0]);
    sessions::act(&mut command, folder, by);
    let mut child = command
        .args(&words[1..])
        .args(arguments)
        .args(["--config", "schoolgate.toml"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A command that does not read its input closes the pipe.
        let _ = to.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Printed {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Writes the files of a school. `origin` decides which ports tunnels may go to.
pub(crate) fn write_school(
    folder: &Path,
    plan: &Plan,
    proxy: SocketAddr,
    ops: SocketAddr,
    origin: &Origin,
) {
    let fixtures = repository("tests/fixtures");
    let mut policy = plan
        .policy
        .clone()
        .unwrap_or_else(|| std::fs::read_to_string(fixtures.join("policy.toml")).unwrap());
    if plan.inspected {
        for (from, to) in INSPECTED {
            assert!(policy.contains(from), "the policy has no `{from}`");
            policy = policy.replace(from, to);
        }
    }
    for (from, to) in &plan.edits {
        assert!(policy.contains(from), "the policy has no `{from}`");
        policy = policy.replace(from, to);
    }
    let more: String = plan.tls_ports.iter().map(|port| format!(", {port}")).collect();
    let listen: Vec<String> =
        std::iter::once(&proxy).chain(&plan.listen).map(SocketAddr::to_string).collect();
    let inside: Vec<&str> =
        HOSTS.into_iter().chain(plan.hosts.iter().map(|(host, _)| *host)).collect();
    let mut machine = format!(
        "state = \"state\"\npolicy = \"policy.toml\"\n\
         [listen]\nproxy = {listen:?}\nops = \"{ops}\"\nworkers = {}\n{}\n\
         [upstream]\nconnect_ports = [443, {}, {}{more}]\nallow_private = {inside:?}\n",
        plan.workers.unwrap_or(2),
        plan.listening,
        origin.https.port(),
        origin.http.port(),
    );
    if plan.inspected {
        std::fs::write(folder.join("origin.pem"), &origin.authority_pem).unwrap();
        let trusted = if plan.distrusted { "" } else { "\"origin.pem\"" };
        let port = origin.https.port();
        let _ = writeln!(machine, "ca_files = [{trusted}]\ntls_ports = [443, {port}{more}]");
    }
    machine.push_str("[upstream.hosts]\n");
    for host in HOSTS {
        let _ = writeln!(machine, "\"{host}\" = \"127.0.0.1\"");
    }
    for (host, addresses) in plan.hosts.iter().filter(|(_, addresses)| !addresses.is_empty()) {
        let _ = writeln!(machine, "\"{host}\" = {addresses:?}");
    }
    for list in ["games", "gambling", "adult", "education", "csam", "social", "self-harm"] {
        let path = fixtures.join("lists").join(list);
        let _ = writeln!(
            machine,
            "[[lists]]\nname = \"test-{list}\"\ncategory = \"{list}\"\npath = \"{}\"",
            path.display()
        );
    }
    let mut people = "name,level,groups,password\n".to_owned();
    for (name, level, groups) in PEOPLE {
        let _ = writeln!(people, "{name},{level},{groups},{PASSWORD}");
    }
    std::fs::copy(fixtures.join("only-ks1.txt"), folder.join("only-ks1.txt")).unwrap();
    std::fs::write(folder.join("policy.toml"), policy).unwrap();
    std::fs::write(folder.join("people.csv"), people).unwrap();
    std::fs::write(folder.join("schoolgate.toml"), machine + &plan.machine).unwrap();
}

/// The daemon's own process, which is the child of the one that was started where it is traced.
pub(crate) fn traced(started: u32, is_traced: bool) -> Option<Pid> {
    let pid = match is_traced {
        false => started,
        true => {
            let children = format!("/proc/{started}/task/{started}/children");
            std::fs::read_to_string(children).ok()?.split_whitespace().next()?.parse().ok()?
        }
    };
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// Starts `schoolgate serve` in a school's folder, without waiting for it.
pub(crate) fn spawn(folder: &Path, under: &[String], ignore_file_size_signal: bool) -> Child {
    let said =
        std::fs::File::options().create(true).append(true).open(folder.join("serve.log")).unwrap();
    let mut words: Vec<String> = under.to_vec();
    if ignore_file_size_signal {
        words.extend(["/bin/sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(str::to_owned));
    }
    words.push(binary().display().to_string());
    Command::new(&words[0])
        .args(&words[1..])
        .args(["serve", "--config", "schoolgate.toml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap()
}

pub(crate) fn get_ready(ops: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&ops, Duration::from_millis(500)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {ops}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
