//! The I/O shell: what the machine file says, the lists, policy and changes in force, and the
//! traffic decided by them.

pub mod config;
pub mod lists;
