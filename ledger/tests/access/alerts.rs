//! Alerts made of the access log: what is read, when, and that no kill loses or doubles one.

use crate::crash::{Random, full};
use crate::sample::{NOW, allowed, blocked, context, rows, start, tunnel, wait};
use ledger::alerts::watch::{Watch, episodes_of, find};
use ledger::alerts::{AlertEvent, AlertStore, Private};
use ledger::episodes::{EpisodeDay, Person, Source, Thresholds};
use ledger::ingest::{Writer, recover};
use ledger::journal::{Journal, refused};
use ledger::notes::{self, Sign, SignSource};
use ledger::query::{AccessLog, wait_until_stored};
use ledger::record::{Context, Decided, End};
use rules::alert::Severity;
use rules::category::{CategoryId, CategorySet};
use rules::time::UnixMillis;
use rules::visit::Visit;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const STATE: &str = "LEDGER_TEST_ALERTS_STATE";
pub(crate) const MINUTE: i64 = 60_000;

/// Categories that are signs, at 0 to 2, and one that is none.
pub(crate) fn themes() -> Arc<Context> {
    let categories = ["suicide", "self-harm", "adult", "games"].map(str::to_owned).to_vec();
    Arc::new(Context {
        categories,
        locked: CategorySet::EMPTY,
        ..(*context("Europe/London")).clone()
    })
}

pub(crate) fn of(category: u8) -> CategorySet {
    CategorySet::of(CategoryId::from_index(category))
}

/// Somebody is kept from a site of a category; gives the record's id.
pub(crate) fn refuse(
    journal: &Rc<Journal>,
    context: &Arc<Context>,
    user: &str,
    host: &str,
    category: u8,
    at: i64,
) -> u64 {
    let at = UnixMillis(at);
    let id = journal.next_id(at);
    let (user, categories) = (Some(user), of(category));
    let visit = Visit::Opened;
    let decided = Decided { user, host, categories, visit, ..blocked(context, id, at) };
    journal.refuse(&decided, refused(403, 900, 50)).unwrap();
    id.0
}

pub(crate) async fn look(state: &Path, now: i64) -> usize {
    let mut store = AlertStore::open(state).await.unwrap();
    Watch::new(state).look(&mut store, Thresholds::default(), UnixMillis(now)).await.unwrap()
}

pub(crate) fn stored(state: &Path) {
    assert!(wait(wait_until_stored(state, Duration::from_secs(20))).unwrap());
}

#[test]
fn alerts_follow_the_log_once_each_and_over_restarts() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = themes();
    let first = refuse(&journal, &context, "Sam.P", "a.test", 0, NOW.0);
    // One of high severity is not enough yet.
    refuse(&journal, &context, "kim.o", "b.test", 1, NOW.0);
    for place in 0..500 {
        refuse(&journal, &context, "kim.o", "arcade.test", 3, NOW.0 + place);
    }
    let id = journal.next_id(NOW);
    let pending = journal.decide(&allowed(&context, id, NOW)).unwrap();
    journal.flush();
    stored(state.path());
    assert_eq!(wait(look(state.path(), NOW.0)), 1);
    assert_eq!(wait(look(state.path(), NOW.0)), 0, "another process knows it, too");

    // The second comes after a restart of who follows, and together with the first it counts.
    refuse(&journal, &context, "KIM.O", "c.test", 1, NOW.0 + 10 * MINUTE);
    journal.flush();
    stored(state.path());
    assert_eq!(wait(look(state.path(), NOW.0 + 10 * MINUTE)), 1);

    // What gets worse is told of again, by the same number.
    refuse(&journal, &context, "sam.p", "d.test", 0, NOW.0 + 11 * MINUTE);
    journal.flush();
    stored(state.path());
    assert_eq!(wait(look(state.path(), NOW.0 + 11 * MINUTE)), 0);
    drop(pending);
    drop(journal);
    writer.stop();

    wait(async {
        let mut store = AlertStore::open(state.path()).await.unwrap();
        let alerts: Vec<_> = store.alerts().await.unwrap().iter().cloned().collect();
        let told: Vec<_> =
            alerts.iter().map(|it| (&*it.episode.theme, it.severity, it.signs)).collect();
        assert_eq!(told, [("suicide", Severity::Urgent, 1), ("self-harm", Severity::High, 2)]);
        assert_eq!(alerts[0].episode.first.0, first);
        let about = store.private(alerts[0].sequence).await.unwrap();
        assert_eq!(about, Some(Private::About(Person::User("sam.p".into()))));
        let mut log = AccessLog::new(state.path());
        let day = EpisodeDay::new(alerts[0].day.parse().unwrap());
        let day = episodes_of(&mut log, day).await.unwrap();
        assert_eq!(find(&day, &alerts[0].episode).unwrap().signs, 2, "as the log has it now");
    });
}

