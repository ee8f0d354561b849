//! `inspect learned`: sites whose devices refuse the school's certificate, for a person to decide
//! about.
//!
//! Nothing is let past by itself: a pupil could refuse the certificate of any site on purpose. The
//! command proposes lines for the policy, and a person reads, signs and applies them.

use crate::check::subject;
use crate::failure::{Exit, Failure};
use crate::inspect::{has_authority, of_host};
use crate::log;
use crate::output::{Cell, Column, Format, Sheet, visible};
use crate::report::{is_locked_site, whole_days};
use crate::school::{School, from_time_error, now};
use jiff::ToSpan;
use ledger::refusals::{Refusals, RefusedHost};
use proxy::snapshot::Snapshot;
use rules::host::Host;
use rules::inspect::Inspect;
use rules::site::Site;
use rules::time::UnixMillis;
use std::collections::BTreeMap;

/// Fewest refusals that are shown unasked: once or twice is somebody who closed a page.
const FEWEST_TIMES: u64 = 3;

/// From so many devices on it is the site's own doing even where others open it.
const SEVERAL_CLIENTS: usize = 2;

/// A device that refuses so many of the sites probably lacks the authority.
const MANY_SITES: usize = 5;

/// Most such devices that are named.
const MOST_DEVICES: usize = 5;

/// Months until a proposed line is to be looked at again.
const REVIEW_MONTHS: i64 = 6;

const HTTPS: u16 = 443;

const COLUMNS: &[Column] = &[
    Column { key: "host", title: "Site", gives_way: 0 },
    Column { key: "refused", title: "Refused", gives_way: 0 },
    Column { key: "clients", title: "Devices", gives_way: 0 },
    Column { key: "since", title: "Since", gives_way: 2 },
    Column { key: "last", title: "Last", gives_way: 4 },
    Column { key: "opened", title: "Opened", gives_way: 1 },
    Column { key: "requests", title: "Requests inside", gives_way: 1 },
    Column { key: "inspect", title: "Looks into", gives_way: 5 },
    Column { key: "categories", title: "Categories", gives_way: 3 },
    // For programs.
    Column { key: "proposed", title: "", gives_way: 6 },
    Column { key: "lines", title: "", gives_way: 6 },
];

/// A site, and what could be done.
struct Learned {
    found: RefusedHost,
    /// The furthest that any level looks into it now.
    inspect: Inspect,
    categories: Vec<String>,
    /// The policy lines that would leave it alone, where there is reason enough for them.
    lines: Option<String>,
}

/// Prints what the range has taught.
pub(crate) async fn run(
    school: &School,
    snapshot: &Snapshot,
    since: &str,
    all: bool,
    format: Format,
) -> Result<Exit, Failure> {
    let clock = snapshot.policy.clock();
    let asked = clock.range(since, now()).map_err(from_time_error)?;
    let (from, until) = whole_days(clock, asked);
    note!("range: {} to {}", clock.show(from), clock.show(until));
    // What a killed daemon left, or a running one has just recorded, belongs to it.
    drop(log::open(school).await?);
    let refusals = Refusals::read(&school.config.state, clock.day(from), clock.day(until))
        .await
        .map_err(log::from_query_error)?;
    let devices = busiest_devices(&refusals.hosts);
    let unused = refusals.unused.iter().filter(|(_, times)| **times >= FEWEST_TIMES);
    let unused: Vec<RefusedHost> = unused.map(|(host, times)| left_unused(host, *times)).collect();
    let more = if all { 0 } else { unused.len() };
    let hosts = refusals.hosts.into_iter().chain(unused.into_iter().filter(|_| all));
    let mut learned = Vec::new();
    for found in hosts.filter(|found| !is_locked_site(snapshot, &found.host)) {
        let one = Learned::new(snapshot, found)?;
        if all || one.lines.is_some() {
            learned.push(one);
        }
    }
    let shown = print(snapshot, &learned, format)?;
    if refusals.others > 0 {
        note!("{} refusals at further sites are not told apart", refusals.others);
    }
    if more > 0 {
        note!("{more} more sites were opened and never used: --all shows them");
    }
    if format != Format::Table {
        return Ok(Exit::Ok);
    }
    if shown == 0 {
        let kind = if all { "at all" } else { "often enough to propose a line" };
        note!("no site's devices refused the school's certificate {kind}");
        if !has_authority(school) {
            note!("nothing is looked into: no authority; see schoolgate ca init");
        }
    }
    for (device, sites) in devices {
        note!(
            "warning: {} refused {sites} sites: a device without the school's authority?",
            visible(device.as_str())
        );
        note!("  fix: give it the authority (schoolgate ca export) before leaving sites alone");
    }
    propose(&learned)?;
    Ok(Exit::Ok)
}

impl Learned {
    fn new(snapshot: &Snapshot, found: RefusedHost) -> Result<Self, Failure> {
        let policy = &snapshot.policy;
        let host = Host::parse(&found.host).ok();
        let (mut inspect, mut categories) = (Inspect::Never, Vec::new());
        if let Some(host) = &host {
            let set = snapshot.categories(host, None);
            categories = policy.catalogue().names(set).iter().map(ToString::to_string).collect();
            let mut modes = Vec::new();
            for (_, level) in policy.levels().iter() {
                let who = subject(snapshot, &level.name)?;
                modes.push(of_host(snapshot, &who, host, HTTPS, set, now()).mode);
            }
            inspect = [Inspect::Page, Inspect::Name]
                .into_iter()
                .find(|mode| modes.contains(mode))
                .unwrap_or(Inspect::Never);
        }
        let site = host.and_then(|host| Site::of_host(host).ok());
        let site = site.filter(|_| inspect == Inspect::Page && is_reason_enough(&found));
        let lines = site.map(|site| lines(snapshot, &site, &found));
        Ok(Self { found, inspect, categories, lines })
    }

