//! Connections that rest between two requests (RFC 9112, 9.3 and 9.5): after two seconds the proxy gives up
//! what it needs for requests, and no byte of what comes next may be lost, doubled or misread for it.

use super::{PATIENCE, Rig};
use crate::daemon::STAFF;
use crate::inspected::{Secure, authority, school};
use std::io::{Read, Write};
use std::time::Duration;

/// Longer than a connection rests before the proxy takes it apart.
const REST: Duration = Duration::from_millis(2_800);

/// Plain and inside a tunnel; before the first request, after one, and after another.
#[test]
fn rfc9112_9_3_a_connection_that_rested_is_kept() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for path in ["/one", "/two", "/three"] {
        std::thread::sleep(REST);
        // In two pieces: the first alone wakes it.
        let head = rig.head("GET", path, &[]);
        let (begun, rest) = head.split_at(7);
        client.send(begun.as_bytes());
        std::thread::sleep(Duration::from_millis(50));
        client.send(rest.as_bytes());
        let answer = client.read("GET");
        assert_eq!((answer.status, answer.text().as_str()), (200, &path[1..]), "{answer:?}");
    }
    rig.records(3);

    let daemon = school();
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let mut inside = Secure::open(&daemon, STAFF, "library.test", &pem).unwrap();
    let host = daemon.authority("library.test");
    for bytes in [3, 70_000, 5] {
        std::thread::sleep(REST);
        let answer = inside.ask(&host, &format!("/size/{bytes}")).unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, bytes));
    }
    assert_eq!(
        inside.ask(&daemon.authority("casino.test"), "/").unwrap().status,
        421,
        "it is still this site's"
    );
    // Who leaves while it rests is let go.
    std::thread::sleep(REST);
    inside.stream.conn.send_close_notify();
    inside.stream.flush().unwrap();
    inside.stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(inside.stream.read(&mut [0; 16]).unwrap(), 0, "the end is said on both sides");
}

/// What came of the next head with the last request is not lost while the connection rests.
#[test]
fn rfc9112_9_3_2_half_a_head_waits_for_its_other_half() {
    let rig = Rig::start();
    let (first, second) = (rig.head("GET", "/one", &[]), rig.head("GET", "/two", &[]));
    let mut client = rig.connect();
    for at in [1, 5, second.len() - 1] {
        client.send((first.clone() + &second[..at]).as_bytes());
        assert_eq!(client.read("GET").text(), "one", "{at}");
        std::thread::sleep(REST);
        client.send(&second.as_bytes()[at..]);
        assert_eq!(client.read("GET").text(), "two", "{at}");
    }
    rig.records(6);
}

/// The rest of an upload that was answered early is no request, however late it comes.
#[test]
fn rfc9112_9_3_the_late_rest_of_an_upload_is_no_request() {
    let rig = Rig::start();
    rig.origin.on("/early", |line, _| {
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")?;
        std::thread::sleep(2 * REST);
        Ok(false)
    });
    let smuggled = rig.smuggled();
    let fields =
        [format!("Content-Length: {}", 10 + smuggled.len()), "Transfer-Encoding: chunked".into()];
    for field in &fields {
        let mut client = rig.connect();
        let begun = if field.starts_with('C') { "0123456789" } else { "a\r\n0123456789\r\n" };
        client.send((rig.head("POST", "/early", &[field]) + begun).as_bytes());
        assert_eq!(client.read("POST").text(), "early");
        std::thread::sleep(REST);
        // It may be closed by now.
        let _ = client.stream.write_all(smuggled.as_bytes());
        let heard = super::hear(&mut client, Duration::from_millis(500));
        assert!(!heard.text().contains("smuggled"), "{field}: {}", heard.text());
        assert!(!heard.text().contains("HTTP/1.1 200"), "{field}: {}", heard.text());
    }
    assert!(!rig.origin.received().contains("GET "), "{}", rig.origin.received());
}

/// An answer that its client is slow to take comes whole, though nothing moves for seconds.
#[test]
fn rfc9112_9_5_an_answer_is_not_cut_off_by_rest() {
    const BYTES: usize = 24 << 20;
    let rig = Rig::start();
    rig.origin.on("/large", |line, _| {
        line.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n").as_bytes())?;
        line.say(&vec![b'l'; BYTES])?;
        Ok(true)
    });
    let mut client = rig.connect();
    client.send(rig.head("GET", "/large", &[]).as_bytes());
    let head = client.read_head().unwrap();
    assert_eq!(head.status, 200);
    let mut left = BYTES;
    // Also where little more is left than what the kernels hold.
    let mut rests = vec![100_000, 3 << 20, 6 << 20, BYTES];
    while left > 0 {
        if rests.last().is_some_and(|&at| left <= at) {
            rests.pop();
            std::thread::sleep(REST);
        }
        let piece = client.read_some().unwrap();
        assert!(!piece.is_empty() && piece.iter().all(|&byte| byte == b'l'), "{left} left");
        left -= piece.len();
    }
    client.send(rig.head("GET", "/after", &[]).as_bytes());
    assert_eq!(client.read("GET").text(), "after");
}

/// RFC 9112, 9.6: a connection that is to close does not rest instead, though its client is slow to take the last
/// of the answer: TLS says its end, and what comes after is no request.
#[test]
fn rfc9112_9_6_a_connection_that_is_to_close_does_not_rest() {
    // What kernels hold of an answer is not known beforehand: of answers of so many sizes some are just
    // larger by less than TLS holds besides.
    const SIZES: std::ops::Range<usize> = 4..88;
    const STEP: usize = 56 << 10;
    let daemon = school();
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let host = daemon.authority("library.test");
    let mut inside: Vec<(usize, Secure)> = SIZES
        .map(|size| {
            let mut inside = Secure::open(&daemon, STAFF, "library.test", &pem).unwrap();
            let ask = format!(
                "GET /size/{} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n\
                 GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n",
                size * STEP
            );
            inside.stream.write_all(ask.as_bytes()).unwrap();
            inside.stream.flush().unwrap();
            (size * STEP, inside)
        })
        .collect();
    std::thread::sleep(2 * REST);
    for (bytes, inside) in &mut inside {
        inside.stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut heard = Vec::new();
        let ended = inside.stream.read_to_end(&mut heard);
        assert!(ended.is_ok(), "{bytes}: {ended:?} after {}", heard.len());
        let body = heard.len() - heard.windows(4).position(|end| end == b"\r\n\r\n").unwrap() - 4;
        assert_eq!(body, *bytes, "one answer, whole");
    }
    let records = daemon.records();
    assert!(!records.iter().any(|record| record.to_string().contains("smuggled")), "{records:#?}");
}
