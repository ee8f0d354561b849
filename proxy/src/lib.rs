//! The I/O shell: what the machine file says, the lists, policy and changes in force, and the
//! traffic decided by them.
//!
//! The life of a request is in `exchange`: read, identified, decided, recorded, then forwarded or
//! refused. Each worker thread has its own runtime, listeners, upstream connections and journal, so
//! that a request takes no lock; [`snapshot::Snapshot`] is what they all decide by.

mod address;
mod address_words;
mod alerting;
mod attest;
pub mod authority;
mod begun;
mod body;
mod certificates;
pub mod clamd;
mod client_io;
mod codings;
pub mod config;
mod connection;
pub mod demo;
mod dial;
mod dials;
mod early;
mod exchange;
mod fair;
mod file_head;
mod files;
pub mod follow;
mod forward;
mod frames;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod guesses;
mod headers;
mod heartbeat;
mod hello;
mod http2;
mod identify;
mod inspect;
pub mod leftovers;
mod limit;
mod listen;
pub mod lists;
mod live;
mod log_watch;
mod mail;
mod messages;
pub mod named_file;
mod ops;
mod page;
pub mod phrases;
mod pins;
mod pipes;
pub mod policy_file;
mod pool;
mod pump;
mod quick_map;
mod ranges;
mod reach;
mod record;
mod refuse;
mod resolve;
mod room;
mod roots;
mod scan;
mod scanned_text;
mod scanner_watch;
mod searches;
mod serve;
mod sign_in;
mod sign_in_queue;
pub mod snapshot;
mod tapped;
mod telemetry;
pub mod texts;
mod themes;
mod time_slice;
pub mod trial;
pub mod trickle;
mod tunnel;
mod turns;
mod typed;
mod upstream_tls;
mod view;
mod virus;
mod visits;
mod webhook;
mod websocket;
mod wire;
mod worker;

pub use attest::wanted_path as wanted_checkpoint_path;
pub use serve::{Running, ServeError, serve, start};
