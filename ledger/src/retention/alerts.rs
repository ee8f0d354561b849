//! Erasing whom closed alerts were about, and what was noted of them, once `[keep] alerts` is over; and of one person,
//! with what their requests say.
//!
//! What is erased is an entry of the log of alerts, in the same transaction. The clock is doubted as it is for the
//! days of the access log: one that jumped ahead, as a machine without a battery may start with, must not erase what
//! nobody can bring back.

use super::{Order, RetentionError, Why, erasures, io};
use crate::alerts::{Alert, AlertEvent, AlertStore, Private};
use crate::changes::ChangeLog;
use crate::parts::days;
use jiff::civil::Date;
use rules::alert::AlertId;
use rules::change::same_person;
use rules::erasure::ErasureId;
use rules::hold::{Hold, Holds};
use std::collections::BTreeSet;
use std::path::Path;

/// What a run did, or with `dry_run` would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertsOutcome {
    /// Alerts of which names or notes were erased now.
    pub erased: Vec<AlertId>,
    /// Alerts whose time is up and that keep theirs, and why.
    pub kept: Vec<(AlertId, Why)>,
}

/// Erases names and notes of closed alerts whose time is up. An alert's time is counted from its school day. While
/// any record is on hold none goes: whom a hold is about is not compared here.
///
/// # Errors
/// [`RetentionError`]. What was erased before is recorded; the next run goes on.
pub async fn erase_alerts(
    state: &Path,
    log: &ChangeLog,
    order: Order<'_>,
) -> Result<AlertsOutcome, RetentionError> {
    let mut outcome = AlertsOutcome::default();
    if !AlertStore::exists(state) {
        return Ok(outcome);
    }
    let mut store = AlertStore::open(state).await?;
    let over = over(&mut store, &order).await?;
    if over.is_empty() {
        return Ok(outcome);
    }
    let access = state.join("access");
    let here = days(&access).map_err(io(&access))?;
    let entries = log.entries_after(0).await?;
    let held = Holds::of(&entries).in_force.keys().next().copied();
    // A day that was erased had records too.
    let known: BTreeSet<Date> =
        here.iter().copied().chain(erasures(&entries).into_keys()).collect();
    let known: Vec<Date> = known.into_iter().collect();
    let is_newest_over =
        here.last().is_some_and(|newest| order.over_for(order.keep.alerts_days, *newest));
    let mut places = Vec::new();
    for (id, day, personal) in over {
        let why = match held {
            Some(hold) => Some(Why::Held(hold)),
            None if is_newest_over => Some(Why::Clock),
            None if order.is_before_gap(&known, day) => Some(Why::Gap),
            None => None,
        };
        match why {
            Some(why) => outcome.kept.push((id, why)),
            None => {
                outcome.erased.push(id);
                places.extend(personal);
            }
        }
    }
    if !order.dry_run && !places.is_empty() {
        let why = format!("kept {} days by the policy", order.keep.alerts_days);
        store.erase_private(order.now, (order.actor, &why), &places).await?;
    }
    Ok(outcome)
}

/// Whose alerts are to go.
pub(super) struct Whose<'a> {
    /// The request that is carried out.
    pub(super) request: ErasureId,
    /// All requests about the person, done or not.
    pub(super) requests: &'a BTreeSet<ErasureId>,
    pub(super) person: &'a str,
    /// The school day of asking.
    pub(super) last: Date,
}

/// Names and notes of alerts about one person.
#[derive(Default)]
pub(super) struct OfPerson {
    /// How many were erased now.
    pub(super) erased: u64,
    /// Days of alerts that keep theirs, and the hold.
    pub(super) held: Vec<(Date, Why)>,
}

/// Erases names and notes of alerts about one person, open or not. They are those of school days up to that of asking,
/// whenever they were raised: of a day whose requests go, none that came later, or was entered later by a clock that was
/// ahead, may keep the name. One stays where a hold may be of it, whether or not there still is a record on hold: a hold
/// of the person, or of nobody, whose range touches the alert's day. At what site an alert was is not compared.
pub(super) async fn of_person(
    state: &Path,
    order: Order<'_>,
    whose: &Whose<'_>,
    holds: &Holds,
) -> Result<OfPerson, RetentionError> {
    let mut outcome = OfPerson::default();
    if !AlertStore::exists(state) {
        return Ok(outcome);
    }
    let mut store = AlertStore::open(state).await?;
    // What was noted since the name went belongs to it too, though nothing else tells whom it is about.
    let requests: BTreeSet<String> = whose.requests.iter().map(ToString::to_string).collect();
    let nameless: BTreeSet<AlertId> = (store.entries().await?.into_iter())
        .filter_map(|entry| match entry.event {
            AlertEvent::Erased { alert, why, .. } if requests.contains(&why) => Some(alert),
            _ => None,
        })
        .collect();
    loop {
        outcome.held.clear();
        let personal = store.personal().await?;
        let alerts: Vec<Alert> = store.alerts().await?.iter().cloned().collect();
        let mut places = Vec::new();
        for alert in alerts {
            let day = alert.day.parse().unwrap_or_else(|_| order.clock.day(alert.first));
            let is_theirs = match store.private(alert.sequence).await? {
                Some(Private::About(about)) => same_person(about.name(), whose.person),
                _ => nameless.contains(&alert.id),
            };
            let notes = alert.reviews.iter().map(|review| review.sequence);
            let of_it = std::iter::once(alert.sequence).chain(notes);
            let of_it: Vec<u64> = of_it.filter(|place| personal.contains(place)).collect();
            if day > whose.last || !is_theirs || of_it.is_empty() {
                continue;
            }
            let (from, until) = order.clock.day_bounds(day);
            let may_be_of_it = |hold: &&Hold| {
                let named = hold.scope.person.as_deref();
                named.is_none_or(|named| same_person(named, whose.person))
                    && hold.scope.touches(from, until)
            };
            match holds.in_force.values().find(may_be_of_it) {
                Some(hold) => outcome.held.push((day, Why::Held(hold.id))),
                None => places.extend(of_it),
            }
        }
        if order.dry_run {
            outcome.erased = places.len() as u64;
            return Ok(outcome);
        }
        // Until none is left: somebody may note something meanwhile.
        if places.is_empty() {
            return Ok(outcome);
        }
        let why = whose.request.to_string();
        outcome.erased += store.erase_private(order.now, (order.actor, &why), &places).await?;
    }
}

/// The closed alerts whose time is up and that still have something personal, with their day and the places of that.
async fn over(
    store: &mut AlertStore,
    order: &Order<'_>,
) -> Result<Vec<(AlertId, Date, Vec<u64>)>, RetentionError> {
    let personal = store.personal().await?;
    // Of a day that cannot be read nothing is reckoned.
    let day = |alert: &Alert| alert.day.parse::<Date>().ok();
    let is_over = |day: &Date| order.over_for(order.keep.alerts_days, *day);
    let mut over = Vec::new();
    for alert in store.alerts().await?.iter().filter(|alert| !alert.is_open()) {
        let notes = alert.reviews.iter().map(|review| review.sequence);
        let places: Vec<u64> = std::iter::once(alert.sequence)
            .chain(notes)
            .filter(|it| personal.contains(it))
            .collect();
        if let Some(day) = day(alert).filter(is_over)
            && !places.is_empty()
        {
            over.push((alert.id, day, places));
        }
    }
    Ok(over)
}
