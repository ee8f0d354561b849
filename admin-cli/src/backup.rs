//! `backup`: copies of the state, taken while the filter serves, and what is brought back from them.

mod filtering;

use crate::args::{BackupCommand, ChangeArgs};
use crate::doctor::size;
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::prompt;
use crate::report::weekly::thousands;
use crate::school::{School, from_append_error, now};
use crate::who::{machine_account, named, person_or_account};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ledger::backup::{Backup, BackupError, FolderSink, LEFT_OUT, Manifest, Sink, restore, verify};
use ledger::changes::ChangeLog;
use ledger::ingest::recover;
use ledger::lock::{LockError, StateLock};
use proxy::snapshot::Snapshot;
use rules::access::Role;
use rules::change::Event;
use rules::time::UnixMillis;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

/// Who makes a backup, beside the machine's own account: it holds everybody's records.
const MAY_BACK_UP: &[Role] = &[Role::It, Role::Dsl, Role::Head];

/// Runs a `backup` command.
pub(crate) async fn run(school: &School, command: BackupCommand) -> Result<Exit, Failure> {
    match command {
        BackupCommand::Create { to, change } => create(school, &to, &change).await,
        BackupCommand::Verify { from } => {
            let unpacked = Unpacked::of(&from, std::env::temp_dir().as_path())?;
            let (manifest, hash) = verify(unpacked.folder()).map_err(from_backup_error)?;
            told(&manifest, &hash)?;
            Ok(Exit::Ok)
        }
        BackupCommand::Restore { from, school: name, no_input, fewer_lists } => {
            let consent = Consent { name: name.as_deref(), no_input, fewer_lists };
            bring_back(school, &from, &consent).await
        }
    }
}

fn is_archive(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    name.ends_with(".tar.gz") || name.ends_with(".tgz")
}

/// The place beside a backup where it is made: in the same file system, and gone when done.
fn partial(to: &Path) -> PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    to.with_file_name(format!(".{name}.partial"))
}

async fn create(school: &School, to: &Path, change: &ChangeArgs) -> Result<Exit, Failure> {
    let log = school.change_log().await?;
    let snapshot = school.snapshot().await?;
    let action = format!("backup create {}", to.display());
    // Without a person it is the machine's own account, as in a timer at night: whoever may read the
    // state can copy it anyway, and the record says which it was.
    let by = match named(change.by.as_deref()) {
        None => machine_account(),
        Some(_) => {
            let policy = Some(&*snapshot.policy);
            person_or_account(school, change, &log, policy, MAY_BACK_UP, &action).await?
        }
    };
    if to.exists() {
        return Err(Failure::usage(format!("{} is there already", to.display()))
            .fix("give a new name; a backup is never written over another"));
    }
    let above = to.parent().filter(|above| !above.as_os_str().is_empty());
    if !above.unwrap_or(Path::new(".")).is_dir() {
        return Err(Failure::not_found(format!("the folder of {} does not exist", to.display()))
            .fix("make it first, or mount the disk that it lies on"));
    }
    if change.dry_run {
        say!(
            "would copy {} to {}",
            school.config.state.display(),
            visible(&to.display().to_string())
        );
        return Ok(Exit::Ok);
    }
    let partial = partial(to);
    let made = write(school, &snapshot, to, &partial).await;
    // Whatever is left of it is no backup.
    remove(&partial);
    let (manifest, hash) = made?;
    let event = Event::BackupMade {
        sha256: hash.clone(),
        files: manifest.files.len() as u64,
        bytes: manifest.bytes(),
    };
    log.append(now(), &by, event).await.map_err(from_append_error)?;
    say!("written to {}", visible(&to.display().to_string()));
    told(&manifest, &hash)?;
    for left in LEFT_OUT {
        note!("note: not in it: {left}");
    }
    Ok(Exit::Ok)
}

/// Makes the backup under its partial name and gives it its own once it is whole and durable.
async fn write(
    school: &School,
    snapshot: &Snapshot,
    to: &Path,
    partial: &Path,
) -> Result<(Manifest, String), Failure> {
    remove(partial);
    let made_at = now();
    // The work folder lies inside, so that one removal takes all of it.
    make_own_folder(partial).map_err(Failure::fault)?;
    let scratch = partial.join("work");
    ledger::folder::make_folder(&scratch).map_err(Failure::fault)?;
    let place = partial.join("backup");
    let mut sink: Box<dyn Sink> = match is_archive(to) {
        true => Box::new(ArchiveSink::create(&place).map_err(Failure::fault)?),
        false => Box::new(FolderSink(place.clone())),
    };
    let mut backup = Backup::new(&school.config.state, &scratch, &mut *sink);
    backup.take_state().await.map_err(from_backup_error)?;
    for (path, name) in own_files(school, snapshot) {
        if path.is_file() {
            backup.take_file(&path, &name).map_err(from_backup_error)?;
        }
    }
    filtering::note(school, snapshot, &mut backup).map_err(from_backup_error)?;
    let version = env!("CARGO_PKG_VERSION");
    let done = backup.finish(made_at.0, version, snapshot.policy.school());
    let done = done.map_err(from_backup_error)?;
    sink.finish().map_err(Failure::fault)?;
    std::fs::rename(&place, to).map_err(Failure::fault)?;
    let above = to.parent().filter(|above| !above.as_os_str().is_empty());
    ledger::folder::sync_folder(above.unwrap_or(Path::new("."))).map_err(Failure::fault)?;
    Ok(done)
}

