//! Flow control of HTTP/2 from end to end (RFC 9113, 5.2, 6.9): nobody is sent more than they have
//! room for, who does not read is waited for, and nobody else waits with them.

use super::frames::*;
use super::http2::{Raw, request, resident_kb, still_serves};
use super::http2_sites::Stage;
use crate::inspected::school;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// SETTINGS_INITIAL_WINDOW_SIZE.
const WINDOW: u16 = 4;

/// Bytes of a stream's body that come before `quiet` passes without any.
fn bytes_until_quiet(raw: &mut Raw, stream: u32, quiet: Duration) -> (usize, bool) {
    raw.stream.sock.set_read_timeout(Some(quiet)).unwrap();
    let (mut bytes, mut ended) = (0, false);
    while let Some(frame) = raw.next() {
        if frame.kind == DATA && frame.stream == stream {
            bytes += frame.payload.len();
            ended |= frame.is(END_STREAM);
        }
    }
    (bytes, ended)
}

/// RFC 9113, 5.2.1, 6.9, 6.9.1, 6.9.2: a client gets as many bytes as it gave leave for, to the byte,
/// on its stream and in all.
#[test]
fn rfc9113_6_9_a_client_gets_no_byte_more_than_its_windows() {
    let daemon = school();
    let host = daemon.authority("library.test");
    let quiet = Duration::from_millis(300);
    let mut raw = Raw::open_with(&daemon, &host, &[(WINDOW, 0)]);
    raw.send(&headers(1, END_STREAM, &request("GET", &host, "/size/100000")));
    assert_eq!(raw.wait(HEADERS, 1).value(":status"), "200");
    assert_eq!(bytes_until_quiet(&mut raw, 1, quiet), (0, false));
    raw.send(&number(WINDOW_UPDATE, 1, 10));
    assert_eq!(bytes_until_quiet(&mut raw, 1, quiet), (10, false));
    // The first window of open streams changes with the setting (6.9.2).
    raw.send(&settings(&[(WINDOW, 15)]));
    assert_eq!(bytes_until_quiet(&mut raw, 1, quiet), (15, false));
    // Made smaller, it is a debt: nothing comes before that is paid.
    raw.send(&settings(&[(WINDOW, 5)]));
    raw.send(&number(WINDOW_UPDATE, 1, 10));
    assert_eq!(bytes_until_quiet(&mut raw, 1, quiet), (0, false));
    raw.send(&number(WINDOW_UPDATE, 1, 1));
    assert_eq!(bytes_until_quiet(&mut raw, 1, quiet), (1, false));
    // The window of the connection holds too: 65,535 bytes at first (6.9.2).
    raw.send(&number(WINDOW_UPDATE, 1, 200_000));
    assert_eq!(bytes_until_quiet(&mut raw, 1, quiet), (65_535 - 26, false));
    raw.send(&number(WINDOW_UPDATE, 0, 200_000));
    assert_eq!(bytes_until_quiet(&mut raw, 1, quiet), (100_000 - 65_535, true));
    // A head is no body, and needs no window (5.2.1); nor does an answer without one.
    raw.send(&settings(&[(WINDOW, 0)]));
    raw.send(&headers(3, END_STREAM, &request("GET", &host, "/status/204")));
    assert_eq!(raw.answer(3).status(), 204);
}

/// RFC 9113, 5.2, 5.2.2, 10.5: a stream that nobody reads holds up no other one of its connection, and
/// what waits for it is bounded at both ends.
#[test]
fn rfc9113_5_2_2_a_stream_that_nobody_reads_holds_up_no_other() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let stage = Stage::start(move |line, _| {
        line.greet(&[]);
        let (mut window, mut endless) = (65_535_usize, 0);
        while let Some(frame) = line.next() {
            match frame.kind {
                HEADERS if frame.value(":path") == "/endless" => {
                    endless = frame.stream;
                    line.send(&headers(endless, 0, &[(":status", "200")]));
                }
                HEADERS => line.say(frame.stream, "ok"),
                WINDOW_UPDATE if endless != 0 && frame.stream == endless => {
                    window += frame.number(0) as usize;
                }
                SETTINGS if !frame.is(ACK) => {
                    for value in frame.payload.chunks(6).filter(|value| value[..2] == [0, 4]) {
                        let size = u32::from_be_bytes(value[2..].try_into().unwrap());
                        window = window + size as usize - 65_535;
                    }
                }
                _ => {}
            }
            // As much as the stream's window allows; that of the connection is larger.
            while endless != 0 && window > 0 {
                let piece = window.min(16_384);
                line.send(&frame_of(endless, piece));
                window -= piece;
                count.fetch_add(piece, Ordering::SeqCst);
            }
        }
    });
    let host = stage.host();
    let before = resident_kb(&stage.daemon);
    let mut raw = stage.client_with(&[(WINDOW, 1_000)]);
    raw.send(&headers(1, END_STREAM, &request("GET", &host, "/endless")));
    let (bytes, _) = bytes_until_quiet(&mut raw, 1, Duration::from_millis(500));
    assert_eq!(bytes, 1_000);
    let taken = sent.load(Ordering::SeqCst);
    assert!(taken < 1 << 20, "{taken} bytes were taken for a client that reads 1000");
    // The same connection, and those of others on the same connection to the site.
    raw.stream.sock.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for stream in [3, 5, 7] {
        raw.send(&headers(stream, END_STREAM, &request("GET", &host, "/ok")));
        assert_eq!(raw.answer(stream).text(), "ok");
    }
    assert_eq!(stage.get("/ok").text(), "ok");
    // Read, it goes on.
    raw.send(&[number(WINDOW_UPDATE, 0, 1 << 20), number(WINDOW_UPDATE, 1, 1 << 20)].concat());
    let begun = Instant::now();
    let mut bytes = 0;
    while bytes < 1 << 20 {
        let frame = raw.wait(DATA, 1);
        bytes += frame.payload.len();
        assert!(begun.elapsed() < Duration::from_secs(20), "{bytes}");
    }
    // What the allocator keeps for later counts too, and differs from run to run.
    let grown = resident_kb(&stage.daemon).saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KB");
    still_serves(&stage.daemon);
}

