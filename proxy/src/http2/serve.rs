//! The streams of a client's connection, each of them one exchange.

use super::beginning::Beginning;
use super::stream::{Receiving, Sending};
use super::{strip_connection, trim_values};
use crate::body::{Incoming, Reply};
use crate::connection::Client;
use crate::early;
use crate::exchange::exchange;
use crate::live::Turn;
use crate::record;
use crate::wire::Wire;
use crate::worker::Worker;
use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use hyper::body::Body as _;
use hyper::header::{CONTENT_LENGTH, DATE, HeaderValue};
use hyper::{Request, Response};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Longest that the last words to a client may take.
const FAREWELL: Duration = Duration::from_millis(200);

/// Serves a connection until either side ends it.
///
/// # Errors
/// [`h2::Error`]: the client broke the protocol, or the connection.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    wire: Wire,
) -> Result<(), h2::Error> {
    let alarm = &client.seat.alarm;
    let wire = Beginning::of_client(wire);
    let mut beginning = pin!(worker.client_http2.handshake::<_, Bytes>(wire));
    let begun = poll_fn(|cx| match alarm.poll_stopped(cx) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => beginning.as_mut().poll(cx).map(Some),
    });
    let Some(begun) = begun.await else { return Ok(()) };
    let mut connection = begun?;
    loop {
        let next = poll_fn(|cx| {
            if alarm.poll_stopped(cx).is_ready() {
                return Poll::Ready(None);
            }
            if client.seat.is_leaving() {
                connection.graceful_shutdown();
            }
            connection.poll_accept(cx).map(Some)
        });
        let Some(next) = next.await else {
            say_goodbye(&mut connection).await;
            return Ok(());
        };
        let Some(asked) = next else { return Ok(()) };
        let (request, respond) = asked?;
        let (worker, client) = (Rc::clone(worker), Rc::clone(client));
        let share = Rc::clone(&client.share);
        // Now, not when its task comes to it: a connection with requests that wait does not rest.
        let turn = client.seat.begin();
        tokio::task::spawn_local(share.of(async move {
            answer(&worker, &client, (request, turn), respond).await;
        }));
    }
}

/// Says up to which stream requests were looked at (RFC 9113, 6.8), where the client still reads.
async fn say_goodbye(connection: &mut Connection<Beginning<Wire>, Bytes>) {
    connection.abrupt_shutdown(Reason::NO_ERROR);
    let _ = tokio::time::timeout(FAREWELL, poll_fn(|cx| connection.poll_closed(cx))).await;
}

/// Answers the request of one stream.
async fn answer(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    (request, turn): (Request<RecvStream>, Turn),
    mut respond: SendResponse<Bytes>,
) {
    let (mut parts, stream) = request.into_parts();
    trim_values(&mut parts.headers);
    let body = Incoming::Http2(Receiving::new(stream, &parts.headers));
    let interim = Arc::<early::Queue>::default();
    parts.extensions.insert(Arc::clone(&interim));
    let request = Request::from_parts(parts, body);
    let left = || client.seat.broke_off();
    let answered = {
        let exchange = record::unless_left(exchange(worker, client, request, turn), left);
        let mut exchange = pin!(exchange);
        poll_fn(|cx| {
            let answered = exchange.as_mut().poll(cx);
            for head in interim.take() {
                // It fails where the stream is gone, which shows below.
                let _ = respond.send_informational(head);
            }
            match answered {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                // The client takes its request back.
                Poll::Pending => respond.poll_reset(cx).map(|_| None),
            }
        })
        .await
    };
    let Some(answered) = answered else { return };
    if send(worker, client, answered, &mut respond).await.is_err() {
        // Where the stream is not gone already.
        respond.send_reset(Reason::INTERNAL_ERROR);
    }
}

/// Sends an answer, whole.
async fn send(
    worker: &Worker,
    client: &Client,
    answer: Response<Reply>,
    respond: &mut SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let (mut parts, body) = answer.into_parts();
    strip_connection(&mut parts.headers);
    // RFC 9110, 6.6.1.
    if !parts.headers.contains_key(DATE)
        && let Some(date) = worker.date()
    {
        parts.headers.insert(DATE, date);
    }
    if let Reply::Stream(give) = body {
        let stream = respond.send_response(Response::from_parts(parts, ()), false)?;
        // Nobody takes it where the exchange was stopped; dropped, the stream ends.
        let _ = give.send(stream);
        return Ok(());
    }
    if body.is_end_stream() {
        respond.send_response(Response::from_parts(parts, ()), true)?;
        return Ok(());
    }
    if let Some(length) = body.size_hint().exact()
        && !parts.headers.contains_key(CONTENT_LENGTH)
    {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let stream = respond.send_response(Response::from_parts(parts, ()), false)?;
    let live = body.live().map(Rc::clone);
    let sending =
        Sending::new(body, stream).counted_unread(Arc::clone(&worker.admission), client.address);
    let Some(live) = live else { return sending.await };
    // Also where the client takes nothing, so that nothing is asked of the body: the stream ends, and
    // no other of its connection with it.
    live.unless_stopped(sending).await.unwrap_or_else(|_| {
        respond.send_reset(Reason::CANCEL);
        Ok(())
    })
}
