//! What a request is for: the CONNECT authority or the absolute URL, made canonical.

use crate::host::{Host, HostError, escape};
use std::borrow::Cow;
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
/// There is no default port (RFC 9110, 9.3.6): `example.org` is refused, not read as 443.
///
/// # Errors
/// [`TargetError`].
pub fn parse_connect(authority: &str) -> Result<Target, TargetError> {
    let (host, port) = parse_authority(authority)?;
    Ok(Target { scheme: Scheme::Tunnel, host, port: port.ok_or(TargetError::NoPort)? })
}

/// Reads the parts of an `http://` request target as hyper's `Uri` gives them: scheme (if any) and
/// authority (if any), as text.
///
/// # Errors
/// [`TargetError`].
pub fn parse_absolute(
    scheme: Option<&str>,
    authority: Option<&str>,
) -> Result<Target, TargetError> {
    let (Some(scheme), Some(authority)) = (scheme, authority) else {
        return Err(TargetError::NotAbsolute);
    };
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(TargetError::Scheme);
    }
    let (host, port) = parse_authority(authority)?;
    Ok(Target { scheme: Scheme::Http, host, port: port.unwrap_or(80) })
}

/// Reads the authority of a request inside an inspected tunnel: `Host`, or `:authority` of HTTP/2.
///
/// # Errors
/// [`TargetError`].
pub fn parse_inside(authority: &str) -> Result<Target, TargetError> {
    let (host, port) = parse_authority(authority)?;
    Ok(Target { scheme: Scheme::Https, host, port: port.unwrap_or(443) })
}

/// Reads a URL as people type it for `check`: scheme optional (`https` is assumed), host, optional
/// port and path. Returns the target and the path with query, `/` if none.
///
/// An https URL with more than `/` for a path is [`Scheme::Https`], as if inspected; without, it
/// is the [`Scheme::Tunnel`] that a browser would open.
///
/// # Errors
/// [`TargetError`].
pub fn parse_typed(text: &str) -> Result<(Target, String), TargetError> {
    let text = text.trim();
    let (is_https, rest) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
        // A "://" further on, as in `example.org/?to=http://...`, belongs to the path.
        Some((scheme, _)) if !scheme.contains(['/', '?', '#', '.']) => {
            return Err(TargetError::Scheme);
        }
        _ => (true, text),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
    let (host, port) = parse_authority(&rest[..end])?;
    let (path, query) = match rest[end..].split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (&rest[end..], None),
    };
    // Browsers read a backslash in an http URL's path as a slash.
    let mut path = path.replace('\\', "/");
    if path.is_empty() {
        path.push('/');
    }
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    let (scheme, default_port) = match (is_https, path.as_str()) {
        (false, _) => (Scheme::Http, 80),
        (true, "/") => (Scheme::Tunnel, 443),
        (true, _) => (Scheme::Https, 443),
    };
    Ok((Target { scheme, host, port: port.unwrap_or(default_port) }, path))
}

/// Host and port of an authority; an empty port (`example.org:`) is none (RFC 3986, 3.2.3).
fn parse_authority(authority: &str) -> Result<(Host, Option<u16>), TargetError> {
    if authority.contains('@') {
        return Err(TargetError::UserInfo);
    }
    let after_address = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[after_address..].rfind(':') {
        Some(colon) => {
            let colon = after_address + colon;
            (&authority[..colon], parse_port(&authority[colon + 1..])?)
        }
        None => (authority, None),
    };
    Ok((Host::parse(host)?, port))
}

fn parse_port(digits: &str) -> Result<Option<u16>, TargetError> {
    if digits.is_empty() {
        return Ok(None);
    }
    // `parse` alone would take "+80".
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TargetError::BadPort);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(TargetError::BadPort),
        Ok(port) => Ok(Some(port)),
    }
}

/// The path as rules see it: percent-decoded where that is unreserved, dot segments and repeated
/// slashes collapsed, query and fragment cut off. Borrowed when already so.
///
/// Escapes that stay are in upper case, and bytes that no path holds are escaped, so that two
/// spellings of a path compare equal. Backslashes are slashes, and so are escaped slashes beside a
/// dot segment (`..%2f`), and `..;x` is `..`: some servers read them so, and a narrow unblock must
/// not be a door to the rest of a site. Always starts with `/`; its own canonical form is itself.
#[must_use]
pub fn seen_path(raw: &str) -> Cow<'_, str> {
    let end = raw.bytes().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(raw.len());
    let path = &raw[..end];
    if is_seen_form(path.as_bytes()) { Cow::Borrowed(path) } else { Cow::Owned(rewrite(path)) }
}

