//! Kernel pipes by which bytes go from one socket to another without being copied (splice(2)).
//!
//! A pipe is in use only while there are bytes in it, so a worker has few, however many tunnels are
//! open. One that may hold bytes is never used again: they were somebody's.
//!
//! splice(2) to a socket whose peer is gone raises SIGPIPE, as it knows no MSG_NOSIGNAL. Rust's
//! runtime ignores that signal from the start, and the error alone is left.

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice,
};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes that a pipe is to hold: what Linux grants without a privilege
/// (`/proc/sys/fs/pipe-max-size`), so that few calls move much.
const WANTED_BYTES: usize = 1024 * 1024;
/// With pipes smaller than this, copying takes no longer.
const LEAST_BYTES: usize = 256 * 1024;
/// Pipes of all workers together. A pipe holds kernel memory while its receiver is slow, and without
/// a privilege a user's pipes may take 64 MiB together (`/proc/sys/fs/pipe-user-pages-soft`), of which
/// some are left to others.
const MOST: usize = 48;
/// Wait after a pipe could not be had, until the next is asked for.
const RETRY: Duration = Duration::from_secs(10);

/// The pipes of a worker.
pub(crate) struct Pipes {
    /// The worker's share.
    most: usize,
    /// Empty ones.
    idle: RefCell<Vec<Ends>>,
    /// All there are.
    open: Cell<usize>,
    refused: Cell<Option<Instant>>,
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

impl Ends {
    fn open() -> rustix::io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let size = match fcntl_setpipe_size(&write, WANTED_BYTES) {
            Ok(size) => size,
            // More than the machine or this user may have: smaller ones may do.
            Err(_) => match fcntl_setpipe_size(&write, LEAST_BYTES) {
                Ok(size) => size,
                Err(_) => fcntl_getpipe_size(&write)?,
            },
        };
        if size < LEAST_BYTES { Err(Errno::NOMEM) } else { Ok(Self { read, write }) }
    }
}

impl Pipes {
    /// None yet, for one of so many workers.
    pub(crate) fn new(workers: usize) -> Rc<Self> {
        Rc::new(Self {
            most: (MOST / workers.max(1)).max(1),
            idle: RefCell::default(),
            open: Cell::new(0),
            refused: Cell::new(None),
        })
    }

    /// Closes one that is in no use. Called every second: after a rush, they go one by one.
    pub(crate) fn close_one(&self) {
        if self.idle.borrow_mut().pop().is_some() {
            self.open.set(self.open.get() - 1);
        }
    }

    /// An empty pipe; `None` if there is none to be had, which is no fault: bytes can be copied.
    pub(crate) fn take(self: &Rc<Self>) -> Option<Pipe> {
        let idle = self.idle.borrow_mut().pop();
        let ends = match idle {
            Some(ends) => ends,
            None => self.open_another()?,
        };
        Some(Pipe { ends: Some(ends), holds: 0, doubtful: false, pipes: Rc::clone(self) })
    }

    fn open_another(&self) -> Option<Ends> {
        if self.open.get() >= self.most || self.refused.get().is_some_and(|at| at.elapsed() < RETRY)
        {
            return None;
        }
        match Ends::open() {
            Ok(ends) => {
                self.open.set(self.open.get() + 1);
                self.refused.set(None);
                Some(ends)
            }
            Err(error) => {
                tracing::debug!(%error, "no pipe for a tunnel: its bytes are copied");
                self.refused.set(Some(Instant::now()));
                None
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.idle.borrow().len(), self.open.get())
    }
}

/// A pipe of one direction of one tunnel.
pub(crate) struct Pipe {
    /// `None` once it is given up.
    ends: Option<Ends>,
    holds: usize,
    /// Something failed: what is in it is not known for certain.
    doubtful: bool,
    pipes: Rc<Pipes>,
}

/// What came of a pipe's filling.
#[derive(Debug)]
pub(crate) enum Filled {
    /// So many bytes; 0 at the socket's end.
    Bytes(usize),
    /// Nothing, though there may be something that only a read finds: the kernel splices nothing
    /// that stands behind a mark of urgent data (RFC 9293, 3.8.5).
    Nothing,
}

impl Pipe {
    /// Bytes in it.
    pub(crate) fn holds(&self) -> usize {
        self.holds
    }

