//! One part of a sealed day: the database of its sums and batches, and the Parquet file of its rows.
//!
//! Each row is made again from the columns of the file, put in its place, and hashed; the rest is as
//! for an open day.

use super::day::{Checking, DayFound, Meta, Named, Starts, schema_differences, structure};
use super::{ACCESSES, Report, spans};
use crate::evidence::batch::Batch;
use crate::evidence::hex;
use crate::evidence::row::Hash;
use crate::evidence::salt::{DaySecret, Salts};
use crate::evidence::sealed_rows::{Gathered, Made, Reader, is_too_large, passes};
use crate::parts::Part;
use crate::record::AsDecided;
use crate::record::Ended;
use crate::rollup::{Facts, Rollup, Stored};
use crate::seal::sums;
use crate::sealed_day::{scheme_of, verdict_of};
use crate::sqlite::{open_rows_to_read, schemas};
use rules::decide::{ReasonCode, Verdict};
use rules::host::Host;
use sha2::{Digest, Sha256};
use sqlx::{Connection, Row, SqliteConnection};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Most places that are told of one by one where something stands that belongs nowhere.
const MOST_STRAYS: usize = 100;

/// Checks a sealed part. `rows`: whether its rows are hashed again.
pub(super) async fn check(
    folder: &Path,
    part: Part,
    rows: bool,
    kept: &dyn Fn(u64) -> Option<Hash>,
    report: &mut Report,
) -> DayFound {
    let (database, file) = (part.database(folder), part.rows(folder));
    let name = |path: &Path| {
        path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned()
    };
    let (sums_name, rows_name) = (name(&database), name(&file));
    let mut checking =
        Checking { day: part.day, file: &sums_name, report, found: DayFound::default(), kept };
    match open_rows_to_read(&database).await {
        Err(error) => checking.name("the file", format!("it cannot be read: {error}")),
        Ok(mut connection) => {
            let names = (sums_name.as_str(), rows_name.as_str());
            if let Err(error) = checking.run_sealed(&mut connection, names, &file, rows).await {
                checking.name("the file", format!("it cannot be read: {error}"));
            }
            let _ = connection.close().await;
        }
    }
    checking.found
}

/// What the rows of a part come to, beside their leaves.
#[derive(Default)]
struct Seen {
    rows: u64,
    max_id: i64,
    /// Rows in places that no batch holds.
    strays: Vec<u64>,
    /// Places that several rows or ends have.
    twice: Named,
    /// Rows that say what no row does.
    senseless: u64,
}

impl<'a> Checking<'a> {
    async fn run_sealed(
        &mut self,
        db: &mut SqliteConnection,
        (sums_name, rows_name): (&'a str, &'a str),
        file: &Path,
        rows: bool,
    ) -> Result<(), sqlx::Error> {
        let before = self.report.problems.len();
        structure(db, ACCESSES, self.file, self.report).await;
        self.found.named |= self.report.problems.len() > before;
        let version: i64 =
            sqlx::query("PRAGMA user_version").fetch_one(&mut *db).await?.try_get(0)?;
        match schemas(version).filter(|_| !crate::evidence::erased::is_in(version)) {
            Some(schemas) => {
                let without = [sums::OF_ROWS.as_slice(), &["access_row"]].concat();
                for what in schema_differences(db, &schemas, &without).await? {
                    self.name("the file", what);
                }
            }
            None => {
                self.name("the file", format!("it says that it is of version {version}"));
                return Ok(());
            }
        }
        if version < crate::evidence::access::FIRST_WITH_BATCHES {
            let what = format!("access log: {rows_name}, recorded before the log was proved");
            self.report.uncovered.push(what);
            let meta = Meta::read(db).await?;
            self.file = rows_name;
            if rows {
                match sealed::File::open(file) {
                    Err(error) => {
                        self.name("the file", format!("it cannot be read: {}", error.source));
                    }
                    Ok(file) => self.bytes(&file, &meta),
                }
            }
            self.found.starts = Some(Starts { row: 0, end: 0, is_proved: false });
            self.found.rows = next_row(&meta);
            return Ok(());
        }
        let Some((meta, secret)) = self.meta(db).await? else { return Ok(()) };
        self.batches(db, &meta).await?;
        if rows {
            self.sealed_rows(db, (sums_name, rows_name), file, &meta, &secret).await?;
            self.file = sums_name;
        } else {
            self.found.rows = self.found.rows.max(next_row(&meta));
            self.found.ends = self.found.ends.max(meta.ends);
        }
        Ok(())
    }

