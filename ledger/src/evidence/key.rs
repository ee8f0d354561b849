//! The key that signs checkpoints, and the name under which it does: `STATE/audit/key`, `key.pub` and
//! `origin`.
//!
//! It is made once, at the first start. Whoever has it can sign another history: what protects the log
//! from them is a checkpoint that they cannot reach. It is never exported.

use base64ct::{Base64, Encoding};
use signed_note::{StandardSigner, StandardVerifier};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Ed25519 in a verifier key (C2SP signed-note).
const ED25519: u8 = 1;

/// Most characters of a school's name in an origin.
const MAX_NAME: usize = 40;

/// Why there is no key to sign with.
#[derive(Debug, Error)]
pub enum KeyError {
    /// A file.
    #[error("audit key {path}: {source}; see that the state folder can be read and written")]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file is no key.
    #[error("audit key {0}: not a signing key; restore it from a backup")]
    Damaged(PathBuf),
    /// The name in the machine file is not the one that the key signs under.
    #[error(
        "`audit.origin` is {wanted}, but this log is signed as {origin}; put that name into the machine file"
    )]
    OtherOrigin {
        /// What the machine file says.
        wanted: String,
        /// What the key says.
        origin: String,
    },
    /// The name cannot be one.
    #[error("{0:?} cannot be a log's origin; use letters, digits, hyphens, dots and slashes")]
    BadOrigin(String),
}

/// The key of a state folder.
#[derive(Clone)]
pub struct Key {
    origin: String,
    public: String,
    signer: StandardSigner,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Key {
    /// The name under which it signs: the log's origin line.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Its public half, as a signed-note verifier key: `NAME+ID+BASE64`.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    pub(crate) fn signer(&self) -> &StandardSigner {
        &self.signer
    }

    /// The key of an audit folder. Where there is none, one is made, to sign as `origin`, or under a
    /// name made from the school's; `true`: it was made now.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(
        audit: &Path,
        origin: Option<&str>,
        school: &str,
    ) -> Result<(Self, bool), KeyError> {
        let path = audit.join("key");
        if let Some(key) = Self::read(&path)? {
            if let Some(wanted) = origin.filter(|wanted| *wanted != key.origin) {
                let (wanted, origin) = (wanted.to_owned(), key.origin);
                return Err(KeyError::OtherOrigin { wanted, origin });
            }
            write_once(&audit.join("key.pub"), &format!("{}\n", key.public), 0o644)?;
            return Ok((key, false));
        }
        let failed = |source| KeyError::Io { path: audit.to_owned(), source };
        crate::folder::make_folder(audit).map_err(failed)?;
        let origin = match origin {
            Some(origin) => origin.to_owned(),
            None => made_up(school).map_err(failed)?,
        };
        if !is_origin(&origin) {
            return Err(KeyError::BadOrigin(origin));
        }
        let text = new_key(&origin).map_err(failed)?;
        // Two that begin at once make one key: the first to give it its name.
        write_once(&path, &text, 0o600)?;
        let key = Self::read(&path)?.ok_or_else(|| KeyError::Damaged(path.clone()))?;
        write_once(&audit.join("origin"), &format!("{}\n", key.origin), 0o644)?;
        write_once(&audit.join("key.pub"), &format!("{}\n", key.public), 0o644)?;
        Ok((key, true))
    }

    fn read(path: &Path) -> Result<Option<Self>, KeyError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(KeyError::Io { path: path.to_owned(), source }),
        };
        Self::parse(text.trim_end()).map(Some).ok_or_else(|| KeyError::Damaged(path.to_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        let signer = StandardSigner::new(text).ok()?;
        let mut parts = text.splitn(5, '+').skip(2);
        let (origin, _, secret) = (parts.next()?, parts.next()?, parts.next()?);
        let secret = Base64::decode_vec(secret).ok()?;
        let public = public_of(secret.get(1..)?)?;
        Some(Self { origin: origin.to_owned(), public: encoded(origin, &public), signer })
    }
}

/// The public key that `key.pub` of an audit folder holds.
///
/// # Errors
/// [`std::io::Error`], of a missing file too.
pub fn public_key(audit: &Path) -> std::io::Result<String> {
    Ok(std::fs::read_to_string(audit.join("key.pub"))?.trim_end().to_owned())
}

