//! What one client must not be able to do: to another client, to the record, or to a site.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod harness;

use harness::{Answer, Origin, Proxy, read_response};
use std::io::Write;
use std::net::TcpStream;

/// Asks on a connection that stays open.
fn ask(client: &mut TcpStream, origin: &Origin, path: &str, fields: &str) -> Answer {
    let port = origin.port();
    let request =
        format!("GET http://origin.test:{port}{path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    client.write_all(request.as_bytes()).unwrap();
    read_response(client, false)
}

#[test]
fn a_connection_that_a_site_signed_in_serves_its_client_alone() {
    let origin = Origin::signing_connections_in();
    let proxy = Proxy::start(&origin);
    let (mut alice, mut bob) = (proxy.connect(), proxy.connect());
    // A connection that waits in the pool may be the one that is then signed in.
    assert_eq!(ask(&mut bob, &origin, "/open", "").body, b"open");
    let challenge = ask(&mut alice, &origin, "/", "");
    assert_eq!(challenge.status, 401);
    assert_eq!(challenge.header("proxy-support"), Some("Session-Based-Authentication"));
    assert_eq!(ask(&mut alice, &origin, "/", "Authorization: NTLM step1\r\n").status, 401);
    assert_eq!(ask(&mut alice, &origin, "/", "Authorization: NTLM step3\r\n").body, b"secret");
    for _ in 0..3 {
        assert_eq!(ask(&mut alice, &origin, "/", "").body, b"secret", "no second sign-in");
        assert_eq!(ask(&mut bob, &origin, "/", "").status, 401, "another's sign-in is not used");
        assert_eq!(proxy.get(&origin, "/").status, 401, "nor by a new client");
    }
    // What is left by a client that has gone is closed, and never used.
    drop(alice);
    assert_eq!(ask(&mut bob, &origin, "/open", "").body, b"open");
    assert_eq!(proxy.get(&origin, "/").status, 401);
}

#[test]
fn credentials_for_a_connection_keep_it_apart_even_if_the_site_asks_for_nothing() {
    for (scheme, connections) in
        [("ntlm x", 2), ("NEGOTIATE x", 2), ("Kerberos x", 2), ("Basic x", 1), ("Bearer ntlm", 1)]
    {
        let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let proxy = Proxy::start(&origin);
        let (mut alice, mut bob) = (proxy.connect(), proxy.connect());
        let fields = format!("Authorization: {scheme}\r\n");
        for _ in 0..2 {
            assert_eq!(ask(&mut alice, &origin, "/", &fields).body, b"ok");
            assert_eq!(ask(&mut bob, &origin, "/", "").body, b"ok");
        }
        assert_eq!(origin.connections(), connections, "{scheme}");
    }
}

#[test]
fn what_cannot_be_read_as_http_leaves_one_record() {
    let origin = Origin::panicking();
    let proxy = Proxy::start(&origin);
    let get = |rest: &str| format!("GET http://origin.test/ HTTP/1.1\r\nHost: x\r\n{rest}\r\n");
    let many: String = (0..140).map(|i| format!("x-{i}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "a".repeat(70_000));
    let cases = [
        ("GET http://origin.test/a b HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        (get("bad header: 1\r\n"), 400),
        (get("Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (get("x: \0\r\n"), 400),
        ("GET http://origin.test/ HTTP/1.2\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("G@T http://origin.test/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".to_owned(), 400),
        // An escape in a host is no URL to hyper, so that it never comes to two readings.
        ("GET http://g%61mes.test/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 0),
        (get(&many), 431),
        (get(&large), 431),
    ];
    for (request, status) in &cases {
        let answer = String::from_utf8(proxy.ask_raw(request)).unwrap();
        let got = answer.split(' ').nth(1).map_or(0, |status| status.parse().unwrap());
        assert_eq!(got, *status, "{:?} for {:?}", answer, &request[..request.len().min(80)]);
    }
    // After a good request there is one record for each of the two.
    let both = [b"GET http://games.test/ HTTP/1.1\r\nHost: x\r\n\r\n", &b"nonsense\r\n\r\n"[..]];
    let answer = proxy.ask_raw(&String::from_utf8(both.concat()).unwrap());
    assert_eq!(String::from_utf8_lossy(&answer).matches("HTTP/1.1 4").count(), 2);
    // Nobody asks anything.
    proxy.ask_and_leave("");
    proxy.ask_and_leave("\r\n\r\n");
    let records = proxy.stop_and_read_log();
    assert_eq!(records.len(), cases.len() + 2, "{records:#?}");
    for (record, (request, status)) in records.iter().zip(&cases) {
        let reason = if *status == 431 { "limit" } else { "bad_request" };
        assert_eq!((record.verdict.as_str(), record.reason.as_str()), ("block", reason));
        assert_eq!((record.status, record.end.as_str()), (*status, "complete"), "{request:.80}");
        assert_eq!((record.host.as_str(), &record.user, &record.path), ("-", &None, &None));
    }
    assert_eq!(records[cases.len()].host, "games.test");
    assert_eq!(records[cases.len() + 1].reason, "bad_request");
}

#[test]
fn a_site_is_told_the_host_that_was_decided_about() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start_with_addresses(&origin);
    let port = origin.port();
    let spellings = [
        ("ORIGIN.test", "origin.test"),
        ("origin.test.", "origin.test"),
        ("0x7F.0.0.0x1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("[::ffff:127.0.0.1]", "127.0.0.1"),
    ];
    let mut passed = 0;
    for (spelled, canonical) in spellings {
        let answer =
            proxy.ask(&format!("GET http://{spelled}:{port}/ HTTP/1.1\r\nHost: {spelled}\r\n\r\n"));
        assert_eq!(answer.status, 200, "{spelled}");
        let seen = origin.next_request().to_lowercase();
        assert!(seen.contains(&format!("\r\nhost: {canonical}:{port}\r\n")), "{spelled}: {seen}");
        assert_eq!(seen.matches("\r\nhost:").count(), 1, "{spelled}: {seen}");
        passed += 1;
    }
    assert_eq!(passed, spellings.len());
}

#[test]
fn only_what_somebody_can_open_says_whom_to_ask() {
    let origin = Origin::panicking();
    let proxy = Proxy::start(&origin);
    let port = origin.port();
    let accept = "Host: x\r\nAccept: text/html\r\n\r\n";
    let cases = [
        (format!("GET http://games.test:{port}/ HTTP/1.1\r\n{accept}"), true),
        (format!("GET http://inside.test:{port}/ HTTP/1.1\r\n{accept}"), false),
        (format!("CONNECT origin.test:22 HTTP/1.1\r\n{accept}"), false),
    ];
    for (request, asks) in cases {
        let answer = proxy.ask(&request);
        assert_eq!(answer.status, 403, "{request}");
        let page = String::from_utf8(answer.body).unwrap();
        for words in ["Who can open it", "decides about this page", "Show your teacher", "ask with"]
        {
            assert!(asks || !page.contains(words), "{words} for {request}: {page}");
        }
        assert_eq!(page.contains("Whitmore"), asks, "{request}: {page}");
        assert_eq!(page.contains("Nobody is signed in"), asks, "{request}: {page}");
    }
}
