//! Tests of the user store.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;

const AT: UnixMillis = UnixMillis(1_700_000_000_000);
const HOUR: i64 = 3_600_000;

async fn log() -> (tempfile::TempDir, ChangeLog) {
    let folder = tempfile::tempdir().unwrap();
    let log = ChangeLog::open(folder.path()).await.unwrap();
    (folder, log)
}

fn new(name: &str, password: &str) -> NewUser {
    NewUser {
        name: name.to_owned(),
        level: Some("ks3".to_owned()),
        groups: vec!["Year 7".to_owned(), "7B".to_owned()],
        password: Some(Password::new(password).unwrap()),
    }
}

fn any_level(_: &str) -> bool {
    true
}

#[tokio::test]
async fn an_added_user_is_found_in_any_case_and_signs_in_with_the_password_alone() {
    let (_folder, log) = log().await;
    log.users().add("j.cho", AT, new("Sam.Pé", "correct horse")).await.unwrap();
    let users = log.users().load_all().await.unwrap();
    let user = users.find("sam.PÉ").unwrap();
    assert_eq!(&*user.facts.name, "Sam.Pé");
    assert_eq!(user.facts.level.as_deref(), Some("ks3"));
    assert_eq!(*user.facts.groups, ["Year 7".to_owned(), "7B".to_owned()]);
    let phc = user.phc.as_deref().unwrap();
    assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    assert!(verify_password(phc, "correct horse"));
    assert!(!verify_password(phc, "Correct horse"));
    assert!(users.find("sam").is_none());
    assert_eq!(users.len(), 1);
}

#[tokio::test]
async fn every_change_to_a_user_is_an_entry_and_none_holds_a_password() {
    let (_folder, log) = log().await;
    let users = log.users();
    users.add("j.cho", AT, new("sam.p", "first secret")).await.unwrap();
    users.set_level("j.cho", AT, "SAM.P", Some("ks2")).await.unwrap();
    users.set_groups("j.cho", AT, "sam.p", vec!["7C".to_owned()]).await.unwrap();
    users
        .set_password("j.cho", AT, "sam.p", &Password::new("second secret").unwrap())
        .await
        .unwrap();
    users.ban("q.w", AT, "sam.p", UnixMillis(AT.0 + HOUR), "misuse of the printer").await.unwrap();
    let row = users.find("sam.p").await.unwrap().unwrap();
    assert_eq!(
        (row.level.as_deref(), row.groups.as_slice()),
        (Some("ks2"), &["7C".to_owned()][..])
    );
    assert_eq!(row.banned_until, Some(UnixMillis(AT.0 + HOUR)));
    assert!(row.has_password);
    users.unban("q.w", AT, "sam.p", "served").await.unwrap();
    assert_eq!(users.find("sam.p").await.unwrap().unwrap().banned_until, None);
    users.remove("j.cho", AT, "Sam.P").await.unwrap();
    assert_eq!(users.find("sam.p").await.unwrap(), None);
    assert!(users.load_all().await.unwrap().is_empty());

    let entries = log.entries_after(0).await.unwrap();
    assert_eq!(entries.len(), 7);
    let all = serde_json::to_string(&entries.iter().map(|entry| &entry.event).collect::<Vec<_>>())
        .unwrap();
    assert!(!all.contains("secret") && !all.contains("argon2"), "{all}");
    assert!(all.contains("level = ks2") && all.contains("groups = 7C"), "{all}");
}

#[tokio::test]
async fn a_removed_user_leaves_no_hash_and_the_name_starts_afresh() {
    let (_folder, log) = log().await;
    let users = log.users();
    users.add("x", AT, new("sam.p", "first secret")).await.unwrap();
    users.ban("x", AT, "sam.p", UnixMillis(AT.0 + HOUR), "why").await.unwrap();
    users.remove("x", AT, "sam.p").await.unwrap();
    let rows =
        log.fetch(sqlx::query("SELECT 1 FROM person WHERE password IS NOT NULL")).await.unwrap();
    assert!(rows.is_empty(), "the hash is erased");
    let mut again = new("SAM.P", "other secret");
    again.level = None;
    users.add("x", AT, again).await.unwrap();
    let row = users.find("sam.p").await.unwrap().unwrap();
    assert_eq!((row.name.as_str(), row.level, row.banned_until), ("SAM.P", None, None));
}

#[tokio::test]
async fn unknown_doubled_and_unusable_names_are_refused() {
    let (_folder, log) = log().await;
    let users = log.users();
    users.add("x", AT, new("sam.p", "long enough")).await.unwrap();
    assert!(matches!(
        users.add("x", AT, new("Sam.P", "long enough")).await,
        Err(UserError::Exists(_))
    ));
    assert!(matches!(users.set_level("x", AT, "sam", None).await, Err(UserError::Unknown(_))));
    assert!(matches!(users.remove("x", AT, "sam").await, Err(UserError::Unknown(_))));
    for name in ["", "a:b", " a", "a\n", "@9C", "-", &"n".repeat(129)] {
        let refused = users.add("x", AT, new(name, "long enough")).await;
        assert!(matches!(refused, Err(UserError::BadName { .. })), "{name:?}");
    }
    assert_eq!(log.size().await.unwrap(), 1, "nothing refused leaves an entry");
}

