//! One request's life, through the real program: what reaches the origin, what comes back, and what
//! the log says of it.

use crate::client::{Client, request};
use crate::daemon::{Daemon, GUEST, KS2, KS3, Plan, STAFF};
use std::io::Write;

#[test]
fn an_allowed_request_reaches_the_origin_once_and_tells_it_nothing_of_the_school() {
    let daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    let answer = client.ask(
        "GET",
        &daemon.url("library.test", "/echo?q=1"),
        &[
            ("User-Agent", "test/1"),
            ("Proxy-Connection", "keep-alive"),
            ("X-Secret-Hop", "1"),
            ("Connection", "keep-alive, X-Secret-Hop"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "trailers, deflate"),
        ],
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    let asked = daemon.origin.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].line, "GET /echo?q=1 HTTP/1.1");
    let host = format!("library.test:{}", daemon.origin.http.port());
    assert_eq!(asked[0].header("host"), Some(host.as_str()));
    assert_eq!(asked[0].header("user-agent"), Some("test/1"));
    for hop in ["proxy-connection", "x-secret-hop", "keep-alive", "proxy-authorization"] {
        assert_eq!(asked[0].header(hop), None, "{hop} is for the next hop only");
    }
    for (name, value) in &asked[0].headers {
        assert!(!value.contains("127.24."), "the client's address leaks in {name}: {value}");
    }
    assert!(asked[0].header("via").is_some(), "a loop cannot be seen without Via");
}

#[test]
fn a_blocked_request_never_leaves_and_its_page_names_a_code_that_the_log_has() {
    let daemon = Daemon::start_without_people();
    let answer = daemon.get_from(KS2, &daemon.url("casino.test", "/roulette?chips=5"));
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(!answer.is_from_origin());
    assert_eq!(daemon.origin.connections(), 0, "not even a connection");
    assert!(answer.header("cache-control").is_some_and(|value| value.contains("no-store")));

    let records = daemon.wait_records(1);
    assert_eq!(records.len(), 1);
    let record = &records[0];
    let expected = [
        ("verdict", "block"),
        ("reason", "category"),
        ("level", "ks2"),
        ("host", "casino.test"),
        ("method", "GET"),
        ("scheme", "http"),
        ("client", "127.22.0.1"),
    ];
    for (key, value) in expected {
        assert_eq!(record[key], value, "{key} of {record}");
    }
    assert_eq!(record["path"], "/roulette", "the query is not kept: {record}");
    assert_eq!(record["user"], serde_json::Value::Null);
    assert_eq!(record["status"], 403);
    assert_eq!(record["categories"], serde_json::json!(["gambling"]));
    let code = record["code"].as_str().unwrap();
    assert!(answer.text().contains(code), "the page shows {code}: {}", answer.text());
}

#[test]
fn each_request_of_a_kept_connection_is_decided_on_its_own() {
    let daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(KS2, daemon.proxy);
    for _ in 0..3 {
        assert_eq!(client.ask("GET", &daemon.url("library.test", "/size/9"), &[]).status, 200);
        assert_eq!(client.ask("GET", &daemon.url("casino.test", "/size/9"), &[]).status, 403);
    }
    assert_eq!(daemon.origin.asked().len(), 3);
    assert_eq!(daemon.wait_records(6).len(), 6);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(KS2, daemon.proxy);
    let ask = |host: &str, path: &str| request("GET", &daemon.url(host, path), &[]);
    let all = [
        ask("library.test", "/size/1"),
        ask("casino.test", "/size/2"),
        ask("library.test", "/slow/100"),
        ask("school.test", "/size/4"),
    ];
    client.send(all.concat().as_bytes());
    let answers: Vec<(u16, usize)> = (0..4)
        .map(|_| client.read("GET"))
        .map(|answer| (answer.status, if answer.status == 403 { 0 } else { answer.body.len() }))
        .collect();
    assert_eq!(answers, [(200, 1), (403, 0), (200, 4), (200, 4)]);
    assert_eq!(daemon.wait_records(4).len(), 4);
}

