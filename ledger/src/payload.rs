//! Payloads: the bytes of a context, a decision and an end inside a frame.
//!
//! Little-endian throughout. A text is its length and its bytes. The first byte tells the kind.
//! Contexts are numbered within their file and decisions name that number, so that a damaged
//! context can never lend a decision the names of an older one.

use crate::notes::{MAX_SITE_BYTES, MAX_WORDS_BYTES, Notes, Sign, Words, WordsKind, signs_text};
use crate::record::{AsDecided, Context, Decided, Ended, scheme_from_number, scheme_number};
use rules::category::CategorySet;
use rules::code::RequestId;
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;
use rules::time::UnixMillis;
use rules::unblock::UnblockId;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const CONTEXT: u8 = 1;
const DECIDED: u8 = 2;
const DECIDED_AND_ENDED: u8 = 3;
const ENDED: u8 = 4;
const ENDED_WITH_SIGNS: u8 = 5;

const HAS_USER: u8 = 1;
const HAS_PATH: u8 = 2;
const HAS_RULE: u8 = 4;
const HAS_UNBLOCK: u8 = 8;
const IS_V6: u8 = 16;
const IS_BLOCK: u8 = 32;
const HAS_WORDS: u8 = 64;
const HAS_SIGNS: u8 = 128;

/// Most bytes kept of each text of a decision.
const MAX_USER_BYTES: usize = 256;
const MAX_METHOD_BYTES: usize = 32;
const MAX_HOST_BYTES: usize = 253;
const MAX_PATH_BYTES: usize = 2048;
const MAX_RULE_BYTES: usize = 512;
/// More than signs ever take: they are not cut.
const MAX_SIGNS_BYTES: usize = 1024;

/// A decision as read back: like [`Decided`], its texts borrowed from the journal's bytes, its
/// context the last one before it in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecisionRead<'a> {
    /// Number of its context within the file.
    pub context: u16,
    /// Id.
    pub id: RequestId,
    /// When the request was read.
    pub at: UnixMillis,
    /// Proven user.
    pub user: Option<&'a str>,
    /// Level, by place in the context.
    pub level: u8,
    /// Client address.
    pub client: IpAddr,
    /// Method.
    pub method: &'a str,
    /// Scheme.
    pub scheme: Scheme,
    /// Host.
    pub host: &'a str,
    /// Port.
    pub port: u16,
    /// Path.
    pub path: Option<&'a str>,
    /// Categories, by place in the context.
    pub categories: CategorySet,
    /// Verdict.
    pub verdict: Verdict,
    /// Reason.
    pub reason: ReasonCode,
    /// Rule.
    pub rule: Option<&'a str>,
    /// Unblock.
    pub unblock: Option<UnblockId>,
    /// Depth, and whether somebody opened it.
    pub known: AsDecided,
    /// Words and signs.
    pub notes: Notes<'a>,
}

