//! Bytes both ways between the two ends of a tunnel, at what little they can cost.
//!
//! All tunnels of a worker share one buffer: a tunnel that rests, as thousands do at any moment, holds
//! none. Only what one end cannot take at once is kept for it, and nothing more is read for it until
//! that is gone. Where bytes come in bulk between two sockets they are not even copied: they go
//! through a pipe within the kernel.

use crate::pipes::{Filled, Pipe, Pipes};
use rustix::net::SendFlags;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Bytes read at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// Bytes read at once while much is kept for slow ends.
const FRUGAL_BYTES: usize = 8 * 1024;
/// Bytes kept for slow ends, all tunnels of the worker together, from which on little is read at
/// once: whoever opens thousands and takes nothing must not fill the memory.
const MUCH_KEPT: usize = 32 * 1024 * 1024;
/// Bytes of one direction before others have a turn: a fast pair of ends would hold the worker.
pub(crate) const BYTES_A_TURN: usize = 1024 * 1024;
/// Reads of one direction before others have a turn.
const READS_A_TURN: u32 = 16;
/// When a pipe carries less than this at once, there is no bulk any more.
const BULK_BYTES: usize = 32 * 1024;

/// What the tunnels of a worker share.
pub(crate) struct Pump {
    buffer: RefCell<Box<[u8]>>,
    pipes: Rc<Pipes>,
    kept: Cell<usize>,
}

impl Pump {
    /// Nothing moves yet, in one of so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self::with_buffer(BUFFER_BYTES, workers)
    }

    fn with_buffer(bytes: usize, workers: usize) -> Self {
        let buffer = RefCell::new(vec![0; bytes].into());
        Self { buffer, pipes: Pipes::new(workers), kept: Cell::new(0) }
    }

    /// Gives back what is in no use; to be called every second.
    pub(crate) fn rest(&self) {
        self.pipes.close_one();
    }
}

/// One end of a tunnel.
pub(crate) trait End: AsyncRead + AsyncWrite + Unpin {
    /// The socket by which its bytes may pass as they are.
    fn socket(&self) -> Option<&TcpStream>;

    /// So many bytes came from its socket, or it failed.
    fn came(&mut self, bytes: &io::Result<usize>);

    /// So many bytes went to its socket, or it failed.
    fn went(&mut self, bytes: &io::Result<usize>);

    /// Bytes that are read from it before others have a turn.
    fn bytes_a_turn(&self) -> usize {
        BYTES_A_TURN
    }
}

/// Moves bytes until both ends have ended, each one's end passed on to the other, or one breaks off.
/// The caller closes both then: a socket is not told of an end that its closing tells.
///
/// # Errors
/// The first error of either. What was read from the other and not written yet is lost.
pub(crate) async fn both_ways(pump: &Pump, a: &mut impl End, b: &mut impl End) -> io::Result<()> {
    let (mut forth, mut back) = (Direction::new(pump), Direction::new(pump));
    poll_fn(|cx| {
        let forth = forth.poll(cx, a, b, back.has_ended())?;
        let back = back.poll(cx, b, a, forth.is_ready())?;
        // An error of the second must not wait for the first.
        ready!(forth);
        ready!(back);
        Poll::Ready(Ok(()))
    })
    .await
}

/// One way.
struct Direction<'a> {
    pump: &'a Pump,
    /// What the writer could not take, and how much of it is gone by now.
    left: Vec<u8>,
    gone: usize,
    /// The same in a pipe.
    pipe: Option<Pipe>,
    /// More comes at once than the buffer holds.
    bulk: bool,
    unflushed: bool,
    /// What the reader failed with behind what is left.
    failed: Option<io::Error>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Running,
    Ending,
    Ended,
}

