//! The file of a sealed school day: Parquet, one row an access, sorted by person and time.
//!
//! The file is plain: every value stands in it by name, so that DuckDB, pandas or Spark read it
//! without this program. [`Writer`] makes one, a row group at a time; [`File`] opens one;
//! [`Conditions`] say which rows are wanted, and [`File::page`] and [`File::visitors`] find them.
//!
//! A search reads as little as it can. The smallest and largest number of each row group tell which
//! groups may hold a time or an id; the dictionary of each group's column tells which may hold a
//! site, a person or a word, without a single row being read. What is left is compared by dictionary
//! number, so that each text is looked at once a group, however many rows have it.
//!
//! This crate knows nothing of policies or journals: words and numbers come from the ledger, and go
//! back to it.

mod columns;
mod find;
mod pages;
mod read;
mod scan;
mod source;
mod write;

pub use columns::{Ended, Number, Row, Text};
pub use read::{File, Group, Numbers, Texts};
pub use scan::{Conditions, Order, Visits};
pub use write::Writer;

use std::path::{Path, PathBuf};

/// Why a sealed file cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error("sealed log {path}: {source}")]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// Cause.
    #[source]
    pub source: Fault,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Not the Parquet that it should be.
    #[error(transparent)]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Parquet, but not as this crate writes it.
    #[error("column {column}: {what}; the file is damaged, or was written by something else")]
    Content {
        /// The column.
        column: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Fault {
    fn at(self, path: &Path) -> Error {
        Error { path: path.to_owned(), source: self }
    }
}
