//! What follows where nobody looks at an alert, or where it was closed as a false alarm: by the running filter, a real mail
//! server over TLS and a webhook.

use crate::alerts::{WITHIN, alerts, mails, mails_to, open, school_of, webhook};
use crate::client::{Client, basic};
use crate::daemon::{Daemon, PASSWORD, free_port, wait_for};
use crate::second_places::MailServer;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// How long the schools of these tests wait for somebody to look.
const WAIT: Duration = Duration::from_secs(20);

/// Least time from one escalation to the next.
const AGAIN: Duration = Duration::from_secs(60);

/// Two leads who are told at once, and a head who is told only where neither looks.
fn school(mail: u16, hook: u16) -> Daemon {
    let roles = "dsl = [\"q.whitmore\", \"n.reyes\"]\nhead = [\"a.fenn\"]";
    let alerts = format!(
        "[alerts]\nurgent = [\"dsl\"]\nescalate_to = [\"head\"]\n\
         escalate_after = {{ urgent = \"{} seconds\" }}",
        WAIT.as_secs()
    );
    school_of(mail, hook, Vec::new(), roles, &alerts)
}

/// Whatever is private of these tests.
const PRIVATE: [&str; 5] = ["sam", "kim", "forbidden", "harm.test", "dreadful"];

fn tells_nothing_private(daemon: &Daemon, posts: &[String]) {
    let bodies = posts.iter().map(|post| post.split_once("\r\n\r\n").unwrap().1.to_owned());
    let told: Vec<String> = bodies.chain([mails(daemon), daemon.said()]).collect();
    for private in PRIVATE {
        for text in &told {
            assert!(!text.to_lowercase().contains(private), "{private}: {text}");
        }
    }
}

/// The mails to an address, each with its text.
fn mails_of(daemon: &Daemon, address: &str) -> Vec<String> {
    let all = mails(daemon);
    let to = format!("TO {address}\n");
    all.split("END\n").filter(|mail| mail.starts_with(&to)).map(str::to_owned).collect()
}

/// The next post about an alert.
fn next_of(alert: &str, posted: &Receiver<String>) -> String {
    let of_it = format!("\"alert\":\"{alert}\"");
    let mut posts = std::iter::repeat_with(|| posted.recv_timeout(WITHIN).unwrap());
    posts.find(|post| post.contains(&of_it)).unwrap()
}

fn all_is_delivered(daemon: &Daemon) {
    wait_for("everything delivered", WITHIN, || is_undelivered(daemon, 0));
}

fn is_undelivered(daemon: &Daemon, number: u32) -> bool {
    let metrics = daemon.ops_get("/metrics").unwrap().text();
    metrics.contains(&format!("proxy_alerts_undelivered {number}\n"))
}

fn escalations(daemon: &Daemon) -> Vec<(String, u64)> {
    let told = |alert: &Value| {
        (alert["alert"].as_str().unwrap().to_owned(), alert["escalations"].as_u64().unwrap())
    };
    let mut all: Vec<_> = alerts(daemon, &[]).iter().map(told).collect();
    all.sort();
    all
}

#[test]
fn an_urgent_alert_that_nobody_looks_at_is_told_to_the_head_neither_lost_nor_repeated_by_a_kill() {
    let (hook, posted) = webhook();
    let port = free_port();
    let mut daemon = school(port, hook);
    let mail = MailServer::start(&daemon, port, "localhost", "right horse");
    let mut posts = Vec::new();
    // Two that somebody deals with in time: one is looked at, of the other it is said what came of it.
    open(&daemon, "kim", "forbidden.test", "/dreadful");
    posts.push(posted.recv_timeout(WITHIN).unwrap());
    daemon.run(&["alerts", "show", "A-0001", "--by", "q.whitmore"]).ok();
    open(&daemon, "ali", "forbidden.test", "/dreadful");
    posts.push(posted.recv_timeout(WITHIN).unwrap());
    let watched = ["alerts", "review", "A-0002", "--outcome", "watching", "--by", "q.whitmore"];
    daemon.run(&watched).ok();
    // And one that nobody looks at.
    open(&daemon, "sam", "forbidden.test", "/dreadful");
    posts.push(posted.recv_timeout(WITHIN).unwrap());
    let raised = Instant::now();
    let leads = ["lead@school.example", "deputy@school.example"];
    wait_for("mail to both leads", WITHIN, || leads.iter().all(|it| mails_to(&daemon, it) == 3));
    all_is_delivered(&daemon);

    // The mail server is down as the head's turn comes, and the filter is killed.
    drop(mail);
    let post = posted.recv_timeout(WITHIN).unwrap();
    let waited = raised.elapsed();
    assert!(post.contains("\"alert\":\"A-0003\"") && post.contains("\"escalation\":1"), "{post}");
    assert!(waited + Duration::from_secs(2) > WAIT, "{waited:?}");
    posts.push(post);
    wait_for("three mails that cannot be sent", WITHIN, || is_undelivered(&daemon, 3));
    assert_eq!(mails_to(&daemon, "head@school.example"), 0);
    daemon.kill();
    let _mail = MailServer::start(&daemon, port, "localhost", "right horse");
    daemon.start_again();
    wait_for("mail to the head", WITHIN, || mails_to(&daemon, "head@school.example") >= 1);
    all_is_delivered(&daemon);
    daemon.kill();
    daemon.start_again();

    // By the time that a further one has come as far, the others would have, too.
    let from = std::net::Ipv4Addr::new(127, 23, 0, 1);
    let url = daemon.url("forbidden.test", "/dreadful");
    let asked = Client::connect_from(from.into(), daemon.proxy).ask("GET", &url, &[]);
    assert_eq!(asked.status, 403);
    for step in ["\"escalation\":0", "\"escalation\":1"] {
        let post = next_of("A-0004", &posted);
        assert!(post.contains(step), "{post}");
        posts.push(post);
    }
    let of_head = |alert: &str| {
        let mails = mails_of(&daemon, "head@school.example");
        mails.into_iter().filter(|mail| mail.contains(alert)).collect::<Vec<_>>()
    };
    wait_for("the head's mail", WITHIN, || !of_head("A-0004").is_empty());
    all_is_delivered(&daemon);

    assert_eq!((of_head("A-0001").len(), of_head("A-0002").len()), (0, 0));
    let all = escalations(&daemon);
    assert_eq!((all[0].1, all[1].1), (0, 0), "{all:?}");
    let most = 1 + raised.elapsed().saturating_sub(WAIT).as_secs() / AGAIN.as_secs();
    for (place, alert) in [(2, "A-0003"), (3, "A-0004")] {
        assert!((1..=most).contains(&all[place].1), "{all:?} within {:?}", raised.elapsed());
        let mails = of_head(alert);
        assert_eq!(mails.len() as u64, all[place].1, "each escalation once: {mails:?}");
        assert!(mails[0].contains("Nobody has looked at this alert yet."), "{}", mails[0]);
    }
    let text = mails(&daemon);
    let ids: Vec<&str> = text.lines().filter(|line| line.starts_with("Message-ID")).collect();
    let distinct: BTreeSet<&str> = ids.iter().copied().collect();
    assert_eq!(ids.len(), distinct.len(), "no mail came twice: {ids:?}");
    for lead in leads {
        let again = mails_of(&daemon, lead).iter().filter(|it| it.contains("A-0003")).count();
        assert_eq!(again as u64, 1 + all[2].1, "{lead} at once, and with the head");
    }
    tells_nothing_private(&daemon, &posts);
}

