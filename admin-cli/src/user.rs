//! `user`: the people who sign in to the filter.

use crate::args::{ChangeArgs, PasswordArgs, UserCommand};
use crate::failure::{Exit, Failure};
use crate::login::clock_of;
use crate::output::{Cell, Column, Format, Sheet, visible};
use crate::prompt;
use crate::school::{School, from_append_error, moment, now};
use crate::terminal::Patience;
use crate::who::{READS_LOG, look, person_or_account, signed, subject_words};
use ledger::changes::ChangeLog;
use ledger::users::{NewUser, Password, UserError, UserRow};
use rules::access::Role;
use rules::level::Levels;
use rules::policy::Policy;
use rules::time::SchoolClock;
use std::io::Read;
use std::path::Path;

/// Who keeps the list of people.
const MAY_KEEP_PEOPLE: &[Role] = &[Role::It, Role::Dsl, Role::Head];

/// Longest import file, in bytes: a trust of 100,000 people takes about 10 MB.
const MAX_IMPORT_BYTES: u64 = 64 << 20;

const COLUMNS: &[Column] = &[
    Column { key: "user", title: "User", gives_way: 0 },
    Column { key: "level", title: "Level", gives_way: 0 },
    Column { key: "level_now", title: "Level now", gives_way: 1 },
    Column { key: "groups", title: "Groups", gives_way: 2 },
    Column { key: "banned_until", title: "No internet until", gives_way: 0 },
    Column { key: "signs_in", title: "Signs in", gives_way: 3 },
    Column { key: "created", title: "Added", gives_way: 4 },
];

/// One user command with what it works on.
struct People<'a> {
    /// `None`: none can be read; levels are then not checked.
    policy: Option<&'a Policy>,
    clock: SchoolClock,
    log: &'a ChangeLog,
    change: ChangeArgs,
    by: String,
}

/// Runs a `user` command.
pub(crate) async fn run(school: &School, command: UserCommand) -> Result<Exit, Failure> {
    let log = school.change_log().await?;
    let policy = school.policy_for_people().await;
    let policy = policy.as_deref();
    if let UserCommand::List { level, group, who, print } = command {
        let Some(policy) = policy else {
            return Err(Failure::not_permitted("roles cannot be checked: no policy can be read")
                .fix("correct the policy: schoolgate policy validate"));
        };
        let parts = [("level", level.as_deref()), ("group", group.as_deref())];
        look(school, policy, &who, READS_LOG, "user list", &subject_words(&parts)).await?;
        let policy = Some(policy);
        return list(policy, &log, level.as_deref(), group.as_deref(), print.format()).await;
    }
    let (change, action) = change_of(&command);
    let by = person_or_account(school, &change, &log, policy, MAY_KEEP_PEOPLE, &action).await?;
    let people = People { policy, clock: clock_of(policy)?, log: &log, change, by };
    match command {
        UserCommand::Add { name, level, groups, no_password, password, .. } => {
            people.add(name, level, groups, no_password, &password).await
        }
        UserCommand::Import { file, .. } => people.import(&file).await,
        UserCommand::SetLevel { name, level, .. } => people.set_level(&name, &level).await,
        UserCommand::SetGroups { name, groups, .. } => people.set_groups(&name, groups).await,
        UserCommand::SetPassword { name, password, .. } => {
            people.set_password(&name, &password).await
        }
        UserCommand::Ban { name, until, reason, .. } => people.ban(&name, &until, &reason).await,
        UserCommand::Unban { name, reason, .. } => people.unban(&name, &reason).await,
        UserCommand::Remove { name, .. } => people.remove(&name).await,
        UserCommand::List { .. } => Ok(Exit::Ok),
    }
}

