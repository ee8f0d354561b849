//! The text of a list file: encodings, line ends, and lines as people are shown them.

use std::borrow::Cow;
use std::ops::Range;

/// Longest text of a skipped line in a report, in characters.
const MAX_SHOWN: usize = 80;

/// The bytes as UTF-8 where they are UTF-16 (told by the mark, or by every other byte being zero);
/// else as they are, without a mark.
pub(crate) fn as_utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(rest),
        [0xff, 0xfe, rest @ ..] => from_utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => from_utf16(rest, u16::from_be_bytes),
        _ => match zero_places(bytes) {
            (0..=9, 40..) => from_utf16(bytes, u16::from_le_bytes),
            (40.., 0..=9) => from_utf16(bytes, u16::from_be_bytes),
            _ => Cow::Borrowed(bytes),
        },
    }
}

fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Cow<'_, [u8]> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let text: String =
        char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    Cow::Owned(text.into_bytes())
}

/// In a hundred places at the start: how many even ones and how many odd ones are zero, in percent.
fn zero_places(bytes: &[u8]) -> (usize, usize) {
    let sample = &bytes[..bytes.len().min(512)];
    let pairs = sample.len() / 2;
    if pairs < 8 {
        return (0, 0);
    }
    let zeros = |first: usize| {
        sample.iter().skip(first).step_by(2).take(pairs).filter(|&&byte| byte == 0).count() * 100
            / pairs
    };
    (zeros(0), zeros(1))
}

/// The lines with their 1-based numbers; ends are LF, CRLF or CR.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    places(bytes).map(|(number, line)| (number, &bytes[line]))
}

/// Where the lines lie, with their numbers.
pub(crate) fn places(bytes: &[u8]) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut next = Some(0);
    let mut number = 0;
    std::iter::from_fn(move || {
        let start = next?;
        number += 1;
        let Some(length) = memchr::memchr2(b'\n', b'\r', &bytes[start..]) else {
            next = None;
            return Some((number, start..bytes.len()));
        };
        let end = start + length;
        next = Some(end + if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 });
        Some((number, start..end))
    })
}

/// A part of a text without white space at its ends.
pub(crate) fn trimmed(bytes: &[u8], line: Range<usize>) -> Range<usize> {
    let start = bytes[line.clone()].trim_ascii_start();
    let start_place = line.end - start.len();
    start_place..start_place + start.trim_ascii_end().len()
}

/// A line for people: cut, with control characters replaced.
pub(crate) fn shown(line: &[u8]) -> String {
    let head = &line[..line.len().min(MAX_SHOWN * 4)];
    String::from_utf8_lossy(head)
        .chars()
        .take(MAX_SHOWN)
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_is_told_with_and_without_a_mark() {
        let text = "example.com\r\nother.example\r\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            little.clone(),
            big.clone(),
            [&[0xff, 0xfe][..], &little].concat(),
            [&[0xfe, 0xff][..], &big].concat(),
            [&[0xef, 0xbb, 0xbf][..], text.as_bytes()].concat(),
        ] {
            assert_eq!(&*as_utf8(&bytes), text.as_bytes());
        }
    }

    #[test]
    fn lines_are_numbered_alike_whatever_ends_them() {
        for text in ["a\n\nb", "a\r\n\r\nb", "a\r\rb"] {
            let found: Vec<_> = lines(text.as_bytes()).collect();
            assert_eq!(found, [(1, &b"a"[..]), (2, b""), (3, b"b")], "{text:?}");
        }
    }

    #[test]
    fn a_shown_line_is_short_and_has_no_control_characters() {
        let line = [b"\x1b[31m\0".as_slice(), &[b'x'; 500]].concat();
        let text = shown(&line);
        assert_eq!(text.chars().count(), 80);
        assert!(!text.chars().any(char::is_control));
    }
}
