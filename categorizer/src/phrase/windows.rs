//! Choosing by which few of its bytes each needle is looked for.
//!
//! Needles of eight bytes or more are looked for by eight of them, for those are rarely met by chance;
//! shorter ones by six or four. The first four bytes of a window are looked up at every place of a text,
//! so what counts is how rare they are, and how few different ones there are. Needles that share
//! their window are compared one after another wherever it stands, so they are spread over windows,
//! and no window has more than [`MOST_SHARERS`].

use std::collections::{HashMap, HashSet};

use super::rarity;
use super::table::tag;

/// Bytes of a window: the most that a needle has.
pub(super) const WIDTHS: [usize; 3] = [8, 6, 4];
/// Bytes of the narrowest window, by which all are looked up first.
pub(super) const FIRST: usize = 4;
/// Most needles that share one window: what one place of a hostile page can cost is bounded by it.
pub(super) const MOST_SHARERS: usize = 16;

/// How much rarer a window must be to be chosen where its first four bytes are not yet looked for:
/// sixteenths of a doubled bit, as all scores. Tried out; half and twice as much do as well.
const NEW: u32 = 16 * 16;
/// How much rarer it must be to be chosen in spite of so many that have it already: `log2(4 + n)`.
const CROWDING: [u32; MOST_SHARERS] =
    [64, 74, 83, 90, 96, 101, 106, 111, 115, 118, 122, 125, 128, 131, 133, 136];
/// More than is taken away from any score.
const BASE: u32 = 64 * 32 + CROWDING[MOST_SHARERS - 1];

/// Which of [`WIDTHS`] a needle's window has.
pub(super) fn tier(needle: &[u8]) -> Option<usize> {
    WIDTHS.iter().position(|&width| needle.len() >= width)
}

/// The window of a needle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// By what the table knows the window.
    pub tag: u32,
    /// The bytes, the first one lowest.
    pub window: u64,
    /// Where in the needle they stand.
    pub back: u8,
}

/// Chooses a window for each needle of [`FIRST`] bytes or more; `None` for those that are shorter,
/// and where all windows have as many needles as they may.
pub(super) fn choose(needles: &[Box<[u8]>]) -> Vec<Option<Place>> {
    // What many needles have is common in texts of their kind as well.
    let mut common: HashMap<u32, u32> = HashMap::new();
    for four in needles.iter().flat_map(|needle| needle.windows(FIRST)) {
        *common.entry(window(four) as u32).or_default() += 1;
    }
    let mut firsts: HashSet<u32> = HashSet::new();
    let mut sharers: HashMap<(usize, u32), usize> = HashMap::new();
    let mut places = vec![None; needles.len()];
    // Those with the fewest windows choose first.
    let mut order: Vec<usize> = (0..needles.len()).collect();
    order.sort_by_key(|&needle| needles[needle].len());
    for needle in order {
        let Some(tier) = tier(&needles[needle]) else { continue };
        let width = WIDTHS[tier];
        let windows = needles[needle].windows(width).enumerate();
        let open = windows.filter_map(|(back, bytes)| {
            let window = window(bytes);
            let place = Place { tag: tag(window), window, back: u8::try_from(back).ok()? };
            let crowding = CROWDING.get(sharers.get(&(width, place.tag)).copied().unwrap_or(0))?;
            let first = window as u32;
            let common = 64 * common.get(&first).map_or(0, |count| (1 + count).ilog2());
            let new = if firsts.contains(&first) { 0 } else { NEW };
            let score = BASE + NEW + 16 * rarity::surprise(&bytes[..FIRST]);
            Some((score - common - new - crowding, place))
        });
        if let Some((_, place)) = open.max() {
            *sharers.entry((width, place.tag)).or_default() += 1;
            firsts.insert(place.window as u32);
            places[needle] = Some(place);
        }
    }
    places
}

/// At most eight bytes, the first one lowest.
fn window(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |window, &byte| window << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(texts: &[&str]) -> Vec<Box<[u8]>> {
        texts.iter().map(|text| text.as_bytes().into()).collect()
    }

    #[test]
    fn needles_share_a_window_only_up_to_the_bound() {
        let needles: Vec<String> = (1..60).map(|length| "a".repeat(length)).collect();
        let places = choose(&boxed(&needles.iter().map(String::as_str).collect::<Vec<_>>()));
        let lengths: Vec<usize> =
            (0..59).filter(|&at| places[at].is_some()).map(|at| at + 1).collect();
        // All of less than eight bytes, and as many of eight and more as may share one.
        assert_eq!(lengths, (4..8 + MOST_SHARERS).collect::<Vec<_>>());
    }

    #[test]
    fn the_rarest_window_is_taken() {
        let places = choose(&boxed(&["abc", "xylo", " the xylophone"]));
        assert_eq!(places[0], None);
        assert_eq!(places[1].map(|place| place.back), Some(0));
        let window = places[2].map(|place| place.window.to_le_bytes());
        assert_eq!(window, Some(*b"xylophon"));
    }
}
