//! A new policy tried on recorded accesses before it is asked for or put in force, and the words for what came of that.
//!
//! The newest records first, for a bounded time: who changes a policy waits for it. What only tightens waits less, and
//! goes on where the records cannot be read: nothing that closes may be held up. Where the last days have no records, as in
//! holidays, the newest that there are stand for them.

use crate::failure::Failure;
use crate::output::visible;
use crate::replay::Replay;
use crate::report::weekly::thousands;
use crate::school::{School, now};
use ledger::query::{AccessLog, Cursor, Filter, Order, Page};
use proxy::policy_file::PolicyFile;
use proxy::snapshot::Snapshot;
use rules::change::{Replayed, Share, Trial};
use rules::time::{SchoolClock, UnixMillis};
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Days back that are tried where nobody says how many.
const DAYS: u16 = 7;

/// Fewest days back for what opens anything: whoever authorises it is to see what a school week says of it.
const FEWEST_DAYS: u16 = 7;

/// How long trying takes at most where nobody says how many days.
const AT_MOST: Duration = Duration::from_secs(10);

/// The same for what opens nothing.
const AT_MOST_TIGHTENING: Duration = Duration::from_secs(2);

/// Records asked for at a time: the time is looked at in between.
const PAGE_ROWS: usize = 2_000;

/// How long nothing is said of how far it has come.
const QUIET: Duration = Duration::from_secs(1);

/// Said below all counts: by phrase lists, themes of pages and `[files]` none of them changes, whatever these open.
const NOT_TRIED: &str =
    "what pages and files hold is in no record: changes to what they are judged by were not tried";

const DAY_MILLIS: i64 = 86_400_000;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// So many days back, however long that takes.
    pub(crate) days: Option<u16>,
    /// Why not at all.
    pub(crate) without: Option<String>,
}

impl Wanted {
    /// Whether it may be tried on so few days; `loosens`: it opens something.
    ///
    /// # Errors
    /// A usage error.
    pub(crate) fn check(&self, loosens: bool) -> Result<(), Failure> {
        match self.days {
            Some(days) if loosens && days < FEWEST_DAYS => {
                let what = format!("what opens anything is tried on at least {FEWEST_DAYS} days");
                let fix = format!(
                    "say --replay-days {FEWEST_DAYS} or more, or leave it out for {DAYS} days and \
                     at most {} s",
                    AT_MOST.as_secs()
                );
                Err(Failure::usage(what).fix(fix))
            }
            _ => Ok(()),
        }
    }
}

/// Tries a policy; `loosens`: it opens something.
pub(crate) async fn try_out(
    school: &School,
    snapshot: &Snapshot,
    proposed: &PolicyFile,
    wanted: &Wanted,
    loosens: bool,
) -> Replayed {
    if let Some(reason) = &wanted.without {
        return Replayed::Left { reason: reason.trim().to_owned() };
    }
    let until = now();
    let days = i64::from(wanted.days.unwrap_or(DAYS));
    let from = UnixMillis(until.0 - days * DAY_MILLIS);
    let mut replay = Replay::new(snapshot, proposed);
    let at_most = if loosens { AT_MOST } else { AT_MOST_TIGHTENING };
    let bound = || Instant::now() + at_most;
    let mut records = Records {
        log: AccessLog::new(&school.config.state),
        filter: Filter { since: Some(from), until: Some(until), ..Filter::default() },
        after: None,
        deadline: wanted.days.is_none().then(bound),
    };
    let mut read = records.judge_by(&mut replay).await;
    let has_none = matches!(read, Ok(Judged { whole: true, span: None }));
    if has_none {
        // Nobody asked for all that was ever recorded: this is bounded, however many days were.
        records.deadline.get_or_insert_with(bound);
        records.filter.since = None;
        read = records.judge_by(&mut replay).await;
    }
    match read {
        Err(why) => Replayed::Failed { why },
        Ok(Judged { whole: true, span: None }) => Replayed::NoRecords { from, until },
        Ok(Judged { whole: false, span: None }) => Replayed::Failed {
            why: format!("no record could be read within {} s", at_most.as_secs()),
        },
        Ok(Judged { whole, span: Some((oldest, newest)) }) => Replayed::Tried(Trial {
            from: if whole && !has_none { from } else { oldest },
            until: if has_none { UnixMillis(newest.0 + 1) } else { until },
            whole: whole && !has_none,
            ..replay.trial()
        }),
    }
}

