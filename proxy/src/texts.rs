//! The words of the pages, in English and Welsh: shipped, and replaced by a school's own files.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use thiserror::Error;

/// The table of category titles: a file has those that it likes, of a school's own categories too.
const CATEGORY: &str = "category";

/// A language that pages are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English: for everybody who asks for neither.
    English,
    /// Welsh.
    Welsh,
}

impl Language {
    /// The better liked of the two by an `Accept-Language` field (RFC 9110, 12.5.4).
    #[must_use]
    pub fn preferred(accept_language: &str) -> Self {
        let weight = |wanted: &str| {
            let ranges = accept_language.split(',').filter_map(|range| {
                let mut parts = range.split(';');
                let tag = parts.next()?.trim();
                let primary = tag.split('-').next()?;
                let quality = parts
                    .find_map(|part| part.trim().strip_prefix("q="))
                    .map_or(1.0, |quality| quality.trim().parse::<f32>().unwrap_or(0.0));
                primary.eq_ignore_ascii_case(wanted).then_some(quality)
            });
            ranges.fold(0.0, f32::max)
        };
        let (welsh, english) = (weight("cy"), weight("en"));
        let welsh_first = welsh == english
            && welsh > 0.0
            && accept_language
                .trim_start()
                .get(..2)
                .is_some_and(|tag| tag.eq_ignore_ascii_case("cy"));
        if welsh > english || welsh_first { Self::Welsh } else { Self::English }
    }
}

/// Why a school's own words cannot be used.
#[derive(Debug, Error)]
pub enum TextError {
    /// It is no TOML of tables of strings.
    #[error("{file}: {why}")]
    Parse {
        /// File.
        file: String,
        /// What is wrong, with the line.
        why: String,
    },
    /// A key that no page has, or one that is missing.
    #[error("{file}: {what}; compare it with the shipped file")]
    Keys {
        /// File.
        file: String,
        /// Which.
        what: String,
    },
}

/// The words of one language: table, key, text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(BTreeMap<String, BTreeMap<String, String>>);

impl Words {
    fn parse(text: &str, file: &str) -> Result<Self, TextError> {
        toml::from_str(text)
            .map(Self)
            .map_err(|error| TextError::Parse { file: file.to_owned(), why: error.to_string() })
    }

    /// A text; empty if there is none, which a test rules out for the shipped files.
    #[must_use]
    pub fn text(&self, table: &str, key: &str) -> &str {
        self.0.get(table).and_then(|table| table.get(key)).map_or("", String::as_str)
    }

    /// A category's title in this language, by its short name; `None` where the catalogue's is shown.
    #[must_use]
    pub fn category(&self, name: &str) -> Option<&str> {
        self.0.get(CATEGORY)?.get(name).map(String::as_str)
    }

    /// These words with the titles of `shipped` for categories that have none here.
    fn with_categories_of(mut self, shipped: &Self) -> Self {
        let titles = shipped.0.get(CATEGORY).cloned().unwrap_or_default();
        let own = self.0.remove(CATEGORY).unwrap_or_default();
        self.0.insert(CATEGORY.to_owned(), titles.into_iter().chain(own).collect());
        self
    }

    /// What each file must have.
    fn keys(&self) -> impl Iterator<Item = String> {
        let tables = self.0.iter().filter(|(table, _)| *table != CATEGORY);
        tables.flat_map(|(table, keys)| keys.keys().map(move |key| format!("{table}.{key}")))
    }

    fn same_keys(&self, other: &Self, file: &str) -> Result<(), TextError> {
        let (mine, theirs): (Vec<_>, Vec<_>) = (self.keys().collect(), other.keys().collect());
        let unknown = theirs.iter().find(|key| !mine.contains(key));
        let missing = mine.iter().find(|key| !theirs.contains(key));
        let what = match (unknown, missing) {
            (Some(key), _) => format!("unknown key {key}"),
            (None, Some(key)) => format!("key {key} is missing"),
            (None, None) => return Ok(()),
        };
        Err(TextError::Keys { file: file.to_owned(), what })
    }
}

/// The words of both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    english: Words,
    welsh: Words,
}

impl Texts {
    /// The words inside the program.
    ///
    /// # Errors
    /// [`TextError`]; a test keeps the shipped files free of faults.
    pub fn shipped() -> Result<Self, TextError> {
        let shipped = |language: &str| {
            let text = rules::defaults::TEXTS.iter().find(|(name, _)| *name == language);
            Words::parse(text.map_or("", |(_, text)| text), &format!("builtin:{language}.toml"))
        };
        Ok(Self { english: shipped("en")?, welsh: shipped("cy")? })
    }

