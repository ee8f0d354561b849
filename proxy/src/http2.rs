//! HTTP/2 on either side: the settings that keep hostile peers within bounds, and what differs
//! between a message of the two versions (RFC 9113, 8.2 and 8.3).
//!
//! Streams are spoken with `h2` itself, not through hyper, which passes no interim answers (RFC
//! 9110, 15.2) between the two sides, and takes a stream that a site gave up without a fault for
//! one that ended.

mod beginning;
mod serve;
mod session;
mod stream;

pub(crate) use beginning::NoBeginning;
pub(crate) use serve::serve;
pub(crate) use session::{Session, is_unprocessed};
pub(crate) use stream::{ByteStream, Receiving};

use crate::body::Ask;
use crate::config::Limits;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{HeaderMap, Request, Uri, Version};
use std::time::Duration;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Streams that a client may have open at once: what browsers expect (RFC 9113, 6.5.2).
const CLIENT_STREAMS: u32 = 128;
/// Streams reset by a client before they were looked at: more is an attack ("rapid reset",
/// CVE-2023-44487), and the connection ends.
const MOST_PENDING_RESETS: usize = 20;
/// Streams reset by us for a client's fault, before its connection ends.
const MOST_FAULTY_STREAMS: usize = 64;
/// Bytes that may wait for one reader before the writer is asked to wait: uploads.
const CLIENT_WINDOW: u32 = 256 * 1024;
/// The same for all streams of a client's connection.
const CLIENT_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that may wait for a slow client, each stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Bytes that may wait of one answer of a site.
const SITE_WINDOW: u32 = 256 * 1024;
/// The same for all answers of a connection to a site. Many clients share it: were it less than
/// that of all its streams, a few that nobody reads would stop it for the rest.
const SITE_CONNECTION_WINDOW: u32 = SITE_WINDOW * MOST_SITE_STREAMS as u32;
/// Most requests at once on one HTTP/2 connection to a site; the next one opens another. What most
/// servers allow (RFC 9113, 6.5.2, advises at least 100).
const MOST_SITE_STREAMS: usize = 100;

/// Streams that were ended here before the other end had ended them, of which what is still on its way
/// is passed over without a word: as many as a connection carries at once, several times. Past them,
/// each frame that comes late counts as a fault, and the connection with all its other streams ends
/// by those.
const MOST_ENDED_STREAMS: usize = 1_024;
/// How long it may still be on its way: a slow network holds a window's worth of an upload for seconds.
const STILL_ON_ITS_WAY: Duration = Duration::from_secs(30);

/// Resets of a site's streams for its faults, before its connection ends.
const MOST_FAULTS_OF_SITE: usize = 1_024;

/// HTTP/2 as clients get it.
pub(crate) fn server(limits: &Limits) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(CLIENT_STREAMS)
        .max_pending_accept_reset_streams(MOST_PENDING_RESETS)
        .max_local_error_reset_streams(Some(MOST_FAULTY_STREAMS))
        .max_concurrent_reset_streams(MOST_ENDED_STREAMS)
        .reset_stream_duration(STILL_ON_ITS_WAY)
        .max_header_list_size(u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX))
        .initial_window_size(CLIENT_WINDOW)
        .initial_connection_window_size(CLIENT_CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .enable_connect_protocol();
    builder
}

/// HTTP/2 as sites get it. Nothing that a site pushes was asked for.
pub(crate) fn client(limits: &Limits) -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_max_send_streams(MOST_SITE_STREAMS)
        .max_local_error_reset_streams(Some(MOST_FAULTS_OF_SITE))
        .max_concurrent_reset_streams(MOST_ENDED_STREAMS)
        .reset_stream_duration(STILL_ON_ITS_WAY)
        .max_header_list_size(u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX))
        .initial_window_size(SITE_WINDOW)
        .initial_connection_window_size(SITE_CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// Removes the fields that belong to a connection of HTTP/1.1 (RFC 9113, 8.2.2).
fn strip_connection(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION] {
        headers.remove(name);
    }
}

