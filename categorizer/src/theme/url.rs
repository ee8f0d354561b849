//! The words of a URL.

use super::disguise::MAX_BYTES;
use super::score::{Found, Scratch};
use super::set::Themes;

impl Themes {
    /// Scores the words of a URL: host, path and query, escapes undone, words parted where a capital
    /// follows a small letter. At most the first [`MAX_BYTES`] are read.
    pub fn score_url<'s>(&'s self, url: &str, scratch: &'s mut Scratch) -> Found<'s> {
        let mut text = std::mem::take(&mut scratch.url);
        text.clear();
        spell(url, &mut text);
        self.score_typed(&text, scratch);
        scratch.url = text;
        Found::new(&self.typed, scratch)
    }
}

/// The words of a URL, with spaces between.
fn spell(url: &str, text: &mut String) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.strip_prefix("www.").unwrap_or(rest);
    let mut bytes = rest.as_bytes().iter();
    // Bytes of a character that is not whole yet.
    let mut open = [0_u8; 4];
    let mut count = 0;
    let mut was_small = false;
    while let Some(&byte) = bytes.next() {
        let byte = match byte {
            b'%' => unescaped(bytes.as_slice()).map_or(b' ', |value| {
                bytes.nth(1);
                value
            }),
            b'+' | b'&' | b'=' | b'/' | b'?' | b'#' => b' ',
            _ => byte,
        };
        if text.len() + count + 2 > MAX_BYTES {
            break;
        }
        if byte.is_ascii_uppercase() && was_small {
            text.push(' ');
        }
        was_small = byte.is_ascii_lowercase();
        if byte < 0x80 {
            count = 0;
            text.push(char::from(byte));
            continue;
        }
        if count == open.len() {
            count = 0;
        }
        open[count] = byte;
        count += 1;
        if let Ok(whole) = std::str::from_utf8(&open[..count]) {
            text.push_str(whole);
            count = 0;
        }
    }
}

fn unescaped(digits: &[u8]) -> Option<u8> {
    let high = char::from(*digits.first()?).to_digit(16)?;
    let low = char::from(*digits.get(1)?).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_words() {
        let cases = [
            (
                "https://www.example.org/how-to-get-high?q=buy+weed#top",
                "example.org how-to-get-high q buy weed top",
            ),
            ("example.org/HowToGetHigh", "example.org How To Get High"),
            ("example.org/%73uicide%20ways", "example.org suicide ways"),
            ("x/%D8%A7%D9%86", "x ان"),
            ("x/%zz%", "x  zz "),
            ("x/%ff%fe%41", "x A"),
            ("", ""),
        ];
        for (url, expected) in cases {
            let mut text = String::new();
            spell(url, &mut text);
            assert_eq!(text, expected, "{url}");
        }
        let mut text = String::new();
        spell(&"é".repeat(MAX_BYTES), &mut text);
        assert!(text.len() <= MAX_BYTES);
    }
}
