//! From a blocked page to a safeguarding lead's mail: by a real mail server over TLS and by a webhook,
//! with servers that are down, a filter that is killed, and what is done about an alert afterwards.

use crate::daemon::{Daemon, Plan, free_port, wait_for};
use crate::second_places::MailServer;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the issue asks for, from the sign to the mail.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// A school whose lead and head get mail at a port, and whose alerts are posted to another.
pub(crate) fn school(mail: u16, hook: u16) -> Daemon {
    school_with(mail, hook, Vec::new())
}

/// The same, with further hosts.
pub(crate) fn school_with(
    mail: u16,
    hook: u16,
    hosts: Vec<(&'static str, Vec<&'static str>)>,
) -> Daemon {
    let roles = "dsl = [\"q.whitmore\"]\nhead = [\"a.fenn\"]";
    school_of(mail, hook, hosts, roles, "[alerts]\nurgent = [\"dsl\", \"head\"]")
}

/// The same, with who deals with alerts, and `[alerts]`.
pub(crate) fn school_of(
    mail: u16,
    hook: u16,
    hosts: Vec<(&'static str, Vec<&'static str>)>,
    roles: &str,
    alerts: &str,
) -> Daemon {
    let machine = format!(
        "[alerts]\nwebhook = \"http://library.test:{hook}/hooks/secret-part\"\n\
         [alerts.mail]\n\"q.whitmore\" = \"lead@school.example\"\n\
         \"n.reyes\" = \"deputy@school.example\"\n\
         \"a.fenn\" = \"Head <head@school.example>\"\n\
         [mail]\nserver = \"localhost:{mail}\"\nfrom = \"filter@school.example\"\n\
         user = \"filter\"\npassword_file = \"mail-password\"\n"
    );
    let edits = vec![
        ("dsl = [\"q.whitmore\"]".to_owned(), roles.to_owned()),
        ("[unblock]".to_owned(), format!("{alerts}\n\n[unblock]")),
    ];
    let plan = Plan { machine, edits, hosts, people: true, inspected: true, ..Plan::default() };
    let daemon = Daemon::start_with(&plan);
    std::fs::write(daemon.folder().join("mail-password"), "right horse\n").unwrap();
    daemon
}

/// A server that takes what is posted; gives the bodies.
pub(crate) fn webhook() -> (u16, Receiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, taken) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let (mut asked, mut piece) = (String::new(), [0; 4096]);
            while !asked.ends_with('}') {
                match stream.read(&mut piece) {
                    Ok(read) if read > 0 => {
                        asked.push_str(&String::from_utf8_lossy(&piece[..read]))
                    }
                    _ => break,
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            if sender.send(asked).is_err() {
                return;
            }
        }
    });
    (port, taken)
}

/// Somebody opens a page of a host.
pub(crate) fn open(daemon: &Daemon, user: &str, host: &str, path: &str) {
    assert_eq!(daemon.get_as(user, &daemon.url(host, path)).status, 403);
}

pub(crate) fn mails(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.folder().join("mail.txt")).unwrap_or_default()
}

pub(crate) fn mails_to(daemon: &Daemon, address: &str) -> usize {
    mails(daemon).matches(&format!("TO {address}\n")).count()
}

pub(crate) fn alerts(daemon: &Daemon, more: &[&str]) -> Vec<serde_json::Value> {
    let mut words = vec!["alerts", "list", "--jsonl", "--by", "q.whitmore"];
    words.extend(more);
    daemon.run(&words).ok().lines()
}

