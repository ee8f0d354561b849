//! What differs in `[reports]`.
//!
//! Whoever decides alone who is told of an unread report could have it stay so. As with alerts, others
//! are a second person's matter in either direction, and later is looser.

use super::PolicyDiff;
use crate::report::ReportRules;

pub(super) fn diff_reports(old: &ReportRules, new: &ReportRules, diff: &mut PolicyDiff) {
    let (was, is) = (old.unread_at, new.unread_at);
    diff.change("reports unread_at", &was.to_string(), &is.to_string(), is > was);
    let people = |rules: &ReportRules| match &rules.deputy[..] {
        [] => "the head".to_owned(),
        named => named.join(", "),
    };
    diff.change("reports deputy", &people(old), &people(new), true);
}
