//! What must outlive the journals once they are stored and removed: the highest id ever given, and
//! which days hold accesses that are still open.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

/// Kept as `carried.json` beside the journals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Carried {
    pub(crate) last_id: u64,
    pub(crate) open_days: BTreeSet<Date>,
}

impl Carried {
    pub(crate) const NAME: &str = "carried.json";

    /// Reads it; nothing carried where there is no file yet. One that the disk has damaged is set
    /// aside: the newest days tell nearly all that it would, and a start that waits for somebody to
    /// remove a file is browsing that stands still.
    pub(crate) fn read(folder: &Path) -> std::io::Result<Self> {
        match std::fs::read(folder.join(Self::NAME)) {
            Ok(bytes) => serde_json::from_slice(&bytes).or_else(|error| {
                tracing::error!(%error, "journal/carried.json is damaged and set aside");
                let path = folder.join(Self::NAME);
                std::fs::rename(&path, path.with_extension("json.damaged"))?;
                Ok(Self::default())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces it durably: whole, or not at all.
    pub(crate) fn write(&self, folder: &Path) -> std::io::Result<()> {
        let new = folder.join("carried.json.new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(&serde_json::to_vec(self).map_err(std::io::Error::other)?)?;
        file.sync_all()?;
        std::fs::rename(&new, folder.join(Self::NAME))?;
        std::fs::File::open(folder)?.sync_all()
    }
}
