//! Names that stand for people in reports, and can be made of a person's own name by this installation
//! alone: `STATE/pseudonyms.key`.
//!
//! A pseudonym is a keyed hash (HMAC-SHA-256) of the name and of what it is for, such as the days that a
//! report covers. So a person is the same in all reports of one period, two reports of different periods
//! cannot be laid beside each other, and nobody without the key can find by trial who it is. It is no
//! protection from whoever can read the state folder: there the names themselves stand in the log.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// Letters and digits of which none is taken for another (Crockford's base 32).
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// First words of what is hashed.
const PURPOSE: &str = "schoolgate pseudonym v1";

/// Why there are no pseudonyms.
#[derive(Debug, Error)]
pub enum PseudonymError {
    /// The key's file.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// It is no key.
    #[error(
        "{0} is no key: it has not 32 bytes; backups leave it out; remove it for a new one, by which everybody \
         is called otherwise from then on"
    )]
    Damaged(PathBuf),
}

/// Makes pseudonyms.
pub struct Pseudonyms(Key);

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms")
    }
}

impl Pseudonyms {
    /// Where the key of a state folder lies.
    #[must_use]
    pub fn path_in(state: &Path) -> PathBuf {
        state.join("pseudonyms.key")
    }

    /// Those of a state folder; its key is made where there is none.
    ///
    /// # Errors
    /// [`PseudonymError`].
    pub fn open(state: &Path) -> Result<Self, PseudonymError> {
        let path = Self::path_in(state);
        let failed = |source| PseudonymError::Io { path: path.clone(), source };
        let key = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                make(&path).map_err(failed)?;
                // Whoever came first has made it.
                std::fs::read(&path).map_err(failed)?
            }
            read => read.map_err(failed)?,
        };
        let key: [u8; KEY_BYTES] =
            key.try_into().map_err(|_| PseudonymError::Damaged(path.clone()))?;
        Ok(Self::with(&key))
    }

    /// Those of a key.
    #[must_use]
    pub fn with(key: &[u8; KEY_BYTES]) -> Self {
        Self(Key::new(HMAC_SHA256, key))
    }

    /// What stands for a person, whatever the case of the name: `P-7K3QF0XA`. `scope` says where it holds;
    /// in another one the person has another. Forty bits: of a thousand people two have the same in one
    /// of two million reports.
    #[must_use]
    pub fn of(&self, scope: &str, name: &str) -> String {
        self.digits(scope, name, 8)
    }

    /// As [`Pseudonyms::of`], of 125 bits, so that no two people ever have the same.
    #[must_use]
    pub fn long(&self, scope: &str, name: &str) -> String {
        self.digits(scope, name, 25)
    }

    fn digits(&self, scope: &str, name: &str, count: usize) -> String {
        let name = name.trim().to_lowercase();
        // Lengths first: no two pairs of scope and name make the same text.
        let text = format!("{PURPOSE}\n{}\n{scope}\n{name}", scope.len());
        let tag = sign(&self.0, text.as_bytes());
        let bits =
            tag.as_ref().iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        let bits: Vec<u8> = bits.take(5 * count).collect();
        let digit = |five: &[u8]| {
            let place = five.iter().fold(0usize, |value, bit| value << 1 | usize::from(*bit));
            char::from(DIGITS[place])
        };
        format!("P-{}", bits.chunks(5).map(digit).collect::<String>())
    }
}

/// Makes a key under another name first: nobody meets half of one, and of two makers one wins.
fn make(path: &Path) -> std::io::Result<()> {
    let mut key = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut key)
        .map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&key)?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&new, path);
    std::fs::remove_file(&new)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_person_has_one_pseudonym_in_a_scope_and_another_in_another_and_under_another_key() {
        let names = Pseudonyms::with(&[7; 32]);
        let one = names.of("week 1", "sam.p");
        assert_eq!(one, names.of("week 1", " SAM.P "));
        assert_eq!(one.len(), "P-".len() + 8);
        assert!(!one.to_lowercase().contains("sam"));
        let others = [
            names.of("week 2", "sam.p"),
            names.of("week 1", "kit.r"),
            names.of("week 1\nsam", ".p"),
            Pseudonyms::with(&[8; 32]).of("week 1", "sam.p"),
        ];
        assert!(others.iter().all(|other| *other != one), "{one} {others:?}");
        assert!(names.long("week 1", "sam.p").starts_with(&one));
        let many: HashSet<String> =
            (0..2_000).map(|number| names.of("week 1", &format!("pupil{number}"))).collect();
        assert_eq!(many.len(), 2_000);
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_half_a_key_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let state = tempfile::tempdir().unwrap();
        let first = Pseudonyms::open(state.path()).unwrap().of("", "sam.p");
        assert_eq!(Pseudonyms::open(state.path()).unwrap().of("", "sam.p"), first);
        let path = Pseudonyms::path_in(state.path());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 1, "nothing is left over");
        std::fs::write(&path, [1; 31]).unwrap();
        assert!(matches!(Pseudonyms::open(state.path()), Err(PseudonymError::Damaged(_))));
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Pseudonyms::open(other.path()).unwrap().of("", "sam.p"), first);
    }
}
