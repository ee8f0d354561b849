//! How much of a body, or of a long search, is looked into before others of the worker have their turn.
//!
//! Looking into bytes takes time, much more than passing them on, and a site's bytes may come in pieces of
//! hundreds of kB. So of a large body a task takes a little in each of its turns (ADR 15), and of a long search some
//! stretches.

use bytes::Bytes;
use hyper::body::Frame;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long a turn is meant to take: how much is taken in one hangs on how long the last took. What stands in a body
/// decides that: a text of nothing but words takes ten times as long as a page of which a tenth is text.
const TURN: Duration = Duration::from_micros(200);

/// The least that is taken in a turn, as a part of the most.
const LEAST_PART: usize = 8;

/// The pieces of one body, in turns.
#[derive(Default)]
pub(crate) struct Turns {
    /// What came and was not taken yet.
    unread: Bytes,
    /// Bytes that were taken in this turn.
    taken: usize,
    /// When the first of them were.
    began: Option<Instant>,
    /// Bytes to take in a turn; 0: none has ended.
    size: usize,
}

impl Turns {
    /// The next piece that is to be looked into, `most` bytes at most in a turn; then the task waits, and is woken to
    /// go on behind whoever waits already. More is asked of `source` only once all that came was taken.
    pub(crate) fn poll<E>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        source: impl FnOnce(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        self.poll_at(Instant::now(), cx, most, source)
    }

    fn poll_at<E>(
        &mut self,
        now: Instant,
        cx: &mut Context<'_>,
        most: usize,
        source: impl FnOnce(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let least = (most / LEAST_PART).max(1);
        let size = if self.size == 0 { (most / 4).max(1) } else { self.size.clamp(least, most) };
        if self.taken >= size {
            let took = self.began.take().map_or(TURN, |began| now.saturating_duration_since(began));
            self.size = match took {
                long if long > TURN => size / 2,
                short if short < TURN / 2 => size.saturating_mul(2),
                _ => size,
            }
            .clamp(least, most);
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
        if self.taken == 0 {
            self.began = Some(now);
        }
        let piece = self.unread.split_to(self.unread.len().min(size - self.taken));
        self.taken += piece.len();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// Bytes that came and were not taken yet.
    pub(crate) fn left(&self) -> usize {
        self.unread.len()
    }
}

/// The turns of a task that does one piece of work after another.
pub(crate) struct Pace {
    began: Instant,
}

impl Pace {
    /// The first turn begins.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now() }
    }

    /// Goes on with the turn, or lets whoever waits go first once it has lasted as long as one is meant to.
    pub(crate) async fn next(&mut self) {
        if self.began.elapsed() >= TURN {
            tokio::task::yield_now().await;
            self.began = Instant::now();
        }
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
    /// go on. `None` in the source is that nothing is there yet. Each piece takes so many microseconds a byte to look into.
    fn polled(most: usize, pace: u64, source: Vec<Option<Frame<Bytes>>>) -> Vec<String> {
        let mut source: VecDeque<_> = source.into();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let (mut turns, mut seen, mut now) = (Turns::default(), Vec::new(), Instant::now());
        loop {
            let before = woken.0.load(Ordering::Relaxed);
            let mut cx = Context::from_waker(&waker);
            let next =
                turns.poll_at::<Infallible>(now, &mut cx, most, |_| match source.pop_front() {
                    Some(Some(frame)) => Poll::Ready(Some(Ok(frame))),
                    Some(None) => Poll::Pending,
                    None => Poll::Ready(None),
                });
            let is_woken = woken.0.load(Ordering::Relaxed) > before;
            match next {
                Poll::Pending => seen.push(if is_woken { "turn" } else { "wait" }.to_owned()),
                Poll::Ready(None) => break,
                Poll::Ready(Some(frame)) => match frame.unwrap().into_data() {
                    Ok(data) => {
                        now += Duration::from_micros(pace * data.len() as u64);
                        seen.push(String::from_utf8(data.to_vec()).unwrap());
                    }
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

    /// Microseconds a byte at which two bytes make a turn.
    const TWO_A_TURN: u64 = 100;

    #[test]
    fn a_large_piece_is_taken_a_little_in_each_turn() {
        let trailers = || Some(Frame::trailers(HeaderMap::new()));
        let seen = polled(8, TWO_A_TURN, vec![data("abcde"), trailers()]);
        assert_eq!(seen, ["ab", "turn", "cd", "turn", "e", "trailers"]);
    }

    #[test]
    fn what_takes_little_time_is_taken_in_larger_turns_and_what_takes_much_in_smaller() {
        let all = "abcdefghijklmnopqrstuvwxyz";
        let seen = polled(16, 1, vec![data(all)]);
        assert_eq!(seen, ["abcd", "turn", "efghijkl", "turn", "mnopqrstuvwxyz"]);
        let seen = polled(16, 200, vec![data("abcdefgh"), data("ijk")]);
        assert_eq!(seen, ["abcd", "turn", "ef", "turn", "gh", "turn", "ij", "turn", "k"]);
    }

    #[test]
    fn small_pieces_that_are_there_share_a_turn_and_a_wait_ends_it() {
        let seen = polled(16, 40, vec![data("abc"), data("def"), data("gh")]);
        assert_eq!(seen, ["abc", "d", "turn", "ef", "gh", "turn"]);
        let seen = polled(16, 40, vec![data("abc"), None, data("def"), None, data("")]);
        assert_eq!(seen, ["abc", "wait", "def", "wait", ""]);
    }

    #[tokio::test]
    async fn work_that_takes_longer_than_a_turn_lets_others_go_between_its_pieces() {
        // On a busy machine the short pieces may take as long as a turn now and then.
        for (piece, expected) in [(Duration::ZERO, 1..=3), (TURN, 6..=6)] {
            let mut pieces = std::pin::pin!(async {
                let mut pace = Pace::begin();
                for _ in 0..5 {
                    let began = Instant::now();
                    while began.elapsed() < piece {}
                    pace.next().await;
                }
            });
            let mut turns = 0;
            std::future::poll_fn(|cx| {
                turns += 1;
                pieces.as_mut().poll(cx)
            })
            .await;
            assert!(expected.contains(&turns), "{piece:?}: {turns} turns");
        }
    }

    #[test]
    fn without_a_bound_all_is_taken_as_it_comes() {
        assert_eq!(polled(usize::MAX, 1000, vec![data("abcdef"), data("gh")]), ["abcdef", "gh"]);
    }
}
