//! The texts of a day's file by the numbers that its rows have, and rows with everything named.

use crate::day_file::{What, Who, what, who};
use crate::notes::{Notes, Words, WordsKind};
use crate::record::{AsDecided, Depth, Ended, scheme_from_number};
use rules::decide::{ReasonCode, Verdict};
use serde::{Deserialize, Serialize};
use sqlx::{Row as _, SqliteConnection};

/// A row as the day's file holds it, in numbers; its end beside it, wherever it stood.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Stored<'a> {
    pub(crate) sequence: i64,
    pub(crate) id: i64,
    pub(crate) at: i64,
    pub(crate) who: u32,
    pub(crate) what: u32,
    #[serde(borrow)]
    pub(crate) path: Option<&'a str>,
    #[serde(borrow)]
    pub(crate) end: StoredEnd<'a>,
    #[serde(borrow)]
    pub(crate) notes: StoredNotes<'a>,
}

/// Words and signs in numbers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoredNotes<'a> {
    /// Kind, site and words of a search.
    #[serde(borrow)]
    pub(crate) words: Option<(u8, &'a str, &'a str)>,
    pub(crate) signs: Option<&'a str>,
}

impl<'a> From<Notes<'a>> for StoredNotes<'a> {
    fn from(notes: Notes<'a>) -> Self {
        let words = notes.words.map(|words| (words.kind as u8, words.site, words.text));
        Self { words, signs: notes.signs }
    }
}

impl<'a> StoredNotes<'a> {
    /// With its kind named.
    pub(crate) fn named(self) -> Result<Notes<'a>, sqlx::Error> {
        let words = |(kind, site, text)| {
            let kind = WordsKind::from_number(kind).ok_or_else(|| unknown("kind of words"))?;
            Ok::<_, sqlx::Error>(Words { text, kind, site })
        };
        Ok(Notes { words: self.words.map(words).transpose()?, signs: self.signs })
    }
}

/// An end in numbers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct StoredEnd<'a> {
    /// [`Ended::end_number`].
    pub(crate) number: u8,
    pub(crate) status: u16,
    pub(crate) bytes_up: i64,
    pub(crate) bytes_down: i64,
    pub(crate) duration_us: i64,
    /// Place among the day's ends that came by themselves.
    pub(crate) place: Option<i64>,
    /// Signs that came with an end by itself.
    pub(crate) signs: Option<&'a str>,
}

/// The small tables of a day's file.
#[derive(Debug)]
pub(crate) struct Tables {
    names: Vec<String>,
    people: Vec<String>,
    clients: Vec<String>,
    hosts: Vec<String>,
    category_sets: Vec<(String, bool)>,
    contexts: Vec<[String; 3]>,
    who: Vec<Who>,
    what: Vec<What>,
    /// Place of each person in the order of names; nobody (0) comes last.
    ranks: Vec<u32>,
}

impl Tables {
    /// Reads them.
    pub(crate) async fn load(db: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let people = texts(db, "SELECT name FROM person ORDER BY id").await?;
        let mut by_name: Vec<usize> = (0..people.len()).collect();
        by_name.sort_unstable_by(|one, other| people[*one].cmp(&people[*other]));
        let mut ranks = vec![u32::MAX; people.len() + 1];
        by_name.into_iter().zip(0..).for_each(|(person, rank)| ranks[person + 1] = rank);
        let sets = sqlx::query("SELECT names, locked FROM category_set ORDER BY id");
        let contexts =
            sqlx::query("SELECT policy_hash, list_version, zone FROM context ORDER BY id");
        Ok(Self {
            names: texts(db, "SELECT value FROM name ORDER BY id").await?,
            clients: texts(db, "SELECT address FROM client ORDER BY id").await?,
            hosts: texts(db, "SELECT name FROM host ORDER BY id").await?,
            category_sets: sets
                .fetch_all(&mut *db)
                .await?
                .iter()
                .map(|row| {
                    let names = row.try_get::<&str, _>(0)?.split_whitespace();
                    Ok((names.collect::<Vec<_>>().join(" "), row.try_get(1)?))
                })
                .collect::<Result<_, sqlx::Error>>()?,
            contexts: contexts
                .fetch_all(&mut *db)
                .await?
                .iter()
                .map(|row| Ok([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?]))
                .collect::<Result<_, sqlx::Error>>()?,
            who: who(db).await?.into_values(),
            what: what(db).await?.into_values(),
            people,
            ranks,
        })
    }

