//! The proxy on real sockets: raw bytes in, raw bytes out, against origins that the tests script.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod harness;

use harness::{Origin, Proxy, read_head, read_response};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

#[test]
fn a_get_is_forwarded_with_this_hop_cleaned_and_comes_back() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kept: 1\r\nConnection: x-gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic realm=\"phish\"\r\n\r\nhello",
    );
    let proxy = Proxy::start(&origin);
    let answer = proxy.ask(&format!(
        "GET http://origin.test:{}/a?b=c HTTP/1.1\r\nHost: somewhere.else\r\nProxy-Connection: keep-alive\r\n\
         X-Forwarded-For: 10.1.2.3\r\nConnection: x-secret\r\nX-Secret: 1\r\nUser-Agent: test\r\n\r\n",
        origin.port()
    ));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, b"hello");
    assert_eq!(answer.header("x-kept"), Some("1"));
    assert_eq!(answer.header("x-gone"), None);
    assert_eq!(answer.header("proxy-authenticate"), None);
    assert!(answer.header("via").unwrap().starts_with("1.1 schoolgate-"));
    let seen = origin.next_request().to_lowercase();
    assert!(seen.starts_with("get /a?b=c http/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("\r\nhost: origin.test:{}\r\n", origin.port())), "{seen}");
    assert!(seen.contains("\r\nvia: 1.1 schoolgate-"), "{seen}");
    for gone in ["proxy-connection", "x-forwarded-for", "x-secret", "somewhere.else"] {
        assert!(!seen.contains(gone), "{gone} in {seen}");
    }
}

#[test]
fn connections_to_an_origin_are_used_again() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&origin);
    for _ in 0..5 {
        assert_eq!(proxy.get(&origin, "/").body, b"ok");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let origin = Origin::echoing_paths();
    let proxy = Proxy::start(&origin);
    let mut client = proxy.connect();
    let requests: String = (0..20)
        .map(|i| {
            format!("GET http://origin.test:{}/{i} HTTP/1.1\r\nHost: x\r\n\r\n", origin.port())
        })
        .collect();
    client.write_all(requests.as_bytes()).unwrap();
    for i in 0..20 {
        let answer = read_response(&mut client, false);
        assert_eq!(String::from_utf8(answer.body).unwrap(), format!("/{i}"));
    }
}

#[test]
fn a_blocked_site_gets_the_page_and_one_record_and_the_origin_nothing() {
    let origin = Origin::panicking();
    let proxy = Proxy::start(&origin);
    let answer = proxy.ask(&format!(
        "GET http://games.test:{}/ HTTP/1.1\r\nHost: games.test\r\nAccept: text/html\r\nAccept-Language: cy\r\n\r\n",
        origin.port()
    ));
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("content-language"), Some("cy"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    let page = String::from_utf8(answer.body).unwrap();
    assert!(page.contains("<html lang=\"cy\">"), "{page}");
    let answer = proxy.ask(
        "GET http://games.test/ HTTP/1.1\r\nHost: games.test\r\nAccept: application/json\r\n\r\n",
    );
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["reason"], "category");
    assert_eq!(problem["code"].as_str().unwrap().len(), 11);
    let records = proxy.stop_and_read_log();
    assert_eq!(records.len(), 2);
    assert!(
        records.iter().all(|r| r.status == 403 && r.verdict == "block" && r.host == "games.test")
    );
}

#[test]
fn head_has_the_length_and_no_body() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    let proxy = Proxy::start(&origin);
    let mut client = proxy.connect();
    for host in ["origin.test", "games.test"] {
        let request = format!("HEAD http://{host}:{}/ HTTP/1.1\r\nHost: x\r\n\r\n", origin.port());
        client.write_all(request.as_bytes()).unwrap();
        let answer = read_response(&mut client, true);
        assert!(answer.header("content-length").unwrap().parse::<u64>().unwrap() > 100, "{host}");
    }
}

#[test]
fn answers_without_a_body_do_not_hold_the_connection_up() {
    for status in ["204 No Content", "304 Not Modified"] {
        let origin = Origin::answering(&format!("HTTP/1.1 {status}\r\nETag: \"1\"\r\n\r\n"));
        let proxy = Proxy::start(&origin);
        for _ in 0..2 {
            assert_eq!(proxy.get(&origin, "/").status, status[..3].parse::<u16>().unwrap());
        }
    }
}

