//! Password checks that wait their turn: client addresses take turns, whatever each one asks for.
//!
//! A check costs so much that a single machine can ask for more of them than there is time for.
//! It then waits behind itself alone: somebody at another address is next but one.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// Whose turn it is: an IPv4 address, or the first 64 bits of an IPv6 one. A machine has as many of
/// the latter as it likes within them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asker(IpAddr);

impl From<IpAddr> for Asker {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 => v4,
        })
    }
}

/// What is checked, for whom: the same credentials of two askers are two jobs, so that nobody waits
/// in another's line.
pub(crate) type JobKey<K> = (Asker, K);

struct Job<W, A> {
    /// `None` while it is being done.
    work: Option<W>,
    waiters: Vec<Sender<A>>,
}

impl<W, A> Job<W, A> {
    /// Whether everybody who waited has gone.
    fn is_abandoned(&self) -> bool {
        self.waiters.iter().all(Sender::is_closed)
    }
}

/// The queue: jobs named by `K`, of work `W`, answered with `A`. Bounded for each asker and in all.
pub(crate) struct Queue<K, W, A> {
    most: usize,
    most_of_one: usize,
    jobs: HashMap<JobKey<K>, Job<W, A>>,
    /// Jobs not yet begun, by asker, oldest first; no line is empty.
    lines: HashMap<Asker, VecDeque<K>>,
    /// The askers that have a line, each once, next first.
    turns: VecDeque<Asker>,
    waiting: usize,
}

impl<K: Copy + Eq + std::hash::Hash, W, A> Queue<K, W, A> {
    /// An empty queue for at most `most` jobs that wait, and `most_of_one` of one asker.
    pub(crate) fn new(most: usize, most_of_one: usize) -> Self {
        Self {
            most,
            most_of_one,
            jobs: HashMap::new(),
            lines: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
        }
    }

    /// Waits for a job, which is put in line if the asker has it neither there nor at work. `None`:
    /// there is no place. A receiver whose sender is dropped lost its place to another asker.
    pub(crate) fn join(&mut self, asker: Asker, key: K, work: W) -> Option<Receiver<A>> {
        let (sender, receiver) = channel();
        if let Some(job) = self.jobs.get_mut(&(asker, key)) {
            job.waiters.retain(|waiter| !waiter.is_closed());
            job.waiters.push(sender);
            return Some(receiver);
        }
        if self.length(asker) >= self.most_of_one && !self.drop_abandoned(asker) {
            return None;
        }
        if self.waiting >= self.most && !self.make_room(asker) {
            return None;
        }
        self.jobs.insert((asker, key), Job { work: Some(work), waiters: vec![sender] });
        let line = self.lines.entry(asker).or_default();
        if line.is_empty() {
            self.turns.push_back(asker);
        }
        line.push_back(key);
        self.waiting += 1;
        Some(receiver)
    }

    /// The next job to do, of the asker whose turn it is. Jobs that nobody waits for any more are
    /// dropped on the way.
    pub(crate) fn begin(&mut self) -> Option<(JobKey<K>, W)> {
        while let Some(asker) = self.turns.pop_front() {
            let Some(line) = self.lines.get_mut(&asker) else { continue };
            let next = line.pop_front();
            if line.is_empty() {
                self.lines.remove(&asker);
            } else {
                self.turns.push_back(asker);
            }
            let Some(key) = next else { continue };
            self.waiting -= 1;
            let Some(job) = self.jobs.get_mut(&(asker, key)) else { continue };
            if job.is_abandoned() {
                self.jobs.remove(&(asker, key));
            } else if let Some(work) = job.work.take() {
                return Some(((asker, key), work));
            }
        }
        None
    }

    /// Ends a job; those who wait for it are to be told.
    pub(crate) fn end(&mut self, key: &JobKey<K>) -> Vec<Sender<A>> {
        self.jobs.remove(key).map(|job| job.waiters).unwrap_or_default()
    }

    /// How many jobs wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many jobs of an asker wait.
    fn length(&self, asker: Asker) -> usize {
        self.lines.get(&asker).map_or(0, VecDeque::len)
    }

    /// Drops the jobs in an asker's line that nobody waits for; whether there were any.
    fn drop_abandoned(&mut self, asker: Asker) -> bool {
        let Some(line) = self.lines.get_mut(&asker) else { return false };
        let before = line.len();
        line.retain(|key| {
            let gone = self.jobs.get(&(asker, *key)).is_none_or(Job::is_abandoned);
            if gone {
                self.jobs.remove(&(asker, *key));
            }
            !gone
        });
        let dropped = before - line.len();
        self.waiting -= dropped;
        if line.is_empty() {
            self.lines.remove(&asker);
            self.turns.retain(|turn| *turn != asker);
        }
        dropped > 0
    }

