//! Ranges of whole school days: sums and episodes are kept by day.
//!
//! A day on which the clock is changed has 23 or 25 hours, so that days are counted here and never milliseconds: a
//! week that began an hour too early would be stretched to eight days.

use jiff::Span;
use jiff::civil::Date;
use rules::time::{SchoolClock, UnixMillis};

/// The range stretched to whole school days.
pub(crate) fn whole_days(
    clock: &SchoolClock,
    (from, until): (UnixMillis, UnixMillis),
) -> (UnixMillis, UnixMillis) {
    let first = clock.day_bounds(clock.day(from)).0;
    let last = clock.day_bounds(clock.day(UnixMillis(until.0.max(from.0 + 1) - 1))).1;
    (first, last)
}

/// As many whole school days directly before a range of such.
pub(crate) fn range_before(
    clock: &SchoolClock,
    range: (UnixMillis, UnixMillis),
) -> (UnixMillis, UnixMillis) {
    let (first, last) = (clock.day(range.0), clock.day(UnixMillis(range.1.0 - 1)));
    // Both are of the calendar, which has fewer days than an `i32`.
    let days = i64::from((last - first).get_days()) + 1;
    let back = |day: Date| day.saturating_sub(Span::new().days(days));
    (clock.day_bounds(back(first)).0, clock.day_bounds(back(last)).1)
}

/// The last so many school days, today with them: the first of them, and the one after the last.
pub(crate) fn last_days(clock: &SchoolClock, now: UnixMillis, days: i64) -> (Date, Date) {
    let after = clock.day(now).saturating_add(Span::new().days(1));
    (after.saturating_sub(Span::new().days(days)), after)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn clock(zone: &str) -> SchoolClock {
        SchoolClock::new(zone, &[]).unwrap()
    }

    /// Both days included, as days.
    fn days(clock: &SchoolClock, range: (UnixMillis, UnixMillis)) -> String {
        assert_eq!(whole_days(clock, range), range, "whole days");
        format!("{} to {}", clock.day(range.0), clock.day(UnixMillis(range.1.0 - 1)))
    }

    fn range(clock: &SchoolClock, first: &str, last: &str) -> (UnixMillis, UnixMillis) {
        let day = |text: &str| clock.day_bounds(text.parse().unwrap());
        (day(first).0, day(last).1)
    }

    #[test]
    fn the_weeks_before_a_week_have_seven_days_whenever_the_clock_was_changed() {
        let london = clock("Europe/London");
        // The week of the change, that after it, and one whose six weeks before hold it.
        let cases = [
            ("2026-10-19", "2026-10-25", 169),
            ("2026-10-26", "2026-11-01", 168),
            ("2026-11-23", "2026-11-29", 168),
            ("2026-03-23", "2026-03-29", 167),
            ("2026-03-30", "2026-04-05", 168),
            ("2026-04-20", "2026-04-26", 168),
        ];
        for (first, last, hours) in cases {
            let mut week = range(&london, first, last);
            assert_eq!((week.1.0 - week.0.0) / 3_600_000, hours, "{first}");
            let mut monday: Date = first.parse().unwrap();
            for before in 1..=6 {
                week = range_before(&london, week);
                monday = monday.saturating_sub(Span::new().days(7));
                let sunday = monday.saturating_add(Span::new().days(6));
                assert_eq!(
                    days(&london, week),
                    format!("{monday} to {sunday}"),
                    "{before} before {first}"
                );
            }
        }
    }

    #[test]
    fn as_many_days_lie_before_a_range_of_any_length() {
        let london = clock("Europe/London");
        let before =
            |first, last| days(&london, range_before(&london, range(&london, first, last)));
        assert_eq!(before("2026-10-25", "2026-10-25"), "2026-10-24 to 2026-10-24");
        assert_eq!(before("2026-10-26", "2026-10-26"), "2026-10-25 to 2026-10-25");
        assert_eq!(before("2026-03-01", "2026-03-31"), "2026-01-29 to 2026-02-28");
        // Where the clock is changed at midnight, a day begins at one.
        let santiago = clock("America/Santiago");
        let week = range(&santiago, "2026-09-06", "2026-09-12");
        assert_eq!(days(&santiago, range_before(&santiago, week)), "2026-08-30 to 2026-09-05");
    }

    #[test]
    fn the_last_days_are_so_many_however_long_they_are() {
        let london = clock("Europe/London");
        let last = |text: &str| {
            let now: jiff::Timestamp = text.parse().unwrap();
            let (first, after) = last_days(&london, UnixMillis(now.as_millisecond()), 7);
            format!("{first} to {after}")
        };
        assert_eq!(last("2026-03-29T22:30:00Z"), "2026-03-23 to 2026-03-30");
        assert_eq!(last("2026-03-30T08:00:00Z"), "2026-03-24 to 2026-03-31");
        assert_eq!(last("2026-10-24T23:30:00Z"), "2026-10-19 to 2026-10-26");
        assert_eq!(last("2026-10-26T00:30:00Z"), "2026-10-20 to 2026-10-27");
    }
}
