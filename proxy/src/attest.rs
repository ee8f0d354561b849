//! The thread that states, at the start and each hour, what the filter is and does, and has a
//! checkpoint signed over it and brought to its second places.
//!
//! What fails is told in the log, recorded once as an event, shown by `status`, `doctor` and the
//! metrics, and tried again each minute.

mod facts;

use crate::config::{AuditSettings, Config};
use crate::record::now;
use crate::snapshot::Current;
use crate::telemetry::Metrics;
use crate::webhook;
use crate::worker::Stop;
use jiff::civil::Date;
use ledger::alerts::AlertStore;
use ledger::changes::{ACTOR_DAEMON, AppendError, ChangeLog};
use ledger::evidence::gaps::EVERY_MS;
use ledger::evidence::places::{self, Places};
use ledger::evidence::signer::{SignError, Signer};
use ledger::ingest::Heads;
use ledger::retention;
use prometheus::IntGauge;
use rules::change::{Attestation, Event};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two looks whether something is due.
const REST: Duration = Duration::from_millis(200);

/// Between two attempts at what failed.
const RETRY: Duration = Duration::from_secs(60);

/// Longest wait for the ingest thread to make everything durable.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Days made anew without the rows of a class whose time is up, after one checkpoint: each takes about a
/// minute in a large school, and checkpoints must not wait.
const MOST_PARTS: usize = 10;

/// The media type of a checkpoint.
const NOTE_KIND: &str = "text/plain; charset=utf-8";

/// What stands above the checkpoint in a mail.
const MAIL_TEXT: &str = "\
Keep this mail. It fixes what the filtering log says up to now: whoever changes the log
afterwards cannot make it fit these lines. To compare, save them in a file and run
`schoolgate audit verify --against FILE` on the filter.
";

/// What recipients are called in messages.
fn mail_place(audit: &AuditSettings) -> String {
    let addresses = audit.mail_to.iter().map(|to| to.email.to_string());
    format!("mail to {}", addresses.collect::<Vec<_>>().join(", "))
}

/// What the thread works with.
pub(crate) struct Attesting {
    pub(crate) config: Arc<Config>,
    pub(crate) current: Current,
    pub(crate) heads: Heads,
}

/// The file with which a command asks the running filter for a checkpoint now.
#[must_use]
pub fn wanted_path(state: &Path) -> PathBuf {
    ledger::evidence::folder(state).join("wanted")
}

/// Starts the thread; it ends soon after everything stops.
pub(crate) fn start(
    attesting: Attesting,
    metrics: &Metrics,
    stopped: watch::Receiver<Stop>,
) -> Result<std::thread::JoinHandle<()>, StartError> {
    let gauges = Gauges::new(metrics)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("attest".to_owned());
    Ok(thread.spawn(move || runtime.block_on(Attestor::new(attesting, gauges).run(stopped)))?)
}

/// Why the thread cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

struct Gauges {
    signed_at: IntGauge,
    problems: IntGauge,
}

impl Gauges {
    fn new(metrics: &Metrics) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            metrics.registry().register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        Ok(Self {
            signed_at: gauge(
                "ledger_checkpoint_timestamp_seconds",
                "When the last checkpoint was signed, in seconds since 1970.",
            )?,
            problems: gauge(
                "ledger_checkpoint_problems",
                "Checkpoints that cannot be signed, and second places that cannot be reached.",
            )?,
        })
    }
}

struct Attestor {
    with: Attesting,
    gauges: Gauges,
    /// When the last statement was made, and on which school day.
    stated: Option<(Instant, Date)>,
    /// What it said.
    said: Option<Attestation>,
    /// How the log of alerts stood then.
    alerts: Option<String>,
    places: Places,
    /// Not before then.
    next_try: Option<Instant>,
    next_delivery: Option<Instant>,
    /// Failures that stand in the change log already.
    recorded: HashSet<(String, String)>,
    /// The school day on which what is over was erased last.
    erased_on: Option<Date>,
}

impl Attestor {
    fn new(with: Attesting, gauges: Gauges) -> Self {
        let places = Places::read(&with.config.state).unwrap_or_default();
        Self {
            with,
            gauges,
            stated: None,
            said: None,
            alerts: None,
            places,
            next_try: None,
            next_delivery: None,
            recorded: HashSet::new(),
            erased_on: None,
        }
    }

