//! `policy`: looking at, testing, applying and rolling back the school's decisions.

use crate::args::{ChangeArgs, PolicyCommand, ReplayArgs};
use crate::failure::{Exit, Failure, unreadable};
use crate::output::{Cell, Column, Format, Sheet, visible};
use crate::replay;
use crate::report::weekly::thousands;
use crate::requests;
use crate::school::{
    Acting, School, from_append_error, from_change_error, from_policy_errors, from_snapshot_error,
    moment, now,
};
use crate::tried::{self, Wanted};
use crate::who::{READS_LOG, look, person, subject_words};
use ledger::changes::ChangeLog;
use proxy::lists::Lists;
use proxy::named_file::Content;
use proxy::phrases::PhraseLists;
use proxy::policy_file::{PolicyFault, PolicyFile};
use proxy::snapshot::Snapshot;
use rules::category::Catalogue;
use rules::change::{Event, POLICY_ROLES, Replayed, change_policy};
use rules::policy::{PolicyDiff, TestFailure};
use std::path::{Path, PathBuf};

/// What stands for standard input among the arguments.
const STDIN: &str = "-";

const DIFF_COLUMNS: &[Column] = &[Column { key: "change", title: "Change", gives_way: 0 }];

/// Runs a `policy` command.
pub(crate) async fn run(school: &School, command: PolicyCommand) -> Result<Exit, Failure> {
    match command {
        PolicyCommand::Validate { file } => validate(school, file),
        PolicyCommand::Test { file } => test(school, file).await,
        PolicyCommand::Diff { file, print } => diff(school, &file, print.format()).await,
        PolicyCommand::Replay { file, since, until, who, print } => {
            let span = (since.as_deref(), until.as_deref());
            let snapshot = school.snapshot().await?;
            let subject = subject_words(&[("since", span.0), ("until", span.1)]);
            look(school, &snapshot.policy, &who, READS_LOG, "policy replay", &subject).await?;
            let new = read(school, &file, snapshot.policy.catalogue())?;
            replay::run(school, &snapshot, &new, span, print.format()).await
        }
        PolicyCommand::Apply { file, reason, review, replay, change } => {
            let (name, replay) = (shown(&file), wanted(replay));
            let order = Order { file: &file, name, reason, review, replay, change, verb: "apply" };
            apply(school, order).await
        }
        PolicyCommand::Rollback { reason, to, review, replay, change } => {
            let replay = wanted(replay);
            let (name, file) = earlier(school, to.as_deref()).await?;
            same_files(school, &file).await?;
            let verb = "rollback";
            let order = Order { file: &file, name, reason, review, replay, change, verb };
            apply(school, order).await
        }
    }
}

/// Reads a policy, `-` from standard input; the files that it names are those beside the policy in force, where the daemon
/// reads them.
fn read(school: &School, path: &Path, catalogue: &Catalogue) -> Result<PolicyFile, Failure> {
    let folder = school.config.policy.parent().unwrap_or(Path::new(""));
    if path == Path::new(STDIN) {
        return PolicyFile::read_stream(std::io::stdin().lock(), &shown(path), folder, catalogue)
            .map_err(from_policy_fault);
    }
    PolicyFile::read_beside(path, folder, catalogue).map_err(from_policy_fault)
}

fn validate(school: &School, file: Option<PathBuf>) -> Result<Exit, Failure> {
    proxy::demo::write_policy_if_missing(&school.config)
        .map_err(|error| from_snapshot_error(&error))?;
    let catalogue = proxy::lists::catalogue(&school.config)
        .map_err(|error| Failure::new(Exit::BadConfig, error.to_string()))?;
    let file = file.unwrap_or_else(|| school.config.policy.clone());
    let read = read(school, &file, &catalogue)?;
    let policy = &read.policy;
    for warning in policy.warnings_at(now()) {
        note!("warning: {}", visible(&warning));
    }
    for list in read.themes.lists().map(PhraseLists::reports).unwrap_or_default() {
        say!(
            "phrases of {} for {}: {} read (files: {}; lines passed over: {} of {})",
            visible(&list.file),
            visible(&list.theme),
            thousands(list.phrases),
            thousands(list.files),
            thousands(list.skipped),
            thousands(list.lines)
        );
    }
    say!(
        "{}: no faults ({} levels, {} policy tests; run them with: schoolgate policy test)",
        visible(&shown(&file)),
        policy.levels().iter().count(),
        policy.test_count()
    );
    Ok(Exit::Ok)
}

async fn test(school: &School, file: Option<PathBuf>) -> Result<Exit, Failure> {
    let log = school.change_log().await?;
    proxy::demo::write_policy_if_missing(&school.config)
        .map_err(|error| from_snapshot_error(&error))?;
    // Not the snapshot: a policy in force whose tests fail must be tested too, not refused.
    let catalogue = proxy::lists::catalogue(&school.config).map_err(Failure::fault)?;
    let file = file.unwrap_or_else(|| school.config.policy.clone());
    // Before the lists: without a policy a new one would be taken in untested.
    let policy = read(school, &file, &catalogue)?;
    let index =
        Lists::new(&school.config, &log).index(&catalogue, now()).await.map_err(Failure::fault)?;
    policy.check_tests(&index, now()).map_err(|fault| match fault {
        PolicyFault::Tests { failures, total } => tests_failed(failures, total, ""),
        other => from_policy_fault(other),
    })?;
    let count = policy.policy.test_count();
    say!("{count} of {count} policy tests passed");
    Ok(Exit::Ok)
}

