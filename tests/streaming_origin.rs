//! An origin whose answers a test writes piece by piece, over HTTP/1.1 or HTTP/2 inside TLS, and which remembers what
//! of each request reached it, whole or not.

use crate::daemon::{Daemon, wait_for};
use crate::origin::OnThisThread;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

/// How long anything that must happen may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.1.
    One,
    /// HTTP/2.
    Two,
}

/// The origin; it ends with the test's process.
pub(crate) struct StreamingOrigin {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<String, Prepared>>,
    seen: Mutex<Vec<Arc<Seen>>>,
}

/// An answer that nobody has asked for yet.
struct Prepared {
    fields: Vec<(String, String)>,
    pieces: UnboundedReceiver<Bytes>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    asked: AtomicBool,
    gone: AtomicBool,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Path and query.
    pub path: String,
    /// Fields in order, names in lower case.
    pub fields: Vec<(String, String)>,
    /// As much of its body as came; what a web socket was sent.
    pub body: Mutex<Vec<u8>>,
    /// All of it came.
    pub whole: AtomicBool,
}

/// An answer that a test writes.
pub(crate) struct Streamed {
    pieces: UnboundedSender<Bytes>,
    state: Arc<State>,
}

impl Streamed {
    /// Sends a piece, once it was asked for.
    #[track_caller]
    pub(crate) fn send(&self, piece: impl Into<Vec<u8>>) {
        wait_for("the request at the origin", PATIENCE, || self.state.asked.load(SeqCst));
        // Nobody may want it any more, which is what some tests look for.
        let _ = self.pieces.send(Bytes::from(piece.into()));
    }

    /// Has a piece come with the head, or close behind it.
    pub(crate) fn send_with_head(&self, piece: impl Into<Vec<u8>>) {
        let _ = self.pieces.send(Bytes::from(piece.into()));
    }

    /// Whether whoever asked broke it off.
    pub(crate) fn is_gone(&self) -> bool {
        self.state.gone.load(SeqCst)
    }

    /// Waits until whoever asked has broken it off.
    #[track_caller]
    pub(crate) fn wait_gone(&self) -> Duration {
        wait_for("the end of the origin's connection", PATIENCE, || self.is_gone())
    }
}

impl StreamingOrigin {
    /// Starts one for these names at a port, which the school must take for one of TLS.
    pub(crate) fn start(daemon: &Daemon, names: &[&str], port: u16, version: Version) -> Self {
        let (certificate, key) = daemon.origin.certificate(names, false);
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let protocol: &[u8] = if version == Version::Two { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![protocol.to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = StdListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            tokio::task::LocalSet::new().block_on(&runtime.unwrap(), async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, shared) = (acceptor.clone(), Arc::clone(&serving));
                    tokio::task::spawn_local(async move {
                        let _ = stream.set_nodelay(true);
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        serve(TokioIo::new(stream), shared, version).await;
                    });
                }
            });
        });
        Self { shared }
    }

    /// Answers the next request for a path with these fields and what the test writes. With the field `upgrade` it
    /// changes to a web socket, of which the test writes the frames.
    pub(crate) fn stream(&self, path: &str, fields: &[(&str, &str)]) -> Streamed {
        let (pieces, taken) = unbounded_channel();
        let state = Arc::new(State::default());
        let fields = fields.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let prepared =
            Prepared { fields: fields.collect(), pieces: taken, state: Arc::clone(&state) };
        self.shared.answers.lock().unwrap().insert(path.to_owned(), prepared);
        Streamed { pieces, state }
    }

    /// What came of all requests so far, in their order.
    pub(crate) fn seen(&self) -> Vec<Arc<Seen>> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// What came of the one request for a path.
    #[track_caller]
    pub(crate) fn seen_of(&self, path: &str) -> Arc<Seen> {
        let of_path: Vec<_> = self.seen().into_iter().filter(|seen| seen.path == path).collect();
        assert_eq!(of_path.len(), 1, "{path}: {of_path:?}");
        of_path.into_iter().next().unwrap()
    }
}

async fn serve<I>(io: TokioIo<I>, shared: Arc<Shared>, version: Version)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    // Whoever breaks a connection off ends it in an error; the test sees it by the answer.
    let _ = match version {
        Version::One => {
            let builder = hyper::server::conn::http1::Builder::new();
            builder.serve_connection(io, service).with_upgrades().await
        }
        Version::Two => {
            let builder = hyper::server::conn::http2::Builder::new(OnThisThread);
            builder.serve_connection(io, service).await
        }
    };
}

async fn answer(
    shared: Arc<Shared>,
    mut request: Request<Incoming>,
) -> Result<Response<Pieces>, Infallible> {
    let text = |value: &hyper::header::HeaderValue| value.to_str().unwrap_or("?").to_owned();
    let seen = Arc::new(Seen {
        path: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        fields: request.headers().iter().map(|(name, it)| (name.to_string(), text(it))).collect(),
        body: Mutex::default(),
        whole: AtomicBool::new(false),
    });
    shared.seen.lock().unwrap().push(Arc::clone(&seen));
    let is_whole = loop {
        match request.body_mut().frame().await {
            None => break true,
            Some(Err(_)) => break false,
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    seen.body.lock().unwrap().extend_from_slice(data);
                }
            }
        }
    };
    seen.whole.store(is_whole, SeqCst);
    let prepared = shared.answers.lock().unwrap().remove(request.uri().path());
    let Some(prepared) = prepared.filter(|_| is_whole) else {
        let nothing = Response::builder().status(404).body(Pieces(None));
        return Ok(nothing.unwrap());
    };
    let Prepared { fields, pieces, state } = prepared;
    let is_socket = fields.iter().any(|(name, _)| name == "upgrade");
    let mut response = Response::builder().status(if is_socket { 101 } else { 200 });
    for (name, value) in &fields {
        response = response.header(name, value);
    }
    state.asked.store(true, SeqCst);
    if is_socket {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::task::spawn_local(async move {
            if let Ok(socket) = upgrade.await {
                converse(TokioIo::new(socket), pieces, &seen).await;
            }
            state.gone.store(true, SeqCst);
        });
        return Ok(response.body(Pieces(None)).unwrap());
    }
    Ok(response.body(Pieces(Some((pieces, state)))).unwrap())
}

/// A web socket, until either side ends it.
async fn converse(
    socket: TokioIo<hyper::upgrade::Upgraded>,
    mut pieces: UnboundedReceiver<Bytes>,
    seen: &Seen,
) {
    let (mut read, mut write) = tokio::io::split(socket);
    let mut piece = [0; 4096];
    loop {
        tokio::select! {
            said = pieces.recv() => match said {
                Some(said) => {
                    if write.write_all(&said).await.is_err() || write.flush().await.is_err() {
                        return;
                    }
                }
                None => return,
            },
            came = read.read(&mut piece) => match came {
                Ok(bytes) if bytes > 0 => {
                    seen.body.lock().unwrap().extend_from_slice(&piece[..bytes]);
                }
                _ => return,
            },
        }
    }
}

/// A body that is written while it is sent.
struct Pieces(Option<(UnboundedReceiver<Bytes>, Arc<State>)>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some((pieces, _)) = &mut self.0 else { return Poll::Ready(None) };
        match std::task::ready!(pieces.poll_recv(cx)) {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => {
                self.0 = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

impl Drop for Pieces {
    /// Before its end: whoever asked broke it off.
    fn drop(&mut self) {
        if let Some((_, state)) = &self.0 {
            state.gone.store(true, SeqCst);
        }
    }
}
