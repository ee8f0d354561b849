//! One school day's file, as its one writer sees it.
//!
//! Rows are collected in memory and stored by `DayFile::commit` in one transaction, together with
//! the rollups and how far each journal file is stored: after a crash the file tells exactly which
//! decisions it holds. Every text that repeats is kept once. What the rows are proved with is in
//! [`proof`].

mod proof;

use crate::insert::{Binder, Insert};
use crate::intern::{Texts, Tuples};
use crate::notes::{Notes, OwnedNotes, borrowed};
use crate::payload::DecisionRead;
use crate::pending::{NewBatch, Pending};
use crate::record::{Context, Ended, scheme_number};
use crate::rollup::{Facts, Rollup, Stored};
use crate::sqlite::{
    MAX_ID, Position, create_schema, create_whole, day_path, open_to_write, positions,
    set_orphans_aside, sync_files,
};
use jiff::civil::Date;
use proof::Digests;
pub(crate) use proof::read_end;
use rules::category::CategorySet;
use rules::decide::Verdict;
use rules::host::Host;
use sqlx::{Connection, Row, SqliteConnection};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Person (0: nobody proved), client, level.
pub(crate) type Who = (u32, u32, u32);

/// What an access was for, and the answer, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct What {
    pub(crate) context: u32,
    pub(crate) method: u32,
    pub(crate) scheme: u8,
    pub(crate) host: u32,
    pub(crate) port: u16,
    pub(crate) category_set: u32,
    pub(crate) verdict: u8,
    pub(crate) reason: u8,
    pub(crate) rule: u32,
    pub(crate) unblock: Option<u32>,
    pub(crate) depth: u8,
}

/// The end of a stored access, with its place among the day's ends.
struct EndRow {
    sequence: i64,
    ended: Ended,
    place: u64,
    signs: Option<Box<str>>,
}

struct AccessRow {
    sequence: i64,
    id: u64,
    at: i64,
    who: u32,
    what: u32,
    path: Option<Arc<str>>,
    ended: Option<Ended>,
    notes: Option<Box<OwnedNotes>>,
}

/// A stored access whose end is still to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenRow {
    pub(crate) sequence: i64,
    pub(crate) at: i64,
    pub(crate) who: u32,
    pub(crate) what: u32,
}

/// A context's names as this file numbers them.
struct ContextIds {
    context: Arc<Context>,
    id: u32,
    levels: Vec<u32>,
    sets: HashMap<CategorySet, u32>,
}

/// A category set's members by number.
struct SetMembers {
    categories: Vec<u32>,
    locked: bool,
}

/// One day's file, open for writing.
pub(crate) struct DayFile {
    path: PathBuf,
    day: Date,
    connection: SqliteConnection,
    inserts: Inserts,
    next_sequence: i64,
    max_id: u64,
    pub(crate) positions: HashMap<u64, Position>,
    pub(crate) names: Texts,
    pub(crate) people: Texts,
    pub(crate) clients: Texts,
    sites: Texts,
    pub(crate) hosts: Texts,
    host_sites: Vec<u32>,
    pub(crate) category_sets: Texts,
    set_members: Vec<SetMembers>,
    contexts: Texts,
    context_ids: Vec<ContextIds>,
    pub(crate) who: Tuples<Who>,
    pub(crate) what: Tuples<What>,
    rows: Vec<AccessRow>,
    ends: Vec<EndRow>,
    rollup: Rollup,
    digests: Digests,
    pending: Pending,
}

impl DayFile {
    /// Opens or creates the file of `day`, and reads back what a crash may have left: which stored
    /// accesses still wait for an end, by id.
    pub(crate) async fn open(
        folder: &Path,
        day: Date,
    ) -> Result<(Self, HashMap<u64, (OpenRow, Option<Arc<str>>)>), sqlx::Error> {
        let path = day_path(folder, day);
        if !path.exists() {
            set_orphans_aside(&path)?;
            create_whole(&path, day, behind_sealed(folder, day).await?).await?;
        }
        let mut connection = open_to_write(&path).await?;
        create_schema(&mut connection, day).await?;
        let mut file = Self::load(connection, path, day).await?;
        file.load_pending().await?;
        let open = file.open_rows().await?;
        Ok((file, open))
    }

