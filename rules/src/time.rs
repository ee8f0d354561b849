//! Time as rules need it: instants in milliseconds, and the school's own clock and calendar.
//!
//! Nothing here reads a clock: whoever asks says what the time is.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

/// The school's time zone, terms and named times.
#[derive(Clone, Debug)]
pub struct SchoolClock {
    pub(crate) zone: TimeZone,
    pub(crate) terms: Vec<(Date, Date)>,
}

/// A named time of the school day, such as `Mon-Fri 12:10-13:10`, several joined by `;` or `,`.
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

/// Minutes in a day.
const DAY: u16 = 24 * 60;
/// Minutes in a week.
const WEEK: u16 = 7 * DAY;
/// How far [`SchoolClock::next`] looks ahead, in days: over a summer and a year.
const DAYS_AHEAD: i32 = 400;

const MOMENT: &str =
    "a time such as \"Tue 10:00\", \"10:50\", \"2026-01-05\", \"2h\" or \"end of term\"";
const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl SchoolClock {
    /// A clock from an IANA zone name and term dates `YYYY-MM-DD/YYYY-MM-DD` (both inclusive).
    ///
    /// # Errors
    /// [`TimeError`].
    pub fn new(zone: &str, terms: &[String]) -> Result<Self, TimeError> {
        let zone = TimeZone::get(zone).map_err(|_| TimeError::NoZone(zone.to_owned()))?;
        let mut terms = terms.iter().map(|term| parse_term(term)).collect::<Result<Vec<_>, _>>()?;
        terms.sort();
        Ok(Self { zone, terms })
    }

    /// The zone's IANA name.
    #[must_use]
    pub fn zone_name(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// The school's calendar day of an instant, as `YYYY-MM-DD`: names the access log's file.
    #[must_use]
    pub fn day(&self, at: UnixMillis) -> Date {
        self.civil(at).date()
    }

    /// The instants at which a school day starts and the next one does.
    #[must_use]
    pub fn day_bounds(&self, day: Date) -> (UnixMillis, UnixMillis) {
        (self.start_of(day), self.start_of(days_after(day, 1)))
    }

    /// Whether a day is a school day: within a term, where terms are given, on any weekday that a
    /// named time names.
    #[must_use]
    pub fn is_term_day(&self, day: Date) -> bool {
        self.terms.is_empty()
            || self.terms.iter().any(|(first, last)| *first <= day && day <= *last)
    }

    /// The end of the `count`th working day (Monday to Friday in term) after the day of `from`;
    /// `None` if the terms given end before it, looking 400 days ahead.
    #[must_use]
    pub fn after_school_days(&self, from: UnixMillis, count: u32) -> Option<UnixMillis> {
        let first = self.day(from);
        let mut working = (1..=DAYS_AHEAD)
            .map(|days| days_after(first, days))
            .filter(|day| self.is_term_day(*day) && is_weekday(*day));
        working.nth(count.checked_sub(1)? as usize).map(|day| self.day_bounds(day).1)
    }

    /// Whether a named time holds at an instant: the minute of the week in school time, on a school
    /// day (within a term, where terms are given).
    #[must_use]
    pub fn holds(&self, times: &WeekTimes, at: UnixMillis) -> bool {
        let civil = self.civil(at);
        let minute = minute_of_week(civil);
        times.minutes.iter().any(|(from, until)| (*from..*until).contains(&minute))
            && self.is_term_day(civil.date())
    }

    /// The next `[from, until)` at or after `at` when the time holds, looking 400 days ahead. Where
    /// it holds at `at` already, it is from `at` on.
    #[must_use]
    pub fn next(&self, times: &WeekTimes, at: UnixMillis) -> Option<(UnixMillis, UnixMillis)> {
        let today = self.day(at);
        // A range may run on past midnight: the day's part of it ends there, unless the next
        // day's part goes on.
        let mut found: Option<(UnixMillis, UnixMillis)> = None;
        for days in 0..=DAYS_AHEAD {
            let day = days_after(today, days);
            for (from, until) in self.ranges_on(times, day) {
                let (from, until) = (self.instant(from), self.instant(until));
                match &mut found {
                    Some((_, end)) if *end == from => *end = until,
                    Some(_) => return found,
                    None if until > at && from < until => found = Some((from.max(at), until)),
                    None => {}
                }
            }
            // A range that reaches midnight waits for the next day's look.
            if found.is_some_and(|(_, end)| end < self.start_of(days_after(day, 1))) {
                return found;
            }
        }
        found
    }

    /// The parts of a named time that fall on a day, as civil times.
    fn ranges_on(&self, times: &WeekTimes, day: Date) -> Vec<(DateTime, DateTime)> {
        if !self.is_term_day(day) {
            return Vec::new();
        }
        let start = u16::from(day.weekday().to_monday_zero_offset() as u8) * DAY;
        let civil = |minute: u16| match minute - start {
            DAY => days_after(day, 1).to_datetime(Time::midnight()),
            minute => day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0),
        };
        times
            .minutes
            .iter()
            .map(|(from, until)| ((*from).max(start), (*until).min(start + DAY)))
            .filter(|(from, until)| from < until)
            .map(|(from, until)| (civil(from), civil(until)))
            .collect()
    }

    /// Reads a moment: `Tue 10:00` (the next such, now included), `10:50` (today), `2026-01-05`
    /// (that day's end when `end`, else its start), `2026-01-05 14:00`, `2h`, `3 days`, `friday`,
    /// `end of term`, or RFC 3339.
    ///
    /// `friday` is the next such day, today included, and like `today` and `tomorrow` follows
    /// `end`. `end of term` is the end of the last day of this term, or of the next.
    ///
    /// # Errors
    /// [`TimeError`].
    pub fn moment(&self, text: &str, now: UnixMillis, end: bool) -> Result<UnixMillis, TimeError> {
        let lower = text.trim().to_lowercase();
        let today = self.day(now);
        let of_day = |day: Date| if end { self.day_bounds(day).1 } else { self.start_of(day) };
        let found = match lower.as_str() {
            "now" => Some(now),
            "today" => Some(of_day(today)),
            "tomorrow" => Some(of_day(days_after(today, 1))),
            "end of term" => self.end_of_term(today),
            _ => None,
        };
        found
            .or_else(|| parse_rfc3339(&lower))
            .or_else(|| lower.parse::<Date>().ok().filter(|_| is_iso_date(&lower)).map(of_day))
            .or_else(|| self.date_and_time(&lower))
            .or_else(|| parse_time(&lower).map(|time| self.instant(today.to_datetime(time))))
            .or_else(|| self.weekday_moment(&lower, now, of_day))
            .or_else(|| self.moved(now, &lower, 1))
            .ok_or_else(|| not_understood(text, "time", MOMENT))
    }

    /// As [`SchoolClock::moment`], but a weekday with a time is the next such on a school day, and
    /// if no term is left, the last one that there was: what a policy test means by `Tue 10:00`.
    ///
    /// # Errors
    /// [`TimeError`].
    pub fn school_moment(&self, text: &str, now: UnixMillis) -> Result<UnixMillis, TimeError> {
        let plain = self.moment(text, now, false)?;
        let lower = text.trim().to_lowercase();
        let (day, time) = lower.split_once(char::is_whitespace).unwrap_or((&lower, ""));
        let (Some(_), Some(time)) = (parse_weekday(day), parse_time(time.trim())) else {
            return Ok(plain);
        };
        let first = self.day(plain);
        let weeks = |week: i32| days_after(first, week * 7);
        let found = (0..60)
            .map(weeks)
            .find(|day| self.is_term_day(*day))
            .or_else(|| (1..=520).map(|week| weeks(-week)).find(|day| self.is_term_day(*day)));
        Ok(found.map_or(plain, |day| self.instant(day.to_datetime(time))))
    }

    /// Reads the start or whole of a range for `--since`: RFC 3339, a date, `2h` (ago), `yesterday`,
    /// `last week` (Monday to Sunday), `this week`, `this term`. Returns `[from, until)`; an open
    /// range ends at `now`.
    ///
    /// Whole are `yesterday`, `last week`, `last month`, `last term` and `DATE/DATE` (both
    /// included); all others are open.
    ///
    /// # Errors
    /// [`TimeError`].
    pub fn range(
        &self,
        text: &str,
        now: UnixMillis,
    ) -> Result<(UnixMillis, UnixMillis), TimeError> {
        let lower = text.trim().to_lowercase();
        let today = self.day(now);
        let monday = days_after(today, -i32::from(today.weekday().to_monday_zero_offset()));
        let days = |first: Date, after: Date| Some((self.start_of(first), self.start_of(after)));
        let since = |day: Date| Some((self.start_of(day), now));
        let found = match lower.as_str() {
            "today" => since(today),
            "yesterday" => days(days_after(today, -1), today),
            "this week" => since(monday),
            "last week" => days(days_after(monday, -7), monday),
            "this month" => since(today.first_of_month()),
            "last month" => {
                let first = today.first_of_month();
                days(days_after(first, -1).first_of_month(), first)
            }
            "this term" => self
                .terms
                .iter()
                .rev()
                .find(|(first, _)| *first <= today)
                .and_then(|term| since(term.0)),
            "last term" => self
                .terms
                .iter()
                .rev()
                .find(|(_, last)| *last < today)
                .and_then(|(first, last)| days(*first, days_after(*last, 1))),
            _ => None,
        };
        found
            .or_else(|| {
                parse_term(&lower).ok().and_then(|(first, last)| days(first, days_after(last, 1)))
            })
            .or_else(|| {
                self.moved(now, lower.trim_end_matches("ago").trim(), -1).map(|from| (from, now))
            })
            .or_else(|| {
                // A weekday or a time alone would lie ahead: only what names its day is a start.
                let from =
                    parse_rfc3339(&lower).or_else(|| self.date_and_time(&lower)).or_else(|| {
                        lower
                            .parse()
                            .ok()
                            .filter(|_| is_iso_date(&lower))
                            .map(|day| self.start_of(day))
                    });
                from.map(|from| (from, now))
            })
            .filter(|(from, until)| from <= until)
            .ok_or_else(|| {
                let example =
                    "\"2026-01-05\", \"2h\", \"yesterday\", \"last week\" or \"this term\"";
                not_understood(text, "past time or range", example)
            })
    }

    /// `Wed 26 Nov 2025 10:00 GMT`: for people.
    #[must_use]
    pub fn show(&self, at: UnixMillis) -> String {
        self.zoned(at).strftime("%a %-d %b %Y %H:%M %Z").to_string()
    }

    /// `2025-11-26T10:00:00.000+00:00`: for machines, with the offset.
    #[must_use]
    pub fn rfc3339(&self, at: UnixMillis) -> String {
        self.zoned(at).strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string()
    }

    /// The school's civil time at an instant.
    #[must_use]
    pub fn civil(&self, at: UnixMillis) -> DateTime {
        self.zone.to_datetime(timestamp(at))
    }

    fn zoned(&self, at: UnixMillis) -> Zoned {
        timestamp(at).to_zoned(self.zone.clone())
    }

    fn start_of(&self, day: Date) -> UnixMillis {
        self.instant(day.to_datetime(Time::midnight()))
    }

    /// The first instant at which the school's clock shows this civil time or a later one: in the
    /// hour that is skipped in spring, the instant of the change; in the hour that comes twice in
    /// autumn, its first coming.
    fn instant(&self, civil: DateTime) -> UnixMillis {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        let instant = match ambiguous.offset() {
            AmbiguousOffset::Gap { after, .. } => after
                .to_timestamp(civil)
                .ok()
                .and_then(|before| self.zone.following(before).next())
                .map(|change| change.timestamp()),
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        };
        // Only years at the very ends of the calendar have no instant.
        UnixMillis(instant.unwrap_or(Timestamp::MAX).as_millisecond())
    }

    fn end_of_term(&self, today: Date) -> Option<UnixMillis> {
        let (_, last) = self.terms.iter().find(|(_, last)| today <= *last)?;
        Some(self.start_of(days_after(*last, 1)))
    }

    /// `2026-01-05 14:00`, also with a `t` between.
    fn date_and_time(&self, lower: &str) -> Option<UnixMillis> {
        let (day, time) = lower.split_once([' ', 't'])?;
        let day = day.parse::<Date>().ok().filter(|_| is_iso_date(day))?;
        Some(self.instant(day.to_datetime(parse_time(time.trim())?)))
    }

    /// `tue 10:00`, `friday`.
    fn weekday_moment(
        &self,
        lower: &str,
        now: UnixMillis,
        of_day: impl Fn(Date) -> UnixMillis,
    ) -> Option<UnixMillis> {
        let (day, time) = lower.split_once(char::is_whitespace).unwrap_or((lower, ""));
        let weekday = parse_weekday(day)?;
        let next = (0..=7).map(|days| days_after(self.day(now), days));
        let mut days = next.filter(|day| day.weekday() == weekday);
        if time.is_empty() {
            return days.next().map(of_day);
        }
        let time = parse_time(time.trim())?;
        days.map(|day| self.instant(day.to_datetime(time))).find(|instant| *instant >= now)
    }

    /// `2h`, `3 days`: so much after `now`, or before it where `sign` is -1. Days and weeks keep
    /// the time of day across clock changes.
    fn moved(&self, now: UnixMillis, lower: &str, sign: i64) -> Option<UnixMillis> {
        let split = lower.find(|c: char| !c.is_ascii_digit())?;
        let amount = lower[..split].parse::<i64>().ok()?.checked_mul(sign)?;
        let span = match lower[split..].trim() {
            "m" | "min" | "mins" | "minute" | "minutes" => Span::new().try_minutes(amount),
            "h" | "hour" | "hours" => Span::new().try_hours(amount),
            "d" | "day" | "days" => Span::new().try_days(amount),
            "w" | "week" | "weeks" => Span::new().try_weeks(amount),
            "month" | "months" => Span::new().try_months(amount),
            _ => return None,
        };
        let moved = self.zoned(now).checked_add(span.ok()?).ok()?;
        Some(UnixMillis(moved.timestamp().as_millisecond()))
    }
}

