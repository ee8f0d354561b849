//! The key's file: PKCS#8 in PEM, as it is or sealed by a passphrase.
//!
//! Sealed is `EncryptedPrivateKeyInfo` (RFC 5958) with PBES2 (RFC 8018): scrypt (RFC 7914) and
//! AES-256-CBC. It is what `openssl pkcs8` reads, so that a school is never tied to this program.

use super::root::random;
use super::{AuthorityError, forbid_core_dumps};
use pkcs8::pkcs5::pbes2;
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The systemd credential that holds the passphrase.
pub const CREDENTIAL: &str = "ca-passphrase";

/// Shortest passphrase, in bytes: what seals a key is guessed at with the file in hand.
const MIN_BYTES: usize = 12;
/// Longest line read as a passphrase, in bytes.
const MAX_BYTES: u64 = 1_024;
/// Largest key file read, in bytes; a P-256 key has some 250, sealed 450.
const MAX_KEY_BYTES: u64 = 16 << 10;

/// scrypt N = 2^14, r = 8, p = 5: 16 MiB and some 200 ms a guess, OWASP's weight for this memory.
/// More memory would be refused by OpenSSL, which stops at 32 MiB.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

const PLAIN_LABEL: &str = "PRIVATE KEY";
const SEALED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// What opens a sealed key. Wiped when dropped; never shown.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// A passphrase of at least 12 bytes.
    ///
    /// # Errors
    /// [`AuthorityError::BadPassphrase`].
    pub fn new(text: &str) -> Result<Self, AuthorityError> {
        match text.len() {
            0 => Err(AuthorityError::BadPassphrase("the passphrase is empty")),
            1..MIN_BYTES => {
                Err(AuthorityError::BadPassphrase("the passphrase has fewer than 12 characters"))
            }
            _ => Ok(Self(Zeroizing::new(text.as_bytes().to_vec()))),
        }
    }

    /// The first line of a file, which only its owner (and group) may read.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn read(path: &Path) -> Result<Self, AuthorityError> {
        let file = File::open(path).map_err(|error| AuthorityError::file(path, error))?;
        // A group may be let in on purpose: root's file, read by the filter's group.
        refuse_readable(path, &file, 0o007)?;
        Self::from_reader(file).map_err(|error| AuthorityError::file(path, error))?
    }

    /// The first line of standard input or of any other reader.
    ///
    /// # Errors
    /// The reader's own; inside, [`AuthorityError::BadPassphrase`].
    pub fn from_reader(source: impl Read) -> io::Result<Result<Self, AuthorityError>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize));
        source.take(MAX_BYTES).read_to_end(&mut bytes)?;
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(match std::str::from_utf8(line) {
            Ok(text) => Self::new(text),
            Err(_) => Err(AuthorityError::BadPassphrase("the passphrase is no UTF-8 text")),
        })
    }

    /// The passphrase of this machine: the file that the machine file names, else the systemd
    /// credential `ca-passphrase` (systemd.exec(5), `LoadCredential=`); `None`: neither is there.
    ///
    /// # Errors
    /// [`AuthorityError`]: one that is there cannot be read or used.
    pub fn find(configured: Option<&Path>) -> Result<Option<Self>, AuthorityError> {
        if let Some(path) = configured {
            return Self::read(path).map(Some);
        }
        let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else { return Ok(None) };
        let path = Path::new(&folder).join(CREDENTIAL);
        match File::open(&path) {
            // systemd sets who may read it.
            Ok(file) => Self::from_reader(file)
                .map_err(|error| AuthorityError::file(&path, error))?
                .map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(AuthorityError::file(&path, error)),
        }
    }
}

/// Refuses a file that has one of these permission bits. The open file is asked, not its path:
/// what is checked is what is read.
fn refuse_readable(path: &Path, file: &File, bits: u32) -> Result<(), AuthorityError> {
    let metadata = file.metadata().map_err(|error| AuthorityError::file(path, error))?;
    let mode = metadata.permissions().mode() & 0o777;
    match mode & bits {
        0 => Ok(()),
        _ => Err(AuthorityError::Readable { path: path.to_owned(), mode }),
    }
}

/// The text of a key's file.
pub(super) fn write_key(
    key: &SecretDocument,
    seal: Option<&Passphrase>,
) -> Result<Zeroizing<String>, AuthorityError> {
    let fault = |error: &dyn std::fmt::Display| AuthorityError::Key(error.to_string());
    let Some(passphrase) = seal else {
        return key.to_pem(PLAIN_LABEL, LineEnding::LF).map_err(|error| fault(&error));
    };
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    random(&mut salt)?;
    random(&mut iv)?;
    let (log_n, r, p) = SCRYPT;
    let scrypt = pkcs8::pkcs5::scrypt::Params::new(log_n, r, p).map_err(|error| fault(&error))?;
    let how = pbes2::Parameters::generate_scrypt_aes256cbc(scrypt, &salt, iv)
        .map_err(|error| fault(&error))?;
    let info: PrivateKeyInfoRef<'_> = key.decode_msg().map_err(|error| fault(&error))?;
    let sealed = info.encrypt_with_params(how, &*passphrase.0).map_err(|error| fault(&error))?;
    sealed.to_pem(SEALED_LABEL, LineEnding::LF).map_err(|error| fault(&error))
}

/// Reads a key's file, and opens it where it is sealed.
pub(super) fn read_key(
    path: &Path,
    secret: Option<&Passphrase>,
) -> Result<SecretDocument, AuthorityError> {
    forbid_core_dumps().map_err(|error| AuthorityError::file(path, error))?;
    let pem = read_secret(path, MAX_KEY_BYTES)?;
    let (label, document) = SecretDocument::from_pem(&pem)
        .map_err(|_| AuthorityError::damaged(path, "this is no key in PEM"))?;
    match (label, secret) {
        (PLAIN_LABEL, _) => Ok(document),
        (SEALED_LABEL, None) => Err(AuthorityError::Sealed { path: path.to_owned() }),
        (SEALED_LABEL, Some(passphrase)) => {
            let sealed: EncryptedPrivateKeyInfoRef<'_> = document
                .decode_msg()
                .map_err(|_| AuthorityError::damaged(path, "this is no sealed key"))?;
            let opened = sealed.decrypt(&*passphrase.0);
            opened.map_err(|_| AuthorityError::WrongPassphrase { path: path.to_owned() })
        }
        _ => Err(AuthorityError::damaged(path, "this is no private key")),
    }
}

/// Whether a key's file is sealed; its first line says it, and no more is read.
pub(super) fn is_sealed(path: &Path) -> Result<bool, AuthorityError> {
    let start = format!("-----BEGIN {SEALED_LABEL}");
    Ok(*read_secret(path, start.len() as u64)? == start)
}

/// The first bytes of a file that is its owner's alone.
fn read_secret(path: &Path, most_bytes: u64) -> Result<Zeroizing<String>, AuthorityError> {
    let file = File::open(path).map_err(|error| AuthorityError::file(path, error))?;
    refuse_readable(path, &file, 0o077)?;
    // As large as any key at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_BYTES as usize));
    let read = file.take(most_bytes).read_to_string(&mut text);
    read.map_err(|error| AuthorityError::file(path, error))?;
    Ok(text)
}
