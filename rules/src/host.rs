//! One canonical spelling for every host, before any rule looks at it.
//!
//! Lower case, no trailing dot, IDNA to A-labels (UTS 46), percent-decoding, every IPv4 spelling
//! (octal, hex, decimal, short) and IPv6 as the WHATWG URL Standard's host parser has them. What
//! has no canonical form is refused: a filter must never decide about one host and dial another.
//!
//! Stricter than the standard, never laxer: names keep to DNS lengths and to letters, digits,
//! hyphens and underscores (which real hosts have). An IPv4-mapped IPv6 address is written as the
//! IPv4 address that dialling it reaches, or it would step round a rule about that address.

use idna::AsciiDenyList;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use thiserror::Error;

/// Longest name in bytes, without the trailing dot (RFC 1035, 2.3.4).
const MAX_NAME_BYTES: usize = 253;
/// Longest label in bytes (RFC 1035, 2.3.4).
const MAX_LABEL_BYTES: usize = 63;
/// Longest input worth looking at: every byte of the longest name percent-encoded, four to a
/// character. Caps the work that a hostile target can ask for.
const MAX_INPUT_BYTES: usize = MAX_NAME_BYTES * 12;

/// All of ASCII but letters, digits, hyphen, dot and underscore.
const NOT_IN_NAMES: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");

/// A canonical host: a DNS name in lower-case A-labels, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// Name, dotted IPv4, or IPv6 without brackets (RFC 5952).
    text: Box<str>,
    address: Option<IpAddr>,
}

/// Why a host has no canonical form. The client gets 400.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum HostError {
    /// Nothing there.
    #[error("the host is empty")]
    Empty,
    /// Over 253 bytes, or a label over 63.
    #[error("the host is longer than DNS allows")]
    TooLong,
    /// A character that no host may hold, percent-encoded or not.
    #[error("the host holds a character that no host name has")]
    BadCharacter,
    /// Not valid under UTS 46, or with an empty label.
    #[error("the host is not a valid domain name")]
    BadName,
    /// Ends in a number but is no IPv4 address, or malformed IPv6 (zone ids included).
    #[error("the host looks like an IP address but is none")]
    BadAddress,
}

impl Host {
    /// Reads a host as it stands in a URL, `Host` field, CONNECT target or SNI; IPv6 in brackets.
    ///
    /// # Errors
    /// [`HostError`].
    pub fn parse(input: &str) -> Result<Self, HostError> {
        if is_canonical_name(input.as_bytes()) {
            return Ok(Self { text: input.into(), address: None });
        }
        if input.is_empty() {
            return Err(HostError::Empty);
        }
        if input.len() > MAX_INPUT_BYTES {
            return Err(HostError::TooLong);
        }
        if let Some(rest) = input.strip_prefix('[') {
            let inside = rest.strip_suffix(']').ok_or(HostError::BadAddress)?;
            let address: Ipv6Addr = inside.parse().map_err(|_| HostError::BadAddress)?;
            return Ok(Self::from_address(IpAddr::V6(address)));
        }
        Self::parse_name(input)
    }

    /// The slow path: percent-decoding, UTS 46, then IPv4 or the DNS limits.
    fn parse_name(input: &str) -> Result<Self, HostError> {
        let decoded = percent_decode(input.as_bytes());
        let decoded = std::str::from_utf8(&decoded).map_err(|_| HostError::BadCharacter)?;
        if decoded.bytes().any(is_forbidden) {
            return Err(HostError::BadCharacter);
        }
        let ascii = idna::domain_to_ascii_cow(decoded.as_bytes(), NOT_IN_NAMES)
            .map_err(|_| HostError::BadName)?;
        if ascii.contains("xn--") && holds_unassigned(&ascii) {
            return Err(HostError::BadName);
        }
        let name = ascii.strip_suffix('.').unwrap_or(&ascii);
        if name.is_empty() {
            return Err(HostError::Empty);
        }
        let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
        if is_number(last) {
            let address = parse_ipv4(name).ok_or(HostError::BadAddress)?;
            return Ok(Self::from_address(IpAddr::V4(address)));
        }
        if name.len() > MAX_NAME_BYTES {
            return Err(HostError::TooLong);
        }
        for label in name.split('.') {
            // UTS 46, V4: no label decodes to one that looks encoded. The idna crate lets it pass.
            if label.is_empty() || label.starts_with("xn--xn--") {
                return Err(HostError::BadName);
            }
            if label.len() > MAX_LABEL_BYTES {
                return Err(HostError::TooLong);
            }
        }
        Ok(Self { text: name.into(), address: None })
    }

