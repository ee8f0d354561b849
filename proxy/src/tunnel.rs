//! CONNECT, and what follows a `101`: bytes both ways, counted, until an end or a limit.

use crate::body::Reply;
use crate::connection::{Client, Handover, Tunnel};
use crate::exchange::Route;
use crate::forward::fault_of;
use crate::live::Live;
use crate::pump::{self, Pump};
use crate::reach::{self, Unreached};
use crate::record::Permit;
use crate::refuse::{Asker, SiteFault, overloaded, site_fault, stopped};
use crate::tapped::Tapped;
use crate::telemetry::UpstreamError;
use crate::wire::Wire;
use crate::worker::Worker;
use bytes::Bytes;
use hyper::Response;
use ledger::record::End;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// Longest that a site has to answer what a WebSocket on HTTP/2 said last, before it is told that
/// its client has ended.
const LAST_ANSWER: Duration = Duration::from_secs(5);

/// Answers a permitted CONNECT to a port that is not one of TLS: dials; 200 only once the site
/// answers.
pub(crate) async fn open(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    permit: Permit,
    route: Route,
    asker: &Asker,
) -> Response<Reply> {
    let live = Rc::clone(permit.live());
    let Some(ticket) = worker.admission.tunnel(client.address) else {
        return overloaded(worker, &live, asker);
    };
    match dialled(worker, &live, route, asker).await {
        Ok(upstream) => {
            live.answer(200);
            let upstream = Wire::Plain(upstream);
            let tunnel = Tunnel::new(upstream, live, ticket);
            client.hand_over(Handover::Tunnel(tunnel));
            Response::new(Reply::Empty)
        }
        Err(answer) => *answer,
    }
}

/// Dials the site of a CONNECT; the error is the answer.
pub(crate) async fn dialled(
    worker: &Rc<Worker>,
    live: &Rc<Live>,
    route: Route,
    asker: &Asker,
) -> Result<TcpStream, Box<Response<Reply>>> {
    let fail = |fault, kind| {
        worker.meters.upstream_error(kind);
        Err(Box::new(site_fault(worker, live, asker, fault)))
    };
    let addresses = match route {
        Route::Addresses(addresses) => addresses,
        Route::Nowhere(error) => return fail(fault_of(error), UpstreamError::Dns),
        // None of these comes with a tunnel.
        Route::Pooled(_)
        | Route::Fresh(_)
        | Route::Wire(_)
        | Route::Down(..)
        | Route::Untrusted(_)
        | Route::Full => {
            return fail(SiteFault::Unresolved, UpstreamError::Dns);
        }
    };
    let client = live.facts().client;
    match live.unless_stopped(reach::tcp(worker, client, &addresses)).await {
        Ok(Ok(upstream)) => Ok(upstream),
        Ok(Err(Unreached::Down(fault, kind))) => fail(fault, kind),
        Ok(Err(Unreached::Untrusted(_))) => fail(SiteFault::Broken, UpstreamError::BadAnswer),
        Err(end) => Err(Box::new(stopped(worker, live, asker, end))),
    }
}

/// Limits of a tunnel, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TunnelLimits {
    /// Longest rest, both ways together.
    pub(crate) idle_ms: u64,
    /// Longest life.
    pub(crate) lifetime_ms: u64,
}

/// Moves bytes both ways until both sides have ended, one breaks off, or the exchange is stopped
/// (which drops this future). What either side had sent already goes first.
///
/// The end of one side is passed on to the other at once, but for a WebSocket on HTTP/2: browsers end
/// their stream with their Close frame, and sites of HTTP/1.1 take an end before their own Close
/// frame for a connection that broke, and send none. There it waits for the site.
pub(crate) async fn run(
    pump: &Pump,
    mut client: Tapped,
    from_client: Bytes,
    mut upstream: Tapped,
    from_upstream: Bytes,
    live: &Live,
    limits: TunnelLimits,
) {
    live.wait_at_most(limits.idle_ms);
    live.last_at_most(limits.lifetime_ms);
    let grace = if client.is_stream() { LAST_ANSWER } else { Duration::ZERO };
    // It ends the record itself.
    if client.tap(&from_client).is_err() || upstream.tap(&from_upstream).is_err() {
        return;
    }
    let mut upstream = HeldOpen::new(upstream, grace, || live.wait_at_most(limits.idle_ms));
    let mut client =
        Counted { stream: client, live, idle_ms: limits.idle_ms, failed: Cell::new(false) };
    let moved = async {
        if !from_client.is_empty() {
            live.count_up(from_client.len() as u64);
            upstream.write_all(&from_client).await?;
        }
        if !from_upstream.is_empty() {
            client.write_all(&from_upstream).await?;
        }
        drop((from_client, from_upstream));
        pump::both_ways(pump, &mut client, &mut upstream).await
    };
    let moved = moved.await;
    live.finish(match moved {
        Ok(_) => End::Complete,
        Err(_) if client.failed.get() => End::Aborted,
        Err(_) => End::Upstream,
    });
}

