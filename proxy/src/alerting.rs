//! The thread that makes alerts of the log, and tells people of them and of a week's report that nobody reads.
//!
//! One part follows the log and raises what is due; the other sends mail and posts, at most
//! [`MOST_AT_ONCE`] at a time, so that a mail server that does not answer holds up nobody else. What
//! arrived is written down; what did not is tried again, from 5 seconds apart to 60. A program that ends
//! in the middle begins again with what was not written down: somebody may be told twice, and the mail's
//! identifier says that it is the same one.

mod message;
mod unread;

use crate::config::Config;
use crate::record::now;
use crate::snapshot::Current;
use crate::telemetry::Metrics;
use crate::webhook;
use crate::worker::Stop;
use jiff::civil::Date;
use ledger::alerts::due::{Due, due};
use ledger::alerts::watch::Watch;
use ledger::alerts::{
    Alert, AlertError, AlertEvent, AlertStore, Alerts, Channel, NewEvent, Private,
};
use ledger::changes::{ACTOR_DAEMON, ChangeLog};
use ledger::episodes::Thresholds;
use ledger::retention::{self, Why};
use message::Facts;
use prometheus::IntGauge;
use rules::alert::Severity;
use rules::policy::Policy;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Between two looks at the log, and at what is due.
const REST: Duration = Duration::from_millis(300);

/// Shortest and longest wait until what did not arrive is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// After a failure of the files, which are this machine's own.
const PAUSE: Duration = Duration::from_secs(2);

/// From a failure to erase what is over until that is tried again.
const ERASE_AGAIN: Duration = Duration::from_secs(3_600);

/// Most mails and posts on their way at a time.
const MOST_AT_ONCE: usize = 8;

/// What the thread works with.
#[derive(Clone)]
pub(crate) struct Alerting {
    pub(crate) config: Arc<Config>,
    pub(crate) current: Current,
}

/// Why the thread cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

struct Gauges {
    open: IntGauge,
    undelivered: IntGauge,
}

