//! Compiling lists: hashes are collected list by list, sorted, and merged bucket by bucket.
//!
//! Eight bytes an entry while collecting, then the finished table: 4.6 million names take about
//! 80 MB for a second.

use std::collections::HashMap;

use thiserror::Error;

use super::{HAS_URLS, ListInfo, SET, layout};
use crate::domain;
use crate::list::Entry;
use crate::pattern::{self, Pattern};
use crate::query::{self, Query};
use crate::table::TableWriter;
use crate::url::{self, PathHashes};

/// Most lists of one index.
const MAX_LISTS: usize = 4096;
/// Most expressions and keywords of one index: automata over them stay small and quick to make.
const MAX_PATTERNS: usize = 100_000;

/// Collects lists and compiles them.
#[derive(Debug, Default)]
pub struct Builder {
    lists: Vec<List>,
    /// Hosts under which URLs are listed.
    url_hosts: Vec<u64>,
    /// Hashes from which the parameters of a listed query go on.
    query_links: Vec<u64>,
    max_labels: u32,
    has_single_labels: bool,
    too_many_lists: bool,
}

#[derive(Debug)]
struct List {
    info: ListInfo,
    names: Vec<u64>,
    urls: Vec<u64>,
    /// Marks of the paths under which it lists queries.
    query_roots: Vec<u64>,
    patterns: Vec<(bool, String)>,
}

/// What a builder holds so far, duplicates within a list included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lists begun.
    pub lists: usize,
    /// Names and addresses.
    pub names: usize,
    /// URLs.
    pub urls: usize,
    /// Expressions and keywords.
    pub patterns: usize,
}

/// Why an index cannot be made.
#[derive(Debug, Error)]
pub enum BuildError {
    /// An expression that does not compile.
    #[error("list {list}: expression {expression:?} {why}")]
    Expression {
        /// List.
        list: String,
        /// Text.
        expression: String,
        /// What the engine says.
        why: String,
    },
    /// Over a bound of the format.
    #[error("too many {0} for one index")]
    TooMany(&'static str),
}

impl Builder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a list; entries added next belong to it.
    pub fn begin(&mut self, list: ListInfo) {
        self.too_many_lists |= self.lists.len() >= MAX_LISTS;
        self.lists.push(List {
            info: list,
            names: Vec::new(),
            urls: Vec::new(),
            query_roots: Vec::new(),
            patterns: Vec::new(),
        });
    }

    /// Adds an entry to the list begun last.
    ///
    /// # Panics
    /// If no list was begun.
    pub fn add(&mut self, entry: Entry<'_>) {
        #[expect(clippy::expect_used, reason = "a caller's mistake, documented above")]
        let list = self.lists.last_mut().expect("a list is begun before entries are added");
        match entry {
            Entry::Domain(name) => {
                let (hash, labels) = domain::host_hash(&name);
                list.names.push(hash);
                self.max_labels = self.max_labels.max(labels);
                self.has_single_labels |= labels == 1;
            }
            Entry::Url(text) => {
                let path = text.find('/').unwrap_or(text.len());
                let host = domain::without_www(&text[..path]);
                let (hash, labels) = domain::host_hash(host);
                self.max_labels = self.max_labels.max(labels);
                self.has_single_labels |= labels == 1;
                self.url_hosts.push(hash);
                let (path, query) = url::split_query(&text[path..]);
                let hashes = PathHashes::new(hash, path.as_bytes());
                let query = query.map(Query::new).filter(|query| !query.is_empty());
                match (query, hashes.full()) {
                    (Some(query), Some(full)) => {
                        let mut links: Vec<u64> = query.chain(full).collect();
                        list.urls.extend(links.pop());
                        list.query_roots.push(query::root(full));
                        self.query_links.append(&mut links);
                    }
                    _ => list.urls.extend(hashes.prefixes().last()),
                }
            }
            Entry::Expression(text) => list.patterns.push((false, text.into_owned())),
            Entry::Keyword(text) => list.patterns.push((true, text.into_owned())),
        }
    }

