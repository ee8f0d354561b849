//! Rows and ends of an open day that no batch holds yet, as leaves.

use crate::evidence::batch::{Batch, marks, root_of};
use crate::evidence::row::{End, Hash, Row};
use crate::evidence::salt::{DaySecret, Salts};
use crate::record::Ended;
use std::time::{Duration, Instant};

/// Rows and ends from which a batch is made at once.
const ENOUGH: usize = 1024;

/// Longest that a row waits for its batch. Few and full batches keep proofs small; what waits is
/// covered a little later.
const LONGEST: Duration = Duration::from_secs(10);

/// What waits for the next batch of one day.
#[derive(Debug)]
pub(crate) struct Pending {
    salts: Salts,
    first_row: u64,
    rows: Vec<Hash>,
    first_end: u64,
    ends: Vec<Hash>,
    since: Option<Instant>,
    buffer: Vec<u8>,
}

/// A batch to be stored with its rows.
#[derive(Clone, Debug)]
pub(crate) struct NewBatch {
    pub(crate) batch: Batch,
    pub(crate) record: String,
    pub(crate) marks: Vec<u8>,
}

impl Pending {
    /// Nothing waits; the next row and end have these places.
    pub(crate) fn new(secret: &DaySecret, first_row: u64, first_end: u64) -> Self {
        Self {
            salts: Salts::new(secret),
            first_row,
            rows: Vec::new(),
            first_end,
            ends: Vec::new(),
            since: None,
            buffer: Vec::with_capacity(256),
        }
    }

    /// The place of the next row.
    pub(crate) fn next_row(&self) -> u64 {
        self.first_row + self.rows.len() as u64
    }

    /// The place of the next end.
    pub(crate) fn next_end(&self) -> u64 {
        self.first_end + self.ends.len() as u64
    }

    /// Takes the next row.
    pub(crate) fn row(&mut self, row: &Row<'_>) {
        let salt = self.salts.row(row.number);
        let leaf = row.leaf(&salt, &mut self.buffer);
        self.rows.push(leaf);
        self.since.get_or_insert_with(Instant::now);
    }

    /// Takes a row that is not in the file though those after it are: the batch keeps its place.
    pub(crate) fn missing_row(&mut self) {
        self.rows.push(Hash::default());
        self.since.get_or_insert_with(Instant::now);
    }

    /// Takes the next end, of the row in place `row`; returns its own place.
    pub(crate) fn end(&mut self, row: u64, ended: Ended, signs: Option<&str>) -> u64 {
        let place = self.next_end();
        let salt = self.salts.end(place);
        let leaf = End { place, row, ended, signs }.leaf(&salt, &mut self.buffer);
        self.ends.push(leaf);
        self.since.get_or_insert_with(Instant::now);
        place
    }

    /// As [`Pending::missing_row`], of an end.
    pub(crate) fn missing_end(&mut self) {
        self.ends.push(Hash::default());
        self.since.get_or_insert_with(Instant::now);
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.ends.is_empty()
    }

    /// Whether a batch is to be made now.
    pub(crate) fn is_due(&self) -> bool {
        self.rows.len() + self.ends.len() >= ENOUGH
            || self.since.is_some_and(|since| since.elapsed() >= LONGEST)
    }

    /// The batch of all that waits.
    pub(crate) fn batch(&self, number: u64, day: &str, at: i64) -> std::io::Result<NewBatch> {
        let leaves = [self.rows.as_slice(), self.ends.as_slice()].concat();
        let root = root_of(&leaves)?;
        let batch = Batch {
            number,
            day: day.to_owned(),
            first_row: self.first_row,
            rows: self.rows.len() as u64,
            first_end: self.first_end,
            ends: self.ends.len() as u64,
            at,
            root: crate::evidence::hex(&root),
        };
        Ok(NewBatch { record: batch.canonical(), marks: marks(&leaves), batch })
    }

    /// The batch is stored: what waited is in it.
    pub(crate) fn batched(&mut self) {
        (self.first_row, self.first_end) = (self.next_row(), self.next_end());
        self.rows.clear();
        self.ends.clear();
        self.since = None;
    }
}
