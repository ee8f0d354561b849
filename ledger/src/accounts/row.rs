//! One account as it is stored.

use super::one_time::OneTimeSecret;
use crate::users::user_key;
use rules::time::UnixMillis;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

/// The columns, in the order in which [`Account::read`] takes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT name, password, set_by, code_secret, code_step, failures, locked_until, ",
            "last_login, created_at, removed_at FROM account ",
            $rest
        )
    };
}

pub(super) const SELECT_ONE: &str = select!("WHERE key = ?");
pub(super) const SELECT_PRESENT: &str = select!("WHERE removed_at IS NULL ORDER BY key");

/// A row, removed ones included.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: String,
    /// Argon2id in PHC form.
    pub(super) phc: Option<String>,
    pub(super) set_by: Option<String>,
    pub(super) secret: Option<OneTimeSecret>,
    pub(super) code_step: Option<u64>,
    pub(super) failures: u32,
    pub(super) locked_until: Option<UnixMillis>,
    pub(super) last_login: Option<UnixMillis>,
    pub(super) created_at: UnixMillis,
    pub(super) removed: bool,
}

impl Account {
    pub(super) fn new(name: &str, at: UnixMillis) -> Self {
        Self {
            name: name.to_owned(),
            phc: None,
            set_by: None,
            secret: None,
            code_step: None,
            failures: 0,
            locked_until: None,
            last_login: None,
            created_at: at,
            removed: false,
        }
    }

    pub(super) fn key(&self) -> String {
        user_key(&self.name)
    }

    pub(super) fn is_locked(&self, at: UnixMillis) -> bool {
        self.locked_until.is_some_and(|until| at < until)
    }

    pub(super) fn read(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let time = |column: usize| {
            Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(UnixMillis))
        };
        Ok(Self {
            name: row.try_get(0)?,
            phc: row.try_get(1)?,
            set_by: row.try_get(2)?,
            secret: row.try_get::<Option<Vec<u8>>, _>(3)?.map(OneTimeSecret::from_bytes),
            code_step: row.try_get::<Option<i64>, _>(4)?.and_then(|step| u64::try_from(step).ok()),
            failures: row.try_get(5)?,
            locked_until: time(6)?,
            last_login: time(7)?,
            created_at: UnixMillis(row.try_get(8)?),
            removed: time(9)?.is_some(),
        })
    }

    /// The account of a name, without case; one that was removed too.
    pub(super) async fn find(
        tx: &mut SqliteConnection,
        name: &str,
    ) -> Result<Option<Self>, sqlx::Error> {
        let row = sqlx::query(SELECT_ONE).bind(user_key(name)).fetch_optional(tx).await?;
        row.as_ref().map(Self::read).transpose()
    }

    /// Stores it as one that is not removed.
    pub(super) async fn save(&self, tx: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT OR REPLACE INTO account (key, name, password, set_by, code_secret, code_step,
               failures, locked_until, last_login, created_at, removed_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
        )
        .bind(self.key())
        .bind(&self.name)
        .bind(&self.phc)
        .bind(&self.set_by)
        .bind(self.secret.as_ref().map(OneTimeSecret::as_bytes))
        .bind(self.code_step.and_then(|step| i64::try_from(step).ok()))
        .bind(self.failures)
        .bind(self.locked_until.map(|at| at.0))
        .bind(self.last_login.map(|at| at.0))
        .bind(self.created_at.0)
        .execute(tx)
        .await?;
        Ok(())
    }
}
