//! What is done only where somebody sits at a terminal: long tables go through a pager, and a command
//! that takes over a second says that it is at work.

use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// How long a command is silent before it says that it is at work, and between two such words.
const PATIENCE: Duration = Duration::from_secs(1);

/// A shell's answer that a program is not there, or cannot be run.
const NOT_RUN: [i32; 2] = [126, 127];

/// How a terminal shows a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Characters of a line.
    pub(crate) width: usize,
    /// Lines; `None`: the terminal does not say.
    pub(crate) height: Option<usize>,
}

impl Screen {
    /// The terminal of standard output; `None` where that is no terminal.
    pub(crate) fn of_stdout() -> Option<Screen> {
        if !io::stdout().is_terminal() {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        let height = Some(usize::from(size.ws_row)).filter(|height| *height > 0);
        let screen = Screen { width: size.ws_col.into(), height };
        (screen.width >= 20).then_some(screen)
    }
}

/// Shows a text in the pager of `PAGER`, `less` where there is none; `false`: there is no pager to be
/// had, and nothing was shown. `PAGER=cat`, or an empty one, turns paging off.
pub(crate) fn page(text: &str) -> io::Result<bool> {
    let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    let pager = pager.trim();
    if pager.is_empty() || pager == "cat" {
        return Ok(false);
    }
    let mut command = Command::new("/bin/sh");
    command.args(["-c", pager]).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        // Ends by itself if the text fits after all, keeps colours, does not clear the screen, and
        // lets long lines run out of sight instead of wrapping them.
        command.env("LESS", "FRXS");
    }
    // An interrupt is the pager's to take: it stops a search there, and nothing here.
    let runtime = tokio::runtime::Handle::try_current();
    let _interrupts = runtime.ok().map(|_| signal(SignalKind::interrupt()));
    let Ok(mut child) = command.spawn() else { return Ok(false) };
    if let Some(mut to) = child.stdin.take() {
        // Who leaves the pager early has seen enough.
        let written = to.write_all(text.as_bytes()).and_then(|()| to.write_all(b"\n"));
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(error);
        }
    }
    let status = child.wait()?;
    Ok(status.code().is_none_or(|code| !NOT_RUN.contains(&code)))
}

/// While this lives, the terminal is told each second that the command is at work. Nothing is said in
/// the first second, nor where standard error is no terminal.
pub(crate) struct Patience(Option<(Sender<()>, JoinHandle<()>)>);

impl Patience {
    /// Begins; `what` is what is done, such as `fetching lists`.
    pub(crate) fn new(what: &'static str) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let (done, waits) = channel();
        let begun = Instant::now();
        let telling = move || {
            let mut told = false;
            while waits.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                told = true;
                // Nothing stops where the terminal has gone.
                let _ = write!(io::stderr(), "\r{what}: {} s ", begun.elapsed().as_secs());
            }
            if told {
                let _ = write!(io::stderr(), "\r\u{1b}[K");
            }
        };
        let thread = std::thread::Builder::new().name("patience".to_owned()).spawn(telling);
        Self(thread.ok().map(|thread| (done, thread)))
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.0.take() {
            drop(done);
            let _ = thread.join();
        }
    }
}
