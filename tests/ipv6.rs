//! IPv6 on both sides of the filter: clients, networks of the policy, sites, and sites of which one
//! family does not answer.

use crate::daemon::{Daemon, Plan};
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::process::Command;

/// A site on `[::1]`, where this machine has it: answers every request with `six`.
fn site() -> Option<SocketAddr> {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok()?;
    let address = listener.local_addr().ok()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                }
                let answer =
                    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nsix";
                let _gone = stream.write_all(answer);
            });
        }
    });
    Some(address)
}

#[test]
fn clients_and_sites_of_ipv6_are_served_decided_and_recorded() {
    let Some(site) = site() else {
        eprintln!("skipped: this machine has no IPv6 address of its own");
        return;
    };
    let free = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let edit = ("[who]\n".to_owned(), "[who]\n\"net:::1/128\" = \"staff\"\n".to_owned());
    let plan = Plan {
        edits: vec![edit],
        listen: vec![free],
        tls_ports: vec![site.port()],
        hosts: vec![
            ("six.test", vec!["::1"]),
            ("twofold.test", vec!["::1", "127.0.0.1"]),
            ("[::1]", vec![]),
        ],
        ..Plan::default()
    };
    let daemon = Daemon::start_with(&plan);
    let curl = |more: &[&str]| {
        let usual = ["-gsS", "--max-time", "20", "-w", " %{http_code}", "-x"];
        let proxy = format!("http://{free}");
        let output = Command::new("curl").args(usual).arg(proxy).args(more).output();
        let output =
            output.unwrap_or_else(|error| panic!("curl: {error}\n  fix: run `bash tests/run`"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let port = site.port();
    assert_eq!(curl(&[&format!("http://six.test:{port}/")]), "six 200");
    assert_eq!(curl(&[&format!("http://[::1]:{port}/")]), "six 200");
    assert_eq!(curl(&[&format!("http://[0:0::0:1]:{port}/")]), "six 200", "another spelling");
    assert_eq!(curl(&["-p", &format!("http://six.test:{port}/")]), "six 200", "a tunnel");
    assert_eq!(curl(&["-p", &format!("http://[::1]:{port}/")]), "six 200");
    // Nobody answers at the site's IPv6 address: its other one is taken, without a wait.
    let both = daemon.url("twofold.test", "/size/3");
    let got = curl(&[&both]);
    assert!(got.ends_with(" 200"), "{got:?}");
    // What is inside stays out of reach where it is not named.
    assert!(curl(&[&format!("http://[fd00::1]:{port}/")]).ends_with(" 403"));
    assert!(curl(&[&format!("http://[::ffff:127.0.0.1]:{port}/")]).ends_with(" 403"));

    let records = daemon.wait_records(8);
    assert!(records.iter().all(|record| record["client"] == "::1"), "{records:#?}");
    assert!(records.iter().all(|record| record["level"] == "staff"), "{records:#?}");
    let hosts: Vec<&str> = records.iter().map(|record| record["host"].as_str().unwrap()).collect();
    assert_eq!(hosts[..3], ["six.test", hosts[1], hosts[1]], "one spelling of the address");
    let reasons: Vec<&serde_json::Value> = records.iter().map(|it| &it["reason"]).collect();
    assert_eq!(reasons[6..], ["private_address", "private_address"], "{records:#?}");
}
