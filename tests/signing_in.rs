//! Who is asking: passwords, networks, and what is never guessed.

use crate::client::{Client, basic};
use crate::daemon::{Daemon, GUEST, LIVE_WITHIN, PASSWORD, STAFF, alone, wait_for};
use std::time::{Duration, Instant};

#[test]
fn a_proven_name_decides_and_is_recorded_and_a_wrong_one_never_falls_back() {
    let daemon = Daemon::start();
    let games = daemon.url("arcade.test", "/size/1");
    assert_eq!(daemon.get_as("ms.obi", &games).status, 200);
    assert_eq!(daemon.get_as("kim", &games).status, 403);
    assert_eq!(daemon.get_as("KIM", &games).status, 403, "names are compared without case");

    let nobody = Client::connect(daemon.proxy).ask("GET", &games, &[]);
    assert_eq!(nobody.status, 407);
    let challenge = nobody.header("proxy-authenticate").unwrap_or_default().to_ascii_lowercase();
    assert!(challenge.starts_with("basic "), "{challenge}");

    // From the staff network, where no password would be needed at all.
    let asked_before = daemon.origin.asked().len();
    for credentials in [
        basic("ms.obi", "wrong"),
        basic("nobody", PASSWORD),
        basic("", ""),
        "Basic !!!".to_owned(),
        "Bearer abc".to_owned(),
    ] {
        let headers = [("Proxy-Authorization", credentials.as_str())];
        let answer = Client::connect_from(STAFF, daemon.proxy).ask("GET", &games, &headers);
        assert_eq!(answer.status, 407, "{credentials}: {answer:?}");
    }
    assert_eq!(daemon.origin.asked().len(), asked_before);

    let records = daemon.wait_records(9);
    assert_eq!(records.len(), 9);
    let users: Vec<Option<&str>> = records.iter().map(|record| record["user"].as_str()).collect();
    assert_eq!(users[..3], [Some("ms.obi"), Some("kim"), Some("kim")]);
    assert!(users[3..].iter().all(Option::is_none), "unproven names are not logged: {users:?}");
    for record in &records[3..] {
        assert_eq!(record["reason"], "sign_in", "{record}");
    }
    assert!(!daemon.said().contains("ms.obi"), "names stay in the ledger: {}", daemon.said());
}

#[test]
fn credentials_do_not_leave_the_proxy() {
    let daemon = Daemon::start();
    assert_eq!(daemon.get_as("ms.obi", &daemon.url("library.test", "/echo")).status, 200);
    let asked = daemon.origin.asked();
    assert_eq!(asked[0].header("proxy-authorization"), None);
    let told = format!("{:?}", asked[0]);
    assert!(!told.contains(&basic("ms.obi", PASSWORD)), "{told}");
}

#[test]
fn a_browsers_hundred_requests_cost_one_hash() {
    let daemon = Daemon::start();
    let credentials = basic("ms.obi", PASSWORD);
    let headers = [("Proxy-Authorization", credentials.as_str())];
    let url = daemon.url("library.test", "/size/1");
    let time = |count: usize| {
        let begun = Instant::now();
        for _ in 0..count {
            // A connection each, as pages with many hosts make them.
            assert_eq!(Client::connect(daemon.proxy).ask("GET", &url, &headers).status, 200);
        }
        begun.elapsed()
    };
    let first = time(1);
    let hundred = time(100);
    // Hashed each time, they would take at least a hundred times what one hash takes.
    assert!(hundred < first * 60 + Duration::from_millis(300), "{hundred:?} after {first:?}");
}

#[test]
fn networks_give_levels_without_names() {
    let daemon = Daemon::start_without_people();
    let social = daemon.url("social.test", "/size/1");
    assert_eq!(daemon.get_from(GUEST, &social).status, 200);
    assert_eq!(daemon.get_from(STAFF, &social).status, 403, "staff are not nominated");
    let records = daemon.wait_records(2);
    assert_eq!((&records[0]["level"], &records[1]["level"]), (&"guest".into(), &"staff".into()));
    assert_eq!(records[0]["user"], serde_json::Value::Null);
}

#[test]
fn a_change_to_a_person_is_live_on_the_connection_that_they_have() {
    let _alone = alone();
    let daemon = Daemon::start();
    let credentials = basic("sam", PASSWORD);
    let headers = [("Proxy-Authorization", credentials.as_str())];
    let mut client = Client::connect(daemon.proxy);
    let mut status = |host: &str| client.ask("GET", &daemon.url(host, "/size/1"), &headers).status;
    assert_eq!(status("plain.test"), 200, "ks3 sees what no list names");

    daemon.run(&["user", "set-level", "sam", "ks2", "--by", "j.cho"]).ok();
    wait_for("the level", LIVE_WITHIN, || status("plain.test") == 403);
    assert_eq!(status("library.test"), 200);

    let reason = ["--reason", "Agreed with the head of year", "--by", "q.whitmore"];
    daemon.run(&[&["user", "ban", "sam", "--until", "3 days"], &reason[..]].concat()).ok();
    wait_for("the ban", LIVE_WITHIN, || status("library.test") == 403);
    daemon.run(&[&["user", "unban", "sam"], &reason[..]].concat()).ok();
    wait_for("the end of the ban", LIVE_WITHIN, || status("library.test") == 200);

    let new = ["user", "set-password", "sam", "--by", "j.cho"];
    daemon.run_with_input(&new, "another password\n").ok();
    wait_for("the old password's end", LIVE_WITHIN, || status("library.test") == 407);
}
