//! Changes of every kind by command: lessons, the order of sign-offs, confirming, reviews, replays,
//! and the Filtering Change Log with hostile text in it.

use crate::school::{Ran, School};
use crate::{BAD_CONFIG, BLOCKED, NOT_PERMITTED, OK, PROBLEMS, USAGE, json};
use rules::change::{Event, SignOffOrder};
use rules::time::UnixMillis;
use rules::unblock::{Scope, UnblockId};

const STANDING: &str = r#"
[[unblock.standing]]
who = "teacher"
categories = ["games"]
scope = "class"
max_minutes = 60
authorised = "Q. Whitmore (DSL) 2026-09-01"
review = 2099-01-05
"#;

/// A school with a standing yes, and with people in class 7B.
fn teaching() -> School {
    let school = School::new();
    let policy = school.policy().replace("\n[keep]", &format!("{STANDING}\n[keep]"));
    school.write("policy.toml", &policy);
    school.user("sam.p", "ks3", &["7B"]);
    school
}

fn ok(ran: Ran) -> Ran {
    assert_eq!(ran.code, OK, "{ran:?}");
    ran
}

#[test]
fn a_teacher_opens_a_site_for_a_class_under_a_standing_yes_and_ends_it() {
    let school = teaching();
    assert_eq!(school.run("check arcade.test --as sam.p", &[]).code, BLOCKED);
    let line = "lesson start --class 7B --open arcade.test --until 45m --by m.obi";
    let dry = ok(school.run(line, &["--dry-run"]));
    assert!(dry.out.contains("would be open for @7B"), "{dry:?}");
    assert_eq!(school.run("check arcade.test --as sam.p", &[]).code, BLOCKED);
    let open = ok(school.run(line, &[]));
    assert!(open.out.starts_with("U-0001  arcade.test open for @7B until "), "{open:?}");
    assert!(open.out.contains("the standing yes of Q. Whitmore (DSL) 2026-09-01"), "{open:?}");
    assert!(open.out.contains("not known: nobody has opened it"), "{open:?}");
    assert_eq!(school.run("check arcade.test --as sam.p", &[]).code, OK);
    assert_eq!(school.run("check arcade.test --as ks3", &[]).code, BLOCKED, "this class alone");
    let listed = json(&ok(school.run("lesson list --json", &[])));
    assert_eq!((&listed[0]["class"], &listed[0]["state"]), (&"7B".into(), &"live".into()));
    let rows = ok(school.run("unblock log --csv", &[])).out;
    assert!(rows.contains("standing yes: Q. Whitmore (DSL) 2026-09-01"), "{rows}");
    let week = json(&ok(school.run("report weekly --format json --since", &["this week"])));
    let requests = &week["requests"];
    assert_eq!((&requests["lessons"], &requests["asked"]), (&1.into(), &0.into()), "{requests}");
    assert!(requests["median_wait_ms"].is_null(), "nobody waited: {requests}");
    ok(school.run("lesson end U-0001 --by m.obi", &[]));
    assert_eq!(school.run("check arcade.test --as sam.p", &[]).code, BLOCKED);
    assert_eq!(ok(school.run("lesson list --json", &[])).out.trim(), "[]");
}

