//! A day's file made anew without some of its rows: their hashes stay, and what they said is nowhere in it.
//!
//! The rows that are left, the batches, and how far journals are stored are copied into a new file, together
//! with what the rows left point to and no other text. Sums are made anew from the rows that are left. The
//! secret of the salts is not copied: see [`crate::evidence::erased`]. Deleting from the file as it is would
//! leave bytes of the rows in its free pages.

use super::Why;
use crate::evidence::batch::{Batch, root_of};
use crate::evidence::erased::{self, END, Lacks, LeftOver, ROW};
use crate::evidence::hash_of_hex;
use crate::evidence::row::{Hash, SALT_BYTES, Salt};
use crate::evidence::salt::{DaySecret, Salts};
use crate::evidence::verify::day::{Sums, leaf_of, read_ends, read_rows};
use crate::evidence::verify::dictionary::Dictionary;
use crate::insert::Insert;
use crate::notes;
use crate::parts::Part;
use crate::sealed_day::verdict_of;
use crate::sqlite::{beside, create_schema, open_rows_to_read, open_to_write, sync_files};
use jiff::civil::Date;
use rules::decide::Verdict;
use rules::hold::HoldId;
use rules::time::UnixMillis;
use sealed::Fault;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Copies everything that the rows which are left need. Numbers are given anew without gaps, since the
/// writer of a day's file numbers texts by their places.
const COPY: &str = include_str!("rewrite.sql");

/// The same of words and signs, where the old file may have some.
const COPY_NOTES: &str = "
    INSERT INTO main.access_note SELECT n.sequence, n.kind, n.site, n.words, n.signs FROM old.access_note n
      JOIN main.access a ON a.sequence = n.sequence ORDER BY n.sequence;
    INSERT INTO main.end_note SELECT n.sequence, n.signs FROM old.end_note n
      JOIN main.access_end e ON e.sequence = n.sequence ORDER BY n.sequence;";

/// One row, as far as its erasure hangs on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) is_blocked: bool,
    /// Whether it has the words of a search.
    pub(super) is_search: bool,
    pub(super) host: &'a str,
    pub(super) path: Option<&'a str>,
    pub(super) at: UnixMillis,
}

/// What is to be done with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Keep,
    Held(HoldId),
    Erase,
}

/// A day's file without the rows that were chosen, beside the one that holds them still.
#[derive(Debug)]
pub(super) struct Rewritten {
    new: PathBuf,
    /// Rows that it lacks and the old one has.
    pub(super) rows: u64,
    /// Everything that it lacks.
    pub(super) lacks: Lacks,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// Rows that are to go.
    pub(super) rows: HashSet<u64>,
    /// The first hold that keeps others.
    pub(super) held: Option<HoldId>,
}

