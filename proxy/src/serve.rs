//! Starting, signals and stopping.

use crate::alerting;
use crate::attest;
use crate::authority::{self, AuthorityError};
use crate::clamd::Scanner;
use crate::config::Config;
use crate::follow::{Follower, Serving};
use crate::headers::ViaName;
use crate::heartbeat::Heartbeats;
use crate::identify::Verifier;
use crate::limit::{Admission, Bounds};
use crate::listen;
use crate::log_watch::LogWatch;
use crate::ops::{self, Ops};
use crate::record::now;
use crate::resolve::ResolveRules;
use crate::room::Room;
use crate::roots;
use crate::scanner_watch::ScannerWatch;
use crate::snapshot::{Current, Snapshot, SnapshotError};
use crate::telemetry::Metrics;
use crate::upstream_tls::{UpstreamTls, UpstreamTlsError};
use crate::worker::{self, Shared, Stop};
use ledger::changes::{ACTOR_DAEMON, AppendError, ChangeLog};
use ledger::ingest::{Settings, StartError, Writer};
use ledger::journal::JournalSettings;
use rules::change::Event;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Bytes of windows of content codings that are held at once beside the first of each body. They fill with what is
/// decoded, so that a page counts for no more than its own length.
const MOST_WINDOWS: u64 = 256 << 20;
/// Of those for one client: one of the largest there are, or many pages.
const MOST_WINDOWS_OF_CLIENT: u64 = MOST_WINDOWS / 16;

/// Bytes that are kept at once of the bodies of requests while a site may say that it did not look at them.
const MOST_BODIES: u64 = 64 << 20;
/// Of those for one client: 64 bodies.
const MOST_BODIES_OF_CLIENT: u64 = MOST_BODIES / 16;

