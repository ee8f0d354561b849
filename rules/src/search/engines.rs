//! The file of search engines (`rules/defaults/search_engines.toml`): what each needs to be kept to its
//! safe mode.

use super::hosts::Countries;
use super::query::{is_named, pairs};
use super::{SearchFileError, Vertical};
use crate::host::Host;
use crate::level::VideoMode;
use serde::Deserialize;
use std::collections::HashMap;

/// Which setting of a level wants an engine's safe mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForcedBy {
    /// `safe_search`.
    #[default]
    SafeSearch,
    /// `video`.
    Video,
}

/// Whether an engine has a safe mode, and whose doing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SafeMode {
    /// It has one, which has to be forced.
    Forced,
    /// It has no other mode.
    Always,
    /// It has none, or none that could be confirmed.
    None,
}

/// An engine, as the file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Short name.
    pub id: String,
    /// Name for people.
    pub title: String,
    /// Which setting wants its safe mode.
    #[serde(default)]
    pub forced_by: ForcedBy,
    /// Whether it has a safe mode.
    pub safe: SafeMode,
    /// Made for children.
    #[serde(default)]
    pub child: bool,
    /// Whether public documentation was found; without, only redialling is relied on.
    #[serde(default = "yes")]
    pub confirmed: bool,
    /// Who says so.
    pub source: String,
    /// What is known to be missing.
    pub note: Option<String>,
    #[serde(default)]
    pub(super) hosts: Vec<String>,
    #[serde(default)]
    pub(super) plain: Vec<String>,
    #[serde(default)]
    pub(super) refuse: Vec<String>,
    #[serde(default)]
    pub(super) image_hosts: Vec<String>,
    #[serde(default)]
    pub(super) video_hosts: Vec<String>,
    pub(super) redial: Option<Redial>,
    #[serde(default)]
    pub(super) paths: Vec<PathPrefix>,
    #[serde(default)]
    pub(super) parameters: Vec<Parameter>,
    #[serde(default)]
    pub(super) headers: Vec<HeaderRule>,
    #[serde(default)]
    pub(super) cookies: Vec<CookieRule>,
    #[serde(default)]
    pub(super) off_words: Vec<String>,
    #[serde(default)]
    pub(super) query: Vec<String>,
    #[serde(default)]
    pub(super) images: Vec<Sign>,
    #[serde(default)]
    pub(super) videos: Vec<Sign>,
}

fn yes() -> bool {
    true
}

/// Where connections go instead.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redial {
    pub(super) hosts: Vec<String>,
    pub(super) strict: SafeHost,
    pub(super) moderate: Option<SafeHost>,
}

/// The canonical name of a safe host.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct SafeHost(pub(super) Host);

impl TryFrom<String> for SafeHost {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match Host::parse(&text) {
            Ok(host) if host.as_str() == text && !host.is_public_suffix() => Ok(Self(host)),
            Ok(_) => Err(format!("{text}: write a host as it is compared")),
            Err(error) => Err(format!("{text}: {error}")),
        }
    }
}

/// A path that covers itself and what is below it; `/` is the front page alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct PathPrefix(pub(super) String);

impl TryFrom<String> for PathPrefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_plain = crate::target::seen_path(&text) == text;
        if !is_plain || text.len() > 1 && text.ends_with('/') {
            return Err(format!(
                "{text}: write a path as it is compared, without a slash at its end"
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl PathPrefix {
    /// Whether it covers a canonical path, without regard to case: some sites have none. A `;` ends a
    /// part, as sites that keep parameters in their paths have it.
    pub(super) fn covers(&self, path: &str) -> bool {
        if self.0 == "/" {
            return path == "/" || path.starts_with("/;");
        }
        let Some((start, rest)) = path.split_at_checked(self.0.len()) else { return false };
        start.eq_ignore_ascii_case(&self.0) && (rest.is_empty() || rest.starts_with(['/', ';']))
    }
}

/// A parameter to set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) strict: String,
    #[serde(default = "yes")]
    pub(super) add: bool,
    #[serde(default)]
    pub(super) paths: Vec<PathPrefix>,
}

/// A header to set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderRule {
    pub(super) name: String,
    pub(super) strict: String,
    pub(super) moderate: String,
}

/// A cookie to set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CookieRule {
    pub(super) name: String,
    pub(super) part: Option<String>,
    pub(super) strict: String,
}

