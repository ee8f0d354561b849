//! How much is let in: client connections in all and by address, tunnels, requests on shared connections that wait
//! for a connection to their site, and answers that wait for clients which do not read them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bounds of the machine file; 0 means no bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Client connections of the whole process.
    pub(crate) connections: usize,
    /// Client connections from one address.
    pub(crate) connections_per_client: usize,
    /// Tunnels of the whole process.
    pub(crate) tunnels: usize,
    /// Answers over HTTP/2 that wait for their clients.
    pub(crate) unread_streams: usize,
}

/// Which bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All connections. A place must come from the client that holds the most, where that is
    /// another one: whoever takes thousands is the first to go short.
    Total {
        /// The client that holds the most, if it holds more than the one that asks would.
        greediest: Option<IpAddr>,
    },
    /// The client's connections.
    Client,
}

/// Counts what is let in, for all workers together. Asked once a connection or tunnel, and by a request only where it
/// must wait; never by each.
#[derive(Debug)]
pub(crate) struct Admission {
    bounds: Bounds,
    connections: AtomicUsize,
    tunnels: AtomicUsize,
    by_client: Mutex<HashMap<IpAddr, usize>>,
    tunnels_by_client: Mutex<HashMap<IpAddr, usize>>,
    waiting: Mutex<Shared>,
    unread: Mutex<Shared>,
}

/// Places that clients share.
#[derive(Debug, Default)]
struct Shared {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

impl Shared {
    /// Takes a place for a client, of so many. Once all are taken, a client has only its fair part of them, so that one
    /// which takes thousands goes short and the others do not.
    fn take(&mut self, client: IpAddr, bound: usize) -> bool {
        let held = self.of(client);
        if bound != 0 && self.all >= bound {
            let clients = self.by_client.len() + usize::from(held == 0);
            if held >= (bound / clients).max(1) {
                return false;
            }
        }
        self.all += 1;
        self.by_client.insert(client, held + 1);
        true
    }

    fn of(&self, client: IpAddr) -> usize {
        self.by_client.get(&client).copied().unwrap_or_default()
    }

    fn leave(&mut self, client: IpAddr) {
        self.all -= 1;
        leave(&mut self.by_client, client);
    }
}

impl Admission {
    /// Nothing let in yet.
    pub(crate) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            connections: AtomicUsize::new(0),
            tunnels: AtomicUsize::new(0),
            by_client: Mutex::default(),
            tunnels_by_client: Mutex::default(),
            waiting: Mutex::default(),
            unread: Mutex::default(),
        })
    }

    /// Lets a connection in; the place is free again when the ticket is dropped.
    pub(crate) fn connection(self: &Arc<Self>, client: IpAddr) -> Result<Ticket, Full> {
        let mut by_client = lock(&self.by_client);
        let held = by_client.get(&client).copied().unwrap_or_default();
        let bound = self.bounds.connections_per_client;
        if bound != 0 && held >= bound {
            return Err(Full::Client);
        }
        if !take(&self.connections, self.bounds.connections) {
            let greediest = by_client.iter().max_by_key(|(_, held)| **held);
            let greediest = greediest.filter(|(_, most)| **most > held + 1).map(|(who, _)| *who);
            return Err(Full::Total { greediest });
        }
        by_client.insert(client, held + 1);
        Ok(Ticket { admission: Arc::clone(self), client })
    }

    /// Lets a connection in whose place another one is about to leave.
    pub(crate) fn in_place_of_another(self: &Arc<Self>, client: IpAddr) -> Ticket {
        self.connections.fetch_add(1, Ordering::Relaxed);
        *lock(&self.by_client).entry(client).or_insert(0) += 1;
        Ticket { admission: Arc::clone(self), client }
    }

    /// Lets a tunnel in, if there is room, in all and for this client: a connection of HTTP/2 can
    /// carry many.
    pub(crate) fn tunnel(self: &Arc<Self>, client: IpAddr) -> Option<TunnelTicket> {
        let mut by_client = lock(&self.tunnels_by_client);
        let held = by_client.get(&client).copied().unwrap_or_default();
        let bound = self.bounds.connections_per_client;
        if bound != 0 && held >= bound || !take(&self.tunnels, self.bounds.tunnels) {
            return None;
        }
        by_client.insert(client, held + 1);
        Some(TunnelTicket { admission: Arc::clone(self), client })
    }

    /// Lets a request of a shared connection wait for a connection to its site, like one that has a connection of its
    /// own: as many of a client, and as many of all.
    pub(crate) fn waiting_stream(self: &Arc<Self>, client: IpAddr) -> Option<WaitingTicket> {
        let mut waiting = lock(&self.waiting);
        let bound = self.bounds.connections_per_client;
        let has_room = bound == 0 || waiting.of(client) < bound;
        (has_room && waiting.take(client, self.bounds.connections))
            .then(|| WaitingTicket { admission: Arc::clone(self), client })
    }

    /// Lets an answer of a shared connection wait for a client that does not read it: each holds
    /// what its site sent meanwhile.
    pub(crate) fn unread_stream(self: &Arc<Self>, client: IpAddr) -> Option<UnreadTicket> {
        lock(&self.unread)
            .take(client, self.bounds.unread_streams)
            .then(|| UnreadTicket { admission: Arc::clone(self), client })
    }

    /// Tunnels that are open.
    pub(crate) fn open_tunnels(&self) -> usize {
        self.tunnels.load(Ordering::Relaxed)
    }
}

