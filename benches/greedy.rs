//! One client that takes all it can get, and what the others notice of it.

use crate::cases::Drive;
use crate::load::{self, Inside, Load, Person, Tally, Until, percentile};
use crate::paced::{self, Due, Outcome, Paced, Plan};
use crate::report::Report;
use crate::scene::{self, Gate, Needs, Scene, Sites};
use crate::schoolgate::Besides;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_rustls::rustls::ClientConfig;

/// The others, and how often each of them asks.
const OTHERS: usize = 100;
const EVERY: Duration = Duration::from_millis(500);

/// A quiet time whose slowest hundredth takes longer than this is none: other programs have the
/// processors, and nothing can be said.
const MOST_QUIET_MS: f64 = 30.0;

/// How long they ask in each phase.
const LENGTH: Duration = Duration::from_secs(20);
const QUICK_LENGTH: Duration = Duration::from_secs(5);

/// The greedy one's time to get up to speed.
const RUN_UP: Duration = Duration::from_secs(2);

/// Connections that one client may have: the usual `max_connections_per_client`.
const CONNECTIONS: usize = 2_000;

/// How much slower the others' slowest hundredth may become.
const MOST_RATIO: f64 = 2.0;

/// One way to be greedy.
struct Way {
    name: &'static str,
    connections: usize,
    body_bytes: u64,
}

/// Connections with which a client goes beyond what it may have: those that are closed are opened again at once.
const TOO_MANY: usize = CONNECTIONS + 200;

const WAYS: [Way; 4] = [
    Way { name: "a download on 6 connections", connections: 6, body_bytes: 1 << 20 },
    Way { name: "a download on 2,000", connections: CONNECTIONS, body_bytes: 1 << 20 },
    Way { name: "1 KB requests on 2,000", connections: CONNECTIONS, body_bytes: 1024 },
    Way { name: "1 KB requests on 2,200", connections: TOO_MANY, body_bytes: 1024 },
];

/// Where everybody asks.
struct Course<'a> {
    /// What the others ask: the proxy, or their sites themselves.
    others_target: SocketAddr,
    /// What the greedy one asks.
    greedy_target: SocketAddr,
    bare: bool,
    tls: Arc<ClientConfig>,
    sites: &'a Sites,
    greedy_sites: &'a Sites,
    length: Duration,
}

/// Measures it through Schoolgate, and without a proxy: how far one client is in the others' way on
/// this machine in any case.
///
/// # Errors
/// A sentence: what could not be started.
pub(crate) fn measure(scene: &Scene, report: &mut Report) -> Result<(), String> {
    let length = if scene.quick { QUICK_LENGTH } else { LENGTH };
    // Their own sites, so that nobody waits there for the greedy one.
    let (sites, greedy_sites) = (scene.sites("others-sites")?, scene.sites("greedy-sites")?);
    sites.go_ahead();
    let needs = Needs {
        inspection: true,
        workers: 2,
        pinned: false,
        users: OTHERS + 1,
        names: scene.names,
        besides: Besides::default(),
    };
    let mut gate = scene.gate("greedy", &sites, &needs)?;
    let through = Course {
        others_target: gate.school.address,
        greedy_target: gate.school.address,
        bare: false,
        tls: sites.browser(Some(&gate))?,
        sites: &sites,
        greedy_sites: &greedy_sites,
        length,
    };
    let direct = Course {
        others_target: sites.secure,
        greedy_target: greedy_sites.plain,
        bare: true,
        tls: sites.browser(None)?,
        sites: &sites,
        greedy_sites: &greedy_sites,
        length,
    };
    let without = compare(&direct, "no proxy", &mut None, &[], report)?;
    compare(&through, "schoolgate", &mut Some(&mut gate), &without, report)?;
    gate.conclude("greedy", report)
}

