//! e2guardian, a school filter: one group, the same names banned by site, its log on. Its phrases are
//! off, as the pages of the comparison are not to be read.

use crate::child::{Pinning, Started, free_address};
use crate::debian::{self, Package};
use crate::entrant::Entrant;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const PROGRAM: &str = "usr/sbin/e2guardian";
/// Where its files say that they are.
const INSTALLED: &str = "/etc/e2guardian";
/// It asks the system's resolver alone; this name is known everywhere.
pub(crate) const HOST: &str = "localhost";

/// A running e2guardian.
pub(crate) struct E2guardian {
    /// As the rounds see it.
    pub entrant: Entrant,
    /// From start to the first accepted connection.
    pub ready_after: Duration,
    /// Its list of names, one a line.
    pub names: PathBuf,
}

/// Fetches and starts it with the names of a file.
///
/// # Errors
/// A sentence: what failed, with what it said.
pub(crate) fn start(
    cache: &Path,
    folder: &Path,
    names: &Path,
    pinning: &Pinning,
) -> Result<E2guardian, String> {
    let package = debian::package(cache, "e2guardian", PROGRAM, &[])?;
    let say = |error: io::Error| format!("e2guardian: {error}");
    let address = free_address().map_err(say)?;
    copy(&package.program("etc/e2guardian"), folder, folder).map_err(say)?;
    let names_here = folder.join("lists/bannedsitelist");
    std::fs::copy(names, &names_here).map_err(say)?;
    let path = folder.join("e2guardian.conf");
    let text = std::fs::read_to_string(&path).map_err(say)?;
    std::fs::write(&path, configuration(&text, folder, &package, address)).map_err(say)?;
    let said = folder.join("said.log");
    let to = std::fs::File::create(&said).map_err(say)?;
    let mut command = package.command(PROGRAM);
    // What its file says of going into the background is not heeded, this is.
    command.args(["-N", "-c"]).arg(&path).current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(to);
    let begun = Instant::now();
    let mut process = Started::new(&mut command, &pinning.proxy, &pinning.rest).map_err(say)?;
    process.wait_listening("e2guardian", address, Duration::from_secs(120), &said)?;
    let ready_after = begun.elapsed();
    let does = "filters by name and logs; its phrases are off, it knows nobody";
    let mut entrant = Entrant::new("e2guardian", does, None).keeping(process).forward_at(address);
    entrant.version = package.version;
    entrant.host = HOST;
    Ok(E2guardian { entrant, ready_after, names: names_here })
}

/// Copies its settings, which then name the folder that they are in. Whoever it becomes may write
/// there.
fn copy(from: &Path, to: &Path, root: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::create_dir_all(to)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o777))?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let path = entry.path();
        if path.is_dir() {
            copy(&path, &target, root)?;
            continue;
        }
        let bytes = std::fs::read(&path)?;
        match String::from_utf8(bytes) {
            Ok(text) => {
                std::fs::write(target, text.replace(INSTALLED, &root.display().to_string()))?;
            }
            Err(bytes) => std::fs::write(target, bytes.into_bytes())?,
        }
    }
    Ok(())
}

/// Its own file, but for the keys set here.
fn configuration(text: &str, folder: &Path, package: &Package, address: SocketAddr) -> String {
    let folder = folder.display();
    let share = package.program("usr/share/e2guardian");
    let share = share.display();
    let ours = [
        ("languagedir", format!("'{folder}/languages'")),
        ("filterip", address.ip().to_string()),
        ("filterports", address.port().to_string()),
        ("transparenthttpsport", String::new()),
        ("usecustombannedimage", "off".to_owned()),
        ("custombannedimagefile", format!("'{share}/transparent1x1.gif'")),
        ("usecustombannedflash", "off".to_owned()),
        ("custombannedflashfile", format!("'{share}/blockedflash.swf'")),
        ("weightedphrasemode", "0".to_owned()),
        ("httpworkers", "200".to_owned()),
        ("filecachedir", format!("'{folder}'")),
        ("daemonuser", "'nobody'".to_owned()),
        ("daemongroup", "'nogroup'".to_owned()),
        ("loglocation", format!("'{folder}/access.log'")),
        ("pidfilename", format!("'{folder}/e2guardian.pid'")),
    ];
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let theirs = text.lines().filter(|line| ours.iter().all(|(name, _)| key(line) != *name));
    let mut lines: Vec<String> = theirs.map(str::to_owned).collect();
    let set = ours.iter().filter(|(_, value)| !value.is_empty());
    lines.extend(set.map(|(name, value)| format!("{name} = {value}")));
    lines.join("\n") + "\n"
}
