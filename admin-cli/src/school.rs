//! The school that a command works on: its machine file, state, policy, change log and clock. Who is
//! acting stands in `who`.

use crate::args::ChangeArgs;
use crate::failure::{Exit, Failure};
use crate::output::visible;
use ledger::changes::{AppendError, AppendWithError, ChangeLog};
use proxy::config::{Config, ConfigError};
use proxy::policy_file::{PolicyFault, PolicyFile};
use proxy::snapshot::{Snapshot, SnapshotError};
use rules::access::Role;
use rules::change::{ChangeEntry, ChangeError, Changes, Event, UnblockState, same_person};
use rules::decide::ReasonCode;
use rules::inspect::CertificateFaults;
use rules::policy::{Policy, PolicyError};
use rules::time::{SchoolClock, TimeError, UnixMillis};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock. Before 1970 counts as 1970.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The school that a command works on.
pub(crate) struct School {
    /// The machine file, defaults filled in.
    pub(crate) config: Config,
}

impl School {
    /// Reads the machine file, or takes the built-in example school.
    pub(crate) fn open(config: Option<&Path>) -> Result<School, Failure> {
        let config = Config::load(config).map_err(|error| from_config_error(&error))?;
        Ok(School { config })
    }

    /// Fails where no machine file is given and the current folder has neither one nor the state of the
    /// built-in example school: what is asked would be answered of a school that nobody runs, made new.
    pub(crate) fn is_here(config: Option<&Path>) -> Result<(), Failure> {
        match Config::load(config) {
            Ok(config) if config.demo && !config.state.is_dir() => {
                let here = std::env::current_dir().unwrap_or_default();
                let file = proxy::config::FILE_NAME;
                Err(Failure::new(
                    Exit::BadConfig,
                    format!(
                        "no school in this folder: {} has no {file} and no {}",
                        here.display(),
                        config.state.display()
                    ),
                )
                .fix("name the machine file with --config FILE, or cd to the folder where schoolgate serve runs"))
            }
            // What is wrong with the file is said by whoever opens it.
            _ => Ok(()),
        }
    }

    /// Policy, lists, people and changes as they are in force. Where the policy's file says something
    /// else, or has a fault, a warning says so.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, Failure> {
        let log = self.change_log().await?;
        let snapshot = Snapshot::load_with(&self.config, &log, now())
            .await
            .map_err(|error| from_snapshot_error(&error))?;
        self.warn_of_file(&snapshot);
        Ok(snapshot)
    }

    /// Says that the policy file is not what is in force, and why not where that is known.
    fn warn_of_file(&self, snapshot: &Snapshot) {
        if snapshot.changes.policy.is_none() {
            return;
        }
        let path = self.config.policy.display().to_string();
        let path = visible(&path);
        let read = PolicyFile::read(&self.config.policy, snapshot.policy.catalogue())
            .and_then(|file| file.check_tests(&snapshot.index, now()).map(|()| file));
        match read {
            Ok(file) if file.hash == *snapshot.policy_hash => {}
            Ok(file) => {
                let request = snapshot.changes.policy_request(&file.hash, &snapshot.policy_hash);
                note!("warning: {path} is not the policy in force, which is used");
                match request {
                    Some(request) => note!("  fix: schoolgate unblock show {}", request.id),
                    None => note!(
                        "  fix: schoolgate policy diff {path}; a running filter takes it in or asks \
                         for sign-off"
                    ),
                }
            }
            Err(_) => {
                note!("warning: {path} has a fault; the policy in force is used");
                note!("  fix: schoolgate policy validate, then policy test");
            }
        }
    }

    /// The policy for what needs only names of levels and roles: the one in force; where there is
    /// none, the file as it reads, tests or not; `None`, with a warning, where even that has faults.
    pub(crate) async fn policy_for_people(&self) -> Option<Arc<Policy>> {
        let error = match self.snapshot().await {
            Ok(snapshot) => return Some(snapshot.policy),
            Err(failure) => failure,
        };
        note!("warning: {}", visible(error.what()));
        let read = proxy::lists::catalogue(&self.config)
            .ok()
            .and_then(|catalogue| PolicyFile::read(&self.config.policy, &catalogue).ok());
        if read.is_none() {
            note!("warning: no policy can be read; levels are taken as they are given");
        }
        read.map(|file| Arc::new(file.policy))
    }

    /// As [`School::snapshot`], but a fault in the policy's file is an error.
    pub(crate) async fn strict_snapshot(&self) -> Result<Snapshot, Failure> {
        let told = |error: SnapshotError| from_snapshot_error(&error);
        let snapshot = Snapshot::load(&self.config, now()).await.map_err(told)?;
        PolicyFile::read(&self.config.policy, snapshot.policy.catalogue())
            .and_then(|file| file.check_tests(&snapshot.index, now()))
            .map_err(|fault| told(fault.into()))?;
        Ok(snapshot)
    }

    /// The change log, opened for reading and appending.
    pub(crate) async fn change_log(&self) -> Result<ChangeLog, Failure> {
        ChangeLog::open(&self.config.state).await.map_err(from_append_error)
    }
}

