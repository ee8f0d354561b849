//! One spelling for paths and queries, in lists and in requests alike, made without allocation.
//!
//! Case is dropped (squidGuard's lists are lower-cased), `%41` and `A` are one, `%2f` is no slash,
//! repeated slashes and dot segments go: `/x/..//Bad/` is `/bad`. Servers do not agree on every
//! path, so that a request's is looked up in each [`reading`](readings) that one of them may have.

use std::borrow::Cow;

use crate::hash::{Stream, mix};

/// Deepest path, in segments, that an entry may name.
pub(crate) const MAX_DEPTH: usize = 32;
const PATH_ROOT: u64 = 0xa409_3822_299f_31d0;

/// The bytes of a URL's part in their one spelling, fragment cut off.
pub(crate) struct Spelled<'a> {
    rest: &'a [u8],
    pending: [u8; 2],
    pending_count: usize,
}

impl<'a> Spelled<'a> {
    pub(crate) fn new(raw: &'a [u8]) -> Self {
        Self { rest: raw, pending: [0; 2], pending_count: 0 }
    }

    /// Gives `%`, keeping two lower-case hexadecimal digits to follow.
    fn escape(&mut self, byte: u8) -> u8 {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.pending = [DIGITS[usize::from(byte & 15)], DIGITS[usize::from(byte >> 4)]];
        self.pending_count = 2;
        b'%'
    }
}

impl Iterator for Spelled<'_> {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        if self.pending_count > 0 {
            self.pending_count -= 1;
            return Some(self.pending[self.pending_count]);
        }
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        match byte {
            b'#' => {
                self.rest = &[];
                None
            }
            b'%' => match decoded(rest) {
                Some(value) => {
                    self.rest = &rest[2..];
                    Some(if is_escaped_when_decoded(value) {
                        self.escape(value)
                    } else {
                        value.to_ascii_lowercase()
                    })
                }
                None => Some(b'%'),
            },
            _ if is_always_escaped(byte) => Some(self.escape(byte)),
            _ => Some(byte.to_ascii_lowercase()),
        }
    }
}

/// Appends a URL's part in its one spelling: runs of plain bytes at once, the others one by one.
pub(crate) fn append_spelled(out: &mut Vec<u8>, raw: &[u8]) {
    let start = out.len();
    let mut rest = raw;
    while !rest.is_empty() {
        let special = |&byte: &u8| byte == b'%' || byte == b'#' || is_always_escaped(byte);
        let (plain, others) = rest.split_at(rest.iter().position(special).unwrap_or(rest.len()));
        out.extend_from_slice(plain);
        let mut one = Spelled::new(others);
        out.extend(one.next());
        while one.pending_count > 0 {
            out.extend(one.next());
        }
        rest = one.rest;
    }
    out[start..].make_ascii_lowercase();
}

/// The byte that two hexadecimal digits stand for.
fn decoded(digits: &[u8]) -> Option<u8> {
    let high = char::from(*digits.first()?).to_digit(16)?;
    let low = char::from(*digits.get(1)?).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}

/// Bytes that no URL shows as they are.
#[inline]
fn is_always_escaped(byte: u8) -> bool {
    ALWAYS_ESCAPED[usize::from(byte)]
}

const ALWAYS_ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte <= 0x20
            || byte >= 0x7f
            || matches!(byte as u8, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
        byte += 1;
    }
    table
};

/// Bytes that mean something else when they are not escaped.
fn is_escaped_when_decoded(byte: u8) -> bool {
    is_always_escaped(byte) || b"/?#%&+=".contains(&byte)
}

/// `/path?query` apart, the fragment cut off; the query is `None` where nothing follows the `?`.
pub(crate) fn split_query(path_and_query: &str) -> (&str, Option<&str>) {
    let end = path_and_query.find('#').unwrap_or(path_and_query.len());
    match path_and_query[..end].split_once('?') {
        Some((path, query)) => (path, Some(query).filter(|query| !query.is_empty())),
        None => (&path_and_query[..end], None),
    }
}

