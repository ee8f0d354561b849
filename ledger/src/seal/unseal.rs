//! A sealed part as a day's file again, so that rows of it can be erased.
//!
//! The rows come sorted by person and are wanted in their places: they are spilled once more, by place.

use super::spill::{GROUP_ROWS, SAMPLE, Spill, rows};
use super::tables::{Stored, StoredEnd, StoredNotes};
use super::{SealError, stored, sums};
use crate::day_file::{What, Who, bind_notes};
use crate::insert::{Binder, Insert};
use crate::intern::Tuples;
use crate::notes::Notes;
use crate::record::{AsDecided, Depth, End, Ended, scheme_number};
use crate::sealed_day::{depth_of, end_of, scheme_of};
use crate::sqlite::{beside, schemas};
use rules::decide::ReasonCode;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use std::collections::HashMap;
use std::path::Path;

/// The tables that the database of sums has, in an order that can be copied.
const OF_SUMS: [&str; 17] = [
    "meta",
    "position",
    "name",
    "person",
    "client",
    "site",
    "host",
    "context",
    "rollup_hour",
    "rollup_person",
    "rollup_site",
    "rollup_depth",
    "hour_person",
    "rollup_reason",
    "rollup_ended",
    "rollup_rejected",
    "rollup_opened",
];

/// Tables that came with a later version, and that version.
const LATER: [(&str, i64); 5] = [
    ("rollup_reason", 2),
    ("rollup_ended", 2),
    ("rollup_rejected", 2),
    ("rollup_opened", 2),
    ("batch", 3),
];

/// Names by what they say.
type Numbers = HashMap<String, u32>;

/// What the rows are numbered by.
struct Interned {
    names: Numbers,
    people: Numbers,
    clients: Numbers,
    hosts: Numbers,
    contexts: HashMap<[String; 3], u32>,
    sets: HashMap<(String, bool), u32>,
    who: Tuples<Who>,
    what: Tuples<What>,
}