/// The built-in example school in a folder of its own, which goes away with it: where there is no school, an
/// answer leaves none behind that later commands would take for one.
pub(crate) struct Example {
    folder: PathBuf,
}

impl Example {
    /// Makes the folder.
    pub(crate) fn new() -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt as _;
        let name = format!("schoolgate-example-{}-{}", std::process::id(), now().0);
        let folder = std::env::temp_dir().join(name);
        // A folder that somebody else has laid there is an error.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|error| Failure::fault(format!("{}: {error}", folder.display())))?;
        Ok(Self { folder })
    }

    /// The school.
    pub(crate) fn school(&self) -> Result<School, Failure> {
        let config = Config::embedded(&self.folder).map_err(|error| from_config_error(&error))?;
        Ok(School { config })
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // What is left behind is in a folder for what may be removed.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A change about to be made by somebody: what is checked, and what is recorded of a refusal.
pub(crate) struct Acting<'a> {
    log: &'a ChangeLog,
    /// Who acts.
    pub(crate) by: String,
    /// The words typed, for the record of a refusal, e.g. `unblock authorise U-0001`.
    action: String,
    dry_run: bool,
}

impl<'a> Acting<'a> {
    /// A change by `by`; `action` names it in the record of a refusal.
    pub(crate) fn new(log: &'a ChangeLog, by: &str, action: String, change: &ChangeArgs) -> Self {
        Self { log, by: by.to_owned(), action, dry_run: change.dry_run }
    }

    /// Appends the events that `decide` answers while nobody else can write; with `--dry-run` only
    /// decides. What the person may not do is recorded as refused.
    pub(crate) async fn append(
        &self,
        decide: impl FnOnce(&Changes) -> Result<Vec<(String, Event)>, Failure>,
    ) -> Result<Vec<ChangeEntry>, Failure> {
        let at = now();
        let outcome = if self.dry_run {
            let changes = self.log.changes().await.map_err(from_append_error)?;
            let next = changes.size;
            decide(&changes).map(|events| {
                (next..)
                    .zip(events)
                    .map(|(sequence, (actor, event))| ChangeEntry { sequence, at, actor, event })
                    .collect()
            })
        } else {
            match self.log.append_with(at, decide).await {
                Ok(entries) => Ok(entries),
                Err(AppendWithError::Refused(failure)) => Err(failure),
                Err(AppendWithError::Log(error)) => return Err(from_append_error(error)),
            }
        };
        match outcome {
            Err(failure) => Err(self.refused(failure).await),
            done => done,
        }
    }

