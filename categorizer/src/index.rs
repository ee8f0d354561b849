//! The compiled index: one immutable block of bytes, used in place, wherever its bytes lie,
//! that answers which categories a host and URL have, and which list and entry said so.
//!
//! Names and URLs are kept as 64-bit hashes in two tables, eight to nine bytes each;
//! their text need not be kept, since it is a part of the host or URL that matched. URL entries
//! match as squidGuard's do: a leading `www.` (`www1.`, ...) is nothing on either side, case is
//! nothing, a path covers what is below it; unlike squidGuard's, only whole segments match. A query
//! matches where all its parameters stand, in any order and among others; see the module `query`. The
//! path is looked up in every way in which a server may read it; see the module `url`.

use std::ops::Range;

use rules::category::{Catalogue, CategoryId, CategorySet};
use rules::host::Host;
use thiserror::Error;

use crate::domain;
use crate::pattern::{Pattern, Patterns};
use crate::query::{self, Link, Query, Walk};
use crate::table::{Bucket, Table};
use crate::url::{self, PathHashes};

mod build;
mod layout;
mod pages;
mod prepared;

pub use build::{BuildError, Builder, Counts};
pub use pages::Pages;
pub use prepared::Prepared;

/// A list as the index remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListInfo {
    /// Name in the machine file, e.g. `ut1-games`.
    pub name: String,
    /// Category its entries have.
    pub category: String,
    /// Version: a date or hash; shown by `check`.
    pub version: String,
}

/// Why bytes are no index.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OpenError {
    /// Not made by this program, or by another version of it: compile again.
    #[error("not an index of this version; it will be compiled again")]
    Foreign,
    /// Damaged.
    #[error("the index is damaged ({0}); it will be compiled again")]
    Damaged(&'static str),
    /// A list's category is not in the catalogue that the index is opened with.
    #[error("list {list} is of category \"{category}\", which the catalogue does not have")]
    UnknownCategory {
        /// List.
        list: String,
        /// Its category.
        category: String,
    },
}

/// An open index over any block of bytes (`Vec<u8>`, [`Pages`]).
pub struct Index {
    bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
    version: String,
    lists: Vec<(ListInfo, u64)>,
    categories: Vec<CategoryId>,
    sets: Vec<Set>,
    patterns: Patterns,
    names: Table,
    urls: Table,
    max_labels: u32,
    /// Whether any single-label name is listed: few are, and most look-ups end before it.
    has_single_labels: bool,
}

/// Lists that share an entry.
struct Set {
    categories: CategorySet,
    lists: Vec<u16>,
}

/// One reason for a category: which list, which entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// List.
    pub list: ListInfo,
    /// Category in the catalogue that the index was opened with.
    pub category: CategoryId,
    /// The entry that matched, e.g. `chess.com` or `host/path` or the expression.
    pub entry: String,
}

/// Marks names under which URLs are listed, and parts of queries from which others go on.
const HAS_URLS: u16 = 1 << 15;
/// The set's place, in the value of a name.
const SET: u16 = HAS_URLS - 1;

