//! `check`: what it says of a site, and why.

use crate::changing::cells;
use crate::school::School;
use crate::{BLOCKED, NOT_FOUND, NOT_PERMITTED, OK, json};
use serde_json::Value;

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
    for url in ["intranet.test", "http://93.184.215.14/", "unlisted.test"] {
        assert_eq!(school.run("check --as staff", &[url]).code, OK, "{url}");
    }
    let policy_first = school.run("check 10.0.0.5 --as ks2 --json", &[]);
    assert_eq!(json(&policy_first)[0]["reason"], "uncategorised", "{policy_first:?}");
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
fn a_line_that_is_no_address_has_a_row_as_wide_as_any_other() {
    let school = School::new();
    // The second is answered, so that rows of both kinds stand beside each other.
    let ask = |format: &str| {
        let line = format!("check - --as ks3 {format}");
        let ran = school.run_with(&line, &[], b"ftp://x\nlibrary.test\n\xff\n");
        assert_eq!(ran.code, OK, "{ran:?}");
        ran
    };
    let csv = ask("--csv").out;
    let widths: Vec<usize> = csv.lines().map(|row| cells(row).len()).collect();
    let columns = widths[0];
    assert_eq!(widths, [columns; 4], "{csv}");
    assert!(csv.lines().nth(1).is_some_and(|row| row.contains("ftp://x") && row.contains("error")));
    let rows = json(&ask("--json"));
    let keys = |row: &Value| row.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let all: Vec<Vec<String>> = rows.as_array().unwrap().iter().map(keys).collect();
    assert_eq!((all.len(), all[1].len()), (3, columns), "{rows}");
    assert!(all.iter().all(|keys| *keys == all[1]), "{rows}");
    assert_eq!(rows[0]["verdict"], "error", "{rows}");
    let plain = ask("--plain").out;
    let widths: Vec<usize> = plain.lines().map(|row| row.split('\t').count()).collect();
    assert_eq!(widths, [columns; 3], "{plain}");
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
