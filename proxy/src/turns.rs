//! How much of a body is looked into before others of the worker have their turn.
//!
//! Looking into bytes takes time, much more than passing them on, and a site's bytes may come in pieces of
//! hundreds of kB. So of a large body a task takes a little in each of its turns (ADR 15).

use bytes::Bytes;
use hyper::body::Frame;
use std::task::{Context, Poll};

/// The pieces of one body, in turns.
#[derive(Default)]
pub(crate) struct Turns {
    /// What came and was not taken yet.
    unread: Bytes,
    /// Bytes that were taken in this turn.
    taken: usize,
}

impl Turns {
    /// The next piece that is to be looked into, `most` bytes (one at least) in a turn; then the task waits, and is woken to
    /// go on behind whoever waits already. More is asked of `source` only once all that came was taken.
    pub(crate) fn poll<E>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        source: impl FnOnce(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        if self.taken >= most {
            self.taken = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.unread.is_empty() {
            let Poll::Ready(came) = source(cx) else {
                self.taken = 0;
                return Poll::Pending;
            };
            match came.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.unread = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let piece = self.unread.split_to(self.unread.len().min(most - self.taken));
        self.taken += piece.len();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// Bytes that came and were not taken yet.
    pub(crate) fn left(&self) -> usize {
        self.unread.len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a source that fails is a failed test")]
    use super::*;
    use hyper::HeaderMap;
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What comes of a source at each poll, until it has ended: bytes, or that the task waits, and whether it was woken to
    /// go on. `None` in the source is that nothing is there yet.
    fn polled(most: usize, source: Vec<Option<Frame<Bytes>>>) -> Vec<String> {
        let mut source: VecDeque<_> = source.into();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let (mut turns, mut seen) = (Turns::default(), Vec::new());
        loop {
            let before = woken.0.load(Ordering::Relaxed);
            let next =
                turns.poll::<Infallible>(&mut Context::from_waker(&waker), most, |_| match source
                    .pop_front()
                {
                    Some(Some(frame)) => Poll::Ready(Some(Ok(frame))),
                    Some(None) => Poll::Pending,
                    None => Poll::Ready(None),
                });
            let is_woken = woken.0.load(Ordering::Relaxed) > before;
            match next {
                Poll::Pending => seen.push(if is_woken { "turn" } else { "wait" }.to_owned()),
                Poll::Ready(None) => break,
                Poll::Ready(Some(frame)) => match frame.unwrap().into_data() {
                    Ok(data) => seen.push(String::from_utf8(data.to_vec()).unwrap()),
                    Err(_) => seen.push("trailers".to_owned()),
                },
            }
        }
        assert_eq!(turns.left(), 0);
        seen
    }

    fn data(text: &'static str) -> Option<Frame<Bytes>> {
        Some(Frame::data(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn a_large_piece_is_taken_a_little_in_each_turn() {
        let seen = polled(4, vec![data("abcdefghij"), Some(Frame::trailers(HeaderMap::new()))]);
        assert_eq!(seen, ["abcd", "turn", "efgh", "turn", "ij", "trailers"]);
    }

    #[test]
    fn small_pieces_that_are_there_share_a_turn_and_a_wait_ends_it() {
        let seen = polled(4, vec![data("abc"), data("def"), data("gh")]);
        assert_eq!(seen, ["abc", "d", "turn", "ef", "gh", "turn"]);
        let seen = polled(4, vec![data("abc"), None, data("def"), None, data("")]);
        assert_eq!(seen, ["abc", "wait", "def", "wait", ""]);
    }

    #[test]
    fn without_a_bound_all_is_taken_as_it_comes() {
        assert_eq!(polled(usize::MAX, vec![data("abcdef"), data("gh")]), ["abcdef", "gh"]);
    }
}