    fn cells(&self, snapshot: &Snapshot) -> [Cell; COLUMNS.len()] {
        let clock = snapshot.policy.clock();
        let RefusedHost { host, times, clients, first, last, opened, requests } = &self.found;
        let at = |at: UnixMillis| match *times {
            0 => Cell::maybe(None::<String>),
            _ => Cell::new(clock.show(at), clock.rfc3339(at)),
        };
        [
            Cell::text(host),
            Cell::number(*times),
            Cell::number(clients.len()),
            at(*first),
            at(*last),
            Cell::number(*opened),
            Cell::number(*requests),
            Cell::text(self.inspect.as_str()),
            Cell::list(&self.categories),
            Cell::new(if self.lines.is_some() { "yes" } else { "no" }, self.lines.is_some()),
            Cell::maybe(self.lines.as_deref()),
        ]
    }
}

/// Whether so much points to the site's own programs that leaving it alone is worth a thought.
fn is_reason_enough(found: &RefusedHost) -> bool {
    let several = found.clients.len() >= SEVERAL_CLIENTS;
    found.times >= FEWEST_TIMES && (several || found.requests == 0)
}

/// A host that nobody refused, and where nothing came of what was opened.
fn left_unused(host: &str, connections: u64) -> RefusedHost {
    RefusedHost {
        host: host.to_owned(),
        times: 0,
        clients: std::collections::BTreeSet::new(),
        first: UnixMillis(0),
        last: UnixMillis(0),
        opened: connections,
        requests: 0,
    }
}

/// The `[[inspect_site]]` to paste.
fn lines(snapshot: &Snapshot, site: &Site, found: &RefusedHost) -> String {
    let clock = snapshot.policy.clock();
    let today = clock.day(now());
    let review = today.saturating_add(REVIEW_MONTHS.months());
    let devices = match found.clients.len() {
        1 => "1 device".to_owned(),
        many => format!("{many} devices"),
    };
    format!(
        "[[inspect_site]]\nsite = \"{site}\"\ninspect = \"name\"\n\
         reason = \"Refuses the school's certificate: {} times on {devices} since {}\"\n\
         review = {review}",
        found.times,
        clock.day(found.first)
    )
}

/// Devices that refused many sites, the busiest first.
fn busiest_devices(hosts: &[RefusedHost]) -> Vec<(String, usize)> {
    let mut sites: BTreeMap<&String, usize> = BTreeMap::new();
    hosts.iter().flat_map(|host| &host.clients).for_each(|client| {
        *sites.entry(client).or_default() += 1;
    });
    let mut devices: Vec<(String, usize)> = sites
        .into_iter()
        .filter(|(_, sites)| *sites >= MANY_SITES)
        .map(|(client, sites)| (client.clone(), sites))
        .collect();
    devices.sort_by_key(|(_, sites)| std::cmp::Reverse(*sites));
    devices.truncate(MOST_DEVICES);
    devices
}

fn print(snapshot: &Snapshot, learned: &[Learned], format: Format) -> Result<u64, Failure> {
    if format == Format::Table && learned.is_empty() {
        return Ok(0);
    }
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for one in learned {
        sheet.row(&one.cells(snapshot))?;
    }
    sheet.finish()
}

fn propose(learned: &[Learned]) -> Result<(), Failure> {
    let lines: Vec<&str> = learned.iter().filter_map(|one| one.lines.as_deref()).collect();
    if lines.is_empty() {
        return Ok(());
    }
    note!(
        "Nothing is let past by itself. Find out which program it is (schoolgate log query --site"
    );
    note!(
        "SITE). If it checks its own certificate, these lines leave the site alone: its name is still"
    );
    note!("decided and recorded, and nothing inside is seen. Give your own reason, then");
    note!("schoolgate policy validate and schoolgate policy apply.");
    for text in lines {
        say!("");
        for line in text.lines() {
            say!("{}", visible(line));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(times: u64, clients: &[&str], requests: u64) -> RefusedHost {
        RefusedHost {
            times,
            clients: clients.iter().map(ToString::to_string).collect(),
            requests,
            ..left_unused("app.example", 0)
        }
    }

    #[test]
    fn a_line_is_proposed_where_it_is_the_sites_own_doing() {
        let cases = [
            ("never opened", found(3, &["10.0.0.1"], 0), true),
            ("twice is chance", found(2, &["10.0.0.1", "10.0.0.2"], 0), false),
            ("one device, where others open it", found(9, &["10.0.0.1"], 4), false),
            ("two devices, where others open it", found(3, &["10.0.0.1", "10.0.0.2"], 4), true),
        ];
        for (what, found, expected) in cases {
            assert_eq!(is_reason_enough(&found), expected, "{what}");
        }
    }

    #[test]
    fn a_device_that_refuses_many_sites_is_named_before_the_sites_are_left_alone() {
        let hosts: Vec<RefusedHost> = (0..6)
            .map(|number| match number {
                0 => found(3, &["10.0.0.1", "10.0.0.2"], 0),
                _ => found(3, &["10.0.0.2"], 0),
            })
            .collect();
        assert_eq!(busiest_devices(&hosts), [("10.0.0.2".to_owned(), 6)]);
    }
}
