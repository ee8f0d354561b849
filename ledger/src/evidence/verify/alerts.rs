//! The alerts: each entry with the hash of the one before, and what the change log says they were.

use super::Report;
use crate::alerts::AlertStore;
use rules::change::Event;
use std::path::Path;

/// The name of the file in problems.
const ALERTS: &str = "alerts.db";

/// Compares the alerts with themselves, and with every entry of the change log that fixes them.
pub(super) async fn check(state: &Path, report: &mut Report) {
    let covered = report.log.iter().filter_map(|entry| match &entry.event {
        Event::AlertsCovered { size, head } => Some((entry.sequence, *size, head.clone())),
        _ => None,
    });
    let covered: Vec<(u64, u64, String)> = covered.collect();
    if !AlertStore::exists(state) {
        if let Some((entry, size, _)) = covered.last() {
            let what = format!(
                "it is missing, but entry {entry} of the change log says it had {size} entries"
            );
            report.problem(ALERTS, "the file", what);
        }
        return;
    }
    let heads = match AlertStore::open(state).await {
        Ok(mut store) => store.verify().await,
        Err(error) => Err(error),
    };
    let heads = match heads {
        Ok(heads) => heads,
        Err(error) => {
            report.problem(ALERTS, "the file", error.to_string());
            return;
        }
    };
    for (entry, size, head) in covered {
        let found = usize::try_from(size).ok().and_then(|size| heads.get(size.checked_sub(1)?));
        if found != Some(&head) {
            let what = format!("they are not what entry {entry} of the change log says they were");
            report.problem(ALERTS, format!("the first {size} entries"), what);
        }
    }
}
