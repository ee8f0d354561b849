//! The user store: who may sign in with a name and password, with level, groups and sanctions.
//!
//! Users lie in the change log's file, so that a change to a user and the entry that records it
//! become durable together. Passwords are kept only as Argon2id hashes and appear in no log, error
//! or `Debug` output.

mod import;
mod password;

use crate::changes::{AppendError, AppendWithError, ChangeLog};
use rules::access::UserFacts;
use rules::change::{ChangeEntry, Event};
use rules::time::UnixMillis;
use sqlx::{Row, SqliteConnection};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use thiserror::Error;

pub use password::{
    MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS, Password, PasswordChecker, PasswordError, dummy_phc,
    hash_password, verify_password,
};

/// Most bytes of a user name.
pub const MAX_NAME_BYTES: usize = 128;

/// A user to be added, or to be changed by an import.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Name to sign in with.
    pub name: String,
    /// Level by name; `None`: by group or network.
    pub level: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Password; `None`: cannot sign in with one.
    pub password: Option<Password>,
}

/// One user as `user list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UserRow {
    /// Name.
    pub name: String,
    /// Level by name.
    pub level: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// No internet until then; may lie in the past.
    pub banned_until: Option<UnixMillis>,
    /// When added.
    pub created_at: UnixMillis,
    /// Whether the user can sign in with a password.
    pub has_password: bool,
}

/// What a user's sign-in is checked against.
#[derive(Clone, Debug)]
pub struct KnownUser {
    /// For [`rules::policy::Policy::identify`].
    pub facts: UserFacts,
    /// Argon2id hash in PHC form; `None`: no password will do.
    pub phc: Option<Arc<str>>,
}

/// All users at one moment: part of a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Users {
    by_key: HashMap<String, KnownUser>,
}

impl Users {
    /// The user of this name, compared without case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&KnownUser> {
        self.by_key.get(&user_key(name))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// All users, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &KnownUser> {
        self.by_key.values()
    }
}

impl FromIterator<KnownUser> for Users {
    fn from_iter<T: IntoIterator<Item = KnownUser>>(users: T) -> Self {
        let by_key = users.into_iter().map(|user| (user_key(&user.facts.name), user)).collect();
        Self { by_key }
    }
}

/// Why a change to the users was not made. Nothing was changed.
#[derive(Debug, Error)]
pub enum UserError {
    /// Adding a name that exists.
    #[error("user {0} exists already; change it with set-level, or remove it first")]
    Exists(String),
    /// No such name.
    #[error("no user {0}")]
    Unknown(String),
    /// A name that cannot be signed in with.
    #[error("{name:?} cannot be a user name: {why}")]
    BadName {
        /// As given.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// Faults of an import file, each with its line; nothing was imported.
    #[error("{} in the import file; nothing was imported: {}", count(.0.len()), join(.0))]
    Import(Vec<ImportFault>),
    /// The log.
    #[error(transparent)]
    Log(#[from] AppendError),
}

/// One fault of an import file. Never holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFault {
    /// 1-based line.
    pub line: u64,
    /// What is wrong.
    pub what: String,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Users that are new.
    pub added: u64,
    /// Users that exist and were changed.
    pub changed: u64,
    /// Users that were so already.
    pub unchanged: u64,
}

impl ImportReport {
    fn count(&mut self, existed: bool, changed: &[String]) {
        match (existed, changed.is_empty()) {
            (false, _) => self.added += 1,
            (true, false) => self.changed += 1,
            (true, true) => self.unchanged += 1,
        }
    }
}

/// Changes and reads users. `by` is the acting person, `at` the time, as in the change log.
pub struct UserStore<'a> {
    log: &'a ChangeLog,
}

/// A row as stored, removed ones included.
#[derive(Clone)]
struct Person {
    name: String,
    level: Option<String>,
    groups: Vec<String>,
    phc: Option<String>,
    banned_until: Option<UnixMillis>,
    created_at: UnixMillis,
    removed: bool,
}

impl ChangeLog {
    /// The users kept in this log's file.
    #[must_use]
    pub fn users(&self) -> UserStore<'_> {
        UserStore { log: self }
    }
}

