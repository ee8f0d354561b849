//! Records as the school keeps them: erased when their time is up, held for a case, given to the person
//! they are about.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where its setup fails")]
#![allow(dead_code, reason = "the made-up school has helpers that only other tests use")]

mod school;

use ledger::alerts::{AlertEvent, AlertStore, Alerts, NewEvent, Outcome, Private};
use ledger::episodes::{Confidence, EpisodeKey, Person, Source};
use rules::alert::{AlertId, Severity};
use rules::code::RequestId;
use rules::decide::ReasonCode;
use rules::time::UnixMillis;
use school::School;
use std::convert::Infallible;

const OK: i32 = 0;
const USAGE: i32 = 2;
const NOT_PERMITTED: i32 = 4;
const NOT_FOUND: i32 = 5;

const DAY_MS: i64 = 86_400_000;
const REASON: &str = "subject access request of 3 March";

/// One old day and today, both under a checkpoint.
fn two_days() -> School {
    let school = School::new();
    let records = [
        ("sam.p", "ks3", "arcade.test", "/old", "games", false),
        ("kit.r", "ks3", "library.test", "/new", "education", true),
    ];
    school.log_because(ReasonCode::Category, &[400 * DAY_MS, 0], &records);
    assert_eq!(school.run("audit checkpoint", &[]).code, OK);
    school
}

