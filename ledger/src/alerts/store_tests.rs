#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::super::{AlertEvent, Channel, Outcome};
use super::*;
use crate::episodes::{Confidence, EpisodeKey, Person, Source};
use rules::alert::{AlertId, Severity};
use std::convert::Infallible;

fn raised(number: u32, theme: &str) -> NewEvent {
    let event = AlertEvent::Raised {
        alert: AlertId(number),
        episode: EpisodeKey { first: RequestId(u64::from(number)), theme: theme.into() },
        day: "2026-11-24".into(),
        severity: Severity::High,
        level: "ks3".into(),
        confidence: Confidence::SignedIn,
        strongest: Source::Site,
        first: UnixMillis(5),
        signs: 2,
        private: String::new(),
    };
    let private = Some(Private::About(Person::User("sam.p".into())));
    NewEvent { private, ..NewEvent::new("schoolgate", event) }
}

pub(super) fn by(actor: &str, event: AlertEvent) -> NewEvent {
    NewEvent::new(actor, event)
}

pub(super) async fn append(
    store: &mut AlertStore,
    at: i64,
    events: Vec<NewEvent>,
) -> Vec<AlertEntry> {
    let decide = |_: &Alerts| Ok::<_, Infallible>(events);
    store.append_with(UnixMillis(at), &[], decide).await.unwrap()
}

pub(super) async fn with_one(state: &Path) -> AlertStore {
    let mut store = AlertStore::open(state).await.unwrap();
    append(&mut store, 10, vec![raised(1, "drugs")]).await;
    store
}

#[tokio::test]
async fn an_alert_goes_from_open_to_closed_and_reads_the_same_by_another() {
    let state = tempfile::tempdir().unwrap();
    let mut store = with_one(state.path()).await;
    let alert = AlertId(1);
    let note = Some(Private::Note("spoke to Sam".into()));
    let reviewed =
        AlertEvent::Reviewed { alert, outcome: Outcome::Spoken, read: None, private: None };
    let steps = [
        ("open", by("schoolgate", AlertEvent::Escalated { alert, step: 1, to: vec![] })),
        ("seen", by("q.whitmore", AlertEvent::Seen { alert, read: None })),
        ("assigned", by("q.whitmore", AlertEvent::Assigned { alert, to: "N.Reyes".into() })),
        ("watched", NewEvent { private: note, ..by("n.reyes", reviewed) }),
        ("closed", by("n.reyes", AlertEvent::Closed { alert })),
    ];
    for (place, (state, event)) in steps.into_iter().enumerate() {
        append(&mut store, 20 + 10 * place as i64, vec![event]).await;
        assert_eq!(store.alerts().await.unwrap().get(alert).unwrap().state(), state);
    }
    let own = store.alerts().await.unwrap().get(alert).cloned();
    let mut other = AlertStore::open(state.path()).await.unwrap();
    assert_eq!(other.alerts().await.unwrap().get(alert).cloned(), own);
    let own = own.unwrap();
    assert_eq!(own.time_to_review_ms(), Some(40));
    assert!(own.is_of("n.reyes") && !own.is_of("q.whitmore"));
    assert_eq!(own.seen, Some(("q.whitmore".into(), UnixMillis(30))));
    let review = own.reviews[0].sequence;
    assert_eq!(other.private(review).await.unwrap(), Some(Private::Note("spoke to Sam".into())));
    let about = other.private(own.sequence).await.unwrap();
    assert_eq!(about, Some(Private::About(Person::User("sam.p".into()))));
}

#[tokio::test]
async fn what_gets_worse_is_unseen_and_open_again() {
    let state = tempfile::tempdir().unwrap();
    let mut store = with_one(state.path()).await;
    let alert = AlertId(1);
    append(&mut store, 20, vec![by("q.whitmore", AlertEvent::Seen { alert, read: None })]).await;
    append(&mut store, 30, vec![by("q.whitmore", AlertEvent::Closed { alert })]).await;
    let worse = AlertEvent::Worsened { alert, severity: Severity::Urgent, signs: 4 };
    append(&mut store, 40, vec![by("schoolgate", worse)]).await;
    let alert = store.alerts().await.unwrap().get(alert).unwrap();
    assert_eq!((alert.state(), alert.severity, alert.is_seen()), ("open", Severity::Urgent, false));
}

