//! The compiled index on disk: made once for a set of list versions, then read whole, so that a start
//! reads no list.

use super::ListError;
use super::version::{Shelf, make_folder, replace_file, write_synced};
use categorizer::index::{Builder, Index, ListInfo, OpenError, Pages};
use rules::category::Catalogue;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Changes when the same versions would compile to other bytes: old files are then left alone and
/// made again.
const COMPILER_VERSION: &str = "2";
/// That, and the program itself: what one compiled or prepared, another does not take.
pub(super) const COMPILER: [&str; 2] = [COMPILER_VERSION, env!("CARGO_PKG_VERSION")];

/// Index files kept beside the newest: a running daemon may be about to open the one before.
const KEPT_INDEXES: usize = 2;

/// The set of versions that an index holds.
pub(super) struct Recipe {
    state: PathBuf,
    lists: Vec<ListInfo>,
    /// Hash over everything that decides the bytes; also the version that records name.
    pub(super) key: String,
}

impl Recipe {
    pub(super) fn new(state: &Path, lists: Vec<ListInfo>) -> Self {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        COMPILER.into_iter().for_each(&mut part);
        for list in &lists {
            part(&list.name);
            part(&list.category);
            part(&list.version);
        }
        let key = super::entries::hex(&hash.finalize()[..16]);
        Self { state: state.to_owned(), lists, key }
    }

    fn folder(&self) -> PathBuf {
        self.state.join("index")
    }

    fn path(&self) -> PathBuf {
        self.folder().join(format!("{}.sgx", self.key))
    }

    /// Opens the index, whose every byte is checked, compiling it first if it is not there or cannot
    /// be used. Whoever goes on to say that policy tests fail speaks of what the lists say, never of
    /// a damaged file.
    pub(super) fn open(&self, catalogue: &Catalogue) -> Result<Index, ListError> {
        match self.open_existing(catalogue) {
            Ok(Some(index)) => return Ok(index),
            Ok(None) => {}
            Err(error @ OpenError::UnknownCategory { .. }) => {
                return Err(ListError::Index { why: error.to_string() });
            }
            Err(error) => tracing::warn!(%error, "compiled lists not usable; compiling again"),
        }
        self.compile()?;
        self.open_existing(catalogue)
            .map_err(|error| ListError::Index { why: error.to_string() })?
            .ok_or_else(|| ListError::Index { why: "the file vanished".to_owned() })
    }

    fn open_existing(&self, catalogue: &Catalogue) -> Result<Option<Index>, OpenError> {
        // Read, not mapped: a mapped file that somebody cuts off would end the filter at the next
        // look-up (SIGBUS), and every byte is read for the digest anyway.
        let read = File::open(self.path()).and_then(|mut file| {
            let length = file.metadata()?.len();
            Pages::read(&mut file, length)
        });
        let Ok(bytes) = read else { return Ok(None) };
        let index = Index::open(Box::new(bytes), catalogue)?;
        Ok((index.version() == self.key).then_some(index))
    }

    fn compile(&self) -> Result<(), ListError> {
        let failed =
            |source| ListError::Store { path: self.folder().display().to_string(), source };
        make_folder(&self.folder()).map_err(failed)?;
        let started = std::time::Instant::now();
        let mut builder = Builder::new();
        for list in &self.lists {
            let prepared = Shelf::new(&self.state, &list.name).prepared(&list.version)?;
            builder.add_list(list.clone(), prepared);
        }
        let bytes =
            builder.finish(&self.key).map_err(|e| ListError::Index { why: e.to_string() })?;
        replace_file(&self.path(), |path| write_synced(path, &bytes)).map_err(failed)?;
        tracing::info!(
            lists = self.lists.len(),
            bytes = bytes.len(),
            milliseconds = started.elapsed().as_millis() as u64,
            "lists compiled"
        );
        self.remove_old();
        Ok(())
    }

    fn remove_old(&self) {
        let mut files: Vec<_> = std::fs::read_dir(self.folder())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| *path != self.path())
            .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
            .collect();
        files.sort();
        for (_, path) in files.iter().rev().skip(KEPT_INDEXES) {
            // Whoever uses it has its bytes in memory.
            let _ = std::fs::remove_file(path);
        }
    }
}
