//! A client's byte stream as hyper sees it, and as it is while nobody needs hyper.

use crate::connection::Client;
use crate::live::Seat;
use crate::wire::Wire;
use crate::worker::Worker;
use bytes::{Buf, Bytes, BytesMut};
use hyper::Request;
use hyper::body::Body;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Longest that the last words to a client may take.
pub(crate) const FAREWELL: Duration = Duration::from_millis(200);

/// What tells whether hyper's part of a connection may be given up between two requests: whether it holds
/// anything that its client, or the next request, is still to get.
#[derive(Default)]
pub(crate) struct State {
    /// Something was written, and hyper may hold more of it.
    writes: Cell<bool>,
    /// The stream has not taken all that hyper wrote. hyper looks only then whether to close.
    unflushed: Cell<bool>,
    /// An interim answer waits to be written.
    early_waits: Cell<bool>,
    /// The last request has content: hyper alone knows whether it has all of it, and what is left would be
    /// taken for the next request.
    has_content: Cell<bool>,
    /// The connection is being closed.
    closes: Cell<bool>,
}

impl State {
    /// Another hyper begins.
    pub(crate) fn begin(&self) {
        self.writes.set(false);
        self.unflushed.set(false);
        self.early_waits.set(false);
        self.has_content.set(false);
        self.closes.set(false);
    }

    /// A request came.
    pub(crate) fn asked<B: Body>(&self, request: &Request<B>) {
        self.has_content.set(!request.body().is_end_stream());
    }

    /// Whether hyper holds nothing of this connection but room.
    pub(crate) fn may_rest(&self) -> bool {
        !self.writes.get()
            && !self.unflushed.get()
            && !self.early_waits.get()
            && !self.has_content.get()
            && !self.closes.get()
    }
}

/// The client's stream; notes when a request's head begins, and what hyper would hide of it, and
/// writes interim answers between hyper's own.
pub(crate) struct ClientIo {
    stream: TokioIo<Wire>,
    /// What was read already, and comes first.
    read: Bytes,
    client: Rc<Client>,
    worker: Rc<Worker>,
    early_rest: BytesMut,
}

impl ClientIo {
    /// A stream of which `read` was read already.
    pub(crate) fn new(
        worker: &Rc<Worker>,
        client: &Rc<Client>,
        (wire, read): (Wire, Bytes),
    ) -> Self {
        client.io.begin();
        let (worker, client) = (Rc::clone(worker), Rc::clone(client));
        Self { stream: TokioIo::new(wire), read, client, worker, early_rest: BytesMut::new() }
    }

    /// The stream, and what was read of it and not given on.
    pub(crate) fn into_parts(self) -> (Wire, Bytes) {
        (self.stream.into_inner(), self.read)
    }

    /// Writes what waits of interim answers, where that is possible.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { client, early_rest, stream, .. } = self;
        let state = &client.io;
        if let Some(waiting) = client.early.take_bytes()
            && !state.writes.get()
        {
            early_rest.unsplit(waiting);
        }
        while !early_rest.is_empty() {
            state.early_waits.set(true);
            let written = ready!(Pin::new(stream.inner_mut()).poll_write(cx, early_rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            early_rest.advance(written);
        }
        state.early_waits.set(false);
        Poll::Ready(Ok(()))
    }
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.read.is_empty() {
            let count = this.read.len().min(buffer.remaining());
            buffer.put_slice(&this.read.split_to(count));
            return Poll::Ready(Ok(()));
        }
        if this.client.seat.is_exchanging() {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let mut scratch = this.worker.scratch.borrow_mut();
        let size = scratch.len().min(buffer.remaining());
        let mut read = ReadBuf::new(&mut scratch[..size]);
        ready!(Pin::new(this.stream.inner_mut()).poll_read(cx, &mut read))?;
        this.client.seat.read(read.filled());
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for ClientIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_early(cx))?;
        self.client.io.writes.set(true);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes its stream only once its own buffer is empty.
        self.client.io.writes.set(false);
        ready!(self.poll_early(cx))?;
        self.client.io.unflushed.set(true);
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.client.io.unflushed.set(false);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It ends, and does not rest, flushed or not.
        self.client.io.closes.set(true);
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_early(cx))?;
        self.client.io.writes.set(true);
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
}

/// Waits for the client's next request without hyper; the stream, and what came of the request. `None`
/// once the client has left or the connection must end.
pub(crate) async fn rest(worker: &Worker, seat: &Seat, mut wire: Wire) -> Option<(Wire, Bytes)> {
    let came = std::future::poll_fn(|cx| {
        if seat.alarm.poll_stopped(cx).is_ready() {
            return Poll::Ready(None);
        }
        // TLS may still hold some of the last answer.
        if let Poll::Ready(Err(_)) = Pin::new(&mut wire).poll_flush(cx) {
            return Poll::Ready(None);
        }
        let mut scratch = worker.scratch.borrow_mut();
        let mut read = ReadBuf::new(&mut scratch);
        match ready!(Pin::new(&mut wire).poll_read(cx, &mut read)) {
            Ok(()) => Poll::Ready(Some(Bytes::copy_from_slice(read.filled()))),
            // TLS that ended without saying so ends here too, and says so.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Some(Bytes::new()))
            }
            Err(_) => Poll::Ready(None),
        }
    })
    .await?;
    if came.is_empty() {
        let _ = tokio::time::timeout(FAREWELL, wire.shutdown()).await;
        return None;
    }
    seat.read(&came);
    Some((wire, came))
}
