//! The safeguarding lead's weekly report: who has read it, and who is told where nobody has.
//!
//! A week's report is read once somebody whose task it is has asked for it after the week was over, or
//! has signed it as reviewed. Each Friday noon, or when the policy says, the deputy is told of a report
//! that is not. What is known of this is what stands in the change log, so that the filter and the
//! report itself say the same.

use crate::access::Role;
use crate::change::{ChangeEntry, Event, same_person};
use crate::policy::Policy;
use crate::time::{SchoolClock, UnixMillis, WeekMinute};
use jiff::civil::Date;

/// The command whose looks are those at a weekly report, as the change log names it.
pub const WEEKLY: &str = "report weekly";

/// The lead's edition, as the record of a look names it.
pub const FOR_LEAD: &str = "for dsl";

/// Roles that may read the lead's report and be told that nobody has.
pub const DEPUTY_ROLES: [Role; 2] = [Role::Dsl, Role::Head];

/// `[reports]`: who is told of a report that nobody has read, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRules {
    /// When in the week after.
    pub unread_at: WeekMinute,
    /// People who are told; nobody named: the head.
    pub deputy: Vec<String>,
}

impl Default for ReportRules {
    /// Friday noon, so that there is an afternoon left; the head.
    fn default() -> Self {
        Self { unread_at: WeekMinute::FRIDAY_NOON, deputy: Vec::new() }
    }
}

/// Somebody signed the report of a week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Who.
    pub by: String,
    /// When.
    pub at: UnixMillis,
    /// What was done about it.
    pub action: String,
}

/// What the change log says of one week's report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Who asked for it after the week was over, with when first: each person once.
    pub readers: Vec<(String, UnixMillis)>,
    /// Who signed it.
    pub reviews: Vec<Review>,
    /// Who was told that nobody had read it, with when.
    pub told: Vec<(String, UnixMillis)>,
}

impl Reading {
    /// Of the report of the week that begins on a Monday, in the edition `edition` ([`FOR_LEAD`]). Reviews
    /// and tellings are those of the lead's.
    #[must_use]
    pub fn of(entries: &[ChangeEntry], clock: &SchoolClock, monday: Date, edition: &str) -> Self {
        let mut reading = Self::default();
        let week = week_bounds(clock, monday);
        let name = monday.to_string();
        for entry in entries {
            match &entry.event {
                Event::Looked { what, subject } if what == WEEKLY => {
                    let is_known =
                        reading.readers.iter().any(|(who, _)| same_person(who, &entry.actor));
                    if !is_known && shows(subject, edition, entry.at, clock, week) {
                        reading.readers.push((entry.actor.clone(), entry.at));
                    }
                }
                Event::ReportReviewed { week, action } if *week == name => {
                    let (by, action) = (entry.actor.clone(), action.clone());
                    reading.reviews.push(Review { by, at: entry.at, action });
                }
                Event::ReportUnread { week, to, failed: None } if *week == name => {
                    reading.told.push((to.clone(), entry.at));
                }
                _ => {}
            }
        }
        reading
    }
}

/// Whether a look was one at the whole week in this edition, after it was over.
fn shows(
    subject: &str,
    edition: &str,
    at: UnixMillis,
    clock: &SchoolClock,
    (from, until): (UnixMillis, UnixMillis),
) -> bool {
    let mut parts = subject.split("; ");
    if parts.next() != Some(edition) || at < until {
        return false;
    }
    let since = parts.next().and_then(|part| part.strip_prefix("since "));
    let range = clock.range(since.unwrap_or("last week"), at);
    range.is_ok_and(|(first, last)| first <= from && until <= last)
}

/// The first instant of a week, and the first after it.
#[must_use]
pub fn week_bounds(clock: &SchoolClock, monday: Date) -> (UnixMillis, UnixMillis) {
    let sunday = monday.saturating_add(jiff::Span::new().days(6));
    (clock.day_bounds(monday).0, clock.day_bounds(sunday).1)
}

/// A week's report that nobody has read in its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The week's Monday.
    pub monday: Date,
    /// When it should have been read.
    pub since: UnixMillis,
    /// Whom nobody has told yet.
    pub untold: Vec<String>,
}

/// Of entries of the change log, whether one can matter to [`unread`].
#[must_use]
pub fn concerns(event: &Event) -> bool {
    match event {
        Event::Looked { what, .. } => what == WEEKLY,
        Event::ReportReviewed { .. } | Event::ReportUnread { .. } | Event::ServeStarted { .. } => {
            true
        }
        _ => false,
    }
}

/// The report that should have been read by now and was not, if there is one: of the last week whose time
/// for it has come. Who comes late hears of it until the next week's time has come.
///
/// Weeks without a school day, and those before the filter first ran, have nothing that must be read. The log's
/// times never fall: where a clock once ran ahead, what it says to come has been.
#[must_use]
pub fn unread(policy: &Policy, entries: &[ChangeEntry], now: UnixMillis) -> Option<Unread> {
    let clock = policy.clock();
    let (monday, since) = clock.last_week_due(policy.report_rules().unread_at, now);
    let (_, until) = week_bounds(clock, monday);
    let has_run = |entry: &ChangeEntry| {
        matches!(entry.event, Event::ServeStarted { .. }) && !(until..=now).contains(&entry.at)
    };
    let days = monday.series(jiff::Span::new().days(1)).take(7);
    if !days.into_iter().any(|day| clock.is_term_day(day)) || !entries.iter().any(has_run) {
        return None;
    }
    let reading = Reading::of(entries, clock, monday, FOR_LEAD);
    let deputies = policy.report_deputies();
    let is_task = |name: &str| {
        policy.holders(Role::Dsl).iter().chain(deputies).any(|other| same_person(other, name))
    };
    if !reading.reviews.is_empty() || reading.readers.iter().any(|(name, _)| is_task(name)) {
        return None;
    }
    let is_told = |name: &&String| reading.told.iter().any(|(told, _)| same_person(told, name));
    let untold = deputies.iter().filter(|name| !is_told(name)).cloned().collect();
    Some(Unread { monday, since, untold })
}

#[cfg(test)]
mod tests;
