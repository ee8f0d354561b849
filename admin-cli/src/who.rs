//! Who acts: people who have proved it by logging in, and what each role may look at.
//!
//! `--by NAME` does not claim to be somebody: it chooses among the people who are logged in for this
//! account of the operating system. With exactly one it may be left out.

use crate::args::{ChangeArgs, WhoArgs};
use crate::failure::Failure;
use crate::output::visible;
use crate::school::{Acting, School, from_append_error, now};
use ledger::accounts::{HeldSession, Limits, Session, SessionFolder, TokenFileError, WhyEnded};
use ledger::changes::ChangeLog;
use proxy::config::AccountSettings;
use rules::access::Role;
use rules::change::{BREAK_GLASS, BREAK_GLASS_ROLES, Event, require_role, same_person};
use rules::policy::Policy;

/// Who may read what people did.
pub(crate) const READS_LOG: &[Role] = &[Role::It, Role::Dsl, Role::Head, Role::Auditor];

/// Who may read the words of searches, and signs of themes: those who look after pupils' safety.
pub(crate) const READS_WORDS: &[Role] = &[Role::Dsl, Role::Head];

/// Who may read what was asked for and decided, with people's names: governors get reports instead.
pub(crate) const READS_REQUESTS: &[Role] =
    &[Role::Teacher, Role::It, Role::Dsl, Role::Head, Role::Auditor];

/// Who may read the Filtering Change Log: everybody with a role.
pub(crate) const READS_CHANGES: &[Role] = &Role::ALL;

/// Most characters of a subject in the record of a look.
pub(crate) const MAX_SUBJECT_CHARS: usize = 300;

/// How long sessions last by the machine file.
pub(crate) fn limits(settings: AccountSettings) -> Limits {
    let ms = |count: u64, unit: i64| i64::try_from(count).unwrap_or(0).saturating_mul(unit);
    Limits {
        idle_ms: ms(settings.session_idle_minutes, 60_000),
        max_ms: ms(settings.session_max_hours, 3_600_000),
    }
}

/// Where this account of the operating system keeps its sessions.
pub(crate) fn session_folder() -> Result<SessionFolder, Failure> {
    SessionFolder::of_environment(|name| std::env::var_os(name)).map_err(from_token_error)
}

