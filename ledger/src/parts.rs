//! The files of school days, by their names.
//!
//! A day begins as one file that is written to, `access-2026-11-22.db`. Once the day is over it is
//! *sealed*: its rows move to `access-2026-11-22.parquet`, and its sums and proofs to
//! `access-2026-11-22.sums.db`. An access that comes for a sealed day all the same, because a clock was
//! set back, begins a second part, `access-2026-11-22.2.db`, which goes on counting rows where the
//! first part ends and is sealed in its turn. So what was sealed never changes.
//!
//! A part is sealed from the moment that its `.sums.db` has its name: sealing gives the other file its
//! name first, and takes the written one away last.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rules::time::UnixMillis;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The key in `meta` under which a later part of a day notes the place of its first row.
pub(crate) const FIRST_ROW: &str = "first_sequence";

/// The same of its first end that came by itself.
pub(crate) const FIRST_END: &str = "first_end";

/// One part of a day: its number, from 1, and whether it is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The school day.
    pub day: Date,
    /// Its number in the day, from 1.
    pub number: u32,
    /// Whether it is sealed; else it is written to.
    pub sealed: bool,
}

impl Part {
    /// The SQLite file that holds its sums and proofs, and as long as it is not sealed its rows.
    #[must_use]
    pub fn database(&self, folder: &Path) -> PathBuf {
        let ending = if self.sealed { "sums.db" } else { "db" };
        self.path(folder, ending)
    }

    /// The Parquet file that holds its rows once it is sealed.
    #[must_use]
    pub fn rows(&self, folder: &Path) -> PathBuf {
        self.path(folder, "parquet")
    }

    /// The name of a file that belongs to the part.
    pub(crate) fn path(&self, folder: &Path, ending: &str) -> PathBuf {
        match self.number {
            1 => folder.join(format!("access-{}.{ending}", self.day)),
            number => folder.join(format!("access-{}.{number}.{ending}", self.day)),
        }
    }

    /// Reads the name of a database; other names are none.
    fn of_name(name: &str) -> Option<Self> {
        let stem = name.strip_prefix("access-")?.strip_suffix(".db")?;
        let (stem, sealed) = match stem.strip_suffix(".sums") {
            Some(stem) => (stem, true),
            None => (stem, false),
        };
        let (day, number) = match stem.split_once('.') {
            Some((day, number)) => (day, number.parse().ok().filter(|number| *number > 1)?),
            None => (stem, 1),
        };
        let part = Self { day: day.parse().ok()?, number, sealed };
        // One spelling each: another would be a part without a file.
        (part.database(Path::new("")) == Path::new(name)).then_some(part)
    }
}

/// The parts of all days in a folder, oldest day first and each day's in their order. A missing folder
/// has none.
///
/// # Errors
/// [`std::io::Error`] of the file system.
pub fn parts(folder: &Path) -> std::io::Result<Vec<Part>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found: BTreeMap<(Date, u32), bool> = BTreeMap::new();
    for entry in entries {
        if let Some(part) = entry?.file_name().to_str().and_then(Part::of_name) {
            // Both are there when sealing was stopped at the last step: the sealed one counts.
            *found.entry((part.day, part.number)).or_default() |= part.sealed;
        }
    }
    let parts = found.into_iter();
    Ok(parts.map(|((day, number), sealed)| Part { day, number, sealed }).collect())
}

/// The parts of one day, in their order.
///
/// # Errors
/// [`std::io::Error`] of the file system.
pub fn parts_of(folder: &Path, day: Date) -> std::io::Result<Vec<Part>> {
    Ok(parts(folder)?.into_iter().filter(|part| part.day == day).collect())
}

/// The days that a folder holds files of, oldest first. A missing folder holds none.
///
/// # Errors
/// [`std::io::Error`] of the file system.
pub fn days(folder: &Path) -> std::io::Result<Vec<Date>> {
    let mut days: Vec<Date> = parts(folder)?.into_iter().map(|part| part.day).collect();
    days.dedup();
    Ok(days)
}

/// How many of the newest days may be written to by anybody who writes to the log. Who opens an older one
/// says so with a [`crate::lock::DaysLock`]: a tunnel lasts a day at most, so that this is one whose clock was
/// set back, or what a process left that ended days ago.
const NEWEST: usize = 2;

