//! Where a session's token lies between two commands: a file for the person's own account of the
//! operating system, one for each account and state folder.
//!
//! A file or folder that others can read, that belongs to somebody else, or that is a link is not
//! used, and the error says so: its token may have been copied, or put there.

use super::token::Token;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Names the folder outright.
const FOLDER_VARIABLE: &str = "SCHOOLGATE_SESSIONS";

/// Longest file that can be a session's, in bytes.
const MAX_FILE_BYTES: u64 = 4_096;

const ENDING: &str = ".session";

/// Why sessions cannot be read or kept.
#[derive(Debug, Error)]
pub enum TokenFileError {
    /// No environment variable says where.
    #[error(
        "nothing says where sessions are kept: {FOLDER_VARIABLE}, XDG_STATE_HOME and HOME are not set"
    )]
    NoPlace,
    /// The file system.
    #[error("{path}: {source}")]
    File {
        /// File or folder.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// Others can get at it.
    #[error("{path} is not used: {why}")]
    Unsafe {
        /// File or folder.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// A token that this account of the operating system holds.
#[derive(Clone, Debug)]
pub struct HeldSession {
    /// Whose it is, as the file says; the token proves it or not.
    pub account: String,
    /// The token.
    pub token: Token,
}

/// The folder of sessions of one account of the operating system.
#[derive(Clone, Debug)]
pub struct SessionFolder {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    account: String,
    /// For people who look at the file.
    state: String,
    token: String,
}

impl SessionFolder {
    /// A folder that is named.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder that the environment names: `SCHOOLGATE_SESSIONS`, else `schoolgate` in
    /// `XDG_STATE_HOME`, else in `~/.local/state`. Under sudo each person has a folder of their own in
    /// it, so that two who become the same account do not act in each other's name by mistake.
    ///
    /// # Errors
    /// [`TokenFileError::NoPlace`].
    pub fn of_environment(
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, TokenFileError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(path) = set(FOLDER_VARIABLE) {
            return Ok(Self { path });
        }
        let states = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
        let folder = states.ok_or(TokenFileError::NoPlace)?.join("schoolgate");
        let through = variable("SUDO_UID").and_then(|uid| uid.to_str()?.parse::<u32>().ok());
        let own = rustix::process::geteuid().as_raw();
        Ok(match through.filter(|uid| *uid != own) {
            Some(uid) => Self { path: folder.join(format!("through-{uid}")) },
            None => Self { path: folder },
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps a session of an installation, in the place of an earlier one of the same account there.
    ///
    /// # Errors
    /// [`TokenFileError`].
    pub fn keep(&self, state: &Path, account: &str, token: &Token) -> Result<(), TokenFileError> {
        let failed = |path: &Path| {
            let path = show(path);
            move |source| TokenFileError::File { path, source }
        };
        if std::fs::symlink_metadata(&self.path).is_err() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.path)
                .map_err(failed(&self.path))?;
        }
        self.check_folder()?;
        let state_path = std::fs::canonicalize(state).unwrap_or_else(|_| state.to_owned());
        let stored =
            Stored { account: account.to_owned(), state: show(&state_path), token: token.to_hex() };
        let text = serde_json::to_string(&stored)
            .map_err(|error| failed(&self.path)(std::io::Error::other(error)))?;
        let path = self.file(state, account);
        let new = path.with_extension(format!("new-{}", std::process::id()));
        // What a killed command left under this name would be in the way.
        let _ = std::fs::remove_file(&new);
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(failed(&new))?;
        std::fs::rename(&new, &path).map_err(failed(&path))
    }

    /// The session of an account of an installation, if one is held.
    ///
    /// # Errors
    /// [`TokenFileError`].
    pub fn find(&self, state: &Path, account: &str) -> Result<Option<HeldSession>, TokenFileError> {
        if !self.is_there()? {
            return Ok(None);
        }
        read(&self.file(state, account))
    }

    /// All sessions of an installation that are held, by the names of their files.
    ///
    /// # Errors
    /// [`TokenFileError`].
    pub fn held(&self, state: &Path) -> Result<Vec<HeldSession>, TokenFileError> {
        if !self.is_there()? {
            return Ok(Vec::new());
        }
        let start = state_mark(state);
        let entries = std::fs::read_dir(&self.path)
            .map_err(|source| TokenFileError::File { path: show(&self.path), source })?;
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().and_then(|name| name.to_str());
                name.is_some_and(|name| name.starts_with(&start) && name.ends_with(ENDING))
            })
            .collect();
        files.sort();
        let mut held = Vec::new();
        for file in files {
            held.extend(read(&file)?);
        }
        Ok(held)
    }

    /// Takes a session's file away; one that is not there is no fault.
    pub fn forget(&self, state: &Path, account: &str) {
        // What stays behind proves nothing any more: the session itself has ended.
        let _ = std::fs::remove_file(self.file(state, account));
    }

    fn is_there(&self) -> Result<bool, TokenFileError> {
        if std::fs::symlink_metadata(&self.path).is_err() {
            return Ok(false);
        }
        self.check_folder().map(|()| true)
    }

    fn check_folder(&self) -> Result<(), TokenFileError> {
        let data = std::fs::symlink_metadata(&self.path)
            .map_err(|source| TokenFileError::File { path: show(&self.path), source })?;
        let kind = if data.is_dir() { None } else { Some("it is no folder, or a link to one") };
        check_owner(&self.path, &data, kind)
    }

    /// A name from hashes alone: whatever an account is called, it is one file in this folder.
    fn file(&self, state: &Path, account: &str) -> PathBuf {
        let account = hex(&Sha256::digest(crate::users::user_key(account)), 16);
        self.path.join(format!("{}-{account}{ENDING}", state_mark(state)))
    }
}

/// What stands for an installation in file names.
fn state_mark(state: &Path) -> String {
    let path = std::fs::canonicalize(state).unwrap_or_else(|_| state.to_owned());
    hex(&Sha256::digest(path.as_os_str().as_bytes()), 8)
}

fn hex(bytes: &[u8], first: usize) -> String {
    bytes.iter().take(first).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads one file; `None` where there is none, or what it holds is no session.
fn read(path: &Path) -> Result<Option<HeldSession>, TokenFileError> {
    let failed = |source| TokenFileError::File { path: show(path), source };
    // A link is not followed, and a pipe put there does not keep anybody waiting.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => {
            let why = "it is a link".to_owned();
            return Err(TokenFileError::Unsafe { path: show(path), why });
        }
        Err(error) => return Err(failed(error.into())),
    };
    let data = file.metadata().map_err(failed)?;
    check_owner(path, &data, if data.is_file() { None } else { Some("it is no file") })?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
    let Ok(stored) = serde_json::from_str::<Stored>(&text) else { return Ok(None) };
    let token = Token::from_hex(&stored.token);
    Ok(token.map(|token| HeldSession { account: stored.account, token }))
}

