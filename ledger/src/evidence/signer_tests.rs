//! Tests of checkpoints as they are made.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use crate::evidence::note::notes_in;
use crate::evidence::tree::{has_grown, leaf_hash};

const AT: UnixMillis = UnixMillis(1_795_000_000_000);

fn noted(text: &str) -> Event {
    Event::ActionRefused { action: "try".to_owned(), why: text.to_owned() }
}

async fn open(state: &Path) -> (ChangeLog, Signer) {
    let log = ChangeLog::open(state).await.unwrap();
    let signer = Signer::open(state, &log, None, "Example Academy", AT).await.unwrap();
    (log, signer)
}

#[tokio::test]
async fn a_checkpoint_covers_every_entry_and_goes_on_from_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let (log, signer) = open(folder.path()).await;
    let mut checkpoints: Vec<Checkpoint> = Vec::new();
    for turn in 0..5 {
        for more in 0..turn {
            log.append(AT, "x", noted(&more.to_string())).await.unwrap();
        }
        let signed = signer.sign(&log, AT, "schoolgate", noted("covered")).await.unwrap();
        assert_eq!(signed.checkpoint.size, log.size().await.unwrap());
        let read = Checkpoint::verify(&signed.note, signer.key().public()).unwrap();
        assert_eq!(read, signed.checkpoint);
        checkpoints.push(signed.checkpoint);
    }
    let entries = log.entries_after(0).await.unwrap();
    assert!(
        matches!(&entries[0].event, Event::AuditKeyMade { key } if key == signer.key().public())
    );
    let leaves =
        entries.iter().map(|entry| leaf_hash(crate::changes::canonical_entry(entry).as_bytes()));
    let tree = super::super::tree::MemoryTree::of(leaves).unwrap();
    for pair in checkpoints.windows(2) {
        assert_eq!(tree.root_at(pair[1].size).unwrap(), pair[1].root);
        let proof = tree.prove_growth(pair[0].size, pair[1].size).unwrap();
        let (old, new) = ((pair[0].size, &pair[0].root), (pair[1].size, &pair[1].root));
        assert!(has_grown(&proof, old, new));
    }
    let text = std::fs::read_to_string(super::checkpoints(folder.path())).unwrap();
    assert_eq!(notes_in(&text).len(), 5);
}

#[tokio::test]
async fn the_tree_is_made_again_where_it_is_lost_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (log, signer) = open(folder.path()).await;
    for turn in 0..6 {
        let signed = signer.sign(&log, AT, "x", noted("y")).await.unwrap();
        let path = folder.path().join("audit").join(TREE);
        match turn {
            1 => std::fs::remove_file(&path).unwrap(),
            3 => {
                let mut bytes = std::fs::read(&path).unwrap();
                bytes[40] ^= 1;
                std::fs::write(&path, bytes).unwrap();
            }
            4 => std::fs::write(&path, "short").unwrap(),
            _ => {}
        }
        assert_eq!(signed.checkpoint.size, turn + 2);
    }
}

/// Puts everything into the one file, so that it can be copied.
async fn settle(state: &Path) {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(ChangeLog::path_in(state));
    let mut raw = options.connect().await.unwrap();
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
}

#[tokio::test]
async fn a_log_that_was_set_back_or_altered_is_not_signed() {
    let folder = tempfile::tempdir().unwrap();
    let (log, signer) = open(folder.path()).await;
    log.append(AT, "x", noted("true")).await.unwrap();
    signer.sign(&log, AT, "x", noted("one")).await.unwrap();
    drop(log);
    settle(folder.path()).await;
    let old = tempfile::tempdir().unwrap();
    let database = ChangeLog::path_in(folder.path());
    std::fs::copy(&database, old.path().join("copy")).unwrap();
    let log = ChangeLog::open(folder.path()).await.unwrap();
    log.append(AT, "x", noted("two")).await.unwrap();
    signer.sign(&log, AT, "x", noted("three")).await.unwrap();
    drop(log);
    settle(folder.path()).await;
    std::fs::copy(old.path().join("copy"), &database).unwrap();
    let log = ChangeLog::open(folder.path()).await.unwrap();
    let size = log.size().await.unwrap();
    let error = signer.sign(&log, AT, "x", noted("four")).await.unwrap_err();
    assert!(matches!(error, SignError::NotTheSame { size: 5, .. }), "{error}");
    assert_eq!(log.size().await.unwrap(), size, "nothing was added to it");
    for text in ["grows", "over", "what", "is gone"] {
        log.append(AT, "x", noted(text)).await.unwrap();
    }
    let error = signer.sign(&log, AT, "x", noted("five")).await.unwrap_err();
    assert!(error.to_string().contains("altered"), "{error}");
}

#[tokio::test]
async fn two_that_sign_at_once_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let (log, signer) = open(folder.path()).await;
    drop(log);
    let state = folder.path().to_owned();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    let (log, signer) = open(&state).await;
                    for _ in 0..5 {
                        signer.sign(&log, AT, "x", noted("y")).await.unwrap();
                    }
                });
            });
        }
    });
    let text = std::fs::read_to_string(super::checkpoints(folder.path())).unwrap();
    let notes = notes_in(&text);
    assert_eq!(notes.len(), 15);
    let sizes: Vec<u64> = notes
        .iter()
        .map(|(_, note)| Checkpoint::verify(note, signer.key().public()).unwrap().size)
        .collect();
    assert!(sizes.is_sorted() && sizes[14] == 16, "{sizes:?}");
}