/// The name that was given: `--by`, else `SCHOOLGATE_BY`.
pub(crate) fn named(by: Option<&str>) -> Option<String> {
    let named = by.map(str::to_owned).or_else(|| std::env::var("SCHOOLGATE_BY").ok());
    named.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// The acting person of a change, who must be logged in.
pub(crate) async fn person(
    school: &School,
    log: &ChangeLog,
    change: &ChangeArgs,
) -> Result<String, Failure> {
    prove(school, log, change.by.as_deref()).await
}

/// The person named, or the only one who is logged in here.
pub(crate) async fn prove(
    school: &School,
    log: &ChangeLog,
    by: Option<&str>,
) -> Result<String, Failure> {
    let state = &school.config.state;
    let folder = session_folder()?;
    if let Some(name) = named(by) {
        let Some(held) = folder.find(state, &name).map_err(from_token_error)? else {
            return Err(nobody(log, Some(&name), None).await);
        };
        return match proof(school, log, &folder, &held).await? {
            Ok(session) if same_person(&session.account, &name) => Ok(session.account),
            Ok(session) => Err(Failure::not_permitted(format!(
                "the session kept for {name} is one of {}",
                session.account
            ))
            .fix(format!("schoolgate logout {name}, then login {name}"))),
            Err(why) => Err(nobody(log, Some(&name), Some(why)).await),
        };
    }
    let mut live = Vec::new();
    let mut ended = None;
    for held in folder.held(state).map_err(from_token_error)? {
        match proof(school, log, &folder, &held).await? {
            Ok(session) => live.push(session.account),
            Err(why) => ended = Some((held.account, why)),
        }
    }
    match (&live[..], ended) {
        ([only], _) => Ok(only.clone()),
        ([], Some((name, why))) => Err(nobody(log, Some(&name), Some(why)).await),
        ([], None) => Err(nobody(log, None, None).await),
        (several, _) => Err(Failure::usage(format!(
            "several people are logged in here: {}",
            several.join(", ")
        ))
        .fix("add --by NAME (or set SCHOOLGATE_BY)")),
    }
}

/// Whose session it is; the file of one that has ended is taken away.
pub(crate) async fn proof(
    school: &School,
    log: &ChangeLog,
    folder: &SessionFolder,
    held: &HeldSession,
) -> Result<Result<Session, WhyEnded>, Failure> {
    let limits = limits(school.config.accounts);
    let proof = log.accounts().prove(now(), &held.token, limits).await;
    let proof = proof.map_err(from_append_error)?;
    if proof.is_err() {
        folder.forget(&school.config.state, &held.account);
    }
    Ok(proof)
}

/// What to do where nobody, or not the person named, is logged in.
async fn nobody(log: &ChangeLog, name: Option<&str>, why: Option<WhyEnded>) -> Failure {
    match log.accounts().count(now()).await {
        Ok(count) if count.ever == 0 => {
            return Failure::not_permitted("nobody can act here yet: there are no administrators")
                .fix(format!("schoolgate setup {}", name.unwrap_or("NAME")));
        }
        Ok(_) => {}
        Err(error) => return from_append_error(error),
    }
    let fix = match name {
        Some(name) if same_person(name, BREAK_GLASS) => "schoolgate login --break-glass".to_owned(),
        name => format!("schoolgate login {}", name.unwrap_or("NAME")),
    };
    let what = match (name, why) {
        (Some(name), None) => format!("{name} is not logged in here"),
        (Some(name), Some(why)) => format!("the session of {name} has ended: {why}"),
        (None, _) => "nobody is logged in here".to_owned(),
    };
    Failure::not_permitted(what).fix(fix)
}

/// For what the technician does to the machine (people, lists, the authority): the acting person, whose
/// role is checked. Before the first account exists, the account of the operating system, as
/// `machine:NAME`: an installation is prepared before anybody can log in, and the record says so.
pub(crate) async fn person_or_account(
    school: &School,
    change: &ChangeArgs,
    log: &ChangeLog,
    policy: Option<&Policy>,
    roles: &[Role],
    action: &str,
) -> Result<String, Failure> {
    let by = change.by.as_deref();
    if named(by).is_none() {
        let count = log.accounts().count(now()).await.map_err(from_append_error)?;
        if count.ever == 0 {
            return Ok(machine_account());
        }
    }
    let by = prove(school, log, by).await?;
    let Some(policy) = policy else {
        // What the emergency code may do hangs on no policy: it is for days like this.
        if by == BREAK_GLASS && roles.iter().any(|role| BREAK_GLASS_ROLES.contains(role)) {
            return Ok(by);
        }
        return Err(Failure::not_permitted(format!(
            "the roles of {by} cannot be checked: no policy can be read"
        ))
        .fix("correct the policy; if it is lost, act with: schoolgate login --break-glass"));
    };
    Acting::new(log, &by, action.to_owned(), change).require(policy, roles).await?;
    Ok(by)
}

/// Lets somebody look at personal data: proves who it is, checks the role, and records the look, or
/// its refusal, before anything is shown.
pub(crate) async fn look(
    school: &School,
    policy: &Policy,
    who: &WhoArgs,
    roles: &[Role],
    what: &str,
    subject: &str,
) -> Result<String, Failure> {
    Ok(look_further(school, policy, who, roles, (what, subject), None).await?.0)
}

/// As [`look`]; says too whether the person has one of further roles, and records that what these may see is
/// shown.
pub(crate) async fn look_further(
    school: &School,
    policy: &Policy,
    who: &WhoArgs,
    roles: &[Role],
    (what, subject): (&str, &str),
    further: Option<(&[Role], &str)>,
) -> Result<(String, bool), Failure> {
    let log = school.change_log().await?;
    let by = prove(school, &log, who.by.as_deref()).await?;
    let shown = further.filter(|(roles, _)| require_role(policy, &by, roles).is_ok());
    let mut subject: String = subject.chars().take(MAX_SUBJECT_CHARS).collect();
    if let Some((_, shown)) = shown {
        let between = if subject.is_empty() { "" } else { "; " };
        subject = format!("{subject}{between}{shown}");
    }
    let action = format!("{what} {subject}").trim_end().to_owned();
    let change = ChangeArgs::default();
    Acting::new(&log, &by, action, &change).require(policy, roles).await?;
    let event = Event::Looked { what: what.to_owned(), subject };
    log.append(now(), &by, event).await.map_err(from_append_error)?;
    Ok((by, shown.is_some()))
}

/// The parts of a subject that were given, as `user sam.p; since yesterday`.
pub(crate) fn subject_words(parts: &[(&str, Option<&str>)]) -> String {
    let given: Vec<String> =
        parts.iter().filter_map(|(name, value)| Some(format!("{name} {}", (*value)?))).collect();
    given.join("; ")
}

/// The operating system's account of this process, as records name it.
pub(crate) fn machine_account() -> String {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2).is_some_and(|field| field.parse() == Ok(uid)))
        .and_then(|fields| fields.first().map(|name| (*name).to_owned()))
        .unwrap_or_else(|| format!("uid-{uid}"));
    format!("machine:{name}")
}

/// ` --by NAME` for the lines that say what to do next, where a person acted.
pub(crate) fn signed(by: &str) -> String {
    match by.starts_with("machine:") {
        true => String::new(),
        false => format!(" --by {}", visible(by)),
    }
}

pub(crate) fn from_token_error(error: TokenFileError) -> Failure {
    let what = error.to_string();
    match error {
        TokenFileError::NoPlace => {
            Failure::usage(what).fix("set SCHOOLGATE_SESSIONS to a folder of your own, mode 0700")
        }
        TokenFileError::Unsafe { path, .. } => Failure::not_permitted(what).fix(format!(
            "somebody may have read it: close it to others (a folder 0700, a file 0600), or remove \
             {path}; then log in again"
        )),
        TokenFileError::File { .. } => Failure::fault(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_machine_file() {
        let settings = AccountSettings { session_idle_minutes: 2, session_max_hours: 3 };
        assert_eq!(limits(settings), Limits { idle_ms: 120_000, max_ms: 10_800_000 });
    }

    #[test]
    fn a_subject_says_what_was_given() {
        let parts = [("user", Some("sam.p")), ("level", None), ("since", Some("2h"))];
        assert_eq!(subject_words(&parts), "user sam.p; since 2h");
        assert_eq!(subject_words(&[]), "");
    }
}
