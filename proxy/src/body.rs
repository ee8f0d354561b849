//! The bodies that pass through: counted, timed, never gathered.

use crate::early::Early;
use crate::headers;
use crate::http2::Receiving;
use crate::live::Live;
use crate::pool::{Pool, Upstream};
use crate::record::Arrival;
use crate::room::{Held, Room};
use crate::scan::Scanning;
use crate::typed::Prompting;
use crate::view::Ruling;
use bytes::Bytes;
use h2::{Reason, SendStream};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use ledger::record::End;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// Why a body broke off. Never shown: the connection closes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The other side broke off.
    #[error("the other side broke off")]
    Broken(#[from] hyper::Error),
    /// The other side took its stream of HTTP/2 back.
    #[error("the other side took its stream back")]
    Reset(#[from] h2::Error),
    /// The filter or a limit ended the exchange.
    #[error("the exchange was ended")]
    Stopped,
}

impl BodyError {
    /// What a stream of HTTP/2 is reset with because of it (RFC 9113, 7). Never what could be taken
    /// for an end in order.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Broken(_) => Reason::INTERNAL_ERROR,
            Self::Reset(error) => match error.reason() {
                None | Some(Reason::NO_ERROR) => Reason::INTERNAL_ERROR,
                Some(reason) => reason,
            },
            Self::Stopped => Reason::CANCEL,
        }
    }
}

/// A body as it comes in, from a client or a site.
pub(crate) enum Incoming {
    /// Nothing.
    Empty,
    /// Over HTTP/1.1.
    Http1(hyper::body::Incoming),
    /// On a stream of HTTP/2.
    Http2(Receiving),
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|frame| Ok(frame?)))
            }
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}

/// The size of what is still to come, and of bytes that came and were held back.
fn with_more(hint: SizeHint, held: u64) -> SizeHint {
    if held == 0 {
        return hint;
    }
    let mut more = SizeHint::new();
    more.set_lower(hint.lower().saturating_add(held));
    if let Some(upper) = hint.upper() {
        more.set_upper(upper.saturating_add(held));
    }
    more
}

/// The body of a response to the client.
pub(crate) enum Reply {
    /// Nothing.
    Empty,
    /// A page of our own.
    Page(Option<Bytes>),
    /// What the upstream sends.
    Forwarded(Forwarded),
    /// No body: the stream of HTTP/2 carries bytes from now on, by whoever gets it here.
    Stream(oneshot::Sender<SendStream<Bytes>>),
}

/// An upstream's response body on its way to the client.
pub(crate) struct Forwarded {
    incoming: Incoming,
    live: Rc<Live>,
    /// Goes back to the pool when the body has ended in order.
    upstream: Option<(Upstream, Rc<Pool>)>,
    idle_ms: u64,
    ended: bool,
    /// Looks into it.
    scanning: Option<Box<Scanning>>,
    /// It broke off while it was held back.
    broken: Option<Box<BodyError>>,
}

impl Forwarded {
    /// A body that keeps `upstream` until it ends; `pool` is where that goes then, if it may.
    pub(crate) fn new(
        incoming: Incoming,
        live: Rc<Live>,
        upstream: Upstream,
        pool: &Rc<Pool>,
        idle_ms: u64,
    ) -> Self {
        live.wait_at_most(idle_ms);
        let mut body = Self {
            incoming,
            live,
            upstream: Some((upstream, Rc::clone(pool))),
            idle_ms,
            ended: false,
            scanning: None,
            broken: None,
        };
        if body.incoming.is_end_stream() {
            body.end();
        }
        body
    }

    fn size_hint(&self) -> SizeHint {
        let Some(scanning) = &self.scanning else { return self.incoming.size_hint() };
        // Only a length that the site said: one that is known as all has come leaves no place for trailers.
        if let Some(left) = scanning.left_of_length() {
            return SizeHint::with_exact(left);
        }
        let mut hint = SizeHint::new();
        hint.set_lower(scanning.held_bytes() + scanning.turns.left() as u64);
        hint
    }

