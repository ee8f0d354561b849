//! Hours without a statement although the filter ran, and what shows that it ran.

use crate::changes::ACTOR_DAEMON;
use rules::change::{ChangeEntry, Event};
use rules::time::UnixMillis;

/// Time between two statements.
pub const EVERY_MS: i64 = 3_600_000;

/// Beyond this there is a gap: an hour, and time for a machine under load.
const LONGEST_MS: i64 = EVERY_MS + 5 * 60_000;

/// Whether an entry shows that the filter ran when it was written. There is one at each start, and one an hour as long as
/// statements can be signed.
///
/// What it writes before it has started (a first policy, lists taken in), and what a command writes in its name (what
/// a crash left of the log), shows nothing: that is written after a crash.
#[must_use]
pub fn is_sign_of_life(entry: &ChangeEntry) -> bool {
    let is_of_daemon = matches!(
        entry.event,
        Event::ServeStarted { .. }
            | Event::Attested { .. }
            | Event::AlertsCovered { .. }
            | Event::CheckpointFailed { .. }
            | Event::LogUnavailable { .. }
            | Event::ReportUnread { .. }
            | Event::Erased { .. }
    );
    is_of_daemon && entry.actor == ACTOR_DAEMON
}

/// Times in `range` for which a running filter stated nothing: from the last statement (or start)
/// before, to the next one (or the stop) after. A filter that ended without a word (a crash, a power
/// cut) counts as running up to the last sign of it ([`is_sign_of_life`]), whether it has started again or not.
/// `runs_until`: it runs, and this is now.
#[must_use]
pub fn gaps(
    entries: &[ChangeEntry],
    range: (UnixMillis, UnixMillis),
    runs_until: Option<UnixMillis>,
) -> Vec<(UnixMillis, UnixMillis)> {
    let mut found = Vec::new();
    // When it last stated something or began to be due to; `None` while it does not run, or before its
    // first statement: filters of before made none.
    let mut since: Option<UnixMillis> = None;
    let mut states = false;
    let mut note = |since: Option<UnixMillis>, until: UnixMillis| {
        if let Some(since) = since
            && until.0 - since.0 > LONGEST_MS
            && since < range.1
            && until > range.0
        {
            found.push((since, until));
        }
    };
    let mut last_at = None;
    for entry in entries {
        match entry.event {
            Event::Attested { .. } => {
                note(since, entry.at);
                states = true;
                since = Some(entry.at);
            }
            Event::ServeStarted { .. } => {
                // Up to its last entry, if it did not say that it stopped.
                if let Some(last) = last_at {
                    note(since, last);
                }
                since = states.then_some(entry.at);
            }
            Event::ServeStopped {} => {
                note(since, entry.at);
                since = None;
            }
            _ => {}
        }
        if is_sign_of_life(entry) {
            last_at = Some(entry.at);
        }
    }
    if let Some(until) = runs_until.or(last_at) {
        note(since, until);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::change::AccessHead;

    const HOUR: i64 = EVERY_MS;

    fn entry(at: i64, kind: char) -> ChangeEntry {
        let event = match kind {
            'a' => Event::Attested { state: None, seen: vec![], access: AccessHead::default() },
            '+' => Event::ServeStarted {
                version: String::new(),
                policy_hash: String::new(),
                list_version: String::new(),
            },
            '-' => Event::ServeStopped {},
            'f' => Event::CheckpointFailed { place: String::new(), problem: String::new() },
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
        ChangeEntry { sequence: 0, at: UnixMillis(at), actor: "schoolgate".into(), event }
    }

    #[test]
    fn a_gap_is_an_hour_without_a_statement_while_the_filter_ran() {
        type Case<'a> = (&'a str, &'a [(i64, char)], Option<i64>, &'a [(i64, i64)]);
        let cases: [Case<'_>; 11] = [
            ("on time", &[(0, '+'), (0, 'a'), (HOUR, 'a'), (2 * HOUR, 'a')], Some(3 * HOUR), &[]),
            ("one missing", &[(0, '+'), (0, 'a'), (2 * HOUR, 'a')], None, &[(0, 2 * HOUR)]),
            (
                "stopped meanwhile",
                &[(0, 'a'), (HOUR, '-'), (9 * HOUR, '+'), (9 * HOUR, 'a')],
                None,
                &[],
            ),
            ("silent to its stop", &[(0, 'a'), (3 * HOUR, '-')], None, &[(0, 3 * HOUR)]),
            ("silent until now", &[(0, 'a')], Some(5 * HOUR), &[(0, 5 * HOUR)]),
            ("crashed", &[(0, 'a'), (9 * HOUR, '+'), (9 * HOUR, 'a')], None, &[]),
            (
                "silent, then crashed",
                &[(0, 'a'), (3 * HOUR, 'f'), (9 * HOUR, '+'), (9 * HOUR, 'a')],
                None,
                &[(0, 3 * HOUR)],
            ),
            ("silent, then gone", &[(0, 'a'), (3 * HOUR, 'f')], None, &[(0, 3 * HOUR)]),
            ("gone, and a command came", &[(0, 'a'), (3 * HOUR, 'r')], None, &[]),
            (
                "crashed; the next start takes in what is new before it says so",
                &[(0, 'a'), (8 * HOUR, 'r'), (9 * HOUR, 'p'), (9 * HOUR, '+'), (9 * HOUR, 'a')],
                None,
                &[],
            ),
            (
                "before there were statements",
                &[(0, '+'), (9 * HOUR, '-'), (10 * HOUR, '+')],
                None,
                &[],
            ),
        ];
        for (what, events, runs_until, expected) in cases {
            let entries: Vec<_> = events.iter().map(|(at, kind)| entry(*at, *kind)).collect();
            let range = (UnixMillis(i64::MIN), UnixMillis(i64::MAX));
            let found = gaps(&entries, range, runs_until.map(UnixMillis));
            let found: Vec<_> = found.iter().map(|(from, to)| (from.0, to.0)).collect();
            assert_eq!(found, expected, "{what}");
        }
    }

    #[test]
    fn only_gaps_that_touch_the_range_count() {
        let entries = [entry(0, 'a'), entry(5 * HOUR, 'a')];
        let gaps = |from, until| super::gaps(&entries, (UnixMillis(from), UnixMillis(until)), None);
        assert_eq!(gaps(HOUR, 2 * HOUR).len(), 1);
        assert_eq!(gaps(5 * HOUR, 9 * HOUR).len(), 0);
    }
}
