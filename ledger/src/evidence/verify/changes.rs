//! The change log: every entry, its place, and every checkpoint.

use super::{CHANGES, Report, span, spans, trees::Tree};
use crate::changes::{ChangeLog, canonical, leaf_hash, schema_of};
use crate::evidence::note::Checkpoint;
use crate::evidence::row::Hash;
use crate::evidence::tree::{MemoryTree, Tree as _};
use rules::change::{AccessHead, ChangeEntry, Event};
use rules::time::UnixMillis;
use serde::Deserialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// What the change log says.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The entries that are understood.
    pub(super) entries: Vec<ChangeEntry>,
    /// The heads of the access log's tree, with the entries that carry them.
    pub(super) heads: Vec<(u64, AccessHead)>,
}

#[derive(Deserialize)]
struct Stored {
    sequence: u64,
    at: UnixMillis,
    actor: String,
    event: serde_json::Value,
}

struct Reading<'a> {
    report: &'a mut Report,
    /// Hash of each entry's bytes as they stand.
    leaves: BTreeMap<u64, Hash>,
    /// Entries about which something was said.
    named: BTreeSet<u64>,
    last_at: UnixMillis,
    found: Changes,
}

/// Reads and checks the log.
pub(super) async fn read(
    state: &Path,
    signed: &Tree,
    own: &[Checkpoint],
    outside: &[(String, Checkpoint)],
    report: &mut Report,
) -> Changes {
    let expected = own.iter().map(|checkpoint| checkpoint.size).max().unwrap_or(0);
    let mut reading = Reading {
        report,
        leaves: BTreeMap::new(),
        named: BTreeSet::new(),
        last_at: UnixMillis(i64::MIN),
        found: Changes::default(),
    };
    match open(&ChangeLog::path_in(state)).await {
        Err(error) => {
            reading.report.problem(CHANGES, "the file", format!("it cannot be read: {error}"))
        }
        Ok(mut connection) => {
            reading.structure(&mut connection).await;
            reading.entries(&mut connection, expected.max(signed.size())).await;
            let _ = connection.close().await;
        }
    }
    reading.compare(signed, own, outside);
    reading.found
}

async fn open(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
        .connect()
        .await
}

