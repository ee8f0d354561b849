//! Interim answers of a site (1xx) on their way to the client (RFC 9110, 15.2).
//!
//! hyper tells of them but cannot send any, so a connection of HTTP/1.1 writes them itself, at the
//! one moment when nothing of another answer can be on the way: hyper has flushed all that it had,
//! and the answer that they belong to has not begun. Where answers are pipelined so closely that
//! there is no such moment they are dropped. On a stream of HTTP/2 they go before the answer. A
//! client of HTTP/1.0 does not get them.

use crate::body::{Ask, Incoming};
use crate::connection::Client;
use crate::headers;
use bytes::{BufMut, BytesMut};
use hyper::header::{ALT_SVC, CONTENT_LENGTH, SET_COOKIE, TRAILER};
use hyper::{HeaderMap, Request, Response, StatusCode, Version};
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// Most bytes of interim answers to one request; further ones are passed over. What a client does not
/// read waits in memory, on each of its streams.
const MOST_BYTES: usize = 16 * 1024;

/// Most interim answers to one request: a site that sends more has no other (RFC 9110, 15.2, sets no
/// bound, so that one must be set here).
const MOST_ANSWERS: u32 = 64;

/// Where interim answers to one client connection, or one of its streams, wait. hyper's callback must
/// be `Send`, hence the lock; one thread uses it.
#[derive(Default)]
pub(crate) struct Queue {
    filled: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    heads: Vec<Response<()>>,
    /// Of all that were passed on to the request at hand.
    bytes: usize,
    waker: Option<Waker>,
    /// Interim answers to the request at hand.
    answers: u32,
}

impl Queue {
    /// Takes what waits, to be sent.
    pub(crate) fn take(&self) -> Vec<Response<()>> {
        if !self.filled.load(Ordering::Relaxed) {
            return Vec::new();
        }
        self.filled.store(false, Ordering::Relaxed);
        std::mem::take(&mut self.lock().heads)
    }

    /// Takes what waits, as HTTP/1.1 has it.
    pub(crate) fn take_bytes(&self) -> Option<BytesMut> {
        let heads = self.take();
        if heads.is_empty() {
            return None;
        }
        let mut bytes = BytesMut::new();
        for head in &heads {
            write_head(head, &mut bytes);
        }
        Some(bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way of interim answers to one client.
#[derive(Clone)]
pub(crate) struct Early {
    queue: Arc<Queue>,
    /// The client understands them.
    relayed: bool,
}

impl Early {
    /// The way to the client of a request.
    pub(crate) fn new(client: &Client, request: &Request<Incoming>) -> Self {
        let queue = match request.version() {
            Version::HTTP_11 => Some(&client.early),
            Version::HTTP_2 => request.extensions().get::<Arc<Queue>>(),
            _ => None,
        };
        let (relayed, queue) = (queue.is_some(), queue.map(Arc::clone).unwrap_or_default());
        {
            let mut waiting = queue.lock();
            (waiting.answers, waiting.bytes) = (0, 0);
        }
        Self { queue, relayed }
    }

    /// Runs the exchange with the site; wakes the connection for what comes before the answer.
    /// `None` where the site sends so many interim answers that no other is to be expected.
    pub(crate) fn relaying<F: Future>(&self, sending: F) -> Relaying<'_, F> {
        Relaying { early: self, sending }
    }
}

pin_project! {
    /// What [`Early::relaying`] waits for. Not an async function: that would keep the future that it
    /// is given twice, once as its argument.
    pub(crate) struct Relaying<'a, F> {
        early: &'a Early,
        #[pin]
        sending: F,
    }
}

impl<F: Future> Future for Relaying<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.sending.poll(cx) {
            return Poll::Ready(Some(output));
        }
        let mut waiting = this.early.queue.lock();
        if waiting.answers > MOST_ANSWERS {
            return Poll::Ready(None);
        }
        if !waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            waiting.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// What is to be done with interim answers to one request.
#[derive(Clone)]
pub(crate) struct Listener {
    early: Option<Early>,
    /// Lets a body go that waits for `100 (Continue)`.
    open: Arc<Mutex<Option<oneshot::Sender<()>>>>,
}

/// Has interim answers relayed, and a body that waits for `100 (Continue)` let go.
pub(crate) fn listen(
    request: &mut Request<Ask>,
    early: Option<&Early>,
    open: Option<oneshot::Sender<()>>,
) {
    if early.is_none() && open.is_none() {
        return;
    }
    let listener = Listener { early: early.cloned(), open: Arc::new(Mutex::new(open)) };
    request.extensions_mut().insert(listener);
}

/// Has hyper call the listener of a request that goes out over HTTP/1.1.
pub(crate) fn listen_on_http1(request: &mut Request<Ask>) {
    if let Some(listener) = request.extensions().get::<Listener>().cloned() {
        hyper::ext::on_informational(request, move |answer| {
            listener.heard(answer.status(), answer.headers());
        });
    }
}

impl Listener {
    /// An interim answer came.
    pub(crate) fn heard(&self, status: StatusCode, fields: &HeaderMap) {
        if status == StatusCode::CONTINUE {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
            // A body that has gone needs no gate. The client is told to go on once its body is
            // asked for.
            let _ = open.map(|open| open.send(()));
        }
        if let Some(early) = &self.early {
            early.heard(status, fields);
        }
    }
}

impl Early {
    /// The client's body is wanted now.
    pub(crate) fn go_on(&self) {
        let mut waiting = self.queue.lock();
        self.put(&mut waiting, head_of(StatusCode::CONTINUE, HeaderMap::new()));
    }

