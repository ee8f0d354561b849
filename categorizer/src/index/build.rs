//! Compiling lists: their hashes, sorted list by list, are merged bucket by bucket.
//!
//! Eight bytes an entry for the lists and as many for the table, which is written out once the lists
//! are gone: four million names take some 70 MB for a fifth of a second.

use std::collections::HashMap;

use thiserror::Error;

use super::prepared::Prepared;
use super::{HAS_URLS, ListInfo, SET, layout};
use crate::list::Entry;
use crate::pattern::{self, Pattern};
use crate::pause;
use crate::table::TableWriter;

/// Most lists of one index.
const MAX_LISTS: usize = 4096;
/// Most expressions and keywords of one index: automata over them stay small and quick to make.
const MAX_PATTERNS: usize = 100_000;

/// Collects lists and compiles them.
#[derive(Debug, Default)]
pub struct Builder {
    lists: Vec<(ListInfo, Prepared)>,
    too_many_lists: bool,
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
        self.add_list(list, Prepared::default());
    }

    /// Adds a list that was prepared before.
    pub fn add_list(&mut self, list: ListInfo, entries: Prepared) {
        self.too_many_lists |= self.lists.len() >= MAX_LISTS;
        self.lists.push((list, entries));
    }

    /// Adds an entry to the list begun last.
    ///
    /// # Panics
    /// If no list was begun.
    pub fn add(&mut self, entry: Entry<'_>) {
        #[expect(clippy::expect_used, reason = "a caller's mistake, documented above")]
        let (_, list) = self.lists.last_mut().expect("a list is begun before entries are added");
        list.add(entry);
    }

    /// What was added so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let sum = |of: fn(&Prepared) -> usize| self.lists.iter().map(|(_, list)| of(list)).sum();
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
        let (mut url_hosts, mut query_links) = (Vec::new(), Vec::new());
        for (place, (info, list)) in self.lists.iter_mut().enumerate() {
            list.sort();
            let entries = list.names.len() + list.urls.len() + list.patterns.len();
            lists.push((info.clone(), entries as u64));
            // No entries of their own, but looked up as such.
            list.urls.append(&mut list.query_roots);
            pause::sort_unstable_by(&mut list.urls, u64::cmp);
            list.urls.dedup();
            url_hosts.append(&mut list.url_hosts);
            query_links.append(&mut list.query_links);
            for (is_keyword, text) in std::mem::take(&mut list.patterns) {
                if !is_keyword && let Err(why) = pattern::compile(&text) {
                    let (list, why) = (info.name.clone(), why.to_owned());
                    return Err(BuildError::Expression { list, expression: text, why });
                }
                patterns.push(Pattern { list: place as u16, is_keyword, text });
            }
        }
        if patterns.len() > MAX_PATTERNS {
            return Err(BuildError::TooMany("expressions and keywords"));
        }
        for marked in [&mut url_hosts, &mut query_links] {
            pause::sort_unstable_by(marked, u64::cmp);
            marked.dedup();
        }
        let max_labels = self.lists.iter().map(|(_, list)| list.max_labels).max().unwrap_or(0);
        let has_single_labels = self.lists.iter().any(|(_, list)| list.has_single_labels);

        let mut sets = Sets::default();
        let urls: Vec<&[u64]> = self.lists.iter().map(|(_, list)| &*list.urls).collect();
        let urls = merge(&urls, &query_links, &mut sets)?;
        let names: Vec<&[u64]> = self.lists.iter().map(|(_, list)| &*list.names).collect();
        let names = merge(&names, &url_hosts, &mut sets)?;
        drop(self.lists);

        let header = layout::Header {
            version,
            lists: &lists,
            sets: &sets.all,
            patterns: &patterns,
            max_labels,
            has_single_labels,
        };
        Ok(layout::write(&header, names, urls))
    }
}

/// Merges the lists' ascending hashes into one table whose values are sets of lists. `flagged` are
/// hashes whose value is marked, with or without a list.
fn merge(lists: &[&[u64]], flagged: &[u64], sets: &mut Sets) -> Result<TableWriter, BuildError> {
    let total = lists.iter().map(|list| list.len()).sum::<usize>() + flagged.len();
    if u32::try_from(total).is_err() {
        return Err(BuildError::TooMany("entries"));
    }
    let mut writer = TableWriter::new(total);
    let flagged = (FLAG, flagged);
    let parts = lists.iter().enumerate().map(|(place, list)| (place as u16, *list));
    let mut parts: Vec<_> = parts.chain([flagged]).filter(|(_, part)| !part.is_empty()).collect();
    if let [(list, hashes)] = parts[..] {
        for &hash in pause::pieces(hashes).flatten() {
            writer.push(hash, sets.value(&[(hash, list)])?);
        }
        return Ok(writer);
    }
    // Some two thousand hashes at a time, so that the sort stays in the nearest cache.
    let bits = (total / 2048 + 1).next_power_of_two().ilog2();
    let mut chunk: Vec<(u64, u16)> = Vec::new();
    for bucket in 0..1_u64 << bits {
        let within = |hash: u64| (hash >> 1) >> (63 - bits) == bucket;
        chunk.clear();
        for (list, rest) in &mut parts {
            let count = rest.iter().take_while(|&&hash| within(hash)).count();
            let (here, after) = rest.split_at(count);
            chunk.extend(here.iter().map(|&hash| (hash, *list)));
            *rest = after;
        }
        chunk.sort_unstable();
        for same in chunk.chunk_by(|one, other| one.0 == other.0) {
            writer.push(same[0].0, sets.value(same)?);
        }
        pause::now();
    }
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
    /// Of the name before, without its mark: mostly, the next one is on the same lists.
    last: u16,
}

impl Sets {
    /// The value of a name: the place of its set, and the mark.
    fn value(&mut self, same: &[(u64, u16)]) -> Result<u16, BuildError> {
        let (mark, lists) = match same.split_last() {
            Some(((_, FLAG), lists)) => (HAS_URLS, lists),
            _ => (0, same),
        };
        if lists.iter().map(|(_, list)| list).eq(&self.key) && !self.all.is_empty() {
            return Ok(self.last | mark);
        }
        self.key.clear();
        self.key.extend(lists.iter().map(|&(_, list)| list));
        if let Some(&place) = self.places.get(&self.key) {
            self.last = place;
            return Ok(place | mark);
        }
        if self.all.len() > usize::from(SET) {
            return Err(BuildError::TooMany("combinations of lists"));
        }
        let place = self.all.len() as u16;
        self.all.push(self.key.clone());
        self.places.insert(self.key.clone(), place);
        self.last = place;
        Ok(place | mark)
    }
}
