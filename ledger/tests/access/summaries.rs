//! Rollups equal a recount of the raw rows.

use crate::sample::{CATEGORIES, LEVELS, NOW, allowed, categories, context, rows, start, wait};
use ledger::journal::refused;
use ledger::query::AccessRow;
use ledger::record::{Depth, End};
use ledger::summary::{Count, PersonKey, Summary};
use proptest::prelude::*;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::visit::Visit;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
struct Made {
    minute: i64,
    person: Option<u8>,
    level: u8,
    host: u8,
    categories: Vec<u8>,
    blocked: Option<ReasonCode>,
    /// A tunnel, and how it ends: unseen, looked into, refused, nothing passed. The last but one kind
    /// is a request inside one, the last is plain.
    kind: u8,
    bytes: u32,
    /// 0 at once, 1 soon, 2 after the record is stored without.
    end: u8,
}

fn made() -> impl Strategy<Value = Made> {
    let places = prop::sample::subsequence(vec![0u8, 1, 2, 3, 4], 1..4);
    let numbers = (0..4000i64, prop::option::of(0..4u8), 0..LEVELS.len() as u8, 0..6u8);
    let blocked = prop::option::of(prop::sample::select(
        [&BY_CATEGORY[..], &[ReasonCode::Banned, ReasonCode::SiteBlocked, ReasonCode::Port]]
            .concat(),
    ));
    let way = (blocked, any::<u32>(), 0..6u8);
    (numbers, places, way, 0..3u8).prop_map(
        |((minute, person, level, host), categories, (blocked, bytes, kind), end)| Made {
            minute,
            person,
            level,
            host,
            categories,
            blocked,
            kind,
            bytes,
            end,
        },
    )
}

/// Reasons that stand for the site's categories.
const BY_CATEGORY: [ReasonCode; 5] = [
    ReasonCode::Locked,
    ReasonCode::Category,
    ReasonCode::OutsideTimes,
    ReasonCode::NotNominated,
    ReasonCode::Uncategorised,
];

const HOSTS: [(&str, &str); 6] = [
    ("www.library.test", "library.test"),
    ("library.test", "library.test"),
    ("a.b.museum.co.uk", "museum.co.uk"),
    ("museum.co.uk", "museum.co.uk"),
    ("192.0.2.7", "192.0.2.7"),
    ("intranet", "intranet"),
];

fn write(state: &std::path::Path, all: &[Made]) {
    let writer = start(state);
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let mut late = Vec::new();
    for (turn, one) in all.iter().enumerate() {
        let at = UnixMillis(NOW.0 + one.minute * 60_000);
        let user = one.person.map(|person| format!("person{person}"));
        let mut decided = allowed(&context, journal.next_id(at), at);
        decided.user = user.as_deref();
        decided.level = one.level;
        decided.host = HOSTS[usize::from(one.host)].0;
        decided.categories = categories(&one.categories);
        (decided.scheme, decided.depth) = match one.kind {
            0..4 => (Scheme::Tunnel, Depth::Name),
            4 => (Scheme::Https, Depth::Page),
            _ => (Scheme::Http, Depth::Plain),
        };
        if let Some(reason) = one.blocked {
            (decided.verdict, decided.reason) = (Verdict::Block, reason);
            journal.refuse(&decided, refused(403, u64::from(one.bytes), 1)).unwrap();
            continue;
        }
        let pending = journal.decide(&decided).unwrap();
        if one.kind != 3 {
            pending.count_up(u64::from(one.bytes) / 3);
        }
        pending.count_down(u64::from(one.bytes));
        match one.kind {
            1 => pending.set_depth(Depth::Page),
            2 => pending.end(End::Rejected),
            _ => {}
        }
        match one.end {
            0 => pending.finish(End::Complete),
            _ => late.push(pending),
        }
        if turn % 10 == 9 {
            std::thread::sleep(std::time::Duration::from_millis(8));
            late.retain(|pending| pending.id().0 % 2 == 0);
        }
    }
    drop(late);
    drop(journal);
    writer.stop();
}

