//! Tunnels that are looked into, tunnels that are not, and what the log says of both.

use crate::client::{Answer, Client};
use crate::daemon::{Daemon, GUEST, KS2, LIVE_WITHIN, Plan, STAFF, alone, wait_for};
use crate::wire::{BodyLength, Head, find_head_end};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A school that looks into the tunnels of its pupils and staff.
pub(crate) fn school() -> Daemon {
    Daemon::start_with(&Plan { inspected: true, ..Plan::default() })
}

/// The school's own authority, as devices have it.
pub(crate) fn authority(daemon: &Daemon) -> std::path::PathBuf {
    let folder = daemon.folder().join("ca");
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|end| end == "pem")).unwrap()
}

/// TLS as a device speaks it that trusts one authority.
pub(crate) fn trusting(pem: &[u8], alpn: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

/// HTTP/1.1 inside a tunnel.
pub(crate) struct Secure {
    /// The stream inside.
    pub stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Secure {
    /// Opens a tunnel and TLS inside it, with the authority that signed for the far end.
    pub(crate) fn open(daemon: &Daemon, from: IpAddr, host: &str, pem: &[u8]) -> io::Result<Self> {
        Self::open_as(daemon, from, host, host, trusting(pem, &[b"http/1.1"]))
    }

    /// The same where the tunnel is asked for by one name and TLS by another.
    pub(crate) fn open_as(
        daemon: &Daemon,
        from: IpAddr,
        host: &str,
        name: &str,
        config: ClientConfig,
    ) -> io::Result<Self> {
        Self::open_to(daemon, from, &daemon.authority(host), name, config)
    }

    /// The same to any `host:port`.
    pub(crate) fn open_to(
        daemon: &Daemon,
        from: IpAddr,
        authority: &str,
        name: &str,
        config: ClientConfig,
    ) -> io::Result<Self> {
        let mut client = Client::connect_from(from, daemon.proxy);
        let answer = client.tunnel(authority, &[]);
        if answer.status != 200 {
            return Err(io::Error::other(format!("CONNECT got {}", answer.status)));
        }
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(session, client.stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream })
    }

    pub(crate) fn ask(&mut self, host: &str, path: &str) -> io::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n\r\n");
        self.stream.write_all(request.as_bytes())?;
        self.read()
    }

    /// Reads an answer with a length.
    pub(crate) fn read(&mut self) -> io::Result<Answer> {
        let mut buffer = Vec::new();
        let mut piece = [0; 16 * 1024];
        let end = loop {
            if let Some(end) = find_head_end(&buffer) {
                break end;
            }
            match self.stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => buffer.extend_from_slice(&piece[..bytes]),
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let mut body = buffer.split_off(end);
        let parsed = Head::parse(head.as_bytes());
        let BodyLength::Exact(length) = parsed.response_body_length(false) else {
            panic!("these tests read bodies of a known length: {head}");
        };
        let status = parsed.status();
        while (body.len() as u64) < length {
            match self.stream.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                bytes => body.extend_from_slice(&piece[..bytes]),
            }
        }
        Ok(Answer { status, head, body, trailers: Vec::new() })
    }
}

#[test]
fn what_is_inside_is_decided_and_recorded_request_by_request() {
    let daemon = school();
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let host = daemon.authority("library.test");
    let mut tunnel = Secure::open(&daemon, KS2, "library.test", &pem).unwrap();
    let answer = tunnel.ask(&host, "/echo?q=1").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.is_from_origin());
    assert_eq!(tunnel.ask(&host, "/size/9").unwrap().body.len(), 9);
    let asked = daemon.origin.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.tls), "https goes on as https");
    assert_eq!(asked[0].header("host"), Some(host.as_str()));
    drop(tunnel);

    let records = daemon.wait_records(3);
    assert_eq!(records.len(), 3, "{records:#?}");
    assert_eq!(records[0]["scheme"], "tunnel");
    for (record, path) in records[1..].iter().zip(["/echo", "/size/9"]) {
        assert_eq!(record["scheme"], "https", "{record}");
        assert_eq!(record["path"], path, "{record}");
        assert_eq!(record["depth"], "page", "{record}");
        assert_eq!(record["verdict"], "allow", "{record}");
        assert_eq!(record["level"], "ks2", "{record}");
    }
}

#[test]
fn a_blocked_site_shows_the_page_without_a_warning_and_is_never_asked() {
    let daemon = school();
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let mut tunnel = Secure::open(&daemon, KS2, "casino.test", &pem).unwrap();
    let answer = tunnel.ask(&daemon.authority("casino.test"), "/roulette").unwrap();
    assert_eq!(answer.status, 403);
    assert!(!answer.is_from_origin());
    assert_eq!(daemon.origin.connections(), 0, "not even a connection");
    let records = daemon.wait_records(2);
    assert!(records.iter().all(|record| record["verdict"] == "block"), "{records:#?}");
    let code = records[1]["code"].as_str().unwrap();
    assert!(answer.text().contains(code), "the page shows {code}");
    assert_eq!(records[1]["path"], "/roulette");
}

