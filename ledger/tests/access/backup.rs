//! Backups taken while records are written, and what is restored from them.

use crate::backlog::checked_ids;
use crate::sample::{NOW, blocked, context, rows, settings, wait};
use ledger::backup::{Backup, BackupError, FolderSink, MANIFEST, restore, verify};
use ledger::changes::ChangeLog;
use ledger::ingest::{Settings, Writer, recover};
use ledger::journal::{JournalSettings, refused};
use rules::change::Event;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn back_up(state: &Path, to: &Path) -> String {
    let scratch = tempfile::tempdir_in(to.parent().unwrap()).unwrap();
    let mut sink = FolderSink(to.to_owned());
    let mut backup = Backup::new(state, scratch.path(), &mut sink);
    wait(backup.take_state()).unwrap();
    let (manifest, hash) = backup.finish(NOW.0, "0.1.0", "Test Academy").unwrap();
    assert!(manifest.files.iter().all(|file| file.name.starts_with("state/")));
    hash
}

#[test]
fn a_backup_taken_while_serving_holds_everything_recorded_before_it_began() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    wait(async {
        let log = ChangeLog::open(&state).await.unwrap();
        log.append(NOW, "j.cho", Event::UserRemoved { user: "first".into() }).await.unwrap();
    });
    let journal = JournalSettings { segment_bytes: 60_000, ..settings().journal };
    let writer = Writer::start(&state, Settings { journal, ..settings() }).unwrap();
    let (over, recorded) = (AtomicBool::new(false), Mutex::new(HashSet::new()));
    let mut backups = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let journal = writer.journal(0).unwrap();
            let context = context("Europe/London");
            let mut turn = 0;
            while !over.load(Ordering::Relaxed) {
                // Two days, so that one is written while the other is copied.
                let at = rules::time::UnixMillis(NOW.0 + turn / 50 % 2 * 86_400_000);
                let id = journal.next_id(at);
                journal.refuse(&blocked(&context, id, at), refused(403, 9, 1)).unwrap();
                recorded.lock().unwrap().insert(id.0);
                turn += 1;
                if turn % 20 == 0 {
                    std::thread::sleep(Duration::from_micros(500));
                }
            }
        });
        for number in 0..6 {
            std::thread::sleep(Duration::from_millis(120));
            let before: HashSet<u64> = recorded.lock().unwrap().clone();
            let to = folder.path().join(format!("backup-{number}"));
            let hash = back_up(&state, &to);
            backups.push((to, hash, before));
        }
        over.store(true, Ordering::Relaxed);
    });
    writer.stop();
    for (backup, hash, before) in backups {
        assert!(before.len() > 100, "{} records: hardly a load", before.len());
        let (manifest, found) = verify(&backup).unwrap();
        assert_eq!(found, hash);
        let restored = folder.path().join("restored");
        restore(&backup, &manifest, &restored).unwrap();
        recover(&restored).unwrap().unwrap();
        let ids = checked_ids(&restored);
        let missing = before.difference(&ids).count();
        assert_eq!(missing, 0, "of {} recorded before {}", before.len(), backup.display());
        let log = wait(ChangeLog::open(&restored)).unwrap();
        assert_eq!(wait(log.size()).unwrap(), 1);
        // It can be written to as any other.
        let writer = Writer::start(&restored, settings()).unwrap();
        let journal = writer.journal(0).unwrap();
        let id = journal.next_id(NOW);
        assert!(!ids.contains(&id.0), "ids go on above those restored");
        let context = context("Europe/London");
        journal.refuse(&blocked(&context, id, NOW), refused(403, 9, 1)).unwrap();
        drop(journal);
        writer.stop();
        assert_eq!(rows(&restored).len(), ids.len() + 1);
        std::fs::remove_dir_all(&restored).unwrap();
    }
}

#[test]
fn a_backup_that_was_touched_is_refused_and_nothing_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (state, backup) = (folder.path().join("state"), folder.path().join("backup"));
    wait(ChangeLog::open(&state)).map(drop).unwrap();
    std::fs::create_dir_all(state.join("ca")).unwrap();
    std::fs::create_dir_all(state.join("audit")).unwrap();
    std::fs::write(state.join("ca/root.key"), "secret").unwrap();
    std::fs::write(state.join("audit/key"), "secret").unwrap();
    std::fs::write(state.join("audit/checkpoint"), "note").unwrap();
    back_up(&state, &backup);
    let (manifest, _) = verify(&backup).unwrap();
    let names: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["state/changes.db", "state/audit/checkpoint"], "no key is in it");

    let not_empty = restore(&backup, &manifest, &state).unwrap_err();
    assert!(matches!(not_empty, BackupError::NotEmpty { .. }), "{not_empty}");

    let database = backup.join("state/changes.db");
    let sound = std::fs::read(&database).unwrap();
    let mut bytes = sound.clone();
    bytes[5000] ^= 1;
    std::fs::write(&database, bytes).unwrap();
    assert!(matches!(verify(&backup).unwrap_err(), BackupError::Damaged { .. }));
    std::fs::write(&database, sound).unwrap();
    verify(&backup).unwrap();
    std::fs::write(backup.join("state/extra"), "x").unwrap();
    let extra = verify(&backup).unwrap_err().to_string();
    assert!(extra.contains("the manifest does not name it"), "{extra}");
    std::fs::remove_file(backup.join("state/extra")).unwrap();
    for name in ["../outside", "/etc/passwd", "state/../../x", ""] {
        let text = std::fs::read_to_string(backup.join(MANIFEST)).unwrap();
        let altered = text.replace("state/audit/checkpoint", name);
        std::fs::write(backup.join(MANIFEST), altered).unwrap();
        assert!(matches!(verify(&backup).unwrap_err(), BackupError::Damaged { .. }), "{name}");
        std::fs::write(backup.join(MANIFEST), text).unwrap();
    }
    // As long as one likes, and no memory for it.
    let endless = std::fs::File::create(backup.join(MANIFEST)).unwrap();
    endless.set_len(1 << 40).unwrap();
    let long = verify(&backup).unwrap_err().to_string();
    assert!(long.contains("it is longer than"), "{long}");
}

#[test]
fn a_backup_is_not_taken_where_nobody_can_tell_whether_records_are_being_erased() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    wait(ChangeLog::open(&state)).map(drop).unwrap();
    let lock = state.join("days.lock");
    let take = |name: &str| {
        let scratch = tempfile::tempdir_in(folder.path()).unwrap();
        let mut sink = FolderSink(folder.path().join(name));
        wait(Backup::new(&state, scratch.path(), &mut sink).take_state())
    };
    take("without").unwrap();
    assert!(!lock.exists(), "where there is no lock, a backup makes none");
    // Opened, it leads nowhere: neither missing nor to be read.
    std::os::unix::fs::symlink("days.lock", &lock).unwrap();
    let refused = take("refused").unwrap_err();
    assert!(matches!(refused, BackupError::Io { .. }), "{refused}");
    assert!(refused.to_string().contains("days.lock"), "{refused}");
    std::fs::remove_file(&lock).unwrap();
    crate::sample::start(&state).stop();
    assert!(lock.is_file(), "a filter makes it as it starts");
    take("with").unwrap();
}
