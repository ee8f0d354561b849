//! Where a report goes: standard output, or a file that is opened before the look at the records is
//! recorded. A report that could not be written was read by nobody, and must not count as read.

use crate::args::ReportFormat;
use crate::failure::{Exit, Failure};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A place that is known to take the report.
#[derive(Debug)]
pub(crate) struct Target(Option<OpenFile>);

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: File,
    /// Made here and not written yet: it goes again where nothing comes of the report.
    is_bare: bool,
}

impl Target {
    /// A file, which may be there already, or standard output.
    ///
    /// # Errors
    /// A file that cannot be written, and a PDF for a terminal.
    pub(crate) fn open(output: Option<&Path>, format: ReportFormat) -> Result<Self, Failure> {
        let Some(path) = output else { return Self::stdout(format) };
        let mut options = OpenOptions::new();
        let made = options.write(true).create_new(true).open(path);
        match made {
            Ok(file) => Ok(Self::file(path, file, true)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // Not emptied before there is something to put there.
                let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
                let file = file.map_err(|error| refused(path, &error))?;
                Ok(Self::file(path, file, false))
            }
            Err(error) => Err(refused(path, &error)),
        }
    }

    /// As [`Target::open`], but a new file that nobody else on this machine can read.
    ///
    /// # Errors
    /// As [`Target::open`], and a file that is there already.
    pub(crate) fn private(output: Option<&Path>, format: ReportFormat) -> Result<Self, Failure> {
        let Some(path) = output else { return Self::stdout(format) };
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        file.map(|file| Self::file(path, file, true)).map_err(|error| refused(path, &error))
    }

    fn stdout(format: ReportFormat) -> Result<Self, Failure> {
        if format == ReportFormat::Pdf && std::io::stdout().is_terminal() {
            return Err(
                Failure::usage("a PDF is nothing to read here").fix("give it a file: -o FILE")
            );
        }
        Ok(Self(None))
    }

    fn file(path: &Path, file: File, is_bare: bool) -> Self {
        Self(Some(OpenFile { path: path.to_owned(), file, is_bare }))
    }

    /// Writes the report there.
    pub(crate) fn deliver(self, bytes: &[u8]) -> Result<Exit, Failure> {
        match self.0 {
            Some(mut open) => {
                let written = open.write(bytes);
                written.map_err(|error| refused(&open.path, &error))?;
                open.is_bare = false;
                note!("written to {}", open.path.display());
            }
            None => std::io::stdout().lock().write_all(bytes)?,
        }
        Ok(Exit::Ok)
    }
}

impl OpenFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        // A pipe or a terminal has no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.file.write_all(bytes)
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if self.is_bare {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What is wrong with the file, and what to do.
fn refused(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::fault(format!("{}: {error}", path.display()));
    match error.kind() {
        _ if path.is_dir() => Failure::fault(format!("{}: that is a folder", path.display()))
            .fix(format!("name a file in it, such as {}", path.join("report.pdf").display())),
        ErrorKind::AlreadyExists => failure.fix("name a file that is not there yet"),
        ErrorKind::NotFound => failure.fix("make its folder first, or name a file in another"),
        ErrorKind::NotADirectory => failure.fix("part of its path is no folder: name another"),
        ErrorKind::PermissionDenied => failure.fix("name a file in a folder that you may write to"),
        _ => failure,
    }
}