/// Starts the thread; it ends soon after everything stops.
pub(crate) fn start(
    alerting: Alerting,
    metrics: &Metrics,
    stopped: watch::Receiver<Stop>,
) -> Result<std::thread::JoinHandle<()>, StartError> {
    let gauge = |name: &str, help: &str| gauge(metrics, name, help);
    let reports = unread::Gauges::register(metrics)?;
    let gauges = Gauges {
        open: gauge("proxy_alerts_open", "Alerts that are not closed, routine ones left out.")?,
        undelivered: gauge(
            "proxy_alerts_undelivered",
            "Mails and posts about alerts that have not arrived yet.",
        )?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("alerts".to_owned());
    Ok(thread.spawn(move || {
        runtime.block_on(async {
            let follow = follow(alerting.clone(), stopped.clone());
            let reports = unread::Teller::new(alerting.clone(), reports).run(stopped.clone());
            tokio::join!(follow, reports, Sender::new(alerting, gauges).run(stopped));
        });
    })?)
}

fn gauge(metrics: &Metrics, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    let gauge = IntGauge::new(name, help)?;
    metrics.registry().register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

/// Whether to go on; rests meanwhile.
async fn goes_on(stopped: &mut watch::Receiver<Stop>, rest: Duration) -> bool {
    // A mail server that does not answer must not keep the program from ending.
    tokio::select! {
        () = tokio::time::sleep(rest) => {}
        _ = stopped.changed() => {}
    }
    *stopped.borrow() == Stop::No && stopped.has_changed().is_ok()
}

/// Raises what is due as the log grows, and erases what is over once a day.
async fn follow(with: Alerting, mut stopped: watch::Receiver<Stop>) {
    let state = &with.config.state;
    let (mut store, mut watch) = (None, Watch::new(state));
    let mut erasing = Erasing::default();
    let mut told = String::new();
    let mut rest = Duration::ZERO;
    while goes_on(&mut stopped, rest).await {
        let done = look(&with, &mut store, &mut watch, &mut erasing).await;
        rest = match done {
            Ok(raised) => {
                if raised > 0 {
                    tracing::info!(raised, "alerts raised, worse or open again");
                }
                told.clear();
                REST
            }
            Err(why) => {
                if told != why {
                    tracing::error!(
                        why,
                        "alerts cannot be made of the log just now; nothing is lost"
                    );
                    told = why;
                }
                store = None;
                PAUSE
            }
        };
    }
}

async fn look(
    with: &Alerting,
    store: &mut Option<AlertStore>,
    watch: &mut Watch,
    erasing: &mut Erasing,
) -> Result<usize, String> {
    let state = &with.config.state;
    let store = match store {
        Some(store) => store,
        none => none.insert(AlertStore::open(state).await.map_err(|error| error.to_string())?),
    };
    let snapshot = with.current.load_full();
    let rules = snapshot.policy.alert_rules();
    let (high, routine, devices) = (rules.high_after, rules.routine_after, rules.devices_after);
    let thresholds = Thresholds { high, routine, devices };
    let raised = watch.look(store, thresholds, now()).await.map_err(|error| error.to_string())?;
    let today = snapshot.policy.clock().day(now());
    if erasing.is_due(today, Instant::now()) {
        let outcome = erase(with, &snapshot.policy).await;
        erasing.note(today, outcome, Instant::now());
    }
    Ok(raised)
}

/// When what is over was erased, and when that is tried again. A failure of it is no failure of alerts: they are
/// raised all the same.
#[derive(Default)]
struct Erasing {
    done_on: Option<Date>,
    not_before: Option<Instant>,
}

impl Erasing {
    fn is_due(&self, today: Date, now: Instant) -> bool {
        self.done_on != Some(today) && self.not_before.is_none_or(|time| time <= now)
    }

    fn note(&mut self, today: Date, outcome: Result<(), String>, now: Instant) {
        match outcome {
            Ok(()) => (self.done_on, self.not_before) = (Some(today), None),
            Err(why) => {
                tracing::error!(
                    why,
                    "names and notes of alerts whose time is up cannot be erased; trying again in an hour"
                );
                self.not_before = Some(now + ERASE_AGAIN);
            }
        }
    }
}

/// Erases whom closed alerts were about, and what was noted, once their time is up.
async fn erase(with: &Alerting, policy: &Policy) -> Result<(), String> {
    let state = &with.config.state;
    let log = ChangeLog::open(state).await.map_err(|error| error.to_string())?;
    let order = retention::Order {
        clock: policy.clock(),
        keep: policy.keep(),
        now: now(),
        actor: ACTOR_DAEMON,
        dry_run: false,
        most_parts: 0,
        over_gaps: false,
        stop: &|| false,
    };
    let outcome = retention::erase_alerts(state, &log, order).await;
    let outcome = outcome.map_err(|error| error.to_string())?;
    if !outcome.erased.is_empty() {
        let alerts = outcome.erased.len();
        tracing::info!(alerts, "names and notes of alerts whose time is up are erased");
    }
    if outcome.kept.iter().any(|(_, why)| matches!(why, Why::Clock | Why::Gap)) {
        tracing::warn!(
            "names and notes of alerts whose time is up by this machine's clock are kept, as the clock may be \
             wrong; see schoolgate retention run --dry-run"
        );
    }
    Ok(())
}

/// How often something did not arrive, and when to try again.
struct Waiting {
    times: u32,
    next: Instant,
    told: String,
}

struct Sender {
    with: Alerting,
    gauges: Gauges,
    store: Option<AlertStore>,
    waiting: HashMap<Due, Waiting>,
    on_their_way: HashMap<tokio::task::Id, Due>,
    sending: JoinSet<Result<(), String>>,
}

impl Sender {
    fn new(with: Alerting, gauges: Gauges) -> Self {
        Self {
            with,
            gauges,
            store: None,
            waiting: HashMap::new(),
            on_their_way: HashMap::new(),
            sending: JoinSet::new(),
        }
    }

    async fn run(mut self, mut stopped: watch::Receiver<Stop>) {
        let mut rest = Duration::ZERO;
        let mut told = String::new();
        while goes_on(&mut stopped, rest).await {
            rest = REST;
            if let Err(error) = self.turn().await {
                let why = error.to_string();
                if told != why {
                    tracing::error!(
                        why,
                        "who is to be told of alerts cannot be read or written down"
                    );
                    told = why;
                }
                (self.store, rest) = (None, PAUSE);
            }
        }
    }

    async fn turn(&mut self) -> Result<(), AlertError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => AlertStore::open(&self.with.config.state).await?,
        };
        let done = self.take_in(&mut store).await.and(self.send_out(&mut store).await);
        self.store = Some(store);
        done
    }

    /// Writes down what has arrived, and what has not.
    async fn take_in(&mut self, store: &mut AlertStore) -> Result<(), AlertError> {
        while let Some(joined) = self.sending.try_join_next_with_id() {
            let (id, outcome) = match joined {
                Ok((id, outcome)) => (id, outcome),
                Err(panic) => (panic.id(), Err("met a fault in the program".to_owned())),
            };
            let Some(due) = self.on_their_way.remove(&id) else { continue };
            self.note(store, due, outcome.err()).await?;
        }
        Ok(())
    }

    async fn note(
        &mut self,
        store: &mut AlertStore,
        due: Due,
        failed: Option<String>,
    ) -> Result<(), AlertError> {
        let Due::Tell { alert, severity, step, channel, to, of } = due.clone() else {
            return Ok(());
        };
        let (of, since, failed_why) = (Some(of), None, failed.clone());
        let event = AlertEvent::Notified {
            alert,
            severity,
            step,
            channel,
            to,
            of,
            since,
            failed: failed_why,
        };
        let Some(why) = failed else {
            self.waiting.remove(&due);
            return append(store, vec![NewEvent::new(ACTOR_DAEMON, event)]).await;
        };
        let known = self.waiting.entry(due).or_insert_with(|| Waiting {
            times: 0,
            next: Instant::now(),
            told: String::new(),
        });
        let wait = RETRY.0.saturating_mul(1 << known.times.min(8)).min(RETRY.1);
        (known.times, known.next) = (known.times.saturating_add(1), Instant::now() + wait);
        // The same failure again and again is written down once.
        if known.told == why {
            return Ok(());
        }
        tracing::error!(%alert, channel = channel.as_str(), why, "an alert has not arrived; trying again");
        known.told = why;
        append(store, vec![NewEvent::new(ACTOR_DAEMON, event)]).await
    }

    /// Sends what is due and escalates what nobody looks at.
    async fn send_out(&mut self, store: &mut AlertStore) -> Result<(), AlertError> {
        let (config, snapshot) = (Arc::clone(&self.with.config), self.with.current.load_full());
        let (policy, webhook) =
            (&snapshot.policy, config.alerts.webhook.as_ref().map(webhook::name));
        let rules = policy.alert_rules();
        let holders = |role| policy.holders(role).to_vec();
        let at = now();
        let is_told = |alert: &&Alert| alert.is_open() && alert.severity > Severity::Routine;
        let all: Vec<(Alert, Vec<Due>)> = (store.alerts().await?.iter().filter(is_told))
            .map(|alert| (alert.clone(), due(alert, rules, &holders, webhook.as_deref(), at)))
            .collect();
        self.gauges.open.set(i64::try_from(all.len()).unwrap_or(i64::MAX));
        let is_tell = |due: &&Due| matches!(due, Due::Tell { .. });
        let undelivered = all.iter().flat_map(|(_, due)| due).filter(is_tell).count();
        self.gauges.undelivered.set(i64::try_from(undelivered).unwrap_or(i64::MAX));
        self.waiting.retain(|due, _| all.iter().any(|(_, all)| all.contains(due)));
        // What is urgent goes first.
        let mut all = all;
        all.sort_by_key(|(alert, _)| std::cmp::Reverse(alert.severity));
        for (alert, dues) in all {
            for due in dues {
                if let Due::Escalate { alert, step, to } = due {
                    tracing::warn!(%alert, step, "nobody has looked at an alert: others are told");
                    let event = AlertEvent::Escalated { alert, step, to };
                    append(store, vec![NewEvent::new(ACTOR_DAEMON, event)]).await?;
                    continue;
                }
                let is_time = self.waiting.get(&due).is_none_or(|it| it.next <= Instant::now());
                let is_sent = self.on_their_way.values().any(|it| *it == due);
                if is_time && !is_sent && self.sending.len() < MOST_AT_ONCE {
                    self.send(store, &alert, due).await?;
                }
            }
        }
        Ok(())
    }

    async fn send(
        &mut self,
        store: &mut AlertStore,
        alert: &Alert,
        due: Due,
    ) -> Result<(), AlertError> {
        let Due::Tell { step, channel, ref to, .. } = due else { return Ok(()) };
        let (config, snapshot) = (Arc::clone(&self.with.config), self.with.current.load_full());
        let policy = &snapshot.policy;
        let about = match policy.alert_rules().names_in_mail && channel == Channel::Mail {
            true => store.private(alert.sequence).await?,
            false => None,
        };
        let about = match &about {
            Some(Private::About(person)) => Some(person),
            _ => None,
        };
        let (clock, school) = (policy.clock(), policy.school());
        let facts = Facts { alert, step, clock, school, about };
        let sending =
            match (channel, config.alerts.address(to).cloned(), config.alerts.webhook.clone()) {
                (Channel::Mail, Some(address), _) => {
                    let (subject, text) = (message::subject(&facts), message::text(&facts));
                    let id = message_id(&due, &config.hash, alert);
                    self.sending.spawn(async move {
                        let to = [address];
                        crate::mail::send(&config, &to, &subject, text, id).await
                    })
                }
                (Channel::Mail, None, _) => {
                    let why = "has no address in [alerts.mail] of the machine file".to_owned();
                    return self.note(store, due, Some(why)).await;
                }
                (Channel::Webhook, _, Some(url)) => {
                    let body = message::json(&facts);
                    let kind = "application/json";
                    self.sending
                        .spawn(async move { webhook::post(&config, &url, kind, body).await })
                }
                (Channel::Webhook, _, None) => return Ok(()),
            };
        self.on_their_way.insert(sending.id(), due);
        Ok(())
    }
}

