//! Filters, and pages that stay as they are while the log grows.

use crate::sample::{NOW, WORDS, allowed, blocked, context, start, tunnel, wait};
use ledger::journal::refused;
use ledger::query::{AccessLog, Cursor, Filter, Order, wait_until_stored};
use ledger::record::End;
use rules::decide::{ReasonCode, Verdict};
use rules::time::UnixMillis;
use rules::unblock::UnblockId;
use std::path::Path;
use std::time::Duration;

fn count(state: &Path, filter: &Filter) -> usize {
    wait(AccessLog::new(state).page(filter, Order::NewestFirst, None, 1000)).unwrap().rows.len()
}

#[test]
fn each_filter_keeps_what_it_names() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let later = UnixMillis(NOW.0 + 60_000);
    journal.refuse(&blocked(&context, journal.next_id(NOW), NOW), refused(403, 0, 1)).unwrap();
    drop(journal.decide(&allowed(&context, journal.next_id(NOW), NOW)).unwrap());
    drop(journal.decide(&tunnel(&context, journal.next_id(later), later)).unwrap());
    let mut other = allowed(&context, journal.next_id(later), later);
    other.user = None;
    other.level = 2;
    other.host = "notlibrary.test";
    other.path = Some("/maths/fractions_2%/a%20b/caf%C3%A9");
    other.client = "2001:db8::9".parse().unwrap();
    other.unblock = Some(UnblockId(137));
    other.reason = ReasonCode::Unblock;
    other.words = Some(WORDS);
    let id = other.id;
    drop(journal.decide(&other).unwrap());
    drop(journal);
    writer.stop();
    let text = |text: &str| Some(text.to_owned());
    let none = Filter::default;
    let cases = [
        ("nothing", none(), 4),
        ("user without case", Filter { user: text("PUPIL01"), ..none() }, 3),
        ("unknown user", Filter { user: text("pupil02"), ..none() }, 0),
        ("level", Filter { level: text("staff"), ..none() }, 1),
        ("site and below", Filter { site: text("library.test"), ..none() }, 2),
        ("host itself", Filter { site: text("www.library.test"), ..none() }, 2),
        ("path and below", Filter { site: text("library.test/maths"), ..none() }, 1),
        ("no part of a segment", Filter { site: text("library.test/mat"), ..none() }, 0),
        ("category", Filter { category: text("gambling"), ..none() }, 1),
        ("no part of a category", Filter { category: text("gam"), ..none() }, 0),
        ("verdict", Filter { verdict: Some(Verdict::Block), ..none() }, 1),
        ("reason", Filter { reason: Some(ReasonCode::Unblock), ..none() }, 1),
        ("id", Filter { id: Some(id), ..none() }, 1),
        ("client", Filter { client: Some("2001:db8::9".parse().unwrap()), ..none() }, 1),
        ("unblock", Filter { unblock: Some(UnblockId(137)), ..none() }, 1),
        ("since is inclusive", Filter { since: Some(later), ..none() }, 2),
        ("until is exclusive", Filter { until: Some(later), ..none() }, 2),
        ("text in host and path", Filter { text: text("LIBRARY.test/maths"), ..none() }, 2),
        ("text is no pattern", Filter { text: text("s_2%"), ..none() }, 1),
        ("text as a path spells it", Filter { text: text("a b/Caf\u{e9}"), ..none() }, 1),
        ("hostile text", Filter { text: text("'; DROP TABLE access; --"), ..none() }, 0),
        ("words are apart", Filter { text: text("clairs WORK"), ..none() }, 0),
        ("words", Filter { text: text("clairs WORK"), text_in_words: true, ..none() }, 1),
        ("words, small", Filter { text: text("\u{e9}clairs"), text_in_words: true, ..none() }, 1),
        ("words or path", Filter { text: text("library"), text_in_words: true, ..none() }, 3),
        ("two at once", Filter { level: text("ks3"), verdict: Some(Verdict::Allow), ..none() }, 2),
    ];
    for (what, filter, expected) in cases {
        assert_eq!(count(state.path(), &filter), expected, "{what}");
    }
}

