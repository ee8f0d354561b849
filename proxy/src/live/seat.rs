//! Client connections of one worker: what each is doing, since when, and what it may wait for.

use super::{Alarm, Registry, after};
use crate::limit::Giver;
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;

/// How long a connection rests between requests before it gives up what it needs for them, in
/// milliseconds: people who read a page ask again in that time seldom enough.
const REST_MS: u64 = 2_000;
/// Most requests of one connection that may be taken back within [`BROKEN_OFF_MS`].
const MOST_BROKEN_OFF: u32 = 300;
/// See [`MOST_BROKEN_OFF`], in milliseconds.
const BROKEN_OFF_MS: u64 = 10_000;

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
    /// A connection on which nothing has come; in no slot yet.
    pub(super) fn new(registry: &Rc<Registry>, client: IpAddr) -> Self {
        Self {
            registry: Rc::clone(registry),
            slot: Cell::new(0),
            alarm: Rc::default(),
            client,
            phase: Cell::new(Phase::Idle),
            turns: Cell::new(0),
            since_ms: Cell::new(registry.now_ms()),
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
        }
    }

    /// It stands in this slot of the registry.
    pub(super) fn take_slot(&self, slot: usize) {
        self.slot.set(slot);
    }

    /// Since when it does what it does, in worker milliseconds.
    pub(super) fn since_ms(&self) -> u64 {
        self.since_ms.get()
    }

    /// Whether it is one of these and may end without an exchange's ending.
    pub(super) fn rests_for(&self, giver: Giver) -> bool {
        self.phase.get() != Phase::Exchanging && giver.has(self.client) && !self.alarm.is_stopped()
    }

    /// Ends at once where it is idle, else after its exchange.
    pub(super) fn leave(&self) {
        self.leaving.set(true);
        match self.phase.get() {
            Phase::Idle => self.alarm.stop(),
            Phase::ReadingHead | Phase::Exchanging => self.alarm.wake(),
        }
    }

    /// Ends it if it has waited longer than allowed, and has it rest if it has been idle for long.
    pub(super) fn end_if_overdue(&self, limits: SeatLimits, now: u64) {
        if self.last_ms.get() <= now {
            self.alarm.stop();
            return;
        }
        let limit_ms = match self.phase.get() {
            Phase::Idle => limits.idle_ms,
            Phase::ReadingHead => limits.head_ms,
            Phase::Exchanging => return,
        };
        if after(self.since_ms.get(), limit_ms) <= now {
            self.too_slow.set(self.phase.get() == Phase::ReadingHead);
            self.alarm.stop();
        } else if self.phase.get() == Phase::Idle
            && self.rest.get() == Rest::Not
            && after(self.since_ms.get(), REST_MS) <= now
        {
            self.rest.set(Rest::Due);
            self.alarm.wake();
        }
    }

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

impl Turn {
    /// What wakes and stops the connection it is on.
    pub(super) fn alarm(&self) -> &Rc<Alarm> {
        &self.seat.alarm
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SeatLimits = SeatLimits { idle_ms: 60_000, head_ms: 10_000 };

    fn at(registry: &Rc<Registry>, now_ms: u64) {
        registry.set_now_ms(now_ms);
        registry.end_overdue(LIMITS);
    }

    fn client() -> IpAddr {
        IpAddr::from([127, 0, 0, 1])
    }

    #[test]
    fn a_connection_rests_once_after_two_seconds_without_a_byte() {
        let registry = Registry::new();
        let seat = registry.seat(client());
        at(&registry, REST_MS - 1);
        assert!(!seat.take_rest(), "it is too early");
        at(&registry, REST_MS);
        assert!(seat.take_rest());
        at(&registry, 2 * REST_MS);
        assert!(!seat.take_rest(), "it has rested since");
        assert!(!seat.alarm.is_stopped());
    }

    #[test]
    fn a_connection_in_an_exchange_or_a_head_does_not_rest() {
        let registry = Registry::new();
        let seat = registry.seat(client());
        let turn = seat.begin();
        at(&registry, 2 * REST_MS);
        assert!(!seat.take_rest(), "in an exchange");
        drop(turn);
        at(&registry, 3 * REST_MS - 1);
        assert!(!seat.take_rest(), "it is idle only since the exchange ended");
        at(&registry, 4 * REST_MS);
        assert!(seat.take_rest());
        seat.read(b"GET");
        at(&registry, 6 * REST_MS);
        assert!(!seat.take_rest(), "in a head");
    }

    #[test]
    fn a_rest_that_was_due_is_off_once_bytes_come() {
        let registry = Registry::new();
        let seat = registry.seat(client());
        at(&registry, REST_MS);
        seat.read(b"G");
        assert!(!seat.take_rest());
    }

    #[test]
    fn idle_limits_hold_while_a_connection_rests() {
        let registry = Registry::new();
        let seat = registry.seat(client());
        at(&registry, REST_MS);
        assert!(seat.take_rest());
        at(&registry, LIMITS.idle_ms - 1);
        assert!(!seat.alarm.is_stopped());
        at(&registry, LIMITS.idle_ms);
        assert!(seat.alarm.is_stopped());
    }
}
