//! Bounds (RFC 9110, 15.5 and 17; RFC 9112, 2.3, 3 and 9.5): heads that are too large or too slow, bodies
//! that never come, and what is said of them.

use super::{Faults, PATIENCE, Rig, field, hear};
use std::io::Write;
use std::time::{Duration, Instant};

/// RFC 9112, 3: lines of 8000 bytes at least are read.
#[test]
fn rfc9112_3_lines_of_8000_bytes_are_read() {
    let rig = Rig::start();
    let mut client = rig.connect();
    let path = format!("/{}?{}", "p".repeat(8000), "q".repeat(8000));
    let value = "v".repeat(16_000);
    client.send(rig.head("GET", &path, &[&format!("X-Long: {value}")]).as_bytes());
    assert_eq!(client.read("GET").status, 200);
    let received = rig.origin.received();
    assert!(received.contains(&path) && received.contains(&value));
    rig.records(1);
}

/// RFC 9110, 5.4, RFC 9112, 3 and RFC 6585, 5: larger heads get 431 or 414, and the log says what the
/// client was told.
#[test]
fn rfc9110_5_4_heads_that_are_too_large_are_refused() {
    let rig = Rig::start();
    let cases = [
        ("a long field", rig.head("GET", "/large", &[&format!("X: {}", "v".repeat(70_000))])),
        ("a long name", rig.head("GET", "/large", &[&format!("{}: v", "n".repeat(70_000))])),
        ("a long target", rig.head("GET", &format!("/{}", "p".repeat(70_000)), &[])),
        ("a long method", rig.head(&"M".repeat(70_000), "/large", &[])),
        ("many fields", rig.head("GET", "/large", &vec!["X: y"; 200])),
        (
            "many large fields",
            rig.head("GET", "/large", &vec![&*format!("X: {}", "v".repeat(900)); 100]),
        ),
    ];
    let mut faults = Faults::default();
    for (what, request) in &cases {
        let heard = rig.say_and_be_closed(what, &[request.as_bytes()]);
        let statuses = heard.statuses();
        // A reset may overtake the answer to a client that goes on sending.
        faults.check(matches!(statuses[..], [431 | 414 | 400] | []), || {
            format!("{what}: {statuses:?}")
        });
    }
    assert_eq!(rig.origin.connections(), 0);
    for record in rig.records(cases.len()) {
        faults.check(field(&record, "verdict") == "block", || format!("{record}"));
    }
    rig.others_are_served();
}

/// RFC 9112, 2.3 and RFC 9110, 15.6.3: an answer whose head is too large becomes 502.
#[test]
fn rfc9110_15_6_3_an_answer_with_too_large_a_head_becomes_502() {
    let rig = Rig::start();
    let line = format!("X-Long: {}\r\n", "v".repeat(70_000));
    let many = "X-Many: y\r\n".repeat(500);
    let mut client = rig.connect();
    for (path, lines) in [("/long", line), ("/many", many)] {
        rig.origin.answer_and_close(
            path,
            format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok"),
        );
        client.send(rig.head("GET", path, &[]).as_bytes());
        assert_eq!(client.read("GET").status, 502, "{path}");
    }
    client.send(rig.head("GET", "/next", &[]).as_bytes());
    assert_eq!(client.read("GET").text(), "next");
    rig.records(3);
}

const SHORT: &str = "[limits]\nheader_read_timeout_ms = 600\nclient_idle_timeout_ms = 600\n\
                     response_header_timeout_ms = 600\nbody_idle_timeout_ms = 600\n";