#[test]
fn five_routine_signs_of_a_day_are_an_alert_and_four_then_two_the_next_day_are_none() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = themes();
    let signs = [("sam.p", 0, 5), ("kim.o", 0, 4), ("kim.o", 1, 2)];
    for (user, day, signs) in signs {
        for place in 0..signs {
            let at = NOW.0 + day * 24 * 60 * MINUTE + place * 45 * MINUTE;
            refuse(&journal, &context, user, "a.test", 2, at);
        }
    }
    drop(journal);
    writer.stop();
    let now = NOW.0 + 24 * 60 * MINUTE;
    assert_eq!(wait(look(state.path(), now)), 1);
    wait(async {
        let mut store = AlertStore::open(state.path()).await.unwrap();
        let alerts = store.alerts().await.unwrap();
        assert_eq!(alerts.iter().map(|it| it.severity).collect::<Vec<_>>(), [Severity::Routine]);
    });
}

#[test]
fn what_is_older_than_yesterday_when_alerts_begin_is_no_alert_but_what_came_since_is() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = themes();
    let day = 24 * 60 * MINUTE;
    refuse(&journal, &context, "old", "a.test", 0, NOW.0 - 9 * day);
    refuse(&journal, &context, "new", "a.test", 0, NOW.0);
    journal.flush();
    // Each day has a file of its own, and they are not written at once.
    let begun = std::time::Instant::now();
    while rows(state.path()).len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the newer record was not stored");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(wait(look(state.path(), NOW.0)), 1);
    // The filter then stands still for a week; what it recorded on its last day was not looked at.
    refuse(&journal, &context, "late", "a.test", 0, NOW.0 + 1);
    drop(journal);
    writer.stop();
    assert_eq!(wait(look(state.path(), NOW.0 + 7 * day)), 1);
}

#[test]
fn signs_of_a_search_and_those_found_in_a_page_after_its_row_was_stored_are_alerts_too() {
    let sign =
        |theme: &str, source, severity| Sign { theme: theme.into(), points: 40, source, severity };
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = themes();
    let search = [sign("suicide", SignSource::Search, notes::Severity::Urgent)];
    let mut decided = allowed(&context, journal.next_id(NOW), NOW);
    (decided.categories, decided.signs) = (of(3), &search);
    journal.decide(&decided).unwrap().finish(End::Complete);
    let decided = Decided {
        user: Some("kim.o"),
        categories: of(3),
        ..tunnel(&context, journal.next_id(NOW), NOW)
    };
    let page = journal.decide(&decided).unwrap();
    let (mut store, mut watch) = wait(async {
        let store = AlertStore::open(state.path()).await.unwrap();
        (store, Watch::new(state.path()))
    });
    let mut look = || wait(watch.look(&mut store, Thresholds::default(), NOW)).unwrap();
    stored(state.path());
    assert_eq!((look(), look()), (1, 0));
    page.add_sign(sign("violence", SignSource::Page, notes::Severity::High));
    page.add_sign(sign("suicide", SignSource::Page, notes::Severity::Urgent));
    page.finish(End::Complete);
    drop(journal);
    writer.stop();
    assert_eq!((look(), look()), (1, 0));
    assert_eq!(wait(self::look(state.path(), NOW.0)), 0, "nor does a start raise it again");
    let alerts: Vec<_> = wait(async {
        let mut store = AlertStore::open(state.path()).await.unwrap();
        store.alerts().await.unwrap().iter().cloned().collect()
    });
    let told: Vec<_> = alerts.iter().map(|it| (&*it.episode.theme, it.strongest)).collect();
    assert_eq!(told, [("suicide", Source::Search), ("suicide", Source::Page)]);
}

