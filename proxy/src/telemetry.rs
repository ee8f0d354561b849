//! Counters for Prometheus. Labels come from closed sets: never a host, an address or a person.
//!
//! Workers count in plain cells and add them up on a timer, so that a request touches no shared
//! cache line.

use prometheus::local::{LocalHistogram, LocalIntCounter};
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};
use rules::decide::Verdict;
use rules::level::Levels;

/// Why an upstream gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamError {
    /// The name service found no address, or failed.
    Dns,
    /// No connection was made.
    Connect,
    /// A connection or answer took too long.
    Timeout,
    /// It broke off before its answer was whole.
    Closed,
    /// Its answer was no HTTP, or one that must not be passed on.
    BadAnswer,
}

impl UpstreamError {
    const ALL: [Self; 5] = [Self::Dns, Self::Connect, Self::Timeout, Self::Closed, Self::BadAnswer];

    fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::BadAnswer => "bad_answer",
        }
    }
}

/// How a sign-in was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignIn {
    /// Known from an earlier check.
    Cached,
    /// Checked and right.
    Right,
    /// Checked and wrong.
    Wrong,
    /// Too many checks were waiting.
    Overloaded,
    /// Not checked: too many before it were wrong.
    Held,
}

impl SignIn {
    const ALL: [Self; 5] = [Self::Cached, Self::Right, Self::Wrong, Self::Overloaded, Self::Held];

    fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Overloaded => "overloaded",
            Self::Held => "held",
        }
    }
}

/// What came of virus scans, as [`Scanned::word`](crate::clamd::Scanned::word) says it.
const SCAN_RESULTS: [&str; 9] =
    ["clean", "virus", "too_large", "refused", "gone", "slow", "busy", "fault", "part"];

/// All counters of one process.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    answer_seconds: Histogram,
    upstream_errors: IntCounterVec,
    sign_ins: IntCounterVec,
    connections: IntCounter,
    connections_refused: IntCounterVec,
    requests_refused: IntCounterVec,
    accept_errors: IntCounter,
    bad_requests: IntCounter,
    cut: IntCounter,
    virus_scans: IntCounterVec,
    upstream_connections: IntCounterVec,
    open: IntGaugeVec,
}

/// Buckets from a tenth of a millisecond to a minute.
const ANSWER_BUCKETS: [f64; 12] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0];

impl Metrics {
    /// Registers every counter.
    ///
    /// # Errors
    /// [`prometheus::Error`] if two have one name: a fault of this program.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters =
            |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
                let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
                registry.register(Box::new(counters.clone()))?;
                Ok(counters)
            };
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let answer_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "proxy_answer_seconds",
                "From a request's head read to its answer's head.",
            )
            .buckets(ANSWER_BUCKETS.to_vec()),
        )?;
        registry.register(Box::new(answer_seconds.clone()))?;
        let open = IntGaugeVec::new(
            Opts::new(
                "proxy_open",
                "What is open on a worker: connection, exchange, idle_upstream.",
            ),
            &["worker", "what"],
        )?;
        registry.register(Box::new(open.clone()))?;
        let metrics = Self {
            requests: counters(
                "proxy_requests_total",
                "Requests decided, by level and verdict.",
                &["level", "verdict"],
            )?,
            answer_seconds,
            upstream_errors: counters(
                "proxy_upstream_errors_total",
                "Requests that the site did not answer.",
                &["kind"],
            )?,
            sign_ins: counters("proxy_sign_ins_total", "Sign-ins checked.", &["result"])?,
            connections: counter("proxy_connections_total", "Client connections accepted.")?,
            connections_refused: counters(
                "proxy_connections_refused_total",
                "Client connections closed (client) or left waiting (total) at a bound.",
                &["bound"],
            )?,
            requests_refused: counters(
                "proxy_requests_refused_total",
                "Requests refused at a bound: of one client's over HTTP/2 (streams), or of those that wait for a \
                 connection to one address (site).",
                &["bound"],
            )?,
            accept_errors: counter("proxy_accept_errors_total", "Failures to accept.")?,
            bad_requests: counter(
                "proxy_unreadable_requests_total",
                "Requests that were no HTTP and got 400 before anything could be decided.",
            )?,
            cut: counter(
                "proxy_cut_total",
                "Open exchanges ended because they are no longer allowed.",
            )?,
            virus_scans: counters(
                "proxy_virus_scans_total",
                "Files given to the virus scanner, by what came of it.",
                &["result"],
            )?,
            upstream_connections: counters(
                "proxy_upstream_connections_total",
                "Connections to sites, new or used again.",
                &["how"],
            )?,
            open,
            registry: registry.clone(),
        };
        for kind in UpstreamError::ALL {
            metrics.upstream_errors.with_label_values(&[kind.as_str()]);
        }
        for result in SCAN_RESULTS {
            metrics.virus_scans.with_label_values(&[result]);
        }
        Ok(metrics)
    }

    /// Where further collectors are registered, and what `/metrics` gathers.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// One worker's own counters.
    pub(crate) fn meters(&self, worker: usize) -> Meters {
        let local =
            |counters: &IntCounterVec, label: &str| counters.with_label_values(&[label]).local();
        let worker = worker.to_string();
        let gauge = |what: &str| self.open.with_label_values(&[worker.as_str(), what]);
        Meters {
            answer_seconds: self.answer_seconds.local(),
            upstream_errors: UpstreamError::ALL
                .map(|kind| local(&self.upstream_errors, kind.as_str())),
            sign_ins: SignIn::ALL.map(|result| local(&self.sign_ins, result.as_str())),
            connections: self.connections.local(),
            refused_total: local(&self.connections_refused, "total"),
            refused_client: local(&self.connections_refused, "client"),
            refused_streams: local(&self.requests_refused, "streams"),
            refused_site: local(&self.requests_refused, "site"),
            accept_errors: self.accept_errors.local(),
            bad_requests: self.bad_requests.local(),
            cut: self.cut.local(),
            virus_scans: SCAN_RESULTS.map(|result| local(&self.virus_scans, result)),
            upstream_new: local(&self.upstream_connections, "new"),
            upstream_reused: local(&self.upstream_connections, "reused"),
            open_connections: gauge("connection"),
            open_exchanges: gauge("exchange"),
            idle_upstreams: gauge("idle_upstream"),
        }
    }

    /// Counters for the requests of each level of a policy.
    pub(crate) fn by_level(&self, levels: &Levels) -> Vec<[LocalIntCounter; 2]> {
        let counter = |level: &str, verdict: Verdict| {
            self.requests.with_label_values(&[level, verdict.as_str()]).local()
        };
        levels
            .iter()
            .map(|(_, level)| [Verdict::Allow, Verdict::Block].map(|v| counter(&level.name, v)))
            .collect()
    }
}