/// The same for each try of one telling, so that a mail program shows it once; it names nobody.
fn message_id(due: &Due, machine: &str, alert: &Alert) -> Option<String> {
    let mut hash = sha2::Sha256::new();
    use sha2::Digest as _;
    hash.update(format!("{machine} {:?} {due:?}", alert.episode));
    Some(format!("<{}@schoolgate.invalid>", &crate::lists::hex(&hash.finalize())[..32]))
}

async fn append(store: &mut AlertStore, events: Vec<NewEvent>) -> Result<(), AlertError> {
    let decide = |_: &Alerts| Ok::<_, Infallible>(events);
    match store.append_with(now(), &[], decide).await {
        Ok(_) => Ok(()),
        Err(ledger::alerts::AppendAlertError::Store(error)) => Err(error),
        Err(ledger::alerts::AppendAlertError::Refused(never)) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn what_is_over_is_erased_once_a_day_and_after_a_failure_an_hour_later() {
        let (monday, tuesday) = (date(2026, 3, 2), date(2026, 3, 3));
        let (mut erasing, begun) = (Erasing::default(), Instant::now());
        assert!(erasing.is_due(monday, begun));
        erasing.note(monday, Err("the disk is full".to_owned()), begun);
        assert!(!erasing.is_due(monday, begun + PAUSE));
        assert!(!erasing.is_due(tuesday, begun + PAUSE), "a new day mends no disk");
        let later = begun + ERASE_AGAIN;
        assert!(erasing.is_due(monday, later));
        erasing.note(monday, Ok(()), later);
        assert!(!erasing.is_due(monday, later + ERASE_AGAIN));
        assert!(erasing.is_due(tuesday, later), "at once");
    }
}
