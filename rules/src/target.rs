//! What a request is for: the CONNECT authority or the absolute URL, made canonical.

use crate::host::{Host, HostError};
use thiserror::Error;

/// How the client reaches the site, as far as the proxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP inside an inspected tunnel.
    Https,
    /// A CONNECT tunnel whose inside is not seen.
    Tunnel,
}

impl Scheme {
    /// `http`, `https` or `tunnel`: the word in logs and filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tunnel => "tunnel",
        }
    }
}

/// Where a request goes. The path is kept twice by callers: raw for the origin, seen for rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Scheme.
    pub scheme: Scheme,
    /// Canonical host.
    pub host: Host,
    /// Port, 1 to 65535; never defaulted for CONNECT.
    pub port: u16,
}

/// Why a target is refused. The client gets 400.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum TargetError {
    /// The host part.
    #[error(transparent)]
    Host(#[from] HostError),
    /// CONNECT without a port (RFC 9110, 9.3.6: there is no default).
    #[error("the CONNECT target has no port")]
    NoPort,
    /// Not a decimal number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    BadPort,
    /// A user name or password in the authority (RFC 9110, 4.2.4).
    #[error("the target holds a user name or password")]
    UserInfo,
    /// A scheme that this proxy does not forward.
    #[error("only http:// URLs can be asked of a forward proxy; use CONNECT for https")]
    Scheme,
    /// Not an absolute URL.
    #[error("the request target is not an absolute URL")]
    NotAbsolute,
}

/// Splits a CONNECT target `host:port`.
///
/// # Errors
/// [`TargetError`].
pub fn parse_connect(authority: &str) -> Result<Target, TargetError> {
    let _ = authority;
    todo!()
}

/// Reads the parts of an `http://` request target as hyper's `Uri` gives them: scheme (if any) and
/// authority (if any), as text.
///
/// # Errors
/// [`TargetError`].
pub fn parse_absolute(scheme: Option<&str>, authority: Option<&str>) -> Result<Target, TargetError> {
    let _ = (scheme, authority);
    todo!()
}

/// Reads a URL as people type it for `check`: scheme optional (`https` is assumed), host, optional
/// port and path. Returns the target (https and path given: `Scheme::Https`) and the path with
/// query, `/` if none.
///
/// # Errors
/// [`TargetError`].
pub fn parse_typed(text: &str) -> Result<(Target, String), TargetError> {
    let _ = text;
    todo!()
}

/// The path as rules see it: percent-decoded where that is unreserved, dot segments and repeated
/// slashes collapsed, query and fragment cut off. Borrowed when already so.
#[must_use]
pub fn seen_path(raw: &str) -> std::borrow::Cow<'_, str> {
    let _ = raw;
    todo!()
}