#[test]
fn chunks_and_trailers_pass_both_ways() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let proxy = Proxy::start(&origin);
    let mut client = proxy.connect();
    let request = format!(
        "POST http://origin.test:{}/ HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Up\r\n\r\n4\r\nbody\r\n0\r\nX-Up: 9\r\n\r\n",
        origin.port()
    );
    client.write_all(request.as_bytes()).unwrap();
    let head = read_head(&mut client).to_lowercase();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    let mut rest = [0; 64];
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n\r\n") {
        let read = client.read(&mut rest).unwrap();
        assert_ne!(read, 0, "{:?}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&rest[..read]);
    }
    let got = String::from_utf8(got).unwrap().to_lowercase();
    assert!(got.starts_with("3\r\nabc\r\n0\r\n") && got.contains("x-sum: 7"), "{got}");
    let seen = origin.next_request().to_lowercase();
    assert!(seen.contains("\r\nte: trailers\r\n"), "{seen}");
    assert!(seen.contains("\r\n\r\n4\r\nbody\r\n0\r\nx-up: 9\r\n\r\n"), "{seen}");
}

#[test]
fn an_old_client_gets_an_answer_it_understands() {
    let origin = Origin::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let proxy = Proxy::start(&origin);
    let mut client = proxy.connect();
    client
        .write_all(format!("GET http://origin.test:{}/ HTTP/1.0\r\n\r\n", origin.port()).as_bytes())
        .unwrap();
    let mut all = String::new();
    client.read_to_string(&mut all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(body, "abc");
    assert!(origin.next_request().to_lowercase().contains("via: 1.0 schoolgate-"));
}

#[test]
fn a_body_waits_for_the_origins_leave() {
    let origin = Origin::expecting_continue();
    let proxy = Proxy::start(&origin);
    let mut client = proxy.connect();
    let head = format!(
        "POST http://origin.test:{}/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        origin.port()
    );
    client.write_all(head.as_bytes()).unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 100"));
    client.write_all(b"body").unwrap();
    assert_eq!(read_response(&mut client, false).body, b"got body");
}

#[test]
fn framing_that_can_be_read_in_two_ways_is_refused_and_recorded() {
    let origin = Origin::panicking();
    let proxy = Proxy::start(&origin);
    let port = origin.port();
    let cases = [
        format!(
            "POST http://origin.test:{port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("GET http://origin.test:{port}/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
        format!("GET http://origin.test:{port}/ HTTP/1.1\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n".to_owned(),
        format!("GET https://origin.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET http://user:pass@origin.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        "CONNECT origin.test HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        "CONNECT origin.test:0 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ];
    for case in &cases {
        assert_eq!(proxy.ask(case).status, 400, "{case}");
    }
    let records = proxy.stop_and_read_log();
    assert_eq!(records.len(), cases.len());
    assert!(records.iter().all(|r| r.reason == "bad_request"));
}

#[test]
fn what_the_proxy_does_not_do_is_refused_with_its_own_reason() {
    let origin = Origin::panicking();
    let proxy = Proxy::start(&origin);
    let port = origin.port();
    let via = {
        let probe = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let url = format!("GET http://origin.test:{}/ HTTP/1.1\r\nHost: x\r\n\r\n", probe.port());
        proxy.ask(&url);
        let seen = probe.next_request();
        seen.lines().find(|line| line.to_lowercase().starts_with("via:")).unwrap().to_owned()
    };
    let cases = [
        (
            format!("TRACE http://origin.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n"),
            405,
            "unsupported",
        ),
        (
            format!("GET http://origin.test:{port}/ HTTP/1.1\r\nHost: x\r\n{via}\r\n\r\n"),
            403,
            "loop",
        ),
        ("CONNECT origin.test:22 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 403, "port"),
        ("GET http://origin.test:25/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 403, "port"),
        (
            format!("GET http://127.0.0.1:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n"),
            403,
            "private_address",
        ),
        (
            format!("GET http://[::ffff:127.0.0.1]:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n"),
            403,
            "private_address",
        ),
        (
            format!("GET http://inside.test:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n"),
            403,
            "private_address",
        ),
        (
            format!(
                "GET http://origin.test:{}/ HTTP/1.1\r\nHost: x\r\n\r\n",
                proxy.address().port()
            ),
            403,
            "private_address",
        ),
    ];
    for (request, status, reason) in &cases {
        let answer = proxy.ask(request);
        assert_eq!(answer.status, *status, "{request}");
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["reason"], *reason, "{request}");
    }
    assert_eq!(proxy.stop_and_read_log().len(), cases.len() + 1);
}

#[test]
fn an_origin_that_fails_gets_its_own_page() {
    let cases = [
        ("", 502),
        ("nonsense\r\n\r\n", 502),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 502),
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
            502,
        ),
    ];
    for (answer, status) in cases {
        let origin = Origin::answering_once(answer);
        let proxy = Proxy::start(&origin);
        assert_eq!(proxy.get(&origin, "/").status, status, "{answer:?}");
        let records = proxy.stop_and_read_log();
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].verdict.as_str(), records[0].end.as_str()), ("allow", "upstream"));
    }
    let gone = Origin::gone();
    let proxy = Proxy::start(&gone);
    assert_eq!(proxy.get(&gone, "/").status, 502);
}

#[test]
fn a_slow_origin_gets_504() {
    let origin = Origin::silent();
    let proxy = Proxy::start_with(&origin, "response_header_timeout_ms = 300");
    let begun = Instant::now();
    assert_eq!(proxy.get(&origin, "/").status, 504);
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(proxy.stop_and_read_log()[0].end, "timed_out");
}

#[test]
fn a_tunnel_passes_early_bytes_and_half_closes() {
    let origin = Origin::echoing_bytes();
    let proxy = Proxy::start(&origin);
    let mut client = proxy.connect();
    // Bytes behind the CONNECT, before the answer, must not be lost.
    client
        .write_all(
            format!("CONNECT origin.test:{} HTTP/1.1\r\nHost: x\r\n\r\nearly ", origin.port())
                .as_bytes(),
        )
        .unwrap();
    let head = read_head(&mut client);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(!head.to_lowercase().contains("content-length"), "{head}");
    client.write_all(b"late").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = String::new();
    client.read_to_string(&mut all).unwrap();
    assert_eq!(all, "early late");
    let records = proxy.stop_and_read_log();
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].bytes_up, records[0].bytes_down), (10, 10));
    assert_eq!((records[0].status, records[0].end.as_str()), (200, "complete"));
    assert_eq!(records[0].path, None);
}

