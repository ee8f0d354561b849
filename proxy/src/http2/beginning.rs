//! The first frame of a connection, which h2 does not hold to the letter: it is SETTINGS, on either
//! side (RFC 9113, 3.4). Whoever begins otherwise does not speak HTTP/2.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of the client's preface, which h2 checks.
const PREFACE: usize = 24;
/// Bytes of a frame's head (RFC 9113, 4.1).
const HEAD: usize = 9;
/// The kind of frame.
const SETTINGS: u8 = 4;
/// The flag of a SETTINGS frame that only answers one.
const ACK: u8 = 1;

/// Why a connection goes no further.
#[derive(Debug, thiserror::Error)]
#[error("it does not begin with SETTINGS")]
pub(crate) struct NoBeginning;

/// A byte stream that ends with [`NoBeginning`] where it does not begin with SETTINGS.
pub(crate) struct Beginning<S> {
    stream: S,
    /// Bytes before the first frame, of those still to come.
    before: usize,
    head: [u8; HEAD],
    known: usize,
}

impl<S> Beginning<S> {
    /// What a client sends.
    pub(crate) fn of_client(stream: S) -> Self {
        Self { stream, before: PREFACE, head: [0; HEAD], known: 0 }
    }

    /// What a site sends.
    pub(crate) fn of_site(stream: S) -> Self {
        Self { before: 0, ..Self::of_client(stream) }
    }

    /// Looks at bytes as they come.
    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        let before = self.before.min(bytes.len());
        self.before -= before;
        let bytes = &bytes[before..];
        let count = bytes.len().min(HEAD - self.known);
        self.head[self.known..self.known + count].copy_from_slice(&bytes[..count]);
        self.known += count;
        let [_, _, _, kind, flags, stream @ ..] = self.head;
        // The first bit of a stream's number means nothing.
        let stream = u32::from_be_bytes(stream) << 1;
        if self.known == HEAD && (kind != SETTINGS || flags & ACK != 0 || stream != 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, NoBeginning));
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Beginning<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.known == HEAD {
            return Pin::new(&mut this.stream).poll_read(cx, buffer);
        }
        let filled = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        Poll::Ready(this.look(&buffer.filled()[filled..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Beginning<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_first_however_they_are_cut() {
        let good = [0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
        let reserved = [0, 0, 6, SETTINGS, 0, 0x80, 0, 0, 0];
        let cases: [(&[u8; HEAD], bool); 5] = [
            (&good, true),
            (&reserved, true),
            (&[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0], false),
            (&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 1], false),
            (&[0, 0, 8, 6, 0, 0, 0, 0, 0], false),
        ];
        for (head, is_one) in cases {
            let of_client = [&[b'P'; PREFACE][..], head, b"more"].concat();
            let of_site = [&head[..], b"more"].concat();
            for cut in 0..=of_client.len() {
                let mut client = Beginning::of_client(());
                let (one, other) = of_client.split_at(cut);
                let looked = client.look(one).and_then(|()| client.look(other));
                assert_eq!(looked.is_ok(), is_one, "{head:?} cut at {cut}");
                let mut site = Beginning::of_site(());
                let (one, other) = of_site.split_at(cut.min(of_site.len()));
                let looked = site.look(one).and_then(|()| site.look(other));
                assert_eq!(looked.is_ok(), is_one, "{head:?} cut at {cut}");
            }
        }
    }
}
