//! The weekly report: what was blocked in words that are understood, tries to get round the filter, one page.

use crate::school::{CATEGORIES, School};
use crate::{OK, json};
use rules::decide::ReasonCode;
use std::process::Command;

const WEEK: [&str; 2] = ["--since", "this week"];

#[test]
fn what_was_blocked_for_more_than_a_sites_kind_has_rows_of_its_own() {
    let school = School::new();
    let sam = |times: usize| vec![("sam.p", "ks3", "a.test", "/", "education", false); times];
    school.log_because(ReasonCode::SearchWords, &[], &sam(1));
    school.log_because(ReasonCode::Vpn, &[], &sam(9));
    school.log_because(ReasonCode::WebProxy, &[], &sam(5));
    school.log_because(ReasonCode::PageWords, &[], &sam(1));
    school.log_because(ReasonCode::FileKind, &[], &sam(1));
    school.log_because(ReasonCode::Port, &[], &sam(1));
    let nobody = [("", "guest", "a.test", "/", "education", false); 2];
    school.log_because(ReasonCode::Tor, &[], &nobody);
    let page = school.run("report weekly --for dsl --format md", &WEEK);
    assert_eq!(page.code, OK, "{page:?}");
    let week = json(&school.run("report weekly --for dsl --format json", &WEEK));
    let pupil = week["people"][0]["person"].as_str().unwrap();
    let most = "Ways round the filter 14, Words searched for or written 1, Words on a page or in an address 1";
    for line in [
        "| Words searched for or written | 1 | 0 |",
        "| Words on a page or in an address | 1 | 0 |",
        "| Ways round the filter | 16 | 0 |",
        "| Kinds and sizes of files | 1 | 0 |",
        "Blocked besides the rows below: 1 for technical reasons, such as limits, ports or certificates.",
        &format!("| {pupil} | 18 | {most} |"),
        "16 were blocked; the week before: 0.",
        &format!("| {pupil} | 14 | VPN 9, web proxy 5 |"),
    ] {
        assert!(page.out.lines().any(|printed| printed == line), "{line}: {}", page.out);
    }
    assert!(page.out.contains("1 person tried; 2 came where nobody had signed in."), "{page:?}");
    assert!(!page.out.contains("Not measured yet: tries"), "{page:?}");
    let tries = &week["figures"]["tries"];
    assert_eq!((&tries["tries"], &tries["nobody_signed_in"]), (&16.into(), &2.into()), "{tries}");
    assert_eq!(week["week_before"]["tries"]["tries"], 0, "{week}");
    let ways = serde_json::json!([["VPN", 9], ["web proxy", 5]]);
    let person = serde_json::json!([{ "person": pupil, "tries": 14, "ways": ways }]);
    assert_eq!(week["people_with_tries"], person, "no name unless it was asked for");
    let not_measured = week["not_measured"].as_array().unwrap();
    for measured in ["searches", "circumvention", "overblocking", "unread_report_told"] {
        assert!(!not_measured.contains(&measured.into()), "{not_measured:?}");
    }
    assert!(not_measured.contains(&"overblocking_not_asked_about".into()), "{not_measured:?}");
}

#[test]
fn a_policy_that_somebody_asks_for_is_no_site_asked_for() {
    let school = School::new();
    let ask = "unblock request arcade.test --for ks3 --until 2h --by m.obi --reason";
    assert_eq!(school.run(ask, &["The chess club final"]).code, OK);
    let looser = school.policy().replace("ks4 = \"allow at lunch\"", "ks4 = \"allow\"");
    school.write("next.toml", &looser);
    let apply = "policy apply next.toml --by j.cho --reason";
    let asked = school.run(apply, &["Games are open from today on"]);
    assert!(asked.out.contains("U-0002"), "{asked:?}");
    let week = json(&school.run("report weekly --format json", &WEEK));
    let requests = &week["requests"];
    assert_eq!((&requests["asked"], &requests["lessons"]), (&1.into(), &0.into()), "{requests}");
}