/// Finds the rows that are to go.
pub(super) async fn choose(
    path: &Path,
    decide: &dyn Fn(&Asked<'_>) -> Choice,
) -> Result<Chosen, sqlx::Error> {
    let mut db = open_rows_to_read(path).await?;
    let has_notes = notes::are_in(&mut db).await?;
    let people = "SELECT o.id, p.name FROM who o LEFT JOIN person p ON p.id = o.person";
    let mut who: HashMap<i64, Option<String>> = HashMap::new();
    for row in sqlx::query(people).fetch_all(&mut db).await? {
        who.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let hosts = "SELECT w.id, w.verdict, h.name FROM what w JOIN host h ON h.id = w.host";
    let mut what: HashMap<i64, (bool, String)> = HashMap::new();
    for row in sqlx::query(hosts).fetch_all(&mut db).await? {
        what.insert(row.try_get(0)?, (row.try_get::<i64, _>(1)? != 0, row.try_get(2)?));
    }
    let (mut chosen, mut after) = (Chosen::default(), -1_i64);
    loop {
        let some = match has_notes {
            true => {
                "SELECT sequence, who, what, path, at,
                   EXISTS (SELECT 1 FROM access_note n WHERE n.sequence = access.sequence AND words IS NOT NULL)
                 FROM access WHERE sequence > ? ORDER BY sequence LIMIT 20000"
            }
            false => {
                "SELECT sequence, who, what, path, at, 0 FROM access WHERE sequence > ?
                 ORDER BY sequence LIMIT 20000"
            }
        };
        let some = sqlx::query(some).bind(after).fetch_all(&mut db).await?;
        for row in &some {
            after = row.try_get(0)?;
            let (user, (is_blocked, host)) =
                match (who.get(&row.try_get(1)?), what.get(&row.try_get(2)?)) {
                    (Some(user), Some(what)) => (user.as_deref(), what),
                    _ => {
                        let what = format!("row {after} points nowhere");
                        return Err(sqlx::Error::Decode(what.into()));
                    }
                };
            let (path, at) = (row.try_get(3)?, UnixMillis(row.try_get(4)?));
            let (is_blocked, is_search) = (*is_blocked, row.try_get(5)?);
            chosen.take(after, decide(&Asked { user, is_blocked, is_search, host, path, at }));
        }
        if some.is_empty() {
            db.close().await?;
            return Ok(chosen);
        }
    }
}

/// As [`choose`], of the file of a sealed part's rows.
pub(super) fn choose_sealed(
    file: &Path,
    decide: &dyn Fn(&Asked<'_>) -> Choice,
) -> Result<Chosen, sealed::Error> {
    let file = sealed::File::open(file)?;
    let mut chosen = Chosen::default();
    for number in 0..file.groups() {
        let group = file.group(number);
        for place in 0..group.rows() {
            let row = group.row(place)?;
            let verdict = verdict_of(row.verdict).ok_or_else(|| sealed::Error {
                path: file.path().to_owned(),
                source: Fault::Content { column: "verdict", what: "a word that is none" },
            })?;
            let asked = Asked {
                user: row.user,
                is_blocked: verdict == Verdict::Block,
                is_search: row.words.is_some(),
                host: row.host,
                path: row.path,
                at: UnixMillis(row.at),
            };
            chosen.take(row.sequence, decide(&asked));
        }
    }
    Ok(chosen)
}

impl Chosen {
    fn take(&mut self, sequence: i64, choice: Choice) {
        match choice {
            Choice::Keep => {}
            Choice::Held(hold) => self.held = self.held.or(Some(hold)),
            Choice::Erase => drop(self.rows.insert(sequence as u64)),
        }
    }
}

/// Makes the new file beside the old one. Nothing is changed until [`Rewritten::install`].
pub(super) async fn rewrite(
    path: &Path,
    day: Date,
    chosen: &HashSet<u64>,
) -> Result<Rewritten, Why> {
    let new = path.with_extension("erasing");
    let made = async {
        remove(&new)?;
        crate::folder::make_private_file(&new)?;
        let mut old = open_rows_to_read(path).await?;
        let mut db = open_to_write(&new).await?;
        create_schema(&mut db, day).await?;
        let text = path.to_str().ok_or_else(|| decode("its path is no text".to_owned()))?;
        sqlx::query("ATTACH ? AS old").bind(text).execute(&mut db).await?;
        let lacks = fill(&mut old, &mut db, chosen).await?;
        old.close().await?;
        sqlx::raw_sql("DETACH old").execute(&mut db).await?;
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut db).await?;
        db.close().await?;
        whole(&new)?;
        sync_files(&new)?;
        Ok::<_, sqlx::Error>(lacks)
    };
    match made.await {
        Ok(lacks) => Ok(Rewritten { new, rows: chosen.len() as u64, lacks }),
        Err(error) => {
            let _ = remove(&new);
            Err(Why::Damaged(error.to_string()))
        }
    }
}

impl Rewritten {
    /// Puts the new file in the place of the old one, durably.
    pub(super) async fn install(self, path: &Path) -> Result<(), sqlx::Error> {
        // What SQLite keeps beside the old file would be taken for the new one's.
        let mut old = open_to_write(path).await?;
        sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut old).await?;
        old.close().await?;
        whole(path)?;
        for suffix in ["-wal", "-shm"] {
            match std::fs::remove_file(beside(path, suffix)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        std::fs::rename(&self.new, path)?;
        if let Some(folder) = path.parent() {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Puts the new file in the place of a sealed part. It is in force from the moment that the sums of the
    /// sealed part are gone; cut short before that, the sealed part is as it was, and after that only its
    /// rows are left to remove, which the next run does.
    pub(super) fn install_unsealed(self, access: &Path, part: Part) -> std::io::Result<()> {
        let folder = || std::fs::File::open(access)?.sync_all();
        let file = Part { sealed: false, ..part }.database(access);
        remove(&file)?;
        std::fs::rename(&self.new, &file)?;
        folder()?;
        std::fs::remove_file(part.database(access))?;
        folder()?;
        std::fs::remove_file(part.rows(access))?;
        folder()
    }

    /// Takes the new file away again.
    pub(super) fn drop_it(self) -> std::io::Result<()> {
        remove(&self.new)
    }
}

/// Whether everything stands in the file itself.
fn whole(path: &Path) -> std::io::Result<()> {
    match std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0) {
        true => {
            let what = format!("{}: its write-ahead log is in use; try again", path.display());
            Err(std::io::Error::other(what))
        }
        false => Ok(()),
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn decode(what: String) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

/// Leaves and salts, by kind and place, that wait to be stored.
#[derive(Default)]
struct Waiting {
    erased: Vec<(i64, u64, Hash)>,
    salts: Vec<(i64, u64, Salt)>,
}

async fn fill(
    old: &mut SqliteConnection,
    db: &mut SqliteConnection,
    chosen: &HashSet<u64>,
) -> Result<Lacks, sqlx::Error> {
    sqlx::query("BEGIN").execute(&mut *old).await?;
    let version: i64 = sqlx::query("PRAGMA user_version").fetch_one(&mut *old).await?.try_get(0)?;
    // Deferred, so that only the new file is locked for writing: a day that was brought back from a backup has
    // no write-ahead log, and could not be locked beside the reader of its batches.
    let mut new = db.begin().await?;
    sqlx::raw_sql(erased::SCHEMA).execute(&mut *new).await?;
    let batches = batches(old).await?;
    prove(old, &mut new, version, &batches, chosen).await?;
    sqlx::raw_sql(COPY).execute(&mut *new).await?;
    if version >= notes::FIRST_WITH_NOTES {
        sqlx::raw_sql(COPY_NOTES).execute(&mut *new).await?;
    }
    sum_up(&mut new, &batches).await?;
    let now = erased::VERSION_WITH_NOTES;
    let sql = format!("PRAGMA user_version = {now}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *new).await?;
    let lacks = Lacks::read(&mut new, now).await?.unwrap_or_default();
    new.commit().await?;
    Ok(lacks)
}

async fn batches(db: &mut SqliteConnection) -> Result<Vec<Batch>, sqlx::Error> {
    let rows = sqlx::query("SELECT record FROM batch ORDER BY number").fetch_all(db).await?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        let batch = Batch::read(row.try_get(0)?);
        batch.ok_or_else(|| decode("the record of a batch was altered".to_owned()))
    };
    rows.iter().map(read).collect()
}

/// Stores the leaves of what goes and the salts of what stays, and proves each batch while its rows are
/// there: a day that was altered is evidence of something, and stays.
async fn prove(
    old: &mut SqliteConnection,
    new: &mut SqliteConnection,
    version: i64,
    batches: &[Batch],
    chosen: &HashSet<u64>,
) -> Result<(), sqlx::Error> {
    let secret = sqlx::query("SELECT value FROM meta WHERE key = 'secret'").fetch_one(&mut *old);
    let secret: DaySecret = secret
        .await?
        .try_get::<&[u8], _>(0)?
        .try_into()
        .map_err(|_| decode("the secret of its salts is damaged".to_owned()))?;
    let mut salts = Salts::new(&secret);
    let dictionary = Dictionary::read(old).await?;
    // They are of the old numbers, and not used.
    let mut sums = Sums::new(&dictionary);
    let (ends, misplaced) = read_ends(old, 0).await?;
    if !misplaced.is_empty() {
        return Err(decode("an end has no place of its own".to_owned()));
    }
    let erased = Insert::new("INSERT INTO erased", 3, "");
    let salt = Insert::new("INSERT INTO salt", 3, "");
    for batch in batches {
        let left = LeftOver::of(old, version, batch).await?;
        let mut waiting = Waiting::default();
        let mut leaves = Vec::with_capacity((batch.rows + batch.ends) as usize);
        let rows = read_rows(old, batch.first_row, batch.next_row()).await;
        for (place, row) in (batch.first_row..batch.next_row()).zip(rows) {
            let salt = left.row_salt(place).unwrap_or_else(|| salts.row(place));
            let made = row.and_then(|row| leaf_of(&row, place, &dictionary, &salt, &mut sums));
            leaves.push(waiting.take(
                ROW,
                place,
                made,
                left.row(place),
                salt,
                chosen.contains(&place),
            )?);
        }
        for place in batch.first_end..batch.next_end() {
            let salt = left.end_salt(place).unwrap_or_else(|| salts.end(place));
            let end = ends.get(place as usize).and_then(Option::as_ref);
            let goes = end.is_some_and(|end| chosen.contains(&end.row));
            let made =
                end.map(|end| end.end(place).leaf(&salt, &mut Vec::with_capacity(SALT_BYTES + 64)));
            leaves.push(waiting.take(END, place, made, left.end(place), salt, goes)?);
        }
        if Some(root_of(&leaves)?) != hash_of_hex(&batch.root) {
            let what = format!("the rows of batch {} are not those that were signed", batch.number);
            return Err(decode(what));
        }
        let bind = |binder: &mut crate::insert::Binder, kind: i64, place: u64, bytes: &[u8]| {
            binder.number(kind).count(place).put(bytes.to_vec());
        };
        erased.run(new, &waiting.erased, |it, (kind, at, leaf)| bind(it, *kind, *at, leaf)).await?;
        salt.run(new, &waiting.salts, |it, (kind, at, salt)| bind(it, *kind, *at, salt)).await?;
    }
    Ok(())
}

impl Waiting {
    /// Takes in a row or an end with the leaf that it makes, or else the one that it left; gives the leaf.
    fn take(
        &mut self,
        kind: i64,
        place: u64,
        made: Option<Hash>,
        left: Option<Hash>,
        salt: Salt,
        goes: bool,
    ) -> Result<Hash, sqlx::Error> {
        match (made, left) {
            (Some(leaf), _) if goes => self.erased.push((kind, place, leaf)),
            (Some(_), _) => self.salts.push((kind, place, salt)),
            (None, Some(leaf)) => self.erased.push((kind, place, leaf)),
            (None, None) => {
                return Err(decode(format!("a row or end in place {place} cannot be read")));
            }
        }
        Ok(made.or(left).unwrap_or_default())
    }
}

/// Makes the sums of the rows that are left, in the order in which `audit verify` makes them.
async fn sum_up(db: &mut SqliteConnection, batches: &[Batch]) -> Result<(), sqlx::Error> {
    let dictionary = Dictionary::read(db).await?;
    if let Some(fault) = dictionary.faults.first() {
        return Err(decode(fault.clone()));
    }
    let mut sums = Sums::new(&dictionary);
    let (ends, _) = read_ends(db, 0).await?;
    let salt = Salt::default();
    for batch in batches {
        let rows = read_rows(db, batch.first_row, batch.next_row()).await;
        for (place, row) in (batch.first_row..batch.next_row()).zip(rows) {
            // The leaf is not used: what a row is counted under is.
            row.and_then(|row| leaf_of(&row, place, &dictionary, &salt, &mut sums));
        }
        for place in batch.first_end..batch.next_end() {
            if let Some(end) = ends.get(place as usize).and_then(Option::as_ref) {
                sums.end(end.row, &end.ended);
            }
        }
    }
    sums.store(db).await
}
