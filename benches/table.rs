//! What the comparison showed: medians, least and most over the rounds, set beside Squid, the must and
//! the goal; as Markdown and a picture; `figures.rs` has them for programs.

use crate::entrant::Entrant;
use crate::load::{Tally, percentile};
use crate::picture::{self, Bar, Kind, Panel, number};
use crate::rows::Row;
use serde_json::Value;
use std::fmt::Write as _;

/// The one that the table is about.
pub(crate) const OURS: &str = "schoolgate";
/// The one that it is held against.
pub(crate) const AGAINST: &str = "squid";
/// No proxy at all.
pub(crate) const CONTROL: &str = "direct";

/// One row through one entrant in one round.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Row.
    pub row: Row,
    /// Entrant.
    pub through: &'static str,
    /// Round, from 0.
    pub round: u32,
    /// Processor time of the entrant, in microseconds by the row's unit; none for the control, and where
    /// none could be read or nothing was answered.
    pub cpu_us: Option<f64>,
    /// Units a second.
    pub per_second: f64,
    /// Latency of half of the requests, in microseconds.
    pub p50_us: f64,
    /// Latency of 99 in 100.
    pub p99_us: f64,
    /// Requests that failed.
    pub failed: u64,
    /// Share of the machine that other programs, or other machines on the same host, took meanwhile.
    pub others: f64,
}

impl Cell {
    /// Puts a round's outcome together.
    pub(crate) fn new(
        row: Row,
        entrant: &Entrant,
        round: u32,
        tally: &Tally,
        cpu_ns: u64,
        others: f64,
    ) -> Self {
        let done = row.done(tally);
        let mut latencies = tally.latencies_us.clone();
        latencies.sort_unstable();
        Self {
            row,
            through: entrant.name,
            round,
            // Nobody works for nothing: no processor time at all is one that could not be read.
            cpu_us: entrant
                .pid
                .filter(|_| done > 0.0 && cpu_ns > 0)
                .map(|_| cpu_ns as f64 / 1e3 / done),
            per_second: done / tally.elapsed.as_secs_f64().max(f64::MIN_POSITIVE),
            p50_us: f64::from(percentile(&latencies, 50.0)),
            p99_us: f64::from(percentile(&latencies, 99.0)),
            failed: tally.failed,
            others,
        }
    }
}

/// The middle and both ends of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// The middle.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// None of nothing.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Some(Self { median, least, most })
    }

    /// What was measured once.
    pub(crate) fn once(value: f64) -> Self {
        Self { median: value, least: value, most: value }
    }

    fn text(self) -> String {
        self.text_by(number)
    }

    fn text_by(self, number: fn(f64) -> String) -> String {
        match self.least == self.most {
            true => number(self.median),
            false => {
                format!("{} ({} to {})", number(self.median), number(self.least), number(self.most))
            }
        }
    }
}

/// A line of the second table.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    /// A word for programs.
    pub id: &'static str,
    /// What was measured.
    pub what: String,
    /// Of what the figures are; empty for counts and ratios.
    pub unit: &'static str,
    /// Ours.
    pub ours: Spread,
    /// What it must not pass.
    pub must: Option<f64>,
    /// What is aimed at.
    pub goal: Option<f64>,
    /// The same of others.
    pub peers: Vec<(String, f64)>,
    /// How it was measured.
    pub how: &'static str,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Sentences on machine and setting.
    pub setting: Vec<String>,
    /// The same for programs.
    pub run: serde_json::Map<String, Value>,
    /// The rounds.
    pub cells: Vec<Cell>,
    /// The second table.
    pub facts: Vec<Fact>,
    /// Name, version, what it does, memory at rest and at most, in bytes.
    pub entrants: Vec<(String, String, String, u64, u64)>,
    /// What went wrong or was left out.
    pub warnings: Vec<String>,
    /// What must never happen, and did.
    pub failures: Vec<String>,
}

/// How a row stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// Ours over Squid's.
    pub ratio: f64,
    /// The same round by round.
    pub by_round: Option<Spread>,
    cheapest: Option<(&'static str, f64)>,
    ours: f64,
}

