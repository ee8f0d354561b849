//! Looking at one list: whether its source has changed, what that gives, and whether the result may
//! take effect.

use super::fetch::Download;
use super::gate::{Candidate, Change, Gate};
use super::source::{self, Reading};
use super::version::{Lineage, Looked, Shelf, VersionInfo};
use super::{Difference, HOUR_MS, ListError, Outcome};
use crate::config::{ListOrigin, ListSource};
use rules::category::Catalogue;
use rules::change::Event;
use rules::time::UnixMillis;

/// Between two tries at a source that failed, in milliseconds.
const RETRY_MS: i64 = 15 * 60_000;

/// A version read and stored, not yet in force.
pub(super) struct Fresh {
    pub(super) list: ListSource,
    pub(super) info: VersionInfo,
    pub(super) looked: Looked,
    pub(super) verdict: Outcome,
    /// Whether it has expressions or keywords.
    pub(super) has_patterns: bool,
}

/// What looking at one list led to.
pub(super) enum Step {
    /// Nothing to write.
    Done(Outcome),
    /// A new version, stored, with its verdict.
    Fresh(Box<Fresh>),
}

/// Reads one list's source and judges what it gives. Blocks: reads, sorts and compresses.
#[allow(clippy::too_many_arguments, reason = "everything that the verdict depends on")]
pub(super) fn consider(
    list: ListSource,
    lineage: Lineage,
    looked: Looked,
    shelf: &Shelf,
    download: Option<Download>,
    gate: &Gate,
    catalogue: &Catalogue,
    now: UnixMillis,
) -> Result<Step, ListError> {
    let fingerprint = source::fingerprint(&list, download.as_ref())?;
    let looked_now = Looked { fingerprint, at: Some(now), tried_at: Some(now), error: None };
    if let Some(version) = lineage.accepted.clone()
        && looked.fingerprint == looked_now.fingerprint
        && shelf.has(&version)
    {
        shelf.set_looked(&looked_now)?;
        return Ok(Step::Done(match lineage.held {
            Some((version, why)) => Outcome::Held { version, why },
            None => Outcome::Unchanged { version },
        }));
    }
    // A first version that waits is looked at again only when its source changes.
    if let Some(held) = shelf.waits(&lineage, &list)
        && looked.fingerprint == looked_now.fingerprint
    {
        shelf.set_looked(&looked_now)?;
        return Ok(Step::Done(held));
    }
    let Reading { info, entries: new } = source::read(&list, download.as_ref(), now)?;
    let locked = catalogue.id(&list.category).is_some_and(|id| catalogue.locked().contains(id));
    // An empty first version of an ordinary list is what the publisher has; of a locked one it is
    // a fault, and so is what a person brings; and a list that had entries never becomes empty.
    let builtin = matches!(list.origin, ListOrigin::Builtin(_));
    let is_fault = lineage.accepted.is_some() || (locked && !builtin) || gate.by_hand;
    if new.len() == 0 && is_fault {
        return Err(ListError::Empty { list: list.name });
    }
    // The same entries under a newer date are no new version; nor are they after a rollback.
    let same = |version: &str| shelf.hash_of(version).as_ref() == Some(&info.hash);
    if let Some(version) = lineage.accepted.as_deref()
        && same(version)
        && shelf.has(version)
    {
        shelf.set_looked(&looked_now)?;
        return Ok(Step::Done(Outcome::Unchanged { version: version.to_owned() }));
    }
    let rolled_back = lineage.rolled_back.as_deref().is_some_and(same);
    // A held first version that changed its category is noted under the new one.
    let moved = lineage.accepted.is_none()
        && shelf.info(&info.version).is_ok_and(|old| old.category != info.category);
    if moved || !shelf.has(&info.version) {
        shelf.store(&info, &new)?;
    }
    let difference = match lineage.accepted.as_deref() {
        Some(accepted) => Some(shelf.entries(accepted)?.difference(&new, 0)),
        None => None,
    };
    let (count, prepared) = (new.len(), new.prepared());
    let has_patterns = prepared.has_patterns();
    // From here on less than half of the memory that the text takes is enough.
    drop(new);
    shelf.keep_prepared(&info, &prepared);
    let version = info.version.clone();
    let verdict = match (lineage.accepted.as_deref(), difference) {
        (Some(accepted), Some(Difference { added, removed, .. })) => {
            // Some lists are mostly rules that name no site: the first version was taken as it is.
            let turns_to_junk = info.is_mostly_junk() && !shelf.info(accepted)?.is_mostly_junk();
            let change = Change { before: count + removed - added, after: count, removed };
            let candidate = Candidate { turns_to_junk, ..candidate(&list, change) };
            let mut holds = candidate.holds(prepared, gate, catalogue, now)?;
            if rolled_back {
                holds.insert(0, "was rolled back".to_owned());
            }
            if holds.is_empty() {
                Outcome::Accepted { version, entries: count, added, removed }
            } else {
                Outcome::Held { version, why: holds.join("; ") }
            }
        }
        _ => {
            if info.is_mostly_junk() {
                let list = list.name.as_str();
                tracing::warn!(list, "more than half of its lines are no entries: is it a list?");
            }
            let change = Change { before: 0, after: count, removed: 0 };
            let turns_to_junk = info.is_mostly_junk();
            let holds = Candidate { turns_to_junk, ..candidate(&list, change) }.first_holds(gate);
            match holds.is_empty() {
                true => Outcome::Accepted { version, entries: count, added: count, removed: 0 },
                false => Outcome::Held { version, why: holds.join("; ") },
            }
        }
    };
    let known = lineage.held.map(|(version, _)| version);
    if let Outcome::Held { version, .. } = &verdict
        && known.as_ref() == Some(version)
    {
        shelf.set_looked(&looked_now)?;
        return Ok(Step::Done(verdict));
    }
    Ok(Step::Fresh(Box::new(Fresh { list, info, looked: looked_now, verdict, has_patterns })))
}

