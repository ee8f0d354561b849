//! Whether others on the machine want the processor that a worker runs on.
//!
//! Who has used up what the kernel gives a thread waits for everybody else, milliseconds at a time, whatever has come
//! meanwhile. Who rests in between runs as soon as something comes. So where a processor is wanted by others too, a
//! worker leaves some of it to them while all that waits is of clients who have used up their allowance.

use std::time::{Duration, Instant};

/// Over how much time, in rounds, it is looked at who had the processor.
const LOOK: Duration = Duration::from_millis(50);

/// What others had of it, one part in so many, from which on they want it.
const PART: u32 = 10;

/// How long it is wanted after that. Finding out that it still is costs waits.
const WANTED: Duration = Duration::from_secs(5);

/// What is known of a worker's processor. What a hypervisor or an interrupt takes counts as somebody's: it is missed all the same.
#[derive(Default)]
pub(super) struct Headroom {
    /// Time in rounds since the last look, and what the worker had no processor for.
    rounds: Duration,
    without: Duration,
    wanted_until: Option<Instant>,
}

impl Headroom {
    /// A processor that is wanted until then, whoever has it.
    #[cfg(test)]
    pub(super) fn wanted_until(until: Instant) -> Self {
        Self { wanted_until: Some(until), ..Self::default() }
    }

    /// Takes note of a round that ended now: how long it took, and for how much of that the worker had the
    /// processor. Says whether others want it.
    pub(super) fn is_wanted(&mut self, now: Instant, took: Duration, ran: Duration) -> bool {
        self.rounds += took;
        self.without += took.saturating_sub(ran);
        if self.rounds >= LOOK {
            if self.without >= self.rounds / PART {
                self.wanted_until = Some(now + WANTED);
            }
            (self.rounds, self.without) = (Duration::ZERO, Duration::ZERO);
        }
        self.wanted_until.is_some_and(|until| now < until)
    }
}

/// The time for which this thread has had a processor.
pub(super) fn ran() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    #[allow(
        unsafe_code,
        reason = "std has no such clock, and rustix looks for the kernel's in a way that valgrind ends"
    )]
    // SAFETY: the struct lives until the call returns, which writes it and keeps nothing of it.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    debug_assert_eq!(failed, 0, "a thread's own clock can always be read");
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_of_which_others_had_a_tenth_is_wanted_for_a_while() {
        let (began, ms) = (Instant::now(), Duration::from_millis);
        let mut headroom = Headroom::default();
        let mut look = |at, took, ran| headroom.is_wanted(began + ms(at), ms(took), ms(ran));
        assert!(!look(0, 50, 50), "a long round is no wait");
        assert!(!look(10, 49, 45), "not looked at yet");
        assert!(!look(20, 1, 1), "4 of 50");
        assert!(!look(30, 25, 21));
        assert!(look(40, 25, 24), "5 of 50");
        assert!(look(5_039, 1, 1));
        assert!(!look(5_040, 1, 1));
        assert!(look(6_000, 90, 0));
        assert!(look(10_000, 60, 30), "and longer, where it goes on");
        assert!(look(14_999, 1, 2), "clocks differ by a little");
        assert!(!look(15_000, 0, 0));
    }

    #[test]
    fn a_thread_runs_while_it_works_and_not_while_it_sleeps() {
        let before = ran();
        std::thread::sleep(Duration::from_millis(50));
        let rested = ran() - before;
        while ran() - before < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        assert!(rested < Duration::from_millis(20), "{rested:?}");
    }
}
