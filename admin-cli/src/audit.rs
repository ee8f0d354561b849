//! `audit`: what proves that the log is whole.

mod told;

use crate::args::{AuditCommand, ChangeArgs, LogFilters};
use crate::failure::{Exit, Failure, unreadable};
use crate::output::{json_text, visible};
use crate::school::{School, from_append_error, now, range};
use crate::who::{MAX_SUBJECT_CHARS, machine_account, named, person};
use crate::{health, log};
use ledger::evidence::export::{ExportError, export};
use ledger::evidence::note::Checkpoint;
use ledger::evidence::places;
use ledger::evidence::signer::{SignError, Signed, Signer};
use ledger::evidence::verify::{Options, VerifyError, verify};
use ledger::query::{Cursor, Order};
use rules::change::Event;
use rules::time::UnixMillis;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(crate) use told::{Standing, standing};

/// Rows asked for at a time.
const PAGE_ROWS: usize = 2_000;

/// Most records of one bundle: more are no case but the log, and that has `backup`.
const MOST_RECORDS: usize = 100_000;

/// Longest wait for a running filter to sign.
const SIGN_TIMEOUT: Duration = Duration::from_secs(40);

/// Runs an `audit` command.
pub(crate) async fn run(school: &School, command: AuditCommand) -> Result<Exit, Failure> {
    match command {
        AuditCommand::Verify { against, key, since, json } => {
            let since = since.as_deref();
            run_verify(school, &against, key.as_deref(), since, json).await
        }
        AuditCommand::Checkpoint { change } => {
            let (_, note) = checkpoint(school, &actor(school, &change).await?).await?;
            say!("{}", note.trim_end());
            note!("keep it where nobody who runs this machine can change it");
            Ok(Exit::Ok)
        }
        AuditCommand::Export { case, filters, since, until, output, change } => {
            let (since, until) = (since.as_deref(), until.as_deref());
            run_export(school, &case, &filters, (since, until), &output, &change).await
        }
    }
}

/// Who asks for a checkpoint: nothing is opened or read by it, so the machine's account will do. A name
/// that is given is proved.
async fn actor(school: &School, change: &ChangeArgs) -> Result<String, Failure> {
    if named(change.by.as_deref()).is_none() {
        return Ok(machine_account());
    }
    person(school, &school.change_log().await?, change).await
}

async fn run_verify(
    school: &School,
    against: &[PathBuf],
    key: Option<&Path>,
    since: Option<&str>,
    json: bool,
) -> Result<Exit, Failure> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path)
            .map(|text| (path.display().to_string(), text))
            .map_err(|error| unreadable(Exit::NotFound, path, &error))
    };
    let snapshot = school.snapshot().await.ok();
    let clock = snapshot.as_ref().map(|snapshot| snapshot.policy.clock().clone());
    let since = match (since, &clock) {
        (None, _) => None,
        (Some(text), Some(clock)) => Some(clock.day(crate::school::moment(clock, text, false)?)),
        (Some(_), None) => {
            return Err(Failure::usage(
                "--since needs the school's time zone, and no policy can be read",
            )
            .fix("leave out --since"));
        }
    };
    let options = Options {
        against: against.iter().map(read).collect::<Result<_, _>>()?,
        public: match key {
            None => None,
            Some(path) => Some(read(&path.to_owned())?.1.trim().to_owned()),
        },
        since,
    };
    let began = Instant::now();
    let is_watched = std::io::stderr().is_terminal();
    let mut tell = |what: &str| {
        if is_watched && began.elapsed() > Duration::from_secs(1) {
            // Progress that cannot be shown is not needed.
            let _ = write!(std::io::stderr(), "\r\x1b[Kverifying: {what}");
        }
    };
    let verified = verify(&school.config.state, &options, &mut tell).await;
    if is_watched {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let report = verified.map_err(from_verify_error)?;
    let runs = health::is_running(&school.config.state).then(now);
    told::print(&report, clock.as_ref(), runs, json)?;
    Ok(if report.problems.is_empty() { Exit::Ok } else { Exit::ProblemsFound })
}

fn from_verify_error(error: VerifyError) -> Failure {
    match error {
        VerifyError::NoCheckpoint(_) => Failure::usage(error.to_string())
            .fix("give a copy of STATE/audit/checkpoints, or the checkpoint line of a report"),
        VerifyError::BadKey(_) => {
            Failure::usage(error.to_string()).fix("give a copy of STATE/audit/key.pub")
        }
        VerifyError::Io { .. } => Failure::fault(error),
    }
}

/// Has a checkpoint signed over everything that is recorded by now: by the running filter, else here.
pub(crate) async fn checkpoint(
    school: &School,
    actor: &str,
) -> Result<(Checkpoint, String), Failure> {
    let state = &school.config.state;
    match ledger::ingest::durable_head(state).map_err(Failure::fault)? {
        None => ask_the_filter(state).await,
        Some(access) => {
            let log = school.change_log().await?;
            let signer = signer(school, &log).await?;
            let event = Event::AccessCovered { access };
            let Signed { checkpoint, note } =
                signer.sign(&log, now(), actor, event).await.map_err(from_sign_error)?;
            for copy in &school.config.audit.copy_to {
                if let Err(fault) = places::copy(state, copy) {
                    note!("warning: {}", visible(&fault.to_string()));
                    note!(
                        "  fix: see that the disk is there and can be written; the filter tries again"
                    );
                }
            }
            Ok((checkpoint, note))
        }
    }
}

