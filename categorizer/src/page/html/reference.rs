//! Character references: `&amp;`, `&#233;`, `&#xe9;` (HTML, 13.2.5.72 to 13.2.5.80).

use std::sync::LazyLock;

/// Longest name, with its semicolon: `CounterClockwiseContourIntegral;`.
const MAX_NAME_BYTES: usize = 32;
/// Longest name that needs no semicolon, as `frac12` and `Ccedil`.
const MAX_SHORT_BYTES: usize = 6;

/// The standard's names, without their ampersand, in order.
static NAMES: LazyLock<Vec<(&[u8], &str)>> = LazyLock::new(|| {
    let names = entities::ENTITIES.iter();
    let mut names: Vec<_> =
        names.map(|one| (&one.entity.as_bytes()[1..], one.characters)).collect();
    names.sort_unstable();
    names
});

fn named(name: &[u8]) -> Option<&'static str> {
    let at = NAMES.binary_search_by(|one| one.0.cmp(name)).ok()?;
    Some(NAMES[at].1)
}

/// A reference that is being read: what comes behind an ampersand.
#[derive(Debug)]
pub(super) struct Reference {
    place: Place,
    name: [u8; MAX_NAME_BYTES],
    length: usize,
    value: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    Name,
    Hash,
    HexMark,
    Decimal,
    Hex,
}

/// What becomes of a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is part of the reference, which goes on.
    Goes,
    /// It is the last of the reference.
    Ends,
    /// It is behind the reference.
    Behind,
}

impl Default for Reference {
    fn default() -> Self {
        Self { place: Place::Start, name: [0; MAX_NAME_BYTES], length: 0, value: 0 }
    }
}

impl Reference {
    pub(super) fn push(&mut self, byte: u8) -> Next {
        match self.place {
            Place::Start | Place::Name => match byte {
                b'#' if self.place == Place::Start => self.keep(byte, Place::Hash),
                b';' if self.place == Place::Name && self.length < MAX_NAME_BYTES => {
                    self.keep(byte, Place::Name);
                    return Next::Ends;
                }
                _ if byte.is_ascii_alphanumeric() && self.length < MAX_NAME_BYTES => {
                    self.keep(byte, Place::Name);
                }
                _ => return Next::Behind,
            },
            Place::Hash => match byte {
                b'x' | b'X' => self.keep(byte, Place::HexMark),
                b'0'..=b'9' => self.digit(byte, 10, Place::Decimal),
                _ => return Next::Behind,
            },
            Place::HexMark | Place::Hex if byte.is_ascii_hexdigit() => {
                self.digit(byte, 16, Place::Hex);
            }
            Place::Decimal if byte.is_ascii_digit() => self.digit(byte, 10, Place::Decimal),
            Place::Hex | Place::Decimal if byte == b';' => return Next::Ends,
            _ => return Next::Behind,
        }
        Next::Goes
    }

    fn keep(&mut self, byte: u8, place: Place) {
        self.name[self.length] = byte;
        self.length += 1;
        self.place = place;
    }

    fn digit(&mut self, byte: u8, base: u32, place: Place) {
        let digit = char::from(byte).to_digit(base).unwrap_or(0);
        // Any number of digits is a number; beyond the last character the value does not matter.
        self.value = self.value.saturating_mul(base).saturating_add(digit);
        self.place = place;
    }

    /// What it stands for, and what of it is text after all. `next` is the byte behind it, within an
    /// attribute, where `&copy=` and `&copyright` are no references.
    pub(super) fn finish(&self, in_attribute: bool, next: Option<u8>, out: &mut impl FnMut(&[u8])) {
        let name = &self.name[..self.length];
        let mut buffer = [0; 4];
        match self.place {
            Place::Decimal | Place::Hex => {
                out(character(self.value).encode_utf8(&mut buffer).as_bytes());
                return;
            }
            Place::Name => {
                if name.ends_with(b";")
                    && let Some(text) = named(name)
                {
                    out(text.as_bytes());
                    return;
                }
                for length in (2..=name.len().min(MAX_SHORT_BYTES)).rev() {
                    let Some(text) = named(&name[..length]) else { continue };
                    let behind = name.get(length).copied().or(next);
                    let is_parameter =
                        behind.is_some_and(|byte| byte == b'=' || byte.is_ascii_alphanumeric());
                    if in_attribute && is_parameter {
                        break;
                    }
                    out(text.as_bytes());
                    out(&name[length..]);
                    return;
                }
            }
            Place::Start | Place::Hash | Place::HexMark => {}
        }
        out(b"&");
        out(name);
    }
}

/// The character of a number, as browsers read it.
fn character(value: u32) -> char {
    // What is said in windows-1252 is meant so.
    const WINDOWS_1252: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž',
        '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}',
        'ž', 'Ÿ',
    ];
    match value {
        0 => char::REPLACEMENT_CHARACTER,
        0x80..=0x9f => WINDOWS_1252[(value - 0x80) as usize],
        _ => char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, in_attribute: bool) -> String {
        let mut reference = Reference::default();
        let mut out = Vec::new();
        let bytes = &text.as_bytes()[1..];
        for (at, &byte) in bytes.iter().enumerate() {
            let next = reference.push(byte);
            if next != Next::Goes {
                let behind = at + usize::from(next == Next::Ends);
                let following = bytes.get(behind).copied().filter(|_| next == Next::Behind);
                reference.finish(in_attribute, following, &mut |part| out.extend_from_slice(part));
                out.extend_from_slice(&bytes[behind..]);
                return String::from_utf8_lossy(&out).into_owned();
            }
        }
        reference.finish(in_attribute, None, &mut |part| out.extend_from_slice(part));
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn references_are_read_as_the_standard_has_it() {
        for (text, expected) in [
            ("&amp;x", "&x"),
            ("&ampx", "&x"),
            ("&notit;", "¬it;"),
            ("&notin;", "∉"),
            ("&eacute", "é"),
            ("&nosuch;", "&nosuch;"),
            ("&", "&"),
            ("& x", "& x"),
            ("&#115;u", "su"),
            ("&#x73u", "su"),
            ("&#X0000000000000000000000000000000000000073;", "s"),
            ("&#;", "&#;"),
            ("&#x;", "&#x;"),
            ("&#0;", "\u{fffd}"),
            ("&#150;", "–"),
            ("&#xd800;", "\u{fffd}"),
            ("&#99999999999999;", "\u{fffd}"),
            ("&CounterClockwiseContourIntegral;", "∳"),
            ("&NotEqualTilde;", "≂\u{338}"),
            (
                "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;",
                "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;",
            ),
        ] {
            assert_eq!(read(text, false), expected, "{text}");
        }
        for (text, expected) in
            [("&copy=1", "&copy=1"), ("&copyx", "&copyx"), ("&copy;1", "©1"), ("&copy 1", "© 1")]
        {
            assert_eq!(read(text, true), expected, "{text}");
        }
    }

    #[test]
    fn every_name_of_the_standard_is_read() {
        // 2,231 with and without a semicolon (HTML, 13.5).
        assert_eq!(NAMES.len(), 2231);
        for (name, characters) in NAMES.iter() {
            let text = format!("&{}", String::from_utf8_lossy(name));
            assert_eq!(read(&text, false), *characters, "{text}");
        }
        let is_short = |name: &&[u8]| !name.ends_with(b";");
        let short = NAMES.iter().map(|one| one.0).filter(is_short).map(<[u8]>::len).max();
        assert_eq!(short, Some(MAX_SHORT_BYTES));
        assert_eq!(NAMES.iter().map(|one| one.0.len()).max(), Some(MAX_NAME_BYTES));
    }
}
