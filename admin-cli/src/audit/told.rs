//! What `audit verify` found, and how checkpoints stand, in words.

use crate::failure::Failure;
use crate::output::visible;
use crate::report::weekly::{span_words, thousands};
use crate::school::School;
use ledger::evidence::gaps::{EVERY_MS, gaps};
use ledger::evidence::places::{self, Places, is_same_disk};
use ledger::evidence::verify::Report;
use rules::time::{SchoolClock, UnixMillis};
use std::collections::BTreeMap;

/// Problems shown of each log; the others are counted.
const MOST_PROBLEMS: usize = 100;

/// Prints a report.
pub(super) fn print(
    report: &Report,
    clock: Option<&SchoolClock>,
    runs_until: Option<UnixMillis>,
    json: bool,
) -> Result<(), Failure> {
    let everything = (UnixMillis(i64::MIN), UnixMillis(i64::MAX));
    let gaps = gaps(&report.log, everything, runs_until);
    let moment = |at: UnixMillis| clock.map_or_else(|| at.0.to_string(), |clock| clock.rfc3339(at));
    if json {
        let mut value = serde_json::to_value(report).map_err(Failure::fault)?;
        let gaps: Vec<_> = gaps
            .iter()
            .map(|(from, to)| serde_json::json!({ "from": moment(*from), "until": moment(*to) }))
            .collect();
        value["whole"] = report.problems.is_empty().into();
        value["gaps"] = gaps.into();
        return super::print_json(&value);
    }
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in &report.problems {
        let count = shown.entry(&problem.log).or_default();
        *count += 1;
        if *count <= MOST_PROBLEMS {
            let what = visible(&problem.what);
            say!("PROBLEM  {}, {}: {what}", visible(&problem.log), visible(&problem.place));
        }
    }
    for (log, count) in shown.into_iter().filter(|(_, count)| *count > MOST_PROBLEMS) {
        say!("PROBLEM  {log}: {} more like these; --json prints all", count - MOST_PROBLEMS);
    }
    for line in &report.uncovered {
        say!("not covered  {}", visible(line));
    }
    for line in &report.erased {
        say!("erased  {}", visible(line));
    }
    for (from, to) in &gaps {
        let clock = |at: UnixMillis| clock.map_or_else(|| at.0.to_string(), |clock| clock.show(at));
        say!("no statement  from {} to {}, though the filter ran", clock(*from), clock(*to));
    }
    say!(
        "change log   {} entries, {} checkpoints",
        thousands(report.entries),
        thousands(report.checkpoints)
    );
    say!(
        "access log   {} rows and {} later ends in {} batches, {} days",
        thousands(report.rows),
        thousands(report.ends),
        thousands(report.batches),
        thousands(report.days)
    );
    if let Some(last) = &report.last {
        say!("checkpoint   {}", visible(last));
    }
    for line in &report.matched {
        say!("outside      fits {}", visible(line));
    }
    match (report.problems.len(), report.matched.is_empty()) {
        (0, false) => {
            say!("whole: nothing was changed up to the checkpoints from outside");
            note!("what came after them fits what was signed here, by this machine's own key");
        }
        (0, true) => {
            say!("whole: everything fits what was signed here");
            note!(
                "whoever holds this machine could have made it anew: compare with a checkpoint kept elsewhere (--against)"
            );
        }
        (1, _) => say!("1 problem"),
        (many, _) => say!("{many} problems"),
    }
    Ok(())
}

/// How checkpoints stand: for `status`, `doctor` and the weekly report.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The last checkpoint as it can be printed, with the signature's line.
    pub(crate) last: Option<(String, String)>,
    /// In words.
    pub(crate) words: String,
    /// What is wrong, each with what to do.
    pub(crate) problems: Vec<(String, &'static str)>,
}

/// Looks at the checkpoints of a school.
pub(crate) fn standing(school: &School, is_running: bool) -> Standing {
    let state = &school.config.state;
    let places = Places::read(state);
    let mut problems = Vec::new();
    let last = places::last(state).unwrap_or_else(|error| {
        problems.push((format!("checkpoints: {error}"), "see that the state folder can be read"));
        None
    });
    let signed_at = places.as_ref().and_then(|places| places.signed_at);
    let age = signed_at.map(super::since);
    let mut words = match (&last, age) {
        (None, _) => "no checkpoint yet".to_owned(),
        (Some((last, _)), Some(age)) => {
            format!("checkpoint of {} entries, {} ago", thousands(last.size), span_words(age))
        }
        (Some((last, _)), None) => format!("checkpoint of {} entries", thousands(last.size)),
    };
    if let Some(why) = places.as_ref().and_then(|places| places.problem.as_ref()) {
        problems.push((format!("no checkpoint can be signed: {why}"), "schoolgate audit verify"));
    } else if is_running && age.is_some_and(|age| age > EVERY_MS + EVERY_MS / 4) {
        problems.push(("the filter signs no checkpoint any more".to_owned(), "restart the filter"));
    }
    let audit = &school.config.audit;
    if audit.is_alone() {
        words.push_str("; kept on this machine alone");
    }
    for place in places.iter().flat_map(|places| &places.places) {
        match &place.problem {
            None => words.push_str(&format!("; also at {}", place.place)),
            Some(why) => problems.push((
                format!("checkpoints do not reach {}: {why}", place.place),
                "see that the disk is there and can be written, or that the address answers",
            )),
        }
    }
    for copy in &audit.copy_to {
        if is_same_disk(state, copy) == Some(true) {
            problems.push((
                format!("{} lies on the same disk as the log", copy.display()),
                "give a file on another disk in audit.copy_to: who changes the one could change the other",
            ));
        }
    }
    let signature = |note: &str| note.lines().last().unwrap_or_default().to_owned();
    Standing {
        last: last.map(|(checkpoint, note)| (checkpoint.line(), signature(&note))),
        words,
        problems,
    }
}
