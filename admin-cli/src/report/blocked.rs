//! What the weekly report says of blocked requests: of which kinds, why, and whose.
//!
//! A category's row counts only requests that a category closed. What the school closed by itself (a
//! ban, a block by hand, a list of allowed sites) has rows of its own: a banned pupil who asks for a
//! bank is no sign that banks are blocked. So has what was blocked whatever the site is: words, ways round the
//! filter, searches, files.

use crate::report::document::{Section, Table};
use crate::report::weekly::{Figures, REPEATED, Week, thousands};
use ledger::summary::Summary;
use rules::decide::ReasonCode;
use serde::Serialize;
use std::collections::BTreeMap;

/// Most people shown.
pub(crate) const MOST_PEOPLE: usize = 5;
/// Most categories shown.
const MOST_CATEGORIES: usize = 8;
/// Most categories, or ways round, named beside a person.
pub(crate) const MOST_OF_A_PERSON: usize = 3;

/// What a request was blocked for, as a deputy head would say it. Each reason is of one class, so that none
/// hides among the technical ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// What a site is: its category has a row.
    Category,
    /// Words searched for, or written to an assistant.
    Written,
    /// Words of a page or an address.
    Read,
    /// A way round the filter.
    WayRound,
    /// A search that cannot be kept as the level wants it.
    Search,
    /// A kind or size of file.
    File,
    /// A virus.
    Virus,
    /// What could not be looked into.
    Unseen,
    /// The person has no internet for now.
    Banned,
    /// The school closed the site.
    ByHand,
    /// The level has a list of its own.
    NotOnList,
    /// Nobody had signed in.
    SignIn,
    /// Says nothing about people's browsing.
    Technical,
}

impl Class {
    /// Those with a row of their own below the categories.
    const ROWS: [Class; 10] = [
        Class::Written,
        Class::Read,
        Class::WayRound,
        Class::Search,
        Class::File,
        Class::Virus,
        Class::Unseen,
        Class::Banned,
        Class::ByHand,
        Class::NotOnList,
    ];

    /// The class of a reason; `None`: it blocks nothing. No arm takes what is left, so that a new reason has to be
    /// given its class.
    pub(crate) fn of(code: ReasonCode) -> Option<Class> {
        use ReasonCode as Code;
        Some(match code {
            Code::Allowed | Code::Unblock | Code::Exception | Code::OnList => return None,
            Code::Locked
            | Code::Category
            | Code::OutsideTimes
            | Code::NotNominated
            | Code::Uncategorised => Class::Category,
            Code::Banned => Class::Banned,
            Code::SiteBlocked => Class::ByHand,
            Code::NotOnList => Class::NotOnList,
            Code::SignIn => Class::SignIn,
            Code::SearchWords | Code::PromptWords => Class::Written,
            Code::PageWords | Code::AddressWords => Class::Read,
            Code::Doh
            | Code::Dot
            | Code::PrivateRelay
            | Code::Vpn
            | Code::RemoteDesktop
            | Code::Tor
            | Code::WebProxy
            | Code::TranslatedCopy
            | Code::StoredCopy
            | Code::UrlInside
            | Code::RawAddress
            | Code::HiddenName
            | Code::EncryptedHello => Class::WayRound,
            Code::NoSafeMode
            | Code::SearchNotInspected
            | Code::NotForChildren
            | Code::ImageSearch
            | Code::UnsafeHost => Class::Search,
            Code::FileKind | Code::FileSize => Class::File,
            Code::Virus => Class::Virus,
            Code::FileHidden | Code::ScanUnavailable | Code::ScanTooLarge | Code::Unscanned => {
                Class::Unseen
            }
            Code::BadRequest
            | Code::Port
            | Code::PrivateAddress
            | Code::Loop
            | Code::Limit
            | Code::Internal
            | Code::LogUnavailable
            | Code::Unsupported
            | Code::TlsExpired
            | Code::TlsName
            | Code::TlsUntrusted
            | Code::TlsSelfSigned
            | Code::TlsRevoked
            | Code::TlsProtocol
            | Code::TlsWeak
            | Code::SniMismatch
            | Code::NoSni
            | Code::NotTls
            | Code::Misdirected => Class::Technical,
        })
    }

    /// The words of its row.
    fn title(self) -> &'static str {
        match self {
            Class::Category => "Kinds of sites",
            Class::Written => "Words searched for or written",
            Class::Read => "Words on a page or in an address",
            Class::WayRound => "Ways round the filter",
            Class::Search => "Searches that cannot be kept safe, or for pictures",
            Class::File => "Kinds and sizes of files",
            Class::Virus => "Files with a virus",
            Class::Unseen => "Pages and files that could not be looked into",
            Class::Banned => "Banned users",
            Class::ByHand => "Sites blocked by hand",
            Class::NotOnList => "Sites not on a level's list",
            Class::SignIn => "Not signed in",
            Class::Technical => "Technical reasons",
        }
    }
}