impl WeekTimes {
    /// Reads `Mon-Fri 12:10-13:10`, `Sat 09:00-12:00`, `Mon,Wed 15:30-17:00`, joined by `;`.
    ///
    /// Several ranges may follow the same days: `Mon-Fri 10:30-10:50, 12:10-13:10`. Without days,
    /// every day. A range may run past midnight: `Mon-Thu 22:00-06:00`.
    ///
    /// # Errors
    /// [`TimeError::NotUnderstood`].
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        Self::read(text)
            .ok_or_else(|| not_understood(text, "time of the week", "\"Mon-Fri 12:10-13:10\""))
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.to_lowercase().replace('\u{2013}', "-").replace(" - ", "-");
        let mut days: Vec<u8> = Vec::new();
        let mut are_days_used = true;
        let mut minutes = Vec::new();
        for token in text.split([' ', '\t', ',', ';']).filter(|token| !token.is_empty()) {
            if token.starts_with(|c: char| c.is_ascii_digit()) {
                let (from, until) = token.split_once('-')?;
                let (from, until) = (parse_minute(from)?, parse_minute(until)?);
                if from == until || from == DAY {
                    return None;
                }
                let length = if from < until { until - from } else { DAY - from + until };
                if days.is_empty() {
                    days.extend(0..7);
                }
                minutes.extend(days.iter().map(|day| (u16::from(*day) * DAY + from, length)));
                are_days_used = true;
            } else {
                if are_days_used {
                    days.clear();
                    are_days_used = false;
                }
                days.extend(parse_days(token)?);
            }
        }
        (are_days_used && !minutes.is_empty()).then(|| Self { minutes: merge(&minutes) })
    }

    /// Whether every minute of `other` is in this too.
    #[must_use]
    pub fn includes(&self, other: &WeekTimes) -> bool {
        other.minutes.iter().all(|(from, until)| {
            self.minutes.iter().any(|(start, end)| start <= from && until <= end)
        })
    }
}

