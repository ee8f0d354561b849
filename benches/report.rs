//! What the runs showed: medians, ratios, and the tables and JSON that say so.

use crate::load::{Tally, percentile};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

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
    rounds: Vec<Round>,
    lines: Vec<String>,
    facts: BTreeMap<String, Value>,
    missed: Vec<String>,
}

impl Report {
    /// Adds a round and says so.
    pub(crate) fn add(&mut self, round: Round) {
        let tally = &round.tally;
        let requests = tally.requests().max(1);
        eprintln!(
            "  {:9} {:11} {:7} requests {:6.2} s  {:8.0}/s  cpu {:6.1} us/request  blocked {}  failed {}",
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

    /// Holds processor time per request against Squid's, case by case.
    pub(crate) fn compare(&mut self) {
        let summaries = self.summaries();
        for (case, by_proxy) in &summaries {
            let (Some(ours), Some(squid)) = (by_proxy.get("schoolgate"), by_proxy.get("squid"))
            else {
                continue;
            };
            let ratio = ours.cpu_us_per_request / squid.cpu_us_per_request;
            let line = format!(
                "{case}: processor time per request {ratio:.2} of Squid's ({:.1} against {:.1} us); target at most 1.00",
                ours.cpu_us_per_request, squid.cpu_us_per_request
            );
            self.target(&format!("cpu_ratio {case}"), ratio <= 1.0, line, json!(ratio));
        }
    }

    /// The targets that were missed.
    pub(crate) fn missed(&self) -> &[String] {
        &self.missed
    }

    /// A table and the facts, in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = "# Replay\n\n".to_owned();
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
        text.push_str("\nRates and processor time are medians over the rounds; latencies are over all their requests.\n\n");
        for line in &self.lines {
            let _ = writeln!(text, "- {line}");
        }
        text
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
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
