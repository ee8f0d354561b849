//! Schoolgate as the product ships it: its own machine file, users and policy, a state folder of its
//! own, driven through the command line like any other installation.

#[path = "../admin-cli/tests/school/sessions.rs"]
#[allow(clippy::unwrap_used, reason = "shared with the tests, where it fails the test")]
mod sessions;

use crate::child::{Pinning, Started, free_addresses};
use crate::family;
use crate::lists::{LEVELS, List, blocks};
use crate::school::{GUEST_NETWORK, PASSWORD, School};
use crate::trace::Recorded;
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A running Schoolgate.
pub(crate) struct Schoolgate {
    /// The process.
    pub process: Started,
    /// Where the proxy listens.
    pub address: SocketAddr,
    /// From start to a 200 of `/readyz`, with nothing compiled yet.
    pub first_ready_after: Duration,
    /// The same with a compiled index.
    pub ready_after: Duration,
    ops: SocketAddr,
    binary: PathBuf,
    folder: PathBuf,
}

/// What Schoolgate needs to know.
pub(crate) struct Setting<'a> {
    /// Program.
    pub binary: &'a Path,
    /// Folder for its files.
    pub folder: &'a Path,
    /// Lists.
    pub lists: &'a [List],
    /// People and hosts.
    pub school: &'a School,
    /// Worker threads.
    pub workers: usize,
    /// Port of the origin: CONNECT is allowed to it.
    pub origin_port: u16,
    /// Port of the origin where TLS is spoken, and nothing else: CONNECT is allowed to it too.
    pub tls_port: Option<u16>,
    /// Tunnels are looked into.
    pub inspection: Option<Inspection<'a>>,
    /// Processors.
    pub pinning: &'a Pinning,
}

/// What an installation has besides, for those who measure that.
#[derive(Clone, Copy, Default)]
pub(crate) struct Besides<'a> {
    /// Further lines for `[limits]`.
    pub limits: &'a str,
    /// Text behind the policy, such as exceptions.
    pub policy: &'a str,
    /// Time zone of the school, where it is not London's.
    pub zone: Option<&'a str>,
    /// People who are known and have no password.
    pub without_password: usize,
    /// What is done to the state folder once it is made, while nothing runs.
    pub at_rest: Option<&'a Preparation<'a>>,
}

/// Rows by which nothing of a body is looked at: neither its words nor what kind of file it is.
pub(crate) fn nothing_read() -> String {
    let cells = |word: &str| LEVELS.map(|level| format!("{level} = \"{word}\"")).join(", ");
    let themes = rules::theme::shipped_themes().into_iter();
    let themes = themes.map(|theme| format!("{} = {{ {} }}\n", theme.name, cells("off")));
    let files = rules::file::FileKind::all();
    let files = files.map(|kind| format!("{} = {{ {} }}\n", kind.as_str(), cells("allow")));
    format!("[themes]\n{}[files]\n{}", themes.collect::<String>(), files.collect::<String>())
}

/// What is done to a state folder; the error is a sentence.
pub(crate) type Preparation<'a> = dyn Fn(&Path) -> Result<(), String> + 'a;

/// What looking into tunnels takes.
#[derive(Clone, Copy)]
pub(crate) struct Inspection<'a> {
    /// The authority that sites are verified with.
    pub sites: &'a Path,
    /// Whether guests' tunnels are looked into as well.
    pub guests: bool,
    /// Lines for `[limits]`.
    pub limits: &'a str,
}

/// The log's answer to "what happened?".
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Records.
    pub count: u64,
    /// Records whose code another record has too.
    pub repeated: u64,
    /// By verdict and reason.
    pub by_reason: BTreeMap<String, u64>,
    /// By scheme and how deep it was looked into.
    pub by_depth: BTreeMap<String, u64>,
    /// By client address.
    pub by_client: BTreeMap<String, u64>,
}

impl Schoolgate {
    /// Writes the configuration, starts once to compile the lists, and starts again to serve.
    ///
    /// # Errors
    /// A sentence: what failed, with what the daemon said.
    pub(crate) fn start(setting: &Setting<'_>) -> Result<Self, String> {
        Self::start_with(setting, &Besides::default())
    }

