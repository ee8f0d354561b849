//! Administrators: people who change the filter and read the log, each with an account of their own.
//! They are not the people who browse ([`crate::users`]), and what they may do is not kept here: roles
//! are the policy's.
//!
//! Accounts and sessions lie in the change log's file, so that a change to an account and the entry
//! that records it become durable together. Passwords and the emergency code are kept only as Argon2id
//! hashes, tokens of sessions only as SHA-256; none appears in a log, an error or `Debug` output. There
//! is no default password anywhere: the first account is made by [`AccountStore::set_up`].

mod break_glass;
mod login;
mod one_time;
mod row;
mod session;
mod token;
mod token_file;

use crate::changes::{AppendError, AppendWithError, ChangeLog};
use crate::users::{MAX_NAME_BYTES, Password, PasswordError, hash_password, user_key};
use row::Account;
use rules::change::{Event, is_reserved};
use rules::time::UnixMillis;
use serde::Serialize;
use sqlx::{Row, SqliteConnection};
use thiserror::Error;

pub use break_glass::BREAK_GLASS_SESSION_MS;
pub use login::{LOCK_MS, LogIn, LoginError, MAX_FAILURES, NewPassword, Opened};
pub use one_time::OneTimeSecret;
pub use session::{Limits, Session, WhyEnded};
pub use token::Token;
pub use token_file::{HeldSession, SessionFolder, TokenFileError};

/// One account as `account list` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AccountRow {
    /// Name.
    pub name: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// The last time that the person logged in.
    pub last_login: Option<UnixMillis>,
    /// Whether there is a password at all.
    pub has_password: bool,
    /// Whoever set the password, where the person has yet to choose an own one.
    pub set_by: Option<String>,
    /// Whether a one-time code is asked for too.
    pub two_step: bool,
    /// Wrong passwords and codes in a row.
    pub failures: u32,
    /// Nobody can log in to it until then; may lie in the past.
    pub locked_until: Option<UnixMillis>,
}

/// How many accounts there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// In use.
    pub present: u64,
    /// Ever made, those removed since included: more than none, and `setup` is done.
    pub ever: u64,
    /// Of those in use, locked at the moment asked about.
    pub locked: u64,
}

/// Why an account was not made or changed. Nothing was changed.
#[derive(Debug, Error)]
pub enum AccountError {
    /// `setup` after the first account.
    #[error("this installation has accounts already, so the first one cannot be made again")]
    AlreadySetUp,
    /// Adding a name that exists.
    #[error("account {0} exists already")]
    Exists(String),
    /// No such name.
    #[error("no account {0}")]
    Unknown(String),
    /// A name that nobody can have.
    #[error("{name:?} cannot be the name of an account: {why}")]
    BadName {
        /// As given.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Nobody would be left.
    #[error("{0} is the last account; nobody would be left to make another")]
    Last(String),
    /// Two-step log-in is on.
    #[error("two-step log-in of {0} is on already")]
    TwoStepOn(String),
    /// Two-step log-in is off.
    #[error("two-step log-in of {0} is not on")]
    TwoStepOff(String),
    /// The code that should prove that the app is set up.
    #[error("the code is not the one of the secret that was shown; nothing was changed")]
    WrongCode,
    /// Not locked.
    #[error("account {0} is not locked")]
    NotLocked(String),
    /// The password.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The log.
    #[error(transparent)]
    Log(#[from] AppendError),
}

/// Changes and reads accounts. `by` is the acting person, `at` the time, as in the change log.
pub struct AccountStore<'a> {
    log: &'a ChangeLog,
}

impl ChangeLog {
    /// The administrators' accounts kept in this log's file.
    #[must_use]
    pub fn accounts(&self) -> AccountStore<'_> {
        AccountStore { log: self }
    }
}

