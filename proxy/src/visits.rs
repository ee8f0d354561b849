//! Whether somebody opened what a request asks for, or a page fetched it: read from its head, and remembered for all
//! workers where browsers leave it open.

use crate::body::Incoming;
use crate::connection::Client;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Request};
use rules::time::UnixMillis;
use rules::visit::{Clues, Loads, Visit, told_by};
use std::sync::{Mutex, PoisonError};

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

/// What a head says, read in one go: each look-up of a name that is not there costs more than its fields do. Where the
/// browser says itself what it asks for, the rest is not looked into.
fn clues<'h>(method: &'h str, path: &'h str, headers: &'h HeaderMap) -> Clues<'h> {
    let mut found = Found::default();
    for (name, value) in headers {
        let place = match name.as_str() {
            "sec-fetch-dest" => &mut found.dest,
            "sec-fetch-mode" => &mut found.mode,
            "sec-purpose" | "purpose" => &mut found.purpose,
            "accept" => &mut found.accept,
            "user-agent" => &mut found.agent,
            "x-requested-with" => &mut found.requested_with,
            "origin" => &mut found.origin,
            "content-type" => &mut found.content_type,
            "referer" => &mut found.referer,
            "upgrade" => &mut found.upgrade,
            _ => continue,
        };
        place.get_or_insert(value);
    }
    let text = |value: Option<&'h HeaderValue>| value.and_then(|value| value.to_str().ok());
    let told = Clues {
        method,
        path,
        dest: text(found.dest),
        mode: text(found.mode),
        purpose: text(found.purpose),
        ..Clues::default()
    };
    if told.dest.is_some() {
        return told;
    }
    Clues {
        websocket: found.upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket")),
        accept: beginning(found.accept),
        agent: beginning(found.agent),
        requested_with: text(found.requested_with),
        has_origin: found.origin.is_some(),
        content_type: text(found.content_type),
        referer: text(found.referer),
        ..told
    }
}

/// The fields that say something, each the first of its name.
#[derive(Default)]
struct Found<'h> {
    dest: Option<&'h HeaderValue>,
    mode: Option<&'h HeaderValue>,
    purpose: Option<&'h HeaderValue>,
    accept: Option<&'h HeaderValue>,
    agent: Option<&'h HeaderValue>,
    requested_with: Option<&'h HeaderValue>,
    origin: Option<&'h HeaderValue>,
    content_type: Option<&'h HeaderValue>,
    referer: Option<&'h HeaderValue>,
    upgrade: Option<&'h HeaderValue>,
}

/// As much of a field as is looked at, where that is how it begins.
fn beginning(value: Option<&HeaderValue>) -> Option<&str> {
    let bytes = value?.as_bytes();
    std::str::from_utf8(&bytes[..bytes.len().min(16)]).ok()
}
