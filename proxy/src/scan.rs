//! What an answer says and is: read, and its files looked at and scanned, on its way to the client.
//!
//! A body is held back as long as it is short and has only begun, and a file that is scanned for viruses until it is
//! known to be clean: until then it can still be replaced by a page of ours. Later it is cut. Either is recorded as an
//! access of its own, of the method `PAGE`, refused; what is watched for and passes is recorded as signs of the
//! request.

use crate::body::{Forwarded, Reply};
use crate::files::FileLook;
use crate::live::{Facts, Live};
use crate::record::{self, Arrival, Inside};
use crate::refuse::{self, Asker};
use crate::room::Held;
use crate::scanned_text::Text;
use crate::turns::Turns;
use crate::view::Ruling;
use crate::virus::Answer;
use crate::worker::Worker;
use bytes::Bytes;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::HeaderValue;
use hyper::http::response::Parts;
use ledger::notes::Sign;
use rules::decide::{ReasonCode, Verdict};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, timeout_at};

/// The method in the record of an answer that was refused for what it says or is.
pub(crate) const PAGE_METHOD: &str = "PAGE";

/// How long the head of a page is held back whose text does not begin to come.
const HOLD_PAGE: Duration = Duration::from_secs(2);

/// How long what had come of a body that broke off has to get to the client, before that is told.
const LAST_BYTES: Duration = Duration::from_millis(20);

/// Bytes of text that are looked into before others of the worker have a turn: a fraction of a millisecond.
const BYTES_A_TURN: usize = 32 << 10;
/// The same where a coding has to be taken off, by which they become several times as many.
const CODED_A_TURN: usize = 8 << 10;

/// How long the beginning of a body is held back, once it has come.
const HOLD: Duration = Duration::from_millis(4);
/// The same of a file: nobody sees it grow.
const HOLD_FILE: Duration = Duration::from_millis(100);
/// How long the head of an answer without text waits for its first bytes: some clients want it first.
const HOLD_HEAD: Duration = Duration::from_secs(1);

/// Why a body goes no further, or went although it could not be looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    pub(crate) code: ReasonCode,
    /// What decided, in the words of the record.
    pub(crate) rule: Option<Rc<str>>,
}

impl Stopped {
    /// For a reason that says it all.
    pub(crate) fn because(code: ReasonCode) -> Self {
        Self { code, rule: None }
    }

    /// The block that comes of it.
    pub(crate) fn ruling(&self, facts: &Facts) -> Ruling {
        let (categories, rule) = (facts.categories, self.rule.clone());
        Ruling { categories, rule, ..Ruling::block(self.code) }
    }
}

/// A body that is looked into.
pub(crate) struct Scanning {
    worker: Rc<Worker>,
    client: IpAddr,
    text: Option<Text>,
    file: Option<FileLook>,
    /// What came and was not passed on.
    held: VecDeque<Frame<Bytes>>,
    held_bytes: u64,
    passed_bytes: u64,
    /// As the site said.
    length: Option<u64>,
    /// The place of what is held of a file that is scanned, or was, and has not left yet.
    place: Option<Held>,
    first_came: Option<Instant>,
    /// All of it came, and was judged as a whole.
    is_whole: bool,
    /// The head of the answer goes out, so that from now on it can only be cut.
    head_is_out: bool,
    stopped: Option<Stopped>,
    /// The body broke off, and what is held back goes first.
    breaks: Option<Pin<Box<Sleep>>>,
    /// Themes that are recorded.
    told: Vec<String>,
    /// How it comes.
    pub(crate) turns: Turns,
}

