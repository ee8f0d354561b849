//! Making a file.

use crate::columns::{COLUMNS, Column, Number, Row, Text, schema};
use crate::source::{self, CHECKSUMS, MARK, TAIL_BYTES};
use crate::{Error, Fault};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, RowGroupMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Compression: sealing has the night, and what it saves is saved for years.
const ZSTD_LEVEL: i32 = 9;

/// Most bytes of a column's dictionary in a row group; no column but the path comes near.
const DICTIONARY_BYTES: usize = 32 << 20;

/// Bytes of a page before compression. Large ones compress better, and a search reads whole groups.
const PAGE_BYTES: usize = 8 << 20;

/// A file that is being made. Until [`Writer::finish`] it is no Parquet file.
pub struct Writer {
    path: PathBuf,
    inner: SerializedFileWriter<File>,
    /// The same file, to read what was written.
    file: File,
    checksums: String,
}

impl Writer {
    /// Makes the file, readable by its owner alone, over whatever stands there. `notes` are kept in
    /// it by name.
    ///
    /// # Errors
    /// [`Error`] of the file system.
    pub fn create(path: &Path, notes: &[(&str, String)]) -> Result<Self, Error> {
        let create = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(true).mode(0o600);
            let file = options.open(path)?;
            let properties = Arc::new(properties(notes)?);
            let inner = SerializedFileWriter::new(file.try_clone()?, schema()?, properties)?;
            Ok::<_, Fault>(Self { path: path.to_owned(), inner, file, checksums: String::new() })
        };
        create().map_err(|fault| fault.at(path))
    }

    /// Writes one row group: `row` gives the rows 0 to before `rows`, sorted. It is asked for each
    /// row once a column.
    ///
    /// # Errors
    /// [`Error`]; the file is of no use then.
    pub fn group<'a>(&mut self, rows: usize, row: impl Fn(usize) -> Row<'a>) -> Result<(), Error> {
        let write = || {
            write_group(&mut self.inner, rows, row)?;
            self.inner.flush()?;
            let group = self.inner.flushed_row_groups().last();
            for column in group.map(RowGroupMetaData::columns).unwrap_or_default() {
                let [first, rows, end] = source::stretches(column).unwrap_or_default();
                for (from, to) in [(first, rows), (rows, end)] {
                    let sum = crc32fast::hash(&source::read(&self.file, from, to)?);
                    let _ = write!(self.checksums, "{sum:08x}");
                }
            }
            Ok::<_, Fault>(())
        };
        write().map_err(|fault| fault.at(&self.path))
    }

    /// Writes the footer and syncs the file to disk. Gives its length in bytes.
    ///
    /// # Errors
    /// [`Error`].
    pub fn finish(mut self) -> Result<u64, Error> {
        let path = self.path;
        let mut finish = || {
            let checksums = std::mem::take(&mut self.checksums);
            let note = KeyValue::new(CHECKSUMS.to_owned(), checksums);
            self.inner.append_key_value_metadata(note);
            self.inner.finish()?;
            self.inner.flush()?;
            let length = self.file.metadata()?.len();
            // The footer moves back a little to make room for its checksum.
            let tail = source::read(&self.file, length.saturating_sub(TAIL_BYTES), length)?;
            let footer_bytes = tail.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            let start = length.saturating_sub(TAIL_BYTES + u64::from(footer_bytes));
            let footer = source::read(&self.file, start, length)?;
            let sum = crc32fast::hash(&footer[..footer_bytes as usize]);
            let marked = [MARK.as_slice(), &sum.to_le_bytes(), &footer].concat();
            self.file.write_all_at(&marked, start)?;
            self.file.sync_all()?;
            Ok::<_, Fault>(self.file.metadata()?.len())
        };
        finish().map_err(|fault| fault.at(&path))
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("path", &self.path).finish_non_exhaustive()
    }
}

fn properties(notes: &[(&str, String)]) -> Result<WriterProperties, ParquetError> {
    let order =
        [Column::Text(Text::User), Column::Number(Number::At), Column::Number(Number::Sequence)];
    let sorting = order.map(|column| SortingColumn {
        column_idx: column.place() as i32,
        descending: false,
        nulls_first: false,
    });
    let notes = notes.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone()));
    let mut builder = WriterProperties::builder()
        .set_created_by("schoolgate".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(usize::MAX)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_sorting_columns(Some(sorting.to_vec()))
        .set_key_value_metadata(Some(notes.collect()));
    // What hardly repeats: no dictionary, but bytes of the same weight side by side, where those that
    // change little compress away.
    for number in [
        Number::Sequence,
        Number::Id,
        Number::At,
        Number::BytesUp,
        Number::BytesDown,
        Number::DurationUs,
        Number::EndPlace,
    ] {
        let column = ColumnPath::from(Column::Number(number).name());
        builder = builder
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::BYTE_STREAM_SPLIT);
    }
    let path = ColumnPath::from(Column::Text(Text::Path).name());
    builder = builder.set_column_dictionary_enabled(path, false);
    Ok(builder.build())
}

fn write_group<'a>(
    file: &mut SerializedFileWriter<File>,
    rows: usize,
    row: impl Fn(usize) -> Row<'a>,
) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    for (column, _, optional) in COLUMNS {
        let Some(mut writer) = group.next_column()? else { break };
        match column {
            Column::Text(text) => {
                let (values, defined) = text_values(rows, |place| row(place).text(text));
                let levels = optional.then_some(&*defined);
                writer.typed::<ByteArrayType>().write_batch(&values, levels, None)?;
            }
            Column::Number(Number::Locked) => {
                let values: Vec<bool> = (0..rows).map(|place| row(place).locked).collect();
                writer.typed::<BoolType>().write_batch(&values, None, None)?;
            }
            Column::Number(number) => {
                let all = (0..rows).map(|place| row(place).number(number));
                let (mut values, mut defined) = (Vec::with_capacity(rows), Vec::new());
                for value in all {
                    defined.push(i16::from(value.is_some()));
                    values.extend(value);
                }
                let levels = optional.then_some(&*defined);
                writer.typed::<Int64Type>().write_batch(&values, levels, None)?;
            }
        }
        writer.close()?;
    }
    group.close()?;
    Ok(())
}

/// The values of a column, and for each row whether it has one. Rows that follow each other often
/// have the same text, which is copied once.
fn text_values<'a>(
    rows: usize,
    text: impl Fn(usize) -> Option<&'a str>,
) -> (Vec<ByteArray>, Vec<i16>) {
    let (mut values, mut defined) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    let mut last: Option<(&str, ByteArray)> = None;
    for place in 0..rows {
        let value = text(place);
        defined.push(i16::from(value.is_some()));
        let Some(value) = value else { continue };
        let array = match &last {
            Some((text, array)) if *text == value => array.clone(),
            _ => ByteArray::from(value),
        };
        values.push(array.clone());
        last = Some((value, array));
    }
    (values, defined)
}