/// The client's side: every byte of a tunnel passes it once, so it counts both directions.
struct Counted<'a> {
    stream: Tapped,
    live: &'a Live,
    idle_ms: u64,
    failed: Cell<bool>,
}

impl Counted<'_> {
    fn moved(&self) {
        self.live.wait_at_most(self.idle_ms);
    }

    fn spliced(&self, bytes: &io::Result<usize>, count: impl FnOnce(u64)) {
        match bytes {
            Ok(bytes) => count(*bytes as u64),
            Err(_) => self.failed.set(true),
        }
        self.moved();
    }

    fn noted<T>(&self, result: io::Result<T>) -> Poll<io::Result<T>> {
        if result.is_err() {
            self.failed.set(true);
        }
        Poll::Ready(result)
    }
}

impl pump::End for Counted<'_> {
    fn socket(&self) -> Option<&TcpStream> {
        self.stream.socket()
    }

    fn came(&mut self, bytes: &io::Result<usize>) {
        self.spliced(bytes, |count| self.live.count_up(count));
    }

    fn went(&mut self, bytes: &io::Result<usize>) {
        self.spliced(bytes, |count| self.live.count_down(count));
    }
}

impl AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        self.live.count_up((buffer.filled().len() - before) as u64);
        self.moved();
        self.noted(read)
    }
}

impl AsyncWrite for Counted<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        if let Ok(count) = written {
            self.live.count_down(count as u64);
        }
        self.moved();
        self.noted(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The site's side, which hears of the client's end only once it has ended itself, or after a while.
struct HeldOpen<S, M> {
    stream: S,
    /// Called when the site has taken something: of much at once, that may be long after it came.
    took: M,
    grace: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl<S, M: Fn()> HeldOpen<S, M> {
    fn new(stream: S, grace: Duration, took: M) -> Self {
        Self { stream, took, grace, waiting: None, ended: false }
    }
}

impl<S: pump::End, M: Fn() + Unpin> pump::End for HeldOpen<S, M> {
    fn socket(&self) -> Option<&TcpStream> {
        self.stream.socket()
    }

    // The client's side counts for both.
    fn came(&mut self, _: &io::Result<usize>) {}

    fn went(&mut self, _: &io::Result<usize>) {
        (self.took)();
    }
}

impl<S: AsyncRead + Unpin, M: Unpin> AsyncRead for HeldOpen<S, M> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        if read.is_err() || (buffer.filled().len() == before && buffer.remaining() > 0) {
            self.ended = true;
            // The other direction may wait to pass the client's end on, and is polled by this task.
            cx.waker().wake_by_ref();
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin, M: Fn() + Unpin> AsyncWrite for HeldOpen<S, M> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        (self.took)();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.ended && !this.grace.is_zero() {
            let waiting = this.waiting.get_or_insert_with(|| Box::pin(sleep(this.grace)));
            ready!(waiting.as_mut().poll(cx));
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a stream in memory that fails is a failed test")]
    use super::*;
    use tokio::io::{AsyncReadExt, duplex, split};

    /// What a site was asked, what its client was answered, and when the site heard of the end.
    async fn site_that_answers_after(
        wait: Duration,
        grace: Duration,
    ) -> (Vec<u8>, Vec<u8>, Duration) {
        let (mut client, mut near) = duplex(64);
        let (far, site) = duplex(64);
        let tunnel = tokio::task::spawn_local(async move {
            let mut far = HeldOpen::new(far, grace, || {});
            let _ = pump::both_ways(&Pump::new(1), &mut near, &mut far).await;
        });
        client.write_all(b"close").await.unwrap();
        client.shutdown().await.unwrap();
        let (mut reading, mut writing) = split(site);
        let began = tokio::time::Instant::now();
        let answering = async {
            sleep(wait).await;
            let _ = writing.write_all(b"closed").await;
            let _ = writing.shutdown().await;
        };
        let mut asked = Vec::new();
        let told = async {
            reading.read_to_end(&mut asked).await.unwrap();
            began.elapsed()
        };
        let ((), told) = tokio::join!(answering, told);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        tunnel.await.unwrap();
        (asked, answer, told)
    }

    #[tokio::test]
    async fn a_site_hears_of_its_clients_end_after_its_last_answer_or_a_while() {
        let seconds = Duration::from_secs_f64;
        let cases = [
            ("the answer comes in time", seconds(0.2), LAST_ANSWER, seconds(0.2)..LAST_ANSWER),
            ("it comes too late", seconds(4.0), seconds(0.5), seconds(0.5)..seconds(4.0)),
            ("nothing is waited for", seconds(4.0), Duration::ZERO, Duration::ZERO..seconds(4.0)),
        ];
        let all = async {
            let each = cases.map(|(what, wait, grace, expected)| {
                tokio::task::spawn_local(async move {
                    let (asked, answer, told) = site_that_answers_after(wait, grace).await;
                    assert_eq!(asked, b"close", "{what}");
                    assert_eq!(answer, b"closed", "{what}");
                    assert!(expected.contains(&told), "{what}: told after {told:?}");
                })
            });
            for case in each {
                case.await.unwrap();
            }
        };
        tokio::task::LocalSet::new().run_until(all).await;
    }
}
