//! HAProxy before the one origin: in its HTTP mode for requests, and as a relay of bytes, which it
//! splices, for what belongs in a tunnel. It chooses no site, decides nothing and records nothing.

use crate::child::{Pinning, Started, free_addresses};
use crate::debian;
use crate::entrant::{Entrant, Tunnels};
use rustix::process::{Resource, getrlimit};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const HAPROXY: &str = "usr/sbin/haproxy";

/// Connections that it may have where files are no matter.
const CONNECTIONS: u64 = 4_000;

/// What it is told to be ready for. It wants two files for each connection and two for each pipe, with
/// some to spare, and does not start where the hard limit has fewer.
fn connections() -> u64 {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    (files.saturating_sub(100) / 3).clamp(50, CONNECTIONS)
}

/// Fetches and starts it, before the origin's plain port and the one with TLS.
///
/// # Errors
/// A sentence: what failed, with what it said.
pub(crate) fn start(
    cache: &Path,
    folder: &Path,
    plain: SocketAddr,
    secure: SocketAddr,
    pinning: &Pinning,
) -> Result<Entrant, String> {
    let package = debian::package(cache, "haproxy", HAPROXY, &[])?;
    let say = |error: std::io::Error| format!("haproxy: {error}");
    let [http, relay, relay_tls] = free_addresses().map_err(say)?;
    std::fs::create_dir_all(folder).map_err(say)?;
    let relay_to = |name: &str, listen: SocketAddr, to: SocketAddr| {
        format!("listen {name}\nmode tcp\nbind {listen}\noption splice-auto\nserver origin {to}\n")
    };
    let most = connections();
    let text = format!(
        "global\nnbthread 1\nmaxconn {most}\nmaxpipes {}\ntune.pipesize 1048576\n\
         defaults\ntimeout connect 5s\ntimeout client 60s\ntimeout server 60s\n\
         listen requests\nmode http\nbind {http}\nhttp-reuse always\nserver origin {plain}\n\
         {}{}",
        most / 4,
        relay_to("relay", relay, plain),
        relay_to("relay_tls", relay_tls, secure),
    );
    std::fs::write(folder.join("haproxy.cfg"), text).map_err(say)?;
    let said = folder.join("said.log");
    let to = std::fs::File::create(&said).map_err(say)?;
    let mut command = package.command(HAPROXY);
    command.args(["-db", "-f", "haproxy.cfg"]).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(to);
    let mut process = Started::new(&mut command, &pinning.proxy, &pinning.rest).map_err(say)?;
    process.wait_listening("haproxy", http, Duration::from_secs(20), &said)?;
    let does =
        "passes everything to one server, in tunnels byte by byte; filters and records nothing";
    let mut entrant = Entrant::new("haproxy", does, None).keeping(process);
    entrant.version = package.version;
    entrant.quiet_spells = 1;
    entrant.http = Some(http);
    entrant.tunnels = Some(Tunnels { plain: relay, tls: relay_tls, bare: true });
    Ok(entrant)
}
