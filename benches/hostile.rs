//! Peers that mean no good, or are broken: each kind comes from an address of its own, does its one
//! thing over and over, and knows how many records that must leave.

use crate::cases::PLAIN_HOST;
use crate::h2_load;
use crate::load::Person;
use crate::origin::{Asked, OnThisThread};
use crate::wire::{Head, find_head_end};
use hyper::Request;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Addresses that idle connections come from.
const IDLE_ADDRESSES: u8 = 20;

/// Streams that one peer resets at once.
const RESETS: usize = 100;

/// Longest that one thing may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whom they turn against, and with what.
pub(crate) struct Hostile {
    /// The proxy.
    pub proxy: SocketAddr,
    /// Port of the origin without TLS.
    pub plain: u16,
    /// Port of the origin with TLS.
    pub secure: u16,
    /// `Proxy-Authorization` line of somebody whose tunnels are looked into.
    pub credentials: String,
    /// TLS that trusts the proxy.
    pub http1: Arc<ClientConfig>,
    /// The same for HTTP/2.
    pub http2: Arc<ClientConfig>,
    /// Connections that say nothing, at a time.
    pub idle: usize,
}

/// What one kind did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    /// What it does.
    pub name: &'static str,
    /// How often it did it.
    pub times: u64,
    /// Fewest records that this may leave.
    pub least: u64,
    /// Most.
    pub most: u64,
    /// How often the proxy did not react as it should.
    pub odd: u64,
    /// The first of those, in words.
    pub oddities: Vec<String>,
    number: u8,
}

impl Done {
    /// Where it came from.
    pub(crate) fn addresses(&self) -> Vec<String> {
        match self.number {
            IDLE => (1..=IDLE_ADDRESSES).map(|last| format!("127.31.0.{last}")).collect(),
            number => vec![format!("127.30.0.{number}")],
        }
    }
}

impl Done {
    fn count(&mut self, outcome: io::Result<Records>) {
        self.times += 1;
        match outcome {
            Ok((least, most)) => {
                self.least += least;
                self.most += most;
            }
            Err(error) => {
                self.odd += 1;
                // How far it came is not known.
                self.most += 2;
                if self.oddities.len() < 3 {
                    self.oddities.push(error.to_string());
                }
            }
        }
    }
}

/// How many records one go leaves: fewest and most.
type Records = (u64, u64);

/// The kinds: what each does, and the pause between two goes in milliseconds.
const KINDS: [(&str, u64); 14] = [
    ("half a head, then nothing", 50),
    ("garbage instead of HTTP", 20),
    ("garbage instead of TLS", 20),
    ("a handshake broken off", 20),
    ("a certificate refused", 20),
    ("streams reset at once", 100),
    ("an upload that stalls", 100),
    ("a tunnel that stays silent", 100),
    ("an answer nobody reads", 100),
    ("a head without end", 50),
    ("two lengths in one request", 50),
    ("garbage instead of HTTP/2", 50),
    ("an unseen tunnel broken off", 50),
    ("thousands that say nothing", 0),
];
/// The last of them, which has several addresses.
const IDLE: u8 = KINDS.len() as u8;
/// How many of each kind at a time.
const AT_A_TIME: usize = 2;

