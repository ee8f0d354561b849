//! Frames: how a journal file holds payloads so that a torn or damaged one is seen, never misread.
//!
//! A file starts with [`MAGIC`]. A frame is the payload's length (4 bytes, little-endian), a CRC-32
//! over length and payload (4 bytes), then the payload. A reader that meets bytes that are no frame
//! looks for the next place where one stands, and reports what it passed over.

/// First bytes of a journal file; the digit is the format's version.
pub const MAGIC: &[u8; 8] = b"SGJRNL1\n";

/// Bytes before a payload.
pub const HEAD_BYTES: usize = 8;

/// Longest payload: a context with 256 categories and 64 levels fits many times over.
pub const MAX_PAYLOAD_BYTES: usize = 128 * 1024;

/// Shortest payload: a kind byte and an id. Runs of zero bytes are therefore never a frame.
const MIN_PAYLOAD_BYTES: usize = 9;

/// Appends one frame whose payload `write` appends.
pub fn append(buffer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; HEAD_BYTES]);
    write(buffer);
    let payload = start + HEAD_BYTES;
    let length = (buffer.len() - payload) as u32;
    let sum = checksum(length, &buffer[payload..]);
    buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
    buffer[start + 4..payload].copy_from_slice(&sum.to_le_bytes());
}

fn checksum(length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// What a reader finds next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A whole frame.
    Payload {
        /// Where the frame starts, in bytes from the start of the file.
        offset: u64,
        /// Its payload.
        payload: &'a [u8],
    },
    /// Bytes that are no frame, with whole frames behind them.
    Damage {
        /// Where they start.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// Bytes at the end that are no whole frame: a write that never finished, or damage.
    Tail {
        /// Where they start.
        offset: u64,
        /// How many.
        bytes: u64,
    },
}

/// Reads the frames of one stretch of a journal file.
#[derive(Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    /// Place of `bytes[0]` in the file.
    base: u64,
    at: usize,
}

impl<'a> Frames<'a> {
    /// Frames of `bytes`, which start `base` bytes into the file (past the magic).
    #[must_use]
    pub fn new(bytes: &'a [u8], base: u64) -> Self {
        Self { bytes, base, at: 0 }
    }

    fn frame_at(&self, at: usize) -> Option<&'a [u8]> {
        let head = self.bytes.get(at..at + HEAD_BYTES)?;
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        let sum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if !(MIN_PAYLOAD_BYTES..=MAX_PAYLOAD_BYTES).contains(&(length as usize)) {
            return None;
        }
        let start = at + HEAD_BYTES;
        let payload = self.bytes.get(start..start + length as usize)?;
        (checksum(length, payload) == sum).then_some(payload)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let (here, offset) = (self.at, self.base + self.at as u64);
        if let Some(payload) = self.frame_at(here) {
            self.at = here + HEAD_BYTES + payload.len();
            return Some(Found::Payload { offset, payload });
        }
        let next = (here + 1..self.bytes.len()).find(|&at| self.frame_at(at).is_some());
        self.at = next.unwrap_or(self.bytes.len());
        let bytes = (self.at - here) as u64;
        Some(match next {
            Some(_) => Found::Damage { offset, bytes },
            None => Found::Tail { offset, bytes },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut starts = Vec::new();
        for payload in payloads {
            starts.push(bytes.len());
            append(&mut bytes, |buffer| buffer.extend_from_slice(payload));
        }
        (bytes, starts)
    }

    fn payloads(bytes: &[u8]) -> Vec<Vec<u8>> {
        Frames::new(bytes, 8)
            .filter_map(|found| match found {
                Found::Payload { payload, .. } => Some(payload.to_vec()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_run_of_zero_bytes_is_no_frame() {
        let found: Vec<_> = Frames::new(&[0; 4096], 8).collect();
        assert_eq!(found, [Found::Tail { offset: 8, bytes: 4096 }]);
    }

    proptest! {
        #[test]
        fn a_flipped_byte_loses_one_frame_and_is_reported(
            kept in prop::collection::vec(prop::collection::vec(any::<u8>(), 9..200), 2..20),
            place in any::<prop::sample::Index>(),
            mask in 1u8..=255,
        ) {
            let (mut bytes, starts) = file(&kept);
            let place = place.index(bytes.len());
            let hit = starts.iter().rposition(|&start| start <= place).unwrap_or(0);
            bytes[place] ^= mask;
            let mut expected = kept.clone();
            expected.remove(hit);
            prop_assert_eq!(payloads(&bytes), expected);
            let reported = Frames::new(&bytes, 0).any(|found| !matches!(found, Found::Payload { .. }));
            prop_assert!(reported);
        }

        #[test]
        fn a_torn_tail_keeps_every_whole_frame(
            kept in prop::collection::vec(prop::collection::vec(any::<u8>(), 9..200), 1..20),
            cut in any::<prop::sample::Index>(),
        ) {
            let (bytes, starts) = file(&kept);
            let cut = cut.index(bytes.len());
            let whole = starts.iter().skip(1).filter(|&&start| start <= cut).count();
            prop_assert_eq!(payloads(&bytes[..cut]), kept[..whole].to_vec());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let passed: u64 = Frames::new(&bytes, 0).map(|found| match found {
                Found::Payload { payload, .. } => (HEAD_BYTES + payload.len()) as u64,
                Found::Damage { bytes, .. } | Found::Tail { bytes, .. } => bytes,
            }).sum();
            prop_assert_eq!(passed, bytes.len() as u64);
        }
    }
}