    /// Whether there is nothing more to come.
    pub(crate) fn is_over(&self) -> bool {
        self.ended
    }

    /// Has it looked into from now on.
    pub(crate) fn look_into(&mut self, mut scanning: Box<Scanning>) {
        scanning.has_length(self.incoming.size_hint().exact());
        self.live.wait_at_most(scanning.idle_ms(self.idle_ms));
        self.scanning = Some(scanning);
    }

    /// Who looks into it.
    pub(crate) fn scanning_mut(&mut self) -> Option<&mut Scanning> {
        self.scanning.as_deref_mut()
    }

    /// Whether it broke off while it was held back.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Nothing of it is passed on: another answer takes its place, and the record with it.
    pub(crate) fn give_up(&mut self) {
        self.ended = true;
        self.upstream = None;
        self.scanning = None;
    }

    /// Reads one piece and keeps it, or has the virus scanner get on.
    pub(crate) fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(scanning) = &mut self.scanning else { return Poll::Ready(()) };
        if ready!(scanning.poll_scan(&self.live, cx)) || scanning.is_whole() {
            return Poll::Ready(());
        }
        let most = scanning.most_at_once();
        let incoming = &mut self.incoming;
        let piece = scanning.turns.poll(cx, most, |cx| Pin::new(&mut *incoming).poll_frame(cx));
        match ready!(piece) {
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::clean_trailers(trailers);
                }
                scanning.take(frame, &self.live);
                if scanning.turns.left() == 0 && self.incoming.is_end_stream() {
                    scanning.end();
                }
            }
            Some(Err(error)) => {
                self.broken = Some(Box::new(error));
                scanning.break_off();
            }
            None => scanning.end(),
        }
        self.live.wait_at_most(scanning.idle_ms(self.idle_ms));
        scanning.note(&self.live);
        Poll::Ready(())
    }

    /// The next piece of a body that is looked into.
    fn poll_scanned(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let Some(scanning) = &mut self.scanning else { return Poll::Ready(None) };
            if scanning.stopped().is_some() {
                scanning.note_cut(&self.live);
                self.live.finish(End::Cut);
                self.give_up();
                return Poll::Ready(Some(Err(BodyError::Stopped)));
            }
            if let Some(frame) = scanning.next() {
                if let Some(data) = frame.data_ref() {
                    self.live.count_down(data.len() as u64);
                }
                if scanning.is_over() {
                    self.scanned();
                }
                return Poll::Ready(Some(Ok(frame)));
            }
            if scanning.is_over() {
                if !self.ended {
                    self.scanned();
                }
                return Poll::Ready(None);
            }
            if self.broken.is_some() {
                ready!(scanning.poll_gone(cx));
            }
            if let Some(error) = self.broken.take() {
                self.live.finish(End::Upstream);
                return Poll::Ready(Some(Err(*error)));
            }
            ready!(self.poll_held(cx));
        }
    }

    /// All of it was looked into and passed on.
    fn scanned(&mut self) {
        if let Some(scanning) = &mut self.scanning {
            scanning.note(&self.live);
        }
        self.end();
    }

    fn end(&mut self) {
        self.ended = true;
        let mut upload = None;
        if let Some((upstream, pool)) = self.upstream.take() {
            upload = upstream.upload().filter(|upload| upload.goes_on.get()).map(Rc::clone);
            pool.give_back(upstream);
        }
        match upload {
            Some(upload) => *upload.record.borrow_mut() = Some(Rc::clone(&self.live)),
            None => self.live.finish(End::Complete),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.live.poll_stopped(cx).is_ready() {
            return Poll::Ready(Some(Err(BodyError::Stopped)));
        }
        if let Some(scanning) = &mut self.scanning {
            if self.live.takes_rest() {
                scanning.rest(&self.live);
            }
            return self.poll_scanned(cx);
        }
        match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
            Some(Ok(mut frame)) => {
                self.live.wait_at_most(self.idle_ms);
                if let Some(data) = frame.data_ref() {
                    self.live.count_down(data.len() as u64);
                } else if let Some(trailers) = frame.trailers_mut() {
                    headers::clean_trailers(trailers);
                }
                if self.incoming.is_end_stream() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.live.finish(End::Upstream);
                Poll::Ready(Some(Err(error)))
            }
            None => {
                if !self.ended {
                    self.end();
                }
                Poll::Ready(None)
            }
        }
    }
}

