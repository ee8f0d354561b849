//! How much is let in: client connections in all and by address, tunnels, requests on shared connections that wait
//! for a connection to their site, and answers that wait for clients which do not read them.

use crate::room::client_of;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// More connections than one device has open: browsers allow themselves 32 through a proxy.
const MOST_OF_A_DEVICE: usize = 64;

/// Of the places for tunnels that a network could take, one in so many stays for others. None is taken back, as one
/// that is silent may wait for a message: what is left must be left before. A school behind one address has the rest.
const LEFT_TO_OTHERS: usize = 8;

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
    /// All connections. A place must come from another, of whoever holds the most: whoever takes thousands is the
    /// first to go short.
    Total {
        /// From whose connections it is to come; from the second's where the first's are all in use.
        givers: [Option<Giver>; 2],
    },
    /// The client's connections.
    Client,
}

/// Of whose connections one that rests gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Giver {
    /// Of one address.
    Client(IpAddr),
    /// Of one network: an IPv6 /64, of which a device may take any address, or an IPv4 address.
    Network(IpAddr),
}

impl Giver {
    /// Whether a connection of this address is one of them.
    pub(crate) fn has(self, client: IpAddr) -> bool {
        match self {
            Self::Client(giver) => giver == client,
            Self::Network(giver) => giver == client_of(client),
        }
    }
}

/// Counts what is let in, for all workers together. Asked once a connection or tunnel, and by a request only where it
/// must wait; never by each.
#[derive(Debug)]
pub(crate) struct Admission {
    bounds: Bounds,
    connections: AtomicUsize,
    held: Mutex<Held>,
    tunnels: Mutex<Tunnels>,
    waiting: Mutex<Shared>,
    unread: Mutex<Shared>,
}

/// What is open, connections or tunnels.
#[derive(Debug, Default)]
struct Held {
    by_client: HashMap<IpAddr, usize>,
    by_network: HashMap<IpAddr, usize>,
}

impl Held {
    fn add(&mut self, client: IpAddr) {
        *self.by_client.entry(client).or_insert(0) += 1;
        *self.by_network.entry(client_of(client)).or_insert(0) += 1;
    }

    fn remove(&mut self, client: IpAddr) {
        leave(&mut self.by_client, client);
        leave(&mut self.by_network, client_of(client));
    }

    /// From whom a place for this client is to come: whoever holds the most, if that is more than the client would.
    ///
    /// A network, if the client is not of it, for one device may have thousands of its addresses, each with a
    /// connection; and an address that holds more than any device needs before it, but only where no network holds
    /// more: it may be a school's, and the network one device's. A network of many people may hold the most too; all
    /// that it loses is a connection that rests, its own people take nothing from it as a network, and nor does an
    /// address that holds more than a device needs itself. An address gives to those of its own network, and to
    /// others only what their network holds less.
    fn givers(&self, client: IpAddr) -> [Option<Giver>; 2] {
        let own = client_of(client);
        let of_network = |who| of(&self.by_network, client_of(who));
        let (holds, network_would) = (of(&self.by_client, client), of_network(client) + 1);
        let gives = |who| client_of(who) == own || of_network(who) > network_would;
        let one = greediest(&self.by_client, holds + 1, gives);
        let network = (holds <= MOST_OF_A_DEVICE)
            .then(|| greediest(&self.by_network, network_would, |_| true))
            .flatten();
        let is_one_first = one.is_some_and(|(who, most)| {
            most > MOST_OF_A_DEVICE && network.is_none_or(|(_, most)| of_network(who) >= most)
        });
        let one = one.map(|(client, _)| Giver::Client(client));
        let network = network.map(|(network, _)| Giver::Network(network));
        if is_one_first { [one, network] } else { [network, one] }
    }
}

fn of(places: &HashMap<IpAddr, usize>, who: IpAddr) -> usize {
    places.get(&who).copied().unwrap_or_default()
}

/// Of those that give, whoever holds the most, and how much, if that is more than so much.
fn greediest(
    places: &HashMap<IpAddr, usize>,
    than: usize,
    gives: impl Fn(IpAddr) -> bool,
) -> Option<(IpAddr, usize)> {
    places
        .iter()
        .map(|(who, held)| (*who, *held))
        .filter(|(who, held)| *held > than && gives(*who))
        .max_by_key(|(_, held)| *held)
}

/// Tunnels that are open.
#[derive(Debug, Default)]
struct Tunnels {
    all: usize,
    held: Held,
}

