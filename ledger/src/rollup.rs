//! Rollups: sums kept beside the rows they sum, in the same transaction, so that reports never
//! scan raw rows.
//!
//! A request with several categories counts under each; under category 0 (all) it counts once. One
//! that was blocked for another reason than its categories (a ban, the school's own block) counts
//! under none: nobody shall read from a report that banks are blocked because a banned pupil asked
//! for one.

use crate::insert::Insert;
use crate::record::{AsDecided, Depth, Ended, scheme_number};
use crate::seen::Outcome;
use rules::decide::ReasonCode;
use rules::target::Scheme;
use rules::visit::Visit;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// The category that stands for all.
const ALL: u32 = 0;

/// Most pairs of host and client whose refusals a day tells apart; more are counted together. A
/// single device that asks for ever new names must not make the file grow without bound.
const MAX_REFUSALS: usize = 10_000;

/// The host and client of those that are counted together.
const OTHERS: (u32, u32) = (0, 0);

/// What the rollups need of one access, by the day file's numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) at: i64,
    /// 0: nobody proved.
    pub(crate) person: u32,
    pub(crate) level: u32,
    pub(crate) site: u32,
    pub(crate) verdict: u8,
    pub(crate) reason: u8,
    /// As decided, with whether somebody opened it ([`AsDecided::number`]).
    pub(crate) depth: u8,
    pub(crate) scheme: u8,
    pub(crate) host: u32,
    pub(crate) client: u32,
}

impl Facts {
    /// The categories that the request counts under.
    fn counted<'c>(&self, categories: &'c [u32]) -> &'c [u32] {
        use ReasonCode::{Category, Locked, NotNominated, OutsideTimes, Uncategorised};
        let by_category = [Locked, Category, OutsideTimes, NotNominated, Uncategorised];
        let counts =
            self.verdict == 0 || by_category.iter().any(|reason| *reason as u8 == self.reason);
        if counts { categories } else { &[] }
    }

    fn depth_alone(&self) -> u8 {
        AsDecided::from_number(self.depth).map_or(self.depth, |known| known.depth as u8)
    }

    /// The depth, and that it was a visit where it counts as one: somebody opened it, and was not led elsewhere. The
    /// record of a page that was refused for what it says stands beside the one of its request.
    fn depth_and_visit(&self, status: Option<u16>) -> u8 {
        let is_opened =
            AsDecided::from_number(self.depth).is_some_and(|it| it.visit == Visit::Opened);
        let is_beside = [ReasonCode::PageWords, ReasonCode::Unscanned]
            .iter()
            .any(|it| *it as u8 == self.reason);
        let leads_on = status.is_some_and(|status| (300..400).contains(&status) && status != 304);
        if is_opened && !is_beside && !leads_on { self.depth } else { self.depth_alone() }
    }
}

/// When a client first and last refused the certificate for a host, and how often.
#[derive(Clone, Copy, Debug)]
struct Refusals {
    first: i64,
    last: i64,
    times: u64,
}

/// What was looked into at a host.
#[derive(Clone, Copy, Debug, Default)]
struct Opened {
    connections: u64,
    requests: u64,
}

/// What a file already holds of the rollups that need to know.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Hours and people seen in them.
    pub(crate) seen: Vec<(i64, u32)>,
    /// Hosts, and the clients that refused the certificate there.
    pub(crate) refused: Vec<(u32, u32)>,
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
    reasons: HashMap<(u32, u32, u8), u64>,
    ended: HashMap<(i64, u32, u8, u8, u8), u64>,
    rejected: HashMap<(u32, u32), Refusals>,
    opened: HashMap<u32, Opened>,
    /// Hour and person already in the file, or in the batch.
    seen: HashSet<(i64, u32)>,
    /// Host and client with refusals, in the file or in the batch; at most [`MAX_REFUSALS`].
    refused: HashSet<(u32, u32)>,
    newly_seen: Vec<(i64, u32)>,
    inserts: Inserts,
}

impl Rollup {
    /// No sums yet, beside a file that holds `stored`.
    pub(crate) fn new(stored: Stored) -> Self {
        Self {
            hours: HashMap::new(),
            people: HashMap::new(),
            sites: HashMap::new(),
            depths: HashMap::new(),
            reasons: HashMap::new(),
            ended: HashMap::new(),
            rejected: HashMap::new(),
            opened: HashMap::new(),
            seen: stored.seen.into_iter().collect(),
            refused: stored.refused.into_iter().collect(),
            newly_seen: Vec::new(),
            inserts: Inserts::new(),
        }
    }

