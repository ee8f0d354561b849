//! A fake origin: answers on plain HTTP and on HTTPS, and remembers everything it was asked, so that
//! a test can say that nothing reached it.
//!
//! What it answers is chosen by the path:
//!
//! | path | answer |
//! |-|-|
//! | `/size/N` | N bytes |
//! | `/status/N` | that status, with a short body |
//! | `/echo` | what it was asked, as JSON |
//! | `/slow/MS` | `slow` after so many milliseconds |
//! | `/drip` | a chunk every 20 ms until the other side goes away |
//! | `/rush` | bytes as fast as they go until the other side goes away |
//! | `/trailers` | a chunked body with a trailer |
//! | `/upgrade` | 101, then every byte back |
//! | `/gzip/...`, `/piecewise/...` | as the rest would be answered: with that coding; in pieces of 2 kB, one every 10 ms |
//! | what [`Origin::answer_with`] was given | that, as it stands |
//! | anything else | a file of a folder it was given, else 404 |

use crate::wire::{BodyLength, Head, find_head_end};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Request line, e.g. `GET /page HTTP/1.1`.
    pub line: String,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, without its framing.
    pub body: Vec<u8>,
    /// Whether it came over TLS.
    pub tls: bool,
}

impl Asked {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A running fake origin; it ends when dropped.
pub(crate) struct Origin {
    /// Where it answers plain HTTP.
    pub http: SocketAddr,
    /// Where it answers HTTPS.
    pub https: SocketAddr,
    /// The certificate authority to trust, in PEM.
    pub authority_pem: String,
    issuer: Issuer,
    shared: Arc<Shared>,
}

type Issuer = rcgen::Issuer<'static, rcgen::KeyPair>;

/// A body in pieces, each so many milliseconds after the one before, behind a head.
#[derive(Clone)]
struct Answer {
    head: String,
    pieces: Vec<(u64, Vec<u8>)>,
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Vec<Asked>>,
    connections: Mutex<u64>,
    folders: Mutex<BTreeMap<String, PathBuf>>,
    answers: Mutex<BTreeMap<String, Answer>>,
    ended: AtomicBool,
}

impl Origin {
    /// Starts one for these host names.
    pub(crate) fn start(names: &[&str]) -> Self {
        let shared = Arc::new(Shared::default());
        let (tls, authority_pem, issuer) = certificates(names);
        let http = listen(Arc::clone(&shared), |stream, shared| {
            let _gone = serve(stream, shared, false);
        });
        let https = listen(Arc::clone(&shared), move |mut stream, shared| {
            let Ok(mut session) = rustls::ServerConnection::new(Arc::clone(&tls)) else { return };
            let _gone = serve(rustls::Stream::new(&mut session, &mut stream), shared, true);
            session.send_close_notify();
            let _gone = session.complete_io(&mut stream);
        });
        Self { http, https, authority_pem, issuer, shared }
    }

    /// A certificate of its authority for another server, and the certificate's key, both in PEM.
    /// An expired one ended in 2020.
    pub(crate) fn certificate(&self, names: &[&str], expired: bool) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Answers paths below `/prefix/` with the files of a folder.
    pub(crate) fn add_folder(&self, prefix: &str, folder: PathBuf) {
        self.shared.folders.lock().unwrap().insert(prefix.to_owned(), folder);
    }

    /// Answers a path, whatever its query, with a status and fields (`200 OK\r\nName: value\r\n`) and a body in pieces,
    /// each so many milliseconds after the one before. Without `Content-Length` the body is chunked.
    pub(crate) fn answer_with(&self, path: &str, head: &str, pieces: &[(u64, &[u8])]) {
        let pieces = pieces.iter().map(|(wait, piece)| (*wait, piece.to_vec())).collect();
        let answer = Answer { head: head.to_owned(), pieces };
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// Everything asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Connections so far, with or without a request.
    pub(crate) fn connections(&self) -> u64 {
        *self.shared.connections.lock().unwrap()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        for address in [self.http, self.https] {
            // Wakes the thread that waits for connections.
            let _ = TcpStream::connect(address);
        }
    }
}

fn listen(
    shared: Arc<Shared>,
    serve: impl Fn(TcpStream, &Shared) + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if shared.ended.load(Ordering::Relaxed) {
                return;
            }
            let Ok(stream) = stream else { continue };
            *shared.connections.lock().unwrap() += 1;
            let (serve, shared) = (serve.clone(), Arc::clone(&shared));
            std::thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
                serve(stream, &shared);
            });
        }
    });
    address
}

