//! Recorded browsing as the rows of an access log: browser captures and Squid logs of the shared folder.
//!
//! The captures are single pages, each by somebody of their own, and one crawl of 214 pages of a newspaper,
//! which is taken as one person who opens a page every half minute. The Squid logs are of one person over some
//! months and of a few people over minutes.

use super::Fault;
use super::shared::Shared;
use std::collections::{BTreeMap, HashMap, VecDeque};
use url::Url;

/// The fields of a head, by name in small letters.
pub(crate) type Fields = BTreeMap<String, String>;

/// How the table's names of the crawl's captures begin.
const CRAWL: &str = "lalibre_";

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
    /// The browser capture that it is of.
    pub capture: Option<String>,
    /// The head's fields; empty where the recording has none.
    pub fields: Fields,
    /// What it was answered; 0: not known.
    pub status: u16,
}

/// All recordings, each in the order of time.
///
/// # Errors
/// They are not there.
pub(crate) fn read(shared: &Shared) -> Result<Vec<Request>, Fault> {
    let mut requests = captures(&shared.text("traces/har_requests.tsv")?)?;
    add_heads(shared, &mut requests)?;
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
    let status = column("status").ok();
    let mut requests = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        let Some(url) = web_url(cell(url)) else { continue };
        let crawl = cell(capture).strip_prefix(CRAWL);
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
            capture: Some(cell(capture).to_owned()),
            fields: Fields::new(),
            status: status.and_then(|at| cell(at).parse().ok()).unwrap_or(0),
        });
    }
    Ok(requests)
}

/// What the captures' heads say, which the table leaves out. Both have the same requests in the same order.
fn add_heads(shared: &Shared, requests: &mut [Request]) -> Result<(), Fault> {
    let mut heads: HashMap<(String, Url), VecDeque<Fields>> = HashMap::new();
    for name in shared.names("traces/har")? {
        let Some((capture, form)) = name.split_once(".har") else {
            continue;
        };
        let text = shared.text(&format!("traces/har/{}", name.trim_end_matches(".gz")))?;
        // The crawl has a capture a line, which the table numbers.
        let is_crawl = form.starts_with(".jsonl");
        let whole = [text.as_str()];
        let texts: Vec<&str> = if is_crawl { text.lines().collect() } else { whole.to_vec() };
        let capture = if is_crawl { CRAWL } else { capture };
        for text in texts {
            let read: serde_json::Value = serde_json::from_str(text)?;
            for entry in read["log"]["entries"].as_array().into_iter().flatten() {
                let request = &entry["request"];
                let Some(url) = web_url(request["url"].as_str().unwrap_or_default()) else {
                    continue;
                };
                heads.entry((capture.to_owned(), url)).or_default().push_back(fields(request));
            }
        }
    }
    for request in requests {
        let capture = request.capture.as_deref().unwrap_or_default();
        let capture = if capture.starts_with(CRAWL) { CRAWL } else { capture };
        let of_url = heads.get_mut(&(capture.to_owned(), request.url.clone()));
        let head = of_url.and_then(VecDeque::pop_front);
        request.fields = head.ok_or_else(|| format!("no head of {} in {capture}", request.url))?;
    }
    Ok(())
}

fn fields(request: &serde_json::Value) -> Fields {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let headers = request["headers"].as_array().into_iter().flatten();
    headers.map(|field| (text(&field["name"]).to_lowercase(), text(&field["value"]))).collect()
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
            capture: None,
            fields: Fields::new(),
            status: 0,
        });
    }
}

fn web_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.host().is_some()).then_some(url)
}
