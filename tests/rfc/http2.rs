//! Clients that speak HTTP/2 inside a tunnel to do harm (RFC 9113, 10.5), or that have two meanings:
//! frame by frame, over real TLS.

use crate::daemon::{Daemon, KS2};
use crate::inspected::{Secure, authority, school, trusting};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// One frame as it goes over the wire (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A literal field that is not put into the table (RFC 7541, 6.2.2), names and values under 127
/// bytes.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0];
    for text in [name, value] {
        assert!(text.len() < 127);
        block.push(u8::try_from(text.len()).unwrap());
        block.extend_from_slice(text.as_bytes());
    }
    block
}

/// The fields of a GET.
fn get(host: &str, path: &str) -> Vec<u8> {
    [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", path)]
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

/// A client's end of HTTP/2.
struct Raw {
    tunnel: Secure,
    read: Vec<u8>,
}

impl Raw {
    fn open(daemon: &Daemon) -> Self {
        let pem = std::fs::read(authority(daemon)).unwrap();
        let config = trusting(&pem, &[b"h2"]);
        let tunnel = Secure::open_as(daemon, KS2, "library.test", "library.test", config).unwrap();
        tunnel.stream.sock.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut raw = Self { tunnel, read: Vec::new() };
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat());
        raw
    }

    /// Sends; a connection that is gone by now is for the reader to find.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.tunnel.stream.write_all(bytes).and_then(|()| self.tunnel.stream.flush()).is_ok()
    }

    /// The next frame; `None` once the connection has ended or is silent.
    fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        loop {
            if self.read.len() >= 9 {
                let length = u32::from_be_bytes([0, self.read[0], self.read[1], self.read[2]]);
                let end = 9 + length as usize;
                if self.read.len() >= end {
                    let frame: Vec<u8> = self.read.drain(..end).collect();
                    let stream = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
                    return Some((frame[3], frame[4], stream, frame[9..].to_vec()));
                }
            }
            let mut piece = [0; 16 * 1024];
            match self.tunnel.stream.read(&mut piece) {
                Ok(bytes) if bytes > 0 => self.read.extend_from_slice(&piece[..bytes]),
                _ => return None,
            }
        }
    }

    /// What a stream comes to: `Ok` with the first byte of its fields, or the error that it or the
    /// connection was ended with.
    fn outcome(&mut self, of: u32) -> Result<u8, u32> {
        while let Some((kind, _, stream, payload)) = self.next() {
            let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            match kind {
                HEADERS if stream == of => return Ok(payload[0]),
                RST_STREAM if stream == of => return Err(code(0)),
                GOAWAY if code(4) != 0 => return Err(code(4)),
                _ => {}
            }
        }
        Err(u32::MAX)
    }
}

/// The filter answers others as if nothing had been.
fn still_serves(daemon: &Daemon) {
    let begun = Instant::now();
    let answer = daemon.get_from(KS2, &daemon.url("library.test", "/size/4"));
    assert_eq!(answer.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn rfc9113_8_3_requests_with_two_meanings_go_nowhere() {
    let daemon = school();
    let host = daemon.authority("library.test");
    let good = get(&host, "/size/1");
    let with = |name: &str, value: &str| [good.clone(), field(name, value)].concat();
    let malformed = [
        ("a field in upper case (8.2.1)", with("X-Upper", "1")),
        ("a field of the connection (8.2.2)", with("connection", "close")),
        ("a transfer coding (8.2.2)", with("transfer-encoding", "chunked")),
        ("TE that is no trailers (8.2.2)", with("te", "gzip")),
        ("a line break in a value (8.2.1)", with("x-split", "a\r\nhost: casino.test")),
        ("a NUL in a value (8.2.1)", with("x-nul", "a\0b")),
        ("a second path (8.3)", with(":path", "/two")),
        (
            "a pseudo-field behind others (8.3)",
            [with("x-a", "b"), field(":scheme", "https")].concat(),
        ),
        ("no path (8.3.1)", {
            [field(":method", "GET"), field(":scheme", "https"), field(":authority", &host)]
                .concat()
        }),
        ("an unknown pseudo-field (8.3)", [field(":other", "x"), good.clone()].concat()),
        ("a length that does not hold (8.1.1)", with("content-length", "5")),
    ];
    for (what, fields) in malformed {
        let mut raw = Raw::open(&daemon);
        raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields));
        match raw.outcome(1) {
            Err(_) => {}
            // An answer of the filter's own, 400 or 403: no index of the static table but those of
            // errors (RFC 7541, A: 8 is 200).
            Ok(first) => assert_ne!(first, 0x88, "{what}: was answered 200"),
        }
        assert!(daemon.origin.asked().is_empty(), "{what}: {:?}", daemon.origin.asked());
    }
    still_serves(&daemon);
}

