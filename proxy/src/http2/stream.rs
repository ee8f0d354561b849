//! One stream of HTTP/2: a body that comes in on it, one that goes out, or bytes both ways.

use super::trim_values;
use crate::body::BodyError;
use crate::limit::{Admission, UnreadTicket};
use bytes::{Buf, Bytes};
use h2::{Reason, RecvStream, SendStream};
use hyper::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::CONTENT_LENGTH;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;

/// Most bytes of one piece that are handed over before the other end has room for more.
const PIECE: usize = 64 * 1024;

/// A body that comes in.
pub(crate) struct Receiving {
    stream: RecvStream,
    data_ended: bool,
    /// What is still to come of it, as announced.
    left: Option<u64>,
    /// What still sends the request that this answers.
    sending: Option<Sender>,
}

impl Receiving {
    /// The body of a message with these fields.
    pub(crate) fn new(stream: RecvStream, fields: &HeaderMap) -> Self {
        let length = fields.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse().ok());
        Self { stream, data_ended: false, left: length, sending: None }
    }

    /// The body of an answer that comes while its request is still being sent. Left before its end
    /// it ends the request too.
    pub(crate) fn while_sending(mut self, sending: Sender) -> Self {
        self.sending = Some(sending);
        self.let_go();
        self
    }

    /// An answer that is there whole does not end its request: the site may want the rest (RFC
    /// 9113, 8.1), and says so where it does not.
    fn let_go(&mut self) {
        if self.stream.is_end_stream()
            && let Some(sending) = self.sending.take()
        {
            sending.let_go();
        }
    }

    /// The stream itself, where it carries no message (RFC 8441).
    pub(crate) fn into_stream(self) -> RecvStream {
        self.stream
    }
}

impl HttpBody for Receiving {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if !this.data_ended {
            match ready!(this.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // What is passed on makes room for more: the reader's pace is the writer's. It
                    // fails where the stream is gone, and shows at the next look.
                    let _ = this.stream.flow_control().release_capacity(data.len());
                    this.left = this.left.map(|left| left.saturating_sub(data.len() as u64));
                    this.let_go();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // A stream that is reset before its end was not whole, whatever the reason given.
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => this.data_ended = true,
            }
        }
        let trailers = ready!(this.stream.poll_trailers(cx));
        this.let_go();
        Poll::Ready(match trailers {
            Ok(trailers) => trailers.map(|mut trailers| {
                trim_values(&mut trailers);
                Ok(Frame::trailers(trailers))
            }),
            Err(error) => Some(Err(error.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The task that sends a request's body. Dropped, it ends.
pub(crate) struct Sender(Option<AbortHandle>);

impl Sender {
    /// Of a task.
    pub(crate) fn new(task: AbortHandle) -> Self {
        Self(Some(task))
    }

    /// It goes on by itself.
    fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// A body on its way out, piece by piece as the other end has room. The next piece is asked for once
/// the last has gone.
pub(crate) struct Sending<B> {
    body: B,
    to: SendStream<Bytes>,
    waiting: Bytes,
    /// `waiting` is the last of it.
    last: bool,
    /// To whom, where only so much may wait for those who do not read.
    reader: Option<(Arc<Admission>, IpAddr)>,
    /// The place of what waits now.
    unread: Option<UnreadTicket>,
}

impl<B> Sending<B> {
    /// Sends a body on a stream whose head has been sent.
    pub(crate) fn new(body: B, to: SendStream<Bytes>) -> Self {
        Self { body, to, waiting: Bytes::new(), last: false, reader: None, unread: None }
    }

    /// The body, as far as it is left.
    pub(crate) fn into_body(self) -> B {
        self.body
    }

    /// The same, to be changed.
    pub(crate) fn body_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// Takes a place of its reader's while it waits; without one, it ends.
    pub(crate) fn counted_unread(mut self, admission: Arc<Admission>, reader: IpAddr) -> Self {
        self.reader = Some((admission, reader));
        self
    }

    /// Takes the place, where there is none yet.
    fn wait_unread(&mut self) -> Result<(), Reason> {
        if self.unread.is_none()
            && let Some((admission, reader)) = &self.reader
        {
            let place = admission.unread_stream(*reader);
            self.unread = Some(place.ok_or(Reason::ENHANCE_YOUR_CALM)?);
        }
        Ok(())
    }
}

impl<B> Future for Sending<B>
where
    B: HttpBody<Data = Bytes, Error = BodyError> + Unpin,
{
    /// The error is the other end's: it took the stream back, or the connection is gone.
    type Output = Result<(), h2::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            // Also has the task woken when the other end takes the stream back.
            if let Poll::Ready(reason) = this.to.poll_reset(cx)? {
                return Poll::Ready(Err(reason.into()));
            }
            if !this.waiting.is_empty() {
                match has_room(&mut this.to, cx) {
                    Poll::Ready(room) => room?,
                    Poll::Pending => {
                        if let Err(reason) = this.wait_unread() {
                            this.to.send_reset(reason);
                            return Poll::Ready(Err(reason.into()));
                        }
                        return Poll::Pending;
                    }
                }
                this.unread = None;
                let piece = this.waiting.split_to(this.waiting.len().min(PIECE));
                let ends = this.last && this.waiting.is_empty();
                this.to.send_data(piece, ends)?;
                if ends {
                    return Poll::Ready(Ok(()));
                }
                if !this.waiting.is_empty() {
                    this.to.reserve_capacity(1);
                }
                continue;
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        this.last = this.body.is_end_stream();
                        if data.is_empty() && this.last {
                            return Poll::Ready(this.to.send_data(data, true));
                        }
                        // Room is asked for once there is something to send: asked for before, it
                        // would be kept from other streams of the connection.
                        this.to.reserve_capacity(data.len().min(1));
                        this.waiting = data;
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            this.to.reserve_capacity(0);
                            return Poll::Ready(this.to.send_trailers(trailers));
                        }
                    }
                },
                Some(Err(error)) => {
                    // It must not look like an end.
                    this.to.send_reset(error.reason());
                    return Poll::Ready(Ok(()));
                }
                None => return Poll::Ready(this.to.send_data(Bytes::new(), true)),
            }
        }
    }
}

/// Waits until what was asked for of the other end's windows is there, or some of it.
fn has_room(to: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
    while to.capacity() == 0 {
        match ready!(to.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(error)),
            // Nothing can be sent any more.
            None => return Poll::Ready(Err(Reason::STREAM_CLOSED.into())),
        }
    }
    Poll::Ready(Ok(()))
}