    async fn load(
        mut connection: SqliteConnection,
        path: PathBuf,
        day: Date,
    ) -> Result<Self, sqlx::Error> {
        let db = &mut connection;
        let max_id = sqlx::query(MAX_ID).fetch_one(&mut *db).await?;
        let names = texts(db, "SELECT value FROM name ORDER BY id").await?;
        let people = texts(db, "SELECT name FROM person ORDER BY id").await?;
        let clients = texts(db, "SELECT address FROM client ORDER BY id").await?;
        let sites = texts(db, "SELECT name FROM site ORDER BY id").await?;
        let hosts = texts(db, "SELECT name FROM host ORDER BY id").await?;
        let category_sets = texts(db, "SELECT names FROM category_set ORDER BY id").await?;
        let contexts =
            texts(db, "SELECT policy_hash || char(10) || list_version || char(10) || zone FROM context ORDER BY id")
                .await?;
        let host_sites =
            sqlx::query("SELECT site FROM host ORDER BY id").fetch_all(&mut *db).await?;
        let locked =
            sqlx::query("SELECT locked FROM category_set ORDER BY id").fetch_all(&mut *db).await?;
        let pending = proof::waiting_from(db).await?;
        let mut file = Self {
            path,
            day,
            inserts: Inserts::new(),
            next_sequence: pending.next_row() as i64,
            max_id: max_id.try_get::<i64, _>(0)? as u64,
            positions: positions(db).await?,
            who: who(db).await?,
            what: what(db).await?,
            rollup: Rollup::new(stored(db).await?),
            connection,
            names,
            people,
            clients,
            sites,
            hosts,
            host_sites: host_sites.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?,
            category_sets,
            set_members: Vec::new(),
            contexts,
            context_ids: Vec::new(),
            rows: Vec::new(),
            ends: Vec::new(),
            digests: Digests::default(),
            pending,
        };
        for (i, row) in locked.iter().enumerate() {
            let joined = Arc::clone(file.category_sets.text(i as u32 + 1));
            let categories = joined.split_whitespace().map(|name| file.names.id(name).0).collect();
            file.set_members.push(SetMembers { categories, locked: row.try_get(0)? });
        }
        Ok(file)
    }

    /// Accesses without an end. `open_from` in `meta` bounds the scan to those since the oldest one
    /// that was open at the last commit.
    async fn open_rows(
        &mut self,
    ) -> Result<HashMap<u64, (OpenRow, Option<Arc<str>>)>, sqlx::Error> {
        let rows = sqlx::query(
            r#"SELECT sequence, id, at, who, what, path FROM access a WHERE "end" IS NULL
               AND sequence >= coalesce((SELECT value FROM meta WHERE key = 'open_from'), 0)
               AND NOT EXISTS (SELECT 1 FROM access_end e WHERE e.sequence = a.sequence)"#,
        )
        .fetch_all(&mut self.connection)
        .await?;
        rows.iter()
            .map(|row| {
                let open = OpenRow {
                    sequence: row.try_get(0)?,
                    at: row.try_get(2)?,
                    who: row.try_get(3)?,
                    what: row.try_get(4)?,
                };
                let path = row.try_get::<Option<&str>, _>(5)?.map(Arc::from);
                Ok((row.try_get::<i64, _>(1)? as u64, (open, path)))
            })
            .collect()
    }

