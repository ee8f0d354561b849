//! How far the filter looks into https: asked, shown, requested, and taken back.

use crate::school::School;
use crate::{BAD_CONFIG, NOT_PERMITTED, OK, USAGE, json};

/// A school with a bank, a clinic and levels that are looked into.
fn school() -> School {
    let school = School::new();
    let lists = "\n[[lists]]\nname = \"own-banking\"\ncategory = \"banking\"\npath = \"lists/banking.txt\"\n";
    school.write("schoolgate.toml", &format!("{}{lists}", school.machine()));
    school.write("lists/banking.txt", "bank.test\n");
    let policy = school
        .policy()
        .replace("pupil = {}", "pupil = { inspect = \"page\" }")
        .replace("guest = {}", "guest = { inspect = \"name\" }")
        .replace("[grid]", "[grid]\nbanking = { pupil = \"allow\" }");
    school.write("policy.toml", &policy);
    school
}

fn shown(school: &School, host: &str, level: &str) -> serde_json::Value {
    let ran = school.run("inspect show --json", &[host, "--as", level]);
    assert_eq!(ran.code, OK, "{ran:?}");
    json(&ran)[0].clone()
}

#[test]
fn inspect_show_says_how_far_and_why() {
    let school = school();
    let cases = [
        ("library.test", "ks3", "page", "level ks3"),
        ("library.test", "guest", "name", "level guest"),
        ("library.test", "staff", "name", "no `inspect` for level staff in the policy"),
        (
            "bank.test",
            "ks3",
            "never",
            "banking is private; only an authorised request changes that",
        ),
        ("us02web.zoom.us", "ks3", "never", "shipped group video-meetings: "),
    ];
    for (host, level, mode, because) in cases {
        let row = shown(&school, host, level);
        assert_eq!(row["inspect"], mode, "{host} {level}");
        let words = row["because"].as_str().unwrap_or_default();
        assert!(words.starts_with(because), "{host} {level}: {words}");
        assert_eq!(row["authority"], "no");
    }
    let people = school.run("inspect show https://library.test/a --as ks3", &[]);
    assert!(people.out.starts_with("page  library.test  ks3\n"), "{people:?}");
    assert!(people.out.contains("until there is an authority: schoolgate ca init"), "{people:?}");
    let bank = school.run("inspect show bank.test --as ks3", &[]);
    assert!(bank.out.contains("request  schoolgate inspect request bank.test"), "{bank:?}");
    let check = school.run("check https://bank.test --as ks3", &[]);
    assert!(check.out.contains("  inspect  never: banking is private"), "{check:?}");
    let http = school.run("check http://bank.test --as ks3", &[]);
    assert!(!http.out.contains("inspect"), "{http:?}");
}

#[test]
fn inspect_list_has_every_group_with_its_reason() {
    let school = school();
    let rows = json(&school.run("inspect list --json", &[]));
    let rows = rows.as_array().unwrap();
    let find = |entry: &str| rows.iter().find(|row| row["entry"] == entry).unwrap();
    assert_eq!(find("category:banking")["from"], "privacy");
    assert_eq!(find("*.zoom.us")["from"], "video-meetings");
    assert_eq!(find("mesu.apple.com")["unverified"], "yes");
    for row in rows {
        assert!(row["reason"].as_str().unwrap().len() > 10, "{row}");
    }
}

#[test]
fn looking_into_what_is_private_takes_two_people_and_ends() {
    let school = school();
    let reason = ["--reason", "Fraud against pupils is being looked at"];
    let ask = |what: &str, more: &[&str]| {
        let more: Vec<&str> = reason.iter().chain(more).copied().collect();
        school.run(&format!("inspect request {what} --until 2h"), &more)
    };
    let not_private = ask("library.test", &["--by", "j.cho"]);
    assert_eq!(not_private.code, USAGE, "{not_private:?}");
    assert!(not_private.err.contains("library.test is not private"), "{not_private:?}");
    assert_eq!(ask("games", &["--by", "j.cho"]).code, USAGE, "a category that is not private");
    assert_eq!(ask("bank.test/login", &["--by", "j.cho"]).code, USAGE, "a path");
    let line = "inspect request bank.test --until 2h";
    let nobody = school.run_in_sessions("elsewhere", line, &reason, b"");
    assert_eq!(nobody.code, NOT_PERMITTED, "nobody asks: {nobody:?}");
    let no_reason =
        school.run("inspect request bank.test --until 2h --by j.cho", &["--reason", "aaa"]);
    assert_eq!(no_reason.code, USAGE);
    assert_eq!(ask("sealed.test", &["--by", "j.cho"]).code, NOT_PERMITTED, "locked");

    let asked = ask("bank.test", &["--by", "q.whitmore"]);
    assert_eq!(asked.code, OK, "{asked:?}");
    assert!(asked.out.starts_with("U-0001  look into bank.test asked for\n"), "{asked:?}");
    assert!(asked.out.contains("unblock authorise U-0001 --by a.deputy"), "{asked:?}");
    assert_eq!(school.run("unblock authorise U-0001 --by q.whitmore", &[]).code, NOT_PERMITTED);
    assert_eq!(shown(&school, "bank.test", "ks3")["inspect"], "never");
    let yes = school.run("unblock authorise U-0001 --by a.deputy", &[]);
    assert!(yes.out.contains("bank.test authorised to be looked into until"), "{yes:?}");
    let row = shown(&school, "www.bank.test", "ks3");
    assert_eq!(row["inspect"], "page");
    assert_eq!(row["because"], "authorised by U-0001, though it is private");
    assert_eq!(shown(&school, "bank.test", "guest")["inspect"], "name", "the level still holds");
    let listed = json(&school.run("unblock list --json", &[]));
    assert_eq!((&listed[0]["kind"], &listed[0]["state"]), (&"inspect".into(), &"live".into()));
    let one = school.run("unblock show U-0001", &[]);
    assert!(one.out.contains("kind    inspect: look into what is private"), "{one:?}");
    let list = school.run("inspect list", &[]);
    assert!(list.out.contains("request U-0001"), "{list:?}");

    let changes = school.run("report changes --format csv", &[]);
    assert!(changes.out.contains("\"look into bank.test (U-0001, live)\""), "{changes:?}");
    let ended = school.run("unblock revoke U-0001 --by j.cho", &["--reason", "It is over"]);
    assert!(ended.out.contains("bank.test no longer looked into"), "{ended:?}");
    assert!(ended.out.contains("undo  schoolgate inspect request bank.test --until"), "{ended:?}");
    assert_eq!(shown(&school, "bank.test", "ks3")["inspect"], "never");
}

