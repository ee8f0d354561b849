//! What sites are: category lists in every usual syntax, compiled into one immutable index; and what
//! pages say: their text, taken out of what a site answers, phrase lists, and what of them a text holds; theme packs,
//! and how much of each theme; and what kinds of file answers carry.
//!
//! This crate is pure: callers hand it bytes and get values back.

mod domain;
pub mod file;
mod hash;
pub mod index;
pub mod list;
pub mod page;
mod pattern;
pub mod pause;
pub mod phrase;
mod query;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests read files")]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#[path = "../../fuzz/replay.rs"]
mod replay;
mod shape;
mod table;
pub mod theme;
mod url;
