//! The text of an answer: decoded, read and scored as it comes.

use crate::live::{Facts, Live};
use crate::record::now;
use crate::scan::Stopped;
use crate::themes::{Actions, Reading};
use crate::view::View;
use crate::worker::Worker;
use categorizer::page::{Format, PageHead, PageLimits, PageScan, Step, Unscannable};
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use ledger::notes::{Sign, SignSource};
use rules::decide::ReasonCode;
use std::rc::Rc;

/// The text of one answer.
pub(crate) struct Text {
    scan: PageScan,
    reading: Reading,
    actions: Rc<Actions>,
    source: SignSource,
    /// It may be passed on, as far as it goes.
    released: bool,
    /// The view that its actions come from.
    generation: u64,
}

/// What becomes of what an answer says: where its site was opened, nothing of it is refused.
fn actions(view: &View, facts: &Facts) -> Rc<Actions> {
    let actions = view.actions(facts.who.level);
    if actions.block() && facts.with_access(|access| view.snapshot.is_opened(access, now())) {
        return Rc::new(actions.only_watched());
    }
    actions
}

impl Text {
    /// Of an answer; `None` where there is nothing to look for in it. The error: it cannot be looked into.
    pub(crate) fn of(
        worker: &Rc<Worker>,
        view: &View,
        live: &Live,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Stopped> {
        let facts = live.facts();
        let actions = actions(view, &facts);
        if !actions.watch() {
            return Ok(None);
        }
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let content_type = headers.get(CONTENT_TYPE).and_then(text);
        // Without a type browsers look at the bytes, and mostly take them for a page.
        let content_type = content_type.as_deref().unwrap_or("text/html");
        let is_assistant = facts.searched.as_ref().is_some_and(|it| it.is_assistant());
        let codings: Vec<_> = headers.get_all(CONTENT_ENCODING).iter().filter_map(text).collect();
        let head = PageHead {
            content_type: Some(content_type),
            content_encoding: &codings.join(","),
            // Their answers come in pieces that go on from one to the next, whatever their type says.
            format: Format::of(Some(content_type))
                .filter(|format| *format == Format::Json && is_assistant)
                .map(|_| Format::JsonStream),
            top_level_domain: facts.host.as_str().rsplit('.').next(),
        };
        let scan = match PageScan::new(&head, PageLimits::default()) {
            Ok(Some(scan)) => scan,
            Ok(None) => return Ok(None),
            Err(_) if actions.block() => return Err(Stopped::because(ReasonCode::Unscanned)),
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
        let source = if streams { SignSource::Reply } else { SignSource::Page };
        let generation = facts.generation;
        Ok(Some(Self { scan, reading, actions, source, released: false, generation }))
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
        let step = self.scan.push_with(data, &mut self.reading, also);
        let fault = if let Step::Unscannable(why) = step { Some(why) } else { None };
        (self.obey(step), fault)
    }

    /// The body has ended in order.
    pub(crate) fn end(&mut self) -> Option<Stopped> {
        let step = self.scan.end(&mut self.reading);
        let stopped = self.obey(step);
        self.released = true;
        stopped
    }

    fn obey(&mut self, step: Step) -> Option<Stopped> {
        match step {
            Step::Hold => None,
            Step::Release => {
                self.released = true;
                None
            }
            Step::Flagged => Some(Stopped::because(ReasonCode::PageWords)),
            Step::Unscannable(Unscannable::Bomb | Unscannable::Coding) if self.actions.block() => {
                Some(Stopped::because(ReasonCode::Unscanned))
            }
            // Too long to read to its end, or not what it says it is: what could be read of it was.
            Step::Unscannable(_) => {
                self.released = true;
                None
            }
        }
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
