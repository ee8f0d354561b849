//! Finding thousands of needles in a text.
//!
//! Each needle has a window: eight of its bytes, or six or four if it has no more, which are rare in
//! ordinary text ([`windows`]). Every four bytes of the text are looked up in a bitmap that stays
//! in the nearest cache and holds the first four bytes of all windows. The places that are left
//! are looked up in three more, one for each width. Only then a [`Table`] says whose window it may
//! be, and those needles are compared: first four other bytes of them, then all. A needle of three
//! bytes has all windows of four that begin with it. Shorter ones, which are rare, have a pass of
//! their own. See `docs/adr/0017-finding-phrases.md`.
//!
//! A place of a text costs four look-ups and at most [`windows::MOST_SHARERS`] comparisons of
//! [`MAX_PHRASE_BYTES`] in each table, whatever the text. Needles whose windows are all as crowded
//! as they may be, as only a list made for it has them, go through an automaton.

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};

use super::table::{Table, tag};
use super::three::Three;
use super::tiny::Tiny;
use super::windows::{self, Place, WIDTHS};
use super::{MAX_PHRASE_BYTES, Refused};

// Places in a needle are kept in a byte.
const _: () = assert!(MAX_PHRASE_BYTES <= 256);

/// Words of the first bitmap and of the others, as powers of two: 32 KB, and 64 KB each.
const FIRST_BITS: u32 = 12;
const TIER_BITS: u32 = 13;
/// Places looked at between two looks at what they gave.
const BLOCK: usize = 1024;
/// What [`Finder::search`] wants after the text, so that its last bytes begin a window as well.
pub(super) const PADDING: usize = WIDTHS[0] - 1;

/// Needles, compiled. Each is called by its place among those that it was made of.
#[derive(Debug)]
pub(super) struct Finder {
    first_bits: Box<[u64; 1 << FIRST_BITS]>,
    tiers: [Tier; WIDTHS.len()],
    three: Three,
    tiny: Option<Tiny>,
    crowded: Option<Crowded>,
    longest: usize,
}

/// Needles whose windows are of one width.
#[derive(Debug)]
struct Tier {
    /// What belongs to a window, of eight bytes.
    mask: u64,
    bits: Box<[u64; 1 << TIER_BITS]>,
    table: Table,
}

/// Places of a block where a needle may stand: by the first bitmap, and by those of the tiers.
struct Candidates {
    first: [u32; BLOCK],
    tiers: [[u32; BLOCK]; WIDTHS.len()],
}

impl Finder {
    /// Compiles different needles, none empty, of at most [`MAX_PHRASE_BYTES`].
    ///
    /// # Errors
    /// [`Refused::Full`] where those without a window of their own are too many for an automaton.
    pub(super) fn new(needles: &[Box<[u8]>]) -> Result<Self, Refused> {
        let mut placed = WIDTHS.map(|_| Vec::new());
        let mut crowded = Vec::new();
        for (id, place) in windows::choose(needles).into_iter().enumerate() {
            match (windows::tier(&needles[id]), place) {
                (Some(tier), Some(place)) => placed[tier].push((place, id)),
                (Some(_), None) => crowded.push(id as u32),
                (None, _) => {}
            }
        }
        let three = Three::new(needles);
        let mut first_bits = zeroed();
        let all = placed.iter().flatten().map(|(place, _)| place.window).chain(three.windows());
        for window in all {
            let (word, bit) = place::<FIRST_BITS>(first_tag(window as u32));
            first_bits[word] |= 1 << bit;
        }
        let mut tiers = WIDTHS.map(|width| Tier::new(width, &mut placed, needles, &mut crowded));
        // Needles of three bytes are looked for with those of the narrowest window.
        for window in three.windows() {
            tiers[WIDTHS.len() - 1].set(window);
        }
        Ok(Self {
            first_bits,
            tiers,
            three,
            tiny: Tiny::new(needles),
            crowded: Crowded::new(needles, crowded)?,
            longest: needles.iter().map(|needle| needle.len()).max().unwrap_or(0),
        })
    }

