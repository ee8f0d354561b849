#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::category::Catalogue;

const POLICY: &str = "school = \"S\"\ntimezone = \"Europe/London\"\n\
    terms = [\"2026-09-02/2026-12-18\", \"2027-01-05/2027-03-25\"]\norder = [\"ks3\"]\n[levels]\nks3 = {}\n[roles]\ndsl = [\"q.whitmore\", \"a.deputy\"]\n\
    head = [\"a.fenn\"]\nit = [\"j.cho\"]\n[unblock]\nauthorise = [\"dsl\"]\nconfirm = [\"it\"]\n";

fn policy(more: &str) -> Policy {
    let text = format!("{POLICY}{more}");
    match Policy::parse(&text, "policy.toml", Catalogue::shipped(), &|_| Ok(String::new())) {
        Ok(policy) => policy,
        Err(faults) => panic!("{faults:#?}"),
    }
}

/// A moment as the school's clock shows it.
fn at(text: &str) -> UnixMillis {
    policy("").clock().moment(text, UnixMillis(0), false).unwrap()
}

fn entry(when: &str, actor: &str, event: Event) -> ChangeEntry {
    ChangeEntry { sequence: 0, at: at(when), actor: actor.to_owned(), event }
}

fn look(when: &str, actor: &str, subject: &str) -> ChangeEntry {
    let (what, subject) = (WEEKLY.to_owned(), subject.to_owned());
    entry(when, actor, Event::Looked { what, subject })
}

fn told(when: &str, week: &str, to: &str, failed: Option<&str>) -> ChangeEntry {
    let (week, to) = (week.to_owned(), to.to_owned());
    let event = Event::ReportUnread { week, to, failed: failed.map(str::to_owned) };
    entry(when, "schoolgate", event)
}

/// The filter has run since the first of November.
fn started() -> ChangeEntry {
    let text = || String::new();
    let event = Event::ServeStarted { version: text(), policy_hash: text(), list_version: text() };
    entry("2026-11-01 08:00", "schoolgate", event)
}

/// Whether the report of 16 to 22 November is unread on a Friday after noon, and by whom untold.
fn found(policy: &Policy, entries: &[ChangeEntry], now: &str) -> Option<(String, Vec<String>)> {
    let mut all = vec![started()];
    all.extend_from_slice(entries);
    unread(policy, &all, at(now)).map(|it| (it.monday.to_string(), it.untold))
}

const FRIDAY: &str = "2026-11-27 12:00";
const WEEK: &str = "2026-11-16";

fn untold(week: &str, people: &[&str]) -> Option<(String, Vec<String>)> {
    Some((week.to_owned(), people.iter().map(|name| (*name).to_owned()).collect()))
}

#[test]
fn from_friday_noon_on_the_deputy_is_told_of_the_week_before_until_the_next_fridays_noon() {
    let named = policy("[reports]\ndeputy = [\"a.deputy\"]\n");
    let cases = [
        ("2026-11-27 11:59", "2026-11-09"),
        ("2026-11-27 12:00", WEEK),
        ("2026-11-29 23:59", WEEK),
        ("2026-12-04 11:59", WEEK),
        ("2026-12-04 12:00", "2026-11-23"),
    ];
    for (now, week) in cases {
        assert_eq!(found(&named, &[], now), untold(week, &["a.deputy"]), "{now}");
    }
    // Nobody named: the head. Another time: then.
    assert_eq!(found(&policy(""), &[], FRIDAY), untold(WEEK, &["a.fenn"]));
    let monday = policy("[reports]\nunread_at = \"mon 08:30\"\n");
    assert_eq!(found(&monday, &[], "2026-11-23 08:29"), untold("2026-11-09", &["a.fenn"]));
    assert_eq!(found(&monday, &[], "2026-11-23 08:30"), untold(WEEK, &["a.fenn"]));
}

#[test]
fn a_look_at_that_week_by_whose_task_it_is_or_a_signature_is_reading() {
    let policy = policy("[reports]\ndeputy = [\"a.fenn\"]\n");
    let signed = |when: &str, week: &str| {
        let (week, action) = (week.to_owned(), "Nothing to do".to_owned());
        entry(when, "A.Fenn", Event::ReportReviewed { week, action })
    };
    let tuesday = "2026-11-24 09:00";
    let read = [
        look(tuesday, "Q.Whitmore", "for dsl"),
        look(tuesday, "a.deputy", "for dsl; since last week; with names, reason to; since today"),
        look(tuesday, "a.fenn", "for dsl"),
        look(tuesday, "q.whitmore", "for dsl; since 2026-11-16/2026-11-22"),
        look("2026-12-01 09:00", "q.whitmore", "for dsl; since 2026-11-16"),
        signed(tuesday, WEEK),
    ];
    for entry in read {
        assert_eq!(
            found(&policy, std::slice::from_ref(&entry), "2026-12-02 09:00"),
            None,
            "{entry:?}"
        );
    }
    let unread = [
        look(tuesday, "q.whitmore", "for it"),
        look(tuesday, "auditor", "for dsl"),
        look(tuesday, "q.whitmore", "for dsl; since this week"),
        look(tuesday, "q.whitmore", "for dsl; since 2026-11-17"),
        // Before the week was over, and the report of another week.
        look("2026-11-20 09:00", "q.whitmore", "for dsl; since this week"),
        look("2026-11-20 09:00", "q.whitmore", "for dsl; since 2026-11-16/2026-11-22"),
        look("2026-11-20 09:00", "q.whitmore", "for dsl"),
        look("2026-12-01 09:00", "q.whitmore", "for dsl"),
        signed(tuesday, "2026-11-09"),
    ];
    for entry in unread {
        let found = found(&policy, std::slice::from_ref(&entry), "2026-12-02 09:00");
        assert_eq!(found, untold(WEEK, &["a.fenn"]), "{entry:?}");
    }
}

