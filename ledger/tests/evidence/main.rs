//! Evidence from recording to verifying: every way of changing the log is found and named, and what is
//! given out is proved to strangers.
#![allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]

#[path = "../access/sample.rs"]
#[allow(dead_code, reason = "shared with the tests of the access log")]
mod sample;

mod alerts;
mod bundle;
mod erased;
mod flips;
mod log;
mod parts;
mod parts_sealed;
mod restarts;
mod sealed_days;
mod spec;
mod tamper;
