//! `setup`, `login`, `logout` and `whoami`: proving who one is, for a while.

use crate::args::{LoginArgs, LogoutArgs, SetupArgs, WhoamiArgs};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Sheet, visible};
use crate::prompt::{Secrets, good_password};
use crate::report::weekly::span_words;
use crate::school::{School, from_append_error, from_time_error, now};
use crate::who::{from_token_error, limits, machine_account, named, proof, session_folder};
use ledger::accounts::{AccountError, LogIn, LoginError, Opened, Session};
use ledger::changes::ChangeLog;
use ledger::users::Password;
use rules::access::{Role, RoleSet};
use rules::change::{acting_roles, same_person};
use rules::policy::Policy;
use rules::time::SchoolClock;

/// Questions that one log-in can lead to: password, own new password, code.
const MOST_QUESTIONS: usize = 3;

const COLUMNS: &[Column] = &[
    Column { key: "account", title: "Account", gives_way: 0 },
    Column { key: "roles", title: "Roles", gives_way: 0 },
    Column { key: "since", title: "Since", gives_way: 2 },
    Column { key: "idle_until", title: "Unused until", gives_way: 1 },
    Column { key: "ends", title: "Ends", gives_way: 0 },
];

/// Makes the first account and the emergency code.
pub(crate) async fn setup(school: &School, args: &SetupArgs) -> Result<Exit, Failure> {
    let log = school.change_log().await?;
    // Said before anybody is asked for a password.
    if log.accounts().count(now()).await.map_err(from_append_error)?.ever > 0 {
        return Err(from_account_error(AccountError::AlreadySetUp));
    }
    let name = args.name.trim();
    let policy = school.policy_for_people().await;
    if let Some(policy) = policy.as_deref().filter(|_| !args.yes) {
        must_have_role(policy, name)?;
    }
    let secrets = Secrets { no_input: args.no_input };
    let file = args.password.password_file.as_deref();
    let password = good_password(&secrets.choose("Password: ", file)?)?;
    let made = log.accounts().set_up(&machine_account(), now(), name, &password).await;
    let code = made.map_err(from_account_error)?;
    let shown = visible(name);
    let key = school.config.state.join("audit").join("key.pub");
    say!("{shown} added: the first administrator");
    say!("emergency code, shown this once: {code}");
    say!(
        "  keep    on paper in the head's safe: schoolgate login --break-glass; each use is an alarm"
    );
    say!(
        "  proof   a copy of {} kept elsewhere proves the log's checkpoints (audit verify --key){}",
        visible(&key.display().to_string()),
        if key.exists() { "" } else { "; the filter makes it at its first start" }
    );
    say!("  next    schoolgate login {shown}");
    warn_without_role(policy.as_deref(), name);
    Ok(Exit::Ok)
}

/// The first administrator must be able to do something: nobody else could put the name into the policy,
/// since that is signed off by people who have accounts.
fn must_have_role(policy: &Policy, name: &str) -> Result<(), Failure> {
    if policy.roles(name) != RoleSet::default() {
        return Ok(());
    }
    let mut known: Vec<&str> = Vec::new();
    for holder in Role::ALL.iter().flat_map(|role| policy.holders(*role)) {
        if !known.iter().any(|other| same_person(other, holder)) {
            known.push(holder);
        }
    }
    let nearest = rules::nearest(name, known.iter().copied());
    known.sort_by_key(|other| Some(*other) != nearest);
    let names: Vec<String> =
        known.iter().map(|name| format!("{name} ({})", role_words(policy, name))).collect();
    let failure = Failure::usage(format!(
        "[roles] of the policy does not name {name}: this account could do next to nothing"
    ));
    Err(match (nearest, names.is_empty()) {
        (_, true) => failure.fix("put the name behind its role first, e.g. it = [\"NAME\"]"),
        (Some(near), _) => failure
            .fix(format!("did you mean {near}? schoolgate setup {near}"))
            .detail(format!("named are: {}", names.join(", "))),
        (None, _) => failure.fix(format!(
            "set up one of those named: {}; or put the name into [roles] before the filter's first start",
            names.join(", ")
        )),
    })
}

/// Tells of an account that may do next to nothing.
pub(crate) fn warn_without_role(policy: Option<&Policy>, name: &str) {
    if policy.is_some_and(|policy| policy.roles(name) == RoleSet::default()) {
        note!("warning: [roles] of the policy does not name {}", visible(name));
        note!("  fix: put the name behind its role, e.g. it = [\"{}\"]", visible(name));
    }
}