    /// By what a row is sorted: person in the order of names, time, place.
    pub(crate) fn key(&self, who: u32, at: i64, sequence: i64) -> Result<Key, sqlx::Error> {
        let (person, ..) = *numbered(&self.who, who)?;
        let rank = self.ranks.get(person as usize).copied();
        Ok((rank.ok_or_else(unnamed)?, at, sequence))
    }

    /// A row with everything named.
    pub(crate) fn row<'a>(&'a self, stored: &Stored<'a>) -> Result<sealed::Row<'a>, sqlx::Error> {
        let (person, client, level) = *numbered(&self.who, stored.who)?;
        let what = numbered(&self.what, stored.what)?;
        let (categories, locked) = numbered(&self.category_sets, what.category_set)?;
        let [policy_hash, list_version, zone] = numbered(&self.contexts, what.context)?;
        let scheme = scheme_from_number(what.scheme).ok_or_else(|| unknown("scheme"))?;
        let reason = ReasonCode::from_number(what.reason).ok_or_else(|| unknown("reason"))?;
        let known = AsDecided::from_number(what.depth).ok_or_else(|| unknown("depth"))?;
        let verdict = if what.verdict == 0 { Verdict::Allow } else { Verdict::Block };
        let notes = stored.notes.named()?;
        let (end, end_depth) = Ended::parts(stored.end.number).ok_or_else(|| unknown("end"))?;
        Ok(sealed::Row {
            sequence: stored.sequence,
            id: stored.id,
            at: stored.at,
            user: (person != 0)
                .then(|| numbered(&self.people, person))
                .transpose()?
                .map(|name| &**name),
            level: numbered(&self.names, level)?,
            client: numbered(&self.clients, client)?,
            method: numbered(&self.names, what.method)?,
            scheme: scheme.as_str(),
            host: numbered(&self.hosts, what.host)?,
            port: what.port,
            path: stored.path,
            categories,
            locked: *locked,
            verdict: verdict.as_str(),
            reason: reason.as_str(),
            rule: (what.rule != 0)
                .then(|| numbered(&self.names, what.rule))
                .transpose()?
                .map(|rule| &**rule),
            unblock: what.unblock,
            depth: known.as_str(),
            policy_hash,
            list_version,
            zone,
            ended: Some(sealed::Ended {
                end: end.as_str(),
                depth: end_depth.map(Depth::as_str),
                status: stored.end.status,
                bytes_up: stored.end.bytes_up,
                bytes_down: stored.end.bytes_down,
                duration_us: stored.end.duration_us,
                place: stored.end.place,
                signs: stored.end.signs,
            }),
            words: notes.words.map(|words| words.text),
            words_kind: notes.words.map(|words| words.kind.as_str()),
            words_site: notes.words.map(|words| words.site),
            signs: notes.signs,
        })
    }
}

/// Person in the order of names, time, place in the day.
pub(crate) type Key = (u32, i64, i64);

/// What stands under a number, from 1.
fn numbered<T>(all: &[T], number: u32) -> Result<&T, sqlx::Error> {
    (number as usize).checked_sub(1).and_then(|place| all.get(place)).ok_or_else(unnamed)
}

fn unnamed() -> sqlx::Error {
    sqlx::Error::Decode("a row with a number that no table has".into())
}

fn unknown(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("unknown {what}; written by a newer version?").into())
}

async fn texts(db: &mut SqliteConnection, sql: &'static str) -> Result<Vec<String>, sqlx::Error> {
    let rows = sqlx::query(sql).fetch_all(db).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}
