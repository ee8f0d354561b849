//! The machine file while the filter runs: its lists are live, a bad one changes nothing, and what needs
//! a restart is told.

use crate::client::{Client, request};
use crate::daemon::{Daemon, KS2, Plan, STAFF, alone, wait_for};
use rustix::process::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a list of a file on this machine may take.
const LIST_LIVE_WITHIN: Duration = Duration::from_secs(2);

/// A list that the usual school has not, of a category that its policy blocks for pupils.
const ARENA: &str = "[[lists]]\nname = \"arena\"\ncategory = \"games\"\npath = \"arena.txt\"\nhold_if_seen = false\n";

fn machine(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.folder().join("schoolgate.toml")).unwrap()
}

fn write(daemon: &Daemon, name: &str, text: &str) {
    std::fs::write(daemon.folder().join(name), text).unwrap();
}

/// The text without the list of this name.
fn without(machine: &str, list: &str) -> String {
    let name = format!("name = \"{list}\"\n");
    let parts: Vec<&str> = machine.split("[[lists]]\n").collect();
    let kept: Vec<&str> = parts.iter().filter(|part| !part.starts_with(&name)).copied().collect();
    assert_eq!(kept.len() + 1, parts.len(), "{list} is one of the lists");
    kept.join("[[lists]]\n")
}

fn status(daemon: &Daemon) -> (i32, Value, String) {
    let printed = daemon.run(&["status", "--json"]);
    (printed.code, printed.json(), daemon.run(&["status"]).err)
}

#[test]
fn a_new_list_blocks_within_two_seconds_and_drops_nothing() {
    let _alone = alone();
    let daemon = Daemon::start_without_people();
    let url = daemon.url("plain.test", "/size/1");
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    assert_eq!(client.ask("GET", &daemon.url("other.test", "/size/1"), &[]).status, 200);
    let mut stays = Client::connect_from(STAFF, daemon.proxy);
    stays.send(request("GET", &daemon.url("library.test", "/drip"), &[]).as_bytes());
    assert_eq!(stays.read_head().unwrap().status, 200);
    let blocked = || daemon.get_from(STAFF, &url).status == 403;
    assert!(!blocked());

    let before = machine(&daemon);
    write(&daemon, "arena.txt", "plain.test\n");
    let entry = ARENA.replace("\"games\"", "\"gambling\"");
    write(&daemon, "schoolgate.toml", &format!("{before}{entry}"));
    let took = wait_for("the new list", LIST_LIVE_WITHIN, blocked);
    assert!(stays.read_some().is_ok_and(|bytes| !bytes.is_empty()), "the download was dropped");
    assert_eq!(client.ask("GET", &daemon.url("other.test", "/size/1"), &[]).status, 200);
    let (code, said, warnings) = status(&daemon);
    assert_eq!(code, 0, "{warnings}");
    assert_eq!(said["behind"], serde_json::json!([]), "{warnings}");
    let lists = said["serving"]["lists"].as_array().unwrap();
    assert!(lists.iter().any(|list| list["name"] == "arena"), "in force after {took:?}: {said}");

    // Taken out: what it blocked opens, and the log says by what.
    write(&daemon, "schoolgate.toml", &before);
    wait_for("its end", LIST_LIVE_WITHIN, || !blocked());
    let actions = daemon.run(&["log", "actions", "--event", "list_moved", "--jsonl"]);
    assert_eq!(actions.code, 0, "{actions:?}");
    let moved = &actions.lines()[0];
    assert_eq!(moved["by"], "schoolgate.toml", "{moved}");
    assert!(daemon.said().contains("list arena"), "{}", daemon.said());
    assert!(stays.read_some().is_ok_and(|bytes| !bytes.is_empty()), "the download was dropped");
}

#[test]
fn a_locked_list_stays_in_force_whatever_the_file_says() {
    let _alone = alone();
    let mut daemon = Daemon::start_without_people();
    let url = daemon.url("forbidden.test", "/");
    let before = machine(&daemon);
    assert_eq!(daemon.get_from(STAFF, &url).status, 403);
    let moved = before.replace(
        "name = \"test-csam\"\ncategory = \"csam\"",
        "name = \"test-csam\"\ncategory = \"games\"",
    );
    assert_ne!(moved, before);
    for text in [without(&before, "test-csam"), moved] {
        write(&daemon, "schoolgate.toml", &text);
        daemon.signal(Signal::HUP);
        std::thread::sleep(LIST_LIVE_WITHIN);
        assert_eq!(daemon.get_from(STAFF, &url).status, 403, "{text}");
        let (_, said, warnings) = status(&daemon);
        assert_eq!(said["lists_taken_out"][0], "test-csam", "{said}");
        assert!(warnings.contains("it stays in force"), "{warnings}");
        assert_eq!(daemon.stop(), Some(0));
        daemon.start_again();
        assert_eq!(daemon.get_from(STAFF, &url).status, 403, "after a restart: {text}");
    }
}