    /// Counts one request; `status` is what it ended with, where the end came with it.
    pub(crate) fn request(&mut self, facts: &Facts, categories: &[u32], status: Option<u16>) {
        let hour = facts.at.div_euclid(HOUR_MS);
        for &category in std::iter::once(&ALL).chain(facts.counted(categories)) {
            self.hours.entry((hour, facts.level, category, facts.verdict)).or_default().requests +=
                1;
            *self
                .people
                .entry((facts.person, facts.level, category, facts.verdict))
                .or_default() += 1;
        }
        *self.sites.entry((facts.site, facts.level, facts.verdict)).or_default() += 1;
        if facts.verdict != 0 {
            *self.reasons.entry((facts.person, facts.level, facts.reason)).or_default() += 1;
        }
        // Nothing else comes to a request with the scheme https: its client took the certificate.
        if facts.scheme == scheme_number(Scheme::Https) {
            self.opened.entry(facts.host).or_default().requests += 1;
        }
        let identified = facts.person != 0;
        let depth = facts.depth_and_visit(status);
        *self.depths.entry((depth, identified, facts.level, facts.verdict)).or_default() += 1;
        if identified && self.seen.insert((hour, facts.person)) {
            self.newly_seen.push((hour, facts.person));
        }
    }

    /// Counts the bytes of a request that ended, in the hour that it started.
    pub(crate) fn bytes(&mut self, facts: &Facts, categories: &[u32], up: u64, down: u64) {
        let hour = facts.at.div_euclid(HOUR_MS);
        for &category in std::iter::once(&ALL).chain(facts.counted(categories)) {
            let sums = self.hours.entry((hour, facts.level, category, facts.verdict)).or_default();
            sums.bytes_up += up;
            sums.bytes_down += down;
        }
    }

    /// Counts an allowed access that ended: how deep the filter saw, and what came of it.
    pub(crate) fn ended(&mut self, facts: &Facts, ended: &Ended) {
        if facts.verdict != 0 {
            return;
        }
        let hour = facts.at.div_euclid(HOUR_MS);
        let depth = ended.depth.map_or(facts.depth_alone(), |depth| depth as u8);
        let is_tunnel = facts.scheme == scheme_number(Scheme::Tunnel);
        let is_opened = is_tunnel && depth == Depth::Page as u8;
        let outcome = Outcome::of(is_tunnel && !is_opened, ended);
        let key = (hour, facts.level, facts.scheme, depth, outcome as u8);
        *self.ended.entry(key).or_default() += 1;
        if outcome == Outcome::Refused {
            self.refused(facts);
        } else if is_opened {
            self.opened.entry(facts.host).or_default().connections += 1;
        }
    }

