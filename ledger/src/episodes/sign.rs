//! One sign: that an access has to do with a theme.

use crate::notes;
use crate::query::AccessRow;
use rules::alert::Severity;
use serde::{Deserialize, Serialize};

/// What the sign was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The category of a site that was blocked: all that is known is where somebody wanted to go.
    Site,
    /// The words of an address.
    Url,
    /// The text of a page, which somebody else wrote.
    Page,
    /// What a generator of texts answered.
    Reply,
    /// The words of a search.
    Search,
    /// What somebody wrote to a generator of texts.
    Prompt,
}

impl Source {
    /// All sources, the weakest first: what somebody typed tells more of them than what a page says.
    pub const ALL: [Source; 6] =
        [Source::Site, Source::Url, Source::Page, Source::Reply, Source::Search, Source::Prompt];

    /// The word in logs and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Site => "site",
            Source::Url => "url",
            Source::Page => "page",
            Source::Reply => "reply",
            Source::Search => "search",
            Source::Prompt => "prompt",
        }
    }

    /// Whether somebody wrote it themselves, so that no page can have asked for it alone.
    #[must_use]
    pub fn is_typed(self) -> bool {
        matches!(self, Source::Search | Source::Prompt)
    }

    /// Whether it is read as it comes, so that it may be found long after the access began.
    pub(super) fn is_read(self) -> bool {
        matches!(self, Source::Page | Source::Reply | Source::Prompt)
    }
}

/// One sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    /// The theme's short name, as `self-harm`.
    pub theme: String,
    /// How strong it is, as its finder counts.
    pub points: u16,
    /// What it was found in.
    pub source: Source,
    /// How soon somebody must look.
    pub severity: Severity,
}

impl From<&notes::Sign> for Sign {
    fn from(sign: &notes::Sign) -> Self {
        let source = match sign.source {
            notes::SignSource::Search => Source::Search,
            notes::SignSource::Url => Source::Url,
            notes::SignSource::Prompt => Source::Prompt,
            notes::SignSource::Page => Source::Page,
            notes::SignSource::Reply => Source::Reply,
        };
        let severity = match sign.severity {
            notes::Severity::Routine => Severity::Routine,
            notes::Severity::High => Severity::High,
            notes::Severity::Urgent => Severity::Urgent,
        };
        Self { theme: sign.theme.clone(), points: sign.points, source, severity }
    }
}

/// All signs that a record carries: those of its category, and of those that it has, all behind the first
/// `taken`.
#[must_use]
pub fn signs_of(row: &AccessRow, taken: usize) -> Vec<Sign> {
    let mut signs = if taken == 0 { super::category_signs(row) } else { Vec::new() };
    signs.extend(row.signs.iter().skip(taken).map(Sign::from));
    signs
}
