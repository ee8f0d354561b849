//! One worker: a thread with its own runtime, listeners, pool, resolver and journal. Nothing of a
//! request leaves it, so nothing is locked.

use crate::authority::{self, Minter};
use crate::certificates::Certificates;
use crate::clamd::Scanner;
use crate::config::Config;
use crate::dials::Dials;
use crate::fair::Fairness;
use crate::headers::ViaName;
use crate::heartbeat::Heartbeats;
use crate::http2;
use crate::identify::Verifier;
use crate::limit::Admission;
use crate::listen;
use crate::live::{Registry, SeatLimits};
use crate::pool::{Pool, PoolLimits};
use crate::pump::Pump;
use crate::record::now;
use crate::resolve::{ResolveRules, Resolver};
use crate::room::Room;
use crate::snapshot::Current;
use crate::telemetry::{Meters, Metrics};
use crate::time_slice;
use crate::upstream_tls::UpstreamTls;
use crate::view::View;
use crate::visits::Visits;
use hyper::header::HeaderValue;
use jiff::fmt::rfc2822::DateTimePrinter;
use ledger::journal::Journal;
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// Wait between two looks at what is overdue; also the longest that a record's end stays buffered.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two looks at whether open exchanges are still allowed.
const TICKS_TO_ASK_AGAIN: u64 = 5;

/// Bytes read of a head at once.
const SCRATCH_BYTES: usize = 16 * 1024;

/// How far a stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Serving.
    No,
    /// No new connections; open ones may finish.
    Drain,
    /// Everything ends.
    Now,
}

/// What every worker is given.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) current: Current,
    pub(crate) journals: Arc<ledger::journal::Shared>,
    pub(crate) journal_folder: PathBuf,
    pub(crate) metrics: Metrics,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) resolve_rules: Arc<ResolveRules>,
    pub(crate) upstream_tls: Arc<UpstreamTls>,
    pub(crate) authority: Arc<authority::Live>,
    pub(crate) via: ViaName,
    pub(crate) visits: Arc<Visits>,
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) scanner: Option<Scanner>,
    /// Room for the windows of content codings that are taken off answers.
    pub(crate) windows: Arc<Room>,
    /// Room for what is kept of the bodies of requests, to be sent again.
    pub(crate) bodies: Arc<Room>,
    /// How many workers there are.
    pub(crate) workers: usize,
    pub(crate) stop: watch::Receiver<Stop>,
}

/// One worker's own things.
pub(crate) struct Worker {
    pub(crate) config: Arc<Config>,
    pub(crate) journal: Rc<Journal>,
    pub(crate) registry: Rc<Registry>,
    pub(crate) pool: Rc<Pool>,
    pub(crate) resolver: Resolver,
    pub(crate) meters: Meters,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) via: ViaName,
    /// Pages that are being loaded.
    pub(crate) visits: Arc<Visits>,
    pub(crate) client_http: hyper::server::conn::http1::Builder,
    pub(crate) client_http2: h2::server::Builder,
    pub(crate) upstream_http: hyper::client::conn::http1::Builder,
    pub(crate) upstream_http2: h2::client::Builder,
    /// TLS to sites.
    pub(crate) upstream_tls: Arc<UpstreamTls>,
    /// Certificates of sites.
    pub(crate) certificates: Certificates,
    /// Connections to sites that are being made.
    pub(crate) dials: Rc<Dials>,
    /// Where heads are read to before hyper gets them: one for all connections of the worker.
    pub(crate) scratch: RefCell<Box<[u8]>>,
    /// What scoring a text needs, kept from one to the next.
    pub(crate) theme_scratch: Rc<RefCell<categorizer::theme::Scratch>>,
    /// Room for the windows of content codings that are taken off answers.
    pub(crate) windows: Arc<Room>,
    /// Room for what is kept of the bodies of requests, to be sent again.
    pub(crate) bodies: Arc<Room>,
    /// Scans files for viruses, where the machine file says by what.
    pub(crate) scanner: Option<Scanner>,
    /// Shares the worker's time among its clients.
    pub(crate) fairness: Rc<Fairness>,
    /// Moves the bytes of tunnels.
    pub(crate) pump: Pump,
    authority: Arc<authority::Live>,
    current: Current,
    metrics: Metrics,
    view: RefCell<Rc<View>>,
    views: Cell<u64>,
    /// The second of `Date`, and how it is written.
    date: RefCell<Option<(i64, HeaderValue)>>,
    started: Instant,
    number: u16,
    heartbeats: Arc<Heartbeats>,
}

