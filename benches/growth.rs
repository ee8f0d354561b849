//! How the cost of a request grows with what a school has: workers, names, rules, people, records.

use crate::cases::Drive;
use crate::evening;
use crate::line_plot::{self, Point};
use crate::load::{self, Inside, Load, Person, Prepared, Tally, Until};
use crate::report::Report;
use crate::scene::{self, Gate, Needs, Scene, Sites};
use crate::schoolgate::Besides;
use crate::{measure, stage};
use rules::site::Site;
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Connections at a time.
const CONNECTIONS: usize = 16;

/// People where their number is not what is measured.
const USERS: usize = 16;

/// People who ask, of those who are known: each first sign-in takes some 20 ms of a processor.
const MOST_ASKING: usize = 1_200;

/// Longest log that is read back in the end.
const MOST_READ: u64 = 1_000_000;

/// What is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Workers,
    Names,
    Rules,
    Users,
    Records,
}

impl Quantity {
    const ALL: [Quantity; 5] =
        [Self::Workers, Self::Names, Self::Rules, Self::Users, Self::Records];

    fn word(self) -> &'static str {
        match self {
            Self::Workers => "workers",
            Self::Names => "names",
            Self::Rules => "rules",
            Self::Users => "users",
            Self::Records => "records",
        }
    }

    /// What stands below the picture.
    fn across(self) -> &'static str {
        match self {
            Self::Workers => "workers, on two processors that load and sites share",
            Self::Names => "names on the list",
            Self::Rules => "exceptions in the policy",
            Self::Users => "people who are known",
            Self::Records => "records of the same day in the log",
        }
    }

    fn sizes(self, quick: bool) -> &'static [usize] {
        match (self, quick) {
            (Self::Workers, _) => &[1, 2],
            (Self::Names, false) => &[0, 10_000, 200_000, 4_000_000],
            (Self::Names, true) => &[0, 10_000, 200_000],
            (Self::Rules, _) => &[10, 1_000, 10_000],
            (Self::Users, false) => &[10, 1_200, 10_000],
            (Self::Users, true) => &[10, 200, 1_000],
            (Self::Records, false) => &[0, 1_000_000, 10_000_000],
            (Self::Records, true) => &[0, 100_000],
        }
    }
}

/// One Schoolgate of a size, and what its rounds cost.
struct Subject {
    size: usize,
    gate: Gate,
    load: Load,
    /// Records that were in the log before.
    before: u64,
    cost_us: Vec<f64>,
    per_second: Vec<f64>,
}

/// Measures every quantity and draws one picture of each.
pub(crate) fn measure(scene: &Scene, report: &mut Report) -> Vec<(String, String)> {
    let mut pictures = Vec::new();
    for quantity in Quantity::ALL {
        let points = match vary(scene, quantity, report) {
            Ok(points) => points,
            Err(fault) => {
                // The others are measured all the same, and the run has failed.
                let key = format!("growth, {}", quantity.word());
                report.target(&key, false, format!("{key}: {fault}"), json!(fault));
                continue;
            }
        };
        let title = format!("Cost of a request by {}", quantity.word());
        let up =
            "CPU µs of the proxy for a GET of 1 KB, recorded; least, median, most of the rounds";
        let picture = line_plot::svg(&title, quantity.across(), up, &points);
        pictures.push((format!("growth-{}.svg", quantity.word()), picture));
    }
    pictures
}

fn vary(scene: &Scene, quantity: Quantity, report: &mut Report) -> Result<Vec<Point>, String> {
    let sites = scene.sites(&format!("{}-sites", quantity.word()))?;
    let mut subjects = Vec::new();
    for &size in quantity.sizes(scene.quick) {
        eprintln!("  growth: starting with {} {}", number(size), quantity.word());
        subjects.push(subject(scene, &sites, quantity, size)?);
    }
    let (rounds, length) = match scene.quick {
        true => (3, Duration::from_secs(1)),
        false => (7, Duration::from_secs(2)),
    };
    let mut failed = 0;
    let mut failures = Vec::new();
    for subject in &mut subjects {
        // Everybody signs in; caches fill.
        subject.load.until = Until::Passes(1);
        let tally = subject.play()?;
        failed += tally.failed + tally.blocked;
        failures.extend(tally.failures);
        subject.cost_us.clear();
        subject.per_second.clear();
        subject.load.until = Until::Elapsed(length);
    }
    for round in 0..rounds {
        let count = subjects.len();
        for place in 0..count {
            // The order changes, so that none is always first.
            let subject = &mut subjects[(place + round) % count];
            let tally = subject.play()?;
            failed += tally.failed + tally.blocked;
            failures.extend(tally.failures);
        }
    }
    let mut points = Vec::new();
    for subject in &mut subjects {
        points.push(subject.say(quantity, report));
    }
    let word = quantity.word();
    let line =
        format!("growth, {word}: {failed} requests failed or were blocked {failures:?}; target 0");
    report.target(&format!("growth, {word}, failed"), failed == 0, line, json!(failed));
    for subject in subjects {
        let key = format!("growth, {} {word}", number(subject.size));
        let mut gate = subject.gate;
        gate.decisions += subject.before;
        if subject.before <= MOST_READ {
            gate.conclude(&key, report)?;
        } else {
            let line = format!("{key}: the log was not read back: it would take minutes");
            report.fact(&format!("{key} records"), line, json!(null));
        }
    }
    Ok(points)
}