fn remove(path: &Path) {
    // What cannot be removed is seen by whoever looks at the folder; it has no backup's name.
    let _ = std::fs::remove_dir_all(path);
}

/// The school's own files: the machine file, the policy, and those that the policy names.
fn own_files(school: &School, snapshot: &Snapshot) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut add = |path: PathBuf, name: &Path| {
        let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
        let name = if plain { name } else { Path::new(name.file_name().unwrap_or_default()) };
        let name = format!("config/{}", name.display());
        if !files.iter().any(|(_, taken)| *taken == name) {
            files.push((path, name));
        }
    };
    let policy = &school.config.policy;
    let base = |path: &Path| PathBuf::from(path.file_name().unwrap_or_default());
    if let Some(machine) = &school.config.file {
        add(machine.clone(), &base(machine));
    }
    add(policy.clone(), &base(policy));
    let folder = policy.parent().unwrap_or(Path::new(""));
    for name in snapshot.policy.files() {
        add(folder.join(&name), Path::new(&name));
    }
    files
}

fn told(manifest: &Manifest, hash: &str) -> Result<(), Failure> {
    say!("school    {}", visible(&manifest.school));
    let at = jiff::Timestamp::from_millisecond(manifest.made_at).unwrap_or_default();
    say!("made      {at} by version {}", visible(&manifest.version));
    filtering::told(manifest)?;
    say!("files     {}, {}", thousands(manifest.files.len() as u64), size(manifest.bytes()));
    say!("sha256    {hash} (of its manifest, which names every file with its own)");
    Ok(())
}

/// What whoever restores has said beforehand.
struct Consent<'a> {
    /// The school's name, typed.
    name: Option<&'a str>,
    no_input: bool,
    /// That less may be filtered than by the backup.
    fewer_lists: bool,
}

async fn bring_back(school: &School, from: &Path, consent: &Consent<'_>) -> Result<Exit, Failure> {
    let state = &school.config.state;
    ledger::backup::is_empty(state).map_err(from_backup_error)?;
    let lock = StateLock::take(state).map_err(|error| match error {
        LockError::Held(_) => {
            Failure::new(Exit::FilterDown, error.to_string()).fix("stop the filter first")
        }
        error => Failure::fault(error),
    })?;
    // Unpacked beside the state, where there is room for it, and not in it.
    let beside = state.parent().filter(|above| !above.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    let unpacked = Unpacked::of(from, beside)?;
    let (manifest, hash) = verify(unpacked.folder()).map_err(from_backup_error)?;
    told(&manifest, &hash)?;
    filtering::check(school, unpacked.folder(), beside, &manifest, consent.fewer_lists).await?;
    prompt::type_name(
        &format!("This becomes the state in {}. Type the school's name to go on:", state.display()),
        &manifest.school,
        consent.name,
        consent.no_input,
    )?;
    restore(unpacked.folder(), &manifest, state).map_err(from_backup_error)?;
    drop(lock);
    // Reading checks each entry; what was on its way into the log is stored.
    let log = ChangeLog::open(state).await.map_err(from_append_error)?;
    let event = Event::BackupRestored { made_at: UnixMillis(manifest.made_at), sha256: hash };
    let actor = machine_account();
    // Who was logged in when it was made is not logged in now.
    log.accounts().end_every_session(&actor, now()).await.map_err(Failure::fault)?;
    log.append(now(), &actor, event).await.map_err(from_append_error)?;
    recover(state).map_err(Failure::fault)?;
    let entries = log.size().await.map_err(from_append_error)?;
    let days = ledger::query::AccessLog::new(state).days().map_err(crate::log::from_query_error)?;
    say!(
        "restored  {} entries of the change log, {} days of accesses",
        thousands(entries),
        days.len()
    );
    let placed = filtering::place_policy(school, unpacked.folder(), &manifest);
    if let Some(placed) = &placed {
        say!("policy    as its file was, in {}", visible(&placed.display().to_string()));
    }
    let left = filtering::not_written(school, &manifest, placed.is_some());
    if !left.is_empty() {
        let left = left.join(", ");
        note!(
            "note: of the school's own files these are in the backup and were not written: {left}"
        );
    }
    note!("note: everything recorded after the backup was made is not in it");
    note!("note: passwords, removed accounts and the emergency code are those of then");
    note!("  fix: schoolgate account list; then account remove, and account break-glass renew");
    filtering::tell_open_erasures(&log).await?;
    note!("  fix: schoolgate doctor; then start the filter");
    Ok(Exit::Ok)
}

fn from_backup_error(error: BackupError) -> Failure {
    match error {
        BackupError::NotEmpty { .. } => Failure::usage(error.to_string())
            .fix("name an empty folder as `state` in the machine file, or move the old one aside"),
        BackupError::Damaged { .. } | BackupError::Newer(_) => {
            Failure::new(Exit::ProblemsFound, error.to_string())
        }
        error => Failure::fault(error),
    }
}

/// A backup as a folder: its own, or what its archive is unpacked to.
enum Unpacked {
    Folder(PathBuf),
    /// Removed when dropped.
    Temporary(PathBuf),
}

/// Makes a folder that is nobody else's: one that is there already, or a link, is not taken.
fn make_own_folder(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

impl Unpacked {
    fn of(backup: &Path, beside: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(Exit::ProblemsFound, format!("{}: {error}", backup.display()))
                .fix("take another backup; this one cannot be read")
        };
        if backup.is_dir() {
            return Ok(Self::Folder(backup.to_owned()));
        }
        if !backup.is_file() {
            return Err(Failure::not_found(format!("{}: no such backup", backup.display())));
        }
        let folder = beside.join(format!(".schoolgate-unpacked-{}", std::process::id()));
        make_own_folder(&folder).map_err(|error| {
            Failure::fault(format!("{}: {error}", folder.display()))
                .fix("remove it, if you know what it is")
        })?;
        let unpacked = Self::Temporary(folder.clone());
        let reader = GzDecoder::new(BufReader::new(File::open(backup).map_err(failed)?));
        let mut archive = tar::Archive::new(reader);
        let mut room = Room::beside(&folder)?;
        // Raw: no header of a long name is read, of whatever length it says to be. A backup has none.
        for entry in archive.entries().map_err(failed)?.raw(true) {
            let mut entry = entry.map_err(failed)?;
            room.take(entry.size())?;
            // Plain files alone, and none that leads out of the folder.
            if !entry.header().entry_type().is_file()
                || !entry.unpack_in(&folder).map_err(failed)?
            {
                return Err(failed(std::io::Error::other("it holds what no backup holds")));
            }
        }
        Ok(unpacked)
    }

    fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) | Self::Temporary(folder) => folder,
        }
    }
}

