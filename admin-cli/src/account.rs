//! `account`: the administrators, and the emergency code.

use crate::args::{AccountCommand, BreakGlassCommand, ChangeArgs, TotpCommand};
use crate::failure::{Exit, Failure};
use crate::login::{clock_of, from_account_error, from_login_error, warn_without_role};
use crate::output::{Cell, Column, Format, Sheet, visible};
use crate::prompt::{self, Secrets, good_password};
use crate::school::{Acting, School, now};
use crate::who::{READS_LOG, look, machine_account, person, session_folder, signed};
use ledger::accounts::{AccountRow, NewPassword, OneTimeSecret};
use ledger::changes::ChangeLog;
use rules::access::Role;
use rules::change::{KeyedUntil, acting_roles, same_person};
use rules::policy::Policy;
use std::path::Path;
use std::sync::Arc;

/// Who keeps the administrators' accounts.
const MAY_KEEP_ACCOUNTS: &[Role] = &[Role::It, Role::Dsl, Role::Head];

const COLUMNS: &[Column] = &[
    Column { key: "account", title: "Account", gives_way: 0 },
    Column { key: "roles", title: "Roles", gives_way: 0 },
    Column { key: "last_login", title: "Last log-in", gives_way: 1 },
    Column { key: "two_step", title: "Two-step", gives_way: 2 },
    Column { key: "state", title: "State", gives_way: 0 },
    Column { key: "created", title: "Added", gives_way: 3 },
];

/// Runs an `account` command.
pub(crate) async fn run(school: &School, command: AccountCommand) -> Result<Exit, Failure> {
    let policy = school.policy_for_people().await;
    if let AccountCommand::List { who, print } = command {
        let Some(policy) = policy.as_deref() else { return Err(no_policy()) };
        look(school, policy, &who, READS_LOG, "account list", "").await?;
        return list(school, policy, print.format()).await;
    }
    let log = school.change_log().await?;
    let (change, action) = change_of(&command);
    let by = person(school, &log, &change).await?;
    let keeper = Keeper { school, policy, log: &log, change, action, by };
    match command {
        AccountCommand::Add { name, password, .. } => {
            keeper.add(name.trim(), password.password_file.as_deref()).await
        }
        AccountCommand::Password { name, password, .. } => {
            let file = password.password_file.as_deref();
            match name.filter(|name| !same_person(name, &keeper.by)) {
                None => keeper.own_password(file).await,
                Some(name) => keeper.password(&name, file).await,
            }
        }
        AccountCommand::Totp(TotpCommand::On { .. }) => keeper.two_step_on().await,
        AccountCommand::Totp(TotpCommand::Off { name, password, .. }) => {
            keeper.two_step_off(name.as_deref(), password.password_file.as_deref()).await
        }
        AccountCommand::Unlock { name, .. } => keeper.unlock(&name).await,
        AccountCommand::Remove { name, .. } => keeper.remove(&name).await,
        AccountCommand::BreakGlass(BreakGlassCommand::Renew { .. }) => keeper.renew().await,
        AccountCommand::List { .. } => Ok(Exit::Ok),
    }
}

fn change_of(command: &AccountCommand) -> (ChangeArgs, String) {
    let (change, action) = match command {
        AccountCommand::Add { name, change, .. } => (change, format!("account add {name}")),
        AccountCommand::Password { name, change, .. } => {
            (change, format!("account password {}", name.as_deref().unwrap_or_default()))
        }
        AccountCommand::Totp(TotpCommand::On { change }) => (change, "account totp on".to_owned()),
        AccountCommand::Totp(TotpCommand::Off { name, change, .. }) => {
            (change, format!("account totp off {}", name.as_deref().unwrap_or_default()))
        }
        AccountCommand::Unlock { name, change } => (change, format!("account unlock {name}")),
        AccountCommand::Remove { name, change } => (change, format!("account remove {name}")),
        AccountCommand::BreakGlass(BreakGlassCommand::Renew { change }) => {
            (change, "account break-glass renew".to_owned())
        }
        AccountCommand::List { .. } => return (ChangeArgs::default(), String::new()),
    };
    (change.clone(), action.trim_end().to_owned())
}

/// One account command with what it works on.
struct Keeper<'a> {
    school: &'a School,
    policy: Option<Arc<Policy>>,
    log: &'a ChangeLog,
    change: ChangeArgs,
    action: String,
    by: String,
}