/// Logs somebody in.
pub(crate) async fn login(school: &School, args: LoginArgs) -> Result<Exit, Failure> {
    let log = school.change_log().await?;
    let secrets = Secrets { no_input: args.no_input };
    let file = args.password.password_file.as_deref();
    let accounts = log.accounts();
    if args.break_glass {
        let code = secrets.ask("Emergency code: ", file)?;
        let opened = accounts.log_in_break_glass(&machine_account(), now(), &code).await;
        return welcome(school, &log, opened.map_err(from_emergency_error)?).await;
    }
    if accounts.count(now()).await.map_err(from_append_error)?.ever == 0 {
        return Err(
            Failure::not_permitted("there are no administrators yet").fix("schoolgate setup NAME")
        );
    }
    let name = match args.name {
        Some(name) => name,
        None => secrets.name()?,
    };
    let password = secrets.ask("Password: ", file)?;
    let machine = machine_account();
    let mut code = args.totp;
    let mut new_password: Option<Password> = None;
    for _ in 0..MOST_QUESTIONS {
        let attempt = LogIn {
            name: name.trim(),
            password: &password,
            code: code.as_deref(),
            new_password: new_password.as_ref(),
            machine: &machine,
            life_ms: limits(school.config.accounts).max_ms,
        };
        match accounts.log_in(now(), &attempt).await {
            Ok(opened) => return welcome(school, &log, opened).await,
            Err(LoginError::NeedsNewPassword { set_by }) if new_password.is_none() => {
                note!("{} has set this password; choose your own now", visible(&set_by));
                let file = args.new_password_file.as_deref();
                new_password = Some(good_password(&secrets.choose("New password: ", file)?)?);
            }
            Err(LoginError::NeedsCode) if code.is_none() => {
                code = Some(secrets.ask("One-time code: ", None)?);
            }
            Err(error) => return Err(from_login_error(error)),
        }
    }
    Err(from_login_error(LoginError::Wrong))
}

/// Keeps the session, and tells the person what somebody else may have done in their name.
async fn welcome(school: &School, log: &ChangeLog, opened: Opened) -> Result<Exit, Failure> {
    let account = &opened.account;
    let kept = session_folder().and_then(|folder| {
        folder.keep(&school.config.state, account, &opened.token).map_err(from_token_error)
    });
    if let Err(failure) = kept {
        // A session that nobody can use is none.
        let ended =
            log.accounts().log_out(account, now(), std::slice::from_ref(&opened.token)).await;
        ended.map_err(from_account_error)?;
        return Err(failure);
    }
    let policy = school.policy_for_people().await;
    let clock = clock_of(policy.as_deref())?;
    let roles = policy.as_deref().map_or_else(String::new, |policy| role_words(policy, account));
    let roles = if roles.is_empty() { "no role".to_owned() } else { roles };
    say!("logged in as {} ({roles}) until {}", visible(account), clock.show(opened.ends_at));
    let idle = limits(school.config.accounts).idle_ms;
    say!("  idle    ends after {} without a command", span_words(idle));
    let before = match opened.last_login {
        Some(at) => clock.show(at),
        None => "never".to_owned(),
    };
    let is_emergency = same_person(account, rules::change::BREAK_GLASS);
    let wrong = if is_emergency { "wrong codes" } else { "wrong passwords or codes" };
    match opened.failures {
        0 => say!("  before  {before}"),
        some => say!("  before  {before}; {wrong} since: {some}"),
    }
    say!("  undo    schoolgate logout");
    if !is_emergency {
        warn_without_role(policy.as_deref(), account);
    }
    Ok(Exit::Ok)
}

/// Ends sessions that are held here.
pub(crate) async fn logout(school: &School, args: &LogoutArgs) -> Result<Exit, Failure> {
    let log = school.change_log().await?;
    let state = &school.config.state;
    let folder = session_folder()?;
    let wanted = if args.all { None } else { named(args.name.as_deref()) };
    let held = match &wanted {
        Some(name) => {
            folder.find(state, name).map_err(from_token_error)?.into_iter().collect::<Vec<_>>()
        }
        None => folder.held(state).map_err(from_token_error)?,
    };
    let mut live: Vec<(Session, _)> = Vec::new();
    for held in held {
        if let Ok(session) = proof(school, &log, &folder, &held).await? {
            live.push((session, held));
        }
    }
    if live.is_empty() {
        let who = wanted.as_deref().unwrap_or("nobody");
        return Err(Failure::not_found(match wanted {
            Some(_) => format!("{who} is not logged in here"),
            None => "nobody is logged in here".to_owned(),
        }));
    }
    if live.len() > 1 && !args.all {
        let names: Vec<&str> = live.iter().map(|(session, _)| session.account.as_str()).collect();
        let what = format!("several people are logged in here: {}", names.join(", "));
        return Err(Failure::usage(what).fix("schoolgate logout NAME, or logout --all"));
    }
    for (session, held) in live {
        let ended = log.accounts().log_out(&session.account, now(), &[held.token]).await;
        ended.map_err(from_account_error)?;
        folder.forget(state, &held.account);
        say!("{} logged out", visible(&session.account));
    }
    Ok(Exit::Ok)
}

