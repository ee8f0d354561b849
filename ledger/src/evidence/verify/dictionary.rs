//! The tables that rows point to, with every value resolved: the who and the what as hashes, and the
//! numbers that the sums go by.

use crate::evidence::row::{Hash, What, Who};
use crate::record::{AsDecided, scheme_from_number};
use rules::decide::{ReasonCode, Verdict};
use rules::host::Host;
use sqlx::{Row, SqliteConnection};
use std::collections::HashMap;

/// A what: its hash, and its numbers for the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WhatEntry {
    pub(super) hash: Hash,
    pub(super) host: u32,
    pub(super) category_set: u32,
    pub(super) verdict: u8,
    pub(super) reason: u8,
    pub(super) depth: u8,
    pub(super) scheme: u8,
}

/// A who: its hash, and its numbers for the sums.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WhoEntry {
    pub(super) hash: Hash,
    pub(super) person: u32,
    pub(super) client: u32,
    pub(super) level: u32,
}

/// Everything that the rows of a day point to. What is damaged or points nowhere is left out, so that
/// its rows are named.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    pub(super) who: HashMap<i64, WhoEntry>,
    pub(super) what: HashMap<i64, WhatEntry>,
    /// Site of each host.
    pub(super) sites: HashMap<u32, u32>,
    /// Members of each category set, by number of their names.
    pub(super) members: HashMap<u32, Vec<u32>>,
    /// What is wrong with the tables themselves.
    pub(crate) faults: Vec<String>,
}

type Texts = HashMap<i64, String>;

impl Dictionary {
    /// Reads the tables of a day's file.
    pub(crate) async fn read(db: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let mut dictionary = Self::default();
        let names = texts(db, "SELECT id, value FROM name").await?;
        let people = texts(db, "SELECT id, name FROM person").await?;
        let clients = texts(db, "SELECT id, address FROM client").await?;
        let hosts = dictionary.hosts(db).await?;
        let sets = dictionary.sets(db, &names).await?;
        dictionary.whos(db, &names, &people, &clients).await?;
        dictionary.whats(db, &names, &hosts, &sets).await?;
        Ok(dictionary)
    }

    /// Hosts by number. The site of each comes from its name; a table that says otherwise was changed.
    async fn hosts(&mut self, db: &mut SqliteConnection) -> Result<Texts, sqlx::Error> {
        let sites = texts(db, "SELECT id, name FROM site").await?;
        let rows = sqlx::query("SELECT id, name, site FROM host").fetch_all(&mut *db).await?;
        let mut hosts = Texts::new();
        for row in rows {
            let (Ok(id), Ok(name), Ok(site)) =
                (row.try_get::<i64, _>(0), row.try_get::<String, _>(1), row.try_get::<i64, _>(2))
            else {
                continue;
            };
            let host = Host::parse(&name).ok();
            let expected = host.as_ref().and_then(Host::registrable).unwrap_or(&name);
            match sites.get(&site) {
                Some(there) if there == expected => {}
                _ => self.faults.push(format!("the site of host {id} is not the one of its name")),
            }
            self.sites.insert(id as u32, site as u32);
            hosts.insert(id, name);
        }
        Ok(hosts)
    }

    async fn sets(
        &mut self,
        db: &mut SqliteConnection,
        names: &Texts,
    ) -> Result<HashMap<i64, (String, bool)>, sqlx::Error> {
        let numbers: HashMap<&str, u32> =
            names.iter().map(|(id, name)| (name.as_str(), *id as u32)).collect();
        let rows = sqlx::query("SELECT id, names, locked FROM category_set").fetch_all(db).await?;
        let mut sets = HashMap::new();
        for row in rows {
            let (Ok(id), Ok(joined), Ok(locked)) =
                (row.try_get::<i64, _>(0), row.try_get::<String, _>(1), row.try_get::<i64, _>(2))
            else {
                continue;
            };
            let own: Vec<&str> = joined.split_whitespace().collect();
            let end = if locked == 0 { " " } else { "  " };
            if !(0..=1).contains(&locked) || joined != format!(" {}{end}", own.join(" ")) {
                self.faults.push(format!("category set {id} is not as this program writes it"));
            }
            let members = own.iter().filter_map(|name| numbers.get(name).copied()).collect();
            self.members.insert(id as u32, members);
            sets.insert(id, (joined, locked != 0));
        }
        Ok(sets)
    }

