//! Levels: pupil, staff, guest, and their children such as ks2.

use crate::inspect::Inspect;
use crate::search::SearchRules;
use std::collections::HashMap;

/// Most levels one policy may define.
pub const MAX_LEVELS: usize = 64;

/// A level's place in its policy. Meaningful only beside that policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LevelId(pub(crate) u8);

impl LevelId {
    /// The place as an index, 0 to [`MAX_LEVELS`] - 1.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How the block page speaks to a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStyle {
    /// Key stage 1: a picture and five words.
    Ks1,
    /// Key stage 2: short words.
    Ks2,
    /// Secondary pupils and guests.
    Secondary,
    /// Staff: category, list, authoriser.
    Staff,
}

impl PageStyle {
    /// The style of this word in `[levels]`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<PageStyle> {
        match word {
            "ks1" => Some(Self::Ks1),
            "ks2" => Some(Self::Ks2),
            "secondary" => Some(Self::Secondary),
            "staff" => Some(Self::Staff),
            _ => None,
        }
    }
}

/// How much of video sites a level sees; the stricter the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum VideoMode {
    /// All that the grid allows: the sites' restricted mode is not forced.
    #[default]
    Open,
    /// The sites' moderate restricted mode.
    Moderate,
    /// The sites' strict restricted mode.
    Strict,
}

impl VideoMode {
    /// The word in `[levels]`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "off",
            Self::Moderate => "moderate",
            Self::Strict => "strict",
        }
    }

    /// The mode of this word; `open` is an older word for `off`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<VideoMode> {
        match word {
            "off" | "open" => Some(Self::Open),
            "moderate" => Some(Self::Moderate),
            "strict" => Some(Self::Strict),
            _ => None,
        }
    }
}

/// What becomes of a level's searches for pictures; the stricter the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageMode {
    /// As other searches: safe where `safe_search` says so.
    #[default]
    Any,
    /// Safe whatever `safe_search` says; refused at sites that have no safe mode.
    Safe,
    /// Refused.
    Block,
}

impl ImageMode {
    /// The word in `[levels]`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Safe => "safe",
            Self::Block => "block",
        }
    }

    /// The mode of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<ImageMode> {
        [Self::Any, Self::Safe, Self::Block].into_iter().find(|mode| mode.as_str() == word)
    }
}

/// What becomes of ways round the filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Circumvention {
    /// Refused, whatever the grid says of the site.
    #[default]
    Block,
    /// As the grid says of what each is for: `vpn`, `proxy`, `doh`, `remote-access`.
    Grid,
}

impl Circumvention {
    /// The word in `[levels]`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Grid => "grid",
        }
    }

    /// The setting of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Circumvention> {
        [Self::Block, Self::Grid].into_iter().find(|it| it.as_str() == word)
    }
}

/// One level of a policy.
#[derive(Clone, Debug)]
pub struct Level {
    /// Name in `[levels]`.
    pub name: String,
    /// The level whose rules it takes where it has none of its own.
    pub parent: Option<LevelId>,
    /// Place in `order`, 0 the strictest; levels not named there stand where their parent does, or their
    /// least strict child.
    pub strictness: u8,
    /// How its block page speaks.
    pub style: PageStyle,
    /// Whether searches must be safe.
    pub safe_search: bool,
    /// How much of video sites: by their restricted hosts, or by header where the request is seen.
    pub video: VideoMode,
    /// Searches for pictures.
    pub images: ImageMode,
    /// Only search engines made for children.
    pub child_engines: bool,
    /// Ways round the filter: its own word or its parent's, else refused but for `staff` and what is below it.
    pub circumvention: Circumvention,
    /// How far the filter looks into HTTPS, its own or its parent's; `None` where nobody says.
    pub inspect: Option<Inspect>,
}

impl Level {
    /// The settings about searches.
    #[must_use]
    pub fn search_rules(&self) -> SearchRules {
        SearchRules {
            safe_search: self.safe_search,
            video: self.video,
            images: self.images,
            child_engines: self.child_engines,
        }
    }
}

/// The levels of a policy by name and place.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    pub(crate) levels: Vec<Level>,
    pub(crate) by_name: HashMap<String, LevelId>,
    /// `order` of the file, strictest first.
    pub(crate) order: Vec<LevelId>,
}

impl Levels {
    /// The level of this name.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<LevelId> {
        self.by_name.get(name).copied()
    }

    /// The level that a person means: of this name, else the one of this name in other capitals.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<LevelId> {
        let same = |level: &Level| level.name.to_lowercase() == name.to_lowercase();
        self.id(name).or_else(|| self.iter().find(|(_, level)| same(level)).map(|(id, _)| id))
    }

    /// The level at a place of the same policy.
    #[must_use]
    pub fn get(&self, id: LevelId) -> &Level {
        &self.levels[id.index()]
    }

    /// All levels, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (LevelId, &Level)> {
        self.levels.iter().enumerate().map(|(i, level)| (LevelId(i as u8), level))
    }

    /// The level for nobody known: the strictest, first in `order`.
    #[must_use]
    pub fn strictest(&self) -> LevelId {
        self.order.first().copied().unwrap_or(LevelId(0))
    }

    /// A level, its parent and so on up.
    pub fn line(&self, level: LevelId) -> impl Iterator<Item = LevelId> {
        std::iter::successors(Some(level), |here| self.get(*here).parent)
    }

    /// Whether `level` is `ancestor` or below it: a rule for pupil holds for ks2.
    #[must_use]
    pub fn within(&self, level: LevelId, ancestor: LevelId) -> bool {
        self.line(level).any(|here| here == ancestor)
    }
}