fn change_of(command: &UserCommand) -> (ChangeArgs, String) {
    let (change, action) = match command {
        UserCommand::Add { name, change, .. } => (change, format!("user add {name}")),
        UserCommand::Import { change, .. } => (change, "user import".to_owned()),
        UserCommand::SetLevel { name, level, change } => {
            (change, format!("user set-level {name} {level}"))
        }
        UserCommand::SetGroups { name, change, .. } => (change, format!("user set-groups {name}")),
        UserCommand::SetPassword { name, change, .. } => {
            (change, format!("user set-password {name}"))
        }
        UserCommand::Ban { name, change, .. } => (change, format!("user ban {name}")),
        UserCommand::Unban { name, change, .. } => (change, format!("user unban {name}")),
        UserCommand::Remove { name, change } => (change, format!("user remove {name}")),
        UserCommand::List { .. } => return (ChangeArgs::default(), String::new()),
    };
    (change.clone(), action)
}

impl People<'_> {
    async fn add(
        &self,
        name: String,
        level: Option<String>,
        groups: Vec<String>,
        no_password: bool,
        password: &PasswordArgs,
    ) -> Result<Exit, Failure> {
        let level = level.map(|level| self.known_level(&level)).transpose()?;
        if self.log.users().find(&name).await.map_err(from_user_error)?.is_some() {
            return Err(from_user_error(UserError::Exists(name)));
        }
        let password = if no_password { None } else { Some(self.read_password(password)?) };
        let shown = level.clone().unwrap_or_else(|| "by group or network".to_owned());
        if !self.change.dry_run {
            let user = NewUser { name: name.clone(), level, groups, password };
            self.log.users().add(&self.by, now(), user).await.map_err(from_user_error)?;
        }
        let name = visible(&name);
        self.done(
            &format!("{name} added, level {shown}"),
            &format!("{name} would be added, level {shown}"),
        )?;
        say!("  undo  schoolgate user remove {name} --yes{}", self.signed());
        Ok(Exit::Ok)
    }

    async fn import(&self, file: &Path) -> Result<Exit, Failure> {
        let mut bytes = Vec::new();
        let read = if file == Path::new("-") {
            std::io::stdin().take(MAX_IMPORT_BYTES + 1).read_to_end(&mut bytes)
        } else {
            let open = std::fs::File::open(file).map_err(|error| unreadable(file, &error))?;
            open.take(MAX_IMPORT_BYTES + 1).read_to_end(&mut bytes)
        };
        read.map_err(|error| unreadable(file, &error))?;
        if bytes.len() as u64 > MAX_IMPORT_BYTES {
            return Err(Failure::usage(format!(
                "{}: over {} MB",
                file.display(),
                MAX_IMPORT_BYTES >> 20
            )));
        }
        let knows_level =
            |level: &str| self.policy.is_none_or(|policy| policy.levels().id(level).is_some());
        let users = self.log.users();
        let at_work = Patience::new("hashing passwords");
        let done = match self.change.dry_run {
            true => users.import_preview(&bytes, &knows_level).await,
            false => users
                .import(&self.by, now(), &bytes, &knows_level)
                .await
                .map(|report| (report, Vec::new())),
        };
        drop(at_work);
        let (report, would) = done.map_err(|error| match error {
            UserError::Import(faults) => {
                let name = file.display();
                Failure::several(
                    Exit::ProblemsFound,
                    faults.iter().map(|fault| {
                        (format!("{name}:{}: {}", fault.line, fault.what), String::new())
                    }),
                )
                .detail("nothing was imported")
            }
            other => from_user_error(other),
        })?;
        for (name, changed) in &would {
            say!("  {}: {}", visible(name), visible(&changed.join(", ")));
        }
        say!(
            "{} {would}added, {} {would}changed, {} as they {}",
            report.added,
            report.changed,
            report.unchanged,
            if self.change.dry_run { "are" } else { "were" },
            would = if self.change.dry_run { "would be " } else { "" },
        );
        Ok(Exit::Ok)
    }

    async fn set_level(&self, name: &str, level: &str) -> Result<Exit, Failure> {
        let level = (level != "-").then(|| self.known_level(level)).transpose()?;
        let level = level.as_deref();
        let before = self.existing(name).await?;
        if !self.change.dry_run {
            self.log
                .users()
                .set_level(&self.by, now(), name, level)
                .await
                .map_err(from_user_error)?;
        }
        let (old, new) = (before.level.as_deref(), level.unwrap_or("by group or network"));
        let was = old.unwrap_or("by group or network");
        let name = visible(&before.name);
        self.done(
            &format!("{name}: level {new} (was {was})"),
            &format!("{name}: level would be {new} (is {was})"),
        )?;
        say!("  undo  schoolgate user set-level {name} {}{}", old.unwrap_or("-"), self.signed());
        Ok(Exit::Ok)
    }

    async fn set_groups(&self, name: &str, groups: Vec<String>) -> Result<Exit, Failure> {
        let before = self.existing(name).await?;
        let new = groups.join(", ");
        if !self.change.dry_run {
            self.log
                .users()
                .set_groups(&self.by, now(), name, groups)
                .await
                .map_err(from_user_error)?;
        }
        let (name, new) = (visible(&before.name), visible(&new));
        self.done(&format!("{name}: groups {new}"), &format!("{name}: groups would be {new}"))?;
        let old: Vec<String> =
            before.groups.iter().map(|group| format!("\"{}\"", visible(group))).collect();
        say!("  undo  schoolgate user set-groups {name} {}{}", old.join(" "), self.signed());
        Ok(Exit::Ok)
    }

    async fn set_password(&self, name: &str, password: &PasswordArgs) -> Result<Exit, Failure> {
        let before = self.existing(name).await?;
        let password = self.read_password(password)?;
        if !self.change.dry_run {
            self.log
                .users()
                .set_password(&self.by, now(), name, &password)
                .await
                .map_err(from_user_error)?;
        }
        let name = visible(&before.name);
        self.done(
            &format!("{name}: password changed; sign-ins with the old one end within 1 s"),
            &format!("{name}: password would be changed"),
        )?;
        Ok(Exit::Ok)
    }

    async fn ban(&self, name: &str, until: &str, reason: &str) -> Result<Exit, Failure> {
        needs_reason(reason)?;
        let before = self.existing(name).await?;
        let at = now();
        let until = moment(&self.clock, until, true)?;
        if until <= at {
            return Err(Failure::usage("the end lies in the past")
                .fix("give a later --until, such as 10:50, friday or \"3 days\""));
        }
        if !self.change.dry_run {
            self.log
                .users()
                .ban(&self.by, at, name, until, reason)
                .await
                .map_err(from_user_error)?;
        }
        let (name, until) = (visible(&before.name), self.clock.show_end(until));
        self.done(
            &format!("{name}: no internet until {until}; live within 1 s"),
            &format!("{name}: would have no internet until {until}"),
        )?;
        say!("  undo  schoolgate user unban {name} --reason TEXT{}", self.signed());
        Ok(Exit::Ok)
    }

    async fn unban(&self, name: &str, reason: &str) -> Result<Exit, Failure> {
        needs_reason(reason)?;
        let before = self.existing(name).await?;
        if before.banned_until.is_none_or(|until| until <= now()) {
            return Err(Failure::not_found(format!("{} is not banned", before.name)));
        }
        if !self.change.dry_run {
            self.log.users().unban(&self.by, now(), name, reason).await.map_err(from_user_error)?;
        }
        let name = visible(&before.name);
        self.done(&format!("{name}: ban ended"), &format!("{name}: ban would end"))?;
        say!("  undo  schoolgate user ban {name} --until WHEN --reason TEXT{}", self.signed());
        Ok(Exit::Ok)
    }

    async fn remove(&self, name: &str) -> Result<Exit, Failure> {
        let before = self.existing(name).await?;
        if !self.change.dry_run {
            prompt::confirm(&format!("Remove {}?", visible(&before.name)), &self.change)?;
            self.log.users().remove(&self.by, now(), name).await.map_err(from_user_error)?;
        }
        let name = visible(&before.name);
        self.done(
            &format!("{name} removed; sign-ins end within 1 s, past records stay"),
            &format!("{name} would be removed"),
        )?;
        say!(
            "  undo  schoolgate user add {name}{}{}",
            before.level.map(|level| format!(" --level {level}")).unwrap_or_default(),
            self.signed()
        );
        Ok(Exit::Ok)
    }

    /// ` --by NAME` for the undo line, where a person acted.
    fn signed(&self) -> String {
        signed(&self.by)
    }

    async fn existing(&self, name: &str) -> Result<UserRow, Failure> {
        let found = self.log.users().find(name).await.map_err(from_user_error)?;
        found.ok_or_else(|| from_user_error(UserError::Unknown(name.to_owned())))
    }

    fn known_level(&self, level: &str) -> Result<String, Failure> {
        self.policy.map_or(Ok(level.to_owned()), |policy| known_level(policy.levels(), level))
    }

    fn read_password(&self, args: &PasswordArgs) -> Result<Password, Failure> {
        let text = prompt::password(args.password_file.as_deref(), &self.change)?;
        prompt::good_password(&text)
    }

    fn done(&self, done: &str, would: &str) -> Result<(), Failure> {
        say!("{}", if self.change.dry_run { would } else { done });
        Ok(())
    }
}

