//! Reading a short text through the disguises that people give to words, and through slips.
//!
//! - Letters of other alphabets that look Latin, beside Latin ones: `suiсide` with a Cyrillic с.
//! - Digits and signs for letters: `su1c1de`, `k!ll`, `p0rn`, `a$$`; a star for any vowel.
//! - Letters set apart: `p o r n`, `s.u.i.c.i.d.e`.
//! - Letters drawn out: `pooorn`.
//! - Words run together: `killmyself`. They count only for what stands wholly in them, as `therapist`
//!   is none of its halves.
//! - Digits that are spoken: `h8`, `every1`.
//! - Words written as they sound: `nife` ([`sound`](super::sound)), or are spoken: `cuttin` ([`speech`](super::speech)).
//! - One slip in a long word: `sucide` ([`typos`](super::typos)).
//!
//! Only what is no known word is looked at, and only if it becomes one is it anything else than before.
//! Nothing is allocated once the buffers are large enough.

use super::compile::Compiled;
use super::letters::{self, Folded};
use super::passage::Token;
use super::speech;
use super::split::{LETTERS, Splits};
use super::vocabulary::{UNKNOWN, WordId};
use super::words::MAX_WORD_BYTES;

/// How much of a text is read so, in bytes.
pub const MAX_BYTES: usize = 4096;
/// Most ways of reading the signs of one word that are tried.
const MAX_WAYS: usize = 32;
/// Fewest letters set apart that are taken for a word.
const MIN_APART: usize = 3;

/// A run of letters and signs without a space.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Its characters.
    first: usize,
    last: usize,
    /// Where it stands in the text, in bytes.
    start: u64,
    end: u64,
    /// Whether letters in it are of another alphabet, and were taken for Latin ones.
    is_changed: bool,
}

/// What is kept from text to text.
#[derive(Debug, Default)]
pub(super) struct Disguised {
    letters: Vec<char>,
    runs: Vec<Run>,
    splits: Splits,
    joined: u32,
}

/// A word's letters as bytes.
struct Spelling {
    bytes: [u8; MAX_WORD_BYTES],
    length: usize,
}

impl Disguised {
    /// Reads a text into words, and says whether any is other than it stands there.
    pub(super) fn read(&mut self, themes: &Compiled, text: &str, tokens: &mut Vec<Token>) -> bool {
        self.cut(text);
        self.joined = 0;
        let mut has_any = false;
        let mut next = 0;
        while let Some(&run) = self.runs.get(next) {
            let is_letter = |run: &&Run| {
                run.last - run.first == 1 && !letters::is_picture(self.letters[run.first])
            };
            let apart = self.runs[next..].iter().take_while(is_letter).count();
            if apart >= MIN_APART {
                let last = self.runs[next + apart - 1];
                let whole = Run { last: last.last, end: last.end, ..run };
                if self.set_apart(themes, whole, tokens) {
                    has_any = true;
                    next += apart;
                    continue;
                }
            }
            has_any |= self.word(themes, run, tokens);
            next += 1;
        }
        has_any
    }

    /// Cuts a text into runs, their letters in one spelling.
    fn cut(&mut self, text: &str) {
        self.letters.clear();
        self.runs.clear();
        let is_foreign = text.chars().any(is_foreign);
        let mut open: Option<Run> = None;
        for (at, letter) in text.char_indices() {
            let (start, end) = (at as u64, (at + letter.len_utf8()) as u64);
            let before = self.letters.len();
            let mut parts = false;
            if letters::is_picture(letter) {
                // A word of its own, whatever it is typed beside.
                if let Some(run) = open.take() {
                    self.close(run, is_foreign);
                }
                let first = self.letters.len();
                self.letters.push(letter);
                self.runs.push(Run { first, last: first + 1, start, end, is_changed: false });
                continue;
            }
            if is_sign(letter) {
                self.letters.push(letter);
            } else {
                let letters = &mut self.letters;
                letters::fold(letter, &mut |folded| match folded {
                    Folded::Letter(letter) => letters.push(letter),
                    Folded::Picture(_) | Folded::Between => parts = true,
                });
            }
            if self.letters.len() > before {
                let run = open.get_or_insert(Run {
                    first: before,
                    last: before,
                    start,
                    end,
                    is_changed: false,
                });
                (run.last, run.end) = (self.letters.len(), end);
            }
            if parts && let Some(run) = open.take() {
                self.close(run, is_foreign);
            }
        }
        if let Some(run) = open {
            self.close(run, is_foreign);
        }
    }

