//! `policy`: looking at, testing, applying and rolling back the school's decisions.

use crate::args::{ChangeArgs, PolicyCommand};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Format, Sheet, visible};
use crate::school::{
    Acting, School, from_append_error, from_policy_errors, from_snapshot_error, now, person,
    whom_else_to_ask,
};
use proxy::lists::Lists;
use proxy::policy_file::{PolicyFault, PolicyFile};
use rules::access::Role;
use rules::category::Catalogue;
use rules::change::{Event, same_person};
use rules::policy::{Policy, PolicyDiff, TestFailure};
use std::path::{Path, PathBuf};

/// Who puts a policy in force. What opens more than before needs an authoriser besides.
const MAY_APPLY: &[Role] = &[Role::It, Role::Dsl, Role::Head];

/// What stands for standard input among the arguments.
const STDIN: &str = "-";

const DIFF_COLUMNS: &[Column] = &[Column { key: "change", title: "Change", gives_way: 0 }];

/// Runs a `policy` command.
pub(crate) async fn run(school: &School, command: PolicyCommand) -> Result<Exit, Failure> {
    match command {
        PolicyCommand::Validate { file } => validate(school, file),
        PolicyCommand::Test { file } => test(school, file).await,
        PolicyCommand::Diff { file, print } => diff(school, &file, print.format()).await,
        PolicyCommand::Apply { file, reason, authorised_by, change } => {
            let name = shown(&file);
            let order = Order { file: &file, name, reason, authorised_by, change, verb: "apply" };
            apply(school, order).await
        }
        PolicyCommand::Rollback { reason, to, authorised_by, change } => {
            let (name, file) = earlier(school, to.as_deref()).await?;
            let order =
                Order { file: &file, name, reason, authorised_by, change, verb: "rollback" };
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
    let policy = read(school, &file, &catalogue)?.policy;
    for warning in policy.warnings_at(now()) {
        note!("warning: {}", visible(&warning));
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
    let diff = snapshot.policy.diff(&new.policy);
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
        say!("opens more than before: needs an authoriser");
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
    authorised_by: Option<String>,
    change: ChangeArgs,
    verb: &'static str,
}

async fn apply(school: &School, order: Order<'_>) -> Result<Exit, Failure> {
    let by = person(&order.change)?;
    let reason = order.reason.trim();
    if reason.is_empty() {
        return Err(Failure::usage("a policy change needs a reason").fix("add --reason \"...\""));
    }
    let snapshot = school.snapshot().await?;
    let old = &snapshot.policy;
    let log = school.change_log().await?;
    let action = format!("policy {} {}", order.verb, order.name);
    let acting = Acting::new(&log, &by, action, &order.change);
    acting.require(old, MAY_APPLY).await?;
    let new = read(school, order.file, old.catalogue())?;
    new.check_tests(&snapshot.index, now()).map_err(from_policy_fault)?;
    let tests = new.policy.test_count();
    if new.hash == *snapshot.policy_hash {
        say!("{} is in force already", visible(&order.name));
        return Ok(Exit::Ok);
    }
    let diff = old.diff(&new.policy);
    print_diff(&diff)?;
    let authoriser = match sign_off(old, &diff, &by, order.authorised_by.as_deref()) {
        Ok(authoriser) => authoriser,
        Err(failure) => return Err(acting.refused(failure).await),
    };
    if order.change.dry_run {
        say!("{} would be applied ({tests} policy tests passed)", visible(&order.name));
        return Ok(Exit::Ok);
    }
    if let Some(authoriser) = authoriser {
        let yes = Event::PolicyAuthorised { hash: new.hash.clone(), reason: reason.to_owned() };
        acting.append(|_| Ok(vec![(authoriser, yes)])).await?;
    }
    new.apply(&school.config, &log, &by, reason, diff.lines, now())
        .await
        .map_err(from_policy_fault)?;
    say!("{} applied ({tests} policy tests passed)", visible(&order.name));
    say!("  live within 1 s where the filter runs");
    say!("  undo  schoolgate policy rollback --reason TEXT --by {}", visible(&by));
    Ok(Exit::Ok)
}

/// Who signed off a policy that opens more than before: somebody with the role, other than who
/// applies it; `None` where nothing opens.
fn sign_off(
    old: &Policy,
    diff: &PolicyDiff,
    by: &str,
    authorised_by: Option<&str>,
) -> Result<Option<String>, Failure> {
    let roles = &old.unblock_rules().authorise;
    let holds = |name: &str| roles.iter().any(|role| old.roles(name).contains(*role));
    match authorised_by {
        Some(name) if same_person(name, by) => Err(Failure::not_permitted(format!(
            "{by} applies this policy, so {by} cannot authorise it"
        ))
        .fix(whom_else_to_ask(old, roles, &[by]))),
        Some(name) if !holds(name) => {
            Err(Failure::not_permitted(format!("{name} may not authorise changes"))
                .fix(whom_else_to_ask(old, roles, &[by])))
        }
        Some(name) => Ok(Some(name.to_owned())),
        // An authoriser's own change is signed off by that person.
        None if diff.loosens && holds(by) => Ok(Some(by.to_owned())),
        None if diff.loosens => Err(Failure::not_permitted(
            "this policy opens more than before, and nobody authorised it",
        )
        .fix(format!("{}, then add --authorised-by NAME", whom_else_to_ask(old, roles, &[by])))),
        None => Ok(None),
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

fn from_policy_fault(fault: PolicyFault) -> Failure {
    match fault {
        PolicyFault::Read { path, source } => {
            let exit = match source.kind() {
                std::io::ErrorKind::NotFound => Exit::NotFound,
                _ => Exit::BadConfig,
            };
            Failure::new(exit, format!("{path}: {source}"))
        }
        PolicyFault::Policy(errors) => from_policy_errors(&errors),
        PolicyFault::Tests { failures, total } => {
            tests_failed(failures, total, "; nothing applied")
        }
        PolicyFault::Store { .. } => Failure::fault(fault),
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
