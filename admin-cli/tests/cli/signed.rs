//! Signing the week's report: each person once, and no week before there was a filter.

use crate::school::School;
use crate::{OK, USAGE};
use ledger::changes::ChangeLog;
use rules::change::Event;
use rules::time::UnixMillis;
use std::os::unix::fs::DirBuilderExt as _;

const DAY_MS: i64 = 86_400_000;

/// A filter that first ran so many days ago; and a day so many days before that.
fn first_ran(school: &School, days: i64) -> String {
    let state = school.path("state");
    std::fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = i64::try_from(since.as_millis()).unwrap() - days * DAY_MS;
    let text = String::new;
    let event = Event::ServeStarted { version: text(), policy_hash: text(), list_version: text() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = ChangeLog::open(&state).await.unwrap();
        log.append(UnixMillis(at), "schoolgate", event).await.unwrap();
    });
    let before = jiff::Timestamp::from_millisecond(at - days * DAY_MS).unwrap();
    before.strftime("%F").to_string()
}

fn signatures(school: &School) -> usize {
    let line = "log actions --event report_reviewed --jsonl --by q.whitmore";
    let ran = school.run(line, &["--since", "2h"]);
    assert_eq!(ran.code, OK, "{ran:?}");
    ran.out.lines().count()
}

#[test]
fn a_week_is_signed_once_by_each_person_and_none_before_the_filter_ran() {
    let school = School::new();
    let before = first_ran(&school, 30);
    let sign = |by: &str, more: &[&str]| {
        let line = format!("report review --by {by}");
        school.run(&line, &[&["--action", "Spoke to the tutor"], more].concat())
    };
    let early = sign("q.whitmore", &["--week", &before]);
    assert_eq!(early.code, USAGE, "{early:?}");
    assert!(early.err.contains("the filter first ran on "), "{early:?}");
    assert!(early.err.contains("fix: sign a later week"), "{early:?}");
    assert_eq!(signatures(&school), 0);
    let signed = sign("q.whitmore", &[]);
    assert!(signed.code == OK && signed.out.contains("reviewed by q.whitmore"), "{signed:?}");
    let again = sign("Q.Whitmore", &[]);
    assert_eq!(again.code, OK, "{again:?}");
    assert!(again.out.contains("already signed by q.whitmore at "), "{again:?}");
    assert_eq!(signatures(&school), 1);
    let other = sign("a.deputy", &[]);
    assert!(other.code == OK && other.out.contains("reviewed by a.deputy"), "{other:?}");
    assert_eq!(signatures(&school), 2);
}

#[test]
fn where_the_filter_never_ran_there_is_nothing_to_sign() {
    let school = School::new();
    let ran = school.run("report review --by q.whitmore --action Nothing", &[]);
    assert_eq!(ran.code, USAGE, "{ran:?}");
    assert!(ran.err.contains("the filter has not run yet"), "{ran:?}");
}
