//! What the proof of one access is made from: the bytes of a row and of an end, and their hashes.
//!
//! Only resolved values are hashed (names, never the small numbers that a file gives them), so that
//! any store that holds the values makes the same hashes: the open day's file, a sealed one, or a
//! bundle on a stranger's disk. The same values always make the same bytes:
//!
//! - a number is unsigned LEB128 (seven bits a byte, the lowest first); a time is its milliseconds as
//!   64 bits, two's complement;
//! - a text is the number of its UTF-8 bytes, then the bytes; a text that may be missing has a byte
//!   before it, 0 where it is missing (and nothing follows) and 1 where it is there.
//!
//! What many rows share goes into two hashes of its own, the *who* and the *what*, so that most of a
//! row's text is hashed once a day and not once a row.
//!
//! A row with words or signs ([`crate::notes`]) begins with another byte and has them behind: so a row without
//! them has the bytes that it had before there were any.
//!
//! A row's leaf is SHA-256 of 0x00, its salt and its bytes. Without the salt nobody can find by trial
//! what a row says whose hash alone is shown; see [`super::salt`].

use crate::notes::Notes;
use crate::record::{AsDecided, Ended};
use aws_lc_rs::digest::{SHA256, digest};
use rules::decide::{ReasonCode, Verdict};
use rules::target::Scheme;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Bytes of a salt.
pub const SALT_BYTES: usize = 16;

/// Makes a row unguessable from its leaf.
pub type Salt = [u8; SALT_BYTES];

/// First byte of what is hashed: each kind of text has its own, so that none can be taken for another.
const LEAF: u8 = 0x00;
const WHO: u8 = 0x10;
const WHAT: u8 = 0x11;
const ROW: u8 = 0x12;
const END: u8 = 0x13;
const ROW_WITH_NOTES: u8 = 0x14;
const END_WITH_SIGNS: u8 = 0x15;

/// Who asked.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Proven user.
    pub user: Option<&'a str>,
    /// Level name.
    pub level: &'a str,
    /// Client address, as written.
    pub client: &'a str,
}

/// For what, and the answer.
#[derive(Clone, Debug)]
pub struct What<'a> {
    /// SHA-256 of the policy text that decided, hex.
    pub policy_hash: &'a str,
    /// Version of the lists that decided.
    pub list_version: &'a str,
    /// The school's zone.
    pub zone: &'a str,
    /// Method.
    pub method: &'a str,
    /// Scheme.
    pub scheme: Scheme,
    /// Host.
    pub host: &'a str,
    /// Port, 0 if unknown.
    pub port: u16,
    /// Category names, in the order stored.
    pub categories: Vec<&'a str>,
    /// Whether one of them was locked.
    pub locked: bool,
    /// Verdict.
    pub verdict: Verdict,
    /// Why, as a word.
    pub reason: ReasonCode,
    /// The policy line or block that decided.
    pub rule: Option<&'a str>,
    /// Number of the unblock that opened it.
    pub unblock: Option<u32>,
    /// How deep the proxy saw, as decided, and whether somebody opened it.
    pub known: AsDecided,
}

/// One access.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Place in its day, from 0.
    pub number: u64,
    /// Id.
    pub id: u64,
    /// When the request was read, in milliseconds since 1970.
    pub at: i64,
    /// [`Who::hash`].
    pub who: Hash,
    /// [`What::hash`].
    pub what: Hash,
    /// Path without query.
    pub path: Option<&'a str>,
    /// Its end, where it came with the row; else it is an [`End`] of its own, or still to come.
    pub ended: Option<Ended>,
    /// Words and signs.
    pub notes: Notes<'a>,
}

/// The end of an access that was stored before it ended.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Place among the day's ends that came by themselves, from 0.
    pub place: u64,
    /// Place of its row.
    pub row: u64,
    /// The end.
    pub ended: Ended,
    /// Signs that were found since the decision, as [`crate::notes::signs_text`] writes them.
    pub signs: Option<&'a str>,
}

impl Who<'_> {
    /// The hash of these values.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut bytes = vec![WHO];
        put_optional(&mut bytes, self.user);
        put_text(&mut bytes, self.level);
        put_text(&mut bytes, self.client);
        sha256(&bytes)
    }
}

