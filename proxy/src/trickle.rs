//! How much of a file may be let through to its client while the virus scanner has not answered.
//!
//! A file is held back until the scan is over. A client that gets nothing for long gives up, and so do proxies
//! on the way; a few bytes now and then keep it. What was let through cannot be called back, so it is little, slow,
//! and never the end: without it, a program does not run and an archive does not open. When the scan finds
//! something, the connection is broken off and the client is left with a piece.
//!
//! Pure: the caller brings the time.

/// How slowly bytes are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trickle {
    /// Milliseconds in which nothing is let through: a file that is scanned sooner comes whole, or its block page
    /// does.
    pub begin_after_ms: u64,
    /// Milliseconds between two pieces.
    pub every_ms: u64,
    /// Bytes of a piece.
    pub piece_bytes: u64,
    /// Bytes at the end of what is held that are never let through.
    pub keep_back_bytes: u64,
    /// Most that is ever let through, in hundredths of what is held.
    pub most_percent: u64,
}

impl Default for Trickle {
    /// Nothing for ten seconds, then 512 bytes every two seconds; 64 KiB stay, and nine tenths of all there is.
    ///
    /// Browsers wait 60 seconds and more for the first byte, `curl` for ever, load balancers often 30: ten leave
    /// room, and nearly every scan ends sooner (docs/files.md).
    fn default() -> Self {
        Self {
            begin_after_ms: 10_000,
            every_ms: 2_000,
            piece_bytes: 512,
            keep_back_bytes: 64 << 10,
            most_percent: 10,
        }
    }
}

impl Trickle {
    /// How many more bytes may go now: `held` have come from the site in all, `let_through` of them went to the
    /// client, `waited_ms` since the first came. Never so many that fewer than
    /// [`Trickle::keep_back_bytes`] stay.
    #[must_use]
    pub fn now(&self, held: u64, let_through: u64, waited_ms: u64) -> u64 {
        let Some(over) = waited_ms.checked_sub(self.begin_after_ms) else { return 0 };
        let pieces = (over / self.every_ms.max(1)).saturating_add(1);
        let by_time = pieces.saturating_mul(self.piece_bytes);
        let by_share = held / 100 * self.most_percent.min(100);
        let by_end = held.saturating_sub(self.keep_back_bytes);
        by_time.min(by_share).min(by_end).saturating_sub(let_through)
    }

    /// Milliseconds until more may go than now, if as many bytes are held: when to ask again.
    #[must_use]
    pub fn next_in_ms(&self, waited_ms: u64) -> u64 {
        match waited_ms.checked_sub(self.begin_after_ms) {
            None => self.begin_after_ms - waited_ms,
            Some(over) => self.every_ms.max(1) - over % self.every_ms.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn little_goes_and_late() {
        let trickle = Trickle::default();
        let cases = [
            // Held, gone, waited, what may go.
            (10 << 20, 0, 9_999, 0),
            (10 << 20, 0, 10_000, 512),
            (10 << 20, 512, 10_001, 0),
            (10 << 20, 512, 12_000, 512),
            (10 << 20, 0, 20_000, 6 * 512),
            (64 << 10, 0, 600_000, 0),
            ((64 << 10) + 100, 0, 600_000, 100),
            (0, 0, 600_000, 0),
            (10 << 20, 0, u64::MAX, 1_048_570),
        ];
        for (held, gone, waited, more) in cases {
            assert_eq!(trickle.now(held, gone, waited), more, "{held} {gone} {waited}");
        }
        assert_eq!(
            [0, 9_999, 10_000, 11_500].map(|ms| trickle.next_in_ms(ms)),
            [10_000, 1, 2_000, 500]
        );
    }

    proptest! {
        #[test]
        fn the_end_is_never_let_through(
            sizes in proptest::collection::vec((0_u64..1 << 20, 0_u64..5_000), 1..50),
            keep in 0_u64..1 << 18,
            percent in 0_u64..200,
        ) {
            let trickle = Trickle { keep_back_bytes: keep, most_percent: percent, ..Trickle::default() };
            let (mut held, mut gone, mut waited) = (0, 0, 0);
            for (bytes, ms) in sizes {
                held += bytes;
                waited += ms;
                gone += trickle.now(held, gone, waited);
                prop_assert!(gone == 0 || held - gone >= keep);
                prop_assert!(gone <= held * percent.min(100) / 100);
                prop_assert_eq!(trickle.now(held, gone, waited), 0);
                let next = trickle.next_in_ms(waited);
                prop_assert!(next > 0);
            }
        }
    }
}