    /// The host of an address. An IPv4-mapped IPv6 address becomes the IPv4 address it stands for.
    #[must_use]
    pub fn from_address(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { text: address.to_string().into(), address: Some(address) }
    }

    /// Canonical text; IPv6 without brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address, where the host is one; never an IPv4-mapped IPv6 address.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// This name and each parent, longest first: `a.b.uk`, `b.uk`, `uk`. An address gives itself.
    pub fn suffixes(&self) -> impl Iterator<Item = &str> {
        let single = self.address.is_some();
        let mut rest = Some(&*self.text);
        std::iter::from_fn(move || {
            let here = rest?;
            rest = if single { None } else { here.split_once('.').map(|(_, parent)| parent) };
            Some(here)
        })
    }

    /// Whether this host is `ancestor` or a name below it. Addresses have nothing below them.
    #[must_use]
    pub fn is_within(&self, ancestor: &Host) -> bool {
        match self.text.strip_suffix(&*ancestor.text) {
            Some("") => true,
            Some(front) => {
                front.ends_with('.') && self.address.is_none() && ancestor.address.is_none()
            }
            None => false,
        }
    }

    /// The registrable domain (Public Suffix List), e.g. `bbc.co.uk` for `www.bbc.co.uk`.
    /// `None` for an address or a bare public suffix.
    #[must_use]
    pub fn registrable(&self) -> Option<&str> {
        if self.address.is_some() { None } else { psl::domain_str(&self.text) }
    }

    /// Whether the name itself is a public suffix (`co.uk`, `com`, `github.io`). A single label
    /// that the list does not know counts as one, as the list's own `*` rule has it.
    #[must_use]
    pub fn is_public_suffix(&self) -> bool {
        self.address.is_none() && psl::suffix_str(&self.text) == Some(&*self.text)
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether the bytes are a name that canonicalising would leave as it is. Errs to `false`: names
/// with A-labels, or whose last label starts with a digit, take the slow path.
fn is_canonical_name(bytes: &[u8]) -> bool {
    if bytes.is_empty() || bytes.len() > MAX_NAME_BYTES {
        return false;
    }
    let mut start = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'.' => {
                if !is_plain_label(&bytes[start..i]) {
                    return false;
                }
                start = i + 1;
            }
            _ => return false,
        }
    }
    let last = &bytes[start..];
    is_plain_label(last) && !last[0].is_ascii_digit()
}

fn is_plain_label(label: &[u8]) -> bool {
    !label.is_empty() && label.len() <= MAX_LABEL_BYTES && !label.starts_with(b"xn--")
}

/// ASCII that stands in no name. Upper case is fine here: UTS 46 folds it.
fn is_forbidden(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'.' | b'_')
}

/// Whether an A-label stands for a character of planes 3 to 13 that Unicode 17 has not assigned.
/// The mapping data under the idna crate misses some of these; UTS 46 refuses all.
fn holds_unassigned(ascii: &str) -> bool {
    let (unicode, _) = idna::domain_to_unicode(ascii);
    unicode.chars().any(|character| ('\u{3347a}'..='\u{dffff}').contains(&character))
}

/// Decodes `%XX` once; a stray `%` stays, and is refused as a character later.
fn percent_decode(input: &[u8]) -> Cow<'_, [u8]> {
    if !input.contains(&b'%') {
        return Cow::Borrowed(input);
    }
    let mut out = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((&byte, after)) = rest.split_first() {
        match escape(rest) {
            Some(decoded) => {
                out.push(decoded);
                rest = &rest[3..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    Cow::Owned(out)
}

/// The byte that a percent escape at the start of `bytes` stands for.
pub(crate) fn escape(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            u8::try_from(digit(high)? << 4 | digit(low)?).ok()
        }
        _ => None,
    }
}

/// Whether a last label makes the name an IPv4 address or nothing (WHATWG, "ends in a number").
fn is_number(label: &str) -> bool {
    (!label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()))
        || parse_ipv4_part(label).is_some()
}