#[test]
fn an_urgent_sign_is_told_within_a_minute_without_a_name_and_what_is_done_about_it_is_recorded() {
    let (hook, posted) = webhook();
    let port = free_port();
    let daemon = school(port, hook);
    let _mail = MailServer::start(&daemon, port, "localhost", "right horse");
    let begun = Instant::now();
    open(&daemon, "sam", "forbidden.test", "/dreadful/page");
    let body = posted.recv_timeout(WITHIN).unwrap();
    wait_for("mail to both", WITHIN, || {
        mails_to(&daemon, "lead@school.example") == 1
            && mails_to(&daemon, "head@school.example") == 1
    });
    eprintln!("from the page to both mails and the webhook: {:?}", begun.elapsed());
    assert!(begun.elapsed() < WITHIN);
    assert!(body.starts_with("POST /hooks/secret-part HTTP/1.1\r\n"), "{body}");
    assert!(
        body.contains("\"alert\":\"A-0001\"") && body.contains("\"severity\":\"urgent\""),
        "{body}"
    );
    let text = mails(&daemon);
    assert!(text.contains("schoolgate alerts show A-0001") && text.contains("ks3"), "{text}");
    for private in ["sam", "forbidden", "dreadful"] {
        let said = daemon.said();
        let told = [&body, &text, &said].iter().any(|it| it.to_lowercase().contains(private));
        assert!(!told, "{private}: {body}\n{text}\n{said}");
    }
    let metrics = daemon.ops_get("/metrics").unwrap().text();
    assert!(metrics.contains("proxy_alerts_open 1"), "{metrics}");
    wait_for("everything delivered", PATIENCE, || {
        daemon.ops_get("/metrics").unwrap().text().contains("proxy_alerts_undelivered 0")
    });

    // The list names nobody; who looks at one is recorded, and it is no longer unread.
    let listed = daemon.run(&["alerts", "list", "--open", "--by", "q.whitmore"]).ok();
    assert!(listed.out.contains("A-0001") && !listed.out.contains("sam"), "{}", listed.out);
    assert_eq!(alerts(&daemon, &["--severity", "high"]).len(), 0);
    assert_eq!(alerts(&daemon, &[])[0]["state"], "open");
    let refused = daemon.run(&["alerts", "show", "A-0001", "--by", "j.cho"]);
    assert_eq!(refused.code, 4, "the technician may not: {refused:?}");
    let shown = daemon.run(&["alerts", "show", "A-0001", "--by", "q.whitmore"]).ok();
    assert!(shown.out.contains("sam") && shown.out.contains("signed in"), "{}", shown.out);
    assert!(!shown.out.contains("forbidden.test"), "an illegal address is hidden: {}", shown.out);
    assert_eq!(alerts(&daemon, &[])[0]["state"], "seen");

    let wrong = daemon.run(&["alerts", "assign", "A-0001", "j.cho", "--by", "q.whitmore"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    let absent = ["alerts", "assign", "A-0001", "a.fenn", "--dry-run", "--by", "q.whitmore"];
    let absent = daemon.run(&absent).ok();
    assert!(absent.err.contains("warning: a.fenn has no account"), "{absent:?}");
    let there = ["alerts", "assign", "A-0001", "q.whitmore", "--by", "q.whitmore"];
    let there = daemon.run(&there).ok();
    assert!(!there.err.contains("has no account"), "{there:?}");
    assert_eq!(alerts(&daemon, &["--mine"]).len(), 1);
    let note = ["--note", "Spoke to Sam; parents come on Monday"];
    let review = ["alerts", "review", "A-0001", "--outcome", "parents", "--by", "q.whitmore"];
    daemon.run(&[&review[..], &note].concat()).ok();
    assert_eq!(alerts(&daemon, &["--open"]).len(), 0);
    let closed = alerts(&daemon, &[]);
    assert_eq!((&closed[0]["state"], &closed[0]["outcome"]), (&"closed".into(), &"parents".into()));
    assert_eq!(daemon.run(&review).code, 2, "what is closed stays so");

    let actions = daemon.run(&["log", "actions", "--jsonl", "--by", "q.whitmore"]).ok().out;
    for part in ["alerts show", "A-0001", "assigned to q.whitmore", "reviewed: parents"] {
        assert!(actions.contains(part), "{part}: {actions}");
    }
    assert!(!actions.contains("Monday"), "what was noted stands in no change log: {actions}");

    let export =
        ["case", "export", "sam", "--reason", "Case 2026-014, for CPOMS", "--by", "q.whitmore"];
    let case = daemon.run(&export).ok().out;
    for part in ["A-0001", "sam", "Year 8", "Illegal", "urgent", "parents: Spoke to Sam"] {
        assert!(case.contains(part), "{part}: {case}");
    }
    assert!(!case.contains("forbidden"), "{case}");
    on_paper(&daemon);
    slips_are_corrected(&daemon);
    let nobody =
        daemon.run(&["case", "export", "kim", "--reason", "Case 2026-015", "--by", "q.whitmore"]);
    assert_eq!(nobody.code, 5, "{nobody:?}");
}

/// What was said of a closed alert by a slip is put right, and both stay.
fn slips_are_corrected(daemon: &Daemon) {
    let review = |outcome: &str, more: &[&str]| {
        let line = ["alerts", "review", "A-0001", "--outcome", outcome, "--by", "q.whitmore"];
        daemon.run(&[&line[..], more].concat())
    };
    let stands = || {
        let alert = alerts(daemon, &[]).remove(0);
        ["state", "outcome"].map(|field| alert[field].as_str().unwrap().to_owned())
    };
    assert_eq!(review("spoken", &["--correct"]).code, 2, "not without a note");
    assert_eq!(review("spoken", &["--correct", "--note", " "]).code, 2, "nor with an empty one");
    let slip = ["--correct", "--note", "Closed by a slip of the hand"];
    let tried = review("spoken", &[&slip[..], &["--dry-run"]].concat()).ok();
    assert!(tried.out.contains("would be corrected to spoken"), "{tried:?}");
    assert_eq!(stands(), ["closed", "parents"]);
    let said = review("SPOKEN", &slip).ok();
    assert!(said.out.contains("corrected to spoken, and stays closed"), "{said:?}");
    assert_eq!(stands(), ["closed", "spoken"]);
    let said = review("watching", &slip).ok();
    assert!(said.out.contains("corrected to watching, and open again"), "{said:?}");
    assert_eq!(stands(), ["watched", "watching"]);
    let open = review("spoken", &slip);
    assert!(open.code == 2 && open.err.contains("there is nothing to correct"), "{open:?}");
    review("parents", &[]).ok();
    assert_eq!(stands(), ["closed", "parents"]);
    let shown = daemon.run(&["alerts", "show", "A-0001", "--by", "q.whitmore"]).ok().out;
    assert!(shown.contains("spoken: Closed by a slip of the hand"), "{shown}");
    assert!(shown.contains("parents: Spoke to Sam"), "what was said first stays: {shown}");
    let actions = daemon.run(&["log", "actions", "--jsonl", "--by", "q.whitmore"]).ok().out;
    assert!(actions.contains("what was said of it corrected to: spoken"), "{actions}");
}

/// What `case export --format pdf` makes of the alert, as another program reads it.
fn on_paper(daemon: &Daemon) {
    let path = daemon.folder().join("case.pdf");
    let path = path.to_str().unwrap();
    let export =
        ["case", "export", "A-0001", "--reason", "Case 2026-014, for CPOMS", "--by", "q.whitmore"];
    daemon.run(&[&export[..], &["--format", "pdf", "-o", path]].concat()).ok();
    let json = daemon.run(&[&export[..], &["--format", "json"]].concat()).ok().json();
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "for its reader alone");
    let Ok(read) = Command::new("pdftotext").args(["-raw", path, "-"]).output() else {
        eprintln!("passed over: pdftotext is not installed");
        return;
    };
    let text = String::from_utf8(read.stdout).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let digest = json[0]["Digest of evidence"].as_str().unwrap();
    assert_eq!(digest.len(), 64, "{json}");
    for part in [
        "Test Academy: safeguarding record",
        "Case 2026-014, for CPOMS",
        "A-0001: Illegal",
        "Person sam",
        "signed in: somebody gave this name and its password",
        "Year 8",
        // Cells that flow over two lines are read line by line.
        "block, site: 10",
        "told a.fenn by mail",
        "looked at it",
        "assigned it to q.whitmore",
        "parents: Spoke to Sam",
        &format!("Evidence SHA-256 {digest} Page 1 of 1"),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("forbidden") && !text.contains("dreadful"), "{text}");
}

#[test]
fn neither_a_server_that_is_down_nor_a_kill_loses_or_repeats_what_is_to_be_told() {
    let (hook, posted) = webhook();
    let port = free_port();
    let mut daemon = school(port, hook);
    open(&daemon, "sam", "forbidden.test", "/a");
    posted.recv_timeout(WITHIN).unwrap();
    // The mail server does not answer, which is written down, and the filter is killed.
    wait_for("a mail that cannot be sent", PATIENCE, || {
        let shown = daemon.run(&["alerts", "show", "A-0001", "--json", "--by", "a.fenn"]).out;
        shown.contains("\"failed\": \"") && shown.contains("\"to\": \"q.whitmore\"")
    });
    daemon.kill();
    // Another sign, of which the filter knows nothing but its journal as it is killed.
    daemon.start_again();
    open(&daemon, "kim", "forbidden.test", "/b");
    daemon.kill();
    let _mail = MailServer::start(&daemon, port, "localhost", "right horse");
    daemon.start_again();
    let begun = Instant::now();
    wait_for("both mails of both alerts", WITHIN, || {
        mails_to(&daemon, "lead@school.example") >= 2
            && mails_to(&daemon, "head@school.example") >= 2
    });
    eprintln!("from the start to all mails: {:?}", begun.elapsed());
    wait_for("everything delivered", PATIENCE, || {
        daemon.ops_get("/metrics").unwrap().text().contains("proxy_alerts_undelivered 0")
    });
    assert_eq!(alerts(&daemon, &[]).len(), 2);
    let before = mails(&daemon);
    daemon.kill();
    daemon.start_again();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mails(&daemon), before, "what has arrived is not told again");
    assert_eq!(alerts(&daemon, &[]).len(), 2);
    let ids: Vec<&str> = before.lines().filter(|line| line.starts_with("Message-ID")).collect();
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 4, "two alerts for two people: {ids:?}");
}