fn frame_of(stream: u32, bytes: usize) -> Vec<u8> {
    frame(DATA, 0, stream, &vec![b'e'; bytes])
}

/// RFC 9113, 5.2, 6.9: an upload goes to the site as fast as the site takes it and no faster, and the
/// client is asked to wait by its own window.
#[test]
fn rfc9113_5_2_an_upload_waits_for_the_site() {
    const WHOLE: usize = 2 << 20;
    let got = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&got);
    let stage = Stage::start(move |line, _| {
        line.greet(&[(WINDOW, 10)]);
        // Once this is answered the setting has been read; until then the first window holds.
        let first = line.asked().unwrap();
        line.say(first.stream, "ready");
        let asked = line.asked().unwrap();
        let stream = asked.stream;
        // No more than ten bytes come before there is leave for more.
        line.stream.sock.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        let mut bytes = 0;
        while let Some(frame) = line.next() {
            bytes += if frame.kind == DATA { frame.payload.len() } else { 0 };
        }
        count.store(bytes, Ordering::SeqCst);
        line.stream.sock.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let more = [number(WINDOW_UPDATE, 0, 1 << 22), number(WINDOW_UPDATE, stream, 1 << 22)];
        line.send(&more.concat());
        let mut ended = false;
        while !ended {
            let Some(frame) = line.next() else { return };
            if frame.kind == DATA && frame.stream == stream {
                bytes += frame.payload.len();
                ended = frame.is(END_STREAM);
            }
        }
        line.say(stream, &bytes.to_string());
        while line.next().is_some() {}
    });
    let host = stage.host();
    let mut raw = stage.client();
    raw.send(&headers(1, END_STREAM, &request("GET", &host, "/first")));
    // What the filter takes beforehand is bounded: its window runs out, and is opened as it is read.
    let (mut window, mut whole, mut left) = (0_i64, 65_535_i64, WHOLE as i64);
    let (mut sent_early, mut ready) = (0, false);
    let answer = loop {
        while ready && left > 0 && window > 0 && whole > 0 {
            let piece = left.min(window).min(whole).min(16_384);
            left -= piece;
            let end = if left == 0 { END_STREAM } else { 0 };
            assert!(raw.send(&frame(DATA, end, 3, &vec![b'u'; piece as usize])));
            (window, whole) = (window - piece, whole - piece);
            if got.load(Ordering::SeqCst) == 0 {
                sent_early += piece;
            }
        }
        let Some(frame) = raw.next() else {
            let got = got.load(Ordering::SeqCst);
            panic!("neither a window nor an answer: {window} {whole} {left} {got} {}", raw.closed);
        };
        match frame.kind {
            WINDOW_UPDATE if frame.stream == 0 => whole += i64::from(frame.number(0)),
            WINDOW_UPDATE => window += i64::from(frame.number(0)),
            SETTINGS if !frame.is(ACK) => {
                // Before this, the filter counts by the first window that all have.
                raw.send(&self::frame(SETTINGS, ACK, 0, &[]));
                for value in frame.payload.chunks(6).filter(|value| value[..2] == [0, 4]) {
                    window += i64::from(u32::from_be_bytes(value[2..].try_into().unwrap()));
                }
            }
            DATA if frame.stream == 1 && !ready => {
                ready = true;
                raw.send(&headers(3, 0, &request("POST", &host, "/up")));
            }
            DATA if frame.stream == 3 => break String::from_utf8(frame.payload).unwrap(),
            _ => {}
        }
    };
    assert_eq!(answer, WHOLE.to_string());
    assert_eq!(got.load(Ordering::SeqCst), 10, "the site was sent more than its window");
    assert!(sent_early <= 1 << 20, "{sent_early} bytes were taken from the client beforehand");
    let records = stage.daemon.wait_records(3);
    assert_eq!(records[2]["bytes_up"], WHOLE, "{records:#?}");
}

/// RFC 9113, 6.9.1: a client that sends more than it was given leave for is stopped.
#[test]
fn rfc9113_6_9_1_a_client_that_overruns_its_window_is_stopped() {
    let stage = Stage::start(move |line, _| {
        line.greet(&[(WINDOW, 0)]);
        while line.next().is_some() {}
    });
    let mut raw = stage.client();
    raw.send(&headers(1, 0, &request("POST", &stage.host(), "/up")));
    let piece = frame(DATA, 0, 1, &[b'x'; 16_384]);
    for _ in 0..200 {
        if !raw.send(&piece) {
            break;
        }
    }
    let answer = raw.answer(1);
    assert!(
        answer.error == Some(FLOW_CONTROL_ERROR) || raw.closed && answer.error.is_none(),
        "{answer:?}"
    );
    still_serves(&stage.daemon);
}
