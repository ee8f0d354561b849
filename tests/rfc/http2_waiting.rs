//! Requests over HTTP/2 that wait for a connection to their site: they hold places like connections (RFC 9113, 10.5).

use super::frames::{END_STREAM, HEADERS, headers};
use super::http2::{Raw, request, still_serves};
use crate::daemon::{Daemon, Plan};
use crate::greedy::Silent;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What a client may have of connections, and of requests that wait for one.
const MOST: usize = 40;
const ASKED: usize = 60;

/// Asks for a page on each of these streams.
fn ask(raw: &mut Raw, host: &str, streams: impl Iterator<Item = u32>) {
    let get = request("GET", host, "/page");
    let asked: Vec<u8> = streams.flat_map(|stream| headers(stream, END_STREAM, &get)).collect();
    assert!(raw.send(&asked));
}

/// The statuses of so many answers, with how long each took.
fn statuses(raw: &mut Raw, count: usize) -> HashMap<u32, (String, Duration)> {
    let begun = Instant::now();
    let mut statuses = HashMap::new();
    while statuses.len() < count {
        let frame = raw.next().unwrap_or_else(|| panic!("{statuses:?}, then nothing"));
        if frame.kind == HEADERS {
            statuses.insert(frame.stream, (frame.value(":status").to_owned(), begun.elapsed()));
        }
    }
    statuses
}

/// RFC 9113, 10.5: of one client no more wait than it may have connections, and the others are told so.
#[test]
fn rfc9113_10_5_requests_that_wait_for_their_site_are_counted_like_connections() {
    let silent = Silent::start();
    let port = silent.address.port();
    let daemon = Daemon::start_with(&Plan {
        inspected: true,
        tls_ports: vec![port],
        machine: format!(
            "[limits]\nmax_connections_per_client = {MOST}\nconnect_timeout_ms = 2000\n"
        ),
        ..Plan::default()
    });
    let host = format!("library.test:{port}");
    let mut raw = Raw::open_with(&daemon, &host, &[]);
    let stream = |number: usize| 2 * number as u32 + 1;
    ask(&mut raw, &host, (0..ASKED).map(stream));
    let refused = statuses(&mut raw, ASKED - MOST);
    let is_refused =
        |(status, took): &(String, Duration)| status == "503" && *took < Duration::from_secs(1);
    assert!(refused.values().all(is_refused), "{refused:?}");
    assert!(refused.keys().all(|refused| *refused >= stream(MOST)), "the last ones: {refused:?}");
    still_serves(&daemon);
    let waited = statuses(&mut raw, MOST);
    assert!(waited.values().all(|(status, _)| status == "504"), "{waited:?}");
    // The places are there again.
    ask(&mut raw, &host, std::iter::once(stream(ASKED)));
    assert_eq!(statuses(&mut raw, 1)[&stream(ASKED)].0, "504");

    let metrics = daemon.ops_get("/metrics").unwrap().text();
    let count = format!("proxy_requests_refused_total{{bound=\"streams\"}} {}\n", ASKED - MOST);
    assert!(metrics.contains(&count), "{metrics}");
    // With the tunnel's, and that of who is served meanwhile.
    let records = daemon.wait_records(ASKED + 3);
    let told = |verdict: &str, status: u16| {
        let pages = records.iter().filter(|record| record["path"] == "/page");
        pages.filter(|record| record["verdict"] == verdict && record["status"] == status).count()
    };
    assert_eq!((told("block", 503), told("allow", 504)), (ASKED - MOST, MOST + 1), "{records:#?}");
    let limited = records.iter().filter(|record| record["reason"] == "limit");
    assert_eq!(limited.count(), ASKED - MOST, "{records:#?}");
}