impl Worker {
    fn new(number: u16, shared: &Shared) -> std::io::Result<Self> {
        let config = Arc::clone(&shared.config);
        let limits = &config.limits;
        let registry = Registry::new();
        let pool_limits = PoolLimits {
            idle_ms: limits.pool_idle_timeout_ms,
            per_host: limits.pool_max_idle_per_host,
        };
        let mut client_http = hyper::server::conn::http1::Builder::new();
        client_http
            // The registry's sweep has these limits, without a timer for each connection.
            .header_read_timeout(None)
            .max_headers(limits.max_headers)
            .max_header_size(limits.max_head_bytes);
        let mut upstream_http = hyper::client::conn::http1::Builder::new();
        upstream_http
            .max_headers(limits.max_headers)
            .max_header_size(limits.max_head_bytes)
            // They are taken out (RFC 9112, 5.1).
            .allow_spaces_after_header_name_in_responses(true);
        let view = View::new(shared.current.load_full(), 0, &shared.metrics);
        Ok(Self {
            journal: Journal::open(&shared.journal_folder, number, &shared.journals)?,
            pool: Pool::new(&registry, pool_limits),
            registry,
            resolver: Resolver::new(Arc::clone(&shared.resolve_rules)),
            meters: shared.metrics.meters(usize::from(number)),
            verifier: Arc::clone(&shared.verifier),
            admission: Arc::clone(&shared.admission),
            via: shared.via.clone(),
            visits: Arc::clone(&shared.visits),
            client_http,
            client_http2: http2::server(limits),
            upstream_http,
            upstream_http2: http2::client(limits),
            upstream_tls: Arc::clone(&shared.upstream_tls),
            certificates: Certificates::default(),
            dials: Rc::default(),
            authority: Arc::clone(&shared.authority),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
            theme_scratch: Rc::default(),
            windows: Arc::clone(&shared.windows),
            bodies: Arc::clone(&shared.bodies),
            scanner: shared.scanner.clone(),
            fairness: Rc::default(),
            pump: Pump::new(shared.workers),
            current: Arc::clone(&shared.current),
            metrics: shared.metrics.clone(),
            view: RefCell::new(view),
            views: Cell::new(0),
            date: RefCell::default(),
            started: Instant::now(),
            number,
            heartbeats: Arc::clone(&shared.heartbeats),
            config,
        })
    }

    /// The view of the snapshot in force.
    pub(crate) fn view(&self) -> Rc<View> {
        {
            let view = self.view.borrow();
            if std::ptr::eq(&raw const **self.current.load(), &raw const *view.snapshot) {
                return Rc::clone(&view);
            }
        }
        let generation = self.views.get() + 1;
        self.views.set(generation);
        let view = View::new(self.current.load_full(), generation, &self.metrics);
        self.view.replace(Rc::clone(&view));
        view
    }

    /// This second as `Date` has it (RFC 9110, 5.6.7).
    pub(crate) fn date(&self) -> Option<HeaderValue> {
        let second = now().0.div_euclid(1000);
        let mut known = self.date.borrow_mut();
        if let Some((of, written)) = &*known
            && *of == second
        {
            return Some(written.clone());
        }
        let time = jiff::Timestamp::from_second(second).ok()?;
        let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()?;
        let written = HeaderValue::try_from(text).ok()?;
        *known = Some((second, written.clone()));
        Some(written)
    }

