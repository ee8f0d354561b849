//! The filter run as a technician runs it, asked and changed by commands while it runs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where its setup fails")]
#![allow(dead_code, reason = "the made-up school has helpers that only other tests use")]

mod school;

use ledger::changes::ChangeLog;
use rules::change::{AccessHead, Event};
use rules::time::UnixMillis;
use school::School;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How soon a change by a command must hold in the running filter.
const LIVE_WITHIN: Duration = Duration::from_secs(1);

/// Longest wait for the filter to start or stop; the promise is far shorter, the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

struct Filter {
    child: Child,
    address: SocketAddr,
}

impl Filter {
    fn start(school: &School) -> Filter {
        let mut child = Command::new(env!("CARGO_BIN_EXE_schoolgate"))
            .args(["serve", "--config", "schoolgate.toml"])
            .current_dir(school.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("ended early: {seen:?}")).unwrap();
            if let Some(address) = line.strip_prefix("filter    http://") {
                break address.parse().unwrap();
            }
            seen.push(line);
        };
        // Messages are read on, so that the pipe never fills.
        std::thread::spawn(move || lines.for_each(drop));
        Filter { child, address }
    }

    /// Status and body of a plain request through the filter.
    fn get(&self, url: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let host = url.trim_start_matches("http://").split('/').next().unwrap();
        let head = format!(
            "GET {url} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        (
            status,
            answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()),
        )
    }

    /// Asks until the status is as wanted; how long that took.
    fn turns(&self, url: &str, wanted: u16) -> Duration {
        let began = Instant::now();
        while self.get(url).0 != wanted {
            assert!(began.elapsed() < PATIENCE, "{url} never became {wanted}");
            std::thread::sleep(Duration::from_millis(20));
        }
        began.elapsed()
    }

    fn stop(mut self) -> i32 {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < PATIENCE, "the filter does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A site that answers every request with `hello`.
fn origin() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n")
                    && stream.read(&mut byte).is_ok_and(|read| read == 1)
                {
                    head.push(byte[0]);
                }
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
                );
            });
        }
    });
    port
}

/// The school with a free port for `ops`, and its sites on this computer.
fn school_with_sites() -> School {
    let school = School::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let sites = "\n[upstream]\nhosts = { \"library.test\" = \"127.0.0.1\", \"arcade.test\" = \"127.0.0.1\" }\n\
                 allow_private = [\"library.test\", \"arcade.test\"]\n";
    let machine = school.machine().replace("ops = \"127.0.0.1:0\"", &format!("ops = \"{free}\""));
    school.write("schoolgate.toml", &(machine + sites));
    school
}

#[test]
fn commands_ask_and_change_the_running_filter() {
    let school = school_with_sites();
    let port = origin();
    let (library, arcade) =
        (format!("http://library.test:{port}/"), format!("http://arcade.test:{port}/play"));
    let filter = Filter::start(&school);

    let status = school.run("status", &[]);
    assert_eq!(status.code, 0, "{status:?}");
    assert!(status.out.starts_with("filter    ready\n"), "{status:?}");
    assert!(status.out.contains(" ms behind"), "the daemon's own measure is found: {status:?}");
    // The disk is this machine's, not the school's.
    let doctor = school.run("doctor --json", &[]);
    let checks: serde_json::Value = serde_json::from_str(&doctor.out).unwrap();
    let problems = checks.as_array().unwrap().iter().filter(|check| check["outcome"] == "problem");
    let problems: Vec<_> = problems.filter(|check| check["check"] != "disk").collect();
    assert!(problems.is_empty(), "{doctor:?}");
    assert!(
        checks.as_array().unwrap().iter().any(|check| check["check"] == "filter"),
        "{doctor:?}"
    );

    // Nobody is signed in: the strictest level.
    assert_eq!(filter.get(&library), (200, "hello".to_owned()));
    let (refused, page) = filter.get(&arcade);
    assert_eq!(refused, 403);
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    let explained = school.run("explain", &[page["code"].as_str().unwrap()]);
    assert_eq!(explained.code, 0, "{explained:?}");
    assert!(explained.out.contains("BLOCKED  arcade.test/play"), "{explained:?}");
    assert!(explained.out.contains("level      ks2"), "{explained:?}");

    // A block, an unblock and a policy by commands are live within a second.
    assert_eq!(
        school
            .run("block library.test --for ks2 --by j.cho --reason", &["Tried out in a lesson"])
            .code,
        0
    );
    assert!(filter.turns(&library, 403) < LIVE_WITHIN);
    assert_eq!(
        school.run("block lift B-0001 --by j.cho --reason", &["Tried out well enough"]).code,
        0
    );
    assert_eq!(school.run("unblock authorise U-0001 --by q.whitmore", &[]).code, 0);
    assert!(filter.turns(&library, 200) < LIVE_WITHIN);
    let request = "unblock request arcade.test --for ks2 --until 2h --by m.obi --reason";
    assert_eq!(school.run(request, &["Year 6 design an arcade game"]).code, 0);
    assert_eq!(filter.get(&arcade).0, 403, "asked for is not open");
    assert_eq!(school.run("unblock authorise U-0002 --by q.whitmore", &[]).code, 0);
    assert!(filter.turns(&arcade, 200) < LIVE_WITHIN);
    assert_eq!(
        school.run("unblock revoke U-0002 --by q.whitmore --reason", &["Lesson over"]).code,
        0
    );
    assert!(filter.turns(&arcade, 403) < LIVE_WITHIN);
    school.write(
        "next.toml",
        &school
            .policy()
            .replace("education = { pupil = \"allow\"", "education = { pupil = \"block\""),
    );
    assert_eq!(school.run("policy apply next.toml --by j.cho --reason", &["Exam week"]).code, 0);
    assert!(filter.turns(&library, 403) < LIVE_WITHIN);

    // Every access that this test made is in the log, once, while the filter runs.
    let log = school.run("log query --since 1h --jsonl --site arcade.test", &[]);
    let rows: Vec<serde_json::Value> =
        log.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.iter().any(|row| row["unblock"] == "U-0002" && row["status"] == 200), "{log:?}");
    let codes: std::collections::BTreeSet<&str> =
        rows.iter().map(|row| row["code"].as_str().unwrap()).collect();
    assert_eq!(codes.len(), rows.len(), "a record twice: {log:?}");

    // One filter a state folder, whatever it listens on.
    let ops = school.machine().lines().find(|line| line.starts_with("ops")).unwrap().to_owned();
    school.write("second.toml", &school.machine().replace(&ops, "ops = \"127.0.0.1:0\""));
    let second = school.run("serve --config second.toml", &[]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.err.contains("is in use by another"), "{second:?}");

    assert_eq!(filter.stop(), 0);
    assert_eq!(school.run("status", &[]).code, 6);
    let week = school.run("report weekly --for dsl --since", &["this week"]);
    assert!(week.out.contains("requests"), "{week:?}");
}

