//! Times of the week, as policies name them.

use super::{DAY, TimeError, WEEK, not_understood, parse_minute, parse_weekday};

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
