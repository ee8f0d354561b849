//! Tests of accounts, log-ins and sessions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use rules::change::BREAK_GLASS;

const AT: UnixMillis = UnixMillis(1_700_000_000_000);
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const LIMITS: Limits = Limits { idle_ms: 15 * MINUTE, max_ms: 8 * HOUR };
const RIGHT: &str = "correct horse";

async fn log() -> (tempfile::TempDir, ChangeLog) {
    let folder = tempfile::tempdir().unwrap();
    let log = ChangeLog::open(folder.path()).await.unwrap();
    (folder, log)
}

/// A log with j.cho, who has set everything up; the emergency code.
async fn set_up() -> (tempfile::TempDir, ChangeLog, String) {
    let (folder, log) = log().await;
    let code = log.accounts().set_up("machine:root", AT, "j.cho", &password(RIGHT)).await.unwrap();
    (folder, log, code)
}

fn password(text: &str) -> Password {
    Password::new(text).unwrap()
}

fn later(ms: i64) -> UnixMillis {
    UnixMillis(AT.0 + ms)
}

fn attempt<'a>(name: &'a str, password: &'a str) -> LogIn<'a> {
    LogIn {
        name,
        password,
        code: None,
        new_password: None,
        machine: "machine:root",
        life_ms: LIMITS.max_ms,
    }
}

async fn log_in(
    log: &ChangeLog,
    at: UnixMillis,
    name: &str,
    password: &str,
) -> Result<Opened, LoginError> {
    log.accounts().log_in(at, &attempt(name, password)).await
}

async fn proved(log: &ChangeLog, at: UnixMillis, token: &Token) -> Result<String, WhyEnded> {
    let proof = log.accounts().prove(at, token, LIMITS).await.unwrap();
    proof.map(|session| session.account)
}

/// Every entry as `actor event`, with the whole text of all entries.
async fn entries(log: &ChangeLog) -> (Vec<String>, String) {
    let entries = log.entries_after(0).await.unwrap();
    let short = entries.iter().map(|entry| {
        let event = serde_json::to_value(&entry.event).unwrap();
        format!("{} {}", entry.actor, event["event"].as_str().unwrap())
    });
    (short.collect(), format!("{entries:?}"))
}

