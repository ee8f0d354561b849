//! The texts of one column in one row group, as dictionary numbers.
//!
//! The Parquet crate gives decompressed pages. Of these, this module reads what a search wants and the
//! crate's own readers do not give: the dictionary by itself, and the rows as numbers of it. The
//! layouts are those of the format's specification (`Encodings.md`): PLAIN texts, and the mix of runs
//! and packed bits that both levels and dictionary numbers use.

use crate::find::Finder;
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader};

/// The number of a row without a value.
pub(crate) const NONE: u32 = u32::MAX;

/// Each text once (or, where a page has no dictionary, once a row), and the rows as numbers of them.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    buffers: Vec<Bytes>,
    /// Buffer, start and length.
    entries: Vec<(u32, u32, u32)>,
    pub(crate) numbers: Vec<u32>,
}

impl Texts {
    /// Rows of which none has a text.
    pub(crate) fn empty(rows: usize) -> Self {
        Self { numbers: vec![NONE; rows], ..Self::default() }
    }

    /// How many texts there are.
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    /// The text of a number.
    pub(crate) fn entry(&self, number: u32) -> Option<&str> {
        let (buffer, start, length) = *self.entries.get(number as usize)?;
        let bytes = &self.buffers[buffer as usize][start as usize..(start + length) as usize];
        // Looked at when it was taken in.
        std::str::from_utf8(bytes).ok()
    }

    /// The text of a row; `None` where it has none.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<&str> {
        self.numbers.get(row).and_then(|number| self.entry(*number))
    }

    /// Of each text, whether another one stands in it. Looks through the bytes of all at once.
    pub(crate) fn holding(&self, finder: &Finder) -> Vec<bool> {
        if finder.len() == 0 {
            return vec![true; self.entries.len()];
        }
        let mut holding = vec![false; self.entries.len()];
        for (buffer, bytes) in (0..).zip(&self.buffers) {
            for place in finder.places(bytes) {
                // The texts stand in their order; between two is a length.
                let behind = self
                    .entries
                    .partition_point(|(of, start, _)| (*of, *start as usize) <= (buffer, place));
                let Some(number) = behind.checked_sub(1) else { continue };
                let (of, start, length) = self.entries[number];
                let end = start as usize + length as usize;
                holding[number] |= of == buffer && place + finder.len() <= end;
            }
        }
        holding
    }

    /// Takes in texts, each behind its length (4 bytes, little-endian).
    fn take_plain(&mut self, bytes: Bytes, count: usize) -> Result<(), &'static str> {
        let buffer = self.buffers.len() as u32;
        // Bytes of ASCII alone are UTF-8 wherever they are cut.
        let is_ascii = bytes.is_ascii();
        let mut at = 0;
        for _ in 0..count {
            let head = bytes.get(at..at + 4).and_then(|head| head.first_chunk::<4>());
            let length = u32::from_le_bytes(*head.ok_or("a text is cut off")?);
            at += 4;
            let text = bytes.get(at..).and_then(|rest| rest.get(..length as usize));
            let text = text.ok_or("a text is cut off")?;
            if !is_ascii && std::str::from_utf8(text).is_err() {
                return Err("a text is not UTF-8");
            }
            self.entries.push((buffer, at as u32, length));
            at += length as usize;
        }
        self.buffers.push(bytes);
        Ok(())
    }
}

/// Reads the dictionary alone; `None` where the first page is none.
pub(crate) fn dictionary(pages: &mut dyn PageReader) -> Result<Option<Texts>, Failure> {
    let Some(Page::DictionaryPage { buf, num_values, .. }) = pages.get_next_page()? else {
        return Ok(None);
    };
    let mut texts = Texts::default();
    texts.take_plain(buf, num_values as usize)?;
    Ok(Some(texts))
}