/// Why the proxy does not serve.
#[derive(Debug, Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; if another filter serves there (`schoolgate status` tells), this one is not \
         needed; else stop what uses it, or choose another address in [listen]"
    )]
    Listen {
        /// Address.
        address: SocketAddr,
        /// Cause.
        source: io::Error,
    },
    /// The access log.
    #[error(transparent)]
    Log(#[from] StartError),
    /// The change log.
    #[error(transparent)]
    Changes(#[from] AppendError),
    /// Policy or lists.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A thread, runtime or signal handler.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Cause.
        source: io::Error,
    },
    /// Metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The certificate authority cannot be used.
    #[error("the certificate authority cannot be used: {0}")]
    Authority(#[from] AuthorityError),
    /// What TLS to sites is verified with cannot be read.
    #[error(transparent)]
    UpstreamTls(#[from] UpstreamTlsError),
    /// The thread that makes checkpoints.
    #[error("the thread that makes checkpoints: {0}")]
    Attest(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The thread that tells of alerts.
    #[error("the thread that tells of alerts: {0}")]
    Alerts(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A worker stopped by itself.
    #[error("a worker stopped; see the log, then restart")]
    WorkerStopped,
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServeError {
    move |source| ServeError::System { what, source }
}

/// A running proxy: for `schoolgate serve`, and for tests in one process (port 0).
pub struct Running {
    proxy: Vec<SocketAddr>,
    ops: Option<SocketAddr>,
    config: Arc<Config>,
    stop: watch::Sender<Stop>,
    workers: Vec<JoinHandle<io::Result<()>>>,
    ops_thread: Option<JoinHandle<()>>,
    attest_thread: Option<JoinHandle<()>>,
    alerts_thread: Option<JoinHandle<()>>,
    follower: Arc<Follower>,
    heartbeats: Arc<Heartbeats>,
    log_watch: Option<JoinHandle<()>>,
    writer: Option<Writer>,
}

/// Starts everything and returns once requests are answered. Blocks; may be called inside or
/// outside of a runtime.
///
/// # Errors
/// [`ServeError`]; nothing is left running.
pub fn start(config: Config) -> Result<Running, ServeError> {
    raise_open_files();
    let config = Arc::new(config);
    let settings = Settings {
        journal: JournalSettings {
            sync_interval_ms: config.log.sync_interval_ms,
            max_backlog_bytes: config.log.max_backlog_bytes,
            ..JournalSettings::default()
        },
        squid: ledger::squid::Paths {
            native: config.log.squid.clone(),
            extended: config.log.squid_ext.clone(),
        },
        ..Settings::default()
    };
    let workers = config.listen.workers.unwrap_or_else(cores).max(1);
    let listening = Listening::bind(&config, workers)?;
    let writer = Writer::start(&config.state, settings)?;
    // The folder is ours now: what an earlier run had in force says nothing of this one.
    Serving::remove(&config.state);
    let snapshot = on_own_thread({
        let config = Arc::clone(&config);
        let recovered = writer.recovered().event();
        async move { load(&config, recovered).await }
    })?;
    let current: Current = Arc::new(arc_swap::ArcSwap::from_pointee(snapshot));
    let follower = Follower::start(Arc::clone(&config), Arc::clone(&current))
        .map_err(system("the thread that follows changes"))?;
    let follower = Arc::new(follower);
    let authority = authority::Live::open(
        &config.state,
        config.ca.passphrase_file.as_deref(),
        config.limits.minted_certificates,
    )?;
    let authority = Arc::new(authority);
    let roots = roots::load(&config.upstream).map_err(UpstreamTlsError::from)?;
    let upstream_tls = UpstreamTls::new(roots, &config.upstream.crl_files)?;
    let metrics = Metrics::new()?;
    let heartbeats = Heartbeats::new(workers);
    let admission = Admission::new(Bounds {
        connections: config.limits.max_connections,
        connections_per_client: config.limits.max_connections_per_client,
        tunnels: config.limits.max_tunnels,
        unread_streams: config.limits.max_unread_streams,
    });
    let (stop, stopped) = watch::channel(Stop::No);
    let scanner = config.scanner.clone().map(Scanner::new);
    let shared = Shared {
        verifier: Verifier::start(config.limits.password_checks, config.limits.password_queue)
            .map_err(system("the threads that check passwords"))?,
        resolve_rules: Arc::new(resolve_rules(&config, &listening)),
        upstream_tls: Arc::new(upstream_tls),
        authority: Arc::clone(&authority),
        visits: Arc::default(),
        via: ViaName::new(
            &config.listen.name,
            RandomState::new().build_hasher().finish(),
            config.listen.via_inside,
        ),
        config: Arc::clone(&config),
        current: Arc::clone(&current),
        journals: Arc::clone(writer.shared()),
        journal_folder: config.state.join("journal"),
        metrics: metrics.clone(),
        heartbeats: Arc::clone(&heartbeats),
        scanner: scanner.clone(),
        windows: Room::new(MOST_WINDOWS, MOST_WINDOWS_OF_CLIENT),
        bodies: Room::new(MOST_BODIES, MOST_BODIES_OF_CLIENT),
        workers,
        admission: Arc::clone(&admission),
        stop: stopped.clone(),
    };
    follow_authority(authority, stopped.clone()).map_err(system("the thread of the authority"))?;
    let watched = (Arc::clone(writer.shared()), Arc::clone(&shared.verifier));
    let (log_watch, watching) = LogWatch::start(config.state.clone(), watched, stopped.clone())
        .map_err(system("the thread that watches the log"))?;
    let (proxy, ops_address) = (listening.proxy.clone(), listening.ops_address);
    let attesting = attest::Attesting {
        config: Arc::clone(&config),
        current: Arc::clone(&current),
        heads: writer.heads(),
    };
    let alerting =
        alerting::Alerting { config: Arc::clone(&config), current: Arc::clone(&current) };
    let mut running = Running {
        proxy,
        ops: ops_address,
        config,
        stop,
        workers: Vec::with_capacity(workers),
        ops_thread: None,
        attest_thread: None,
        alerts_thread: None,
        follower: Arc::clone(&follower),
        heartbeats: Arc::clone(&heartbeats),
        log_watch: Some(watching),
        writer: Some(writer),
    };
    let (journals, verifier) = (Arc::clone(&shared.journals), Arc::clone(&shared.verifier));
    for (number, listeners) in listening.by_worker.into_iter().enumerate() {
        let shared = shared.clone();
        let worker = std::thread::Builder::new()
            .name(format!("worker-{number}"))
            // A policy of the starter's size and a hyper connection need far less.
            .spawn(move || {
                worker::run(u16::try_from(number).unwrap_or(u16::MAX), shared, listeners)
            })
            .map_err(system("a worker's thread"))?;
        running.workers.push(worker);
    }
    let attest_thread = attest::start(attesting, &metrics, stopped.clone());
    running.attest_thread = Some(attest_thread.map_err(|error| ServeError::Attest(error.into()))?);
    let alerts_thread = alerting::start(alerting, &metrics, stopped.clone());
    running.alerts_thread = Some(alerts_thread.map_err(|error| ServeError::Alerts(error.into()))?);
    let scanner_watch = Arc::new(ScannerWatch::new(scanner, &metrics)?);
    scanner_watch
        .start(stopped.clone())
        .map_err(system("the thread that asks after the virus scanner"))?;
    if let Some(listener) = listening.ops {
        let log = (journals, log_watch);
        let watched = (verifier, scanner_watch);
        let ops = Ops::new(metrics, current, follower, log, heartbeats, admission, watched)?;
        running.ops_thread =
            Some(ops::start(ops, listener, stopped).map_err(system("the ops thread"))?);
    }
    Ok(running)
}

/// Looks for another authority each second, until everything stops.
fn follow_authority(
    authority: Arc<authority::Live>,
    stopped: watch::Receiver<Stop>,
) -> io::Result<()> {
    const REST: Duration = Duration::from_secs(1);
    let following = move || {
        let mut told = false;
        // Nobody joins this thread: it holds nothing that must be put away, and ends within a rest.
        while *stopped.borrow() == Stop::No && stopped.has_changed().is_ok() {
            match authority.follow() {
                Some(Ok(())) => {
                    told = false;
                    tracing::info!(
                        "certificate authorities read anew; `schoolgate ca show` says which one signs"
                    );
                }
                Some(Err(error)) if !told => {
                    told = true;
                    tracing::error!(%error, fix = error.fix(), "the authority was not changed");
                }
                Some(Err(_)) | None => {}
            }
            std::thread::sleep(REST);
        }
    };
    std::thread::Builder::new().name("authority".to_owned()).spawn(following).map(drop)
}

impl Running {
    /// The addresses of the proxy, ports filled in.
    #[must_use]
    pub fn proxy_addresses(&self) -> &[SocketAddr] {
        &self.proxy
    }

    /// The address of `/metrics`, `/healthz` and `/readyz`, where it is served.
    #[must_use]
    pub fn ops_address(&self) -> Option<SocketAddr> {
        self.ops
    }

    /// Looks at the policy, lists and changes now instead of at the next poll.
    pub fn reload(&self) {
        self.follower.reload_now();
    }

    /// Takes no more connections, lets open exchanges finish for `limits.drain_timeout_ms`, then
    /// ends what is left and stores every record.
    pub fn drain(self) {
        self.finish(Stop::Drain);
    }

    /// Ends everything now and stores every record.
    pub fn stop(self) {
        self.finish(Stop::Now);
    }

    fn finish(mut self, stop: Stop) {
        self.stop.send_replace(stop);
        self.join();
    }

    /// Waits for the workers, then stores what they left.
    fn join(&mut self) {
        for worker in self.workers.drain(..) {
            match worker.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a worker stopped"),
                Err(_) => tracing::error!("a worker stopped by a panic"),
            }
        }
        self.stop.send_replace(Stop::Now);
        if let Some(ops) = self.ops_thread.take()
            && ops.join().is_err()
        {
            tracing::error!("the ops thread stopped by a panic");
        }
        if let Some(attest) = self.attest_thread.take()
            && attest.join().is_err()
        {
            tracing::error!("the thread that makes checkpoints stopped by a panic");
        }
        if let Some(alerts) = self.alerts_thread.take()
            && alerts.join().is_err()
        {
            tracing::error!("the thread that tells of alerts stopped by a panic");
        }
        if let Some(watch) = self.log_watch.take()
            && watch.join().is_err()
        {
            tracing::error!("the thread that watches the log stopped by a panic");
        }
        if let Some(writer) = self.writer.take() {
            Serving::remove(&self.config.state);
            writer.stop();
            let config = Arc::clone(&self.config);
            if let Err(error) = on_own_thread(async move { note_stop(&config).await }) {
                tracing::error!(%error, "the stop could not be noted in the change log");
            }
        }
    }

    fn a_worker_has_stopped(&self) -> bool {
        self.workers.iter().any(JoinHandle::is_finished)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(Stop::Now);
        self.join();
    }
}

/// How long a start that is told to end may go on, for it may answer already.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT: the first drains, a second ends at once. SIGHUP reloads. Told to end while
/// it still loads, it ends soon. `ready` is called with the running proxy once it answers.
///
/// # Errors
/// [`ServeError`].
pub fn serve(config: Config, ready: impl FnOnce(&Running)) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("the main runtime"))?;
    // Before anything answers: whoever sees that the filter is ready may ask it to reload at once, and a
    // signal that nobody takes ends the process.
    let mut signals = {
        let _within = runtime.enter();
        Signals::take()?
    };
    let mut starting = runtime.spawn_blocking(move || start(config));
    let (started, is_to_end) = runtime.block_on(async {
        tokio::select! {
            biased;
            started = &mut starting => (Some(started), false),
            () = signals.end.any() => {
                (tokio::time::timeout(LAST_MOMENT, starting).await.ok(), true)
            }
        }
    });
    let Some(started) = started else {
        // It does not answer yet. What is under way ends with the process, as in a power cut.
        runtime.shutdown_background();
        return Ok(());
    };
    let running =
        started.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))?;
    let watched = if is_to_end {
        Watched::Asked(signals.end)
    } else {
        ready(&running);
        notify(&[sd_notify::NotifyState::Ready]);
        runtime.block_on(watch(&running, signals))
    };
    notify(&[sd_notify::NotifyState::Stopping]);
    match watched {
        Watched::Asked(mut again) => {
            tracing::info!("stopping: open exchanges may finish");
            let stop = running.stop.clone();
            stop.send_replace(Stop::Drain);
            let joined = std::thread::spawn(move || running.finish(Stop::Drain));
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        () = again.any() => { stop.send_replace(Stop::Now); }
                        () = tokio::time::sleep(Duration::from_millis(20)) => {}
                    }
                    if joined.is_finished() {
                        return;
                    }
                }
            });
            Ok(())
        }
        Watched::WorkerStopped => {
            running.stop();
            Err(ServeError::WorkerStopped)
        }
    }
}

