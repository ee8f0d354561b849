//! Connections to sites that are being made: requests of a page do not each make one where one of HTTP/2 will carry
//! them all, and one address that never answers does not have all that the filter could dial with.

use crate::pool::Site;
use crate::quick_map::QuickMap;
use crate::room::client_of;
use std::cell::{Cell, RefCell};
use std::hash::Hash;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Connections that one worker makes at once to one address and port. Each holds a socket until the address answers
/// or `connect_timeout_ms` is over: one that answers in 20 ms gets 12,800 a second, one that never does holds no more.
const MOST_TO_ONE: usize = 256;
/// Of those for one client, so that a fourth of them is the most that it keeps others from.
const MOST_OF_CLIENT: usize = MOST_TO_ONE / 4;
/// Most that wait behind either number; they hold no socket.
const MOST_WAITING: usize = 1_024;

/// What one worker is dialling.
pub(crate) struct Dials {
    under_way: RefCell<QuickMap<Site, Rc<Notify>>>,
    by_address: Rc<Lines<SocketAddr>>,
    /// By network of IPv6: a device may take any address of its own.
    by_client: Rc<Lines<(SocketAddr, IpAddr)>>,
}

impl Default for Dials {
    fn default() -> Self {
        let under_way = RefCell::default();
        Self {
            under_way,
            by_address: Lines::new(MOST_TO_ONE),
            by_client: Lines::new(MOST_OF_CLIENT),
        }
    }
}

/// A connection that is being made; others wait until this is dropped.
pub(crate) struct Dialling {
    dials: Rc<Dials>,
    site: Site,
}

impl Dials {
    /// Begins one; the error is what tells when the one under way has come to an end.
    pub(crate) fn begin(self: &Rc<Self>, site: &Site) -> Result<Dialling, Rc<Notify>> {
        let mut under_way = self.under_way.borrow_mut();
        if let Some(other) = under_way.get(site) {
            return Err(Rc::clone(other));
        }
        under_way.insert(site.clone(), Rc::default());
        Ok(Dialling { dials: Rc::clone(self), site: site.clone() })
    }

    /// Whether one more of a client may wait for a connection to any of these.
    pub(crate) fn has_room(&self, client: IpAddr, addresses: &[SocketAddr]) -> bool {
        let client = client_of(client);
        addresses.iter().map(|address| unmapped(*address)).any(|address| {
            self.by_address.has_room(&address) && self.by_client.has_room(&(address, client))
        })
    }

    /// Waits for a place to dial an address. It is free again when this is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`]: too many wait already.
    pub(crate) async fn place(&self, client: IpAddr, address: SocketAddr) -> io::Result<Place> {
        let address = unmapped(address);
        // Whoever has more than its part waits here, and not in the line of all.
        let of_client = self.by_client.place((address, client_of(client))).await?;
        let of_all = self.by_address.place(address).await?;
        Ok(Place { _of_all: of_all, _of_client: of_client })
    }
}

/// The address as it is dialled: a mapped one is another spelling of the same.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Drop for Dialling {
    fn drop(&mut self) {
        if let Some(waiting) = self.dials.under_way.borrow_mut().remove(&self.site) {
            waiting.notify_waiters();
        }
    }
}

/// Leave to dial an address.
pub(crate) struct Place {
    _of_all: InLine<SocketAddr>,
    _of_client: InLine<(SocketAddr, IpAddr)>,
}

/// A line for each key, of which so many are served at once.
struct Lines<K> {
    at_once: usize,
    lines: RefCell<QuickMap<K, Line>>,
}

struct Line {
    places: Arc<Semaphore>,
    /// Those served, and those who wait.
    inside: Cell<usize>,
}

/// Somebody in a line, served or not.
struct InLine<K: Eq + Hash> {
    /// Given back before the line may go.
    served: Option<OwnedSemaphorePermit>,
    lines: Rc<Lines<K>>,
    key: K,
}

impl<K: Clone + Eq + Hash> Lines<K> {
    fn new(at_once: usize) -> Rc<Self> {
        Rc::new(Self { at_once, lines: RefCell::default() })
    }

    fn has_room(&self, key: &K) -> bool {
        let most = self.at_once + MOST_WAITING;
        self.lines.borrow().get(key).is_none_or(|line| line.inside.get() < most)
    }

    async fn place(self: &Rc<Self>, key: K) -> io::Result<InLine<K>> {
        let busy = || io::Error::from(io::ErrorKind::ResourceBusy);
        if !self.has_room(&key) {
            return Err(busy());
        }
        let places = {
            let mut lines = self.lines.borrow_mut();
            let line = lines.entry(key.clone()).or_insert_with(|| Line {
                places: Arc::new(Semaphore::new(self.at_once)),
                inside: Cell::new(0),
            });
            line.inside.set(line.inside.get() + 1);
            Arc::clone(&line.places)
        };
        let mut in_line = InLine { served: None, lines: Rc::clone(self), key };
        // It fails only where a line was closed, which none is.
        in_line.served = Some(places.acquire_owned().await.map_err(|_| busy())?);
        Ok(in_line)
    }
}