/// Sorts and joins ranges given as start and length; what passes Sunday's end goes on on Monday.
fn merge(starts: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for (from, length) in starts {
        let until = from + length;
        ranges.push((*from, until.min(WEEK)));
        if until > WEEK {
            ranges.push((0, until - WEEK));
        }
    }
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (from, until) in ranges {
        match merged.last_mut() {
            Some((_, end)) if from <= *end => *end = until.max(*end),
            _ => merged.push((from, until)),
        }
    }
    merged
}

/// `mon`, `mon-fri`, `sat-mon`: places in the week, Monday 0.
fn parse_days(token: &str) -> Option<Vec<u8>> {
    let place = |word: &str| Some(parse_weekday(word)?.to_monday_zero_offset() as u8);
    match token.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (place(first)?, place(last)?);
            let count = (last + 7 - first) % 7 + 1;
            Some((0..count).map(|day| (first + day) % 7).collect())
        }
        None => Some(vec![place(token)?]),
    }
}

/// A weekday in full or by its first letters, at least three.
fn parse_weekday(word: &str) -> Option<Weekday> {
    let place = WEEKDAYS.iter().position(|day| word.len() >= 3 && day.starts_with(word))?;
    Weekday::from_monday_zero_offset(place as i8).ok()
}

/// `12:10` as minutes of the day; `24:00` is the day's end.
fn parse_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |digits: &str, length: std::ops::RangeInclusive<usize>| {
        let is_number =
            length.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let minutes =
        number(hour, 1..=2)? * 60 + number(minute, 2..=2).filter(|minute| *minute < 60)?;
    (minutes <= DAY).then_some(minutes)
}