    fn refused(&mut self, facts: &Facts) {
        let pair = (facts.host, facts.client);
        let has_row = self.refused.contains(&pair)
            || self.refused.len() < MAX_REFUSALS && self.refused.insert(pair);
        let pair = if has_row { pair } else { OTHERS };
        let new = Refusals { first: facts.at, last: facts.at, times: 0 };
        let refusals = self.rejected.entry(pair).or_insert(new);
        refusals.first = refusals.first.min(facts.at);
        refusals.last = refusals.last.max(facts.at);
        refusals.times += 1;
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
        let reasons: Vec<_> = self.reasons.iter().collect();
        self.inserts
            .reason
            .run(db, &reasons, |binder, ((person, level, reason), requests)| {
                binder.number(*person).number(*level).number(*reason).count(**requests);
            })
            .await?;
        let ended: Vec<_> = self.ended.iter().collect();
        self.inserts
            .ended
            .run(db, &ended, |binder, ((hour, level, scheme, depth, outcome), accesses)| {
                binder.number(*hour).number(*level).number(*scheme).number(*depth);
                binder.number(*outcome).count(**accesses);
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
            .run(db, &opened, |binder, (host, opened)| {
                binder.number(**host).count(opened.connections).count(opened.requests);
            })
            .await?;
        self.inserts
            .hour_person
            .run(db, &self.newly_seen, |binder, (hour, person)| {
                binder.number(*hour).number(*person);
            })
            .await
    }

    /// How the file's sums differ from these, which are made from all its rows: a line for each table.
    pub(crate) async fn differences(
        &self,
        db: &mut SqliteConnection,
    ) -> Result<Vec<String>, sqlx::Error> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut found = Vec::new();
        let mut compare = |table: &str, made: BTreeSet<Vec<i64>>, stored: BTreeSet<Vec<i64>>| {
            let differing = made.symmetric_difference(&stored).count();
            if differing > 0 {
                found.push(format!("{table} does not say what the rows come to"));
            }
        };
        let hours = self.hours.iter().map(|((hour, level, category, verdict), sums)| {
            let key = vec![*hour, (*level).into(), (*category).into(), (*verdict).into()];
            [key, vec![number(sums.requests), number(sums.bytes_up), number(sums.bytes_down)]]
                .concat()
        });
        compare("rollup_hour", hours.collect(), stored(db, "rollup_hour").await?);
        let people = self.people.iter().map(|((person, level, category, verdict), requests)| {
            vec![
                (*person).into(),
                (*level).into(),
                (*category).into(),
                (*verdict).into(),
                number(*requests),
            ]
        });
        compare("rollup_person", people.collect(), stored(db, "rollup_person").await?);
        let sites = self.sites.iter().map(|((site, level, verdict), requests)| {
            vec![(*site).into(), (*level).into(), (*verdict).into(), number(*requests)]
        });
        compare("rollup_site", sites.collect(), stored(db, "rollup_site").await?);
        let depths = self.depths.iter().map(|((depth, identified, level, verdict), requests)| {
            vec![
                (*depth).into(),
                (*identified).into(),
                (*level).into(),
                (*verdict).into(),
                number(*requests),
            ]
        });
        compare("rollup_depth", depths.collect(), stored(db, "rollup_depth").await?);
        let reasons = self.reasons.iter().map(|((person, level, reason), requests)| {
            vec![(*person).into(), (*level).into(), (*reason).into(), number(*requests)]
        });
        compare("rollup_reason", reasons.collect(), stored(db, "rollup_reason").await?);
        let ended = self.ended.iter().map(|((hour, level, scheme, depth, outcome), accesses)| {
            vec![
                *hour,
                (*level).into(),
                (*scheme).into(),
                (*depth).into(),
                (*outcome).into(),
                number(*accesses),
            ]
        });
        compare("rollup_ended", ended.collect(), stored(db, "rollup_ended").await?);
        let opened = self.opened.iter().map(|(host, opened)| {
            vec![(*host).into(), number(opened.connections), number(opened.requests)]
        });
        compare("rollup_opened", opened.collect(), stored(db, "rollup_opened").await?);
        // Beyond the bound it depends on the order of coming which pairs have a row.
        if self.refused.len() < MAX_REFUSALS {
            let rejected = self.rejected.iter().map(|((host, client), refusals)| {
                vec![
                    (*host).into(),
                    (*client).into(),
                    refusals.first,
                    refusals.last,
                    number(refusals.times),
                ]
            });
            compare("rollup_rejected", rejected.collect(), stored(db, "rollup_rejected").await?);
        }
        let seen = self.seen.iter().map(|(hour, person)| vec![*hour, (*person).into()]);
        compare("hour_person", seen.collect(), stored(db, "hour_person").await?);
        Ok(found)
    }

    /// The file holds the batch's sums now.
    pub(crate) fn mark_stored(&mut self) {
        self.hours.clear();
        self.people.clear();
        self.sites.clear();
        self.depths.clear();
        self.reasons.clear();
        self.ended.clear();
        self.rejected.clear();
        self.opened.clear();
        self.newly_seen.clear();
    }
}

/// A table of numbers, row by row. What is no number is one that no sum comes to.
async fn stored(
    db: &mut SqliteConnection,
    table: &'static str,
) -> Result<BTreeSet<Vec<i64>>, sqlx::Error> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM ");
    let rows = query.push(table).build().fetch_all(db).await?;
    let numbers = |row: &SqliteRow| {
        (0..row.len()).map(|column| row.try_get(column).unwrap_or(i64::MIN)).collect()
    };
    Ok(rows.iter().map(numbers).collect())
}

struct Inserts {
    hour: Insert,
    person: Insert,
    site: Insert,
    depth: Insert,
    reason: Insert,
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
            reason: adding("rollup_reason", 4, requests),
            ended: adding("rollup_ended", 6, "accesses = accesses + excluded.accesses"),
            rejected: adding(
                "rollup_rejected",
                5,
                "first = min(first, excluded.first), last = max(last, excluded.last), \
                 times = times + excluded.times",
            ),
            opened: adding(
                "rollup_opened",
                3,
                "connections = connections + excluded.connections, \
                 requests = requests + excluded.requests",
            ),
            hour_person: Insert::new("INSERT INTO hour_person", 2, ""),
        }
    }
}
