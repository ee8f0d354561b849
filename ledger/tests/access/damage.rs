//! Torn tails and flipped bytes.

use crate::sample::{NOW, blocked, context, journal_files, rows};
use ledger::ingest::recover;
use ledger::journal::{Journal, JournalSettings, Shared, refused};
use rules::code::RequestId;
use std::path::{Path, PathBuf};

const RECORDS: u64 = 60;

/// A journal as a killed process leaves it: `RECORDS` refusals, ids rising.
fn killed(state: &Path) -> (PathBuf, Vec<RequestId>) {
    let folder = state.join("journal");
    let shared = Shared::open(&folder, JournalSettings::default(), RequestId(0)).unwrap();
    let journal = Journal::open(&folder, 0, &shared).unwrap();
    let context = context("Europe/London");
    let ids: Vec<_> = (0..RECORDS).map(|_| journal.next_id(NOW)).collect();
    for id in &ids {
        journal.refuse(&blocked(&context, *id, NOW), refused(403, 0, 1)).unwrap();
    }
    drop(journal);
    (journal_files(state).remove(0), ids)
}

fn stored(state: &Path) -> Vec<RequestId> {
    rows(state).iter().map(|row| row.id).collect()
}

#[test]
fn a_torn_tail_is_cut_at_the_last_whole_frame() {
    for cut in [1, 7, 8, 9, 40, 100] {
        let state = tempfile::tempdir().unwrap();
        let (file, ids) = killed(state.path());
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(&file, &bytes[..bytes.len() - cut]).unwrap();
        let recovered = recover(state.path()).unwrap().unwrap();
        assert_eq!(recovered.damage, [], "cut {cut}");
        assert!(recovered.torn_bytes > 0, "cut {cut}");
        assert_eq!(stored(state.path()), ids[..ids.len() - 1], "cut {cut}");
        assert_eq!(journal_files(state.path()), [] as [PathBuf; 0]);
    }
}

#[test]
fn a_flipped_byte_costs_its_frame_alone_and_is_reported_and_kept() {
    let template = tempfile::tempdir().unwrap();
    let (file, ids) = killed(template.path());
    let sound = std::fs::read(&file).unwrap();
    for place in (0..sound.len()).step_by(97) {
        let state = tempfile::tempdir().unwrap();
        std::fs::create_dir(state.path().join("journal")).unwrap();
        let copy = state.path().join("journal").join(file.file_name().unwrap());
        let mut bytes = sound.clone();
        bytes[place] ^= 0x40;
        std::fs::write(&copy, &bytes).unwrap();
        let recovered = recover(state.path()).unwrap().unwrap();
        assert_eq!(recovered.damage.len(), 1, "byte {place}");
        let damage = &recovered.damage[0];
        let hit = damage.offset..damage.offset + damage.bytes;
        assert!(hit.contains(&(place as u64)), "byte {place}: {damage:?}");
        let stored = stored(state.path());
        // The context is one frame more; without it records stand, their names unknown.
        assert!(stored.len() as u64 >= RECORDS - 1, "byte {place}: {}", stored.len());
        assert!(stored.iter().all(|id| ids.contains(id)) && stored.is_sorted(), "byte {place}");
        assert!(copy.with_extension("damaged").exists(), "byte {place}: the file is kept");
    }
}

#[test]
fn a_lost_context_lends_no_wrong_names() {
    let state = tempfile::tempdir().unwrap();
    let (file, _) = killed(state.path());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    recover(state.path()).unwrap().unwrap();
    let rows = rows(state.path());
    assert_eq!(rows.len() as u64, RECORDS);
    assert_eq!((&*rows[0].level, &*rows[0].policy_hash, &*rows[0].host), ("?1", "", "arcade.test"));
    assert_eq!(rows[0].categories, ["?1", "?3"]);
}

#[test]
fn a_file_of_rubbish_is_reported_and_stops_nothing() {
    let state = tempfile::tempdir().unwrap();
    let (_, ids) = killed(state.path());
    let rubbish: Vec<u8> =
        (0..3_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(state.path().join("journal/w09-00000000000001.sgj"), rubbish).unwrap();
    let recovered = recover(state.path()).unwrap().unwrap();
    let lost: u64 =
        recovered.damage.iter().map(|damage| damage.bytes).sum::<u64>() + recovered.torn_bytes;
    assert_eq!(lost, 3_000_000);
    assert_eq!(stored(state.path()), ids);
}

#[test]
fn recovery_twice_stores_once() {
    let state = tempfile::tempdir().unwrap();
    let (file, ids) = killed(state.path());
    let bytes = std::fs::read(&file).unwrap();
    recover(state.path()).unwrap().unwrap();
    // As if the machine had stopped between the commit and the removal of the journal.
    std::fs::write(&file, bytes).unwrap();
    recover(state.path()).unwrap().unwrap();
    assert_eq!(stored(state.path()), ids);
}

#[test]
fn a_damaged_day_file_is_set_aside_and_its_day_goes_on() {
    let state = tempfile::tempdir().unwrap();
    killed(state.path());
    recover(state.path()).unwrap().unwrap();
    let day = state.path().join("access/access-2025-11-26.db");
    let mut bytes = std::fs::read(&day).unwrap();
    let end = bytes.len().min(20_000);
    bytes[..end].fill(0x5a);
    std::fs::write(&day, bytes).unwrap();
    let (_, ids) = killed(state.path());
    recover(state.path()).unwrap().unwrap();
    assert_eq!(stored(state.path()), ids);
    assert!(day.with_extension("damaged-1.db").exists());
}

#[test]
fn a_writer_starts_over_a_damaged_day_file() {
    let state = tempfile::tempdir().unwrap();
    killed(state.path());
    recover(state.path()).unwrap().unwrap();
    let day = state.path().join("access/access-2025-11-26.db");
    let length = std::fs::metadata(&day).unwrap().len();
    std::fs::write(&day, vec![0x5a; length as usize]).unwrap();
    let writer = crate::sample::start(state.path());
    let journal = writer.journal(0).unwrap();
    let context = context("Europe/London");
    let id = journal.next_id(NOW);
    journal.refuse(&blocked(&context, id, NOW), refused(403, 0, 1)).unwrap();
    drop(journal);
    writer.stop();
    assert_eq!(stored(state.path()), [id]);
}