    /// Passes a failure on; one that says "not permitted" is recorded first.
    pub(crate) async fn refused(&self, failure: Failure) -> Failure {
        if failure.exit != Exit::NotPermitted || self.dry_run {
            return failure;
        }
        let (action, why) = (self.action.clone(), failure.what().to_owned());
        let event = match failure.is_one_person {
            true => Event::OnePersonRefused { action, why },
            false => Event::ActionRefused { action, why },
        };
        match self.log.append(now(), &self.by, event).await {
            Ok(_) => failure,
            Err(error) => failure.detail(format!("the refusal could not be recorded: {error}")),
        }
    }

    /// Checks that the acting person holds one of these roles; records the refusal if not.
    pub(crate) async fn require(&self, policy: &Policy, roles: &[Role]) -> Result<(), Failure> {
        match rules::change::require_role(policy, &self.by, roles) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.refused(from_change_error(error, policy, roles)).await),
        }
    }
}

/// Reads a moment in school time for `--until` and the like.
pub(crate) fn moment(clock: &SchoolClock, text: &str, end: bool) -> Result<UnixMillis, Failure> {
    clock.moment(text, now(), end).map_err(from_time_error)
}

/// Reads `--since` (and `--until`): `[from, until)`. `fallback` is read when `--since` is not given.
/// The range is echoed on standard error.
pub(crate) fn range(
    clock: &SchoolClock,
    since: Option<&str>,
    until: Option<&str>,
    fallback: &str,
) -> Result<(UnixMillis, UnixMillis), Failure> {
    let (from, mut to) = clock.range(since.unwrap_or(fallback), now()).map_err(from_time_error)?;
    if let Some(text) = until {
        to = clock
            .moment(text, now(), false)
            .or_else(|error| clock.range(text, now()).map(|range| range.0).map_err(|_| error))
            .map_err(from_time_error)?;
    }
    if to <= from {
        return Err(Failure::usage(format!(
            "the range ends ({}) before it starts ({})",
            clock.show(to),
            clock.show(from)
        ))
        .fix("give an --until after --since, such as 2027-01-05 or \"yesterday\""));
    }
    let left_out = until.map_or_else(|| left_out(clock, from, to, now()), |_| String::new());
    note!("range: {} to {}{left_out}", clock.show(from), clock.show(to));
    Ok((from, to))
}

/// What is said of a range such as `yesterday`, which is over and leaves today out.
fn left_out(clock: &SchoolClock, from: UnixMillis, to: UnixMillis, now: UnixMillis) -> String {
    let today = clock.day(now);
    match to <= clock.day_bounds(today).0 {
        true => {
            let first = clock.day(from);
            format!(" (ends before today; --since {first} runs to now)")
        }
        false => String::new(),
    }
}

/// The sentence for a person who may not do something, with whom to ask.
pub(crate) fn from_change_error(error: ChangeError, policy: &Policy, roles: &[Role]) -> Failure {
    from_change_error_for(error, policy, roles, &[])
}

