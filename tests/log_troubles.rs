//! What can befall the log of a running filter, and what everybody sees of it: browsing stops with a
//! page that says so, alarms are raised, and it goes on by itself when the trouble is over.

use crate::client::Client;
use crate::crash::can_trace;
use crate::daemon::{Daemon, KS2, Plan, STAFF, spawn, wait_for};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A small file system of its own; mounting one needs root.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        let mounted = mounted.is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("skipped: no small disk can be mounted here (that needs root)");
        }
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn metric(daemon: &Daemon, name: &str) -> f64 {
    let answer = daemon.ops_get("/metrics").unwrap();
    let text = String::from_utf8(answer.body.clone()).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name}"))
}

fn readiness(daemon: &Daemon) -> (u16, serde_json::Value) {
    let answer = daemon.ops_get("/readyz").unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// While the log cannot be written: everybody gets 503 with a page that says so, and nothing goes
/// upstream.
fn browsing_is_stopped(daemon: &Daemon) {
    let url = daemon.url("library.test", "/size/1");
    let before = daemon.origin.asked().len();
    let page =
        Client::connect_from(STAFF, daemon.proxy).ask("GET", &url, &[("Accept", "text/html")]);
    assert_eq!(page.status, 503, "{page:?}");
    let text = String::from_utf8_lossy(&page.body).into_owned();
    assert!(text.contains("cannot keep its record"), "{text}");
    let json = daemon.get_from(KS2, &daemon.url("casino.test", "/"));
    assert_eq!(json.status, 503, "a refusal needs a record too: {json:?}");
    assert!(String::from_utf8_lossy(&json.body).contains("log_unavailable"), "{json:?}");
    assert_eq!(daemon.origin.asked().len(), before, "nothing went upstream");
}

/// The alarm: not ready, counted, and told once and not for each request.
fn alarms_are_raised(daemon: &Daemon) {
    wait_for("/readyz to say so", Duration::from_secs(5), || readiness(daemon).0 == 503);
    assert!(metric(daemon, "ledger_refused_decisions") >= 2.0);
    wait_for("the message", Duration::from_secs(5), || {
        daemon.said().contains("the log cannot be written")
    });
    // One worker may find room for a record while the other finds none.
    let times = daemon.said().matches("the log cannot be written").count();
    assert!((1..=3).contains(&times), "{times} times: {}", daemon.said());
}

/// By itself: browsing, readiness, and an entry that says for how long.
fn goes_on_by_itself(daemon: &Daemon) {
    let url = daemon.url("library.test", "/size/1");
    wait_for("browsing to come back", Duration::from_secs(15), || {
        daemon.get_from(STAFF, &url).status == 200
    });
    wait_for("/readyz to say so", Duration::from_secs(10), || readiness(daemon).0 == 200);
    wait_for("the entry", Duration::from_secs(10), || {
        let query = ["log", "actions", "--event", "log_unavailable", "--jsonl"];
        let entries = daemon.run(&query).ok().lines();
        entries.iter().any(|entry| entry["detail"].as_str().unwrap().contains("refused: "))
    });
    let served = daemon.origin.asked().len();
    let allowed = |record: &&serde_json::Value| record["verdict"] == "allow";
    wait_for("the records", Duration::from_secs(15), || {
        daemon.records().iter().filter(allowed).count() == served
    });
}

#[test]
fn a_full_disk_is_warned_of_stops_browsing_and_room_brings_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(&folder.path().join("state"), "12m") else { return };
    let plan = Plan { folder: Some(folder.path().to_owned()), ..Plan::default() };
    let daemon = Daemon::start_with(&plan);
    assert_eq!(daemon.get_from(STAFF, &daemon.url("library.test", "/size/1")).status, 200);
    daemon.wait_records(1);
    let used = |daemon: &Daemon| readiness(daemon).1["disk"]["used_percent"].as_u64().unwrap();
    assert!(used(&daemon) < 80, "{}", readiness(&daemon).1);
    assert!(!daemon.run(&["status"]).err.contains("the disk of the log"));

    // 85 %: everything works, and says that it will not for ever.
    let ballast = folder.path().join("state/ballast");
    let fill = |percent: u64| {
        let missing = (12 << 20) * (percent - used(&daemon).min(percent)) / 100;
        let there = std::fs::metadata(&ballast).map_or(0, |data| data.len());
        std::fs::write(&ballast, vec![1; (there + missing) as usize]).unwrap();
    };
    fill(85);
    wait_for("the warning", Duration::from_secs(8), || {
        readiness(&daemon).1["disk"]["fullness"] == "filling"
    });
    assert_eq!(readiness(&daemon).0, 200, "filling is ready still");
    wait_for("its message", Duration::from_secs(8), || {
        daemon.said().contains("the disk of the log is filling")
    });
    assert!(daemon.run(&["status"]).err.contains("the disk of the log is filling"));
    assert!(daemon.run(&["doctor"]).out.contains("filling"));
    fill(94);
    wait_for("the urgent warning", Duration::from_secs(8), || {
        readiness(&daemon).1["disk"]["fullness"] == "nearly full"
    });
    assert!(daemon.said().contains("nearly full"), "{}", daemon.said());
    assert!(daemon.run(&["status"]).err.contains("nearly full"));
    let share =
        metric(&daemon, "ledger_disk_free_bytes") / metric(&daemon, "ledger_disk_size_bytes");
    assert!(share <= 0.1, "{share}");

    // Full to the last page; a journal's last page may still have room for a few.
    std::fs::write(&ballast, vec![1; 12 << 20]).unwrap_err();
    let url = daemon.url("library.test", "/size/1");
    wait_for("browsing to stop", Duration::from_secs(20), || {
        daemon.get_from(STAFF, &url).status == 503 && daemon.get_from(KS2, &url).status == 503
    });
    wait_for("both workers to be full", Duration::from_secs(20), || {
        (0..20).all(|_| daemon.get_from(STAFF, &url).status == 503)
    });
    browsing_is_stopped(&daemon);
    alarms_are_raised(&daemon);
    std::fs::remove_file(&ballast).unwrap();
    goes_on_by_itself(&daemon);
}