/// Not a test of its own: the process that is killed. Two workers write, and alerts are made beside.
#[test]
fn killed_process() {
    let Some(state) = std::env::var_os(STATE) else { return };
    let state = Path::new(&state);
    let writer = Writer::start(state, crate::sample::settings()).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let writer = &writer;
            scope.spawn(move || write_for_ever(writer, worker));
        }
        scope.spawn(|| wait(watch_for_ever(state)));
    });
}

async fn watch_for_ever(state: &Path) {
    let mut store = AlertStore::open(state).await.unwrap();
    let mut watch = Watch::new(state);
    loop {
        watch.look(&mut store, Thresholds::default(), NOW).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Each urgent sign is of another person, so that each makes an alert.
fn write_for_ever(writer: &Writer, worker: u16) {
    let journal = writer.journal(worker).unwrap();
    let context = themes();
    let mut out = std::io::stdout();
    for turn in 0u64.. {
        let category = if turn.is_multiple_of(4) { 0 } else { 3 };
        let user = format!("{}-{worker}-{turn}", std::process::id());
        let id =
            refuse(&journal, &context, &user, "a.test", category, NOW.0 + (turn % 5000) as i64);
        if category == 0 {
            out.write_all(format!("urgent {id}\n").as_bytes()).unwrap();
        }
        if turn.is_multiple_of(16) {
            journal.flush();
            std::thread::sleep(Duration::from_micros(500));
        }
    }
}

fn run_and_kill(state: &Path, wait: Duration) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["alerts::killed_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(STATE, state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let lines = output.split(b'\n').map_while(Result::ok);
        let told = |line: Vec<u8>| -> Option<u64> {
            String::from_utf8(line).ok()?.split_once("urgent ")?.1.parse().ok()
        };
        let mut ids: Vec<u64> = lines.filter_map(told).collect();
        // The last line may be cut.
        ids.pop();
        ids
    });
    std::thread::sleep(wait);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn kills_at_random_moments_lose_and_double_no_alert() {
    let rounds = if full() { 500 } else { 30 };
    let mut random = Random::seeded("alerts");
    let state = tempfile::tempdir().unwrap();
    let mut urgent: Vec<u64> = Vec::new();
    for _ in 0..rounds {
        let wait = Duration::from_micros(20_000 + random.below(150_000));
        urgent.extend(run_and_kill(state.path(), wait));
    }
    recover(state.path()).unwrap().unwrap();
    wait(look(state.path(), NOW.0));
    let entries = wait(async {
        let mut store = AlertStore::open(state.path()).await.unwrap();
        store.entries().await.unwrap()
    });
    let mut times: HashMap<u64, u32> = HashMap::new();
    for entry in &entries {
        let AlertEvent::Raised { episode, .. } = &entry.event else { panic!("{entry:?}") };
        *times.entry(episode.first.0).or_default() += 1;
    }
    assert!(urgent.len() > 300, "the child hardly wrote: {}", urgent.len());
    let lost: Vec<_> = urgent.iter().filter(|id| !times.contains_key(id)).collect();
    assert!(lost.is_empty(), "{} of {} lost, e.g. {}", lost.len(), urgent.len(), lost[0]);
    assert!(times.values().all(|times| *times == 1), "an alert is doubled");
    eprintln!("{} urgent signs, {} alerts, {rounds} kills", urgent.len(), entries.len());
}
