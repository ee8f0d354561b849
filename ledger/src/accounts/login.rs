//! Logging in, and changing one's own password: where guessing is slowed down and stopped.
//!
//! The password is checked before the write lock is taken, since that takes tens of milliseconds;
//! the lock-out is judged under the lock. Whoever tries a thousand passwords at once is thus told
//! about five of them.

use super::row::Account;
use super::session;
use super::token::Token;
use super::{AccountError, AccountStore};
use crate::changes::AppendError;
use crate::users::{Password, dummy_phc, hash_password, verify_password};
use rules::change::Event;
use rules::time::UnixMillis;
use sqlx::SqliteConnection;
use thiserror::Error;

/// So many wrong passwords or codes in a row lock an account.
pub const MAX_FAILURES: u32 = 5;

/// How long it stays locked, in milliseconds: 15 minutes.
pub const LOCK_MS: i64 = 15 * 60_000;

/// One attempt to log in. `Debug` shows no secret.
pub struct LogIn<'a> {
    /// The account.
    pub name: &'a str,
    /// As typed.
    pub password: &'a str,
    /// The one-time code, where it was asked for.
    pub code: Option<&'a str>,
    /// An own password in the place of one that another person has set.
    pub new_password: Option<&'a Password>,
    /// Who runs the command, as far as the operating system knows: stands in records of failures.
    pub machine: &'a str,
    /// How long the session may last, in milliseconds.
    pub life_ms: i64,
}

impl std::fmt::Debug for LogIn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogIn").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Somebody's own password, to be changed by that person. `Debug` shows no secret.
pub struct NewPassword<'a> {
    /// The account.
    pub name: &'a str,
    /// The password until now, as typed.
    pub old: &'a str,
    /// The one from now on.
    pub new: &'a Password,
    /// Who runs the command, as in [`LogIn::machine`].
    pub machine: &'a str,
    /// The session that goes on; the person's others end.
    pub keep: Option<&'a Token>,
}

impl std::fmt::Debug for NewPassword<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewPassword").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A session that was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// To be kept by the person alone.
    pub token: Token,
    /// Whose it is.
    pub account: String,
    /// When it ends whatever happens.
    pub ends_at: UnixMillis,
    /// When the person had logged in before.
    pub last_login: Option<UnixMillis>,
    /// Wrong passwords and codes since then.
    pub failures: u32,
}

