//! What somebody most likely meant by a text that is no time.

use super::{MOMENT_WORDS, TimeError, WEEKDAYS, is_iso_date};
use jiff::civil::Date;

/// What is nearly a time; `None` where nothing is known that it is like. `lower` is the text in small letters.
pub(super) fn slip(text: &str, lower: &str) -> Option<TimeError> {
    let text = || text.trim().chars().take(60).collect();
    // Both days of a range.
    let mut days = lower.splitn(2, '/').map(str::trim).filter(|day| is_iso_date(day));
    if let Some(day) = days.find(|day| day.parse::<Date>().is_err()) {
        return Some(TimeError::NoSuchDay { day: day.to_owned() });
    }
    if let Some(day) = lower.get(..10).filter(|day| is_iso_date(day)) {
        let is_none = day.parse::<Date>().is_err();
        return is_none.then(|| TimeError::NoSuchDay { day: day.to_owned() });
    }
    if let Some(day) = day_first(lower.split_whitespace().next().unwrap_or("")) {
        return Some(match day {
            Some(day) => TimeError::Nearly { text: text(), nearest: day.to_string() },
            None => TimeError::NoSuchDay { day: text() },
        });
    }
    let nearest = nearest_word(lower)?;
    Some(TimeError::Nearly { text: text(), nearest: nearest.to_owned() })
}

/// The day of `26.11.2026`, `26/11/2026` or `26-11-2026`: as it is written in Britain. The inner `None`: there is no such day.
fn day_first(lower: &str) -> Option<Option<Date>> {
    let mut parts = lower.split(['.', '/', '-']);
    let mut number = |digits: std::ops::RangeInclusive<usize>| {
        let part = parts.next()?;
        let is_number = digits.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse::<i16>().ok()).flatten()
    };
    let (day, month, year) = (number(1..=2)?, number(1..=2)?, number(4..=4)?);
    if parts.next().is_some() {
        return None;
    }
    Some(Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok())
}

/// The word for a moment that a text is most like: one that begins as it does, with a length within
/// two letters of it.
fn nearest_word(lower: &str) -> Option<&'static str> {
    let alike = |word: &str| word.chars().zip(lower.chars()).take_while(|(a, b)| a == b).count();
    let words = MOMENT_WORDS.iter().chain(&WEEKDAYS).copied();
    let near = words.filter(|word| alike(word) >= 2 && word.len().abs_diff(lower.len()) <= 2);
    near.max_by_key(|word| alike(word))
}