    /// Whether the file of the rows is the one that was written, byte for byte.
    fn bytes(&mut self, file: &sealed::File, meta: &Meta) {
        let mut hash = Sha256::new();
        match file.bytes(|bytes| hash.update(bytes)).map(|()| hex(&hash.finalize())) {
            Err(error) => self.name("the file", format!("it cannot be read: {error}")),
            Ok(hash) if Some(&hash) != meta.sealed_hash.as_ref() => {
                self.name("the file", "it is not the one that was written when the day was sealed");
            }
            Ok(_) => {}
        }
    }

    async fn sealed_rows(
        &mut self,
        db: &mut SqliteConnection,
        (sums_name, rows_name): (&'a str, &'a str),
        path: &Path,
        meta: &Meta,
        secret: &DaySecret,
    ) -> Result<(), sqlx::Error> {
        let before = self.found.named;
        self.found.named = false;
        self.file = rows_name;
        let file = match sealed::File::open(path) {
            Ok(file) => file,
            Err(error) => {
                let rows = super::plural("row", (meta.first_row, next_row(meta).max(1) - 1));
                let what = format!("it cannot be read, and {rows} with it: {}", error.source);
                self.name("the file", what);
                self.file = sums_name;
                return Ok(());
            }
        };
        let mut names = Names::read(db).await?;
        let mut seen = Seen::default();
        let salts = Salts::new(secret);
        let batches = std::mem::take(&mut self.found.batches);
        let (large, fitting): (Vec<_>, Vec<_>) =
            batches.iter().cloned().partition(|(_, _, batch)| is_too_large(batch, file.rows()));
        for (number, _, batch) in &large {
            let what = format!(
                "it tells of {} rows and {} ends, where the file has {} rows",
                batch.rows,
                batch.ends,
                file.rows()
            );
            self.name(format!("batch {number}"), what);
        }
        let records: Vec<Batch> = fitting.iter().map(|(_, _, batch)| batch.clone()).collect();
        let mut passes = passes(&records);
        if passes.is_empty() {
            // What is in no batch is looked at all the same.
            passes.push(0..0);
        }
        let mut missing = Named::default();
        for (turn, pass) in passes.into_iter().enumerate() {
            let mut gathered = Gathered::over(records[pass.clone()].iter());
            for number in 0..file.groups() {
                let first = (turn == 0).then_some((&mut names, &*records, meta));
                self.group(&file, number, &salts, &mut gathered, &mut seen, first);
            }
            for (number, leaf, batch) in &fitting[pass] {
                let found = gathered.leaves(batch);
                let lacking = lacking(batch, &found);
                let leaves: Vec<Hash> = found.into_iter().map(Option::unwrap_or_default).collect();
                self.batch(db, *number, leaf, batch, &leaves, lacking, &mut missing).await?;
            }
        }
        self.found.batches = batches;
        self.tell_missing(&missing);
        self.tell_seen(seen, meta, file.rows());
        self.bytes(&file, meta);
        self.file = sums_name;
        for fault in &names.faults {
            self.name("a table of names", fault);
        }
        if !self.found.named && meta.is_whole() {
            for what in names.rollup.differences(db).await? {
                self.name("the sums for reports", what);
            }
        }
        self.found.named |= before;
        Ok(())
    }

