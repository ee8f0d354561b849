//! `lists`: their age, their changes, what was skipped or is held back, and what is shown to nobody by accident.

use crate::school::School;
use crate::{BLOCKED, NOT_FOUND, NOT_PERMITTED, OK, PROBLEMS, USAGE, json};
use serde_json::Value;

#[test]
fn lists_diff_says_that_nothing_is_held() {
    let school = School::new();
    school.run("lists update", &[]);
    let none = school.run("lists diff own-games", &[]);
    assert_eq!(none.code, NOT_FOUND, "{none:?}");
    assert!(none.err.contains("nothing is held"), "{none:?}");
}

#[test]
fn an_update_tells_of_changes_and_sums_up_the_rest() {
    let school = School::new();
    school.run("lists update", &[]);
    let still = school.run("lists update", &[]);
    assert_eq!(still.code, OK, "{still:?}");
    assert_eq!(still.out.lines().count(), 1, "{still:?}");
    let count: usize = still.out.split(' ').next().unwrap().parse().unwrap();
    let all = format!("{count} lists: 0 changed, 0 held, 0 failed, {count} unchanged\n");
    assert_eq!(still.out, all);
    let every = school.run("lists update --all", &[]);
    assert_eq!(every.out.lines().count(), count + 1, "{every:?}");
    assert!(every.out.contains("own-games: unchanged (") && every.out.ends_with(&all));
    let named = school.run("lists update own-games", &[]);
    assert!(named.out.starts_with("own-games: unchanged ("), "{named:?}");

    let many: String = (0..50).map(|number| format!("arcade-{number}.test\n")).collect();
    school.write("lists/games.txt", &format!("arcade.test\n{many}"));
    school.write("lists/illegal.txt", "other.test\n");
    std::fs::remove_file(school.path("lists/education.txt")).unwrap();
    let mixed = school.run("lists update", &[]);
    assert_eq!(mixed.code, PROBLEMS, "{mixed:?}");
    let rest = count - 3;
    let sum = format!("{count} lists: 1 changed, 1 held, 1 failed, {rest} unchanged");
    assert_eq!(mixed.out.lines().last(), Some(&*sum), "{mixed:?}");
    assert_eq!(mixed.out.lines().count(), 4, "{mixed:?}");
    assert!(mixed.out.contains("own-education: failed\n"), "{mixed:?}");

    let status = school.run("lists status", &[]);
    assert_eq!(status.code, PROBLEMS);
    for line in status.out.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let row = |name: &str| {
        let row = status.out.lines().find(|line| line.starts_with(name)).unwrap();
        row.split_whitespace().last().unwrap().to_owned()
    };
    let states = ["own-games", "own-illegal", "own-education"].map(row);
    assert_eq!(states, ["force", "held", "failed"], "{status:?}");
    assert!(status.err.contains("list \"own-illegal\": held: "), "{status:?}");
    assert!(status.err.contains("list \"own-education\": last look failed: "), "{status:?}");
    let full = json(&school.run("lists status --json", &[]));
    let full = full.as_array().unwrap().iter().find(|list| list["list"] == "own-illegal").unwrap();
    assert!(full["state"].as_str().unwrap().contains("held: "), "{full}");
    for key in ["source", "licence", "skipped", "version"] {
        assert!(full.get(key).is_some(), "{key}: {full}");
    }
}