impl<'a> Direction<'a> {
    fn new(pump: &'a Pump) -> Self {
        let (left, gone, pipe) = (Vec::new(), 0, None);
        let (bulk, unflushed, failed) = (false, false, None);
        Self { pump, left, gone, pipe, bulk, unflushed, failed, state: State::Running }
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut impl End,
        writer: &mut impl End,
        is_last: bool,
    ) -> Poll<io::Result<()>> {
        let (mut reads, mut moved) = (0, 0);
        loop {
            match self.state {
                State::Running => {
                    ready!(self.poll_left(cx, writer))?;
                    ready!(self.poll_pipe(cx, writer))?;
                    if let Some(failed) = self.failed.take() {
                        return Poll::Ready(Err(failed));
                    }
                    if reads >= READS_A_TURN || moved >= reader.bytes_a_turn() {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    reads += 1;
                    moved += ready!(self.poll_piece(cx, reader, writer))?;
                }
                // Both sockets are closed at once, which tells the other end as well.
                State::Ending if is_last && writer.socket().is_some() => {
                    self.state = State::Ended;
                }
                State::Ending => {
                    ready!(Pin::new(&mut *writer).poll_flush(cx))?;
                    ready!(Pin::new(&mut *writer).poll_shutdown(cx))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Writes what was left over.
    fn poll_left(&mut self, cx: &mut Context<'_>, writer: &mut impl End) -> Poll<io::Result<()>> {
        if self.left.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.gone < self.left.len() {
            self.gone += ready!(poll_write(cx, writer, &self.left[self.gone..]))?;
        }
        self.forget_left();
        Poll::Ready(Ok(()))
    }

    /// A tunnel that rests is to hold nothing.
    fn forget_left(&mut self) {
        let left = std::mem::take(&mut self.left);
        self.gone = 0;
        self.pump.kept.set(self.pump.kept.get() - left.len());
    }

    /// Writes what is in the pipe.
    fn poll_pipe(&mut self, cx: &mut Context<'_>, writer: &mut impl End) -> Poll<io::Result<()>> {
        while let Some(pipe) = &mut self.pipe {
            if pipe.holds() == 0 {
                self.pipe = None;
                break;
            }
            let Some(socket) = writer.socket() else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            let written = match socket.poll_write_ready(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => Err(error),
                Poll::Ready(Ok(())) => pipe.empty(socket),
            };
            if is_to_be_tried_again(&written) {
                continue;
            }
            writer.went(&written);
            written?;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes once what has come, and gives how much that was.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut impl End,
        writer: &mut impl End,
    ) -> Poll<io::Result<usize>> {
        if self.bulk
            && let (Some(from), Some(_)) = (reader.socket(), writer.socket())
        {
            match from.poll_read_ready(cx) {
                Poll::Pending => return self.poll_rest(cx, writer),
                Poll::Ready(Err(error)) => {
                    let failed = Err(error);
                    reader.came(&failed);
                    return Poll::Ready(failed);
                }
                Poll::Ready(Ok(())) => {
                    if let Some(pipe) = self.pump.pipes.take() {
                        let count = self.splice(pipe, reader)?;
                        if count > 0 {
                            return Poll::Ready(Ok(count));
                        }
                    }
                }
            }
        }
        self.poll_copy(cx, reader, writer)
    }

    /// Takes what has come into a pipe. 0 where a read is to find out what there is: nothing, an end,
    /// or what cannot be spliced.
    fn splice(&mut self, mut pipe: Pipe, reader: &mut impl End) -> io::Result<usize> {
        let Some(from) = reader.socket() else { return Ok(0) };
        let count = match pipe.fill(from) {
            Ok(Filled::Bytes(count)) => count,
            // More bulk may be on its way: a read says whether this was the end.
            Ok(Filled::Nothing) => return Ok(0),
            Err(error) if error.raw_os_error().is_some_and(cannot_splice) => 0,
            failed @ Err(_) => {
                let failed = failed.map(|_| 0);
                reader.came(&failed);
                return failed;
            }
        };
        self.bulk = count >= BULK_BYTES;
        if count > 0 {
            reader.came(&Ok(count));
            self.pipe = Some(pipe);
        }
        Ok(count)
    }

    /// Reads into the buffer, and writes as much of it as the writer takes.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut impl End,
        writer: &mut impl End,
    ) -> Poll<io::Result<usize>> {
        let pump = self.pump;
        let mut buffer = pump.buffer.borrow_mut();
        let size = match pump.kept.get() {
            0..MUCH_KEPT => buffer.len(),
            _ => buffer.len().min(FRUGAL_BYTES),
        };
        let size = size.min(reader.bytes_a_turn());
        let mut read = ReadBuf::new(&mut buffer[..size]);
        match Pin::new(&mut *reader).poll_read(cx, &mut read) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {
                return Poll::Ready(Ok(0));
            }
            Poll::Ready(done) => done?,
            Poll::Pending => return self.poll_rest(cx, writer),
        }
        if read.filled().is_empty() {
            self.state = State::Ending;
            return Poll::Ready(Ok(0));
        }
        let is_last = match poll_end(cx, reader, writer, &mut read) {
            Poll::Ready(Ok(is_last)) => is_last,
            Poll::Ready(Err(error)) => {
                self.failed = Some(error);
                false
            }
            Poll::Pending => false,
        };
        let mut piece = read.filled();
        let count = piece.len();
        self.bulk = count == BUFFER_BYTES;
        self.unflushed = true;
        while !piece.is_empty() {
            let written = match is_last {
                true => poll_write_last(cx, writer, piece),
                false => poll_write(cx, writer, piece),
            };
            match written {
                Poll::Ready(written) => piece = &piece[written?..],
                Poll::Pending => {
                    self.left.extend_from_slice(piece);
                    pump.kept.set(pump.kept.get() + self.left.len());
                    return Poll::Pending;
                }
            }
        }
        if is_last {
            self.state = State::Ending;
        }
        Poll::Ready(Ok(count))
    }

    /// Nothing more comes for now: what was written must not wait in the writer.
    fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut impl End,
    ) -> Poll<io::Result<usize>> {
        if self.unflushed {
            ready!(Pin::new(writer).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Pending
    }
}

impl Drop for Direction<'_> {
    fn drop(&mut self) {
        self.forget_left();
    }
}

fn poll_write(
    cx: &mut Context<'_>,
    writer: &mut impl End,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    loop {
        match ready!(Pin::new(&mut *writer).poll_write(cx, bytes)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => return Poll::Ready(written),
        }
    }
}

/// Reads on where that tells, for nothing, whether the reader's end stands behind what was read: tokio asks a socket that
/// gave less than was asked for again only if it has ended.
fn poll_end(
    cx: &mut Context<'_>,
    reader: &mut impl End,
    writer: &impl End,
    read: &mut ReadBuf<'_>,
) -> Poll<io::Result<bool>> {
    if read.remaining() == 0 || reader.socket().is_none() || writer.socket().is_none() {
        return Poll::Ready(Ok(false));
    }
    let before = read.filled().len();
    match ready!(Pin::new(reader).poll_read(cx, read)) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Poll::Ready(Ok(false)),
        done => Poll::Ready(done.map(|()| read.filled().len() == before)),
    }
}

/// Writes the last bytes to a socket, which is told of the end at once: both go in one packet then.
fn poll_write_last(
    cx: &mut Context<'_>,
    writer: &mut impl End,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    let Some(socket) = writer.socket() else { return poll_write(cx, writer, bytes) };
    let written = loop {
        ready!(socket.poll_write_ready(cx))?;
        let written = socket.try_io(Interest::WRITABLE, || {
            Ok(rustix::net::send(socket, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)?)
        });
        if !is_to_be_tried_again(&written) {
            break written;
        }
    };
    writer.went(&written);
    match written {
        Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => Poll::Ready(written),
    }
}

/// Whether nothing came of it, for no fault. tokio then knows that the socket is not ready.
fn is_to_be_tried_again(moved: &io::Result<usize>) -> bool {
    use io::ErrorKind::{Interrupted, WouldBlock};
    matches!(moved, Err(error) if matches!(error.kind(), WouldBlock | Interrupted))
}

/// Whether splice(2) is not to be had: forbidden, unknown to the kernel, or for want of memory.
fn cannot_splice(code: i32) -> bool {
    use rustix::io::Errno;
    [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::ACCESS, Errno::NOMEM]
        .contains(&Errno::from_raw_os_error(code))
}

#[cfg(test)]
mod tests;
