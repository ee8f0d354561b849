//! Connections to upstreams, kept for the next request to the same host and port.
//!
//! One pool a worker, so nothing is locked and no request changes threads. A connection goes back
//! only when its response has ended in order and its request was sent whole; it is closed by a
//! bound on how many wait for one host, or when it has waited too long. One that a site may have
//! signed somebody in on goes back to that client alone (`pins`).

use crate::body::Ask;
use crate::live::Registry;
use crate::pins::Pins;
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use rules::host::Host;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use tokio::task::AbortHandle;

/// A connection to an upstream, in use by one exchange.
pub(crate) struct Upstream {
    sender: SendRequest<Ask>,
    driver: AbortHandle,
    host: Host,
    port: u16,
    /// The last request was sent whole; otherwise its rest would run into the next one.
    sent: Rc<Cell<bool>>,
    reusable: bool,
    /// The client connection that alone may use it again.
    owner: Option<Weak<Pins>>,
    /// It carried a request before: a failure may only mean that it was closed while idle.
    pub(crate) reused: bool,
}

impl Upstream {
    /// A fresh connection; `driver` is the task that moves its bytes.
    pub(crate) fn new(
        sender: SendRequest<Ask>,
        driver: AbortHandle,
        host: Host,
        port: u16,
    ) -> Self {
        Self {
            sender,
            driver,
            host,
            port,
            sent: Rc::new(Cell::new(true)),
            reusable: true,
            owner: None,
            reused: false,
        }
    }

    /// Waits until a request can be sent; `false` if the connection is closed.
    pub(crate) async fn ready(&mut self) -> bool {
        self.sender.is_ready() || self.sender.ready().await.is_ok()
    }

    /// Sends a request. The error gives it back where not a byte of it was sent.
    pub(crate) fn send(
        &mut self,
        request: Request<Ask>,
    ) -> impl Future<
        Output = Result<hyper::Response<Incoming>, hyper::client::conn::TrySendError<Request<Ask>>>,
    > + use<> {
        self.sent = match request.body() {
            Ask::Empty => Rc::new(Cell::new(true)),
            Ask::Forwarded { sent, .. } => Rc::clone(sent),
        };
        self.sender.try_send_request(request)
    }

    /// The connection must not be used again, whatever else happens.
    pub(crate) fn retire(&mut self) {
        self.reusable = false;
    }

    /// Nobody but this client connection may use the connection again.
    pub(crate) fn pin(&mut self, owner: &Rc<Pins>) {
        self.owner = Some(Rc::downgrade(owner));
    }

    /// Whether the other end, or a fault, has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether it is a connection to this host and port.
    pub(crate) fn leads_to(&self, host: &Host, port: u16) -> bool {
        self.port == port && self.host == *host
    }

    /// Whether it leads where another one does.
    pub(crate) fn leads_to_the_site_of(&self, other: &Upstream) -> bool {
        self.leads_to(&other.host, other.port)
    }
}

impl Drop for Upstream {
    /// Closes the connection: a dropped exchange must not leave half a request or response behind.
    fn drop(&mut self) {
        self.driver.abort();
    }
}

struct Idle {
    upstream: Upstream,
    since_ms: u64,
}

/// Bounds of a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolLimits {
    /// Longest that a connection waits for its next request, in milliseconds.
    pub(crate) idle_ms: u64,
    /// Most connections that wait for one host and port.
    pub(crate) per_host: usize,
}

/// The waiting connections of one worker.
pub(crate) struct Pool {
    registry: Rc<Registry>,
    limits: PoolLimits,
    idle: RefCell<HashMap<Host, Vec<Idle>>>,
}

impl Pool {
    /// An empty pool on a worker's clock.
    pub(crate) fn new(registry: &Rc<Registry>, limits: PoolLimits) -> Rc<Self> {
        Rc::new(Self { registry: Rc::clone(registry), limits, idle: RefCell::default() })
    }

    /// The connection to this host and port that was used last, if one waits.
    pub(crate) fn take(&self, host: &Host, port: u16) -> Option<Upstream> {
        let mut idle = self.idle.borrow_mut();
        let waiting = idle.get_mut(host)?;
        while let Some(place) = waiting.iter().rposition(|entry| entry.upstream.port == port) {
            let mut upstream = waiting.swap_remove(place).upstream;
            if !upstream.is_closed() {
                upstream.reused = true;
                return Some(upstream);
            }
        }
        None
    }

    /// Takes a connection back, or closes it where it cannot be used again. One with an owner goes
    /// to its owner.
    pub(crate) fn give_back(&self, upstream: Upstream) {
        if !upstream.reusable || !upstream.sent.get() || upstream.is_closed() {
            return;
        }
        if let Some(owner) = upstream.owner.clone() {
            if let Some(pins) = owner.upgrade() {
                pins.keep(upstream);
            }
            return;
        }
        let since_ms = self.registry.now_ms();
        let mut idle = self.idle.borrow_mut();
        if let Some(waiting) = idle.get_mut(&upstream.host) {
            if waiting.len() >= self.limits.per_host {
                waiting.remove(0);
            }
            waiting.push(Idle { upstream, since_ms });
        } else if self.limits.per_host > 0 {
            idle.insert(upstream.host.clone(), vec![Idle { upstream, since_ms }]);
        }
    }

    /// Closes connections that have waited too long, and forgets those that the other end closed.
    pub(crate) fn close_stale(&self) {
        let now = self.registry.now_ms();
        self.idle.borrow_mut().retain(|_, waiting| {
            waiting.retain(|entry| {
                !entry.upstream.is_closed()
                    && now.saturating_sub(entry.since_ms) < self.limits.idle_ms
            });
            !waiting.is_empty()
        });
    }

    /// Connections that wait.
    pub(crate) fn len(&self) -> usize {
        self.idle.borrow().values().map(Vec::len).sum()
    }
}
