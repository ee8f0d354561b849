//! The letter of RFC 9110, RFC 9112 and RFC 9113 for intermediaries, by raw bytes through the real program:
//! what a test says goes over the wire as it stands, and the origin keeps every byte that it got.
//!
//! Each test names its section. `docs/rfc.md` lists the requirements with the tests that hold them.

mod connections;
mod frames;
mod framing;
mod headers;
mod hpack;
mod http2;
mod http2_flow;
mod http2_frames;
mod http2_messages;
mod http2_shared;
mod http2_sites;
mod http2_waiting;
mod limits;
mod responses;
mod resting;
mod script;
mod targets;
mod upgrades;

use crate::client::Client;
use crate::daemon::{Daemon, Plan, STAFF};
use script::RawOrigin;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// Longest wait for the proxy to say or close something.
const PATIENCE: Duration = Duration::from_secs(10);

/// A school whose hosts lead to an origin that follows a script.
struct Rig {
    daemon: Daemon,
    origin: RawOrigin,
}

/// What came back on one connection.
#[derive(Debug, Default)]
struct Heard {
    bytes: Vec<u8>,
    closed: bool,
}

impl Heard {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Status codes of the answers, in order. Bodies of the tests hold no status line.
    fn statuses(&self) -> Vec<u16> {
        let text = self.text();
        text.match_indices("HTTP/1.")
            .filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok())
            .collect()
    }
}

impl Rig {
    fn start() -> Self {
        Self::with_machine("")
    }

    /// With more in the machine file.
    fn with_machine(machine: &str) -> Self {
        let plan = Plan { machine: machine.to_owned(), ..Plan::default() };
        Self { daemon: Daemon::start_with(&plan), origin: RawOrigin::start() }
    }

    /// `library.test:PORT` of the scripted origin.
    fn authority(&self) -> String {
        format!("library.test:{}", self.origin.address.port())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority())
    }

    /// A head with these field lines (each without its end), and nothing but `Host` besides.
    fn head(&self, method: &str, path: &str, fields: &[&str]) -> String {
        let mut head =
            format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", self.url(path), self.authority());
        for field in fields {
            head.push_str(field);
            head.push_str("\r\n");
        }
        head + "\r\n"
    }

    /// A request that no test ever wants to see answered or forwarded.
    fn smuggled(&self) -> String {
        self.head("GET", "/smuggled", &[])
    }

    fn connect(&self) -> Client {
        Client::connect_from(STAFF, self.daemon.proxy)
    }

    /// Sends pieces a moment apart, so that each comes in a segment of its own, and reads until the
    /// proxy closes or has sent nothing for `quiet`.
    fn say(&self, pieces: &[&[u8]], quiet: Duration) -> Heard {
        let mut client = self.connect();
        for (i, piece) in pieces.iter().enumerate() {
            if i > 0 {
                std::thread::sleep(Duration::from_millis(3));
            }
            // The proxy may close in the middle of what it refuses.
            if client.stream.write_all(piece).is_err() {
                break;
            }
        }
        hear(&mut client, quiet)
    }

    /// The same for what must be refused: the connection has to be closed.
    #[track_caller]
    fn say_and_be_closed(&self, what: &str, pieces: &[&[u8]]) -> Heard {
        let heard = self.say(pieces, PATIENCE);
        assert!(heard.closed, "{what}: the connection stays open: {}", heard.text());
        heard
    }

    /// All records, which must be exactly so many also a moment later.
    #[track_caller]
    fn records(&self, wanted: usize) -> Vec<Value> {
        self.daemon.wait_records(wanted);
        // Longer than the writer's and the reader's ticks: one too many would show by now.
        std::thread::sleep(Duration::from_millis(400));
        let records = self.daemon.records();
        assert_eq!(records.len(), wanted, "one record a request: {records:#?}");
        records
    }

    /// A request that shows that all is well for the next client; adds one record.
    #[track_caller]
    fn others_are_served(&self) {
        let answer = self.daemon.get_from(STAFF, &self.url("/well"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "well"), "{answer:?}");
    }
}

/// Reads until the proxy closes or has sent nothing for `quiet`.
fn hear(client: &mut Client, quiet: Duration) -> Heard {
    let mut heard = Heard::default();
    client.stream.set_read_timeout(Some(quiet)).unwrap();
    let begun = Instant::now();
    let mut piece = [0; 16 * 1024];
    loop {
        match client.stream.read(&mut piece) {
            Ok(0) => heard.closed = true,
            Ok(bytes) => {
                heard.bytes.extend_from_slice(&piece[..bytes]);
                if begun.elapsed() < 2 * PATIENCE {
                    continue;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                heard.closed = !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            }
        }
        return heard;
    }
}

/// Collects what went wrong, so that one run shows every case.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn check(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        if !self.0.is_empty() && !std::thread::panicking() {
            panic!("{} faults:\n{}", self.0.len(), self.0.join("\n"));
        }
    }
}

/// A record's field as text.
fn field<'a>(record: &'a Value, name: &str) -> &'a str {
    record[name].as_str().unwrap_or_default()
}

/// The table in the documentation and the tests are the same list.
#[test]
fn every_test_stands_in_the_table_and_the_table_names_no_other() {
    let table = std::fs::read_to_string(crate::daemon::repository("docs/rfc.md")).unwrap();
    let mut tests = String::new();
    let mut stack = vec![crate::daemon::repository("tests")];
    while let Some(folder) = stack.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                stack.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                tests.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let of_tests: Vec<&str> = tests
        .split("#[test]\nfn ")
        .skip(1)
        .map(|rest| &rest[..rest.find('(').unwrap()])
        .filter(|name| name.starts_with("rfc"))
        .collect();
    assert!(of_tests.len() > 50, "{of_tests:?}");
    for name in &of_tests {
        assert!(table.contains(&format!("`{name}`")), "docs/rfc.md does not name {name}");
    }
    let rows = table.lines().filter(|line| line.starts_with('|'));
    for name in rows
        .filter_map(|row| row.split('|').nth(4))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
    {
        assert!(
            tests.contains(&format!("fn {name}(")),
            "docs/rfc.md names {name}, which is no test"
        );
    }
}
