//! The client of clamd, the scanner of ClamAV: a file streams to it as it comes from the site (`INSTREAM`,
//! clamd(8)), and its answer is a value. Whether no answer blocks is the policy's to say
//! (`Policy::virus_scan`), not this module's.
//!
//! Each scan has a connection of its own: clamd closes it after a stream that was too long, its sessions
//! (`IDSESSION`) gain some hundredths of a millisecond (docs/files.md), and one at rest holds a thread of clamd's.

mod turns;

use crate::config::{ScannerPlace, ScannerSettings};
use crate::room::{Held, Room};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
pub(crate) use turns::Turn;
use turns::Turns;

/// Longest answer that is read, in bytes; clamd's are a line.
const MAX_ANSWER: usize = 4_096;
/// Longest name of a virus that is kept, in characters.
const MAX_NAME: usize = 120;
/// Most bytes sent as one chunk: clamd takes any length below its own limit.
const MAX_CHUNK: usize = 1 << 20;

/// What came of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scanned {
    /// Nothing was found.
    Clean,
    /// The signature that matched, as clamd names it.
    Virus(String),
    /// The file is larger than what is scanned: by our own cap, or by clamd's `StreamMaxLength`.
    TooLarge,
    /// No answer.
    Unavailable(Unavailable),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// No connection: nothing listens, or it may not be reached.
    Refused,
    /// The connection broke off before the answer.
    Gone,
    /// No answer in time.
    Slow,
    /// As many scans as may run at once were running all the time.
    Busy,
    /// An answer that is none of clamd's, or a fault that clamd tells.
    Fault,
    /// Only a part of the file can be had: what is in it, and what is not, nobody can say of that.
    Part,
}

impl Scanned {
    /// The word for metrics and records.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Virus(_) => "virus",
            Self::TooLarge => "too_large",
            Self::Unavailable(why) => why.as_str(),
        }
    }
}

impl Unavailable {
    /// The word for metrics and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::Slow => "slow",
            Self::Busy => "busy",
            Self::Fault => "fault",
            Self::Part => "part",
        }
    }
}

/// A scanner; shared by all workers.
#[derive(Clone, Debug)]
pub struct Scanner {
    settings: Arc<ScannerSettings>,
    turns: Arc<Turns>,
    /// Bytes of files that are held back, of all scans.
    held: Arc<Room>,
    /// Bytes of what was scanned and has not left yet: however slowly clients take that, it keeps no others from being
    /// scanned.
    leaving: Arc<Room>,
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// One scan on its way. Dropped, it is given up: clamd ends it when the connection closes.
pub struct Scan {
    reader: ReadHalf<Box<dyn Connection>>,
    writer: WriteHalf<Box<dyn Connection>>,
    /// What came of the answer.
    answer: Vec<u8>,
    sent: u64,
    most: u64,
    ends_at: Instant,
    /// Known before the end.
    outcome: Option<Scanned>,
    _turn: Turn,
}

impl std::fmt::Debug for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scan").field("sent", &self.sent).field("outcome", &self.outcome).finish()
    }
}

impl Scanner {
    /// A scanner; nothing is connected yet.
    #[must_use]
    pub fn new(settings: ScannerSettings) -> Scanner {
        let turns = Arc::new(Turns::new(settings.max_scans));
        // As many of the largest files that are scanned as may be scanned at once; a client a quarter of that, as of
        // the turns.
        let most = settings.max_file_bytes.saturating_mul(settings.max_scans as u64);
        let most_of_client = settings.max_file_bytes.max(most / 4);
        let room = || Room::new(most, most_of_client);
        Scanner { settings: Arc::new(settings), turns, held: room(), leaving: room() }
    }

    /// Where it is and how long and how much it may take.
    #[must_use]
    pub fn settings(&self) -> &ScannerSettings {
        &self.settings
    }

    /// Nothing held yet of a file that a client fetches.
    pub(crate) fn hold(&self, client: IpAddr) -> Held {
        self.held.hold(client)
    }

