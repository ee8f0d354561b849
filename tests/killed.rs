//! The filter is killed as by a power cut, again and again, under load. Whatever a client was
//! answered and whatever reached a site must be in the log.

use crate::client::Client;
use crate::crash::{Random, full};
use crate::daemon::{Daemon, KS2, STAFF, alone, wait_for};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

#[test]
fn kills_at_random_moments_under_load_lose_no_decision() {
    let _alone = alone();
    // The long form is asked for by docs/testing.md.
    let rounds = if full() { 1000 } else { 30 };
    let mut random = Random::seeded("kills under load");
    let mut daemon = Daemon::start_without_people();
    let answered: Mutex<BTreeMap<String, u16>> = Mutex::default();
    for round in 0..rounds {
        if round > 0 {
            daemon.start_again();
        }
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (daemon, answered) = (&daemon, &answered);
                let (proxy, port) = (daemon.proxy, daemon.origin.http.port());
                scope.spawn(move || {
                    let (from, host) = if worker % 2 == 0 {
                        (STAFF, "library.test")
                    } else {
                        (KS2, "casino.test")
                    };
                    let Ok(mut client) = Client::try_connect_from(from, proxy) else { return };
                    for number in 0.. {
                        let path = format!("/echo/{round}-{worker}-{number}");
                        let url = format!("http://{host}:{port}{path}");
                        let Ok(answer) = client.try_ask("GET", &url, &[]) else { return };
                        answered.lock().unwrap().insert(path, answer.status);
                    }
                });
            }
            // At a different moment of the journal's life each time: while it starts to be stored,
            // between two syncs, in the middle of a batch.
            std::thread::sleep(Duration::from_micros(5_000 + random.below(110_000)));
            rustix::process::kill_process(daemon.pid(), rustix::process::Signal::KILL).unwrap();
        });
        daemon.kill();
    }
    let answered = answered.into_inner().unwrap();
    assert!(answered.len() > rounds, "only {} answers: hardly a load", answered.len());

    // No daemon runs: the query takes in what the killed ones left.
    let records = daemon.records();
    let mut by_path: BTreeMap<&str, Vec<&serde_json::Value>> = BTreeMap::new();
    for record in &records {
        by_path.entry(record["path"].as_str().unwrap()).or_default().push(record);
    }
    for (path, status) in &answered {
        let found = by_path.get(path.as_str()).map_or(&[][..], Vec::as_slice);
        assert_eq!(found.len(), 1, "{path} was answered {status}; its records: {found:?}");
        let verdict = if *status == 403 { "block" } else { "allow" };
        assert_eq!(found[0]["verdict"], verdict, "{path}");
    }
    for asked in daemon.origin.asked() {
        let path = asked.line.split(' ').nth(1).unwrap();
        assert!(by_path.contains_key(path), "{path} reached the site without a record");
    }
    let codes: BTreeSet<&str> =
        records.iter().map(|record| record["code"].as_str().unwrap()).collect();
    assert_eq!(codes.len(), records.len(), "a code was given twice");
    eprintln!("{rounds} kills, {} answers, {} records", answered.len(), records.len());
}

#[test]
fn a_decision_is_in_the_log_before_the_site_answers() {
    let mut daemon = Daemon::start_without_people();
    let mut client = Client::connect_from(STAFF, daemon.proxy);
    let url = daemon.url("library.test", "/slow/20000");
    client.send(crate::client::request("GET", &url, &[]).as_bytes());
    wait_for("the request", Duration::from_secs(5), || !daemon.origin.asked().is_empty());
    daemon.kill();
    let records = daemon.records();
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["verdict"], "allow");
    assert_eq!(records[0]["end"], "unknown", "how it ended is not known: {}", records[0]);
    daemon.start_again();
    assert_eq!(daemon.records().len(), 1, "taken in once, not twice");
}
