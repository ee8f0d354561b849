//! e2guardian, a school filter: one group, the same names banned by site, its log on. Its phrases are
//! off, as the pages of the comparison are not to be read.

use crate::child::{Pinning, Started, free_address};
use crate::debian;
use crate::e2guardian_settings::{self, PROGRAM};
use crate::entrant::Entrant;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

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
    let phrases_off = [("weightedphrasemode", "0".to_owned())];
    e2guardian_settings::prepare(&package, folder, address, &phrases_off).map_err(say)?;
    let names_here = folder.join("lists/bannedsitelist");
    std::fs::copy(names, &names_here).map_err(say)?;
    let path = folder.join("e2guardian.conf");
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
