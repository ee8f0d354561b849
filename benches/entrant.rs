//! Those that take part in the comparison: where each is asked, and what it does for its money.

use crate::cases::PLAIN_HOST;
use crate::child::Started;
use crate::measure;
use std::net::SocketAddr;

/// One way to the sites, as the rounds see it.
pub(crate) struct Entrant {
    /// Its word in options and tables.
    pub name: &'static str,
    /// Debian's version; empty for our own and for the control.
    pub version: String,
    /// What it does and does not do, for the table.
    pub does: &'static str,
    /// Its first process; none for the control.
    pub pid: Option<u32>,
    /// Where plain http is asked.
    pub http: Option<SocketAddr>,
    /// Where what belongs in a tunnel is asked.
    pub tunnels: Option<Tunnels>,
    /// Where tunnels are looked into.
    pub inspected: Option<Inspected>,
    /// Spells of quiet after which it has nothing left to do: whoever writes no log puts nothing off.
    pub quiet_spells: u32,
    /// The host that is asked for.
    pub host: &'static str,
    /// From start to the first answer, if it was looked at.
    pub cold_start_seconds: Option<f64>,
    /// Resident memory after the first answers, before any load.
    pub idle_bytes: u64,
    /// Decisions that were asked of it.
    pub decisions: u64,
    /// The process, where nobody else keeps it.
    pub kept: Option<Started>,
}

/// Tunnels that are passed on as they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tunnels {
    /// Where bytes go to the origin's plain port.
    pub plain: SocketAddr,
    /// Where they go to its port with TLS.
    pub tls: SocketAddr,
    /// No CONNECT is understood: every byte is passed on.
    pub bare: bool,
}

/// Tunnels that are looked into.
#[derive(Clone, Debug)]
pub(crate) struct Inspected {
    /// Where.
    pub address: SocketAddr,
    /// No CONNECT is understood: TLS begins with the connection.
    pub bare: bool,
    /// The authority that the client trusts, in PEM.
    pub authority: Vec<u8>,
}

impl Entrant {
    /// One that is asked nothing yet.
    pub(crate) fn new(name: &'static str, does: &'static str, pid: Option<u32>) -> Self {
        Self {
            name,
            version: String::new(),
            does,
            pid,
            http: None,
            tunnels: None,
            inspected: None,
            quiet_spells: 3,
            host: PLAIN_HOST,
            cold_start_seconds: None,
            idle_bytes: 0,
            decisions: 0,
            kept: None,
        }
    }

    /// A forward proxy that is asked everything at one address.
    pub(crate) fn forward_at(mut self, address: SocketAddr) -> Self {
        self.http = Some(address);
        self.tunnels = Some(Tunnels { plain: address, tls: address, bare: false });
        self
    }

    /// Takes the process, to end it with the entrant.
    pub(crate) fn keeping(mut self, process: Started) -> Self {
        self.pid = Some(process.pid());
        self.kept = Some(process);
        self
    }

    /// Processor time of its processes so far, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        self.pid.map_or(0, |pid| measure::usage(pid).cpu_ns)
    }
}
