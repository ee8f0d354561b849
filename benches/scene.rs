//! What a measurement of capacity stands on: sites of its own, a Schoolgate of its own, and the people
//! who ask.

use crate::cases::PLAIN_HOST;
use crate::child::{Pinning, Started};
use crate::lists::List;
use crate::load::Person;
use crate::report::Report;
use crate::school::{PASSWORD, School, base64};
use crate::schoolgate::{self, Besides, Inspection, Schoolgate};
use crate::trace::Trace;
use crate::{measure, names, sites, stage};
use rustix::process::{Pid, getpriority_process, setpriority_process};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::Resumption;

/// A name of the list that leads to the sites like every other, so that it can be asked for.
pub(crate) const LISTED_HOST: &str = "listed.test";

/// How much less nice than the rest of the run is what stands on machines of its own in a school: who
/// measures, and the sites that are measured against.
const AHEAD: i32 = 8;

/// Everything that all measurements share.
pub(crate) struct Scene {
    /// The schoolgate program.
    pub binary: PathBuf,
    /// Folder for the files of the run.
    pub folder: PathBuf,
    /// Recorded requests.
    pub trace: Trace,
    /// Their hosts, and two of our own.
    pub hosts: BTreeSet<String>,
    /// Names on the list, where a measurement does not say otherwise.
    pub names: usize,
    /// Short forms are wanted.
    pub quick: bool,
    /// School days of the month, where they were chosen.
    pub days: Option<u16>,
}

/// Sites: one process, with a port for plain HTTP and one for TLS.
pub(crate) struct Sites {
    /// The process.
    pub process: Started,
    /// Where plain HTTP is spoken.
    pub plain: SocketAddr,
    /// Where TLS is.
    pub secure: SocketAddr,
    /// The certificate of their authority.
    pub authority: PathBuf,
}

/// What a Schoolgate is to be like.
#[derive(Clone, Copy, Default)]
pub(crate) struct Needs<'a> {
    /// Tunnels are looked into.
    pub inspection: bool,
    /// Worker threads.
    pub workers: usize,
    /// One processor is its own, where there are two.
    pub pinned: bool,
    /// People with a password.
    pub users: usize,
    /// Names on its list; 0: it has none.
    pub names: usize,
    /// What else.
    pub besides: Besides<'a>,
}

/// A Schoolgate that is measured.
pub(crate) struct Gate {
    /// It.
    pub school: Schoolgate,
    /// Its authority's certificate, if it has one.
    pub authority: Option<Vec<u8>>,
    /// Decisions that were asked of it.
    pub decisions: u64,
    /// Those of them that got no answer, and so may have been decided or not: connections beyond a limit are closed before
    /// anything is.
    pub unanswered: u64,
}

impl Scene {
    /// Starts sites for all hosts.
    ///
    /// # Errors
    /// A sentence: what failed.
    pub(crate) fn sites(&self, name: &str) -> Result<Sites, String> {
        let folder = self.folder.join(name);
        let lines: Vec<&str> = self.hosts.iter().map(String::as_str).collect();
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(sites::HOSTS), lines.join("\n")))
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        let shown = folder.to_str().ok_or("a folder that is no text")?;
        let (process, listening) = stage::start_origin(&["--sites", shown])?;
        let [plain, secure] = listening[..] else {
            return Err("the origin does not speak TLS".into());
        };
        Ok(Sites { process, plain, secure, authority: folder.join(sites::AUTHORITY) })
    }

    /// Folder of the Schoolgate of this name.
    pub(crate) fn folder_of(&self, name: &str) -> PathBuf {
        self.folder.join(format!("gate-{name}"))
    }

    /// Starts a Schoolgate that reaches these sites.
    ///
    /// # Errors
    /// A sentence: what failed.
    pub(crate) fn gate(
        &self,
        name: &str,
        sites: &Sites,
        needs: &Needs<'_>,
    ) -> Result<Gate, String> {
        let folder = self.folder_of(name);
        let lists = self.lists(&folder, needs.names)?;
        let users = (1..=needs.users).map(|number| (user(number), "pupil".to_owned()));
        let school = School { hosts: self.hosts.clone(), users: users.collect() };
        let pinning = match needs.pinned {
            true => Pinning::for_workers(needs.workers),
            false => Pinning::default(),
        };
        let school = Schoolgate::start_with(
            &schoolgate::Setting {
                binary: &self.binary,
                folder: &folder,
                lists: &lists,
                school: &school,
                workers: needs.workers,
                origin_port: sites.plain.port(),
                tls_port: Some(sites.secure.port()),
                inspection: needs.inspection.then_some(Inspection {
                    sites: &sites.authority,
                    guests: true,
                    limits: "",
                }),
                pinning: &pinning,
            },
            &needs.besides,
        )?;
        let authority = needs.inspection.then(|| school.authority()).transpose()?;
        Ok(Gate { school, authority, decisions: 0, unanswered: 0 })
    }

    fn lists(&self, folder: &Path, names: usize) -> Result<Vec<List>, String> {
        if names == 0 {
            return Ok(Vec::new());
        }
        let path = folder.join("lists/games");
        std::fs::create_dir_all(&path)
            .and_then(|()| {
                let text = format!("{LISTED_HOST}\n{}", names::made_up(names));
                std::fs::write(path.join("domains"), text)
            })
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(vec![List { name: "made-up".to_owned(), category: "games".to_owned(), path }])
    }

    /// All hosts that a measurement may ask for: those of the trace, or one of our own.
    pub(crate) fn asked_hosts(&self) -> Vec<&str> {
        self.hosts.iter().map(String::as_str).filter(|host| *host != LISTED_HOST).collect()
    }
}

