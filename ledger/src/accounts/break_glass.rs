//! The emergency code: printed once, kept in the head's safe, for the day when nobody can log in.
//!
//! It opens a session of one hour as `break-glass`, which may do what the head and the technician
//! may. It needs no network and no other person. Every use is an entry, and the filter raises an alarm
//! until a new code is made. Every wrong code is an entry and an alarm too, and locks nothing: it has 160
//! random bits, and with a lock anybody at the server could bar the emergency exit.

use super::login::{LoginError, Opened};
use super::session;
use super::token::{Token, emergency_code, read_code};
use super::{AccountError, AccountStore};
use crate::users::{Password, PasswordError, dummy_phc, hash_password, verify_password};
use rules::change::{BREAK_GLASS, Event, same_person};
use rules::time::UnixMillis;
use sqlx::{Row, SqliteConnection};

/// How long a session of the emergency code lasts, in milliseconds.
pub const BREAK_GLASS_SESSION_MS: i64 = 3_600_000;

const SELECT: &str = "SELECT code FROM break_glass WHERE id = 1";

impl AccountStore<'_> {
    /// Makes another emergency code, which is answered and never shown again. The one before is void,
    /// and sessions that it opened end.
    ///
    /// # Errors
    /// [`AccountError::Log`].
    pub async fn renew_break_glass(
        &self,
        by: &str,
        at: UnixMillis,
    ) -> Result<String, AccountError> {
        let (code, phc) = new_code()?;
        self.write(at, async |tx| {
            save(tx, at, &phc).await?;
            session::revoke_all(tx, BREAK_GLASS, at, None).await?;
            Ok(vec![(by.to_owned(), Event::BreakGlassMade {})])
        })
        .await?;
        Ok(code)
    }

    /// Opens a session by the emergency code. `machine` is who runs the command, as far as the
    /// operating system knows.
    ///
    /// # Errors
    /// [`LoginError::Wrong`], also where no code was ever made; the log's.
    pub async fn log_in_break_glass(
        &self,
        machine: &str,
        at: UnixMillis,
        typed: &str,
    ) -> Result<Opened, LoginError> {
        let stored = self.log.fetch(sqlx::query(SELECT)).await?;
        let stored: Option<String> = stored.first().and_then(|row| row.try_get(0).ok());
        let phc = stored.as_deref().unwrap_or_else(|| dummy_phc());
        let right = verify_password(phc, &read_code(typed)) && stored.is_some();
        let token = Token::generate();
        let (last_login, failures) = self.emergency_past().await?;
        let mut is_open = false;
        let write = self.write(at, async |tx| {
            let now = sqlx::query(SELECT).fetch_optional(&mut *tx).await?;
            let now: Option<String> = now.map(|row| row.try_get(0)).transpose()?;
            if !right || now != stored {
                let (account, why) = (BREAK_GLASS.to_owned(), "wrong code".to_owned());
                return Ok(vec![(machine.to_owned(), Event::LoginRefused { account, why })]);
            }
            sqlx::query("UPDATE break_glass SET used_at = ?").bind(at.0).execute(&mut *tx).await?;
            session::insert(tx, &token, BREAK_GLASS, at, BREAK_GLASS_SESSION_MS).await?;
            is_open = true;
            let how = "break-glass".to_owned();
            Ok(vec![
                (machine.to_owned(), Event::BreakGlassUsed {}),
                (BREAK_GLASS.to_owned(), Event::SessionStarted { how }),
            ])
        });
        write.await.map_err(LoginError::from_store)?;
        if !is_open {
            return Err(LoginError::Wrong);
        }
        let ends_at = UnixMillis(at.0.saturating_add(BREAK_GLASS_SESSION_MS));
        let account = BREAK_GLASS.to_owned();
        Ok(Opened { token, account, ends_at, last_login, failures })
    }

    /// When the code that is valid now was used last, and how many wrong ones were typed since.
    async fn emergency_past(&self) -> Result<(Option<UnixMillis>, u32), LoginError> {
        let (mut used, mut wrong) = (None, 0u32);
        let kinds = ["break_glass_made", "break_glass_used", "login_refused"];
        for entry in self.log.entries_of(&kinds).await? {
            match entry.event {
                Event::BreakGlassMade {} => (used, wrong) = (None, 0),
                Event::BreakGlassUsed {} => (used, wrong) = (Some(entry.at), 0),
                Event::LoginRefused { account, .. } if same_person(&account, BREAK_GLASS) => {
                    wrong = wrong.saturating_add(1);
                }
                _ => {}
            }
        }
        Ok((used, wrong))
    }
}

/// A new code and its hash.
pub(super) fn new_code() -> Result<(String, String), PasswordError> {
    let code = emergency_code();
    let phc = hash_password(&Password::new(&read_code(&code))?);
    Ok((code, phc))
}

/// Puts a code's hash in the place of the one before.
pub(super) async fn save(
    tx: &mut SqliteConnection,
    at: UnixMillis,
    phc: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO break_glass (id, code, made_at) VALUES (1, ?, ?)")
        .bind(phc)
        .bind(at.0)
        .execute(tx)
        .await?;
    Ok(())
}
