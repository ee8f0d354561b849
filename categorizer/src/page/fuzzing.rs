//! What the fuzzer calls and the tests replay: each function panics where a promise is broken.

#![allow(clippy::unwrap_used, reason = "a broken promise is a panic here")]

use super::coding::Codings;
use super::decoder::{DecodeLimits, DecodeState, Decoder, PIECE_BYTES};
use super::extract::{Extractor, Format};
use super::request::RequestText;
use super::scan::{PageHead, PageLimits, PageScan, Scorer, Step};
use super::text::Text;

const FORMATS: [Format; 6] = [
    Format::Html,
    Format::Json,
    Format::JsonStream,
    Format::Text,
    Format::Events,
    Format::Messages,
];

/// A body in each format. Whatever pieces it comes in, its text is the same, and what is kept is bounded.
pub fn page_text(bytes: &[u8]) {
    for format in FORMATS {
        let whole = text_of(format, bytes, usize::MAX);
        for size in [1, 3, 100] {
            assert_eq!(text_of(format, bytes, size), whole, "{format:?}, {size}");
        }
    }
}

fn text_of(format: Format, bytes: &[u8], size: usize) -> (String, String) {
    let (mut extractor, mut text) = (Extractor::new(format), Text::default());
    let mut read = String::new();
    for piece in bytes.chunks(size) {
        extractor.push(piece, &mut text);
        text.read(&mut |part| read.push_str(part));
    }
    extractor.end(&mut text);
    text.read_last(&mut |part| read.push_str(part));
    // Room for what comes again where values take turns.
    assert!(read.len() <= bytes.len() * 40 + 100, "{} of {}", read.len(), bytes.len());
    (read, extractor.title().to_owned())
}

/// The first byte chooses the codings, the rest is a body. What is decoded keeps its bounds, and pieces
/// come to what the whole comes to.
pub fn page_decode(bytes: &[u8]) {
    const CODINGS: [&str; 8] =
        ["", "gzip", "deflate", "br", "zstd", "gzip, br", "zstd, gzip", "deflate, deflate"];
    let Some((&first, body)) = bytes.split_first() else { return };
    let codings = Codings::parse(CODINGS[usize::from(first) % CODINGS.len()]).unwrap();
    let limits = DecodeLimits {
        output_bytes: 1 << 20,
        ratio: 100,
        ratio_from_bytes: 1 << 14,
        work_bytes: 4 << 20,
    };
    let run = |size: usize| {
        let mut decoder = Decoder::new(codings, limits);
        let mut decoded = Vec::new();
        for piece in body.chunks(size) {
            decoder.push(piece, &mut |part| {
                assert!(part.len() <= PIECE_BYTES);
                decoded.extend_from_slice(part);
            });
        }
        assert!(decoded.len() as u64 <= limits.output_bytes + PIECE_BYTES as u64);
        let state = decoder.end();
        (state, decoded)
    };
    let (state, whole) = run(usize::MAX);
    let (state_of_pieces, pieces) = run(5);
    let shared = whole.len().min(pieces.len());
    assert_eq!(whole[..shared], pieces[..shared]);
    if state == DecodeState::Clean {
        assert_eq!((state_of_pieces, pieces), (state, whole));
    }
}

/// The first byte chooses the type, the rest is a page. Whatever pieces it comes in, it is scored alike.
pub fn page_scan(bytes: &[u8]) {
    const TYPES: [&str; 6] = [
        "text/html",
        "text/html; charset=shift_jis",
        "text/plain",
        "application/json",
        "text/event-stream",
        "text/html; charset=utf-16",
    ];
    let Some((&first, body)) = bytes.split_first() else { return };
    let kind = TYPES[usize::from(first) % TYPES.len()];
    let run = |size: usize| {
        let head = PageHead { content_type: Some(kind), ..PageHead::default() };
        let mut scan = PageScan::new(&head, PageLimits::default()).unwrap().unwrap();
        let mut kept = Kept::default();
        for piece in body.chunks(size) {
            assert!(matches!(scan.push(piece, &mut kept), Step::Hold | Step::Release));
        }
        assert_eq!(scan.end(&mut kept), Step::Release);
        assert_eq!(scan.counts().decoded_bytes, body.len() as u64);
        (kept.0, scan.charset())
    };
    let whole = run(usize::MAX);
    assert_eq!(run(1), whole);
    assert_eq!(run(50), whole);
}

#[derive(Default)]
struct Kept(String);

impl Scorer for Kept {
    fn feed(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn is_over(&mut self) -> bool {
        false
    }
}

/// The body of a request, by its first line's type. Whatever pieces it comes in, its text is the same.
pub fn request_text(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    let kind = String::from_utf8_lossy(&bytes[..end]);
    let body = bytes.get(end + 1..).unwrap_or(&[]);
    let run = |size: usize| {
        let mut read = String::new();
        let mut request = RequestText::new(&kind)?;
        for piece in body.chunks(size) {
            request.push(piece, &mut |part| read.push_str(part));
        }
        request.end(&mut |part| read.push_str(part));
        Some(read)
    };
    let whole = run(usize::MAX);
    assert_eq!(run(1), whole);
    assert_eq!(run(11), whole);
}

#[cfg(test)]
mod tests {
    use crate::replay::replay;

    #[test]
    fn page_text() {
        replay("page_text", super::page_text);
    }

    #[test]
    fn page_decode() {
        replay("page_decode", super::page_decode);
    }

    #[test]
    fn page_scan() {
        replay("page_scan", super::page_scan);
    }

    #[test]
    fn request_text() {
        replay("request_text", super::request_text);
    }
}