fn tests_failed(failures: Vec<TestFailure>, total: usize, then: &str) -> Failure {
    let what = format!("{} of {total} policy tests failed{then}", failures.len());
    failures
        .into_iter()
        .fold(Failure::new(Exit::ProblemsFound, what), |failure, test| failure.detail(test.text))
}

async fn diff(school: &School, file: &Path, format: Format) -> Result<Exit, Failure> {
    let snapshot = school.snapshot().await?;
    let new = read(school, file, snapshot.policy.catalogue())?;
    let diff = snapshot.policy.diff(&new.policy, &snapshot.changes.of_levels(now()));
    if format == Format::Table {
        print_diff(&diff)?;
        return Ok(Exit::Ok);
    }
    let mut sheet = Sheet::stdout(format, DIFF_COLUMNS)?;
    for line in &diff.lines {
        sheet.row(&[Cell::text(line)])?;
    }
    sheet.finish()?;
    Ok(Exit::Ok)
}

fn print_diff(diff: &PolicyDiff) -> Result<(), Failure> {
    if diff.lines.is_empty() {
        say!("no difference in what is decided");
    }
    for line in &diff.lines {
        say!("  {}", visible(line));
    }
    if diff.loosens {
        say!("opens more than before: takes effect once somebody else has authorised it");
    }
    if diff.intrudes {
        say!(
            "looks further into what people do: tell them, and check the data protection assessment"
        );
    }
    Ok(())
}

/// A policy to be put in force.
struct Order<'a> {
    file: &'a Path,
    name: String,
    reason: String,
    review: Option<String>,
    replay: Wanted,
    change: ChangeArgs,
    verb: &'static str,
}

fn wanted(replay: ReplayArgs) -> Wanted {
    Wanted { days: replay.replay_days, without: replay.without_replay }
}

async fn apply(school: &School, order: Order<'_>) -> Result<Exit, Failure> {
    let log = school.change_log().await?;
    let by = person(school, &log, &order.change).await?;
    if order.reason.trim().is_empty() {
        return Err(Failure::usage("a policy change needs a reason").fix("add --reason \"...\""));
    }
    let snapshot = school.snapshot().await?;
    let old = &snapshot.policy;
    let action = format!("policy {} {}", order.verb, order.name);
    let acting = Acting::new(&log, &by, action, &order.change);
    acting.require(old, POLICY_ROLES).await?;
    let new = read(school, order.file, old.catalogue())?;
    new.check_tests(&snapshot.index, now()).map_err(from_policy_fault)?;
    let tests = new.policy.test_count();
    if new.hash == *snapshot.policy_hash {
        say!("{} is in force already", visible(&order.name));
        return Ok(Exit::Ok);
    }
    let diff = old.diff(&new.policy, &snapshot.changes.of_levels(now()));
    print_diff(&diff)?;
    let clock = old.clock();
    let review = order.review.as_deref().map(|text| moment(clock, text, true)).transpose()?;
    order.replay.check(diff.loosens)?;
    let replayed = tried::try_out(school, &snapshot, &new, &order.replay, diff.loosens).await;
    tried::print(Some(&replayed), clock)?;
    if let (Replayed::Failed { why }, false) = (&replayed, diff.loosens) {
        note!("warning: the policy could not be tried on what was recorded: {}", visible(why));
    }
    if !order.change.dry_run {
        // What a new policy is compared with must stand in the log itself.
        record_first(school, &log, &snapshot).await?;
        new.keep(&school.config.state).map_err(from_policy_fault)?;
    }
    let hashes = (&*snapshot.policy_hash, new.hash.as_str());
    let at = now();
    let mut events = acting
        .append(|changes| {
            let tested = (&diff, replayed);
            let event = change_policy(changes, old, hashes, tested, &by, &order.reason, review, at)
                .map_err(|error| from_change_error(error, old, POLICY_ROLES))?;
            Ok(vec![(by.clone(), event)])
        })
        .await?;
    let name = visible(&order.name);
    let would = if order.change.dry_run { "would be " } else { "" };
    match events.pop().map(|entry| entry.event) {
        Some(Event::PolicyAsked { id, review, .. }) => {
            say!("{id}  {name} {would}asked for ({tests} policy tests passed)");
            say!("  review    {}", clock.show_end(review));
            say!("  next      {}", requests::next_step(old, id, &by));
            say!("  undo      schoolgate unblock refuse {id} --reason TEXT --by NAME");
        }
        _ if order.change.dry_run => {
            say!("{name} would be applied ({tests} policy tests passed)");
        }
        _ => {
            new.put_in_place(&school.config).map_err(from_policy_fault)?;
            say!("{name} applied ({tests} policy tests passed)");
            say!("  live within 1 s where the filter runs");
            say!("  undo  schoolgate policy rollback --reason TEXT --by {}", visible(&by));
        }
    }
    Ok(Exit::Ok)
}