impl UserStore<'_> {
    /// Adds a user. A removed name may be used again.
    ///
    /// # Errors
    /// [`UserError::Exists`], [`UserError::BadName`], the log's.
    pub async fn add(
        &self,
        by: &str,
        at: UnixMillis,
        user: NewUser,
    ) -> Result<Vec<ChangeEntry>, UserError> {
        check_name(&user.name)?;
        let phc = user.password.as_ref().map(hash_password);
        self.write(at, async |tx| {
            if find(tx, &user.name).await?.is_some_and(|person| !person.removed) {
                return Err(UserError::Exists(user.name.clone()).into());
            }
            let (person, changed) = merged(None, &user, phc, at);
            save(tx, &person).await?;
            Ok(vec![(by.to_owned(), Event::UserChanged { user: person.name, changed })])
        })
        .await
    }

    /// Imports CSV text with a header line naming the columns `user`, `level`, `groups` (separated
    /// by `;`) and `password`, in any order; `user` alone is required. A new user is added; one that
    /// exists gets the level and groups of the file, and its password where the file has one. All
    /// lines are taken or none; `knows_level` tells which levels the policy has.
    ///
    /// # Errors
    /// [`UserError::Import`] with every fault and its line; the log's.
    pub async fn import(
        &self,
        by: &str,
        at: UnixMillis,
        csv: &[u8],
        knows_level: &dyn Fn(&str) -> bool,
    ) -> Result<ImportReport, UserError> {
        let users = import::read_csv(csv, knows_level).map_err(UserError::Import)?;
        // Hashed before the write lock is taken: a thousand hashes take half a minute.
        let hashes = import::hash_all(&users, &self.load_all().await?);
        let mut report = ImportReport::default();
        self.write(at, async |tx| {
            let mut events = Vec::new();
            for (user, phc) in users.iter().zip(hashes) {
                let old = find(tx, &user.name).await?.filter(|person| !person.removed);
                let existed = old.is_some();
                let (person, changed) = merged(old, user, phc, at);
                report.count(existed, &changed);
                if !changed.is_empty() {
                    save(tx, &person).await?;
                    events.push((by.to_owned(), Event::UserChanged { user: person.name, changed }));
                }
            }
            Ok(events)
        })
        .await?;
        Ok(report)
    }

    /// What [`UserStore::import`] would do, and for each user that it would add or change, what; the
    /// same checks, nothing written.
    ///
    /// # Errors
    /// As [`UserStore::import`].
    pub async fn import_preview(
        &self,
        csv: &[u8],
        knows_level: &dyn Fn(&str) -> bool,
    ) -> Result<(ImportReport, Vec<(String, Vec<String>)>), UserError> {
        let users = import::read_csv(csv, knows_level).map_err(UserError::Import)?;
        let hashes = import::hash_all(&users, &self.load_all().await?);
        let mut people = self.people().await?;
        let mut report = ImportReport::default();
        let mut would = Vec::new();
        for (user, phc) in users.iter().zip(hashes) {
            let old = people.remove(&user_key(&user.name));
            let existed = old.is_some();
            let (person, changed) = merged(old, user, phc, UnixMillis(0));
            report.count(existed, &changed);
            if !changed.is_empty() {
                would.push((person.name, changed));
            }
        }
        Ok((report, would))
    }

    /// All users by name, removed ones left out.
    ///
    /// # Errors
    /// [`UserError::Log`].
    pub async fn list(&self) -> Result<Vec<UserRow>, UserError> {
        let people = self.people().await?;
        Ok(people.into_values().map(row_of).collect())
    }

    /// One user by name without case.
    ///
    /// # Errors
    /// [`UserError::Log`].
    pub async fn find(&self, name: &str) -> Result<Option<UserRow>, UserError> {
        let mut people = self.people().await?;
        Ok(people.remove(&user_key(name)).map(row_of))
    }

    /// All users for a snapshot.
    ///
    /// # Errors
    /// [`UserError::Log`].
    pub async fn load_all(&self) -> Result<Users, UserError> {
        Ok(self.people().await?.into_values().map(known_of).collect())
    }

    /// Gives a user a level, or none (`None`: by group or network again).
    ///
    /// # Errors
    /// [`UserError::Unknown`], the log's.
    pub async fn set_level(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
        level: Option<&str>,
    ) -> Result<Vec<ChangeEntry>, UserError> {
        self.change(by, at, name, |person| {
            person.level = level.map(str::to_owned);
            vec![format!("level = {}", level.unwrap_or("by group or network"))]
        })
        .await
    }

    /// Gives a user these groups and no others.
    ///
    /// # Errors
    /// [`UserError::Unknown`], the log's.
    pub async fn set_groups(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
        groups: Vec<String>,
    ) -> Result<Vec<ChangeEntry>, UserError> {
        self.change(by, at, name, |person| {
            let said = format!("groups = {}", groups.join("; "));
            person.groups = groups;
            vec![said]
        })
        .await
    }

    /// Gives a user another password; sign-ins verified with the old one end with the next snapshot.
    ///
    /// # Errors
    /// [`UserError::Unknown`], the log's.
    pub async fn set_password(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
        password: &Password,
    ) -> Result<Vec<ChangeEntry>, UserError> {
        let phc = hash_password(password);
        self.change(by, at, name, |person| {
            person.phc = Some(phc);
            vec!["password".to_owned()]
        })
        .await
    }

    /// Takes the internet from a user until then. A time that is not after `at` lifts a ban.
    ///
    /// # Errors
    /// [`UserError::Unknown`], the log's.
    pub async fn ban(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
        until: UnixMillis,
        reason: &str,
    ) -> Result<Vec<ChangeEntry>, UserError> {
        self.write(at, async |tx| {
            let mut person = existing(tx, name).await?;
            person.banned_until = Some(until).filter(|until| *until > at);
            save(tx, &person).await?;
            let event = Event::UserBanned { user: person.name, until, reason: reason.to_owned() };
            Ok(vec![(by.to_owned(), event)])
        })
        .await
    }

    /// Gives the internet back.
    ///
    /// # Errors
    /// [`UserError::Unknown`], the log's.
    pub async fn unban(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
        reason: &str,
    ) -> Result<Vec<ChangeEntry>, UserError> {
        self.ban(by, at, name, at, reason).await
    }

    /// Removes a user: the hash is erased, sign-ins end with the next snapshot, the log stays.
    ///
    /// # Errors
    /// [`UserError::Unknown`], the log's.
    pub async fn remove(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
    ) -> Result<Vec<ChangeEntry>, UserError> {
        self.write(at, async |tx| {
            let person = existing(tx, name).await?;
            sqlx::query("UPDATE person SET password = NULL, removed_at = ? WHERE key = ?")
                .bind(at.0)
                .bind(user_key(&person.name))
                .execute(tx)
                .await?;
            Ok(vec![(by.to_owned(), Event::UserRemoved { user: person.name })])
        })
        .await
    }

    async fn change(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
        edit: impl FnOnce(&mut Person) -> Vec<String>,
    ) -> Result<Vec<ChangeEntry>, UserError> {
        self.write(at, async |tx| {
            let mut person = existing(tx, name).await?;
            let changed = edit(&mut person);
            save(tx, &person).await?;
            Ok(vec![(by.to_owned(), Event::UserChanged { user: person.name, changed })])
        })
        .await
    }

    async fn write<F>(&self, at: UnixMillis, work: F) -> Result<Vec<ChangeEntry>, UserError>
    where
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<Vec<(String, Event)>, Fault>,
    {
        self.log.write(at, work).await.map_err(|error| match error {
            AppendWithError::Refused(Fault::User(error)) => error,
            AppendWithError::Refused(Fault::Sql(error)) => UserError::Log(self.log.error(error)),
            AppendWithError::Log(error) => UserError::Log(error),
        })
    }

    async fn people(&self) -> Result<BTreeMap<String, Person>, UserError> {
        let rows = self.log.fetch(sqlx::query(SELECT_PRESENT)).await?;
        let people = rows.iter().map(person_of).collect::<Result<Vec<_>, _>>();
        let people = people.map_err(|e| UserError::Log(self.log.error(e)))?;
        Ok(people.into_iter().map(|person| (user_key(&person.name), person)).collect())
    }
}

