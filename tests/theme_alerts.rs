//! From what somebody reads to a safeguarding lead's mail: signs of themes, found by the shipped packs, all the way.
//!
//! [`WAYS`] has a line for each way on which such a sign comes about. Whatever the way, the same must follow.

use crate::alerts::{WITHIN, alerts, mails, mails_to, school_with, webhook};
use crate::assistant_replies::{AFTER, HARMFUL, HARMLESS, SHAPES};
use crate::client::{Client, basic};
use crate::daemon::{Daemon, PASSWORD, free_port, wait_for};
use crate::second_places::MailServer;
use crate::typed_words::{ASSISTANT, ENGINE, HARMLESS as QUESTION, SUICIDE, frame, prompt};
use ledger::notes::SignSource;
use serde_json::Value;
use std::time::Instant;

/// A page about the wish to die.
const PAGE: &str = "<!doctype html><title>Quiet</title><body><p>How to kill yourself without pain. The easiest way to end \
                    your life, painless ways to die, how many paracetamol it takes to die, how to tie a noose.</p></body>";

/// What the address of a page says.
const ADDRESS: &str = "/how-to-tie-a-noose-and-kill-yourself-without-pain";

/// Where an assistant takes questions, and where it answers with what nobody should read.
const ASKED: &str = "/backend-api/conversation";
const REPLY: &str = "/backend-api/reply";

/// A pupil for each way, so that each is an alert of its own; no name is part of a word of a mail.
const PUPILS: [&str; 7] = ["zofia", "idris", "tamsin", "odette", "kwame", "bryony", "yusuf"];

/// Words that are of no business but the reader's and the lead's.
const PRIVATE: [&str; 9] = [
    ASSISTANT,
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

const WAYS: [Way; 7] = [
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
        opens: |daemon, user| {
            let path = format!("/search?q={}", SUICIDE.replace(' ', "+"));
            daemon.get_as(user, &daemon.url(ENGINE, &path)).status
        },
        host: ENGINE,
        path: "/search",
        status: 403,
    },
    // The same, sent as a form.
    Way {
        source: "search",
        opens: |daemon, user| {
            let body = format!("q={}", SUICIDE.replace(' ', "+"));
            let mut client =
                post(daemon, user, ENGINE, "/search", "application/x-www-form-urlencoded", &body);
            client.read("POST").status
        },
        host: ENGINE,
        path: "/search",
        status: 403,
    },
    Way {
        source: "prompt",
        opens: |daemon, user| {
            let body = prompt(SUICIDE);
            post(daemon, user, ASSISTANT, ASKED, "application/json", &body).read("POST").status
        },
        host: ASSISTANT,
        path: ASKED,
        status: 403,
    },
    // The same, as a message of a web socket: it is open by then, and ends.
    Way {
        source: "prompt",
        opens: |daemon, user| {
            let (url, authority) = (daemon.url(ASSISTANT, "/upgrade"), daemon.authority(ASSISTANT));
            let who = basic(user, PASSWORD);
            let mut client = Client::connect(daemon.proxy);
            client.send(
                format!(
                    "GET {url} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: {who}\r\n\
                     Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                )
                .as_bytes(),
            );
            let status = client.read_head().unwrap().status;
            client.send(&frame(0x81, &prompt(SUICIDE)));
            // Of staff it comes back; a pupil's connection ends.
            let _came = client.read_some();
            status
        },
        host: ASSISTANT,
        path: "/upgrade",
        status: 101,
    },
    // A site that lists know for something else is not refused for what a page of it is called.
    Way {
        source: "url",
        opens: |daemon, user| {
            let who = basic(user, PASSWORD);
            let fields = [("Accept", "text/html,*/*"), ("Proxy-Authorization", who.as_str())];
            let url = daemon.url("library.test", ADDRESS);
            Client::connect(daemon.proxy).ask("GET", &url, &fields).status
        },
        host: "library.test",
        path: ADDRESS,
        status: 404,
    },
    // It begins harmlessly, and is cut where it turns.
    Way {
        source: "reply",
        opens: |daemon, user| {
            let body = prompt(QUESTION);
            let mut client = post(daemon, user, ASSISTANT, REPLY, "application/json", &body);
            let status = client.read_head().unwrap().status;
            let mut came = String::new();
            while let Ok(piece) = client.read_some() {
                came.push_str(&String::from_utf8_lossy(&piece));
                if piece.is_empty() || came.ends_with("0\r\n\r\n") {
                    break;
                }
            }
            assert_eq!(came.contains(AFTER), user == "ms.obi", "{user}: {came}");
            status
        },
        host: ASSISTANT,
        path: REPLY,
        status: 200,
    },
];

/// Sends a body, as a user; the answer is still to be read.
fn post(daemon: &Daemon, user: &str, host: &str, path: &str, form: &str, body: &str) -> Client {
    let (url, authority, who) =
        (daemon.url(host, path), daemon.authority(host), basic(user, PASSWORD));
    let mut client = Client::connect(daemon.proxy);
    client.send(
        format!(
            "POST {url} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: {who}\r\n\
             Content-Type: {form}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
    client
}

/// A school with an engine and an assistant, the page, and a pupil for each way.
fn school(mail: u16, hook: u16, pages: &std::path::Path) -> Daemon {
    let hosts = [ENGINE, ASSISTANT, "forcesafesearch.google.com"];
    let daemon = school_with(mail, hook, hosts.map(|host| (host, vec!["127.0.0.1"])).to_vec());
    std::fs::write(pages.join("quiet.html"), PAGE).unwrap();
    daemon.origin.add_folder("pages", pages.to_owned());
    let [harmless, harmful] =
        [HARMLESS, HARMFUL].map(|text| SHAPES[0].pieces(text, 40).concat().into_bytes());
    let after = (SHAPES[0].piece)(2, AFTER).into_bytes();
    let head = format!("200 OK\r\nContent-Type: {}\r\n", SHAPES[0].content_type);
    // Later than the page of the filter could still take its place.
    let pieces = [(0, &harmless[..]), (500, &harmful[..]), (500, &after[..])];
    daemon.origin.answer_with(REPLY, &head, &pieces);
    let mut people = "name,level,groups,password\n".to_owned();
    PUPILS.iter().for_each(|name| people.push_str(&format!("{name},ks3,Year 8,{PASSWORD}\n")));
    std::fs::write(daemon.folder().join("pupils.csv"), people).unwrap();
    daemon.run(&["user", "import", "pupils.csv", "--by", "j.cho"]).ok();
    daemon
}

fn shown(daemon: &Daemon, alert: &str) -> Value {
    daemon.run(&["alerts", "show", alert, "--json", "--by", "q.whitmore"]).ok().json()
}

#[test]
fn what_is_found_on_any_way_of_an_urgent_theme_is_told_to_two_people_within_a_minute() {
    for source in SignSource::ALL {
        assert!(WAYS.iter().any(|way| way.source == source.as_str()), "no way by {source:?}");
    }
    let (hook, posted) = webhook();
    let port = free_port();
    let pages = tempfile::tempdir().unwrap();
    let daemon = school(port, hook, pages.path());
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
        let user = PUPILS[number];
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