#[test]
fn outside_of_the_standing_yes_a_lesson_is_a_request_and_locked_is_neither() {
    let school = teaching();
    let cases = [
        ("arcade.test", "2h", "m.obi", "it is for 60 minutes at most"),
        ("arcade.test", "45m", "j.cho", "it is for the role teacher"),
        ("library.test", "45m", "m.obi", "it names none of the site's categories"),
        ("unknown.test", "45m", "m.obi", "it does not name uncategorised"),
    ];
    for (number, (site, until, by, why)) in cases.into_iter().enumerate() {
        let line = format!("lesson start --class 7B --open {site} --until {until} --by {by}");
        let asked = ok(school.run(&line, &[]));
        let id = format!("U-{:04}", number + 1);
        assert!(asked.out.starts_with(&format!("{id}  {site} asked for")), "{asked:?}");
        assert!(asked.out.contains(why), "{why}: {asked:?}");
        assert!(asked.out.contains(&format!("schoolgate unblock authorise {id}")), "{asked:?}");
    }
    assert_eq!(school.run("check arcade.test --as sam.p", &[]).code, BLOCKED);
    let never = "lesson start --class 7B --open casino.test --until 45m --by m.obi";
    assert_eq!(school.run(never, &[]).code, NOT_PERMITTED);
    let locked = "lesson start --class 7B --open sealed.test --until 45m --by m.obi";
    assert_eq!(school.run(locked, &[]).code, NOT_PERMITTED);

    // The author of a standing yes does not use it; and once its date has passed, nobody does.
    let own =
        school.policy().replace("teacher = [\"m.obi\"]", "teacher = [\"m.obi\", \"q.whitmore\"]");
    school.write("policy.toml", &own);
    let line = "lesson start --class 7B --open arcade.test --until 45m --by q.whitmore";
    assert!(ok(school.run(line, &[])).out.contains("it is your own yes"));
    school.write("policy.toml", &own.replace("2099-01-05", "2026-01-05"));
    let line = "lesson start --class 7B --open arcade.test --until 45m --by m.obi";
    assert!(ok(school.run(line, &[])).out.contains("it had to be reviewed by 2026-01-05"));
}

#[test]
fn a_lesson_for_a_class_that_nobody_is_in_says_so_and_a_waiting_one_is_refused_not_ended() {
    let school = teaching();
    let line = "lesson start --open arcade.test --until 45m --by m.obi --class";
    let slip = school.run(line, &["7X"]);
    let said = "nobody is in group \"7X\", and [who] does not name it: this reaches nobody";
    assert!(slip.code == USAGE && slip.err.contains(said), "{slip:?}");
    assert!(slip.err.contains("people in them are 7B; or all the same: --yes"), "{slip:?}");
    assert_eq!(ok(school.run("lesson list --json", &[])).out.trim(), "[]");
    let nobody = ok(school.run(line, &["7X", "--yes"]));
    assert!(nobody.err.contains(&format!("warning: {said}")), "{nobody:?}");
    for known in ["7b", "Year 7"] {
        let known = ok(school.run(line, &[known]));
        assert!(!known.err.contains("reaches nobody"), "{known:?}");
    }
    let ask = "unblock request arcade.test --until 2h --by m.obi --for @7X --reason";
    assert!(ok(school.run(ask, &["A lesson on games"])).err.contains("reaches nobody"));
    let waiting = school.run("lesson end U-0004 --by m.obi", &[]);
    assert_eq!(waiting.code, NOT_PERMITTED, "{waiting:?}");
    assert!(waiting.err.contains("schoolgate unblock refuse U-0004 --reason"), "{waiting:?}");
    ok(school.run("unblock refuse U-0004 --by q.whitmore --reason", &["No such class"]));
}

#[test]
fn a_lesson_names_the_hosts_that_its_pages_need_from_the_log() {
    let school = teaching();
    school.log(&[
        ("ms.staff", "staff", "arcade.test", "/", "games", true),
        ("ms.staff", "staff", "library.test", "/style.css", "education", true),
        ("ms.staff", "staff", "media.test", "/logo.png", "uncategorised", true),
        ("other", "staff", "elsewhere.test", "/", "uncategorised", true),
        ("ms.staff", "staff", "sealed.test", "/", "illegal", true),
    ]);
    let line = "lesson start --class 7B --open arcade.test --until 45m --by m.obi";
    let open = ok(school.run(line, &[])).out;
    let told = |host: &str| open.lines().find(|line| line.contains(host)).map(str::to_owned);
    assert!(
        told("library.test").is_some_and(|line| line.contains("  open (1 of 1 visits)")),
        "{open}"
    );
    assert!(told("media.test").is_some_and(|line| line.contains("BLOCKED: ")), "{open}");
    assert_eq!((told("elsewhere.test"), told("sealed.test")), (None, None), "{open}");
}

