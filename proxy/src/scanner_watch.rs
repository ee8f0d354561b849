//! Raises the alarm when the virus scanner is away, before somebody's file waits for it.

use crate::clamd::{Scanner, Unavailable};
use crate::telemetry::Metrics;
use crate::worker::Stop;
use prometheus::IntGauge;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks.
const REST: Duration = Duration::from_secs(5);
/// Longest wait for an answer.
const LONGEST: Duration = Duration::from_secs(5);

/// Asks the scanner whether it is there.
pub(crate) struct ScannerWatch {
    scanner: Option<Scanner>,
    is_up: AtomicBool,
    gauge: IntGauge,
}

impl ScannerWatch {
    /// Of a scanner, if the machine file names one.
    ///
    /// # Errors
    /// [`prometheus::Error`] if two metrics have one name: a fault of this program.
    pub(crate) fn new(scanner: Option<Scanner>, metrics: &Metrics) -> prometheus::Result<Self> {
        let gauge = IntGauge::new(
            "proxy_virus_scanner_up",
            "Whether the virus scanner answered when it was last asked.",
        )?;
        gauge.set(1);
        metrics.registry().register(Box::new(gauge.clone()))?;
        Ok(Self { scanner, is_up: AtomicBool::new(true), gauge })
    }

    /// Whether it answered when it was last asked; `None` where there is none.
    pub(crate) fn is_up(&self) -> Option<bool> {
        self.scanner.as_ref().map(|_| self.is_up.load(Ordering::Relaxed))
    }

    /// Asks it on a thread of its own until everything stops.
    ///
    /// # Errors
    /// [`io::Error`]: no thread or runtime is to be had.
    pub(crate) fn start(self: &Arc<Self>, stopped: watch::Receiver<Stop>) -> io::Result<()> {
        if self.scanner.is_none() {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let watch = Arc::clone(self);
        std::thread::Builder::new()
            .name("scanner-watch".to_owned())
            .spawn(move || runtime.block_on(watch.ask_until(stopped)))?;
        Ok(())
    }

    async fn ask_until(&self, mut stopped: watch::Receiver<Stop>) {
        let Some(scanner) = &self.scanner else { return };
        let asking = async {
            loop {
                let answer = tokio::time::timeout(LONGEST, scanner.ping()).await;
                self.saw(answer.unwrap_or(Err(Unavailable::Slow)));
                tokio::time::sleep(REST).await;
            }
        };
        tokio::select! {
            () = asking => {}
            // A sender that has gone is a stop.
            _ = stopped.wait_for(|stop| *stop == Stop::Now) => {}
        }
    }

    fn saw(&self, answer: Result<(), Unavailable>) {
        // As many scans as may run do: it answers those.
        let is_up = !matches!(answer, Err(why) if why != Unavailable::Busy);
        self.gauge.set(i64::from(is_up));
        match (self.is_up.swap(is_up, Ordering::Relaxed), answer) {
            (true, Err(why)) if !is_up => tracing::error!(
                why = why.as_str(),
                "the virus scanner does not answer: files that the policy wants scanned are treated as \
                 virus_scan says by if_unavailable"
            ),
            (false, _) if is_up => tracing::warn!("the virus scanner answers again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;
    use crate::config::{ScannerPlace, ScannerSettings};

    #[test]
    fn a_scanner_that_has_all_hands_full_is_not_away() {
        let settings = ScannerSettings {
            place: ScannerPlace::Socket("/nowhere".into()),
            connect_timeout_ms: 1,
            scan_timeout_ms: 1,
            max_file_bytes: 1,
            max_scans: 1,
            trickle_after_ms: 1,
        };
        let metrics = Metrics::new().unwrap();
        let watch = ScannerWatch::new(Some(Scanner::new(settings)), &metrics).unwrap();
        for (answer, is_up) in [
            (Ok(()), true),
            (Err(Unavailable::Busy), true),
            (Err(Unavailable::Refused), false),
            (Err(Unavailable::Slow), false),
            (Ok(()), true),
        ] {
            watch.saw(answer);
            assert_eq!((watch.is_up(), watch.gauge.get()), (Some(is_up), i64::from(is_up)));
        }
        let none = ScannerWatch::new(None, &Metrics::new().unwrap()).unwrap();
        assert_eq!((none.is_up(), none.gauge.get()), (None, 1), "and nothing is away");
    }
}
