//! Batches: what the access log's tree has as its leaves.
//!
//! A batch holds rows of one day that follow one another, and ends that follow one another; its root
//! is the RFC 6962 hash of a tree over the leaves of the rows and then of the ends. Sixteen of these
//! are one leaf of that tree: its bytes are their hashes one after another. A row is proved by its
//! fifteen neighbours' hashes and a path to the root.
//!
//! The batch's record says what it holds. It stands in the day's file, committed with the last of its
//! rows or a few seconds later, and is the leaf of the access log's tree; batches are numbered over all
//! days.

use super::row::Hash;
use super::tree::{MemoryTree, Tree, is_in_tree, leaf_hash};
use serde::{Deserialize, Serialize};

/// Rows and ends whose leaves make one leaf of a batch's tree.
pub const GROUP: usize = 16;

/// What a batch holds. Serialised as canonical JSON (RFC 8785).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Its place in the access log's tree, from 0 over all days.
    pub number: u64,
    /// The school day whose file holds it.
    pub day: String,
    /// Place of its first row in the day; that of the next one, where it holds none.
    pub first_row: u64,
    /// How many rows.
    pub rows: u64,
    /// Place of its first end among the day's ends; that of the next one, where it holds none.
    pub first_end: u64,
    /// How many ends.
    pub ends: u64,
    /// When it was made, in milliseconds since 1970.
    pub at: i64,
    /// Root of its leaves' tree, hex.
    pub root: String,
}

/// How a row or end is proved in its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InBatch {
    /// The leaves of its group, its own among them.
    pub group: Vec<Hash>,
    /// The audit path of the group.
    pub path: Vec<Hash>,
}

impl Batch {
    /// The canonical bytes: what is stored, and what the tree's leaf is made of.
    #[must_use]
    pub fn canonical(&self) -> String {
        crate::changes::canonical(&serde_json::to_value(self).unwrap_or_default())
    }

    /// Reads a record; only the canonical bytes are one.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let batch: Self = serde_json::from_str(text).ok()?;
        (batch.canonical() == text).then_some(batch)
    }

    /// The leaf of the access log's tree.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        leaf_hash(self.canonical().as_bytes())
    }

    /// The place of the first row behind it.
    #[must_use]
    pub fn next_row(&self) -> u64 {
        self.first_row.saturating_add(self.rows)
    }

    /// The place of the first end behind it.
    #[must_use]
    pub fn next_end(&self) -> u64 {
        self.first_end.saturating_add(self.ends)
    }
}

/// The root of a batch of these leaves: those of the rows, then those of the ends.
///
/// # Errors
/// [`std::io::Error`]: none that is known.
pub fn root_of(leaves: &[Hash]) -> std::io::Result<Hash> {
    groups(leaves)?.root()
}

/// The proof that the leaf in place `index` is in the batch of these leaves.
///
/// # Errors
/// [`std::io::Error`] where there is no such place.
pub fn prove(leaves: &[Hash], index: usize) -> std::io::Result<InBatch> {
    let tree = groups(leaves)?;
    let place = index / GROUP;
    let path = tree.prove(place as u64, tree.size())?;
    let end = leaves.len().min((place + 1) * GROUP);
    Ok(InBatch { group: leaves[place * GROUP..end].to_vec(), path })
}

/// Whether a leaf stands in place `index` of a batch of `count` leaves with this root.
#[must_use]
pub fn is_in_batch(proof: &InBatch, index: usize, leaf: &Hash, count: usize, root: &Hash) -> bool {
    let place = index / GROUP;
    let in_group = count.saturating_sub(place * GROUP).min(GROUP);
    proof.group.len() == in_group
        && proof.group.get(index % GROUP) == Some(leaf)
        && is_in_tree(
            &proof.path,
            place as u64,
            &leaf_hash(&proof.group.concat()),
            count.div_ceil(GROUP) as u64,
            root,
        )
}

fn groups(leaves: &[Hash]) -> std::io::Result<MemoryTree> {
    let mut bytes = Vec::with_capacity(1 + GROUP * size_of::<Hash>());
    MemoryTree::of(leaves.chunks(GROUP).map(|group| {
        bytes.clear();
        bytes.push(0);
        group.iter().for_each(|leaf| bytes.extend_from_slice(leaf));
        super::row::sha256(&bytes)
    }))
}

/// Bytes of a leaf that a day's file keeps beside its batch. Nothing is proved by them: they only tell
/// which row it is, where a batch's root does not fit.
pub(crate) const MARK_BYTES: usize = 2;

/// The marks of leaves, in their order.
pub(crate) fn marks(leaves: &[Hash]) -> Vec<u8> {
    leaves.iter().flat_map(|leaf| leaf[..MARK_BYTES].iter().copied()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|place| leaf_hash(&place.to_le_bytes())).collect()
    }

    fn batch() -> Batch {
        Batch {
            number: 7,
            day: "2026-11-27".to_owned(),
            first_row: 100,
            rows: 20,
            first_end: 4,
            ends: 0,
            at: 1_795_000_000_000,
            root: "0a".repeat(32),
        }
    }

    #[test]
    fn every_leaf_of_batches_of_many_sizes_is_proved_in_its_place_alone() {
        for count in [1, 2, 15, 16, 17, 31, 32, 33, 100] {
            let leaves = leaves(count);
            let root = root_of(&leaves).unwrap();
            for index in 0..count {
                let proof = prove(&leaves, index).unwrap();
                assert!(
                    is_in_batch(&proof, index, &leaves[index], count, &root),
                    "{index}/{count}"
                );
                let next = (index + 1) % count;
                if next != index {
                    assert!(!is_in_batch(&proof, next, &leaves[index], count, &root));
                    assert!(!is_in_batch(&proof, index, &leaves[next], count, &root));
                }
                let mut wrong = proof.clone();
                wrong.group[0][5] ^= 1;
                assert!(!is_in_batch(&wrong, index, &wrong.group[index % GROUP], count, &root));
            }
            assert!(prove(&leaves, count.next_multiple_of(GROUP)).is_err());
        }
    }

    #[test]
    fn a_batch_of_one_group_has_the_root_of_its_leaf() {
        let leaves = leaves(3);
        assert_eq!(root_of(&leaves).unwrap(), leaf_hash(&leaves.concat()));
    }

    #[test]
    fn a_record_is_its_canonical_bytes_and_no_others() {
        let text = batch().canonical();
        let expected = format!(
            "{{\"at\":1795000000000,\"day\":\"2026-11-27\",\"ends\":0,\"first_end\":4,\"first_row\":100,\
             \"number\":7,\"root\":\"{}\",\"rows\":20}}",
            "0a".repeat(32)
        );
        assert_eq!(text, expected);
        assert_eq!(Batch::read(&text), Some(batch()));
        assert_eq!(Batch::read(&text.replace(":7,", ": 7,")), None);
        assert_eq!(Batch::read(&text.replace("\"ends\":0,", "")), None);
        assert_eq!(Batch::read(&text.replace("{", "{\"a\":1,")), None);
        assert_eq!((batch().next_row(), batch().next_end()), (120, 4));
    }
}
