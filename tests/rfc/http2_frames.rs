//! Connections, streams and frames of HTTP/2 as a client may send them (RFC 9113, 3 to 6): what the
//! letter allows is understood, and every fault ends the stream or the connection that it must end,
//! with the right error.

use super::Faults;
use super::frames::*;
use super::hpack::block;
use super::http2::{Raw, request, still_serves};
use crate::daemon::{Daemon, Plan};
use crate::inspected::school;
use std::time::Duration;

/// A host of the school with its port.
fn host(daemon: &Daemon) -> String {
    daemon.authority("library.test")
}

/// RFC 9113, 3.4: both ends begin with SETTINGS; what is no beginning ends the connection.
#[test]
fn rfc9113_3_4_a_connection_begins_with_a_preface_and_settings() {
    let daemon = school();
    let mut raw = Raw::open(&daemon);
    let first = raw.next().unwrap();
    assert_eq!((first.kind, first.flags & ACK, first.stream), (SETTINGS, 0, 0), "{first:?}");
    // RFC 8441, 3: WebSockets may be opened on streams.
    let values: Vec<(u16, u32)> = first
        .payload
        .chunks(6)
        .map(|value| {
            let name = u16::from_be_bytes([value[0], value[1]]);
            (name, u32::from_be_bytes(value[2..].try_into().unwrap()))
        })
        .collect();
    assert!(values.contains(&(8, 1)), "{values:?}");
    let beginnings: [(&str, Vec<u8>); 4] = [
        ("HTTP/1.1", b"GET / HTTP/1.1\r\nHost: library.test\r\n\r\n".to_vec()),
        ("another preface", [b"PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n", &settings(&[])[..]].concat()),
        ("no settings", [PREFACE, &frame(PING, 0, 0, &[0; 8])].concat()),
        (
            "a request first",
            [PREFACE, &headers(1, END_STREAM, &request("GET", &host(&daemon), "/"))].concat(),
        ),
    ];
    for (what, bytes) in beginnings {
        let mut raw = Raw::connect(&daemon, &host(&daemon));
        raw.send(&bytes);
        let gone = raw.gone();
        assert!(gone == Some(PROTOCOL_ERROR) || gone.is_none() && raw.closed, "{what}: {gone:?}");
    }
    assert!(daemon.origin.asked().is_empty());
    still_serves(&daemon);
}

/// RFC 9113, 4.1, 5.5, 6.3, 6.5.2, 6.7, 7: frames, flags, settings and errors that are not known are
/// passed over, and so are priorities; a PING is answered with its own bytes.
#[test]
fn rfc9113_5_5_what_is_not_known_is_passed_over() {
    let daemon = school();
    let host = host(&daemon);
    let mut raw = Raw::open_with(&daemon, &host, &[(0x0a0a, 7), (0xfff0, u32::MAX)]);
    raw.send(&frame(0xbe, 0xff, 0, b"unknown"));
    raw.send(&frame(0xbe, 0xff, 77, b"unknown, on a stream that is none"));
    // Priorities of streams that are none yet, with the exclusive bit (RFC 9113, 5.3.2, 6.3).
    raw.send(&frame(PRIORITY, 0, 5, &[0x80, 0, 0, 3, 255]));
    // ORIGIN, ALTSVC and PRIORITY_UPDATE of a client mean nothing here.
    for kind in [0x0a, 0x0c, 0x10] {
        raw.send(&frame(kind, 0, 0, &[0; 12]));
    }
    // The reserved bit of a stream, flags without meaning, padding and a priority before the block.
    let fields = block(&request("GET", &host, "/size/3"));
    let padded = [&[4, 0, 0, 0, 0, 15][..], &fields, &[0; 4]].concat();
    let flags = END_STREAM | END_HEADERS | PADDED | WITH_PRIORITY | 0x52;
    raw.send(&frame(HEADERS, flags, 1 | 1 << 31, &padded));
    let answer = raw.answer(1);
    assert_eq!((answer.status(), answer.text().as_str()), (200, "sss"), "{answer:?}");
    // A stream that is taken back for an unknown reason, and a window for one that has ended.
    raw.send(&headers(3, END_STREAM, &request("GET", &host, "/slow/300")));
    raw.send(&number(RST_STREAM, 3, 0xdead_beef));
    raw.send(&number(WINDOW_UPDATE, 1, 10));
    raw.send(&frame(PING, 0xfe, 0, b"12345678"));
    let pong = raw.wait(PING, 0);
    assert_eq!((pong.is(ACK), &pong.payload[..]), (true, &b"12345678"[..]));
    // An answer to a PING that was never sent is none to be answered.
    raw.send(&frame(PING, ACK, 0, b"87654321"));
    raw.send(&headers(5, END_STREAM, &request("GET", &host, "/size/2")));
    assert_eq!(raw.answer(5).status(), 200);
}