fn recount(rows: &[AccessRow]) -> Summary {
    let mut sum = Summary { seen: crate::sample::seen(rows), ..Summary::default() };
    let mut seen = BTreeSet::new();
    let site = |host: &str| HOSTS.iter().find(|(name, _)| *name == host).unwrap().1.to_owned();
    let add = |count: &mut Count, row: &AccessRow| match row.verdict {
        Verdict::Allow => count.allowed += 1,
        Verdict::Block => count.blocked += 1,
    };
    let days: BTreeSet<_> = rows.iter().map(|row| row.cursor.day).collect();
    sum.days = days.into_iter().collect();
    for row in rows {
        let ended = row.ended.unwrap();
        let hour_start = UnixMillis(row.at.0.div_euclid(3_600_000) * 3_600_000);
        let hour = sum.hours.entry(hour_start).or_default();
        add(&mut hour.requests, row);
        hour.bytes_up += ended.bytes_up;
        hour.bytes_down += ended.bytes_down;
        if let Some(user) = &row.user
            && seen.insert((hour_start, user.clone()))
        {
            hour.people += 1;
        }
        sum.bytes_up += ended.bytes_up;
        sum.bytes_down += ended.bytes_down;
        add(&mut sum.requests, row);
        add(sum.levels.entry(row.level.clone()).or_default(), row);
        add(sum.sites.entry((site(&row.host), row.level.clone())).or_default(), row);
        if row.verdict == Verdict::Block {
            *sum.reasons.entry((row.user.clone(), row.reason as u8)).or_default() += 1;
        }
        let decided = match row.scheme {
            Scheme::Http => Depth::Plain,
            Scheme::Tunnel => Depth::Name,
            Scheme::Https => Depth::Page,
        };
        add(sum.depths.entry((decided as u8, row.user.is_some())).or_default(), row);
        if row.visit == Visit::Opened {
            add(&mut sum.visits, row);
        }
        let counted = row.verdict == Verdict::Allow || BY_CATEGORY.contains(&row.reason);
        let categories = row.categories.iter().filter(|_| counted);
        for category in categories.map(Some).chain([None]) {
            let key = PersonKey {
                person: row.user.clone(),
                level: row.level.clone(),
                category: category.cloned(),
            };
            add(sum.people.entry(key).or_default(), row);
            if let Some(category) = category {
                assert!(CATEGORIES.contains(&&**category));
                add(sum.categories.entry((row.level.clone(), category.clone())).or_default(), row);
            }
        }
    }
    sum
}

fn summary(state: &std::path::Path) -> Summary {
    let (from, until) = (jiff::civil::date(2025, 1, 1), jiff::civil::date(2027, 1, 1));
    wait(Summary::read(state, from, until)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rollups_equal_a_recount(all in prop::collection::vec(made(), 1..120)) {
        let state = tempfile::tempdir().unwrap();
        write(state.path(), &all);
        let rows = rows(state.path());
        prop_assert_eq!(rows.len(), all.len());
        prop_assert_eq!(summary(state.path()), recount(&rows));
    }
}

#[test]
fn a_report_reads_its_figures() {
    let state = tempfile::tempdir().unwrap();
    let for_category = Some(ReasonCode::Category);
    let one = |person, host, categories: &[u8], blocked| Made {
        minute: 0,
        person,
        level: 1,
        host,
        categories: categories.to_vec(),
        blocked,
        kind: 5,
        bytes: 10,
        end: 0,
    };
    write(
        state.path(),
        &[
            one(Some(1), 0, &[1, 3], for_category),
            one(Some(1), 1, &[1], for_category),
            one(None, 4, &[1], for_category),
            one(Some(2), 2, &[2], None),
            one(Some(3), 3, &[1], Some(ReasonCode::Banned)),
            one(Some(3), 3, &[1], Some(ReasonCode::Banned)),
            one(None, 3, &[2], Some(ReasonCode::SiteBlocked)),
        ],
    );
    let sum = summary(state.path());
    assert_eq!(sum.requests, Count { allowed: 1, blocked: 6 });
    assert_eq!(sum.blocked_categories(), [("games".to_owned(), 3), ("gambling".to_owned(), 1)]);
    assert_eq!(sum.blocked_for(ReasonCode::Banned), 2);
    assert_eq!(sum.blocked_for(ReasonCode::SiteBlocked), 1);
    assert_eq!(sum.blocked_for(ReasonCode::Category), 3);
    assert_eq!(sum.top_sites(Verdict::Block, 1), [("museum.co.uk".to_owned(), 3)]);
    assert_eq!(sum.top_sites(Verdict::Allow, 9), [("museum.co.uk".to_owned(), 1)]);
    assert_eq!(sum.repeated_blocks(2), [("person1", "ks3", "games", 2)]);
    assert_eq!(sum.identified_share(), Some(5.0 / 7.0));
    assert_eq!(sum.depth_share(Depth::Plain), Some(1.0));
    let people: BTreeMap<_, _> = sum.hours.iter().map(|(at, hour)| (at.0, hour.people)).collect();
    assert_eq!(people, BTreeMap::from([(NOW.0, 3)]));
}
