//! Administrators as they meet the program: the first account, logging in, what is refused to whom,
//! and what a stolen, stale or forged session is worth.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where its setup fails")]
#![allow(dead_code, reason = "the made-up school has helpers that only other tests use")]

#[path = "accounts/keyed.rs"]
mod keyed;
mod school;
#[path = "accounts/terminal.rs"]
mod terminal;

use ledger::accounts::OneTimeSecret;
use ledger::changes::ChangeLog;
use rules::time::UnixMillis;
use school::{Ran, School};
use serde_json::Value;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use terminal::Terminal;

const OK: i32 = 0;
const USAGE: i32 = 2;
const NOT_PERMITTED: i32 = 4;
const NOT_FOUND: i32 = 5;
const PROBLEMS: i32 = 7;

/// The technician's password.
const JOE: &str = "three unrelated words";
/// The safeguarding lead's own.
const QUINN: &str = "four quite unrelated words";

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Milliseconds now.
fn now() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixMillis(i64::try_from(since.as_millis()).unwrap())
}

/// The entries of the change log with an event's word, read without the program.
fn entries(school: &School, word: &str) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = ChangeLog::open(&school.path("state")).await.unwrap();
        let entries = log.entries_of(&[word]).await.unwrap();
        entries
            .iter()
            .map(|entry| {
                let mut event = serde_json::to_value(&entry.event).unwrap();
                event["actor"] = entry.actor.as_str().into();
                event
            })
            .collect()
    })
}

