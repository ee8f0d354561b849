//! Keywords and regular expressions over URLs.
//!
//! Both are found through automata over the URL, in memory that a thread keeps: one over the
//! literals that expressions need (an expression runs only where one of its literals occurs), one
//! over whole words.

use std::cell::Cell;
use std::sync::OnceLock;

use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{AhoCorasick, Anchored, MatchKind};
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

use crate::url;

/// Most memory of one compiled expression, in bytes.
const MAX_EXPRESSION_BYTES: usize = 4 << 20;
/// Shortest literal worth looking for.
const MIN_LITERAL_BYTES: usize = 2;
/// Most literals of one expression.
const MAX_LITERALS: usize = 64;

/// Compiles an expression of a list; why not, where it is none.
pub(crate) fn compile(expression: &str) -> Result<Regex, &'static str> {
    let regex = RegexBuilder::new(&translated(expression))
        .unicode(false)
        .case_insensitive(true)
        .size_limit(MAX_EXPRESSION_BYTES)
        .dfa_size_limit(MAX_EXPRESSION_BYTES)
        .build()
        .map_err(|problem| match problem {
            regex::Error::CompiledTooBig(_) => "is too large an expression",
            _ => "is no expression that is understood",
        })?;
    if regex.is_match(b"") || regex.is_match(b"-/") {
        return Err("matches every URL");
    }
    Ok(regex)
}

/// A POSIX expression (as squidGuard has them) in the syntax of `regex`.
fn translated(expression: &str) -> String {
    let mut rest = expression.trim();
    for scheme in ["https?://", "(http|https)://", "http://", "https://"] {
        // The scheme is no part of what expressions are matched against.
        let anchored = rest.strip_prefix('^').and_then(|rest| rest.strip_prefix(scheme));
        if let Some(after) = anchored {
            return format!("^{}", translated(after));
        }
    }
    let mut text = String::with_capacity(rest.len());
    while let Some(letter) = rest.chars().next() {
        let mut taken = letter.len_utf8();
        match letter {
            '\\' => {
                taken += rest[1..].chars().next().map_or(0, char::len_utf8);
                text.push_str(&rest[..taken]);
            }
            '[' => {
                taken = bracket_length(rest);
                push_bracket(&mut text, &rest[..taken]);
            }
            '{' if !is_interval(rest) => text.push_str("\\{"),
            _ => text.push(letter),
        }
        rest = &rest[taken..];
    }
    text
}

/// Whether text starts with `{n}`, `{n,}` or `{n,m}`.
fn is_interval(text: &str) -> bool {
    let inner = text[1..].split_once('}').map_or("", |(inner, _)| inner);
    inner.starts_with(|letter: char| letter.is_ascii_digit())
        && inner.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
}

/// How long the bracket expression is that text starts with; a `]` that comes first is a member.
fn bracket_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut place = 1 + usize::from(bytes.get(1) == Some(&b'^'));
    place += usize::from(bytes.get(place) == Some(&b']'));
    while let Some(&byte) = bytes.get(place) {
        match byte {
            b']' => return place + 1,
            b'\\' => place += 1,
            b'[' if bytes.get(place + 1) == Some(&b':') => {
                place = text[place..].find(":]").map_or(place, |end| place + end + 1);
            }
            _ => {}
        }
        place += 1;
    }
    text.len()
}

/// A bracket expression with what only `regex` gives a meaning escaped: `[`, `&`, `~`.
fn push_bracket(text: &mut String, bracket: &str) {
    let mut rest = &bracket[1..];
    text.push('[');
    while let Some(letter) = rest.chars().next() {
        let class = rest.starts_with("[:").then(|| rest.find(":]")).flatten();
        let mut taken = letter.len_utf8();
        match (class, letter) {
            (Some(end), _) => {
                taken = end + 2;
                text.push_str(&rest[..taken]);
            }
            (None, '\\') => {
                taken += rest[1..].chars().next().map_or(0, char::len_utf8);
                text.push_str(&rest[..taken]);
            }
            (None, '[' | '&' | '~') => {
                text.push('\\');
                text.push(letter);
            }
            _ => text.push(letter),
        }
        rest = &rest[taken..];
    }
}

