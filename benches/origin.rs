//! The replay origin: answers every request with what the request's own `X-Replay` header asks for,
//! so that it needs no table of the trace and costs next to nothing.
//!
//! It runs as a process of its own, so that its processor time is never charged to a proxy.

use crate::wire::{BodyLength, Head, find_head_end};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// Size of the buffer that bodies are cut from; longer bodies repeat it.
const BODY_BYTES: usize = 1 << 20;

/// What one request asks the origin for, as the `X-Replay` header carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Status code.
    pub status: u16,
    /// Body length in bytes.
    pub body_bytes: u64,
    /// Bytes by which the response head is padded.
    pub pad_bytes: usize,
    /// `Content-Type`, empty for none.
    pub mime: String,
}

impl Asked {
    /// The header's value.
    pub(crate) fn header(&self) -> String {
        format!("{} {} {} {}", self.status, self.body_bytes, self.pad_bytes, self.mime)
    }

    pub(crate) fn parse(value: &str) -> Option<Self> {
        let mut parts = value.trim().splitn(4, ' ');
        Some(Self {
            status: parts.next()?.parse().ok()?,
            body_bytes: parts.next()?.parse().ok()?,
            pad_bytes: parts.next()?.parse().ok()?,
            mime: parts.next().unwrap_or("").to_owned(),
        })
    }
}

/// Serves until killed: plain HTTP, and TLS on a second port where it is given a configuration.
/// Prints `listening ADDRESS [ADDRESS]` once ready.
pub(crate) fn run(listen: SocketAddr, tls: Option<Arc<ServerConfig>>) -> io::Result<()> {
    let body: &'static [u8] =
        Vec::leak((0..BODY_BYTES).map(|i| b"the quick brown fox. "[i % 21]).collect());
    let pad: &'static [u8] = Vec::leak(vec![b'p'; 16 * 1024]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind(listen).await?;
        let Some(tls) = tls else {
            println!("listening {}", listener.local_addr()?);
            return accept(listener, move |stream| serve(stream, body, pad)).await;
        };
        let secure = TcpListener::bind(SocketAddr::new(listen.ip(), 0)).await?;
        println!("listening {} {}", listener.local_addr()?, secure.local_addr()?);
        tokio::task::spawn_local(accept(listener, move |stream| serve(stream, body, pad)));
        let acceptor = TlsAcceptor::from(tls);
        accept(secure, move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let stream = acceptor.accept(stream).await?;
                match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => serve_http2(stream, body).await,
                    _ => serve(stream, body, pad).await,
                }
            }
        })
        .await
    })
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    loop {
        // A full table of open files passes; the benchmark would show the failed requests.
        let Ok((stream, _)) = listener.accept().await else { continue };
        stream.set_nodelay(true)?;
        let serving = serve(stream);
        tokio::task::spawn_local(async move {
            let _closed = serving.await;
        });
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    body: &'static [u8],
    pad: &'static [u8],
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut head_out = Vec::with_capacity(1024);
    loop {
        let head_bytes = loop {
            if let Some(end) = find_head_end(&buffer) {
                break end;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = Head::parse(&buffer[..head_bytes]);
        let asked = head.value("x-replay").and_then(Asked::parse);
        let is_head = head.first_line().starts_with("HEAD ");
        let length = head.request_body_length();
        let close = head.closes();
        buffer.drain(..head_bytes);
        skip_body(&mut stream, &mut buffer, length).await?;

        let asked = asked.unwrap_or(Asked {
            status: 404,
            body_bytes: 0,
            pad_bytes: 0,
            mime: String::new(),
        });
        let bodiless = is_head || matches!(asked.status, 204 | 304);
        write_head(&mut head_out, &asked, pad, close);
        let left = if bodiless { 0 } else { asked.body_bytes };
        send(&mut stream, &head_out, body, left).await?;
        if close {
            return Ok(());
        }
    }
}

/// The same over HTTP/2, without the padding.
async fn serve_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    body: &'static [u8],
) -> io::Result<()> {
    let service = service_fn(|mut request: Request<Incoming>| async move {
        // An upload is read past before the answer.
        while let Some(frame) =
            std::future::poll_fn(|cx| Pin::new(request.body_mut()).poll_frame(cx)).await
        {
            drop(frame?);
        }
        let replay = request.headers().get("x-replay").and_then(|value| value.to_str().ok());
        let asked = replay.and_then(Asked::parse);
        let status = asked.as_ref().map_or(404, |asked| asked.status);
        let bodiless = request.method() == Method::HEAD || matches!(status, 204 | 304);
        let left = asked.as_ref().map_or(0, |asked| asked.body_bytes);
        let mut answer = Response::builder().status(status).header("x-origin", "1");
        if let Some(asked) = asked.filter(|asked| !asked.mime.is_empty()) {
            answer = answer.header("content-type", asked.mime);
        }
        if !matches!(status, 204 | 304) {
            answer = answer.header("content-length", left);
        }
        let answer = answer.body(Repeated { from: body, left: if bodiless { 0 } else { left } });
        answer.map_err(|error| -> Box<dyn std::error::Error + Send + Sync> { error.into() })
    });
    hyper::server::conn::http2::Builder::new(OnThisThread)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}

/// Runs hyper's tasks on the thread that started them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// So many bytes, cut from a buffer over and over.
struct Repeated {
    from: &'static [u8],
    left: u64,
}

impl Body for Repeated {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let most = self.from.len().min(64 * 1024);
        let part = &self.from[..most.min(usize::try_from(self.left).unwrap_or(usize::MAX))];
        self.left -= part.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }
}

fn write_head(out: &mut Vec<u8>, asked: &Asked, pad: &[u8], close: bool) {
    use std::io::Write;
    out.clear();
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "HTTP/1.1 {} Replayed\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nX-Origin: 1\r\n",
        asked.status
    );
    if !matches!(asked.status, 204 | 304) {
        let _ = write!(out, "Content-Length: {}\r\n", asked.body_bytes);
    }
    if !asked.mime.is_empty() {
        let _ = write!(out, "Content-Type: {}\r\n", asked.mime);
    }
    if !close {
        // As nginx answers; some proxies keep no connection without it.
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    if asked.pad_bytes > 0 {
        out.extend_from_slice(b"X-Pad: ");
        out.extend_from_slice(&pad[..asked.pad_bytes.min(pad.len())]);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Sends the head and `left` bytes of body, the first part of both in one system call.
async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    head: &[u8],
    body: &[u8],
    mut left: u64,
) -> io::Result<()> {
    let mut head = head;
    while !head.is_empty() {
        let part = &body[..body.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        let sent = stream.write_vectored(&[IoSlice::new(head), IoSlice::new(part)]).await?;
        let of_head = sent.min(head.len());
        head = &head[of_head..];
        left -= (sent - of_head) as u64;
    }
    while left > 0 {
        let part = &body[..body.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        left -= stream.write(part).await? as u64;
    }
    stream.flush().await
}

/// Reads a request's body past. `buffer` holds what came with the head, and then what came after.
async fn skip_body(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    length: BodyLength,
) -> io::Result<()> {
    let mut skip = crate::wire::BodySkip::new(length);
    loop {
        let used = skip.feed(buffer);
        buffer.drain(..used);
        if skip.is_done() {
            return Ok(());
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
