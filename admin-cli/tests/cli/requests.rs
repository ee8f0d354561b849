//! Unblocks and blocks: who may ask for what, and what is recorded.

use crate::school::School;
use crate::{BLOCKED, NOT_FOUND, NOT_PERMITTED, OK, USAGE, json};

#[test]
fn an_unblock_needs_a_reason_an_end_and_somebody_else_who_may() {
    let school = School::new();
    let request = "unblock request arcade.test --for ks3 --until 2h";
    let reason = &["--reason", "Year 8 design an arcade game", "--by", "q.whitmore"];
    assert_eq!(school.run(request, &["--reason", "aaa", "--by", "m.obi"]).code, USAGE);
    assert_eq!(school.run(request, &["--by", "m.obi"]).code, USAGE, "no reason");
    assert_eq!(school.run_plain(request, &reason[..2], b"").code, USAGE, "nobody asks");
    assert_eq!(
        school.run("unblock request test --for ks3 --until 2h", reason).code,
        USAGE,
        "a public suffix"
    );
    assert_eq!(
        school.run("unblock request arcade.test --for nosuch --until 2h", reason).code,
        USAGE
    );
    assert_eq!(
        school.run("unblock request arcade.test --for ks3 --until 2020-01-01", reason).code,
        USAGE
    );

    let dry = school.run("unblock request arcade.test --for ks3 --until 2h --dry-run", reason);
    assert!(dry.out.contains("would be asked for"), "{dry:?}");
    assert_eq!(json(&school.run("unblock list --json", &[])), serde_json::json!([]));

    // The authoriser asks: then somebody else must say yes.
    let asked = school.run(request, reason);
    assert_eq!(asked.code, OK, "{asked:?}");
    assert!(asked.out.starts_with("U-0001  arcade.test asked for, for ks3\n"), "{asked:?}");
    let own = school.run("unblock authorise U-0001 --by Q.Whitmore", &[]);
    assert_eq!(own.code, NOT_PERMITTED, "{own:?}");
    assert!(
        own.err.contains("error: you asked for U-0001, so you cannot authorise it\n  fix: ask "),
        "{own:?}"
    );
    let no_role = school.run("unblock authorise U-0001 --by m.obi", &[]);
    assert_eq!(no_role.code, NOT_PERMITTED, "{no_role:?}");
    assert_eq!(school.run("check arcade.test --as ks3", &[]).code, BLOCKED);

    let yes = school.run("unblock authorise U-0001 --by a.deputy", &[]);
    assert_eq!(yes.code, OK, "{yes:?}");
    assert!(yes.out.contains("undo  schoolgate unblock revoke U-0001"), "{yes:?}");
    let open = school.run("check arcade.test --as ks3", &[]);
    assert_eq!(open.code, OK, "{open:?}");
    assert!(open.out.contains("U-0001"), "{open:?}");
    assert_eq!(
        school.run("check arcade.test --as ks2", &[]).code,
        BLOCKED,
        "another level stays closed"
    );
    assert_eq!(
        school.run("unblock authorise U-0001 --by a.deputy", &[]).code,
        NOT_PERMITTED,
        "only once"
    );

    let again = school.run(
        "unblock extend U-0001 --by a.deputy --until",
        &["4h", "--reason", "The club final has moved"],
    );
    assert_eq!(again.code, OK, "{again:?}");
    assert_eq!(
        school.run("unblock revoke U-0001 --by a.deputy --reason", &["Lesson over"]).code,
        OK
    );
    assert_eq!(school.run("check arcade.test --as ks3", &[]).code, BLOCKED);
    let shown = json(&school.run("unblock show U-0001 --json", &[]));
    assert_eq!(shown["state"], "revoked");
    let steps: Vec<&str> = shown["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["what"].as_str().unwrap())
        .collect();
    assert_eq!(steps.len(), 5, "{steps:?}");
    assert_eq!(shown["visits"]["requests"], 0);
    assert_eq!(school.run("unblock show U-0099", &[]).code, NOT_FOUND);
    assert_eq!(school.run("unblock show B-0001", &[]).code, USAGE);
}

#[test]
fn a_refused_attempt_is_recorded_and_reported() {
    let school = School::new();
    school.run("block library.test --for guest --by j.cho --reason", &["Shows a block"]);
    school.run("block lift B-0001 --by j.cho --reason", &["The tour is over"]);
    let refused = school.run("unblock authorise U-0001 --by j.cho", &[]);
    assert_eq!(refused.code, NOT_PERMITTED, "{refused:?}");
    assert!(refused.err.contains("fix: ask q.whitmore (DSL)"), "{refused:?}");
    let week = school.run("report weekly --for dsl --format md --since", &["this week"]);
    assert!(week.out.contains("Once somebody tried what they may not do."), "{week:?}");
    let actions =
        school.run("log actions --event action_refused --actor J.Cho --jsonl --since", &["1h"]);
    assert_eq!(actions.out.lines().count(), 1, "{actions:?}");
    assert!(actions.out.contains("unblock authorise U-0001"), "{actions:?}");
}

#[test]
fn whoever_has_no_role_can_ask_for_nothing_and_nothing_of_it_waits() {
    let school = School::new();
    school.user("sam.p", "ks3", &["7B"]);
    let block = "block library.test --for guest --by j.cho --reason";
    assert_eq!(school.run(block, &["Harmful pictures"]).code, OK);
    let asks = [
        "lesson start --class 7B --open arcade.test --until 45m",
        "inspect request banking --until 2h",
        "certificate request exam.test --accept tls_expired --until 2h",
        "block lift B-0001",
        "unblock request arcade.test --for ks3 --until 2h",
    ];
    let ask = |line: &str, by: &str| {
        school.run(line, &["--reason", "The spring term needs it", "--by", by])
    };
    let waiting = || json(&school.run("unblock list --json", &[])).as_array().unwrap().len();
    // An account that somebody made, and that is nobody in [roles].
    for (number, line) in asks.iter().enumerate() {
        let refused = ask(line, "p.uppet");
        assert_eq!(refused.code, NOT_PERMITTED, "{line}: {refused:?}");
        let told = "p.uppet holds none of the roles that may do this: teacher, it, dsl, ";
        assert!(refused.err.contains(told), "{line}: {refused:?}");
        assert!(refused.err.contains("fix: ask m.obi (TEACHER) or j.cho (IT)"), "{refused:?}");
        assert_eq!(waiting(), 0, "{line}");
        let tries = "log actions --event action_refused --actor p.uppet --jsonl --since 1h";
        assert_eq!(school.run(tries, &[]).out.lines().count(), number + 1, "{line}");
    }
    let slip = ask("lesson start --class 7X --open arcade.test --until 45m", "p.uppet");
    assert!(slip.code == NOT_PERMITTED && !slip.err.contains("7B"), "no class is named: {slip:?}");
    for (number, line) in asks.iter().enumerate() {
        let asked = ask(line, "m.obi");
        assert_eq!(asked.code, OK, "{line}: {asked:?}");
        assert_eq!(waiting(), number + 1, "{line}");
    }
}

#[test]
fn a_block_acts_at_once_and_is_lifted_by_a_second_person() {
    let school = School::new();
    assert_eq!(school.run("check library.test --as guest", &[]).code, OK);
    let blocked =
        school.run("block library.test --for guest --by j.cho --reason", &["Harmful pictures"]);
    assert_eq!(blocked.code, OK, "{blocked:?}");
    assert!(blocked.out.contains("undo  schoolgate block lift B-0001"), "{blocked:?}");
    assert_eq!(school.run("check library.test --as guest", &[]).code, BLOCKED);
    assert_eq!(school.run("check library.test --as ks3", &[]).code, OK);
    let list = json(&school.run("block list --json", &[]));
    assert_eq!(list[0]["by"], "j.cho");
    assert_eq!(list[0]["reason"], "Harmful pictures");
    assert_eq!(
        school.run("block library.test --for guest --by m.obi --reason", &["No role"]).code,
        NOT_PERMITTED
    );
    assert_eq!(
        school.run("block lift B-0007 --by q.whitmore --reason", &["There is none"]).code,
        NOT_FOUND
    );
    let lift =
        school.run("block lift B-0001 --by q.whitmore --reason", &["The owner took it down"]);
    assert_eq!(lift.code, OK, "{lift:?}");
    assert!(
        lift.out.contains("next      schoolgate unblock authorise U-0001 --by a.deputy"),
        "{lift:?}"
    );
    assert_eq!(school.run("check library.test --as guest", &[]).code, BLOCKED);
    assert_eq!(school.run("unblock authorise U-0001 --by q.whitmore", &[]).code, NOT_PERMITTED);
    assert_eq!(school.run("unblock authorise U-0001 --by a.deputy", &[]).code, OK);
    assert_eq!(school.run("check library.test --as guest", &[]).code, OK);
    let back = school.run("unblock revoke U-0001 --by j.cho --reason", &["Again"]);
    assert_eq!(back.code, NOT_PERMITTED, "{back:?}");
    let rows = school.run("report changes --format csv", &[]).out;
    assert!(
        rows.contains("library.test no longer blocked for guest (B-0001) (U-0001, live)"),
        "{rows}"
    );
}

#[test]
fn closing_a_help_site_needs_a_yes() {
    let school = School::new();
    let help =
        "\n[[lists]]\nname = \"own-help\"\ncategory = \"health-help\"\npath = \"lists/help.txt\"\n";
    school.write("schoolgate.toml", &(school.machine() + help));
    school.write("lists/help.txt", "listening.test\n");
    let line = "block www.listening.test --for guest --reason";
    let asked = school.run(line, &["Clicked away by mistake", "--by", "j.cho"]);
    assert_eq!(asked.code, USAGE, "{asked:?}");
    assert!(
        asked.err.contains("this closes a help site") && asked.err.contains("fix: add --yes"),
        "{asked:?}"
    );
    assert_eq!(json(&school.run("block list --json", &[])), serde_json::json!([]));
    let refused = school.run(line, &["Clicked away by mistake", "--by", "m.obi"]);
    assert_eq!(refused.code, NOT_PERMITTED, "{refused:?}");
    let done = school.run(line, &["The owner lost the name", "--by", "j.cho", "--yes"]);
    assert_eq!(done.code, OK, "{done:?}");
    assert!(done.err.contains("this closes a help site"), "{done:?}");
    assert!(done.out.ends_with("--reason TEXT --by j.cho\n"), "{done:?}");
    school.write("lists/help.txt", "listening.test\ntalk.charity.test\n");
    school.run("lists update own-help", &[]);
    school.run("lists accept own-help --by j.cho --reason", &["The charity has a new name"]);
    school.run("unblock authorise U-0001 --by q.whitmore", &[]);
    let wider = "block charity.test --for guest --by j.cho --reason";
    let asked = school.run(wider, &["Adverts for betting"]);
    assert_eq!(asked.code, USAGE, "{asked:?}");
    assert!(asked.err.contains("help site: talk.charity.test below charity.test"), "{asked:?}");
    let beside = "block www.charity.test --for guest --by j.cho --reason";
    assert_eq!(school.run(beside, &["Adverts for betting"]).code, OK);
    let own =
        school.run("block arcade.test --for guest --by a.deputy --reason", &["Harmful pictures"]);
    assert!(own.out.ends_with("--reason TEXT --by a.deputy\n"), "{own:?}");
    assert!(!own.err.contains("help site"), "{own:?}");
}

#[test]
fn whoever_asked_is_told_so_and_never_named_as_the_one_to_ask() {
    let school = School::new();
    let request = "unblock request arcade.test --for ks3 --until 2h --by";
    let reason = "Year 8 design an arcade game";
    for asker in ["m.obi", "q.whitmore"] {
        assert_eq!(school.run(request, &[asker, "--reason", reason]).code, OK);
    }
    let own = school.run("unblock authorise U-0001 --by m.obi", &[]);
    assert!(own.err.contains("you asked for U-0001, so you cannot authorise it"), "{own:?}");
    let own = school.run("unblock authorise U-0002 --by q.whitmore", &[]);
    assert!(own.err.ends_with("fix: ask a.deputy (DSL)\n"), "{own:?}");
    let other = school.run("unblock authorise U-0002 --by j.cho", &[]);
    assert!(other.err.ends_with("fix: ask a.deputy (DSL)\n"), "{other:?}");
}

#[test]
fn a_block_that_was_wrong_is_marked_with_the_answer_and_counted_in_the_week() {
    let school = School::new();
    let ask = |site: &str| {
        let line = format!("unblock request {site} --for ks3 --until 2h --by m.obi --reason");
        assert_eq!(school.run(&line, &["The chess club final"]).code, OK);
    };
    for site in ["arcade.test", "pacman.arcade.test", "chess.arcade.test", "go.arcade.test"] {
        ask(site);
    }
    let week = || json(&school.run("report weekly --format json", &["--since", "this week"]));
    assert_eq!(week()["requests"]["wrongly_blocked"], 0);
    // Nobody marks a block who may not answer, nor says so by trying.
    let own = school.run("unblock authorise U-0001 --wrongly-blocked --by m.obi", &[]);
    assert_eq!(own.code, NOT_PERMITTED, "{own:?}");
    let dry =
        school.run("unblock authorise U-0001 --wrongly-blocked --dry-run --by q.whitmore", &[]);
    assert_eq!((dry.code, week()["requests"]["wrongly_blocked"].clone()), (OK, 0.into()));
    let yes = school.run("unblock authorise U-0001 --wrongly-blocked --by q.whitmore", &[]);
    assert!(yes.out.contains("wrongly blocked, says q.whitmore"), "{yes:?}");
    // Authorised without it, and marked by who confirms; refused, because the list was corrected.
    assert_eq!(school.run("unblock authorise U-0003 --by q.whitmore", &[]).code, OK);
    let no = "unblock refuse U-0002 --wrongly-blocked --by q.whitmore --reason";
    assert_eq!(school.run(no, &["the list is corrected"]).code, OK);
    let confirmed = school.run("unblock confirm U-0003 --wrongly-blocked --by j.cho", &[]);
    assert_eq!(confirmed.code, OK, "{confirmed:?}");
    // A second mark counts no second block.
    let again = school.run("unblock confirm U-0001 --wrongly-blocked --by j.cho", &[]);
    assert_eq!(again.code, OK, "{again:?}");
    assert_eq!(school.run("unblock authorise U-0004 --by q.whitmore", &[]).code, OK);
    let week = week();
    let requests = &week["requests"];
    assert_eq!((&requests["wrongly_blocked"], &requests["asked"]), (&3.into(), &4.into()));
    let page = school.run("report weekly", &["--since", "this week"]);
    let line = "3 blocks were wrong, say those who answered the requests: arcade.test, chess.arcade.test, pacman.arcade.test.";
    assert!(page.out.contains(line), "{page:?}");
    assert!(
        !page.out.contains("blocked by mistake;"),
        "what is measured is not called unmeasured: {page:?}"
    );
    let shown = json(&school.run("unblock show U-0001 --json", &[]));
    assert_eq!(shown["wrongly_blocked"], true, "{shown}");
    let log = school.run("report changes", &[]);
    assert!(log.out.contains("; the block was wrong, says q.whitmore"), "{log:?}");
    let actions = school.run("log actions --event wrongly_blocked --jsonl", &[]);
    assert_eq!(actions.out.lines().count(), 3, "{actions:?}");

    // A request that is about no block has none that was wrong.
    let looser = school.policy().replace("ks4 = \"allow at lunch\"", "ks4 = \"allow\"");
    school.write("next.toml", &looser);
    let apply = "policy apply next.toml --by j.cho --reason";
    assert_eq!(school.run(apply, &["Games are open from today on"]).code, OK);
    let wrong = school.run("unblock authorise U-0005 --wrongly-blocked --by q.whitmore", &[]);
    assert_eq!(wrong.code, USAGE, "{wrong:?}");
    assert!(wrong.err.contains("U-0005 is about no blocked site"), "{wrong:?}");
    assert_eq!(json(&school.run("unblock show U-0005 --json", &[]))["state"], "asked");
}
