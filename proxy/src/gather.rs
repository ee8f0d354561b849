//! Lets a socket that receives fast gather much before it counts as readable, so that bulk is moved in
//! few turns.
//!
//! A worker that is woken for each segment falls asleep and wakes up thousands of times a second, and
//! each time costs as much as moving some of the bytes. `SO_RCVLOWAT` (socket(7)) says how much must have come first.
//! An end, an error or a full window wakes in any case (Linux, `tcp_epollin_ready`). What does not come
//! that fast waits two or three milliseconds, and then the socket is as it was.

use std::future::Future;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// What must have come, in bytes.
const MUCH: libc::c_int = 256 * 1024;
/// Any byte.
const ANY: libc::c_int = 1;
/// So many bytes at once show that they come fast enough to gather.
const FAST_BYTES: usize = 128 * 1024;
/// Fewer between two times that it is empty show that they do not any more.
const SLOW_BYTES: usize = 32 * 1024;
/// Longest that bytes wait for more of them. The runtime's clock adds up to a millisecond.
const PATIENCE: Duration = Duration::from_millis(2);

/// Whether one socket gathers.
#[derive(Default)]
pub(crate) struct Gather {
    /// When something was taken last; `None` where any byte counts.
    took: Option<Instant>,
    /// What was taken since the socket was last found empty: a socket that is read while more arrives
    /// gives small pieces between large ones, and gathers all the same.
    since_empty: usize,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Gather {
    /// So many bytes were taken from the socket at once; whether it gathers.
    pub(crate) fn took(&mut self, socket: &TcpStream, bytes: usize) -> bool {
        if self.took.is_none() && (bytes < FAST_BYTES || !readable_with(socket, MUCH)) {
            return false;
        }
        self.took = Some(Instant::now());
        self.since_empty += bytes;
        true
    }

    /// Whether a socket that was found empty is to be waited for as it is: it gathers, gave much last
    /// time, and that is not long ago. Then the task is woken when it has much again.
    pub(crate) fn poll_goes_on(&mut self, cx: &mut Context<'_>, socket: &TcpStream) -> bool {
        let Some(took) = self.took else { return false };
        // Nothing where it is only looked at once more.
        let gave = std::mem::take(&mut self.since_empty);
        if (1..SLOW_BYTES).contains(&gave) {
            self.end(socket);
            return false;
        }
        let due = took + PATIENCE;
        // Set anew only when it rings: bytes come far more often than that.
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        while alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                self.end(socket);
                return false;
            }
            alarm.as_mut().reset(due);
        }
        true
    }

    /// Any byte counts again. If there are some, the socket is readable now.
    pub(crate) fn end(&mut self, socket: &TcpStream) {
        if self.took.take().is_some() {
            self.alarm = None;
            self.since_empty = 0;
            // Granted once on this socket, and any value is.
            readable_with(socket, ANY);
        }
    }
}

/// Has a socket count as readable once it holds so many bytes; whether it does.
fn readable_with(socket: &TcpStream, bytes: libc::c_int) -> bool {
    #[allow(
        unsafe_code,
        reason = "no library offers this option; the call reads the number, and keeps nothing of it"
    )]
    // SAFETY: the descriptor is open as long as the stream is borrowed, and the length is the number's.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    failed == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a loopback connection that fails is a failed test")]
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    /// Far longer than bytes wait for more of them, and far shorter than for ever.
    const LONG: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(100);

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (far, listener.accept().await.unwrap().0)
    }

    /// A far end, and a socket that gathers, with the state that says so.
    async fn gathering() -> (TcpStream, TcpStream, Gather) {
        let (mut far, mut near) = connected().await;
        // Until the window has grown beyond a segment of the loopback (64 kB), any byte leaves too little of it.
        let bulk = tokio::spawn(async move {
            far.write_all(&vec![0; 16 << 20]).await.unwrap();
            far
        });
        near.read_exact(&mut vec![0; 16 << 20]).await.unwrap();
        let far = bulk.await.unwrap();
        // Not every read finds out that nothing is left.
        let nothing = near.try_read(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
        let mut gather = Gather::default();
        assert!(!gather.took(&near, FAST_BYTES - 1), "not fast enough");
        assert!(gather.took(&near, FAST_BYTES));
        (far, near, gather)
    }

    /// How long it is waited for.
    async fn waited(gather: &mut Gather, socket: &TcpStream) -> Duration {
        let began = Instant::now();
        let ended = poll_fn(|cx| match gather.poll_goes_on(cx, socket) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        });
        timeout(LONG, ended).await.unwrap();
        began.elapsed()
    }

    #[tokio::test]
    async fn a_socket_that_gathers_is_readable_with_much_and_not_with_a_little() {
        let (mut far, near, mut gather) = gathering().await;
        far.write_all(&[1; 1000]).await.unwrap();
        assert!(timeout(SHORT, near.readable()).await.is_err(), "woken for a little");
        let rest = tokio::spawn(async move {
            far.write_all(&vec![2; MUCH as usize]).await.unwrap();
            far
        });
        timeout(LONG, near.readable()).await.unwrap().unwrap();
        drop(rest.await.unwrap());
        gather.end(&near);
    }

    #[tokio::test]
    async fn a_little_that_nothing_follows_is_readable_after_some_milliseconds() {
        let (mut far, near, mut gather) = gathering().await;
        far.write_all(b"a little").await.unwrap();
        let waited = waited(&mut gather, &near).await;
        assert!(waited < Duration::from_secs(1), "after {waited:?}");
        timeout(SHORT, near.readable()).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_end_and_a_reset_wake_at_once_whatever_came_before_them() {
        for reset in [false, true] {
            let (mut far, near, _gather) = gathering().await;
            far.write_all(b"x").await.unwrap();
            if reset {
                far.set_zero_linger().unwrap();
            }
            drop(far);
            // The alarm is not polled here: only the socket can wake.
            timeout(LONG, near.readable()).await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn it_goes_on_by_what_came_between_two_times_of_nothing_and_not_by_each_piece() {
        let (_far, near, mut gather) = gathering().await;
        let nothing = |gather: &mut Gather| {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            gather.poll_goes_on(&mut cx, &near)
        };
        assert!(nothing(&mut gather), "it gave much");
        assert!(nothing(&mut gather), "looked at once more");
        assert!(gather.took(&near, 1000));
        assert!(gather.took(&near, SLOW_BYTES));
        assert!(nothing(&mut gather), "a small piece, and a large one");
        assert!(gather.took(&near, SLOW_BYTES - 1));
        assert!(!nothing(&mut gather), "a small one alone");
        assert!(!gather.took(&near, SLOW_BYTES), "it has to be fast anew");
    }
}