#[test]
fn a_tunnel_that_rests_too_long_is_closed() {
    let origin = Origin::echoing_bytes();
    let proxy = Proxy::start_with(&origin, "tunnel_idle_timeout_ms = 300");
    let mut client = proxy.connect();
    client
        .write_all(
            format!("CONNECT origin.test:{} HTTP/1.1\r\nHost: x\r\n\r\n", origin.port()).as_bytes(),
        )
        .unwrap();
    read_head(&mut client);
    let begun = Instant::now();
    assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0);
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(proxy.stop_and_read_log()[0].end, "timed_out");
}

#[test]
fn a_websocket_passes_where_it_was_asked_for() {
    let origin = Origin::upgrading("websocket");
    let proxy = Proxy::start(&origin);
    let mut client = proxy.connect();
    client.write_all(format!("GET http://origin.test:{}/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n", origin.port()).as_bytes()).unwrap();
    let head = read_head(&mut client).to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"), "{head}");
    let mut hello = [0; 5];
    client.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    client.write_all(b"ping").unwrap();
    let mut pong = [0; 4];
    client.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"ping");
    drop(client);
    let seen = origin.next_request().to_lowercase();
    assert!(
        seen.contains("connection: upgrade") && seen.contains("sec-websocket-key: a"),
        "{seen}"
    );
    let records = proxy.stop_and_read_log();
    assert_eq!((records[0].status, records[0].bytes_up), (101, 4));
}

#[test]
fn an_origin_cannot_switch_to_what_was_not_asked() {
    let origin = Origin::upgrading("shell");
    let proxy = Proxy::start(&origin);
    let request = |upgrade: &str| {
        format!(
            "GET http://origin.test:{}/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n",
            origin.port()
        )
    };
    assert_eq!(proxy.ask(&request("websocket")).status, 502);
    assert_eq!(proxy.ask(&request("h2c")).status, 502);
    origin.next_request();
    assert!(!origin.next_request().to_lowercase().contains("upgrade"), "h2c is never passed on");
}

#[test]
fn a_client_that_leaves_ends_the_upstream_and_the_record() {
    let origin = Origin::silent();
    let proxy = Proxy::start(&origin);
    let mut client = proxy.connect();
    client
        .write_all(
            format!("GET http://origin.test:{}/ HTTP/1.1\r\nHost: x\r\n\r\n", origin.port())
                .as_bytes(),
        )
        .unwrap();
    origin.next_request();
    drop(client);
    assert!(origin.sees_close_within(Duration::from_secs(3)));
    let records = proxy.stop_and_read_log();
    assert_eq!(records[0].end, "aborted");
}

