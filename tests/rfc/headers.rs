//! Field lines (RFC 9110, 5 and 7; RFC 9112, 2, 3 and 5): what is no field line is refused, what is
//! for this hop ends here, and everything else goes on as it came.

use super::{Faults, Rig, field};

/// Field lines that are none. Each stands before a good one in a request that is otherwise good.
const NO_FIELDS: &[(&str, &str)] = &[
    ("a bare carriage return in a value", "X-A: a\rb"),
    ("a bare carriage return before a field", "X-A: a\rX-B: b"),
    ("a bare carriage return at the end", "X-A: a\r"),
    ("a NUL in a value", "X-A: a\0b"),
    ("a NUL in a name", "X\0A: a"),
    ("an escape character in a value", "X-A: a\x1bb"),
    ("a DEL in a value", "X-A: a\x7fb"),
    ("a vertical tab in a value", "X-A: a\x0bb"),
    ("a folded line", "X-A: a\r\n b"),
    ("a line folded with a tab", "X-A: a\r\n\tb"),
    ("a fold and nothing else", "X-A: a\r\n "),
    ("a space before the colon", "X-A : a"),
    ("a tab before the colon", "X-A\t: a"),
    ("an empty name", ": a"),
    ("a space inside a name", "X A: a"),
    ("a bracket inside a name", "X(A): a"),
    ("a slash inside a name", "X/A: a"),
    ("a byte past ASCII in a name", "X\u{e9}: a"),
    ("no colon", "X-A"),
    ("a request line", "GET http://a.test/ HTTP/1.1"),
    ("a bare line feed and a fold", "X-A: a\n b"),
];

/// RFC 9112, 2.2, 5, 5.1 and 5.2; RFC 9110, 5.5.
#[test]
fn rfc9112_5_field_lines_that_are_none_are_refused() {
    let rig = Rig::start();
    let mut faults = Faults::default();
    for (what, line) in NO_FIELDS {
        let request = rig.head("GET", "/fields", &[line, "X-Good: 1"]) + &rig.smuggled();
        let heard = rig.say_and_be_closed(what, &[request.as_bytes()]);
        let statuses = heard.statuses();
        faults.check(matches!(statuses[..], [400]), || format!("{what}: {statuses:?}"));
    }
    // RFC 9112, 2.2: blanks between the request line and the first field.
    let first = rig.head("GET", "/fields", &[]).replacen("\r\nHost", "\r\n Host", 1);
    let heard = rig.say_and_be_closed("a blank before the first field", &[first.as_bytes()]);
    faults.check(matches!(heard.statuses()[..], [400]), || format!("first: {}", heard.text()));
    assert_eq!(rig.origin.connections(), 0, "{:?}", rig.origin.received());
    for record in rig.records(NO_FIELDS.len() + 1) {
        faults.check(field(&record, "verdict") == "block", || format!("{record}"));
    }
    rig.others_are_served();
}

/// RFC 9112, 2.2: a bare line feed may end a line. It goes on as CRLF, so the next reader has no choice.
#[test]
fn rfc9112_2_2_bare_line_feeds_between_lines_are_refused_or_repaired() {
    let rig = Rig::start();
    let request = rig.head("GET", "/lines", &["X-A: a", "X-B: b"]).replace("\r\n", "\n");
    let mut client = rig.connect();
    client.send(request.as_bytes());
    let status = client.read("GET").status;
    let received = rig.origin.received();
    match status {
        200 => {
            assert!(received.contains("\r\nx-a: a\r\nx-b: b\r\n"), "{received:?}");
            assert_eq!(received.matches('\n').count(), received.matches("\r\n").count());
        }
        status => assert_eq!((status, received.as_str()), (400, "")),
    }
    rig.records(1);
}

/// RFC 9112, 2.2: an empty line before a request is passed over.
#[test]
fn rfc9112_2_2_empty_lines_before_a_request_are_passed_over() {
    let rig = Rig::start();
    let mut client = rig.connect();
    client.send(("\r\n".to_owned() + &rig.head("GET", "/one", &[])).as_bytes());
    assert_eq!(client.read("GET").text(), "one");
    let post = rig.head("POST", "/two", &["Content-Length: 1"]) + "x\r\n";
    client.send((post + &rig.head("GET", "/three", &[])).as_bytes());
    assert_eq!(client.read("POST").text(), "two");
    assert_eq!(client.read("GET").text(), "three");
    rig.records(3);
}

