//! The words of an address, read plainly: nobody disguises what a link is called, and what looks like a
//! disguised word in one is an identifier.

use super::disguise::MAX_BYTES;
use super::score::{Found, Scratch, TextKind};
use super::set::Themes;

/// Hundredths of what a search needs that an address needs. Its words name a thing, and tell of nobody.
const NEEDED_PERCENT: i64 = 200;
/// Longest piece that is taken for words, in bytes.
const MAX_PIECE: usize = 24;
/// Letters from which a piece without a vowel is no word.
const MIN_VOWELLESS: usize = 5;
/// A segment with this many times as many bytes of identifiers as of words has no words: it is a number in
/// base 64 or 16 with signs in it.
const IDENTIFIER_SHARE: usize = 3;

/// Keys of a query whose values hold words, in lower case and in order.
const WORD_KEYS: [&str; 25] = [
    "find",
    "k",
    "keyword",
    "keywords",
    "kw",
    "phrase",
    "prompt",
    "q",
    "query",
    "s",
    "search",
    "search_query",
    "searchterm",
    "searchtext",
    "subject",
    "tag",
    "tags",
    "term",
    "terms",
    "text",
    "title",
    "topic",
    "w",
    "wd",
    "words",
];

/// What is kept from address to address.
#[derive(Debug, Default)]
pub(super) struct Address {
    words: String,
    segment: Vec<u8>,
}

impl Themes {
    /// Scores the words of an address: the labels of a host in lower case but the last, and what follows it as sent
    /// (`/ways-to-die?q=...`; all of it after `#` is left out).
    ///
    /// Words are what stands between signs, escapes undone, parted where a capital follows a small letter; of
    /// the query only values of keys that are called as those of searches. Numbers, identifiers and words of more
    /// than 24 letters are passed over. No slip, disguise or words run together are seen through, no pack that
    /// is only for what is typed is used, and twice as much is needed as of a search. At most the first
    /// [`MAX_BYTES`] are read. In a host of help ([`Themes::is_help`]) nothing is found.
    ///
    /// **An address is a sign and no more.** Who calls this has it watched for, and may refuse by it only a host
    /// for which no list has a category, that the school has not opened
    /// ([`is_opened`](rules::decide::is_opened)), and that is not of help: a site that is known is judged by
    /// what it is known for, and not by what a page of it is called.
    ///
    /// Places of findings are those in the words as they were read, not in the address.
    pub fn score_address<'s>(
        &'s self,
        host: &str,
        path_and_query: &str,
        scratch: &'s mut Scratch,
    ) -> Found<'s> {
        let mut address = std::mem::take(&mut scratch.address);
        address.words.clear();
        if !self.is_help(host) {
            address.read(host, path_and_query);
        }
        let kind = TextKind::Page { needed_percent: NEEDED_PERCENT };
        self.compiled.read_plainly(&address.words, kind, scratch);
        scratch.address = address;
        Found::new(&self.compiled, scratch)
    }

    /// Whether a host in lower case is one that themes name for help, or below one: `www.childline.org.uk`.
    /// Nothing that it says of a theme is a reason to refuse it.
    #[must_use]
    pub fn is_help(&self, host: &str) -> bool {
        let mut rest = host;
        loop {
            if self.help.binary_search_by(|known| (**known).cmp(rest)).is_ok() {
                return true;
            }
            match rest.split_once('.') {
                Some((_, parent)) => rest = parent,
                None => return false,
            }
        }
    }
}

impl Address {
    fn read(&mut self, host: &str, path_and_query: &str) {
        let host = host.strip_prefix("www.").unwrap_or(host);
        // What is registered, and not in which country or for what: `.is`, `.me` and `.to` are words.
        let labels = host.rsplit_once('.').map_or("", |(labels, _)| labels);
        for label in labels.split('.').filter(|label| !label.starts_with("xn--")) {
            self.take(label);
        }
        let end = path_and_query.floor_char_boundary(path_and_query.len().min(MAX_BYTES));
        let seen = path_and_query[..end].split('#').next().unwrap_or("");
        let (path, query) = seen.split_once('?').unwrap_or((seen, ""));
        path.split('/').for_each(|segment| self.take(segment));
        for pair in query.split(['&', ';']) {
            let Some((key, value)) = pair.split_once('=') else { continue };
            if is_of_words(key) {
                self.take(value);
            }
        }
    }

    /// Takes the words of a label, a segment or a value.
    fn take(&mut self, raw: &str) {
        self.segment.clear();
        let mut bytes = raw.as_bytes().iter();
        while let Some(&byte) = bytes.next() {
            let is_escaped = byte == b'%';
            let value = if is_escaped { unescaped(bytes.as_slice()) } else { Some(byte) };
            if is_escaped && value.is_some() {
                bytes.nth(1);
            }
            self.segment.push(value.unwrap_or(b' '));
        }
        let before = self.words.len();
        let (mut of_words, mut of_identifiers) = (0, 0);
        for chunk in self.segment.utf8_chunks() {
            for piece in chunk.valid().split(is_between).filter(|piece| !piece.is_empty()) {
                match kind(piece.as_bytes()) {
                    Kind::Words => {
                        of_words += piece.len();
                        push_parted(&mut self.words, piece);
                    }
                    Kind::Identifier => of_identifiers += piece.len(),
                    Kind::Number => {}
                }
            }
        }
        if of_identifiers >= of_words.max(1) * IDENTIFIER_SHARE {
            self.words.truncate(before);
        }
    }
}

