//! Cutting a text into words, in the spelling of [`letters`](super::letters).

use super::letters::{self, ASCII, BETWEEN, Folded, LEFT_OUT};

/// Longest word that can be looked for, in bytes. A longer one is a word, and an unknown one.
pub(super) const MAX_WORD_BYTES: usize = 64;

/// A word of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// Its letters; none if it is too long.
    pub(super) letters: &'a [u8],
    /// Where it begins in the text, in bytes, and where it ends.
    pub(super) start: u64,
    pub(super) end: u64,
}

/// Cuts a text that comes in pieces.
#[derive(Clone, Debug)]
pub(super) struct Splitter {
    letters: [u8; MAX_WORD_BYTES],
    length: usize,
    is_long: bool,
    start: u64,
    end: u64,
    /// Where in the text the next piece begins.
    base: u64,
}

impl Default for Splitter {
    fn default() -> Self {
        let letters = [0; MAX_WORD_BYTES];
        Self { letters, length: 0, is_long: false, start: 0, end: 0, base: 0 }
    }
}

impl Splitter {
    /// Takes the text that comes next, and hands on the words that end in it.
    pub(super) fn feed(&mut self, text: &str, out: &mut impl FnMut(Word<'_>)) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if byte < 0x80 {
                match ASCII[usize::from(byte)] {
                    BETWEEN => self.finish(out),
                    LEFT_OUT => {}
                    _ => {
                        at = self.ascii(bytes, at);
                        continue;
                    }
                }
                at += 1;
                continue;
            }
            let Some(letter) = text[at..].chars().next() else { break };
            letters::fold(letter, &mut |folded| match folded {
                Folded::Between => self.finish(out),
                Folded::Picture(picture) => {
                    self.finish(out);
                    self.begin(at);
                    self.push(picture);
                    self.end = self.base + (at + letter.len_utf8()) as u64;
                    self.finish(out);
                }
                Folded::Letter(folded) => {
                    self.begin(at);
                    self.push(folded);
                    self.end = self.base + (at + letter.len_utf8()) as u64;
                }
            });
            at += letter.len_utf8();
        }
        self.base += bytes.len() as u64;
    }

    /// Takes ASCII letters as long as they come, and says where they end.
    #[inline]
    fn ascii(&mut self, bytes: &[u8], at: usize) -> usize {
        self.begin(at);
        let run = &bytes[at..];
        let mut length = 0;
        for (place, &byte) in self.letters[self.length..].iter_mut().zip(run) {
            let letter = ASCII[usize::from(byte)];
            if letter <= LEFT_OUT {
                break;
            }
            *place = letter;
            length += 1;
        }
        self.length += length;
        if self.length == MAX_WORD_BYTES {
            let more = &run[length..];
            let is_end = |byte: &u8| ASCII[usize::from(*byte)] <= LEFT_OUT;
            let more = more.iter().position(is_end).unwrap_or(more.len());
            self.is_long |= more > 0;
            length += more;
        }
        self.end = self.base + (at + length) as u64;
        at + length
    }

    /// Ends the word that is open, if one is: at the end of the text.
    #[inline]
    pub(super) fn finish(&mut self, out: &mut impl FnMut(Word<'_>)) {
        if self.length == 0 {
            return;
        }
        let length = if self.is_long { 0 } else { self.length };
        out(Word { letters: &self.letters[..length], start: self.start, end: self.end });
        (self.length, self.is_long) = (0, false);
    }

    /// Whether a word has begun that has not ended.
    pub(super) fn is_open(&self) -> bool {
        self.length > 0
    }

    #[inline]
    fn begin(&mut self, at: usize) {
        if self.length == 0 {
            self.start = self.base + at as u64;
        }
    }

    fn push(&mut self, letter: char) {
        let room = &mut self.letters[self.length..];
        if room.len() < letter.len_utf8() {
            self.is_long = true;
        } else {
            self.length += letter.encode_utf8(room).len();
        }
    }
}

/// The words of a whole text.
pub(super) fn words(text: &str) -> Vec<String> {
    let (mut splitter, mut words) = (Splitter::default(), Vec::new());
    let mut out = |word: Word<'_>| words.push(String::from_utf8_lossy(word.letters).into_owned());
    splitter.feed(text, &mut out);
    splitter.finish(&mut out);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn placed(pieces: &[&str]) -> Vec<(String, u64, u64)> {
        let (mut splitter, mut words) = (Splitter::default(), Vec::new());
        let mut out = |word: Word<'_>| {
            words.push((String::from_utf8_lossy(word.letters).into_owned(), word.start, word.end));
        };
        pieces.iter().for_each(|piece| splitter.feed(piece, &mut out));
        splitter.finish(&mut out);
        words
    }

    #[test]
    fn words_have_their_places() {
        let expected = [("dont", 1, 6), ("zabic", 7, 13), ("sie", 14, 18), ("2", 19, 20)];
        let expected = expected.map(|(word, start, end)| (word.to_owned(), start, end));
        assert_eq!(placed(&["'Don't-zabić się,2"]), expected);
    }

    #[test]
    fn a_picture_is_a_word_whatever_it_stands_beside() {
        let words: Vec<_> = placed(&["buy🔪s 👋🏽"]).into_iter().map(|word| word.0).collect();
        assert_eq!(words, ["buy", "🔪", "s", "👋"]);
    }

    #[test]
    fn a_word_that_is_too_long_is_one_unknown_word() {
        let long = "a".repeat(MAX_WORD_BYTES + 1);
        let words = placed(&[&format!("x {long} y")]);
        let lengths: Vec<_> = words.iter().map(|word| word.0.len()).collect();
        assert_eq!(lengths, [1, 0, 1]);
        assert_eq!(placed(&[&"a".repeat(MAX_WORD_BYTES)])[0].0.len(), MAX_WORD_BYTES);
        assert_eq!(placed(&[&"少".repeat(MAX_WORD_BYTES)])[0].0, "");
    }

    proptest! {
        #[test]
        fn however_a_text_is_cut_its_words_are_the_same(
            text in r"[a-c' .é\u{301}ẞ少🔪]{0,90}", cut in 0_usize..90
        ) {
            let cut = (0..=cut.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            prop_assert_eq!(placed(&[&text[..cut], &text[cut..]]), placed(&[&text]));
        }
    }
}
