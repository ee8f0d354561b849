//! Backups: everything of a state folder that cannot be made again, as it stands at one moment, taken
//! while the filter serves.
//!
//! The databases are copied by SQLite itself (`VACUUM INTO`), each as of one moment. They are taken in
//! the order in which they lean on one another, what leans first: the change log, the trees of the
//! audit, the journals, and then the day files, which hold at least what the journals were stored of.
//! So the copy is one that a kill could have left, and starting on it recovers it in the usual way:
//! everything that was recorded when the backup began is in it.
//!
//! Keys are never in it, neither that of the certificate authority nor the one that signs checkpoints:
//! who finds a backup must not be able to speak for the school. Nor is what is made again by itself.

use crate::folder::{make_folder, sync_folder};
use crate::lock::{DaysLock, ToRead};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};
use thiserror::Error;

/// How long a day may go on being sealed before a backup gives way to it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Version of the layout.
pub const FORMAT: u32 = 1;

/// The name of the list of what is in a backup.
pub const MANIFEST: &str = "manifest.json";

/// Longest list of what is in a backup, in bytes: some 300,000 files.
const MOST_MANIFEST_BYTES: u64 = 64 * 1024 * 1024;

/// The change log's name: the last file that a restore writes, so that half a restore never serves.
const CHANGES: &str = "changes.db";

/// The name of the file of alerts.
const ALERTS: &str = "alerts.db";

/// Listings of a folder until one brings nothing new: days begin meanwhile.
const MOST_LISTINGS: u32 = 20;

/// What is never in a backup, in words for whoever makes one.
pub const LEFT_OUT: [&str; 3] = [
    "ca/: the certificate authority and its key; keep a sealed copy of it by itself",
    "audit/key*: the key that signs checkpoints; a restored filter makes a new one and says so",
    "index/, serving.json: made again at the next start",
];

/// Why there is no backup, or why it is not restored.
#[derive(Debug, Error)]
pub enum BackupError {
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// A database.
    #[error("{path}: {source}")]
    Store {
        /// Which.
        path: String,
        /// Cause.
        source: sqlx::Error,
    },
    /// The backup is not what was written.
    #[error("{path}: {why}; this backup cannot be trusted, take another one")]
    Damaged {
        /// The file in it.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// Written by a later version.
    #[error("the backup has format {0}: it was made by a newer schoolgate; use that version")]
    Newer(u32),
    /// Days are being sealed, or records erased.
    #[error(
        "a day is being sealed, or records are being erased; take the backup again in some minutes"
    )]
    Busy,
    /// A restore never writes over anything.
    #[error("{path} is in use: {beside} lies there; restore into an empty state folder")]
    NotEmpty {
        /// The state folder.
        path: String,
        /// What is in it.
        beside: String,
    },
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it lies, from the backup's root.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// What the filter went by when a backup was made: what a copy that filters no less needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filtering {
    /// The machine file in the backup.
    pub machine_file: String,
    /// Whether that is the one inside the program: none was given.
    pub built_in: bool,
    /// How many lists were in force.
    pub lists: u64,
    /// SHA-256 of the policy in force, whose text lies in `state/policy`.
    pub policy: String,
}

/// What is in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// When it was begun, in milliseconds since 1970.
    pub made_at: i64,
    /// Version of the program.
    pub version: String,
    /// The school, whose name is asked for before a restore.
    pub school: String,
    /// The files: those of the state under `state/`, others as their maker named them.
    pub files: Vec<Entry>,
    /// What was left out, in words.
    pub left_out: Vec<String>,
    /// What the filter went by; backups of older versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filtering: Option<Filtering>,
}

impl Manifest {
    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The text of the manifest, and its SHA-256 in hex: which fixes every file of the backup.
    ///
    /// # Errors
    /// [`BackupError::Io`]: none that is known.
    pub fn text(&self) -> Result<(String, String), BackupError> {
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other);
        let text = text.map_err(io(Path::new(MANIFEST)))?;
        let hash = hex(&Sha256::digest(text.as_bytes()));
        Ok((text, hash))
    }
}

/// Where the files of a backup go.
pub trait Sink {
    /// Takes the finished file `from`, which may be moved, as `name`.
    ///
    /// # Errors
    /// [`std::io::Error`].
    fn take(&mut self, name: &str, from: &Path) -> std::io::Result<()>;

    /// Makes everything durable.
    ///
    /// # Errors
    /// [`std::io::Error`].
    fn finish(&mut self) -> std::io::Result<()>;
}