    /// Makes a place in a full queue: the longest line loses its last job, unless that of the asker
    /// would then be the longest itself. Many machines that ask too much cannot shut out one more.
    fn make_room(&mut self, asker: Asker) -> bool {
        let longest = self.lines.iter().max_by_key(|(_, line)| line.len());
        let Some((longest, length)) = longest.map(|(longest, line)| (*longest, line.len())) else {
            return false;
        };
        if self.drop_abandoned(longest) {
            return true;
        }
        if length < self.length(asker) + 2 {
            return false;
        }
        // A line of two and more is not empty without its last.
        if let Some(key) = self.lines.get_mut(&longest).and_then(VecDeque::pop_back) {
            self.jobs.remove(&(longest, key));
            self.waiting -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]
    use super::*;
    use proptest::prelude::*;

    type Small = Queue<u32, u32, bool>;

    fn asker(last: u8) -> Asker {
        IpAddr::from([127, 0, 0, last]).into()
    }

    fn order(queue: &mut Small) -> Vec<u32> {
        std::iter::from_fn(|| queue.begin().map(|(_, work)| work)).collect()
    }

    #[test]
    fn addresses_take_turns_whoever_asked_first_and_however_often() {
        let mut queue = Small::new(1_000, 1_000);
        let mut kept = Vec::new();
        for i in 0..300 {
            kept.push(queue.join(asker(5), i, i).unwrap());
        }
        kept.push(queue.join(asker(6), 1_000, 1_000).unwrap());
        kept.push(queue.join(asker(7), 2_000, 2_000).unwrap());
        kept.push(queue.join(asker(6), 1_001, 1_001).unwrap());
        let order = order(&mut queue);
        assert_eq!(order[..7], [0, 1_000, 2_000, 1, 1_001, 2, 3]);
        assert_eq!(order.len(), 303);
    }

    #[test]
    fn a_full_line_turns_away_its_own_address_alone() {
        let mut queue = Small::new(100, 3);
        let kept: Vec<_> = (0..5).map(|i| queue.join(asker(5), i, i)).collect();
        assert_eq!(kept.iter().filter(|place| place.is_some()).count(), 3);
        assert!(queue.join(asker(5), 0, 0).is_some(), "one that waits already needs no place");
        assert!(queue.join(asker(6), 9, 9).is_some());
    }

    #[test]
    fn the_longest_line_gives_way_when_all_places_are_taken() {
        let mut queue = Small::new(6, 5);
        let mut flood: Vec<_> = (0..5).map(|i| queue.join(asker(5), i, i).unwrap()).collect();
        let six = queue.join(asker(6), 10, 10).unwrap();
        let seven = queue.join(asker(7), 20, 20).unwrap();
        assert!(flood[4].try_recv().is_err_and(|e| e == oneshot_closed()), "the last was dropped");
        assert!(flood[..4].iter_mut().all(|place| place.try_recv() != Err(oneshot_closed())));
        assert!(queue.join(asker(5), 5, 5).is_none(), "and does not come back");
        assert_eq!(order(&mut queue), [0, 10, 20, 1, 2, 3]);
        drop((six, seven));
    }

    fn oneshot_closed() -> tokio::sync::oneshot::error::TryRecvError {
        tokio::sync::oneshot::error::TryRecvError::Closed
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_done() {
        let mut queue = Small::new(100, 3);
        let gone: Vec<_> = (0..3).map(|i| queue.join(asker(5), i, i).unwrap()).collect();
        let again = queue.join(asker(5), 1, 1).unwrap();
        drop(gone);
        let fresh = queue.join(asker(5), 7, 7);
        assert!(fresh.is_some(), "the places of those that left are free");
        assert_eq!(order(&mut queue), [1, 7], "one of two waiters is enough");
        drop(again);
        let left = queue.join(asker(6), 8, 8);
        drop(left);
        assert_eq!(order(&mut queue), Vec::<u32>::new());
    }

    #[test]
    fn whoever_asks_while_it_is_done_is_told_too_and_then_it_is_forgotten() {
        let mut queue = Small::new(100, 3);
        let first = queue.join(asker(5), 1, 1).unwrap();
        let (key, _) = queue.begin().unwrap();
        let second = queue.join(asker(5), 1, 1).unwrap();
        assert!(queue.begin().is_none(), "it is done once");
        assert_eq!(queue.end(&key).len(), 2);
        let third = queue.join(asker(5), 1, 1).unwrap();
        assert!(queue.begin().is_some(), "and anew when asked for afterwards");
        drop((first, second, third));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_asker() {
        let of = |text: &str| Asker::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:0:9"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:127.0.0.5"), asker(5));
        assert_ne!(asker(5), asker(6));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_done_twice_and_the_bounds_hold(
            steps in prop::collection::vec((0u8..4, 0u8..5, 0u32..12), 1..200),
        ) {
            let mut queue = Small::new(7, 3);
            let mut held = Vec::new();
            let mut at_work = Vec::new();
            for (step, who, key) in steps {
                match step {
                    0 | 1 => held.extend(queue.join(asker(who), key, key)),
                    2 if !held.is_empty() => drop(held.swap_remove(key as usize % held.len())),
                    _ => {
                        if let Some((key, _)) = queue.begin() {
                            prop_assert!(!at_work.contains(&key));
                            at_work.push(key);
                        } else if let Some(key) = at_work.pop() {
                            queue.end(&key);
                        }
                    }
                }
                let lines: usize = queue.lines.values().map(VecDeque::len).sum();
                prop_assert_eq!(lines, queue.waiting);
                prop_assert!(lines <= 7 && queue.lines.values().all(|line| (1..=3).contains(&line.len())));
                prop_assert_eq!(queue.turns.len(), queue.lines.len());
                prop_assert!(queue.turns.iter().all(|turn| queue.lines.contains_key(turn)));
                prop_assert_eq!(queue.jobs.len(), lines + at_work.len());
            }
        }
    }
}
