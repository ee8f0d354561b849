//! What a web proxy, a resolver or a tunnel over HTTP is known by on whatever host: its paths, the names of
//! its files, and URLs that it has written into its own.

use super::decode::{base64_bytes, clip, percent, url_text};
use super::pack::PackError;
use super::url::InnerUrl;
use super::{Found, Grade, MOST_INNER, MOST_INNER_BYTES, Seen, Technique, certain};
use crate::search::query::{is_named, pairs, split};
use serde::Deserialize;

/// Most parts of a path that are tried for a URL with all that follows them.
const MOST_WHOLE: usize = 8;
/// Most URLs in a path that are read: nothing that is meant to be understood has as many.
const MOST_URLS: usize = 64;

/// Beginnings of parts of a path, besides those that the pack has, without which no part of it is a URL: in
/// each coding that [`super::decode`] undoes.
const URL_STARTS: [&str; 8] =
    ["http", "aHR0c", "SFRUU", "YUhSM", "U0ZSV", "6874747", "uggc", "hvtr"];
/// Beginnings of values that only web proxies write.
const VALUE_STARTS: [[u8; 4]; 2] = [*b"uggc", *b"hvtr"];
/// The parameter of a DNS question (RFC 8484, 4.1).
const DNS: &str = "dns";

/// A request on whatever host, as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathFile {
    technique: Technique,
    name: String,
    source: String,
    path: Option<String>,
    part: Option<String>,
    #[serde(default)]
    file: Vec<String>,
    #[serde(default)]
    websocket: bool,
    #[serde(default)]
    query: bool,
}

/// Where web proxies put the URL that they fetch, as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptFile {
    name: String,
    source: String,
    #[serde(default)]
    behind: Vec<String>,
    file: Option<String>,
    parameter: Option<String>,
    also: Option<String>,
}

/// What a request is known by.
#[derive(Debug, Default)]
pub(super) struct Marks {
    starts: Starts,
    /// Names of parameters that are one's whatever the file.
    names: Vec<String>,
    /// A bit for the last letter of each.
    last_letters: u32,
    paths: Vec<PathMark>,
    scripts: Vec<ScriptFile>,
}

impl std::fmt::Debug for ScriptFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

#[derive(Debug)]
struct PathMark {
    technique: Technique,
    name: String,
    shape: Shape,
    websocket: bool,
    query: bool,
}

/// What of a path is looked at. A text that ends in `*` is the beginning of what it stands for.
#[derive(Debug)]
enum Shape {
    Start(String),
    Part(String),
    File(Vec<String>),
}

impl Shape {
    fn is_of(&self, path: &str) -> bool {
        match self {
            Self::Start(start) => match start.strip_suffix('*') {
                Some(open) => path.starts_with(open),
                None => path.strip_prefix(start.as_str()).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with('/') || start.ends_with('/')
                }),
            },
            Self::Part(part) => path.split('/').any(|it| match part.strip_suffix('*') {
                Some(open) => it.starts_with(open),
                None => it == part,
            }),
            Self::File(names) => {
                let last = path.rsplit('/').next().unwrap_or_default();
                names.iter().any(|name| name == last)
            }
        }
    }

    /// What begins one of the parts of its path, unless it is escaped where nobody needs to.
    fn needles(&self) -> Vec<&str> {
        let texts = match self {
            Self::Start(text) | Self::Part(text) => std::slice::from_ref(text),
            Self::File(names) => names,
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        let cut = |text: &str| text.find(|c| !is_plain(c)).unwrap_or(text.len());
        texts.iter().map(|text| text[..cut(text)].trim_start_matches('/')).collect()
    }
}

/// Beginnings of parts of paths, told from others by their first four bytes.
#[derive(Debug, Default)]
struct Starts {
    texts: Vec<Vec<u8>>,
    /// A bit for each value of a hash of four bytes.
    hashes: [u64; 16],
}

impl Starts {
    fn new(texts: &[&str]) -> Result<Starts, PackError> {
        let mut starts = Starts::default();
        for text in texts {
            let text = text.as_bytes().to_ascii_lowercase();
            let Some(first) = text.first_chunk() else {
                let why = "the first four characters are plain ones, none that is escaped";
                return Err(PackError(format!("{}: {why}", String::from_utf8_lossy(&text))));
            };
            let (word, bit) = Self::place(*first);
            starts.hashes[word] |= bit;
            starts.texts.push(text);
        }
        Ok(starts)
    }

