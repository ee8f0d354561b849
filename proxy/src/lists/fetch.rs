//! Fetching lists: https with conditional requests, and a cap on every size, wait and hop.
//!
//! One download serves all lists that name the same URL. Bodies are kept in `STATE/downloads`, so
//! that an unchanged list costs the publisher one `304`.

use super::ListError;
use super::entries::hex;
use super::version::{make_folder, replace_file, write_synced};
use crate::address::{Reach, reach};
use crate::config::{Config, ListSource};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, LOCATION, USER_AGENT,
};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rules::host::Host;
use rules::time::UnixMillis;
use rustls_pki_types::ServerName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

/// Longest that one list may take to come, over all its hops.
const TOTAL_TIMEOUT_MS: u64 = 15 * 60_000;
/// Longest wait for a connection, TLS included.
const CONNECT_TIMEOUT_MS: u64 = 20_000;
/// Longest wait for a response head, or for the next part of a body.
const IDLE_TIMEOUT_MS: u64 = 60_000;
/// Most redirections.
const MAX_HOPS: usize = 5;

/// A download on disk.
#[derive(Clone, Debug)]
pub(super) struct Download {
    pub(super) path: PathBuf,
    /// SHA-256 of the body, hex.
    pub(super) hash: String,
    /// `Last-Modified`, else when it was fetched.
    pub(super) date: UnixMillis,
}

/// What the next request may tell the server that we have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    url: String,
    etag: Option<String>,
    last_modified: Option<String>,
    hash: String,
    date: UnixMillisOrZero,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct UnixMillisOrZero(i64);

/// Fetches a URL, or finds that what we have is still current.
pub(super) async fn fetch(
    config: &Config,
    list: &ListSource,
    url: &Url,
    now: UnixMillis,
) -> Result<Download, ListError> {
    let total = Duration::from_millis(TOTAL_TIMEOUT_MS);
    let failed = |why: String| ListError::Fetch { url: url.to_string(), why };
    timeout(total, fetch_kept(config, list, url, now))
        .await
        .unwrap_or_else(|_| Err(format!("took longer than {} minutes", TOTAL_TIMEOUT_MS / 60_000)))
        .map_err(failed)
}

async fn fetch_kept(
    config: &Config,
    list: &ListSource,
    url: &Url,
    now: UnixMillis,
) -> Result<Download, String> {
    let folder = config.state.join("downloads");
    make_folder(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let name = hex(&Sha256::digest(url.as_str())[..16]);
    let (body_path, kept_path) =
        (folder.join(format!("{name}.body")), folder.join(format!("{name}.json")));
    let (look, body, wanted) = (kept_path.clone(), body_path.clone(), url.clone());
    let kept = tokio::task::spawn_blocking(move || read_kept(&look, &body, &wanted));
    let kept = kept.await.unwrap_or(None);
    let response = follow(config, url, kept.as_ref()).await?;
    let download = |kept: &Kept| Download {
        path: body_path.clone(),
        hash: kept.hash.clone(),
        date: UnixMillis(kept.date.0),
    };
    if response.status() == StatusCode::NOT_MODIFIED {
        return kept
            .as_ref()
            .map(download)
            .ok_or_else(|| "answered 304 to a plain request".to_owned());
    }
    let headers = response.headers().clone();
    check_head(&headers, list.max_download_bytes)?;
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let received = receive(response.into_body(), &temporary, list.max_download_bytes).await;
    let hash = match received {
        Ok(hash) => hash,
        Err(why) => {
            let _ = std::fs::remove_file(&temporary);
            return Err(why);
        }
    };
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let last_modified = text(LAST_MODIFIED);
    let date = last_modified.as_deref().and_then(http_date).unwrap_or(now);
    let fresh = Kept {
        url: url.to_string(),
        etag: text(ETAG),
        last_modified,
        hash,
        date: UnixMillisOrZero(date.0),
    };
    let disk = |e: std::io::Error| format!("{}: {e}", folder.display());
    // The validators go last: with the old body they would claim that it is the new one.
    let _ = std::fs::remove_file(&kept_path);
    std::fs::rename(&temporary, &body_path).map_err(disk)?;
    let json = serde_json::to_vec(&fresh).map_err(|e| e.to_string())?;
    replace_file(&kept_path, |path| write_synced(path, &json)).map_err(disk)?;
    Ok(download(&fresh))
}

/// What is kept of an earlier fetch, if its body is still what was fetched.
fn read_kept(kept_path: &Path, body_path: &Path, url: &Url) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(&std::fs::read(kept_path).ok()?).ok()?;
    let mut hash = Sha256::new();
    std::io::copy(&mut std::fs::File::open(body_path).ok()?, &mut hash).ok()?;
    (kept.url == url.as_str() && kept.hash == hex(&hash.finalize())).then_some(kept)
}

fn check_head(headers: &HeaderMap, limit: u64) -> Result<(), String> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if kind.trim_start().to_ascii_lowercase().starts_with("text/html") {
        return Err("answered with a web page instead of a list".to_owned());
    }
    let length =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(format!("is larger than max_download_bytes, {limit}"));
    }
    Ok(())
}