#[test]
fn bodies_stream_through_both_ways_whole() {
    let daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    let upload = vec![b'u'; 3 << 20];
    let url = daemon.url("library.test", "/echo");
    let length = upload.len().to_string();
    client.send(request("POST", &url, &[("Content-Length", &length)]).as_bytes());
    client.send(&upload);
    let answer = client.read("POST");
    assert_eq!(answer.json()["body_bytes"], upload.len());

    client.send(request("PUT", &url, &[("Transfer-Encoding", "chunked")]).as_bytes());
    for piece in upload.chunks(1 << 20) {
        client.send(format!("{:x}\r\n", piece.len()).as_bytes());
        client.send(piece);
        client.send(b"\r\n");
    }
    client.send(b"0\r\n\r\n");
    assert_eq!(client.read("PUT").json()["body_bytes"], upload.len());

    let answer = daemon.get_from(STAFF, &daemon.url("library.test", "/size/8000000"));
    assert_eq!(answer.body.len(), 8_000_000);

    let records = daemon.wait_records(3);
    let bytes = |at: usize, key: &str| records[at][key].as_u64().unwrap();
    assert_eq!(bytes(0, "bytes_up"), 3 << 20, "{}", records[0]);
    assert_eq!(bytes(1, "bytes_up"), 3 << 20, "{}", records[1]);
    assert_eq!(bytes(2, "bytes_down"), 8_000_000, "{}", records[2]);
}

#[test]
fn a_body_is_passed_on_while_it_comes() {
    let daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    client.send(request("GET", &daemon.url("library.test", "/drip"), &[]).as_bytes());
    assert_eq!(client.read_head().unwrap().status, 200);
    let first = client.read_some().unwrap();
    assert!(!first.is_empty(), "a body without an end was not held back");
}

#[test]
fn answers_without_a_body_have_none() {
    let daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(KS2, daemon.proxy);
    let answer = client.ask("HEAD", &daemon.url("library.test", "/size/1234"), &[]);
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("1234")));
    assert_eq!(client.ask("GET", &daemon.url("library.test", "/status/204"), &[]).status, 204);
    assert_eq!(client.ask("GET", &daemon.url("library.test", "/status/304"), &[]).status, 304);
    assert_eq!(client.ask("HEAD", &daemon.url("casino.test", "/"), &[]).status, 403);
    assert_eq!(client.ask("GET", &daemon.url("library.test", "/size/5"), &[]).body.len(), 5);
}

#[test]
fn a_refused_upload_still_sees_why() {
    let daemon = Daemon::start_without_people();
    for bytes in [10_000, 300_000] {
        let mut client = Client::connect_from(KS2, daemon.proxy);
        let length = bytes.to_string();
        let head = request("POST", &daemon.url("casino.test", "/"), &[("Content-Length", &length)]);
        client.send(head.as_bytes());
        // As a browser does: all of the form, then the answer.
        for piece in vec![b'u'; bytes].chunks(10_000) {
            client.send(piece);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert_eq!(client.read("POST").status, 403, "{bytes} bytes");
    }
    assert_eq!(daemon.origin.connections(), 0);
}

#[test]
fn an_expectation_is_answered_before_the_body_is_sent() {
    let daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    let headers = [("Content-Length", "5"), ("Expect", "100-continue")];
    client.send(request("POST", &daemon.url("library.test", "/echo"), &headers).as_bytes());
    assert_eq!(client.read_head().unwrap().status, 100, "no go-ahead for the body");
    client.send(b"hello");
    assert_eq!(client.read("POST").json()["body"], "hello");

    let mut client = Client::connect_from(KS2, daemon.proxy);
    client.send(request("POST", &daemon.url("casino.test", "/echo"), &headers).as_bytes());
    assert_eq!(client.read_head().unwrap().status, 403, "a refusal asks for no body");
}

#[test]
fn trailers_arrive() {
    let daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    let answer = client.ask("GET", &daemon.url("library.test", "/trailers"), &[("TE", "trailers")]);
    assert_eq!(answer.text(), "pieces");
    let trailers: Vec<String> =
        answer.trailers.iter().map(|line| line.to_ascii_lowercase()).collect();
    assert_eq!(trailers, ["x-checksum: abc123"]);
}

#[test]
fn a_websocket_over_plain_http_echoes() {
    let daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    client.send(request("GET", &daemon.url("library.test", "/upgrade"), &headers).as_bytes());
    let answer = client.read_head().unwrap();
    assert_eq!(answer.status, 101, "{answer:?}");
    for message in ["first frame", "second frame"] {
        client.send(message.as_bytes());
        let mut echoed = Vec::new();
        while echoed.len() < message.len() {
            echoed.extend(client.read_some().unwrap());
        }
        assert_eq!(echoed, message.as_bytes());
    }
    drop(client);
    let records = daemon.wait_records(1);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["verdict"], "allow");
}

