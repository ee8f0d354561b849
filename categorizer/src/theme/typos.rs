//! Words with one slip of the finger: letters in the wrong order, one left out, one doubled, a wrong
//! vowel, s for c, in words of eight letters a neighbouring key. Of long words only: short ones are one slip away
//! from too many others; of five letters two may have changed places.

use super::vocabulary::{UNKNOWN, Vocabulary, WordId};
use crate::hash;

/// Fewest letters of a word that is known in spite of a slip.
pub(super) const MIN_LETTERS: usize = 6;
/// Letters of a word in which two may have changed places, besides.
const SWAPPED_LETTERS: usize = 5;
/// From how many letters on a key may have been missed by one.
const MISSED_KEY_LETTERS: usize = 8;
/// Longest word that is looked at for one.
const MAX_LETTERS: usize = 24;
const SEED: u64 = 0x7479_706f_0000_0001;

/// Leading bits of a hash by which words are grouped: some eight of what is shipped have the same.
const GROUP_BITS: u32 = 14;

/// Known words by what is left of them without one letter.
#[derive(Clone, Debug, Default)]
pub(super) struct Typos {
    /// The hash of what is left, and the word; in order.
    left: Box<[(u32, WordId)]>,
    /// Where those begin in `left` that share their leading bits; one more than there are.
    groups: Box<[u32]>,
}

impl Typos {
    /// Of all words that are long enough. One that is known is never read as another, so that those
    /// which only look like a slip need but be known.
    pub(super) fn new(vocabulary: &Vocabulary) -> Self {
        let mut left = Vec::new();
        for (id, word) in vocabulary.all() {
            if word.len() < MIN_LETTERS || !is_eligible(word) {
                continue;
            }
            let mut note = |hash| left.push((hash, id));
            note(hash_of(word));
            for_each_shorter(word, &mut note);
        }
        left.sort_unstable();
        left.dedup();
        let mut groups = vec![0_u32; (1 << GROUP_BITS) + 1];
        for &(hash, _) in &left {
            groups[group(hash) + 1] += 1;
        }
        let mut first = 0;
        for start in &mut groups {
            first += *start;
            *start = first;
        }
        Self { left: left.into(), groups: groups.into() }
    }

    /// What the words are of which this may be left. Others may have the same hash: whether it is a slip, letters say.
    fn words(&self, hash: u32) -> impl Iterator<Item = WordId> {
        let place = |group: usize| self.groups.get(group).map_or(0, |start| *start as usize);
        let of_group = &self.left[place(group(hash))..place(group(hash) + 1)];
        of_group.iter().filter(move |(other, _)| *other == hash).map(|(_, word)| *word)
    }

    /// The word that was meant, where it is one slip away; of several, the first by its letters.
    pub(super) fn meant(&self, vocabulary: &Vocabulary, written: &[u8]) -> WordId {
        if written.len() + 1 < MIN_LETTERS || !is_eligible(written) {
            return UNKNOWN;
        }
        if written.len() == SWAPPED_LETTERS
            && let Some(word) = swapped(vocabulary, written)
        {
            return word;
        }
        let mut best: Option<(&[u8], WordId)> = None;
        let mut look = |hash| {
            for id in self.words(hash) {
                let word = vocabulary.letters(id);
                if is_slip(word, written) && best.is_none_or(|(known, _)| word < known) {
                    best = Some((word, id));
                }
            }
        };
        look(hash_of(written));
        for_each_shorter(written, &mut look);
        best.map_or(UNKNOWN, |(_, id)| id)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.left) + size_of_val(&*self.groups)
    }
}

/// The known word that this is with two neighbouring letters changed round, none of them the first.
fn swapped(vocabulary: &Vocabulary, written: &[u8]) -> Option<WordId> {
    let mut word = [0; SWAPPED_LETTERS];
    (1..written.len() - 1).find_map(|at| {
        word.copy_from_slice(written);
        word.swap(at, at + 1);
        Some(vocabulary.whole(&word)).filter(|&found| found != UNKNOWN)
    })
}

fn hash_of(letters: &[u8]) -> u32 {
    (hash::extend(SEED, letters) >> 32) as u32
}