#[test]
fn a_disk_that_turns_read_only_stops_browsing_until_it_can_be_written() {
    if !can_trace() {
        eprintln!("skipped: strace is missing or may not trace here");
        return;
    }
    let daemon = Daemon::start_without_people();
    let url = daemon.url("library.test", "/size/1");
    assert_eq!(daemon.get_from(STAFF, &url).status, 200);
    daemon.wait_records(1);
    // As Linux answers once a file system has been made read-only after an error.
    let calls = "pwrite64,ftruncate,fsync,fdatasync,rename,unlink,mkdir";
    let mut read_only = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"])
        .args([&format!("inject={calls}:error=EROFS"), "-p"])
        .arg(daemon.pid().as_raw_nonzero().to_string())
        .spawn()
        .unwrap();
    wait_for("browsing to stop", Duration::from_secs(10), || {
        (0..8).all(|_| daemon.get_from(STAFF, &url).status == 503)
    });
    browsing_is_stopped(&daemon);
    alarms_are_raised(&daemon);
    // The last failure of several: SQLite has a word of its own for the same.
    wait_for("the cause to be told", Duration::from_secs(10), || {
        let error = readiness(&daemon).1["log"]["last_error"].clone();
        error.as_str().is_some_and(|error| error.contains("ead-only"))
    });
    let strace = rustix::process::Pid::from_raw(i32::try_from(read_only.id()).unwrap()).unwrap();
    rustix::process::kill_process(strace, rustix::process::Signal::INT).unwrap();
    read_only.wait().unwrap();
    goes_on_by_itself(&daemon);
}

