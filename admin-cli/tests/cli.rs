//! The program as a technician meets it: each command on a small school of its own, its exit codes,
//! and text from outside that must not reach a terminal, a spreadsheet or a page as it came.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where its setup fails")]

#[path = "cli/changing.rs"]
mod changing;
#[path = "cli/exceptions.rs"]
mod exceptions;
#[path = "cli/following.rs"]
mod following;
#[path = "cli/inspect.rs"]
mod inspect;
#[path = "cli/learned.rs"]
mod learned;
#[path = "cli/lists.rs"]
mod lists;
mod school;
#[path = "cli/terminal.rs"]
mod terminal;

use rules::decide::ReasonCode;
use school::{Ran, School};
use serde_json::Value;

const OK: i32 = 0;
const USAGE: i32 = 2;
const BAD_CONFIG: i32 = 3;
const NOT_PERMITTED: i32 = 4;
const NOT_FOUND: i32 = 5;
const FILTER_DOWN: i32 = 6;
const PROBLEMS: i32 = 7;
const BLOCKED: i32 = 10;

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
}

#[test]
fn check_says_why_a_site_is_blocked_and_when_it_opens() {
    let school = School::new();
    let ran = school.run("check arcade.test --as ks4", &["--at", "2026-11-25 10:00"]);
    assert_eq!(ran.code, BLOCKED, "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], "BLOCKED  arcade.test  ks4  Wed 25 Nov 2026 10:00 GMT");
    assert!(lines[1].starts_with("  because  games = \"allow at lunch\" (policy.toml:"), "{ran:?}");
    assert!(lines[2].starts_with("  listed   games (own-games, "), "{ran:?}");
    assert!(lines[2].ends_with("entry arcade.test"), "{ran:?}");
    assert_eq!(lines[3], "  opens    Wed 12:30 to 13:20");
    assert!(
        lines[4].starts_with("  sooner   schoolgate unblock request arcade.test --for ks4 "),
        "{ran:?}"
    );

    let ran = school.run("check arcade.test --as ks4", &["--at", "2026-11-25 12:40"]);
    assert_eq!(ran.code, OK, "{ran:?}");
    assert!(
        ran.out.starts_with("ALLOWED  arcade.test  ks4  Wed 25 Nov 2026 12:40 GMT\n"),
        "{ran:?}"
    );
}

#[test]
fn check_never_offers_a_way_round_a_locked_category() {
    let school = School::new();
    let ran = school.run("check sealed.test --as staff", &[]);
    assert_eq!(ran.code, BLOCKED, "{ran:?}");
    assert!(ran.out.contains("nothing opens it") && !ran.out.contains("sooner"), "{ran:?}");
    let ran = school.run(
        "unblock request sealed.test --for staff --until 2h --by m.obi",
        &["--reason", "A lesson about the law"],
    );
    assert_eq!(ran.code, NOT_PERMITTED, "{ran:?}");
}

#[test]
fn check_offers_a_request_only_where_one_could_open_the_site() {
    let school = School::new();
    let never = school.run("check casino.test --as ks3", &[]);
    assert_eq!(never.code, BLOCKED, "{never:?}");
    assert!(!never.out.contains("sooner"), "{never:?}");
    let codes = school.log(&[("sam.p", "ks3", "casino.test", "/", "gambling", false)]);
    let explained = school.run("explain", &[&codes[0]]);
    assert!(
        explained.out.contains("the policy never unblocks gambling")
            && !explained.out.contains("unblock request"),
        "{explained:?}"
    );
    assert!(school.run("check arcade.test --as ks2", &[]).out.contains("sooner"));
    let port = school.run("check arcade.test:25 --as ks2", &[]);
    assert!(!port.out.contains("sooner") && !port.out.contains("port 25"), "{port:?}");
}

#[test]
fn check_blocks_a_port_that_the_machine_file_does_not_open() {
    let school = School::new();
    for (url, setting) in [
        ("https://library.test:22/", "connect_ports"),
        ("https://library.test:22/a", "connect_ports"),
        ("http://library.test:25/", "http_ports"),
    ] {
        let ran = school.run("check --as ks2", &[url]);
        assert_eq!(ran.code, BLOCKED, "{ran:?}");
        assert!(ran.out.starts_with("BLOCKED  ") && ran.out.contains(setting), "{ran:?}");
        assert!(!ran.out.contains("sooner") && !ran.out.contains("opens"), "{ran:?}");
        let answer = &json(&school.run("check --json --as ks2", &[url]))[0];
        assert_eq!(answer["verdict"], "block", "{answer}");
        assert_eq!(answer["reason"], "port", "{answer}");
        assert_eq!(answer["rule"], Value::Null, "{answer}");
        let line = school.run_with("check - --jsonl --as ks2", &[], url.as_bytes());
        let answer: Value = serde_json::from_str(&line.out).unwrap();
        assert_eq!((&answer["reason"], &answer["rule"]), (&Value::from("port"), &Value::Null));
    }
    for url in ["http://library.test/", "https://library.test/", "https://library.test/a"] {
        assert_eq!(school.run("check --as ks2", &[url]).code, OK, "{url}");
    }
    let opened = "\n[upstream]\nconnect_ports = [22]\n";
    school.write("schoolgate.toml", &(school.machine() + opened));
    assert_eq!(school.run("check https://library.test:22/ --as ks2", &[]).code, OK);
    assert_eq!(school.run("check https://library.test/ --as ks2", &[]).code, BLOCKED);
}

#[test]
fn check_blocks_what_is_known_to_lead_inside_unless_the_machine_file_names_it() {
    let school = School::new();
    let upstream = "\n[upstream]\nhosts = { \"inside.test\" = \"10.0.0.5\", \"intranet.test\" = \"10.0.0.6\" }\nallow_private = [\"intranet.test\"]\n";
    school.write("schoolgate.toml", &(school.machine() + upstream));
    for url in ["http://10.0.0.5/", "https://[::1]/", "0x7f.1", "169.254.169.254", "inside.test"] {
        let ran = school.run("check --as staff", &[url]);
        assert_eq!(ran.code, BLOCKED, "{ran:?}");
        assert!(ran.out.contains("allow_private") && !ran.out.contains("sooner"), "{ran:?}");
        let line = school.run_with("check - --jsonl --as staff", &[], url.as_bytes());
        assert!(line.out.contains("\"reason\":\"private_address\""), "{line:?}");
    }
    for url in ["intranet.test", "http://8.8.8.8/", "unlisted.test"] {
        assert_eq!(school.run("check --as staff", &[url]).code, OK, "{url}");
    }
    let policy_first = school.run("check 10.0.0.5 --as ks2 --json", &[]);
    assert_eq!(json(&policy_first)[0]["reason"], "uncategorised", "{policy_first:?}");
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
fn what_cannot_be_read_says_what_to_do() {
    let school = School::new();
    let short = school.run_with("user add sam.p --level ks3", &[], b"short\n");
    assert_eq!(short.code, USAGE, "{short:?}");
    assert!(short.err.contains("too short") && short.err.contains("fix: "), "{short:?}");
}

#[test]
fn doctor_tells_of_a_list_whose_file_is_gone_and_of_locks_without_a_feed() {
    let school = School::new();
    school.run("lists update", &[]);
    let check = |name: &str| {
        let checks = json(&school.run("doctor --json", &[]));
        checks.as_array().unwrap().iter().find(|check| check["check"] == name).cloned()
    };
    assert_eq!(check("list files"), None);
    std::fs::remove_file(school.path("lists/games.txt")).unwrap();
    let gone = check("list files").unwrap();
    assert_eq!(gone["outcome"], "problem", "{gone}");
    assert!(gone["found"].as_str().unwrap().contains("own-games"), "{gone}");
    let unfed = check("licensed lists").unwrap();
    assert_eq!(unfed["outcome"], "note", "{unfed}");
    let found = unfed["found"].as_str().unwrap();
    assert!(found.starts_with("no licensed feed: csam, terrorism"), "{unfed}");
    let feed = "\n[[lists]]\nname = \"iwf\"\ncategory = \"csam\"\npath = \"lists/illegal.txt\"\n";
    school.write("schoolgate.toml", &(school.machine() + feed));
    let found = check("licensed lists").unwrap()["found"].as_str().unwrap().to_owned();
    assert!(found.starts_with("no licensed feed: terrorism;"), "{found}");
}

#[test]
fn lists_diff_says_that_nothing_is_held() {
    let school = School::new();
    school.run("lists update", &[]);
    let none = school.run("lists diff own-games", &[]);
    assert_eq!(none.code, NOT_FOUND, "{none:?}");
    assert!(none.err.contains("nothing is held"), "{none:?}");
}

#[test]
fn check_knows_levels_groups_and_users_and_says_so_when_it_does_not() {
    let school = School::new();
    school.user("owen.t", "staff", &["9C"]);
    for (whom, level) in [("ks3", "ks3"), ("@Year 7", "ks3"), ("owen.t", "staff"), ("@9C", "staff")]
    {
        let ran = school.run("check library.test --json --as", &[whom]);
        assert_eq!(json(&ran)[0]["level"], level, "{whom}: {ran:?}");
    }
    for whom in ["nobody.at.all", "@No such group"] {
        let ran = school.run("check library.test --as", &[whom]);
        assert_eq!(ran.code, NOT_FOUND, "{whom}: {ran:?}");
    }
}

#[test]
fn check_answers_a_stream_and_a_bad_line_does_not_stop_it() {
    let school = School::new();
    let input =
        b"arcade.test\nhttp://exa mple/\n\nlibrary.test/maths\n\xff\xfe\nnobody-lists-this.test\n";
    let ran = school.run_with("check - --as ks3 --jsonl", &[], input);
    assert_eq!(ran.code, OK, "{ran:?}");
    let rows: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 5, "{ran:?}");
    assert_eq!(rows[0]["verdict"], "block");
    assert_eq!(rows[0]["list"], "own-games");
    assert_eq!(rows[0]["entry"], "arcade.test");
    assert_eq!(rows[0]["categories"], serde_json::json!(["games"]));
    assert!(rows[0]["rule"].as_str().unwrap().starts_with("policy.toml:"), "{ran:?}");
    assert!(rows[1]["error"].is_string(), "{ran:?}");
    assert_eq!(rows[2]["verdict"], "allow");
    assert!(rows[3]["error"].is_string(), "{ran:?}");
    assert_eq!(rows[4]["categories"], serde_json::json!(["uncategorised"]));
    assert_eq!(rows[4]["list"], Value::Null);
}

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
fn a_bad_machine_file_is_named_with_its_line() {
    let school = School::new();
    school.write("schoolgate.toml", &school.machine().replace("policy =", "polcy ="));
    let ran = school.run("config validate", &[]);
    assert_eq!(ran.code, BAD_CONFIG, "{ran:?}");
    assert!(ran.err.contains("schoolgate.toml:2:") && ran.err.contains("polcy"), "{ran:?}");
    assert_eq!(school.run("check library.test --as ks3", &[]).code, BAD_CONFIG);
}

#[test]
fn config_show_prints_what_is_in_effect() {
    let school = School::new();
    let shown = school.run("config show --json", &[]);
    assert_eq!(
        json(&shown)["policy"].as_str().map(|path| path.ends_with("policy.toml")),
        Some(true),
        "{shown:?}"
    );
    assert_eq!(school.run("config validate", &[]).code, OK);
}

#[test]
fn without_a_running_filter_status_and_doctor_say_that_browsing_is_stopped() {
    let school = School::new();
    let status = school.run("status", &[]);
    assert_eq!(status.code, FILTER_DOWN, "{status:?}");
    assert!(status.out.contains("stopped, not open"), "{status:?}");
    let doctor = school.run("doctor --json", &[]);
    assert_eq!(doctor.code, FILTER_DOWN, "{doctor:?}");
    let down =
        json(&doctor).as_array().unwrap().iter().filter(|check| check["outcome"] == "down").count();
    assert_eq!(down, 1, "{doctor:?}");
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
fn doctor_finds_a_state_folder_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let school = School::new();
    school.run("status", &[]);
    std::fs::set_permissions(school.path("state"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let doctor = school.run("doctor", &[]);
    assert!(doctor.out.contains("may be read by others"), "{doctor:?}");
}

#[test]
fn the_log_is_filtered_paged_and_explained() {
    let school = School::new();
    let codes = school.log(&[
        ("sam.p", "ks3", "arcade.test", "/play", "games", false),
        ("sam.p", "ks3", "library.test", "/maths", "education", true),
        ("owen.t", "staff", "arcade.test", "/", "games", true),
        ("", "guest", "casino.test", "/", "gambling", false),
    ]);
    let rows = |line: &str| -> Vec<Value> {
        let ran = school.run(line, &[]);
        assert_eq!(ran.code, OK, "{ran:?}");
        assert!(ran.err.contains("range: "), "{ran:?}");
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(rows("log query --since 1h --jsonl").len(), 4);
    assert_eq!(rows("log query --since 1h --jsonl --verdict block").len(), 2);
    assert_eq!(rows("log query --since 1h --jsonl --user SAM.P").len(), 2);
    assert_eq!(rows("log query --since 1h --jsonl --level staff --site arcade.test").len(), 1);
    assert_eq!(rows("log query --since 1h --jsonl --category gambling").len(), 1);
    assert_eq!(rows("log query --since 1h --jsonl --reason category").len(), 2);
    assert_eq!(rows(&format!("log query --since 1h --jsonl --code {}", codes[0])).len(), 1);
    assert_eq!(rows("log query --since 1h --jsonl --term PLAY").len(), 1, "in the path");
    assert_eq!(rows("log query --since 1h --jsonl --term arcade").len(), 2, "in the host");
    assert_eq!(rows("log query --since 1h --jsonl --term arcade --user sam.p").len(), 1);
    let slips = school.run("log query --since 1h --level ks33 --category gmaes", &[]);
    assert_eq!(slips.code, OK, "{slips:?}");
    for warning in ["no level is called \"ks33\"", "no category is called \"gmaes\""] {
        assert!(slips.err.contains(warning), "{slips:?}");
    }
    assert_eq!(rows("log query --since yesterday --jsonl").len(), 0);
    let first = &rows("log query --since 1h --jsonl --limit 1")[0];
    let last = &rows("log query --since 1h --jsonl --limit 1 --newest-first")[0];
    assert_eq!(first["host"], "arcade.test");
    assert_eq!(last["host"], "casino.test");
    assert_eq!(last["user"], Value::Null, "nobody proved is never a name");
    assert!(
        first["at"].as_str().unwrap().ends_with("+00:00")
            || first["at"].as_str().unwrap().ends_with("+01:00")
    );
    let table = school.run("log query --since 1h", &[]);
    assert!(table.out.contains(" GMT") || table.out.contains(" BST"), "{table:?}");
    assert_eq!(school.run("log query --reason nosuch", &[]).code, USAGE);
    assert_eq!(school.run("log query --since", &["the day after never"]).code, USAGE);

    let explained = school.run("explain", &[&codes[0].to_lowercase()]);
    assert_eq!(explained.code, OK, "{explained:?}");
    assert!(
        explained.out.contains("BLOCKED") && explained.out.contains("own-games"),
        "{explained:?}"
    );
    assert!(
        explained.out.contains("person     SP") && !explained.out.contains("sam.p"),
        "initials only: {explained:?}"
    );
    assert!(explained.out.contains("unblock request arcade.test --for ks3"), "{explained:?}");
    assert_eq!(json(&school.run("explain --json", &[&codes[0]]))["person"], "SP");
    let shown = school.run("log show", &[&codes[0]]);
    assert!(shown.out.contains("sam.p"), "{shown:?}");
    let show = |format: &str| school.run(&format!("log show {} {format}", codes[0]), &[]).out;
    let object: Value = serde_json::from_str(&show("--json")).unwrap();
    assert_eq!((&object["user"], &object["code"]), (&"sam.p".into(), &codes[0].as_str().into()));
    assert_eq!(show("--jsonl"), show("--json"));
    assert_eq!(show("--csv").lines().count(), 2, "a header and the record");
    assert!(show("--plain").contains("\tsam.p\tks3\tblock\tarcade.test\t"), "{}", show("--plain"));
    let place = first["sequence"].as_str().unwrap();
    assert!(school.run("log show", &[place]).out.contains(&codes[0]));
    assert_eq!(school.run("explain 00000-00000", &[]).code, NOT_FOUND);
    assert_eq!(school.run("explain nonsense", &[]).code, USAGE);
}

#[test]
fn text_from_outside_cannot_drive_a_terminal_or_a_spreadsheet() {
    let school = School::new();
    school.log(&[("=cmd|x", "ks3", "a\u{1b}[2J\u{202e}.test", "/\u{7}<script>", "games", false)]);
    let table = school.run("log query --since 1h", &[]);
    assert!(
        !table.out.contains('\u{1b}')
            && !table.out.contains('\u{202e}')
            && !table.out.contains('\u{7}'),
        "{table:?}"
    );
    let csv = school.run("log query --since 1h --csv", &[]);
    assert!(csv.out.contains("\"'=cmd|x\""), "{csv:?}");
    let plain = school.run("log query --since 1h --plain", &[]);
    assert!(!plain.out.contains('\u{1b}'), "{plain:?}");

    let hostile = "=HYPERLINK(\"http://x.test\")|<script>alert(1)</script> for the lesson";
    school.run("unblock request arcade.test --for ks3 --until 2h --by m.obi --reason", &[hostile]);
    let page = school.run("report changes --format html", &[]);
    assert!(page.out.contains("&lt;script&gt;") && !page.out.contains("<script"), "{page:?}");
    let md = school.run("report changes --format md", &[]);
    assert!(md.out.contains("\\|&lt;script>"), "{md:?}");
    let csv = school.run("report changes --format csv", &[]);
    assert_eq!(
        csv.out.lines().next(),
        Some(
            "Website / category,Date,Requested by / reason,Authorised by,Change made by,Confirmed by,Date for review"
        )
    );
    let odd = School::new();
    odd.write("policy.toml", &odd.policy().replace("teacher = [", "teacher = [\"=1+1\", "));
    let asked = odd.run(
        "unblock request arcade.test --for ks3 --until 2h --by =1+1 --reason",
        &["A lesson about spreadsheets"],
    );
    assert_eq!(asked.code, OK, "{asked:?}");
    let csv = odd.run("unblock log --csv", &[]);
    assert!(csv.out.contains("\"'=1+1: A lesson"), "{csv:?}");
    let json = school.run("report changes --format json", &[]);
    let rows: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(rows[0].as_object().unwrap().len(), 7, "{json:?}");
}

#[test]
fn the_weekly_report_counts_what_was_recorded_and_names_nobody() {
    let school = School::new();
    let mut records = vec![("sam.p", "ks3", "arcade.test", "/", "games", false); 6];
    records.push(("owen.t", "ks3", "library.test", "/", "education", true));
    records.push(("", "guest", "casino.test", "/", "gambling", false));
    records.push(("sam.p", "ks3", "casino.test", "/", "gambling", false));
    school.log(&records);
    let banned = [("max.r", "ks3", "library.test", "/", "education", false); 7];
    school.log_because(ReasonCode::Banned, &[], &banned);
    let closed = [("", "guest", "museum.test", "/", "education", false); 2];
    school.log_because(ReasonCode::SiteBlocked, &[], &closed);
    school.log_because(ReasonCode::SignIn, &[], &closed);
    for (reader, format) in [
        ("dsl", "html"),
        ("dsl", "md"),
        ("it", "html"),
        ("it", "csv"),
        ("it", "json"),
        ("dsl", "json"),
    ] {
        let line = format!("report weekly --for {reader} --format {format} --since");
        let ran = school.run(&line, &["this week"]);
        assert_eq!(ran.code, OK, "{ran:?}");
        assert!(
            !ran.out.contains("sam.p") && !ran.out.contains("owen.t"),
            "{reader} {format}: {}",
            ran.out
        );
        assert!(ran.out.contains("P-"), "{reader} {format}: {}", ran.out);
    }
    let figures = json(&school.run("report weekly --for it --format json --since", &["this week"]));
    assert_eq!(figures["figures"]["requests"], 20);
    assert_eq!(figures["figures"]["blocked"], 19);
    assert_eq!(figures["figures"]["identified"], 15);
    let pupil = figures["people"][0]["person"].as_str().unwrap_or_default().to_owned();
    assert!(pupil.starts_with("P-") && pupil.len() == 10, "{pupil}");
    let people = serde_json::json!([
        { "person": pupil, "blocked": 7, "most": [["Games", 6], ["Gambling", 1]] }
    ]);
    assert_eq!(figures["people"], people, "a ban is not a pupil's doing");
    let categories = serde_json::json!([["Games", 6], ["Gambling", 2]]);
    assert_eq!(figures["figures"]["categories"], categories, "neither bans nor hand blocks");
    let table = school.run("report weekly --for dsl --format md --since", &["this week"]);
    for line in [
        "| Games | 6 | 0 |",
        "| Gambling | 2 | 0 |",
        "| Banned users | 7 | 0 |",
        "| Sites blocked by hand | 2 | 0 |",
        &format!("| {pupil} | 7 | Games 6, Gambling 1 |"),
        "| q.whitmore |   |   |",
        "Blocked besides the rows below: 2 asked to sign in first.",
    ] {
        assert!(table.out.lines().any(|printed| printed == line), "{line}: {}", table.out);
    }
    let page =
        school.run("report weekly --for dsl --format html -o week.html --since", &["this week"]);
    assert_eq!(page.code, OK, "{page:?}");
    let page = std::fs::read_to_string(school.path("week.html")).unwrap();
    assert!(page.contains("20 requests, 19 blocked") && page.contains("@page"), "{page}");
    assert!(page.contains("<td class=\"write\"> </td>") && !page.contains('`'), "{page}");
    assert!(
        !page.contains("TLS") && !page.contains("CONNECT"),
        "plain words for the safeguarding lead"
    );
}

#[test]
fn a_page_of_the_log_is_printed_in_the_order_of_time() {
    let school = School::new();
    let access = |host| ("sam.p", "ks3", host, "/", "games", true);
    let records = ["a.test", "b.test", "c.test"].map(access);
    school.log_because(ReasonCode::Category, &[1000, 3000, 2000], &records);
    let hosts = |more: &str| {
        let ran = school.run(&format!("log query --since 1h --plain {more}"), &[]);
        let hosts = ran.out.lines().map(|line| line.split('\t').nth(4).unwrap().to_owned());
        hosts.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(hosts(""), "b.test c.test a.test");
    assert_eq!(hosts("--newest-first"), "a.test c.test b.test");
    assert_eq!(hosts("--limit 2"), "b.test a.test", "what a page holds goes by sequence");
    let rows = school.run("log query --since 1h --jsonl", &[]);
    let places = rows.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let places: Vec<_> = places.map(|row| row["sequence"].to_string()).collect();
    assert!(places[0].ends_with(":1\"") && places[2].ends_with(":0\""), "{places:?}");
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
fn a_reader_that_goes_away_ends_a_command_quietly() {
    let school = School::new();
    for line in [
        "config show",
        "user --help",
        "unblock list",
        "completions bash",
        "check arcade.test --as ks3",
    ] {
        let ran = school.run_unread(line);
        assert!(!ran.err.contains("panicked"), "{line}: {ran:?}");
    }
}

#[test]
fn retention_says_what_the_school_decided_and_how_it_is_carried_out() {
    let school = School::new();
    let ran = school.run("retention show --json", &[]);
    assert_eq!(json(&ran)[0]["days"], 90, "{ran:?}");
    assert!(ran.err.contains("once its own period is over"), "{ran:?}");
}

#[test]
fn the_grammar_is_checked_and_documented() {
    let school = School::new();
    assert_eq!(school.run("nosuch", &[]).code, USAGE);
    assert_eq!(school.run("check", &[]).code, USAGE);
    let help = school.run("unblock request --help", &[]);
    assert_eq!(help.code, OK);
    assert!(help.out.starts_with("Examples:\n  schoolgate unblock request "), "{help:?}");
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(school.run("completions", &[shell]).out.contains("schoolgate"), "{shell}");
    }
    assert!(school.run("man", &[]).out.contains(".TH schoolgate"));
    assert_eq!(school.run("man -o man", &[]).code, OK);
    let pages = std::fs::read_dir(school.path("man")).unwrap().count();
    assert!(pages > 40, "only {pages} manual pages");
    for name in ["q.whitmore", "j.cho"] {
        school.run("unblock list --by", &[name]);
    }
    let missing = school.run_plain("unblock authorise U-0001", &[], b"");
    assert_eq!(missing.code, USAGE, "two are logged in: {missing:?}");
    assert!(missing.err.contains("fix: add --by NAME"), "{missing:?}");
}

#[test]
fn a_change_log_missing_from_a_school_in_use_is_refused_and_says_what_to_do() {
    let school = School::new();
    school.log(&[("sam.p", "ks3", "library.test", "/", "education", true)]);
    for file in ["changes.db", "changes.db-wal", "changes.db-shm"] {
        let _ = std::fs::remove_file(school.path("state").join(file));
    }
    for line in ["block list", "user list", "serve", "lists update"] {
        let ran = school.run(line, &[]);
        assert_ne!(ran.code, OK, "{line}: {ran:?}");
        assert!(ran.err.contains("changes.db") && ran.err.contains("backup"), "{line}: {ran:?}");
    }
    assert!(!school.path("state/changes.db").exists());
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
