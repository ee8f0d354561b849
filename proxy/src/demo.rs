//! What `serve` needs when it is given nothing: the starter policy on disk, and three users to try
//! the filter with. Only with the machine file inside the program, which listens to this computer
//! alone.

use crate::config::Config;
use crate::snapshot::SnapshotError;
use ledger::changes::{ACTOR_DAEMON, ChangeLog};
use ledger::users::{NewUser, Password};
use rules::time::UnixMillis;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The demonstration users: name, which is also what they are, and level.
pub const USERS: [(&str, &str); 3] = [("pupil", "ks3"), ("staff", "staff"), ("guest", "guest")];
/// Their password.
pub const PASSWORD: &str = "demo";

/// Writes the starter policy and the files it names, where they are missing and `config` is the one
/// inside the program. A file that is there is left as it is.
///
/// # Errors
/// [`SnapshotError::Demo`].
pub fn write_policy_if_missing(config: &Config) -> Result<(), SnapshotError> {
    if !config.demo {
        return Ok(());
    }
    let folder = config.policy.parent().unwrap_or(Path::new(""));
    write_missing(&config.policy, rules::defaults::POLICY)?;
    for (name, text) in rules::defaults::POLICY_FILES {
        write_missing(&folder.join(name), text)?;
    }
    Ok(())
}

fn write_missing(path: &Path, text: &str) -> Result<(), SnapshotError> {
    let failed = |source| SnapshotError::Demo { path: path.display().to_string(), source };
    if path.exists() {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    std::fs::write(path, text).map_err(failed)
}

/// Adds the demonstration users that are missing, if `config` is the machine file inside the
/// program. Gives the names of all three in that case, none otherwise.
///
/// # Errors
/// [`SnapshotError::Users`].
pub async fn add_users(
    config: &Config,
    log: &ChangeLog,
    now: UnixMillis,
) -> Result<Vec<&'static str>, SnapshotError> {
    if !config.demo {
        return Ok(Vec::new());
    }
    for (name, level) in USERS {
        if log.users().find(name).await?.is_none() {
            let user = NewUser {
                name: name.to_owned(),
                level: Some(level.to_owned()),
                groups: Vec::new(),
                password: Some(Password::for_demonstration(PASSWORD)),
            };
            log.users().add(ACTOR_DAEMON, now, user).await?;
        }
    }
    Ok(USERS.iter().map(|(name, _)| *name).collect())
}
