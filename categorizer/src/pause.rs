//! Work on millions of entries, with pauses in which others may have the processor.
//!
//! A kernel that is built without preemption gives a thread's time away at its own ticks, 4 ms apart with 250 of them a
//! second, and then for a whole tick: whoever carries requests on the same core waits that long for whoever compiles a
//! list, whatever the priorities say. A thread that gives the processor up by itself every few hundred microseconds is
//! seldom the one that runs at a tick. Where nobody waits a pause costs less than a microsecond.
//!
//! Giving up the processor costs more of it than was used since: with others who always want it, a thread of a lower
//! priority got a third of the time that it gets without pauses. So whoever had to wait makes none for a quarter as
//! long, and gets more than half.

use std::cell::Cell;
use std::cmp::Ordering;
use std::time::Instant;

/// Steps between two pauses, of some 50 to 200 ns each.
const STEPS: u32 = 2048;
/// Comparisons between two pauses, of some 3 to 10 ns each.
const COMPARISONS: u32 = 32_768;
/// Bytes between two pauses in work that goes through some gigabytes a second.
pub const PIECE_BYTES: usize = 256 * 1024;

/// How many times as long as it works without a pause a thread has waited in the last one.
const WAITED: u32 = 4;

thread_local! {
    /// Steps since the last pause.
    static TAKEN: Cell<u32> = const { Cell::new(0) };
    /// Until when no pause is made.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Lets others have the processor, if any wait for it and it has not just been waited for.
#[expect(clippy::disallowed_methods, reason = "decides nothing but when the next pause is made")]
pub fn now() {
    let begun = Instant::now();
    if UNTIL.get().is_some_and(|until| begun < until) {
        return;
    }
    std::thread::yield_now();
    let ended = Instant::now();
    UNTIL.set(Some(ended + (ended - begun) / WAITED));
}

/// Counts one entry that was worked on, and pauses once there were so many.
#[inline]
pub fn step() {
    TAKEN.with(|taken| {
        taken.set(taken.get() + 1);
        if taken.get() == STEPS {
            taken.set(0);
            now();
        }
    });
}

/// Pieces of values that are worked on quickly, one after another, with a pause between two. What fits into one is worked
/// on without: whoever reads a page for a client hashes what it holds with the same function as whoever compiles a list.
pub fn pieces<T>(values: &[T]) -> impl Iterator<Item = &[T]> {
    let in_piece = PIECE_BYTES / size_of::<T>().max(1);
    values.chunks(in_piece.max(1)).enumerate().map(|(place, piece)| {
        if place > 0 {
            now();
        }
        piece
    })
}

/// Sorts like [`slice::sort_unstable_by`].
pub fn sort_unstable_by<T>(values: &mut [T], mut compare: impl FnMut(&T, &T) -> Ordering) {
    let mut made = 0;
    values.sort_unstable_by(|one, other| {
        made += 1;
        if made == COMPARISONS {
            made = 0;
            now();
        }
        compare(one, other)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::mix;

    #[test]
    fn what_is_sorted_with_pauses_is_sorted() {
        for count in [0, 1, 2, 1000, 100_000] {
            let mut values: Vec<u64> = (0..count).map(|n| mix(n, 5)).collect();
            let mut plain = values.clone();
            plain.sort_unstable();
            sort_unstable_by(&mut values, u64::cmp);
            assert!(values == plain, "{count}");
        }
    }

    #[test]
    fn pieces_are_all_there_is_in_its_order() {
        let values: Vec<u64> = (0..PIECE_BYTES as u64 / 8 * 2 + 3).collect();
        let lengths: Vec<usize> = pieces(&values).map(<[u64]>::len).collect();
        assert_eq!(lengths, [PIECE_BYTES / 8, PIECE_BYTES / 8, 3]);
        assert!(pieces(&values).flatten().copied().eq(0..values.len() as u64));
        assert_eq!(pieces::<u8>(&[]).count(), 0);
        assert_eq!(pieces(&[(); 7]).map(<[()]>::len).sum::<usize>(), 7);
    }
}
