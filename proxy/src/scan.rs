//! What an answer says: decoded, read and scored on its way to the client.
//!
//! A body is held back as long as it is short and has only begun: until then a page that is of a theme can still be
//! replaced by ours. Later it is cut. Either is recorded as an access of its own, of the method `PAGE`, refused;
//! what is watched for and passes is recorded as signs of the request.

use crate::body::{Forwarded, Reply};
use crate::live::{Facts, Live};
use crate::record::{self, Arrival, now};
use crate::refuse::{self, Asker};
use crate::themes::{Actions, Reading};
use crate::view::{Ruling, View};
use crate::worker::Worker;
use bytes::Bytes;
use categorizer::page::{Format, PageHead, PageLimits, PageScan, Step, Unscannable};
use hyper::body::Frame;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Response};
use ledger::notes::{Sign, SignSource};
use rules::decide::ReasonCode;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// The method in the record of a page that was refused for what it says.
pub(crate) const PAGE_METHOD: &str = "PAGE";

/// How long the beginning of a body is held back, once it has come.
const HOLD: Duration = Duration::from_millis(4);

/// Why a body goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// It is of a theme that the level may not read.
    Words,
    /// It cannot be looked into, and the level may not read everything.
    Unscanned(Unscannable),
}

impl Stopped {
    fn code(self) -> ReasonCode {
        match self {
            Self::Words => ReasonCode::PageWords,
            Self::Unscanned(_) => ReasonCode::Unscanned,
        }
    }
}

/// A body that is looked into.
pub(crate) struct Scanning {
    worker: Rc<Worker>,
    scan: PageScan,
    reading: Reading,
    actions: Rc<Actions>,
    source: SignSource,
    /// What came and was not passed on.
    held: VecDeque<Frame<Bytes>>,
    held_bytes: u64,
    /// What is held may be passed on.
    released: bool,
    /// Something was.
    passed: bool,
    /// The body has ended, and was judged as a whole.
    ended: bool,
    stopped: Option<Stopped>,
}

impl Scanning {
    /// For an answer; `None` where there is nothing to look for in it. The error: it cannot be looked into.
    fn of(
        worker: &Rc<Worker>,
        view: &View,
        live: &Live,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Stopped> {
        let facts = live.facts();
        let mut actions = view.actions(facts.who.level);
        if !actions.watch() {
            return Ok(None);
        }
        if actions.block() && facts.with_access(|access| view.snapshot.is_opened(access, now())) {
            actions = Rc::new(actions.only_watched());
        }
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let content_type = headers.get(CONTENT_TYPE).and_then(text);
        // Without a type browsers look at the bytes, and mostly take them for a page.
        let content_type = content_type.as_deref().unwrap_or("text/html");
        let codings: Vec<_> = headers.get_all(CONTENT_ENCODING).iter().filter_map(text).collect();
        let head = PageHead {
            content_type: Some(content_type),
            content_encoding: &codings.join(","),
            format: None,
            top_level_domain: facts.host.as_str().rsplit('.').next(),
        };
        let scan = match PageScan::new(&head, PageLimits::default()) {
            Ok(Some(scan)) => scan,
            Ok(None) => return Ok(None),
            Err(why) if actions.block() => return Err(Stopped::Unscanned(why)),
            Err(_) => return Ok(None),
        };
        let streams = matches!(
            Format::of(Some(content_type)),
            Some(Format::Events | Format::JsonStream | Format::Messages)
        );
        let reading = Reading::new(
            view.snapshot.themes.clone(),
            Rc::clone(&actions),
            Rc::clone(&worker.theme_scratch),
            streams,
        );
        Ok(Some(Self {
            worker: Rc::clone(worker),
            scan,
            reading,
            actions,
            source: if streams { SignSource::Reply } else { SignSource::Page },
            held: VecDeque::new(),
            held_bytes: 0,
            released: false,
            passed: false,
            ended: false,
            stopped: None,
        }))
    }

    /// Takes what comes next.
    pub(crate) fn take(&mut self, frame: Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            let step = self.scan.push(data, &mut self.reading);
            self.held_bytes += data.len() as u64;
            self.held.push_back(frame);
            self.obey(step);
        } else {
            self.held.push_back(frame);
        }
    }

    /// The body has ended in order.
    pub(crate) fn end(&mut self) {
        if self.ended {
            return;
        }
        let step = self.scan.end(&mut self.reading);
        self.obey(step);
        self.ended = true;
        self.released = true;
    }

