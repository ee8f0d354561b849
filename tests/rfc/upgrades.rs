//! Leaving HTTP (RFC 9110, 7.8, 9.3.6 and 15.2.2): bytes pass unread only behind a switch or tunnel that
//! was asked for, decided about and agreed to.

use super::{Faults, PATIENCE, Rig, field, hear};
use std::time::Duration;

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

/// An origin that agrees to everything and then says what it hears, in capitals.
fn agree(rig: &Rig, path: &str, answer: &'static str) {
    rig.origin.on(path, move |line, _| {
        line.say(answer.as_bytes())?;
        let heard = line.exactly(5)?;
        line.say(&heard.to_ascii_uppercase())?;
        Ok(false)
    });
}

/// RFC 9110, 7.8: a switch that was asked for and agreed to carries bytes both ways, also those that came
/// with the request.
#[test]
fn rfc9110_7_8_an_agreed_switch_carries_bytes() {
    let rig = Rig::start();
    agree(&rig, "/ws", SWITCH);
    let fields = ["Connection: Upgrade", "Upgrade: websocket"];
    let mut client = rig.connect();
    client.send((rig.head("GET", "/ws", &fields) + "frame").as_bytes());
    let answer = client.read_head().unwrap();
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")), "{answer:?}");
    assert!(answer.header("connection").is_some_and(|c| c.eq_ignore_ascii_case("upgrade")));
    let heard = hear_all(&mut client);
    assert_eq!(heard, "FRAME");
    let received = rig.origin.received();
    assert!(received.contains("\r\nupgrade: websocket\r\n"), "{received}");
    assert!(received.contains("\r\nconnection: upgrade\r\n"), "{received}");
    drop(client);
    let record = &rig.records(1)[0];
    assert_eq!((&record["status"], field(record, "verdict")), (&101.into(), "allow"), "{record}");
}

fn hear_all(client: &mut crate::client::Client) -> String {
    let mut heard = client.read_some().unwrap();
    if heard.len() < 5 {
        heard.extend(hear(client, PATIENCE).bytes);
    }
    String::from_utf8(heard).unwrap()
}

