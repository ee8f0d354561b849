//! Backups brought back: a copy filters no less than the school did, or says that it would.

use crate::school::{Ran, School};
use crate::{BLOCKED, OK, PROBLEMS, json};

/// A site that only the starter lists close.
const SOCIAL: &str = "check facebook.com --as ks3";

/// A school without a machine file: the one inside the program.
fn built_in() -> School {
    let school = School::new();
    std::fs::remove_file(school.path("schoolgate.toml")).unwrap();
    let blocked = school.run(SOCIAL, &[]);
    assert_eq!(blocked.code, BLOCKED, "{blocked:?}");
    school
}

fn ok(ran: Ran) -> Ran {
    assert_eq!(ran.code, OK, "{ran:?}");
    ran
}

/// The check of `doctor` about lists that are no longer in force.
fn fewer_lists(school: &School) -> Option<String> {
    let checks = json(&school.run("doctor --json", &[]));
    let is_it = |check: &&serde_json::Value| check["check"] == "fewer lists";
    let check = checks.as_array().unwrap().iter().find(is_it)?;
    assert_eq!(check["outcome"], "problem", "{check}");
    Some(check["found"].as_str().unwrap().to_owned())
}

fn restore(school: &School, more: &[&str]) -> Ran {
    school.run("backup restore copy.tar.gz --school", &[&["Example Academy"], more].concat())
}

/// Puts the state away, and the sessions that belonged to it.
fn lose_state(school: &School) {
    for folder in ["state", "sessions"] {
        let _ = std::fs::remove_dir_all(school.path(folder));
    }
}

#[test]
fn a_copy_of_the_built_in_school_is_not_brought_back_beside_a_smaller_machine_file() {
    let school = built_in();
    let made = ok(school.run("backup create copy.tar.gz", &[]));
    let said = "machine   config/schoolgate.toml: that of the example school inside the program";
    assert!(made.out.contains(said), "{made:?}");
    lose_state(&school);

    school.write("schoolgate.toml", "state = \"state\"\npolicy = \"state/policy.toml\"\n");
    let refused = restore(&school, &[]);
    assert_eq!(refused.code, PROBLEMS, "{refused:?}");
    for part in ["lacks ", " and ", "more; nothing was restored", "where no schoolgate.toml lies"] {
        assert!(refused.err.contains(part), "{part}: {refused:?}");
    }
    assert!(!school.path("state/changes.db").exists());

    // As the backup has it: the machine file of then, or none.
    let unpack = std::process::Command::new("tar")
        .args(["-xzf", "copy.tar.gz", "config/schoolgate.toml"])
        .current_dir(school.path(""))
        .status();
    assert!(unpack.unwrap().success());
    std::fs::rename(school.path("config/schoolgate.toml"), school.path("schoolgate.toml")).unwrap();
    let back = ok(restore(&school, &[]));
    assert!(back.out.contains("policy    as its file was, in state/policy.toml"), "{back:?}");
    assert_eq!(school.run(SOCIAL, &[]).code, BLOCKED);
    assert_eq!(fewer_lists(&school), None);
    lose_state(&school);
    std::fs::remove_file(school.path("schoolgate.toml")).unwrap();
    let back = ok(restore(&school, &[]));
    assert!(!back.err.contains("were not written"), "nothing is left to do: {back:?}");
    assert_eq!(school.run(SOCIAL, &[]).code, BLOCKED);
    assert!(
        school.path("state/policy.toml").is_file() && school.path("state/local/ks1.txt").is_file()
    );
    assert_eq!(fewer_lists(&school), None);

    // A machine file that comes later.
    school.write("schoolgate.toml", "state = \"state\"\npolicy = \"state/policy.toml\"\n");
    let found = fewer_lists(&school).unwrap();
    assert!(
        found.starts_with("of the lists in force at the last run the machine file lacks "),
        "{found}"
    );
}

#[test]
fn a_copy_with_fewer_lists_is_brought_back_by_whoever_says_so() {
    let school = School::new();
    let machine = school.machine();
    ok(school.run("check library.test --as ks3", &[]));
    ok(school.run("backup create copy.tar.gz", &[]));
    lose_state(&school);
    let games = machine.find("[[lists]]\nname = \"own-games\"").unwrap();
    let next = machine.find("[[lists]]\nname = \"own-education\"").unwrap();
    school.write("schoolgate.toml", &format!("{}{}", &machine[..games], &machine[next..]));
    let refused = restore(&school, &[]);
    assert_eq!(refused.code, PROBLEMS, "{refused:?}");
    let said = "lacks 1 of the lists that the backup filtered with: own-games (games); nothing";
    assert!(refused.err.contains(said), "{refused:?}");
    assert!(refused.err.contains("put the machine file of the backup in its place"), "{refused:?}");
    let moved = machine.replace("category = \"games\"", "category = \"music\"");
    school.write("schoolgate.toml", &moved);
    let refused = restore(&school, &[]);
    assert!(refused.err.contains("own-games (games, here music)"), "{refused:?}");
    let meant = ok(restore(&school, &["--fewer-lists"]));
    assert!(
        meant.err.contains("warning: the machine file here (schoolgate.toml) lacks 1"),
        "{meant:?}"
    );
    lose_state(&school);
    school.write("schoolgate.toml", &machine);
    ok(restore(&school, &[]));
}