    /// The same with what is asked for besides.
    ///
    /// # Errors
    /// As [`Schoolgate::start`].
    pub(crate) fn start_with(setting: &Setting<'_>, besides: &Besides<'_>) -> Result<Self, String> {
        let [address, ops] = free_addresses().map_err(|error| error.to_string())?;
        let folder = setting.folder.to_owned();
        write_files(setting, besides, address, ops)
            .map_err(|error| format!("schoolgate: {error}"))?;
        if setting.inspection.is_some() {
            run(setting.binary, &folder, &["ca", "init", "--by", "j.cho"])?;
            run(setting.binary, &folder, &["ca", "export", "-o", "ca", "--format", "pem"])?;
        }
        let (process, first_ready_after) = serve(setting, ops)?;
        let mut school = Self {
            process,
            address,
            ops,
            first_ready_after,
            ready_after: Duration::ZERO,
            binary: setting.binary.to_owned(),
            folder,
        };
        school.command(&["user", "import", "people.csv", "--by", "j.cho"])?;
        school.process.stop(Duration::from_secs(15));
        if let Some(act) = besides.at_rest {
            act(&school.folder.join("state"))?;
        }
        (school.process, school.ready_after) = serve(setting, ops)?;
        Ok(school)
    }

    /// Runs a command on the same state; returns what it printed.
    ///
    /// # Errors
    /// A sentence with the command and what it said.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<String, String> {
        run(&self.binary, &self.folder, arguments)
    }

    /// The certificate of its authority, in PEM.
    ///
    /// # Errors
    /// A sentence: none was exported.
    pub(crate) fn authority(&self) -> Result<Vec<u8>, String> {
        let folder = self.folder.join("ca");
        let exported = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        exported
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|end| end == "pem"))
            .and_then(|path| std::fs::read(path).ok())
            .ok_or(format!("{}: no certificate was exported", folder.display()))
    }

    /// Its metrics; empty if it does not answer.
    pub(crate) fn metrics(&self) -> String {
        get(self.ops, "/metrics").unwrap_or_default()
    }

    /// Reads every record of the last day through `log query`.
    ///
    /// # Errors
    /// As [`Schoolgate::command`].
    pub(crate) fn records(&self) -> Result<Records, String> {
        let asked = ["log", "query", "--since", "24h", "--limit", "100000000", "--jsonl"];
        let mut command = acting(&self.binary, &self.folder, &asked);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = family::start(&mut command).map_err(|error| error.to_string())?;
        let mut records = Records::default();
        let mut codes = BTreeSet::new();
        for line in BufReader::new(child.stdout.take().ok_or("no standard output")?).lines() {
            let line = line.map_err(|error| error.to_string())?;
            let record: serde_json::Value = serde_json::from_str(&line)
                .map_err(|error| format!("log query printed no JSON line ({error}): {line}"))?;
            let word = |key: &str| record[key].as_str().unwrap_or("?").to_owned();
            records.count += 1;
            if !codes.insert(word("code")) {
                records.repeated += 1;
            }
            let depth = format!("{} {}", word("scheme"), word("depth"));
            *records.by_depth.entry(depth).or_default() += 1;
            *records.by_client.entry(word("client")).or_default() += 1;
            *records
                .by_reason
                .entry(format!("{} {}", word("verdict"), word("reason")))
                .or_default() += 1;
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(records) } else { Err(format!("log query: {status}")) }
    }

    /// Pipes requests of the trace through `check - --jsonl`, over and over, until so many are answered;
    /// answers a second, its start included.
    ///
    /// # Errors
    /// A sentence: it failed, or answered another number of lines.
    pub(crate) fn checks_a_second(
        &self,
        requests: &[Recorded],
        count: usize,
    ) -> Result<f64, String> {
        let mut input = String::with_capacity(count * 80);
        for request in requests.iter().cycle().take(count) {
            let scheme = if request.https { "https" } else { "http" };
            let _ = writeln!(input, "{scheme}://{}{}", request.host, request.path_and_query);
        }
        let asked = input.lines().count();
        let begun = Instant::now();
        let mut command = Command::new(&self.binary);
        command
            .args(["check", "-", "--as", "pupil", "--jsonl", "--config", "schoolgate.toml"])
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = family::start(&mut command).map_err(|error| error.to_string())?;
        let mut to = child.stdin.take().ok_or("no standard input")?;
        let writer = std::thread::spawn(move || to.write_all(input.as_bytes()));
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        let seconds = begun.elapsed().as_secs_f64();
        writer.join().map_err(|_| "the writer panicked")?.map_err(|error| error.to_string())?;
        let answered = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        if !output.status.success() || answered != asked || asked == 0 {
            return Err(format!("check -: {}, {answered} answers to {asked}", output.status));
        }
        Ok(answered as f64 / seconds)
    }

    /// One reload of everything at once: a signal, a policy file that changed, a site closed and
    /// opened again by the command line.
    ///
    /// # Errors
    /// As [`Schoolgate::command`].
    pub(crate) fn reload(&self, number: usize) -> Result<(), String> {
        let path = self.folder.join("policy.toml");
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let new = self.folder.join("policy.new");
        std::fs::write(&new, format!("{text}# reload {number}\n"))
            .and_then(|()| std::fs::rename(&new, &path))
            .map_err(|error| error.to_string())?;
        self.process.signal(Signal::HUP);
        let site = format!("reload{number}.example.com");
        let reason = "Closed and opened while the replay runs";
        let by = ["--reason", reason, "--by", "j.cho"];
        self.command(&[&["block", &site, "--for", "pupil"], &by[..]].concat())?;
        let listed = self.command(&["block", "list", "--jsonl"])?;
        let id = listed
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|block| block["site"].as_str() == Some(&site))
            .and_then(|block| Some(block["id"].as_str()?.to_owned()))
            .ok_or(format!("`block list` does not name {site}: {listed}"))?;
        let asked = self.command(&[&["block", "lift", &id], &by[..]].concat())?;
        let request = asked.split_whitespace().next().unwrap_or_default();
        self.command(&["unblock", "authorise", request, "--by", "q.whitmore"])?;
        Ok(())
    }

    /// Signals that a list has changed, and waits until an index that has it is compiled, no longer
    /// than `limit`; how long that took.
    ///
    /// # Errors
    /// A sentence: no new index was compiled.
    pub(crate) fn reload_lists(&self, limit: Duration) -> Result<Duration, String> {
        let before = self.indexes();
        let begun = Instant::now();
        self.process.signal(Signal::HUP);
        while begun.elapsed() < limit {
            if self.indexes().is_subset(&before) {
                std::thread::sleep(Duration::from_millis(20));
            } else {
                return Ok(begun.elapsed());
            }
        }
        Err(format!("schoolgate compiled no new index within {} s of SIGHUP", limit.as_secs()))
    }

    /// Names of its compiled indexes that are whole.
    fn indexes(&self) -> BTreeSet<std::ffi::OsString> {
        let entries = std::fs::read_dir(self.folder.join("state/index"));
        let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
        // Half written ones have another ending.
        names.filter(|name| name.to_string_lossy().ends_with(".sgx")).collect()
    }

    /// Bytes of its compiled index.
    pub(crate) fn index_bytes(&self) -> u64 {
        let folder = self.folder.join("state/index");
        std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.metadata().ok())
            .map(|metadata| metadata.len())
            .max()
            .unwrap_or(0)
    }
}

