//! What hyper was given is begun, whatever becomes of the connection.
//!
//! hyper hands a request over, and looks once more at the connection before it waits for the answer. Where the
//! client has left by then, it drops the answer that nobody has begun: the request would be in no
//! record, though all of it was received.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A future that is polled before it is dropped.
pub(crate) struct Begun<F: Future> {
    future: Pin<Box<F>>,
    is_begun: bool,
}

impl<F: Future> Begun<F> {
    /// Of a future that nobody has polled.
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), is_begun: false }
    }
}

impl<F: Future> Future for Begun<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.is_begun = true;
        self.future.as_mut().poll(cx)
    }
}

impl<F: Future> Drop for Begun<F> {
    fn drop(&mut self) {
        // It goes no further than it comes at once: dropped then, it says how far it came.
        if !self.is_begun && !std::thread::panicking() {
            let _ = self.future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_is_dropped_is_begun_once() {
        for polls in [0, 1, 2] {
            let (begun, went_on) = (Cell::new(0), Cell::new(0));
            let mut future = Begun::new(async {
                begun.set(begun.get() + 1);
                std::future::poll_fn(|_| {
                    went_on.set(went_on.get() + 1);
                    Poll::<()>::Pending
                })
                .await;
            });
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                assert!(Pin::new(&mut future).poll(&mut cx).is_pending());
            }
            drop(future);
            assert_eq!((begun.get(), went_on.get()), (1, polls.max(1)), "{polls}");
        }
    }
}
