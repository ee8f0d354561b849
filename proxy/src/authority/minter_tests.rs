//! Leaves as clients and OpenSSL see them, and the minter's promises.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use super::super::leaf::sign;
use super::super::root::{DAY_S, RootKey, make};
use super::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, NamedGroup, RootCertStore};
use rustls_pki_types::CertificateDer;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use x509_parser::prelude::{FromDer, X509Certificate};

fn authority_at(now: i64, years: u8) -> Arc<Authority> {
    let key = RootKey::generate().unwrap();
    let certificate = make(&key, "Example Academy", years, now).unwrap();
    Arc::new(Authority::assemble(certificate, key).unwrap())
}

fn minter(most_leaves: usize) -> Minter {
    Minter::new(authority_at(now_s(), 10), most_leaves).unwrap()
}

fn host(name: &str) -> Host {
    Host::parse(name).unwrap()
}

fn upstream(names: &[&str], not_after: i64) -> UpstreamCertificate {
    UpstreamCertificate {
        dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
        addresses: Vec::new(),
        not_after,
        chain_digest: [7; 32],
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Names of a leaf as they stand in it.
fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let upstream = UpstreamCertificate::from_chain(std::slice::from_ref(certificate)).unwrap();
    let addresses = upstream.addresses.iter().map(IpAddr::to_string);
    upstream.dns_names.into_iter().chain(addresses).collect()
}

/// Runs OpenSSL, which must be content; what it printed.
fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let ran = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "openssl {arguments:?}: {said}");
    said
}

#[test]
fn openssl_takes_a_leaf_for_its_names_alone() {
    let (now, folder) = (now_s(), tempfile::tempdir().unwrap());
    let authority = authority_at(now, 10);
    let key = KeyPair::generate().unwrap();
    let facts = upstream(&["www.library.test", "*.library.test"], now + 400 * DAY_S);
    let leaf = sign(&authority, &key, &host("library.test"), Some(&facts), now).unwrap();
    let write = |name: &str, der: &[u8]| {
        std::fs::write(folder.path().join(name), super::super::pem(der)).unwrap();
    };
    write("root.pem", authority.certificate());
    write("leaf.pem", &leaf.certificate);
    let verify = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "root.pem"];
    for name in ["library.test", "www.library.test", "a.library.test"] {
        openssl(folder.path(), &[&verify[..], &["-verify_hostname", name, "leaf.pem"]].concat());
    }
    let other = [&verify[..], &["-verify_hostname", "other.test", "leaf.pem"]].concat();
    let refused = Command::new("openssl").args(&other).current_dir(folder.path()).output().unwrap();
    assert!(!refused.status.success(), "a name that it does not have");
    let text = openssl(folder.path(), &["x509", "-in", "leaf.pem", "-noout", "-text"]);
    for expected in [
        "Version: 3",
        "ecdsa-with-SHA256",
        "prime256v1",
        "X509v3 Subject Alternative Name: critical",
        "DNS:library.test, DNS:www.library.test, DNS:*.library.test",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "TLS Web Server Authentication\n",
        "CA:FALSE",
        "X509v3 Authority Key Identifier",
    ] {
        assert!(text.contains(expected), "{expected} is missing: {text}");
    }
    let subject = openssl(folder.path(), &["x509", "-in", "leaf.pem", "-noout", "-subject"]);
    assert_eq!(subject.trim(), "subject=", "no name outside the extension");
}

#[test]
fn a_leaf_outlives_neither_the_upstream_nor_the_authority_nor_90_days() {
    let now = 1_800_000_000;
    let key = KeyPair::generate().unwrap();
    let young = authority_at(now, 10);
    let last_day = authority_at(now + 2 * DAY_S - 365 * DAY_S, 1);
    let longest = now - DAY_S + MAX_LEAF_S - 1;
    const MAX_LEAF_S: i64 = super::super::MAX_LEAF_DAYS * DAY_S;
    let cases = [
        ("nothing shortens it", &young, None, longest),
        ("a long upstream", &young, Some(now + 300 * DAY_S), longest),
        ("a short upstream", &young, Some(now + 5 * DAY_S), now + 5 * DAY_S),
        ("the upstream's last second", &young, Some(now), now),
        ("an old authority", &last_day, Some(now + 5 * DAY_S), last_day.not_after()),
    ];
    for (what, authority, ends, expected) in cases {
        let facts = ends.map(|ends| upstream(&["a.test"], ends));
        let leaf = sign(authority, &key, &host("a.test"), facts.as_ref(), now).unwrap();
        let (_, parsed) = X509Certificate::from_der(&leaf.certificate).unwrap();
        let life = parsed.validity();
        assert_eq!(leaf.not_after, expected, "{what}");
        assert_eq!(life.not_after.timestamp(), expected, "{what}");
        let begins = life.not_before.timestamp();
        assert!(begins >= authority.facts().not_before && begins <= now, "{what}");
        assert!(expected - begins < MAX_LEAF_S, "{what}: both ends count");
    }
    let over = upstream(&["a.test"], now - 1);
    let refused = sign(&young, &key, &host("a.test"), Some(&over), now);
    assert!(matches!(refused, Err(MintError::Upstream(_))), "an upstream that has ended");
    for (what, now) in [("too early", now - 2 * DAY_S), ("too late", young.not_after() + 1)] {
        let refused = sign(&young, &key, &host("a.test"), None, now);
        assert!(matches!(refused, Err(MintError::AuthorityEnded)), "{what}");
    }
    assert!(sign(&young, &key, &host("a.test"), None, now - DAY_S).is_ok(), "a slow clock");
}