/// A backup that is a folder.
#[derive(Debug)]
pub struct FolderSink(pub PathBuf);

impl Sink for FolderSink {
    fn take(&mut self, name: &str, from: &Path) -> std::io::Result<()> {
        let to = self.0.join(name);
        if let Some(folder) = to.parent() {
            make_folder(folder)?;
        }
        std::fs::rename(from, &to)?;
        File::open(&to)?.sync_all()?;
        to.parent().map_or(Ok(()), sync_folder)
    }

    fn finish(&mut self) -> std::io::Result<()> {
        sync_folder(&self.0)
    }
}

/// Makes a backup, file by file.
pub struct Backup<'a> {
    state: PathBuf,
    scratch: PathBuf,
    sink: &'a mut dyn Sink,
    files: Vec<Entry>,
    filtering: Option<Filtering>,
}

impl<'a> Backup<'a> {
    /// A backup of `state` into `sink`. `scratch` is an empty folder for the file at hand.
    #[must_use]
    pub fn new(state: &Path, scratch: &Path, sink: &'a mut dyn Sink) -> Self {
        let (state, scratch) = (state.to_owned(), scratch.to_owned());
        Self { state, scratch, sink, files: Vec::new(), filtering: None }
    }

    /// Takes everything of the state.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn take_state(&mut self) -> Result<(), BackupError> {
        // Nothing is erased meanwhile: a copy of the change log from before, and of a day from after, would be a
        // backup whose records are missing without a word.
        let access = self.state.join("access");
        let began = Instant::now();
        let lock = DaysLock::take_to_read(&access, || began.elapsed() >= PATIENCE).await;
        let lock = lock.map_err(io(&DaysLock::path(&access)))?;
        if matches!(lock, ToRead::Busy) {
            return Err(BackupError::Busy);
        }
        self.take_folders().await?;
        // Nobody could replace files of days, as there was no lock: unless somebody made one meanwhile.
        match lock {
            ToRead::NoLock if DaysLock::path(&access).exists() => Err(BackupError::Busy),
            _ => Ok(()),
        }
    }

    async fn take_folders(&mut self) -> Result<(), BackupError> {
        let changes = self.state.join(CHANGES);
        self.take_database(&changes, &format!("state/{CHANGES}")).await?;
        // Before the days: what was read of them after this copy is read again.
        let alerts = self.state.join(ALERTS);
        if alerts.exists() {
            self.take_database(&alerts, &format!("state/{ALERTS}")).await?;
        }
        let mut taken = BTreeSet::new();
        for folder in ["audit", "journal"] {
            self.take_folder(folder, &mut taken).await?;
        }
        // New days begin, and parts of days, while this goes on: until a listing brings nothing new.
        for _ in 0..MOST_LISTINGS {
            if !self.take_folder("access", &mut taken).await? {
                break;
            }
        }
        for folder in ["lists", "policy"] {
            self.take_folder(folder, &mut taken).await?;
        }
        Ok(())
    }

    /// Takes a file that is not of the state, such as the machine file.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn take_file(&mut self, path: &Path, name: &str) -> Result<(), BackupError> {
        let copy = self.scratch.join("file");
        std::fs::copy(path, &copy).map_err(io(path))?;
        self.take(&copy, name)
    }

    /// Takes a text that is in no file, such as the machine file inside the program.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn take_text(&mut self, text: &str, name: &str) -> Result<(), BackupError> {
        let copy = self.scratch.join("file");
        std::fs::write(&copy, text).map_err(io(&copy))?;
        self.take(&copy, name)
    }

    /// Notes what the filter went by, for the manifest.
    pub fn note_filtering(&mut self, filtering: Filtering) {
        self.filtering = Some(filtering);
    }

    /// Ends the backup with its manifest, which it gives with its hash.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn finish(
        self,
        made_at: i64,
        version: &str,
        school: &str,
    ) -> Result<(Manifest, String), BackupError> {
        let manifest = Manifest {
            format: FORMAT,
            made_at,
            version: version.to_owned(),
            school: school.to_owned(),
            files: self.files,
            left_out: LEFT_OUT.map(str::to_owned).to_vec(),
            filtering: self.filtering,
        };
        let (text, hash) = manifest.text()?;
        let path = self.scratch.join("manifest");
        let written = create_private(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.and_then(|()| self.sink.take(MANIFEST, &path)).map_err(io(&path))?;
        Ok((manifest, hash))
    }

    /// Takes what of a folder of the state is not taken yet; `true`: there was something.
    async fn take_folder(
        &mut self,
        folder: &str,
        taken: &mut BTreeSet<PathBuf>,
    ) -> Result<bool, BackupError> {
        let mut files = Vec::new();
        list(&self.state.join(folder), &mut files)?;
        files.retain(|path| is_wanted(path) && !taken.contains(path));
        files.retain(|path| extension(path) != "parquet" || is_final(path));
        files.sort();
        for path in &files {
            let relative = path.strip_prefix(&self.state).unwrap_or(path);
            let name = format!("state/{}", relative.display());
            let is_database = folder == "access" && extension(path) == "db";
            let done = match is_database && !name.contains(".damaged-") {
                true => self.take_database(path, &name).await,
                false => self.take_file(path, &name),
            };
            match done {
                // Stored, sealed or erased meanwhile: the next listing has what it became.
                Err(_) if !path.exists() => {}
                done => done?,
            }
            taken.insert(path.clone());
        }
        Ok(!files.is_empty())
    }

    async fn take_database(&mut self, path: &Path, name: &str) -> Result<(), BackupError> {
        let store = |source| BackupError::Store { path: path.display().to_string(), source };
        let copy = self.scratch.join("database");
        let _ = std::fs::remove_file(&copy);
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging()
            .connect()
            .await
            .map_err(store)?;
        sqlx::query("VACUUM INTO ?")
            .bind(copy.display().to_string())
            .execute(&mut connection)
            .await
            .map_err(store)?;
        connection.close().await.map_err(store)?;
        self.take(&copy, name)
    }

    fn take(&mut self, file: &Path, name: &str) -> Result<(), BackupError> {
        let (bytes, sha256) = measured(file).map_err(io(file))?;
        self.sink.take(name, file).map_err(io(file))?;
        self.files.push(Entry { name: name.to_owned(), bytes, sha256 });
        Ok(())
    }
}

