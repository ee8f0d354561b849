//! Connections to upstreams that belong to one client connection.
//!
//! With NTLM, Negotiate and Kerberos a site signs in the *connection*, not the request (RFC 4559).
//! Whoever sent the next request on it would be that person, so such a connection never goes back
//! to the pool: it waits here for the next request of the same client connection to the same site,
//! which the handshake of these schemes needs as well.

use crate::pool::{Site, Upstream};
use std::cell::RefCell;

/// Most connections kept for one client connection; the one that waits longest gives way.
const MOST_PINS: usize = 8;

/// The waiting connections of one client connection: at most one for each site.
#[derive(Default)]
pub(crate) struct Pins {
    waiting: RefCell<Vec<Upstream>>,
}

impl Pins {
    /// The connection to this site, if one waits and is open.
    pub(crate) fn take(&self, site: &Site) -> Option<Upstream> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            return None;
        }
        waiting.retain(|upstream| !upstream.is_closed());
        let place = waiting.iter().position(|upstream| upstream.site() == site)?;
        let mut upstream = waiting.remove(place);
        upstream.reused = true;
        Some(upstream)
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, upstream: Upstream) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|other| !other.is_closed() && other.site() != upstream.site());
        if waiting.len() >= MOST_PINS {
            waiting.remove(0);
        }
        waiting.push(upstream);
    }
}