/// What was judged.
struct Judged {
    /// All that there is.
    whole: bool,
    /// When the oldest and the newest were; none: there were none.
    span: Option<(UnixMillis, UnixMillis)>,
}

/// The records, the newest first.
struct Records {
    log: AccessLog,
    filter: Filter,
    after: Option<Cursor>,
    deadline: Option<Instant>,
}

impl Records {
    /// Judges them from the newest on, as far as there is time. The error: why they cannot be read.
    async fn judge_by(&mut self, replay: &mut Replay<'_>) -> Result<Judged, String> {
        let (mut told, mut span) = (Instant::now(), None);
        self.after = None;
        loop {
            let Some(page) = self.next().await? else { return Ok(Judged { whole: false, span }) };
            for row in &page.rows {
                replay.judge(row);
                let (oldest, newest) = span.unwrap_or((row.at, row.at));
                span = Some((row.at.min(oldest), row.at.max(newest)));
            }
            self.after = page.next;
            if page.next.is_none() {
                return Ok(Judged { whole: true, span });
            }
            if told.elapsed() > QUIET && std::io::stderr().is_terminal() {
                told = Instant::now();
                note!("tried on {} records so far", thousands(replay.counts().records));
            }
        }
    }

    /// The next of them; `None`: there is no time for more. The error: why they cannot be read.
    async fn next(&mut self) -> Result<Option<Page>, String> {
        let Self { log, filter, after, deadline } = self;
        let page = log.page(filter, Order::NewestFirst, *after, PAGE_ROWS);
        let page = match *deadline {
            Some(deadline) if Instant::now() >= deadline => return Ok(None),
            Some(deadline) => timeout_at(deadline, page).await.ok(),
            None => Some(page.await),
        };
        page.transpose().map_err(|error| error.to_string())
    }
}

/// What came of it, a line each, for the one who changes or authorises. `None`: nobody tried it.
pub(crate) fn lines(replayed: Option<&Replayed>, clock: &SchoolClock) -> Vec<String> {
    let span = |from: &UnixMillis, until: &UnixMillis| {
        format!("{} to {}", clock.show(*from), clock.show(*until))
    };
    let trial = match replayed {
        None => return vec!["not tried on what was recorded".to_owned()],
        Some(Replayed::NoRecords { from, until }) => {
            return vec![format!("not tried: there are no records of {}", span(from, until))];
        }
        Some(Replayed::Failed { why }) => {
            return vec![format!("NOT TRIED on what was recorded: {why}")];
        }
        Some(Replayed::Left { reason }) => {
            return vec![format!("NOT TRIED on what was recorded, because: {reason}")];
        }
        Some(Replayed::Tried(trial)) => trial,
    };
    let which = if trial.whole { "" } else { "the newest " };
    let period = span(&trial.from, &trial.until);
    let mut lines = vec![
        format!(
            "tried on {which}{} records of {period}, {} of them judged",
            thousands(trial.records),
            thousands(trial.judged)
        ),
        changed(trial.refused, trial.passed),
    ];
    lines.extend(trial.shares.iter().map(|share| {
        let Share { level, theme, refused, passed } = share;
        let of = theme.as_ref().map(|theme| format!(", typed words of {theme}"));
        format!("  {level}{}: {}", of.unwrap_or_default(), changed(*refused, *passed))
    }));
    if trial.typed > 0 {
        lines.push(format!(
            "{} with words that were typed: {} newly a sign of a theme, {} no longer",
            thousands(trial.typed),
            thousands(trial.newly_signs),
            thousands(trial.no_longer_signs)
        ));
    }
    lines.push(NOT_TRIED.to_owned());
    lines
}

