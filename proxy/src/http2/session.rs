//! A connection of HTTP/2 to a site, shared by the requests on it.

use super::MOST_SITE_STREAMS;
use super::beginning::Beginning;
use super::stream::{Receiving, Sender, Sending};
use super::trim_values;
use crate::body::{Ask, Incoming};
use crate::early::Listener;
use crate::pool::{Cause, Unanswered};
use crate::wire::Wire;
use bytes::Bytes;
use h2::Reason;
use h2::client::{Builder, SendRequest};
use hyper::{Request, Response};
use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::oneshot;

/// Longest that a goodbye to a site may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// One connection. Dropped, with the last of its streams, it says goodbye (RFC 9113, 5.4.1) and
/// closes.
pub(crate) struct Session {
    sender: SendRequest<Bytes>,
    /// It takes no request any more.
    retired: Cell<bool>,
    _kept: oneshot::Sender<Infallible>,
}

impl Session {
    /// Begins to speak; the site's own first words are not waited for.
    ///
    /// # Errors
    /// [`h2::Error`]: the connection is gone already.
    pub(crate) async fn open(builder: &Builder, wire: Wire) -> Result<Self, h2::Error> {
        let (sender, mut connection) =
            builder.handshake::<_, Bytes>(Beginning::of_site(wire)).await?;
        let (kept, dropped) = oneshot::channel::<Infallible>();
        tokio::task::spawn_local(async move {
            tokio::select! {
                // Whoever has a stream sees the error there.
                _ = &mut connection => return,
                _ = dropped => {}
            }
            let _ = tokio::time::timeout(FAREWELL, connection).await;
        });
        Ok(Self { sender, retired: Cell::new(false), _kept: kept })
    }

    /// Whether a request can be sent: neither end has closed it or asked to go (RFC 9113, 6.8).
    pub(crate) fn is_open(&self) -> bool {
        let mut sender = self.sender.clone();
        let ready = sender.poll_ready(&mut Context::from_waker(Waker::noop()));
        !self.retired.get() && matches!(ready, Poll::Ready(Ok(())))
    }

    /// Most requests at once that the site allows (RFC 9113, 5.1.2), and this proxy: what is past it
    /// would wait for those of others.
    pub(crate) fn most_streams(&self) -> usize {
        MOST_SITE_STREAMS.min(self.sender.current_max_send_streams())
    }

    /// No further request goes on it.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
    }

    /// Sends a request; the answer's head.
    ///
    /// # Errors
    /// [`Unanswered`], with the request where nothing of it was sent, or else its body as far as it is left.
    pub(crate) async fn ask(
        self: Rc<Self>,
        mut request: Request<Ask>,
    ) -> Result<Response<Incoming>, Unanswered> {
        let mut sender = self.sender.clone();
        if let Err(error) = poll_fn(|cx| sender.poll_ready(cx)).await {
            let unsent = Some(Box::new(request));
            return Err(Unanswered { unsent, body: None, cause: Cause::Http2(error) });
        }
        let failed =
            |error, body| Unanswered { unsent: None, body: Some(body), cause: Cause::Http2(error) };
        let listener = request.extensions_mut().remove::<Listener>();
        let (parts, body) = request.into_parts();
        let progress = body.progress().map(Rc::clone);
        let ends = matches!(body, Ask::Empty);
        // Whoever asked holds it; held here too, each request would count as two streams.
        let session = Rc::downgrade(&self);
        drop(self);
        let head = Request::from_parts(parts, ());
        let (mut answering, to) = match sender.send_request(head, ends) {
            Ok(begun) => begun,
            Err(error) => return Err(failed(error, body)),
        };
        drop(sender);
        // Kept until the answer, though it may be over before: the site may say that it did not look at it.
        let (mut sending, mut is_over) = (Sending::new(body, to), ends);
        let answer = poll_fn(|cx| {
            is_over = is_over || Pin::new(&mut sending).poll(cx).is_ready();
            while let Poll::Ready(Some(interim)) = answering.poll_informational(cx) {
                let interim = interim?;
                if let Some(listener) = &listener {
                    listener.heard(interim.status(), interim.headers());
                }
            }
            Pin::new(&mut answering).poll(cx)
        });
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(error) => return Err(failed(error, sending.into_body())),
        };
        // Who waits for leave to send a body learns that none will come.
        drop(listener);
        let (mut parts, stream) = answer.into_parts();
        trim_values(&mut parts.headers);
        let mut incoming = Receiving::new(stream, &parts.headers);
        sending.body_mut().let_go();
        if !is_over
            // A body that was never asked for does not go after its answer.
            && let Some(progress) = progress.filter(|progress| !progress.held.get())
        {
            let session = session.upgrade();
            progress.goes_on.set(true);
            let task = tokio::task::spawn_local(async move {
                // Until the answer is whole, that tells what becomes of it.
                let sent = sending.await;
                progress.stopped(sent.as_ref().err());
                drop(session);
            });
            incoming = incoming.while_sending(Sender::new(task.abort_handle()));
        }
        Ok(Response::from_parts(parts, Incoming::Http2(incoming)))
    }
}

/// Whether a site says that it did not look at a request (RFC 9113, 8.7): it may be asked again.
pub(crate) fn is_unprocessed(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}
