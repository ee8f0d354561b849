//! Connections (RFC 9112, 9; RFC 9110, 9.2.2 and 10.1.1): how long they are kept, what may be sent again,
//! and that one client's faults are nobody else's.

use super::{Faults, PATIENCE, Rig, field};
use crate::client::Client;
use crate::daemon::STAFF;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// RFC 9112, 9.3: HTTP/1.1 connections are kept until `close`; HTTP/1.0 ones never, whatever they ask.
#[test]
fn rfc9112_9_3_connections_are_kept_by_the_rules() {
    let rig = Rig::start();
    let two = |fields: &[&str], old: bool| {
        let both = rig.head("GET", "/one", fields) + &rig.head("GET", "/two", fields);
        if old { both.replace("HTTP/1.1", "HTTP/1.0") } else { both }
    };
    let cases: [(&str, String, &[u16]); 6] = [
        ("close", two(&["Connection: close"], false), &[200]),
        ("close among others", two(&["Connection: x, CLOSE"], false), &[200]),
        (
            "close before keep-alive",
            two(&["Connection: close", "Connection: keep-alive"], false),
            &[200],
        ),
        ("keep-alive before close", two(&["Connection: keep-alive, close"], false), &[200]),
        ("HTTP/1.0", two(&[], true), &[200]),
        ("HTTP/1.0 with Proxy-Connection", two(&["Proxy-Connection: keep-alive"], true), &[200]),
    ];
    let mut faults = Faults::default();
    for (what, request, statuses) in &cases {
        let heard = rig.say_and_be_closed(what, &[request.as_bytes()]);
        faults.check(heard.statuses() == *statuses, || format!("{what}: {}", heard.text()));
        faults.check(!heard.text().contains("two"), || format!("{what}: {}", heard.text()));
    }
    // RFC 9112, 9.6: an answer after which the connection ends says so.
    let heard = rig.say_and_be_closed("said", &[two(&["Connection: close"], false).as_bytes()]);
    assert!(heard.text().to_ascii_lowercase().contains("connection: close"), "{}", heard.text());
    let mut client = rig.connect();
    for path in ["/one", "/two", "/three"] {
        client.send(rig.head("GET", path, &["Connection: keep-alive"]).as_bytes());
        assert_eq!(client.read("GET").status, 200);
    }
    rig.records(cases.len() + 1 + 3);
}

/// RFC 9112, 9.3.2: pipelined requests are answered in order, each decided on its own, the refused ones
/// and those with bodies too.
#[test]
fn rfc9112_9_3_2_pipelined_requests_are_answered_in_order() {
    let rig = Rig::start();
    let blocked = |path: &str| rig.head("GET", path, &[]).replace("library.test", "casino.test");
    let all = [
        rig.head("GET", "/1", &[]),
        blocked("/2"),
        rig.head("POST", "/3", &["Content-Length: 3"]) + "one",
        blocked("/4"),
        rig.head("GET", "/5", &[]),
        blocked("/6").replace("GET", "POST").replacen(
            "\r\n\r\n",
            "\r\nContent-Length: 3\r\n\r\ntwo",
            1,
        ),
        rig.head("HEAD", "/7", &[]),
        rig.head("GET", "/8", &["Connection: close"]),
        rig.smuggled(),
    ];
    let mut client = rig.connect();
    client.send(all.concat().as_bytes());
    let methods = ["GET", "GET", "POST", "GET", "GET", "POST", "HEAD", "GET"];
    let answers: Vec<(u16, String)> = methods
        .iter()
        .map(|method| client.read(method))
        .map(|answer| {
            (answer.status, if answer.status == 200 { answer.text() } else { String::new() })
        })
        .collect();
    let expected = ["1", "", "3", "", "5", "", "", "8"];
    for (at, (status, body)) in answers.iter().enumerate() {
        let wanted = if [1, 3, 5].contains(&at) { 403 } else { 200 };
        assert_eq!((*status, body.as_str()), (wanted, expected[at]), "{at}: {answers:?}");
    }
    assert!(client.read_some().is_ok_and(|rest| rest.is_empty()), "closed after `close`");
    let received = rig.origin.received();
    assert!(!received.contains("/2") && !received.contains("casino"), "{received}");
    rig.records(methods.len());
}

/// RFC 9110, 9.2.2: a POST is never sent twice, also where the origin closes a kept connection just as
/// the request arrives.
#[test]
fn rfc9110_9_2_2_a_post_is_never_sent_twice() {
    let rig = Rig::start();
    let posts = Arc::new(AtomicUsize::new(0));
    // Reads the head of a POST on a kept connection, and closes without an answer.
    let seen = Arc::clone(&posts);
    rig.origin.on("/post", move |line, head| {
        seen.fetch_add(1, Ordering::SeqCst);
        line.body(head)?;
        Ok(false)
    });
    let mut faults = Faults::default();
    for body in ["", "hello"] {
        for _ in 0..5 {
            // So that one waits in the pool.
            rig.others_are_served();
            let before = posts.load(Ordering::SeqCst);
            let mut client = rig.connect();
            let length = format!("Content-Length: {}", body.len());
            client.send((rig.head("POST", "/post", &[&length]) + body).as_bytes());
            let answer = client.read("POST");
            let sent = posts.load(Ordering::SeqCst) - before;
            faults.check(sent == 1, || format!("sent {sent} times"));
            faults.check(answer.status == 502, || format!("{answer:?}"));
        }
    }
    rig.records(20);
}

