//! Whether the filter ran all along: read from the starts and stops of the change log.

use rules::change::{ChangeEntry, Event};
use rules::time::UnixMillis;
use serde::Serialize;

/// Times when the filter did not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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

/// Reads starts and stops of the daemon out of the change log.
pub(crate) fn running(
    entries: &[ChangeEntry],
    (from, until): (UnixMillis, UnixMillis),
    running_now: bool,
) -> Running {
    let mut found = Running::default();
    // When it last stopped in order; `None` while it runs or after a crash.
    let mut stopped_at: Option<UnixMillis> = None;
    let mut up = false;
    let overlap = |a: UnixMillis, b: UnixMillis| (b.0.min(until.0) - a.0.max(from.0)).max(0);
    for entry in entries.iter().filter(|entry| entry.at < until) {
        match entry.event {
            Event::ServeStarted { .. } => {
                if up && entry.at >= from {
                    found.stops += 1;
                    found.crashes += 1;
                }
                if let Some(stop) = stopped_at.take() {
                    let still = overlap(stop, entry.at);
                    found.stopped_ms += still;
                    found.stops += u32::from(still > 0);
                }
                if !found.ever && entry.at > from {
                    found.first_start = Some(entry.at);
                }
                found.ever = true;
                up = true;
            }
            Event::ServeStopped {} => {
                stopped_at = Some(entry.at);
                up = false;
            }
            Event::LogUnavailable { from: began, until: over, refused, .. }
                if over >= from && began < until =>
            {
                found.log_stops += 1;
                found.log_stopped_ms += overlap(began, over);
                found.turned_away += refused;
            }
            Event::LogRecovered { damaged_bytes, ref set_aside, .. } if entry.at >= from => {
                found.damaged_bytes += damaged_bytes;
                found.days_set_aside += set_aside.len() as u32;
            }
            _ => {}
        }
    }
    if let Some(stop) = stopped_at {
        found.stops += 1;
        found.stopped_ms += overlap(stop, until);
    } else if up && !running_now && !entries.iter().any(|entry| entry.at >= until) {
        found.stops += 1;
        found.crashes += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sequence: u64, at: i64, event: Event) -> ChangeEntry {
        ChangeEntry { sequence, at: UnixMillis(at), actor: "schoolgate".to_owned(), event }
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
        ];
        let found = running(&entries, (UnixMillis(100), UnixMillis(200)), true);
        assert_eq!((found.stops, found.log_stops, found.turned_away), (0, 2, 8));
        assert_eq!(found.log_stopped_ms, 60);
    }

    fn started() -> Event {
        Event::ServeStarted {
            version: String::new(),
            policy_hash: String::new(),
            list_version: String::new(),
        }
    }

    #[test]
    fn standing_still_is_read_from_starts_and_stops() {
        let range = (UnixMillis(100), UnixMillis(200));
        let cases = [
            ("never started", vec![], false, Running::default()),
            ("ran all along", vec![(50, true)], true, Running { ever: true, ..Running::default() }),
            (
                "stopped for 10 in the range",
                vec![(50, true), (120, false), (130, true)],
                true,
                Running { ever: true, stops: 1, stopped_ms: 10, ..Running::default() },
            ),
            (
                "first started in the range",
                vec![(150, true)],
                true,
                Running { ever: true, first_start: Some(UnixMillis(150)), ..Running::default() },
            ),
            (
                "stopped before the range, started in it",
                vec![(50, true), (60, false), (130, true)],
                true,
                Running { ever: true, stops: 1, stopped_ms: 30, ..Running::default() },
            ),
            (
                "a start without a stop is a crash",
                vec![(50, true), (150, true)],
                true,
                Running { ever: true, stops: 1, crashes: 1, ..Running::default() },
            ),
            (
                "stopped and not started again",
                vec![(50, true), (190, false)],
                false,
                Running { ever: true, stops: 1, stopped_ms: 10, ..Running::default() },
            ),
            (
                "gone without a word",
                vec![(50, true)],
                false,
                Running { ever: true, stops: 1, crashes: 1, ..Running::default() },
            ),
        ];
        for (what, events, now, expected) in cases {
            let entries: Vec<ChangeEntry> = (0..)
                .zip(events)
                .map(|(sequence, (at, start))| {
                    entry(sequence, at, if start { started() } else { Event::ServeStopped {} })
                })
                .collect();
            assert_eq!(running(&entries, range, now), expected, "{what}");
        }
    }
}
