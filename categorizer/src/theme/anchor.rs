//! From which word a phrase is looked for, and what must stand beside it.

use super::vocabulary::{Vocabulary, signature};

/// A phrase as it is looked for: from the part that stands in the fewest phrases.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchored {
    pub(super) phrase: u32,
    /// How many parts stand before the anchor, and how many there are.
    pub(super) before: u8,
    pub(super) length: u8,
    /// How far from the anchor another part stands, and which: looked at first, as few phrases that
    /// are not there have it. Of a single word, the word.
    pub(super) other_at: i8,
    pub(super) other: u32,
}

/// What must stand beside a word for any phrase to be there that is looked for by it: if nothing of it
/// does, which is known at a glance, the word needs no more. A bit for each part, as in its signature.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) before: u64,
    pub(super) after: u64,
    /// Where the phrases that it is all of begin among those of one word, and end.
    pub(super) alone: (u32, u32),
}

/// What each word wants beside it, by the phrases of its parts; and the phrases of one word.
pub(super) fn wanted(
    vocabulary: &Vocabulary,
    anchored: &[Vec<Anchored>],
) -> (Vec<Wanted>, Vec<u32>) {
    let mut singles = Vec::new();
    let of_word = |word| {
        let mut wanted = Wanted::default();
        let first = singles.len() as u32;
        for one in vocabulary.parts(word).iter().flat_map(|&part| &anchored[part as usize]) {
            match one.other_at {
                0 => singles.push(one.phrase),
                1.. => wanted.after |= signature(one.other),
                _ => wanted.before |= signature(one.other),
            }
        }
        wanted.alone = (first, singles.len() as u32);
        wanted
    };
    let wanted = vocabulary.ids().map(of_word).collect();
    (wanted, singles)
}