impl Tunnels {
    /// Whether a client may have one more, of so many.
    ///
    /// A network goes short once it holds more than [`LEFT_TO_OTHERS`] - 1 for each place that it leaves. So whoever takes
    /// all that they can, however many networks did before them, leaves something for the next, and networks that hold
    /// little have what there is.
    fn has_place(&self, client: IpAddr, bound: usize) -> bool {
        if bound == 0 {
            return true;
        }
        let Some(left) = bound.saturating_sub(self.all).checked_sub(1) else { return false };
        of(&self.held.by_network, client_of(client)) <= left.saturating_mul(LEFT_TO_OTHERS - 1)
    }
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
            held: Mutex::default(),
            tunnels: Mutex::default(),
            waiting: Mutex::default(),
            unread: Mutex::default(),
        })
    }

    /// Lets a connection in; the place is free again when the ticket is dropped.
    pub(crate) fn connection(self: &Arc<Self>, client: IpAddr) -> Result<Ticket, Full> {
        let mut held = lock(&self.held);
        let bound = self.bounds.connections_per_client;
        if bound != 0 && held.by_client.get(&client).is_some_and(|held| *held >= bound) {
            return Err(Full::Client);
        }
        if !take(&self.connections, self.bounds.connections) {
            return Err(Full::Total { givers: held.givers(client) });
        }
        held.add(client);
        Ok(Ticket { admission: Arc::clone(self), client })
    }

    /// Lets a connection in whose place another one is about to leave.
    pub(crate) fn in_place_of_another(self: &Arc<Self>, client: IpAddr) -> Ticket {
        self.connections.fetch_add(1, Ordering::Relaxed);
        lock(&self.held).add(client);
        Ticket { admission: Arc::clone(self), client }
    }

    /// Lets a tunnel in, if there is room, in all, for this client and for its network: a connection of HTTP/2 can
    /// carry many.
    pub(crate) fn tunnel(self: &Arc<Self>, client: IpAddr) -> Option<TunnelTicket> {
        let mut tunnels = lock(&self.tunnels);
        let bound = self.bounds.connections_per_client;
        let has_room = bound == 0 || of(&tunnels.held.by_client, client) < bound;
        if !has_room || !tunnels.has_place(client, self.bounds.tunnels) {
            return None;
        }
        tunnels.all += 1;
        tunnels.held.add(client);
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
        lock(&self.tunnels).all
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
        lock(&self.admission.held).remove(self.client);
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
        let mut tunnels = lock(&self.admission.tunnels);
        tunnels.all -= 1;
        tunnels.held.remove(self.client);
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

    fn v6(network: u16, host: u16) -> IpAddr {
        IpAddr::from([0xfd00, 0, 0, network, 0, 0, 0, host])
    }

    /// From whom a place for this client is to come, where all are taken.
    fn givers(admission: &Arc<Admission>, client: IpAddr) -> [Option<Giver>; 2] {
        match admission.connection(client) {
            Err(Full::Total { givers }) => givers,
            other => panic!("{other:?}"),
        }
    }

    /// A device may come under any address of its network, and so may a school's twelve hundred.
    #[test]
    fn a_network_gives_way_to_others_and_an_address_of_a_network_that_holds_less_behind_it() {
        let bounds = Bounds { connections: 200, connections_per_client: 0, ..BOUNDS };
        let admission = Admission::new(bounds);
        let givers = |client| givers(&admission, client);
        let mut held: Vec<_> =
            (0..180).map(|host| admission.connection(v6(7, host)).unwrap()).collect();
        held.extend((0..20).map(|host| admission.connection(v6(8, host)).unwrap()));
        let network = Some(Giver::Network(v6(7, 0)));
        assert_eq!(givers(v6(8, 30)), [network, None], "by address nobody holds more");
        assert_eq!(givers([10, 0, 0, 1].into()), [network, None]);
        assert_eq!(givers(v6(7, 300)), [None, None], "of the network itself");
        held.truncate(130);
        let one: IpAddr = [10, 0, 0, 1].into();
        let client = Some(Giver::Client(one));
        held.extend((0..64).map(|_| admission.connection(one).unwrap()));
        held.extend((0..6).map(|host| admission.connection(v6(8, host)).unwrap()));
        assert_eq!(givers(v6(8, 30)), [network, client]);
        assert_eq!(givers(v6(7, 300)), [None, None], "its own network holds more");
        held.remove(0);
        held.push(admission.connection(one).unwrap());
        assert_eq!(givers(v6(8, 30)), [network, client], "another network holds more");
        held.drain(..33);
        held.extend((0..33).map(|_| admission.connection(one).unwrap()));
        assert_eq!(givers(v6(8, 30)), [client, Some(Giver::Network(one))], "nobody holds more");
        assert!(Giver::Network(v6(7, 0)).has(v6(7, 9)) && !Giver::Network(v6(7, 0)).has(v6(8, 9)));
        assert!(Giver::Client(one).has(one) && !Giver::Client(v6(7, 0)).has(v6(7, 9)));
        drop(held);
        let left = lock(&admission.held);
        assert!(left.by_client.is_empty() && left.by_network.is_empty());
    }

    #[test]
    fn an_address_with_more_than_a_device_needs_takes_nothing_from_a_network() {
        let bounds = Bounds { connections: 200, connections_per_client: 0, ..BOUNDS };
        let admission = Admission::new(bounds);
        let greedy: IpAddr = [10, 0, 0, 1].into();
        let mut held: Vec<_> = (0..64).map(|_| admission.connection(greedy).unwrap()).collect();
        // A school: eight devices with 17 each.
        held.extend((0..136).map(|n| admission.connection(v6(7, n % 8)).unwrap()));
        let network = Some(Giver::Network(v6(7, 0)));
        assert_eq!(givers(&admission, greedy), [network, None], "as much as a device needs");
        held.pop();
        held.push(admission.connection(greedy).unwrap());
        assert_eq!(givers(&admission, greedy), [None, None]);
        let client = Some(Giver::Client(greedy));
        assert_eq!(givers(&admission, [10, 0, 0, 2].into()), [network, client]);
    }

    #[test]
    fn a_device_with_many_addresses_takes_nothing_from_a_school_behind_one() {
        let bounds = Bounds { connections: 300, connections_per_client: 0, ..BOUNDS };
        let admission = Admission::new(bounds);
        let school: IpAddr = [10, 0, 0, 1].into();
        let mut held: Vec<_> =
            (0..170).map(|host| admission.connection(v6(7, host)).unwrap()).collect();
        held.extend((0..130).map(|_| admission.connection(school).unwrap()));
        let (network, client) = (Some(Giver::Network(v6(7, 0))), Some(Giver::Client(school)));
        assert_eq!(givers(&admission, v6(7, 300)), [None, None], "of the network that holds more");
        assert_eq!(givers(&admission, [10, 0, 0, 2].into()), [network, client]);
        // Of its own network whoever holds the most gives, though the school's address holds more.
        held.drain(..70);
        held.extend((0..70).map(|_| admission.connection(v6(7, 1)).unwrap()));
        let device = Some(Giver::Client(v6(7, 1)));
        assert_eq!(givers(&admission, v6(7, 300)), [device, None]);
    }

    #[test]
    fn one_client_cannot_take_every_place_and_places_come_back() {
        let admission = Admission::new(BOUNDS);
        let (one, two, three) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), [10, 0, 0, 3].into());
        let first = admission.connection(one).unwrap();
        let _second = admission.connection(one).unwrap();
        assert_eq!(admission.connection(one).unwrap_err(), Full::Client);
        let _other = admission.connection(two).unwrap();
        let nobody_is_greedier = Full::Total { givers: [None, None] };
        let from_one = [Some(Giver::Network(one)), Some(Giver::Client(one))];
        assert_eq!(admission.connection(three).unwrap_err(), Full::Total { givers: from_one });
        assert_eq!(admission.connection(two).unwrap_err(), nobody_is_greedier);
        drop(admission.in_place_of_another(three));
        drop(first);
        assert!(admission.connection(three).is_ok());
        let tunnel = admission.tunnel(one).unwrap();
        assert!(admission.tunnel(two).is_none());
        drop(tunnel);
        assert!(admission.tunnel(two).is_some());
    }

    /// Takes all the tunnels that an admission lets these clients have.
    fn all_tunnels(
        admission: &Arc<Admission>,
        mut clients: impl Iterator<Item = IpAddr>,
    ) -> Vec<TunnelTicket> {
        std::iter::from_fn(|| admission.tunnel(clients.next()?)).collect()
    }

    #[test]
    fn no_network_takes_all_tunnels_and_each_that_comes_finds_some_left() {
        let bounds = Bounds { tunnels: 800, connections_per_client: 0, ..BOUNDS };
        let admission = Admission::new(bounds);
        // A school behind one address has nearly all of them.
        let school = IpAddr::from([10, 0, 0, 1]);
        let of_school = all_tunnels(&admission, std::iter::repeat(school));
        assert_eq!(of_school.len(), 700);
        drop(of_school);
        // A device with all the addresses of its network has no more.
        let greedy = all_tunnels(&admission, (0..2_000).map(|host| v6(7, host)));
        assert_eq!(greedy.len(), 700);
        let second = all_tunnels(&admission, (0..2_000).map(|host| v6(8, host)));
        assert_eq!(second.len(), 87);
        // Devices with little have the rest.
        let few: Vec<_> =
            (0..18).map_while(|device| admission.tunnel([10, 0, 1, device].into())).collect();
        assert_eq!(few.len(), 13);
        assert_eq!(admission.open_tunnels(), 800);
        drop(few);
        assert!(admission.tunnel(v6(7, 3)).is_none(), "it still holds more than its part");
        let third = all_tunnels(&admission, std::iter::repeat(IpAddr::from([10, 0, 0, 3])));
        assert_eq!(third.len(), 11);
        drop((greedy, second, third));
        assert_eq!(admission.open_tunnels(), 0);
        let left = &lock(&admission.tunnels).held;
        assert!(left.by_client.is_empty() && left.by_network.is_empty());
    }
}
