//! The 64-bit hash behind the index: folded multiplication, eight bytes a step.
//!
//! It is fixed, not keyed by chance: equal lists must compile to equal bytes, so that an index can
//! be named by its content. Whoever could make a listed name collide with another site on purpose
//! could as well list that site; nobody can use a collision to slip past.

use crate::pause;

const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
const SECOND: u64 = 0xd6e8_feb8_6659_fd93;

/// Multiplies to 128 bits and folds both halves together.
#[inline]
pub(crate) fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Mixes one word into a state.
#[inline]
pub(crate) fn mix(state: u64, word: u64) -> u64 {
    fold(state ^ word ^ FIRST, state.rotate_left(32) ^ SECOND)
}

/// Mixes some bytes, and how many they are, into a state.
#[inline]
pub(crate) fn extend(state: u64, bytes: &[u8]) -> u64 {
    let length = bytes.len();
    let mut state = state ^ (length as u64).wrapping_mul(SECOND);
    let mut rest = bytes;
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        state = mix(state, u64::from_le_bytes(*head));
        rest = tail;
    }
    mix(state, short_word(rest))
}

/// Hashes a whole file: any change of any byte changes it, but for one chance in 2^64. Four lanes at
/// once, so that memory is waited for and not the multiplier.
pub(crate) fn digest(seed: u64, bytes: &[u8]) -> u64 {
    let mut lanes = [seed, !seed, seed.rotate_left(16), !seed.rotate_left(48)];
    let (blocks, rest) = bytes.as_chunks::<32>();
    for blocks in pause::pieces(blocks) {
        for block in blocks {
            let (words, _) = block.as_chunks::<8>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane = mix(*lane, u64::from_le_bytes(*word));
            }
        }
    }
    lanes.into_iter().fold(extend(seed ^ bytes.len() as u64, rest), mix)
}

/// Up to seven bytes as one word; distinct for distinct bytes of one length.
#[inline]
fn short_word(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(head), Some(tail)) => {
            u64::from(u32::from_le_bytes(*head)) | u64::from(u32::from_le_bytes(*tail)) << 32
        }
        _ => bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

/// Streams bytes into a 64-bit value one at a time (FNV-1a), for text made on the fly.
#[derive(Clone, Copy)]
pub(crate) struct Stream(u64);

impl Stream {
    /// Of no bytes yet.
    pub(crate) const EMPTY: Stream = Stream(0xcbf2_9ce4_8422_2325);

    /// Takes one more byte.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }

    /// The value so far, mixed into a state.
    #[inline]
    pub(crate) fn onto(self, state: u64) -> u64 {
        mix(state, self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn short_texts_that_differ_in_one_byte_or_in_length_hash_apart() {
        let mut seen = HashSet::new();
        let mut count = 0;
        for length in 0..20 {
            for place in 0..length {
                for byte in b'a'..=b'z' {
                    let mut text = vec![b'0'; length];
                    text[place] = byte;
                    count += 1;
                    seen.insert(extend(1, &text));
                }
            }
        }
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn a_digest_changes_with_every_bit_with_the_order_and_with_the_length() {
        let bytes: Vec<u8> = (0..100_u8).collect();
        for length in 0..bytes.len() {
            let mut seen =
                HashSet::from([digest(1, &bytes[..length]), digest(2, &bytes[..length])]);
            for bit in 0..length * 8 {
                let mut changed = bytes[..length].to_vec();
                changed[bit / 8] ^= 1 << (bit % 8);
                seen.insert(digest(1, &changed));
            }
            assert_eq!(seen.len(), length * 8 + 2, "{length}");
            let longer = [&bytes[..length], &[0]].concat();
            assert!(!seen.contains(&digest(1, &longer)), "{length}");
        }
        let mut swapped = bytes.clone();
        swapped.swap(0, 8);
        assert_ne!(digest(1, &bytes), digest(1, &swapped));
    }

    #[test]
    fn a_change_of_one_bit_changes_about_half_of_the_hash() {
        let mut flipped = 0;
        for bit in 0..64_u32 {
            let one = extend(7, &0x0123_4567_89ab_cdef_u64.to_le_bytes());
            let other = extend(7, &(0x0123_4567_89ab_cdef_u64 ^ (1 << bit)).to_le_bytes());
            flipped += (one ^ other).count_ones();
        }
        let mean = f64::from(flipped) / 64.0;
        assert!((28.0..36.0).contains(&mean), "{mean}");
    }
}
