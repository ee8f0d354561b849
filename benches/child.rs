//! Processes that a bench starts: pinned to their processors, and ended when dropped, with all that came
//! of them.

use crate::family;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Which processors the proxy under test has, and which everything else has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pinning {
    /// For the proxy; empty: no pinning.
    pub proxy: Vec<usize>,
    /// For the origin and the load generator.
    pub rest: Vec<usize>,
}

impl Pinning {
    /// Gives a proxy of so many workers processors of its own where enough are left.
    pub(crate) fn for_workers(workers: usize) -> Self {
        let Ok(mine) = sched_getaffinity(None) else { return Self::default() };
        let all: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&cpu| mine.is_set(cpu)).collect();
        if all.len() <= workers {
            return Self::default();
        }
        let (proxy, rest) = all.split_at(workers);
        Self { proxy: proxy.to_vec(), rest: rest.to_vec() }
    }

    /// Pins the calling thread, and what it starts from now on, to these processors.
    pub(crate) fn pin(processors: &[usize]) {
        if processors.is_empty() {
            return;
        }
        let mut set = CpuSet::new();
        processors.iter().for_each(|&cpu| set.set(cpu));
        // Without pinning the numbers are noisier, not wrong.
        let _ = sched_setaffinity(None, &set);
    }
}

/// A child process, killed when dropped, with its family.
pub(crate) struct Started {
    child: Child,
}

impl Started {
    /// Starts a command on the given processors.
    pub(crate) fn new(command: &mut Command, on: &[usize], back_to: &[usize]) -> io::Result<Self> {
        Pinning::pin(on);
        let child = family::start(command);
        Pinning::pin(back_to);
        Ok(Self { child: child? })
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process itself, for its pipes.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal. Nobody else can have its id until [`Self::ended`] says that it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // It may have ended already.
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Waits until it accepts connections at `address`.
    ///
    /// # Errors
    /// A sentence: it ended, or did not listen in time; with the last lines of the file `said`.
    pub(crate) fn wait_listening(
        &mut self,
        name: &str,
        address: SocketAddr,
        limit: Duration,
        said: &Path,
    ) -> Result<(), String> {
        let begun = Instant::now();
        let tail = || {
            let text = std::fs::read(said).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let last: Vec<&str> = text.lines().rev().take(5).collect();
            last.join(" / ")
        };
        while begun.elapsed() < limit {
            if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.ended() {
                return Err(format!("{name} ended with {status}: {}", tail()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!("{name} did not listen within {} s: {}", limit.as_secs(), tail()))
    }

    /// Asks it to end, and waits so long before it is killed. What it left behind is killed at once.
    pub(crate) fn stop(&mut self, wait: Duration) {
        if self.ended().is_none() {
            self.signal(Signal::TERM);
        }
        let start = Instant::now();
        while start.elapsed() < wait && self.ended().is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
    }

    fn kill(&mut self) {
        family::end(self.pid());
        // Whoever has ended already is not waited for again.
        let _ = self.child.wait();
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A loopback port that was free a moment ago.
///
/// # Errors
/// No port is free.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    free_addresses::<1>().map(|[address]| address)
}

/// Loopback ports that were free a moment ago, all different.
///
/// # Errors
/// No port is free.
pub(crate) fn free_addresses<const COUNT: usize>() -> io::Result<[SocketAddr; COUNT]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); COUNT];
    // Held until all are known: one that is let go of may be given out again.
    let mut held = Vec::with_capacity(COUNT);
    for address in &mut addresses {
        let listener = TcpListener::bind(*address)?;
        *address = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addresses)
}
