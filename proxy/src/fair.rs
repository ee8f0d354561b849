//! A worker's time shared among its clients: whoever takes much of it waits for those who take little.
//!
//! A worker runs one task after another, and one client may have thousands of connections with
//! something to do. Each client has an allowance of the worker's time that fills up again as time
//! passes. Tasks of a client who has used it up stand in a queue of their own, from which as many go as
//! fit into a short round, each time that sockets were looked at and whatever else is to be done was
//! done. So such a client has all the time that nobody else wants, and others wait for a round of its
//! tasks, not for all. Where others on the machine want the processor too, it is left to them between two rounds.

mod headroom;

use crate::quick_map::QuickMap;
use headroom::Headroom;
use pin_project_lite::pin_project;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The part of a worker's time that a client may use ahead of others' that have used up theirs: one
/// in so many.
const PART: u32 = 8;
/// Most that is allowed at once, as after a rest: some pages with their pictures.
const MOST: Duration = Duration::from_millis(20);
/// How long a round may take: what is called in one hangs on how long the last took. One task goes in
/// each, however long it takes. Looking at sockets has its price, about a hundredth of this.
const ROUND: Duration = Duration::from_micros(200);
/// How long the queue goes, in rounds, and rests while others want the processor. A rest takes half as long again on average
/// (timers go by whole milliseconds): those who have used up their allowance keep a quarter of the worker's time.
const BURST: Duration = Duration::from_micros(500);
const REST: Duration = Duration::from_millis(1);
/// For how long after somebody who has not used up their allowance had a turn it rests so: it is for them that it does.
const LIGHT: Duration = Duration::from_millis(200);
/// Most that go in one round.
const MOST_AT_ONCE: usize = 32;
/// Most that go in one turn of a client who has rested meanwhile.
const RESTED_AT_ONCE: usize = 8;

/// The clients of a worker.
#[derive(Default)]
pub(crate) struct Fairness {
    clients: RefCell<QuickMap<IpAddr, Weak<Share>>>,
    queue: RefCell<Queue>,
    /// When a task last had a turn whose client had some of the allowance left, and which.
    light: Cell<Option<(Instant, IpAddr)>>,
    /// What those who were called have taken since the queue last rested.
    busy: Cell<Duration>,
}

/// Clients that have used up their allowance, in turn, each with its tasks.
#[derive(Default)]
struct Queue {
    clients: VecDeque<Rc<Share>>,
    /// Who lets the queue go, while there is nothing to let go.
    usher: Option<Waker>,
}

/// One client's share of a worker.
pub(crate) struct Share {
    fairness: Rc<Fairness>,
    client: IpAddr,
    /// What is left of its allowance, in nanoseconds; less than nothing if more was used.
    left_ns: Cell<i64>,
    filled: Cell<Instant>,
    waiting: RefCell<VecDeque<Rc<Place>>>,
}

/// Whose time a task takes: one client's, or of one after another whom it serves, as a connection to a
/// site does.
#[derive(Default)]
pub(crate) struct Payer {
    share: RefCell<Option<Rc<Share>>>,
    /// Where its task waits, or was called from.
    place: RefCell<Option<Rc<Place>>>,
}

/// A task's place in the queue of the client whom it serves.
#[derive(Default)]
struct Place {
    /// None once it was called, or its task has gone elsewhere.
    waker: RefCell<Option<Waker>>,
    /// It has its turn, whatever is left of the allowance.
    called: Cell<bool>,
}

impl Fairness {
    /// The share of the client at an address.
    pub(crate) fn share(self: &Rc<Self>, client: IpAddr) -> Rc<Share> {
        let mut clients = self.clients.borrow_mut();
        if let Some(share) = clients.get(&client).and_then(Weak::upgrade) {
            return share;
        }
        let share = Rc::new(Share {
            fairness: Rc::clone(self),
            client,
            left_ns: Cell::new(MOST.as_nanos() as i64),
            filled: Cell::new(Instant::now()),
            waiting: RefCell::default(),
        });
        clients.insert(client, Rc::downgrade(&share));
        share
    }

