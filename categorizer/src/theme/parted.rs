//! Words that somebody joined by marks which part none: `how\`to\`buy`, or by what is not seen.

use std::borrow::Cow;

use super::letters::{is_apostrophe, is_unseen};

/// Fewest such marks in a text that is read so: `rock'n'roll` has two.
const FEWEST: usize = 3;

/// A text with blanks for the marks, as many bytes, where they stand between letters more often than blanks do: few
/// write so, and sites read such a mark as a blank.
pub(super) fn parted(text: &str) -> Cow<'_, str> {
    let joins = joins(text).count();
    let blanks = text.split_whitespace().count().saturating_sub(1);
    if joins < FEWEST || joins <= blanks {
        return Cow::Borrowed(text);
    }
    let mut parted = text.as_bytes().to_vec();
    for (at, mark) in self::joins(text) {
        parted[at..at + mark.len_utf8()].fill(b' ');
    }
    String::from_utf8(parted).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The marks with a letter or digit before and behind, and where they stand.
fn joins(text: &str) -> impl Iterator<Item = (usize, char)> {
    let is_mark = |letter: char| is_apostrophe(letter) || is_unseen(letter);
    let mut before = false;
    let mut letters = text.char_indices().peekable();
    std::iter::from_fn(move || {
        loop {
            let (at, letter) = letters.next()?;
            let is_join = before
                && is_mark(letter)
                && letters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
            before = letter.is_alphanumeric();
            if is_join {
                return Some((at, letter));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_joined_by_marks_are_parted() {
        for (text, expected) in [
            ("how`to`buy`it", "how to buy it"),
            ("how'to\u{2019}buy`it now", "how to   buy it now"),
            ("how\u{200b}to\u{200b}buy\u{200b}it", "how   to   buy   it"),
        ] {
            assert_eq!(parted(text), expected);
        }
        for text in [
            "",
            "don't",
            "rock'n'roll",
            "i don't, she won't and he can't",
            "'one' 'two' 'three'",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}",
        ] {
            assert_eq!(parted(text), text);
        }
    }

    proptest! {
        #[test]
        fn places_stay(text in r"[a-c' `\u{200b}\u{2019}é🔪]{0,60}") {
            prop_assert_eq!(parted(&text).len(), text.len());
        }
    }
}