/// One worker's counters, added to the process's by [`Meters::flush`].
#[allow(missing_docs, reason = "each is the counter of its name in Metrics")]
pub(crate) struct Meters {
    pub(crate) answer_seconds: LocalHistogram,
    upstream_errors: [LocalIntCounter; 5],
    sign_ins: [LocalIntCounter; 5],
    pub(crate) connections: LocalIntCounter,
    pub(crate) refused_total: LocalIntCounter,
    pub(crate) refused_client: LocalIntCounter,
    pub(crate) refused_streams: LocalIntCounter,
    pub(crate) refused_site: LocalIntCounter,
    pub(crate) accept_errors: LocalIntCounter,
    pub(crate) bad_requests: LocalIntCounter,
    pub(crate) cut: LocalIntCounter,
    virus_scans: [LocalIntCounter; 9],
    pub(crate) upstream_new: LocalIntCounter,
    pub(crate) upstream_reused: LocalIntCounter,
    pub(crate) open_connections: prometheus::IntGauge,
    pub(crate) open_exchanges: prometheus::IntGauge,
    pub(crate) idle_upstreams: prometheus::IntGauge,
}

impl Meters {
    /// Counts a site that did not answer.
    pub(crate) fn upstream_error(&self, kind: UpstreamError) {
        self.upstream_errors[kind as usize].inc();
    }

    /// Counts a sign-in.
    pub(crate) fn sign_in(&self, result: SignIn) {
        self.sign_ins[result as usize].inc();
    }

    /// Counts a virus scan.
    pub(crate) fn virus_scan(&self, result: &str) {
        if let Some(place) = SCAN_RESULTS.iter().position(|known| *known == result) {
            self.virus_scans[place].inc();
        }
    }

    /// Adds what was counted to the process's counters.
    pub(crate) fn flush(&self) {
        self.answer_seconds.flush();
        let labelled = self.upstream_errors.iter().chain(&self.sign_ins).chain(&self.virus_scans);
        labelled.for_each(LocalIntCounter::flush);
        for counter in [
            &self.connections,
            &self.refused_total,
            &self.refused_client,
            &self.refused_streams,
            &self.refused_site,
            &self.accept_errors,
            &self.bad_requests,
            &self.cut,
            &self.upstream_new,
            &self.upstream_reused,
        ] {
            counter.flush();
        }
    }
}