#[test]
fn lists_show_their_age_and_hold_what_shrinks() {
    let school = School::new();
    let status = json(&school.run("lists status --json", &[]));
    let own = |list: &&Value| list["list"].as_str().unwrap().starts_with("own-");
    assert_eq!(status.as_array().unwrap().iter().filter(own).count(), 4, "{status}");
    school.run("status", &[]);
    assert_eq!(json(&school.run("lists status --json", &[]))[0]["state"], "in force");
    assert_eq!(school.run("lists diff nosuch", &[]).code, NOT_FOUND);
    assert_eq!(school.run("lists accept own-games", &[]).code, NOT_FOUND, "nothing waits");
    let many: String = (0..50).map(|number| format!("arcade-{number}.test\n")).collect();
    school.write("lists/games.txt", &format!("arcade.test\n{many}"));
    let update = school.run("lists update own-games --by j.cho", &[]);
    assert_eq!(update.code, OK, "{update:?}");
    assert!(update.out.contains("51 entries (50 more, 0 fewer)"), "{update:?}");
    assert_eq!(school.run("check arcade-7.test --as ks3", &[]).code, BLOCKED);

    school.write("lists/games.txt", "arcade.test\n");
    let shrunk = school.run("lists update own-games --by j.cho", &[]);
    assert_eq!(shrunk.code, PROBLEMS, "{shrunk:?}");
    assert!(shrunk.err.contains("warning: list \"own-games\" held: "), "{shrunk:?}");
    assert!(
        shrunk.err.contains("fix: schoolgate lists diff own-games, then lists accept own-games"),
        "{shrunk:?}"
    );
    let row = school.run("check arcade-7.test --as guest --json", &[]);
    assert_eq!(json(&row)[0]["list"], "own-games", "the version before stays: {row:?}");
    let diff = json(&school.run("lists diff own-games --json", &[]));
    assert_eq!(diff[0]["change"], "removed");
    assert_eq!(school.run("lists accept own-games --by m.obi", &[]).code, NOT_PERMITTED);
    let unreasoned = school.run("lists accept own-games --by j.cho", &[]);
    assert_eq!(unreasoned.code, USAGE, "{unreasoned:?}");
    assert!(unreasoned.err.contains("may open sites (0 more and 50 fewer"), "{unreasoned:?}");
    let line = "lists accept own-games --by j.cho --reason";
    let asked = school.run(line, &["The publisher has thinned it out"]);
    assert_eq!(asked.code, OK, "{asked:?}");
    assert!(asked.out.starts_with("U-0001  own-games: "), "{asked:?}");
    let row = school.run("check arcade-7.test --as guest --json", &[]);
    assert_eq!(json(&row)[0]["list"], "own-games", "asked for is not in force: {row:?}");
    assert_eq!(school.run("unblock authorise U-0001 --by j.cho", &[]).code, NOT_PERMITTED);
    let accepted = school.run("unblock authorise U-0001 --by q.whitmore", &[]);
    assert_eq!(accepted.code, OK, "{accepted:?}");
    let row = school.run("check arcade-7.test --as guest --json", &[]);
    assert_eq!(json(&row)[0]["list"], Value::Null, "{row:?}");
    // Back to the version with more games: that opens nothing to anybody whose games are closed, but
    // some may play at lunch what they might not see at all.
    let back =
        school.run("lists rollback own-games --by j.cho --reason", &["It was cut off after all"]);
    assert_eq!(back.code, OK, "{back:?}");
    assert_eq!(school.run("unblock authorise U-0002 --by q.whitmore", &[]).code, OK);
    let rows = school.run("report changes --format csv", &[]).out;
    assert_eq!(rows.lines().filter(|line| line.contains("list own-games")).count(), 3, "{rows}");
    let row = school.run("check arcade-7.test --as guest --json", &[]);
    assert_eq!(json(&row)[0]["list"], "own-games", "{row:?}");
}

#[test]
fn a_site_that_a_person_puts_on_a_list_of_what_is_private_is_looked_into_until_another_accepts() {
    let school = School::new();
    let list =
        "\n[[lists]]\nname = \"own-health\"\ncategory = \"health\"\npath = \"lists/health.txt\"\n";
    school.write("schoolgate.toml", &(school.machine() + list));
    school.write("lists/health.txt", "clinic.test\n");
    // What no list names is as open as health is: by the grid, a site that comes into it opens nothing.
    let policy = school
        .policy()
        .replace("pupil = {}", "pupil = { inspect = \"page\" }")
        .replace("uncategorised = { pupil = \"block\"", "uncategorised = { pupil = \"allow\"");
    school.write("policy.toml", &policy);
    let seen = |host: &str| {
        json(&school.run("inspect show --as ks3 --json", &[host]))[0]["inspect"].clone()
    };
    assert_eq!((seen("clinic.test"), seen("arcade.test")), ("never".into(), "page".into()));

    school.write("mine.txt", "clinic.test\narcade.test\n");
    let import = school.run("lists import own-health mine.txt --by j.cho", &[]);
    assert_eq!(import.code, PROBLEMS, "{import:?}");
    let why = "comes from a file of its own and may have the filter see or refuse less of sites";
    assert!(import.err.contains(why), "{import:?}");
    assert_eq!(seen("arcade.test"), "page", "held is not in force");
    let line = "lists accept own-health --by j.cho";
    let unreasoned = school.run(line, &[]);
    assert_eq!(unreasoned.code, USAGE, "{unreasoned:?}");
    assert!(unreasoned.err.contains("see or refuse less of sites (1 more and 0 fewer"));
    let asked = school.run(line, &["--reason", "The clinic has moved its pages there"]);
    assert_eq!(asked.code, OK, "{asked:?}");
    assert!(asked.out.starts_with("U-0001  own-health: "), "{asked:?}");
    assert_eq!(school.run("unblock authorise U-0001 --by j.cho", &[]).code, NOT_PERMITTED);
    assert_eq!(seen("arcade.test"), "page", "asked for is not in force");
    let accepted = school.run("unblock authorise U-0001 --by q.whitmore", &[]);
    assert_eq!(accepted.code, OK, "{accepted:?}");
    assert_eq!(seen("arcade.test"), "never");
}