    async fn whos(
        &mut self,
        db: &mut SqliteConnection,
        names: &Texts,
        people: &Texts,
        clients: &Texts,
    ) -> Result<(), sqlx::Error> {
        let rows = sqlx::query("SELECT id, person, client, level FROM who").fetch_all(db).await?;
        for row in rows {
            let read = || {
                let person: Option<i64> = row.try_get(1).ok()?;
                let (client, level): (i64, i64) = (row.try_get(2).ok()?, row.try_get(3).ok()?);
                let user = match person {
                    None => None,
                    Some(person) => Some(people.get(&person)?.as_str()),
                };
                let who = Who { user, level: names.get(&level)?, client: clients.get(&client)? };
                let entry = WhoEntry {
                    hash: who.hash(),
                    person: person.unwrap_or(0) as u32,
                    client: client as u32,
                    level: level as u32,
                };
                Some((row.try_get(0).ok()?, entry))
            };
            self.who.extend(read());
        }
        Ok(())
    }

    async fn whats(
        &mut self,
        db: &mut SqliteConnection,
        names: &Texts,
        hosts: &Texts,
        sets: &HashMap<i64, (String, bool)>,
    ) -> Result<(), sqlx::Error> {
        let mut contexts: HashMap<i64, [String; 3]> = HashMap::new();
        let rows = sqlx::query("SELECT id, policy_hash, list_version, zone FROM context");
        for row in rows.fetch_all(&mut *db).await? {
            let text = |column| row.try_get::<String, _>(column);
            if let (Ok(id), Ok(policy), Ok(lists), Ok(zone)) =
                (row.try_get(0), text(1), text(2), text(3))
            {
                contexts.insert(id, [policy, lists, zone]);
            }
        }
        let rows = sqlx::query(
            "SELECT id, context, method, scheme, host, port, category_set, verdict, reason, rule,
               unblock, depth FROM what",
        )
        .fetch_all(db)
        .await?;
        for row in rows {
            let read = || {
                let number = |column| row.try_get::<i64, _>(column).ok();
                let small = |column| u8::try_from(number(column)?).ok();
                let optional = |column| row.try_get::<Option<i64>, _>(column).ok();
                let [policy_hash, list_version, zone] = contexts.get(&number(1)?)?;
                let (joined, locked) = sets.get(&number(6)?)?;
                let rule = match optional(9)? {
                    None => None,
                    Some(rule) => Some(names.get(&rule)?.as_str()),
                };
                let unblock = match optional(10)? {
                    None => None,
                    Some(unblock) => Some(u32::try_from(unblock).ok()?),
                };
                let verdict = match small(7)? {
                    0 => Verdict::Allow,
                    1 => Verdict::Block,
                    _ => return None,
                };
                let what = What {
                    policy_hash,
                    list_version,
                    zone,
                    method: names.get(&number(2)?)?,
                    scheme: scheme_from_number(small(3)?)?,
                    host: hosts.get(&number(4)?)?,
                    port: u16::try_from(number(5)?).ok()?,
                    categories: joined.split_whitespace().collect(),
                    locked: *locked,
                    verdict,
                    reason: ReasonCode::from_number(small(8)?)?,
                    rule,
                    unblock,
                    known: AsDecided::from_number(small(11)?)?,
                };
                let entry = WhatEntry {
                    hash: what.hash(),
                    host: number(4)? as u32,
                    category_set: number(6)? as u32,
                    verdict: small(7)?,
                    reason: small(8)?,
                    depth: small(11)?,
                    scheme: small(3)?,
                };
                Some((number(0)?, entry))
            };
            self.what.extend(read());
        }
        Ok(())
    }
}

async fn texts(db: &mut SqliteConnection, sql: &'static str) -> Result<Texts, sqlx::Error> {
    let rows = sqlx::query(sql).fetch_all(db).await?;
    // What cannot be read points nowhere: the rows that need it are named.
    let text = |row: &sqlx::sqlite::SqliteRow| Some((row.try_get(0).ok()?, row.try_get(1).ok()?));
    Ok(rows.iter().filter_map(text).collect())
}
