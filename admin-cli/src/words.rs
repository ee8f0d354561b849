//! Decisions in words: why, which list said so, when it opens.

use crate::output::HIDDEN;
use categorizer::index::Hit;
use rules::category::CategorySet;
use rules::circumvent::Technique;
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
            format!(
                "{} is locked: illegal content, nothing opens it",
                policy.catalogue().name(category)
            )
        }
        Reason::Banned { until } => {
            let until = policy.clock().show_end(until);
            format!("no internet, except sites of help, until {until}")
        }
        Reason::SiteBlocked(id) => format!("blocked by the school ({id})"),
        Reason::Unblock(id) => format!("opened for now ({id})"),
        Reason::Exception(id) => format!("standing exception: {}", rule(id)),
        Reason::NotOnList(id) => format!("not on the level's list: {}", rule(id)),
        Reason::OnList(id) => format!("on the level's list: {}", rule(id)),
        Reason::Grid { rule: id, .. } => rule(id),
        Reason::Technique(technique) => sentence(technique.code()).to_owned(),
    }
}

/// The rule that decided, for programs: as the log records it.
pub(crate) fn rule(policy: &Policy, decision: &Decision) -> Option<String> {
    match decision.reason {
        Reason::Locked(_) | Reason::Banned { .. } | Reason::Technique(_) => None,
        Reason::SiteBlocked(id) => Some(id.to_string()),
        Reason::Unblock(id) => Some(id.to_string()),
        Reason::Exception(id)
        | Reason::NotOnList(id)
        | Reason::OnList(id)
        | Reason::Grid { rule: id, .. } => {
            let rule = policy.rule(id);
            Some(format!("{} {}", rule.place, rule.text))
        }
    }
}

/// The category that no unblock opens: locked, or in `never` of the policy; `None` where none is.
pub(crate) fn closed_to_unblocks(policy: &Policy, categories: CategorySet) -> Option<&str> {
    let closed = policy.catalogue().locked().union(policy.unblock_rules().never);
    closed.intersection(categories).iter().next().map(|id| policy.catalogue().name(id))
}

/// Whether an unblock opens what was blocked for this reason: the policy's or the school's own
/// block, not a ban, a port or a fault.
pub(crate) fn is_unblockable(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::Category
            | ReasonCode::OutsideTimes
            | ReasonCode::NotNominated
            | ReasonCode::Uncategorised
            | ReasonCode::NotOnList
            | ReasonCode::SiteBlocked
            | ReasonCode::NoSafeMode
            | ReasonCode::NotForChildren
            | ReasonCode::PageWords
            | ReasonCode::AddressWords
            | ReasonCode::Unscanned
    ) || Technique::of(code).is_some_and(|technique| {
        // Of a page within another the site within is what is blocked.
        !matches!(
            technique,
            Technique::TranslatedCopy | Technique::StoredCopy | Technique::UrlInside
        )
    })
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

/// `games (ut1-games, 25 Nov 2025), entry chess.com`; the entry is left out where it is `locked`.
pub(crate) fn listed(category: &str, hit: &Hit, locked: bool) -> String {
    let words = format!("{category} ({}, {})", hit.list.name, version(&hit.list.version));
    format!("{words}, entry {}", if locked { HIDDEN } else { &hit.entry })
}

