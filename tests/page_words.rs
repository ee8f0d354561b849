//! What pages say: refused while they are held back, cut later, watched for, and what the log has of each.

use crate::client::{Answer, Client};
use crate::daemon::{Daemon, KS2, KS3, Plan, STAFF, wait_for};
use crate::fake_origin::gzip;
use crate::inspected::{Secure, authority};
use rustix::process::Signal;
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;

/// A paragraph that a page about buying drugs might have.
const DRUGS: &str = "<p>Where to buy cocaine and ketamine online, next day delivery. Cheapest weed dealer near you, \
                     message our plug for MDMA pills and xanax bars. How to get high at school without getting \
                     caught, how to hide drugs from your parents.</p>";

/// One about the wish to die.
const SUICIDE: &str = "<p>How to kill yourself without pain. The easiest way to end your life, painless ways to die, \
                       how many paracetamol it takes to die, how to tie a noose.</p>";

/// Harmless words, as many as are wanted.
fn harmless(bytes: usize) -> String {
    let sentence = "<p>The river rises in the hills above the town and runs for forty miles to the sea, past mills \
                    that once made paper and cloth.</p>\n";
    sentence.repeat(bytes / sentence.len() + 1)
}

/// A school whose origin has these pages.
struct School {
    daemon: Daemon,
    _pages: tempfile::TempDir,
}

impl School {
    fn with(plan: &Plan, pages: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in pages {
            let page = format!("<!doctype html><title>Page</title><body>{text}</body>");
            std::fs::write(folder.path().join(name), page).unwrap();
        }
        let daemon = Daemon::start_with(plan);
        daemon.origin.add_folder("pages", folder.path().to_owned());
        Self { daemon, _pages: folder }
    }

    fn get(&self, from: IpAddr, path: &str) -> Answer {
        let url = self.daemon.url("library.test", path);
        Client::connect_from(from, self.daemon.proxy).ask("GET", &url, &[("Accept", "text/html")])
    }

    /// The records of method `PAGE`, and the others.
    fn records(&self, wanted: usize) -> (Vec<Value>, Vec<Value>) {
        self.daemon
            .records_for_lead(wanted)
            .into_iter()
            .partition(|record| record["method"] == "PAGE")
    }
}

#[test]
fn a_page_is_refused_for_a_level_that_may_not_read_it_and_watched_for_where_it_may() {
    let pages = [("drugs.html", DRUGS.to_owned()), ("river.html", harmless(20_000))];
    let school = School::with(&Plan::default(), &pages);
    let refused = school.get(KS2, "/pages/drugs.html");
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(!refused.is_from_origin());
    assert!(!refused.text().contains("cocaine"), "no word of it is shown");
    let watched = school.get(KS3, "/pages/drugs.html");
    assert_eq!((watched.status, watched.is_from_origin()), (200, true));
    let harmless = school.get(KS2, "/pages/river.html");
    assert_eq!((harmless.status, harmless.is_from_origin()), (200, true));

    let (pages, requests) = school.records(4);
    assert_eq!((pages.len(), requests.len()), (1, 3), "{pages:?} {requests:?}");
    let page = &pages[0];
    assert_eq!((&page["verdict"], &page["reason"]), (&"block".into(), &"page_words".into()));
    assert_eq!((&page["level"], &page["host"]), (&"ks2".into(), &"library.test".into()));
    assert!(page["signs"].to_string().contains("drugs"), "{page}");
    let code = page["code"].as_str().unwrap();
    assert!(refused.text().contains(code), "the page names the code of the record");
    let said = school.daemon.run(&["explain", code]).ok().out;
    assert!(said.contains("page_words") || said.contains("theme"), "{said}");
    let of_ks3 = requests.iter().find(|record| record["level"] == "ks3").unwrap();
    assert!(of_ks3["signs"].to_string().contains("drugs"), "what passes is recorded: {of_ks3}");
    assert_eq!(of_ks3["verdict"], "allow");
    let river = requests.iter().find(|record| record["path"] == "/pages/river.html").unwrap();
    assert!(!river["signs"].to_string().contains(':'), "{river}");
}

