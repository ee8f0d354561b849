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
/// browser says itself what it asks for, no more is looked into than what shows that this was written over.
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
            "upgrade-insecure-requests" => &mut found.upgrades,
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
        accept: beginning(found.accept),
        upgrades: found.upgrades.is_some_and(|value| value.as_bytes() == b"1"),
        requested_with: text(found.requested_with),
        ..Clues::default()
    };
    if told.dest.is_some() {
        return told;
    }
    Clues {
        websocket: found.upgrade.is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket")),
        agent: beginning(found.agent),
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
    upgrades: Option<&'h HeaderValue>,
}

/// As much of a field as is looked at, where that is how it begins.
fn beginning(value: Option<&HeaderValue>) -> Option<&str> {
    let bytes = value?.as_bytes();
    std::str::from_utf8(&bytes[..bytes.len().min(16)]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_calls_a_page_a_picture_is_looked_into() {
        let told = |fields: &[(&'static str, &'static str)]| {
            let fields = fields.iter().map(|(name, value)| {
                (hyper::header::HeaderName::from_static(name), HeaderValue::from_static(value))
            });
            let headers: HeaderMap = fields.collect();
            told_by(&clues("GET", "/", &headers))
        };
        let picture = ("sec-fetch-dest", "image");
        assert_eq!(told(&[picture, ("accept", "image/png,*/*;q=0.8")]), Some(Visit::Part));
        let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        assert_eq!(told(&[picture, html]), Some(Visit::Opened));
        assert_eq!(told(&[("upgrade-insecure-requests", "1"), picture]), Some(Visit::Opened));
        let script = ("x-requested-with", "XMLHttpRequest");
        assert_eq!(told(&[picture, html, script]), Some(Visit::Part));
    }
}
