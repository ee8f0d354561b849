//! The program's allocator, and when it gives back what is free.

use std::ffi::{c_int, c_long};
use std::time::Duration;

/// The C library's allocator keeps ever more of what thousands of short connections leave free in between
/// (docs/adr/0012-allocator.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc 3's `mimalloc.h`, which its crate does not name: for how many milliseconds what
/// is free is kept before the system gets it back.
const PURGE_DELAY: c_int = 15;

/// mimalloc's own choice of it. A worker that waited for each page to be given back would answer later.
const USUAL_MILLISECONDS: c_long = 1_000;

/// How long after everything runs the start counts as over: its threads sign the log's first head and end.
const AFTER: Duration = Duration::from_secs(1);

/// Gives back to the system at once what is free.
pub(crate) fn give_back() {
    #[allow(unsafe_code, reason = "the allocator's crate has no safe function for it")]
    // SAFETY: it may be called on any thread at any time (mimalloc, `mi_collect`).
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}

/// Has each thread give back at once what it frees until [`started`]: of what a start takes for a moment, 4 MB would
/// stay with threads that do not free anything again for a long time.
pub(crate) fn starts() {
    delay(0);
}

/// Everything runs: what is free is kept for a while again, since it is soon asked for. What the start's own threads leave is
/// given back once they have ended.
pub(crate) fn started() {
    delay(USUAL_MILLISECONDS);
    let rest = || {
        std::thread::sleep(AFTER);
        give_back();
    };
    // Where no thread is to be had, it is given back in the allocator's own time.
    let _ = std::thread::Builder::new().name("schoolgate-free".to_owned()).spawn(rest);
}

fn delay(milliseconds: c_long) {
    #[allow(unsafe_code, reason = "the allocator's crate has no safe function for it")]
    // SAFETY: an option is one atomic number, and is read each time anew (mimalloc, `mi_option_set`).
    unsafe {
        libmimalloc_sys::mi_option_set(PURGE_DELAY, milliseconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delay_now() -> c_long {
        #[allow(unsafe_code, reason = "the allocator's crate has no safe function for it")]
        // SAFETY: as above.
        unsafe {
            libmimalloc_sys::mi_option_get(PURGE_DELAY)
        }
    }

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        assert_eq!(
            delay_now(),
            USUAL_MILLISECONDS,
            "another mimalloc numbers its options otherwise"
        );
        starts();
        assert_eq!(delay_now(), 0);
        started();
        assert_eq!(
            delay_now(),
            USUAL_MILLISECONDS,
            "a worker does not wait for pages that go back"
        );
    }
}
