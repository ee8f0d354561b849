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

/// The body of a request that is read on its way.
pub(crate) struct Prompting {
    worker: Rc<Worker>,
    live: Rc<Live>,
    searched: Rc<Searched>,
    kind: WordsKind,
    actions: Rc<Actions>,
    coding: Coding,
    text: RequestText,
    written: Written,
    /// The piece that came last.
    held: Option<Frame<Bytes>>,
    is_judged: bool,
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

impl Prompting {
    /// For the body of a request; `None` for nearly all: the site is no assistant, or the level is not watched, or
    /// nobody's words are in bodies of this type.
    pub(crate) fn of(
        worker: &Rc<Worker>,
        live: &Rc<Live>,
        headers: &HeaderMap,
    ) -> Option<Box<Self>> {
        let facts = live.facts();
        let searched = facts.searched.clone()?;
        let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let kind = if searched.is_assistant() {
            WordsKind::Prompt
        } else if searched.is_engine()
            && content_type.starts_with("application/x-www-form-urlencoded")
        {
            WordsKind::Search
        } else {
            return None;
        };
        let view = worker.view();
        let actions = view.actions(facts.who.level);
        if !actions.watch() {
            return None;
        }
        let text = RequestText::new(content_type)?;
        let codings: Vec<_> = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let coding = match Codings::parse(&codings.join(",")) {
            Ok(codings) if codings == Codings::default() => Coding::None,
            Ok(codings) => Coding::Known(Decoder::new(codings, DecodeLimits::default())),
            Err(_) => Coding::Unknown,
        };
        let whole = Reading::new(
            view.snapshot.themes.clone(),
            Rc::clone(&actions),
            Rc::clone(&worker.theme_scratch),
            false,
        );
        Some(Box::new(Self {
            worker: Rc::clone(worker),
            live: Rc::clone(live),
            searched,
            kind,
            actions,
            coding,
            text,
            written: Written { last: String::new(), whole, is_long: false },
            held: None,
            is_judged: false,
            is_refused: false,
            refused: None,
        }))
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
            if self.is_judged {
                return Poll::Ready(self.held.take().map(Ok));
            }
            match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let before = self.held.take();
                    if let Some(data) = frame.data_ref() {
                        self.take(data);
                    }
                    self.held = Some(frame);
                    if let Some(before) = before.filter(|_| !self.is_refused) {
                        return Poll::Ready(Some(Ok(before)));
                    }
                    if incoming.is_end_stream() {
                        self.judge();
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.judge(),
            }
        }
    }

    fn take(&mut self, data: &[u8]) {
        let Self { coding, text, written, .. } = self;
        let is_read = match coding {
            Coding::None => {
                text.push(data, &mut |text| written.take(text));
                true
            }
            Coding::Known(decoder) => {
                let read = &mut |data: &[u8]| text.push(data, &mut |text| written.take(text));
                decoder.push(data, read) == DecodeState::Clean
            }
            Coding::Unknown => false,
        };
        if !is_read && self.actions.block() {
            return self.refuse_unread();
        }
        if self.written.is_long && self.written.whole.is_over() {
            self.judge();
        }
    }

    /// All of it came, or enough.
    fn judge(&mut self) {
        if self.is_judged {
            return;
        }
        self.is_judged = true;
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
        let categories = self.live.facts().categories;
        let ruling = match reached.refused_typed(themes, &self.actions) {
            Some(_) => Ruling { categories, signs, ..Ruling::block(code) },
            None if signs.is_empty() => return,
            None => Ruling { categories, signs, ..Ruling::allow() },
        };
        self.record(&view, ruling);
    }

    /// Records what was written as an access of its own. What cannot be recorded does not pass.
    fn record(&mut self, view: &View, ruling: Ruling) {
        let arrival = Arrival::now(&self.worker.journal);
        let text = self.written.last.as_str();
        let text = &text[..text.floor_char_boundary(MAX_WORDS_BYTES)];
        let words = Some(Words { text, kind: self.kind, site: self.searched.name() });
        let status = if ruling.verdict == Verdict::Block { 403 } else { 0 };
        let what = Inside { method: PROMPT_METHOD, words };
        let journal = &self.worker.journal;
        let recorded = record::inside(
            journal,
            (view, &ruling),
            &arrival,
            &self.live.facts(),
            &what,
            (status, 0),
        );
        let ruling = match recorded {
            Ok(()) if ruling.verdict == Verdict::Allow => return,
            Ok(()) => ruling,
            Err(error) => {
                tracing::debug!(%error, "what was written could not be recorded; it was refused");
                Ruling::block(ReasonCode::LogUnavailable)
            }
        };
        self.is_refused = true;
        self.refused = Some((ruling, arrival));
    }

    /// A body that cannot be read, of a level that may not write everything.
    fn refuse_unread(&mut self) {
        self.is_judged = true;
        let categories = self.live.facts().categories;
        let view = self.worker.view();
        self.record(&view, Ruling { categories, ..Ruling::block(ReasonCode::Unscanned) });
    }

    /// What the client is told, where the site must not get it.
    pub(crate) fn refused(&mut self) -> Option<(Ruling, Arrival)> {
        self.refused.take()
    }
}