impl What<'_> {
    /// The hash of these values.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut bytes = Vec::with_capacity(320);
        bytes.push(WHAT);
        for text in [self.policy_hash, self.list_version, self.zone, self.method] {
            put_text(&mut bytes, text);
        }
        put_text(&mut bytes, self.scheme.as_str());
        put_text(&mut bytes, self.host);
        put_number(&mut bytes, self.port.into());
        put_number(&mut bytes, self.categories.len() as u64);
        self.categories.iter().for_each(|name| put_text(&mut bytes, name));
        bytes.push(u8::from(self.locked));
        put_text(&mut bytes, self.verdict.as_str());
        put_text(&mut bytes, self.reason.as_str());
        put_optional(&mut bytes, self.rule);
        bytes.push(u8::from(self.unblock.is_some()));
        if let Some(unblock) = self.unblock {
            put_number(&mut bytes, unblock.into());
        }
        put_text(&mut bytes, self.known.as_str());
        sha256(&bytes)
    }
}

impl Row<'_> {
    /// Appends the row's bytes.
    pub fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(if self.notes.is_empty() { ROW } else { ROW_WITH_NOTES });
        put_number(bytes, self.number);
        put_number(bytes, self.id);
        put_number(bytes, self.at as u64);
        bytes.extend_from_slice(&self.who);
        bytes.extend_from_slice(&self.what);
        put_optional(bytes, self.path);
        bytes.push(u8::from(self.ended.is_some()));
        if let Some(ended) = &self.ended {
            put_ended(bytes, ended);
        }
        if !self.notes.is_empty() {
            bytes.push(u8::from(self.notes.words.is_some()));
            if let Some(words) = &self.notes.words {
                put_text(bytes, words.kind.as_str());
                put_text(bytes, words.site);
                put_text(bytes, words.text);
            }
            put_optional(bytes, self.notes.signs);
        }
    }

    /// The row's leaf. `buffer` is room to work in, kept from call to call.
    #[must_use]
    pub fn leaf(&self, salt: &Salt, buffer: &mut Vec<u8>) -> Hash {
        begin_leaf(buffer, salt);
        self.put(buffer);
        sha256(buffer)
    }
}

impl End<'_> {
    /// Appends the end's bytes.
    pub fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(if self.signs.is_none() { END } else { END_WITH_SIGNS });
        put_number(bytes, self.place);
        put_number(bytes, self.row);
        put_ended(bytes, &self.ended);
        if let Some(signs) = self.signs {
            put_text(bytes, signs);
        }
    }

    /// The end's leaf. `buffer` is room to work in, kept from call to call.
    #[must_use]
    pub fn leaf(&self, salt: &Salt, buffer: &mut Vec<u8>) -> Hash {
        begin_leaf(buffer, salt);
        self.put(buffer);
        sha256(buffer)
    }
}

fn begin_leaf(buffer: &mut Vec<u8>, salt: &Salt) {
    buffer.clear();
    buffer.push(LEAF);
    buffer.extend_from_slice(salt);
}

