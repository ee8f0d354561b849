//! Policies: read, tried, applied, brought back.

use crate::school::School;
use crate::{BAD_CONFIG, BLOCKED, NOT_FOUND, NOT_PERMITTED, OK, PROBLEMS, USAGE, json};

#[test]
fn a_policy_is_read_from_standard_input() {
    let school = School::new();
    let now = school.policy();
    let stricter = now.replace(
        "guest = \"allow\", staff = \"allow\" }\ngambling",
        "guest = \"block\", staff = \"allow\" }\ngambling",
    );
    assert_ne!(now, stricter);
    let given =
        |line: &str, more: &[&str], text: &str| school.run_with(line, more, text.as_bytes());
    let valid = given("policy validate -", &[], &stricter);
    assert_eq!(valid.code, OK, "{valid:?}");
    assert!(valid.out.starts_with("standard input: no faults"), "{valid:?}");
    let bad = given("policy validate -", &[], &now.replace("pupil = {}", "pupil = 3"));
    assert_eq!(bad.code, BAD_CONFIG, "{bad:?}");
    assert!(bad.err.contains("standard input:10: "), "{bad:?}");
    assert_eq!(given("policy validate -", &[], "\u{0}").code, BAD_CONFIG, "no TOML");
    assert_eq!(given("policy test -", &[], &stricter).code, OK);
    let fails = stricter.replace("block = [\"category:games\"]", "allow = [\"category:games\"]");
    assert_eq!(given("policy test -", &[], &fails).code, PROBLEMS);
    let diff = given("policy diff -", &[], &stricter);
    assert!(diff.out.contains("education") && diff.out.contains("guest"), "{diff:?}");
    let reason = ["--reason", "Guests are here for the fair", "--by", "j.cho"];
    let applied = given("policy apply -", &reason, &stricter);
    assert_eq!(applied.code, OK, "{applied:?}");
    assert_eq!(school.policy(), stricter);
    assert_eq!(school.run("check library.test --as guest", &[]).code, BLOCKED);
    let latin = school.run_with("policy validate -", &[], b"school = \"Ysgol T\xfb\"");
    assert_eq!(latin.code, BAD_CONFIG, "{latin:?}");
}

