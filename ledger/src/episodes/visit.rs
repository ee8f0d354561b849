//! Whether somebody opened what an access asked for, or a page fetched it by itself.
//!
//! The record says so where the browser did ([`rules::visit`]). Elsewhere it is told by what was asked for and how.
//! Where that leaves it open it counts as opened: a visit taken for noise would hide something, noise taken for a
//! visit only adds to it.

use super::sign::Source;
use crate::query::AccessRow;
use rules::visit::{Visit, is_of_scripts, is_part};

/// Categories of what stands inside other sites' pages.
const WIDGETS: [&str; 2] = ["advertising", "trackers"];

/// Whether an access with a sign of this source was made by a page or a program rather than by somebody who opened
/// something. What was read counts, whoever had it fetched: an assistant's answers are fetched by scripts, and any page
/// may be called `story.js`. A site that lists call advertising or trackers besides is taken for a widget only where
/// nothing but its address is known, and the browser does not say that it was opened.
#[must_use]
pub fn is_embedded(row: &AccessRow, source: Source) -> bool {
    let is_by_address = matches!(source, Source::Site | Source::Url);
    let is_told = match row.visit {
        Visit::Part | Visit::Frame => is_by_address,
        Visit::Opened => false,
        Visit::Unknown => {
            is_by_address && is_part(row.path.as_deref().unwrap_or_default())
                || is_of_scripts(&row.method)
        }
    };
    let may_be_widget = is_by_address && row.visit != Visit::Opened;
    is_told || may_be_widget && is_widget(row)
}

/// Whether a refused site was taken for a frame by its time alone, and may have been opened: a result that is chosen as
/// soon as it is there, in a browser that does not say what it opens.
pub(super) fn may_be_opened(row: &AccessRow, source: Source) -> bool {
    row.visit == Visit::Frame && source == Source::Site && !is_widget(row)
}

fn is_widget(row: &AccessRow) -> bool {
    row.categories.iter().any(|category| WIDGETS.contains(&category.as_str()))
}

/// Whether somebody opened a page by it: not what leads elsewhere, as the page is what it leads to, and not the
/// records of a page's words and of what was written on it, which stand beside those of its requests.
#[must_use]
pub fn is_visit(row: &AccessRow) -> bool {
    let status = row.ended.map_or(0, |ended| ended.status);
    let leads_on = (300..400).contains(&status) && status != 304;
    let is_beside = matches!(row.method.as_str(), "CONNECT" | "PAGE" | "PROMPT");
    !is_embedded(row, Source::Site) && !leads_on && !is_beside
}
