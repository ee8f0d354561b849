//! One end of a tunnel whose bytes may be read on their way: what comes from it is looked at before anybody gets it.

use crate::messages::{Messages, Refused};
use crate::wire::Wire;
use crate::{pump, typed};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A wire, and who reads along.
pub(crate) struct Tapped {
    wire: Wire,
    messages: Option<Rc<RefCell<Messages>>>,
    side: Side,
}

#[derive(Clone, Copy)]
enum Side {
    Client,
    Site,
}

impl Tapped {
    /// The two ends of a tunnel.
    pub(crate) fn both(client: Wire, site: Wire, messages: Option<Box<Messages>>) -> (Self, Self) {
        let messages = messages.map(|messages| Rc::new(RefCell::new(*messages)));
        let client = Self { wire: client, messages: messages.clone(), side: Side::Client };
        (client, Self { wire: site, messages, side: Side::Site })
    }

    /// Whether it is a stream of HTTP/2.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.wire, Wire::Stream(_))
    }

    /// Has somebody look at what came from it.
    ///
    /// # Errors
    /// [`Refused`]: it must not be passed on.
    pub(crate) fn tap(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        match &self.messages {
            Some(messages) if !bytes.is_empty() => match self.side {
                Side::Client => messages.borrow_mut().asked(bytes),
                Side::Site => messages.borrow_mut().answered(bytes),
            },
            _ => Ok(()),
        }
    }
}

impl pump::End for Tapped {
    /// None where somebody reads along: bytes that pass as they are were read by nobody.
    fn socket(&self) -> Option<&TcpStream> {
        self.messages.is_none().then(|| self.wire.socket())?
    }

    fn came(&mut self, bytes: &io::Result<usize>) {
        self.wire.came(bytes);
    }

    fn went(&mut self, bytes: &io::Result<usize>) {
        self.wire.went(bytes);
    }

    /// Reading along takes much longer than passing on.
    fn bytes_a_turn(&self) -> usize {
        match &self.messages {
            Some(_) => typed::BYTES_A_TURN,
            None => pump::BYTES_A_TURN,
        }
    }
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let (Side::Site, Some(messages)) = (self.side, &self.messages) {
            messages.borrow_mut().rest().map_err(io::Error::other)?;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.wire).poll_read(cx, buffer))?;
        if self.messages.is_some() {
            self.tap(&buffer.filled()[before..]).map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}
