//! Opening a file, and the columns of its row groups.

use crate::columns::{
    COLUMNS, Column, Columns, Ended, NUMBERS, Number, Row, TEXTS, Text, columns_of,
};
use crate::find::Finder;
use crate::pages::{self, Failure};
use crate::source::{self, CHECKSUMS, Stretch};
use crate::{Error, Fault};
use parquet::basic::{Encoding, PageType};
use parquet::column::page::PageReader;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{BoolType, DataType, Int64Type};
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::statistics::Statistics;
use std::cell::OnceCell;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use crate::pages::Texts;

/// Most rows of a row group that is read: some thirty times what is written to one. A footer may say anything,
/// and what it says is taken for room.
const MAX_GROUP_ROWS: i64 = 1 << 22;

/// A sealed file, open to be read; by several threads at once, where that is wished.
pub struct File {
    path: PathBuf,
    file: std::fs::File,
    metadata: ParquetMetaData,
    columns: Columns,
    /// Two for each column of each row group, in their order: of its dictionary and of its rows.
    checksums: Vec<u32>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

impl File {
    /// Opens a file and reads its footer.
    ///
    /// # Errors
    /// [`Error`]: no such file, no Parquet file, or one with other columns.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let open = || {
            let fault = |what| Fault::Content { column: "all", what };
            let file = std::fs::File::open(path)?;
            let footer = source::footer(&file)?.ok_or_else(|| fault("the footer is damaged"))?;
            let metadata = ParquetMetaDataReader::decode_metadata(&footer)?;
            let found = metadata.file_metadata().schema_descr();
            let columns = columns_of(found.root_schema())?;
            let columns = columns.ok_or_else(|| fault("other columns than expected"))?;
            let rows = metadata.row_groups().iter().map(RowGroupMetaData::num_rows);
            let fits = |rows: i64| (0..=MAX_GROUP_ROWS).contains(&rows);
            if !rows.clone().all(fits) || rows.sum::<i64>() != metadata.file_metadata().num_rows() {
                return Err(fault("the footer counts rows that cannot be"));
            }
            let checksums = note(&metadata, CHECKSUMS).and_then(checksums);
            let checksums = checksums.filter(|checksums| {
                checksums.len() == metadata.num_row_groups() * columns.len() * 2
            });
            let checksums = checksums.ok_or_else(|| fault("no checksums"))?;
            Ok(Self { path: path.to_owned(), file, metadata, columns, checksums })
        };
        open().map_err(|fault: Fault| fault.at(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hands over all bytes of the file, piece by piece.
    ///
    /// # Errors
    /// [`std::io::Error`]; or the first that `take` gives.
    pub fn bytes(&self, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
        let mut piece = vec![0; 1 << 20];
        let mut at = 0;
        loop {
            match self.file.read_at(&mut piece, at)? {
                0 => return Ok(()),
                count => {
                    take(&piece[..count]);
                    at += count as u64;
                }
            }
        }
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.metadata.file_metadata().num_rows().max(0) as u64
    }

    /// A note that was given to [`crate::Writer::create`].
    #[must_use]
    pub fn note(&self, key: &str) -> Option<&str> {
        note(&self.metadata, key)
    }

    /// How many row groups it has.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// A row group; nothing of it is read yet.
    #[must_use]
    pub fn group(&self, index: usize) -> Group<'_> {
        Group {
            file: self,
            index,
            metadata: self.metadata.row_group(index),
            texts: std::array::from_fn(|_| OnceCell::new()),
            numbers: std::array::from_fn(|_| OnceCell::new()),
        }
    }
}

/// The numbers of a column, a row each.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    values: Vec<i64>,
    /// Rows without a value; empty where all have one.
    missing: Vec<bool>,
}

impl Numbers {
    /// The number of a row.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<i64> {
        match self.missing.get(row) {
            Some(true) => None,
            _ => self.values.get(row).copied(),
        }
    }
}

