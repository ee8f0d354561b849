//! What somebody typed, scored by themes before a site gets it: searches, and what is asked of assistants.
//!
//! The words of a search stand in the address, so that they are judged with the request. What is asked of an assistant
//! mostly travels in the body: that is read on its way, and its last piece is kept back until all of it was judged. A
//! site that never gets the end of a request does not answer it.
//!
//! An exception or an unblock of the site changes nothing of this: it opens the site, and not whatever is asked there.

use crate::body::{BodyError, Incoming};
use crate::live::{Facts, Live};
use crate::record::{self, Arrival, Inside};
use crate::searches::Searched;
use crate::themes::{Actions, Reading, typed};
use crate::view::{Ruling, View};
use crate::worker::Worker;
use bytes::Bytes;
use categorizer::page::{Codings, DecodeLimits, DecodeState, Decoder, RequestText, Scorer};
use hyper::HeaderMap;
use hyper::body::{Body as _, Frame};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use ledger::notes::{MAX_WORDS_BYTES, SignSource, Words, WordsKind};
use rules::decide::{ReasonCode, Verdict};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// The method in the record of what was written in a body and is of a theme.
pub(crate) const PROMPT_METHOD: &str = "PROMPT";

/// What is longer was not typed at once: it is read as a page is, and its end as something typed.
const TYPED_BYTES: usize = 4 << 10;

/// Judges the words of a search that the policy allows: the ruling gets its signs, or becomes a block.
pub(crate) fn judge(worker: &Worker, view: &View, facts: &Facts, ruling: &mut Ruling) {
    let Some(words) = facts.searched.as_ref().and_then(|searched| searched.words()) else { return };
    if ruling.verdict != Verdict::Allow {
        return;
    }
    let actions = view.actions(facts.who.level);
    if !actions.watch() {
        return;
    }
    let themes = &view.snapshot.themes;
    let reached = typed(themes, words.text, &worker.theme_scratch);
    let (source, code) = by_kind(words.kind);
    // Half a sentence is no sign of anything; but nobody is helped to complete one that may not be asked.
    let signs = match words.kind {
        WordsKind::Suggest => Vec::new(),
        WordsKind::Search | WordsKind::Prompt => reached.signs(themes, &actions, source),
    };
    if reached.refused_typed(themes, &actions).is_some() {
        *ruling = Ruling { categories: ruling.categories, ..Ruling::block(code) };
    }
    ruling.signs = signs;
}

fn by_kind(kind: WordsKind) -> (SignSource, ReasonCode) {
    match kind {
        WordsKind::Search | WordsKind::Suggest => (SignSource::Search, ReasonCode::SearchWords),
        WordsKind::Prompt => (SignSource::Prompt, ReasonCode::PromptWords),
    }
}

/// What somebody writes to an assistant or a search engine, judged once all of it is there.
pub(crate) struct Writing {
    worker: Rc<Worker>,
    live: Rc<Live>,
    searched: Rc<Searched>,
    kind: WordsKind,
    actions: Rc<Actions>,
    text: RequestText,
    written: Written,
}

/// What was written, as far as it came.
struct Written {
    /// The last [`TYPED_BYTES`] of it.
    last: String,
    /// All of it, once it is longer.
    whole: Reading,
    is_long: bool,
}

impl Written {
    fn take(&mut self, text: &str) {
        if self.is_long {
            self.whole.feed(text);
        }
        self.last.push_str(text);
        if self.last.len() > TYPED_BYTES {
            if !self.is_long {
                self.is_long = true;
                self.whole.feed(&self.last);
            }
            let from = self.last.ceil_char_boundary(self.last.len() - TYPED_BYTES / 2);
            self.last.drain(..from);
        }
    }
}

impl Writing {
    /// For what is sent as this type; `None` for nearly all: the site is no assistant, or the level is not watched, or
    /// nobody's words are in bodies of this type.
    pub(crate) fn of(worker: &Rc<Worker>, live: &Rc<Live>, content_type: &str) -> Option<Self> {
        let facts = live.facts();
        let searched = facts.searched.clone()?;
        let is_form = content_type.starts_with("application/x-www-form-urlencoded");
        let kind = match searched.is_assistant() {
            true => WordsKind::Prompt,
            false if searched.is_engine() && is_form => WordsKind::Search,
            false => return None,
        };
        let view = worker.view();
        let actions = view.actions(facts.who.level);
        if !actions.watch() {
            return None;
        }
        let text = RequestText::new(content_type)?;
        let themes = view.snapshot.themes.clone();
        let scratch = Rc::clone(&worker.theme_scratch);
        let whole = Reading::new(themes, Rc::clone(&actions), scratch, false);
        let written = Written { last: String::new(), whole, is_long: false };
        let (worker, live) = (Rc::clone(worker), Rc::clone(live));
        drop(facts);
        Some(Self { worker, live, searched, kind, actions, text, written })
    }

    /// Takes the bytes that come next, decoded.
    pub(crate) fn take(&mut self, data: &[u8]) {
        let Self { text, written, .. } = self;
        text.push(data, &mut |text| written.take(text));
    }

