//! Tests of the change log: durable, gap-free, append-only, and honest about damage.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use rules::unblock::{BlockId, Scope};
use std::os::unix::fs::PermissionsExt;

const AT: UnixMillis = UnixMillis(1_700_000_000_000);

fn blocked(number: u32) -> Event {
    Event::SiteBlocked {
        id: BlockId(number),
        site: "games.example".to_owned(),
        scope: Scope::Level("pupil".to_owned()),
        reason: "used in lessons".to_owned(),
    }
}

fn noted(text: &str) -> Event {
    Event::ActionRefused { action: "try".to_owned(), why: text.to_owned() }
}

async fn open(state: &Path) -> ChangeLog {
    ChangeLog::open(state).await.unwrap()
}

/// A raw connection, as an administrator with the sqlite3 program has it.
async fn raw(state: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(ChangeLog::path_in(state)).connect().await.unwrap()
}

#[tokio::test]
async fn entries_come_back_as_written_with_places_from_zero() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    let first = log.append(AT, "j.cho", blocked(1)).await.unwrap();
    let more = log
        .append_with(UnixMillis(AT.0 + 1), |changes| {
            assert_eq!(changes.size, 1, "the closure sees what is in the log");
            Ok::<_, String>(vec![
                ("a".to_owned(), noted("“é\u{1F600}\u{7}\n\"")),
                ("b".to_owned(), noted("")),
            ])
        })
        .await
        .unwrap();
    assert_eq!(first.sequence, 0);
    assert_eq!(more.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1, 2]);
    let read = open(folder.path()).await.entries_after(0).await.unwrap();
    assert_eq!(read[0], first);
    assert_eq!(read[1..], more);
    assert_eq!(log.size().await.unwrap(), 3);
    assert_eq!(log.entries_after(2).await.unwrap(), &more[1..]);
    assert_eq!(log.entries_after(99).await.unwrap(), []);
    let kinds = log.entries_of(&["site_blocked", "nothing_such"]).await.unwrap();
    assert_eq!(kinds, [first]);
}

#[tokio::test]
async fn what_the_closure_refuses_is_not_written_and_leaves_the_log_usable() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    let refused = log.append_with(AT, |_| Err::<Vec<_>, _>("no role")).await;
    assert!(matches!(refused, Err(AppendWithError::Refused("no role"))));
    assert_eq!(log.size().await.unwrap(), 0);
    assert_eq!(log.append(AT, "x", noted("after")).await.unwrap().sequence, 0);
}

#[tokio::test]
async fn folder_and_file_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("a/state");
    let log = open(&state).await;
    log.append(AT, "x", noted("makes the -wal file")).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for name in ["changes.db", "changes.db-wal", "changes.db-shm"] {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn sql_cannot_change_remove_or_skip_entries() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    log.append(AT, "x", noted("one")).await.unwrap();
    let mut raw = raw(folder.path()).await;
    for statement in [
        "UPDATE change SET body = body",
        "UPDATE change SET sequence = 7",
        "DELETE FROM change",
        "INSERT INTO change (sequence, body, leaf) SELECT 5, json_set(body, '$.sequence', 5), leaf FROM change",
        "INSERT OR REPLACE INTO change (sequence, body, leaf) SELECT 0, body, leaf FROM change",
    ] {
        assert!(sqlx::query(statement).execute(&mut raw).await.is_err(), "{statement}");
    }
    assert_eq!(log.size().await.unwrap(), 1);
}

#[tokio::test]
async fn a_stamp_changes_with_every_writer_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (open(folder.path()).await, open(folder.path()).await);
    let before = ours.stamp().await.unwrap();
    assert_eq!(ours.stamp().await.unwrap(), before);
    theirs.append(AT, "x", noted("another process")).await.unwrap();
    let after_theirs = ours.stamp().await.unwrap();
    assert_ne!(after_theirs, before);
    ours.append(AT, "x", noted("our own")).await.unwrap();
    assert_ne!(ours.stamp().await.unwrap(), after_theirs);
}

#[tokio::test]
async fn an_altered_entry_stops_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    log.append(AT, "x", noted("true")).await.unwrap();
    log.append(AT, "x", noted("second")).await.unwrap();
    let mut raw = raw(folder.path()).await;
    for statement in [
        "DROP TRIGGER change_no_update",
        "UPDATE change SET body = replace(body, 'true', 'fals') WHERE sequence = 0",
    ] {
        sqlx::query(statement).execute(&mut raw).await.unwrap();
    }
    let error = log.entries_after(0).await.unwrap_err();
    assert!(
        matches!(&error, AppendError::Damaged { why, .. } if why == "entry 0 was altered"),
        "{error}"
    );
    assert!(matches!(ChangeLog::open(folder.path()).await, Err(AppendError::Damaged { .. })));
}