/// A school whose policy has another `[unblock]`.
fn with_rules(lines: &str) -> School {
    let school = School::new();
    let policy = school.policy().replace("apply = \"automatic\"\nconfirm = [\"it\"]", lines);
    assert_ne!(policy, school.policy());
    school.write("policy.toml", &policy);
    school
}

fn ask(school: &School, by: &str) {
    let line = format!("unblock request arcade.test --for ks3 --until 2h --by {by} --reason");
    ok(school.run(&line, &["Year 8 design an arcade game"]));
}

#[test]
fn the_school_says_in_which_order_a_change_is_signed_off() {
    let school = with_rules(
        "apply = \"it\"\nconfirm = [\"dsl\"]\norder = [\"confirm\", \"authorise\", \"apply\"]",
    );
    let opens = || school.run("check arcade.test --as ks3", &[]).code == OK;
    ask(&school, "m.obi");
    let early = school.run("unblock authorise U-0001 --by q.whitmore", &[]);
    assert_eq!(early.code, NOT_PERMITTED, "{early:?}");
    assert!(
        early.err.contains("U-0001 must be confirmed before it can be authorised"),
        "{early:?}"
    );
    let confirmed = ok(school.run("unblock confirm U-0001 --by q.whitmore", &[]));
    assert!(
        confirmed.out.contains("in scope (as it would be): arcade.test for ks3 allowed"),
        "{confirmed:?}"
    );
    assert!(
        confirmed.out.contains("next  schoolgate unblock authorise U-0001 --by a.deputy"),
        "{confirmed:?}"
    );
    let same = school.run("unblock authorise U-0001 --by Q.Whitmore", &[]);
    assert_eq!(same.code, NOT_PERMITTED, "{same:?}");
    let yes = ok(school.run("unblock authorise U-0001 --by a.deputy", &[]));
    assert!(yes.out.contains("next  schoolgate unblock apply U-0001 --by j.cho"), "{yes:?}");
    assert!(!opens(), "authorised is not applied");
    ok(school.run("unblock apply U-0001 --by j.cho", &[]));
    assert!(opens());
    // Confirming is a second yes here: never to what one asked for.
    ask(&school, "q.whitmore");
    let own = school.run("unblock confirm U-0002 --by q.whitmore", &[]);
    assert_eq!(own.code, NOT_PERMITTED, "{own:?}");

    let school = with_rules(
        "apply = \"automatic\"\nconfirm = [\"it\"]\norder = [\"authorise\", \"confirm\", \"apply\"]",
    );
    ask(&school, "m.obi");
    ok(school.run("unblock authorise U-0001 --by q.whitmore", &[]));
    assert_eq!(school.run("check arcade.test --as ks3", &[]).code, BLOCKED);
    let made = ok(school.run("unblock confirm U-0001 --by j.cho", &[]));
    assert!(made.out.contains("live within 1 s"), "{made:?}");
    assert_eq!(school.run("check arcade.test --as ks3", &[]).code, OK);

    let wrong = with_rules("order = [\"apply\", \"authorise\", \"confirm\"]");
    let refused = wrong.run("policy validate", &[]);
    assert_eq!(refused.code, BAD_CONFIG, "{refused:?}");
}

