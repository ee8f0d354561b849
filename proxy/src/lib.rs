//! The I/O shell: what the machine file says, the lists, policy and changes in force, and the
//! traffic decided by them.

mod address;
pub mod config;
pub mod demo;
pub mod lists;
pub mod policy_file;
pub mod snapshot;