    /// The word and the bit of four bytes, whatever their case.
    fn place(first: [u8; 4]) -> (usize, u64) {
        /// 2^32 divided by the golden ratio (Knuth, volume 3, 6.4).
        const SPREAD: u32 = 0x9E37_79B9;
        let lower = u32::from_le_bytes(first) | 0x2020_2020;
        let hash = lower.wrapping_mul(SPREAD) >> 22;
        ((hash >> 6) as usize, 1 << (hash & 63))
    }

    /// Whether a part of a path begins with one of them.
    fn are_in(&self, path: &[u8]) -> bool {
        memchr::memchr_iter(b'/', path).any(|slash| {
            let part = &path[slash + 1..];
            part.first_chunk().is_some_and(|first| {
                let (word, bit) = Self::place(*first);
                self.hashes[word] & bit != 0 && self.begins(part)
            })
        })
    }

    #[inline(never)]
    fn begins(&self, part: &[u8]) -> bool {
        self.texts.iter().any(|text| {
            part.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text))
        })
    }
}

impl Marks {
    pub(super) fn new(files: Vec<PathFile>, scripts: Vec<ScriptFile>) -> Result<Marks, PackError> {
        let mut paths = Vec::new();
        for file in files {
            let wrong = |why: &str| PackError(format!("{}: {why}", file.name));
            if file.source.trim().is_empty() {
                return Err(wrong("nobody is named who says so"));
            }
            let shape = match (file.path, file.part, file.file.is_empty()) {
                (Some(path), None, true) if path.starts_with('/') => Shape::Start(path),
                (None, Some(part), true) if !part.contains('/') => Shape::Part(part),
                (None, None, false) => Shape::File(file.file),
                _ => return Err(wrong("it has one of `path`, `part` and `file`")),
            };
            let PathFile { technique, name, websocket, query, .. } = file;
            paths.push(PathMark { technique, name, shape, websocket, query });
        }
        for script in &scripts {
            let is_told = !script.behind.is_empty() && script.file.is_none()
                || script.behind.is_empty() && script.parameter.is_some();
            if script.source.trim().is_empty() || !is_told {
                let why = "it has a source, and `behind`, or `parameter` with or without `file`";
                return Err(PackError(format!("{}: {why}", script.name)));
            }
        }
        let mut starts: Vec<&str> = paths.iter().flat_map(|mark| mark.shape.needles()).collect();
        starts.extend(scripts.iter().filter_map(|script| script.file.as_deref()));
        starts.extend(URL_STARTS);
        let starts = Starts::new(&starts)?;
        let named = scripts.iter().filter(|script| script.file.is_none());
        let mut names: Vec<String> = named.filter_map(|script| script.parameter.clone()).collect();
        names.push(DNS.to_owned());
        let last = names.iter().filter_map(|name| name.bytes().last());
        let last_letters = last.fold(0, |all, byte| all | letter(byte));
        Ok(Marks { starts, names, last_letters, paths, scripts })
    }

