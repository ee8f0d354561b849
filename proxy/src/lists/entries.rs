//! The entries of one list version: sorted, without doubles, in one block of text, and kept on disk
//! in the same form (a line an entry, packed), so that comparing two versions is one walk over both.

use super::ListError;
use super::pieces::Pieces;
use categorizer::index::Prepared;
use categorizer::list::Entry;
use categorizer::pause;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Marks the kind of an entry at the start of its line.
const DOMAIN: char = 'd';
const URL: char = 'u';
const EXPRESSION: char = 'x';
const KEYWORD: char = 'k';

/// Most bytes of all lines together: places in the text are 32 bits wide.
const MAX_TEXT_BYTES: usize = u32::MAX as usize;

/// Level of zstd: twice as quick as gzip's quickest, and smaller.
const PACKING_LEVEL: i32 = 1;
/// How the versions of older programs begin, which packed with gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Collects entries in any order.
#[derive(Default)]
pub(crate) struct Collector {
    /// Lines, each with its break.
    text: String,
    lines: Vec<Line>,
    overflow: bool,
}

/// One collected line.
#[derive(Clone, Copy)]
struct Line {
    /// How it begins: most comparisons need not look at the text, which is no longer in any cache where
    /// there are millions.
    beginning: u64,
    start: u32,
    /// Without its break.
    length: u32,
}

/// Sorted lines, each a kind and an entry.
#[derive(Default)]
pub(crate) struct Entries {
    /// Each with its break.
    text: String,
    count: u64,
}

impl Collector {
    /// Makes room for about so many lines, of so many bytes together, at once.
    pub(crate) fn expect(&mut self, lines: usize, bytes: usize) {
        self.lines.reserve(lines);
        self.text.reserve(bytes);
    }

    pub(crate) fn push(&mut self, entry: &Entry<'_>) {
        let (kind, text) = match entry {
            Entry::Domain(text) => (DOMAIN, text),
            Entry::Url(text) => (URL, text),
            Entry::Expression(text) => (EXPRESSION, text),
            Entry::Keyword(text) => (KEYWORD, text),
        };
        // A line break inside an entry would become two entries when read back.
        if memchr::memchr(b'\n', text.as_bytes()).is_some() {
            return;
        }
        if self.text.len() + text.len() + 2 > MAX_TEXT_BYTES {
            self.overflow = true;
            return;
        }
        let start = self.text.len();
        self.text.push(kind);
        self.text.push_str(text);
        let line = &self.text.as_bytes()[start..];
        let (beginning, length) = (beginning(line), line.len() as u32);
        self.lines.push(Line { beginning, start: start as u32, length });
        self.text.push('\n');
    }

    /// The sorted entries; `None` if they were more than the format holds.
    pub(crate) fn finish(self) -> Option<Entries> {
        let Collector { text, mut lines, overflow } = self;
        if overflow {
            return None;
        }
        let whole = |line: &Line| &text[line.start as usize..][..line.length as usize];
        pause::sort_unstable_by(&mut lines, |one, next| one.beginning.cmp(&next.beginning));
        for same in lines.chunk_by_mut(|one, next| one.beginning == next.beginning) {
            pause::sort_unstable_by(same, |one, next| whole(one).cmp(whole(next)));
            pause::step();
        }
        lines.dedup_by(|next, one| {
            pause::step();
            next.beginning == one.beginning && whole(next) == whole(one)
        });
        let mut sorted = String::with_capacity(text.len());
        for line in &lines {
            pause::step();
            sorted.push_str(&text[line.start as usize..][..line.length as usize + 1]);
        }
        Some(Entries { text: sorted, count: lines.len() as u64 })
    }
}

/// The first eight bytes as a number that sorts like them, filled up with zeros. Where two are alike the text
/// decides.
fn beginning(line: &[u8]) -> u64 {
    if let Some(first) = line.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let mut first = [0; 8];
    first[..line.len()].copy_from_slice(line);
    u64::from_be_bytes(first)
}

