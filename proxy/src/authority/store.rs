//! The authorities of an installation, in `STATE/ca`.
//!
//! ```text
//! authorities.json   which one signs, which comes next, which is retiring, which are retired
//! ID.pem             a root certificate; ID is the start of its SHA-256
//! ID.key             its key, mode 0600 from its first byte; gone once it is retired
//! ```
//!
//! A step is prepared first (its files written and synced), then recorded by the caller, then
//! committed by renaming a new `authorities.json` into place: a crash at any point leaves the
//! authorities as they were, or as they should be.

use super::root::{Facts, MAX_ROOT_YEARS, RootKey, make};
use super::seal::{self, Passphrase};
use super::{Authority, AuthorityError, hex, now_s};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// The store's folder within the state folder.
const FOLDER: &str = "ca";
/// What says which authority does what.
const REGISTER: &str = "authorities.json";
/// Digits of the fingerprint that name an authority's files.
const ID_DIGITS: usize = 16;

/// What an authority is for at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It signs what clients see.
    Signs,
    /// It will sign once devices trust it.
    Next,
    /// It signed until lately; devices still trust it, and it can sign again.
    Retiring,
    /// Its key is gone.
    Retired,
}

impl Standing {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signs => "signs",
            Self::Next => "next",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }
}

/// One authority of the store.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The start of its fingerprint in lower-case hex: names its files.
    pub id: String,
    /// What it is for.
    pub standing: Standing,
    /// Its root certificate.
    pub certificate: CertificateDer<'static>,
    /// What the certificate says.
    pub facts: Facts,
    /// Whether its key is sealed; `None`: it has none any more.
    pub sealed: Option<bool>,
}

/// What a new authority shall be.
#[derive(Clone, Copy, Debug)]
pub struct NewAuthority<'a> {
    /// The school's name, part of its own.
    pub school: &'a str,
    /// Its life in years: 1 to [`MAX_ROOT_YEARS`].
    pub years: u8,
    /// Seals its key.
    pub seal: Option<&'a Passphrase>,
}