/// The files of the sessions of a folder.
fn files(school: &School, folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(school.path(folder)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The emergency code that a `setup` printed.
fn code_of(made: &Ran) -> String {
    let code =
        made.out.lines().find_map(|line| line.strip_prefix("emergency code, shown this once: "));
    code.unwrap_or_else(|| panic!("{made:?}")).to_owned()
}

/// A school with j.cho, who has set it up and is logged in; the emergency code.
fn set_up() -> (School, String) {
    let school = School::new();
    let made = school.run_plain("setup j.cho", &[], format!("{JOE}\n").as_bytes());
    assert_eq!(made.code, OK, "{made:?}");
    let code = code_of(&made);
    let opened = school.run_plain("login j.cho", &[], format!("{JOE}\n").as_bytes());
    assert_eq!(opened.code, OK, "{opened:?}");
    assert!(opened.out.starts_with("logged in as j.cho (it) until "), "{opened:?}");
    (school, code)
}

#[test]
fn a_first_account_that_may_do_nothing_is_refused_before_a_password_is_asked_for() {
    let school = School::new();
    let slip = school.run_plain("setup j.cgo", &[], b"");
    assert_eq!(slip.code, USAGE, "{slip:?}");
    assert!(slip.err.contains("did you mean j.cho? schoolgate setup j.cho"), "{slip:?}");
    let meant = school.run_plain("setup n.ew --yes", &[], format!("{JOE}\n").as_bytes());
    assert!(meant.code == OK && meant.err.contains("does not name n.ew"), "{meant:?}");
    // The way out, as docs/accounts.md has it.
    let code = format!("{}\n", code_of(&meant));
    assert_eq!(school.run_plain("login --break-glass", &[], code.as_bytes()).code, OK);
    let line = "account add j.cho --by break-glass";
    let added = school.run_plain(line, &[], format!("{JOE}\n").as_bytes());
    assert_eq!(added.code, OK, "{added:?}");
}

/// The same with q.whitmore logged in too.
fn of_two() -> School {
    let (school, _) = set_up();
    let added = school.run_plain("account add q.whitmore", &[], b"handed over today\n");
    assert_eq!(added.code, OK, "{added:?}");
    let lines = format!("handed over today\n{QUINN}\n");
    let opened = school.run_plain("login q.whitmore", &[], lines.as_bytes());
    assert_eq!(opened.code, OK, "{opened:?}");
    school
}

#[test]
fn before_the_first_account_nobody_acts_but_the_machine_is_prepared() {
    let school = School::new();
    let refused = school.run_plain(
        "block library.test --for guest --by j.cho",
        &["--reason", "Shows a block"],
        b"",
    );
    assert_eq!(refused.code, NOT_PERMITTED, "{refused:?}");
    assert!(refused.err.ends_with("fix: schoolgate setup j.cho\n"), "{refused:?}");
    for line in ["log query", "user list", "unblock list", "report changes", "log actions"] {
        let refused = school.run_plain(line, &[], b"");
        assert_eq!(
            (refused.code, refused.out.as_str()),
            (NOT_PERMITTED, ""),
            "{line}: {refused:?}"
        );
    }
    assert_eq!(school.run_plain("login j.cho", &[], b"anything at all\n").code, NOT_PERMITTED);
    let added = school.run_plain("user add sam.p --level ks2 --no-password", &[], b"");
    assert_eq!(added.code, OK, "{added:?}");
    let by = &entries(&school, "user_changed")[0]["actor"];
    assert!(by.as_str().unwrap().starts_with("machine:"), "{by}");
    for line in
        ["status", "check arcade.test --as ks2", "lists status", "policy validate", "doctor"]
    {
        let ran = school.run_plain(line, &[], b"");
        assert_ne!(ran.code, NOT_PERMITTED, "{line}: {ran:?}");
    }
    let status = school.run_plain("status", &[], b"");
    assert!(status.err.contains("fix: schoolgate setup NAME"), "{status:?}");
}

#[test]
fn setup_makes_the_first_account_once_and_shows_the_emergency_code_once() {
    let (school, code) = set_up();
    let again = school.run_plain("setup m.obi", &[], b"another good password\n");
    assert_eq!(again.code, NOT_PERMITTED, "{again:?}");
    assert!(again.err.contains("fix: log in and add more"), "{again:?}");
    let machine = school.run_plain("logout", &[], b"");
    assert_eq!(machine.code, OK, "{machine:?}");
    let added = school.run_plain("user add sam.p --level ks2 --no-password", &[], b"");
    assert_eq!(added.code, NOT_PERMITTED, "the machine acts no more: {added:?}");
    let said = format!("{:?}", school.run("log actions --since today --json", &[]));
    for secret in [JOE, &code, &code.replace('-', ""), "argon2"] {
        assert!(!said.contains(secret), "{said}");
    }
    assert!(said.contains("break_glass_made"), "{said}");

    let unnamed = School::new();
    let made = unnamed.run_plain("setup x.y --yes", &[], b"another good password\n");
    assert!(made.err.contains("[roles] of the policy does not name x.y"), "{made:?}");
    assert!(made.out.contains("state/audit/key.pub kept elsewhere"), "{made:?}");
    assert!(made.out.contains("at its first start"), "the key is not there yet: {made:?}");
    let short = School::new().run_plain("setup j.cho", &[], b"short\n");
    assert_eq!(short.code, USAGE, "{short:?}");
    let file = School::new();
    file.write("first.txt", &format!("{JOE}\n"));
    assert_eq!(file.run_plain("setup j.cho --password-file first.txt", &[], b"").code, OK);
}

#[test]
fn a_name_alone_is_no_proof() {
    let school = of_two();
    let ask = "unblock request arcade.test --for ks3 --until 2h --by j.cho --reason";
    assert_eq!(school.run_plain(ask, &["Year 8 design a game"], b"").code, OK);
    // At another desk, nobody is logged in.
    let yes = "unblock authorise U-0001 --by q.whitmore";
    let claimed = school.run_in_sessions("elsewhere", yes, &[], b"");
    assert_eq!(claimed.code, NOT_PERMITTED, "{claimed:?}");
    assert!(claimed.err.contains("q.whitmore is not logged in here"), "{claimed:?}");
    assert!(claimed.err.ends_with("fix: schoolgate login q.whitmore\n"), "{claimed:?}");
    assert_eq!(school.run_plain(yes, &[], b"").code, OK);
    let nobody = school.run_plain("block list --by a.deputy", &[], b"");
    assert_eq!(nobody.code, NOT_PERMITTED, "{nobody:?}");
    let unsaid = school.run_plain("block list", &[], b"");
    assert_eq!(unsaid.code, USAGE, "{unsaid:?}");
    assert!(unsaid.err.contains("several people are logged in here: "), "{unsaid:?}");
    assert_eq!(school.run_plain("logout q.whitmore", &[], b"").code, OK);
    assert_eq!(school.run_plain("block list", &[], b"").code, OK, "one is left, and needs no name");
    let gone = school.run_plain(yes, &[], b"");
    assert_eq!(gone.code, NOT_PERMITTED, "{gone:?}");
}

#[test]
fn a_policy_is_signed_off_by_somebody_who_is_there() {
    let school = of_two();
    let wide =
        school.policy().replace("games = { pupil = \"block\"", "games = { pupil = \"allow\"");
    let wide = wide.replace("block = [\"category:games\"]", "allow = [\"category:games\"]");
    school.write("wide.toml", &wide);
    let line = "policy apply wide.toml --by j.cho --reason";
    let asked = school.run_plain(line, &["Games week for all"], b"");
    assert_eq!(asked.code, OK, "{asked:?}");
    let line = "unblock authorise U-0001 --by q.whitmore";
    assert_eq!(school.run_plain("logout q.whitmore", &[], b"").code, OK);
    let claimed = school.run_plain(line, &[], b"");
    assert_eq!(claimed.code, NOT_PERMITTED, "{claimed:?}");
    assert_ne!(school.policy(), wide);
    let opened = school.run_plain("login q.whitmore", &[], format!("{QUINN}\n").as_bytes());
    assert_eq!(opened.code, OK, "{opened:?}");
    let yes = school.run_plain(line, &[], b"");
    assert_eq!(yes.code, OK, "{yes:?}");
    assert_eq!(school.policy(), wide);
}

#[test]
fn five_wrong_passwords_lock_and_alarm_and_a_colleague_unlocks() {
    let school = of_two();
    for number in 1..=5 {
        let wrong =
            school.run_plain("login j.cho", &[], format!("wrong {number} guess\n").as_bytes());
        assert_eq!(wrong.code, NOT_PERMITTED, "{wrong:?}");
        assert_eq!(wrong.err.contains("15 minutes"), number == 5, "{number}: {wrong:?}");
    }
    let right = school.run_plain("login j.cho", &[], format!("{JOE}\n").as_bytes());
    assert_eq!(right.code, NOT_PERMITTED, "{right:?}");
    assert!(right.err.contains("account unlock"), "{right:?}");
    let unknown = school.run_plain("login x.y", &[], b"wrong 1 guess\n");
    assert!(unknown.err.starts_with("error: name, password or code is wrong\n"), "{unknown:?}");
    assert_eq!(entries(&school, "login_refused").len(), 5);
    let locked = entries(&school, "account_locked");
    assert_eq!((locked.len(), &locked[0]["account"]), (1, &Value::from("j.cho")));
    let status = school.run_plain("status", &[], b"");
    assert!(status.out.contains("LOCKED after wrong passwords: 1"), "{status:?}");
    let doctor = school.run_plain("doctor", &[], b"");
    assert!(doctor.out.contains("1 of 2 locked after wrong passwords"), "{doctor:?}");
    let unlocked = school.run_plain("account unlock j.cho --by q.whitmore", &[], b"");
    assert_eq!(unlocked.code, OK, "{unlocked:?}");
    let right = school.run_plain("login j.cho", &[], format!("{JOE}\n").as_bytes());
    assert_eq!(right.code, OK, "{right:?}");
}

#[test]
fn a_first_password_is_changed_before_anything_else_is_done() {
    let (school, _) = set_up();
    let added = school.run_plain("account add m.obi", &[], b"handed over today\n");
    assert!(added.out.contains("must be changed at the first log-in"), "{added:?}");
    let unchanged = school.run_plain("login m.obi", &[], b"handed over today\n");
    assert_eq!(unchanged.code, USAGE, "{unchanged:?}");
    assert!(unchanged.err.contains("j.cho has set this password"), "{unchanged:?}");
    let listed = school.run_plain("block list --by m.obi", &[], b"");
    assert_eq!(listed.code, NOT_PERMITTED, "no session was opened: {listed:?}");
    for (lines, code) in [
        ("handed over today\nhanded over today\n", USAGE),
        ("handed over today\nshort\n", USAGE),
        ("handed over today\nan own secret\n", OK),
    ] {
        let ran = school.run_plain("login m.obi", &[], lines.as_bytes());
        assert_eq!(ran.code, code, "{lines}: {ran:?}");
    }
    assert_eq!(school.run_plain("login m.obi", &[], b"handed over today\n").code, NOT_PERMITTED);
    let rows = json(&school.run_plain("account list --json --by j.cho", &[], b""));
    assert_eq!(rows[1]["state"], "in use", "{rows}");
    let recorded = entries(&school, "account_changed");
    let who: Vec<_> = recorded.iter().map(|entry| entry["actor"].as_str().unwrap()).collect();
    assert!(who[0].starts_with("machine:") && who[1..] == ["j.cho", "m.obi"], "{who:?}");

    let reset = school.run_plain("account password m.obi --by j.cho", &[], b"reset by j.cho\n");
    assert_eq!(reset.code, OK, "{reset:?}");
    let ended = school.run_plain("unblock list --by m.obi", &[], b"");
    assert!(ended.err.contains("the session of m.obi has ended: it was ended"), "{ended:?}");
}

#[test]
fn an_own_password_is_changed_with_the_old_one() {
    let (school, _) = set_up();
    let wrong = school.run_plain("account password", &[], b"not the old one\nbrand new words\n");
    assert_eq!(wrong.code, NOT_PERMITTED, "{wrong:?}");
    let elsewhere = school.run_in_sessions("elsewhere", "login j.cho", &[], JOE.as_bytes());
    assert_eq!(elsewhere.code, OK, "{elsewhere:?}");
    let lines = format!("{JOE}\nbrand new words\n");
    let changed = school.run_plain("account password", &[], lines.as_bytes());
    assert_eq!(changed.code, OK, "{changed:?}");
    assert_eq!(school.run_plain("block list", &[], b"").code, OK, "the log-in here still counts");
    assert_eq!(school.run_in_sessions("elsewhere", "block list", &[], b"").code, NOT_PERMITTED);
    assert_eq!(school.run_plain("login j.cho", &[], JOE.as_bytes()).code, NOT_PERMITTED);
    assert_eq!(school.run_plain("login j.cho", &[], b"brand new words\n").code, OK);
}

#[test]
fn accounts_are_kept_by_those_with_the_role_and_refusals_are_recorded() {
    let school = of_two();
    assert_eq!(
        school.run_plain("account add m.obi --by q.whitmore", &[], b"handed over\n").code,
        OK
    );
    let opened = school.run_plain("login m.obi", &[], b"handed over\nan own secret\n");
    assert!(opened.out.starts_with("logged in as m.obi (teacher) until "), "{opened:?}");
    for line in [
        "account add x.y",
        "account password q.whitmore",
        "account unlock q.whitmore",
        "account remove q.whitmore --yes",
        "account totp off q.whitmore",
        "account break-glass renew",
        "account list",
        "user list",
        "log query",
        "log actions",
        "inspect learned",
        "report weekly --for it",
    ] {
        let refused = school.run_plain(line, &["--by", "m.obi"], b"some good password\n");
        assert_eq!(
            (refused.code, refused.out.as_str()),
            (NOT_PERMITTED, ""),
            "{line}: {refused:?}"
        );
        let recorded = entries(&school, "action_refused");
        let last = recorded.last().unwrap();
        let noun_and_verb = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        assert!(last["action"].as_str().unwrap().starts_with(&noun_and_verb), "{line}: {last}");
        assert_eq!(last["actor"], "m.obi", "{line}: {last}");
    }
    for line in ["unblock list", "block list", "unblock log", "report changes"] {
        assert_eq!(school.run_plain(line, &["--by", "m.obi"], b"").code, OK, "{line}");
    }
    let lead = school.run_plain("report weekly --for dsl --by j.cho", &[], b"");
    assert_eq!(lead.code, NOT_PERMITTED, "the technician's own report names nobody: {lead:?}");
    let removed = school.run_plain("account remove m.obi --yes --by j.cho", &[], b"");
    assert_eq!(removed.code, OK, "{removed:?}");
    let dead = school.run_plain("unblock list --by m.obi", &[], b"");
    assert_eq!(dead.code, NOT_PERMITTED, "dead at once: {dead:?}");
    assert_eq!(school.run_plain("login m.obi", &[], b"an own secret\n").code, NOT_PERMITTED);
}

#[test]
fn every_look_at_personal_data_is_an_entry_that_is_shown() {
    let (school, _) = set_up();
    let codes = school.log(&[("sam.p", "ks3", "arcade.test", "/", "games", false)]);
    school.run_plain("user add sam.p --level ks3 --no-password", &[], b"");
    let lines = [
        ("log query --user sam.p --since 1h", "log query", "user sam.p; since 1h"),
        ("log query --show-locked", "log query", "addresses of illegal content shown"),
        ("log show", "log show", codes[0].as_str()),
        ("explain", "explain", codes[0].as_str()),
        ("user list --level ks3", "user list", "level ks3"),
        ("check arcade.test --as sam.p", "check", "user sam.p"),
        ("inspect show bank.test --as sam.p", "inspect show", "user sam.p"),
        ("inspect learned --since 7d", "inspect learned", "since 7d"),
        ("report weekly --for it", "report weekly", "for it"),
        ("report changes", "report changes", ""),
        ("log actions --event looked", "log actions", "event looked"),
    ];
    let before = entries(&school, "looked").len();
    for (line, _, subject) in lines {
        let more: &[&str] = if line.contains(' ') && line != "log show" { &[] } else { &[subject] };
        let ran = school.run_plain(line, more, b"");
        assert!(matches!(ran.code, OK | 10), "{line}: {ran:?}");
    }
    let looked = entries(&school, "looked");
    assert_eq!(looked.len() - before, lines.len());
    for (entry, (line, what, subject)) in looked[before..].iter().zip(lines) {
        assert_eq!(entry["actor"], "j.cho", "{line}");
        assert_eq!(
            (entry["what"].as_str(), entry["subject"].as_str()),
            (Some(what), Some(subject))
        );
    }
    let shown = school.run_plain("log actions --event looked", &[], b"");
    assert!(shown.out.contains("sam.p") && shown.out.contains("log query"), "{shown:?}");
    let count = entries(&school, "looked").len();
    for line in
        ["check arcade.test --as ks3", "check arcade.test --as @Year", "status", "lists status"]
    {
        school.run_plain(line, &[], b"");
    }
    assert_eq!(entries(&school, "looked").len(), count, "these tell of nobody");
}

#[test]
fn a_session_file_that_others_can_read_or_that_is_a_link_is_refused() {
    let (school, _) = set_up();
    let file = files(&school, "sessions").remove(0);
    let set_mode = |path: &PathBuf, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&school.path("sessions"))), (0o600, 0o700));
    set_mode(&file, 0o644);
    let copied = school.run_plain("block list", &[], b"");
    assert_eq!(copied.code, NOT_PERMITTED, "{copied:?}");
    assert!(copied.err.contains("mode 644") && copied.err.contains("fix: "), "{copied:?}");
    assert_eq!(school.run_plain("block list --by j.cho", &[], b"").code, NOT_PERMITTED);
    set_mode(&file, 0o600);
    assert_eq!(school.run_plain("block list", &[], b"").code, OK);
    set_mode(&school.path("sessions"), 0o755);
    assert_eq!(school.run_plain("block list", &[], b"").code, NOT_PERMITTED);
    set_mode(&school.path("sessions"), 0o700);
    let aside = school.path("aside");
    std::fs::rename(&file, &aside).unwrap();
    symlink(&aside, &file).unwrap();
    let link = school.run_plain("block list", &[], b"");
    assert!(link.code == NOT_PERMITTED && link.err.contains("it is a link"), "{link:?}");
}

