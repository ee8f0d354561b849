//! What the log tells of https: in `status`, in the weekly report, and in `inspect learned`.

use crate::school::{Kind, School};
use crate::{FILTER_DOWN, OK, json};

/// A school that looks into its pupils' connections, on a day that it did.
fn school() -> School {
    let school = School::new();
    let policy = school.policy().replace("pupil = {}", "pupil = { inspect = \"page\" }");
    school.write("policy.toml", &policy);
    let made = school.run("ca init --by j.cho", &[]);
    assert_eq!(made.code, OK, "{made:?}");
    school.log_connections(&[
        ("ks3", "library.test", "10.0.0.1", Kind::Used, 6),
        ("ks3", "library.test", "10.0.0.9", Kind::Refused, 4),
        ("ks3", "pinned.example", "10.0.0.1", Kind::Refused, 2),
        ("ks3", "pinned.example", "10.0.0.2", Kind::Refused, 1),
        ("ks3", "once.example", "10.0.0.1", Kind::Refused, 1),
        ("ks3", "app.example", "10.0.0.1", Kind::Unused, 3),
        ("guest", "library.test", "10.0.9.1", Kind::ByName, 1),
        ("ks3", "sealed.test", "10.0.0.1", Kind::Refused, 3),
    ]);
    school
}

#[test]
fn learned_proposes_lines_that_the_policy_takes_and_only_where_there_is_reason_enough() {
    let school = school();
    let found = json(&school.run("inspect learned --json", &[]));
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    let pinned = &found[0];
    assert_eq!(pinned["host"], "pinned.example");
    assert_eq!((&pinned["refused"], &pinned["clients"]), (&3.into(), &2.into()), "{pinned}");
    assert_eq!((&pinned["opened"], &pinned["requests"]), (&0.into(), &0.into()), "{pinned}");
    assert_eq!(pinned["inspect"], "page");
    assert_eq!(pinned["proposed"], true);
    assert!(pinned["since"].as_str().unwrap().contains('T'), "{pinned}");

    let all = school.run("inspect learned --all --json --since yesterday", &[]);
    assert_eq!(json(&all), serde_json::json!([]), "a range without its days: {all:?}");
    let all = json(&school.run("inspect learned --all --json --since 2d", &[]));
    let hosts: Vec<_> = all.as_array().unwrap().iter().map(|row| row["host"].clone()).collect();
    // Most refused first; what is listed as illegal by now is not named.
    assert_eq!(hosts, ["library.test", "pinned.example", "once.example", "app.example"], "{all}");
    assert_eq!(all[0]["requests"], 6, "{all}");
    assert_eq!(all[0]["proposed"], false, "one device, where others open it: {all}");
    assert_eq!((&all[3]["refused"], &all[3]["opened"]), (&0.into(), &3.into()), "{all}");
    assert!(all[3]["since"].is_null(), "{all}");

    let people = school.run("inspect learned", &[]);
    assert_eq!(people.code, OK, "{people:?}");
    assert!(people.out.starts_with("Site "), "{people:?}");
    assert!(people.err.contains("Nothing is let past by itself"), "{people:?}");
    assert!(people.err.contains("1 more sites were opened and never used"), "{people:?}");
    let lines = &people.out[people.out.find("[[inspect_site]]").unwrap()..];
    assert_eq!(lines.trim_end(), pinned["lines"].as_str().unwrap());
    assert!(lines.contains("site = \"pinned.example\"\ninspect = \"name\"\n"), "{lines}");

    school.write("policy.toml", &format!("{}\n{lines}", school.policy()));
    let valid = school.run("policy validate", &[]);
    assert_eq!(valid.code, OK, "{valid:?}");
    let shown = json(&school.run("inspect show pinned.example --as ks3 --json", &[]));
    assert_eq!(shown[0]["inspect"], "name", "{shown}");
    let settled = school.run("inspect learned", &[]);
    assert_eq!(settled.out, "", "{settled:?}");
    assert!(settled.err.contains("no site's devices refused"), "{settled:?}");
}

#[test]
fn a_device_without_the_authority_is_told_from_sites_that_refuse_it() {
    let school = school();
    let hosts = ["a.example", "b.example", "c.example", "d.example", "e.example"];
    let refused = hosts.map(|host| ("ks3", host, "10.0.0.77", Kind::Refused, 3));
    school.log_connections(&refused);
    let ran = school.run("inspect learned", &[]);
    assert!(ran.err.contains("warning: 10.0.0.77 refused 5 sites: a device without"), "{ran:?}");
    assert!(!ran.err.contains("10.0.0.1 refused"), "{ran:?}");
}

#[test]
fn status_tells_how_much_of_https_was_looked_into_today() {
    let school = school();
    let ran = school.run("status", &[]);
    assert_eq!(ran.code, FILTER_DOWN, "{ran:?}");
    let line = "https     today 9 connections looked into, 1 by name only (10 %), 11 refused the \
                school's certificate\n";
    assert!(ran.out.contains(line), "{ran:?}");
    let status = json(&school.run("status --json", &[]));
    assert_eq!(status["https_looks_into"], true, "{status}");
    let today = serde_json::json!({ "looked_into": 9, "by_name": 1, "refused": 11, "nothing": 0 });
    assert_eq!(status["https_today"], today);

    let policy = school.policy().replace("pupil = { inspect = \"page\" }", "pupil = {}");
    school.write("policy.toml", &policy);
    let ran = school.run("status", &[]);
    assert!(ran.out.contains("nothing is looked into: no level has inspect = \"page\"; today 9 "));

    let without = School::new();
    without.log_connections(&[("ks3", "library.test", "10.0.0.1", Kind::ByName, 2)]);
    let ran = without.run("status", &[]);
    let line = "https     nothing is looked into: no authority; see schoolgate ca init; today 2 \
                connections by name only\n";
    assert!(ran.out.contains(line), "{ran:?}");
}

#[test]
fn the_weekly_report_tells_how_much_of_https_was_looked_into() {
    let school = school();
    let line = "report weekly --since today --format";
    let dsl = school.run(line, &["md"]);
    let words = "the filter looked into 90 % of 10; of 1 it saw only the site's name";
    assert!(dsl.out.contains(words), "{dsl:?}");
    assert!(dsl.out.contains("11 failed because a device or program"), "{dsl:?}");
    assert!(!dsl.out.contains("schoolgate inspect"), "{dsl:?}");
    let it = school.run("report weekly --since today --for it --format", &["md"]);
    assert!(it.out.contains("by level: ks3 100 % of 9; guest none of 1."), "{it:?}");
    assert!(it.out.contains("See schoolgate inspect learned."), "{it:?}");
    let figures = json(&school.run(line, &["json"]))["figures"].clone();
    assert_eq!(figures["depths"], serde_json::json!([["name", 1], ["page", 6]]), "{figures}");
    assert_eq!(figures["https"]["looked_into"], 9, "{figures}");
    assert_eq!(figures["https_levels"][0][0], "ks3", "{figures}");
}