/// Makes a day's file at `to` of the sums in `from` and the rows in `file`. Whether these are the rows that
/// were recorded shows where their batches are proved again.
pub(crate) async fn unseal(
    from: &Path,
    file: &Path,
    to: &Path,
    stop: &mut dyn FnMut() -> bool,
) -> Result<(), SealError> {
    let failed = |source| stored(from, source);
    let mut connection = create(from, to).await.map_err(failed)?;
    let mut interned = Interned::load(&mut connection).await.map_err(failed)?;
    let io = |source| SealError::Io { path: to.to_owned(), source };
    let file = sealed::File::open(file)?;
    // One place in each `SAMPLE`, as if they had been sampled.
    let first = super::first_sequence(&mut connection).await.map_err(failed)?;
    let places = (first..).step_by(SAMPLE).take((file.rows() as usize).div_ceil(SAMPLE));
    let folder = to.with_extension("sorting");
    let mut spill =
        Spill::create(&folder, places.map(|place| (0, 0, place)).collect()).map_err(io)?;
    for number in 0..file.groups() {
        if stop() {
            return Err(SealError::Stopped);
        }
        let group = file.group(number);
        for place in 0..group.rows() {
            let Some(row) = interned.number(&group.row(place)?) else {
                return Err(failed(sqlx::Error::Decode("a row names what the sums do not".into())));
            };
            spill.add(&(0, 0, row.sequence), &row).map_err(io)?;
        }
    }
    let write = Write { inserts: Inserts::new() };
    for stretch in 0..spill.stretches() {
        if stop() {
            return Err(SealError::Stopped);
        }
        let bytes = spill.stretch(stretch).map_err(io)?;
        let mut all = rows(&bytes).map_err(io)?;
        all.sort_by_key(|row| row.sequence);
        write.rows(&mut connection, &all).await.map_err(failed)?;
    }
    write.tables(&mut connection, &interned).await.map_err(failed)?;
    // As every day's file: who reads it does not stand in the way of who reads it too and writes elsewhere.
    let wal = sqlx::raw_sql("PRAGMA journal_mode = WAL");
    wal.execute(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    Ok(())
}

/// An empty day's file with the sums in it.
async fn create(from: &Path, to: &Path) -> Result<SqliteConnection, sqlx::Error> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        match std::fs::remove_file(beside(to, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    crate::folder::make_private_file(to)?;
    let mut connection = SqliteConnectOptions::new()
        .filename(to)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .disable_statement_logging()
        .connect()
        .await?;
    let path =
        from.to_str().ok_or_else(|| sqlx::Error::Configuration("a path that is no text".into()))?;
    sqlx::query("ATTACH DATABASE ? AS sums").bind(path).execute(&mut connection).await?;
    let version: i64 =
        sqlx::query("PRAGMA sums.user_version").fetch_one(&mut connection).await?.try_get(0)?;
    for schema in schemas(version).unwrap_or_default() {
        sqlx::raw_sql(schema).execute(&mut connection).await?;
    }
    let later = |table: &str| {
        LATER.iter().find(|(later, _)| *later == table).map_or(1, |(_, version)| *version)
    };
    for table in OF_SUMS.into_iter().chain(["batch"]).filter(|table| later(table) <= version) {
        let copy = format!("INSERT INTO main.{table} SELECT * FROM sums.{table}");
        sqlx::query(AssertSqlSafe(copy)).execute(&mut connection).await?;
    }
    sqlx::raw_sql("DETACH DATABASE sums").execute(&mut connection).await?;
    for note in [sums::ROWS, sums::NEXT_SEQUENCE, sums::FILE_BYTES, sums::FILE_HASH, sums::CONTENT]
    {
        sqlx::query("DELETE FROM meta WHERE key = ?").bind(note).execute(&mut connection).await?;
    }
    sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA user_version = {version}")))
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

async fn numbers(db: &mut SqliteConnection, sql: &'static str) -> Result<Numbers, sqlx::Error> {
    let rows = sqlx::query(sql).fetch_all(db).await?;
    rows.iter().map(|row| Ok((row.try_get(1)?, row.try_get(0)?))).collect()
}

impl Interned {
    async fn load(db: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let contexts = sqlx::query("SELECT id, policy_hash, list_version, zone FROM context")
            .fetch_all(&mut *db);
        let contexts = contexts.await?;
        let context = |row: &sqlx::sqlite::SqliteRow| {
            Ok(([row.try_get(1)?, row.try_get(2)?, row.try_get(3)?], row.try_get(0)?))
        };
        Ok(Self {
            names: numbers(db, "SELECT id, value FROM name").await?,
            people: numbers(db, "SELECT id, name FROM person").await?,
            clients: numbers(db, "SELECT id, address FROM client").await?,
            hosts: numbers(db, "SELECT id, name FROM host").await?,
            contexts: contexts.iter().map(context).collect::<Result<_, sqlx::Error>>()?,
            sets: HashMap::new(),
            who: Tuples::loaded(Vec::new()),
            what: Tuples::loaded(Vec::new()),
        })
    }

    /// A row in numbers; `None`: it names what the sums do not.
    fn number<'a>(&mut self, row: &sealed::Row<'a>) -> Option<Stored<'a>> {
        let person = match row.user {
            None => 0,
            Some(user) => *self.people.get(user)?,
        };
        let who = (person, *self.clients.get(row.client)?, *self.names.get(row.level)?);
        let texts = [row.policy_hash, row.list_version, row.zone].map(str::to_owned);
        let next = self.sets.len() as u32 + 1;
        let set = self.sets.entry((row.categories.to_owned(), row.locked)).or_insert(next);
        let what = What {
            context: *self.contexts.get(&texts)?,
            method: *self.names.get(row.method)?,
            scheme: scheme_number(scheme_of(row.scheme)?),
            host: *self.hosts.get(row.host)?,
            port: row.port,
            category_set: *set,
            verdict: u8::from(row.verdict == "block"),
            reason: ReasonCode::from_word(row.reason)? as u8,
            rule: match row.rule {
                None => 0,
                Some(rule) => *self.names.get(rule)?,
            },
            unblock: row.unblock,
            depth: AsDecided::from_word(row.depth)?.number(),
        };
        let ended = row.ended?;
        let depth: Option<Depth> = match ended.depth {
            None => None,
            Some(word) => Some(depth_of(word)?),
        };
        let end: End = end_of(ended.end)?;
        let number =
            Ended { end, depth, status: ended.status, bytes_up: 0, bytes_down: 0, duration_us: 0 };
        Some(Stored {
            sequence: row.sequence,
            id: row.id,
            at: row.at,
            who: self.who.id(who),
            what: self.what.id(what),
            path: row.path,
            end: StoredEnd {
                number: number.end_number(),
                status: ended.status,
                bytes_up: ended.bytes_up,
                bytes_down: ended.bytes_down,
                duration_us: ended.duration_us,
                place: ended.place,
                signs: ended.signs,
            },
            notes: StoredNotes::from(crate::sealed_day::notes_of(row)?),
        })
    }
}

struct Inserts {
    access: Insert,
    access_end: Insert,
    access_note: Insert,
    end_note: Insert,
    who: Insert,
    what: Insert,
    category_set: Insert,
}

impl Inserts {
    fn new() -> Self {
        let plain =
            |table: &str, columns| Insert::new(&format!("INSERT INTO {table}"), columns, "");
        Self {
            access: plain("access", 11),
            access_end: plain("access_end", 7),
            access_note: plain("access_note", 5),
            end_note: plain("end_note", 2),
            who: plain("who", 4),
            what: plain("what", 12),
            category_set: plain("category_set", 3),
        }
    }
}

struct Write {
    inserts: Inserts,
}

impl Write {
    async fn rows(
        &self,
        db: &mut SqliteConnection,
        rows: &[Stored<'_>],
    ) -> Result<(), sqlx::Error> {
        let mut transaction = db.begin().await?;
        for chunk in rows.chunks(GROUP_ROWS) {
            let bind = |binder: &mut Binder, row: &Stored<'_>| {
                binder.number(row.sequence).number(row.id).number(row.at);
                binder.number(row.who).number(row.what).put(row.path.map(str::to_owned));
                match row.end.place {
                    None => bind_end(binder, &row.end),
                    Some(_) => (0..5).for_each(|_| {
                        binder.put(None::<i64>);
                    }),
                }
            };
            self.inserts.access.run(&mut transaction, chunk, bind).await?;
            let apart: Vec<&Stored<'_>> =
                chunk.iter().filter(|row| row.end.place.is_some()).collect();
            let bind = |binder: &mut Binder, row: &&Stored<'_>| {
                binder.number(row.sequence);
                bind_end(binder, &row.end);
                binder.put(row.end.place);
            };
            self.inserts.access_end.run(&mut transaction, &apart, bind).await?;
            let noted: Vec<(i64, Notes<'_>)> = chunk
                .iter()
                .map(|row| Ok((row.sequence, row.notes.named()?)))
                .filter(|row: &Result<(i64, Notes<'_>), sqlx::Error>| {
                    row.as_ref().map_or(true, |(_, notes)| !notes.is_empty())
                })
                .collect::<Result<_, _>>()?;
            let bind = |binder: &mut Binder, (sequence, notes): &(i64, Notes<'_>)| {
                bind_notes(binder, *sequence, notes);
            };
            self.inserts.access_note.run(&mut transaction, &noted, bind).await?;
            let signed: Vec<&Stored<'_>> =
                chunk.iter().filter(|row| row.end.signs.is_some()).collect();
            let bind = |binder: &mut Binder, row: &&Stored<'_>| {
                binder.number(row.sequence).put(row.end.signs.map(str::to_owned));
            };
            self.inserts.end_note.run(&mut transaction, &signed, bind).await?;
        }
        transaction.commit().await
    }

    /// The tables that the rows point to.
    async fn tables(
        &self,
        db: &mut SqliteConnection,
        interned: &Interned,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = db.begin().await?;
        let who = interned.who.fresh();
        let bind = |binder: &mut Binder, (id, (person, client, level)): &(u32, Who)| {
            let person = (*person != 0).then_some(i64::from(*person));
            binder.number(*id).put(person).number(*client).number(*level);
        };
        self.inserts.who.run(&mut transaction, &who, bind).await?;
        let bind = |binder: &mut Binder, (id, what): &(u32, What)| what.bind(binder, *id);
        self.inserts.what.run(&mut transaction, &interned.what.fresh(), bind).await?;
        let sets: Vec<_> = interned.sets.iter().collect();
        let bind = |binder: &mut Binder, ((names, locked), id): &(&(String, bool), &u32)| {
            let joined = format!(" {names} {}", if *locked { " " } else { "" });
            binder.number(**id).put(joined).put(*locked);
        };
        self.inserts.category_set.run(&mut transaction, &sets, bind).await?;
        transaction.commit().await
    }
}

fn bind_end(binder: &mut Binder, end: &StoredEnd<'_>) {
    binder.number(end.number).number(end.status);
    binder.number(end.bytes_up).number(end.bytes_down).number(end.duration_us);
}
