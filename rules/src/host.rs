//! One canonical spelling for every host, before any rule looks at it.
//!
//! Lower case, no trailing dot, IDNA to A-labels (UTS 46), percent-decoding, every IPv4 spelling
//! (octal, hex, decimal, short) and IPv6 as the WHATWG URL Standard's host parser has them. What
//! has no canonical form is refused: a filter must never decide about one host and dial another.

use std::net::IpAddr;
use thiserror::Error;

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
        let _ = input;
        todo!()
    }

    /// The host of an address.
    #[must_use]
    pub fn from_address(address: IpAddr) -> Self {
        Self { text: address.to_string().into(), address: Some(address) }
    }

    /// Canonical text; IPv6 without brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address, where the host is one.
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

    /// The registrable domain (Public Suffix List), e.g. `bbc.co.uk` for `www.bbc.co.uk`.
    /// `None` for an address or a bare public suffix.
    #[must_use]
    pub fn registrable(&self) -> Option<&str> {
        todo!()
    }

    /// Whether the name itself is a public suffix (`co.uk`, `com`, `github.io`).
    #[must_use]
    pub fn is_public_suffix(&self) -> bool {
        todo!()
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
