//! An origin that says exactly the bytes a test has it say, and keeps every byte that it was sent.

use crate::wire::{BodyLength, Head, find_head_end};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is done for a path. `Ok(true)`: the connection goes on to its next request.
type Part = dyn Fn(&mut Line, &str) -> io::Result<bool> + Send + Sync;

/// The origin; it ends when dropped. A path without a part gets 200 and its last segment as body.
pub(super) struct RawOrigin {
    /// Where it listens.
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    parts: Mutex<HashMap<String, Arc<Part>>>,
    received: Mutex<Vec<Vec<u8>>>,
    /// The bytes of all connections in the order of their arrival.
    all: Mutex<Vec<u8>>,
    ended: AtomicBool,
}

/// One connection, from the origin's end.
pub(super) struct Line {
    stream: TcpStream,
    number: usize,
    shared: Arc<Shared>,
    unread: Vec<u8>,
}

impl RawOrigin {
    /// Starts one on a free port.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = {
                    let mut received = serving.received.lock().unwrap();
                    received.push(Vec::new());
                    received.len() - 1
                };
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || {
                    // The proxy may go away at any time.
                    let _gone = Line { stream, number, shared, unread: Vec::new() }.serve();
                });
            }
        });
        Self { address, shared }
    }

    /// Sets what is done for a path.
    pub(super) fn on(
        &self,
        path: &str,
        part: impl Fn(&mut Line, &str) -> io::Result<bool> + Send + Sync + 'static,
    ) {
        self.shared.parts.lock().unwrap().insert(path.to_owned(), Arc::new(part));
    }

    /// Answers a path with these bytes, once its request is there whole; then the connection goes on.
    pub(super) fn answer(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.on(path, move |line, head| {
            line.body(head)?;
            line.say(&bytes)?;
            Ok(true)
        });
    }

    /// The same, and the connection is closed.
    pub(super) fn answer_and_close(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.on(path, move |line, head| {
            line.body(head)?;
            line.say(&bytes)?;
            Ok(false)
        });
    }

    /// Everything that a connection received, as bytes.
    pub(super) fn received_on(&self, connection: usize) -> Vec<u8> {
        self.shared.received.lock().unwrap()[connection].clone()
    }

    /// How many bytes came so far, for [`Self::since`].
    pub(super) fn mark(&self) -> usize {
        self.shared.all.lock().unwrap().len()
    }

    /// Everything received since a mark, whatever the connection.
    pub(super) fn since(&self, mark: usize) -> String {
        String::from_utf8_lossy(&self.shared.all.lock().unwrap()[mark..]).into_owned()
    }

    /// Everything received.
    pub(super) fn received(&self) -> String {
        self.since(0)
    }

    /// Connections so far.
    pub(super) fn connections(&self) -> usize {
        self.shared.received.lock().unwrap().len()
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl Line {
    fn serve(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        loop {
            let head = self.head()?;
            let target = head.split(' ').nth(1).unwrap_or_default();
            let path = target.split('?').next().unwrap_or_default().to_owned();
            let part = self.shared.parts.lock().unwrap().get(&path).cloned();
            let goes_on = match part {
                Some(part) => part(&mut self, &head)?,
                None => {
                    self.body(&head)?;
                    let body = path.rsplit('/').next().unwrap_or_default();
                    let body = if head.starts_with("HEAD") { "" } else { body };
                    let answer =
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    self.say(answer.as_bytes())?;
                    true
                }
            };
            if !goes_on {
                return self.stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Waits for a request's head.
    pub(super) fn head(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find_head_end(&self.unread) {
                let head: Vec<u8> = self.unread.drain(..end).collect();
                return Ok(String::from_utf8_lossy(&head).into_owned());
            }
            self.more()?;
        }
    }

    /// Waits for the body that a head announces, without its framing.
    pub(super) fn body(&mut self, head: &str) -> io::Result<Vec<u8>> {
        match Head::parse(head.as_bytes()).request_body_length() {
            BodyLength::Exact(bytes) => self.exactly(usize::try_from(bytes).unwrap()),
            BodyLength::Chunked => {
                let mut body = Vec::new();
                loop {
                    let line = self.line()?;
                    let size =
                        usize::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
                    if size == 0 {
                        while self.line()? != "\r\n" {}
                        return Ok(body);
                    }
                    body.extend(self.exactly(size)?);
                    self.exactly(2)?;
                }
            }
            BodyLength::ToClose => Ok(Vec::new()),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line = self.unread.drain(..end + 2).collect();
                return String::from_utf8(line).map_err(io::Error::other);
            }
            self.more()?;
        }
    }

    /// Waits for so many bytes.
    pub(super) fn exactly(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < bytes {
            self.more()?;
        }
        Ok(self.unread.drain(..bytes).collect())
    }

    /// Reads once more; an error when the proxy has closed.
    pub(super) fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        let bytes = self.stream.read(&mut piece)?;
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.unread.extend_from_slice(&piece[..bytes]);
        self.shared.received.lock().unwrap()[self.number].extend_from_slice(&piece[..bytes]);
        self.shared.all.lock().unwrap().extend_from_slice(&piece[..bytes]);
        Ok(())
    }

    /// Sends bytes.
    pub(super) fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Closes at once and without a goodbye, as a connection is that the other end no longer knows (RFC 9293, 3.5.2).
    pub(super) fn reset(&mut self) -> io::Result<bool> {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO))?;
        Err(io::ErrorKind::ConnectionReset.into())
    }

    /// Sends a segment of its own after a rest.
    pub(super) fn say_later(&mut self, rest_ms: u64, bytes: &[u8]) -> io::Result<()> {
        std::thread::sleep(Duration::from_millis(rest_ms));
        self.say(bytes)
    }
}