    /// What was added so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let sum = |of: fn(&List) -> usize| self.lists.iter().map(of).sum();
        Counts {
            lists: self.lists.len(),
            names: sum(|list| list.names.len()),
            urls: sum(|list| list.urls.len()),
            patterns: sum(|list| list.patterns.len()),
        }
    }

    /// Compiles everything. `version` is kept and given back by [`Index::version`].
    ///
    /// [`Index::version`]: super::Index::version
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn finish(mut self, version: &str) -> Result<Vec<u8>, BuildError> {
        if self.too_many_lists {
            return Err(BuildError::TooMany("lists"));
        }
        let (mut lists, mut patterns) = (Vec::new(), Vec::new());
        for (place, list) in self.lists.iter_mut().enumerate() {
            for all in [&mut list.names, &mut list.urls, &mut list.query_roots] {
                all.sort_unstable();
                all.dedup();
            }
            list.patterns.sort();
            list.patterns.dedup();
            let entries = list.names.len() + list.urls.len() + list.patterns.len();
            lists.push((list.info.clone(), entries as u64));
            // No entries of their own, but looked up as such.
            list.urls.append(&mut list.query_roots);
            list.urls.sort_unstable();
            for (is_keyword, text) in std::mem::take(&mut list.patterns) {
                if !is_keyword && let Err(why) = pattern::compile(&text) {
                    let (list, why) = (list.info.name.clone(), why.to_owned());
                    return Err(BuildError::Expression { list, expression: text, why });
                }
                patterns.push(Pattern { list: place as u16, is_keyword, text });
            }
        }
        if patterns.len() > MAX_PATTERNS {
            return Err(BuildError::TooMany("expressions and keywords"));
        }
        for marked in [&mut self.url_hosts, &mut self.query_links] {
            marked.sort_unstable();
            marked.dedup();
        }

        let mut sets = Sets::default();
        let urls: Vec<&[u64]> = self.lists.iter().map(|list| &*list.urls).collect();
        let urls = merge(&urls, &self.query_links, &mut sets)?;
        self.lists.iter_mut().for_each(|list| list.urls = Vec::new());
        let names: Vec<&[u64]> = self.lists.iter().map(|list| &*list.names).collect();
        let names = merge(&names, &self.url_hosts, &mut sets)?;
        drop(self.lists);

        let header = layout::Header {
            version,
            lists: &lists,
            sets: &sets.all,
            patterns: &patterns,
            max_labels: self.max_labels,
            has_single_labels: self.has_single_labels,
        };
        Ok(layout::write(&header, |out| names.finish(out), |out| urls.finish(out)))
    }
}

/// Merges the lists' ascending hashes into one table whose values are sets of lists. `flagged` are
/// hashes whose value is marked, with or without a list.
fn merge(lists: &[&[u64]], flagged: &[u64], sets: &mut Sets) -> Result<TableWriter, BuildError> {
    let total = lists.iter().map(|list| list.len()).sum::<usize>() + flagged.len();
    if u32::try_from(total).is_err() {
        return Err(BuildError::TooMany("entries"));
    }
    // Some two thousand hashes at a time, so that the sort stays in the nearest cache.
    let bits = (total / 2048 + 1).next_power_of_two().ilog2();
    let mut rests: Vec<&[u64]> = lists.to_vec();
    let mut flagged = flagged;
    let mut chunk: Vec<(u64, u16)> = Vec::new();
    let mut merged: Vec<(u64, u16)> = Vec::with_capacity(total);
    for bucket in 0..1_u64 << bits {
        let within = |hash: u64| (hash >> 1) >> (63 - bits) == bucket;
        chunk.clear();
        for (place, rest) in rests.iter_mut().enumerate() {
            let count = rest.iter().take_while(|&&hash| within(hash)).count();
            let (here, after) = rest.split_at(count);
            chunk.extend(here.iter().map(|&hash| (hash, place as u16)));
            *rest = after;
        }
        let count = flagged.iter().take_while(|&&hash| within(hash)).count();
        let (here, after) = flagged.split_at(count);
        chunk.extend(here.iter().map(|&hash| (hash, FLAG)));
        flagged = after;
        chunk.sort_unstable();
        for same in chunk.chunk_by(|one, other| one.0 == other.0) {
            merged.push((same[0].0, sets.value(same)?));
        }
    }
    let mut writer = TableWriter::new(merged.len());
    merged.iter().for_each(|&(hash, value)| writer.push(hash, value));
    Ok(writer)
}

/// Stands for "more is listed under it" beside the places of lists; sorts after them.
const FLAG: u16 = u16::MAX;

/// The distinct sets of lists.
#[derive(Default)]
struct Sets {
    all: Vec<Vec<u16>>,
    places: HashMap<Vec<u16>, u16>,
    key: Vec<u16>,
}

impl Sets {
    /// The value of a name: the place of its set, and the mark.
    fn value(&mut self, same: &[(u64, u16)]) -> Result<u16, BuildError> {
        let (mark, lists) = match same.split_last() {
            Some(((_, FLAG), lists)) => (HAS_URLS, lists),
            _ => (0, same),
        };
        self.key.clear();
        self.key.extend(lists.iter().map(|&(_, list)| list));
        if let Some(place) = self.places.get(&self.key) {
            return Ok(place | mark);
        }
        if self.all.len() > usize::from(SET) {
            return Err(BuildError::TooMany("combinations of lists"));
        }
        let place = self.all.len() as u16;
        self.all.push(self.key.clone());
        self.places.insert(self.key.clone(), place);
        Ok(place | mark)
    }
}