fn subject(
    scene: &Scene,
    sites: &Sites,
    quantity: Quantity,
    size: usize,
) -> Result<Subject, String> {
    let mut needs = Needs {
        inspection: false,
        workers: 1,
        pinned: quantity != Quantity::Workers,
        users: USERS,
        names: scene.names,
        besides: Besides::default(),
    };
    let (mut rules, mut before) = (String::new(), 0);
    let zone = evening::zone()?;
    let evening = |state: &Path| evening::write(state, size, &zone);
    let name = format!("{}-{size}", quantity.word());
    match quantity {
        Quantity::Workers => needs.workers = size,
        Quantity::Names => needs.names = size,
        Quantity::Rules => rules = exceptions(scene, size),
        Quantity::Users => {
            needs.users = size.min(MOST_ASKING);
            needs.besides.without_password = size - needs.users;
        }
        Quantity::Records => {
            needs.besides.zone = Some(&zone);
            if size > 0 {
                needs.besides.at_rest = Some(&evening);
                before = size as u64;
            }
        }
    }
    needs.besides.policy = &rules;
    let gate = scene.gate(&name, sites, &needs)?;
    let load = Load {
        target: gate.school.address,
        queues: queues(scene, sites, needs.users),
        until: Until::Passes(1),
        new_connections: false,
        inside: Inside::Plain,
        bare: false,
        pause: Duration::ZERO,
    };
    Ok(Subject { size, gate, load, before, cost_us: Vec::new(), per_second: Vec::new() })
}

/// So many exceptions, one in ten of them for a host that is asked for, as far as there are.
fn exceptions(scene: &Scene, count: usize) -> String {
    // A public suffix, under which sites of many owners live, takes no exception.
    let can_have =
        |host: &&str| Site::parse(host).is_ok_and(|site| !site.host().is_public_suffix());
    let mut hosts = scene.asked_hosts().into_iter().filter(can_have);
    let mut text = String::new();
    for number in 0..count {
        let asked = if number % 10 == 0 { hosts.next() } else { None };
        let site = asked.map_or_else(|| format!("rule{number}.example.com"), str::to_owned);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "[[exception]]\nsite = \"{site}\"\nallow_for = \"pupil\"\nreason = \"To measure {number} rules\"\nreview = 2099-01-01"
        );
    }
    text
}

/// Pages of 1 KB from all hosts in turn, each asked by another person; each connection begins at
/// another place.
fn queues(scene: &Scene, sites: &Sites, users: usize) -> Vec<(Person, Rc<[Prepared]>)> {
    let drive = Drive {
        connections: CONNECTIONS,
        length: Duration::ZERO,
        passes: 1,
        tunnels: false,
        origin_port: sites.plain.port(),
    };
    let hosts = scene.asked_hosts();
    let count = hosts.len().max(users);
    let whole: Vec<Prepared> = (0..count)
        .flat_map(|place| {
            let page = drive.page_of(hosts[place % hosts.len()], 1024, false);
            let signed_in = scene::credentials(place, users);
            let signed = page.iter().map(|request| Prepared {
                head: Rc::from([&*request.head, signed_in.as_bytes()].concat()),
                ..request.clone()
            });
            signed.collect::<Vec<_>>()
        })
        .collect();
    (0..CONNECTIONS)
        .map(|number| {
            let mut own = whole.clone();
            own.rotate_left(number * count / CONNECTIONS);
            let address = scene::address(64, number);
            (Person { address, credentials: String::new() }, Rc::from(own))
        })
        .collect()
}

impl Subject {
    /// One round; what was put off is charged to it.
    fn play(&mut self) -> Result<Tally, String> {
        let pid = self.gate.school.process.pid();
        measure::settle(pid, stage::SETTLE_LIMIT);
        let before = measure::usage(pid).cpu_ns;
        let tally = load::run(&self.load, &|| false).map_err(|error| error.to_string())?;
        measure::settle(pid, stage::SETTLE_LIMIT);
        let cost = measure::usage(pid).cpu_ns.saturating_sub(before) as f64 / 1e3;
        self.cost_us.push(cost / tally.requests().max(1) as f64);
        self.per_second.push(tally.requests() as f64 / tally.elapsed.as_secs_f64());
        self.gate.decisions += tally.decisions;
        Ok(tally)
    }

    fn say(&mut self, quantity: Quantity, report: &mut Report) -> Point {
        self.cost_us.sort_by(f64::total_cmp);
        self.per_second.sort_by(f64::total_cmp);
        let middle = |sorted: &[f64]| sorted.get(sorted.len() / 2).copied().unwrap_or(0.0);
        let (least, most) = (
            self.cost_us.first().copied().unwrap_or(0.0),
            self.cost_us.last().copied().unwrap_or(0.0),
        );
        let median = middle(&self.cost_us);
        let usage = measure::usage(self.gate.school.process.pid());
        let resident = usage.rss_bytes;
        let label = number(self.size);
        let line = format!(
            "growth: {label} {}: {least:.1} CPU us a request at least, {median:.1} as median, {most:.1} at most of {} rounds, {:.0} requests/s, {:.1} MB resident ({:.1} MB backed by no file)",
            quantity.word(),
            self.cost_us.len(),
            middle(&self.per_second),
            resident as f64 / 1e6,
            usage.anonymous_bytes as f64 / 1e6
        );
        let value = json!({
            "cpu_us": median, "least": least, "most": most, "resident_bytes": resident,
            "anonymous_bytes": usage.anonymous_bytes,
            "requests_per_second": middle(&self.per_second),
        });
        report.fact(&format!("growth, {} {:08}", quantity.word(), self.size), line, value);
        // What else goes on in the machine only adds: the least says most.
        Point { label, value: least, range: (least, median) }
    }
}

/// A round figure in short.
fn number(size: usize) -> String {
    match size {
        0 => "0".to_owned(),
        size if size.is_multiple_of(1_000_000) => format!("{} M", size / 1_000_000),
        size if size >= 10_000 && size.is_multiple_of(1_000) => format!("{} k", size / 1_000),
        size => crate::picture::number(size as f64).replace(".0", ""),
    }
}
