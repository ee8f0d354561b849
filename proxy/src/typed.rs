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
use crate::scan::{self, Stopped};
use crate::searches::Searched;
use crate::themes::{Actions, Reached, Reading, typed};
use crate::turns::{Pace, Turns};
use crate::view::{Ruling, View};
use crate::worker::Worker;
use bytes::Bytes;
use categorizer::page::{Codings, DecodeLimits, DecodeState, Decoder, RequestText, Scorer};
use categorizer::theme::Themes;
use hyper::HeaderMap;
use hyper::body::{Body as _, Frame};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use ledger::notes::{MAX_WORDS_BYTES, Severity, Sign, SignSource, Words, WordsKind};
use rules::decide::{ReasonCode, Verdict};
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_USER: HeaderName = HeaderName::from_static("sec-fetch-user");

/// The method in the record of what was written in a body and is of a theme.
pub(crate) const PROMPT_METHOD: &str = "PROMPT";

/// What is longer is judged in stretches of this length, each as something typed, and besides as a whole, as a page is.
/// A record has room for one stretch.
const TYPED_BYTES: usize = MAX_WORDS_BYTES;

/// How much of a stretch is judged again with the next one.
const OVERLAP_BYTES: usize = 256;

/// Most stretches that are judged as typed: nobody types more.
const MOST_STRETCHES: u32 = 64;

/// Bytes of a body that are kept back until all of it, or so much, has been judged.
const HELD_BYTES: u64 = 64 << 10;

/// Bytes of what was written that are read before others of the worker have a turn: some stretches, under a millisecond each.
pub(crate) const BYTES_A_TURN: usize = 8 << 10;
/// The same where a coding has to be taken off, by which they become several times as many.
const CODED_A_TURN: usize = 2 << 10;

/// Judges the words of a search that the policy allows, a long one in turns: the ruling gets its signs, or becomes a
/// block. Says whether it passes though it was not judged whole, which [`record_unread`] records. `left` is told the
/// ruling on what was judged by then, where the client leaves meanwhile.
pub(crate) async fn judge(
    worker: &Worker,
    view: &View,
    facts: &Facts,
    headers: &HeaderMap,
    ruling: &mut Ruling,
    left: impl FnOnce(&Ruling),
) -> bool {
    if ruling.verdict != Verdict::Allow {
        return false;
    }
    let judging = match catch_unwind(AssertUnwindSafe(|| Judging::of(view, facts, headers))) {
        Ok(Some(judging)) => judging,
        Ok(None) => return false,
        Err(_) => return failed(ruling),
    };
    let so_far = || {
        let mut so_far = ruling.clone();
        judging.rule(&mut so_far);
        left(&so_far);
    };
    record::unless_left(judging.score(worker), so_far).await;
    judging.rule(ruling)
}

/// Blocks a search that could not be judged; it does not pass.
fn failed(ruling: &mut Ruling) -> bool {
    tracing::error!("judging a search failed; the request was blocked");
    *ruling = Ruling::block(ReasonCode::Internal);
    false
}

/// Records that a search passed which was not judged whole.
///
/// # Errors
/// The log cannot be written: nothing passes.
pub(crate) fn record_unread(worker: &Worker, facts: &Facts) -> Result<(), Stopped> {
    scan::record_passed(worker, facts, &too_long())
}

/// A search that is being judged.
struct Judging<'a> {
    facts: &'a Facts,
    searched: &'a Searched,
    kind: WordsKind,
    themes: &'a Themes,
    actions: Rc<Actions>,
    is_embedded: bool,
    /// What its words reached so far; `None`: judging them failed.
    reached: Cell<Option<Reached>>,
}

impl<'a> Judging<'a> {
    /// For a search whose words matter to its level.
    fn of(view: &'a View, facts: &'a Facts, headers: &HeaderMap) -> Option<Self> {
        let searched = facts.searched.as_ref()?;
        let kind = searched.words()?.kind;
        let actions = view.actions(view.who(facts).level);
        if !actions.watch() {
            return None;
        }
        let (themes, is_embedded) = (&view.snapshot.themes, is_embedded(headers));
        let reached = Cell::new(Some(Reached::default()));
        Some(Self { facts, searched, kind, themes, actions, is_embedded, reached })
    }

