//! What a site answers (RFC 9110, 6, 8, 15; RFC 9112, 4, 6, 7): an answer has one end, and what comes
//! behind it belongs to nobody.

use super::{Faults, PATIENCE, Rig, field};
use std::time::Duration;

/// Answers whose framing or head cannot be read in one way: the client gets 502, and never a byte of
/// them.
const UNREADABLE: &[(&str, &str)] = &[
    ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nEVIL!"),
    ("a list of different lengths", "HTTP/1.1 200 OK\r\nContent-Length: 4, 5\r\n\r\nEVIL!"),
    ("a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nEVIL"),
    ("a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nEVIL"),
    ("a hexadecimal length", "HTTP/1.1 200 OK\r\nContent-Length: 0x4\r\n\r\nEVIL"),
    (
        "a length past 64 bits",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551620\r\n\r\nEVIL",
    ),
    ("an empty length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nEVIL"),
    ("a length with letters", "HTTP/1.1 200 OK\r\nContent-Length: 4a\r\n\r\nEVIL"),
    ("a folded line", "HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 4\r\n\r\nEVIL"),
    (
        "a bare carriage return",
        "HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: evil=1\r\nContent-Length: 4\r\n\r\nEVIL",
    ),
    ("a NUL", "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 4\r\n\r\nEVIL"),
    ("an empty name", "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 4\r\n\r\nEVIL"),
    ("no colon", "HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 4\r\n\r\nEVIL"),
    (
        "a coding in HTTP/1.0",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n",
    ),
    ("no status line", "EVIL\r\n\r\nEVIL"),
    ("another protocol", "ICY 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
    ("another major version", "HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
    ("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
    ("a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
    ("a status with a letter", "HTTP/1.1 2OO OK\r\nContent-Length: 4\r\n\r\nEVIL"),
    ("a status below 100", "HTTP/1.1 099 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
    ("a negative status", "HTTP/1.1 -20 OK\r\nContent-Length: 4\r\n\r\nEVIL"),
    ("a status line cut short", "HTTP/1.1\r\nContent-Length: 4\r\n\r\nEVIL"),
    ("a head that breaks off", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: a"),
    ("nothing at all", ""),
    ("a head in the middle of its head", "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\n\r\nEVIL"),
];

/// RFC 9112, 2.2, 4, 5.2, 6.1 and 6.3: an answer that cannot be read in one way is a 502 of our own.
#[test]
fn rfc9112_6_3_an_answer_that_cannot_be_read_becomes_502() {
    let rig = Rig::start();
    let mut faults = Faults::default();
    for (what, bytes) in UNREADABLE {
        rig.origin.answer_and_close("/bad", *bytes);
        let mut client = rig.connect();
        client.send(rig.head("GET", "/bad", &[]).as_bytes());
        let answer = client.read("GET");
        faults.check(answer.status == 502, || format!("{what}: {}", answer.head));
        let all = answer.head.clone() + &answer.text();
        faults.check(!all.to_ascii_lowercase().contains("evil"), || format!("{what}: {all}"));
    }
    for record in rig.records(UNREADABLE.len()) {
        faults
            .check(record["status"] == 502 && record["end"] == "upstream", || format!("{record}"));
    }
    rig.others_are_served();
}

/// RFC 9112, 6.3 (rule 5): equal lengths become one length, never a list.
#[test]
fn rfc9112_6_3_equal_lengths_of_an_answer_become_one() {
    let rig = Rig::start();
    let mut faults = Faults::default();
    for lengths in ["Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5"] {
        rig.origin.answer("/twice", format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nhello"));
        let heard = rig.say_and_be_closed(
            lengths,
            &[rig.head("GET", "/twice", &["Connection: close"]).as_bytes()],
        );
        let text = heard.text().to_ascii_lowercase();
        let good = match heard.statuses()[..] {
            [200] => {
                text.matches("content-length").count() == 1
                    && text.contains("\r\ncontent-length: 5\r\n")
                    && text.ends_with("\r\n\r\nhello")
            }
            ref statuses => statuses == [502],
        };
        faults.check(good, || format!("{lengths}: {text}"));
    }
    rig.records(2);
}

/// RFC 9112, 6.1 and 6.3 (rule 3): coding and length together may be an attempt to split: the coding
/// counts, the length goes, and the connection is not used again.
#[test]
fn rfc9112_6_3_a_length_beside_the_coding_of_an_answer_is_dropped() {
    let rig = Rig::start();
    let split = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5\r\nhello\r\n0\r\n\r\n";
    rig.origin.answer("/both", split);
    let mut client = rig.connect();
    client.send(rig.head("GET", "/both", &[]).as_bytes());
    let answer = client.read("GET");
    match answer.status {
        200 => {
            assert_eq!(answer.header("content-length"), None, "{answer:?}");
            assert_eq!(answer.text(), "hello");
        }
        status => assert_eq!(status, 502),
    }
    let connections = rig.origin.connections();
    rig.others_are_served();
    assert_eq!(rig.origin.connections(), connections + 1, "the connection is not used again");
    rig.records(2);
}

/// RFC 9112, 7.1 and 8: a body that breaks its framing, or ends before its time, never reaches the
/// client as a whole answer.
#[test]
fn rfc9112_8_an_answer_that_breaks_off_is_never_whole() {
    let rig = Rig::start();
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = [
        ("a body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello".to_owned()),
        ("no last chunk", format!("{chunked}5\r\nhello\r\n")),
        ("a chunk cut short", format!("{chunked}50\r\nhello")),
        ("half of the end", format!("{chunked}5\r\nhello\r\n0\r\n")),
        (
            "a size past 64 bits",
            format!("{chunked}5\r\nhello\r\n10000000000000005\r\nx\r\n0\r\n\r\n"),
        ),
        ("a negative size", format!("{chunked}5\r\nhello\r\n-1\r\nx\r\n0\r\n\r\n")),
        ("a size with 0x", format!("{chunked}5\r\nhello\r\n0x1\r\nx\r\n0\r\n\r\n")),
        ("no end of data", format!("{chunked}5\r\nhelloX\r\n0\r\n\r\n")),
        ("a bare line feed", format!("{chunked}5\r\nhello\n0\r\n\r\n")),
        ("a bare line feed behind a size", format!("{chunked}5\r\nhello\r\n1\nx\r\n0\r\n\r\n")),
        (
            "endless extensions",
            format!("{chunked}5\r\nhello\r\n1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(40_000)),
        ),
        ("a bad trailer", format!("{chunked}5\r\nhello\r\n0\r\nX: a\rb\r\n\r\n")),
    ];
    let mut faults = Faults::default();
    for (what, bytes) in &cases {
        rig.origin.answer_and_close("/short", bytes.as_str());
        let request = rig.head("GET", "/short", &[]) + &rig.head("GET", "/well", &[]);
        let heard = rig.say_and_be_closed(what, &[request.as_bytes()]);
        let text = heard.text();
        // The head may have gone by the time the fault shows: then only a close can tell.
        faults.check(
            !text.contains("\r\n0\r\n\r\n")
                && !text.ends_with("well")
                && heard.statuses().len() == 1,
            || format!("{what}: {text}"),
        );
    }
    for record in rig.records(cases.len()) {
        faults.check(field(&record, "end") == "upstream", || format!("{record}"));
    }
    rig.others_are_served();
}

/// What stands behind a whole answer: an answer that nobody asked for.
const STRAY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL";

/// RFC 9112, 6.3 and 9.2: bytes behind an answer are never the answer to the next request, whether
/// they come with it or later, and whatever made them stray.
#[test]
fn rfc9112_9_2_stray_bytes_never_answer_the_next_request() {
    let rig = Rig::start();
    let cases = [
        ("behind a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        (
            "behind chunks",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        ),
        ("behind a zero length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("as the body of 204", "GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            "as the body of 204 with a length",
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 42\r\n\r\n",
        ),
        (
            "as the body of 204 with a coding",
            "GET",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        ("as the body of 304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n"),
        ("as the body of HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n"),
    ];
    let mut faults = Faults::default();
    for rest_ms in [0, 30] {
        for (what, method, bytes) in cases {
            rig.origin.on("/stray", move |line, head| {
                line.body(head)?;
                if rest_ms == 0 {
                    line.say(&[bytes.as_bytes(), STRAY.as_bytes()].concat())?;
                } else {
                    line.say(bytes.as_bytes())?;
                    line.say_later(rest_ms, STRAY.as_bytes())?;
                }
                Ok(true)
            });
            let mut client = rig.connect();
            client.send(rig.head(method, "/stray", &[]).as_bytes());
            let answer = client.read(method);
            faults.check(matches!(answer.status, 200 | 204 | 304), || {
                format!("{what}: {}", answer.head)
            });
            std::thread::sleep(Duration::from_millis(2 * rest_ms));
            client.send(rig.head("GET", "/next", &[]).as_bytes());
            let next = client.read("GET");
            faults.check(next.text() == "next", || format!("{what} after {rest_ms} ms: {next:?}"));
        }
    }
    rig.records(2 * 2 * cases.len());
}

/// RFC 9110, 8.6 and RFC 9112, 6.1: a 204 says no length and no coding; a HEAD or 304 may say the length
/// of what they leave out.
#[test]
fn rfc9110_8_6_answers_without_a_body_have_none() {
    let rig = Rig::start();
    let cases = [
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", None),
        ("GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 42\r\n\r\n", Some("42")),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 42\r\n\r\n", Some("42")),
    ];
    let mut faults = Faults::default();
    for (method, bytes, length) in cases {
        rig.origin.answer("/none", bytes);
        let request = rig.head(method, "/none", &["Connection: close"]);
        let heard = rig.say_and_be_closed(bytes, &[request.as_bytes()]);
        let text = heard.text().to_ascii_lowercase();
        faults.check(text.ends_with("\r\n\r\n"), || format!("{bytes:?}: {text}"));
        faults.check(!text.contains("transfer-encoding"), || format!("{bytes:?}: {text}"));
        let told = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        // A 304 may as well leave it out.
        faults.check(told == length || (told.is_none() && bytes.contains("304")), || {
            format!("{bytes:?}: {told:?}, not {length:?}")
        });
    }
    rig.records(cases.len());
}

/// RFC 9112, 4 and 9110, 15: what is odd but readable goes on.
#[test]
fn rfc9112_4_odd_status_lines_that_can_be_read_go_on() {
    let rig = Rig::start();
    let cases = [
        ("HTTP/1.1 200\r\n", 200),
        ("HTTP/1.1 200 \r\n", 200),
        ("HTTP/1.1 200 All is well, isn't it?\r\n", 200),
        ("HTTP/1.1 299 Unheard Of\r\n", 299),
        ("HTTP/1.1 599 \r\n", 599),
        ("HTTP/1.0 404 Not Found\r\n", 404),
    ];
    for (line, status) in cases {
        rig.origin.answer("/odd", format!("{line}Content-Length: 4\r\n\r\nbody"));
        let mut client = rig.connect();
        client.send(rig.head("GET", "/odd", &[]).as_bytes());
        let answer = client.read("GET");
        assert_eq!((answer.status, answer.text().as_str()), (status, "body"), "{line:?}");
    }
    rig.records(cases.len());
}

/// RFC 9110, 15.2 and RFC 9112, 9.2: a switch that nobody asked for is a fault of the site; what it sends
/// behind it reaches nobody.
#[test]
fn rfc9110_15_2_2_an_unasked_101_becomes_502() {
    let rig = Rig::start();
    let switches = [
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nContent-Length: 42\r\n\r\n",
    ];
    for switch in switches {
        rig.origin.answer("/switch", switch.to_owned() + STRAY);
        let mut client = rig.connect();
        client.send(rig.head("GET", "/switch", &[]).as_bytes());
        let answer = client.read("GET");
        assert_eq!(answer.status, 502, "{switch}: {answer:?}");
        client.send(rig.head("GET", "/next", &[]).as_bytes());
        assert_eq!(client.read("GET").text(), "next");
    }
    rig.records(2 * switches.len());
}

/// RFC 9110, 15.2: interim answers come before the final one and never instead of it.
#[test]
fn rfc9110_15_2_the_final_answer_follows_interim_ones() {
    let rig = Rig::start();
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n\
                   HTTP/1.1 102 Processing\r\n\r\n";
    rig.origin
        .answer("/hints", interim.to_owned() + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal");
    let request = rig.head("GET", "/hints", &["Connection: close"]);
    let heard = rig.say_and_be_closed("interim", &[request.as_bytes()]);
    assert_eq!(heard.statuses().last(), Some(&200), "{}", heard.text());
    assert!(heard.text().ends_with("\r\n\r\nfinal"), "{}", heard.text());
    // RFC 9110, 15.2: an HTTP/1.0 client knows no interim answers.
    let old = request.replace("HTTP/1.1", "HTTP/1.0");
    let heard = rig.say_and_be_closed("HTTP/1.0", &[old.as_bytes()]);
    assert_eq!(heard.statuses(), [200], "{}", heard.text());
    assert_eq!(rig.records(2)[0]["status"], 200);
}

/// RFC 9110, 15.5.8 and 11.7.1: only this proxy may ask for the proxy's password.
#[test]
fn rfc9110_11_7_1_a_proxy_challenge_of_a_site_becomes_502() {
    let rig = Rig::start();
    rig.origin.answer(
        "/407",
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\
         Content-Length: 4\r\n\r\nEVIL",
    );
    rig.origin.answer(
        "/challenge",
        "HTTP/1.1 401 Unauthorized\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\
         WWW-Authenticate: Basic realm=\"site\"\r\nProxy-Authentication-Info: x=y\r\n\
         Content-Length: 0\r\n\r\n",
    );
    let mut client = rig.connect();
    client.send(rig.head("GET", "/407", &[]).as_bytes());
    let answer = client.read("GET");
    assert_eq!((answer.status, answer.header("proxy-authenticate")), (502, None), "{answer:?}");
    client.send(rig.head("GET", "/challenge", &[]).as_bytes());
    let answer = client.read("GET");
    assert_eq!((answer.status, answer.header("proxy-authenticate")), (401, None), "{answer:?}");
    assert_eq!(answer.header("proxy-authentication-info"), None);
    assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"site\""));
    rig.records(2);
}

/// RFC 9110, 5.2, 5.3, 7.6 and 6.6.1: fields of an answer go on whole and in order, those of the hop end
/// here, and a date is added where there is none.
#[test]
fn rfc9110_5_3_fields_of_an_answer_go_on() {
    let rig = Rig::start();
    rig.origin.answer(
        "/fields",
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nX-Other: x\r\nSet-Cookie: b=2\r\n\
         Set-Cookie: a=3\r\nConnection: keep-alive, X-Hop, Set-Cookie, Content-Security-Policy\r\n\
         Content-Security-Policy: default-src 'self'\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nAlt-Svc: h3=\":443\"\r\n\
         ETag: W/\"x\"\r\nContent-Length: 2\r\n\r\nok",
    );
    rig.origin.answer(
        "/dated",
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
    );
    let mut client = rig.connect();
    client.send(rig.head("GET", "/fields", &[]).as_bytes());
    let answer = client.read("GET");
    let head = &answer.head;
    let places: Vec<usize> = ["a=1; Path=/", "b=2", "a=3"]
        .iter()
        .map(|value| head.find(&format!("set-cookie: {value}\r\n")).expect(value))
        .collect();
    assert!(places.is_sorted(), "{head}");
    for gone in ["x-hop", "keep-alive", "proxy-connection", "upgrade", "alt-svc"] {
        assert_eq!(answer.header(gone), None, "{gone}: {head}");
    }
    assert_eq!(answer.header("etag"), Some("W/\"x\""));
    assert_eq!(answer.header("content-security-policy"), Some("default-src 'self'"));
    assert!(answer.header("date").is_some(), "{head}");
    client.send(rig.head("GET", "/dated", &[]).as_bytes());
    let answer = client.read("GET");
    assert_eq!(answer.head.matches("date: ").count(), 1, "{}", answer.head);
    assert_eq!(answer.header("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    rig.records(2);
}

/// RFC 9112, 6.3 (rule 8) and 7.1: an answer that ends with its connection becomes chunks, and for an
/// HTTP/1.0 client a close.
#[test]
fn rfc9112_6_3_an_answer_without_a_length_is_framed_anew() {
    let rig = Rig::start();
    rig.origin.answer_and_close("/open", "HTTP/1.1 200 OK\r\n\r\nuntil the end");
    rig.origin.answer(
        "/chunks",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nuntil\r\n8\r\n the end\r\n0\r\n\r\n",
    );
    for path in ["/open", "/chunks"] {
        let mut client = rig.connect();
        client.send(rig.head("GET", path, &[]).as_bytes());
        let answer = client.read("GET");
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "{answer:?}");
        assert_eq!(answer.text(), "until the end");
        let old = rig.head("GET", path, &[]).replace("HTTP/1.1", "HTTP/1.0");
        let heard = rig.say_and_be_closed(path, &[old.as_bytes()]);
        let text = heard.text().to_ascii_lowercase();
        assert!(!text.contains("transfer-encoding"), "{text}");
        assert!(text.ends_with("\r\n\r\nuntil the end"), "{text}");
    }
    rig.records(4);
}

/// RFC 9112, 9.5: an answer that comes before the request was sent whole goes back at once, and the
/// upload neither hangs nor runs into the next request.
#[test]
fn rfc9112_9_5_an_early_answer_ends_the_upload() {
    let rig = Rig::start();
    rig.origin.on("/early", |line, _| {
        line.say(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig",
        )?;
        Ok(false)
    });
    let mut client = rig.connect();
    client
        .send((rig.head("POST", "/early", &["Content-Length: 1000000"]) + "only some").as_bytes());
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let answer = client.read("POST");
    assert_eq!((answer.status, answer.text().as_str()), (413, "big"), "{answer:?}");
    drop(client);
    rig.others_are_served();
    rig.records(2);
}

/// RFC 9110, 6.5.1: trailers of an answer bring no cookies, framing or challenges behind the head.
#[test]
fn rfc9110_6_5_1_answer_trailers_of_the_hop_end_here() {
    let rig = Rig::start();
    rig.origin.answer(
        "/trailers",
        "HTTP/1.1 200 OK\r\nTrailer: Proxy-Authenticate, Alt-Svc, Keep-Alive, Via, X-Sum\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nProxy-Authenticate: Basic realm=x\r\n\
         Alt-Svc: h3\r\nKeep-Alive: timeout=5\r\nVia: 1.1 x\r\nX-Sum: 1\r\n\r\n",
    );
    let mut client = rig.connect();
    client.send(rig.head("GET", "/trailers", &["TE: trailers", "Connection: TE"]).as_bytes());
    let answer = client.read("GET");
    let trailers: Vec<String> = answer.trailers.iter().map(|t| t.to_ascii_lowercase()).collect();
    assert_eq!(trailers, ["x-sum: 1"], "{answer:?}");
    rig.records(1);
}

/// RFC 9110, 15.2: interim answers go on, each once and in order, but not those of the hop itself.
#[test]
fn rfc9110_15_2_interim_answers_are_forwarded() {
    let rig = Rig::start();
    rig.origin.answer(
        "/hints",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nKeep-Alive: x\r\nAlt-Svc: h3\r\n\r\n\
         HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal",
    );
    let heard = rig.say_and_be_closed(
        "interim",
        &[rig.head("GET", "/hints", &["Connection: close"]).as_bytes()],
    );
    let text = heard.text().to_ascii_lowercase();
    assert_eq!(heard.statuses(), [103, 102, 200], "{text}");
    assert!(text.contains("link: </a.css>; rel=preload"), "{text}");
    let first = text.split("\r\n\r\n").next().unwrap();
    assert!(!first.contains("alt-svc") && !first.contains("keep-alive:"), "{text}");
    assert_eq!(rig.records(1)[0]["status"], 200);
}

/// RFC 9112, 6.1 and 7: codings that nobody asked for and this proxy cannot undo make the answer unreadable:
/// without them the bytes would mean something else.
#[test]
fn rfc9112_6_1_an_answer_with_another_coding_becomes_502() {
    let rig = Rig::start();
    let mut faults = Faults::default();
    let codings = [
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: \"chunked\"",
    ];
    for coding in codings {
        rig.origin.answer_and_close(
            "/coded",
            format!("HTTP/1.1 200 OK\r\n{coding}\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n"),
        );
        let mut client = rig.connect();
        client.send(rig.head("GET", "/coded", &[]).as_bytes());
        let answer = client.read("GET");
        faults.check(answer.status == 502, || format!("{coding}: {answer:?}"));
    }
    rig.records(codings.len());
}

/// RFC 9110, 15.2 and 17: a site that never comes to its answer is given up on, and costs no one else.
#[test]
fn rfc9110_15_2_a_flood_of_interim_answers_becomes_502() {
    let rig = Rig::start();
    rig.origin.on("/flood", |line, _| {
        let many = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(500);
        for _ in 0..200 {
            line.say(many.as_bytes())?;
        }
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")?;
        Ok(false)
    });
    let heard = rig.say_and_be_closed(
        "flood",
        &[rig.head("GET", "/flood", &["Connection: close"]).as_bytes()],
    );
    assert_eq!(heard.statuses().last(), Some(&502), "{} answers", heard.statuses().len());
    assert!(heard.statuses().len() < 101, "{} answers", heard.statuses().len());
    rig.records(1);
}

/// RFC 9112, 5.1: blanks before the colon of an answer's field are taken out, not passed on.
#[test]
fn rfc9112_5_1_blanks_before_the_colon_of_an_answer_are_taken_out() {
    let rig = Rig::start();
    rig.origin
        .answer_and_close("/blank", "HTTP/1.1 200 OK\r\nX-A : a\r\nContent-Length : 2\r\n\r\nok");
    let mut client = rig.connect();
    client.send(rig.head("GET", "/blank", &[]).as_bytes());
    let answer = client.read("GET");
    assert_eq!((answer.status, answer.header("x-a")), (200, Some("a")), "{answer:?}");
    rig.records(1);
}

/// RFC 9110, 7.7, 8.4, 10.1.3, 10.2.4, 11.6.1: what is packed goes on packed, byte for byte, and so do the
/// wishes for it; who asks, who serves and how to sign in to a site stay as they were said.
#[test]
fn rfc9110_7_7_packed_content_and_what_is_said_of_it_are_not_touched() {
    let rig = Rig::start();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    std::io::Write::write_all(&mut packed, b"not really smaller").unwrap();
    let packed = &packed.finish().unwrap()[..];
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\nServer: a/1 (b)\r\n\
         WWW-Authenticate: Digest realm=\"a, b\", nonce=\"c\"\r\nAuthentication-Info: nextnonce=\"d\"\r\n\
         Cache-Control: no-transform\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    )
    .into_bytes();
    answer.extend_from_slice(packed);
    rig.origin.answer("/packed", answer);
    let asked = [
        "Accept-Encoding: br;q=1.0, gzip;q=0.8, *;q=0.1",
        "Referer: http://library.test/a?b#c",
        "From: head@school.test",
        "Range: bytes=0-",
        "If-None-Match: W/\"x\", \"y\"",
    ];
    let mut client = rig.connect();
    client.send(rig.head("GET", "/packed", &asked).as_bytes());
    let answer = client.read("GET");
    assert_eq!(answer.body, packed);
    for (name, value) in [
        ("content-encoding", "gzip"),
        ("vary", "Accept-Encoding"),
        ("server", "a/1 (b)"),
        ("www-authenticate", "Digest realm=\"a, b\", nonce=\"c\""),
        ("authentication-info", "nextnonce=\"d\""),
        ("cache-control", "no-transform"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{answer:?}");
    }
    let received = rig.origin.received().to_ascii_lowercase();
    // Any other coding would hide what the page says: that one is not asked for.
    let known = "Accept-Encoding: br;q=1.0, gzip;q=0.8";
    for line in asked.into_iter().skip(1).chain([known]) {
        assert!(received.contains(&format!("\r\n{}\r\n", line.to_ascii_lowercase())), "{received}");
    }
    rig.records(1);
}
