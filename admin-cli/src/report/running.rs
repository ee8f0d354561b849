//! Whether the filter ran all along: read from the starts and stops of the change log.

use crate::report::weekly::span_words;
use ledger::evidence::gaps::is_sign_of_life;
use rules::change::{ChangeEntry, Event};
use rules::time::{SchoolClock, UnixMillis};
use serde::Serialize;

/// An end without a word: a crash, a power cut. When it was is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Crash {
    /// The last sign that the filter ran. There is one an hour as long as checkpoints can be signed.
    pub(crate) after: UnixMillis,
    /// When it started again; `None`: it has not.
    pub(crate) until: Option<UnixMillis>,
}

/// Times when the filter did not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Running {
    /// Starts seen in the range or before it.
    pub(crate) ever: bool,
    /// Its first start ever, where that lies in the range: nothing was filtered before.
    pub(crate) first_start: Option<UnixMillis>,
    /// How often it stood still.
    pub(crate) stops: u32,
    /// Of those, how often it ended without saying so (a crash, a power cut): for how long it stood
    /// still then is not known.
    pub(crate) crashes: u32,
    /// These, in order. One that may have come before the range or after it counts in both.
    pub(crate) crashed: Vec<Crash>,
    /// Milliseconds that it is known to have stood still.
    pub(crate) stopped_ms: i64,
    /// How often the log could not be written while it ran: browsing was stopped meanwhile.
    pub(crate) log_stops: u32,
    /// Milliseconds of that.
    pub(crate) log_stopped_ms: i64,
    /// Requests that were turned away for it.
    pub(crate) turned_away: u64,
    /// Bytes of records on their way that could not be read after a crash.
    pub(crate) damaged_bytes: u64,
    /// Day files set aside as damaged.
    pub(crate) days_set_aside: u32,
}

/// Reads starts and stops of the daemon out of the change log, as it is `now`.
///
/// All of the log is read, what came after the range too: a filter that ended on Friday without a word may
/// have started again on Monday.
pub(crate) fn running(
    entries: &[ChangeEntry],
    (from, until): (UnixMillis, UnixMillis),
    running_now: bool,
    now: UnixMillis,
) -> Running {
    let mut found = Running::default();
    // When it last stopped in order; `None` while it runs or after a crash.
    let mut stopped_at: Option<UnixMillis> = None;
    // When it last showed that it ran; `None` once it has stopped in order.
    let mut alive_at: Option<UnixMillis> = None;
    let overlap = |a: UnixMillis, b: UnixMillis| (b.0.min(until.0) - a.0.max(from.0)).max(0);
    for entry in entries {
        let is_in_range = from <= entry.at && entry.at < until;
        match entry.event {
            Event::ServeStarted { .. } => {
                if let Some(after) = alive_at.take() {
                    found.crash((after, entry.at), (from, until), Some(entry.at));
                }
                if let Some(stop) = stopped_at.take() {
                    found.stop(overlap(stop, entry.at));
                }
                if !found.ever && is_in_range && entry.at > from {
                    found.first_start = Some(entry.at);
                }
                found.ever |= entry.at < until;
            }
            Event::ServeStopped {} => {
                stopped_at = Some(entry.at);
                alive_at = None;
            }
            Event::LogUnavailable { from: began, until: over, refused, .. }
                if over >= from && began < until =>
            {
                found.log_stops += 1;
                found.log_stopped_ms += overlap(began, over);
                found.turned_away += refused;
            }
            Event::LogRecovered { damaged_bytes, ref set_aside, .. } if is_in_range => {
                found.damaged_bytes += damaged_bytes;
                found.days_set_aside += set_aside.len() as u32;
            }
            _ => {}
        }
        let started = matches!(entry.event, Event::ServeStarted { .. });
        if (started || alive_at.is_some()) && is_sign_of_life(entry) {
            alive_at = Some(entry.at);
        }
    }
    if let Some(stop) = stopped_at {
        found.stop(overlap(stop, now));
    } else if let Some(after) = alive_at.filter(|_| !running_now) {
        found.crash((after, now), (from, until), None);
    }
    found
}

impl Running {
    fn stop(&mut self, still_ms: i64) {
        self.stops += u32::from(still_ms > 0);
        self.stopped_ms += still_ms;
    }

