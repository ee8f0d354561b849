//! The start of a lesson: so many requests and new TLS connections a second, as recorded pages make
//! them, all over HTTPS; what a proxy adds to each, beside the same load to the sites themselves.

use crate::cases::Drive;
use crate::load::percentile;
use crate::measure::{self, Machine};
use crate::names::Random;
use crate::paced::{self, Due, Outcome, Paced, Plan};
use crate::report::Report;
use crate::scene::{self, Gate, Needs, Scene, Sites};
use crate::schoolgate::Besides;
use crate::stage;
use crate::trace::Recorded;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Requests and new connections a second, and for how long.
const REQUESTS_A_SECOND: usize = 2_000;
const CONNECTIONS_A_SECOND: usize = 560;
const SECONDS: u64 = 15;

/// Length of the quick form.
const QUICK_SECONDS: u64 = 5;

/// Classes that begin, of thirty pupils each.
const PUPILS: usize = 300;
const QUICK_PUPILS: usize = 60;

/// What a proxy may add to 99 in 100.
const MOST_ADDED_MS: f64 = 50.0;

/// Shares of the burst, in percent, from the whole down, until one is served in time.
const SHARES: [usize; 3] = [100, 50, 25];

/// Percent of the processors that other programs may have; past it nothing can be said.
const MOST_OTHERS: f64 = 15.0;

/// Recorded pages that loaded for longer are cut off: the rest is no burst.
const LONGEST_PAGE_MS: u64 = 5_000;

/// Requests of one person to one host within so long of the first have one connection.
const CLOSE_TOGETHER: Duration = Duration::from_millis(1_250);

/// Time between two requests of a page where the trace does not say.
const USUAL_STEP_MS: u64 = 40;

/// One request of the burst.
struct Asked<'a> {
    at: Duration,
    person: usize,
    recorded: &'a Recorded,
    /// Place in the list of connections.
    connection: usize,
}

/// The whole burst, before it is prepared for a target.
struct Burst<'a> {
    requests: Vec<Asked<'a>>,
    connections: usize,
    seconds: u64,
}

impl<'a> Burst<'a> {
    /// Lays recorded pages one after the other, so that requests come at the wanted rate, and opens
    /// connections as often as wanted: a page's first request to a host has one of its own, but where
    /// that would be too many, it takes the one that the person's earlier page left.
    fn new(scene: &'a Scene, seconds: u64, pupils: usize, share: usize) -> Self {
        let pages = pages(scene);
        let a_second = (REQUESTS_A_SECOND * share / 100) as u64;
        let wanted = a_second * seconds;
        let mut order: Vec<usize> = (0..pages.len()).collect();
        let mut random = Random(2026);
        random.shuffle(&mut order);
        let mut requests = Vec::new();
        // The first pages began before the window does, so that the rate is the same throughout.
        let window = Duration::from_secs(seconds);
        let lead = Duration::from_millis(LONGEST_PAGE_MS);
        let mut laid: u64 = 0;
        let mut shown = 0;
        while laid < wanted + a_second * LONGEST_PAGE_MS / 1000 && shown < 1 << 20 {
            let Some(page) = order.get(shown % order.len().max(1)).and_then(|at| pages.get(*at))
            else {
                break;
            };
            let start = Duration::from_micros(laid * 1_000_000 / a_second);
            for (offset, recorded) in page {
                let at = (start + Duration::from_millis(*offset)).checked_sub(lead);
                if let Some(at) = at.filter(|at| *at < window) {
                    let person = shown % pupils;
                    requests.push(Asked { at, person, recorded, connection: 0 });
                }
            }
            laid += page.len() as u64;
            shown += 1;
        }
        requests.sort_by_key(|asked| asked.at);
        let mut burst = Self { requests, connections: 0, seconds };
        burst.connect();
        burst
    }

    fn connect(&mut self) {
        let mut open: HashMap<(usize, &str), usize> = HashMap::new();
        let mut begun: Vec<Duration> = Vec::new();
        for (number, asked) in self.requests.iter_mut().enumerate() {
            let key = (asked.person, asked.recorded.host.as_str());
            let wanted = (number + 1) * CONNECTIONS_A_SECOND / REQUESTS_A_SECOND;
            let too_many = begun.len() >= wanted;
            let kept = open.get(&key).copied();
            // Requests of one page come close together and share their connection in any case.
            let of_page =
                kept.is_some_and(|kept| asked.at.saturating_sub(begun[kept]) < CLOSE_TOGETHER);
            asked.connection = match kept {
                Some(kept) if of_page || too_many => kept,
                _ => {
                    begun.push(asked.at);
                    begun.len() - 1
                }
            };
            open.insert(key, asked.connection);
        }
        self.connections = begun.len();
    }

