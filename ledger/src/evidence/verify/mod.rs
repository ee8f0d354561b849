//! Looking for everything that was changed since it was written: `audit verify`.
//!
//! Each record is hashed again from what the files say, and compared with its batch, with the trees, and
//! with every checkpoint that was signed or is brought from outside. What does not fit is named: which
//! log, which day, which row or entry. A damaged part is passed over and the rest is still checked.
//!
//! Everything is read in an order that makes sense beside a running filter: first the checkpoints, then
//! the trees, the change log, and the days last. Each only grows, so that what was read first is always
//! covered by what is read after it.

mod alerts;
mod changes;
pub(crate) mod day;
mod days;
pub(crate) mod dictionary;
mod keys;
mod sealed_part;
mod trees;
mod undisturbed;

use super::key::public_key;
use super::note::{Checkpoint, NoteFault, notes_in};
use super::places;
use jiff::civil::Date;
use keys::Keys;
use rules::change::ChangeEntry;
use serde::Serialize;
use std::path::Path;
use thiserror::Error;
use trees::Tree;

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `change log`, `access log`, or the file's name.
    pub log: String,
    /// Day and rows, entries or line.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Everything that does not fit.
    pub problems: Vec<Problem>,
    /// What no proof covers, or not yet.
    pub uncovered: Vec<String>,
    /// Days that were erased, whole or in part, each with the entry that says so.
    pub erased: Vec<String>,
    /// Entries of the change log.
    pub entries: u64,
    /// Own checkpoints whose signature is right.
    pub checkpoints: u64,
    /// The last of them, as it can be printed.
    pub last: Option<String>,
    /// The outside checkpoints that fit, as they can be printed.
    pub matched: Vec<String>,
    /// Days of the access log.
    pub days: u64,
    /// Batches.
    pub batches: u64,
    /// Rows in batches that fit.
    pub rows: u64,
    /// Ends in batches that fit.
    pub ends: u64,
    /// The entries that could be read, for who tells what they say.
    #[serde(skip)]
    pub log: Vec<ChangeEntry>,
}

impl Report {
    /// Notes a problem.
    pub(crate) fn problem(&mut self, log: &str, place: impl Into<String>, what: impl Into<String>) {
        let (place, what) = (place.into(), what.into());
        self.problems.push(Problem { log: log.to_owned(), place, what });
    }
}

/// What is verified, and against what.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Checkpoints from outside: the text of a file, with its name.
    pub against: Vec<(String, String)>,
    /// The public key to trust, from outside; else the one in the state folder.
    pub public: Option<String>,
    /// Rows are hashed again from this day on; of the days before only the batches are looked at.
    pub since: Option<Date>,
}

/// Why nothing can be verified.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// What was given as checkpoints holds none.
    #[error("{0} holds no checkpoint")]
    NoCheckpoint(String),
    /// What was given as a key is none.
    #[error("{0:?} is no public key of a checkpoint's signer")]
    BadKey(String),
}

/// The name of the change log in problems.
pub(crate) const CHANGES: &str = "change log";
/// The name of the access log.
pub(crate) const ACCESSES: &str = "access log";

/// Verifies a state folder. `tell` hears what is being looked at.
///
/// # Errors
/// [`VerifyError`]: what was given makes no sense, or nothing can be read. What is wrong with the log
/// itself is in the report.
pub async fn verify(
    state: &Path,
    options: &Options,
    tell: &mut dyn FnMut(&str),
) -> Result<Report, VerifyError> {
    let mut report = Report::default();
    let audit = super::folder(state);
    let public = match &options.public {
        Some(key) if super::key::is_public_key(key) => Some(key.clone()),
        Some(key) => return Err(VerifyError::BadKey(key.clone())),
        None => own_key(&audit, &mut report)?,
    };
    let mut keys = Keys::read(state, public).await;
    let own = own_checkpoints(state, &mut keys, &mut report)?;
    let signed_here =
        std::fs::metadata(places::checkpoints(state)).is_ok_and(|file| file.len() > 0);
    keys.check(!own.is_empty() || signed_here, &mut report);
    let outside = outside_checkpoints(options, &keys, &mut report)?;
    let signed = Tree::read(&audit.join(super::signer::TREE), &mut report);
    let kept = Tree::read(&audit.join(super::access::TREE), &mut report);
    tell("change log");
    let changes = changes::read(state, &signed, &own, &outside, &mut report).await;
    days::check(state, options, &kept, &changes, &mut report, tell).await?;
    report.log = changes.entries;
    alerts::check(state, &mut report).await;
    Ok(report)
}

