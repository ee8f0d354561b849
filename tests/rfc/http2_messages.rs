//! Messages of HTTP/2 and what becomes of them on the other side (RFC 9113, 8; RFC 9110, 15.2; RFC
//! 8441).

use super::frames::*;
use super::hpack::value;
use super::http2::{Raw, request};
use super::http2_sites::{Script, Stage};
use crate::daemon::{Daemon, Plan, wait_for};
use crate::inspected::school;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// RFC 9113, 8.2.3: cookies in pieces go on as one field to a site of HTTP/1.1; RFC 9110, 5.3: those
/// that a site sets stay apart.
#[test]
fn rfc9113_8_2_3_cookies_are_joined_and_set_apart() {
    let daemon = school();
    let host = daemon.authority("library.test");
    let mut raw = Raw::open(&daemon);
    let mut fields = request("GET", &host, "/echo").to_vec();
    fields.extend([("cookie", "a=b"), ("x-between", "1"), ("cookie", "c=d; e=f")]);
    raw.send(&headers(1, END_STREAM, &fields));
    assert_eq!(raw.answer(1).status(), 200);
    assert_eq!(daemon.origin.asked()[0].header("cookie"), Some("a=b; c=d; e=f"));

    let stage = Stage::start(|line, _| {
        line.greet(&[]);
        while let Some(asked) = line.asked() {
            let fields = [(":status", "200"), ("set-cookie", "a=b"), ("set-cookie", "c=d")];
            line.send(&headers(asked.stream, END_STREAM, &fields));
        }
    });
    let answer = stage.get("/set");
    let set = answer.heads[0].iter().filter(|(name, _)| name == "set-cookie").count();
    assert_eq!(set, 2, "{answer:?}");
}