/// Literals of which every text that the expression matches holds at least one, in lower case.
/// `None` where no such set is known; then the expression always runs.
fn required_literals(expression: &str) -> Option<Vec<Vec<u8>>> {
    let hir = regex_syntax::ParserBuilder::new()
        .utf8(false)
        .unicode(false)
        .build()
        .parse(&translated(expression))
        .ok()?;
    let mut literals = literals_of(&hir)?;
    literals.iter_mut().for_each(|literal| literal.make_ascii_lowercase());
    let shortest = literals.iter().map(Vec::len).min()?;
    (shortest >= MIN_LITERAL_BYTES && literals.len() <= MAX_LITERALS).then_some(literals)
}

fn literals_of(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Capture(capture) => literals_of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => literals_of(&repetition.sub),
        HirKind::Alternation(choices) => {
            let sets: Option<Vec<_>> = choices.iter().map(literals_of).collect();
            Some(sets?.concat())
        }
        HirKind::Concat(parts) => parts
            .iter()
            .filter_map(literals_of)
            .max_by_key(|set| set.iter().map(Vec::len).min().unwrap_or(0)),
        _ => None,
    }
}

/// Words in lower case with one space between; why not, where there are none.
pub(crate) fn keyword(text: &str) -> Result<String, &'static str> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|letter: char| letter.is_ascii() && !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let joined = words.join(" ");
    match joined.len() {
        0 => Err("holds no word"),
        1..=2 => Err("is too short a word to look for in URLs"),
        3..=200 => Ok(joined),
        _ => Err("is too long for a keyword"),
    }
}

/// One expression or keyword of one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The list it is of.
    pub(crate) list: u16,
    /// Whether it is a keyword and no expression.
    pub(crate) is_keyword: bool,
    /// The expression or the words.
    pub(crate) text: String,
}

/// All patterns of an index, ready to be looked for.
#[derive(Default)]
pub(crate) struct Patterns {
    all: Vec<Pattern>,
    /// Each expression compiled when first needed, so that opening an index stays fast.
    compiled: Vec<OnceLock<Option<Regex>>>,
    /// Expressions without a required literal.
    always: Vec<usize>,
    literals: Option<Finder>,
    words: Option<Finder>,
}

/// An automaton whose patterns belong to entries of `all`.
struct Finder {
    /// Says quickly, mostly by vector instructions, that nothing occurs: nearly always so.
    any: AhoCorasick,
    automaton: NFA,
    owners: Vec<usize>,
}

impl Finder {
    fn new(texts: &[(usize, Vec<u8>)]) -> Option<Finder> {
        if texts.is_empty() {
            return None;
        }
        let bytes = || texts.iter().map(|(_, text)| text);
        let any =
            AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(bytes()).ok()?;
        let automaton = NFA::builder().match_kind(MatchKind::Standard).build(bytes()).ok()?;
        Some(Finder { any, automaton, owners: texts.iter().map(|&(owner, _)| owner).collect() })
    }

    /// Names the owner of each occurrence.
    fn run(&self, text: &[u8], found: &mut dyn FnMut(usize)) {
        if !self.any.is_match(text) {
            return;
        }
        let automaton = &self.automaton;
        let Ok(mut state) = automaton.start_state(Anchored::No) else { return };
        for &byte in text {
            state = automaton.next_state(Anchored::No, state, byte);
            if automaton.is_special(state) && automaton.is_match(state) {
                for match_place in 0..automaton.match_len(state) {
                    let pattern = automaton.match_pattern(state, match_place);
                    if let Some(&owner) = self.owners.get(pattern.as_usize()) {
                        found(owner);
                    }
                }
            }
        }
    }
}

/// Texts that are made anew for each URL, in memory that a thread keeps.
#[derive(Default)]
struct Scratch {
    url: Vec<u8>,
    words: Vec<u8>,
}

/// Most memory of a scratch text that is kept from one URL to the next.
const MAX_KEPT_BYTES: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch { url: Vec::new(), words: Vec::new() }) };
}

