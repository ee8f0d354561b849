//! The exchanges and tunnels open on one worker, so that they can be asked about again.
//!
//! A decision holds only while its reasons do: when an unblock ends, a policy changes or the clock
//! moves on, [`Registry::sweep`] finds the open exchanges that are no longer allowed and stops
//! them. The same sweep enforces the waits of the machine file, so that a request costs no timer.

use crate::limit::Giver;
use crate::quick_map::QuickMap;
use crate::searches::{Searched, Sight};
use ledger::journal::Pending;
use ledger::record::{Depth, End};
use pin_project_lite::pin_project;
use rules::access::{Access, Identity};
use rules::category::CategorySet;
use rules::code::RequestId;
use rules::host::Host;
use rules::target::{Scheme, seen_path};
use rules::visit::Visit;
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub(crate) use seat::{Seat, SeatLimits, Turn};

mod seat;

/// How long a stopped stream may linger before its connection ends, in milliseconds.
const LINGER_MS: u64 = 1_000;

/// How long nothing must have come of what somebody reads along until it is judged however little it is, in
/// milliseconds, ...
const REST_MS: u64 = 2_000;
/// ... and how long it waits for that at most, where something comes all the time.
const UNJUDGED_MS: u64 = 10_000;

/// What is known of an access while it is open: enough to decide it again.
pub(crate) struct Facts {
    /// Proven user, looked up again when the policy or the users change.
    pub(crate) user: Option<Arc<str>>,
    /// Client address.
    pub(crate) client: IpAddr,
    /// Who, under the snapshot of `generation`.
    pub(crate) who: Rc<Identity>,
    /// How.
    pub(crate) scheme: Scheme,
    /// Canonical host.
    pub(crate) host: Host,
    /// Port.
    pub(crate) port: u16,
    /// Path and query as sent; `None` in a tunnel.
    pub(crate) path_and_query: Option<hyper::http::uri::PathAndQuery>,
    /// The name in a tunnel's ClientHello, where it is not the host's: it must be allowed too.
    pub(crate) named: Option<Host>,
    /// What it searches for, where its host searches.
    pub(crate) searched: Option<Rc<Searched>>,
    /// The host whose address is dialled, where that is another.
    pub(crate) dialled: Option<Rc<Host>>,
    /// How much of it is seen, as its search was judged by.
    pub(crate) sight: Sight,
    /// Whether somebody opened it, as recorded.
    pub(crate) visit: Visit,
    /// Categories, under the snapshot of `generation`.
    pub(crate) categories: CategorySet,
    /// The snapshot that `who` and `categories` come from.
    pub(crate) generation: u64,
}

