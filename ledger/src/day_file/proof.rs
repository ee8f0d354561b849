//! What a day's rows are proved with, as its writer makes it: leaves from the values at hand, and
//! batches of them.

use super::{AccessRow, DayFile};
use crate::evidence::batch::Batch;
use crate::evidence::row::{Hash, Row, What, Who};
use crate::evidence::salt::DaySecret;
use crate::notes::{self, borrowed};
use crate::pending::{NewBatch, Pending};
use crate::record::{AsDecided, Depth, End, Ended, scheme_from_number};
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

/// Hashes of the who and the what by their number in the file, made as they are met.
#[derive(Debug, Default)]
pub(super) struct Digests {
    who: Vec<Option<Hash>>,
    what: Vec<Option<Hash>>,
}

impl DayFile {
    /// Takes a row into what waits for a batch.
    pub(super) fn prove(&mut self, row: &AccessRow) {
        let (who, what) = (self.who_hash(row.who), self.what_hash(row.what));
        self.pending.row(&Row {
            number: row.sequence as u64,
            id: row.id,
            at: row.at,
            who,
            what,
            path: row.path.as_deref(),
            ended: row.ended,
            notes: borrowed(row.notes.as_deref()),
        });
    }

    /// Whether rows or ends wait for their batch; and whether that is to be made now.
    pub(crate) fn waits_for_batch(&self) -> (bool, bool) {
        (!self.pending.is_empty(), self.pending.is_due())
    }

    /// Rows and ends of the day so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.pending.next_row(), self.pending.next_end())
    }

    /// The batch of everything that waits, to be given to [`DayFile::commit`].
    pub(crate) fn batch(&self, number: u64, at: UnixMillis) -> Result<NewBatch, sqlx::Error> {
        Ok(self.pending.batch(number, &self.day.to_string(), at.0)?)
    }

    fn who_hash(&mut self, id: u32) -> Hash {
        let place = id as usize - 1;
        if let Some(Some(hash)) = self.digests.who.get(place) {
            return *hash;
        }
        let (person, client, level) = self.who.tuple(id);
        let hash = Who {
            user: (person != 0).then(|| &**self.people.text(person)),
            level: self.names.text(level),
            client: self.clients.text(client),
        }
        .hash();
        keep(&mut self.digests.who, place, hash)
    }

    fn what_hash(&mut self, id: u32) -> Hash {
        let place = id as usize - 1;
        if let Some(Some(hash)) = self.digests.what.get(place) {
            return *hash;
        }
        let what = self.what.tuple(id);
        let mut context = self.contexts.text(what.context).splitn(3, '\n');
        let mut part = || context.next().unwrap_or_default();
        let set = &self.set_members[what.category_set as usize - 1];
        // Numbers come from these types or were written by them: each has its word.
        let hash = What {
            policy_hash: part(),
            list_version: part(),
            zone: part(),
            method: self.names.text(what.method),
            scheme: scheme_from_number(what.scheme).unwrap_or(Scheme::Http),
            host: self.hosts.text(what.host),
            port: what.port,
            categories: self.category_sets.text(what.category_set).split_whitespace().collect(),
            locked: set.locked,
            verdict: if what.verdict == 0 { Verdict::Allow } else { Verdict::Block },
            reason: ReasonCode::from_number(what.reason).unwrap_or(ReasonCode::Internal),
            rule: (what.rule != 0).then(|| &**self.names.text(what.rule)),
            unblock: what.unblock,
            known: AsDecided::from_number(what.depth).unwrap_or(Depth::Plain.into()),
        }
        .hash();
        keep(&mut self.digests.what, place, hash)
    }

    /// Takes in again what was committed and is in no batch yet: a kill came between.
    pub(super) async fn load_pending(&mut self) -> Result<(), sqlx::Error> {
        let rows = sqlx::query(
            r#"SELECT a.sequence, a.id, a.at, a.who, a.what, a.path, a."end", a.status, a.bytes_up,
                 a.bytes_down, a.duration_us, n.kind, n.site, n.words, n.signs
               FROM access a LEFT JOIN access_note n ON n.sequence = a.sequence
               WHERE a.sequence >= ? ORDER BY a.sequence"#,
        )
        .bind(self.next_sequence)
        .fetch_all(&mut self.connection)
        .await?;
        for row in rows {
            let sequence: i64 = row.try_get(0)?;
            while self.pending.next_row() < sequence as u64 {
                self.pending.missing_row();
            }
            let (who, what): (u32, u32) = (row.try_get(3)?, row.try_get(4)?);
            if self.who.get(who).is_none() || self.what.get(what).is_none() {
                self.pending.missing_row();
                continue;
            }
            let stored = AccessRow {
                sequence,
                id: row.try_get::<i64, _>(1)? as u64,
                at: row.try_get(2)?,
                who,
                what,
                path: row.try_get::<Option<&str>, _>(5)?.map(Into::into),
                ended: read_end(&row, 6)?,
                notes: notes::read(&row, 11)?,
            };
            self.prove(&stored);
        }
        self.next_sequence = self.pending.next_row() as i64;
        // The places have no index: they are gone through only where a kill left something.
        let count = sqlx::query(
            "SELECT CAST(coalesce(max(value), 0) AS INTEGER) FROM meta WHERE key = 'ends'",
        );
        let count: i64 = count.fetch_one(&mut self.connection).await?.try_get(0)?;
        if count as u64 <= self.pending.next_end() {
            return Ok(());
        }
        let ends = sqlx::query(
            r#"SELECT e.place, e.sequence, e."end", e.status, e.bytes_up, e.bytes_down, e.duration_us, n.signs
               FROM access_end e LEFT JOIN end_note n ON n.sequence = e.sequence
               WHERE e.place >= ? ORDER BY e.place"#,
        )
        .bind(self.pending.next_end() as i64)
        .fetch_all(&mut self.connection)
        .await?;
        for row in ends {
            let place = row.try_get::<i64, _>(0)? as u64;
            while self.pending.next_end() < place {
                self.pending.missing_end();
            }
            if let Some(ended) = read_end(&row, 2)? {
                let (sequence, signs) = (row.try_get::<i64, _>(1)?, row.try_get(7)?);
                self.pending.end(sequence as u64, ended, signs);
            }
        }
        Ok(())
    }
}