#[test]
fn what_is_not_as_it_says_cannot_be_confirmed() {
    let school = School::new();
    ask(&school, "m.obi");
    ok(school.run("unblock authorise U-0001 --by q.whitmore", &[]));
    // A later block overrules the unblock: it opens nothing.
    ok(school.run("block arcade.test --for ks3 --by j.cho --reason", &["Fights in its chat room"]));
    let refused = school.run("unblock confirm U-0001 --by j.cho", &[]);
    assert_eq!(refused.code, PROBLEMS, "{refused:?}");
    assert!(
        refused
            .err
            .contains("in scope: arcade.test for ks3 blocked: blocked by the school (B-0001)"),
        "{refused:?}"
    );
    assert_eq!(json(&school.run("unblock show U-0001 --json", &[]))["state"], "live");
    ok(school.run("block lift B-0001 --by j.cho --reason", &["The room has been closed"]));
    ok(school.run("unblock authorise U-0002 --by q.whitmore", &[]));
    let confirmed =
        ok(school.run("unblock confirm U-0001 --by j.cho --note", &["Tried in room 12"]));
    assert!(confirmed.out.contains("in scope: arcade.test for ks3 allowed"), "{confirmed:?}");
    for level in ["ks2", "ks4", "guest", "staff"] {
        let line = format!("out of scope: arcade.test for {level} ");
        assert!(confirmed.out.contains(&line), "{level}: {confirmed:?}");
    }
    assert!(confirmed.out.contains("the filter is not running"), "{confirmed:?}");
    let shown = json(&school.run("unblock show U-0001 --json", &[]));
    assert_eq!(shown["state"], "confirmed");
    assert_eq!(shown["checks"].as_array().map(Vec::len), Some(7), "{shown:#}");
}

#[test]
fn what_is_due_for_review_is_listed_and_renewed() {
    let school = teaching();
    let exception = "[[exception]]\nsite = \"music.test\"\nallow_for = [\"ks2\", \"ks3\"]\n\
                     reason = \"Music library\"\nreview = 2026-09-30\n";
    let policy = school.policy().replace("\n[roles]", &format!("\n{exception}\n[roles]"));
    school.write("policy.toml", &policy.replace("2099-01-05", "2026-10-01"));
    for until in ["3 days", "29 days", "2h"] {
        let line = "unblock request arcade.test --for ks3 --by m.obi --reason";
        ok(school.run(line, &["Year 8 design an arcade game", "--until", until]));
    }
    for id in 1..4 {
        ok(school.run(&format!("unblock authorise U-000{id} --by q.whitmore"), &[]));
    }
    let due = json(&ok(school.run("unblock review-due --json", &[])));
    let kinds: Vec<&str> =
        due.as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["exception", "exception", "standing yes", "unblock"], "{due:#}");
    assert_eq!((&due[0]["due"], &due[0]["overdue"]), (&"2026-09-30".into(), &true.into()));
    assert_eq!(due[2]["by"], "Q. Whitmore (DSL) 2026-09-01");
    assert!(due[3]["do"].as_str().unwrap().starts_with("schoolgate unblock extend U-0001"));
    let renew = "unblock extend U-0001 --until";
    ok(school.run(renew, &["28 days", "--reason", "The club goes on", "--by", "a.deputy"]));
    let due = json(&ok(school.run("unblock review-due --json", &[])));
    assert_eq!(due.as_array().unwrap().len(), 3, "{due:#}");
}

#[test]
fn a_replayed_policy_differs_where_it_decides_otherwise_and_nowhere_else() {
    let school = School::new();
    school.user("sam.p", "ks3", &[]);
    school.user("gone", "ks3", &[]);
    let codes = school.log(&[
        ("sam.p", "ks3", "library.test", "/", "education", true),
        ("sam.p", "ks3", "library.test", "/maths", "education", true),
        ("", "ks2", "library.test", "/", "education", true),
        ("sam.p", "ks3", "arcade.test", "/", "games", false),
        ("gone", "ks3", "arcade.test", "/", "games", false),
        ("sam.p", "ks3", "sealed.test", "/", "illegal", false),
    ]);
    ok(school.run("user remove gone --yes", &[]));
    let replay = |file: &str| {
        let ran = ok(school.run(&format!("policy replay {file} --since 1h --json"), &[]));
        (json(&ran), ran.err)
    };
    let (none, told) = replay("policy.toml");
    assert_eq!(none, serde_json::json!([]), "an unchanged policy has no difference: {told}");
    assert!(told.contains("6 records, 5 judged: 0 sites newly opened, 0 newly blocked"), "{told}");
    assert!(told.contains("1 not judged: of people whom the filter does not know"), "{told}");

    let other = school
        .policy()
        .replace("games = { pupil = \"block\"", "games = { pupil = \"allow\"")
        .replace("education = { pupil = \"allow\"", "education = { pupil = \"block\"");
    school.write("other.toml", &other);
    let (rows, told) = replay("other.toml");
    assert!(told.contains("1 sites newly opened, 1 newly blocked"), "{told}");
    assert_eq!((&rows[0]["change"], &rows[0]["site"]), (&"opened".into(), &"arcade.test".into()));
    assert_eq!(rows[0]["examples"], serde_json::json!([codes[3]]));
    assert_eq!((&rows[1]["change"], &rows[1]["site"]), (&"blocked".into(), &"library.test".into()));
    assert_eq!((&rows[1]["requests"], &rows[1]["people"]), (&3.into(), &2.into()), "{rows:#}");
    assert!(rows[1]["because"].as_str().unwrap().contains("other.toml:"), "{rows:#}");
    assert_eq!(rows.as_array().unwrap().len(), 2, "what is locked stays so: {rows:#}");
    assert_eq!(school.run("policy replay nosuch.toml", &[]).code, 5);
}

