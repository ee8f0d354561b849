//! Sorting more rows than memory should hold: rows go to one file for each stretch of the order, and
//! each file then fits into memory.
//!
//! Where the stretches begin, a sample of the rows tells. One stretch becomes one row group.

use super::tables::{Key, Stored};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Rows of a row group, about. Fewer would repeat dictionaries, more would make a search read more.
pub(crate) const GROUP_ROWS: usize = 128 * 1024;

/// One row in so many is in the sample.
pub(crate) const SAMPLE: usize = 32;

/// Bytes gathered for each file before they are written.
const BUFFER_BYTES: usize = 64 * 1024;

/// The files of the stretches. They are removed when this is dropped; after a kill, by the next one.
pub(crate) struct Spill {
    folder: PathBuf,
    /// First key of each stretch but the first.
    bounds: Vec<Key>,
    files: Vec<BufWriter<File>>,
    buffer: Vec<u8>,
}

impl Spill {
    /// Makes `folder` anew, with the files of the stretches of a sample.
    pub(crate) fn create(folder: &Path, mut sample: Vec<Key>) -> std::io::Result<Self> {
        remove_folder(folder)?;
        crate::folder::make_folder(folder)?;
        sample.sort_unstable();
        let step = GROUP_ROWS / SAMPLE;
        // The last stretch takes what is too little for one of its own.
        let count = (sample.len() + step / 2) / step;
        let bounds: Vec<Key> = (1..count).map(|place| sample[place * step]).collect();
        let files = (0..=bounds.len()).map(|number| {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create_new(true).mode(0o600);
            let file = file.open(file_name(folder, number))?;
            Ok(BufWriter::with_capacity(BUFFER_BYTES, file))
        });
        let files = files.collect::<std::io::Result<_>>()?;
        Ok(Self { folder: folder.to_owned(), bounds, files, buffer: Vec::new() })
    }

    /// Takes a row.
    pub(crate) fn add(&mut self, key: &Key, row: &Stored<'_>) -> std::io::Result<()> {
        let stretch = self.bounds.partition_point(|bound| bound <= key);
        self.buffer.clear();
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer = postcard::to_extend(row, buffer).map_err(std::io::Error::other)?;
        self.files[stretch].write_all(&self.buffer)
    }

    /// How many stretches there are.
    pub(crate) fn stretches(&self) -> usize {
        self.files.len()
    }

    /// The bytes of a stretch, to be read by [`rows`]. No row may be added any more.
    pub(crate) fn stretch(&mut self, number: usize) -> std::io::Result<Vec<u8>> {
        self.files[number].flush()?;
        let path = file_name(&self.folder, number);
        let bytes = std::fs::read(&path)?;
        std::fs::remove_file(path)?;
        Ok(bytes)
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if let Err(error) = remove_folder(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "files of sealing stay behind");
        }
    }
}

/// The rows of a stretch.
pub(crate) fn rows(mut bytes: &[u8]) -> std::io::Result<Vec<Stored<'_>>> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let (row, rest) = postcard::take_from_bytes(bytes).map_err(std::io::Error::other)?;
        rows.push(row);
        bytes = rest;
    }
    Ok(rows)
}

/// Removes a folder with what is in it, if it is there.
pub(crate) fn remove_folder(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn file_name(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("stretch-{number:05}"))
}