impl Entries {
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// The lines without their breaks. Not `str::lines`, to which `\r` is a part of a break.
    fn raw(&self) -> impl Iterator<Item = &str> {
        let mut ends = memchr::memchr_iter(b'\n', self.text.as_bytes());
        let mut start = 0;
        std::iter::from_fn(move || {
            let end = ends.next()?;
            let line = &self.text[start..end];
            start = end + 1;
            Some(line)
        })
    }

    /// The entries one by one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.raw().filter_map(entry_of)
    }

    /// What compiling needs of them.
    pub(super) fn prepared(&self) -> Prepared {
        Prepared::of(usize::try_from(self.count).unwrap_or(0), self.iter())
    }

    /// SHA-256 of the lines in hex: the version's identity.
    pub(crate) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        pause::pieces(self.text.as_bytes()).for_each(|piece| hash.update(piece));
        hex(&hash.finalize())
    }

    /// What is in only one of two versions.
    pub(crate) fn difference(&self, newer: &Entries, sample: usize) -> Difference {
        let mut difference = Difference::default();
        let (mut old, mut new) = (self.raw().peekable(), newer.raw().peekable());
        loop {
            pause::step();
            let order = match (old.peek(), new.peek()) {
                (None, None) => return difference,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => a.cmp(b),
            };
            if order != Ordering::Greater {
                let gone = old.next();
                if order == Ordering::Less {
                    note(&mut difference.removed, &mut difference.removed_sample, gone, sample);
                }
            }
            if order != Ordering::Less {
                let come = new.next();
                if order == Ordering::Greater {
                    note(&mut difference.added, &mut difference.added_sample, come, sample);
                }
            }
        }
    }

    /// Writes the lines packed and makes them durable.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut out = zstd::Encoder::new(BufWriter::new(File::create(path)?), PACKING_LEVEL)?;
        pause::pieces(self.text.as_bytes()).try_for_each(|piece| out.write_all(piece))?;
        out.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    }

    /// Reads lines that [`Entries::write`] wrote, or an older program in gzip; `hash` and `len` prove
    /// that they are whole.
    pub(crate) fn read(path: &Path, hash: &str, len: u64) -> Result<Entries, ListError> {
        let damaged = |why: String| ListError::Damaged { path: path.display().to_string(), why };
        let text = unpacked(path).map_err(|error| damaged(error.to_string()))?;
        if text.len() > MAX_TEXT_BYTES {
            return Err(damaged("longer than any list".to_owned()));
        }
        let breaks = |piece| memchr::memchr_iter(b'\n', piece).count() as u64;
        let count = pause::pieces(&text).map(breaks).sum::<u64>();
        let entries = String::from_utf8(text).ok().map(|text| Entries { text, count });
        entries
            .filter(|entries| count == len && entries.hash() == hash)
            .ok_or_else(|| damaged("not what was stored".to_owned()))
    }
}