/// Whether [`rewrite`] would surely leave a path as it is; errs to `false`.
fn is_seen_form(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    let mut before = 0;
    for (i, &byte) in path.iter().enumerate() {
        match byte {
            b'/' | b'.' if before == b'/' => return false,
            b'\\' => return false,
            b'%' if !is_final_escape(&path[i..]) => return false,
            _ if !is_path_byte(byte) => return false,
            _ => {}
        }
        before = byte;
    }
    true
}

/// An escape in upper case, of a byte that stays escaped, and not of a slash.
fn is_final_escape(bytes: &[u8]) -> bool {
    let is_upper = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_uppercase();
    match escape(bytes) {
        Some(byte) => {
            !is_unreserved(byte)
                && !matches!(byte, b'/' | b'\\')
                && bytes[1..3].iter().all(is_upper)
        }
        None => false,
    }
}

/// Bytes that may stand in a path (RFC 3986, 3.3), and `%`. Some clients send the others as they
/// are and browsers escape them: `{` and `%7B` are one.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'"' | b'<' | b'>' | b'[' | b'\\' | b']' | b'^' | b'`' | b'{' | b'|' | b'}'
        )
}

/// RFC 3986, 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn rewrite(path: &str) -> String {
    let decoded = decode_unreserved(path.as_bytes());
    let has_dots = |text: &str| text.split('/').any(|segment| dots(segment) != 0);
    // Only escaped slashes next to dot segments are slashes; elsewhere `a%2Fb` is one segment.
    if decoded.contains("%2F") || decoded.contains("%5C") {
        let opened = decoded.replace("%2F", "/").replace("%5C", "/");
        if has_dots(&opened) {
            return collapse(&opened);
        }
    }
    collapse(&decoded)
}

/// Decodes escapes of unreserved bytes, writes the other escapes in upper case, and escapes what
/// may not stand in a path.
fn decode_unreserved(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len() + 8);
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, is_escaped) = match escape(rest) {
            Some(decoded) => {
                rest = &rest[3..];
                (decoded, true)
            }
            None => {
                rest = after;
                (byte, false)
            }
        };
        match byte {
            b'\\' if !is_escaped => out.push('/'),
            _ if is_unreserved(byte) => out.push(char::from(byte)),
            _ if !is_escaped && byte != b'%' && is_path_byte(byte) => out.push(char::from(byte)),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    out
}

/// 1 for `.`, 2 for `..`, path parameters (`..;x`) left out of account; 0 for another segment.
fn dots(segment: &str) -> usize {
    match segment.split(';').next() {
        Some(".") => 1,
        Some("..") => 2,
        _ => 0,
    }
}

