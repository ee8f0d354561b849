//! A URL within another, read as a browser would read it.

use super::decode::clip;
use super::{MOST_INNER_BYTES, Seen};
use crate::host::Host;
use crate::target::Scheme;
use std::borrow::Cow;

/// A URL within another: where it leads, as any URL's host is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerUrl {
    /// How.
    pub scheme: Scheme,
    /// Canonical host.
    pub host: Host,
    /// Port.
    pub port: u16,
    /// Path and query, from `/`.
    pub path_and_query: String,
}

impl InnerUrl {
    /// Reads a text that begins with `http:` or `https:` and slashes of either kind, one or more.
    pub(super) fn parse(text: &str) -> Option<InnerUrl> {
        let text = clean(text);
        let (scheme, rest) = text.split_once(':')?;
        let (scheme, port) = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, 80),
            _ if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, 443),
            _ => return None,
        };
        let rest = rest.strip_prefix(['/', '\\'])?.trim_start_matches(['/', '\\']);
        Self::behind_scheme(scheme, port, rest)
    }

    /// Reads `host/path`, as a gateway does that puts the scheme before it: the host has to be a name
    /// that somebody can own, or a word would be one.
    pub(super) fn parse_bare(text: &str) -> Option<InnerUrl> {
        let text = clean(text);
        let rest = text.trim_start_matches(['/', '\\']);
        let url = Self::behind_scheme(Scheme::Https, 443, rest)?;
        (url.host.address().is_some() || url.host.registrable().is_some_and(has_known_suffix))
            .then_some(url)
    }

    fn behind_scheme(scheme: Scheme, port: u16, rest: &str) -> Option<InnerUrl> {
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // Browsers take what is before the last `@` for a name and password.
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let after_address = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match authority[after_address..].rfind(':') {
            Some(colon) => {
                let (host, digits) = authority.split_at(after_address + colon);
                let digits = &digits[1..];
                (host, if digits.is_empty() { port } else { digits.parse().ok()? })
            }
            None => (authority, port),
        };
        let host = Host::parse(host).ok()?;
        if host.address().is_none() && !host.as_str().contains('.') {
            return None;
        }
        let path = clip(path, MOST_INNER_BYTES);
        let end = match path.is_ascii() {
            true => path.bytes().position(|byte| byte <= b' ' || byte == 0x7f),
            false => path.find(|c: char| c == ' ' || c.is_control()),
        };
        let path = &path[..end.unwrap_or(path.len())];
        let slash = if path.starts_with(['/', '\\']) { "" } else { "/" };
        let mut path_and_query = format!("{slash}{path}");
        if path_and_query.contains('\\') {
            path_and_query = path_and_query.replace('\\', "/");
        }
        Some(InnerUrl { scheme, host, port, path_and_query })
    }

    pub(super) fn seen(&self) -> Seen<'_> {
        let path_and_query = Some(self.path_and_query.as_str());
        Seen { scheme: self.scheme, host: &self.host, port: self.port, path_and_query, head: None }
    }
}

/// Whether a domain is below a suffix that the Public Suffix List has.
fn has_known_suffix(domain: &str) -> bool {
    psl::suffix(domain.as_bytes()).is_some_and(|suffix| suffix.is_known())
}

/// Without what browsers leave out: blanks around it, tabs and line ends (URL Standard, 4.4).
fn clean(text: &str) -> Cow<'_, str> {
    let text = text.trim_matches(|c: char| c <= ' ');
    if memchr::memchr3(b'\t', b'\n', b'\r', text.as_bytes()).is_some() {
        Cow::Owned(text.replace(['\t', '\n', '\r'], ""))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn it_leads_where_a_browser_would_go() {
        let show = |url: Option<InnerUrl>| {
            url.map(|url| {
                format!("{} {}:{} {}", url.scheme.as_str(), url.host, url.port, url.path_and_query)
            })
        };
        let games = |port| Some(format!("https games.example:{port} /a?b"));
        let cases = [
            ("https://games.example/a?b", games(443)),
            ("HTTPS://GAMES.example/a?b", games(443)),
            ("https:/games.example/a?b", games(443)),
            ("https:\\\\games.example\\a?b", games(443)),
            (" ht\ntps://games.ex\tample/a?b#c", games(443)),
            ("https://good.example@games.example/a?b", games(443)),
            ("https://games.example:8443/a?b", games(8443)),
            ("https://games%2Eexample./a?b", games(443)),
            ("https://games.example:x/a?b", None),
            ("https://games.example:/a?b", games(443)),
            ("http://2130706433", Some("http 127.0.0.1:80 /".to_owned())),
            ("http://[::1]:81/x", Some("http ::1:81 /x".to_owned())),
            ("https://games.example?q", Some("https games.example:443 /?q".to_owned())),
            ("https://localhost/", None),
            ("https://", None),
            ("ftp://games.example/", None),
            ("https:games.example", None),
            ("https://a b/", None),
        ];
        for (text, expected) in cases {
            assert_eq!(show(InnerUrl::parse(text)), expected, "{text}");
        }
        for bare in ["bbc.co.uk/news", "//www.bbc.co.uk", "bbc.co.uk:443/x", "8.8.8.8/x"] {
            assert!(InnerUrl::parse_bare(bare).is_some(), "{bare}");
        }
        for word in ["", "word", "two words", "word.nosuchsuffix", "co.uk", "/", "?x", "v1.2"] {
            assert_eq!(InnerUrl::parse_bare(word), None, "{word}");
        }
    }
}
