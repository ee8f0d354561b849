//! Tells the deputy of a weekly report that nobody has read, by mail, once a week.
//!
//! What was told, and what did not arrive, are entries of the change log, so that a restart neither loses
//! nor repeats it; a program that ends between the mail and its entry tells again, under the same
//! identifier. Nothing of what the report says is in the mail.

use super::{Alerting, PAUSE, RETRY, StartError, goes_on};
use crate::record::now;
use crate::telemetry::Metrics;
use crate::worker::Stop;
use jiff::civil::Date;
use ledger::changes::{ACTOR_DAEMON, AppendError, ChangeLog};
use prometheus::IntGauge;
use rules::change::{ChangeEntry, Event, same_person};
use rules::report::{Unread, concerns, unread, week_bounds};
use rules::time::SchoolClock;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two looks at the change log.
const REST: Duration = Duration::from_secs(1);

/// What is known of an unread report.
pub(super) struct Gauges {
    unread: IntGauge,
    untold: IntGauge,
}

impl Gauges {
    pub(super) fn register(metrics: &Metrics) -> Result<Self, StartError> {
        let gauge = |name: &str, help: &str| super::gauge(metrics, name, help);
        let gauges = Self {
            unread: gauge(
                "proxy_report_unread",
                "Whether nobody has asked for the last weekly report whose time has come (1), or somebody has (0); \
                 -1 while that is not known.",
            )?,
            untold: gauge(
                "proxy_report_unread_untold",
                "People who are to be told that it was not, and whom no mail has reached yet.",
            )?,
        };
        gauges.unread.set(-1);
        Ok(gauges)
    }
}

/// A telling that did not arrive.
struct Waiting {
    /// Of the week that begins then.
    monday: Date,
    to: String,
    times: u32,
    next: Instant,
    why: String,
}

pub(super) struct Teller {
    with: Alerting,
    gauges: Gauges,
    log: Option<ChangeLog>,
    /// Entries that can matter, and how many entries there were when they were read.
    entries: Vec<ChangeEntry>,
    size: u64,
    waiting: Vec<Waiting>,
    /// Tellings that have arrived and whose entries could not be written yet: week and person.
    arrived: Vec<(Date, String)>,
}

impl Teller {
    pub(super) fn new(with: Alerting, gauges: Gauges) -> Self {
        let (log, entries, size) = (None, Vec::new(), 0);
        Self { with, gauges, log, entries, size, waiting: Vec::new(), arrived: Vec::new() }
    }

    pub(super) async fn run(mut self, mut stopped: watch::Receiver<Stop>) {
        let mut rest = Duration::ZERO;
        let mut told = String::new();
        while goes_on(&mut stopped, rest).await {
            // A mail server that does not answer must not keep the program from ending.
            let mut ending = stopped.clone();
            let done = tokio::select! {
                done = self.turn() => done,
                _ = ending.changed() => return,
            };
            rest = REST;
            if let Err(error) = done {
                self.gauges.unread.set(-1);
                let why = error.to_string();
                if told != why {
                    tracing::error!(why, "whether the week's report was read cannot be told");
                    told = why;
                }
                (self.log, rest) = (None, PAUSE);
            }
        }
    }

    async fn turn(&mut self) -> Result<(), AppendError> {
        let log = match self.log.take() {
            Some(log) => log,
            None => {
                (self.entries, self.size) = (Vec::new(), 0);
                ChangeLog::open(&self.with.config.state).await?
            }
        };
        self.read(&log).await?;
        let snapshot = self.with.current.load_full();
        let unread = unread(&snapshot.policy, &self.entries, now());
        let untold = unread.as_ref().map_or(0, |it| it.untold.len());
        self.gauges.untold.set(i64::try_from(untold).unwrap_or(i64::MAX));
        self.gauges.unread.set(i64::from(unread.is_some()));
        match &unread {
            None => self.waiting.clear(),
            Some(unread) => {
                let (clock, school) = (snapshot.policy.clock(), snapshot.policy.school());
                self.waiting.retain(|it| {
                    it.monday == unread.monday
                        && unread.untold.iter().any(|to| same_person(to, &it.to))
                });
                for to in &unread.untold {
                    self.tell(&log, unread, to, (clock, school)).await?;
                }
            }
        }
        self.log = Some(log);
        Ok(())
    }

    /// Takes in what the log has gained.
    async fn read(&mut self, log: &ChangeLog) -> Result<(), AppendError> {
        let new = log.entries_after(self.size).await?;
        if let Some(last) = new.last() {
            self.size = last.sequence + 1;
        }
        self.entries.extend(new.into_iter().filter(|entry| concerns(&entry.event)));
        Ok(())
    }

