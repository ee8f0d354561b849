//! Who is still to be told of an alert, and when others are told too.
//!
//! All of it follows from the events: what was not written down as delivered is due. So nothing is
//! forgotten where the program ends in the middle, and somebody may be told twice where it ends between
//! the telling and the writing down.

use super::event::Channel;
use super::fold::{Alert, Delivery};
use rules::access::Role;
use rules::alert::{AlertId, AlertRules, Severity};
use rules::change::same_person;
use rules::time::UnixMillis;

/// Most times that an alert nobody looks at is brought up again.
pub const MAX_ESCALATIONS: u32 = 4;

/// Least milliseconds from one escalation to the next: however short a school makes the first wait, they are not all
/// over before anybody could have looked.
const LEAST_AGAIN_MS: i64 = 60_000;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Due {
    /// Somebody is to be told.
    Tell {
        /// Of which alert.
        alert: AlertId,
        /// As of which severity.
        severity: Severity,
        /// 0, or which escalation.
        step: u32,
        /// How.
        channel: Channel,
        /// Whom: a person, or the name of an address.
        to: String,
        /// As of which entry: one telling of an alert is not that of before it was opened again.
        of: u64,
    },
    /// Nobody looked in time.
    Escalate {
        /// Of which alert.
        alert: AlertId,
        /// Which escalation, from 1.
        step: u32,
        /// The people who are told.
        to: Vec<String>,
    },
}

/// What is due for an alert now. `holders` gives the people of a role; `webhook` is the name of the
/// address that is posted to, if there is one.
#[must_use]
pub fn due(
    alert: &Alert,
    rules: &AlertRules,
    holders: &dyn Fn(Role) -> Vec<String>,
    webhook: Option<&str>,
    now: UnixMillis,
) -> Vec<Due> {
    if !alert.is_open() || alert.severity == Severity::Routine {
        return Vec::new();
    }
    let step = alert.step();
    let told = rules.told_of(alert.severity);
    let first = people(told.iter(), holders);
    let all = people(told.iter().chain(&rules.escalate_to), holders);
    let mut due = Vec::new();
    let wait = rules.escalate_after(alert.severity);
    let wait = wait.map(|wait| if step == 0 { wait } else { wait.max(LEAST_AGAIN_MS) });
    // A clock that ran ahead as it was raised, and no longer does, makes nobody wait for longer than twice as long.
    let waited = now.0.saturating_sub(alert.waits_since.0).saturating_abs();
    let is_late = wait.is_some_and(|wait| waited >= wait);
    if is_late && !alert.is_seen() && step < MAX_ESCALATIONS {
        due.push(Due::Escalate { alert: alert.id, step: step + 1, to: all.clone() });
    }
    // Those who are told at once are told though another one was quicker; others only while nobody is.
    if step > 0 && alert.is_seen() {
        return due;
    }
    let mail = if step == 0 { first } else { all };
    let mail = mail.into_iter().map(|to| (Channel::Mail, to));
    let all = mail.chain(webhook.map(|name| (Channel::Webhook, name.to_owned())));
    let severity = alert.severity;
    let arrived = |(channel, to): &(Channel, String)| {
        let is_it = |it: &&Delivery| {
            (it.severity, it.step, it.channel) == (severity, step, *channel)
                && it.to == *to
                && it.of == alert.severe_place
        };
        alert.deliveries.iter().find(is_it).is_some_and(|delivery| delivery.failed.is_none())
    };
    due.extend(all.filter(|told| !arrived(told)).map(|(channel, to)| Due::Tell {
        alert: alert.id,
        severity,
        step,
        channel,
        to,
        of: alert.severe_place,
    }));
    due
}

/// The people of some roles, each once.
fn people<'r>(
    roles: impl Iterator<Item = &'r Role>,
    holders: &dyn Fn(Role) -> Vec<String>,
) -> Vec<String> {
    let mut people: Vec<String> = Vec::new();
    for person in roles.flat_map(|role| holders(*role)) {
        if !people.iter().any(|known| same_person(known, &person)) {
            people.push(person);
        }
    }
    people
}

#[cfg(test)]
#[path = "due_tests.rs"]
mod tests;
