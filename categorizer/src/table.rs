//! A compact, immutable map from 64-bit hashes to small values, laid out in bytes.
//!
//! The top bits of a hash choose a bucket of about six entries; an entry is eight bytes: the low 48
//! bits of the hash, then the 16-bit value. Entries of a bucket lie beside each other in ascending
//! order, so a look-up reads one offset and one or two cache lines. A hash that is not in the table
//! is taken for one that is with probability of about n / 2^64, for small tables 6 / 2^48: below
//! 10^-12 for any list that fits. Then a site would wrongly have a category; the other way, a listed
//! site never goes unseen.

use crate::pause;

/// Entries a bucket holds on average, at most.
const BUCKET_ENTRIES: usize = 8;
/// Bytes before the offsets: bits of the bucket number, entries.
const HEAD_BYTES: usize = 16;
const FINGERPRINT: u64 = (1 << 48) - 1;

/// Writes a table from ascending, distinct hashes with their values.
pub(crate) struct TableWriter {
    bits: u32,
    offsets: Vec<u32>,
    entries: Vec<u8>,
    count: u32,
}

impl TableWriter {
    /// For at most so many entries, and not many fewer.
    pub(crate) fn new(most: usize) -> Self {
        let bits = bits_for(most);
        Self {
            bits,
            offsets: Vec::with_capacity((1 << bits) + 1),
            entries: Vec::with_capacity(most * 8),
            count: 0,
        }
    }

    /// Adds an entry; its hash must not be below the one before.
    pub(crate) fn push(&mut self, hash: u64, value: u16) {
        let bucket = bucket_of(hash, self.bits);
        while self.offsets.len() <= bucket {
            self.offsets.push(self.count);
        }
        let entry = (hash & FINGERPRINT) << 16 | u64::from(value);
        self.entries.extend_from_slice(&entry.to_le_bytes());
        self.count += 1;
    }

    /// Most bytes that the table takes.
    pub(crate) fn bytes(&self) -> usize {
        HEAD_BYTES + ((1 << self.bits) + 1) * 4 + self.entries.len()
    }

    /// The table's bytes, appended to `out`. How many buckets there are hangs on the entries that came,
    /// not on how many might have.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) {
        self.offsets.resize((1 << self.bits) + 1, self.count);
        let bits = bits_for(self.count as usize).min(self.bits);
        out.extend_from_slice(&u64::from(bits).to_le_bytes());
        out.extend_from_slice(&u64::from(self.count).to_le_bytes());
        let step = 1 << (self.bits - bits);
        for offset in pause::pieces(&self.offsets).flatten().step_by(step) {
            out.extend_from_slice(&offset.to_le_bytes());
        }
        pause::pieces(&self.entries).for_each(|piece| out.extend_from_slice(piece));
    }
}

/// Bits of the bucket's number in a table of so many entries.
fn bits_for(entries: usize) -> u32 {
    (entries / BUCKET_ENTRIES + 1).next_power_of_two().ilog2().min(26)
}

#[inline]
fn bucket_of(hash: u64, bits: u32) -> usize {
    // Two shifts, since one by 64 is not defined.
    ((hash >> 1) >> (63 - bits)) as usize
}

/// Where a table lies in the bytes of an index, checked once against their length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    bits: u32,
    count: usize,
    offsets: usize,
    entries: usize,
}

impl Table {
    /// A table without entries.
    pub(crate) const EMPTY: Table = Table { bits: 0, count: 0, offsets: 0, entries: 0 };

