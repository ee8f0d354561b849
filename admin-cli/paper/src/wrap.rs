//! Lines: a text cut to a width.

use crate::letters::{Letters, Weight};

/// After these an address may go on in the next line.
const BREAKS_AFTER: &[char] = &['/', '-', '.', '_', '?', '&', '=', '%', ',', ';', ':', '@', '+'];

/// The lines of a clean text, none wider than `width` points, but where one character is.
pub(crate) fn lines(
    letters: &Letters,
    (weight, size): (Weight, f32),
    text: &str,
    width: f32,
) -> Vec<String> {
    let most = width / size;
    let space = letters.advance(weight, ' ');
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let (mut line, mut used) = (String::new(), 0.0);
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            let mut word = word;
            let mut wide = letters.width(weight, word);
            if !line.is_empty() && used + space + wide > most {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            }
            // Longer than a line: an address, or what somebody wrote to break the page.
            while wide > most {
                let (piece, rest) = word.split_at(fitting(letters, weight, word, most));
                lines.push(piece.to_owned());
                word = rest;
                wide = letters.width(weight, word);
            }
            if word.is_empty() {
                continue;
            }
            if !line.is_empty() {
                line.push(' ');
                used += space;
            }
            line.push_str(word);
            used += wide;
        }
        lines.push(line);
    }
    lines
}

/// How many bytes of a word fit: one character at least, and where there is one, up to a place where an address
/// may go on, if that leaves most of the line full.
fn fitting(letters: &Letters, weight: Weight, word: &str, most: f32) -> usize {
    let (mut used, mut end, mut good) = (0.0, 0, None);
    for (place, c) in word.char_indices() {
        used += letters.advance(weight, c);
        if used > most && end > 0 && !is_mark(c) {
            break;
        }
        end = place + c.len_utf8();
        if BREAKS_AFTER.contains(&c) {
            good = Some((end, used));
        }
    }
    match good {
        Some((good, used)) if used > most * 0.6 => good,
        _ => end,
    }
}

/// Whether a character stands on the one before it.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6ed}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}
