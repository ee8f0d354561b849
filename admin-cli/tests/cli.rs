//! The program as a technician meets it: each command on a small school of its own, its exit codes,
//! and text from outside that must not reach a terminal, a spreadsheet or a page as it came.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where its setup fails")]

#[path = "cli/backups.rs"]
mod backups;
#[path = "cli/changed.rs"]
mod changed;
#[path = "cli/changing.rs"]
mod changing;
#[path = "cli/checking.rs"]
mod checking;
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
#[path = "cli/people.rs"]
mod people;
#[path = "cli/policies.rs"]
mod policies;
#[path = "cli/reading.rs"]
mod reading;
#[path = "cli/refused_reports.rs"]
mod refused_reports;
#[path = "cli/replayed.rs"]
mod replayed;
#[path = "cli/requests.rs"]
mod requests;
mod school;
#[path = "cli/signed.rs"]
mod signed;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/weekly.rs"]
mod weekly;

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
fn a_machine_file_whose_policy_is_not_there_has_a_fault() {
    let school = School::new();
    school.write("schoolgate.toml", &school.machine().replace("policy.toml", "polcy.toml"));
    let ran = school.run("config validate", &[]);
    assert_eq!(ran.code, BAD_CONFIG, "{ran:?}");
    for part in
        ["schoolgate.toml", "polcy.toml", "No such file", "fix: put the school's policy there"]
    {
        assert!(ran.err.contains(part), "{part}: {ran:?}");
    }
    assert!(!ran.out.contains("no faults"), "{ran:?}");
    // One with faults of its own is not called faultless either.
    let school = School::new();
    school.write(
        "policy.toml",
        &school.policy().replace("ks4 = \"allow at lunch\"", "ks9 = \"allow\""),
    );
    let ran = school.run("config validate --config ./schoolgate.toml", &[]);
    assert_eq!(ran.code, BAD_CONFIG, "{ran:?}");
    assert!(!ran.out.contains("no faults"), "{ran:?}");
    let told = school.run("policy validate", &[]);
    assert_eq!(told.code, BAD_CONFIG, "{told:?}");
    assert!(told.err.contains("ks9") && ran.err.starts_with(&told.err), "{told:?} {ran:?}");
    for part in ["./schoolgate.toml: the policy", "--config ./schoolgate.toml policy validate"] {
        assert!(ran.err.contains(part), "{part}: {ran:?}");
    }
    // One that is no TOML.
    let school = School::new();
    school.write("policy.toml", "school = ");
    let ran = school.run("config validate", &[]);
    assert!(ran.code == BAD_CONFIG && ran.err.contains("policy.toml:1"), "{ran:?}");
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
fn doctor_finds_a_state_folder_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let school = School::new();
    school.run("status", &[]);
    std::fs::set_permissions(school.path("state"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let doctor = school.run("doctor", &[]);
    assert!(doctor.out.contains("may be read by others"), "{doctor:?}");
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
fn where_there_is_no_school_nothing_is_answered_of_another_one() {
    let nowhere = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let program = std::process::Command::new(env!("CARGO_BIN_EXE_schoolgate"))
            .args(words)
            .current_dir(nowhere.path())
            .output()
            .unwrap();
        (program.status.code(), String::from_utf8_lossy(&program.stderr).into_owned())
    };
    for words in
        [&["status"][..], &["doctor"], &["setup", "j.cho", "--no-input"], &["log", "query"]]
    {
        let (code, said) = run(words);
        assert_eq!(code, Some(BAD_CONFIG), "{words:?}: {said}");
        assert!(said.contains("no school in this folder: /"), "{words:?}: {said}");
        assert!(said.contains("fix: name the machine file with --config FILE, or cd"), "{said}");
        assert!(!nowhere.path().join("state").exists(), "{words:?} made one");
    }
    assert_eq!(run(&["config", "validate"]).0, Some(OK));
    assert_eq!(run(&["help", "unblock"]).0, Some(OK));
    let (code, said) = run(&["check", "library.test", "--as", "STAFF"]);
    assert!(code == Some(OK) || code == Some(10), "{code:?}: {said}");
    assert!(said.contains("the built-in example school answers"), "{said}");
    assert!(!nowhere.path().join("state").exists(), "check made a school");
    assert_eq!(run(&["status"]).0, Some(BAD_CONFIG), "after check too");
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
