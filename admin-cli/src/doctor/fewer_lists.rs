//! The checks of `doctor` about lists that were in force and are not by the machine file.

use super::{Check, first_of};
use crate::school::School;
use proxy::lists::Lists;
use std::collections::BTreeSet;

/// Lists that were in force and are no longer by the machine file, where that leaves something unfiltered:
/// as with a copy that was brought back beside another machine file.
pub(super) async fn checks(school: &School) -> Vec<Check> {
    const WHAT: &str = "fewer lists";
    // A log that cannot be read has a check of its own.
    let Ok(log) = school.change_log().await else { return Vec::new() };
    let lists = Lists::new(&school.config, &log);
    let (displaced, uncovered) = match (lists.displaced().await, lists.uncovered().await) {
        (Ok(displaced), Ok(uncovered)) => (displaced, uncovered),
        (Err(error), _) | (_, Err(error)) => {
            return vec![Check::problem(WHAT, error.to_string(), "schoolgate lists status")];
        }
    };
    let mut checks = Vec::new();
    if !displaced.is_empty() {
        checks.push(Check::problem(
            WHAT,
            format!(
                "of the lists in force at the last run the machine file lacks {}: {}; what they block would be open",
                displaced.len(),
                first_of(displaced.iter().map(ToString::to_string))
            ),
            "put them back under [[lists]] before the filter starts; a backup has the machine file as config/schoolgate.toml",
        ));
    }
    if !uncovered.is_empty() {
        let categories: BTreeSet<&str> =
            uncovered.iter().map(|(_, category)| category.as_str()).collect();
        let named = uncovered.iter().map(|(list, category)| format!("{list} ({category})"));
        checks.push(Check::problem(
            WHAT,
            format!(
                "the machine file took out the last lists of {} categories: {}; what they blocked may be open",
                categories.len(),
                first_of(named)
            ),
            format!(
                "put them back under [[lists]], or lists of the same categories; if it is meant, remove {}/NAME of each",
                school.config.state.join("lists").display()
            ),
        ));
    }
    checks
}