#[test]
fn serials_are_positive_of_sixteen_bytes_and_never_the_same() {
    let now = now_s();
    let (authority, key) = (authority_at(now, 10), KeyPair::generate().unwrap());
    let mut seen = std::collections::HashSet::new();
    for _ in 0..200 {
        let leaf = sign(&authority, &key, &host("a.test"), None, now).unwrap();
        let (_, parsed) = X509Certificate::from_der(&leaf.certificate).unwrap();
        let serial = parsed.raw_serial().to_vec();
        assert!(serial.len() == 16 && serial[0] < 0x80, "{serial:?}");
        assert!(seen.insert(serial), "twice");
    }
}

#[test]
fn names_come_from_the_upstream_bounded_and_in_one_spelling() {
    let now = now_s();
    let (authority, key) = (authority_at(now, 10), KeyPair::generate().unwrap());
    let names = |asked: &str, facts: &UpstreamCertificate| {
        names_of(&sign(&authority, &key, &host(asked), Some(facts), now).unwrap().certificate)
    };
    let odd = upstream(
        &["WWW.A.test", "a.test", "*", "*.", "a b.test", "*.*.test", "10.0.0.1", "", "b.test\0.c"],
        now + DAY_S,
    );
    assert_eq!(names("a.test", &odd), ["a.test", "www.a.test"]);
    let many: Vec<String> = (0..1_000).map(|number| format!("n{number}.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let got = names("asked.test", &upstream(&many, now + DAY_S));
    assert_eq!((got.len(), got[0].as_str()), (200, "asked.test"));
    let mut with_address = upstream(&["a.test"], now + DAY_S);
    with_address.addresses = vec![[192, 0, 2, 7].into(), "2001:db8::7".parse().unwrap()];
    assert_eq!(names("192.0.2.7", &with_address), ["a.test", "192.0.2.7", "2001:db8::7"]);
    let alone = sign(&authority, &key, &host("[2001:db8::1]"), None, now).unwrap();
    assert_eq!(names_of(&alone.certificate), ["2001:db8::1"]);
}

#[test]
fn a_chain_is_read_with_its_names_end_and_digest() {
    let mut params =
        rcgen::CertificateParams::new(["a.test".to_owned(), "192.0.2.1".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2031, 1, 2);
    let key = KeyPair::generate().unwrap();
    let own = params.self_signed(&key).unwrap().der().clone();
    let read = UpstreamCertificate::from_chain(std::slice::from_ref(&own)).unwrap();
    assert_eq!(read.dns_names, ["a.test"]);
    assert_eq!(read.addresses, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(read.not_after, 1_925_078_400, "2031-01-02");
    let longer = UpstreamCertificate::from_chain(&[own.clone(), own.clone()]).unwrap();
    assert_ne!(read.chain_digest, longer.chain_digest, "the whole chain counts");
    for (what, chain) in [("none", vec![]), ("junk", vec![CertificateDer::from(vec![1, 2, 3])])] {
        let refused = UpstreamCertificate::from_chain(&chain);
        assert!(matches!(refused, Err(MintError::Upstream(_))), "{what}");
    }
}

#[test]
fn a_hundred_first_requests_at_once_are_one_signature() {
    let minter = minter(1_000);
    let asked = host("busy.test");
    let facts = upstream(&["busy.test"], now_s() + 60 * DAY_S);
    let together = Barrier::new(100);
    let configs: Vec<_> = std::thread::scope(|scope| {
        let ask = || {
            together.wait();
            block_on(minter.server_config(LeafFacts { host: &asked, upstream: Some(&facts) }))
                .unwrap()
        };
        let threads: Vec<_> = (0..100).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((configs.len(), minter.signed()), (100, 1));
    assert!(configs.iter().all(|config| Arc::ptr_eq(config, &configs[0])));
}

#[test]
fn the_cache_is_bounded() {
    for most in [1, 100] {
        let minter = minter(most);
        for number in 0..most * 5 {
            let asked = host(&format!("n{number}.test"));
            block_on(minter.server_config(LeafFacts { host: &asked, upstream: None })).unwrap();
        }
        assert!(minter.kept() <= most, "{} kept of {most}", minter.kept());
        assert_eq!(minter.signed(), most as u64 * 5);
    }
}

#[test]
fn another_chain_or_none_is_another_leaf() {
    let minter = minter(100);
    let asked = host("a.test");
    let first = upstream(&["a.test"], now_s() + 60 * DAY_S);
    let second = UpstreamCertificate { chain_digest: [8; 32], ..first.clone() };
    let ask =
        |upstream| block_on(minter.server_config(LeafFacts { host: &asked, upstream })).unwrap();
    let configs = [ask(None), ask(Some(&first)), ask(Some(&second))];
    assert_eq!(minter.signed(), 3);
    for (again, config) in [None, Some(&first), Some(&second)].into_iter().zip(&configs) {
        assert!(Arc::ptr_eq(&ask(again), config));
    }
    assert_eq!(minter.signed(), 3, "each from memory");
}

#[test]
fn a_leaf_is_signed_anew_before_it_ends() {
    let now = now_s();
    let minter = minter(100);
    let asked = host("a.test");
    let at = |facts: &UpstreamCertificate, now: i64| {
        let facts = LeafFacts { host: &asked, upstream: Some(facts) };
        block_on(minter.server_config_at(facts, now)).unwrap();
        minter.signed()
    };
    let long = upstream(&["a.test"], now + 30 * DAY_S);
    assert_eq!([at(&long, now), at(&long, now + 22 * DAY_S)], [1, 1]);
    assert_eq!(at(&long, now + 24 * DAY_S), 2, "under 7 days are left");
    let short =
        UpstreamCertificate { chain_digest: [9; 32], ..upstream(&["a.test"], now + 2 * DAY_S) };
    assert_eq!([at(&short, now), at(&short, now + DAY_S - 1)], [3, 3], "not at each request");
    assert_eq!(at(&short, now + DAY_S), 4, "half of a short life is over");
}

#[test]
fn nothing_printed_holds_a_key() {
    let minter = minter(10);
    let der = minter.key.serialize_der();
    let shown = format!("{minter:?}{:?}", minter.authority());
    let hex = super::super::hex(&der[der.len() - 16..]);
    assert!(!shown.to_lowercase().contains(&hex) && !shown.contains("key"), "{shown}");
    assert!(shown.contains("Example Academy Schoolgate CA"), "{shown}");
}

/// A client that trusts one authority alone.
fn client(authority: &Authority, alpn: &[&str]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// Client and server shake hands in memory; what the client sees.
fn shake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<rustls::ClientConnection, rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut near = rustls::ClientConnection::new(Arc::clone(client), name)?;
    let mut far = rustls::ServerConnection::new(Arc::clone(server))?;
    for _ in 0..8 {
        let mut bytes = Vec::new();
        while near.wants_write() {
            near.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            far.read_tls(&mut rest).unwrap();
            far.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while far.wants_write() {
            far.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            near.read_tls(&mut rest).unwrap();
            near.process_new_packets()?;
        }
    }
    Ok(near)
}

#[test]
fn a_client_that_trusts_the_authority_is_served_and_resumes() {
    let minter = minter(10);
    let asked = host("a.test");
    let facts = LeafFacts { host: &asked, upstream: None };
    let server = block_on(minter.server_config(facts)).unwrap();
    for alpn in [&["h2", "http/1.1"][..], &["http/1.1"]] {
        let client = Arc::new(client(minter.authority(), alpn));
        let seen = shake(&client, &server, "a.test").unwrap();
        assert_eq!(seen.alpn_protocol(), alpn.first().map(|name| name.as_bytes()));
        assert_eq!(seen.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        let group = seen.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, NamedGroup::X25519MLKEM768);
        assert_eq!(seen.peer_certificates().unwrap().len(), 1, "the root is not sent");
        let again = shake(&client, &server, "a.test").unwrap();
        assert_eq!(again.handshake_kind(), Some(HandshakeKind::Resumed));
        let elsewhere = Minter::new(authority_at(now_s(), 10), 10).unwrap();
        let other = block_on(elsewhere.server_config(facts)).unwrap();
        assert!(shake(&client, &other, "a.test").is_err(), "another authority's");
    }
    let client = Arc::new(client(minter.authority(), &["h2"]));
    assert!(shake(&client, &server, "b.test").is_err(), "another name");
}

#[test]
fn a_ticket_survives_the_leaf_being_signed_anew() {
    let minter = minter(10);
    let asked = host("a.test");
    let server =
        |upstream| block_on(minter.server_config(LeafFacts { host: &asked, upstream })).unwrap();
    let client = Arc::new(client(minter.authority(), &["h2"]));
    let first = shake(&client, &server(None), "a.test").unwrap();
    assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
    let facts = upstream(&["a.test"], now_s() + 60 * DAY_S);
    let second = shake(&client, &server(Some(&facts)), "a.test").unwrap();
    assert_eq!((minter.signed(), second.handshake_kind()), (2, Some(HandshakeKind::Resumed)));
}
