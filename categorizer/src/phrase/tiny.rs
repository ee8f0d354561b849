//! Needles of one byte or two, which hardly a list has.

/// Places looked at between two looks at what they gave.
const BLOCK: usize = 1024;
/// Up to so many needles are compared with all places at once, one needle after another.
const FEW: usize = 12;
const WORDS: usize = 1 << 10;

/// The first byte of a needle and, if there is one, the second.
type Few = (u8, Option<u8>);

/// Pairs of bytes that begin with a needle, and the needles.
#[derive(Debug)]
pub(super) struct Tiny {
    pairs: Box<[u64]>,
    /// How many pairs there are before each word of `pairs`.
    before: Box<[u32]>,
    /// The needles that each pair begins with, of one byte and of two.
    needles: Box<[[Option<u32>; 2]]>,
    /// The needles themselves, where they are few.
    few: Option<Box<[Few]>>,
}

impl Tiny {
    /// Those of some needles; `None` where there are none.
    pub(super) fn new(needles: &[Box<[u8]>]) -> Option<Self> {
        let mut all = vec![[None; 2]; 1 << 16];
        let tiny = needles.iter().filter(|needle| needle.len() <= 2);
        let few: Box<[_]> = tiny.map(|needle| (needle[0], needle.get(1).copied())).collect();
        for (id, needle) in (0_u32..).zip(needles) {
            match **needle {
                [first] => (0..=u8::MAX).for_each(|next| {
                    all[usize::from(u16::from_be_bytes([first, next]))][0] = Some(id)
                }),
                [first, next] => all[usize::from(u16::from_be_bytes([first, next]))][1] = Some(id),
                _ => {}
            }
        }
        let mut tiny = Self {
            pairs: vec![0; WORDS].into(),
            before: vec![0; WORDS].into(),
            needles: Box::default(),
            few: (few.len() <= FEW).then_some(few),
        };
        let mut known = Vec::new();
        for (pair, needles) in all.into_iter().enumerate() {
            if pair % 64 == 0 {
                tiny.before[pair / 64] = known.len() as u32;
            }
            if needles != [None; 2] {
                tiny.pairs[pair / 64] |= 1 << (pair % 64);
                known.push(needles);
            }
        }
        tiny.needles = known.into();
        (!tiny.needles.is_empty()).then_some(tiny)
    }

    /// Hands on the needles that begin in `from..to`; the text goes on after `to`.
    pub(super) fn search(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        found: &mut impl FnMut(u32, usize),
    ) {
        let mut places = [0_u32; BLOCK];
        for start in (from..to).step_by(BLOCK) {
            let block = &text[start..to.min(start + BLOCK) + 1];
            let count = match &self.few {
                Some(few) => few_places(few, block, &mut places),
                None => self.places(block, &mut places),
            };
            for &at in &places[..count] {
                let at = start + at as usize;
                let pair = usize::from(u16::from_be_bytes([text[at], text[at + 1]]));
                let lower = self.pairs[pair / 64] & ((1 << (pair % 64)) - 1);
                let place = self.before[pair / 64] + lower.count_ones();
                for id in self.needles[place as usize].into_iter().flatten() {
                    found(id, at);
                }
            }
        }
    }

    /// Notes the places of a block where a pair begins.
    fn places(&self, block: &[u8], places: &mut [u32; BLOCK]) -> usize {
        let Some(pairs) = self.pairs.first_chunk::<WORDS>() else { return 0 };
        let mut count = 0;
        for (at, pair) in (0_u32..).zip(block.windows(2)) {
            let pair = u16::from_be_bytes([pair[0], pair[1]]);
            places[count % BLOCK] = at;
            count += usize::from(pairs[usize::from(pair >> 6)] & (1 << (pair & 63)) != 0);
        }
        count
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.pairs) + size_of_val(&*self.before) + size_of_val(&*self.needles)
    }
}

/// The same for few needles, in loops that the compiler makes wide ones of.
fn few_places(few: &[Few], block: &[u8], places: &mut [u32; BLOCK]) -> usize {
    let mut marks = [0_u8; BLOCK];
    let firsts = &block[..block.len() - 1];
    for &(first, second) in few {
        let pairs = marks.iter_mut().zip(firsts.iter().zip(&block[1..]));
        match second {
            Some(second) => pairs.for_each(|(mark, (&one, &two))| {
                *mark |= u8::from(one == first) & u8::from(two == second);
            }),
            None => pairs.for_each(|(mark, (&one, _))| *mark |= u8::from(one == first)),
        }
    }
    let mut count = 0;
    for (chunk, marks) in (0_u32..).zip(marks.as_chunks::<8>().0) {
        let mut marks = u64::from_le_bytes(*marks);
        while marks != 0 {
            places[count % BLOCK] = chunk * 8 + marks.trailing_zeros() / 8;
            count += 1;
            marks &= marks - 1;
        }
    }
    count
}
