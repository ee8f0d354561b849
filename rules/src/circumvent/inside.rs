//! Sites that show the page of another site, whose URL is within theirs.

use super::decode::{percent, url_text};
use super::pack::PackError;
use super::url::InnerUrl;
use super::{Found, Grade, MOST_INNER, Technique};
use crate::host::Host;
use crate::search::query::{is_named, pairs, split};
use serde::Deserialize;

/// Parts of a path that may stand before the URL within: a time, a language, a scheme.
const MOST_PARTS: usize = 5;

/// A gateway, as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewayFile {
    technique: Technique,
    name: String,
    source: String,
    pub(super) hosts: Vec<String>,
    #[serde(default)]
    parameters: Vec<String>,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    below: Vec<String>,
    #[serde(default)]
    bare_query: bool,
    #[serde(default)]
    pub(super) hyphens: bool,
}

/// A site that shows pages of others.
#[derive(Debug)]
pub(super) struct Gateway {
    technique: Technique,
    name: String,
    parameters: Vec<String>,
    prefix: String,
    below: Vec<String>,
    bare_query: bool,
    hyphens: bool,
}

impl Gateway {
    pub(super) fn new(file: GatewayFile) -> Result<Gateway, PackError> {
        let wrong = |why: &str| Err(PackError(format!("{}: {why}", file.name)));
        if file.source.trim().is_empty() {
            return wrong("nobody is named who says so");
        }
        if !(file.bare_query || file.hyphens) && file.parameters.is_empty() && file.below.is_empty()
        {
            return wrong("it does not say where the URL is");
        }
        if file.below.iter().any(|start| !start.starts_with('/')) {
            return wrong("`below` is a path, from its first slash");
        }
        let GatewayFile { technique, name, parameters, prefix, below, bare_query, hyphens, .. } =
            file;
        Ok(Gateway { technique, name, parameters, prefix, below, bare_query, hyphens })
    }

    /// What a request to it shows; `None` where it shows nobody's page.
    pub(super) fn found(&self, host: &Host, path_and_query: &str) -> Option<Found<'_>> {
        let (path, query) = split(path_and_query);
        let query = query.unwrap_or_default();
        let mut inner = Vec::new();
        if self.hyphens {
            inner.extend(spelt_with_hyphens(host, path_and_query));
        }
        let values = pairs(query)
            .filter(|(name, _)| self.parameters.iter().any(|known| is_named(name, known)));
        inner.extend(values.filter_map(|(_, value)| self.value(value)).take(MOST_INNER + 1));
        inner.extend(self.in_path(path, query));
        if self.bare_query {
            inner.extend(read(query));
        }
        // Behind hyphens nothing else can be meant.
        let grade = match inner.is_empty() && self.hyphens {
            true => Grade::Certain,
            false => Grade::Gateway,
        };
        let is_one = !inner.is_empty() || grade == Grade::Certain;
        is_one.then_some(Found { technique: self.technique, mark: &self.name, grade, inner })
    }

    /// The URL in the value of a parameter.
    fn value(&self, value: &str) -> Option<InnerUrl> {
        if self.prefix.is_empty() {
            return read(value);
        }
        let decoded = percent(value);
        let rest = decoded.strip_prefix(self.prefix.as_str())?;
        let rest = rest.split(['+', ' ']).next().unwrap_or_default();
        // An id of the copy may stand before the URL.
        let behind_id = match rest.split_once(':') {
            Some((id, rest)) if !id.contains(['.', '/']) && !rest.starts_with(['/', '\\']) => rest,
            _ => rest,
        };
        read(behind_id)
    }

    /// The URL in the path: one of the parts behind a known beginning, with all that follows it.
    fn in_path(&self, path: &str, query: &str) -> Option<InnerUrl> {
        let decoded = percent(path);
        let starts = self.below.iter().filter_map(|start| decoded.strip_prefix(start.as_str()));
        for mut rest in starts {
            for _ in 0..MOST_PARTS {
                rest = rest.trim_start_matches('/');
                let whole = || match query.is_empty() {
                    true => rest.to_owned(),
                    false => format!("{rest}?{query}"),
                };
                if let Some((text, _)) = url_text(rest) {
                    let text = if text.len() == rest.len() { whole() } else { text.into_owned() };
                    return InnerUrl::parse(&text);
                }
                let part = rest.split('/').next().unwrap_or_default();
                if part.contains('.')
                    && let Some(url) = InnerUrl::parse_bare(&whole())
                {
                    return Some(url);
                }
                let Some((_, after)) = rest.split_once('/') else { break };
                rest = after;
            }
        }
        None
    }
}

/// A URL with a scheme in whatever coding, or a host and a path without.
fn read(text: &str) -> Option<InnerUrl> {
    match url_text(text) {
        Some((text, _)) => InnerUrl::parse(&text),
        None => InnerUrl::parse_bare(&percent(text)),
    }
}

/// The host within `en-m-wikipedia-org.translate.goog`: a hyphen is a dot, and two are a hyphen.
/// `_x_tr_hp` is what did not fit into a label, and stands before it; `_x_tr_enc` says what was put before
/// the label to make it one.
fn spelt_with_hyphens(host: &Host, path_and_query: &str) -> Option<InnerUrl> {
    let label = host.as_str().split('.').next().unwrap_or_default();
    let (_, query) = split(path_and_query);
    let parameter = |name: &str| {
        let found = pairs(query.unwrap_or_default()).find(|(raw, _)| is_named(raw, name));
        percent(found.map_or("", |(_, value)| value)).into_owned()
    };
    let encoding = parameter("_x_tr_enc");
    let label = match label.strip_prefix("0-") {
        Some(rest) if encoding.split(',').any(|it| it == "0") => rest,
        _ => label,
    };
    let name = label.split("--").map(|part| part.replace('-', ".")).collect::<Vec<_>>().join("-");
    let name = format!("{}{name}", parameter("_x_tr_hp"));
    InnerUrl::parse_bare(&format!("{name}{path_and_query}"))
}
