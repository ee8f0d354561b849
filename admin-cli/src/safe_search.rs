//! What a level's settings about searches make of an address, for `check`.

use rules::decide::{Reason, ReasonCode};
use rules::host::Host;
use rules::search::{Refusal, Search, SearchRules, Way};

/// What becomes of a request that the policy allows.
pub(crate) enum SafeSearch {
    /// It is refused: why, and the engine as a record names it.
    Refused(ReasonCode, String),
    /// It is kept safe, by these means.
    Forced(Vec<String>),
    /// It would be refused, and somebody opened the engine.
    Opened(Reason),
}

/// What a level makes of a request; `is_seen`: it is looked into, or not encrypted. `opened` says what opens an engine.
/// `None`: it goes as it came.
pub(crate) fn of(
    host: &Host,
    path_and_query: &str,
    rules: &SearchRules,
    is_seen: bool,
    opened: impl FnOnce() -> Option<Reason>,
) -> Option<SafeSearch> {
    let site = Search::shipped().site(host)?;
    let means = match site.way(rules, is_seen.then_some(path_and_query), opened) {
        Err(refusal) => return Some(SafeSearch::Refused(Refusal::code(refusal), site.rule_text())),
        Ok(Way { opened: Some(reason), .. }) => return Some(SafeSearch::Opened(reason)),
        Ok(_) if is_seen => site.forced_by(path_and_query, rules),
        Ok(Way { to, .. }) => to.map(|host| format!("address {host}")).into_iter().collect(),
    };
    (!means.is_empty()).then_some(SafeSearch::Forced(means))
}
