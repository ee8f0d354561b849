//! Certificates of sites, as they were verified last: a client's next connection to the same site
//! then needs no connection of ours before its handshake.

use crate::authority::UpstreamCertificate;
use crate::pool::Site;
use crate::quick_map::QuickMap;
use crate::upstream_tls::Secured;
use crate::worker::Worker;
use std::cell::RefCell;
use std::rc::Rc;

/// Longest that a certificate is held to be the site's, in milliseconds. It only gives ours its
/// names and end: what comes from the site is verified on each connection.
const KNOWN_MS: u64 = 10 * 60 * 1000;
/// Most certificates kept by a worker; then all are forgotten, as most are stale by then.
const MOST: usize = 4096;

/// The certificates that a worker knows.
#[derive(Default)]
pub(crate) struct Certificates {
    known: RefCell<QuickMap<Site, Known>>,
    /// Sites that chose HTTP/2 and then took a request over HTTP/1.1 alone, and until when that is
    /// remembered.
    http1_only: RefCell<QuickMap<Site, u64>>,
}

struct Known {
    certificate: Rc<UpstreamCertificate>,
    http2: bool,
    until_ms: u64,
}

impl Certificates {
    /// The certificate of a site, if one was verified lately.
    pub(crate) fn known(&self, worker: &Worker, site: &Site) -> Option<Rc<UpstreamCertificate>> {
        let known = self.known.borrow();
        let known = known.get(site)?;
        (worker.registry.now_ms() < known.until_ms).then(|| Rc::clone(&known.certificate))
    }

    /// Whether a site is known not to speak HTTP/2.
    pub(crate) fn speaks_http1(&self, site: &Site) -> bool {
        self.known.borrow().get(site).is_some_and(|known| !known.http2)
    }

    /// Whether a site has asked for HTTP/1.1 lately, as some do to sign people in (RFC 9113, 7).
    pub(crate) fn wants_http1(&self, worker: &Worker, site: &Site) -> bool {
        let until = self.http1_only.borrow().get(site).copied();
        until.is_some_and(|until_ms| worker.registry.now_ms() < until_ms)
    }

    /// Remembers that a site asked for HTTP/1.1.
    pub(crate) fn learn_http1(&self, worker: &Worker, site: &Site) {
        let mut http1_only = self.http1_only.borrow_mut();
        if http1_only.len() >= MOST {
            http1_only.clear();
        }
        http1_only.insert(site.clone(), worker.registry.now_ms() + KNOWN_MS);
    }

    /// Remembers the certificate of a verified connection.
    pub(crate) fn learn(&self, worker: &Worker, site: &Site, secured: &Secured) {
        let (_, connection) = secured.stream.get_ref();
        let chain = connection.peer_certificates().unwrap_or_default();
        let Ok(certificate) = UpstreamCertificate::from_chain(chain) else { return };
        let mut known = self.known.borrow_mut();
        if known.len() >= MOST {
            known.clear();
        }
        let until_ms = worker.registry.now_ms() + KNOWN_MS;
        known.insert(
            site.clone(),
            Known { certificate: Rc::new(certificate), http2: secured.h2, until_ms },
        );
    }
}
