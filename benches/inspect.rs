//! Drives inspected HTTPS through Schoolgate, and through Debian's Squid with `ssl-bump` (the same
//! names, people and levels) and mitmproxy, in turn, and says what each request cost.
//!
//! ```text
//! cargo bench --bench inspect -- --help
//! ```
//!
//! Every request goes through a CONNECT and TLS under the proxy's own authority, to an origin with
//! TLS whose certificate the proxy verifies. The origin and the load generator run beside the proxy
//! on processors of their own where there are enough. Nothing leaves this machine, but for fetching
//! the two peers once.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints what it found"
)]
#![allow(dead_code, reason = "the parts serve several benches, none of which needs all of each")]

mod cases;
mod child;
mod debian;
mod family;
mod h2_load;
mod lists;
mod load;
mod measure;
mod mitm;
mod origin;
mod peers;
mod report;
mod school;
mod schoolgate;
mod sites;
mod squid;
mod stage;
mod trace;
mod wire;

use cases::{Drive, PLAIN_HOST};
use child::Pinning;
use clap::Parser;
use h2_load::H2Load;
use load::{Inside, Load, Tally, Until};
use mitm::Mitmproxy;
use report::{Report, Round};
use school::School;
use schoolgate::Schoolgate;
use serde_json::json;
use squid::Squid;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use trace::Trace;

/// HTTP/2 connections of the case that has them, each with as many streams.
const H2_CONNECTIONS: usize = 4;

/// Drives inspected HTTPS through Schoolgate, Squid and mitmproxy.
#[derive(Debug, Parser)]
#[command(name = "inspect")]
struct Options {
    /// Cases, separated by commas: trace, keep-1k, keep-16k, new-1k, resume-1k, h2-1k
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "trace,keep-1k,keep-16k,new-1k,resume-1k,h2-1k"
    )]
    cases: Vec<String>,
    /// Rounds of each case through each proxy, in turn
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of a made-up case's round
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Requests as in the replay bench
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Block lists as in the replay bench
    #[arg(long, value_name = "DIR|none")]
    lists: Option<PathBuf>,
    /// Connections at a time
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Worker threads of Schoolgate, worker processes of Squid
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Only these, separated by commas: schoolgate; squid, which asks the site for its certificate
    /// first, as Schoolgate does; squid-first, which does not: cheaper, and it mimics no name;
    /// mitmproxy
    #[arg(long, value_delimiter = ',', default_value = "schoolgate,squid,squid-first,mitmproxy")]
    only: Vec<String>,
    /// The schoolgate program; without it a release build is made
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// Share the processors instead of giving the proxy its own
    #[arg(long)]
    no_pinning: bool,
    /// Where results go; without it a folder beside the build
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Be the origin (used by the bench itself)
    #[arg(long, hide = true, value_name = "ADDRESS")]
    origin: Option<SocketAddr>,
    /// Hosts and authority of the origin (used by the bench itself)
    #[arg(long, hide = true, value_name = "DIR", default_value = ".")]
    sites: PathBuf,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// The recorded requests, those with https in tunnels of their visit.
    Trace,
    /// GET of 1 KB on kept connections.
    Keep1k,
    /// GET of 16 KB on kept connections.
    Keep16k,
    /// CONNECT, a full handshake and one GET of 1 KB.
    New1k,
    /// The same where the client offers to resume its session.
    Resume1k,
    /// GET of 1 KB on streams of HTTP/2; the site speaks HTTP/1.1.
    H21k,
}