fn collapse(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut is_folder = true;
    for segment in path.split('/') {
        is_folder = true;
        match dots(segment) {
            1 => {}
            2 => {
                segments.pop();
            }
            _ if segment.is_empty() => {}
            _ => {
                segments.push(segment);
                is_folder = false;
            }
        }
    }
    let mut out = String::with_capacity(path.len() + 1);
    for segment in &segments {
        out.push('/');
        out.push_str(segment);
    }
    if is_folder {
        out.push('/');
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_connect_target_has_a_host_and_a_port() {
        let connect = |text| parse_connect(text).map(|t| format!("{} {}", t.host, t.port));
        let cases = [
            ("example.org:443", Ok("example.org 443")),
            ("EXAMPLE.org.:8443", Ok("example.org 8443")),
            ("[2001:db8::1]:443", Ok("2001:db8::1 443")),
            ("127.1:80", Ok("127.0.0.1 80")),
            ("example.org:00443", Ok("example.org 443")),
            ("example.org", Err(TargetError::NoPort)),
            ("example.org:", Err(TargetError::NoPort)),
            ("[::1]", Err(TargetError::NoPort)),
            ("example.org:0", Err(TargetError::BadPort)),
            ("example.org:65536", Err(TargetError::BadPort)),
            ("example.org:+443", Err(TargetError::BadPort)),
            ("example.org:443x", Err(TargetError::BadPort)),
            ("example.org:４４３", Err(TargetError::BadPort)),
            ("good.example@bad.example:443", Err(TargetError::UserInfo)),
            ("http://example.org:443", Err(TargetError::Host(HostError::BadCharacter))),
            ("a:b:443", Err(TargetError::Host(HostError::BadCharacter))),
            ("::1:443", Err(TargetError::Host(HostError::BadCharacter))),
            (":443", Err(TargetError::Host(HostError::Empty))),
            ("", Err(TargetError::Host(HostError::Empty))),
        ];
        for (text, expected) in cases {
            assert_eq!(connect(text), expected.map(String::from), "{text}");
        }
    }

    #[test]
    fn an_absolute_target_is_http_with_port_80_unless_given() {
        let target = parse_absolute(Some("HTTP"), Some("Example.org")).unwrap();
        assert_eq!(
            (target.scheme, target.host.as_str(), target.port),
            (Scheme::Http, "example.org", 80)
        );
        assert_eq!(parse_absolute(Some("http"), Some("example.org:")).unwrap().port, 80);
        assert_eq!(parse_absolute(Some("http"), Some("[::1]:8080")).unwrap().port, 8080);
        assert_eq!(parse_absolute(Some("https"), Some("a.example")), Err(TargetError::Scheme));
        assert_eq!(parse_absolute(Some("ftp"), Some("a.example")), Err(TargetError::Scheme));
        assert_eq!(parse_absolute(None, Some("a.example")), Err(TargetError::NotAbsolute));
        assert_eq!(parse_absolute(Some("http"), None), Err(TargetError::NotAbsolute));
        assert_eq!(parse_absolute(Some("http"), Some("u:p@a.example")), Err(TargetError::UserInfo));
    }

    #[test]
    fn people_may_type_a_site_in_any_of_the_usual_ways() {
        let typed = |text| {
            parse_typed(text)
                .map(|(t, path)| format!("{} {}:{} {path}", t.scheme.as_str(), t.host, t.port))
        };
        let cases = [
            ("chess.example", Ok("tunnel chess.example:443 /")),
            ("  https://Chess.example/ ", Ok("tunnel chess.example:443 /")),
            ("https://chess.example/play", Ok("https chess.example:443 /play")),
            ("chess.example?x=1", Ok("https chess.example:443 /?x=1")),
            ("http://chess.example", Ok("http chess.example:80 /")),
            ("http://chess.example:8080/a?b#c", Ok("http chess.example:8080 /a?b")),
            (
                "chess.example/?to=http://other.example/",
                Ok("https chess.example:443 /?to=http://other.example/"),
            ),
            ("http://chess.example\\play", Ok("http chess.example:80 /play")),
            ("[::1]:8443/x", Ok("https ::1:8443 /x")),
            ("ftp://chess.example", Err(TargetError::Scheme)),
            ("http://chess.example@other.example/", Err(TargetError::UserInfo)),
            ("", Err(TargetError::Host(HostError::Empty))),
        ];
        for (text, expected) in cases {
            assert_eq!(typed(text), expected.map(String::from), "{text}");
        }
    }

    #[test]
    fn rules_see_one_spelling_of_a_path() {
        let cases = [
            ("/", "/"),
            ("", "/"),
            ("/a/b?c=/../d#e", "/a/b"),
            ("?x", "/"),
            ("/a//b///c", "/a/b/c"),
            ("/a/./b/../c", "/a/c"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/../../a", "/a"),
            ("/%61%2dB", "/a-B"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%20b%c3%a9", "/a%20b%C3%A9"),
            ("/a b é", "/a%20b%20%C3%A9"),
            ("/{\"a|b\"}", "/%7B%22a%7Cb%22%7D"),
            ("/%7b%22a%7cb%22%7d", "/%7B%22a%7Cb%22%7D"),
            ("/100%", "/100%25"),
            ("/%zz", "/%25zz"),
            ("/%%32e%%32e/x", "/%252e%252e/x"),
            ("/maths/..\\games", "/games"),
            ("/maths/..%2fgames", "/games"),
            ("/maths/..%5cgames", "/games"),
            ("/maths/..;/games", "/games"),
            ("/maths/..;a=b/games", "/games"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("*", "/*"),
        ];
        for (raw, seen) in cases {
            assert_eq!(seen_path(raw), seen, "{raw}");
        }
    }

    #[test]
    fn a_path_already_as_rules_see_it_is_borrowed() {
        for raw in ["/", "/a/b.html?q=%2e", "/a%20b/C%C3%A9", "/~x/a;b=c/@d"] {
            assert!(matches!(seen_path(raw), Cow::Borrowed(_)), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn seeing_twice_is_seeing_once(raw in "(/|\\.|%2e|%2F|%5c|%|\\\\|;|[a-z]|\\PC){0,24}") {
            let once = seen_path(&raw).into_owned();
            prop_assert_eq!(&*seen_path(&once), &*once);
            prop_assert!(once.starts_with('/') && once.is_ascii());
            prop_assert!(once.split('/').all(|segment| dots(segment) == 0));
            prop_assert!(!once.contains("//"));
        }
    }
}
