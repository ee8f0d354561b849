//! Where the proxies to compare with come from: unpacked or installed once, into a folder beside the
//! build, without touching the system.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder that Debian's `squid-openssl` is unpacked in: `SQUID_OPENSSL`, else one of ours. The
/// package cannot be installed beside `squid`.
///
/// # Errors
/// A sentence that says what is missing and what to do.
pub(crate) fn squid_openssl(cache: &Path) -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("SQUID_OPENSSL").map(PathBuf::from) {
        return given.canonicalize().map_err(|error| format!("{}: {error}", given.display()));
    }
    let folder = cache.join("squid-openssl");
    if folder.join("usr/sbin/squid").exists() {
        return Ok(folder);
    }
    let fix = "\n  fix: unpack the package by hand (dpkg -x) and name the folder in SQUID_OPENSSL, \
               or run with --only schoolgate";
    let download = cache.join("download");
    std::fs::create_dir_all(&download).map_err(|error| error.to_string())?;
    eprintln!("  fetching squid-openssl");
    run(Command::new("apt-get").args(["download", "-q", "squid-openssl"]).current_dir(&download))
        .map_err(|what| format!("{what}{fix}"))?;
    let package = std::fs::read_dir(&download)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains("squid-openssl"))
        .ok_or(format!("apt-get left no package in {}{fix}", download.display()))?;
    // Put in place whole: a run that was interrupted must not leave half of it.
    let half = cache.join("squid-openssl.part");
    run(Command::new("dpkg").arg("-x").arg(&package).arg(&half))
        .map_err(|what| format!("{what}{fix}"))?;
    std::fs::rename(&half, &folder).map_err(|error| error.to_string())?;
    Ok(folder)
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

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{name}: {}: {last}", output.status))
}