/// As [`from_change_error`], where these people are not the ones to ask: who tried, and who asked
/// for what another person must authorise.
pub(crate) fn from_change_error_for(
    error: ChangeError,
    policy: &Policy,
    roles: &[Role],
    but: &[&str],
) -> Failure {
    let what = error.to_string();
    match error {
        ChangeError::NoSuchUnblock(_) => {
            Failure::not_found(what).fix("see the numbers with: schoolgate unblock list")
        }
        ChangeError::NoSuchBlock(_) => {
            Failure::not_found(what).fix("see the numbers with: schoolgate block list")
        }
        ChangeError::OwnRequest(_)
        | ChangeError::SamePerson { .. }
        | ChangeError::NobodyProved { .. }
        | ChangeError::NoRole { .. } => {
            Failure::not_permitted(what).fix(whom_else_to_ask(policy, roles, but))
        }
        ChangeError::KeyedTogether { .. } => Failure::one_person(what),
        ChangeError::NotYet { id, .. } => {
            Failure::not_permitted(what).fix(format!("see schoolgate unblock show {id}"))
        }
        ChangeError::Overtaken(_) => {
            Failure::not_permitted(what).fix("ask for it again; it is then compared with what is now")
        }
        ChangeError::PolicyMoved => Failure::fault(what).fix("try again"),
        ChangeError::NotReplayed { .. } => Failure::fault(what).detail("nothing applied").fix(
            "mend that, or give the reason why it need not be: --without-replay \"...\"",
        ),
        ChangeError::NotRevocable { id } => Failure::not_permitted(what)
            .fix(format!("change it back; see `undo` of: schoolgate unblock show {id}")),
        ChangeError::NoStandingYes(_) => {
            Failure::not_permitted(what).fix("ask for it: schoolgate unblock request")
        }
        // What nobody has answered yet is not ended but refused.
        ChangeError::WrongState { id, state, action: "revoked", .. }
            if state == UnblockState::Asked.as_str() =>
        {
            Failure::not_permitted(what).fix(format!(
                "it is not open yet; whoever may authorise it says no: schoolgate unblock refuse {id} \
                 --reason TEXT --by NAME; unanswered it lapses by itself"
            ))
        }
        ChangeError::WrongState { .. } => {
            Failure::not_permitted(what).fix("see where it stands with: schoolgate unblock list")
        }
        ChangeError::Locked { .. } | ChangeError::Never { .. } => {
            Failure::not_permitted(what).fix("choose another site for the lesson")
        }
        ChangeError::NotPrivate { .. } => Failure::usage(what).fix(
            "what is not private the policy says: [inspect], [[inspect_site]], or inspect of a level",
        ),
        ChangeError::HasPath(_) => Failure::usage(what).fix("give the host alone"),
        ChangeError::NotAcceptable(_) => {
            let known = CertificateFaults::ACCEPTABLE.map(ReasonCode::as_str).join(", ");
            Failure::not_permitted(what).fix(format!("faults that can be accepted: {known}"))
        }
        ChangeError::BadScope(_) => {
            let levels: Vec<&str> =
                policy.levels().iter().map(|(_, level)| level.name.as_str()).collect();
            Failure::usage(what)
                .fix(format!("levels are {}; a group is written @9C", levels.join(", ")))
        }
        ChangeError::EndsInPast | ChangeError::EndsBeforeStart => {
            Failure::usage(what).fix("give a later end, such as 10:50, friday or \"3 days\"")
        }
        ChangeError::TooLong { .. } => Failure::usage(what)
            .fix("give an earlier end; what the school always needs belongs into [[exception]]"),
        _ => Failure::usage(what),
    }
}

/// `ask q.whitmore (DSL)`, or what to do where nobody holds the roles.
pub(crate) fn whom_to_ask(policy: &Policy, roles: &[Role]) -> String {
    whom_else_to_ask(policy, roles, &[])
}

/// As [`whom_to_ask`], but none of these people.
pub(crate) fn whom_else_to_ask(policy: &Policy, roles: &[Role], but: &[&str]) -> String {
    let holders: Vec<String> = roles
        .iter()
        .flat_map(|role| {
            policy
                .holders(*role)
                .iter()
                .filter(|name| !but.iter().any(|other| same_person(name, other)))
                .map(move |name| format!("{name} ({})", role.as_str().to_uppercase()))
        })
        .collect();
    if holders.is_empty() {
        let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
        let other = if but.is_empty() { "" } else { " else" };
        return format!("name somebody{other} in [roles] of the policy: {}", words.join(", "));
    }
    format!("ask {}", holders.join(" or "))
}

/// Every fault of a policy, each with its line and fix.
pub(crate) fn from_policy_errors(errors: &[PolicyError]) -> Failure {
    Failure::several(
        Exit::BadConfig,
        errors.iter().map(|error| (error.to_string(), error.fix.clone())),
    )
}

