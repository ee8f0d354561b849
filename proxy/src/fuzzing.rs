//! What the fuzzer calls, and what the tests replay: one function for each parser that reads bytes
//! from outside. Each panics where a promise of that parser is broken.
//!
//! Compiled for `cargo fuzz` (see `docs/testing.md`) and for tests; the product has none of it.

#![allow(clippy::unwrap_used, reason = "a broken promise is a panic here")]

mod framing;
#[cfg(test)]
mod tests;

pub use crate::lists::fuzzing::list_import;
pub use framing::{request_framing, response_framing};

use crate::config::Config;
use crate::hello::{self, Hello};
use ledger::frame::{self, Found, Frames};
use ledger::notes::{read_signs, signs_text};
use ledger::payload::{self, Payload};
use rules::access::UserFacts;
use rules::category::Catalogue;
use rules::host::Host;
use rules::policy::Policy;
use rules::target::{parse_absolute, parse_connect, parse_typed, seen_path};
use std::path::Path;
use std::sync::LazyLock;

/// The shipped categories, read once: the fuzzer is not after those.
pub(crate) static SHIPPED: LazyLock<Catalogue> = LazyLock::new(Catalogue::shipped);

/// The first bytes of a tunnel. However they are cut, they come to the same; rustls, where it takes
/// them for a hello, reads the same name.
pub fn client_hello(bytes: &[u8]) {
    let whole = hello::read_hello(bytes);
    if let Hello::Found(found) = &whole {
        for cut in 0..bytes.len().min(300) {
            match hello::read_hello(&bytes[..cut]) {
                Hello::Partial => {}
                Hello::Found(earlier) => assert_eq!(&earlier, found, "{cut} bytes"),
                other => panic!("{cut} bytes are {other:?}, all are a hello"),
            }
        }
        let mut theirs = rustls::server::Acceptor::default();
        let mut rest = bytes;
        while !rest.is_empty() && theirs.read_tls(&mut rest).is_ok_and(|read| read > 0) {
            let Ok(accepted) = theirs.accept() else { return };
            if let Some(accepted) = accepted {
                let canonical = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
                let name = accepted.client_hello().server_name().map(canonical);
                let ours = found.server_name.as_deref().map(canonical);
                // rustls takes an address for no name, and the dot off one that ends in it.
                assert!(name.is_none() || name == ours, "{name:?} is {ours:?}");
                return;
            }
        }
    }
}

/// Hosts, authorities and paths. A canonical host is its own canonical form, and the URL Standard's
/// parser reads the same host out of the same text; so is a path as rules see it.
pub fn request_target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(host) = Host::parse(text) {
        check_host(&host);
        let theirs = url::Host::parse(text);
        let theirs = theirs.unwrap_or_else(|error| panic!("{text:?} is {host}, or {error}"));
        assert_eq!(in_our_spelling(&theirs), host.as_str(), "{text:?}");
    }
    let absolute = parse_absolute(Some("http"), Some(text));
    let connect = parse_connect(text);
    if let (Ok(absolute), Ok(connect)) = (&absolute, &connect) {
        assert_eq!((&absolute.host, absolute.port), (&connect.host, connect.port), "{text:?}");
    }
    if let Ok(target) = absolute.or(connect) {
        let url = url::Url::parse(&format!("http://{text}/"));
        let url = url.unwrap_or_else(|error| panic!("{text:?} is {target:?}, or {error}"));
        assert_eq!(in_our_spelling(&url.host().unwrap()), target.host.as_str(), "{text:?}");
        assert_eq!(url.port_or_known_default(), Some(target.port), "{text:?}");
    }
    if let Ok((target, path)) = parse_typed(text) {
        check_host(&target.host);
        assert!(path.starts_with('/'), "{text:?}: {path}");
    }
    let seen = seen_path(text).into_owned();
    assert_eq!(seen_path(&seen), seen, "{text:?}");
    assert!(seen.starts_with('/') && seen.bytes().all(|byte| byte.is_ascii_graphic()), "{seen:?}");
    assert!(!seen.contains("//") && !seen.contains(['\\', '?', '#']), "{seen:?}");
    assert!(seen.split('/').all(|part| part != "." && part != ".."), "{seen:?}");
}

