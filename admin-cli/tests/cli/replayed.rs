//! A policy is tried on what was recorded before it is asked for, and whoever authorises it sees what came of that.

use crate::school::{Ran, School};
use crate::{OK, USAGE, json};

const FAULT: i32 = 1;

/// A policy that opens games for a level, and one that closes a category.
fn policies(school: &School) {
    let now = school.policy();
    let wide = now.replace("ks4 = \"allow at lunch\"", "ks4 = \"allow\"");
    let tight = now.replace("education = { pupil = \"allow\"", "education = { pupil = \"block\"");
    assert!(wide != now && tight != now);
    school.write("wide.toml", &wide);
    school.write("tight.toml", &tight);
}

fn apply(school: &School, file: &str, more: &[&str]) -> Ran {
    let reason = ["--by", "j.cho", "--reason", "Games for the chess final"];
    school.run(&format!("policy apply {file}"), &[&reason, more].concat())
}

#[test]
fn a_school_without_records_is_told_so_and_goes_on() {
    let school = School::new();
    policies(&school);
    let applied = apply(&school, "tight.toml", &[]);
    assert_eq!(applied.code, OK, "{applied:?}");
    assert!(applied.out.contains("  replay  not tried: there are no records of "), "{applied:?}");
    let asked = apply(&school, "wide.toml", &["--replay-days", "30"]);
    assert!(asked.out.contains("U-0001  wide.toml asked for"), "{asked:?}");
    let shown = school.run("unblock show U-0001", &[]);
    assert!(shown.out.contains("  replay  not tried: there are no records of "), "{shown:?}");
    let rows = school.run("report changes --format csv", &[]);
    assert_eq!(rows.out.matches("not tried: no records").count(), 2, "{rows:?}");
}

#[test]
fn what_was_tried_stands_in_the_request_for_the_one_who_authorises() {
    let school = School::new();
    policies(&school);
    // Nobody is known by name: all are taken for the strictest level.
    school.log(&[
        ("", "ks2", "library.test", "/", "education", true),
        ("", "ks2", "library.test", "/maths", "education", true),
        ("", "ks2", "unknown.test", "/", "uncategorised", false),
    ]);
    let now = school.policy();
    let both = now
        .replace("education = { pupil = \"allow\"", "education = { pupil = \"block\"")
        .replace("uncategorised = { pupil = \"block\"", "uncategorised = { pupil = \"allow\"");
    school.write("both.toml", &both);
    let dry = apply(&school, "both.toml", &["--dry-run"]);
    let asked = apply(&school, "both.toml", &[]);
    let shown = school.run("unblock show U-0001", &[]);
    let signed = school.run("unblock authorise U-0001 --by q.whitmore", &[]);
    for ran in [&dry, &asked, &shown, &signed] {
        assert_eq!(ran.code, OK, "{ran:?}");
        let tried = ran.out.split_once("  replay  tried on 3 records of ").unwrap().1;
        let lines: Vec<&str> = tried.lines().map(str::trim).collect();
        assert!(lines[0].ends_with(", 3 of them judged"), "{ran:?}");
        let counts = ["2 newly refused, 1 newly passed", "ks2: 2 newly refused, 1 newly passed"];
        assert_eq!(lines[1..3], counts);
        assert!(lines[3].ends_with("changes to what they are judged by were not tried"), "{ran:?}");
    }
    let told = json(&school.run("unblock show U-0001 --json", &[]));
    let tried = &told["replay"]["tried"];
    assert_eq!((&tried["whole"], &tried["records"]), (&true.into(), &3.into()), "{told}");
    assert_eq!(tried["shares"][0]["level"], "ks2", "{told}");
    let rows = school.run("report changes --format csv", &[]);
    assert!(
        rows.out.contains("; tried on 3 records: 2 newly refused, 1 newly passed (U-0001"),
        "{rows:?}"
    );
}

