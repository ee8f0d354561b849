//! Who may touch a day's file: the ingest thread, or for a while the one that seals it.

use jiff::civil::Date;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long sealing waits for the ingest to let a day go, or the ingest for sealing to stop, between
/// two looks.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
struct State {
    /// The day that is to be sealed.
    wanted: Option<Date>,
    /// Whether the ingest has let it go.
    granted: bool,
    /// Whether the ingest wants it back: an access came for it.
    recalled: bool,
}

/// Shared by the ingest thread and the one that seals. At most one day is sealed at a time.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
}

impl Claims {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The day that the ingest should let go, if it can. Asked by the ingest.
    pub(crate) fn wanted(&self) -> Option<Date> {
        let state = self.state();
        state.wanted.filter(|_| !state.granted)
    }

    /// Whether the ingest has let the day go, and it is not back.
    pub(crate) fn is_granted(&self, day: Date) -> bool {
        let state = self.state();
        state.granted && state.wanted == Some(day)
    }

    /// The ingest has closed the day's file and will not open it before [`Claims::take_back`].
    pub(crate) fn grant(&self, day: Date) {
        let mut state = self.state();
        if state.wanted == Some(day) {
            state.granted = true;
            self.changed.notify_all();
        }
    }

    /// Waits until the day is not being sealed. Called by the ingest before it opens a day's file;
    /// what is sealed of it by then is sealed.
    pub(crate) fn take_back(&self, day: Date) {
        let mut state = self.state();
        while state.granted && state.wanted == Some(day) {
            state.recalled = true;
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Asks whoever seals a day to stop: the ingest needs another, which cannot be had meanwhile. `true`: all
    /// is to stop, the ingest too.
    pub(crate) fn recall(&self) -> bool {
        let mut state = self.state();
        state.recalled |= state.granted;
        self.stopping.load(Ordering::Acquire)
    }

    /// Nobody waits for long from now on.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Asks the ingest for a day until `give_up`. `None`: it still has use for it.
    pub(crate) fn claim(&self, day: Date, give_up: impl Fn() -> bool) -> Option<Claim<'_>> {
        let mut state = self.state();
        *state = State { wanted: Some(day), ..State::default() };
        while !state.granted {
            if give_up() {
                *state = State::default();
                return None;
            }
            let waited = self.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        Some(Claim { claims: self })
    }
}

/// A day that the ingest has let go; given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim<'c> {
    claims: &'c Claims,
}

impl Claim<'_> {
    /// Whether the ingest wants the day back.
    pub(crate) fn is_recalled(&self) -> bool {
        self.claims.state().recalled
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        *self.claims.state() = State::default();
        self.claims.changed.notify_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_day_that_the_ingest_keeps_is_not_claimed() {
        let claims = Claims::default();
        assert!(claims.claim(date(2026, 11, 22), || true).is_none());
        assert_eq!(claims.wanted(), None);
    }

    #[test]
    fn the_ingest_gets_a_day_back_when_sealing_stops() {
        let claims = Claims::default();
        let day = date(2026, 11, 22);
        std::thread::scope(|scope| {
            let sealing = scope.spawn(|| {
                let claim = claims.claim(day, || false).unwrap();
                while !claim.is_recalled() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            while claims.wanted() != Some(day) {
                std::thread::sleep(Duration::from_millis(1));
            }
            claims.take_back(day);
            claims.grant(day);
            assert_eq!(claims.wanted(), None, "asked for once");
            claims.take_back(date(2026, 11, 23));
            claims.take_back(day);
            sealing.join().unwrap();
        });
    }
}
