//! Where a request goes (RFC 9110, 4.2 and 7.1; RFC 9112, 3.2; RFC 3986): one host, the one that was
//! decided about, however it is spelt, and never the proxy or the network it stands in.

use super::{Faults, Rig, field};
use crate::daemon::{KS2, STAFF};
use std::net::IpAddr;

/// RFC 9112, 3.2 and RFC 9110, 4.2: targets without one meaning are refused, in both forms.
#[test]
fn rfc9112_3_2_targets_without_one_meaning_are_refused() {
    let rig = Rig::start();
    let port = rig.origin.address.port();
    let hosts = [
        "user:pw@library.test",
        "library.test@casino.test",
        "@library.test",
        "library.test\\",
        "library.test\\@casino.test",
        "casino.test\\.library.test",
        "library.test%00",
        "library.test%2f",
        "library.test%5c",
        "library.test%40casino.test",
        "library.test%3a81",
        "library%252etest",
        "library.test%0d%0aX:y",
        "library..test",
        ".library.test",
        "library.test..",
        "library.test,casino.test",
        "library.test;casino.test",
        "library.test|casino.test",
        "*.test",
        "library.test{}",
        "<library.test>",
        "\"library.test\"",
        "library .test",
        "library\u{3002}test",
        "ｌｉｂｒａｒｙ.test",
        "l\u{456}brary.test",
        "%EF%BD%8Cibrary.test",
        "[library.test]",
        "[::1",
        "[::1]x",
        "[::1%25lo]",
        "[127.0.0.1]",
        "::1",
        "1.2.3.4.5",
        "256.256.256.256",
        "0x100000000",
        "library.test.0x1",
        "xn--a",
        "",
    ];
    let mut faults = Faults::default();
    let mut sent = 0;
    for host in hosts {
        for (method, target) in
            [("GET", format!("http://{host}:{port}/t")), ("CONNECT", format!("{host}:{port}"))]
        {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: library.test\r\n\r\n");
            let heard = rig.say_and_be_closed(&target, &[request.as_bytes()]);
            sent += 1;
            let statuses = heard.statuses();
            faults.check(matches!(statuses[..], [400]), || {
                format!("{method} {target}: {statuses:?}")
            });
        }
    }
    assert_eq!(rig.origin.connections(), 0, "{}", rig.origin.received());
    for record in rig.records(sent) {
        faults.check(field(&record, "verdict") == "block", || format!("{record}"));
        faults
            .check(!record.to_string().contains("pw"), || format!("a password is kept: {record}"));
    }
}

/// RFC 9110, 4.2.1 and 9.3.6; RFC 3986, 3.2.3: ports are decimal, from 1 to 65535, and do not wrap.
#[test]
fn rfc9110_9_3_6_ports_that_are_none_are_refused() {
    let rig = Rig::start();
    let mut sent = 0;
    for port in [
        "0",
        "00",
        "65536",
        "65616",
        "131152",
        "4294967376",
        "443x",
        "+443",
        "-1",
        "0x50",
        "8 0",
        "80,81",
        "%38%30",
        "８０",
        "443:80",
    ] {
        for (method, target) in [
            ("GET", format!("http://library.test:{port}/p")),
            ("CONNECT", format!("library.test:{port}")),
        ] {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: library.test\r\n\r\n");
            let heard = rig.say_and_be_closed(&target, &[request.as_bytes()]);
            assert_eq!(heard.statuses(), [400], "{method} {target}");
            sent += 1;
        }
    }
    for target in ["library.test", "library.test:", "[::1]", "/", "*"] {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: library.test\r\n\r\n");
        let heard = rig.say_and_be_closed(target, &[request.as_bytes()]);
        assert_eq!(heard.statuses(), [400], "CONNECT {target}");
        sent += 1;
    }
    assert_eq!(rig.origin.connections(), 0);
    rig.records(sent);
}

/// RFC 9112, 3.2.1 to 3.2.4: a proxy is asked for absolute URLs whose scheme it forwards.
#[test]
fn rfc9112_3_2_2_only_absolute_http_urls_are_forwarded() {
    let rig = Rig::start();
    let authority = rig.authority();
    let targets = [
        "/origin-form".to_owned(),
        "origin-form".to_owned(),
        "*".to_owned(),
        authority.clone(),
        format!("//{authority}/x"),
        format!("http:{authority}/x"),
        format!("http:/{authority}/x"),
        format!("http:///{authority}/x"),
        "http://".to_owned(),
        "http:".to_owned(),
        format!("https://{authority}/x"),
        format!("ftp://{authority}/x"),
        format!("ws://{authority}/x"),
        format!("file://{authority}/x"),
        "javascript:alert(1)".to_owned(),
        "urn:isbn:1".to_owned(),
    ];
    let mut faults = Faults::default();
    for target in &targets {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        let heard = rig.say_and_be_closed(target, &[request.as_bytes()]);
        let statuses = heard.statuses();
        faults.check(matches!(statuses[..], [400]), || format!("{target}: {statuses:?}"));
    }
    assert_eq!(rig.origin.connections(), 0);
    rig.records(targets.len());
}

