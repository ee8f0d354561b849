//! `[virus_scan]` of the machine file: the clamd that scans files.

use super::mail::Fault;
use crate::address::{Reach, reach};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Where clamd is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScannerPlace {
    /// `socket`: the path of its socket (`LocalSocket` of clamd.conf).
    Socket(PathBuf),
    /// `address`: where it listens for TCP, on this machine or in its network.
    Address(SocketAddr),
}

/// `[virus_scan]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannerSettings {
    /// Where clamd is.
    pub place: ScannerPlace,
    /// Longest wait for a turn and a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest that one scan may take, the file's own way to the filter included, in milliseconds.
    pub scan_timeout_ms: u64,
    /// Largest file that is scanned, in bytes: not above `StreamMaxLength` of clamd.conf.
    pub max_file_bytes: u64,
    /// Most scans at once: below `MaxThreads` of clamd.conf, others may use it too.
    pub max_scans: usize,
    /// How long nothing of a file that is scanned goes to its client, in milliseconds; then a little, so that the
    /// client does not give up.
    pub trickle_after_ms: u64,
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScanner {
    socket: Option<Spanned<String>>,
    address: Option<Spanned<String>>,
    connect_timeout_ms: Option<Spanned<u64>>,
    scan_timeout_ms: Option<Spanned<u64>>,
    max_file_bytes: Option<Spanned<u64>>,
    max_scans: Option<Spanned<u64>>,
    trickle_after_ms: Option<Spanned<u64>>,
}

/// Reads the table; `at`: where it stands.
pub(super) fn read(
    raw: &Spanned<RawScanner>,
    folder: &Path,
    fault: &mut Fault<'_>,
) -> Option<ScannerSettings> {
    const WHERE: &str = "give socket = \"/run/clamav/clamd.ctl\", or address = \"127.0.0.1:3310\"";
    let at = raw.span();
    let raw = raw.get_ref();
    let place = match (&raw.socket, &raw.address) {
        (Some(socket), None) => Some(ScannerPlace::Socket(folder.join(socket.get_ref()))),
        (None, Some(address)) => self::address(address, fault),
        (Some(_), Some(both)) => {
            fault(both.span(), "clamd is in two places".to_owned(), WHERE.to_owned());
            None
        }
        (None, None) => {
            fault(at, "[virus_scan] does not say where clamd is".to_owned(), WHERE.to_owned());
            None
        }
    };
    let mut number = |name: &str, value: &Option<Spanned<u64>>, usual: u64, most: u64| {
        let Some(value) = value else { return usual };
        if !(1..=most).contains(value.get_ref()) {
            let what = format!("{name} is 1 to {most}, not {}", value.get_ref());
            fault(value.span(), what, format!("leave it out for {usual}"));
        }
        *value.get_ref()
    };
    let connect_timeout_ms = number("connect_timeout_ms", &raw.connect_timeout_ms, 2_000, 60_000);
    let scan_timeout_ms = number("scan_timeout_ms", &raw.scan_timeout_ms, 120_000, 3_600_000);
    // Debian's clamd.conf has StreamMaxLength 25M; a chunk's length is 32 bits.
    let max_file_bytes = number("max_file_bytes", &raw.max_file_bytes, 25 << 20, (4 << 30) - 1);
    let max_scans = number("max_scans", &raw.max_scans, 8, 1_024) as usize;
    let trickle_after_ms = number("trickle_after_ms", &raw.trickle_after_ms, 10_000, 60_000);
    Some(ScannerSettings {
        place: place?,
        connect_timeout_ms,
        scan_timeout_ms,
        max_file_bytes,
        max_scans,
        trickle_after_ms,
    })
}

/// An address in the school's own network: whatever people fetch goes there in the clear.
fn address(text: &Spanned<String>, fault: &mut Fault<'_>) -> Option<ScannerPlace> {
    let Ok(address) = text.get_ref().parse::<SocketAddr>() else {
        let what = format!("{:?} is no address and port", text.get_ref());
        fault(text.span(), what, "write it like \"127.0.0.1:3310\"".to_owned());
        return None;
    };
    if !address.ip().is_loopback() && reach(address.ip()) != Reach::Private {
        let what = format!("{address} is not in the school's own network");
        let fix = "files go to clamd in the clear: run it on this machine, or in its network";
        fault(text.span(), what, fix.to_owned());
        return None;
    }
    Some(ScannerPlace::Address(address))
}