/// The phases of one course; gives the ratio of each way. Where `without` has those of a course without
/// a proxy, they are held against the target.
fn compare(
    course: &Course<'_>,
    name: &str,
    gate: &mut Option<&mut Gate>,
    without: &[f64],
    report: &mut Report,
) -> Result<Vec<f64>, String> {
    // Signs everybody in and opens their tunnels' sites once.
    let warm = others(course, Duration::from_secs(5), &|| false)?;
    count(gate, &warm.tally);
    let before = others(course, course.length, &|| false)?;
    let mut phases = Vec::new();
    for way in &WAYS {
        let stop = AtomicBool::new(false);
        let (greedy, outcome) = std::thread::scope(|scope| {
            let load = scope.spawn(|| greedy(course, way, &stop));
            std::thread::sleep(RUN_UP);
            let outcome = others(course, course.length, &|| false);
            stop.store(true, Ordering::Relaxed);
            (load.join(), outcome)
        });
        let greedy = greedy.map_err(|_| "the greedy client panicked")??;
        phases.push((way, greedy, outcome?));
        std::thread::sleep(RUN_UP);
    }
    let after = others(course, course.length, &|| false)?;
    let mut quiet = [before.sorted(), after.sorted()].concat();
    quiet.sort_unstable();
    let ms = |sorted: &[u32], percent: f64| f64::from(percentile(sorted, percent)) / 1e3;
    let mut failed = 0;
    for outcome in [&before, &after] {
        count(gate, &outcome.tally);
        failed += outcome.tally.failed + outcome.tally.blocked;
    }
    let line = format!(
        "greedy, {name}: the others alone, {OTHERS} inspected connections with one request in {} ms each: p50 {:.1}, p99 {:.1}, longest {:.0} ms",
        EVERY.as_millis(),
        ms(&quiet, 50.0),
        ms(&quiet, 99.0),
        ms(&quiet, 100.0)
    );
    let line = format!(
        "{line}; more than {MOST_QUIET_MS} ms would say that other programs are in the way"
    );
    let is_quiet = ms(&quiet, 99.0) <= MOST_QUIET_MS;
    report.target(&format!("greedy, {name}, quiet"), is_quiet, line, json!(ms(&quiet, 99.0)));
    let mut ratios = Vec::new();
    for (place, (way, greedy, outcome)) in phases.into_iter().enumerate() {
        count(gate, &greedy);
        if let Some(gate) = gate {
            gate.unanswered += greedy.failed;
        }
        count(gate, &outcome.tally);
        failed += outcome.tally.failed + outcome.tally.blocked;
        let (sorted, from_sent) = (outcome.sorted(), outcome.sorted_from_sent());
        let ratio = ms(&sorted, 99.0) / ms(&quiet, 99.0).max(1e-3);
        let seconds = greedy.elapsed.as_secs_f64();
        let line = format!(
            "greedy, {name}: beside {} ({:.0} requests/s, {:.0} Mbit/s, {} failed): p50 {:.1}, p99 {:.1}, longest {:.0} ms (from sending on p99 {:.1}); p99 {ratio:.1} times that of a quiet time",
            way.name,
            greedy.requests() as f64 / seconds,
            greedy.body_bytes as f64 * 8.0 / 1e6 / seconds,
            greedy.failed,
            ms(&sorted, 50.0),
            ms(&sorted, 99.0),
            ms(&sorted, 100.0),
            ms(&from_sent, 99.0)
        );
        let key = format!("greedy, {name}, {}", way.name);
        let value = json!({
            "ratio": ratio, "p50_ms": ms(&sorted, 50.0), "p99_ms": ms(&sorted, 99.0),
            "max_ms": ms(&sorted, 100.0), "from_sent_p99_ms": ms(&from_sent, 99.0), "requests": greedy.requests(), "bytes": greedy.body_bytes,
            "greedy_failed": greedy.failed, "greedy_failures": greedy.failures,
        });
        match without.get(place) {
            Some(control) if is_quiet => {
                let line = format!(
                    "{line} (without a proxy {control:.1} times); target {MOST_RATIO} times"
                );
                report.target(&key, ratio <= MOST_RATIO, line, value);
            }
            // Without a quiet time, or without a proxy, there is nothing to hold it against.
            _ => report.fact(&key, line, value),
        }
        ratios.push(ratio);
    }
    let line = format!(
        "greedy, {name}: {failed} of the others' requests failed or were blocked; target 0"
    );
    report.target(&format!("greedy, {name}, failed"), failed == 0, line, json!(failed));
    Ok(ratios)
}

fn count(gate: &mut Option<&mut Gate>, tally: &Tally) {
    if let Some(gate) = gate {
        gate.decisions += tally.decisions;
    }
}

/// The others for so long, on a thread that goes ahead: each of them has a machine of its own.
fn others(
    course: &Course<'_>,
    length: Duration,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Outcome, String> {
    let drive = drive(course.sites.secure.port());
    let each = usize::try_from(length.as_millis() / EVERY.as_millis()).unwrap_or(usize::MAX);
    let outcome = std::thread::scope(|scope| {
        let measuring = scope.spawn(|| {
            scene::go_ahead();
            let page = drive.page(16 * 1024, true);
            let plans = (0..OTHERS).map(|number| Plan {
                person: scene::pupil(number, OTHERS + 1),
                requests: (0..each)
                    .flat_map(|turn| page.iter().map(move |request| (turn, request)))
                    .map(|(turn, request)| Due {
                        at: EVERY * u32::try_from(turn).unwrap_or(u32::MAX)
                            + EVERY * u32::try_from(number).unwrap_or(0) / OTHERS as u32,
                        request: request.clone(),
                        number: number * each + turn,
                    })
                    .collect(),
            });
            let paced = Paced {
                target: course.others_target,
                tls: Some(Arc::clone(&course.tls)),
                bare: course.bare,
                plans: plans.collect(),
            };
            paced::run(&paced, stop)
        });
        measuring.join()
    });
    outcome.map_err(|_| "the others panicked")?.map_err(|error| error.to_string())
}

/// The greedy one, until told to stop.
fn greedy(course: &Course<'_>, way: &Way, stop: &AtomicBool) -> Result<Tally, String> {
    let page = drive(course.greedy_sites.plain.port()).page(way.body_bytes, false);
    let person = Person {
        address: scene::address(30, 0),
        credentials: scene::credentials(OTHERS, OTHERS + 1),
    };
    let load = Load {
        target: course.greedy_target,
        queues: vec![(person, page); way.connections],
        // It is told to stop long before.
        until: Until::Elapsed(course.length * 3),
        new_connections: false,
        inside: Inside::Plain,
        bare: course.bare,
        pause: Duration::ZERO,
    };
    load::run(&load, &|| stop.load(Ordering::Relaxed)).map_err(|error| error.to_string())
}

fn drive(port: u16) -> Drive {
    Drive { connections: 0, length: Duration::ZERO, passes: 1, tunnels: true, origin_port: port }
}
