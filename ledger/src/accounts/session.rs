//! Sessions: what proves for a while that somebody has logged in.
//!
//! A session ends when it was not used for a time, at its end, when its person logs out, gets another
//! password or is removed, and when the clock goes back: time that did not pass must not make a
//! session live longer.

use super::token::Token;
use super::{AccountError, AccountStore, Fault};
use crate::changes::AppendError;
use rules::change::{BREAK_GLASS, Event};
use rules::time::UnixMillis;
use sqlx::{Row, SqliteConnection};

/// How often the last use of a session is written down, in milliseconds: commands in quick
/// succession cost one write.
const TOUCH_MS: i64 = 10_000;

/// How far the clock may go back under a session, in milliseconds: as time servers correct it.
const CLOCK_SLACK_MS: i64 = 5_000;

/// How long sessions that have ended are kept, in milliseconds: 30 days.
const KEPT_MS: i64 = 30 * 86_400_000;

/// How long a session may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Without use, in milliseconds.
    pub idle_ms: i64,
    /// In all, in milliseconds.
    pub max_ms: i64,
}

/// A session that is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is: the name of the account, or `break-glass`.
    pub account: String,
    /// When the person logged in.
    pub created_at: UnixMillis,
    /// When it ends if it is not used before.
    pub idle_until: UnixMillis,
    /// When it ends whatever happens.
    pub ends_at: UnixMillis,
}

/// Why a token proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyEnded {
    /// No session of this installation has it.
    #[error("no session of this installation is known by it")]
    Unknown,
    /// Logged out, given another password, or removed.
    #[error("it was ended")]
    Revoked,
    /// Not used for too long.
    #[error("it was not used for too long")]
    Idle,
    /// Over.
    #[error("its time is up")]
    Over,
    /// The clock shows a time before its last use.
    #[error("the clock was set back since it was used last")]
    ClockBack,
}