impl Hostile {
    /// Runs all kinds at once, for so long.
    pub(crate) fn run(&self, length: Duration) -> io::Result<Vec<Done>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let until = Instant::now() + length;
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let kinds = (1..=IDLE).map(|number| self.repeat(number, until));
            let mut all = Vec::new();
            let mut running: Vec<_> = kinds.map(Box::pin).collect();
            std::future::poll_fn(|cx| {
                running.retain_mut(|kind| match kind.as_mut().poll(cx) {
                    std::task::Poll::Ready(done) => {
                        all.push(done);
                        false
                    }
                    std::task::Poll::Pending => true,
                });
                match running.is_empty() {
                    true => std::task::Poll::Ready(()),
                    false => std::task::Poll::Pending,
                }
            })
            .await;
            all.sort_by_key(|done| done.number);
            Ok(all)
        })
    }

    async fn repeat(&self, number: u8, until: Instant) -> Done {
        let (name, pause_ms) = KINDS[usize::from(number) - 1];
        let done = Rc::new(std::cell::RefCell::new(Done { name, number, ..Done::default() }));
        let abreast = if number == IDLE { 1 } else { AT_A_TIME };
        let one = async || {
            while Instant::now() < until {
                let outcome = tokio::time::timeout(PATIENCE, self.once(number)).await;
                let outcome = outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                done.borrow_mut().count(outcome);
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
        };
        match abreast {
            1 => one().await,
            _ => {
                tokio::join!(one(), one());
            }
        }
        done.take()
    }

    /// One go of a kind.
    async fn once(&self, number: u8) -> io::Result<Records> {
        let from = IpAddr::V4(Ipv4Addr::new(127, 30, 0, number));
        match number {
            1 => self.half_a_head(from).await,
            2 => self.garbage(from).await,
            3 => self.garbage_for_tls(from).await,
            4 => self.broken_handshake(from).await,
            5 => self.refused_certificate(from).await,
            6 => self.rapid_resets(from).await,
            7 => self.stalled_upload(from).await,
            8 => self.silent_tunnel(from).await,
            9 => self.unread_answer(from).await,
            10 => self.endless_head(from).await,
            11 => self.two_lengths(from).await,
            12 => self.garbage_for_http2(from).await,
            13 => self.unseen_tunnel(from).await,
            _ => self.idle().await,
        }
    }

    async fn connect(&self, from: IpAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        let stream = socket.connect(self.proxy).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A tunnel, signed in or not.
    async fn tunnel(&self, from: IpAddr, credentials: &str) -> io::Result<TcpStream> {
        let mut stream = self.connect(from).await?;
        let authority = format!("{PLAIN_HOST}:{}", self.secure);
        let head =
            format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credentials}\r\n");
        stream.write_all(head.as_bytes()).await?;
        expect(&mut stream, 200).await?;
        Ok(stream)
    }

    async fn half_a_head(&self, from: IpAddr) -> io::Result<Records> {
        let mut stream = self.connect(from).await?;
        stream.write_all(b"GET http://replay.test/ HTTP/1.1\r\nHost: rep").await?;
        // The proxy's patience ends first, and it says so.
        wait_for_end(&mut stream).await;
        Ok((1, 1))
    }

    async fn garbage(&self, from: IpAddr) -> io::Result<Records> {
        let mut stream = self.connect(from).await?;
        let garbage: Vec<u8> = (0..200u8).map(|byte| byte.wrapping_mul(37) | 0x80).collect();
        stream.write_all(&garbage).await?;
        stream.write_all(b"\r\n\r\n").await?;
        expect(&mut stream, 400).await?;
        wait_for_end(&mut stream).await;
        Ok((1, 1))
    }

    async fn garbage_for_tls(&self, from: IpAddr) -> io::Result<Records> {
        let mut stream = self.tunnel(from, &self.credentials).await?;
        // The start of a ClientHello, and then none.
        let mut hello = vec![0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
        hello.resize(205, 0xff);
        stream.write_all(&hello).await?;
        wait_for_end(&mut stream).await;
        Ok((2, 2))
    }

    async fn broken_handshake(&self, from: IpAddr) -> io::Result<Records> {
        let mut stream = self.tunnel(from, &self.credentials).await?;
        let name = ServerName::try_from(PLAIN_HOST).map_err(io::Error::other)?;
        let mut session =
            ClientConnection::new(Arc::clone(&self.http1), name).map_err(io::Error::other)?;
        let mut hello = Vec::new();
        session.write_tls(&mut hello)?;
        stream.write_all(&hello).await?;
        let mut some = [0; 64];
        if stream.read(&mut some).await? == 0 {
            return Err(io::Error::other("no ServerHello"));
        }
        stream.set_zero_linger()?;
        Ok((1, 1))
    }

    async fn refused_certificate(&self, from: IpAddr) -> io::Result<Records> {
        let stream = self.tunnel(from, &self.credentials).await?;
        let name = ServerName::try_from(PLAIN_HOST).map_err(io::Error::other)?;
        let mut config = ClientConfig::clone(&self.http1);
        let provider = Arc::clone(config.crypto_provider());
        config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
            Ok(_) => Err(io::Error::other("a certificate of nobody was taken")),
            Err(_) => Ok((1, 1)),
        }
    }

    async fn rapid_resets(&self, from: IpAddr) -> io::Result<Records> {
        let person = Person { address: from, credentials: self.credentials.clone() };
        let authority = format!("{PLAIN_HOST}:{}", self.secure);
        let stream = h2_load::open(self.proxy, &self.http2, &person, &authority).await?;
        let builder = hyper::client::conn::http2::Builder::new(OnThisThread);
        let (mut sender, connection) = builder
            .handshake::<_, http_body_util::Empty<hyper::body::Bytes>>(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let driver = tokio::task::spawn_local(connection);
        let asked = Asked { status: 200, body_bytes: 50_000, pad_bytes: 0, mime: String::new() };
        for number in 0..RESETS {
            if sender.ready().await.is_err() {
                break;
            }
            let request = Request::get(format!("https://{authority}/"))
                .header("x-replay", asked.header())
                .body(http_body_util::Empty::new())
                .map_err(io::Error::other)?;
            // Dropped, it is reset; every tenth after a moment, so that some are under way.
            let answer = sender.send_request(request);
            if number % 10 == 0 {
                let _ = tokio::time::timeout(Duration::from_millis(1), answer).await;
            }
        }
        drop(sender);
        let _ = tokio::time::timeout(Duration::from_millis(500), driver).await;
        Ok((1, 1 + RESETS as u64))
    }

    async fn stalled_upload(&self, from: IpAddr) -> io::Result<Records> {
        let mut stream = self.connect(from).await?;
        let authority = format!("{PLAIN_HOST}:{}", self.plain);
        let head = format!(
            "POST http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n{}Content-Length: 1000\r\n\r\nsome",
            self.credentials
        );
        stream.write_all(head.as_bytes()).await?;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            stream.write_all(b"more").await?;
        }
        Ok((1, 1))
    }

    async fn silent_tunnel(&self, from: IpAddr) -> io::Result<Records> {
        let mut stream = self.tunnel(from, &self.credentials).await?;
        wait_for_end(&mut stream).await;
        Ok((1, 1))
    }

    async fn unread_answer(&self, from: IpAddr) -> io::Result<Records> {
        let mut stream = self.connect(from).await?;
        let authority = format!("{PLAIN_HOST}:{}", self.plain);
        let asked =
            Asked { status: 200, body_bytes: 50_000_000, pad_bytes: 0, mime: String::new() };
        let head = format!(
            "GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n{}X-Replay: {}\r\n\r\n",
            self.credentials,
            asked.header()
        );
        stream.write_all(head.as_bytes()).await?;
        expect(&mut stream, 200).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok((1, 1))
    }

    async fn endless_head(&self, from: IpAddr) -> io::Result<Records> {
        let mut stream = self.connect(from).await?;
        let mut head = b"GET http://replay.test/ HTTP/1.1\r\nHost: replay.test\r\n".to_vec();
        for number in 0..100 {
            head.extend_from_slice(format!("X-{number}: {}\r\n", "x".repeat(1000)).as_bytes());
        }
        // The proxy may answer and close before all of it is out.
        let _ = stream.write_all(&head).await;
        wait_for_end(&mut stream).await;
        Ok((1, 1))
    }

    async fn two_lengths(&self, from: IpAddr) -> io::Result<Records> {
        let mut stream = self.connect(from).await?;
        let authority = format!("{PLAIN_HOST}:{}", self.plain);
        let head = format!(
            "POST http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n{}Content-Length: 4\r\n\
             Content-Length: 5\r\n\r\nabcde",
            self.credentials
        );
        stream.write_all(head.as_bytes()).await?;
        expect(&mut stream, 400).await?;
        wait_for_end(&mut stream).await;
        Ok((1, 1))
    }

    async fn garbage_for_http2(&self, from: IpAddr) -> io::Result<Records> {
        let person = Person { address: from, credentials: self.credentials.clone() };
        let authority = format!("{PLAIN_HOST}:{}", self.secure);
        let mut stream = h2_load::open(self.proxy, &self.http2, &person, &authority).await?;
        stream.write_all(&[0x55; 300]).await?;
        stream.flush().await?;
        let mut some = [0; 1024];
        while stream.read(&mut some).await.is_ok_and(|bytes| bytes > 0) {}
        // That it could not be read may be recorded; it was nobody's request.
        Ok((1, 2))
    }

    async fn unseen_tunnel(&self, from: IpAddr) -> io::Result<Records> {
        // A port without TLS is a plain tunnel.
        let mut stream = self.connect(from).await?;
        let authority = format!("{PLAIN_HOST}:{}", self.plain);
        let head = format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n",
            self.credentials
        );
        stream.write_all(head.as_bytes()).await?;
        expect(&mut stream, 200).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nX-Replay: 200 9000000 0 \r\n\r\n").await?;
        let mut some = [0; 4096];
        let _ = stream.read(&mut some).await?;
        stream.set_zero_linger()?;
        Ok((1, 1))
    }

    /// Fills up with connections that say nothing, and holds them for a while.
    async fn idle(&self) -> io::Result<Records> {
        let mut open = Vec::with_capacity(self.idle);
        for number in 0..self.idle {
            let last = (number % usize::from(IDLE_ADDRESSES)) as u8 + 1;
            open.push(self.connect(IpAddr::V4(Ipv4Addr::new(127, 31, 0, last))).await?);
            if number % 50 == 49 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        tokio::time::sleep(Duration::from_secs(8)).await;
        Ok((0, 0))
    }
}

/// Reads an answer's head.
async fn expect(stream: &mut TcpStream, status: u16) -> io::Result<()> {
    let mut read = Vec::new();
    while find_head_end(&read).is_none() {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::Error::other(format!("closed instead of {status}")));
        }
    }
    match Head::parse(&read[..find_head_end(&read).unwrap_or(0)]).status() {
        found if found == status => Ok(()),
        found => Err(io::Error::other(format!("{found} instead of {status}"))),
    }
}

/// Waits until the proxy closes; a reset is a way to close.
async fn wait_for_end(stream: &mut TcpStream) {
    let mut some = [0; 4096];
    while stream.read(&mut some).await.is_ok_and(|bytes| bytes > 0) {}
}
