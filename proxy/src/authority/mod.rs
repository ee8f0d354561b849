//! The school's own certificate authority, and the certificates that it signs for inspected
//! connections.
//!
//! [`Store`] keeps authorities in `STATE/ca`: the one that signs, the next one while devices are
//! given it, and the old one until it is retired. [`Authority`] is one with its key loaded.
//! [`Minter`] signs a short-lived certificate for each host on first use and keeps it in memory.
//! [`Live`] holds the minter of a running filter and follows the store.
//!
//! The key leaves its file only into the memory of a process that forbade core dumps
//! ([`forbid_core_dumps`]), in an object of aws-lc that wipes it when freed. It has no `Debug`, and
//! nothing here prints, exports or copies it.

mod export;
mod guard;
mod leaf;
mod live;
mod minter;
mod root;
mod seal;
mod store;

pub use export::{mobileconfig, pem};
pub use guard::forbid_core_dumps;
pub use leaf::{MAX_LEAF_DAYS, UpstreamCertificate};
pub use live::Live;
pub use minter::{LeafFacts, MintError, Minter};
pub use root::{Authority, Facts, MAX_ROOT_YEARS};
pub use seal::{CREDENTIAL, Passphrase};
pub use store::{Entry, NewAuthority, Prepared, Standing, Step, Store};

use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why an authority cannot be used or changed. [`AuthorityError::fix`] says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A file or the folder cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that other accounts of this machine may read.
    #[error("{}: other accounts may read it (mode {mode:o}); a secret must be its owner's alone", .path.display())]
    Readable {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file that does not hold what it should.
    #[error("{}: {what}", .path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The key is sealed and there is no passphrase.
    #[error("{}: the key is sealed, and no passphrase was given", .path.display())]
    Sealed {
        /// The key's file.
        path: PathBuf,
    },
    /// The passphrase does not open the key.
    #[error("{}: the passphrase does not open this key", .path.display())]
    WrongPassphrase {
        /// The key's file.
        path: PathBuf,
    },
    /// A passphrase that cannot be used.
    #[error("{0}")]
    BadPassphrase(&'static str),
    /// The step makes no sense as things stand.
    #[error("{what}")]
    State {
        /// What stands in the way.
        what: String,
        /// What to do instead.
        fix: &'static str,
    },
    /// The machine has no randomness, or refuses the key.
    #[error("making or using a key failed: {0}")]
    Key(String),
}

impl AuthorityError {
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, what: &'static str) -> Self {
        Self::Damaged { path: path.to_owned(), what }
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run as the account that owns the state folder".to_owned()
            }
            Self::File { .. } => "see that the file is there and its disk is not full".to_owned(),
            Self::Readable { path, .. } => {
                format!(
                    "chmod 600 {0}; if others may have read it, replace it: schoolgate ca rotate",
                    path.display()
                )
            }
            Self::Damaged { .. } => {
                "put the file back from where you keep a copy of the state folder".to_owned()
            }
            Self::Sealed { .. } => {
                "set passphrase_file under [ca] of the machine file, or the systemd credential \
                 ca-passphrase"
                    .to_owned()
            }
            Self::WrongPassphrase { .. } => {
                "give the passphrase that the authority was made with".to_owned()
            }
            Self::BadPassphrase(_) => {
                "make one with: openssl rand -base64 24 > FILE; chmod 600 FILE".to_owned()
            }
            Self::State { fix, .. } => (*fix).to_owned(),
            Self::Key(_) => "try again; if it stays so, report it".to_owned(),
        }
    }
}

/// The present moment in seconds since 1970.
pub(crate) fn now_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Lower-case hex without separators.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