#[test]
fn a_policy_is_validated_tested_applied_and_rolled_back() {
    let school = School::new();
    assert_eq!(school.run("policy validate", &[]).code, OK);
    let good = school.run("policy test", &[]);
    assert_eq!(good.code, OK, "{good:?}");

    school.write("bad.toml", &school.policy().replace("allow at lunch", "allow at luch"));
    let bad = school.run("policy validate bad.toml", &[]);
    assert_eq!(bad.code, BAD_CONFIG, "{bad:?}");
    assert!(
        bad.err.contains("error: bad.toml:")
            && bad.err.contains("luch")
            && bad.err.contains("  fix: "),
        "{bad:?}"
    );

    // Opens games for everybody, against the policy's own test.
    school.write(
        "wide.toml",
        &school.policy().replace("games = { pupil = \"block\"", "games = { pupil = \"allow\""),
    );
    let failing = school.run("policy apply wide.toml --by j.cho --reason", &["Games"]);
    assert_eq!(failing.code, PROBLEMS, "{failing:?}");
    assert!(failing.err.contains("policy tests failed; nothing applied"), "{failing:?}");

    // Tightening: the technician may.
    school.write(
        "tight.toml",
        &school
            .policy()
            .replace("education = { pupil = \"allow\"", "education = { pupil = \"block\""),
    );
    let diff = school.run("policy diff tight.toml --json", &[]);
    assert!(diff.out.contains("education"), "{diff:?}");
    assert_eq!(
        school.run("policy apply tight.toml --by m.obi --reason", &["No role"]).code,
        NOT_PERMITTED
    );
    let dry = school.run("policy apply tight.toml --dry-run --by j.cho --reason", &["Trial"]);
    assert!(dry.out.contains("would be applied"), "{dry:?}");
    assert_eq!(school.run("check library.test --as ks3", &[]).code, OK);
    let applied = school.run("policy apply tight.toml --by j.cho --reason", &["Exam week"]);
    assert_eq!(applied.code, OK, "{applied:?}");
    assert!(applied.out.contains("undo  schoolgate policy rollback"), "{applied:?}");
    assert_eq!(school.run("check library.test --as ks3", &[]).code, BLOCKED);

    // Going back opens more than now: it waits until somebody else has authorised it.
    school.write(
        "again.toml",
        &(school.policy() + "\n# as before\n")
            .replace("education = { pupil = \"block\"", "education = { pupil = \"allow\""),
    );
    let short = school.run("policy apply again.toml --by j.cho --reason", &["Exams"]);
    assert_eq!(short.code, USAGE, "what opens needs a reason that says why: {short:?}");
    let line = "policy apply again.toml --by q.whitmore --reason";
    let dry = school.run(line, &["The exams are over", "--dry-run"]);
    assert!(dry.out.contains("would be asked for"), "{dry:?}");
    let asked = school.run(line, &["The exams are over"]);
    assert_eq!(asked.code, OK, "{asked:?}");
    assert!(asked.out.contains("U-0001  again.toml asked for"), "{asked:?}");
    assert!(asked.out.contains("next      schoolgate unblock authorise U-0001 --by a.deputy"));
    assert_eq!(school.run("check library.test --as ks3", &[]).code, BLOCKED);
    assert!(school.policy().contains("education = { pupil = \"block\""), "the file stays");
    let own = school.run("unblock authorise U-0001 --by Q.Whitmore", &[]);
    assert_eq!(own.code, NOT_PERMITTED, "an authoriser's own policy too: {own:?}");
    let shown = school.run("unblock show U-0001", &[]);
    assert!(shown.out.contains("education for pupil: block -> allow"), "{shown:?}");
    // What becomes of the draft in between changes nothing.
    school.write("again.toml", "school = 1\n");
    let signed = school.run("unblock authorise U-0001 --by a.deputy", &[]);
    assert_eq!(signed.code, OK, "{signed:?}");
    assert_eq!(school.run("check library.test --as ks3", &[]).code, OK);
    assert!(school.policy().ends_with("# as before\n"), "in place");
    let checked = school.run("unblock confirm U-0001 --by j.cho", &[]);
    assert_eq!(checked.code, OK, "{checked:?}");
    assert!(checked.out.contains("policy tests pass"), "{checked:?}");
    let back = school.run("policy rollback --by j.cho --reason", &["One step back"]);
    assert_eq!(back.code, OK, "{back:?}");
    assert_eq!(school.run("check library.test --as ks3", &[]).code, BLOCKED);
    let rows = school.run("report changes --format csv", &[]);
    let row = rows.out.lines().find(|line| line.contains("(U-0001, ended)")).unwrap();
    for part in ["q.whitmore: The exams are over", "a.deputy (", "automatic (", "j.cho ("] {
        assert!(row.contains(part), "{part}: {row}");
    }
    assert_eq!(school.run("policy validate missing.toml", &[]).code, NOT_FOUND);
}

#[test]
fn a_policy_that_another_replaced_says_what_of_it_holds() {
    let school = School::new();
    let exception = "\n[[exception]]\nsite = \"arcade.test\"\nallow_for = \"ks3\"\nreason = \"Arcade week\"\nreview = 2099-03-26\n";
    let wide = school.policy() + exception;
    school.write("wide.toml", &wide);
    let asked = school.run("policy apply wide.toml --by j.cho --reason", &["Arcade week in ks3"]);
    assert_eq!(asked.code, OK, "{asked:?}");
    assert_eq!(school.run("unblock authorise U-0001 --by q.whitmore", &[]).code, OK);
    assert!(!school.run("unblock show U-0001", &[]).out.contains("another policy"));
    let tight = wide.replace(
        "games = { pupil = \"block\", ks4 = \"allow at lunch\"",
        "games = { pupil = \"block\", ks4 = \"block\"",
    );
    school.write("tight.toml", &tight);
    assert_eq!(school.run("policy apply tight.toml --by j.cho --reason", &["Exams"]).code, OK);
    let shown = school.run("unblock show U-0001", &[]);
    assert!(
        shown.out.contains("ended") && shown.out.contains("another policy took its place"),
        "{shown:?}"
    );
    let holds = |ran: &crate::school::Ran| {
        ran.out.lines().any(|line| line.starts_with("    holds ") && line.contains("arcade.test"))
    };
    assert!(holds(&shown), "{shown:?}");
    assert_eq!(school.run("check arcade.test --as ks3", &[]).code, OK, "it is open still");
    // Then the exception goes too.
    school.write("none.toml", &tight.replace(exception, ""));
    assert_eq!(school.run("policy apply none.toml --by j.cho --reason", &["It is over"]).code, OK);
    let shown = school.run("unblock show U-0001", &[]);
    assert!(!holds(&shown) && shown.out.contains("    gone  "), "{shown:?}");
    let told = json(&school.run("unblock show U-0001 --json", &[]));
    assert_eq!(told["since"]["holds"], serde_json::json!([]), "{told}");
}