impl AccountStore<'_> {
    /// Whose session a token is, if it is live; its use is noted.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn prove(
        &self,
        at: UnixMillis,
        token: &Token,
        limits: Limits,
    ) -> Result<Result<Session, WhyEnded>, AppendError> {
        let hash = token.hash();
        let rows = self
            .log
            .fetch(
                sqlx::query(
                    "SELECT s.account, s.created_at, s.last_used, s.ends_at, s.revoked_at, a.name
                     FROM session s
                     LEFT JOIN account a ON a.key = s.account AND a.removed_at IS NULL
                     WHERE s.token = ?",
                )
                .bind(hash.to_vec()),
            )
            .await?;
        let Some(row) = rows.first() else { return Ok(Err(WhyEnded::Unknown)) };
        let read = || -> Result<_, sqlx::Error> {
            let key: String = row.try_get(0)?;
            let is_break_glass = key == BREAK_GLASS;
            let name = row.try_get::<Option<String>, _>(5)?.or(is_break_glass.then_some(key));
            let time = |column: usize| row.try_get::<i64, _>(column);
            let revoked = row.try_get::<Option<i64>, _>(4)?.is_some();
            Ok((name, time(1)?, time(2)?, time(3)?, revoked))
        };
        let (name, created_at, last_used, ends_at, revoked) =
            read().map_err(|error| self.log.error(error))?;
        // The limits of today hold, even where those of the log-in were wider.
        let ends_at = ends_at.min(created_at.saturating_add(limits.max_ms));
        let idle_until = last_used.saturating_add(limits.idle_ms);
        let ended = match name {
            _ if revoked => Some(WhyEnded::Revoked),
            None => Some(WhyEnded::Revoked),
            Some(_) if at.0 < last_used.saturating_sub(CLOCK_SLACK_MS) => Some(WhyEnded::ClockBack),
            Some(_) if at.0 >= ends_at => Some(WhyEnded::Over),
            Some(_) if at.0 >= idle_until => Some(WhyEnded::Idle),
            Some(_) => None,
        };
        if let Some(why) = ended {
            return Ok(Err(why));
        }
        let mut idle_until = idle_until;
        if at.0 - last_used >= TOUCH_MS {
            let touch = self.write(at, async |tx| {
                sqlx::query("UPDATE session SET last_used = ? WHERE token = ?")
                    .bind(at.0)
                    .bind(&hash[..])
                    .execute(tx)
                    .await?;
                Ok(Vec::new())
            });
            match touch.await {
                Ok(()) => idle_until = at.0.saturating_add(limits.idle_ms),
                Err(AccountError::Log(error)) => return Err(error),
                // The closure refuses nothing by itself.
                Err(_) => {}
            }
        }
        Ok(Ok(Session {
            account: name.unwrap_or_default(),
            created_at: UnixMillis(created_at),
            idle_until: UnixMillis(idle_until.min(ends_at)),
            ends_at: UnixMillis(ends_at),
        }))
    }

    /// Logs out: ends the sessions of these tokens that have not ended yet, and says how many.
    ///
    /// # Errors
    /// [`AccountError::Log`].
    pub async fn log_out(
        &self,
        by: &str,
        at: UnixMillis,
        tokens: &[Token],
    ) -> Result<u64, AccountError> {
        let mut ended = 0;
        self.write(at, async |tx| {
            for token in tokens {
                let done = sqlx::query(
                    "UPDATE session SET revoked_at = ? WHERE token = ? AND revoked_at IS NULL",
                )
                .bind(at.0)
                .bind(token.hash().to_vec())
                .execute(&mut *tx)
                .await?;
                ended += done.rows_affected();
            }
            if ended == 0 {
                return Ok(Vec::new());
            }
            Ok(vec![(by.to_owned(), Event::SessionEnded { sessions: ended })])
        })
        .await?;
        Ok(ended)
    }

    /// Ends every session that there is: after a backup was brought back, nobody is logged in.
    ///
    /// # Errors
    /// [`AccountError::Log`].
    pub async fn end_every_session(&self, by: &str, at: UnixMillis) -> Result<u64, AccountError> {
        let mut ended = 0;
        self.write(at, async |tx| {
            let done = sqlx::query("UPDATE session SET revoked_at = ? WHERE revoked_at IS NULL")
                .bind(at.0)
                .execute(&mut *tx)
                .await?;
            ended = done.rows_affected();
            if ended == 0 {
                return Ok(Vec::new());
            }
            Ok(vec![(by.to_owned(), Event::SessionEnded { sessions: ended })])
        })
        .await?;
        Ok(ended)
    }

    /// Opens a session for somebody whose identity was proved in another way: for a programme that has
    /// done so itself. Recorded like any log-in, with `how`. Whoever can write the state folder can do
    /// this, and it cannot be done without an entry.
    ///
    /// # Errors
    /// [`AccountError::Unknown`], the log's.
    pub async fn open_session(
        &self,
        at: UnixMillis,
        name: &str,
        how: &str,
        life_ms: i64,
    ) -> Result<Token, AccountError> {
        let token = Token::generate();
        self.write(at, async |tx| {
            let account = super::existing(tx, name).await?;
            insert(tx, &token, &account.key(), at, life_ms).await?;
            Ok(vec![(account.name, Event::SessionStarted { how: how.to_owned() })])
        })
        .await?;
        Ok(token)
    }
}

/// Stores a new session, and forgets old ones that have ended.
pub(super) async fn insert(
    tx: &mut SqliteConnection,
    token: &Token,
    account_key: &str,
    at: UnixMillis,
    life_ms: i64,
) -> Result<(), Fault> {
    sqlx::query("DELETE FROM session WHERE ends_at < ?")
        .bind(at.0.saturating_sub(KEPT_MS))
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT INTO session (token, account, created_at, last_used, ends_at)
         VALUES (?, ?, ?, ?, ?)",
    )
    .bind(token.hash().to_vec())
    .bind(account_key)
    .bind(at.0)
    .bind(at.0)
    .bind(at.0.saturating_add(life_ms))
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends all sessions of an account but one.
pub(super) async fn revoke_all(
    tx: &mut SqliteConnection,
    account_key: &str,
    at: UnixMillis,
    but: Option<&Token>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE session SET revoked_at = ?
         WHERE account = ? AND revoked_at IS NULL AND token IS NOT ?",
    )
    .bind(at.0)
    .bind(account_key)
    .bind(but.map(|token| token.hash().to_vec()))
    .execute(tx)
    .await?;
    Ok(())
}
