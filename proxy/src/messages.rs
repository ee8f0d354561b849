//! The messages of a WebSocket to an assistant, read as they pass: what is asked, and what is answered.
//!
//! What is asked is judged when the last bytes of its message come, before they are passed on: who gets a message
//! without its end has got none. What is answered is one text, whatever messages it comes in, and judged as it grows and
//! wherever it rests: of a short message that is after it passed. What may not be asked, or read, ends the connection.
//! Extensions are not offered to the site (`of` takes them out), so that nothing is packed.

use crate::frames::{Frames, Piece, Unreadable};
use crate::live::Live;
use crate::record::{self, Arrival, Inside};
use crate::scan::PAGE_METHOD;
use crate::themes::{Actions, Reading};
use crate::typed::Writing;
use crate::view::Ruling;
use crate::worker::Worker;
use categorizer::page::{Format, PageHead, PageLimits, PageScan, Step};
use hyper::HeaderMap;
use hyper::header::SEC_WEBSOCKET_EXTENSIONS;
use ledger::notes::SignSource;
use ledger::record::End;
use rules::decide::{ReasonCode, Verdict};
use std::rc::Rc;

/// What is sent to assistants is JSON, or plain.
const WRITTEN: &str = "text/plain";

/// Both directions of one connection.
pub(crate) struct Messages {
    worker: Rc<Worker>,
    live: Rc<Live>,
    actions: Rc<Actions>,
    /// The view that they come from.
    generation: u64,
    from_client: Frames,
    writing: Option<Writing>,
    from_site: Frames,
    scan: Option<PageScan>,
    reading: Reading,
    /// Themes of the answers that are recorded.
    told: Vec<String>,
}

/// The connection goes no further; that is recorded.
#[derive(Debug, thiserror::Error)]
#[error("what is said may not be passed on")]
pub(crate) struct Refused;

impl Messages {
    /// For a connection that is about to be asked for; `None` for nearly all. Takes the extensions out of the request.
    pub(crate) fn of(
        worker: &Rc<Worker>,
        live: &Rc<Live>,
        headers: &mut HeaderMap,
    ) -> Option<Box<Self>> {
        Writing::of(worker, live, WRITTEN)?;
        headers.remove(SEC_WEBSOCKET_EXTENSIONS);
        let view = worker.view();
        let generation = live.facts().generation;
        let actions = view.actions(view.who(&live.facts()).level);
        let scratch = Rc::clone(&worker.theme_scratch);
        let reading =
            Reading::new(view.snapshot.themes.clone(), Rc::clone(&actions), scratch, true);
        Some(Box::new(Self {
            worker: Rc::clone(worker),
            live: Rc::clone(live),
            actions,
            generation,
            from_client: Frames::default(),
            writing: None,
            from_site: Frames::default(),
            scan: None,
            reading,
            told: Vec::new(),
        }))
    }

