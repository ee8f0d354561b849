//! Records: one for every request, written before anything follows from its decision.

use crate::live::{Facts, Live, Registry, Turn};
use crate::scan::PAGE_METHOD;
use crate::searches::Searched;
use crate::view::{Ruling, View};
use hyper::http::uri::PathAndQuery;
use ledger::journal::{Journal, RecordError, refused};
use ledger::notes::Words;
use ledger::record::{Decided, Depth, End, Ended};
use pin_project_lite::pin_project;
use rules::code::RequestId;
use rules::decide::Verdict;
use rules::level::LevelId;
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::visit::Visit;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// When a request came, and its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// When its head was read.
    pub(crate) at: UnixMillis,
    /// The same, to measure from.
    pub(crate) started: Instant,
    /// Its id.
    pub(crate) id: RequestId,
    /// Whether somebody opened what it asks for.
    pub(crate) visit: Visit,
}

/// The time by the machine's clock.
pub(crate) fn now() -> UnixMillis {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixMillis(since_epoch.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

impl Arrival {
    /// A request that has just been read.
    pub(crate) fn now(journal: &Journal) -> Self {
        let at = now();
        Self { at, started: Instant::now(), id: journal.next_id(at), visit: Visit::Unknown }
    }
}

/// Leave to go upstream. Only [`allow`] makes one: from an allowed decision that is recorded.
pub(crate) struct Permit {
    live: Rc<Live>,
}

impl Permit {
    /// The exchange that it is for; its record ends with it.
    pub(crate) fn live(&self) -> &Rc<Live> {
        &self.live
    }
}

/// What a refusal is about, as far as it could be read.
pub(crate) struct Refused<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) level: LevelId,
    pub(crate) client: IpAddr,
    pub(crate) method: &'a str,
    pub(crate) scheme: Scheme,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) path: Option<&'a str>,
    pub(crate) words: Option<Words<'a>>,
}

/// Records an allowed decision and enters the exchange among the open ones. `None` if the ruling is
/// no allow.
///
/// # Errors
/// [`RecordError`]: nothing may go upstream.
pub(crate) fn allow(
    (journal, registry): (&Rc<Journal>, &Rc<Registry>),
    (view, ruling): (&View, &Ruling),
    arrival: &Arrival,
    method: &str,
    mut facts: Facts,
    (turn, alone): (&mut Option<Turn>, bool),
) -> Result<Option<Permit>, RecordError> {
    if ruling.verdict != Verdict::Allow {
        return Ok(None);
    }
    let pending = {
        let about = Refused {
            user: facts.user.as_deref(),
            level: facts.who.level,
            client: facts.client,
            method,
            scheme: facts.scheme,
            host: facts.host.as_str(),
            port: facts.port,
            path: path(facts.path_and_query.as_ref(), facts.searched.as_deref()),
            words: facts.searched.as_ref().and_then(|searched| searched.words()),
        };
        journal.decide(&decided(view, ruling, arrival, &about))?
    };
    view.count(facts.who.level, Verdict::Allow);
    facts.visit = arrival.visit;
    Ok(turn.take().map(|turn| Permit { live: registry.open(facts, pending, turn, alone) }))
}

/// Records a refusal, whole.
///
/// # Errors
/// [`RecordError`]: the client gets 503 instead.
pub(crate) fn refuse(
    journal: &Rc<Journal>,
    (view, ruling): (&View, &Ruling),
    arrival: &Arrival,
    about: &Refused<'_>,
    (status, bytes_down): (u16, u64),
) -> Result<(), RecordError> {
    let duration_us = u64::try_from(arrival.started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let ended = refused(status, bytes_down, duration_us);
    journal.refuse(&decided(view, ruling, arrival, about), ended)?;
    view.count(about.level, ruling.verdict);
    Ok(())
}

/// The path as a record has it: without the query, and without the words of a search.
pub(crate) fn path<'a>(
    path_and_query: Option<&'a PathAndQuery>,
    searched: Option<&'a Searched>,
) -> Option<&'a str> {
    let without_words = searched.and_then(Searched::path);
    path_and_query.map(|asked| without_words.unwrap_or_else(|| asked.path()))
}

