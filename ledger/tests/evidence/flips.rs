//! Bytes changed one by one: each is found and named, or changes nothing that the files say.
//!
//! By default some hundreds are tried, so that the suite stays quick. All of them:
//! `SCHOOLGATE_FLIP_ALL=1 cargo test -p ledger --test evidence flips`.

use crate::log::{copy_folder, day_file, problems, record, record_late_ends, sign, small};
use crate::sample::wait;
use ledger::changes::ChangeLog;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn all() -> bool {
    std::env::var_os("SCHOOLGATE_FLIP_ALL").is_some()
}

/// Everything that a database says of changes and accesses. Not what the migration tool notes of itself,
/// nor who may sign in: that is no record, its changes are.
fn content(file: &Path) -> Option<BTreeMap<String, Vec<String>>> {
    use sqlx::{ConnectOptions, Connection, Row};
    let read = async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
        let mut db = options.connect().await.ok()?;
        let mut content = BTreeMap::new();
        let tables = sqlx::query("SELECT name, sql FROM sqlite_master ORDER BY name");
        let tables = tables.fetch_all(&mut db).await.ok()?;
        for table in &tables {
            let (name, sql): (String, Option<String>) = (table.get(0), table.get(1));
            let is_people = sql.as_ref().is_some_and(|sql| sql.contains("banned_until"));
            if name.starts_with('_') || is_people {
                continue;
            }
            content.insert(format!("sql {name}"), vec![sql.clone().unwrap_or_default()]);
            if !sql.is_some_and(|sql| sql.starts_with("CREATE TABLE")) {
                continue;
            }
            // Names that no record uses (levels that nobody had) say nothing.
            let used = match name.as_str() {
                "name" => {
                    "WHERE id IN (SELECT level FROM who UNION SELECT method FROM what UNION
                     SELECT rule FROM what UNION SELECT category FROM rollup_hour)"
                }
                _ => "",
            };
            let info = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA table_info({name})")));
            let info = info.fetch_all(&mut db).await.ok()?;
            let columns: Vec<String> =
                info.iter().map(|row| format!("quote(\"{}\")", row.get::<String, _>(1))).collect();
            let sql =
                format!("SELECT {} AS r FROM {name} {used} ORDER BY r", columns.join("||','||"));
            let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_all(&mut db).await.ok()?;
            content.insert(
                name,
                rows.iter().map(|row| row.try_get::<String, _>(0).unwrap_or_default()).collect(),
            );
        }
        db.close().await.ok()?;
        Some(content)
    };
    wait(read)
}

/// Flips a bit of each of these bytes of a file in turn.
fn flip(state: &Path, file: &Path, places: &[usize]) {
    assert_eq!(problems(state), [] as [String; 0]);
    let sound = std::fs::read(file).unwrap();
    let said = content(file).unwrap();
    let (mut found, mut harmless) = (0, 0);
    for (turn, place) in places.iter().enumerate() {
        let mut bytes = sound.clone();
        bytes[*place] ^= 1 << (turn % 8);
        std::fs::write(file, &bytes).unwrap();
        match problems(state).is_empty() {
            false => found += 1,
            true => {
                let now = content(file).unwrap_or_default();
                let differing: Vec<_> =
                    said.iter().filter(|(name, rows)| now.get(*name) != Some(rows)).collect();
                let row = |(name, rows): &(&String, &Vec<String>)| {
                    let now = now.get(*name).map_or(&[] as &[String], Vec::as_slice);
                    let there = rows.iter().find(|row| !now.contains(row)).cloned();
                    (there, now.iter().find(|row| !rows.contains(row)).cloned())
                };
                let rows: Vec<_> = differing.iter().map(row).collect();
                assert!(rows.is_empty(), "byte {place} of {}: {rows:?}", file.display());
                harmless += 1;
            }
        }
        for suffix in ["-wal", "-shm"] {
            let mut name = file.to_owned().into_os_string();
            name.push(suffix);
            let _ = std::fs::remove_file(PathBuf::from(name));
        }
    }
    std::fs::write(file, &sound).unwrap();
    eprintln!("{}: {found} found, {harmless} changed nothing", file.display());
    assert!(found > 0);
}

/// The places to try: those that hold something, and here and there one of what is empty.
fn places(file: &Path, every: usize) -> Vec<usize> {
    let bytes = std::fs::read(file).unwrap();
    let is_empty = |place: usize| {
        let around = place.saturating_sub(32)..(place + 32).min(bytes.len());
        bytes[around].iter().all(|byte| *byte == 0)
    };
    (0..bytes.len())
        .filter(|place| if is_empty(*place) { place % 997 == 0 } else { place % every == 0 })
        .collect()
}

#[test]
fn every_byte_of_a_small_change_log() {
    let state = tempfile::tempdir().unwrap();
    small(state.path());
    let file = ChangeLog::path_in(state.path());
    flip(state.path(), &file, &places(&file, if all() { 1 } else { 61 }));
}

#[test]
fn every_byte_of_a_small_day() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), 0, 24);
    record_late_ends(state.path(), 0, 3);
    sign(state.path());
    let file = day_file(state.path(), 0);
    flip(state.path(), &file, &places(&file, if all() { 1 } else { 97 }));
}

#[test]
fn every_byte_of_what_is_signed() {
    let state = tempfile::tempdir().unwrap();
    small(state.path());
    for name in ["checkpoints", "key.pub", "changes.tree", "access.tree"] {
        let file = state.path().join("audit").join(name);
        let sound = std::fs::read(&file).unwrap();
        for place in (0..sound.len()).step_by(if all() { 1 } else { 7 }) {
            let mut bytes = sound.clone();
            bytes[place] ^= 1 << (place % 8);
            std::fs::write(&file, &bytes).unwrap();
            assert!(!problems(state.path()).is_empty(), "byte {place} of {name}");
        }
        std::fs::write(&file, &sound).unwrap();
    }
}

#[test]
fn random_bytes_of_a_large_log() {
    let state = tempfile::tempdir().unwrap();
    record(state.path(), 0, 3000);
    record_late_ends(state.path(), 0, 300);
    sign(state.path());
    let texts: Vec<String> = (0..300).map(|entry| format!("entry {entry}")).collect();
    crate::log::change(state.path(), &texts.iter().map(String::as_str).collect::<Vec<_>>());
    sign(state.path());
    let copy = tempfile::tempdir().unwrap();
    copy_folder(state.path(), copy.path());
    let (mut random, count) = (0x9e37_79b9_7f4a_7c15_u64, if all() { 5000 } else { 60 });
    for file in [day_file(copy.path(), 0), ChangeLog::path_in(copy.path())] {
        let length = std::fs::metadata(&file).unwrap().len();
        let places: Vec<usize> = (0..count)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random % length) as usize
            })
            .collect();
        flip(copy.path(), &file, &places);
    }
}