/// What stops a write: the rules of this store, or SQLite.
enum Fault {
    User(UserError),
    Sql(sqlx::Error),
}

impl From<UserError> for Fault {
    fn from(error: UserError) -> Self {
        Fault::User(error)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Fault::Sql(error)
    }
}

const SELECT_PRESENT: &str =
    "SELECT name, level, groups, password, banned_until, created_at, removed_at
     FROM person WHERE removed_at IS NULL ORDER BY key";

/// How names are compared: without case.
#[must_use]
pub fn user_key(name: &str) -> String {
    name.to_lowercase()
}

fn check_name(name: &str) -> Result<(), UserError> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "it is longer than 128 bytes"
    } else if name.contains(':') {
        // RFC 7617: the colon ends the name in a Basic sign-in.
        "a name to sign in with holds no colon"
    } else if name.chars().any(char::is_control) || name.trim() != name {
        "it holds a control character, or a space at its start or end"
    } else if name.starts_with('@') || name == "-" {
        "@ marks a group, and - nobody"
    } else {
        return Ok(());
    };
    Err(UserError::BadName { name: name.to_owned(), why })
}

/// A person after adding or importing, and what that changes, in words for the change log.
fn merged(
    old: Option<Person>,
    user: &NewUser,
    phc: Option<String>,
    at: UnixMillis,
) -> (Person, Vec<String>) {
    let mut changed = Vec::new();
    let mut person = old.unwrap_or_else(|| {
        changed.push("added".to_owned());
        Person {
            name: user.name.clone(),
            level: None,
            groups: Vec::new(),
            phc: None,
            banned_until: None,
            created_at: at,
            removed: false,
        }
    });
    if person.level != user.level {
        person.level.clone_from(&user.level);
        let level = user.level.as_deref().unwrap_or("by group or network");
        changed.push(format!("level = {level}"));
    }
    if person.groups != user.groups {
        person.groups.clone_from(&user.groups);
        changed.push(format!("groups = {}", user.groups.join("; ")));
    }
    if phc.is_some() {
        person.phc = phc;
        changed.push("password".to_owned());
    }
    (person, changed)
}

