//! Erasing whom closed alerts were about, and what was noted of them, once `[keep] alerts` is over.
//!
//! What is erased is an entry of the log of alerts, in the same transaction. The clock is doubted as it is for the
//! days of the access log: one that jumped ahead, as a machine without a battery may start with, must not erase what
//! nobody can bring back.

use super::{Order, RetentionError, Why, erasures, io};
use crate::alerts::{Alert, AlertStore};
use crate::changes::ChangeLog;
use crate::parts::days;
use jiff::civil::Date;
use rules::alert::AlertId;
use rules::hold::Holds;
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