async fn list(
    policy: Option<&Policy>,
    log: &ChangeLog,
    level: Option<&str>,
    group: Option<&str>,
    format: Format,
) -> Result<Exit, Failure> {
    let known = level.zip(policy).map(|(level, policy)| known_level(policy.levels(), level));
    let known = known.transpose()?;
    let level = known.as_deref().or(level);
    let rows = log.users().list().await.map_err(from_user_error)?;
    let clock = clock_of(policy)?;
    let at = now();
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for row in rows {
        let facts = rules::access::UserFacts {
            name: row.name.as_str().into(),
            level: row.level.clone(),
            groups: row.groups.clone().into(),
            banned_until: row.banned_until,
        };
        // Without a policy only the level kept with the user is known.
        let level_now = policy.map_or(row.level.clone(), |policy| {
            let who = policy.identify(Some(&facts), std::net::Ipv4Addr::UNSPECIFIED.into());
            Some(policy.levels().get(who.level).name.clone())
        });
        let wanted = level.is_none_or(|level| level_now.as_deref() == Some(level))
            && group
                .is_none_or(|group| row.groups.iter().any(|own| own.eq_ignore_ascii_case(group)));
        if !wanted {
            continue;
        }
        let banned = row.banned_until.filter(|until| *until > at);
        sheet.row(&[
            Cell::text(row.name),
            Cell::maybe(row.level),
            Cell::maybe(level_now),
            Cell::list(&row.groups),
            banned.map_or_else(
                || Cell::maybe(None::<String>),
                |until| Cell::new(clock.show_end(until), clock.rfc3339(until)),
            ),
            Cell::new(if row.has_password { "password" } else { "no" }, row.has_password),
            Cell::new(clock.show(row.created_at), clock.rfc3339(row.created_at)),
        ])?;
    }
    if sheet.finish()? == 0 {
        note!("nobody");
    }
    Ok(Exit::Ok)
}