/// How many pages the PDF of the report has; `None`, and a word, where no tool can tell.
fn pages(school: &School, name: &str) -> Option<usize> {
    let line = format!("report weekly --for dsl --format pdf -o {name}");
    let ran = school.run(&line, &["--since", "last week"]);
    assert_eq!(ran.code, OK, "{ran:?}");
    let info = match Command::new("pdfinfo").arg(school.path(name)).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("passed over: pdfinfo (poppler-utils) is not installed");
            return None;
        }
        info => String::from_utf8(info.unwrap().stdout).unwrap(),
    };
    if let Some(kept) = std::env::var_os("SCHOOLGATE_KEEP_PDF") {
        std::fs::copy(school.path(name), std::path::Path::new(&kept).join(name)).unwrap();
    }
    info.lines().find_map(|line| line.strip_prefix("Pages:")?.trim().parse().ok())
}

/// How many A4 pages Chromium prints of the HTML, as somebody who opens the file does; `None`, and a word,
/// where a tool is missing.
fn printed(school: &School, name: &str) -> Option<usize> {
    let ran = school.run(&format!("report weekly --for dsl -o {name}.html"), &[]);
    assert_eq!(ran.code, OK, "{ran:?}");
    let (page, paper) =
        (school.path(&format!("{name}.html")), school.path(&format!("{name}-printed.pdf")));
    let chromium = Command::new("chromium")
        .env("HOME", school.path("."))
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"])
        .arg(format!("--print-to-pdf={}", paper.display()))
        .arg(format!("file://{}", page.display()))
        .output();
    let told = match chromium {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("passed over: chromium is not installed");
            return None;
        }
        told => told.unwrap(),
    };
    if let Some(kept) = std::env::var_os("SCHOOLGATE_KEEP_PDF") {
        std::fs::copy(&page, std::path::Path::new(&kept).join(format!("{name}.html"))).unwrap();
        std::fs::copy(&paper, std::path::Path::new(&kept).join(format!("{name}-printed.pdf")))
            .unwrap();
    }
    let info = Command::new("pdfinfo").arg(&paper).output().ok()?;
    let info = String::from_utf8(info.stdout).unwrap();
    assert!(info.contains("(A4)"), "{info} {told:?}");
    info.lines().find_map(|line| line.strip_prefix("Pages:")?.trim().parse().ok())
}

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Milliseconds since this moment.
fn age(moment: &str) -> i64 {
    let moment: jiff::Timestamp = moment.parse().unwrap();
    jiff::Timestamp::now().as_millisecond() - moment.as_millisecond()
}

#[test]
fn the_week_before_has_seven_days_though_the_clock_was_changed() {
    // The day before the week before, its first and last day, the first of the week.
    let cases = [
        ("2025-10-20/2025-10-26", ["2025-10-12", "2025-10-13", "2025-10-19", "2025-10-20"]),
        ("2025-03-31/2025-04-06", ["2025-03-23", "2025-03-24", "2025-03-30", "2025-03-31"]),
    ];
    for (week, days) in cases {
        let school = School::new();
        let ages = days.map(|day| age(&format!("{day}T12:00:00Z")));
        let records = [("sam.p", "ks3", "a.test", "/", "drugs", false); 4];
        school.log_because(ReasonCode::Category, &ages, &records);
        let report = json(&school.run("report weekly --format json --since", &[week]));
        let counts = (&report["figures"]["requests"], &report["week_before"]["requests"]);
        assert_eq!(counts, (&1.into(), &2.into()), "{week}: {report}");
        let theme = &report["themes"]["rows"][0];
        let counts = (&theme["episodes"], &theme["last_week"]);
        assert_eq!(counts, (&1.into(), &2.into()), "{week}: {theme}");
    }
}

/// Writes a week that lies behind: each person's blocks of each category.
fn last_week(school: &School, people: &[&str], categories: &[&str], times: i64) {
    let (mut records, mut ages) = (Vec::new(), Vec::new());
    for (number, category) in (0..).zip(categories) {
        for (place, person) in (0..).zip(people) {
            for again in 0..times {
                records.push((*person, "ks3", "a.test", "/", *category, false));
                ages.push(7 * DAY_MS - place * 60_000 - number * 5_000 - again * 3_000);
            }
        }
    }
    school.log_because(ReasonCode::Category, &ages, &records);
}

