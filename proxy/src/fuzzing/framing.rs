//! HTTP/1.1 framing: bytes through the same parsers, limits and header cleaning as the traffic's,
//! over connections in memory, and what comes out read again.

#![allow(clippy::unwrap_used, reason = "a broken promise is a panic here")]

use crate::headers::{self, ViaName};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::PathAndQuery;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::TokioIo;
use rules::target::parse_absolute;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// The limits of `[limits]` as shipped, small enough to be reached.
const MAX_HEADERS: usize = 32;
const MAX_HEAD_BYTES: usize = 8192;
/// Longest input. What waits in memory between two ends must hold it whole, as nobody else runs.
const MAX_INPUT_BYTES: usize = 1 << 16;
/// Room for all that an input can become.
const ROOM_BYTES: usize = 1 << 20;

fn run<T>(exchange: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, exchange)
}

fn via() -> ViaName {
    ViaName::new("schoolgate", 7, false)
}

async fn sender<B>(io: DuplexStream) -> Option<hyper::client::conn::http1::SendRequest<B>>
where
    B: hyper::body::Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_headers(MAX_HEADERS).max_header_size(MAX_HEAD_BYTES);
    let (sender, connection) = builder.handshake(TokioIo::new(io)).await.ok()?;
    tokio::task::spawn_local(async move {
        let _ = connection.await;
    });
    Some(sender)
}

/// Bytes as a site's answer; the first chooses the request. Whatever comes, the client gets one
/// answer whose end two readers cannot see in different places, without this hop's fields.
pub fn response_framing(bytes: &[u8]) {
    answered(bytes);
}

/// What the client read, checked; `None` where the answer is not passed on.
pub(super) fn answered(bytes: &[u8]) -> Option<Vec<u8>> {
    let (&choice, bytes) = bytes.split_first()?;
    if bytes.len() > MAX_INPUT_BYTES {
        return None;
    }
    let method = [Method::GET, Method::HEAD, Method::POST][usize::from(choice) % 3].clone();
    run(async {
        let (ours, site) = duplex(ROOM_BYTES);
        // Not before it is asked: an answer to nothing breaks the connection.
        tokio::task::spawn_local(answer_with(site, bytes.to_vec()));
        let mut upstream = sender::<Empty<Bytes>>(ours).await?;
        let request =
            Request::builder().method(method.clone()).uri("/").body(Empty::new()).unwrap();
        let mut answer = upstream.send_request(request).await.ok()?;
        // Both are refused before anything else is looked at.
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS
            || answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            return None;
        }
        let received = std::mem::replace(answer.version_mut(), Version::HTTP_11);
        let fields = answer.headers_mut();
        if fields.contains_key(TRANSFER_ENCODING) {
            fields.remove(CONTENT_LENGTH);
        }
        headers::strip_hop_by_hop(fields);
        headers::strip_challenge(fields);
        via().add(fields, received);
        answer.extensions_mut().remove::<hyper::ext::ReasonPhrase>();
        let passed_on = pass_on(&method, answer).await;
        check_answer(&method, &passed_on);
        Some(passed_on)
    })
}

async fn answer_with(mut site: DuplexStream, bytes: Vec<u8>) {
    let mut asked = [0; 256];
    if !matches!(site.read(&mut asked).await, Ok(0) | Err(_)) {
        // It fails where the other end has read enough.
        let _ = site.write_all(&bytes).await;
        let _ = site.shutdown().await;
    }
}

/// What a client reads when it is sent this answer.
async fn pass_on(method: &Method, answer: Response<Incoming>) -> Vec<u8> {
    let (mut client, ours) = duplex(ROOM_BYTES);
    let asked = format!("{method} http://a.example/ HTTP/1.1\r\nHost: a.example\r\n");
    client.write_all(asked.as_bytes()).await.unwrap();
    client.write_all(b"Content-Length: 0\r\nConnection: close\r\n\r\n").await.unwrap();
    let answer = RefCell::new(Some(answer));
    let service = service_fn(|_| {
        let answer = answer.take();
        async move { Ok::<_, Infallible>(answer.unwrap()) }
    });
    // Its error is the site's that broke off; the client sees the same.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(ours), service)
        .await;
    let mut read = Vec::new();
    client.read_to_end(&mut read).await.unwrap();
    read
}