/// A change to the store.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// The first authority, which signs at once.
    Init(NewAuthority<'a>),
    /// A successor, which signs nothing yet.
    Successor(NewAuthority<'a>),
    /// The successor signs; what signed is retiring.
    Activate,
    /// What is retiring signs again; what signs is the successor again.
    Undo,
    /// The retiring authority's key is destroyed.
    Retire,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Register {
    signs: Option<String>,
    next: Option<String>,
    retiring: Option<String>,
    /// The oldest first.
    retired: Vec<String>,
}

/// The authorities of one installation.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store of a state folder.
    #[must_use]
    pub fn of_state(state: &Path) -> Self {
        Self { folder: state.join(FOLDER) }
    }

    /// The store in this folder itself.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn key_path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.key"))
    }

    fn certificate_path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.pem"))
    }

    /// Changes when the authorities do; one `stat`. `None`: there are none.
    pub(super) fn stamp(&self) -> Option<(u64, i64, i64)> {
        let metadata = fs::metadata(self.folder.join(REGISTER)).ok()?;
        Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
    }

    /// All authorities: what signs first, then next, retiring, and the retired, newest first.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn entries(&self) -> Result<Vec<Entry>, AuthorityError> {
        let register = self.register()?;
        let one = |id: &Option<String>, standing| id.clone().map(|id| (id, standing));
        let all = [
            one(&register.signs, Standing::Signs),
            one(&register.next, Standing::Next),
            one(&register.retiring, Standing::Retiring),
        ];
        let retired = register.retired.into_iter().rev().map(|id| (id, Standing::Retired));
        all.into_iter()
            .flatten()
            .chain(retired)
            .map(|(id, standing)| self.entry(id, standing))
            .collect()
    }

    fn entry(&self, id: String, standing: Standing) -> Result<Entry, AuthorityError> {
        let path = self.certificate_path(&id);
        let pem = fs::read(&path).map_err(|error| AuthorityError::file(&path, error))?;
        let damaged = || AuthorityError::damaged(&path, "this is not the certificate it should be");
        let certificate = CertificateDer::from_pem_slice(&pem).map_err(|_| damaged())?;
        let facts = Facts::read(&certificate).ok_or_else(damaged)?;
        if id_of(&certificate) != id {
            return Err(damaged());
        }
        let sealed = match standing {
            Standing::Retired => None,
            _ => Some(seal::is_sealed(&self.key_path(&id))?),
        };
        Ok(Entry { id, standing, certificate, facts, sealed })
    }

    fn register(&self) -> Result<Register, AuthorityError> {
        let path = self.folder.join(REGISTER);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Register::default()),
            Err(error) => return Err(AuthorityError::file(&path, error)),
        };
        let damaged = || AuthorityError::damaged(&path, "this is not the list it should be");
        let register: Register = serde_json::from_slice(&text).map_err(|_| damaged())?;
        let is_id =
            |id: &String| id.len() == ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let present = [&register.signs, &register.next, &register.retiring].into_iter().flatten();
        let all_are_ids = present.chain(&register.retired).all(is_id);
        if all_are_ids { Ok(register) } else { Err(damaged()) }
    }

    /// Says whether a step can be taken as things stand, and changes nothing.
    ///
    /// # Errors
    /// [`AuthorityError::State`] with what to do instead; other [`AuthorityError`]s.
    pub fn check(&self, step: &Step<'_>) -> Result<(), AuthorityError> {
        self.after(&self.register()?, step, None).map(|_| ())
    }

    /// Prepares a step, so that [`Prepared::commit`] alone is left to do. No other change can be
    /// prepared meanwhile. Dropped without a commit, nothing has changed.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub fn prepare(&self, step: Step<'_>) -> Result<Prepared, AuthorityError> {
        let lock = self.open_folder()?;
        let register = self.register()?;
        self.after(&register, &step, None)?;
        let mut prepared = Prepared {
            store: self.clone(),
            next: Register::default(),
            about: None,
            new_files: Vec::new(),
            old_key: None,
            lock,
        };
        let about = match step {
            Step::Init(new) | Step::Successor(new) => {
                self.same_seal(&register, new.seal)?;
                Some(self.make(&new, &mut prepared)?)
            }
            Step::Activate => register.next.clone(),
            Step::Undo => register.retiring.clone(),
            Step::Retire => {
                prepared.old_key = register.retiring.as_deref().map(|id| self.key_path(id));
                register.retiring.clone()
            }
        };
        prepared.next = self.after(&register, &step, about.as_deref())?;
        let standing = match step {
            Step::Init(_) | Step::Activate | Step::Undo => Standing::Signs,
            Step::Successor(_) => Standing::Next,
            Step::Retire => Standing::Retired,
        };
        prepared.about = about.map(|id| self.entry(id, standing)).transpose()?;
        Ok(prepared)
    }

    /// The list after a step; `new` is the authority made for it.
    fn after(
        &self,
        before: &Register,
        step: &Step<'_>,
        new: Option<&str>,
    ) -> Result<Register, AuthorityError> {
        let no = |what: &str, fix| Err(AuthorityError::State { what: what.to_owned(), fix });
        let mut after = before.clone();
        match step {
            Step::Init(_) if before.signs.is_some() => {
                return no(
                    "there is an authority already",
                    "see it with: schoolgate ca show; replace it with: schoolgate ca rotate",
                );
            }
            Step::Init(_) => after.signs = new.map(str::to_owned),
            _ if before.signs.is_none() => {
                return no("there is no authority yet", "make one with: schoolgate ca init");
            }
            Step::Successor(_) if before.next.is_some() => {
                return no(
                    "there is a next authority already",
                    "give it to the devices, then: schoolgate ca rotate --activate",
                );
            }
            Step::Successor(_) if before.retiring.is_some() => {
                return no(
                    "the authority before is not retired yet",
                    "take it off the devices, then: schoolgate ca rotate --retire",
                );
            }
            Step::Successor(_) => after.next = new.map(str::to_owned),
            Step::Activate if before.next.is_none() => {
                return no("there is no next authority", "make one with: schoolgate ca rotate");
            }
            Step::Activate => {
                after.retiring = after.signs.take();
                after.signs = after.next.take();
            }
            Step::Undo | Step::Retire if before.retiring.is_none() => {
                return no(
                    "no authority is retiring",
                    "see how things stand with: schoolgate ca show",
                );
            }
            Step::Undo => {
                after.next = after.signs.take();
                after.signs = after.retiring.take();
            }
            Step::Retire => after.retired.extend(after.retiring.take()),
        }
        Ok(after)
    }

    /// The daemon has one passphrase: a successor must be sealed by the one that opens the current.
    fn same_seal(
        &self,
        register: &Register,
        secret: Option<&Passphrase>,
    ) -> Result<(), AuthorityError> {
        let Some(id) = &register.signs else { return Ok(()) };
        let path = self.key_path(id);
        if seal::is_sealed(&path)? || secret.is_none() {
            seal::read_key(&path, secret)?;
        }
        Ok(())
    }

    /// Makes an authority's two files; its id.
    fn make(
        &self,
        new: &NewAuthority<'_>,
        prepared: &mut Prepared,
    ) -> Result<String, AuthorityError> {
        let fault = |error| AuthorityError::file(&self.folder, error);
        super::forbid_core_dumps().map_err(fault)?;
        let key = RootKey::generate()?;
        let certificate = make(&key, new.school, new.years.min(MAX_ROOT_YEARS), now_s())?;
        let id = id_of(&certificate);
        let text = seal::write_key(&key.to_pkcs8()?, new.seal)?;
        let paths = [self.key_path(&id), self.certificate_path(&id)];
        let pem = super::pem(&certificate);
        for (path, text) in paths.into_iter().zip([text.as_str(), &pem]) {
            prepared.new_files.push(path.clone());
            self.create(&path, text.as_bytes())?;
        }
        // What was written must open again, before anybody trusts it.
        let opened = RootKey::from_pkcs8(&seal::read_key(&self.key_path(&id), new.seal)?)?;
        Authority::assemble(certificate, opened)
            .ok_or_else(|| AuthorityError::Key("the new key does not fit".to_owned()))?;
        Ok(id)
    }

    /// Writes a file that was not there, its owner's alone from the start, down to the disk.
    fn create(&self, path: &Path, bytes: &[u8]) -> Result<(), AuthorityError> {
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            // The umask can only have taken bits away; the owner needs both.
            file.set_permissions(Permissions::from_mode(0o600))?;
            self.give_to_owner(&file)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(|error| AuthorityError::file(path, error))
    }

    /// Opens the folder, made if need be, and holds it until dropped.
    fn open_folder(&self) -> Result<File, AuthorityError> {
        let open = || {
            match DirBuilder::new().mode(0o700).recursive(true).create(&self.folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let folder = File::open(&self.folder)?;
            folder.lock()?;
            folder.set_permissions(Permissions::from_mode(0o700))?;
            self.give_to_owner(&folder)?;
            Ok(folder)
        };
        open().map_err(|error| AuthorityError::file(&self.folder, error))
    }

    /// What root makes belongs to the account of the state folder, whose daemon must read it.
    fn give_to_owner(&self, file: &File) -> io::Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let Some(state) = self.folder.parent() else { return Ok(()) };
        let state = if state.as_os_str().is_empty() { Path::new(".") } else { state };
        let owner = fs::metadata(state)?;
        fchown(file, Some(owner.uid()), Some(owner.gid()))
    }
}

