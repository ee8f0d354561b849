//! Alerts: episodes that somebody must look at, and what became of each, in one SQLite file
//! (`STATE/alerts.db`) beside the change log.
//!
//! What happens to an alert is an event, kept as the change log keeps its own: canonical JSON (RFC
//! 8785) with its leaf hash, appended in durable transactions, never changed. Each entry holds the hash
//! of the one before, so that the last one fixes all. What is personal (whom it is about, what a
//! reviewer wrote) stands apart, and the entry holds a salted hash of it alone: it can be erased, and
//! the entries go on proving what they did.
//!
//! [`watch`] makes alerts of the access log as it grows. An alert belongs to one episode, by the
//! episode's own key, and is written in one transaction with how far the log was read: a kill at any
//! moment loses none and doubles none. [`due`] says who is still to be told.

pub mod due;
mod event;
mod fold;
mod store;
pub mod watch;

pub use event::{AlertEntry, AlertEvent, Channel, Outcome, Private};
pub use fold::{Alert, Alerts, Delivery, Escalation, Look, Reopening, Review};
pub use store::{AlertError, AlertStore, AppendAlertError, NewEvent, Position};
