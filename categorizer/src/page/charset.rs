//! Which characters the bytes of a page stand for, and those as UTF-8.
//!
//! As browsers have it: a mark at the start, then what the header says, then what the page says of itself
//! within its first 1,024 bytes, then a guess by chardetng. A header or page that names an encoding which
//! browsers do not know, such as UTF-7, says nothing. What is UTF-8 goes on as it is, broken bytes
//! included: mark-up is ASCII, and [`Text`](super::text::Text) mends what is broken when it is read.

mod prescan;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};

/// Bytes in which a page must say its encoding (HTML, 13.2.3.2).
pub const PRESCAN_BYTES: usize = 1024;
/// Bytes from the first that is not ASCII which a guess is made from.
const GUESS_BYTES: usize = 4 << 10;
/// Room for what is decoded at once.
const DECODED_BYTES: usize = 8 << 10;

/// Where else than in the header an encoding may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// In a page's own `meta`, else it is guessed.
    Page,
    /// Nowhere: it is guessed.
    Guess,
    /// It is UTF-8 if no mark says otherwise: JSON.
    Utf8,
    /// It is UTF-8, and a mark of another encoding is nothing but bytes that are no text: event streams (HTML, 9.2.6),
    /// messages, and what scripts read as it comes.
    Utf8Alone,
}

/// The encoding of one body, decided as soon as it can be.
pub struct Charset {
    stage: Stage,
    telling: Telling,
    top_level_domain: Option<Box<[u8]>>,
    header: Option<&'static Encoding>,
    encoding: Option<&'static Encoding>,
    decoded: Vec<u8>,
}

enum Stage {
    /// The first bytes, until it can be told what they say.
    Start(Vec<u8>),
    /// Nothing but ASCII so far.
    Ascii,
    /// From the first byte that is not ASCII.
    Guess(Vec<u8>),
    Utf8,
    Other(Box<encoding_rs::Decoder>),
}

impl std::fmt::Debug for Charset {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.encoding.map(Encoding::name);
        to.debug_struct("Charset").field("encoding", &name).finish_non_exhaustive()
    }
}

impl Charset {
    /// Starts with a body. `label` is the header's `charset`; the last label of the host's name
    /// (`gr`) helps to guess.
    #[must_use]
    pub fn new(telling: Telling, label: Option<&str>, top_level_domain: Option<&str>) -> Self {
        let header = label.and_then(|label| known(label.as_bytes()));
        let is_ascii = |domain: &&str| domain.bytes().all(|byte| byte.is_ascii_lowercase());
        Self {
            stage: Stage::Start(Vec::new()),
            telling,
            top_level_domain: top_level_domain.filter(is_ascii).map(|name| name.as_bytes().into()),
            header: header.filter(|_| !matches!(telling, Telling::Utf8 | Telling::Utf8Alone)),
            encoding: None,
            decoded: Vec::new(),
        }
    }

