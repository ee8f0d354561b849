//! What the runs showed: medians, ratios, and the tables and JSON that say so.

use crate::load::{Tally, percentile};
use crate::measure;
use crate::schoolgate::Records;
use crate::stage;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// One round of one case through one proxy.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// Case, e.g. `get-1k`.
    pub case: &'static str,
    /// `schoolgate`, `squid` or `direct`.
    pub through: &'static str,
    /// What came back.
    pub tally: Tally,
    /// Processor time of the proxy's process tree, in nanoseconds; 0 for `direct`.
    pub cpu_ns: u64,
}

/// The rounds of one case through one proxy, put together.
#[derive(Clone, Debug, Default)]
struct Summary {
    requests: u64,
    allowed: u64,
    blocked: u64,
    failed: u64,
    failures: Vec<String>,
    requests_per_second: f64,
    cpu_us_per_request: f64,
    megabits_per_second: f64,
    p50_us: u32,
    p90_us: u32,
    p99_us: u32,
    max_us: u32,
}

/// All rounds, with what else was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    title: &'static str,
    rounds: Vec<Round>,
    lines: Vec<String>,
    facts: BTreeMap<String, Value>,
    missed: Vec<String>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(title: &'static str) -> Self {
        Self { title, ..Self::default() }
    }

    /// Adds a round and says so.
    pub(crate) fn add(&mut self, round: Round) {
        let tally = &round.tally;
        let requests = tally.requests().max(1);
        eprintln!(
            "  {:10} {:11} {:7} requests {:6.2} s  {:8.0}/s  cpu {:6.1} us/request  blocked {}  failed {}",
            round.case,
            round.through,
            tally.requests(),
            tally.elapsed.as_secs_f64(),
            tally.requests() as f64 / tally.elapsed.as_secs_f64(),
            round.cpu_ns as f64 / 1e3 / requests as f64,
            tally.blocked,
            tally.failed,
        );
        for failure in &tally.failures {
            eprintln!("            failed: {failure}");
        }
        self.rounds.push(round);
    }

    /// Adds a fact, in words and as a value.
    pub(crate) fn fact(&mut self, key: &str, line: String, value: Value) {
        eprintln!("  {line}");
        self.lines.push(line);
        self.facts.insert(key.to_owned(), value);
    }

    /// Holds a fact against its target; a miss makes the run fail.
    pub(crate) fn target(&mut self, key: &str, holds: bool, line: String, value: Value) {
        let word = if holds { "met" } else { "MISSED" };
        let line = format!("{line}: {word}");
        if !holds {
            self.missed.push(line.clone());
        }
        self.fact(key, line, value);
    }

    /// Sets processor time per request beside another proxy's, case by case; `most` is the target
    /// ratio of a case, if it has one.
    pub(crate) fn compare(&mut self, peer: &str, most: Option<&dyn Fn(&str) -> f64>) {
        for (case, by_proxy) in self.summaries() {
            let (Some(ours), Some(other)) = (by_proxy.get("schoolgate"), by_proxy.get(peer)) else {
                continue;
            };
            let ratio = ours.cpu_us_per_request / other.cpu_us_per_request;
            let line = format!(
                "{case}: processor time per request {ratio:.2} of {peer}'s ({:.1} against {:.1} us)",
                ours.cpu_us_per_request, other.cpu_us_per_request
            );
            let key = format!("cpu_ratio {case} {peer}");
            match most.map(|most| most(case)) {
                Some(most) => {
                    let line = format!("{line}; target at most {most:.2}");
                    self.target(&key, ratio <= most, line, json!(ratio));
                }
                None => self.fact(&key, line, json!(ratio)),
            }
        }
    }

    /// A table and the facts, in Markdown.
    fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n", self.title);
        text.push_str(
            "| case | through | requests | blocked | failed | requests/s | Mbit/s | CPU us/request | p50 us | p90 us | p99 us | max us |\n\
             |-|-|-:|-:|-:|-:|-:|-:|-:|-:|-:|-:|\n",
        );
        for (case, by_proxy) in self.summaries() {
            for (through, s) in by_proxy {
                let _ = writeln!(
                    text,
                    "| {case} | {through} | {} | {} | {} | {:.0} | {:.0} | {:.1} | {} | {} | {} | {} |",
                    s.requests,
                    s.blocked,
                    s.failed,
                    s.requests_per_second,
                    s.megabits_per_second,
                    s.cpu_us_per_request,
                    s.p50_us,
                    s.p90_us,
                    s.p99_us,
                    s.max_us
                );
            }
        }
        if self.rounds.is_empty() {
            text.truncate(self.title.len() + 4);
        } else {
            text.push_str("\nRates and processor time are medians over the rounds; latencies are over all their requests.\n\n");
        }
        for line in &self.lines {
            let _ = writeln!(text, "- {line}");
        }
        text
    }

    /// The same for programs.
    fn json(&self) -> Value {
        let mut cases = Vec::new();
        for (case, by_proxy) in self.summaries() {
            for (through, s) in by_proxy {
                cases.push(json!({
                    "case": case, "through": through, "requests": s.requests,
                    "allowed": s.allowed, "blocked": s.blocked, "failed": s.failed,
                    "failures": s.failures, "requests_per_second": s.requests_per_second,
                    "megabits_per_second": s.megabits_per_second,
                    "cpu_us_per_request": s.cpu_us_per_request, "p50_us": s.p50_us,
                    "p90_us": s.p90_us, "p99_us": s.p99_us, "max_us": s.max_us,
                }));
            }
        }
        json!({ "cases": cases, "facts": self.facts, "missed": self.missed })
    }

    /// Says how much memory a process tree takes, and holds its peak against a target in megabytes.
    pub(crate) fn memory(&mut self, name: &str, pid: u32, most: Option<u64>) {
        let usage = measure::usage(pid);
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let line = format!(
            "{name}: {:.1} MB resident ({:.1} MB of it not from files), peak {:.1} MB, proportional {:.1} MB",
            megabytes(usage.rss_bytes),
            megabytes(usage.anonymous_bytes),
            megabytes(usage.rss_peak_bytes),
            megabytes(usage.pss_bytes)
        );
        let value = json!({
            "rss_bytes": usage.rss_bytes, "rss_peak_bytes": usage.rss_peak_bytes,
            "pss_bytes": usage.pss_bytes, "anonymous_bytes": usage.anonymous_bytes,
        });
        let key = format!("memory {name}");
        match most {
            Some(most) => self.target(
                &key,
                usage.rss_peak_bytes <= most * 1_000_000,
                format!("{line}; target peak at most {most} MB"),
                value,
            ),
            None => self.fact(&key, line, value),
        }
    }

    /// Holds the log against the decisions that were taken.
    pub(crate) fn records(&mut self, records: &Records, decisions: u64) {
        let line = format!(
            "schoolgate: {} decisions, {} records, {} codes repeated; one record a request",
            decisions, records.count, records.repeated
        );
        let holds = records.count == decisions && records.repeated == 0;
        let value = json!({
            "decisions": decisions, "records": records.count, "by_reason": records.by_reason,
            "by_depth": records.by_depth,
        });
        self.target("records", holds, line, value);
        for (what, count) in records.by_reason.iter().chain(&records.by_depth) {
            self.fact(
                &format!("records {what}"),
                format!("schoolgate: {count} {what}"),
                json!(count),
            );
        }
    }

    /// Prints the report and writes it to a folder, without one beside the build; `false` if a
    /// target was missed.
    ///
    /// # Errors
    /// A sentence that names the folder and the fault.
    pub(crate) fn write(&self, name: &str, folder: Option<&Path>) -> Result<bool, String> {
        let markdown = self.markdown();
        println!("{markdown}");
        let folder = match folder {
            Some(folder) => folder.to_owned(),
            None => stage::build_folder()?.join(format!("{name}-results")),
        };
        let text = serde_json::to_string_pretty(&self.json()).map_err(|error| error.to_string())?;
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(format!("{name}.md")), &markdown))
            .and_then(|()| std::fs::write(folder.join(format!("{name}.json")), text))
            .map_err(|error| format!("{}: {error}", folder.display()))?;
        println!("written to {}", folder.display());
        for missed in &self.missed {
            println!("missed: {missed}");
        }
        Ok(self.missed.is_empty())
    }

    fn summaries(&self) -> BTreeMap<&'static str, BTreeMap<&'static str, Summary>> {
        let mut grouped: BTreeMap<&str, BTreeMap<&str, Vec<&Round>>> = BTreeMap::new();
        for round in &self.rounds {
            let by_proxy = grouped.entry(round.case).or_default();
            by_proxy.entry(round.through).or_default().push(round);
        }
        grouped
            .into_iter()
            .map(|(case, by_proxy)| {
                let put_together = by_proxy.into_iter().map(|(name, of)| (name, summary(&of)));
                (case, put_together.collect())
            })
            .collect()
    }
}