    /// Scores all stretches of its words.
    async fn score(&self, worker: &Worker) {
        let mut pace = Pace::begin();
        for text in self.searched.typed() {
            pace.next().await;
            let score = || typed(self.themes, text, &worker.theme_scratch);
            let scored = catch_unwind(AssertUnwindSafe(score)).ok();
            let joined = self.reached.get().zip(scored).map(|(mut reached, scored)| {
                reached.join(&scored);
                reached
            });
            self.reached.set(joined);
        }
    }

    /// What becomes of it by that: why it is refused, what it is a sign of, and whether it passes though it was not
    /// judged whole.
    fn rule(&self, ruling: &mut Ruling) -> bool {
        match catch_unwind(AssertUnwindSafe(|| {
            self.reached.get().map(|reached| self.judged(&reached))
        })) {
            Ok(Some((refused, signs, passes_unread))) => {
                if let Some(refused) = refused {
                    *ruling = refused.ruling(self.facts);
                }
                ruling.signs = signs;
                passes_unread
            }
            Ok(None) | Err(_) => failed(ruling),
        }
    }

    fn judged(&self, reached: &Reached) -> (Option<Stopped>, Vec<Sign>, bool) {
        let (themes, actions) = (self.themes, &self.actions);
        let (source, code) = by_kind(self.kind);
        // Half a sentence is no sign of anything; but nobody is helped to complete one that may not be asked.
        let is_sign = self.kind != WordsKind::Suggest;
        let mut signs = if is_sign { reached.signs(themes, actions, source) } else { Vec::new() };
        if self.is_embedded {
            soften(&mut signs);
        }
        let refused = reached.refused_typed(themes, actions).map(|_| Stopped::because(code));
        let is_unread = !self.searched.is_typed_whole();
        // What is not judged could be what the site reads.
        let refused = refused.or_else(|| (is_unread && actions.block()).then(too_long));
        let passes_unread = is_unread && refused.is_none();
        (refused, signs, passes_unread)
    }
}

/// What the record has of a search that is longer than what is judged.
fn too_long() -> Stopped {
    Stopped { rule: Some("too_long".into()), ..Stopped::because(ReasonCode::Unscanned) }
}

/// What nobody is known to have typed is a sign all the same: programs and local pages say of what somebody typed that
/// a page had it fetched. It has nobody called at once.
fn soften(signs: &mut [Sign]) {
    signs.iter_mut().for_each(|sign| sign.severity = sign.severity.min(Severity::High));
}

/// Whether a page had it fetched, as a picture or from another site (Fetch Metadata): nobody is known to have typed it.
/// A frame may hold a page that somebody searches in.
fn is_embedded(headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if says(&SEC_FETCH_USER) == Some("?1") {
        return false;
    }
    match says(&SEC_FETCH_DEST) {
        None | Some("document" | "iframe" | "frame" | "embed" | "object") => false,
        Some("empty") => says(&SEC_FETCH_SITE) == Some("cross-site"),
        Some(_) => true,
    }
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
    /// Themes that are recorded.
    told: Vec<String>,
    /// Whether nobody is known to have written it.
    is_embedded: bool,
}

/// What was written, as far as it came.
struct Written {
    /// The last of it, not judged yet but for its beginning.
    last: String,
    /// All of it, once it is longer than a stretch.
    whole: Reading,
    is_long: bool,
    stretches: u32,
    reached: Reached,
    /// The stretch that [matters](Reading::matters) most to the level, and how much: the words of a record.
    found: Option<((bool, u16), String)>,
}

impl Written {
    fn take(&mut self, mut text: &str) {
        while self.last.len() + text.len() > TYPED_BYTES {
            let fits = text.floor_char_boundary(TYPED_BYTES - self.last.len());
            self.whole.feed(&text[..fits]);
            self.last.push_str(&text[..fits]);
            text = &text[fits..];
            self.is_long = true;
            self.judge_last();
            let from = self.last.ceil_char_boundary(self.last.len() - OVERLAP_BYTES);
            self.last.drain(..from);
        }
        self.whole.feed(text);
        self.last.push_str(text);
    }

