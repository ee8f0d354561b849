//! Names in lists: canonical spelling, public suffixes, and the hash of each suffix of a host.
//!
//! A listed name covers itself and every name below it. So that one pass over a host gives the
//! hash of the host and of each of its parents, names are hashed label by label from the right.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use psl::Psl;
use rules::host::{Host, HostError};

use crate::hash::extend;
use crate::shape::Shape;

/// Longest label of a name, in bytes (RFC 1035, 2.3.4).
const MAX_LABEL_BYTES: usize = 63;
/// State before the rightmost label of a name.
pub(crate) const NAME_ROOT: u64 = 0x243f_6a88_85a3_08d3;
/// State before an address: kept apart, so that `1.2.3.4` never meets a name.
const ADDRESS_ROOT: u64 = 0x1319_8a2e_0370_7344;

/// The canonical spelling of a listed host; why not, where there is none.
pub(crate) fn canonical(text: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    if let Some(name) = plainly_canonical(text) {
        return Ok(Cow::Borrowed(name));
    }
    let text = std::str::from_utf8(text).map_err(|_| "is not UTF-8 text")?;
    let bare_ipv6 = text.bytes().filter(|&byte| byte == b':').count() > 1 && !text.starts_with('[');
    let host = if bare_ipv6 { Host::parse(&format!("[{text}]")) } else { Host::parse(text) };
    match host {
        Ok(host) => Ok(Cow::Owned(host.as_str().to_owned())),
        Err(HostError::Empty) => Err("names no host"),
        Err(HostError::TooLong) => Err("is longer than DNS allows"),
        Err(HostError::BadCharacter) => Err("holds a character that no host name has"),
        Err(HostError::BadName) => Err("is no valid domain name"),
        Err(HostError::BadAddress) => Err("looks like an address but is none"),
    }
}

/// Bytes that are, beyond doubt, a canonical name.
pub(crate) fn plainly_canonical(text: &[u8]) -> Option<&str> {
    let is_plain = match Shape::of(text) {
        Some(shape) => is_plain_name(text, shape),
        None => text.len() <= 253 && is_long_plain_name(text),
    };
    if is_plain { std::str::from_utf8(text).ok() } else { None }
}

/// A text with its shape, if it is short and beyond doubt a canonical name: the common case.
#[inline]
pub(crate) fn short_plain_name(text: &str) -> Option<(&str, Shape)> {
    let shape = Shape::of(text.as_bytes())?;
    is_plain_name(text.as_bytes(), shape).then_some((text, shape))
}

fn is_plain_name(text: &[u8], shape: Shape) -> bool {
    let (Some(last), false) = (text.last(), shape.has_others) else { return false };
    // An empty label has a dot at its beginning, or the name ends in a dot.
    let starts = shape.dots << 1 | 1;
    let has_empty = starts & shape.dots != 0 || *last == b'.';
    if has_empty || (text.len() > MAX_LABEL_BYTES && shape.dots == 0) {
        return false;
    }
    if shape.has_hyphens && !Labels::of(text, Some(shape)).all(is_plain_label) {
        return false;
    }
    // A name whose last label is a number (`1.2.3.4`, `a.0x7f`) is an address or nothing.
    let label = &text[64 - shape.dots.leading_zeros() as usize..];
    let is_number = last.is_ascii_digit() && label.iter().all(u8::is_ascii_digit);
    !is_number && !label.starts_with(b"0x")
}

/// The same letter by letter.
fn is_long_plain_name(text: &[u8]) -> bool {
    let plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if !text.iter().all(plain) || !text.split(|&byte| byte == b'.').all(is_plain_label) {
        return false;
    }
    let last = text.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    !last.iter().all(u8::is_ascii_digit) && !last.starts_with(b"0x")
}

/// A label that needs no look at IDNA: `xn--` ones do.
#[inline]
fn is_plain_label(label: &[u8]) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&label.len()) && label.get(2..4) != Some(b"--")
}

/// Why a canonical name must not be listed: it is a whole top level or public suffix. `shape` is the
/// name's.
pub(crate) fn whole_suffix(name: &str, shape: Option<Shape>) -> Option<&'static str> {
    let name = name.as_bytes();
    if shape.map_or_else(|| !name.contains(&b'.'), |shape| shape.dots == 0) {
        return Some("is a single label: would block a whole top-level domain");
    }
    let suffix = psl::List.find(Labels::of(name, shape));
    if suffix.len != name.len() {
        return None;
    }
    match suffix.typ {
        Some(psl::Type::Icann) => Some("is a public suffix: would block every site under it"),
        Some(psl::Type::Private) => {
            Some("is a shared hosting suffix: would block every owner's site under it")
        }
        None => None,
    }
}

/// The labels of a name from the right.
struct Labels<'a> {
    name: &'a [u8],
    /// Dots that are left, one bit each; unknown for long names.
    dots: Option<u64>,
    end: Option<usize>,
}

impl<'a> Labels<'a> {
    #[inline]
    fn of(name: &'a [u8], shape: Option<Shape>) -> Self {
        Self { name, dots: shape.map(|shape| shape.dots), end: Some(name.len()) }
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.end?;
        self.end = match &mut self.dots {
            Some(0) => None,
            Some(dots) => {
                let dot = dots.ilog2();
                *dots ^= 1 << dot;
                Some(dot as usize)
            }
            None => memchr::memrchr(b'.', &self.name[..end]),
        };
        Some(&self.name[self.end.map_or(0, |dot| dot + 1)..end])
    }
}

/// Whether canonical text is an address and not a name.
pub(crate) fn is_address(text: &str) -> bool {
    let last = text.as_bytes().last();
    text.contains(':') || (last.is_some_and(u8::is_ascii_digit) && text.parse::<Ipv4Addr>().is_ok())
}

