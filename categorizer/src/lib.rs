//! What sites are: category lists in every usual syntax, compiled into one immutable index.
//!
//! This crate is pure: callers hand it bytes and get values back.

pub mod domain;
pub mod index;
pub mod list;
pub mod pattern;
