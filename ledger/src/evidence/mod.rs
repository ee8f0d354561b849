//! Evidence: how anybody can see that nothing in the log was changed, dropped, added or reordered.
//!
//! Two logs are trees as of RFC 6962. The leaves of the first are the entries of the change log. Those
//! of the second are [`batch`]es of accesses; a batch is the root of a small tree over its rows and
//! ends, whose leaves are made by [`row`]. Each hour an entry of the change log carries the size and
//! root of the second tree, and a *checkpoint* is signed over the first, in the C2SP formats
//! `tlog-checkpoint` and `signed-note`: so one note, kept by somebody else, fixes every record up to
//! there. [`verify`] compares everything with everything and names what does not fit; [`export`] gives
//! records out with what proves them.

pub(crate) mod access;
pub mod batch;
pub(crate) mod erased;
pub mod export;
pub mod gaps;
pub mod key;
pub mod note;
pub mod places;
pub mod row;
pub mod salt;
pub(crate) mod sealed_rows;
pub mod signer;
pub mod tree;
pub mod verify;

use row::Hash;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The folder of a state folder in which checkpoints, key and trees lie.
#[must_use]
pub fn folder(state: &Path) -> PathBuf {
    state.join("audit")
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The hash that these 64 lower-case hex digits say.
#[must_use]
pub fn hash_of_hex(text: &str) -> Option<Hash> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut hash = Hash::default();
    if pairs.len() != hash.len() || !rest.is_empty() {
        return None;
    }
    for (place, [high, low]) in hash.iter_mut().zip(pairs) {
        *place = digit(*high)? << 4 | digit(*low)?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_there_and_back_and_nothing_else_is_a_hash() {
        let hash: Hash = std::array::from_fn(|place| (place as u8).wrapping_mul(9));
        assert_eq!(hash_of_hex(&hex(&hash)), Some(hash));
        for text in ["", "00", &"0g".repeat(32), &"AB".repeat(32), &"00".repeat(33)] {
            assert_eq!(hash_of_hex(text), None, "{text}");
        }
    }
}
