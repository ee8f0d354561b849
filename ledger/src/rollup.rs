//! Rollups: sums kept beside the rows they sum, in the same transaction, so that reports never
//! scan raw rows.
//!
//! A request with several categories counts under each; under category 0 (all) it counts once.

use crate::insert::Insert;
use sqlx::SqliteConnection;
use std::collections::{HashMap, HashSet};

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// The category that stands for all.
const ALL: u32 = 0;

/// What the rollups need of one access, by the day file's numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) at: i64,
    /// 0: nobody proved.
    pub(crate) person: u32,
    pub(crate) level: u32,
    pub(crate) site: u32,
    pub(crate) verdict: u8,
    pub(crate) depth: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    requests: u64,
    bytes_up: u64,
    bytes_down: u64,
}

/// The sums of one batch, and the statements that add them to a day file's.
pub(crate) struct Rollup {
    hours: HashMap<(i64, u32, u32, u8), Sums>,
    people: HashMap<(u32, u32, u32, u8), u64>,
    sites: HashMap<(u32, u32, u8), u64>,
    depths: HashMap<(u8, bool, u32, u8), u64>,
    /// Hour and person already in the file.
    seen: HashSet<(i64, u32)>,
    newly_seen: Vec<(i64, u32)>,
    inserts: Inserts,
}

impl Rollup {
    /// `seen`: hours and people that the file already holds.
    pub(crate) fn new(seen: Vec<(i64, u32)>) -> Self {
        Self {
            hours: HashMap::new(),
            people: HashMap::new(),
            sites: HashMap::new(),
            depths: HashMap::new(),
            seen: seen.into_iter().collect(),
            newly_seen: Vec::new(),
            inserts: Inserts::new(),
        }
    }

    /// Counts one request.
    pub(crate) fn request(&mut self, facts: &Facts, categories: &[u32]) {
        let hour = facts.at.div_euclid(HOUR_MS);
        for &category in std::iter::once(&ALL).chain(categories) {
            self.hours.entry((hour, facts.level, category, facts.verdict)).or_default().requests +=
                1;
            *self
                .people
                .entry((facts.person, facts.level, category, facts.verdict))
                .or_default() += 1;
        }
        *self.sites.entry((facts.site, facts.level, facts.verdict)).or_default() += 1;
        let identified = facts.person != 0;
        *self.depths.entry((facts.depth, identified, facts.level, facts.verdict)).or_default() += 1;
        if identified && self.seen.insert((hour, facts.person)) {
            self.newly_seen.push((hour, facts.person));
        }
    }

    /// Counts the bytes of a request that ended, in the hour that it started.
    pub(crate) fn bytes(&mut self, facts: &Facts, categories: &[u32], up: u64, down: u64) {
        let hour = facts.at.div_euclid(HOUR_MS);
        for &category in std::iter::once(&ALL).chain(categories) {
            let sums = self.hours.entry((hour, facts.level, category, facts.verdict)).or_default();
            sums.bytes_up += up;
            sums.bytes_down += down;
        }
    }

    /// Adds the batch's sums to the file's, inside the caller's transaction.
    pub(crate) async fn store(&self, db: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let hours: Vec<_> = self.hours.iter().collect();
        self.inserts
            .hour
            .run(db, &hours, |binder, ((hour, level, category, verdict), sums)| {
                binder.number(*hour).number(*level).number(*category).number(*verdict);
                binder.count(sums.requests).count(sums.bytes_up).count(sums.bytes_down);
            })
            .await?;
        let people: Vec<_> = self.people.iter().collect();
        self.inserts
            .person
            .run(db, &people, |binder, ((person, level, category, verdict), requests)| {
                binder
                    .number(*person)
                    .number(*level)
                    .number(*category)
                    .number(*verdict)
                    .count(**requests);
            })
            .await?;
        let sites: Vec<_> = self.sites.iter().collect();
        self.inserts
            .site
            .run(db, &sites, |binder, ((site, level, verdict), requests)| {
                binder.number(*site).number(*level).number(*verdict).count(**requests);
            })
            .await?;
        let depths: Vec<_> = self.depths.iter().collect();
        self.inserts
            .depth
            .run(db, &depths, |binder, ((depth, identified, level, verdict), requests)| {
                binder
                    .number(*depth)
                    .number(*identified)
                    .number(*level)
                    .number(*verdict)
                    .count(**requests);
            })
            .await?;
        self.inserts
            .hour_person
            .run(db, &self.newly_seen, |binder, (hour, person)| {
                binder.number(*hour).number(*person);
            })
            .await
    }

    /// The file holds the batch's sums now.
    pub(crate) fn mark_stored(&mut self) {
        self.hours.clear();
        self.people.clear();
        self.sites.clear();
        self.depths.clear();
        self.newly_seen.clear();
    }
}

struct Inserts {
    hour: Insert,
    person: Insert,
    site: Insert,
    depth: Insert,
    hour_person: Insert,
}

impl Inserts {
    fn new() -> Self {
        let adding = |table: &str, columns, sums: &str| {
            Insert::new(
                &format!("INSERT INTO {table}"),
                columns,
                &format!("ON CONFLICT DO UPDATE SET {sums}"),
            )
        };
        let requests = "requests = requests + excluded.requests";
        let bytes = "bytes_up = bytes_up + excluded.bytes_up, bytes_down = bytes_down + excluded.bytes_down";
        Self {
            hour: adding("rollup_hour", 7, &format!("{requests}, {bytes}")),
            person: adding("rollup_person", 5, requests),
            site: adding("rollup_site", 4, requests),
            depth: adding("rollup_depth", 5, requests),
            hour_person: Insert::new("INSERT INTO hour_person", 2, ""),
        }
    }
}
