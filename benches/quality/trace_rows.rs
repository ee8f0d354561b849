//! Recorded browsing as the rows of an access log: browser captures and Squid logs of the shared folder.
//!
//! The captures are single pages, each by somebody of their own, and one crawl of 214 pages of a newspaper,
//! which is taken as one person who opens a page every half minute. The Squid logs are of one person over some
//! months and of a few people over minutes.

use super::Fault;
use super::shared::Shared;
use url::Url;

/// Half a minute, in milliseconds.
const PAGE_MS: i64 = 30_000;

/// One request.
pub(crate) struct Request {
    /// Which recording it is of.
    pub trace: &'static str,
    /// Who asked.
    pub person: String,
    /// When, in milliseconds; within a recording.
    pub at_ms: i64,
    /// Method.
    pub method: String,
    /// Address.
    pub url: Url,
    /// The page it was fetched for, where the recording says so.
    pub page: Option<String>,
}

/// All recordings, each in the order of time.
///
/// # Errors
/// They are not there.
pub(crate) fn read(shared: &Shared) -> Result<Vec<Request>, Fault> {
    let mut requests = captures(&shared.text("traces/har_requests.tsv")?)?;
    for (trace, file) in [
        ("Squid, one person", "sslbump-2020.access.log"),
        ("Squid, several", "multiuser-2006.access.log"),
        ("Squid, tunnels", "tunnel-2018.access.log"),
        ("Squid, extended", "extended-format-2026.log"),
    ] {
        squid(trace, &shared.text(&format!("traces/squid/{file}"))?, &mut requests);
    }
    // Stable: what was asked in the same millisecond stays as recorded.
    requests.sort_by(|left, right| (left.trace, left.at_ms).cmp(&(right.trace, right.at_ms)));
    Ok(requests)
}

/// Reads the table of the captures.
///
/// # Errors
/// A column that is needed is not there.
pub(crate) fn captures(text: &str) -> Result<Vec<Request>, Fault> {
    let mut lines = text.lines();
    let titles: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let column = |name: &str| {
        let at = titles.iter().position(|title| *title == name);
        at.ok_or_else(|| format!("har_requests.tsv: no column {name}"))
    };
    let (capture, page, start) = (column("capture")?, column("page")?, column("start_ms")?);
    let (method, url) = (column("method")?, column("url")?);
    let mut requests = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        let Some(url) = web_url(cell(url)) else { continue };
        let crawl = cell(capture).strip_prefix("lalibre_");
        let opened_ms =
            crawl.and_then(|number| number.parse().ok()).map_or(0, |at: i64| at * PAGE_MS);
        let start_ms = cell(start).parse::<f64>().unwrap_or(0.0) as i64;
        // One capture does not say its method.
        let method = if cell(method) == "?" { "GET" } else { cell(method) };
        requests.push(Request {
            trace: if crawl.is_some() { "crawl of a newspaper" } else { "single pages" },
            person: if crawl.is_some() { "crawl".to_owned() } else { cell(capture).to_owned() },
            at_ms: opened_ms + start_ms,
            method: method.to_owned(),
            url,
            page: Some(format!("{} {}", cell(capture), cell(page))),
        });
    }
    Ok(requests)
}

/// Squid's native format: time, duration, client, result/status, bytes, method, URL, user. The extended
/// form has a port behind the client and sizes before the method.
pub(crate) fn squid(trace: &'static str, text: &str, requests: &mut Vec<Request>) {
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_method =
            |word: &&str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        let Some(at) = words.iter().skip(4).position(is_method).map(|at| at + 4) else { continue };
        let word = |at: usize| words.get(at).copied().unwrap_or_default();
        let url = match word(at) {
            "CONNECT" => format!("https://{}/", word(at + 1)),
            _ => word(at + 1).to_owned(),
        };
        let Some(url) = web_url(&url) else { continue };
        // The extended form has the protocol's version before the user.
        let user_at = if word(at + 2).contains('.') { at + 3 } else { at + 2 };
        let person = match word(user_at) {
            "-" | "" => word(2),
            user => user,
        };
        let at_ms = word(0).parse::<f64>().unwrap_or(0.0) * 1e3;
        requests.push(Request {
            trace,
            person: person.to_owned(),
            at_ms: at_ms as i64,
            method: word(at).to_owned(),
            url,
            page: None,
        });
    }
}

fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.host().is_some()).then_some(url)
}
