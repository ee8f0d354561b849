//! Rollups: sums kept beside the rows they sum, in the same transaction, so that reports never
//! scan raw rows.
//!
//! A request with several categories counts under each; under category 0 (all) it counts once.

use crate::insert::Insert;
use crate::record::{Depth, End, Ended};
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
    /// As decided.
    pub(crate) depth: u8,
    pub(crate) scheme: u8,
    pub(crate) host: u32,
    pub(crate) client: u32,
}

/// When a client first and last refused the certificate for a host, and how often.
#[derive(Clone, Copy, Debug)]
struct Refusals {
    first: i64,
    last: i64,
    times: u64,
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
    ended: HashMap<(i64, u32, u8, u8, bool), u64>,
    rejected: HashMap<(u32, u32), Refusals>,
    opened: HashMap<u32, u64>,
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
            ended: HashMap::new(),
            rejected: HashMap::new(),
            opened: HashMap::new(),
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

    /// Counts an allowed access that ended: how deep the filter saw, and whether the client refused
    /// its certificate.
    pub(crate) fn ended(&mut self, facts: &Facts, ended: &Ended) {
        if facts.verdict != 0 {
            return;
        }
        let hour = facts.at.div_euclid(HOUR_MS);
        let depth = ended.depth.map_or(facts.depth, |depth| depth as u8);
        let is_rejected = ended.end == End::Rejected;
        *self.ended.entry((hour, facts.level, facts.scheme, depth, is_rejected)).or_default() += 1;
        if is_rejected {
            let new = Refusals { first: facts.at, last: facts.at, times: 0 };
            let refusals = self.rejected.entry((facts.host, facts.client)).or_insert(new);
            refusals.first = refusals.first.min(facts.at);
            refusals.last = refusals.last.max(facts.at);
            refusals.times += 1;
        } else if ended.depth == Some(Depth::Page) {
            *self.opened.entry(facts.host).or_default() += 1;
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
        let ended: Vec<_> = self.ended.iter().collect();
        self.inserts
            .ended
            .run(db, &ended, |binder, ((hour, level, scheme, depth, rejected), accesses)| {
                binder.number(*hour).number(*level).number(*scheme).number(*depth);
                binder.number(*rejected).count(**accesses);
            })
            .await?;
        let rejected: Vec<_> = self.rejected.iter().collect();
        self.inserts
            .rejected
            .run(db, &rejected, |binder, ((host, client), refusals)| {
                binder.number(*host).number(*client).number(refusals.first);
                binder.number(refusals.last).count(refusals.times);
            })
            .await?;
        let opened: Vec<_> = self.opened.iter().collect();
        self.inserts
            .opened
            .run(db, &opened, |binder, (host, times)| {
                binder.number(**host).count(**times);
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
        self.ended.clear();
        self.rejected.clear();
        self.opened.clear();
        self.newly_seen.clear();
    }
}

struct Inserts {
    hour: Insert,
    person: Insert,
    site: Insert,
    depth: Insert,
    ended: Insert,
    rejected: Insert,
    opened: Insert,
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
            ended: adding("rollup_ended", 6, "accesses = accesses + excluded.accesses"),
            rejected: adding(
                "rollup_rejected",
                5,
                "first = min(first, excluded.first), last = max(last, excluded.last), \
                 times = times + excluded.times",
            ),
            opened: adding("rollup_opened", 2, "times = times + excluded.times"),
            hour_person: Insert::new("INSERT INTO hour_person", 2, ""),
        }
    }
}