    fn judge_last(&mut self) {
        if self.stretches == MOST_STRETCHES {
            return;
        }
        self.stretches += 1;
        let reached = self.whole.typed(&self.last);
        let matters = self.whole.matters(&reached);
        if matters > self.found.as_ref().map_or((false, 0), |(most, _)| *most) {
            self.found = Some((matters, self.last.clone()));
        }
        self.reached.join(&reached);
    }

    /// What all of it is, as far as it came.
    fn judged(&mut self) -> Reached {
        // What was typed last is judged however long the rest is.
        self.stretches = self.stretches.min(MOST_STRETCHES - 1);
        self.judge_last();
        let mut reached = self.reached;
        if self.is_long {
            self.whole.is_over_at_end();
            reached.join_whole(self.whole.reached());
        }
        reached
    }
}

impl Writing {
    /// For what is sent as this type; `None` for nearly all: the site is no assistant, or the level is not watched.
    /// What an assistant is sent is read whatever it is called, but pictures, sounds and videos.
    pub(crate) fn of(worker: &Rc<Worker>, live: &Rc<Live>, content_type: &str) -> Option<Self> {
        let facts = live.facts();
        let searched = facts.searched.clone()?;
        let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let is_form =
            matches!(&*essence, "application/x-www-form-urlencoded" | "multipart/form-data");
        let kind = match searched.is_assistant() {
            true => WordsKind::Prompt,
            false if searched.is_engine() && is_form => WordsKind::Search,
            false => return None,
        };
        let view = worker.view();
        let actions = view.actions(view.who(&facts).level);
        let is_other = ["image/", "audio/", "video/"].iter().any(|kind| essence.starts_with(kind));
        if !actions.watch() || is_other {
            return None;
        }
        let text = RequestText::new(content_type).or_else(|| RequestText::new("text/plain"))?;
        let themes = view.snapshot.themes.clone();
        let scratch = Rc::clone(&worker.theme_scratch);
        let whole = Reading::new(themes, Rc::clone(&actions), scratch, false).without_lists();
        let written = Written {
            last: String::new(),
            whole,
            is_long: false,
            stretches: 0,
            reached: Reached::default(),
            found: None,
        };
        let (worker, live) = (Rc::clone(worker), Rc::clone(live));
        drop(facts);
        let (told, is_embedded) = (Vec::new(), false);
        Some(Self { worker, live, searched, kind, actions, text, written, told, is_embedded })
    }

    /// Takes the bytes that come next, decoded.
    pub(crate) fn take(&mut self, data: &[u8]) {
        let Self { text, written, .. } = self;
        text.push(data, &mut |text| written.take(text));
    }

    /// All of it came. What is of a theme is recorded as an access of its own; what the client is told, if the site
    /// must not get it.
    pub(crate) fn judge(mut self) -> Option<(Ruling, Arrival)> {
        let Self { text, written, .. } = &mut self;
        text.end(&mut |text| written.take(text));
        self.judge_so_far()
    }

    /// The same for what came so far.
    fn judge_so_far(&mut self) -> Option<(Ruling, Arrival)> {
        let view = self.worker.view();
        let reached = self.written.judged();
        // Those that it was read by: there may be others meanwhile.
        let themes = self.written.whole.themes();
        let (source, code) = by_kind(self.kind);
        let mut signs = reached.signs(themes, &self.actions, source);
        let is_refused = reached.refused_typed(themes, &self.actions).is_some();
        signs.retain(|sign| is_refused || !self.told.contains(&sign.theme));
        self.told.extend(signs.iter().map(|sign| sign.theme.clone()));
        let is_told = !signs.is_empty();
        if self.is_embedded {
            soften(&mut signs);
        }
        let told = match is_refused {
            true => self.record(&view, Ruling { signs, ..Ruling::block(code) }),
            false if is_told => self.record(&view, Ruling { signs, ..Ruling::allow() }),
            false => return None,
        };
        // What is told of next is something else.
        self.written.found = None;
        told
    }

    /// It cannot be read: refused where the level may not write everything.
    pub(crate) fn unread(self) -> Option<(Ruling, Arrival)> {
        let view = self.worker.view();
        let ruling = Ruling::block(ReasonCode::Unscanned);
        match self.actions.block() {
            true => self.record(&view, ruling),
            false => self.record(&view, Ruling { verdict: Verdict::Allow, ..ruling }),
        }
    }

