//! Pages that grow beyond what pages do as their coding is taken off: refused or passed unread by level, recorded as what they
//! are, and never held in memory.

use crate::client::{Answer, Client};
use crate::daemon::{Daemon, KS3, Plan, STAFF, wait_for};
use crate::fake_origin::gzip;
use crate::inspected::{Secure, authority};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde_json::Value;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// What a page may come to without its coding, and by how much it may grow, as docs/themes.md has it.
const MOST_BYTES: usize = 32 << 20;
const MOST_RATIO: usize = 250;

/// What a bomb becomes: far more than all of it that is ever looked at.
const BOMB_BYTES: usize = 64 << 20;

/// Bombs at once, which are a gigabyte together.
const AT_ONCE: usize = 16;

/// What they may cost the filter, in kB: their windows, and what is read of each at a time.
const MOST_MEMORY_KB: u64 = 128 << 10;

fn packed(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => gzip(bytes).unwrap(),
        "deflate" => {
            let mut to = ZlibEncoder::new(Vec::new(), Compression::default());
            to.write_all(bytes).unwrap();
            to.finish().unwrap()
        }
        "br" => {
            let mut to = brotli::CompressorWriter::new(Vec::new(), 1 << 16, 5, 22);
            to.write_all(bytes).unwrap();
            to.into_inner()
        }
        "zstd" => zstd::stream::encode_all(bytes, 3).unwrap(),
        other => panic!("{other}"),
    }
}

/// A page of nothing but blanks.
fn blanks() -> Vec<u8> {
    let mut page = b"<!doctype html><title>Page</title><body><p>".to_vec();
    page.resize(BOMB_BYTES, b' ');
    page
}

/// A page that is longer than what is read, and grows no more than pages do.
fn long() -> Vec<u8> {
    let mut page = b"<!doctype html><title>Page</title><body>".to_vec();
    let mut number = 1_u64;
    while page.len() < MOST_BYTES + (4 << 20) {
        // A number that goes on at random (Knuth's MMIX).
        number =
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(
            page,
            "<p>The river rises in the hills above the town, past mill {:x}.",
            number >> 40
        )
        .unwrap();
    }
    page
}

struct School {
    daemon: Daemon,
    pem: Vec<u8>,
}

impl School {
    /// A school whose origin has these pages: path, coding, body as sent.
    fn start(pages: &[(String, String, Vec<u8>)]) -> Self {
        let daemon = Daemon::start_with(&Plan { inspected: true, ..Plan::default() });
        for (path, coding, body) in pages {
            let head = format!(
                "200 OK\r\nContent-Type: text/html\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n",
                body.len()
            );
            daemon.origin.answer_with(path, &head, &[(0, body)]);
        }
        let pem = std::fs::read(authority(&daemon)).unwrap();
        Self { daemon, pem }
    }

    /// The page over plain HTTP, or over HTTPS that is looked into.
    fn get(&self, from: IpAddr, is_secure: bool, path: &str) -> io::Result<Answer> {
        if is_secure {
            let host = self.daemon.authority("library.test");
            return Secure::open(&self.daemon, from, "library.test", &self.pem)?.ask(&host, path);
        }
        let url = self.daemon.url("library.test", path);
        Client::connect_from(from, self.daemon.proxy).try_ask(
            "GET",
            &url,
            &[("Accept", "text/html")],
        )
    }

    /// The records that say of a path that it was not read: level, verdict, why, scheme.
    fn unread(&self, path: &str, wanted: usize) -> Vec<[String; 4]> {
        let find = || {
            let is_it = |it: &Value| it["path"] == path && it["method"] == "PAGE";
            let records = self.daemon.records().into_iter().filter(is_it);
            let told = records.map(|it| {
                assert_eq!(it["reason"], "unscanned", "{it}");
                ["level", "verdict", "rule", "scheme"]
                    .map(|key| it[key].as_str().unwrap().to_owned())
            });
            let mut told: Vec<_> = told.collect();
            told.sort();
            told
        };
        wait_for("the records", Duration::from_secs(20), || find().len() >= wanted);
        find()
    }
}