/// Every page of a column, unpacked.
pub(crate) fn all(pages: &mut dyn PageReader) -> Result<Vec<Page>, Failure> {
    let mut all = Vec::new();
    while let Some(page) = pages.get_next_page()? {
        all.push(page);
    }
    Ok(all)
}

/// Whether a text may stand in one of the pages' texts. `false` is certain; what else stands in a page, as lengths
/// and numbers, may look like it.
pub(crate) fn may_hold(pages: &[Page], finder: &Finder) -> bool {
    finder.len() == 0 || pages.iter().any(|page| finder.places(page.buffer()).next().is_some())
}

/// Makes a whole column of `rows` rows of its pages.
pub(crate) fn texts(pages: Vec<Page>, rows: usize, optional: bool) -> Result<Texts, Failure> {
    let mut texts = Texts::default();
    let mut defined = Vec::new();
    for page in pages {
        let (buf, count, encoding) = match page {
            Page::DictionaryPage { .. }
                if !texts.buffers.is_empty() || !texts.numbers.is_empty() =>
            {
                return Err("a second dictionary".into());
            }
            Page::DictionaryPage { buf, num_values, .. } => {
                texts.take_plain(buf, num_values as usize)?;
                continue;
            }
            Page::DataPage { buf, num_values, encoding, .. } => {
                (buf, num_values as usize, encoding)
            }
            Page::DataPageV2 { .. } => return Err("an unexpected kind of page".into()),
        };
        if count > rows - texts.numbers.len() {
            return Err("more rows than the group has".into());
        }
        let mut values = buf;
        defined.clear();
        if optional {
            let head = values.first_chunk::<4>().ok_or("a page is cut off")?;
            let length = u32::from_le_bytes(*head) as usize;
            let levels = values.get(4..).and_then(|rest| rest.get(..length));
            unpack(levels.ok_or("a page is cut off")?, 1, count, &mut defined)?;
            values = values.slice(4 + length..);
        } else {
            defined.resize(count, 1);
        }
        let present = defined.iter().filter(|level| **level == 1).count();
        match encoding {
            Encoding::PLAIN => {
                let first = texts.entries.len() as u32;
                texts.take_plain(values, present)?;
                spread(&mut texts.numbers, &defined, first..first + present as u32);
            }
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                let (&width, packed) = values.split_first().ok_or("a page is cut off")?;
                if present == count {
                    unpack(packed, width.into(), count, &mut texts.numbers)?;
                } else {
                    let mut numbers = Vec::with_capacity(present);
                    unpack(packed, width.into(), present, &mut numbers)?;
                    spread(&mut texts.numbers, &defined, numbers.into_iter());
                }
            }
            _ => return Err("an unexpected encoding".into()),
        }
    }
    if texts.numbers.len() != rows {
        return Err("fewer rows than the group has".into());
    }
    let count = texts.entries.len() as u32;
    match texts.numbers.iter().all(|number| *number < count || *number == NONE) {
        true => Ok(texts),
        false => Err("a number that the dictionary does not have".into()),
    }
}

/// Gives each row with a value the next of `numbers`.
fn spread(rows: &mut Vec<u32>, defined: &[u32], mut numbers: impl Iterator<Item = u32>) {
    rows.extend(defined.iter().map(|level| match level {
        0 => NONE,
        _ => numbers.next().unwrap_or(NONE),
    }));
}