impl Scanning {
    /// For an answer; `None` where there is nothing to look for in it. The error: it is refused.
    fn of(
        worker: &Rc<Worker>,
        live: &Rc<Live>,
        head: &Parts,
        dest: Option<&HeaderValue>,
    ) -> Result<Option<Self>, Stopped> {
        let view = worker.view();
        let text = Text::of((worker, &view, live), head, dest)?;
        let file = FileLook::of((worker, &view, live), head, dest, text.is_some())?;
        if text.is_none() && file.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            worker: Rc::clone(worker),
            client: live.facts().client,
            text,
            file,
            held: VecDeque::new(),
            held_bytes: 0,
            passed_bytes: 0,
            length: None,
            place: None,
            first_came: None,
            is_whole: false,
            head_is_out: false,
            stopped: None,
            breaks: None,
            told: Vec::new(),
            turns: Turns::default(),
        }))
    }

    /// Bytes that are looked into before others of the worker have a turn.
    pub(crate) fn most_at_once(&self) -> usize {
        match &self.text {
            // Nothing is read of a file but its head.
            None => usize::MAX,
            Some(text) if text.is_coded() => CODED_A_TURN,
            Some(_) => BYTES_A_TURN,
        }
    }

    /// Takes what comes next.
    pub(crate) fn take(&mut self, frame: Frame<Bytes>, live: &Live) {
        if let Some(text) = &mut self.text {
            text.renew(&self.worker.view(), live);
        }
        let Some(data) = frame.data_ref() else { return self.held.push_back(frame) };
        if self.first_came.is_none() {
            self.first_came = Some(Instant::now());
        }
        if self.text.as_ref().is_some_and(Text::is_stream) {
            live.is_read();
        }
        let stopped = self.look_at(data);
        self.stop(stopped);
        self.held_bytes += data.len() as u64;
        let data_bytes = data.len() as u64;
        self.held.push_back(frame);
        self.find_room(data_bytes);
    }

    fn look_at(&mut self, data: &Bytes) -> Option<Stopped> {
        let Self { worker, text, file, .. } = self;
        let mut stopped = None;
        match (text, file.as_mut()) {
            (Some(text), None) => stopped = text.push(data, &mut |_| {}).0,
            (Some(text), Some(file)) => {
                let (said, fault) = text.push(data, &mut |decoded| file.decoded(decoded));
                stopped = said;
                if let Some(why) = fault {
                    file.broken_coding(why);
                }
            }
            (None, _) => {}
        }
        let Some(file) = file else { return stopped };
        let taken = file.take(data).err();
        stopped.or(taken).or_else(|| file.check(worker))
    }

    /// Counts what is held of a file that is scanned among that of all of them.
    fn find_room(&mut self, came: u64) {
        let Some(file) = self.file.as_mut().filter(|file| file.is_scanned()) else { return };
        let Some(scanner) = &self.worker.scanner else { return };
        let bytes = if self.place.is_none() { self.held_bytes } else { came };
        let has_room = self.place.get_or_insert_with(|| scanner.hold(self.client)).add(bytes);
        if !has_room && let Some(scan) = file.scan() {
            scan.no_room();
        }
    }

    /// The body has ended in order.
    pub(crate) fn end(&mut self) {
        if self.is_whole {
            return;
        }
        self.is_whole = true;
        let said = self.text.as_mut().and_then(Text::end);
        self.stop(said);
        let found = self.file.as_mut().and_then(|file| file.end(&self.worker));
        self.stop(found);
    }

    /// The body broke off: what came of it may be passed on, where it would have been.
    pub(crate) fn break_off(&mut self) {
        let text = self.text.as_mut().map(Text::end);
        self.stop(text.flatten());
        let found = self.file.as_mut().and_then(|file| file.end(&self.worker));
        self.stop(found);
        if !self.held.is_empty() {
            self.breaks = Some(Box::pin(sleep(LAST_BYTES)));
        }
    }

    /// Waits until what was passed on last has gone: of a body in error hyper, and a stream that is taken back, send
    /// nothing more.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.breaks.as_mut().map_or(Poll::Ready(()), |breaks| breaks.as_mut().poll(cx))
    }

    /// Nothing has come for a while of what somebody reads along.
    pub(crate) fn rest(&mut self, live: &Live) {
        let said = self.text.as_mut().filter(|text| text.is_stream()).and_then(Text::rest);
        self.stop(said);
        self.note(live);
    }

    fn stop(&mut self, stopped: Option<Stopped>) {
        if self.stopped.is_none() {
            self.stopped = stopped;
        }
    }

    /// What may be passed on next.
    pub(crate) fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.stopped.is_some() {
            return None;
        }
        let most = if self.is_released() { u64::MAX } else { self.may_trickle() };
        if most == 0 {
            return None;
        }
        let whole = self.held.front()?.data_ref().is_none_or(|data| data.len() as u64 <= most);
        let frame = if whole {
            self.held.pop_front()?
        } else {
            // It is shorter than the piece, so that it fits.
            Frame::data(self.held.front_mut()?.data_mut()?.split_to(most as usize))
        };
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.held_bytes -= bytes;
        self.passed_bytes += bytes;
        if let Some(place) = &mut self.place {
            place.let_go(bytes);
        }
        Some(frame)
    }

    /// How much of a file that is still scanned may go, so that its client does not give up.
    fn may_trickle(&mut self) -> u64 {
        let (held, went) = (self.held_bytes, self.passed_bytes);
        let scan = self.file.as_mut().and_then(FileLook::scan).filter(|_| self.head_is_out);
        scan.map_or(0, |scan| scan.may_go(held + went, went))
    }

    /// What is held may be passed on, all of it.
    fn is_released(&self) -> bool {
        let file = self.file.as_ref();
        self.text.as_ref().is_none_or(Text::is_released)
            && (self.is_whole || self.breaks.is_some() || file.is_none_or(FileLook::is_judged))
            && !file.is_some_and(FileLook::is_scanned)
    }

    /// Bytes that came and were not passed on.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// What the site said of its length.
    pub(crate) fn has_length(&mut self, length: Option<u64>) {
        self.length = length;
    }

    /// Bytes of that which were not passed on; `None` where the site did not say.
    pub(crate) fn left_of_length(&self) -> Option<u64> {
        self.length.map(|length| length.saturating_sub(self.passed_bytes))
    }

    /// Whether nothing is left of a body that has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.is_whole && self.held.is_empty() && self.is_released() && self.stopped.is_none()
    }

    /// Whether all of it came.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Why it goes no further.
    pub(crate) fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// How long it may go without a byte, where others may for so long.
    pub(crate) fn idle_ms(&mut self, idle_ms: u64) -> u64 {
        let scan = self.file.as_mut().and_then(FileLook::scan);
        scan.map_or(idle_ms, |scan| scan.idle_ms(idle_ms))
    }

    /// Has the virus scanner take what came. Ready with whether anything is new; pending while it takes, and nothing
    /// more is to be read.
    pub(crate) fn poll_scan(&mut self, live: &Live, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(scan) = self.file.as_mut().and_then(FileLook::scan) else {
            return Poll::Ready(false);
        };
        if self.head_is_out && scan.poll_trickle(cx).is_ready() {
            return Poll::Ready(true);
        }
        let (answer, word) = match scan.poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => return Poll::Ready(false),
            Poll::Ready(Some(answered)) => answered,
        };
        self.worker.meters.virus_scan(word);
        if let Some(file) = &mut self.file {
            file.scan_is_over();
        }
        if let (Some(scanner), Some(place)) = (&self.worker.scanner, &mut self.place) {
            scanner.leaves(place);
        }
        let stopped = match answer {
            Answer::Clean => None,
            Answer::Refused(stopped) => Some(stopped),
            Answer::Passed(passed) => record_passed(&self.worker, &live.facts(), &passed).err(),
        };
        self.stop(stopped);
        Poll::Ready(true)
    }

    fn is_settled(&self) -> bool {
        self.stopped.is_some() || self.is_released()
    }

    /// Until when it is held; `None`: as long as its client waits.
    fn holds_until(&mut self, begun: Instant) -> Option<Instant> {
        if let Some(scan) = self.file.as_mut().and_then(FileLook::scan) {
            return Some(scan.trickles_from());
        }
        match self.first_came {
            Some(came) if self.file.as_ref().is_some_and(FileLook::is_download) => {
                Some(came + HOLD_FILE)
            }
            Some(came) => Some(came + HOLD),
            None if self.text.as_ref().is_some_and(|text| !text.is_stream()) => {
                Some(begun + HOLD_PAGE)
            }
            // Who reads along may want to know that there is something to read; what comes with the head is looked at.
            None if self.text.is_some() => Some(begun + HOLD),
            None => Some(begun + HOLD_HEAD),
        }
    }

    fn stop_holding(&mut self) {
        if let Some(text) = &mut self.text {
            text.stop_holding();
        }
        let found = self.file.as_mut().and_then(|file| file.stop_waiting(&self.worker));
        self.stop(found);
    }

    fn signs(&self) -> Vec<Sign> {
        self.text.as_ref().map(Text::signs).unwrap_or_default()
    }

    /// Records what of a body that passes is watched for, as soon as it is known: who has read enough leaves before the
    /// end. What somebody reads along is recorded at once, as its end may be hours away; and so is what is known only when
    /// the record of the request has ended, as where a time limit or the policy ended it.
    pub(crate) fn note(&mut self, live: &Live) {
        if self.stopped.is_some() {
            return;
        }
        let mut signs = self.signs();
        signs.retain(|sign| !self.told.contains(&sign.theme));
        if signs.is_empty() {
            return;
        }
        self.told.extend(signs.iter().map(|sign| sign.theme.clone()));
        if !live.is_ended() && !self.text.as_ref().is_some_and(Text::is_stream) {
            return signs.into_iter().for_each(|sign| live.add_sign(sign));
        }
        let facts = live.facts();
        let ruling = Ruling { categories: facts.categories, signs, ..Ruling::allow() };
        let arrival = Arrival::now(&self.worker.journal);
        let what = Inside { method: PAGE_METHOD, words: None };
        let decided = (&*self.worker.view(), &ruling);
        let journal = &self.worker.journal;
        if record::inside(journal, decided, &arrival, &facts, &what, (0, 0)).is_err() {
            self.stop(Some(Stopped::because(ReasonCode::LogUnavailable)));
        }
    }

    /// Nobody wants the rest: what was passed on is judged to its end, and recorded as what passes is. Less of it than is
    /// judged at once may be all that somebody read.
    pub(crate) fn leave(&mut self, live: &Live) {
        if self.stopped.is_some() || self.passed_bytes == 0 {
            return;
        }
        if let Some(text) = &mut self.text {
            text.leave();
        }
        self.note(live);
    }

    /// Records that a body was cut after part of it was passed on.
    pub(crate) fn note_cut(&self, live: &Live) {
        let Some(stopped) = &self.stopped else { return };
        let journal = &self.worker.journal;
        let arrival = Arrival::now(journal);
        let ruling = Ruling { signs: self.signs(), ..stopped.ruling(&live.facts()) };
        let decided = (&*self.worker.view(), &ruling);
        record::refuse_page(journal, decided, &arrival, &live.facts(), (0, 0));
    }
}

