//! mitmproxy, for comparison: it looks into tunnels, knows nobody and blocks nothing.

use crate::child::{Pinning, Started, free_address};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Sends every connection to the origin, and writes one line a request, as the others do.
const ADDON: &str = r#"
LOG = open("access.log", "w", buffering=65536)

def server_connect(data):
    data.server.address = ("127.0.0.1", PORT)

def response(flow):
    LOG.write(f"{flow.request.timestamp_start} {flow.client_conn.peername[0]} "
              f"{flow.request.method} {flow.request.pretty_url} {flow.response.status_code}\n")
"#;

/// A running mitmproxy.
pub(crate) struct Mitmproxy {
    /// The process.
    pub process: Started,
    /// Where it listens.
    pub address: SocketAddr,
    folder: PathBuf,
}

impl Mitmproxy {
    /// Starts `mitmdump` in a folder.
    ///
    /// # Errors
    /// A sentence: what failed, with what it said.
    pub(crate) fn start(
        binary: &Path,
        folder: &Path,
        origin: SocketAddr,
        sites: &Path,
        pinning: &Pinning,
    ) -> Result<Self, String> {
        let say = |error: std::io::Error| format!("{}: {error}", binary.display());
        let address = free_address().map_err(say)?;
        std::fs::create_dir_all(folder).map_err(say)?;
        let addon = ADDON.replace("PORT", &origin.port().to_string());
        std::fs::write(folder.join("addon.py"), addon).map_err(say)?;
        let said = std::fs::File::create(folder.join("said.log")).map_err(say)?;
        let mut command = Command::new(binary);
        command
            .args(["-q", "-s", "addon.py", "--listen-host", "127.0.0.1"])
            .args(["-p", &address.port().to_string(), "--set", "confdir=confdir", "--set"])
            .arg(format!("ssl_verify_upstream_trusted_ca={}", sites.display()))
            // It would hold every exchange in memory.
            .args(["--set", "flow_detail=0"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(said.try_clone().map_err(say)?)
            .stderr(said);
        let mut process = Started::new(&mut command, &pinning.proxy, &pinning.rest).map_err(say)?;
        let said = folder.join("said.log");
        process.wait_listening("mitmproxy", address, Duration::from_secs(60), &said)?;
        Ok(Self { process, address, folder: folder.to_owned() })
    }

    /// The certificate of its authority, in PEM.
    ///
    /// # Errors
    /// A sentence: it made none.
    pub(crate) fn authority(&self) -> Result<Vec<u8>, String> {
        let path = self.folder.join("confdir/mitmproxy-ca-cert.pem");
        std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
    }
}
