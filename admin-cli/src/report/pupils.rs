//! The people whom the weekly report names by their initials: those with an urgent sign, many episodes or several
//! themes, and no more than five.

use crate::report::called::Called;
use crate::report::document::{Section, Table};
use crate::report::themes::Themes;
use crate::report::weekly::{initials, thousands};
use ledger::alerts::Alert;
use ledger::episodes::{Confidence, Episode, EpisodeKey, Person, theme_title};
use rules::alert::Severity;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Most alerts named of one person.
const MOST_ALERTS: usize = 3;

/// Most people shown.
const MOST_PUPILS: usize = 5;

/// Episodes, or themes, from which on somebody is shown though nothing was urgent.
const MANY_EPISODES: u64 = 3;
const MANY_THEMES: usize = 2;

/// Somebody whom the safeguarding lead should think of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Pupil {
    /// Printed only where names were asked for.
    #[serde(skip)]
    pub(crate) name: Option<String>,
    pub(crate) initials: String,
    pub(crate) year: String,
    pub(crate) confidence: Confidence,
    pub(crate) episodes: u64,
    pub(crate) themes: Vec<String>,
    pub(crate) urgent: bool,
    /// Numbers of the week's alerts about the person: by these two of the same initials are told apart.
    pub(crate) alerts: Vec<String>,
}

impl Themes {
    /// The people to think of.
    pub(crate) fn pupils_section(&self, called: &Called) -> Section {
        let mut sentences = vec![match self.pupils_in_all {
            0 => "Nobody with an urgent sign, three episodes or two themes.".to_owned(),
            all if all > MOST_PUPILS => format!(
                "The first {MOST_PUPILS} of {all} with an urgent sign, three episodes or two themes."
            ),
            _ => "With an urgent sign, three episodes or two themes.".to_owned(),
        }];
        if self.pupils_in_all > 0 {
            sentences
                .push("A sign is no proof, and somebody else may have used the device.".to_owned());
        }
        let cells = |pupil: &Pupil| {
            let name = pupil.name.as_deref().and_then(|name| called.name(name));
            let themes: Vec<&str> = pupil.themes.iter().map(|it| theme_title(it)).collect();
            vec![
                name.map_or(pupil.initials.clone(), |name| format!("{} {name}", pupil.initials)),
                pupil.year.clone(),
                pupil.confidence.as_str().to_owned(),
                format!(
                    "{}{}",
                    thousands(pupil.episodes),
                    if pupil.urgent { ", urgent" } else { "" }
                ),
                themes.join(", "),
                listed(&pupil.alerts),
            ]
        };
        let headings = ["Who", "Year", "Known by", "Episodes", "Themes", "Alerts"];
        let table = (!self.pupils.is_empty())
            .then(|| Table::new(&headings, self.pupils.iter().map(cells).collect()));
        Section { heading: "Pupils".to_owned(), sentences, table }
    }
}

/// Whether an alert is of an episode: read again, that may begin with another record.
fn is_of(alert: &Alert, episode: &Episode) -> bool {
    let EpisodeKey { first, theme } = &alert.episode;
    let is_first = |id| *first == id;
    *theme == episode.key.theme
        && (is_first(episode.key.first) || episode.records.iter().any(|(_, id)| is_first(*id)))
}