#[test]
fn an_earlier_policy_comes_back_with_the_files_that_it_named_or_not_at_all() {
    let school = School::new();
    let listed = school
        .policy()
        .replace("\"ks4\", \"guest\"", "\"ks4\", \"visitors\", \"guest\"")
        .replace("staff = {}\n", "staff = {}\nvisitors = { only = \"visitors.txt\" }\n");
    school.write("visitors.txt", "library.test\n");
    school.write("policy.toml", &listed);
    let seen = school.run("check library.test --as visitors", &[]);
    assert_eq!(seen.code, OK, "{seen:?}");
    school.write(
        "tight.toml",
        &listed.replace("education = { pupil = \"allow\"", "education = { pupil = \"block\""),
    );
    let applied = school.run("policy apply tight.toml --by j.cho --reason", &["Exam week"]);
    assert_eq!(applied.code, OK, "{applied:?}");
    school.write("visitors.txt", "library.test\narcade.test\n");
    let back = school.run("policy rollback --by q.whitmore --reason", &["The exams are over"]);
    assert_eq!(back.code, USAGE, "{back:?}");
    assert!(back.err.contains("another content of visitors.txt"), "{back:?}");
    school.write("visitors.txt", "library.test\n");
    let back = school.run("policy rollback --by q.whitmore --reason", &["The exams are over"]);
    assert!(back.out.contains("asked for"), "{back:?}");
}

#[test]
fn a_policy_broken_on_disk_stops_neither_questions_nor_its_correction() {
    let school = School::new();
    // Only what took effect is kept, so a first policy with a fault is an error.
    let good = school.policy();
    school.write("policy.toml", "school = 1\n");
    assert_eq!(school.run("unblock list", &[]).code, BAD_CONFIG);
    school.write("policy.toml", &good);
    school.write("next.toml", &format!("{good}\n# a comment\n"));
    assert_eq!(school.run("policy apply next.toml --by j.cho --reason", &["A comment"]).code, OK);

    school.write("policy.toml", &good.replace("allow at lunch", "allow at luch"));
    let asked = school.run("check arcade.test --as ks3", &[]);
    assert_eq!(asked.code, BLOCKED, "{asked:?}");
    assert!(
        asked.err.contains("policy.toml has a fault; the policy in force is used"),
        "{asked:?}"
    );
    assert_eq!(school.run("log query --since 1h", &[]).code, OK);
    assert_eq!(school.run("policy validate", &[]).code, BAD_CONFIG);
    let doctor = school.run("doctor", &[]);
    assert!(doctor.out.contains("luch"), "{doctor:?}");
    school.write("next.toml", &format!("{good}\n# another\n"));
    let applied = school.run("policy apply next.toml --by j.cho --reason", &["Corrected"]);
    assert_eq!(applied.code, OK, "{applied:?}");
    assert_eq!(school.run("check arcade.test --as ks3", &[]).err, "");
}

#[test]
fn terms_that_are_over_are_told_by_validate_doctor_and_the_report() {
    let school = School::new();
    school.write(
        "policy.toml",
        &school.policy().replace("2026-09-02/2026-12-18", "2019-09-02/2019-12-18"),
    );
    let words = "the last term ended on 2019-12-18";
    assert!(school.run("policy validate", &[]).err.contains(words));
    assert!(school.run("doctor", &[]).out.contains(words));
    assert!(school.run("report weekly --format json", &[]).out.contains(words));
    assert!(school.run("retention show", &[]).err.contains("once its own period is over"));
}
