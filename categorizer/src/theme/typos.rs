//! Words with one slip of the finger: letters in the wrong order, one left out, one doubled, a wrong
//! vowel, s for c. Of long words only: short ones are one slip away from too many others.

use std::collections::{BTreeSet, HashMap};

use super::vocabulary::{UNKNOWN, Vocabulary, WordId};
use crate::hash;

/// Fewest letters of a word that is known in spite of a slip.
pub(super) const MIN_LETTERS: usize = 6;
/// Longest word that is looked at for one.
const MAX_LETTERS: usize = 24;
const SEED: u64 = 0x7479_706f_0000_0001;

/// Known words by what is left of them without one letter.
#[derive(Debug, Default)]
pub(super) struct Typos {
    /// By hash, where its words begin in `words`, and how many they are.
    by_hash: HashMap<u64, (u32, u32)>,
    words: Box<[WordId]>,
}

impl Typos {
    /// Of all words that are long enough. One that is known is never read as another, so that those
    /// which only look like a slip need but be known.
    pub(super) fn new(vocabulary: &Vocabulary) -> Self {
        let mut by_hash: HashMap<u64, BTreeSet<WordId>> = HashMap::new();
        for (id, word) in vocabulary.all() {
            if word.len() < MIN_LETTERS || !is_eligible(word) {
                continue;
            }
            let mut note = |hash| {
                by_hash.entry(hash).or_default().insert(id);
            };
            note(hash::extend(SEED, word));
            for_each_shorter(word, &mut note);
        }
        let mut hashes: Vec<_> = by_hash.into_iter().collect();
        hashes.sort_unstable();
        let (mut starts, mut words) = (HashMap::new(), Vec::new());
        for (hash, found) in hashes {
            starts.insert(hash, (words.len() as u32, found.len() as u32));
            words.extend(found);
        }
        Self { by_hash: starts, words: words.into() }
    }

    /// The word that was meant, where it is one slip away; of several, the first by its letters.
    pub(super) fn meant(&self, vocabulary: &Vocabulary, written: &[u8]) -> WordId {
        if written.len() + 1 < MIN_LETTERS || !is_eligible(written) {
            return UNKNOWN;
        }
        let mut best: Option<(&[u8], WordId)> = None;
        let mut look = |hash| {
            let Some(&(start, count)) = self.by_hash.get(&hash) else { return };
            for &id in &self.words[start as usize..(start + count) as usize] {
                let word = vocabulary.letters(id);
                if is_slip(word, written) && best.is_none_or(|(known, _)| word < known) {
                    best = Some((word, id));
                }
            }
        };
        look(hash::extend(SEED, written));
        for_each_shorter(written, &mut look);
        best.map_or(UNKNOWN, |(_, id)| id)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.by_hash.capacity() * (size_of::<(u64, (u32, u32))>() + 1) + size_of_val(&*self.words)
    }
}

fn is_eligible(word: &[u8]) -> bool {
    word.len() <= MAX_LETTERS && word.iter().all(u8::is_ascii_lowercase)
}

/// The hashes of a word without each of its letters but the first, which hardly anybody gets wrong.
fn for_each_shorter(word: &[u8], look: &mut impl FnMut(u64)) {
    let mut shorter = [0; MAX_LETTERS];
    for left_out in 1..word.len() {
        shorter[..left_out].copy_from_slice(&word[..left_out]);
        shorter[left_out..word.len() - 1].copy_from_slice(&word[left_out + 1..]);
        look(hash::extend(SEED, &shorter[..word.len() - 1]));
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
            word.len() == written.len() && sound_alike(*one, *first) && word_after == written_after
        }
        _ => false,
    }
}

fn sound_alike(one: u8, other: u8) -> bool {
    const ALIKE: [&[u8]; 3] = [b"aeiouy", b"csk", b"sz"];
    ALIKE.iter().any(|letters| letters.contains(&one) && letters.contains(&other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn one_slip_is_seen_through_and_two_or_another_word_are_not() {
        let known = ["suicide", "heroin", "marijuana", "cannabis", "knife", "porn", "prison"];
        let known: BTreeMap<String, BTreeSet<u32>> =
            known.iter().map(|word| ((*word).to_owned(), BTreeSet::from([1]))).collect();
        let vocabulary = Vocabulary::new(&known, &BTreeMap::new());
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
            ("priosn", "prison"),
            ("", ""),
            ("suicideszzzzzzzzzzzzzzzzzzzzzzzzz", ""),
        ] {
            assert_eq!(meant(written), word, "{written}");
        }
    }
}
