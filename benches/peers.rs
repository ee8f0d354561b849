//! Where the proxies to compare with come from: unpacked or installed once, into a folder beside the
//! build, without touching the system.

use crate::debian::{self, Package, run};
use crate::squid::SQUID;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Debian's `squid-openssl`, which cannot be installed beside `squid`: in the folder that
/// `SQUID_OPENSSL` names, else in one of ours.
///
/// # Errors
/// A sentence that says what is missing and what to do.
pub(crate) fn squid_openssl(cache: &Path) -> Result<Package, String> {
    if let Some(given) = std::env::var_os("SQUID_OPENSSL").map(PathBuf::from) {
        let folder =
            given.canonicalize().map_err(|error| format!("{}: {error}", given.display()))?;
        return Ok(Package::unpacked(folder));
    }
    // Its icons, types and error pages are in packages of their own.
    debian::package(cache, "squid-openssl", SQUID, &["squid-common", "squid-langpack"]).map_err(
        |what| format!("{what}; or run without squid and name its folder in SQUID_OPENSSL"),
    )
}

/// The program `mitmdump`: `MITMDUMP`, else one that pip installs into a folder of its own.
///
/// # Errors
/// A sentence that says what failed.
pub(crate) fn mitmdump(cache: &Path) -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("MITMDUMP").map(PathBuf::from) {
        return given.canonicalize().map_err(|error| format!("{}: {error}", given.display()));
    }
    let folder = cache.join("mitmproxy");
    let program = folder.join("bin/mitmdump");
    if program.exists() {
        return Ok(program);
    }
    eprintln!("  installing mitmproxy into {}", folder.display());
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(folder.join("bin/pip")).args(["install", "-q", "mitmproxy"]))?;
    Ok(program)
}
