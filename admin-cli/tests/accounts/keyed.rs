//! Whoever sets another's password is no second person beside them for a while: met through the program.

use super::*;

const DAY: i64 = 86_400_000;

/// A school that j.cho, who is logged in, has set up so many days ago.
fn set_up_before(days: i64) -> School {
    let school = School::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = ChangeLog::open(&school.path("state")).await.unwrap();
        let password = ledger::users::Password::new(JOE).unwrap();
        let at = UnixMillis(now().0 - days * DAY);
        log.accounts().set_up("machine:filter", at, "j.cho", &password).await.unwrap();
    });
    log_in(&school, "j.cho", &[JOE]);
    school
}

fn log_in(school: &School, name: &str, lines: &[&str]) {
    let lines = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let opened = school.run_plain(&format!("login {name}"), &[], lines.as_bytes());
    assert_eq!(opened.code, OK, "{opened:?}");
}

/// Adds an account by j.cho, and logs in to it as whoever knows the password can.
fn add(school: &School, name: &str, own: &str) {
    let added =
        school.run_plain(&format!("account add {name} --by j.cho"), &[], b"handed over today\n");
    assert_eq!(added.code, OK, "{added:?}");
    assert!(added.out.contains(&format!("{name} and you count as one person")), "{added:?}");
    log_in(school, name, &["handed over today", own]);
}

fn ask_for_arcade(school: &School) {
    let line = "unblock request arcade.test --for ks3 --until friday --by j.cho --reason";
    let asked = school.run_plain(line, &["the games of another week"], b"");
    assert_eq!(asked.code, OK, "{asked:?}");
}

fn state_of(school: &School, name: &str) -> String {
    let rows = json(&school.run_plain("account list --json --by j.cho", &[], b""));
    let row = rows.as_array().unwrap().iter().find(|row| row["account"] == name).unwrap();
    row["state"].as_str().unwrap().to_owned()
}

#[test]
fn whoever_has_keyed_an_account_does_not_sign_off_with_it_nor_with_another_that_they_keyed() {
    let school = set_up_before(8);
    add(&school, "q.whitmore", QUINN);
    ask_for_arcade(&school);
    // A deputy whom the same technician has added is no way round it.
    add(&school, "a.deputy", "five words of the deputy");
    for name in ["q.whitmore", "a.deputy"] {
        let line = format!("unblock authorise U-0001 --by {name}");
        let refused = school.run_plain(&line, &[], b"");
        assert_eq!(refused.code, NOT_PERMITTED, "{refused:?}");
        assert!(refused.err.contains("they count as one person"), "{refused:?}");
        assert!(refused.err.contains("tells: schoolgate account list"), "{refused:?}");
        let state = state_of(&school, name);
        assert!(state.starts_with("in use; one person with j.cho in sign-offs until "), "{state}");
    }
    let refused = entries(&school, "one_person_refused");
    let told: Vec<_> = refused.iter().map(|entry| (&entry["actor"], &entry["action"])).collect();
    let action = Value::from("unblock authorise U-0001");
    assert_eq!(told, [(&"q.whitmore".into(), &action), (&"a.deputy".into(), &action)]);
    assert!(refused[0]["why"].as_str().unwrap().contains("q.whitmore and j.cho"), "{refused:?}");
    assert_eq!(entries(&school, "action_refused").len(), 0, "told once");
    let week = "report weekly --for dsl --by q.whitmore --since today --format";
    let page = school.run_plain(week, &["md"], b"");
    assert!(page.out.contains("2 times what takes two people was refused"), "{page:?}");
    let passwords = "q.whitmore's by j.cho, a.deputy's by j.cho";
    assert!(page.out.contains(&format!("set by somebody else: {passwords}. Ask")), "{page:?}");
    let week = json(&school.run_plain(week, &["json"], b""));
    assert_eq!(week["one_person_refused"], 2);
    assert_eq!(week["passwords_set"].as_array().unwrap().len(), 2);
    // What only takes away needs no second person.
    let no = "unblock refuse U-0001 --by q.whitmore --reason";
    assert_eq!(school.run_plain(no, &["not this week"], b"").code, OK);
}

#[test]
fn the_first_account_is_nobodys_password_set_by_somebody_else() {
    let school = set_up_before(0);
    add(&school, "q.whitmore", QUINN);
    let week = "report weekly --for dsl --by q.whitmore --since today --format json";
    let week = json(&school.run_plain(week, &[], b""));
    assert_eq!(week["passwords_set"], serde_json::json!(["q.whitmore's by j.cho"]), "{week}");
}

#[test]
fn holds_and_erasures_take_two_people_too() {
    let school = set_up_before(8);
    for name in ["q.whitmore", "a.deputy"] {
        add(&school, name, &format!("an own secret of {name}"));
    }
    let hold = "retention hold add --person sam.p --by q.whitmore --reason";
    assert_eq!(school.run_plain(hold, &["a complaint of May"], b"").code, OK);
    let ask = "retention erase ask kit.r --by q.whitmore --reason";
    assert_eq!(school.run_plain(ask, &["letter of 3 March"], b"").code, OK);
    for line in [
        "retention hold lift H-0001 --by a.deputy --reason settled-with-the-family",
        "retention erase carry-out E-0001 --person kit.r --yes --by a.deputy",
    ] {
        let refused = school.run_plain(line, &[], b"");
        assert_eq!(refused.code, NOT_PERMITTED, "{refused:?}");
        assert!(refused.err.contains("q.whitmore and you count as one person"), "{refused:?}");
    }
    let alarms = entries(&school, "one_person_refused");
    let told: Vec<_> = alarms.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(told, ["retention hold lift H-0001", "retention erase carry-out E-0001"]);
}

#[test]
fn in_the_first_week_new_accounts_sign_off_once_their_owners_have_chosen_a_password() {
    let school = set_up_before(6);
    add(&school, "q.whitmore", QUINN);
    assert_eq!(state_of(&school, "q.whitmore"), "in use");
    ask_for_arcade(&school);
    // One that is in use takes its week from the first day on.
    let reset = "account password q.whitmore --by j.cho";
    assert_eq!(school.run_plain(reset, &[], b"handed over again\n").code, OK);
    let state = state_of(&school, "q.whitmore");
    assert!(state.ends_with("until a password of their own is chosen"), "{state}");
    log_in(&school, "q.whitmore", &["handed over again", "another own secret"]);
    let yes = "unblock authorise U-0001 --by";
    assert_eq!(school.run_plain(yes, &["q.whitmore"], b"").code, NOT_PERMITTED);
    add(&school, "a.deputy", "five words of the deputy");
    let signed = school.run_plain(yes, &["a.deputy"], b"");
    assert_eq!(signed.code, OK, "{signed:?}");
}
