//! The counts of instructions that were recorded, by kind of machine, and how far beyond them a count
//! may be.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

type Fault = Box<dyn Error + Send + Sync>;

/// The whole file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bounds {
    /// By how many hundredths a count may be above the recorded one.
    pub room_percent: u64,
    /// The same where compiler or C library are not those of the recording: they choose other
    /// instructions for the same program.
    pub room_percent_other_tools: u64,
    /// What was recorded, by kind of machine.
    pub machines: BTreeMap<String, Recorded>,
}

/// What was recorded on one kind of machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    /// Where: the processor.
    pub processor: String,
    /// The compiler.
    pub rustc: String,
    /// The C library, whose copying and comparing are counted too.
    pub libc: String,
    /// Valgrind, which decides what the program takes its processor for.
    pub valgrind: String,
    /// Instructions of each case.
    pub instructions: BTreeMap<String, u64>,
}

/// Where the file is.
pub(crate) fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.json")
}

impl Bounds {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read; with its name.
    pub(crate) fn read() -> Result<Self, Fault> {
        let path = path();
        let say = |error: &dyn Error| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(&path).map_err(|error| say(&error))?;
        serde_json::from_str(&text).map_err(|error| say(&error).into())
    }

    /// Writes it.
    ///
    /// # Errors
    /// It cannot be written; with its name.
    pub(crate) fn write(&self) -> Result<(), Fault> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        let path = path();
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()).into())
    }

    /// The room on a machine with these tools.
    pub(crate) fn room(&self, recorded: &Recorded, here: &Recorded) -> u64 {
        let tools = |it: &Recorded| (it.rustc.clone(), it.libc.clone(), it.valgrind.clone());
        match tools(recorded) == tools(here) {
            true => self.room_percent,
            false => self.room_percent_other_tools,
        }
    }
}

/// Which counts are alike: the processor's family, and whether it has what libraries ask for at run time
/// and valgrind knows. Beyond AVX2 valgrind shows programs nothing, whatever the processor has.
pub(crate) fn kind() -> String {
    let arch = std::env::consts::ARCH;
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        return format!("{arch} with avx2");
    }
    arch.to_owned()
}

/// This machine and its tools, with no counts yet.
pub(crate) fn here(valgrind: String) -> Recorded {
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok();
        let output = output.filter(|output| output.status.success());
        output.map_or_else(
            || "unknown".to_owned(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.and_then(|rest| rest.split_once(':')).map_or("unknown", |(_, model)| model);
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    Recorded {
        processor: model.trim().to_owned(),
        rustc: said(&rustc, "--version"),
        libc: said("getconf", "GNU_LIBC_VERSION"),
        valgrind,
        instructions: BTreeMap::new(),
    }
}
