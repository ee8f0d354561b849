//! Connections of HTTP/2 that several share: what one does, or a site to one, is nobody else's trouble
//! (RFC 9113, 5.1.2, 5.2.2, 5.4.2, 10.5; RFC 4559, 6). All requests of a test come over one connection
//! of a client, so that one worker has them all.

use super::frames::*;
use super::http2::{Raw, request};
use super::http2_sites::{Script, Stage};
use crate::daemon::{Daemon, Plan, wait_for};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// SETTINGS_MAX_CONCURRENT_STREAMS.
const STREAMS: u16 = 3;
/// SETTINGS_INITIAL_WINDOW_SIZE.
const WINDOW: u16 = 4;

fn get(raw: &mut Raw, stream: u32, host: &str, path: &str) -> Answer {
    raw.send(&headers(stream, END_STREAM, &request("GET", host, path)));
    raw.answer(stream)
}

/// RFC 9113, 5.1.2: a request past the number of streams that a site takes goes on another connection,
/// and does not wait for those of others.
#[test]
fn rfc9113_5_1_2_a_site_that_takes_few_streams_has_nobody_wait() {
    let stage = Stage::start(|line, _| {
        line.greet(&[(STREAMS, 1)]);
        while let Some(asked) = line.asked() {
            if asked.value(":path") != "/wait" {
                line.say(asked.stream, "ok");
            }
        }
    });
    let host = stage.host();
    let mut client = stage.client();
    assert_eq!(get(&mut client, 1, &host, "/first").text(), "ok");
    client.send(&headers(3, END_STREAM, &request("GET", &host, "/wait")));
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    assert_eq!(get(&mut client, 5, &host, "/next").text(), "ok");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// RFC 9113, 5.1, 5.4.2: what a site had on its way for streams that clients took back is passed over,
/// however many, and the other streams of its connection go on.
#[test]
fn rfc9113_5_4_2_streams_taken_back_do_not_end_the_connection_of_others() {
    const TAKEN_BACK: u32 = 90;
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let stage = Stage::start(move |line, _| {
        count.fetch_add(1, Ordering::SeqCst);
        line.greet(&[]);
        let mut held = 0;
        while let Some(frame) = line.next() {
            let stream = frame.stream;
            match frame.kind {
                HEADERS if frame.value(":path") == "/held" => held = stream,
                HEADERS if frame.value(":path") == "/release" => {
                    line.say(stream, "ok");
                    line.say(held, "held");
                }
                HEADERS => {
                    line.send(&headers(stream, 0, &[(":status", "200")]));
                }
                RST_STREAM => {
                    line.send(&frame_of_late_data(stream).repeat(60));
                }
                _ => {}
            }
        }
    });
    let host = stage.host();
    let mut client = stage.client();
    client.send(&headers(1, END_STREAM, &request("GET", &host, "/held")));
    std::thread::sleep(Duration::from_millis(300));
    let streams: Vec<u32> = (1..=TAKEN_BACK).map(|turn| turn * 2 + 1).collect();
    for stream in &streams {
        client.send(&headers(*stream, END_STREAM, &request("GET", &host, "/endless")));
    }
    let mut open = 0;
    while open < streams.len() {
        open += usize::from(client.next().unwrap().kind == HEADERS);
    }
    let resets: Vec<u8> =
        streams.iter().flat_map(|stream| number(RST_STREAM, *stream, CANCEL)).collect();
    client.send(&resets);
    std::thread::sleep(Duration::from_millis(500));
    let last = TAKEN_BACK * 2 + 3;
    client.send(&headers(last, END_STREAM, &request("GET", &host, "/release")));
    let held = client.answer(1);
    assert!(held.ended && held.text() == "held", "{held:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

fn frame_of_late_data(stream: u32) -> Vec<u8> {
    frame(DATA, 0, stream, b"late")
}

/// RFC 9113, 5.2.2, 5.4.2: a stream of which nothing is taken in its time ends, and no other of its
/// client's connection with it.
#[test]
fn rfc9113_5_4_2_a_stream_that_takes_nothing_ends_alone() {
    let plan = Plan {
        inspected: true,
        machine: "[limits]\nbody_idle_timeout_ms = 500\n".into(),
        ..Plan::default()
    };
    let daemon = Daemon::start_with(&plan);
    let host = daemon.authority("library.test");
    let mut raw = Raw::open_with(&daemon, &host, &[(WINDOW, 0)]);
    raw.send(&headers(1, END_STREAM, &request("GET", &host, "/size/100000")));
    assert_eq!(raw.wait(HEADERS, 1).value(":status"), "200");
    raw.send(&headers(3, END_STREAM, &request("GET", &host, "/slow/3500")));
    raw.send(&number(WINDOW_UPDATE, 3, 1_000));
    assert_eq!(raw.wait(RST_STREAM, 1).number(0), CANCEL);
    let other = raw.answer(3);
    assert!(other.ended && other.text() == "slow", "{other:?}");
    wait_for("both ends in the log", Duration::from_secs(5), || {
        let records = daemon.wait_records(3);
        let ends: Vec<&str> = records[1..].iter().filter_map(|one| one["end"].as_str()).collect();
        ends == ["timed_out", "complete"]
    });
}

/// RFC 9113, 10.5: only so many answers wait for clients that do not read them; past it those of the
/// client with the most end at once, and what it does read still comes.
#[test]
fn rfc9113_10_5_a_client_that_reads_nothing_keeps_a_bounded_number_waiting() {
    let plan = Plan {
        inspected: true,
        machine: "[limits]\nmax_unread_streams = 4\n".into(),
        ..Plan::default()
    };
    let daemon = Daemon::start_with(&plan);
    let host = daemon.authority("library.test");
    let mut raw = Raw::open_with(&daemon, &host, &[(WINDOW, 0)]);
    let mut unread = vec![1, 3, 5, 7, 9, 11];
    for stream in &unread {
        raw.send(&headers(*stream, END_STREAM, &request("GET", &host, "/size/100000")));
    }
    // Whose bytes come last finds no place, whichever was asked for last; its head may go with it.
    let mut begun = Vec::new();
    while unread.len() != 4 || unread.iter().any(|stream| !begun.contains(stream)) {
        let frame = raw.next().expect("the ends of two, and four heads");
        match frame.kind {
            HEADERS => {
                assert_eq!(frame.value(":status"), "200");
                begun.push(frame.stream);
            }
            RST_STREAM => {
                assert_eq!(frame.number(0), ENHANCE_YOUR_CALM);
                unread.retain(|stream| *stream != frame.stream);
            }
            _ => {}
        }
    }
    raw.send(&number(WINDOW_UPDATE, 0, 1 << 20));
    for stream in unread {
        raw.send(&number(WINDOW_UPDATE, stream, 1 << 20));
        let answer = raw.answer(stream);
        assert!(answer.ended && answer.body.len() == 100_000, "stream {stream}: {answer:?}");
    }
    // Their places are free again.
    raw.send(&headers(13, END_STREAM, &request("GET", &host, "/size/100000")));
    assert_eq!(raw.wait(HEADERS, 13).value(":status"), "200");
    raw.send(&number(WINDOW_UPDATE, 13, 1 << 20));
    assert_eq!(raw.answer(13).body.len(), 100_000);
    wait_for("seven ends in the log", Duration::from_secs(5), || {
        let records = daemon.wait_records(8);
        let ends = records[1..].iter().filter_map(|one| one["end"].as_str());
        let (whole, cut): (Vec<_>, Vec<_>) = ends.partition(|end| *end == "complete");
        whole.len() == 5 && cut == ["aborted", "aborted"]
    });
}

/// RFC 9110, 15.6.5: a connection on which a site kept silent for too long is given no further request.
#[test]
fn rfc9110_15_6_5_a_silent_connection_is_not_asked_again() {
    let site: Box<Script> = Box::new(|line, _| {
        line.greet(&[]);
        let mut silent = false;
        while let Some(asked) = line.asked() {
            silent |= asked.value(":path") == "/silent";
            if !silent {
                line.say(asked.stream, "ok");
            }
        }
    });
    let machine = "[limits]\nresponse_header_timeout_ms = 600\n";
    let stage = Stage::start_with(machine, Some(site), None);
    let host = stage.host();
    let mut client = stage.client();
    assert_eq!(get(&mut client, 1, &host, "/first").text(), "ok");
    assert_eq!(get(&mut client, 3, &host, "/silent").status(), 504);
    assert_eq!(get(&mut client, 5, &host, "/next").text(), "ok");
}

/// RFC 4559, 6; RFC 9113, 9.1: credentials that sign in a connection never go on one that others
/// share.
#[test]
fn rfc4559_6_nobody_signs_in_on_a_connection_that_others_share() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (by_http2, by_http1) = (Arc::clone(&seen), Arc::clone(&seen));
    let http2: Box<Script> = Box::new(move |line, number| {
        line.greet(&[]);
        while let Some(asked) = line.asked() {
            let given = asked.value("authorization").to_owned();
            by_http2.lock().unwrap().push((number, "HTTP/2", given));
            line.say(asked.stream, "shared");
        }
    });
    let http1: Box<Script> = Box::new(move |line, number| {
        let mut read = Vec::new();
        while let Some(byte) = line.bytes(1) {
            read.extend(byte);
            if read.ends_with(b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&read).to_ascii_lowercase();
                let given = head.lines().find_map(|line| line.strip_prefix("authorization: "));
                let given = given.unwrap_or_default().to_owned();
                by_http1.lock().unwrap().push((number, "HTTP/1.1", given));
                line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown");
                read.clear();
            }
        }
    });
    let stage = Stage::start_both(Some(http2), Some(http1));
    let host = stage.host();
    let mut client = stage.client();
    assert_eq!(get(&mut client, 1, &host, "/").text(), "shared");
    for (stream, credentials) in [(3, "Negotiate YWJj"), (5, "NTLM TlRM")] {
        let mut fields = request("GET", &host, "/").to_vec();
        fields.push(("authorization", credentials));
        client.send(&headers(stream, END_STREAM, &fields));
        assert_eq!(client.answer(stream).text(), "own", "{credentials}");
    }
    // Others, on either worker.
    for _ in 0..8 {
        assert_eq!(stage.get("/").text(), "shared");
    }
    let seen = seen.lock().unwrap().clone();
    let signed_in: Vec<usize> = seen
        .iter()
        .filter(|(_, _, given)| given.starts_with('n'))
        .map(|(number, version, _)| {
            assert_eq!(*version, "HTTP/1.1", "{seen:?}");
            *number
        })
        .collect();
    assert_eq!(signed_in.len(), 2, "{seen:?}");
    let others = |(number, _, given): &&(usize, &str, String)| {
        signed_in.contains(number) && given.is_empty()
    };
    assert_eq!(seen.iter().filter(others).count(), 0, "{seen:?}");
}
