//! Clients that speak HTTP/2 inside a tunnel to do harm (RFC 9113, 10.5), or that have two meanings:
//! frame by frame, over real TLS.

use super::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, Peer, RST_STREAM, WINDOW_UPDATE,
    frame, headers, number, settings,
};
use super::hpack::{block, field};
use crate::daemon::{Daemon, KS2};
use crate::inspected::{Secure, authority, school, trusting};
use rustls::{ClientConnection, StreamOwned};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A client's end of HTTP/2.
pub(super) type Raw = Peer<StreamOwned<ClientConnection, TcpStream>>;

impl Raw {
    /// A connection that has said nothing yet, inside a tunnel to `host:port`.
    pub(super) fn connect(daemon: &Daemon, to: &str) -> Self {
        let pem = std::fs::read(authority(daemon)).unwrap();
        let name = to.rsplit_once(':').unwrap().0;
        let config = trusting(&pem, &[b"h2"]);
        let tunnel = Secure::open_to(daemon, KS2, to, name, config).unwrap();
        tunnel.stream.sock.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Self::new(tunnel.stream)
    }

    /// The same with a beginning: the preface and these settings.
    pub(super) fn open_with(daemon: &Daemon, to: &str, values: &[(u16, u32)]) -> Self {
        let mut raw = Self::connect(daemon, to);
        raw.send(&[PREFACE, &settings(values)].concat());
        raw
    }

    /// A beginning without wishes.
    pub(super) fn open(daemon: &Daemon) -> Self {
        Self::open_with(daemon, &daemon.authority("library.test"), &[])
    }
}

/// The fields of a request.
pub(super) fn request<'a>(
    method: &'a str,
    host: &'a str,
    path: &'a str,
) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
}

/// The filter answers others as if nothing had been.
pub(super) fn still_serves(daemon: &Daemon) {
    let begun = Instant::now();
    let answer = daemon.get_from(KS2, &daemon.url("library.test", "/size/4"));
    assert_eq!(answer.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn rfc9113_8_3_requests_with_two_meanings_go_nowhere() {
    let daemon = school();
    let host = daemon.authority("library.test");
    let good = block(&request("GET", &host, "/size/1"));
    let with = |name: &str, value: &str| [good.clone(), field(name, value)].concat();
    let asked = |method: &str, host: &str, path: &str| block(&request(method, host, path));
    let malformed = [
        ("a field in upper case (8.2.1)", with("X-Upper", "1")),
        ("a field of the connection (8.2.2)", with("connection", "close")),
        ("a field of the connection (8.2.2)", with("keep-alive", "timeout=5")),
        ("a field of the connection (8.2.2)", with("proxy-connection", "close")),
        ("a field of the connection (8.2.2)", with("upgrade", "websocket")),
        ("a transfer coding (8.2.2)", with("transfer-encoding", "chunked")),
        ("TE that is no trailers (8.2.2)", with("te", "gzip")),
        ("a line break in a value (8.2.1, 10.3)", with("x-split", "a\r\nhost: casino.test")),
        ("a bare line feed in a value (8.2.1, 10.3)", with("x-split", "a\nb")),
        ("a NUL in a value (8.2.1, 10.3)", with("x-nul", "a\0b")),
        ("a line break in a name (8.2.1, 10.3)", with("x-a: b\r\nx-c", "d")),
        ("a colon in a name (8.2.1, 10.3)", with("x-a:b", "d")),
        ("a blank in a name (8.2.1, 10.3)", with("x a", "d")),
        ("no name (8.2.1)", with("", "d")),
        ("a second path (8.3)", with(":path", "/two")),
        ("a second method (8.3)", with(":method", "POST")),
        ("a second authority (8.3)", with(":authority", "casino.test")),
        (
            "a pseudo-field behind others (8.3)",
            [with("x-a", "b"), field(":scheme", "https")].concat(),
        ),
        ("a pseudo-field of answers (8.3)", [field(":status", "200"), good.clone()].concat()),
        ("no path (8.3.1)", {
            [field(":method", "GET"), field(":scheme", "https"), field(":authority", &host)]
                .concat()
        }),
        ("no method (8.3.1)", block(&request("GET", &host, "/size/1")[1..])),
        ("an empty path (8.3.1)", asked("GET", &host, "")),
        ("a path without a slash (8.3.1)", asked("GET", &host, "size/1")),
        ("a second line in the path (10.3)", asked("GET", &host, "/size/1 HTTP/1.1\r\nx: y")),
        (
            "a second line in the method (10.3)",
            asked("GET / HTTP/1.1\r\nx: y\r\n\r\nGET", &host, "/"),
        ),
        ("a blank in the method (10.3)", asked("GET /two", &host, "/size/1")),
        ("a second line in the authority (10.3)", {
            asked("GET", &format!("{host}\r\nx: y"), "/size/1")
        }),
        ("user information (8.3.1)", asked("GET", &format!("kim:x@{host}"), "/size/1")),
        ("no authority and no host (8.3.1)", {
            [field(":method", "GET"), field(":scheme", "https"), field(":path", "/")].concat()
        }),
        ("another scheme (8.3.1)", {
            let mut fields = request("GET", &host, "/size/1");
            fields[1].1 = "ftp";
            block(&fields)
        }),
        ("an unknown pseudo-field (8.3)", [field(":other", "x"), good.clone()].concat()),
        ("a length that does not hold (8.1.1)", with("content-length", "5")),
        ("a length that is none (8.1.1)", with("content-length", "+0")),
        ("two lengths (8.1.1)", {
            [with("content-length", "0"), field("content-length", "1")].concat()
        }),
    ];
    for (what, fields) in malformed {
        let mut raw = Raw::open(&daemon);
        raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields));
        let answer = raw.answer(1);
        // An error, or an answer of the filter's own.
        assert!(
            answer.error.is_some() || matches!(answer.status(), 400 | 403 | 405 | 421),
            "{what}: {answer:?}"
        );
        assert!(daemon.origin.asked().is_empty(), "{what}: {:?}", daemon.origin.asked());
    }
    still_serves(&daemon);
}