/// Why nobody was logged in.
#[derive(Debug, Error)]
pub enum LoginError {
    /// Which of them is not said.
    #[error("name, password or code is wrong")]
    Wrong,
    /// Too many wrong ones.
    #[error("too many wrong passwords or codes; nobody can log in to this account for 15 minutes")]
    Locked {
        /// When it opens again.
        until: UnixMillis,
    },
    /// The password was right, and a one-time code is needed too. Nothing was changed.
    #[error("a one-time code is needed too")]
    NeedsCode,
    /// The password was right, but somebody else has set it. Nothing was changed.
    #[error("the password was set by {set_by} and must be changed first")]
    NeedsNewPassword {
        /// Who knows it.
        set_by: String,
    },
    /// The new password is the old one.
    #[error("the new password is the old one")]
    SamePassword,
    /// The log.
    #[error(transparent)]
    Log(#[from] AppendError),
}

impl LoginError {
    pub(super) fn from_store(error: AccountError) -> Self {
        match error {
            AccountError::Log(error) => Self::Log(error),
            // What stands for a refusal is the attempt's own outcome; nothing else is refused here.
            _ => Self::Wrong,
        }
    }
}

/// What a password was checked against, before the lock was taken.
struct Checked {
    phc: Option<String>,
    right: bool,
}

impl AccountStore<'_> {
    /// Logs somebody in. Wrong passwords and codes are counted and recorded; an unknown name costs as
    /// much time as a wrong password, and is told apart by nothing.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn log_in(&self, at: UnixMillis, attempt: &LogIn<'_>) -> Result<Opened, LoginError> {
        let checked = self.check_password(attempt.name, attempt.password).await?;
        let own = attempt.new_password.filter(|_| checked.right);
        let own = own.map(|new| NewHash::of(&checked, new));
        let token = Token::generate();
        let mut outcome = Err(LoginError::Wrong);
        let write = self.write(at, async |tx| {
            let Some(mut account) = still(tx, attempt.name).await? else { return Ok(Vec::new()) };
            let step = match admit(&account, &checked, attempt, own.as_ref(), at) {
                Ok(step) => step,
                Err(Turned::Away(error)) => {
                    outcome = Err(error);
                    return Ok(Vec::new());
                }
                Err(Turned::Wrong(why)) => {
                    let (error, events) = fail(&mut account, attempt.machine, why, at);
                    account.save(tx).await?;
                    outcome = Err(error);
                    return Ok(events);
                }
            };
            let mut events = Vec::new();
            if let Some(NewHash::Another(phc)) = own {
                account.phc = Some(phc);
                account.set_by = None;
                session::revoke_all(tx, &account.key(), at, None).await?;
                let changed = vec!["password".to_owned()];
                let event = Event::AccountChanged { account: account.name.clone(), changed };
                events.push((account.name.clone(), event));
            }
            let how = if step.is_some() { "password and code" } else { "password" };
            events.push((account.name.clone(), Event::SessionStarted { how: how.to_owned() }));
            account.code_step = step.or(account.code_step);
            let (last_login, failures) = (account.last_login, account.failures);
            account.last_login = Some(at);
            (account.failures, account.locked_until) = (0, None);
            account.save(tx).await?;
            session::insert(tx, &token, &account.key(), at, attempt.life_ms).await?;
            let ends_at = UnixMillis(at.0.saturating_add(attempt.life_ms));
            let (token, account) = (token.clone(), account.name);
            outcome = Ok(Opened { token, account, ends_at, last_login, failures });
            Ok(events)
        });
        write.await.map_err(LoginError::from_store)?;
        outcome
    }

    /// Changes somebody's own password; their other sessions end.
    ///
    /// # Errors
    /// [`LoginError::Wrong`], [`LoginError::Locked`], [`LoginError::SamePassword`], the log's.
    pub async fn change_own_password(
        &self,
        at: UnixMillis,
        change: &NewPassword<'_>,
    ) -> Result<(), LoginError> {
        let checked = self.check_password(change.name, change.old).await?;
        let own = checked.right.then(|| NewHash::of(&checked, change.new));
        let mut outcome = Err(LoginError::Wrong);
        let write = self.write(at, async |tx| {
            let Some(mut account) = still(tx, change.name).await? else { return Ok(Vec::new()) };
            if let Some(until) = account.locked_until.filter(|until| at < *until) {
                outcome = Err(LoginError::Locked { until });
                return Ok(Vec::new());
            }
            let phc = match own {
                Some(NewHash::Another(phc)) if account.phc == checked.phc => phc,
                Some(NewHash::Same) if account.phc == checked.phc => {
                    outcome = Err(LoginError::SamePassword);
                    return Ok(Vec::new());
                }
                _ => {
                    let (error, events) = fail(&mut account, change.machine, "wrong password", at);
                    account.save(tx).await?;
                    outcome = Err(error);
                    return Ok(events);
                }
            };
            account.phc = Some(phc);
            account.set_by = None;
            (account.failures, account.locked_until) = (0, None);
            account.save(tx).await?;
            session::revoke_all(tx, &account.key(), at, change.keep).await?;
            outcome = Ok(());
            let changed = vec!["password".to_owned()];
            let event = Event::AccountChanged { account: account.name.clone(), changed };
            Ok(vec![(account.name, event)])
        });
        write.await.map_err(LoginError::from_store)?;
        outcome
    }

    /// Asks somebody who is logged in for the password again, before something that a passer-by must
    /// not do. Wrong ones count as in [`AccountStore::log_in`].
    ///
    /// # Errors
    /// [`LoginError::Wrong`], [`LoginError::Locked`], the log's.
    pub async fn confirm_password(
        &self,
        at: UnixMillis,
        name: &str,
        password: &str,
        machine: &str,
    ) -> Result<(), LoginError> {
        let checked = self.check_password(name, password).await?;
        let mut outcome = Err(LoginError::Wrong);
        let write = self.write(at, async |tx| {
            let Some(mut account) = still(tx, name).await? else { return Ok(Vec::new()) };
            if let Some(until) = account.locked_until.filter(|until| at < *until) {
                outcome = Err(LoginError::Locked { until });
                return Ok(Vec::new());
            }
            if checked.right && account.phc == checked.phc {
                outcome = Ok(());
                return Ok(Vec::new());
            }
            let (error, events) = fail(&mut account, machine, "wrong password", at);
            account.save(tx).await?;
            outcome = Err(error);
            Ok(events)
        });
        write.await.map_err(LoginError::from_store)?;
        outcome
    }

    /// Whether a password is that of an account. Costs one hash, whatever the answer.
    async fn check_password(&self, name: &str, password: &str) -> Result<Checked, AppendError> {
        let phc = self.account(name).await?.and_then(|account| account.phc);
        let right = verify_password(phc.as_deref().unwrap_or_else(|| dummy_phc()), password);
        Ok(Checked { right: right && phc.is_some(), phc })
    }
}

