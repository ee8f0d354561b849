//! A file's bytes, each stretch checked against its checksum before anything is made of it.
//!
//! Parquet has a place for checksums of pages, which the library does not fill, and none for the
//! footer. So each column of a row group has two of this crate's own, one of its dictionary and one of
//! its rows, as a note in the footer ([`CHECKSUMS`]); and the footer has one in eight bytes before it
//! ([`MARK`]), to which nothing in the file points: other programs pass over them.

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{Cursor, Read};
use std::os::unix::fs::FileExt;

/// The name of the note with the checksums of columns, hex.
pub(crate) const CHECKSUMS: &str = "schoolgate.checksums";

/// Stands before the footer's checksum.
pub(crate) const MARK: &[u8; 4] = b"SGF1";

/// Bytes of mark and checksum.
pub(crate) const MARK_BYTES: u64 = 8;

/// Bytes behind the footer: its length and Parquet's own mark.
pub(crate) const TAIL_BYTES: u64 = 8;

/// Parquet's own mark.
pub(crate) const PARQUET: &[u8; 4] = b"PAR1";

/// Longest footer that is read: that of a file with some hundred thousand row groups.
const MAX_FOOTER_BYTES: u64 = 1 << 30;

/// Where the dictionary of a column begins, where its rows, and where it ends; `None`: a footer that
/// makes no sense.
pub(crate) fn stretches(column: &ColumnChunkMetaData) -> Option<[u64; 3]> {
    let rows = u64::try_from(column.data_page_offset()).ok()?;
    let first = match column.dictionary_page_offset() {
        Some(dictionary) => u64::try_from(dictionary).ok()?,
        None => rows,
    };
    let end = first.checked_add(u64::try_from(column.compressed_size()).ok()?)?;
    (first <= rows && rows <= end).then_some([first, rows, end])
}

/// Reads `[from, to)`.
pub(crate) fn read(file: &File, from: u64, to: u64) -> std::io::Result<Vec<u8>> {
    // A damaged length may ask for more than there is: that must not become an allocation.
    let length = file.metadata()?.len();
    if from > to || to > length {
        let what = format!("bytes {from} to {to} of a file of {length}");
        return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, what));
    }
    let mut bytes = vec![0; usize::try_from(to - from).map_err(std::io::Error::other)?];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

/// Reads the footer; `None`: it, or what says where it stands, is damaged.
pub(crate) fn footer(file: &File) -> std::io::Result<Option<Vec<u8>>> {
    let length = file.metadata()?.len();
    let Some(end) = length.checked_sub(TAIL_BYTES) else { return Ok(None) };
    let tail = read(file, end, length)?;
    let Some((bytes, mark)) = tail.split_first_chunk::<4>() else { return Ok(None) };
    let footer_bytes = u64::from(u32::from_le_bytes(*bytes));
    let start = end.checked_sub(footer_bytes + MARK_BYTES);
    let Some(start) = start.filter(|_| mark == PARQUET && footer_bytes < MAX_FOOTER_BYTES) else {
        return Ok(None);
    };
    let bytes = read(file, start, end)?;
    let (head, footer) = bytes.split_at(MARK_BYTES as usize);
    let sum = crc32fast::hash(footer).to_le_bytes();
    Ok((head[..4] == *MARK && head[4..] == sum).then(|| footer.to_vec()))
}

/// A stretch of the file, at its place.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    start: u64,
    bytes: Bytes,
}

impl Stretch {
    pub(crate) fn new(start: u64, bytes: Vec<u8>) -> Self {
        Self { start, bytes: bytes.into() }
    }

    fn part(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let from = start.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let range = from.and_then(|from| Some(from..from.checked_add(length)?));
        match range.filter(|range| range.end <= self.bytes.len()) {
            Some(range) => Ok(self.bytes.slice(range)),
            None => Err(ParquetError::EOF(format!("{length} bytes at {start} of a column"))),
        }
    }
}

impl Length for Stretch {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Stretch {
    type T = Box<dyn Read + Send>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let left = self.len().saturating_sub(start);
        let bytes = self.part(start, usize::try_from(left).unwrap_or(usize::MAX))?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.part(start, length)
    }
}
