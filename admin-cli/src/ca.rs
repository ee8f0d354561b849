//! `ca`: the school's certificate authority, made, given to devices, replaced.

use crate::args::{CaCommand, CaFormat, ChangeArgs, NewArgs};
use crate::failure::{Exit, Failure};
use crate::output::{Cell, Column, Format, Sheet, visible};
use crate::prompt;
use crate::school::{School, from_append_error, now};
use crate::who::{person_or_account, signed};
use proxy::authority::{
    Authority, AuthorityError, Entry, NewAuthority, Passphrase, Standing, Step, Store,
    mobileconfig, pem,
};
use proxy::config::Config;
use rules::access::Role;
use rules::change::Event;
use rules::policy::Policy;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Who keeps the authority.
const MAY_KEEP_AUTHORITY: &[Role] = &[Role::It, Role::Head];

/// Days before its end at which `doctor` and `status` ask for the next authority.
const LAST_DAYS: i64 = 90;

const DAY_S: i64 = 86_400;

const COLUMNS: &[Column] = &[
    Column { key: "state", title: "State", gives_way: 0 },
    Column { key: "name", title: "Name", gives_way: 0 },
    Column { key: "from", title: "From", gives_way: 3 },
    Column { key: "until", title: "Until", gives_way: 0 },
    Column { key: "days_left", title: "Days left", gives_way: 2 },
    Column { key: "sealed", title: "Sealed", gives_way: 1 },
    Column { key: "fingerprint_sha256", title: "SHA-256 fingerprint", gives_way: 0 },
];