#[test]
fn a_second_filter_on_the_same_state_does_not_start_and_harms_nothing() {
    let daemon = Daemon::start_without_people();
    let folder = daemon.folder();
    let machine = std::fs::read_to_string(folder.join("schoolgate.toml")).unwrap();
    let other = |port: u16| format!("127.0.0.1:{port}");
    let machine = machine
        .replace(&daemon.proxy.to_string(), &other(crate::daemon::free_port()))
        .replace(&daemon.ops.to_string(), &other(crate::daemon::free_port()));
    std::fs::write(folder.join("second.toml"), machine).unwrap();
    let program = crate::daemon::binary();
    let output = Command::new(program)
        .args(["serve", "--config", "second.toml"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("in use by another"), "{told}");
    assert_eq!(daemon.get_from(STAFF, &daemon.url("library.test", "/size/1")).status, 200);
    assert_eq!(daemon.wait_records(1).len(), 1);
}

fn last_journal(folder: &Path) -> PathBuf {
    let files = std::fs::read_dir(folder.join("state/journal")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sgj"));
    files.sort_by_key(|path| std::fs::metadata(path).unwrap().len());
    files.pop().unwrap()
}

fn recovered(daemon: &Daemon) -> Vec<String> {
    let entries =
        daemon.run(&["log", "actions", "--event", "log_recovered", "--jsonl"]).ok().lines();
    entries.iter().map(|entry| entry["detail"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_torn_tail_is_cut_off_and_told_at_the_next_start() {
    let mut daemon = Daemon::start_without_people();
    let url = daemon.url("library.test", "/size/1");
    for _ in 0..20 {
        assert_eq!(daemon.get_from(STAFF, &url).status, 200);
    }
    daemon.kill();
    let journal = last_journal(daemon.folder());
    let bytes = std::fs::read(&journal).unwrap();
    // The start of one more frame: a write that the kill cut off.
    let torn = [bytes.clone(), vec![200, 0, 0, 0, 1, 2, 3, 4, 5]].concat();
    std::fs::write(&journal, torn).unwrap();
    daemon.start_again();
    assert_eq!(daemon.wait_records(20).len(), 20);
    let told = recovered(&daemon);
    assert!(told.iter().any(|entry| entry.contains("torn_bytes: 9")), "{told:?}");
    assert_eq!(daemon.get_from(STAFF, &url).status, 200);
    assert_eq!(daemon.wait_records(21).len(), 21);
}

#[test]
fn a_damaged_day_is_set_aside_told_and_goes_on() {
    let mut daemon = Daemon::start_without_people();
    let url = daemon.url("library.test", "/size/1");
    assert_eq!(daemon.get_from(STAFF, &url).status, 200);
    daemon.wait_records(1);
    assert_eq!(daemon.stop(), Some(0));
    let access = daemon.folder().join("state/access");
    let days = std::fs::read_dir(&access).unwrap().map(|entry| entry.unwrap().path());
    let day = days.into_iter().find(|path| path.extension().is_some_and(|it| it == "db")).unwrap();
    let length = std::fs::metadata(&day).unwrap().len() as usize;
    std::fs::write(&day, vec![0x5a; length]).unwrap();
    daemon.start_again();
    assert_eq!(daemon.get_from(STAFF, &url).status, 200);
    wait_for("the entry", Duration::from_secs(15), || {
        recovered(&daemon).iter().any(|entry| entry.contains("damaged-1.db"))
    });
    assert_eq!(daemon.get_from(STAFF, &url).status, 200);
    assert_eq!(daemon.wait_records(2).len(), 2, "the day goes on in a new file");
    assert!(day.with_extension("damaged-1.db").exists(), "what is left of it is kept");
}

#[test]
fn a_damaged_change_log_keeps_the_filter_from_starting_and_says_what_to_do() {
    let mut daemon = Daemon::start_without_people();
    assert_eq!(daemon.stop(), Some(0));
    // What has not moved into the file yet stands in its write-ahead log, and would mend it.
    let files =
        ["changes.db", "changes.db-wal"].map(|name| daemon.folder().join("state").join(name));
    let sound = files.each_ref().map(|file| std::fs::read(file).ok());
    for (file, sound) in files.iter().zip(&sound) {
        let Some(mut bytes) = sound.clone() else { continue };
        let (start, middle) = (bytes.len().min(100), bytes.len() / 2);
        bytes[..start].fill(0x5a);
        bytes[middle..].fill(0x5a);
        std::fs::write(file, bytes).unwrap();
    }
    let mut child = spawn(daemon.folder(), &[], false);
    let mut ended = None;
    wait_for("its end", Duration::from_secs(20), || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert!(!ended.unwrap().success(), "closed, not open without its blocks and bans");
    let said = daemon.said();
    assert!(said.contains("damaged") && said.contains("backup"), "{said}");
    for (file, sound) in files.iter().zip(sound) {
        if let Some(sound) = sound {
            std::fs::write(file, sound).unwrap();
        }
    }
    daemon.start_again();
    assert_eq!(daemon.get_from(STAFF, &daemon.url("library.test", "/size/1")).status, 200);
}