/// RFC 9110, 4.2.3; RFC 3986, 6.2.2: every spelling of a host is one host, for the rules, for `Host` and
/// for the record.
#[test]
fn rfc9110_4_2_3_every_spelling_of_a_host_is_decided_as_one() {
    let rig = Rig::start();
    let port = rig.origin.address.port();
    for spelling in
        ["CASINO.test", "casino.test.", "c%61sino.test", "%63asino%2etest", "casino.TEST."]
    {
        let request =
            format!("GET http://{spelling}:{port}/ HTTP/1.1\r\nHost: library.test\r\n\r\n");
        let mut client = crate::client::Client::connect_from(KS2, rig.daemon.proxy);
        client.send(request.as_bytes());
        let status = client.read("GET").status;
        // An escape in a host may be refused as such (RFC 9112, 3.2).
        let refused = status == 403 || (status == 400 && spelling.contains('%'));
        assert!(refused, "{spelling}: {status}");
    }
    assert_eq!(rig.origin.connections(), 0);
    for spelling in ["LIBRARY.test", "library.test.", "Library.Test."] {
        let mark = rig.origin.mark();
        let mut client = rig.connect();
        client.send(
            format!("GET http://{spelling}:{port}/x HTTP/1.1\r\nHost: {spelling}:{port}\r\n\r\n")
                .as_bytes(),
        );
        assert_eq!(client.read("GET").status, 200, "{spelling}");
        let received = rig.origin.since(mark);
        assert!(received.contains(&format!("\r\nhost: library.test:{port}\r\n")), "{received}");
    }
    for record in rig.records(8) {
        let host = field(&record, "host");
        let unread = record["reason"] == "bad_request" && (host == "-" || host.contains('%'));
        assert!(unread || ["casino.test", "library.test"].contains(&host), "{record}");
    }
}

/// RFC 9110, 7.1 and 7.7; RFC 9112, 3.2.1: path and query go on as they came, but for an empty path.
#[test]
fn rfc9110_7_7_path_and_query_go_on_untouched() {
    let rig = Rig::start();
    let cases = [
        ("", "/"),
        ("?q", "/?q"),
        ("/", "/"),
        ("/a/../b/./c//d", "/a/../b/./c//d"),
        ("/%7e%2E%2e%2f%zz%", "/%7e%2E%2e%2f%zz%"),
        ("/a;b=c,d/@:!$&'()*+", "/a;b=c,d/@:!$&'()*+"),
        ("/a?b=/../?c=http://casino.test/", "/a?b=/../?c=http://casino.test/"),
        ("/a\\b", "/a\\b"),
        ("/%0d%0aX:%20y", "/%0d%0aX:%20y"),
        ("/%00", "/%00"),
        ("//casino.test/x", "//casino.test/x"),
    ];
    let mut faults = Faults::default();
    for (sent, arrives) in cases {
        let mark = rig.origin.mark();
        let mut client = rig.connect();
        client.send(rig.head("GET", sent, &[]).as_bytes());
        let answer = client.read("GET");
        let received = rig.origin.since(mark);
        faults.check(
            answer.status == 200 && received.starts_with(&format!("GET {arrives} HTTP/1.1\r\n")),
            || format!("{sent}: {} {received:?}", answer.status),
        );
    }
    rig.records(cases.len());
}

/// RFC 9110, 7.1 and 4.2.5: a fragment is no part of a target: refused, or cut off before anybody looks.
#[test]
fn rfc9110_7_1_a_fragment_goes_nowhere() {
    let rig = Rig::start();
    let authority = rig.authority();
    for (target, arrives) in [
        (format!("http://{authority}/a#b"), "/a"),
        (format!("http://{authority}/a?b#c?d"), "/a?b"),
        (format!("http://{authority}/#/../x"), "/"),
    ] {
        let mark = rig.origin.mark();
        let mut client = rig.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes());
        let status = client.read("GET").status;
        let received = rig.origin.since(mark);
        assert!(!received.contains('#') && !received.contains("casino"), "{target}: {received}");
        match status {
            200 => {
                assert!(received.starts_with(&format!("GET {arrives} HTTP/1.1\r\n")), "{received}")
            }
            status => assert_eq!((status, received.as_str()), (400, ""), "{target}"),
        }
    }
    rig.records(3);
}

