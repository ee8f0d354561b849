//! A running filter's view of the store.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

use super::super::{NewAuthority, Step};
use super::*;
use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

fn take(store: &Store, step: Step<'_>) -> String {
    let prepared = store.prepare(step).unwrap();
    let fingerprint = prepared.entry().unwrap().facts.fingerprint.clone();
    prepared.commit().unwrap();
    fingerprint
}

#[test]
fn what_signs_is_followed_and_a_fault_keeps_what_was() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::of_state(state.path());
    let live = Live::open(state.path(), None, 10).unwrap();
    assert!(live.minter().is_none() && live.follow().is_none(), "none was made");
    let signs = || live.minter().map(|minter| minter.root_fingerprint());

    let new = NewAuthority { school: "Example Academy", years: 10, seal: None };
    let old = take(&store, Step::Init(new));
    assert!(matches!(live.follow(), Some(Ok(()))));
    assert_eq!(signs(), Some(old.clone()));
    assert!(live.follow().is_none(), "looked already");
    let minter = live.minter().unwrap();
    take(&store, Step::Successor(new));
    assert!(matches!(live.follow(), Some(Ok(()))));
    assert!(Arc::ptr_eq(&minter, &live.minter().unwrap()), "its leaves are kept");

    let fresh = take(&store, Step::Activate);
    assert!(matches!(live.follow(), Some(Ok(()))));
    assert_eq!(signs(), Some(fresh.clone()));
    let register = store.folder().join("authorities.json");
    let text = std::fs::read(&register).unwrap();
    std::fs::remove_file(&register).unwrap();
    assert!(matches!(live.follow(), Some(Err(AuthorityError::State { .. }))));
    assert!(matches!(live.follow(), Some(Err(_))), "told until it is put right");
    assert_eq!(signs(), Some(fresh), "what was in force stays");
    std::fs::write(&register, text).unwrap();
    take(&store, Step::Undo);
    assert!(matches!(live.follow(), Some(Ok(()))));
    assert_eq!(signs(), Some(old));

    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    let limit = getrlimit(Resource::Core);
    assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
}

#[test]
fn a_filter_does_not_start_with_an_authority_that_it_cannot_use() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::of_state(state.path());
    let passphrase = Passphrase::new("correct horse battery").unwrap();
    let new = NewAuthority { school: "Example Academy", years: 10, seal: Some(&passphrase) };
    take(&store, Step::Init(new));
    assert!(matches!(Live::open(state.path(), None, 10), Err(AuthorityError::Sealed { .. })));
    let file = state.path().join("passphrase");
    assert!(Live::open(state.path(), Some(&file), 10).is_err(), "the file is not there");
    std::fs::write(&file, "correct horse battery\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let live = Live::open(state.path(), Some(&file), 10).unwrap();
    assert!(live.minter().is_some());
}