    /// What each connection carries.
    fn plans(&self, sites: &Sites, pupils: usize) -> Vec<Plan> {
        let drive = Drive {
            connections: 0,
            length: Duration::ZERO,
            passes: 1,
            tunnels: true,
            origin_port: sites.secure.port(),
        };
        let mut plans: Vec<Option<Plan>> = vec![None; self.connections];
        for (number, asked) in self.requests.iter().enumerate() {
            let due =
                Due { at: asked.at, request: drive.prepare(asked.recorded, true, false), number };
            let plan = plans[asked.connection].get_or_insert_with(|| Plan {
                person: scene::pupil(asked.person, pupils),
                requests: Vec::new(),
            });
            plan.requests.push(due);
        }
        plans.into_iter().flatten().collect()
    }

    fn describe(&self, title: &str, pupils: usize, report: &mut Report) {
        let [requests, connections] = self.rates();
        let bytes: u64 = self.requests.iter().map(|asked| asked.recorded.body_bytes).sum();
        let line = format!(
            "{title}: {} requests on {} TLS connections in {} s, {} to {} and {} to {} in each second; {:.0} Mbit/s of bodies; \
             {pupils} pupils, signed in before",
            self.requests.len(),
            self.connections,
            self.seconds,
            requests.0,
            requests.1,
            connections.0,
            connections.1,
            bytes as f64 * 8.0 / 1e6 / self.seconds as f64
        );
        let value = json!({ "requests": self.requests.len(), "connections": self.connections });
        report.fact(title, line, value);
    }

    /// Rates of each second: the least and the most of requests and of new connections.
    fn rates(&self) -> [(usize, usize); 2] {
        let mut requests = vec![0; self.seconds as usize];
        let mut connections = requests.clone();
        let mut known = vec![false; self.connections];
        for asked in &self.requests {
            let second = asked.at.as_secs() as usize;
            requests[second] += 1;
            if !std::mem::replace(&mut known[asked.connection], true) {
                connections[second] += 1;
            }
        }
        [requests, connections].map(|of| {
            (of.iter().copied().min().unwrap_or(0), of.iter().copied().max().unwrap_or(0))
        })
    }
}

/// Recorded pages: each request with its milliseconds since the page began.
fn pages(scene: &Scene) -> Vec<Vec<(u64, &Recorded)>> {
    let mut visits: BTreeMap<&str, Vec<&Recorded>> = BTreeMap::new();
    for recorded in &scene.trace.requests {
        visits.entry(&recorded.visit).or_default().push(recorded);
    }
    visits
        .into_values()
        .map(|visit| {
            let first = visit.iter().map(|recorded| recorded.start_ms).min().unwrap_or(0);
            let timed = visit.iter().any(|recorded| recorded.start_ms != first);
            let mut page: Vec<(u64, &Recorded)> = visit
                .iter()
                .enumerate()
                .map(|(place, recorded)| match timed {
                    true => (recorded.start_ms - first, *recorded),
                    false => (place as u64 * USUAL_STEP_MS, *recorded),
                })
                .filter(|(offset, _)| *offset < LONGEST_PAGE_MS)
                .collect();
            page.sort_by_key(|(offset, _)| *offset);
            page
        })
        .collect()
}

/// The two ways through a proxy.
const WAYS: [(&str, bool); 2] = [("looked into", true), ("passed on", false)];

/// Plays the burst to the sites themselves, through tunnels that are looked into, and through those
/// that are passed on; then shares of it, until what is added is little enough.
///
/// # Errors
/// A sentence: what could not be started.
pub(crate) fn measure(scene: &Scene, report: &mut Report) -> Result<(), String> {
    let pupils = if scene.quick { QUICK_PUPILS } else { PUPILS };
    let sites = scene.sites("burst-sites")?;
    let mut gates = Vec::new();
    for (_, inspection) in WAYS {
        let needs = Needs {
            inspection,
            workers: 2,
            pinned: false,
            users: pupils,
            names: scene.names,
            besides: Besides::default(),
        };
        let name = if inspection { "burst-inspected" } else { "burst" };
        let mut gate = scene.gate(name, &sites, &needs)?;
        sign_in(&mut gate, &sites, pupils)?;
        gates.push(gate);
    }
    for share in SHARES {
        if play(scene, &sites, &mut gates, share, report)? {
            break;
        }
    }
    for (gate, (what, _)) in gates.into_iter().zip(WAYS) {
        gate.conclude(&format!("burst, {what}"), report)?;
    }
    Ok(())
}

