//! One client connection: its requests in turn, then perhaps a tunnel.

use crate::exchange::exchange;
use crate::identify::Remembered;
use crate::limit::{Ticket, TunnelTicket};
use crate::live::{Live, Phase, Seat};
use crate::pins::Pins;
use crate::record::{self, Arrival, Refused};
use crate::tunnel::{self, TunnelLimits};
use crate::view::Ruling;
use crate::worker::Worker;
use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rules::decide::ReasonCode;
use rules::target::Scheme;
use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Method and host in the record of a request that could not be read.
const NOT_READ: &str = "-";

/// What a connection's exchanges share.
pub(crate) struct Client {
    /// Address, mapped IPv6 as IPv4.
    pub(crate) address: IpAddr,
    /// Its place in the registry.
    pub(crate) seat: Rc<Seat>,
    /// Who it was last.
    pub(crate) remembered: Remembered,
    /// Connections to sites that nobody else may use.
    pub(crate) pins: Rc<Pins>,
    handover: Cell<Option<Handover>>,
}

/// What becomes of the connection once its last answer is out.
pub(crate) struct Handover {
    /// The other end.
    pub(crate) upstream: TcpStream,
    /// What it sent already.
    pub(crate) from_upstream: Bytes,
    /// The exchange that goes on.
    pub(crate) live: Rc<Live>,
    /// The tunnel's place.
    pub(crate) ticket: TunnelTicket,
}

impl Client {
    /// After the answer, the connection is a tunnel.
    pub(crate) fn hand_over(&self, handover: Handover) {
        self.handover.set(Some(handover));
    }
}

/// Serves one client until either side ends, a limit is reached or the filter stops it.
pub(crate) async fn serve(worker: Rc<Worker>, stream: TcpStream, address: IpAddr, ticket: Ticket) {
    let seat = worker.registry.seat();
    let client = Rc::new(Client {
        address,
        seat: Rc::clone(&seat),
        remembered: Remembered::default(),
        pins: Rc::default(),
        handover: Cell::new(None),
    });
    let io = ClientIo {
        stream: TokioIo::new(stream),
        seat: Rc::clone(&seat),
        worker: Rc::clone(&worker),
    };
    let service = service_fn(|request| {
        let (worker, client) = (Rc::clone(&worker), Rc::clone(&client));
        async move {
            client.seat.enter(Phase::Exchanging);
            let answer = exchange(&worker, &client, request).await;
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = worker.client_http.serve_connection(io, service);
    let finished = std::future::poll_fn(|cx| {
        if seat.alarm.poll_stopped(cx).is_ready() {
            return Poll::Ready(None);
        }
        if seat.is_leaving() {
            Pin::new(&mut connection).graceful_shutdown();
        }
        Pin::new(&mut connection).poll(cx).map(Some)
    })
    .await;
    match finished {
        Some(Ok(())) => {
            if let Some(handover) = client.handover.take() {
                let parts = connection.into_parts();
                go_on(&worker, &seat, parts.io.stream.into_inner(), parts.read_buf, handover).await;
            }
        }
        Some(Err(error)) if error.is_parse() || error.is_parse_too_large() => {
            worker.meters.bad_requests.inc();
            record_unreadable(&worker, address, &error);
        }
        // The client went away, or was made to.
        Some(Err(_)) | None => {}
    }
    drop(ticket);
}

/// Records a request that hyper refused before anybody could look at it: somebody asked for
/// something, and got no more than a status line. A head that never came whole is no request yet.
fn record_unreadable(worker: &Worker, client: IpAddr, error: &hyper::Error) {
    let (code, status) = if error.is_parse_version_h2() {
        // Nothing that such a client could read.
        (ReasonCode::BadRequest, 0)
    } else if error.is_parse_too_large() {
        (ReasonCode::Limit, 431)
    } else {
        (ReasonCode::BadRequest, 400)
    };
    let view = worker.view();
    let about = Refused {
        user: None,
        level: view.snapshot.policy.identify(None, client).level,
        client,
        method: NOT_READ,
        scheme: Scheme::Http,
        host: NOT_READ,
        port: 0,
        path: None,
    };
    let arrival = Arrival::now(&worker.journal);
    let ruling = Ruling::block(code);
    let recorded = record::refuse(&worker.journal, (&view, &ruling), &arrival, &about, (status, 0));
    if let Err(error) = recorded {
        tracing::error!(%error, "a request that could not be read could not be recorded");
    }
}

async fn go_on(worker: &Worker, seat: &Seat, stream: TcpStream, read: Bytes, handover: Handover) {
    seat.enter(Phase::Exchanging);
    let Handover { upstream, from_upstream, live, ticket } = handover;
    let limits = TunnelLimits {
        idle_ms: worker.config.limits.tunnel_idle_timeout_ms,
        lifetime_ms: worker.config.limits.tunnel_lifetime_ms,
    };
    let mut tunnel =
        std::pin::pin!(tunnel::run(stream, read, upstream, from_upstream, &live, limits));
    std::future::poll_fn(|cx| match seat.alarm.poll_stopped(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => tunnel.as_mut().poll(cx),
    })
    .await;
    drop(ticket);
}

/// The client's socket; notes when a request's head begins, and what hyper would hide of it.
struct ClientIo {
    stream: TokioIo<TcpStream>,
    seat: Rc<Seat>,
    worker: Rc<Worker>,
}

impl Read for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.seat.is_exchanging() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let this = &mut *self;
        let mut scratch = this.worker.scratch.borrow_mut();
        let size = scratch.len().min(buffer.remaining());
        let mut read = ReadBuf::new(&mut scratch[..size]);
        ready!(Pin::new(this.stream.inner_mut()).poll_read(cx, &mut read))?;
        this.seat.read(read.filled());
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