#[test]
fn a_day_that_is_over_is_erased_and_verify_says_by_which_entry() {
    let school = two_days();
    // More than a year without a record: the clock may have jumped.
    let doubtful = school.run("retention run --by j.cho", &[]);
    assert_eq!(doubtful.code, OK, "{doubtful:?}");
    assert!(doubtful.out.contains("retention run --despite-gap"), "{doubtful:?}");
    assert!(doubtful.err.contains("nothing was erased"), "{doubtful:?}");
    let ran = school.run("retention run --despite-gap --dry-run --by j.cho", &[]);
    assert!(ran.out.contains("would be erased, 1 records"), "{ran:?}");
    let ran = school.run("retention run --despite-gap --by j.cho", &[]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(ran.out.contains("erased, 1 records"), "{ran:?}");
    let ran = school.run("audit verify", &[]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(ran.out.contains("was erased by entry "), "{ran:?}");
    let again = school.run("retention run --despite-gap --by j.cho", &[]);
    assert!(again.err.contains("nothing was erased"), "{again:?}");
    let ran = school.run("retention run --despite-gap --by m.obi", &[]);
    assert_eq!(ran.code, NOT_PERMITTED, "{ran:?}");
}

#[test]
fn a_hold_keeps_a_day_until_another_person_lifts_it() {
    let school = two_days();
    let add = "retention hold add --person SAM.P --by q.whitmore";
    let ran = school.run(add, &["--reason", "short"]);
    assert_eq!(ran.code, USAGE, "{ran:?}");
    let everything =
        school.run("retention hold add --by q.whitmore", &["--reason", "the coroner asked for it"]);
    assert_eq!(everything.code, USAGE, "{everything:?}");
    let ran = school.run(add, &["--reason", "the coroner asked for it"]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(ran.out.contains("H-0001  kept: person SAM.P"), "{ran:?}");
    let ran = school.run("retention run --despite-gap --by j.cho", &[]);
    assert!(ran.out.contains("kept: held by H-0001"), "{ran:?}");
    let lift = |by: &str| {
        let line = format!("retention hold lift H-0001 --by {by}");
        school.run(&line, &["--reason", "the inquest is over"])
    };
    assert_eq!(lift("j.cho").code, NOT_PERMITTED);
    let own = lift("q.whitmore");
    assert_eq!(own.code, NOT_PERMITTED, "{own:?}");
    assert!(own.err.contains("you made H-0001, so you cannot lift it"), "{own:?}");
    assert_eq!(lift("a.deputy").code, OK);
    assert_eq!(lift("a.deputy").code, NOT_FOUND);
    assert!(
        school.run("retention run --despite-gap --by j.cho", &[]).out.contains("erased, 1 records")
    );
}

#[test]
fn a_person_gets_all_that_is_recorded_on_them_and_the_look_is_an_entry() {
    let school = School::new();
    school.user("sam.p", "ks3", &[]);
    school.log(&[
        ("sam.p", "ks3", "arcade.test", "/<script>alert(1)</script>", "games", false),
        ("Sam.P", "ks3", "library.test", "/maths|x", "education", true),
        ("sam.parker", "ks3", "library.test", "/other", "education", true),
        ("sam.p", "ks3", "sealed.test", "/secret", "illegal", false),
    ]);
    let report = |format: &str| {
        let line = format!("report person sam.p --format {format} --by q.whitmore");
        let ran = school.run(&line, &["--reason", REASON]);
        assert_eq!(ran.code, OK, "{ran:?}");
        ran.out
    };
    for format in ["html", "md", "csv", "json"] {
        let text = report(format);
        assert!(text.contains("arcade.test") && text.contains("library.test"), "{text}");
        assert!(!text.contains("/other"), "another person's: {text}");
        assert!(!text.contains("sealed.test") && !text.contains("/secret"), "{text}");
    }
    assert!(!report("html").contains("<script>"));
    assert!(!report("md").contains("/maths|x"));
    let json: serde_json::Value = serde_json::from_str(&report("json")).unwrap();
    assert_eq!(json["accesses"].as_array().unwrap().len(), 3);
    assert_eq!(json["user"][0]["level"], "ks3");
    assert!(json["entries"].to_string().contains("report person"), "the looks are about them too");
    let looks = school.run("log actions --event looked --by q.whitmore", &[]);
    assert!(looks.out.contains(REASON), "{looks:?}");
}

/// Raises an alert about somebody, which somebody else closes with a note.
fn raise(school: &School, number: u32, name: &str, note: &str) {
    raise_on(school, "2026-11-22", number, name, note);
}

/// The same of a school day.
fn raise_on(school: &School, day: &str, number: u32, name: &str, note: &str) {
    let alert = AlertId(number);
    let raised = AlertEvent::Raised {
        alert,
        episode: EpisodeKey { first: RequestId(u64::from(number)), theme: "drugs".into() },
        day: day.into(),
        severity: Severity::High,
        level: "ks3".into(),
        confidence: Confidence::SignedIn,
        strongest: Source::Site,
        first: UnixMillis(5),
        signs: 2,
        private: String::new(),
    };
    let reviewed =
        AlertEvent::Reviewed { alert, outcome: Outcome::Parents, read: None, private: None };
    let (about, note) = (Private::About(Person::User(name.into())), Private::Note(note.into()));
    let events = vec![
        NewEvent { private: Some(about), ..NewEvent::new("schoolgate", raised) },
        NewEvent { private: Some(note), ..NewEvent::new("q.whitmore", reviewed) },
        NewEvent::new("q.whitmore", AlertEvent::Closed { alert }),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut store = AlertStore::open(&school.path("state")).await.unwrap();
        let events = |_: &Alerts| Ok::<_, Infallible>(events);
        store.append_with(UnixMillis(1_795_000_000_000), &[], events).await.unwrap();
    });
}

#[test]
fn a_report_on_a_person_has_the_alerts_about_them_and_no_others() {
    let school = School::new();
    school.user("sam.p", "ks3", &[]);
    school.log(&[("sam.p", "ks3", "arcade.test", "/", "games", false)]);
    raise(&school, 1, "sam.p", "The parents come on Monday");
    raise(&school, 2, "kit.r", "Of somebody else");
    for format in ["html", "md", "csv", "json"] {
        let line = format!("report person SAM.P --format {format} --by q.whitmore");
        let ran = school.run(&line, &["--reason", REASON]);
        assert_eq!(ran.code, OK, "{ran:?}");
        for part in ["A-0001", "Drugs", "high", "closed", "parents (q.whitmore, ", "on Monday"] {
            assert!(ran.out.contains(part), "{part}: {}", ran.out);
        }
        let others = ran.out.contains("A-0002") || ran.out.contains("somebody else");
        assert!(!others, "another person's: {}", ran.out);
    }
    let line = "report person sam.p --format json --by q.whitmore";
    let ran = school.run(line, &["--reason", REASON]);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["alerts"][0]["notes"], "The parents come on Monday");
    assert_eq!(json["alerts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_report_on_a_name_that_nobody_has_is_doubted() {
    let school = School::new();
    school.user("sam.p", "ks3", &[]);
    school.log(&[("gone", "ks3", "arcade.test", "/", "games", false)]);
    let report = |name: &str| {
        let line = format!("report person {name} --format json --by q.whitmore");
        let ran = school.run(&line, &["--reason", REASON]);
        assert_eq!(ran.code, OK, "{ran:?}");
        ran.err
    };
    let slip = report("sam.pp");
    assert!(slip.contains("warning: no user is called sam.pp, and no record has"), "{slip}");
    assert!(slip.contains("fix: did you mean sam.p?"), "{slip}");
    for known in ["SAM.P", "gone", "q.whitmore"] {
        assert!(!report(known).contains("no user is called"), "{known}");
    }
}

#[test]
fn a_report_on_a_person_needs_the_role_a_reason_and_a_new_file() {
    let school = School::new();
    school.log(&[("sam.p", "ks3", "=cmd.test", "/", "games", false)]);
    let person = |more: &str, reason: &str| {
        let line = format!("report person sam.p --format csv {more}");
        school.run(&line, &["--reason", reason])
    };
    assert_eq!(person("--by j.cho", REASON).code, NOT_PERMITTED);
    assert_eq!(person("--by q.whitmore", "because").code, USAGE);
    assert_eq!(person("--by q.whitmore", &"long ".repeat(100)).code, USAGE);
    assert_eq!(school.run("report person sam.p --by q.whitmore", &[]).code, USAGE);
    let written = person("--by q.whitmore -o sam.csv", REASON);
    assert_eq!(written.code, OK, "{written:?}");
    let text = std::fs::read_to_string(school.path("sam.csv")).unwrap();
    assert!(text.contains("\"'=cmd.test\""), "no formula: {text}");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(school.path("sam.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = person("--by q.whitmore -o sam.csv", REASON);
    assert!(again.err.contains("name a file that is not there yet"), "{again:?}");
}

/// Three old days: the first has requests of both kinds by two people.
fn old_days() -> School {
    let school = School::new();
    let records = [
        ("sam.p", "ks3", "arcade.test", "/", "games", false),
        ("sam.p", "ks3", "library.test", "/sams-essay", "education", true),
        ("kit.r", "ks3", "library.test", "/maths", "education", true),
        ("kit.r", "ks3", "library.test", "/", "education", true),
        ("kit.r", "ks3", "library.test", "/", "education", true),
    ];
    let ages = [100, 100, 100, 2, 1].map(|days| days * DAY_MS);
    school.log_because(ReasonCode::Category, &ages, &records);
    assert_eq!(school.run("audit checkpoint", &[]).code, OK);
    school
}

#[test]
fn allowed_requests_go_before_blocked_ones_of_the_same_day() {
    let school = old_days();
    let query = |more: &str| {
        let line = format!("log query --since 2025-01-01 --jsonl {more}");
        school.run(&line, &[]).out.lines().count()
    };
    assert_eq!((query("--verdict allow"), query("--verdict block")), (4, 1));
    let ran = school.run("retention run --despite-gap --dry-run --by j.cho", &[]);
    assert!(ran.out.contains("would be erased, 2 records (allowed)"), "{ran:?}");
    assert_eq!(query("--verdict allow"), 4);
    let ran = school.run("retention run --despite-gap --by j.cho", &[]);
    assert!(ran.out.contains("erased, 2 records (allowed); their hashes stay"), "{ran:?}");
    assert_eq!((query("--verdict allow"), query("--verdict block")), (2, 1));
    let ran = school.run("audit verify", &[]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(ran.out.contains("2 rows of ") && ran.out.contains("whole: "), "{ran:?}");
    let again = school.run("retention run --despite-gap --by j.cho", &[]);
    assert!(again.err.contains("nothing was erased"), "{again:?}");
}

#[test]
fn names_of_closed_alerts_go_with_a_run_and_stay_where_the_clock_is_in_doubt() {
    let school = old_days();
    raise_on(&school, "2024-01-10", 1, "sam.p", "The parents come on Monday");
    raise(&school, 2, "sam.p", "of late");
    let kept = school.run("retention run --by j.cho", &[]);
    assert!(kept.out.contains("A-0001  name and notes kept: no day of more than two"), "{kept:?}");
    let dry = school.run("retention run --despite-gap --dry-run --by j.cho", &[]);
    assert!(dry.out.contains("A-0001  name and notes would be erased"), "{dry:?}");
    let ran = school.run("retention run --despite-gap --by j.cho", &[]);
    assert!(ran.out.contains("A-0001  name and notes erased"), "{ran:?}");
    assert!(!ran.out.contains("A-0002"), "its time is not up: {ran:?}");
    let again = school.run("retention run --despite-gap --by j.cho", &[]);
    assert!(again.err.contains("nothing was erased"), "{again:?}");
    let ran = school.run("audit verify", &[]);
    assert_eq!(ran.code, OK, "{ran:?}");
}

#[test]
fn erasing_one_persons_requests_takes_two_people_and_names_nobody_in_the_log() {
    let school = old_days();
    let ask = |by: &str, reason: &str| {
        school.run(&format!("retention erase ask sam.p --by {by}"), &["--reason", reason])
    };
    assert_eq!(ask("j.cho", "parents' letter of 3 March").code, NOT_PERMITTED);
    assert_eq!(ask("q.whitmore", "please").code, USAGE);
    let named = ask("q.whitmore", "the parents of Sam.P wrote to us");
    assert!(named.code == USAGE && named.err.contains("the reason names the person"), "{named:?}");
    let asked = ask("q.whitmore", "parents' letter of 3 March");
    assert!(asked.code == OK && asked.out.contains("E-0001  asked"), "{asked:?}");
    assert_eq!(ask("a.deputy", "parents' letter of 3 March").code, USAGE, "it is asked already");
    let carry_out = |by: &str, person: &str| {
        school.run(&format!("retention erase carry-out E-0001 --person {person} --by {by}"), &[])
    };
    let own = carry_out("q.whitmore", "sam.p");
    assert_eq!(own.code, NOT_PERMITTED, "{own:?}");
    assert!(own.err.contains("you asked for E-0001, so you cannot carry it out"), "{own:?}");
    assert_eq!(carry_out("j.cho", "sam.p").code, NOT_PERMITTED);
    let other = carry_out("a.deputy", "kit.r");
    assert!(other.code == USAGE && other.err.contains("of another person"), "{other:?}");
    let done = carry_out("a.deputy", "SAM.P");
    assert_eq!(done.code, OK, "{done:?}");
    assert!(done.out.contains("erased, 2 records (E-0001)"), "{done:?}");
    assert_eq!(carry_out("a.deputy", "sam.p").code, USAGE, "once");
    let left = school.run("log query --since 2025-01-01 --jsonl", &[]).out;
    assert!(!left.contains("sam") && left.lines().count() == 3, "{left}");
    let ran = school.run("audit verify", &[]);
    assert_eq!(ran.code, OK, "{ran:?}");
    let since = "log actions --since 2025-01-01 --jsonl --by q.whitmore --event";
    for event in ["erasure_asked", "erased", "erasure_done"] {
        let told = school.run(&format!("{since} {event}"), &[]).out;
        assert!(told.lines().count() == 1 && !told.to_lowercase().contains("sam.p"), "{told}");
    }
    let list = school.run("retention erase list --json --by q.whitmore", &[]);
    assert!(list.out.contains("\"done\"") && list.out.contains("a.deputy"), "{list:?}");
}

#[test]
fn an_erasure_asked_for_before_a_restore_must_be_asked_for_again_and_says_why() {
    let school = old_days();
    let ask = "retention erase ask sam.p --by q.whitmore";
    let reason = ["--reason", "parents' letter of 3 March"];
    assert_eq!(school.run(ask, &reason).code, OK);
    assert_eq!(school.run("backup create copy", &[]).code, OK);
    for folder in ["state", "sessions"] {
        std::fs::remove_dir_all(school.path(folder)).unwrap();
    }
    let back = school.run("backup restore copy --school", &["Example Academy"]);
    assert_eq!(back.code, OK, "{back:?}");
    assert!(back.err.contains("in no backup: E-0001"), "{back:?}");
    let carry_out = |id: &str, person: &str| {
        let line = format!("retention erase carry-out {id} --person {person} --by a.deputy");
        school.run(&line, &[])
    };
    let old = carry_out("E-0001", "sam.p");
    assert_eq!(old.code, USAGE, "{old:?}");
    assert!(old.err.contains("asked for before this school was brought back"), "{old:?}");
    assert!(old.err.contains("asked for again") && !old.err.contains("another person"), "{old:?}");
    assert_eq!(school.run(ask, &reason).code, OK);
    let other = carry_out("E-0002", "kit.r");
    assert!(other.err.contains("E-0002 is of another person"), "{other:?}");
    let early = carry_out("E-0002", "sam.p");
    assert!(
        early.out.contains("no checkpoint covers all of it yet"),
        "no key was made yet: {early:?}"
    );
    assert_eq!(school.run("audit checkpoint", &[]).code, OK);
    let done = carry_out("E-0002", "sam.p");
    assert!(done.out.contains("erased, 2 records (E-0002)"), "{done:?}");
}

#[test]
fn what_is_too_new_or_held_stays_and_the_erasure_stays_open() {
    let school = old_days();
    school.log(&[("sam.p", "ks3", "library.test", "/today", "education", true)]);
    let ask = "retention erase ask sam.p --by q.whitmore";
    assert_eq!(school.run(ask, &["--reason", "parents' letter of 3 March"]).code, OK);
    let line = "retention erase carry-out 1 --person sam.p --by a.deputy";
    let ran = school.run(line, &[]);
    assert!(ran.out.contains("erased, 2 records"), "{ran:?}");
    assert!(
        ran.out.contains("one of the newest days") && ran.err.contains("stays open"),
        "{ran:?}"
    );
    let when = ran.err.lines().find(|line| line.starts_with("  when  from "));
    assert!(
        when.is_some_and(|line| line.ends_with(" on, once two later days have records")),
        "{ran:?}"
    );
    assert!(!ran.err.contains("it lapses "), "one that was begun does not lapse: {ran:?}");
    let again = school.run(line, &[]);
    assert_eq!(again.code, OK, "{again:?}");
    assert!(!again.out.contains("erased,"), "{again:?}");
}

#[test]
fn a_weekly_report_names_people_only_for_who_may_and_says_why() {
    let school = School::new();
    let one = ("sam.p", "ks3", "arcade.test", "/", "games", false);
    school.log(&[one; 6]);
    let report = |more: &str, reason: &[&str]| {
        let line = format!("report weekly --format json {more}");
        school.run(&line, &[&["--since", "this week"], reason].concat())
    };
    let person = |ran: &school::Ran| {
        let value: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        value["people"][0].clone()
    };
    let usual = report("--by q.whitmore", &[]);
    assert!(!usual.out.contains("sam.p"), "{usual:?}");
    let pseudonym = person(&usual)["person"].clone();
    assert!(pseudonym.as_str().unwrap().starts_with("P-"), "{usual:?}");
    assert_eq!(
        person(&report("--for it --by j.cho", &[]))["person"],
        pseudonym,
        "in each of a week"
    );
    let reason = ["--reason", "to talk to the form tutor"];
    assert_eq!(report("--names --by q.whitmore", &[]).code, USAGE);
    assert_eq!(report("--names --by q.whitmore", &["--reason", "because"]).code, USAGE);
    let refused = report("--names --for it --by j.cho", &reason);
    assert_eq!((refused.code, refused.out.as_str()), (NOT_PERMITTED, ""), "{refused:?}");
    let named = report("--names --by q.whitmore", &reason);
    assert_eq!(person(&named)["name"], "sam.p", "{named:?}");
    assert_eq!(person(&named)["person"], pseudonym);
    let looks = school.run("log actions --event looked --by q.whitmore", &[]).out;
    assert!(looks.contains("with names, reason to talk to the form tutor"), "{looks}");
    let page = school.run(
        "report weekly --names --format md --by q.whitmore --since",
        &["this week", "--reason", "to talk to the form tutor"],
    );
    assert!(page.out.contains(&format!("{} sam.p", pseudonym.as_str().unwrap())), "{page:?}");
}

#[test]
fn a_name_that_nobody_has_is_doubted_where_records_are_held_or_erased() {
    let school = old_days();
    school.user("sam.p", "ks2", &[]);
    let reason = ["--reason", "the coroner asked for it"];
    let hold = |name: &str| {
        school.run(&format!("retention hold add --person {name} --by q.whitmore"), &reason)
    };
    let slip = hold("sam.pp");
    assert_eq!(slip.code, OK, "a hold may come before its person: {slip:?}");
    assert!(slip.out.contains("fits  0 records so far"), "{slip:?}");
    assert!(slip.err.contains("warning: no user is called sam.pp, and no record has"), "{slip:?}");
    assert!(slip.err.contains("fix: did you mean sam.p?"), "{slip:?}");
    let right = hold("SAM.P");
    assert!(!right.err.contains("warning: no user"), "{right:?}");
    assert!(right.out.contains("fits  2 records so far"), "{right:?}");
    let ask = |name: &str| {
        let line = format!("retention erase ask {name} --by q.whitmore");
        school.run(&line, &["--reason", "parents' letter of 3 March"])
    };
    let slip = ask("sam.pp");
    assert!(slip.code == OK && slip.err.contains("warning: no user is called sam.pp"), "{slip:?}");
    let right = ask("sam.p");
    assert!(!right.err.contains("warning: no user"), "{right:?}");
}