/// Runs a `ca` command.
pub(crate) async fn run(school: &School, command: CaCommand) -> Result<Exit, Failure> {
    match command {
        CaCommand::Show { print } => show(school, print.format()),
        CaCommand::Export { output, format, yes } => export(school, &output, format, yes).await,
        CaCommand::Init { new, change } => make(school, Kind::First, &new, &change).await,
        CaCommand::Rotate { activate: true, change, .. } => {
            take(school, Step::Activate, &change).await
        }
        CaCommand::Rotate { undo: true, change, .. } => take(school, Step::Undo, &change).await,
        CaCommand::Rotate { retire: true, change, .. } => take(school, Step::Retire, &change).await,
        CaCommand::Rotate { new, change, .. } => make(school, Kind::Next, &new, &change).await,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    First,
    Next,
}

/// `ca init`, and `ca rotate` without a flag.
async fn make(
    school: &School,
    kind: Kind,
    new: &NewArgs,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let store = Store::of_state(&school.config.state);
    let step = |of| if kind == Kind::First { Step::Init(of) } else { Step::Successor(of) };
    let unnamed = NewAuthority { school: "", years: new.years, seal: None };
    store.check(&step(unnamed)).map_err(from_authority_error)?;
    let policy = school.policy_for_people().await;
    let name = new.school.clone().or_else(|| Some(policy.as_deref()?.school().to_owned()));
    let name = name.filter(|name| !name.trim().is_empty()).ok_or_else(|| {
        Failure::usage("the authority needs the school's name").fix("add --school NAME")
    })?;
    let seal = passphrase(&school.config, new.passphrase_file.as_deref())?;
    let action = if kind == Kind::First { "ca init" } else { "ca rotate" };
    let acting = Acting::new(school, policy.as_deref(), change, action).await?;
    let wanted = NewAuthority { school: &name, years: new.years, seal: seal.as_ref() };
    if change.dry_run {
        let sealed = if seal.is_some() { "sealed" } else { "not sealed" };
        say!("an authority for {} would be made, its key {sealed}", visible(&name));
        return Ok(Exit::Ok);
    }
    let done = if kind == Kind::First { "made" } else { "next made" };
    let entry = acting.take(&store, step(wanted), done).await?;
    tell(&entry)?;
    let sealed_here = seal.is_some() && school.config.ca.passphrase_file.is_none();
    if sealed_here {
        note!("warning: the machine file does not say what opens the key");
        note!("  fix: set passphrase_file under [ca], or the systemd credential ca-passphrase");
    }
    match kind {
        Kind::First => {
            say!("  next  schoolgate ca export -o FOLDER, and give the files to every device");
        }
        Kind::Next => {
            say!("  it signs nothing yet; a device that trusts both notices no change");
            say!("  next  schoolgate ca export -o FOLDER, and give the files to every device;");
            say!("        when all have them: schoolgate ca rotate --activate{}", acting.signed());
        }
    }
    Ok(Exit::Ok)
}

/// The other steps of `ca rotate`.
async fn take(school: &School, step: Step<'_>, change: &ChangeArgs) -> Result<Exit, Failure> {
    let store = Store::of_state(&school.config.state);
    store.check(&step).map_err(from_authority_error)?;
    let entries = store.entries().map_err(from_authority_error)?;
    let wanted = if matches!(step, Step::Activate) { Standing::Next } else { Standing::Retiring };
    let named = entries.iter().find(|entry| entry.standing == wanted);
    // Whether the service has the credential is not seen from here.
    let stays_sealed = !matches!(step, Step::Undo)
        && school.config.ca.passphrase_file.is_none()
        && entries.iter().any(|entry| {
            entry.sealed == Some(true)
                && entry.standing == if wanted == Standing::Next { wanted } else { Standing::Signs }
        });
    if stays_sealed {
        note!("warning: its key is sealed, and [ca] of the machine file has no passphrase_file");
        note!(
            "  unless the service has the credential ca-passphrase, the filter cannot open it, goes on \
             with the old certificate and will not start again; see what a device is shown first"
        );
    }
    let named = visible(named.map_or("", |entry| &entry.facts.name)).into_owned();
    let (action, done, question, would) = match step {
        Step::Activate => (
            "ca rotate --activate",
            "signs",
            format!("Devices without {named} will show warnings. Let it sign now?"),
            "would sign",
        ),
        Step::Undo => (
            "ca rotate --undo",
            "signs again",
            format!("Let {named} sign again?"),
            "would sign again",
        ),
        _ => (
            "ca rotate --retire",
            "retired",
            format!("Destroy the key of {named}? There is no way back."),
            "would be retired, and its key destroyed",
        ),
    };
    let policy = school.policy_for_people().await;
    let acting = Acting::new(school, policy.as_deref(), change, action).await?;
    if change.dry_run {
        say!("{named} {would}");
        return Ok(Exit::Ok);
    }
    prompt::confirm(&question, change)?;
    let entry = acting.take(&store, step, done).await?;
    tell(&entry)?;
    let signed = acting.signed();
    match step {
        Step::Activate => {
            say!("  live within 1 s for new connections; the old authority is kept");
            say!("  undo  schoolgate ca rotate --undo{signed}");
            say!("  next  if no device warns for some days: schoolgate ca rotate --retire{signed}");
        }
        Step::Undo => {
            say!(
                "  live within 1 s for new connections; the newer authority is the next one again"
            );
            say!(
                "  next  give it to the devices that warned, then: schoolgate ca rotate --activate{signed}"
            );
        }
        _ => say!("  next  take its certificate off the devices"),
    }
    Ok(Exit::Ok)
}

/// Who changes the authority.
struct Acting {
    log: ledger::changes::ChangeLog,
    by: String,
}

impl Acting {
    async fn new(
        school: &School,
        policy: Option<&Policy>,
        change: &ChangeArgs,
        action: &str,
    ) -> Result<Self, Failure> {
        let log = school.change_log().await?;
        let by =
            person_or_account(school, change, &log, policy, MAY_KEEP_AUTHORITY, action).await?;
        Ok(Self { log, by })
    }

    /// Takes a step: its files first, then the record, then the change itself.
    async fn take(&self, store: &Store, step: Step<'_>, done: &str) -> Result<Entry, Failure> {
        let prepared = store.prepare(step).map_err(from_authority_error)?;
        let entry = prepared.entry().cloned();
        let entry = entry.ok_or_else(|| Failure::fault("no authority to change"))?;
        let event = Event::AuthorityChanged {
            done: done.to_owned(),
            name: entry.facts.name.clone(),
            fingerprint: entry.facts.fingerprint.clone(),
        };
        self.log.append(now(), &self.by, event).await.map_err(from_append_error)?;
        prepared.commit().map_err(from_authority_error)?;
        Ok(entry)
    }

    /// ` --by NAME` for the lines that say what to do next, where a person acted.
    fn signed(&self) -> String {
        signed(&self.by)
    }
}

fn tell(entry: &Entry) -> Result<(), Failure> {
    say!("{}: {}", visible(&entry.facts.name), entry.standing.as_str());
    say!("  valid  {} to {}", date(entry.facts.not_before), date(entry.facts.not_after));
    say!("  SHA-256  {}", entry.facts.fingerprint);
    if let Some(sealed) = entry.sealed {
        say!("  key  {}", if sealed { "sealed by the passphrase" } else { "not sealed" });
    }
    Ok(())
}

/// `ca show`.
fn show(school: &School, format: Format) -> Result<Exit, Failure> {
    let entries = all(school)?;
    let at = now().0 / 1000;
    let mut sheet = Sheet::stdout(format, COLUMNS)?;
    for entry in &entries {
        let sealed = entry.sealed.map_or_else(
            || Cell::new("no key", serde_json::Value::Null),
            |sealed| Cell::new(if sealed { "yes" } else { "no" }, sealed),
        );
        sheet.row(&[
            Cell::text(entry.standing.as_str()),
            Cell::text(&entry.facts.name),
            Cell::text(date(entry.facts.not_before)),
            Cell::text(date(entry.facts.not_after)),
            Cell::number(((entry.facts.not_after - at) / DAY_S).max(0)),
            sealed,
            Cell::text(&entry.facts.fingerprint),
        ])?;
    }
    sheet.finish()?;
    Ok(Exit::Ok)
}

/// `ca export`: files for every authority that devices should trust.
async fn export(
    school: &School,
    folder: &Path,
    format: CaFormat,
    overwrite: bool,
) -> Result<Exit, Failure> {
    let mut entries = all(school)?;
    entries.retain(|entry| entry.standing != Standing::Retired);
    let wants = |one| format == one || format == CaFormat::All;
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for entry in &entries {
        let stem = format!("schoolgate-ca-{}", entry.id);
        if wants(CaFormat::Pem) {
            let text = pem(&entry.certificate).into_bytes();
            files.push((folder.join(format!("{stem}.pem")), text));
        }
        if wants(CaFormat::Cer) {
            files.push((folder.join(format!("{stem}.cer")), entry.certificate.to_vec()));
        }
    }
    if wants(CaFormat::Mobileconfig) {
        let policy = school.policy_for_people().await;
        let name = policy.as_deref().map_or("School", Policy::school);
        let all: Vec<&Entry> = entries.iter().collect();
        let text = mobileconfig(name, &all).into_bytes();
        files.push((folder.join("schoolgate-ca.mobileconfig"), text));
    }
    if let Some((there, _)) = files.iter().find(|(path, _)| !overwrite && path.exists()) {
        return Err(Failure::usage(format!("{} is there already", there.display()))
            .fix("add --yes to overwrite it, or give another folder with -o"));
    }
    let fault = |path: &Path, error| Failure::fault(format!("{}: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| fault(folder, error))?;
    for (path, bytes) in &files {
        write(path, bytes, overwrite).map_err(|error| fault(path, error))?;
        say!("{}", visible(&path.display().to_string()));
    }
    for entry in &entries {
        say!("{}: {}", visible(&entry.facts.name), entry.standing.as_str());
        say!("  files    schoolgate-ca-{}", entry.id);
        say!("  SHA-256  {}", entry.facts.fingerprint);
    }
    Ok(Exit::Ok)
}

fn write(path: &Path, bytes: &[u8], overwrite: bool) -> std::io::Result<()> {
    let mut how = OpenOptions::new();
    match overwrite {
        true => how.write(true).create(true).truncate(true),
        // A file that came between the look and now is not overwritten either.
        false => how.write(true).create_new(true),
    };
    how.open(path)?.write_all(bytes)
}

/// All authorities; none is an error that says how to make one.
fn all(school: &School) -> Result<Vec<Entry>, Failure> {
    let entries = Store::of_state(&school.config.state).entries().map_err(from_authority_error)?;
    if entries.is_empty() {
        return Err(Failure::not_found("there is no authority yet; https is not opened")
            .fix("make one with: schoolgate ca init"));
    }
    Ok(entries)
}

/// How the authority stands, for `doctor` and `status`.
pub(crate) enum Health {
    /// None was made.
    None,
    /// In order: what there is.
    Good(String),
    /// Something is to be done: what, and how.
    Problem(String, String),
}

/// Looks at the authority's certificate, names and dates alone.
pub(crate) fn health(config: &Config) -> Health {
    let store = Store::of_state(&config.state);
    let entries = match store.entries() {
        Ok(entries) => entries,
        Err(error) => return Health::Problem(error.to_string(), error.fix()),
    };
    let Some(signs) = entries.iter().find(|entry| entry.standing == Standing::Signs) else {
        return Health::None;
    };
    let days = (signs.facts.not_after - now().0 / 1000) / DAY_S;
    let found = format!("{}, until {}", signs.facts.name, date(signs.facts.not_after));
    if days >= LAST_DAYS {
        return Health::Good(found);
    }
    let has_next = entries.iter().any(|entry| entry.standing == Standing::Next);
    let fix = match has_next {
        true => "when all devices have the next one: schoolgate ca rotate --activate",
        false => "schoolgate ca rotate, then give the next authority to all devices",
    };
    Health::Problem(format!("{found}: {} days left", days.max(0)), fix.to_owned())
}

/// Looks at the authority, and loads it with its key as the filter would.
pub(crate) fn examine(config: &Config) -> Health {
    let health = health(config);
    if !matches!(health, Health::Good(_)) {
        return health;
    }
    let store = Store::of_state(&config.state);
    let secret = Passphrase::find(config.ca.passphrase_file.as_deref());
    match secret.and_then(|secret| Authority::load(store.folder(), secret.as_ref())) {
        // A systemd credential is the service's alone: nothing is known to be wrong, nor right.
        Err(AuthorityError::Sealed { .. }) if config.ca.passphrase_file.is_none() => match health {
            Health::Good(found) => Health::Good(format!(
                "{found}; sealed, and only the service's credential opens it: not seen from here"
            )),
            other => other,
        },
        Err(error) => Health::Problem(error.to_string(), error.fix()),
        Ok(_) => health,
    }
}

fn passphrase(config: &Config, given: Option<&Path>) -> Result<Option<Passphrase>, Failure> {
    match given {
        Some(path) if path == Path::new("-") => {
            let read = Passphrase::from_reader(std::io::stdin())?;
            read.map(Some).map_err(from_authority_error)
        }
        Some(path) => Passphrase::read(path).map(Some).map_err(from_authority_error),
        None => {
            Passphrase::find(config.ca.passphrase_file.as_deref()).map_err(from_authority_error)
        }
    }
}

fn from_authority_error(error: AuthorityError) -> Failure {
    let (what, fix) = (error.to_string(), error.fix());
    let exit = match &error {
        AuthorityError::State { .. }
        | AuthorityError::BadPassphrase(_)
        | AuthorityError::WrongPassphrase { .. }
        | AuthorityError::Sealed { .. } => Exit::Usage,
        AuthorityError::File { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Exit::NotFound
        }
        _ => Exit::Fault,
    };
    Failure::new(exit, what).fix(fix)
}

/// `2026-11-25`, in UTC as certificates have it.
fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%d").to_string())
}