#[test]
fn rfc9113_8_3_1_an_authority_of_another_site_is_misdirected() {
    let daemon = school();
    let mut raw = Raw::open(&daemon);
    let (host, other) = (daemon.authority("library.test"), daemon.authority("casino.test"));
    raw.send(&headers(1, END_STREAM, &request("GET", &other, "/")));
    assert_eq!(raw.answer(1).status(), 421);
    let mut both = request("GET", &host, "/").to_vec();
    both.push(("host", &other));
    raw.send(&headers(3, END_STREAM, &both));
    assert_eq!(raw.answer(3).status(), 421);
    assert!(daemon.origin.asked().is_empty());
    let records = daemon.wait_records(3);
    let misdirected = |record: &&serde_json::Value| record["reason"] == "misdirected";
    assert_eq!(records.iter().filter(misdirected).count(), 2, "{records:#?}");
}

#[test]
fn rfc9113_10_5_a_rapid_reset_ends_the_connection_and_hurts_nobody() {
    let daemon = school();
    let host = daemon.authority("library.test");
    let mut raw = Raw::open(&daemon);
    let mut sent = 0;
    for turn in 0..2_000_u32 {
        let stream = turn * 2 + 1;
        let open = headers(stream, END_STREAM, &request("GET", &host, "/slow/2000"));
        if !raw.send(&[open, number(RST_STREAM, stream, 8)].concat()) {
            break;
        }
        sent += 1;
    }
    let ended = raw.gone();
    assert!(ended.is_some() || raw.closed, "{sent} streams opened and reset were put up with");
    still_serves(&daemon);
    assert!(daemon.origin.asked().len() < 300, "{} went on", daemon.origin.asked().len());
}

#[test]
fn rfc9113_6_10_a_head_without_end_is_given_up() {
    let daemon = school();
    let mut raw = Raw::open(&daemon);
    let fields = block(&request("GET", &daemon.authority("library.test"), "/"));
    raw.send(&frame(HEADERS, END_STREAM, 1, &fields));
    let piece: Vec<u8> =
        std::iter::repeat_n(field("x-more", &"v".repeat(100)), 100).flatten().collect();
    let mut bytes = 0;
    while bytes < 64 << 20 && raw.send(&frame(CONTINUATION, 0, 1, &piece)) {
        bytes += piece.len();
    }
    assert!(bytes < 16 << 20, "{bytes} bytes of one head were taken");
    let answer = raw.answer(1);
    assert!(answer.error.is_some() || raw.closed, "{answer:?}");
    still_serves(&daemon);
    assert!(daemon.origin.asked().iter().all(|asked| !asked.tls));
}

#[test]
fn rfc7541_7_3_a_small_head_that_unpacks_into_a_large_one_is_refused() {
    let daemon = school();
    let mut raw = Raw::open(&daemon);
    // One field of 4 KB in the table, then thousands of one-byte references to it.
    let mut bomb = block(&request("GET", &daemon.authority("library.test"), "/"));
    bomb.extend_from_slice(&[0x40, 6]);
    bomb.extend_from_slice(b"x-bomb");
    // 3900 as an integer of a 7-bit prefix: 127, then 3773 in groups of seven.
    bomb.extend_from_slice(&[0x7f, 0xbd, 0x1d]);
    bomb.extend_from_slice(&vec![b'b'; 3900]);
    bomb.extend(std::iter::repeat_n(0xbe, 12_000));
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb));
    let answer = raw.answer(1);
    assert_ne!(answer.status(), 200, "47 MB of fields were taken: {answer:?}");
    assert!(daemon.origin.asked().is_empty());
    still_serves(&daemon);
}

/// RFC 9113, 10.5: frames that cost their sender nothing and have no end. Nothing piles up, and nobody
/// else waits.
#[test]
fn rfc9113_10_5_floods_of_cheap_frames_do_not_pile_up() {
    let daemon = school();
    let host = daemon.authority("library.test");
    let before = resident_kb(&daemon);
    let floods = [
        ("settings", settings(&[])),
        ("settings that change the table", settings(&[(1, 0), (1, 4096)])),
        ("pings", frame(PING, 0, 0, &[7; 8])),
        ("priorities", frame(super::frames::PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("windows", number(WINDOW_UPDATE, 0, 1)),
        ("empty data", frame(super::frames::DATA, 0, 1, &[])),
        ("padded empty data", frame(super::frames::DATA, super::frames::PADDED, 1, &[0])),
        ("unknown frames", frame(0xbe, 0, 0, &[7; 8])),
    ];
    for (what, cheap) in floods {
        let mut raw = Raw::open(&daemon);
        raw.stream.sock.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        // A body that has no end.
        raw.send(&headers(1, 0, &request("POST", &host, "/upload")));
        let many = cheap.repeat(1_000);
        // Answers are never read: a filter that kept them all would grow by them.
        for _ in 0..500 {
            if !raw.send(&many) {
                break;
            }
        }
        still_serves(&daemon);
        let grown = resident_kb(&daemon).saturating_sub(before);
        assert!(grown < 32 * 1024, "{what}: grew by {grown} KB");
    }
}

pub(super) fn resident_kb(daemon: &Daemon) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", daemon.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
