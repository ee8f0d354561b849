//! Names in lists: canonical spelling, public suffixes, and the hash of each suffix of a host.
//!
//! A listed name covers itself and every name below it. So that one pass over a host gives the
//! hash of the host and of each of its parents, names are hashed label by label from the right.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

use rules::host::{Host, HostError};

use crate::hash::extend;

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
    if is_plainly_canonical(text) { std::str::from_utf8(text).ok() } else { None }
}

/// Whether bytes are, beyond doubt, a canonical name: the common case, decided in one pass.
fn is_plainly_canonical(text: &[u8]) -> bool {
    if text.is_empty() || text.len() > 253 {
        return false;
    }
    let mut start = 0;
    let mut digits = true;
    for (place, &byte) in text.iter().enumerate() {
        match byte {
            b'.' => {
                if !is_plain_label(&text[start..place]) {
                    return false;
                }
                start = place + 1;
                digits = true;
            }
            b'a'..=b'z' | b'-' | b'_' => digits = false,
            b'0'..=b'9' => {}
            _ => return false,
        }
    }
    // A name whose last label is a number (`1.2.3.4`, `a.0x7f`) is an address or nothing.
    let last = &text[start..];
    is_plain_label(last) && !digits && !last.starts_with(b"0x")
}

/// A label that needs no look at IDNA: `xn--` ones do.
#[inline]
fn is_plain_label(label: &[u8]) -> bool {
    (1..=63).contains(&label.len()) && label.get(2..4) != Some(b"--")
}

/// Why a canonical name must not be listed: it is a whole top level or public suffix.
pub(crate) fn whole_suffix(name: &str) -> Option<&'static str> {
    if !name.contains('.') {
        return Some("is a single label: would block a whole top-level domain");
    }
    let suffix = psl::suffix(name.as_bytes())?;
    if suffix.as_bytes().len() != name.len() {
        return None;
    }
    match suffix.typ() {
        Some(psl::Type::Icann) => Some("is a public suffix: would block every site under it"),
        Some(psl::Type::Private) => {
            Some("is a shared hosting suffix: would block every owner's site under it")
        }
        None => None,
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
    if is_address(text) {
        return (address_hash(text), 0);
    }
    let mut labels = 0;
    let hash = text.as_bytes().rsplit(|&byte| byte == b'.').fold(NAME_ROOT, |parent, label| {
        labels += 1;
        below(parent, label)
    });
    (hash, labels)
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
            assert_eq!(is_plainly_canonical(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_the_short_cut_takes_is_what_the_host_parser_gives() {
        for name in ["example.com", "a_b.example.com", "x-.myblox.fr", "3com.com", "1.example"] {
            assert!(is_plainly_canonical(name.as_bytes()), "{name}");
            assert_eq!(Host::parse(name).unwrap().as_str(), name);
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
            assert!(whole_suffix(suffix).is_some(), "{suffix}");
        }
        for name in ["example.com", "bbc.co.uk", "a.github.io", "example.unknowntld"] {
            assert_eq!(whole_suffix(name), None, "{name}");
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
