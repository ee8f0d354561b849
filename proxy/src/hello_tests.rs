#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

use super::*;
use proptest::prelude::*;
use std::sync::Arc;

/// The first flight of a rustls client.
fn real(name: &'static str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = name.try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn made(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut all = Vec::new();
    for (kind, data) in extensions {
        all.extend(kind.to_be_bytes());
        all.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        all.extend(*data);
    }
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend(u16::try_from(all.len()).unwrap().to_be_bytes());
    body.extend(all);
    let mut message = vec![1, 0];
    message.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(body);
    records(&message, MOST_IN_RECORD)
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&[22, 3, 1], &length[..], part].concat()
    };
    message.chunks(size).flat_map(record).collect()
}

fn found(name: Option<&str>, encrypted: bool) -> Hello {
    Hello::Found(ClientHello { server_name: name.map(Into::into), encrypted })
}

const NAME: &[u8] = b"\0\x06\0\0\x03a.b";

#[test]
fn a_real_hello_is_partial_until_it_is_whole() {
    let bytes = real("www.example.org");
    for end in 0..bytes.len() {
        assert_eq!(read_hello(&bytes[..end]), Hello::Partial, "{end}");
    }
    assert_eq!(read_hello(&bytes), found(Some("www.example.org"), false));
    assert_eq!(read_hello(&real("192.0.2.1")), found(None, false));
}

#[test]
fn a_hello_in_records_of_any_size_is_joined() {
    let bytes = real("www.example.org");
    for size in [1, 2, 3, 4, 5, 100, 1000] {
        let split = records(&bytes[RECORD_HEADER..], size);
        assert_eq!(read_hello(&split), found(Some("www.example.org"), false), "{size}");
    }
}

#[test]
fn an_encrypted_hello_is_told_among_grease() {
    let hello = made(&[(0x1a1a, b""), (0, NAME), (0xfe0d, &[0; 40]), (0xdada, b"\0")]);
    assert_eq!(read_hello(&hello), found(Some("a.b"), true));
    assert_eq!(read_hello(&made(&[(0, NAME)])), found(Some("a.b"), false));
}

#[test]
fn what_has_two_readings_is_malformed() {
    let two = b"\0\x0c\0\0\x03a.b\0\0\x03c.d";
    let cases: [&[(u16, &[u8])]; 7] = [
        &[(0, NAME), (0, NAME)],
        &[(0, two)],
        &[(0, b"")],
        &[(0, b"\0\0")],
        &[(0, b"\0\x06\0\0\x03a.b!")],
        &[(0, b"\0\x06\0\0\x03a.\xff")],
        &[(0x1a1a, b""), (0x1a1a, b"")],
    ];
    for case in cases {
        assert_eq!(read_hello(&made(case)), Hello::Malformed, "{case:?}");
    }
    let mut long = made(&[(0, NAME)]);
    long[3..5].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(read_hello(&long), Hello::Malformed);
    assert_eq!(read_hello(&[22, 3, 1, 0, 0]), Hello::Malformed);
}

#[test]
fn what_is_no_tls_is_told_at_the_first_byte_that_rules_it_out() {
    for bytes in [&b"G"[..], b"SSH", &[0x80, 0x2e, 1], &[21], &[22, 2], &[22, 3, 1, 0, 9, 2]] {
        assert_eq!(read_hello(bytes), Hello::NotTls, "{bytes:?}");
    }
}

#[test]
fn a_hello_without_end_is_given_up() {
    let endless = records(&[&[1, 0, 0xff, 0xff][..], &[0; 70_000]].concat(), 1);
    assert_eq!(read_hello(&endless[..MOST_HELLO_BYTES]), Hello::Malformed);
}

proptest! {
    #[test]
    fn any_change_to_a_hello_is_read_without_harm(at in 0usize..80, byte: u8) {
        let mut bytes = made(&[(0, NAME), (16, b"\0\x03\x02h2")]);
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Hello::Found(_) = read_hello(&bytes) {
            for end in 0..bytes.len() {
                prop_assert_eq!(read_hello(&bytes[..end]), Hello::Partial);
            }
        }
    }

    #[test]
    fn no_bytes_do_harm(bytes: Vec<u8>) {
        let _ = read_hello(&bytes);
    }
}
