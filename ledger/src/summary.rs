//! Sums over school days, read from the rollups alone: what reports are made of.

mod adding;
mod tables;

use crate::query::QueryError;
use crate::record::Depth;
use crate::seen::Seen;
use crate::sqlite::days_between;
use adding::Adding;
use jiff::civil::Date;
use rules::decide::{ReasonCode, Verdict};
use rules::time::UnixMillis;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tables::Tables;

/// Requests by answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Allowed.
    pub allowed: u64,
    /// Blocked.
    pub blocked: u64,
}

impl Count {
    /// Allowed and blocked.
    #[must_use]
    pub fn total(self) -> u64 {
        self.allowed + self.blocked
    }

    fn add(&mut self, verdict: Verdict, requests: u64) {
        match verdict {
            Verdict::Allow => self.allowed += requests,
            Verdict::Block => self.blocked += requests,
        }
    }
}

/// One hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// Requests.
    pub requests: Count,
    /// Proven people seen.
    pub people: u64,
    /// Bytes from clients, of requests that started in it.
    pub bytes_up: u64,
    /// Bytes to clients.
    pub bytes_down: u64,
}

/// One person's requests in one category under one level.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PersonKey {
    /// Proven user; `None`: everybody not proved, together.
    pub person: Option<String>,
    /// Level.
    pub level: String,
    /// Category; `None`: all, each request once.
    pub category: Option<String>,
}

/// Everything that reports of a range of days need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The days in the range that have a log.
    pub days: Vec<Date>,
    /// All requests, each once.
    pub requests: Count,
    /// Bytes from clients.
    pub bytes_up: u64,
    /// Bytes to clients.
    pub bytes_down: u64,
    /// By hour (its first instant).
    pub hours: BTreeMap<UnixMillis, Hour>,
    /// By level and category. A request counts under each of its categories; a blocked one only where
    /// a category decided, not where a ban or the school's own block did.
    pub categories: BTreeMap<(String, String), Count>,
    /// By level, each request once.
    pub levels: BTreeMap<String, Count>,
    /// By registrable domain (or host, where there is none) and level.
    pub sites: BTreeMap<(String, String), Count>,
    /// By person, level and category.
    pub people: BTreeMap<PersonKey, Count>,
    /// By the number of the depth as decided, and whether somebody was proved.
    pub depths: BTreeMap<(u8, bool), Count>,
    /// Pages that somebody opened, each time that they did; those of days of before this was told are not among
    /// them, nor what was opened through tunnels of which only the name was seen.
    pub visits: Count,
    /// What the filter saw of what was allowed and has ended, by level.
    pub seen: BTreeMap<String, Seen>,
    /// Blocked requests by person (`None`: not proved) and the reason's number, each once. Days
    /// stored by the first version of the file have none.
    pub reasons: BTreeMap<(Option<String>, u8), u64>,
}

impl Summary {
    /// Sums the school days `from` to before `until` in `state`. Days without a log add nothing.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn read(state: &Path, from: Date, until: Date) -> Result<Self, QueryError> {
        let parts = days_between(state, from, until)?;
        let mut adding = Adding::default();
        // SQLite reads each file on a thread of its own: two at once, which leaves a filter its own
        // processor where there are more, and holds the tables of two files at most.
        for two in parts.chunks(2) {
            let mut add = |(_, path): &(Date, PathBuf), read: Result<Tables, sqlx::Error>| {
                let added = read.and_then(|tables| adding.add(&tables));
                added.map_err(|source| QueryError::Store { path: path.clone(), source })
            };
            match two {
                [one, other] => {
                    let read = tokio::join!(Tables::read(&one.1), Tables::read(&other.1));
                    add(one, read.0)?;
                    add(other, read.1)?;
                }
                alone => {
                    for one in alone {
                        add(one, Tables::read(&one.1).await)?;
                    }
                }
            }
        }
        let mut days: Vec<Date> = parts.into_iter().map(|(day, _)| day).collect();
        // A day may have several parts.
        days.dedup();
        Ok(Self { days, ..adding.finish() })
    }

    /// Blocked requests by category, most first; the reader decides which levels to sum.
    #[must_use]
    pub fn blocked_categories(&self) -> Vec<(String, u64)> {
        let by_category =
            self.categories.iter().map(|((_, category), count)| (category, count.blocked));
        most_first(by_category)
    }

    /// Requests blocked for a reason, each once.
    #[must_use]
    pub fn blocked_for(&self, reason: ReasonCode) -> u64 {
        let counts = self.reasons.iter().filter(|((_, number), _)| *number == reason as u8);
        counts.map(|(_, requests)| requests).sum()
    }

    /// Sites with a verdict, most requests first, at most `limit`.
    #[must_use]
    pub fn top_sites(&self, verdict: Verdict, limit: usize) -> Vec<(String, u64)> {
        let by_site = self.sites.iter().map(|((site, _), count)| {
            (site, if verdict == Verdict::Allow { count.allowed } else { count.blocked })
        });
        let mut sites = most_first(by_site);
        sites.truncate(limit);
        sites
    }

    /// Proven people with at least `least` blocked requests in one category, most first: person,
    /// level, category, blocked requests.
    #[must_use]
    pub fn repeated_blocks(&self, least: u64) -> Vec<(&str, &str, &str, u64)> {
        let mut repeated: Vec<_> = self
            .people
            .iter()
            .filter(|(_, count)| count.blocked >= least.max(1))
            .filter_map(|(key, count)| {
                Some((key.person.as_deref()?, &*key.level, key.category.as_deref()?, count.blocked))
            })
            .collect();
        repeated.sort_by_key(|&(person, level, category, blocked)| {
            (std::cmp::Reverse(blocked), person, level, category)
        });
        repeated
    }

    /// Share of requests with a proven person, 0 to 1; `None` without requests.
    #[must_use]
    pub fn identified_share(&self) -> Option<f64> {
        self.share(|_, identified| identified)
    }

    /// Share of requests decided at a depth, 0 to 1; `None` without requests.
    #[must_use]
    pub fn depth_share(&self, depth: Depth) -> Option<f64> {
        self.share(|seen, _| seen == depth as u8)
    }

    fn share(&self, counts: impl Fn(u8, bool) -> bool) -> Option<f64> {
        let part: u64 = self
            .depths
            .iter()
            .filter(|((depth, identified), _)| counts(*depth, *identified))
            .map(|(_, count)| count.total())
            .sum();
        let all = self.requests.total();
        (all > 0).then(|| part as f64 / all as f64)
    }
}

fn most_first<'a>(counts: impl Iterator<Item = (&'a String, u64)>) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<&String, u64> = BTreeMap::new();
    counts.for_each(|(name, count)| *sums.entry(name).or_default() += count);
    let mut sums: Vec<_> = sums
        .into_iter()
        .filter(|(_, sum)| *sum > 0)
        .map(|(name, sum)| (name.clone(), sum))
        .collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    sums
}