impl Sites {
    /// Lets these sites go before all else on this machine, as if they had one of their own.
    pub(crate) fn go_ahead(&self) {
        if let Some(pid) = i32::try_from(self.process.pid()).ok().and_then(Pid::from_raw) {
            put_ahead(Some(pid));
        }
    }

    /// TLS of a browser that trusts these sites and a Schoolgate; each connection has a full handshake.
    ///
    /// # Errors
    /// A sentence: a certificate is none.
    pub(crate) fn browser(&self, gate: Option<&Gate>) -> Result<Arc<ClientConfig>, String> {
        let own = std::fs::read(&self.authority)
            .map_err(|error| format!("{}: {error}", self.authority.display()))?;
        let mut trusted: Vec<&[u8]> = vec![&own];
        trusted.extend(gate.and_then(|gate| gate.authority.as_deref()));
        let mut tls = sites::client(&trusted, "http/1.1")?;
        tls.resumption = Resumption::disabled();
        Ok(Arc::new(tls))
    }
}

impl Gate {
    /// Resident memory now, in bytes, once it rests.
    pub(crate) fn resident(&self) -> u64 {
        measure::settle(self.school.process.pid(), stage::SETTLE_LIMIT);
        measure::usage(self.school.process.pid()).rss_bytes
    }

    /// Ends it, and holds its log against what was asked of it.
    ///
    /// # Errors
    /// A sentence: the log could not be read.
    pub(crate) fn conclude(mut self, key: &str, report: &mut Report) -> Result<(), String> {
        if let Some(status) = self.school.process.ended() {
            let line = format!("{key}: schoolgate ended by itself: {status}");
            report.target(&format!("{key} alive"), false, line, json!(status));
        }
        self.school.process.stop(Duration::from_secs(20));
        let records = self.school.records()?;
        let line = format!(
            "{key}: {} decisions asked ({} of them not answered), {} recorded, {} codes twice; target: each once",
            self.decisions, self.unanswered, records.count, records.repeated
        );
        let expected = self.decisions - self.unanswered..=self.decisions;
        let holds = expected.contains(&records.count) && records.repeated == 0;
        let value = json!({
            "decisions": self.decisions, "unanswered": self.unanswered, "records": records.count, "repeated": records.repeated,
            "by_depth": records.by_depth, "by_reason": records.by_reason,
        });
        report.target(&format!("{key} records"), holds, line, value);
        Ok(())
    }
}

/// The name of user `number`, from 1.
fn user(number: usize) -> String {
    format!("pupil{number}")
}

/// The line by which user `number` of so many signs in.
pub(crate) fn credentials(number: usize, users: usize) -> String {
    let name = user(number % users.max(1) + 1);
    let token = base64(format!("{name}:{PASSWORD}").as_bytes());
    format!("Proxy-Authorization: Basic {token}\r\n")
}

/// The pupil at computer `number`, which has an address of its own.
pub(crate) fn pupil(number: usize, users: usize) -> Person {
    Person { address: address(64, number), credentials: credentials(number, users) }
}

/// Address `number` of those that begin with 127 and `second`; 50,000 of them are different.
pub(crate) fn address(second: u8, number: usize) -> IpAddr {
    let part = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
    IpAddr::V4(Ipv4Addr::new(127, second, part(number / 200 % 250), part(number % 200 + 1)))
}

/// The hosts of a trace, and our own.
pub(crate) fn hosts_with_ours(mut hosts: BTreeSet<String>) -> BTreeSet<String> {
    hosts.extend([PLAIN_HOST, LISTED_HOST].map(str::to_owned));
    hosts
}

/// Lets the calling thread go before all else on this machine, as if it had one of its own.
pub(crate) fn go_ahead() {
    put_ahead(None);
}

fn put_ahead(pid: Option<Pid>) {
    let usual = getpriority_process(None).unwrap_or(0);
    // Without the right to do so the figures are worse, for the control as well.
    let _ = setpriority_process(pid, (usual - AHEAD).max(-20));
}

/// Files that one process may have open here.
pub(crate) fn file_limit() -> usize {
    use rustix::process::{Resource, getrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// Raises the limit of open files as far as this machine lets it: what is started from here has the
/// same limit.
pub(crate) fn raise_file_limit(wanted: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let higher = limit.maximum.map(|most| most.max(wanted));
    let raised = Rlimit { current: higher, maximum: higher };
    if setrlimit(Resource::Nofile, raised).is_err() {
        // Only the system's own administrator may go past the maximum, and not everywhere.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

/// Share of the processors, in percent, that other programs have: what is busy while this waits for two
/// seconds.
pub(crate) fn others() -> f64 {
    let (before, begun) = (measure::machine(), Instant::now());
    std::thread::sleep(Duration::from_secs(2));
    let now = measure::machine();
    let busy = now.busy_ns + now.stolen_ns - before.busy_ns - before.stolen_ns;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    busy as f64 / (begun.elapsed().as_nanos() as f64 * processors as f64) * 100.0
}