/// A certificate authority and a certificate of it for these names.
fn certificates(names: &[&str]) -> (Arc<ServerConfig>, String, Issuer) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Test authority");
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority_cert = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(names).unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), authority_cert.pem(), issuer)
}

fn serve<S: Read + Write>(mut stream: S, shared: &Shared, tls: bool) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let Some(asked) = read_request(&mut stream, &mut buffer, tls)? else { return Ok(()) };
        let close = asked.header("connection").is_some_and(|value| value.contains("close"));
        shared.asked.lock().unwrap().push(asked.clone());
        answer(&mut stream, &asked, shared)?;
        if close {
            return Ok(());
        }
    }
}

fn read_more<S: Read>(stream: &mut S, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 16 * 1024];
    let bytes = stream.read(&mut piece)?;
    buffer.extend_from_slice(&piece[..bytes]);
    Ok(bytes)
}

fn read_request<S: Read + Write>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    tls: bool,
) -> io::Result<Option<Asked>> {
    let end = loop {
        if let Some(end) = find_head_end(buffer) {
            break end;
        }
        if read_more(stream, buffer)? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let length = Head::parse(&buffer[..end]).request_body_length();
    buffer.drain(..end);
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or("").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut asked = Asked { line, headers, body: Vec::new(), tls };
    if asked.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    asked.body = read_body(stream, buffer, length)?;
    Ok(Some(asked))
}

fn read_body<S: Read>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    length: BodyLength,
) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    match length {
        BodyLength::Exact(bytes) => {
            let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
            while buffer.len() < bytes {
                if read_more(stream, buffer)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            body.extend(buffer.drain(..bytes));
        }
        BodyLength::Chunked => loop {
            let size = read_line(stream, buffer)?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16)
                .map_err(io::Error::other)?;
            if size == 0 {
                while !read_line(stream, buffer)?.is_empty() {}
                break;
            }
            while buffer.len() < size + 2 {
                if read_more(stream, buffer)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            body.extend(buffer.drain(..size));
            buffer.drain(..2);
        },
        BodyLength::ToClose => {}
    }
    Ok(body)
}

fn read_line<S: Read>(stream: &mut S, buffer: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = buffer.windows(2).position(|two| two == b"\r\n") {
            let line = String::from_utf8_lossy(&buffer[..end]).into_owned();
            buffer.drain(..end + 2);
            return Ok(line);
        }
        if read_more(stream, buffer)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn answer<S: Read + Write>(stream: &mut S, asked: &Asked, shared: &Shared) -> io::Result<()> {
    let target = asked.line.split(' ').nth(1).unwrap_or("/");
    let path = target.split('?').next().unwrap_or("/");
    let (first, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let number = || rest.parse::<usize>().unwrap_or(0);
    let given = shared.answers.lock().unwrap().get(path).cloned();
    if let Some(given) = given {
        return as_given(stream, asked, &given);
    }
    match first {
        "size" => plain(stream, asked, 200, "application/octet-stream", &vec![b's'; number()]),
        "status" => plain(stream, asked, number(), "text/plain", b"as asked"),
        "echo" => {
            let headers: Vec<[&str; 2]> =
                asked.headers.iter().map(|(name, value)| [name.as_str(), value]).collect();
            let json = serde_json::json!({
                "line": asked.line, "headers": headers, "body_bytes": asked.body.len(),
                "body": String::from_utf8_lossy(&asked.body[..asked.body.len().min(1000)]),
            });
            plain(stream, asked, 200, "application/json", json.to_string().as_bytes())
        }
        "hints" => {
            stream.write_all(
                b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
            )?;
            plain(stream, asked, 200, "text/plain", b"final")
        }
        "slow" => {
            std::thread::sleep(Duration::from_millis(number() as u64));
            plain(stream, asked, 200, "text/plain", b"slow")
        }
        "drip" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(b"5\r\ndrip.\r\n")?;
                stream.flush()?;
                std::thread::sleep(Duration::from_millis(20));
                if shared.ended.load(Ordering::Relaxed) {
                    return Ok(());
                }
            }
        }
        "rush" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            let piece = vec![b'r'; 256 * 1024];
            while !shared.ended.load(Ordering::Relaxed) {
                stream.write_all(&piece)?;
            }
            Ok(())
        }
        "trailers" => stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n\
              6\r\npieces\r\n0\r\nX-Checksum: abc123\r\n\r\n",
        ),
        "upgrade" => {
            stream.write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            )?;
            let mut piece = [0; 4096];
            loop {
                let bytes = stream.read(&mut piece)?;
                if bytes == 0 {
                    return Ok(());
                }
                stream.write_all(&piece[..bytes])?;
            }
        }
        "gzip" | "piecewise" => file(stream, asked, (&path[first.len() + 1..], first), shared),
        _ => file(stream, asked, (path, ""), shared),
    }
}