/// Makes a request that was prepared for HTTP/1.1 one for HTTP/2: the host moves into the URI, and
/// no field of the connection is left (RFC 9113, 8.2.2 and 8.3.1).
pub(crate) fn to_http2(request: &mut Request<Ask>) {
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    strip_connection(headers);
    let Some(authority) =
        headers.remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok())
    else {
        return;
    };
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTPS);
    parts.authority = Some(authority);
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
    }
    // Scheme, authority and path are all there: the one rule of a URI's parts.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// Undoes [`to_http2`], where a request that was not sent goes on another connection.
pub(crate) fn back_to_http1(request: &mut Request<Ask>) {
    if request.version() != Version::HTTP_2 {
        return;
    }
    *request.version_mut() = Version::HTTP_11;
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    let authority = parts.authority.take();
    parts.scheme = None;
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    if let Some(host) = authority.and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        request.headers_mut().insert(HOST, host);
    }
    let has_body = !matches!(request.body(), Ask::Empty);
    frame_for_http1(request.headers_mut(), has_body);
}

/// Says how long a message is, and what is for this hop alone.
fn frame_for_http1(headers: &mut HeaderMap, has_body: bool) {
    // Without either, a body would be none (RFC 9112, 6.3).
    if has_body && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if headers.contains_key(TE) {
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Takes the blanks around values out, which are no part of them (RFC 9110, 5.5) and which HTTP/2 does
/// not allow (RFC 9113, 8.2.1). Sites that send them are common enough not to be refused for it.
fn trim_values(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        let bytes = value.as_bytes();
        let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        if (is_blank(bytes.first()) || is_blank(bytes.last()))
            && let Ok(mut trimmed) = HeaderValue::from_bytes(bytes.trim_ascii())
        {
            trimmed.set_sensitive(value.is_sensitive());
            *value = trimmed;
        }
    }
}

/// Joins cookies that HTTP/2 sends in pieces: HTTP/1.1 has one field (RFC 9113, 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut pieces = headers.get_all(COOKIE).iter();
    if pieces.next().is_none() || pieces.next().is_none() {
        return;
    }
    let joined: Vec<u8> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect::<Vec<_>>()
        .join(&b"; "[..]);
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a malformed fixture is a failed test")]
    use super::*;

    fn prepared() -> Request<Ask> {
        Request::get("/a?b=c")
            .header(HOST, "site.test:8443")
            .header(TE, "trailers")
            .header(CONNECTION, "te")
            .header(TRANSFER_ENCODING, "chunked")
            .body(Ask::Empty)
            .unwrap()
    }

    #[test]
    fn a_request_goes_to_http2_and_back_without_loss() {
        let mut request = prepared();
        to_http2(&mut request);
        assert_eq!(*request.uri(), "https://site.test:8443/a?b=c");
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.headers().len(), 1, "only TE is left: {:?}", request.headers());
        back_to_http1(&mut request);
        assert_eq!(*request.uri(), "/a?b=c");
        assert_eq!(request.headers()[HOST], "site.test:8443");
        assert_eq!(request.headers()[CONNECTION], "te");
        assert_eq!(request.version(), Version::HTTP_11);
    }

    #[test]
    fn a_body_without_a_length_is_chunked_on_the_way_back() {
        for (has_body, length, coding) in
            [(true, None, Some("chunked")), (true, Some("3"), None), (false, None, None)]
        {
            let mut headers = HeaderMap::new();
            if let Some(length) = length {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
            }
            frame_for_http1(&mut headers, has_body);
            let found = headers.get(TRANSFER_ENCODING).map(|it| it.to_str().unwrap());
            assert_eq!(found, coding, "{has_body} {length:?}");
        }
    }

    #[test]
    fn blanks_around_a_value_are_no_part_of_it() {
        let mut headers = HeaderMap::new();
        let cases =
            [(" a", "a"), ("b \t", "b"), ("\t c d ", "c d"), ("  ", ""), ("e", "e"), ("", "")];
        for (given, _) in cases {
            headers.append("x-a", HeaderValue::from_static(given));
        }
        trim_values(&mut headers);
        let found: Vec<_> = headers.get_all("x-a").iter().collect();
        assert_eq!(found, cases.map(|(_, expected)| expected));
    }

    #[test]
    fn cookies_in_pieces_become_one_field() {
        let mut headers = HeaderMap::new();
        for piece in ["a=b", "c=d", "e=f"] {
            headers.append(COOKIE, HeaderValue::from_static(piece));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=b; c=d; e=f"]);
    }
}
