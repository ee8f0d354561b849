//! The text of an answer: decoded, read and scored as it comes.

use crate::file_head::{Piece, content_type, joined};
use crate::live::{Facts, Live};
use crate::record::now;
use crate::room::Held;
use crate::scan::{self, Stopped};
use crate::themes::{Actions, Reading};
use crate::view::View;
use crate::worker::Worker;
use categorizer::page::{Codings, Format, PageHead, PageLimits, PageScan, Step, Unscannable};
use hyper::header::{CONTENT_ENCODING, CONTENT_RANGE, HeaderValue};
use hyper::http::response::Parts;
use hyper::{HeaderMap, StatusCode};
use ledger::notes::{Sign, SignSource};
use rules::access::Access;
use rules::decide::ReasonCode;
use std::rc::Rc;

/// Bytes that are kept to be read anew, of a body of which nothing could be decoded yet.
const KEPT_BYTES: usize = 64 << 10;

/// The text of one answer.
pub(crate) struct Text {
    worker: Rc<Worker>,
    live: Rc<Live>,
    scan: PageScan,
    reading: Reading,
    actions: Rc<Actions>,
    source: SignSource,
    /// It may be passed on, as far as it goes.
    released: bool,
    /// The view that its actions come from.
    generation: u64,
    way: Way,
    /// It is said to be in a coding.
    is_coded: bool,
    /// Room for the windows of its codings.
    windows: Held,
    /// That not all of it is read is in the log.
    is_recorded: bool,
}

/// How its bytes are had without their coding.
enum Way {
    /// Decoded, as far as there is a coding.
    Decoded,
    /// The same; this came, and nothing was decoded yet.
    Kept(Vec<u8>),
    /// As they are sent: they never were in the coding that they are said to be in.
    AsSent,
}

/// What becomes of what an answer says: where its site was opened, nothing of it is refused.
fn actions(view: &View, facts: &Facts) -> Rc<Actions> {
    // Its level may be of an earlier policy.
    let who = view.who(facts);
    let actions = view.actions(who.level);
    let is_opened =
        |access: &Access<'_>| view.snapshot.is_opened(&Access { who: &who, ..*access }, now());
    if actions.block() && facts.with_access(is_opened) {
        return Rc::new(actions.only_watched());
    }
    actions
}

impl Text {
    /// Of an answer, which the client says is for `dest`; `None` where there is nothing to look for in it. The error: it
    /// cannot be looked into.
    pub(crate) fn of(
        (worker, view, live): (&Rc<Worker>, &View, &Rc<Live>),
        head: &Parts,
        dest: Option<&HeaderValue>,
    ) -> Result<Option<Self>, Stopped> {
        let headers = &head.headers;
        let content_type = content_type(headers).and_then(|value| std::str::from_utf8(value).ok());
        // Without a type browsers look at the bytes, and mostly take them for a page.
        let content_type = content_type.unwrap_or("text/html");
        // Most answers are pictures, styles and scripts, of which nothing more needs to be known.
        let Some(format) = Format::of(Some(content_type)) else { return Ok(None) };
        let facts = live.facts();
        let actions = actions(view, &facts);
        if !actions.watch() {
            return Ok(None);
        }
        let is_assistant = facts.searched.as_ref().is_some_and(|it| it.is_assistant());
        let codings = joined(headers, &CONTENT_ENCODING, b",").unwrap_or_default();
        let codings = String::from_utf8_lossy(&codings);
        let page = PageHead {
            content_type: Some(content_type),
            content_encoding: &codings,
            // Their answers come in pieces that go on from one to the next, whatever their type says.
            format: Some(match format {
                Format::Json if is_assistant => Format::JsonStream,
                Format::Events | Format::JsonStream if !is_assistant && is_shown(dest) => {
                    Format::Text
                }
                format => format,
            }),
            top_level_domain: facts.host.as_str().rsplit('.').next(),
        };
        let is_coded = Codings::parse(&codings)
            .is_ok_and(|codings| codings.outermost_first().next().is_some());
        // `Content-Range` of another answer says nothing.
        let is_piece =
            (is_coded || head.status == StatusCode::PARTIAL_CONTENT) && is_piece(headers);
        let scan = match PageScan::new(&page, PageLimits::default()) {
            Ok(None) => return Ok(None),
            Ok(Some(scan)) if !is_piece => scan,
            // Each piece may be too short for what is said to show.
            Ok(Some(scan)) if !is_coded && !actions.block() => {
                scan::record_passed(worker, &facts, &piece())?;
                scan
            }
            Ok(Some(_)) if !is_coded => return Err(piece()),
            _ if actions.block() => return Err(unread(Unscannable::Coding)),
            _ => {
                scan::record_passed(worker, &facts, &unread(Unscannable::Coding))?;
                return Ok(None);
            }
        };
        // What an assistant says is read along, whatever its type says.
        let streams =
            matches!(page.format, Some(Format::Events | Format::JsonStream | Format::Messages));
        let reading = Reading::new(
            view.snapshot.themes.clone(),
            Rc::clone(&actions),
            Rc::clone(&worker.theme_scratch),
            streams,
        );
        let source = if streams { SignSource::Reply } else { SignSource::Page };
        let way = if codings.is_empty() { Way::Decoded } else { Way::Kept(Vec::new()) };
        Ok(Some(Self {
            worker: Rc::clone(worker),
            live: Rc::clone(live),
            scan,
            reading,
            actions,
            source,
            released: false,
            generation: facts.generation,
            way,
            is_coded: !codings.is_empty(),
            windows: worker.windows.hold(facts.client),
            is_recorded: false,
        }))
    }