fn as_given<S: Write>(stream: &mut S, asked: &Asked, given: &Answer) -> io::Result<()> {
    let chunked = !given.head.to_ascii_lowercase().contains("content-length");
    let coding = if chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
    let head = format!("HTTP/1.1 {}X-Origin: 1\r\n{coding}\r\n", given.head);
    stream.write_all(head.as_bytes())?;
    stream.flush()?;
    if asked.line.starts_with("HEAD ") {
        return Ok(());
    }
    for (wait, piece) in &given.pieces {
        std::thread::sleep(Duration::from_millis(*wait));
        if chunked {
            stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
        }
        stream.write_all(piece)?;
        if chunked {
            stream.write_all(b"\r\n")?;
        }
        stream.flush()?;
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n")?;
    }
    stream.flush()
}

pub(crate) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(bytes)?;
    packed.finish()
}

fn file<S: Write>(
    stream: &mut S,
    asked: &Asked,
    (path, way): (&str, &str),
    shared: &Shared,
) -> io::Result<()> {
    let folders = shared.folders.lock().unwrap().clone();
    let found = folders.iter().find_map(|(prefix, folder)| {
        let inside = path[1..].strip_prefix(prefix.as_str())?.strip_prefix('/')?;
        let plain = inside.split('/').all(|part| part != "..");
        let mut file = folder.join(inside);
        if file.is_dir() {
            file = file.join("index.html");
        }
        if plain { Some((std::fs::read(&file).ok()?, file)) } else { None }
    });
    let Some((bytes, file)) = found else {
        return plain(stream, asked, 404, "text/plain", b"no such page");
    };
    let mime = match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    match way {
        "gzip" => {
            let packed = gzip(&bytes)?;
            let length = packed.len();
            let head = format!(
                "HTTP/1.1 200 Fake\r\nX-Origin: 1\r\nContent-Type: {mime}\r\n\
                 Content-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes())?;
            stream.write_all(&packed)
        }
        "piecewise" => {
            let length = bytes.len();
            let head = format!(
                "HTTP/1.1 200 Fake\r\nX-Origin: 1\r\nContent-Type: {mime}\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes())?;
            for piece in bytes.chunks(2_048) {
                stream.write_all(piece)?;
                stream.flush()?;
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(())
        }
        _ => plain(stream, asked, 200, mime, &bytes),
    }
}

fn plain<S: Write>(
    stream: &mut S,
    asked: &Asked,
    status: usize,
    mime: &str,
    body: &[u8],
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Fake\r\nX-Origin: 1\r\n");
    if !matches!(status, 204 | 304) {
        head.push_str(&format!("Content-Type: {mime}\r\nContent-Length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if !asked.line.starts_with("HEAD ") && !matches!(status, 204 | 304) {
        stream.write_all(body)?;
    }
    stream.flush()
}