fn parse_time(text: &str) -> Option<Time> {
    let minutes = parse_minute(text).filter(|minutes| *minutes < DAY)?;
    Time::new((minutes / 60) as i8, (minutes % 60) as i8, 0, 0).ok()
}

fn parse_rfc3339(text: &str) -> Option<UnixMillis> {
    // Upper case is the standard's form; callers fold case for words.
    let text = text.to_uppercase();
    text.parse::<Timestamp>().ok().map(|at| UnixMillis(at.as_millisecond()))
}

/// Exactly `YYYY-MM-DD`: jiff would also read other forms.
fn is_iso_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(i, byte)| match i {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

fn parse_term(text: &str) -> Result<(Date, Date), TimeError> {
    let date = |text: &str| text.parse::<Date>().ok().filter(|_| is_iso_date(text));
    text.split_once('/')
        .and_then(|(first, last)| Some((date(first.trim())?, date(last.trim())?)))
        .filter(|(first, last)| first <= last)
        .ok_or_else(|| {
            not_understood(text, "term", "\"2026-09-02/2026-12-18\", first and last day")
        })
}

fn not_understood(text: &str, what: &'static str, example: &'static str) -> TimeError {
    TimeError::NotUnderstood { text: text.chars().take(60).collect(), what, example }
}

fn minute_of_week(civil: DateTime) -> u16 {
    let day = civil.weekday().to_monday_zero_offset() as u16;
    day * DAY + civil.hour() as u16 * 60 + civil.minute() as u16
}

fn is_weekday(day: Date) -> bool {
    day.weekday().to_monday_zero_offset() < 5
}

fn days_after(day: Date, days: i32) -> Date {
    day.saturating_add(Span::new().days(days))
}

/// Instants beyond the calendar count as its ends.
fn timestamp(at: UnixMillis) -> Timestamp {
    let ends = Timestamp::MIN.as_millisecond()..=Timestamp::MAX.as_millisecond();
    Timestamp::from_millisecond(at.0.clamp(*ends.start(), *ends.end()))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn london(terms: &[&str]) -> SchoolClock {
        let terms: Vec<String> = terms.iter().map(|term| (*term).to_owned()).collect();
        SchoolClock::new("Europe/London", &terms).unwrap()
    }

    const LUNCH: &str = "Mon-Fri 12:10-13:10";

    #[test]
    fn lunch_is_at_the_school_clock_before_and_after_both_clock_changes() {
        let clock = london(&[]);
        let lunch = WeekTimes::parse(LUNCH).unwrap();
        let cases = [
            ("Friday before the clocks go forward", "2026-03-27T12:10:00Z", true),
            ("first instant", "2026-03-27T12:09:59.999Z", false),
            ("end is exclusive", "2026-03-27T13:10:00Z", false),
            ("Monday after: an hour earlier in UTC", "2026-03-30T11:10:00Z", true),
            ("Monday after, at the old time", "2026-03-30T12:10:00Z", false),
            ("Friday before the clocks go back", "2026-10-23T11:30:00Z", true),
            ("Monday after", "2026-10-26T11:30:00Z", false),
            ("Monday after, at lunch", "2026-10-26T12:30:00Z", true),
            ("Saturday", "2026-10-24T11:30:00Z", false),
        ];
        for (what, instant, expected) in cases {
            assert_eq!(clock.holds(&lunch, at(instant)), expected, "{what}");
        }
    }

    #[test]
    fn the_days_of_the_clock_changes_are_23_and_25_hours_long() {
        let clock = london(&[]);
        for (day, start, hours) in [
            ("2026-03-29", "2026-03-29T00:00:00Z", 23),
            ("2026-10-25", "2026-10-24T23:00:00Z", 25),
            ("2026-11-22", "2026-11-22T00:00:00Z", 24),
        ] {
            let (from, until) = clock.day_bounds(day.parse().unwrap());
            assert_eq!(from, at(start), "{day}");
            assert_eq!(until.0 - from.0, hours * 3_600_000, "{day}");
            assert_eq!(clock.day(from).to_string(), day);
            assert_eq!(clock.day(UnixMillis(until.0 - 1)).to_string(), day);
        }
    }

    #[test]
    fn a_time_in_the_skipped_hour_starts_at_the_change() {
        let clock = london(&[]);
        let early = WeekTimes::parse("Sun 01:30-03:00").unwrap();
        let (from, until) = clock.next(&early, at("2026-03-29T00:00:00Z")).unwrap();
        assert_eq!((from, until), (at("2026-03-29T01:00:00Z"), at("2026-03-29T02:00:00Z")));
        assert!(clock.holds(&early, from) && !clock.holds(&early, UnixMillis(from.0 - 1)));
    }

    #[test]
    fn next_lunch_is_on_the_next_school_day() {
        let clock = london(&["2026-09-02/2026-12-18", "2027-01-04/2027-03-25"]);
        let lunch = WeekTimes::parse(LUNCH).unwrap();
        let next = |from: &str| {
            clock.next(&lunch, at(from)).map(|(from, until)| (clock.show(from), clock.show(until)))
        };
        let pair = |from: &str, until: &str| Some((from.to_owned(), until.to_owned()));
        assert_eq!(
            next("2026-10-23T11:00:00Z"),
            pair("Fri 23 Oct 2026 12:10 BST", "Fri 23 Oct 2026 13:10 BST")
        );
        assert_eq!(
            next("2026-10-23T12:10:00Z"),
            pair("Mon 26 Oct 2026 12:10 GMT", "Mon 26 Oct 2026 13:10 GMT")
        );
        assert_eq!(
            next("2026-11-24T12:30:00Z"),
            pair("Tue 24 Nov 2026 12:30 GMT", "Tue 24 Nov 2026 13:10 GMT")
        );
        assert_eq!(
            next("2026-12-18T20:00:00Z"),
            pair("Mon 4 Jan 2027 12:10 GMT", "Mon 4 Jan 2027 13:10 GMT")
        );
        assert_eq!(next("2027-03-26T00:00:00Z"), None);
        assert!(!clock.holds(&lunch, at("2026-12-21T12:30:00Z")), "holidays");
    }

    #[test]
    fn a_time_past_midnight_is_one_range() {
        let clock = london(&[]);
        let night = WeekTimes::parse("Sun-Thu 22:00-06:00").unwrap();
        assert!(clock.holds(&night, at("2026-11-23T05:59:00Z")), "Monday early, from Sunday");
        assert!(!clock.holds(&night, at("2026-11-22T05:59:00Z")), "Sunday early, from Saturday");
        let (from, until) = clock.next(&night, at("2026-11-22T12:00:00Z")).unwrap();
        assert_eq!((from, until), (at("2026-11-22T22:00:00Z"), at("2026-11-23T06:00:00Z")));
    }

    #[test]
    fn times_of_the_week_are_read_in_their_forms() {
        let parse = |text: &str| WeekTimes::parse(text).map(|times| times.minutes);
        assert_eq!(parse("Mon 00:00-24:00"), Ok(vec![(0, 1440)]));
        assert_eq!(parse("Mon,Wed 15:30-17:00"), Ok(vec![(930, 1020), (3810, 3900)]));
        assert_eq!(parse("Mon 9:00-10:00; Tue 09:00-10:00"), parse("mon-tuesday 09:00 - 10:00"));
        assert_eq!(parse("Mon 9:00-10:00, 10:00-11:00"), Ok(vec![(540, 660)]));
        assert_eq!(parse("Mon 9:00-10:00, Tue 9:00-10:00"), parse("Mon-Tue 9:00\u{2013}10:00"));
        assert_eq!(parse("Sun 23:00-01:00"), Ok(vec![(0, 60), (10020, 10080)]));
        assert_eq!(parse("Fri-Mon 12:00-13:00").unwrap().len(), 4);
        assert_eq!(parse("12:00-13:00").unwrap().len(), 7);
        for text in [
            "",
            "Mon",
            "12:00",
            "Mon-Fri",
            "Mon 12:60-13:00",
            "Mon 25:00-26:00",
            "Mon 12-13",
            "Mon 12:00-12:00",
            "Mon 24:00-01:00",
            "Fun 12:00-13:00",
            "Mo 12:00-13:00",
            "Mon 12:00-13:00 Tue",
            "Mon-Fri 12.10-13.10",
        ] {
            assert!(WeekTimes::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_read_as_people_say_them() {
        let clock = london(&["2026-09-02/2026-12-18"]);
        // A Sunday afternoon, GMT.
        let now = at("2026-11-22T15:20:00Z");
        let cases = [
            ("Tue 10:00", false, "Tue 24 Nov 2026 10:00 GMT"),
            ("Sun 15:20", false, "Sun 22 Nov 2026 15:20 GMT"),
            ("sunday 15:19", false, "Sun 29 Nov 2026 15:19 GMT"),
            ("10:50", true, "Sun 22 Nov 2026 10:50 GMT"),
            ("2026-01-05", false, "Mon 5 Jan 2026 00:00 GMT"),
            ("2026-01-05", true, "Tue 6 Jan 2026 00:00 GMT"),
            ("2026-07-05 14:00", true, "Sun 5 Jul 2026 14:00 BST"),
            ("2026-07-05T14:00", true, "Sun 5 Jul 2026 14:00 BST"),
            ("2026-07-05T14:00:00Z", true, "Sun 5 Jul 2026 15:00 BST"),
            ("2026-07-05T14:00:00+01:00", true, "Sun 5 Jul 2026 14:00 BST"),
            ("2h", true, "Sun 22 Nov 2026 17:20 GMT"),
            ("90 minutes", true, "Sun 22 Nov 2026 16:50 GMT"),
            ("3 days", true, "Wed 25 Nov 2026 15:20 GMT"),
            ("friday", true, "Sat 28 Nov 2026 00:00 GMT"),
            ("Fri", false, "Fri 27 Nov 2026 00:00 GMT"),
            ("sunday", true, "Mon 23 Nov 2026 00:00 GMT"),
            ("tomorrow", true, "Tue 24 Nov 2026 00:00 GMT"),
            ("end of term", true, "Sat 19 Dec 2026 00:00 GMT"),
            ("now", true, "Sun 22 Nov 2026 15:20 GMT"),
        ];
        for (text, end, shown) in cases {
            assert_eq!(clock.show(clock.moment(text, now, end).unwrap()), shown, "{text}");
        }
        for text in [
            "",
            "soon",
            "Tue",
            "10:60",
            "2026-13-01",
            "2026-02-30",
            "h",
            "3 fortnights",
            "99999999999999999999 days",
        ] {
            let moment = clock.moment(text, now, true);
            assert_eq!(moment.is_err(), text != "Tue", "{text}");
        }
        assert!(london(&[]).moment("end of term", now, true).is_err());
    }

    #[test]
    fn three_days_keep_the_time_of_day_across_a_clock_change() {
        let clock = london(&[]);
        let before = at("2026-10-24T09:00:00Z");
        assert_eq!(clock.moment("3 days", before, true), Ok(at("2026-10-27T10:00:00Z")));
        assert_eq!(clock.moment("72 hours", before, true), Ok(at("2026-10-27T09:00:00Z")));
    }

    #[test]
    fn a_test_on_tuesday_means_a_tuesday_in_term() {
        let clock = london(&["2026-09-02/2026-12-18", "2027-01-05/2027-03-25"]);
        let moment = |now: &str| clock.show(clock.school_moment("Tue 12:30", at(now)).unwrap());
        assert_eq!(moment("2026-12-16T12:00:00Z"), "Tue 5 Jan 2027 12:30 GMT");
        assert_eq!(moment("2027-06-01T12:00:00Z"), "Tue 23 Mar 2027 12:30 GMT");
        assert_eq!(moment("2026-10-20T12:00:00Z"), "Tue 27 Oct 2026 12:30 GMT");
    }

    #[test]
    fn ranges_are_whole_or_open() {
        let clock = london(&["2026-09-02/2026-12-18"]);
        // A Wednesday.
        let now = at("2026-11-25T15:20:00Z");
        let cases = [
            ("2h", "Wed 25 Nov 2026 13:20 GMT", None),
            ("2 hours ago", "Wed 25 Nov 2026 13:20 GMT", None),
            ("2026-11-20", "Fri 20 Nov 2026 00:00 GMT", None),
            ("2026-11-20 09:00", "Fri 20 Nov 2026 09:00 GMT", None),
            ("2026-11-20T09:00:00Z", "Fri 20 Nov 2026 09:00 GMT", None),
            ("today", "Wed 25 Nov 2026 00:00 GMT", None),
            ("yesterday", "Tue 24 Nov 2026 00:00 GMT", Some("Wed 25 Nov 2026 00:00 GMT")),
            ("Last week", "Mon 16 Nov 2026 00:00 GMT", Some("Mon 23 Nov 2026 00:00 GMT")),
            ("this week", "Mon 23 Nov 2026 00:00 GMT", None),
            ("last month", "Thu 1 Oct 2026 00:00 BST", Some("Sun 1 Nov 2026 00:00 GMT")),
            ("this term", "Wed 2 Sep 2026 00:00 BST", None),
            (
                "2026-10-24/2026-10-25",
                "Sat 24 Oct 2026 00:00 BST",
                Some("Mon 26 Oct 2026 00:00 GMT"),
            ),
        ];
        for (text, from, until) in cases {
            let range = clock.range(text, now).unwrap();
            assert_eq!(clock.show(range.0), from, "{text}");
            assert_eq!(
                clock.show(range.1),
                until.map_or_else(|| clock.show(now), str::to_owned),
                "{text}"
            );
        }
        for text in ["", "friday", "2027-01-01", "last term", "10:00", "2026-10-25/2026-10-24"] {
            assert!(clock.range(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn machines_get_the_offset() {
        let clock = london(&[]);
        assert_eq!(clock.rfc3339(at("2026-07-05T14:00:00.007Z")), "2026-07-05T15:00:00.007+01:00");
        assert_eq!(clock.rfc3339(at("2026-11-26T10:00:00Z")), "2026-11-26T10:00:00.000+00:00");
    }

    #[test]
    fn zones_and_terms_that_are_none_are_refused() {
        assert_eq!(
            SchoolClock::new("Europe/Lodnon", &[]).unwrap_err(),
            TimeError::NoZone("Europe/Lodnon".into())
        );
        for term in ["2026-09-02", "2026-12-18/2026-09-02", "2026-09-02/", "2026-09-31/2026-12-18"]
        {
            assert!(SchoolClock::new("Europe/London", &[term.to_owned()]).is_err(), "{term}");
        }
    }

    #[test]
    fn school_days_leave_out_weekends_and_holidays() {
        let clock = london(&["2026-11-02/2026-12-18"]);
        let after = |from: &str, count: u32| {
            clock.after_school_days(at(from), count).map(|at| clock.show(at))
        };
        let friday = "2026-11-20T09:00:00Z";
        assert_eq!(after(friday, 1).as_deref(), Some("Tue 24 Nov 2026 00:00 GMT"));
        assert_eq!(after(friday, 5).as_deref(), Some("Sat 28 Nov 2026 00:00 GMT"));
        assert_eq!(after("2026-10-20T09:00:00Z", 1).as_deref(), Some("Tue 3 Nov 2026 00:00 GMT"));
        assert_eq!(after("2026-12-17T09:00:00Z", 2), None, "no more terms");
        assert_eq!(after(friday, 0), None);
    }

    #[test]
    fn the_ends_of_time_do_no_harm() {
        let clock = london(&[]);
        let lunch = WeekTimes::parse(LUNCH).unwrap();
        for instant in [UnixMillis(i64::MIN), UnixMillis(i64::MAX)] {
            let _ = (clock.show(instant), clock.rfc3339(instant), clock.holds(&lunch, instant));
            let _ = (clock.next(&lunch, instant), clock.day_bounds(clock.day(instant)));
            let _ = (clock.range("last week", instant), clock.moment("Tue 10:00", instant, true));
        }
    }

    proptest! {
        #[test]
        fn next_agrees_with_holds(minutes in 0_i64..600_000, from in 0_u16..1440, length in 1_u16..1439, zone in 0_usize..4) {
            let zone = ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"][zone];
            let clock = SchoolClock::new(zone, &[]).unwrap();
            let until = (from + length) % 1440;
            let text = format!("Mon-Sun {:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60);
            let times = WeekTimes::parse(&text).unwrap();
            let now = UnixMillis(1_767_225_600_000 + minutes * 60_000);
            let (open, close) = clock.next(&times, now).unwrap();
            prop_assert!(now <= open && open < close);
            prop_assert!(clock.holds(&times, open));
            if open > now {
                prop_assert!(!clock.holds(&times, now));
            }
        }
    }
}