/// RFC 9113, 6.5.3: SETTINGS are applied in their order and acknowledged, each.
#[test]
fn rfc9113_6_5_3_settings_are_acknowledged() {
    let daemon = school();
    let mut raw = Raw::open(&daemon);
    raw.send(&[settings(&[(3, 5)]), settings(&[]), settings(&[(4, 1000)])].concat());
    for _ in 0..4 {
        loop {
            let frame = raw.wait(SETTINGS, 0);
            if frame.is(ACK) {
                assert!(frame.payload.is_empty());
                break;
            }
        }
    }
}

/// RFC 9113, 4.2, 4.3, 5.1, 5.1.1, 6.1 to 6.10: each fault of the connection ends it, by GOAWAY with
/// the error that the section names.
#[test]
fn rfc9113_5_4_1_faults_of_the_connection_end_it_with_their_error() {
    let daemon = school();
    let host = host(&daemon);
    let fields = block(&request("GET", &host, "/slow/3000"));
    let open = |stream| frame(HEADERS, END_HEADERS, stream, &fields);
    let whole = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields);
    let protocol = &[PROTOCOL_ERROR][..];
    let size = &[FRAME_SIZE_ERROR][..];
    // The letter has the first; h2 says the second (docs/rfc.md, Open).
    let sized = &[FRAME_SIZE_ERROR, PROTOCOL_ERROR][..];
    let packed = &[COMPRESSION_ERROR, PROTOCOL_ERROR][..];
    let flow = &[FLOW_CONTROL_ERROR, PROTOCOL_ERROR][..];
    let cases: Vec<(&str, Vec<u8>, &[u32])> = vec![
        ("4.2, a frame past the size", frame(0xbe, 0, 0, &[0; 16_385]), size),
        ("4.2, DATA past the size", [open(1), frame(DATA, 0, 1, &[0; 16_385])].concat(), size),
        ("4.3, an index that is none", frame(HEADERS, END_HEADERS, 1, &[0x80]), packed),
        ("4.3, an index past the table", frame(HEADERS, END_HEADERS, 1, &[0xff, 0x7f]), packed),
        (
            "4.3, a block that breaks off",
            frame(HEADERS, END_HEADERS, 1, &[0x00, 0x0a, b'x']),
            packed,
        ),
        (
            "4.3, a table larger than was allowed",
            frame(HEADERS, END_HEADERS, 1, &[0x3f, 0xff, 0xff, 0xff, 0x7f]),
            packed,
        ),
        ("5.1, DATA on an idle stream", frame(DATA, 0, 1, b"x"), protocol),
        ("5.1, RST_STREAM on an idle stream", number(RST_STREAM, 1, CANCEL), protocol),
        ("5.1, WINDOW_UPDATE on an idle stream", number(WINDOW_UPDATE, 1, 1), protocol),
        ("5.1.1, an even stream", whole(2), protocol),
        (
            "5.1.1, a stream before the last",
            [whole(5), whole(3)].concat(),
            &[PROTOCOL_ERROR, STREAM_CLOSED],
        ),
        ("6.1, DATA without a stream", frame(DATA, 0, 0, b"x"), protocol),
        (
            "6.1, padding past the frame",
            [open(1), frame(DATA, PADDED, 1, &[5, 0, 0])].concat(),
            protocol,
        ),
        (
            "6.1, a padding without a length",
            [open(1), frame(DATA, PADDED, 1, &[])].concat(),
            &[FRAME_SIZE_ERROR, PROTOCOL_ERROR],
        ),
        ("6.2, HEADERS without a stream", frame(HEADERS, END_HEADERS, 0, &fields), protocol),
        (
            "6.2, padding past the frame",
            frame(HEADERS, END_HEADERS | PADDED, 1, &[200, 0x82]),
            protocol,
        ),
        ("6.3, PRIORITY without a stream", frame(PRIORITY, 0, 0, &[0; 5]), protocol),
        ("6.4, RST_STREAM without a stream", number(RST_STREAM, 0, CANCEL), protocol),
        (
            "6.4, RST_STREAM of another size",
            [open(1), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            sized,
        ),
        ("6.5, SETTINGS on a stream", frame(SETTINGS, 0, 1, &[]), protocol),
        ("6.5, SETTINGS of another size", frame(SETTINGS, 0, 0, &[0; 5]), sized),
        ("6.5, an acknowledgement with settings", frame(SETTINGS, ACK, 0, &[0; 6]), sized),
        ("6.5.2, ENABLE_PUSH that is no switch", settings(&[(2, 2)]), protocol),
        ("6.5.2, a window past 2^31-1", settings(&[(4, 1 << 31)]), flow),
        ("6.5.2, frames below the least size", settings(&[(5, 16_383)]), protocol),
        ("6.5.2, frames past the most size", settings(&[(5, 1 << 24)]), protocol),
        ("8441, 3: a switch that is none", settings(&[(8, 2)]), protocol),
        (
            "6.6, PUSH_PROMISE of a client",
            [open(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x82])].concat(),
            protocol,
        ),
        ("6.7, PING on a stream", frame(PING, 0, 1, &[0; 8]), protocol),
        ("6.7, PING of another size", frame(PING, 0, 0, &[0; 7]), sized),
        ("6.8, GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), protocol),
        ("6.8, GOAWAY of another size", frame(GOAWAY, 0, 0, &[0; 7]), sized),
        ("6.9, a window that grows by nothing", number(WINDOW_UPDATE, 0, 0), protocol),
        ("6.9, WINDOW_UPDATE of another size", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), sized),
        (
            "6.9.1, a window past 2^31-1",
            number(WINDOW_UPDATE, 0, 0x7fff_ffff),
            &[FLOW_CONTROL_ERROR],
        ),
        ("6.10, CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &fields), protocol),
        (
            "6.10, another frame in a block",
            [frame(HEADERS, 0, 1, &fields), frame(PING, 0, 0, &[0; 8])].concat(),
            protocol,
        ),
        (
            "6.10, a block continued on another stream",
            [frame(HEADERS, 0, 1, &fields), frame(CONTINUATION, END_HEADERS, 3, &[])].concat(),
            protocol,
        ),
    ];
    let mut faults = Faults::default();
    for (what, bytes, allowed) in cases {
        let mut raw = Raw::open(&daemon);
        raw.send(&bytes);
        let gone = raw.gone();
        faults.check(gone.is_some_and(|code| allowed.contains(&code)), || {
            format!("{what}: {gone:?} instead of {allowed:?}; closed: {}", raw.closed)
        });
    }
    drop(faults);
    still_serves(&daemon);
}