async fn find(tx: &mut SqliteConnection, name: &str) -> Result<Option<Person>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT name, level, groups, password, banned_until, created_at, removed_at
         FROM person WHERE key = ?",
    )
    .bind(user_key(name))
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(person_of).transpose()
}

async fn existing(tx: &mut SqliteConnection, name: &str) -> Result<Person, Fault> {
    let person = find(tx, name).await?.filter(|person| !person.removed);
    person.ok_or_else(|| Fault::User(UserError::Unknown(name.to_owned())))
}

async fn save(tx: &mut SqliteConnection, person: &Person) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO person (key, name, level, groups, password, banned_until, created_at, removed_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, NULL)
         ON CONFLICT (key) DO UPDATE SET name = excluded.name, level = excluded.level,
           groups = excluded.groups, password = excluded.password,
           banned_until = excluded.banned_until, created_at = excluded.created_at,
           removed_at = NULL",
    )
    .bind(user_key(&person.name))
    .bind(&person.name)
    .bind(&person.level)
    .bind(serde_json::Value::from(person.groups.clone()).to_string())
    .bind(&person.phc)
    .bind(person.banned_until.map(|at| at.0))
    .bind(person.created_at.0)
    .execute(tx)
    .await?;
    Ok(())
}

fn person_of(row: &sqlx::sqlite::SqliteRow) -> Result<Person, sqlx::Error> {
    let groups: String = row.try_get(2)?;
    Ok(Person {
        name: row.try_get(0)?,
        level: row.try_get(1)?,
        groups: serde_json::from_str(&groups).map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
        phc: row.try_get(3)?,
        banned_until: row.try_get::<Option<i64>, _>(4)?.map(UnixMillis),
        created_at: UnixMillis(row.try_get(5)?),
        removed: row.try_get::<Option<i64>, _>(6)?.is_some(),
    })
}

fn row_of(person: Person) -> UserRow {
    UserRow {
        name: person.name,
        level: person.level,
        groups: person.groups,
        banned_until: person.banned_until,
        created_at: person.created_at,
        has_password: person.phc.is_some(),
    }
}

fn known_of(person: Person) -> KnownUser {
    KnownUser {
        facts: UserFacts {
            name: person.name.into(),
            level: person.level,
            groups: person.groups.into(),
            banned_until: person.banned_until,
        },
        phc: person.phc.map(Into::into),
    }
}

fn count(faults: usize) -> String {
    if faults == 1 { "1 fault".to_owned() } else { format!("{faults} faults") }
}

fn join(faults: &[ImportFault]) -> String {
    let shown: Vec<_> = faults
        .iter()
        .take(20)
        .map(|fault| format!("line {}: {}", fault.line, fault.what))
        .collect();
    shown.join("; ")
}

#[cfg(test)]
mod tests;
