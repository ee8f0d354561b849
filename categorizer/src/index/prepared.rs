//! One list, hashed and sorted: all that compiling needs of it.
//!
//! Reading, hashing and sorting a list is most of what an index costs. It hangs on nothing but the
//! list's own entries, so it is done once for each version: an index of many lists, of which one has
//! changed, is merged from what was prepared.

use super::layout::{self, Reader};
use crate::domain;
use crate::hash::digest;
use crate::list::Entry;
use crate::pause;
use crate::query::{self, Query};
use crate::url::{self, PathHashes};

const DIGEST_SEED: u64 = 0x1f83_d9ab_fb41_bd6b;
/// Bytes before what the digest is over.
const HEAD_BYTES: usize = layout::MAGIC.len() + KIND.len() + 8;
/// Behind the magic bytes of an index, with which it shares hashes and the spelling of URLs: what
/// was prepared before these changed is not read after.
const KIND: &[u8; 8] = b" LIST 01";

/// A list's hashes and patterns. In memory and as bytes it takes eight bytes a name or URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    pub(super) names: Vec<u64>,
    pub(super) urls: Vec<u64>,
    /// Marks of the paths under which it lists queries.
    pub(super) query_roots: Vec<u64>,
    /// Hosts under which it lists URLs.
    pub(super) url_hosts: Vec<u64>,
    /// Hashes from which the parameters of a listed query go on.
    pub(super) query_links: Vec<u64>,
    /// Whether it is a keyword, and its text.
    pub(super) patterns: Vec<(bool, String)>,
    pub(super) max_labels: u32,
    pub(super) has_single_labels: bool,
}

impl Prepared {
    /// Prepares a list of about `count` entries, in any order and with doubles.
    pub fn of<'e>(count: usize, entries: impl Iterator<Item = Entry<'e>>) -> Self {
        let mut list = Self { names: Vec::with_capacity(count), ..Self::default() };
        entries.for_each(|entry| {
            list.add(entry);
            pause::step();
        });
        list.sort();
        list
    }

    /// Whether it has expressions or keywords, of which an index holds only so many.
    #[must_use]
    pub fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The bytes under which it can be kept. `key` says what it was prepared from.
    #[must_use]
    pub fn to_bytes(&self, key: &str) -> Vec<u8> {
        let hashes = self.hashes().iter().map(|all| all.len()).sum::<usize>();
        let mut out = Vec::with_capacity(HEAD_BYTES + 64 + key.len() + hashes * 8);
        out.extend_from_slice(layout::MAGIC);
        out.extend_from_slice(KIND);
        out.extend_from_slice(&[0; 8]);
        layout::push_text(&mut out, key);
        out.extend_from_slice(&self.max_labels.to_le_bytes());
        out.extend_from_slice(&u32::from(self.has_single_labels).to_le_bytes());
        for all in self.hashes() {
            out.extend_from_slice(&(all.len() as u64).to_le_bytes());
            pause::pieces(all)
                .flatten()
                .for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
        }
        layout::push_number(&mut out, self.patterns.len());
        for (is_keyword, text) in &self.patterns {
            out.push(u8::from(*is_keyword));
            layout::push_text(&mut out, text);
        }
        let sum = digest(DIGEST_SEED, &out[HEAD_BYTES..]);
        out[HEAD_BYTES - 8..HEAD_BYTES].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads what [`Prepared::to_bytes`] wrote under the same key; `None` for anything else: prepare the
    /// list again.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], key: &str) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let (magic, sum) = head.split_at(HEAD_BYTES - 8);
        if magic != [&layout::MAGIC[..], KIND].concat()
            || sum != digest(DIGEST_SEED, rest).to_le_bytes()
        {
            return None;
        }
        let mut reader = Reader { rest };
        if reader.text()? != key {
            return None;
        }
        let (max_labels, single) = (reader.number()? as u32, reader.number()?);
        let [names, urls, query_roots, url_hosts, query_links] = [
            reader.hashes()?,
            reader.hashes()?,
            reader.hashes()?,
            reader.hashes()?,
            reader.hashes()?,
        ];
        let patterns = reader.many(|reader| Some((reader.take::<1>()? != [0], reader.text()?)))?;
        let list = Self {
            names,
            urls,
            query_roots,
            url_hosts,
            query_links,
            patterns,
            max_labels,
            has_single_labels: single != 0,
        };
        (reader.rest.is_empty() && list.hashes().into_iter().all(ascends)).then_some(list)
    }

    fn hashes(&self) -> [&[u64]; 5] {
        [&self.names, &self.urls, &self.query_roots, &self.url_hosts, &self.query_links]
    }

    pub(super) fn add(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Domain(name) => {
                let hash = self.host(&name);
                self.names.push(hash);
            }
            Entry::Url(text) => {
                let path = text.find('/').unwrap_or(text.len());
                let hash = self.host(domain::without_www(&text[..path]));
                self.url_hosts.push(hash);
                let (path, query) = url::split_query(&text[path..]);
                let hashes = PathHashes::new(hash, path.as_bytes());
                let query = query.map(Query::new).filter(|query| !query.is_empty());
                match (query, hashes.full()) {
                    (Some(query), Some(full)) => {
                        let mut links: Vec<u64> = query.chain(full).collect();
                        self.urls.extend(links.pop());
                        self.query_roots.push(query::root(full));
                        self.query_links.append(&mut links);
                    }
                    _ => self.urls.extend(hashes.prefixes().last()),
                }
            }
            Entry::Expression(text) => self.patterns.push((false, text.into_owned())),
            Entry::Keyword(text) => self.patterns.push((true, text.into_owned())),
        }
    }

    fn host(&mut self, text: &str) -> u64 {
        let (hash, labels) = domain::host_hash(text);
        self.max_labels = self.max_labels.max(labels);
        self.has_single_labels |= labels == 1;
        hash
    }

    /// Sorts everything, without doubles; costs little where it is so already.
    pub(super) fn sort(&mut self) {
        for all in [
            &mut self.names,
            &mut self.urls,
            &mut self.query_roots,
            &mut self.url_hosts,
            &mut self.query_links,
        ] {
            if !ascends(all) {
                pause::sort_unstable_by(all, u64::cmp);
                all.dedup();
            }
        }
        self.patterns.sort();
        self.patterns.dedup();
    }
}

