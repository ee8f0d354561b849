//! Phrase lists in the form of e2guardian and DansGuardian: those that a policy names, and what was read of them.
//!
//! This crate reads no such list: who calls it does, and hands in what came of it ([`Policy::with_phrases`]).

use super::Policy;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the phrases of a list do that have no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PhraseKind {
    /// There are none.
    Weighted,
    /// A page with one is of the theme.
    Banned,
    /// A page with one is not judged by phrase lists of the theme.
    Exception,
}

impl PhraseKind {
    /// All of them, as files name them.
    pub const ALL: [Self; 3] = [Self::Weighted, Self::Banned, Self::Exception];

    /// The word that files have for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Weighted => "weighted",
            Self::Banned => "banned",
            Self::Exception => "exception",
        }
    }

    /// The kind of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// What a file's name says, as e2guardian names its lists: `weighted_danish`, `bannedphraselist`,
    /// `newweightedphraselist`.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let name = name.strip_prefix("new").unwrap_or(&name);
        Self::ALL.into_iter().find(|kind| name.starts_with(kind.as_str()))
    }
}

/// One `[[phrase_list]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhraseList {
    /// `policy.toml:26`.
    pub place: String,
    /// A file, or a folder of them, beside the policy: names with `/` between, none of them `..`.
    pub file: String,
    /// The theme's name, or [`crate::theme::ALL`].
    pub theme: String,
    /// Its place among the themes; none: for every theme that another list is of.
    pub theme_place: Option<usize>,
    /// Sum of weights at which a page is of the theme.
    pub limit: u16,
    /// What lists are whose names do not say.
    pub kind: Option<PhraseKind>,
}

/// Units in which weights of lists with different limits are alike: so many are a page's full score.
pub const FULL_WEIGHT: i32 = 1_000_000;

/// What all lists hold, for comparing policies: by theme, each phrase as a hash of what it looks for, with its weight
/// in hundredths of hundredths ([`FULL_WEIGHT`]); `i32::MAX` is a banned phrase, `i32::MIN` an exception. Sorted, each
/// phrase once.
pub type PhraseWeights = BTreeMap<String, Vec<([u8; 16], i32)>>;

/// What was read of the lists that a policy names.
#[derive(Clone, Debug, Default)]
pub struct PhrasesRead {
    /// Files, relative to the policy's folder.
    pub files: Vec<String>,
    /// Folders in which lists were looked for.
    pub folders: Vec<String>,
    /// What they hold.
    pub weights: Arc<PhraseWeights>,
    /// What of them was not heeded, a sentence each.
    pub warnings: Vec<String>,
}

impl Policy {
    /// The phrase lists that it names, in the order of the file.
    #[must_use]
    pub fn phrase_lists(&self) -> &[PhraseList] {
        &self.phrase_lists
    }

    /// The policy with what was read of its phrase lists: their files are among its own, and what they hold is
    /// compared with that of other policies.
    #[must_use]
    pub fn with_phrases(mut self, read: PhrasesRead) -> Policy {
        self.files.extend(read.files);
        self.files.sort();
        self.files.dedup();
        self.warnings.extend(read.warnings);
        self.phrase_folders = read.folders;
        self.phrase_weights = read.weights;
        self
    }

    /// Folders of phrase lists, as [`Policy::files`]: what is put there or taken away is a change of the policy.
    #[must_use]
    pub fn folders(&self) -> &[String] {
        &self.phrase_folders
    }
}