/// Reads the manifest of a backup that is a folder, and checks that every file is there as it was
/// written, and no other. Gives the manifest's hash too.
///
/// # Errors
/// [`BackupError`].
pub fn verify(backup: &Path) -> Result<(Manifest, String), BackupError> {
    let path = backup.join(MANIFEST);
    let damaged = |name: &str, why: String| BackupError::Damaged { path: name.to_owned(), why };
    let mut text = String::new();
    let file = File::open(&path).map_err(io(&path))?;
    file.take(MOST_MANIFEST_BYTES + 1).read_to_string(&mut text).map_err(io(&path))?;
    if text.len() as u64 > MOST_MANIFEST_BYTES {
        return Err(damaged(MANIFEST, format!("it is longer than {MOST_MANIFEST_BYTES} bytes")));
    }
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| damaged(MANIFEST, error.to_string()))?;
    if manifest.format > FORMAT {
        return Err(BackupError::Newer(manifest.format));
    }
    for file in &manifest.files {
        if !is_plain(&file.name) {
            return Err(damaged(&file.name, "no name that a backup gives".to_owned()));
        }
        let path = backup.join(&file.name);
        let (bytes, sha256) = measured(&path).map_err(io(&path))?;
        if (bytes, sha256.as_str()) != (file.bytes, file.sha256.as_str()) {
            return Err(damaged(&file.name, "it is not as it was written".to_owned()));
        }
    }
    let mut found = Vec::new();
    list(backup, &mut found)?;
    for path in found {
        let name = path.strip_prefix(backup).unwrap_or(&path).display().to_string();
        if name != MANIFEST && !manifest.files.iter().any(|file| file.name == name) {
            return Err(damaged(&name, "the manifest does not name it".to_owned()));
        }
    }
    Ok((manifest, hex(&Sha256::digest(text.as_bytes()))))
}

/// Writes the state of a verified backup into `state`, which is empty or missing. The change log comes
/// last: a filter refuses to start on records without one, so half a restore is never served.
///
/// # Errors
/// [`BackupError`]; [`BackupError::NotEmpty`] before anything is written.
pub fn restore(backup: &Path, manifest: &Manifest, state: &Path) -> Result<(), BackupError> {
    is_empty(state)?;
    make_folder(state).map_err(io(state))?;
    let mut files: Vec<(&Entry, &Path)> = manifest
        .files
        .iter()
        .filter(|file| is_plain(&file.name))
        .filter_map(|file| Some((file, Path::new(&file.name).strip_prefix("state").ok()?)))
        .collect();
    files.sort_by_key(|(_, name)| *name == Path::new(CHANGES));
    for (file, name) in files {
        let from = backup.join(&file.name);
        let to = state.join(name);
        let folder = to.parent().unwrap_or(state);
        make_folder(folder).map_err(io(folder))?;
        copy_synced(&from, &to).map_err(io(&to))?;
        // What was verified may have been changed since, where others can write.
        let (bytes, sha256) = measured(&to).map_err(io(&to))?;
        if (bytes, sha256.as_str()) != (file.bytes, file.sha256.as_str()) {
            let why = "it was changed while it was copied".to_owned();
            return Err(BackupError::Damaged { path: file.name.clone(), why });
        }
        sync_folder(folder).map_err(io(folder))?;
    }
    Ok(())
}

