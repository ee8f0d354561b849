//! Decisions in words: why, which list said so, when it opens.

use categorizer::index::Hit;
use rules::decide::{Decision, Reason, ReasonCode};
use rules::policy::{Policy, RuleId};
use rules::time::{SchoolClock, UnixMillis};

/// Why, for people: `games = "allow at lunch" (policy.toml:26)`.
pub(crate) fn because(policy: &Policy, decision: &Decision) -> String {
    let rule = |id: RuleId| {
        let rule = policy.rule(id);
        format!("{} ({})", rule.text, rule.place)
    };
    match decision.reason {
        Reason::Locked(category) => {
            format!("{} is locked: illegal content, nothing opens it", policy.catalogue().name(category))
        }
        Reason::Banned { until } => format!("no internet until {}", policy.clock().show(until)),
        Reason::SiteBlocked(id) => format!("blocked by the school ({id})"),
        Reason::Unblock(id) => format!("opened for now ({id})"),
        Reason::Exception(id) => format!("standing exception: {}", rule(id)),
        Reason::NotOnList(id) => format!("not on the level's list: {}", rule(id)),
        Reason::OnList(id) => format!("on the level's list: {}", rule(id)),
        Reason::Grid { rule: id, .. } => rule(id),
    }
}

/// The rule that decided, for programs: as the log records it.
pub(crate) fn rule(policy: &Policy, decision: &Decision) -> Option<String> {
    match decision.reason {
        Reason::Locked(_) | Reason::Banned { .. } => None,
        Reason::SiteBlocked(id) => Some(id.to_string()),
        Reason::Unblock(id) => Some(id.to_string()),
        Reason::Exception(id) | Reason::NotOnList(id) | Reason::OnList(id) | Reason::Grid { rule: id, .. } => {
            let rule = policy.rule(id);
            Some(format!("{} {}", rule.place, rule.text))
        }
    }
}

/// A list version as people read it: `25 Nov 2025` where it is a date, its first 12 characters
/// where it is a hash.
pub(crate) fn version(text: &str) -> String {
    let day = text.get(..10).and_then(|day| day.parse::<jiff::civil::Date>().ok());
    match day {
        Some(day) => day.strftime("%-d %b %Y").to_string(),
        None if text.len() > 20 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            text[..12].to_owned()
        }
        None => text.to_owned(),
    }
}

/// `games (ut1-games, 25 Nov 2025), entry chess.com`.
pub(crate) fn listed(category: &str, hit: &Hit) -> String {
    let words = format!("{category} ({}, {})", hit.list.name, version(&hit.list.version));
    format!("{words}, entry {}", hit.entry)
}

/// `Wed 25 Nov 2026 12:10 to 13:10 GMT`: the day once, where both are on one day.
pub(crate) fn span(clock: &SchoolClock, (from, until): (UnixMillis, UnixMillis)) -> String {
    let (first, last) = (clock.show(from), clock.show(until));
    if clock.day(from) != clock.day(until) {
        return format!("{first} to {last}");
    }
    // `Wed 25 Nov 2026 12:10 GMT`: the hour is the word before the zone.
    let words: Vec<&str> = last.split(' ').collect();
    match words.len().checked_sub(2).and_then(|place| words.get(place)) {
        Some(time) => format!("{first} to {time}"),
        None => format!("{first} to {last}"),
    }
}

/// The sentence for a reason word of a record.
pub(crate) fn sentence(code: ReasonCode) -> &'static str {
    match code {
        ReasonCode::Allowed => "the policy allows it for this level",
        ReasonCode::Unblock => "an unblock had opened it",
        ReasonCode::Exception => "a standing exception of the policy opens it",
        ReasonCode::OnList => "it is on the list of sites for this level",
        ReasonCode::Locked => "illegal content; nothing opens it",
        ReasonCode::Banned => "this person has no internet for now",
        ReasonCode::SiteBlocked => "the school closed this site",
        ReasonCode::NotOnList => "this level may see only the sites of its list",
        ReasonCode::Category => "the policy blocks this category for this level",
        ReasonCode::OutsideTimes => "the policy allows this category at other times",
        ReasonCode::NotNominated => "the policy allows this category for nominated people only",
        ReasonCode::Uncategorised => "no list names the site, and this level may not see such sites",
        ReasonCode::BadRequest => "the address or request could be read in more than one way",
        ReasonCode::Port => "this port is not allowed",
        ReasonCode::PrivateAddress => "the name leads to a private or local address",
        ReasonCode::Loop => "the request came back to the filter",
        ReasonCode::SignIn => "nobody had signed in, or the password was wrong",
        ReasonCode::Limit => "a limit of the machine was reached",
        ReasonCode::Internal => "the filter had a fault, so it blocked",
        ReasonCode::LogUnavailable => "the log could not be written, so the filter blocked",
        ReasonCode::Unsupported => "a method or feature that the filter does not pass on",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_dates_where_they_are() {
        assert_eq!(version("2025-11-25"), "25 Nov 2025");
        assert_eq!(version("2025-11-25T06:00:00Z"), "25 Nov 2025");
        assert_eq!(version("starter 1"), "starter 1");
        assert_eq!(version(&"ab".repeat(32)), "abababababab");
    }
}
