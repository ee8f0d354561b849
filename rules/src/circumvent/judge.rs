//! One access decided with what it was found to be.

use super::{Found, Grade, Technique};
use crate::access::Access;
use crate::category::{CategoryId, CategorySet};
use crate::decide::{Decision, Reason, ReasonCode, Verdict, block, decide, decide_with};
use crate::host::Host;
use crate::level::Circumvention;
use crate::policy::Policy;
use crate::target::seen_path;
use crate::time::UnixMillis;
use crate::unblock::{SiteBlock, Unblock};

/// A decision, in the words of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The decision.
    pub decision: Decision,
    /// Its reason: that of the technique, where the grid refuses a category that is for one.
    pub code: ReasonCode,
    /// Categories of the site, of the technique, and of sites within that are refused.
    pub categories: CategorySet,
}

/// Decides one access, and each URL within it. `categories_of` finds what a URL within is.
///
/// A technique that is certain is refused where the level says `circumvention = "block"`, unless an unblock
/// or a standing exception opens the site; with `"grid"` the row of its category decides. Neither comes
/// before what is locked, a ban or the school's own block. What is refused within refuses the whole, whoever
/// opened the site around it; what is locked there is locked.
#[must_use]
pub fn judge(
    policy: &Policy,
    (unblocks, blocks): (&[Unblock], &[SiteBlock]),
    access: &Access<'_>,
    found: Option<&Found<'_>>,
    categories_of: &dyn Fn(&Host, &str) -> CategorySet,
    now: UnixMillis,
) -> Judged {
    let Some(found) = found else {
        let decision = decide(policy, unblocks, blocks, access, now);
        return named(policy, decision, access.categories, None);
    };
    let catalogue = policy.catalogue();
    // One that is only perhaps there says nothing of the site around it.
    let own = match found.grade {
        Grade::Perhaps => CategorySet::EMPTY,
        _ => found.technique.categories(catalogue),
    };
    let mut access = *access;
    access.categories = with(access.categories, own);
    let refuses = policy.levels().get(access.who.level).circumvention == Circumvention::Block;
    let technique = (found.grade == Grade::Certain && refuses).then_some(found.technique);
    let decision = decide_with(policy, unblocks, blocks, &access, technique, now);
    let is_certain = found.grade == Grade::Certain;
    let technique = is_certain.then_some(found.technique);
    let mut judged = named(policy, decision, access.categories, technique);
    for inner in &found.inner {
        let path = seen_path(&inner.path_and_query);
        let categories = categories_of(&inner.host, &inner.path_and_query);
        let within = Access {
            who: access.who,
            scheme: inner.scheme,
            host: &inner.host,
            port: inner.port,
            path: Some(&path),
            categories,
        };
        let decision = decide(policy, unblocks, blocks, &within, now);
        if decision.verdict == Verdict::Allow || !counts(policy, found.grade, decision) {
            continue;
        }
        judged.categories = with(judged.categories, categories);
        match (decision.reason, judged.decision.reason) {
            (Reason::Locked(_), _) => {
                judged.decision = decision;
                judged.code = ReasonCode::Locked;
                return judged;
            }
            (_, Reason::Locked(_) | Reason::Banned { .. } | Reason::SiteBlocked(_)) => {}
            _ => {
                judged.decision = block(Reason::Technique(found.technique));
                judged.code = found.technique.code();
            }
        }
    }
    judged
}

/// Whether a refusal of a URL within counts. Where it only may be one, not for want of a list that has it.
fn counts(policy: &Policy, grade: Grade, decision: Decision) -> bool {
    let is_unknown =
        matches!(decision.code(policy), ReasonCode::Uncategorised | ReasonCode::NotOnList);
    grade != Grade::Perhaps || !is_unknown
}

/// What the grid refuses for a category that is for one technique is recorded as that; as the one that was found,
/// where it is of that category.
fn named(
    policy: &Policy,
    decision: Decision,
    categories: CategorySet,
    found: Option<Technique>,
) -> Judged {
    let (code, catalogue) = (decision.code(policy), policy.catalogue());
    let technique = match decision.reason {
        Reason::Grid { category, .. } if code == ReasonCode::Category => found
            .filter(|found| found.categories(catalogue).contains(category))
            .or_else(|| Technique::of_category(catalogue, category)),
        _ => None,
    };
    Judged { decision, code: technique.map_or(code, Technique::code), categories }
}

/// Categories with others beside them; none of them is unknown any more.
fn with(categories: CategorySet, others: CategorySet) -> CategorySet {
    let all = categories.union(others);
    let known = all.difference(CategorySet::of(CategoryId::UNCATEGORISED));
    if known.is_empty() { all } else { known }
}
