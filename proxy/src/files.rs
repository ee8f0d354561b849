//! What kind of file an answer carries, and whether its level may have it: by what its head says, by its first
//! bytes, and by what is found inside as it comes.

use crate::file_head::{Piece, content_type, is_document, is_shown_in_pieces, joined};
use crate::live::Live;
use crate::record::now;
use crate::room::Held;
use crate::scan::Stopped;
use crate::view::{View, Wants};
use crate::virus::{Beginning, VirusScan};
use crate::worker::Worker;
use bytes::Bytes;
use categorizer::file::{By, Declared, Finding, Found, Look, Purpose};
use categorizer::page::{Codings, DecodeLimits, DecodeState, Decoder, Unscannable};
use hyper::header::{
    CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue,
};
use hyper::http::response::Parts;
use hyper::{HeaderMap, StatusCode};
use rules::access::Identity;
use rules::decide::ReasonCode;
use rules::file::{FileBlock, FileKinds};
use std::net::IpAddr;
use std::rc::Rc;

/// What a browser says that an answer is for.
pub(crate) const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Bytes of an archive that are held back, as they are sent: most of those that people send each other are shorter, and
/// what is in them is known before they go.
const HOLD_ARCHIVE_BYTES: u64 = 64 << 10;

/// One answer that is looked at.
pub(crate) struct FileLook {
    view: Rc<View>,
    who: Rc<Identity>,
    client: IpAddr,
    wants: Wants,
    way: Way,
    /// `None`: nothing more can be found.
    look: Option<Look>,
    /// The kinds that the policy was asked about.
    asked: FileKinds,
    /// Bytes of it so far, as they are sent.
    bytes: u64,
    /// It is saved, or may be.
    is_download: bool,
    /// It is a piece of a file, and not all of it.
    is_part: bool,
    /// Part of it may be passed on although its first bytes were not all there to be judged.
    is_late: bool,
    /// It is not in the coding that it is said to be in, or grows beyond bounds in it.
    is_broken: bool,
    scanning: Scanning,
}

/// How its bytes are had without their coding.
enum Way {
    /// Whoever reads its text decodes it.
    Shared,
    /// They are looked at as they are sent: they have no coding, or one that clients cannot undo either.
    AsSent,
    /// Here, with room for the windows of its codings.
    Decoded(Box<Decoder>, Held),
}

/// Whether it is scanned for viruses.
enum Scanning {
    /// Not, or not any more.
    No,
    /// Where its first bytes turn out to be of a kind; these came so far.
    Perhaps(Beginning),
    /// It is.
    Yes(Box<VirusScan>),
}

impl FileLook {
    /// Begins with the head of an answer; `shared`: whoever reads its text hands on what is decoded. `None` where
    /// its level's files are not looked at. The error: it is refused by what is known already.
    pub(crate) fn of(
        (worker, view, live): (&Rc<Worker>, &Rc<View>, &Live),
        head: &Parts,
        dest: Option<&HeaderValue>,
        shared: bool,
    ) -> Result<Option<Self>, Stopped> {
        let facts = live.facts();
        let who = view.who(&facts);
        let wants = view.files(who.level);
        if !wants.any() || view.snapshot.policy.leaves_files_unchecked(facts.categories) {
            return Ok(None);
        }
        let headers = &head.headers;
        let piece = (head.status == StatusCode::PARTIAL_CONTENT).then(|| Piece::of(headers));
        let policy = &view.snapshot.policy;
        let length =
            headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let length: u64 = piece.and_then(|piece| piece.total).or(length).unwrap_or(0);
        if let Some(block) = policy.file_size_block(&who, length) {
            return Err(refused(view, &block, None));
        }
        let disposition = joined(headers, &CONTENT_DISPOSITION, b"; ");
        let declared = Declared {
            path: facts.path_and_query.as_ref().map(|path| path.path()),
            disposition: disposition.as_deref(),
            content_type: content_type(headers),
            fetch_dest: dest.map(HeaderValue::as_bytes),
        };
        let mut look = Look::begin(&declared);
        let is_download =
            look.purpose() == Purpose::Download || piece.is_some_and(|piece| piece.is_several);
        let is_behind = piece.is_some_and(|piece| !piece.begins);
        // A page's script puts pieces together, and saves what it has.
        let is_shown = || is_shown_in_pieces(declared.content_type);
        let is_hidden = is_behind && (is_download || !is_shown());
        if is_hidden {
            look.unreadable();
        }
        let is_part = piece.is_some_and(|piece| !piece.is_whole);
        let (way, is_coded_unknown) = way(headers, shared, || worker.windows.hold(facts.client));
        let scanner = (worker.scanner.as_ref(), facts.client);
        let scanning = match wants.scan {
            None => Scanning::No,
            Some(_) if is_behind && !is_hidden => Scanning::No,
            // A viewer asks for a document piece by piece.
            Some(rule)
                if is_hidden
                    || is_download
                    || (is_document(declared.content_type) && !(is_part && is_shown())) =>
            {
                Scanning::Yes(Box::new(VirusScan::begin(scanner, (rule, is_part), length)))
            }
            Some(_) => Scanning::Perhaps(Beginning::of(scanner.0, scanner.1)),
        };
        let mut file = Self {
            view: Rc::clone(view),
            who,
            client: facts.client,
            wants,
            way,
            look: wants.bytes().then_some(look),
            asked: FileKinds::default(),
            bytes: 0,
            is_download,
            is_part,
            is_late: false,
            is_broken: false,
            scanning,
        };
        if let Some(stopped) = file.ask() {
            return Err(stopped);
        }
        if is_behind {
            // Its first bytes are not the file's: nothing is to be read from them.
            file.look = None;
        }
        if is_coded_unknown && is_download {
            let passed = Stopped::because(ReasonCode::Unscanned);
            crate::scan::record_passed(worker, &facts, &passed)?;
        }
        Ok(Some(file))
    }

