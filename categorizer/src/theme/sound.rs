//! Words written as they sound: `nife`, `medisin`, `evry body`, `loozer`.
//!
//! A word and what was written are taken for one if they sound alike by some rules of English spelling.
//! Of words of five letters or more any spelling of the same vowel will do; of shorter ones only the
//! consonants may differ, as most short words are one vowel away from another. As everywhere here, only
//! words that no pack knows are looked at.

use super::vocabulary::{UNKNOWN, Vocabulary, WordId};
use crate::hash;

/// Fewest letters of what was written, and of the word.
const MIN_LETTERS: (usize, usize) = (4, 3);
/// Longest word that is looked at.
const MAX_LETTERS: usize = 20;
/// From how many sounds on vowels are only told apart roughly.
const ROUGH_FROM: usize = 5;
const SEED: u64 = 0x736f_756e_6400_0001;

/// Known words by how they sound.
#[derive(Clone, Debug, Default)]
pub(super) struct Sounds {
    /// Hashes of the sounds, in order.
    hashes: Box<[u64]>,
    /// What word each is of.
    words: Box<[WordId]>,
}

impl Sounds {
    pub(super) fn new(vocabulary: &Vocabulary) -> Self {
        // Of words that sound alike, the shortest is meant, and of those the first.
        let mut found: Vec<(u64, usize, WordId)> = Vec::new();
        for (id, word) in vocabulary.all() {
            if word.len() >= MIN_LETTERS.1
                && let Some(sound) = sound(word)
            {
                found.push((sound, word.len(), id));
            }
        }
        found.sort_unstable();
        found.dedup_by_key(|one| one.0);
        Self {
            hashes: found.iter().map(|one| one.0).collect(),
            words: found.iter().map(|one| one.2).collect(),
        }
    }

    /// The word that sounds like what was written.
    pub(super) fn meant(&self, written: &[u8]) -> WordId {
        if written.len() < MIN_LETTERS.0 {
            return UNKNOWN;
        }
        let place = sound(written).and_then(|sound| self.hashes.binary_search(&sound).ok());
        place.and_then(|place| self.words.get(place)).copied().unwrap_or(UNKNOWN)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.hashes) + size_of_val(&*self.words)
    }
}

/// Sounds that are written in more than one way: at the beginning of a word, and anywhere.
const FIRST: [(&[u8], &[u8]); 5] =
    [(b"kn", b"n"), (b"wr", b"r"), (b"gn", b"n"), (b"ps", b"s"), (b"wh", b"w")];
const ANYWHERE: [(&[u8], &[u8]); 14] = [
    (b"tion", b"sun"),
    (b"sion", b"sun"),
    (b"sch", b"sk"),
    (b"chr", b"kr"),
    (b"dge", b"j"),
    (b"tch", b"C"),
    (b"ph", b"f"),
    (b"ck", b"k"),
    (b"gh", b""),
    (b"ch", b"C"),
    (b"sh", b"S"),
    (b"th", b"T"),
    (b"qu", b"kw"),
    (b"x", b"ks"),
];

/// A hash of how a word sounds; none if it is no Latin word of a usual length.
fn sound(word: &[u8]) -> Option<u64> {
    if word.len() > MAX_LETTERS || !word.iter().all(u8::is_ascii_lowercase) {
        return None;
    }
    // Consonants first: how long a word is must not hang on how it is spelt.
    let mut plain = [0_u8; MAX_LETTERS * 2];
    let mut length = 0;
    let mut rest = word;
    while let [letter, after @ ..] = rest {
        let is_start = rest.len() == word.len();
        let first = FIRST.iter().find(|it| is_start && rest.starts_with(it.0));
        if let Some((written, sound)) =
            first.or_else(|| ANYWHERE.iter().find(|it| rest.starts_with(it.0)))
        {
            sound.iter().for_each(|&one| put(&mut plain, &mut length, one));
            rest = &rest[written.len()..];
            continue;
        }
        let is_soft = matches!(after, [b'e' | b'i' | b'y', ..]);
        match letter {
            b'c' if is_soft => put(&mut plain, &mut length, b's'),
            b'c' => put(&mut plain, &mut length, b'k'),
            b'z' => put(&mut plain, &mut length, b's'),
            b'g' if is_soft => put(&mut plain, &mut length, b'j'),
            // Nobody hears it in `bomb` and `limb`.
            b'b' if after.is_empty() && length > 1 && plain[length - 1] == b'm' => {}
            b'a' | b'e' | b'i' | b'o' | b'u' | b'y' => {
                plain[length] = *letter;
                length += 1;
            }
            _ => put(&mut plain, &mut length, *letter),
        }
        rest = after;
    }
    let plain = &plain[..length];
    if length < 2 {
        return None;
    }
    if length < ROUGH_FROM {
        return Some(hash::extend(SEED, plain));
    }
    let mut rough = [0_u8; MAX_LETTERS * 2];
    let mut length = 0;
    let mut at = 0;
    while let Some(&letter) = plain.get(at) {
        let vowels = plain[at..].iter().take_while(|letter| b"aeiouy".contains(letter)).count();
        // An e at the end is not heard.
        let is_unheard = at > 0 && at + 1 == plain.len() && letter == b'e';
        match letter {
            _ if is_unheard => {}
            b'e' | b'i' | b'y' => put(&mut rough, &mut length, b'i'),
            b'o' | b'u' => put(&mut rough, &mut length, b'u'),
            _ => put(&mut rough, &mut length, letter),
        }
        at += vowels.max(1);
    }
    Some(hash::extend(SEED, &rough[..length]))
}

/// Adds a sound, once where it stands twice.
fn put(sounds: &mut [u8], length: &mut usize, sound: u8) {
    if *length == 0 || sounds[*length - 1] != sound {
        sounds[*length] = sound;
        *length += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_sound_alike_are_one() {
        for (word, written) in [
            ("knife", "nife"),
            ("school", "scool"),
            ("wrists", "rists"),
            ("medicine", "medisin"),
            ("loser", "loozer"),
            ("really", "reely"),
            ("video", "vidio"),
            ("execution", "exicution"),
            ("counterfeit", "conterfit"),
            ("chrome", "crome"),
            ("proxy", "proxey"),
            ("stab", "stabb"),
            ("secret", "secrit"),
        ] {
            assert_eq!(sound(word.as_bytes()), sound(written.as_bytes()), "{word}");
        }
        for (word, other) in
            [("weed", "wood"), ("knife", "night"), ("porn", "pern"), ("drugs", "drags")]
        {
            assert_ne!(sound(word.as_bytes()), sound(other.as_bytes()), "{word}");
        }
        assert_eq!(sound(b""), None);
        assert_eq!(sound(&[b'x'; MAX_LETTERS + 1]), None);
        assert!(sound(&[b'x'; MAX_LETTERS]).is_some() && sound(&b"tionx".repeat(4)).is_some());
    }
}
