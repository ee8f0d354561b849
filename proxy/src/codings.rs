//! Which content codings a site is asked for.

use crate::live::Live;
use crate::worker::Worker;
use hyper::HeaderMap;
use hyper::header::{ACCEPT_ENCODING, HeaderValue};

/// Has a site answer in codings that can be undone, where its answer will be looked into.
pub(crate) fn ask_for_known_codings(worker: &Worker, live: &Live, headers: &mut HeaderMap) {
    let view = worker.view();
    let level = view.who(&live.facts()).level;
    if !view.actions(level).watch() && !view.files(level).bytes() {
        return;
    }
    // A dictionary of an earlier answer, which we do not have (RFC 9842).
    headers.remove("available-dictionary");
    let mut values = headers.get_all(ACCEPT_ENCODING).iter();
    let Some(first) = values.next() else { return };
    if values.next().is_none() && USUAL_CODINGS.contains(&first.as_bytes()) {
        return;
    }
    let known = known_codings(headers);
    headers.insert(ACCEPT_ENCODING, known);
}

/// What browsers send, so that the usual request costs nothing.
const USUAL_CODINGS: [&[u8]; 3] =
    [b"gzip, deflate, br, zstd", b"gzip, deflate, br", b"gzip, deflate"];

/// Those of the codings that a client takes which can be undone here, each with its weight (RFC 9110, 12.5.3).
fn known_codings(headers: &HeaderMap) -> HeaderValue {
    let fields = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
    let known = fields.flat_map(|field| field.split(',')).map(str::trim).filter(|coding| {
        let name = coding.split(';').next().unwrap_or_default().trim();
        ["gzip", "x-gzip", "deflate", "br", "zstd", "identity"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(name))
    });
    let known = known.collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "identity" } else { &known };
    HeaderValue::from_str(known).unwrap_or(HeaderValue::from_static("identity"))
}
