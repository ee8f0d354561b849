//! A month of school days in time-lapse: whether memory stays where it was.
//!
//! The clock is not moved. A day is some thousand requests: pupils come, each from a computer of their
//! own, sign in, browse recorded pages in tunnels that are looked into, rest and leave; meanwhile the
//! policy is read again, a site is blocked and opened again by two people, the list gets another name,
//! and an unblock begins and ends. What hangs on hours that pass (sessions that lapse, a day that is
//! sealed, passwords forgotten after an hour) does not happen here.

use crate::cases::Drive;
use crate::load::{self, Inside, Load, Prepared, Tally, Until};
use crate::names::Random;
use crate::report::Report;
use crate::scene::{self, Gate, LISTED_HOST, Needs, Scene, Sites};
use crate::schoolgate::Besides;
use crate::trace::Recorded;
use crate::watch::{self, Sample};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::rustls::ClientConfig;

/// What a month is.
struct Size {
    days: usize,
    /// Who are there on one day.
    pupils: usize,
    /// People of the school: others come on other days.
    people: usize,
    /// Pages that each of them opens.
    pages: usize,
}

const FULL: Size = Size { days: 22, pupils: 120, people: 300, pages: 6 };
const QUICK: Size = Size { days: 8, pupils: 40, people: 100, pages: 3 };

/// Rest of a pupil before each request.
const PAUSE: Duration = Duration::from_millis(15);

/// Waits so short that everything of a day is let go of before the next one.
const LIMITS: &str = "client_idle_timeout_ms = 20000\npool_idle_timeout_ms = 3000\n\
                      tunnel_idle_timeout_ms = 20000\n";

/// Longest wait for that.
const NIGHT_LIMIT: Duration = Duration::from_secs(40);

/// Longest wait for a list to be taken up.
const LIST_LIMIT: Duration = Duration::from_secs(60);

/// Plays the month.
///
/// # Errors
/// A sentence: what failed.
pub(crate) fn measure(scene: &Scene, report: &mut Report) -> Result<(), String> {
    let mut size = if scene.quick { QUICK } else { FULL };
    size.days = scene.days.map_or(size.days, usize::from);
    let sites = scene.sites("month-sites")?;
    let needs = Needs {
        inspection: true,
        workers: 2,
        pinned: false,
        users: size.people,
        names: scene.names.max(1),
        besides: Besides { limits: LIMITS, ..Besides::default() },
    };
    let mut gate = scene.gate("month", &sites, &needs)?;
    let tls = sites.browser(Some(&gate))?;
    let mut samples = Vec::new();
    let mut sum = Tally::default();
    let mut faults: Vec<String> = Vec::new();
    let begun = Instant::now();
    for day in 1..=size.days {
        let load = browsing(scene, &sites, &gate, &tls, &size, day);
        let (tally, fault) = std::thread::scope(|scope| {
            let office = scope.spawn(|| office(scene, &sites, &gate, &size, day));
            let tally = load::run(&load, &|| false);
            let office = office.join().unwrap_or_else(|_| Err("the office panicked".to_owned()));
            (tally, office)
        });
        let mut tally = tally.map_err(|error| error.to_string())?;
        match fault {
            Ok(asked) => tally.decisions += asked,
            Err(fault) => faults.push(format!("day {day}: {fault}")),
        }
        gate.decisions += tally.decisions;
        sum.allowed += tally.allowed;
        sum.blocked += tally.blocked;
        sum.failed += tally.failed;
        sum.failures.append(&mut tally.failures);
        let night = night(&gate, begun);
        let line = format!(
            "month: day {day:2}, {} requests, {} failed, in the night: {night}; {:.1} MB of it backed by no file",
            tally.requests(),
            tally.failed,
            night.anonymous_bytes as f64 / 1e6
        );
        report.fact(&format!("month, day {day:02}"), line, json!(night.rss_bytes));
        if !night.is_quiet() {
            faults.push(format!("day {day}: not all was let go of: {night}"));
        }
        samples.push(night);
    }
    judge(&size, &samples, &sum, &faults, report);
    gate.conclude("month", report)
}

fn judge(size: &Size, samples: &[Sample], sum: &Tally, faults: &[String], report: &mut Report) {
    let line = format!(
        "month: {} requests in {} days, {} failed {:?}; target 0",
        sum.requests(),
        size.days,
        sum.failed,
        sum.failures.iter().take(5).collect::<Vec<_>>()
    );
    report.target("month, failed", sum.failed == 0, line, json!(sum.failed));
    let line = format!(
        "month: each day the policy read again, a site blocked and its block lifted, a name more on the list, an unblock \
         and its end; faults {faults:?}; target none"
    );
    report.target("month, office", faults.is_empty(), line, json!(faults));
    // Caches fill in the first third.
    let later = &samples[samples.len() / 3..];
    let of = |bytes: fn(&Sample) -> u64| trend(later, bytes);
    let (all, heap) = (of(|sample| sample.rss_bytes), of(|sample| sample.anonymous_bytes));
    let days = later.len().saturating_sub(1).max(1) as f64;
    let first = later.first().map_or(0, |sample| sample.rss_bytes) as f64;
    let bound = (0.05 * first).max(5e6);
    let line = format!(
        "month: resident memory in the night over the last {} days {:+.2} MB along its trend, {:+.0} kB a day ({:.1} MB on \
         the first of them, single nights {:.1} MB off the trend); {:+.2} MB of what no file backs; target {:.1} MB at most",
        later.len(),
        all.growth / 1e6,
        all.growth / days / 1e3,
        first / 1e6,
        all.scatter / 1e6,
        heap.growth / 1e6,
        bound / 1e6
    );
    let value = json!({
        "growth_bytes": all.growth, "bytes_a_day": all.growth / days, "scatter_bytes": all.scatter,
        "anonymous_growth_bytes": heap.growth,
    });
    report.target("month, memory", all.growth <= bound, line, value);
}