/// What an archive may still unpack to. A small file can hold any length, and must not fill the disk.
struct Room {
    bytes: u64,
    entries: usize,
}

impl Room {
    /// Most files of a backup: far more than centuries of days have.
    const MOST_ENTRIES: usize = 1_000_000;

    /// All but a twentieth of what is free where a folder lies: whatever else writes there goes on.
    fn beside(folder: &Path) -> Result<Self, Failure> {
        let disk = ledger::disk::Disk::of(folder)
            .map_err(|error| Failure::fault(format!("{}: {error}", folder.display())))?;
        let bytes = disk.free_bytes - disk.free_bytes / 20;
        Ok(Self { bytes, entries: Self::MOST_ENTRIES })
    }

    fn take(&mut self, bytes: u64) -> Result<(), Failure> {
        let Some(left) = self.bytes.checked_sub(bytes) else {
            let lacking = size(bytes - self.bytes);
            return Err(Failure::fault(format!(
                "the backup unpacks to more than there is room for here: {lacking} are lacking at least"
            ))
            .fix("make room, or unpack it elsewhere and give the folder, if it is one of yours"));
        };
        self.bytes = left;
        self.entries = self.entries.checked_sub(1).ok_or_else(|| {
            Failure::new(Exit::ProblemsFound, "the backup holds more files than any backup has")
                .fix("take another backup; this one was not made by schoolgate")
        })?;
        Ok(())
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        if let Self::Temporary(folder) = self {
            remove(folder);
        }
    }
}

/// A backup that is one file.
struct ArchiveSink {
    archive: tar::Builder<GzEncoder<BufWriter<File>>>,
}

impl ArchiveSink {
    fn create(path: &Path) -> std::io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path)?;
        let encoder = GzEncoder::new(BufWriter::new(file), Compression::fast());
        Ok(Self { archive: tar::Builder::new(encoder) })
    }
}

impl Sink for ArchiveSink {
    fn take(&mut self, name: &str, from: &Path) -> std::io::Result<()> {
        self.archive.append_path_with_name(from, name)?;
        std::fs::remove_file(from)
    }

    fn finish(&mut self) -> std::io::Result<()> {
        self.archive.finish()?;
        let encoder = self.archive.get_mut();
        encoder.try_finish()?;
        let buffer = encoder.get_mut();
        buffer.flush()?;
        buffer.get_ref().sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_unpacks_to_no_more_than_there_is_room_for() {
        let mut room = Room { bytes: 100, entries: 3 };
        assert!(room.take(60).is_ok() && room.take(40).is_ok());
        assert!(room.take(1).is_err_and(|failure| failure.what().contains("more than there is")));
        assert!(room.take(0).is_ok());
        assert!(room.take(0).is_err_and(|failure| failure.what().contains("more files")));
    }
}
