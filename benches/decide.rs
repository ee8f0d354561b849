//! The pure steps of a request: `cargo bench --bench decide`.
//!
//! Prints nanoseconds and allocations for each: making hosts and paths canonical, deciding under
//! the starter policy (plain and timed cells, a hundred unblocks and school blocks beside it, a
//! level with a list), finding out who somebody is.

mod allocations;

use allocations::ALLOCATIONS;
use rules::access::{Access, Identity, UserFacts};
use rules::category::{Catalogue, CategorySet};
use rules::decide::decide;
use rules::host::Host;
use rules::policy::Policy;
use rules::site::Site;
use rules::target::{Scheme, seen_path};
use rules::time::UnixMillis;
use rules::unblock::{BlockId, Scope, SiteBlock, Unblock, UnblockId};
use std::hint::black_box;
use std::time::Instant;

type AnyError = Box<dyn std::error::Error>;

/// Calls per measurement; the best of [`ROUNDS`] counts, since others use the machine too.
const CALLS: u32 = 200_000;
const ROUNDS: usize = 9;
/// A Wednesday in term, 12:40 in London.
const LUNCH: UnixMillis = UnixMillis(1_795_610_400_000);

fn measure<T>(what: &str, mut call: impl FnMut() -> T) {
    let mut best = f64::INFINITY;
    let before = ALLOCATIONS.get();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(call());
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    let calls = f64::from(CALLS) * ROUNDS as f64;
    let allocations = (ALLOCATIONS.get() - before) as f64 / calls;
    println!("{what:<52} {best:>8.1} ns {allocations:>6.1} allocations");
}

fn main() -> Result<(), AnyError> {
    hosts_and_paths();
    let policy = policy()?;
    decisions(&policy)?;
    identities(&policy)
}

fn hosts_and_paths() {
    for host in
        ["www.bbc.co.uk", "WWW.BBC.co.uk", "www.bbc.co.uk.", "b%C3%BCcher.example", "0x7f.1"]
    {
        measure(&format!("host {host}"), || Host::parse(black_box(host)));
    }
    for path in ["/news/uk-12345678?page=2", "/a/%7Euser/../b//c"] {
        measure(&format!("path {path}"), || seen_path(black_box(path)).len());
    }
    if let Ok(host) = Host::parse("static.files.bbci.co.uk") {
        measure("suffixes of four labels", || host.suffixes().map(str::len).sum::<usize>());
        measure("registrable domain", || host.registrable().map(str::len));
    }
}

fn policy() -> Result<Policy, AnyError> {
    let read = |name: &str| {
        let files = rules::defaults::POLICY_FILES;
        let file = files.iter().find(|(known, _)| *known == name);
        file.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
    };
    Policy::parse(rules::defaults::POLICY, "policy.toml", Catalogue::shipped(), &read)
        .map_err(|faults| format!("the starter policy: {faults:?}").into())
}

fn decisions(policy: &Policy) -> Result<(), AnyError> {
    let host = Host::parse("www.somewhere-or-other.co.uk")?;
    let unblocks = unblocks(100)?;
    let blocks = blocks(100)?;
    let cases = [
        ("one allowed category", "ks3", &["education"][..]),
        ("three allowed categories", "ks3", &["education", "reference", "news"]),
        ("a blocked category", "ks3", &["adult"]),
        ("a category at lunch", "ks4", &["games"]),
        ("a level with a list", "ks1", &["education"]),
    ];
    for (what, level, names) in cases {
        let who = person(policy, level)?;
        let known = names.iter().filter_map(|name| policy.catalogue().id(name));
        let access = Access {
            who: &who,
            scheme: Scheme::Http,
            host: &host,
            port: 80,
            path: Some("/news/uk-12345678"),
            categories: known.collect::<CategorySet>(),
        };
        measure(&format!("decide: {what}"), || decide(policy, &[], &[], black_box(&access), LUNCH));
        measure(&format!("decide: {what}, 100 unblocks and blocks"), || {
            decide(policy, &unblocks, &blocks, black_box(&access), LUNCH)
        });
    }
    Ok(())
}

fn person(policy: &Policy, level: &str) -> Result<Identity, AnyError> {
    let facts = UserFacts {
        name: "a.pupil".into(),
        level: Some(level.to_owned()),
        groups: ["Year 7".to_owned(), "7C".to_owned()].into(),
        banned_until: None,
    };
    if policy.levels().id(level).is_none() {
        return Err(format!("the starter policy has no level {level}").into());
    }
    Ok(policy.identify(Some(&facts), "192.0.2.1".parse()?))
}

fn unblocks(count: u32) -> Result<Vec<Unblock>, AnyError> {
    let unblock = |number: u32| {
        Ok(Unblock {
            id: UnblockId(number),
            site: Site::parse(&format!("lesson{number}.example"))?,
            scope: Scope::Level("pupil".to_owned()),
            within: None,
            authorised_sequence: 0,
            from: UnixMillis(0),
            until: UnixMillis(i64::MAX),
        })
    };
    (0..count).map(unblock).collect()
}

fn blocks(count: u32) -> Result<Vec<SiteBlock>, AnyError> {
    let block = |number: u32| {
        Ok(SiteBlock {
            id: BlockId(number),
            site: Site::parse(&format!("pranks{number}.example"))?,
            scope: Scope::Level("pupil".to_owned()),
            sequence: 0,
            at: UnixMillis(0),
            reason: "seen in class".to_owned(),
        })
    };
    (0..count).map(block).collect()
}

fn identities(policy: &Policy) -> Result<(), AnyError> {
    let client = "192.0.2.1".parse()?;
    let facts = UserFacts {
        name: "a.pupil".into(),
        groups: ["7C".to_owned(), "Year 7".to_owned()].into(),
        ..UserFacts::default()
    };
    measure("identify: a user by group", || policy.identify(black_box(Some(&facts)), client).level);
    measure("identify: nobody known", || policy.identify(None, black_box(client)).level);
    Ok(())
}
