//! Room in memory that all share: so many bytes in all, and of those so many for one client, so that none leaves the
//! others without.

use crate::quick_map::QuickMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes by which what grows is counted.
const STEP: u64 = 64 << 10;

/// Bytes of each that grows which are not counted: however many others hold much, each has so many. How many there
/// are at once is bounded by the connections and their streams.
const FREE_OF_EACH: u64 = 256 << 10;

/// The client of an address. A device may take any address of its IPv6 network, which is a /64.
pub(crate) fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// Bytes that may be held.
#[derive(Debug)]
pub(crate) struct Room {
    most: u64,
    most_of_client: u64,
    held: Mutex<HeldBytes>,
}

#[derive(Debug, Default)]
struct HeldBytes {
    all: u64,
    by_client: QuickMap<IpAddr, u64>,
}

/// Bytes that are held for a client; let go of when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    room: Arc<Room>,
    client: IpAddr,
    bytes: u64,
}

impl Room {
    /// Room for so many bytes, and for so many of one client.
    pub(crate) fn new(most: u64, most_of_client: u64) -> Arc<Self> {
        Arc::new(Self { most, most_of_client, held: Mutex::default() })
    }

    /// Nothing held yet for a client.
    pub(crate) fn hold(self: &Arc<Self>, client: IpAddr) -> Held {
        Held { room: Arc::clone(self), client: client_of(client), bytes: 0 }
    }
}

impl Held {
    /// Counts more bytes; `false`, and nothing is counted: so many may not be held.
    pub(crate) fn add(&mut self, bytes: u64) -> bool {
        if bytes == 0 {
            return true;
        }
        let mut held = self.room.held.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = held.by_client.get(&self.client).copied().unwrap_or_default();
        let (all, of_client) = (held.all.saturating_add(bytes), of_client.saturating_add(bytes));
        if all > self.room.most || of_client > self.room.most_of_client {
            return false;
        }
        held.all = all;
        held.by_client.insert(self.client, of_client);
        self.bytes += bytes;
        true
    }

    /// Counts up to so many bytes in all but for the first 256 KiB, and a little more so that it need not be counted
    /// often; `false`, and nothing is counted: so many may not be held.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        let bytes = bytes.saturating_sub(FREE_OF_EACH);
        bytes <= self.bytes || self.add(bytes.next_multiple_of(STEP) - self.bytes)
    }

    /// Counts all of it in another room, if there is so much left in that; else it stays where it is.
    pub(crate) fn move_to(&mut self, room: &Arc<Room>) {
        let mut moved = room.hold(self.client);
        if moved.add(self.bytes) {
            *self = moved;
        }
    }

    /// So many bytes are held no longer.
    pub(crate) fn let_go(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        let mut held = self.room.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= bytes;
        if let Some(of_client) = held.by_client.get_mut(&self.client) {
            *of_client -= bytes;
            if *of_client == 0 {
                held.by_client.remove(&self.client);
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.let_go(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a lock that is broken is a failed test")]
    use super::*;

    #[test]
    fn all_hold_no_more_than_there_is_room_for_and_one_client_no_more_than_its_share() {
        let room = Room::new(400, 200);
        let client = |last| IpAddr::from([10, 0, 0, last]);
        let (mut one, mut again) = (room.hold(client(1)), room.hold(client(1)));
        assert!(one.add(120) && again.add(80));
        assert!(!again.add(1) && !one.add(u64::MAX), "a client holds 200");
        let (mut other, mut third) = (room.hold(client(2)), room.hold(client(3)));
        assert!(other.add(200));
        assert!(!third.add(1), "400 are held");
        one.let_go(20);
        assert!(third.add(20) && !again.add(1));
        drop((one, other));
        assert!(again.add(120) && !again.add(1) && third.add(180));
        drop(again);
        third.let_go(u64::MAX);
        assert!(third.add(0));
        assert_eq!(room.held.lock().unwrap().all, 0);
        assert!(room.held.lock().unwrap().by_client.is_empty());
    }

    #[test]
    fn what_grows_is_counted_by_steps_behind_its_first_bytes() {
        let room = Room::new(3 * STEP, 2 * STEP);
        let mut held = room.hold(IpAddr::from([10, 0, 0, 1]));
        let mut grow_to = |bytes| (held.grow_to(bytes), held.bytes);
        assert_eq!(grow_to(FREE_OF_EACH), (true, 0));
        assert_eq!(grow_to(FREE_OF_EACH + 1), (true, STEP));
        assert_eq!(grow_to(FREE_OF_EACH + STEP), (true, STEP));
        assert_eq!(grow_to(FREE_OF_EACH + STEP + 1), (true, 2 * STEP));
        assert_eq!(grow_to(FREE_OF_EACH + 2 * STEP + 1), (false, 2 * STEP));
        assert_eq!(grow_to(10), (true, 2 * STEP));
        let mut other = room.hold(IpAddr::from([10, 0, 0, 2]));
        assert!(other.add(STEP) && !other.add(1), "all is held");
        assert!(room.hold(IpAddr::from([10, 0, 0, 3])).grow_to(FREE_OF_EACH), "of each");
        drop((held, other));
        assert_eq!(room.held.lock().unwrap().all, 0);
    }

    #[test]
    fn the_addresses_of_one_network_are_one_client() {
        let room = Room::new(400, 200);
        let hold = |address: &str| room.hold(address.parse().unwrap());
        let (mut one, mut other) = (hold("2001:db8::1"), hold("2001:db8::ffff:0:0:2"));
        assert!(one.add(200) && !other.add(1));
        assert!(hold("2001:db8:0:1::1").add(200));
        assert_eq!(client_of("::ffff:10.0.0.1".parse().unwrap()), IpAddr::from([10, 0, 0, 1]));
    }

    #[test]
    fn what_moves_is_counted_where_it_went_if_there_is_room() {
        let (from, to) = (Room::new(400, 200), Room::new(400, 200));
        let client = IpAddr::from([10, 0, 0, 1]);
        let (mut one, mut other) = (from.hold(client), from.hold(client));
        assert!(one.add(150));
        one.move_to(&to);
        assert!(other.add(200));
        other.move_to(&to);
        let all = |room: &Room| room.held.lock().unwrap().all;
        assert_eq!((all(&from), all(&to)), (200, 150), "no more than 200 there");
        one.let_go(100);
        other.move_to(&to);
        assert_eq!((all(&from), all(&to)), (200, 50));
        other.let_go(50);
        other.move_to(&to);
        assert_eq!((all(&from), all(&to)), (0, 200));
        drop((one, other));
        assert_eq!((all(&from), all(&to)), (0, 0));
    }
}
