//! `Content-Disposition` (RFC 6266), read as widely as all clients together read it.

use super::name::percent_decoded;

/// What a `Content-Disposition` says.
#[derive(Debug)]
pub(super) struct Disposition {
    /// Anything but `inline`: an unknown type is as `attachment` (RFC 6266, 4.2).
    pub(super) is_attachment: bool,
    /// Every name that some client would read from it.
    pub(super) names: Vec<String>,
}

/// Most names that are read from one field.
const MAX_NAMES: usize = 16;

/// Reads a field. It never fails: clients make a name out of anything.
pub(super) fn read(value: &[u8]) -> Disposition {
    // Clients read names in UTF-8, and in Latin-1 where they are none; the ends that matter are ASCII.
    let text = String::from_utf8_lossy(value);
    let kind = text.split([';', ',']).next().unwrap_or_default().trim().to_ascii_lowercase();
    let mut names = Vec::new();
    let mut pieces: Vec<(u32, String)> = Vec::new();
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower[from..].find("filename").map(|at| from + at) {
        from = at + "filename".len();
        if names.len() >= MAX_NAMES || pieces.len() >= MAX_NAMES {
            break;
        }
        let Some((mark, value)) = text[from..].split_once('=') else { break };
        let Some(parameter) = Parameter::of(mark.trim()) else { continue };
        let value = read_value(value.trim_start());
        match parameter {
            Parameter::Plain => {
                names.push(percent_decoded(&value));
                names.extend(decoded_word(&value));
                names.push(value);
            }
            Parameter::Extended => names.push(extended(&value)),
            Parameter::Piece(number) => pieces.push((number, percent_decoded(&value))),
        }
    }
    if !pieces.is_empty() {
        pieces.sort_by_key(|(number, _)| *number);
        let whole: String = pieces.into_iter().map(|(_, piece)| piece).collect();
        names.push(extended(&whole));
        names.push(whole);
    }
    names.retain(|name| !name.is_empty());
    names.dedup();
    Disposition { is_attachment: kind != "inline", names }
}

/// What stands between `filename` and `=`.
enum Parameter {
    /// `filename=`.
    Plain,
    /// `filename*=` (RFC 8187).
    Extended,
    /// `filename*1=`, `filename*1*=` (RFC 2231, 3), which Firefox reads.
    Piece(u32),
}

impl Parameter {
    fn of(mark: &str) -> Option<Parameter> {
        match mark {
            "" => Some(Self::Plain),
            "*" => Some(Self::Extended),
            _ => {
                let number = mark.strip_prefix('*')?;
                let number = number.strip_suffix('*').unwrap_or(number);
                number.parse().ok().map(Self::Piece)
            }
        }
    }
}

/// A value in quotes, with backslashes undone, or up to the next `;`.
fn read_value(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('"') else {
        return text.split(';').next().unwrap_or_default().trim().to_owned();
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    value
}

/// `UTF-8'en'%e2%82%ac.exe`: what stands behind the second quote, decoded; else all of it.
fn extended(value: &str) -> String {
    percent_decoded(value.splitn(3, '\'').nth(2).unwrap_or(value))
}

/// `=?UTF-8?Q?a=2Eexe?=` and `=?UTF-8?B?YS5leGU=?=` (RFC 2047), which Chrome reads in names.
fn decoded_word(value: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = value;
    while let Some((_, word)) = rest.split_once("=?") {
        let (_, word) = word.split_once('?')?;
        let (coding, word) = word.split_once('?')?;
        let (text, behind) = word.split_once("?=").unwrap_or((word, ""));
        rest = behind;
        name += &match coding {
            "q" | "Q" => percent_decoded(&text.replace('=', "%").replace('_', " ")),
            "b" | "B" => base64(text),
            _ => return None,
        };
    }
    (!name.is_empty()).then_some(name)
}

/// Base64 as lax as clients are: what is no digit is passed over.
fn base64(text: &str) -> String {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = text.bytes().filter_map(digit).collect();
    let mut bytes = Vec::with_capacity(digits.len());
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit));
        let bits = bits << (6 * (4 - group.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len().max(1)]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
