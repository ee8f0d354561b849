//! `user`: people added, imported, banned, removed.

use crate::school::School;
use crate::{BLOCKED, NOT_FOUND, NOT_PERMITTED, OK, PROBLEMS, USAGE, json};

#[test]
fn people_are_added_changed_banned_and_removed_and_passwords_never_shown() {
    let school = School::new();
    let added = school.run_with(
        "user add sam.p --level ks2 --group",
        &["Year 6"],
        b"correct horse battery\n",
    );
    assert_eq!(added.code, OK, "{added:?}");
    assert_eq!(
        school.run_with("user add sam.p --level ks2", &[], b"correct horse battery\n").code,
        USAGE,
        "exists"
    );
    assert_eq!(
        school.run_with("user add new.p --level nosuch", &[], b"correct horse battery\n").code,
        NOT_FOUND
    );
    assert_eq!(school.run_with("user add new.p --level ks2", &[], b"short\n").code, USAGE);
    assert_eq!(school.run_with("user add new.p --level ks2", &[], b"").code, USAGE, "no password");
    let list = json(&school.run("user list --json", &[]));
    assert_eq!(list[0]["user"], "sam.p");
    assert_eq!(list[0]["level_now"], "ks2");
    assert_eq!(list[0]["groups"], serde_json::json!(["Year 6"]));

    let level = school.run("user set-level sam.p ks3 --by j.cho", &[]);
    assert!(
        level.out.contains("level ks3 (was ks2)")
            && level.out.contains("undo  schoolgate user set-level sam.p ks2"),
        "{level:?}"
    );
    assert_eq!(school.run("user set-level sam.p staff --by m.obi", &[]).code, NOT_PERMITTED);
    assert_eq!(school.run("user set-level nobody ks3", &[]).code, NOT_FOUND);
    let banned = school.run(
        "user ban sam.p --until friday --by q.whitmore --reason",
        &["Agreed with the head of year"],
    );
    assert_eq!(banned.code, OK, "{banned:?}");
    assert!(banned.out.contains("no internet until the end of Fri "), "{banned:?}");
    let unsaid = school.run("user ban sam.p --until friday --by q.whitmore --reason x", &[]);
    assert_eq!(unsaid.code, USAGE, "{unsaid:?}");
    let check = school.run("check library.test --as sam.p", &[]);
    assert_eq!(check.code, BLOCKED, "{check:?}");
    for shown in [check, school.run("user list", &[])] {
        assert!(shown.out.contains("the end of Fri "), "{shown:?}");
        assert!(!shown.out.contains("until Sat "), "{shown:?}");
    }
    assert_eq!(
        school.run("user unban sam.p --by q.whitmore --reason", &["Talked it over"]).code,
        OK
    );
    assert_eq!(school.run("check library.test --as sam.p", &[]).code, OK);
    assert_eq!(school.run_with("user set-password sam.p", &[], b"another good one\n").code, OK);
    assert_eq!(school.run("user remove sam.p --no-input", &[]).code, USAGE, "needs --yes");
    assert_eq!(school.run("user remove sam.p --yes", &[]).code, OK);
    assert_eq!(json(&school.run("user list --json", &[])), serde_json::json!([]));
    for file in ["changes.db", "changes.db-wal"] {
        let bytes = std::fs::read(school.path("state").join(file)).unwrap_or_default();
        assert!(!bytes.windows(13).any(|window| window == b"correct horse"), "{file}");
    }
}

#[test]
fn people_are_imported_all_or_none() {
    let school = School::new();
    school.write("people.csv", "user,level,groups,password\nsam.p,ks2,Year 6;6C,correct horse battery\nowen.t,nosuch,,correct horse battery\n");
    let bad = school.run("user import people.csv --by j.cho", &[]);
    assert_eq!(bad.code, PROBLEMS, "{bad:?}");
    assert!(bad.err.contains("people.csv:3:"), "{bad:?}");
    assert_eq!(json(&school.run("user list --json", &[])), serde_json::json!([]));
    school.write("people.csv", "user,level,groups,password\nsam.p,ks2,Year 6;6C,correct horse battery\nowen.t,ks3,,correct horse battery\n");
    let good = school.run("user import people.csv --by j.cho", &[]);
    assert_eq!(good.out, "2 added, 0 changed, 0 as they were\n", "{good:?}");
    assert_eq!(school.run("user import missing.csv", &[]).code, NOT_FOUND);
}

