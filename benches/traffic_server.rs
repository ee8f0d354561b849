//! Apache Traffic Server as a forward proxy: the cheapest of the peers that find their way to a site by
//! its name. No cache, no log, one thread.

use crate::cases::PLAIN_HOST;
use crate::child::{Pinning, Started, free_address};
use crate::debian;
use crate::entrant::Entrant;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const SERVER: &str = "usr/bin/traffic_server";

/// Files that it wants to find; empty ones say nothing.
const EMPTY: [&str; 10] = [
    "cache.config",
    "hosting.config",
    "parent.config",
    "plugin.config",
    "remap.config",
    "socks.config",
    "splitdns.config",
    "ssl_multicert.config",
    "storage.config",
    "volume.config",
];

/// Fetches and starts it; CONNECT is allowed to these ports.
///
/// # Errors
/// A sentence: what failed, with what it said.
pub(crate) fn start(
    cache: &Path,
    folder: &Path,
    ports: [u16; 2],
    pinning: &Pinning,
) -> Result<Entrant, String> {
    use std::os::unix::fs::PermissionsExt;
    let package = debian::package(cache, "trafficserver", SERVER, &[])?;
    let say = |error: std::io::Error| format!("trafficserver: {error}");
    let address = free_address().map_err(say)?;
    let (settings, state) = (folder.join("settings"), folder.join("state"));
    std::fs::create_dir_all(&settings).map_err(say)?;
    std::fs::create_dir_all(&state).map_err(say)?;
    // Started by root, it becomes nobody, who must be able to write here.
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).map_err(say)?;
    for name in EMPTY {
        std::fs::write(settings.join(name), "").map_err(say)?;
    }
    std::fs::write(folder.join("hosts"), format!("127.0.0.1 {PLAIN_HOST}\n")).map_err(say)?;
    std::fs::write(
        settings.join("ip_allow.yaml"),
        "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.0/8\n    action: allow\n    methods: ALL\n",
    )
    .map_err(say)?;
    let [plain, tls] = ports;
    let records = [
        ("http.server_ports STRING", format!("{}:ip-in={}", address.port(), address.ip())),
        ("http.cache.http INT", "0".into()),
        ("http.wait_for_cache INT", "0".into()),
        ("reverse_proxy.enabled INT", "0".into()),
        ("url_remap.remap_required INT", "0".into()),
        ("http.connect_ports STRING", format!("{plain} {tls}")),
        ("exec_thread.autoconfig INT", "0".into()),
        ("exec_thread.limit INT", "1".into()),
        ("hostdb.host_file.path STRING", folder.join("hosts").display().to_string()),
        ("log.logging_enabled INT", "0".into()),
        ("admin.user_id STRING", "nobody".into()),
        (
            "body_factory.template_sets_dir STRING",
            package.program("etc/trafficserver/body_factory").display().to_string(),
        ),
    ];
    let mut text = String::new();
    for (name, value) in records {
        let _ = writeln!(text, "CONFIG proxy.config.{name} {value}");
    }
    std::fs::write(settings.join("records.config"), text).map_err(say)?;
    let mut layout = String::new();
    let binaries = package.program("usr/bin");
    let modules = package.program("usr/lib/trafficserver");
    for (name, path) in [
        ("prefix", folder),
        ("exec_prefix", folder),
        ("bindir", binaries.as_path()),
        ("sbindir", binaries.as_path()),
        ("sysconfdir", settings.as_path()),
        ("datadir", state.as_path()),
        ("includedir", state.as_path()),
        ("libdir", modules.as_path()),
        ("libexecdir", modules.as_path()),
        ("localstatedir", state.as_path()),
        ("runtimedir", state.as_path()),
        ("logdir", state.as_path()),
        ("mandir", state.as_path()),
        ("cachedir", state.as_path()),
    ] {
        let _ = writeln!(layout, "{name}: {}", path.display());
    }
    std::fs::write(folder.join("runroot.yaml"), layout).map_err(say)?;
    let said = folder.join("said.log");
    let to = std::fs::File::create(&said).map_err(say)?;
    let mut command = package.command(SERVER);
    command.env("TS_RUNROOT", folder).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(to);
    let mut process = Started::new(&mut command, &pinning.proxy, &pinning.rest).map_err(say)?;
    process.wait_listening("trafficserver", address, Duration::from_secs(30), &said)?;
    let does = "forwards; filters and records nothing";
    let mut entrant =
        Entrant::new("trafficserver", does, None).keeping(process).forward_at(address);
    entrant.version = package.version;
    entrant.quiet_spells = 1;
    Ok(entrant)
}