impl Case {
    const ALL: [(&str, Case); 6] = [
        ("trace", Case::Trace),
        ("keep-1k", Case::Keep1k),
        ("keep-16k", Case::Keep16k),
        ("new-1k", Case::New1k),
        ("resume-1k", Case::Resume1k),
        ("h2-1k", Case::H21k),
    ];

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, case)| *case == self).map_or("?", |(word, _)| word)
    }

    fn from_word(word: &str) -> Result<Case, String> {
        let known = Self::ALL.iter().find(|(name, _)| *name == word).map(|(_, case)| *case);
        known.ok_or(format!("no case called \"{word}\""))
    }

    /// Squid speaks no HTTP/2; mitmproxy speaks it only where the site does, and ends the wrong
    /// connections of a trace.
    fn is_for(self, through: &str) -> bool {
        match through {
            "squid" | "squid-first" => self != Case::H21k,
            "mitmproxy" => !matches!(self, Case::H21k | Case::Trace),
            _ => true,
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.origin {
        Some(listen) => sites::server(&options.sites, false)
            .and_then(|tls| origin::run(listen, Some(tls)).map_err(|error| error.to_string()))
            .map(|()| true),
        None => family::leaving_nobody(|| run(&options)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(7),
        Err(what) => {
            eprintln!("error: {what}");
            ExitCode::FAILURE
        }
    }
}

/// One of the proxies, as the rounds see it.
struct Proxy {
    name: &'static str,
    pid: u32,
    address: SocketAddr,
    authority: Vec<u8>,
    decisions: u64,
    handshakes: u64,
    resumed: u64,
}

/// Everything a round needs.
struct Stage {
    school: School,
    trace: Trace,
    drive: Drive,
    tls_port: u16,
    /// Authority of the sites: some hosts are never looked into.
    sites: Vec<u8>,
}

fn run(options: &Options) -> Result<bool, String> {
    let cases: Vec<Case> =
        options.cases.iter().map(|word| Case::from_word(word)).collect::<Result<_, _>>()?;
    let wanted = |name: &str| options.only.iter().any(|only| only == name);
    let folder = tempfile::Builder::new().prefix("inspect").tempdir().map_err(|e| e.to_string())?;
    let folder = folder.path();
    stage::open_to_all(folder)?;
    let mut report = Report::new("Inspected HTTPS");

    let material = stage::material(options.input.as_deref(), true, &mut report)?;
    let mut trace = material.trace;
    // What went in the open says nothing about looking into tunnels.
    trace.requests.retain(|request| request.https);
    let mut hosts = material.hosts;
    hosts.insert(PLAIN_HOST.to_owned());
    let lists = stage::choose_lists(options.lists.as_deref(), &hosts, folder)?;
    let lines: Vec<&str> = hosts.iter().map(String::as_str).collect();
    std::fs::write(folder.join(sites::HOSTS), lines.join("\n")).map_err(|e| e.to_string())?;
    let school = School::new(hosts);
    let pinning = match options.no_pinning {
        true => Pinning::default(),
        false => Pinning::for_workers(options.workers),
    };
    Pinning::pin(&pinning.rest);
    let line = format!(
        "{} lists, {} worker(s) on {}, {} connections; TLS 1.3 on both sides, P-256 certificates",
        lists.len(),
        options.workers,
        if pinning.proxy.is_empty() { "shared processors" } else { "their own processor" },
        options.connections
    );
    let pinned = !pinning.proxy.is_empty();
    report.fact("setting", line, json!({ "workers": options.workers, "pinned": pinned }));
    let (_origin, listening) =
        stage::start_origin(&["--sites", folder.to_str().ok_or("a folder that is no text")?])?;
    let [plain, secure] = listening[..] else { return Err("the origin has one address".into()) };
    let authority = folder.join(sites::AUTHORITY);

    let mut schoolgate = match wanted("schoolgate") {
        true => Some(Schoolgate::start(&schoolgate::Setting {
            binary: &match &options.binary {
                Some(binary) => std::path::absolute(binary).map_err(|error| error.to_string())?,
                None => stage::build()?,
            },
            folder: &folder.join("schoolgate"),
            lists: &lists,
            school: &school,
            workers: options.workers,
            origin_port: plain.port(),
            tls_port: Some(secure.port()),
            inspection: Some(schoolgate::Inspection {
                sites: &authority,
                guests: true,
                limits: "",
            }),
            pinning: &pinning,
        })?),
        false => None,
    };
    let cache = stage::build_folder()?.join("bench-peers");
    let squid_authority = folder.join("squid-authority.pem");
    let mut squids = Vec::new();
    for (name, client_first) in [("squid", false), ("squid-first", true)] {
        if !wanted(name) {
            continue;
        }
        let package = peers::squid_openssl(&cache)?;
        if squids.is_empty() {
            let (pem, key) = sites::authority("Bench Squid").map_err(|error| error.to_string())?;
            std::fs::write(&squid_authority, format!("{}{pem}", key.serialize_pem()))
                .map_err(|error| error.to_string())?;
        }
        let started = Squid::start(&squid::Setting {
            program: squid::Program::Unpacked(&package),
            folder: &folder.join(name),
            lists: &lists,
            school: &school,
            workers: options.workers,
            bump: Some(squid::Bump {
                authority: &squid_authority,
                sites: &authority,
                client_first,
            }),
            pinning: &pinning,
        })?;
        squids.push((name, started));
    }
    let mitmproxy = match wanted("mitmproxy") {
        true => start_mitmproxy(&cache, folder, secure, &authority, &pinning, &mut report),
        false => None,
    };

    let mut proxies = Vec::new();
    let mut add = |name, pid, address, authority| {
        let counts = (0, 0, 0);
        let (decisions, handshakes, resumed) = counts;
        proxies.push(Proxy { name, pid, address, authority, decisions, handshakes, resumed });
    };
    if let Some(it) = &schoolgate {
        add("schoolgate", it.process.pid(), it.address, it.authority()?);
    }
    for (name, it) in &squids {
        let pem = std::fs::read(&squid_authority).map_err(|error| error.to_string())?;
        add(name, it.process.pid(), it.address, pem);
    }
    if let Some(it) = &mitmproxy {
        add("mitmproxy", it.process.pid(), it.address, it.authority()?);
    }
    let stage = Stage {
        school,
        trace,
        drive: Drive {
            connections: options.connections,
            length: Duration::from_secs(options.seconds),
            passes: 1,
            tunnels: true,
            origin_port: secure.port(),
        },
        tls_port: secure.port(),
        sites: std::fs::read(&authority).map_err(|error| error.to_string())?,
    };
    for proxy in &mut proxies {
        // Signs everybody in and makes the first certificates, before anything is measured.
        stage.play(Case::Keep1k, proxy)?;
    }
    for &case in &cases {
        for number in 0..options.rounds {
            // The order changes, so that no proxy is always first.
            let first = number as usize % proxies.len().max(1);
            for place in 0..proxies.len() {
                let place = (place + first) % proxies.len();
                let proxy = &mut proxies[place];
                // It is many times slower: one round tells enough.
                if case.is_for(proxy.name) && (proxy.name != "mitmproxy" || number == 0) {
                    let round = stage.play(case, proxy)?;
                    report.add(round);
                }
            }
        }
    }
    conclude(&proxies, schoolgate.as_ref(), &squids, &mut report)?;
    if let Some(mut it) = schoolgate.take() {
        it.process.stop(Duration::from_secs(15));
    }
    report.write("inspect", options.out.as_deref())
}

/// mitmproxy, if it can be had.
fn start_mitmproxy(
    cache: &Path,
    folder: &Path,
    origin: SocketAddr,
    sites: &Path,
    pinning: &Pinning,
    report: &mut Report,
) -> Option<Mitmproxy> {
    let started = peers::mitmdump(cache).and_then(|binary| {
        Mitmproxy::start(&binary, &folder.join("mitmproxy"), origin, sites, pinning)
    });
    match started {
        Ok(it) => Some(it),
        Err(what) => {
            let line = format!("SKIPPED: mitmproxy takes no part: {what}");
            report.fact("mitmproxy_skipped", line, json!(what));
            None
        }
    }
}

impl Stage {
    /// One round of one case; the proxy is quiet before and after.
    fn play(&self, case: Case, proxy: &mut Proxy) -> Result<Round, String> {
        let alpn = if case == Case::H21k { "h2" } else { "http/1.1" };
        let tls = Arc::new(sites::client(&[&proxy.authority, &self.sites], alpn)?);
        measure::settle(proxy.pid, stage::SETTLE_LIMIT);
        let before = measure::usage(proxy.pid).cpu_ns;
        let tally = match case {
            Case::H21k => self.play_h2(proxy, tls)?,
            _ => {
                let load = self.load(case, proxy.address, tls);
                load::run(&load, &|| false).map_err(|error| error.to_string())?
            }
        };
        measure::settle(proxy.pid, stage::SETTLE_LIMIT);
        let cpu_ns = measure::usage(proxy.pid).cpu_ns.saturating_sub(before);
        proxy.decisions += tally.decisions;
        if case == Case::Resume1k {
            proxy.handshakes += tally.handshakes;
            proxy.resumed += tally.resumed;
        }
        Ok(Round { case: case.as_str(), through: proxy.name, tally, cpu_ns })
    }

    fn load(
        &self,
        case: Case,
        target: SocketAddr,
        tls: Arc<tokio_rustls::rustls::ClientConfig>,
    ) -> Load {
        let bytes = if case == Case::Keep16k { 16 * 1024 } else { 1024 };
        let queues = match case {
            Case::Trace => self.drive.trace_queues(&self.trace, false),
            _ => vec![self.drive.page(bytes, true); self.drive.connections],
        };
        let people = queues.into_iter().enumerate();
        Load {
            target,
            queues: people.map(|(number, queue)| (self.school.person(number), queue)).collect(),
            until: match case {
                Case::Trace => Until::Passes(self.drive.passes),
                _ => Until::Elapsed(self.drive.length),
            },
            new_connections: matches!(case, Case::New1k | Case::Resume1k),
            inside: if case == Case::New1k { Inside::TlsAnew(tls) } else { Inside::Tls(tls) },
            bare: false,
            pause: Duration::ZERO,
        }
    }

    fn play_h2(
        &self,
        proxy: &Proxy,
        tls: Arc<tokio_rustls::rustls::ClientConfig>,
    ) -> Result<Tally, String> {
        let connections = (0..H2_CONNECTIONS)
            .map(|i| (self.school.person(i), PLAIN_HOST.to_owned(), self.tls_port));
        let load = H2Load {
            target: proxy.address,
            tls,
            connections: connections.collect(),
            streams: self.drive.connections.div_ceil(H2_CONNECTIONS),
            body_bytes: 1024,
            length: self.drive.length,
            pause: Duration::ZERO,
        };
        h2_load::run(&load).map_err(|error| error.to_string())
    }
}

/// Memory, the logs and the ratios.
fn conclude(
    proxies: &[Proxy],
    schoolgate: Option<&Schoolgate>,
    squids: &[(&str, Squid)],
    report: &mut Report,
) -> Result<(), String> {
    for proxy in proxies {
        report.memory(proxy.name, proxy.pid, (proxy.name == "schoolgate").then_some(150));
        let line = format!(
            "{}: {} of {} handshakes that offered to be resumed were",
            proxy.name, proxy.resumed, proxy.handshakes
        );
        report.fact(&format!("resumed {}", proxy.name), line, json!(proxy.resumed));
    }
    let decisions = |name: &str| {
        proxies.iter().find(|proxy| proxy.name == name).map_or(0, |proxy| proxy.decisions)
    };
    if let Some(it) = schoolgate {
        report.records(&it.records()?, decisions("schoolgate"));
    }
    for (name, it) in squids {
        let logged = it.records();
        let line = format!("{name}: {} decisions, {logged} lines logged", decisions(name));
        report.fact(&format!("{name}_records"), line, json!(logged));
    }
    // Kept connections are what a filter sees most; a handshake is the same mathematics for all.
    let most = |case: &str| if case.starts_with("keep") { 0.5 } else { 1.0 };
    report.compare("squid", Some(&most));
    report.compare("squid-first", Some(&most));
    report.compare("mitmproxy", None);
    Ok(())
}
