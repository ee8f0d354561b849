//! The trees' files as `verify` reads them: all leaves, and the roots of every size, made from these
//! again and not taken from the file.

use super::Report;
use crate::evidence::row::Hash;
use crate::evidence::tree::{FileTree, MemoryTree, Tree as _};
use std::path::Path;

/// A tree's file as it was found.
#[derive(Debug, Default)]
pub(super) struct Tree {
    leaves: MemoryTree,
    pub(super) name: String,
}

impl Tree {
    /// Reads it; a missing one is empty.
    pub(super) fn read(path: &Path, report: &mut Report) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut tree = Self { leaves: MemoryTree::default(), name: format!("audit/{name}") };
        if let Err(error) = tree.fill(path, report) {
            report.problem(&tree.name, "the file", format!("it cannot be read: {error}"));
        }
        tree
    }

    fn fill(&mut self, path: &Path, report: &mut Report) -> std::io::Result<()> {
        let Some(file) = FileTree::look(path)? else { return Ok(()) };
        for index in 0..file.size() {
            self.leaves.push(file.leaf(index)?)?;
        }
        // A running filter adds to it, or makes its end anew: then it is looked at again.
        let is_sound = file.is_sound(&self.leaves)?
            || FileTree::look(path)?.is_some_and(|later| later.size() != file.size());
        if !is_sound {
            report.problem(&self.name, "the file", "its hashes do not fit together");
        }
        Ok(())
    }

    /// How many leaves it has.
    pub(super) fn size(&self) -> u64 {
        self.leaves.size()
    }

    /// A leaf, if it has so many.
    pub(super) fn leaf(&self, index: u64) -> Option<Hash> {
        self.leaves.leaf(index).ok()
    }

    /// The root of its first `size` leaves, if it has so many.
    pub(super) fn root_at(&self, size: u64) -> Option<Hash> {
        self.leaves.root_at(size).ok()
    }
}