/// RFC 9113, 5.1, 5.4.2, 6.9, 8.1.1: a fault of one stream ends that stream, and the others of the
/// connection go on. (Where the letter lets the connection end instead, that will do.)
#[test]
fn rfc9113_5_4_2_faults_of_a_stream_end_it_and_no_other() {
    let daemon = school();
    let host = host(&daemon);
    let open = |path| headers(1, 0, &request("POST", &host, path));
    let whole = |path| headers(1, END_STREAM, &request("GET", &host, path));
    let cases: Vec<(&str, Vec<u8>, &[u32])> = vec![
        (
            "5.1, DATA after the end",
            [whole("/slow/2000"), frame(DATA, 0, 1, b"x")].concat(),
            &[STREAM_CLOSED, PROTOCOL_ERROR],
        ),
        (
            "5.1, a second head after the end",
            [whole("/slow/2000"), whole("/slow/2000")].concat(),
            &[STREAM_CLOSED, PROTOCOL_ERROR],
        ),
        (
            "6.9, a window that grows by nothing",
            [open("/size/1"), number(WINDOW_UPDATE, 1, 0)].concat(),
            &[PROTOCOL_ERROR],
        ),
        (
            "6.9.1, a window past 2^31-1",
            [open("/size/1"), number(WINDOW_UPDATE, 1, 0x7fff_ffff)].concat(),
            &[FLOW_CONTROL_ERROR],
        ),
        (
            "6.3, PRIORITY of another size",
            [open("/size/1"), frame(PRIORITY, 0, 1, &[0; 4])].concat(),
            &[FRAME_SIZE_ERROR, PROTOCOL_ERROR],
        ),
        (
            "8.1, a second head in the middle",
            [open("/size/1"), headers(1, 0, &[("x-late", "1")])].concat(),
            &[PROTOCOL_ERROR],
        ),
    ];
    let mut faults = Faults::default();
    for (what, bytes, allowed) in cases {
        let mut raw = Raw::open(&daemon);
        raw.send(&bytes);
        let answer = raw.answer(1);
        faults.check(answer.error.is_some_and(|code| allowed.contains(&code)), || {
            format!("{what}: {answer:?} instead of {allowed:?}")
        });
        // Unless the connection is gone, the next stream is served.
        raw.send(&headers(3, END_STREAM, &request("GET", &host, "/size/2")));
        let next = raw.answer(3);
        faults.check(next.status() == 200 || raw.closed || next.error.is_some(), || {
            format!("{what}, the next: {next:?}")
        });
    }
    drop(faults);
    still_serves(&daemon);
}