    /// Takes a decision into the batch, complete (with the signs of its end) or still open.
    pub(crate) fn add(
        &mut self,
        read: &DecisionRead<'_>,
        context: &Arc<Context>,
        ended: Option<(Ended, Option<&str>)>,
    ) -> OpenRow {
        let (ended, end_signs) = (ended.map(|end| end.0), ended.and_then(|end| end.1));
        let place = self.context_place(context);
        let level = self.level(place, read.level);
        let category_set = self.category_set(place, read.categories);
        let (client, _) = self.clients.id(&read.client.to_string());
        let person = read.user.map_or(0, |user| self.people.id(user).0);
        let what = What {
            context: self.context_ids[place].id,
            method: self.names.id(read.method).0,
            scheme: scheme_number(read.scheme),
            host: self.host(read.host),
            port: read.port,
            category_set,
            verdict: u8::from(read.verdict == Verdict::Block),
            reason: read.reason as u8,
            rule: read.rule.map_or(0, |rule| self.names.id(rule).0),
            unblock: read.unblock.map(|unblock| unblock.0),
            depth: read.known.number(),
        };
        let (who_id, what_id) = (self.who.id((person, client, level)), self.what.id(what));
        let open =
            OpenRow { sequence: self.next_sequence, at: read.at.0, who: who_id, what: what_id };
        self.next_sequence += 1;
        self.max_id = self.max_id.max(read.id.0);
        let facts = self.facts(&open);
        let status = ended.as_ref().map(|ended| ended.status);
        let categories = &self.set_members[category_set as usize - 1].categories;
        self.rollup.request(&facts, categories, status);
        self.add_bytes(&facts, category_set, ended.as_ref());
        let row = AccessRow {
            sequence: open.sequence,
            id: read.id.0,
            at: read.at.0,
            who: who_id,
            what: what_id,
            path: read.path.map(Arc::from),
            ended,
            notes: OwnedNotes::of(&read.notes, end_signs),
        };
        self.prove(&row);
        self.rows.push(row);
        open
    }

    /// Takes the end of a stored access into the batch.
    pub(crate) fn add_end(&mut self, open: &OpenRow, ended: Ended, signs: Option<&str>) {
        let facts = self.facts(open);
        self.add_bytes(&facts, self.what.tuple(open.what).category_set, Some(&ended));
        let place = self.pending.end(open.sequence as u64, ended, signs);
        let signs = signs.map(Into::into);
        self.ends.push(EndRow { sequence: open.sequence, ended, place, signs });
    }

    fn add_bytes(&mut self, facts: &Facts, category_set: u32, ended: Option<&Ended>) {
        if let Some(ended) = ended {
            let categories = &self.set_members[category_set as usize - 1].categories;
            self.rollup.bytes(facts, categories, ended.bytes_up, ended.bytes_down);
            self.rollup.ended(facts, ended);
        }
    }

    fn facts(&self, open: &OpenRow) -> Facts {
        let (person, client, level) = self.who.tuple(open.who);
        let what = self.what.tuple(open.what);
        let site = self.host_sites[what.host as usize - 1];
        Facts {
            at: open.at,
            person,
            level,
            site,
            verdict: what.verdict,
            reason: what.reason,
            depth: what.depth,
            scheme: what.scheme,
            host: what.host,
            client,
        }
    }

    /// Whether an access falls under a locked category.
    pub(crate) fn is_locked(&self, what: u32) -> bool {
        self.set_members[self.what.tuple(what).category_set as usize - 1].locked
    }

    /// Whether the batch holds anything.
    pub(crate) fn has_batch(&self) -> bool {
        !self.rows.is_empty() || !self.ends.is_empty()
    }