/// `Wed 12:10 to 13:10`, with the date where it is further away than a week; the day once, where
/// both ends are on one.
pub(crate) fn span(
    clock: &SchoolClock,
    now: UnixMillis,
    (from, until): (UnixMillis, UnixMillis),
) -> String {
    const SIX_DAYS_MS: i64 = 6 * 86_400_000;
    let near = (from.0 - now.0).abs() < SIX_DAYS_MS;
    let day = if near { "%a" } else { "%a %-d %b %Y" };
    let (first, last) = (clock.civil(from), clock.civil(until));
    let ends =
        if first.date() == last.date() { "%H:%M".to_owned() } else { format!("{day} %H:%M") };
    format!("{} to {}", first.strftime(&format!("{day} %H:%M")), last.strftime(&ends))
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
        ReasonCode::Uncategorised => {
            "no list names the site, and this level may not see such sites"
        }
        ReasonCode::BadRequest => "the address or request could be read in more than one way",
        ReasonCode::Port => "this port is not allowed",
        ReasonCode::PrivateAddress => "the name leads to a private or local address",
        ReasonCode::Loop => "the request came back to the filter",
        ReasonCode::SignIn => {
            "nobody had signed in, or the password was wrong, or too many before it were"
        }
        ReasonCode::Limit => "a limit of the machine was reached",
        ReasonCode::Internal => "the filter had a fault, so it blocked",
        ReasonCode::LogUnavailable => "the log could not be written, so the filter blocked",
        ReasonCode::Unsupported => "a method or feature that the filter does not pass on",
        ReasonCode::PageWords => "what the page says is of a theme that this level may not read",
        ReasonCode::AddressWords => {
            "the address is of a theme that this level may not open, and no list knows the site"
        }
        ReasonCode::SearchWords => "the search is of a theme that this level may not search for",
        ReasonCode::PromptWords => "what was asked is of a theme that this level may not ask about",
        ReasonCode::Unscanned => {
            "the filter could not look into the page, or not to its end, or not judge all of a long search"
        }
        ReasonCode::TlsExpired => "the site's certificate is out of date",
        ReasonCode::TlsName => "the site's certificate is for other names",
        ReasonCode::TlsUntrusted => {
            "the site's certificate leads to no authority that this machine trusts"
        }
        ReasonCode::TlsSelfSigned => "the site made its certificate itself",
        ReasonCode::TlsRevoked => "the site's certificate was withdrawn by its authority",
        ReasonCode::TlsProtocol => "the site speaks no TLS 1.2 or 1.3, or speaks it wrongly",
        ReasonCode::TlsWeak => "the site's key, signature or ciphers are too weak",
        ReasonCode::SniMismatch => {
            "the tunnel was asked for one host, and the TLS inside it named another (SNI)"
        }
        ReasonCode::NoSni => {
            "the TLS inside the tunnel named no host (SNI), and the policy blocks that"
        }
        ReasonCode::EncryptedHello => {
            "the TLS inside the tunnel hides the host that it is for, and the policy blocks that"
        }
        ReasonCode::NotTls => "what came through the tunnel is no TLS, and the policy blocks that",
        ReasonCode::Misdirected => {
            "the request named another host than the connection was made for"
        }
        ReasonCode::NoSafeMode => {
            "this search engine has no safe mode that can be forced, and this level must have one"
        }
        ReasonCode::SearchNotInspected => {
            "the safe mode of this search engine can be forced only where HTTPS is inspected"
        }
        ReasonCode::NotForChildren => "this level has only search engines made for children",
        ReasonCode::ImageSearch => "this level may not search for pictures",
        ReasonCode::UnsafeHost => {
            "no safe mode reaches this address of a search engine or video site"
        }
        ReasonCode::Doh => "names looked up over HTTPS, out of the school's sight (DoH)",
        ReasonCode::Dot => "names looked up over TLS, out of the school's sight (DoT)",
        ReasonCode::PrivateRelay => "iCloud Private Relay, which hides what is visited",
        ReasonCode::Vpn => "a VPN, which hides what is visited",
        ReasonCode::RemoteDesktop => "the screen of another computer, which nothing filters",
        ReasonCode::Tor => "Tor, which hides what is visited",
        ReasonCode::WebProxy => "a web proxy: a page that fetches others",
        ReasonCode::TranslatedCopy => "the translation of a page that is blocked",
        ReasonCode::StoredCopy => "a stored copy of a page that is blocked",
        ReasonCode::UrlInside => "a page that is blocked, by way of another site",
        ReasonCode::RawAddress => "an address in the place of a site's name",
        ReasonCode::HiddenName => {
            "a connection that hides which site it is for, behind a name that is for nothing else (ECH)"
        }
        ReasonCode::FileKind => "the policy keeps files of this kind from this level",
        ReasonCode::FileHidden => "the file could not be looked into, and the policy blocks such",
        ReasonCode::FileSize => "the file is larger than this level may fetch",
        ReasonCode::Virus => "the virus scanner knows what is in the file",
        ReasonCode::ScanUnavailable => {
            "the virus scanner gave no answer; what becomes of the file then, virus_scan of the policy says"
        }
        ReasonCode::ScanTooLarge => {
            "the file is larger than what the virus scanner takes; what becomes of it then, virus_scan of the \
             policy says"
        }
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

    #[test]
    fn openings_name_the_day_once_and_the_date_only_when_far() {
        let clock = SchoolClock::new("Europe/London", &[]).expect("a zone");
        let at = |day: i64, minute: i64| UnixMillis((day * 1440 + minute) * 60_000);
        // 1970-01-01 was a Thursday; London was an hour ahead of UTC all that year.
        let case = |from, until| span(&clock, at(0, 0), (from, until));
        assert_eq!(case(at(1, 670), at(1, 730)), "Fri 12:10 to 13:10");
        assert_eq!(case(at(9, 670), at(9, 730)), "Sat 10 Jan 1970 12:10 to 13:10");
        assert_eq!(case(at(1, 0), at(2, 60)), "Fri 01:00 to Sat 02:00");
    }
}