async fn signer(school: &School, log: &ledger::changes::ChangeLog) -> Result<Signer, Failure> {
    let name = match school.snapshot().await {
        Ok(snapshot) => snapshot.policy.school().to_owned(),
        Err(_) => String::new(),
    };
    let origin = school.config.audit.origin.as_deref();
    Signer::open(&school.config.state, log, origin, &name, now()).await.map_err(from_sign_error)
}

fn from_sign_error(error: SignError) -> Failure {
    match error {
        SignError::NotTheSame { .. } => {
            Failure::new(Exit::ProblemsFound, error.to_string()).fix("schoolgate audit verify")
        }
        SignError::Key(_) => Failure::new(Exit::BadConfig, error.to_string()),
        _ => Failure::fault(error),
    }
}

async fn ask_the_filter(state: &Path) -> Result<(Checkpoint, String), Failure> {
    let before = places::last(state)?.map_or(0, |(checkpoint, _)| checkpoint.size);
    std::fs::write(proxy::wanted_checkpoint_path(state), b"")?;
    let began = Instant::now();
    while began.elapsed() < SIGN_TIMEOUT {
        if let Some((checkpoint, note)) = places::last(state)?
            && checkpoint.size > before
        {
            return Ok((checkpoint, note));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let why = places::Places::read(state).and_then(|places| places.problem);
    let why = why.unwrap_or_else(|| "it did not answer in time".to_owned());
    Err(Failure::fault(format!("the running filter signs no checkpoint: {why}"))
        .fix("schoolgate doctor; schoolgate audit verify"))
}

async fn run_export(
    school: &School,
    case: &str,
    filters: &LogFilters,
    (since, until): (Option<&str>, Option<&str>),
    output: &Path,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let change_log = school.change_log().await?;
    let by = person(school, &change_log, change).await?;
    let case = case.trim();
    if case.is_empty() || case.chars().count() > 100 || case.chars().any(char::is_control) {
        return Err(Failure::usage("a case has a name of 1 to 100 characters"));
    }
    let snapshot = school.snapshot().await?;
    let clock = snapshot.policy.clock();
    let roles = roles_for_records();
    let acting =
        crate::school::Acting::new(&change_log, &by, format!("audit export --case {case}"), change);
    acting.require(&snapshot.policy, &roles).await?;
    let (from, to) = range(clock, since, until, "today")?;
    // Whoever may give records out may read what was searched for.
    let mut filter = log::filter(filters, true)?;
    (filter.since, filter.until) = (Some(from), Some(to));
    // The look is in the log before anything is read, and so covered by the checkpoint that goes out.
    let when = [("case", Some(case)), ("since", since), ("until", until)];
    let subject = log::filter_words(filters, &when).chars().take(MAX_SUBJECT_CHARS).collect();
    let looked = Event::Looked { what: "audit export".to_owned(), subject };
    change_log.append(now(), &by, looked).await.map_err(from_append_error)?;
    // What was recorded up to now is covered first, so that nothing asked for is left out.
    checkpoint(school, &by).await?;
    let places = find(school, &filter).await?;
    if places.is_empty() {
        return Err(Failure::not_found("no record fits; nothing is given out")
            .fix("see what there is with: schoolgate log query"));
    }
    if change.dry_run {
        say!("{} records would be given out", places.len());
        return Ok(Exit::Ok);
    }
    let signer = signer(school, &change_log).await?;
    let name = (case, snapshot.policy.school());
    let state = &school.config.state;
    let done = export(state, &change_log, signer.key(), name, &places, output).await;
    let done = done.map_err(from_export_error)?;
    let event = Event::EvidenceExported {
        case: case.to_owned(),
        records: done.records,
        bundle: done.bundle.clone(),
    };
    change_log.append(now(), &by, event).await.map_err(from_append_error)?;
    say!(
        "{} records with their proofs in {}",
        done.records,
        visible(&output.display().to_string())
    );
    say!("check them anywhere: python3 {}/verify.py", visible(&output.display().to_string()));
    if !done.not_covered.is_empty() {
        note!(
            "warning: {} records are not covered by any checkpoint and are not in it (the first: {})",
            done.not_covered.len(),
            visible(&done.not_covered[0])
        );
        note!("  fix: records of before proofs cannot be proved; log query shows them");
    }
    Ok(Exit::Ok)
}

/// Who may give records out.
fn roles_for_records() -> [rules::access::Role; 2] {
    [rules::access::Role::Dsl, rules::access::Role::Head]
}

fn from_export_error(error: ExportError) -> Failure {
    match error {
        ExportError::DoesNotFit(_) => Failure::new(Exit::ProblemsFound, error.to_string()),
        ExportError::Exists(_) => Failure::usage(error.to_string()),
        _ => Failure::fault(error),
    }
}

async fn find(school: &School, filter: &ledger::query::Filter) -> Result<Vec<Cursor>, Failure> {
    let mut records = log::open(school).await?;
    let (mut places, mut after) = (Vec::new(), None);
    loop {
        let page = records.page(filter, Order::OldestFirst, after, PAGE_ROWS).await;
        let page = page.map_err(log::from_query_error)?;
        places.extend(page.rows.iter().map(|row| row.cursor));
        if places.len() > MOST_RECORDS {
            return Err(Failure::usage(format!("more than {MOST_RECORDS} records fit"))
                .fix("narrow the filters, or make several bundles"));
        }
        after = page.next;
        if after.is_none() {
            return Ok(places);
        }
    }
}

/// Prints the JSON of a report.
fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    say!("{}", json_text(value.to_string()));
    Ok(())
}

/// Milliseconds between two moments, never below 0.
fn since(at: UnixMillis) -> i64 {
    (now().0 - at.0).max(0)
}
