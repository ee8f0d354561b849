//! Whether somebody opened what a request asks for, or a page fetched it: read from its head, and remembered for all
//! workers where browsers leave it open.

use crate::body::Incoming;
use crate::connection::Client;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName, ORIGIN, REFERER, UPGRADE, USER_AGENT};
use hyper::{HeaderMap, Request};
use rules::time::UnixMillis;
use rules::visit::{Clues, Loads, Visit, told_by};
use std::sync::{Mutex, PoisonError};

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const PURPOSE: HeaderName = HeaderName::from_static("purpose");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// The pages that are being loaded.
#[derive(Debug, Default)]
pub(crate) struct Visits(Mutex<Loads>);

impl Visits {
    /// Who asked.
    pub(crate) fn of(&self, client: &Client, request: &Request<Incoming>, at: UnixMillis) -> Visit {
        let headers = request.headers();
        let clues = clues(request.method().as_str(), request.uri().path(), headers);
        told_by(&clues).unwrap_or_else(|| {
            let inside = client.inside.as_ref().map(|inside| inside.host.as_str());
            let Some(host) = inside.or(request.uri().host()) else { return Visit::Opened };
            // It holds times and hashes: what another thread left half done does no harm.
            let mut loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            loads.page(client.address, host, clues.referer, at)
        })
    }
}

/// What a head says. Most requests say all in their first two fields.
fn clues<'h>(method: &'h str, path: &'h str, headers: &'h HeaderMap) -> Clues<'h> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let dest = text(SEC_FETCH_DEST);
    let told = Clues { method, path, dest, mode: text(SEC_FETCH_MODE), ..Clues::default() };
    match dest {
        Some(dest) if dest != "document" => told,
        Some(_) => Clues { purpose: text(SEC_PURPOSE), ..told },
        None => Clues {
            websocket: text(UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case("websocket")),
            purpose: text(SEC_PURPOSE).or_else(|| text(PURPOSE)),
            accept: text(ACCEPT),
            agent: text(USER_AGENT),
            requested_with: text(X_REQUESTED_WITH),
            has_origin: headers.contains_key(ORIGIN),
            content_type: text(CONTENT_TYPE),
            referer: text(REFERER),
            ..told
        },
    }
}