pub(crate) fn from_time_error(error: TimeError) -> Failure {
    let failure = Failure::usage(error.to_string());
    match error {
        // These say by themselves what to write.
        TimeError::NotUnderstood { .. } | TimeError::NoZone(_) => failure,
        TimeError::Nearly { .. } | TimeError::NoSuchDay { .. } | TimeError::NoTerm => {
            failure.fix(TIME_FIX)
        }
        TimeError::Ahead { .. } => {
            failure.fix("give a time that has passed, such as yesterday or 2h")
        }
    }
}

/// How times are written, for whoever has given a wrong one.
pub(crate) const TIME_FIX: &str =
    "write it like \"Tue 10:00\", 10:50, friday, 2027-01-05, 2h or \"3 days\"";

pub(crate) fn from_append_error(error: AppendError) -> Failure {
    Failure::fault(error)
}

/// Every fault of a machine file, each with its line and fix.
pub(crate) fn from_config_error(error: &ConfigError) -> Failure {
    let faults = error.faults();
    Failure::several(
        Exit::BadConfig,
        faults.into_iter().map(|fault| (format!("{}: {}", fault.place, fault.what), fault.fix)),
    )
}

/// Why policy, lists, people and changes cannot be read together.
pub(crate) fn from_snapshot_error(error: &SnapshotError) -> Failure {
    match error {
        SnapshotError::Policy(PolicyFault::Policy(errors)) => from_policy_errors(errors),
        SnapshotError::Policy(PolicyFault::Tests { failures, total }) => {
            let what = format!(
                "the policy in its file fails {} of its {total} policy tests",
                failures.len()
            );
            let failure = Failure::new(Exit::BadConfig, what)
                .fix("correct the file; a running filter keeps the policy that it had");
            failures.iter().fold(failure, |failure, test| failure.detail(&test.text))
        }
        SnapshotError::Log(_) | SnapshotError::Users(_) => Failure::fault(error),
        _ => Failure::new(Exit::BadConfig, error.to_string()),
    }
}

/// `2026-11-23 10:02:31 GMT`: sorts, and fits a table.
pub(crate) fn show_seconds(clock: &SchoolClock, at: UnixMillis) -> String {
    let shown = clock.show(at);
    let zone = shown.rsplit(' ').next().unwrap_or("");
    format!("{} {zone}", clock.civil(at).strftime("%Y-%m-%d %H:%M:%S"))
}

/// Whether two accounts may be one person's now: one has set the other's password, or the emergency code is
/// one of them, whose holder may be anybody.
pub(crate) fn is_one_person(changes: &Changes, one: &str, other: &str) -> bool {
    let is_emergency = |name: &str| same_person(name, rules::change::BREAK_GLASS);
    !same_person(one, other)
        && (is_emergency(one) || is_emergency(other) || changes.keyed.may_be_one(one, other, now()))
}

/// What whoever is refused for that is told.
pub(crate) fn not_yet(what: &str, other: &str) -> Failure {
    Failure::one_person(format!(
        "you cannot {what} yet: {} and you count as one person, since one has set the other's password or \
         turned off their two-step log-in, or somebody else did so for both, or one of you is the emergency code, was \
         helped with it or had it made (schoolgate account list)",
        visible(other)
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_leaves_today_out_says_so() {
        let clock = SchoolClock::new("Europe/London", &[]).unwrap();
        let now = clock.moment("2026-11-26T10:00:00Z", UnixMillis(0), false).unwrap();
        let said = |since: &str| {
            let (from, to) = clock.range(since, now).unwrap();
            left_out(&clock, from, to, now)
        };
        assert_eq!(said("yesterday"), " (ends before today; --since 2026-11-25 runs to now)");
        assert_eq!(said("last week"), " (ends before today; --since 2026-11-16 runs to now)");
        assert_eq!(said("2026-11-25"), "");
        assert_eq!(said("2h"), "");
    }
}