/// The level's name as the policy has it, whatever its capitals here; fails unless there is one.
pub(crate) fn known_level(levels: &Levels, name: &str) -> Result<String, Failure> {
    if let Some(level) = levels.named(name) {
        return Ok(levels.get(level).name.clone());
    }
    let all: Vec<&str> = levels.iter().map(|(_, level)| level.name.as_str()).collect();
    Err(Failure::not_found(format!("no level called \"{name}\""))
        .fix(format!("levels of the policy are {}", all.join(", "))))
}

fn needs_reason(reason: &str) -> Result<(), Failure> {
    if rules::change::is_reason(reason) {
        return Ok(());
    }
    Err(Failure::usage("a reason is needed that says why, in at least 10 letters")
        .fix("add --reason \"...\""))
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    let exit =
        if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Fault };
    crate::failure::unreadable(exit, file, error)
}

fn from_user_error(error: UserError) -> Failure {
    let what = error.to_string();
    match error {
        UserError::Exists(_) => Failure::usage(what)
            .fix("change the user with: schoolgate user set-level or set-password"),
        UserError::Unknown(_) => {
            Failure::not_found(what).fix("see the names with: schoolgate user list")
        }
        UserError::Log(error) => from_append_error(error),
        _ => Failure::usage(what),
    }
}
