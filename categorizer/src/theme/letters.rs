//! One spelling for letters, so that words of texts and packs can be compared: lower case, without
//! accents and other marks, ordinary letters for those of full width, in circles, or of mathematics.
//!
//! Accents go, other than in [`phrase`](crate::phrase): who types a search leaves them out, in Polish,
//! Romanian and Welsh too, and Arabic is written with and without its marks. What reads alike but has
//! a code of its own, as Persian and Urdu letters have beside Arabic ones, is one letter.

use std::sync::LazyLock;

use unicode_normalization::char::{decompose_compatible, is_combining_mark};

pub(super) use crate::phrase::normalise::is_unseen;

/// What becomes of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folded {
    /// A letter or digit of a word.
    Letter(char),
    /// A word of its own: 🔪.
    Picture(char),
    /// It parts words.
    Between,
}

/// For ASCII: a letter or digit, [`BETWEEN`], or [`LEFT_OUT`]. For all other bytes, [`BETWEEN`].
pub(super) static ASCII: [u8; 256] = ascii();
/// It parts words.
pub(super) const BETWEEN: u8 = 0;
/// It belongs to no word and parts none: `don't` is `dont`, as most people type it.
pub(super) const LEFT_OUT: u8 = 1;

const fn ascii() -> [u8; 256] {
    let mut table = [BETWEEN; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'a'..=b'z' | b'0'..=b'9' => byte,
            b'A'..=b'Z' => byte | 0x20,
            b'\'' | b'`' => LEFT_OUT,
            _ => BETWEEN,
        };
        byte += 1;
    }
    table
}

/// Most letters that a character of two bytes becomes.
const MOST: usize = 4;

/// The characters of two bytes, which whole alphabets are made of, looked up rather than reckoned.
static TWO_BYTES: LazyLock<Box<[Short; 0x800]>> = LazyLock::new(|| {
    let mut table = Box::new([Short::default(); 0x800]);
    for code in 0x80..0x800_u32 {
        let Some(letter) = char::from_u32(code) else { continue };
        let short = &mut table[code as usize];
        fold_any(letter, &mut |folded| {
            if usize::from(short.count) < MOST {
                short.folded[usize::from(short.count)] = folded;
                short.count += 1;
            }
        });
    }
    table
});

#[derive(Clone, Copy)]
struct Short {
    folded: [Folded; MOST],
    count: u8,
}

impl Default for Short {
    fn default() -> Self {
        Self { folded: [Folded::Between; MOST], count: 0 }
    }
}

/// Hands on what a character becomes: nothing, where it is left out, or one or more.
#[inline]
pub(super) fn fold(letter: char, out: &mut impl FnMut(Folded)) {
    match letter {
        '\0'..='\x7f' => match ASCII[letter as usize] {
            LEFT_OUT => {}
            BETWEEN => out(Folded::Between),
            folded => out(Folded::Letter(char::from(folded))),
        },
        '\u{80}'..='\u{7ff}' => {
            let short = &TWO_BYTES[letter as usize];
            short.folded[..usize::from(short.count)].iter().for_each(|&folded| out(folded));
        }
        // Kana, the common ideographs and Korean have no case and no accents.
        '\u{3041}'..='\u{3096}' | '\u{3400}'..='\u{9fff}' => out(Folded::Letter(letter)),
        _ => fold_any(letter, out),
    }
}

/// Whether a character is a picture that people use for a word: 🔪, 🍃.
pub(super) fn is_picture(letter: char) -> bool {
    matches!(letter, '\u{2600}'..='\u{27bf}' | '\u{1f300}'..='\u{1f3fa}' | '\u{1f400}'..='\u{1faff}')
}

fn fold_any(letter: char, out: &mut impl FnMut(Folded)) {
    match letter {
        _ if is_picture(letter) => return out(Folded::Picture(letter)),
        // The colours of skin that follow a picture.
        '\u{1f3fb}'..='\u{1f3ff}' => return,
        _ if is_apostrophe(letter) => return,
        // What of the circles and squares Unicode calls symbols, without a letter behind them.
        '\u{1f150}'..='\u{1f169}' => return lettered(letter, 0x1f150, out),
        '\u{1f170}'..='\u{1f189}' => return lettered(letter, 0x1f170, out),
        '\u{1f1e6}'..='\u{1f1ff}' => return lettered(letter, 0x1f1e6, out),
        _ if is_unseen(letter) => return,
        _ => {}
    }
    decompose_compatible(letter, |part| {
        if is_combining_mark(part) {
            return;
        }
        for lower in part.to_lowercase() {
            match lower {
                'ß' => "ss".chars().for_each(|letter| out(Folded::Letter(letter))),
                'æ' => "ae".chars().for_each(|letter| out(Folded::Letter(letter))),
                'œ' => "oe".chars().for_each(|letter| out(Folded::Letter(letter))),
                'þ' => "th".chars().for_each(|letter| out(Folded::Letter(letter))),
                // The line that Arabic words are drawn out by, and the dot left by `İ`.
                '\u{640}' | '\u{307}' => {}
                _ if is_apostrophe(lower) => {}
                _ if lower.is_alphanumeric() => out(Folded::Letter(same(lower))),
                _ => out(Folded::Between),
            }
        }
    });
}

pub(super) fn is_apostrophe(letter: char) -> bool {
    matches!(
        letter,
        '\'' | '`' | '\u{b4}' | '\u{2b9}' | '\u{2bb}'
            ..='\u{2bd}' | '\u{2018}' | '\u{2019}' | '\u{ff07}'
    )
}