/// A person's blocked requests, but for those during a ban.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Person {
    /// Printed only where names were asked for.
    #[serde(skip)]
    pub(crate) name: String,
    /// All of them.
    pub(crate) blocked: u64,
    /// In which categories (titles), or for what else, most first.
    pub(crate) most: Vec<(String, u64)>,
}

/// Blocked requests by reason word, most first.
pub(crate) fn reasons(summary: &Summary) -> Vec<(&'static str, u64)> {
    let mut sums: BTreeMap<u8, u64> = BTreeMap::new();
    for ((_, number), requests) in &summary.reasons {
        *sums.entry(*number).or_default() += requests;
    }
    let mut reasons: Vec<(&str, u64)> = sums
        .into_iter()
        .filter_map(|(number, requests)| {
            Some((ReasonCode::from_number(number)?.as_str(), requests))
        })
        .collect();
    reasons.sort_by_key(|(_, requests)| std::cmp::Reverse(*requests));
    reasons
}

/// Proven people with blocked requests, most first. `title` gives a category's title.
pub(crate) fn people(summary: &Summary, title: impl Fn(String) -> String) -> Vec<Person> {
    let mut sums: BTreeMap<&str, (u64, BTreeMap<&str, u64>)> = BTreeMap::new();
    for (key, count) in summary.people.iter().filter(|(_, count)| count.blocked > 0) {
        let Some(person) = key.person.as_deref() else { continue };
        let (all, categories) = sums.entry(person).or_default();
        match key.category.as_deref() {
            Some(category) => *categories.entry(category).or_default() += count.blocked,
            None => *all += count.blocked,
        }
    }
    let mut besides: BTreeMap<&str, BTreeMap<Class, u64>> = BTreeMap::new();
    for ((person, number), requests) in &summary.reasons {
        let class = ReasonCode::from_number(*number).and_then(Class::of);
        let (Some(person), Some(class)) = (person.as_deref(), class) else { continue };
        *besides.entry(person).or_default().entry(class).or_default() += requests;
    }
    let mut people: Vec<Person> = sums
        .into_iter()
        .map(|(name, (all, categories))| {
            let mut classes = besides.remove(name).unwrap_or_default();
            let during_ban = classes.remove(&Class::Banned).unwrap_or_default();
            // Its categories say it.
            classes.remove(&Class::Category);
            let categories =
                categories.into_iter().map(|(name, blocked)| (title(name.to_owned()), blocked));
            let classes =
                classes.into_iter().map(|(class, blocked)| (class.title().to_owned(), blocked));
            let mut most: Vec<(String, u64)> = categories.chain(classes).collect();
            most.sort_by_key(|(_, blocked)| std::cmp::Reverse(*blocked));
            most.truncate(MOST_OF_A_PERSON);
            Person { name: name.to_owned(), blocked: all.saturating_sub(during_ban), most }
        })
        .filter(|person| person.blocked > 0)
        .collect();
    people.sort_by(|a, b| b.blocked.cmp(&a.blocked).then_with(|| a.name.cmp(&b.name)));
    people
}

impl Figures {
    /// Blocked requests of a class, each once.
    fn blocked_as(&self, class: Class) -> u64 {
        let of_class = |word: &str| ReasonCode::from_word(word).and_then(Class::of) == Some(class);
        let counts = self.reasons.iter().filter(|(word, _)| of_class(word));
        counts.map(|(_, requests)| requests).sum()
    }

    fn blocked_in(&self, category: &str) -> u64 {
        let found = self.categories.iter().find(|(title, _)| title == category);
        found.map_or(0, |(_, requests)| *requests)
    }

    /// People whose blocks make a pattern rather than a slip.
    pub(crate) fn repeated(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().filter(|person| person.blocked >= REPEATED)
    }
}