impl AccountStore<'_> {
    /// How many there are.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn count(&self, at: UnixMillis) -> Result<Count, AppendError> {
        let rows = self
            .log
            .fetch(
                sqlx::query(
                    "SELECT count(*) FILTER (WHERE removed_at IS NULL), count(*),
                       count(*) FILTER (WHERE removed_at IS NULL AND locked_until > ?) FROM account",
                )
                .bind(at.0),
            )
            .await?;
        let number = |column: usize| -> u64 {
            rows.first().and_then(|row| row.try_get::<i64, _>(column).ok()).map_or(0, |n| n as u64)
        };
        Ok(Count { present: number(0), ever: number(1), locked: number(2) })
    }

    /// All accounts by name, removed ones left out.
    ///
    /// # Errors
    /// [`AccountError::Log`].
    pub async fn list(&self) -> Result<Vec<AccountRow>, AccountError> {
        let rows = self.log.fetch(sqlx::query(row::SELECT_PRESENT)).await?;
        let accounts = rows.iter().map(Account::read).collect::<Result<Vec<_>, _>>();
        let accounts = accounts.map_err(|error| AccountError::Log(self.log.error(error)))?;
        Ok(accounts.into_iter().map(row_of).collect())
    }

    /// One account by name without case.
    ///
    /// # Errors
    /// [`AccountError::Log`].
    pub async fn find(&self, name: &str) -> Result<Option<AccountRow>, AccountError> {
        Ok(self.account(name).await?.map(row_of))
    }

    /// Makes the first account and the emergency code, which is answered and never shown again. Done
    /// once: later accounts are added by people who have one.
    ///
    /// # Errors
    /// [`AccountError::AlreadySetUp`], [`AccountError::BadName`], the log's.
    pub async fn set_up(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
        password: &Password,
    ) -> Result<String, AccountError> {
        check_name(name)?;
        // Asked before the hash is made, and again while nobody else can write.
        if self.count(at).await?.ever > 0 {
            return Err(AccountError::AlreadySetUp);
        }
        let phc = hash_password(password);
        let (code, code_phc) = break_glass::new_code()?;
        self.write(at, async |tx| {
            let any = sqlx::query("SELECT 1 FROM account LIMIT 1").fetch_optional(&mut *tx).await?;
            if any.is_some() {
                return Err(AccountError::AlreadySetUp.into());
            }
            Account { phc: Some(phc), ..Account::new(name, at) }.save(tx).await?;
            break_glass::save(tx, at, &code_phc).await?;
            let changed = vec!["added".to_owned(), "password".to_owned()];
            Ok(vec![
                (by.to_owned(), Event::AccountChanged { account: name.to_owned(), changed }),
                (by.to_owned(), Event::BreakGlassMade {}),
            ])
        })
        .await?;
        Ok(code)
    }

    /// Adds an account with a password that must be changed at the first log-in; without one, nobody
    /// can log in until somebody sets one. A removed name may be used again.
    ///
    /// # Errors
    /// [`AccountError::Exists`], [`AccountError::BadName`], the log's.
    pub async fn add(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
        password: Option<&Password>,
    ) -> Result<(), AccountError> {
        check_name(name)?;
        let phc = password.map(hash_password);
        self.write(at, async |tx| {
            if Account::find(tx, name).await?.is_some_and(|account| !account.removed) {
                return Err(AccountError::Exists(name.to_owned()).into());
            }
            let mut changed = vec!["added".to_owned()];
            changed.extend(phc.is_some().then(|| "password".to_owned()));
            let set_by = phc.is_some().then(|| by.to_owned());
            Account { phc, set_by, ..Account::new(name, at) }.save(tx).await?;
            Ok(vec![(by.to_owned(), Event::AccountChanged { account: name.to_owned(), changed })])
        })
        .await
    }

    /// Gives somebody else's account another password, which must be changed at the next log-in. It
    /// is unlocked, and its sessions end.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], the log's.
    pub async fn set_password(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
        password: &Password,
    ) -> Result<(), AccountError> {
        let phc = hash_password(password);
        self.change(by, at, name, async |tx, account| {
            account.phc = Some(phc);
            account.set_by = Some(by.to_owned());
            (account.failures, account.locked_until) = (0, None);
            session::revoke_all(tx, &account.key(), at, None).await?;
            Ok(vec!["password".to_owned()])
        })
        .await
    }

    /// Asks for a one-time code too from now on. `code` proves that the app was given the secret; it
    /// is used up.
    ///
    /// # Errors
    /// [`AccountError::WrongCode`], [`AccountError::TwoStepOn`], [`AccountError::Unknown`], the log's.
    pub async fn two_step_on(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
        secret: &OneTimeSecret,
        code: &str,
    ) -> Result<(), AccountError> {
        self.change(by, at, name, async |_, account| {
            if account.secret.is_some() {
                return Err(AccountError::TwoStepOn(account.name.clone()).into());
            }
            let step = secret.check(code, at, None).ok_or(AccountError::WrongCode)?;
            account.secret = Some(secret.clone());
            account.code_step = Some(step);
            Ok(vec!["two-step on".to_owned()])
        })
        .await
    }

    /// Asks for the password alone again, and forgets the secret.
    ///
    /// # Errors
    /// [`AccountError::TwoStepOff`], [`AccountError::Unknown`], the log's.
    pub async fn two_step_off(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
    ) -> Result<(), AccountError> {
        self.change(by, at, name, async |_, account| {
            if account.secret.take().is_none() {
                return Err(AccountError::TwoStepOff(account.name.clone()).into());
            }
            account.code_step = None;
            Ok(vec!["two-step off".to_owned()])
        })
        .await
    }

    /// Lets an account that was locked be logged in to again.
    ///
    /// # Errors
    /// [`AccountError::NotLocked`], [`AccountError::Unknown`], the log's.
    pub async fn unlock(&self, by: &str, at: UnixMillis, name: &str) -> Result<(), AccountError> {
        self.change(by, at, name, async |_, account| {
            if !account.is_locked(at) {
                return Err(AccountError::NotLocked(account.name.clone()).into());
            }
            (account.failures, account.locked_until) = (0, None);
            Ok(vec!["unlocked".to_owned()])
        })
        .await
    }

    /// Removes an account: hash and secret are erased, its sessions end, the log stays.
    ///
    /// # Errors
    /// [`AccountError::Last`], [`AccountError::Unknown`], the log's.
    pub async fn remove(&self, by: &str, at: UnixMillis, name: &str) -> Result<(), AccountError> {
        self.write(at, async |tx| {
            let account = existing(tx, name).await?;
            let others =
                sqlx::query("SELECT 1 FROM account WHERE removed_at IS NULL AND key <> ? LIMIT 1")
                    .bind(account.key())
                    .fetch_optional(&mut *tx)
                    .await?;
            if others.is_none() {
                return Err(AccountError::Last(account.name).into());
            }
            session::revoke_all(tx, &account.key(), at, None).await?;
            sqlx::query(
                "UPDATE account SET password = NULL, code_secret = NULL, removed_at = ?
                 WHERE key = ?",
            )
            .bind(at.0)
            .bind(account.key())
            .execute(tx)
            .await?;
            Ok(vec![(by.to_owned(), Event::AccountRemoved { account: account.name })])
        })
        .await
    }

    /// The account of a name, unless it was removed.
    async fn account(&self, name: &str) -> Result<Option<Account>, AppendError> {
        let rows = self.log.fetch(sqlx::query(row::SELECT_ONE).bind(user_key(name))).await?;
        let account = rows.first().map(Account::read).transpose();
        let account = account.map_err(|error| self.log.error(error))?;
        Ok(account.filter(|account| !account.removed))
    }

    async fn change(
        &self,
        by: &str,
        at: UnixMillis,
        name: &str,
        edit: impl AsyncFnOnce(&mut SqliteConnection, &mut Account) -> Result<Vec<String>, Fault>,
    ) -> Result<(), AccountError> {
        self.write(at, async |tx| {
            let mut account = existing(tx, name).await?;
            let changed = edit(&mut *tx, &mut account).await?;
            account.save(tx).await?;
            Ok(vec![(by.to_owned(), Event::AccountChanged { account: account.name, changed })])
        })
        .await
    }

    async fn write<F>(&self, at: UnixMillis, work: F) -> Result<(), AccountError>
    where
        F: AsyncFnOnce(&mut SqliteConnection) -> Result<Vec<(String, Event)>, Fault>,
    {
        match self.log.write(at, work).await {
            Ok(_) => Ok(()),
            Err(AppendWithError::Refused(Fault::Account(error))) => Err(error),
            Err(AppendWithError::Refused(Fault::Sql(error))) => {
                Err(AccountError::Log(self.log.error(error)))
            }
            Err(AppendWithError::Log(error)) => Err(AccountError::Log(error)),
        }
    }
}

