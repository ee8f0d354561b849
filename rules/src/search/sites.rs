//! The file of sites that are searched (`rules/defaults/search_terms.toml`): where the words stand.

use super::engines::PathPrefix;
use super::query::{is_named, pairs};
use super::words::{self, Words};
use super::{SearchFileError, SearchKind};
use encoding_rs::Encoding;
use serde::Deserialize;

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
    pub(super) images: bool,
    #[serde(default)]
    pub(super) engine: bool,
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
    /// The raw words, where a path is of this form or below it.
    fn words<'p>(&self, path: &'p str) -> Option<&'p str> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let mut words = None;
        for part in &self.0 {
            let segment = segments.next()?;
            match part {
                Part::Any => {}
                Part::Text(text) if segment.eq_ignore_ascii_case(text) => {}
                Part::Text(_) => return None,
                Part::Words(ending) => words = Some(segment.strip_suffix(ending.as_str())?),
            }
        }
        words
    }
}

impl SearchedSite {
    /// The words of a request, where it is such a search. Of a parameter that is given twice every value
    /// counts: which of them the site reads cannot be told.
    pub(super) fn words(&self, path: &str, query: &str) -> Option<Words> {
        if !self.paths.is_empty() && !self.paths.iter().any(|prefix| prefix.covers(path)) {
            return None;
        }
        self.in_query(query).or_else(|| {
            let raw = self.in_path.iter().find_map(|template| template.words(path))?;
            self.read([raw], self.dashes)
        })
    }

    fn in_query(&self, query: &str) -> Option<Words> {
        // Most sites read `;` as a part of the words; where that finds none, it may be a separator.
        let by_ampersand = || query.split('&').map(|it| it.split_once('=').unwrap_or((it, "")));
        let given = |name: &String, (raw, value)| is_named(raw, name).then_some(value);
        self.query.iter().find_map(|name| {
            let values = by_ampersand().filter_map(|pair| given(name, pair));
            let rest = || self.read(pairs(query).filter_map(|pair| given(name, pair)), false);
            self.read(values, false).or_else(rest)
        })
    }

    fn read<'r>(&self, raw: impl IntoIterator<Item = &'r str>, dashes: bool) -> Option<Words> {
        let mut decoded = String::new();
        for value in raw {
            let value = if dashes { value.replace('-', "+").into() } else { value.into() };
            let value = words::decode(value, self.charsets.iter().map(|charset| charset.0));
            decoded.push_str(&value);
            decoded.push(' ');
        }
        words::clean(&decoded)
    }
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
    }
    Ok(sites)
}
