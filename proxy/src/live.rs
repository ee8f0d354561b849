//! The exchanges and tunnels open on one worker, so that they can be asked about again.
//!
//! A decision holds only while its reasons do: when an unblock ends, a policy changes or the clock
//! moves on, [`Registry::sweep`] finds the open exchanges that are no longer allowed and stops
//! them. The same sweep enforces the waits of the machine file, so that a request costs no timer.

use ledger::journal::Pending;
use ledger::record::{Depth, End};
use pin_project_lite::pin_project;
use rules::access::{Access, Identity};
use rules::category::CategorySet;
use rules::code::RequestId;
use rules::host::Host;
use rules::target::{Scheme, seen_path};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// How long a connection rests between requests before it gives up what it needs for them, in
/// milliseconds: people who read a page ask again in that time seldom enough.
const REST_MS: u64 = 2_000;

/// How long a stopped stream may linger before its connection ends, in milliseconds.
const LINGER_MS: u64 = 1_000;
/// Most requests of one connection that may be taken back within [`BROKEN_OFF_MS`].
const MOST_BROKEN_OFF: u32 = 300;
/// See [`MOST_BROKEN_OFF`], in milliseconds.
const BROKEN_OFF_MS: u64 = 10_000;

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

    /// The head of the response goes out with this status.
    pub(crate) fn answer(&self, status: u16) {
        self.answered.set(true);
        self.pending.set_status(status);
    }

    /// Ends the record; the first end given stands.
    pub(crate) fn finish(&self, end: End) {
        self.pending.end(end);
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

/// What a client connection is doing, for its two idle limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between requests, nothing read yet.
    Idle,
    /// Some of a request's head has come.
    ReadingHead,
    /// In an exchange, whose own limits hold.
    Exchanging,
}

/// What is known of the line of a head that is being read, over as many reads as it comes in.
#[derive(Clone, Copy)]
struct HeadLine {
    /// So many of its bytes are those of the name that is looked for; `None`: it is another line.
    matched: Option<usize>,
    /// Nothing but its end has come.
    blank: bool,
}

impl Default for HeadLine {
    fn default() -> Self {
        Self { matched: Some(0), blank: true }
    }
}

impl HeadLine {
    /// Reads on; whether the name is now whole.
    fn read(&mut self, text: &[u8]) -> bool {
        const NAME: &[u8] = b"content-length";
        self.blank &= text.iter().all(|byte| *byte == b'\r');
        let Some(matched) = self.matched else { return false };
        let wanted = &NAME[matched..];
        let common = wanted.len().min(text.len());
        self.matched =
            text[..common].eq_ignore_ascii_case(&wanted[..common]).then_some(matched + common);
        common > 0 && self.matched == Some(NAME.len())
    }
}

/// One client connection.
pub(crate) struct Seat {
    registry: Rc<Registry>,
    slot: Cell<usize>,
    /// Wakes and stops the connection's task.
    pub(crate) alarm: Rc<Alarm>,
    client: IpAddr,
    phase: Cell<Phase>,
    turns: Cell<u32>,
    since_ms: Cell<u64>,
    /// Worker milliseconds after which nothing keeps it open.
    last_ms: Cell<u64>,
    /// What runs inside a tunnel watches the alarm itself.
    watched_inside: Cell<bool>,
    broken_off: Cell<u32>,
    broken_off_since_ms: Cell<u64>,
    leaving: Cell<bool>,
    head_ended: Cell<bool>,
    line: Cell<HeadLine>,
    length_seen: Cell<bool>,
    too_slow: Cell<bool>,
    rest: Cell<Rest>,
}

/// Whether a connection between requests is to give up what it needs for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// It has not rested long enough.
    Not,
    /// It was told to.
    Due,
    /// It did.
    Taken,
}

impl Seat {
    /// Bytes of a head came from the client.
    pub(crate) fn read(&self, bytes: &[u8]) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::ReadingHead);
            self.head_ended.set(false);
            self.line.set(HeadLine::default());
        }
        if !self.head_ended.get() {
            self.look_for_length(bytes);
        }
    }

    /// Whether the connection is in an exchange.
    pub(crate) fn is_exchanging(&self) -> bool {
        self.phase.get() == Phase::Exchanging
    }

    /// Whether the head now read had a `Content-Length`. hyper takes that field away where there is
    /// a `Transfer-Encoding` too, so it is looked for in the bytes. A field sent before its turn is
    /// missed: such a request is forwarded by its coding alone and the connection closed (RFC 9112,
    /// 6.1).
    pub(crate) fn take_length_seen(&self) -> bool {
        self.length_seen.take()
    }

    fn look_for_length(&self, bytes: &[u8]) {
        let mut line = self.line.get();
        for segment in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match segment.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (segment, false),
            };
            if line.read(text) {
                self.length_seen.set(true);
            }
            if ended && line.blank {
                self.head_ended.set(true);
                return;
            }
            if ended {
                line = HeadLine::default();
            }
        }
        self.line.set(line);
    }

    /// An exchange begins; while one goes on, the connection is not idle.
    pub(crate) fn begin(self: &Rc<Self>) -> Turn {
        self.turns.set(self.turns.get() + 1);
        self.enter(Phase::Exchanging);
        Turn { seat: Rc::clone(self) }
    }

    /// The connection does something else now.
    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.rest.set(Rest::Not);
        self.since_ms.set(self.registry.now_ms.get());
    }

    /// Whether it has rested so long that it should give up what it needs for requests; says so once.
    pub(crate) fn take_rest(&self) -> bool {
        let is_due = self.rest.get() == Rest::Due;
        if is_due {
            self.rest.set(Rest::Taken);
        }
        is_due
    }

    /// The connection must be over within so many milliseconds, from now.
    pub(crate) fn last_at_most(&self, milliseconds: u64) {
        self.last_ms.set(after(self.registry.now_ms.get(), milliseconds));
    }

    /// From now on what is inside a tunnel watches the alarm.
    pub(crate) fn watch_inside(&self) {
        self.watched_inside.set(true);
    }

    /// Whether what is inside a tunnel watches the alarm.
    pub(crate) fn is_watched_inside(&self) -> bool {
        self.watched_inside.get()
    }

    /// A request was taken back before it had an answer. Browsers do so by the dozen when a page is
    /// left; a client that does nothing else makes work for sites and log ("rapid reset").
    pub(crate) fn broke_off(&self) {
        let now = self.registry.now_ms.get();
        if now.saturating_sub(self.broken_off_since_ms.get()) > BROKEN_OFF_MS {
            self.broken_off_since_ms.set(now);
            self.broken_off.set(0);
        }
        self.broken_off.set(self.broken_off.get() + 1);
        if self.broken_off.get() > MOST_BROKEN_OFF {
            self.alarm.stop();
        }
    }

    /// Whether it was stopped because a head did not come in its time.
    pub(crate) fn was_too_slow(&self) -> bool {
        self.too_slow.get()
    }

    /// Whether the connection should end after the exchange it is in.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.get()
    }
}