#[test]
fn a_session_belongs_to_one_installation_and_one_person() {
    let (school, _) = set_up();
    let other = School::new();
    assert_eq!(other.run_plain("setup j.cho", &[], JOE.as_bytes()).code, OK);
    // The same folder of sessions, and even the same token under the other's name.
    let mine = school.path("sessions");
    let shared = mine.to_str().unwrap();
    let there = other.run_in_sessions(shared, "block list", &[], b"");
    assert_eq!(there.code, NOT_PERMITTED, "{there:?}");
    assert_eq!(other.run_in_sessions(shared, "login j.cho", &[], JOE.as_bytes()).code, OK);
    let both = files(&school, "sessions");
    assert_eq!(both.len(), 2);
    for run in [
        school.run_plain("block list", &[], b""),
        other.run_in_sessions(shared, "block list", &[], b""),
    ] {
        assert_eq!(run.code, OK, "side by side: {run:?}");
    }
    let (one, two) = (std::fs::read(&both[0]).unwrap(), std::fs::read(&both[1]).unwrap());
    std::fs::write(&both[0], &two).unwrap();
    std::fs::write(&both[1], &one).unwrap();
    assert_eq!(school.run_plain("block list", &[], b"").code, NOT_PERMITTED);
    assert_eq!(other.run_in_sessions(shared, "block list", &[], b"").code, NOT_PERMITTED);

    let school = of_two();
    let both = files(&school, "sessions");
    let texts: Vec<String> =
        both.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    std::fs::write(&both[0], &texts[1]).unwrap();
    std::fs::write(&both[1], &texts[0]).unwrap();
    let swapped = school.run_plain("block list --by q.whitmore", &[], b"");
    assert_eq!(swapped.code, NOT_PERMITTED, "{swapped:?}");
    assert!(swapped.err.contains("is one of j.cho"), "{swapped:?}");
}