    /// Ends a run: signs around it are no letters, but for `$` and `@` at its beginning.
    fn close(&mut self, mut run: Run, is_foreign: bool) {
        let is_letter = |letter: char| !is_sign(letter);
        let letters = &self.letters[run.first..run.last];
        let Some(first) = letters.iter().position(|&one| is_letter(one) || "$@".contains(one))
        else {
            return;
        };
        let last = letters.iter().rposition(|&one| is_letter(one) || one == '$').unwrap_or(first);
        if !letters.iter().copied().any(is_letter) {
            return;
        }
        (run.first, run.last) = (run.first + first, run.first + last + 1);
        let letters = &mut self.letters[run.first..run.last];
        // In a Russian text a word of letters that look Latin is a Russian word.
        if !is_foreign || letters.iter().any(char::is_ascii_lowercase) {
            for letter in letters {
                if let Some(like) = letters::look_alike(*letter) {
                    *letter = like;
                    run.is_changed = true;
                }
            }
        }
        self.runs.push(run);
    }

    /// Takes letters that were set apart for a word, or several.
    fn set_apart(&mut self, themes: &Compiled, run: Run, tokens: &mut Vec<Token>) -> bool {
        let letters = &self.letters[run.first..run.last];
        let mut ways = Ways::new(letters);
        while let Some(spelling) = ways.next() {
            let word = themes.vocabulary.whole(spelling.bytes());
            if word != UNKNOWN && spelling.length >= MIN_APART {
                tokens.push(token(word, run, 0));
                return true;
            }
        }
        let Some(spelling) = Ways::new(letters).next() else { return false };
        let pieces = self.splits.split(&themes.vocabulary, spelling.bytes());
        tokens.extend(pieces.iter().map(|&(_, _, word)| token(word, run, 0)));
        !pieces.is_empty()
    }

    /// One run, and whether it became another word.
    fn word(&mut self, themes: &Compiled, run: Run, tokens: &mut Vec<Token>) -> bool {
        let letters = &self.letters[run.first..run.last];
        let vocabulary = &themes.vocabulary;
        let is_plain = !letters.iter().copied().any(is_sign);
        if is_plain && let Some(spelling) = plain(letters) {
            let word = vocabulary.look_up(spelling.bytes());
            if word != UNKNOWN {
                tokens.push(token(word, run, 0));
                return run.is_changed;
            }
        }
        if let Some(spelling) = spoken(letters) {
            let word = vocabulary.whole(spelling.bytes());
            if word != UNKNOWN {
                tokens.push(token(word, run, 0));
                return true;
            }
        }
        if letters.len() >= 3 && letters.iter().any(char::is_ascii_lowercase) {
            let mut ways = Ways::new(letters);
            while let Some(spelling) = ways.next() {
                let word = seen_through(themes, &spelling);
                if word != UNKNOWN {
                    tokens.push(token(word, run, 0));
                    return true;
                }
            }
            let first = Ways::new(letters).next();
            if let Some(spelling) = first.filter(|one| LETTERS.contains(&one.length)) {
                let pieces = self.splits.split(vocabulary, spelling.bytes());
                if !pieces.is_empty() {
                    self.joined += 1;
                    let joined = self.joined;
                    tokens.extend(pieces.iter().map(|&(_, _, word)| token(word, run, joined)));
                    return true;
                }
            }
        }
        // Signs part words otherwise.
        for part in letters.split(|&one| is_sign(one)).filter(|part| !part.is_empty()) {
            let word = plain(part).map_or(UNKNOWN, |one| vocabulary.look_up(one.bytes()));
            tokens.push(token(word, run, 0));
        }
        false
    }
}

fn token(word: WordId, run: Run, joined: u32) -> Token {
    Token { word, innocent: 0, start: run.start, end: run.end, joined }
}

/// The known word that a spelling is, drawn out letters and one slip forgiven.
fn seen_through(themes: &Compiled, spelling: &Spelling) -> WordId {
    let vocabulary = &themes.vocabulary;
    let word = vocabulary.look_up(spelling.bytes());
    if word != UNKNOWN {
        return word;
    }
    for spelling in spelling.drawn_in().into_iter().flatten() {
        let word = vocabulary.look_up(spelling.bytes());
        if word != UNKNOWN {
            return word;
        }
    }
    match themes.typos.meant(vocabulary, spelling.bytes()) {
        UNKNOWN => {}
        word => return word,
    }
    match themes.sounds.meant(spelling.bytes()) {
        UNKNOWN => speech::meant(vocabulary, spelling.bytes()),
        word => word,
    }
}

/// Signs that stand for letters within words.
fn is_sign(letter: char) -> bool {
    matches!(letter, '@' | '$' | '!' | '|' | '+' | '*' | '€' | '£' | '¡')
}