    /// Reads the head of the table that fills `bytes[start..end]`; `None` if it does not fit.
    pub(crate) fn open(bytes: &[u8], start: usize, end: usize) -> Option<Table> {
        let head = bytes.get(start..end)?.get(..HEAD_BYTES)?;
        let bits = u64::from_le_bytes(head[..8].try_into().ok()?);
        let count = u64::from_le_bytes(head[8..].try_into().ok()?);
        if bits > 26 || count > u64::from(u32::MAX) {
            return None;
        }
        let (bits, count) = (u32::try_from(bits).ok()?, usize::try_from(count).ok()?);
        let offsets = start + HEAD_BYTES;
        let entries = offsets + ((1 << bits) + 1) * 4;
        (entries + count * 8 == end).then_some(Table { bits, count, offsets, entries })
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The value of a hash. Damaged bytes give a wrong answer, never a read outside of them.
    #[inline]
    pub(crate) fn find(&self, bytes: &[u8], hash: u64) -> Option<u16> {
        self.find_in(bytes, self.bucket(bytes, hash), hash)
    }

    /// Where the entries of a hash's bucket lie. Apart from [`Self::find_in`], so that several
    /// look-ups can wait for memory together.
    #[inline]
    pub(crate) fn bucket(&self, bytes: &[u8], hash: u64) -> Bucket {
        let place = self.offsets + bucket_of(hash, self.bits) * 4;
        let range = bytes.get(place..).and_then(|rest| rest.first_chunk());
        // Both offsets at once; zeros where there is no table.
        let range =
            if self.count == 0 { 0 } else { range.map_or(0, |range| u64::from_le_bytes(*range)) };
        let (first, last) = (range as u32 as usize, (range >> 32) as usize);
        Bucket { start: self.entries + first * 8, end: self.entries + last.min(self.count) * 8 }
    }

    /// The value of a hash, looked for in its bucket.
    #[inline]
    pub(crate) fn find_in(&self, bytes: &[u8], bucket: Bucket, hash: u64) -> Option<u16> {
        let wanted = hash & FINGERPRINT;
        for entry in bytes.get(bucket.start..bucket.end)?.chunks_exact(8) {
            let entry = u64::from_le_bytes(*entry.first_chunk()?);
            if entry >> 16 == wanted {
                return Some(entry as u16);
            }
        }
        None
    }
}

/// Bytes of an index in which a bucket's entries lie.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bucket {
    start: usize,
    end: usize,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::hash::mix;

    fn table(count: usize) -> (Vec<u64>, Vec<u8>) {
        let mut hashes: Vec<u64> = (0..count as u64).map(|n| mix(n, 3)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut writer = TableWriter::new(count);
        for (place, &hash) in hashes.iter().enumerate() {
            writer.push(hash, place as u16);
        }
        let mut bytes = vec![0; 5];
        writer.finish(&mut bytes);
        (hashes, bytes)
    }

    #[test]
    fn every_entry_is_found_and_nothing_else() {
        for count in [0, 1, 7, 9, 1000, 70_000] {
            let (hashes, bytes) = table(count);
            let open = Table::open(&bytes, 5, bytes.len()).unwrap();
            assert_eq!(open.len(), hashes.len());
            for (place, &hash) in hashes.iter().enumerate() {
                assert_eq!(open.find(&bytes, hash), Some(place as u16), "{count}");
            }
            for n in 1_000_000..1_100_000 {
                assert_eq!(open.find(&bytes, mix(n, 3)), None, "{count}");
            }
        }
    }

    #[test]
    fn a_table_hangs_on_its_entries_and_not_on_how_many_might_have_come() {
        for (count, most) in [(0, 100), (1, 9), (7, 8), (1000, 1001), (1000, 70_000)] {
            let (hashes, bytes) = table(count);
            let mut writer = TableWriter::new(most);
            for (place, &hash) in hashes.iter().enumerate() {
                writer.push(hash, place as u16);
            }
            let mut other = vec![0; 5];
            let (least, most_bytes) = (bytes.len() - 5, writer.bytes());
            writer.finish(&mut other);
            assert!(other == bytes && most_bytes >= least, "{count} of {most}");
        }
    }

    #[test]
    fn a_table_cut_anywhere_does_not_open() {
        let (_, bytes) = table(100);
        for end in 5..bytes.len() {
            assert!(Table::open(&bytes, 5, end).is_none());
        }
    }
}
