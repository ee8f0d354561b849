//! What a Schoolgate holds while it works: memory, files, threads, and its own gauges.

use crate::measure;
use crate::schoolgate::Schoolgate;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

/// One look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Since the watch began.
    pub at: Duration,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// What of it no file backs.
    pub anonymous_bytes: u64,
    /// Open files and sockets.
    pub files: usize,
    /// Threads.
    pub threads: u64,
    /// Client connections, by the proxy's own count; as the next ones.
    pub connections: u64,
    /// Requests under way.
    pub exchanges: u64,
    /// Tunnels.
    pub tunnels: u64,
    /// Connections to sites that wait.
    pub idle_upstreams: u64,
    /// Whether the proxy gave its counts.
    pub counted: bool,
}

impl Sample {
    /// First line of a table of samples.
    pub(crate) const HEADER: &str = "seconds,rss_bytes,anonymous_bytes,files,threads,connections,exchanges,tunnels,idle_upstreams\n";

    /// Looks now.
    pub(crate) fn take(schoolgate: &Schoolgate, at: Duration) -> Self {
        let pid = schoolgate.process.pid();
        let usage = measure::usage(pid);
        let count = |folder: &str| {
            std::fs::read_dir(format!("/proc/{pid}/{folder}")).into_iter().flatten().count()
        };
        let metrics = schoolgate.metrics();
        let sum = |what: &str| {
            let lines = metrics.lines().filter(|line| line.starts_with(what));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        let open = |what: &str| -> u64 {
            let label = format!("what=\"{what}\"");
            let lines = metrics.lines().filter(|line| line.starts_with("proxy_open{"));
            let of_it = lines.filter(|line| line.contains(&label));
            of_it.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        Self {
            at,
            rss_bytes: usage.rss_bytes,
            anonymous_bytes: usage.anonymous_bytes,
            files: count("fd"),
            threads: count("task") as u64,
            connections: open("connection"),
            exchanges: open("exchange"),
            tunnels: sum("proxy_open_tunnels "),
            idle_upstreams: open("idle_upstream"),
            counted: metrics.contains("proxy_open{"),
        }
    }

    /// Nothing is open, and the proxy says so.
    pub(crate) fn is_quiet(&self) -> bool {
        self.counted
            && [self.connections, self.exchanges, self.tunnels, self.idle_upstreams] == [0; 4]
    }

    /// A line of a table.
    pub(crate) fn row(&self) -> String {
        format!(
            "{:.1},{},{},{},{},{},{},{},{}\n",
            self.at.as_secs_f64(),
            self.rss_bytes,
            self.anonymous_bytes,
            self.files,
            self.threads,
            self.connections,
            self.exchanges,
            self.tunnels,
            self.idle_upstreams
        )
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} MB, {} files, {} threads, {} connections, {} exchanges, {} tunnels, {} waiting to sites",
            self.rss_bytes as f64 / 1e6,
            self.files,
            self.threads,
            self.connections,
            self.exchanges,
            self.tunnels,
            self.idle_upstreams
        )
    }
}

/// Looks again and again, on a thread of its own.
pub(crate) struct Watch {
    every: Duration,
    ended: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
}

impl Watch {
    /// A watch that looks so often.
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, ended: Arc::default(), samples: Arc::default() }
    }

    /// Starts to look, until [`Watch::finish`].
    pub(crate) fn run<'s>(&self, scope: &'s Scope<'s, '_>, schoolgate: &'s Schoolgate) {
        let (every, ended, samples) =
            (self.every, Arc::clone(&self.ended), Arc::clone(&self.samples));
        scope.spawn(move || {
            let begun = Instant::now();
            let mut due = Duration::ZERO;
            while !ended.load(Ordering::Relaxed) {
                if begun.elapsed() >= due {
                    due += every;
                    let sample = Sample::take(schoolgate, begun.elapsed());
                    eprintln!("  {:6.0} s: {sample}", sample.at.as_secs_f64());
                    samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        });
    }

    /// Stops looking; gives what was seen.
    pub(crate) fn finish(&self) -> Vec<Sample> {
        self.ended.store(true, Ordering::Relaxed);
        std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How much memory grew from the first to the last of these, along the straight line that fits them
/// best, in bytes.
pub(crate) fn growth(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return 0.0 };
    let x = |sample: &Sample| sample.at.as_secs_f64();
    let y = |sample: &Sample| sample.rss_bytes as f64;
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(&x), mean(&y));
    let spread: f64 = samples.iter().map(|sample| (x(sample) - mean_x).powi(2)).sum();
    if spread == 0.0 {
        return 0.0;
    }
    let along: f64 = samples.iter().map(|sample| (x(sample) - mean_x) * (y(sample) - mean_y)).sum();
    along / spread * (x(last) - x(first))
}
