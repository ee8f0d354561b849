//! What a list of millions of names costs: a look-up, memory, compiling, the first answer, a reload.

use crate::cases::Drive;
use crate::entrant::Entrant;
use crate::load::{self, Load, Tally, Until, percentile};
use crate::names::Random;
use crate::rows::Ground;
use crate::squidguard::SquidGuard;
use crate::table::{Fact, Spread};
use crate::{child::Started, measure, reload};
use categorizer::index::{Builder, Index, ListInfo, Pages};
use categorizer::list::{self, Format, Options};
use rules::category::Catalogue;
use rules::host::Host;
use rustix::process::Signal;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Hosts that are looked up, half of them listed.
const LOOKUPS: usize = 200_000;

/// How often all of them are.
const LOOKUP_PASSES: usize = 5;

/// Rest of each connection before a request while lists are reloaded: a filter is never asked as fast
/// as 32 clients without a pause ask, and the longest answer is to be the reload's doing.
const PAUSE: Duration = Duration::from_millis(20);

/// Longest wait for a reload.
const RELOAD_LIMIT: Duration = Duration::from_secs(60);

/// How long others go on being asked after they were told to reload.
const OTHERS_RELOAD: Duration = Duration::from_secs(8);

/// Hosts to look up: listed ones and others in turn, in no order that the list has.
pub(crate) fn hosts(names: &str) -> Vec<String> {
    let mut listed: Vec<&str> = names.lines().collect();
    Random(7).shuffle(&mut listed);
    let listed = listed.into_iter().take(LOOKUPS / 2).enumerate();
    listed
        .flat_map(|(number, name)| {
            let www = if number % 2 == 0 { "www." } else { "" };
            [format!("{www}{name}"), format!("www.unlisted{number}.co.uk")]
        })
        .collect()
}

/// What a look-up in an index of these names takes, in microseconds of processor time, in this process,
/// pass by pass.
///
/// # Errors
/// A sentence: the names could not be compiled.
pub(crate) fn lookup_us(names: &str, hosts: &[String]) -> Result<Spread, String> {
    let mut builder = Builder::new();
    builder.begin(ListInfo {
        name: "made-up".into(),
        category: "games".into(),
        version: "1".into(),
    });
    let options = Options { format: Some(Format::Plain), allow_public_suffixes: false };
    list::read(names.as_bytes(), options, &mut |entry| builder.add(entry));
    let bytes = builder.finish("bench").map_err(|error| error.to_string())?;
    let mut catalogue = Catalogue::shipped();
    catalogue.add("games").map_err(|error| error.to_string())?;
    let pages = Pages::copy(&bytes).map_err(|error| error.to_string())?;
    let index = Index::open(Box::new(pages), &catalogue).map_err(|error| error.to_string())?;
    let hosts: Vec<Host> = hosts.iter().filter_map(|host| Host::parse(host).ok()).collect();
    let pass = |_| {
        let before = measure::own_thread_ns();
        for host in &hosts {
            black_box(index.categories(black_box(host), None));
        }
        let took = measure::own_thread_ns().saturating_sub(before);
        took as f64 / 1e3 / hosts.len().max(1) as f64
    };
    let passes: Vec<f64> = (0..LOOKUP_PASSES).map(pass).collect();
    Spread::of(passes).ok_or_else(|| "nothing was looked up".to_owned())
}