#[test]
fn what_comes_after_an_alert_was_closed_opens_it_again_and_is_told_again_once() {
    let (hook, posted) = webhook();
    let port = free_port();
    let mut daemon = school(port, hook);
    let _mail = MailServer::start(&daemon, port, "localhost", "right horse");
    let told = |daemon: &Daemon, times: usize| {
        wait_for("mail to both", WITHIN, || {
            ["lead@school.example", "head@school.example"]
                .iter()
                .all(|address| mails_to(daemon, address) == times)
        });
        wait_for("everything delivered", PATIENCE, || {
            daemon.ops_get("/metrics").unwrap().text().contains("proxy_alerts_undelivered 0")
        });
    };
    open(&daemon, "sam", "forbidden.test", "/a");
    posted.recv_timeout(WITHIN).unwrap();
    told(&daemon, 1);
    // While it is open more of the same is told to nobody.
    open(&daemon, "sam", "forbidden.test", "/b");
    assert!(posted.recv_timeout(Duration::from_secs(2)).is_err());
    let review = ["alerts", "review", "A-0001", "--outcome", "spoken", "--by", "q.whitmore"];
    daemon.run(&[&review[..], &["--note", "Spoke to Sam"]].concat()).ok();
    assert_eq!(alerts(&daemon, &[])[0]["state"], "closed");

    open(&daemon, "sam", "forbidden.test", "/c");
    let body = posted.recv_timeout(WITHIN).unwrap();
    assert!(
        body.contains("\"alert\":\"A-0001\"") && body.contains("\"severity\":\"urgent\""),
        "{body}"
    );
    let by = "\"reopened_by\":{\"severity\":\"urgent\",\"signs\":1,\"source\":\"site\"}";
    assert!(body.contains(by), "{body}");
    told(&daemon, 2);
    for part in [
        "open again",
        "It was closed, and something further came: it is open again.",
        "Further    1 sign, urgent (site)",
    ] {
        assert!(mails(&daemon).matches(part).count() >= 2, "{part}: {}", mails(&daemon));
    }
    let listed = alerts(&daemon, &["--open"]);
    assert_eq!((listed.len(), &listed[0]["state"]), (1, &"open".into()), "{listed:?}");
    let shown =
        daemon.run(&["alerts", "show", "A-0001", "--json", "--by", "q.whitmore"]).ok().json();
    assert_eq!(shown["told"].as_array().unwrap().len(), 6, "both tellings: {shown}");
    let by = &shown["reopened"][0]["by"];
    assert_eq!((&by["signs"], &by["severity"]), (&1.into(), &"urgent".into()), "{shown}");
    let said = daemon.run(&["alerts", "show", "A-0001", "--by", "q.whitmore"]).ok().out;
    assert!(said.contains("open again") && said.contains(" by 1 sign, urgent (site)"), "{said}");
    let before = mails(&daemon);
    let ids: std::collections::BTreeSet<&str> =
        before.lines().filter(|line| line.starts_with("Message-ID")).collect();
    assert_eq!(ids.len(), 4, "a mail program must not take the second for the first: {ids:?}");
    daemon.kill();
    daemon.start_again();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mails(&daemon), before, "it is told once");
    assert_eq!(alerts(&daemon, &[]).len(), 1);
    daemon.run(&review).ok();
}

