//! `completions` and `man`: made from the same grammar that reads the command line.

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::failure::{Exit, Failure};
use clap::CommandFactory;
use std::ffi::OsString;
use std::io::Write;

/// `schoolgate help unblock` is `schoolgate unblock --help`.
pub(crate) fn with_help(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.push("--help".into());
    }
    words
}

/// Prints a shell's completions.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "schoolgate", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Exit::Ok)
}

/// Prints the main manual page, or writes one for every command into a folder.
pub(crate) fn man(args: &ManArgs) -> Result<Exit, Failure> {
    let Some(folder) = &args.output else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        std::io::stdout().lock().write_all(&page)?;
        return Ok(Exit::Ok);
    };
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)?;
    say!("written to {}", folder.display());
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_a_word_too() {
        for (line, read) in [
            ("schoolgate help unblock", "schoolgate unblock --help"),
            ("schoolgate help", "schoolgate --help"),
            ("schoolgate check help", "schoolgate check help"),
        ] {
            let words = with_help(line.split(' ').map(OsString::from));
            assert_eq!(words.join(&OsString::from(" ")), *read, "{line}");
        }
    }
}
