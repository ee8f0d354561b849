//! How web proxies write the URL that they are to fetch, undone.

use super::MOST_INNER_BYTES;
use std::borrow::Cow;

/// Rounds of percent-decoding: proxies and gateways encode at most twice, and once more hides it.
const ROUNDS: usize = 3;

/// Most of a coded URL that is read: every byte may be percent-encoded.
const MOST_CODED_BYTES: usize = MOST_INNER_BYTES * 3;

/// How a URL is written within another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// As it is, or percent-encoded.
    Plain,
    /// RFC 4648, 4 or 5.
    Base64,
    /// Two digits a byte.
    Hex,
    /// Letters moved by thirteen.
    Rot13,
    /// Every second character with its second bit turned: Ultraviolet's.
    Xor,
}

impl Codec {
    /// Whether nothing but a web proxy writes URLs so.
    pub(super) fn is_a_proxy_s(self) -> bool {
        matches!(self, Self::Rot13 | Self::Xor)
    }
}

/// The text of a URL with a scheme, out of a part of a path or a value of a parameter, and how it was
/// written. Bounded in length and in depth.
pub(super) fn url_text(raw: &str) -> Option<(Cow<'_, str>, Codec)> {
    let mut text = percent(clip(raw, MOST_CODED_BYTES));
    let mut outer = Codec::Plain;
    for _ in 0..ROUNDS {
        let start = text.trim_start();
        if starts_with_scheme(start) {
            return Some((Cow::Owned(start.to_owned()), outer));
        }
        let (decoded, codec) = unwrap(start)?;
        // What only proxies write stays so, whatever is within.
        if !outer.is_a_proxy_s() {
            outer = codec;
        }
        text = Cow::Owned(percent(&decoded).into_owned());
    }
    starts_with_scheme(&text).then_some((text, outer))
}

/// One coding undone, where the first characters are those of a URL in it.
fn unwrap(text: &str) -> Option<(String, Codec)> {
    let is_start = |known: &str| {
        text.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known))
    };
    if is_start("hvtr") {
        return Some((xor(text), Codec::Xor));
    }
    if is_start("uggc") {
        return Some((rot13(text), Codec::Rot13));
    }
    if is_start("6874747") {
        return Some((hex(text)?, Codec::Hex));
    }
    // "http", "HTTP", and both once more.
    if ["aHR0c", "SFRUU", "YUhSM", "U0ZSV"].iter().any(|start| text.starts_with(start)) {
        return Some((base64(text)?, Codec::Base64));
    }
    None
}

/// `http:` or `https:` and a slash of either kind, which may be one or missing none.
pub(super) fn starts_with_scheme(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_http = bytes.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"http"));
    let rest = match bytes.get(4) {
        Some(b's' | b'S') => bytes.get(5..7),
        _ => bytes.get(4..6),
    };
    is_http && matches!(rest, Some([b':', b'/' | b'\\']))
}

/// The beginning of a text, of at most so many bytes.
pub(super) fn clip(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Percent-decoded until nothing is left to decode, or [`ROUNDS`] times. A stray `%` stays.
pub(super) fn percent(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..ROUNDS {
        if !text.contains('%') {
            break;
        }
        let once = percent_once(text.as_bytes());
        if once.len() == text.len() {
            break;
        }
        text = Cow::Owned(String::from_utf8_lossy(&once).into_owned());
    }
    text
}

fn percent_once(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rest.len());
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        match crate::host::escape(&rest[at..]) {
            Some(byte) => {
                out.push(byte);
                rest = &rest[at + 3..];
            }
            None => {
                out.push(b'%');
                rest = &rest[at + 1..];
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

/// Base64 of either alphabet up to the first byte of neither; text that is no UTF-8 is made so.
pub(super) fn base64(text: &str) -> Option<String> {
    let bytes = base64_bytes(text)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The bytes of base64 of either alphabet, up to the first byte of neither.
pub(super) fn base64_bytes(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' | b' ' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    (!out.is_empty()).then_some(out)
}

fn hex(text: &str) -> Option<String> {
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes =
        pairs.iter().map_while(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok());
    let bytes: Vec<u8> = bytes.collect();
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn rot13(text: &str) -> String {
    let turn = |character: char| match character {
        'a'..='m' | 'A'..='M' => char::from(character as u8 + 13),
        'n'..='z' | 'N'..='Z' => char::from(character as u8 - 13),
        other => other,
    };
    text.chars().map(turn).collect()
}

fn xor(text: &str) -> String {
    let turn = |(place, character): (usize, char)| match place % 2 {
        1 => char::from_u32(character as u32 ^ 2).unwrap_or(character),
        _ => character,
    };
    text.chars().enumerate().map(turn).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_url_is_read_out_of_every_coding() {
        let url = "https://Games.example/a?b=c";
        let once = |text: &str| url_text(text).map(|(text, codec)| (text.into_owned(), codec));
        let cases = [
            (url.to_owned(), Codec::Plain),
            ("https%3A%2F%2FGames.example%2Fa%3Fb%3Dc".to_owned(), Codec::Plain),
            ("https%253A%252F%252FGames.example%252Fa%253Fb%253Dc".to_owned(), Codec::Plain),
            ("aHR0cHM6Ly9HYW1lcy5leGFtcGxlL2E/Yj1j".to_owned(), Codec::Base64),
            ("aHR0cHM6Ly9HYW1lcy5leGFtcGxlL2E_Yj1j".to_owned(), Codec::Base64),
            ("aHR0cHM6Ly9HYW1lcy5leGFtcGxlL2E%2FYj1j".to_owned(), Codec::Base64),
            ("YUhSMGNITTZMeTlIWVcxbGN5NWxlR0Z0Y0d4bEwyRS9ZajFq".to_owned(), Codec::Base64),
            ("68747470733a2f2f47616d65732e6578616d706c652f613f623d63".to_owned(), Codec::Hex),
            (rot13(url), Codec::Rot13),
            (xor(url), Codec::Xor),
            (xor(url).replace('/', "%2F"), Codec::Xor),
        ];
        for (text, codec) in cases {
            assert_eq!(once(&text), Some((url.to_owned(), codec)), "{text}");
        }
        assert_eq!(xor(url), "hvtrs8/-Gcmgs,ezaopne-a=b?c");
        for none in [
            "",
            "http",
            "https",
            "httpd/2.4",
            "service",
            "hvtrx",
            "uggc",
            "aHR0cA",
            "%",
            "68747470",
        ] {
            assert_eq!(once(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_long_or_nested_is_bounded() {
        let mut text = "https://games.example/".to_owned();
        for _ in 0..20 {
            text = text.replace('%', "%25").replace(':', "%3A").replace('/', "%2F");
        }
        assert_eq!(url_text(&text), None, "twenty rounds are not undone");
        let long = format!("https://games.example/{}", "a".repeat(1 << 20));
        assert!(url_text(&long).unwrap().0.len() <= MOST_INNER_BYTES * 3);
        let long = format!("https://games.example/{}", "é".repeat(1 << 20));
        assert!(url_text(&long).unwrap().0.len() <= MOST_INNER_BYTES * 3);
    }
}