    /// What is held of a file was scanned, and waits only for its client. Where that has too much of it already, it
    /// goes on counting among what is scanned.
    pub(crate) fn leaves(&self, held: &mut Held) {
        held.move_to(&self.leaving);
    }

    /// A turn for a client's file that is still coming, if one is left.
    pub(crate) fn early_turn(&self, client: IpAddr) -> Option<Turn> {
        self.turns.early(client)
    }

    /// Begins a scan for a client: waits for its turn and connects, at most `connect_timeout_ms` for both. From then
    /// on the whole scan has `scan_timeout_ms`; the time that the site takes to send the file counts.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn begin(&self, client: IpAddr) -> Result<Scan, Unavailable> {
        self.wait_and_connect(b"zINSTREAM\0", Some(client)).await
    }

    /// The same with a turn that is there.
    pub(crate) async fn begin_early(&self, turn: Turn) -> Result<Scan, Unavailable> {
        self.connect(b"zINSTREAM\0", turn, self.connect_by()).await
    }

    fn connect_by(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.settings.connect_timeout_ms)
    }

    async fn wait_and_connect(
        &self,
        command: &[u8],
        client: Option<IpAddr>,
    ) -> Result<Scan, Unavailable> {
        let connect_by = self.connect_by();
        match timeout_at(connect_by, self.turns.take(client)).await {
            Ok(Ok(turn)) => self.connect(command, turn, connect_by).await,
            _ => Err(Unavailable::Busy),
        }
    }

    async fn connect(
        &self,
        command: &[u8],
        turn: Turn,
        connect_by: Instant,
    ) -> Result<Scan, Unavailable> {
        let connect = async {
            Ok::<Box<dyn Connection>, io::Error>(match &self.settings.place {
                ScannerPlace::Socket(path) => Box::new(UnixStream::connect(path).await?),
                ScannerPlace::Address(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
            })
        };
        let connection = match timeout_at(connect_by, connect).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(_)) => return Err(Unavailable::Refused),
            Err(_) => return Err(Unavailable::Slow),
        };
        let (reader, writer) = tokio::io::split(connection);
        let mut scan = Scan {
            reader,
            writer,
            answer: Vec::new(),
            sent: 0,
            most: self.settings.max_file_bytes,
            ends_at: Instant::now() + Duration::from_millis(self.settings.scan_timeout_ms),
            outcome: None,
            _turn: turn,
        };
        scan.write(command).await;
        match scan.outcome {
            Some(Scanned::Unavailable(why)) => Err(why),
            _ => Ok(scan),
        }
    }

    /// Whether clamd answers `PING`: for `doctor` and `/readyz`.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn ping(&self) -> Result<(), Unavailable> {
        let mut scan = self.wait_and_connect(b"zPING\0", None).await?;
        match scan.answer().await {
            Ok(b"PONG") => Ok(()),
            Ok(_) => Err(Unavailable::Fault),
            Err(why) => Err(why),
        }
    }
}

impl Scan {
    /// Sends the next bytes of the file, of any number. Some outcomes are known before the end: then the rest need
    /// not be sent.
    pub async fn feed(&mut self, bytes: &[u8]) -> Option<&Scanned> {
        for chunk in bytes.chunks(MAX_CHUNK) {
            if self.outcome.is_some() {
                break;
            }
            self.sent += chunk.len() as u64;
            if self.sent > self.most {
                self.outcome = Some(Scanned::TooLarge);
                break;
            }
            // The length and its bytes leave together: two small writes wait for each other over TCP.
            let mut framed = Vec::with_capacity(chunk.len() + 4);
            framed.extend_from_slice(&(chunk.len() as u32).to_be_bytes());
            framed.extend_from_slice(chunk);
            self.write(&framed).await;
        }
        self.outcome.as_ref()
    }

