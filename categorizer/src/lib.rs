//! What sites are: category lists in every usual syntax, compiled into one immutable index.
//!
//! This crate is pure: callers hand it bytes and get values back.

mod domain;
mod hash;
pub mod index;
pub mod list;
mod pattern;
mod query;
mod table;
mod url;