    /// Whether it may be saved.
    pub(crate) fn is_download(&self) -> bool {
        self.is_download
    }

    /// Takes what comes next, as it is sent. The error: it goes no further.
    pub(crate) fn take(&mut self, data: &Bytes) -> Result<(), Stopped> {
        self.bytes += data.len() as u64;
        if self.wants.size
            && let Some(block) = self.view.snapshot.policy.file_size_block(&self.who, self.bytes)
        {
            return Err(refused(&self.view, &block, None));
        }
        match std::mem::replace(&mut self.way, Way::Shared) {
            Way::Shared => {}
            Way::AsSent => {
                self.way = Way::AsSent;
                self.as_sent(data);
            }
            // Nothing is looked for any more.
            Way::Decoded(..) if self.look.is_none() && !self.is_scanned() => {}
            Way::Decoded(mut decoder, mut windows) => {
                let state = decoder.push(data, &mut |decoded| self.decoded(decoded));
                let has_room = windows.grow_to(decoder.window_bytes());
                self.way = Way::Decoded(decoder, windows);
                match state {
                    DecodeState::Clean | DecodeState::Cut if !has_room => {
                        self.broken_coding(Unscannable::Coding);
                    }
                    DecodeState::Clean | DecodeState::Cut => {}
                    DecodeState::Broken => self.broken_coding(Unscannable::Broken),
                    DecodeState::Bomb => self.broken_coding(Unscannable::Bomb),
                    DecodeState::TooLarge => self.broken_coding(Unscannable::TooLarge),
                }
                if matches!(self.way, Way::AsSent) {
                    self.as_sent(data);
                }
            }
        }
        Ok(())
    }

    fn as_sent(&mut self, data: &Bytes) {
        self.feed(data);
        if let Scanning::Yes(scan) = &mut self.scanning {
            scan.push(data.clone());
        }
    }