fn take(count: &AtomicUsize, bound: usize) -> bool {
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            (bound == 0 || held < bound).then_some(held + 1)
        })
        .is_ok()
}

/// A connection's place.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Arc<Admission>,
    client: IpAddr,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.connections.fetch_sub(1, Ordering::Relaxed);
        leave(&mut lock(&self.admission.by_client), self.client);
    }
}

/// A tunnel's place.
#[derive(Debug)]
pub(crate) struct TunnelTicket {
    admission: Arc<Admission>,
    client: IpAddr,
}

impl Drop for TunnelTicket {
    fn drop(&mut self) {
        self.admission.tunnels.fetch_sub(1, Ordering::Relaxed);
        leave(&mut lock(&self.admission.tunnels_by_client), self.client);
    }
}

/// The place of a request that waits for a connection to its site.
#[derive(Debug)]
pub(crate) struct WaitingTicket {
    admission: Arc<Admission>,
    client: IpAddr,
}

impl Drop for WaitingTicket {
    fn drop(&mut self) {
        lock(&self.admission.waiting).leave(self.client);
    }
}

/// The place of an answer that waits for its client.
#[derive(Debug)]
pub(crate) struct UnreadTicket {
    admission: Arc<Admission>,
    client: IpAddr,
}

impl Drop for UnreadTicket {
    fn drop(&mut self) {
        lock(&self.admission.unread).leave(self.client);
    }
}

fn lock<T>(places: &Mutex<T>) -> MutexGuard<'_, T> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

fn leave(places: &mut HashMap<IpAddr, usize>, client: IpAddr) {
    if let Some(held) = places.get_mut(&client) {
        *held -= 1;
        if *held == 0 {
            places.remove(&client);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed admission is a failed test")]
    use super::*;

    const BOUNDS: Bounds =
        Bounds { connections: 3, connections_per_client: 2, tunnels: 1, unread_streams: 4 };

    #[test]
    fn whoever_reads_nothing_goes_short_before_the_others() {
        let admission = Admission::new(BOUNDS);
        let (greedy, other, third) =
            ([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), [10, 0, 0, 3].into());
        let mut all: Vec<_> = (0..4).map(|_| admission.unread_stream(greedy).unwrap()).collect();
        assert!(admission.unread_stream(greedy).is_none(), "it has taken every place");
        let others: Vec<_> = (0..2).map(|_| admission.unread_stream(other).unwrap()).collect();
        assert!(admission.unread_stream(other).is_none(), "half of them is its part");
        let _third = admission.unread_stream(third).unwrap();
        assert!(admission.unread_stream(third).is_none(), "a third of four");
        drop(others);
        assert!(admission.unread_stream(greedy).is_none(), "it still holds more than its part");
        all.truncate(1);
        assert!(admission.unread_stream(greedy).is_some(), "places came back");
    }

    #[test]
    fn requests_that_wait_are_counted_like_connections() {
        let admission = Admission::new(BOUNDS);
        let (greedy, other) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let mut waiting: Vec<_> =
            (0..2).map(|_| admission.waiting_stream(greedy).unwrap()).collect();
        assert!(admission.waiting_stream(greedy).is_none(), "two are a client's");
        let _other = admission.waiting_stream(other).unwrap();
        assert!(admission.waiting_stream(other).is_none(), "half of three is its part");
        let _third = admission.waiting_stream([10, 0, 0, 3].into()).unwrap();
        waiting.clear();
        assert!(admission.waiting_stream(greedy).is_some(), "places came back");
        let unbounded = Bounds { connections_per_client: 0, ..BOUNDS };
        let admission = Admission::new(unbounded);
        let waiting: Vec<_> = (0..3).map_while(|_| admission.waiting_stream(greedy)).collect();
        assert_eq!(waiting.len(), 3);
    }

    #[test]
    fn one_client_cannot_take_every_place_and_places_come_back() {
        let admission = Admission::new(BOUNDS);
        let (one, two, three) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), [10, 0, 0, 3].into());
        let first = admission.connection(one).unwrap();
        let _second = admission.connection(one).unwrap();
        assert_eq!(admission.connection(one).unwrap_err(), Full::Client);
        let _other = admission.connection(two).unwrap();
        let nobody_is_greedier = Full::Total { greediest: None };
        assert_eq!(admission.connection(three).unwrap_err(), Full::Total { greediest: Some(one) });
        assert_eq!(admission.connection(two).unwrap_err(), nobody_is_greedier);
        drop(admission.in_place_of_another(three));
        drop(first);
        assert!(admission.connection(three).is_ok());
        let tunnel = admission.tunnel(one).unwrap();
        assert!(admission.tunnel(two).is_none());
        drop(tunnel);
        assert!(admission.tunnel(two).is_some());
    }
}