#[test]
fn one_sign_of_high_severity_is_none_two_are_and_what_is_routine_is_told_to_nobody() {
    let (hook, posted) = webhook();
    let daemon = school(free_port(), hook);
    open(&daemon, "sam", "harm.test", "/a");
    for page in ["/a", "/b", "/c", "/d", "/e", "/f"] {
        open(&daemon, "sam", "adult.test", page);
        // Sites at once are one page.
        std::thread::sleep(Duration::from_millis(2_100));
    }
    wait_for("the routine one", PATIENCE, || {
        alerts(&daemon, &["--severity", "routine"]).len() == 1
    });
    assert_eq!(alerts(&daemon, &[]).len(), 1);
    open(&daemon, "sam", "harm.test", "/b");
    let body = posted.recv_timeout(WITHIN).unwrap();
    assert!(body.contains("self-harm") && body.contains("\"severity\":\"high\""), "{body}");
    assert!(posted.recv_timeout(Duration::from_secs(2)).is_err(), "one post for one alert");

    // The week's report: what waits first, then themes, and who is in several of them by initials.
    let week = ["report", "weekly", "--since", "this week", "--format", "md", "--for"];
    let lead = daemon.run(&[&week[..], &["dsl", "--by", "q.whitmore"]].concat()).ok().out;
    let order = [
        "alert A-0002: high",
        "alert A-0001: routine",
        "## Themes",
        "Self-harm",
        "## Pupils",
        "Year 8",
    ];
    let mut rest = lead.as_str();
    for part in order {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part} in {lead}"));
        rest = &rest[at..];
    }
    let row = "| S | Year 8 | signed in | 2 | Pornography, Self-harm | A-0001, A-0002 |";
    assert!(lead.contains(row), "{lead}");
    assert!(!lead.contains("sam."), "{lead}");
    let technician = daemon.run(&[&week[..], &["it", "--by", "j.cho"]].concat()).ok().out;
    for part in ["A-0002", "## Themes", "## Pupils"] {
        assert!(!technician.contains(part), "{part}: {technician}");
    }
}
