//! A weekly report that nobody reads: the deputy is told by a real mail server over TLS, once, whatever
//! ends in between; and is told nothing where somebody has read it.

use crate::alerts::{mails, mails_to};
use crate::daemon::{Daemon, Plan, free_port, wait_for};
use crate::second_places::MailServer;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use ledger::changes::ChangeLog;
use rules::change::Event;
use rules::time::UnixMillis;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// The school's time now, in a zone where no day ends within two hours: a test that runs over midnight
/// would see another week. All tests have the one that the first had.
fn school_time() -> (&'static str, Zoned) {
    static TIME: std::sync::OnceLock<(&str, Zoned)> = std::sync::OnceLock::new();
    TIME.get_or_init(quiet_time).clone()
}

fn quiet_time() -> (&'static str, Zoned) {
    let zones = ["Etc/UTC", "Etc/GMT-6"];
    let times = zones.map(|zone| (zone, Timestamp::now().to_zoned(TimeZone::get(zone).unwrap())));
    times.into_iter().find(|(_, time)| (2..22).contains(&time.hour())).unwrap()
}

/// As if the filter had run for a month.
fn has_run(folder: &Path) {
    let state = folder.join("state");
    std::fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    let month_ago = UnixMillis((Timestamp::now() - 720.hours()).as_millisecond());
    let event = Event::ServeStarted {
        version: String::new(),
        policy_hash: String::new(),
        list_version: String::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = ChangeLog::open(&state).await.unwrap();
        log.append(month_ago, "schoolgate", event).await.unwrap();
    });
}

/// A school whose deputy is told of an unread report from this minute of the week on, and whose mail goes
/// to a port.
fn school(folder: &Path, mail: u16) -> Daemon {
    has_run(folder);
    let machine = format!(
        "[alerts.mail]\n\"q.whitmore\" = \"lead@school.example\"\n\
         \"a.fenn\" = \"Deputy <deputy@school.example>\"\n\
         [mail]\nserver = \"localhost:{mail}\"\nfrom = \"filter@school.example\"\n\
         user = \"filter\"\npassword_file = \"mail-password\"\n"
    );
    let (zone, time) = school_time();
    let reports = format!(
        "[reports]\nunread_at = \"{}\"\ndeputy = [\"a.fenn\"]\n\n[unblock]",
        time.strftime("%a %H:%M")
    );
    let edits = [
        ("Europe/London", zone.to_owned()),
        ("dsl = [\"q.whitmore\"]", "dsl = [\"q.whitmore\"]\nhead = [\"a.fenn\"]".to_owned()),
        ("[unblock]", reports),
    ];
    let edits = edits.map(|(from, to)| (from.to_owned(), to)).to_vec();
    let folder = Some(folder.to_owned());
    let plan = Plan { machine, edits, folder, people: true, inspected: true, ..Plan::default() };
    let daemon = Daemon::start_with(&plan);
    std::fs::write(daemon.folder().join("mail-password"), "right horse\n").unwrap();
    daemon
}

/// Whether the report is unread, and how many people nobody has told.
fn counts(daemon: &Daemon, unread: u32, untold: u32) -> bool {
    let metrics = daemon.ops_get("/metrics").unwrap().text();
    metrics.contains(&format!("proxy_report_unread {unread}\n"))
        && metrics.contains(&format!("proxy_report_unread_untold {untold}\n"))
}

/// What the change log says of tellings: to whom, and why one did not arrive.
fn tellings(daemon: &Daemon) -> Vec<String> {
    let line = ["log", "actions", "--event", "report_unread", "--jsonl", "--by", "q.whitmore"];
    let lines = daemon.run(&line).ok().lines();
    lines.iter().map(|line| line["detail"].as_str().unwrap().to_owned()).collect()
}

fn unread_mails(daemon: &Daemon) -> usize {
    mails(daemon).matches("Subject: Nobody has read the weekly filtering report of Test").count()
}

/// The Monday of last week, by the school's clock.
fn last_monday() -> String {
    let day = school_time().1.date();
    let since = i64::from(day.weekday().to_monday_zero_offset()) + 7;
    (day - since.days()).to_string()
}

