//! Reading lists: UT1/squidGuard folders, hosts, plain, wildcard, adblock, dnsmasq and unbound.

use crate::pause;
use std::borrow::Cow;

mod guess;
mod syntax;
pub(crate) mod text;

pub use guess::guess;

/// The syntax of one list file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// A name a line; covers the name and everything below.
    Plain,
    /// `0.0.0.0 name`.
    Hosts,
    /// `*.name`.
    Wildcard,
    /// `||name^`.
    Adblock,
    /// `address=/name/...`, `server=/name/`, `local=/name/`.
    Dnsmasq,
    /// `local-zone: "name" ...`.
    Unbound,
    /// squidGuard `urls`: `host/path` a line, covering that path and below.
    Urls,
    /// squidGuard `expressions`: a POSIX extended regular expression a line, over the URL.
    Expressions,
    /// A word or some words a line, looked for as whole words in URLs. Never guessed.
    Keywords,
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry<'a> {
    /// A canonical name (or address): itself and everything below.
    Domain(Cow<'a, str>),
    /// A canonical host (without leading `www.`) and a path prefix, compared at segment boundaries.
    /// With a query, the path in full, and all of the query's parameters in any order among others.
    Url(Cow<'a, str>),
    /// A regular expression over `host/path?query`, without case.
    Expression(Cow<'a, str>),
    /// Words in lower case with one space between, found in a URL only as whole words.
    Keyword(Cow<'a, str>),
}

/// A line that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// 1-based line.
    pub line: u64,
    /// Why, e.g. "is a public suffix: would block every site under it".
    pub why: &'static str,
    /// The line, cut at 80 characters, control characters replaced.
    pub text: String,
}

/// What reading a list found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The syntax, told or guessed.
    pub format: Option<Format>,
    /// Entries handed on.
    pub entries: u64,
    /// Lines that are neither empty nor a comment.
    pub lines: u64,
    /// Those of them that were no entry.
    pub skipped: u64,
    /// The first 100 of them.
    pub examples: Vec<Skipped>,
}

/// How to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Given syntax; guessed from the first lines when `None`.
    pub format: Option<Format>,
    /// Accept entries that are whole public suffixes.
    pub allow_public_suffixes: bool,
}

/// Most skipped lines that a [`Report`] shows.
const MAX_EXAMPLES: usize = 100;
/// Longest line that can be an entry, in bytes.
const MAX_LINE_BYTES: usize = 8192;

/// Reads one list file (decompressed bytes, any encoding) and hands each entry to `sink`.
pub fn read(bytes: &[u8], options: Options, sink: &mut dyn FnMut(Entry<'_>)) -> Report {
    let bytes = &*text::as_utf8(bytes);
    let format = options.format.unwrap_or_else(|| guess(bytes));
    let mut report = Report { format: Some(format), ..Report::default() };
    // At once, where that is so: line by line it takes several times as long.
    let whole = std::str::from_utf8(bytes).ok();
    let mut entries = 0;
    for (number, place) in text::places(bytes) {
        pause::step();
        let place = text::trimmed(bytes, place);
        let line = &bytes[place.clone()];
        if line.is_empty() || syntax::is_comment(format, line) {
            continue;
        }
        report.lines += 1;
        let found = if line.len() > MAX_LINE_BYTES {
            Err("is too long for an entry")
        } else {
            let text = match whole {
                Some(whole) => whole.get(place),
                None => std::str::from_utf8(line).ok(),
            };
            syntax::read_line(format, line, text, options.allow_public_suffixes, &mut |entry| {
                entries += 1;
                sink(entry);
            })
        };
        if let Err(why) = found {
            report.skipped += 1;
            if report.examples.len() < MAX_EXAMPLES {
                report.examples.push(Skipped { line: number, why, text: text::shown(line) });
            }
        }
    }
    report.entries = entries;
    report
}

#[cfg(test)]
mod tests;
