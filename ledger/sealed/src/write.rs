//! Making a file.

use crate::columns::{COLUMNS, Column, Columns, Number, Row, Text, schema};
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
    columns: Columns,
}

impl Writer {
    /// Makes the file, readable by its owner alone, over whatever stands there. `notes` are kept in
    /// it by name.
    ///
    /// # Errors
    /// [`Error`] of the file system.
    pub fn create(path: &Path, notes: &[(&str, String)]) -> Result<Self, Error> {
        Self::create_of(&COLUMNS, path, notes)
    }

    /// One with these columns.
    fn create_of(columns: Columns, path: &Path, notes: &[(&str, String)]) -> Result<Self, Error> {
        let create = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(true).mode(0o600);
            let file = options.open(path)?;
            let properties = Arc::new(properties(notes)?);
            let inner = SerializedFileWriter::new(file.try_clone()?, schema(columns)?, properties)?;
            let (path, checksums) = (path.to_owned(), String::new());
            Ok::<_, Fault>(Self { path, inner, file, checksums, columns })
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
            write_group(&mut self.inner, self.columns, rows, row)?;
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
    columns: Columns,
    rows: usize,
    row: impl Fn(usize) -> Row<'a>,
) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    for (column, _, optional) in columns.iter().copied() {
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops where its setup fails")]
mod tests {
    use super::*;
    use crate::columns::WITHOUT_NOTES;
    use crate::{Conditions, Ended, Order};

    fn row(sequence: i64, words: Option<&'static str>) -> Row<'static> {
        Row {
            sequence,
            id: 7 + sequence,
            at: 1_795_000_000_000,
            user: Some("pupil01"),
            level: "ks3",
            client: "10.1.2.3",
            method: "GET",
            scheme: "https",
            host: "www.library.test",
            port: 443,
            path: Some("/find"),
            categories: "education",
            locked: false,
            verdict: "allow",
            reason: "allowed",
            rule: None,
            unblock: None,
            depth: "page",
            policy_hash: "0a",
            list_version: "l7",
            zone: "Europe/London",
            ended: Some(Ended {
                end: "complete",
                depth: None,
                status: 200,
                bytes_up: 1,
                bytes_down: 2,
                duration_us: 3,
                place: Some(0),
                signs: words,
            }),
            words,
            words_kind: words.map(|_| "search"),
            words_site: words.map(|_| "Bing"),
            signs: words,
        }
    }

    fn places(file: &crate::File, text: &str) -> Vec<i64> {
        let mut conditions = Conditions::default();
        conditions.address([text.to_owned()]);
        conditions.or_words([text.to_owned()]);
        let taken =
            file.page(&conditions, Order::OldestFirst, 9, |row| Ok::<_, Error>(row.sequence));
        taken.unwrap()
    }

    #[test]
    fn words_are_read_back_and_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.parquet");
        let rows = [row(0, None), row(1, Some("How do volcanoes")), row(2, Some("goats"))];
        let mut writer = Writer::create(&path, &[]).unwrap();
        writer.group(rows.len(), |place| rows[place]).unwrap();
        writer.finish().unwrap();
        let file = crate::File::open(&path).unwrap();
        let group = file.group(0);
        let read: Vec<Row<'_>> = (0..3).map(|place| group.row(place).unwrap()).collect();
        assert_eq!(read, rows);
        assert_eq!(group.misleading().unwrap(), None);
        assert_eq!(places(&file, "VOLCANO"), [1]);
        assert_eq!(places(&file, "library.test/find"), [0, 1, 2]);
    }

    #[test]
    fn a_file_of_before_words_is_read_as_having_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.parquet");
        let mut writer = Writer::create_of(&COLUMNS[..WITHOUT_NOTES], &path, &[]).unwrap();
        writer.group(2, |place| row(place as i64, Some("goats"))).unwrap();
        writer.finish().unwrap();
        let file = crate::File::open(&path).unwrap();
        let group = file.group(0);
        for place in 0..2 {
            assert_eq!(group.row(place).unwrap(), row(place as i64, None));
        }
        assert_eq!(group.misleading().unwrap(), None);
        assert_eq!(places(&file, "goats"), [] as [i64; 0]);
        assert_eq!(places(&file, "library.test/find"), [0, 1]);
    }
}