    /// The encoding's name, once it is decided; none while all was ASCII.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        self.encoding.map(Encoding::name)
    }

    /// Takes the bytes that come next and hands on UTF-8.
    pub fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(&[u8])) {
        self.take(bytes, false, out);
    }

    /// Ends the body.
    pub fn end(&mut self, out: &mut dyn FnMut(&[u8])) {
        self.take(&[], true, out);
    }

    fn take(&mut self, bytes: &[u8], last: bool, out: &mut dyn FnMut(&[u8])) {
        match &mut self.stage {
            Stage::Start(head) => {
                let room = PRESCAN_BYTES - head.len();
                let (first, rest) = bytes.split_at(room.min(bytes.len()));
                head.extend_from_slice(first);
                let is_whole = last || head.len() == PRESCAN_BYTES;
                if !self.decide_at_start(is_whole) {
                    return;
                }
                let next = self.next_stage();
                let Stage::Start(head) = std::mem::replace(&mut self.stage, next) else { return };
                let mark = self.encoding.map_or(0, |encoding| mark_length(&head, encoding));
                self.take(&head[mark..], last && rest.is_empty(), out);
                if !rest.is_empty() {
                    self.take(rest, last, out);
                }
            }
            Stage::Ascii => {
                let at = Encoding::ascii_valid_up_to(bytes);
                if at > 0 {
                    out(&bytes[..at]);
                }
                if at == bytes.len() {
                    return;
                }
                self.stage = Stage::Guess(Vec::new());
                self.take(&bytes[at..], last, out);
            }
            Stage::Guess(seen) => {
                let room = GUESS_BYTES - seen.len();
                let (first, rest) = bytes.split_at(room.min(bytes.len()));
                seen.extend_from_slice(first);
                if !last && seen.len() < GUESS_BYTES {
                    return;
                }
                let seen = std::mem::take(seen);
                self.encoding = Some(self.guess(&seen, last && rest.is_empty()));
                self.stage = self.next_stage();
                self.take(&seen, last && rest.is_empty(), out);
                if !rest.is_empty() {
                    self.take(rest, last, out);
                }
            }
            Stage::Utf8 => {
                if !bytes.is_empty() {
                    out(bytes);
                }
            }
            Stage::Other(decoder) => {
                self.decoded.resize(DECODED_BYTES, 0);
                let mut rest = bytes;
                loop {
                    let (result, read, written, _) =
                        decoder.decode_to_utf8(rest, &mut self.decoded, last);
                    if written > 0 {
                        out(&self.decoded[..written]);
                    }
                    rest = &rest[read..];
                    if result == encoding_rs::CoderResult::InputEmpty {
                        break;
                    }
                }
            }
        }
    }

    /// Decides by mark, header and page, if the first bytes are enough for that.
    fn decide_at_start(&mut self, is_whole: bool) -> bool {
        let Stage::Start(head) = &self.stage else { return true };
        let could_be_mark = |mark: &[u8]| head.len() < mark.len() && mark.starts_with(head);
        let marks = [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"];
        let marks = if self.telling == Telling::Utf8Alone { &marks[..1] } else { &marks[..] };
        if !is_whole && marks.iter().any(|mark| could_be_mark(mark)) {
            return false;
        }
        let marked = Encoding::for_bom(head).map(|(encoding, _)| encoding);
        let marked = marked.filter(|&it| it == UTF_8 || self.telling != Telling::Utf8Alone);
        if marked.is_some() {
            self.encoding = marked;
        } else if self.header.is_some() {
            self.encoding = self.header;
        } else if matches!(self.telling, Telling::Utf8 | Telling::Utf8Alone) {
            self.encoding = Some(UTF_8);
        } else if self.telling == Telling::Page {
            if !is_whole {
                return false;
            }
            self.encoding = prescan::encoding(head);
        }
        true
    }

    fn next_stage(&self) -> Stage {
        match self.encoding {
            None => Stage::Ascii,
            Some(encoding) if encoding == UTF_8 => Stage::Utf8,
            Some(encoding) => Stage::Other(Box::new(encoding.new_decoder_without_bom_handling())),
        }
    }

    fn guess(&self, bytes: &[u8], last: bool) -> &'static Encoding {
        // What can be UTF-8 is. A character may be cut at the end.
        let is_utf8 = match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) => !last && error.error_len().is_none() && error.valid_up_to() > 0,
        };
        if is_utf8 {
            return UTF_8;
        }
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
        detector.feed(bytes, last);
        detector.guess(self.top_level_domain.as_deref(), Utf8Detection::Allow)
    }
}

/// The encoding that a label names, if browsers show text in it.
fn known(label: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_label(label).filter(|&encoding| encoding != REPLACEMENT)
}

/// How many bytes of a mark a text begins with, in the encoding that it has.
fn mark_length(head: &[u8], encoding: &'static Encoding) -> usize {
    let mark: &[u8] = if encoding == UTF_8 {
        b"\xef\xbb\xbf"
    } else if encoding == UTF_16LE {
        b"\xff\xfe"
    } else if encoding == UTF_16BE {
        b"\xfe\xff"
    } else {
        b""
    };
    if head.starts_with(mark) { mark.len() } else { 0 }
}

#[cfg(test)]
mod tests;