    async fn tell(
        &mut self,
        log: &ChangeLog,
        unread: &Unread,
        to: &str,
        (clock, school): (&SchoolClock, &str),
    ) -> Result<(), AppendError> {
        let place = self.waiting.iter().position(|it| same_person(&it.to, to));
        let is_early = |place: usize| self.waiting[place].next > Instant::now();
        if place.is_some_and(is_early) {
            return Ok(());
        }
        let week = unread.monday.to_string();
        let note = |failed: Option<String>| Event::ReportUnread {
            week: week.clone(),
            to: to.to_owned(),
            failed,
        };
        let telling = (unread.monday, to.to_lowercase());
        // A full disk must not fill somebody's mailbox.
        let sent = match self.arrived.contains(&telling) {
            true => Ok(()),
            false => self.send(unread, to, (clock, school)).await,
        };
        let Err(why) = sent else {
            if !self.arrived.contains(&telling) {
                tracing::warn!(week, "nobody has read the week's report: the deputy was told");
                self.arrived.push(telling.clone());
            }
            log.append(now(), ACTOR_DAEMON, note(None)).await?;
            self.arrived.retain(|it| *it != telling);
            self.waiting.retain(|it| !same_person(&it.to, to));
            return Ok(());
        };
        let place = place.unwrap_or_else(|| {
            let (to, why) = (to.to_owned(), String::new());
            let (monday, next) = (unread.monday, Instant::now());
            self.waiting.push(Waiting { monday, to, times: 0, next, why });
            self.waiting.len() - 1
        });
        let known = &mut self.waiting[place];
        let wait = RETRY.0.saturating_mul(1 << known.times.min(8)).min(RETRY.1);
        (known.times, known.next) = (known.times.saturating_add(1), Instant::now() + wait);
        // The same failure again and again is written down once.
        if known.why != why {
            tracing::error!(
                week,
                why,
                "that nobody has read the week's report has not arrived; trying again"
            );
            known.why.clone_from(&why);
            log.append(now(), ACTOR_DAEMON, note(Some(why))).await?;
        }
        Ok(())
    }

    async fn send(
        &self,
        unread: &Unread,
        to: &str,
        (clock, school): (&SchoolClock, &str),
    ) -> Result<(), String> {
        let config = &self.with.config;
        let address = config.alerts.address(to).cloned();
        let address = address.ok_or("has no address in [alerts.mail] of the machine file")?;
        let subject = format!("Nobody has read the weekly filtering report of {school}");
        let id = message_id(&config.hash, unread, to);
        crate::mail::send(config, &[address], &subject, text(unread, clock), Some(id)).await
    }
}

/// The mail: which week, and what to do.
fn text(unread: &Unread, clock: &SchoolClock) -> String {
    let (from, until) = week_bounds(clock, unread.monday);
    let day = |at| clock.civil(at).strftime("%-d %B %Y").to_string();
    let (first, last) = (day(from), day(rules::time::UnixMillis(until.0 - 1)));
    format!(
        "No safeguarding lead has asked for the filter's report of the week from {first} to {last}, and\n\
         nobody has signed it as reviewed. It was to be read by {}.\n\n\
         Please read it, or see that somebody does. On the filter:\n\n    \
         schoolgate report weekly --for dsl --since {}/{}\n    \
         schoolgate report review --week {} --action TEXT\n\n\
         Who looks is recorded. This is said once for each week.\n",
        clock.show(unread.since),
        unread.monday,
        clock.day(rules::time::UnixMillis(until.0 - 1)),
        unread.monday,
    )
}

/// The same for each try of one telling, so that a mail program shows it once.
fn message_id(machine: &str, unread: &Unread, to: &str) -> String {
    use sha2::Digest as _;
    let mut hash = sha2::Sha256::new();
    hash.update(format!("{machine} unread {} {}", unread.monday, to.to_lowercase()));
    format!("<{}@schoolgate.invalid>", &crate::lists::hex(&hash.finalize())[..32])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    #[test]
    fn the_mail_says_which_week_and_what_to_do_and_no_more() {
        let clock = SchoolClock::new("Europe/London", &[]).unwrap();
        let since = clock.moment("2026-11-27 12:00", rules::time::UnixMillis(0), false).unwrap();
        let monday = "2026-11-16".parse().unwrap();
        let unread = Unread { monday, since, untold: vec!["a.deputy".to_owned()] };
        let text = text(&unread, &clock);
        for part in [
            "from 16 November 2026 to 22 November 2026",
            "by Fri 27 Nov 2026 12:00 GMT",
            "report weekly --for dsl --since 2026-11-16/2026-11-22\n",
            "report review --week 2026-11-16 --action",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let id = |to| message_id("machine", &unread, to);
        assert_eq!(id("a.deputy"), id("A.Deputy"));
        assert_ne!(id("a.deputy"), id("a.fenn"));
    }
}