pub(super) fn candidate(list: &ListSource, change: Change) -> Candidate<'_> {
    Candidate {
        list: &list.name,
        category: &list.category,
        hold_if_seen: list.hold_if_seen,
        change,
        turns_to_junk: false,
    }
}

pub(super) fn event_of(fresh: &Fresh) -> Option<Event> {
    let list = fresh.list.name.clone();
    match &fresh.verdict {
        Outcome::Unchanged { .. } => None,
        Outcome::Accepted { version, added, removed, .. } => Some(Event::ListAccepted {
            list,
            version: version.clone(),
            entries: fresh.info.entries,
            added: *added,
            removed: *removed,
        }),
        Outcome::Held { version, why } => {
            Some(Event::ListHeld { list, version: version.clone(), why: why.clone() })
        }
    }
}

/// Whether a source should be looked at by itself now.
pub(super) fn is_due(list: &ListSource, looked: &Looked, now: UnixMillis) -> bool {
    match &list.origin {
        ListOrigin::Builtin(_) | ListOrigin::Path(_) => match source::fingerprint(list, None) {
            Ok(fingerprint) => fingerprint != looked.fingerprint,
            // A source that cannot be looked at is tried at once, so that the fault is told, then
            // seldom.
            Err(_) => {
                looked.error.is_none() || looked.tried_at.is_none_or(|at| now.0 - at.0 > RETRY_MS)
            }
        },
        ListOrigin::Url(_) => {
            let every = i64::try_from(list.refresh_hours).unwrap_or(i64::MAX / HOUR_MS) * HOUR_MS;
            every > 0
                && looked.at.is_none_or(|at| now.0 - at.0 >= every)
                && looked.tried_at.is_none_or(|at| now.0 - at.0 >= RETRY_MS.min(every))
        }
    }
}