fn check_answer(method: &Method, bytes: &[u8]) {
    let shown = String::from_utf8_lossy(bytes);
    // Nothing at all: the connection closes, and the client knows that it has no answer.
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        assert!(bytes.is_empty(), "{shown}");
        return;
    };
    let (head, body) = (&bytes[..end], &bytes[end + 4..]);
    let mut lines = head.split(|&byte| byte == b'\n').map(|line| line.trim_ascii_end());
    let status = lines.next().unwrap();
    assert!(status.starts_with(b"HTTP/1.1 "), "{shown}");
    assert_eq!(
        head.iter().filter(|&&byte| byte == b'\n').count(),
        head.windows(2).filter(|two| two == b"\r\n").count(),
        "{shown}"
    );
    let (mut lengths, mut chunked) = (Vec::new(), 0);
    for line in lines {
        let colon = line.iter().position(|&byte| byte == b':').unwrap();
        let value = line[colon + 1..].trim_ascii();
        match &*String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase() {
            "content-length" => {
                lengths.push(std::str::from_utf8(value).unwrap().parse::<usize>().unwrap());
            }
            "transfer-encoding" => {
                assert_eq!(value, b"chunked", "{shown}");
                chunked += 1;
            }
            "connection" => assert_eq!(value, b"close", "{shown}"),
            "keep-alive" | "proxy-connection" | "te" | "upgrade" | "proxy-authenticate" => {
                panic!("{shown}")
            }
            _ => {}
        }
    }
    assert!(lengths.len() + chunked <= 1, "{shown}");
    let is_bodiless = method == Method::HEAD || [&b"204"[..], b"304"].contains(&&status[9..12]);
    match lengths.first() {
        _ if is_bodiless => assert!(body.is_empty(), "{shown}"),
        Some(&length) => assert!(body.len() <= length, "{shown}"),
        None => assert!(chunked == 1 || body.is_empty(), "{shown}"),
    }
}

/// What one hop makes of a request.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    method: Method,
    path: String,
    body: Bytes,
}

/// Bytes as a client's requests. The site at the other end sees those that were decided about, each
/// with the same method, path and body, and no other.
pub fn request_framing(bytes: &[u8]) {
    forwarded(bytes);
}

/// How many requests the site read as they were decided about.
pub(super) fn forwarded(bytes: &[u8]) -> usize {
    if bytes.len() > MAX_INPUT_BYTES {
        return 0;
    }
    let count = Cell::new(0);
    run(async {
        let (mut client, ours) = duplex(ROOM_BYTES);
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let service = service_fn(|request| async {
            count.set(count.get() + forward(request).await.unwrap_or(0));
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.header_read_timeout(None).max_headers(MAX_HEADERS).max_header_size(MAX_HEAD_BYTES);
        // This client has said all at once; hyper would break off what it began to answer.
        builder.half_close(true);
        let _ = builder.serve_connection(TokioIo::new(ours), service).await;
    });
    count.get()
}

/// One request, sent on and read by a site; `None` where it is refused or broke off.
async fn forward(request: Request<Incoming>) -> Option<usize> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    let target = parse_absolute(parts.uri.scheme_str(), authority).ok()?;
    if parts.method == Method::CONNECT || !is_plainly_framed(&parts.headers, parts.version) {
        return None;
    }
    let body = body.collect().await.ok()?.to_bytes();
    let chunked = parts.headers.contains_key(TRANSFER_ENCODING);
    let received = std::mem::replace(&mut parts.version, Version::HTTP_11);
    headers::strip_hop_by_hop(&mut parts.headers);
    headers::strip_private(&mut parts.headers);
    via().add(&mut parts.headers, received);
    assert!(via().is_in(&parts.headers));
    if chunked {
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    parts.headers.insert(hyper::header::HOST, HeaderValue::from_str(target.host.as_str()).unwrap());
    let path = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    parts.extensions.clear();
    let decided =
        Seen { method: parts.method.clone(), path: parts.uri.to_string(), body: body.clone() };
    let (ours, site) = duplex(ROOM_BYTES);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let reading = tokio::task::spawn_local(serve_site(site, Rc::clone(&seen)));
    let mut upstream = sender::<Full<Bytes>>(ours).await?;
    let answered = upstream.send_request(Request::from_parts(parts, Full::new(body))).await.is_ok();
    drop(upstream);
    reading.await.unwrap();
    let seen = seen.take();
    assert!(seen.len() <= 1, "{decided:?} became {seen:?}");
    if answered && let Some(seen) = seen.first() {
        assert_eq!(*seen, decided);
    }
    Some(seen.len())
}

async fn serve_site(io: DuplexStream, seen: Rc<RefCell<Vec<Seen>>>) {
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (method, path) = (request.method().clone(), request.uri().to_string());
            if let Ok(body) = request.into_body().collect().await {
                seen.borrow_mut().push(Seen { method, path, body: body.to_bytes() });
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(io), service)
        .await;
}

/// As the exchange has it: one length or one coding, and no coding before HTTP/1.1.
fn is_plainly_framed(headers: &HeaderMap, version: Version) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    match coding {
        Some(coding) => {
            coding.as_bytes().eq_ignore_ascii_case(b"chunked")
                && codings.next().is_none()
                && lengths == 0
                && version >= Version::HTTP_11
        }
        None => lengths <= 1,
    }
}
