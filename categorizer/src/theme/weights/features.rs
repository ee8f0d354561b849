//! What a text is weighed by: its words, pairs of words that stand together or nearly, and pieces of words.
//!
//! | name | is |
//! |---|---|
//! | `kill` | a word, in the spelling of [`letters`](super::super::letters) |
//! | `kill myself` | two words in a row |
//! | `^ kill`, `myself $` | the first word, and the last |
//! | `kill * myself` | with one or two words between |
//! | `~<kil`, `~ill>` | three to five letters of a word, `<` and `>` its ends |

use std::ops::Range;

use super::super::disguise::MAX_BYTES;
use super::super::words::{Splitter, Word};

/// Most words of a text that are read.
const MAX_WORDS: usize = 1_024;
/// Most letters of a word of which pieces are taken.
const MAX_LETTERS: usize = 24;
/// Fewest letters set apart that are taken for a word.
const MIN_APART: usize = 3;
/// Letters of a piece.
const PIECE: Range<usize> = 3..6;

/// A word that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    /// Its letters, in [`Words::letters`].
    letters: (u32, u32),
    /// Where it stands in the text, in bytes.
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The words of a text; kept from text to text.
#[derive(Debug, Default)]
pub(super) struct Words {
    letters: Vec<u8>,
    words: Vec<Read>,
}

impl Words {
    /// Reads a text: at most its first [`MAX_BYTES`]. Digits that stand for letters are read as these, and letters set
    /// apart as a word.
    pub(super) fn read(&mut self, text: &str) {
        let Self { letters, words } = self;
        letters.clear();
        words.clear();
        let text = &text[..text.floor_char_boundary(text.len().min(MAX_BYTES))];
        let mut out = |word: Word<'_>| {
            if words.len() < MAX_WORDS && !word.letters.is_empty() {
                let first = letters.len();
                letters.extend_from_slice(word.letters);
                undisguise(&mut letters[first..]);
                words.push(Read {
                    letters: (first as u32, letters.len() as u32),
                    start: word.start as u32,
                    end: word.end as u32,
                });
            }
        };
        let mut splitter = Splitter::default();
        splitter.feed(text, &mut out);
        splitter.finish(&mut out);
        self.join();
    }

    /// Joins letters that stand apart.
    fn join(&mut self) {
        let is_letter = |word: &Read, letters: &[u8]| {
            word.letters.1 - word.letters.0 == 1
                && letters[word.letters.0 as usize].is_ascii_lowercase()
        };
        let (mut from, mut to) = (0, 0);
        while from < self.words.len() {
            let apart = self.words[from..].iter().take_while(|word| is_letter(word, &self.letters));
            let apart = apart.count();
            let taken = if apart >= MIN_APART { apart } else { 1 };
            let (first, last) = (self.words[from], self.words[from + taken - 1]);
            self.words[to] = Read {
                letters: (first.letters.0, last.letters.1),
                start: first.start,
                end: last.end,
            };
            (from, to) = (from + taken, to + 1);
        }
        self.words.truncate(to);
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    pub(super) fn words(&self) -> &[Read] {
        &self.words
    }

    /// The letters of the word at a place.
    pub(super) fn letters(&self, word: usize) -> &[u8] {
        let (first, end) = self.words[word].letters;
        &self.letters[first as usize..end as usize]
    }

    /// Hands on what some of the words are weighed by: the parts of its name, and its first and last word.
    #[inline]
    pub(super) fn features(&self, of: Range<usize>, out: &mut impl FnMut(&[&[u8]], usize, usize)) {
        for at in of.clone() {
            let word = self.letters(at);
            out(&[word], at, at);
            if at == 0 {
                out(&[b"^ ", word], at, at);
            }
            match at + 1 < of.end {
                true => out(&[word, b" ", self.letters(at + 1)], at, at + 1),
                false if at + 1 == self.words.len() => out(&[word, b" $"], at, at),
                false => {}
            }
            for other in (at + 2..of.end).take(2) {
                out(&[word, b" * ", self.letters(other)], at, other);
            }
            if word.is_ascii() {
                pieces(word, &mut |piece| out(&[b"~", piece], at, at));
            }
        }
    }
}

/// Hands on the pieces of a word.
#[inline]
fn pieces(word: &[u8], out: &mut impl FnMut(&[u8])) {
    let mut ended = [b'<'; MAX_LETTERS + 2];
    let length = word.len().min(MAX_LETTERS);
    ended[1..=length].copy_from_slice(&word[..length]);
    ended[length + 1] = b'>';
    let ended = &ended[..length + 2];
    for first in 0..ended.len() {
        for piece in PIECE.filter_map(|length| ended.get(first..first + length)) {
            out(piece);
        }
    }
}

/// Reads digits in a word as the letters that they look like. Not those of `3rd`, `18s` or `a4`.
fn undisguise(word: &mut [u8]) {
    let letters = word.iter().filter(|letter| letter.is_ascii_lowercase()).count();
    let digits = word.iter().filter(|letter| letter.is_ascii_digit()).count();
    let begins = word.iter().take_while(|letter| letter.is_ascii_digit()).count();
    let is_number = begins == digits && letters <= 2 || letters == 1;
    if digits == 0 || letters == 0 || letters + digits < word.len() || is_number {
        return;
    }
    for letter in word {
        *letter = match *letter {
            b'0' => b'o',
            b'1' => b'i',
            b'3' => b'e',
            b'4' => b'a',
            b'5' => b's',
            b'7' => b't',
            other => other,
        };
    }
}