/// What of an allowed request is recorded as an access of its own.
pub(crate) struct Inside<'a> {
    /// Its word in the place of a method.
    pub(crate) method: &'static str,
    /// What was written there.
    pub(crate) words: Option<Words<'a>>,
}

/// Records what was found in an allowed request or its answer, whole.
///
/// # Errors
/// [`RecordError`]: it does not pass.
pub(crate) fn inside(
    journal: &Rc<Journal>,
    (view, ruling): (&View, &Ruling),
    arrival: &Arrival,
    facts: &Facts,
    what: &Inside<'_>,
    (status, bytes_down): (u16, u64),
) -> Result<(), RecordError> {
    let about = Refused {
        user: facts.user.as_deref(),
        level: facts.who.level,
        client: facts.client,
        method: what.method,
        scheme: facts.scheme,
        host: facts.host.as_str(),
        port: facts.port,
        path: path(facts.path_and_query.as_ref(), facts.searched.as_deref()),
        words: what.words,
    };
    // Somebody opened it as they did the request.
    let arrival = Arrival { visit: facts.visit, ..*arrival };
    refuse(journal, (view, ruling), &arrival, &about, (status, bytes_down))
}

/// Records that an allowed request's answer was refused for what it says. Where that cannot be recorded, it is refused
/// all the same.
pub(crate) fn refuse_page(
    journal: &Rc<Journal>,
    (view, ruling): (&View, &Ruling),
    arrival: &Arrival,
    facts: &Facts,
    sent: (u16, u64),
) {
    // The request's own record has its words.
    let what = Inside { method: PAGE_METHOD, words: None };
    if let Err(error) = inside(journal, (view, ruling), arrival, facts, &what, sent) {
        tracing::error!(%error, "a refused page could not be recorded");
    }
}

/// Records an access whose client left before it came to an answer: nothing went upstream.
pub(crate) fn abandon(
    journal: &Rc<Journal>,
    (view, ruling): (&View, &Ruling),
    arrival: &Arrival,
    about: &Refused<'_>,
) {
    let duration_us = u64::try_from(arrival.started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let ended = Ended {
        end: End::Aborted,
        status: 0,
        bytes_up: 0,
        bytes_down: 0,
        duration_us,
        depth: None,
    };
    match journal.refuse(&decided(view, ruling, arrival, about), ended) {
        Ok(()) => view.count(about.level, ruling.verdict),
        Err(error) => tracing::debug!(%error, "an abandoned access could not be recorded"),
    }
}

/// Runs a future; calls `left` if it is dropped before its end.
pub(crate) fn unless_left<F: Future, L: FnOnce()>(future: F, left: L) -> UnlessLeft<F, L> {
    UnlessLeft { future, left: Some(left) }
}

pin_project! {
    /// What [`unless_left`] waits for. Not an async function: that would keep the future that it is
    /// given twice, once as its argument.
    pub(crate) struct UnlessLeft<F, L: FnOnce()> {
        #[pin]
        future: F,
        left: Option<L>,
    }

    impl<F, L: FnOnce()> PinnedDrop for UnlessLeft<F, L> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(left) = this.project().left.take() {
                left();
            }
        }
    }
}

impl<F: Future, L: FnOnce()> Future for UnlessLeft<F, L> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let output = ready!(this.future.poll(cx));
        *this.left = None;
        Poll::Ready(output)
    }
}

fn decided<'a>(
    view: &'a View,
    ruling: &'a Ruling,
    arrival: &Arrival,
    about: &Refused<'a>,
) -> Decided<'a> {
    Decided {
        id: arrival.id,
        at: arrival.at,
        context: &view.snapshot.context,
        user: about.user,
        // A policy has at most 64 levels.
        level: about.level.index() as u8,
        client: about.client,
        method: about.method,
        scheme: about.scheme,
        host: about.host,
        port: about.port,
        path: about.path,
        categories: ruling.categories,
        verdict: ruling.verdict,
        reason: ruling.code,
        rule: ruling.rule.as_deref(),
        unblock: ruling.unblock,
        depth: match about.scheme {
            Scheme::Http => Depth::Plain,
            Scheme::Tunnel => Depth::Name,
            Scheme::Https => Depth::Page,
        },
        visit: arrival.visit,
        words: about.words,
        signs: &ruling.signs,
    }
}
