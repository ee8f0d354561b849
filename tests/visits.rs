//! What somebody opened and what a page fetched: told by heads as browsers send them, kept in the log, and weighed by
//! alerts.

use crate::client::Client;
use crate::daemon::{Daemon, KS3, Plan, wait_for};
use serde_json::Value;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Sends a request of a pupil's device, with these fields.
fn ask(daemon: &Daemon, host: &str, path: &str, fields: &[(&str, &str)]) -> u16 {
    let mut client = Client::connect_from(KS3, daemon.proxy);
    client.ask("GET", &daemon.url(host, path), fields).status
}

/// As a browser asks for something of this kind.
fn fetch(daemon: &Daemon, host: &str, path: &str, dest: &str) -> u16 {
    let mode = if matches!(dest, "document" | "iframe") { "navigate" } else { "no-cors" };
    ask(daemon, host, path, &[("Sec-Fetch-Dest", dest), ("Sec-Fetch-Mode", mode)])
}

fn alerts(daemon: &Daemon) -> Vec<Value> {
    daemon.run(&["alerts", "list", "--jsonl", "--by", "q.whitmore"]).ok().lines()
}

#[test]
fn each_record_says_whether_somebody_opened_it() {
    let daemon = Daemon::start_with(&Plan::default());
    assert_ne!(fetch(&daemon, "library.test", "/a", "document"), 403);
    assert_ne!(fetch(&daemon, "library.test", "/a.css", "style"), 403);
    assert_eq!(fetch(&daemon, "harm.test", "/widget", "iframe"), 403);
    // A browser on a site that is not secure says only what it accepts, and where it comes from.
    let page = [("Accept", HTML), ("User-Agent", BROWSER)];
    assert_ne!(ask(&daemon, "library.test", "/news", &page), 403);
    let from = daemon.url("library.test", "/news");
    let within = [&page[..], &[("Referer", from.as_str())]].concat();
    assert_ne!(ask(&daemon, "other.test", "/frame", &within), 403);
    assert_ne!(ask(&daemon, "library.test", "/next", &within), 403);
    assert_ne!(ask(&daemon, "library.test", "/x.png", &[("Accept", "*/*"), page[1]]), 403);
    assert_ne!(ask(&daemon, "library.test", "/by-a-program", &[]), 403);
    let records = daemon.wait_records(8);
    let told: Vec<&str> = records.iter().map(|record| record["visit"].as_str().unwrap()).collect();
    let expected = ["opened", "part", "part", "opened", "frame", "opened", "part", "unknown"];
    assert_eq!(told, expected);
    let week = ["report", "weekly", "--since", "this week", "--format", "json", "--for", "dsl"];
    let week = daemon.run(&[&week[..], &["--by", "q.whitmore"]].concat()).ok().json();
    let figures = &week["figures"];
    assert_eq!((&figures["requests"], &figures["visits"]), (&8.into(), &3.into()), "{figures}");
    assert_eq!(figures["visits_blocked"], 0);
}

#[test]
fn a_refused_widget_is_no_alert_and_a_refused_page_is() {
    let daemon = Daemon::start_with(&Plan::default());
    // Two would be one, had somebody opened them. Sites at once are one page.
    for path in ["/widget", "/other-widget"] {
        assert_eq!(fetch(&daemon, "harm.test", path, "iframe"), 403);
        std::thread::sleep(Duration::from_millis(2_100));
    }
    // What is illegal is never urgent where a page asked for it.
    assert_eq!(fetch(&daemon, "forbidden.test", "/picture", "image"), 403);
    std::thread::sleep(Duration::from_millis(2_100));
    assert_eq!(fetch(&daemon, "forbidden.test", "/page", "document"), 403);
    wait_for("the urgent alert", PATIENCE, || !alerts(&daemon).is_empty());
    let all = alerts(&daemon);
    assert_eq!((all.len(), &all[0]["severity"]), (1, &"urgent".into()), "{all:?}");
    let shown =
        daemon.run(&["alerts", "show", "A-0001", "--json", "--by", "q.whitmore"]).ok().json();
    assert_eq!((&shown["theme"], &shown["signs"]), (&"illegal".into(), &2.into()), "{shown}");
    for path in ["/page", "/other-page"] {
        assert_eq!(fetch(&daemon, "harm.test", path, "document"), 403);
        std::thread::sleep(Duration::from_millis(2_100));
    }
    wait_for("the high alert", PATIENCE, || alerts(&daemon).len() == 2);
    let high = alerts(&daemon).into_iter().find(|alert| alert["severity"] == "high").unwrap();
    assert_eq!(high["theme"], "self-harm", "{high}");
}
