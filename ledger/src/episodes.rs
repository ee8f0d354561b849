//! Episodes: what is worth a safeguarding lead's look, gathered from single accesses.
//!
//! An access may carry *signs*: that it has to do with a theme, such as self-harm. An *episode* is one
//! person's signs of one theme with less than 30 minutes between two. It ends with the school day, so
//! that the episodes of a day are made of that day's records alone: the same records in the same order
//! give the same episodes, whoever makes them and however often.
//!
//! Browsers ask for much that nobody chose to see. What a page fetches by itself ([`visit`]) joins an
//! episode without counting, and begins none, but where it is urgent; a page opened again within five
//! minutes counts once. Ways round the filter that devices try by themselves all day begin none either, but one of a theme of
//! its own ([`EpisodeDay::with_devices`]), which is an alert only where a school says so. A
//! device that invents addresses of its IPv6 network begins no episodes without end ([`Person`]).

mod day;
mod news;
mod person;
mod sign;
mod theme;
pub mod visit;

pub use day::{Episode, EpisodeDay, EpisodeKey, MAX_RECORDS, MAX_TIMES, Thresholds};
pub use news::{Further, Known};
pub use person::{Confidence, Person};
pub use sign::{Sign, Source, signs_of};
pub use theme::{category_signs, is_of_theme, theme_title};

/// Milliseconds without a sign after which an episode is over.
pub const GAP_MS: i64 = 30 * 60_000;

/// Milliseconds within which the same page, or the same words, count once.
pub const REPEAT_MS: i64 = 5 * 60_000;

/// Milliseconds within which several blocked sites of one theme are taken for one page and what it
/// fetches.
pub const BURST_MS: i64 = 2_000;

#[cfg(test)]
mod tests;
