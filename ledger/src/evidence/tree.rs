//! Merkle trees as of RFC 6962, section 2.1: in memory, and in a file that only grows.
//!
//! A tree is kept as the hashes that `tlog_tiles` calls *stored*: each leaf's, and after it those of
//! the whole subtrees that it completes. From these any size that the tree ever had can be hashed
//! again, and each leaf and each earlier size proved.

use super::row::Hash;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tlog_tiles::{Error as TlogError, HashReader};

/// Bytes of a hash in a file.
const HASH_BYTES: u64 = 32;

/// What the hashes of a tree can be read from.
pub trait Tree {
    /// How many leaves there are.
    fn size(&self) -> u64;

    /// The hash of the tree's first `size` leaves.
    ///
    /// # Errors
    /// [`std::io::Error`]: of the file system, or there are fewer.
    fn root_at(&self, size: u64) -> std::io::Result<Hash>;

    /// The hash of a leaf.
    ///
    /// # Errors
    /// As above.
    fn leaf(&self, index: u64) -> std::io::Result<Hash>;

    /// The audit path of a leaf in the tree of the first `size` leaves (RFC 6962, 2.1.1).
    ///
    /// # Errors
    /// As above.
    fn prove(&self, index: u64, size: u64) -> std::io::Result<Vec<Hash>>;

    /// The proof that the tree of `size` leaves begins with that of `old` ones (RFC 6962, 2.1.2).
    ///
    /// # Errors
    /// As above.
    fn prove_growth(&self, old: u64, size: u64) -> std::io::Result<Vec<Hash>>;

    /// The hash of the whole tree.
    ///
    /// # Errors
    /// As above.
    fn root(&self) -> std::io::Result<Hash> {
        self.root_at(self.size())
    }
}

/// The hash of a leaf with these bytes.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> Hash {
    tlog_tiles::record_hash(bytes).0
}

/// The root that the audit path of a leaf leads to, if it is the right one.
#[must_use]
pub fn is_in_tree(path: &[Hash], index: u64, leaf: &Hash, size: u64, root: &Hash) -> bool {
    let path: Vec<_> = path.iter().copied().map(tlog_tiles::Hash).collect();
    let [leaf, root] = [leaf, root].map(|hash| tlog_tiles::Hash(*hash));
    index < size && tlog_tiles::check_record(&path, size, root, index, leaf).is_ok()
}

/// Whether a tree is another one that has grown, by its proof.
#[must_use]
pub fn has_grown(proof: &[Hash], old: (u64, &Hash), new: (u64, &Hash)) -> bool {
    if old.0 == new.0 {
        return proof.is_empty() && old.1 == new.1;
    }
    if old.0 == 0 || old.0 > new.0 {
        // Every tree begins with the empty one, which has one hash alone.
        return old.0 == 0 && proof.is_empty() && *old.1 == tlog_tiles::EMPTY_HASH.0;
    }
    let proof: Vec<_> = proof.iter().copied().map(tlog_tiles::Hash).collect();
    let [before, after] = [old.1, new.1].map(|hash| tlog_tiles::Hash(*hash));
    tlog_tiles::check_tree(&proof, new.0, after, old.0, before).is_ok()
}

/// A tree in memory.
#[derive(Debug, Default)]
pub struct MemoryTree {
    size: u64,
    hashes: Vec<tlog_tiles::Hash>,
}

impl MemoryTree {
    /// The tree of these leaves.
    ///
    /// # Errors
    /// [`std::io::Error`]: none that is known.
    pub fn of(leaves: impl IntoIterator<Item = Hash>) -> std::io::Result<Self> {
        let mut tree = Self::default();
        leaves.into_iter().try_for_each(|leaf| tree.push(leaf))?;
        Ok(tree)
    }

    /// Adds a leaf by its hash.
    ///
    /// # Errors
    /// [`std::io::Error`]: none that is known.
    pub fn push(&mut self, leaf: Hash) -> std::io::Result<()> {
        let new = tlog_tiles::stored_hashes_for_record_hash(
            self.size,
            tlog_tiles::Hash(leaf),
            &Stored(&self.hashes),
        );
        self.hashes.extend(new.map_err(std::io::Error::other)?);
        self.size += 1;
        Ok(())
    }

    fn reader(&self) -> Stored<'_> {
        Stored(&self.hashes)
    }
}

struct Stored<'a>(&'a [tlog_tiles::Hash]);

impl HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, TlogError> {
        let hash = |index: &u64| self.0.get(*index as usize).copied();
        indexes.iter().map(|index| hash(index).ok_or(TlogError::IndexesNotInTree)).collect()
    }
}

/// A tree in a file, for the one process that adds to it.
#[derive(Debug)]
pub struct FileTree {
    path: PathBuf,
    file: File,
    size: u64,
}