/// Asks, following redirections, until there is an answer of 200 or 304.
async fn follow(
    config: &Config,
    url: &Url,
    kept: Option<&Kept>,
) -> Result<Response<Incoming>, String> {
    let mut here = url.clone();
    for _ in 0..=MAX_HOPS {
        let response = ask(config, &here, kept).await?;
        match response.status() {
            StatusCode::OK | StatusCode::NOT_MODIFIED => return Ok(response),
            status if status.is_redirection() => {
                let to = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
                let to = to.ok_or_else(|| format!("answered {status} without saying where"))?;
                let next = here.join(to).map_err(|_| "redirects to what is no URL".to_owned())?;
                let safe = next.scheme() == "https"
                    || (url.scheme() == "http"
                        && next.scheme() == "http"
                        && super::is_inside(&next, &config.upstream.allow_private));
                if !safe {
                    return Err(format!("redirects to {next}, which is not https"));
                }
                here = next;
            }
            status => return Err(format!("answered {status}")),
        }
    }
    Err(format!("redirects more than {MAX_HOPS} times"))
}

async fn ask(
    config: &Config,
    url: &Url,
    kept: Option<&Kept>,
) -> Result<Response<Incoming>, String> {
    let host = url.host_str().ok_or("has no host")?;
    let port = url.port_or_known_default().ok_or("has no port")?;
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::get(path)
        .header(HOST, authority)
        .header(USER_AGENT, concat!("schoolgate/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*");
    if let Some(etag) = kept.and_then(|kept| kept.etag.as_deref()) {
        request = request.header(IF_NONE_MATCH, etag);
    }
    if let Some(date) = kept.and_then(|kept| kept.last_modified.as_deref()) {
        request = request.header(IF_MODIFIED_SINCE, date);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
    let connect = async {
        let stream = dial(config, host, port).await?;
        match url.scheme() {
            "https" => send(handshake_tls(config, host, stream).await?, request).await,
            _ => send(stream, request).await,
        }
    };
    timeout(Duration::from_millis(CONNECT_TIMEOUT_MS + IDLE_TIMEOUT_MS), connect)
        .await
        .map_err(|_| "did not answer in time".to_owned())?
}

/// Dials a host as the machine file says: given addresses first, and inside the network only where it
/// allows so.
pub(crate) async fn dial(config: &Config, host: &str, port: u16) -> Result<TcpStream, String> {
    let name = Host::parse(host).map_err(|e| e.to_string())?;
    let given = config.upstream.hosts.get(&name).cloned();
    let addresses = match (given, name.address()) {
        (Some(addresses), _) => addresses,
        (None, Some(address)) => vec![address],
        (None, None) => tokio::net::lookup_host((name.as_str(), port))
            .await
            .map_err(|e| format!("no address of {name}: {e}"))?
            .map(|address| address.ip())
            .collect(),
    };
    let may_be_private = name.address().is_some_and(|address| address.is_loopback())
        || name.suffixes().any(|part| {
            config.upstream.allow_private.iter().any(|allowed| allowed.as_str() == part)
        });
    let mut why = format!("{name} leads to no address that may be dialled");
    for address in addresses {
        // A publisher's DNS must not turn the filter against the school's own network.
        match reach(address) {
            Reach::Public => {}
            Reach::Private if may_be_private => {}
            _ => continue,
        }
        let connect = TcpStream::connect(SocketAddr::new(address, port));
        match timeout(Duration::from_millis(CONNECT_TIMEOUT_MS), connect).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => why = format!("cannot be reached: {error}"),
            Err(_) => why = "cannot be reached in time".to_owned(),
        }
    }
    Err(why)
}

/// TLS with the built-in roots and the machine file's own.
pub(crate) async fn handshake_tls(
    config: &Config,
    host: &str,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let roots = crate::roots::load(&config.upstream).map_err(|e| e.to_string())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).map_err(|e| e.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    connector.connect(name, stream).await.map_err(|e| format!("TLS: {e}"))
}

async fn send<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| e.to_string())?;
    // Ends with the response's body; an error of the connection shows in the body's reader.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(|e| e.to_string())
}

/// Writes a body to a file and gives its hash.
async fn receive(mut body: Incoming, path: &Path, limit: u64) -> Result<String, String> {
    let disk = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = std::fs::File::create(path).map_err(disk)?;
    let mut hash = Sha256::new();
    let mut received = 0;
    loop {
        let frame = timeout(Duration::from_millis(IDLE_TIMEOUT_MS), body.frame())
            .await
            .map_err(|_| "stopped in the middle".to_owned())?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|e| format!("broke off: {e}"))?;
        let Some(data) = frame.data_ref() else { continue };
        received += data.len() as u64;
        if received > limit {
            return Err(format!("is larger than max_download_bytes, {limit}"));
        }
        hash.update(data);
        std::io::Write::write_all(&mut file, data).map_err(disk)?;
    }
    file.sync_all().map_err(disk)?;
    Ok(hex(&hash.finalize()))
}

/// RFC 9110, 5.6.7: the date form that servers must send.
fn http_date(text: &str) -> Option<UnixMillis> {
    let zoned = jiff::fmt::rfc2822::DateTimeParser::new().parse_zoned(text).ok()?;
    Some(UnixMillis(zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