/// The first numbers of alerts, and how many more there are.
fn listed(alerts: &[String]) -> String {
    let first = alerts.iter().take(MOST_ALERTS).map(String::as_str).collect::<Vec<_>>().join(", ");
    match alerts.len().saturating_sub(MOST_ALERTS) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Those to be shown, and how many there are in all.
///
/// `year_of`: the year of somebody, or the level of whom no year is known.
pub(super) fn pupils(
    year_of: impl Fn(&Person, &str) -> String,
    episodes: &[Episode],
    alerts: &[Alert],
) -> (Vec<Pupil>, usize) {
    let mut people: BTreeMap<&Person, Vec<&Episode>> = BTreeMap::new();
    for episode in episodes {
        people.entry(&episode.person).or_default().push(episode);
    }
    let mut pupils: Vec<Pupil> = people
        .into_iter()
        .map(|(person, episodes)| {
            let themes: BTreeSet<&str> = episodes.iter().map(|it| it.key.theme.as_str()).collect();
            let level = episodes.last().map_or("", |episode| &episode.level);
            let (name, initials) = match person {
                Person::User(name) => (Some(name.clone()), initials(name)),
                Person::Device(_) => (None, "a device".to_owned()),
            };
            Pupil {
                name,
                initials,
                year: year_of(person, level),
                confidence: person.confidence(),
                episodes: episodes.len() as u64,
                themes: themes.into_iter().map(str::to_owned).collect(),
                urgent: episodes.iter().any(|episode| episode.severity == Severity::Urgent),
                alerts: alerts
                    .iter()
                    .filter(|alert| episodes.iter().any(|episode| is_of(alert, episode)))
                    .map(|alert| alert.id.to_string())
                    .collect(),
            }
        })
        .filter(|it| it.urgent || it.episodes >= MANY_EPISODES || it.themes.len() >= MANY_THEMES)
        .collect();
    let in_all = pupils.len();
    pupils.sort_by_key(|pupil| Reverse((pupil.urgent, pupil.episodes, pupil.themes.len())));
    pupils.truncate(MOST_PUPILS);
    (pupils, in_all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use ledger::episodes::{EpisodeDay, Sign, Source};
    use ledger::query::{AccessRow, Cursor};
    use ledger::record::Depth;
    use rules::alert::Severity::{High, Routine, Urgent};
    use rules::code::RequestId;
    use rules::decide::{ReasonCode, Verdict};
    use rules::target::Scheme;
    use rules::time::{SchoolClock, UnixMillis};
    use rules::visit::Visit;
    use std::net::IpAddr;

    /// Somebody by name, or a device by its address; the theme and severity of each of their episodes.
    type Signs<'a> = (&'a str, &'a [(&'a str, Severity)]);

    /// One access of somebody, an hour after the one before.
    fn access(sequence: i64, who: &str) -> AccessRow {
        let is_device = who.parse::<IpAddr>().is_ok();
        AccessRow {
            cursor: Cursor { day: jiff::civil::date(2026, 11, 24), sequence },
            id: RequestId(1_000 + sequence as u64),
            at: UnixMillis(sequence * 3_600_000),
            user: (!is_device).then(|| who.to_owned()),
            level: "ks3".to_owned(),
            client: if is_device { who } else { "10.0.0.7" }.to_owned(),
            method: "GET".to_owned(),
            scheme: Scheme::Https,
            host: format!("site{sequence}.example"),
            port: 443,
            path: Some("/".to_owned()),
            categories: Vec::new(),
            verdict: Verdict::Block,
            reason: ReasonCode::Category,
            rule: None,
            unblock: None,
            depth: Depth::Page,
            visit: Visit::Unknown,
            policy_hash: String::new(),
            list_version: String::new(),
            zone: "Europe/London".to_owned(),
            ended: None,
            words: None,
            signs: Vec::new(),
        }
    }

    /// What the rule makes of the episodes of some people.
    fn shown(people: &[Signs<'_>]) -> (Vec<Pupil>, usize) {
        let mut day = EpisodeDay::new(jiff::civil::date(2026, 11, 24));
        let all = people.iter().flat_map(|(who, signs)| signs.iter().map(move |sign| (who, sign)));
        for (sequence, (who, (theme, severity))) in (0..).zip(all) {
            let (theme, severity) = ((*theme).to_owned(), *severity);
            let sign = Sign { theme, points: 10, source: Source::Site, severity };
            day.take(&access(sequence, who), &[sign]);
        }
        let episodes: usize = people.iter().map(|(_, signs)| signs.len()).sum();
        assert_eq!(day.episodes().len(), episodes, "each sign is an episode");
        pupils(|_, level| level.to_owned(), day.episodes(), &[])
    }

    #[test]
    fn somebody_is_shown_with_an_urgent_sign_three_episodes_or_two_themes_and_else_nobody() {
        let cases: [(&str, Signs<'_>, bool); 8] = [
            ("three episodes alone", ("sam.p", &[("drugs", Routine); 3]), true),
            ("two of one theme", ("sam.p", &[("drugs", High); 2]), false),
            ("urgent alone", ("sam.p", &[("suicide", Urgent)]), true),
            ("high alone", ("sam.p", &[("suicide", High)]), false),
            ("two themes alone", ("sam.p", &[("drugs", Routine), ("violence", Routine)]), true),
            ("one", ("sam.p", &[("drugs", Routine)]), false),
            ("a device", ("10.0.0.9", &[("drugs", Routine); 3]), true),
            ("a device, two", ("10.0.0.9", &[("drugs", Routine); 2]), false),
        ];
        for (what, (who, signs), is_shown) in cases {
            let (pupils, in_all) = shown(&[(who, signs)]);
            assert_eq!(
                (pupils.len(), in_all),
                (usize::from(is_shown), usize::from(is_shown)),
                "{what}"
            );
            let Some(pupil) = pupils.first() else { continue };
            assert_eq!(pupil.episodes, signs.len() as u64, "{what}");
            assert_eq!(
                pupil.urgent,
                signs.iter().any(|(_, severity)| *severity == Urgent),
                "{what}"
            );
        }
        // What one did says nothing of another.
        let each = [("drugs", Routine), ("drugs", Routine)];
        assert_eq!(shown(&[("sam.p", &each), ("owen.t", &each), ("10.0.0.7", &each)]).1, 0);
    }

    /// The part of the page on these people.
    fn section(people: &[Signs<'_>]) -> Section {
        let mut themes = Themes::default();
        (themes.pupils, themes.pupils_in_all) = shown(people);
        let state = tempfile::tempdir().unwrap();
        let clock = SchoolClock::new("Europe/London", &[]).unwrap();
        let week = (UnixMillis(0), UnixMillis(7 * 86_400_000));
        themes.pupils_section(&Called::new(state.path(), &clock, week, false).unwrap())
    }

    #[test]
    fn five_are_shown_at_most_the_urgent_first_and_how_many_there_are_is_said() {
        let many = [("drugs", Routine); 3];
        let more = [("drugs", Routine); 4];
        let urgent = [("suicide", Urgent)];
        let names = ["a.a", "b.b", "c.c", "d.d", "e.e", "f.f", "g.g"];
        let people = names.map(|name| match name {
            "f.f" => (name, &more[..]),
            "g.g" => (name, &urgent[..]),
            _ => (name, &many[..]),
        });
        let page = section(&people);
        assert_eq!(
            page.sentences[0],
            "The first 5 of 7 with an urgent sign, three episodes or two themes."
        );
        let rows = page.table.unwrap().rows;
        let who: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(who, ["GG", "FF", "AA", "BB", "CC"]);
        assert_eq!(rows[0][3], "1, urgent");
        let page = section(&people[..5]);
        assert_eq!(page.sentences[0], "With an urgent sign, three episodes or two themes.");
        assert_eq!(page.table.unwrap().rows.len(), 5);
        let page = section(&[("a.a", &many[..2])]);
        assert_eq!(page.sentences, ["Nobody with an urgent sign, three episodes or two themes."]);
        assert!(page.table.is_none());
    }

    #[test]
    fn a_device_is_no_person_and_the_page_says_so() {
        let many = [("drugs", Routine), ("violence", High)];
        let page = section(&[("10.0.0.9", &many), ("sam.p", &many)]);
        let rows = page.table.unwrap().rows;
        assert_eq!(rows[0], ["SP", "ks3", "signed in", "2", "Drugs, Violence", ""]);
        assert_eq!(rows[1], ["a device", "ks3", "device only", "2", "Drugs, Violence", ""]);
        let (pupils, _) = shown(&[("10.0.0.9", &many)]);
        assert_eq!((&pupils[0].name, pupils[0].confidence), (&None, Confidence::DeviceOnly));
    }

    #[test]
    fn of_many_alerts_the_first_are_named() {
        let all: Vec<String> = (1..6).map(|id| format!("A-000{id}")).collect();
        assert_eq!(listed(&[]), "");
        assert_eq!(listed(&all[..3]), "A-0001, A-0002, A-0003");
        assert_eq!(listed(&all), "A-0001, A-0002, A-0003 and 2 more");
    }
}