    /// Lets those who wait go, a few at a time, for as long as the worker runs.
    pub(crate) async fn usher(self: Rc<Self>) {
        self.usher_with(Headroom::default()).await;
    }

    async fn usher_with(self: Rc<Self>, mut headroom: Headroom) {
        let mut at_once = 1;
        loop {
            std::future::poll_fn(|cx| {
                let mut queue = self.queue.borrow_mut();
                if queue.clients.is_empty() {
                    queue.usher = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
            let (began, ran) = (Instant::now(), headroom::ran());
            for _ in 0..at_once {
                self.call_next();
            }
            // Until sockets were looked at: what has come for others stands before this in the queue.
            tokio::task::yield_now().await;
            let (now, ran) = (Instant::now(), headroom::ran().saturating_sub(ran));
            let took = now.saturating_duration_since(began);
            at_once = next_round(at_once, took);
            if !headroom.is_wanted(now, took, ran) || !self.has_others(now) {
                self.busy.set(Duration::ZERO);
            } else if self.busy.get() >= BURST {
                tokio::time::sleep(REST).await;
                self.busy.set(Duration::ZERO);
            }
        }
    }

    /// Whether somebody besides those in the queue has asked for something a moment ago.
    fn has_others(&self, now: Instant) -> bool {
        self.light.get().is_some_and(|(at, client)| {
            let is_queued = || self.queue.borrow().clients.iter().any(|it| it.client == client);
            now.saturating_duration_since(at) < LIGHT && !is_queued()
        })
    }

    fn call_next(&self) {
        let Some(share) = self.queue.borrow_mut().clients.pop_front() else { return };
        share.fill(Instant::now());
        // Who has rested enough meanwhile has no need to wait any more.
        let most = if share.is_in_debt() { 1 } else { RESTED_AT_ONCE };
        let mut waiting = share.waiting.borrow_mut();
        let mut called = 0;
        while called < most
            && let Some(place) = waiting.pop_front()
        {
            // None: its task has gone.
            if let Some(waker) = place.waker.take() {
                place.called.set(true);
                waker.wake();
                called += 1;
            }
        }
        if !waiting.is_empty() {
            self.queue.borrow_mut().clients.push_back(Rc::clone(&share));
        }
    }
}

/// How many go in the next round, after one in which so many took so long, with all that others had to do.
fn next_round(at_once: usize, took: Duration) -> usize {
    if took > ROUND {
        (at_once / 2).max(1)
    } else if took < ROUND / 2 {
        (at_once * 2).min(MOST_AT_ONCE)
    } else {
        at_once
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut clients = self.fairness.clients.borrow_mut();
        // Another may have come from the same address since the last of these had gone.
        if clients.get(&self.client).is_some_and(|share| share.strong_count() == 0) {
            clients.remove(&self.client);
        }
    }
}

impl Share {
    /// A task of this client's.
    pub(crate) fn of<F: Future>(self: Rc<Self>, task: F) -> Shared<F> {
        let payer = Payer::default();
        payer.share.replace(Some(self));
        Rc::new(payer).of(task)
    }

    /// Fills the allowance up to now.
    fn fill(&self, now: Instant) {
        let since = now.saturating_duration_since(self.filled.replace(now));
        let more = i64::try_from(since.as_nanos() / u128::from(PART)).unwrap_or(i64::MAX);
        let most = MOST.as_nanos() as i64;
        self.left_ns.set(self.left_ns.get().saturating_add(more).min(most));
    }

    fn is_in_debt(&self) -> bool {
        self.left_ns.get() < 0
    }

    /// Whether a task that has not been called may go on: nobody overtakes those who wait.
    fn is_free(&self) -> bool {
        !self.is_in_debt() && self.waiting.borrow().is_empty()
    }

    /// A place at the end of the queue.
    fn place(self: &Rc<Self>, waker: &Waker) -> Rc<Place> {
        let waker = RefCell::new(Some(waker.clone()));
        let place = Rc::new(Place { waker, called: Cell::new(false) });
        let mut waiting = self.waiting.borrow_mut();
        waiting.push_back(Rc::clone(&place));
        if waiting.len() == 1 {
            let mut queue = self.fairness.queue.borrow_mut();
            queue.clients.push_back(Rc::clone(self));
            if let Some(usher) = queue.usher.take() {
                usher.wake();
            }
        }
        place
    }
}

impl Place {
    /// Its task still waits; it is to be woken so.
    fn stay(self: Rc<Self>, waker: &Waker) -> Rc<Self> {
        let mut known = self.waker.borrow_mut();
        match &*known {
            Some(known) if known.will_wake(waker) => {}
            _ => *known = Some(waker.clone()),
        }
        drop(known);
        self
    }
}

impl Payer {
    /// From now on the task serves this client, and waits with no other.
    pub(crate) fn serves(&self, share: &Rc<Share>) {
        let mut known = self.share.borrow_mut();
        if !known.as_ref().is_some_and(|known| Rc::ptr_eq(known, share)) {
            *known = Some(Rc::clone(share));
            self.leave();
        }
    }

    /// The task serves nobody until the next.
    pub(crate) fn serves_nobody(&self) {
        self.share.take();
        self.leave();
    }

    /// Gives up a place: whoever comes to it passes it by. The task looks again where it stands.
    fn leave(&self) {
        let place = self.place.take();
        if let Some(waker) = place.and_then(|place| place.waker.take()) {
            waker.wake();
        }
    }

    /// A task that serves whom this says.
    pub(crate) fn of<F: Future>(self: Rc<Self>, task: F) -> Shared<F> {
        Shared { payer: self, task }
    }
}

pin_project! {
    /// What [`Share::of`] and [`Payer::of`] give.
    pub(crate) struct Shared<F> {
        payer: Rc<Payer>,
        #[pin]
        task: F,
    }

    impl<F> PinnedDrop for Shared<F> {
        fn drop(this: Pin<&mut Self>) {
            this.project().payer.leave();
        }
    }
}

impl<F: Future> Future for Shared<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let share = this.payer.share.borrow().clone();
        let Some(share) = share else { return this.task.poll(cx) };
        let began = Instant::now();
        share.fill(began);
        let place = this.payer.place.take();
        let may_go = match &place {
            Some(place) => place.called.get(),
            None => share.is_free(),
        };
        if !may_go {
            let place = match place {
                Some(place) => place.stay(cx.waker()),
                None => share.place(cx.waker()),
            };
            this.payer.place.replace(Some(place));
            return Poll::Pending;
        }
        let output = this.task.poll(cx);
        let took = began.elapsed();
        let fairness = &share.fairness;
        match place {
            Some(_) => fairness.busy.set(fairness.busy.get().saturating_add(took)),
            None => fairness.light.set(Some((began, share.client))),
        }
        let used = i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
        let least = -(MOST.as_nanos() as i64);
        share.left_ns.set(share.left_ns.get().saturating_sub(used).max(least));
        output
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a task that panics is a failed test")]
    use super::*;
    use tokio::task::{LocalSet, spawn_local};

    /// Works for so long, without a pause.
    fn work(time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            std::hint::spin_loop();
        }
    }

    const GREEDY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    /// Begins so many tasks of the greedy client's that never rest, and waits until it is in debt.
    async fn take_much(fairness: &Rc<Fairness>, tasks: usize) {
        for _ in 0..tasks {
            spawn_local(fairness.share(GREEDY).of(async {
                loop {
                    work(Duration::from_micros(500));
                    tokio::task::yield_now().await;
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    fn fairness() -> Rc<Fairness> {
        let fairness = Rc::new(Fairness::default());
        spawn_local(Rc::clone(&fairness).usher());
        fairness
    }

    #[tokio::test]
    async fn who_takes_little_does_not_wait_for_the_hundreds_of_tasks_of_who_takes_much() {
        let all = async {
            let fairness = fairness();
            let done = Rc::new(Cell::new(0));
            for _ in 0..400 {
                let done = Rc::clone(&done);
                spawn_local(fairness.share(GREEDY).of(async move {
                    loop {
                        work(Duration::from_micros(500));
                        done.set(done.get() + 1);
                        tokio::task::yield_now().await;
                    }
                }));
            }
            // Past what is allowed at once.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let share = fairness.share(OTHER);
            let before = done.get();
            let mut waits: Vec<Duration> = Vec::new();
            for _ in 0..20 {
                let asked = Instant::now();
                spawn_local(Rc::clone(&share).of(async move {
                    work(Duration::from_micros(100));
                    asked.elapsed()
                }))
                .await
                .map(|wait| waits.push(wait))
                .unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            waits.sort();
            // Behind all of the 400 it would be 200 ms.
            assert!(waits[15] < Duration::from_millis(20), "{waits:?}");
            assert!(done.get() > before + 20, "who takes much still gets on");
        };
        LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn while_others_want_the_processor_who_takes_much_leaves_some_to_them() {
        let all = async {
            let fairness = Rc::new(Fairness::default());
            let wanted = Headroom::wanted_until(Instant::now() + Duration::from_secs(600));
            spawn_local(Rc::clone(&fairness).usher_with(wanted));
            spawn_local(fairness.share(OTHER).of(async {
                loop {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }));
            take_much(&fairness, 1).await;
            let (began, before) = (Instant::now(), headroom::ran());
            tokio::time::sleep(Duration::from_millis(400)).await;
            let (took, ran) = (began.elapsed(), headroom::ran() - before);
            // Without a rest it would be all that there is of a processor.
            assert!(ran * 10 < took * 7, "{ran:?} of {took:?}");
        };
        LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn the_queue_rests_for_those_who_are_not_in_it() {
        let all = async {
            let fairness = Rc::new(Fairness::default());
            let (greedy, now) = (fairness.share(GREEDY), Instant::now());
            let _place = greedy.place(Waker::noop());
            for (light, expected) in [
                (None, false),
                (Some((now, GREEDY)), false),
                (Some((now, OTHER)), true),
                (Some((now - LIGHT, OTHER)), false),
            ] {
                fairness.light.set(light);
                assert_eq!(fairness.has_others(now), expected, "{light:?}");
            }
            fairness.light.set(None);
            fairness.share(OTHER).of(async {}).await;
            assert_eq!(fairness.light.get().map(|(_, client)| client), Some(OTHER));
            assert_eq!(fairness.busy.get(), Duration::ZERO, "it was called by nobody");
        };
        LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn alone_a_client_has_all_the_time_there_is() {
        let all = async {
            let fairness = fairness();
            let share = fairness.share(GREEDY);
            let began = Instant::now();
            let tasks: Vec<_> = (0..10)
                .map(|_| {
                    spawn_local(Rc::clone(&share).of(async {
                        for _ in 0..100 {
                            work(Duration::from_micros(200));
                            tokio::task::yield_now().await;
                        }
                    }))
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            // 200 ms of work, of which its allowance would cover 45.
            assert!(began.elapsed() < Duration::from_millis(800), "{:?}", began.elapsed());
        };
        LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn those_who_take_much_take_turns_whatever_the_number_of_their_tasks() {
        let all = async {
            let fairness = fairness();
            let done: Rc<[Cell<u32>; 2]> = Rc::default();
            for (which, (client, tasks)) in [(GREEDY, 100), (OTHER, 2)].into_iter().enumerate() {
                for _ in 0..tasks {
                    let done = Rc::clone(&done);
                    spawn_local(fairness.share(client).of(async move {
                        loop {
                            work(Duration::from_micros(200));
                            done[which].set(done[which].get() + 1);
                            tokio::task::yield_now().await;
                        }
                    }));
                }
            }
            tokio::time::sleep(Duration::from_millis(600)).await;
            let (many, few) = (done[0].get(), done[1].get());
            assert!(few * 4 > many, "{few} turns of the one, {many} of the other");
        };
        LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn a_connection_to_a_site_waits_with_the_client_that_it_serves_and_no_other() {
        let all = async {
            let fairness = fairness();
            take_much(&fairness, 200).await;
            let payer = Rc::new(Payer::default());
            let turns = Rc::new(Cell::new(0));
            let turn = Rc::clone(&turns);
            spawn_local(Rc::clone(&payer).of(async move {
                loop {
                    turn.set(turn.get() + 1);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }));
            let turns_of = async |share: &Rc<Share>| {
                payer.serves(share);
                let before = turns.get();
                tokio::time::sleep(Duration::from_millis(300)).await;
                turns.get() - before
            };
            let of_greedy = turns_of(&fairness.share(GREEDY)).await;
            let of_other = turns_of(&fairness.share(OTHER)).await;
            assert!(of_other > 5 * of_greedy.max(1), "{of_greedy} and {of_other} turns");
        };
        LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn a_connection_that_waits_with_one_client_is_let_go_by_the_next() {
        let all = async {
            let fairness = fairness();
            take_much(&fairness, 400).await;
            let payer = Rc::new(Payer::default());
            let (send, mut sent) = tokio::sync::mpsc::unbounded_channel();
            let heard = Rc::new(Cell::new(0));
            let hears = Rc::clone(&heard);
            spawn_local(Rc::clone(&payer).of(async move {
                while sent.recv().await.is_some() {
                    hears.set(hears.get() + 1);
                }
            }));
            tokio::task::yield_now().await;
            payer.serves(&fairness.share(GREEDY));
            // Woken by this, it stands behind 400 others; the next word wakes it no more.
            send.send(()).unwrap();
            tokio::task::yield_now().await;
            assert_eq!(heard.get(), 0);
            payer.serves(&fairness.share(OTHER));
            send.send(()).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(heard.get(), 2);
        };
        LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn who_has_rested_enough_leaves_the_queue_at_once_and_nobody_overtakes() {
        let all = async {
            let fairness = fairness();
            let share = fairness.share(OTHER);
            share.left_ns.set(-(MOST.as_nanos() as i64));
            let order = Rc::new(RefCell::new(Vec::new()));
            for which in 0..8 * RESTED_AT_ONCE {
                let order = Rc::clone(&order);
                spawn_local(Rc::clone(&share).of(async move { order.borrow_mut().push(which) }));
            }
            tokio::task::yield_now().await;
            share.left_ns.set(MOST.as_nanos() as i64);
            let last = Rc::clone(&order);
            spawn_local(Rc::clone(&share).of(async move { last.borrow_mut().push(99) }));
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
            let order = order.borrow();
            // One in each round they would not be through yet.
            assert_eq!(order.len(), 8 * RESTED_AT_ONCE + 1);
            assert_eq!(order.last(), Some(&99), "who comes last goes last");
        };
        LocalSet::new().run_until(all).await;
    }

    #[tokio::test]
    async fn tasks_that_are_dropped_while_they_wait_hold_up_nobody_and_clients_are_forgotten() {
        let all = async {
            let fairness = fairness();
            let task = |time| {
                spawn_local(fairness.share(GREEDY).of(async move {
                    loop {
                        work(time);
                        tokio::task::yield_now().await;
                    }
                }))
            };
            let tasks: Vec<_> = (0..50).map(|_| task(Duration::from_millis(1))).collect();
            tokio::time::sleep(Duration::from_millis(100)).await;
            for task in tasks {
                task.abort();
            }
            let last = spawn_local(fairness.share(GREEDY).of(async { 7 }));
            let last = tokio::time::timeout(Duration::from_secs(5), last).await;
            assert_eq!(last.unwrap().unwrap(), 7);
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            assert!(fairness.clients.borrow().is_empty(), "nobody is left");
            assert!(fairness.queue.borrow().clients.is_empty());
        };
        LocalSet::new().run_until(all).await;
    }
}