#[test]
fn a_killed_filter_loses_no_decision() {
    let school = school_with_sites();
    let port = origin();
    let mut filter = Filter::start(&school);
    let codes: Vec<String> = (0..20)
        .map(|_| {
            let page = filter.get(&format!("http://arcade.test:{port}/play")).1;
            let page: serde_json::Value = serde_json::from_str(&page).unwrap();
            page["code"].as_str().unwrap().to_owned()
        })
        .collect();
    filter.child.kill().unwrap();
    filter.child.wait().unwrap();
    let log = school.run("log query --since 1h --jsonl", &[]);
    for code in &codes {
        assert_eq!(log.out.matches(code.as_str()).count(), 1, "{code}: {log:?}");
    }
    let week = school.run("report weekly --for dsl --format json --since", &["this week"]);
    let week: serde_json::Value = serde_json::from_str(&week.out).unwrap();
    assert_eq!(week["running"]["crashes"], 1, "an end without a word is told: {week}");
}

/// A filter that started three weeks ago and last stated what it is on Friday of last week at half past nine; last week and
/// the week before as `--since` takes them.
fn gone_since_friday(school: &School) -> [String; 2] {
    let zone = jiff::tz::TimeZone::get("Europe/London").unwrap();
    let today = jiff::Timestamp::now().to_zoned(zone.clone()).date();
    let day = |weeks_ago: i64, day: i64| {
        let monday = i64::from(today.weekday().to_monday_zero_offset());
        today.saturating_add(jiff::Span::new().days(day - monday - 7 * weeks_ago))
    };
    let at = |day: jiff::civil::Date| {
        let time = day.at(9, 30, 0, 0).to_zoned(zone.clone()).unwrap();
        UnixMillis(time.timestamp().as_millisecond())
    };
    let state = school.path("state");
    std::fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    let text = String::new;
    let started =
        Event::ServeStarted { version: text(), policy_hash: text(), list_version: text() };
    let access = AccessHead::default();
    let stated = Event::Attested { state: None, seen: Vec::new(), access };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = ChangeLog::open(&state).await.unwrap();
        log.append(at(day(3, 0)), "schoolgate", started).await.unwrap();
        log.append(at(day(1, 4)), "schoolgate", stated).await.unwrap();
    });
    [1, 2].map(|weeks| format!("{}/{}", day(weeks, 0), day(weeks, 6)))
}

#[test]
fn a_crash_that_outlasts_the_week_is_told_whether_the_filter_has_started_again_or_not() {
    let school = school_with_sites();
    let [last_week, before] = gone_since_friday(&school);
    let headline = |range: &str| {
        let ran = school.run("report weekly --format json --since", &[range]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let week: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let crashes = week["running"]["crashes"].as_u64().unwrap();
        (crashes, week["headline"].as_str().unwrap().to_owned())
    };
    let is_told = |line: &str| {
        line.starts_with("Filtering stood still once: from some time after Fri ")
            && line.contains(" 09:30 ")
    };
    // Each report is a look, which shows nothing of the filter.
    for _ in 0..2 {
        let (crashes, line) = headline(&last_week);
        assert_eq!(crashes, 1, "{line}");
        assert!(is_told(&line) && line.contains(" until now; browsing stops"), "{line}");
    }
    // A start takes in lists and policy before it says that it has started: that was no running filter either.
    let filter = Filter::start(&school);
    let (crashes, line) = headline(&last_week);
    assert_eq!(crashes, 1, "{line}");
    assert!(is_told(&line) && !line.contains("until now"), "{line}");
    drop(filter);
    assert_eq!(headline(&last_week), (1, line), "killed since, which is of this week");
    let (crashes, line) = headline(&before);
    assert_eq!(crashes, 0, "{line}");
    assert!(line.starts_with("Filtering worked all week."), "{line}");
}
