//! What searches cost a request: `cargo bench -p rules --bench search`.
//!
//! Prints nanoseconds for looking up hosts that no file about searches names, which nearly every request
//! is for, and for what is done with the others.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use rules::host::Host;
use rules::level::{ImageMode, VideoMode};
use rules::search::{Search, SearchRules, SearchSite};
use std::hint::black_box;
use std::time::Instant;

/// Calls per measurement; the best of [`ROUNDS`] counts, since others use the machine too.
const CALLS: u32 = 200_000;
const ROUNDS: usize = 9;

/// The strictest settings, but for engines made for children.
const STRICT: SearchRules = SearchRules {
    safe_search: true,
    video: VideoMode::Strict,
    images: ImageMode::Safe,
    child_engines: false,
};

fn measure<T>(what: &str, mut call: impl FnMut() -> T) {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            black_box(call());
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    println!("{what:<64} {best:>8.1} ns");
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn site(text: &str) -> SearchSite<'static> {
    let found = Search::shipped().site(&host(text));
    found.unwrap_or_else(|| panic!("{text} is in no file"))
}

fn main() {
    let start = Instant::now();
    let search = Search::shipped();
    println!("{:<64} {:>8.1} ms", "both files read", start.elapsed().as_secs_f64() * 1000.0);
    for text in [
        "example.org",
        "www.bbc.co.uk",
        "clients4.google.com",
        "rr3---sn-4g5e6nsz.googlevideo.com",
        "a.b.c.d.e.cdn.example.co.uk",
        "192.0.2.1",
    ] {
        let host = host(text);
        measure(&format!("not a search: {text}"), || search.site(black_box(&host)).is_none());
    }
    for text in ["www.google.co.uk", "uk.search.yahoo.com", "en.wikipedia.org"] {
        let host = host(text);
        measure(&format!("a search: {text}"), || search.site(black_box(&host)).is_some());
    }
    let google = site("www.google.co.uk");
    let long = format!("/search?q={}", "a".repeat(8000));
    for (what, target) in [
        ("short", "/search?q=two+words&hl=en"),
        ("already safe", "/search?q=two+words&hl=en&safe=active"),
        ("8 kB", &long),
    ] {
        measure(&format!("refused or not, {what}"), || google.refusal(black_box(target), &STRICT));
        measure(&format!("rewritten, {what}"), || {
            google.rewrite(black_box(target), &["NID=1"], &STRICT)
        });
        measure(&format!("words, {what}"), || google.terms(black_box(target)));
    }
    measure("a tunnel", || google.unseen(black_box(&STRICT)));
}