/// RFC 9113, 8.2.1; RFC 9110, 5.5: blanks around a value are no part of it, and go to neither end.
#[test]
fn rfc9113_8_2_1_blanks_around_values_are_taken_out() {
    let stage = Stage::start(|line, _| {
        line.greet(&[]);
        while let Some(asked) = line.asked() {
            let got = format!("[{}]", asked.value("x-asked"));
            let fields = [(":status", "200"), ("x-got", &*got), ("x-answered", "\td e \t")];
            line.send(&headers(asked.stream, 0, &fields));
            line.send(&headers(asked.stream, END_STREAM, &[("x-trailer", " f ")]));
        }
    });
    let mut raw = stage.client();
    let host = stage.host();
    let mut fields = request("GET", &host, "/a").to_vec();
    fields.push(("x-asked", " b  c\t"));
    raw.send(&headers(1, END_STREAM, &fields));
    let answer = raw.answer(1);
    let value = |head: usize, name: &str| {
        answer.heads[head].iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    assert_eq!(value(0, "x-got"), Some("[b  c]"), "{answer:?}");
    assert_eq!(value(0, "x-answered"), Some("d e"), "{answer:?}");
    assert_eq!(value(1, "x-trailer"), Some("f"), "{answer:?}");
}

/// RFC 9113, 6.1, 8.1: padding is no part of a body, and trailers of a request reach the site.
#[test]
fn rfc9113_8_1_bodies_go_on_without_padding_and_with_trailers() {
    let daemon = school();
    let host = daemon.authority("library.test");
    let mut raw = Raw::open(&daemon);
    raw.send(&headers(1, 0, &request("POST", &host, "/echo")));
    raw.send(&frame(DATA, PADDED, 1, b"\x05hello\0\0\0\0\0"));
    raw.send(&frame(DATA, PADDED, 1, b"\x00"));
    raw.send(&frame(DATA, 0, 1, b" and"));
    raw.send(&frame(DATA, 0, 1, b" more"));
    raw.send(&headers(1, END_STREAM, &[("x-sum", "1"), ("content-length", "99"), ("host", "x")]));
    let answer = raw.answer(1);
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!(daemon.origin.asked()[0].body, b"hello and more");

    // To a site of HTTP/2, the trailers too, but for those that change what the body is (RFC 9110,
    // 6.5.1).
    let stage = Stage::start(|line, _| {
        line.greet(&[]);
        let asked = line.asked().unwrap();
        let (mut body, mut trailers) = (Vec::new(), String::new());
        while let Some(frame) = line.next() {
            match frame.kind {
                DATA => body.extend_from_slice(&frame.payload),
                HEADERS => trailers = format!("{:?}", frame.fields),
                _ => continue,
            }
            if frame.is(END_STREAM) {
                break;
            }
        }
        let text = format!("{} {trailers}", String::from_utf8_lossy(&body));
        line.send(&headers(asked.stream, 0, &[(":status", "200")]));
        line.send(&frame(DATA, 0, asked.stream, text.as_bytes()));
        let trailers = [("grpc-status", "0"), ("set-cookie", "late=1"), ("alt-svc", "h3")];
        line.send(&headers(asked.stream, END_STREAM, &trailers));
        while line.next().is_some() {}
    });
    let mut client = stage.client();
    client.send(&headers(1, 0, &request("POST", &stage.host(), "/grpc")));
    client.send(&frame(DATA, 0, 1, b"message"));
    client.send(&headers(1, END_STREAM, &[("x-sum", "1"), ("authorization", "Basic x")]));
    let answer = client.answer(1);
    assert_eq!(answer.text(), "message [(\"x-sum\", \"1\")]", "{answer:?}");
    assert!(answer.ended);
    assert_eq!(answer.heads[1], [("grpc-status".to_owned(), "0".to_owned())], "{answer:?}");
}

/// RFC 9113, 8.1, 8.3: pseudo-fields where none may be, in trailers and of the other kind of message,
/// go nowhere.
#[test]
fn rfc9113_8_3_pseudo_fields_in_the_wrong_place_go_nowhere() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let by = std::sync::Arc::clone(&seen);
    let stage = Stage::start(move |line, _| {
        line.greet(&[]);
        while let Some(frame) = line.next() {
            if frame.kind == HEADERS {
                by.lock().unwrap().extend(frame.fields.clone());
            }
            if frame.kind <= HEADERS && frame.is(END_STREAM) {
                let answer = [(":status", "200"), (":path", "/evil"), (":authority", "evil.test")];
                line.send(&headers(frame.stream, 0, &answer));
                line.send(&headers(
                    frame.stream,
                    END_STREAM,
                    &[("x-sum", "1"), (":status", "500")],
                ));
            }
        }
    });
    let mut client = stage.client();
    client.send(&headers(1, 0, &request("POST", &stage.host(), "/up")));
    client.send(&headers(1, END_STREAM, &[(":path", "/evil"), (":authority", "evil.test")]));
    let answer = client.answer(1);
    assert!(!format!("{answer:?}").contains("evil"), "{answer:?}");
    assert!(!answer.statuses.contains(&500), "{answer:?}");
    let seen = format!("{:?}", seen.lock().unwrap());
    assert!(!seen.contains("evil"), "{seen}");
}

/// RFC 9110, 15.2; RFC 9113, 8.1: interim answers go to clients of both versions, whatever the site
/// speaks, each once and before the answer, without fields of the hop.
#[test]
fn rfc9110_15_2_interim_answers_go_over_http2() {
    let stage = Stage::start(|line, _| {
        line.greet(&[]);
        while let Some(asked) = line.asked() {
            let hints = [(":status", "103"), ("link", "</a.css>; rel=preload"), ("alt-svc", "h3")];
            line.send(&headers(asked.stream, 0, &hints));
            // They do not wait for the answer.
            std::thread::sleep(Duration::from_millis(1_000));
            line.send(&headers(asked.stream, 0, &[(":status", "102")]));
            line.say(asked.stream, "final");
        }
    });
    let mut client = stage.client();
    let begun = Instant::now();
    client.send(&headers(1, END_STREAM, &request("GET", &stage.host(), "/hints")));
    let hints = client.wait(HEADERS, 1);
    assert!(begun.elapsed() < Duration::from_millis(900), "held back: {:?}", begun.elapsed());
    assert_eq!(hints.value(":status"), "103");
    assert_eq!((hints.value("link"), hints.value("alt-svc")), ("</a.css>; rel=preload", ""));
    assert!(!hints.is(END_STREAM));
    let answer = client.answer(1);
    assert_eq!(answer.statuses, [102, 200], "{answer:?}");
    assert_eq!(answer.text(), "final");
    // The same to a client of HTTP/1.1.
    let mut client = stage.old_client();
    let asked =
        format!("GET /hints HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", stage.host());
    client.stream.write_all(asked.as_bytes()).unwrap();
    let mut read = Vec::new();
    let _ = client.stream.read_to_end(&mut read);
    let text = String::from_utf8_lossy(&read).into_owned();
    let statuses: Vec<&str> =
        text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["103", "102", "200"], "{text}");
    // One record a request.
    let records = stage.daemon.wait_records(4);
    assert_eq!(records.len(), 4, "{records:#?}");
}

