//! Tests of the trees: the vectors of Certificate Transparency, proofs of every size, and files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;

/// The leaves of the test vectors that Certificate Transparency's implementations share.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// The roots of their first 1, 2, ... leaves.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hash(hex: &str) -> Hash {
    bytes(hex).try_into().unwrap()
}

fn standard() -> MemoryTree {
    MemoryTree::of(LEAVES.map(|leaf| leaf_hash(&bytes(leaf)))).unwrap()
}

#[test]
fn the_roots_are_those_of_the_standard_vectors() {
    let tree = standard();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(tree.root_at(0).unwrap(), hash(empty));
    for (size, root) in (1..).zip(ROOTS) {
        assert_eq!(tree.root_at(size).unwrap(), hash(root), "{size} leaves");
    }
}

#[test]
fn the_proofs_are_those_of_the_standard_vectors() {
    let tree = standard();
    let path = |index, size| tree.prove(index, size).unwrap();
    assert_eq!(path(0, 1), [] as [Hash; 0]);
    assert_eq!(
        path(0, 8),
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
        .map(hash)
    );
    assert_eq!(
        path(5, 8),
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
        .map(hash)
    );
    assert_eq!(
        tree.prove_growth(6, 8).unwrap(),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
        .map(hash)
    );
}

#[test]
fn every_leaf_and_every_growth_of_many_sizes_is_proved_and_no_other() {
    let leaves: Vec<Hash> = (0..70u8).map(|leaf| leaf_hash(&[leaf])).collect();
    let tree = MemoryTree::of(leaves.iter().copied()).unwrap();
    for size in 1..=70 {
        let root = tree.root_at(size).unwrap();
        for index in 0..size {
            let path = tree.prove(index, size).unwrap();
            let leaf = &leaves[index as usize];
            assert!(is_in_tree(&path, index, leaf, size, &root), "{index} of {size}");
            assert!(!is_in_tree(&path, index, &[1; 32], size, &root), "{index} of {size}");
            let mut wrong = path.clone();
            wrong.push([0; 32]);
            assert!(!is_in_tree(&wrong, index, leaf, size, &root), "{index} of {size}, longer");
            if size > 1 {
                let other = (index + 1) % size;
                assert!(!is_in_tree(&path, other, leaf, size, &root), "{index} as {other}");
            }
        }
        for old in 0..=size {
            let proof = tree.prove_growth(old, size).unwrap();
            let before = tree.root_at(old).unwrap();
            assert!(has_grown(&proof, (old, &before), (size, &root)), "{old} to {size}");
            assert!(!has_grown(&proof, (old, &[2; 32]), (size, &root)), "{old} to {size}");
        }
    }
    assert!(tree.prove(70, 70).is_err() && tree.root_at(71).is_err() && tree.leaf(70).is_err());
    assert!(!has_grown(&[], (3, &[0; 32]), (2, &[0; 32])));
}

#[test]
fn a_file_holds_the_same_tree_and_goes_on_after_a_torn_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tree");
    let leaves: Vec<Hash> = (0..40u8).map(|leaf| leaf_hash(&[leaf])).collect();
    let memory = MemoryTree::of(leaves.iter().copied()).unwrap();
    for cut in 0..70 {
        let _ = std::fs::remove_file(&path);
        let mut tree = FileTree::open(&path).unwrap();
        tree.extend(&leaves[..20]).unwrap();
        assert_eq!(tree.root().unwrap(), memory.root_at(20).unwrap());
        drop(tree);
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() - cut).unwrap();
        let mut tree = FileTree::open(&path).unwrap();
        let size = tree.size();
        assert!(size < 20 || cut == 0, "{cut} bytes cut");
        assert_eq!(tree.root().unwrap(), memory.root_at(size).unwrap(), "{cut} bytes cut");
        tree.extend(&leaves[size as usize..]).unwrap();
        assert_eq!(tree.root().unwrap(), memory.root().unwrap(), "{cut} bytes cut");
        assert_eq!(tree.prove(7, 33).unwrap(), memory.prove(7, 33).unwrap());
        tree.truncate(5).unwrap();
        assert_eq!(FileTree::look(&path).unwrap().unwrap().size(), 5);
    }
    assert!(FileTree::look(&folder.path().join("none")).unwrap().is_none());
}
