//! Time as rules need it: instants in milliseconds, and the school's own clock and calendar.
//!
//! Nothing here reads a clock: whoever asks says what the time is.

mod slips;
mod week;

pub use week::{WeekMinute, WeekTimes};

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp, Zoned};
use serde::{Deserialize, Serialize};
use slips::slip;
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
    /// Nearly a word for a time.
    #[error("\"{text}\" is no time; did you mean \"{nearest}\"?")]
    Nearly {
        /// What was given.
        text: String,
        /// The word that it is most like, or the day as it has to be written.
        nearest: String,
    },
    /// A date that the calendar does not have.
    #[error("there is no {day} in the calendar")]
    NoSuchDay {
        /// What was given.
        day: String,
    },
    /// What is to be looked back on has not come.
    #[error("\"{text}\" ({from}) has not come yet: nothing is recorded from then on")]
    Ahead {
        /// What was given.
        text: String,
        /// When that is.
        from: String,
    },
    /// `end of term` where the policy gives no term that has not ended.
    #[error("\"end of term\" is not known: the policy has no term that ends later; give a date")]
    NoTerm,
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

const MOMENT: &str = "a time such as \"Tue 10:00\", \"10:50\", \"friday\", \"2026-01-05\", \"2h\" or \"end of term\"";
/// Words for a moment that a slip of the keyboard may be like, beside the days of the week.
const MOMENT_WORDS: [&str; 4] = ["now", "today", "tomorrow", "end of term"];
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

    /// The last day of the last term, where terms are given and all have ended before the day of
    /// `now`: no named time holds any more then.
    #[must_use]
    pub fn terms_ended(&self, now: UnixMillis) -> Option<Date> {
        let last = self.terms.iter().map(|(_, last)| *last).max()?;
        (last < self.day(now)).then_some(last)
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
    /// `friday` is the next such day, today included, `next friday` that of the week that begins
    /// next Monday; like `today` and `tomorrow` they follow `end`. `end of term` is the end of the last day of this term, or of the next.
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
            "end of term" => Some(self.end_of_term(today).ok_or(TimeError::NoTerm)?),
            _ => None,
        };
        found
            .or_else(|| parse_rfc3339(&lower))
            .or_else(|| lower.parse::<Date>().ok().filter(|_| is_iso_date(&lower)).map(of_day))
            .or_else(|| self.date_and_time(&lower))
            .or_else(|| parse_time(&lower).map(|time| self.instant(today.to_datetime(time))))
            .or_else(|| self.weekday_moment(&lower, now, of_day))
            .or_else(|| self.moved(now, &lower, 1))
            .ok_or_else(|| {
                slip(text, &lower).unwrap_or_else(|| not_understood(text, "time", MOMENT))
            })
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
            .ok_or_else(|| {
                let example =
                    "\"2026-01-05\", \"2h\", \"yesterday\", \"last week\" or \"this term\"";
                // Of the words for a time most lie ahead.
                let slip =
                    slip(text, &lower).filter(|_| lower.starts_with(|c: char| c.is_ascii_digit()));
                slip.unwrap_or_else(|| not_understood(text, "past time or range", example))
            })
            .and_then(|(from, until)| match from <= until && from <= now {
                true => Ok((from, until)),
                false => {
                    let text = text.trim().chars().take(60).collect();
                    Err(TimeError::Ahead { text, from: self.show(from) })
                }
            })
    }

    /// The last week that was over when its time `at` came in the week after: its Monday, and when
    /// that was.
    #[must_use]
    pub fn last_week_due(&self, at: WeekMinute, now: UnixMillis) -> (Date, UnixMillis) {
        let today = self.day(now);
        let monday = days_after(today, -i32::from(today.weekday().to_monday_zero_offset()));
        let due = |monday: Date| {
            let (day, minute) = (at.minute / DAY, at.minute % DAY);
            let time = Time::new((minute / 60) as i8, (minute % 60) as i8, 0, 0);
            let civil = days_after(monday, i32::from(day)).to_datetime(time.unwrap_or_default());
            self.instant(civil)
        };
        let first = if due(monday) <= now { monday } else { days_after(monday, -7) };
        (days_after(first, -7), due(first))
    }

    /// `Wed 26 Nov 2025 10:00 GMT`: for people.
    #[must_use]
    pub fn show(&self, at: UnixMillis) -> String {
        self.zoned(at).strftime("%a %-d %b %Y %H:%M %Z").to_string()
    }

    /// An end for people: the midnight after a day is `the end of Fri 28 Nov 2025`, any other
    /// instant is shown as [`SchoolClock::show`] does.
    #[must_use]
    pub fn show_end(&self, at: UnixMillis) -> String {
        let before = self.day(UnixMillis(at.0.saturating_sub(1)));
        if self.day_bounds(before).1 != at {
            return self.show(at);
        }
        format!("the end of {}", before.strftime("%a %-d %b %Y"))
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

    /// `tue 10:00`, `friday`, `next friday`, `next tue 10:00`.
    fn weekday_moment(
        &self,
        lower: &str,
        now: UnixMillis,
        of_day: impl Fn(Date) -> UnixMillis,
    ) -> Option<UnixMillis> {
        let today = self.day(now);
        let (lower, first) = match lower.strip_prefix("next ") {
            Some(rest) => {
                (rest.trim_start(), 7 - i32::from(today.weekday().to_monday_zero_offset()))
            }
            None => (lower, 0),
        };
        let (day, time) = lower.split_once(char::is_whitespace).unwrap_or((lower, ""));
        let weekday = parse_weekday(day)?;
        let next = (first..=first + 7).map(|days| days_after(today, days));
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
mod tests;