impl Patterns {
    /// Prepares patterns; `None` if they are too many for an automaton.
    pub(crate) fn new(all: Vec<Pattern>) -> Option<Patterns> {
        let (mut literals, mut words, mut always) = (Vec::new(), Vec::new(), Vec::new());
        for (place, pattern) in all.iter().enumerate() {
            if pattern.is_keyword {
                words.push((place, format!(" {} ", pattern.text).into_bytes()));
            } else if let Some(required) = required_literals(&pattern.text) {
                literals.extend(required.into_iter().map(|literal| (place, literal)));
            } else {
                always.push(place);
            }
        }
        let (literal_finder, word_finder) = (Finder::new(&literals), Finder::new(&words));
        if literal_finder.is_none() != literals.is_empty()
            || word_finder.is_none() != words.is_empty()
        {
            return None;
        }
        Some(Patterns {
            compiled: all.iter().map(|_| OnceLock::new()).collect(),
            all,
            always,
            literals: literal_finder,
            words: word_finder,
        })
    }

    /// Whether there is no pattern.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Names every pattern that occurs in a URL (`path_and_query` is `/` where it is not seen),
    /// perhaps more than once.
    #[inline]
    pub(crate) fn find(&self, host: &str, path_and_query: &str, found: &mut dyn FnMut(&Pattern)) {
        if !self.all.is_empty() {
            // Taken, not borrowed: a look-up from within `found` would only make its own.
            let mut scratch = SCRATCH.take();
            self.find_with(&mut scratch, host, path_and_query.as_bytes(), found);
            if scratch.url.capacity() <= MAX_KEPT_BYTES {
                SCRATCH.set(scratch);
            }
        }
    }

    fn find_with(
        &self,
        scratch: &mut Scratch,
        host: &str,
        path: &[u8],
        found: &mut dyn FnMut(&Pattern),
    ) {
        let Scratch { url, words } = scratch;
        url.clear();
        url.extend_from_slice(host.as_bytes());
        url::append_spelled(url, path);
        if let Some(finder) = &self.words {
            words.clear();
            words.extend(Words::new(url.iter().copied()));
            finder.run(words, &mut |place| found(&self.all[place]));
        }
        let mut candidates: Vec<usize> = Vec::new();
        if let Some(literals) = &self.literals {
            literals.run(url, &mut |place| candidates.push(place));
        }
        candidates.sort_unstable();
        candidates.dedup();
        for &place in candidates.iter().chain(&self.always) {
            let pattern = &self.all[place];
            let regex = self.compiled[place].get_or_init(|| compile(&pattern.text).ok());
            // One that does not compile was checked when the list was read: the index was tampered
            // with, and a filter that cannot look must not let through.
            if regex.as_ref().is_none_or(|regex| regex.is_match(url)) {
                found(pattern);
            }
        }
    }
}

/// The words of a URL with one space before and after each. Escapes are taken for what they stand
/// for: separators, but for letters beyond ASCII.
struct Words<I> {
    url: I,
    /// Bytes after a `%` that turned out to be no escape, to be read again.
    unread: [Option<u8>; 2],
    started: bool,
    in_space: bool,
}

impl<I: Iterator<Item = u8>> Words<I> {
    fn new(url: I) -> Self {
        Self { url, unread: [None; 2], started: false, in_space: true }
    }

    fn read(&mut self) -> Option<u8> {
        let [first, second] = self.unread;
        self.unread = [second, None];
        first.or_else(|| self.url.next())
    }

    /// The byte that the escape after a `%` stands for; a separator where it is no escape.
    fn escaped(&mut self) -> u8 {
        let (high, low) = (self.read(), self.read());
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (digit(high), digit(low)) {
            (Some(high), Some(low)) => (high << 4 | low) as u8,
            _ => {
                self.unread = [high, low];
                b' '
            }
        }
    }
}