fn keep(hashes: &mut Vec<Option<Hash>>, place: usize, hash: Hash) -> Hash {
    if hashes.len() <= place {
        hashes.resize(place + 1, None);
    }
    hashes[place] = Some(hash);
    hash
}

/// The end in these five columns, if there is one.
pub(crate) fn read_end(row: &SqliteRow, column: usize) -> Result<Option<Ended>, sqlx::Error> {
    let Some(number) = row.try_get::<Option<i64>, _>(column)? else { return Ok(None) };
    let parts: Option<(End, Option<Depth>)> = u8::try_from(number).ok().and_then(Ended::parts);
    let unknown = || sqlx::Error::Decode("unknown end; written by a newer version?".into());
    let (end, depth) = parts.ok_or_else(unknown)?;
    Ok(Some(Ended {
        end,
        status: row.try_get(column + 1)?,
        bytes_up: row.try_get::<i64, _>(column + 2)? as u64,
        bytes_down: row.try_get::<i64, _>(column + 3)? as u64,
        duration_us: row.try_get::<i64, _>(column + 4)? as u64,
        depth,
    }))
}

/// From where on rows and ends wait for a batch, in a file as it is found.
pub(super) async fn waiting_from(db: &mut SqliteConnection) -> Result<Pending, sqlx::Error> {
    let secret = sqlx::query("SELECT value FROM meta WHERE key = 'secret'").fetch_one(&mut *db);
    let secret: DaySecret = secret
        .await?
        .try_get::<&[u8], _>(0)?
        .try_into()
        .map_err(|_| sqlx::Error::Decode("the day's secret has not 32 bytes".into()))?;
    let last = sqlx::query("SELECT number, record FROM batch ORDER BY number DESC LIMIT 1")
        .fetch_optional(&mut *db)
        .await?;
    let first_end = sqlx::query(
        "SELECT CAST(coalesce(max(value), 0) AS INTEGER) FROM meta WHERE key = 'first_end'",
    );
    let first_end: i64 = first_end.fetch_one(&mut *db).await?.try_get(0)?;
    let from = sqlx::query("SELECT value FROM meta WHERE key = 'proved_from'");
    let from: i64 = from.fetch_one(&mut *db).await?.try_get(0)?;
    let Some(last) = last else {
        return Ok(Pending::new(&secret, from as u64, first_end as u64));
    };
    if let Some(batch) = Batch::read(last.try_get(1)?) {
        return Ok(Pending::new(&secret, batch.next_row(), batch.next_end()));
    }
    // Where it ended nobody can say: what follows is proved, and `audit verify` tells of the rest.
    let number: i64 = last.try_get(0)?;
    tracing::error!(
        batch = number,
        "the record of a batch was altered; see schoolgate audit verify"
    );
    let ends = sqlx::query(
        "SELECT (SELECT max(coalesce(max(sequence) + 1, 0), ?) FROM access),
           (SELECT max(coalesce(max(place) + 1, 0), ?) FROM access_end)",
    )
    .bind(from)
    .bind(first_end)
    .fetch_one(db)
    .await?;
    Ok(Pending::new(&secret, ends.try_get::<i64, _>(0)? as u64, ends.try_get::<i64, _>(1)? as u64))
}