impl Index {
    /// Opens a compiled index; its categories are looked up in (and must be in) `catalogue`.
    /// Every byte is read once and checked against the digest: milliseconds for tens of megabytes.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
        catalogue: &Catalogue,
    ) -> Result<Index, OpenError> {
        let parts = layout::read((*bytes).as_ref())?;
        let categories = parts
            .lists
            .iter()
            .map(|(list, _)| {
                catalogue.id(&list.category).ok_or_else(|| OpenError::UnknownCategory {
                    list: list.name.clone(),
                    category: list.category.clone(),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let resolved = |lists: Vec<u16>| Set {
            categories: lists.iter().map(|&list| categories[usize::from(list)]).collect(),
            lists,
        };
        let sets = parts.sets.into_iter().map(resolved).collect();
        let patterns =
            Patterns::new(parts.patterns).ok_or(OpenError::Damaged("too many patterns"))?;
        Ok(Index {
            version: parts.version,
            lists: parts.lists,
            categories,
            sets,
            patterns,
            names: parts.names,
            urls: parts.urls,
            max_labels: parts.max_labels,
            has_single_labels: parts.has_single_labels,
            bytes,
        })
    }

    /// An index without lists, under which every site is uncategorised.
    #[must_use]
    pub fn empty() -> Index {
        Index {
            bytes: Box::new([]),
            version: String::new(),
            lists: Vec::new(),
            categories: Vec::new(),
            sets: Vec::new(),
            patterns: Patterns::default(),
            names: Table::EMPTY,
            urls: Table::EMPTY,
            max_labels: 0,
            has_single_labels: false,
        }
    }

    /// The version given to [`Builder::finish`].
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The lists inside, with how many distinct entries each.
    #[must_use]
    pub fn lists(&self) -> Vec<(ListInfo, u64)> {
        self.lists.clone()
    }

    /// Distinct names (and hosts of URLs), and distinct URLs.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.names.len(), self.urls.len())
    }

    /// All categories of a host and, where it is seen, path and query (raw, starting with `/`).
    /// [`CategoryId::UNCATEGORISED`] alone if there is none. No allocation but where an expression
    /// has to run, or where a path that servers read in several ways meets listed URLs or patterns;
    /// under a microsecond.
    #[must_use]
    pub fn categories(&self, host: &Host, path_and_query: Option<&str>) -> CategorySet {
        let mut found = CategorySet::EMPTY;
        self.find(host, path_and_query, &mut |matched| match matched {
            Match::Name(_, set) | Match::Url(_, _, set) | Match::Query(_, _, set) => {
                found = found.union(set.categories)
            }
            Match::Pattern(pattern) => {
                if let Some(&category) = self.categories.get(usize::from(pattern.list)) {
                    found.insert(category);
                }
            }
        });
        if found.is_empty() { CategorySet::of(CategoryId::UNCATEGORISED) } else { found }
    }

    /// Every list and entry that names a host or URL: the slow, full answer for people and records
    /// of blocks.
    #[must_use]
    pub fn hits(&self, host: &Host, path_and_query: Option<&str>) -> Vec<Hit> {
        let mut hits: Vec<(u16, String)> = Vec::new();
        self.find(host, path_and_query, &mut |matched| match matched {
            Match::Name(start, set) => {
                let entry = host.as_str().get(start..).unwrap_or_default();
                hits.extend(set.lists.iter().map(|&list| (list, entry.to_owned())));
            }
            Match::Url(path, depth, set) => {
                let entry = url_entry(host.as_str(), path, depth, None);
                hits.extend(set.lists.iter().map(|&list| (list, entry.clone())));
            }
            Match::Query(path, query, set) => {
                let entry = url_entry(host.as_str(), path, usize::MAX, Some(query));
                hits.extend(set.lists.iter().map(|&list| (list, entry.clone())));
            }
            Match::Pattern(pattern) => hits.push((pattern.list, pattern.text.clone())),
        });
        hits.sort();
        hits.dedup();
        let full = |(list, entry)| {
            let place = usize::from(list);
            let list = self.lists.get(place)?.0.clone();
            Some(Hit { list, category: *self.categories.get(place)?, entry })
        };
        hits.into_iter().filter_map(full).collect()
    }

    /// Names all that matches.
    #[inline]
    fn find(&self, host: &Host, path_and_query: Option<&str>, found: &mut dyn FnMut(Match<'_>)) {
        let bytes = (*self.bytes).as_ref();
        let listed_urls = if host.address().is_some() {
            let hash = domain::address_hash(host.as_str());
            let value = self.names.find(bytes, hash);
            self.found_name(value, 0, found).then_some(hash)
        } else {
            self.find_names(bytes, host.as_str(), found)
        };
        if let Some(host_hash) = listed_urls {
            self.find_urls(bytes, host_hash, path_and_query.unwrap_or("/"), found);
        }
        self.find_patterns(host.as_str(), path_and_query.unwrap_or("/"), found);
    }

    /// Names the patterns that match the URL in any of its readings.
    #[inline]
    fn find_patterns(&self, host: &str, path_and_query: &str, found: &mut dyn FnMut(Match<'_>)) {
        if self.patterns.is_empty() {
            return;
        }
        let mut find = |path: &str| {
            self.patterns.find(host, path, &mut |pattern| found(Match::Pattern(pattern)));
        };
        find(path_and_query);
        let (path, query) = url::split_query(path_and_query);
        if url::is_read_in_several_ways(path) {
            for reading in url::readings(path).skip(1) {
                let spelled = url::spelled_path(reading.as_bytes());
                match query {
                    Some(query) => find(&format!("{spelled}?{query}")),
                    None => find(&spelled),
                }
            }
        }
    }

    /// Looks a name and its parents up. Gives the hash of the host if URLs are listed under it.
    #[inline]
    fn find_names(
        &self,
        bytes: &[u8],
        host: &str,
        found: &mut dyn FnMut(Match<'_>),
    ) -> Option<u64> {
        let site_start = host.len() - domain::without_www(host).len();
        let mut listed_urls = None;
        let mut hash = domain::NAME_ROOT;
        let labels = LabelsFromRight::new(host.as_bytes());
        let mut labels = (1..=self.max_labels).zip(labels).peekable();
        while labels.peek().is_some() {
            // All buckets first, so that the processor waits for memory once and not once a label.
            let mut probes = [Probe::default(); PROBES];
            let mut count = 0;
            for (probe, (depth, label)) in probes.iter_mut().zip(&mut labels) {
                hash = domain::below(hash, &host.as_bytes()[label.clone()]);
                let is_looked_up = depth > 1 || self.has_single_labels;
                let bucket =
                    if is_looked_up { self.names.bucket(bytes, hash) } else { Bucket::default() };
                *probe = Probe { hash, start: label.start, bucket };
                count += 1;
            }
            for probe in &probes[..count] {
                let value = self.names.find_in(bytes, probe.bucket, probe.hash);
                if self.found_name(value, probe.start, found) && probe.start == site_start {
                    listed_urls = Some(probe.hash);
                }
            }
        }
        listed_urls
    }

    /// Names the set of a name that was found; whether URLs are listed under it.
    #[inline]
    fn found_name(
        &self,
        value: Option<u16>,
        start: usize,
        found: &mut dyn FnMut(Match<'_>),
    ) -> bool {
        let Some(value) = value else { return false };
        if let Some(set) = self.sets.get(usize::from(value & SET)) {
            found(Match::Name(start, set));
        }
        value & HAS_URLS != 0
    }

    #[inline(never)]
    fn find_urls(
        &self,
        bytes: &[u8],
        host_hash: u64,
        path_and_query: &str,
        found: &mut dyn FnMut(Match<'_>),
    ) {
        let (path, query) = url::split_query(path_and_query);
        let query = query.map(|text| (text, Query::new(text)));
        let set_of = |value: u16| self.sets.get(usize::from(value & SET));
        let link = |hash| {
            let value = self.urls.find(bytes, hash)?;
            let set = set_of(value).filter(|set| !set.lists.is_empty());
            Some(Link { set, goes_on: value & HAS_URLS != 0 })
        };
        for reading in url::readings(path) {
            let path = &*reading;
            let hashes = PathHashes::new(host_hash, path.as_bytes());
            for (depth, &hash) in hashes.prefixes().iter().enumerate() {
                if let Some(set) = self.urls.find(bytes, hash).and_then(set_of) {
                    found(Match::Url(path, depth, set));
                }
            }
            let (Some(full), Some((text, query))) = (hashes.full(), &query) else { continue };
            let walk = query.walk(full, &link, &mut |set, chosen| {
                found(Match::Query(path, &|| query.text(text, chosen), set));
            });
            if walk == Walk::TooLarge
                && let Some(set) = link(query::root(full)).and_then(|link| link.set)
            {
                found(Match::Query(path, &|| "...".to_owned(), set));
            }
        }
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("version", &self.version)
            .field("lists", &self.lists.len())
            .field("names", &self.names.len())
            .field("urls", &self.urls.len())
            .finish_non_exhaustive()
    }
}

/// Names looked up together: hosts rarely have more labels.
const PROBES: usize = 6;

/// One suffix of a host, about to be looked up.
#[derive(Clone, Copy, Default)]
struct Probe {
    hash: u64,
    start: usize,
    bucket: Bucket,
}

/// What matched.
enum Match<'a> {
    /// The host from this byte on.
    Name(usize, &'a Set),
    /// This many segments of the path.
    Url(&'a str, usize, &'a Set),
    /// All of the path, and those parameters of the query that the function tells.
    Query(&'a str, &'a dyn Fn() -> String, &'a Set),
    /// An expression or keyword.
    Pattern(&'a Pattern),
}

/// Where the labels of a name lie, from the right.
struct LabelsFromRight<'a> {
    name: &'a [u8],
    end: Option<usize>,
}

impl<'a> LabelsFromRight<'a> {
    #[inline]
    fn new(name: &'a [u8]) -> Self {
        Self { name, end: Some(name.len()) }
    }
}

impl Iterator for LabelsFromRight<'_> {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Range<usize>> {
        let end = self.end?;
        let dot = self.name[..end].iter().rposition(|&byte| byte == b'.');
        self.end = dot;
        Some(dot.map_or(0, |dot| dot + 1)..end)
    }
}

/// The entry that matched, from the URL that it matched.
fn url_entry(host: &str, path: &str, depth: usize, query: Option<&dyn Fn() -> String>) -> String {
    let spelled = url::spelled_path(path.as_bytes());
    let host = domain::without_www(host);
    let segments: Vec<&str> = spelled.split('/').skip(1).take(depth).collect();
    let query = query.map_or_else(String::new, |query| format!("?{}", query()));
    format!("{host}/{}{query}", segments.join("/"))
}

#[cfg(test)]
mod tests;