fn summary(rounds: &[&Round]) -> Summary {
    let mut latencies: Vec<u32> =
        rounds.iter().flat_map(|round| round.tally.latencies_us.iter().copied()).collect();
    latencies.sort_unstable();
    let sum = |count: fn(&Tally) -> u64| rounds.iter().map(|round| count(&round.tally)).sum();
    let seconds = |round: &Round| round.tally.elapsed.as_secs_f64();
    let requests = |round: &Round| round.tally.requests().max(1) as f64;
    Summary {
        requests: sum(Tally::requests),
        allowed: sum(|tally| tally.allowed),
        blocked: sum(|tally| tally.blocked),
        failed: sum(|tally| tally.failed),
        failures: rounds.iter().flat_map(|round| round.tally.failures.clone()).take(5).collect(),
        requests_per_second: median(rounds, |round| requests(round) / seconds(round)),
        cpu_us_per_request: median(rounds, |round| round.cpu_ns as f64 / 1e3 / requests(round)),
        megabits_per_second: median(rounds, |round| {
            round.tally.body_bytes as f64 * 8.0 / 1e6 / seconds(round)
        }),
        p50_us: percentile(&latencies, 50.0),
        p90_us: percentile(&latencies, 90.0),
        p99_us: percentile(&latencies, 99.0),
        max_us: percentile(&latencies, 100.0),
    }
}

fn median(rounds: &[&Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(|round| of(round)).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
