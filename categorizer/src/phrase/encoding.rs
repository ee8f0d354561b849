//! The text of a phrase list: of its author's time and place, often not UTF-8.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::Encoding;

use crate::list::text;

/// From how many lines on a part of a file is guessed by itself.
const LINES_OF_A_PART: usize = 20;

/// What a file's lines are read as that are not UTF-8.
///
/// Where the file is not UTF-16, what the caller says decides, else a guess from those lines. Some files hold the same words several times, in old encodings and in UTF-8: where lines
/// of UTF-8 stand between, each part is guessed by itself, if it is long enough for that.
pub(super) struct Reader<'a> {
    bytes: Cow<'a, [u8]>,
    /// The first line of each part and its encoding.
    parts: Vec<(u64, &'static Encoding)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], told: Option<&'static Encoding>) -> Self {
        let bytes = text::as_utf8(bytes);
        let parts = told.map_or_else(|| guess(&bytes), |encoding| vec![(0, encoding)]);
        Self { bytes, parts }
    }

    /// The file's bytes, without a mark.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The text of a line with its number, and the encoding that was used if it is not UTF-8;
    /// `None` where the bytes are none in that encoding.
    pub(super) fn text<'l>(
        &self,
        number: u64,
        line: &'l [u8],
    ) -> Option<(Cow<'l, str>, Option<&'static Encoding>)> {
        if let Ok(text) = std::str::from_utf8(line) {
            return Some((Cow::Borrowed(text), None));
        }
        let after = self.parts.partition_point(|&(first, _)| first <= number);
        let (_, encoding) = self.parts.get(after.checked_sub(1)?)?;
        let text = encoding.decode_without_bom_handling_and_without_replacement(line)?;
        Some((text, Some(encoding)))
    }
}

/// Guesses from the lines that are not UTF-8; there are no parts where all are.
fn guess(bytes: &[u8]) -> Vec<(u64, &'static Encoding)> {
    if std::str::from_utf8(bytes).is_ok() {
        return Vec::new();
    }
    // Parts end at a line of UTF-8 that is more than ASCII.
    let mut parts: Vec<Vec<(u64, &[u8])>> = vec![Vec::new()];
    for (number, line) in text::lines(bytes) {
        match std::str::from_utf8(line) {
            Err(_) => {
                if let Some(part) = parts.last_mut() {
                    part.push((number, line));
                }
            }
            Ok(text) if !text.is_ascii() => parts.push(Vec::new()),
            Ok(_) => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    let whole = guess_lines(parts.iter().flatten());
    let encoding = |part: &Vec<(u64, &[u8])>| {
        let first = part.first().map_or(0, |line| line.0);
        let own = part.len() >= LINES_OF_A_PART && parts.len() > 1;
        (first, if own { guess_lines(part.iter()) } else { whole })
    };
    parts.iter().map(encoding).collect()
}

fn guess_lines<'l>(lines: impl Iterator<Item = &'l (u64, &'l [u8])>) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    for (_, line) in lines {
        detector.feed(line, false);
        detector.feed(b"\n", false);
    }
    detector.feed(b"", true);
    detector.guess(None, Utf8Detection::Deny)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_encodings_in_one_file_are_all_read() {
        let words = "<少女> <美しい花> <図書館の本> <学校の先生> <にんじん>";
        let old = [encoding_rs::SHIFT_JIS, encoding_rs::EUC_JP].map(|old| old.encode(words).0);
        let [sjis, euc] = old.map(|line| line.into_owned());
        let part = |line: &[u8]| [line, b"\n"].concat().repeat(LINES_OF_A_PART);
        let bytes = [part(&sjis), part(words.as_bytes()), part(&euc)].concat();
        let reader = Reader::new(&bytes, None);
        for (number, line) in text::lines(reader.bytes()).filter(|line| !line.1.is_empty()) {
            assert_eq!(reader.text(number, line).unwrap().0, words);
        }
        assert_eq!(reader.parts.len(), 2);
    }

    #[test]
    fn a_mark_is_left_out_and_utf16_is_decoded() {
        let utf16: Vec<u8> = "\u{feff}<é>\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [&utf16[..], "\u{feff}<é>\n".as_bytes()] {
            assert_eq!(Reader::new(bytes, None).bytes(), "<é>\n".as_bytes());
        }
    }

    #[test]
    fn what_the_caller_says_goes_before_a_guess() {
        let reader = Reader::new(b"\xe6ble", Some(encoding_rs::WINDOWS_1252));
        assert_eq!(reader.text(1, b"\xe6ble").unwrap().0, "æble");
    }
}