#[test]
fn what_an_application_asks_for_again_opens_no_false_alarm_and_somebody_who_opens_it_does() {
    let (hook, posted) = webhook();
    let port = free_port();
    let daemon = school(port, hook);
    let _mail = MailServer::start(&daemon, port, "localhost", "right horse");
    let mut posts = Vec::new();
    let page = |path: &str| open(&daemon, "sam", "harm.test", path);
    // Sites at once are one page.
    let rest = || std::thread::sleep(Duration::from_millis(2_100));
    page("/a");
    rest();
    page("/b");
    posts.push(posted.recv_timeout(WITHIN).unwrap());
    daemon.run(&["alerts", "show", "A-0001", "--by", "q.whitmore"]).ok();
    let review = ["alerts", "review", "A-0001", "--outcome", "false-alarm", "--by", "q.whitmore"];
    daemon.run(&review).ok();

    rest();
    page("/c");
    let show = |daemon: &Daemon, more: &[&str]| {
        let shown = ["alerts", "show", "A-0001", "--by", "q.whitmore"];
        daemon.run(&[&shown[..], more].concat()).ok()
    };
    wait_for("the sign that is silenced", WITHIN, || {
        daemon.records().iter().any(|record| record["path"] == "/c")
    });
    // By the time that a further sign is told, this one would have been.
    open(&daemon, "kim", "forbidden.test", "/dreadful");
    posts.push(posted.recv_timeout(WITHIN).unwrap());
    assert!(posts[1].contains("\"alert\":\"A-0002\""), "{}", posts[1]);
    let shown = show(&daemon, &["--json"]).json();
    assert_eq!(
        (&shown["state"], &shown["silenced"], &shown["signs"]),
        (&"closed".into(), &1.into(), &3.into()),
        "{shown}"
    );
    let said = show(&daemon, &[]).out;
    assert!(said.contains("silenced   1 sign since: closed as a false alarm"), "{said}");

    // A browser says that somebody opened the page.
    let credentials = basic("sam", PASSWORD);
    let headers = [("Proxy-Authorization", credentials.as_str()), ("Sec-Fetch-Dest", "document")];
    let opened = Client::connect(daemon.proxy).ask("GET", &daemon.url("harm.test", "/c"), &headers);
    assert_eq!(opened.status, 403);
    // Of the other one somebody may be reminded meanwhile.
    let post = next_of("A-0001", &posted);
    for part in ["\"alert\":\"A-0001\"", "\"reopened_by\":{", "\"source\":\"site\""] {
        assert!(post.contains(part), "{part}: {post}");
    }
    posts.push(post);
    wait_for("mail that says so", WITHIN, || {
        let mails = mails_of(&daemon, "lead@school.example");
        mails
            .iter()
            .any(|it| it.contains("A-0001") && it.contains("Further    1 sign, high (site)"))
    });
    let said = show(&daemon, &[]).out;
    assert!(said.contains("open again") && said.contains(" by 1 sign, high (site)"), "{said}");
    assert!(!said.contains("silenced"), "{said}");
    tells_nothing_private(&daemon, &posts);
}