    /// Takes in one row group; `first`: what is made of each row once.
    fn group(
        &mut self,
        file: &sealed::File,
        number: usize,
        salts: &Salts,
        gathered: &mut Gathered,
        seen: &mut Seen,
        mut first: Option<(&mut Names, &[Batch], &Meta)>,
    ) {
        let group = file.group(number);
        if first.is_some()
            && let Ok(Some(column)) = group.misleading()
        {
            let what = format!("what it says of its column \"{column}\" is not what its rows say");
            self.name(format!("row group {number}"), what);
        }
        let mut reader = Reader::new(&group);
        for place in 0..group.rows() {
            let made = match reader.read(place) {
                Ok(made) => made,
                Err(error) => {
                    if first.is_some() {
                        let what = format!(
                            "it cannot be read, with {} rows: {}",
                            group.rows(),
                            error.source
                        );
                        self.name(format!("row group {number}"), what);
                    }
                    return;
                }
            };
            let alone = match &made {
                None => (true, true),
                Some(made) => gathered.take(made, salts),
            };
            if let Some(made) = &made {
                if !alone.0 {
                    seen.twice.rows.push(made.row.number);
                }
                if let Some(end) = made.end.filter(|_| !alone.1) {
                    seen.twice.ends.push(end.place);
                }
            }
            let Some((names, batches, meta)) = &mut first else { continue };
            let Some(made) = made else {
                seen.senseless += 1;
                continue;
            };
            seen.rows += 1;
            seen.max_id = seen.max_id.max(made.values.id);
            let number = made.row.number;
            let is_unproved = (meta.first_row..meta.proved_from).contains(&number);
            if !is_unproved && !is_in(batches, number) {
                seen.strays.push(number);
            }
            names.count(&made);
        }
    }

    fn tell_seen(&mut self, mut seen: Seen, meta: &Meta, rows: u64) {
        if seen.senseless > 0 {
            self.name("a row", format!("{} say what no row says", seen.senseless));
        }
        for (word, mut places) in [("row", seen.twice.rows), ("end", seen.twice.ends)] {
            places.sort_unstable();
            places.dedup();
            for run in spans(places).into_iter().take(MOST_STRAYS) {
                self.name(super::plural(word, run), "put in: there are two in this place");
            }
        }
        seen.strays.sort_unstable();
        seen.strays.dedup();
        // Where a batch's record says nothing any more, that was said.
        if self.found.unread.is_empty() {
            for run in spans(seen.strays).into_iter().take(MOST_STRAYS) {
                self.name(super::plural("row", run), "put in: no batch holds it");
            }
        }
        let stated = meta.numbers.get(sums::ROWS).copied().unwrap_or(-1);
        if u64::try_from(stated) != Ok(rows) && !self.found.named {
            self.name("the file", format!("it has {rows} rows, where its sums say {stated}"));
        }
        if self.found.ends != meta.ends && !self.found.named {
            let what = format!(
                "{} ends came by themselves, where its sums say {}",
                self.found.ends, meta.ends
            );
            self.name("the file", what);
        }
        if self.found.rows != next_row(meta) && self.found.unread.is_empty() && !self.found.named {
            let what = format!(
                "its last row is {}, where its sums say that {} is next",
                self.found.rows.max(1) - 1,
                next_row(meta)
            );
            self.name("the file", what);
        }
        if seen.max_id != meta.max_id && seen.rows > 0 && !self.found.named {
            let what =
                format!("its sums say that {} is its highest id, which it is not", meta.max_id);
            self.name("the file", what);
        }
    }
}

/// The place behind the part's last row.
fn next_row(meta: &Meta) -> u64 {
    meta.numbers.get(sums::NEXT_SEQUENCE).map_or(0, |next| (*next).max(0) as u64)
}

/// Whether one of the batches, which are in the order of their rows, holds a row.
fn is_in(batches: &[Batch], row: u64) -> bool {
    let behind = batches.partition_point(|batch| batch.next_row() <= row);
    batches.get(behind).is_some_and(|batch| batch.first_row <= row)
}

fn lacking(batch: &Batch, found: &[Option<Hash>]) -> Named {
    let mut lacking = Named::default();
    for (at, _) in (0..).zip(found).filter(|(_, leaf)| leaf.is_none()) {
        match at < batch.rows {
            true => lacking.rows.push(batch.first_row + at),
            false => lacking.ends.push(batch.first_end + at - batch.rows),
        }
    }
    lacking
}

