//! What the weekly report says of themes: episodes and the people in them, beside the weeks before, and
//! the alerts that wait.

use crate::alerts::store;
use crate::case::year_or_level;
use crate::failure::Failure;
use crate::log::{self, from_query_error};
use crate::report::days::range_before;
use crate::report::document::{Section, Table};
use crate::report::pupils::{Pupil, pupils};
use crate::report::weekly::{Waiting, thousands};
use crate::school::School;
use ledger::alerts::Alert;
use ledger::alerts::watch::episodes_of;
use ledger::episodes::{Episode, EpisodeDay, Person, theme_title};
use ledger::query::AccessLog;
use proxy::snapshot::Snapshot;
use rules::time::UnixMillis;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Weeks before, whose middle a week is held against.
const WEEKS_BEFORE: usize = 6;

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
            week = range_before(snapshot.policy.clock(), week);
        }
        let alerts: Vec<Alert> = match store(school).await? {
            Some(mut store) => {
                store.alerts().await.map_err(Failure::fault)?.iter().cloned().collect()
            }
            None => Vec::new(),
        };
        let now = weeks.first().cloned().flatten().unwrap_or_default();
        let year_of = |person: &Person, level: &str| year_or_level(snapshot, Some(person), level);
        let (pupils, pupils_in_all) = pupils(year_of, &now, &alerts);
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
        let day = episodes_of(log, EpisodeDay::new(day)).await.map_err(from_query_error)?;
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
    fn the_middle_is_of_the_weeks_that_have_a_log() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3]), Some(3));
        assert_eq!(median(vec![9, 1, 5, 0, 2, 7]), Some(3));
        let rows = rows(&[Some(Vec::new()), None, None], &[]);
        assert_eq!(rows, []);
    }
}