/// A command by somebody who has just logged in: a run may last longer than a session.
fn acting(binary: &Path, folder: &Path, arguments: &[&str]) -> Command {
    // There is none before the first command.
    let _ = std::fs::remove_dir_all(folder.join(sessions::FOLDER));
    let by = sessions::prepare(folder, arguments);
    let mut command = Command::new(binary);
    command.args(arguments).args(["--config", "schoolgate.toml"]).current_dir(folder);
    sessions::act(&mut command, folder, by);
    command
}

fn run(binary: &Path, folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = acting(binary, folder, arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", binary.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("schoolgate {}: {said}", arguments.join(" ")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn serve(setting: &Setting<'_>, ops: SocketAddr) -> Result<(Started, Duration), String> {
    let said = setting.folder.join("serve.log");
    let to = std::fs::File::create(&said).map_err(|error| error.to_string())?;
    let mut command = Command::new(setting.binary);
    command.args(["serve", "--config", "schoolgate.toml"]).current_dir(setting.folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(to);
    let begun = Instant::now();
    let mut process = Started::new(&mut command, &setting.pinning.proxy, &setting.pinning.rest)
        .map_err(|error| format!("{}: {error}", setting.binary.display()))?;
    let tail = || {
        let text = std::fs::read_to_string(&said).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        last.join(" / ")
    };
    while begun.elapsed() < Duration::from_secs(120) {
        if get(ops, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            return Ok((process, begun.elapsed()));
        }
        if let Some(status) = process.ended() {
            return Err(format!("schoolgate serve ended with {status}: {}", tail()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("schoolgate was not ready within 120 s: {}", tail()))
}

/// One request to the operations listener; the whole answer.
fn get(ops: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&ops, Duration::from_millis(500)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {ops}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn write_files(
    setting: &Setting<'_>,
    besides: &Besides<'_>,
    address: SocketAddr,
    ops: SocketAddr,
) -> std::io::Result<()> {
    let Setting { folder, school, .. } = setting;
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("schoolgate.toml"), machine_file(setting, besides, address, ops))?;
    std::fs::write(folder.join("policy.toml"), policy(setting, besides))?;
    let mut people = "name,level,groups,password\n".to_owned();
    for (name, level) in &school.users {
        let _ = writeln!(people, "{name},{level},,{PASSWORD}");
    }
    for number in 1..=besides.without_password {
        let _ = writeln!(people, "away{number},pupil,,");
    }
    std::fs::write(folder.join("people.csv"), people)
}

fn machine_file(
    setting: &Setting<'_>,
    besides: &Besides<'_>,
    address: SocketAddr,
    ops: SocketAddr,
) -> String {
    let mut hosts = String::new();
    let mut private = String::new();
    for host in &setting.school.hosts {
        let _ = writeln!(hosts, "\"{host}\" = \"127.0.0.1\"");
        let _ = write!(private, "\"{host}\", ");
    }
    let mut lists = String::new();
    for list in setting.lists {
        let _ = writeln!(
            lists,
            "[[lists]]\nname = \"{}\"\ncategory = \"{}\"\npath = \"{}\"",
            list.name,
            list.category,
            list.path.display()
        );
    }
    let (mut ports, mut tls, mut limits) = (setting.origin_port.to_string(), String::new(), "");
    if let Some(port) = setting.tls_port {
        let _ = write!(ports, ", {port}");
        let _ = writeln!(tls, "tls_ports = [{port}]");
    }
    if let Some(it) = setting.inspection {
        let _ = writeln!(tls, "ca_files = [\"{}\"]", it.sites.display());
        limits = it.limits;
    }
    format!(
        "state = \"state\"\npolicy = \"policy.toml\"\n\
         [listen]\nproxy = [\"{address}\"]\nops = \"{ops}\"\nworkers = {workers}\n\
         [upstream]\nconnect_ports = [{ports}]\nallow_private = [{private}]\n{tls}\
         [upstream.hosts]\n{hosts}\n[limits]\n{limits}\n{more_limits}\n{lists}",
        workers = setting.workers,
        more_limits = besides.limits,
    )
}

/// The same decisions as Squid's access rules.
fn policy(setting: &Setting<'_>, besides: &Besides<'_>) -> String {
    let lists = setting.lists;
    let inspect = |looked_into: bool| if looked_into { "inspect = \"page\"" } else { "" };
    let users = inspect(setting.inspection.is_some());
    let guests = inspect(setting.inspection.is_some_and(|it| it.guests));
    let mut grid = String::new();
    let categories: BTreeSet<&str> = lists.iter().map(|list| list.category.as_str()).collect();
    for category in categories.into_iter().chain(["uncategorised"]) {
        let cell = |level| if blocks(level, category) { "block" } else { "allow" };
        let cells = LEVELS.map(|level| format!("{level} = \"{}\"", cell(level)));
        let _ = writeln!(grid, "{category} = {{ {} }}", cells.join(", "));
    }
    format!(
        "school = \"Replay School\"\ntimezone = \"{zone}\"\n\
         identify = [\"basic\", \"network\"]\norder = [\"pupil\", \"guest\", \"staff\"]\n\
         [levels]\npupil = {{ {users} }}\nguest = {{ {guests} }}\nstaff = {{ {users} }}\n\
         [who]\n\"net:{GUEST_NETWORK}\" = \"guest\"\n\
         [grid]\n{grid}\
         [roles]\nit = [\"j.cho\"]\ndsl = [\"q.whitmore\"]\n\
         [unblock]\nauthorise = [\"dsl\"]\napply = \"automatic\"\nmax_days = 90\n{more}",
        zone = besides.zone.unwrap_or("Europe/London"),
        more = besides.policy,
    )
}