    /// Has what comes next read by the policy in force, once its access was asked about again by that.
    pub(crate) fn renew(&mut self, view: &View, live: &Live) {
        let facts = live.facts();
        if facts.generation == self.generation || facts.generation != view.generation {
            return;
        }
        self.generation = view.generation;
        self.actions = actions(view, &facts);
        self.reading.renew(&view.snapshot.themes, Rc::clone(&self.actions));
    }

    /// Whether what comes becomes more once its coding is taken off.
    pub(crate) fn is_coded(&self) -> bool {
        self.is_coded
    }

    /// Whether somebody reads along, so that nothing is kept waiting.
    pub(crate) fn is_stream(&self) -> bool {
        self.source == SignSource::Reply
    }

    /// Takes what comes next; `also` gets what it decodes to. Why nothing more of it is decoded, where that is so.
    pub(crate) fn push(
        &mut self,
        data: &[u8],
        also: &mut dyn FnMut(&[u8]),
    ) -> (Option<Stopped>, Option<Unscannable>) {
        if let Way::AsSent = self.way {
            let step = self.scan.push(data, &mut self.reading);
            return (self.obey(step), None);
        }
        let mut step = self.scan.push_with(data, &mut self.reading, also);
        if !self.windows.grow_to(self.scan.window_bytes()) {
            step = self.scan.give_up();
            self.windows.let_go(u64::MAX);
        }
        let fault = if let Step::Unscannable(why) = step { Some(why) } else { None };
        if let Way::Kept(early) = &mut self.way {
            if self.scan.read_as_sent() {
                let early = std::mem::take(early);
                self.way = Way::AsSent;
                let unrecorded = self.record_unread(Unscannable::Broken);
                self.scan.push(&early, &mut self.reading);
                let step = self.scan.push(data, &mut self.reading);
                return (unrecorded.or(self.obey(step)), fault);
            }
            if self.scan.counts().decoded_bytes > 0 {
                self.way = Way::Decoded;
            } else if early.len() + data.len() <= KEPT_BYTES {
                early.extend_from_slice(data);
            } else {
                self.way = Way::Decoded;
            }
        }
        (self.obey(step), fault)
    }

    /// The body has ended in order.
    pub(crate) fn end(&mut self) -> Option<Stopped> {
        let step = self.scan.end(&mut self.reading);
        let stopped = self.obey(step);
        self.released = true;
        stopped
    }

    /// Nothing more comes, and what came was passed on: it counts, and cannot be refused any more.
    pub(crate) fn leave(&mut self) {
        let _is_over = self.scan.end(&mut self.reading);
    }

    /// Nothing has come for a while.
    pub(crate) fn rest(&mut self) -> Option<Stopped> {
        let step = self.scan.rest(&mut self.reading);
        self.obey(step)
    }

    fn obey(&mut self, step: Step) -> Option<Stopped> {
        match step {
            Step::Hold => None,
            Step::Release => {
                self.released = true;
                None
            }
            Step::Flagged => Some(Stopped::because(ReasonCode::PageWords)),
            Step::Unscannable(why @ (Unscannable::Bomb | Unscannable::Coding))
                if self.actions.block() =>
            {
                Some(unread(why))
            }
            // Too long to read to its end, or not what it says it is: what could be read of it was.
            Step::Unscannable(why) => {
                self.released = true;
                self.record_unread(why)
            }
        }
    }

    /// Records, once, that it is passed on although not all of it is read. Inside: that cannot be recorded.
    fn record_unread(&mut self, why: Unscannable) -> Option<Stopped> {
        if std::mem::replace(&mut self.is_recorded, true) {
            return None;
        }
        scan::record_passed(&self.worker, &self.live.facts(), &unread(why)).err()
    }

    /// Nothing of it is held back any more.
    pub(crate) fn stop_holding(&mut self) {
        self.scan.stop_holding();
        self.released = true;
    }

    /// Whether it may be passed on, as far as it goes.
    pub(crate) fn is_released(&self) -> bool {
        self.released
    }

    /// What is recorded of it.
    pub(crate) fn signs(&self) -> Vec<Sign> {
        self.reading.signs(self.source)
    }
}

/// Whether a browser shows it as it is, and no script reads it (Fetch Metadata): a stream is plain text then, in the encoding
/// that its mark says and with lines that no script would get.
fn is_shown(dest: Option<&HeaderValue>) -> bool {
    let shown = [&b"document"[..], b"iframe", b"frame", b"embed", b"object"];
    dest.is_some_and(|dest| shown.contains(&dest.as_bytes()))
}

/// What the record has of text that is not read.
fn unread(why: Unscannable) -> Stopped {
    Stopped { rule: Some(why.as_str().into()), ..Stopped::because(ReasonCode::Unscanned) }
}

/// The same of a piece of text that has no coding.
fn piece() -> Stopped {
    Stopped { rule: Some("piece".into()), ..Stopped::because(ReasonCode::Unscanned) }
}

/// Whether it is a piece of what was asked for (RFC 9110, 14), or several. A coding is undone from its beginning alone, and
/// whoever asks for a few hundred bytes at a time gets all of a page that nobody has read as a whole.
fn is_piece(headers: &HeaderMap) -> bool {
    let is_several = || {
        let content_type = content_type(headers).unwrap_or_default();
        content_type.to_ascii_lowercase().starts_with(b"multipart/byteranges")
    };
    let piece = Piece::of(headers);
    headers.contains_key(CONTENT_RANGE) && !piece.is_several && !piece.is_whole || is_several()
}
