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
use super::super::letters::look_alike;
use super::super::words::{Splitter, Word};

/// Most words of a text that are read.
const MAX_WORDS: usize = 1_024;
/// Most letters of a word of which pieces are taken.
const MAX_LETTERS: usize = 24;
/// Most letters before a sign that stands for one: `d!e`, `n@ked`.
const MAX_BEFORE_SIGN: usize = 3;
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
    /// The text, where signs in it stand for letters.
    text: String,
    /// Whether not all of the text was read.
    is_cut: bool,
}

impl Words {
    /// Reads a text: at most its first [`MAX_BYTES`]. Digits, signs and letters of other alphabets that stand for letters
    /// are read as these, and letters set apart as a word.
    pub(super) fn read(&mut self, text: &str) {
        let Self { letters, words, text: changed, is_cut } = self;
        letters.clear();
        words.clear();
        *is_cut = text.len() > MAX_BYTES;
        let text = &text[..text.floor_char_boundary(text.len().min(MAX_BYTES))];
        let text = if without_signs(text, changed) { changed.as_str() } else { text };
        let mut out = |word: Word<'_>| {
            *is_cut |= words.len() == MAX_WORDS;
            if words.len() < MAX_WORDS && !word.letters.is_empty() {
                let first = letters.len();
                if word.letters.is_ascii() || !word.letters.iter().any(u8::is_ascii_lowercase) {
                    letters.extend_from_slice(word.letters);
                } else {
                    without_look_alikes(word.letters, letters);
                }
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
        let letter = |word: &Read, letters: &[u8]| {
            (word.letters.1 - word.letters.0 == 1).then(|| letters[word.letters.0 as usize])
        };
        let (mut from, mut to) = (0, 0);
        while from < self.words.len() {
            let apart = self.words[from..].iter().map_while(|word| letter(word, &self.letters));
            let (mut apart, mut letters, mut taken) = (apart.peekable(), 0, 1);
            // From a letter to a letter, with a digit for a letter here and there.
            if apart.peek().is_some_and(u8::is_ascii_lowercase) {
                for (count, one) in (1..).zip(apart) {
                    letters += usize::from(one.is_ascii_lowercase());
                    if count >= MIN_APART && one.is_ascii_lowercase() && letters * 2 > count {
                        taken = count;
                    }
                }
            }
            let (first, last) = (self.words[from], self.words[from + taken - 1]);
            self.words[to] = Read {
                letters: (first.letters.0, last.letters.1),
                start: first.start,
                end: last.end,
            };
            if taken > 1 {
                let [start, end] = [first.letters.0, last.letters.1].map(|at| at as usize);
                undisguise(&mut self.letters[start..end]);
            }
            (from, to) = (from + taken, to + 1);
        }
        self.words.truncate(to);
    }

    /// Whether all of the text was read.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_cut
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
            let mut out = |piece: &[u8]| out(&[b"~", piece], at, at);
            match word.is_ascii() {
                true => pieces(word, &mut out),
                false => wide_pieces(word, &mut out),
            }
        }
    }
}

/// Puts letters for signs that stand for them, and says whether there are any. As many bytes as before.
fn without_signs(text: &str, changed: &mut String) -> bool {
    if memchr::memchr3(b'!', b'@', b'$', text.as_bytes()).is_none() {
        return false;
    }
    changed.clear();
    let mut before = 0;
    for (at, letter) in text.char_indices() {
        let is_between =
            before > 0 && text.as_bytes().get(at + 1).is_some_and(u8::is_ascii_alphabetic);
        changed.push(match letter {
            '!' if is_between && before <= MAX_BEFORE_SIGN => 'i',
            '@' if is_between && before <= MAX_BEFORE_SIGN => 'a',
            '$' if is_between => 's',
            _ => letter,
        });
        before = if letter.is_ascii_alphabetic() { before + 1 } else { 0 };
    }
    true
}

/// Adds the letters of a word that is partly Latin, with Latin ones for those that look like them.
fn without_look_alikes(word: &[u8], letters: &mut Vec<u8>) {
    for letter in String::from_utf8_lossy(word).chars() {
        let letter = look_alike(letter).unwrap_or(letter);
        letters.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
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

/// Hands on the pieces of a word whose letters are of more than a byte. In Arabic half of what a word says is what is
/// written onto it: who does it, whose it is, `and`, `the`, `to`.
fn wide_pieces(word: &[u8], out: &mut impl FnMut(&[u8])) {
    let Ok(word) = std::str::from_utf8(word) else { return };
    if !word.starts_with(char::is_alphabetic) {
        return;
    }
    // Where each letter begins, with the ends of the word as letters.
    let mut ended = [b'<'; MAX_LETTERS * char::MAX_LEN_UTF8 + 2];
    let mut starts = [0; MAX_LETTERS + 3];
    let (mut letters, mut bytes) = (1, 1);
    for letter in word.chars().take(MAX_LETTERS) {
        starts[letters] = bytes;
        bytes += letter.encode_utf8(&mut ended[bytes..]).len();
        letters += 1;
    }
    ended[bytes] = b'>';
    starts[letters] = bytes;
    starts[letters + 1] = bytes + 1;
    let starts = &starts[..letters + 2];
    for first in 0..=letters {
        for end in PIECE.filter_map(|length| starts.get(first + length)) {
            out(&ended[starts[first]..*end]);
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