    /// The shipped words, each language replaced by a school's own text (by language, as TOML)
    /// where that is usable. One that is not is told to the log, and the shipped words are shown.
    #[must_use]
    pub fn with_own(own: &BTreeMap<String, String>) -> Arc<Self> {
        static SHIPPED: OnceLock<Arc<Texts>> = OnceLock::new();
        let shipped = SHIPPED.get_or_init(|| Arc::new(Self::shipped().unwrap_or_default()));
        if own.is_empty() {
            return Arc::clone(shipped);
        }
        let mut texts = Self::clone(shipped);
        for (language, words) in [("en", &mut texts.english), ("cy", &mut texts.welsh)] {
            let Some(text) = own.get(language) else { continue };
            let file = format!("{language}.toml");
            let parsed = Words::parse(text, &file);
            match parsed.and_then(|own| words.same_keys(&own, &file).map(|()| own)) {
                Ok(own) => *words = own.with_categories_of(words),
                Err(error) => tracing::warn!(%error, "the school's page words are not used"),
            }
        }
        Arc::new(texts)
    }

    /// The words of a language.
    #[must_use]
    pub fn words(&self, language: Language) -> &Words {
        match language {
            Language::English => &self.english,
            Language::Welsh => &self.welsh,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;

    #[test]
    fn both_languages_have_the_same_keys() {
        let texts = Texts::shipped().unwrap();
        texts.english.same_keys(&texts.welsh, "cy.toml").unwrap();
        assert!(texts.english.keys().count() > 60);
    }

    #[test]
    fn every_category_has_a_welsh_title() {
        let texts = Texts::shipped().unwrap();
        let known = rules::category::Catalogue::shipped();
        for (_, category) in known.iter() {
            let title = texts.welsh.category(&category.name).unwrap_or_default();
            assert!(!title.trim().is_empty(), "cy.toml: no title of {}", category.name);
            assert_eq!(texts.english.category(&category.name), None, "{}", category.name);
        }
        for name in texts.welsh.0[CATEGORY].keys() {
            assert!(known.id(name).is_some(), "cy.toml: {name} is no category");
        }
    }

    #[test]
    fn a_schools_own_category_titles_stand_beside_the_shipped_ones() {
        let welsh = rules::defaults::TEXTS.iter().find(|(name, _)| *name == "cy").unwrap().1;
        let (words, _) = welsh.split_once("[category]").unwrap();
        let own = format!("{words}[category]\ngames = \"Chwarae\"\nour-own = \"Ein rhai ni\"\n");
        let texts = Texts::with_own(&BTreeMap::from([("cy".to_owned(), own)]));
        let title = |name| texts.words(Language::Welsh).category(name);
        assert_eq!(title("games"), Some("Chwarae"));
        assert_eq!(title("our-own"), Some("Ein rhai ni"));
        assert_eq!(title("gambling"), Some("Gamblo"));
        assert_eq!(title("no-such"), None);
    }

    #[test]
    fn welsh_is_shown_to_whoever_likes_it_better() {
        let cases = [
            ("", Language::English),
            ("cy", Language::Welsh),
            ("cy-GB, en;q=0.8", Language::Welsh),
            ("en-GB,en;q=0.9,cy;q=0.8", Language::English),
            ("en;q=0.5, CY;q=0.9", Language::Welsh),
            ("cy, en", Language::Welsh),
            ("en, cy", Language::English),
            ("cy;q=0, en;q=0", Language::English),
            ("de, fr;q=0.5", Language::English),
            ("cy;q=nonsense", Language::English),
        ];
        for (field, expected) in cases {
            assert_eq!(Language::preferred(field), expected, "{field}");
        }
    }

    #[test]
    fn a_schools_own_words_must_have_every_key_and_no_other() {
        let english = rules::defaults::TEXTS.iter().find(|(name, _)| *name == "en").unwrap().1;
        let own = english.replace("This page is blocked", "Not here");
        let title = |text: &str| {
            let own = BTreeMap::from([("en".to_owned(), text.to_owned())]);
            Texts::with_own(&own).words(Language::English).text("secondary", "title").to_owned()
        };
        assert_eq!(title(&own), "Not here");
        assert_eq!(title(&format!("{own}\nextra = \"x\"\n")), "This page is blocked");
        assert_eq!(title("[page]\nlang = \"en\"\n"), "This page is blocked");
        assert_eq!(title("[page]\nlang = 3\n"), "This page is blocked");
        let unknown = Words::parse("[page]\nnew = \"\"", "en.toml").unwrap();
        let shipped = Texts::shipped().unwrap();
        let error = shipped.english.same_keys(&unknown, "en.toml").unwrap_err();
        assert!(error.to_string().contains("unknown key page.new"), "{error}");
    }
}