/// Who is logged in here.
pub(crate) async fn whoami(school: &School, args: &WhoamiArgs) -> Result<Exit, Failure> {
    let log = school.change_log().await?;
    let folder = session_folder()?;
    let policy = school.policy_for_people().await;
    let clock = clock_of(policy.as_deref())?;
    let mut sheet = Sheet::stdout(args.print.format(), COLUMNS)?;
    for held in folder.held(&school.config.state).map_err(from_token_error)? {
        let Ok(session) = proof(school, &log, &folder, &held).await? else { continue };
        let roles = policy.as_deref().map_or_else(Vec::new, |policy| {
            let roles = acting_roles(policy, &session.account);
            Role::ALL.into_iter().filter(|role| roles.contains(*role)).collect::<Vec<_>>()
        });
        let roles: Vec<&str> = roles.into_iter().map(Role::as_str).collect();
        let time = |at| Cell::new(clock.show(at), clock.rfc3339(at));
        sheet.row(&[
            Cell::text(&session.account),
            Cell::list(&roles),
            time(session.created_at),
            time(session.idle_until),
            time(session.ends_at),
        ])?;
    }
    if sheet.finish()? == 0 {
        return Err(Failure::not_permitted("nobody is logged in here").fix("schoolgate login NAME"));
    }
    Ok(Exit::Ok)
}

/// The roles in which an account acts, as words.
pub(crate) fn role_words(policy: &Policy, account: &str) -> String {
    let held = acting_roles(policy, account);
    let words: Vec<&str> =
        Role::ALL.into_iter().filter(|role| held.contains(*role)).map(Role::as_str).collect();
    words.join(", ")
}

/// The school's clock; UTC where no policy can be read.
pub(crate) fn clock_of(policy: Option<&Policy>) -> Result<SchoolClock, Failure> {
    policy.map_or_else(
        || SchoolClock::new("UTC", &[]).map_err(from_time_error),
        |policy| Ok(policy.clock().clone()),
    )
}

/// As [`from_login_error`], for the emergency code, which nobody can be given anew from outside.
fn from_emergency_error(error: LoginError) -> Failure {
    match error {
        LoginError::Wrong => Failure::not_permitted(
            "that is not the emergency code; the try is recorded and raises an alarm",
        )
        .fix(
            "type it as it is printed on the sheet in the head's safe (capitals, blanks and hyphens do not matter); \
             only the newest sheet holds: an administrator can make another with account break-glass renew",
        ),
        error => from_login_error(error),
    }
}

pub(crate) fn from_login_error(error: LoginError) -> Failure {
    let what = error.to_string();
    match error {
        LoginError::Wrong => Failure::not_permitted(what).fix(
            "try again; somebody with the role can give you a new password (account password)",
        ),
        LoginError::Locked { .. } => Failure::not_permitted(what)
            .fix("wait, or ask another administrator: schoolgate account unlock NAME"),
        LoginError::NeedsCode => Failure::not_permitted(what).fix("add --totp CODE"),
        LoginError::NeedsNewPassword { .. } => Failure::not_permitted(what)
            .fix("give your own as the second line, or with --new-password-file FILE"),
        LoginError::SamePassword => Failure::usage(what).fix("choose another one"),
        LoginError::Log(error) => from_append_error(error),
    }
}

pub(crate) fn from_account_error(error: AccountError) -> Failure {
    let what = error.to_string();
    match error {
        AccountError::AlreadySetUp => Failure::not_permitted(what)
            .fix("log in and add more with: schoolgate account add NAME"),
        AccountError::Unknown(_) | AccountError::NotLocked(_) => {
            Failure::not_found(what).fix("see the names with: schoolgate account list")
        }
        AccountError::Exists(_) => {
            Failure::usage(what).fix("give a new password with: schoolgate account password NAME")
        }
        AccountError::Last(_) => {
            Failure::not_permitted(what).fix("add another one first: schoolgate account add NAME")
        }
        AccountError::WrongCode => {
            Failure::not_permitted(what).fix("see that the clocks of app and server are right")
        }
        AccountError::Log(error) => from_append_error(error),
        _ => Failure::usage(what),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use rules::category::Catalogue;

    fn policy(roles: &str) -> Policy {
        let text = format!(
            "school = \"Example\"\ntimezone = \"Europe/London\"\norder = [\"pupil\", \"staff\"]\n\
             [levels]\npupil = {{}}\nstaff = {{}}\n[roles]\n{roles}\n\
             [unblock]\nauthorise = [\"dsl\"]\napply = \"automatic\"\nmax_days = 30\n"
        );
        Policy::parse(&text, "policy.toml", Catalogue::shipped(), &|_| Err("no file".into()))
            .unwrap()
    }

    #[test]
    fn a_first_account_without_a_role_is_refused_with_the_name_that_was_meant() {
        let policy = policy("it = [\"j.cho\"]\ndsl = [\"q.whitmore\", \"j.cho\"]");
        assert!(must_have_role(&policy, "J.Cho").is_ok());
        let said = must_have_role(&policy, "j.cgo").unwrap_err();
        assert_eq!(said.exit, Exit::Usage);
        let text = said.text();
        assert!(text.contains("fix: did you mean j.cho? schoolgate setup j.cho"), "{text}");
        let named = "named are: j.cho (";
        assert!(text.contains(named) && text.contains("q.whitmore (dsl)"), "{text}");
        assert_eq!(text.matches("j.cho (").count(), 1, "{text}");
        let text = must_have_role(&policy, "somebody").unwrap_err().text();
        assert!(text.contains("set up one of those named:"), "{text}");
    }
}