/// What stops a write: the rules of this store, or SQLite.
enum Fault {
    Account(AccountError),
    Sql(sqlx::Error),
}

impl From<AccountError> for Fault {
    fn from(error: AccountError) -> Self {
        Fault::Account(error)
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Fault::Sql(error)
    }
}

async fn existing(tx: &mut SqliteConnection, name: &str) -> Result<Account, Fault> {
    let account = Account::find(tx, name).await?.filter(|account| !account.removed);
    account.ok_or_else(|| AccountError::Unknown(name.to_owned()).into())
}

fn check_name(name: &str) -> Result<(), AccountError> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "it is longer than 128 bytes"
    } else if is_reserved(name) {
        "it stands for something else than a person in the change log"
    } else if name.chars().any(char::is_control) || name.trim() != name {
        "it holds a control character, or a space at its start or end"
    } else if name.starts_with(['@', '-']) {
        "@ marks a group, and - an option"
    } else {
        return Ok(());
    };
    Err(AccountError::BadName { name: name.to_owned(), why })
}

fn row_of(account: Account) -> AccountRow {
    AccountRow {
        has_password: account.phc.is_some(),
        two_step: account.secret.is_some(),
        name: account.name,
        created_at: account.created_at,
        last_login: account.last_login,
        set_by: account.set_by,
        failures: account.failures,
        locked_until: account.locked_until,
    }
}

/// Bytes from the system's random source.
///
/// # Panics
/// If the system has no randomness: nothing safe could follow.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    // A signal may cut a read short; the source itself is never empty once the system has started.
    while filled < N {
        #[expect(clippy::expect_used, reason = "without random bytes nothing is safe")]
        let read = match rustix::rand::getrandom(
            &mut bytes[filled..],
            rustix::rand::GetRandomFlags::empty(),
        ) {
            Err(rustix::io::Errno::INTR) => 0,
            read => read.expect("the system gives random bytes"),
        };
        filled += read;
    }
    bytes
}

#[cfg(test)]
mod tests;