/// RFC 9113, 5.1.2: streams past the number that was announced are refused, so that they can be asked
/// for again; those before it are served.
#[test]
fn rfc9113_5_1_2_streams_past_the_limit_are_refused() {
    let daemon = school();
    let host = host(&daemon);
    let mut raw = Raw::open(&daemon);
    let announced = raw.next().unwrap();
    let limit = announced
        .payload
        .chunks(6)
        .find(|value| value[..2] == [0, 3])
        .map(|value| u32::from_be_bytes(value[2..].try_into().unwrap()))
        .unwrap();
    assert!(limit >= 100, "{limit}");
    // Well before anything comes: the site waits.
    for turn in 0..limit + 10 {
        raw.send(&headers(turn * 2 + 1, END_STREAM, &request("GET", &host, "/slow/1500")));
    }
    let (mut refused, mut served) = (0, 0);
    while let Some(frame) = raw.next() {
        match frame.kind {
            RST_STREAM => {
                assert_eq!(frame.number(0), REFUSED_STREAM, "{frame:?}");
                refused += 1;
            }
            HEADERS => served += u32::from(frame.value(":status") == "200"),
            GOAWAY => panic!("{frame:?}"),
            _ => {}
        }
        if refused + served == limit + 10 {
            break;
        }
    }
    assert_eq!((refused, served), (10, limit));
}

/// RFC 9113, 6.8: after a client's GOAWAY its open streams end in order; when the filter stops it says
/// GOAWAY, lets open streams finish, and takes no further one.
#[test]
fn rfc9113_6_8_goaway_lets_open_streams_finish_from_either_end() {
    let mut daemon = school();
    let host = host(&daemon);
    let mut raw = Raw::open(&daemon);
    raw.send(&headers(1, END_STREAM, &request("GET", &host, "/slow/500")));
    raw.send(&go_away(0, NO_ERROR));
    assert_eq!(raw.answer(1).text(), "slow");
    assert!(raw.next().is_none_or(|frame| frame.kind == GOAWAY) || raw.closed);

    let mut raw = Raw::open(&daemon);
    raw.send(&headers(1, END_STREAM, &request("GET", &host, "/slow/1500")));
    std::thread::sleep(Duration::from_millis(300));
    let stopping = std::thread::spawn(move || daemon.stop());
    let first = raw.wait(GOAWAY, 0);
    assert_eq!(first.number(4), NO_ERROR, "{first:?}");
    // It asks whether the client has read that, before it names the last stream.
    let ping = raw.wait(PING, 0);
    raw.send(&frame(PING, ACK, 0, &ping.payload));
    let last = raw.wait(GOAWAY, 0);
    assert_eq!((last.number(0), last.number(4)), (1, NO_ERROR), "{last:?}");
    assert_eq!(raw.answer(1).text(), "slow");
    assert_eq!(stopping.join().unwrap(), Some(0));
}

/// RFC 9113, 5.4.1, 6.8: a connection that rests too long is told so before it is closed.
#[test]
fn rfc9113_6_8_a_resting_connection_is_told_that_it_ends() {
    let plan = Plan {
        inspected: true,
        machine: "[limits]\nclient_idle_timeout_ms = 500\n".into(),
        ..Plan::default()
    };
    let daemon = Daemon::start_with(&plan);
    let mut raw = Raw::open(&daemon);
    raw.send(&headers(1, END_STREAM, &request("GET", &host(&daemon), "/size/1")));
    assert_eq!(raw.answer(1).status(), 200);
    let last = raw.wait(GOAWAY, 0);
    assert_eq!((last.number(0), last.number(4)), (1, NO_ERROR));
    assert!(raw.next().is_none() && raw.closed);
}