/// Whether hashes are sorted, without doubles.
fn ascends(hashes: &[u64]) -> bool {
    let mut before = None;
    pause::pieces(hashes).all(|piece| {
        let follows = before < piece.first();
        before = piece.last();
        follows && piece.is_sorted_by(|one, next| one < next)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;
    use crate::index::{Builder, ListInfo};
    use proptest::prelude::*;
    use std::borrow::Cow;

    fn entry((kind, text): &(u8, String)) -> Entry<'_> {
        let text = Cow::Borrowed(text.as_str());
        match kind {
            0 => Entry::Domain(text),
            1 => Entry::Url(text),
            2 => Entry::Expression(text),
            _ => Entry::Keyword(text),
        }
    }

    fn entries() -> impl Strategy<Value = Vec<(u8, String)>> {
        let any_entry = prop_oneof![
            "[a-d]{1,3}(\\.[a-d]{1,2}){0,3}".prop_map(|text| (0, text)),
            "192\\.0\\.2\\.[0-9]".prop_map(|text| (0, text)),
            "[ab]\\.example(/[ab]{0,2}){0,2}(\\?[ab]=1(&[ab]=2)?)?".prop_map(|text| (1, text)),
            "[ab]{2,4}[0-9]".prop_map(|text| (2, text)),
            "[ab]{2,4}".prop_map(|text| (3, text)),
        ];
        prop::collection::vec(any_entry, 0..40)
    }

    fn some() -> Prepared {
        let lines: [(u8, &str); 6] = [
            (0, "b.example"),
            (0, "a.example"),
            (1, "c.example/d"),
            (1, "c.example/d?e=1"),
            (2, "banner[0-9]"),
            (3, "two words"),
        ];
        let lines = lines.map(|(kind, text)| (kind, text.to_owned()));
        Prepared::of(lines.len(), lines.iter().map(entry))
    }

    proptest! {
        #[test]
        fn lists_that_were_prepared_and_kept_compile_to_the_bytes_of_their_entries(
            lists in prop::collection::vec(entries(), 0..4),
        ) {
            let (mut plain, mut prepared) = (Builder::new(), Builder::new());
            for (number, list) in lists.iter().enumerate() {
                let info = ListInfo {
                    name: format!("list-{number}"),
                    category: "games".into(),
                    version: "1".into(),
                };
                plain.begin(info.clone());
                list.iter().for_each(|line| plain.add(entry(line)));
                let kept = Prepared::of(list.len(), list.iter().rev().map(entry)).to_bytes("a key");
                prepared.add_list(info, Prepared::from_bytes(&kept, "a key").unwrap());
            }
            prop_assert_eq!(plain.finish("v").unwrap(), prepared.finish("v").unwrap());
        }
    }

    #[test]
    fn what_is_read_is_what_was_written_under_its_own_key_alone() {
        let bytes = some().to_bytes("a key");
        assert_eq!(Prepared::from_bytes(&bytes, "a key"), Some(some()));
        assert_eq!(Prepared::from_bytes(&bytes, "another"), None);
        let none = Prepared::default();
        assert_eq!(Prepared::from_bytes(&none.to_bytes(""), ""), Some(none));
    }

    #[test]
    fn a_changed_or_missing_byte_is_noticed() {
        let bytes = some().to_bytes("a key");
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(Prepared::from_bytes(&changed, "a key"), None, "byte {place}");
            assert_eq!(Prepared::from_bytes(&bytes[..place], "a key"), None, "{place} bytes");
        }
        assert_eq!(Prepared::from_bytes(&[&bytes[..], b"x"].concat(), "a key"), None);
    }

    /// What is kept is merged into indexes for as long as its key stays: hashes of another kind would find
    /// nothing of it, and let every site by.
    #[test]
    fn whoever_changes_a_hash_or_the_form_raises_the_magic_bytes() {
        let lines: [(u8, &str); 9] = [
            (0, "localhost"),
            (0, "www.b.example"),
            (0, "192.0.2.1"),
            (0, "a-name-that-is-longer-than-sixty-four-letters.and-has.labels.enough.example"),
            (1, "c.example/d/e"),
            (1, "www.c.example/d?e=1&f=2"),
            (1, "c.example/"),
            (2, "banner[0-9]"),
            (3, "two words"),
        ];
        let lines = lines.map(|(kind, text)| (kind, text.to_owned()));
        let bytes = Prepared::of(lines.len(), lines.iter().map(entry)).to_bytes("a key");
        let behind_magic = digest(DIGEST_SEED, &bytes[layout::MAGIC.len()..]);
        assert_eq!(
            (layout::MAGIC, behind_magic),
            (b"SGINDEX3", 1_147_481_421_323_117_775),
            "prepared lists are other bytes now: give MAGIC another number"
        );
    }

    #[test]
    fn hashes_in_another_order_are_not_taken() {
        let mut list = some();
        list.names.reverse();
        assert_eq!(Prepared::from_bytes(&list.to_bytes("a key"), "a key"), None);
    }
}