/// One payload, read.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload<'a> {
    /// What the decisions that name its number share.
    Context(u16, Context),
    /// A decision whose end follows.
    Decided(DecisionRead<'a>),
    /// A decision and its end.
    DecidedAndEnded(DecisionRead<'a>, Ended),
    /// The end of an earlier decision, with signs as [`signs_text`] writes them.
    Ended(RequestId, Ended, Option<&'a str>),
}

/// Appends a context's payload under a number.
pub fn put_context(buffer: &mut Vec<u8>, number: u16, context: &Context) {
    buffer.push(CONTEXT);
    buffer.extend_from_slice(&number.to_le_bytes());
    put_text(buffer, &context.policy_hash, 1024);
    put_text(buffer, &context.list_version, 1024);
    put_text(buffer, &context.zone, 255);
    context.locked.words().iter().for_each(|word| buffer.extend_from_slice(&word.to_le_bytes()));
    for names in [&context.categories, &context.levels] {
        buffer.extend_from_slice(&(names.len() as u16).to_le_bytes());
        names.iter().for_each(|name| put_text(buffer, name, 255));
    }
}

/// Appends a decision's payload under its context's number, with its end where it is already known.
pub fn put_decided(
    buffer: &mut Vec<u8>,
    context: u16,
    decided: &Decided<'_>,
    ended: Option<&Ended>,
) {
    buffer.push(if ended.is_some() { DECIDED_AND_ENDED } else { DECIDED });
    buffer.extend_from_slice(&context.to_le_bytes());
    buffer.extend_from_slice(&decided.id.0.to_le_bytes());
    buffer.extend_from_slice(&decided.at.0.to_le_bytes());
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let flags = flag(decided.user.is_some(), HAS_USER)
        | flag(decided.path.is_some(), HAS_PATH)
        | flag(decided.rule.is_some(), HAS_RULE)
        | flag(decided.unblock.is_some(), HAS_UNBLOCK)
        | flag(decided.client.is_ipv6(), IS_V6)
        | flag(decided.verdict == Verdict::Block, IS_BLOCK)
        | flag(decided.words.is_some(), HAS_WORDS);
    let signs = if decided.signs.is_empty() { None } else { signs_text(decided.signs) };
    let flags = flags | flag(signs.is_some(), HAS_SIGNS);
    let scheme = scheme_number(decided.scheme);
    let known = AsDecided { depth: decided.depth, visit: decided.visit };
    let (reason, known) = (decided.reason as u8, known.number());
    buffer.extend_from_slice(&[flags, decided.level, scheme, known, reason]);
    buffer.extend_from_slice(&decided.port.to_le_bytes());
    match decided.client {
        IpAddr::V4(address) => buffer.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => buffer.extend_from_slice(&address.octets()),
    }
    put_categories(buffer, decided.categories);
    if let Some(UnblockId(number)) = decided.unblock {
        buffer.extend_from_slice(&number.to_le_bytes());
    }
    put_text(buffer, decided.method, MAX_METHOD_BYTES);
    put_text(buffer, decided.host, MAX_HOST_BYTES);
    if let Some(user) = decided.user {
        put_text(buffer, user, MAX_USER_BYTES);
    }
    if let Some(path) = decided.path {
        put_text(buffer, path, MAX_PATH_BYTES);
    }
    if let Some(rule) = decided.rule {
        put_text(buffer, rule, MAX_RULE_BYTES);
    }
    if let Some(words) = decided.words {
        buffer.push(words.kind as u8);
        put_text(buffer, words.site, MAX_SITE_BYTES);
        put_text(buffer, words.text, MAX_WORDS_BYTES);
    }
    if let Some(signs) = signs {
        put_text(buffer, &signs, MAX_SIGNS_BYTES);
    }
    if let Some(ended) = ended {
        put_end(buffer, ended);
    }
}

/// Appends an end's payload, with the signs that were found since the decision.
pub fn put_ended(buffer: &mut Vec<u8>, id: RequestId, ended: &Ended, signs: &[Sign]) {
    let signs = if signs.is_empty() { None } else { signs_text(signs) };
    buffer.push(if signs.is_some() { ENDED_WITH_SIGNS } else { ENDED });
    buffer.extend_from_slice(&id.0.to_le_bytes());
    put_end(buffer, ended);
    if let Some(signs) = signs {
        put_text(buffer, &signs, MAX_SIGNS_BYTES);
    }
}

fn put_end(buffer: &mut Vec<u8>, ended: &Ended) {
    buffer.push(ended.end_number());
    buffer.extend_from_slice(&ended.status.to_le_bytes());
    buffer.extend_from_slice(&ended.bytes_up.to_le_bytes());
    buffer.extend_from_slice(&ended.bytes_down.to_le_bytes());
    buffer.extend_from_slice(&ended.duration_us.to_le_bytes());
}

/// A mask of the words that hold something, then those words.
fn put_categories(buffer: &mut Vec<u8>, categories: CategorySet) {
    let words = categories.words();
    let mask = (0..4).fold(0u8, |mask, i| mask | (u8::from(words[i] != 0) << i));
    buffer.push(mask);
    words
        .iter()
        .filter(|&&word| word != 0)
        .for_each(|word| buffer.extend_from_slice(&word.to_le_bytes()));
}

fn put_text(buffer: &mut Vec<u8>, text: &str, max_bytes: usize) {
    let text = &text[..text.floor_char_boundary(max_bytes)];
    buffer.extend_from_slice(&(text.len() as u16).to_le_bytes());
    buffer.extend_from_slice(text.as_bytes());
}

/// Reads one payload; `None` if its bytes mean nothing (another version, or damage that the
/// checksum happened to miss).
#[must_use]
pub fn read(payload: &[u8]) -> Option<Payload<'_>> {
    let mut reader = Reader { bytes: payload };
    let payload = match reader.u8()? {
        CONTEXT => Payload::Context(reader.u16()?, read_context(&mut reader)?),
        DECIDED => Payload::Decided(read_decided(&mut reader)?),
        DECIDED_AND_ENDED => {
            Payload::DecidedAndEnded(read_decided(&mut reader)?, read_end(&mut reader)?)
        }
        ENDED => Payload::Ended(RequestId(reader.u64()?), read_end(&mut reader)?, None),
        ENDED_WITH_SIGNS => {
            let (id, ended) = (RequestId(reader.u64()?), read_end(&mut reader)?);
            Payload::Ended(id, ended, Some(reader.text()?))
        }
        _ => return None,
    };
    reader.bytes.is_empty().then_some(payload)
}

fn read_context(reader: &mut Reader<'_>) -> Option<Context> {
    let policy_hash = reader.text()?.to_owned();
    let list_version = reader.text()?.to_owned();
    let zone = reader.text()?.to_owned();
    let mut words = [0; 4];
    for word in &mut words {
        *word = reader.u64()?;
    }
    let (categories, levels) = (read_names(reader)?, read_names(reader)?);
    let locked = CategorySet::from_words(words);
    Some(Context { policy_hash, list_version, categories, levels, locked, zone })
}

fn read_names(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    (0..reader.u16()?).map(|_| reader.text().map(str::to_owned)).collect()
}

fn read_decided<'a>(reader: &mut Reader<'a>) -> Option<DecisionRead<'a>> {
    let context = reader.u16()?;
    let id = RequestId(reader.u64()?);
    let at = UnixMillis(reader.u64()? as i64);
    let flags = reader.u8()?;
    let level = reader.u8()?;
    let scheme = scheme_from_number(reader.u8()?)?;
    let known = AsDecided::from_number(reader.u8()?)?;
    let reason = ReasonCode::from_number(reader.u8()?)?;
    let port = reader.u16()?;
    let client = match flags & IS_V6 {
        0 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(reader.take(4)?).ok()?)),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(reader.take(16)?).ok()?)),
    };
    let mask = reader.u8()?;
    let mut words = [0; 4];
    for (_, word) in words.iter_mut().enumerate().filter(|(i, _)| mask & (1 << i) != 0) {
        *word = reader.u64()?;
    }
    let has = |bit: u8| flags & bit != 0;
    let unblock = if has(HAS_UNBLOCK) { Some(UnblockId(reader.u32()?)) } else { None };
    let method = reader.text()?;
    let host = reader.text()?;
    let user = if has(HAS_USER) { Some(reader.text()?) } else { None };
    let path = if has(HAS_PATH) { Some(reader.text()?) } else { None };
    let rule = if has(HAS_RULE) { Some(reader.text()?) } else { None };
    let said = if has(HAS_WORDS) {
        let kind = WordsKind::from_number(reader.u8()?)?;
        let (site, text) = (reader.text()?, reader.text()?);
        Some(Words { text, kind, site })
    } else {
        None
    };
    let signs = if has(HAS_SIGNS) { Some(reader.text()?) } else { None };
    let verdict = if has(IS_BLOCK) { Verdict::Block } else { Verdict::Allow };
    let categories = CategorySet::from_words(words);
    Some(DecisionRead {
        context,
        id,
        at,
        user,
        level,
        client,
        method,
        scheme,
        host,
        port,
        path,
        categories,
        verdict,
        reason,
        rule,
        unblock,
        known,
        notes: Notes { words: said, signs },
    })
}