#[test]
fn a_websocket_for_which_there_is_no_place_is_refused_and_recorded_like_a_tunnel() {
    let machine = "[limits]\nmax_tunnels = 1\n".to_owned();
    let daemon = Daemon::start_with(&Plan { machine, ..Plan::default() });
    let authority = format!("library.test:{}", daemon.origin.http.port());
    let mut held = Client::connect_from(STAFF, daemon.proxy);
    assert_eq!(held.tunnel(&authority, &[]).status, 200);
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let url = daemon.url("library.test", "/upgrade");
    let asked = daemon.origin.asked().len();
    let tunnel = Client::connect_from(KS3, daemon.proxy).tunnel(&authority, &[]);
    let websocket = Client::connect_from(KS3, daemon.proxy).ask("GET", &url, &upgrade);
    for (what, answer) in [("tunnel", tunnel), ("websocket", websocket)] {
        assert_eq!(answer.status, 503, "{what}: {answer:?}");
        assert_eq!(answer.json()["reason"], "limit", "{what}: {answer:?}");
        assert_eq!(answer.header("retry-after"), Some("10"), "{what}: {answer:?}");
    }
    assert_eq!(daemon.origin.asked().len(), asked, "a site would open it for nobody");
    drop(held);
    let records = daemon.wait_records(3);
    let ended = |method: &str, host: &str| {
        let is_it =
            |record: &&serde_json::Value| record["method"] == method && record["client"] == host;
        let record = records.iter().find(is_it).unwrap_or_else(|| panic!("{records:#?}"));
        ["verdict", "reason", "status", "end"].map(|field| record[field].clone())
    };
    let ks3 = KS3.to_string();
    assert_eq!(ended("GET", &ks3), ended("CONNECT", &ks3));
    assert_eq!(ended("GET", &ks3)[2], 503);
}

#[test]
fn a_tunnel_carries_what_came_with_its_opening() {
    let daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(KS3, daemon.proxy);
    let authority = format!("library.test:{}", daemon.origin.http.port());
    let opening = request("CONNECT", &authority, &[]);
    let inside = "GET /echo HTTP/1.1\r\nHost: library.test\r\n\r\n";
    client.send((opening + inside).as_bytes());
    assert_eq!(client.read("CONNECT").status, 200);
    let answer = client.read("GET");
    assert_eq!(answer.json()["line"], "GET /echo HTTP/1.1", "bytes behind CONNECT are not lost");
    drop(client);
    let record = &daemon.wait_records(1)[0];
    assert_eq!(record["scheme"], "tunnel", "{record}");
    assert_eq!(record["method"], "CONNECT");
    assert_eq!(record["path"], serde_json::Value::Null);
}