/// RFC 9112, 3 and RFC 9110, 2.5: request lines that are none.
#[test]
fn rfc9112_3_request_lines_that_are_none_are_refused() {
    let rig = Rig::start();
    let url = rig.url("/line");
    let mut faults = Faults::default();
    let lines = [
        format!("GET {url}"),
        format!("GET {url} "),
        format!("GET {url} HTTP/1.1 x"),
        format!("GET {url} HTTP/1.1 "),
        format!("GET {url} HTTP/2.0"),
        format!("GET {url} HTTP/3.7"),
        format!("GET {url} HTTP/0.9"),
        format!("GET {url} HTTP/11"),
        format!("GET {url} HTTP/1.10"),
        format!("GET {url} HTTP/1"),
        format!("GET {url} http/1.1"),
        format!("GET {url} HTTP/1.1\tx"),
        format!("GET {url}?a b HTTP/1.1"),
        format!("GET {url}\tHTTP/1.1"),
        format!("GET\t{url} HTTP/1.1"),
        format!("GET {url}\x0bHTTP/1.1"),
        format!(" GET {url} HTTP/1.1"),
        format!("G(T {url} HTTP/1.1"),
        format!("G\u{c9}T {url} HTTP/1.1"),
        format!("{url} HTTP/1.1"),
        format!("GET {url}\0 HTTP/1.1"),
        format!("GET {url}\rX HTTP/1.1"),
        format!("GET {url} HTTP/1.1\rX: y"),
        "GET  HTTP/1.1".to_owned(),
    ];
    for line in &lines {
        let request = format!("{line}\r\nHost: {}\r\n\r\n", rig.authority()) + &rig.smuggled();
        let heard = rig.say_and_be_closed(line, &[request.as_bytes()]);
        let statuses = heard.statuses();
        faults.check(matches!(statuses[..], [400 | 505]), || format!("{line:?}: {statuses:?}"));
    }
    assert_eq!(rig.origin.connections(), 0, "{:?}", rig.origin.received());
    rig.records(lines.len());
}

/// RFC 9112, 3.2: a request has one `Host`, in HTTP/1.1 always.
#[test]
fn rfc9112_3_2_a_missing_or_second_host_is_refused() {
    let rig = Rig::start();
    let (url, authority) = (rig.url("/host"), rig.authority());
    let cases = [
        ("none", String::new()),
        ("two alike", format!("Host: {authority}\r\nHost: {authority}\r\n")),
        ("two different", format!("Host: {authority}\r\nHost: casino.test\r\n")),
        ("one and an empty one", format!("Host: {authority}\r\nHost:\r\n")),
    ];
    for (what, hosts) in &cases {
        let request = format!("GET {url} HTTP/1.1\r\n{hosts}\r\n{}", rig.smuggled());
        let heard = rig.say_and_be_closed(what, &[request.as_bytes()]);
        assert_eq!(heard.statuses(), [400], "{what}");
    }
    assert_eq!(rig.origin.connections(), 0);
    rig.records(cases.len());
}

