//! What every driven bench needs: the program under test, the origin, and the real test data.

use crate::cases::SQUID_URL_BYTES;
use crate::child::Started;
use crate::lists::{self, List};
use crate::report::Report;
use crate::trace::{self, Trace};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Longest wait for a proxy to finish what it put off.
pub(crate) const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// The folder of real test data, where there is one.
pub(crate) fn shared_folder() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let folder = std::env::var_os("SCHOOLGATE_SHARED").map_or(beside, PathBuf::from);
    folder.join("data").canonicalize().ok()
}

/// The folder that this program was built into (`.../release`).
pub(crate) fn build_folder() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = program.ancestors().nth(2).ok_or("this program stands in no build folder")?;
    Ok(folder.to_owned())
}

/// Builds the product in release mode beside this program, so that what is measured is never stale.
pub(crate) fn build() -> Result<PathBuf, String> {
    let folder = build_folder()?;
    let target = folder.parent().ok_or("this program stands in no build folder")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "-p", "admin-cli", "--bin", "schoolgate", "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err(format!("cargo build: {status}"));
    }
    Ok(target.join("release/schoolgate"))
}

/// Starts this program again as the origin, with these further arguments; gives each address that it
/// says it listens on.
pub(crate) fn start_origin(arguments: &[&str]) -> Result<(Started, Vec<SocketAddr>), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["--origin", "127.0.0.1:0"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Started::new(&mut command, &[], &[]).map_err(|error| error.to_string())?;
    let mut line = String::new();
    if let Some(output) = process.child().stdout.take() {
        BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
    }
    let listening = line.trim().strip_prefix("listening ").unwrap_or_default();
    let addresses: Result<Vec<SocketAddr>, _> = listening.split(' ').map(str::parse).collect();
    Ok((process, addresses.map_err(|_| "the origin did not start")?))
}

/// Squid gives up root's rights and must still reach its files.
pub(crate) fn open_to_all(folder: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("{}: {error}", folder.display()))
}

/// Made up, for where the real trace is missing.
const SMALL_TRACE: &str = include_str!("small_trace.tsv");

/// What is played.
pub(crate) struct Material {
    /// Requests.
    pub trace: Trace,
    /// Their hosts.
    pub hosts: BTreeSet<String>,
}

/// Reads the given trace, else the real one, else the small one; `for_squid` leaves out what Squid
/// cannot take.
///
/// # Errors
/// A sentence that names the file and the fault.
pub(crate) fn material(
    input: Option<&Path>,
    for_squid: bool,
    report: &mut Report,
) -> Result<Material, String> {
    let shared =
        || Some(shared_folder()?.join("traces/har_requests.tsv.gz")).filter(|path| path.exists());
    let (name, mut trace) = match input.map(Path::to_owned).or_else(shared) {
        Some(path) => (
            path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            trace::read(&path)?,
        ),
        None => ("made up (small)".to_owned(), trace::parse(SMALL_TRACE)?),
    };
    let recorded = trace.requests.len();
    if for_squid {
        trace.requests.retain(|request| request.path_and_query.len() < SQUID_URL_BYTES);
    }
    for request in &mut trace.requests {
        // A bare address would be dialled as it is; a name of its own leads to the origin instead.
        if request.host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() {
            let name = request.host.trim_matches(['[', ']']).replace(['.', ':'], "-");
            request.host = format!("address-{name}.test");
        }
    }
    let hosts: BTreeSet<String> =
        trace.requests.iter().map(|request| request.host.clone()).collect();
    let line = format!(
        "trace {name}: {recorded} requests to {} hosts; left out: {} that never went to a network, {} too long for Squid",
        hosts.len(),
        trace.skipped,
        recorded - trace.requests.len()
    );
    report.fact("trace", line, json!({ "requests": trace.requests.len(), "hosts": hosts.len() }));
    Ok(Material { trace, hosts })
}

/// The given lists, else the real ones, else some made up from the hosts (`none`).
///
/// # Errors
/// A sentence that names the folder and the fault.
pub(crate) fn choose_lists(
    given: Option<&Path>,
    hosts: &BTreeSet<String>,
    folder: &Path,
) -> Result<Vec<List>, String> {
    match given {
        Some(none) if none.as_os_str() == "none" => lists::made_up(hosts, &folder.join("lists")),
        Some(given) => lists::find(&std::path::absolute(given).map_err(|error| error.to_string())?),
        None => match shared_folder().map(|shared| shared.join("lists")) {
            Some(path) if path.exists() => lists::find(&path),
            _ => lists::made_up(hosts, &folder.join("lists")),
        },
    }
}