/// Records that an answer is passed on although it could not be looked into. The error: that cannot be recorded, so that
/// it must not be.
pub(crate) fn record_passed(
    worker: &Worker,
    facts: &Facts,
    passed: &Stopped,
) -> Result<(), Stopped> {
    let arrival = Arrival::now(&worker.journal);
    let ruling = Ruling { verdict: Verdict::Allow, ..passed.ruling(facts) };
    let what = Inside { method: PAGE_METHOD, words: None };
    let decided = (&*worker.view(), &ruling);
    record::inside(&worker.journal, decided, &arrival, facts, &what, (0, 0))
        .map_err(|_| Stopped::because(ReasonCode::LogUnavailable))
}

/// Begins to look into an answer: it is passed on as it is, or is a page of ours, or is to be waited for with [`examine`].
/// `dest` is what the client says that it is for.
pub(crate) fn begin(
    worker: &Rc<Worker>,
    live: &Rc<Live>,
    asker: &Asker,
    answer: Response<Reply>,
    dest: Option<&HeaderValue>,
) -> Begun {
    let (parts, body) = answer.into_parts();
    let mut body = match body {
        Reply::Forwarded(body) if !asker.is_head() && !body.is_over() => body,
        other => return Begun::Done(Response::from_parts(parts, other)),
    };
    match Scanning::of(worker, live, &parts, dest) {
        Ok(None) => Begun::Done(Response::from_parts(parts, Reply::Forwarded(body))),
        Ok(Some(scanning)) => {
            body.look_into(Box::new(scanning));
            Begun::Held(Box::new((parts, body)))
        }
        Err(stopped) => {
            body.give_up();
            Begun::Done(refuse::page(worker, live, asker, stopped.ruling(&live.facts())))
        }
    }
}

