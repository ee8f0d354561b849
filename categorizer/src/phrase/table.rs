//! Windows, the needles that have them, and comparing those with a text.

use super::windows::Place;

/// Odd, with well-mixed bits: 2^64 divided by the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// By what a window is known: the best mixed bits of its hash. Windows of four bytes have a tag each;
/// two of eight may have the same, and are one window then.
#[inline]
pub(super) fn tag(window: u64) -> u32 {
    (window.wrapping_mul(MULTIPLIER) >> 32) as u32
}

/// Farthest that a window may stand from where its tag has it. By chance none comes near it: the table is half
/// empty. Windows of a list made to stand side by side would be walked through at every place of a page.
const MOST_STEPS: usize = 64;

/// Needles by window.
#[derive(Debug)]
pub(super) struct Table {
    slots: Box<[Slot]>,
    /// How far a tag is shifted to give a slot.
    shift: u32,
    needles: Box<[Needle]>,
    bytes: Box<[u8]>,
}

/// One window, by its tag, and the needles that have it.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    tag: u32,
    /// The first needle shifted by five, and how many; 0 where the slot is empty.
    needles: u32,
}

/// One needle. Those of a window stand side by side.
#[derive(Clone, Copy, Debug)]
struct Needle {
    /// Four of its bytes, as far from the window as they are.
    probe: u32,
    /// Where its bytes begin in [`Table::bytes`].
    start: u32,
    /// What it is called outside.
    id: u32,
    length: u16,
    /// Where in it the window stands, and the probe.
    back: u8,
    probe_at: u8,
}

impl Table {
    /// Compiles needles of four bytes or more, with their windows. Those that find no place are added to `crowded`.
    pub(super) fn new(
        needles: &[Box<[u8]>],
        mut placed: Vec<(Place, usize)>,
        crowded: &mut Vec<u32>,
    ) -> Self {
        placed.sort_unstable();
        // At least twice as many slots as windows.
        let bits = placed.len().max(8).next_power_of_two().trailing_zeros() + 1;
        let mut table = Self {
            slots: vec![Slot::default(); 1 << bits].into(),
            shift: 32 - bits,
            needles: Box::default(),
            bytes: Box::default(),
        };
        let mut bytes = Vec::new();
        let compiled = placed.iter().map(|(place, id)| {
            let needle = &needles[*id];
            let last = needle.len() - size_of::<u32>();
            let probe_at = if usize::from(place.back) > last / 2 { 0 } else { last };
            let start = bytes.len() as u32;
            bytes.extend_from_slice(needle);
            Needle {
                probe: four_at(needle, probe_at).unwrap_or_default(),
                start,
                id: *id as u32,
                length: needle.len() as u16,
                back: place.back,
                probe_at: probe_at as u8,
            }
        });
        table.needles = compiled.collect();
        table.bytes = bytes.into();
        let mut first = 0;
        for sharers in placed.chunk_by(|left, right| left.0.tag == right.0.tag) {
            if !table.insert(sharers[0].0.tag, first << 5 | sharers.len() as u32) {
                crowded.extend(sharers.iter().map(|&(_, id)| id as u32));
            }
            first += sharers.len() as u32;
        }
        table
    }

    /// Whether there was room.
    fn insert(&mut self, tag: u32, needles: u32) -> bool {
        let mut slot = (tag >> self.shift) as usize;
        for _ in 0..MOST_STEPS {
            if self.slots[slot].needles == 0 {
                self.slots[slot] = Slot { tag, needles };
                return true;
            }
            slot = (slot + 1) % self.slots.len();
        }
        false
    }

    /// Hands on the needles whose window begins at a place of the text, if it is the one with this
    /// tag, and where they begin.
    #[inline]
    pub(super) fn compare(
        &self,
        text: &[u8],
        at: usize,
        wanted: u32,
        found: &mut impl FnMut(u32, usize),
    ) {
        let mut slot = (wanted >> self.shift) as usize;
        for _ in 0..MOST_STEPS {
            let Slot { tag, needles } = self.slots[slot];
            if needles == 0 {
                return;
            }
            if tag == wanted {
                let first = (needles >> 5) as usize;
                for needle in &self.needles[first..first + (needles & 31) as usize] {
                    let start = at.wrapping_sub(usize::from(needle.back));
                    let probe_at = start.wrapping_add(usize::from(needle.probe_at));
                    if four_at(text, probe_at) != Some(needle.probe) {
                        continue;
                    }
                    let bytes = &self.bytes[needle.start as usize..][..usize::from(needle.length)];
                    if text.get(start..).is_some_and(|rest| rest.starts_with(bytes)) {
                        found(needle.id, start);
                    }
                }
                return;
            }
            slot = (slot + 1) % self.slots.len();
        }
    }

    /// Bytes of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.slots) + size_of_val(&*self.needles) + self.bytes.len()
    }
}

/// The four bytes at a place, the first one lowest.
#[inline]
fn four_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_made_to_stand_side_by_side_are_not_walked_through() {
        // The highest bits of a tag say where its window stands: these all begin at one place.
        let count = 5 * MOST_STEPS;
        let needles: Vec<Box<[u8]>> =
            (0..count as u64).map(|number| number.to_le_bytes().into()).collect();
        let place = |number: usize| Place { tag: number as u32, window: number as u64, back: 0 };
        let mut crowded = Vec::new();
        let placed = (0..count).map(|number| (place(number), number)).collect();
        let table = Table::new(&needles, placed, &mut crowded);
        let (mut found, mut others) = (Vec::new(), crowded.clone());
        for number in 0..count as u64 {
            let text = number.to_le_bytes();
            table.compare(&text, 0, number as u32, &mut |id, _| found.push(id));
        }
        assert_eq!(found.len(), MOST_STEPS, "as many as one may walk through");
        others.append(&mut found);
        others.sort_unstable();
        assert_eq!(others, (0..count as u32).collect::<Vec<_>>(), "none is left out");
    }
}