/// RFC 9112, 9.3.1: a connection that the origin closed while it waited is no reason for a failure.
#[test]
fn rfc9112_9_3_1_a_connection_closed_while_idle_fails_no_request() {
    let rig = Rig::start();
    rig.origin.on("/then-close", |line, head| {
        line.body(head)?;
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        std::thread::sleep(Duration::from_millis(20));
        Ok(false)
    });
    for (method, body) in [("GET", ""), ("POST", ""), ("POST", "hello"), ("DELETE", "")] {
        for _ in 0..5 {
            let mut client = rig.connect();
            client.send(rig.head("GET", "/then-close", &[]).as_bytes());
            assert_eq!(client.read("GET").status, 200);
            std::thread::sleep(Duration::from_millis(60));
            let length = format!("Content-Length: {}", body.len());
            client.send((rig.head(method, "/after", &[&length]) + body).as_bytes());
            assert_eq!(client.read(method).text(), "after", "{method}");
        }
    }
    let received = rig.origin.received();
    assert_eq!(received.matches("/after").count(), 20, "each once: {received}");
    rig.records(40);
}

/// RFC 9112, 9.6 and 9.5: 8 MB for an origin that reads slowly arrive whole, and its answer comes back.
#[test]
fn rfc9112_9_6_a_large_upload_to_a_slow_origin_arrives_whole() {
    const BYTES: usize = 8 << 20;
    let rig = Rig::start();
    let seen = Arc::new(Mutex::new((0_usize, 0_u64)));
    let by = Arc::clone(&seen);
    rig.origin.on("/slow", move |line, _| {
        let mut left = BYTES;
        let mut sum = 0_u64;
        let mut count = 0;
        while left > 0 {
            let piece = line.exactly(left.min(256 << 10))?;
            left -= piece.len();
            count += piece.len();
            sum = piece
                .iter()
                .fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
            std::thread::sleep(Duration::from_millis(20));
        }
        *by.lock().unwrap() = (count, sum);
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole")?;
        Ok(false)
    });
    let upload: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
    let sum =
        upload.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    let mut client = rig.connect();
    client.send(rig.head("POST", "/slow", &[&format!("Content-Length: {BYTES}")]).as_bytes());
    client.send(&upload);
    let answer = client.read("POST");
    assert_eq!((answer.status, answer.text().as_str()), (200, "whole"), "{answer:?}");
    assert_eq!(*seen.lock().unwrap(), (BYTES, sum));
    let record = &rig.records(1)[0];
    assert_eq!(record["bytes_up"], BYTES, "{record}");
}

/// RFC 9110, 10.1.1: the origin says whether it wants the body; a client that does not wait for it loses
/// nothing.
#[test]
fn rfc9110_10_1_1_expectations_are_asked_of_the_origin() {
    let rig = Rig::start();
    rig.origin.on("/wanted", |line, head| {
        line.say(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        let body = line.body(head)?;
        line.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())?;
        line.say(&body)?;
        Ok(true)
    });
    let fields = ["Expect: 100-continue", "Content-Length: 5"];
    let mut client = rig.connect();
    client.send(rig.head("POST", "/wanted", &fields).as_bytes());
    assert_eq!(client.read_head().unwrap().status, 100);
    client.send(b"hello");
    assert_eq!(client.read("POST").text(), "hello");
    // A client that does not wait.
    let mut client = rig.connect();
    client.send((rig.head("POST", "/wanted", &fields) + "hello").as_bytes());
    assert_eq!(client.read("POST").text(), "hello");
    let received = rig.origin.received().to_ascii_lowercase();
    assert!(received.contains("\r\nexpect: 100-continue\r\n"), "{received}");
    rig.records(2);
}

/// RFC 9110, 10.1.1: an expectation in HTTP/1.0 is none, and its client never hears a 100.
#[test]
fn rfc9110_10_1_1_an_http_1_0_client_gets_no_100() {
    let rig = Rig::start();
    let request =
        rig.head("POST", "/old", &["Expect: 100-continue", "Content-Length: 5"]) + "hello";
    let heard = rig.say_and_be_closed("old", &[request.replace("HTTP/1.1", "HTTP/1.0").as_bytes()]);
    assert_eq!(heard.statuses(), [200], "{}", heard.text());
    rig.records(1);
}

