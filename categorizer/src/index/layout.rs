//! The bytes of an index: a header with a digest over the whole, four small parts, two tables.
//!
//! All numbers are little-endian.
//!
//! ```text
//! magic                 8 bytes, with the version of the format
//! ends                  8 bytes each: where version, lists, sets, patterns, names, urls end
//! most labels           4 bytes
//! single labels listed  4 bytes, 0 or 1
//! digest                8 bytes, over everything but itself
//! version, lists, sets, patterns, names, urls
//! ```

use super::{ListInfo, OpenError};
use crate::hash::{digest, extend};
use crate::pattern::Pattern;
use crate::table::{Table, TableWriter};

/// Changes with anything that changes what the bytes mean: layout, hash, spelling of URLs.
pub(super) const MAGIC: &[u8; 8] = b"SGINDEX3";
const PARTS: usize = 6;
pub(super) const DIGEST: std::ops::Range<usize> = 64..72;
const HEADER_BYTES: usize = 72;
const DIGEST_SEED: u64 = 0x5be0_cd19_137e_2179;

/// An index taken apart.
pub(super) struct Parts {
    pub(super) version: String,
    pub(super) lists: Vec<(ListInfo, u64)>,
    pub(super) sets: Vec<Vec<u16>>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) names: Table,
    pub(super) urls: Table,
    pub(super) max_labels: u32,
    pub(super) has_single_labels: bool,
}

/// What is written besides the tables.
pub(super) struct Header<'a> {
    pub(super) version: &'a str,
    pub(super) lists: &'a [(ListInfo, u64)],
    pub(super) sets: &'a [Vec<u16>],
    pub(super) patterns: &'a [Pattern],
    pub(super) max_labels: u32,
    pub(super) has_single_labels: bool,
}

/// Writes an index.
pub(super) fn write(header: &Header<'_>, names: TableWriter, urls: TableWriter) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + names.bytes() + urls.bytes());
    out.resize(HEADER_BYTES, 0);
    let mut ends = Vec::with_capacity(PARTS);
    out.extend_from_slice(header.version.as_bytes());
    ends.push(out.len());
    push_number(&mut out, header.lists.len());
    for (list, entries) in header.lists {
        for text in [&list.name, &list.category, &list.version] {
            push_text(&mut out, text);
        }
        out.extend_from_slice(&entries.to_le_bytes());
    }
    ends.push(out.len());
    push_number(&mut out, header.sets.len());
    for set in header.sets {
        push_number(&mut out, set.len());
        set.iter().for_each(|list| out.extend_from_slice(&list.to_le_bytes()));
    }
    ends.push(out.len());
    push_number(&mut out, header.patterns.len());
    for pattern in header.patterns {
        out.extend_from_slice(&pattern.list.to_le_bytes());
        out.push(u8::from(pattern.is_keyword));
        push_text(&mut out, &pattern.text);
    }
    ends.push(out.len());
    names.finish(&mut out);
    ends.push(out.len());
    urls.finish(&mut out);
    ends.push(out.len());

    out[..8].copy_from_slice(MAGIC);
    for (place, end) in ends.into_iter().enumerate() {
        out[8 + place * 8..16 + place * 8].copy_from_slice(&(end as u64).to_le_bytes());
    }
    out[56..60].copy_from_slice(&header.max_labels.to_le_bytes());
    out[60..64].copy_from_slice(&u32::from(header.has_single_labels).to_le_bytes());
    let sum = digest_of(&out);
    out[DIGEST].copy_from_slice(&sum.to_le_bytes());
    out
}

