//! What the fuzzer calls, and what the tests replay.

#![allow(clippy::unwrap_used, reason = "a broken promise is a panic here")]

use super::{Declared, Found, HEAD_BYTES, Look, MAX_ENTRIES, MAX_INFLATED_BYTES};

/// The first byte: how the body is cut. The first line: a path, `Content-Disposition`, `Content-Type` and
/// `Sec-Fetch-Dest`, with tabs between. The rest: the body. However the body is cut, the same is found; no bound is
/// passed by more than a piece; and more bytes never take a kind away.
pub fn file_look(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first() else { return };
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, body) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let mut fields = line.split(|byte| *byte == b'\t');
    let path = fields.next().map(|path| String::from_utf8_lossy(path).into_owned());
    let declared = Declared {
        path: path.as_deref(),
        disposition: fields.next(),
        content_type: fields.next(),
        fetch_dest: fields.next(),
    };
    let whole = look(&declared, body, body.len().max(1));
    let pieces = look(&declared, body, usize::from(*cut) * 7 + 1);
    assert_eq!(whole, pieces, "cut into {}", usize::from(*cut) * 7 + 1);
    assert!(whole.findings.len() == whole.kinds.iter().count());
}

/// Looks at a body in pieces of one size.
pub fn look(declared: &Declared<'_>, body: &[u8], size: usize) -> Found {
    let mut look = Look::begin(declared);
    let mut kinds = look.found().kinds;
    for piece in body.chunks(size) {
        let is_more = look.feed(piece);
        let now = look.found().kinds;
        assert_eq!(kinds.union(now), now, "a kind was taken back");
        assert_eq!(is_more, now != kinds);
        kinds = now;
        let work = &look.work;
        assert!(work.entries <= MAX_ENTRIES + 1, "{} entries", work.entries);
        // One buffer of each of the archives within another may be on its way.
        assert!(work.inflated <= MAX_INFLATED_BYTES + 8 * HEAD_BYTES as u64, "{}", work.inflated);
    }
    let found = look.finish();
    assert_eq!(kinds.union(found.kinds), found.kinds, "a kind was taken back at the end");
    found
}

#[cfg(test)]
mod tests {
    use crate::replay::replay;

    #[test]
    fn file_look() {
        replay("file_look", super::file_look);
    }
}
