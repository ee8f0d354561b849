//! Interim answers of a site (1xx) on their way to the client (RFC 9110, 15.2).
//!
//! hyper tells of them but cannot send any, so the connection writes them itself, at the one moment
//! when nothing of another answer can be on the way: hyper has flushed all that it had, and the
//! answer that they belong to has not begun. Where answers are pipelined so closely that there is
//! no such moment they are dropped. A client of HTTP/1.0, or of HTTP/2, where hyper has no
//! place for them, does not get them.

use crate::body::Ask;
use crate::connection::Client;
use crate::headers;
use bytes::{BufMut, BytesMut};
use hyper::body::Incoming;
use hyper::header::{ALT_SVC, CONTENT_LENGTH, SET_COOKIE, TRAILER};
use hyper::{HeaderMap, Request, StatusCode, Version};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use tokio::sync::oneshot;

/// Most bytes of interim answers that wait for a client; a site that sends more is not listened to.
const MOST_BYTES: usize = 16 * 1024;

/// Most interim answers to one request: a site that sends more has no other (RFC 9110, 15.2, sets no
/// bound, so that one must be set here).
const MOST_ANSWERS: u32 = 64;

/// Where interim answers to one client connection wait. hyper's callback must be `Send`, hence the
/// lock; one thread uses it.
#[derive(Default)]
pub(crate) struct Queue {
    filled: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    bytes: BytesMut,
    waker: Option<Waker>,
    /// Interim answers to the request at hand.
    answers: u32,
}

impl Queue {
    /// Takes what waits, for the connection to write.
    pub(crate) fn take(&self) -> Option<BytesMut> {
        if !self.filled.load(Ordering::Relaxed) {
            return None;
        }
        self.filled.store(false, Ordering::Relaxed);
        Some(std::mem::take(&mut self.lock().bytes))
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
        let relayed = request.version() == Version::HTTP_11;
        let queue = if relayed { Arc::clone(&client.early) } else { Arc::default() };
        queue.lock().answers = 0;
        Self { queue, relayed }
    }

    /// Runs the exchange with the site; wakes the connection for what comes before the answer.
    /// `None` where the site sends so many interim answers that no other is to be expected.
    pub(crate) async fn relaying<F: Future>(&self, sending: F) -> Option<F::Output> {
        let mut sending = pin!(sending);
        poll_fn(|cx| {
            if let Poll::Ready(output) = sending.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            let mut waiting = self.queue.lock();
            if waiting.answers > MOST_ANSWERS {
                return Poll::Ready(None);
            }
            if !waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                waiting.waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }
}

/// Has interim answers relayed, and a body that waits for `100 (Continue)` let go.
pub(crate) fn listen(
    request: &mut Request<Ask>,
    early: Option<&Early>,
    open: Option<oneshot::Sender<()>>,
) {
    let early = early.cloned();
    if early.is_none() && open.is_none() {
        return;
    }
    let open = Mutex::new(open);
    hyper::ext::on_informational(request, move |answer| {
        if answer.status() == StatusCode::CONTINUE {
            let open = open.lock().unwrap_or_else(PoisonError::into_inner).take();
            // A body that has gone needs no gate. The client gets its own 100 from hyper, once the
            // body is asked for.
            let _ = open.map(|open| open.send(()));
        }
        if let Some(early) = &early {
            early.heard(answer.status(), answer.headers());
        }
    });
}

impl Early {
    fn heard(&self, status: StatusCode, fields: &HeaderMap) {
        let mut waiting = self.queue.lock();
        waiting.answers += 1;
        let is_ours = status == StatusCode::CONTINUE || status == StatusCode::SWITCHING_PROTOCOLS;
        if self.relayed && !is_ours && waiting.answers <= MOST_ANSWERS {
            let head = head_of(status, fields);
            if waiting.bytes.len() + head.len() <= MOST_BYTES {
                waiting.bytes.unsplit(head);
                self.queue.filled.store(true, Ordering::Relaxed);
            }
        } else if waiting.answers <= MOST_ANSWERS {
            return;
        }
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }
}

fn head_of(status: StatusCode, given: &HeaderMap) -> BytesMut {
    let mut fields = given.clone();
    headers::strip_hop_by_hop(&mut fields);
    headers::strip_challenge(&mut fields);
    // A length would have the client take what follows for a body (RFC 9110, 8.6).
    for name in [ALT_SVC, CONTENT_LENGTH, TRAILER, SET_COOKIE] {
        fields.remove(name);
    }
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = BytesMut::new();
    head.put_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).as_bytes());
    for (name, value) in &fields {
        head.put_slice(name.as_str().as_bytes());
        head.put_slice(b": ");
        head.put_slice(value.as_bytes());
        head.put_slice(b"\r\n");
    }
    head.put_slice(b"\r\n");
    head
}
