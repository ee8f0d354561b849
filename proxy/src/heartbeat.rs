//! Whether the workers still come round: for `/readyz` and the watchdog.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A worker that has not ticked for so long is stuck.
const STUCK: Duration = Duration::from_secs(5);

/// The last tick of each worker.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    started: Instant,
    last_ms: Vec<AtomicU64>,
}

impl Heartbeats {
    /// Workers that have yet to tick.
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        let last_ms = (0..workers).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { started: Instant::now(), last_ms })
    }

    /// A worker has come round.
    pub(crate) fn beat(&self, worker: usize) {
        if let Some(last) = self.last_ms.get(worker) {
            last.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    /// Whether every worker comes round.
    pub(crate) fn are_alive(&self) -> bool {
        let stuck_ms = u64::try_from(STUCK.as_millis()).unwrap_or(u64::MAX);
        let now = self.now_ms();
        self.last_ms.iter().all(|last| now.saturating_sub(last.load(Ordering::Relaxed)) < stuck_ms)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stuck_worker_is_enough_not_to_be_alive() {
        let heartbeats = Heartbeats::new(2);
        assert!(heartbeats.are_alive(), "nobody is late at the start");
        let late = Heartbeats {
            started: Instant::now() - STUCK * 2,
            last_ms: vec![AtomicU64::new(0), AtomicU64::new(0)],
        };
        late.beat(0);
        assert!(!late.are_alive());
        late.beat(1);
        assert!(late.are_alive());
    }
}
