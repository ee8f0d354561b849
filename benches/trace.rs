//! Reads what people really asked for: the flat request table, a HAR capture or a Squid access log.

use serde::Deserialize;
use std::io::Read;
use std::path::Path;
use url::Url;

/// One recorded request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// Requests of one visit (a page of a capture, a client of a log) are played in order by one
    /// person.
    pub visit: String,
    /// When it began, in milliseconds since the recording of its page did; 0 if unknown.
    pub start_ms: u64,
    /// Method.
    pub method: String,
    /// Whether it went over TLS.
    pub https: bool,
    /// Host name or address, as a browser writes it.
    pub host: String,
    /// Path with query; `/` where a log tells only the host.
    pub path_and_query: String,
    /// Status that the origin gave; 200 where the capture has none.
    pub status: u16,
    /// Content type, empty if unknown.
    pub mime: String,
    /// Size of the request's head in bytes, 0 if unknown.
    pub request_head_bytes: usize,
    /// Size of the request's body in bytes.
    pub request_body_bytes: usize,
    /// Size of the response's head in bytes, 0 if unknown.
    pub response_head_bytes: usize,
    /// Size of the response's body in bytes, as sent.
    pub body_bytes: u64,
}

/// A trace as read.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The requests, in the order of the file.
    pub requests: Vec<Recorded>,
    /// Entries left out: no network request (`data:` URLs), no URL or no method.
    pub skipped: usize,
}

/// Reads a trace file, gzip or plain, and tells its form from what is inside.
///
/// # Errors
/// A sentence that names the file and the fault.
pub(crate) fn read(path: &Path) -> Result<Trace, String> {
    let fault = |what: String| format!("{}: {what}", path.display());
    let bytes = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes.as_slice())
            .read_to_string(&mut text)
            .map_err(|error| fault(error.to_string()))?;
    } else {
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    let trace = parse(&text).map_err(fault)?;
    if trace.requests.is_empty() {
        return Err(fault("holds no request; expected the request table, HAR or Squid log".into()));
    }
    Ok(trace)
}

pub(crate) fn parse(text: &str) -> Result<Trace, String> {
    if text.starts_with("capture\t") {
        table(text)
    } else if text.trim_start().starts_with('{') {
        har(text)
    } else {
        Ok(squid(text))
    }
}

fn table(text: &str) -> Result<Trace, String> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split('\t').collect();
    let column = |name: &str| {
        header.iter().position(|&title| title == name).ok_or(format!("no column `{name}`"))
    };
    let (capture, page) = (column("capture")?, column("page")?);
    let (method, url) = (column("method")?, column("url")?);
    let (status, mime) = (column("status")?, column("mime")?);
    let (head_up, body_up) = (column("req_header_bytes")?, column("req_body_bytes")?);
    let (head_down, body_down) = (column("resp_header_bytes")?, column("resp_wire_body_bytes")?);
    let start = column("start_ms").ok();
    let mut trace = Trace::default();
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        let cell = |at: usize| cells.get(at).copied().unwrap_or("");
        let size = |at: usize| cell(at).parse::<f64>().unwrap_or(0.0).max(0.0) as u64;
        let visit = format!("{} {}", cell(capture), cell(page));
        trace.push(
            cell(url),
            Recorded {
                start_ms: start.map_or(0, size),
                request_head_bytes: size(head_up) as usize,
                request_body_bytes: size(body_up) as usize,
                response_head_bytes: size(head_down) as usize,
                body_bytes: size(body_down),
                ..blank(&visit, cell(method), cell(status), cell(mime))
            },
        );
    }
    Ok(trace)
}

#[derive(Deserialize)]
struct Har {
    log: HarLog,
}

#[derive(Deserialize)]
struct HarLog {
    entries: Vec<HarEntry>,
}