#[test]
fn a_page_is_read_through_its_coding_and_inside_tunnels() {
    let plan = Plan { inspected: true, ..Plan::default() };
    let school = School::with(&plan, &[("die.html", SUICIDE.to_owned())]);
    let refused = school.get(KS3, "/gzip/pages/die.html");
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.text().contains("0800 1111"), "help comes first: {}", refused.text());
    let pem = std::fs::read(authority(&school.daemon)).unwrap();
    let host = school.daemon.authority("library.test");
    let mut inside = Secure::open(&school.daemon, KS3, "library.test", &pem).unwrap();
    let refused = inside.ask(&host, "/gzip/pages/die.html").unwrap();
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(!refused.is_from_origin());
    let staff = school.get(STAFF, "/gzip/pages/die.html");
    assert_eq!((staff.status, staff.is_from_origin()), (200, true), "staff may read it");
}

#[test]
fn a_long_page_is_cut_where_it_becomes_what_may_not_be_read() {
    let long = format!("{}{}{}", harmless(600_000), DRUGS.repeat(8), harmless(600_000));
    let school = School::with(&Plan::default(), &[("long.html", long.clone())]);
    let url = school.daemon.url("library.test", "/piecewise/pages/long.html");
    let mut client = Client::connect_from(KS2, school.daemon.proxy);
    let cut = client.try_ask("GET", &url, &[("Accept", "text/html")]);
    assert!(
        cut.is_err(),
        "the body ends before its length is reached: {:?}",
        cut.map(|it| it.body.len())
    );
    let (pages, requests) = school.records(2);
    assert_eq!((pages.len(), requests.len()), (1, 1));
    assert_eq!(pages[0]["reason"], "page_words");
    assert_eq!(requests[0]["end"], "cut", "{}", requests[0]);
}

#[test]
fn a_page_whose_site_was_opened_for_a_lesson_is_read_all_the_same() {
    let edits = vec![(
        "[roles]".to_owned(),
        "[[exception]]\nsite = \"library.test\"\nallow_for = \"pupil\"\nreason = \"Drugs education\"\n\
         review = 2099-01-01\n\n[roles]"
            .to_owned(),
    )];
    let plan = Plan { edits, ..Plan::default() };
    let school = School::with(&plan, &[("drugs.html", DRUGS.to_owned())]);
    let answer = school.get(KS2, "/pages/drugs.html");
    assert_eq!((answer.status, answer.is_from_origin()), (200, true), "{answer:?}");
    let (pages, requests) = school.records(1);
    assert_eq!((pages.len(), requests.len()), (0, 1));
    assert!(requests[0]["signs"].to_string().contains("drugs"), "it is recorded: {}", requests[0]);
}

