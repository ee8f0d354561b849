//! `/metrics`, `/healthz` and `/readyz`, on an address of their own.

use crate::follow::Follower;
use crate::heartbeat::Heartbeats;
use crate::identify::Verifier;
use crate::log_watch::LogWatch;
use crate::scanner_watch::ScannerWatch;
use crate::snapshot::Current;
use crate::telemetry::Metrics;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use ledger::journal::Shared as Journals;
use prometheus::{Encoder, IntGauge, IntGaugeVec, Opts, TextEncoder};
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

use crate::worker::Stop;

/// Longest that one question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the answers are made from.
pub(crate) struct Ops {
    metrics: Metrics,
    gauges: Gauges,
    current: Current,
    follower: Arc<Follower>,
    journals: Arc<Journals>,
    log_watch: Arc<LogWatch>,
    heartbeats: Arc<Heartbeats>,
    tunnels: Arc<crate::limit::Admission>,
    verifier: Arc<Verifier>,
    scanner: Arc<ScannerWatch>,
}

/// Set when asked for, not kept up.
struct Gauges {
    backlog_bytes: IntGauge,
    lag_ms: IntGauge,
    write_failures: IntGauge,
    sync_failures: IntGauge,
    late_syncs: IntGauge,
    refused: IntGauge,
    disk_size_bytes: IntGauge,
    disk_free_bytes: IntGauge,
    generation: IntGauge,
    reload_failures: IntGauge,
    list_age_seconds: IntGaugeVec,
    list_entries: IntGaugeVec,
    open_tunnels: IntGauge,
    sign_ins_waiting: IntGauge,
    sign_in_holds: IntGauge,
    break_glass_uses: IntGauge,
    break_glass_wrong: IntGauge,
    account_lockouts: IntGauge,
    one_person_refusals: IntGauge,
}

impl Gauges {
    fn new(metrics: &Metrics) -> prometheus::Result<Self> {
        let registry = metrics.registry();
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let by_list = |name: &str, help: &str| -> prometheus::Result<IntGaugeVec> {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &["list"])?;
            registry.register(Box::new(gauges.clone()))?;
            Ok(gauges)
        };
        Ok(Self {
            backlog_bytes: gauge(
                "ledger_journal_backlog_bytes",
                "Journal bytes that wait to be stored.",
            )?,
            lag_ms: gauge("ledger_ingest_lag_milliseconds", "How far the stored log is behind.")?,
            write_failures: gauge(
                "ledger_write_failures",
                "Journal writes that failed since the start.",
            )?,
            sync_failures: gauge(
                "ledger_sync_failures",
                "Journal syncs that failed since the start.",
            )?,
            late_syncs: gauge(
                "ledger_late_syncs",
                "Journal syncs since the start that took longer than half of sync_interval_ms.",
            )?,
            refused: gauge(
                "ledger_refused_decisions",
                "Requests since the start refused because their decision could not be recorded.",
            )?,
            disk_size_bytes: gauge(
                "ledger_disk_size_bytes",
                "Bytes of the disk that holds the state, used and free.",
            )?,
            disk_free_bytes: gauge(
                "ledger_disk_free_bytes",
                "Bytes free on the disk that holds the state.",
            )?,
            generation: gauge(
                "proxy_snapshot_generation",
                "Snapshots put in force since the start.",
            )?,
            reload_failures: gauge(
                "proxy_reload_failures",
                "Reloads since the start that kept the last good state.",
            )?,
            list_age_seconds: by_list(
                "categorizer_list_age_seconds",
                "Age of the list version in force.",
            )?,
            list_entries: by_list(
                "categorizer_list_entries",
                "Entries of the list version in force.",
            )?,
            open_tunnels: gauge("proxy_open_tunnels", "Tunnels that are open.")?,
            sign_ins_waiting: gauge(
                "proxy_sign_ins_waiting",
                "Sign-ins that wait for their password to be checked.",
            )?,
            sign_in_holds: gauge(
                "proxy_sign_in_holds",
                "Times since the start that sign-ins were held back for wrong passwords.",
            )?,
            break_glass_uses: gauge(
                "ledger_break_glass_uses",
                "Uses of the emergency code since it was made.",
            )?,
            break_glass_wrong: gauge(
                "ledger_break_glass_wrong",
                "Wrong emergency codes since it was made.",
            )?,
            account_lockouts: gauge(
                "ledger_account_lockouts",
                "Times that an administrator's account was locked, ever.",
            )?,
            one_person_refusals: gauge(
                "ledger_one_person_refusals",
                "Refusals because two accounts count as one person, ever.",
            )?,
        })
    }
}