#[test]
fn tunnels_go_only_to_allowed_hosts_and_ports() {
    let daemon = Daemon::start_without_people();
    let port = daemon.origin.https.port();
    let cases = [
        (KS2, format!("casino.test:{port}"), "category"),
        (STAFF, "library.test:22".to_owned(), "port"),
        (STAFF, "library.test:25".to_owned(), "port"),
        (STAFF, format!("forbidden.test:{port}"), "locked"),
    ];
    for (from, authority, _) in &cases {
        let answer = Client::connect_from(*from, daemon.proxy).tunnel(authority, &[]);
        assert_eq!(answer.status, 403, "{authority}: {answer:?}");
    }
    assert_eq!(daemon.origin.connections(), 0);
    let records = daemon.wait_records(cases.len());
    for (record, (_, authority, reason)) in records.iter().zip(&cases) {
        assert_eq!(record["reason"], *reason, "{authority}");
    }
}

#[test]
fn addresses_of_the_school_itself_are_not_reached_under_any_spelling() {
    let daemon = Daemon::start_without_people();
    let port = daemon.origin.http.port();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.1.1",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "localhost",
    ];
    for host in hosts {
        let answer = daemon.get_from(STAFF, &format!("http://{host}:{port}/size/1"));
        assert!(matches!(answer.status, 400 | 403), "{host}: {answer:?}");
        let answer =
            Client::connect_from(STAFF, daemon.proxy).tunnel(&format!("{host}:{port}"), &[]);
        assert!(matches!(answer.status, 400 | 403), "CONNECT {host}: {answer:?}");
    }
    assert_eq!(daemon.origin.connections(), 0);
    let records = daemon.wait_records(2 * hosts.len());
    assert_eq!(records.len(), 2 * hosts.len());
    for record in records {
        assert_eq!(record["verdict"], "block", "{record}");
    }
}