#[tokio::test]
async fn what_was_closed_and_is_open_again_is_unseen_and_what_was_told_before_stands_beside() {
    let state = tempfile::tempdir().unwrap();
    let mut store = with_one(state.path()).await;
    let alert = AlertId(1);
    let told = |of, since| {
        let event = AlertEvent::Notified {
            alert,
            severity: Severity::High,
            step: 0,
            channel: Channel::Mail,
            to: "q.whitmore".into(),
            of,
            since,
            failed: None,
        };
        vec![by("schoolgate", event)]
    };
    // As entries of before stood.
    append(&mut store, 20, told(None, None)).await;
    let reviewed =
        AlertEvent::Reviewed { alert, outcome: Outcome::Spoken, read: None, private: None };
    append(&mut store, 30, vec![by("n.reyes", reviewed)]).await;
    append(&mut store, 30, vec![by("n.reyes", AlertEvent::Closed { alert })]).await;
    let again = AlertEvent::Reopened { alert, severity: Severity::High, signs: 3, by: None };
    append(&mut store, 40, vec![by("schoolgate", again)]).await;
    // On its way since before.
    append(&mut store, 50, told(None, Some(UnixMillis(10)))).await;
    append(&mut store, 50, told(Some(0), None)).await;
    let now = store.alerts().await.unwrap().get(alert).unwrap();
    assert_eq!((now.state(), now.severity, now.signs), ("open", Severity::High, 3));
    assert!(!now.is_seen());
    assert!(now.deliveries.iter().all(|it| it.of < now.severe_place), "{:?}", now.deliveries);
    append(&mut store, 60, told(None, Some(UnixMillis(40)))).await;
    append(&mut store, 60, told(Some(4), None)).await;
    let now = store.alerts().await.unwrap().get(alert).unwrap();
    let of: Vec<u64> = now.deliveries.iter().map(|it| it.of).collect();
    assert_eq!(of, [0, 4]);
}

#[tokio::test]
async fn two_writers_share_one_log_and_times_never_fall() {
    let state = tempfile::tempdir().unwrap();
    let mut one = with_one(state.path()).await;
    let mut other = AlertStore::open(state.path()).await.unwrap();
    append(&mut other, 50, vec![raised(2, "suicide")]).await;
    let third = append(&mut one, 40, vec![raised(3, "violence")]).await;
    assert_eq!((third[0].sequence, third[0].at), (2, UnixMillis(50)));
    assert_eq!(other.alerts().await.unwrap().len(), 3);
    assert_eq!(one.head().await.unwrap(), other.head().await.unwrap());
    let refused = one.append_with(UnixMillis(60), &[], |_| Err("no")).await;
    assert!(matches!(refused, Err(AppendAlertError::Refused("no"))));
    assert_eq!(other.head().await.unwrap().0, 3);
}

#[tokio::test]
async fn the_last_try_to_tell_somebody_stands_for_all() {
    let state = tempfile::tempdir().unwrap();
    let mut store = with_one(state.path()).await;
    for failed in [Some("no answer".to_owned()), None] {
        let event = AlertEvent::Notified {
            alert: AlertId(1),
            severity: Severity::High,
            step: 0,
            channel: Channel::Mail,
            to: "q.whitmore".into(),
            of: Some(0),
            since: None,
            failed,
        };
        append(&mut store, 20, vec![by("schoolgate", event)]).await;
    }
    let alert = store.alerts().await.unwrap().get(AlertId(1)).unwrap();
    assert_eq!(alert.deliveries.len(), 1);
    assert_eq!(alert.deliveries[0].failed, None);
}

#[tokio::test]
async fn what_is_personal_can_be_erased_and_is_gone_from_the_file() {
    let state = tempfile::tempdir().unwrap();
    let mut store = with_one(state.path()).await;
    let (by, at) = (("q.whitmore", "E-0001"), UnixMillis(20));
    assert_eq!(store.erase_private(at, by, &[0, 7]).await.unwrap(), 1);
    assert_eq!(store.private(0).await.unwrap(), None);
    let head = store.head().await.unwrap();
    assert_eq!(store.erase_private(at, by, &[0, 7]).await.unwrap(), 0);
    assert_eq!(store.head().await.unwrap(), head, "what is gone already is not said again");
    drop(store);
    for file in std::fs::read_dir(state.path()).unwrap() {
        // SQLite may still be taking its own temporary files away.
        let Ok(bytes) = std::fs::read(file.unwrap().path()) else { continue };
        assert!(!bytes.windows(5).any(|it| it == b"sam.p"), "the name is still there");
    }
    let mut again = AlertStore::open(state.path()).await.unwrap();
    assert_eq!(again.head().await.unwrap(), head, "and everything else is as it was");
    assert_eq!(again.alerts().await.unwrap().len(), 1);
    let entries = again.entries().await.unwrap();
    assert_eq!((entries.len(), entries[1].actor.as_str()), (2, "q.whitmore"));
    let why = "E-0001".to_owned();
    let erased = AlertEvent::Erased { alert: AlertId(1), places: vec![0], why };
    assert_eq!(entries[1].event, erased);
}

