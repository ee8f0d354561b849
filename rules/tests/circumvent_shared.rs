//! Ways round the filter against what people ask for: requests that browsers made, and addresses that
//! people sorted, where `SCHOOLGATE_SHARED` names the folder that has them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests read files, and where they are")]

use rules::circumvent::{Grade, Pack, Seen};
use rules::target::{Scheme, parse_typed};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The folder of public data; says where there is none.
fn data() -> Option<PathBuf> {
    let data = std::env::var_os("SCHOOLGATE_SHARED").map(|shared| Path::new(&shared).join("data"));
    let found = data.filter(|data| data.join("traces/har_requests.tsv.gz").is_file());
    if found.is_none() {
        println!("passed over: SCHOOLGATE_SHARED names no folder with requests of browsers");
    }
    found
}

/// The lines of a packed table, but for its heads.
fn rows(file: &Path) -> Vec<Vec<String>> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// What a URL is found to be, as if inspected.
fn grade(url: &str) -> Option<(Grade, String)> {
    let (target, path) = parse_typed(url).ok()?;
    let scheme = match target.scheme {
        Scheme::Http => Scheme::Http,
        _ => Scheme::Https,
    };
    let (host, port, path_and_query) = (&target.host, target.port, Some(path.as_str()));
    let found = Pack::shipped().find(&Seen { scheme, host, port, path_and_query, head: None })?;
    let inner: Vec<&str> = found.inner.iter().map(|url| url.host.as_str()).collect();
    Some((found.grade, format!("{:?} {} [{}]", found.technique, found.mark, inner.join(" "))))
}

#[test]
fn nothing_that_browsers_asked_for_is_a_way_round() {
    let Some(data) = data() else { return };
    let rows = rows(&data.join("traces/har_requests.tsv.gz"));
    let mut found: BTreeMap<Grade, Vec<String>> = BTreeMap::new();
    for row in &rows {
        if let Some((grade, what)) = grade(&row[5]) {
            found.entry(grade).or_default().push(format!("{what}: {}", row[5]));
        }
    }
    let count = |grade| found.get(&grade).map_or(0, Vec::len);
    println!(
        "{} requests: {} certain, {} by a gateway, {} perhaps\n{found:#?}",
        rows.len(),
        count(Grade::Certain),
        count(Grade::Gateway),
        count(Grade::Perhaps)
    );
    assert!(rows.len() >= 5_000, "{} requests", rows.len());
    // An advertiser's server that has no name. Every level that refuses addresses refuses it.
    let certain = found.get(&Grade::Certain).map(Vec::as_slice).unwrap_or_default();
    assert!(certain.len() <= 1 && certain.iter().all(|it| it.starts_with("RawAddress")));
    // Where a click on an advertisement leads, by way of an advertiser.
    let perhaps = found.get(&Grade::Perhaps).map(Vec::as_slice).unwrap_or_default();
    assert!(perhaps.iter().all(|it| it.contains("[adclick.g.doubleclick.net]")));
    assert!(count(Grade::Gateway) == 0 && perhaps.len() <= 24);
}

#[test]
fn of_addresses_that_people_sorted_only_ways_round_are_ones() {
    let Some(data) = data() else { return };
    let rows = rows(&data.join("labelled/citizenlab_half_a.tsv.gz"));
    let mut by_code: BTreeMap<String, (usize, Vec<String>)> = BTreeMap::new();
    for row in &rows {
        let (all, certain) = by_code.entry(row[1].clone()).or_default();
        *all += 1;
        if let Some((Grade::Certain, what)) = grade(&row[0]) {
            certain.push(format!("{what}: {}", row[0]));
        }
    }
    println!("{by_code:#?}");
    // Addresses that are numbers, and forums of the Tor Project.
    let is_meant = |what: &&String| !what.starts_with("RawAddress") && !what.starts_with("Tor");
    let wrong: Vec<&String> = by_code
        .iter()
        // Sites for it, and resolvers, which that list has among hosting.
        .filter(|(code, _)| !matches!(code.as_str(), "ANON" | "HOST"))
        .flat_map(|(_, (_, certain))| certain.iter().filter(is_meant))
        .collect();
    assert!(rows.len() > 15_000 && wrong.is_empty(), "{wrong:#?}");
}