#[test]
fn the_deputy_is_told_once_of_a_report_that_nobody_read_whatever_ends_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut daemon = school(folder.path(), port);
    assert_eq!(daemon.get_as("sam", &daemon.url("adult.test", "/words")).status, 403);
    // The mail server is down: that is written down, once, and the filter is killed.
    wait_for("a telling that fails", PATIENCE, || tellings(&daemon).len() == 1);
    assert!(tellings(&daemon)[0].contains("failed: "), "{:?}", tellings(&daemon));
    assert!(counts(&daemon, 1, 1));
    daemon.kill();
    let _mail = MailServer::start(&daemon, port, "localhost", "right horse");
    daemon.start_again();
    wait_for("the mail", PATIENCE, || unread_mails(&daemon) == 1);
    wait_for("nobody untold", PATIENCE, || counts(&daemon, 1, 0));
    assert_eq!(mails_to(&daemon, "deputy@school.example"), 1);
    assert_eq!(mails_to(&daemon, "lead@school.example"), 0);
    let told = format!("to: a.fenn; week: {}", last_monday());
    assert_eq!(tellings(&daemon).iter().filter(|it| **it == told).count(), 1, "{told}");
    // It says which report, and nothing of anybody.
    let mail = mails(&daemon).replace("=\r\n", "");
    assert!(mail.contains(&format!("schoolgate report review --week {}", last_monday())), "{mail}");
    for private in ["sam", "adult", "words"] {
        assert!(!mail.to_lowercase().contains(private), "{private}: {mail}");
    }

    // Not again after another start.
    daemon.kill();
    daemon.start_again();
    wait_for("the report looked for", PATIENCE, || counts(&daemon, 1, 0));
    assert_eq!(unread_mails(&daemon), 1);
    // The report says so too, and who would be told.
    let line = ["report", "weekly", "--for", "dsl", "--by", "q.whitmore"];
    let page = daemon.run(&line).ok().out;
    assert!(page.contains("That this report was unread was told to a.fenn"), "{page}");
    assert!(page.contains("a.fenn is told by mail"), "{page}");
    // That was a look.
    wait_for("a report that was read", PATIENCE, || counts(&daemon, 0, 0));
}

#[test]
fn nobody_is_told_of_a_report_that_was_read_and_signed() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let daemon = school(folder.path(), port);
    wait_for("a telling that fails", PATIENCE, || tellings(&daemon).len() == 1);
    let sign = ["report", "review", "--action", "Spoke to the tutor", "--by"];
    let refused = daemon.run(&[&sign[..], &["j.cho"]].concat());
    assert_eq!(refused.code, 4, "the technician may not: {refused:?}");
    let early = daemon.run(&[&sign[..], &["q.whitmore", "--week", "2999-01-01"]].concat());
    assert_eq!(early.code, 2, "{early:?}");
    assert!(counts(&daemon, 1, 1), "neither is a review");
    let signed = daemon.run(&[&sign[..], &["q.whitmore"]].concat()).ok();
    assert!(signed.out.contains(&format!("week of {}", last_monday())), "{signed:?}");
    wait_for("a report that was read", PATIENCE, || counts(&daemon, 0, 0));
    // The mail server is there from now on; what mail comes is of an alert alone.
    let _mail = MailServer::start(&daemon, port, "localhost", "right horse");
    assert_eq!(daemon.get_as("sam", &daemon.url("forbidden.test", "/a")).status, 403);
    wait_for("mail of an alert", PATIENCE, || mails_to(&daemon, "deputy@school.example") == 1);
    assert_eq!(unread_mails(&daemon), 0, "{}", mails(&daemon));
    let actions = daemon.run(&["log", "actions", "--jsonl", "--by", "q.whitmore"]).ok().out;
    assert!(actions.contains("report_reviewed") && actions.contains("Spoke to the tutor"));
    let line = ["report", "weekly", "--format", "json", "--by", "q.whitmore"];
    let week = daemon.run(&line).ok().json();
    assert_eq!(week["reviewed"][0]["action"], "Spoke to the tutor", "{week}");
    assert_eq!(week["unread_report_told"]["people"], serde_json::json!(["a.fenn"]), "{week}");
    let page = daemon.run(&["report", "weekly", "--by", "q.whitmore"]).ok().out;
    assert!(page.contains("| Spoke to the tutor |"), "{page}");
}

#[test]
fn where_nobody_would_be_told_doctor_config_and_report_say_so() {
    let daemon = Daemon::start_without_people();
    let report = daemon.run(&["report", "weekly", "--by", "q.whitmore"]).ok().out;
    assert!(report.contains("Nobody is told where this page stays unread"), "{report}");
    for line in [&["doctor"][..], &["config", "validate"]] {
        let said = daemon.run(line);
        let text = format!("{}{}", said.out, said.err);
        assert!(text.contains("nobody is told where it stays unread"), "{line:?}: {text}");
        assert!(text.contains("deputy = [\"a.deputy\"]"), "{line:?}: {text}");
    }
}
