//! Changes while the filter runs: live within a second, and no connection dropped that may stay.

use crate::client::{Client, basic, request};
use crate::daemon::{
    Daemon, KS2, LIVE_WITHIN, PASSWORD, Plan, STAFF, alone, get_ready, spawn, wait_for,
};
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpStream;
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
    let _alone = alone();
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
fn a_tunnel_at_full_speed_is_cut_as_soon_as_one_that_rests_and_counts_what_it_carried() {
    let _alone = alone();
    let daemon = Daemon::start_without_people();
    let id = unblock(&daemon, "chess.test", "ks2", "3 days");
    let url = daemon.url("chess.test", "/size/1");
    wait_for("the unblock", LIVE_WITHIN, || daemon.get_from(KS2, &url).status == 200);
    let authority = format!("chess.test:{}", daemon.origin.http.port());
    let rushing: Vec<_> = (0..3)
        .map(|_| {
            let mut client = Client::connect_from(KS2, daemon.proxy);
            assert_eq!(client.tunnel(&authority, &[]).status, 200);
            client.send(b"GET /rush HTTP/1.1\r\nHost: x\r\n\r\n");
            std::thread::spawn(move || {
                let mut bytes = 0u64;
                while let Ok(piece) = client.read_some() {
                    if piece.is_empty() {
                        break;
                    }
                    bytes += piece.len() as u64;
                }
                (bytes, Instant::now())
            })
        })
        .collect();
    // One whose client takes nothing: its bytes wait in the kernel.
    let mut stuck = Client::connect_from(KS2, daemon.proxy);
    assert_eq!(stuck.tunnel(&authority, &[]).status, 200);
    stuck.send(b"GET /rush HTTP/1.1\r\nHost: x\r\n\r\n");
    std::thread::sleep(Duration::from_millis(1_500));

    let revoke = ["unblock", "revoke", &id, "--by", "q.whitmore"];
    daemon.run(&[&revoke[..], &REASON].concat()).ok();
    let after = Instant::now();
    let mut carried = Vec::new();
    for rushing in rushing {
        let (bytes, ended) = rushing.join().unwrap();
        assert!(bytes > 20_000_000, "only {bytes} bytes came through");
        let took = ended.saturating_duration_since(after);
        assert!(took < LIVE_WITHIN + Duration::from_millis(500), "cut after {took:?}");
        carried.push(bytes);
    }
    carried.sort_unstable();
    let cut = |daemon: &Daemon| -> Vec<u64> {
        let records = daemon.records();
        let cut = records.iter().filter(|record| record["end"] == "cut");
        let mut bytes: Vec<u64> =
            cut.map(|record| record["bytes_down"].as_u64().unwrap()).collect();
        bytes.sort_unstable();
        bytes
    };
    wait_for("four records of cut tunnels", Duration::from_secs(5), || cut(&daemon).len() == 4);
    let recorded = cut(&daemon);
    // What a client never took was sent all the same; what is in a socket when it is closed may be lost.
    for (recorded, carried) in recorded[1..].iter().zip(&carried) {
        assert!(recorded >= carried, "{recorded} of {carried} bytes are recorded");
        assert!(*recorded - *carried < 16_000_000, "{recorded} of {carried} bytes are recorded");
    }
}

#[test]
fn an_unblock_ends_by_itself_at_its_time() {
    let _alone = alone();
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
    let _alone = alone();
    let machine = "[limits]\npassword_checks = 1\n".to_owned();
    let daemon = Daemon::start_with(&Plan { people: true, machine, ..Plan::default() });
    let url = daemon.url("library.test", "/size/2");
    let send = |name: &str, password: &str| {
        let mut client = Client::connect(daemon.proxy);
        let credentials = basic(name, password);
        let headers = [("Proxy-Authorization", credentials.as_str())];
        client.send(request("GET", &url, &headers).as_bytes());
        client
    };
    // Checked one after the other: the right one is looked at last. Each is of another name, so that none is held.
    let _waiting: Vec<Client> =
        (0..120).map(|number| send(&format!("nobody {number}"), "wrong")).collect();
    std::thread::sleep(Duration::from_millis(100));
    let mut right = send("ms.obi", PASSWORD);
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
    let _alone = alone();
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
    let lift = ["block", "lift", id, "--by", "j.cho", "--reason", "Repaired by the owner"];
    daemon.run(&lift).ok();
    assert_eq!(client.ask("GET", &url, &[]).status, 403, "asked for is not open");
    daemon.sign_off();
    wait_for("the end of the block", LIVE_WITHIN, || client.ask("GET", &url, &[]).status == 200);
}