    /// Takes what comes next, without its coding.
    pub(crate) fn decoded(&mut self, decoded: &[u8]) {
        self.feed(decoded);
        if let Scanning::Yes(scan) = &mut self.scanning {
            scan.push_copy(decoded);
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        if let Scanning::Perhaps(beginning) = &mut self.scanning {
            beginning.push(bytes);
        }
        let Some(look) = &mut self.look else { return };
        look.feed(bytes);
        // Of what only a page uses, no more is decoded than its first bytes.
        let is_coded = !matches!(self.way, Way::AsSent);
        if is_coded && !self.is_download && look.is_plain() && self.asked == look.found().kinds {
            self.look = None;
        }
    }

    /// What came last, and all behind it, cannot be decoded: told before it is taken.
    pub(crate) fn broken_coding(&mut self, why: Unscannable) {
        if std::mem::replace(&mut self.is_broken, true) {
            return;
        }
        let has_begun = self.look.as_ref().is_none_or(Look::has_begun);
        if why == Unscannable::Broken && !has_begun {
            // It never was in that coding: whoever does not undo it has the file.
            self.way = Way::AsSent;
            return;
        }
        if let Some(look) = self.look.as_mut().filter(|look| !look.is_plain()) {
            look.unreadable();
        }
        if let Scanning::Yes(scan) = &mut self.scanning {
            scan.cannot_be_read(why);
        }
        self.way = Way::Shared;
    }

    /// Asks the policy about what was found since it was asked last; and has the file scanned, where its first bytes
    /// say so.
    pub(crate) fn check(&mut self, worker: &Worker) -> Option<Stopped> {
        let blocked = if self.is_late { self.judge_early() } else { self.ask() };
        let is_judged = self.look.as_ref().is_none_or(Look::has_judged_head);
        // Where its first bytes come slowly some may have gone: of a kind, the rest is held from here on.
        if blocked.is_none() && (is_judged || self.is_late && !self.asked.is_empty()) {
            self.decide_scan(worker);
        }
        blocked
    }

    fn ask(&mut self) -> Option<Stopped> {
        let found = self.look.as_ref()?.found();
        let blocked = self.ask_about(found)?;
        self.asked = found.kinds;
        blocked
    }

    /// `None`: nothing is new. Inside: it is refused.
    fn ask_about(&self, found: &Found) -> Option<Option<Stopped>> {
        if found.kinds == self.asked {
            return None;
        }
        let policy = &self.view.snapshot.policy;
        let block = self.wants.kinds.then(|| policy.file_block(&self.who, found.kinds, now()));
        let block = block.flatten();
        Some(block.map(|block| {
            let finding = found.findings.iter().find(|finding| Some(finding.kind) == block.kind);
            refused(&self.view, &block, finding)
        }))
    }

    /// Its first bytes were judged: it is scanned where they are of a kind, and not where it is but a page's.
    fn decide_scan(&mut self, worker: &Worker) {
        let Scanning::Perhaps(beginning) = &mut self.scanning else { return };
        let beginning = beginning.take();
        self.scanning = match self.wants.scan {
            Some(rule) if !self.asked.is_empty() => {
                let by = (worker.scanner.as_ref(), self.client);
                let mut scan = VirusScan::begin(by, (rule, self.is_part), 0);
                match beginning {
                    Some(bytes) => scan.push_copy(&bytes),
                    None => scan.no_room(),
                }
                Scanning::Yes(Box::new(scan))
            }
            _ => Scanning::No,
        };
    }

    /// Its first bytes are not waited for any more.
    pub(crate) fn stop_waiting(&mut self, worker: &Worker) -> Option<Stopped> {
        self.is_late = true;
        self.check(worker)
    }

    /// Judges as many of the first bytes as came.
    fn judge_early(&mut self) -> Option<Stopped> {
        if let Some(look) = &mut self.look {
            look.judge_early();
        }
        self.ask()
    }

    /// The body has ended in order.
    pub(crate) fn end(&mut self, worker: &Worker) -> Option<Stopped> {
        if let Way::Decoded(decoder, _) = &mut self.way {
            decoder.end();
        }
        if let Some(look) = self.look.take() {
            let found = look.finish();
            if let Some(Some(stopped)) = self.ask_about(&found) {
                return Some(stopped);
            }
            self.asked = found.kinds;
        }
        self.decide_scan(worker);
        if let Scanning::Yes(scan) = &mut self.scanning {
            scan.end();
        }
        None
    }

    /// Whether what it is was judged as far as it is waited for: its first bytes, and somewhat more of an archive.
    pub(crate) fn is_judged(&self) -> bool {
        let goes_on = |look: &Look| {
            look.has_judged_head() && (look.is_plain() || self.bytes >= HOLD_ARCHIVE_BYTES)
        };
        self.is_late || self.look.as_ref().is_none_or(goes_on)
    }

    /// Its scan for viruses, while there is one.
    pub(crate) fn scan(&mut self) -> Option<&mut VirusScan> {
        match &mut self.scanning {
            Scanning::Yes(scan) => Some(scan),
            _ => None,
        }
    }

    /// Whether it is being scanned.
    pub(crate) fn is_scanned(&self) -> bool {
        matches!(self.scanning, Scanning::Yes(_))
    }

    /// The scan is over.
    pub(crate) fn scan_is_over(&mut self) {
        self.scanning = Scanning::No;
    }
}

/// How the bytes of an answer are had, and whether their coding is not known.
fn way(headers: &HeaderMap, shared: bool, windows: impl FnOnce() -> Held) -> (Way, bool) {
    if shared {
        return (Way::Shared, false);
    }
    let codings = joined(headers, &CONTENT_ENCODING, b",");
    let Some(codings) = codings else { return (Way::AsSent, false) };
    match Codings::parse(&String::from_utf8_lossy(&codings)) {
        Ok(codings) if codings.outermost_first().next().is_none() => (Way::AsSent, false),
        Ok(codings) => {
            let decoder = Box::new(Decoder::new(codings, DecodeLimits::default()));
            (Way::Decoded(decoder, windows()), false)
        }
        Err(_) => (Way::AsSent, true),
    }
}

/// A refusal by the policy, in the words of the record.
fn refused(view: &View, block: &FileBlock, finding: Option<&Finding>) -> Stopped {
    let rule = view.rule_text(block.rule);
    let by = finding.map(|finding| match finding.by {
        By::Name => "by name",
        By::Type => "by type",
        By::Bytes => "by its bytes",
        By::Inside => "inside",
    });
    let rule = match (by, finding.and_then(|finding| finding.name.as_deref())) {
        (Some(by), Some(name)) => format!("{rule} ({by}: {name})").into(),
        (Some(by), None) => format!("{rule} ({by})").into(),
        (None, _) => rule,
    };
    Stopped { code: block.code, rule: Some(rule) }
}