#[test]
fn people_are_kept_while_the_policy_is_broken_and_an_import_is_tried_first() {
    let school = School::new();
    let good = school.policy();
    school.write("people.csv", "user,level,password\nsam.p,ks2,correct horse battery\n");
    let dry = school.run("user import people.csv --dry-run --by j.cho", &[]);
    assert_eq!(dry.code, OK, "{dry:?}");
    assert!(dry.out.contains("sam.p: added, level = ks2, password"), "{dry:?}");
    assert!(dry.out.ends_with("1 would be added, 0 would be changed, 0 as they are\n"), "{dry:?}");
    assert_eq!(json(&school.run("user list --json", &[])), serde_json::json!([]));

    school.write(
        "policy.toml",
        &good.replace("block = [\"category:games\"]", "allow = [\"category:games\"]"),
    );
    let added = school.run("user add a.b --level ks2 --no-password --by j.cho", &[]);
    assert_eq!(added.code, OK, "tests fail, names are known: {added:?}");
    assert_eq!(school.run("user set-level a.b nosuch", &[]).code, NOT_FOUND);
    let renewed = school.run("account break-glass renew", &[]);
    let code = renewed.out.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap();
    school.write("policy.toml", "school = 1\n");
    let unproved = school.run("user add e.f --no-password --by j.cho", &[]);
    assert_eq!(unproved.code, NOT_PERMITTED, "{unproved:?}");
    assert_eq!(school.run("user list", &[]).code, NOT_PERMITTED, "nobody's role is known");
    let opened = school.run_plain("login --break-glass", &[], code.as_bytes());
    assert_eq!(opened.code, OK, "{opened:?}");
    let add = "user add c.d --level ks2 --no-password --by break-glass";
    let added = school.run_plain(add, &[], b"");
    assert_eq!(added.code, OK, "{added:?}");
    assert!(added.err.contains("warning: no policy can be read"), "{added:?}");
}

#[test]
fn a_level_is_known_in_any_capitals_and_kept_as_the_policy_has_it() {
    let school = School::new();
    let added = school.run("user add sam.p --level KS3 --no-password --by j.cho", &[]);
    assert_eq!(added.code, OK, "{added:?}");
    let rows = |line: &str| json(&school.run(line, &[])).as_array().unwrap().clone();
    assert_eq!(rows("user list --level Ks3 --json")[0]["level"], "ks3");
    assert_eq!(school.run("user set-level sam.p GUEST --by j.cho", &[]).code, OK);
    assert_eq!(rows("user list --level GUEST --json")[0]["level"], "guest");
    school.log(&[("sam.p", "ks3", "library.test", "/", "education", true)]);
    let found = school.run("log query --level KS3 --jsonl", &[]);
    assert_eq!(found.out.lines().count(), 1, "{found:?}");
    assert!(!found.err.contains("no level is called"), "{found:?}");
    let unknown = school.run("user set-level sam.p KS9 --by j.cho", &[]);
    assert!(unknown.err.contains("no level called \"KS9\""), "{unknown:?}");
}

#[test]
fn a_wrong_time_is_told_how_times_are_written() {
    let school = School::new();
    for line in [
        "check library.test --as ks3 --at frday",
        "check library.test --as ks3 --at 25:99",
        "unblock request arcade.test --for ks3 --by m.obi --reason chess-club-final --until 10.50",
        "unblock request arcade.test --for ks3 --by m.obi --reason chess-club-final --until 2020-01-01",
        "log query --since yesterday --until tommorow",
        "log query --since today --until 2020-01-01",
        "log follow --until 2020-01-01",
    ] {
        let ran = school.run(line, &[]);
        assert_ne!(ran.code, OK, "{line}: {ran:?}");
        let has_example = ["10:50", "\"yesterday\""].iter().any(|it| ran.err.contains(it));
        assert!(has_example, "{line}: {}", ran.err);
    }
}
