//! What the comparison showed, for programs: each figure with its unit, round by round.

use crate::rows::Row;
use crate::table::{Cell, Spread, Table};
use serde_json::{Map, Value, json};

/// Changes when a reader of the file would have to.
const SCHEMA: &str = "schoolgate-compare/1";

impl Spread {
    fn json(self) -> Value {
        json!({ "median": self.median, "min": self.least, "max": self.most })
    }
}

impl Table {
    /// All of it.
    pub(crate) fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows().into_iter().map(|row| self.row_json(row)).collect();
        let entrants = self.entrants.iter().map(|(name, version, does, idle, peak)| {
            // None where it could not be read.
            let bytes = |bytes: u64| Some(bytes).filter(|bytes| *bytes > 0);
            json!({ "name": name, "version": version, "does": does,
                    "resident_idle_bytes": bytes(*idle), "resident_peak_bytes": bytes(*peak) })
        });
        json!({
            "schema": SCHEMA,
            "units": {
                "cpu_us": "microseconds of processor time of all the proxy's processes, by the row's unit",
                "per_second": "the row's unit a second",
                "p50_us": "microseconds", "p99_us": "microseconds",
                "failed": "requests",
                "others_share": "share of the machine's processors that other work took, 0 to 1",
                "ratio": "cpu_us of schoolgate over that of squid",
                "resident_idle_bytes": "bytes", "resident_peak_bytes": "bytes",
                "median, min, max": "over the rounds; the rounds themselves, in their order, are in values",
            },
            "run": self.run,
            "rows": rows,
            "facts": self.facts.iter().map(|fact| json!({
                "id": fact.id, "what": fact.what, "unit": fact.unit, "ours": fact.ours.json(),
                "must": fact.must, "goal": fact.goal,
                "must_met": fact.must.map(|must| fact.ours.median <= must),
                "goal_met": fact.goal.map(|goal| fact.ours.median <= goal),
                "peers": fact.peers.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
                "how": fact.how,
            })).collect::<Vec<_>>(),
            "entrants": entrants.collect::<Vec<_>>(),
            "setting": self.setting,
            "warnings": self.warnings,
            "missed": self.missed(),
        })
    }

    fn row_json(&self, row: Row) -> Value {
        let mut through = Map::new();
        for name in self.names() {
            let figures = [
                ("cpu_us", self.figure(row, name, |cell| cell.cpu_us)),
                ("per_second", self.figure(row, name, |cell| Some(cell.per_second))),
                ("p50_us", self.figure(row, name, |cell| Some(cell.p50_us))),
                ("p99_us", self.figure(row, name, |cell| Some(cell.p99_us))),
                ("failed", self.figure(row, name, |cell| Some(cell.failed as f64))),
                ("others_share", self.figure(row, name, |cell| Some(cell.others))),
            ];
            if figures.iter().any(|(_, figure)| !figure.is_null()) {
                let figures = figures.map(|(what, figure)| (what.to_owned(), figure));
                through.insert(name.to_owned(), Value::Object(figures.into_iter().collect()));
            }
        }
        let standing = self.standing(row);
        json!({
            "case": row.as_str(), "title": row.title(), "unit": row.unit(), "must": row.must(),
            "goal": row.goal(), "ratio": standing.map(|it| it.ratio),
            "ratio_by_round": standing.and_then(|it| it.by_round).map(Spread::json),
            "must_met": standing.map(|it| it.ratio <= row.must()),
            "goal_met": standing.map(|it| it.ratio <= row.goal()),
            "through": through,
        })
    }

    /// Middle, ends and each round; null where nothing was measured.
    fn figure(&self, row: Row, name: &str, of: fn(&Cell) -> Option<f64>) -> Value {
        let Some(spread) = self.spread(row, name, of) else { return Value::Null };
        let cells = self.cells.iter().filter(|cell| cell.row == row && cell.through == name);
        let mut rounds: Vec<&Cell> = cells.collect();
        rounds.sort_by_key(|cell| cell.round);
        json!({
            "median": spread.median, "min": spread.least, "max": spread.most,
            "values": rounds.into_iter().map(of).collect::<Vec<_>>(),
        })
    }
}