/// RFC 9110, 15.2: the same from a site of HTTP/1.1 to a client of HTTP/2.
#[test]
fn rfc9110_15_2_interim_answers_of_http_1_1_go_over_http2() {
    let daemon = school();
    let host = daemon.authority("library.test");
    let mut raw = Raw::open(&daemon);
    raw.send(&headers(1, END_STREAM, &request("GET", &host, "/hints")));
    let answer = raw.answer(1);
    assert_eq!(answer.statuses, [103, 200], "{answer:?}");
    assert_eq!(value(&answer.heads[0], "link"), "</style.css>; rel=preload");
}

/// RFC 9110, 10.1.1: a client of HTTP/2 that waits with its body is told to go on, once, when the site
/// wants it; and not at all when the site answers without it.
#[test]
fn rfc9110_10_1_1_expectations_go_over_http2() {
    let stage = Stage::start(|line, _| {
        line.greet(&[]);
        while let Some(asked) = line.asked() {
            let stream = asked.stream;
            assert_eq!(asked.value("expect"), "100-continue");
            if asked.value(":path") == "/unwanted" {
                line.send(&headers(stream, END_STREAM, &[(":status", "417")]));
                continue;
            }
            line.send(&headers(stream, 0, &[(":status", "100")]));
            let body = line.wait(DATA, stream).payload;
            line.say(stream, &String::from_utf8(body).unwrap());
        }
    });
    let mut client = stage.client();
    let mut fields = request("POST", "", "/wanted").to_vec();
    let host = stage.host();
    fields[2].1 = &host;
    fields.push(("expect", "100-continue"));
    client.send(&headers(1, 0, &fields));
    let go_on = client.wait(HEADERS, 1);
    assert_eq!(go_on.value(":status"), "100");
    client.send(&frame(DATA, END_STREAM, 1, b"body"));
    let answer = client.answer(1);
    assert_eq!((answer.statuses.as_slice(), answer.text().as_str()), (&[200][..], "body"));
    fields[3].1 = "/unwanted";
    client.send(&headers(3, 0, &fields));
    let answer = client.answer(3);
    assert_eq!(answer.statuses, [417], "{answer:?}");
}

/// RFC 9113, 8.1: an answer that is whole before its request is goes back at once, and the client is
/// told that the rest is not wanted, without an error.
#[test]
fn rfc9113_8_1_an_early_answer_goes_back_at_once() {
    let stage = Stage::start(|line, _| {
        line.greet(&[]);
        while let Some(asked) = line.asked() {
            let stream = asked.stream;
            line.send(&headers(stream, 0, &[(":status", "413")]));
            line.send(&frame(DATA, END_STREAM, stream, b"too large"));
            line.send(&number(RST_STREAM, stream, NO_ERROR));
        }
    });
    let mut client = stage.client();
    client.send(&headers(1, 0, &request("POST", &stage.host(), "/up")));
    client.send(&frame(DATA, 0, 1, b"some of it"));
    let answer = client.answer(1);
    assert!(answer.ended && answer.status() == 413, "{answer:?}");
    assert_eq!(answer.text(), "too large");
    let reset = client.wait(RST_STREAM, 1);
    assert_eq!(reset.number(0), NO_ERROR);
    // The connection is as good as before.
    client.send(&headers(3, 0, &request("POST", &stage.host(), "/up")));
    assert_eq!(client.answer(3).status(), 413);
    wait_for("two whole answers in the log", Duration::from_secs(5), || {
        let records = stage.daemon.wait_records(3);
        records[1..].iter().all(|record| record["end"] == "complete")
    });
}

