//! The log and its reports as they are read.

use crate::school::School;
use crate::{NOT_FOUND, OK, USAGE, json};
use rules::decide::ReasonCode;
use serde_json::Value;

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
    let by = |name: &str| school.run("explain --by", &[name, &codes[0]]).out;
    assert!(by("j.cho").contains("full name: schoolgate log show"), "{}", by("j.cho"));
    assert!(by("m.obi").contains("  person  "), "{}", by("m.obi"));
    assert!(!by("m.obi").contains("log show"), "who may not run it: {}", by("m.obi"));
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
    let typed = "A lesson\u{9b}31m on\u{202e}arcades";
    school.run("unblock request arcade.test --for ks3 --until 2h --by m.obi --reason", &[typed]);
    let json = school.run("report changes --format json", &[]);
    assert!(!json.out.contains(['\u{9b}', '\u{202e}']), "{json:?}");
    let rows: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(rows[1]["Requested by / reason"], format!("m.obi: {typed}"), "{json:?}");
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
