//! Starting: what must not run twice, and what is said when it cannot start.

use crate::daemon::{Daemon, Plan, free_port, run_in, write_school};
use std::net::SocketAddr;

#[test]
fn a_second_filter_on_the_same_port_or_state_is_refused() {
    let daemon = Daemon::start_without_people();
    let other = tempfile::tempdir().unwrap();
    let free = || SocketAddr::from(([127, 0, 0, 1], free_port()));

    // Two filters behind one port would share its connections out between two policies.
    write_school(other.path(), &Plan::default(), daemon.proxy, free(), &daemon.origin);
    let said = run_in(other.path(), &["serve"], "");
    assert_ne!(said.code, 0, "{said:?}");
    let port = daemon.proxy.to_string();
    assert!(said.err.contains("error:") && said.err.contains(&port), "{said:?}");

    // Two writers of one log would lose records.
    write_school(other.path(), &Plan::default(), free(), free(), &daemon.origin);
    let state = other.path().join("state");
    if state.exists() {
        std::fs::remove_dir_all(&state).unwrap();
    }
    std::os::unix::fs::symlink(daemon.folder().join("state"), &state).unwrap();
    let said = run_in(other.path(), &["serve"], "");
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.err.contains("error:"), "{said:?}");

    // The first one goes on.
    let url = daemon.url("library.test", "/size/1");
    assert_eq!(daemon.get_from(crate::daemon::KS2, &url).status, 200);
}

#[test]
fn a_policy_that_cannot_be_read_stops_the_start_with_exit_code_3() {
    let daemon = Daemon::start_without_people();
    let folder = tempfile::tempdir().unwrap();
    let free = || SocketAddr::from(([127, 0, 0, 1], free_port()));
    let edit = ("allow at lunch".to_owned(), "allow at luch".to_owned());
    let plan = Plan { edits: vec![edit], ..Plan::default() };
    write_school(folder.path(), &plan, free(), free(), &daemon.origin);
    let said = run_in(folder.path(), &["serve"], "");
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("policy.toml:") && said.err.contains("luch"), "{said:?}");
}
