//! Whether somebody opened what an access asked for, or a page fetched it by itself.
//!
//! The record says nothing of it outright, so it is told by what was asked for and how. Where that
//! leaves it open it counts as opened: a visit taken for noise would hide something, noise taken for a
//! visit only adds to it.

use super::sign::Source;
use crate::query::AccessRow;

/// Endings of what a page is made of and nobody opens by itself. Pictures and films are not among
/// them: people do open these.
const PARTS: [&str; 12] = [
    ".js", ".mjs", ".css", ".map", ".woff", ".woff2", ".ttf", ".otf", ".ico", ".wasm", ".m4s",
    ".ts",
];

/// Categories of what stands inside other sites' pages.
const WIDGETS: [&str; 2] = ["advertising", "trackers"];

/// Methods that no click makes: a script asked.
const OF_SCRIPTS: [&str; 6] = ["OPTIONS", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"];

/// Whether an access with a sign of this source was made by a page or a program rather than by somebody who opened
/// something. An ending alone tells nothing of what was read: any page may be called `story.js`.
#[must_use]
pub fn is_embedded(row: &AccessRow, source: Source) -> bool {
    let is_part = || {
        let path = row.path.as_deref().unwrap_or("").to_ascii_lowercase();
        PARTS.iter().any(|ending| path.ends_with(ending))
    };
    matches!(source, Source::Site | Source::Url) && is_part()
        || OF_SCRIPTS.contains(&row.method.as_str())
        || row.categories.iter().any(|category| WIDGETS.contains(&category.as_str()))
}