impl Week<'_> {
    /// Kinds of sites most blocked, then what was blocked for something else than the site's kind.
    pub(crate) fn most_blocked(&self) -> Section {
        let (now, before) = (&self.figures, &self.before);
        let categories = now.categories.iter().take(MOST_CATEGORIES);
        let categories = categories
            .map(|(title, requests)| (title.as_str(), *requests, before.blocked_in(title)));
        let classes = Class::ROWS
            .into_iter()
            .map(|class| (class.title(), now.blocked_as(class), before.blocked_as(class)))
            .filter(|(_, requests, _)| *requests > 0);
        let counts: Vec<(&str, u64, u64)> = categories.chain(classes).collect();
        let most = counts.iter().map(|(_, requests, _)| *requests).max().unwrap_or(1).max(1);
        let bars = counts.iter().map(|(_, requests, _)| *requests as f64 / most as f64).collect();
        let rows: Vec<Vec<String>> = counts
            .into_iter()
            .map(|(title, requests, before)| {
                vec![title.to_owned(), thousands(requests), thousands(before)]
            })
            .collect();
        let table = (!rows.is_empty())
            .then(|| Table { bars, ..Table::new(&["What", "Blocked", "Week before"], rows) });
        let none = (now.blocked == 0).then(|| "Nothing was blocked.".to_owned());
        Section {
            heading: "Most blocked".to_owned(),
            sentences: none.into_iter().chain(self.blocked_besides()).collect(),
            table,
        }
    }

    /// What was blocked for reasons that say nothing about people's browsing.
    fn blocked_besides(&self) -> Option<String> {
        let sign_in = self.figures.blocked_as(Class::SignIn);
        let technical = self.figures.blocked_as(Class::Technical);
        let mut parts = Vec::new();
        if sign_in > 0 {
            parts.push(format!("{} asked to sign in first", thousands(sign_in)));
        }
        if technical > 0 {
            parts.push(format!(
                "{} for technical reasons, such as limits, ports or certificates",
                thousands(technical)
            ));
        }
        (!parts.is_empty())
            .then(|| format!("Blocked besides the rows below: {}.", parts.join("; ")))
    }

    /// Who was blocked again and again, and where.
    pub(crate) fn people(&self) -> Section {
        let repeated = self.figures.repeated().count();
        let mut sentences = vec![match repeated {
            0 => format!("Nobody who had signed in was blocked {REPEATED} times or more."),
            1 => format!("1 person was blocked {REPEATED} times or more."),
            many => format!(
                "{many} people were blocked {REPEATED} times or more; at most {MOST_PEOPLE} are shown."
            ),
        }];
        if repeated > 0 {
            sentences.push(
                format!(
                    "{} A block is often a page's own doing, not the person's. Requests during a ban are not counted.",
                    self.called.words()
                ),
            );
        }
        let rows: Vec<Vec<String>> = self
            .figures
            .repeated()
            .take(MOST_PEOPLE)
            .map(|person| {
                let most = person.most.iter();
                let most = most.map(|(title, blocked)| format!("{title} {}", thousands(*blocked)));
                let most = most.collect::<Vec<_>>().join(", ");
                vec![self.called.cell(&person.name), thousands(person.blocked), most]
            })
            .collect();
        let table = (!rows.is_empty())
            .then(|| Table::new(&["Person", "Blocked requests", "Most of them in"], rows));
        Section { heading: "People".to_owned(), sentences, table }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::circumvent::Technique;

    #[test]
    fn nothing_that_says_something_of_a_person_is_called_technical() {
        let technical: Vec<&str> = (0..=u8::MAX)
            .filter_map(ReasonCode::from_number)
            .filter(|code| Class::of(*code) == Some(Class::Technical))
            .map(ReasonCode::as_str)
            .collect();
        let expected = "bad_request port private_address loop limit internal log_unavailable unsupported \
                        tls_expired tls_name tls_untrusted tls_self_signed tls_revoked tls_protocol tls_weak \
                        sni_mismatch no_sni not_tls misdirected";
        assert_eq!(technical.join(" "), expected);
    }

    #[test]
    fn each_class_has_a_row_a_sentence_or_the_rows_of_its_categories() {
        for code in (0..=u8::MAX).filter_map(ReasonCode::from_number) {
            let Some(class) = Class::of(code) else { continue };
            let elsewhere = matches!(class, Class::Category | Class::SignIn | Class::Technical);
            assert!(elsewhere != Class::ROWS.contains(&class), "{}", code.as_str());
        }
        for technique in Technique::all() {
            assert_eq!(Class::of(technique.code()), Some(Class::WayRound), "{technique:?}");
        }
    }

    #[test]
    fn reasons_add_up_and_a_person_who_only_searched_is_not_without_them() {
        let sam = || Some("sam.p".to_owned());
        let mut summary = Summary::default();
        let key =
            ledger::summary::PersonKey { person: sam(), level: "ks3".to_owned(), category: None };
        let blocked = |blocked| ledger::summary::Count { allowed: 0, blocked };
        summary.people.insert(key, blocked(18));
        for (code, requests) in [
            (ReasonCode::SearchWords, 1),
            (ReasonCode::Vpn, 9),
            (ReasonCode::WebProxy, 5),
            (ReasonCode::Banned, 2),
            (ReasonCode::Port, 1),
        ] {
            summary.reasons.insert((sam(), code as u8), requests);
        }
        let people = people(&summary, |name| name);
        let most = [
            ("Ways round the filter", 14),
            ("Words searched for or written", 1),
            ("Technical reasons", 1),
        ];
        assert_eq!(people[0].blocked, 16);
        assert_eq!(people[0].most, most.map(|(title, blocked)| (title.to_owned(), blocked)));
    }
}