    async fn run(mut self, mut stopped: watch::Receiver<Stop>) {
        self.forget_other_places();
        let wanted = wanted_path(&self.with.config.state);
        while *stopped.borrow() == Stop::No && stopped.has_changed().is_ok() {
            let is_wanted = wanted.exists();
            if (is_wanted || self.is_due()) && is_time(self.next_try) {
                // Removed first: one who asks from now on gets another.
                let _ = std::fs::remove_file(&wanted);
                self.state_and_sign(&stopped).await;
            }
            if is_time(self.next_delivery) {
                // A place that does not answer must not keep the program from ending.
                tokio::select! {
                    () = self.deliver() => {}
                    _ = stopped.changed() => {}
                }
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// At the start, each hour, and as the school's day changes.
    fn is_due(&self) -> bool {
        let Some((at, day)) = self.stated else { return true };
        at.elapsed() >= Duration::from_millis(EVERY_MS as u64) || day != self.today()
    }

    fn today(&self) -> Date {
        self.with.current.load().policy.clock().day(now())
    }

    async fn state_and_sign(&mut self, stopped: &watch::Receiver<Stop>) {
        let day = self.today();
        match self.try_to_sign().await {
            Ok(()) => {
                self.stated = Some((Instant::now(), day));
                self.next_try = None;
                self.next_delivery = Some(Instant::now());
                self.places.problem = None;
                self.places.signed_at = Some(now());
                self.forget_failures("signing");
                // After the checkpoint: nothing is erased that none covers.
                if self.erased_on != Some(day) && self.erase_what_is_over(stopped).await {
                    self.erased_on = Some(day);
                }
            }
            Err(why) => {
                self.next_try = Some(Instant::now() + RETRY);
                self.places.problem = Some(why.clone());
                self.failed("signing", &why).await;
            }
        }
        self.publish();
    }

    /// Erases the days whose time is up by the policy in force; `false`: it is to be tried again.
    async fn erase_what_is_over(&self, stopped: &watch::Receiver<Stop>) -> bool {
        let (config, snapshot) = (&self.with.config, self.with.current.load_full());
        let log = match ChangeLog::open(&config.state).await {
            Ok(log) => log,
            Err(error) => {
                tracing::error!(%error, "records that are over cannot be erased");
                return false;
            }
        };
        let order = retention::Order {
            clock: snapshot.policy.clock(),
            keep: snapshot.policy.keep(),
            now: now(),
            actor: ACTOR_DAEMON,
            dry_run: false,
            most_parts: MOST_PARTS,
            over_gaps: false,
            stop: &|| *stopped.borrow() != Stop::No,
        };
        match retention::run(&config.state, &log, order).await {
            Ok(outcome) => {
                let (erased, finished) = (outcome.erased.len(), outcome.finished.len());
                let (parts, kept) = (outcome.parts.len(), outcome.kept.len());
                tracing::info!(erased, finished, parts, kept, "days whose time is up");
                // The others with the next checkpoint.
                !outcome.more
            }
            Err(error) => {
                tracing::error!(%error, "records that are over cannot be erased");
                false
            }
        }
    }

    async fn try_to_sign(&mut self) -> Result<(), String> {
        let (config, snapshot) = (Arc::clone(&self.with.config), self.with.current.load_full());
        let heads = self.with.heads.clone();
        let asked = tokio::task::spawn_blocking(move || heads.ask(HEAD_TIMEOUT)).await;
        let access = asked.ok().flatten().ok_or("accesses cannot be made durable just now")?;
        let told = |error: SignError| error.to_string();
        let log = ChangeLog::open(&config.state).await.map_err(|error| error.to_string())?;
        let AuditSettings { origin, .. } = &config.audit;
        let school = snapshot.policy.school();
        let signer = Signer::open(&config.state, &log, origin.as_deref(), school, now());
        let signer = signer.await.map_err(told)?;
        let state = facts::attestation(&config, &snapshot, &log).await;
        let changed = self.said.as_ref() != Some(&state);
        let seen = facts::seen_today(&config, &snapshot).await;
        let stated = changed.then(|| Box::new(state.clone()));
        let event = Event::Attested { state: stated, seen, access };
        self.cover_alerts(&log).await?;
        let signed = signer.sign(&log, now(), ACTOR_DAEMON, event).await.map_err(told)?;
        tracing::info!(size = signed.checkpoint.size, "checkpoint signed");
        self.said = Some(state);
        Ok(())
    }

    /// States in the change log how the log of alerts stands, where that has changed: so a checkpoint fixes it, too.
    async fn cover_alerts(&mut self, log: &ChangeLog) -> Result<(), String> {
        let state = &self.with.config.state;
        if !AlertStore::exists(state) {
            return Ok(());
        }
        let mut store = AlertStore::open(state).await.map_err(|error| error.to_string())?;
        let (size, head) = store.head().await.map_err(|error| error.to_string())?;
        if size == 0 || self.alerts.as_ref() == Some(&head) {
            return Ok(());
        }
        let event = Event::AlertsCovered { size, head: head.clone() };
        log.append(now(), ACTOR_DAEMON, event).await.map_err(|error| error.to_string())?;
        self.alerts = Some(head);
        Ok(())
    }

    /// Brings checkpoints to the second places; what fails is tried again.
    async fn deliver(&mut self) {
        self.next_delivery = None;
        let config = Arc::clone(&self.with.config);
        let mut all_there = true;
        for copy in &config.audit.copy_to {
            let (state, file) = (config.state.clone(), copy.clone());
            let copied = tokio::task::spawn_blocking(move || places::copy(&state, &file)).await;
            let outcome = match copied {
                Ok(copied) => copied.map_err(|fault| fault.to_string()),
                Err(panic) => Err(panic.to_string()),
            };
            all_there &= self.delivered(&copy.display().to_string(), outcome).await;
        }
        if let Some(url) = &config.audit.webhook {
            let outcome = match places::last(&config.state) {
                Err(error) => Err(error.to_string()),
                Ok(None) => Ok(None),
                Ok(Some((checkpoint, note))) => webhook::post(&config, url, NOTE_KIND, note)
                    .await
                    .map(|()| Some(checkpoint.size)),
            };
            all_there &= self.delivered(&webhook::name(url), outcome).await;
        }
        if !config.audit.mail_to.is_empty() {
            all_there &= self.deliver_by_mail(&config).await;
        }
        if !all_there {
            self.next_delivery = Some(Instant::now() + RETRY);
        }
        self.publish();
    }

    /// Mails the newest checkpoint, once each school day: what is sent each hour is read by nobody.
    async fn deliver_by_mail(&mut self, config: &Config) -> bool {
        let (name, today) = (mail_place(&config.audit), self.today());
        let (clock, school) = {
            let snapshot = self.with.current.load();
            (snapshot.policy.clock().clone(), snapshot.policy.school().to_owned())
        };
        let place = self.places.place(&name);
        let is_sent = place.at.is_some_and(|at| clock.day(at) == today);
        if is_sent && place.problem.is_none() {
            return true;
        }
        let outcome = match places::last(&config.state) {
            Err(error) => Err(error.to_string()),
            Ok(None) => Ok(None),
            Ok(Some((checkpoint, note))) => {
                let subject = format!("Checkpoint of the filtering log of {school}, {today}");
                let text = format!("{MAIL_TEXT}\n{note}");
                let sent =
                    crate::mail::send(config, &config.audit.mail_to, &subject, text, None).await;
                sent.map(|()| Some(checkpoint.size))
            }
        };
        self.delivered(&name, outcome).await
    }

    async fn delivered(&mut self, name: &str, outcome: Result<Option<u64>, String>) -> bool {
        let place = self.places.place(name);
        match outcome {
            Ok(size) => {
                if place.size != size {
                    (place.size, place.at) = (size, Some(now()));
                }
                place.problem = None;
                self.forget_failures(name);
                true
            }
            Err(why) => {
                place.problem = Some(why.clone());
                self.failed(name, &why).await;
                false
            }
        }
    }

    /// Tells a failure, and records it unless it stands in the log already.
    async fn failed(&mut self, place: &str, why: &str) {
        tracing::error!(place, why, "a checkpoint is not where it belongs; trying again");
        if !self.recorded.insert((place.to_owned(), why.to_owned())) {
            return;
        }
        let event = Event::CheckpointFailed { place: place.to_owned(), problem: why.to_owned() };
        if let Err(error) = record(&self.with.config.state, event).await {
            tracing::error!(%error, "the failure could not be recorded");
        }
    }

    fn forget_failures(&mut self, place: &str) {
        self.recorded.retain(|(failed, _)| failed != place);
    }

    /// Places that the machine file no longer names are none.
    fn forget_other_places(&mut self) {
        let audit = &self.with.config.audit;
        let mut named: Vec<String> =
            audit.copy_to.iter().map(|copy| copy.display().to_string()).collect();
        named.extend(audit.webhook.as_ref().map(webhook::name));
        named.extend((!audit.mail_to.is_empty()).then(|| mail_place(audit)));
        self.places.places.retain(|place| named.contains(&place.place));
    }

    fn publish(&self) {
        let problems = self.places.places.iter().filter(|place| place.problem.is_some()).count();
        let all = problems + usize::from(self.places.problem.is_some());
        self.gauges.problems.set(i64::try_from(all).unwrap_or(i64::MAX));
        if let Some(at) = self.places.signed_at {
            self.gauges.signed_at.set(at.0 / 1000);
        }
        if let Err(error) = self.places.write(&self.with.config.state) {
            tracing::warn!(%error, "how checkpoints stand cannot be written for status");
        }
    }
}

fn is_time(at: Option<Instant>) -> bool {
    at.is_none_or(|at| Instant::now() >= at)
}

async fn record(state: &Path, event: Event) -> Result<(), AppendError> {
    ChangeLog::open(state).await?.append(now(), ACTOR_DAEMON, event).await.map(drop)
}
