//! Theme packs: the words by which a text is known to be about self-harm, drugs, extremism and the
//! other things that a school watches for, as files that people read and add to.
//!
//! This reads them; `categorizer::theme` compiles them and scores texts. A pack is one file for a
//! theme and a language (`defaults/themes/suicide.en.toml`), `themes.toml` says what the themes are.
//! `docs/themes.md` tells how a word is added.

mod read;

pub use crate::document::PolicyError;

/// Name by which a pack speaks of all themes: its groups and innocent phrases hold for each.
pub const ALL: &str = "all";
/// Most themes that one installation may have.
pub const MAX_THEMES: usize = 32;
/// The most that one phrase may weigh, for or against.
pub const MAX_WEIGHT: i32 = 300;
/// Points from which a short text is of a theme.
pub const FULL: i32 = 100;
/// The most words that may stand between the parts of a combination.
pub const MAX_NEAR: u16 = 24;
/// Words that may stand between the parts of a combination where a group does not say.
pub const DEFAULT_NEAR: u16 = 5;
/// Most phrases that sets may make of one that names them.
pub const MAX_EXPANDED: usize = 4_000;
/// Most phrases of one pack, each counted as what its sets make of it, the words of the sets themselves too.
pub const MAX_PHRASES: usize = 200_000;
/// Most bytes that these come to.
pub const MAX_PHRASES_BYTES: usize = 16 << 20;

/// How soon somebody must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// In the usual round of reports.
    Routine,
    /// The same day.
    High,
    /// At once: the safeguarding lead is alerted.
    Urgent,
}

impl Severity {
    /// All of them, as files name them.
    pub const ALL: [Self; 3] = [Self::Routine, Self::High, Self::Urgent];

    /// The word that files have for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }

    /// The severity of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == word)
    }
}

/// A theme as `themes.toml` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Short name, as packs and the console have it: lower-case letters, digits, hyphens.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// What belongs to it, in words for a parent.
    pub about: String,
    /// How soon somebody must look.
    pub severity: Severity,
    /// Hosts of help that a page about this theme names.
    pub help: Vec<String>,
}

/// A phrase as a pack has it, with the marks that say how its words vary.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Phrase {
    /// The words; sets that it named are filled in.
    pub text: String,
    /// Its line in the file, from 1.
    pub line: usize,
}

/// Phrases that weigh the same and are found under the same conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The line where it begins, from 1.
    pub line: usize,
    /// Points for each different phrase of `any` that is found; [`FULL`] make a short text one of
    /// the theme, and less than nothing speaks against it.
    pub weight: i32,
    /// The phrases that count.
    pub any: Vec<Phrase>,
    /// If not empty, one of these must stand near.
    pub with: Vec<Phrase>,
    /// If not empty, one of these too.
    pub also: Vec<Phrase>,
    /// Where one of these stands near, nothing is counted.
    pub unless: Vec<Phrase>,
    /// Words that may stand between the first and the last part.
    pub near: u16,
    /// Whether `with` must follow `any`, and `also` must follow both.
    pub in_order: bool,
    /// Whether whoever says so looks for help.
    pub is_help: bool,
}

/// One file of phrases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pack {
    /// The name of the file, for messages.
    pub file: String,
    /// The theme's name, or [`ALL`].
    pub theme: String,
    /// The language, as a tag of BCP 47: `en`, `ur-Latn`.
    pub language: String,
    /// Whether somebody who grew up with the language has read it.
    pub reviewed: bool,
    /// Whether it is only for what somebody typed, and not for pages: loose combinations, which stand on
    /// any page somewhere.
    pub typed_only: bool,
    /// Phrases within which no word of the theme counts.
    pub innocent: Vec<Phrase>,
    /// Words that are never taken for a misspelling of another.
    pub ordinary: Vec<String>,
    /// What is looked for.
    pub groups: Vec<Group>,
}

impl Pack {
    /// Reads a pack.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn parse(text: &str, file: &str) -> Result<Self, Vec<PolicyError>> {
        read::pack(text, file)
    }
}

/// Reads the file that says what the themes are, most severe or not in the order of the file.
///
/// # Errors
/// Everything that is wrong with it, each with its line.
pub fn parse_themes(text: &str, file: &str) -> Result<Vec<Theme>, Vec<PolicyError>> {
    read::themes(text, file)
}

/// The themes of `defaults/themes/themes.toml`.
///
/// # Panics
/// Never in a build that passed its tests: the file is part of the program.
#[must_use]
pub fn shipped_themes() -> Vec<Theme> {
    parse_themes(crate::defaults::THEMES, "themes.toml")
        .unwrap_or_else(|faults| panic!("the shipped themes do not parse: {faults:?}"))
}

/// The packs of `defaults/themes/`, each read when it is asked for: together they take far more room than what is
/// made of them.
///
/// # Panics
/// Never in a build that passed its tests: the files are part of the program.
pub fn shipped_packs() -> impl Iterator<Item = Pack> {
    let parse = |(file, text): &(&str, &str)| {
        Pack::parse(text, file)
            .unwrap_or_else(|faults| panic!("a shipped pack does not parse: {faults:?}"))
    };
    crate::defaults::THEME_PACKS.iter().map(parse)
}

#[cfg(test)]
mod tests;
