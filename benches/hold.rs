//! Connections that are opened, asked once, and then kept without a word: by a process of its own, so
//! that its open files are not those of the bench.

use crate::child::Started;
use crate::load::is_of_sites;
use crate::origin::Asked;
use crate::wire::{BodySkip, Head, find_head_end};
use crate::{scene, sites};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Connections of one address.
const OF_ONE: usize = 10;

/// Opened or asked at a time.
const AT_ONCE: usize = 32;

/// Longest that one may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Longest that all of them may take; the rest counts as failed.
const LONGEST: Duration = Duration::from_secs(240);

/// What kind of connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Plain HTTP to the proxy, kept for the next request.
    Kept,
    /// A tunnel in which TLS is spoken, with the site or with the proxy.
    Tunnel,
}

/// What the other process is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// What kind.
    pub kind: Kind,
    /// The proxy.
    pub proxy: SocketAddr,
    /// How many.
    pub count: usize,
    /// Number of the first: no two have the same.
    pub first: usize,
    /// Host and port that are asked.
    pub authority: String,
    /// People with a password.
    pub users: usize,
    /// Certificates that are trusted.
    pub trusted: Vec<PathBuf>,
}

/// What came of one act.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Connections that are open and were answered.
    pub open: usize,
    /// Those that failed.
    pub failed: usize,
    /// Decisions that the proxy was asked.
    pub decisions: u64,
    /// Tunnels in which the proxy's own certificate was shown.
    pub looked_into: usize,
    /// The first failure.
    pub fault: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// The other process.
pub(crate) struct Holder {
    process: Started,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Holder {
    /// Starts it; [`Holder::hear`] says how the opening went.
    ///
    /// # Errors
    /// A sentence: it could not be started.
    pub(crate) fn start(task: &Task) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let text = serde_json::to_string(task).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["--hold", &text]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process =
            Started::new(&mut command, &[], &[]).map_err(|error| error.to_string())?;
        let to = process.child().stdin.take().ok_or("the holder has no standard input")?;
        let from = process.child().stdout.take().ok_or("the holder has no standard output")?;
        Ok(Self { process, to, from: BufReader::new(from) })
    }

    /// Waits for what came of the last act; the process itself bounds its time.
    ///
    /// # Errors
    /// A sentence: it ended.
    pub(crate) fn hear(&mut self) -> Result<Held, String> {
        let mut line = String::new();
        self.from.read_line(&mut line).map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|_| {
            let ended = self.process.ended().unwrap_or_else(|| "it runs on".to_owned());
            format!("the process that holds connections said nothing: {ended}")
        })
    }

    /// Has each connection ask once more.
    ///
    /// # Errors
    /// A sentence: it ended.
    pub(crate) fn tell(&mut self) -> Result<(), String> {
        self.to
            .write_all(b"ask\n")
            .and_then(|()| self.to.flush())
            .map_err(|error| format!("the process that holds connections does not listen: {error}"))
    }
}

/// Be the other process, until standard input ends.
///
/// # Errors
/// A sentence: what is to be done was not understood.
pub(crate) fn run(task: &str) -> Result<(), String> {
    let task: Task = serde_json::from_str(task).map_err(|error| error.to_string())?;
    let pems: Result<Vec<Vec<u8>>, String> = task
        .trusted
        .iter()
        .map(|path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display())))
        .collect();
    let pems = pems?;
    let pems: Vec<&[u8]> = pems.iter().map(Vec::as_slice).collect();
    let tls = Arc::new(sites::client(&pems, "http/1.1")?);
    let say = |error: io::Error| error.to_string();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(say)?;
    let group = Rc::new(Group { task, tls, open: RefCell::default() });
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        tell(&all(&group, true).await)?;
        // Between two acts nothing happens here, so that waiting may block.
        for line in io::stdin().lock().lines() {
            line.map_err(say)?;
            tell(&all(&group, false).await)?;
        }
        Ok(())
    })
}

fn tell(held: &Held) -> Result<(), String> {
    let text = serde_json::to_string(held).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}

struct Group {
    task: Task,
    tls: Arc<ClientConfig>,
    /// By number; none where it is closed or in use.
    open: RefCell<Vec<Option<Wire>>>,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Opens all of them and asks, or asks those that are open.
async fn all(group: &Rc<Group>, anew: bool) -> Held {
    let begun = Instant::now();
    if anew {
        group.open.borrow_mut().resize_with(group.task.count, || None);
    }
    let next = Rc::new(Cell::new(0));
    let held = Rc::new(RefCell::new(Held::default()));
    let hands: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (group, next, held) = (Rc::clone(group), Rc::clone(&next), Rc::clone(&held));
            tokio::task::spawn_local(async move {
                loop {
                    let number = next.get();
                    next.set(number + 1);
                    if number >= group.task.count {
                        return;
                    }
                    one(&group, number, anew, begun, &held).await;
                }
            })
        })
        .collect();
    for hand in hands {
        // A task that panicked shows on standard error.
        let _ = hand.await;
    }
    let mut held = held.take();
    held.seconds = begun.elapsed().as_secs_f64();
    held
}

