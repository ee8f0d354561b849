//! Searches that are long, or stand in several parameters: nothing of them goes unjudged.

use crate::client::{Client, request};
use crate::daemon::{Daemon, KS3, Plan, STAFF, alone};
use crate::typed_words::{ENGINE, SUICIDE, plan, school};
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;

#[test]
fn nothing_that_an_engine_may_read_of_a_long_search_goes_unjudged() {
    let daemon = school(false);
    let ask = |from: IpAddr, query: &str| {
        let url = daemon.url(ENGINE, &format!("/search?{}", query.replace(' ', "+")));
        Client::connect_from(from, daemon.proxy).ask("GET", &url, &[])
    };
    let harmless = "rivers and hills of wales ".repeat(400);
    assert!(harmless.len() > 10_000);
    let half = &harmless[..6500];
    let against = "childline helpline lesson essay homework gcse";
    let refused = [
        format!("q={half}{SUICIDE} {half}"),
        format!("q={half}&q={SUICIDE}&q={half}"),
        format!("q={harmless}&q={SUICIDE}"),
        format!("q={SUICIDE}&as_q={harmless}"),
        // What another parameter says speaks for nothing.
        format!("q={against}&q={SUICIDE}"),
        format!("q={SUICIDE}&as_oq={against}"),
    ];
    for query in &refused {
        let answer = ask(KS3, query);
        assert_eq!(
            (answer.status, &answer.json()["reason"]),
            (403, &"search_words".into()),
            "{query}"
        );
    }
    assert_eq!(ask(KS3, &format!("q={harmless}")).status, 404, "a long one that is harmless");
    let too_long = format!("q={}", harmless.repeat(4));
    let unread = ask(KS3, &too_long);
    assert_eq!((unread.status, &unread.json()["reason"]), (403, &"unscanned".into()));
    let too_many: String = (0..100).map(|number| format!("&q=x{number}")).collect();
    assert_eq!(ask(KS3, &too_many).json()["reason"], "unscanned");
    assert_eq!(ask(STAFF, &too_long).status, 404, "where nothing is refused it passes");
    assert_eq!(daemon.origin.asked().len(), 2);

    let records = daemon.records_for_lead(11);
    let is = |record: &&Value| record["reason"] == "unscanned";
    let unread: Vec<&Value> = records.iter().filter(is).collect();
    let told = |record: &&Value| {
        [&record["verdict"], &record["method"], &record["rule"]].map(Clone::clone)
    };
    let told: Vec<[Value; 3]> = unread.iter().map(told).collect();
    let blocked = ["block", "GET", "too_long"].map(Value::from);
    let passed = ["allow", "PAGE", "too_long"].map(Value::from);
    assert_eq!(told, [blocked.clone(), blocked, passed], "{unread:?}");
    assert!(unread[0]["words"].as_str().unwrap().starts_with("rivers and hills"));
}

/// The URL of a search that takes long to judge: as long as any that is judged whole, and many stretches of it twice. What
/// is of a theme stands where it is told.
fn longest(daemon: &Daemon, is_at_end: bool) -> String {
    let harmless = "rivers+and+hills+of+wales+".repeat(300);
    let query = match is_at_end {
        true => format!("q={harmless}&q={harmless}+-lake+{}", SUICIDE.replace(' ', "+")),
        false => format!("q={}+{harmless}&q={harmless}+-lake", SUICIDE.replace(' ', "+")),
    };
    daemon.url(ENGINE, &format!("/search?{query}"))
}

#[test]
fn others_are_answered_while_a_long_search_is_judged() {
    let _alone = alone();
    let daemon = Daemon::start_with(&Plan { workers: Some(1), ..plan(false) });
    let small = daemon.url("library.test", "/size/4");
    let mut other = Client::connect_from(STAFF, daemon.proxy);
    assert_eq!(other.ask("GET", &small, &[]).status, 200);
    let search = longest(&daemon, true);
    let proxy = daemon.proxy;
    let searching =
        std::thread::spawn(move || Client::connect_from(KS3, proxy).ask("GET", &search, &[]));
    let mut answered = 0;
    while !searching.is_finished() {
        assert_eq!(other.ask("GET", &small, &[]).status, 200);
        answered += 1;
    }
    let answer = searching.join().unwrap();
    assert_eq!((answer.status, &answer.json()["reason"]), (403, &"search_words".into()));
    // Before it, behind it, and no other, were it judged in one go.
    assert!(answered > 4, "{answered} answers meanwhile");
}

#[test]
fn a_long_search_whose_client_leaves_is_recorded_with_what_was_judged_of_it() {
    let _alone = alone();
    let daemon = Daemon::start_with(&Plan { workers: Some(1), ..plan(false) });
    let mut client = Client::connect_from(KS3, daemon.proxy);
    client.send(request("GET", &longest(&daemon, false), &[]).as_bytes());
    std::thread::sleep(Duration::from_millis(20));
    client.stream.shutdown(std::net::Shutdown::Both).unwrap();
    drop(client);
    let records = daemon.records_for_lead(1);
    let record = &records[0];
    assert_eq!((&record["verdict"], &record["reason"]), (&"block".into(), &"search_words".into()));
    assert!(record["words"].as_str().unwrap().starts_with(SUICIDE), "{record}");
    assert!(record["signs"].to_string().contains("suicide"), "{record}");
}
