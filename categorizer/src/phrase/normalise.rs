//! One spelling for texts and phrases, so that bytes can be compared.
//!
//! - Letters are in lower case: Latin, Greek (with one sigma), Cyrillic, and all others that have
//!   case. Full-width forms are their ASCII.
//! - White space, control characters and punctuation are a space, and many in a row are one, as
//!   in e2guardian: ` word ` is found in `(word)`, and `u.s.c` in `U.S.C.`. `$` and `%` are kept,
//!   for they stand for letters or say something of a number.
//! - What is not seen is left out: soft hyphens, joiners, marks of direction. They would hide a word.
//! - Accents are kept. Lists spell words with and without where they mean both, and without them
//!   Spanish *año* (year) would be another word. A letter followed by a combining accent is the
//!   letter that has it, where Latin-1 has one.
//! - A page begins and ends with a space, so that ` word ` is found there too.
//!
//! What is normalised stays as it is when normalised again.

mod lanes;

use std::sync::LazyLock;

use lanes::LANES;

/// A phrase, or part of a combination, in the spelling that pages are scanned in.
#[must_use]
pub fn phrase(text: &str) -> String {
    whole(text, "")
}

/// A page's text in the spelling in which it is scanned.
#[must_use]
pub fn page(text: &str) -> String {
    let mut page = whole(text, " ");
    if !page.ends_with(' ') {
        page.push(' ');
    }
    page
}

/// Whether nothing is left of a text but space.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|letter| matches!(fold_char(letter), LEFT_OUT | ' '))
}

fn whole(text: &str, before: &str) -> String {
    // No character takes more than three times the bytes that it had, and ASCII takes no more.
    let mut bytes = vec![0; before.len() + text.len() * 3 + WIDEST];
    bytes[..before.len()].copy_from_slice(before.as_bytes());
    let (taken, end) = fold(text, &mut bytes, before.len());
    debug_assert_eq!(taken, text.len());
    bytes.truncate(end);
    // Whole characters were written; the replacement character would show it if not.
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Bytes that the widest character takes.
pub(super) const WIDEST: usize = 4;
/// Stands for a character that is left out.
const LEFT_OUT: char = '\0';

/// Appends a text's normal form at `end` of a buffer, as far as there is room; what stands before
/// is what the text goes on from. Beyond the new end the buffer may be written to as well.
///
/// Returns how many bytes of the text were taken and the new end. All of it is taken if there is
/// room for three times as much and [`WIDEST`] more.
pub(super) fn fold(text: &str, buffer: &mut [u8], mut end: usize) -> (usize, usize) {
    let bytes = text.as_bytes();
    let mut taken = 0;
    // Whether the last byte written is a space, in the lowest bit.
    let mut spaced = u32::from(end > 0 && buffer[end - 1] == b' ');
    while taken < bytes.len() {
        if let Some(chunk) = bytes[taken..].first_chunk::<LANES>()
            && let Some(target) = buffer[end..].first_chunk_mut::<{ 2 * LANES }>()
        {
            let folded = lanes::fold(chunk);
            if folded.ascii > 0 {
                let spaces = folded.spaces & ((1 << folded.ascii) - 1);
                let doubles = spaces & (spaces << 1 | spaced);
                spaced = spaces >> (folded.ascii - 1);
                end += folded.ascii - write_lanes(folded.bytes, doubles, target);
                taken += folded.ascii;
                continue;
            }
        }
        let byte = bytes[taken];
        if byte < 0x80 {
            if end == buffer.len() {
                break;
            }
            let folded = fold_ascii(byte);
            if folded != b' ' || spaced == 0 {
                buffer[end] = folded;
                end += 1;
            }
            spaced = u32::from(folded == b' ');
            taken += 1;
            continue;
        }
        if buffer.len() - end < WIDEST {
            break;
        }
        let Some(letter) = text[taken..].chars().next() else { break };
        taken += letter.len_utf8();
        end = push(fold_char(letter), buffer, end);
        spaced = u32::from(end > 0 && buffer[end - 1] == b' ');
    }
    (taken, end)
}

/// Writes lanes without those that `doubles` names, and says how many those were.
#[inline]
fn write_lanes(folded: u128, mut doubles: u32, target: &mut [u8; 2 * LANES]) -> usize {
    target[..LANES].copy_from_slice(&folded.to_le_bytes());
    let mut left_out = 0;
    while doubles != 0 {
        let place = doubles.trailing_zeros() as usize % LANES;
        doubles &= doubles - 1;
        // What follows it is written again, one place farther to the front.
        let following = folded >> (8 * place) >> 8;
        let at = place.saturating_sub(left_out);
        target[at..at + LANES].copy_from_slice(&following.to_le_bytes());
        left_out += 1;
    }
    left_out
}

fn fold_ascii(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'$' | b'%' => byte,
        b'A'..=b'Z' => byte | 0x20,
        _ => b' ',
    }
}