/// Records the policy that was in force before the first change by command, where no filter has done
/// so yet.
async fn record_first(
    school: &School,
    log: &ChangeLog,
    snapshot: &Snapshot,
) -> Result<(), Failure> {
    if snapshot.changes.policy.is_some() {
        return Ok(());
    }
    let file = PolicyFile::read(&school.config.policy, snapshot.policy.catalogue())
        .map_err(from_policy_fault)?;
    if file.hash != *snapshot.policy_hash {
        return Err(Failure::fault("the policy file was changed meanwhile").fix("try again"));
    }
    proxy::policy_file::record_first(&school.config, log, &file, now())
        .await
        .map_err(from_policy_fault)
}

/// Checks that the policy of a request can take effect as it was asked for: its text is as it was
/// kept, and its tests pass with the lists in force.
pub(crate) fn ready(
    school: &School,
    snapshot: &Snapshot,
    hash: &str,
) -> Result<PolicyFile, Failure> {
    let kept = PolicyFile::kept(&school.config.state, hash, snapshot.policy.catalogue());
    let kept = kept.map_err(from_policy_fault)?;
    kept.check_tests(&snapshot.index, now()).map_err(from_policy_fault)?;
    Ok(kept)
}

/// Puts a policy that is in force by the change log into the policy file.
pub(crate) fn put_in_place(school: &School, policy: &PolicyFile) {
    if let Err(fault) = policy.put_in_place(&school.config) {
        note!("warning: {}", visible(&fault.to_string()));
        note!("  fix: the policy is in force; a running filter writes its file too, if it may");
    }
}

/// An earlier policy that was in force: the one before, or the one whose hash starts so.
async fn earlier(school: &School, to: Option<&str>) -> Result<(String, PathBuf), Failure> {
    let snapshot = school.snapshot().await?;
    let log = school.change_log().await?;
    let applied = log.entries_of(&["policy_applied"]).await.map_err(from_append_error)?;
    let hashes = applied.iter().rev().filter_map(|entry| match &entry.event {
        Event::PolicyApplied { hash, .. } if **hash != *snapshot.policy_hash => Some(hash.as_str()),
        _ => None,
    });
    let to = to.map(str::to_ascii_lowercase);
    let hash = hashes
        .into_iter()
        .find(|hash| to.as_deref().is_none_or(|start| hash.starts_with(start)))
        .ok_or_else(|| {
            Failure::not_found("no such earlier policy")
                .fix("see them with: schoolgate report changes")
        })?;
    let path = school.config.state.join("policy").join(format!("{hash}.toml"));
    Ok((format!("policy {}", hash.get(..12).unwrap_or(hash)), path))
}

/// Checks that the files which an earlier policy names still hold what they held when it was kept: with
/// other content it would be a policy that was never in force.
async fn same_files(school: &School, file: &Path) -> Result<(), Failure> {
    let hash = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let snapshot = school.snapshot().await?;
    let kept = PolicyFile::kept(&school.config.state, &hash, snapshot.policy.catalogue());
    let kept = kept.map_err(from_policy_fault)?;
    let folder = school.config.policy.parent().unwrap_or(Path::new(""));
    let is_other = |(name, content): &(&String, &Content)| {
        std::fs::read(folder.join(name)).ok().as_deref() != Some(content.bytes())
    };
    let others: Vec<&str> =
        kept.files.iter().filter(is_other).map(|(name, _)| name.as_str()).collect();
    if others.is_empty() {
        // A folder of phrase lists may hold more than it did.
        if read(school, file, snapshot.policy.catalogue())?.hash == hash {
            return Ok(());
        }
        let what = "that policy was in force with other files in its folders of phrase lists";
        return Err(Failure::usage(what).fix("take out what came since; then roll back"));
    }
    let what = format!("that policy was in force with another content of {}", others.join(", "));
    let kept = file.with_extension("files.json");
    Err(Failure::usage(what).fix(format!(
        "put back what {} holds of it first; then roll back, or apply a policy of its own",
        kept.display()
    )))
}

pub(crate) fn from_policy_fault(fault: PolicyFault) -> Failure {
    match fault {
        PolicyFault::Read { path, source } => {
            let exit = match source.kind() {
                std::io::ErrorKind::NotFound => Exit::NotFound,
                _ => Exit::BadConfig,
            };
            unreadable(exit, Path::new(&path), &source)
        }
        PolicyFault::Policy(errors) => from_policy_errors(&errors),
        PolicyFault::ThemeWords(_) => Failure::new(Exit::BadConfig, fault.to_string()),
        PolicyFault::Tests { failures, total } => {
            tests_failed(failures, total, "; nothing applied")
        }
        PolicyFault::Store { .. } | PolicyFault::Lost { .. } => Failure::fault(fault),
        PolicyFault::Log(error) => from_append_error(error),
    }
}

/// The file's own name, as in `policy.toml:26`.
fn shown(path: &Path) -> String {
    if path == Path::new(STDIN) {
        return "standard input".to_owned();
    }
    path.file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