/// RFC 9113, 8.1: a site that answers at once and reads on gets the whole request.
#[test]
fn rfc9113_8_1_a_site_that_answers_early_and_reads_on_gets_everything() {
    const PIECES: usize = 20;
    let (told, whole) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let stage = Stage::start(move |line, _| {
        line.greet(&[]);
        let asked = line.asked().unwrap();
        line.say(asked.stream, "already");
        let mut bytes = 0;
        while let Some(frame) = line.next() {
            if frame.kind == DATA {
                bytes += frame.payload.len();
                if frame.is(END_STREAM) {
                    break;
                }
            }
            if frame.kind == RST_STREAM {
                bytes = usize::MAX;
                break;
            }
        }
        let _ = told.lock().unwrap().send(bytes);
        while line.next().is_some() {}
    });
    let mut client = stage.client();
    client.send(&headers(1, 0, &request("POST", &stage.host(), "/up")));
    let answer = client.answer(1);
    assert!(answer.ended && answer.text() == "already", "{answer:?}");
    for piece in 0..PIECES {
        std::thread::sleep(Duration::from_millis(20));
        let end = if piece + 1 == PIECES { END_STREAM } else { 0 };
        client.send(&frame(DATA, end, 1, &[b'x'; 1000]));
    }
    assert_eq!(whole.recv_timeout(Duration::from_secs(5)), Ok(PIECES * 1000));
    // So does the record, which does not end before.
    wait_for("the record's end", Duration::from_secs(5), || {
        !stage.daemon.wait_records(2)[1]["end"].is_null()
    });
    let record = stage.daemon.wait_records(2).remove(1);
    assert_eq!(record["bytes_up"], PIECES * 1000, "{record:#}");
    assert_eq!(record["end"], "complete", "{record:#}");
}

/// RFC 9113, 5.4.2, 8.1.1, 8.6: a request that its client takes back, or that is malformed in its
/// middle, is taken back at the site too, and is whole nowhere.
#[test]
fn rfc9113_8_1_a_request_that_breaks_off_is_taken_back_at_the_site() {
    let (told, ended) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let stage = Stage::start(move |line, _| {
        line.greet(&[]);
        while let Some(asked) = line.asked() {
            let stream = asked.stream;
            loop {
                let Some(frame) = line.next() else { return };
                if frame.stream == stream && (frame.kind == RST_STREAM || frame.is(END_STREAM)) {
                    let end = (frame.kind == RST_STREAM).then(|| frame.number(0));
                    let _ = told.lock().unwrap().send(end);
                    break;
                }
            }
        }
    });
    let mut host = request("POST", "", "/up").to_vec();
    let authority = stage.host();
    host[2].1 = &authority;
    let breaks: [(&str, Vec<u8>); 4] = [
        ("CANCEL", number(RST_STREAM, 1, CANCEL)),
        ("NO_ERROR", number(RST_STREAM, 1, NO_ERROR)),
        ("longer than announced", frame(DATA, END_STREAM, 1, &[b'x'; 200])),
        ("shorter than announced", frame(DATA, END_STREAM, 1, b"x")),
    ];
    for (what, last) in breaks {
        let mut client = stage.client();
        let mut fields = host.clone();
        fields.push(("content-length", "100"));
        client.send(&headers(1, 0, &fields));
        client.send(&frame(DATA, 0, 1, b"begun"));
        std::thread::sleep(Duration::from_millis(200));
        client.send(&last);
        let end = ended.recv_timeout(Duration::from_secs(5));
        assert!(matches!(end, Ok(Some(_))), "{what}: {end:?}");
    }
    // One that leaves altogether.
    let mut client = stage.client();
    client.send(&headers(1, 0, &host));
    client.send(&frame(DATA, 0, 1, b"begun"));
    std::thread::sleep(Duration::from_millis(200));
    drop(client);
    let end = ended.recv_timeout(Duration::from_secs(5));
    assert!(matches!(end, Ok(Some(_))), "{end:?}");
}

