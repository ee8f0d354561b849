//! A site as people name it in unblocks, blocks and exceptions: a host and what is below it,
//! optionally narrowed to a path.

use crate::host::{Host, HostError};
use crate::target::seen_path;
use thiserror::Error;

/// `example.org` covers itself and its subdomains; `example.org/maths` only that path and below.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    host: Host,
    /// Starts with `/`, no trailing slash, decoded and collapsed; compared at segment boundaries.
    path: Option<Box<str>>,
}

/// Why a text is no site.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SiteError {
    /// The host part has no canonical form.
    #[error("\"{text}\" is no site: {why}")]
    Host {
        /// What was given.
        text: String,
        /// What is wrong.
        why: HostError,
    },
    /// The whole of a public suffix.
    #[error(
        "\"{0}\" is a public suffix, under which many owners' sites live; name one site below it"
    )]
    PublicSuffix(String),
    /// A scheme other than http and https, a port, a query or a fragment.
    #[error("\"{0}\" is no site; give a host such as example.org, or a host and path")]
    NotASite(String),
}

impl Site {
    /// Reads `example.org`, `https://example.org/path` or `example.org/path`.
    ///
    /// # Errors
    /// [`SiteError`]; public suffixes are refused.
    pub fn parse(text: &str) -> Result<Self, SiteError> {
        let not_a_site = || SiteError::NotASite(text.trim().to_owned());
        let trimmed = text.trim();
        let rest = match trimmed.split_once("://") {
            Some((scheme, rest)) => {
                let is_web = ["http", "https"].iter().any(|word| scheme.eq_ignore_ascii_case(word));
                if !is_web {
                    return Err(not_a_site());
                }
                rest
            }
            None => trimmed,
        };
        if rest.is_empty() || rest.contains(['?', '#', '@', '\\']) {
            return Err(not_a_site());
        }
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // A colon outside brackets is a port.
        if !host.starts_with('[') && host.contains(':') || host.contains("]:") {
            return Err(not_a_site());
        }
        let host =
            Host::parse(host).map_err(|why| SiteError::Host { text: trimmed.to_owned(), why })?;
        if host.is_public_suffix() {
            return Err(SiteError::PublicSuffix(host.to_string()));
        }
        let path = seen_path(path);
        let path = path.trim_end_matches('/');
        Ok(Self { host, path: (!path.is_empty()).then(|| path.into()) })
    }

    /// The whole of a host and what is below it.
    ///
    /// # Errors
    /// [`SiteError::PublicSuffix`].
    pub fn of_host(host: Host) -> Result<Self, SiteError> {
        if host.is_public_suffix() {
            return Err(SiteError::PublicSuffix(host.to_string()));
        }
        Ok(Self { host, path: None })
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The path prefix, where there is one.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Whether an access to this host (and path, where it is seen) is within the site. A site with
    /// a path never covers an access whose path is not seen.
    #[must_use]
    pub fn covers(&self, host: &Host, path: Option<&str>) -> bool {
        host.is_within(&self.host)
            && match (self.path.as_deref(), path) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(prefix), Some(path)) => path
                    .strip_prefix(prefix)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            }
    }

    /// Whether everything in `other` is in this site.
    #[must_use]
    pub fn contains(&self, other: &Site) -> bool {
        self.covers(&other.host, other.path())
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.as_deref().unwrap_or("");
        match self.host.address() {
            // Brackets, so that the text parses back.
            Some(std::net::IpAddr::V6(_)) => write!(f, "[{}]{path}", self.host),
            _ => write!(f, "{}{path}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_site_is_a_host_or_a_host_and_path() {
        let cases = [
            ("Example.org", "example.org"),
            (" https://example.org/ ", "example.org"),
            ("http://example.org/Maths//Year%207/", "example.org/Maths/Year%207"),
            ("example.org/a/../b/%2e/c", "example.org/b/c"),
            ("bücher.example/é", "xn--bcher-kva.example/%C3%A9"),
            ("10.0.0.1/x", "10.0.0.1/x"),
            ("[2001:db8::1]/x", "[2001:db8::1]/x"),
        ];
        for (text, shown) in cases {
            let site = Site::parse(text).unwrap();
            assert_eq!(site.to_string(), shown, "{text}");
            assert_eq!(Site::parse(&site.to_string()), Ok(site), "{text}");
        }
    }

    #[test]
    fn what_is_wider_or_other_than_a_site_is_refused() {
        for text in ["co.uk", "com", "https://github.io/x", "test"] {
            assert!(matches!(Site::parse(text), Err(SiteError::PublicSuffix(_))), "{text}");
        }
        for text in [
            "",
            "ftp://example.org",
            "example.org:8080",
            "[::1]:80",
            "a@example.org",
            "a.example?q",
            "a.example#f",
        ] {
            assert!(matches!(Site::parse(text), Err(SiteError::NotASite(_))), "{text}");
        }
        for text in ["*.example.org", "exa mple.org", "/path", "1.2.3.4.5", "..", "[::1"] {
            assert!(matches!(Site::parse(text), Err(SiteError::Host { .. })), "{text}");
        }
    }

    #[test]
    fn a_site_covers_its_subdomains_and_its_path_at_boundaries() {
        let covers = |site: &str, host: &str, path: Option<&str>| {
            Site::parse(site).unwrap().covers(&Host::parse(host).unwrap(), path)
        };
        assert!(covers("example.org", "example.org", None));
        assert!(covers("example.org", "www.example.org", Some("/x")));
        assert!(!covers("example.org", "notexample.org", None));
        assert!(!covers("www.example.org", "example.org", None));
        assert!(covers("example.org/maths", "example.org", Some("/maths")));
        assert!(covers("example.org/maths", "a.example.org", Some("/maths/7")));
        assert!(!covers("example.org/maths", "example.org", Some("/mathsgames")));
        assert!(!covers("example.org/maths", "example.org", Some("/")));
        assert!(!covers("example.org/maths", "example.org", None));
    }
}