/// A step that is ready: its files are on the disk, and nothing has changed yet.
#[derive(Debug)]
pub struct Prepared {
    store: Store,
    next: Register,
    about: Option<Entry>,
    new_files: Vec<PathBuf>,
    old_key: Option<PathBuf>,
    lock: File,
}

impl Prepared {
    /// The authority that the step is about, as it will stand.
    #[must_use]
    pub fn entry(&self) -> Option<&Entry> {
        self.about.as_ref()
    }

    /// Takes the step. A running filter follows within a second.
    ///
    /// # Errors
    /// [`AuthorityError`]; then nothing has changed, but that a retired key may be left behind.
    pub fn commit(mut self) -> Result<(), AuthorityError> {
        let path = self.store.folder.join(REGISTER);
        let fault = |error| AuthorityError::file(&path, error);
        let text = serde_json::to_vec_pretty(&self.next).map_err(|error| fault(error.into()))?;
        let draft = path.with_extension("new");
        // Left by a crash; the folder's lock says that nobody is writing it.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(fault(error)),
            _ => {}
        }
        self.store.create(&draft, &text)?;
        fs::rename(&draft, &path).map_err(fault)?;
        self.new_files.clear();
        if let Some(key) = self.old_key.take() {
            fs::remove_file(&key).map_err(|error| AuthorityError::file(&key, error))?;
        }
        self.lock.sync_all().map_err(fault)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        for file in self.new_files.drain(..) {
            let _ = fs::remove_file(file);
        }
    }
}

fn id_of(certificate: &[u8]) -> String {
    let mut id = hex(&Sha256::digest(certificate));
    id.truncate(ID_DIGITS);
    id
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