/// Whether a file or folder is this account's own and closed to all others.
fn check_owner(
    path: &Path,
    data: &std::fs::Metadata,
    kind: Option<&str>,
) -> Result<(), TokenFileError> {
    let mode = data.mode() & 0o777;
    let why = if let Some(kind) = kind {
        kind.to_owned()
    } else if data.uid() != rustix::process::geteuid().as_raw() {
        "it belongs to another account of this machine".to_owned()
    } else if mode & 0o077 != 0 {
        format!("other accounts of this machine can get at it (mode {mode:o})")
    } else {
        return Ok(());
    };
    Err(TokenFileError::Unsafe { path: show(path), why })
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Place {
        folder: tempfile::TempDir,
        sessions: SessionFolder,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for state in ["one", "two"] {
                std::fs::create_dir(folder.path().join(state)).unwrap();
            }
            let sessions = SessionFolder::at(folder.path().join("deep/sessions"));
            Self { folder, sessions }
        }

        fn state(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn file(&self) -> PathBuf {
            self.sessions.file(&self.state("one"), "j.cho")
        }

        fn kept() -> (Self, Token) {
            let place = Self::new();
            let token = Token::generate();
            place.sessions.keep(&place.state("one"), "j.cho", &token).unwrap();
            (place, token)
        }

        /// Why the session cannot be used.
        fn refusal(&self) -> String {
            let found = self.sessions.find(&self.state("one"), "j.cho").unwrap_err();
            let held = self.sessions.held(&self.state("one")).unwrap_err();
            assert_eq!(found.to_string(), held.to_string());
            assert!(matches!(found, TokenFileError::Unsafe { .. }), "{found}");
            found.to_string()
        }
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_session_is_kept_for_its_owner_alone_and_found_again() {
        let (place, token) = Place::kept();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(place.sessions.path()), 0o700);
        assert_eq!(mode(&place.file()), 0o600);
        let state = place.state("one");
        let found = place.sessions.find(&state, "J.Cho").unwrap().unwrap();
        assert_eq!((found.account.as_str(), &found.token), ("j.cho", &token));
        let other = Token::generate();
        place.sessions.keep(&state, "j.cho", &other).unwrap();
        place.sessions.keep(&state, "../q.whitmore", &token).unwrap();
        assert_eq!(place.sessions.held(&state).unwrap().len(), 2, "a name is no path");
        assert_eq!(std::fs::read_dir(place.sessions.path()).unwrap().count(), 2);
        place.sessions.forget(&state, "j.cho");
        assert!(place.sessions.find(&state, "j.cho").unwrap().is_none());
    }

    #[test]
    fn two_installations_side_by_side_do_not_share_sessions() {
        let (place, token) = Place::kept();
        let two = place.state("two");
        assert!(place.sessions.find(&two, "j.cho").unwrap().is_none());
        assert!(place.sessions.held(&two).unwrap().is_empty());
        let other = Token::generate();
        place.sessions.keep(&two, "j.cho", &other).unwrap();
        let found = place.sessions.find(&place.state("one"), "j.cho").unwrap().unwrap();
        assert_eq!(found.token, token);
        symlink(place.state("one"), place.state("same")).unwrap();
        assert!(place.sessions.find(&place.state("same"), "j.cho").unwrap().is_some());
    }

    #[test]
    fn what_others_can_get_at_is_not_used() {
        for mode in [0o644, 0o640, 0o620, 0o601] {
            let (place, _) = Place::kept();
            set_mode(&place.file(), mode);
            assert!(place.refusal().contains(&format!("mode {mode:o}")));
        }
        let (place, token) = Place::kept();
        set_mode(place.sessions.path(), 0o750);
        assert!(place.refusal().contains("mode 750"));
        assert!(place.sessions.keep(&place.state("one"), "j.cho", &token).is_err());
    }

    #[test]
    fn a_link_a_folder_and_a_pipe_are_no_sessions() {
        let (place, _) = Place::kept();
        let aside = place.folder.path().join("aside");
        std::fs::rename(place.file(), &aside).unwrap();
        symlink(&aside, place.file()).unwrap();
        assert!(place.refusal().contains("it is a link"));
        std::fs::remove_file(place.file()).unwrap();
        std::fs::create_dir(place.file()).unwrap();
        set_mode(&place.file(), 0o700);
        assert!(place.refusal().contains("it is no file"));
        std::fs::remove_dir(place.file()).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            place.file(),
            rustix::fs::FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(place.refusal().contains("it is no file"));

        let (place, token) = Place::kept();
        let moved = place.folder.path().join("moved");
        std::fs::rename(place.sessions.path(), &moved).unwrap();
        symlink(&moved, place.sessions.path()).unwrap();
        assert!(place.refusal().contains("a link to one"));
        assert!(place.sessions.keep(&place.state("one"), "j.cho", &token).is_err());
    }

    #[test]
    fn what_is_no_session_is_none() {
        let (place, _) = Place::kept();
        let state = place.state("one");
        for text in ["", "{}", "{\"account\":\"j.cho\",\"state\":\"\",\"token\":\"ab\"}", "\u{0}"] {
            std::fs::write(place.file(), text).unwrap();
            assert!(place.sessions.find(&state, "j.cho").unwrap().is_none(), "{text}");
        }
        std::fs::write(place.file(), vec![b'x'; 10_000]).unwrap();
        assert!(place.sessions.find(&state, "j.cho").unwrap().is_none());
    }

    #[test]
    fn the_environment_says_where_sessions_are() {
        let own = rustix::process::geteuid().as_raw();
        let other = own + 1;
        let place = |set: &[(&str, &str)]| {
            let find = |name: &str| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
            };
            SessionFolder::of_environment(find).map(|folder| show(folder.path())).ok()
        };
        let (home, xdg) = (("HOME", "/h"), ("XDG_STATE_HOME", "/x"));
        assert_eq!(place(&[]), None);
        assert_eq!(place(&[home]).unwrap(), "/h/.local/state/schoolgate");
        assert_eq!(place(&[home, xdg]).unwrap(), "/x/schoolgate");
        assert_eq!(place(&[home, xdg, (FOLDER_VARIABLE, "/s")]).unwrap(), "/s");
        assert_eq!(place(&[home, (FOLDER_VARIABLE, "")]).unwrap(), "/h/.local/state/schoolgate");
        let sudo = other.to_string();
        assert_eq!(
            place(&[home, ("SUDO_UID", &sudo)]).unwrap(),
            format!("/h/.local/state/schoolgate/through-{other}")
        );
        let sudo = own.to_string();
        assert_eq!(place(&[home, ("SUDO_UID", &sudo)]).unwrap(), "/h/.local/state/schoolgate");
    }
}
