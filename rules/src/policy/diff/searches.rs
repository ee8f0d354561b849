//! What differs in what a policy says about searches and about accounts at services.

use super::{PolicyDiff, each};
use crate::level::Level;
use crate::policy::Policy;
use std::collections::{BTreeMap, BTreeSet};

impl Policy {
    /// Another account that is let in opens more, and so does a service that is no longer kept to any.
    pub(super) fn diff_tenants(&self, newer: &Policy, diff: &mut PolicyDiff) {
        let values = |policy: &Policy| -> BTreeMap<String, String> {
            let restrictions = policy.tenants.restrictions().iter();
            let all = restrictions.flat_map(|restriction| {
                let whole =
                    (restriction.service.clone(), "kept to the school's accounts".to_owned());
                let parts = restriction.values.iter();
                let part = |(key, values): (&String, &Vec<String>)| {
                    let values: BTreeSet<&str> = values.iter().map(String::as_str).collect();
                    let values: Vec<&str> = values.into_iter().collect();
                    (format!("{} {key}", restriction.service), values.join(", "))
                };
                std::iter::once(whole).chain(parts.map(part))
            });
            all.collect()
        };
        each(&values(self), &values(newer), |what, old, new| {
            let is_new = |value: &str| !old.split(", ").any(|known| known == value);
            // A service that comes keeps accounts out, and lets none in.
            let loosens = !old.is_empty() && (new.is_empty() || new.split(", ").any(is_new));
            diff.change(&format!("tenants {what}"), old, new, loosens);
        });
    }
}

/// Whether one level finds more by searching than the other.
pub(super) fn loosens_searches(was: &Level, is: &Level) -> bool {
    was.safe_search && !is.safe_search
        || is.video < was.video
        || is.images < was.images
        || was.child_engines && !is.child_engines
}