#[test]
fn each_is_told_once_and_what_did_not_arrive_is_not_told() {
    let two = policy("[reports]\ndeputy = [\"a.deputy\", \"a.fenn\"]\n");
    let entries = [
        told(FRIDAY, WEEK, "a.fenn", Some("no answer")),
        told(FRIDAY, "2026-11-09", "a.fenn", None),
        told(FRIDAY, WEEK, "A.Deputy", None),
    ];
    let now = "2026-11-27 13:00";
    assert_eq!(found(&two, &entries, now), untold(WEEK, &["a.fenn"]));
    let both = [&entries[..], &[told(now, WEEK, "a.fenn", None)]].concat();
    assert_eq!(found(&two, &both, now), untold(WEEK, &[]));
    let reading = Reading::of(&both, two.clock(), WEEK.parse().unwrap(), FOR_LEAD);
    assert_eq!(reading.told.len(), 2, "{reading:?}");
}

#[test]
fn a_holiday_and_a_week_before_the_filter_ran_need_no_reader() {
    let policy = policy("");
    assert_eq!(unread(&policy, &[], at(FRIDAY)), None);
    let late = entry("2026-11-23 08:00", "schoolgate", started().event);
    assert_eq!(unread(&policy, &[late], at(FRIDAY)), None);
    // A clock that ran ahead when it began: it may have run by then.
    let ahead = entry("2030-01-01 08:00", "schoolgate", started().event);
    let found_then = unread(&policy, &[ahead], at(FRIDAY)).map(|it| it.monday.to_string());
    assert_eq!(found_then.as_deref(), Some(WEEK));
    // The last week of term has a reader, that of Christmas none.
    assert_eq!(found(&policy, &[], "2026-12-25 12:00"), untold("2026-12-14", &["a.fenn"]));
    assert_eq!(found(&policy, &[], "2027-01-01 12:00"), None);
}

#[test]
fn faults_of_the_table_say_what_to_do_and_a_school_without_a_deputy_is_warned() {
    let fault = |more: &str| {
        let text = format!("{POLICY}{more}");
        let read =
            Policy::parse(&text, "policy.toml", Catalogue::shipped(), &|_| Ok(String::new()));
        let said =
            |it: &crate::policy::PolicyError| format!("{}: {}; {}", it.place, it.what, it.fix);
        read.unwrap_err().iter().map(said).collect::<Vec<_>>().join("\n")
    };
    for (table, what, fix) in [
        ("unread_at = \"noon\"", "\"noon\" is no minute of the week", "unread_at = \"Fri 12:00\""),
        ("unread_at = \"Fri 12:60\"", "write it like \"Fri 12:00\"", "in school time"),
        ("deputy = []", "names nobody", "the head is told"),
        ("deputy = [\"j.cho\"]", "\"j.cho\" may not read", "the role dsl or head"),
        ("deputies = [\"a.fenn\"]", "deputies", "deputy"),
    ] {
        let said = fault(&format!("[reports]\n{table}\n"));
        assert!(said.contains(what) && said.contains(fix), "{table}: {said}");
    }
    let warned = |text: &str| {
        let read = Policy::parse(text, "policy.toml", Catalogue::shipped(), &|_| Ok(String::new()));
        read.unwrap().warnings().iter().filter(|it| it.contains("stays unread")).count()
    };
    assert_eq!(warned(POLICY), 0);
    let headless = POLICY.replace("head = [\"a.fenn\"]\n", "");
    assert_eq!(warned(&headless), 1);
    assert_eq!(warned(&format!("{headless}[reports]\ndeputy = [\"a.deputy\"]\n")), 0);
    let alone = headless.replace(", \"a.deputy\"", "");
    assert_eq!(warned(&format!("{alone}[reports]\ndeputy = [\"q.whitmore\"]\n")), 1);
}

#[test]
fn who_is_told_or_later_takes_a_second_person() {
    let with = |table: &str| policy(&format!("[reports]\n{table}\n"));
    let cases = [
        ("unread_at = \"Thu 09:00\"", "unread_at = \"Fri 09:00\"", true, false),
        ("deputy = [\"a.fenn\"]", "deputy = [\"a.deputy\"]", true, true),
        ("", "deputy = [\"a.deputy\"]", true, true),
    ];
    for (old, new, there, back) in cases {
        for (from, to, loosens) in [(old, new, there), (new, old, back)] {
            let diff = with(from).diff(&with(to), &crate::policy::LevelChanges::default());
            assert_eq!((diff.lines.len(), diff.loosens), (1, loosens), "{:?}", diff.lines);
        }
    }
    assert_eq!(
        with("unread_at = \"thursday 9:05\"").report_rules().unread_at.to_string(),
        "Thu 09:05"
    );
}
