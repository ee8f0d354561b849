//! `config`: the machine file.

use crate::args::{ConfigCommand, PrintArgs};
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::school::School;
use std::path::Path;

/// Runs a `config` command. The machine file was read (and found good) by [`School::open`].
pub(crate) fn run(school: &School, command: &ConfigCommand) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Validate => {
            let config = &school.config;
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
