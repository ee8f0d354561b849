//! Every seed and every input that ever broke a promise, through the same functions.

#![allow(clippy::unwrap_used, reason = "a fixture that is missing is a failed test")]

#[path = "../../../fuzz/replay.rs"]
mod replay;

use super::*;
use replay::replay;
use std::path::PathBuf;

macro_rules! replays {
    ($($target:ident)*) => { $(
        #[test]
        fn $target() {
            replay(stringify!($target), super::$target);
        }
    )* };
}

replays! {
    request_target policy_file machine_file list_import log_reader response_framing request_framing
    client_hello
}

/// The decision of `fuzz/seeds/log_reader` behind each of the inputs, in a journal of its own.
#[test]
fn a_decision_behind_hostile_bytes_is_stored_and_the_log_starts() {
    let seeds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/log_reader");
    let seed = |name: &str| seed("log_reader", name);
    let state = tempfile::tempdir().unwrap();
    let journal = state.path().join("journal");
    std::fs::create_dir(&journal).unwrap();
    let mut files = 0;
    for hostile in std::fs::read_dir(&seeds).unwrap() {
        files += 1;
        let mut bytes = frame::MAGIC.to_vec();
        bytes.extend_from_slice(&std::fs::read(hostile.unwrap().path()).unwrap());
        let mut decision = seed("decision");
        // Kind, number of the context, then the id: one that no other file has.
        decision[3..11].copy_from_slice(&(1000_u64 + files).to_le_bytes());
        for payload in [seed("context"), decision] {
            frame::append(&mut bytes, |buffer| buffer.extend_from_slice(&payload));
        }
        std::fs::write(journal.join(format!("w00-{files:014}.sgj")), bytes).unwrap();
    }
    let recovered = ledger::ingest::recover(state.path()).unwrap().unwrap();
    assert!(recovered.decisions >= files, "{recovered:?}");
    assert_eq!(recovered.last_id.0, 1000 + files);
    assert!(!recovered.damage.is_empty(), "{recovered:?}");
}

fn seed(target: &str, name: &str) -> Vec<u8> {
    let seeds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    std::fs::read(seeds.join(target).join(name)).unwrap()
}

#[test]
fn framed_answers_reach_the_client_and_misframed_ones_do_not() {
    let answered = |name: &str| {
        let bytes = framing::answered(&seed("response_framing", name))?;
        Some(String::from_utf8(bytes).unwrap().split_once("\r\n\r\n")?.1.to_owned())
    };
    for (name, body) in [
        ("length", Some("abc")),
        ("chunked", Some("3\r\nabc\r\n0\r\n\r\n")),
        ("both", Some("3\r\nabc\r\n0\r\n\r\n")),
        ("closed", Some("3\r\nabc\r\n0\r\n\r\n")),
        ("head", Some("")),
        ("early-hints", Some("")),
        ("two-lengths", None),
        ("switching", None),
    ] {
        assert_eq!(answered(name).as_deref(), body, "{name}");
    }
}

#[test]
fn framed_requests_reach_the_site_and_misframed_ones_do_not() {
    for (name, count) in
        [("get", 1), ("post", 2), ("chunked", 1), ("upgrade", 1), ("obscured", 0), ("old", 0)]
    {
        assert_eq!(framing::forwarded(&seed("request_framing", name)), count, "{name}");
    }
}