/// How an answer stands that is to be looked into.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and is kept for no time"
)]
pub(crate) enum Begun {
    /// There is nothing to look for, or it is refused.
    Done(Response<Reply>),
    /// Its body is held back.
    Held(Box<(Parts, Forwarded)>),
}

/// Looks into an answer: what is passed on is looked into on its way, or is a page of ours instead.
pub(crate) async fn examine(
    worker: &Rc<Worker>,
    live: &Rc<Live>,
    asker: &Asker,
    (parts, mut body): (Parts, Forwarded),
) -> Response<Reply> {
    if let Err(end) = live.unless_stopped(hold(&mut body)).await {
        body.give_up();
        return refuse::stopped(worker, live, asker, end);
    }
    let Some(scanning) = body.scanning_mut() else {
        return Response::from_parts(parts, Reply::Forwarded(body));
    };
    scanning.head_is_out = true;
    let Some(stopped) = scanning.stopped.clone() else {
        return Response::from_parts(parts, Reply::Forwarded(body));
    };
    let signs = scanning.signs();
    body.give_up();
    drop(body);
    let ruling = Ruling { signs, ..stopped.ruling(&live.facts()) };
    refuse::page(worker, live, asker, ruling)
}

/// Reads the beginning of a body, until it may go on, must not, or has been held for long enough.
async fn hold(body: &mut Forwarded) {
    let begun = Instant::now();
    while !body.is_broken() {
        let Some(scanning) = body.scanning_mut().filter(|scanning| !scanning.is_settled()) else {
            return;
        };
        let until = scanning.holds_until(begun);
        let more = std::future::poll_fn(|cx| body.poll_held(cx));
        let in_time = match until {
            Some(until) => timeout_at(until, more).await.is_ok(),
            None => {
                more.await;
                true
            }
        };
        if !in_time {
            body.scanning_mut().into_iter().for_each(Scanning::stop_holding);
            return;
        }
    }
}