/// One part of an IPv4 address: decimal, `0` octal or `0x` hexadecimal. Saturates: far too large
/// is too large.
fn parse_ipv4_part(part: &str) -> Option<u64> {
    let (digits, radix) = match part.as_bytes() {
        [] => return None,
        [b'0', b'x' | b'X', ..] => (&part[2..], 16),
        [b'0', _, ..] => (&part[1..], 8),
        _ => (part, 10),
    };
    digits.chars().try_fold(0_u64, |value, digit| {
        Some(value.saturating_mul(u64::from(radix)).saturating_add(digit.to_digit(radix)?.into()))
    })
}

/// The WHATWG IPv4 parser: one to four parts, the last of which fills the bytes that are left.
fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut parts = [0_u64; 4];
    let mut count = 0;
    for part in text.split('.') {
        *parts.get_mut(count)? = parse_ipv4_part(part)?;
        count += 1;
    }
    let (last, front) = parts[..count].split_last()?;
    if front.iter().any(|part| *part > 255) || *last >= 256_u64.pow(5 - count as u32) {
        return None;
    }
    let high = front.iter().zip([24, 16, 8]).map(|(part, shift)| part << shift).sum::<u64>();
    u32::try_from(high + last).ok().map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_of_a_host_becomes_one() {
        let cases = [
            ("example.org", "example.org"),
            ("EXAMPLE.Org", "example.org"),
            ("example.org.", "example.org"),
            ("ex%61mple.org", "example.org"),
            ("%65%78%61mple%2Eorg", "example.org"),
            ("example\u{3002}org", "example.org"),
            ("ＥＸＡＭＰＬＥ.org", "example.org"),
            ("exam\u{ad}ple.org", "example.org"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("B%C3%BCcher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("faß.de", "xn--fa-hia.de"),
            ("_dmarc.example.org", "_dmarc.example.org"),
            ("r3---sn-4g5e6nsz.example", "r3---sn-4g5e6nsz.example"),
            ("-odd-.example", "-odd-.example"),
            ("4chess.example", "4chess.example"),
            ("example.4you", "example.4you"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("0177.0.0.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("0X7F000001", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("192.168.257", "192.168.1.1"),
            ("１２７.0.0.1", "127.0.0.1"),
            ("0x", "0.0.0.0"),
            ("[::1]", "::1"),
            ("[2001:DB8:0:0:0:0:0:1]", "2001:db8::1"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("[::FFFF:7f00:1]", "127.0.0.1"),
        ];
        for (input, canonical) in cases {
            let host = Host::parse(input).unwrap_or_else(|error| panic!("{input}: {error}"));
            assert_eq!(host.as_str(), canonical, "{input}");
            assert_eq!(host.address().is_some(), canonical.parse::<IpAddr>().is_ok(), "{input}");
        }
    }

    #[test]
    fn what_has_no_canonical_form_is_refused() {
        let long_label = format!("{}.org", "a".repeat(64));
        let long_name = format!("{}org", "abcdefghi.".repeat(26));
        let huge = "%41".repeat(5000);
        let cases = [
            ("", HostError::Empty),
            (".", HostError::Empty),
            ("%2e", HostError::Empty),
            ("example..org", HostError::BadName),
            (".example.org", HostError::BadName),
            ("example.org..", HostError::BadName),
            ("exa mple.org", HostError::BadCharacter),
            ("exa%20mple.org", HostError::BadCharacter),
            ("example.org%00.school.uk", HostError::BadCharacter),
            ("example.org\n", HostError::BadCharacter),
            ("example.org/x", HostError::BadCharacter),
            ("example.org%2fx", HostError::BadCharacter),
            ("user@example.org", HostError::BadCharacter),
            ("example.org:80", HostError::BadCharacter),
            ("ex%mple.org", HostError::BadCharacter),
            ("ex%2561mple.org", HostError::BadCharacter),
            ("%ff.org", HostError::BadCharacter),
            ("\u{ff05}41.org", HostError::BadName),
            ("*.example.org", HostError::BadCharacter),
            ("xn--a.example", HostError::BadName),
            ("xn--.example", HostError::BadName),
            ("xn--xn--a--gua.example", HostError::BadName),
            ("xn--t92s.example", HostError::BadName),
            ("\u{3e8ac}.example", HostError::BadName),
            ("\u{ad}", HostError::Empty),
            ("\u{fffd}.org", HostError::BadName),
            ("1.2.3.4.5", HostError::BadAddress),
            ("256.1.1.1", HostError::BadAddress),
            ("1.2.3.256", HostError::BadAddress),
            ("4294967296", HostError::BadAddress),
            ("99999999999999999999999999", HostError::BadAddress),
            ("0x100000000", HostError::BadAddress),
            ("example.0x1f", HostError::BadAddress),
            ("example.09", HostError::BadAddress),
            ("1..2", HostError::BadAddress),
            ("[::1", HostError::BadAddress),
            ("[fe80::1%25eth0]", HostError::BadAddress),
            ("[fe80::1%eth0]", HostError::BadAddress),
            ("[1.2.3.4]", HostError::BadAddress),
            ("[::1]x", HostError::BadAddress),
            ("::1", HostError::BadCharacter),
            (&long_label, HostError::TooLong),
            (&long_name, HostError::TooLong),
            (&huge, HostError::TooLong),
        ];
        for (input, error) in cases {
            assert_eq!(Host::parse(input), Err(error), "{input}");
        }
    }

    #[test]
    fn suffixes_run_from_the_name_to_its_last_label() {
        let host = Host::parse("www.bbc.co.uk").unwrap();
        assert_eq!(
            host.suffixes().collect::<Vec<_>>(),
            ["www.bbc.co.uk", "bbc.co.uk", "co.uk", "uk"]
        );
        let address = Host::parse("10.0.0.1").unwrap();
        assert_eq!(address.suffixes().collect::<Vec<_>>(), ["10.0.0.1"]);
    }

    #[test]
    fn a_host_is_within_itself_and_its_parents_only_at_label_boundaries() {
        let within = |host: &str, ancestor: &str| {
            Host::parse(host).unwrap().is_within(&Host::parse(ancestor).unwrap())
        };
        assert!(within("example.org", "example.org"));
        assert!(within("www.example.org", "example.org"));
        assert!(!within("badexample.org", "example.org"));
        assert!(!within("example.org", "www.example.org"));
        assert!(!within("[2001:db8::1]", "[::1]"));
        assert!(within("10.0.0.1", "10.0.0.1"));
    }

    #[test]
    fn registrable_domains_follow_the_public_suffix_list() {
        let cases = [
            ("www.bbc.co.uk", Some("bbc.co.uk")),
            ("bbc.co.uk", Some("bbc.co.uk")),
            ("co.uk", None),
            ("a.b.pages.github.io", Some("pages.github.io")),
            ("github.io", None),
            ("www.city.kawasaki.jp", Some("city.kawasaki.jp")),
            ("a.b.c.kawasaki.jp", Some("b.c.kawasaki.jp")),
            ("test.sch.uk", None),
            ("www.hill.test.sch.uk", Some("hill.test.sch.uk")),
            ("a.shishi.xn--fiqs8s", Some("shishi.xn--fiqs8s")),
            ("www.unknown-tld-name", Some("www.unknown-tld-name")),
            ("localhost", None),
            ("10.0.0.1", None),
        ];
        for (name, registrable) in cases {
            let host = Host::parse(name).unwrap();
            assert_eq!(host.registrable(), registrable, "{name}");
            let is_suffix = registrable.is_none() && host.address().is_none();
            assert_eq!(host.is_public_suffix(), is_suffix, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_canonical_host_parses_to_itself(input in "\\PC{0,40}|[a-zA-Z0-9_.%-]{1,40}|[0-9x.]{1,20}") {
            if let Ok(host) = Host::parse(&input) {
                let text = match host.address() {
                    Some(IpAddr::V6(_)) => format!("[{host}]"),
                    _ => host.to_string(),
                };
                prop_assert_eq!(Host::parse(&text), Ok(host));
            }
        }

        #[test]
        fn the_fast_path_and_the_slow_path_agree(input in "[a-z0-9_-]{1,8}(\\.[a-z0-9_-]{1,8}){0,3}") {
            if is_canonical_name(input.as_bytes()) {
                prop_assert_eq!(Host::parse_name(&input), Ok(Host { text: input.into(), address: None }));
            }
        }
    }
}
