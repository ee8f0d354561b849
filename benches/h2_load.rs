//! HTTP/2 through tunnels that are looked into: a few connections, several streams on each, every
//! stream asking again as soon as it is answered.

use crate::load::{Person, Tally, is_of_sites};
use crate::origin::{Asked, OnThisThread};
use crate::wire::{Head, find_head_end};
use hyper::body::Body;
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// A request without a body.
type Nothing = http_body_util::Empty<hyper::body::Bytes>;

/// Longest that one request may take before it counts as failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// What to send, and how.
#[derive(Clone)]
pub(crate) struct H2Load {
    /// The proxy.
    pub target: SocketAddr,
    /// TLS inside the tunnels.
    pub tls: Arc<ClientConfig>,
    /// One entry a connection: who uses it, the site and its port.
    pub connections: Vec<(Person, String, u16)>,
    /// Streams at a time on each.
    pub streams: usize,
    /// Length of the answers' bodies, in bytes.
    pub body_bytes: u64,
    /// How long; requests in flight are finished.
    pub length: Duration,
    /// Rest of a stream before each request.
    pub pause: Duration,
}

/// Runs a load to its end.
pub(crate) fn run(load: &H2Load) -> io::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tally = Rc::new(RefCell::new(Tally::default()));
    let begun = Instant::now();
    let until = begun + load.length;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let connections: Vec<_> = load
            .connections
            .iter()
            .cloned()
            .map(|whom| {
                let (load, tally) = (load.clone(), Rc::clone(&tally));
                tokio::task::spawn_local(async move {
                    if let Err(error) = converse(&load, whom, until, &tally).await {
                        tally.borrow_mut().fail(format!("HTTP/2: {error}"));
                    }
                })
            })
            .collect();
        for connection in connections {
            // A task that panicked shows on standard error.
            let _ = connection.await;
        }
    });
    let mut tally = Rc::try_unwrap(tally).map(RefCell::into_inner).unwrap_or_default();
    tally.elapsed = begun.elapsed();
    Ok(tally)
}

/// Opens a tunnel, TLS and HTTP/2 in it.
pub(crate) async fn open(
    target: SocketAddr,
    tls: &Arc<ClientConfig>,
    person: &Person,
    authority: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(person.address, 0))?;
    let mut stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    let head =
        format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n", person.credentials);
    stream.write_all(head.as_bytes()).await?;
    let mut read = Vec::new();
    while find_head_end(&read).is_none() {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = Head::parse(&read).status();
    if status != 200 {
        return Err(io::Error::other(format!("CONNECT got {status}")));
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    TlsConnector::from(Arc::clone(tls)).connect(name, stream).await
}

async fn converse(
    load: &H2Load,
    (person, host, port): (Person, String, u16),
    until: Instant,
    tally: &Rc<RefCell<Tally>>,
) -> io::Result<()> {
    let authority = format!("{host}:{port}");
    tally.borrow_mut().decisions += 1;
    let stream = open(load.target, &load.tls, &person, &authority).await?;
    tally.borrow_mut().handshakes += 1;
    // A tunnel that is not looked into leads to the site itself.
    let decided = u64::from(!is_of_sites(stream.get_ref().1.peer_certificates()));
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(io::Error::other("the proxy does not speak HTTP/2"));
    }
    let builder = hyper::client::conn::http2::Builder::new(OnThisThread);
    let (sender, connection) =
        builder.handshake::<_, Nothing>(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let driver = tokio::task::spawn_local(connection);
    let streams: Vec<_> = (0..load.streams)
        .map(|_| {
            let (sender, authority) = (sender.clone(), authority.clone());
            let (tally, body_bytes, pause) = (Rc::clone(tally), load.body_bytes, load.pause);
            tokio::task::spawn_local(async move {
                while Instant::now() < until && !sender.is_closed() {
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                    count(&tally, decided, ask(sender.clone(), &authority, body_bytes)).await;
                }
            })
        })
        .collect();
    for stream in streams {
        let _ = stream.await;
    }
    drop(sender);
    // What is left is the goodbye.
    let _ = tokio::time::timeout(Duration::from_secs(1), driver).await;
    Ok(())
}

async fn count(
    tally: &RefCell<Tally>,
    decided: u64,
    asking: impl Future<Output = io::Result<Answered>>,
) {
    tally.borrow_mut().decisions += decided;
    let begun = Instant::now();
    let outcome = tokio::time::timeout(REQUEST_TIMEOUT, asking)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let took = begun.elapsed();
    let mut tally = tally.borrow_mut();
    tally.latencies_us.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    match outcome {
        Ok(answer) => {
            tally.body_bytes += answer.body_bytes;
            match (answer.from_origin, answer.status) {
                (true, _) => tally.allowed += 1,
                (false, StatusCode::FORBIDDEN) => tally.blocked += 1,
                (false, status) => tally.fail(format!("the proxy answered {status} on HTTP/2")),
            }
        }
        Err(error) => tally.fail(format!("HTTP/2: {error}")),
    }
}

/// One answer, read whole.
struct Answered {
    status: StatusCode,
    from_origin: bool,
    body_bytes: u64,
}

async fn ask(
    mut sender: SendRequest<Nothing>,
    authority: &str,
    body_bytes: u64,
) -> io::Result<Answered> {
    let asked =
        Asked { status: 200, body_bytes, pad_bytes: 0, mime: "text/html".to_owned() }.header();
    let request = Request::get(format!("https://{authority}/page?number=1"))
        .header("user-agent", "Mozilla/5.0 (replay)")
        .header("accept", "*/*")
        .header("x-replay", asked)
        .body(Nothing::new())
        .map_err(io::Error::other)?;
    sender.ready().await.map_err(io::Error::other)?;
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = answer.status();
    let from_origin = answer.headers().contains_key("x-origin");
    let mut body = answer.into_body();
    let mut body_bytes = 0;
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            body_bytes += data.len() as u64;
        }
    }
    Ok(Answered { status, from_origin, body_bytes })
}
