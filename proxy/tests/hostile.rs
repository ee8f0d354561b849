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
