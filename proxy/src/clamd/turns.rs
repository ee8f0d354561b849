//! Whose files the virus scanner has at once.
//!
//! Of all turns a client has at most a quarter, and one at least. A file that is there whole waits for a turn; one that
//! is still coming gets one only where others are left: half of all, and one of its client's own, are for files that
//! are there whole. However slowly files come, those that are there find a turn.

use crate::room::client_of;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The turns of a scanner.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    /// Of those, for files that are still coming.
    early: Arc<Semaphore>,
    of_each: usize,
    /// Of each client that has turns, or waits for one.
    by_client: Mutex<HashMap<IpAddr, OfClient>>,
}

#[derive(Clone, Debug)]
struct OfClient {
    all: Arc<Semaphore>,
    early: Arc<Semaphore>,
}

impl OfClient {
    /// Each turn and each wait for one has its share of it.
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.all) > 1 || Arc::strong_count(&self.early) > 1
    }
}

/// One turn, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permits: [Option<OwnedSemaphorePermit>; 4],
}

impl Turns {
    /// So many in all.
    pub(super) fn new(all: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            early: Arc::new(Semaphore::new(all / 2)),
            of_each: (all / 4).max(1),
            by_client: Mutex::default(),
        }
    }

    /// A turn for a file that is still coming, if one is left.
    pub(super) fn early(&self, client: IpAddr) -> Option<Turn> {
        let of_client = self.of_client(client);
        let permits =
            [of_client.early, of_client.all, Arc::clone(&self.early), Arc::clone(&self.all)];
        let mut taken = [None, None, None, None];
        for (permit, turns) in taken.iter_mut().zip(permits) {
            *permit = Some(turns.try_acquire_owned().ok()?);
        }
        Some(Turn { _permits: taken })
    }

    /// Waits for a turn, of a client or of the watch over the scanner.
    ///
    /// # Errors
    /// None: turns are never closed.
    pub(super) async fn take(&self, client: Option<IpAddr>) -> Result<Turn, AcquireError> {
        // The client's own first: who waits for that stands in nobody's way.
        let of_client = match client {
            Some(client) => Some(self.of_client(client).all.acquire_owned().await?),
            None => None,
        };
        let of_all = Arc::clone(&self.all).acquire_owned().await?;
        Ok(Turn { _permits: [of_client, Some(of_all), None, None] })
    }

    fn of_client(&self, client: IpAddr) -> OfClient {
        let client = client_of(client);
        let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = by_client.get(&client) {
            return known.clone();
        }
        by_client.retain(|_, turns| turns.is_in_use());
        let new = || OfClient {
            all: Arc::new(Semaphore::new(self.of_each)),
            early: Arc::new(Semaphore::new(self.of_each - 1)),
        };
        by_client.entry(client).or_insert_with(new).clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a turn that is not there is a failed test")]
    use super::*;
    use std::task::{Context, Poll, Waker};

    fn client(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// A turn for a file that is whole, if there is one at once.
    fn whole(turns: &Turns, last: u8) -> Option<Turn> {
        let take = std::pin::pin!(turns.take(Some(client(last))));
        match take.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => turn.ok(),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_client_has_a_quarter_of_the_turns_and_is_forgotten_after_its_last() {
        for (all, most) in [(2, 1), (7, 1), (8, 2), (16, 4)] {
            let turns = Turns::new(all);
            let mut taken: Vec<_> = (0..most).map(|_| whole(&turns, 1).unwrap()).collect();
            assert!(whole(&turns, 1).is_none(), "{all}");
            assert!(whole(&turns, 2).is_some(), "{all}");
            taken.pop();
            assert!(whole(&turns, 1).is_some(), "{all}");
            drop(taken);
            assert!(whole(&turns, 3).is_some());
            let _fourth = whole(&turns, 4).unwrap();
            assert!(whole(&turns, 5).is_some());
            let kept = turns.by_client.lock().unwrap().len();
            assert_eq!(kept, 2, "the one that has a turn, and the last");
        }
    }

    #[test]
    fn the_addresses_of_one_network_have_the_turns_of_one_client() {
        let turns = Turns::new(8);
        let early = |address: &str| turns.early(address.parse().unwrap());
        let _one = early("2001:db8::1").unwrap();
        assert!(early("2001:db8::2").is_none() && early("2001:db8:0:1::1").is_some());
    }

    #[test]
    fn files_that_are_still_coming_leave_turns_to_those_that_are_there() {
        let turns = Turns::new(8);
        let mut coming: Vec<_> = (1..=4).map(|last| turns.early(client(last)).unwrap()).collect();
        assert!(turns.early(client(5)).is_none(), "half of all");
        let there: Vec<_> = (1..=4).map(|last| whole(&turns, last).unwrap()).collect();
        assert!(whole(&turns, 1).is_none() && whole(&turns, 5).is_none(), "all eight");
        drop(there);
        coming.remove(0);
        // A client keeps one of its two for files that are there.
        assert!(turns.early(client(2)).is_none() && whole(&turns, 2).is_some());
        assert!(turns.early(client(5)).is_some());
        // With one for each there are none to spare.
        assert!(Turns::new(7).early(client(1)).is_none());
    }
}
