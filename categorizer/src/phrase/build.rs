//! Compiling many lists into one set.

use std::collections::BTreeMap;

use super::finder::Finder;
use super::{Effect, MAX_PARTS, MAX_PHRASE_BYTES, Options, normalise, rarity};

/// Why a phrase was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No part, or one of which normalising leaves nothing to look for.
    #[error("a phrase without a letter or digit would be found in every page")]
    Blank,
    /// A part is longer than [`MAX_PHRASE_BYTES`].
    #[error("a phrase has at most {MAX_PHRASE_BYTES} bytes")]
    Long,
    /// More parts than [`MAX_PARTS`].
    #[error("a combination has at most {MAX_PARTS} parts")]
    ManyParts,
    /// There are 65,536 categories, 67 million phrases or 1 GB of them already.
    #[error("there are too many phrases or categories")]
    Full,
}

/// Most different phrases and parts of a set, so that they can be numbered in 27 bits.
const MAX_NEEDLES: usize = 1 << 26;

/// Most bytes of all of them, so that they can be told apart by 32 bits.
const MAX_NEEDLE_BYTES: usize = 1 << 30;

/// Gathers phrases of many lists; [`PhrasesBuilder::finish`] compiles them.
#[derive(Debug, Default)]
pub struct PhrasesBuilder {
    options: Options,
    categories: Vec<String>,
    category_numbers: BTreeMap<String, u16>,
    /// Needle to its number.
    needles: BTreeMap<Box<[u8]>, u32>,
    needle_bytes: usize,
    /// What is known of a phrase: by category, whether banned, excepted or weighted, and parts.
    phrases: Vec<Phrase>,
    numbers: BTreeMap<(u16, u8, Box<[u32]>), u32>,
    repeated: u64,
}

/// One phrase or combination.
#[derive(Clone, Debug)]
pub(super) struct Phrase {
    pub(super) category: u16,
    pub(super) effect: Effect,
    /// Its weight in points; 0 where it has none.
    pub(super) points: i32,
    /// Needles, different ones; one if it is no combination.
    pub(super) parts: Box<[u32]>,
}

impl PhrasesBuilder {
    /// An empty set.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// Adds a phrase, or a combination of several, to a category, and gives its number.
    ///
    /// What is added again to the same category keeps its first number, and the weight that is
    /// farther from nothing: lists of one subject often repeat each other.
    ///
    /// # Errors
    /// [`Refused`]; nothing is added then.
    pub fn add(&mut self, category: &str, effect: Effect, parts: &[&str]) -> Result<u32, Refused> {
        let mut texts = Vec::with_capacity(parts.len().min(MAX_PARTS));
        for part in parts {
            let text = normalise::phrase(part);
            if normalise::is_blank(&text) {
                return Err(Refused::Blank);
            }
            if text.len() > MAX_PHRASE_BYTES {
                return Err(Refused::Long);
            }
            texts.push(text.into_bytes().into_boxed_slice());
        }
        if texts.is_empty() {
            return Err(Refused::Blank);
        }
        if texts.len() > MAX_PARTS {
            return Err(Refused::ManyParts);
        }
        let bytes = texts.iter().map(|text| text.len()).sum::<usize>();
        if self.needles.len() + texts.len() > MAX_NEEDLES
            || self.needle_bytes + bytes > MAX_NEEDLE_BYTES
            || self.phrases.len() >= MAX_NEEDLES
        {
            return Err(Refused::Full);
        }
        let category = self.category(category)?;
        let mut parts: Vec<u32> = texts.into_iter().map(|text| self.needle(text)).collect();
        parts.sort_unstable();
        parts.dedup();
        let parts: Box<[u32]> = parts.into();
        let (kind, points) = match effect {
            Effect::Ban => (0, 0),
            Effect::Except => (1, 0),
            Effect::Weigh(weight) => (2, weight.points(self.options.limit)),
        };
        let next = self.phrases.len() as u32;
        let number = *self.numbers.entry((category, kind, parts.clone())).or_insert(next);
        if number == next {
            self.phrases.push(Phrase { category, effect, points, parts });
            return Ok(number);
        }
        self.repeated += 1;
        let known = &mut self.phrases[number as usize];
        if points.unsigned_abs() > known.points.unsigned_abs() {
            (known.points, known.effect) = (points, effect);
        }
        Ok(number)
    }

