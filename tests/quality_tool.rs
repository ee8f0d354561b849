//! The parts of `benches/quality` that can be wrong without showing: its tables, the categories that lists are
//! given, what it reads.

// The root that these files have in the bench.
type Fault = Box<dyn std::error::Error + Send + Sync>;

#[path = "../benches/quality/e2guardian_log.rs"]
mod e2guardian_log;
#[path = "../benches/quality/levels.rs"]
#[allow(dead_code, reason = "used by the bench")]
mod levels;
#[path = "../benches/quality/lists.rs"]
#[allow(dead_code, reason = "used by the bench")]
mod lists;
#[path = "../benches/quality/page_text.rs"]
mod page_text;
#[path = "../benches/quality/report.rs"]
#[allow(dead_code, reason = "used by the bench")]
mod report;
#[path = "../benches/quality/shared.rs"]
#[allow(dead_code, reason = "used by the bench")]
mod shared;
#[path = "../benches/quality/trace_rows.rs"]
#[allow(dead_code, reason = "used by the bench")]
mod trace_rows;

use e2guardian_log::Told;
use levels::{BY_AGE, Levels, Who};
use report::{Cell, Report, Share, Table};
use rules::category::Catalogue;
use rules::decide::Verdict;
use rules::host::Host;
use std::collections::BTreeSet;

#[test]
fn every_published_list_has_a_shipped_category_and_stands_once() {
    let catalogue = Catalogue::shipped();
    let mut seen = BTreeSet::new();
    for (source, list, category) in lists::LISTS {
        assert!(catalogue.id(category).is_some(), "{source}/{list}: {category}");
        assert!(seen.insert((source, list)), "{source}/{list} stands twice");
    }
    for category in BY_AGE {
        assert!(catalogue.id(category).is_some(), "{category}");
    }
}

#[test]
fn what_is_blocked_by_age_is_no_harm_and_staff_may_see_it() {
    let levels = Levels::shipped().unwrap();
    let host = Host::parse("somewhere.example").unwrap();
    // Categories; whether ks3 and staff are blocked, and whether for harm.
    let cases: [(&[&str], [bool; 2], [bool; 2]); 5] = [
        (&[], [false, false], [false, false]),
        (&["games"], [true, false], [false, false]),
        (&["adult"], [true, true], [true, true]),
        (&["games", "adult"], [true, true], [true, true]),
        (&["education"], [false, false], [false, false]),
    ];
    for (names, blocked, harm) in cases {
        let categories = names.iter().filter_map(|name| levels.catalogue().id(name)).collect();
        for who in Who::ALL {
            let decision = levels.decide(who, &host, "/", categories);
            let at = who as usize;
            assert_eq!(decision.verdict == Verdict::Block, blocked[at], "{names:?} {who:?}");
            assert_eq!(
                levels.is_for_harm(who, &decision, categories),
                harm[at],
                "{names:?} {who:?}"
            );
        }
    }
}

#[test]
fn both_forms_of_a_squid_log_and_a_capture_are_read() {
    let mut requests = Vec::new();
    let native = "1583861727.504 182 192.0.2.6 TCP_MISS/200 520 GET http://a.example/x?y - DIRECT/192.0.2.8 text/plain\n\
                  1583861728.000 9 192.0.2.6 TCP_TUNNEL/200 99 CONNECT b.example:443 pupil01 DIRECT/- -\n\
                  not a line\n";
    trace_rows::squid("native", native, &mut requests);
    let extended = "1773416922.391 104 192.0.2.9 58938 TCP_MISS/200 904 123 364 123 528 GET http://c.example/ 1.1 pupil02 NONE/- 80 text/html\n";
    trace_rows::squid("extended", extended, &mut requests);
    let table = "capture\tpage\tstart_ms\tmethod\turl\nlalibre_002\t0\t7.5\tGET\thttp://d.example/\n\
                 nyt\t1\t3\t?\thttps://e.example/\nnyt\t1\t3\tGET\tdata:text/plain,x\n";
    requests.extend(trace_rows::captures(table).unwrap());
    let seen: Vec<_> = requests
        .iter()
        .map(|it| (it.person.as_str(), it.at_ms, it.method.as_str(), it.url.as_str()))
        .collect();
    let expected = [
        ("192.0.2.6", 1_583_861_727_504, "GET", "http://a.example/x?y"),
        ("pupil01", 1_583_861_728_000, "CONNECT", "https://b.example/"),
        ("pupil02", 1_773_416_922_391, "GET", "http://c.example/"),
        ("crawl", 60_007, "GET", "http://d.example/"),
        ("nyt", 3, "GET", "https://e.example/"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn the_log_of_e2guardian_tells_weights_but_of_what_a_phrase_bans_or_excuses() {
    let line = |number: usize, what: &str, weight: &str| {
        format!(
            "2026.11.29 14:29:23\t-\t127.0.0.1\thttp://localhost:18182/{number}\t{what}\tGET\t528\t{weight}\t-\t1\t200\n"
        )
    };
    let log = line(0, "-", "-15")
        + &line(1, "*DENIED* Content Check limit of 50 : 233", "233")
        + &line(2, "*DENIED* Banned phrase found", "0")
        + "half a li";
    let told = e2guardian_log::read(log.as_bytes());
    let expected = [
        (0, Told { weight: Some(-15), is_blocked: false }),
        (1, Told { weight: Some(233), is_blocked: true }),
        (2, Told { weight: None, is_blocked: true }),
    ];
    assert_eq!(told.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_page_is_read_without_what_nobody_sees() {
    let page = b"<title>One</title><script>no()</script><p>t<b>w</b>o<!-- no --></p>&amp;";
    let words: Vec<String> =
        page_text::text_of(page).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["One", "two", "&"]);
}

#[test]
fn a_report_prints_and_writes_what_was_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = Report::new("Title");
    let mut table = Table::new("key", "Rows", "About.", &["name", "count", "share", "of"]);
    let third = Share { part: 1, whole: 3 };
    table.row(vec![Cell::from("a"), Cell::from(7), Cell::from(third), Cell::Of(third)]);
    table.row(vec![Cell::from("b"), Cell::from(0), Cell::from(Share::default()), Cell::from("-")]);
    report.table(table);
    report.target(true, "one".to_owned());
    assert!(report.write(Some(folder.path())).unwrap());
    report.target(false, "two".to_owned());
    report.passed_over("three");
    assert!(!report.write(Some(folder.path())).unwrap());
    let text = std::fs::read_to_string(folder.path().join("quality.md")).unwrap();
    for line in [
        "| a | 7 | 0.33 | 1 of 3 |",
        "| b | 0 | - | - |",
        "| one | met |",
        "| two | **missed** |",
        "Passed over: three.",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let json = std::fs::read_to_string(folder.path().join("quality.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        json["tables"]["key"]["rows"][0]["share"],
        serde_json::json!({ "part": 1, "whole": 3 })
    );
    assert_eq!(json["targets"][1]["met"], false);
}
