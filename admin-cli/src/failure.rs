//! How a command ends: the exit codes of the manual, and errors that say what, where and what to do.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;

/// How a command ends, as scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done; for `check`: allowed.
    Ok = 0,
    /// A fault of the machine or of this program.
    Fault = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The machine file or policy has a fault.
    BadConfig = 3,
    /// The acting person may not do this.
    NotPermitted = 4,
    /// No such unblock, user, list, code or record.
    NotFound = 5,
    /// The filter does not answer.
    FilterDown = 6,
    /// Checks ran, and found something.
    ProblemsFound = 7,
    /// `check`: the site is blocked.
    Blocked = 10,
}

/// Why a command could not do what was asked, for the person who asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// `error:` lines: what is wrong, each with its own fix where there is one.
    problems: Vec<Problem>,
    /// Further lines below, such as failed tests.
    details: Vec<String>,
    /// That two accounts count as one person: somebody must hear of it.
    pub(crate) is_one_person: bool,
}

#[derive(Debug)]
struct Problem {
    what: String,
    fix: Option<String>,
}

impl Failure {
    /// A failure of one sentence.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        let problems = vec![Problem { what: what.into(), fix: None }];
        Self { exit, problems, details: Vec::new(), is_one_person: false }
    }

    /// A failure with several faults, each with what to do (empty: nothing to say).
    pub(crate) fn several(exit: Exit, faults: impl IntoIterator<Item = (String, String)>) -> Self {
        let problems = faults
            .into_iter()
            .map(|(what, fix)| Problem { what, fix: (!fix.is_empty()).then_some(fix) })
            .collect();
        Self { exit, problems, details: Vec::new(), is_one_person: false }
    }

    /// A fault of the machine.
    pub(crate) fn fault(what: impl std::fmt::Display) -> Self {
        Self::new(Exit::Fault, what.to_string())
    }

    /// A command line that makes no sense.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// Something that does not exist.
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, what)
    }

    /// Something that takes two people, whose accounts count as one. It is recorded as an alarm.
    pub(crate) fn one_person(what: impl Into<String>) -> Self {
        let failure = Self::not_permitted(what);
        let fix = "let a third person do it; until when it is so, tells: schoolgate account list";
        Self { is_one_person: true, ..failure }.fix(fix)
    }

    /// Something that the person may not do.
    pub(crate) fn not_permitted(what: impl Into<String>) -> Self {
        Self::new(Exit::NotPermitted, what)
    }

    /// Says what to do about it.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        if let Some(problem) = self.problems.last_mut() {
            problem.fix = Some(fix.into());
        }
        self
    }

    /// Adds a further fault, with what to do.
    pub(crate) fn and(mut self, what: String, fix: String) -> Self {
        self.problems.push(Problem { what, fix: Some(fix) });
        self
    }

    /// Adds a line below the error.
    pub(crate) fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// The first sentence: for the log of refused actions.
    pub(crate) fn what(&self) -> &str {
        self.problems.first().map_or("", |problem| &problem.what)
    }

    /// Prints it on standard error; nothing stops where that has gone away.
    pub(crate) fn print(&self) {
        let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), self.text().as_bytes());
    }

    /// The text for standard error. Hostile characters are made visible.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            if problem.what.is_empty() {
                continue;
            }
            let _ = writeln!(text, "error: {}", crate::output::visible(&problem.what));
            if let Some(fix) = &problem.fix {
                let _ = writeln!(text, "  fix: {}", crate::output::visible(fix));
            }
        }
        for line in &self.details {
            let _ = writeln!(text, "  {}", crate::output::visible(line));
        }
        text
    }
}

/// A file that was named and cannot be read.
pub(crate) fn unreadable(exit: Exit, path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(exit, format!("{}: {error}", path.display()));
    match error.kind() {
        ErrorKind::NotFound if path.is_absolute() => failure.fix("check the path"),
        ErrorKind::NotFound => failure.fix("check the path; it is read from the current folder"),
        ErrorKind::PermissionDenied => failure.fix("see that this user may read it"),
        ErrorKind::IsADirectory => failure.fix("name a file, not a folder"),
        _ => failure,
    }
}

/// A reader that has gone away (`| head`) is no fault; any other write or read error is.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Failure {
                exit: Exit::Ok,
                problems: Vec::new(),
                details: Vec::new(),
                is_one_person: false,
            }
        } else {
            Failure::fault(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_and_what_to_do_below() {
        let failure = Failure::not_permitted("you asked for U-0137, so you cannot authorise it")
            .fix("ask Q. Whitmore (DSL)");
        assert_eq!(
            failure.text(),
            "error: you asked for U-0137, so you cannot authorise it\n  fix: ask Q. Whitmore (DSL)\n"
        );
        assert_eq!(failure.exit as u8, 4);
    }

    #[test]
    fn a_missing_file_is_told_with_what_to_do() {
        let missing = std::io::Error::from(ErrorKind::NotFound);
        let text = unreadable(Exit::NotFound, Path::new("new.toml"), &missing).text();
        assert!(text.starts_with("error: new.toml: "), "{text}");
        assert!(text.contains("fix: check the path; it is read from the current folder"), "{text}");
    }

    #[test]
    fn hostile_text_in_an_error_cannot_drive_the_terminal() {
        let text = Failure::usage("no site \"\u{1b}[2Jx\"").text();
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn a_reader_that_went_away_is_no_fault() {
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit, Exit::Ok);
        assert_eq!(failure.text(), "");
    }
}
