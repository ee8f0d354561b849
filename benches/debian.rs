//! Debian's packages, unpacked into a folder beside the build. Nothing is installed and nothing is
//! started by itself; what a program lacks of shared libraries is unpacked beside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An unpacked package.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    /// Where it was unpacked.
    pub folder: PathBuf,
    /// Debian's version.
    pub version: String,
    /// Folders of the libraries that came with it.
    libraries: Vec<PathBuf>,
}

/// File with the package's version, written last: a folder without it is half of one.
const VERSION: &str = "debian-version";

impl Package {
    /// A folder that holds what a package holds.
    pub(crate) fn unpacked(folder: PathBuf) -> Self {
        let version = std::fs::read_to_string(folder.join(VERSION)).unwrap_or_default();
        let version = version.trim().to_owned();
        let mut libraries = BTreeSet::new();
        for name in ["lib", "usr/lib"] {
            find_libraries(&folder.join(name), &mut libraries, 3);
        }
        Self { folder, version, libraries: libraries.into_iter().collect() }
    }

    /// A program of it.
    pub(crate) fn program(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// A command that runs a program of it with its libraries.
    pub(crate) fn command(&self, path: &str) -> Command {
        let mut command = Command::new(self.program(path));
        if let Ok(folders) = std::env::join_paths(&self.libraries) {
            command.env("LD_LIBRARY_PATH", folders);
        }
        command
    }

    /// Shared libraries that neither the system nor the folder has.
    fn missing(&self, path: &str) -> Result<Vec<String>, String> {
        let mut ldd = Command::new("ldd");
        ldd.arg(self.program(path));
        if let Ok(folders) = std::env::join_paths(&self.libraries) {
            ldd.env("LD_LIBRARY_PATH", folders);
        }
        let said = run(&mut ldd)?;
        let lines = said.lines().filter(|line| line.contains("not found"));
        let names = lines.filter_map(|line| line.split_whitespace().next());
        Ok(names.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect())
    }
}

/// Fetches a package once and unpacks it, with `also`, and with libraries that `program` lacks.
///
/// # Errors
/// A sentence that says what failed and what to do.
pub(crate) fn package(
    cache: &Path,
    name: &str,
    program: &str,
    also: &[&str],
) -> Result<Package, String> {
    let folder = cache.join(name);
    if folder.join(VERSION).exists() {
        return Ok(Package::unpacked(folder));
    }
    fetch(cache, name, program, also).map_err(|what| {
        format!(
            "{name}: {what}\n  fix: apt-get update, and look whether apt-get download {name} works"
        )
    })
}

fn fetch(cache: &Path, name: &str, program: &str, also: &[&str]) -> Result<Package, String> {
    eprintln!("  fetching Debian's {name}");
    let say = |error: std::io::Error| error.to_string();
    let download = cache.join("download").join(name);
    // Put in place whole: a run that was interrupted must not leave half of it.
    let (half, folder) = (cache.join(format!("{name}.part")), cache.join(name));
    for old in [&download, &half, &folder] {
        if old.exists() {
            std::fs::remove_dir_all(old).map_err(say)?;
        }
    }
    std::fs::create_dir_all(&download).map_err(say)?;
    for package in also.iter().chain([&name]) {
        unpack(&download, package, &half)?;
    }
    let lacks = Package::unpacked(half.clone()).missing(program)?;
    if !lacks.is_empty() {
        for library in libraries_of(name)? {
            unpack(&download, &library, &half)?;
        }
    }
    let still = Package::unpacked(half.clone()).missing(program)?;
    if !still.is_empty() {
        return Err(format!("{program} lacks {}", still.join(", ")));
    }
    let archive = archive_of(&download, name)?;
    let version = run(Command::new("dpkg-deb").arg("-f").arg(archive).arg("Version"))?;
    std::fs::write(half.join(VERSION), version).map_err(say)?;
    std::fs::rename(&half, &folder).map_err(say)?;
    std::fs::remove_dir_all(&download).map_err(say)?;
    Ok(Package::unpacked(folder))
}

/// Packages of libraries that installing it would bring; nothing is installed.
fn libraries_of(name: &str) -> Result<Vec<String>, String> {
    let mut asked = Command::new("apt-get");
    asked.args(["--simulate", "--no-install-recommends", "install", name]);
    let said = run(&mut asked)?;
    let would = said.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    Ok(would.filter(|name| name.starts_with("lib")).map(str::to_owned).collect())
}

fn unpack(download: &Path, name: &str, into: &Path) -> Result<(), String> {
    run(Command::new("apt-get").args(["download", "-q", name]).current_dir(download))?;
    run(Command::new("dpkg").arg("-x").arg(archive_of(download, name)?).arg(into))?;
    Ok(())
}

fn archive_of(download: &Path, name: &str) -> Result<PathBuf, String> {
    let start = format!("{name}_");
    let entries = std::fs::read_dir(download).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(&start))
        })
        .ok_or(format!("apt-get left no {start}*.deb in {}", download.display()))
}

fn find_libraries(folder: &Path, found: &mut BTreeSet<PathBuf>, depth: usize) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && depth > 0 {
            find_libraries(&path, found, depth - 1);
        } else if entry.file_name().to_string_lossy().contains(".so") {
            found.insert(folder.to_owned());
        }
    }
}

/// Runs a command to its end; gives what it printed.
///
/// # Errors
/// A sentence with the last line that it said.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{name}: {}: {last}", output.status))
}
