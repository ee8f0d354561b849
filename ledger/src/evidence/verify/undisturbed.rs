//! Reading days while nobody makes other files of them.

use super::Report;
use crate::lock::{DaysLock, TURN, ToRead};
use jiff::civil::Date;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long whoever replaces files of days is waited for, in all.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long it may be had, day after day, until others get a turn: taken again at once, nobody who wants it alone
/// would ever come in.
const LONGEST: Duration = Duration::from_secs(1);

/// The lock of the days, taken for one at a time.
pub(super) struct Undisturbed {
    access: PathBuf,
    patience: Duration,
    /// Since when others had no turn.
    since: Instant,
    /// Days that were read while somebody else had the lock.
    without: Vec<Date>,
}

impl Undisturbed {
    pub(super) fn of(access: &Path) -> Self {
        let (access, since) = (access.to_owned(), Instant::now());
        Self { access, patience: PATIENCE, since, without: Vec::new() }
    }

    /// Waits until nobody replaces files of days, and keeps it so as long as what it gives is held. What it gave
    /// before is not held any more. Who goes on
    /// for too long is waited for once: the days are read all the same, which is told by [`Undisturbed::tell`].
    ///
    /// # Errors
    /// [`std::io::Error`]: whether somebody does cannot be known.
    pub(super) async fn take(&mut self, day: Date) -> std::io::Result<Option<DaysLock>> {
        if self.since.elapsed() >= LONGEST {
            tokio::time::sleep(TURN).await;
            self.since = Instant::now();
        }
        let began = Instant::now();
        let patience = self.patience;
        match DaysLock::take_to_read(&self.access, || began.elapsed() >= patience).await? {
            ToRead::Held(lock) => Ok(Some(lock)),
            ToRead::NoLock => Ok(None),
            ToRead::Busy => {
                self.patience = Duration::ZERO;
                self.without.push(day);
                Ok(None)
            }
        }
    }

    /// Says which days were read while somebody may have made other files of them.
    pub(super) fn tell(self, report: &mut Report) {
        let days = match self.without[..] {
            [] => return,
            [day] => format!("{day} was"),
            [first, .., last] => {
                format!("{} days between {first} and {last} were", self.without.len())
            }
        };
        report.uncovered.push(format!(
            "access log: {days} looked at while records were being erased or a day sealed, which did not end in \
             {} seconds: what is said of such days may be of neither state; schoolgate audit verify, once more",
            PATIENCE.as_secs()
        ));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use crate::lock::Hold;
    use jiff::civil::date;
    use std::cell::Cell;

    #[tokio::test]
    async fn who_goes_on_replacing_files_is_waited_for_once_and_told_of() {
        let state = tempfile::tempdir().unwrap();
        let access = state.path().join("access");
        let patience = Duration::from_millis(300);
        let mut days = Undisturbed { patience, ..Undisturbed::of(&access) };
        assert!(days.take(date(2026, 1, 1)).await.unwrap().is_none(), "nobody was ever here");
        let alone = DaysLock::try_take(&access, Hold::Alone).unwrap().unwrap();
        let began = Instant::now();
        for day in 2..12 {
            assert!(days.take(date(2026, 1, day)).await.unwrap().is_none());
        }
        assert!((patience..patience * 5).contains(&began.elapsed()), "{:?}", began.elapsed());
        drop(alone);
        assert!(days.take(date(2026, 1, 12)).await.unwrap().is_some());
        let mut report = Report::default();
        days.tell(&mut report);
        let said = &report.uncovered[0];
        assert!(said.contains("10 days between 2026-01-02 and 2026-01-11 were"), "{said}");
        let mut quiet = Report::default();
        Undisturbed::of(&access).tell(&mut quiet);
        assert!(quiet.uncovered.is_empty());
    }

    #[tokio::test]
    async fn who_wants_to_replace_files_gets_a_turn_between_two_days() {
        let state = tempfile::tempdir().unwrap();
        let access = state.path().join("access");
        DaysLock::make(&access).unwrap();
        let (began, over) = (Instant::now(), Cell::new(false));
        let reading = async {
            let mut days = Undisturbed::of(&access);
            while !over.get() {
                let lock = days.take(date(2026, 1, 1)).await.unwrap();
                // Longer than others wait until they look for it again.
                tokio::time::sleep(Duration::from_millis(200)).await;
                drop(lock);
            }
        };
        let waiting = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let give_up = || began.elapsed() >= LONGEST * 10;
            let came_in = DaysLock::take(&access, Hold::Alone, give_up).await.unwrap().is_some();
            over.set(true);
            came_in
        };
        assert!(tokio::join!(reading, waiting).1, "nobody came in for {:?}", LONGEST * 10);
    }
}