    /// Counts an end without a word at some time of `(after, before]`, if any of it lies in the range.
    fn crash(
        &mut self,
        (after, before): (UnixMillis, UnixMillis),
        (from, until): (UnixMillis, UnixMillis),
        again: Option<UnixMillis>,
    ) {
        // Where the clock was set back meanwhile, the log's order says that it ended, and the times that it was about then.
        let (after, before) = (after.min(before), before.max(after));
        let again = again.map(|_| before);
        if after < until && before > from {
            self.stops += 1;
            self.crashes += 1;
            self.crashed.push(Crash { after, until: again });
        }
    }

    /// How often it stood still and for how long, where it did.
    pub(crate) fn stood_still(&self, clock: &SchoolClock) -> Option<String> {
        let times = match self.stops {
            0 => return None,
            1 => "once".to_owned(),
            many => format!("{many} times"),
        };
        let known =
            (self.stops > self.crashes).then(|| format!("{} in all", span_words(self.stopped_ms)));
        let unknown = self.crashed.first().map(|crash| {
            let until = crash.until.map_or("now".to_owned(), |until| clock.show(until));
            let when = format!("from some time after {} until {until}", clock.show(crash.after));
            match (self.crashes, &known) {
                (1, None) => when,
                (1, Some(_)) => format!("once {when}"),
                (_, None) => format!("without notice, first {when}"),
                (many, Some(_)) => format!("{many} times without notice, first {when}"),
            }
        });
        let spans: Vec<String> = known.into_iter().chain(unknown).collect();
        Some(format!("Filtering stood still {times}: {}", spans.join(", and ")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use rules::change::AccessHead;

    /// After the range of every case.
    const NOW: UnixMillis = UnixMillis(500);
    const RANGE: (UnixMillis, UnixMillis) = (UnixMillis(100), UnixMillis(200));

    fn entry(sequence: u64, at: i64, event: Event) -> ChangeEntry {
        ChangeEntry { sequence, at: UnixMillis(at), actor: "schoolgate".to_owned(), event }
    }

    fn started() -> Event {
        Event::ServeStarted {
            version: String::new(),
            policy_hash: String::new(),
            list_version: String::new(),
        }
    }

    /// Entries by a letter: `+` started, `-` stopped, `a` the hour's statement, `l` somebody looked, `r` a command
    /// stored what was left of the log, `p` a start took in the first policy.
    fn entries(letters: &[(i64, char)]) -> Vec<ChangeEntry> {
        let event = |letter| match letter {
            '+' => started(),
            '-' => Event::ServeStopped {},
            'a' => Event::Attested { state: None, seen: vec![], access: AccessHead::default() },
            'l' => Event::Looked { what: "report weekly".to_owned(), subject: String::new() },
            'r' => Event::LogRecovered {
                decisions: 0,
                unknown_ends: 0,
                torn_bytes: 0,
                damaged_bytes: 0,
                set_aside: vec![],
            },
            _ => Event::PolicyApplied {
                hash: String::new(),
                reason: String::new(),
                summary: vec![],
                request: None,
                replayed: None,
            },
        };
        let entry = |(sequence, (at, letter)): (u64, &(i64, char))| ChangeEntry {
            actor: if *letter == 'l' { "q.whitmore" } else { "schoolgate" }.to_owned(),
            ..entry(sequence, *at, event(*letter))
        };
        (0..).zip(letters).map(entry).collect()
    }

    #[test]
    fn a_log_that_could_not_be_written_is_told_where_it_falls_into_the_range() {
        let outage = |from, until, refused| Event::LogUnavailable {
            from: UnixMillis(from),
            until: UnixMillis(until),
            refused,
            why: String::new(),
        };
        let entries = [
            entry(0, 0, started()),
            entry(1, 40, outage(10, 40, 5)),
            entry(2, 130, outage(90, 130, 7)),
            entry(3, 180, outage(150, 180, 1)),
            // Written when it was over, which was after the range.
            entry(4, 230, outage(190, 230, 2)),
            entry(5, 260, outage(240, 260, 4)),
        ];
        let found = running(&entries, RANGE, true, NOW);
        assert_eq!((found.stops, found.log_stops, found.turned_away), (0, 3, 10));
        assert_eq!(found.log_stopped_ms, 70);
    }

    #[test]
    fn standing_still_is_read_from_starts_and_stops() {
        let ran = || Running { ever: true, ..Running::default() };
        let stopped = |stopped_ms| Running { stops: 1, stopped_ms, ..ran() };
        let crashed = |after, until: Option<i64>| {
            let (after, until) = (UnixMillis(after), until.map(UnixMillis));
            Running { stops: 1, crashes: 1, crashed: vec![Crash { after, until }], ..ran() }
        };
        let first = Running { first_start: Some(UnixMillis(150)), ..ran() };
        let both = Running { stops: 2, stopped_ms: 10, ..crashed(130, Some(150)) };
        type Case<'a> = (&'a str, &'a [(i64, char)], bool, Running);
        let cases: [Case<'_>; 22] = [
            (
                "the clock was set back",
                &[(50, '+'), (205, 'a'), (95, '+')],
                true,
                crashed(95, Some(205)),
            ),
            ("never started", &[], false, Running::default()),
            ("started after it", &[(250, '+')], true, Running::default()),
            ("ran all along", &[(50, '+')], true, ran()),
            ("runs and was looked at", &[(50, '+'), (60, 'l'), (220, 'l')], true, ran()),
            ("stopped for 10 in it", &[(50, '+'), (120, '-'), (130, '+')], true, stopped(10)),
            ("first started in it", &[(150, '+')], true, first),
            ("stopped before it", &[(50, '+'), (60, '-'), (130, '+')], true, stopped(30)),
            ("stopped over its end", &[(50, '+'), (190, '-'), (230, '+')], true, stopped(10)),
            ("stopped after it", &[(50, '+'), (210, '-'), (230, '+')], true, ran()),
            ("stopped, not started", &[(50, '+'), (190, '-')], false, stopped(10)),
            ("crashed", &[(50, '+'), (150, '+')], true, crashed(50, Some(150))),
            ("its last hour", &[(50, '+'), (140, 'a'), (150, '+')], true, crashed(140, Some(150))),
            ("crashed before it", &[(50, '+'), (80, 'a'), (90, '+')], true, ran()),
            (
                "and over its start",
                &[(50, '+'), (90, 'a'), (110, '+')],
                true,
                crashed(90, Some(110)),
            ),
            (
                "outlasted it",
                &[(50, '+'), (150, 'a'), (230, '+'), (240, 'a')],
                true,
                crashed(150, Some(230)),
            ),
            ("crashed after it", &[(50, '+'), (150, 'a'), (210, 'a'), (230, '+')], true, ran()),
            ("never again", &[(50, '+'), (150, 'a'), (230, 'l')], false, crashed(150, None)),
            ("ran all along, crashed since", &[(50, '+'), (210, 'a')], false, ran()),
            (
                "neither people, commands nor the next start show that it ran",
                &[(50, '+'), (150, 'a'), (220, 'l'), (225, 'r'), (229, 'p'), (230, '+')],
                true,
                crashed(150, Some(230)),
            ),
            (
                "a statement out of its place",
                &[(50, '+'), (60, '-'), (70, 'a'), (80, '+'), (150, 'a')],
                true,
                ran(),
            ),
            ("both", &[(50, '+'), (120, '-'), (130, '+'), (150, '+')], true, both),
        ];
        for (what, letters, runs, expected) in cases {
            assert_eq!(running(&entries(letters), RANGE, runs, NOW), expected, "{what}");
        }
    }

    #[test]
    fn a_range_that_is_not_over_counts_up_to_now() {
        let stopped = entries(&[(50, '+'), (120, '-')]);
        assert_eq!(running(&stopped, RANGE, false, UnixMillis(130)).stopped_ms, 10);
    }

    #[test]
    fn how_long_it_stood_still_is_said_as_far_as_it_is_known() {
        let clock = SchoolClock::new("Etc/UTC", &[]).unwrap();
        let said = |letters: &[(i64, char)], runs| {
            running(&entries(letters), RANGE, runs, NOW).stood_still(&clock).unwrap_or_default()
        };
        let epoch = "Thu 1 Jan 1970 00:00 UTC";
        assert_eq!(said(&[(50, '+')], true), "");
        let known = said(&[(50, '+'), (120, '-'), (130, '+')], true);
        assert_eq!(known, "Filtering stood still once: under a minute in all");
        assert_eq!(
            said(&[(50, '+'), (150, '+')], true),
            format!("Filtering stood still once: from some time after {epoch} until {epoch}")
        );
        assert_eq!(
            said(&[(50, '+'), (150, 'a')], false),
            format!("Filtering stood still once: from some time after {epoch} until now")
        );
        let both = said(&[(50, '+'), (120, '-'), (130, '+'), (150, '+')], true);
        let begins =
            "Filtering stood still 2 times: under a minute in all, and once from some time";
        assert!(both.starts_with(begins), "{both}");
        let many = said(&[(50, '+'), (150, '+'), (160, '+')], true);
        let begins = "Filtering stood still 2 times: without notice, first from some time";
        assert!(many.starts_with(begins), "{many}");
    }
}
