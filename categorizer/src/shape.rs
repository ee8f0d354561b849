//! What a short name is made of and where its dots lie, found eight letters at a time: lists have
//! millions of names, and what is asked of each goes letter by letter otherwise.

/// Longest text that has a shape, in bytes.
pub(crate) const MAX_BYTES: usize = 64;

/// What a text is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// One bit for each byte that is a dot; the lowest is the first byte's.
    pub(crate) dots: u64,
    /// Whether it has hyphens.
    pub(crate) has_hyphens: bool,
    /// Whether it has anything else than dots, hyphens, digits, lower-case letters of ASCII and `_`.
    pub(crate) has_others: bool,
}

impl Shape {
    /// The shape of a text; `None` for one that is longer than [`MAX_BYTES`].
    #[inline]
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let mut shape = Words::default();
        let (words, rest) = text.as_chunks::<8>();
        for (place, word) in words.iter().enumerate() {
            shape.add(u64::from_le_bytes(*word), place * 8);
        }
        if !rest.is_empty() {
            // Filled up with letters, which are nothing to a shape.
            let fill = (ONES * u64::from(b'a')) << (rest.len() * 8);
            shape.add(short_word(text, rest) | fill, words.len() * 8);
        }
        let Words { dots, hyphens, others } = shape;
        Some(Self { dots, has_hyphens: hyphens & TOPS != 0, has_others: others & TOPS != 0 })
    }
}

/// A shape in the making: of hyphens and others the top bits of bytes count.
#[derive(Default)]
struct Words {
    dots: u64,
    hyphens: u64,
    others: u64,
}

impl Words {
    /// Takes in eight bytes that begin at a place.
    #[inline]
    fn add(&mut self, word: u64, place: usize) {
        // With the top bit of each byte free, sums stay within their bytes.
        let plain = word & !TOPS;
        let from = |least: u8| plain + ONES * u64::from(128 - least);
        let (hyphen, dot, slash) = (from(b'-'), from(b'.'), from(b'/'));
        let known = hyphen & !slash
            | from(b'0') & !from(b'9' + 1)
            | from(b'_') & !from(b'_' + 1)
            | from(b'a') & !from(b'z' + 1);
        self.others |= word | !known;
        self.hyphens |= hyphen & !dot & !word;
        // The top bits of eight bytes become one byte.
        let tops = (dot & !slash & !word & TOPS) >> 7;
        self.dots |= (tops.wrapping_mul(0x0102_0408_1020_4080) >> 56) << place;
    }
}

/// Less than eight bytes at the end of a text as a word, filled up with zeros.
#[inline]
fn short_word(text: &[u8], rest: &[u8]) -> u64 {
    match text.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last) >> (64 - rest.len() * 8),
        None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
/// The top bit of each byte.
const TOPS: u64 = ONES << 7;
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use proptest::prelude::*;

    fn letter_by_letter(text: &[u8]) -> Shape {
        let places = text.iter().enumerate().filter(|(_, byte)| **byte == b'.');
        let plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        Shape {
            dots: places.fold(0, |bits, (place, _)| bits | 1 << place),
            has_hyphens: text.contains(&b'-'),
            has_others: !text.iter().all(plain),
        }
    }

    #[test]
    fn every_byte_at_every_place_of_every_length_is_what_it_is() {
        for length in 1..=MAX_BYTES {
            for place in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'x'; length];
                    text[place] = byte;
                    let shape = Shape::of(&text).unwrap();
                    assert_eq!(shape, letter_by_letter(&text), "{byte} at {place} of {length}");
                }
            }
        }
        assert_eq!(Shape::of(b""), Some(Shape::default()));
        assert_eq!(Shape::of(&[b'x'; MAX_BYTES + 1]), None);
    }

    proptest! {
        #[test]
        fn a_shape_is_what_going_letter_by_letter_gives(text in prop::collection::vec(any::<u8>(), 0..=64)) {
            prop_assert_eq!(Shape::of(&text).unwrap(), letter_by_letter(&text));
        }
    }
}