#[test]
fn the_change_log_has_a_row_for_each_kind_and_no_text_that_acts() {
    let school = School::new();
    let hostile = [
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(1)",
        "\t=1",
        "\r=1",
        "<script>alert(1)</script>",
        "a|b\nc",
    ];
    // Whoever can write the log, or an administrator's own account, could be called anything.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = ledger::changes::ChangeLog::open(&school.path("state")).await.unwrap();
        for (number, text) in (1..).zip(hostile) {
            let event = Event::UnblockAsked {
                id: UnblockId(number),
                site: text.to_owned(),
                scope: Scope::Level("ks3".into()),
                from: UnixMillis(0),
                until: UnixMillis(4_000_000_000_000),
                reason: text.to_owned(),
                lapses: None,
                order: SignOffOrder::default(),
            };
            log.append(UnixMillis(1_795_000_000_000), text, event).await.unwrap();
        }
    });
    ok(school
        .run("block library.test --for guest --by j.cho --reason", &["=HYPERLINK(\"http://x\")"]));
    ok(school.run("block lift B-0001 --by m.obi --reason", &["@the owner took it down"]));
    ok(school.run("unblock authorise U-0009 --by q.whitmore", &[]));
    school.write(
        "tight.toml",
        &(school.policy().replace(
            "guest = \"allow\", staff = \"allow\" }\n\n",
            "guest = \"block\", staff = \"allow\" }\n\n",
        )),
    );
    ok(school.run("policy apply tight.toml --by j.cho --reason", &["=1+1 tidy"]));
    let header = "Website / category,Date,Requested by / reason,Authorised by,Change made by,Confirmed by,Date for review";
    for line in ["report changes --format csv", "unblock log --csv"] {
        let csv = ok(school.run(line, &[])).out;
        let mut rows = csv.lines();
        assert_eq!(rows.next().map(|row| row.trim_start_matches('\u{feff}')), Some(header));
        assert_eq!(rows.clone().count(), 12, "{csv}");
        for row in rows {
            let cells = cells(row);
            assert_eq!(cells.len(), 7, "{row}");
            for cell in cells {
                let first = cell.chars().next();
                assert!(
                    !matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r')),
                    "{cell:?} in {row}"
                );
            }
        }
    }
    let html = ok(school.run("report changes --format html", &[])).out;
    assert!(!html.contains("<script"), "{html}");
    assert!(html.contains("&lt;script&gt;"), "{html}");
    let md = ok(school.run("report changes --format md", &[])).out;
    let rows: Vec<&str> = md.lines().filter(|line| line.starts_with("| ")).collect();
    for row in &rows {
        let bars = row.replace("\\|", "").matches('|').count();
        assert_eq!(bars, 8, "seven cells: {row}");
        assert!(!row.contains('<'), "{row}");
    }
    assert_eq!(school.run("unblock log --json --csv", &[]).code, USAGE);
}

/// The cells of a line of CSV (RFC 4180).
pub(crate) fn cells(row: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = row.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}
