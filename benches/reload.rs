//! Something is done to a proxy while clients go on asking it.

use crate::load::{self, Load, Tally};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Plays a load while `act` runs, and for half a second afterwards; gives what both came to.
///
/// # Errors
/// A sentence: the load could not be played, or `act` failed.
pub(crate) fn under_load<T: Send>(
    load: &Load,
    act: impl FnOnce() -> Result<T, String> + Send,
) -> Result<(Tally, T), String> {
    let done = AtomicBool::new(false);
    let (tally, outcome) = std::thread::scope(|scope| {
        let acting = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            let outcome = act();
            std::thread::sleep(Duration::from_millis(500));
            done.store(true, Ordering::Relaxed);
            outcome
        });
        let tally = load::run(load, &|| done.load(Ordering::Relaxed));
        (tally, acting.join().unwrap_or_else(|_| Err("what was to be done panicked".into())))
    });
    Ok((tally.map_err(|error| error.to_string())?, outcome?))
}