/// RFC 9112, 9.5: a head must be whole in its time, however busily its bytes trickle.
#[test]
fn rfc9112_9_5_a_slow_head_is_not_waited_for() {
    let rig = Rig::with_machine(SHORT);
    let head = rig.head("GET", "/slow", &["X-Slow: 1"]);
    let begun = Instant::now();
    let mut client = rig.connect();
    for byte in head.as_bytes() {
        if client.stream.write_all(&[*byte]).is_err() || begun.elapsed() > PATIENCE / 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    let heard = hear(&mut client, PATIENCE);
    assert!(heard.closed && begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    assert!(!heard.statuses().contains(&200), "{}", heard.text());
    // The same for a connection on which nothing was ever said, and one between two requests.
    let mut quiet = rig.connect();
    assert!(hear(&mut quiet, PATIENCE).closed);
    let mut kept = rig.connect();
    kept.send(rig.head("GET", "/one", &[]).as_bytes());
    assert_eq!(kept.read("GET").text(), "one");
    assert!(hear(&mut kept, PATIENCE).closed);
    assert!(!rig.origin.received().contains("/slow"));
    rig.others_are_served();
}

/// RFC 9112, 9.5 and RFC 9110, 15.6.5: a site that says nothing, or stops in the middle, is not waited for
/// for ever.
#[test]
fn rfc9110_15_6_5_a_silent_site_becomes_504() {
    let rig = Rig::with_machine(SHORT);
    let silent = |line: &mut super::script::Line, _: &str| {
        line.more()?;
        Ok(false)
    };
    rig.origin.on("/silent", silent);
    rig.origin.on("/half-head", move |line, head| {
        line.say(b"HTTP/1.1 200 OK\r\nX-Half")?;
        silent(line, head)
    });
    rig.origin.on("/half-body", move |line, head| {
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        silent(line, head)
    });
    for path in ["/silent", "/half-head"] {
        let mut client = rig.connect();
        client.send(rig.head("GET", path, &[]).as_bytes());
        assert_eq!(client.read("GET").status, 504, "{path}");
    }
    let heard =
        rig.say_and_be_closed("half a body", &[rig.head("GET", "/half-body", &[]).as_bytes()]);
    assert!(heard.text().ends_with("\r\n\r\nhalf"), "{}", heard.text());
    for record in rig.records(3) {
        assert_eq!(field(&record, "end"), "timed_out", "{record}");
    }
    rig.others_are_served();
}

/// RFC 9112, 9.5: a client that announces a body and does not send it is not waited for for ever.
#[test]
fn rfc9112_9_5_a_body_that_never_comes_is_not_waited_for() {
    let rig = Rig::with_machine(SHORT);
    let begun = Instant::now();
    for fields in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let request = rig.head("POST", "/never", &[fields]);
        let mut client = rig.connect();
        client.send(request.as_bytes());
        let heard = hear(&mut client, PATIENCE);
        assert!(!heard.statuses().contains(&200), "{fields}: {}", heard.text());
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let records = rig.records(2);
    assert!(records.iter().all(|record| field(record, "end") != "complete"), "{records:#?}");
    rig.others_are_served();
}

/// RFC 9110, 17 and 15.5.30: one client address cannot take the place of all others.
#[test]
fn rfc9110_17_5_one_client_cannot_take_every_place() {
    let rig = Rig::with_machine("[limits]\nmax_connections_per_client = 10\n");
    let mut held: Vec<_> = (0..10).map(|_| rig.connect()).collect();
    // Let the workers accept them.
    for client in &mut held {
        client.send(rig.head("GET", "/held", &[]).as_bytes());
        assert_eq!(client.read("GET").status, 200);
    }
    let mut further = rig.connect();
    let _ = further.stream.write_all(rig.head("GET", "/further", &[]).as_bytes());
    let heard = hear(&mut further, PATIENCE);
    assert!(heard.closed && !heard.statuses().contains(&200), "{}", heard.text());
    let other = crate::client::Client::connect_from(crate::daemon::KS2, rig.daemon.proxy).ask(
        "GET",
        &rig.url("/other"),
        &[],
    );
    assert_eq!(other.status, 200, "another client is served");
    drop(held);
    crate::daemon::wait_for("the places are free again", PATIENCE, || {
        let mut client = rig.connect();
        client
            .stream
            .write_all(rig.head("GET", "/again", &["Connection: close"]).as_bytes())
            .is_ok()
            && hear(&mut client, PATIENCE).statuses() == [200]
    });
    rig.records(12);
}

/// RFC 9110, 15.5.9; RFC 9112, 9.5: a head that does not come in its time is told so, and is recorded once.
#[test]
fn rfc9110_15_5_9_a_slow_head_gets_408_and_one_record() {
    let rig =
        Rig::with_machine("[limits]\nheader_read_timeout_ms = 400\nclient_idle_timeout_ms = 400\n");
    let head = rig.head("GET", "/slow", &[]);
    let mut client = rig.connect();
    client.send(&head.as_bytes()[..head.len() - 2]);
    let heard = hear(&mut client, PATIENCE);
    assert!(heard.closed);
    assert_eq!(heard.statuses(), [408], "{}", heard.text());
    // Nothing said at all is no request.
    assert!(hear(&mut rig.connect(), PATIENCE).statuses().is_empty());
    let record = &rig.records(1)[0];
    assert_eq!((field(record, "verdict"), &record["status"]), ("block", &408.into()), "{record}");
}

/// What the log says of a refused head is what the client was told (RFC 9110, 15.5.15; RFC 6585, 5).
#[test]
fn rfc9110_15_5_15_the_log_says_what_a_too_large_head_was_told() {
    let rig = Rig::with_machine("[limits]\nmax_head_bytes = 200000\n");
    let target = rig.head("GET", &format!("/{}", "p".repeat(66_000)), &[]);
    let fields = rig.head("GET", "/large", &[&format!("X: {}", "v".repeat(210_000))]);
    let many = rig.head("GET", "/large", &vec!["X: y"; 200]);
    let mut told = Vec::new();
    for request in [target, fields, many] {
        let heard = rig.say_and_be_closed("large", &[request.as_bytes()]);
        told.push(u64::from(heard.statuses().first().copied().unwrap_or_default()));
    }
    let records = rig.records(3);
    let said: Vec<u64> = records.iter().map(|record| record["status"].as_u64().unwrap()).collect();
    assert_eq!(said, told);
}
