//! The first version of a list: nothing of the list is in force that it could be compared with, but
//! the policy's test cases can tell what it would close or open.

use super::gate::{Change, Gate};
use super::judge::{Fresh, candidate};
use super::version::Shelf;
use super::{ListError, Lists, Outcome, Recipe, blocking};
use crate::config::{ListOrigin, ListSource};
use crate::policy_file::{PolicyFile, in_force};
use categorizer::index::{Index, ListInfo};
use rules::category::{Catalogue, CategoryId, CategorySet};
use rules::policy::Policy;
use rules::time::UnixMillis;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Failing test cases: the case, and the whole sentence with what decided it.
type Failing = BTreeMap<String, String>;

impl Lists<'_> {
    /// Holds those first versions that make a policy test fail which passes without them. Where
    /// no policy can be read nothing is held: the filter does not start without one either.
    ///
    /// Locked lists always take effect, and so do the shipped ones of a very first start, which
    /// everything else is measured against.
    pub(super) async fn judge_first(
        &self,
        fresh: &mut [Fresh],
        accepted: &HashMap<String, String>,
        catalogue: &Catalogue,
        gate: &Gate,
        now: UnixMillis,
    ) -> Result<(), ListError> {
        let is_first = |version: &Fresh| !accepted.contains_key(&version.list.name);
        if !fresh.iter().any(is_first) {
            return Ok(());
        }
        let Some(policy) = self.policy(catalogue, gate).await? else { return Ok(()) };
        // Without tests only that the patterns fit into an index is left to see.
        if !policy.has_tests() && !fresh.iter().any(|version| version.has_patterns) {
            return Ok(());
        }
        let (mut base, mut tried) = (Vec::new(), Vec::new());
        for (place, version) in fresh.iter().enumerate().filter(|(_, version)| is_first(version)) {
            let part = (place, version.list.clone(), version.info.version.clone());
            let locked = |id| catalogue.locked().contains(id);
            let shipped = matches!(version.list.origin, ListOrigin::Builtin(_));
            if catalogue.id(&version.list.category).is_some_and(locked)
                || (shipped && accepted.is_empty())
            {
                base.push(part);
            } else {
                tried.push(part);
            }
        }
        if tried.is_empty() {
            return Ok(());
        }
        let state = self.config.state.clone();
        let in_force: Vec<_> = self
            .config
            .lists
            .iter()
            .filter_map(|list| {
                let version = accepted.get(&list.name)?.clone();
                Some(ListInfo { name: list.name.clone(), category: list.category.clone(), version })
            })
            .collect();
        let catalogue = catalogue.clone();
        let held = blocking(move || {
            let alone = |(place, list, version): &(usize, ListSource, String)| {
                let prepared = Shelf::new(&state, &list.name).prepared(version)?;
                let index = candidate(list, Change::default()).alone(prepared, &catalogue)?;
                Ok::<_, ListError>((*place, index))
            };
            let mut trial = Trial { policy: &policy, now, indexes: Vec::new() };
            if !in_force.is_empty() {
                trial.indexes.push(Recipe::new(&state, in_force).open(&catalogue)?);
            }
            for part in &base {
                trial.indexes.push(alone(part)?.1);
            }
            let tried = tried.iter().map(alone).collect::<Result<Vec<_>, _>>()?;
            Ok(trial.guilty(tried))
        })
        .await?;
        for (place, why) in held {
            let version = fresh[place].info.version.clone();
            // It may wait already for what a person brings by it.
            let why = match &fresh[place].verdict {
                Outcome::Held { why: known, .. } => format!("{known}; {why}"),
                _ => why,
            };
            fresh[place].verdict = Outcome::Held { version, why };
        }
        Ok(())
    }

    /// The policy in force; where none is yet, the file's.
    async fn policy(
        &self,
        catalogue: &Catalogue,
        gate: &Gate,
    ) -> Result<Option<Arc<Policy>>, ListError> {
        if let Some((policy, _)) = &gate.current {
            return Ok(Some(Arc::clone(policy)));
        }
        let changes = self.log.changes().await?;
        let file = match in_force(self.config, &changes, catalogue) {
            Ok(Some(file)) => Some(file),
            Ok(None) => PolicyFile::read(&self.config.policy, catalogue).ok(),
            Err(_) => None,
        };
        Ok(file.map(|file| Arc::new(file.policy)))
    }
}

/// The policy's tests against a growing set of lists.
struct Trial<'a> {
    policy: &'a Policy,
    now: UnixMillis,
    indexes: Vec<Index>,
}

impl Trial<'_> {
    fn failing(&self, more: &[&Index]) -> Failing {
        let categories = |host: &_, path: Option<&str>| {
            let indexes = self.indexes.iter().chain(more.iter().copied());
            let mut set = indexes
                .fold(CategorySet::default(), |set, index| set.union(index.categories(host, path)));
            if set.is_empty() {
                return CategorySet::of(CategoryId::UNCATEGORISED);
            }
            if set.len() > 1 {
                set.remove(CategoryId::UNCATEGORISED);
            }
            set
        };
        let failures = self.policy.run_tests(&categories, self.now).into_iter();
        // What decided a case may change with the lists; the case before the last "; " does not.
        let case = |text: &str| text.rsplit_once("; ").map_or(text, |(case, _)| case).to_owned();
        failures.map(|failure| (case(&failure.text), failure.text)).collect()
    }

    /// Which of these lists make a test fail that passes without them, and why each. Lists that
    /// only mend tests go first: what one list opens, another must not close unseen.
    fn guilty(&mut self, mut tried: Vec<(usize, Index)>) -> Vec<(usize, String)> {
        let all: Vec<_> = tried.iter().map(|(_, index)| index).collect();
        if self.failing(&all).is_empty() {
            return Vec::new();
        }
        let mut failing = self.failing(&[]);
        while let Some((at, less)) = tried.iter().enumerate().find_map(|(at, (_, index))| {
            let with = self.failing(&[index]);
            (with.len() < failing.len() && none_new(&with, &failing)).then_some((at, with))
        }) {
            self.indexes.push(tried.remove(at).1);
            failing = less;
        }
        let mut held = Vec::new();
        for (place, index) in tried {
            let with = self.failing(&[&index]);
            let mut new = with.iter().filter(|(case, _)| !failing.contains_key(*case));
            match new.next() {
                Some((_, first)) => {
                    let count = 1 + new.count();
                    held.push((place, format!("{count} policy tests would fail: {first}")));
                }
                None => {
                    self.indexes.push(index);
                    failing = with;
                }
            }
        }
        held
    }
}

fn none_new(with: &Failing, before: &Failing) -> bool {
    with.keys().all(|case| before.contains_key(case))
}
