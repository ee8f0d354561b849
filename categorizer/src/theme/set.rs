//! The packs as callers hold them: compiled once for what is typed, and once for pages.
//!
//! Packs of loose combinations are of no use on pages, where any two words stand near each other somewhere,
//! and would make them dear: each of their common words would be looked around from.

use rules::theme::{Pack, Theme};

use super::compile::Compiled;
use super::gather::{Gatherer, PackError};
use super::weights::Weights;

/// Gathers packs; [`ThemesBuilder::finish`] compiles them.
#[derive(Debug)]
pub struct ThemesBuilder {
    typed: Gatherer,
    pages: Gatherer,
    help: Box<[Box<str>]>,
}

impl ThemesBuilder {
    /// For these themes. At most [`rules::theme::MAX_THEMES`] are taken.
    #[must_use]
    pub fn new(themes: Vec<Theme>) -> Self {
        let help = themes.iter().flat_map(|theme| &theme.help).map(|host| host.as_str().into());
        let mut help: Vec<Box<str>> = help.collect();
        help.sort_unstable();
        let help = help.into();
        Self {
            typed: Gatherer::new(themes.clone(), true),
            pages: Gatherer::new(themes, false),
            help,
        }
    }

    /// Adds a pack.
    ///
    /// # Errors
    /// Everything of it that cannot be compiled; the rest of it is taken in, so that a caller which
    /// goes on has lost no more than that.
    pub fn add(&mut self, pack: &Pack) -> Result<(), Vec<PackError>> {
        let added = self.typed.add(pack);
        if !pack.typed_only {
            // What is wrong with it was told.
            let _ = self.pages.add(pack);
        }
        added
    }

    /// Compiles what was added; some tenths of a second for what is shipped.
    #[must_use]
    pub fn finish(self) -> Themes {
        let (typed, pages) = (self.typed.finish(), self.pages.finish());
        Themes { typed, pages, help: self.help, weights: None }
    }
}

/// Packs, compiled. Immutable: any number of threads score by one set, each with a
/// [`Scratch`](super::Scratch) of its own.
#[derive(Clone, Debug)]
pub struct Themes {
    pub(super) typed: Compiled,
    pub(super) pages: Compiled,
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
        let ThemesBuilder { mut typed, pages, help } =
            ThemesBuilder::new(rules::theme::shipped_themes());
        let shipped: Vec<Pack> = rules::theme::shipped_packs().collect();
        let add_shipped = |to: &mut Gatherer, pack: &Pack| {
            if let Err(errors) = to.add(pack) {
                panic!("a shipped pack does not compile: {}", errors[0]);
            }
        };
        let compile_pages = |mut pages: Gatherer| {
            let read = |pack: &&Pack| !pack.typed_only;
            shipped.iter().filter(read).for_each(|pack| add_shipped(&mut pages, pack));
            // What is wrong with it is told of what is typed.
            packs.iter().filter(read).for_each(|pack| drop(pages.add(pack)));
            pages.finish()
        };
        let (mut pages, mut compiled_pages) = (Some(pages), None);
        let typed = std::thread::scope(|scope| {
            // A start waits for this, and has a processor to spare more often than not. Where there is no thread to be
            // had it is done below.
            let beside = || compiled_pages = pages.take().map(compile_pages);
            let _ = std::thread::Builder::new().spawn_scoped(scope, beside);
            shipped.iter().for_each(|pack| add_shipped(&mut typed, pack));
            typed.is_own = true;
            let added = packs.iter().filter_map(|pack| typed.add(pack).err());
            let errors: Vec<PackError> = added.flatten().collect();
            if errors.is_empty() { Ok(typed.finish()) } else { Err(errors) }
        })?;
        let pages = compiled_pages.or_else(|| pages.map(compile_pages));
        let pages = pages.expect("compiled by either");
        let weights = Some(Weights::new(&typed.themes));
        Ok(Self { typed, pages, help, weights })
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
        self.weights.as_ref().map_or_else(Vec::new, |weights| weights.explain(text, theme))
    }

    /// The themes, in the order in which scores are given.
    #[must_use]
    pub fn themes(&self) -> &[Theme] {
        &self.typed.themes
    }

    /// Different phrases, sets filled in.
    #[must_use]
    pub fn phrases(&self) -> usize {
        self.typed.phrases()
    }

    /// Different words, in all their forms.
    #[must_use]
    pub fn words(&self) -> usize {
        self.typed.words()
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.typed.memory_bytes() + self.pages.memory_bytes()
    }
}