    /// What a request is by its path and query.
    pub(super) fn find(&self, seen: &Seen<'_>, path_and_query: &str) -> Option<Found<'_>> {
        let cut = memchr::memchr(b'?', path_and_query.as_bytes()).unwrap_or(path_and_query.len());
        let (path, query) = path_and_query.as_bytes().split_at(cut);
        if self.starts.are_in(path) || self.may_be_in(query) || hides_letters(path, query) {
            self.look(seen, path_and_query)
        } else {
            None
        }
    }

    /// Whether a query has a parameter of one of the names, or a value that only web proxies write.
    fn may_be_in(&self, query: &[u8]) -> bool {
        memchr::memchr_iter(b'=', query).any(|at| {
            let (name, value) = (&query[..at], &query[at + 1..]);
            let is_written = value.first_chunk().is_some_and(|start: &[u8; 4]| {
                VALUE_STARTS.contains(&start.map(|byte| byte.to_ascii_lowercase()))
            });
            let is_last = name.last().is_some_and(|last| self.last_letters & letter(*last) != 0);
            is_written || is_last && self.ends_with_name(name)
        })
    }

    #[inline(never)]
    fn ends_with_name(&self, text: &[u8]) -> bool {
        self.names.iter().any(|known| {
            let start = text.len().checked_sub(known.len());
            start.is_some_and(|start| text[start..].eq_ignore_ascii_case(known.as_bytes()))
        })
    }

    /// The same for the few that may be one.
    #[inline(never)]
    fn look(&self, seen: &Seen<'_>, path_and_query: &str) -> Option<Found<'_>> {
        let (path, query) = split(path_and_query);
        let query = query.unwrap_or_default();
        let decoded = percent(path);
        let known = self.paths.iter().find(|mark| {
            mark.shape.is_of(&decoded)
                && (!mark.websocket || seen.head.is_some_and(|head| head.websocket))
                && (!mark.query || !query.is_empty() || has_body(seen))
        });
        if let Some(mark) = known {
            return Some(certain(mark.technique, &mark.name));
        }
        if pairs(query).any(|(name, value)| is_named(name, DNS) && is_dns_question(value)) {
            return Some(certain(Technique::Doh, "DNS over HTTPS"));
        }
        self.by_parameter(&decoded, query)
            .or_else(|| written_by_proxy(query))
            .or_else(|| self.in_parts(seen, path_and_query, path.len()))
    }

    /// A script's parameter that holds a URL.
    fn by_parameter(&self, path: &str, query: &str) -> Option<Found<'_>> {
        let file = path.rsplit('/').next().unwrap_or_default();
        for script in &self.scripts {
            let Some(parameter) = &script.parameter else { continue };
            let is_file = script.file.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(file));
            let has = |wanted: &String| pairs(query).any(|(name, _)| is_named(name, wanted));
            if !is_file || !script.also.as_ref().is_none_or(has) {
                continue;
            }
            let values = pairs(query).filter(|(name, _)| is_named(name, parameter));
            let inner: Vec<InnerUrl> =
                values.filter_map(|(_, value)| script_value(value)).collect();
            if !inner.is_empty() {
                return Some(web_proxy(&script.name, inner));
            }
        }
        None
    }

    /// URLs that stand as parts of the path.
    fn in_parts(
        &self,
        seen: &Seen<'_>,
        path_and_query: &str,
        path_length: usize,
    ) -> Option<Found<'_>> {
        let path = &path_and_query[..path_length];
        let (mut start, mut before) = (0, "");
        let (mut whole, mut urls) = (0, 0);
        let mut perhaps = Vec::new();
        for part in path.split('/') {
            let rest = &path_and_query[start..];
            start += part.len() + 1;
            let word = std::mem::replace(&mut before, part);
            if !may_begin(part) {
                continue;
            }
            let mut found = url_in(part);
            if found.is_none() && whole < MOST_WHOLE && begins_url(&percent(part)) {
                whole += 1;
                found = url_in(clip(rest, MOST_INNER_BYTES));
            }
            let Some((inner, is_a_proxy_s)) = found else { continue };
            urls += 1;
            if urls > MOST_URLS {
                break;
            }
            let word = percent(word);
            let is_behind = |script: &&ScriptFile| {
                script.behind.iter().any(|known| known.eq_ignore_ascii_case(&word))
            };
            if let Some(script) = self.scripts.iter().find(is_behind) {
                return Some(web_proxy(&script.name, vec![inner]));
            }
            if is_a_proxy_s {
                return Some(web_proxy("a URL as only web proxies write it", vec![inner]));
            }
            // A site that says where its own pages are.
            if inner.host.registrable() != seen.host.registrable() && perhaps.len() < MOST_INNER {
                perhaps.push(inner);
            }
        }
        (!perhaps.is_empty()).then_some(Found {
            technique: Technique::UrlInside,
            mark: "a URL within the path",
            grade: Grade::Perhaps,
            inner: perhaps,
        })
    }
}

/// A bit for a letter of either case.
fn letter(byte: u8) -> u32 {
    1 << (byte & 31)
}

