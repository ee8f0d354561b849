//! `doctor`: looks for faults in the configuration, the lists, the log and the machine.

mod fewer_lists;
mod people;
mod scanner;

use crate::args::DoctorArgs;
use crate::ca::Health;
use crate::config::name;
use crate::failure::{Exit, Failure};
use crate::health;
use crate::in_force::InForce;
use crate::output::{colour, json_text, visible};
use crate::school::{School, now};
use ledger::disk::{Disk, Fullness};
use proxy::config::{Config, ListOrigin, ListSource};
use proxy::lists::Lists;
use proxy::snapshot::Snapshot;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Categories whose lists are never shipped: they are given by agreement.
const LICENSED: [&str; 2] = ["csam", "terrorism"];

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    /// Worth knowing; no fault, and the exit does not say it.
    Note,
    Problem,
    /// The filter does not answer: browsing is stopped.
    Down,
}

/// One check.
#[derive(Debug)]
struct Check {
    what: &'static str,
    outcome: Outcome,
    /// What was found.
    found: String,
    /// What to do.
    fix: Option<String>,
}

impl Check {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, outcome: Outcome::Good, found: found.into(), fix: None }
    }

    fn note(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what, outcome: Outcome::Note, found: found.into(), fix: Some(fix.into()) }
    }

    fn problem(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what, outcome: Outcome::Problem, found: found.into(), fix: Some(fix.into()) }
    }
}

/// Runs every check, prints each, and says by the exit whether any found something.
pub(crate) async fn run(config: Option<&Path>, args: &DoctorArgs) -> Result<Exit, Failure> {
    let mut checks = Vec::new();
    match School::open(config) {
        Ok(school) => {
            checks.push(Check::good("machine file", name(school.config.file.as_deref())));
            examine(&school, &mut checks).await;
        }
        Err(failure) => {
            checks.push(Check::problem(
                "machine file",
                failure.what(),
                "schoolgate config validate; until then a running filter keeps the one that it had",
            ));
        }
    }
    print(&checks, args.json)?;
    let found = |outcome| checks.iter().any(|check| check.outcome == outcome);
    Ok(if found(Outcome::Down) {
        Exit::FilterDown
    } else if found(Outcome::Problem) {
        Exit::ProblemsFound
    } else {
        Exit::Ok
    })
}

async fn examine(school: &School, checks: &mut Vec<Check>) {
    let config = &school.config;
    checks.push(state_folder(&config.state));
    checks.push(disk(&config.state));
    let read = school.strict_snapshot().await;
    match &read {
        Ok(snapshot) => {
            checks.push(policy(snapshot));
            checks.extend(terms(snapshot));
            checks.extend(reviews(snapshot));
            checks.push(lists(snapshot));
            checks.push(people::unread_report(school, snapshot));
        }
        Err(failure) => {
            checks.push(Check::problem(
                "policy and lists",
                failure.what(),
                "schoolgate policy validate; schoolgate lists status",
            ));
        }
    }
    checks.extend(list_files(config));
    checks.extend(licensed_feeds(config));
    checks.extend(locked_lists(school).await);
    checks.extend(fewer_lists::checks(school).await);
    checks.push(change_log(school).await);
    checks.extend(people::administrators(school, read.as_ref().ok()).await);
    checks.push(authority(config));
    checks.extend(scanner::check(config, read.as_ref().ok()).await);
    checks.extend(checkpoints(school));
    if health::is_running(&config.state) {
        checks.push(ready(config).await);
        checks.extend(in_force(school, read.as_ref().ok()).await);
    } else {
        checks.push(Check {
            what: "filter",
            outcome: Outcome::Down,
            found: "not running; browsing through it is stopped, not open".to_owned(),
            fix: Some("schoolgate serve, or: systemctl start schoolgate".to_owned()),
        });
        checks.extend(ports(config));
    }
}