/// Checks the digest, reads all but the tables, and checks their bounds: the digest proves that the
/// bytes are those that were written, not that whoever wrote them meant well.
pub(super) fn read(bytes: &[u8]) -> Result<Parts, OpenError> {
    if bytes.get(..MAGIC.len()) != Some(MAGIC) {
        return Err(OpenError::Foreign);
    }
    let cut = OpenError::Damaged("it is cut short");
    if bytes.len() < HEADER_BYTES {
        return Err(cut);
    }
    let mut header = Reader { rest: &bytes[MAGIC.len()..HEADER_BYTES] };
    let mut ends = [HEADER_BYTES; PARTS + 1];
    for place in 1..=PARTS {
        let end = header.long().and_then(|end| usize::try_from(end).ok());
        ends[place] =
            end.filter(|&end| end >= ends[place - 1]).ok_or(OpenError::Damaged("header"))?;
    }
    if ends[PARTS] != bytes.len() {
        return Err(cut);
    }
    let max_labels = header.number().unwrap_or_default() as u32;
    let has_single_labels = header.number().unwrap_or_default() != 0;
    let stored = header.long();
    if stored != Some(digest_of(bytes)) {
        return Err(OpenError::Damaged("its digest differs"));
    }
    let part = |place: usize| Reader { rest: &bytes[ends[place]..ends[place + 1]] };
    let version =
        String::from_utf8(part(0).rest.to_vec()).map_err(|_| OpenError::Damaged("version"))?;
    let lists = part(1).lists().ok_or(OpenError::Damaged("lists"))?;
    let known = |&list: &u16| usize::from(list) < lists.len();
    let sets = part(2).sets().ok_or(OpenError::Damaged("sets"))?;
    let patterns = part(3).patterns().ok_or(OpenError::Damaged("patterns"))?;
    if !sets.iter().flatten().all(known) || !patterns.iter().all(|pattern| known(&pattern.list)) {
        return Err(OpenError::Damaged("a list that is not there"));
    }
    let table = |place| {
        Table::open(bytes, ends[place], ends[place + 1]).ok_or(OpenError::Damaged("a table"))
    };
    let (names, urls) = (table(4)?, table(5)?);
    Ok(Parts { version, lists, sets, patterns, names, urls, max_labels, has_single_labels })
}

/// Of a whole index, the digest's own place left out.
pub(super) fn digest_of(bytes: &[u8]) -> u64 {
    digest(extend(DIGEST_SEED, &bytes[..DIGEST.start]), &bytes[DIGEST.end..])
}

pub(super) fn push_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u32).to_le_bytes());
}

pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    push_number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Takes values off the front of bytes that may be anything.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
}

impl Reader<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*head)
    }

    pub(super) fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn number(&mut self) -> Option<usize> {
        self.take().map(|bytes| u32::from_le_bytes(bytes) as usize)
    }

    fn short(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let length = self.number()?;
        let text = String::from_utf8(self.rest.get(..length)?.to_vec()).ok()?;
        self.rest = &self.rest[length..];
        Some(text)
    }

    /// As many as stand there, each read by `one`. The number is not believed before they are there.
    pub(super) fn many<T>(&mut self, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        let mut all = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            all.push(one(self)?);
        }
        Some(all)
    }

    /// As many hashes as stand there.
    pub(super) fn hashes(&mut self) -> Option<Vec<u64>> {
        let bytes = usize::try_from(self.long()?).ok()?.checked_mul(8)?;
        let (hashes, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        let (hashes, _) = hashes.as_chunks();
        Some(hashes.iter().map(|hash| u64::from_le_bytes(*hash)).collect())
    }

    fn lists(mut self) -> Option<Vec<(ListInfo, u64)>> {
        self.many(|reader| {
            let (name, category, version) = (reader.text()?, reader.text()?, reader.text()?);
            Some((ListInfo { name, category, version }, reader.long()?))
        })
    }

    fn sets(mut self) -> Option<Vec<Vec<u16>>> {
        self.many(|reader| reader.many(Self::short))
    }

    fn patterns(mut self) -> Option<Vec<Pattern>> {
        self.many(|reader| {
            let (list, kind) = (reader.short()?, reader.take::<1>()?);
            Some(Pattern { list, is_keyword: kind != [0], text: reader.text()? })
        })
    }
}