#[test]
fn sessions_end_by_the_machine_file_s_limits() {
    let (school, _) = set_up();
    let database = school.path("state/changes.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shift = |column: &str, by_ms: i64| {
        runtime.block_on(async {
            use sqlx::Connection as _;
            let url = format!("sqlite:{}", database.display());
            let mut file = sqlx::SqliteConnection::connect(&url).await.unwrap();
            let sql = format!("UPDATE session SET {column} = {column} + {by_ms}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut file).await.unwrap();
            file.close().await.unwrap();
        });
    };
    const MINUTE: i64 = 60_000;
    shift("last_used", -14 * MINUTE);
    assert_eq!(school.run_plain("block list", &[], b"").code, OK);
    shift("last_used", -15 * MINUTE);
    let idle = school.run_plain("block list", &[], b"");
    assert_eq!(idle.code, NOT_PERMITTED, "{idle:?}");
    assert!(idle.err.contains("not used for too long"), "{idle:?}");
    assert!(idle.err.ends_with("fix: schoolgate login j.cho\n"), "{idle:?}");
    assert!(files(&school, "sessions").is_empty(), "the file goes too");

    assert_eq!(school.run_plain("login j.cho", &[], JOE.as_bytes()).code, OK);
    shift("created_at", -60 * MINUTE);
    school.write("schoolgate.toml", &(school.machine() + "\n[accounts]\nsession_max_hours = 1\n"));
    let over = school.run_plain("block list", &[], b"");
    assert!(over.err.contains("its time is up"), "{over:?}");
    assert_eq!(school.run_plain("login j.cho", &[], JOE.as_bytes()).code, OK);
    shift("last_used", 10 * MINUTE);
    let back = school.run_plain("block list", &[], b"");
    assert!(back.err.contains("the clock was set back"), "{back:?}");
}

#[test]
fn a_one_time_code_is_asked_for_and_taken_once() {
    let (school, _) = set_up();
    // Whoever finds a terminal open cannot bind the account to an app of their own.
    let mut passer_by = Terminal::start(&school, &["account", "totp", "on"]);
    passer_by.until("Password: ");
    passer_by.type_line("not the password");
    assert_eq!(passer_by.end(), NOT_PERMITTED);
    let mut on = Terminal::start(&school, &["account", "totp", "on"]);
    on.until("Password: ");
    on.type_line(JOE.trim());
    let said = on.until("Code of the app: ");
    let secret = said.lines().find_map(|line| line.trim().strip_prefix("secret  ")).unwrap();
    let secret = OneTimeSecret::from_base32(secret.trim()).unwrap();
    assert!(said.contains(&secret.url("j.cho")), "{said}");
    on.type_line(&secret.code(now()));
    on.until("two-step log-in is on");
    assert_eq!(on.end(), OK);

    let without = school.run_plain("login j.cho", &[], format!("{JOE}\n").as_bytes());
    assert_eq!(without.code, USAGE, "nothing was given as the code: {without:?}");
    // The code that turned it on is used up; the next step's is good from half a minute before.
    let next = UnixMillis(now().0 + 30_000);
    let code = secret.code(next);
    let lines = format!("{JOE}\n{code}\n");
    let opened = school.run_plain("login j.cho", &[], lines.as_bytes());
    assert_eq!(opened.code, OK, "{opened:?}");
    let replayed = school.run_plain("login j.cho", &[], lines.as_bytes());
    assert_eq!(replayed.code, NOT_PERMITTED, "{replayed:?}");
    let argument = school.run_plain("login j.cho --totp", &[&code], JOE.as_bytes());
    assert_eq!(argument.code, NOT_PERMITTED, "{argument:?}");
    let refused = entries(&school, "login_refused");
    assert_eq!(refused.last().unwrap()["why"], "a one-time code that was used already");
    assert_eq!(entries(&school, "session_started").last().unwrap()["how"], "password and code");
    let wrong = school.run_plain("account totp off", &[], b"not the password\n");
    assert_eq!(wrong.code, NOT_PERMITTED, "{wrong:?}");
    assert_eq!(school.run_plain("account totp off", &[], JOE.as_bytes()).code, OK);
    assert_eq!(school.run_plain("login j.cho", &[], JOE.as_bytes()).code, OK);
}

#[test]
fn the_emergency_code_works_for_an_hour_and_is_told_until_it_is_renewed() {
    let (school, code) = set_up();
    assert_eq!(school.run_plain("logout", &[], b"").code, OK);
    let wrong = school.run_plain("login --break-glass", &[], b"0000-1111-2222\n");
    assert_eq!(wrong.code, NOT_PERMITTED, "{wrong:?}");
    assert!(
        wrong.err.contains("not the emergency code") && !wrong.err.contains("password"),
        "{wrong:?}"
    );
    let refused = entries(&school, "login_refused");
    assert_eq!((refused.len(), &refused[0]["account"]), (1, &"break-glass".into()));
    let doctor = school.run_plain("doctor", &[], b"");
    assert!(doctor.out.contains("not used since; wrong ones typed: 1"), "{doctor:?}");
    assert_eq!(json(&school.run_plain("status --json", &[], b""))["break_glass"]["wrong"], 1);
    let typed = code.to_lowercase().replace('-', " ");
    let opened = school.run_plain("login --break-glass", &[], typed.as_bytes());
    assert_eq!(opened.code, OK, "{opened:?}");
    assert!(opened.out.starts_with("logged in as break-glass (it, head) until "), "{opened:?}");
    assert!(opened.out.contains("  before  never; wrong codes since: 1\n"), "{opened:?}");
    let block =
        school.run_plain("block library.test --for guest", &["--reason", "Nobody else can"], b"");
    assert_eq!(block.code, OK, "{block:?}");
    assert_eq!(entries(&school, "site_blocked")[0]["actor"], "break-glass");
    let lift = school.run_plain("block lift B-0001", &["--reason", "Only the lead may"], b"");
    assert_eq!(lift.code, OK, "asking opens nothing: {lift:?}");
    let yes = school.run_plain("unblock authorise U-0001", &[], b"");
    assert_eq!(yes.code, NOT_PERMITTED, "nothing is opened by the code alone: {yes:?}");
    let used = entries(&school, "break_glass_used");
    assert!(used[0]["actor"].as_str().unwrap().starts_with("machine:"), "{used:?}");

    let status = school.run_plain("status", &[], b"");
    assert!(status.err.contains("the emergency code was used 1 time"), "{status:?}");
    assert_eq!(json(&school.run_plain("status --json", &[], b""))["break_glass"]["uses"], 1);
    let doctor = school.run_plain("doctor", &[], b"");
    assert!(doctor.out.contains("used 1 times and not renewed since"), "{doctor:?}");

    let second = school.run_plain("login --break-glass", &[], code.as_bytes());
    assert!(second.out.contains("  before  ") && !second.out.contains("never"), "{second:?}");
    assert!(!second.out.contains("wrong codes"), "{second:?}");
    let renewed = school.run_plain("account break-glass renew", &[], b"");
    assert_eq!(renewed.code, OK, "{renewed:?}");
    assert!(renewed.out.contains("  ended   your session"), "{renewed:?}");
    assert_eq!(school.run_plain("block list", &[], b"").code, NOT_PERMITTED, "its session ended");
    assert_eq!(school.run_plain("login --break-glass", &[], code.as_bytes()).code, NOT_PERMITTED);
    let status = school.run_plain("status", &[], b"");
    assert!(!status.err.contains("emergency code"), "{status:?}");
}

#[test]
fn whoami_and_logout_tell_and_end_what_is_held_here() {
    let school = of_two();
    let rows = json(&school.run_plain("whoami --json", &[], b""));
    let mut names: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["account"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["j.cho", "q.whitmore"]);
    let roles = |name: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["account"] == name).unwrap();
        row["roles"].clone()
    };
    assert_eq!((roles("j.cho"), roles("q.whitmore")), (["it"].into(), ["dsl"].into()));
    let copy = std::fs::read(&files(&school, "sessions")[0]).unwrap();
    assert_eq!(school.run_plain("logout", &[], b"").code, USAGE, "which one?");
    let out = school.run_plain("logout --all", &[], b"");
    assert_eq!((out.code, out.out.lines().count()), (OK, 2), "{out:?}");
    assert_eq!(school.run_plain("whoami", &[], b"").code, NOT_PERMITTED);
    assert_eq!(school.run_plain("logout", &[], b"").code, NOT_FOUND);
    let kept = school.path("sessions").join(files_name(&school, &copy));
    std::fs::write(&kept, &copy).unwrap();
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(school.run_plain("whoami", &[], b"").code, NOT_PERMITTED, "a copy is worth nothing");
}

