//! What the weekly report says of tries to get round the filter: how many were blocked, whose, and by which way.

use crate::report::blocked::{Class, MOST_OF_A_PERSON, MOST_PEOPLE};
use crate::report::called::Called;
use crate::report::document::{Section, Table};
use crate::report::weekly::thousands;
use ledger::summary::Summary;
use rules::circumvent::Technique;
use rules::decide::ReasonCode;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Tries that were blocked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tries {
    /// All of them.
    pub(crate) tries: u64,
    /// Of those, where nobody had signed in.
    pub(crate) nobody_signed_in: u64,
    /// By which way, most first.
    pub(crate) ways: Vec<(&'static str, u64)>,
    /// How many people there are of whom it is known.
    pub(crate) people: usize,
    /// They, those with most of what devices do not try by themselves first.
    #[serde(skip)]
    pub(crate) by: Vec<Tried>,
}

/// One person's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tried {
    /// Printed only where names were asked for.
    pub(crate) name: String,
    pub(crate) tries: u64,
    /// Of those, by ways that devices do not try by themselves.
    pub(crate) meant: u64,
    /// By which way, most first.
    pub(crate) ways: Vec<(&'static str, u64)>,
}

/// A way round, for people; `None`: the reason is none.
fn way(code: ReasonCode) -> Option<&'static str> {
    if Class::of(code) != Some(Class::WayRound) {
        return None;
    }
    let Some(technique) = Technique::of(code) else { return Some("hidden names") };
    Some(match technique {
        Technique::Doh | Technique::Dot => "names looked up elsewhere",
        Technique::PrivateRelay => "iCloud Private Relay",
        Technique::Vpn => "VPN",
        Technique::RemoteDesktop => "another computer's screen",
        Technique::Tor => "Tor",
        Technique::WebProxy => "web proxy",
        Technique::TranslatedCopy => "translated copy",
        Technique::StoredCopy => "stored copy",
        Technique::UrlInside => "page within another site",
        Technique::RawAddress => "address in place of a name",
        Technique::HiddenName => "hidden names",
    })
}

/// What browsers and telephones try by themselves.
const BY_THEMSELVES: [&str; 4] = [
    "names looked up elsewhere",
    "iCloud Private Relay",
    "address in place of a name",
    "hidden names",
];

fn most_first(ways: BTreeMap<&'static str, u64>) -> Vec<(&'static str, u64)> {
    let mut ways: Vec<_> = ways.into_iter().collect();
    ways.sort_by_key(|(_, tries)| Reverse(*tries));
    ways
}

impl Tries {
    /// Those of some days.
    pub(crate) fn of(summary: &Summary) -> Self {
        let mut all: BTreeMap<&'static str, u64> = BTreeMap::new();
        let mut people: BTreeMap<&str, BTreeMap<&'static str, u64>> = BTreeMap::new();
        let mut nobody_signed_in = 0;
        for ((person, number), tries) in &summary.reasons {
            let Some(way) = ReasonCode::from_number(*number).and_then(way) else { continue };
            *all.entry(way).or_default() += tries;
            match person.as_deref() {
                Some(name) => *people.entry(name).or_default().entry(way).or_default() += tries,
                None => nobody_signed_in += tries,
            }
        }
        let tried = |(name, ways): (&str, BTreeMap<&'static str, u64>)| Tried {
            name: name.to_owned(),
            tries: ways.values().sum(),
            meant: ways
                .iter()
                .filter(|(way, _)| !BY_THEMSELVES.contains(*way))
                .map(|(_, tries)| tries)
                .sum(),
            ways: most_first(ways),
        };
        let mut by: Vec<Tried> = people.into_iter().map(tried).collect();
        by.sort_by_key(|person| Reverse((person.meant, person.tries)));
        let tries = all.values().sum();
        Self { tries, nobody_signed_in, ways: most_first(all), people: by.len(), by }
    }

    /// Beside those of the week before.
    pub(crate) fn section(&self, before: &Self, called: &Called) -> Section {
        let blocked = match self.tries {
            0 => "None was blocked".to_owned(),
            1 => "1 was blocked".to_owned(),
            many => format!("{} were blocked", thousands(many)),
        };
        let mut sentences =
            vec![format!("{blocked}; the week before: {}.", thousands(before.tries))];
        if self.tries > 0 {
            let mut whose = match self.people {
                0 => "Nobody who had signed in tried".to_owned(),
                1 => "1 person tried".to_owned(),
                many if many > MOST_PEOPLE => {
                    format!("{many} people tried; those with most are shown")
                }
                many => format!("{many} people tried"),
            };
            if self.nobody_signed_in > 0 {
                let tries = thousands(self.nobody_signed_in);
                whose.push_str(&format!("; {tries} came where nobody had signed in"));
            }
            sentences.push(format!(
                "{whose}. Browsers and telephones look names up elsewhere, ask for Private Relay and hide names by themselves; who tried other ways stands first."
            ));
        }
        let row = |person: &Tried| {
            let ways = person.ways.iter().take(MOST_OF_A_PERSON);
            let ways = ways.map(|(way, tries)| format!("{way} {}", thousands(*tries)));
            vec![
                called.cell(&person.name),
                thousands(person.tries),
                ways.collect::<Vec<_>>().join(", "),
            ]
        };
        let rows: Vec<Vec<String>> = self.by.iter().take(MOST_PEOPLE).map(row).collect();
        let table =
            (!rows.is_empty()).then(|| Table::new(&["Person", "Tries", "Most of them by"], rows));
        Section { heading: "Tries to get round the filter".to_owned(), sentences, table }
    }

    /// Those with most, for programs.
    pub(crate) fn people_json(&self, called: &Called) -> Vec<serde_json::Value> {
        let person = |person: &Tried| {
            let mut told = serde_json::json!({
                "person": called.pseudonym(&person.name), "tries": person.tries, "ways": person.ways,
            });
            if let Some(name) = called.name(&person.name) {
                told["name"] = name.into();
            }
            told
        };
        self.by.iter().take(MOST_PEOPLE).map(person).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_by_person_and_way_and_nothing_else_is_one() {
        let mut summary = Summary::default();
        for (person, code, times) in [
            (Some("sam.p"), ReasonCode::Vpn, 3),
            (Some("sam.p"), ReasonCode::Doh, 1),
            (Some("sam.p"), ReasonCode::Dot, 4),
            (Some("owen.t"), ReasonCode::HiddenName, 2),
            (Some("owen.t"), ReasonCode::EncryptedHello, 7),
            (Some("owen.t"), ReasonCode::SearchWords, 50),
            (Some("max.r"), ReasonCode::Category, 50),
            (None, ReasonCode::Tor, 6),
        ] {
            summary.reasons.insert((person.map(str::to_owned), code as u8), times);
        }
        let tries = Tries::of(&summary);
        assert_eq!((tries.tries, tries.nobody_signed_in, tries.people), (23, 6, 2));
        let by: Vec<(&str, u64)> = tries.by.iter().map(|it| (&*it.name, it.tries)).collect();
        // Three by a VPN say more than nine that a telephone makes by itself.
        assert_eq!(by, [("sam.p", 8), ("owen.t", 9)]);
        assert_eq!(tries.by[0].ways, [("names looked up elsewhere", 5), ("VPN", 3)]);
        let every = (0..=u8::MAX).filter_map(ReasonCode::from_number);
        assert_eq!(every.filter_map(way).count(), Technique::all().count() + 1);
    }
}