    /// The file is over: waits for the answer.
    pub async fn finish(mut self) -> Scanned {
        if self.outcome.is_none() {
            self.write(&[0; 4]).await;
        }
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        match self.answer().await {
            Ok(answer) => read_answer(answer),
            Err(why) => Scanned::Unavailable(why),
        }
    }

    /// Writes; where clamd answers or breaks off meanwhile, that is the outcome. The answer is looked for first: over
    /// TCP it is lost once a write has met a closed connection.
    async fn write(&mut self, bytes: &[u8]) {
        let Self { reader, writer, answer, ends_at, .. } = self;
        let told = tokio::select! {
            biased;
            told = timeout_at(*ends_at, read_line(reader, answer)) => told,
            Ok(()) = writer.write_all(bytes) => return,
            // A write that fails leaves the wait to the answer alone.
        };
        self.outcome = Some(match told {
            Err(_) => Scanned::Unavailable(Unavailable::Slow),
            Ok(Err(why)) => Scanned::Unavailable(why),
            Ok(Ok(())) => match read_answer(&self.answer) {
                // It cannot have seen all of the file.
                Scanned::Clean => Scanned::Unavailable(Unavailable::Fault),
                told => told,
            },
        });
    }

    /// Waits for the answer.
    async fn answer(&mut self) -> Result<&[u8], Unavailable> {
        match timeout_at(self.ends_at, read_line(&mut self.reader, &mut self.answer)).await {
            Err(_) => Err(Unavailable::Slow),
            Ok(Err(why)) => Err(why),
            Ok(Ok(())) => Ok(&self.answer),
        }
    }
}

/// Reads up to the NUL that ends an answer. Given up, what was read is kept.
async fn read_line(
    reader: &mut ReadHalf<Box<dyn Connection>>,
    answer: &mut Vec<u8>,
) -> Result<(), Unavailable> {
    let mut buffer = [0; 512];
    loop {
        let read = reader.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return Err(if answer.is_empty() { Unavailable::Gone } else { Unavailable::Fault });
        }
        answer.extend_from_slice(&buffer[..read]);
        if let Some(end) = answer.iter().position(|byte| *byte == 0) {
            answer.truncate(end);
            return Ok(());
        }
        if answer.len() > MAX_ANSWER {
            return Err(Unavailable::Fault);
        }
    }
}

/// `stream: OK`, `stream: NAME FOUND`, `INSTREAM size limit exceeded. ERROR`; everything else is a fault.
fn read_answer(answer: &[u8]) -> Scanned {
    let text = String::from_utf8_lossy(answer);
    let text = text.trim();
    if text == "stream: OK" {
        return Scanned::Clean;
    }
    let name = text.strip_prefix("stream: ").and_then(|rest| rest.strip_suffix(" FOUND"));
    if let Some(name) = name {
        let name: String = name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
        return Scanned::Virus(name);
    }
    if text.starts_with("INSTREAM size limit exceeded") {
        return Scanned::TooLarge;
    }
    Scanned::Unavailable(Unavailable::Fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_of_clamds_or_a_fault() {
        let virus = |name: &str| Scanned::Virus(name.to_owned());
        let fault = Scanned::Unavailable(Unavailable::Fault);
        let long = format!("stream: {} FOUND", "x".repeat(500));
        let cases = [
            ("stream: OK", Scanned::Clean),
            ("stream: OK\n", Scanned::Clean),
            ("stream: Eicar-Test-Signature FOUND", virus("Eicar-Test-Signature")),
            ("stream: a\x1b[31m FOUND", virus("a[31m")),
            (&long, virus(&"x".repeat(MAX_NAME))),
            ("INSTREAM size limit exceeded. ERROR", Scanned::TooLarge),
            ("stream: Can't allocate memory ERROR", fault.clone()),
            ("UNKNOWN COMMAND", fault.clone()),
            ("stream: OK and more", fault.clone()),
            ("OK", fault.clone()),
            ("", fault),
        ];
        for (answer, scanned) in cases {
            assert_eq!(read_answer(answer.as_bytes()), scanned, "{answer}");
        }
    }
}
