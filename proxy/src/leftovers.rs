//! Memory that is left over is given back by who had it.
//!
//! The allocator gives freed memory back to the system after a second, on whatever thread frees something
//! next. Reading a list of millions of names frees hundreds of megabytes; a worker that was about to
//! answer then gave them back for it, 5 to 17 ms each time. While such work goes on, a thread of
//! its priority sees to it first.

use std::sync::OnceLock;
use std::time::Duration;

/// Far less than the allocator's second.
const BETWEEN: Duration = Duration::from_millis(100);

static GIVE_BACK: OnceLock<fn()> = OnceLock::new();

/// Says how this program's allocator is made to give back at once what is free. Who does not say lets it
/// do so in its own time. Only the first call counts.
pub fn are_given_back_by(function: fn()) {
    let _ = GIVE_BACK.set(function);
}

/// Gives back what threads had that have ended.
pub(crate) fn are_given_back() {
    if let Some(give_back) = GIVE_BACK.get() {
        give_back();
    }
}

/// Does work that frees much; a thread of the caller's priority gives it back meanwhile and at the end.
pub(crate) fn are_given_back_during<T>(work: impl FnOnce() -> T) -> T {
    match GIVE_BACK.get() {
        Some(give_back) => beside(give_back, work),
        None => work(),
    }
}

/// The same for work of which something small is left among much that it freed: a block of the allocator stays as long
/// as anything in it does, so that 4 MB were held by 9 MB of words. The work is done on a thread of its own, and what it
/// made is copied.
pub(crate) fn are_given_back_but<T: Clone + Send>(work: impl FnOnce() -> T + Send) -> T {
    let (mut work, mut done) = (Some(work), None);
    std::thread::scope(|scope| {
        let (work, done) = (&mut work, &mut done);
        let working = move || *done = work.take().map(are_given_back_during);
        let thread = std::thread::Builder::new().name("schoolgate-work".to_owned());
        if let Err(error) = thread.spawn_scoped(scope, working) {
            tracing::debug!(%error, "work is done on the thread that asked for it");
        }
    });
    let done = done.or_else(|| work.map(are_given_back_during));
    let copy = done.clone();
    drop(done);
    are_given_back();
    copy.expect("either thread has done it: a panic there is one here")
}

fn beside<T>(give_back: &(impl Fn() + Sync), work: impl FnOnce() -> T) -> T {
    let (working, ended) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let name = "schoolgate-free".to_owned();
        let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, move || {
            use std::sync::mpsc::RecvTimeoutError::Timeout;
            while ended.recv_timeout(BETWEEN) == Err(Timeout) {
                give_back();
            }
            give_back();
        });
        if let Err(error) = thread {
            tracing::debug!(%error, "memory is given back in the allocator's own time");
        }
        let done = work();
        drop(working);
        done
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::thread::{ThreadId, current};

    #[test]
    fn what_work_frees_is_given_back_on_another_thread_while_it_goes_on_and_at_its_end() {
        let by: Mutex<Vec<ThreadId>> = Mutex::default();
        let note = || by.lock().unwrap_or_else(|error| error.into_inner()).push(current().id());
        let count = || by.lock().map_or(0, |by| by.len());
        let meanwhile = beside(&note, || {
            let began = std::time::Instant::now();
            while count() < 2 && began.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(5));
            }
            count()
        });
        assert!(meanwhile >= 2, "given back {meanwhile} times while the work went on");
        assert!(count() > meanwhile, "and once more");
        let others = by.into_inner().unwrap_or_default();
        assert!(others.iter().all(|&thread| thread != current().id()));
    }

    #[test]
    fn what_is_kept_was_made_on_another_thread_and_copied_on_this_one() {
        #[derive(Debug)]
        struct Made(Vec<ThreadId>);
        impl Clone for Made {
            fn clone(&self) -> Self {
                Self(vec![self.0[0], current().id()])
            }
        }
        let Made(by) = are_given_back_but(|| Made(vec![current().id()]));
        assert_ne!(by[0], current().id());
        assert_eq!(by[1..], [current().id()]);
    }

    #[test]
    fn work_that_panics_ends_the_thread() {
        let work = || beside(&|| {}, || -> () { std::panic::resume_unwind(Box::new("broken")) });
        assert!(std::panic::catch_unwind(work).is_err());
    }
}