/// RFC 9112, 3.2.2: the URL's host is asked and sent, whatever `Host` says.
#[test]
fn rfc9112_3_2_2_the_host_field_follows_the_url() {
    let rig = Rig::start();
    let (url, authority) = (rig.url("/host"), rig.authority());
    for host in ["casino.test", "library.test", "LIBRARY.TEST:1", ""] {
        let mark = rig.origin.mark();
        let mut client = rig.connect();
        client.send(format!("GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert_eq!(client.read("GET").status, 200, "{host}");
        let all = rig.origin.received();
        assert!(all.len() > mark);
        assert!(!all.contains("casino.test"), "{all}");
    }
    let all = rig.origin.received();
    assert_eq!(all.matches(&format!("\r\nhost: {authority}\r\n")).count(), 4, "{all}");
    for record in rig.records(4) {
        assert_eq!(field(&record, "host"), "library.test", "{record}");
    }
}

/// RFC 9110, 7.6.1: `Connection` takes away what it names, but never what frames, routes, signs in or
/// protects.
#[test]
fn rfc9110_7_6_1_connection_cannot_strip_framing_or_protection() {
    let rig = Rig::start();
    let kept = [
        "Authorization: Bearer t0ken",
        "Cookie: a=b",
        "Via: 1.1 before",
        "Cache-Control: no-store",
        "Content-Type: text/plain",
        "Content-Encoding: identity",
        "Origin: http://a.test",
        "Max-Forwards: 5",
        "Range: bytes=0-1",
        "If-Match: \"x\"",
        "Expect: 100-continue",
        "Referer: http://a.test/",
        "Sec-Fetch-Site: same-origin",
        "Trailer: X-Sum",
    ];
    let mut faults = Faults::default();
    for line in kept {
        let name = line.split(':').next().unwrap();
        let before = rig.origin.mark();
        let connection = format!("Connection: close, {name}, X-Gone");
        let fields = [line, "Content-Length: 5", "X-Gone: 1", &connection];
        let request = rig.head("POST", "/named", &fields) + "hello";
        let heard = rig.say_and_be_closed(line, &[request.as_bytes()]);
        faults.check(heard.statuses().contains(&200), || format!("{line}: {}", heard.text()));
        let received = rig.origin.since(before).to_ascii_lowercase();
        faults
            .check(received.contains(&name.to_ascii_lowercase()), || format!("{line}: {received}"));
        faults.check(!received.contains("x-gone"), || format!("{line}: {received}"));
    }
    // Framing and routing: the body must arrive as one, at the host that was decided about.
    for (what, fields) in [
        ("content-length", ["Connection: close, Content-Length, Host", "Content-Length: 5"]),
        (
            "transfer-encoding",
            ["Connection: close, Transfer-Encoding, Host", "Transfer-Encoding: chunked"],
        ),
    ] {
        let before = rig.origin.mark();
        let body = if what == "content-length" { "hello" } else { "5\r\nhello\r\n0\r\n\r\n" };
        let request = rig.head("POST", "/framed", &fields) + body;
        let heard = rig.say_and_be_closed(what, &[request.as_bytes()]);
        assert!(heard.statuses().contains(&200), "{what}: {}", heard.text());
        let received = rig.origin.since(before).to_ascii_lowercase();
        assert!(received.contains(&format!("\r\n{what}: ")), "{what}: {received}");
        assert!(received.contains(&format!("\r\nhost: {}\r\n", rig.authority())), "{received}");
        assert!(received.ends_with(body), "{what}: {received}");
    }
    rig.records(kept.len() + 2);
}

/// RFC 9110, 7.6.1 and 11.7; RFC 9112, C.2.2: what is for this hop ends here, and so does what would
/// tell the site who asks.
#[test]
fn rfc9110_7_6_1_fields_of_this_hop_end_here() {
    let rig = Rig::start();
    let gone = [
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: gzip, trailers;q=0.5",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "X-Forwarded-For: 10.1.2.3",
        "Forwarded: for=10.1.2.3",
        "X-One: 1",
        "X-Two: 2",
    ];
    let mut fields = gone.to_vec();
    fields.extend(["Connection: keep-alive, TE , HTTP2-Settings", "connection:X-ONE,,x-two,"]);
    let mut client = rig.connect();
    client.send(rig.head("GET", "/hop", &fields).as_bytes());
    assert_eq!(client.read("GET").status, 200);
    let received = rig.origin.received().to_ascii_lowercase();
    for line in gone {
        let name = line.split(':').next().unwrap().to_ascii_lowercase();
        let is_te = name == "te";
        assert_eq!(received.contains(&format!("\r\n{name}:")), is_te, "{line}: {received}");
    }
    // RFC 9110, 10.1.4: of TE only the word about trailers is this hop's to give, and is announced.
    assert!(received.contains("\r\nte: trailers\r\n"), "{received}");
    assert!(received.contains("\r\nconnection: te\r\n"), "{received}");
    rig.records(1);
}

/// RFC 9110, 5.3, 5.5, 7.6 and 11.6.2: everything else goes on as it came: order, repetitions, bytes
/// past ASCII, empty values, unknown fields and credentials for the site.
#[test]
fn rfc9110_5_3_other_fields_go_on_as_they_came() {
    let rig = Rig::start();
    let sent: &[&[u8]] = &[
        b"X-Unknown: one",
        b"x-bytes: caf\xc3\xa9 \xff\xfe",
        b"X-Empty:",
        b"X-Unknown: two, three",
        b"Authorization: Negotiate-not \"q\\\"x\"",
        b"User-Agent: a (b; c) d/1",
        b"Cookie: a=b; c=\"d\"",
        b"Accept: */*;q=0.1",
        b"X-Inner:  a  b\tc ",
    ];
    let head = rig.head("GET", "/kept", &["Connection: close"]);
    let mut request = head.as_bytes()[..head.len() - 2].to_vec();
    for line in sent {
        request.extend_from_slice(line);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    rig.origin.on("/kept", |line, _| {
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Bytes: \xff\xe9\r\n\r\n")?;
        Ok(true)
    });
    let heard = rig.say_and_be_closed("kept", &[&request]);
    let has = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|here| here == part);
    assert!(has(&heard.bytes, b"\r\nx-bytes: \xff\xe9\r\n"), "{}", heard.text());
    let received = rig.origin.received_on(0);
    let told = String::from_utf8_lossy(&received).into_owned();
    for line in [
        b"\r\nx-bytes: caf\xc3\xa9 \xff\xfe\r\n".as_slice(),
        b"\r\nx-empty: \r\n",
        b"\r\nauthorization: Negotiate-not \"q\\\"x\"\r\n",
        b"\r\nuser-agent: a (b; c) d/1\r\n",
        b"\r\ncookie: a=b; c=\"d\"\r\n",
        b"\r\naccept: */*;q=0.1\r\n",
        b"\r\nx-inner: a  b\tc\r\n",
    ] {
        assert!(has(&received, line), "{}: {told}", String::from_utf8_lossy(line));
    }
    let one = told.find("x-unknown: one").expect("the first of two");
    let two = told.find("x-unknown: two, three").expect("the second of two");
    assert!(one < two, "order: {told}");
    rig.records(1);
}

/// RFC 9110, 7.6.3: `Via` on the way there and back, after those of others, with the version received.
#[test]
fn rfc9110_7_6_3_via_is_added_both_ways() {
    let rig = Rig::start();
    rig.origin.answer("/via", "HTTP/1.1 200 OK\r\nVia: 1.0 cdn\r\nContent-Length: 0\r\n\r\n");
    rig.origin.answer_and_close("/via-old", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut client = rig.connect();
    client.send(rig.head("GET", "/via", &["Via: 1.1 before, 1.0 more"]).as_bytes());
    let answer = client.read("GET");
    assert!(answer.head.contains("via: 1.0 cdn\r\nvia: 1.1 schoolgate"), "{}", answer.head);
    let received = rig.origin.received();
    assert!(received.contains("via: 1.1 before, 1.0 more\r\nvia: 1.1 schoolgate"), "{received}");
    client.send(rig.head("GET", "/via-old", &[]).as_bytes());
    let answer = client.read("GET");
    assert!(answer.head.starts_with("HTTP/1.1 200 "), "a proxy speaks its own version (2.5)");
    assert!(answer.head.contains("via: 1.0 schoolgate"), "{}", answer.head);
    let old = rig.head("GET", "/from-old", &[]).replace("HTTP/1.1", "HTTP/1.0");
    rig.say_and_be_closed("HTTP/1.0", &[old.as_bytes()]);
    let received = rig.origin.received();
    assert!(received.contains("GET /from-old HTTP/1.1\r\n"), "{received}");
    assert!(received.contains("via: 1.0 schoolgate"), "{received}");
    rig.records(3);
}

/// RFC 9110, 7.6.3: a request that came through here already is refused, also where another hop has
/// written around the name.
#[test]
fn rfc9110_7_6_3_a_loop_is_refused() {
    let rig = Rig::start();
    let mut client = rig.connect();
    client.send(rig.head("GET", "/first", &[]).as_bytes());
    assert_eq!(client.read("GET").status, 200);
    let received = rig.origin.received();
    let via = received.split("via: ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    let connections = rig.origin.connections();
    let fields = [
        format!("Via: {via}"),
        format!("Via: 1.0 fred, {via}, 1.1 other"),
        format!("Via: 1.0 fred\r\nVia: {via} (with a comment)"),
        format!("Via: HTTP/{via}"),
        format!("Via: {}", via.to_ascii_uppercase()),
        format!("Connection: Via\r\nVia: {via}"),
        format!("Connection: Via\r\nVia:  1.1\t {}", via.split(' ').nth(1).unwrap()),
    ];
    for field in &fields {
        let mut client = rig.connect();
        client.send(rig.head("GET", "/loop", &[field]).as_bytes());
        let answer = client.read("GET");
        assert_eq!(answer.status, 403, "{field}: {answer:?}");
    }
    assert_eq!(rig.origin.connections(), connections);
    let records = rig.records(1 + fields.len());
    assert!(records[1..].iter().all(|record| record["reason"] == "loop"), "{records:#?}");
}

/// RFC 9110, 7.6.2: `Max-Forwards` counts down on OPTIONS and stops at 0; other methods carry it.
#[test]
fn rfc9110_7_6_2_max_forwards_counts_down() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for (sent, arrives) in [("1", "0"), ("10", "9"), ("007", "6")] {
        client.send(rig.head("OPTIONS", "/o", &[&format!("Max-Forwards: {sent}")]).as_bytes());
        assert_eq!(client.read("OPTIONS").status, 200);
        let received = rig.origin.received();
        let wanted = format!("\r\nmax-forwards: {arrives}\r\n");
        assert!(received.contains(&wanted), "{sent}: {received}");
    }
    let before = rig.origin.received();
    client.send(rig.head("OPTIONS", "/o", &["Max-Forwards: 0"]).as_bytes());
    let answer = client.read("OPTIONS");
    assert_eq!(answer.status, 200);
    assert!(answer.header("allow").is_some_and(|allow| !allow.contains("TRACE")), "{answer:?}");
    assert_eq!(rig.origin.received(), before, "it went no further");
    client.send(rig.head("GET", "/g", &["Max-Forwards: 0"]).as_bytes());
    assert_eq!(client.read("GET").text(), "g");
    rig.records(5);
}

/// RFC 9110, 9.3.8 and 15.5.6: TRACE would read back what others added; the refusal says what is allowed.
#[test]
fn rfc9110_9_3_8_trace_is_refused() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for fields in [&["Max-Forwards: 0"][..], &["Max-Forwards: 3"], &[]] {
        client.send(rig.head("TRACE", "/t", fields).as_bytes());
        let answer = client.read("TRACE");
        assert_eq!(answer.status, 405, "{answer:?}");
        assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")), "{answer:?}");
        assert!(!answer.text().contains("Max-Forwards"), "nothing is read back: {answer:?}");
    }
    assert_eq!(rig.origin.connections(), 0);
    rig.records(3);
}

/// RFC 9110, 9.1 and 16.1.1: methods have case, and unknown ones go on.
#[test]
fn rfc9110_9_1_unknown_methods_go_on() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for method in ["PROPFIND", "get", "X-Y_Z!", "QUERY"] {
        client.send(rig.head(method, "/method", &[]).as_bytes());
        assert_eq!(client.read(method).status, 200, "{method}");
        let received = rig.origin.received();
        assert!(received.contains(&format!("{method} /method HTTP/1.1\r\n")), "{received}");
    }
    rig.records(4);
}

/// RFC 9112, 3.2: a `Host` that is no host and port gets 400, although the URL counts.
#[test]
fn rfc9112_3_2_a_host_field_that_is_none_is_refused() {
    let rig = Rig::start();
    let url = rig.url("/host");
    let hosts = [
        "library.test:x",
        "library.test:65536",
        "user@library.test",
        "a b",
        "library.test/x",
        "http://library.test",
        "library.test, casino.test",
        "library.test#x",
        "library.test?x",
        "[::1",
        "library.test\\x",
        "\u{e9}.test",
    ];
    let mut faults = Faults::default();
    for host in hosts {
        let heard = rig.say_and_be_closed(
            host,
            &[format!("GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
                .as_bytes()],
        );
        faults.check(heard.statuses() == [400], || format!("{host}: {:?}", heard.statuses()));
    }
    assert_eq!(rig.origin.connections(), 0);
    rig.records(hosts.len());
}

/// RFC 9110, 7.6.2: zero is zero however it is written, and a number too large still counts down.
#[test]
fn rfc9110_7_6_2_odd_max_forwards_count_down_too() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for zero in ["00", "000"] {
        client.send(rig.head("OPTIONS", "/o", &[&format!("Max-Forwards: {zero}")]).as_bytes());
        assert_eq!(client.read("OPTIONS").status, 200);
    }
    assert_eq!(rig.origin.connections(), 0, "{}", rig.origin.received());
    client.send(rig.head("OPTIONS", "/o", &["Max-Forwards: 99999999999999999999"]).as_bytes());
    assert_eq!(client.read("OPTIONS").status, 200);
    assert!(!rig.origin.received().contains("99999999999999999999"), "{}", rig.origin.received());
    rig.records(3);
}
