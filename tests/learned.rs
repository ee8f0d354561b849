//! Devices that refuse the school's certificate, from the refusal to the line that settles it.

use crate::daemon::{Daemon, GUEST, KS2, KS3, STAFF, wait_for};
use crate::inspected::{Secure, authority, school};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// curl for a page of a site, with these certificates trusted; its exit code and the status.
fn curl(daemon: &Daemon, from: IpAddr, host: &str, trusted: &Path, more: &[&str]) -> (i32, String) {
    let output = Command::new("curl")
        .args(["-sS", "--max-time", "20", "--interface", &from.to_string(), "--cacert"])
        .arg(trusted)
        .args(["-x", &format!("http://{}", daemon.proxy), "-o", "/dev/null", "-w", "%{http_code}"])
        .args(more)
        .arg(format!("https://{}/size/5", daemon.authority(host)))
        .output()
        .unwrap();
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap_or(-1), status)
}

fn wait_for_https(daemon: &Daemon, expected: &Value) {
    let status = || daemon.run(&["status", "--json"]).ok().json();
    wait_for(&expected.to_string(), PATIENCE, || status()["https_today"] == *expected);
}

#[test]
fn a_site_whose_programs_refuse_the_certificate_is_learned_and_left_alone_only_by_a_person() {
    // curl's exit codes for a certificate that it does not trust, and for a key that is not pinned.
    const UNTRUSTED: i32 = 60;
    const NOT_PINNED: i32 = 90;
    let daemon = school();
    let (school_pem, own_pem) = (authority(&daemon), daemon.folder().join("origin.pem"));
    for from in [KS2, KS2, KS3] {
        assert_eq!(curl(&daemon, from, "school.test", &own_pem, &[]).0, UNTRUSTED);
    }
    let pin = ["--pinnedpubkey", "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="];
    for _ in 0..3 {
        assert_eq!(curl(&daemon, STAFF, "other.test", &school_pem, &pin).0, NOT_PINNED);
    }
    assert_eq!(curl(&daemon, STAFF, "library.test", &school_pem, &[]), (0, "200".to_owned()));
    let pem = std::fs::read(&own_pem).unwrap();
    let mut unseen = Secure::open(&daemon, GUEST, "library.test", &pem).unwrap();
    assert_eq!(unseen.ask("library.test", "/size/3").unwrap().status, 200);
    drop(unseen);
    wait_for_https(&daemon, &json!({ "looked_into": 4, "by_name": 1, "refused": 3, "nothing": 0 }));
    let status = daemon.run(&["status"]).ok().out;
    let line = "https     today 4 connections looked into, 1 by name only (20 %), 3 refused the \
                school's certificate\n";
    assert!(status.contains(line), "{status}");

    let learned = daemon.run(&["inspect", "learned", "--json"]).ok().json();
    assert_eq!(learned.as_array().unwrap().len(), 1, "{learned:#}");
    let site = &learned[0];
    assert_eq!(site["host"], "school.test");
    assert_eq!((&site["refused"], &site["clients"]), (&json!(3), &json!(2)), "{site}");
    let all = daemon.run(&["inspect", "learned", "--all", "--json"]).ok().json();
    let unused = &all[1];
    assert_eq!((&unused["host"], &unused["opened"]), (&json!("other.test"), &json!(3)), "{all:#}");
    assert_eq!((&unused["requests"], &unused["proposed"]), (&json!(0), &json!(false)), "{all:#}");

    // Nothing was opened by itself.
    assert_eq!(curl(&daemon, KS2, "school.test", &own_pem, &[]).0, UNTRUSTED);
    assert!(daemon.origin.asked().iter().all(|asked| {
        !asked.header("host").is_some_and(|host| host.starts_with("school.test"))
    }));
    let policy = daemon.folder().join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let lines = site["lines"].as_str().unwrap();
    std::fs::write(&policy, format!("{text}\n{lines}\n")).unwrap();
    daemon.sign_off();
    wait_for("the site to be left alone", PATIENCE, || {
        curl(&daemon, KS2, "school.test", &own_pem, &[]) == (0, "200".to_owned())
    });
    let settled = daemon.run(&["inspect", "learned", "--json"]).ok().json();
    assert_eq!(settled, json!([]), "what a person settled is not proposed again");
}