enum Watched {
    Asked(Terminations),
    WorkerStopped,
}

struct Terminations {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Terminations {
    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The signals that are acted on.
struct Signals {
    end: Terminations,
    reload: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes them from now on; within a runtime.
    fn take() -> Result<Self, ServeError> {
        let on = |kind| signal(kind).map_err(system("a signal handler"));
        let end = Terminations {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        };
        Ok(Self { end, reload: on(SignalKind::hangup())? })
    }
}

async fn watch(running: &Running, Signals { mut end, mut reload }: Signals) -> Watched {
    // Half of what systemd asks for, so that one late turn is no restart.
    let every = sd_notify::watchdog_enabled().map_or(Duration::from_secs(1), |period| period / 2);
    let mut beat = tokio::time::interval(every.min(Duration::from_secs(1)));
    loop {
        tokio::select! {
            () = end.any() => return Watched::Asked(end),
            _ = reload.recv() => running.reload(),
            _ = beat.tick() => {
                if running.a_worker_has_stopped() {
                    return Watched::WorkerStopped;
                }
                if running.heartbeats.are_alive() {
                    notify(&[sd_notify::NotifyState::Watchdog]);
                }
            }
        }
    }
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(states);
}

/// The sockets of a start.
struct Listening {
    proxy: Vec<SocketAddr>,
    by_worker: Vec<Vec<std::net::TcpListener>>,
    ops: Option<std::net::TcpListener>,
    ops_address: Option<SocketAddr>,
}

impl Listening {
    fn bind(config: &Config, workers: usize) -> Result<Self, ServeError> {
        let bind = |address, copies| {
            listen::bind(address, copies).map_err(|source| ServeError::Listen { address, source })
        };
        let mut listening = Self {
            proxy: Vec::new(),
            by_worker: (0..workers).map(|_| Vec::new()).collect(),
            ops: None,
            ops_address: None,
        };
        for address in &config.listen.proxy {
            let (bound, listeners) = bind(*address, workers)?;
            listening.proxy.push(bound);
            for (worker, listener) in listening.by_worker.iter_mut().zip(listeners) {
                worker.push(listener);
            }
        }
        if let Some(address) = config.listen.ops {
            let (bound, mut listeners) = bind(address, 1)?;
            listening.ops_address = Some(bound);
            listening.ops = listeners.pop();
        }
        Ok(listening)
    }
}

fn resolve_rules(config: &Config, listening: &Listening) -> ResolveRules {
    let hosts = config.upstream.hosts.iter();
    ResolveRules {
        hosts: hosts.map(|(host, addresses)| (host.clone(), addresses.clone())).collect(),
        allow_private: config.upstream.allow_private.clone(),
        own: listening.proxy.iter().copied().chain(listening.ops_address).collect(),
        timeout_ms: config.limits.dns_timeout_ms,
        cache_entries: config.limits.dns_cache_entries as u64,
    }
}

/// Loads what decides, and notes the start in the change log, with what an earlier process left.
async fn load(config: &Config, recovered: Option<Event>) -> Result<Snapshot, ServeError> {
    let log = ChangeLog::open(&config.state).await?;
    // The words of themes take longer to compile than all else here: they are compiled beside it.
    let words = std::thread::Builder::new().name("start-words".into());
    let words = words.spawn(crate::policy_file::shipped_themes).map_err(system("a thread"))?;
    crate::demo::add_users(config, &log, now()).await?;
    let snapshot = Snapshot::load_to_serve(config, &log, now()).await?;
    // No request waits for them, and a school that has words of its own needs no others.
    snapshot.themes.make_ready();
    words
        .join()
        .map_err(|_| system("the words of themes")(io::Error::other("stopped by a panic")))?;
    crate::leftovers::are_given_back();
    let event = Event::ServeStarted {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy_hash: snapshot.policy_hash.to_string(),
        list_version: snapshot.index.version().to_owned(),
    };
    log.append(now(), ACTOR_DAEMON, event).await?;
    if let Some(recovered) = recovered {
        log.append(now(), ACTOR_DAEMON, recovered).await?;
    }
    Ok(snapshot)
}

async fn note_stop(config: &Config) -> Result<(), ServeError> {
    ChangeLog::open(&config.state)
        .await?
        .append(now(), ACTOR_DAEMON, Event::ServeStopped {})
        .await?;
    Ok(())
}

/// Runs a future to its end on a thread of its own: the caller may be inside a runtime.
fn on_own_thread<T: Send + 'static, F>(future: F) -> Result<T, ServeError>
where
    F: Future<Output = Result<T, ServeError>> + Send + 'static,
{
    let thread = std::thread::Builder::new().name("start".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(system("a runtime"))?.block_on(future)
    });
    let joined = thread.map_err(system("a thread"))?.join();
    joined.unwrap_or_else(|_| Err(system("loading")(io::Error::other("stopped by a panic"))))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Asks for as many open files as the system allows: each connection needs one or two.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}