#[test]
fn a_body_broken_off_by_the_origin_is_broken_off_for_the_client() {
    let origin = Origin::answering_once("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    let proxy = Proxy::start(&origin);
    let mut client = proxy.connect();
    client
        .write_all(
            format!("GET http://origin.test:{}/ HTTP/1.1\r\nHost: x\r\n\r\n", origin.port())
                .as_bytes(),
        )
        .unwrap();
    let mut all = Vec::new();
    // A reset is as good as an end: the length tells that it is not whole.
    let _ = client.read_to_end(&mut all);
    assert!(all.ends_with(b"only this"), "{:?}", String::from_utf8_lossy(&all));
    let records = proxy.stop_and_read_log();
    assert_eq!((records[0].end.as_str(), records[0].bytes_down), ("upstream", 9));
}

#[test]
fn a_large_upload_to_a_slow_reader_arrives_whole() {
    let origin = Origin::counting_slowly();
    let proxy = Proxy::start(&origin);
    let mut client = proxy.connect();
    let length = 8 * 1024 * 1024;
    client.write_all(format!("PUT http://origin.test:{}/ HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n", origin.port()).as_bytes()).unwrap();
    client.write_all(&vec![b'x'; length]).unwrap();
    assert_eq!(read_response(&mut client, false).body, length.to_string().as_bytes());
    assert_eq!(proxy.stop_and_read_log()[0].bytes_up, length as u64);
}

#[test]
fn a_post_is_never_sent_twice() {
    // Answers once, then drops the connection on the second request.
    let origin = Origin::closing_after_one();
    let proxy = Proxy::start(&origin);
    let post = format!(
        "POST http://origin.test:{}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx",
        origin.port()
    );
    assert_eq!(proxy.ask(&post).status, 200);
    assert_eq!(proxy.ask(&post).status, 502);
    assert_eq!(origin.requests_seen(), 2);
}

#[test]
fn sign_in_is_asked_for_checked_and_never_passed_on() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start_signed_in(&origin);
    let ask = |credentials: &str| {
        proxy.ask(&format!(
            "GET http://origin.test:{}/ HTTP/1.1\r\nHost: x\r\n{credentials}\r\n",
            origin.port()
        ))
    };
    let answer = ask("");
    assert_eq!(answer.status, 407);
    let challenge = "Basic realm=\"School web filter\", charset=\"UTF-8\"";
    assert_eq!(answer.header("proxy-authenticate"), Some(challenge));
    assert_eq!(ask("Proxy-Authorization: Basic cHVwaWw6d3Jvbmc=\r\n").status, 407);
    assert_eq!(ask("Proxy-Authorization: Basic bm9ib2R5OmRlbW8=\r\n").status, 407);
    for _ in 0..3 {
        assert_eq!(ask("Proxy-Authorization: Basic cHVwaWw6ZGVtbw==\r\n").status, 200);
        assert!(!origin.next_request().to_lowercase().contains("authorization"));
    }
    let records = proxy.stop_and_read_log();
    assert_eq!(records.len(), 6);
    let users: Vec<Option<&str>> = records.iter().map(|r| r.user.as_deref()).collect();
    assert_eq!(users, [None, None, None, Some("pupil"), Some("pupil"), Some("pupil")]);
}

#[test]
fn a_block_ends_what_is_open_within_a_second() {
    let origin = Origin::echoing_bytes();
    let proxy = Proxy::start(&origin);
    let mut tunnel = proxy.connect();
    tunnel
        .write_all(
            format!("CONNECT origin.test:{} HTTP/1.1\r\nHost: x\r\n\r\n", origin.port()).as_bytes(),
        )
        .unwrap();
    read_head(&mut tunnel);
    tunnel.write_all(b"hello").unwrap();
    tunnel.read_exact(&mut [0; 5]).unwrap();
    let begun = Instant::now();
    proxy.block("origin.test");
    assert_eq!(tunnel.read(&mut [0; 1]).unwrap_or(0), 0);
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert_eq!(proxy.get(&origin, "/").status, 403);
    let records = proxy.stop_and_read_log();
    assert_eq!((records[0].end.as_str(), records[1].reason.as_str()), ("cut", "site_blocked"));
}

