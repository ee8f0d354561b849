//! What a level's settings about searches make of an address, for `check`.

use rules::decide::ReasonCode;
use rules::host::Host;
use rules::search::{Search, SearchRules, Unseen};

/// What becomes of a request that the policy allows.
pub(crate) enum SafeSearch {
    /// It is refused.
    Refused(ReasonCode),
    /// It is kept safe, by these means.
    Forced(Vec<String>),
}

/// What a level makes of a request; `is_seen`: it is looked into, or not encrypted. `None`: it goes as it came.
pub(crate) fn of(
    host: &Host,
    path_and_query: &str,
    rules: &SearchRules,
    is_seen: bool,
) -> Option<SafeSearch> {
    let site = Search::shipped().site(host)?;
    if is_seen {
        if let Some(refusal) = site.refusal(path_and_query, rules) {
            return Some(SafeSearch::Refused(refusal.code()));
        }
        let means = site.forced_by(path_and_query, rules);
        return (!means.is_empty()).then_some(SafeSearch::Forced(means));
    }
    match site.unseen(rules) {
        Unseen::Pass => None,
        Unseen::Refuse(refusal) => Some(SafeSearch::Refused(refusal.code())),
        Unseen::Redial(host) => Some(SafeSearch::Forced(vec![format!("address {host}")])),
    }
}