/// Days before today on which a day's file is opened without the lock, and until which it may be open so.
const OPENED_WITHIN_DAYS: i64 = 1;
pub(crate) const CLOSED_AFTER_DAYS: i64 = 3;

/// Whether a day's file may be opened to be written to without the lock, since nobody replaces it: it is of
/// about today. The newest alone are not enough, where a clock once ran ahead and left days to come.
pub(crate) fn is_of_today(day: Date, now: UnixMillis) -> bool {
    day >= utc_day(now, OPENED_WITHIN_DAYS)
}

/// Whether a day's file that was opened so may still be open: what began on it lasts a day at most.
pub(crate) fn may_be_written(day: Date, now: UnixMillis) -> bool {
    day >= utc_day(now, CLOSED_AFTER_DAYS)
}

/// The day so many before today, of UTC: which is no more than one off anywhere.
fn utc_day(now: UnixMillis, before: i64) -> Date {
    let at = Timestamp::from_millisecond(now.0).unwrap_or(Timestamp::UNIX_EPOCH);
    let today = at.to_zoned(TimeZone::UTC).date();
    today.checked_sub(Span::new().days(before)).unwrap_or(Date::MIN)
}

/// The newest of these days, oldest first.
pub(crate) fn newest(days: &[Date]) -> &[Date] {
    &days[days.len().saturating_sub(NEWEST)..]
}

/// The file that a day's accesses are written to: `access-2026-11-22.db` in a folder, or, where that
/// part of the day is sealed, the next one's.
#[must_use]
pub fn day_path(folder: &Path, day: Date) -> PathBuf {
    let mut part = Part { day, number: 1, sealed: false };
    while (Part { sealed: true, ..part }).database(folder).exists() {
        part.number += 1;
    }
    part.database(folder)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn only_the_names_of_days_are_days() {
        let day = date(2026, 11, 22);
        let cases = [
            ("access-2026-11-22.db", Some((1, false))),
            ("access-2026-11-22.sums.db", Some((1, true))),
            ("access-2026-11-22.2.db", Some((2, false))),
            ("access-2026-11-22.12.sums.db", Some((12, true))),
            ("access-2026-11-22.1.db", None),
            ("access-2026-11-22.02.db", None),
            ("access-2026-11-22.+2.db", None),
            ("access-2026-11-22.db-wal", None),
            ("access-2026-11-22.new", None),
            ("access-2026-11-22.sums.new", None),
            ("access-2026-11-22.parquet", None),
            ("access-2026-11-22.damaged-1.db", None),
            ("access-2026-11-22.2.damaged-1.db", None),
            ("access-2026-13-22.db", None),
        ];
        for (name, expected) in cases {
            let expected = expected.map(|(number, sealed)| Part { day, number, sealed });
            assert_eq!(Part::of_name(name), expected, "{name}");
            if let Some(part) = expected {
                assert_eq!(part.database(Path::new("")), PathBuf::from(name));
            }
        }
    }

    #[test]
    fn days_of_about_today_may_be_written_to_whatever_days_to_come_there_are() {
        // 2026-11-22, noon.
        let now = UnixMillis(1_795_348_800_000);
        for (day, of_today, written) in
            [(21, true, true), (20, false, true), (19, false, true), (18, false, false)]
        {
            let day = date(2026, 11, day);
            assert_eq!(
                (is_of_today(day, now), may_be_written(day, now)),
                (of_today, written),
                "{day}"
            );
        }
        assert!(is_of_today(date(2027, 1, 1), now));
    }

    #[test]
    fn a_part_with_both_files_is_sealed_and_the_next_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (folder, day) = (folder.path(), date(2026, 11, 22));
        assert_eq!(day_path(folder, day), folder.join("access-2026-11-22.db"));
        for name in ["access-2026-11-22.db", "access-2026-11-22.sums.db", "access-2026-11-23.db"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let first = Part { day, number: 1, sealed: true };
        assert_eq!(parts_of(folder, day).unwrap(), [first]);
        assert_eq!(days(folder).unwrap(), [day, date(2026, 11, 23)]);
        assert_eq!(day_path(folder, day), folder.join("access-2026-11-22.2.db"));
    }
}