    /// What may be passed on next.
    pub(crate) fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.stopped.is_some() || !self.released {
            return None;
        }
        let frame = self.held.pop_front()?;
        self.held_bytes -= frame.data_ref().map_or(0, |data| data.len() as u64);
        self.passed = true;
        Some(frame)
    }

    /// Bytes that came and were not passed on.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Whether nothing is left of a body that has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.ended && self.held.is_empty()
    }

    /// Whether the body has ended, passed on or not.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Why it goes no further.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        self.stopped
    }

    fn is_settled(&self) -> bool {
        self.stopped.is_some() || self.released
    }

    fn stop_holding(&mut self) {
        self.scan.stop_holding();
        self.released = true;
    }

    fn obey(&mut self, step: Step) {
        match step {
            Step::Hold => {}
            Step::Release => self.released = true,
            Step::Flagged => self.stopped = Some(Stopped::Words),
            Step::Unscannable(why @ (Unscannable::Bomb | Unscannable::Coding))
                if self.actions.block() =>
            {
                self.stopped = Some(Stopped::Unscanned(why));
            }
            // Too long to read to its end, or not what it says it is: what could be read of it was.
            Step::Unscannable(_) => self.released = true,
        }
    }

    /// Records what of a body that passed is watched for.
    pub(crate) fn note(&self, live: &Live) {
        self.reading.signs(self.source).into_iter().for_each(|sign| live.add_sign(sign));
    }

    /// Records that a body was cut after part of it was passed on.
    pub(crate) fn note_cut(&self, live: &Live, stopped: Stopped) {
        let view = self.worker.view();
        let arrival = Arrival::now(&self.worker.journal);
        let ruling = ruling(&live.facts(), stopped, self.reading.signs(self.source));
        let journal = &self.worker.journal;
        record::refuse_page(journal, (&view, &ruling), &arrival, &live.facts(), (0, 0));
    }
}

fn ruling(facts: &Facts, stopped: Stopped, signs: Vec<Sign>) -> Ruling {
    Ruling { categories: facts.categories, signs, ..Ruling::block(stopped.code()) }
}

/// Looks into an answer: what is passed on is looked into on its way, or is a page of ours instead.
pub(crate) async fn examine(
    worker: &Rc<Worker>,
    live: &Rc<Live>,
    asker: &Asker,
    answer: Response<Reply>,
) -> Response<Reply> {
    let view = worker.view();
    let (parts, body) = answer.into_parts();
    let mut body = match body {
        Reply::Forwarded(body) if !asker.is_head() && !body.is_over() => body,
        other => return Response::from_parts(parts, other),
    };
    let scanning = match Scanning::of(worker, &view, live, &parts.headers) {
        Ok(None) => return Response::from_parts(parts, Reply::Forwarded(body)),
        Ok(Some(scanning)) => scanning,
        Err(stopped) => {
            drop(body);
            let ruling = ruling(&live.facts(), stopped, Vec::new());
            return refuse::page(worker, live, asker, ruling);
        }
    };
    body.look_into(Box::new(scanning));
    hold(&mut body).await;
    let Some(stopped) = body.scanning().and_then(Scanning::stopped) else {
        return Response::from_parts(parts, Reply::Forwarded(body));
    };
    let signs = body.scanning().map(|it| it.reading.signs(it.source)).unwrap_or_default();
    body.give_up();
    drop(body);
    let ruling = ruling(&live.facts(), stopped, signs);
    refuse::page(worker, live, asker, ruling)
}

/// Reads the beginning of a body, until it may go on, must not, or has been held for long enough.
async fn hold(body: &mut Forwarded) {
    // The first bytes are waited for as long as a client would wait for them.
    std::future::poll_fn(|cx| body.poll_held(cx)).await;
    if body.scanning().is_none_or(Scanning::is_settled) || body.is_broken() {
        return;
    }
    let settled = async {
        while !body.scanning().is_none_or(Scanning::is_settled) && !body.is_broken() {
            std::future::poll_fn(|cx| body.poll_held(cx)).await;
        }
    };
    if tokio::time::timeout(HOLD, settled).await.is_err()
        && let Some(scanning) = body.scanning_mut()
    {
        scanning.stop_holding();
    }
}

/// Has a site answer in codings that can be undone, where its answer will be looked into.
pub(crate) fn ask_for_known_codings(worker: &Worker, live: &Live, headers: &mut HeaderMap) {
    if !worker.view().actions(live.facts().who.level).watch() {
        return;
    }
    // A dictionary of an earlier answer, which we do not have (RFC 9842).
    headers.remove("available-dictionary");
    let mut values = headers.get_all(ACCEPT_ENCODING).iter();
    let Some(first) = values.next() else { return };
    if values.next().is_none() && USUAL_CODINGS.contains(&first.as_bytes()) {
        return;
    }
    let known = known_codings(headers);
    headers.insert(ACCEPT_ENCODING, known);
}

/// What browsers send, so that the usual request costs nothing.
const USUAL_CODINGS: [&[u8]; 3] =
    [b"gzip, deflate, br, zstd", b"gzip, deflate, br", b"gzip, deflate"];

/// Those of the codings that a client takes which can be undone here, each with its weight (RFC 9110, 12.5.3).
fn known_codings(headers: &HeaderMap) -> HeaderValue {
    let fields = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
    let known = fields.flat_map(|field| field.split(',')).map(str::trim).filter(|coding| {
        let name = coding.split(';').next().unwrap_or_default().trim();
        ["gzip", "x-gzip", "deflate", "br", "zstd", "identity"]
            .iter()
            .any(|it| it.eq_ignore_ascii_case(name))
    });
    let known = known.collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "identity" } else { &known };
    HeaderValue::from_str(known).unwrap_or(HeaderValue::from_static("identity"))
}
