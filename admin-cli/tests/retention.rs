//! Records as the school keeps them: erased when their time is up, held for a case, given to the person
//! they are about.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where its setup fails")]
#![allow(dead_code, reason = "the made-up school has helpers that only other tests use")]

mod school;

use rules::decide::ReasonCode;
use school::School;

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
    let ran = school.run("retention run --dry-run --by j.cho", &[]);
    assert!(ran.out.contains("would be erased, 1 records"), "{ran:?}");
    let ran = school.run("retention run --by j.cho", &[]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(ran.out.contains("erased, 1 records"), "{ran:?}");
    let ran = school.run("audit verify", &[]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(ran.out.contains("was erased by entry "), "{ran:?}");
    let again = school.run("retention run --by j.cho", &[]);
    assert!(again.err.contains("nothing was erased"), "{again:?}");
    let ran = school.run("retention run --by m.obi", &[]);
    assert_eq!(ran.code, NOT_PERMITTED, "{ran:?}");
}

#[test]
fn a_hold_keeps_a_day_until_another_person_lifts_it() {
    let school = two_days();
    let add = "retention hold add --person SAM.P --by q.whitmore";
    let ran = school.run(add, &["--reason", "short"]);
    assert_eq!(ran.code, USAGE, "{ran:?}");
    let everything = school
        .run("retention hold add --by q.whitmore", &["--reason", "the coroner asked for it"]);
    assert_eq!(everything.code, USAGE, "{everything:?}");
    let ran = school.run(add, &["--reason", "the coroner asked for it"]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(ran.out.contains("H-0001  kept: person SAM.P"), "{ran:?}");
    let ran = school.run("retention run --by j.cho", &[]);
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
    assert!(school.run("retention run --by j.cho", &[]).out.contains("erased, 1 records"));
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
