//! Reading phrase lists as e2guardian and DansGuardian have them.
//!
//! ```text
//! #listcategory: "Gambling"
//! < roulette ><30>                 a phrase and its weight; spaces inside the brackets count
//! <free spins>,<jackpot><50>       a combination: all parts must occur
//! <good odds><-10>                 speaks for the page
//! <sure win><10%>                  a tenth of the limit
//! <never anywhere>                 alone: a banned phrase, or an exception, by the list's kind
//! .Include</etc/lists/more>        handed to the caller, who opens files
//! ```
//!
//! Three readings differ from e2guardian's, on purpose. A phrase without a weight in a weighted list
//! would ban every page that holds it there; it is a fault here, for it is most often a slip of the
//! keyboard. White space between `<phrase>` and `<weight>` is allowed. And slips that published lists have are read as
//! they are meant, and told: a `>` or a comma that is missing (`<a,<b><50>`, `<a<50>`, `<a><b><50>`, `<a><50`) makes
//! e2guardian look for a phrase with the signs in it, or ban pages for the first phrase alone.

mod line;

pub use encoding_rs::Encoding;

use super::Effect;
use super::encoding::Reader;
use crate::list::{Skipped, text};
use line::Line;

/// What a list's phrases do that have no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `bannedphraselist`: they ban a page.
    Banned,
    /// `exceptionphraselist`: they excuse a page.
    Exception,
    /// `weightedphraselist`: there are none.
    Weighted,
}

/// How to read.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The list's kind.
    pub kind: Kind,
    /// What lines are read as that are not UTF-8; guessed when `None`. A byte-order mark goes
    /// before it.
    pub encoding: Option<&'static Encoding>,
}

/// One thing that a list says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A phrase or a combination.
    Entry(Entry<'a>),
    /// Another file is to be read here.
    Include {
        /// 1-based line.
        line: u64,
        /// Its path, as written.
        path: &'a str,
        /// The category in force here, which does not hold in the other file.
        category: &'a str,
    },
}

/// A phrase or a combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// 1-based line.
    pub line: u64,
    /// What the last `#listcategory:` said; empty where there was none.
    pub category: &'a str,
    /// What it does to a page.
    pub effect: Effect,
    /// Its parts as written, at least one: all of them must occur.
    pub parts: &'a [&'a str],
}

/// What reading a list found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries handed on.
    pub entries: u64,
    /// Those of them that are combinations.
    pub combinations: u64,
    /// Other files that the list names.
    pub includes: u64,
    /// Lines that are neither empty nor a comment.
    pub lines: u64,
    /// Those of them that could not be read.
    pub skipped: u64,
    /// The first 100 of them.
    pub examples: Vec<Skipped>,
    /// Lines that were read, but say more than was heeded.
    pub odd: u64,
    /// The first 100 of them.
    pub odd_examples: Vec<Skipped>,
    /// What lines were read as that are not UTF-8, the first such line's encoding first.
    pub encodings: Vec<&'static str>,
}

/// Most lines of a kind that a [`Report`] shows.
const MAX_EXAMPLES: usize = 100;
/// Longest line that can be an entry, in bytes.
const MAX_LINE_BYTES: usize = 8192;

/// Reads one phrase list and hands each entry, and each other file that it names, to `sink`.
pub fn read(bytes: &[u8], options: Options, sink: &mut dyn FnMut(Item<'_>)) -> Report {
    let reader = Reader::new(bytes, options.encoding);
    let mut report = Report::default();
    let mut category = String::new();
    for (number, bytes) in text::lines(reader.bytes()) {
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            continue;
        }
        let is_comment = bytes[0] == b'#';
        report.lines += u64::from(!is_comment);
        let read = if bytes.len() > MAX_LINE_BYTES {
            if is_comment { unread(bytes, &mut category) } else { Err("is too long for an entry") }
        } else {
            match reader.text(number, bytes) {
                Some((text, encoding)) => {
                    let name = encoding.map(Encoding::name);
                    if let Some(name) = name.filter(|name| !report.encodings.contains(name)) {
                        report.encodings.push(name);
                    }
                    let mut line = Line { number, category: &mut category, report: &mut report };
                    line.read(&text, options.kind, sink)
                }
                None if is_comment => unread(bytes, &mut category),
                None => Err("holds bytes that are no text in the file's encoding"),
            }
        };
        let (why, count, examples) = match read {
            Ok(None) => continue,
            Ok(Some(why)) => (why, &mut report.odd, &mut report.odd_examples),
            Err(why) => (why, &mut report.skipped, &mut report.examples),
        };
        *count += 1;
        if examples.len() < MAX_EXAMPLES {
            examples.push(Skipped { line: number, why, text: text::shown(bytes) });
        }
    }
    report
}

/// A comment that is no text here. If it names a category, what follows must not count to the one before.
fn unread(comment: &[u8], category: &mut String) -> Result<Option<&'static str>, &'static str> {
    let names_category = line::names_category(comment);
    if names_category {
        category.clear();
    }
    Ok(names_category.then_some("names a category that cannot be read: what follows has none"))
}

#[cfg(test)]
mod tests;