/// The ways in which a server may read a path (without query): as it stands; as rules see it
/// (backslashes and `..%2f` are slashes, `..;x` is `..`); with every escaped slash a slash and
/// `;parameters` cut off. Nearly all paths are the same in each, and are given once.
pub(crate) fn readings(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let others = is_read_in_several_ways(path)
        .then(|| [rules::target::seen_path(path), Cow::Owned(opened(path))]);
    std::iter::once(Cow::Borrowed(path)).chain(others.into_iter().flatten())
}

/// Whether [`readings`] may give more than the path as it stands.
pub(crate) fn is_read_in_several_ways(path: &str) -> bool {
    path.bytes().any(|byte| matches!(byte, b'%' | b'\\' | b';'))
}

/// The path with each backslash and escaped slash as a slash, and path parameters cut off.
fn opened(path: &str) -> String {
    let spelled: String = Spelled::new(path.as_bytes()).map(char::from).collect();
    let slashes = spelled.replace("%2f", "/").replace("%5c", "/");
    let mut out = String::with_capacity(slashes.len());
    for segment in slashes.split_inclusive('/') {
        match segment.split_once(';') {
            Some((name, parameters)) => {
                out.push_str(name);
                out.push_str(if parameters.ends_with('/') { "/" } else { "" });
            }
            None => out.push_str(segment),
        }
    }
    out
}

/// The hashes of a path's prefixes, one for each depth from 0 (every path).
pub(crate) struct PathHashes {
    prefixes: [u64; MAX_DEPTH + 1],
    depth: usize,
}

impl PathHashes {
    /// Hashes a path (raw, without query) under a host's hash.
    pub(crate) fn new(host_hash: u64, path: &[u8]) -> Self {
        let mut hashes = Self { prefixes: [0; MAX_DEPTH + 1], depth: 0 };
        hashes.prefixes[0] = mix(host_hash, PATH_ROOT);
        let mut segment = Segment::EMPTY;
        for byte in Spelled::new(path) {
            if byte == b'/' {
                hashes.end_segment(&mut segment);
            } else {
                segment.push(byte);
            }
        }
        hashes.end_segment(&mut segment);
        hashes
    }

    /// The hash of the path in full; `None` if it is deeper than any entry has.
    pub(crate) fn full(&self) -> Option<u64> {
        self.prefixes.get(self.depth).copied()
    }

    /// The prefixes, shortest first. Deeper ones than any entry has are left out.
    pub(crate) fn prefixes(&self) -> &[u64] {
        &self.prefixes[..=self.depth.min(MAX_DEPTH)]
    }

    /// How many segments the path has.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    fn end_segment(&mut self, segment: &mut Segment) {
        match (segment.length, segment.dots) {
            (0, _) | (1, 1) => {}
            (2, 2) => self.depth = self.depth.saturating_sub(1),
            _ => {
                let parent = self.prefixes.get(self.depth).copied();
                self.depth += 1;
                if let (Some(parent), Some(place)) = (parent, self.prefixes.get_mut(self.depth)) {
                    *place = segment.stream.onto(parent);
                }
            }
        }
        *segment = Segment::EMPTY;
    }
}

struct Segment {
    stream: Stream,
    length: usize,
    dots: usize,
}

impl Segment {
    const EMPTY: Segment = Segment { stream: Stream::EMPTY, length: 0, dots: 0 };

    #[inline]
    fn push(&mut self, byte: u8) {
        self.stream.push(byte);
        self.length += 1;
        self.dots += usize::from(byte == b'.');
    }
}

/// `/path?query` in its one spelling, as text: for entries and for telling people.
pub(crate) fn spelled_path(path_and_query: &[u8]) -> String {
    let (mut segments, mut segment) = (Vec::new(), String::new());
    let mut spelled = Spelled::new(path_and_query);
    let mut query = None;
    for byte in spelled.by_ref() {
        match byte {
            b'/' => end_text(&mut segments, &mut segment),
            b'?' => {
                query = Some(String::new());
                break;
            }
            _ => segment.push(char::from(byte)),
        }
    }
    end_text(&mut segments, &mut segment);
    let mut text = format!("/{}", segments.join("/"));
    if let Some(mut query) = query {
        query.extend(spelled.map(char::from));
        if !query.is_empty() {
            text.push('?');
            text.push_str(&query);
        }
    }
    text
}