fn read_end(reader: &mut Reader<'_>) -> Option<Ended> {
    let (end, depth) = Ended::parts(reader.u8()?)?;
    let status = reader.u16()?;
    let (bytes_up, bytes_down, duration_us) = (reader.u64()?, reader.u64()?, reader.u64()?);
    Some(Ended { end, status, bytes_up, bytes_down, duration_us, depth })
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.u16()?);
        std::str::from_utf8(self.take(length)?).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use crate::notes::{Severity, SignSource};
    use crate::record::{Depth, End};
    use proptest::prelude::*;
    use rules::visit::Visit;
    use std::sync::Arc;

    fn context() -> Context {
        Context {
            policy_hash: "ab12".into(),
            list_version: "2026-11-22".into(),
            categories: vec!["uncategorised".into(), "games".into()],
            levels: vec!["pupil".into(), "staff".into()],
            locked: CategorySet::from_words([2, 0, 0, 1]),
            zone: "Europe/London".into(),
        }
    }

    #[test]
    fn a_context_is_read_back_as_it_was_written() {
        let mut bytes = Vec::new();
        put_context(&mut bytes, 7, &context());
        assert_eq!(read(&bytes), Some(Payload::Context(7, context())));
    }

    fn sign(points: u16) -> Sign {
        let (source, severity) = (SignSource::Page, Severity::High);
        Sign { theme: "drugs".to_owned(), points, source, severity }
    }

    #[test]
    fn an_end_is_read_back_with_its_signs() {
        let ended = Ended {
            end: End::Cut,
            status: 200,
            bytes_up: 1,
            bytes_down: 2,
            duration_us: 3,
            depth: None,
        };
        for (signs, text) in [(vec![], None), (vec![sign(40)], Some("drugs:40:page:high"))] {
            let mut bytes = Vec::new();
            put_ended(&mut bytes, RequestId(9), &ended, &signs);
            assert_eq!(read(&bytes), Some(Payload::Ended(RequestId(9), ended, text)));
        }
    }

    #[test]
    fn texts_over_their_bound_are_cut_between_characters() {
        let mut bytes = Vec::new();
        put_text(&mut bytes, "a\u{e9}\u{e9}", 4);
        assert_eq!(Reader { bytes: &bytes }.text(), Some("a\u{e9}"));
    }

    proptest! {
        #[test]
        fn a_decision_and_its_end_are_read_back(
            numbers in any::<(u64, i64, u8, u16)>(),
            v6 in any::<bool>(),
            user in prop::option::of("[a-z]{1,20}"),
            path in prop::option::of("/[a-z/]{0,300}"),
            rule in prop::option::of("[a-z:0-9 ]{1,40}"),
            unblock in prop::option::of(any::<u32>()),
            words in any::<[u64; 4]>(),
            blocked in any::<bool>(),
            end in prop::option::of(any::<(u16, u64, u64, u64)>()),
            said in prop::option::of(("[a-zé ]{1,40}", 0..WordsKind::ALL.len())),
            points in prop::collection::vec(any::<u16>(), 0..3),
            how in (0..End::ALL.len(), 0..=Depth::ALL.len()),
            visit in 0..Visit::ALL.len(),
        ) {
            let (id, at, level, port) = numbers;
            let shared = Arc::new(context());
            let signs: Vec<Sign> = points.iter().map(|points| sign(*points)).collect();
            let decided = Decided {
                id: RequestId(id), at: UnixMillis(at), context: &shared, user: user.as_deref(), level,
                client: if v6 { "2001:db8::7".parse().unwrap() } else { "10.1.2.3".parse().unwrap() },
                method: "GET", scheme: Scheme::Tunnel, host: "example.test", port, path: path.as_deref(),
                categories: CategorySet::from_words(words),
                verdict: if blocked { Verdict::Block } else { Verdict::Allow },
                reason: if blocked { ReasonCode::Category } else { ReasonCode::Allowed },
                rule: rule.as_deref(), unblock: unblock.map(UnblockId), depth: Depth::Name,
                visit: Visit::ALL[visit],
                words: said.as_ref().map(|(text, kind)| Words { text, kind: WordsKind::ALL[*kind], site: "Bing" }),
                signs: &signs,
            };
            let ended = end.map(|(status, bytes_up, bytes_down, duration_us)| {
                let (end, depth) = (End::ALL[how.0], Depth::ALL.get(how.1).copied());
                Ended { end, status, bytes_up, bytes_down, duration_us, depth }
            });
            let mut bytes = Vec::new();
            put_decided(&mut bytes, 3, &decided, ended.as_ref());
            let (read, read_end) = match read(&bytes) {
                Some(Payload::Decided(read)) => (read, None),
                Some(Payload::DecidedAndEnded(read, end)) => (read, Some(end)),
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            prop_assert_eq!((read_end, read.context), (ended, 3));
            prop_assert_eq!((read.id.0, read.at.0, read.level, read.port), (id, at, level, port));
            prop_assert_eq!((read.user, read.path, read.rule), (user.as_deref(), path.as_deref(), rule.as_deref()));
            prop_assert_eq!((read.client, read.unblock), (decided.client, decided.unblock));
            prop_assert_eq!((read.categories, read.verdict), (decided.categories, decided.verdict));
            prop_assert_eq!(read.notes.words, decided.words);
            let signs = signs_text(&signs);
            prop_assert_eq!(read.notes.signs, signs.as_deref());
            prop_assert_eq!((read.method, read.host, read.scheme), ("GET", "example.test", Scheme::Tunnel));
            prop_assert_eq!((read.known.depth, read.known.visit), (Depth::Name, Visit::ALL[visit]));
        }

        #[test]
        fn hostile_payloads_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
        }
    }
}
