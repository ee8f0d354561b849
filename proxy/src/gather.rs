//! Lets a socket that receives fast gather much before it counts as readable, so that bulk is moved in
//! few turns.
//!
//! A worker that is woken for each segment falls asleep and wakes up thousands of times a second, and
//! that costs more than moving the bytes. `SO_RCVLOWAT` (socket(7)) says how much must have come first.
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
/// Fewer at once show that they do not any more.
const SLOW_BYTES: usize = 32 * 1024;
/// Longest that bytes wait for more of them. The runtime's clock adds up to a millisecond.
const PATIENCE: Duration = Duration::from_millis(2);

/// Whether one socket gathers.
#[derive(Default)]
pub(crate) struct Gather {
    /// When something was taken last; `None` where any byte counts.
    took: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Gather {
    /// So many bytes were taken from the socket at once.
    pub(crate) fn took(&mut self, socket: &TcpStream, bytes: usize) {
        let goes_on = match self.took {
            Some(_) => bytes >= SLOW_BYTES,
            None => bytes >= FAST_BYTES && readable_with(socket, MUCH),
        };
        if goes_on {
            self.took = Some(Instant::now());
        } else {
            self.end(socket);
        }
    }

    /// Whether a socket of which nothing is to be had now is to be waited for as it is: it gathers, and
    /// has not for long. Then the task is woken when it has.
    pub(crate) fn poll_goes_on(&mut self, cx: &mut Context<'_>, socket: &TcpStream) -> bool {
        let Some(took) = self.took else { return false };
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