/// One exchange of a client connection, from its head to the end of its answer.
pub(crate) struct Turn {
    seat: Rc<Seat>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let left = self.seat.turns.get() - 1;
        self.seat.turns.set(left);
        if left == 0 {
            self.seat.enter(Phase::Idle);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.registry.seats.borrow_mut().remove(self.slot.get());
    }
}

/// Longest waits of a client connection, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeatLimits {
    /// Between requests.
    pub(crate) idle_ms: u64,
    /// From a head's first byte to its last.
    pub(crate) head_ms: u64,
}

/// All that is open on one worker.
pub(crate) struct Registry {
    now_ms: Cell<u64>,
    exchanges: RefCell<Slots<Live>>,
    /// Exchanges on connections that carry several at once, by client.
    streams: RefCell<HashMap<IpAddr, usize>>,
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
        let alarm = if alone { Rc::default() } else { Rc::clone(&turn.seat.alarm) };
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
        let seat = Rc::new(Seat {
            registry: Rc::clone(self),
            slot: Cell::new(0),
            alarm: Rc::default(),
            client,
            phase: Cell::new(Phase::Idle),
            turns: Cell::new(0),
            since_ms: Cell::new(self.now_ms.get()),
            last_ms: Cell::new(u64::MAX),
            watched_inside: Cell::new(false),
            broken_off: Cell::new(0),
            broken_off_since_ms: Cell::new(0),
            leaving: Cell::new(false),
            head_ended: Cell::new(false),
            line: Cell::default(),
            too_slow: Cell::new(false),
            length_seen: Cell::new(false),
            rest: Cell::new(Rest::Not),
        });
        seat.slot.set(self.seats.borrow_mut().insert(Rc::downgrade(&seat)));
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

    /// Ends what has waited longer than allowed.
    pub(crate) fn end_overdue(&self, limits: SeatLimits) {
        let now = self.now_ms.get();
        for live in held(&self.exchanges) {
            if live.deadline_ms.get() <= now || live.last_ms.get() <= now {
                live.stop(End::TimedOut);
            }
            // A stream whose client takes nothing is not asked again, and would hold its connection
            // to the site: the client's own connection ends then.
            let lingers = live.alone
                && live.is_stopped()
                && now.saturating_sub(live.stopped_ms.get()) > LINGER_MS;
            if lingers && let Some(turn) = &*live.turn.borrow() {
                turn.seat.alarm.stop();
            }
        }
        for seat in held(&self.seats) {
            if seat.last_ms.get() <= now {
                seat.alarm.stop();
                continue;
            }
            let limit_ms = match seat.phase.get() {
                Phase::Idle => limits.idle_ms,
                Phase::ReadingHead => limits.head_ms,
                Phase::Exchanging => continue,
            };
            if after(seat.since_ms.get(), limit_ms) <= now {
                seat.too_slow.set(seat.phase.get() == Phase::ReadingHead);
                seat.alarm.stop();
            } else if seat.phase.get() == Phase::Idle
                && seat.rest.get() == Rest::Not
                && after(seat.since_ms.get(), REST_MS) <= now
            {
                seat.rest.set(Rest::Due);
                seat.alarm.wake();
            }
        }
    }

    /// Ends the connection of a client that has rested longest; `false` if none of its rests here.
    pub(crate) fn give_up_resting(&self, client: IpAddr) -> bool {
        let seats = held(&self.seats);
        let resting = seats.iter().filter(|seat| {
            seat.client == client
                && seat.phase.get() != Phase::Exchanging
                && !seat.alarm.is_stopped()
        });
        let Some(seat) = resting.min_by_key(|seat| seat.since_ms.get()) else { return false };
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
            seat.leaving.set(true);
            match seat.phase.get() {
                Phase::Idle => seat.alarm.stop(),
                Phase::ReadingHead | Phase::Exchanging => seat.alarm.wake(),
            }
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