/// A row group. Its columns are read when they are first asked for.
pub struct Group<'f> {
    file: &'f File,
    index: usize,
    metadata: &'f RowGroupMetaData,
    texts: [OnceCell<Texts>; TEXTS],
    numbers: [OnceCell<Numbers>; NUMBERS],
}

impl std::fmt::Debug for Group<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("file", &self.file.path).finish_non_exhaustive()
    }
}

impl Group<'_> {
    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.metadata.num_rows().max(0) as usize
    }

    /// A column of texts.
    ///
    /// # Errors
    /// [`Error`]: damage.
    pub fn texts(&self, column: Text) -> Result<&Texts, Error> {
        let cell = &self.texts[column as usize];
        if let Some(texts) = cell.get() {
            return Ok(texts);
        }
        let (place, name, optional) = self.column(Column::Text(column));
        if !self.has(place) {
            return Ok(cell.get_or_init(|| Texts::empty(self.rows())));
        }
        let read = || {
            let pages = pages::all(&mut self.pages(place, false)?)?;
            pages::texts(pages, self.rows(), optional)
        };
        let texts = read().map_err(|failure| self.failed(name, failure))?;
        Ok(cell.get_or_init(|| texts))
    }

    /// A column of texts, where one of them may hold what is looked for: to look through the bytes of all is far
    /// cheaper than to take them apart. `None`: none does.
    ///
    /// # Errors
    /// [`Error`]: damage.
    pub(crate) fn texts_holding(
        &self,
        column: Text,
        finder: &Finder,
    ) -> Result<Option<&Texts>, Error> {
        let cell = &self.texts[column as usize];
        if cell.get().is_some() {
            return Ok(cell.get());
        }
        let (place, name, optional) = self.column(Column::Text(column));
        if !self.has(place) {
            return Ok(None);
        }
        let read = || {
            let pages = pages::all(&mut self.pages(place, false)?)?;
            match pages::may_hold(&pages, finder) {
                true => pages::texts(pages, self.rows(), optional).map(Some),
                false => Ok(None),
            }
        };
        let texts = read().map_err(|failure| self.failed(name, failure))?;
        Ok(texts.map(|texts| cell.get_or_init(|| texts)))
    }

    /// Every text of a column, without its rows; `None` where only the rows can tell.
    ///
    /// # Errors
    /// [`Error`]: damage.
    pub fn dictionary(&self, column: Text) -> Result<Option<Texts>, Error> {
        let (place, name, _) = self.column(Column::Text(column));
        if !self.has(place) {
            return Ok(Some(Texts::empty(0)));
        }
        if !is_in_dictionary(self.metadata.column(place)) {
            return Ok(None);
        }
        let read = || pages::dictionary(&mut self.pages(place, true)?);
        read().map_err(|failure| self.failed(name, failure))
    }

    /// A column of numbers; `locked` as 0 and 1.
    ///
    /// # Errors
    /// [`Error`]: damage.
    pub fn numbers(&self, column: Number) -> Result<&Numbers, Error> {
        let cell = &self.numbers[column as usize];
        if let Some(numbers) = cell.get() {
            return Ok(numbers);
        }
        let (place, name, optional) = self.column(Column::Number(column));
        let read = || match column {
            Number::Locked => {
                let (values, missing) = self.values::<BoolType>(place, optional)?;
                let values = values.into_iter().map(i64::from).collect();
                Ok(Numbers { values, missing })
            }
            _ => {
                let (values, missing) = self.values::<Int64Type>(place, optional)?;
                Ok(Numbers { values, missing })
            }
        };
        let numbers = read().map_err(|failure| self.failed(name, failure))?;
        Ok(cell.get_or_init(|| numbers))
    }

    /// The smallest and largest number of a column, where the file tells.
    #[must_use]
    pub fn bounds(&self, column: Number) -> Option<(i64, i64)> {
        let (place, ..) = self.column(Column::Number(column));
        match self.metadata.column(place).statistics()? {
            Statistics::Int64(bounds) => Some((*bounds.min_opt()?, *bounds.max_opt()?)),
            _ => None,
        }
    }

    /// A column of which the footer, or a dictionary, says something else than its rows do: a search that goes
    /// by either would pass over rows, and nothing that proves the rows would tell. Reads every column.
    ///
    /// # Errors
    /// [`Error`]: damage.
    pub fn misleading(&self) -> Result<Option<&'static str>, Error> {
        for (column, name, _) in self.file.columns.iter().copied() {
            let is_misleading = match column {
                Column::Number(column) => {
                    let numbers = self.numbers(column)?;
                    let present = || (0..self.rows()).filter_map(|row| numbers.row(row));
                    let real = present().min().zip(present().max());
                    self.bounds(column).is_some_and(|bounds| Some(bounds) != real)
                }
                // A text of the rows that is not in the dictionary has an entry of its own.
                Column::Text(column) => match self.dictionary(column)? {
                    Some(dictionary) => dictionary.count() != self.texts(column)?.count(),
                    None => false,
                },
            };
            if is_misleading {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// One row. Reads every column, the first time.
    ///
    /// # Errors
    /// [`Error`]: damage.
    pub fn row(&self, row: usize) -> Result<Row<'_>, Error> {
        let text = |column| self.texts(column).map(|texts| texts.row(row));
        let number = |column| self.numbers(column).map(|numbers| numbers.row(row));
        let some_text = |column| {
            text(column)?.ok_or_else(|| self.content(Column::Text(column), "a row without a text"))
        };
        let some_number = |column| {
            let missing = || self.content(Column::Number(column), "a row without a number");
            number(column)?.ok_or_else(missing)
        };
        let small = |column, value: i64| {
            u16::try_from(value).map_err(|_| self.content(Column::Number(column), "out of range"))
        };
        let unblock = number(Number::Unblock)?.map(|unblock| {
            let column = Column::Number(Number::Unblock);
            u32::try_from(unblock).map_err(|_| self.content(column, "out of range"))
        });
        let ended = match text(Text::End)? {
            None => None,
            Some(end) => Some(Ended {
                end,
                depth: text(Text::DepthEnd)?,
                status: small(Number::Status, some_number(Number::Status)?)?,
                bytes_up: some_number(Number::BytesUp)?,
                bytes_down: some_number(Number::BytesDown)?,
                duration_us: some_number(Number::DurationUs)?,
                place: number(Number::EndPlace)?,
                signs: text(Text::SignsEnd)?,
            }),
        };
        Ok(Row {
            sequence: some_number(Number::Sequence)?,
            id: some_number(Number::Id)?,
            at: some_number(Number::At)?,
            user: text(Text::User)?,
            level: some_text(Text::Level)?,
            client: some_text(Text::Client)?,
            method: some_text(Text::Method)?,
            scheme: some_text(Text::Scheme)?,
            host: some_text(Text::Host)?,
            port: small(Number::Port, some_number(Number::Port)?)?,
            path: text(Text::Path)?,
            categories: some_text(Text::Categories)?,
            locked: some_number(Number::Locked)? != 0,
            verdict: some_text(Text::Verdict)?,
            reason: some_text(Text::Reason)?,
            rule: text(Text::Rule)?,
            unblock: unblock.transpose()?,
            depth: some_text(Text::Depth)?,
            policy_hash: some_text(Text::PolicyHash)?,
            list_version: some_text(Text::ListVersion)?,
            zone: some_text(Text::Zone)?,
            ended,
            words: text(Text::Words)?,
            words_kind: text(Text::WordsKind)?,
            words_site: text(Text::WordsSite)?,
            signs: text(Text::Signs)?,
        })
    }

    /// Whether the file has the column in this place; one of before it was added does not.
    fn has(&self, place: usize) -> bool {
        place < self.file.columns.len()
    }

    fn column(&self, column: Column) -> (usize, &'static str, bool) {
        let place = column.place();
        let (_, name, optional) = COLUMNS[place];
        (place, name, optional)
    }

    /// The pages of a column; of its dictionary alone, where that is asked for.
    fn pages(
        &self,
        place: usize,
        dictionary_alone: bool,
    ) -> Result<SerializedPageReader<Stretch>, Failure> {
        let column = self.metadata.column(place);
        let [first, rows, end] = source::stretches(column).ok_or("a place that makes no sense")?;
        let end = if dictionary_alone { rows } else { end };
        let bytes = source::read(&self.file.file, first, end)?;
        let (dictionary, data) = bytes.split_at((rows - first) as usize);
        let sums = (self.index * self.file.columns.len() + place) * 2;
        let fits = |part: &[u8], sum: usize| {
            self.file.checksums.get(sum).copied() == Some(crc32fast::hash(part))
        };
        if !fits(dictionary, sums) || !dictionary_alone && !fits(data, sums + 1) {
            return Err("it does not have its checksum".into());
        }
        let stretch = Arc::new(Stretch::new(first, bytes));
        Ok(SerializedPageReader::new(stretch, column, self.rows(), None)?)
    }

    fn values<T: DataType>(
        &self,
        place: usize,
        optional: bool,
    ) -> Result<(Vec<T::T>, Vec<bool>), Failure>
    where
        T::T: Copy + Default,
    {
        let description = self.metadata.schema_descr().column(place);
        let pages: Box<dyn PageReader> = Box::new(self.pages(place, false)?);
        let mut reader = ColumnReaderImpl::<T>::new(description, pages);
        let rows = self.rows();
        let (mut present, mut levels) = (Vec::with_capacity(rows), Vec::new());
        let mut read = 0;
        while read < rows {
            let defined = optional.then_some(&mut levels);
            let (count, ..) = reader.read_records(rows - read, defined, None, &mut present)?;
            if count == 0 {
                return Err("fewer rows than the group has".into());
            }
            read += count;
        }
        if !optional {
            let all = (present.len() == rows).then_some((present, Vec::new()));
            return all.ok_or_else(|| "another number of rows than the group has".into());
        }
        let mut next = present.into_iter();
        let values = levels.iter().map(|level| match level {
            0 => T::T::default(),
            _ => next.next().unwrap_or_default(),
        });
        let values: Vec<T::T> = values.collect();
        let missing = levels.iter().map(|level| *level == 0).collect();
        match values.len() == rows {
            true => Ok((values, missing)),
            false => Err("another number of rows than the group has".into()),
        }
    }

    fn content(&self, column: Column, what: &'static str) -> Error {
        Fault::Content { column: column.name(), what }.at(&self.file.path)
    }

    fn failed(&self, column: &'static str, failure: Failure) -> Error {
        let fault = match failure {
            Failure::Io(error) => Fault::Io(error),
            Failure::Parquet(error) => Fault::Parquet(error),
            Failure::Content(what) => Fault::Content { column, what },
        };
        fault.at(&self.file.path)
    }
}

fn note<'m>(metadata: &'m ParquetMetaData, key: &str) -> Option<&'m str> {
    let notes = metadata.file_metadata().key_value_metadata()?;
    notes.iter().find(|note| note.key == key)?.value.as_deref()
}

fn checksums(hex: &str) -> Option<Vec<u32>> {
    let (parts, rest) = hex.as_bytes().as_chunks::<8>();
    let number = |part: &[u8; 8]| u32::from_str_radix(std::str::from_utf8(part).ok()?, 16).ok();
    rest.is_empty().then(|| parts.iter().map(number).collect())?
}

/// Whether every page of rows is in numbers of the dictionary.
fn is_in_dictionary(column: &ColumnChunkMetaData) -> bool {
    let is_rows = |kind: PageType| matches!(kind, PageType::DATA_PAGE | PageType::DATA_PAGE_V2);
    let in_dictionary = |encoding: Encoding| {
        matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY)
    };
    column.page_encoding_stats().is_some_and(|pages| {
        pages
            .iter()
            .filter(|pages| is_rows(pages.page_type))
            .all(|pages| in_dictionary(pages.encoding))
    })
}