fn end_text(segments: &mut Vec<String>, segment: &mut String) {
    match segment.as_str() {
        "" | "." => {}
        ".." => {
            segments.pop();
        }
        _ => segments.push(segment.clone()),
    }
    segment.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_is_one_path() {
        let expected = PathHashes::new(1, b"/a/bad~page");
        for spelling in [
            "/a/bad%7Epage",
            "//A//BAD~page/",
            "/a/x/../bad~page",
            "/a/%2e/b%61d~page#top",
            "/../a/bad~page",
        ] {
            let hashes = PathHashes::new(1, spelling.as_bytes());
            assert_eq!(hashes.prefixes(), expected.prefixes(), "{spelling}");
            assert_eq!(spelled_path(spelling.as_bytes()), "/a/bad~page");
        }
    }

    #[test]
    fn an_escaped_slash_is_no_slash_and_a_query_is_no_path() {
        assert_eq!(PathHashes::new(1, b"/a%2Fb").depth(), 1);
        assert_eq!(spelled_path(b"/a%2Fb?X=%2f y"), "/a%2fb?x=%2f%20y");
        assert_eq!(split_query("/a?b=/?c#d?e"), ("/a", Some("b=/?c")));
        for none in ["/a", "/a?", "/a#?b", "/a?#b"] {
            assert_eq!(split_query(none), ("/a", None), "{none}");
        }
    }

    #[test]
    fn a_path_has_a_reading_for_each_way_in_which_servers_take_it() {
        for (raw, reading) in [
            ("/x\\..\\bad", "/bad"),
            ("/\\bad", "/bad"),
            ("/x/..%2fbad", "/bad"),
            ("/x/..%5Cbad", "/bad"),
            ("/x/..;/bad", "/bad"),
            ("/x/..%3Ba=b/bad", "/bad"),
            ("/bad;x=1", "/bad"),
            ("/bad;x=1/more;y", "/bad/more"),
            ("/deep%2fbad", "/deep/bad"),
            ("/a%2fb/../c;d", "/c;d"),
        ] {
            let all: Vec<_> = readings(raw).map(|path| spelled_path(path.as_bytes())).collect();
            assert!(all.iter().any(|path| path == reading), "{raw}: {all:?}");
            assert_eq!(all[0], spelled_path(raw.as_bytes()), "the path as it stands is one");
        }
        for plain in ["/", "/a/../b.html", "//x", ""] {
            assert_eq!(readings(plain).count(), 1, "{plain}");
        }
    }

    #[test]
    fn a_path_deeper_than_any_entry_still_has_its_prefixes() {
        let deep = "/x".repeat(1000);
        let hashes = PathHashes::new(1, deep.as_bytes());
        assert_eq!(hashes.prefixes().len(), MAX_DEPTH + 1);
        assert_eq!(hashes.full(), None);
        let back = deep + &"/..".repeat(999);
        assert_eq!(PathHashes::new(1, back.as_bytes()).prefixes(), &hashes.prefixes()[..2]);
    }

    #[test]
    fn the_text_form_hashes_as_what_it_was_made_from() {
        for raw in ["/A%20b/../c", "/%zz/%", "", "/a//b#y", "/\u{e9}/\u{1}"] {
            let text = spelled_path(raw.as_bytes());
            let (one, other) =
                (PathHashes::new(5, raw.as_bytes()), PathHashes::new(5, text.as_bytes()));
            assert_eq!(one.prefixes(), other.prefixes(), "{raw}");
            let mut appended = b"x".to_vec();
            append_spelled(&mut appended, raw.as_bytes());
            assert!(appended[1..].iter().copied().eq(Spelled::new(raw.as_bytes())), "{raw}");
        }
    }
}