#[test]
fn a_policy_is_live_within_a_second_whichever_way_it_comes() {
    let _alone = alone();
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
    let apply =
        ["policy", "apply", "looser.toml", "--by", "j.cho", "--reason", "Open it once again"];
    let asked = daemon.run(&apply).ok();
    assert!(asked.out.contains("schoolgate unblock authorise U-0001 --by q.whitmore"), "{asked:?}");
    std::thread::sleep(LIVE_WITHIN);
    assert_eq!(client.ask("GET", &url, &[]).status, 403);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), tighter, "the file stays too");
    let own = daemon.run(&["unblock", "authorise", "U-0001", "--by", "j.cho"]);
    assert_eq!(own.code, 4, "{own:?}");
    assert_eq!(daemon.sign_off(), "U-0001");
    wait_for("the looser policy", LIVE_WITHIN, || client.ask("GET", &url, &[]).status == 200);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), policy);
    let confirmed = daemon.run(&["unblock", "confirm", "U-0001", "--by", "j.cho"]).ok();
    assert!(confirmed.out.contains("the running filter has it in force"), "{confirmed:?}");

    // By an editor: what tightens takes effect.
    std::fs::write(&path, &tighter).unwrap();
    wait_for("the edited file", LIVE_WITHIN * 2, || client.ask("GET", &url, &[]).status == 403);
    assert!(stays.flows(), "a connection that may stay was dropped");
}

#[test]
fn a_file_saved_by_hand_that_opens_anything_waits_until_it_is_signed_off() {
    let _alone = alone();
    let mut daemon = Daemon::start_without_people();
    let path = daemon.folder().join("policy.toml");
    let policy = std::fs::read_to_string(&path).unwrap();
    let url = daemon.url("casino.test", "/size/1");
    let looser = policy.replace(
        "gambling = { pupil = \"block\", guest = \"block\", staff = \"block\" }",
        "gambling = { pupil = \"block\", guest = \"block\", staff = \"allow\" }",
    );
    assert_ne!(looser, policy);
    std::fs::write(&path, &looser).unwrap();
    let asked = || daemon.run(&["unblock", "list", "--state", "asked", "--jsonl"]).ok().lines();
    wait_for("a request", LIVE_WITHIN * 2, || asked().len() == 1);
    let request = &asked()[0];
    assert_eq!(
        (&request["kind"], &request["requested_by"]),
        (&"policy".into(), &"schoolgate".into())
    );
    assert_eq!(daemon.get_from(STAFF, &url).status, 403, "it opened by itself");

    // What waits is told everywhere.
    let status = daemon.run(&["status"]);
    assert_eq!(status.code, 7, "{status:?}");
    let told = format!("{}{}", status.out, status.err);
    assert!(told.contains("U-0001") && told.contains("gambling for staff"), "{told}");
    let ready = daemon.ops_get("/readyz").unwrap();
    assert_eq!(ready.status, 200, "the filter works by the policy in force");
    assert!(ready.text().contains("waits for sign-off as U-0001"), "{}", ready.text());
    assert!(daemon.said().contains("U-0001"), "{}", daemon.said());

    // Neither a reload nor a restart makes it take effect, nor ask again.
    daemon.signal(Signal::HUP);
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(daemon.stop(), Some(0));
    daemon.start_again();
    std::thread::sleep(LIVE_WITHIN);
    assert_eq!(daemon.get_from(STAFF, &url).status, 403, "a restart opened it");
    let asked = || daemon.run(&["unblock", "list", "--state", "asked", "--jsonl"]).ok().lines();
    assert_eq!(asked().len(), 1, "asked once for each text");

    // It takes effect by the yes of somebody who has the role, and of nobody else.
    assert_eq!(daemon.run(&["unblock", "authorise", "U-0001", "--by", "j.cho"]).code, 4);
    daemon.sign_off();
    wait_for("the policy", LIVE_WITHIN, || daemon.get_from(STAFF, &url).status == 200);
    wait_for("order again", LIVE_WITHIN * 2, || daemon.run(&["status"]).code == 0);
    let log = daemon.run(&["report", "changes", "--format", "csv"]).ok().out;
    let row = log.lines().find(|line| line.contains("gambling for staff")).unwrap();
    assert!(row.contains("schoolgate: file changed") && row.contains("q.whitmore"), "{row}");
    assert!(row.contains("automatic"), "{row}");
    assert_eq!(log.lines().filter(|line| line.contains("gambling")).count(), 1, "one row: {log}");
}

