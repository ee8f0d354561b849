//! The folder of real data, which is not part of this repository.

use super::Fault;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where it is.
pub(crate) struct Shared(PathBuf);

impl Shared {
    /// The folder that `SCHOOLGATE_SHARED` names, or the one beside the checkout.
    pub(crate) fn find() -> Option<Self> {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
        let shared = std::env::var_os("SCHOOLGATE_SHARED").map_or(beside, PathBuf::from);
        shared.join("data").canonicalize().ok().map(Self)
    }

    /// A path below it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// A file's bytes, decompressed if only its `.gz` is there; `None` if neither is.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>, Fault> {
        let plain = self.path(path);
        let packed = self.path(&format!("{path}.gz"));
        let fault = |error: std::io::Error| format!("{path}: {error}");
        if plain.is_file() {
            return Ok(Some(std::fs::read(plain).map_err(fault)?));
        }
        if !packed.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(packed).map_err(fault)?;
        flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).map_err(fault)?;
        Ok(Some(bytes))
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// It is not, or is no text.
    pub(crate) fn text(&self, path: &str) -> Result<String, Fault> {
        let bytes = self.bytes(path)?.ok_or_else(|| format!("{path} is not there"))?;
        Ok(String::from_utf8(bytes).map_err(|error| format!("{path}: {error}"))?)
    }

    /// Names of what is directly in a folder, sorted.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn names(&self, folder: &str) -> Result<Vec<String>, Fault> {
        let entries =
            std::fs::read_dir(self.path(folder)).map_err(|error| format!("{folder}: {error}"))?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<std::io::Result<Vec<String>>>()?;
        names.sort();
        Ok(names)
    }
}