    /// Takes in what a socket has received. Only while the pipe is empty: then nothing is for want of
    /// bytes, never of room. The socket still counts as readable after it, as only a read can tell.
    ///
    /// # Errors
    /// The socket's own; or that it cannot be spliced, and nothing was taken.
    pub(crate) fn fill(&mut self, from: &TcpStream) -> io::Result<Filled> {
        debug_assert!(self.holds == 0, "a pipe is filled when it is empty");
        let Some(ends) = &self.ends else { return Err(io::ErrorKind::NotConnected.into()) };
        match splice(from, None, &ends.write, None, WANTED_BYTES, SpliceFlags::NONBLOCK) {
            Ok(moved) => {
                self.holds = moved;
                Ok(Filled::Bytes(moved))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Filled::Nothing),
            Err(error) => {
                self.doubtful = true;
                Err(error.into())
            }
        }
    }

    /// Gives a socket as much as it takes, and gives how much that was.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if it takes nothing now; the socket's own.
    pub(crate) fn empty(&mut self, to: &TcpStream) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Err(io::ErrorKind::NotConnected.into()) };
        // With exactly what is there, the kernel knows that nothing follows and sends all of it.
        let holds = self.holds;
        let moved = to.try_io(Interest::WRITABLE, || {
            Ok(splice(&ends.read, None, to, None, holds, SpliceFlags::NONBLOCK)?)
        })?;
        if moved == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.holds -= moved;
        Ok(moved)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take() else { return };
        if self.holds == 0 && !self.doubtful {
            self.pipes.idle.borrow_mut().push(ends);
        } else {
            self.pipes.open.set(self.pipes.open.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a loopback connection that fails is a failed test")]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    async fn filled(pipe: &mut Pipe, from: &TcpStream) -> usize {
        loop {
            from.readable().await.unwrap();
            match pipe.fill(from).unwrap() {
                Filled::Bytes(bytes) => return bytes,
                Filled::Nothing => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        }
    }

    #[tokio::test]
    async fn a_pipe_is_used_again_once_it_is_empty_and_never_before() {
        let (mut client, near) = connected().await;
        let (far, mut site) = connected().await;
        let pipes = Pipes::new(1);

        client.write_all(b"first").await.unwrap();
        let mut pipe = pipes.take().unwrap();
        assert_eq!(filled(&mut pipe, &near).await, 5);
        far.writable().await.unwrap();
        assert_eq!(pipe.empty(&far).unwrap(), 5);
        drop(pipe);
        assert_eq!(pipes.count(), (1, 1), "an empty one waits for the next");
        let mut heard = [0; 5];
        site.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"first");

        client.write_all(b"never sent on").await.unwrap();
        let mut pipe = pipes.take().unwrap();
        assert_eq!(filled(&mut pipe, &near).await, 13);
        drop(pipe);
        assert_eq!(pipes.count(), (0, 0), "one with bytes in it is closed");

        client.write_all(b"second").await.unwrap();
        let mut pipe = pipes.take().unwrap();
        assert_eq!(filled(&mut pipe, &near).await, 6);
        far.writable().await.unwrap();
        assert_eq!(pipe.empty(&far).unwrap(), 6);
        let mut heard = [0; 6];
        site.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"second");

        drop(client);
        assert_eq!(filled(&mut pipe, &near).await, 0, "the end is told");
    }

    #[tokio::test]
    async fn a_worker_has_no_more_pipes_than_its_share() {
        let pipes = Pipes::new(16);
        let mut taken = Vec::new();
        while let Some(pipe) = pipes.take() {
            taken.push(pipe);
            assert!(taken.len() <= 3);
        }
        assert!(!taken.is_empty());
        let had = taken.len();
        drop(taken);
        assert_eq!(pipes.count(), (had, had));
        assert!(pipes.take().is_some(), "those that were given back can be had again");
        for left in (0..had).rev() {
            pipes.close_one();
            assert_eq!(pipes.count(), (left, left));
        }
        pipes.close_one();
        assert_eq!(Pipes::new(1000).most, 1);
    }

    #[tokio::test]
    async fn a_socket_that_is_reset_is_an_error_and_no_signal() {
        let (mut client, near) = connected().await;
        let (far, site) = connected().await;
        let pipes = Pipes::new(1);
        let mut pipe = pipes.take().unwrap();
        site.set_zero_linger().unwrap();
        drop(site);
        far.readable().await.unwrap();
        for _ in 0..2 {
            client.write_all(b"to nobody").await.unwrap();
            if pipe.holds() == 0 {
                filled(&mut pipe, &near).await;
            }
            assert!(pipe.empty(&far).is_err());
        }
        drop(pipe);
        assert_eq!(pipes.count(), (0, 0));
    }
}