impl Table {
    /// Whoever was measured, in the order of the table.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for cell in &self.cells {
            if !names.contains(&cell.through) {
                names.push(cell.through);
            }
        }
        names
    }

    /// The rows that were measured.
    pub(crate) fn rows(&self) -> Vec<Row> {
        Row::all().filter(|row| self.cells.iter().any(|cell| cell.row == *row)).collect()
    }

    /// Some figure of a row through somebody, over the rounds.
    pub(crate) fn spread(
        &self,
        row: Row,
        through: &str,
        of: impl Fn(&Cell) -> Option<f64>,
    ) -> Option<Spread> {
        let cells = self.cells.iter().filter(|cell| cell.row == row && cell.through == through);
        Spread::of(cells.filter_map(of).collect())
    }

    fn cpu(&self, row: Row, through: &str) -> Option<Spread> {
        self.spread(row, through, |cell| cell.cpu_us)
    }

    /// How ours stands beside Squid's; none where either was not measured.
    pub(crate) fn standing(&self, row: Row) -> Option<Standing> {
        let ours = self.cpu(row, OURS)?.median;
        let against = self.cpu(row, AGAINST)?.median;
        let round_of = |through: &str, round: u32| {
            let found =
                |cell: &&Cell| cell.row == row && cell.through == through && cell.round == round;
            self.cells.iter().find(found)?.cpu_us
        };
        let rounds = self.cells.iter().map(|cell| cell.round).max().unwrap_or(0);
        let by_round = (0..=rounds)
            .filter_map(|round| Some(round_of(OURS, round)? / round_of(AGAINST, round)?));
        let others = self.names().into_iter().filter(|name| *name != OURS);
        let cheapest = others
            .filter_map(|name| Some((name, self.cpu(row, name)?.median)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        Some(Standing {
            ratio: ours / against,
            by_round: Spread::of(by_round.collect()),
            cheapest,
            ours,
        })
    }

    /// Sentences on musts that were missed and requests of ours that failed.
    pub(crate) fn missed(&self) -> Vec<String> {
        let mut missed = self.failures.clone();
        for row in self.rows() {
            if let Some(it) = self.standing(row).filter(|it| it.ratio > row.must()) {
                missed.push(format!(
                    "{}: {:.2} of Squid's, must be at most {:.2}",
                    row.title(),
                    it.ratio,
                    row.must()
                ));
            }
            let ours = self.cells.iter().filter(|cell| cell.row == row && cell.through == OURS);
            let failed: u64 = ours.map(|cell| cell.failed).sum();
            if failed > 0 {
                missed.push(format!("{}: {failed} requests of ours failed", row.title()));
            }
        }
        for fact in &self.facts {
            if let Some(must) = fact.must.filter(|must| fact.ours.median > *must) {
                let ours = short(fact.ours.median);
                missed.push(format!("{}: {ours}, must be at most {must} {}", fact.what, fact.unit));
            }
        }
        missed
    }

    /// The tables, in Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = "# Beside the peers\n\n".to_owned();
        for line in &self.setting {
            let _ = writeln!(text, "- {line}");
        }
        for line in self.warnings.iter().chain(&self.failures) {
            let _ = writeln!(text, "- **{line}**");
        }
        if !self.cells.is_empty() {
            self.write_cpu(&mut text);
            self.write_standings(&mut text);
            self.write_latencies(&mut text);
        }
        if !self.facts.is_empty() {
            self.write_facts(&mut text);
        }
        text.push_str("\n## Who took part\n\n| | Debian's version | what it does | resident at rest, MB | at most, MB |\n|-|-|-|-:|-:|\n");
        for (name, version, does, idle, peak) in &self.entrants {
            let megabytes = |bytes: u64| {
                if bytes == 0 { "-".into() } else { format!("{:.0}", bytes as f64 / 1e6) }
            };
            let _ = writeln!(
                text,
                "| {name} | {version} | {does} | {} | {} |",
                megabytes(*idle),
                megabytes(*peak)
            );
        }
        text
    }

    fn write_cpu(&self, text: &mut String) {
        let names: Vec<&str> = self.names().into_iter().filter(|name| *name != CONTROL).collect();
        let _ = writeln!(
            text,
            "\n## Processor time\n\nMicroseconds of all processes of the proxy, a request or a MB: median over the rounds (least to most).\n\n| case | {} |\n|-|{}",
            names.join(" | "),
            "-:|".repeat(names.len())
        );
        for row in self.rows() {
            let cells =
                names.iter().map(|name| self.cpu(row, name).map_or("-".to_owned(), Spread::text));
            let _ =
                writeln!(text, "| {} | {} |", row.title(), cells.collect::<Vec<_>>().join(" | "));
        }
    }

    fn write_standings(&self, text: &mut String) {
        text.push_str("\n## Against Squid, must and goal\n\n| case | ratio to Squid | by round | must | | goal | | cheapest of the others | ours above it, µs |\n|-|-:|-:|-:|-|-:|-|-|-:|\n");
        for row in self.rows() {
            let Some(it) = self.standing(row) else { continue };
            let by_round = it.by_round.map_or_else(String::new, |spread| {
                format!("{:.2} to {:.2}", spread.least, spread.most)
            });
            let (cheapest, above) = it.cheapest.map_or_else(Default::default, |(name, value)| {
                (format!("{name}, {}", number(value)), format!("{:+.1}", it.ours - value))
            });
            let _ = writeln!(
                text,
                "| {} | {:.2} | {by_round} | {:.2} | {} | {:.2} | {} | {cheapest} | {above} |",
                row.title(),
                it.ratio,
                row.must(),
                verdict(it.ratio, row.must()),
                row.goal(),
                verdict(it.ratio, row.goal()),
            );
        }
    }

    fn write_latencies(&self, text: &mut String) {
        text.push_str("\n## Throughput and latency\n\nMedians over the rounds (least to most). The clients ask without a pause: latencies compare, and say little of a school.\n\n| case | through | a second | p50 ms | p99 ms | failed |\n|-|-|-:|-:|-:|-:|\n");
        for row in self.rows() {
            for name in self.names() {
                let Some(rate) = self.spread(row, name, |cell| Some(cell.per_second)) else {
                    continue;
                };
                let milliseconds = |of: fn(&Cell) -> f64| {
                    let spread = self.spread(row, name, |cell| Some(of(cell) / 1e3));
                    spread.map_or("-".to_owned(), |spread| spread.text_by(short))
                };
                let cells = self.cells.iter();
                let failed = cells.filter(|cell| cell.row == row && cell.through == name);
                let _ = writeln!(
                    text,
                    "| {} | {name} | {} {} | {} | {} | {} |",
                    row.title(),
                    rate.text(),
                    row.unit(),
                    milliseconds(|cell| cell.p50_us),
                    milliseconds(|cell| cell.p99_us),
                    failed.map(|cell| cell.failed).sum::<u64>(),
                );
            }
        }
    }

    fn write_facts(&self, text: &mut String) {
        text.push_str("\n## Large lists\n\nMeasured once each, but for what has its least and most beside it.\n\n| what | unit | ours | must | | goal | | peers | how |\n|-|-|-:|-:|-|-:|-|-|-|\n");
        for fact in &self.facts {
            let peers: Vec<String> = fact
                .peers
                .iter()
                .map(|(name, value)| format!("{name} {}", short(*value)))
                .collect();
            let bound = |bound: Option<f64>| {
                bound.map_or(" | ".to_owned(), |bound| {
                    format!("{bound} | {}", verdict(fact.ours.median, bound))
                })
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} |",
                fact.what,
                fact.unit,
                fact.ours.text_by(short),
                bound(fact.must),
                bound(fact.goal),
                peers.join(", "),
                fact.how
            );
        }
    }

    /// Bars of processor time, one panel a row, with must and goal where Squid took part.
    pub(crate) fn picture(&self) -> String {
        let panels: Vec<Panel> = self.rows().into_iter().map(|row| self.panel(row)).collect();
        let note = "all processes of the proxy, µs a request or a MB; median, and least to most over the rounds";
        picture::svg("Processor time beside the peers", note, &panels)
    }

    fn panel(&self, row: Row) -> Panel {
        let mut bars: Vec<Bar> = Vec::new();
        for name in self.names() {
            if let Some(spread) = self.cpu(row, name) {
                bars.push(Bar {
                    label: name.to_owned(),
                    value: spread.median,
                    range: (spread.least, spread.most),
                    kind: match name {
                        OURS => Kind::Ours,
                        "squid" | "squid-first" | "e2guardian" => Kind::Filter,
                        _ => Kind::Other,
                    },
                });
            }
        }
        bars.sort_by(|a, b| a.value.total_cmp(&b.value));
        let squid = self.cpu(row, AGAINST).map(|spread| spread.median);
        let marks =
            squid.map(|squid| vec![(squid * row.must(), "must"), (squid * row.goal(), "goal")]);
        Panel { title: row.title().to_owned(), bars, marks: marks.unwrap_or_default() }
    }
}

fn verdict(value: f64, bound: f64) -> &'static str {
    if value <= bound { "met" } else { "**missed**" }
}

fn short(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}
