//! Changes while the filter runs: live within a second, and no connection dropped that may stay.

use crate::client::{Client, basic, request};
use crate::daemon::{Daemon, KS2, LIVE_WITHIN, PASSWORD, Plan, STAFF, wait_for};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const REASON: [&str; 2] = ["--reason", "Chess club final on Friday"];

/// An answer or a tunnel that goes on until one side ends it.
struct Open {
    client: Client,
}

impl Open {
    /// A download without an end.
    fn download(daemon: &Daemon, from: std::net::IpAddr, host: &str) -> Self {
        let mut client = Client::connect_from(from, daemon.proxy);
        client.send(request("GET", &daemon.url(host, "/drip"), &[]).as_bytes());
        assert_eq!(client.read_head().unwrap().status, 200, "{host} opens");
        Self { client }
    }

    /// A tunnel that carries such a download.
    fn tunnel(daemon: &Daemon, from: std::net::IpAddr, host: &str) -> Self {
        let mut client = Client::connect_from(from, daemon.proxy);
        let authority = format!("{host}:{}", daemon.origin.http.port());
        assert_eq!(client.tunnel(&authority, &[]).status, 200, "{host} opens");
        client.send(b"GET /drip HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.read_head().unwrap().status, 200);
        Self { client }
    }

    /// Whether bytes still come.
    fn flows(&mut self) -> bool {
        self.client.read_some().is_ok_and(|bytes| !bytes.is_empty())
    }

    /// Reads until the other side ends it; how long that took.
    fn until_cut(&mut self) -> Duration {
        let begun = Instant::now();
        while self.flows() {
            assert!(begun.elapsed() < Duration::from_secs(15), "never cut");
        }
        begun.elapsed()
    }
}

/// Asks for and authorises an unblock; its number.
fn unblock(daemon: &Daemon, site: &str, scope: &str, until: &str) -> String {
    let ask = ["unblock", "request", site, "--for", scope, "--until", until, "--by", "p.obi"];
    daemon.run(&[&ask[..], &REASON].concat()).ok();
    let listed = daemon.run(&["unblock", "list", "--jsonl"]).ok().lines();
    let asked = listed.iter().find(|unblock| unblock["state"] == "asked").unwrap();
    let id = asked["id"].as_str().unwrap().to_owned();
    daemon.run(&["unblock", "authorise", &id, "--by", "q.whitmore"]).ok();
    id
}

#[test]
fn an_unblock_opens_within_a_second_and_revoking_it_cuts_what_it_opened() {
    let daemon = Daemon::start_without_people();
    let url = daemon.url("chess.test", "/size/1");
    let mut client = Client::connect_from(KS2, daemon.proxy);
    assert_eq!(client.ask("GET", &url, &[]).status, 403);

    let id = unblock(&daemon, "chess.test", "ks2", "3 days");
    wait_for("the unblock", LIVE_WITHIN, || client.ask("GET", &url, &[]).status == 200);
    assert_eq!(daemon.get_from(KS2, &daemon.url("arcade.test", "/")).status, 403, "only chess");

    let mut download = Open::download(&daemon, KS2, "chess.test");
    let mut tunnel = Open::tunnel(&daemon, KS2, "chess.test");
    let mut stays = Open::download(&daemon, KS2, "library.test");
    assert!(download.flows() && tunnel.flows() && stays.flows());

    let revoke = ["unblock", "revoke", &id, "--by", "q.whitmore"];
    daemon.run(&[&revoke[..], &REASON].concat()).ok();
    let after = Instant::now();
    download.until_cut();
    tunnel.until_cut();
    assert!(after.elapsed() < LIVE_WITHIN + Duration::from_millis(200), "{:?}", after.elapsed());
    assert_eq!(client.ask("GET", &url, &[]).status, 403);
    assert!(stays.flows(), "a connection that may stay was dropped");

    drop(stays);
    let begun = Instant::now();
    loop {
        let records = daemon.records();
        let cut = records.iter().filter(|record| record["end"] == "cut").count();
        if cut == 2 {
            let by_unblock = |record: &&serde_json::Value| record["unblock"] == id.as_str();
            assert!(records.iter().filter(by_unblock).count() >= 3, "{records:#?}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{cut} cut records: {records:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_unblock_ends_by_itself_at_its_time() {
    let daemon = Daemon::start_without_people();
    let end = std::time::SystemTime::now() + Duration::from_secs(4);
    let seconds = end.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let until = rfc3339(seconds);
    unblock(&daemon, "chess.test", "ks2", &until);
    let url = daemon.url("chess.test", "/size/1");
    wait_for("the unblock", LIVE_WITHIN, || daemon.get_from(KS2, &url).status == 200);
    let mut download = Open::download(&daemon, KS2, "chess.test");
    download.until_cut();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let late = now.as_secs_f64() - seconds as f64;
    assert!((-0.1..1.3).contains(&late), "cut {late} s after its end");
    assert_eq!(daemon.get_from(KS2, &url).status, 403);
}

#[test]
fn what_is_closed_while_a_password_is_checked_stays_closed() {
    let machine = "[limits]\npassword_checks = 1\n".to_owned();
    let daemon = Daemon::start_with(&Plan { people: true, machine, ..Plan::default() });
    let url = daemon.url("library.test", "/size/2");
    let send = |password: &str| {
        let mut client = Client::connect(daemon.proxy);
        let credentials = basic("ms.obi", password);
        let headers = [("Proxy-Authorization", credentials.as_str())];
        client.send(request("GET", &url, &headers).as_bytes());
        client
    };
    // Checked one after the other: the right one is looked at last.
    let _waiting: Vec<Client> = (0..120).map(|number| send(&format!("wrong {number}"))).collect();
    std::thread::sleep(Duration::from_millis(100));
    let mut right = send(PASSWORD);
    std::thread::sleep(Duration::from_millis(100));
    let block = ["block", "library.test", "--for", "staff", "--by", "j.cho"];
    daemon.run(&[&block[..], &["--reason", "Defaced this morning"]].concat()).ok();
    let other = daemon.url("library.test", "/size/1");
    wait_for("the block", LIVE_WITHIN, || daemon.get_from(STAFF, &other).status == 403);
    right.stream.set_nonblocking(true).unwrap();
    let early = right.read_some();
    assert!(early.is_err(), "its password was checked before the block was live: {early:?}");
    right.stream.set_nonblocking(false).unwrap();

    assert_eq!(right.read("GET").status, 403, "decided as it was when it was asked");
    assert!(daemon.origin.asked().iter().all(|asked| !asked.line.contains("/size/2")));
    let of_hers = |record: &serde_json::Value| record["user"] == "ms.obi";
    let mut records = Vec::new();
    wait_for("the record", Duration::from_secs(10), || {
        records = daemon.records();
        records.iter().any(of_hers)
    });
    let record = records.iter().find(|record| of_hers(record)).unwrap();
    assert_eq!((&record["verdict"], &record["reason"]), (&"block".into(), &"site_blocked".into()));
}

#[test]
fn a_site_is_closed_within_a_second_and_opens_again() {
    let daemon = Daemon::start_without_people();
    let url = daemon.url("library.test", "/size/1");
    let mut client = Client::connect_from(KS2, daemon.proxy);
    let mut download = Open::download(&daemon, KS2, "library.test");
    let mut staff = Open::download(&daemon, STAFF, "library.test");
    assert!(download.flows());

    let block = ["block", "library.test", "--for", "pupil", "--by", "j.cho"];
    daemon.run(&[&block[..], &["--reason", "Defaced this morning"]].concat()).ok();
    wait_for("the block", LIVE_WITHIN, || client.ask("GET", &url, &[]).status == 403);
    let after = Instant::now();
    download.until_cut();
    assert!(after.elapsed() < LIVE_WITHIN, "cut only after {:?}", after.elapsed());
    assert!(staff.flows(), "staff are not in the block's scope");

    let blocks = daemon.run(&["block", "list", "--jsonl"]).ok().lines();
    let id = blocks[0]["id"].as_str().unwrap();
    let lift = ["block", "lift", id, "--by", "q.whitmore", "--reason", "Repaired by the owner"];
    daemon.run(&lift).ok();
    wait_for("the end of the block", LIVE_WITHIN, || client.ask("GET", &url, &[]).status == 200);
}

#[test]
fn a_policy_is_live_within_a_second_whichever_way_it_comes() {
    let daemon = Daemon::start_without_people();
    let path = daemon.folder().join("policy.toml");
    let policy = std::fs::read_to_string(&path).unwrap();
    let url = daemon.url("plain.test", "/size/1");
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    let mut stays = Open::download(&daemon, STAFF, "library.test");
    assert_eq!(client.ask("GET", &url, &[]).status, 200);

    let tighter = policy.replace(
        "guest = \"allow\", staff = \"allow\" }\n\n[[exception]]",
        "guest = \"allow\", staff = \"block\" }\n\n[[exception]]",
    );
    assert_ne!(tighter, policy);
    let new = daemon.folder().join("tighter.toml");
    std::fs::write(&new, &tighter).unwrap();
    let apply = ["policy", "apply", "tighter.toml", "--by", "j.cho"];
    daemon.run(&[&apply[..], &["--reason", "Only sorted sites for now"]].concat()).ok();
    wait_for("policy apply", LIVE_WITHIN, || client.ask("GET", &url, &[]).status == 403);

    // Looser again: not without somebody else's yes.
    std::fs::write(daemon.folder().join("looser.toml"), &policy).unwrap();
    let apply = ["policy", "apply", "looser.toml", "--by", "j.cho", "--reason", "Open it again"];
    let refused = daemon.run(&apply);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert_eq!(client.ask("GET", &url, &[]).status, 403);
    daemon.run(&[&apply[..], &["--authorised-by", "q.whitmore"]].concat()).ok();
    wait_for("the looser policy", LIVE_WITHIN, || client.ask("GET", &url, &[]).status == 200);

    // By an editor.
    std::fs::write(&path, &tighter).unwrap();
    wait_for("the edited file", LIVE_WITHIN * 2, || client.ask("GET", &url, &[]).status == 403);
    assert!(stays.flows(), "a connection that may stay was dropped");
}

#[test]
fn a_bad_policy_keeps_the_last_good_one_and_says_why() {
    let daemon = Daemon::start_without_people();
    let path = daemon.folder().join("policy.toml");
    let policy = std::fs::read_to_string(&path).unwrap();
    let url = daemon.url("arcade.test", "/size/1");
    let bad = [
        policy.replace("allow at lunch", "allow at luch"),
        policy.replace("[levels]", "[levels"),
        policy.replace("uncategorised = {", "csam = { staff = \"allow\" }\nuncategorised = {"),
        policy.replace("allow = [\"library.test\"]", "allow = [\"arcade.test\"]"),
        String::new(),
    ];
    for (number, text) in bad.iter().enumerate() {
        assert_ne!(text, &policy);
        std::fs::write(&path, text).unwrap();
        daemon.signal(Signal::HUP);
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(daemon.get_from(STAFF, &url).status, 200, "policy {number} took effect");
        assert_eq!(daemon.get_from(KS2, &url).status, 403, "policy {number} took effect");
        assert_eq!(daemon.get_from(STAFF, &daemon.url("forbidden.test", "/")).status, 403);
    }
    assert!(daemon.said().contains("luch"), "the log says what is wrong: {}", daemon.said());
    assert!(daemon.said().contains("policy.toml:"), "and where: {}", daemon.said());
    std::fs::write(
        &path,
        policy.replace("staff = \"allow\" }\nsocial", "staff = \"block\" }\nsocial"),
    )
    .unwrap();
    daemon.signal(Signal::HUP);
    wait_for("the repaired policy", LIVE_WITHIN, || daemon.get_from(STAFF, &url).status == 403);
}

#[test]
fn stopping_lets_a_download_finish_and_takes_no_new_request() {
    let mut daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    client.send(request("GET", &daemon.url("library.test", "/slow/800"), &[]).as_bytes());
    wait_for("the request", Duration::from_secs(5), || !daemon.origin.asked().is_empty());
    daemon.signal(Signal::TERM);
    assert_eq!(client.read("GET").text(), "slow", "an answer under way is finished");
    drop(client);
    assert_eq!(daemon.stop(), Some(0));
    assert!(Client::try_connect_from(STAFF, daemon.proxy).is_err());
    let records = daemon.records();
    assert_eq!((records.len(), &records[0]["end"]), (1, &"complete".into()), "{records:?}");
}

/// Seconds since 1970 as RFC 3339 in UTC.
fn rfc3339(seconds: u64) -> String {
    let printed = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    String::from_utf8(printed.stdout).unwrap().trim().to_owned()
}