async fn one(group: &Rc<Group>, number: usize, anew: bool, begun: Instant, held: &RefCell<Held>) {
    let kept = group.open.borrow_mut().get_mut(number).and_then(Option::take);
    if !anew && kept.is_none() {
        // It failed before, and was counted then.
        return;
    }
    let act = async {
        let mut wire = match kept {
            Some(wire) => wire,
            None => group.connect(number, held).await?,
        };
        group.ask(&mut wire, number, held).await?;
        Ok::<_, io::Error>(wire)
    };
    let left = TIMEOUT.min(LONGEST.saturating_sub(begun.elapsed()));
    let done = tokio::time::timeout(left, act).await;
    match done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(wire) => {
            held.borrow_mut().open += 1;
            if let Some(place) = group.open.borrow_mut().get_mut(number) {
                *place = Some(wire);
            }
        }
        Err(error) => {
            let mut held = held.borrow_mut();
            held.failed += 1;
            held.fault.get_or_insert_with(|| error.to_string());
        }
    }
}

impl Group {
    async fn connect(&self, number: usize, held: &RefCell<Held>) -> io::Result<Wire> {
        let Task { authority, proxy, .. } = &self.task;
        let socket = TcpSocket::new_v4()?;
        let place = (self.task.first + number) / OF_ONE;
        socket.bind(SocketAddr::new(scene::address(40, place), 0))?;
        let mut stream = socket.connect(*proxy).await?;
        stream.set_nodelay(true)?;
        if self.task.kind == Kind::Kept {
            return Ok(Wire::Plain(stream));
        }
        let head = format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n",
            scene::credentials(number, self.task.users)
        );
        stream.write_all(head.as_bytes()).await?;
        held.borrow_mut().decisions += 1;
        let status = read_answer(&mut stream, true).await?;
        if status != 200 {
            return Err(io::Error::other(format!("CONNECT got {status}")));
        }
        let host = authority.rsplit_once(':').map_or(authority.as_str(), |(host, _)| host);
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
        if !is_of_sites(stream.get_ref().1.peer_certificates()) {
            held.borrow_mut().looked_into += 1;
        }
        Ok(Wire::Tls(Box::new(stream)))
    }

    async fn ask(&self, wire: &mut Wire, number: usize, held: &RefCell<Held>) -> io::Result<()> {
        let authority = &self.task.authority;
        let (target, credentials) = match wire {
            Wire::Plain(_) => {
                (format!("http://{authority}/"), scene::credentials(number, self.task.users))
            }
            Wire::Tls(_) => ("/".to_owned(), String::new()),
        };
        let asked = Asked { status: 200, body_bytes: 1024, pad_bytes: 0, mime: "text/html".into() };
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: Mozilla/5.0 (replay)\r\n\
             Accept: */*\r\nX-Replay: {}\r\n{credentials}\r\n",
            asked.header()
        );
        let status = match wire {
            Wire::Plain(stream) => {
                held.borrow_mut().decisions += 1;
                stream.write_all(head.as_bytes()).await?;
                read_answer(stream, false).await?
            }
            Wire::Tls(stream) => {
                let looked_into = !is_of_sites(stream.get_ref().1.peer_certificates());
                held.borrow_mut().decisions += u64::from(looked_into);
                stream.write_all(head.as_bytes()).await?;
                stream.flush().await?;
                read_answer(&mut **stream, false).await?
            }
        };
        match status {
            200 => Ok(()),
            status => Err(io::Error::other(format!("GET got {status}"))),
        }
    }
}

/// Reads one answer to its end with a buffer that does not stay; gives its status.
async fn read_answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    connect: bool,
) -> io::Result<u16> {
    let mut buffer = Vec::with_capacity(2048);
    let end = loop {
        if let Some(end) = find_head_end(&buffer) {
            break end;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = Head::parse(&buffer[..end]);
    let status = head.status();
    if connect && status == 200 {
        return Ok(status);
    }
    let mut skip = BodySkip::new(head.response_body_length(false));
    buffer.drain(..end);
    loop {
        let used = skip.feed(&buffer);
        buffer.drain(..used);
        if skip.is_done() {
            return Ok(status);
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
