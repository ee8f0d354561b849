//! Endings and sounds of everyday speech that people write down: `cuttin`, `dealah`, `fings`.

use super::vocabulary::{UNKNOWN, Vocabulary, WordId};
use super::words::MAX_WORD_BYTES;

/// The known word that was written as it is spoken.
pub(super) fn meant(vocabulary: &Vocabulary, written: &[u8]) -> WordId {
    /// What is written, what is meant, and how many letters there must be besides.
    const ENDINGS: [(&[u8], &[u8], usize); 3] =
        [(b"in", b"ing", 3), (b"ah", b"er", 3), (b"a", b"er", 4)];
    let mut word = [0; MAX_WORD_BYTES];
    let mut look = |parts: [&[u8]; 2]| {
        let length = parts[0].len() + parts[1].len();
        let room = word.get_mut(..length)?;
        let (first, last) = room.split_at_mut(parts[0].len());
        first.copy_from_slice(parts[0]);
        last.copy_from_slice(parts[1]);
        Some(vocabulary.whole(room)).filter(|&found| found != UNKNOWN)
    };
    let ended = ENDINGS.iter().find_map(|(ending, meant, least)| {
        let stem = written.strip_suffix(*ending).filter(|stem| stem.len() >= *least)?;
        look([stem, *meant])
    });
    let lisped = || look([b"th", written.strip_prefix(b"f").filter(|rest| rest.len() >= 4)?]);
    ended.or_else(lisped).unwrap_or(UNKNOWN)
}
