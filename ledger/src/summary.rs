//! Sums over school days, read from the rollups alone: what reports are made of.

use crate::query::QueryError;
use crate::record::Depth;
use crate::seen::{self, Seen};
use crate::sqlite::{days_between, open_to_read};
use jiff::civil::Date;
use rules::decide::{ReasonCode, Verdict};
use rules::time::UnixMillis;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

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
        let mut summary = Self::default();
        let mut seen = BTreeSet::new();
        for (day, path) in days_between(state, from, until)? {
            let added = summary.add_day(&path, &mut seen).await;
            added.map_err(|source| QueryError::Store { path, source })?;
            // A day may have several parts.
            if summary.days.last() != Some(&day) {
                summary.days.push(day);
            }
        }
        for (hour, _) in seen {
            summary.hours.entry(hour).or_default().people += 1;
        }
        Ok(summary)
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

    async fn add_day(
        &mut self,
        path: &Path,
        seen: &mut BTreeSet<(UnixMillis, String)>,
    ) -> Result<(), sqlx::Error> {
        let mut connection = open_to_read(path).await?;
        // One read transaction: all sums are of the same moment.
        let mut transaction = connection.begin().await?;
        self.add_hours(&mut transaction).await?;
        self.add_people(&mut transaction).await?;
        self.add_sites_and_depths(&mut transaction).await?;
        seen::add_day(&mut transaction, &mut self.seen).await?;
        self.add_reasons(&mut transaction).await?;
        let rows = sqlx::query(
            "SELECT h.hour, p.name FROM hour_person h JOIN person p ON p.id = h.person",
        )
        .fetch_all(&mut *transaction)
        .await?;
        for row in rows {
            seen.insert((hour_start(&row)?, row.try_get(1)?));
        }
        transaction.rollback().await?;
        connection.close().await
    }

    async fn add_hours(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let rows = sqlx::query(
            "SELECT r.hour, l.value, c.value, r.verdict, r.requests, r.bytes_up, r.bytes_down
             FROM rollup_hour r JOIN name l ON l.id = r.level LEFT JOIN name c ON c.id = r.category",
        )
        .fetch_all(connection)
        .await?;
        for row in rows {
            let (verdict, requests) = (verdict(&row, 3)?, count(&row, 4)?);
            let (up, down) = (count(&row, 5)?, count(&row, 6)?);
            let level: String = row.try_get(1)?;
            match row.try_get::<Option<String>, _>(2)? {
                Some(category) => {
                    self.categories.entry((level, category)).or_default().add(verdict, requests);
                }
                None => {
                    let hour = self.hours.entry(hour_start(&row)?).or_default();
                    hour.requests.add(verdict, requests);
                    hour.bytes_up += up;
                    hour.bytes_down += down;
                    self.bytes_up += up;
                    self.bytes_down += down;
                    self.requests.add(verdict, requests);
                    self.levels.entry(level).or_default().add(verdict, requests);
                }
            }
        }
        Ok(())
    }

    async fn add_people(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let rows = sqlx::query(
            "SELECT p.name, l.value, c.value, r.verdict, r.requests
             FROM rollup_person r LEFT JOIN person p ON p.id = r.person
             JOIN name l ON l.id = r.level LEFT JOIN name c ON c.id = r.category",
        )
        .fetch_all(connection)
        .await?;
        for row in rows {
            let key = PersonKey {
                person: row.try_get(0)?,
                level: row.try_get(1)?,
                category: row.try_get(2)?,
            };
            self.people.entry(key).or_default().add(verdict(&row, 3)?, count(&row, 4)?);
        }
        Ok(())
    }

    async fn add_reasons(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let known = sqlx::query("SELECT 1 FROM sqlite_schema WHERE name = 'rollup_reason'")
            .fetch_optional(&mut *connection)
            .await?;
        if known.is_none() {
            return Ok(());
        }
        let rows = sqlx::query(
            "SELECT p.name, r.reason, r.requests
             FROM rollup_reason r LEFT JOIN person p ON p.id = r.person",
        )
        .fetch_all(connection)
        .await?;
        for row in rows {
            let key = (row.try_get(0)?, row.try_get(1)?);
            *self.reasons.entry(key).or_default() += count(&row, 2)?;
        }
        Ok(())
    }

    async fn add_sites_and_depths(
        &mut self,
        connection: &mut SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        let rows = sqlx::query(
            "SELECT s.name, l.value, r.verdict, r.requests
             FROM rollup_site r JOIN site s ON s.id = r.site JOIN name l ON l.id = r.level",
        )
        .fetch_all(&mut *connection)
        .await?;
        for row in rows {
            let key = (row.try_get(0)?, row.try_get(1)?);
            self.sites.entry(key).or_default().add(verdict(&row, 2)?, count(&row, 3)?);
        }
        let rows = sqlx::query("SELECT depth, identified, verdict, requests FROM rollup_depth")
            .fetch_all(connection)
            .await?;
        for row in rows {
            let key = (row.try_get(0)?, row.try_get(1)?);
            self.depths.entry(key).or_default().add(verdict(&row, 2)?, count(&row, 3)?);
        }
        Ok(())
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

fn verdict(row: &SqliteRow, column: usize) -> Result<Verdict, sqlx::Error> {
    Ok(if row.try_get::<i64, _>(column)? == 0 { Verdict::Allow } else { Verdict::Block })
}

fn count(row: &SqliteRow, column: usize) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>(column)? as u64)
}

fn hour_start(row: &SqliteRow) -> Result<UnixMillis, sqlx::Error> {
    Ok(UnixMillis(row.try_get::<i64, _>(0)? * HOUR_MS))
}