fn check_host(host: &Host) {
    let spelled = match host.address() {
        Some(address) if address.is_ipv6() => format!("[{host}]"),
        _ => host.to_string(),
    };
    assert_eq!(Host::parse(&spelled).as_ref(), Ok(host), "{spelled}");
    assert_eq!(Host::parse(&spelled.to_ascii_uppercase()).as_ref(), Ok(host), "{spelled}");
    assert!(host.suffixes().all(|suffix| !suffix.is_empty()), "{host}");
    assert!(host.registrable().is_none_or(|domain| host.as_str().ends_with(domain)), "{host}");
    assert!(host.is_within(host));
}

/// Their host without brackets and trailing dot, an IPv4-mapped address as IPv4.
fn in_our_spelling<S: AsRef<str>>(theirs: &url::Host<S>) -> String {
    match theirs {
        url::Host::Domain(name) => {
            let name = name.as_ref();
            name.strip_suffix('.').unwrap_or(name).to_owned()
        }
        url::Host::Ipv4(address) => address.to_string(),
        url::Host::Ipv6(address) => address.to_canonical().to_string(),
    }
}

/// A school's policy. Every fault has a place, a text and a fix; what is read can be asked.
pub fn policy_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let beside = |name: &str| match name.len() % 3 {
        0 => Err("not there".to_owned()),
        _ => Ok("chess.example\nmaths.example/games\n".to_owned()),
    };
    match Policy::parse(text, "policy.toml", SHIPPED.clone(), &beside) {
        Ok(policy) => {
            let user = UserFacts::default();
            for address in ["10.1.2.3", "2001:db8::7"] {
                let address = address.parse().unwrap();
                let _ = (policy.identify(None, address), policy.identify(Some(&user), address));
            }
            let _ = (policy.warnings(), policy.files(), policy.diff(&policy, &Default::default()));
            for now in [0, 1_795_000_000_000, i64::MAX] {
                let _ = policy.warnings_at(rules::time::UnixMillis(now));
            }
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(fault.place.starts_with("policy.toml"), "{fault}");
                assert!(!fault.what.is_empty() && !fault.fix.is_empty(), "{fault}");
            }
        }
    }
}

/// The machine file. What `config show` prints of it is a machine file that means the same.
pub fn machine_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = |text: &str| Config::parse(text, "schoolgate.toml", Path::new("/nowhere"));
    match read(text) {
        Ok(config) => {
            let shown = config.show();
            let again = read(&shown).unwrap_or_else(|error| panic!("{error}\n{shown}"));
            assert_eq!(again.show(), shown);
        }
        Err(error) => {
            let faults = error.faults();
            assert!(!faults.is_empty());
            for fault in faults {
                assert!(!fault.what.is_empty() && !fault.fix.is_empty(), "{fault}");
            }
        }
    }
}

/// A journal file, as after a power cut or a failing disk. Every byte is accounted for; a whole
/// frame is read as it was written.
pub fn log_reader(bytes: &[u8]) {
    let mut accounted = 0;
    for found in Frames::new(bytes, 8) {
        let (offset, count) = match found {
            Found::Payload { offset, payload } => {
                check_payload(payload);
                (offset, frame::HEAD_BYTES + payload.len())
            }
            Found::Damage { offset, bytes } | Found::Tail { offset, bytes } => {
                (offset, bytes as usize)
            }
        };
        assert_eq!(offset, 8 + accounted as u64);
        accounted += count;
    }
    assert_eq!(accounted, bytes.len());
    // The checksum keeps a fuzzer out of payloads, so they are also read without one.
    check_payload(bytes);
    if (9..=frame::MAX_PAYLOAD_BYTES).contains(&bytes.len()) {
        let mut framed = Vec::new();
        frame::append(&mut framed, |buffer| buffer.extend_from_slice(bytes));
        let whole = Found::Payload { offset: 0, payload: bytes };
        assert!(Frames::new(&framed, 0).eq([whole]));
    }
}

fn check_payload(bytes: &[u8]) {
    match payload::read(bytes) {
        Some(Payload::Context(number, context)) => {
            let mut again = Vec::new();
            payload::put_context(&mut again, number, &context);
            assert!(matches!(payload::read(&again), Some(Payload::Context(n, _)) if n == number));
        }
        Some(Payload::Ended(id, ended, signs)) => {
            // What is no sign is passed over.
            let signs = signs.map(read_signs).unwrap_or_default();
            let mut again = Vec::new();
            payload::put_ended(&mut again, id, &ended, &signs);
            let text = signs_text(&signs);
            let expected = Payload::Ended(id, ended, text.as_deref());
            assert_eq!(payload::read(&again), Some(expected));
        }
        Some(Payload::Decided(_) | Payload::DecidedAndEnded(..)) | None => {}
    }
}
