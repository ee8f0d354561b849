//! Programs under valgrind's callgrind, which counts the instructions that they carry out.

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

type Fault = Box<dyn Error + Send + Sync>;

/// Variables of the environment that valgrind needs. Others are kept from what is counted, which could
/// heed them.
const KEPT: [&str; 5] = ["PATH", "HOME", "TMPDIR", "VALGRIND_LIB", "LD_LIBRARY_PATH"];

/// Whether it is here, and which.
///
/// # Errors
/// A sentence with what to do.
pub(crate) fn version() -> Result<String, Fault> {
    let asked = Command::new("valgrind").arg("--version").output();
    match asked {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        _ => Err("valgrind is missing\n  fix: sudo apt-get install valgrind".into()),
    }
}

/// A command that runs a program under callgrind, which leaves its counts in the folder: of all, or of `only` a function
/// with all that it calls. The numbers of threads tell nothing: they begin in another order in each run, and one that begins
/// gets the number of one that has ended.
pub(crate) fn under(program: &Path, folder: &Path, only: Option<&str>) -> Command {
    let mut command = Command::new("valgrind");
    command.env_clear().envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    // Valgrind takes a value behind a sign of equality alone.
    let with = |option: &str, file: &str| {
        let mut argument = OsString::from(option);
        argument.push(folder.join(file));
        argument
    };
    command
        .args(["--tool=callgrind", "--separate-threads=yes"])
        .arg(with("--callgrind-out-file=", "counts"))
        .arg(with("--log-file=", "said"))
        .args(only.map(|function| format!("--toggle-collect={function}")))
        .arg(program);
    command
}

/// Instructions that a run left in the folder, of all threads. Where there is `keep`, the counts go there too, for
/// `callgrind_annotate`.
///
/// # Errors
/// It left none, with what valgrind said; or a file cannot be copied.
pub(crate) fn counted(folder: &Path, keep: Option<&Path>) -> Result<u64, Fault> {
    let mut sum = 0;
    if let Some(keep) = keep {
        std::fs::create_dir_all(keep)?;
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| name.starts_with("counts-")) {
            continue;
        }
        if let Some(keep) = keep {
            std::fs::copy(entry.path(), keep.join(&name))?;
        }
        let text = std::fs::read_to_string(entry.path())?;
        let count = text.lines().find_map(|line| line.strip_prefix("totals:"));
        let count = count.ok_or_else(|| format!("{}: no totals", entry.path().display()))?;
        sum += count.trim().parse::<u64>()?;
    }
    if sum == 0 {
        let said = std::fs::read_to_string(folder.join("said")).unwrap_or_default();
        return Err(format!("callgrind left no counts: {said}").into());
    }
    Ok(sum)
}