fn group(hash: u32) -> usize {
    (hash >> (u32::BITS - GROUP_BITS)) as usize
}

fn is_eligible(word: &[u8]) -> bool {
    word.len() <= MAX_LETTERS && word.iter().all(u8::is_ascii_lowercase)
}

/// The hashes of a word without each of its letters but the first, which hardly anybody gets wrong.
fn for_each_shorter(word: &[u8], look: &mut impl FnMut(u32)) {
    let mut shorter = [0; MAX_LETTERS];
    for left_out in 1..word.len() {
        shorter[..left_out].copy_from_slice(&word[..left_out]);
        shorter[left_out..word.len() - 1].copy_from_slice(&word[left_out + 1..]);
        look(hash_of(&shorter[..word.len() - 1]));
    }
}

/// Whether what was written is a word with one slip, not in its first letter.
fn is_slip(word: &[u8], written: &[u8]) -> bool {
    let same = word.iter().zip(written).take_while(|(left, right)| left == right).count();
    if same == 0 || word == written {
        return false;
    }
    let (word_rest, written_rest) = (&word[same..], &written[same..]);
    match (word_rest, written_rest) {
        ([_, word_after @ ..], _) if word.len() == written.len() + 1 => word_after == written_rest,
        // Only a letter typed twice: with any other, `heroine` would be a slip of `heroin`.
        (_, [extra, written_after @ ..]) if written.len() == word.len() + 1 => {
            word_rest == written_after && *extra == written[same - 1]
        }
        ([one, two, word_after @ ..], [first, second, written_after @ ..])
            if (one, two) == (second, first) =>
        {
            word_after == written_after
        }
        ([one, word_after @ ..], [first, written_after @ ..]) => {
            let is_alike = sound_alike(*one, *first)
                || word.len() >= MISSED_KEY_LETTERS && are_neighbours(*one, *first);
            word.len() == written.len() && is_alike && word_after == written_after
        }
        _ => false,
    }
}

fn sound_alike(one: u8, other: u8) -> bool {
    const ALIKE: [&[u8]; 3] = [b"aeiouy", b"csk", b"sz"];
    ALIKE.iter().any(|letters| letters.contains(&one) && letters.contains(&other))
}

/// Whether two keys lie side by side in a row.
fn are_neighbours(one: u8, other: u8) -> bool {
    const ROWS: [&[u8]; 3] = [b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"];
    ROWS.iter().any(|row| row.windows(2).any(|two| two == [one, other] || two == [other, one]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_seen_through_and_two_or_another_word_are_not() {
        let known =
            ["suicide", "heroin", "marijuana", "cannabis", "knife", "porn", "prison", "harming"];
        let mut known = known.map(|word| (word.to_owned(), Some(1)));
        known.sort();
        let vocabulary = Vocabulary::new(&known, &[]);
        let typos = Typos::new(&vocabulary);
        let meant = |written: &str| {
            let id = typos.meant(&vocabulary, written.as_bytes());
            if id == UNKNOWN {
                ""
            } else {
                std::str::from_utf8(vocabulary.letters(id)).unwrap_or("")
            }
        };
        for (written, word) in [
            ("sucide", "suicide"),
            ("suicdie", "suicide"),
            ("suiccide", "suicide"),
            ("suiside", "suicide"),
            ("marajuana", "marijuana"),
            ("cannibis", "cannabis"),
            ("canabis", "cannabis"),
            ("herion", "heroin"),
            ("heroine", ""),
            ("heroic", ""),
            ("uicide", ""),
            ("usicide", ""),
            ("sucde", ""),
            ("suicide", ""),
            ("knif", ""),
            ("pron", ""),
            ("kinfe", "knife"),
            ("nkife", ""),
            ("cannabiz", "cannabis"),
            ("cannavis", "cannabis"),
            ("marijuara", ""),
            ("harmong", "harming"),
            ("harmibg", ""),
            ("priosn", "prison"),
            ("", ""),
            ("suicideszzzzzzzzzzzzzzzzzzzzzzzzz", ""),
        ] {
            assert_eq!(meant(written), word, "{written}");
        }
    }
}