#[test]
fn a_level_without_the_authority_gets_a_plain_refusal_and_tunnels_unseen() {
    let daemon = school();
    let mut client = Client::connect_from(GUEST, daemon.proxy);
    assert_eq!(client.tunnel(&daemon.authority("casino.test"), &[]).status, 403);
    // The origin's own certificate is what a guest sees.
    let pem = daemon.origin.authority_pem.clone().into_bytes();
    let mut tunnel = Secure::open(&daemon, GUEST, "library.test", &pem).unwrap();
    assert_eq!(tunnel.ask("library.test", "/size/3").unwrap().status, 200);
    drop(tunnel);
    let records = daemon.wait_records(2);
    assert_eq!(records.len(), 2, "{records:#?}");
    assert!(records.iter().all(|record| record["depth"] == "name"), "{records:#?}");
}

#[test]
fn the_name_in_the_handshake_must_be_the_name_that_was_asked_for() {
    let daemon = school();
    let config = || trusting(daemon.origin.authority_pem.as_bytes(), &[]);
    let gone = Secure::open_as(&daemon, GUEST, "library.test", "casino.test", config());
    assert!(gone.is_err(), "a blocked name in the handshake was let through");
    // Another allowed name that answers at the same address may pass.
    let mut other =
        Secure::open_as(&daemon, GUEST, "library.test", "school.test", config()).unwrap();
    assert_eq!(other.ask("school.test", "/size/3").unwrap().status, 200);
    let records = daemon.wait_records(3);
    let refused = records.iter().find(|record| record["method"] == "TLS").unwrap();
    assert_eq!(refused["host"], "casino.test", "{refused}");
    assert_eq!(refused["verdict"], "block", "{refused}");
    assert!(daemon.origin.asked().iter().all(|asked| asked.header("host") == Some("school.test")));
}

#[test]
fn what_is_no_tls_on_a_port_of_tls_goes_nowhere() {
    let daemon = school();
    let mut client = Client::connect_from(GUEST, daemon.proxy);
    assert_eq!(client.tunnel(&daemon.authority("library.test"), &[]).status, 200);
    client.send(b"GET / HTTP/1.1\r\nHost: library.test\r\n\r\n");
    assert_eq!(client.read_some().unwrap_or_default(), b"");
    let records = daemon.wait_records(2);
    assert_eq!(records[1]["reason"], "not_tls", "{records:#?}");
    assert!(daemon.origin.asked().is_empty());
}

#[test]
fn a_request_inside_for_another_host_is_misdirected() {
    let daemon = school();
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let mut tunnel = Secure::open(&daemon, KS2, "library.test", &pem).unwrap();
    for other in [daemon.authority("casino.test"), "library.test".to_owned()] {
        let answer = tunnel.ask(&other, "/size/1").unwrap();
        assert_eq!(answer.status, 421, "{other}: {answer:?}");
        tunnel = Secure::open(&daemon, KS2, "library.test", &pem).unwrap();
    }
    assert!(daemon.origin.asked().is_empty());
    let records = daemon.wait_records(4);
    let misdirected = |record: &&serde_json::Value| record["reason"] == "misdirected";
    assert_eq!(records.iter().filter(misdirected).count(), 2, "{records:#?}");
}