impl Facts {
    /// Calls `decide` with these facts as an access.
    pub(crate) fn with_access<T>(&self, decide: impl FnOnce(&Access<'_>) -> T) -> T {
        let seen = self.path_and_query.as_ref().map(|path| seen_path(path.path()));
        decide(&Access {
            who: &self.who,
            scheme: self.scheme,
            host: &self.host,
            port: self.port,
            path: seen.as_deref(),
            categories: self.categories,
        })
    }
}

/// Wakes and stops one task: a client connection with whatever it is doing.
#[derive(Default)]
pub(crate) struct Alarm {
    stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Alarm {
    /// Whether the task must stop; otherwise it will be woken when it must.
    pub(crate) fn poll_stopped(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.stopped.get() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        match &*waker {
            Some(known) if known.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Whether the task was told to stop.
    fn is_stopped(&self) -> bool {
        self.stopped.get()
    }

    /// Stops the task.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        self.wake();
    }

    /// Has the task look around.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// One open exchange or tunnel: its facts, its record, and when it must end.
pub(crate) struct Live {
    registry: Rc<Registry>,
    slot: Cell<usize>,
    facts: RefCell<Facts>,
    pending: Pending,
    /// Keeps the connection from counting as idle; given up by a CONNECT that is looked into.
    turn: RefCell<Option<Turn>>,
    /// Wakes what runs the exchange: its connection's task, or its own where a connection carries
    /// several exchanges at once.
    alarm: Rc<Alarm>,
    /// `alarm` is the exchange's own.
    alone: bool,
    /// It is a tunnel that is looked into.
    open: Cell<bool>,
    /// Worker milliseconds after which a wait has been too long.
    deadline_ms: Cell<u64>,
    /// Worker milliseconds after which nothing keeps it open.
    last_ms: Cell<u64>,
    /// Worker milliseconds since when what somebody reads along may not be judged, and when it is to be.
    read_ms: Cell<u64>,
    rests_ms: Cell<u64>,
    /// It is to be judged now.
    rests: Cell<bool>,
    /// The response's head has gone to the client: nothing but a close can follow.
    answered: Cell<bool>,
    stopped: Cell<Option<End>>,
    /// Worker milliseconds at which it was stopped.
    stopped_ms: Cell<u64>,
    client: IpAddr,
}

impl Live {
    /// The request's id.
    pub(crate) fn id(&self) -> RequestId {
        self.pending.id()
    }

    /// The facts it was allowed on.
    pub(crate) fn facts(&self) -> std::cell::Ref<'_, Facts> {
        self.facts.borrow()
    }

    /// Counts bytes from the client.
    pub(crate) fn count_up(&self, bytes: u64) {
        self.pending.count_up(bytes);
    }

    /// Counts bytes to the client.
    pub(crate) fn count_down(&self, bytes: u64) {
        self.pending.count_down(bytes);
    }

    /// Something was found of a theme since it was decided.
    pub(crate) fn add_sign(&self, sign: ledger::notes::Sign) {
        self.pending.add_sign(sign);
    }

    /// The head of the response goes out with this status.
    pub(crate) fn answer(&self, status: u16) {
        self.answered.set(true);
        self.pending.set_status(status);
    }

    /// Ends the record; the first end given stands.
    pub(crate) fn finish(&self, end: End) {
        self.pending.end(end);
    }

    /// Whether the record has ended, so that nothing can be added to it.
    pub(crate) fn is_ended(&self) -> bool {
        self.pending.is_ended()
    }

    /// Something came that somebody reads along: once nothing has for a while, [`Live::takes_rest`] says so, to whom
    /// its alarm wakes.
    pub(crate) fn is_read(&self) {
        let now_ms = self.registry.now_ms.get();
        let since_ms = self.read_ms.get().min(now_ms);
        self.read_ms.set(since_ms);
        self.rests_ms.set((now_ms + REST_MS).min(since_ms + UNJUDGED_MS));
    }

    /// Whether all that came is to be judged now. Says so once.
    pub(crate) fn takes_rest(&self) -> bool {
        self.rests.take()
    }

    /// Has what somebody reads along judged, if it is time.
    fn rest_if_due(&self, now_ms: u64) {
        if self.rests_ms.get() <= now_ms {
            self.read_ms.set(u64::MAX);
            self.rests_ms.set(u64::MAX);
            self.rests.set(true);
            self.alarm.wake();
        }
    }

    /// Something must happen within so many milliseconds, from now.
    pub(crate) fn wait_at_most(&self, milliseconds: u64) {
        self.deadline_ms.set(after(self.registry.now_ms.get(), milliseconds));
    }

    /// All must be over within so many milliseconds, from now.
    pub(crate) fn last_at_most(&self, milliseconds: u64) {
        self.last_ms.set(after(self.registry.now_ms.get(), milliseconds));
    }

    /// Why it must stop, if it must; otherwise the task will be woken when it must.
    pub(crate) fn poll_stopped(&self, cx: &mut Context<'_>) -> Poll<End> {
        if let Some(end) = self.stopped.get() {
            return Poll::Ready(end);
        }
        // The task of a connection with one exchange at a time watches its alarm already.
        if self.alone {
            let _ = self.alarm.poll_stopped(cx);
        }
        Poll::Pending
    }

    /// Whether it must stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.get().is_some()
    }

    /// The inside of the tunnel has been opened to be looked into.
    pub(crate) fn looked_into(&self) {
        self.pending.set_depth(Depth::Page);
        self.open.set(true);
        self.turn.take();
    }

    /// The tunnel leads to a site of this name as well.
    pub(crate) fn is_also_for(&self, named: Host) {
        self.facts.borrow_mut().named = Some(named);
    }

    /// The tunnel was to be looked into, and goes unseen all the same.
    pub(crate) fn goes_unseen(&self) {
        self.facts.borrow_mut().sight = Sight::Name;
    }

    /// Stops it: before the answer the exchange still gets to say why, later only a close is left.
    fn stop(&self, end: End) {
        if self.stopped.replace(Some(end)).is_some() {
            return;
        }
        self.stopped_ms.set(self.registry.now_ms.get());
        if self.answered.get() {
            self.finish(end);
            self.alarm.stop();
        } else {
            self.alarm.wake();
        }
    }

    /// Runs a future unless the exchange is stopped first.
    pub(crate) fn unless_stopped<F: Future>(&self, future: F) -> UnlessStopped<'_, F> {
        UnlessStopped { live: self, future }
    }
}

pin_project! {
    /// What [`Live::unless_stopped`] waits for. Not an async function: that would keep the future that
    /// it is given twice, once as its argument.
    pub(crate) struct UnlessStopped<'a, F> {
        live: &'a Live,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for UnlessStopped<'_, F> {
    type Output = Result<F::Output, End>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.live.poll_stopped(cx) {
            Poll::Ready(end) => Poll::Ready(Err(end)),
            Poll::Pending => this.future.poll(cx).map(Ok),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.registry.exchanges.borrow_mut().remove(self.slot.get());
        if self.alone {
            let mut streams = self.registry.streams.borrow_mut();
            if let Some(open) = streams.get_mut(&self.client) {
                *open -= 1;
                if *open == 0 {
                    streams.remove(&self.client);
                }
            }
        }
    }
}

/// A time so many milliseconds after another; 0 means no limit.
fn after(now_ms: u64, milliseconds: u64) -> u64 {
    if milliseconds == 0 { u64::MAX } else { now_ms.saturating_add(milliseconds) }
}

/// All that is open on one worker.
pub(crate) struct Registry {
    now_ms: Cell<u64>,
    exchanges: RefCell<Slots<Live>>,
    /// Exchanges on connections that carry several at once, by client.
    streams: RefCell<QuickMap<IpAddr, usize>>,
    seats: RefCell<Slots<Seat>>,
}

impl Registry {
    /// Nothing open, at worker time 0.
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            now_ms: Cell::new(0),
            exchanges: RefCell::new(Slots::default()),
            streams: RefCell::default(),
            seats: RefCell::new(Slots::default()),
        })
    }

    /// Milliseconds since the worker began, as of the last tick.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Moves the worker's clock.
    pub(crate) fn set_now_ms(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
    }

    /// Enters an exchange whose decision is recorded.
    pub(crate) fn open(
        self: &Rc<Self>,
        facts: Facts,
        pending: Pending,
        turn: Turn,
        alone: bool,
    ) -> Rc<Live> {
        let client = facts.client;
        let alarm = if alone { Rc::default() } else { Rc::clone(turn.alarm()) };
        let live = Rc::new(Live {
            registry: Rc::clone(self),
            slot: Cell::new(0),
            facts: RefCell::new(facts),
            pending,
            turn: RefCell::new(Some(turn)),
            alarm,
            alone,
            open: Cell::new(false),
            deadline_ms: Cell::new(u64::MAX),
            last_ms: Cell::new(u64::MAX),
            read_ms: Cell::new(u64::MAX),
            rests_ms: Cell::new(u64::MAX),
            rests: Cell::new(false),
            answered: Cell::new(false),
            stopped: Cell::new(None),
            stopped_ms: Cell::new(0),
            client,
        });
        if alone {
            *self.streams.borrow_mut().entry(client).or_insert(0) += 1;
        }
        live.slot.set(self.exchanges.borrow_mut().insert(Rc::downgrade(&live)));
        live
    }

    /// Enters a client connection.
    pub(crate) fn seat(self: &Rc<Self>, client: IpAddr) -> Rc<Seat> {
        let seat = Rc::new(Seat::new(self, client));
        seat.take_slot(self.seats.borrow_mut().insert(Rc::downgrade(&seat)));
        seat
    }

    /// Exchanges and tunnels that are open.
    pub(crate) fn open_exchanges(&self) -> usize {
        self.exchanges.borrow().len()
    }

    /// Exchanges of a client on connections that carry several at once.
    pub(crate) fn open_streams(&self, client: IpAddr) -> usize {
        self.streams.borrow().get(&client).copied().unwrap_or_default()
    }

    /// Client connections that are open.
    pub(crate) fn open_seats(&self) -> usize {
        self.seats.borrow().len()
    }

    /// Ends what has waited longer than allowed, and has judged what rests.
    pub(crate) fn end_overdue(&self, limits: SeatLimits) {
        let now = self.now_ms.get();
        for live in held(&self.exchanges) {
            live.rest_if_due(now);
            if live.deadline_ms.get() <= now || live.last_ms.get() <= now {
                live.stop(End::TimedOut);
            }
            // A stream whose client takes nothing is not asked again, and would hold its connection
            // to the site: the client's own connection ends then.
            let lingers = live.alone
                && live.is_stopped()
                && now.saturating_sub(live.stopped_ms.get()) > LINGER_MS;
            if lingers && let Some(turn) = &*live.turn.borrow() {
                turn.alarm().stop();
            }
        }
        for seat in held(&self.seats) {
            seat.end_if_overdue(limits, now);
        }
    }

    /// Ends the connection that has rested longest of these; `false` if none of them rests here.
    pub(crate) fn give_up_resting(&self, giver: Giver) -> bool {
        let seats = held(&self.seats);
        let resting = seats.iter().filter(|seat| seat.rests_for(giver));
        let Some(seat) = resting.min_by_key(|seat| seat.since_ms()) else { return false };
        seat.alarm.stop();
        true
    }

    /// Asks again about each open exchange, with whether it is a tunnel that is looked into, and
    /// cuts those that are no longer allowed.
    pub(crate) fn cut_forbidden(
        &self,
        mut still_allowed: impl FnMut(&mut Facts, bool) -> bool,
    ) -> usize {
        let mut cut = 0;
        for live in held(&self.exchanges) {
            if !still_allowed(&mut live.facts.borrow_mut(), live.open.get()) {
                live.stop(End::Cut);
                cut += 1;
            }
        }
        cut
    }

    /// Has each client connection end: at once where it is idle, else after its exchange.
    pub(crate) fn begin_drain(&self) {
        for seat in held(&self.seats) {
            seat.leave();
        }
    }

    /// Stops everything that is still open.
    pub(crate) fn stop_all(&self) {
        for live in held(&self.exchanges) {
            live.stop(End::Aborted);
        }
        for seat in held(&self.seats) {
            seat.alarm.stop();
        }
    }
}

/// Weak entries by place, places used again.
struct Slots<T> {
    entries: Vec<Option<Weak<T>>>,
    free: Vec<usize>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    fn insert(&mut self, entry: Weak<T>) -> usize {
        if let Some(slot) = self.free.pop() {
            self.entries[slot] = Some(entry);
            return slot;
        }
        self.entries.push(Some(entry));
        self.entries.len() - 1
    }

    fn remove(&mut self, slot: usize) {
        if self.entries[slot].take().is_some() {
            self.free.push(slot);
        }
    }

    fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

/// Everything there, held: stopping an entry may drop it, which takes it out of the slots.
fn held<T>(slots: &RefCell<Slots<T>>) -> Vec<Rc<T>> {
    slots.borrow().entries.iter().flatten().filter_map(Weak::upgrade).collect()
}
