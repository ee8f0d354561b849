//! One body on its way: decoded, read and scored piece by piece, and how long it is held back.
//!
//! Whoever passes a body on pushes each piece here first, and does as it is told:
//!
//! ```
//! use categorizer::page::{PageHead, PageLimits, PageScan, Scorer, Step};
//!
//! /// Flags a page that holds a word.
//! struct Word(String);
//! impl Scorer for Word {
//!     fn feed(&mut self, text: &str) {
//!         self.0.push_str(text);
//!     }
//!     fn is_over(&mut self) -> bool {
//!         self.0.contains("forbidden")
//!     }
//! }
//!
//! let head =
//!     PageHead { content_type: Some("text/html; charset=utf-8"), ..PageHead::default() };
//! let mut scan = PageScan::new(&head, PageLimits::default()).unwrap().unwrap();
//! let mut scorer = Word(String::new());
//! assert_eq!(scan.push(b"<p>for<b>bid", &mut scorer), Step::Hold);
//! assert_eq!(scan.push(b"</b>den</p>", &mut scorer), Step::Flagged);
//! ```

use super::charset::{Charset, Telling};
use super::coding::{Codings, UnknownCoding};
use super::decoder::{DecodeLimits, DecodeState, Decoder};
use super::extract::{Extractor, Format, charset_label};
use super::text::Text;

/// What scores the text. Phrases may stand across the borders of what it is fed: keeping the overlap is
/// its own matter, and [`phrase::Scan`](crate::phrase::Scan) does.
pub trait Scorer {
    /// Takes the text that comes next, of whole characters.
    fn feed(&mut self, text: &str);

    /// Whether what came so far passes the threshold. Asked after each piece, and so cheap.
    fn is_over(&mut self) -> bool;

    /// Whether the whole passes the threshold. Asked at the end, and where nothing has come for a while.
    fn is_over_at_end(&mut self) -> bool {
        self.is_over()
    }
}

