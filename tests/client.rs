//! A client that says exactly the bytes a test wants said, and reads exactly one answer at a time.

use crate::wire::{BodyLength, Head, find_head_end};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Status code.
    pub status: u16,
    /// Status line and headers as they came.
    pub head: String,
    /// Body without its framing.
    pub body: Vec<u8>,
    /// Trailers as they came, a line each.
    pub trailers: Vec<String>,
}

impl Answer {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Head::parse(self.head.as_bytes()).value(name)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the origin, and not the proxy, wrote it.
    pub(crate) fn is_from_origin(&self) -> bool {
        self.header("x-origin").is_some()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {} {}", self.head, self.text()))
    }
}

/// A connection to the proxy.
pub(crate) struct Client {
    /// The socket.
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects from 127.0.0.1.
    pub(crate) fn connect(proxy: SocketAddr) -> Self {
        Self::connect_from(IpAddr::from([127, 0, 0, 1]), proxy)
    }

    /// Connects from one of this machine's addresses, which all of 127.0.0.0/8 are: how a test comes from another network.
    pub(crate) fn connect_from(from: IpAddr, proxy: SocketAddr) -> Self {
        Self::try_connect_from(from, proxy).unwrap()
    }

    /// The same where the proxy may be gone.
    pub(crate) fn try_connect_from(from: IpAddr, proxy: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let stream = runtime.block_on(async {
            let socket = match from {
                IpAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
                IpAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
            };
            socket.bind(SocketAddr::new(from, 0))?;
            socket.connect(proxy).await?.into_std()
        })?;
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_write_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a request without a body and reads its answer.
    pub(crate) fn ask(&mut self, method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
        self.try_ask(method, url, headers).unwrap()
    }

    /// The same where the proxy may go away meanwhile.
    pub(crate) fn try_ask(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Answer> {
        self.stream.write_all(request(method, url, headers).as_bytes())?;
        self.try_read(method)
    }

    /// Reads the answer to a request of this method.
    pub(crate) fn read(&mut self, method: &str) -> Answer {
        self.try_read(method).unwrap()
    }

    /// Opens a tunnel; the answer's status is 200 where it stands.
    pub(crate) fn tunnel(&mut self, authority: &str, headers: &[(&str, &str)]) -> Answer {
        self.ask("CONNECT", authority, headers)
    }

    /// Reads raw bytes, first what came with the last head; 0 bytes: the other side closed.
    pub(crate) fn read_some(&mut self) -> io::Result<Vec<u8>> {
        if !self.buffer.is_empty() {
            return Ok(std::mem::take(&mut self.buffer));
        }
        let mut piece = vec![0; 16 * 1024];
        let bytes = self.stream.read(&mut piece)?;
        piece.truncate(bytes);
        Ok(piece)
    }

    /// Reads only the head of an answer.
    pub(crate) fn read_head(&mut self) -> io::Result<Answer> {
        let end = loop {
            if let Some(end) = find_head_end(&self.buffer) {
                break end;
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end);
        let status = Head::parse(head.as_bytes()).status();
        Ok(Answer { status, head, body: Vec::new(), trailers: Vec::new() })
    }

    fn try_read(&mut self, method: &str) -> io::Result<Answer> {
        let mut answer = self.read_head()?;
        while answer.status == 100 {
            answer = self.read_head()?;
        }
        let bodiless = method == "HEAD" || (method == "CONNECT" && answer.status == 200);
        match Head::parse(answer.head.as_bytes()).response_body_length(bodiless) {
            BodyLength::Exact(bytes) => {
                let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
                while self.buffer.len() < bytes {
                    self.more()?;
                }
                answer.body = self.buffer.drain(..bytes).collect();
            }
            BodyLength::Chunked => self.read_chunks(&mut answer)?,
            BodyLength::ToClose => loop {
                match self.more() {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        answer.body = std::mem::take(&mut self.buffer);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            },
        }
        Ok(answer)
    }

    fn read_chunks(&mut self, answer: &mut Answer) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16)
                .map_err(io::Error::other)?;
            if size == 0 {
                break;
            }
            while self.buffer.len() < size + 2 {
                self.more()?;
            }
            answer.body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            answer.trailers.push(line);
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            self.more()?;
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        let bytes = self.stream.read(&mut piece)?;
        if bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&piece[..bytes]);
        Ok(())
    }
}

/// A request without a body as a browser would write it; `Host` from the URL.
pub(crate) fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> String {
    let authority = url.split("://").last().unwrap_or(url).split('/').next().unwrap_or("");
    let mut text = format!("{method} {url} HTTP/1.1\r\nHost: {authority}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n"
}

/// The value of a `Proxy-Authorization` header.
pub(crate) fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", crate::replay_school::base64(format!("{name}:{password}").as_bytes()))
}
