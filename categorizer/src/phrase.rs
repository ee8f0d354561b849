//! Phrases in the text of pages: lists of them, and how much of each category a page holds.
//!
//! [`list`] reads the lists as e2guardian has them, [`normalise`] gives texts and phrases one
//! spelling, and [`Phrases`] is many lists compiled, immutable and shared by all threads. A page is
//! scanned as its text comes:
//!
//! ```
//! use categorizer::phrase::{Effect, PhrasesBuilder, Scratch, Weight};
//!
//! let mut builder = PhrasesBuilder::default();
//! builder.add("gambling", Effect::Weigh(Weight::Points(30)), &[" roulette "]).unwrap();
//! builder.add("gambling", Effect::Weigh(Weight::Points(50)), &["free spins", "jackpot"]).unwrap();
//! let phrases = builder.finish().unwrap();
//! let mut scratch = Scratch::default();
//! let mut scan = phrases.start(&mut scratch);
//! scan.feed("Free spins, ");
//! scan.feed("Roulette!");
//! assert_eq!(scan.finish().weight(), 30);
//! ```

mod build;
mod encoding;
mod finder;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod list;
pub mod normalise;
mod rarity;
mod scan;
mod table;
mod three;
mod tiny;
mod windows;

pub use build::{Phrases, PhrasesBuilder, Refused};
pub use scan::{Found, Match, Scan, Scratch, Sum};

/// What it does to a page that it holds a phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// The page is banned, whatever else it holds.
    Ban,
    /// The page is not to be judged by its words.
    Except,
    /// So much is added to the sum of the phrase's category.
    Weigh(Weight),
}

/// How much a phrase weighs; less than nothing speaks for a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Weight {
    /// So many points.
    Points(i32),
    /// So many hundredths of the limit above which a page is blocked ([`Options::limit`]).
    Percent(i32),
}

impl Weight {
    /// In points, where the limit is the one given; away from nothing, so that no weight becomes none.
    #[must_use]
    pub fn points(self, limit: i32) -> i32 {
        match self {
            Self::Points(points) => points,
            Self::Percent(percent) => {
                let hundredths = i64::from(percent) * i64::from(limit);
                let points = hundredths.signum() * hundredths.unsigned_abs().div_ceil(100) as i64;
                i32::try_from(points).unwrap_or(if points < 0 { i32::MIN } else { i32::MAX })
            }
        }
    }
}

/// Whether a phrase that a page holds many times adds its weight many times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counting {
    /// Once a page, as e2guardian's `weightedphrasemode = 2` has it: a page cannot be made
    /// worse, or be excused, by saying one word over and over.
    #[default]
    Once,
    /// Each time, overlapping ones included (`weightedphrasemode = 1`). Combinations count once.
    Each,
}

/// How phrases are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often a phrase counts.
    pub counting: Counting,
    /// What weights in percent are hundredths of.
    pub limit: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self { counting: Counting::Once, limit: 100 }
    }
}

/// Longest phrase, or part of a combination, in bytes once normalised.
pub const MAX_PHRASE_BYTES: usize = 256;
/// Most parts of a combination.
pub const MAX_PARTS: usize = 32;

#[cfg(test)]
mod tests;
