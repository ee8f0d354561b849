//! What a policy says about themes: what becomes of a text that is of one, by level; and the words that the
//! school adds.

use super::{Policy, Rule, RuleId};
use crate::level::LevelId;
use crate::theme::{Pack, Theme, shipped_themes};
use std::sync::OnceLock;

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

/// The themes, `[themes]` and `[[theme_words]]` as they hold.
#[derive(Clone, Debug, Default)]
pub(super) struct ThemeRules {
    /// By level, then by theme in the order of [`themes`].
    pub(super) actions: Vec<Vec<(ThemeAction, RuleId)>>,
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

    /// The packs of the school's own words, to be compiled with the shipped ones.
    #[must_use]
    pub fn theme_packs(&self) -> &[Pack] {
        &self.themes.packs
    }

    fn theme_answer(&self, level: LevelId, theme: &str) -> Option<(ThemeAction, RuleId)> {
        let place = themes().iter().position(|known| known.name == theme)?;
        self.themes.actions.get(level.index())?.get(place).copied()
    }
}