/// A letter of an alphabet that has look-alikes, itself without one: who writes it writes that
/// language.
fn is_foreign(letter: char) -> bool {
    matches!(letter, 'α'..='ω' | 'а'..='я' | 'ա'..='ֆ') && letters::look_alike(letter).is_none()
}

/// The letters that a sign may stand for, the likeliest first; itself if for none.
fn meanings(sign: char) -> &'static [u8] {
    match sign {
        '0' => b"o",
        '1' | '!' | '|' | '¡' => b"il",
        '3' | '€' => b"e",
        '4' | '@' => b"a",
        '5' | '$' => b"s",
        '6' => b"gb",
        '7' | '+' => b"t",
        '8' => b"b",
        '9' => b"g",
        '£' => b"l",
        '*' => b"uieoa",
        _ => b"",
    }
}

/// The spelling of digits that are spoken within a word: `h8`, `every1`, `2day`. None without such a digit.
fn spoken(letters: &[char]) -> Option<Spelling> {
    let as_spoken = |letter: char| match letter {
        '1' => Some("one"),
        '2' => Some("to"),
        '4' => Some("for"),
        '8' => Some("ate"),
        _ => None,
    };
    let digits = letters.iter().filter(|&&letter| as_spoken(letter).is_some()).count();
    if digits != 1 || letters.len() < 2 || letters.len() > MAX_WORD_BYTES / 4 {
        return None;
    }
    let mut spelling = Spelling { bytes: [0; MAX_WORD_BYTES], length: 0 };
    for letter in letters {
        let mut one = [0; 4];
        let text = as_spoken(*letter).unwrap_or_else(|| letter.encode_utf8(&mut one));
        let room = spelling.bytes.get_mut(spelling.length..spelling.length + text.len())?;
        room.copy_from_slice(text.as_bytes());
        spelling.length += text.len();
    }
    Some(spelling)
}

/// The spelling of letters without signs, if it is not too long.
fn plain(letters: &[char]) -> Option<Spelling> {
    let mut spelling = Spelling { bytes: [0; MAX_WORD_BYTES], length: 0 };
    for letter in letters {
        let room = &mut spelling.bytes[spelling.length..];
        if room.len() < letter.len_utf8() {
            return None;
        }
        spelling.length += letter.encode_utf8(room).len();
    }
    Some(spelling)
}

/// The ways of reading a word's signs.
struct Ways<'l> {
    letters: &'l [char],
    way: usize,
    count: usize,
}

impl<'l> Ways<'l> {
    fn new(letters: &'l [char]) -> Self {
        let has_letter = letters.iter().any(char::is_ascii_lowercase);
        let is_short = letters.len() <= MAX_WORD_BYTES / 4;
        let ways = letters.iter().map(|&sign| meanings(sign).len().max(1));
        let count = ways.fold(1_usize, |count, ways| count.saturating_mul(ways)).min(MAX_WAYS);
        let fits =
            is_short || letters.len() <= MAX_WORD_BYTES && letters.iter().all(char::is_ascii);
        Self { letters, way: 0, count: if has_letter && fits { count } else { 0 } }
    }

    fn next(&mut self) -> Option<Spelling> {
        if self.way >= self.count {
            return None;
        }
        let mut rest = self.way;
        self.way += 1;
        let mut spelling = Spelling { bytes: [0; MAX_WORD_BYTES], length: 0 };
        for &letter in self.letters {
            let meanings = meanings(letter);
            let room = &mut spelling.bytes[spelling.length..];
            if meanings.is_empty() {
                spelling.length += letter.encode_utf8(room).len();
            } else {
                room[0] = meanings[rest % meanings.len()];
                rest /= meanings.len();
                spelling.length += 1;
            }
        }
        Some(spelling)
    }
}

impl Spelling {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Where a letter stands three times or more in a row: with such letters twice, with them once, and
    /// with no letter twice.
    fn drawn_in(&self) -> Option<[Spelling; 3]> {
        let bytes = self.bytes();
        if !bytes.windows(3).any(|three| three[0] == three[1] && three[1] == three[2]) {
            return None;
        }
        Some([(2, 3), (1, 3), (1, 2)].map(|(most, from)| {
            let mut drawn = Spelling { bytes: [0; MAX_WORD_BYTES], length: 0 };
            for run in bytes.chunk_by(|left, right| left == right) {
                let count = if run.len() >= from { most } else { run.len() };
                drawn.bytes[drawn.length..drawn.length + count].fill(run[0]);
                drawn.length += count;
            }
            drawn
        }))
    }
}
