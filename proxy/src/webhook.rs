//! Something sent to an address of the school's choice: a POST.

use crate::config::Config;
use crate::lists::{dial, handshake_tls};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use url::Url;

/// Longest that it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the address is called in messages: paths and queries of webhooks are often secrets.
pub(crate) fn name(url: &Url) -> String {
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or("?"))
}

/// Sends a text of this media type; any answer of 2xx says that it arrived.
pub(crate) async fn post(
    config: &Config,
    url: &Url,
    kind: &str,
    text: String,
) -> Result<(), String> {
    let sending = async {
        let host = url.host_str().ok_or("has no host")?;
        let port = url.port_or_known_default().ok_or("has no port")?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let request = Request::post(path)
            .header(HOST, authority)
            .header(USER_AGENT, concat!("schoolgate/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, kind)
            .body(Full::new(Bytes::from(text)))
            .map_err(|error| error.to_string())?;
        let stream = dial(config, host, port).await?;
        match url.scheme() {
            "https" => send(handshake_tls(config, host, stream).await?, request).await,
            _ => send(stream, request).await,
        }
    };
    let answered = timeout(PATIENCE, sending).await;
    let status = answered.unwrap_or_else(|_| Err("did not answer in time".to_owned()))?;
    match status.is_success() {
        true => Ok(()),
        false => Err(format!("answered {status}")),
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let answered = sender.send_request(request).await.map_err(|error| error.to_string());
    // Its body says nothing that is needed.
    connection.abort();
    answered.map(|answer| answer.status())
}
