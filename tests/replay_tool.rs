//! The parts of the replay tool (`benches/`) that can be wrong without showing.

use crate::daemon::wait_for;
use crate::family;
use crate::origin::Asked;
use crate::replay_school::base64;
use crate::trace::parse;
use crate::wire::{BodyLength, BodySkip, Head};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where this is set, this program stands in for a bench; the folder for what it tells.
const STAND_IN: &str = "SCHOOLGATE_TEST_BENCH";

#[test]
fn a_bench_that_a_signal_ends_leaves_nobody_running_and_clears_up() {
    if let Some(folder) = std::env::var_os(STAND_IN) {
        return family::leaving_nobody(|| stand_in(Path::new(&folder)));
    }
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let name = "replay_tool::a_bench_that_a_signal_ends_leaves_nobody_running_and_clears_up";
        let mut bench = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(STAND_IN, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let told = || -> Vec<u32> {
            let read = |name| std::fs::read_to_string(folder.path().join(name)).ok();
            let read = |name| read(name).and_then(|text| text.trim().parse().ok());
            ["child", "hidden"].into_iter().filter_map(read).collect()
        };
        wait_for("what the bench starts", Duration::from_secs(20), || told().len() == 2);
        let started = told();
        kill_process(Pid::from_child(&bench), signal).unwrap();
        wait_for("the end of the bench", Duration::from_secs(20), || {
            bench.try_wait().unwrap().is_some()
        });
        assert_eq!(bench.wait().unwrap().code(), Some(128 + signal.as_raw()));
        for pid in started {
            let state = family::stat(pid).map(|fields| fields[0].clone());
            assert!(state.as_deref().is_none_or(|state| state == "Z"), "{signal:?}: {state:?}");
        }
        assert!(!folder.path().join("cleared").exists(), "a folder of the bench stays");
    }
}

/// Starts a program, and one that goes into the background in a session of its own.
fn stand_in(folder: &Path) {
    let cleared = folder.join("cleared");
    std::fs::create_dir(&cleared).unwrap();
    let mut child = family::start(Command::new("sleep").arg("600")).unwrap();
    std::fs::write(folder.join("child"), child.id().to_string()).unwrap();
    let hides = "setsid sh -c 'echo $$ > hidden; exec sleep 600' &";
    let mut hidden =
        family::start(Command::new("sh").args(["-c", hides]).current_dir(folder)).unwrap();
    hidden.wait().unwrap();
    child.wait().unwrap();
    assert!(family::start(&mut Command::new("true")).is_err(), "nothing is started any more");
    std::fs::remove_dir(&cleared).unwrap();
}

#[test]
fn the_replay_header_reads_back() {
    let asked = Asked {
        status: 200,
        body_bytes: 1024,
        pad_bytes: 30,
        mime: "text/html; charset=utf-8".to_owned(),
    };
    assert_eq!(Asked::parse(&asked.header()), Some(asked));
}

#[test]
fn base64_matches_the_vectors_of_the_rfc() {
    let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
    for (plain, expected) in cases {
        assert_eq!(base64(plain.as_bytes()), expected);
    }
}

#[test]
fn the_request_table_reads_by_column_name() {
    let text = "capture\tpage\tmethod\turl\tstatus\tmime\treq_header_bytes\treq_body_bytes\tresp_header_bytes\tresp_wire_body_bytes\n\
                a\t0\tGET\thttps://Example.org/x?y=1#z\t200\timage/png\t300\t0\t200\t1234\n\
                a\t0\tGET\tdata:image/png;base64,AA\t200\t\t0\t0\t0\t0\n";
    let trace = parse(text).expect("reads");
    assert_eq!((trace.requests.len(), trace.skipped), (1, 1));
    let first = &trace.requests[0];
    assert_eq!((first.host.as_str(), first.path_and_query.as_str()), ("example.org", "/x?y=1"));
    assert_eq!((first.https, first.body_bytes), (true, 1234));
}

#[test]
fn squid_lines_read_with_and_without_extra_columns() {
    let text = "1157689312.049   5006 10.1.2.3 TCP_MISS/200 19763 CONNECT login.example:443 u DIRECT/10.9.9.9 -\n\
                1773416922.391    104 10.1.2.3 58938 TCP_MISS/404 904 123 364 123 528 GET http://example.com/ 1.1 u HIER_DIRECT/10.9.9.9 80 text/html\n\
                junk\n";
    let trace = parse(text).expect("reads");
    assert_eq!((trace.requests.len(), trace.skipped), (2, 1));
    assert!(trace.requests[0].https && trace.requests[0].host == "login.example");
    assert_eq!((trace.requests[1].status, trace.requests[1].body_bytes), (404, 904));
}

#[test]
fn a_har_reads_and_an_unknown_size_falls_back_to_the_decoded_one() {
    let text = r#"{"log":{"entries":[{"request":{"method":"GET","url":"http://example.org/"},
        "response":{"status":200,"bodySize":-1,"content":{"size":77,"mimeType":"text/html"}}}]}}"#;
    let trace = parse(text).expect("reads");
    assert_eq!(trace.requests[0].body_bytes, 77);
}

#[test]
fn a_chunked_body_is_passed_over_byte_by_byte_and_the_next_message_is_left() {
    let input = b"4\r\nWiki\r\n5;x=1\r\npedia\r\n0\r\nTrailer: 1\r\n\r\nHTTP/1.1 200";
    let mut skip = BodySkip::new(BodyLength::Chunked);
    let (mut start, mut end) = (0, 0);
    while !skip.is_done() {
        end += 1;
        start += skip.feed(&input[start..end]);
    }
    assert_eq!(&input[start..], b"HTTP/1.1 200");
    assert_eq!(skip.body_bytes, 9);
}

#[test]
fn statuses_without_a_body_have_none_whatever_the_headers_say() {
    let head = Head::parse(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n");
    assert_eq!(head.response_body_length(false), BodyLength::Exact(0));
}