#[test]
fn a_locked_list_taken_out_of_the_machine_file_is_told() {
    let school = School::new();
    let machine = school.machine();
    school.write("lists/watch.txt", "bad.test\n");
    let list = "\n[[lists]]\nname = \"watch\"\ncategory = \"csam\"\npath = \"lists/watch.txt\"\n";
    school.write("schoolgate.toml", &format!("{machine}{list}"));
    assert_eq!(school.run("check bad.test --as staff", &[]).code, BLOCKED);
    assert!(!school.run("status", &[]).err.contains("watch"));
    school.write("schoolgate.toml", &machine);
    let status = school.run("status", &[]);
    assert!(
        status.err.contains("warning: list \"watch\" of the locked category csam"),
        "{status:?}"
    );
    assert_eq!(json(&school.run("status --json", &[]))["lists_taken_out"][0], "watch");
    let doctor = school.run("doctor --json", &[]);
    let checks = json(&doctor);
    let found = checks.as_array().unwrap().iter().find(|check| check["check"] == "locked lists");
    assert_eq!(found.unwrap()["outcome"], "problem", "{doctor:?}");
}

#[test]
fn addresses_of_illegal_content_are_shown_to_nobody_by_accident() {
    let school = School::new();
    let check = school.run("check sealed.test --as staff --json", &[]);
    assert_eq!(json(&check)[0]["entry"], "hidden (illegal content)");
    let codes = school.log(&[("sam.p", "ks3", "sealed.test", "/worst", "illegal", false)]);
    for line in ["log query --jsonl", "log query", "explain", "explain --json", "log show"] {
        let more = if line.starts_with("log query") { vec![] } else { vec![codes[0].as_str()] };
        let ran = school.run(line, &more);
        assert!(!ran.out.contains("sealed") && !ran.out.contains("worst"), "{line}: {ran:?}");
        assert!(ran.out.contains("hidden-"), "{line}: {ran:?}");
    }
    // The SHA-256 of `http://sealed.test/worst`, as the log in Squid's form has it.
    let squid = "locked:sha256-cc02f70123740794d0daf7800db865c52833505ecb153232e62e720321e8ae06";
    for line in ["log query --jsonl", "log show"] {
        let more = if line.starts_with("log query") { vec![] } else { vec![codes[0].as_str()] };
        let ran = school.run(line, &more);
        assert!(ran.out.contains(squid), "{line}: {ran:?}");
    }
    let report = school.run("report weekly --for it --since today --format json", &[]);
    assert!(report.out.contains("hidden-") && !report.out.contains("sealed"), "{report:?}");
    let shown = school.run("log query --jsonl --show-locked", &[]);
    assert!(shown.out.contains("sealed.test") && shown.out.contains("/worst"), "{shown:?}");
}

#[test]
fn skipped_lines_are_told_with_their_place_and_their_reason() {
    let school = School::new();
    school.write("lists/games.txt", "arcade.test\nco.uk\nno host at all\n");
    school.run("lists update", &[]);
    let named = school.run("lists status own-games", &[]);
    assert_eq!(named.code, OK, "{named:?}");
    assert!(named.out.contains("own-games: 2 lines skipped\n"), "{named:?}");
    assert!(
        named.out.contains("\n  games.txt:2: ") && named.out.contains(": co.uk\n"),
        "{named:?}"
    );
    assert!(named.out.contains("\n  games.txt:3: "), "{named:?}");
    assert!(!named.out.contains("own-education"), "{named:?}");
    let row = &json(&school.run("lists status own-games --json", &[]))[0];
    assert_eq!(row["skipped"], 2, "{row}");
    assert_eq!(row["skipped_lines"].as_array().unwrap().len(), 2, "{row}");
    let none = school.run("lists status own-education", &[]);
    assert!(none.out.ends_with("own-education: no line was skipped\n"), "{none:?}");
    assert!(!school.run("lists status", &[]).out.contains("games.txt"), "the table stays a table");
    assert_eq!(school.run("lists status own-gmaes", &[]).code, NOT_FOUND);
}

#[test]
fn what_a_list_of_illegal_content_holds_is_shown_to_nobody_by_accident() {
    let school = School::new();
    school.write("lists/illegal.txt", "sealed.test\nworst of all\n");
    school.run("lists update", &[]);
    let status = school.run("lists status own-illegal", &[]);
    assert!(status.out.contains("illegal.txt:2: ") && !status.out.contains("worst"), "{status:?}");
    school.write("lists/illegal.txt", "other-sealed.test\n");
    school.run("lists update", &[]);
    for format in ["", "--json", "--csv"] {
        let diff = school.run(&format!("lists diff own-illegal {format}"), &[]);
        assert_eq!(diff.code, OK, "{diff:?}");
        assert!(diff.out.contains("hidden-") && !diff.out.contains("sealed.test"), "{diff:?}");
    }
    let shown = school.run("lists diff own-illegal --show-locked", &[]);
    assert!(shown.out.contains("other-sealed.test"), "{shown:?}");
}
