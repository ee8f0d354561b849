//! Needles of three bytes.

/// What may follow a needle in a normalised text: a space, what is kept of ASCII, the first byte of
/// another character, or nothing.
fn followers() -> impl Iterator<Item = u8> + Clone {
    let ascii = b"\0 $%".iter().copied().chain(b'0'..=b'9').chain(b'a'..=b'z');
    ascii.chain(0xc2..=0xf4)
}

const BUCKET_BITS: u32 = 8;

/// Needles by a hash of their bytes.
#[derive(Debug)]
pub(super) struct Three {
    needles: Box<[(u32, u32)]>,
    /// Where those of a bucket begin; one more than there are buckets.
    starts: Box<[u32]>,
}

impl Three {
    /// Those of some needles.
    pub(super) fn new(needles: &[Box<[u8]>]) -> Self {
        let three = (0_u32..).zip(needles).filter_map(|(id, needle)| {
            let &[one, two, three] = &**needle else { return None };
            Some((u32::from_le_bytes([one, two, three, 0]), id))
        });
        let mut needles: Vec<(u32, u32)> = three.collect();
        needles.sort_unstable_by_key(|&(bytes, _)| (bucket(bytes), bytes));
        let before = |limit: usize| needles.partition_point(|&(bytes, _)| bucket(bytes) < limit);
        let starts = (0..=1 << BUCKET_BITS).map(|limit| before(limit) as u32).collect();
        Self { needles: needles.into(), starts }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// All windows of four bytes that begin with a needle.
    pub(super) fn windows(&self) -> impl Iterator<Item = u64> {
        let needles = self.needles.iter();
        needles.flat_map(|&(bytes, _)| {
            followers().map(move |next| u64::from(bytes | u32::from(next) << 24))
        })
    }

    /// Hands on the needle that begins here, if one does.
    #[inline]
    pub(super) fn compare(&self, window: u32, at: usize, found: &mut impl FnMut(u32, usize)) {
        let bytes = window & 0xff_ffff;
        let bucket = bucket(bytes);
        let (from, to) = (self.starts[bucket] as usize, self.starts[bucket + 1] as usize);
        let needles = &self.needles[from..to];
        if let Ok(place) = needles.binary_search_by_key(&bytes, |&(known, _)| known) {
            found(needles[place].1, at);
        }
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.needles) + size_of_val(&*self.starts)
    }
}

fn bucket(bytes: u32) -> usize {
    (bytes.wrapping_mul(0x9e37_79b1) >> (32 - BUCKET_BITS)) as usize
}
