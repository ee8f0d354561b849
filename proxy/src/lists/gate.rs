//! What keeps a new list version back until a person has looked at it.

use super::ListError;
use crate::snapshot::Snapshot;
use categorizer::index::{Builder, Index, ListInfo, Prepared};
use rules::category::{Catalogue, CategoryId, CategorySet};
use rules::decide::HELP;
use rules::host::Host;
use rules::inspect::Inspect;
use rules::policy::{Cell, Policy};
use rules::time::UnixMillis;
use std::sync::Arc;

/// A list that loses more than this share of its entries is held, however many it gains: the
/// publisher's file is cut off or another one, or something is being let through.
const MAX_REMOVED_PERCENT: u64 = 20;

/// How many sites an explanation names.
const NAMED_SITES: usize = 5;

/// What is said of a version that may open sites.
pub(super) const MAY_OPEN: &str = "may open sites";

/// What is said of a first version whose files are mostly junk.
pub(super) const HARDLY_A_LIST: &str =
    "is hardly a list: more than half of its lines are no entries";

/// Why a version whose files are mostly junk is held.
pub(super) const JUNK: &str = "more than half of its lines are no entries";

/// What new list versions are measured against.
#[derive(Clone, Default)]
pub struct Gate {
    /// The policy whose `[[test]]` cases must pass, and the lists in force.
    pub current: Option<(Arc<Policy>, Arc<Index>)>,
    /// Sites that were allowed in the last week, with how many requests each.
    pub seen: Vec<(String, u64)>,
    /// Whether the version comes from a person's own file, not from the list's source: then whatever
    /// it opens, or keeps from the filter, is that person's change, and waits.
    pub by_hand: bool,
}

impl Gate {
    /// Measures against a snapshot and the sites seen last week.
    #[must_use]
    pub fn new(snapshot: &Snapshot, seen: Vec<(String, u64)>) -> Self {
        let current = (Arc::clone(&snapshot.policy), Arc::clone(&snapshot.index));
        Self { current: Some(current), seen, by_hand: false }
    }
}

/// How many entries a list had and would have.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Change {
    pub(super) before: u64,
    pub(super) after: u64,
    /// Those that only the version before has.
    pub(super) removed: u64,
}

/// One list version on its way into force.
pub(super) struct Candidate<'a> {
    pub(super) list: &'a str,
    pub(super) category: &'a str,
    pub(super) hold_if_seen: bool,
    pub(super) change: Change,
    /// Whether the new version's files are mostly junk, and the old one's, where there is one, were not.
    pub(super) turns_to_junk: bool,
}