/// Writes a folded character, joined with what stands before it.
fn push(letter: char, buffer: &mut [u8], end: usize) -> usize {
    match letter {
        LEFT_OUT => end,
        ' ' if end > 0 && buffer[end - 1] == b' ' => end,
        '\u{300}'..='\u{327}' => {
            let base = if end > 0 { buffer[end - 1] } else { 0 };
            match composed(base, letter) {
                Some(whole) => end - 1 + whole.encode_utf8(&mut buffer[end - 1..]).len(),
                None => end + letter.encode_utf8(&mut buffer[end..]).len(),
            }
        }
        _ => end + letter.encode_utf8(&mut buffer[end..]).len(),
    }
}

/// The letter of Latin-1 that is an ASCII letter with a combining accent.
fn composed(base: u8, accent: char) -> Option<char> {
    let row: &[(u8, char)] = match accent {
        '\u{300}' => &[(b'a', 'à'), (b'e', 'è'), (b'i', 'ì'), (b'o', 'ò'), (b'u', 'ù')],
        '\u{301}' => {
            &[(b'a', 'á'), (b'e', 'é'), (b'i', 'í'), (b'o', 'ó'), (b'u', 'ú'), (b'y', 'ý')]
        }
        '\u{302}' => &[(b'a', 'â'), (b'e', 'ê'), (b'i', 'î'), (b'o', 'ô'), (b'u', 'û')],
        '\u{303}' => &[(b'a', 'ã'), (b'n', 'ñ'), (b'o', 'õ')],
        '\u{308}' => {
            &[(b'a', 'ä'), (b'e', 'ë'), (b'i', 'ï'), (b'o', 'ö'), (b'u', 'ü'), (b'y', 'ÿ')]
        }
        '\u{30a}' => &[(b'a', 'å')],
        '\u{327}' => &[(b'c', 'ç')],
        _ => return None,
    };
    row.iter().find(|(letter, _)| *letter == base).map(|&(_, whole)| whole)
}

/// The characters of two bytes, which whole alphabets are made of, looked up rather than reckoned.
static TWO_BYTES: LazyLock<[char; 0x800]> = LazyLock::new(|| {
    std::array::from_fn(|code| {
        u32::try_from(code).ok().and_then(char::from_u32).map_or(' ', fold_any)
    })
});

/// A character's folded form: [`LEFT_OUT`], a space, or one character.
fn fold_char(letter: char) -> char {
    match letter {
        '\0'..='\u{7ff}' => TWO_BYTES[letter as usize],
        // Kana, the common ideographs and Korean have no case.
        '\u{3041}'..='\u{30fa}' | '\u{30fc}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => letter,
        _ => fold_any(letter),
    }
}

fn fold_any(letter: char) -> char {
    match letter {
        '\0'..='\x7f' => char::from(fold_ascii(letter as u8)),
        // The full-width forms of ASCII.
        '\u{ff01}'..='\u{ff5e}' => {
            let ascii = u8::try_from(u32::from(letter) - 0xfee0).unwrap_or(b' ');
            char::from(fold_ascii(ascii))
        }
        _ if is_unseen(letter) => LEFT_OUT,
        _ if is_between_words(letter) => ' ',
        'İ' => 'i',
        'ſ' => 's',
        'ς' => 'σ',
        'µ' => 'μ',
        _ => {
            let mut lower = letter.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(lower), None) => lower,
                _ => letter,
            }
        }
    }
}

