//! How long a request is (RFC 9112, 6 and 7): one reading only, or none at all.

use super::{Faults, Rig, field};

/// A head's framing fields and body that two readers could take for different requests. Each is
/// sent with a second request behind it, which must never be seen.
const AMBIGUOUS: &[(&str, &str, &str)] = &[
    ("two lengths", "Content-Length: 5\r\nContent-Length: 6", "hello!"),
    ("lengths of which one is none", "Content-Length: 5\r\nContent-Length: x", "hello"),
    ("a list of lengths", "Content-Length: 5, 5", "hello"),
    ("a list of different lengths", "Content-Length: 5, 6", "hello!"),
    ("a length with a space inside", "Content-Length: 1 2", "hello"),
    ("a negative length", "Content-Length: -5", "hello"),
    ("a signed length", "Content-Length: +5", "hello"),
    ("a hexadecimal length", "Content-Length: 0x5", "hello"),
    ("a length with letters", "Content-Length: 5a", "hello"),
    ("an empty length", "Content-Length:", "hello"),
    ("a length with a parameter", "Content-Length: 5;a=b", "hello"),
    ("a length past 64 bits", "Content-Length: 18446744073709551621", "hello"),
    ("a length at the top of 64 bits", "Content-Length: 18446744073709551615", "hello"),
    ("a length behind a vertical tab", "Content-Length: \x0b5", "hello"),
    ("a length in full-width digits", "Content-Length: ５", "hello"),
    ("length, then coding", "Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    ("coding, then length", "Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
    ("a zero length with a coding", "Content-Length: 0\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    (
        "a length in odd case with a coding",
        "Transfer-Encoding: chunked\r\ncONTENT-lENGTH: 5",
        "0\r\n\r\n",
    ),
    ("a bad length with a coding", "Transfer-Encoding: chunked\r\nContent-Length: x", "0\r\n\r\n"),
    ("gzip under chunked", "Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
    ("chunked twice", "Transfer-Encoding: chunked, chunked", "0\r\n\r\n"),
    (
        "chunked on two lines",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "0\r\n\r\n",
    ),
    ("chunked, then identity", "Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
    ("identity, then chunked", "Transfer-Encoding: identity, chunked", "0\r\n\r\n"),
    (
        "identity on a second line",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "0\r\n\r\n",
    ),
    ("identity", "Transfer-Encoding: identity", ""),
    ("gzip alone", "Transfer-Encoding: gzip", "0\r\n\r\n"),
    ("an unknown coding", "Transfer-Encoding: xchunked", "0\r\n\r\n"),
    ("a coding with a tail", "Transfer-Encoding: chunkedx", "0\r\n\r\n"),
    ("a coding with a parameter", "Transfer-Encoding: chunked;q=1", "0\r\n\r\n"),
    ("a quoted coding", "Transfer-Encoding: \"chunked\"", "0\r\n\r\n"),
    ("an empty coding", "Transfer-Encoding:", "0\r\n\r\n"),
    ("an empty member before", "Transfer-Encoding: , chunked", "0\r\n\r\n"),
    ("an empty member behind", "Transfer-Encoding: chunked,", "0\r\n\r\n"),
    ("a vertical tab before a coding", "Transfer-Encoding: \x0bchunked", "0\r\n\r\n"),
    ("a vertical tab behind a coding", "Transfer-Encoding: chunked\x0b", "0\r\n\r\n"),
    ("a space before the colon", "Transfer-Encoding : chunked", "0\r\n\r\n"),
    ("a tab before the colon", "Transfer-Encoding\t: chunked", "0\r\n\r\n"),
    ("a space before the length's colon", "Content-Length : 5", "hello"),
    ("a folded coding", "Transfer-Encoding:\r\n chunked", "0\r\n\r\n"),
    ("a coding after a bare carriage return", "X: y\rTransfer-Encoding: chunked", "0\r\n\r\n"),
];

/// RFC 9112, 6.1 and 6.3; RFC 9110, 8.6: what says its length in two ways is refused, its connection
/// closed, and nothing of it reaches the origin.
#[test]
fn rfc9112_6_3_ambiguous_framing_is_refused_and_its_connection_closed() {
    let rig = Rig::start();
    let mut faults = Faults::default();
    for (what, fields, body) in AMBIGUOUS {
        let request = rig.head("POST", "/framing", &[fields]) + body + &rig.smuggled();
        let heard = rig.say_and_be_closed(what, &[request.as_bytes()]);
        let statuses = heard.statuses();
        faults.check(matches!(statuses[..], [400 | 413 | 431 | 501]), || {
            format!("{what}: {statuses:?}")
        });
    }
    assert_eq!(rig.origin.connections(), 0, "{:?}", rig.origin.received());
    for record in rig.records(AMBIGUOUS.len()) {
        faults.check(field(&record, "verdict") == "block", || format!("{record}"));
    }
    rig.others_are_served();
}

/// RFC 9112, 6.1: HTTP/1.0 knows no transfer codings; a client that sends one is faulty.
#[test]
fn rfc9112_6_1_a_transfer_coding_in_http_1_0_is_refused() {
    let rig = Rig::start();
    for fields in ["Transfer-Encoding: chunked", "Content-Length: 5\r\nTransfer-Encoding: chunked"]
    {
        let request = rig.head("POST", "/old", &[fields]).replace("HTTP/1.1", "HTTP/1.0");
        let request = request + "0\r\n\r\n" + &rig.smuggled();
        let heard = rig.say_and_be_closed(fields, &[request.as_bytes()]);
        assert_eq!(heard.statuses(), [400], "{fields}");
    }
    assert_eq!(rig.origin.connections(), 0);
    rig.records(2);
}

/// RFC 9112, 6.3 (rule 5): equal lengths on two lines may become one, and only one goes on.
#[test]
fn rfc9112_6_3_equal_lengths_become_one() {
    let rig = Rig::start();
    let mut client = rig.connect();
    client.send(
        (rig.head("POST", "/echo", &["Content-Length: 5", "Content-Length: 5"]) + "hello")
            .as_bytes(),
    );
    let status = client.read("POST").status;
    let received = rig.origin.received().to_ascii_lowercase();
    match status {
        200 => {
            assert_eq!(received.matches("content-length").count(), 1, "{received}");
            assert!(received.ends_with("\r\n\r\nhello"), "{received}");
        }
        status => assert_eq!((status, received.as_str()), (400, "")),
    }
    rig.records(1);
}

/// RFC 9112, 5.1 and 6.1: blanks around a value are no part of it, names and codings have no case.
#[test]
fn rfc9112_5_1_blanks_and_case_of_a_good_coding_are_repaired() {
    let rig = Rig::start();
    for coding in [
        "Transfer-Encoding:chunked",
        "Transfer-Encoding: \t chunked \t ",
        "TRANSFER-ENCODING: CHUNKED",
        "transfer-encoding:\tChunked",
    ] {
        let mut client = rig.connect();
        client.send((rig.head("POST", "/echo", &[coding]) + "5\r\nhello\r\n0\r\n\r\n").as_bytes());
        assert_eq!(client.read("POST").status, 200, "{coding:?}");
        let received = rig.origin.received();
        assert!(received.contains("\r\ntransfer-encoding: chunked\r\n"), "{coding:?}: {received}");
    }
    rig.records(4);
}

/// RFC 9112, 6.3 and 11.2: whichever segments a request with two lengths comes in, it is refused, or
/// goes on by its coding alone with the connection closed behind it. Nothing is smuggled.
#[test]
fn rfc9112_11_2_two_lengths_smuggle_nothing_at_any_split() {
    let rig = Rig::start();
    let orders = [
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 4"],
    ];
    let mut faults = Faults::default();
    let mut sent = 0;
    for fields in orders {
        let head = rig.head("POST", "/split", &fields);
        let request = head.clone() + "5\r\nhello\r\n0\r\n\r\n" + &rig.smuggled();
        // Every place in the field lines, and a few of the rest.
        let first = head.find("Host").unwrap();
        let places = (first..head.len() + 6).chain([1, 8, request.len() - 3]);
        for place in places {
            let (before, behind) = request.as_bytes().split_at(place);
            let heard = rig.say_and_be_closed("split", &[before, behind]);
            sent += 1;
            let statuses = heard.statuses();
            faults.check(matches!(statuses[..], [200 | 400]), || {
                format!("split at {place}: {statuses:?}: {}", heard.text())
            });
        }
    }
    let received = rig.origin.received().to_ascii_lowercase();
    assert!(!received.contains("smuggled"), "{received}");
    assert!(!received.contains("content-length"), "{received}");
    rig.records(sent);
}

/// RFC 9112, 2.2 and 7.1: segments carry no meaning. A good request split anywhere arrives the same.
#[test]
fn rfc9112_7_1_a_chunked_request_split_anywhere_arrives_whole() {
    let rig = Rig::start();
    let body = "5;ext=1\r\nhello\r\n00b\r\n, 11 bytes!\r\n000\r\n\r\n";
    let request = rig.head("POST", "/whole", &["Transfer-Encoding: chunked"]) + body;
    let start = request.len() - body.len();
    let places: Vec<usize> = (start - 4..request.len()).chain([3, 20]).collect();
    let heard_of = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard_by = std::sync::Arc::clone(&heard_of);
    rig.origin.on("/whole", move |line, head| {
        let body = line.body(head)?;
        heard_by.lock().unwrap().push(body);
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        Ok(true)
    });
    for &place in &places {
        let (before, behind) = request.as_bytes().split_at(place);
        let mut client = rig.connect();
        client.send(before);
        std::thread::sleep(std::time::Duration::from_millis(3));
        client.send(behind);
        assert_eq!(client.read("POST").status, 200, "split at {place}");
    }
    let bodies = heard_of.lock().unwrap().clone();
    assert_eq!(bodies.len(), places.len());
    assert!(bodies.iter().all(|body| body == b"hello, 11 bytes!"), "{bodies:?}");
    // RFC 9112, 7.1.1: what an extension means to this hop means nothing to the next.
    assert!(!rig.origin.received().contains("ext=1"));
    rig.records(places.len());
}

/// Chunked bodies that are none (RFC 9112, 7.1), each followed by a request that is not one.
const BAD_CHUNKS: &[(&str, &str)] = &[
    ("a size past 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a size of many digits", "fffffffffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    ("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
    ("a signed size", "+5\r\nhello\r\n0\r\n\r\n"),
    ("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a blank before the size", " 5\r\nhello\r\n0\r\n\r\n"),
    ("a blank inside the size", "1 2\r\nhello\r\n0\r\n\r\n"),
    ("no size", "\r\nhello\r\n0\r\n\r\n"),
    ("no size but an extension", ";a=b\r\nhello\r\n0\r\n\r\n"),
    ("a size that is no number", "g\r\nhello\r\n0\r\n\r\n"),
    ("a full-width size", "５\r\nhello\r\n0\r\n\r\n"),
    ("an underscore in the size", "0_5\r\nhello\r\n0\r\n\r\n"),
    ("a bare line feed behind the size", "5\nhello\r\n0\r\n\r\n"),
    ("a bare carriage return behind the size", "5\rhello\r\n0\r\n\r\n"),
    ("a bare line feed in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
    ("a bare carriage return in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("data longer than its size", "4\r\nhello\r\n0\r\n\r\n"),
    ("data without its end", "5\r\nhello0\r\n\r\n"),
    ("data that ends with a bare line feed", "5\r\nhello\n0\r\n\r\n"),
    ("data that ends with a bare carriage return", "5\r\nhello\r0\r\n\r\n"),
    ("a last chunk that ends with a bare line feed", "5\r\nhello\r\n0\n\r\n"),
    ("a trailer with a bare line feed", "5\r\nhello\r\n0\r\nX: y\nZ: a\r\n\r\n"),
    ("a trailer with a NUL", "5\r\nhello\r\n0\r\nX: y\0\r\n\r\n"),
    ("a trailer without a colon", "5\r\nhello\r\n0\r\nGET http://a.test/ HTTP/1.1\r\n\r\n"),
];

/// RFC 9112, 7.1 and 8: a body that breaks its framing never becomes a whole request upstream, and
/// the bytes behind it are no request either.
#[test]
fn rfc9112_7_1_a_broken_chunk_ends_the_request_and_the_connection() {
    let rig = Rig::start();
    let mut faults = Faults::default();
    for (what, body) in BAD_CHUNKS {
        let mark = rig.origin.mark();
        let request =
            rig.head("POST", "/chunks", &["Transfer-Encoding: chunked"]) + body + &rig.smuggled();
        let heard = rig.say_and_be_closed(what, &[request.as_bytes()]);
        let statuses = heard.statuses();
        faults.check(matches!(statuses[..], [400]), || format!("{what}: {statuses:?}"));
        let received = rig.origin.since(mark);
        faults.check(!received.contains("\r\n0\r\n"), || format!("{what}: {received:?}"));
        faults.check(!received.contains("smuggled"), || format!("{what}: {received:?}"));
    }
    rig.records(BAD_CHUNKS.len());
    rig.others_are_served();
}

/// RFC 9112, 7.1.1: the sum of a body's extensions has a bound.
#[test]
fn rfc9112_7_1_1_endless_chunk_extensions_are_cut_off() {
    let rig = Rig::start();
    let one = format!("1;{}\r\nx\r\n", "e".repeat(4000));
    let cases = [
        ("one extension", format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(40_000))),
        ("many extensions", one.repeat(10) + "0\r\n\r\n"),
    ];
    for (what, body) in &cases {
        let head = rig.head("POST", "/ext", &["Transfer-Encoding: chunked"]);
        let heard = rig.say_and_be_closed(what, &[head.as_bytes(), body.as_bytes()]);
        assert!(!heard.statuses().contains(&200), "{what}: {}", heard.text());
    }
    let received = rig.origin.received();
    assert!(!received.contains(&"e".repeat(100)) && !received.contains("\r\n0\r\n"), "{received}");
    rig.records(cases.len());
    rig.others_are_served();
}

/// RFC 9112, 8: a body that ends before its time is never passed on as whole.
#[test]
fn rfc9112_8_a_request_that_breaks_off_is_never_whole_upstream() {
    let rig = Rig::start();
    let cases = [
        ("Content-Length: 50", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhel"),
    ];
    for (fields, body) in cases {
        let seen = || rig.origin.received().matches("POST /half").count();
        let before = seen();
        let mut client = rig.connect();
        client.send((rig.head("POST", "/half", &[fields]) + body).as_bytes());
        crate::daemon::wait_for("the request goes upstream", super::PATIENCE, || seen() > before);
        drop(client);
        rig.others_are_served();
        let received = rig.origin.received();
        assert!(!received.contains("\r\n0\r\n\r\n"), "{received}");
    }
    let records = rig.records(2 * cases.len());
    let halves: Vec<_> = records.iter().filter(|record| record["path"] == "/half").collect();
    assert_eq!(halves.len(), cases.len());
    for record in halves {
        assert_eq!(field(record, "end"), "aborted", "the client left: {record}");
    }
}

/// RFC 9110, 6.5.1: trailers are no way to bring framing, routing or credentials behind the head.
#[test]
fn rfc9110_6_5_1_forbidden_request_trailers_go_no_further() {
    let rig = Rig::start();
    let forbidden = [
        "Content-Length: 3",
        "Transfer-Encoding: chunked",
        "Host: casino.test",
        "Authorization: Basic eDp5",
        "Cookie: a=b",
        "Content-Encoding: gzip",
        "Content-Type: text/html",
        "Connection: close",
        "Max-Forwards: 0",
        "Trailer: x",
    ];
    for trailer in forbidden {
        let mark = rig.origin.mark();
        let name = trailer.split(':').next().unwrap();
        let announced = format!("Trailer: {name}");
        let fields = ["Transfer-Encoding: chunked", &announced, "Connection: close"];
        let body = format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n");
        let heard =
            rig.say_and_be_closed(trailer, &[(rig.head("POST", "/t", &fields) + &body).as_bytes()]);
        assert!(matches!(heard.statuses()[..], [200 | 400 | 502]), "{trailer}: {}", heard.text());
        let received = rig.origin.since(mark).to_ascii_lowercase();
        let behind = received.split("hello").nth(1).unwrap_or_default();
        assert!(!behind.contains(&trailer.to_ascii_lowercase()), "{trailer}: {received}");
    }
    rig.records(forbidden.len());
}

/// RFC 9110, 9.3.1: a body means nothing on GET, but is one all the same.
#[test]
fn rfc9110_9_3_1_a_get_with_a_body_is_one_request() {
    let rig = Rig::start();
    let mut client = rig.connect();
    client.send((rig.head("GET", "/a", &["Content-Length: 5"]) + "hello").as_bytes());
    assert_eq!(client.read("GET").text(), "a");
    client.send(rig.head("GET", "/b", &[]).as_bytes());
    assert_eq!(client.read("GET").text(), "b");
    let received = rig.origin.received();
    assert!(received.contains("\r\n\r\nhello"), "{received}");
    rig.records(2);
}

/// RFC 9112, 2.2, 7.1 and 8: a broken body is the client's fault: 400, and the record does not blame the site.
#[test]
fn rfc9112_8_a_broken_request_body_is_the_clients_fault() {
    let rig = Rig::start();
    let head = rig.head("POST", "/chunks", &["Transfer-Encoding: chunked"]);
    let heard =
        rig.say_and_be_closed("chunk", &[(head.clone() + "zz\r\nhello\r\n0\r\n\r\n").as_bytes()]);
    assert_eq!(heard.statuses(), [400], "{}", heard.text());
    let mut client = rig.connect();
    client.send((head + "5\r\nhel").as_bytes());
    std::thread::sleep(std::time::Duration::from_millis(200));
    drop(client);
    for record in rig.records(2) {
        assert_eq!(field(&record, "end"), "aborted", "{record}");
    }
}

/// RFC 9110, 6.5.1, 7.6.1 and 11.7.1: trailers carry nothing of this hop further, nor credentials.
#[test]
fn rfc9110_6_5_1_request_trailers_of_this_hop_go_no_further() {
    let rig = Rig::start();
    for trailer in [
        "Proxy-Authorization: Basic eDp5",
        "Cookie: a=b",
        "Keep-Alive: timeout=5",
        "X-Forwarded-For: 10.1.2.3",
        "Connection: close",
        "Via: 1.1 x",
        "Upgrade: h2c",
    ] {
        let mark = rig.origin.mark();
        let name = trailer.split(':').next().unwrap();
        let announced = format!("Trailer: {name}, X-Sum");
        let fields = ["Transfer-Encoding: chunked", &announced, "Connection: close"];
        let body = format!("5\r\nhello\r\n0\r\n{trailer}\r\nX-Sum: 1\r\n\r\n");
        let heard =
            rig.say_and_be_closed(trailer, &[(rig.head("POST", "/t", &fields) + &body).as_bytes()]);
        assert_eq!(heard.statuses(), [200], "{trailer}: {}", heard.text());
        let received = rig.origin.since(mark).to_ascii_lowercase();
        let behind = received.split("hello").nth(1).unwrap_or_default();
        assert!(!behind.contains(&name.to_ascii_lowercase()), "{trailer}: {received}");
        assert!(behind.contains("x-sum: 1"), "{trailer}: {received}");
    }
    rig.records(7);
}

/// RFC 9112, 6.1 and 11.2: length and coding together are refused however the segments fall.
#[test]
fn rfc9112_11_2_two_lengths_are_refused_at_any_split() {
    let rig = Rig::start();
    let mut sent = 0;
    let mut faults = Faults::default();
    for fields in [
        ["Content-Length: 4", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 4"],
    ] {
        let head = rig.head("POST", "/split", &fields);
        let request = head.clone() + "5\r\nhello\r\n0\r\n\r\n" + &rig.smuggled();
        for place in (head.find("Host").unwrap()..head.len() + 6).chain([1, 8]) {
            let (before, behind) = request.as_bytes().split_at(place);
            let heard = rig.say_and_be_closed("split", &[before, behind]);
            sent += 1;
            faults.check(heard.statuses() == [400], || format!("{place}: {:?}", heard.statuses()));
        }
    }
    assert_eq!(rig.origin.connections(), 0);
    rig.records(sent);
}