    /// The length of the longest needle.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let tiers = self.tiers.iter();
        let tiers = tiers.map(|tier| size_of_val(&*tier.bits) + tier.table.memory_bytes());
        size_of_val(&*self.first_bits)
            + tiers.sum::<usize>()
            + self.three.memory_bytes()
            + self.tiny.as_ref().map_or(0, Tiny::memory_bytes)
            + self.crowded.as_ref().map_or(0, |crowded| crowded.automaton.memory_usage())
    }

    /// Hands on each needle whose window stands in `from..to` of a text, and where the needle
    /// begins, in no set order. The text goes on for [`PADDING`] bytes after `to`; bytes of it that
    /// belong to no text are 0.
    ///
    /// A text may be searched piece by piece: each needle is found once if pieces meet, if each has
    /// [`Finder::longest`] bytes before `from` as well as after `to`, but for the text's own ends.
    pub(super) fn search(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        found: &mut impl FnMut(u32, usize),
    ) {
        let mut candidates = Candidates { first: [0; BLOCK], tiers: [[0; BLOCK]; WIDTHS.len()] };
        let mut start = from;
        while start < to {
            let end = to.min(start + BLOCK);
            debug_assert!(text.len() >= end + PADDING, "the caller pads");
            let Some(block) = text.get(start..end + PADDING) else { break };
            let counts = self.candidates(block, &mut candidates);
            for (tier, (places, count)) in
                self.tiers.iter().zip(candidates.tiers.iter().zip(counts))
            {
                for &at in &places[..count] {
                    let at = start + at as usize;
                    tier.table.compare(text, at, tag(eight_at(text, at) & tier.mask), found);
                }
            }
            if !self.three.is_empty() {
                let narrowest = WIDTHS.len() - 1;
                for &at in &candidates.tiers[narrowest][..counts[narrowest]] {
                    let at = start + at as usize;
                    self.three.compare(eight_at(text, at) as u32, at, found);
                }
            }
            start = end;
        }
        if let Some(tiny) = &self.tiny {
            tiny.search(text, from, to, found);
        }
        if let Some(crowded) = &self.crowded {
            crowded.search(text, from, to, self.longest, found);
        }
    }

    /// Notes which places of a block may begin a window, and says how many they are. There is no
    /// branch that a text could make the processor guess wrongly.
    #[inline]
    fn candidates(&self, block: &[u8], candidates: &mut Candidates) -> [usize; WIDTHS.len()] {
        let mut first = 0;
        let places = block.len() - PADDING;
        // Eight bytes have five windows of four in them: four are taken, to have less to do for each.
        for at in (0..places).step_by(4) {
            let bytes = eight_at(block, at);
            for step in 0..4 {
                let (word, bit) = place::<FIRST_BITS>(first_tag((bytes >> (8 * step)) as u32));
                candidates.first[first % BLOCK] = at as u32 + step;
                first += (self.first_bits[word] >> bit & 1) as usize;
            }
        }
        // The last four may go beyond the block.
        while first > 0 && candidates.first[first - 1] as usize >= places {
            first -= 1;
        }
        let mut counts = [0; WIDTHS.len()];
        for &at in &candidates.first[..first] {
            let window = eight_at(block, at as usize);
            for ((tier, places), count) in
                self.tiers.iter().zip(&mut candidates.tiers).zip(&mut counts)
            {
                let (word, bit) = place::<TIER_BITS>(tag(window & tier.mask));
                places[*count % BLOCK] = at;
                *count += (tier.bits[word] >> bit & 1) as usize;
            }
        }
        counts
    }
}

impl Tier {
    /// The tier of a width, of what was placed in it.
    fn new(
        width: usize,
        placed: &mut [Vec<(Place, usize)>; WIDTHS.len()],
        needles: &[Box<[u8]>],
        crowded: &mut Vec<u32>,
    ) -> Self {
        let at = WIDTHS.iter().position(|&known| known == width).unwrap_or(0);
        let placed = std::mem::take(&mut placed[at]);
        let windows: Vec<u64> = placed.iter().map(|(place, _)| place.window).collect();
        let table = Table::new(needles, placed, crowded);
        let mut tier = Self { mask: u64::MAX >> (64 - 8 * width), bits: zeroed(), table };
        windows.into_iter().for_each(|window| tier.set(window));
        tier
    }

    fn set(&mut self, window: u64) {
        let (word, bit) = place::<TIER_BITS>(tag(window));
        self.bits[word] |= 1 << bit;
    }
}

/// The word and the bit of a bitmap with 2^`BITS` words.
#[inline]
fn place<const BITS: u32>(tag: u32) -> (usize, u32) {
    ((tag >> (32 - BITS)) as usize, tag >> (32 - BITS - 6) & 63)
}

/// Four bytes, mixed. Not as [`tag`] does it: a place that passes the first bitmap by chance must not
/// pass the others by the same.
#[inline]
fn first_tag(window: u32) -> u32 {
    window.wrapping_mul(0x9e37_79b1)
}

/// The eight bytes at a place, the first one lowest.
#[inline]
fn eight_at(text: &[u8], at: usize) -> u64 {
    let bytes = text.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Needles without a window of their own.
#[derive(Debug)]
struct Crowded {
    automaton: AhoCorasick,
    ids: Box<[u32]>,
}

impl Crowded {
    fn new(needles: &[Box<[u8]>], ids: Vec<u32>) -> Result<Option<Self>, Refused> {
        if ids.is_empty() {
            return Ok(None);
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(ids.iter().map(|&id| &needles[id as usize]))
            // Beyond 2^31 states: a phrase left out would open what it is to close.
            .map_err(|_| Refused::Full)?;
        Ok(Some(Self { automaton, ids: ids.into() }))
    }

    /// Hands on the needles that begin in `from..to`.
    fn search(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        longest: usize,
        found: &mut impl FnMut(u32, usize),
    ) {
        let input = Input::new(text).range(from..text.len().min(to + longest));
        for hit in self.automaton.find_overlapping_iter(input).filter(|hit| hit.start() < to) {
            found(self.ids[hit.pattern().as_usize()], hit.start());
        }
    }
}

/// A bitmap without a bit set.
fn zeroed<const N: usize>() -> Box<[u64; N]> {
    let words: Box<[u64]> = vec![0; N].into();
    words.try_into().unwrap_or_else(|_| Box::new([0; N]))
}

#[cfg(test)]
mod tests;