/// The name under which the session of a file's account is looked for.
fn files_name(school: &School, file: &[u8]) -> PathBuf {
    let stored: Value = serde_json::from_slice(file).unwrap();
    let folder = ledger::accounts::SessionFolder::at(school.path("names"));
    let token = ledger::accounts::Token::from_hex(stored["token"].as_str().unwrap()).unwrap();
    folder.keep(&school.path("state"), stored["account"].as_str().unwrap(), &token).unwrap();
    PathBuf::from(files(school, "names").remove(0).file_name().unwrap())
}

#[test]
fn at_a_terminal_secrets_are_asked_for_and_never_shown() {
    let school = School::new();
    let mut setup = Terminal::start(&school, &["setup", "j.cho"]);
    setup.until("Password: ");
    setup.type_line(JOE);
    setup.until("Again: ");
    setup.type_line(JOE);
    let said = setup.until("schoolgate login j.cho");
    assert!(said.contains("emergency code, shown this once: "), "{said}");
    assert_eq!(setup.end(), OK);
    assert!(!setup.all().contains(JOE), "{}", setup.all());

    let mut login = Terminal::start(&school, &["login"]);
    login.until("Name: ");
    login.type_line("j.cho");
    login.until("Password: ");
    login.type_line(JOE);
    login.until("logged in as j.cho (it)");
    assert_eq!(login.end(), OK);
    assert!(!login.all().contains(JOE), "{}", login.all());
    assert_eq!(school.run_plain("block list", &[], b"").code, OK);

    let mut differ = Terminal::start(&school, &["account", "add", "q.whitmore"]);
    differ.until("Password: ");
    differ.type_line("handed over today");
    differ.until("Again: ");
    differ.type_line("handed over todax");
    differ.until("differ; nothing was changed");
    assert_eq!(differ.end(), USAGE);
    assert_eq!(school.run_plain("account add q.whitmore", &[], b"handed over today\n").code, OK);

    let mut first = Terminal::start(&school, &["login", "q.whitmore"]);
    first.until("Password: ");
    first.type_line("handed over today");
    first.until("New password: ");
    first.type_line(QUINN);
    first.until("Again: ");
    first.type_line(QUINN);
    first.until("logged in as q.whitmore (dsl)");
    assert_eq!(first.end(), OK);
    for secret in [QUINN, "handed over today"] {
        assert!(!first.all().contains(secret), "{}", first.all());
    }
    let quiet = school.run_plain("login j.cho --no-input", &[], b"");
    assert_eq!(quiet.code, USAGE, "{quiet:?}");
    let problems = school.run_plain("doctor", &[], b"");
    assert_ne!(problems.code, PROBLEMS, "{problems:?}");
}
