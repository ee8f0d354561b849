//! `status`: whether the filter runs, with which policy and lists.

use crate::args::StatusArgs;
use crate::ca::Health;
use crate::config::name;
use crate::doctor::size;
use crate::failure::{Exit, Failure};
use crate::health;
use crate::in_force::{InForce, short};
use crate::output::visible;
use crate::report::https::floor_percent;
use crate::report::weekly::{ListAge, span_words, thousands};
use crate::school::{School, now};
use ledger::accounts::Count;
use ledger::disk::{Disk, Fullness};
use ledger::seen::Seen;
use proxy::lists::Lists;
use proxy::snapshot::Snapshot;
use rules::change::UnblockState;
use rules::inspect::Inspect;
use rules::time::UnixMillis;
use serde_json::json;
use std::path::Path;

/// The daemon's own measure of how far the stored log is behind, in milliseconds.
const LAG_METRIC: &str = "ledger_ingest_lag_milliseconds";

/// What is known of the daemon.
struct Daemon {
    words: String,
    exit: Exit,
    ready: bool,
    /// Milliseconds by which stored records are behind recorded ones, as the daemon measures it.
    log_lag_ms: Option<f64>,
}

/// What is printed.
struct Status {
    daemon: Daemon,
    snapshot: Snapshot,
    /// What the running filter decides by; `None`: it does not run.
    in_force: Option<InForce>,
    lists: Vec<ListAge>,
    /// Lists of locked categories that the machine file no longer has, with their categories.
    taken_out: Vec<(String, String)>,
    at: UnixMillis,
    log_bytes: u64,
    journal_bytes: u64,
    /// Room on the disk of the state folder, where the file system tells.
    disk: Option<Disk>,
    /// Why nothing is looked into, where that is so.
    unseeing: Option<&'static str>,
    /// How checkpoints stand.
    evidence: crate::audit::Standing,
    /// Administrators, and how many of them are locked.
    accounts: Count,
    /// What the filter saw today; the fault where the log cannot be read.
    seen: Result<Seen, String>,
}

/// Prints the state of the filter; exit 6 where it does not run or answer.
pub(crate) async fn run(school: &School, args: &StatusArgs) -> Result<Exit, Failure> {
    let state = &school.config.state;
    let mut daemon = daemon(school).await;
    let snapshot = school.snapshot().await?;
    let log = school.change_log().await?;
    let in_force = InForce::look(school, &log, Some(&snapshot)).await;
    if in_force.as_ref().is_some_and(|it| !it.behind.is_empty()) && daemon.exit == Exit::Ok {
        daemon.exit = Exit::ProblemsFound;
    }
    let lists = crate::report::list_ages(school, &log).await?;
    let taken_out = Lists::new(&school.config, &log).taken_out().await.map_err(Failure::fault)?;
    let status = Status {
        daemon,
        in_force,
        lists,
        taken_out,
        at: now(),
        log_bytes: folder_bytes(&state.join("access")),
        journal_bytes: folder_bytes(&state.join("journal")),
        disk: Disk::of(state).ok(),
        unseeing: unseeing(school, &snapshot),
        evidence: crate::audit::standing(school, health::is_running(state)),
        accounts: log.accounts().count(now()).await.map_err(Failure::fault)?,
        seen: seen_today(school, &snapshot).await,
        snapshot,
    };
    if args.json {
        say!("{}", crate::output::json_text(status.json().to_string()));
    } else {
        status.print(school)?;
    }
    Ok(status.daemon.exit)
}

async fn seen_today(school: &School, snapshot: &Snapshot) -> Result<Seen, String> {
    let today = snapshot.policy.clock().day(now());
    let tomorrow = today.saturating_add(jiff::Span::new().days(1));
    let levels = Seen::of_days(&school.config.state, today, tomorrow).await;
    levels.map(|levels| Seen::total(levels.values())).map_err(|error| error.to_string())
}

/// Why nothing inside https is seen, where that is so.
fn unseeing(school: &School, snapshot: &Snapshot) -> Option<&'static str> {
    let policy = &snapshot.policy;
    let looks = |level| policy.level_inspect(level) == Inspect::Page;
    if !crate::inspect::has_authority(school) {
        return Some("no authority; see schoolgate ca init");
    }
    let none = !policy.levels().iter().any(|(level, _)| looks(level));
    none.then_some("no level has inspect = \"page\"")
}