#[tokio::test]
async fn any_change_of_an_entry_or_of_what_is_personal_is_noticed() {
    let damages = [
        "UPDATE event SET body = replace(body, 'drugs', 'games') WHERE sequence = 0",
        "UPDATE event SET leaf = zeroblob(32) WHERE sequence = 1",
        "DELETE FROM event WHERE sequence = 0",
        "UPDATE private SET body = replace(body, 'sam.p', 'kim.o')",
    ];
    for damage in damages {
        let state = tempfile::tempdir().unwrap();
        let mut store = with_one(state.path()).await;
        append(&mut store, 20, vec![raised(2, "violence")]).await;
        for trigger in ["event_no_update", "event_no_delete", "private_no_update"] {
            let drop = AssertSqlSafe(format!("DROP TRIGGER {trigger}"));
            sqlx::query(drop).execute(&mut store.connection).await.unwrap();
        }
        sqlx::query(damage).execute(&mut store.connection).await.unwrap();
        drop(store);
        let read = match AlertStore::open(state.path()).await {
            Ok(mut store) => store.private(0).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(matches!(read, Err(AlertError::Damaged { .. })), "{damage}: {read:?}");
    }
}

#[tokio::test]
async fn entries_cannot_be_changed_by_mistake() {
    let state = tempfile::tempdir().unwrap();
    let mut store = with_one(state.path()).await;
    for mistake in [
        "UPDATE event SET body = body",
        "DELETE FROM event",
        "UPDATE private SET body = '\"\"'",
        "INSERT INTO event (sequence, body, leaf) VALUES (9, '{\"sequence\":9}', zeroblob(32))",
    ] {
        assert!(sqlx::query(mistake).execute(&mut store.connection).await.is_err(), "{mistake}");
    }
}

#[test]
fn positions_are_read_back_with_what_they_led_to() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let state = tempfile::tempdir().unwrap();
        let mut store = AlertStore::open(state.path()).await.unwrap();
        let day = jiff::civil::date(2026, 11, 24);
        for sequence in [7, 9] {
            let position = Position { sequence, record: RequestId(u64::MAX - 1) };
            let none = |_: &Alerts| Ok::<_, Infallible>(Vec::new());
            store.append_with(UnixMillis(1), &[(day, position)], none).await.unwrap();
            let mut other = AlertStore::open(state.path()).await.unwrap();
            assert_eq!(other.positions().await.unwrap(), BTreeMap::from([(day, position)]));
        }
    });
}

#[tokio::test]
async fn what_the_change_log_says_of_alerts_is_compared_with_them() {
    use crate::changes::ChangeLog;
    use crate::evidence::verify::{Options, verify};
    use rules::change::Event;
    let problems = async |state: &Path| -> Vec<String> {
        let report = verify(state, &Options::default(), &mut |_| {}).await.unwrap();
        report.problems.into_iter().map(|it| format!("{}: {}", it.log, it.what)).collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let log = ChangeLog::open(state).await.unwrap();
    let mut store = with_one(state).await;
    let (size, head) = store.head().await.unwrap();
    log.append(UnixMillis(20), "schoolgate", Event::AlertsCovered { size, head }).await.unwrap();
    append(&mut store, 30, vec![raised(2, "violence")]).await;
    assert_eq!(problems(state).await, [""; 0], "it may have grown since");
    store.erase_private(UnixMillis(40), ("schoolgate", "x"), &[0]).await.unwrap();
    assert_eq!(problems(state).await, [""; 0], "names may be erased");
    drop(store);
    // Made anew, by the program itself: only the change log can tell.
    for ending in ["db", "db-wal", "db-shm"] {
        let _ = std::fs::remove_file(state.join(format!("alerts.{ending}")));
    }
    assert!(problems(state).await[0].starts_with("alerts.db: it is missing"));
    let mut other = AlertStore::open(state).await.unwrap();
    append(&mut other, 10, vec![raised(1, "games")]).await;
    drop(other);
    assert!(problems(state).await[0].contains("they are not what entry 0 of the change log says"));
}

#[tokio::test]
async fn a_correction_makes_known_nothing_that_came_since_the_look_before_it_was_closed() {
    let state = tempfile::tempdir().unwrap();
    let mut store = with_one(state.path()).await;
    let alert = AlertId(1);
    let said = |outcome| AlertEvent::Reviewed { alert, outcome, read: None, private: None };
    append(&mut store, 20, vec![by("q.whitmore", AlertEvent::Seen { alert, read: None })]).await;
    let closing = [said(Outcome::FalseAlarm), AlertEvent::Closed { alert }];
    append(&mut store, 50, closing.map(|event| by("q.whitmore", event)).into()).await;
    let now = UnixMillis(90);
    let before = store.alerts().await.unwrap().get(alert).cloned().unwrap();
    assert!(before.known(now).is_some_and(|it| it.at == UnixMillis(20) && it.is_false_alarm));
    append(&mut store, 60, vec![by("q.whitmore", said(Outcome::Spoken))]).await;
    let after = store.alerts().await.unwrap().get(alert).cloned().unwrap();
    assert_eq!(
        (after.state(), after.closed, after.seen_last),
        ("closed", before.closed, before.seen_last)
    );
    assert!(after.known(now).is_some_and(|it| it.at == UnixMillis(20) && !it.is_false_alarm));
    append(&mut store, 70, vec![by("q.whitmore", said(Outcome::Watching))]).await;
    let after = store.alerts().await.unwrap().get(alert).cloned().unwrap();
    assert_eq!((after.state(), after.known(now)), ("watched", None));
}