fn state_folder(state: &Path) -> Check {
    const WHAT: &str = "state folder";
    let shown = state.display();
    let metadata = match std::fs::metadata(state) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Check::problem(
                WHAT,
                format!("{shown}: {error}"),
                "set `state` in the machine file to a folder of this user",
            );
        }
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Check::problem(
            WHAT,
            format!("{shown} may be read by others (mode {mode:o}); it holds personal data"),
            format!("chmod 700 {shown}"),
        );
    }
    let uid = rustix::process::geteuid().as_raw();
    if metadata.uid() != uid && uid != 0 {
        return Check::problem(
            WHAT,
            format!("{shown} belongs to another account"),
            "run as the account that owns it",
        );
    }
    Check::good(WHAT, format!("{shown}, mode {mode:o}"))
}

fn disk(state: &Path) -> Check {
    const WHAT: &str = "disk";
    let disk = match Disk::of(state) {
        Ok(disk) => disk,
        Err(error) => {
            return Check::problem(WHAT, error.to_string(), "see that the state folder exists");
        }
    };
    let found = format!("{} free, {} % used", size(disk.free_bytes), disk.used_percent());
    match disk.fullness() {
        Fullness::Enough => Check::good(WHAT, found),
        Fullness::Filling => Check::problem(
            WHAT,
            format!("{found}: filling"),
            "make room before it is full; schoolgate retention show tells what may go",
        ),
        Fullness::NearlyFull => Check::problem(
            WHAT,
            format!("{found}: nearly full"),
            "make room now: when the log cannot be written, browsing stops",
        ),
    }
}

fn policy(snapshot: &Snapshot) -> Check {
    const WHAT: &str = "policy";
    let policy = &snapshot.policy;
    let failures = policy.run_tests(&|host, path| snapshot.index.categories(host, path), now());
    match failures.first() {
        Some(first) => Check::problem(
            WHAT,
            format!(
                "{} of {} policy tests fail: {}",
                failures.len(),
                policy.test_count(),
                first.text
            ),
            "schoolgate policy test",
        ),
        None => Check::good(WHAT, format!("{} policy tests pass", policy.test_count())),
    }
}

/// Terms that are all over: what opens at a named time stays closed.
fn terms(snapshot: &Snapshot) -> Option<Check> {
    let found = snapshot.policy.terms_over(now())?;
    Some(Check::problem("terms", found, "add the next dates to `terms` of the policy"))
}

/// Standing decisions that somebody should have looked at again; they hold on.
fn reviews(snapshot: &Snapshot) -> Option<Check> {
    let overdue = snapshot.policy.overdue_reviews(now());
    let fix = "decide with the safeguarding lead, then give it a new `review` or take it out";
    (!overdue.is_empty()).then(|| Check::note("reviews", overdue.join("; "), fix))
}

fn lists(snapshot: &Snapshot) -> Check {
    const WHAT: &str = "lists";
    let lists = snapshot.index.lists();
    let entries: u64 = lists.iter().map(|(_, entries)| entries).sum();
    let empty: Vec<&str> = lists
        .iter()
        .filter(|(_, entries)| *entries == 0)
        .map(|(list, _)| list.name.as_str())
        .collect();
    if lists.is_empty() {
        return Check::problem(
            WHAT,
            "no lists: every site is uncategorised",
            "add [[lists]] to the machine file",
        );
    }
    if !empty.is_empty() {
        return Check::problem(
            WHAT,
            format!("empty: {}", empty.join(", ")),
            "schoolgate lists status",
        );
    }
    // An index that does not match its digest was compiled again when it was opened.
    let found = format!("{} lists, {entries} entries; the compiled index is whole", lists.len());
    Check::good(WHAT, found)
}

/// Lists whose file is gone: they stay as they were last, and never learn anything new.
fn list_files(config: &Config) -> Option<Check> {
    let gone: Vec<_> = config
        .lists
        .iter()
        .filter_map(|list| match &list.origin {
            ListOrigin::Path(path) => {
                let error = std::fs::metadata(path).err()?;
                Some(format!("{} ({}: {error})", list.name, path.display()))
            }
            ListOrigin::Builtin(_) | ListOrigin::Url(_) => None,
        })
        .collect();
    (!gone.is_empty()).then(|| {
        Check::problem(
            "list files",
            format!("cannot be read: {}", gone.join(", ")),
            "put the file back, or correct `path` under [[lists]] of the machine file",
        )
    })
}

