//! How far the filter saw, and who refuses its certificate.

use crate::sample::{NOW, allowed, context, rows, start, tunnel, wait};
use jiff::civil::{Date, date};
use ledger::query::{AccessLog, Filter, Order};
use ledger::record::{Decided, Depth, End};
use ledger::refusals::{Refusals, RefusedHost};
use ledger::seen::Seen;
use ledger::summary::Summary;
use rules::target::Scheme;
use rules::time::UnixMillis;
use std::collections::BTreeMap;

/// The day of [`NOW`], and the next.
const DAY: Date = date(2025, 11, 26);
const AFTER: Date = date(2025, 11, 27);

#[test]
fn depth_in_the_end_and_refused_certificates_are_kept_and_summed_in_a_day_file_of_before_too() {
    let state = tempfile::tempdir().unwrap();
    let context = context("Europe/London");
    std::fs::create_dir(state.path().join("access")).unwrap();
    let file = state.path().join("access/access-2025-11-26.db");
    let connect = async |create| {
        let options = sqlx::sqlite::SqliteConnectOptions::new();
        let options = options.filename(&file).create_if_missing(create);
        sqlx::ConnectOptions::connect(&options).await.unwrap()
    };
    wait(async {
        let mut old = connect(true).await;
        let schema = concat!(include_str!("../../src/access.sql"), "PRAGMA user_version = 1;");
        sqlx::raw_sql(schema).execute(&mut old).await.unwrap();
        sqlx::Connection::close(old).await.unwrap();
    });
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    let ends = [(Some(Depth::Page), End::Complete), (None, End::Rejected), (None, End::Rejected)];
    for (depth, end) in ends {
        let open = journal.decide(&tunnel(&context, journal.next_id(NOW), NOW)).unwrap();
        depth.into_iter().for_each(|depth| open.set_depth(depth));
        open.finish(end);
    }
    drop(journal);
    writer.stop();
    let kept: Vec<_> =
        rows(state.path()).iter().map(|row| (row.depth, row.ended.unwrap().end)).collect();
    assert_eq!(
        kept,
        [(Depth::Page, End::Complete), (Depth::Name, End::Rejected), (Depth::Name, End::Rejected)]
    );
    let looked_into = Filter { depth: Some(Depth::Page), ..Filter::default() };
    let page = wait(AccessLog::new(state.path()).page(&looked_into, Order::OldestFirst, None, 9));
    assert_eq!(page.unwrap().rows.len(), 1);
    let seen = wait(Seen::of_days(state.path(), DAY, AFTER)).unwrap();
    let expected = Seen { looked_into: 1, refused: 2, ..Seen::default() };
    assert_eq!(seen, BTreeMap::from([("ks3".to_owned(), expected)]));
}