/// Reads an address as hosts files write it, without the spellings that only URLs have.
pub(crate) fn address(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The hash of one more label to the left.
#[inline]
pub(crate) fn below(parent: u64, label: &[u8]) -> u64 {
    extend(parent, label)
}

/// The hash of an address.
pub(crate) fn address_hash(text: &str) -> u64 {
    extend(ADDRESS_ROOT, text.as_bytes())
}

/// The hash of a canonical name or address, and how many labels it has (an address has none).
pub(crate) fn host_hash(text: &str) -> (u64, u32) {
    let bytes = text.as_bytes();
    let shape = Shape::of(bytes);
    let ends_in_digit = bytes.last().is_some_and(u8::is_ascii_digit);
    if (ends_in_digit || shape.is_none_or(|shape| shape.has_others)) && is_address(text) {
        return (address_hash(text), 0);
    }
    Labels::of(bytes, shape)
        .fold((NAME_ROOT, 0), |(parent, labels), label| (below(parent, label), labels + 1))
}

/// A host without leading `www`, `www1`, ... labels: the same site to squidGuard's URL lists.
/// Never goes down to a single label.
pub(crate) fn without_www(host: &str) -> &str {
    let mut host = host;
    while let Some((first, rest)) = host.split_once('.')
        && first.strip_prefix("www").is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()))
        && rest.contains('.')
    {
        host = rest;
    }
    host
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_short_cut_takes_only_what_is_canonical_already() {
        let long_label = "a".repeat(64);
        let cases = [
            ("example.com", true),
            ("a_b.example.com", true),
            ("allosexe-.myblox.fr", true),
            ("", false),
            ("Example.com", false),
            ("example.com.", false),
            (".example.com", false),
            ("a..b", false),
            ("xn--caf-dma.fr", false),
            ("1.2.3.4", false),
            ("a.0x7f", false),
            ("example.com:80", false),
            (long_label.as_str(), false),
        ];
        for (text, expected) in cases {
            assert_eq!(plainly_canonical(text.as_bytes()).is_some(), expected, "{text}");
        }
    }

    #[test]
    fn what_the_short_cut_takes_is_what_the_host_parser_gives() {
        for name in ["example.com", "a_b.example.com", "x-.myblox.fr", "3com.com", "1.example"] {
            assert!(plainly_canonical(name.as_bytes()).is_some(), "{name}");
            assert_eq!(Host::parse(name).unwrap().as_str(), name);
        }
    }

    /// [`host_hash`] as it is defined, label by label.
    fn hashed_by_label(text: &str) -> (u64, u32) {
        if is_address(text) {
            return (address_hash(text), 0);
        }
        text.rsplit('.').fold((NAME_ROOT, 0), |(hash, labels), label| {
            (below(hash, label.as_bytes()), labels + 1)
        })
    }

    proptest! {
        #[test]
        fn names_of_any_length_are_judged_and_hashed_as_letter_by_letter(
            text in "([a-c0-1-]{0,4}|[a-z0-9_-]{0,70}|0x[0-9a-f]{1,3}|[0-9]{1,3})(\\.([a-c0-1-]{0,4}|[a-z]{1,9}|0x[0-9a-f]{1,3}|[0-9]{1,3})){0,6}",
            odd in prop::option::of(("[A-Z :/é]", any::<prop::sample::Index>())),
        ) {
            let mut text = text;
            if let Some((odd, place)) = odd {
                text.insert_str(place.index(text.len() + 1), &odd);
            }
            let bytes = text.as_bytes();
            let plainly = !bytes.is_empty() && bytes.len() <= 253 && is_long_plain_name(bytes);
            prop_assert_eq!(plainly_canonical(bytes).is_some(), plainly);
            let short = short_plain_name(&text).map(|(name, _)| name);
            prop_assert_eq!(short, (plainly && text.len() <= 64).then_some(&*text));
            prop_assert_eq!(whole_suffix(&text, Shape::of(bytes)), whole_suffix(&text, None));
            prop_assert_eq!(host_hash(&text), hashed_by_label(&text));
        }
    }

    #[test]
    fn other_spellings_are_made_canonical() {
        let cases = [
            ("EXAMPLE.com.", "example.com"),
            ("café.fr", "xn--caf-dma.fr"),
            ("0x7f.1", "127.0.0.1"),
            ("2001:DB8::0:1", "2001:db8::1"),
        ];
        for (text, expected) in cases {
            assert_eq!(canonical(text.as_bytes()).unwrap(), expected);
        }
        for text in ["a b.com", "a..b", "1.2.3.4.5", "\u{0}.com"] {
            assert!(canonical(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn whole_suffixes_are_told_from_names_below_them() {
        for suffix in ["com", "co.uk", "github.io", "blogspot.com", "x.kawasaki.jp"] {
            assert!(whole_suffix(suffix, Shape::of(suffix.as_bytes())).is_some(), "{suffix}");
        }
        for name in ["example.com", "bbc.co.uk", "a.github.io", "example.unknowntld"] {
            assert_eq!(whole_suffix(name, Shape::of(name.as_bytes())), None, "{name}");
        }
    }

    #[test]
    fn www_labels_are_taken_off_but_never_the_site() {
        let cases = [
            ("www.example.com", "example.com"),
            ("www12.example.com", "example.com"),
            ("www.www.example.com", "example.com"),
            ("www.com", "www.com"),
            ("wwwx.example.com", "wwwx.example.com"),
            ("example.com", "example.com"),
        ];
        for (host, expected) in cases {
            assert_eq!(without_www(host), expected);
        }
    }
}