#[test]
fn an_idle_client_and_a_slow_head_are_closed() {
    let origin = Origin::panicking();
    let limits = "client_idle_timeout_ms = 300\nheader_read_timeout_ms = 600";
    let proxy = Proxy::start_with(&origin, limits);
    let closes_after = |bytes: &[u8]| {
        let mut client = proxy.connect();
        client.write_all(bytes).unwrap();
        let begun = Instant::now();
        let mut told = Vec::new();
        let _ = client.read_to_end(&mut told);
        (begun.elapsed(), String::from_utf8(told).unwrap())
    };
    let (idle, nothing) = closes_after(b"");
    assert_eq!(nothing, "");
    let (head, told) = closes_after(b"GET http://origin.test/ HTTP/1.1\r\n");
    assert!(told.starts_with("HTTP/1.1 408 "), "{told}");
    assert!(idle < Duration::from_secs(2) && idle >= Duration::from_millis(200), "{idle:?}");
    assert!(head < Duration::from_secs(3) && head >= Duration::from_millis(500), "{head:?}");
}

#[test]
fn draining_lets_an_open_exchange_finish_and_takes_no_new_ones() {
    let origin = Origin::answering_after(
        Duration::from_millis(500),
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let proxy = Proxy::start(&origin);
    let mut client = proxy.connect();
    client
        .write_all(
            format!("GET http://origin.test:{}/ HTTP/1.1\r\nHost: x\r\n\r\n", origin.port())
                .as_bytes(),
        )
        .unwrap();
    origin.next_request();
    let address = proxy.address();
    let stopping = std::thread::spawn(move || proxy.drain_and_read_log());
    assert_eq!(read_response(&mut client, false).body, b"ok");
    let records = stopping.join().unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].end, "complete");
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn health_and_metrics_are_told_without_hosts_or_people() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&origin);
    proxy.get(&origin, "/");
    proxy.ask("GET http://games.test/ HTTP/1.1\r\nHost: x\r\n\r\n");
    proxy.ask_raw("nonsense\r\n\r\n");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(proxy.ops("/healthz").status, 200);
    let ready = proxy.ops("/readyz");
    let detail: serde_json::Value = serde_json::from_slice(&ready.body).unwrap();
    assert_eq!((ready.status, &detail["ready"]), (200, &serde_json::Value::Bool(true)), "{detail}");
    let metrics = String::from_utf8(proxy.ops("/metrics").body).unwrap();
    for line in [
        "proxy_requests_total{level=\"pupil\",verdict=\"allow\"} 1",
        // The one that could not be read is a refusal too.
        "proxy_requests_total{level=\"pupil\",verdict=\"block\"} 2",
        "proxy_unreadable_requests_total 1",
        "proxy_answer_seconds_count 1",
        "proxy_sign_ins_waiting 0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    for never in ["origin.test", "games.test", "127.0.0.1"] {
        assert!(!metrics.contains(never), "{never} in {metrics}");
    }
}

/// Waits until so many connections were accepted: nobody asked anything of a filter that stops before.
fn until_accepted(proxy: &Proxy, connections: u32) {
    let line = format!("proxy_connections_total {connections}\n");
    let began = std::time::Instant::now();
    while !String::from_utf8_lossy(&proxy.ops("/metrics").body).contains(&line) {
        assert!(began.elapsed() < Duration::from_secs(20), "{connections} were not accepted");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_request_of_clients_that_leave_at_once_is_recorded() {
    let origin = Origin::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let proxy = Proxy::start(&origin);
    // Together, so that of most the end has come when the request is read.
    let clients: Vec<_> = (0..100).map(|_| proxy.connect()).collect();
    for (number, mut client) in clients.into_iter().enumerate() {
        let request = format!("GET http://games.test/{number} HTTP/1.1\r\nHost: x\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
    }
    until_accepted(&proxy, 100);
    let records = proxy.stop_and_read_log();
    let recorded: std::collections::BTreeSet<_> =
        records.iter().map(|it| it.path.clone()).collect();
    assert_eq!((records.len(), recorded.len()), (100, 100));
}

#[test]
fn a_client_that_leaves_before_the_answer_is_recorded_all_the_same() {
    let origin = Origin::panicking();
    let proxy = Proxy::start_signed_in(&origin);
    let mut client = proxy.connect();
    let request = "GET http://origin.test/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic cHVwaWw6d3Jvbmc=\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    drop(client);
    until_accepted(&proxy, 1);
    let records = proxy.stop_and_read_log();
    assert_eq!(records.len(), 1);
    assert_eq!((records[0].reason.as_str(), records[0].end.as_str()), ("sign_in", "aborted"));
    assert_eq!(records[0].status, 0);
}
