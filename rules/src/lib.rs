//! What a school's rules mean: levels, categories, policy, unblocks, and the one decision.
//!
//! This crate is pure. It reads no clock, file or socket: callers hand it text and the time, and
//! get values back, so the same engine answers live traffic, `check`, `explain` and `policy test`.

#![forbid(unsafe_code)]

pub mod access;
pub mod alert;
pub mod category;
pub mod change;
pub mod circumvent;
pub mod code;
pub mod decide;
pub mod defaults;
mod document;
pub mod erasure;
pub mod file;
pub mod hold;
pub mod host;
pub mod inspect;
pub mod level;
pub mod policy;
pub mod report;
pub mod search;
pub mod site;
pub mod target;
pub mod tenants;
pub mod theme;
pub mod time;
pub mod unblock;
pub mod visit;

pub use document::nearest;