#[test]
fn what_opens_is_tried_on_a_week_or_on_the_newest_records_of_any_age() {
    let school = School::new();
    policies(&school);
    const DAY: i64 = 86_400_000;
    let record = ("", "ks2", "unknown.test", "/", "uncategorised", false);
    let records = [record, ("", "ks2", "library.test", "/", "education", true)];
    school.log_because(rules::decide::ReasonCode::Category, &[30 * DAY, 20 * DAY], &records);
    let few = apply(&school, "wide.toml", &["--replay-days", "6"]);
    assert_eq!(few.code, USAGE, "{few:?}");
    assert!(few.err.contains("what opens anything is tried on at least 7 days"), "{few:?}");
    assert!(school.run("unblock list", &[]).err.contains("no unblocks"), "nothing was asked for");

    let tight = apply(&school, "tight.toml", &["--dry-run", "--replay-days", "1"]);
    let wide = apply(&school, "wide.toml", &["--dry-run"]);
    let asked = apply(&school, "wide.toml", &["--replay-days", "7"]);
    for ran in [&tight, &wide, &asked] {
        assert_eq!(ran.code, OK, "{ran:?}");
        assert!(ran.out.contains("  replay  tried on the newest 2 records of "), "{ran:?}");
    }
    assert!(tight.out.contains("1 newly refused, 0 newly passed"), "{tight:?}");
    let told = json(&school.run("unblock show U-0001 --json", &[]));
    let tried = &told["replay"]["tried"];
    assert_eq!((&tried["whole"], &tried["records"]), (&false.into(), &2.into()), "{told}");
    let whole = apply(&school, "wide.toml", &["--dry-run", "--replay-days", "25"]);
    assert!(whole.out.contains("  replay  tried on 1 records of "), "{whole:?}");
}

#[test]
fn a_replay_that_fails_is_told_and_what_opens_needs_a_reason_to_go_without() {
    let school = School::new();
    policies(&school);
    std::fs::create_dir_all(school.path("state/access")).unwrap();
    let today = school.run("log query --since 1h", &[]);
    assert_eq!(today.code, OK, "{today:?}");
    let day = jiff::Zoned::now().date();
    school.write(&format!("state/access/access-{day}.db"), "no database at all, but some text\n");
    let failed = apply(&school, "wide.toml", &[]);
    assert_eq!(failed.code, FAULT, "{failed:?}");
    assert!(
        failed.err.contains("could not be tried on what was recorded")
            && failed.err.contains("--without-replay"),
        "{failed:?}"
    );
    assert!(school.run("unblock list", &[]).err.contains("no unblocks"), "nothing was asked for");
    let both = apply(&school, "wide.toml", &["--replay-days", "1", "--without-replay", "x"]);
    assert_eq!(both.code, USAGE, "{both:?}");
    let short = apply(&school, "wide.toml", &["--without-replay", "later"]);
    assert_eq!(short.code, USAGE, "{short:?}");
    let why = "The day's file is being mended";
    let asked = apply(&school, "wide.toml", &["--without-replay", why]);
    assert_eq!(asked.code, OK, "{asked:?}");
    let told = format!("  replay  NOT TRIED on what was recorded, because: {why}");
    let shown = school.run("unblock show U-0001", &[]);
    assert!(asked.out.contains(&told) && shown.out.contains(&told), "{asked:?} {shown:?}");
    let shown = json(&school.run("unblock show U-0001 --json", &[]));
    assert_eq!(shown["replay"]["left"]["reason"], why, "{shown}");
    let signed = school.run("unblock authorise U-0001 --by q.whitmore", &[]);
    assert!(signed.out.contains(&told), "{signed:?}");

    // What only closes waits for nothing.
    let now = school.policy();
    school.write(
        "tight.toml",
        &now.replace("education = { pupil = \"allow\"", "education = { pupil = \"block\""),
    );
    let closed = apply(&school, "tight.toml", &[]);
    assert_eq!(closed.code, OK, "{closed:?}");
    assert!(closed.err.contains("warning: the policy could not be tried"), "{closed:?}");
    assert!(closed.out.contains("  replay  NOT TRIED on what was recorded: "), "{closed:?}");
}
