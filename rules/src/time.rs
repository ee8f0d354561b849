//! Time as rules need it: instants in milliseconds, and the school's own clock and calendar.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

/// The school's time zone, terms and named times.
#[derive(Clone, Debug)]
pub struct SchoolClock {
    pub(crate) zone: jiff::tz::TimeZone,
    pub(crate) terms: Vec<(jiff::civil::Date, jiff::civil::Date)>,
}

/// A named time of the school day, such as `Mon-Fri 12:10-13:10`, several joined by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeekTimes {
    /// Half-open minute ranges of the week, Monday 00:00 = 0, sorted and disjoint.
    pub(crate) minutes: Vec<(u16, u16)>,
}

/// Why a time is not understood.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TimeError {
    /// Text that is no time in the form asked for.
    #[error("\"{text}\" is no {what}; write it like {example}")]
    NotUnderstood {
        /// What was given.
        text: String,
        /// What it should be, e.g. "time of the week".
        what: &'static str,
        /// An example of the right form.
        example: &'static str,
    },
    /// No such time zone in the tz database.
    #[error("no time zone \"{0}\"; use a name such as Europe/London")]
    NoZone(String),
}

impl SchoolClock {
    /// A clock from an IANA zone name and term dates `YYYY-MM-DD/YYYY-MM-DD` (both inclusive).
    ///
    /// # Errors
    /// [`TimeError`].
    pub fn new(zone: &str, terms: &[String]) -> Result<Self, TimeError> {
        let _ = (zone, terms);
        todo!()
    }

    /// The school's calendar day of an instant, as `YYYY-MM-DD`: names the access log's file.
    #[must_use]
    pub fn day(&self, at: UnixMillis) -> jiff::civil::Date {
        let _ = at;
        todo!()
    }

    /// The instants at which a school day starts and the next one does.
    #[must_use]
    pub fn day_bounds(&self, day: jiff::civil::Date) -> (UnixMillis, UnixMillis) {
        let _ = day;
        todo!()
    }

    /// Whether a named time holds at an instant: the minute of the week in school time, on a school
    /// day (within a term, where terms are given).
    #[must_use]
    pub fn holds(&self, times: &WeekTimes, at: UnixMillis) -> bool {
        let _ = (times, at);
        todo!()
    }

    /// The next `[from, until)` at or after `at` when the time holds, looking 400 days ahead.
    #[must_use]
    pub fn next(&self, times: &WeekTimes, at: UnixMillis) -> Option<(UnixMillis, UnixMillis)> {
        let _ = (times, at);
        todo!()
    }

    /// Reads a moment: `Tue 10:00` (the next such, now included), `10:50` (today), `2026-01-05`
    /// (that day's end when `end`, else its start), `2026-01-05 14:00`, `2h`, `3 days`, `friday`,
    /// `end of term`, or RFC 3339.
    ///
    /// # Errors
    /// [`TimeError`].
    pub fn moment(&self, text: &str, now: UnixMillis, end: bool) -> Result<UnixMillis, TimeError> {
        let _ = (text, now, end);
        todo!()
    }

    /// Reads the start or whole of a range for `--since`: RFC 3339, a date, `2h` (ago), `yesterday`,
    /// `last week` (Monday to Sunday), `this week`, `this term`. Returns `[from, until)`; an open
    /// range ends at `now`.
    ///
    /// # Errors
    /// [`TimeError`].
    pub fn range(&self, text: &str, now: UnixMillis) -> Result<(UnixMillis, UnixMillis), TimeError> {
        let _ = (text, now);
        todo!()
    }

    /// `Wed 26 Nov 2025 10:00 GMT`: for people.
    #[must_use]
    pub fn show(&self, at: UnixMillis) -> String {
        let _ = at;
        todo!()
    }

    /// `2025-11-26T10:00:00.000+00:00`: for machines, with the offset.
    #[must_use]
    pub fn rfc3339(&self, at: UnixMillis) -> String {
        let _ = at;
        todo!()
    }
}

impl WeekTimes {
    /// Reads `Mon-Fri 12:10-13:10`, `Sat 09:00-12:00`, `Mon,Wed 15:30-17:00`, joined by `;`.
    ///
    /// # Errors
    /// [`TimeError::NotUnderstood`].
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let _ = text;
        todo!()
    }
}
