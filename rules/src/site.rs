//! A site as people name it in unblocks, blocks and exceptions: a host and what is below it,
//! optionally narrowed to a path.

use crate::host::{Host, HostError};
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
    #[error("\"{0}\" is a public suffix, under which many owners' sites live; name one site below it")]
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
        let _ = text;
        todo!()
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
        let _ = (host, path);
        todo!()
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.host, self.path.as_deref().unwrap_or(""))
    }
}