impl Keeper<'_> {
    async fn add(&self, name: &str, file: Option<&Path>) -> Result<Exit, Failure> {
        self.may_keep().await?;
        let accounts = self.log.accounts();
        if let Some(row) = accounts.find(name).await.map_err(from_account_error)? {
            return Err(from_account_error(ledger::accounts::AccountError::Exists(row.name)));
        }
        let password = good_password(&prompt::password(file, &self.change)?)?;
        if !self.change.dry_run {
            let added = accounts.add(&self.by, now(), name, Some(&password)).await;
            added.map_err(from_account_error)?;
        }
        let name = visible(name);
        self.done(
            &format!("{name} added; the password must be changed at the first log-in"),
            &format!("{name} would be added"),
        )?;
        say!("  next  hand over the password in person, then: schoolgate login {name}");
        say!("  undo  schoolgate account remove {name} --yes{}", signed(&self.by));
        self.say_one_person(&name)?;
        warn_without_role(self.policy.as_deref(), &name);
        Ok(Exit::Ok)
    }

    async fn own_password(&self, file: Option<&Path>) -> Result<Exit, Failure> {
        self.no_dry_run()?;
        let secrets = Secrets { no_input: self.change.no_input };
        let old = secrets.ask("Old password: ", None)?;
        let new = good_password(&secrets.choose("New password: ", file)?)?;
        let held = session_folder()?
            .find(&self.school.config.state, &self.by)
            .map_err(crate::who::from_token_error)?;
        let change = NewPassword {
            name: &self.by,
            old: &old,
            new: &new,
            machine: &machine_account(),
            keep: held.as_ref().map(|held| &held.token),
        };
        let done = self.log.accounts().change_own_password(now(), &change).await;
        done.map_err(from_login_error)?;
        say!("{}: password changed; your other sessions have ended", visible(&self.by));
        Ok(Exit::Ok)
    }

    async fn password(&self, name: &str, file: Option<&Path>) -> Result<Exit, Failure> {
        self.may_keep().await?;
        let row = self.existing(name).await?;
        let password = good_password(&prompt::password(file, &self.change)?)?;
        if !self.change.dry_run {
            let set = self.log.accounts().set_password(&self.by, now(), name, &password).await;
            set.map_err(from_account_error)?;
        }
        let name = visible(&row.name);
        self.done(
            &format!("{name}: password set; it must be changed at the next log-in; sessions ended"),
            &format!("{name}: password would be set"),
        )?;
        say!("  next  hand over the password in person, then: schoolgate login {name}");
        self.say_one_person(&name)?;
        Ok(Exit::Ok)
    }

    async fn two_step_on(&self) -> Result<Exit, Failure> {
        self.no_dry_run()?;
        let row = self.existing(&self.by).await?;
        if row.two_step {
            let error = ledger::accounts::AccountError::TwoStepOn(row.name);
            return Err(from_account_error(error).fix("schoolgate account totp off"));
        }
        // A passer-by at an open terminal must not bind the account to an app of their own.
        self.confirm_own_password(None).await?;
        let secret = OneTimeSecret::generate();
        say!("secret  {}", secret.to_base32());
        say!("url     {}", secret.url(&row.name));
        say!("  put it into an authenticator app (6 digits, 30 s); it is not shown again");
        let code = Secrets { no_input: self.change.no_input }.ask("Code of the app: ", None)?;
        let on = self.log.accounts().two_step_on(&self.by, now(), &row.name, &secret, &code).await;
        on.map_err(from_account_error)?;
        say!("{}: two-step log-in is on", visible(&row.name));
        say!("  undo  schoolgate account totp off{}", signed(&self.by));
        Ok(Exit::Ok)
    }

    async fn two_step_off(&self, name: Option<&str>, file: Option<&Path>) -> Result<Exit, Failure> {
        self.no_dry_run()?;
        let own = name.is_none_or(|name| same_person(name, &self.by));
        let name = name.unwrap_or(&self.by);
        if own {
            self.confirm_own_password(file).await?;
        } else {
            self.may_keep().await?;
        }
        let row = self.existing(name).await?;
        let off = self.log.accounts().two_step_off(&self.by, now(), name).await;
        off.map_err(from_account_error)?;
        say!("{}: two-step log-in is off; the password alone will do", visible(&row.name));
        say!("  undo  schoolgate account totp on, by {}", visible(&row.name));
        if !own {
            self.say_one_person(&visible(&row.name))?;
        }
        Ok(Exit::Ok)
    }

    /// Says what comes of having had another's account in one's hands.
    fn say_one_person(&self, name: &str) -> Result<(), Failure> {
        if !self.change.dry_run {
            say!(
                "  note  {name} and you count as one person in sign-offs for a while; until when:"
            );
            say!("        schoolgate account list");
        }
        Ok(())
    }

    async fn confirm_own_password(&self, file: Option<&Path>) -> Result<(), Failure> {
        let password = Secrets { no_input: self.change.no_input }.ask("Password: ", file)?;
        let machine = machine_account();
        let accounts = self.log.accounts();
        let confirmed = accounts.confirm_password(now(), &self.by, &password, &machine).await;
        confirmed.map_err(from_login_error)
    }

    async fn unlock(&self, name: &str) -> Result<Exit, Failure> {
        self.may_keep().await?;
        let row = self.existing(name).await?;
        if !self.change.dry_run {
            let unlocked = self.log.accounts().unlock(&self.by, now(), name).await;
            unlocked.map_err(from_account_error)?;
        }
        let name = visible(&row.name);
        self.done(&format!("{name} unlocked"), &format!("{name} would be unlocked"))?;
        Ok(Exit::Ok)
    }

    async fn remove(&self, name: &str) -> Result<Exit, Failure> {
        self.may_keep().await?;
        let row = self.existing(name).await?;
        if !self.change.dry_run {
            prompt::confirm(&format!("Remove {}?", visible(&row.name)), &self.change)?;
            let removed = self.log.accounts().remove(&self.by, now(), name).await;
            removed.map_err(from_account_error)?;
        }
        let name = visible(&row.name);
        self.done(
            &format!("{name} removed; sessions ended, past records stay"),
            &format!("{name} would be removed"),
        )?;
        say!("  next  take the name out of [roles] of the policy");
        say!("  undo  schoolgate account add {name}{}", signed(&self.by));
        Ok(Exit::Ok)
    }

    async fn renew(&self) -> Result<Exit, Failure> {
        self.no_dry_run()?;
        self.may_keep().await?;
        let code = self.log.accounts().renew_break_glass(&self.by, now()).await;
        say!("emergency code, shown this once: {}", code.map_err(from_account_error)?);
        say!(
            "  keep    on paper in the head's safe, in the place of the one before, which is void"
        );
        if same_person(&self.by, rules::change::BREAK_GLASS) {
            say!("  ended   your session, and every other that the code before had opened");
            say!(
                "  next    schoolgate login NAME; or login --break-glass with the new code, an alarm again"
            );
        }
        Ok(Exit::Ok)
    }

    /// Checks that the acting person keeps accounts; a refusal is recorded.
    async fn may_keep(&self) -> Result<(), Failure> {
        let Some(policy) = self.policy.as_deref() else {
            if self.by == rules::change::BREAK_GLASS {
                return Ok(());
            }
            return Err(no_policy());
        };
        let acting = Acting::new(self.log, &self.by, self.action.clone(), &self.change);
        acting.require(policy, MAY_KEEP_ACCOUNTS).await
    }

    async fn existing(&self, name: &str) -> Result<AccountRow, Failure> {
        let found = self.log.accounts().find(name).await.map_err(from_account_error)?;
        found.ok_or_else(|| {
            from_account_error(ledger::accounts::AccountError::Unknown(name.to_owned()))
        })
    }

    fn no_dry_run(&self) -> Result<(), Failure> {
        match self.change.dry_run {
            true => Err(Failure::usage(format!("{} has no --dry-run", self.action))),
            false => Ok(()),
        }
    }

    fn done(&self, done: &str, would: &str) -> Result<(), Failure> {
        say!("{}", if self.change.dry_run { would } else { done });
        Ok(())
    }
}

