//! One sign: that an access has to do with a theme.

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