fn changed(refused: u64, passed: u64) -> String {
    format!("{} newly refused, {} newly passed", thousands(refused), thousands(passed))
}

/// The same in few words; nothing of a policy that nobody was to try.
pub(crate) fn words(replayed: Option<&Replayed>) -> String {
    match replayed {
        None => String::new(),
        Some(Replayed::Tried(trial)) => format!(
            "; tried on {} records: {}",
            thousands(trial.records),
            changed(trial.refused, trial.passed)
        ),
        Some(Replayed::NoRecords { .. }) => "; not tried: no records".to_owned(),
        Some(Replayed::Failed { why }) => format!("; not tried: {why}"),
        Some(Replayed::Left { reason }) => format!("; not tried, because: {reason}"),
    }
}

/// Prints it below what differs.
pub(crate) fn print(replayed: Option<&Replayed>, clock: &SchoolClock) -> Result<(), Failure> {
    for (place, line) in lines(replayed, clock).iter().enumerate() {
        let label = if place == 0 { "replay  " } else { "        " };
        say!("  {label}{}", visible(line));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    #[test]
    fn what_was_tried_is_told_with_its_period_and_what_was_not_says_why() {
        let clock = SchoolClock::new("Europe/London", &[]).unwrap();
        let (from, until) = (UnixMillis(1_764_000_000_000), UnixMillis(1_764_100_000_000));
        let share = |level: &str, theme: Option<&str>, refused| Share {
            level: level.into(),
            theme: theme.map(str::to_owned),
            refused,
            passed: 0,
        };
        let trial = Trial {
            from,
            until,
            whole: false,
            records: 12_345,
            judged: 12_000,
            typed: 40,
            refused: 1_003,
            passed: 0,
            newly_signs: 2,
            no_longer_signs: 1,
            shares: vec![share("ks3", None, 1_000), share("ks3", Some("drugs"), 3)],
        };
        let whole = Trial { whole: true, typed: 0, shares: Vec::new(), ..trial.clone() };
        let tried = |trial| lines(Some(&Replayed::Tried(trial)), &clock);
        let period = "Mon 24 Nov 2025 16:00 GMT to Tue 25 Nov 2025 19:46 GMT";
        assert_eq!(
            tried(trial.clone()),
            [
                &*format!("tried on the newest 12,345 records of {period}, 12,000 of them judged"),
                "1,003 newly refused, 0 newly passed",
                "  ks3: 1,000 newly refused, 0 newly passed",
                "  ks3, typed words of drugs: 3 newly refused, 0 newly passed",
                "40 with words that were typed: 2 newly a sign of a theme, 1 no longer",
                NOT_TRIED,
            ]
        );
        let counts = "1,003 newly refused, 0 newly passed";
        assert_eq!(tried(whole)[1..], [counts, NOT_TRIED]);
        let failed = Replayed::Failed { why: "a fault".into() };
        let left = Replayed::Left { reason: "The log is being moved".into() };
        for (replayed, line, few) in [
            (None, "not tried on what was recorded", ""),
            (
                Some(Replayed::NoRecords { from, until }),
                &*format!("not tried: there are no records of {period}"),
                "; not tried: no records",
            ),
            (Some(failed), "NOT TRIED on what was recorded: a fault", "; not tried: a fault"),
            (
                Some(left),
                "NOT TRIED on what was recorded, because: The log is being moved",
                "; not tried, because: The log is being moved",
            ),
        ] {
            assert_eq!(lines(replayed.as_ref(), &clock), [line]);
            assert_eq!(words(replayed.as_ref()), few);
        }
        assert!(words(Some(&Replayed::Tried(trial))).contains("tried on 12,345 records"));
    }

    #[test]
    fn what_opens_is_tried_on_a_week_at_least() {
        let wanted = |days| Wanted { days, without: None };
        for (days, loosens, may) in [
            (Some(1), true, false),
            (Some(6), true, false),
            (Some(7), true, true),
            (None, true, true),
            (Some(1), false, true),
        ] {
            assert_eq!(wanted(days).check(loosens).is_ok(), may, "{days:?} {loosens}");
        }
    }
}