/// Whoever leaves before the end, or is cut off there, has read what was passed on.
impl Drop for Forwarded {
    fn drop(&mut self) {
        if !self.ended
            && !std::thread::panicking()
            && let Some(scanning) = &mut self.scanning
        {
            scanning.leave(&self.live);
        }
    }
}

impl Reply {
    /// The exchange that it is the answer of, where it comes from a site.
    pub(crate) fn live(&self) -> Option<&Rc<Live>> {
        match self {
            Reply::Forwarded(forwarded) => Some(&forwarded.live),
            _ => None,
        }
    }
}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Reply::Empty | Reply::Stream(_) => Poll::Ready(None),
            Reply::Page(page) => Poll::Ready(page.take().map(|bytes| Ok(Frame::data(bytes)))),
            Reply::Forwarded(forwarded) => forwarded.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Reply::Empty => true,
            Reply::Page(page) => page.is_none(),
            Reply::Forwarded(forwarded) => match &forwarded.scanning {
                Some(scanning) => scanning.is_over(),
                None => forwarded.incoming.is_end_stream(),
            },
            Reply::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Empty => SizeHint::with_exact(0),
            Reply::Page(page) => {
                SizeHint::with_exact(page.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Reply::Forwarded(forwarded) => forwarded.size_hint(),
            Reply::Stream(_) => SizeHint::default(),
        }
    }
}

/// A client's request body on its way upstream.
pub(crate) enum Ask {
    /// Nothing.
    Empty,
    /// What the client sends.
    Forwarded {
        /// The client's body.
        incoming: Incoming,
        /// Counts it.
        live: Rc<Live>,
        /// Longest wait for its next piece, or for the response after it.
        idle_ms: u64,
        /// How far it has come.
        progress: Rc<Progress>,
        /// Holds it back until the upstream wants it (`Expect: 100-continue`).
        gate: Option<Gate>,
        /// Reads what somebody wrote in it.
        prompting: Option<Box<Prompting>>,
        /// What of it was passed on, where it may be sent again.
        kept: Option<Box<Kept>>,
    },
}

/// Most bytes of a body that are kept while a site may still say that it did not look at them: what forms and calls
/// send. They are copied: a piece as it came may be of one byte, and keep the whole buffer that it was read into.
const MOST_KEPT: usize = 64 * 1024;

/// The beginning of a body.
pub(crate) struct Kept {
    /// What was passed on; `None`: not all of it is kept.
    passed: Option<Passed>,
    /// What is passed on again before the rest.
    again: Bytes,
}

/// What was passed on of a body.
struct Passed {
    bytes: Vec<u8>,
    /// Counts the most that they may become.
    _held: Held,
}

impl AsRef<[u8]> for Passed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Kept {
    /// Nothing yet; `None` where there is no room for more.
    fn begin(mut held: Held) -> Option<Self> {
        if !held.add(MOST_KEPT as u64) {
            return None;
        }
        let passed = Passed { bytes: Vec::new(), _held: held };
        Some(Self { passed: Some(passed), again: Bytes::new() })
    }

    /// What was passed on is to be passed on again; `false`: it is not there any more.
    fn rewind(&mut self) -> bool {
        let Some(passed) = self.passed.take() else { return false };
        if !passed.bytes.is_empty() {
            // Counted until it has gone.
            self.again = Bytes::from_owner(passed);
        }
        true
    }

    fn take(&mut self, frame: Option<&Result<Frame<Bytes>, BodyError>>) {
        let Some(passed) = &mut self.passed else { return };
        let data = match frame {
            None => return,
            Some(Ok(frame)) => frame.data_ref(),
            Some(Err(_)) => None,
        };
        match data.filter(|data| passed.bytes.len() + data.len() <= MOST_KEPT) {
            Some(data) => passed.bytes.extend_from_slice(data),
            // Nor are trailers kept, which hardly anything sends.
            None => self.passed = None,
        }
    }
}

