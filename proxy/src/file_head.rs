//! What the head of an answer says of the file that it carries.

use hyper::HeaderMap;
use hyper::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue};

/// All values of a field, with so much between.
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName, between: &[u8]) -> Option<Vec<u8>> {
    let mut values = headers.get_all(name).iter();
    let mut joined = values.next()?.as_bytes().to_vec();
    for value in values {
        joined.extend_from_slice(between);
        joined.extend_from_slice(value.as_bytes());
    }
    Some(joined)
}

/// Its type: of several fields the last, as browsers take it.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get_all(CONTENT_TYPE).iter().next_back().map(HeaderValue::as_bytes)
}

/// Whether a type is of documents that programs open: those may carry more than they show.
pub(crate) fn is_document(content_type: Option<&[u8]>) -> bool {
    const DOCUMENTS: [&str; 8] = [
        "pdf",
        "rtf",
        "msword",
        "vnd.ms-word",
        "vnd.ms-excel",
        "vnd.ms-powerpoint",
        "vnd.openxmlformats-",
        "vnd.oasis.opendocument",
    ];
    let text = content_type.map(String::from_utf8_lossy).unwrap_or_default().to_ascii_lowercase();
    let sub = text.trim_start().split_once('/').map_or("", |(_, sub)| sub);
    DOCUMENTS.iter().any(|known| sub.starts_with(known))
}

/// Whether a type is of what browsers themselves ask for in pieces, to show it: sound, film and PDF.
pub(crate) fn is_shown_in_pieces(content_type: Option<&[u8]>) -> bool {
    let text = content_type.map(String::from_utf8_lossy).unwrap_or_default().to_ascii_lowercase();
    let (kind, _) = text.split_once(';').unwrap_or((&text, ""));
    let kind = kind.trim();
    // Of several in one field others may take another.
    !text.contains(',')
        && (kind.starts_with("audio/") || kind.starts_with("video/") || kind == "application/pdf")
}

/// What of a file a `206 (Partial Content)` carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// It begins with the file.
    pub(crate) begins: bool,
    /// It is all of the file.
    pub(crate) is_whole: bool,
    /// It is several pieces in one body.
    pub(crate) is_several: bool,
    /// Bytes of the file.
    pub(crate) total: Option<u64>,
}

impl Piece {
    /// As its head says.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let range = headers.get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
        let Some((from, to, total)) = range.and_then(read_range) else {
            return Self { begins: false, is_whole: false, is_several: true, total: None };
        };
        let is_whole = from == 0 && total.is_some_and(|total| to.checked_add(1) == Some(total));
        Self { begins: from == 0, is_whole, is_several: false, total }
    }
}

/// Reads `bytes FROM-TO/TOTAL` (RFC 9110, 14.4).
fn read_range(range: &str) -> Option<(u64, u64, Option<u64>)> {
    let range = range.trim().strip_prefix("bytes")?.trim_start();
    let (range, total) = range.split_once('/')?;
    let (from, to) = range.split_once('-')?;
    Some((from.trim().parse().ok()?, to.trim().parse().ok()?, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_file_is_told_from_the_whole() {
        let of = |range: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(range) = range {
                headers.insert(CONTENT_RANGE, HeaderValue::from_static(range));
            }
            let Piece { begins, is_whole, is_several, total } = Piece::of(&headers);
            (begins, is_whole, is_several, total)
        };
        for (range, expected) in [
            (Some("bytes 0-99/100"), (true, true, false, Some(100))),
            (Some("bytes 0-98/100"), (true, false, false, Some(100))),
            (Some("bytes 0-98/*"), (true, false, false, None)),
            (Some("bytes 1-99/100"), (false, false, false, Some(100))),
            (Some("bytes 0-18446744073709551615/1"), (true, false, false, Some(1))),
            (Some("bytes=0-99/100"), (false, false, true, None)),
            (Some("bytes */100"), (false, false, true, None)),
            (Some("lines 0-99/100"), (false, false, true, None)),
            (None, (false, false, true, None)),
        ] {
            assert_eq!(of(range), expected, "{range:?}");
        }
    }

    #[test]
    fn documents_are_told_by_their_type() {
        for (media, expected) in [
            ("application/pdf", true),
            ("Application/PDF; x=1", true),
            ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", true),
            ("application/vnd.ms-excel", true),
            ("image/png", false),
            ("application/vnd.ms-fontobject", false),
            ("text/html", false),
            ("", false),
        ] {
            assert_eq!(is_document(Some(media.as_bytes())), expected, "{media}");
        }
    }

    #[test]
    fn sound_film_and_pdf_are_shown_in_pieces() {
        for (media, expected) in [
            ("video/mp4", true),
            ("Audio/MPEG; codecs=x", true),
            ("application/pdf", true),
            ("application/octet-stream", false),
            ("video/mp4, application/octet-stream", false),
            ("image/png", false),
            ("", false),
        ] {
            assert_eq!(is_shown_in_pieces(Some(media.as_bytes())), expected, "{media}");
        }
    }
}