/// Whether a state folder holds nothing but its lock.
///
/// # Errors
/// [`BackupError::NotEmpty`] with the first thing in it.
pub fn is_empty(state: &Path) -> Result<(), BackupError> {
    let entries = match std::fs::read_dir(state) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(state)(error)),
    };
    for entry in entries {
        let name = entry.map_err(io(state))?.file_name();
        if name != "serve.lock" && name != "days.lock" {
            let (path, beside) = (state.display().to_string(), name.to_string_lossy().into_owned());
            return Err(BackupError::NotEmpty { path, beside });
        }
    }
    Ok(())
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> BackupError {
    let path = path.display().to_string();
    move |source| BackupError::Io { path, source }
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

/// Whether a file of the state belongs into a backup: no key, nothing half made, and not what SQLite
/// keeps beside a database, since a database is copied whole.
fn is_wanted(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let in_audit = path.parent().is_some_and(|folder| folder.ends_with("audit"));
    let is_key = in_audit && (name.starts_with("key") || extension(path) == "key");
    let beside = name.ends_with("-shm") || (name.ends_with("-wal") && !name.contains(".damaged-"));
    let unfinished = [
        "new",
        "new-wal",
        "new-shm",
        "new-journal",
        "erasing",
        "erasing-wal",
        "erasing-shm",
        "tmp",
        "partial",
        "asked",
    ]
    .contains(&extension(path))
        || name.starts_with('.');
    // What compiling makes of a list's entries, and makes again.
    let unfinished = unfinished || extension(path) == "sgl";
    // What sealing puts in order.
    let unfinished =
        unfinished || path.parent().is_some_and(|folder| extension(folder) == "sorting");
    !is_key && !beside && !unfinished
}

/// Whether the file of a day's rows is the one that stays: it has its name a moment before the sums beside
/// it have theirs, and may until then be made anew.
fn is_final(rows: &Path) -> bool {
    let name = rows.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    rows.with_extension("sums.db").exists() || name.contains(".damaged-")
}

/// A name below the backup's root, without a way out of it.
fn is_plain(name: &str) -> bool {
    let path = Path::new(name);
    // Made of its parts again, it is the same: no part is empty or `.`, which others read as nothing.
    !name.is_empty()
        && path.components().all(|part| matches!(part, Component::Normal(_)))
        && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str()
}

/// All files below a folder; none where it is missing. Links are left out.
fn list(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), BackupError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(io(folder))?;
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), found)?,
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
}

fn create_private(path: &Path) -> std::io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn copy_synced(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(to)?;
    std::io::copy(&mut File::open(from)?, &mut file)?;
    file.sync_all()
}

/// Length and SHA-256 of a file.
fn measured(path: &Path) -> std::io::Result<(u64, String)> {
    let (mut file, mut hash, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hex(&hash.finalize())));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{is_plain, is_wanted};
    use std::path::Path;

    #[test]
    fn what_is_half_made_or_made_again_is_in_no_backup() {
        for (path, wanted) in [
            ("lists/games/2026-11-01-0badcafe.list.zst", true),
            ("lists/games/2026-11-01-0badcafe.json", true),
            ("lists/games/2026-11-01-0badcafe.sgl", false),
            ("access/access-2026-11-21.sums.db.new", false),
            ("audit/key", false),
            ("audit/key.pub", false),
            ("audit/checkpoints", true),
        ] {
            assert_eq!(is_wanted(Path::new(path)), wanted, "{path}");
        }
    }

    #[test]
    fn a_name_that_could_lead_out_of_the_backup_is_none() {
        for name in ["state/changes.db", "config/lists/a.txt"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "/etc/x", "state//etc/x", "state/./x", "./state/x", "state/../x", "state/"]
        {
            assert!(!is_plain(name), "{name}");
        }
    }
}