/// What was seen of a day's https connections: never more than is true.
fn https_words(unseeing: Option<&str>, seen: &Seen) -> String {
    let count = |number: u64, kind: &str| format!("{} {kind}", thousands(number));
    let mut parts = Vec::new();
    if seen.looked_into > 0 {
        parts.push(count(seen.looked_into, "connections looked into"));
    }
    if seen.by_name > 0 {
        // What is left of a share that is rounded down.
        let share = match (seen.looked_into, floor_percent(seen.looked_into, seen.connections())) {
            (0, _) => String::new(),
            (_, looked) => format!(" ({} %)", 100 - looked),
        };
        let kind = if parts.is_empty() { "connections by name only" } else { "by name only" };
        parts.push(count(seen.by_name, kind) + &share);
    }
    if seen.refused > 0 {
        parts.push(count(seen.refused, "refused the school's certificate"));
    }
    let today = match parts.is_empty() {
        true => "today no connection yet".to_owned(),
        false => format!("today {}", parts.join(", ")),
    };
    match unseeing {
        Some(why) => format!("nothing is looked into: {why}; {today}"),
        None => today,
    }
}

async fn daemon(school: &School) -> Daemon {
    let of =
        |words: String, exit| Daemon { words, exit, ready: exit == Exit::Ok, log_lag_ms: None };
    if !health::is_running(&school.config.state) {
        let words = "not running; browsing through it is stopped, not open";
        return of(words.to_owned(), Exit::FilterDown);
    }
    let Some(ops) = school.config.listen.ops.filter(|ops| ops.port() != 0) else {
        return of("running (no ops address to ask)".to_owned(), Exit::Ok);
    };
    match health::ask(ops, "/readyz").await {
        Ok((200, _)) => {
            let metrics = health::ask(ops, "/metrics").await.map(|(_, text)| text);
            let log_lag_ms = metrics.ok().and_then(|text| metric(&text, LAG_METRIC));
            Daemon { words: "ready".to_owned(), exit: Exit::Ok, ready: true, log_lag_ms }
        }
        Ok((status, text)) => {
            of(format!("not ready ({status}): {}", text.trim()), Exit::ProblemsFound)
        }
        Err(error) => of(format!("not answering: {error}"), Exit::FilterDown),
    }
}

