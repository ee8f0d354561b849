//! The file of sites that are searched (`rules/defaults/search_terms.toml`): where the words stand.

use super::engines::PathPrefix;
use super::query::{is_named, pairs};
use super::words::{self, Words};
use super::{SearchFileError, SearchKind};
use encoding_rs::Encoding;
use serde::Deserialize;
use std::borrow::Cow;
use std::ops::Range;

/// One way of searching a site.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchedSite {
    pub(super) name: String,
    pub(super) hosts: Vec<String>,
    #[serde(default)]
    pub(super) paths: Vec<PathPrefix>,
    #[serde(default)]
    query: Vec<String>,
    #[serde(default)]
    in_path: Vec<PathTemplate>,
    #[serde(default)]
    dashes: bool,
    #[serde(default)]
    charsets: Vec<Charset>,
    #[serde(default)]
    pub(super) kind: SearchKind,
    #[serde(default)]
    answers: Vec<PathPrefix>,
    #[serde(default)]
    pub(super) images: bool,
    #[serde(default)]
    pub(super) engine: bool,
    #[serde(default)]
    pub(super) portal: bool,
    /// What it searches, where that is not the whole web.
    searches: Option<String>,
}

/// An older encoding, by its label in the Encoding Standard.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Charset(&'static Encoding);

impl TryFrom<String> for Charset {
    type Error = String;

    fn try_from(label: String) -> Result<Self, String> {
        let known = Encoding::for_label_no_replacement(label.as_bytes());
        known.map(Self).ok_or_else(|| format!("{label}: no such encoding"))
    }
}

/// A path with the words in one of its parts: `/search/*/{words}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct PathTemplate(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    /// This text, without regard to case.
    Text(String),
    Any,
    /// The words, before this ending.
    Words(String),
}

impl TryFrom<String> for PathTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Some(parts) = text.strip_prefix('/') else {
            return Err(format!("{text}: starts with /"));
        };
        let parts: Vec<Part> = parts
            .split('/')
            .map(|part| match part.strip_prefix("{words}") {
                Some(ending) => Part::Words(ending.to_owned()),
                None if part == "*" => Part::Any,
                None => Part::Text(part.to_owned()),
            })
            .collect();
        let words = parts.iter().filter(|part| matches!(part, Part::Words(_))).count();
        match words {
            1 => Ok(Self(parts)),
            _ => Err(format!("{text}: one part is {{words}}")),
        }
    }
}

impl PathTemplate {
    #[cfg(test)]
    fn example(&self) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => format!("/{text}"),
            Part::Any => "/any".to_owned(),
            Part::Words(ending) => format!("/words{ending}"),
        };
        self.0.iter().map(text).collect()
    }

    /// Where in a path the raw words stand, where it is of this form or below it.
    fn words(&self, path: &str) -> Option<Range<usize>> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let mut words = None;
        let mut start = 1;
        for part in &self.0 {
            let segment = segments.next()?;
            match part {
                Part::Any => {}
                Part::Text(text) if segment.eq_ignore_ascii_case(text) => {}
                Part::Text(_) => return None,
                Part::Words(ending) => {
                    words = Some(start..start + segment.strip_suffix(ending.as_str())?.len());
                }
            }
            start += segment.len() + 1;
        }
        words
    }
}