/// Plays a share of the burst in every way; whether all of them added little enough. Only the whole is
/// held against the target.
fn play(
    scene: &Scene,
    sites: &Sites,
    gates: &mut [Gate],
    share: usize,
    report: &mut Report,
) -> Result<bool, String> {
    let (seconds, pupils) = match scene.quick {
        true => (QUICK_SECONDS, QUICK_PUPILS),
        false => (SECONDS, PUPILS),
    };
    let burst = Burst::new(scene, seconds, pupils, share);
    let title = format!("burst, {share} %");
    burst.describe(&title, pupils, report);
    let direct = |report: &mut Report, key: &str| -> Result<Outcome, String> {
        let paced = Paced {
            target: sites.secure,
            tls: Some(sites.browser(None)?),
            bare: true,
            plans: burst.plans(sites, pupils),
        };
        let machine = measure::machine();
        let outcome = paced::run(&paced, &|| false).map_err(|error| error.to_string())?;
        say(key, &outcome, &machine, report);
        Ok(outcome)
    };
    let mut others = scene::others();
    // The first is to warm the sites and this program.
    if share == SHARES[0] {
        direct(report, &format!("{title}, to the sites themselves, first"))?;
    }
    let control = direct(report, &format!("{title}, to the sites themselves"))?;
    let mut through = Vec::new();
    for (gate, (what, _)) in gates.iter_mut().zip(WAYS) {
        let key = format!("{title}, {what}");
        let paced = Paced {
            target: gate.school.address,
            tls: Some(sites.browser(Some(gate))?),
            bare: false,
            plans: burst.plans(sites, pupils),
        };
        let pid = gate.school.process.pid();
        let (cpu, machine) = (measure::usage(pid).cpu_ns, measure::machine());
        let outcome = paced::run(&paced, &|| false).map_err(|error| error.to_string())?;
        say(&key, &outcome, &machine, report);
        measure::settle(pid, stage::SETTLE_LIMIT);
        let usage = measure::usage(pid);
        gate.decisions += outcome.tally.decisions;
        let own = usage.cpu_ns.saturating_sub(cpu) as f64 / 1e9;
        let line = format!(
            "{key}: the proxy took {own:.1} s of processors, {:.0} us a request; {} handshakes, {:.1} MB peak resident",
            own * 1e6 / outcome.tally.requests().max(1) as f64,
            outcome.tally.handshakes,
            usage.rss_peak_bytes as f64 / 1e6
        );
        report.fact(&format!("{key}, processors"), line, json!({ "seconds": own }));
        through.push((key, outcome));
    }
    let again = direct(report, &format!("{title}, to the sites themselves, again"))?;
    others = others.max(scene::others());
    let noise = added_ms(&control, &again);
    let line = format!(
        "{title}: between two runs to the sites themselves, before and after, 98 in 100 requests differ by {:.1} to {:.1} ms; \
         other programs had {others:.0} % of the processors before or after, and with more than {MOST_OTHERS} % nothing is judged",
        at(&noise, 1.0),
        at(&noise, 99.0)
    );
    let (is_calm, is_whole) = (others <= MOST_OTHERS, share == SHARES[0]);
    let key = format!("{title}, others");
    match is_whole {
        true => report.target(&key, is_calm, line, json!(others)),
        false => report.fact(&key, line, json!(others)),
    }
    let mut in_time = true;
    for (key, outcome) in &through {
        in_time &= judge(key, &control, outcome, is_whole && is_calm, report);
    }
    Ok(in_time)
}

/// Signs everybody in: a password's hash is slow on purpose, and is remembered.
fn sign_in(gate: &mut Gate, sites: &Sites, pupils: usize) -> Result<(), String> {
    let drive = Drive {
        connections: 0,
        length: Duration::ZERO,
        passes: 1,
        tunnels: false,
        origin_port: sites.plain.port(),
    };
    let page = drive.page(1024, false);
    let plans = (0..pupils).map(|number| Plan {
        person: scene::pupil(number, pupils),
        requests: page
            .iter()
            .map(|request| Due {
                at: Duration::from_millis(15 * number as u64),
                request: request.clone(),
                number,
            })
            .collect(),
    });
    let paced =
        Paced { target: gate.school.address, tls: None, bare: false, plans: plans.collect() };
    let outcome = paced::run(&paced, &|| false).map_err(|error| error.to_string())?;
    gate.decisions += outcome.tally.decisions;
    match outcome.tally.failures.first() {
        Some(fault) => Err(format!("signing in: {} failed: {fault}", outcome.tally.failed)),
        None => Ok(()),
    }
}