#[tokio::test]
async fn the_first_account_is_made_once_and_later_ones_by_people() {
    let (_folder, log) = log().await;
    let accounts = log.accounts();
    assert_eq!(accounts.count(AT).await.unwrap(), Count::default());
    let code = accounts.set_up("machine:root", AT, "J.Cho", &password(RIGHT)).await.unwrap();
    assert_eq!(code.len(), 39);
    let again = accounts.set_up("machine:root", AT, "m.obi", &password(RIGHT)).await;
    assert!(matches!(again, Err(AccountError::AlreadySetUp)));
    accounts.add("J.Cho", AT, "q.whitmore", Some(&password("handed over"))).await.unwrap();
    let twice = accounts.add("J.Cho", AT, "Q.Whitmore", None).await;
    assert!(matches!(twice, Err(AccountError::Exists(_))));
    for name in [
        "",
        " a",
        "a\n",
        "@dsl",
        "-x",
        "break-glass",
        "Automatic",
        "schoolgate",
        "machine:root",
        &"a".repeat(129),
    ] {
        let added = accounts.add("J.Cho", AT, name, None).await;
        assert!(matches!(added, Err(AccountError::BadName { .. })), "{name:?}");
    }
    let listed = accounts.list().await.unwrap();
    let names: Vec<_> =
        listed.iter().map(|row| (row.name.as_str(), row.set_by.as_deref())).collect();
    assert_eq!(names, [("J.Cho", None), ("q.whitmore", Some("J.Cho"))]);
    let (short, text) = entries(&log).await;
    assert_eq!(
        short,
        ["machine:root account_changed", "machine:root break_glass_made", "J.Cho account_changed"]
    );
    for secret in [RIGHT, "handed over", "argon2", &code, &code.replace('-', "")] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn an_account_is_removed_at_once_but_never_the_last_one() {
    let (_folder, log, _) = set_up().await;
    let accounts = log.accounts();
    assert!(matches!(accounts.remove("x", AT, "j.cho").await, Err(AccountError::Last(_))));
    accounts.add("j.cho", AT, "m.obi", None).await.unwrap();
    let token = accounts.open_session(AT, "M.Obi", "test", HOUR).await.unwrap();
    assert_eq!(proved(&log, AT, &token).await.unwrap(), "m.obi");
    accounts.remove("j.cho", AT, "m.obi").await.unwrap();
    assert_eq!(proved(&log, AT, &token).await, Err(WhyEnded::Revoked));
    assert!(matches!(accounts.remove("j.cho", AT, "m.obi").await, Err(AccountError::Unknown(_))));
    accounts.add("j.cho", AT, "m.obi", None).await.unwrap();
    assert_eq!(proved(&log, AT, &token).await, Err(WhyEnded::Revoked), "another of that name");
    assert_eq!(accounts.count(AT).await.unwrap().present, 2);
    accounts.remove("m.obi", AT, "j.cho").await.unwrap();
    let anew = accounts.set_up("machine:root", AT, "x.y", &password(RIGHT)).await;
    assert!(matches!(anew, Err(AccountError::AlreadySetUp)), "not even with an account removed");
}

#[tokio::test]
async fn the_right_password_opens_a_session_that_ends_by_idleness_and_at_its_end() {
    let (_folder, log, _) = set_up().await;
    let opened = log_in(&log, AT, "J.CHO", RIGHT).await.unwrap();
    assert_eq!((opened.account.as_str(), opened.last_login), ("j.cho", None));
    assert_eq!(opened.ends_at, later(8 * HOUR));
    let at = |minutes: i64| later(minutes * MINUTE);
    assert_eq!(proved(&log, at(14), &opened.token).await.unwrap(), "j.cho");
    assert_eq!(proved(&log, at(28), &opened.token).await.unwrap(), "j.cho", "each use counts");
    assert_eq!(proved(&log, at(43), &opened.token).await, Err(WhyEnded::Idle));
    assert_eq!(proved(&log, at(43), &opened.token).await, Err(WhyEnded::Idle), "it stays so");

    let second = log_in(&log, at(60), "j.cho", RIGHT).await.unwrap();
    assert_eq!(second.last_login, Some(AT));
    for minutes in (60..60 + 8 * 60).step_by(14) {
        assert!(proved(&log, at(minutes), &second.token).await.is_ok(), "{minutes}");
    }
    assert_eq!(proved(&log, at(60 + 8 * 60), &second.token).await, Err(WhyEnded::Over));
    let unknown = Token::generate();
    assert_eq!(proved(&log, AT, &unknown).await, Err(WhyEnded::Unknown));
}

#[tokio::test]
async fn limits_that_were_narrowed_hold_for_sessions_that_are_open() {
    let (_folder, log, _) = set_up().await;
    let token = log_in(&log, AT, "j.cho", RIGHT).await.unwrap().token;
    let accounts = log.accounts();
    for (limits, at, ended) in [
        (Limits { idle_ms: MINUTE, ..LIMITS }, later(MINUTE), Some(WhyEnded::Idle)),
        (Limits { max_ms: 2 * MINUTE, ..LIMITS }, later(2 * MINUTE), Some(WhyEnded::Over)),
        (Limits { max_ms: 99 * HOUR, ..LIMITS }, later(MINUTE), None),
    ] {
        assert_eq!(accounts.prove(at, &token, limits).await.unwrap().err(), ended, "{limits:?}");
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_ends_a_session_and_opens_no_lock() {
    let (_folder, log, _) = set_up().await;
    let token = log_in(&log, AT, "j.cho", RIGHT).await.unwrap().token;
    assert!(proved(&log, later(10 * MINUTE), &token).await.is_ok());
    assert!(proved(&log, later(10 * MINUTE - 4_000), &token).await.is_ok(), "a small correction");
    assert_eq!(proved(&log, later(9 * MINUTE), &token).await, Err(WhyEnded::ClockBack));
    for _ in 0..MAX_FAILURES {
        let _ = log_in(&log, AT, "j.cho", "wrong password").await;
    }
    let back = log_in(&log, later(-HOUR), "j.cho", RIGHT).await;
    assert!(matches!(back, Err(LoginError::Locked { .. })), "{back:?}");
}

#[tokio::test]
async fn five_wrong_passwords_in_a_row_lock_the_account_for_a_quarter_of_an_hour() {
    let (_folder, log, _) = set_up().await;
    for number in 1..=MAX_FAILURES {
        let wrong = log_in(&log, AT, "j.cho", &format!("guess number {number}")).await;
        match number {
            MAX_FAILURES => assert!(matches!(wrong, Err(LoginError::Locked { .. })), "{wrong:?}"),
            _ => assert!(matches!(wrong, Err(LoginError::Wrong)), "{wrong:?}"),
        }
    }
    let right = log_in(&log, later(LOCK_MS - 1), "j.cho", RIGHT).await;
    assert!(matches!(right, Err(LoginError::Locked { until }) if until == later(LOCK_MS)));
    assert_eq!(log.accounts().count(AT).await.unwrap().locked, 1);
    let (short, text) = entries(&log).await;
    let count = |word: &str| short.iter().filter(|entry| entry.ends_with(word)).count();
    assert_eq!(
        (count(" login_refused"), count("machine:root account_locked")),
        (5, 1),
        "{short:?}"
    );
    assert!(!text.contains("guess"), "{text}");
    assert_eq!(log.changes().await.unwrap().lockouts, 1);

    let wrong = log_in(&log, later(LOCK_MS), "j.cho", "wrong again").await;
    assert!(matches!(wrong, Err(LoginError::Wrong)), "counted anew");
    let right = log_in(&log, later(LOCK_MS), "j.cho", RIGHT).await.unwrap();
    assert_eq!(right.failures, 1, "the person is told");
    for _ in 0..4 {
        assert!(log_in(&log, later(LOCK_MS), "j.cho", "wrong").await.is_err());
    }
    assert!(log_in(&log, later(LOCK_MS), "j.cho", RIGHT).await.is_ok(), "four are no lock");
}

#[tokio::test]
async fn a_lock_is_opened_by_another_person() {
    let (_folder, log, _) = set_up().await;
    for _ in 0..MAX_FAILURES {
        let _ = log_in(&log, AT, "j.cho", "wrong password").await;
    }
    log.accounts().unlock("a.fenn", AT, "j.cho").await.unwrap();
    let again = log.accounts().unlock("a.fenn", AT, "j.cho").await;
    assert!(matches!(again, Err(AccountError::NotLocked(_))));
    assert!(log_in(&log, AT, "j.cho", RIGHT).await.is_ok());
}

#[tokio::test]
async fn guesses_at_once_are_told_no_more_than_five_answers() {
    let (folder, log, _) = set_up().await;
    let mut told = 0;
    for outcome in guess_at_once(folder.path(), 12) {
        told += usize::from(matches!(outcome, Err(LoginError::Wrong)));
    }
    assert_eq!(told, MAX_FAILURES as usize - 1, "the fifth is told that it is locked");
    let right = log_in(&log, AT, "j.cho", RIGHT).await;
    assert!(matches!(right, Err(LoginError::Locked { .. })), "{right:?}");
}

/// So many wrong log-ins at the same time, each on a thread and connection of its own, as other
/// processes have them.
fn guess_at_once(state: &std::path::Path, count: usize) -> Vec<Result<Opened, LoginError>> {
    let guess = |number: usize| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let log = ChangeLog::open(state).await.unwrap();
            log_in(&log, AT, "j.cho", &format!("guess number {number}")).await
        })
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || guess(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[tokio::test]
async fn an_unknown_name_is_turned_away_like_a_wrong_password() {
    let (_folder, log, _) = set_up().await;
    let begun = std::time::Instant::now();
    let wrong = log_in(&log, AT, "j.cho", "wrong password").await.unwrap_err();
    let known = begun.elapsed();
    let begun = std::time::Instant::now();
    let unknown = log_in(&log, AT, "nobody", "wrong password").await.unwrap_err();
    let spent = begun.elapsed();
    assert_eq!(wrong.to_string(), unknown.to_string());
    assert!(spent * 4 > known, "a hash was computed: {spent:?} for {known:?}");
    log.accounts().add("j.cho", AT, "m.obi", None).await.unwrap();
    let unset = log_in(&log, AT, "m.obi", "").await.unwrap_err();
    assert_eq!(unset.to_string(), unknown.to_string(), "no password is not an empty one");
    let (short, _) = entries(&log).await;
    assert_eq!(short.iter().filter(|entry| entry.ends_with("login_refused")).count(), 2);
}

#[tokio::test]
async fn a_password_that_another_has_set_is_changed_before_anything_else() {
    let (_folder, log, _) = set_up().await;
    let accounts = log.accounts();
    accounts.add("j.cho", AT, "q.whitmore", Some(&password("handed over"))).await.unwrap();
    let refused = log_in(&log, AT, "q.whitmore", "handed over").await.unwrap_err();
    assert!(
        matches!(&refused, LoginError::NeedsNewPassword { set_by } if set_by == "j.cho"),
        "{refused:?}"
    );
    let own = password("my own secret");
    let with = |password, new| LogIn { new_password: Some(new), ..attempt("q.whitmore", password) };
    let same = password("handed over");
    let refused = accounts.log_in(AT, &with("handed over", &same)).await.unwrap_err();
    assert!(matches!(refused, LoginError::SamePassword));
    let wrong = accounts.log_in(AT, &with("not that one", &own)).await.unwrap_err();
    assert!(matches!(wrong, LoginError::Wrong));
    let opened = accounts.log_in(AT, &with("handed over", &own)).await.unwrap();
    assert!(log_in(&log, AT, "q.whitmore", "handed over").await.is_err());
    assert!(log_in(&log, AT, "q.whitmore", "my own secret").await.is_ok());

    accounts.set_password("j.cho", AT, "q.whitmore", &password("handed again")).await.unwrap();
    assert_eq!(proved(&log, AT, &opened.token).await, Err(WhyEnded::Revoked));
    let refused = log_in(&log, AT, "q.whitmore", "handed again").await.unwrap_err();
    assert!(matches!(refused, LoginError::NeedsNewPassword { .. }));
}

#[tokio::test]
async fn an_own_password_is_changed_with_the_old_one_and_ends_the_other_sessions() {
    let (_folder, log, _) = set_up().await;
    let accounts = log.accounts();
    let here = log_in(&log, AT, "j.cho", RIGHT).await.unwrap().token;
    let elsewhere = log_in(&log, AT, "j.cho", RIGHT).await.unwrap().token;
    let new = password("another horse");
    let change = |old| NewPassword {
        name: "j.cho",
        old,
        new: &new,
        machine: "machine:root",
        keep: Some(&here),
    };
    let wrong = accounts.change_own_password(AT, &change("wrong password")).await;
    assert!(matches!(wrong, Err(LoginError::Wrong)));
    accounts.change_own_password(AT, &change(RIGHT)).await.unwrap();
    assert!(proved(&log, AT, &here).await.is_ok());
    assert_eq!(proved(&log, AT, &elsewhere).await, Err(WhyEnded::Revoked));
    let same = accounts.change_own_password(AT, &change("another horse")).await;
    assert!(matches!(same, Err(LoginError::SamePassword)));
    for _ in 0..MAX_FAILURES {
        let _ = accounts.change_own_password(AT, &change("wrong password")).await;
    }
    let locked = accounts.change_own_password(AT, &change("another horse")).await;
    assert!(
        matches!(locked, Err(LoginError::Locked { .. })),
        "guessing counts here too: {locked:?}"
    );
    let own = LogIn { new_password: Some(&new), ..attempt("j.cho", "another horse") };
    let locked = accounts.log_in(AT, &own).await;
    assert!(
        matches!(locked, Err(LoginError::Locked { .. })),
        "no word of the password: {locked:?}"
    );
}

#[tokio::test]
async fn a_one_time_code_is_needed_once_it_is_on_and_is_taken_once() {
    let (_folder, log, _) = set_up().await;
    let accounts = log.accounts();
    let secret = OneTimeSecret::generate();
    let on = accounts.two_step_on("j.cho", AT, "j.cho", &secret, "000000x").await;
    assert!(matches!(on, Err(AccountError::WrongCode)));
    accounts.two_step_on("j.cho", AT, "j.cho", &secret, &secret.code(AT)).await.unwrap();
    let on = accounts.two_step_on("j.cho", AT, "j.cho", &secret, &secret.code(AT)).await;
    assert!(matches!(on, Err(AccountError::TwoStepOn(_))));
    assert!(matches!(log_in(&log, AT, "j.cho", RIGHT).await, Err(LoginError::NeedsCode)));
    assert!(matches!(log_in(&log, AT, "j.cho", "wrong one").await, Err(LoginError::Wrong)));
    let with = async |at: UnixMillis, code: &str| {
        accounts.log_in(at, &LogIn { code: Some(code), ..attempt("j.cho", RIGHT) }).await
    };
    let used = secret.code(AT);
    assert!(matches!(with(AT, &used).await, Err(LoginError::Wrong)), "it turned two-step on");
    let next = later(30_000);
    let code = secret.code(next);
    assert_eq!(with(next, &code).await.unwrap().failures, 2);
    assert!(matches!(with(next, &code).await, Err(LoginError::Wrong)), "replayed");
    assert!(matches!(with(next, &used).await, Err(LoginError::Wrong)), "an earlier one");
    let wrong = LogIn { code: Some(&code), ..attempt("j.cho", "wrong one") };
    assert!(accounts.log_in(later(60_000), &wrong).await.is_err(), "the password counts too");
    let (_, text) = entries(&log).await;
    assert!(text.contains("a one-time code that was used already"), "{text}");
    for secret in [secret.to_base32(), code, used] {
        assert!(!text.contains(&format!("\"{secret}\"")), "{text}");
    }
    accounts.two_step_off("a.fenn", AT, "j.cho").await.unwrap();
    let off = accounts.two_step_off("a.fenn", AT, "j.cho").await;
    assert!(matches!(off, Err(AccountError::TwoStepOff(_))));
    assert!(log_in(&log, AT, "j.cho", RIGHT).await.is_ok());
}

#[tokio::test]
async fn wrong_codes_lock_the_account_too() {
    let (_folder, log, _) = set_up().await;
    let secret = OneTimeSecret::generate();
    let accounts = log.accounts();
    accounts.two_step_on("j.cho", AT, "j.cho", &secret, &secret.code(AT)).await.unwrap();
    let at = later(HOUR);
    for _ in 0..MAX_FAILURES {
        let wrong = LogIn { code: Some("abcdef"), ..attempt("j.cho", RIGHT) };
        assert!(accounts.log_in(at, &wrong).await.is_err());
    }
    let code = secret.code(at);
    let right = LogIn { code: Some(&code), ..attempt("j.cho", RIGHT) };
    assert!(matches!(accounts.log_in(at, &right).await, Err(LoginError::Locked { .. })));
}

#[tokio::test]
async fn a_password_asked_for_again_counts_like_a_log_in() {
    let (_folder, log, _) = set_up().await;
    let ask = async |password: &str| {
        log.accounts().confirm_password(AT, "j.cho", password, "machine:root").await
    };
    assert!(ask(RIGHT).await.is_ok());
    for _ in 0..MAX_FAILURES {
        assert!(ask("wrong password").await.is_err());
    }
    assert!(matches!(ask(RIGHT).await, Err(LoginError::Locked { .. })));
}

#[tokio::test]
async fn the_emergency_code_opens_an_hour_and_every_use_is_an_entry_until_it_is_renewed() {
    let (_folder, log, code) = set_up().await;
    let accounts = log.accounts();
    let wrong = accounts.log_in_break_glass("machine:root", AT, "0000-0000").await;
    assert!(matches!(wrong, Err(LoginError::Wrong)));
    let typed = code.to_lowercase().replace('-', " ");
    let opened = accounts.log_in_break_glass("machine:root", AT, &typed).await.unwrap();
    assert_eq!(opened.account, BREAK_GLASS);
    assert_eq!(proved(&log, later(MINUTE), &opened.token).await.unwrap(), BREAK_GLASS);
    let wide = Limits { idle_ms: 9 * HOUR, max_ms: 9 * HOUR };
    let over = accounts.prove(later(HOUR), &opened.token, wide).await.unwrap();
    assert_eq!(over.err(), Some(WhyEnded::Over), "an hour, whatever the settings");
    assert_eq!((opened.last_login, opened.failures), (None, 1), "never, and one wrong one before");
    assert!(accounts.log_in_break_glass("machine:root", later(MINUTE), "1").await.is_err());
    let second = accounts.log_in_break_glass("machine:root", later(HOUR), &code).await.unwrap();
    assert_eq!((second.last_login, second.failures), (Some(AT), 1), "the first use, and one since");
    let told = log.changes().await.unwrap().break_glass;
    assert_eq!((told.uses, told.used_at), (2, Some(later(HOUR))));

    let new = accounts.renew_break_glass("j.cho", later(HOUR)).await.unwrap();
    assert_ne!(new, code);
    assert_eq!(log.changes().await.unwrap().break_glass.uses, 0);
    assert_eq!(proved(&log, later(HOUR), &second.token).await, Err(WhyEnded::Revoked));
    assert!(accounts.log_in_break_glass("machine:root", AT, &code).await.is_err(), "void");
    assert!(accounts.log_in_break_glass("machine:root", AT, &new).await.is_ok());
    let (short, text) = entries(&log).await;
    let used = short.iter().filter(|entry| *entry == "machine:root break_glass_used").count();
    assert_eq!(used, 3, "{short:?}");
    assert!(short.contains(&"break-glass session_started".to_owned()), "{short:?}");
    assert!(!text.contains(&code) && !text.contains(&new), "{text}");
}

#[tokio::test]
async fn every_wrong_emergency_code_is_an_entry_and_none_keeps_the_right_one_out() {
    let (_folder, log, code) = set_up().await;
    let accounts = log.accounts();
    for turn in 1..=12 {
        let wrong = accounts.log_in_break_glass("machine:root", AT, "0000-0000").await;
        assert!(matches!(wrong, Err(LoginError::Wrong)), "{turn}");
        assert_eq!(log.changes().await.unwrap().break_glass.wrong, turn);
    }
    let refused = log.entries_of(&["login_refused"]).await.unwrap();
    assert_eq!(refused.len(), 12);
    assert!(refused.iter().all(|entry| entry.actor == "machine:root"), "{refused:?}");
    assert!(accounts.log_in_break_glass("machine:root", AT, &code).await.is_ok());
    assert_eq!(log.changes().await.unwrap().lockouts, 0);
}

#[tokio::test]
async fn without_an_emergency_code_none_is_right() {
    let (_folder, log) = log().await;
    for typed in ["", "0", &"0".repeat(32)] {
        let wrong = log.accounts().log_in_break_glass("machine:root", AT, typed).await;
        assert!(matches!(wrong, Err(LoginError::Wrong)), "{typed}");
    }
}

#[tokio::test]
async fn logging_out_ends_the_session_for_every_copy_of_its_token() {
    let (_folder, log, _) = set_up().await;
    let token = log_in(&log, AT, "j.cho", RIGHT).await.unwrap().token;
    let copy = Token::from_hex(&token.to_hex()).unwrap();
    assert_eq!(log.accounts().log_out("j.cho", AT, std::slice::from_ref(&token)).await.unwrap(), 1);
    assert_eq!(proved(&log, AT, &copy).await, Err(WhyEnded::Revoked));
    assert_eq!(log.accounts().log_out("j.cho", AT, &[token]).await.unwrap(), 0);
    let (short, _) = entries(&log).await;
    assert_eq!(short.iter().filter(|entry| entry.ends_with("session_ended")).count(), 1);
}

#[tokio::test]
async fn the_file_holds_no_token_and_no_code() {
    let (folder, log, code) = set_up().await;
    let token = log_in(&log, AT, "j.cho", RIGHT).await.unwrap().token;
    drop(log);
    let mut bytes = Vec::new();
    for name in ["changes.db", "changes.db-wal"] {
        bytes.extend(std::fs::read(folder.path().join(name)).unwrap_or_default());
    }
    let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let raw: Vec<u8> = (0..32)
        .map(|place| u8::from_str_radix(&token.to_hex()[2 * place..][..2], 16).unwrap())
        .collect();
    assert!(holds(b"j.cho"));
    for secret in [&raw[..], token.to_hex().as_bytes(), code.as_bytes(), RIGHT.as_bytes()] {
        assert!(!holds(secret));
    }
    assert!(!holds(code.replace('-', "").as_bytes()));
}