#[tokio::test]
async fn a_removed_entry_stops_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    for number in 0..3 {
        log.append(AT, "x", noted(&number.to_string())).await.unwrap();
    }
    let mut raw = raw(folder.path()).await;
    for statement in ["DROP TRIGGER change_no_delete", "DELETE FROM change WHERE sequence = 1"] {
        sqlx::query(statement).execute(&mut raw).await.unwrap();
    }
    let error = log.entries_after(0).await.unwrap_err();
    assert!(error.to_string().contains("entry 1 is missing"), "{error}");
}

#[tokio::test]
async fn files_that_are_no_change_log_are_refused_with_what_to_do() {
    for (what, content) in
        [("text", b"hello, this is no database at all".repeat(200)), ("zeros", vec![0; 8_192])]
    {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(ChangeLog::path_in(folder.path()), content).unwrap();
        let error = ChangeLog::open(folder.path()).await.err().unwrap();
        assert!(matches!(error, AppendError::Damaged { .. }), "{what}: {error}");
        assert!(error.to_string().contains("restore it from a backup"), "{what}: {error}");
    }
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).await);
    sqlx::query("PRAGMA user_version = 9").execute(&mut raw(folder.path()).await).await.unwrap();
    assert!(matches!(ChangeLog::open(folder.path()).await, Err(AppendError::Newer { .. })));
}

#[tokio::test]
async fn a_state_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = ChangeLog::open(&file.join("state")).await.err().unwrap();
    assert!(matches!(error, AppendError::Folder { .. }), "{error}");
}

/// Appends `count` entries, each through a transaction of its own.
async fn write_many(state: &Path, actor: &str, count: u32) {
    let log = open(state).await;
    for number in 0..count {
        log.append(AT, actor, noted(&number.to_string())).await.unwrap();
    }
}

#[test]
fn threads_and_processes_that_append_at_once_leave_no_gap_and_lose_nothing() {
    const EACH: u32 = 25;
    let run = |state: PathBuf, actor: String| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(write_many(&state, &actor, EACH));
    };
    // The other process is this test started again: it writes and ends here.
    if let Ok(state) = std::env::var("SCHOOLGATE_TEST_APPEND_TO") {
        return run(PathBuf::from(state), "other process".to_owned());
    }
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().to_owned();
    let mut other = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "changes::tests::threads_and_processes_that_append_at_once_leave_no_gap_and_lose_nothing"])
        .env("SCHOOLGATE_TEST_APPEND_TO", &state)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let state = state.clone();
            scope.spawn(move || run(state, format!("thread {thread}")));
        }
    });
    assert!(other.wait().unwrap().success());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let entries = runtime.block_on(async { open(&state).await.entries_after(0).await }).unwrap();
    assert_eq!(entries.len(), 4 * EACH as usize);
    for actor in ["other process", "thread 0", "thread 1", "thread 2"] {
        let texts: Vec<_> = entries.iter().filter(|entry| entry.actor == actor).collect();
        assert_eq!(texts.len(), EACH as usize, "{actor}");
        assert!(texts.windows(2).all(|pair| pair[0].sequence < pair[1].sequence), "{actor}");
    }
}

#[test]
fn the_body_is_canonical_json_and_the_leaf_its_rfc_6962_hash() {
    let entry =
        ChangeEntry { sequence: 3, at: UnixMillis(5), actor: "a\"b".to_owned(), event: blocked(2) };
    let body = canonical_entry(&entry);
    assert_eq!(
        body,
        r#"{"actor":"a\"b","at":5,"event":{"event":"site_blocked","id":2,"reason":"used in lessons","scope":{"kind":"level","name":"pupil"},"site":"games.example"},"sequence":3}"#
    );
    // The leaf of no data at all, from RFC 6962's test vectors as used by Certificate Transparency.
    let empty: String = leaf_hash(b"").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(empty, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
}

#[tokio::test]
async fn a_log_that_was_removed_or_replaced_is_noticed_by_who_has_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    log.append(AT, "x", noted("one")).await.unwrap();
    let path = ChangeLog::path_in(folder.path());
    std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    assert!(matches!(log.stamp().await, Err(AppendError::Damaged { .. })));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(log.append(AT, "x", noted("lost")).await, Err(AppendError::Damaged { .. })));
}

