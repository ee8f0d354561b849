//! The records of one part of a day, sealed or not, to be given out.

use super::values::{EndValues, OpenRecords, RowValues};
use super::{ExportError, Unproved};
use crate::evidence::batch::Batch;
use crate::evidence::row::{Hash, Salt};
use crate::evidence::salt::Salts;
use crate::evidence::sealed_rows::{Gathered, Reader, is_too_large};
use crate::parts::Part;
use crate::seal::sums::Proved;
use sealed::Number;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// One part of a day, open to take records out of.
pub(super) enum PartRecords {
    /// Its rows are in the day's SQLite file.
    Open(Box<OpenRecords>),
    /// Its rows are in a Parquet file.
    Sealed(Box<SealedRecords>),
}

impl PartRecords {
    /// Opens a part. One that waited to be sealed may be sealed by now.
    pub(super) async fn open(folder: &Path, part: Part) -> Result<Self, ExportError> {
        if !part.sealed {
            let path = part.database(folder);
            match OpenRecords::open(&path).await {
                Ok(open) => return Ok(Self::Open(Box::new(open))),
                Err(_) if !path.exists() => {}
                Err(source) => return Err(ExportError::Store { path, source }),
            }
        }
        let part = Part { sealed: true, ..part };
        Ok(Self::Sealed(Box::new(SealedRecords::open(folder, part).await?)))
    }

    /// Place of the part's first row.
    pub(super) fn first_row(&self) -> u64 {
        match self {
            Self::Open(open) => open.first_row,
            Self::Sealed(sealed) => sealed.first_row,
        }
    }

    /// Call before rows are asked for: of a sealed file all are found in one go.
    pub(super) fn prepare(&mut self, rows: &[u64]) -> Result<(), ExportError> {
        match self {
            Self::Open(_) => Ok(()),
            Self::Sealed(sealed) => sealed.prepare(rows),
        }
    }

    fn batches(&self) -> &[Batch] {
        match self {
            Self::Open(open) => &open.batches,
            Self::Sealed(sealed) => &sealed.batches,
        }
    }

    /// The batch that holds a row.
    pub(super) fn batch_of_row(&self, row: u64) -> Option<Batch> {
        let holds = |batch: &&Batch| (batch.first_row..batch.next_row()).contains(&row);
        self.batches().iter().find(holds).cloned()
    }

    /// The batch that holds an end.
    pub(super) fn batch_of_end(&self, place: u64) -> Option<Batch> {
        let holds = |batch: &&Batch| (batch.first_end..batch.next_end()).contains(&place);
        self.batches().iter().find(holds).cloned()
    }

    /// The salt of a row.
    pub(super) async fn row_salt(&mut self, batch: &Batch, row: u64) -> Result<Salt, Unproved> {
        match self {
            Self::Open(open) => Ok(open.row_salt(batch, row).await?),
            Self::Sealed(sealed) => Ok(sealed.salts.row(row)),
        }
    }

    /// The salt of an end.
    pub(super) async fn end_salt(&mut self, batch: &Batch, place: u64) -> Result<Salt, Unproved> {
        match self {
            Self::Open(open) => Ok(open.end_salt(batch, place).await?),
            Self::Sealed(sealed) => Ok(sealed.salts.end(place)),
        }
    }

    /// A row with everything named.
    pub(super) async fn row(&mut self, row: u64) -> Result<RowValues, Unproved> {
        match self {
            Self::Open(open) => Ok(open.row(row).await?),
            Self::Sealed(sealed) => {
                let found = sealed.found.get(&row).map(|(values, _)| values.clone());
                found.ok_or_else(|| Unproved::DoesNotFit("its row is missing".to_owned()))
            }
        }
    }

    /// The end of a row that came by itself.
    pub(super) async fn end_of(&mut self, row: u64) -> Result<Option<EndValues>, Unproved> {
        match self {
            Self::Open(open) => Ok(open.end_of(row).await?),
            Self::Sealed(sealed) => Ok(sealed.found.get(&row).and_then(|(_, end)| end.clone())),
        }
    }

    /// The leaves of a batch, made again from its rows and ends.
    pub(super) async fn leaves(&mut self, batch: &Batch) -> Result<Vec<Hash>, Unproved> {
        match self {
            Self::Open(open) => Ok(open.leaves(batch).await?),
            Self::Sealed(sealed) => {
                let found = sealed.gathered.leaves(batch).into_iter().collect();
                let missing = || format!("rows of its batch {} are missing", batch.number);
                Option::ok_or_else(found, || Unproved::DoesNotFit(missing()))
            }
        }
    }
}

/// A sealed part, with what of it was asked for.
pub(super) struct SealedRecords {
    file: sealed::File,
    first_row: u64,
    batches: Vec<Batch>,
    salts: Salts,
    found: HashMap<u64, (RowValues, Option<EndValues>)>,
    gathered: Gathered,
}

impl SealedRecords {
    async fn open(folder: &Path, part: Part) -> Result<Self, ExportError> {
        let path = part.database(folder);
        let proved = Proved::read(&path).await;
        let proved = proved.map_err(|source| ExportError::Store { path, source })?;
        let file = sealed::File::open(&part.rows(folder))?;
        let (first_row, batches, secret) = match proved {
            None => Default::default(),
            Some(proved) => (proved.first_row, proved.batches, proved.secret),
        };
        let (found, gathered) = (HashMap::new(), Gathered::default());
        Ok(Self { file, first_row, batches, salts: Salts::new(&secret), found, gathered })
    }

    /// Finds these rows, and then the leaves of the batches that hold them or their ends.
    fn prepare(&mut self, rows: &[u64]) -> Result<(), ExportError> {
        for number in 0..self.file.groups() {
            let group = self.file.group(number);
            let places = group.numbers(Number::Sequence)?;
            let is_wanted = |place: &usize| {
                let row = places.row(*place).and_then(|row| u64::try_from(row).ok());
                row.is_some_and(|row| rows.binary_search(&row).is_ok())
            };
            let wanted: Vec<usize> = (0..group.rows()).filter(is_wanted).collect();
            let mut reader = Reader::new(&group);
            for place in wanted {
                let Some(made) = reader.read(place)? else { continue };
                let Some(values) = RowValues::of_sealed(&made) else { continue };
                let end = made.end.as_ref().map(EndValues::from);
                self.found.insert(made.row.number, (values, end));
            }
        }
        // Batches follow one another, by their rows and by their ends.
        let mut wanted: BTreeSet<usize> = BTreeSet::new();
        for (row, (_, end)) in &self.found {
            wanted.insert(self.batches.partition_point(|batch| batch.next_row() <= *row));
            if let Some(end) = end {
                wanted.insert(self.batches.partition_point(|batch| batch.next_end() <= end.place));
            }
        }
        let batches = wanted.into_iter().filter_map(|place| self.batches.get(place));
        let fitting = batches.filter(|batch| !is_too_large(batch, self.file.rows()));
        let mut gathered = Gathered::over(fitting);
        for number in 0..self.file.groups() {
            let group = self.file.group(number);
            let mut reader = Reader::new(&group);
            for place in 0..group.rows() {
                if let Some(made) = reader.read(place)? {
                    gathered.take(&made, &self.salts);
                }
            }
        }
        self.gathered = gathered;
        Ok(())
    }
}