    /// Stores the batch, the rollups and how far journals are stored in one transaction: a kill
    /// leaves all of it or nothing. `read` tells how far each journal is read, `open_from` the
    /// lowest sequence that still waits for its end; `batch` is what [`DayFile::batch`] made.
    pub(crate) async fn commit(
        &mut self,
        read: &[(u64, Position)],
        open_from: Option<i64>,
        batch: Option<&NewBatch>,
    ) -> Result<(), sqlx::Error> {
        let positions: Vec<(u64, Position)> = read
            .iter()
            .map(|(segment, read)| {
                let stored = self.positions.get(segment);
                (*segment, stored.map_or_else(|| read.clone(), |stored| stored.advanced_to(read)))
            })
            .collect();
        let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
        let db = &mut *transaction;
        let inserts = &self.inserts;
        let text = |binder: &mut Binder, row: &(u32, Arc<str>)| {
            binder.number(row.0).put(Arc::clone(&row.1));
        };
        inserts.name.run(db, &self.names.fresh(), text).await?;
        inserts.person.run(db, &self.people.fresh(), text).await?;
        inserts.client.run(db, &self.clients.fresh(), text).await?;
        inserts.site.run(db, &self.sites.fresh(), text).await?;
        let host_sites = &self.host_sites;
        inserts
            .host
            .run(db, &self.hosts.fresh(), |binder, (id, name)| {
                binder.number(*id).put(Arc::clone(name)).number(host_sites[*id as usize - 1]);
            })
            .await?;
        let set_members = &self.set_members;
        inserts
            .category_set
            .run(db, &self.category_sets.fresh(), |binder, (id, names)| {
                binder.number(*id).put(Arc::clone(names)).put(set_members[*id as usize - 1].locked);
            })
            .await?;
        inserts
            .context
            .run(db, &self.contexts.fresh(), |binder, (id, joined)| {
                binder.number(*id);
                let mut parts = joined.splitn(3, '\n');
                (0..3).for_each(|_| {
                    binder.put(parts.next().unwrap_or_default().to_owned());
                });
            })
            .await?;
        inserts
            .who
            .run(db, &self.who.fresh(), |binder, (id, (person, client, level))| {
                let person = (*person != 0).then_some(i64::from(*person));
                binder.number(*id).put(person).number(*client).number(*level);
            })
            .await?;
        inserts
            .what
            .run(db, &self.what.fresh(), |binder, (id, what)| what.bind(binder, *id))
            .await?;
        inserts.access.run(db, &self.rows, |binder, row| row.bind(binder)).await?;
        inserts
            .access_end
            .run(db, &self.ends, |binder, end| {
                binder.number(end.sequence);
                bind_end(binder, &end.ended);
                binder.count(end.place);
            })
            .await?;
        let noted: Vec<&AccessRow> = self.rows.iter().filter(|row| row.notes.is_some()).collect();
        inserts.access_note.run(db, &noted, |binder, row| row.bind_notes(binder)).await?;
        let signed: Vec<&EndRow> = self.ends.iter().filter(|end| end.signs.is_some()).collect();
        inserts
            .end_note
            .run(db, &signed, |binder, end| {
                binder.number(end.sequence).put(end.signs.as_deref().map(str::to_owned));
            })
            .await?;
        inserts
            .batch
            .run(db, batch.as_slice(), |binder, new| {
                binder.count(new.batch.number).put(new.record.clone()).put(new.marks.clone());
            })
            .await?;
        self.rollup.store(db).await?;
        inserts
            .position
            .run(db, &positions, |binder, (segment, position)| {
                let held: Vec<u8> =
                    position.held.iter().flat_map(|offset| offset.to_le_bytes()).collect();
                binder.count(*segment).count(position.offset).put(held);
            })
            .await?;
        let numbers = [
            self.max_id as i64,
            open_from.unwrap_or(self.next_sequence),
            self.pending.next_end() as i64,
        ];
        let mut all = self.positions.clone();
        all.extend(positions.iter().cloned());
        let sum = ("bookkeeping", bookkeeping(&all, &numbers));
        let meta: Vec<_> = BOOKKEEPING.into_iter().zip(numbers).chain([sum]).collect();
        inserts
            .meta
            .run(db, &meta, |binder, (key, value)| {
                binder.put(*key).put(*value);
            })
            .await?;
        transaction.commit().await?;
        self.committed(positions);
        if batch.is_some() {
            self.pending.batched();
        }
        Ok(())
    }

    fn committed(&mut self, positions: Vec<(u64, Position)>) {
        let texts = [
            &mut self.names,
            &mut self.people,
            &mut self.clients,
            &mut self.sites,
            &mut self.hosts,
            &mut self.category_sets,
            &mut self.contexts,
        ];
        texts.into_iter().for_each(Texts::mark_stored);
        self.who.mark_stored();
        self.what.mark_stored();
        self.rows.clear();
        self.ends.clear();
        self.rollup.mark_stored();
        self.positions.extend(positions);
    }

    /// The highest id stored.
    pub(crate) fn max_id(&self) -> u64 {
        self.max_id
    }

    /// Makes everything committed durable: SQLite syncs its write-ahead log only at checkpoints.
    pub(crate) fn sync(&self) -> std::io::Result<()> {
        sync_files(&self.path)
    }