#[test]
fn a_week_is_one_page_and_a_very_full_one_two() {
    let empty = School::new();
    last_week(&empty, &["sam.p"], &["games"], 3);
    let quiet = pages(&empty, "quiet.pdf");
    assert!(quiet.is_none_or(|pages| pages == 1), "a quiet week: {quiet:?}");

    let usual = School::new();
    last_week(
        &usual,
        &["sam.p", "owen.t", "max.r"],
        &["games", "gambling", "drugs", "self-harm"],
        6,
    );
    ways_round(&usual, &["sam.p", "owen.t"]);
    ask(&usual, 3);
    let pages_of_usual = pages(&usual, "usual.pdf");
    assert!(pages_of_usual.is_none_or(|pages| pages == 1), "a usual week: {pages_of_usual:?}");
    let printed_usual = printed(&usual, "usual");
    assert!(printed_usual.is_none_or(|pages| pages == 1), "printed: {printed_usual:?}");

    let full = School::new();
    let people = ["sam.p", "owen.t", "max.r", "ida.k", "noor.a", "lee.w", "ana.m"];
    last_week(&full, &people, &CATEGORIES[1..], 6);
    ways_round(&full, &people);
    ask(&full, 8);
    let pages_of_full = pages(&full, "full.pdf");
    assert!(pages_of_full.is_none_or(|pages| pages <= 2), "a full week: {pages_of_full:?}");
    let printed_full = printed(&full, "full");
    assert!(printed_full.is_none_or(|pages| pages <= 2), "printed: {printed_full:?}");
}

/// Tries of last week, and other blocks that have rows of their own.
fn ways_round(school: &School, people: &[&'static str]) {
    let reasons = [
        ReasonCode::Vpn,
        ReasonCode::WebProxy,
        ReasonCode::SearchWords,
        ReasonCode::PageWords,
        ReasonCode::FileKind,
        ReasonCode::NoSafeMode,
        ReasonCode::SiteBlocked,
    ];
    let record = |person: &&'static str| (*person, "ks3", "a.test", "/", "education", false);
    let records: Vec<_> = people.iter().flat_map(|person| [record(person); 3]).collect();
    for reason in reasons {
        school.log_because(reason, &vec![7 * DAY_MS; records.len()], &records);
    }
}

/// Requests that wait.
fn ask(school: &School, times: usize) {
    for number in 0..times {
        let line =
            format!("unblock request site{number}.test --for ks3 --until 2h --by m.obi --reason");
        let ran = school.run(&line, &["The chess club final needs it today"]);
        assert_eq!(ran.code, OK, "{ran:?}");
    }
}

#[test]
fn a_file_says_its_format_by_its_ending() {
    let school = School::new();
    let write = |file: &str, more: &str| {
        school.run(&format!("report weekly --since today -o {file} {more}"), &[])
    };
    for (file, begins) in [
        ("week.pdf", "%PDF"),
        ("week.html", "<!DOCTYPE html>"),
        ("week.csv", "section,item,figure,value"),
        ("week.json", "{"),
        ("week.md", "# "),
        ("week.txt", "# "),
    ] {
        let ran = write(file, "");
        assert_eq!(ran.code, OK, "{file}: {ran:?}");
        let bytes = std::fs::read(school.path(file)).unwrap();
        assert!(bytes.starts_with(begins.as_bytes()), "{file}");
    }
    for (file, more, told) in [
        ("week.docx", "", "week.docx: .docx is the ending of no format"),
        ("other.pdf", "--format csv", "other.pdf would hold csv by --format csv"),
    ] {
        let ran = write(file, more);
        assert_eq!(ran.code, crate::USAGE, "{ran:?}");
        assert!(ran.err.contains(told) && ran.err.contains("fix: "), "{ran:?}");
        assert!(!school.path(file).exists(), "{file}");
    }
    for line in [
        "report changes -o changes.html",
        "report person sam.p --reason because-they-asked -o sam.json",
    ] {
        let ran = school.run(&format!("{line} --by q.whitmore"), &[]);
        assert_eq!(ran.code, OK, "{ran:?}");
    }
    let page = std::fs::read_to_string(school.path("changes.html")).unwrap();
    let person = std::fs::read_to_string(school.path("sam.json")).unwrap();
    assert!(page.starts_with("<!DOCTYPE") && person.starts_with('{'), "{person}");
}
