//! What a search is: which hosts search the web, how they are kept to their safe mode, and which words
//! somebody searched for.
//!
//! Pure: whoever has a request asks, and acts on the answers.
//!
//! 1. [`Search::site`] for a host; `None` for nearly every one, in some nanoseconds.
//! 2. A tunnel whose inside is not seen: [`SearchSite::unseen`] says whether it passes, goes to another
//!    host's address, or is refused.
//! 3. A request that is seen: [`SearchSite::refusal`], then [`SearchSite::rewrite`], and the connection
//!    goes where [`SearchSite::redial`] says, which covers what rewriting does not: bodies of POST, and
//!    what an engine's pages fetch by themselves.
//! 4. [`SearchSite::terms`] for the record.
//!
//! [`SearchSite::way`] has the refusals and redials of 2 and 3 together, and what the school opened of them.
//!
//! Redialling changes the address alone. `Host`, server name and the certificate that is wanted stay those
//! of the host that was asked for: a safe host that is not the engine's own shows a certificate that does
//! not fit, and nothing is passed on. Connections are kept apart by the host that was dialled, or one
//! level would be handed another's.
//!
//! Words and parameters in bodies are neither read nor changed.

mod cookies;
mod engines;
mod excluded;
mod force;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod hosts;
mod opened;
pub(crate) mod query;
mod sites;
#[cfg(test)]
mod tests;
mod words;

pub use engines::{Engine, ForcedBy, SafeMode};
pub use force::{Changes, Refusal, SearchRules, Unseen};
pub use opened::{Way, opens_engine};
pub use words::{MAX_JUDGED_BYTES, MAX_VALUES, MAX_WORDS};

use crate::defaults::{SEARCH_ENGINES, SEARCH_TERMS};
use crate::host::Host;
use crate::target::seen_path;
use hosts::HostTable;
use serde::Deserialize;
use sites::SearchedSite;
use std::sync::OnceLock;
use thiserror::Error;
use words::Words;

/// Why one of the two files cannot be used: what is wrong, and where.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct SearchFileError(pub(crate) String);

/// What a request searches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vertical {
    /// Pages.
    Web,
    /// Pictures.
    Images,
    /// Videos.
    Videos,
}

/// What words were sent for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchKind {
    /// A search.
    #[default]
    Search,
    /// Completion while somebody types: not yet what they meant to ask.
    Suggest,
    /// A question to an assistant.
    Prompt,
}

impl SearchKind {
    /// `search`, `suggest` or `prompt`: the word in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Suggest => "suggest",
            Self::Prompt => "prompt",
        }
    }
}

/// The words of a request. Further pages of a search give the same terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terms<'s> {
    /// The words as typed: no control characters, at most [`MAX_WORDS`] characters, never empty.
    pub words: String,
    /// The same to be judged, and not recorded: all of them, or, where that is not [whole](Self::is_whole), the first
    /// and the last half of [`MAX_JUDGED_BYTES`].
    pub all: String,
    /// The same without what the search excludes (`-word`, `NOT word`), where it excludes any: such words are not
    /// asked for, and do not speak against what is. Never of a prompt. Some sites read a dash as no more than
    /// that, so that `all` is to be judged too.
    pub asked: Option<String>,
    /// Where several parameters have words: those of each by itself, and without what it excludes. The site may read one
    /// of them alone, and what stands in the others must not hide it. At most twice [`MAX_VALUES`] texts.
    pub each: Vec<String>,
    /// Whether there were more than `words` has.
    pub is_cut: bool,
    /// Whether all that the site may read is there to be judged: not of more than [`MAX_JUDGED_BYTES`], nor of more than
    /// [`MAX_VALUES`] different values.
    pub is_whole: bool,
    /// What they were sent for.
    pub kind: SearchKind,
    /// Name of the site, for people.
    pub site: &'s str,
}

/// What a host is in the two files.
#[derive(Clone, Copy, Debug)]
enum Place {
    Engine { engine: u16, role: Role, vertical: Option<Vertical> },
    Site(u16),
}

/// What a host is to its engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It searches.
    Searching,
    /// It searches, and can be redialled.
    Redialled,
    /// It redirects, or holds pictures and scripts.
    Plain,
    /// It is refused where the safe mode is wanted.
    Refused,
}