#[test]
fn a_bad_machine_file_keeps_the_last_good_one_and_says_where() {
    let _alone = alone();
    let daemon = Daemon::start_without_people();
    let before = machine(&daemon);
    let games = daemon.url("arcade.test", "/size/1");
    let library = daemon.url("library.test", "/size/1");
    let line = before.lines().count() + 3;
    let bad = format!("{before}[[lists]]\nname = \"x\"\ncategry = \"games\"\npath = \"x.txt\"\n");
    write(&daemon, "schoolgate.toml", &bad);
    let place = format!("schoolgate.toml:{line}: no key is called `categry`");
    wait_for("the fault in the log", LIST_LIVE_WITHIN, || daemon.said().contains(&place));
    assert_eq!(daemon.get_from(KS2, &games).status, 403);
    for command in ["status", "doctor"] {
        let printed = daemon.run(&[command]);
        assert_ne!(printed.code, 0, "{command}: {printed:?}");
        let all = format!("{}{}", printed.out, printed.err);
        let keeps = all.contains("a running filter keeps");
        assert!(all.contains(&place) && keeps, "{command}: {printed:?}");
    }
    // A file without faults whose lists cannot be had: the commands ask the filter.
    write(&daemon, "schoolgate.toml", &without(&before, "test-education"));
    let why = "policy tests fail with its lists";
    wait_for("the failing tests", LIST_LIVE_WITHIN, || daemon.said().contains(why));
    assert_eq!(daemon.get_from(KS2, &library).status, 200, "what was in force stays so");
    let ready = daemon.ops_get("/readyz").unwrap();
    assert!(ready.status == 200 && ready.text().contains(why), "{}", ready.text());

    write(&daemon, "schoolgate.toml", &before);
    let good = || status(&daemon).1["behind"] == serde_json::json!([]);
    wait_for("a good file", Duration::from_secs(10), good);
    assert_eq!(daemon.run(&["status"]).code, 0);
}

#[test]
fn a_changed_port_is_told_as_one_that_needs_a_restart() {
    let _alone = alone();
    let plan = Plan { machine: "[limits]\nmax_tunnels = 900\n".to_owned(), ..Plan::default() };
    let daemon = Daemon::start_with(&plan);
    let before = machine(&daemon);
    let port = crate::daemon::free_port().to_string();
    let text = before
        .replace(
            &format!("proxy = [\"127.0.0.1:{}\"]", daemon.proxy.port()),
            &format!("proxy = [\"127.0.0.1:{port}\"]"),
        )
        .replace("max_tunnels = 900", "max_tunnels = 901");
    assert_ne!(text, before);
    write(&daemon, "schoolgate.toml", &text);
    let keys = "limits.max_tunnels, listen.proxy";
    wait_for("a warning", LIST_LIVE_WITHIN, || daemon.said().contains(keys));
    std::thread::sleep(Duration::from_millis(500));
    daemon.signal(Signal::HUP);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(daemon.said().matches(keys).count(), 1, "told once: {}", daemon.said());
    let (code, said, warnings) = status(&daemon);
    assert_eq!(code, 0, "it serves as before: {warnings}");
    assert_eq!(said["restart"], serde_json::json!(["limits.max_tunnels", "listen.proxy"]));
    assert!(warnings.contains(keys) && warnings.contains("restart the filter"), "{warnings}");
    let doctor = daemon.run(&["doctor"]);
    assert!(doctor.out.contains(keys), "{doctor:?}");
    let url = daemon.url("library.test", "/size/1");
    assert_eq!(daemon.get_from(KS2, &url).status, 200, "the old port is the one in force");
}

#[test]
fn status_says_plainly_when_the_filter_holds_an_older_policy_or_is_behind() {
    let daemon = Daemon::start_without_people();
    let (code, said, warnings) = status(&daemon);
    assert_eq!((code, &said["behind"]), (0, &serde_json::json!([])), "{warnings}");
    assert_eq!(said["serving"]["policy_hash"], said["policy_hash"]);

    let path = daemon.folder().join("policy.toml");
    let policy = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, policy.replace("allow at lunch", "allow at luch")).unwrap();
    let (code, said, warnings) = status(&daemon);
    assert_eq!(code, 7, "{warnings}");
    assert!(warnings.contains("an OLDER policy") && warnings.contains("luch"), "{warnings}");
    assert_eq!(said["behind"].as_array().unwrap().len(), 1, "{said}");
    std::fs::write(&path, &policy).unwrap();
    assert_eq!(status(&daemon).0, 0);

    // Whoever acts has logged in before, which the log has too.
    daemon.run(&["block", "list", "--by", "j.cho"]).ok();
    crate::daemon::wait_for("the filter to follow", Duration::from_secs(5), || {
        status(&daemon).1["behind"] == serde_json::json!([])
    });
    // One that cannot follow at all: it stands still.
    daemon.signal(Signal::STOP);
    let block = ["block", "library.test", "--for", "pupil", "--by", "j.cho"];
    daemon.run(&[&block[..], &["--reason", "Defaced this morning"]].concat()).ok();
    let begun = Instant::now();
    let stopped = daemon.run(&["status"]);
    daemon.signal(Signal::CONT);
    assert!(stopped.err.contains("BEHIND: 1 change"), "{:?}: {stopped:?}", begun.elapsed());
    assert_eq!(status(&daemon).1["behind"], serde_json::json!([]));
}
