//! The entries of one list version: sorted, without doubles, in one block of text, and kept on disk
//! in the same form (a line an entry, gzip), so that comparing two versions is one walk over both.

use super::ListError;
use categorizer::list::Entry;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::convert::Infallible;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Marks the kind of an entry at the start of its line.
const DOMAIN: u8 = b'd';
const URL: u8 = b'u';
const EXPRESSION: u8 = b'x';
const KEYWORD: u8 = b'k';

/// Most bytes of all lines together: places in the text are 32 bits wide.
const MAX_TEXT_BYTES: usize = u32::MAX as usize;

/// Bytes of lines that are packed or hashed at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Collects entries in any order.
#[derive(Default)]
pub(crate) struct Collector {
    text: Vec<u8>,
    lines: Vec<(u32, u32)>,
    overflow: bool,
}

/// Sorted lines, each a kind and an entry.
#[derive(Default)]
pub(crate) struct Entries {
    text: Vec<u8>,
    lines: Vec<(u32, u32)>,
}

impl Collector {
    pub(crate) fn push(&mut self, entry: &Entry<'_>) {
        let (kind, text) = match entry {
            Entry::Domain(text) => (DOMAIN, text),
            Entry::Url(text) => (URL, text),
            Entry::Expression(text) => (EXPRESSION, text),
            Entry::Keyword(text) => (KEYWORD, text),
        };
        // A line break inside an entry would become two entries when read back.
        if text.bytes().any(|byte| byte == b'\n') {
            return;
        }
        if self.text.len() + text.len() + 1 > MAX_TEXT_BYTES {
            self.overflow = true;
            return;
        }
        let start = self.text.len() as u32;
        self.text.push(kind);
        self.text.extend_from_slice(text.as_bytes());
        self.lines.push((start, text.len() as u32 + 1));
    }

    /// The sorted entries; `None` if they were more than the format holds.
    pub(crate) fn finish(self) -> Option<Entries> {
        let Collector { text, lines, overflow } = self;
        if overflow {
            return None;
        }
        // The beginnings beside the places: most comparisons need not look at the text, which is no
        // longer in any cache where there are millions.
        let mut begun: Vec<(u64, (u32, u32))> =
            lines.into_iter().map(|line| (beginning(slice(&text, line)), line)).collect();
        begun.sort_unstable_by(|(a, x), (b, y)| {
            a.cmp(b).then_with(|| slice(&text, *x).cmp(slice(&text, *y)))
        });
        begun.dedup_by(|(a, x), (b, y)| a == b && slice(&text, *x) == slice(&text, *y));
        let lines = begun.into_iter().map(|(_, line)| line).collect();
        Some(Entries { text, lines })
    }
}

/// The first eight bytes as a number that sorts like them, filled up with zeros. Where two are alike the text
/// decides.
fn beginning(line: &[u8]) -> u64 {
    let mut first = [0; 8];
    let count = line.len().min(first.len());
    first[..count].copy_from_slice(&line[..count]);
    u64::from_be_bytes(first)
}

fn slice(text: &[u8], (start, len): (u32, u32)) -> &[u8] {
    &text[start as usize..][..len as usize]
}

impl Entries {
    pub(crate) fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    fn raw(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(|line| slice(&self.text, *line))
    }

    /// The entries as the compiler takes them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.raw().filter_map(entry_of)
    }

    /// SHA-256 of the lines in hex: the version's identity.
    pub(crate) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        let Ok(()) = self.pieces(|piece| {
            hash.update(piece);
            Ok::<_, Infallible>(())
        });
        hex(&hash.finalize())
    }

    /// All lines, each with its break, in large pieces: packing and hashing have their price for each.
    fn pieces<E>(&self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        for line in self.raw() {
            if piece.len() + line.len() >= PIECE_BYTES {
                each(&piece)?;
                piece.clear();
            }
            piece.extend_from_slice(line);
            piece.push(b'\n');
        }
        each(&piece)
    }

    /// What is in only one of two versions.
    pub(crate) fn difference(&self, newer: &Entries, sample: usize) -> Difference {
        let mut difference = Difference::default();
        let (mut old, mut new) = (self.raw().peekable(), newer.raw().peekable());
        loop {
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

    /// Writes the lines as gzip and makes them durable.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut out = GzEncoder::new(BufWriter::new(File::create(path)?), Compression::fast());
        self.pieces(|piece| out.write_all(piece))?;
        out.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    }

    /// Reads lines that [`Entries::write`] wrote; `hash` and `len` prove that they are whole.
    pub(crate) fn read(path: &Path, hash: &str, len: u64) -> Result<Entries, ListError> {
        let damaged = |why: String| ListError::Damaged { path: path.display().to_string(), why };
        let file = File::open(path).map_err(|e| damaged(e.to_string()))?;
        let mut text = Vec::new();
        GzDecoder::new(BufReader::new(file))
            .take(MAX_TEXT_BYTES as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|e| damaged(e.to_string()))?;
        if text.len() > MAX_TEXT_BYTES {
            return Err(damaged("longer than any list".to_owned()));
        }
        let mut lines = Vec::with_capacity(usize::try_from(len).unwrap_or(0).min(text.len()));
        let mut start = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let end = start + line.len();
            if line.last() == Some(&b'\n') {
                lines.push((start as u32, line.len() as u32 - 1));
            }
            start = end;
        }
        let entries = Entries { text, lines };
        if entries.len() != len || entries.hash() != hash {
            return Err(damaged("not what was stored".to_owned()));
        }
        Ok(entries)
    }
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

fn note(count: &mut u64, sample: &mut Vec<String>, line: Option<&[u8]>, limit: usize) {
    *count += 1;
    if let Some(entry) = line.filter(|_| sample.len() < limit).and_then(entry_of) {
        sample.push(match entry {
            Entry::Domain(text) | Entry::Url(text) => text.into_owned(),
            Entry::Expression(text) => format!("expression {text}"),
            Entry::Keyword(text) => format!("keyword {text}"),
        });
    }
}

fn entry_of(line: &[u8]) -> Option<Entry<'_>> {
    let (kind, text) = line.split_first()?;
    let text = Cow::Borrowed(std::str::from_utf8(text).ok()?);
    match *kind {
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