/// The numbers that the sums go by, by name, and the sums that the rows come to.
struct Names {
    names: HashMap<String, u32>,
    people: HashMap<String, u32>,
    clients: HashMap<String, u32>,
    /// Number, and that of its site.
    hosts: HashMap<String, (u32, u32)>,
    rollup: Rollup,
    faults: Vec<String>,
    unnamed: HashSet<String>,
}

impl Names {
    async fn read(db: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let sites: HashMap<u32, String> = texts(db, "SELECT name, id FROM site")
            .await?
            .into_iter()
            .map(|(name, id)| (id, name))
            .collect();
        let mut names = Self {
            names: texts(db, "SELECT value, id FROM name").await?,
            people: texts(db, "SELECT name, id FROM person").await?,
            clients: texts(db, "SELECT address, id FROM client").await?,
            hosts: HashMap::new(),
            rollup: Rollup::new(Stored::default()),
            faults: Vec::new(),
            unnamed: HashSet::new(),
        };
        for row in sqlx::query("SELECT name, id, site FROM host").fetch_all(db).await? {
            let (Ok(name), Ok(id), Ok(site)) =
                (row.try_get::<String, _>(0), row.try_get::<u32, _>(1), row.try_get::<u32, _>(2))
            else {
                continue;
            };
            let host = Host::parse(&name).ok();
            let expected = host.as_ref().and_then(Host::registrable).unwrap_or(&name);
            if sites.get(&site).map(String::as_str) != Some(expected) {
                names.faults.push(format!("the site of host {id} is not the one of its name"));
            }
            names.hosts.insert(name, (id, site));
        }
        Ok(names)
    }

    /// Takes a row into the sums.
    fn count(&mut self, made: &Made<'_>) {
        let values = &made.values;
        let number = |names: &HashMap<String, u32>, name: &str| names.get(name).copied();
        let mut members = Vec::new();
        let mut facts = || {
            let (host, site) = self.hosts.get(values.host).copied().ok_or(values.host)?;
            for name in values.categories.split_whitespace() {
                members.push(number(&self.names, name).ok_or(name)?);
            }
            Ok::<_, &str>(Facts {
                at: values.at,
                person: match values.user {
                    None => 0,
                    Some(user) => number(&self.people, user).ok_or(user)?,
                },
                level: number(&self.names, values.level).ok_or(values.level)?,
                site,
                verdict: u8::from(verdict_of(values.verdict) == Some(Verdict::Block)),
                reason: ReasonCode::from_word(values.reason).ok_or(values.reason)? as u8,
                depth: AsDecided::from_word(values.depth).ok_or(values.depth)?.number(),
                scheme: scheme_of(values.scheme)
                    .map(crate::record::scheme_number)
                    .ok_or(values.scheme)?,
                host,
                client: number(&self.clients, values.client).ok_or(values.client)?,
            })
        };
        let facts = match facts() {
            Ok(facts) => facts,
            Err(name) => {
                // A row that was altered is named for itself; a name taken away is named here, once.
                if self.unnamed.len() < MOST_STRAYS && self.unnamed.insert(name.to_owned()) {
                    self.faults.push(format!("it lacks {name:?}, which a row names"));
                }
                return;
            }
        };
        self.rollup.request(&facts, &members, made.row.ended.map(|ended| ended.status));
        let ended: Option<Ended> = made.row.ended.or(made.end.map(|end| end.ended));
        if let Some(ended) = ended {
            self.rollup.bytes(&facts, &members, ended.bytes_up, ended.bytes_down);
            self.rollup.ended(&facts, &ended);
        }
    }
}

async fn texts(
    db: &mut SqliteConnection,
    sql: &'static str,
) -> Result<HashMap<String, u32>, sqlx::Error> {
    let rows = sqlx::query(sql).fetch_all(db).await?;
    // What cannot be read names nothing: the rows that need it are told of.
    let text = |row: &sqlx::sqlite::SqliteRow| Some((row.try_get(0).ok()?, row.try_get(1).ok()?));
    Ok(rows.iter().filter_map(text).collect())
}