/// Whether a key of a query is one whose values hold words.
fn is_of_words(key: &str) -> bool {
    let mut small = [0; 12];
    let Some(room) = small.get_mut(..key.len()) else { return false };
    room.copy_from_slice(key.as_bytes());
    room.make_ascii_lowercase();
    let room = &*room;
    WORD_KEYS.binary_search_by(|known| known.as_bytes().cmp(room)).is_ok()
}

/// Whether a character parts pieces: every sign of ASCII but the apostrophe.
fn is_between(character: char) -> bool {
    character.is_ascii() && !character.is_ascii_alphanumeric() && character != '\''
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Words,
    Number,
    Identifier,
}

fn kind(piece: &[u8]) -> Kind {
    let digits = piece.iter().filter(|byte| byte.is_ascii_digit()).count();
    if digits == piece.len() {
        return Kind::Number;
    }
    if !piece.is_ascii() {
        return Kind::Words;
    }
    let has_vowel = piece.iter().any(|byte| b"aeiouyAEIOUY".contains(byte));
    let is_word = digits == 0
        && piece.len() <= MAX_PIECE
        && (has_vowel || piece.len() < MIN_VOWELLESS)
        && humps(piece).all(is_hump);
    if is_word { Kind::Words } else { Kind::Identifier }
}

/// The parts of a piece, each but the first beginning with a capital after a small letter.
fn humps(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    piece.chunk_by(|left, right| !(left.is_ascii_lowercase() && right.is_ascii_uppercase()))
}

/// Whether a part is a word: `kill`, `Kill`, `KILL`, and not `KiLL`, as random letters are.
fn is_hump(hump: &[u8]) -> bool {
    let Some((_, rest)) = hump.split_first() else { return false };
    let is_small = |byte: &u8| !byte.is_ascii_uppercase();
    let is_large = |byte: &u8| !byte.is_ascii_lowercase();
    rest.iter().all(is_small) || hump.iter().all(is_large)
}

/// Adds a piece, a space before each word of it.
fn push_parted(words: &mut String, piece: &str) {
    words.push(' ');
    let mut was_small = false;
    for character in piece.chars() {
        if was_small && character.is_ascii_uppercase() {
            words.push(' ');
        }
        was_small = character.is_ascii_lowercase();
        words.push(character);
    }
}

fn unescaped(digits: &[u8]) -> Option<u8> {
    let high = char::from(*digits.first()?).to_digit(16)?;
    let low = char::from(*digits.get(1)?).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(host: &str, path_and_query: &str) -> String {
        let mut address = Address::default();
        address.read(host, path_and_query);
        address.words.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_address_is_words() {
        let cases = [
            (
                "www.example.org",
                "/how-to-get-high?q=buy+weed#top",
                "example how to get high buy weed",
            ),
            ("example.me", "/HowToGetHigh.html", "example How To Get High html"),
            ("example.org", "/%73uicide%20ways", "example suicide ways"),
            ("x.org", "/%D8%A7%D9%86", "x ان"),
            ("x.org", "/%zz%", "x zz"),
            ("x.org", "/%ff%fe%41", "x A"),
            ("x.org", "/don't_go,there", "x don't go there"),
            ("xn--80ak6aa92e.org", "", ""),
            ("", "", ""),
        ];
        for (host, path, expected) in cases {
            assert_eq!(words(host, path), expected, "{host}{path}");
        }
        let mut address = Address::default();
        address.read("x.org", &"é/".repeat(MAX_BYTES));
        assert!(address.words.len() <= 2 * MAX_BYTES);
    }

    #[test]
    fn what_nobody_named_is_no_words() {
        let cases = [
            ("/fonts/nK1lLmYsElF-dIe.woff2", "fonts"),
            ("/3f2e1d0c-dead-4bee-9a1b-0123456789ab/", ""),
            ("/s/aGVsbG8gd29ybGQ_die-QkFTRTY0/x", "s x"),
            ("/2024/11/03/bcdfgh", ""),
            ("/killmyselfkillmyselfkillmyself", ""),
            ("/news-65432198-how-to-tie", "news how to tie"),
            ("/a?id=how-to-die&utm_term=die&Q=knots", "a knots"),
            ("/a?u=https%3A%2F%2Fdie.example%2F&q", "a"),
            ("/k1ll-mys3lf", ""),
            ("/WATCH-BBCNews/HelloWORLD", "WATCH Hello WORLD"),
        ];
        for (path, expected) in cases {
            assert_eq!(
                words("x.uk", path).strip_prefix('x').map(str::trim),
                Some(expected),
                "{path}"
            );
        }
    }

    #[test]
    fn keys_stand_in_order() {
        assert!(WORD_KEYS.is_sorted());
        assert!(
            is_of_words("Search_Query") && !is_of_words("search_queries_x") && !is_of_words("")
        );
    }
}