/// Categories whose lists are given by agreement only and that hold no more than the shipped name
/// for the self-test: the lock works and has nothing to lock.
fn licensed_feeds(config: &Config) -> Option<Check> {
    let is_fed = |category: &str| {
        let own = |list: &&ListSource| list.category == category;
        let mut lists = config.lists.iter().filter(own);
        lists.any(|list| !matches!(list.origin, ListOrigin::Builtin(_)))
    };
    let unfed: Vec<_> = LICENSED.into_iter().filter(|category| !is_fed(category)).collect();
    (!unfed.is_empty()).then(|| {
        Check::note(
            "licensed lists",
            format!("no licensed feed: {}; only the self-test name is blocked", unfed.join(", ")),
            "ask the IWF (csam) and the CTIRU (terrorism) for their lists, and add them as [[lists]]",
        )
    })
}

/// Lists of locked categories that were in force and are no longer configured.
async fn locked_lists(school: &School) -> Option<Check> {
    const WHAT: &str = "locked lists";
    // A log that cannot be read has a check of its own.
    let log = school.change_log().await.ok()?;
    match Lists::new(&school.config, &log).taken_out().await {
        Ok(gone) if gone.is_empty() => None,
        Ok(gone) => {
            let named: Vec<_> =
                gone.iter().map(|(list, category)| format!("{list} ({category})")).collect();
            let folder = school.config.state.join("lists");
            Some(Check::problem(
                WHAT,
                format!(
                    "no longer so in the machine file, and in force as they were: {}",
                    named.join(", ")
                ),
                format!(
                    "put them back under [[lists]]; if that is meant, remove {}/NAME",
                    folder.display()
                ),
            ))
        }
        Err(error) => Some(Check::problem(WHAT, error.to_string(), "schoolgate lists status")),
    }
}

async fn change_log(school: &School) -> Check {
    const WHAT: &str = "change log";
    let log = match school.change_log().await {
        Ok(log) => log,
        Err(failure) => {
            return Check::problem(
                WHAT,
                failure.what(),
                "restore it from a backup; do not edit it",
            );
        }
    };
    let entries = match log.entries_after(0).await {
        Ok(entries) => entries,
        Err(error) => {
            return Check::problem(
                WHAT,
                error.to_string(),
                "restore it from a backup; do not edit it",
            );
        }
    };
    match entries.last() {
        Some(last) if last.at > now() => Check::problem(
            "clock",
            format!(
                "the clock is behind the change log's last entry, by {} s",
                (last.at.0 - now().0) / 1000
            ),
            "set the machine's clock (timedatectl)",
        ),
        _ => Check::good(
            WHAT,
            format!("{} entries, each matches its hash; the clock is not behind it", entries.len()),
        ),
    }
}

/// Checkpoints: whether they are signed, and kept where the log's own disk cannot take them along.
fn checkpoints(school: &School) -> Vec<Check> {
    let standing = crate::audit::standing(school, health::is_running(&school.config.state));
    let audit = &school.config.audit;
    let is_alone = audit.is_alone();
    let problems = standing.problems.into_iter();
    let mut checks: Vec<Check> =
        problems.map(|(found, fix)| Check::problem("checkpoints", found, fix)).collect();
    if checks.is_empty() {
        checks.push(match is_alone {
            false => Check::good("checkpoints", standing.words),
            true => Check::note(
                "checkpoints",
                standing.words,
                "set audit.copy_to to a file on another disk, audit.webhook or audit.mail_to; the weekly report prints the last one too",
            ),
        });
    }
    checks
}

fn authority(config: &Config) -> Check {
    const WHAT: &str = "authority";
    match crate::ca::examine(config) {
        Health::None => Check::note(
            WHAT,
            "none: https is not opened, and decided by the site's name alone",
            "schoolgate ca init, then give the certificate to all devices",
        ),
        Health::Good(found) => Check::good(WHAT, found),
        Health::Problem(found, fix) => Check::problem(WHAT, found, fix),
    }
}

