//! Asking a person at a terminal: yes or no, and passwords without echo.

use crate::args::ChangeArgs;
use crate::failure::Failure;
use ledger::users::Password;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;

/// Longest password line read, in bytes; longer ones are refused by the user store anyway.
const MAX_PASSWORD_LINE_BYTES: u64 = 4096;

/// Asks for a yes. `--yes` is one; where nobody can be asked, there is none.
pub(crate) fn confirm(question: &str, change: &ChangeArgs) -> Result<(), Failure> {
    if change.yes {
        return Ok(());
    }
    if change.no_input || !io::stdin().is_terminal() {
        return Err(Failure::usage("this needs a yes, and nobody can be asked").fix("add --yes"));
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::usage("not confirmed; nothing was changed"))
}

/// Asks for a name to be typed, where a yes is too quickly said. `given` is one that came with the
/// command.
pub(crate) fn type_name(
    question: &str,
    name: &str,
    given: Option<&str>,
    no_input: bool,
) -> Result<(), Failure> {
    let typed = match given {
        Some(given) => given.to_owned(),
        None if no_input || !io::stdin().is_terminal() => {
            return Err(Failure::usage("this needs a name to be typed, and nobody can be asked")
                .fix(format!("add --school {name:?}")));
        }
        None => {
            eprint!("{question} ");
            io::stderr().flush()?;
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer)?;
            answer
        }
    };
    if typed.trim() == name.trim() {
        return Ok(());
    }
    Err(Failure::usage(format!("that is not {name:?}; nothing was changed")))
}

/// Reads a password: the first line of the file or of standard input; typed twice without echo at a
/// terminal. Never from the command line, where other accounts of the machine could read it.
pub(crate) fn password(file: Option<&Path>, change: &ChangeArgs) -> Result<String, Failure> {
    let line = match file {
        Some(path) if path != Path::new("-") => {
            let open = std::fs::File::open(path)
                .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
            first_line(open)?
        }
        _ if io::stdin().is_terminal() => {
            if change.no_input {
                return Err(Failure::usage("a password is needed, and --no-input forbids asking")
                    .fix("add --password-file FILE, or pipe it to standard input"));
            }
            let first = typed("Password: ")?;
            if typed("Again: ")? != first {
                return Err(Failure::usage("the two passwords differ; nothing was changed"));
            }
            first
        }
        _ => first_line(io::stdin())?,
    };
    if line.is_empty() {
        return Err(Failure::usage("the password is empty")
            .fix("pipe it to standard input, or add --password-file FILE"));
    }
    Ok(line)
}

/// Asks for secrets one after the other: each is a line of standard input, or typed without echo at
/// a terminal.
pub(crate) struct Secrets {
    /// Fail where somebody would have to be asked.
    pub(crate) no_input: bool,
}

impl Secrets {
    /// One secret; from the first line of `file`, where there is one.
    pub(crate) fn ask(&self, question: &str, file: Option<&Path>) -> Result<String, Failure> {
        let line = match file {
            Some(path) if path != Path::new("-") => {
                let open = std::fs::File::open(path)
                    .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
                first_line(open)?
            }
            _ if io::stdin().is_terminal() => {
                if self.no_input {
                    return Err(Failure::usage(
                        "an answer is needed, and --no-input forbids asking",
                    )
                    .fix("pipe it to standard input, a line each"));
                }
                typed(question)?
            }
            _ => next_line()?,
        };
        if line.is_empty() {
            let asked = question.trim_end().trim_end_matches(':').to_lowercase();
            return Err(Failure::usage(format!("nothing was given as {asked}"))
                .fix("pipe it to standard input, a line each"));
        }
        Ok(line)
    }

    /// A secret that is chosen now: typed twice at a terminal.
    pub(crate) fn choose(&self, question: &str, file: Option<&Path>) -> Result<String, Failure> {
        let first = self.ask(question, file)?;
        let is_typed = file.is_none_or(|path| path == Path::new("-")) && io::stdin().is_terminal();
        if is_typed && typed("Again: ")? != first {
            return Err(Failure::usage("the two differ; nothing was changed"));
        }
        Ok(first)
    }

    /// A name, with echo.
    pub(crate) fn name(&self) -> Result<String, Failure> {
        if self.no_input || !io::stdin().is_terminal() {
            return Err(Failure::usage("nobody is named").fix("schoolgate login NAME"));
        }
        eprint!("Name: ");
        io::stderr().flush()?;
        next_line().map(|line| line.trim().to_owned())
    }
}

/// A password that will do, or what is wrong with it.
pub(crate) fn good_password(text: &str) -> Result<Password, Failure> {
    Password::new(text).map_err(|error| {
        Failure::usage(error.to_string())
            .fix("give another one: three or four unrelated words are long and can be remembered")
    })
}

/// The next line of standard input; what comes after it is left for whoever asks next.
fn next_line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin().lock().take(MAX_PASSWORD_LINE_BYTES).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The first line without its end.
fn first_line(source: impl Read) -> Result<String, Failure> {
    let mut line = String::new();
    io::BufReader::new(source.take(MAX_PASSWORD_LINE_BYTES)).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads a line from the terminal with echo off, and puts the terminal back as it was.
fn typed(question: &str) -> Result<String, Failure> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let terminal = io::stdin();
    let before = tcgetattr(&terminal).map_err(Failure::fault)?;
    let mut quiet = before.clone();
    // Ctrl-C arrives as a character, so that the terminal is never left without echo.
    quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    eprint!("{question}");
    io::stderr().flush()?;
    tcsetattr(&terminal, OptionalActions::Flush, &quiet).map_err(Failure::fault)?;
    let line = next_line();
    let restored = tcsetattr(&terminal, OptionalActions::Flush, &before);
    note!();
    restored.map_err(Failure::fault)?;
    let line = line?;
    if line.contains(['\u{3}', '\u{1a}', '\u{1c}']) {
        return Err(Failure::usage("cancelled; nothing was changed"));
    }
    Ok(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        assert_eq!(first_line(&b"correct horse\r\nsecond"[..]).unwrap(), "correct horse");
        assert_eq!(first_line(&b" spaces count "[..]).unwrap(), " spaces count ");
        assert_eq!(first_line(&b""[..]).unwrap(), "");
    }

    #[test]
    fn without_a_terminal_only_yes_confirms() {
        let asked = ChangeArgs { no_input: true, ..ChangeArgs::default() };
        assert!(confirm("Remove?", &asked).is_err());
        assert!(confirm("Remove?", &ChangeArgs { yes: true, ..asked }).is_ok());
    }
}
