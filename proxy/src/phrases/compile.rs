//! From what lists hold to what pages are scored by, once for all who hold it.

use super::{Does, Line, PhraseLists};
use categorizer::phrase::{Effect, Phrases, Refused};
use rules::policy::{FULL_WEIGHT, PhraseWeights};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The lists of this digest that somebody still holds, or new ones: a policy that changes elsewhere keeps its own.
pub(super) fn compiled_once(
    digest: [u8; 32],
    compile: impl FnOnce() -> Result<PhraseLists, Refused>,
) -> Result<Arc<PhraseLists>, Refused> {
    static HELD: Mutex<BTreeMap<[u8; 32], Weak<PhraseLists>>> = Mutex::new(BTreeMap::new());
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = held.get(&digest).and_then(Weak::upgrade) {
        return Ok(known);
    }
    let lists = Arc::new(compile()?);
    held.retain(|_, lists| lists.strong_count() > 0);
    held.insert(digest, Arc::downgrade(&lists));
    Ok(lists)
}

/// What compiled phrases hold, for comparing policies.
pub(super) fn weights(phrases: &Phrases, lines: &[Line]) -> PhraseWeights {
    let mut weights: PhraseWeights = BTreeMap::new();
    for (number, line) in (0_u32..).zip(lines) {
        let Some((theme, _, mut parts)) = phrases.phrase(number) else { continue };
        parts.sort_unstable();
        let (does, weight) = match line.does {
            Does::Weighs => (b'w', line.weight),
            Does::Bans => (b'b', i32::MAX),
            Does::Excepts => (b'e', i32::MIN),
        };
        let mut hash = Sha256::new_with_prefix([does]);
        for part in parts {
            hash.update(part);
            hash.update([0]);
        }
        let hash = hash.finalize();
        if let Some(hash) = hash.first_chunk::<16>() {
            weights.entry(theme.to_owned()).or_default().push((*hash, weight));
        }
    }
    for table in weights.values_mut() {
        table.sort_unstable();
        table.shrink_to_fit();
    }
    weights
}

/// What an entry does, by its effect and its list's limit. Rounded up, so that weights which come to the limit reach it.
pub(super) fn effect(effect: Effect, limit: u16) -> (Does, i32) {
    use categorizer::phrase::Weight::{Percent, Points};
    let units = |weight: i32, of: i64| {
        let scaled = i64::from(weight) * i64::from(FULL_WEIGHT);
        let units = scaled.div_euclid(of) + i64::from(scaled.rem_euclid(of) > 0);
        // The ends stand for bans and exceptions.
        units.clamp(-i64::from(i32::MAX) + 1, i64::from(i32::MAX) - 1) as i32
    };
    match effect {
        Effect::Ban => (Does::Bans, 0),
        Effect::Except => (Does::Excepts, 0),
        Effect::Weigh(Points(points)) => (Does::Weighs, units(points, i64::from(limit))),
        Effect::Weigh(Percent(percent)) => (Does::Weighs, units(percent, 100)),
    }
}