    /// How many phrases were added that were there already.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    fn category(&mut self, name: &str) -> Result<u16, Refused> {
        if let Some(&number) = self.category_numbers.get(name) {
            return Ok(number);
        }
        let number = u16::try_from(self.categories.len()).map_err(|_| Refused::Full)?;
        self.categories.push(name.to_owned());
        self.category_numbers.insert(name.to_owned(), number);
        Ok(number)
    }

    fn needle(&mut self, text: Box<[u8]>) -> u32 {
        let (next, bytes) = (self.needles.len() as u32, text.len());
        let number = *self.needles.entry(text).or_insert(next);
        if number == next {
            self.needle_bytes += bytes;
        }
        number
    }

    /// Compiles what was added. Takes some milliseconds for each 10,000 phrases.
    ///
    /// # Errors
    /// [`Refused::Full`], which lists of less than hundreds of megabytes do not meet.
    pub fn finish(self) -> Result<Phrases, Refused> {
        let mut needles = vec![Box::default(); self.needles.len()];
        for (text, number) in self.needles {
            needles[number as usize] = text;
        }
        // A combination is looked into where its rarest part was found.
        let mut watched = vec![Vec::new(); needles.len()];
        for (number, phrase) in (0_u32..).zip(&self.phrases) {
            let rarest = phrase.parts.iter().max_by_key(|&&part| {
                let text: &[u8] = &needles[part as usize];
                (rarity::surprise(text), std::cmp::Reverse(part))
            });
            if let Some(&rarest) = rarest {
                watched[rarest as usize].push(number);
            }
        }
        let mut starts = vec![0];
        for numbers in &watched {
            starts.push(starts.last().copied().unwrap_or(0) + numbers.len() as u32);
        }
        Ok(Phrases {
            options: self.options,
            finder: Finder::new(&needles)?,
            needle_count: needles.len(),
            texts: needles.into(),
            starts: starts.into(),
            watched: watched.concat().into(),
            phrases: self.phrases.into(),
            categories: self.categories.into(),
        })
    }
}

/// Phrases of many lists, compiled. Immutable: any number of threads scan by one set, each with a
/// [`Scratch`](super::Scratch) of its own.
#[derive(Debug)]
pub struct Phrases {
    pub(super) options: Options,
    pub(super) finder: Finder,
    pub(super) needle_count: usize,
    texts: Box<[Box<[u8]>]>,
    /// Where the phrases of a needle begin in `watched`; one more than there are needles.
    starts: Box<[u32]>,
    /// Phrases by the needle that they are looked into for.
    watched: Box<[u32]>,
    pub(super) phrases: Box<[Phrase]>,
    pub(super) categories: Box<[String]>,
}

impl Phrases {
    /// Phrases and combinations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.phrases.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty()
    }

    /// Different texts that are looked for: phrases and parts of combinations.
    #[must_use]
    pub fn texts(&self) -> usize {
        self.needle_count
    }

    /// The categories, in the order in which they were first named.
    #[must_use]
    pub fn categories(&self) -> &[String] {
        &self.categories
    }

    /// A phrase's category, effect and parts in normal form, for an explanation. `None` for a
    /// number that [`PhrasesBuilder::add`] did not give.
    #[must_use]
    pub fn phrase(&self, number: u32) -> Option<(&str, Effect, Vec<&str>)> {
        let phrase = self.phrases.get(number as usize)?;
        let text = |&part: &u32| std::str::from_utf8(&self.texts[part as usize]).ok();
        let parts = phrase.parts.iter().filter_map(text).collect();
        Some((&self.categories[usize::from(phrase.category)], phrase.effect, parts))
    }

    /// Bytes of memory that the compiled set takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let texts =
            size_of_val(&*self.texts) + self.texts.iter().map(|text| text.len()).sum::<usize>();
        let parts: usize = self.phrases.iter().map(|phrase| size_of_val(&*phrase.parts)).sum();
        self.finder.memory_bytes()
            + texts
            + size_of_val(&*self.starts)
            + size_of_val(&*self.watched)
            + size_of_val(&*self.phrases)
            + parts
    }

    /// The phrases that are looked into when a needle was found.
    pub(super) fn watched(&self, needle: u32) -> &[u32] {
        let needle = needle as usize;
        &self.watched[self.starts[needle] as usize..self.starts[needle + 1] as usize]
    }
}