#[test]
fn rfc9113_8_3_1_an_authority_of_another_site_is_misdirected() {
    let daemon = school();
    let mut raw = Raw::open(&daemon);
    let other = daemon.authority("casino.test");
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &get(&other, "/")));
    assert!(raw.outcome(1).is_ok_and(|first| first != 0x88));
    let both = [get(&daemon.authority("library.test"), "/"), field("host", &other)].concat();
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 3, &both));
    assert!(raw.outcome(3).is_ok_and(|first| first != 0x88));
    assert!(daemon.origin.asked().is_empty());
    let records = daemon.wait_records(3);
    let misdirected = |record: &&serde_json::Value| record["reason"] == "misdirected";
    assert_eq!(records.iter().filter(misdirected).count(), 2, "{records:#?}");
}

#[test]
fn rfc9113_10_5_a_rapid_reset_ends_the_connection_and_hurts_nobody() {
    let daemon = school();
    let fields = get(&daemon.authority("library.test"), "/slow/2000");
    let mut raw = Raw::open(&daemon);
    let mut sent = 0;
    for number in 0..2_000_u32 {
        let stream = number * 2 + 1;
        let open = frame(HEADERS, END_STREAM | END_HEADERS, stream, &fields);
        let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        if !raw.send(&[open, reset].concat()) {
            break;
        }
        sent += 1;
    }
    let ended = raw.outcome(u32::MAX);
    assert!(ended.is_err(), "{sent} streams opened and reset were put up with");
    still_serves(&daemon);
    assert!(daemon.origin.asked().len() < 300, "{} went on", daemon.origin.asked().len());
}

#[test]
fn rfc9113_6_10_a_head_without_end_is_given_up() {
    let daemon = school();
    let mut raw = Raw::open(&daemon);
    raw.send(&frame(HEADERS, END_STREAM, 1, &get(&daemon.authority("library.test"), "/")));
    let piece: Vec<u8> =
        std::iter::repeat_n(field("x-more", &"v".repeat(100)), 100).flatten().collect();
    let mut bytes = 0;
    while bytes < 64 << 20 && raw.send(&frame(CONTINUATION, 0, 1, &piece)) {
        bytes += piece.len();
    }
    assert!(bytes < 16 << 20, "{bytes} bytes of one head were taken");
    assert!(raw.outcome(1).is_err());
    still_serves(&daemon);
    assert!(daemon.origin.asked().iter().all(|asked| !asked.tls));
}

#[test]
fn rfc7541_7_3_a_small_head_that_unpacks_into_a_large_one_is_refused() {
    let daemon = school();
    let mut raw = Raw::open(&daemon);
    // One field of 4 KB in the table, then thousands of one-byte references to it.
    let mut block = get(&daemon.authority("library.test"), "/");
    block.extend_from_slice(&[0x40, 6]);
    block.extend_from_slice(b"x-bomb");
    // 3900 as an integer of a 7-bit prefix: 127, then 3773 in groups of seven.
    block.extend_from_slice(&[0x7f, 0xbd, 0x1d]);
    block.extend_from_slice(&vec![b'b'; 3900]);
    block.extend(std::iter::repeat_n(0xbe, 12_000));
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block));
    let outcome = raw.outcome(1);
    assert!(outcome != Ok(0x88), "47 MB of fields were taken: {outcome:?}");
    assert!(daemon.origin.asked().is_empty());
    still_serves(&daemon);
}

#[test]
fn rfc9113_10_5_floods_of_settings_and_pings_do_not_pile_up() {
    let daemon = school();
    let before = resident_kb(&daemon);
    for (kind, payload) in [(SETTINGS, &[][..]), (PING, &[7; 8][..])] {
        let mut raw = Raw::open(&daemon);
        raw.tunnel.stream.sock.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let many = frame(kind, 0, 0, payload).repeat(1_000);
        // Answers are never read: a filter that kept them all would grow by them.
        for _ in 0..500 {
            if !raw.send(&many) {
                break;
            }
        }
        still_serves(&daemon);
    }
    let grown = resident_kb(&daemon).saturating_sub(before);
    assert!(grown < 32 * 1024, "grew by {grown} KB");
}

fn resident_kb(daemon: &Daemon) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", daemon.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
