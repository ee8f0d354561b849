//! What looking for ways round the filter costs: `cargo bench -p rules --bench circumvent`.
//!
//! Prints nanoseconds for requests and tunnels that are none, which nearly all are, and for those that are;
//! where `SCHOOLGATE_SHARED` names the folder with requests of browsers, over all of those too.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock and files")]

use rules::circumvent::{Fields, Head, Pack, Seen};
use rules::host::Host;
use rules::target::{Scheme, parse_typed};
use std::hint::black_box;
use std::io::Read;
use std::time::Instant;

/// Calls per measurement, so few that many fit between what others do on the machine: the best of [`ROUNDS`]
/// counts.
const CALLS: u32 = 2_000;
const ROUNDS: usize = 300;

/// What a browser sends.
const FIELDS: [(&str, &str); 14] = [
    ("host", "www.example.org"),
    ("connection", "keep-alive"),
    ("sec-ch-ua", "\"Chromium\";v=\"140\""),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Windows\""),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "document"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9"),
    ("cookie", "session=0123456789abcdef"),
];

struct Browser;

impl Fields for Browser {
    fn any(&self, is_one: &mut dyn FnMut(&str, &[u8]) -> bool) -> bool {
        black_box(&FIELDS).iter().any(|(name, value)| is_one(name, value.as_bytes()))
    }
}

fn best_of<T>(calls: u32, mut call: impl FnMut() -> T) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..calls {
            black_box(call());
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}

fn measure<T>(what: &str, call: impl FnMut() -> T) {
    println!("{what:<72} {:>8.1} ns", best_of(CALLS, call));
}

fn main() {
    let start = Instant::now();
    let pack = Pack::shipped();
    println!("{:<72} {:>8.1} ms", "the pack read", start.elapsed().as_secs_f64() * 1000.0);
    for text in ["www.bbc.co.uk", "rr3---sn-4g5e6nsz.googlevideo.com", "dns.google"] {
        let host = host(text);
        let (scheme, host) = (Scheme::Tunnel, &host);
        let seen = Seen { scheme, host, port: 443, path_and_query: None, head: None };
        measure(&format!("a tunnel to {text}"), || pack.find(black_box(&seen)).is_some());
    }
    let long = format!("/path?{}", "name=value&".repeat(700));
    let hostile = [
        (0..2700).map(|i| format!("/https://s{i}.example{i}.com")).collect(),
        format!("/{}", "%252525".repeat(9300)),
        format!("/x?{}", "u=https://a.example.com&".repeat(2700)),
    ];
    for (what, name, path) in [
        ("the front page", "www.example.org", "/"),
        ("a page", "www.bbc.co.uk", "/sport/football/articles/c0123456789o"),
        ("a script", "static.example.org", "/assets/js/vendor/jquery-3.7.1.min.js?v=20261101"),
        ("a search", "www.google.co.uk", "/search?q=two+words&hl=en&safe=active"),
        (
            "a sign-in",
            "login.example.org",
            "/authorize?redirect_uri=https%3A%2F%2Fa.example&state=1",
        ),
        ("an escaped space", "www.example.org", "/a%20b/c%C3%A9.pdf"),
        ("an escaped letter", "www.example.org", "/%61bc/def?g=h"),
        ("an escaped escape", "www.example.org", "/r?to=https%253A%252F%252Fa.example"),
        ("8 kB of parameters", "www.example.org", &long),
        ("a picture's place", "img.example.org", "/fetch/w_300/https://pictures.example.com/a.jpg"),
        ("a web proxy", "math.example", "/service/hvtrs8%2F-Gcmgs%2Cezaopne-"),
        ("a translated page", "games-example-com.translate.goog", "/a?_x_tr_sl=en"),
    ] {
        let host = host(name);
        let head = Some(Head { method: "GET", websocket: false, fields: &Browser });
        let (scheme, host, path_and_query) = (Scheme::Https, &host, Some(path));
        let seen = Seen { scheme, host, port: 443, path_and_query, head: None };
        let url = Seen { head: None, ..seen };
        let whole = Seen { head, ..seen };
        measure(&format!("{what}: its URL"), || pack.find(black_box(&url)).is_some());
        measure(&format!("{what}: with its head"), || pack.find(black_box(&whole)).is_some());
    }
    for (name, path) in [
        ("www.example.org", &hostile[0]),
        ("www.example.org", &hostile[1]),
        ("translate.google.com", &hostile[2]),
    ] {
        let host = host(name);
        let (scheme, host, path_and_query) = (Scheme::Https, &host, Some(path.as_str()));
        let seen = Seen { scheme, host, port: 443, path_and_query, head: None };
        let cost = best_of(20, || pack.find(black_box(&seen)).is_some());
        println!("{:<72} {cost:>8.1} ns", format!("64 kB made to be slow: {}...", &path[..17]));
    }
    trace(pack);
}

/// All requests of a public collection: the mean, the middle and the dearest.
fn trace(pack: &Pack) {
    let Some(shared) = std::env::var_os("SCHOOLGATE_SHARED") else { return };
    let file = std::path::Path::new(&shared).join("data/traces/har_requests.tsv.gz");
    let Ok(file) = std::fs::File::open(file) else { return };
    let mut text = String::new();
    if flate2::read::GzDecoder::new(file).read_to_string(&mut text).is_err() {
        return;
    }
    let urls = text.lines().skip(1).filter_map(|line| line.split('\t').nth(5));
    let mut costs: Vec<f64> = urls
        .filter_map(|url| parse_typed(url).ok())
        .map(|(target, path)| {
            let (host, port, path_and_query) = (&target.host, target.port, Some(path.as_str()));
            let head = Some(Head { method: "GET", websocket: false, fields: &Browser });
            let scheme = Scheme::Https;
            let seen = Seen { scheme, host, port, path_and_query, head };
            best_of(20, || pack.find(black_box(&seen)).is_some())
        })
        .collect();
    costs.sort_by(f64::total_cmp);
    let at = |part: f64| costs[((costs.len() - 1) as f64 * part) as usize];
    let mean = costs.iter().sum::<f64>() / costs.len() as f64;
    println!(
        "{} requests of browsers: mean {mean:.0} ns, median {:.0}, 95 % {:.0}, 99 % {:.0}, most {:.0}",
        costs.len(),
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    );
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}
