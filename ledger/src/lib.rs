//! The append-only log: every access exactly once, every change to the filter, every admin action.
//!
//! Accesses go first to a *journal*: one file per worker of the proxy, one `write` a decision, made
//! before the request goes upstream or is refused, so that `kill -9` loses none. A background
//! thread (`ingest`) moves journals into the day's SQLite file in large batches, each batch and its
//! journal position in one transaction, and keeps rollups as it goes. Changes, users and administrators
//! live in one SQLite file of their own, written in durable transactions.
//!
//! A day that is over is sealed (`seal`): its rows become a Parquet file, which `query` reads as it
//! does the open day's; its sums stay in a small SQLite file.

pub mod accounts;
pub mod alerts;
pub mod backup;
mod carried;
pub mod changes;
mod claims;
mod day_file;
pub mod disk;
mod engine;
pub mod episodes;
pub mod evidence;
pub mod folder;
pub mod frame;
pub mod ingest;
mod insert;
mod intern;
pub mod journal;
pub mod lock;
pub mod notes;
pub mod parts;
pub mod payload;
mod pending;
pub mod pseudonym;
pub mod query;
pub mod record;
pub mod refusals;
pub mod retention;
pub mod rollup;
pub mod seal;
mod sealed_day;
pub mod seen;
mod segment;
mod source;
pub mod sqlite;
pub mod squid;
pub mod summary;
pub mod users;