async fn ready(config: &Config) -> Check {
    const WHAT: &str = "filter";
    let Some(ops) = config.listen.ops.filter(|ops| ops.port() != 0) else {
        return Check::good(WHAT, "running (no `ops` address to ask)");
    };
    match health::ask(ops, "/readyz").await {
        Ok((200, _)) => Check::good(WHAT, "running and ready"),
        Ok((status, text)) => Check::problem(
            WHAT,
            format!("running but not ready ({status}): {}", text.trim()),
            "schoolgate status",
        ),
        Err(error) => Check {
            what: WHAT,
            outcome: Outcome::Down,
            found: format!("running but not answering: {error}"),
            fix: Some("see its messages (journalctl -u schoolgate)".to_owned()),
        },
    }
}

/// Whether the running filter decides by what the files and the change log say.
async fn in_force(school: &School, snapshot: Option<&Snapshot>) -> Vec<Check> {
    const WHAT: &str = "in force";
    // A log that cannot be read has a check of its own.
    let Ok(log) = school.change_log().await else { return Vec::new() };
    let Some(in_force) = InForce::look(school, &log, snapshot).await else { return Vec::new() };
    let problem = |(found, fix): &(String, &str)| Check::problem(WHAT, found, *fix);
    let mut checks: Vec<_> = in_force.behind.iter().map(problem).collect();
    if let Some(serving) = in_force.serving {
        if checks.is_empty() {
            let found = format!("policy, lists and all {} changes", serving.changes);
            checks.push(Check::good(WHAT, found));
        }
        if !serving.restart.is_empty() {
            checks.push(Check::problem(
                "machine file",
                format!("changed, not in force until a restart: {}", serving.restart.join(", ")),
                "restart the filter (systemctl restart schoolgate)",
            ));
        }
    }
    checks
}

/// Whether the addresses could be listened on, asked only while no daemon runs.
fn ports(config: &Config) -> Vec<Check> {
    let addresses = config.listen.proxy.iter().chain(&config.listen.ops);
    addresses
        .filter_map(|address| {
            let error = TcpListener::bind(address).err()?;
            Some(Check::problem(
                "address",
                format!("{address}: {error}"),
                "stop what uses it, or change [listen] of the machine file",
            ))
        })
        .collect()
}

fn print(checks: &[Check], json: bool) -> Result<(), Failure> {
    let word = |outcome| match outcome {
        Outcome::Good => "ok",
        Outcome::Note => "note",
        Outcome::Problem => "problem",
        Outcome::Down => "down",
    };
    if json {
        let checks: Vec<_> = checks
            .iter()
            .map(|check| {
                serde_json::json!({
                    "check": check.what, "outcome": word(check.outcome), "found": check.found, "fix": check.fix,
                })
            })
            .collect();
        say!("{}", json_text(serde_json::Value::from(checks).to_string()));
        return Ok(());
    }
    for check in checks {
        let plain = format!("{:<8}", word(check.outcome));
        let shown = match (colour(), check.outcome) {
            (true, Outcome::Good) => format!("\u{1b}[32m{plain}\u{1b}[0m"),
            (true, Outcome::Note) => format!("\u{1b}[33m{plain}\u{1b}[0m"),
            (true, _) => format!("\u{1b}[1;31m{plain}\u{1b}[0m"),
            (false, _) => plain,
        };
        say!("{shown} {}: {}", check.what, visible(&check.found));
        if let Some(fix) = &check.fix {
            say!("           fix: {}", visible(fix));
        }
    }
    Ok(())
}

/// The first few of these, and how many more there are.
pub(crate) fn first_of(all: impl Iterator<Item = String>) -> String {
    const NAMED: usize = 5;
    let mut named: Vec<String> = all.collect();
    let more = named.len().saturating_sub(NAMED);
    named.truncate(NAMED);
    match more {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Bytes for people, in powers of 1,000.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_500), "1.5 kB");
        assert_eq!(size(2_000_000_000), "2.0 GB");
    }
}
