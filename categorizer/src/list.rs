//! Reading lists: UT1/squidGuard folders, hosts, plain, wildcard, adblock, dnsmasq and unbound.

use std::borrow::Cow;

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
}

/// One entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry<'a> {
    /// A canonical name (or address): itself and everything below.
    Domain(Cow<'a, str>),
    /// A canonical host and a path prefix, compared at segment boundaries, query (if any) in full.
    Url(Cow<'a, str>),
    /// A regular expression over `host/path?query`, without case.
    Expression(Cow<'a, str>),
}

/// A line that was skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// 1-based line.
    pub line: u64,
    /// Why, e.g. "is a public suffix: would block every site under co.uk".
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
    /// Lines that were no entry and no comment.
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

/// Guesses the syntax from a sample of lines.
#[must_use]
pub fn guess(sample: &[u8]) -> Format {
    let _ = sample;
    todo!()
}

/// Reads one list file (decompressed bytes, any encoding) and hands each entry to `sink`.
pub fn read(bytes: &[u8], options: Options, sink: &mut dyn FnMut(Entry<'_>)) -> Report {
    let _ = (bytes, options, sink);
    todo!()
}