#[test]
fn a_device_that_does_not_trust_the_authority_is_noted_as_such() {
    let daemon = school();
    let pem = daemon.origin.authority_pem.clone().into_bytes();
    assert!(Secure::open(&daemon, KS2, "library.test", &pem).is_err());
    let begun = Instant::now();
    loop {
        let records = daemon.wait_records(1);
        if records[0]["end"] == "rejected" {
            assert_eq!(records[0]["depth"], "name", "{records:#?}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{records:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_site_that_cannot_be_trusted_is_never_shown() {
    let plan = Plan { inspected: true, distrusted: true, ..Plan::default() };
    let daemon = Daemon::start_with(&plan);
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let mut tunnel = Secure::open(&daemon, STAFF, "library.test", &pem).unwrap();
    let answer = tunnel.ask(&daemon.authority("library.test"), "/size/1").unwrap();
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(!answer.is_from_origin());
    assert!(daemon.origin.asked().is_empty(), "no request went to who knows whom");
    let records = daemon.wait_records(2);
    assert_eq!(records[1]["verdict"], "block", "{records:#?}");
    assert_eq!(records[1]["reason"], "tls_untrusted", "{records:#?}");
}

#[test]
fn a_block_closes_what_is_inside_within_a_second() {
    let _alone = alone();
    let daemon = school();
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let host = daemon.authority("library.test");
    let mut tunnel = Secure::open(&daemon, KS2, "library.test", &pem).unwrap();
    tunnel
        .stream
        .write_all(format!("GET /drip HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
        .unwrap();
    let mut piece = [0; 1024];
    assert!(tunnel.stream.read(&mut piece).unwrap() > 0);
    let mut stays = Secure::open(&daemon, KS2, "school.test", &pem).unwrap();
    let reason = ["--reason", "A page that worries a parent", "--by", "j.cho"];
    daemon.run(&[&["block", "library.test", "--for", "pupil"][..], &reason].concat()).ok();
    let begun = Instant::now();
    while tunnel.stream.read(&mut piece).is_ok_and(|bytes| bytes > 0) {
        assert!(begun.elapsed() < Duration::from_secs(5), "never cut");
    }
    assert!(begun.elapsed() < LIVE_WITHIN + Duration::from_millis(300), "{:?}", begun.elapsed());
    assert_eq!(stays.ask(&daemon.authority("school.test"), "/size/1").unwrap().status, 200);
}

/// curl through the proxy as a pupil's device, with the authority trusted.
fn curl(daemon: &Daemon, from: IpAddr, arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "20", "--interface", &from.to_string()])
        .args(["-x", &format!("http://{}", daemon.proxy), "--cacert"])
        .arg(authority(daemon))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn http2_is_spoken_to_clients_that_want_it() {
    let daemon = school();
    let url = format!("https://{}/size/5", daemon.authority("library.test"));
    let wanted = ["--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code}"];
    assert_eq!(curl(&daemon, KS2, &[&wanted[..], &[&url]].concat()), "2 200");
    let blocked = format!("https://{}/size/5", daemon.authority("casino.test"));
    assert_eq!(curl(&daemon, KS2, &[&wanted[..], &[&blocked]].concat()), "2 403");
    wait_for("the records", Duration::from_secs(5), || daemon.records().len() == 4);
}

#[test]
fn a_websocket_inside_echoes_and_is_recorded_with_its_path() {
    let daemon = school();
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let host = daemon.authority("library.test");
    let mut tunnel = Secure::open(&daemon, KS2, "library.test", &pem).unwrap();
    let request = format!(
        "GET /upgrade HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    tunnel.stream.write_all(request.as_bytes()).unwrap();
    let mut read = Vec::new();
    let mut piece = [0; 1024];
    while find_head_end(&read).is_none() {
        let bytes = tunnel.stream.read(&mut piece).unwrap();
        assert_ne!(bytes, 0, "closed");
        read.extend_from_slice(&piece[..bytes]);
    }
    assert!(read.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&read));
    let mut echoed = read.split_off(find_head_end(&read).unwrap());
    tunnel.stream.write_all(b"hello").unwrap();
    while echoed.len() < 5 {
        let bytes = tunnel.stream.read(&mut piece).unwrap();
        assert_ne!(bytes, 0, "closed");
        echoed.extend_from_slice(&piece[..bytes]);
    }
    assert_eq!(echoed, b"hello");
    drop(tunnel);
    let records = daemon.wait_records(2);
    assert_eq!(records[1]["path"], "/upgrade", "{records:#?}");
    assert_eq!(records[1]["status"], 101, "{records:#?}");
}

#[test]
fn a_split_and_a_slow_handshake_are_read_whole() {
    let daemon = school();
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let mut client = Client::connect_from(KS2, daemon.proxy);
    assert_eq!(client.tunnel(&daemon.authority("library.test"), &[]).status, 200);
    let name = ServerName::try_from("library.test").unwrap();
    let config = Arc::new(trusting(&pem, &[b"http/1.1"]));
    let mut session = ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    for piece in hello.chunks(97) {
        client.send(piece);
        std::thread::sleep(Duration::from_millis(2));
    }
    while session.is_handshaking() {
        session.complete_io(&mut client.stream).unwrap();
    }
    let mut tunnel = Secure { stream: StreamOwned::new(session, client.stream) };
    let answer = tunnel.ask(&daemon.authority("library.test"), "/size/2").unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
fn a_site_that_becomes_private_is_no_longer_looked_into() {
    let _alone = alone();
    let daemon = school();
    let pem = std::fs::read(authority(&daemon)).unwrap();
    let mut tunnel = Secure::open(&daemon, KS2, "library.test", &pem).unwrap();
    let mut stays = Secure::open(&daemon, KS2, "school.test", &pem).unwrap();
    assert_eq!(tunnel.ask(&daemon.authority("library.test"), "/size/1").unwrap().status, 200);
    let policy = daemon.folder().join("policy.toml");
    let text = std::fs::read_to_string(policy).unwrap();
    let line = "\n[[inspect_site]]\nsite = \"library.test\"\ninspect = \"never\"\n\
                reason = \"Borrowers' records are private\"\nreview = 2027-01-05\n";
    std::fs::write(daemon.folder().join("private.toml"), text + line).unwrap();
    let apply = ["policy", "apply", "private.toml", "--by", "j.cho", "--yes"];
    daemon.run(&[&apply[..], &["--reason", "Borrowers' records are private"]].concat()).ok();
    // Seeing less is loosening: it waits for a second person.
    assert_eq!(tunnel.ask(&daemon.authority("library.test"), "/size/1").unwrap().status, 200);
    daemon.sign_off();
    wait_for("the connection to end", LIVE_WITHIN + Duration::from_secs(1), || {
        tunnel.ask(&daemon.authority("library.test"), "/size/1").is_err()
    });
    assert_eq!(stays.ask(&daemon.authority("school.test"), "/size/1").unwrap().status, 200);
}
