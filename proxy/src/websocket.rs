//! WebSockets that a client opens on a stream of HTTP/2 (RFC 8441), translated for the site to the
//! upgrade of HTTP/1.1 (RFC 6455), which every site speaks.

use crate::body::{Incoming, Reply};
use crate::connection::{Client, Tunnel, run_tunnel};
use crate::exchange::Route;
use crate::forward::{Failure, Switching, ask_to_switch, clean_answer, pass_back, prepare};
use crate::http2::ByteStream;
use crate::live::Live;
use crate::messages::Messages;
use crate::refuse::SiteFault;
use crate::searches::Changes;
use crate::telemetry::UpstreamError;
use crate::wire::Wire;
use crate::worker::Worker;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64ct::{Base64, Encoding};
use hyper::header::{
    HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use ledger::record::End;
use std::rc::Rc;
use tokio::sync::oneshot;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
/// What an answer to a key is made with (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether an extended CONNECT asks for what is translated here.
pub(crate) fn is_asked(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_2
        && request
            .extensions()
            .get::<h2::ext::Protocol>()
            .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case("websocket"))
}

/// Opens one; 200 once the site has agreed.
pub(crate) async fn open(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    live: &Rc<Live>,
    (route, changes): (Route, Option<Box<Changes>>),
    request: Request<Incoming>,
) -> Result<Response<Reply>, Failure> {
    let (parts, Incoming::Http2(from_client)) = request.into_parts() else {
        return Err(Failure::Client);
    };
    // As for a CONNECT, before the site is asked: one that agreed would have opened it for nobody.
    let ticket = worker.admission.tunnel(client.address).ok_or(Failure::NoTunnel)?;
    let mut request = Request::from_parts(parts, Incoming::Empty);
    let mut nonce = [0; 16];
    if aws_lc_rs::rand::fill(&mut nonce).is_err() {
        return Err(Failure::Stopped(End::Aborted));
    }
    let key = Base64::encode_string(&nonce);
    *request.method_mut() = Method::GET;
    let headers = request.headers_mut();
    // Base 64 is a field's value.
    if let Ok(field) = HeaderValue::from_str(&key) {
        headers.insert(SEC_WEBSOCKET_KEY, field);
    }
    headers.entry(SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
    let mut request = prepare(worker, live, request, changes, Some(&WEBSOCKET), None);
    let messages = Messages::of(worker, live, request.headers_mut());
    let Switching { upstream, answer, switched } =
        ask_to_switch((worker, client), live, route, request).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return pass_back(worker, client, live, upstream, answer, Version::HTTP_2);
    }
    let agreed = answer
        .headers()
        .get(UPGRADE)
        .is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes()))
        && answer
            .headers()
            .get(SEC_WEBSOCKET_ACCEPT)
            .is_some_and(|given| *given == *accepted(&key));
    let broken = || Failure::Site(SiteFault::Broken, UpstreamError::BadAnswer);
    if !agreed {
        return Err(broken());
    }
    let parts =
        live.unless_stopped(switched).await.map_err(Failure::Stopped)?.map_err(|_| broken())?;
    let (mut head, _) = answer.into_parts();
    clean_answer(worker, &mut head.headers, head.version);
    head.headers.remove(SEC_WEBSOCKET_ACCEPT);
    head.status = StatusCode::OK;
    head.version = Version::HTTP_2;
    head.extensions.clear();
    live.answer(StatusCode::OK.as_u16());
    let (worker, live) = (Rc::clone(worker), Rc::clone(live));
    let (give, given) = oneshot::channel();
    let share = Rc::clone(&client.share);
    tokio::task::spawn_local(share.of(async move {
        let tunnel = Tunnel {
            upstream: parts.io.into_inner(),
            from_upstream: parts.read_buf,
            live: Rc::clone(&live),
            ticket,
            messages,
        };
        let running = async {
            match given.await {
                Ok(to_client) => {
                    let wire = Wire::Stream(ByteStream::new(from_client.into_stream(), to_client));
                    run_tunnel(&worker, wire, bytes::Bytes::new(), tunnel).await;
                }
                Err(_) => tunnel.live.finish(End::Aborted),
            }
        };
        // The record has its end by whoever stopped it.
        let _ = live.unless_stopped(running).await;
    }));
    Ok(Response::from_parts(head, Reply::Stream(give)))
}

/// The answer that a key must get (RFC 6455, 4.2.2).
fn accepted(key: &str) -> String {
    let text = [key.as_bytes(), GUID].concat();
    Base64::encode_string(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gets_the_answer_of_the_rfc() {
        assert_eq!(accepted("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