/// Search engines, sites with a search box, and how each is treated.
#[derive(Debug)]
pub struct Search {
    engines: Vec<Engine>,
    sites: Vec<SearchedSite>,
    hosts: HostTable<Place>,
}

/// What is known of one host.
#[derive(Clone, Debug)]
pub struct SearchSite<'s> {
    engine: Option<&'s Engine>,
    role: Role,
    vertical: Option<Vertical>,
    /// Ways of searching it, the narrowest host's first.
    sites: Vec<&'s SearchedSite>,
}

/// The country domains of the shipped file, for other files that name sites of every country.
pub(crate) fn countries() -> Result<hosts::Countries, SearchFileError> {
    engines::countries(SEARCH_ENGINES)
}

impl Search {
    /// Reads the two files, of the form of `rules/defaults/search_engines.toml` and `search_terms.toml`.
    ///
    /// # Errors
    /// [`SearchFileError`]; unknown keys are errors, and so is an engine that is neither forced nor said
    /// to be without a safe mode.
    pub fn parse(engines: &str, terms: &str) -> Result<Search, SearchFileError> {
        let (engines, countries) = engines::parse(engines)?;
        let sites = sites::parse(terms)?;
        let mut hosts = HostTable::new();
        let number = |place: usize| {
            u16::try_from(place).map_err(|_| SearchFileError("more than 65,535 entries".to_owned()))
        };
        for (place, engine) in engines.iter().enumerate() {
            let redialled = engine.redial.as_ref().map(|redial| &redial.hosts[..]);
            // The first that names a pattern says what the host is.
            let roles = [
                (Role::Refused, &engine.refuse[..]),
                (Role::Redialled, redialled.unwrap_or_default()),
                (Role::Plain, &engine.plain),
                (Role::Searching, &engine.hosts),
                (Role::Searching, &engine.image_hosts),
                (Role::Searching, &engine.video_hosts),
            ];
            let mut named: Vec<&String> = Vec::new();
            for (role, patterns) in roles {
                for pattern in patterns {
                    if named.contains(&pattern) {
                        continue;
                    }
                    named.push(pattern);
                    let vertical = if engine.image_hosts.contains(pattern) {
                        Some(Vertical::Images)
                    } else {
                        engine.video_hosts.contains(pattern).then_some(Vertical::Videos)
                    };
                    let value = Place::Engine { engine: number(place)?, role, vertical };
                    hosts.insert(pattern, &countries, value)?;
                }
            }
        }
        for (place, site) in sites.iter().enumerate() {
            for pattern in &site.hosts {
                hosts.insert_site(pattern, &countries, Place::Site(number(place)?))?;
            }
        }
        Ok(Search { engines, sites, hosts })
    }

    /// The shipped files.
    ///
    /// # Panics
    /// Never in a build that passed its tests: the files are part of the program.
    #[must_use]
    pub fn shipped() -> &'static Search {
        static SHIPPED: OnceLock<Search> = OnceLock::new();
        SHIPPED.get_or_init(|| match Search::parse(SEARCH_ENGINES, SEARCH_TERMS) {
            Ok(search) => search,
            Err(error) => panic!("the shipped files about searches do not parse: {error}"),
        })
    }

    /// What is known of an assistant that a policy names, whatever its host: what stands in the parameters that such
    /// sites have for it is a prompt, and the site answers what is written to it.
    ///
    /// # Panics
    /// Never in a build that passed its tests: the text is part of the program.
    #[must_use]
    pub fn assistant_of_school() -> SearchSite<'static> {
        const TEXT: &str = "site = [{ name = \"an assistant that the school named\", \
                            hosts = [\"assistant.invalid\"], query = [\"q\", \"prompt\"], kind = \"prompt\" }]";
        static SITES: OnceLock<Vec<SearchedSite>> = OnceLock::new();
        let sites = SITES.get_or_init(|| match sites::parse(TEXT) {
            Ok(sites) => sites,
            Err(error) => panic!("the school's assistants do not parse: {error}"),
        });
        let sites = sites.iter().collect();
        SearchSite { engine: None, role: Role::Searching, vertical: None, sites }
    }

    /// All engines, in the order of the file.
    #[must_use]
    pub fn engines(&self) -> &[Engine] {
        &self.engines
    }

    /// What is known of a host; `None` for a host that no file names.
    #[must_use]
    pub fn site(&self, host: &Host) -> Option<SearchSite<'_>> {
        let mut places = self.hosts.covering(host).peekable();
        places.peek()?;
        let mut site =
            SearchSite { engine: None, role: Role::Searching, vertical: None, sites: Vec::new() };
        for place in places {
            match place {
                Place::Site(place) => {
                    let searched = &self.sites[usize::from(place)];
                    // Two patterns of one entry may cover a host.
                    if !site.sites.iter().any(|known| std::ptr::eq(*known, searched)) {
                        site.sites.push(searched);
                    }
                }
                Place::Engine { engine, role, vertical } if site.engine.is_none() => {
                    site.engine = Some(&self.engines[usize::from(engine)]);
                    site.role = role;
                    site.vertical = vertical;
                }
                Place::Engine { .. } => {}
            }
        }
        Some(site)
    }
}