#[test]
fn a_page_that_is_still_coming_goes_by_a_policy_that_was_tightened_meanwhile() {
    let long = format!("{}{}{}", harmless(1_500_000), DRUGS.repeat(8), harmless(100_000));
    let pages = [("long.html", long), ("drugs.html", DRUGS.to_owned())];
    let school = School::with(&Plan::default(), &pages);
    let url = school.daemon.url("library.test", "/piecewise/pages/long.html");
    let mut client = Client::connect_from(KS3, school.daemon.proxy);
    let authority = school.daemon.authority("library.test");
    client.send(format!("GET {url} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes());
    assert_eq!(client.read_head().unwrap().status, 200);
    assert_eq!(school.get(KS3, "/pages/drugs.html").status, 200, "watched for");

    let path = school.daemon.folder().join("policy.toml");
    let policy = std::fs::read_to_string(&path).unwrap();
    let stricter = format!("{policy}\n[themes]\ndrugs = {{ pupil = \"block\" }}\n");
    std::fs::write(&path, stricter).unwrap();
    school.daemon.signal(Signal::HUP);
    wait_for("the policy", Duration::from_secs(5), || {
        school.get(KS3, "/pages/drugs.html").status == 403
    });
    let mut came = 0;
    while let Ok(more) = client.read_some()
        && !more.is_empty()
    {
        came += more.len();
    }
    assert!(came < 1_590_000, "{came}: cut where the words are");
    let of_it = |records: Vec<Value>| {
        records.into_iter().find(|record| record["path"] == "/piecewise/pages/long.html")
    };
    wait_for("the record of its end", Duration::from_secs(5), || {
        of_it(school.daemon.records()).is_some_and(|record| record["end"] == "cut")
    });
}

#[test]
fn pages_of_types_that_browsers_show_are_read_and_what_is_not_is_in_the_log() {
    let daemon = Daemon::start_without_people();
    let page = format!("<!doctype html><title>Page</title><body>{DRUGS}</body>");
    let packed = gzip(page.as_bytes()).unwrap();
    let types = [
        "Content-Type: text/xml\r\n",
        "Content-Type: text/vtt\r\n",
        "Content-Type: */*\r\n",
        "Content-Type: image/png, text/html\r\n",
        "Content-Type: image/png\r\nContent-Type: text/html\r\n",
        // It never was in that coding.
        "Content-Type: text/html\r\nContent-Encoding: gzip\r\n",
    ];
    let get = |from: IpAddr, path: &str| {
        let url = daemon.url("library.test", path);
        let fields = [("Sec-Fetch-Dest", "empty")];
        Client::connect_from(from, daemon.proxy).ask("GET", &url, &fields)
    };
    for (number, fields) in types.iter().enumerate() {
        let path = format!("/shown/{number}");
        // With a length, so that its end comes with its last byte, and not after what it is held for.
        let head = format!("200 OK\r\n{fields}Content-Length: {}\r\n", page.len());
        daemon.origin.answer_with(&path, &head, &[(0, page.as_bytes())]);
        assert_eq!(get(KS2, &path).json()["reason"], "page_words", "{fields}");
    }
    let html = "Content-Type: text/html\r\nContent-Encoding:";
    daemon.origin.answer_with("/coding", &format!("200 OK\r\n{html} dcb\r\n"), &[(0, &packed)]);
    let piece = "206 Partial Content\r\nContent-Range: bytes 0-99/9000\r\n";
    daemon.origin.answer_with("/piece", &format!("{piece}{html} gzip\r\n"), &[(0, &packed)]);
    // Of what is said in it nothing shows in so few bytes.
    let plain = format!("{piece}Content-Type: text/html\r\n");
    daemon.origin.answer_with("/bytes", &plain, &[(0, &page.as_bytes()[..100])]);
    let whole = plain.replace("0-99/9000", "0-99/100");
    daemon.origin.answer_with("/whole", &whole, &[(0, &harmless(100).as_bytes()[..100])]);
    assert!(get(KS2, "/whole").is_from_origin());
    for path in ["/coding", "/piece", "/bytes"] {
        assert_eq!(get(KS2, path).json()["reason"], "unscanned", "{path}");
        let watched = get(STAFF, path);
        assert!(watched.is_from_origin(), "{path}: {watched:?}");
    }
    // A block of 8,000 bytes as they are, and one of a kind that there is not.
    let (block, text) = ([0, 0x40, 0x1f, 0xbf, 0xe0], harmless(8_000));
    let broken = [&packed[..10], &block, &text.as_bytes()[..8_000], &[7, 7, 7, 7]].concat();
    daemon.origin.answer_with("/broken", &format!("200 OK\r\n{html} gzip\r\n"), &[(0, &broken)]);
    assert_eq!(get(KS3, "/broken").body, broken);
    // Of each shown page two, and one more of the last; of those not read the request's and one more.
    let pages = daemon.wait_records(6 * 2 + 1 + 3 * 4 + 1 + 2);
    let unread: Vec<_> = pages
        .iter()
        .filter(|page| page["method"] == "PAGE" && page["reason"] == "unscanned")
        .map(|page| format!("{} {} {}", page["path"], page["verdict"], page["rule"]))
        .collect();
    let has = |line: &str| unread.iter().filter(|it| it.replace('"', "") == line).count();
    for (path, why) in [("/coding", "coding"), ("/piece", "coding"), ("/bytes", "piece")] {
        assert_eq!(has(&format!("{path} block {why}")), 1, "{unread:?}");
        assert_eq!(has(&format!("{path} allow {why}")), 1, "{unread:?}");
    }
    assert_eq!(has("/broken allow broken"), 1, "{unread:?}");
    assert_eq!(has("/shown/5 allow broken"), 1, "{unread:?}");
}

#[test]
fn what_was_read_of_a_page_that_the_filter_ends_is_recorded() {
    let machine = "[limits]\nbody_idle_timeout_ms = 2000\n".to_owned();
    let timed = School::with(&Plan { machine, ..Plan::default() }, &[]);
    let banned = School::with(&Plan::default(), &[]);
    // Less than is judged on the way, and no end.
    let page = format!("<!doctype html><title>Page</title><body>{DRUGS}");
    assert!(page.len() < 2 << 10);
    for (school, end) in [(&timed, "timed_out"), (&banned, "cut")] {
        let daemon = &school.daemon;
        let pieces: [(u64, &[u8]); 2] = [(0, page.as_bytes()), (60_000, b"never")];
        daemon.origin.answer_with("/begun", "200 OK\r\nContent-Type: text/html\r\n", &pieces);
        let url = daemon.url("library.test", "/begun");
        let mut client = Client::connect_from(KS3, daemon.proxy);
        client.send(crate::client::request("GET", &url, &[]).as_bytes());
        let head = client.read_head().unwrap();
        assert_eq!((head.status, head.is_from_origin()), (200, true), "{end}");
        let mut came = Vec::new();
        while !String::from_utf8_lossy(&came).contains("hide drugs from your parents") {
            let more = client.read_some().unwrap();
            assert!(!more.is_empty(), "{end}: cut too early");
            came.extend(more);
        }
        if end == "cut" {
            let block = ["block", "library.test", "--for", "pupil", "--by", "j.cho"];
            daemon.run(&[&block[..], &["--reason", "Defaced this morning"]].concat()).ok();
        }
        while client.read_some().is_ok_and(|more| !more.is_empty()) {}
        let (pages, requests) = school.records(2);
        let ([page], [request]) = (&pages[..], &requests[..]) else {
            panic!("{end}: {pages:#?} {requests:#?}")
        };
        assert_eq!((&page["verdict"], &request["end"]), (&"allow".into(), &end.into()), "{page}");
        assert!(page["signs"].to_string().contains("drugs"), "{end}: {page}");
    }
}

#[test]
fn a_stream_that_a_browser_shows_as_it_is_is_read_as_text() {
    let daemon = Daemon::start_without_people();
    let text = DRUGS.repeat(2);
    let marked: Vec<u8> =
        "\u{feff}".chars().chain(text.chars()).flat_map(|c| (c as u16).to_le_bytes()).collect();
    let comments: Vec<u8> =
        text.split(' ').flat_map(|word| format!(": {word}\n").into_bytes()).collect();
    let cases = [
        ("/marked", "text/event-stream", &marked),
        ("/comments", "text/event-stream", &comments),
        ("/lines", "application/x-ndjson", &marked),
    ];
    for (path, kind, body) in cases {
        let head = format!("200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        daemon.origin.answer_with(path, &head, &[(0, body)]);
        let get = |fields: &[(&str, &str)]| {
            let url = daemon.url("library.test", path);
            Client::connect_from(KS2, daemon.proxy).ask("GET", &url, fields)
        };
        for dest in ["document", "iframe", "embed", "object", "frame"] {
            let refused = get(&[("Sec-Fetch-Dest", dest)]);
            assert!(refused.status == 403 && !refused.is_from_origin(), "{path} {dest}");
        }
        // Whoever reads it as a stream gets none of it as text.
        for fields in [&[("Sec-Fetch-Dest", "empty")][..], &[]] {
            assert!(get(fields).is_from_origin(), "{path} {fields:?}");
        }
    }
    let records = daemon.wait_records(cases.len() * (5 * 2 + 2));
    let is_refused = |it: &&Value| it["method"] == "PAGE" && it["reason"] == "page_words";
    assert_eq!(records.iter().filter(is_refused).count(), cases.len() * 5, "{records:#?}");
}