#[test]
fn pages_walk_every_row_once_over_days_both_ways() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    for turn in 0..95 {
        let at = UnixMillis(NOW.0 + turn / 30 * 86_400_000);
        journal.refuse(&blocked(&context, journal.next_id(at), at), refused(403, 0, 1)).unwrap();
    }
    drop(journal);
    writer.stop();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut log = AccessLog::new(state.path());
        let mut walked: Vec<Cursor> = Vec::new();
        let mut after = None;
        loop {
            let page = wait(log.page(&Filter::default(), order, after, 7)).unwrap();
            walked.extend(page.rows.iter().map(|row| row.cursor));
            match page.next {
                Some(next) => after = Some(next.to_string().parse().unwrap()),
                None => break,
            }
        }
        assert_eq!(walked.len(), 95);
        let in_order =
            walked.is_sorted_by(|a, b| if order == Order::OldestFirst { a < b } else { a > b });
        assert!(in_order, "{order:?}");
    }
}

#[test]
fn a_page_is_the_same_before_and_after_more_is_written() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let write = |count: u64| {
        for _ in 0..count {
            journal
                .refuse(&blocked(&context, journal.next_id(NOW), NOW), refused(403, 0, 1))
                .unwrap();
        }
        assert!(wait(wait_until_stored(state.path(), Duration::from_secs(5))).unwrap());
    };
    write(50);
    let mut log = AccessLog::new(state.path());
    let none = Filter::default();
    let first = wait(log.page(&none, Order::NewestFirst, None, 20)).unwrap();
    let second = wait(log.page(&none, Order::NewestFirst, first.next, 20)).unwrap();
    for _ in 0..5 {
        write(100);
        assert_eq!(wait(log.page(&none, Order::NewestFirst, first.next, 20)).unwrap(), second);
    }
}

#[test]
fn following_gives_each_new_row_once() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let write = || {
        let id = journal.next_id(NOW);
        journal.decide(&allowed(&context, id, NOW)).unwrap().finish(End::Complete);
        journal.flush();
        assert!(wait(wait_until_stored(state.path(), Duration::from_secs(5))).unwrap());
        id
    };
    write();
    let mut follow = wait(AccessLog::new(state.path()).follow(Filter::default())).unwrap();
    assert_eq!(wait(follow.poll()).unwrap(), []);
    let new = [write(), write()];
    let seen: Vec<_> = wait(follow.poll()).unwrap().iter().map(|row| row.id).collect();
    assert_eq!(seen, new);
    assert_eq!(wait(follow.poll()).unwrap(), []);
}

#[test]
fn following_from_a_time_begins_with_what_was_recorded_since_then() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let write = |at: UnixMillis| {
        let id = journal.next_id(at);
        journal.decide(&allowed(&context, id, at)).unwrap().finish(End::Complete);
        journal.flush();
        assert!(wait(wait_until_stored(state.path(), Duration::from_secs(5))).unwrap());
        id
    };
    let (since, until) = (UnixMillis(NOW.0 + 1_000), UnixMillis(NOW.0 + 3_000));
    write(NOW);
    let first = write(since);
    let filter = Filter { since: Some(since), until: Some(until), ..Filter::default() };
    let mut follow = wait(AccessLog::new(state.path()).follow(filter)).unwrap();
    let mut seen = || -> Vec<_> { wait(follow.poll()).unwrap().iter().map(|row| row.id).collect() };
    assert_eq!(seen(), [first]);
    let second = write(UnixMillis(NOW.0 + 2_000));
    write(until);
    assert_eq!(seen(), [second], "what comes at the end or later is left out");
}

/// As root no permission stops a write, so a read-only mount stands in for it.
#[test]
fn a_closed_log_is_read_from_a_read_only_medium() {
    let state = tempfile::tempdir().unwrap();
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    journal.refuse(&blocked(&context, journal.next_id(NOW), NOW), refused(403, 0, 1)).unwrap();
    drop(journal);
    writer.stop();
    let medium = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        let command = std::process::Command::new("mount").args(arguments).output();
        command.is_ok_and(|output| output.status.success())
    };
    let (from, to) = (state.path().to_str().unwrap(), medium.path().to_str().unwrap());
    if !mount(&["--bind", from, to]) {
        eprintln!("skipped: nothing can be mounted here");
        return;
    }
    let read_only = mount(&["-o", "remount,ro,bind", to]);
    let rows = read_only.then(|| count(medium.path(), &Filter::default()));
    let written = std::fs::write(medium.path().join("probe"), "");
    let _ = std::process::Command::new("umount").arg("-l").arg(to).status();
    assert!(written.is_err(), "the medium was read-only");
    assert_eq!(rows, Some(1));
}
