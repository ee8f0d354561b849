//! Who asked, told of requests that browsers made, where `SCHOOLGATE_SHARED` names the folder that has them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "tests read files, and where they are")]

use rules::time::UnixMillis;
use rules::visit::{Clues, Loads, Visit, told_by};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// The captures; says where there are none.
fn captures() -> Vec<PathBuf> {
    let shared = std::env::var_os("SCHOOLGATE_SHARED");
    let folder = shared.map(|shared| Path::new(&shared).join("data/traces/har"));
    let Some(files) = folder.and_then(|folder| std::fs::read_dir(folder).ok()) else {
        println!("passed over: SCHOOLGATE_SHARED names no folder with captures of browsers");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.to_string_lossy().contains(".har"));
    files.sort();
    files
}

/// The captures of a file: one, or one a line.
fn read(file: &Path) -> Vec<Value> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    match file.to_string_lossy().contains(".jsonl") {
        true => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        false => vec![serde_json::from_str(&text).unwrap()],
    }
}

/// A request of a capture.
struct Asked {
    at: UnixMillis,
    method: String,
    host: String,
    path: String,
    fields: BTreeMap<String, String>,
    status: i64,
    kind: String,
}

fn asked(capture: &Value) -> Vec<Asked> {
    let entries = capture["log"]["entries"].as_array().unwrap();
    let one = |entry: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let request = &entry["request"];
        let url = text(&request["url"]);
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        let (host, path) = rest.find('/').map_or((rest, "/"), |place| rest.split_at(place));
        let field = |field: &Value| (text(&field["name"]).to_lowercase(), text(&field["value"]));
        let at: jiff::Timestamp = text(&entry["startedDateTime"]).parse().unwrap();
        Asked {
            at: UnixMillis(at.as_millisecond()),
            method: text(&request["method"]),
            host: host.split(':').next().unwrap_or_default().to_lowercase(),
            path: path.split(['?', '#']).next().unwrap_or_default().to_owned(),
            fields: request["headers"].as_array().unwrap().iter().map(field).collect(),
            status: entry["response"]["status"].as_i64().unwrap_or_default(),
            kind: text(&entry["response"]["content"]["mimeType"]),
        }
    };
    let mut all: Vec<Asked> = entries.iter().map(one).collect();
    all.sort_by_key(|asked| asked.at);
    all
}

fn visit(asked: &Asked, client: IpAddr, loads: &mut Loads) -> Visit {
    let field = |name: &str| asked.fields.get(name).map(String::as_str);
    let clues = Clues::of(&asked.method, &asked.path, field);
    told_by(&clues).unwrap_or_else(|| loads.page(client, &asked.host, clues.referer, asked.at))
}

#[test]
fn few_of_the_requests_of_pages_are_taken_for_opened_and_no_page_for_a_part() {
    let files = captures();
    if files.is_empty() {
        return;
    }
    let mut counts: BTreeMap<(Visit, bool), u64> = BTreeMap::new();
    let (mut requests, mut pages, mut first_pages, mut missed) = (0, 0, 0, Vec::new());
    for (number, file) in files.iter().enumerate() {
        // One browser made the captures of a file, one after the other.
        let client = IpAddr::V4(Ipv4Addr::from(number as u32));
        let mut loads = Loads::default();
        for capture in read(file) {
            pages += capture["log"]["pages"].as_array().map_or(1, |pages| pages.len().max(1));
            let mut is_first = true;
            for asked in asked(&capture) {
                requests += 1;
                let visit = visit(&asked, client, &mut loads);
                let leads_on = (300..400).contains(&asked.status) && asked.status != 304;
                *counts.entry((visit, leads_on)).or_default() += 1;
                // What a capture begins with was opened, if it is a page.
                if is_first && !leads_on {
                    is_first = false;
                    let is_page = asked.kind.starts_with("text/html") && asked.status == 200;
                    first_pages += u64::from(is_page);
                    if is_page && matches!(visit, Visit::Part | Visit::Frame) {
                        missed.push(format!("{visit:?} {}{}", asked.host, asked.path));
                    }
                }
            }
        }
    }
    let taken = |visit| counts.get(&(visit, false)).copied().unwrap_or_default();
    let opened = taken(Visit::Opened) + taken(Visit::Unknown);
    println!(
        "{requests} requests of {pages} pages: {opened} taken for opened; of {first_pages} pages that captures begin \
         with {} missed\n{counts:?}\n{missed:#?}",
        missed.len()
    );
    assert!(requests > 5_000 && first_pages > 200);
    assert!(opened <= 300, "{opened} of {requests} are taken for opened");
    // A crawler goes from page to page faster than people do.
    assert!(missed.len() <= 2, "{missed:#?}");
}
