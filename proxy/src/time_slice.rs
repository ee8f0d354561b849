//! Shortens a worker's time slice, so that it runs as soon as there is something to answer.
//!
//! Threads that store, seal and compile have a lower priority, but that says how much they get, not when:
//! one in the middle of its time slice keeps the processor to the end of it, some milliseconds, though a
//! request has come meanwhile. A thread with a shorter slice preempts it (Linux 6.12 and later; an earlier
//! kernel takes the request and changes nothing). How much time anybody gets stays as it is.

use std::io;

/// A worker's time slice in nanoseconds: the shortest that there is.
const SLICE_NS: u64 = 100_000;

/// The policy stays what it is.
const KEEP_POLICY: u64 = 0x08;

/// `struct sched_attr` of sched_setattr(2), in its first form.
#[repr(C)]
#[derive(Default)]
#[allow(dead_code, reason = "the kernel reads them")]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// For ordinary threads: the time slice in nanoseconds.
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Shortens this thread's time slice.
///
/// # Errors
/// [`io::Error`] where the kernel or a filter of system calls refuses: the slice stays as it was.
pub(crate) fn shorten() -> io::Result<()> {
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        flags: KEEP_POLICY,
        nice: rustix::process::getpriority_process(None)?,
        runtime: SLICE_NS,
        ..Attributes::default()
    };
    #[allow(
        unsafe_code,
        reason = "no library offers this call; it reads the struct, and keeps nothing of it"
    )]
    // SAFETY: the struct has the size that it says, lives until the call returns, and is only read.
    let failed = unsafe {
        libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(&attributes), 0_u32)
    };
    if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a kernel without the call is a failed test")]
    use super::*;

    /// What the kernel says of this thread.
    fn attributes() -> Attributes {
        let mut attributes = Attributes::default();
        #[allow(unsafe_code, reason = "as above; the call writes the struct")]
        // SAFETY: the struct has room for what the call is told to write.
        let failed = unsafe {
            libc::syscall(
                libc::SYS_sched_getattr,
                0,
                std::ptr::from_mut(&mut attributes),
                size_of::<Attributes>() as u32,
                0_u32,
            )
        };
        assert_eq!(failed, 0, "{}", io::Error::last_os_error());
        attributes
    }

    /// Whether this kernel has slices that can be chosen (Linux 6.12).
    fn has_slices() -> bool {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let numbers: Vec<u32> =
            release.split(['.', '-']).take(2).filter_map(|part| part.parse().ok()).collect();
        numbers >= vec![6, 12]
    }

    #[test]
    fn a_worker_has_short_slices_and_its_share_stays() {
        std::thread::spawn(|| {
            rustix::process::setpriority_process(None, 3).unwrap();
            shorten().unwrap();
            let now = attributes();
            assert_eq!((now.policy, now.nice), (0, 3));
            if has_slices() {
                assert_eq!(now.runtime, SLICE_NS);
            }
        })
        .join()
        .unwrap();
    }
}