/// The value of a metric without labels.
fn metric(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

impl Status {
    fn unblocks(&self, states: &[UnblockState]) -> usize {
        let unblocks = self.snapshot.changes.unblocks.values();
        unblocks.filter(|unblock| states.contains(&unblock.state(self.at))).count()
    }

    fn live(&self) -> usize {
        self.snapshot.changes.live(self.at).iter().filter(|it| it.from <= self.at).count()
    }

    fn asked(&self) -> usize {
        self.unblocks(&[UnblockState::Asked])
    }

    /// The list whose version in force was taken in longest ago; shipped ones do not age.
    fn oldest(&self) -> Option<(i64, &str)> {
        let own = self.lists.iter().filter(|list| !list.shipped);
        own.filter_map(|list| Some((list.taken_in?, list.name.as_str()))).min()
    }

    /// How the running filter differs from what should be in force, with what to do.
    fn behind(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.in_force.iter().flat_map(|it| &it.behind);
        all.map(|(found, fix)| (found.as_str(), *fix))
    }

    /// Keys of the machine file that wait for a restart of the running filter.
    fn restart(&self) -> &[String] {
        let serving = self.in_force.as_ref().and_then(|it| it.serving.as_ref());
        serving.map_or(&[], |serving| &serving.restart)
    }

    fn print_in_force(&self) -> Result<(), Failure> {
        let Some(in_force) = &self.in_force else { return Ok(()) };
        match &in_force.serving {
            Some(serving) if in_force.behind.is_empty() => say!(
                "in force  this policy, these lists and all {} entries of the change log",
                serving.changes
            ),
            Some(serving) => say!(
                "in force  policy {}, and {} entries of the change log; see the warnings",
                short(&serving.policy_hash),
                serving.changes
            ),
            None => say!("in force  not known; see the warnings"),
        }
        for (found, fix) in self.behind() {
            note!("warning: {}\n  fix: {fix}", visible(found));
        }
        if !self.restart().is_empty() {
            note!(
                "warning: changed in the machine file and not in force until a restart: {}",
                visible(&self.restart().join(", "))
            );
            note!("  fix: restart the filter (systemctl restart schoolgate)");
        }
        Ok(())
    }

    /// How many administrators there are, and what somebody must see to; no names.
    fn print_accounts(&self) -> Result<(), Failure> {
        let (present, locked) = (self.accounts.present, self.accounts.locked);
        let noun = if present == 1 { "administrator" } else { "administrators" };
        say!(
            "accounts  {present} {noun}{}",
            match locked {
                0 => String::new(),
                some => format!("; LOCKED after wrong passwords: {some}"),
            }
        );
        if self.accounts.ever == 0 {
            note!("warning: nobody can change the filter or read the log: no administrators");
            note!("  fix: schoolgate setup NAME");
        }
        let used = self.snapshot.changes.break_glass;
        if let Some(at) = used.used_at {
            let clock = self.snapshot.policy.clock();
            let times = if used.uses == 1 { "time" } else { "times" };
            note!(
                "warning: the emergency code was used {} {times}, last {}, and not renewed since",
                used.uses,
                clock.show(at)
            );
            note!(
                "  fix: schoolgate log actions --actor break-glass, then account break-glass renew"
            );
        }
        Ok(())
    }

    fn levels(&self) -> Vec<&str> {
        self.snapshot.policy.levels().iter().map(|(_, level)| level.name.as_str()).collect()
    }

    fn entries(&self) -> u64 {
        self.snapshot.index.lists().iter().map(|(_, entries)| entries).sum()
    }

    fn json(&self) -> serde_json::Value {
        let clock = self.snapshot.policy.clock();
        json!({
            "ready": self.daemon.ready,
            "state": self.daemon.words,
            "school": self.snapshot.policy.school(),
            "policy_hash": &*self.snapshot.policy_hash,
            "levels": self.levels(),
            "list_version": self.snapshot.index.version(),
            "list_entries": self.entries(),
            "lists": self.lists,
            "lists_taken_out": self.taken_out.iter().map(|(list, _)| list).collect::<Vec<_>>(),
            "users": self.snapshot.users.len(),
            "accounts": self.accounts.present,
            "accounts_locked": self.accounts.locked,
            "break_glass": self.snapshot.changes.break_glass,
            "unblocks_live": self.live(),
            "unblocks_asked": self.asked(),
            "blocks": self.snapshot.blocks.len(),
            "log_bytes": self.log_bytes,
            "journal_bytes": self.journal_bytes,
            "log_lag_ms": self.daemon.log_lag_ms,
            "disk": self.disk.map(|disk| json!({
                "size_bytes": disk.size_bytes,
                "free_bytes": disk.free_bytes,
                "used_percent": disk.used_percent(),
                "fullness": disk.fullness().as_str(),
            })),
            "serving": self.in_force.as_ref().and_then(|it| it.serving.as_ref()),
            "behind": self.behind().map(|(found, _)| found).collect::<Vec<_>>(),
            "restart": self.restart(),
            "https_looks_into": self.unseeing.is_none(),
            "https_today": self.seen.as_ref().ok().map(|seen| json!({
                "looked_into": seen.looked_into,
                "by_name": seen.by_name,
                "refused": seen.refused,
                "nothing": seen.nothing,
            })),
            "checkpoint": self.evidence.last.as_ref().map(|(line, _)| line),
            "checkpoint_problems":
                self.evidence.problems.iter().map(|(found, _)| found).collect::<Vec<_>>(),
            "at": clock.rfc3339(self.at),
        })
    }

    fn print(&self, school: &School) -> Result<(), Failure> {
        let policy = &self.snapshot.policy;
        say!("filter    {}", visible(&self.daemon.words));
        for address in &school.config.listen.proxy {
            say!("address   {address}");
        }
        say!("machine   {}", name(school.config.file.as_deref()));
        say!("school    {}", visible(policy.school()));
        let hash = short(&self.snapshot.policy_hash);
        let levels = self.levels();
        let names = levels.join(", ");
        say!("policy    {} ({} levels: {})", hash, levels.len(), visible(&names));
        self.print_in_force()?;
        let oldest = self.oldest().map_or_else(String::new, |(at, name)| {
            format!("; oldest: {}, {} ago", visible(name), span_words(self.at.0 - at))
        });
        let held: Vec<&str> =
            self.lists.iter().filter(|list| list.held).map(|list| list.name.as_str()).collect();
        say!("lists     {} with {} entries{oldest}", self.lists.len(), thousands(self.entries()));
        if !held.is_empty() {
            say!("          waiting for a decision: {}", visible(&held.join(", ")));
        }
        for (list, category) in &self.taken_out {
            note!(
                "warning: list \"{}\" of the locked category {} is no longer so in the machine file; \
                 it stays in force as it was",
                visible(list),
                visible(category)
            );
            note!("  fix: put it back under [[lists]]; see schoolgate doctor");
        }
        say!("people    {} can sign in", self.snapshot.users.len());
        self.print_accounts()?;
        say!(
            "unblocks  {} live, {} waiting for a yes; {} blocks beside the policy",
            self.live(),
            self.asked(),
            self.snapshot.blocks.len()
        );
        let lag = self
            .daemon
            .log_lag_ms
            .map_or_else(String::new, |lag| format!(", stored {lag} ms behind"));
        say!(
            "log       {} stored, {} of journal{lag}",
            size(self.log_bytes),
            size(self.journal_bytes)
        );
        say!("evidence  {}", visible(&self.evidence.words));
        if let Some((line, _)) = &self.evidence.last {
            say!("          {}", visible(line));
        }
        for (found, fix) in &self.evidence.problems {
            note!("warning: {}\n  fix: {fix}", visible(found));
        }
        if let Some(disk) = self.disk {
            let used = disk.used_percent();
            say!(
                "disk      {} free of {}, {used} % used",
                size(disk.free_bytes),
                size(disk.size_bytes)
            );
            if disk.fullness() > Fullness::Enough {
                let how = disk.fullness().as_str();
                note!("warning: the disk of the log is {how}; when it is full, browsing stops");
                note!("  fix: make room on the disk of the state folder; see schoolgate doctor");
            }
        }
        match crate::ca::health(&school.config) {
            Health::None => say!("authority none (schoolgate ca init)"),
            Health::Good(found) => say!("authority {}", visible(&found)),
            Health::Problem(found, fix) => {
                say!("authority {}", visible(&found));
                note!("warning: authority: {}\n  fix: {}", visible(&found), visible(&fix));
            }
        }
        match &self.seen {
            Ok(seen) => say!("https     {}", https_words(self.unseeing, seen)),
            Err(error) => {
                say!("https     not known");
                note!("warning: {}\n  fix: schoolgate doctor", visible(error));
            }
        }
        say!("time      {}", policy.clock().show(self.at));
        Ok(())
    }
}

/// Bytes of the files in a folder; 0 where there is none.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(|metadata| metadata.is_file())
        .map(|metadata| metadata.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text =
            "# HELP ledger_lag_seconds x\nledger_lag_seconds_total 9\nledger_lag_seconds 0.25\n";
        assert_eq!(metric(text, "ledger_lag_seconds"), Some(0.25));
        assert_eq!(metric(text, "nothing"), None);
    }

    #[test]
    fn what_was_seen_of_https_is_never_said_to_be_more_than_it_was() {
        let seen = |looked_into, by_name, refused| Seen {
            looked_into,
            by_name,
            refused,
            inside: 9_000,
            nothing: 7,
            ..Seen::default()
        };
        let none = Some("no authority; see schoolgate ca init");
        let cases = [
            (
                None,
                seen(812, 140, 3),
                "today 812 connections looked into, 140 by name only (15 %), 3 refused the school's \
                 certificate",
            ),
            (None, seen(1999, 1, 0), "today 1,999 connections looked into, 1 by name only (1 %)"),
            (None, seen(5, 0, 0), "today 5 connections looked into"),
            (None, seen(0, 9, 0), "today 9 connections by name only"),
            (None, seen(0, 0, 0), "today no connection yet"),
            (
                none,
                seen(0, 1400, 0),
                "nothing is looked into: no authority; see schoolgate ca init; today 1,400 \
                 connections by name only",
            ),
        ];
        for (unseeing, seen, expected) in cases {
            assert_eq!(https_words(unseeing, &seen), expected, "{seen:?}");
        }
    }
}