impl SearchedSite {
    /// The words of a request, where it is such a search. Every value of every parameter counts, and the
    /// path besides: which of them the site reads cannot be told.
    pub(super) fn words(&self, path: &str, query: &str) -> Option<Words> {
        if !self.is_searched_at(path) {
            return None;
        }
        let mut decoded = Vec::new();
        let mut is_whole = true;
        let mut add = |raw: Cow<'_, str>| {
            is_whole &= raw.len() <= words::MAX_RAW_BYTES;
            decoded.push(words::decode(raw, self.charsets.iter().map(|charset| charset.0)));
        };
        self.in_query(query).into_iter().for_each(|value| add(value.into()));
        if let Some(place) = self.in_path(path) {
            let raw = &path[place];
            add(if self.dashes { raw.replace('-', "+").into() } else { raw.into() });
        }
        let words = words::clean(&decoded)?;
        Some(Words { is_whole: words.is_whole && is_whole, ..words })
    }

    /// The path with `{words}` in the place of the words, where it has any.
    pub(super) fn without_words(&self, path: &str) -> Option<String> {
        let place = self.in_path(path).filter(|_| self.is_searched_at(path))?;
        Some(format!("{}{{words}}{}", &path[..place.start], &path[place.end..]))
    }

    /// A path and query that search it.
    #[cfg(test)]
    pub(super) fn example(&self) -> String {
        let path = self.paths.iter().find(|path| path.0 != "/").map_or("/", |path| &*path.0);
        match (self.query.first(), self.in_path.first()) {
            (Some(name), _) => format!("{path}?{name}=two+words"),
            (None, Some(template)) => template.example(),
            (None, None) => path.to_owned(),
        }
    }

    /// Whether what is written at a path is for something that answers it.
    pub(super) fn is_assistant_at(&self, path: &str) -> bool {
        self.kind == SearchKind::Prompt && is_below(&self.answers, path)
    }

    fn is_searched_at(&self, path: &str) -> bool {
        is_below(&self.paths, path)
    }

    fn in_path(&self, path: &str) -> Option<Range<usize>> {
        let words = self.in_path.iter().find_map(|template| template.words(path));
        words.filter(|place| !place.is_empty())
    }

    /// The raw values of all parameters that hold words, in the order in which the file names these.
    fn in_query<'q>(&self, query: &'q str) -> Vec<&'q str> {
        let mut values = Vec::new();
        let mut add = |(raw, value): (&str, &'q str)| {
            let place = self.query.iter().position(|name| is_named(raw, name));
            values.extend(place.map(|place| (place, value)));
            place.is_some()
        };
        for piece in query.split('&') {
            // Most sites read `;` as a part of the words; in what has none, it may be a separator.
            if !add(piece.split_once('=').unwrap_or((piece, ""))) {
                pairs(piece).for_each(|pair| _ = add(pair));
            }
        }
        values.sort_by_key(|(place, _)| *place);
        values.into_iter().map(|(_, value)| value).collect()
    }
}

/// Whether one of some paths covers a path; every path is covered by none.
fn is_below(prefixes: &[PathPrefix], path: &str) -> bool {
    prefixes.is_empty() || prefixes.iter().any(|prefix| prefix.covers(path))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    site: Vec<SearchedSite>,
}

/// Reads the file.
pub(super) fn parse(text: &str) -> Result<Vec<SearchedSite>, SearchFileError> {
    let File { site: sites } =
        toml::from_str(text).map_err(|error| SearchFileError(error.to_string()))?;
    for site in &sites {
        if site.hosts.is_empty() || site.query.is_empty() && site.in_path.is_empty() {
            return Err(SearchFileError(format!(
                "site {}: has hosts, and query or in_path",
                site.name
            )));
        }
        let kinds = [site.engine, site.portal, site.searches.is_some()];
        let said = kinds.into_iter().filter(|is_said| *is_said).count();
        if site.kind == SearchKind::Search && said != 1 {
            return Err(SearchFileError(format!(
                "site {}: a search has one of engine, portal and searches",
                site.name
            )));
        }
        // All that is written to the host would be for the assistant: messages between people too.
        let is_shared = |pattern: &String| {
            let others = sites.iter().filter(|other| !std::ptr::eq(*other, site));
            others.flat_map(|other| &other.hosts).any(|other| may_cover_the_same(pattern, other))
        };
        if site.kind == SearchKind::Prompt
            && site.answers.is_empty()
            && !site.paths.is_empty()
            && site.hosts.iter().any(is_shared)
        {
            return Err(SearchFileError(format!(
                "site {}: a prompt at some paths of a host that other sites name too has answers",
                site.name
            )));
        }
    }
    Ok(sites)
}

/// Whether two patterns name the same host, or one of them hosts below a part of the other.
fn may_cover_the_same(one: &str, other: &str) -> bool {
    let plain = |pattern: &str| {
        let front = ["www.", "m."].iter().find_map(|front| pattern.strip_prefix(front));
        front.unwrap_or(pattern).to_ascii_lowercase()
    };
    let (one, other) = (plain(one), plain(other));
    let is_below = |pattern: &str, host: &str| {
        pattern.strip_prefix('*').is_some_and(|whole| host.trim_start_matches('*').ends_with(whole))
    };
    one == other || is_below(&one, &other) || is_below(&other, &one)
}
