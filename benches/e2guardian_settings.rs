//! e2guardian's own settings, moved to a folder of ours with the keys changed that must be.

use crate::debian::Package;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// Its program, in the unpacked package.
pub(crate) const PROGRAM: &str = "usr/sbin/e2guardian";
/// Where its files say that they are.
const INSTALLED: &str = "/etc/e2guardian";

/// Copies the package's settings to a folder, and gives its main file's text with these further keys set.
///
/// # Errors
/// What could not be copied.
pub(crate) fn prepare(
    package: &Package,
    folder: &Path,
    address: SocketAddr,
    further: &[(&str, String)],
) -> io::Result<()> {
    copy(&package.program("etc/e2guardian"), folder, folder)?;
    let path = folder.join("e2guardian.conf");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(path, configuration(&text, folder, package, address, further))
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
fn configuration(
    text: &str,
    folder: &Path,
    package: &Package,
    address: SocketAddr,
    further: &[(&str, String)],
) -> String {
    let folder = folder.display();
    let share = package.program("usr/share/e2guardian");
    let share = share.display();
    let mut ours = vec![
        ("languagedir", format!("'{folder}/languages'")),
        ("filterip", address.ip().to_string()),
        ("filterports", address.port().to_string()),
        ("transparenthttpsport", String::new()),
        ("usecustombannedimage", "off".to_owned()),
        ("custombannedimagefile", format!("'{share}/transparent1x1.gif'")),
        ("usecustombannedflash", "off".to_owned()),
        ("custombannedflashfile", format!("'{share}/blockedflash.swf'")),
        ("httpworkers", "200".to_owned()),
        ("filecachedir", format!("'{folder}'")),
        ("daemonuser", "'nobody'".to_owned()),
        ("daemongroup", "'nogroup'".to_owned()),
        ("loglocation", format!("'{folder}/access.log'")),
        ("pidfilename", format!("'{folder}/e2guardian.pid'")),
    ];
    ours.extend_from_slice(further);
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let theirs = text.lines().filter(|line| ours.iter().all(|(name, _)| key(line) != *name));
    let mut lines: Vec<String> = theirs.map(str::to_owned).collect();
    let set = ours.iter().filter(|(_, value)| !value.is_empty());
    lines.extend(set.map(|(name, value)| format!("{name} = {value}")));
    lines.join("\n") + "\n"
}