impl<K: Eq + Hash> Drop for InLine<K> {
    fn drop(&mut self) {
        self.served.take();
        let mut lines = self.lines.lines.borrow_mut();
        if let Some(line) = lines.get(&self.key) {
            line.inside.set(line.inside.get() - 1);
            if line.inside.get() == 0 {
                lines.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed fixture is a failed test")]
    use super::*;
    use rules::host::Host;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_then_may_dial() {
        let dials = Rc::new(Dials::default());
        let host = Host::parse("site.test").unwrap();
        let site = Site { host, port: 443, secure: true, dialled: None };
        let first = dials.begin(&site).ok().unwrap();
        let other = dials.begin(&site).err().unwrap();
        let mut waiting = std::pin::pin!(other.notified());
        waiting.as_mut().enable();
        drop(first);
        waiting.await;
        assert!(dials.begin(&site).is_ok());
    }

    type Asking<'a> = Pin<Box<dyn Future<Output = io::Result<Place>> + 'a>>;

    /// What becomes of somebody who asks for a place.
    enum Asked<'a> {
        Dials { _place: Place },
        Waits(Asking<'a>),
        Refused(io::ErrorKind),
    }

    impl Asked<'_> {
        fn word(&self) -> &'static str {
            match self {
                Self::Dials { .. } => "dials",
                Self::Waits(_) => "waits",
                Self::Refused(io::ErrorKind::ResourceBusy) => "refused",
                Self::Refused(_) => "failed",
            }
        }
    }

    fn look(mut asking: Asking<'_>) -> Asked<'_> {
        match asking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(place)) => Asked::Dials { _place: place },
            Poll::Ready(Err(error)) => Asked::Refused(error.kind()),
            Poll::Pending => Asked::Waits(asking),
        }
    }

    fn ask(dials: &Dials, client: u16, address: SocketAddr) -> Asked<'_> {
        let [high, low] = client.to_be_bytes();
        look(Box::pin(dials.place(IpAddr::from([10, 0, high, low]), address)))
    }

    const SILENT: SocketAddr =
        SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::new(192, 0, 2, 1), 443));

    #[test]
    fn one_client_has_a_part_of_the_places_to_an_address_and_others_the_rest() {
        let dials = Dials::default();
        let mut greedy: Vec<_> = (0..MOST_OF_CLIENT).map(|_| ask(&dials, 1, SILENT)).collect();
        assert!(greedy.iter().all(|asked| asked.word() == "dials"));
        greedy.extend((0..MOST_WAITING).map(|_| ask(&dials, 1, SILENT)));
        assert_eq!(greedy[MOST_OF_CLIENT].word(), "waits");
        assert_eq!(greedy[MOST_OF_CLIENT + MOST_WAITING - 1].word(), "waits");
        let mapped = "[::ffff:192.0.2.1]:443".parse().unwrap();
        for address in [SILENT, mapped] {
            assert_eq!(ask(&dials, 1, address).word(), "refused", "{address}");
            assert!(!dials.has_room(IpAddr::from([10, 0, 0, 1]), &[address]), "{address}");
        }
        let other_port = SocketAddr::new(SILENT.ip(), 80);
        assert_eq!(ask(&dials, 1, other_port).word(), "dials");
        assert!(dials.has_room(IpAddr::from([10, 0, 0, 1]), &[SILENT, other_port]));
        assert_eq!(ask(&dials, 2, SILENT).word(), "dials", "another client");
        greedy.clear();
        // A device may take any address of its network.
        let v6 = |network: u16, host: u16| IpAddr::from([0xfd00, 0, 0, network, 0, 0, 0, host]);
        let from = |client| look(Box::pin(dials.place(client, SILENT)));
        greedy.extend((0..MOST_OF_CLIENT as u16).map(|host| from(v6(7, host))));
        assert!(greedy.iter().all(|asked| asked.word() == "dials"));
        greedy.extend((0..MOST_WAITING as u16).map(|host| from(v6(7, 1_000 + host))));
        assert_eq!(greedy[MOST_OF_CLIENT].word(), "waits");
        assert_eq!(from(v6(7, 5_000)).word(), "refused");
        assert!(!dials.has_room(v6(7, 5_000), &[SILENT]));
        assert_eq!(from(v6(8, 1)).word(), "dials", "another network");
        assert!(dials.has_room(v6(8, 1), &[SILENT]));
        greedy.clear();
        assert!(
            dials.by_address.lines.borrow().is_empty() && dials.by_client.lines.borrow().is_empty()
        );
    }

    #[test]
    fn an_address_has_so_many_places_then_a_line_and_then_nobody_else_waits() {
        let dials = Dials::default();
        let clients = (MOST_TO_ONE + MOST_WAITING) as u16;
        let mut all: Vec<_> = (0..clients).map(|client| ask(&dials, client, SILENT)).collect();
        let count = |all: &[Asked<'_>], word| all.iter().filter(|it| it.word() == word).count();
        assert_eq!((count(&all, "dials"), count(&all, "waits")), (MOST_TO_ONE, MOST_WAITING));
        assert_eq!(ask(&dials, clients, SILENT).word(), "refused");
        // Whoever came first goes first, and a line has room again once somebody has left it.
        drop(all.remove(0));
        let Asked::Waits(first) = all.remove(MOST_TO_ONE - 1) else { panic!("it does not wait") };
        let first = look(first);
        assert_eq!(first.word(), "dials");
        let last = ask(&dials, clients, SILENT);
        assert_eq!(last.word(), "waits");
        drop((first, last, all));
        assert!(
            dials.by_address.lines.borrow().is_empty() && dials.by_client.lines.borrow().is_empty()
        );
    }
}
