//! Times of the week, as policies name them.

use super::{
    DAY, TimeError, WEEK, WEEKDAYS, not_understood, parse_minute, parse_time, parse_weekday,
};

/// A named time of the school day, such as `Mon-Fri 12:10-13:10`, several joined by `;` or `,`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeekTimes {
    /// Half-open minute ranges of the week, Monday 00:00 = 0, sorted and disjoint.
    pub(crate) minutes: Vec<(u16, u16)>,
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

/// A minute of the school's week, such as `Fri 12:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WeekMinute {
    /// Monday 00:00 = 0.
    pub(crate) minute: u16,
}

impl WeekMinute {
    /// `Fri 12:00`.
    pub const FRIDAY_NOON: Self = Self { minute: 4 * DAY + 12 * 60 };

    /// Reads `Fri 12:00`.
    ///
    /// # Errors
    /// [`TimeError::NotUnderstood`].
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        Self::read(&text.to_lowercase())
            .ok_or_else(|| not_understood(text, "minute of the week", "\"Fri 12:00\""))
    }

    fn read(lower: &str) -> Option<Self> {
        let (day, time) = lower.trim().split_once(char::is_whitespace)?;
        let day = u16::from(parse_weekday(day)?.to_monday_zero_offset().unsigned_abs());
        let time = parse_time(time.trim())?;
        let minute = u16::from(time.hour().unsigned_abs()) * 60;
        Some(Self { minute: day * DAY + minute + u16::from(time.minute().unsigned_abs()) })
    }
}

impl std::fmt::Display for WeekMinute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (day, minute) = (WEEKDAYS[usize::from(self.minute / DAY) % 7], self.minute % DAY);
        let (first, rest) = (day[..1].to_uppercase(), &day[1..3]);
        write!(f, "{first}{rest} {:02}:{:02}", minute / 60, minute % 60)
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