/// Why an attempt does not succeed.
enum Turned {
    /// Nothing was wrong so far, or nothing may be tried now.
    Away(LoginError),
    /// Counted against the account; why, for the record.
    Wrong(&'static str),
}

/// Judges an attempt; the step of the one-time code that it used.
fn admit(
    account: &Account,
    checked: &Checked,
    attempt: &LogIn<'_>,
    own: Option<&NewHash>,
    at: UnixMillis,
) -> Result<Option<u64>, Turned> {
    if let Some(until) = account.locked_until.filter(|until| at < *until) {
        return Err(Turned::Away(LoginError::Locked { until }));
    }
    // One that was changed since it was checked proves nothing.
    if !checked.right || account.phc != checked.phc {
        return Err(Turned::Wrong("wrong password"));
    }
    // Asked before the code, which would be stale by the time that a password is thought of.
    match (&account.set_by, own) {
        (Some(set_by), None) => {
            let set_by = set_by.clone();
            return Err(Turned::Away(LoginError::NeedsNewPassword { set_by }));
        }
        // Said only now: it tells that the password was right.
        (_, Some(NewHash::Same)) => return Err(Turned::Away(LoginError::SamePassword)),
        _ => {}
    }
    match (&account.secret, attempt.code) {
        (None, _) => Ok(None),
        (Some(_), None) => Err(Turned::Away(LoginError::NeedsCode)),
        (Some(secret), Some(code)) => match secret.check(code, at, account.code_step) {
            Some(step) => Ok(Some(step)),
            None if secret.check(code, at, None).is_some() => {
                Err(Turned::Wrong("a one-time code that was used already"))
            }
            None => Err(Turned::Wrong("wrong one-time code")),
        },
    }
}

/// Counts a failure, and locks the account at the last one.
fn fail(
    account: &mut Account,
    machine: &str,
    why: &str,
    at: UnixMillis,
) -> (LoginError, Vec<(String, Event)>) {
    let name = account.name.clone();
    let refused = Event::LoginRefused { account: name.clone(), why: why.to_owned() };
    let mut events = vec![(machine.to_owned(), refused)];
    // After a lock that has passed, counting starts anew.
    account.failures = if account.locked_until.take().is_some() { 1 } else { account.failures + 1 };
    if account.failures < MAX_FAILURES {
        return (LoginError::Wrong, events);
    }
    let until = UnixMillis(at.0.saturating_add(LOCK_MS));
    account.locked_until = Some(until);
    events.push((machine.to_owned(), Event::AccountLocked { account: name, until }));
    (LoginError::Locked { until }, events)
}

/// An own password in the place of the one that was checked.
enum NewHash {
    /// Its hash.
    Another(String),
    /// It is the one that was checked.
    Same,
}

impl NewHash {
    fn of(checked: &Checked, new: &Password) -> Self {
        match &checked.phc {
            Some(phc) if new.verify(phc) => Self::Same,
            _ => Self::Another(hash_password(new)),
        }
    }
}

/// The account as it stands under the lock.
async fn still(tx: &mut SqliteConnection, name: &str) -> Result<Option<Account>, sqlx::Error> {
    Ok(Account::find(tx, name).await?.filter(|account| !account.removed))
}