#[test]
fn a_request_about_a_category_or_certificate_opens_no_site() {
    let school = school();
    let more = ["--reason", "The council asked the school to check", "--by", "j.cho"];
    let asked = school.run("inspect request banking --until 2h", &more);
    assert!(asked.out.starts_with("U-0001  look into category:banking asked for"), "{asked:?}");
    let asked =
        school.run("certificate request arcade.test --accept tls_expired --until 2h", &more);
    assert!(asked.out.starts_with("U-0002  tls_expired of arcade.test asked for"), "{asked:?}");
    for id in ["U-0001", "U-0002"] {
        let yes = school.run(&format!("unblock authorise {id} --by q.whitmore"), &[]);
        assert_eq!(yes.code, OK, "{yes:?}");
    }
    assert_eq!(shown(&school, "bank.test", "ks3")["inspect"], "page");
    let check = school.run("check arcade.test --as ks3 --json", &[]);
    assert_eq!(json(&check)[0]["verdict"], "block", "an accepted fault is no unblock");
}

#[test]
fn only_named_faults_of_one_host_can_be_accepted() {
    let school = school();
    let more = ["--reason", "The board renews it this week", "--by", "j.cho"];
    let ask = |rest: &str| school.run(&format!("certificate request {rest} --until 2h"), &more);
    let cases = [
        (
            "exam.test --accept tls_revoked",
            NOT_PERMITTED,
            "the fault tls_revoked cannot be accepted",
        ),
        ("exam.test --accept tls_weak", NOT_PERMITTED, "the fault tls_weak cannot be accepted"),
        ("exam.test --accept category", USAGE, "no certificate fault called \"category\""),
        ("exam.test --accept tls_expird", USAGE, "faults that can be accepted: tls_expired"),
        ("*.exam.test --accept tls_expired", USAGE, "is no host"),
        ("co.uk --accept tls_expired", USAGE, "is a public suffix"),
        ("sealed.test --accept tls_expired", NOT_PERMITTED, "is locked"),
        ("exam.test", USAGE, "--accept"),
    ];
    for (rest, code, words) in cases {
        let ran = ask(rest);
        assert_eq!(ran.code, code, "{rest}: {ran:?}");
        assert!(ran.err.contains(words), "{rest}: {ran:?}");
    }
    let asked = ask("exam.test --accept tls_expired,tls-name");
    assert!(asked.out.starts_with("U-0001  tls_expired, tls_name of exam.test"), "{asked:?}");
    let shown = school.run("unblock show U-0001", &[]);
    assert!(shown.out.contains("kind    certificate: accept tls_expired, tls_name"), "{shown:?}");
    let no = school.run("unblock refuse U-0001 --by q.whitmore", &["--reason", "Ask the board"]);
    assert!(
        no.out.contains("schoolgate certificate request exam.test --accept tls_expired,tls_name"),
        "{no:?}"
    );
}

#[test]
fn a_policy_that_looks_into_a_bank_is_refused_with_the_way_to_ask() {
    let school = school();
    school.write("new.toml", &format!("{}\n[inspect]\nbanking = \"page\"\n", school.policy()));
    let ran = school.run("policy validate new.toml", &[]);
    assert_eq!(ran.code, BAD_CONFIG, "{ran:?}");
    assert!(ran.err.contains("\"banking\" is private"), "{ran:?}");
    assert!(ran.err.contains("schoolgate inspect request banking"), "{ran:?}");
    let more =
        school.policy().replace("guest = { inspect = \"name\" }", "guest = { inspect = \"page\" }");
    school.write("new.toml", &more);
    let diff = school.run("policy diff new.toml", &[]);
    assert!(diff.out.contains("inspect for guest: name -> page"), "{diff:?}");
    assert!(diff.out.contains("looks further into what people do"), "{diff:?}");
}