fn no_policy() -> Failure {
    Failure::not_permitted("roles cannot be checked: no policy can be read")
        .fix("correct the policy; if it is lost, act with: schoolgate login --break-glass")
}

async fn list(school: &School, policy: &Policy, format: Format) -> Result<Exit, Failure> {
    let log = school.change_log().await?;
    let clock = clock_of(Some(policy))?;
    let at = now();
    let changes = log.changes().await.map_err(crate::school::from_append_error)?;
    let keyed = changes.keyed.held(at);
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for row in log.accounts().list().await.map_err(from_account_error)? {
        let held = acting_roles(policy, &row.name);
        let roles: Vec<&str> =
            Role::ALL.into_iter().filter(|role| held.contains(*role)).map(Role::as_str).collect();
        let mut state = match (&row.locked_until, &row.set_by) {
            (Some(until), _) if at < *until => format!("locked until {}", clock.show(*until)),
            _ if !row.has_password => "no password".to_owned(),
            (_, Some(by)) => format!("first password, set by {by}"),
            _ => "in use".to_owned(),
        };
        for (_, by, until) in keyed.iter().filter(|(account, ..)| same_person(account, &row.name)) {
            let until = match until {
                KeyedUntil::OwnPassword => {
                    "at least until a password of their own is chosen".to_owned()
                }
                KeyedUntil::At(until) => format!("until {}", clock.show(*until)),
            };
            let with = match same_person(by, rules::change::BREAK_GLASS) {
                true => "everybody",
                false => by,
            };
            state.push_str(&format!("; one person with {with} in sign-offs {until}"));
        }
        sheet.row(&[
            Cell::text(&row.name),
            Cell::list(&roles),
            row.last_login.map_or_else(
                || Cell::new("never", serde_json::Value::Null),
                |at| Cell::new(clock.show(at), clock.rfc3339(at)),
            ),
            Cell::new(if row.two_step { "on" } else { "off" }, row.two_step),
            Cell::text(state),
            Cell::new(clock.show(row.created_at), clock.rfc3339(row.created_at)),
        ])?;
    }
    if sheet.finish()? == 0 {
        note!("nobody");
    }
    Ok(Exit::Ok)
}