impl Ops {
    /// # Errors
    /// [`prometheus::Error`] if two metrics have one name: a fault of this program.
    pub(crate) fn new(
        metrics: Metrics,
        current: Current,
        follower: Arc<Follower>,
        (journals, log_watch): (Arc<Journals>, Arc<LogWatch>),
        heartbeats: Arc<Heartbeats>,
        tunnels: Arc<crate::limit::Admission>,
        (verifier, scanner): (Arc<Verifier>, Arc<ScannerWatch>),
    ) -> prometheus::Result<Self> {
        let gauges = Gauges::new(&metrics)?;
        Ok(Self {
            metrics,
            gauges,
            current,
            follower,
            journals,
            log_watch,
            heartbeats,
            tunnels,
            verifier,
            scanner,
        })
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return reply(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".into());
        }
        match request.uri().path() {
            "/metrics" => self.metrics(),
            "/healthz" => reply(StatusCode::OK, TEXT, "alive\n".into()),
            "/readyz" => self.ready(),
            _ => reply(StatusCode::NOT_FOUND, TEXT, "/metrics, /healthz, /readyz\n".into()),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        self.set_gauges();
        let encoder = TextEncoder::new();
        let mut text = Vec::with_capacity(16 * 1024);
        match encoder.encode(&self.metrics.registry().gather(), &mut text) {
            Ok(()) => reply(StatusCode::OK, "text/plain; version=0.0.4", text.into()),
            Err(error) => {
                reply(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n").into())
            }
        }
    }

    fn set_gauges(&self) {
        let gauges = &self.gauges;
        let log = self.journals.status();
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        gauges.backlog_bytes.set(count(log.backlog_bytes));
        gauges.lag_ms.set(count(log.lag_ms));
        gauges.write_failures.set(count(log.write_failures));
        gauges.sync_failures.set(count(log.sync_failures));
        gauges.late_syncs.set(count(log.late_syncs));
        gauges.refused.set(count(log.refused));
        if let Some(disk) = self.log_watch.disk() {
            gauges.disk_size_bytes.set(count(disk.size_bytes));
            gauges.disk_free_bytes.set(count(disk.free_bytes));
        }
        gauges.open_tunnels.set(count(self.tunnels.open_tunnels() as u64));
        gauges.sign_ins_waiting.set(count(self.verifier.waiting() as u64));
        gauges.sign_in_holds.set(count(self.verifier.holds()));
        let status = self.follower.status();
        gauges.generation.set(count(status.swaps));
        gauges.reload_failures.set(count(status.refused));
        gauges.list_age_seconds.reset();
        gauges.list_entries.reset();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        for (name, at) in &status.lists {
            if let Some(at) = at {
                let age = now.saturating_sub(u64::try_from(at.0 / 1000).unwrap_or(0));
                gauges.list_age_seconds.with_label_values(&[name]).set(count(age));
            }
        }
        let snapshot = self.current.load();
        gauges.break_glass_uses.set(count(snapshot.changes.break_glass.uses));
        gauges.break_glass_wrong.set(count(snapshot.changes.break_glass.wrong));
        gauges.account_lockouts.set(count(snapshot.changes.lockouts));
        gauges.one_person_refusals.set(count(snapshot.changes.one_person_refusals));
        for (list, entries) in snapshot.index.lists() {
            gauges.list_entries.with_label_values(&[&list.name]).set(count(entries));
        }
    }

    /// Ready when policy, lists and log are usable and every worker comes round.
    fn ready(&self) -> Response<Full<Bytes>> {
        let log = self.journals.status();
        let log_usable =
            !log.sync_failing && !log.write_failing && log.backlog_bytes <= log.max_backlog_bytes;
        let status = self.follower.status();
        let workers = self.heartbeats.are_alive();
        let ready = log_usable && workers && status.following;
        let snapshot = self.current.load();
        // What was good before is still in force: these say why newer files are not.
        let problems: std::collections::BTreeMap<String, &String> =
            status.problems.iter().map(|(part, problem)| (part.to_string(), problem)).collect();
        let detail = serde_json::json!({
            "ready": ready,
            "workers": { "ok": workers },
            "policy": {
                "ok": status.following,
                "hash": &*snapshot.policy_hash,
                "generation": status.swaps,
            },
            "lists": { "ok": status.following, "version": snapshot.index.version() },
            "problems": problems,
            "restart": status.restart,
            "log": {
                "ok": log_usable,
                "backlog_bytes": log.backlog_bytes,
                "max_backlog_bytes": log.max_backlog_bytes,
                "lag_ms": log.lag_ms,
                "write_failures": log.write_failures,
                "sync_failures": log.sync_failures,
                "late_syncs": log.late_syncs,
                "refused": log.refused,
                "last_error": log.last_error,
            },
            // Whether files go on without it, the policy says.
            "virus_scanner": self.scanner.is_up().map(|ok| serde_json::json!({ "ok": ok })),
            // Not full yet is ready still: it is for whoever reads this to see to it.
            "disk": self.log_watch.disk().map(|disk| serde_json::json!({
                "size_bytes": disk.size_bytes,
                "free_bytes": disk.free_bytes,
                "used_percent": disk.used_percent(),
                "fullness": disk.fullness().as_str(),
            })),
        });
        let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        reply(code, "application/json", format!("{detail}\n").into())
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

fn reply(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Answers on a thread of its own until everything stops, so that it answers when workers do not.
///
/// # Errors
/// [`std::io::Error`] if no thread or runtime is to be had.
pub(crate) fn start(
    ops: Ops,
    listener: TcpListener,
    stop: watch::Receiver<Stop>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("ops".into())
        .spawn(move || runtime.block_on(serve(Arc::new(ops), listener, stop)))
}

async fn serve(ops: Arc<Ops>, listener: TcpListener, mut stop: watch::Receiver<Stop>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "metrics and health cannot be served");
            return;
        }
    };
    // Few clients are ever here; a bound keeps a stray scanner from taking descriptors.
    let places = Arc::new(tokio::sync::Semaphore::new(64));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            ended = stop.wait_for(|stop| *stop == Stop::Now) => {
                let _ = ended;
                return;
            }
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let ops = Arc::clone(&ops);
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let answer = ops.answer(&request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), answer);
            // A client that breaks off is its own affair.
            let _ = connection.await;
            drop(place);
        });
    }
}
