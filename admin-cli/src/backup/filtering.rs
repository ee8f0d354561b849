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
use proxy::policy_file::{PolicyFault, PolicyFile, in_force};
use proxy::snapshot::Snapshot;
use rules::erasure::Erasures;
use std::path::{Component, Path, PathBuf};

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
    let kept = manifest.filtering.as_ref().map_or("config/schoolgate.toml", |it| &it.machine_file);
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

/// Puts the policy that is in force, and the files that it names, into their places where those lie in the
/// state folder: it was empty, so that nobody can have put them there. Gives the policy's place.
pub(super) async fn place_policy(school: &School, log: &ChangeLog) -> Option<PathBuf> {
    let config = &school.config;
    if !config.policy.starts_with(&config.state) || config.policy.exists() {
        return None;
    }
    let placed = async {
        let catalogue = proxy::lists::catalogue(config).map_err(|error| error.to_string())?;
        let changes = log.changes().await.map_err(|error| error.to_string())?;
        let kept = in_force(config, &changes, &catalogue).map_err(|fault| fault.to_string())?;
        let Some(kept) = kept else { return Ok(false) };
        put_in_place(config, &kept).map_err(|fault| fault.to_string())?;
        Ok::<_, String>(true)
    };
    match placed.await {
        Ok(true) => Some(config.policy.clone()),
        Ok(false) => None,
        Err(why) => {
            note!("warning: the policy file was not written: {}", visible(&why));
            note!(
                "  fix: put config/policy.toml of the backup into its place before the filter starts"
            );
            None
        }
    }
}

fn put_in_place(config: &Config, kept: &PolicyFile) -> Result<(), PolicyFault> {
    let folder = config.policy.parent().unwrap_or(Path::new(""));
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source| PolicyFault::Store { path, source }
    };
    for (name, text) in &kept.files {
        let path = folder.join(name);
        let is_below = Path::new(name).components().all(|it| matches!(it, Component::Normal(_)));
        if is_below && !path.exists() {
            let above = path.parent().unwrap_or(folder);
            ledger::folder::make_folder(above).map_err(failed(above))?;
            std::fs::write(&path, text).map_err(failed(&path))?;
        }
    }
    ledger::folder::make_folder(folder).map_err(failed(folder))?;
    kept.put_in_place(config)
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