    /// Takes what the client sent, before it is passed on.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn asked(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let Self { from_client, writing, worker, live, .. } = self;
        let mut is_refused = false;
        let read = from_client.push(bytes, &mut |piece| match piece {
            Piece::Text(text) => {
                if writing.is_none() {
                    *writing = Writing::of(worker, live, WRITTEN);
                }
                if let Some(writing) = writing {
                    writing.take(text);
                }
            }
            Piece::End => is_refused |= writing.take().and_then(Writing::judge).is_some(),
        });
        if read.is_err() {
            let writing = self.writing.take();
            let writing = writing.or_else(|| Writing::of(&self.worker, &self.live, WRITTEN));
            is_refused |= writing.and_then(Writing::unread).is_some();
        }
        self.go_on(!is_refused)
    }

    /// Takes what the site sent, before it is passed on.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn answered(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.renew();
        let Self { from_site, scan, reading, .. } = self;
        let head = PageHead { format: Some(Format::Messages), ..PageHead::default() };
        let (mut flagged, mut has_text) = (false, false);
        let read = from_site.push(bytes, &mut |piece| {
            let known = scan.take().or_else(|| PageScan::new(&head, PageLimits::default()).ok()?);
            let Some(mut known) = known else { return };
            let step = match piece {
                Piece::Text(text) => {
                    has_text = true;
                    known.push(text, reading)
                }
                Piece::End => known.end_message(reading),
            };
            flagged |= step == Step::Flagged;
            // What is longer than one scan reads goes on with another.
            *scan = Some(known).filter(|_| !matches!(step, Step::Unscannable(_)));
        });
        if flagged {
            return self.refuse();
        }
        if has_text {
            self.live.is_read();
        }
        let is_recorded = self.tell();
        if read == Err(Unreadable) {
            let ruling = Ruling::block(ReasonCode::Unscanned);
            if self.actions.block() {
                self.told.clear();
                self.record(ruling);
                return self.go_on(false);
            }
            // It passes from here on unread: that is recorded, once.
            let is_told = self.record(Ruling { verdict: Verdict::Allow, ..ruling });
            return self.go_on(is_recorded && is_told);
        }
        self.go_on(is_recorded)
    }

    /// Has what was answered judged, however little it is, once nothing has come for a while: it was read.
    ///
    /// # Errors
    /// [`Refused`].
    pub(crate) fn rest(&mut self) -> Result<(), Refused> {
        if !self.live.takes_rest() {
            return Ok(());
        }
        self.renew();
        let Self { scan, reading, .. } = self;
        if scan.as_mut().is_some_and(|scan| scan.rest(reading) == Step::Flagged) {
            return self.refuse();
        }
        let is_recorded = self.tell();
        self.go_on(is_recorded)
    }

    /// What was answered goes no further.
    fn refuse(&mut self) -> Result<(), Refused> {
        self.told.clear();
        self.record(Ruling::block(ReasonCode::PageWords));
        self.go_on(false)
    }

    /// Has answers read by the policy in force, once the connection was asked about again by that. What is asked is read
    /// so message by message.
    fn renew(&mut self) {
        let (view, facts) = (self.worker.view(), self.live.facts());
        if facts.generation != self.generation && facts.generation == view.generation {
            self.generation = view.generation;
            self.actions = view.actions(facts.who.level);
            self.reading.renew(&view.snapshot.themes, Rc::clone(&self.actions));
        }
    }

    /// Records what was answered as an access of its own, with the signs that are new; whether it could be.
    fn record(&mut self, ruling: Ruling) -> bool {
        let view = self.worker.view();
        let facts = self.live.facts();
        let mut signs = self.reading.signs(SignSource::Reply);
        signs.retain(|sign| !self.told.contains(&sign.theme));
        self.told.extend(signs.iter().map(|sign| sign.theme.clone()));
        let ruling = Ruling { categories: facts.categories, signs, ..ruling };
        let arrival = Arrival::now(&self.worker.journal);
        let what = Inside { method: PAGE_METHOD, words: None };
        let recorded =
            record::inside(&self.worker.journal, (&view, &ruling), &arrival, &facts, &what, (0, 0));
        recorded
            .inspect_err(|error| tracing::error!(%error, "an answer could not be recorded"))
            .is_ok()
    }

    /// Records themes of the answers that are in no record yet; whether that could be done.
    fn tell(&mut self) -> bool {
        let signs = self.reading.signs(SignSource::Reply);
        let is_new = signs.iter().any(|sign| !self.told.contains(&sign.theme));
        !is_new || self.record(Ruling::allow())
    }

    fn go_on(&self, goes_on: bool) -> Result<(), Refused> {
        if goes_on {
            return Ok(());
        }
        self.live.finish(End::Cut);
        Err(Refused)
    }
}

/// What came last was passed on, and is judged all the same.
impl Drop for Messages {
    fn drop(&mut self) {
        if let Some(mut scan) = self.scan.take() {
            scan.end(&mut self.reading);
            self.tell();
        }
    }
}
