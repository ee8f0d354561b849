//! From what somebody reads to a safeguarding lead's mail: signs of themes, found by the shipped packs, all the way.
//!
//! [`WAYS`] has a line for each way on which such a sign comes about. Whatever the way, the same must follow.

use crate::alerts::{WITHIN, alerts, mails, mails_to, school_with, webhook};
use crate::daemon::{Daemon, free_port, wait_for};
use crate::second_places::MailServer;
use serde_json::Value;
use std::time::Instant;

/// A page about the wish to die.
const PAGE: &str = "<!doctype html><title>Quiet</title><body><p>How to kill yourself without pain. The easiest way to end \
                    your life, painless ways to die, how many paracetamol it takes to die, how to tie a noose.</p></body>";

/// An engine, and what somebody searches for there.
const ENGINE: &str = "www.google.co.uk";
const SEARCH: &str = "/search?q=painless+ways+to+kill+myself+tonight";

/// Words that are of no business but the reader's and the lead's.
const PRIVATE: [&str; 9] = [
    "sam",
    "library.test",
    "quiet",
    "noose",
    "paracetamol",
    "kill yourself",
    ENGINE,
    "painless",
    "kill myself",
];

/// How somebody comes upon a theme.
struct Way {
    /// Where the sign is found, as `alerts show` says.
    source: &'static str,
    /// Does it, as a user, and gives the answer's status.
    opens: fn(&Daemon, &str) -> u16,
    /// The host and the path in the record.
    host: &'static str,
    path: &'static str,
    /// What a pupil is answered.
    status: u16,
}

const WAYS: [Way; 2] = [
    Way {
        source: "page",
        opens: |daemon, user| {
            daemon.get_as(user, &daemon.url("library.test", "/pages/quiet.html")).status
        },
        host: "library.test",
        path: "/pages/quiet.html",
        status: 403,
    },
    Way {
        source: "search",
        opens: |daemon, user| daemon.get_as(user, &daemon.url(ENGINE, SEARCH)).status,
        host: ENGINE,
        path: "/search",
        status: 403,
    },
];

fn shown(daemon: &Daemon, alert: &str) -> Value {
    daemon.run(&["alerts", "show", alert, "--json", "--by", "q.whitmore"]).ok().json()
}

#[test]
fn what_somebody_reads_of_an_urgent_theme_is_told_to_two_people_within_a_minute() {
    let (hook, posted) = webhook();
    let port = free_port();
    let hosts = [ENGINE, "forcesafesearch.google.com"].map(|host| (host, vec!["127.0.0.1"]));
    let daemon = school_with(port, hook, hosts.to_vec());
    let pages = tempfile::tempdir().unwrap();
    std::fs::write(pages.path().join("quiet.html"), PAGE).unwrap();
    daemon.origin.add_folder("pages", pages.path().to_owned());
    let _mail = MailServer::start(&daemon, port, "localhost", "right horse");

    // Staff may read it, and nobody watches what they read.
    for way in &WAYS {
        assert_ne!((way.opens)(&daemon, "ms.obi"), 403, "{}", way.source);
    }
    let of_staff = daemon.wait_records(WAYS.len());
    let has_signs = |record: &&Value| record["signs"].to_string().contains(':');
    assert_eq!(of_staff.iter().filter(has_signs).count(), 0, "{of_staff:?}");

    for (number, way) in WAYS.iter().enumerate() {
        let begun = Instant::now();
        // Another pupil each time, so that each is an alert of its own.
        let user = ["kim", "sam"][number];
        assert_eq!((way.opens)(&daemon, user), way.status, "{}", way.source);
        let posted = posted.recv_timeout(WITHIN).unwrap();
        // Its head names the host that it is posted to, which is the origin's too.
        let (_, body) = posted.split_once("\r\n\r\n").unwrap();
        wait_for("mail to both", WITHIN, || {
            ["lead@school.example", "head@school.example"]
                .iter()
                .all(|address| mails_to(&daemon, address) == number + 1)
        });
        eprintln!(
            "{}: from reading to both mails and the webhook: {:?}",
            way.source,
            begun.elapsed()
        );
        assert!(begun.elapsed() < WITHIN);
        let alert = format!("A-{:04}", number + 1);
        for part in [&*alert, "\"severity\":\"urgent\"", "\"theme\":\"suicide\""] {
            assert!(body.contains(part), "{part}: {body}");
        }
        let text = mails(&daemon);
        assert!(text.contains(&format!("schoolgate alerts show {alert}")), "{text}");
        for private in PRIVATE.into_iter().chain([user]) {
            let told = [body, &text, &daemon.said()];
            let told = told.iter().any(|it| it.to_lowercase().contains(private));
            assert!(!told, "{private}: {body}\n{text}");
        }

        let shown = shown(&daemon, &alert);
        assert_eq!(
            (&shown["about"]["name"], &shown["strongest"]),
            (&user.into(), &way.source.into())
        );
        assert_eq!(
            (&shown["confidence"], &shown["signs"]),
            (&"signed-in".into(), &1.into()),
            "{shown}"
        );
        let record = &shown["records"][0];
        assert_eq!((&record["host"], &record["path"]), (&way.host.into(), &way.path.into()));
        let found = record["found"][0].as_str().unwrap();
        let points = found.strip_prefix(&format!("{}: ", way.source)).unwrap();
        assert!(points.trim_end_matches(" points").parse::<u32>().unwrap() > 0, "{found}");
        let said = daemon.run(&["alerts", "show", &alert, "--by", "q.whitmore"]).ok().out;
        assert!(
            said.contains(&format!("{}{}", way.host, way.path)) && said.contains(found),
            "{said}"
        );
    }
    assert_eq!(alerts(&daemon, &[]).len(), WAYS.len(), "none of staff");
}
