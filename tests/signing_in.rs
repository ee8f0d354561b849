//! Who is asking: passwords, networks, and what is never guessed.

use crate::client::{Client, basic};
use crate::daemon::{Daemon, GUEST, KS3, LIVE_WITHIN, PASSWORD, STAFF, alone, wait_for};
use std::net::IpAddr;
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

/// Signs in from an address; the status, and what the page says.
fn sign_in(daemon: &Daemon, from: impl Into<IpAddr>, name: &str, password: &str) -> (u16, String) {
    let (url, credentials) = (daemon.url("library.test", "/size/1"), basic(name, password));
    let headers = [("Proxy-Authorization", credentials.as_str())];
    let answer = Client::connect_from(from.into(), daemon.proxy).ask("GET", &url, &headers);
    (answer.status, answer.text())
}

/// A figure of `/metrics`, once it is there.
fn metric(daemon: &Daemon, name: &str) -> Option<u64> {
    let text = daemon.ops_get("/metrics")?.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

const HELD: &str = "Too many wrong passwords were tried";

#[test]
fn whoever_guesses_a_password_is_held_back_and_nobody_elsewhere_is() {
    let _alone = alone();
    let daemon = Daemon::start();
    assert_eq!(sign_in(&daemon, STAFF, "ms.obi", PASSWORD).0, 200);
    let pupil = [127_u8, 0, 0, 50];
    for guess in 0..10 {
        let (status, page) = sign_in(&daemon, pupil, "Ms.Obi", &format!("guess {guess}"));
        assert!(status == 407 && !page.contains(HELD), "{guess}: {page}");
    }
    for password in ["guess 10", "guess 0", PASSWORD] {
        let (status, page) = sign_in(&daemon, pupil, "ms.obi", password);
        assert!(status == 407 && page.contains(HELD), "{password}: {page}");
    }
    assert_eq!(sign_in(&daemon, STAFF, "ms.obi", PASSWORD).0, 200, "where she is signed in");
    assert_eq!(sign_in(&daemon, KS3, "ms.obi", PASSWORD).0, 200, "and where she was not yet");
    assert_eq!(sign_in(&daemon, pupil, "sam", PASSWORD).0, 200, "another name at that device");

    wait_for("the figures", Duration::from_secs(5), || {
        let results = ["wrong", "held"];
        let results = results.map(|result| format!("proxy_sign_ins_total{{result=\"{result}\"}}"));
        results.map(|name| metric(&daemon, &name)) == [Some(10), Some(3)]
    });
    assert_eq!(metric(&daemon, "proxy_sign_in_holds"), Some(1));
    let words = ["log", "actions", "--jsonl", "--event", "sign_ins_held", "--by", "j.cho"];
    let mut told = Vec::new();
    wait_for("the entry", Duration::from_secs(10), || {
        told = daemon.run(&words).lines();
        !told.is_empty()
    });
    let entry = told[0].to_string();
    assert_eq!(told.len(), 1, "{told:?}");
    for part in ["name_at_client", "ms.obi", "127.0.0.50", "\"schoolgate\""] {
        assert!(entry.contains(part), "{part}: {entry}");
    }
    wait_for("the alarm", Duration::from_secs(5), || daemon.said().contains("is held back"));
    assert!(!daemon.said().contains("ms.obi"), "names stay in the ledger: {}", daemon.said());
    let records = daemon.wait_records(17);
    let of_pupil = records.iter().filter(|record| record["client"] == "127.0.0.50");
    let users: Vec<_> = of_pupil.map(|record| record["user"].clone()).collect();
    assert_eq!(users.iter().filter(|user| user.is_null()).count(), 13, "{users:?}");
}

#[test]
fn guesses_from_many_devices_bar_a_name_where_it_is_new_and_not_where_it_is_known() {
    let _alone = alone();
    let daemon = Daemon::start();
    assert_eq!(sign_in(&daemon, STAFF, "ms.obi", PASSWORD).0, 200);
    let guess = |guess: u8| {
        sign_in(&daemon, [127_u8, 0, 1, guess / 9], "ms.obi", &format!("guess {guess}")).1
    };
    let held = (0..108).filter(|turn| guess(*turn).contains(HELD)).count();
    assert_eq!(held, 8, "a hundred are let through");
    let (status, page) = sign_in(&daemon, KS3, "ms.obi", PASSWORD);
    assert!(status == 407 && page.contains(HELD), "{page}");
    assert_eq!(sign_in(&daemon, STAFF, "ms.obi", PASSWORD).0, 200);
    assert_eq!(sign_in(&daemon, KS3, "sam", PASSWORD).0, 200);
}
