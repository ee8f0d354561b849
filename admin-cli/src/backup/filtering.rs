//! What a backup was filtering with, and that a copy which is brought back filters no less: by the machine
//! file that lies here, the lists in force at the time of the backup must all be there.

use super::{Unpacked, make_own_folder};
use crate::config::name;
use crate::doctor::first_of;
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::report::weekly::thousands;
use crate::school::{School, from_append_error, now};
use ledger::backup::{Backup, BackupError, Filtering, Manifest};
use ledger::changes::ChangeLog;
use proxy::config::{Config, FILE_NAME};
use proxy::lists::Lists;
use proxy::snapshot::Snapshot;
use rules::erasure::Erasures;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Notes what the filter goes by. The machine file inside the program is taken too: a later program may
/// have another one.
pub(super) fn note(
    school: &School,
    snapshot: &Snapshot,
    backup: &mut Backup<'_>,
) -> Result<(), BackupError> {
    let file = school.config.file.as_deref();
    let base = file.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let machine_file = format!("config/{}", base.as_deref().unwrap_or(FILE_NAME));
    if file.is_none() {
        backup.take_text(rules::defaults::MACHINE, &machine_file)?;
    }
    backup.note_filtering(Filtering {
        machine_file,
        built_in: file.is_none(),
        lists: snapshot.index.lists().len() as u64,
        policy: snapshot.policy_hash.to_string(),
    });
    Ok(())
}

/// Says what the backup was filtering with.
pub(super) fn told(manifest: &Manifest) -> Result<(), Failure> {
    let Some(filtering) = &manifest.filtering else { return Ok(()) };
    let file = visible(&filtering.machine_file);
    let whose =
        if filtering.built_in { ": that of the example school inside the program" } else { "" };
    say!("machine   {file}{whose}");
    say!("lists     {} in force", thousands(filtering.lists));
    Ok(())
}

/// Refuses a machine file by which less would be filtered than when the backup was made. It goes by the
/// backup's own change log, so that backups of older versions are held to it too.
pub(super) async fn check(
    school: &School,
    backup: &Path,
    beside: &Path,
    manifest: &Manifest,
    fewer_lists: bool,
) -> Result<(), Failure> {
    // A copy: reading a database may write beside it, and the backup must stay as it is.
    let scratch = beside.join(format!(".schoolgate-reading-{}", std::process::id()));
    make_own_folder(&scratch).map_err(|error| {
        Failure::fault(format!("{}: {error}", scratch.display()))
            .fix("remove it, if you know what it is")
    })?;
    let scratch = Unpacked::Temporary(scratch);
    let state = backup.join("state");
    std::fs::copy(state.join("changes.db"), scratch.folder().join("changes.db"))
        .map_err(|error| Failure::fault(format!("state/changes.db of the backup: {error}")))?;
    let log = ChangeLog::open(scratch.folder()).await.map_err(from_append_error)?;
    let config = Config { state, ..school.config.clone() };
    let lacking = Lists::new(&config, &log).displaced().await.map_err(Failure::fault)?;
    drop(log);
    if lacking.is_empty() {
        return Ok(());
    }
    let file = name(school.config.file.as_deref());
    let what = format!(
        "the machine file here ({file}) lacks {} of the lists that the backup filtered with: {}",
        thousands(lacking.len() as u64),
        first_of(lacking.iter().map(ToString::to_string))
    );
    if fewer_lists {
        note!("warning: {}; what they block will be open", visible(&what));
        return Ok(());
    }
    let built_in = manifest.filtering.as_ref().is_some_and(|it| it.built_in);
    let kept = machine_file(manifest);
    let fix = match built_in {
        true => format!(
            "run it where no {FILE_NAME} lies and without --config: the backup is of the example school inside \
             the program; or use {kept} of the backup as machine file"
        ),
        false => format!("put the machine file of the backup in its place first: {kept}"),
    };
    let failure = Failure::new(Exit::ProblemsFound, format!("{what}; nothing was restored"));
    Err(failure.fix(format!("{fix}; to filter less all the same, add --fewer-lists")))
}

/// Puts the policy's file, and the files that it names, back into their places where those lie in the state
/// folder: it was empty, so that nobody can have put them there. Gives the policy's place. What is in force is
/// what the change log says, and is not read from here.
pub(super) fn place_policy(school: &School, backup: &Path, manifest: &Manifest) -> Option<PathBuf> {
    let policy = &school.config.policy;
    if !policy.starts_with(&school.config.state) || policy.exists() {
        return None;
    }
    let machine = Path::new(machine_file(manifest));
    let names = manifest.files.iter().map(|file| Path::new(&file.name));
    let own =
        names.filter(|name| *name != machine).filter_map(|name| name.strip_prefix("config").ok());
    let folder = policy.parent().unwrap_or(Path::new(""));
    let mut is_there = false;
    for name in own {
        let to = folder.join(name);
        is_there |= to == *policy;
        if let Err(error) = put_in_place(&backup.join("config").join(name), &to) {
            note!("warning: {}: {error}", visible(&to.display().to_string()));
            note!("  fix: put it there from the backup's folder config before the filter starts");
        }
    }
    is_there.then(|| policy.clone())
}

/// The school's own files that a restore leaves to whoever restores, by their names in the backup. The machine
/// file inside the program is none of them where no other is used.
pub(super) fn not_written<'a>(
    school: &School,
    manifest: &'a Manifest,
    policy_is_placed: bool,
) -> Vec<&'a str> {
    let machine = machine_file(manifest);
    let is_built_in = manifest.filtering.as_ref().is_some_and(|it| it.built_in);
    let is_needed = |name: &&str| match *name == machine {
        true => !(is_built_in && school.config.file.is_none()),
        false => !policy_is_placed,
    };
    let names = manifest.files.iter().map(|file| &*file.name);
    names.filter(|name| name.starts_with("config/")).filter(is_needed).collect()
}

/// The machine file's name in a backup; those of older versions do not say it.
fn machine_file(manifest: &Manifest) -> &str {
    manifest.filtering.as_ref().map_or("config/schoolgate.toml", |it| &it.machine_file)
}

/// Writes a file that is not there yet, durably, for its owner alone.
fn put_in_place(from: &Path, to: &Path) -> std::io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new(""));
    ledger::folder::make_folder(folder)?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(to)?;
    std::io::copy(&mut std::fs::File::open(from)?, &mut file)?;
    file.sync_all()?;
    ledger::folder::sync_folder(folder)
}

/// Tells of erasures that somebody had asked for: the key that knows whose they are is in no backup.
pub(super) async fn tell_open_erasures(log: &ChangeLog) -> Result<(), Failure> {
    let entries = log.entries_after(0).await.map_err(from_append_error)?;
    let erasures = Erasures::of(&entries).all.into_values();
    let open: Vec<String> = erasures
        .filter(|erasure| erasure.standing(now()) == "asked")
        .map(|erasure| erasure.id.to_string())
        .collect();
    if !open.is_empty() {
        note!(
            "note: whose records these erasures are of cannot be told any more, as the key of their pseudonyms is \
             in no backup: {}",
            open.join(", ")
        );
        note!("  fix: schoolgate retention erase ask NAME --reason TEXT, for each anew");
    }
    Ok(())
}