/// RFC 9110, 7.8: what the origin answers instead of a switch is an ordinary answer, and what the client
/// sent behind its request is read as HTTP or not at all.
#[test]
fn rfc9110_7_8_without_a_real_switch_there_is_no_tunnel() {
    let rig = Rig::start();
    let answers = [
        ("a refusal", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"),
        (
            "a refusal dressed up",
            "HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno",
        ),
        (
            "426",
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nno",
        ),
        (
            "another status near it",
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        ),
    ];
    for (what, answer) in answers {
        rig.origin.answer("/ws", answer);
        let fields = ["Connection: Upgrade", "Upgrade: websocket"];
        let request =
            rig.head("GET", "/ws", &fields) + &rig.head("GET", "/second", &["Connection: close"]);
        let mark = rig.origin.mark();
        let heard = rig.say_and_be_closed(what, &[request.as_bytes()]);
        let statuses = heard.statuses();
        assert!(!statuses.contains(&101), "{what}: {}", heard.text());
        let received = rig.origin.since(mark);
        // A second request that went on was decided about like any other: it has a Via.
        let through = received.matches("GET ").count();
        assert_eq!(received.matches("via: 1.1 schoolgate").count(), through, "{what}: {received}");
    }
    let records = rig.daemon.wait_records(answers.len());
    assert!(records.iter().all(|record| record["status"] != 101), "{records:#?}");
}

/// RFC 9110, 7.8: a switch to something that was not asked for, or to nothing, is a fault of the site.
#[test]
fn rfc9110_7_8_a_switch_to_something_else_becomes_502() {
    let rig = Rig::start();
    let answers = [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocketx\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
    ];
    for answer in answers {
        agree(&rig, "/other", answer);
        let mut client = rig.connect();
        let fields = ["Connection: Upgrade", "Upgrade: websocket"];
        client.send((rig.head("GET", "/other", &fields) + "frame").as_bytes());
        let said = client.read("GET");
        assert_eq!(said.status, 502, "{answer}: {said:?}");
        assert!(!said.text().contains("FRAME"));
    }
    assert!(!rig.origin.received().contains("frame"), "{}", rig.origin.received());
    let records = rig.daemon.wait_records(answers.len());
    assert!(records.iter().all(|record| record["status"] != 101), "{records:#?}");
}

/// RFC 9110, 7.6.1 and 7.8; RFC 9113, 3.1: an upgrade that is not asked for in order, or that leads to
/// HTTP/2 in the clear, where nobody would see the requests, does not go on; the request itself does.
#[test]
fn rfc9113_3_1_h2c_and_half_asked_upgrades_are_not_passed() {
    let rig = Rig::start();
    let cases: [&[&str]; 11] = [
        &["Upgrade: websocket"],
        &["Upgrade: websocket", "Connection: close"],
        &[
            "Upgrade: h2c",
            "Connection: Upgrade, HTTP2-Settings",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
        ],
        &["Upgrade: h2c", "Connection: Upgrade"],
        &["Upgrade: H2C", "Connection: upgrade"],
        &["Upgrade: h2", "Connection: upgrade"],
        &["Upgrade: websocket, h2c", "Connection: upgrade"],
        &["Upgrade: h2c, websocket", "Connection: upgrade"],
        &["Upgrade: h2c/1.0", "Connection: upgrade"],
        &["Upgrade:\th2c", "Connection: close, upgrade"],
        &["HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: HTTP2-Settings"],
    ];
    let mut faults = Faults::default();
    for fields in cases {
        let mark = rig.origin.mark();
        let mut client = rig.connect();
        client.send(rig.head("GET", "/plain", fields).as_bytes());
        let answer = client.read("GET");
        let received = rig.origin.since(mark).to_ascii_lowercase();
        faults.check(answer.text() == "plain", || format!("{fields:?}: {answer:?}"));
        for gone in ["\r\nupgrade:", "http2-settings", "h2c", "\r\nconnection: upgrade"] {
            faults.check(!received.contains(gone), || format!("{fields:?}: {gone}: {received}"));
        }
    }
    rig.records(cases.len());
}

/// RFC 9113, 3.1: of several `Upgrade` lines none smuggles HTTP/2 past the one that is looked at.
#[test]
fn rfc9113_3_1_a_second_upgrade_line_smuggles_no_h2c() {
    let rig = Rig::start();
    for fields in [
        ["Upgrade: websocket", "Upgrade: h2c", "Connection: upgrade"],
        ["Upgrade: h2c", "Upgrade: websocket", "Connection: upgrade"],
    ] {
        let mark = rig.origin.mark();
        let mut client = rig.connect();
        client.send(rig.head("GET", "/lines", &fields).as_bytes());
        assert_eq!(client.read("GET").status, 200);
        assert!(!rig.origin.since(mark).contains("h2c"), "{}", rig.origin.since(mark));
    }
    rig.records(2);
}

/// RFC 9113, 3.3: HTTP/2 without asking is no HTTP/1.1 request.
#[test]
fn rfc9113_3_4_an_http2_preface_is_refused() {
    let rig = Rig::start();
    let heard = rig
        .say_and_be_closed("preface", &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"]);
    assert!(!heard.statuses().contains(&200), "{}", heard.text());
    rig.records(1);
    assert_eq!(rig.origin.connections(), 0);
}

/// RFC 9110, 9.3.6: CONNECT has no body, and its answer none either; what follows a refusal is no request.
#[test]
fn rfc9110_9_3_6_connect_has_no_body() {
    let rig = Rig::start();
    let target = format!("library.test:{}", rig.daemon.origin.http.port());
    let cases = ["Content-Length: 5", "Transfer-Encoding: chunked"];
    for fields in cases {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{fields}\r\n\r\n")
            + &rig.smuggled();
        let heard = rig.say_and_be_closed(fields, &[request.as_bytes()]);
        assert_eq!(heard.statuses(), [400], "{fields}");
    }
    let refused = format!(
        "CONNECT casino.test:{} HTTP/1.1\r\nHost: casino.test\r\n\r\n{}",
        rig.daemon.origin.http.port(),
        rig.smuggled()
    );
    let heard = rig.say_and_be_closed("refused", &[refused.as_bytes()]);
    assert_eq!(heard.statuses(), [403], "{}", heard.text());
    let mut client = rig.connect();
    client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes());
    let answer = client.read_head().unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-length"), None, "{answer:?}");
    assert_eq!(answer.header("transfer-encoding"), None, "{answer:?}");
    drop(client);
    rig.records(4);
    assert_eq!(rig.origin.connections(), 0);
}

/// RFC 9112, 9.8 and RFC 9110, 9.3.6: a tunnel passes on that one side has no more to say.
#[test]
fn rfc9110_9_3_6_a_tunnel_passes_on_a_half_close() {
    let rig = Rig::start();
    let target = format!("library.test:{}", rig.daemon.origin.http.port());
    let mut client = rig.connect();
    client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes());
    assert_eq!(client.read_head().unwrap().status, 200);
    client.send(b"GET /slow/200 HTTP/1.1\r\nHost: library.test\r\nConnection: close\r\n\r\n");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let answer = client.read("GET");
    assert_eq!(answer.text(), "slow", "{answer:?}");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(field(&rig.records(1)[0], "end"), "complete");
}

/// RFC 9110, 7.8 and RFC 2817: TLS or another HTTP behind an upgrade would carry requests that nobody sees.
#[test]
fn rfc9110_7_8_upgrades_that_hide_requests_are_not_passed() {
    let rig = Rig::start();
    let mut faults = Faults::default();
    let protocols =
        ["TLS/1.0", "TLS/1.3, HTTP/1.1", "HTTP/2.0", "http/3", "IRC/6.9", "connect-udp", "x"];
    for protocol in protocols {
        let mark = rig.origin.mark();
        let mut client = rig.connect();
        let upgrade = format!("Upgrade: {protocol}");
        client.send(rig.head("GET", "/plain", &["Connection: Upgrade", &upgrade]).as_bytes());
        let answer = client.read("GET");
        let received = rig.origin.since(mark).to_ascii_lowercase();
        faults.check(answer.text() == "plain" && !received.contains("\r\nupgrade:"), || {
            format!("{protocol}: {received}")
        });
    }
    rig.records(protocols.len());
}

/// RFC 9110, 7.8: HTTP/1.0 knows no upgrades.
#[test]
fn rfc9110_7_8_an_upgrade_in_http_1_0_is_not_passed() {
    let rig = Rig::start();
    let request = rig
        .head("GET", "/plain", &["Connection: Upgrade", "Upgrade: websocket"])
        .replace("HTTP/1.1", "HTTP/1.0");
    let heard = rig.say_and_be_closed("HTTP/1.0", &[request.as_bytes()]);
    assert_eq!(heard.statuses(), [200]);
    assert!(!rig.origin.received().contains("upgrade"), "{}", rig.origin.received());
    rig.records(1);
}
