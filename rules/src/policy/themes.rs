//! What a policy says about themes: from how many points a text is of one and what becomes of it, by level; and the
//! words that the school adds.

use super::{Policy, Rule, RuleId};
use crate::level::LevelId;
use crate::theme::{Pack, Theme, shipped_themes};
use std::ops::RangeInclusive;
use std::sync::OnceLock;

/// Points from which a text is of a theme where a policy says nothing else.
pub const THRESHOLD: u16 = 100;

/// What a policy may say instead. Below, any mention would do; above, a phrase that nothing excuses, of 250 points, would
/// not by itself.
pub const THRESHOLDS: RangeInclusive<u16> = 50..=250;

/// Themes of which the threshold is [`THRESHOLD`] at most: what is illegal, and those by which somebody is in danger who
/// types. Scoring leaves these that much of a phrase that nothing excuses, whatever is said beside it, and no more.
pub(super) const NEVER_ABOVE: [&str; 3] = ["illegal", "suicide", "self-harm"];

/// What becomes of a search, a page or a message that is of a theme. The later, the stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ThemeAction {
    /// Nothing: it is not even recorded that it was of the theme.
    Off,
    /// It passes; it is recorded, and those who watch over the theme are told.
    Watch,
    /// The same, and it is refused.
    Block,
}

impl ThemeAction {
    /// All of them, as files name them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Watch, Self::Block];

    /// The word that files have for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Watch => "watch",
            Self::Block => "block",
        }
    }

    /// The action of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// The themes, `[themes]`, `[theme_thresholds]` and `[[theme_words]]` as they hold.
#[derive(Clone, Debug, Default)]
pub(super) struct ThemeRules {
    /// By level, then by theme in the order of [`themes`].
    pub(super) actions: Vec<Vec<(ThemeAction, RuleId)>>,
    /// The same, with the rows that say so; nothing where no row says anything.
    pub(super) thresholds: Vec<Vec<(u16, Option<RuleId>)>>,
    /// The school's own packs, in the order of the file.
    pub(super) packs: Vec<Pack>,
}

/// The shipped themes. Their order is that of scores and of actions.
pub(super) fn themes() -> &'static [Theme] {
    static THEMES: OnceLock<Vec<Theme>> = OnceLock::new();
    THEMES.get_or_init(shipped_themes)
}

impl Policy {
    /// What becomes of a text of a theme, for a level; `Watch` for a theme that there is not.
    #[must_use]
    pub fn theme_action(&self, level: LevelId, theme: &str) -> ThemeAction {
        self.theme_answer(level, theme).map_or(ThemeAction::Watch, |(action, _)| action)
    }

    /// Which row says so; none for a theme that there is not.
    #[must_use]
    pub fn theme_rule(&self, level: LevelId, theme: &str) -> Option<&Rule> {
        self.theme_answer(level, theme).map(|(_, rule)| self.rule(rule))
    }

    /// Points from which a text is of a theme, for a level; [`THRESHOLD`] where no row says anything else.
    #[must_use]
    pub fn theme_threshold(&self, level: LevelId, theme: &str) -> u16 {
        self.threshold_answer(level, theme).map_or(THRESHOLD, |(points, _)| points)
    }

    /// Which row says so; none where no row does.
    #[must_use]
    pub fn theme_threshold_rule(&self, level: LevelId, theme: &str) -> Option<&Rule> {
        let (_, rule) = self.threshold_answer(level, theme)?;
        rule.map(|rule| self.rule(rule))
    }

    /// The packs of the school's own words, to be compiled with the shipped ones.
    #[must_use]
    pub fn theme_packs(&self) -> &[Pack] {
        &self.themes.packs
    }

    fn theme_answer(&self, level: LevelId, theme: &str) -> Option<(ThemeAction, RuleId)> {
        self.themes.actions.get(level.index())?.get(place_of(theme)?).copied()
    }

    fn threshold_answer(&self, level: LevelId, theme: &str) -> Option<(u16, Option<RuleId>)> {
        self.themes.thresholds.get(level.index())?.get(place_of(theme)?).copied()
    }
}

fn place_of(theme: &str) -> Option<usize> {
    themes().iter().position(|known| known.name == theme)
}
