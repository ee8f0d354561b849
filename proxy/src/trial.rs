//! What somebody typed, judged as traffic is, by a policy that need not be in force: for commands that try one.

use crate::policy_file::WordsOfThemes;
use crate::themes::{Actions, typed};
use categorizer::theme::Scratch;
use rules::level::LevelId;
use rules::policy::Policy;
use std::cell::RefCell;
use std::sync::Arc;

/// A policy and its words.
pub struct WordsTrial {
    themes: Arc<WordsOfThemes>,
    /// By level.
    actions: Vec<Actions>,
    scratch: RefCell<Scratch>,
}

/// What words come to for a level. Themes are named as in `themes.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JudgedWords {
    /// The theme for which they are refused.
    pub refused: Option<String>,
    /// The themes of which they are a sign, refused or watched for.
    pub signs: Vec<String>,
}

impl WordsTrial {
    /// For a policy, with the words that it goes by.
    #[must_use]
    pub fn new(policy: &Policy, themes: &Arc<WordsOfThemes>) -> Self {
        let levels = policy.levels().iter();
        let actions = levels.map(|(level, _)| Actions::of(policy, level, themes)).collect();
        Self { themes: Arc::clone(themes), actions, scratch: RefCell::default() }
    }

    /// What words come to; nothing for a level that the policy has not.
    #[must_use]
    pub fn judge(&self, level: LevelId, words: &str) -> JudgedWords {
        let Some(actions) = self.actions.get(level.index()).filter(|actions| actions.watch())
        else {
            return JudgedWords::default();
        };
        let reached = typed(&self.themes, words, &self.scratch);
        let name = |theme: usize| self.themes.themes().get(theme).map(|theme| theme.name.clone());
        JudgedWords {
            refused: reached.refused_typed(&self.themes, actions).and_then(name),
            signs: reached.of(actions).filter_map(name).collect(),
        }
    }
}
