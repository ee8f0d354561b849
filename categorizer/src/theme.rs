//! What a text is about, as far as a school must know: how much of each theme a search, a URL, a page
//! or a message to an assistant holds.
//!
//! Packs ([`rules::theme`]) are compiled to one immutable set, [`Themes`]. A text is cut into words in
//! one spelling, words are looked up, and phrases are found as words in a row; see
//! `docs/adr/0018-scoring-themes.md`. Whether a score has a consequence is not decided here.
//!
//! ```
//! use categorizer::theme::{Scratch, Themes};
//!
//! let themes = Themes::shipped();
//! let mut scratch = Scratch::default();
//! let found = themes.score_typed("where to buy ketamine", &mut scratch);
//! assert!(found.themes_from(100).any(|theme| theme == "drugs"));
//! let found = themes.score_typed("how does weed killer work", &mut scratch);
//! assert_eq!(found.themes_from(100).count(), 0);
//! ```

mod address;
mod anchor;
mod compile;
mod disguise;
mod gather;
mod letters;
mod parted;
mod passage;
mod pattern;
mod progress;
mod score;
mod set;
mod sound;
mod speech;
mod split;
mod typos;
mod vocabulary;
mod weights;
mod words;

pub use disguise::MAX_BYTES;
pub use gather::PackError;
pub use pattern::BadPhrase;
pub use progress::Progress;
pub use score::{Finding, Found, HELP_FIRST, MAX_FINDINGS, Scan, Score, Scratch, needed};
pub use set::{Themes, ThemesBuilder};
pub use weights::{bounds, features, name_hash};

#[cfg(test)]
mod tests;
