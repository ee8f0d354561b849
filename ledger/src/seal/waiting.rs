//! Which parts of days wait to be sealed.

use crate::evidence::erased;
use crate::parts::{Part, parts};
use crate::sqlite::open_to_read;
use jiff::civil::Date;
use rules::time::{SchoolClock, UnixMillis};
use sqlx::{Connection, Row};
use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The parts that wait to be sealed: their day was over `grace` before `now`, in the zone that they
/// were recorded in. A file that cannot be read waits by the clock of UTC: whoever seals it says what is wrong.
///
/// # Errors
/// [`std::io::Error`] of the folder.
pub async fn waiting(state: &Path, now: UnixMillis, grace: Duration) -> std::io::Result<Vec<Part>> {
    let over = Seen::default().over(&state.join("access"), now, grace).await?;
    Ok(over.into_iter().filter(|over| over.is_due).map(|over| over.part).collect())
}

/// A part that is not sealed, and whose day is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) part: Part,
    /// Whether it has been so for the grace.
    pub(super) is_due: bool,
}

/// What looks before this one found out for good.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Files of which rows were erased: what proves the others knows only a day's own file, so that they are never
    /// sealed. There are more each day, and none need be opened again as long as it is the same.
    erased: HashMap<(Date, u32), Same>,
}

/// A file's number on the disk, and when it was last written to.
type Same = (u64, SystemTime);

impl Seen {
    /// The parts whose day is over by `now`.
    ///
    /// # Errors
    /// [`std::io::Error`] of the folder.
    pub(super) async fn over(
        &mut self,
        folder: &Path,
        now: UnixMillis,
        grace: Duration,
    ) -> std::io::Result<Vec<Over>> {
        let all = parts(folder)?;
        let is_there = |(day, number): &(Date, u32)| {
            let is_it =
                |part: &Part| (part.day, part.number, part.sealed) == (*day, *number, false);
            all.iter().any(is_it)
        };
        self.erased.retain(|key, _| is_there(key));
        let before = UnixMillis(now.0.saturating_sub(grace.as_millis() as i64));
        let mut over = Vec::new();
        for part in all.into_iter().filter(|part| !part.sealed) {
            let clock = self.clock(folder, part).await;
            if let Some(clock) = clock.filter(|clock| clock.day(now) > part.day) {
                over.push(Over { part, is_due: clock.day(before) > part.day });
            }
        }
        Ok(over)
    }

    /// Whether a part still waits: it may have been replaced or sealed meanwhile.
    pub(super) async fn is_over(&mut self, folder: &Path, part: Part, now: UnixMillis) -> bool {
        let is_sealed = Part { sealed: true, ..part }.database(folder).exists();
        let is_there = part.database(folder).exists() && !is_sealed;
        is_there && self.clock(folder, part).await.is_some_and(|clock| clock.day(now) > part.day)
    }

    /// The clock that a part was recorded by; `None`: it is never sealed.
    async fn clock(&mut self, folder: &Path, part: Part) -> Option<SchoolClock> {
        let (database, key) = (part.database(folder), (part.day, part.number));
        let same = |file: Metadata| Some((file.ino(), file.modified().ok()?));
        let file = std::fs::metadata(&database).ok().and_then(same);
        if file.is_some() && self.erased.get(&key) == file.as_ref() {
            return None;
        }
        let (zone, version) = zone_of(&database).await.unwrap_or_default();
        if erased::is_in(version) {
            self.erased.extend(file.map(|file| (key, file)));
            return None;
        }
        SchoolClock::new(&zone, &[]).or_else(|_| SchoolClock::new("UTC", &[])).ok()
    }
}

/// The zone that a day was recorded in, and the version of its file.
async fn zone_of(database: &Path) -> Result<(String, i64), sqlx::Error> {
    let mut connection = open_to_read(database).await?;
    let newest = sqlx::query("SELECT zone FROM context ORDER BY id DESC LIMIT 1");
    let zone = newest.fetch_optional(&mut connection).await?;
    let version =
        sqlx::query("PRAGMA user_version").fetch_one(&mut connection).await?.try_get(0)?;
    connection.close().await?;
    let zone = zone.map_or_else(|| Ok(String::new()), |row| row.try_get(0))?;
    Ok((zone, version))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use crate::sqlite::{create_whole, open_to_write};
    use jiff::civil::date;

    const DAY: Date = date(2026, 1, 8);
    /// 2026-01-10, noon.
    const NOW: UnixMillis = UnixMillis(1_768_046_400_000);

    async fn over(seen: &mut Seen, folder: &Path, grace_days: u64) -> Vec<(u32, bool)> {
        let grace = Duration::from_secs(grace_days * 86_400);
        let over = seen.over(folder, NOW, grace).await.unwrap();
        over.iter().map(|over| (over.part.number, over.is_due)).collect()
    }

    #[tokio::test]
    async fn a_day_is_over_before_it_is_due() {
        let folder = tempfile::tempdir().unwrap();
        let part = Part { day: DAY, number: 1, sealed: false };
        create_whole(&part.database(folder.path()), DAY, (0, 0)).await.unwrap();
        let mut seen = Seen::default();
        assert_eq!(over(&mut seen, folder.path(), 0).await, [(1, true)]);
        assert_eq!(over(&mut seen, folder.path(), 3).await, [(1, false)]);
        assert!(seen.is_over(folder.path(), part, NOW).await);
        std::fs::write(Part { sealed: true, ..part }.database(folder.path()), "").unwrap();
        assert!(!seen.is_over(folder.path(), part, NOW).await, "sealed meanwhile");
    }

    #[tokio::test]
    async fn a_file_of_which_rows_were_erased_is_not_opened_again_until_it_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let part = Part { day: DAY, number: 1, sealed: false };
        let path = part.database(folder.path());
        create_whole(&path, DAY, (0, 0)).await.unwrap();
        let mut db = open_to_write(&path).await.unwrap();
        sqlx::raw_sql("PRAGMA user_version = 4").execute(&mut db).await.unwrap();
        db.close().await.unwrap();
        let mut seen = Seen::default();
        assert!(over(&mut seen, folder.path(), 0).await.is_empty());
        // Opened, it would be unreadable, and wait for whoever says so.
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, "no database").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
        assert!(over(&mut seen, folder.path(), 0).await.is_empty());
        assert!(!seen.is_over(folder.path(), part, NOW).await);
        let later = written + Duration::from_secs(5);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert_eq!(over(&mut seen, folder.path(), 0).await, [(1, true)]);
    }
}
