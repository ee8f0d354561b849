//! From the body of a response to its words, as it comes: content codings taken off, characters read, and
//! the text told from what is around it, all within bounds and whatever pieces the body comes in.
//!
//! [`PageScan`] is the whole of it, as a proxy drives it. Its parts stand alone: [`Decoder`], [`Charset`]
//! and [`Extractor`]. [`RequestText`] is the same for what is sent. Nothing here reads a clock: time is
//! bounded by the work, and whoever has a clock may stop holding back.
//!
//! Why it is as it is: `docs/adr/0019-page-text.md`.

pub mod charset;
pub mod coding;
pub mod decoder;
mod events;
pub mod extract;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod html;
mod json;
mod lanes;
pub mod request;
pub mod scan;
pub mod text;

pub use charset::Charset;
pub use coding::{Coding, Codings};
pub use decoder::{DecodeLimits, DecodeState, Decoder};
pub use extract::{Extractor, Format};
pub use request::RequestText;
pub use scan::{PageCounts, PageHead, PageLimits, PageScan, Scorer, Step, Unscannable};
pub use text::Text;