    /// Moves the write-ahead log into the file and closes it, durably. A reader that is still at work
    /// keeps the log, which is then synced: journals whose records it holds may be removed later.
    pub(crate) async fn close(mut self) -> Result<(), sqlx::Error> {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut self.connection).await?;
        self.sync()?;
        self.connection.close().await
    }

    fn context_place(&mut self, context: &Arc<Context>) -> usize {
        if let Some(place) =
            self.context_ids.iter().rposition(|ids| Arc::ptr_eq(&ids.context, context))
        {
            return place;
        }
        let joined = format!("{}\n{}\n{}", context.policy_hash, context.list_version, context.zone);
        let (id, _) = self.contexts.id(&joined);
        let levels = context.levels.iter().map(|name| self.names.id(name).0).collect();
        let ids = ContextIds { context: Arc::clone(context), id, levels, sets: HashMap::new() };
        self.context_ids.push(ids);
        self.context_ids.len() - 1
    }

    fn level(&mut self, place: usize, level: u8) -> u32 {
        match self.context_ids[place].levels.get(usize::from(level)) {
            Some(&name) => name,
            None => self.names.id(&format!("?{level}")).0,
        }
    }

    fn category_set(&mut self, place: usize, set: CategorySet) -> u32 {
        if let Some(&id) = self.context_ids[place].sets.get(&set) {
            return id;
        }
        let context = Arc::clone(&self.context_ids[place].context);
        let name = |index: usize| {
            context.categories.get(index).cloned().unwrap_or_else(|| format!("?{index}"))
        };
        let names: Vec<String> = set.iter().map(|id| name(id.index())).collect();
        let locked = !set.intersection(context.locked).is_empty();
        // A set that is locked under one policy and not under another must stay two sets.
        let joined = format!(" {} {}", names.join(" "), if locked { " " } else { "" });
        let (id, new) = self.category_sets.id(&joined);
        if new {
            let categories = names.iter().map(|name| self.names.id(name).0).collect();
            self.set_members.push(SetMembers { categories, locked });
        }
        self.context_ids[place].sets.insert(set, id);
        id
    }

    fn host(&mut self, name: &str) -> u32 {
        let (id, new) = self.hosts.id(name);
        if new {
            let host = Host::parse(name).ok();
            let site = host.as_ref().and_then(Host::registrable).unwrap_or(name);
            self.host_sites.push(self.sites.id(site).0);
        }
        id
    }
}

impl What {
    pub(crate) fn bind(&self, binder: &mut Binder, id: u32) {
        binder.number(id).number(self.context).number(self.method).number(self.scheme);
        binder.number(self.host).number(self.port).number(self.category_set);
        binder.number(self.verdict).number(self.reason);
        binder.put((self.rule != 0).then_some(i64::from(self.rule)));
        binder.put(self.unblock.map(i64::from)).number(self.depth);
    }
}

impl AccessRow {
    fn bind(&self, binder: &mut Binder) {
        binder
            .number(self.sequence)
            .count(self.id)
            .number(self.at)
            .number(self.who)
            .number(self.what);
        binder.put(self.path.clone());
        match &self.ended {
            Some(ended) => bind_end(binder, ended),
            None => (0..5).for_each(|_| {
                binder.put(None::<i64>);
            }),
        }
    }

    fn bind_notes(&self, binder: &mut Binder) {
        let notes = borrowed(self.notes.as_deref());
        bind_notes(binder, self.sequence, &notes);
    }
}

/// A row of `access_note`.
pub(crate) fn bind_notes(binder: &mut Binder, sequence: i64, notes: &Notes<'_>) {
    let Notes { words, signs } = notes;
    binder.number(sequence).put(words.map(|words| words.kind as i64));
    binder.put(words.map(|words| words.site.to_owned()));
    binder.put(words.map(|words| words.text.to_owned())).put(signs.map(str::to_owned));
}

fn bind_end(binder: &mut Binder, ended: &Ended) {
    binder.number(ended.end_number()).number(ended.status);
    binder.count(ended.bytes_up).count(ended.bytes_down).count(ended.duration_us);
}

/// What a file notes of itself at each commit, besides how far the journals are stored.
pub(crate) const BOOKKEEPING: [&str; 3] = ["max_id", "open_from", "ends"];

/// A sum over these numbers and the positions, kept beside them: a changed byte would have decisions
/// stored twice or passed over. It is no proof, which the rows alone have.
pub(crate) fn bookkeeping(positions: &HashMap<u64, Position>, numbers: &[i64; 3]) -> i64 {
    let mut sum = crc32fast::Hasher::new();
    numbers.iter().for_each(|number| sum.update(&number.to_le_bytes()));
    let mut segments: Vec<_> = positions.iter().collect();
    segments.sort_unstable_by_key(|(segment, _)| **segment);
    for (segment, position) in segments {
        sum.update(&segment.to_le_bytes());
        sum.update(&position.offset.to_le_bytes());
        position.held.iter().for_each(|offset| sum.update(&offset.to_le_bytes()));
    }
    sum.finalize().into()
}