/// How a request for pictures or videos is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sign {
    pub(super) path: Option<PathPrefix>,
    pub(super) parameter: Option<String>,
    #[serde(default)]
    pub(super) values: Vec<String>,
}

impl Sign {
    fn is_on(&self, path: &str, query: &str) -> bool {
        let is_path = self.path.as_ref().is_none_or(|prefix| prefix.covers(path));
        let is_parameter = self.parameter.as_ref().is_none_or(|name| {
            pairs(query).any(|(raw, value)| {
                let decoded = super::query::decode(value);
                let is_one = |known: &String| decoded.eq_ignore_ascii_case(known.as_bytes());
                is_named(raw, name) && self.values.iter().any(is_one)
            })
        });
        is_path && is_parameter
    }
}

impl Engine {
    /// Whether requests for this path search, or open a page to search from.
    pub(super) fn searches(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|prefix| prefix.covers(path))
    }

    /// What a request's path and query say it searches for.
    pub(super) fn vertical(&self, path: &str, query: &str) -> Vertical {
        let any = |signs: &[Sign]| signs.iter().any(|sign| sign.is_on(path, query));
        if any(&self.images) {
            Vertical::Images
        } else if any(&self.videos) {
            Vertical::Videos
        } else {
            Vertical::Web
        }
    }

    /// The safe host for a mode. An engine without a moderate one is kept strict.
    pub(super) fn safe_host(&self, mode: VideoMode) -> Option<&Host> {
        let redial = self.redial.as_ref()?;
        let moderate = redial.moderate.as_ref().filter(|_| mode == VideoMode::Moderate);
        (mode != VideoMode::Open).then(|| &moderate.unwrap_or(&redial.strict).0)
    }

    fn check(&self) -> Result<(), String> {
        let forces = self.redial.is_some()
            || !(self.parameters.is_empty() && self.headers.is_empty() && self.cookies.is_empty());
        match self.safe {
            SafeMode::Forced if !forces => return Err("nothing forces its safe mode".to_owned()),
            SafeMode::Forced if !self.confirmed && self.redial.is_none() => {
                return Err(
                    "what nobody confirms is no safe mode without a host to redial to".to_owned()
                );
            }
            SafeMode::Always | SafeMode::None if forces => {
                return Err("something is forced, though there is nothing to force".to_owned());
            }
            _ => {}
        }
        if self.hosts.is_empty() && self.plain.is_empty() {
            return Err("it has no host".to_owned());
        }
        for sign in self.images.iter().chain(&self.videos) {
            let is_told = match &sign.parameter {
                Some(_) => !sign.values.is_empty(),
                None => sign.path.is_some() && sign.values.is_empty(),
            };
            if !is_told {
                return Err("images and videos have a path, or a parameter and values".to_owned());
            }
        }
        let is_token = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let values = self.parameters.iter().flat_map(|it| [&it.name, &it.strict]);
        let values =
            values.chain(self.headers.iter().flat_map(|it| [&it.name, &it.strict, &it.moderate]));
        let mut values = values
            .chain(self.cookies.iter().flat_map(|it| [&it.name, &it.strict]))
            .chain(self.cookies.iter().filter_map(|it| it.part.as_ref()));
        match values.find(|value| !is_token(value)) {
            Some(value) => Err(format!("\"{value}\" is not letters, digits and hyphens")),
            None => Ok(()),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    countries: HashMap<String, Vec<String>>,
    engine: Vec<Engine>,
}

/// The country domains alone.
pub(super) fn countries(text: &str) -> Result<Countries, SearchFileError> {
    #[derive(Deserialize)]
    struct Lists {
        countries: Countries,
    }
    let lists: Lists = toml::from_str(text).map_err(|error| SearchFileError(error.to_string()))?;
    Ok(lists.countries)
}

/// Reads the file.
pub(super) fn parse(text: &str) -> Result<(Vec<Engine>, Countries), SearchFileError> {
    let File { countries, engine: engines } =
        toml::from_str(text).map_err(|error| SearchFileError(error.to_string()))?;
    for (place, engine) in engines.iter().enumerate() {
        let wrong = |why: String| SearchFileError(format!("engine {}: {why}", engine.id));
        engine.check().map_err(wrong)?;
        if engines[..place].iter().any(|other| other.id == engine.id) {
            return Err(wrong("there twice".to_owned()));
        }
    }
    Ok((engines, countries))
}
