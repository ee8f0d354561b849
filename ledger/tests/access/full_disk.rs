//! A disk that fills up and gets room again, as a small tmpfs (mounting one needs root).

use crate::sample::{NOW, allowed, context, rows, settings};
use ledger::ingest::Writer;
use ledger::journal::RecordError;
use ledger::record::End;
use std::path::Path;
use std::process::Command;

struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
            .arg(path)
            .output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_stops_service_and_room_brings_it_back_with_every_record() {
    let folder = tempfile::tempdir().unwrap();
    let Some(_tmpfs) = Tmpfs::mount(folder.path()) else {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    };
    let state = folder.path().join("state");
    let ballast = folder.path().join("ballast");
    let writer = Writer::start(&state, settings()).unwrap();
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        std::fs::write(&ballast, vec![1; 3 << 20]).unwrap_err();
        let mut refusals = 0;
        for _ in 0..20_000 {
            let id = journal.next_id(NOW);
            match journal.decide(&allowed(&context, id, NOW)) {
                Ok(pending) => {
                    acknowledged.push(id);
                    pending.finish(End::Complete);
                }
                Err(error) => {
                    assert!(matches!(error, RecordError::Write { .. }), "{error}");
                    refusals += 1;
                    if refusals > 50 {
                        break;
                    }
                }
            }
        }
        assert!(refusals > 50, "round {round}: the disk never filled");
        std::fs::remove_file(&ballast).unwrap();
        let id = journal.next_id(NOW);
        journal.decide(&allowed(&context, id, NOW)).unwrap().finish(End::Complete);
        acknowledged.push(id);
    }
    drop(journal);
    // The ingest thread backs off while the disk is full; it too comes back by itself.
    let began = std::time::Instant::now();
    while writer.shared().backlog_bytes() > 0 && began.elapsed().as_secs() < 30 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    writer.stop();
    let stored: Vec<_> = rows(&state).iter().map(|row| row.id).collect();
    assert_eq!(stored, acknowledged);
}