/// Takes no room: soft hyphen, joiners, marks of direction and of variants.
pub(crate) fn is_unseen(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// White space, controls and punctuation beyond ASCII.
fn is_between_words(letter: char) -> bool {
    let in_latin_1 = matches!(letter, '\u{80}'..='\u{bf}' | '×' | '÷')
        && !matches!(letter, 'ª' | '²' | '³' | 'µ' | '¹' | 'º' | '¼' | '½' | '¾');
    in_latin_1
        || letter.is_whitespace()
        || letter.is_control()
        || matches!(letter,
            // Greek, Armenian, Hebrew, Arabic and Indian marks.
            '\u{37e}' | '\u{387}' | '\u{589}' | '\u{58a}' | '\u{5be}' | '\u{5c0}' | '\u{5c3}'
            | '\u{5f3}' | '\u{5f4}' | '\u{60c}' | '\u{60d}' | '\u{61b}' | '\u{61e}' | '\u{61f}'
            | '\u{66a}'..='\u{66d}' | '\u{6d4}' | '\u{964}' | '\u{965}'
            // General punctuation, arrows to geometric shapes, supplemental punctuation.
            | '\u{2000}'..='\u{206f}' | '\u{2190}'..='\u{25ff}' | '\u{2e00}'..='\u{2e7f}'
            // Marks of East Asian texts, and forms of all of these.
            | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3020}' | '\u{3030}' | '\u{303d}'
            | '\u{30fb}' | '\u{fe10}'..='\u{fe19}' | '\u{fe30}'..='\u{fe6f}'
            | '\u{ff5f}'..='\u{ff65}' | '\u{fffc}' | '\u{fffd}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_that_read_alike_are_spelled_alike() {
        let cases = [
            ("Free  SPINS", "free spins"),
            ("free\r\n\t spins", "free spins"),
            ("free&nbsp;spins", "free nbsp spins"),
            ("free\u{a0}\u{3000}spins", "free spins"),
            ("(free) — “spins”!", " free spins "),
            ("ｆｒｅｅ　ＳＰＩＮＳ", "free spins"),
            ("fr\u{ad}ee sp\u{200b}ins", "free spins"),
            ("U.S.C.", "u s c "),
            ("100% A$$", "100% a$$"),
            ("ÆBLE Ärger ŠKODA", "æble ärger škoda"),
            ("ΟΔΟΣ οδός", "οδοσ οδόσ"),
            ("КРОЛИК Ёж", "кролик ёж"),
            ("İstanbul", "istanbul"),
            ("CAFE\u{301} man\u{303}ana", "café mañana"),
            ("少女・画集", "少女 画集"),
            ("\u{1f346}", "\u{1f346}"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(phrase(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_page_begins_and_ends_with_one_space() {
        for (text, expected) in
            [("", " "), ("Word", " word "), ("  Word. ", " word "), ("é", " é ")]
        {
            assert_eq!(page(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_character_keeps_its_folded_form_when_folded_again() {
        for letter in '\0'..=char::MAX {
            let once = fold_char(letter);
            assert!(once == LEFT_OUT || fold_char(once) == once, "{letter:?} {once:?}");
            assert!(once.len_utf8() <= letter.len_utf8() * 3, "{letter:?}");
            assert_eq!(is_blank(&String::from(letter)), once == LEFT_OUT || once == ' ');
        }
    }

    #[test]
    fn a_buffer_that_is_too_small_is_filled_and_the_rest_is_told() {
        let text = "A long TEXT, with é and 少女, of more than sixteen bytes.";
        for room in 0..80 {
            let mut buffer = vec![0; room];
            let (taken, end) = fold(text, &mut buffer, 0);
            assert!(text.is_char_boundary(taken));
            assert!(taken == text.len() || room - end < WIDEST, "{room}");
            assert_eq!(buffer[..end], *phrase(&text[..taken]).as_bytes());
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(text in r"[ -~]{0,60}|\PC{0,40}|[aeE \u{301}\u{308}.\u{ad}é\t]{0,40}") {
            let once = phrase(&text);
            prop_assert_eq!(&phrase(&once), &once);
            let once = page(&text);
            prop_assert_eq!(&page(&once), &once);
        }

        #[test]
        fn pieces_come_to_what_the_whole_comes_to(text in r"[ -~]{0,60}|[a-cA-C ,.é\u{301}\u{a0}少]{0,60}", cut in 0_usize..60) {
            let cut = (0..=cut.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap();
            let mut buffer = vec![0; text.len() * 3 + 2 * WIDEST];
            let (_, end) = fold(&text[..cut], &mut buffer, 0);
            let (_, end) = fold(&text[cut..], &mut buffer, end);
            prop_assert_eq!(std::str::from_utf8(&buffer[..end]).unwrap(), phrase(&text));
        }
    }
}
