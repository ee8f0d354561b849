//! Lessons under a standing yes, while the filter runs: what they open, and what below their site they do not.

use crate::daemon::{Daemon, LIVE_WITHIN, Plan, alone, wait_for};
use serde_json::Value;
use std::time::Duration;

/// The safeguarding lead's yes to teachers, for sites like `social.test`.
const STANDING: &str = r#"
[[unblock.standing]]
who = "teacher"
categories = ["social"]
scope = "class"
max_minutes = 60
authorised = "Q. Whitmore (DSL) 2026-09-01"
review = 2099-01-05

[[test]]"#;

#[test]
fn a_lesson_opens_its_site_and_nothing_below_it_that_its_standing_yes_does_not_name() {
    let _alone = alone();
    let lists = tempfile::tempdir().unwrap();
    let list = |name: &str, category: &str, sites: &str| {
        let path = lists.path().join(name);
        std::fs::write(&path, sites).unwrap();
        format!(
            "[[lists]]\nname = \"{name}\"\ncategory = \"{category}\"\npath = \"{}\"\n",
            path.display()
        )
    };
    let machine = list("below-harm", "self-harm", "groups.social.test\nsocial.test/hurt\n")
        + &list("below-education", "education", "maths.social.test\n");
    let edit = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    let below = ["groups.social.test", "maths.social.test", "www.social.test"];
    let daemon = Daemon::start_with(&Plan {
        people: true,
        machine,
        // Closed at every hour.
        edits: vec![edit("ks3 = \"allow at club\", ", ""), edit("\n[[test]]", STANDING)],
        hosts: below.map(|host| (host, vec!["127.0.0.1"])).to_vec(),
        ..Plan::default()
    });
    let status = |host: &str, path: &str| daemon.get_as("sam", &daemon.url(host, path)).status;
    for host in below.into_iter().chain(["social.test"]) {
        assert_eq!(status(host, "/size/1"), 403, "{host} before the lesson");
    }

    let start = "lesson start --class 8B --open social.test --until 45m --by p.obi";
    let started = daemon.run(&start.split(' ').collect::<Vec<_>>()).ok();
    assert!(started.out.contains("opens     social; what is below it in another"), "{started:?}");
    wait_for("the lesson", LIVE_WITHIN, || status("social.test", "/size/1") == 200);
    assert_eq!(status("www.social.test", "/size/1"), 200, "below it, and no more than social");
    assert_eq!(status("maths.social.test", "/size/1"), 200, "education is open anyway");
    assert_eq!(status("groups.social.test", "/size/1"), 403, "self-harm was not named");
    assert_eq!(status("social.test", "/hurt/1"), 403, "self-harm was not named");
    let kim = daemon.get_as("kim", &daemon.url("social.test", "/size/1"));
    assert_eq!(kim.status, 403, "another class");

    let shown = daemon.run(&["unblock", "show", "U-0001", "--json"]).ok().json();
    assert_eq!(shown["within"], serde_json::json!(["social"]), "{shown}");
    let refused = || {
        let of_groups = |record: &Value| record["host"] == "groups.social.test";
        daemon.records().into_iter().filter(of_groups).collect::<Vec<_>>()
    };
    wait_for("the records", Duration::from_secs(10), || refused().len() == 2);
    for record in refused() {
        assert_eq!((&record["reason"], &record["unblock"]), (&"category".into(), &Value::Null));
    }

    // Whoever wants it asks for it by name, and somebody who has looked at it says yes.
    let ask = "unblock request groups.social.test --for @8B --until 2h --by p.obi --reason";
    let words: Vec<&str> = ask.split(' ').chain(["The support group of the charity"]).collect();
    daemon.run(&words).ok();
    assert_eq!(status("groups.social.test", "/size/1"), 403, "asked for is not open");
    daemon.sign_off();
    wait_for("the yes", LIVE_WITHIN, || status("groups.social.test", "/size/1") == 200);
    assert_eq!(status("social.test", "/hurt/1"), 403, "only what was asked for");
}
