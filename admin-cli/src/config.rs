//! `config`: the machine file.

use crate::args::{ConfigCommand, PrintArgs};
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::policy::from_policy_fault;
use crate::report::unread::Told;
use crate::school::School;
use proxy::policy_file::{PolicyFault, PolicyFile};
use std::path::Path;

/// Runs a `config` command. The machine file was read (and found good) by [`School::open`].
pub(crate) fn run(school: &School, command: &ConfigCommand) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Validate => {
            let config = &school.config;
            policy(school)?;
            say!("{}: no faults", name(config.file.as_deref()));
            say!(
                "  {} proxy address(es), {} list(s), state in {}",
                config.listen.proxy.len(),
                config.lists.len(),
                visible(&config.state.display().to_string())
            );
            Ok(Exit::Ok)
        }
        ConfigCommand::Show { print } => show(school, *print),
    }
}

/// The policy that the machine file names must be there and without faults.
fn policy(school: &School) -> Result<(), Failure> {
    let config = &school.config;
    // The example school writes its own policy when it is first needed.
    if config.demo && !config.policy.exists() {
        return Ok(());
    }
    let path = visible(&config.policy.display().to_string()).into_owned();
    let catalogue = proxy::lists::catalogue(config)
        .map_err(|error| Failure::new(Exit::BadConfig, error.to_string()))?;
    match PolicyFile::read(&config.policy, &catalogue) {
        Ok(file) => {
            if let Some((found, fix)) = Told::of(&file.policy, config).fault() {
                note!("warning: weekly report: {}", visible(&found));
                note!("  fix: {fix}");
            }
        }
        Err(PolicyFault::Read { path: read, source }) if Path::new(&read) == config.policy => {
            let file = name(config.file.as_deref());
            let what = format!("{file}: the policy that it names cannot be read: {path}: {source}");
            return Err(Failure::new(Exit::BadConfig, what)
                .fix("put the school's policy there, or correct `policy` in the machine file"));
        }
        Err(fault) => {
            let file = config.file.as_deref();
            let what = format!("{}: the policy that it names has a fault: {path}", name(file));
            let given =
                file.map(|file| format!(" --config {}", visible(&file.display().to_string())));
            let fix = format!(
                "correct {path}; then: schoolgate{} policy validate",
                given.unwrap_or_default()
            );
            let mut failure = from_policy_fault(fault);
            failure.exit = Exit::BadConfig;
            return Err(failure.and(what, fix));
        }
    }
    Ok(())
}

fn show(school: &School, print: PrintArgs) -> Result<Exit, Failure> {
    let text = school.config.show();
    if print.json || print.jsonl {
        let table: toml::Table = text.parse().map_err(Failure::fault)?;
        let json = serde_json::to_string(&table).map_err(Failure::fault)?;
        say!("{}", crate::output::json_text(json));
    } else if print.csv || print.plain {
        return Err(Failure::usage("config show prints TOML or --json"));
    } else {
        note!("from: {}", name(school.config.file.as_deref()));
        say!("{}", text.trim_end());
    }
    Ok(Exit::Ok)
}

/// What the machine file is called in messages.
pub(crate) fn name(file: Option<&Path>) -> String {
    file.map_or_else(
        || "built-in example school".to_owned(),
        |path| visible(&path.display().to_string()).into_owned(),
    )
}