#[test]
fn a_day_of_before_there_was_looking_into_connections_is_read_as_it_was_decided() {
    let state = tempfile::tempdir().unwrap();
    let context = context("Europe/London");
    let writer = start(state.path());
    let journal = writer.journal(0).unwrap();
    journal.decide(&allowed(&context, journal.next_id(NOW), NOW)).unwrap().finish(End::Complete);
    journal.decide(&tunnel(&context, journal.next_id(NOW), NOW)).unwrap().finish(End::Complete);
    drop(journal);
    writer.stop();
    let file = state.path().join("access/access-2025-11-26.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
    wait(async {
        let mut old = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let back = "DROP TABLE rollup_ended; DROP TABLE rollup_rejected; DROP TABLE rollup_opened;
                    PRAGMA user_version = 1;";
        sqlx::raw_sql(back).execute(&mut old).await.unwrap();
        sqlx::Connection::close(old).await.unwrap();
    });
    let summary = wait(Summary::read(state.path(), DAY, AFTER)).unwrap();
    let expected = Seen { plain: 1, by_name: 1, ..Seen::default() };
    assert_eq!(summary.seen, BTreeMap::from([("ks3".to_owned(), expected)]));
    assert_eq!(summary.requests.allowed, 2);
    let refusals = wait(Refusals::read(state.path(), DAY, AFTER)).unwrap();
    assert_eq!(refusals, Refusals::default());
}

#[test]
fn refusals_are_kept_by_host_and_client_beside_what_was_opened_there() {
    let state = tempfile::tempdir().unwrap();
    let context = context("Europe/London");
    // Over two starts: what the file holds already is known again.
    for round in 0..2 {
        let writer = start(state.path());
        let journal = writer.journal(0).unwrap();
        let at = |minute: i64| UnixMillis(NOW.0 + (round * 10 + minute) * 60_000);
        let connect = |minute, host: &'static str, client: u8, depth, end| {
            let client = [10, 1, 2, client].into();
            let decided = tunnel(&context, journal.next_id(at(minute)), at(minute));
            let open = journal.decide(&Decided { host, client, ..decided }).unwrap();
            if let Some(depth) = depth {
                open.set_depth(depth);
            }
            open.finish(end);
        };
        connect(0, "pinned.test", 3, None, End::Rejected);
        connect(1, "pinned.test", 4, None, End::Rejected);
        connect(2, "library.test", 3, None, End::Rejected);
        connect(3, "library.test", 4, Some(Depth::Page), End::Complete);
        connect(5, "app.test", 4, Some(Depth::Page), End::Complete);
        let decided = allowed(&context, journal.next_id(at(4)), at(4));
        let inside =
            Decided { scheme: Scheme::Https, depth: Depth::Page, host: "library.test", ..decided };
        journal.decide(&inside).unwrap().finish(End::Complete);
        drop(journal);
        writer.stop();
    }
    let refusals = wait(Refusals::read(state.path(), DAY, AFTER)).unwrap();
    let minute = |minute: i64| UnixMillis(NOW.0 + minute * 60_000);
    let clients = |last: &[u8]| last.iter().map(|last| format!("10.1.2.{last}")).collect();
    let expected = [
        RefusedHost {
            host: "pinned.test".to_owned(),
            times: 4,
            clients: clients(&[3, 4]),
            first: minute(0),
            last: minute(11),
            opened: 0,
            requests: 0,
        },
        RefusedHost {
            host: "library.test".to_owned(),
            times: 2,
            clients: clients(&[3]),
            first: minute(2),
            last: minute(12),
            opened: 2,
            requests: 2,
        },
    ];
    let unused = BTreeMap::from([("app.test".to_owned(), 2)]);
    assert_eq!(refusals, Refusals { hosts: expected.to_vec(), others: 0, unused });
}

#[test]
fn a_device_that_refuses_ever_new_hosts_does_not_make_the_file_grow_without_bound() {
    const BOUND: u64 = 10_000;
    let state = tempfile::tempdir().unwrap();
    let context = context("Europe/London");
    for (round, hosts) in [(0, BOUND + 500), (1, 300)] {
        let writer = start(state.path());
        let journal = writer.journal(0).unwrap();
        for number in 0..hosts {
            let host = format!("h{round}-{number}.test");
            let decided = tunnel(&context, journal.next_id(NOW), NOW);
            journal.decide(&Decided { host: &host, ..decided }).unwrap().finish(End::Rejected);
        }
        // One that has its row goes on being counted there.
        let decided = tunnel(&context, journal.next_id(NOW), NOW);
        let known = Decided { host: "h0-7.test", ..decided };
        journal.decide(&known).unwrap().finish(End::Rejected);
        drop(journal);
        writer.stop();
    }
    let refusals = wait(Refusals::read(state.path(), DAY, AFTER)).unwrap();
    assert_eq!(refusals.hosts.len() as u64, BOUND);
    assert_eq!(refusals.others, 800);
    assert_eq!(refusals.hosts[0].host, "h0-7.test");
    assert_eq!(refusals.hosts[0].times, 3);
    let seen = wait(Seen::of_days(state.path(), DAY, AFTER)).unwrap();
    assert_eq!(seen["ks3"].refused, BOUND + 802, "none is lost from the sum");
}