/// RFC 9112, 3.2.1 and RFC 9110, 9.3.7: OPTIONS about a resource goes on with its path.
#[test]
fn rfc9112_3_2_4_options_keeps_its_path() {
    let rig = Rig::start();
    let mut client = rig.connect();
    for (sent, arrives) in [("/", "/"), ("?x", "/?x"), ("/*", "/*")] {
        let mark = rig.origin.mark();
        client.send(rig.head("OPTIONS", sent, &[]).as_bytes());
        assert_eq!(client.read("OPTIONS").status, 200, "{sent}");
        let received = rig.origin.since(mark);
        assert!(received.starts_with(&format!("OPTIONS {arrives} HTTP/1.1\r\n")), "{received}");
    }
    rig.records(3);
}

/// RFC 9110, 17.1 and 7.6.3: the proxy does not reach itself, its metrics, or an address inside the
/// network, under any spelling or name.
#[test]
fn rfc9110_17_1_the_proxy_is_no_way_to_itself() {
    let rig = Rig::start();
    let (own, ops) = (rig.daemon.proxy.port(), rig.daemon.ops.port());
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "017700000001",
        "2130706433",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "127.255.255.254",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "169.254.169.254",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
    ];
    let mut faults = Faults::default();
    let mut sent = 0;
    for host in hosts {
        for port in [own, ops] {
            let url = format!("http://{host}:{port}/metrics");
            let answer = rig.daemon.get_from(STAFF, &url);
            sent += 1;
            faults.check(answer.status == 403, || format!("{url}: {}", answer.status));
            faults.check(!answer.text().contains("# HELP"), || format!("{url}: metrics"));
        }
    }
    // Names that may lead inside: the listeners themselves stay out of reach.
    for name in ["library.test", "LIBRARY.test.", "plain.test"] {
        for port in [own, ops] {
            let answer = rig.daemon.get_from(STAFF, &format!("http://{name}:{port}/metrics"));
            sent += 1;
            faults.check(answer.status == 403, || format!("{name}:{port}: {answer:?}"));
            let tunnel = rig.connect().tunnel(&format!("{name}:{port}"), &[]);
            sent += 1;
            faults.check(tunnel.status == 403, || format!("CONNECT {name}:{port}: {tunnel:?}"));
        }
    }
    for record in rig.records(sent) {
        faults.check(field(&record, "verdict") == "block", || format!("{record}"));
    }
}

/// RFC 9110, 17.1: an address is itself. That some name leads back to it (or the machine's own table says
/// so) decides nothing about the address.
#[test]
fn rfc9110_17_1_a_name_for_an_address_decides_nothing_about_the_address() {
    let mut rig = Rig::start();
    rig.daemon.stop();
    let file = rig.daemon.folder().join("schoolgate.toml");
    let machine = std::fs::read_to_string(&file).unwrap();
    let machine = machine.replace("allow_private = [", "allow_private = [\"localhost\", ");
    std::fs::write(&file, machine).unwrap();
    rig.daemon.start_again();
    let port = rig.origin.address.port();
    let by_name = rig.daemon.get_from(STAFF, &format!("http://localhost:{port}/named"));
    assert_eq!(by_name.status, 200, "the name may lead inside: {by_name:?}");
    for address in ["127.0.0.1", "127.1", "[::ffff:127.0.0.1]", "0x7f000001"] {
        let answer = rig.daemon.get_from(STAFF, &format!("http://{address}:{port}/x"));
        assert_eq!(answer.status, 403, "{address}: {answer:?}");
    }
    let records = rig.records(5);
    for record in &records[1..] {
        let host: IpAddr = field(record, "host").parse().expect("the address as it is");
        assert!(host.is_loopback(), "{record}");
        assert_eq!(record["reason"], "private_address", "{record}");
    }
}

/// RFC 9112, 3.2.1: an empty path goes on as `/`, also before a fragment.
#[test]
fn rfc9112_3_2_1_an_empty_path_before_a_fragment_is_a_slash() {
    let rig = Rig::start();
    let authority = rig.authority();
    let mut client = rig.connect();
    client.send(
        format!("GET http://{authority}#@casino.test/ HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
    );
    let status = client.read("GET").status;
    let received = rig.origin.received();
    assert!(
        (status == 200 && received.starts_with("GET / HTTP/1.1\r\n"))
            || (status == 400 && received.is_empty()),
        "{status}: {received}"
    );
    rig.records(1);
}

/// RFC 9112, 3.2.3: CONNECT names host and port, and nothing else.
#[test]
fn rfc9112_3_2_3_connect_has_the_authority_form_only() {
    let rig = Rig::start();
    let port = rig.daemon.origin.http.port();
    let targets = [
        format!("http://library.test:{port}"),
        format!("http://library.test:{port}/"),
        format!("library.test:{port}/"),
        format!("https://library.test:{port}/x?y"),
    ];
    for target in &targets {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: library.test\r\n\r\n");
        let heard = rig.say_and_be_closed(target, &[request.as_bytes()]);
        assert_eq!(heard.statuses(), [400], "{target}");
    }
    assert_eq!(rig.daemon.origin.connections(), 0);
    rig.records(targets.len());
}