/// RFC 9112, 11: after every kind of hostile client, all others are served as before, on kept
/// connections too.
#[test]
fn rfc9112_11_hostile_clients_spoil_nothing_for_others() {
    let rig = Rig::start();
    let mut good: Vec<Client> = (0..4).map(|_| rig.connect()).collect();
    let hostile: Vec<Vec<u8>> = vec![
        (rig.head("POST", "/h", &["Transfer-Encoding: chunked"]) + "zz\r\n").into(),
        (rig.head("POST", "/h", &["Content-Length: 100"]) + "cut").into(),
        (rig.head("POST", "/h", &["Content-Length: 1", "Content-Length: 2"]) + "xx").into(),
        rig.head("GET", "/h", &["X: a\rb"]).into(),
        vec![0; 3000],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        rig.head("GET", "/h", &[]).repeat(20).into(),
    ];
    let mut sent = 0;
    for round in 0..3 {
        for bytes in &hostile {
            let mut client = rig.connect();
            let _ = client.stream.write_all(bytes);
            if round == 1 {
                let _ = client.stream.shutdown(std::net::Shutdown::Write);
            }
            drop(client);
        }
        for client in &mut good {
            client.send(rig.head("GET", "/good", &[]).as_bytes());
            assert_eq!(client.read("GET").text(), "good");
            sent += 1;
        }
        rig.others_are_served();
        sent += 1;
    }
    let records = rig.daemon.wait_records(sent);
    let served = records.iter().filter(|record| record["path"] != "/h" && record["status"] == 200);
    assert_eq!(served.count(), sent);
}

/// RFC 9112, 9.5: a client that stops reading holds up nobody but itself.
#[test]
fn rfc9112_9_5_a_client_that_does_not_read_holds_up_nobody() {
    let rig = Rig::start();
    rig.origin.on("/endless", |line, _| {
        line.say(b"HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            line.say(&[b'x'; 64 * 1024])?;
        }
    });
    let mut idle: Vec<Client> = (0..8).map(|_| rig.connect()).collect();
    for client in &mut idle {
        client.send(rig.head("GET", "/endless", &[]).as_bytes());
    }
    std::thread::sleep(Duration::from_millis(100));
    let begun = Instant::now();
    rig.others_are_served();
    assert!(begun.elapsed() < PATIENCE / 2);
    drop(idle);
    let records = rig.records(9);
    let endless = records.iter().filter(|record| record["path"] == "/endless");
    for record in endless {
        assert_eq!(field(record, "end"), "aborted", "{record}");
    }
    assert_eq!(rig.daemon.get_from(STAFF, &rig.url("/well")).status, 200);
}

/// RFC 9112, 9.3 and C.2.2: a proxy keeps no connection with an HTTP/1.0 client, whatever it asks.
#[test]
fn rfc9112_9_3_a_connection_with_an_http_1_0_client_is_not_kept() {
    let rig = Rig::start();
    let both = rig.head("GET", "/one", &["Connection: keep-alive"]) + &rig.head("GET", "/two", &[]);
    let heard = rig.say_and_be_closed("old", &[both.replace("HTTP/1.1", "HTTP/1.0").as_bytes()]);
    assert_eq!(heard.statuses(), [200], "{}", heard.text());
    rig.records(1);
}

/// RFC 9112, 9.3.1: a GET that an origin closed its kept connection on is asked again, once; a POST is not.
#[test]
fn rfc9112_9_3_1_a_get_that_meets_a_closing_connection_is_asked_again() {
    // In order, and as a site does that had gone before the request came.
    for is_reset in [false, true] {
        let rig = Rig::start();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        rig.origin.on("/race", move |line, _| {
            match count.fetch_add(1, Ordering::SeqCst) {
                0 if is_reset => return line.reset(),
                0 => return Ok(false),
                _ => line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?,
            }
            Ok(true)
        });
        let mut client = rig.connect();
        client.send(rig.head("GET", "/well", &[]).as_bytes());
        assert_eq!(client.read("GET").status, 200);
        client.send(rig.head("GET", "/race", &[]).as_bytes());
        assert_eq!(client.read("GET").text(), "ok", "{is_reset}");
        assert_eq!(asked.load(Ordering::SeqCst), 2, "{is_reset}");
        asked.store(0, Ordering::SeqCst);
        client.send(rig.head("POST", "/race", &["Content-Length: 0"]).as_bytes());
        assert_eq!(client.read("POST").status, 502, "{is_reset}");
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{is_reset}");
        rig.records(3);
    }
}

/// RFC 9110, 10.1.1: a client that is refused is not told to go on with its body.
#[test]
fn rfc9110_10_1_1_a_final_answer_comes_without_a_100() {
    let rig = Rig::start();
    rig.origin.on("/unwanted", |line, _| {
        line.say(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno")?;
        line.more()?;
        Ok(false)
    });
    for _ in 0..5 {
        let mut client = rig.connect();
        let fields = ["Expect: 100-continue", "Content-Length: 5"];
        client.send(rig.head("POST", "/unwanted", &fields).as_bytes());
        let answer = client.read_head().unwrap();
        assert_eq!(answer.status, 417, "{answer:?}");
    }
    rig.records(5);
}