impl FileTree {
    /// Opens the file to add to it, making it (readable by its owner alone) where it is missing. What
    /// a kill left half written is cut off.
    ///
    /// # Errors
    /// [`std::io::Error`].
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        let size = whole_leaves(file.metadata()?.len() / HASH_BYTES);
        let mut tree = Self { path: path.to_owned(), file, size };
        tree.truncate(size)?;
        Ok(tree)
    }

    /// Opens the file to read it; a missing one is an empty tree.
    ///
    /// # Errors
    /// [`std::io::Error`].
    pub fn look(path: &Path) -> std::io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = whole_leaves(file.metadata()?.len() / HASH_BYTES);
        Ok(Some(Self { path: path.to_owned(), file, size }))
    }

    /// Whether the file holds, byte for byte, what a tree of its own leaves stores.
    ///
    /// # Errors
    /// [`std::io::Error`].
    pub(crate) fn is_sound(&self, leaves: &MemoryTree) -> std::io::Result<bool> {
        let mut hash = Hash::default();
        for (place, expected) in (0..).zip(&leaves.hashes) {
            self.file.read_exact_at(&mut hash, place * HASH_BYTES)?;
            if hash != expected.0 {
                return Ok(false);
            }
        }
        Ok(self.file.metadata()?.len() == leaves.hashes.len() as u64 * HASH_BYTES)
    }

    /// Adds leaves by their hashes.
    ///
    /// # Errors
    /// [`std::io::Error`]; the tree stays as it was.
    pub fn extend(&mut self, leaves: &[Hash]) -> std::io::Result<()> {
        for leaf in leaves {
            let new = tlog_tiles::stored_hashes_for_record_hash(
                self.size,
                tlog_tiles::Hash(*leaf),
                &self.reader(),
            );
            let new = new.map_err(std::io::Error::other)?;
            let bytes: Vec<u8> = new.iter().flat_map(|hash| hash.0).collect();
            let place = tlog_tiles::stored_hash_count(self.size) * HASH_BYTES;
            self.file.write_all_at(&bytes, place)?;
            self.size += 1;
        }
        Ok(())
    }

    /// Cuts the tree down to its first `size` leaves.
    ///
    /// # Errors
    /// [`std::io::Error`].
    pub fn truncate(&mut self, size: u64) -> std::io::Result<()> {
        let size = size.min(self.size);
        self.file.set_len(tlog_tiles::stored_hash_count(size) * HASH_BYTES)?;
        self.size = size;
        Ok(())
    }

    /// Makes what was added durable.
    ///
    /// # Errors
    /// [`std::io::Error`].
    pub fn sync(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }

    fn reader(&self) -> InFile<'_> {
        InFile(&self.file)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The most leaves whose hashes are all there.
fn whole_leaves(hashes: u64) -> u64 {
    // A tree of n leaves stores less than 2n hashes and at least n.
    let (mut low, mut high) = (hashes / 2, hashes);
    while low < high {
        let middle = (low + high).div_ceil(2);
        match tlog_tiles::stored_hash_count(middle) <= hashes {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    low
}

struct InFile<'a>(&'a File);

impl HashReader for InFile<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, TlogError> {
        let mut hashes = Vec::with_capacity(indexes.len());
        for index in indexes {
            let mut hash = Hash::default();
            self.0.read_exact_at(&mut hash, index * HASH_BYTES).map_err(|_| {
                // The caller says which file; all that can be wrong is that a hash is not there.
                TlogError::IndexesNotInTree
            })?;
            hashes.push(tlog_tiles::Hash(hash));
        }
        Ok(hashes)
    }
}

fn out_of_range(size: u64, wanted: u64) -> std::io::Error {
    std::io::Error::other(format!("the tree has {size} leaves, not {wanted}"))
}

macro_rules! tree_over {
    ($type:ty, $reader:expr) => {
        impl Tree for $type {
            fn size(&self) -> u64 {
                self.size
            }

            fn root_at(&self, size: u64) -> std::io::Result<Hash> {
                if size > self.size {
                    return Err(out_of_range(self.size, size));
                }
                let root = tlog_tiles::tree_hash(size, &$reader(self));
                root.map(|hash| hash.0).map_err(std::io::Error::other)
            }

            fn leaf(&self, index: u64) -> std::io::Result<Hash> {
                if index >= self.size {
                    return Err(out_of_range(self.size, index + 1));
                }
                let place = tlog_tiles::stored_hash_index(0, index);
                let hashes = $reader(self).read_hashes(&[place]).map_err(std::io::Error::other)?;
                hashes.first().map(|hash| hash.0).ok_or_else(|| out_of_range(self.size, index + 1))
            }

            fn prove(&self, index: u64, size: u64) -> std::io::Result<Vec<Hash>> {
                if size > self.size || index >= size {
                    return Err(out_of_range(self.size, size.max(index + 1)));
                }
                let proof = tlog_tiles::prove_record(size, index, &$reader(self));
                Ok(proof.map_err(std::io::Error::other)?.into_iter().map(|hash| hash.0).collect())
            }

            fn prove_growth(&self, old: u64, size: u64) -> std::io::Result<Vec<Hash>> {
                if size > self.size || old > size {
                    return Err(out_of_range(self.size, size.max(old)));
                }
                if old == 0 || old == size {
                    return Ok(Vec::new());
                }
                let proof = tlog_tiles::prove_tree(size, old, &$reader(self));
                Ok(proof.map_err(std::io::Error::other)?.into_iter().map(|hash| hash.0).collect())
            }
        }
    };
}

tree_over!(MemoryTree, MemoryTree::reader);
tree_over!(FileTree, FileTree::reader);

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
