//! The keys that checkpoints of this log are signed with: the present one, and those of before a backup
//! was restored, which the change log names.

use super::super::note::{Checkpoint, NoteFault, notes_in};
use super::Report;
use crate::changes::ChangeLog;
use rules::change::Event;
use serde::Deserialize;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Row};
use std::path::Path;
use std::time::Duration;

/// Signings since the key was made after which there are checkpoints for certain: a crash may leave
/// one that was begun.
const CERTAIN: usize = 2;

/// What the change log says of keys, and the present one.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The key to believe, as a verifier key.
    pub(super) public: Option<String>,
    /// Keys of before a restore, each with the size of the log up to which it counts.
    earlier: Vec<(String, u64)>,
    /// The present key has signed a checkpoint over the entries that name the earlier ones: without that,
    /// whoever writes entries could name a key of their own.
    is_vouched: bool,
    /// The entry in which the last key was made.
    pub(super) made: Option<u64>,
    /// The entries in which a key took the place of another, though nothing was restored.
    replaced: Vec<u64>,
    /// Signings begun since the last key was made.
    signings: usize,
}

#[derive(Deserialize)]
struct Stored {
    sequence: u64,
    event: Event,
}

impl Keys {
    /// Reads what the change log says. A log that cannot be read says nothing here: that is told where
    /// its entries are read.
    pub(super) async fn read(state: &Path, public: Option<String>) -> Self {
        let mut keys = Self { public, ..Self::default() };
        let mut made: Option<String> = None;
        let mut restored = None;
        for Stored { sequence, event } in entries(state).await.unwrap_or_default() {
            match event {
                Event::AuditKeyMade { key } => {
                    match (made.replace(key), restored.take()) {
                        (Some(before), Some(size)) => keys.earlier.push((before, size)),
                        (Some(_), None) => keys.replaced.push(sequence),
                        (None, _) => {}
                    }
                    keys.made = Some(sequence);
                    keys.signings = 0;
                }
                Event::BackupRestored { .. } => restored = Some(sequence),
                Event::Attested { .. } | Event::AccessCovered { .. } => keys.signings += 1,
                _ => {}
            }
        }
        keys
    }

    /// Looks for the checkpoint of the present key that vouches for the earlier ones.
    pub(super) fn vouch(&mut self, checkpoints: &str) {
        let (Some(public), Some(made)) = (&self.public, self.made) else { return };
        self.is_vouched = notes_in(checkpoints)
            .into_iter()
            .any(|(_, note)| Checkpoint::verify(note, public).is_ok_and(|read| read.size > made));
    }

    /// Reads a note that the present key has signed, or that of before a restore signed before it.
    pub(super) fn verify(&self, note: &str) -> Result<Checkpoint, NoteFault> {
        let Some(public) = &self.public else { return Checkpoint::read(note) };
        let verified = Checkpoint::verify(note, public);
        let is_earlier = |(key, size): &(String, u64)| {
            Checkpoint::verify(note, key).ok().filter(|read| read.size <= *size)
        };
        match &verified {
            Err(NoteFault::OtherKey(_)) if self.is_vouched => {
                self.earlier.iter().find_map(is_earlier).map_or(verified, Ok)
            }
            _ => verified,
        }
    }

    /// Tells what is missing though the change log says that it was made.
    pub(super) fn check(&self, has_checkpoints: bool, report: &mut Report) {
        let Some(made) = self.made else { return };
        // One that was given does, too.
        if self.public.is_none() {
            let what = format!(
                "it is missing, though entry {made} of the change log says that it was made, and no checkpoint can be \
                 checked; a restored copy has none before the filter has run there: give the one that was kept (--key)"
            );
            report.problem("audit/key.pub", "the file", what);
        }
        if !has_checkpoints && self.signings >= CERTAIN {
            let what = format!(
                "there are none, though {} were signed since entry {made} of the change log",
                self.signings
            );
            report.problem("audit/checkpoints", "the file", what);
        }
        for entry in &self.replaced {
            report.uncovered.push(format!(
                "a new key was made in entry {entry} of the change log, though no backup was restored: \
                 checkpoints of before it cannot be checked with the key of now"
            ));
        }
    }
}

async fn entries(state: &Path) -> Result<Vec<Stored>, sqlx::Error> {
    // The names of events as they stand in an entry; what else holds these words is read and passed over.
    const THOSE: &str = "SELECT body FROM change WHERE instr(body, 'audit_key_made') > 0 \
                         OR instr(body, 'backup_restored') > 0 OR instr(body, 'attested') > 0 \
                         OR instr(body, 'access_covered') > 0 ORDER BY sequence";
    let mut connection = SqliteConnectOptions::new()
        .filename(ChangeLog::path_in(state))
        .read_only(true)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
        .connect()
        .await?;
    let rows = sqlx::query(THOSE).fetch_all(&mut connection).await;
    let _ = connection.close().await;
    let read =
        |row: &sqlx::sqlite::SqliteRow| serde_json::from_str(row.try_get::<&str, _>(0).ok()?).ok();
    Ok(rows?.iter().filter_map(read).collect())
}
