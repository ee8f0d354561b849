#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

//! Files of other versions, and entries written while the clock was wrong.

use super::super::{AlertEvent, Channel, Outcome};
use super::tests::{append, by, with_one};
use super::*;
use rules::alert::{AlertId, Severity};

/// What version 1 wrote of an alert that was told, seen, closed and opened again, and told again.
const VERSION_1: [(&str, &str, &str); 6] = [
    (
        "10",
        "schoolgate",
        r#"{"alert":1,"confidence":"signed-in","day":"2026-11-24","episode":{"first":1,"theme":"drugs"},"event":"raised","first":5,"level":"ks3","private":"PRIVATE","severity":"high","signs":2,"strongest":"site"}"#,
    ),
    (
        "20",
        "schoolgate",
        r#"{"alert":1,"channel":"mail","event":"notified","severity":"high","since":10,"step":0,"to":"q.whitmore"}"#,
    ),
    ("30", "q.whitmore", r#"{"alert":1,"event":"seen"}"#),
    ("40", "q.whitmore", r#"{"alert":1,"event":"reviewed","outcome":"false-alarm"}"#),
    ("40", "q.whitmore", r#"{"alert":1,"event":"closed"}"#),
    ("50", "schoolgate", r#"{"alert":1,"event":"reopened","severity":"high","signs":3}"#),
];

/// Makes a file as version 1 made it, and gives the leaf hash of its last entry.
async fn of_version_1(state: &Path) -> String {
    let options = SqliteConnectOptions::new().filename(AlertStore::path_in(state));
    let mut file = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(include_str!("schema.sql")).execute(&mut file).await.unwrap();
    let (salt, name) = ([7_u8; SALT_BYTES], r#"{"about":{"kind":"user","name":"sam.p"}}"#);
    let private = "INSERT INTO private (sequence, salt, body) VALUES (0, ?, ?)";
    sqlx::query(private).bind(&salt[..]).bind(name).execute(&mut file).await.unwrap();
    let mut previous = String::new();
    for (sequence, (at, actor, event)) in VERSION_1.iter().enumerate() {
        let event = event.replace("PRIVATE", &commitment(&salt, name));
        let body = format!(
            r#"{{"actor":"{actor}","at":{at},"event":{event},"previous":"{previous}","sequence":{sequence}}}"#
        );
        let leaf = leaf_hash(body.as_bytes());
        previous = hex(&leaf);
        sqlx::query("INSERT INTO event (sequence, body, leaf) VALUES (?, ?, ?)")
            .bind(sequence as i64)
            .bind(body)
            .bind(&leaf[..])
            .execute(&mut file)
            .await
            .unwrap();
    }
    let position = "INSERT INTO position VALUES ('2026-11-24', 7, 9); PRAGMA user_version = 1";
    sqlx::raw_sql(position).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    previous
}

async fn version(store: &mut AlertStore) -> i64 {
    let row = sqlx::query("PRAGMA user_version").fetch_one(&mut store.connection).await.unwrap();
    row.get(0)
}

#[tokio::test]
async fn a_file_of_version_1_is_taken_up_with_all_that_it_has_and_earlier_builds_refuse_it_then() {
    let state = tempfile::tempdir().unwrap();
    let last = of_version_1(state.path()).await;
    let mut store = AlertStore::open(state.path()).await.unwrap();
    assert_eq!(version(&mut store).await, 3, "a build that knows 1 alone says that it is newer");
    assert_eq!(store.head().await.unwrap(), (6, last), "each entry is as it was");
    store.verify().await.unwrap();
    let about = store.private(0).await.unwrap();
    assert!(format!("{about:?}").contains("sam.p"), "{about:?}");
    assert_eq!(store.positions().await.unwrap().len(), 1);
    let alert = store.alerts().await.unwrap().get(AlertId(1)).unwrap();
    assert_eq!((alert.state(), alert.severity, alert.signs), ("open", Severity::High, 3));
    assert_eq!(alert.reopening().map(|it| it.by), Some(None));
    assert!(!alert.is_seen() && alert.deliveries[0].of < alert.severe_place, "{alert:?}");
    // It goes on, and both opens again.
    append(&mut store, 60, vec![by("schoolgate", again())]).await;
    let head = store.head().await.unwrap();
    drop(store);
    let mut store = AlertStore::open(state.path()).await.unwrap();
    assert_eq!((version(&mut store).await, store.head().await.unwrap()), (3, head));
}

#[tokio::test]
async fn what_was_erased_before_erasures_were_written_down_is_said_once_as_the_file_is_taken_up() {
    let state = tempfile::tempdir().unwrap();
    of_version_1(state.path()).await;
    let path = AlertStore::path_in(state.path());
    let mut file = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let gone = "DELETE FROM private; PRAGMA user_version = 2";
    sqlx::raw_sql(gone).execute(&mut file).await.unwrap();
    file.close().await.unwrap();
    for _ in 0..2 {
        let mut store = AlertStore::open(state.path()).await.unwrap();
        let entries = store.entries().await.unwrap();
        let why = GONE_BEFORE.to_owned();
        let erased = AlertEvent::Erased { alert: AlertId(1), places: vec![0], why };
        assert_eq!((entries.len(), &entries[6].event), (7, &erased));
        store.verify().await.unwrap();
    }
}

fn again() -> AlertEvent {
    AlertEvent::Reopened { alert: AlertId(1), severity: Severity::High, signs: 4, by: None }
}

#[tokio::test]
async fn a_file_of_a_later_version_is_refused_and_not_called_damaged() {
    let state = tempfile::tempdir().unwrap();
    let mut store = with_one(state.path()).await;
    sqlx::raw_sql("PRAGMA user_version = 4").execute(&mut store.connection).await.unwrap();
    drop(store);
    let refused = AlertStore::open(state.path()).await.unwrap_err();
    assert!(refused.to_string().ends_with("written by a newer schoolgate; use that version"));
}

#[tokio::test]
async fn what_came_before_what_is_told_by_places_while_a_clock_that_ran_ahead_holds_all_times() {
    let state = tempfile::tempdir().unwrap();
    let mut store = with_one(state.path()).await;
    let alert = AlertId(1);
    let notified = |of| AlertEvent::Notified {
        alert,
        severity: Severity::High,
        step: 0,
        channel: Channel::Mail,
        to: "q.whitmore".into(),
        of: Some(of),
        since: None,
        failed: None,
    };
    append(&mut store, 1_000, vec![by("schoolgate", notified(0))]).await;
    let (read, private) = (None, None);
    let steps = [
        by("schoolgate", AlertEvent::Escalated { alert, step: 1, to: vec![] }),
        by("q.whitmore", AlertEvent::Seen { alert, read }),
        by("q.whitmore", AlertEvent::Reviewed { alert, outcome: Outcome::Spoken, read, private }),
        by("q.whitmore", AlertEvent::Closed { alert }),
        by("schoolgate", again()),
    ];
    for (event, clock) in steps.into_iter().zip(20..) {
        let entry = append(&mut store, clock, vec![event]).await.remove(0);
        assert_eq!((entry.at, entry.clock), (UnixMillis(1_000), UnixMillis(clock)));
    }
    drop(store);
    let mut store = AlertStore::open(state.path()).await.unwrap();
    let now = store.alerts().await.unwrap().get(alert).unwrap();
    assert_eq!((now.state(), now.is_seen(), now.step()), ("open", false, 0));
    assert!(now.deliveries.iter().all(|it| it.of != now.severe_place), "{:?}", now.deliveries);
    assert_eq!(now.waits_since, UnixMillis(24), "it waits from now on, not from then");
    let known = now.known_until.unwrap();
    assert_eq!(known.clock, UnixMillis(21), "as of the look");
}