#[derive(Deserialize)]
struct HarEntry {
    #[serde(default)]
    pageref: String,
    request: HarRequest,
    response: HarResponse,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers_size: f64,
    #[serde(default)]
    body_size: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarResponse {
    #[serde(default)]
    status: serde_json::Value,
    content: HarContent,
    #[serde(default)]
    headers_size: f64,
    #[serde(default)]
    body_size: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HarContent {
    #[serde(default)]
    size: f64,
    #[serde(default)]
    mime_type: String,
}

/// One HAR, or one a line.
fn har(text: &str) -> Result<Trace, String> {
    let mut trace = Trace::default();
    for (number, one) in serde_json::Deserializer::from_str(text).into_iter::<Har>().enumerate() {
        let one = one.map_err(|error| format!("HAR {number}: {error}"))?;
        for entry in one.log.entries {
            let size = |bytes: f64| if bytes > 0.0 { bytes as u64 } else { 0 };
            // -1 says that the browser did not know the size on the wire.
            let body_bytes = match size(entry.response.body_size) {
                0 => size(entry.response.content.size),
                on_wire => on_wire,
            };
            let visit = format!("{number} {}", entry.pageref);
            let status = entry.response.status.to_string();
            let mime = &entry.response.content.mime_type;
            trace.push(
                &entry.request.url,
                Recorded {
                    request_head_bytes: size(entry.request.headers_size) as usize,
                    request_body_bytes: size(entry.request.body_size) as usize,
                    response_head_bytes: size(entry.response.headers_size) as usize,
                    body_bytes,
                    ..blank(&visit, &entry.request.method, &status, mime)
                },
            );
        }
    }
    Ok(trace)
}

/// Squid's native format: time, duration, client, result/status, bytes, method, URL, user,
/// hierarchy/server, type. A port column after the client (an extended form) is stepped over.
fn squid(text: &str) -> Trace {
    let mut trace = Trace::default();
    for line in text.lines() {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if words.get(3).is_some_and(|word| word.parse::<u16>().is_ok()) {
            words.remove(3);
        }
        let word = |at: usize| words.get(at).copied().unwrap_or("");
        // The method is the first word in capitals behind the result; some forms put sizes between.
        let Some(method) =
            (5..words.len()).find(|&at| word(at).bytes().all(|byte| byte.is_ascii_uppercase()))
        else {
            trace.skipped += 1;
            continue;
        };
        let status = word(3).rsplit('/').next().unwrap_or("");
        let mime = words.last().filter(|last| last.contains('/')).copied().unwrap_or("");
        let connect = word(method) == "CONNECT";
        let (url, verb) = if connect {
            (format!("https://{}/", word(method + 1)), "GET")
        } else {
            (word(method + 1).to_owned(), word(method))
        };
        let body_bytes = word(4).parse().unwrap_or(0);
        trace.push(&url, Recorded { body_bytes, ..blank(word(2), verb, status, mime) });
    }
    trace
}

fn blank(visit: &str, method: &str, status: &str, mime: &str) -> Recorded {
    Recorded {
        visit: visit.to_owned(),
        start_ms: 0,
        method: method.to_owned(),
        https: false,
        host: String::new(),
        path_and_query: String::new(),
        // A request that the browser gave up on has no status; the origin then says 200.
        status: status.parse().ok().filter(|code| (200..=599).contains(code)).unwrap_or(200),
        mime: mime.to_owned(),
        request_head_bytes: 0,
        request_body_bytes: 0,
        response_head_bytes: 0,
        body_bytes: 0,
    }
}

impl Trace {
    /// Adds a request, its URL written as a browser would send it.
    fn push(&mut self, url: &str, mut recorded: Recorded) {
        let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let method_is_real = !recorded.method.is_empty()
            && recorded.method.bytes().all(|byte| byte.is_ascii_uppercase());
        let Some((url, true)) = parsed.map(|url| (url, method_is_real)) else {
            self.skipped += 1;
            return;
        };
        let Some(host) = url.host_str() else {
            self.skipped += 1;
            return;
        };
        recorded.host = host.to_owned();
        recorded.https = url.scheme() == "https";
        recorded.path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        self.requests.push(recorded);
    }
}