impl<'s> SearchSite<'s> {
    /// The engine, where the host is one's.
    #[must_use]
    pub fn engine(&self) -> Option<&'s Engine> {
        self.engine
    }

    /// Whether it answers what is written to this path, as assistants do. Path and query as the client wrote
    /// them.
    #[must_use]
    pub fn is_assistant(&self, path_and_query: &str) -> bool {
        self.assistant(path_and_query).is_some()
    }

    /// Name for people: that of the assistant at this path, else the engine's, else that of the first site of
    /// the file. Path and query as the client wrote them.
    #[must_use]
    pub fn name(&self, path_and_query: &str) -> &'s str {
        match (self.assistant(path_and_query), self.engine, self.sites.first().copied()) {
            (Some(site), ..) | (None, None, Some(site)) => &site.name,
            (None, Some(engine), _) => &engine.title,
            (None, None, None) => "",
        }
    }

    fn assistant(&self, path_and_query: &str) -> Option<&'s SearchedSite> {
        let path = seen_path(path_and_query);
        self.sites.iter().find(|site| site.is_assistant_at(&path)).copied()
    }

    /// The path as rules see it with `{words}` in the place of the words, for those who may not see them;
    /// `None` where it holds none. Path and query as the client wrote them.
    #[must_use]
    pub fn path_without_words(&self, path_and_query: &str) -> Option<String> {
        let path = seen_path(path_and_query);
        self.sites.iter().find_map(|site| site.without_words(&path))
    }

    /// The words that a request sends, from its path and query as the client wrote them; `None` where it
    /// is no search, or an empty one.
    #[must_use]
    pub fn terms(&self, path_and_query: &str) -> Option<Terms<'s>> {
        let (path, query) = query::split(path_and_query);
        let (path, query) = (seen_path(path), query.unwrap_or_default());
        self.sites.iter().find_map(|site| {
            let Words { text: words, all, values, is_cut, is_whole } = site.words(&path, query)?;
            let (kind, site) = (site.kind, &*site.name);
            let is_prompt = kind == SearchKind::Prompt;
            let asked = |text: &str| match is_prompt {
                true => None,
                false => excluded::without_excluded(text),
            };
            let mut each: Vec<String> = values.iter().filter_map(|value| asked(value)).collect();
            each.extend(values);
            let asked = asked(&all);
            Some(Terms { words, all, asked, each, is_cut, is_whole, kind, site })
        })
    }

    /// What a request searches for, from its path and query as the client wrote them.
    #[must_use]
    pub fn vertical(&self, path_and_query: &str) -> Vertical {
        if let Some(vertical) = self.vertical {
            return vertical;
        }
        let (path, query) = query::split(path_and_query);
        let (path, query) = (seen_path(path), query.unwrap_or_default());
        match self.engine.map_or(Vertical::Web, |engine| engine.vertical(&path, query)) {
            Vertical::Web => {
                let found = self.sites.iter().find(|site| site.words(&path, query).is_some());
                if found.is_some_and(|site| site.images) { Vertical::Images } else { Vertical::Web }
            }
            vertical => vertical,
        }
    }

    /// Whether a request searches for pictures.
    #[must_use]
    pub fn is_image_search(&self, path_and_query: &str) -> bool {
        self.vertical(path_and_query) == Vertical::Images
    }

    /// Whether a request is for videos: to a video site, or a search for them.
    #[must_use]
    pub fn is_video(&self, path_and_query: &str) -> bool {
        self.vertical(path_and_query) == Vertical::Videos
    }
}