/// The places behind the last row and the last end of a day's sealed parts.
async fn behind_sealed(folder: &Path, day: Date) -> Result<(u64, u64), sqlx::Error> {
    let parts = crate::parts::parts_of(folder, day)?;
    let Some(part) = parts.iter().rfind(|part| part.sealed) else { return Ok((0, 0)) };
    let mut connection = crate::sqlite::open_to_read(&part.database(folder)).await?;
    let next = crate::sqlite::next_places(&mut connection).await?;
    connection.close().await?;
    Ok(next)
}

async fn texts(connection: &mut SqliteConnection, sql: &'static str) -> Result<Texts, sqlx::Error> {
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    let values: Result<Vec<Arc<str>>, sqlx::Error> =
        rows.iter().map(|row| Ok(Arc::from(row.try_get::<&str, _>(0)?))).collect();
    Ok(Texts::loaded(values?))
}

pub(crate) async fn who(connection: &mut SqliteConnection) -> Result<Tuples<Who>, sqlx::Error> {
    let rows = sqlx::query("SELECT coalesce(person, 0), client, level FROM who ORDER BY id")
        .fetch_all(connection)
        .await?;
    let values: Result<Vec<Who>, sqlx::Error> =
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect();
    Ok(Tuples::loaded(values?))
}

pub(crate) async fn what(connection: &mut SqliteConnection) -> Result<Tuples<What>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT context, method, scheme, host, port, category_set, verdict, reason, coalesce(rule, 0),
           unblock, depth FROM what ORDER BY id",
    )
    .fetch_all(connection)
    .await?;
    let values: Result<Vec<What>, sqlx::Error> = rows
        .iter()
        .map(|row| {
            Ok(What {
                context: row.try_get(0)?,
                method: row.try_get(1)?,
                scheme: row.try_get(2)?,
                host: row.try_get(3)?,
                port: row.try_get(4)?,
                category_set: row.try_get(5)?,
                verdict: row.try_get(6)?,
                reason: row.try_get(7)?,
                rule: row.try_get(8)?,
                unblock: row.try_get(9)?,
                depth: row.try_get(10)?,
            })
        })
        .collect();
    Ok(Tuples::loaded(values?))
}

async fn stored(connection: &mut SqliteConnection) -> Result<Stored, sqlx::Error> {
    let seen = sqlx::query_as("SELECT hour, person FROM hour_person");
    let refused = sqlx::query_as("SELECT host, client FROM rollup_rejected WHERE host > 0");
    Ok(Stored {
        seen: seen.fetch_all(&mut *connection).await?,
        refused: refused.fetch_all(connection).await?,
    })
}

/// The inserts of one day file, prepared once.
struct Inserts {
    name: Insert,
    person: Insert,
    client: Insert,
    site: Insert,
    host: Insert,
    category_set: Insert,
    context: Insert,
    who: Insert,
    what: Insert,
    access: Insert,
    access_end: Insert,
    access_note: Insert,
    end_note: Insert,
    batch: Insert,
    position: Insert,
    meta: Insert,
}

impl Inserts {
    fn new() -> Self {
        let plain =
            |table: &str, columns| Insert::new(&format!("INSERT INTO {table}"), columns, "");
        let replace = |table: &str, columns| {
            Insert::new(&format!("INSERT OR REPLACE INTO {table}"), columns, "")
        };
        Self {
            name: plain("name", 2),
            person: plain("person", 2),
            client: plain("client", 2),
            site: plain("site", 2),
            host: plain("host", 3),
            category_set: plain("category_set", 3),
            context: plain("context", 4),
            who: plain("who", 4),
            what: plain("what", 12),
            access: plain("access", 11),
            access_end: plain("access_end", 7),
            access_note: plain("access_note", 5),
            end_note: plain("end_note", 2),
            batch: plain("batch", 3),
            position: replace("position", 3),
            meta: replace("meta", 2),
        }
    }
}