    /// All of it came. What is of a theme is recorded as an access of its own; what the client is told, if the site
    /// must not get it.
    pub(crate) fn judge(mut self) -> Option<(Ruling, Arrival)> {
        let written = &mut self.written;
        self.text.end(&mut |text| written.take(text));
        let view = self.worker.view();
        let themes = &view.snapshot.themes;
        let mut reached = typed(themes, &written.last, &self.worker.theme_scratch);
        if written.is_long {
            written.whole.is_over_at_end();
            reached.join(written.whole.reached());
        }
        let (source, code) = by_kind(self.kind);
        let signs = reached.signs(themes, &self.actions, source);
        match reached.refused_typed(themes, &self.actions) {
            Some(_) => self.record(&view, Ruling { signs, ..Ruling::block(code) }),
            None if signs.is_empty() => None,
            None => self.record(&view, Ruling { signs, ..Ruling::allow() }),
        }
    }

    /// It cannot be read: refused where the level may not write everything.
    pub(crate) fn unread(self) -> Option<(Ruling, Arrival)> {
        let is_refused = self.actions.block();
        let ruling = Ruling::block(ReasonCode::Unscanned);
        if is_refused { self.record(&self.worker.view(), ruling) } else { None }
    }

    /// Records what was written. What cannot be recorded does not pass.
    fn record(&self, view: &View, ruling: Ruling) -> Option<(Ruling, Arrival)> {
        let facts = self.live.facts();
        let ruling = Ruling { categories: facts.categories, ..ruling };
        let arrival = Arrival::now(&self.worker.journal);
        let text = self.written.last.trim();
        let text = &text[..text.floor_char_boundary(MAX_WORDS_BYTES)];
        let words = Some(Words { text, kind: self.kind, site: self.searched.name() });
        let words = words.filter(|words| !words.text.is_empty());
        let what = Inside { method: PROMPT_METHOD, words };
        let status = if ruling.verdict == Verdict::Block { 403 } else { 0 };
        let about = (view, &ruling);
        match record::inside(&self.worker.journal, about, &arrival, &facts, &what, (status, 0)) {
            Ok(()) if ruling.verdict == Verdict::Allow => None,
            Ok(()) => Some((ruling, arrival)),
            Err(error) => {
                tracing::debug!(%error, "what was written could not be recorded; it was refused");
                Some((Ruling::block(ReasonCode::LogUnavailable), arrival))
            }
        }
    }
}

/// The body of a request that is read on its way.
pub(crate) struct Prompting {
    coding: Coding,
    /// Until it was judged.
    writing: Option<Writing>,
    /// The piece that came last.
    held: Option<Frame<Bytes>>,
    is_refused: bool,
    /// What the client is told.
    refused: Option<(Ruling, Arrival)>,
}

/// How a body is coded (`Content-Encoding`).
enum Coding {
    None,
    Known(Decoder),
    Unknown,
}

impl Prompting {
    /// For the body of a request; `None` where nothing that somebody writes is judged.
    pub(crate) fn of(
        worker: &Rc<Worker>,
        live: &Rc<Live>,
        headers: &HeaderMap,
    ) -> Option<Box<Self>> {
        // Nearly all requests end here.
        live.facts().searched.as_ref()?;
        let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let writing = Some(Writing::of(worker, live, content_type)?);
        let values = headers.get_all(CONTENT_ENCODING).iter();
        // A value that is no text is no coding that is known.
        let codings: Vec<_> = values.map(|value| value.to_str().unwrap_or("?")).collect();
        let coding = match Codings::parse(&codings.join(",")) {
            Ok(codings) if codings == Codings::default() => Coding::None,
            Ok(codings) => Coding::Known(Decoder::new(codings, DecodeLimits::default())),
            Err(_) => Coding::Unknown,
        };
        let (held, refused) = (None, None);
        Some(Box::new(Self { coding, writing, held, is_refused: false, refused }))
    }

    /// Whether a piece came that was not passed on.
    pub(crate) fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Bytes of it.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64)
    }

    /// The next piece that may be passed on; the error, once the site must not get the rest.
    pub(crate) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            if self.is_refused {
                return Poll::Ready(Some(Err(BodyError::Stopped)));
            }
            if incoming.is_end_stream() {
                self.end();
                if self.is_refused {
                    continue;
                }
                return Poll::Ready(self.held.take().map(Ok));
            }
            match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.take(data);
                    }
                    if let Some(before) = self.held.replace(frame).filter(|_| !self.is_refused) {
                        return Poll::Ready(Some(Ok(before)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.end();
                    if !self.is_refused {
                        return Poll::Ready(self.held.take().map(Ok));
                    }
                }
            }
        }
    }

    fn take(&mut self, data: &[u8]) {
        let Some(writing) = &mut self.writing else { return };
        let is_read = match &mut self.coding {
            Coding::None => {
                writing.take(data);
                true
            }
            Coding::Known(decoder) => {
                decoder.push(data, &mut |data| writing.take(data)) == DecodeState::Clean
            }
            Coding::Unknown => false,
        };
        if !is_read {
            self.refused = self.writing.take().and_then(Writing::unread);
            self.is_refused = self.refused.is_some();
        }
    }

    fn end(&mut self) {
        if let Some(writing) = self.writing.take() {
            self.refused = writing.judge();
            self.is_refused = self.refused.is_some();
        }
    }

    /// What the client is told, where the site must not get it.
    pub(crate) fn refused(&mut self) -> Option<(Ruling, Arrival)> {
        self.refused.take()
    }
}