impl<I: Iterator<Item = u8>> Iterator for Words<I> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if !self.started {
            self.started = true;
            return Some(b' ');
        }
        while let Some(byte) = self.read() {
            let byte = if byte == b'%' { self.escaped() } else { byte };
            if byte.is_ascii_alphanumeric() || byte >= 0x80 {
                self.in_space = false;
                return Some(byte);
            }
            if !self.in_space {
                self.in_space = true;
                return Some(b' ');
            }
        }
        let ends_a_word = !self.in_space;
        self.in_space = true;
        ends_a_word.then_some(b' ')
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    fn patterns(expressions: &[&str], keywords: &[&str]) -> Patterns {
        let make = |is_keyword, text: String| Pattern { list: 0, is_keyword, text };
        let all = expressions
            .iter()
            .map(|text| make(false, (*text).to_owned()))
            .chain(keywords.iter().map(|text| make(true, keyword(text).unwrap())));
        Patterns::new(all.collect()).unwrap()
    }

    fn found(patterns: &Patterns, host: &str, path: &str) -> Vec<String> {
        let mut names = Vec::new();
        patterns.find(host, path, &mut |pattern| names.push(pattern.text.clone()));
        names.sort();
        names.dedup();
        names
    }

    #[test]
    fn words_are_found_whole_and_never_inside_others() {
        let patterns = patterns(&[], &["sex", "casino royale", "pêche"]);
        let cases = [
            ("essex.example", "/sussex/middlesex", &[][..]),
            ("example.com", "/a?q=Sex+education", &["sex"]),
            ("sex.example.com", "/", &["sex"]),
            ("example.com", "/casino%20royale", &["casino royale"]),
            ("example.com", "/casino--royale.html", &["casino royale"]),
            ("example.com", "/casino/tables/royale", &[]),
            ("example.com", "/p%C3%AAche", &["pêche"]),
            ("example.com", "/%sex", &["sex"]),
            ("example.com", "/x%7", &[]),
        ];
        for (host, path, expected) in cases {
            assert_eq!(found(&patterns, host, path), expected, "{host}{path}");
        }
    }

    #[test]
    fn expressions_are_found_with_and_without_a_literal_to_look_for() {
        let all = [
            "(/banner/|adverts/)",
            r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/search\?q=[0-9]+$",
            "^[a-c]+[.]",
            "^https?://secure\\.",
            "([[:digit:]]{3}x|[]y[]{2}z)",
        ];
        let patterns = patterns(&all, &[]);
        let cases = [
            ("example.com", "/BANNER/x", vec![all[0]]),
            ("example.com", "/bann%65r/x", vec![all[0]]),
            ("1.2.3.4", "/search?q=12", vec![all[1]]),
            ("1.2.3.4", "/search?q=1x", vec![]),
            ("abc.example", "/", vec![all[2]]),
            ("secure.example", "/", vec![all[3]]),
            ("example.com", "/123X", vec![all[4]]),
            ("example.com", "/y[z", vec![all[4]]),
            ("example.com", "/yz", vec![]),
        ];
        for (host, path, mut expected) in cases {
            expected.sort_unstable();
            assert_eq!(found(&patterns, host, path), expected, "{host}{path}");
        }
    }

    #[test]
    fn what_would_match_everything_or_is_not_understood_is_refused() {
        for text in ["", ".*", "(", "a*", "(?=x)", r"(a)\1", ".", "[a", "a{99999}{999}"] {
            assert!(compile(text).is_err(), "{text}");
        }
        for text in ["a{b", r"ymsgr*\.exe", "[[:alpha:]_]+\\.zip", "[a&&b]x", "x|y"] {
            assert!(compile(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn required_literals_are_in_every_match() {
        let literals = |text| {
            let found = required_literals(text)?;
            Some(
                found
                    .into_iter()
                    .map(|bytes| String::from_utf8(bytes).unwrap())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            literals("(/Banner/|adverts/)"),
            Some(vec!["/banner/".into(), "adverts/".into()])
        );
        assert_eq!(literals("a.*games[0-9]?"), Some(vec!["games".into()]));
        assert_eq!(literals("(games)?x?"), None);
        assert_eq!(literals("(games|.)"), None);
        assert_eq!(literals("(games)+"), Some(vec!["games".into()]));
    }
}