/// What the head of a response says of its body.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageHead<'a> {
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Content-Encoding`; several fields with commas between.
    pub content_encoding: &'a str,
    /// The format, where the caller knows better than the type: JSON of an assistant's host is a stream.
    pub format: Option<Format>,
    /// The last label of the host's name, in lower case, which helps to guess an encoding.
    pub top_level_domain: Option<&'a str>,
}

/// The bounds of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// Of decoding.
    pub decode: DecodeLimits,
    /// Bytes that are held back as they were sent, at most.
    pub hold_encoded_bytes: u64,
    /// Decoded bytes after which nothing is held back any more.
    pub hold_decoded_bytes: u64,
}

impl Default for PageLimits {
    /// 64 KB as sent, 256 KB decoded: most pages are held back whole.
    fn default() -> Self {
        Self {
            decode: DecodeLimits::default(),
            hold_encoded_bytes: 64 << 10,
            hold_decoded_bytes: 256 << 10,
        }
    }
}

/// Why a body cannot be scanned, or not to its end. What came before was scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unscannable {
    /// It has a content coding that is not known, or too many.
    Coding,
    /// It is a bomb.
    Bomb,
    /// It is longer than is decoded.
    TooLarge,
    /// It is not in the coding that it is said to be in.
    Broken,
}

impl Unscannable {
    /// The word in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coding => "coding",
            Self::Bomb => "bomb",
            Self::TooLarge => "too_large",
            Self::Broken => "broken",
        }
    }
}

impl From<UnknownCoding> for Unscannable {
    fn from(_: UnknownCoding) -> Self {
        Self::Coding
    }
}

/// What is to be done with all bytes that came so far and were not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Keep them. At most [`PageLimits::hold_encoded_bytes`] and the last piece are ever kept.
    Hold,
    /// Pass them on.
    Release,
    /// Pass none of them on: the text passes the threshold. Where nothing was passed on yet, another page
    /// can stand in; else the body is cut.
    Flagged,
    /// The rest cannot be scanned. Whether it is passed on is the level's to say; either way it is
    /// recorded.
    Unscannable(Unscannable),
}

/// A body that is being scanned.
#[derive(Debug)]
pub struct PageScan {
    decoder: Decoder,
    reader: Reader,
    limits: PageLimits,
    is_held: bool,
    last: Option<Step>,
    is_cut: bool,
}

/// From decoded bytes to text.
#[derive(Debug)]
struct Reader {
    charset: Charset,
    extractor: Extractor,
    text: Text,
}

impl PageScan {
    /// Starts with a body; `None` where its format has no text to scan.
    ///
    /// # Errors
    /// [`Unscannable::Coding`].
    pub fn new(head: &PageHead<'_>, limits: PageLimits) -> Result<Option<Self>, Unscannable> {
        let Some(format) = head.format.or_else(|| Format::of(head.content_type)) else {
            return Ok(None);
        };
        let codings = Codings::parse(head.content_encoding)?;
        let telling = match format {
            Format::Html => Telling::Page,
            Format::Text => Telling::Guess,
            Format::Json => Telling::Utf8,
            Format::JsonStream | Format::Events | Format::Messages => Telling::Utf8Alone,
        };
        let label = head.content_type.and_then(charset_label);
        // What is shown as it comes is not kept waiting: a person reads along.
        let is_stream = matches!(format, Format::JsonStream | Format::Events | Format::Messages);
        Ok(Some(Self {
            decoder: Decoder::new(codings, limits.decode),
            reader: Reader {
                charset: Charset::new(telling, label, head.top_level_domain),
                extractor: Extractor::new(format),
                text: Text::default(),
            },
            limits,
            is_held: !is_stream,
            last: None,
            is_cut: false,
        }))
    }

    /// Takes the bytes that come next, as they were sent.
    ///
    /// Once it is flagged or cannot be scanned, it says so again and looks at nothing.
    pub fn push(&mut self, bytes: &[u8], scorer: &mut dyn Scorer) -> Step {
        self.push_with(bytes, scorer, &mut |_| {})
    }

    /// The same; `also` is given what the bytes decode to, for whoever looks at that too.
    pub fn push_with(
        &mut self,
        bytes: &[u8],
        scorer: &mut dyn Scorer,
        also: &mut dyn FnMut(&[u8]),
    ) -> Step {
        if let Some(last) = self.last {
            return last;
        }
        let reader = &mut self.reader;
        let state = self.decoder.push(bytes, &mut |decoded| {
            also(decoded);
            reader.push(decoded, scorer);
        });
        let is_over = scorer.is_over();
        self.judge(state, is_over)
    }

    /// Ends a message of a web socket.
    pub fn end_message(&mut self, scorer: &mut dyn Scorer) -> Step {
        if let Some(last) = self.last {
            return last;
        }
        self.reader.extractor.end_message(&mut self.reader.text);
        self.reader.text.read(&mut |text| scorer.feed(text));
        let is_over = scorer.is_over();
        self.judge(DecodeState::Clean, is_over)
    }

    /// Nothing has come for a while, so that what came was read by whoever reads along: all of it is scored, however
    /// little that is. What comes goes on from it.
    pub fn rest(&mut self, scorer: &mut dyn Scorer) -> Step {
        if let Some(last) = self.last {
            return last;
        }
        self.reader.extractor.rest(&mut self.reader.text);
        self.reader.text.read(&mut |text| scorer.feed(text));
        let is_over = scorer.is_over_at_end();
        self.judge(DecodeState::Clean, is_over)
    }

    /// Ends the body. What is still held is to be passed on or not, as it says.
    pub fn end(&mut self, scorer: &mut dyn Scorer) -> Step {
        if let Some(last) = self.last {
            return last;
        }
        let state = self.decoder.end();
        self.is_cut = state == DecodeState::Cut;
        self.reader.end(scorer);
        self.is_held = false;
        let is_over = scorer.is_over_at_end();
        let step = self.judge(state, is_over);
        self.last = Some(step);
        step
    }

    /// Holds nothing back any more, because the caller has held for as long as it wants to. The next
    /// [`PageScan::push`] says so; what is held now may go at once. Up to 1 KB of it may not be scored
    /// yet where a page has not said its encoding, and up to 4 KB where that is guessed: it is scored
    /// later, and the page cut then.
    pub fn stop_holding(&mut self) {
        self.is_held = false;
    }

    /// Bytes of memory that its codings' windows have come to.
    #[must_use]
    pub fn window_bytes(&self) -> u64 {
        self.decoder.window_bytes()
    }

    /// Decodes nothing more and lets go of what that needs: the caller has no memory for it. What it says from now on.
    pub fn give_up(&mut self) -> Step {
        let step = self.last.unwrap_or(Step::Unscannable(Unscannable::Coding));
        self.decoder = Decoder::new(Codings::default(), self.limits.decode);
        self.last = Some(step);
        step
    }

    /// Reads on as if there were no coding, where what came cannot be decoded and nothing was: whoever does
    /// not undo the coding has the text. The caller pushes again what it pushed. `false`, and nothing is
    /// changed, where that is not so.
    pub fn read_as_sent(&mut self) -> bool {
        let never_was = self.last == Some(Step::Unscannable(Unscannable::Broken))
            && self.decoder.decoded_bytes() == 0;
        if never_was {
            self.decoder = Decoder::new(Codings::default(), self.limits.decode);
            self.last = None;
        }
        never_was
    }

    fn judge(&mut self, state: DecodeState, is_over: bool) -> Step {
        let fault = match state {
            DecodeState::Clean | DecodeState::Cut => None,
            DecodeState::Bomb => Some(Unscannable::Bomb),
            DecodeState::TooLarge => Some(Unscannable::TooLarge),
            DecodeState::Broken => Some(Unscannable::Broken),
        };
        // What was read before a fault counts: a page does not get past by ending in rubbish.
        let end = if is_over { Some(Step::Flagged) } else { fault.map(Step::Unscannable) };
        if end.is_some() {
            self.last = end;
            return end.unwrap_or(Step::Flagged);
        }
        self.is_held &= self.decoder.encoded_bytes() < self.limits.hold_encoded_bytes
            && self.decoder.decoded_bytes() < self.limits.hold_decoded_bytes;
        if self.is_held { Step::Hold } else { Step::Release }
    }

    /// The title of a page, as far as it came.
    #[must_use]
    pub fn title(&self) -> &str {
        self.reader.extractor.title()
    }

    /// The name of the encoding, once it is decided; none while all was ASCII.
    #[must_use]
    pub fn charset(&self) -> Option<&'static str> {
        self.reader.charset.name()
    }

    /// Bytes that were taken as they were sent, decoded, and of text.
    #[must_use]
    pub fn counts(&self) -> PageCounts {
        PageCounts {
            encoded_bytes: self.decoder.encoded_bytes(),
            decoded_bytes: self.decoder.decoded_bytes(),
            text_bytes: self.reader.text.read_bytes(),
            is_cut: self.is_cut,
        }
    }
}

/// How much of a body was scanned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// As it was sent.
    pub encoded_bytes: u64,
    /// Without its codings.
    pub decoded_bytes: u64,
    /// Of text that was scored.
    pub text_bytes: u64,
    /// Whether it ended before its coding did.
    pub is_cut: bool,
}

impl Reader {
    fn push(&mut self, decoded: &[u8], scorer: &mut dyn Scorer) {
        let Self { charset, extractor, text } = self;
        charset.push(decoded, &mut |bytes| {
            extractor.push(bytes, text);
            text.read(&mut |read| scorer.feed(read));
        });
    }

    fn end(&mut self, scorer: &mut dyn Scorer) {
        let Self { charset, extractor, text } = self;
        charset.end(&mut |bytes| {
            extractor.push(bytes, text);
            text.read(&mut |read| scorer.feed(read));
        });
        extractor.end(text);
        text.read_last(&mut |read| scorer.feed(read));
    }
}

#[cfg(test)]
mod tests;
