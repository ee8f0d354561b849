//! The compiled index: one immutable block of bytes, used in place (memory-mapped by the caller),
//! that answers which categories a host and URL have, and which list and entry said so.

use rules::category::{Catalogue, CategoryId, CategorySet};
use rules::host::Host;
use thiserror::Error;

use crate::list::Entry;

/// A list as the index remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListInfo {
    /// Name in the machine file, e.g. `ut1-games`.
    pub name: String,
    /// Category its entries have.
    pub category: String,
    /// Version: a date or hash; shown by `check`.
    pub version: String,
}

/// Collects lists and compiles them.
#[derive(Debug, Default)]
pub struct Builder {
    _private: (),
}

/// Why an index cannot be made.
#[derive(Debug, Error)]
pub enum BuildError {
    /// An expression that does not compile.
    #[error("list {list}: expression {expression:?} is not understood: {why}")]
    Expression {
        /// List.
        list: String,
        /// Text.
        expression: String,
        /// What the engine says.
        why: String,
    },
    /// Over a bound of the format.
    #[error("too many {0} for one index")]
    TooMany(&'static str),
}

/// Why bytes are no index.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// Not made by this program, or by another version of it: compile again.
    #[error("not an index of this version; it will be compiled again")]
    Foreign,
    /// Damaged.
    #[error("the index is damaged ({0}); it will be compiled again")]
    Damaged(&'static str),
}

impl Builder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a list; entries added next belong to it.
    pub fn begin(&mut self, list: ListInfo) {
        let _ = list;
        todo!()
    }

    /// Adds an entry to the list begun last.
    pub fn add(&mut self, entry: Entry<'_>) {
        let _ = entry;
        todo!()
    }

    /// Compiles everything. `version` is kept and given back by [`Index::version`].
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn finish(self, version: &str) -> Result<Vec<u8>, BuildError> {
        let _ = version;
        todo!()
    }
}

/// An open index over any block of bytes (`Vec<u8>`, a memory map).
pub struct Index {
    _private: (),
}

/// One reason for a category: which list, which entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// List.
    pub list: ListInfo,
    /// Category in the catalogue that the index was opened with.
    pub category: CategoryId,
    /// The entry that matched, e.g. `chess.com` or `host/path` or the expression.
    pub entry: String,
}

impl Index {
    /// Opens a compiled index; its categories are looked up in (and must be in) `catalogue`.
    /// Checks the header and bounds, not every byte: microseconds, whatever the size.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
        catalogue: &Catalogue,
    ) -> Result<Index, OpenError> {
        let _ = (bytes, catalogue);
        todo!()
    }

    /// The version given to [`Builder::finish`].
    #[must_use]
    pub fn version(&self) -> &str {
        todo!()
    }

    /// The lists inside, with how many entries each.
    #[must_use]
    pub fn lists(&self) -> Vec<(ListInfo, u64)> {
        todo!()
    }

    /// All categories of a host and, where it is seen, path and query (raw, starting with `/`).
    /// [`CategoryId::UNCATEGORISED`] alone if there is none. No allocation; under a microsecond.
    #[must_use]
    pub fn categories(&self, host: &Host, path_and_query: Option<&str>) -> CategorySet {
        let _ = (host, path_and_query);
        todo!()
    }

    /// Every list and entry that names a host or URL: the slow, full answer for people and records
    /// of blocks.
    #[must_use]
    pub fn hits(&self, host: &Host, path_and_query: Option<&str>) -> Vec<Hit> {
        let _ = (host, path_and_query);
        todo!()
    }
}