/// What the kernel says of the filter's memory, in kB.
fn memory_kb(daemon: &Daemon, key: &str) -> u64 {
    let pid = daemon.pid().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_bomb_is_refused_where_the_level_may_not_read_everything_and_else_passes_recorded() {
    let blanks = blanks();
    let mut pages: Vec<(String, String, Vec<u8>)> = CODINGS
        .iter()
        .map(|coding| (format!("/bomb/{coding}"), (*coding).to_owned(), packed(coding, &blanks)))
        .collect();
    // One within another: what the outer coding gives is small.
    let inner = packed("gzip", &blanks);
    pages.push(("/bomb/both".to_owned(), "gzip, br".to_owned(), packed("br", &inner)));
    let school = School::start(&pages);
    for (path, _, body) in &pages {
        assert!(body.len() * MOST_RATIO < BOMB_BYTES, "{path}: {}", body.len());
        for is_secure in [false, true] {
            let refused = school.get(KS3, is_secure, path).unwrap();
            assert_eq!(
                (refused.status, refused.is_from_origin()),
                (403, false),
                "{path} {refused:?}"
            );
            let passed = school.get(STAFF, is_secure, path).unwrap();
            assert_eq!((passed.status, passed.body.len()), (200, body.len()), "{path}");
            assert!(passed.body == *body, "{path}: it passes as it was sent");
        }
        let told = school.unread(path, 4);
        let row = |level: &str, verdict: &str, scheme: &str| {
            [level, verdict, "bomb", scheme].map(str::to_owned)
        };
        let expected = [
            row("ks3", "block", "http"),
            row("ks3", "block", "https"),
            row("staff", "allow", "http"),
            row("staff", "allow", "https"),
        ];
        assert_eq!(told, expected, "{path}");
    }
}

#[test]
fn a_page_that_is_too_long_to_be_read_passes_for_each_level_and_says_so() {
    let long = long();
    let pages: Vec<(String, String, Vec<u8>)> = CODINGS
        .iter()
        .map(|coding| (format!("/long/{coding}"), (*coding).to_owned(), packed(coding, &long)))
        .collect();
    let school = School::start(&pages);
    for (number, (path, _, body)) in pages.iter().enumerate() {
        assert!(body.len() * MOST_RATIO > long.len(), "{path}: no bomb, {} bytes", body.len());
        // Two of the four each way: reading as much takes a while.
        let is_secure = number % 2 == 1;
        for from in [KS3, STAFF] {
            let passed = school.get(from, is_secure, path).unwrap();
            assert!(passed.status == 200 && passed.body == *body, "{path}: {}", passed.status);
        }
        let scheme = if is_secure { "https" } else { "http" };
        let row = |level: &str| [level, "allow", "too_large", scheme].map(str::to_owned);
        assert_eq!(school.unread(path, 2), [row("ks3"), row("staff")], "{path}");
    }
}

#[test]
fn bombs_that_come_together_are_not_held_in_memory() {
    let blanks = blanks();
    let pages: Vec<(String, String, Vec<u8>)> = CODINGS
        .iter()
        .map(|coding| (format!("/bomb/{coding}"), (*coding).to_owned(), packed(coding, &blanks)))
        .collect();
    let school = School::start(&pages);
    for (path, ..) in &pages {
        school.get(STAFF, true, path).unwrap();
    }
    let before = memory_kb(&school.daemon, "VmRSS:");
    std::thread::scope(|scope| {
        for number in 0..AT_ONCE {
            let (school, pages) = (&school, &pages);
            scope.spawn(move || {
                let (path, _, body) = &pages[number % pages.len()];
                let from = if number % 8 < 4 { STAFF } else { KS3 };
                let answer = school.get(from, number % 2 == 0, path).unwrap();
                match from == STAFF {
                    true => assert!(answer.body == *body, "{path}"),
                    false => assert_eq!(answer.status, 403, "{path}"),
                }
            });
        }
    });
    let most = memory_kb(&school.daemon, "VmHWM:");
    eprintln!("{AT_ONCE} bombs of {BOMB_BYTES} bytes: {before} kB before, {most} kB at most");
    assert!(most < before + MOST_MEMORY_KB, "{before} kB before, {most} kB at most");
}