#[test]
fn what_has_no_one_meaning_gets_400_and_goes_nowhere() {
    let daemon = Daemon::start_without_people();
    let port = daemon.origin.http.port();
    let cases = [
        format!(
            "GET http://user:secret@library.test:{port}/ HTTP/1.1\r\nHost: library.test\r\n\r\n"
        ),
        format!(
            "POST http://library.test:{port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
        ),
        format!(
            "POST http://library.test:{port}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("GET http://libr%61ry%2etest%00:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        "GET /size/1 HTTP/1.1\r\nHost: library.test\r\n\r\n".to_owned(),
        "GET ftp://library.test/size/1 HTTP/1.1\r\nHost: library.test\r\n\r\n".to_owned(),
        "CONNECT library.test HTTP/1.1\r\nHost: library.test\r\n\r\n".to_owned(),
        "CONNECT library.test:0 HTTP/1.1\r\nHost: library.test\r\n\r\n".to_owned(),
        "CONNECT library.test:99999 HTTP/1.1\r\nHost: library.test\r\n\r\n".to_owned(),
        "GET http://exa mple.test/ HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ];
    for case in &cases {
        let mut client = Client::connect_from(STAFF, daemon.proxy);
        client.stream.write_all(case.as_bytes()).unwrap();
        let answer = client.read("GET");
        assert_eq!(answer.status, 400, "{case}: {answer:?}");
    }
    assert_eq!(daemon.origin.connections(), 0);
}

#[test]
fn two_lengths_for_one_body_never_reach_the_origin() {
    let daemon = Daemon::start_without_people();
    let url = daemon.url("library.test", "/echo");
    let both = [("Content-Length", "3"), ("Transfer-Encoding", "chunked")];
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    client.send(request("POST", &url, &both).as_bytes());
    client.send(b"5\r\nhello\r\n0\r\n\r\nGET http://casino.test/ HTTP/1.1\r\n\r\n");
    // RFC 9112, 6.3: refuse it, or let the coding rule and drop the length; then close.
    let answer = client.read("POST");
    for asked in daemon.origin.asked() {
        assert_eq!(asked.header("content-length"), None, "smuggling: {asked:?}");
        assert_eq!(asked.body, b"hello");
    }
    assert!(matches!(answer.status, 200 | 400), "{answer:?}");
    assert!(client.read_some().is_ok_and(|bytes| bytes.is_empty()), "the connection stays open");
}

#[test]
fn a_request_that_came_through_here_already_is_a_loop() {
    let daemon = Daemon::start_without_people();
    let url = daemon.url("library.test", "/echo");
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    assert_eq!(client.ask("GET", &url, &[]).status, 200);
    let via = daemon.origin.asked()[0].header("via").unwrap().to_owned();
    let answer = client.ask("GET", &url, &[("Via", &via)]);
    assert!(!answer.is_from_origin(), "{answer:?}");
    assert_eq!(daemon.origin.asked().len(), 1);
    assert_eq!(daemon.wait_records(2)[1]["reason"], "loop");
    let answer = client.ask("GET", &url, &[("Via", "1.1 another-proxy")]);
    assert_eq!(answer.status, 200, "another proxy before this one is no loop");
}

#[test]
fn a_site_that_is_down_is_said_to_be_down_and_is_recorded_as_allowed() {
    let daemon = Daemon::start_without_people();
    let closed = crate::daemon::free_port();
    let answer = daemon.get_from(STAFF, &format!("http://library.test:{closed}/"));
    assert_eq!(answer.status, 502, "{answer:?}");
    let record = &daemon.wait_records(1)[0];
    assert_eq!(
        (&record["verdict"], &record["end"]),
        (&"allow".into(), &"upstream".into()),
        "{record}"
    );
}

#[test]
fn every_request_has_exactly_one_record_however_it_ends() {
    let daemon = Daemon::start_without_people();
    let mut sent = 0;
    for number in 0..20 {
        let (host, from) = match number % 4 {
            0 => ("casino.test", KS2),
            1 => ("library.test", GUEST),
            2 => ("plain.test", STAFF),
            _ => ("arcade.test", GUEST),
        };
        daemon.get_from(from, &daemon.url(host, "/size/100"));
        sent += 1;
    }
    // Clients that leave in the middle of an answer.
    for _ in 0..3 {
        let mut client = Client::connect_from(STAFF, daemon.proxy);
        client.send(request("GET", &daemon.url("library.test", "/drip"), &[]).as_bytes());
        assert_eq!(client.read_head().unwrap().status, 200);
        sent += 1;
    }
    let records = daemon.wait_records(sent);
    assert_eq!(records.len(), sent);
    let mut codes: Vec<&str> =
        records.iter().map(|record| record["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), sent, "no two records share a code");
}

#[test]
fn the_greediest_client_gives_way_when_all_places_are_taken() {
    let machine = "[limits]\nmax_connections = 40\n".to_owned();
    let daemon = Daemon::start_with(&crate::daemon::Plan { machine, ..Default::default() });
    let mut greedy: Vec<Client> =
        (0..40).map(|_| Client::connect_from(KS2, daemon.proxy)).collect();
    // All are taken in before anybody else comes.
    assert_eq!(greedy[39].ask("GET", &daemon.url("library.test", "/size/1"), &[]).status, 200);
    let mut others: Vec<Client> =
        (0..8).map(|_| Client::connect_from(STAFF, daemon.proxy)).collect();
    for other in &mut others {
        let answer = other.ask("GET", &daemon.url("library.test", "/size/1"), &[]);
        assert_eq!(answer.status, 200, "another client found no place");
    }
    let ended = |client: &mut Client| {
        client.stream.set_read_timeout(Some(std::time::Duration::from_millis(20))).unwrap();
        matches!(client.read_some(), Ok(bytes) if bytes.is_empty())
    };
    let gave_way = greedy.iter_mut().filter_map(|client| ended(client).then_some(())).count();
    assert_eq!(gave_way, 8, "as many as were needed");
    // Whoever holds the most cannot take another one's place.
    let mut more = Client::connect_from(KS2, daemon.proxy);
    assert!(more.try_ask("GET", &daemon.url("library.test", "/size/1"), &[]).is_err());
}