/// RFC 9113, 8.3.1; RFC 9112, 3.2.4: OPTIONS about a site as a whole stays so, from and to either
/// version; nothing else can be about `*`.
#[test]
fn rfc9113_8_3_1_options_about_a_whole_site_stay_so() {
    let stage = Stage::start(|line, _| {
        line.greet(&[]);
        while let Some(asked) = line.asked() {
            let path = asked.value(":path").to_owned();
            line.send(&headers(
                asked.stream,
                0,
                &[(":status", "200"), ("content-length", &path.len().to_string())],
            ));
            line.send(&frame(DATA, END_STREAM, asked.stream, path.as_bytes()));
        }
    });
    let host = stage.host();
    let mut client = stage.client();
    for (stream, path) in [(1, "*"), (3, "/"), (5, "/*")] {
        client.send(&headers(stream, END_STREAM, &request("OPTIONS", &host, path)));
        assert_eq!(client.answer(stream).text(), path);
    }
    let mut old = stage.old_client();
    let asked = format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n");
    old.stream.write_all(asked.as_bytes()).unwrap();
    assert_eq!(old.read().unwrap().text(), "*");
    client.send(&headers(7, END_STREAM, &request("GET", &host, "*")));
    assert_eq!(client.answer(7).status(), 400);
    // To a site of HTTP/1.1.
    let daemon = school();
    let host = daemon.authority("library.test");
    let mut raw = Raw::open(&daemon);
    raw.send(&headers(1, END_STREAM, &request("OPTIONS", &host, "*")));
    raw.answer(1);
    assert_eq!(daemon.origin.asked()[0].line, "OPTIONS * HTTP/1.1");
}

/// RFC 9110, 6.4.1, 8.6: a 204 says no length, which some clients would wait for, and what a site sends
/// behind a 204 or 304 is no content of it, over either version.
#[test]
fn rfc9110_8_6_a_204_has_no_length_and_no_content() {
    let stage = Stage::start(|line, _| {
        line.greet(&[]);
        while let Some(asked) = line.asked() {
            let (stream, path) = (asked.stream, asked.value(":path").to_owned());
            if path == "/next" {
                line.say(stream, "next");
                continue;
            }
            line.send(&headers(stream, 0, &[(":status", &path[1..4]), ("content-length", "4")]));
            let body: &[u8] = if path.ends_with("empty") { b"" } else { b"EVIL" };
            line.send(&frame(DATA, END_STREAM, stream, body));
        }
    });
    let host = stage.host();
    let mut client = stage.client();
    for (turn, path) in ["/204", "/304", "/204/empty", "/304/empty", "/next"].iter().enumerate() {
        let stream = turn as u32 * 2 + 1;
        client.send(&headers(stream, END_STREAM, &request("GET", &host, path)));
        let answer = client.answer(stream);
        // One that is not as long as it says may be broken off instead.
        assert!(answer.ended || path.ends_with("empty"), "{path}: {answer:?}");
        let body = if *path == "/next" { "next" } else { "" };
        assert_eq!(answer.text(), body, "{path}: {answer:?}");
        if path.starts_with("/204") && answer.ended {
            assert_eq!(value(&answer.heads[0], "content-length"), "", "{answer:?}");
        }
    }
    let mut old = stage.old_client();
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    old.stream.write_all((ask("/204") + &ask("/next")).as_bytes()).unwrap();
    let mut text = String::new();
    let mut piece = [0; 4096];
    while !text.ends_with("0\r\n\r\n") {
        let count = old.stream.read(&mut piece).unwrap();
        assert!(count > 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    let head = &text[..text.find("\r\n\r\n").unwrap()];
    assert!(head.starts_with("HTTP/1.1 204 ") && !head.contains("ength"), "{text}");
    assert!(!text.contains("EVIL"), "{text}");
}

/// RFC 9112, 9.8: over TLS, what has neither a length nor chunks is whole only once the site has said
/// goodbye; a connection that is cut off ends nothing.
#[test]
fn rfc9112_9_8_an_answer_that_is_cut_off_is_not_whole() {
    for cut in [false, true] {
        let site: Box<Script> = Box::new(move |line, _| {
            let mut read = Vec::new();
            while let Some(byte) = line.bytes(1) {
                read.extend(byte);
                if read.ends_with(b"\r\n\r\n") {
                    line.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\npart");
                    line.cut = cut;
                    return;
                }
            }
        });
        let stage = Stage::start_both(None, Some(site));
        let answer = stage.get("/part");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "part"), "{answer:?}");
        assert_eq!((answer.ended, answer.error.is_some()), (!cut, cut), "{answer:?}");
        let end = stage.daemon.wait_records(2)[1]["end"].clone();
        assert_eq!(end, if cut { "upstream" } else { "complete" });
    }
}

