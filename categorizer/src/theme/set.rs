//! The packs as callers hold them: compiled once, for what is typed and for pages.
//!
//! Packs of loose combinations are of no use on pages, where any two words stand near each other somewhere: what they
//! hold is passed over there.

use rules::theme::{Pack, Theme};

use super::compile::Compiled;
use super::gather::{Gatherer, PackError};
use super::weights::Weights;

/// Gathers packs; [`ThemesBuilder::finish`] compiles them.
#[derive(Debug)]
pub struct ThemesBuilder {
    gatherer: Gatherer,
    help: Box<[Box<str>]>,
}

impl ThemesBuilder {
    /// For these themes. At most [`rules::theme::MAX_THEMES`] are taken.
    #[must_use]
    pub fn new(themes: Vec<Theme>) -> Self {
        let help = themes.iter().flat_map(|theme| &theme.help).map(|host| host.as_str().into());
        let mut help: Vec<Box<str>> = help.collect();
        help.sort_unstable();
        Self { gatherer: Gatherer::new(themes), help: help.into() }
    }

    /// Adds a pack.
    ///
    /// # Errors
    /// Everything of it that cannot be compiled; the rest of it is taken in, so that a caller which
    /// goes on has lost no more than that.
    pub fn add(&mut self, pack: &Pack) -> Result<(), Vec<PackError>> {
        self.gatherer.add(pack)
    }

    /// Compiles what was added; a tenth of a second or two for what is shipped.
    #[must_use]
    pub fn finish(self) -> Themes {
        Themes { compiled: self.gatherer.finish(), help: self.help, weights: None }
    }
}

/// Packs, compiled. Immutable: any number of threads score by one set, each with a
/// [`Scratch`](super::Scratch) of its own.
#[derive(Clone, Debug)]
pub struct Themes {
    pub(super) compiled: Compiled,
    /// Hosts of help, in order.
    pub(super) help: Box<[Box<str>]>,
    /// What words weigh, beside the packs that are shipped.
    pub(super) weights: Option<Weights>,
}

impl Themes {
    /// The themes and packs that are shipped.
    ///
    /// # Panics
    /// Never in a build that passed its tests: the files are part of the program.
    #[must_use]
    pub fn shipped() -> Self {
        match Self::with_own(&[]) {
            Ok(themes) => themes,
            Err(errors) => panic!("a shipped pack does not compile: {}", errors[0]),
        }
    }

    /// The shipped packs, and a school's own beside them ([`rules::policy::Policy::theme_packs`]).
    ///
    /// # Errors
    /// Everything of the school's packs that cannot be compiled, with its file and line.
    ///
    /// # Panics
    /// Never in a build that passed its tests, as above.
    pub fn with_own(packs: &[Pack]) -> Result<Self, Vec<PackError>> {
        let mut builder = ThemesBuilder::new(rules::theme::shipped_themes());
        for pack in rules::theme::shipped_packs() {
            if let Err(errors) = builder.add(&pack) {
                panic!("a shipped pack does not compile: {}", errors[0]);
            }
        }
        builder.gatherer.is_own = true;
        let added = packs.iter().filter_map(|pack| builder.add(pack).err());
        let errors: Vec<PackError> = added.flatten().collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let themes = builder.finish();
        let weights = Some(Weights::new(themes.themes()));
        Ok(Self { weights, ..themes })
    }

    /// The same without what words weigh: by phrases alone.
    #[must_use]
    pub fn without_weights(self) -> Self {
        Self { weights: None, ..self }
    }

    /// The words of something typed by which it weighs for or against the theme at a place of [`Self::themes`]: where
    /// they stand, in bytes, and their points.
    #[must_use]
    pub fn weighed_words(&self, text: &str, theme: usize) -> Vec<(std::ops::Range<usize>, i16)> {
        self.weights.as_ref().map_or_else(Vec::new, |weights| {
            weights.explain(&self.read_as(text, &mut Default::default()), theme)
        })
    }

    /// The themes, in the order in which scores are given.
    #[must_use]
    pub fn themes(&self) -> &[Theme] {
        &self.compiled.themes
    }

    /// Different phrases, sets filled in.
    #[must_use]
    pub fn phrases(&self) -> usize {
        self.compiled.phrases()
    }

    /// Different words, in all their forms.
    #[must_use]
    pub fn words(&self) -> usize {
        self.compiled.words()
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.compiled.memory_bytes()
    }
}