/// What a file holds, up to one byte more than any list has.
fn unpacked(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // About what it comes to: growing on the way would copy most of it again.
    let expected = usize::try_from(file.metadata()?.len().saturating_mul(3)).unwrap_or(0);
    let mut file = BufReader::new(file);
    let is_gzip = std::io::BufRead::fill_buf(&mut file)?.starts_with(&GZIP);
    let unpacked: Box<dyn Read> = match is_gzip {
        true => Box::new(GzDecoder::new(file)),
        false => Box::new(zstd::Decoder::with_buffer(file)?),
    };
    let mut text = Vec::with_capacity(expected.min(MAX_TEXT_BYTES));
    Pieces(unpacked).take(MAX_TEXT_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// How two versions differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Entries that the newer version has and the older has not.
    pub added: u64,
    /// Entries that the older version has and the newer has not.
    pub removed: u64,
    /// The first of the added ones.
    pub added_sample: Vec<String>,
    /// The first of the removed ones.
    pub removed_sample: Vec<String>,
}

fn note(count: &mut u64, sample: &mut Vec<String>, line: Option<&str>, limit: usize) {
    *count += 1;
    if let Some(entry) = line.filter(|_| sample.len() < limit).and_then(entry_of) {
        sample.push(match entry {
            Entry::Domain(text) | Entry::Url(text) => text.into_owned(),
            Entry::Expression(text) => format!("expression {text}"),
            Entry::Keyword(text) => format!("keyword {text}"),
        });
    }
}

fn entry_of(line: &str) -> Option<Entry<'_>> {
    let mut text = line.chars();
    let kind = text.next()?;
    let text = Cow::Borrowed(text.as_str());
    match kind {
        DOMAIN => Some(Entry::Domain(text)),
        URL => Some(Entry::Url(text)),
        EXPRESSION => Some(Entry::Expression(text)),
        KEYWORD => Some(Entry::Keyword(text)),
        _ => None,
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Lines as they are kept, from lines of a kind and an entry.
    fn collected<'l>(lines: impl IntoIterator<Item = &'l str>) -> Entries {
        let mut collector = Collector::default();
        lines.into_iter().for_each(|line| collector.push(&entry_of(line).unwrap()));
        collector.finish().unwrap()
    }

    proptest! {
        #[test]
        fn entries_are_those_of_the_plainest_set_of_lines_in_its_order(
            lines in prop::collection::vec("[dukx](www\\.)?[ab\\t\\r !é]{0,12}", 0..60),
        ) {
            let entries = collected(lines.iter().map(String::as_str));
            let plainest: BTreeSet<&str> = lines.iter().map(String::as_str).collect();
            prop_assert_eq!(entries.len(), plainest.len() as u64);
            prop_assert!(entries.raw().eq(plainest.iter().copied()));
            let text: String = plainest.iter().map(|line| format!("{line}\n")).collect();
            prop_assert_eq!(entries.hash(), hex(&Sha256::digest(&text)));
        }

        #[test]
        fn two_versions_differ_by_what_only_one_of_them_has(
            old in prop::collection::btree_set("d[ab]{1,3}", 0..12),
            new in prop::collection::btree_set("d[ab]{1,3}", 0..12),
        ) {
            let [before, after] = [&old, &new].map(|it| collected(it.iter().map(String::as_str)));
            let difference = before.difference(&after, 100);
            let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| -> Vec<String> {
                one.difference(other).map(|line| line[1..].to_owned()).collect()
            };
            prop_assert_eq!(&difference.added_sample, &only(&new, &old));
            prop_assert_eq!(&difference.removed_sample, &only(&old, &new));
            prop_assert_eq!(difference.added, difference.added_sample.len() as u64);
            prop_assert_eq!(difference.removed, difference.removed_sample.len() as u64);
        }
    }

    #[test]
    fn an_entry_with_a_line_break_is_not_taken_in() {
        let entries = collected(["da.example", "xa\nb", "da\nb.example"]);
        assert!(entries.raw().eq(["da.example"]));
    }

    #[test]
    fn what_is_read_is_what_was_written_also_by_a_program_that_packed_with_gzip() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..20_000).map(|n| format!("dsite{n}.example")).collect();
        for lines in [&names[..], &[]] {
            let entries = collected(lines.iter().map(String::as_str));
            let (path, hash) = (folder.path().join("list"), entries.hash());
            entries.write(&path).unwrap();
            let mut older = GzEncoder::new(Vec::new(), Compression::fast());
            older.write_all(entries.text.as_bytes()).unwrap();
            for packed in [std::fs::read(&path).unwrap(), older.finish().unwrap()] {
                std::fs::write(&path, &packed).unwrap();
                let read = Entries::read(&path, &hash, entries.len()).unwrap();
                assert!(read.raw().eq(entries.raw()));
                assert!(Entries::read(&path, &hash, entries.len() + 1).is_err());
                assert!(Entries::read(&path, "another", entries.len()).is_err());
                for end in [1, packed.len() / 2, packed.len() - 1] {
                    std::fs::write(&path, &packed[..end]).unwrap();
                    assert!(Entries::read(&path, &hash, entries.len()).is_err(), "{end} bytes");
                }
            }
        }
    }
}
