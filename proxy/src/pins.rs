//! Connections to upstreams that belong to one client connection.
//!
//! With NTLM, Negotiate and Kerberos a site signs in the *connection*, not the request (RFC 4559).
//! Whoever sent the next request on it would be that person, so such a connection never goes back
//! to the pool: it waits here for the next request of the same client connection to the same site,
//! which the handshake of these schemes needs as well.

use crate::pool::Upstream;
use rules::host::Host;
use std::cell::RefCell;

/// Most connections kept for one client connection; the one that waits longest gives way.
const MOST_PINS: usize = 8;

/// The waiting connections of one client connection: at most one for each host and port.
#[derive(Default)]
pub(crate) struct Pins {
    waiting: RefCell<Vec<Upstream>>,
}

impl Pins {
    /// The connection to this host and port, if one waits and is open.
    pub(crate) fn take(&self, host: &Host, port: u16) -> Option<Upstream> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            return None;
        }
        waiting.retain(|upstream| !upstream.is_closed());
        let place = waiting.iter().position(|upstream| upstream.leads_to(host, port))?;
        let mut upstream = waiting.remove(place);
        upstream.reused = true;
        Some(upstream)
    }

    /// Keeps a connection for the next request.
    pub(crate) fn keep(&self, upstream: Upstream) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|other| !other.is_closed() && !other.leads_to_the_site_of(&upstream));
        if waiting.len() >= MOST_PINS {
            waiting.remove(0);
        }
        waiting.push(upstream);
    }
}