    /// Whether tunnels can be looked into.
    pub(crate) fn has_minter(&self) -> bool {
        self.authority.minter().is_some()
    }

    /// What makes certificates, if the school has an authority.
    pub(crate) fn minter(&self) -> Option<Arc<Minter>> {
        self.authority.minter()
    }

    /// What is due on every tick.
    fn tick(&self, ticks: u64) {
        self.registry
            .set_now_ms(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.heartbeats.beat(usize::from(self.number));
        self.journal.flush();
        let limits = &self.config.limits;
        self.registry.end_overdue(SeatLimits {
            idle_ms: limits.client_idle_timeout_ms,
            head_ms: limits.header_read_timeout_ms,
        });
        let asked_under = self.views.get();
        let view = self.view();
        if self.views.get() != asked_under || ticks.is_multiple_of(TICKS_TO_ASK_AGAIN) {
            self.ask_again(&view);
        }
        if ticks.is_multiple_of(10) {
            self.pool.close_stale();
            self.pump.rest();
        }
        self.report(&view);
    }

    /// Cuts open exchanges that the policy, a change or the clock has closed since.
    fn ask_again(&self, view: &View) {
        let at = now();
        let cut = self.registry.cut_forbidden(|facts, open| view.still_allows(facts, open, at));
        self.meters.cut.inc_by(cut as u64);
    }

    fn report(&self, view: &View) {
        view.flush();
        self.meters.flush();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.meters.open_connections.set(count(self.registry.open_seats()));
        self.meters.open_exchanges.set(count(self.registry.open_exchanges()));
        self.meters.idle_upstreams.set(count(self.pool.len()));
    }
}

/// Runs a worker on the current thread until it is told to stop.
///
/// # Errors
/// [`std::io::Error`] if its runtime or journal cannot be had.
pub(crate) fn run(
    number: u16,
    shared: Shared,
    listeners: Vec<std::net::TcpListener>,
) -> std::io::Result<()> {
    if let Err(error) = time_slice::shorten() {
        tracing::debug!(%error, "workers keep the usual time slice");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())?;
    runtime.block_on(async move {
        let worker = Rc::new(Worker::new(number, &shared)?);
        tokio::task::spawn_local(Rc::clone(&worker.fairness).usher());
        let mut accepting = Vec::new();
        for listener in listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            accepting.push(tokio::task::spawn_local(listen::accept(Rc::clone(&worker), listener)));
        }
        let mut stop = shared.stop.clone();
        let drain_timeout = Duration::from_millis(worker.config.limits.drain_timeout_ms);
        drop(shared);
        serve_until(&worker, &mut stop, Stop::Drain, None).await;
        accepting.iter().for_each(tokio::task::JoinHandle::abort);
        worker.registry.begin_drain();
        serve_until(&worker, &mut stop, Stop::Now, Some(drain_timeout)).await;
        worker.registry.stop_all();
        // One turn, so that the stopped connections are dropped and their records end.
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        worker.tick(0);
        Ok(())
    })
}

/// Ticks until the stop has come so far; with a time limit, until nothing is open either.
async fn serve_until(
    worker: &Worker,
    stop: &mut watch::Receiver<Stop>,
    wanted: Stop,
    at_most: Option<Duration>,
) {
    let begun = Instant::now();
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0u64;
    loop {
        tokio::select! {
            _ = interval.tick() => {
                worker.tick(ticks);
                ticks += 1;
                if let Some(at_most) = at_most
                    && (begun.elapsed() >= at_most || worker.registry.open_seats() == 0)
                {
                    return;
                }
            }
            // A sender that has gone is a stop.
            changed = stop.changed() => if changed.is_err() { return },
        }
        let reached = *stop.borrow();
        if reached == wanted || reached == Stop::Now {
            return;
        }
    }
}