#[test]
fn a_file_that_tightens_in_one_place_and_opens_in_another_waits_whole() {
    let _alone = alone();
    let daemon = Daemon::start_without_people();
    let path = daemon.folder().join("policy.toml");
    let policy = std::fs::read_to_string(&path).unwrap();
    let mixed = policy
        .replace(
            "education = { pupil = \"allow\", guest = \"allow\"",
            "education = { pupil = \"allow\", guest = \"block\"",
        )
        .replace("dsl = [\"q.whitmore\"]", "dsl = [\"q.whitmore\", \"j.cho\"]");
    std::fs::write(&path, &mixed).unwrap();
    let request = "unblock list --state asked --jsonl";
    let words: Vec<&str> = request.split(' ').collect();
    wait_for("a request", LIVE_WITHIN * 2, || daemon.run(&words).ok().lines().len() == 1);
    // The role that the file would give is not held until it is in force.
    let by_new = daemon.run(&["unblock", "authorise", "U-0001", "--by", "j.cho"]);
    assert_eq!(by_new.code, 4, "{by_new:?}");
    let refuse = ["unblock", "refuse", "U-0001", "--by", "q.whitmore", "--reason", "Not agreed"];
    daemon.run(&refuse).ok();
    daemon.signal(Signal::HUP);
    std::thread::sleep(LIVE_WITHIN);
    assert!(daemon.run(&words).ok().lines().is_empty(), "no is no: it does not ask again");
    let status = daemon.run(&["status"]);
    assert!(format!("{}{}", status.out, status.err).contains("U-0001 is refused"), "{status:?}");
    assert_eq!(daemon.run(&["unblock", "authorise", "U-0001", "--by", "q.whitmore"]).code, 4);
}

#[test]
fn a_bad_policy_keeps_the_last_good_one_and_says_why() {
    let _alone = alone();
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

/// Signals that a process handles, as `/proc/PID/status` says (`SigCgt`: bit 0 is signal 1).
fn handled_signals(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let handled = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(handled.trim(), 16).unwrap()
}

#[test]
fn signals_are_taken_before_anything_answers() {
    let mut daemon = Daemon::start_without_people();
    assert_eq!(daemon.stop(), Some(0));
    let mut child = spawn(daemon.folder(), &[], false);
    wait_for("an open port", Duration::from_secs(20), || TcpStream::connect(daemon.ops).is_ok());
    // Who sees the port may signal at once. One that nobody takes would end the filter.
    let handled = handled_signals(child.id());
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::HUP).unwrap();
    wait_for("readiness", Duration::from_secs(20), || {
        get_ready(daemon.ops).is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", daemon.said());
    let stops = daemon.run(&["log", "actions", "--event", "serve_stopped", "--jsonl"]).ok();
    assert_eq!(stops.lines().len(), 2, "each end is in the change log: {}", stops.out);
    for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
        assert_ne!(handled & 1 << (signal.as_raw() - 1), 0, "{signal:?} ends the filter");
    }
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