#[test]
fn passwords_have_bounds_and_are_never_shown() {
    assert_eq!(Password::new("seven 7").unwrap_err(), PasswordError::TooShort);
    assert_eq!(Password::new(&"p".repeat(257)).unwrap_err(), PasswordError::TooLong);
    assert_eq!(Password::new("with\nnewline").unwrap_err(), PasswordError::Control);
    let shown = format!("{:?}", new("sam.p", "correct horse"));
    assert!(!shown.contains("horse"), "{shown}");
}

#[test]
fn a_hash_that_is_damaged_or_a_dummy_matches_nothing() {
    for phc in ["", "$argon2id$", "plain", dummy_phc()] {
        for password in ["", "plain", "correct horse", &"long".repeat(100)] {
            assert!(!verify_password(phc, password), "{phc:?} {password:?}");
        }
    }
    let (one, two) = (hash_password(&Password::new("correct horse").unwrap()), dummy_phc());
    assert_ne!(one, hash_password(&Password::new("correct horse").unwrap()), "salts differ");
    let cost = |phc: &str| phc.rsplitn(3, '$').nth(2).map(str::to_owned);
    assert_eq!(cost(&one), cost(two), "an unknown name costs what a known one does");
}

#[tokio::test]
async fn an_import_adds_changes_and_leaves_alone() {
    let (_folder, log) = log().await;
    let users = log.users();
    let csv = "\u{feff}user,level,groups,password\r\n\
               sam.p,ks3,Year 7; 7B,correct horse\r\n\
               \"o'neil, r\",,,\"pass,with,commas\"\r\n\
               ,,,\r\n";
    let report = users.import("x", AT, csv.as_bytes(), &any_level).await.unwrap();
    assert_eq!(report, ImportReport { added: 2, changed: 0, unchanged: 0 });
    let known = users.load_all().await.unwrap();
    let oneil = known.find("O'Neil, R").unwrap();
    assert!(verify_password(oneil.phc.as_deref().unwrap(), "pass,with,commas"));
    assert_eq!(oneil.facts.level, None);

    let size = log.size().await.unwrap();
    let again = users.import("x", AT, csv.as_bytes(), &any_level).await.unwrap();
    assert_eq!(again, ImportReport { added: 0, changed: 0, unchanged: 2 });
    assert_eq!(log.size().await.unwrap(), size, "nothing changed, nothing recorded");

    let next = b"groups,user\nYear 8,SAM.P\nYear 8,new.one\n";
    let report = users.import("x", AT, next, &any_level).await.unwrap();
    assert_eq!(report, ImportReport { added: 1, changed: 1, unchanged: 0 });
    let sam = users.find("sam.p").await.unwrap().unwrap();
    assert_eq!(sam.groups, ["Year 8"]);
    assert!(sam.has_password, "a file without passwords takes none away");
}

#[tokio::test]
async fn an_import_with_faults_names_each_line_and_takes_nothing() {
    let (_folder, log) = log().await;
    let csv = b"user,level,groups,password\n\
                good.one,ks3,,long enough\n\
                bad:name,ks3,,long enough\n\
                short.pw,ks3,,tiny\n\
                no.level,ks9,,long enough\n\
                GOOD.one,ks3,,long enough\n\
                shift.ed,ks3,,pass,word1234\n\
                \xff\xfe,ks3,,long enough\n";
    let error = log.users().import("x", AT, csv, &|level| level == "ks3").await.unwrap_err();
    let UserError::Import(faults) = &error else { panic!("{error}") };
    let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7, 8], "{error}");
    let text = error.to_string();
    for secret in ["long enough", "tiny", "word1234"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("line 5: user no.level: the policy has no level \"ks9\""), "{text}");
    assert_eq!(log.size().await.unwrap(), 0);
    assert!(log.users().list().await.unwrap().is_empty());
}

#[tokio::test]
async fn import_files_without_usable_columns_are_refused() {
    let (_folder, log) = log().await;
    for (csv, says) in [
        ("", "must name the columns"),
        ("user\n", "holds no users"),
        ("level,password\nks3,long enough\n", "user among them"),
        ("user,pasword\na,b\n", "no column is called \"pasword\""),
        ("user,level,level\na,b,c\n", "stands twice"),
    ] {
        let error = log.users().import("x", AT, csv.as_bytes(), &any_level).await.unwrap_err();
        assert!(error.to_string().contains(says), "{csv:?}: {error}");
    }
}