fn web_proxy(name: &str, mut inner: Vec<InnerUrl>) -> Found<'_> {
    inner.truncate(MOST_INNER);
    Found { technique: Technique::WebProxy, mark: name, grade: Grade::Certain, inner }
}

fn has_body(seen: &Seen<'_>) -> bool {
    seen.head.is_some_and(|head| !matches!(head.method, "GET" | "HEAD"))
}

/// Whether letters, digits and the like (RFC 3986, 2.3) are escaped, which nobody needs to: what is looked for
/// could stand behind them. In a path a percent sign too; in queries URLs within URLs are escaped twice.
fn hides_letters(path: &[u8], query: &[u8]) -> bool {
    let is_hidden = |text: &[u8], at: usize, percent: bool| {
        crate::host::escape(&text[at..]).is_some_and(|byte| match byte {
            b'%' => percent,
            b'-' | b'.' | b'_' | b'~' => true,
            other => other.is_ascii_alphanumeric(),
        })
    };
    memchr::memchr_iter(b'%', path).any(|at| is_hidden(path, at, true))
        || memchr::memchr_iter(b'%', query).any(|at| is_hidden(query, at, false))
}

/// Whether a part of a path may begin a URL in any coding.
fn may_begin(part: &str) -> bool {
    let first = part.trim_start().as_bytes().first();
    part.len() >= 5
        && first.is_some_and(|it| {
            matches!(it, b'h' | b'H' | b'a' | b'S' | b'Y' | b'U' | b'6' | b'u' | b'%')
        })
}

/// Whether a decoded part of a path is the beginning of a URL whose slashes are as they are: all that follows
/// belongs to it.
fn begins_url(part: &str) -> bool {
    let is_one = |start: &str| part.get(..4).is_some_and(|it| it.eq_ignore_ascii_case(start));
    match part.len() {
        5 | 6 if part.ends_with(':') => is_one("http"),
        _ => is_one("hvtr") || is_one("uggc"),
    }
}

/// The URL that a part of a path, or that with all that follows it, holds, and whether only web proxies write it
/// so.
fn url_in(text: &str) -> Option<(InnerUrl, bool)> {
    let (url, codec) = url_text(text)?;
    Some((InnerUrl::parse(&url)?, codec.is_a_proxy_s()))
}

/// A URL in the value of a script's parameter. Glype leaves out `http` or `https` before it encodes.
fn script_value(value: &str) -> Option<InnerUrl> {
    if let Some((text, _)) = url_text(value) {
        return InnerUrl::parse(&text);
    }
    let decoded = percent(value);
    let rest = super::decode::base64(&decoded)?;
    let rest = rest.strip_prefix('s').unwrap_or(&rest);
    rest.starts_with("://").then(|| InnerUrl::parse(&format!("http{rest}")))?
}

/// A parameter with a URL as only web proxies write it.
fn written_by_proxy<'p>(query: &str) -> Option<Found<'p>> {
    let inner = pairs(query).find_map(|(_, value)| {
        let (text, codec) = url_text(value)?;
        codec.is_a_proxy_s().then(|| InnerUrl::parse(&text))?
    })?;
    Some(web_proxy("a URL as only web proxies write it", vec![inner]))
}

/// Whether the value of a parameter is a DNS question (RFC 8484, 4.1; RFC 1035, 4.1.1).
fn is_dns_question(value: &str) -> bool {
    let Some(message) = base64_bytes(&percent(value)) else { return false };
    // A header, and at least the root, a type and a class.
    match message.get(..12) {
        Some([_, _, flags, _, 0, 1, 0, 0, ..]) => flags & 0xf8 == 0 && message.len() >= 17,
        _ => false,
    }
}

/// Whether a media type is that of DNS (RFC 8484, 6; RFC 9230, 5), or the form that resolvers answer programs
/// in. Who asks for one asks for nothing else before it.
pub(super) fn is_dns_type(value: &[u8]) -> bool {
    const TYPES: [&[u8]; 2] = [b"application/dns-", b"application/oblivious-dns-"];
    let begins =
        |it: &[u8]| value.get(..it.len()).is_some_and(|start| start.eq_ignore_ascii_case(it));
    TYPES.iter().any(|it| begins(it))
}
