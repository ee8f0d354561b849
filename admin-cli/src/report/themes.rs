//! What the weekly report says of themes: episodes and the people in them, beside the weeks before, and
//! the alerts that wait.

use crate::alerts::store;
use crate::case::year_or_level;
use crate::failure::Failure;
use crate::log::{self, from_query_error};
use crate::report::called::Called;
use crate::report::document::{Section, Table};
use crate::report::weekly::{Waiting, initials, thousands};
use crate::report::whole_days;
use crate::school::School;
use ledger::alerts::Alert;
use ledger::alerts::watch::episodes_of;
use ledger::episodes::{Confidence, Episode, EpisodeKey, Person, theme_title};
use ledger::query::AccessLog;
use proxy::snapshot::Snapshot;
use rules::alert::Severity;
use rules::time::UnixMillis;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Weeks before, whose middle a week is held against.
const WEEKS_BEFORE: usize = 6;

/// Most alerts named of one person.
const MOST_ALERTS: usize = 3;

/// Most people shown.
const MOST_PUPILS: usize = 5;

/// Episodes, or themes, from which on somebody is shown though nothing was urgent.
const MANY_EPISODES: u64 = 3;
const MANY_THEMES: usize = 2;

/// How many more than the middle of the weeks before make a theme stand out, where it is twice that too.
const STANDS_OUT_BY: u64 = 5;

/// One theme in the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ThemeRow {
    pub(crate) theme: String,
    pub(crate) episodes: u64,
    /// People, or devices where nobody was proved.
    pub(crate) pupils: u64,
    pub(crate) last_week: u64,
    /// The middle of the six weeks before, of those that have a log; `None`: there is none.
    pub(crate) median: Option<u64>,
    /// Alerts raised in the week, and those reviewed since.
    pub(crate) alerts: u64,
    pub(crate) reviewed: u64,
    /// Whether it stands out.
    pub(crate) amber: bool,
}

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

/// All of it.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Themes {
    pub(crate) rows: Vec<ThemeRow>,
    pub(crate) pupils: Vec<Pupil>,
    /// How many people there are in all who would be shown.
    pub(crate) pupils_in_all: usize,
    /// The middle of the milliseconds from an alert of the week to its review.
    pub(crate) median_time_to_review_ms: Option<i64>,
    #[serde(skip)]
    open: Vec<Alert>,
}

impl Themes {
    /// Reads the week and the six before it from the log, and the alerts.
    pub(crate) async fn read(
        school: &School,
        snapshot: &Snapshot,
        range: (UnixMillis, UnixMillis),
    ) -> Result<Self, Failure> {
        let mut log = log::open(school).await?;
        let mut weeks = Vec::with_capacity(WEEKS_BEFORE + 1);
        let mut week = range;
        for _ in 0..=WEEKS_BEFORE {
            weeks.push(episodes(&mut log, snapshot, week).await?);
            let before = (UnixMillis(2 * week.0.0 - week.1.0), UnixMillis(week.0.0 - 1));
            week = whole_days(snapshot.policy.clock(), before);
        }
        let alerts: Vec<Alert> = match store(school).await? {
            Some(mut store) => {
                store.alerts().await.map_err(Failure::fault)?.iter().cloned().collect()
            }
            None => Vec::new(),
        };
        let now = weeks.first().cloned().flatten().unwrap_or_default();
        let (pupils, pupils_in_all) = pupils(snapshot, &now, &alerts);
        let of_week = |alert: &&Alert| range.0 <= alert.raised_at && alert.raised_at < range.1;
        let mut times: Vec<i64> =
            alerts.iter().filter(of_week).filter_map(Alert::time_to_review_ms).collect();
        times.sort_unstable();
        let mut open: Vec<Alert> = alerts.iter().filter(|alert| alert.is_open()).cloned().collect();
        open.sort_by_key(|alert| (Reverse(alert.severity), alert.raised_at));
        Ok(Self {
            rows: rows(&weeks, &alerts.iter().filter(of_week).collect::<Vec<_>>()),
            pupils,
            pupils_in_all,
            median_time_to_review_ms: times.get(times.len() / 2).copied(),
            open,
        })
    }

    /// What waits for the safeguarding lead, the most urgent first.
    pub(crate) fn waiting(&self, made_at: UnixMillis) -> Vec<Waiting> {
        let waiting = |alert: &Alert| Waiting {
            what: format!(
                "alert {}: {}, {}, {}",
                alert.id,
                alert.severity.as_str(),
                theme_title(&alert.episode.theme).to_lowercase(),
                alert.assigned.as_ref().map_or("nobody's yet".to_owned(), |it| format!("{it}'s"))
            ),
            waits_ms: made_at.0 - alert.raised_at.0,
        };
        self.open.iter().map(waiting).collect()
    }

