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
use hyper::header::ALT_SVC;
use hyper::{HeaderMap, Request, StatusCode, Version};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use tokio::sync::oneshot;

/// Most bytes of interim answers that wait for a client; a site that sends more is not listened to.
const MOST_BYTES: usize = 16 * 1024;

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
}

impl Early {
    /// The way, for a client that understands them.
    pub(crate) fn new(client: &Client, request: &Request<Incoming>) -> Option<Self> {
        (request.version() == Version::HTTP_11).then(|| Self { queue: Arc::clone(&client.early) })
    }

    /// Runs the exchange with the site; wakes the connection for what comes before the answer.
    pub(crate) async fn relaying<F: Future>(early: Option<&Self>, sending: F) -> F::Output {
        let Some(Self { queue }) = early else { return sending.await };
        let mut sending = pin!(sending);
        poll_fn(|cx| {
            let polled = sending.as_mut().poll(cx);
            let mut waiting = queue.lock();
            if polled.is_pending()
                && !waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                waiting.waker = Some(cx.waker().clone());
            }
            polled
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
    let queue = early.map(|early| Arc::clone(&early.queue));
    if queue.is_none() && open.is_none() {
        return;
    }
    let open = Mutex::new(open);
    hyper::ext::on_informational(request, move |answer| match answer.status() {
        StatusCode::CONTINUE => {
            let open = open.lock().unwrap_or_else(PoisonError::into_inner).take();
            // A body that has gone needs no gate. The client gets its own 100 from hyper, once the
            // body is asked for.
            let _ = open.map(|open| open.send(()));
        }
        StatusCode::SWITCHING_PROTOCOLS => {}
        status => {
            if let Some(queue) = &queue {
                queue_up(queue, status, answer.headers());
            }
        }
    });
}

fn queue_up(queue: &Queue, status: StatusCode, given: &HeaderMap) {
    let mut fields = given.clone();
    headers::strip_hop_by_hop(&mut fields);
    headers::strip_challenge(&mut fields);
    fields.remove(ALT_SVC);
    let mut waiting = queue.lock();
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
    if waiting.bytes.len() + head.len() <= MOST_BYTES {
        waiting.bytes.unsplit(head);
        queue.filled.store(true, Ordering::Relaxed);
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }
}