    /// Records what was written. What cannot be recorded does not pass.
    fn record(&self, view: &View, ruling: Ruling) -> Option<(Ruling, Arrival)> {
        let facts = self.live.facts();
        let ruling = Ruling { categories: facts.categories, ..ruling };
        let arrival = Arrival::now(&self.worker.journal);
        let text = self.written.found.as_ref().map_or(&self.written.last, |(_, text)| text).trim();
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
    /// How it comes.
    turns: Turns,
    /// Until it was judged.
    writing: Option<Writing>,
    /// What came and was not passed on.
    held: VecDeque<Frame<Bytes>>,
    held_bytes: u64,
    /// Bytes that came since it was judged last.
    unjudged: u64,
    is_refused: bool,
    /// What the client is told.
    refused: Option<(Ruling, Arrival)>,
    /// Whether something came since somebody asked.
    has_come: bool,
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
        // The last one is what sites mostly take, of several.
        let content_type = headers.get_all(CONTENT_TYPE).iter().next_back();
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or("");
        let mut writing = Writing::of(worker, live, content_type)?;
        writing.is_embedded = is_embedded(headers);
        let writing = Some(writing);
        let values = headers.get_all(CONTENT_ENCODING).iter();
        // A value that is no text is no coding that is known.
        let codings: Vec<_> = values.map(|value| value.to_str().unwrap_or("?")).collect();
        let coding = match Codings::parse(&codings.join(",")) {
            Ok(codings) if codings == Codings::default() => Coding::None,
            Ok(codings) => Coding::Known(Decoder::new(codings, DecodeLimits::default())),
            Err(_) => Coding::Unknown,
        };
        Some(Box::new(Self {
            coding,
            turns: Turns::default(),
            writing,
            held: VecDeque::new(),
            held_bytes: 0,
            unjudged: 0,
            is_refused: false,
            refused: None,
            has_come: false,
        }))
    }

    /// Whether something came that was not passed on.
    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty() || self.turns.left() > 0
    }

    /// Whether something came, passed on or not, since this was last asked.
    pub(crate) fn takes_what_came(&mut self) -> bool {
        std::mem::take(&mut self.has_come)
    }

    /// Bytes of it.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes + self.turns.left() as u64
    }

    /// Bytes that are read in a turn.
    fn most_a_turn(&self) -> usize {
        match (&self.writing, &self.coding) {
            (None, _) | (_, Coding::Unknown) => usize::MAX,
            (_, Coding::Known(_)) => CODED_A_TURN,
            (_, Coding::None) => BYTES_A_TURN,
        }
    }

    /// The next piece that may be passed on; the error, once the site must not get the rest.
    pub(crate) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut has_ended = false;
        loop {
            let is_over = has_ended || self.turns.left() == 0 && incoming.is_end_stream();
            if is_over {
                self.end();
            }
            if self.is_refused {
                return Poll::Ready(Some(Err(BodyError::Stopped)));
            }
            // What was judged whole goes; of what is longer, all but the last.
            if self.writing.is_none() || self.held_bytes > HELD_BYTES {
                let frame = self.held.pop_front();
                let bytes = frame.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
                self.held_bytes -= bytes as u64;
                if frame.is_some() || is_over {
                    return Poll::Ready(frame.map(Ok));
                }
            }
            let most = self.most_a_turn();
            let next = self.turns.poll(cx, most, |cx| Pin::new(&mut *incoming).poll_frame(cx));
            match ready!(next) {
                Some(Ok(frame)) => {
                    self.has_come = true;
                    if let Some(data) = frame.data_ref() {
                        self.held_bytes += data.len() as u64;
                        self.take(data);
                    }
                    self.held.push_back(frame);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => has_ended = true,
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
        self.unjudged += data.len() as u64;
        if !is_read {
            self.refused = self.writing.take().and_then(Writing::unread);
        } else if self.unjudged > HELD_BYTES {
            // Before any of it goes: a site may not wait for the end.
            self.unjudged = 0;
            self.refused = writing.judge_so_far();
        }
        self.is_refused = self.refused.is_some();
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

#[cfg(test)]
#[path = "typed_tests.rs"]
mod tests;