/// How it ended with the depth in the end ([`Ended::end_number`], whose numbers are never reassigned),
/// the status, the bytes and the time.
fn put_ended(bytes: &mut Vec<u8>, ended: &Ended) {
    bytes.push(ended.end_number());
    put_number(bytes, ended.status.into());
    put_number(bytes, ended.bytes_up);
    put_number(bytes, ended.bytes_down);
    put_number(bytes, ended.duration_us);
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_number(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn put_optional(bytes: &mut Vec<u8>, text: Option<&str>) {
    bytes.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(bytes, text);
    }
}

/// SHA-256.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    let mut hash = Hash::default();
    // The algorithm's output has the length of the array.
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notes::{Words, WordsKind};
    use crate::record::{self, Depth};
    use proptest::prelude::*;
    use rules::visit::Visit;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn ended() -> Ended {
        Ended {
            end: record::End::Rejected,
            status: 200,
            bytes_up: 0,
            bytes_down: 300,
            duration_us: 1_000_000,
            depth: Some(Depth::Page),
        }
    }

    fn what() -> What<'static> {
        What {
            policy_hash: "0a",
            list_version: "l7",
            zone: "UTC",
            method: "GET",
            scheme: Scheme::Http,
            host: "a.test",
            port: 80,
            categories: vec!["games", "education"],
            locked: false,
            verdict: Verdict::Block,
            reason: ReasonCode::Category,
            rule: Some("policy.toml:2"),
            unblock: None,
            known: Depth::Plain.into(),
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_description() {
        let row = Row {
            number: 300,
            id: 5,
            at: -1,
            who: [1; 32],
            what: [2; 32],
            path: Some("/é"),
            ended: Some(ended()),
            notes: Notes::default(),
        };
        let mut bytes = Vec::new();
        row.put(&mut bytes);
        let expected = [
            "12",
            "ac02",
            "05",
            "ffffffffffffffffff01",
            &"01".repeat(32),
            &"02".repeat(32),
            "01032fc3a9",
            "0136c80100ac02c0843d",
        ]
        .concat();
        assert_eq!(hex(&bytes), expected);
        bytes.clear();
        End { place: 0, row: 300, ended: ended(), signs: None }.put(&mut bytes);
        assert_eq!(hex(&bytes), "1300ac0236c80100ac02c0843d");
    }

    #[test]
    fn words_and_signs_stand_behind_a_row_that_begins_with_another_byte() {
        let words = Words { text: "a b", kind: WordsKind::Prompt, site: "é" };
        let bare = Row {
            number: 1,
            id: 2,
            at: 3,
            who: [1; 32],
            what: [2; 32],
            path: None,
            ended: None,
            notes: Notes::default(),
        };
        let middle = format!("010203{}{}0000", "01".repeat(32), "02".repeat(32));
        let said = "0670726f6d7074".to_owned() + "02c3a9" + "03612062";
        let cases = [
            (None, None, format!("12{middle}")),
            (Some(words), None, format!("14{middle}01{said}00")),
            (None, Some("x:1"), format!("14{middle}000103783a31")),
            (Some(words), Some("x:1"), format!("14{middle}01{said}0103783a31")),
        ];
        for (words, signs, expected) in cases {
            let mut bytes = Vec::new();
            Row { notes: Notes { words, signs }, ..bare }.put(&mut bytes);
            assert_eq!(hex(&bytes), expected);
        }
        let mut bytes = Vec::new();
        End { place: 0, row: 300, ended: ended(), signs: Some("x:1") }.put(&mut bytes);
        assert_eq!(hex(&bytes), "1500ac0236c80100ac02c0843d03783a31");
    }

    #[test]
    fn a_leaf_is_the_hash_of_a_zero_the_salt_and_the_bytes() {
        let row = Row {
            number: 0,
            id: 0,
            at: 0,
            who: [0; 32],
            what: [0; 32],
            path: None,
            ended: None,
            notes: Notes::default(),
        };
        let mut bytes = vec![0];
        bytes.extend_from_slice(&[7; 16]);
        row.put(&mut bytes);
        assert_eq!(row.leaf(&[7; 16], &mut vec![9, 9]), sha256(&bytes));
        assert_ne!(row.leaf(&[7; 16], &mut Vec::new()), row.leaf(&[8; 16], &mut Vec::new()));
    }

    #[test]
    fn every_value_of_who_and_what_counts() {
        let who = Who { user: Some("a"), level: "ks2", client: "10.0.0.1" };
        let others = [
            Who { user: None, ..who },
            Who { user: Some(""), ..who },
            Who { user: Some("ak"), level: "s2", ..who },
            Who { client: "10.0.0.2", ..who },
        ];
        assert!(others.iter().all(|other| other.hash() != who.hash()));
        let changes: [fn(&mut What<'static>); 16] = [
            |what| what.policy_hash = "0b",
            |what| what.list_version = "l8",
            |what| what.zone = "Europe/London",
            |what| what.method = "PUT",
            |what| what.scheme = Scheme::Https,
            |what| what.host = "b.test",
            |what| what.port = 81,
            |what| what.categories = vec!["education", "games"],
            |what| what.categories = vec!["games education"],
            |what| what.locked = true,
            |what| what.verdict = Verdict::Allow,
            |what| what.reason = ReasonCode::Locked,
            |what| what.rule = None,
            |what| what.unblock = Some(0),
            |what| what.known.depth = Depth::Name,
            |what| what.known.visit = Visit::Opened,
        ];
        for (place, change) in changes.iter().enumerate() {
            let mut other = what();
            change(&mut other);
            assert_ne!(other.hash(), what().hash(), "change {place}");
        }
    }

    proptest! {
        #[test]
        fn different_rows_have_different_bytes(
            one in (any::<u64>(), any::<u64>(), any::<i64>(), prop::option::of("[a/]{0,3}"), any::<bool>(), prop::option::of("[a/]{0,3}")),
            other in (any::<u64>(), any::<u64>(), any::<i64>(), prop::option::of("[a/]{0,3}"), any::<bool>(), prop::option::of("[a/]{0,3}")),
        ) {
            let bytes = |(number, id, at, path, has_end, signs): &(u64, u64, i64, Option<String>, bool, Option<String>)| {
                let mut bytes = Vec::new();
                Row {
                    number: *number, id: *id, at: *at, who: [0; 32], what: [0; 32],
                    path: path.as_deref(), ended: has_end.then(ended),
                    notes: Notes { words: None, signs: signs.as_deref() },
                }.put(&mut bytes);
                bytes
            };
            prop_assert_eq!(bytes(&one) == bytes(&other), one == other);
        }
    }
}