impl Reading<'_> {
    fn name(&mut self, sequence: u64, what: impl Into<String>) {
        self.named.insert(sequence);
        self.report.problem(CHANGES, format!("entry {sequence}"), what);
    }

    /// The database itself: its pages, indexes, and the table's own rules.
    async fn structure(&mut self, connection: &mut SqliteConnection) {
        super::day::structure(connection, CHANGES, "the file", self.report).await;
        let version = sqlx::query("PRAGMA user_version").fetch_one(&mut *connection).await;
        let version = version.and_then(|row| row.try_get(0)).unwrap_or(0);
        match super::day::schema_differences(connection, &schema_of(version), &[]).await {
            Ok(differences) => {
                for what in differences {
                    self.report.problem(CHANGES, "the file", what);
                }
            }
            Err(error) => {
                self.report.problem(
                    CHANGES,
                    "the file",
                    format!("its tables cannot be read: {error}"),
                );
            }
        }
    }

    async fn entries(&mut self, connection: &mut SqliteConnection, expected: u64) {
        const ALL: &str = "SELECT sequence, body, leaf FROM change ORDER BY sequence";
        const ONE: &str = "SELECT sequence, body, leaf FROM change WHERE sequence = ?";
        match sqlx::query(ALL).fetch_all(&mut *connection).await {
            Ok(rows) => rows.iter().for_each(|row| self.entry(row)),
            // Around a damaged page each entry is asked for by itself.
            Err(_) => {
                let mut unread = Vec::new();
                let mut missing_in_a_row = 0;
                for sequence in 0.. {
                    let row =
                        sqlx::query(ONE).bind(sequence as i64).fetch_optional(&mut *connection);
                    match row.await {
                        Ok(Some(row)) => {
                            self.entry(&row);
                            missing_in_a_row = 0;
                        }
                        Ok(None) => missing_in_a_row += 1,
                        Err(_) => {
                            unread.push(sequence);
                            missing_in_a_row += 1;
                        }
                    }
                    if sequence >= expected && missing_in_a_row > 100 {
                        break;
                    }
                }
                unread.retain(|sequence| *sequence < expected.max(self.size()));
                self.named.extend(&unread);
                for run in spans(unread) {
                    let place = entries(run);
                    self.report.problem(
                        CHANGES,
                        place,
                        "the file is damaged here and they cannot be read",
                    );
                }
            }
        }
        self.report.entries = self.leaves.len() as u64;
    }

    fn size(&self) -> u64 {
        self.leaves.keys().next_back().map_or(0, |last| last + 1)
    }

    fn entry(&mut self, row: &SqliteRow) {
        let sequence = row.try_get::<i64, _>(0).unwrap_or(-1);
        let Ok(sequence) = u64::try_from(sequence) else {
            self.report.problem(CHANGES, "an entry", "it has no place in the log");
            return;
        };
        let (Ok(body), Ok(leaf)) = (row.try_get::<&str, _>(1), row.try_get::<&[u8], _>(2)) else {
            return self.name(sequence, "it cannot be read");
        };
        let hash = leaf_hash(body.as_bytes());
        self.leaves.insert(sequence, hash);
        if leaf != hash {
            self.name(sequence, "it was altered: its bytes do not have the hash beside them");
        }
        let Ok(stored) = serde_json::from_str::<Stored>(body) else {
            return self.name(sequence, "it is no entry");
        };
        let is_canonical = serde_json::from_str(body).is_ok_and(|value| canonical(&value) == body);
        if !is_canonical {
            self.name(sequence, "its bytes are not as this program writes them");
        }
        if stored.sequence != sequence {
            self.name(sequence, format!("it says that it is entry {}", stored.sequence));
        }
        if stored.at < self.last_at {
            self.name(sequence, "it is older than the entry before it");
        }
        self.last_at = self.last_at.max(stored.at);
        // An event of a later version is proved like any other, though not understood.
        let Ok(event) = serde_json::from_value::<Event>(stored.event) else { return };
        match &event {
            Event::Attested { access, .. } | Event::AccessCovered { access } => {
                self.found.heads.push((sequence, access.clone()));
            }
            _ => {}
        }
        let Stored { at, actor, .. } = stored;
        self.found.entries.push(ChangeEntry { sequence, at, actor, event });
    }

    fn compare(&mut self, signed: &Tree, own: &[Checkpoint], outside: &[(String, Checkpoint)]) {
        self.gaps();
        // The tree's file is believed as far as a checkpoint says that it is right.
        let believed = own
            .iter()
            .filter(|checkpoint| signed.root_at(checkpoint.size) == Some(checkpoint.root))
            .map(|checkpoint| checkpoint.size)
            .max()
            .unwrap_or(0);
        for (sequence, leaf) in self.leaves.clone() {
            if sequence < believed && signed.leaf(sequence).is_some_and(|kept| kept != leaf) {
                self.name(
                    sequence,
                    "it is not the entry that was signed: it was replaced, or moved here",
                );
            }
        }
        let whole = self.whole();
        self.checkpoints(&whole, own, believed);
        if let Some(wrong) = own.iter().find(|checkpoint| {
            checkpoint.size <= signed.size()
                && signed.root_at(checkpoint.size) != Some(checkpoint.root)
        }) {
            let what = format!("it does not fit the checkpoint of {} entries", wrong.size);
            self.report.problem(&signed.name, "the file", what);
        }
        for (place, checkpoint) in outside {
            self.outside(&whole, place, checkpoint);
        }
        let covered = own.iter().map(|checkpoint| checkpoint.size).max().unwrap_or(0);
        let size = self.size();
        if !own.is_empty() && size > covered {
            let those = entries((covered, size - 1));
            self.report
                .uncovered
                .push(format!("change log: {those} came after the last checkpoint"));
        }
    }

    fn gaps(&mut self) {
        let missing: Vec<u64> = (0..self.size())
            .filter(|sequence| {
                !self.leaves.contains_key(sequence) && !self.named.contains(sequence)
            })
            .collect();
        self.named.extend(&missing);
        for run in spans(missing) {
            let place = entries(run);
            self.report.problem(CHANGES, place, "missing: the log goes on after it");
        }
    }

    /// The tree of the entries up to the first that is missing.
    fn whole(&self) -> MemoryTree {
        let leaves = (0..).map_while(|sequence| self.leaves.get(&sequence).copied());
        MemoryTree::of(leaves).unwrap_or_default()
    }

    /// Whether something was already said about entries before a size.
    fn is_explained(&self, size: u64) -> bool {
        self.named.range(..size).next().is_some()
    }

    fn checkpoints(&mut self, whole: &MemoryTree, own: &[Checkpoint], believed: u64) {
        let size = self.size();
        let mut right = 0;
        for checkpoint in own {
            if checkpoint.size > size {
                let run = (size, checkpoint.size - 1);
                if !self.is_explained(checkpoint.size) || !self.named.contains(&size) {
                    let place = entries(run);
                    self.report.problem(
                        CHANGES,
                        place,
                        "missing at the end: a checkpoint was signed over them; the log was cut or set back",
                    );
                    self.named.insert(size);
                }
                continue;
            }
            if whole.root_at(checkpoint.size).is_ok_and(|root| root == checkpoint.root) {
                right = right.max(checkpoint.size);
            } else if !self.is_explained(checkpoint.size) {
                let place = format!("entries {} to {}", right, checkpoint.size - 1);
                let what = format!(
                    "one of them is not the entry that was signed: the checkpoint of {} entries does not fit{}",
                    checkpoint.size,
                    if believed == 0 { "" } else { ", nor does audit/changes.tree" }
                );
                self.report.problem(CHANGES, place, what);
                self.named.insert(right);
            }
        }
    }

    fn outside(&mut self, whole: &MemoryTree, place: &str, checkpoint: &Checkpoint) {
        let size = self.size();
        if checkpoint.size > size {
            let what = format!(
                "the log has {size} entries, but the checkpoint from outside ({place}) covers {}: it was cut \
                 or set back to an earlier state",
                checkpoint.size
            );
            let run = (size, checkpoint.size - 1);
            let at = entries(run);
            self.report.problem(CHANGES, at, what);
            return;
        }
        match whole.root_at(checkpoint.size) {
            Ok(root) if root == checkpoint.root => self.report.matched.push(checkpoint.line()),
            _ => {
                let what = format!(
                    "they are not those of the checkpoint from outside ({place}): the log was written anew, \
                     or an entry before its entry {} was altered",
                    checkpoint.size
                );
                let at = format!("entries 0 to {}", checkpoint.size.saturating_sub(1));
                self.report.problem(CHANGES, at, what);
            }
        }
    }
}

fn entries((first, last): (u64, u64)) -> String {
    let word = if first == last { "entry" } else { "entries" };
    format!("{word} {}", span(first, last))
}