/// Milliseconds of sorted microseconds.
fn ms(sorted: &[u32], percent: f64) -> f64 {
    f64::from(percentile(sorted, percent)) / 1e3
}

fn say(key: &str, outcome: &Outcome, before: &Machine, report: &mut Report) {
    let (sorted, from_sent) = (outcome.sorted(), outcome.sorted_from_sent());
    let now = measure::machine();
    let busy = (now.busy_ns - before.busy_ns) as f64 / outcome.tally.elapsed.as_nanos() as f64;
    let line = format!(
        "{key}: {} answered, {} blocked, {} failed {:?}; p50 {:.1}, p90 {:.1}, p99 {:.1}, longest {:.0} ms \
         (from sending on p50 {:.1}, p99 {:.1}); done after {:.1} s with {busy:.2} processors busy; the generator itself was late by {:.1} ms (p99)",
        outcome.tally.allowed,
        outcome.tally.blocked,
        outcome.tally.failed,
        outcome.tally.failures,
        ms(&sorted, 50.0),
        ms(&sorted, 90.0),
        ms(&sorted, 99.0),
        ms(&sorted, 100.0),
        ms(&from_sent, 50.0),
        ms(&from_sent, 99.0),
        outcome.tally.elapsed.as_secs_f64(),
        ms(&outcome.late_us, 99.0),
    );
    let value = json!({
        "allowed": outcome.tally.allowed, "failed": outcome.tally.failed,
        "p50_ms": ms(&sorted, 50.0), "p90_ms": ms(&sorted, 90.0), "p99_ms": ms(&sorted, 99.0),
        "max_ms": ms(&sorted, 100.0), "from_sent_p99_ms": ms(&from_sent, 99.0), "late_p99_ms": ms(&outcome.late_us, 99.0), "busy": busy,
    });
    let holds = outcome.tally.failed == 0 && outcome.tally.blocked == 0;
    report.target(key, holds, format!("{line}; target none blocked or failed"), value);
}

/// How much longer each request took than the same one of the control, sorted, in milliseconds.
fn added_ms(control: &Outcome, outcome: &Outcome) -> Vec<f64> {
    let pairs = control.latencies_us.iter().zip(&outcome.latencies_us);
    let mut added: Vec<f64> = pairs
        .filter_map(|(control, through)| {
            Some((f64::from((*through)?) - f64::from((*control)?)) / 1e3)
        })
        .collect();
    added.sort_by(f64::total_cmp);
    added
}

fn at(sorted: &[f64], percent: f64) -> f64 {
    let place = ((sorted.len() as f64 - 1.0) * percent / 100.0).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::INFINITY)
}

/// Says what was added, and holds it against the target where that is meant; whether it is little
/// enough.
fn judge(
    key: &str,
    control: &Outcome,
    outcome: &Outcome,
    is_must: bool,
    report: &mut Report,
) -> bool {
    let added = added_ms(control, outcome);
    let apart = ms(&outcome.sorted(), 99.0) - ms(&control.sorted(), 99.0);
    let sent = ms(&outcome.sorted_from_sent(), 99.0) - ms(&control.sorted_from_sent(), 99.0);
    let p99 = at(&added, 99.0);
    let line = format!(
        "{key}: added to the same request without a proxy: p50 {:.1}, p90 {:.1}, p99 {p99:.1} ms \
         (p99 less p99 of the control: {apart:.1} ms, of sending on {sent:.1} ms)",
        at(&added, 50.0),
        at(&added, 90.0),
    );
    let value = json!({
        "p50_ms": at(&added, 50.0), "p90_ms": at(&added, 90.0), "p99_ms": p99,
        "p99_less_p99_ms": apart, "from_sent_p99_less_p99_ms": sent,
    });
    let (key, holds) = (format!("{key}, added"), p99 < MOST_ADDED_MS);
    if is_must {
        let line = format!("{line}; target p99 under {MOST_ADDED_MS} ms");
        report.target(&key, holds, line, value);
    } else {
        report.fact(&key, line, value);
    }
    holds
}
