//! The words that packs know, by their letters.

use std::collections::BTreeSet;

use crate::hash;

/// A word that packs know: what it can be a part of. 0 is a word that they do not know.
pub(super) type WordId = u32;
/// A word that no pack knows.
pub(super) const UNKNOWN: WordId = 0;

const SEED: u64 = 0x7468_656d_6573_0001;
/// Words of the bitmap that most unknown words end at, as a power of two: 32 KB.
const FILTER_BITS: u32 = 12;

/// Texts, each with a number, looked up without allocation.
#[derive(Clone, Debug)]
struct Table {
    /// The upper half of the hash, and the number, where the lower bits of the hash say. Two texts with one hash are taken
    /// for one, as nobody meets them by chance (one word in 2^30), and who made one would but be found to have said a
    /// word.
    slots: Box<[(u32, u32)]>,
    bytes: Box<[u8]>,
    /// Where each text begins, by number; one more than there are.
    starts: Box<[u32]>,
}

impl Table {
    /// Numbers different texts from 1, in their order.
    fn new<'t>(texts: impl ExactSizeIterator<Item = &'t [u8]>) -> Self {
        let size = (texts.len() * 2).max(8).next_power_of_two();
        let (mut slots, mut bytes) = (vec![(0, 0); size], Vec::new());
        let mut starts = vec![0, 0];
        for (number, text) in (1..).zip(texts) {
            bytes.extend_from_slice(text);
            starts.push(bytes.len() as u32);
            let hash = hash::extend(SEED, text);
            let mut slot = hash as usize & (size - 1);
            while slots[slot].1 != 0 {
                slot = (slot + 1) & (size - 1);
            }
            slots[slot] = (upper(hash), number);
        }
        Self { slots: slots.into(), bytes: bytes.into(), starts: starts.into() }
    }

    #[inline]
    fn look_up(&self, hash: u64) -> u32 {
        let mut slot = hash as usize & (self.slots.len() - 1);
        loop {
            let (known, number) = self.slots[slot];
            if number == 0 || known == upper(hash) {
                return number;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn text(&self, number: u32) -> &[u8] {
        let number = number as usize;
        &self.bytes[self.starts[number] as usize..self.starts[number + 1] as usize]
    }

    fn memory_bytes(&self) -> usize {
        size_of_val(&*self.slots) + self.bytes.len() + size_of_val(&*self.starts)
    }
}

/// A word by its letters, and the number of a part that it fits, if it fits one.
pub(super) type Spelled = (String, Option<u32>);

/// The letters of a word, which stands there once for each of its parts.
fn letters(of_one_word: &[Spelled]) -> &[u8] {
    of_one_word.first().map_or(&[], |(word, _)| word.as_bytes())
}

/// The known words and beginnings, each with the parts of phrases that it fits.
#[derive(Clone, Debug)]
pub(super) struct Vocabulary {
    words: Table,
    beginnings: Table,
    /// Beginnings follow the words in numbering.
    word_count: u32,
    /// The lengths that beginnings have, longest first.
    lengths: Box<[usize]>,
    filter: Box<[u64]>,
    first_bytes: Box<[u64]>,
    /// Where the parts of a word begin; one more than there are words, beginnings and [`UNKNOWN`].
    part_starts: Box<[u32]>,
    parts: Box<[u32]>,
    /// By word, a bit for each of its parts: what is not in it needs no look at the parts.
    signatures: Box<[u64]>,
}

/// A part's bit in a signature.
#[inline]
pub(super) fn signature(part: u32) -> u64 {
    1 << (part & 63)
}

impl Vocabulary {
    /// Compiles words, and beginnings of words, each with the number of a part that it fits, or with none. Both in
    /// order; what fits several parts stands there as often.
    pub(super) fn new(words: &[Spelled], beginnings: &[Spelled]) -> Self {
        let by_letters = |one: &Spelled, two: &Spelled| one.0 == two.0;
        let words: Vec<&[Spelled]> = words.chunk_by(by_letters).collect();
        let beginnings: Vec<&[Spelled]> = beginnings.chunk_by(by_letters).collect();
        let mut filter = vec![0_u64; 1 << FILTER_BITS];
        for word in &words {
            let (at, bit) = place(hash::extend(SEED, letters(word)));
            filter[at] |= 1 << bit;
        }
        let mut first_bytes = vec![0_u64; 1 << FILTER_BITS];
        for beginning in &beginnings {
            let (at, bit) = place(first_three(letters(beginning)));
            first_bytes[at] |= 1 << bit;
        }
        let lengths: BTreeSet<usize> = beginnings.iter().map(|one| letters(one).len()).collect();
        let mut part_starts = vec![0, 0];
        let mut parts: Vec<u32> = Vec::new();
        let mut signatures = vec![0];
        let mut own: Vec<u32> = Vec::new();
        for word in words.iter().chain(&beginnings) {
            own.clear();
            own.extend(word.iter().filter_map(|(_, part)| *part));
            // A word has the parts of the beginnings that it has, too; so has a longer beginning.
            for start in lengths.iter().filter_map(|&length| letters(word).get(..length)) {
                if let Ok(place) = beginnings.binary_search_by(|one| letters(one).cmp(start)) {
                    own.extend(beginnings[place].iter().filter_map(|(_, part)| *part));
                }
            }
            own.sort_unstable();
            own.dedup();
            signatures.push(own.iter().fold(0, |bits, &part| bits | signature(part)));
            parts.extend_from_slice(&own);
            part_starts.push(parts.len() as u32);
        }
        Self {
            words: Table::new(words.iter().map(|word| letters(word))),
            beginnings: Table::new(beginnings.iter().map(|one| letters(one))),
            word_count: words.len() as u32,
            lengths: lengths.into_iter().rev().collect(),
            filter: filter.into(),
            first_bytes: first_bytes.into(),
            part_starts: part_starts.into(),
            parts: parts.into(),
            signatures: signatures.into(),
        }
    }

    /// The word of these letters, or the longest known beginning of it.
    #[inline]
    pub(super) fn look_up(&self, letters: &[u8]) -> WordId {
        match self.whole(letters) {
            UNKNOWN => self.beginning(letters),
            word => word,
        }
    }

    /// The word of exactly these letters.
    #[inline]
    pub(super) fn whole(&self, letters: &[u8]) -> WordId {
        let hash = hash::extend(SEED, letters);
        let (at, bit) = place(hash);
        if self.filter[at] >> bit & 1 == 0 { UNKNOWN } else { self.words.look_up(hash) }
    }

    #[inline]
    fn beginning(&self, letters: &[u8]) -> WordId {
        let (at, bit) = place(first_three(letters));
        if self.first_bytes[at] >> bit & 1 == 0 {
            return UNKNOWN;
        }
        for &length in &self.lengths {
            let Some(start) = letters.get(..length) else { continue };
            let found = self.beginnings.look_up(hash::extend(SEED, start));
            if found != 0 {
                return self.word_count + found;
            }
        }
        UNKNOWN
    }

    /// The numbers of the parts that a word fits, in ascending order.
    #[inline]
    pub(super) fn parts(&self, word: WordId) -> &[u32] {
        let word = word as usize;
        &self.parts[self.part_starts[word] as usize..self.part_starts[word + 1] as usize]
    }

    /// A bit for each part that a word fits.
    #[inline]
    pub(super) fn signature(&self, word: WordId) -> u64 {
        self.signatures[word as usize]
    }

    /// All numbers, those of beginnings and [`UNKNOWN`] among them, in ascending order.
    pub(super) fn ids(&self) -> std::ops::Range<WordId> {
        0..self.signatures.len() as WordId
    }

    /// All words, without beginnings, in their order.
    pub(super) fn all(&self) -> impl Iterator<Item = (WordId, &[u8])> {
        (1..=self.word_count).map(|word| (word, self.words.text(word)))
    }

    /// The letters of a word that [`Vocabulary::whole`] gave.
    pub(super) fn letters(&self, word: WordId) -> &[u8] {
        if word <= self.word_count { self.words.text(word) } else { &[] }
    }

    pub(super) fn len(&self) -> usize {
        self.word_count as usize
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.words.memory_bytes()
            + self.beginnings.memory_bytes()
            + size_of_val(&*self.filter)
            + size_of_val(&*self.first_bytes)
            + size_of_val(&*self.part_starts)
            + size_of_val(&*self.parts)
            + size_of_val(&*self.signatures)
    }
}

#[inline]
fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[inline]
fn place(hash: u64) -> (usize, u32) {
    ((hash >> (64 - FILTER_BITS)) as usize, (hash >> (64 - FILTER_BITS - 6)) as u32 & 63)
}

#[inline]
fn first_three(letters: &[u8]) -> u64 {
    let first = match letters {
        [one, two, three, ..] => u64::from_le_bytes([*one, *two, *three, 0, 0, 0, 0, 0]),
        _ => 0,
    };
    first.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(entries: &[(&str, Option<u32>)]) -> Vec<Spelled> {
        entries.iter().map(|(word, part)| ((*word).to_owned(), *part)).collect()
    }

    #[test]
    fn a_word_fits_its_own_parts_and_those_of_its_beginnings() {
        let words = spelled(&[("ordinary", None), ("paedo", Some(1)), ("to", Some(2))]);
        let beginnings = spelled(&[("paed", Some(7)), ("paedoph", Some(9))]);
        let vocabulary = Vocabulary::new(&words, &beginnings);
        let parts = |word: &str| vocabulary.parts(vocabulary.look_up(word.as_bytes())).to_vec();
        assert_eq!(parts("paedo"), [1, 7]);
        assert_eq!(parts("paeds"), [7]);
        assert_eq!(parts("paedophiles"), [7, 9]);
        assert_eq!(parts("to"), [2]);
        assert!(parts("pae").is_empty() && parts("").is_empty() && parts("too").is_empty());
        assert_ne!(vocabulary.look_up(b"ordinary"), UNKNOWN);
        let known: Vec<_> = vocabulary.all().map(|(_, word)| word).collect();
        assert_eq!(known, [&b"ordinary"[..], b"paedo", b"to"]);
    }
}