/// RFC 9113, 8.5; RFC 8441, 4: inside a tunnel CONNECT opens WebSockets and nothing else.
#[test]
fn rfc9113_8_5_connect_opens_nothing_but_websockets() {
    let daemon = school();
    let host = daemon.authority("library.test");
    let with = |protocol: Option<&'static str>| {
        let mut fields = vec![(":method", "CONNECT")];
        fields.extend(protocol.map(|protocol| (":protocol", protocol)));
        fields.extend(&request("CONNECT", &host, "/upgrade")[1..]);
        fields
    };
    let refused = [
        ("a tunnel", vec![(":method", "CONNECT"), (":authority", "casino.test:443")]),
        ("a tunnel with a path", with(None)),
        ("another protocol", with(Some("connect-udp"))),
        ("HTTP itself", with(Some("h2c"))),
        ("a protocol without CONNECT", {
            let mut fields = with(Some("websocket"));
            fields[0].1 = "GET";
            fields
        }),
    ];
    for (what, fields) in refused {
        let mut raw = Raw::open(&daemon);
        let begun = Instant::now();
        raw.send(&headers(1, 0, &fields));
        let answer = raw.answer(1);
        assert!(
            answer.error == Some(PROTOCOL_ERROR) || matches!(answer.status(), 400 | 405 | 421),
            "{what}: {answer:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(1), "{what}: {:?}", begun.elapsed());
    }
    assert!(daemon.origin.asked().is_empty());
    // A site that agrees without the answer to our key has not understood (RFC 6455, 4.1).
    let mut raw = Raw::open(&daemon);
    raw.send(&headers(1, 0, &with(Some("websocket"))));
    let answer = raw.answer(1);
    assert_eq!(answer.status(), 502, "{answer:?}");
}

/// RFC 9110, 15.6.4: where there is no place for a WebSocket, its client is told so, and when to ask again.
#[test]
fn rfc9110_15_6_4_a_websocket_without_a_place_is_told_so() {
    let machine = "[limits]\nmax_tunnels = 1\n".to_owned();
    let daemon = Daemon::start_with(&Plan { inspected: true, machine, ..Plan::default() });
    let host = daemon.authority("library.test");
    // Its connection has the place.
    let mut raw = Raw::open(&daemon);
    let mut fields = vec![(":method", "CONNECT"), (":protocol", "websocket")];
    fields.extend(&request("CONNECT", &host, "/upgrade")[1..]);
    raw.send(&headers(1, 0, &fields));
    let answer = raw.answer(1);
    assert_eq!((answer.status(), answer.ended), (503, true), "{answer:?}");
    assert_eq!(value(&answer.heads[0], "retry-after"), "10", "{answer:?}");
    assert!(daemon.origin.asked().is_empty());
    let get = request("GET", &host, "/size/4");
    raw.send(&headers(3, END_STREAM, &get));
    assert_eq!(raw.answer(3).status(), 200, "others go on");
    let records = daemon.wait_records(3);
    let record = &records[1];
    assert_eq!((&record["status"], &record["end"]), (&503.into(), &"aborted".into()), "{record}");
}