fn lettered(letter: char, first: u32, out: &mut impl FnMut(Folded)) {
    let place = u32::from(letter) - first;
    out(Folded::Letter(char::from(b'a' + u8::try_from(place).unwrap_or(0))));
}

/// One letter for those that differ by their code alone, or by a stroke that no mark is made of.
fn same(letter: char) -> char {
    match letter {
        'ł' => 'l',
        'đ' | 'ð' => 'd',
        'ø' => 'o',
        'ı' => 'i',
        'ħ' => 'h',
        'ŧ' => 't',
        'ς' => 'σ',
        // Alef with nothing above, yeh, heh and kaf, of Arabic, Persian and Urdu.
        '\u{671}' => '\u{627}',
        '\u{649}' | '\u{6cc}' => '\u{64a}',
        '\u{629}' | '\u{6c1}' | '\u{6be}' | '\u{6c3}' | '\u{6d5}' => '\u{647}',
        '\u{6a9}' => '\u{643}',
        '\u{660}'..='\u{669}' => digit(letter, 0x660),
        '\u{6f0}'..='\u{6f9}' => digit(letter, 0x6f0),
        _ => letter,
    }
}

fn digit(letter: char, zero: u32) -> char {
    char::from_digit(u32::from(letter) - zero, 10).unwrap_or(letter)
}

/// The Latin letter that another one looks like, in the spelling of [`fold`]. Only letters that can
/// be had from keyboards, fonts of social media or by copying, for a reading that looks for disguises:
/// in a Russian text `рот` is a mouth.
pub(super) fn look_alike(letter: char) -> Option<char> {
    Some(match letter {
        'а' | 'α' | 'ɑ' | 'ᴀ' | 'ꭺ' => 'a',
        'в' | 'β' | 'ʙ' | 'ь' | 'б' => 'b',
        'с' | 'ϲ' | 'ᴄ' => 'c',
        'ԁ' | 'ᴅ' | 'ɖ' => 'd',
        'е' | 'ε' | 'є' | 'ᴇ' | 'э' | 'ҽ' => 'e',
        'ғ' | 'ꜰ' | 'ƒ' => 'f',
        'ɡ' | 'ɢ' | 'ց' => 'g',
        'һ' | 'н' | 'ʜ' | 'հ' => 'h',
        'і' | 'ι' | 'ɪ' | 'ӏ' | 'ꙇ' => 'i',
        'ј' | 'ᴊ' | 'ϳ' => 'j',
        'к' | 'κ' | 'ᴋ' => 'k',
        'ʟ' | 'ⅼ' | 'ƚ' => 'l',
        'м' | 'μ' | 'ᴍ' => 'm',
        'п' | 'η' | 'ɴ' | 'ո' | 'и' => 'n',
        'о' | 'ο' | 'ᴏ' | 'σ' | 'օ' => 'o',
        'р' | 'ρ' | 'ᴘ' => 'p',
        'ԛ' | 'զ' => 'q',
        'г' | 'ʀ' | 'я' => 'r',
        'ѕ' | 'ꜱ' | 'տ' => 's',
        'т' | 'τ' | 'ᴛ' => 't',
        'υ' | 'ᴜ' | 'ս' | 'ц' => 'u',
        'ν' | 'ᴠ' | 'ѵ' => 'v',
        'ԝ' | 'ᴡ' | 'ω' | 'ш' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'γ' | 'ʏ' | 'ү' => 'y',
        'ᴢ' | 'ζ' => 'z',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A text's letters, with a space for what parts words.
    pub(crate) fn folded(text: &str) -> String {
        let mut out = String::new();
        for letter in text.chars() {
            fold(letter, &mut |folded| match folded {
                Folded::Letter(letter) | Folded::Picture(letter) => out.push(letter),
                Folded::Between => out.push(' '),
            });
        }
        out
    }

    #[test]
    fn texts_that_read_alike_are_spelled_alike() {
        let cases = [
            ("Don't", "dont"),
            ("don’t", "dont"),
            ("ＰＯＲＮ", "porn"),
            ("𝓹𝓸𝓻𝓷 𝗽𝗼𝗿𝗻", "porn porn"),
            ("ⓟⓞⓡⓝ 🅿🅾🆁🅽 🅟🅞🅡🅝", "porn porn porn"),
            ("p\u{301}o\u{336}r\u{489}n", "porn"),
            ("su\u{ad}ici\u{200b}de", "suicide"),
            ("zabić się, żyć", "zabic sie  zyc"),
            ("łódź Straße İstanbul", "lodz strasse istanbul"),
            ("sinucidere în școală", "sinucidere in scoala"),
            ("أُرِيد", "اريد"),
            ("خودکشی", "خودكشي"),
            ("الـقـتـل", "القتل"),
            ("٤٢", "42"),
            ("ﻻ", "لا"),
            ("少女", "少女"),
        ];
        for (text, expected) in cases {
            assert_eq!(folded(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_character_keeps_its_folded_form_when_folded_again() {
        let twice = |letter: &char| {
            let once = folded(&String::from(*letter));
            folded(&once) != once
        };
        let changed: Vec<char> = ('\0'..=char::MAX).filter(twice).collect();
        assert_eq!(changed, Vec::<char>::new());
    }

    #[test]
    fn look_alikes_are_ascii_and_no_latin_letter_is_one() {
        for letter in '\0'..=char::MAX {
            if let Some(like) = look_alike(letter) {
                assert!(like.is_ascii_lowercase() && !letter.is_ascii(), "{letter:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in r"\PC{0,60}|[ -~é\u{301}ß]{0,60}") {
            let once = folded(&text);
            prop_assert_eq!(&folded(&once), &once);
        }
    }
}