/// Asks until somebody answers with the site's own page; how long that took, and how many decisions
/// were asked.
///
/// # Errors
/// A sentence: no answer within 30 s, and the last thing that went wrong.
pub(crate) fn first_answer(entrant: &Entrant, ground: &Ground) -> Result<(Duration, u64), String> {
    let Some(target) = entrant.http else {
        return Err(format!("{}: answers no plain request", entrant.name));
    };
    let begun = Instant::now();
    let mut load = paced(entrant, ground, target);
    load.queues.truncate(5);
    // The last of five is a guest, who need not sign in: a password's hash is slow on purpose.
    load.queues.drain(..load.queues.len() - 1);
    load.until = Until::Passes(1);
    load.pause = Duration::ZERO;
    let (mut last, mut decisions) = (String::new(), 0);
    while begun.elapsed() < Duration::from_secs(30) {
        let tally = load::run(&load, &|| false).map_err(|error| error.to_string())?;
        decisions += tally.decisions;
        if tally.allowed > 0 {
            return Ok((begun.elapsed(), decisions));
        }
        last = tally.failures.into_iter().next().unwrap_or_else(|| "refused".to_owned());
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(format!("{}: did not answer within 30 s: {last}", entrant.name))
}

fn paced(entrant: &Entrant, ground: &Ground, target: std::net::SocketAddr) -> Load {
    let drive = Drive {
        connections: ground.connections,
        length: RELOAD_LIMIT * 2,
        passes: 1,
        tunnels: false,
        origin_port: ground.plain.port(),
    };
    let queue = drive.page_of(entrant.host, 1024, false);
    Load {
        target,
        queues: (0..ground.connections.max(5))
            .map(|number| (ground.school.person(number), queue.clone()))
            .collect(),
        until: Until::Elapsed(drive.length),
        new_connections: false,
        inside: load::Inside::Plain,
        bare: false,
        pause: PAUSE,
    }
}

/// How clients fared while lists were reloaded.
#[derive(Clone, Debug)]
pub(crate) struct Reloaded {
    /// Requests, and those of them that failed.
    pub requests: u64,
    /// Failed ones.
    pub failed: u64,
    /// Latency of 99 in 100, over that of a quiet time just before.
    pub p99_ratio: f64,
    /// The longest answer, in milliseconds.
    pub longest_ms: f64,
    /// Until it was done, if it can be seen.
    pub took: Option<Duration>,
    /// Decisions that were asked.
    pub decisions: u64,
}

/// Asks an entrant for a while, has it reload by `act`, and asks on.
fn reloaded(
    entrant: &Entrant,
    ground: &Ground,
    act: impl FnOnce() -> Result<Option<Duration>, String> + Send,
) -> Result<Reloaded, String> {
    let Some(target) = entrant.http else {
        return Err(format!("{}: answers no plain request", entrant.name));
    };
    let load = paced(entrant, ground, target);
    let (quiet, ()) = reload::under_load(&load, || {
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    })?;
    let (busy, took) = reload::under_load(&load, act)?;
    let sorted = |tally: &Tally| {
        let mut latencies = tally.latencies_us.clone();
        latencies.sort_unstable();
        latencies
    };
    let (calm, during) = (sorted(&quiet), sorted(&busy));
    Ok(Reloaded {
        requests: busy.requests(),
        failed: busy.failed,
        p99_ratio: f64::from(percentile(&during, 99.0)) / f64::from(percentile(&calm, 99.0).max(1)),
        longest_ms: f64::from(percentile(&during, 100.0)) / 1e3,
        took,
        decisions: quiet.decisions + busy.decisions,
    })
}

/// Has Schoolgate take up a list that has one more name.
///
/// # Errors
/// A sentence: what failed.
pub(crate) fn reload_ours(
    entrant: &Entrant,
    ground: &Ground,
    schoolgate: &crate::schoolgate::Schoolgate,
    list: &Path,
) -> Result<Reloaded, String> {
    let longer = with_one_more(list)?;
    reloaded(entrant, ground, || {
        std::fs::rename(&longer, list).map_err(|error| error.to_string())?;
        schoolgate.reload_lists(RELOAD_LIMIT).map(Some)
    })
}

/// Has another take up a list that has one more name, by its own signal.
///
/// # Errors
/// A sentence: what failed.
pub(crate) fn reload_other(
    entrant: &Entrant,
    ground: &Ground,
    process: &Started,
    signal: Signal,
    list: &Path,
) -> Result<Reloaded, String> {
    let longer = with_one_more(list)?;
    reloaded(entrant, ground, || {
        std::fs::rename(&longer, list).map_err(|error| error.to_string())?;
        process.signal(signal);
        std::thread::sleep(OTHERS_RELOAD);
        Ok(None)
    })
}

/// A copy of a list beside it, with one more name.
fn with_one_more(list: &Path) -> Result<std::path::PathBuf, String> {
    let say = |error: std::io::Error| format!("{}: {error}", list.display());
    let longer = list.with_extension("new");
    std::fs::copy(list, &longer).map_err(say)?;
    let mut file = std::fs::OpenOptions::new().append(true).open(&longer).map_err(say)?;
    file.write_all(b"one-more-name.example.com\n").map_err(say)?;
    Ok(longer)
}

/// What was found, for [`facts`].
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Names on the list.
    pub names: usize,
    /// A look-up of ours.
    pub lookup_us: Option<Spread>,
    /// From start to readiness with nothing compiled.
    pub compile_seconds: Option<f64>,
    /// squidGuard, if it was there.
    pub squidguard: Option<SquidGuard>,
    /// Reloads by entrant.
    pub reloads: Vec<(&'static str, Reloaded)>,
}

/// The second table's lines.
pub(crate) fn facts(found: &Found, entrants: &[Entrant]) -> Vec<Fact> {
    let names = match found.names {
        names if names.is_multiple_of(1_000_000) => format!("{} M names", names / 1_000_000),
        names => format!("{} names", crate::picture::number(names as f64)),
    };
    let mut facts = Vec::new();
    let guard = found.squidguard.as_ref();
    let with_guard = |value: fn(&SquidGuard) -> f64| {
        guard.map(|guard| ("squidguard".to_owned(), value(guard))).into_iter()
    };
    // The inspecting instance of a proxy has the plain one's name, and no plain address.
    let filters = entrants.iter().filter(|it| it.http.is_some());
    let of = |name: &str| filters.clone().find(|it| it.name == name);
    let others = |value: &dyn Fn(&Entrant) -> Option<f64>| {
        let known = ["squid", "e2guardian"].into_iter();
        let known = known.filter_map(|name| Some((name.to_owned(), value(of(name)?)?)));
        // Zero is what could not be read.
        let known = known.filter(|(_, value)| *value > 0.0);
        known.collect::<Vec<_>>()
    };
    facts.extend(found.lookup_us.map(|ours| Fact {
        id: "lookup",
        what: format!("a look-up among {names}"),
        unit: "µs",
        ours,
        must: Some(0.5),
        goal: Some(0.2),
        peers: with_guard(|guard| guard.lookup_us).collect(),
        how: "processor time: ours in this process, half of the hosts listed, in random order; squidGuard's over its pipes",
    }));
    if let Some(ours) = of("schoolgate") {
        let megabytes = |entrant: &Entrant| Some(entrant.idle_bytes as f64 / 1e6);
        facts.push(Fact {
            id: "resident_memory",
            what: format!("resident memory with {names}, before any load"),
            unit: "MB",
            ours: Spread::once(ours.idle_bytes as f64 / 1e6),
            must: Some(80.0),
            goal: Some(60.0),
            peers: others(&megabytes)
                .into_iter()
                .chain(with_guard(|guard| guard.resident_bytes as f64 / 1e6))
                .collect(),
            how: "all processes; squidGuard's database stays in files",
        });
        if let Some(seconds) = ours.cold_start_seconds {
            facts.push(Fact {
                id: "cold_start",
                what: format!("cold start to the first answer, {names}"),
                unit: "s",
                ours: Spread::once(seconds),
                must: Some(0.3),
                goal: Some(0.05),
                peers: others(&|entrant| entrant.cold_start_seconds)
                    .into_iter()
                    .chain(with_guard(|guard| guard.cold_start_seconds))
                    .collect(),
                how: "ours and squidGuard with compiled names; the others read text at each start",
            });
        }
    }
    if let Some(seconds) = found.compile_seconds {
        facts.push(Fact {
            id: "compile",
            what: format!("{names} read from text, compiled and in force"),
            unit: "s",
            ours: Spread::once(seconds),
            must: Some(3.0),
            goal: Some(1.0),
            peers: with_guard(|guard| guard.compile_seconds).collect(),
            how: "ours: a first start to readiness, everything else that it does included",
        });
    }
    let others_of = |value: fn(&Reloaded) -> f64| {
        let others = found.reloads.iter().filter(|(name, _)| *name != "schoolgate");
        others.map(|(name, it)| ((*name).to_owned(), value(it))).collect::<Vec<_>>()
    };
    if let Some((_, ours)) = found.reloads.iter().find(|(name, _)| *name == "schoolgate") {
        type Line = ([&'static str; 3], Option<f64>, Option<f64>, fn(&Reloaded) -> f64);
        let lines: [Line; 3] = [
            (["reload_failed", "failed requests", ""], Some(0.0), None, |it| it.failed as f64),
            (["reload_p99", "p99 over that of a quiet time", ""], Some(1.2), None, |it| {
                it.p99_ratio
            }),
            (["reload_longest", "longest answer", "ms"], None, Some(20.0), |it| it.longest_ms),
        ];
        for ([id, what, unit], must, goal, value) in lines {
            facts.push(Fact {
                id,
                what: format!("reload of {names} under load: {what}"),
                unit,
                ours: Spread::once(value(ours)),
                must,
                goal,
                peers: others_of(value),
                how: "32 clients, 20 ms of rest before each request; the list has one name more",
            });
        }
        if let Some(took) = ours.took {
            facts.push(Fact {
                id: "reload_compile",
                what: format!("reload of {names}: until the new index is compiled"),
                unit: "s",
                ours: Spread::once(took.as_secs_f64()),
                must: None,
                goal: None,
                peers: Vec::new(),
                how: "on the processor that serves",
            });
        }
    }
    facts
}