    /// Episodes by theme.
    pub(crate) fn section(&self) -> Section {
        let mut sentences = Vec::new();
        if self.rows.is_empty() {
            sentences.push("No episodes in this week or the six before.".to_owned());
        }
        let amber: Vec<&str> =
            self.rows.iter().filter(|row| row.amber).map(|row| theme_title(&row.theme)).collect();
        if !amber.is_empty() {
            sentences
                .push(format!("Amber, twice what is usual and five more: {}.", amber.join(", ")));
        }
        let cells = |row: &ThemeRow| {
            let mark = if row.amber { " (amber)" } else { "" };
            vec![
                format!("{}{mark}", theme_title(&row.theme)),
                thousands(row.episodes),
                thousands(row.pupils),
                thousands(row.last_week),
                row.median.map_or("-".to_owned(), thousands),
                format!("{} of {}", row.reviewed, row.alerts),
            ]
        };
        let headings =
            ["Theme", "Episodes", "Pupils", "Last week", "6-week median", "Alerts reviewed"];
        let table = (!self.rows.is_empty())
            .then(|| Table::new(&headings, self.rows.iter().map(cells).collect()));
        Section { heading: "Themes".to_owned(), sentences, table }
    }

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

/// The episodes of some days; `None`: none of them has a log.
async fn episodes(
    log: &mut AccessLog,
    snapshot: &Snapshot,
    (from, until): (UnixMillis, UnixMillis),
) -> Result<Option<Vec<Episode>>, Failure> {
    let clock = snapshot.policy.clock();
    let (first, last) = (clock.day(from), clock.day(until));
    let days = log.days().map_err(from_query_error)?;
    let mut found = None;
    for day in days.into_iter().filter(|day| first <= *day && *day < last) {
        let day = episodes_of(log, day).await.map_err(from_query_error)?;
        found.get_or_insert_with(Vec::new).extend(day.episodes().iter().cloned());
    }
    Ok(found)
}

/// A row for each theme that this week or one before has; weeks from this one backwards.
fn rows(weeks: &[Option<Vec<Episode>>], alerts: &[&Alert]) -> Vec<ThemeRow> {
    let count = |week: &Option<Vec<Episode>>, theme: &str| -> u64 {
        week.iter().flatten().filter(|episode| episode.key.theme == theme).count() as u64
    };
    let themes: BTreeSet<&str> =
        weeks.iter().flatten().flatten().map(|episode| episode.key.theme.as_str()).collect();
    let none = None;
    let (this, before) = weeks.split_first().unwrap_or((&none, &[]));
    let row = |theme: &str| {
        let people: BTreeSet<&Person> = (this.iter().flatten())
            .filter(|episode| episode.key.theme == theme)
            .map(|episode| &episode.person)
            .collect();
        let of_theme: Vec<&&Alert> =
            alerts.iter().filter(|alert| alert.episode.theme == theme).collect();
        let known = before.iter().filter(|week| week.is_some());
        let median = median(known.map(|week| count(week, theme)).collect());
        let episodes = count(this, theme);
        ThemeRow {
            theme: theme.to_owned(),
            episodes,
            pupils: people.len() as u64,
            last_week: before.first().map_or(0, |week| count(week, theme)),
            median,
            alerts: of_theme.len() as u64,
            reviewed: of_theme.iter().filter(|alert| !alert.reviews.is_empty()).count() as u64,
            amber: median.is_some_and(|median| stands_out(episodes, median)),
        }
    };
    let mut rows: Vec<ThemeRow> = themes.into_iter().map(row).collect();
    rows.sort_by_key(|row| Reverse((row.amber, row.episodes)));
    rows
}

/// Twice the middle of the weeks before, and five more than it.
fn stands_out(episodes: u64, median: u64) -> bool {
    episodes >= 2 * median && episodes >= median + STANDS_OUT_BY
}

fn median(mut counts: Vec<u64>) -> Option<u64> {
    counts.sort_unstable();
    let middle = counts.len() / 2;
    match counts.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(counts[middle]),
        _ => Some(counts[middle - 1].midpoint(counts[middle])),
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
fn pupils(snapshot: &Snapshot, episodes: &[Episode], alerts: &[Alert]) -> (Vec<Pupil>, usize) {
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
                year: year_or_level(snapshot, Some(person), level),
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
mod tests {
    use super::*;

    #[test]
    fn amber_is_twice_the_median_and_five_more() {
        let cases = [
            (0, 0, false),
            (4, 0, false),
            (5, 0, true),
            (9, 4, true),
            (8, 4, false),
            (19, 10, false),
            (20, 10, true),
        ];
        for (episodes, median, expected) in cases {
            assert_eq!(stands_out(episodes, median), expected, "{episodes} beside {median}");
        }
    }

    #[test]
    fn of_many_alerts_the_first_are_named() {
        let all: Vec<String> = (1..6).map(|id| format!("A-000{id}")).collect();
        assert_eq!(listed(&[]), "");
        assert_eq!(listed(&all[..3]), "A-0001, A-0002, A-0003");
        assert_eq!(listed(&all), "A-0001, A-0002, A-0003 and 2 more");
    }

    #[test]
    fn the_middle_is_of_the_weeks_that_have_a_log() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3]), Some(3));
        assert_eq!(median(vec![9, 1, 5, 0, 2, 7]), Some(3));
        let rows = rows(&[Some(Vec::new()), None, None], &[]);
        assert_eq!(rows, []);
    }
}