/// How far a client's body has come.
#[derive(Default)]
pub(crate) struct Progress {
    /// All of it went upstream: the connection may be used again.
    pub(crate) sent: Cell<bool>,
    /// The client broke it off, or its framing cannot be read.
    pub(crate) broken: Cell<bool>,
    /// Nobody has asked for it yet.
    pub(crate) held: Cell<bool>,
    /// It is still being sent behind the head of the answer.
    pub(crate) goes_on: Cell<bool>,
    /// What the client is told, where the site must not get it.
    pub(crate) refused: RefCell<Option<(Ruling, Arrival)>>,
    /// The exchange whose answer was there whole before it: its record ends with the request.
    pub(crate) record: RefCell<Option<Rc<Live>>>,
}

impl Progress {
    /// Nothing more of it is sent, for this reason where it is not whole.
    pub(crate) fn stopped(&self, fault: Option<&h2::Error>) {
        self.goes_on.set(false);
        let Some(live) = self.record.take() else { return };
        live.finish(match fault {
            _ if self.broken.get() => End::Aborted,
            // The site has what it wants (RFC 9113, 8.1).
            None => End::Complete,
            Some(fault) if fault.reason() == Some(Reason::NO_ERROR) => End::Complete,
            Some(_) => End::Upstream,
        });
    }
}

/// Holds a body back until the upstream says 100, answers, or has had a second to.
pub(crate) struct Gate {
    opened: oneshot::Receiver<()>,
    answered: bool,
    patience: Pin<Box<tokio::time::Sleep>>,
    /// Has a client that waits told to go on, where the connection does not do so itself.
    told: Option<Early>,
}

/// Longest wait for a `100 (Continue)`: many origins never send one (RFC 9110, 10.1.1).
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

impl Gate {
    /// A closed gate and what opens it; then the client is told by `told`.
    pub(crate) fn new(told: Option<Early>) -> (oneshot::Sender<()>, Self) {
        let (open, opened) = oneshot::channel();
        let patience = Box::pin(tokio::time::sleep(PATIENCE));
        (open, Self { opened, answered: false, patience, told })
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.answered {
            return Poll::Pending;
        }
        match Pin::new(&mut self.opened).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            // The answer has come without the body: who is told so must not be asked for it.
            Poll::Ready(Err(_)) => {
                self.answered = true;
                Poll::Pending
            }
            Poll::Pending => self.patience.as_mut().poll(cx),
        }
    }
}

impl Ask {
    /// Keeps what is passed on from now on, so that it can be sent again, if there is room for it.
    pub(crate) fn keep(&mut self, room: &Arc<Room>) {
        if let Ask::Forwarded { kept, live, .. } = self {
            // First, for its room.
            *kept = None;
            *kept = Kept::begin(room.hold(live.facts().client)).map(Box::new);
        }
    }

    /// Keeps nothing any more.
    pub(crate) fn let_go(&mut self) {
        if let Ask::Forwarded { kept: Some(kept), .. } = self {
            kept.passed = None;
        }
    }

    /// The same body from its beginning, and what opens it where it waits for `100 (Continue)`. `None`: what was passed
    /// on is not there any more.
    pub(crate) fn again(mut self) -> Option<(Self, Option<oneshot::Sender<()>>)> {
        let mut open = None;
        if let Ask::Forwarded { kept, gate, progress, .. } = &mut self {
            let kept = kept.as_mut()?;
            if !kept.rewind() {
                return None;
            }
            progress.sent.set(false);
            if let Some(closed) = gate.take() {
                let (opens, closed) = Gate::new(closed.told);
                (open, *gate) = (Some(opens), Some(closed));
            }
        }
        Some((self, open))
    }