fn own_key(audit: &Path, report: &mut Report) -> Result<Option<String>, VerifyError> {
    let path = audit.join("key.pub");
    match public_key(audit) {
        Ok(key) if super::key::is_public_key(&key) => Ok(Some(key)),
        Ok(_) => {
            report.problem("audit/key.pub", "the file", "it is no public key");
            Ok(None)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            report.problem("audit/key.pub", "the file", "it is no public key");
            Ok(None)
        }
        Err(source) => Err(VerifyError::Io { path: path.display().to_string(), source }),
    }
}

/// The own checkpoints that are signed.
fn own_checkpoints(
    state: &Path,
    keys: &mut Keys,
    report: &mut Report,
) -> Result<Vec<Checkpoint>, VerifyError> {
    let path = places::checkpoints(state);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(VerifyError::Io { path: path.display().to_string(), source }),
    };
    let text = String::from_utf8_lossy(&bytes);
    if text.is_empty() {
        report.uncovered.push(
            "no checkpoint was ever signed here: nothing proves that the log was not made anew"
                .to_owned(),
        );
        return Ok(Vec::new());
    }
    if keys.public.is_none() {
        if keys.made.is_none() {
            let what = "it is missing though there are checkpoints";
            report.problem("audit/key.pub", "the file", what);
        }
        return Ok(Vec::new());
    }
    keys.vouch(&text);
    let mut own: Vec<Checkpoint> = Vec::new();
    for (line, note) in notes_in(&text) {
        let place = format!("line {line}");
        match keys.verify(note) {
            Ok(read) => {
                if own.last().is_some_and(|last| last.size > read.size) {
                    report.problem(
                        "audit/checkpoints",
                        place,
                        "it is of an earlier state than the one before it",
                    );
                }
                own.push(read);
            }
            Err(fault) => report.problem("audit/checkpoints", place, fault.to_string()),
        }
    }
    // Only what this program writes: an end that is cut off, or an empty line more, was changed.
    if !text.ends_with("\n\n") || text.contains("\n\n\n") {
        report.problem("audit/checkpoints", "the file", "its lines were changed");
    }
    report.checkpoints = own.len() as u64;
    report.last = own.last().map(Checkpoint::line);
    Ok(own)
}

/// The checkpoints brought from outside that are to be believed.
fn outside_checkpoints(
    options: &Options,
    keys: &Keys,
    report: &mut Report,
) -> Result<Vec<(String, Checkpoint)>, VerifyError> {
    let mut outside = Vec::new();
    for (name, text) in &options.against {
        let mut found = 0;
        for (line, piece) in pieces(text) {
            let place = format!("{name}, line {line}");
            if let Some(read) = Checkpoint::of_line(piece.trim()) {
                found += 1;
                outside.push((place, read));
                continue;
            }
            match keys.verify(piece) {
                Ok(read) => {
                    found += 1;
                    outside.push((place, read));
                }
                Err(NoteFault::Malformed) if Checkpoint::read(piece).is_err() => {}
                Err(fault) => {
                    found += 1;
                    let what = format!(
                        "the checkpoint from outside cannot be the one that was given out, or the key in \
                         audit/key.pub was replaced: {fault}"
                    );
                    report.problem("outside checkpoint", place, what);
                }
            }
        }
        if found == 0 {
            return Err(VerifyError::NoCheckpoint(name.clone()));
        }
    }
    Ok(outside)
}

/// Notes, and lines as they are printed.
fn pieces(text: &str) -> Vec<(usize, &str)> {
    let notes = notes_in(text);
    let is_note = |(_, note): &(usize, &str)| Checkpoint::read(note).is_ok();
    if notes.iter().any(is_note) {
        return notes;
    }
    (1..).zip(text.lines()).collect()
}

/// `3`, or `3 to 7`.
pub(crate) fn span(first: u64, last: u64) -> String {
    match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    }
}

/// Numbers that follow one another, put together: `(first, last)`.
pub(crate) fn spans(numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => spans.push((number, number)),
        }
    }
    spans
}

/// `row`, `rows`.
pub(crate) fn plural(word: &str, (first, last): (u64, u64)) -> String {
    format!("{word}{} {}", if first == last { "" } else { "s" }, span(first, last))
}