/// A straight line through the nights.
struct Trend {
    /// From the first night to the last, in bytes.
    growth: f64,
    /// How far off the line single nights are: the root of the mean square.
    scatter: f64,
}

/// By days and not by seconds: some take longer.
fn trend(nights: &[Sample], bytes: fn(&Sample) -> u64) -> Trend {
    let by_day: Vec<Sample> = nights
        .iter()
        .enumerate()
        .map(|(day, night)| Sample {
            at: Duration::from_secs(day as u64),
            rss_bytes: bytes(night),
            ..night.clone()
        })
        .collect();
    let growth = watch::growth(&by_day);
    let count = by_day.len().max(1) as f64;
    let a_day = growth / (count - 1.0).max(1.0);
    let mean = by_day.iter().map(|night| night.rss_bytes as f64).sum::<f64>() / count;
    let off = |(day, night): (usize, &Sample)| {
        let on_line = mean + a_day * (day as f64 - (count - 1.0) / 2.0);
        (night.rss_bytes as f64 - on_line).powi(2)
    };
    let scatter = (by_day.iter().enumerate().map(off).sum::<f64>() / count).sqrt();
    Trend { growth, scatter }
}

/// What the pupils of a day ask.
fn browsing(
    scene: &Scene,
    sites: &Sites,
    gate: &Gate,
    tls: &Arc<ClientConfig>,
    size: &Size,
    day: usize,
) -> Load {
    let mut visits: BTreeMap<&str, Vec<&Recorded>> = BTreeMap::new();
    for recorded in &scene.trace.requests {
        visits.entry(&recorded.visit).or_default().push(recorded);
    }
    let visits: Vec<Vec<&Recorded>> = visits.into_values().collect();
    let mut random = Random(day as u64 * 7919 + 1);
    let drive = drive(sites.secure.port());
    let queue = |random: &mut Random| -> Rc<[Prepared]> {
        (0..size.pages)
            .filter_map(|_| visits.get(random.below(visits.len().max(1))))
            .flat_map(|visit| {
                visit
                    .iter()
                    .enumerate()
                    .map(|(place, recorded)| drive.prepare(recorded, true, place == 0))
            })
            .collect()
    };
    let queues = (0..size.pupils).map(|number| {
        let person = scene::pupil((day * 37 + number) % size.people, size.people);
        (person, queue(&mut random))
    });
    Load {
        target: gate.school.address,
        queues: queues.collect(),
        until: Until::Passes(1),
        new_connections: false,
        inside: Inside::TlsAnew(Arc::clone(tls)),
        bare: false,
        pause: PAUSE,
    }
}

/// What happens beside the lessons; gives the decisions that were asked to see that it took effect.
fn office(
    scene: &Scene,
    sites: &Sites,
    gate: &Gate,
    size: &Size,
    day: usize,
) -> Result<u64, String> {
    let school = &gate.school;
    school.reload(day)?;
    let mut decisions = 0;
    let mut blocked = |wanted: bool| -> Result<(), String> {
        let page = drive(sites.plain.port()).page_of(LISTED_HOST, 1024, false);
        let load = Load {
            target: school.address,
            queues: vec![(scene::pupil(day % size.people, size.people), page)],
            until: Until::Passes(1),
            new_connections: false,
            inside: Inside::Plain,
            bare: false,
            pause: Duration::ZERO,
        };
        // Changes are followed within a second.
        let begun = Instant::now();
        loop {
            let tally = load::run(&load, &|| false).map_err(|error| error.to_string())?;
            decisions += tally.decisions;
            if let Some(fault) = tally.failures.first() {
                return Err(fault.clone());
            }
            if (tally.blocked == 1) == wanted {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(10) {
                let word = if wanted { "open" } else { "blocked" };
                return Err(format!("{LISTED_HOST} is still {word}"));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    };
    blocked(true)?;
    let reason = ["--reason", "Opened for a lesson of the month", "--by", "j.cho"];
    let asked =
        [&["unblock", "request", LISTED_HOST, "--for", "pupil", "--until", "2h"], &reason[..]];
    let asked = school.command(&asked.concat())?;
    let id = asked.split_whitespace().next().unwrap_or_default();
    school.command(&["unblock", "authorise", id, "--by", "q.whitmore"])?;
    blocked(false)?;
    let list = scene.folder_of("month").join("lists/games/domains");
    let say = |error: std::io::Error| format!("{}: {error}", list.display());
    let longer = list.with_extension("new");
    std::fs::copy(&list, &longer).map_err(say)?;
    let mut file = std::fs::OpenOptions::new().append(true).open(&longer).map_err(say)?;
    writeln!(file, "day{day}.example.com").map_err(say)?;
    std::fs::rename(&longer, &list).map_err(say)?;
    school.reload_lists(LIST_LIMIT)?;
    let reason = ["--reason", "The lesson of the month is over", "--by", "q.whitmore"];
    school.command(&[&["unblock", "revoke", id], &reason[..]].concat())?;
    blocked(true)?;
    Ok(decisions)
}

/// Waits until nothing is open; what is left then.
fn night(gate: &Gate, begun: Instant) -> Sample {
    let evening = Instant::now();
    loop {
        let sample = Sample::take(&gate.school, begun.elapsed());
        if sample.is_quiet() || evening.elapsed() > NIGHT_LIMIT {
            // Storing what was recorded ends too.
            gate.resident();
            return Sample::take(&gate.school, begun.elapsed());
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn drive(port: u16) -> Drive {
    Drive { connections: 0, length: Duration::ZERO, passes: 1, tunnels: true, origin_port: port }
}