/// A stream that carries bytes instead of messages (RFC 8441).
pub(crate) struct ByteStream {
    from: RecvStream,
    to: SendStream<Bytes>,
    read: Bytes,
    /// Our end of it has been said.
    ended: bool,
}

impl ByteStream {
    /// Of its two halves.
    pub(crate) fn new(from: RecvStream, to: SendStream<Bytes>) -> Self {
        Self { from, to, read: Bytes::new(), ended: false }
    }
}

impl Drop for ByteStream {
    /// An end rather than a reset, which would overtake what is still on its way: a WebSocket says
    /// goodbye in its own frames, so that one which did not has not ended in order.
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.to.send_data(Bytes::new(), true);
        }
    }
}

/// An end of the stream is an end of the bytes; a reset is none (RFC 8441, 5).
fn broken(error: h2::Error) -> io::Error {
    match error.into_io() {
        Some(error) => error,
        None => io::ErrorKind::ConnectionReset.into(),
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.read.is_empty() {
            match ready!(this.from.poll_data(cx)) {
                Some(Ok(data)) => this.read = data,
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = this.read.len().min(buffer.remaining());
        buffer.put_slice(&this.read[..count]);
        this.read.advance(count);
        let _ = this.from.flow_control().release_capacity(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let this = &mut *self;
        this.to.reserve_capacity(bytes.len().min(PIECE));
        ready!(has_room(&mut this.to, cx)).map_err(broken)?;
        let count = bytes.len().min(this.to.capacity());
        let piece = Bytes::copy_from_slice(&bytes[..count]);
        this.to.send_data(piece, false).map_err(broken)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection's task sends what was handed to it.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.ended, true) {
            self.to.reserve_capacity(0);
            self.to.send_data(Bytes::new(), true).map_err(broken)?;
        }
        Poll::Ready(Ok(()))
    }
}
