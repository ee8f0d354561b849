//! Connections to sites: dialled, secured where the request is https, and spoken to.

use crate::dial::dial;
use crate::pool::{Site, Upstream};
use crate::refuse::SiteFault;
use crate::telemetry::UpstreamError;
use crate::upstream_tls::{Alpn, TlsFault};
use crate::view::View;
use crate::wire::Wire;
use crate::worker::Worker;
use rules::decide::ReasonCode;
use rules::time::UnixMillis;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;

/// Why there is no connection to a site.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unreached {
    /// It does not answer, or not as a site should.
    Down(SiteFault, UpstreamError),
    /// Its certificate or protocol cannot be trusted: a block, with this reason.
    Untrusted(ReasonCode),
}

/// A connection to a site, and whether the site chose HTTP/2.
pub(crate) struct Reached {
    pub(crate) wire: Wire,
    pub(crate) http2: bool,
    /// It has faults that were accepted for this site: no other request may find it in the pool.
    pub(crate) excused: bool,
}

/// Dials the first address that answers, for a client.
pub(crate) async fn tcp(
    worker: &Worker,
    client: IpAddr,
    addresses: &[SocketAddr],
) -> Result<TcpStream, Unreached> {
    match dial(&worker.dials, client, addresses, worker.config.limits.connect_timeout_ms).await {
        Ok(stream) => {
            worker.meters.upstream_new.inc();
            Ok(stream)
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            Err(Unreached::Down(SiteFault::Slow, UpstreamError::Timeout))
        }
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            Err(Unreached::Down(SiteFault::Busy, UpstreamError::Connect))
        }
        Err(_) => Err(Unreached::Down(SiteFault::Refused, UpstreamError::Connect)),
    }
}

/// Dials a site, for a client, and makes sure that it is the one that was asked for.
pub(crate) async fn secure(
    worker: &Worker,
    view: &View,
    site: &Site,
    (client, addresses): (IpAddr, &[SocketAddr]),
    alpn: Alpn,
    at: UnixMillis,
) -> Result<Reached, Unreached> {
    let wants_http1 = worker.certificates.wants_http1(worker, site);
    let alpn = if wants_http1 { Alpn::Http1 } else { alpn };
    let stream = tcp(worker, client, addresses).await?;
    let accepted = view.snapshot.certificate_exception(&site.host, at);
    let excused = accepted.is_some();
    let handshake = worker.upstream_tls.connect(&site.host, stream, alpn, accepted);
    let limit = Duration::from_millis(worker.config.limits.connect_timeout_ms);
    match tokio::time::timeout(limit, handshake).await {
        Ok(Ok(secured)) => {
            if !excused {
                worker.certificates.learn(worker, site, &secured);
            }
            Ok(Reached { wire: Wire::Site(Box::new(secured.stream)), http2: secured.h2, excused })
        }
        Ok(Err(TlsFault::Refused(code, detail))) => {
            tracing::debug!(code = code.as_str(), detail, "a site's TLS cannot be trusted");
            Err(Unreached::Untrusted(code))
        }
        Ok(Err(TlsFault::Broken)) => Err(Unreached::Down(SiteFault::Broken, UpstreamError::Closed)),
        Err(_) => Err(Unreached::Down(SiteFault::Slow, UpstreamError::Timeout)),
    }
}

/// Speaks the protocol that the site chose.
pub(crate) async fn speak(
    worker: &Worker,
    site: Site,
    reached: Reached,
) -> Result<Upstream, Unreached> {
    let Reached { wire, http2, excused } = reached;
    let upstream = if http2 {
        Upstream::http2(&worker.upstream_http2, wire, site).await.ok()
    } else {
        Upstream::http1(&worker.upstream_http, wire, site).await.ok()
    };
    let mut upstream = upstream.ok_or(Unreached::Down(SiteFault::Broken, UpstreamError::Closed))?;
    if excused {
        upstream.retire();
    }
    worker.pool.share(&upstream);
    Ok(upstream)
}