#[tokio::test]
async fn times_never_fall_in_the_log_though_the_clock_does() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    log.append(AT, "x", noted("first")).await.unwrap();
    let behind = UnixMillis(AT.0 - 600_000);
    assert_eq!(log.append(behind, "x", noted("second")).await.unwrap().at, AT);
    drop(log);
    let log = open(folder.path()).await;
    let third = log
        .append_with(behind, |_| Ok::<_, String>(vec![("x".to_owned(), noted("third"))]))
        .await
        .unwrap();
    assert_eq!(third[0].at, AT, "the last time is known after a new start");
    let ahead = UnixMillis(AT.0 + 1);
    assert_eq!(log.append(ahead, "x", noted("fourth")).await.unwrap().at, ahead);
    let times: Vec<_> =
        log.entries_after(0).await.unwrap().into_iter().map(|entry| entry.at).collect();
    assert_eq!(times, [AT, AT, AT, ahead]);
}

#[tokio::test]
async fn a_log_missing_from_a_folder_in_use_is_not_made_anew() {
    let hash = "ab".repeat(32);
    let signs = [
        "access/access-2026-11-20.db".to_owned(),
        "journal/w00-00000000000001.sgj".to_owned(),
        "lists/ut1-games/state.json".to_owned(),
        format!("policy/{hash}.toml"),
    ];
    for sign in signs {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        drop(open(state).await);
        let left = state.join(&sign);
        std::fs::create_dir_all(left.parent().unwrap()).unwrap();
        std::fs::write(&left, "x").unwrap();
        drop(open(state).await);
        let path = ChangeLog::path_in(state);
        for emptied in [false, true] {
            std::fs::remove_file(&path).unwrap();
            if emptied {
                std::fs::write(&path, "").unwrap();
            }
            let error = ChangeLog::open(state).await.err().unwrap();
            assert!(matches!(error, AppendError::Missing { .. }), "{sign}: {error}");
            let text = error.to_string();
            assert!(text.contains(&sign) && text.contains("restore changes.db"), "{text}");
            assert_eq!(path.exists(), emptied, "nothing was changed");
            std::fs::write(&path, "put back").unwrap();
        }
    }
}

#[tokio::test]
async fn a_new_folder_with_the_schools_own_files_gets_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    for own in ["policy.toml", "policy/words.toml", "lists/games.txt", "access/README"] {
        let path = state.join(own);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }
    std::fs::create_dir(state.join("journal")).unwrap();
    assert_eq!(open(state).await.size().await.unwrap(), 0);
}

/// A state folder as version 1 of this program left it: one entry, one user.
async fn of_version_1(state: &Path) -> String {
    let mut old = SqliteConnectOptions::new()
        .filename(ChangeLog::path_in(state))
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    let (version, name, sql) = MIGRATIONS[0];
    let step =
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false);
    Migrator::with_migrations(vec![step]).run_direct(None, &mut old, false).await.unwrap();
    let entry = ChangeEntry { sequence: 0, at: AT, actor: "j.cho".to_owned(), event: blocked(1) };
    let body = canonical_entry(&entry);
    sqlx::query("INSERT INTO change (sequence, body, leaf) VALUES (0, ?, ?)")
        .bind(&body)
        .bind(&leaf_hash(body.as_bytes())[..])
        .execute(&mut old)
        .await
        .unwrap();
    sqlx::raw_sql("INSERT INTO person (key, name, created_at) VALUES ('sam.p', 'Sam.P', 7)")
        .execute(&mut old)
        .await
        .unwrap();
    sqlx::raw_sql("PRAGMA user_version = 1").execute(&mut old).await.unwrap();
    old.close().await.unwrap();
    body
}

#[tokio::test]
async fn a_file_of_version_1_gets_the_tables_that_it_lacks_and_keeps_all_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let body = of_version_1(folder.path()).await;
    let log = open(folder.path()).await;
    assert_eq!(canonical_entry(&log.entries_after(0).await.unwrap()[0]), body);
    assert_eq!(log.users().list().await.unwrap()[0].name, "Sam.P");
    assert_eq!(log.accounts().count(AT).await.unwrap().ever, 0);
    log.accounts().add("j.cho", AT, "m.obi", None).await.unwrap();
    drop(log);
    assert_eq!(open(folder.path()).await.accounts().list().await.unwrap().len(), 1);
    let row = sqlx::query("PRAGMA user_version").fetch_one(&mut raw(folder.path()).await).await;
    assert_eq!(row.unwrap().get::<i64, _>(0), SCHEMA_VERSION);
}
