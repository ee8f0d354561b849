//! What the weekly report says of blocked requests: of which kinds, why, and whose.
//!
//! A category's row counts only requests that a category closed. What the school closed by itself (a
//! ban, a block by hand, a list of allowed sites) has rows of its own: a banned pupil who asks for a
//! bank is no sign that banks are blocked.

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
/// Most categories named beside a person.
const MOST_OF_A_PERSON: usize = 3;

/// What the school closed by itself, in the words of its row.
const BY_THE_SCHOOL: [(ReasonCode, &str); 3] = [
    (ReasonCode::Banned, "Banned users"),
    (ReasonCode::SiteBlocked, "Sites blocked by hand"),
    (ReasonCode::NotOnList, "Sites not on a level's list"),
];

/// What a category closed.
const BY_CATEGORY: [ReasonCode; 5] = [
    ReasonCode::Locked,
    ReasonCode::Category,
    ReasonCode::OutsideTimes,
    ReasonCode::NotNominated,
    ReasonCode::Uncategorised,
];

/// A person's blocked requests, but for those during a ban.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Person {
    /// Printed only where names were asked for.
    #[serde(skip)]
    pub(crate) name: String,
    /// All of them.
    pub(crate) blocked: u64,
    /// In which categories (titles), most first.
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
    let during_ban = |person: &str| {
        let key = (Some(person.to_owned()), ReasonCode::Banned as u8);
        summary.reasons.get(&key).copied().unwrap_or_default()
    };
    let mut people: Vec<Person> = sums
        .into_iter()
        .map(|(name, (all, categories))| {
            let mut most: Vec<(&str, u64)> = categories.into_iter().collect();
            most.sort_by_key(|(_, blocked)| std::cmp::Reverse(*blocked));
            most.truncate(MOST_OF_A_PERSON);
            let most = most.into_iter().map(|(name, blocked)| (title(name.to_owned()), blocked));
            let blocked = all.saturating_sub(during_ban(name));
            Person { name: name.to_owned(), blocked, most: most.collect() }
        })
        .filter(|person| person.blocked > 0)
        .collect();
    people.sort_by(|a, b| b.blocked.cmp(&a.blocked).then_with(|| a.name.cmp(&b.name)));
    people
}

impl Figures {
    fn blocked_for(&self, reason: ReasonCode) -> u64 {
        let found = self.reasons.iter().find(|(word, _)| *word == reason.as_str());
        found.map_or(0, |(_, requests)| *requests)
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
    /// Kinds of sites most blocked, then what the school closed by itself.
    pub(crate) fn most_blocked(&self) -> Section {
        let (now, before) = (&self.figures, &self.before);
        let categories = now.categories.iter().take(MOST_CATEGORIES);
        let categories = categories
            .map(|(title, requests)| (title.as_str(), *requests, before.blocked_in(title)));
        let by_the_school = BY_THE_SCHOOL
            .into_iter()
            .map(|(reason, words)| (words, now.blocked_for(reason), before.blocked_for(reason)))
            .filter(|(_, requests, _)| *requests > 0);
        let counts: Vec<(&str, u64, u64)> = categories.chain(by_the_school).collect();
        let most = counts.iter().map(|(_, requests, _)| *requests).max().unwrap_or(1).max(1);
        let bars = counts.iter().map(|(_, requests, _)| *requests as f64 / most as f64).collect();
        let rows: Vec<Vec<String>> = counts
            .into_iter()
            .map(|(title, requests, before)| {
                vec![title.to_owned(), thousands(requests), thousands(before)]
            })
            .collect();
        let table = (!rows.is_empty())
            .then(|| Table { bars, ..Table::new(&["Category", "Blocked", "Week before"], rows) });
        let none = (now.blocked == 0).then(|| "Nothing was blocked.".to_owned());
        Section {
            heading: "Most blocked".to_owned(),
            sentences: none.into_iter().chain(self.blocked_besides()).collect(),
            table,
        }
    }

    /// What was blocked for reasons that say nothing about people's browsing.
    fn blocked_besides(&self) -> Option<String> {
        let sign_in = self.figures.blocked_for(ReasonCode::SignIn);
        let shown = BY_THE_SCHOOL.into_iter().map(|(reason, _)| reason).chain(BY_CATEGORY);
        let shown: u64 = shown.map(|reason| self.figures.blocked_for(reason)).sum();
        let all: u64 = self.figures.reasons.iter().map(|(_, requests)| requests).sum();
        let technical = all - shown - sign_in;
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
