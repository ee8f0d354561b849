//! Whether the filter runs and answers, as seen from outside of it.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

/// Longest wait for an answer, in milliseconds.
const ANSWER_TIMEOUT_MS: u64 = 2_000;

/// Longest answer read, in bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Whether a daemon holds the state folder.
pub(crate) fn is_running(state: &Path) -> bool {
    let Ok(file) = File::open(state.join("serve.lock")) else { return false };
    // A shared lock, let go at once: it is refused only while a daemon holds its own.
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Asks one of the operations pages; the status and the text.
pub(crate) async fn ask(ops: SocketAddr, page: &str) -> Result<(u16, String), String> {
    let asked = tokio::time::timeout(Duration::from_millis(ANSWER_TIMEOUT_MS), ask_once(ops, page));
    match asked.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(format!("http://{ops}{page}: {error}")),
        Err(_) => Err(format!("http://{ops}{page}: no answer in {ANSWER_TIMEOUT_MS} ms")),
    }
}

async fn ask_once(
    ops: SocketAddr,
    page: &str,
) -> Result<(u16, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(ops).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = hyper::Request::get(page)
        .header(hyper::header::HOST, ops.to_string())
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await?.to_bytes();
    driver.abort();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
