//! A log that cannot be written stops browsing, and browsing comes back with it.

use crate::client::Client;
use crate::daemon::{Daemon, KS2, Plan, STAFF, wait_for};
use std::time::Duration;

#[test]
fn a_full_log_stops_browsing_and_space_brings_it_back() {
    let plan = Plan { ignore_file_size_signal: true, ..Plan::default() };
    let daemon = Daemon::start_with(&plan);
    let url = daemon.url("library.test", "/size/1");
    assert_eq!(daemon.get_from(STAFF, &url).status, 200);
    daemon.wait_records(1);

    daemon.limit_file_size(Some(16));
    let before = daemon.origin.asked().len();
    for _ in 0..3 {
        let answer = daemon.get_from(STAFF, &url);
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(!answer.is_from_origin());
        let answer = daemon.get_from(KS2, &daemon.url("casino.test", "/"));
        assert_eq!(answer.status, 503, "a refusal needs a record too: {answer:?}");
        let answer = Client::connect_from(STAFF, daemon.proxy)
            .tunnel(&daemon.authority("library.test"), &[]);
        assert_eq!(answer.status, 503, "{answer:?}");
    }
    assert_eq!(daemon.origin.asked().len(), before, "nothing went upstream unrecorded");
    wait_for("/readyz to say so", Duration::from_secs(5), || {
        daemon.ops_get("/readyz").is_some_and(|answer| answer.status == 503)
    });
    assert_eq!(daemon.ops_get("/healthz").unwrap().status, 200, "it lives, it is not ready");

    daemon.limit_file_size(None);
    wait_for("browsing to come back", Duration::from_secs(10), || {
        daemon.get_from(STAFF, &url).status == 200
    });
    wait_for("/readyz to say so", Duration::from_secs(5), || {
        daemon.ops_get("/readyz").is_some_and(|answer| answer.status == 200)
    });
    let served = daemon.origin.asked().len();
    let allowed = |record: &&serde_json::Value| record["verdict"] == "allow";
    wait_for("the records", Duration::from_secs(10), || {
        daemon.records().iter().filter(allowed).count() == served
    });
}