impl Candidate<'_> {
    /// Why the version must wait; empty: it may take effect.
    pub(super) fn holds(
        &self,
        prepared: Prepared,
        gate: &Gate,
        catalogue: &Catalogue,
        now: UnixMillis,
    ) -> Result<Vec<String>, ListError> {
        let locked = catalogue.id(self.category).is_some_and(|id| catalogue.locked().contains(id));
        let mut holds = Vec::new();
        let Change { before, after, removed } = self.change;
        if locked && removed > 0 {
            holds.push(format!("would open {} in a locked category", entries(removed)));
        } else if self.removed_over(MAX_REMOVED_PERCENT) {
            holds.push(format!(
                "would lose more than {MAX_REMOVED_PERCENT} % of its entries, {removed} of {before} \
                 (it would have {after})"
            ));
        }
        if self.turns_to_junk {
            holds.push(JUNK.to_owned());
        }
        let Some((policy, index)) = &gate.current else { return Ok(holds) };
        holds.extend(self.opened_by_hand(gate));
        // What blocks illegal content takes effect at once, whoever was there last week.
        let asks_for_sites = self.hold_if_seen
            && !gate.seen.is_empty()
            && !locked
            && blocks_somebody(policy, self.category);
        // Whether its patterns fit into an index is seen only there.
        if !asks_for_sites && !policy.has_tests() && !prepared.has_patterns() {
            return Ok(holds);
        }
        let alone = self.alone(prepared, catalogue)?;
        if asks_for_sites {
            holds.extend(self.newly_blocked(gate, index, &alone));
        }
        holds.extend(self.failing_tests(policy, index, &alone, now));
        Ok(holds)
    }

    /// Why a first version must wait, by itself; empty: only the policy's tests can hold it. What a list's source says
    /// is then taken as it is.
    pub(super) fn first_holds(&self, gate: &Gate) -> Vec<String> {
        let junk = (gate.by_hand && self.turns_to_junk).then(|| JUNK.to_owned());
        junk.into_iter().chain(self.opened_by_hand(gate)).collect()
    }

    /// What a version opens that a person brings.
    fn opened_by_hand(&self, gate: &Gate) -> Option<String> {
        let Change { before, after, removed } = self.change;
        let added = (after + removed).saturating_sub(before);
        let words = match &gate.current {
            _ if !gate.by_hand => None,
            Some((policy, _)) => opening(policy, self.category, added, removed),
            None => Some(MAY_OPEN.to_owned()),
        };
        Some(format!("comes from a file of its own and {}", words?))
    }

    /// The failing `[[test]]` cases of the policy, should this version take effect.
    pub(super) fn failing(
        &self,
        prepared: Prepared,
        gate: &Gate,
        catalogue: &Catalogue,
        now: UnixMillis,
    ) -> Result<Option<String>, ListError> {
        let Some((policy, index)) = &gate.current else { return Ok(None) };
        Ok(self.failing_tests(policy, index, &self.alone(prepared, catalogue)?, now))
    }

    fn removed_over(&self, percent: u64) -> bool {
        let Change { before, removed, .. } = self.change;
        u128::from(removed) * 100 > u128::from(before) * u128::from(percent)
    }

    /// An index of the new version alone: the same matching as traffic, at this list's cost.
    pub(super) fn alone(
        &self,
        prepared: Prepared,
        catalogue: &Catalogue,
    ) -> Result<Index, ListError> {
        let failed = |why: String| ListError::Index { why };
        let mut builder = Builder::new();
        let list = ListInfo {
            name: self.list.to_owned(),
            category: self.category.to_owned(),
            version: String::new(),
        };
        builder.add_list(list, prepared);
        let bytes = builder.finish("").map_err(|e| failed(e.to_string()))?;
        Index::open(Box::new(bytes), catalogue).map_err(|e| failed(e.to_string()))
    }

    fn newly_blocked(&self, gate: &Gate, index: &Index, alone: &Index) -> Option<String> {
        let listed = |index: &Index, host: &Host| {
            index.hits(host, Some("/")).iter().any(|hit| hit.list.category == self.category)
        };
        let mut sites: Vec<(&str, u64)> = gate
            .seen
            .iter()
            .filter_map(|(site, requests)| Some((Host::parse(site).ok()?, site, *requests)))
            .filter(|(host, _, _)| listed(alone, host) && !listed(index, host))
            .map(|(_, site, requests)| (site.as_str(), requests))
            .collect();
        if sites.is_empty() {
            return None;
        }
        sites.sort_by_key(|(site, requests)| (std::cmp::Reverse(*requests), *site));
        let named: Vec<_> = sites.iter().take(NAMED_SITES).map(|(site, _)| *site).collect();
        let count = match sites.len() {
            1 => "1 site".to_owned(),
            count => format!("{count} sites"),
        };
        Some(format!("would newly block {count} used last week ({})", named.join(", ")))
    }

    fn failing_tests(
        &self,
        policy: &Policy,
        index: &Index,
        alone: &Index,
        now: UnixMillis,
    ) -> Option<String> {
        let categories = |host: &Host, path: Option<&str>| {
            let others =
                index.hits(host, path).into_iter().filter(|hit| hit.list.name != self.list);
            let mut set: CategorySet = others.map(|hit| hit.category).collect();
            set = set.union(alone.categories(host, path));
            if set.len() > 1 {
                set.remove(rules::category::CategoryId::UNCATEGORISED);
            }
            set
        };
        let failures = policy.run_tests(&categories, now);
        let first = failures.first()?;
        let before = policy.run_tests(&|host, path| index.categories(host, path), now).len();
        // A test that fails already says nothing about this version.
        (failures.len() > before)
            .then(|| format!("{} policy tests would fail: {}", failures.len(), first.text))
    }
}

fn entries(count: u64) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

/// Whether the category is anything but plainly allowed at some level.
fn blocks_somebody(policy: &Policy, category: &str) -> bool {
    let Some(id) = policy.catalogue().id(category) else { return true };
    policy.levels().iter().any(|(level, _)| *policy.cell(level, id).0 != Cell::Allow)
}

/// What a version that has so many entries more, and so many fewer, may do that another person has to say
/// yes to, as `may open sites`; `None`: nothing.
///
/// It may open something at some level: a site that leaves a category which is not plainly allowed; or one
/// that was in no category and comes into one of which more is allowed than of what no list names. Or the
/// filter may see or refuse less of a site that comes into its category, whatever the grid says: a policy
/// that did so would be opening too. Or it may look into a site that was private.
pub(super) fn opening(policy: &Policy, category: &str, added: u64, removed: u64) -> Option<String> {
    let Some(id) = policy.catalogue().id(category) else { return Some(MAY_OPEN.to_owned()) };
    let is_looser = |level| {
        let (unknown, _) = policy.cell(level, CategoryId::UNCATEGORISED);
        let (named, _) = policy.cell(level, id);
        *unknown != Cell::Allow && *named != Cell::Block && unknown != named
    };
    let looser = policy.levels().iter().any(|(level, _)| is_looser(level));
    let mut words = Vec::new();
    if (removed > 0 && blocks_somebody(policy, category)) || (added > 0 && looser) {
        words.push(MAY_OPEN);
    }
    if added > 0 && shields(policy, id) {
        words.push("may have the filter see or refuse less of sites");
    }
    if removed > 0 && policy.catalogue().privacy().contains(id) {
        words.push("may have the filter look into what was private");
    }
    (!words.is_empty()).then(|| words.join(" and "))
}

/// Whether the filter sees or refuses less of a site because it is in this category: a private one, or that of
/// help, whose sites a ban and words leave open; or the policy has it looked into less, or its files unchecked.
fn shields(policy: &Policy, category: CategoryId) -> bool {
    let catalogue = policy.catalogue();
    let is_seen_less = policy
        .inspect_categories()
        .iter()
        .any(|(named, mode, _)| *named == category && *mode != Inspect::Page);
    is_seen_less
        || catalogue.privacy().contains(category)
        || catalogue.id(HELP) == Some(category)
        || policy.leaves_files_unchecked(CategorySet::of(category))
}