    /// How far it has come, where there is a body.
    pub(crate) fn progress(&self) -> Option<&Rc<Progress>> {
        match self {
            Ask::Empty => None,
            Ask::Forwarded { progress, .. } => Some(progress),
        }
    }
}

impl HttpBody for Ask {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Ask::Forwarded { incoming, live, idle_ms, progress, gate, prompting, kept } =
            &mut *self
        else {
            return Poll::Ready(None);
        };
        if live.is_stopped() {
            return Poll::Ready(Some(Err(BodyError::Stopped)));
        }
        if let Some(closed) = gate {
            ready!(closed.poll_open(cx));
            progress.held.set(false);
            if let Some(client) = &closed.told {
                client.go_on();
            }
            *gate = None;
        }
        if let Some(kept) = kept
            && !kept.again.is_empty()
        {
            // Read, judged and counted as it came.
            let is_held = prompting.as_ref().is_some_and(|prompting| prompting.holds());
            progress.sent.set(incoming.is_end_stream() && !is_held);
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut kept.again)))));
        }
        let mut frame = match prompting {
            None => ready!(Pin::new(&mut *incoming).poll_frame(cx)),
            Some(prompting) => {
                let polled = prompting.poll_frame(incoming, cx);
                if prompting.takes_what_came() {
                    // Somebody is sending, though what came is kept back.
                    live.wait_at_most(*idle_ms);
                }
                let frame = ready!(polled);
                if let Some(refused) = prompting.refused() {
                    *progress.refused.borrow_mut() = Some(refused);
                    return Poll::Ready(frame);
                }
                frame
            }
        };
        live.wait_at_most(*idle_ms);
        let is_held = prompting.as_ref().is_some_and(|prompting| prompting.holds());
        match &mut frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    live.count_up(data.len() as u64);
                } else if let Some(trailers) = frame.trailers_mut() {
                    headers::clean_trailers(trailers);
                }
                if incoming.is_end_stream() && !is_held {
                    progress.sent.set(true);
                }
            }
            None => progress.sent.set(true),
            Some(Err(_)) => progress.broken.set(true),
        }
        if let Some(kept) = kept {
            kept.take(frame.as_ref());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Ask::Empty => true,
            Ask::Forwarded { incoming, prompting, kept, .. } => {
                incoming.is_end_stream()
                    && prompting.as_ref().is_none_or(|prompting| !prompting.holds())
                    && kept.as_ref().is_none_or(|kept| kept.again.is_empty())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Ask::Empty => SizeHint::with_exact(0),
            Ask::Forwarded { incoming, prompting, kept, .. } => {
                let held = prompting.as_ref().map_or(0, |prompting| prompting.held_bytes());
                let again = kept.as_ref().map_or(0, |kept| kept.again.len() as u64);
                with_more(incoming.size_hint(), held + again)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed fixture is a failed test")]
    use super::*;
    use std::net::IpAddr;

    fn piece(length: usize) -> Result<Frame<Bytes>, BodyError> {
        Ok(Frame::data(Bytes::from(vec![b'a'; length])))
    }

    #[test]
    fn a_body_is_kept_where_there_is_room_and_counted_until_it_has_gone() {
        let client = IpAddr::from([10, 0, 0, 1]);
        let room = Room::new(MOST_KEPT as u64, MOST_KEPT as u64);
        let begin = || Kept::begin(room.hold(client));
        let mut kept = begin().unwrap();
        assert!(begin().is_none(), "there is room for one");
        kept.take(Some(&piece(MOST_KEPT)));
        assert!(kept.rewind() && kept.again.len() == MOST_KEPT);
        assert!(!kept.rewind(), "once");
        let again = std::mem::take(&mut kept.again);
        assert!(begin().is_none(), "on its way");
        drop(again);
        let mut kept = begin().unwrap();
        kept.take(Some(&piece(MOST_KEPT)));
        kept.take(Some(&piece(1)));
        assert!(!kept.rewind(), "too much");
        let mut kept = begin().unwrap();
        assert!(kept.rewind() && kept.again.is_empty());
        assert!(begin().is_some(), "nothing was passed on, and nothing is held");
    }
}