    fn heard(&self, status: StatusCode, fields: &HeaderMap) {
        let mut waiting = self.queue.lock();
        waiting.answers += 1;
        let is_ours = status == StatusCode::CONTINUE || status == StatusCode::SWITCHING_PROTOCOLS;
        if waiting.answers > MOST_ANSWERS {
            if let Some(waker) = waiting.waker.take() {
                waker.wake();
            }
        } else if self.relayed && !is_ours {
            self.put(&mut waiting, head_of(status, passed_on(fields)));
        }
    }

    fn put(&self, waiting: &mut Waiting, head: Response<()>) {
        let fields = head.headers().iter();
        let bytes: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if waiting.bytes + bytes <= MOST_BYTES {
            waiting.bytes += bytes;
            waiting.heads.push(head);
            self.queue.filled.store(true, Ordering::Relaxed);
        }
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }
}

fn passed_on(given: &HeaderMap) -> HeaderMap {
    let mut fields = given.clone();
    headers::strip_hop_by_hop(&mut fields);
    headers::strip_challenge(&mut fields);
    // A length would have the client take what follows for a body (RFC 9110, 8.6).
    for name in [ALT_SVC, CONTENT_LENGTH, TRAILER, SET_COOKIE] {
        fields.remove(name);
    }
    fields
}

fn head_of(status: StatusCode, fields: HeaderMap) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = status;
    *head.headers_mut() = fields;
    head
}

fn write_head(head: &Response<()>, bytes: &mut BytesMut) {
    let reason = head.status().canonical_reason().unwrap_or_default();
    bytes.put_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status().as_u16()).as_bytes());
    for (name, value) in head.headers() {
        bytes.put_slice(name.as_str().as_bytes());
        bytes.put_slice(b": ");
        bytes.put_slice(value.as_bytes());
        bytes.put_slice(b"\r\n");
    }
    bytes.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a malformed fixture is a failed test")]
    use super::*;

    fn heard(early: &Early, times: u32, value: &str) -> Vec<Response<()>> {
        let fields = HeaderMap::from_iter([(hyper::header::LINK, value.parse().unwrap())]);
        let mut heads = Vec::new();
        for _ in 0..times {
            early.heard(StatusCode::EARLY_HINTS, &fields);
            heads.extend(early.queue.take());
        }
        heads
    }

    #[test]
    fn what_is_passed_on_to_one_request_is_bounded_however_soon_it_is_taken() {
        let early = || Early { queue: Arc::default(), relayed: true };
        assert_eq!(heard(&early(), MOST_ANSWERS, "</a.css>").len(), MOST_ANSWERS as usize);
        let large = heard(&early(), MOST_ANSWERS, &"x".repeat(4_000));
        assert_eq!(large.len(), 4, "16 KiB of heads of 4 kB");
        assert_eq!(heard(&early(), MOST_ANSWERS + 9, "a").len(), MOST_ANSWERS as usize);
        let none = Early { relayed: false, ..early() };
        assert!(heard(&none, 3, "a").is_empty());
    }
}