/// Whether a text is a verifier key with an Ed25519 key, as this program writes it: the same key in other
/// letters was changed by somebody.
#[must_use]
pub fn is_public_key(text: &str) -> bool {
    let id = text.split('+').nth(1).unwrap_or_default();
    StandardVerifier::new(text).is_ok() && !id.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Whether a log may have this name: what a note's key name may be (no space, no plus), and printable.
#[must_use]
pub fn is_origin(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._/:".contains(c);
    (1..=200).contains(&name.len()) && name.chars().all(fits)
}

/// `schoolgate/example-academy-1f3870be`.
fn made_up(school: &str) -> std::io::Result<String> {
    let mut random = [0; 4];
    fill(&mut random)?;
    let mut name = String::new();
    for c in school.to_lowercase().chars() {
        match c {
            c if c.is_ascii_alphanumeric() => name.push(c),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    let name: String = name.chars().take(MAX_NAME).collect();
    let name = name.trim_end_matches('-');
    let name = if name.is_empty() { "school" } else { name };
    Ok(format!("schoolgate/{name}-{}", super::hex(&random)))
}

fn fill(bytes: &mut [u8]) -> std::io::Result<()> {
    aws_lc_rs::rand::fill(bytes)
        .map_err(|_| std::io::Error::other("the system gives no random bytes"))
}

/// A new signer key in the form of the `note` tools.
fn new_key(origin: &str) -> std::io::Result<String> {
    let mut secret = [0; 32];
    fill(&mut secret)?;
    let public = public_of(&secret).ok_or_else(|| std::io::Error::other("no key can be made"))?;
    let id = signed_note::key_id(origin, &[&[ED25519], &public[..]].concat());
    let secret = Base64::encode_string(&[&[ED25519], &secret[..]].concat());
    Ok(format!("PRIVATE+KEY+{origin}+{id:08x}+{secret}\n"))
}

fn public_of(secret: &[u8]) -> Option<[u8; 32]> {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    let pair = Ed25519KeyPair::from_seed_unchecked(secret).ok()?;
    pair.public_key().as_ref().try_into().ok()
}

fn encoded(origin: &str, public: &[u8; 32]) -> String {
    let key = [&[ED25519], &public[..]].concat();
    let id = signed_note::key_id(origin, &key);
    format!("{origin}+{id:08x}+{}", Base64::encode_string(&key))
}

/// Writes a file that appears whole, or leaves the one that is there.
fn write_once(path: &Path, text: &str, mode: u32) -> Result<(), KeyError> {
    if path.exists() {
        return Ok(());
    }
    let write = || -> std::io::Result<()> {
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&new)?;
        file.write_all(text.as_bytes())?;
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
    };
    write().map_err(|source| KeyError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone_and_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let audit = folder.path().join("audit");
        let (key, made) = Key::open(&audit, None, "St. Mary’s  Academy").unwrap();
        assert!(made && key.origin().starts_with("schoolgate/st-mary-s-academy-"), "{key:?}");
        assert!(is_public_key(key.public()));
        let (name, rest) = key.public().split_once('+').unwrap();
        let (id, encoded) = rest.split_once('+').unwrap();
        let shouted = format!("{name}+{}+{encoded}", id.to_uppercase());
        assert_eq!(is_public_key(&shouted), shouted == key.public());
        let mode = std::fs::metadata(audit.join("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (again, made) = Key::open(&audit, None, "Renamed").unwrap();
        assert_eq!((again.public(), again.origin(), made), (key.public(), key.origin(), false));
        assert_eq!(public_key(&audit).unwrap(), key.public());
        let other = Key::open(&audit, Some("school.example/log"), "x").unwrap_err();
        assert!(matches!(other, KeyError::OtherOrigin { .. }), "{other}");
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }

    #[test]
    fn an_origin_of_the_machine_file_is_taken_and_a_bad_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (key, _) = Key::open(folder.path(), Some("school.example/log"), "x").unwrap();
        assert_eq!(key.origin(), "school.example/log");
        for bad in ["a b", "a+b", "", "é"] {
            let folder = tempfile::tempdir().unwrap();
            let error = Key::open(folder.path(), Some(bad), "x").unwrap_err();
            assert!(matches!(error, KeyError::BadOrigin(_)), "{bad}: {error}");
        }
        let (unnamed, _) = Key::open(&folder.path().join("b"), None, "学校").unwrap();
        assert!(unnamed.origin().starts_with("schoolgate/school-"), "{}", unnamed.origin());
    }

    #[test]
    fn a_file_that_is_no_key_is_told_of_and_left() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "hello").unwrap();
        assert!(matches!(Key::open(folder.path(), None, "x"), Err(KeyError::Damaged(_))));
        assert_eq!(std::fs::read(folder.path().join("key")).unwrap(), b"hello");
    }
}