/// Reads `count` numbers of `width` bits from the mix of runs and packed groups of eight.
pub(crate) fn unpack(
    bytes: &[u8],
    width: u32,
    count: usize,
    into: &mut Vec<u32>,
) -> Result<(), &'static str> {
    const CUT_OFF: &str = "packed numbers are cut off";
    if width > 32 {
        return Err("packed numbers are too wide");
    }
    let (mut bytes, mut left) = (bytes, count);
    while left > 0 {
        let head = take_varint(&mut bytes).ok_or(CUT_OFF)?;
        if head & 1 == 0 {
            let length = width.div_ceil(8) as usize;
            let (value, rest) = bytes.split_at_checked(length).ok_or(CUT_OFF)?;
            bytes = rest;
            let value = value.iter().rev().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
            let run = usize::try_from(head >> 1).unwrap_or(usize::MAX).min(left);
            if run == 0 {
                return Err("an empty run");
            }
            into.resize(into.len() + run, value);
            left -= run;
        } else {
            let groups = usize::try_from(head >> 1).unwrap_or(usize::MAX);
            let length = groups.checked_mul(width as usize).ok_or(CUT_OFF)?.min(bytes.len());
            let (packed, rest) = bytes.split_at(length);
            bytes = rest;
            let run = groups.saturating_mul(8).min(left);
            if run == 0 || packed.len() * 8 < run * width as usize {
                return Err(CUT_OFF);
            }
            unpack_bits(packed, width, run, into);
            left -= run;
        }
    }
    Ok(())
}

/// `packed` holds at least `count` numbers of `width` bits, lowest bits first.
fn unpack_bits(packed: &[u8], width: u32, count: usize, into: &mut Vec<u32>) {
    let mask = (1_u64 << width) - 1;
    let (mut held, mut bits, mut bytes) = (0_u64, 0, packed.iter());
    into.extend((0..count).map(|_| {
        while bits < width {
            held |= u64::from(bytes.next().copied().unwrap_or(0)) << bits;
            bits += 8;
        }
        let value = (held & mask) as u32;
        held >>= width;
        bits -= width;
        value
    }));
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A page that cannot be had, or one that is not as it should be.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(std::io::Error),
    Parquet(parquet::errors::ParquetError),
    Content(&'static str),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<parquet::errors::ParquetError> for Failure {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Parquet(error)
    }
}

impl From<&'static str> for Failure {
    fn from(what: &'static str) -> Self {
        Self::Content(what)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_and_packed_groups_are_read_as_the_format_says() {
        // The example of the specification: 0 to 7 in three bits each.
        let mut numbers = Vec::new();
        unpack(&[0b11, 0b1000_1000, 0b1100_0110, 0b1111_1010], 3, 8, &mut numbers).unwrap();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
        // A run of 100 times 4, then half of a packed group.
        numbers.clear();
        unpack(&[0xc8, 0x01, 4, 0b11, 0b1000_1000, 0b1100_0110, 0b1111_1010], 3, 104, &mut numbers)
            .unwrap();
        assert_eq!(numbers.len(), 104);
        assert!(numbers[..100].iter().all(|number| *number == 4));
        assert_eq!(numbers[100..], [0, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_unpacked_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            width in 0_u32..40,
            count in 0_usize..5000,
        ) {
            let mut numbers = Vec::new();
            if unpack(&bytes, width, count, &mut numbers).is_ok() {
                prop_assert_eq!(numbers.len(), count);
            }
        }

        #[test]
        fn a_search_of_all_texts_at_once_finds_what_one_of_each_does(
            all in prop::collection::vec("[abA/\u{e9}]{0,6}", 0..20),
            text in "[ab/\u{e9}]{0,3}",
        ) {
            let mut bytes = Vec::new();
            for entry in &all {
                bytes.extend_from_slice(&(entry.len() as u32).to_le_bytes());
                bytes.extend_from_slice(entry.as_bytes());
            }
            let mut texts = Texts::default();
            texts.take_plain(bytes.into(), all.len()).unwrap();
            let finder = Finder::new(&text);
            let each: Vec<bool> = all.iter().map(|entry| finder.is_in(entry)).collect();
            prop_assert_eq!(texts.holding(&finder), each);
        }

        #[test]
        fn any_bytes_are_taken_for_texts_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            count in 0_usize..20,
        ) {
            let mut texts = Texts::default();
            if texts.take_plain(bytes.into(), count).is_ok() {
                prop_assert_eq!(texts.count(), count);
            }
        }
    }
}
