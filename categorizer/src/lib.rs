//! What sites are: category lists in every usual syntax, compiled into one immutable index; and what
//! pages say: phrase lists, and what of them a text holds.
//!
//! This crate is pure: callers hand it bytes and get values back.

mod domain;
mod hash;
pub mod index;
pub mod list;
pub mod page;
mod pattern;
pub mod phrase;
mod query;
mod shape;
mod table;
mod url;
